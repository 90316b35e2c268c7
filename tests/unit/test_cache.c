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
    uint8_t whom[256]; /* first byte of the asked peer's key; 0: the coordinator */
    uint32_t asked_count, served;
    uint8_t unknown; /* a peer that is not known here */
    uint64_t room;   /* bytes */
    uint64_t wanted_room;
    struct buf trace; /* "done" or the failure, a line each */
};

static bool on_request(void *context, const uint8_t *peer,
                       const struct message_chunk_request *request)
{
    struct place *place = context;
    assert_true(place->asked_count < 256);
    if (peer != NULL && peer[0] == place->unknown)
        return false;
    place->whom[place->asked_count] = peer != NULL ? peer[0] : 0;
    place->asked[place->asked_count++] = *request;
    return true;
}

static int on_make_room(void *context, uint64_t bytes, struct err *err)
{
    struct place *place = context;
    place->wanted_room = bytes;
    return bytes <= place->room ? 0 : err_set(err, ERR_NO_SPACE, "no room");
}

static void on_distrusted(void *context, const uint8_t *peer,
                          const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    struct place *place = context;
    (void)digest;
    buf_printf(&place->trace, "distrusted %u\n", peer[0]);
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
    place->room = UINT64_MAX;
    struct cache_config config = {place->store,  on_request, on_make_room,
                                  on_distrusted, on_done,    place};
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

static const uint8_t *key_of(uint8_t peer)
{
    static uint8_t key[LIMIT_KEY_BYTES];
    key[0] = peer;
    return peer == 0 ? NULL : key;
}

/* Answers one request with zero bytes, as the peer or (0) the coordinator. */
static void serve_by(struct place *place, uint8_t peer, const struct message_chunk_request *request,
                     uint64_t total, uint8_t value)
{
    static uint8_t data[LIMIT_CHUNK_BYTES];
    struct message_chunk chunk = {.offset = request->offset, .total = total, .size = request->size};
    memset(data, value, sizeof data);
    memcpy(chunk.digest, request->digest, LIMIT_DIGEST_BYTES);
    chunk.data = data;
    cache_chunk(place->cache, key_of(peer), &chunk, 0);
}

static void serve(struct place *place, const struct message_chunk_request *request, uint64_t total,
                  uint8_t value)
{
    serve_by(place, 0, request, total, value);
}

/* An answer without bytes: not yet, or (source not 0) elsewhere. */
static void serve_nothing(struct place *place, uint8_t peer, uint8_t source, uint64_t total,
                          uint64_t now_ms)
{
    struct message_chunk chunk = {.offset = 0, .total = total};
    memcpy(chunk.digest, place->asked[place->asked_count - 1].digest, LIMIT_DIGEST_BYTES);
    chunk.source[0] = source;
    cache_chunk(place->cache, key_of(peer), &chunk, now_ms);
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

static void thin_link_is_given_the_time_it_takes(void **state)
{
    struct place *place = *state;
    struct message_chunk chunk = {.total = LARGE_BYTES, .size = LIMIT_CHUNK_BYTES};
    static uint8_t zeroes[LIMIT_CHUNK_BYTES];
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    memcpy(chunk.digest, place->large, LIMIT_DIGEST_BYTES);
    chunk.data = zeroes;
    cache_chunk(place->cache, NULL, &chunk, 1500);
    assert_int_equal(cache_due_ms(place->cache), 1500 + 6000);
    chunk.offset += LIMIT_CHUNK_BYTES;
    cache_chunk(place->cache, NULL, &chunk, 1501);
    assert_int_equal(cache_due_ms(place->cache), 1501 + 2000);
    chunk.offset += LIMIT_CHUNK_BYTES;
    cache_chunk(place->cache, NULL, &chunk, 90000);
    assert_int_equal(cache_due_ms(place->cache), 90000 + 30000);
}

static void new_connection_asks_at_once(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    cache_link_up(place->cache, NULL, 10);
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

/* Fetching `small`, sent to peer 7. */
static void go_to_peer(struct place *place)
{
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve_nothing(place, 0, 7, SMALL_BYTES, 0);
    assert_int_equal(place->asked_count, 2);
    assert_int_equal(place->whom[1], 7);
    assert_true(cache_needs_peer(place->cache, key_of(7)));
}

/* The newest request went to the coordinator, insisting or not. */
static void assert_asks_coordinator(struct place *place, bool insist)
{
    assert_int_equal(place->whom[place->asked_count - 1], 0);
    assert_int_equal(place->asked[place->asked_count - 1].insist, insist);
}

static void package_comes_from_the_peer_that_the_coordinator_names(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    serve(place, &place->asked[0], SMALL_BYTES, 'x');       /* not asked for any more */
    serve_by(place, 8, &place->asked[1], SMALL_BYTES, 'x'); /* nor of that one */
    saw(place, "");
    serve_by(place, 7, &place->asked[1], SMALL_BYTES, 0);
    saw(place, "small done\n");
    assert_false(cache_needs_peer(place->cache, key_of(7)));
}

static void silent_peer_left_after_three_tries_insisting(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    for (uint64_t now_ms = 2000; now_ms <= 4000; now_ms += 2000) {
        cache_tick(place->cache, now_ms);
        assert_int_equal(place->whom[place->asked_count - 1], 7);
    }
    cache_tick(place->cache, 6000);
    assert_asks_coordinator(place, true);
    uint32_t last = place->asked_count - 1;
    serve(place, &place->asked[last], SMALL_BYTES, 0);
    saw(place, "small done\n");
}

static void peer_that_is_told_of_later_is_asked_then(void **state)
{
    struct place *place = *state;
    place->unknown = 7;
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    serve_nothing(place, 0, 7, SMALL_BYTES, 0);
    assert_int_equal(place->asked_count, 1);
    assert_int_equal(cache_due_ms(place->cache), 2000);
    place->unknown = 0;
    cache_tick(place->cache, 2000);
    assert_int_equal(place->asked_count, 2);
    assert_int_equal(place->whom[1], 7);
    serve_by(place, 7, &place->asked[1], SMALL_BYTES, 0);
    saw(place, "small done\n");
}

static void peer_forgotten_while_it_has_nothing_new_is_left(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    serve_nothing(place, 7, 0, SMALL_BYTES, 0);
    place->unknown = 7;
    for (uint64_t now_ms = 250; now_ms <= 4250; now_ms += 2000)
        cache_tick(place->cache, now_ms);
    assert_int_equal(place->asked_count, 2);
    cache_tick(place->cache, 6250);
    assert_asks_coordinator(place, true);
}

static void insisting_goes_one_request_at_a_time(void **state)
{
    struct place *place = *state;
    place->unknown = 7;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    assert_int_equal(place->asked_count, 8);
    serve_nothing(place, 0, 7, LARGE_BYTES, 0);
    cache_tick(place->cache, 2000);
    cache_tick(place->cache, 4000);
    assert_int_equal(place->asked_count, 8);
    cache_tick(place->cache, 6000);
    assert_int_equal(place->asked_count, 9);
    assert_asks_coordinator(place, true);
    struct message_chunk_request request = place->asked[8];
    serve(place, &request, LARGE_BYTES, 0);
    assert_int_equal(place->asked_count, 17); /* a whole window */
    assert_asks_coordinator(place, false);
}

static void peer_that_fetches_too_is_asked_often_then_the_coordinator(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    uint64_t now_ms = 0;
    for (; now_ms < 15000; now_ms += 250) {
        serve_nothing(place, 7, 0, SMALL_BYTES, now_ms);
        assert_int_equal(cache_due_ms(place->cache), now_ms + 250);
        cache_tick(place->cache, now_ms + 250);
        assert_int_equal(place->whom[place->asked_count - 1], 7);
    }
    serve_nothing(place, 7, 0, SMALL_BYTES, now_ms);
    assert_asks_coordinator(place, false);
    serve_nothing(place, 0, 7, SMALL_BYTES, now_ms);
    assert_int_equal(place->whom[place->asked_count - 1], 7);
    serve_nothing(place, 7, 0, SMALL_BYTES, 90000);
    assert_asks_coordinator(place, true);
}

static void peer_without_the_package_left_at_once(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    serve_nothing(place, 7, 0, 0, 1);
    assert_asks_coordinator(place, true);
}

static void wrong_bytes_of_a_peer_come_again_from_the_coordinator(void **state)
{
    struct place *place = *state;
    go_to_peer(place);
    serve_by(place, 7, &place->asked[1], SMALL_BYTES, 'x');
    saw(place, "distrusted 7\n");
    assert_asks_coordinator(place, true);
    uint32_t count = place->asked_count;
    serve_nothing(place, 0, 7, SMALL_BYTES, 1); /* that peer again: no */
    assert_int_equal(place->asked_count, count);
    assert_false(cache_needs_peer(place->cache, key_of(7)));
    serve(place, &place->asked[count - 1], SMALL_BYTES, 0);
    saw(place, "small done\n");
}

static void peer_change_in_the_middle_goes_on_where_the_store_is(void **state)
{
    struct place *place = *state;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    serve_nothing(place, 0, 7, LARGE_BYTES, 0);
    struct message_chunk_request request = place->asked[8];
    serve_by(place, 7, &request, LARGE_BYTES, 0);
    for (uint64_t now_ms = 2000; now_ms <= 6000; now_ms += 2000)
        cache_tick(place->cache, now_ms);
    assert_asks_coordinator(place, true);
    assert_int_equal(place->asked[place->asked_count - 1].offset, LIMIT_CHUNK_BYTES);
    place->served = place->asked_count - 1;
    serve_all(place, LARGE_BYTES);
    saw(place, "large done\n");
}

static void package_without_room_fails_saying_so(void **state)
{
    struct place *place = *state;
    place->room = LARGE_BYTES - 1;
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    assert_int_equal(place->wanted_room, LARGE_BYTES);
    assert_int_equal(place->asked_count, 0);
    saw(place, "large no room\n");
}

static void size_of_a_wanted_package_is_known(void **state)
{
    struct place *place = *state;
    assert_int_equal(cache_wanted_bytes(place->cache, place->large), 0);
    cache_fetch(place->cache, place->small, SMALL_BYTES, 0);
    cache_fetch(place->cache, place->large, LARGE_BYTES, 0);
    assert_int_equal(cache_wanted_bytes(place->cache, place->large), LARGE_BYTES);
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
        CASE(thin_link_is_given_the_time_it_takes),
        CASE(new_connection_asks_at_once),
        CASE(wrong_bytes_fetched_once_more_then_refused),
        CASE(package_the_coordinator_lacks_fails),
        CASE(package_of_other_size_fails),
        CASE(second_package_waits_for_the_first),
        CASE(cancelled_package_makes_room_for_the_next),
        CASE(package_comes_from_the_peer_that_the_coordinator_names),
        CASE(silent_peer_left_after_three_tries_insisting),
        CASE(peer_that_is_told_of_later_is_asked_then),
        CASE(peer_forgotten_while_it_has_nothing_new_is_left),
        CASE(insisting_goes_one_request_at_a_time),
        CASE(peer_that_fetches_too_is_asked_often_then_the_coordinator),
        CASE(peer_without_the_package_left_at_once),
        CASE(wrong_bytes_of_a_peer_come_again_from_the_coordinator),
        CASE(peer_change_in_the_middle_goes_on_where_the_store_is),
        CASE(package_without_room_fails_saying_so),
        CASE(size_of_a_wanted_package_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
