/* Fetching packages: what is asked for, what loss and lies lead to, on a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/hex.h"
#include "relay/cache.h"

/* SHA-256 of so many zero bytes, by coreutils' sha256sum. */
#define SMALL_BYTES 5U
#define SMALL_DIGEST "8855508aade16ec573d21e6a485dfd0a7624085c1a14b5ecdd6485de0c6839a4"
#define LARGE_BYTES 3000000U
#define LARGE_DIGEST "35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f"
#define LARGE_CHUNKS 23U /* of LIMIT_CHUNK_BYTES, rounded up */

struct place {
    char folder[64];
    struct package_store *store;
    struct cache *cache;
    uint8_t small[LIMIT_DIGEST_BYTES], large[LIMIT_DIGEST_BYTES];
    struct message_chunk_request asked[256];
    uint32_t asked_count, served;
    struct buf trace; /* "done" or the failure, a line each */
};

static void on_request(void *context, const struct message_chunk_request *request)
{
    struct place *place = context;
    assert_true(place->asked_count < 256);
    place->asked[place->asked_count++] = *request;
}

static void on_done(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES], const char *failure)
{
    struct place *place = context;
    buf_printf(&place->trace, "%s %s\n",
               memcmp(digest, place->small, LIMIT_DIGEST_BYTES) == 0 ? "small" : "large",
               failure ? failure : "done");
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char folder[80];
    assert_non_null(place);
    *state = place;
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-cache-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(folder, sizeof folder, "%s/cache", place->folder);
    assert_int_equal(package_store_new(&place->store, folder, NULL), 0);
    struct cache_config config = {place->store, on_request, on_done, place};
    place->cache = cache_new(&config);
    buf_init(&place->trace, 4096);
    assert_int_equal(hex_decode(SMALL_DIGEST, place->small, LIMIT_DIGEST_BYTES), 0);
    assert_int_equal(hex_decode(LARGE_DIGEST, place->large, LIMIT_DIGEST_BYTES), 0);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    cache_free(place->cache);
    package_store_free(place->store);
    buf_release(&place->trace);
    (void)snprintf(command, sizeof command, "rm -rf %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void saw(struct place *place, const char *expected)
{
    assert_string_equal(buf_cstr(&place->trace), expected);
    buf_reset(&place->trace);
}

/* Answers one request with zero bytes. */
static void serve(struct place *place, const struct message_chunk_request *request, uint64_t total,
                  uint8_t value)
{
    static uint8_t data[LIMIT_CHUNK_BYTES];
    struct message_chunk chunk = {.offset = request->offset, .total = total, .size = request->size};
    memset(data, value, sizeof data);
    memcpy(chunk.digest, request->digest, LIMIT_DIGEST_BYTES);
    chunk.data = data;
    cache_chunk(place->cache, &chunk, 0);
}

static void serve_all(struct place *place, uint64_t total)
{
    while (place->served < place->asked_count) {
        struct message_chunk_request request = place->asked[place->served++];
        serve(place, &request, total, 0);
    }
}

static void small_package_comes_in_one_chunk(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    assert_int_equal(place->asked_count, 1);
    assert_int_equal(place->asked[0].size, SMALL_BYTES);
    saw(place, "");
    serve_all(place, SMALL_BYTES);
    saw(place, "small done\n");
    assert_true(cache_due_ms(place->cache) == UINT64_MAX);
}

static void large_package_keeps_a_window(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    assert_int_equal(place->asked_count, 8);
    struct message_chunk_request first = place->asked[place->served++];
    serve(place, &first, LARGE_BYTES, 0);
    assert_int_equal(place->asked_count, 9);
    serve_all(place, LARGE_BYTES);
    assert_int_equal(place->asked_count, LARGE_CHUNKS);
    saw(place, "large done\n");
}

static void package_that_is_there_is_done_at_once(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve_all(place, SMALL_BYTES);
    saw(place, "small done\n");
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    assert_int_equal(place->asked_count, 1);
    saw(place, "small done\n");
}

static void chunk_lost_asked_again_from_there(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    serve(place, &place->asked[0], LARGE_BYTES, 0);
    serve(place, &place->asked[2], LARGE_BYTES, 0); /* the second was lost */
    uint32_t before = place->asked_count;
    cache_tick(place->cache, 1999);
    assert_int_equal(place->asked_count, before);
    cache_tick(place->cache, 2000);
    assert_int_equal(place->asked[before].offset, LIMIT_CHUNK_BYTES);
    place->served = before;
    serve_all(place, LARGE_BYTES);
    saw(place, "large done\n");
}

static void silence_asked_less_and_less_often(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    uint64_t pauses[6];
    uint64_t now_ms = 0;
    for (int i = 0; i < 6; i++) {
        pauses[i] = cache_due_ms(place->cache) - now_ms;
        now_ms = cache_due_ms(place->cache);
        cache_tick(place->cache, now_ms);
    }
    static const uint64_t expected[] = {2000, 4000, 8000, 16000, 30000, 30000};
    assert_memory_equal(pauses, expected, sizeof expected);
    saw(place, "");
}

static void new_connection_asks_at_once(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    cache_link_up(place->cache, 10);
    assert_int_equal(place->asked_count, 2);
    serve_all(place, SMALL_BYTES);
    saw(place, "small done\n"); /* the second answer is a repeat */
}

static void wrong_bytes_fetched_once_more_then_refused(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve(place, &place->asked[0], SMALL_BYTES, 'x');
    saw(place, "");
    assert_int_equal(place->asked_count, 2);
    serve(place, &place->asked[1], SMALL_BYTES, 'x');
    assert_non_null(strstr(buf_cstr(&place->trace), "small cannot fetch the package"));
}

static void package_the_coordinator_lacks_fails(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve(place, &place->asked[0], 0, 0);
    saw(place, "small the coordinator does not have the package\n");
}

static void package_of_other_size_fails(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve(place, &place->asked[0], SMALL_BYTES + 1, 0);
    saw(place, "small the coordinator's package has another size\n");
}

static void second_package_waits_for_the_first(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    assert_int_equal(place->asked_count, 8);
    while (place->served < place->asked_count) {
        struct message_chunk_request request = place->asked[place->served++];
        bool small = memcmp(request.digest, place->small, LIMIT_DIGEST_BYTES) == 0;
        serve(place, &request, small ? SMALL_BYTES : LARGE_BYTES, 0);
    }
    saw(place, "large done\nsmall done\n");
}

static void cancelled_package_makes_room_for_the_next(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    cache_cancel(place->cache, place->large, 0);
    serve(place, &place->asked[0], LARGE_BYTES, 0); /* too late: ignored */
    place->served = 8;
    serve_all(place, SMALL_BYTES);
    saw(place, "small done\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(small_package_comes_in_one_chunk),
        CASE(large_package_keeps_a_window),
        CASE(package_that_is_there_is_done_at_once),
        CASE(chunk_lost_asked_again_from_there),
        CASE(silence_asked_less_and_less_often),
        CASE(new_connection_asks_at_once),
        CASE(wrong_bytes_fetched_once_more_then_refused),
        CASE(package_the_coordinator_lacks_fails),
        CASE(package_of_other_size_fails),
        CASE(second_package_waits_for_the_first),
        CASE(cancelled_package_makes_room_for_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
