/* Room in the package cache, on a real folder. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/hex.h"
#include "relay/room.h"

#define PACKAGE_BYTES 1000U

struct place {
    char folder[64];
    struct package_store *store;
    uint8_t needed[8]; /* first bytes of digests in use */
    size_t needed_count;
    uint8_t gone[8]; /* first bytes of digests that were removed, in order */
    size_t gone_count;
    struct room room;
};

static bool in_use(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    const struct place *place = context;
    return memchr(place->needed, digest[0], place->needed_count) != NULL;
}

static void removed(void *context, const struct package_entry *entry)
{
    struct place *place = context;
    place->gone[place->gone_count++] = entry->digest[0];
}

/* A package, whole or not, used at this second. */
static void put(struct place *place, uint8_t first, time_t used_s, const char *suffix)
{
    uint8_t digest[LIMIT_DIGEST_BYTES] = {first};
    char hex[2 * LIMIT_DIGEST_BYTES + 1];
    char path[256];
    const struct timespec times[2] = {{used_s, 0}, {used_s, 0}};
    hex_encode(digest, sizeof digest, hex);
    (void)snprintf(path, sizeof path, "%s/%s%s", place->folder, hex, suffix);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, PACKAGE_BYTES), 0);
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    *state = place;
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-room-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    assert_int_equal(package_store_new(&place->store, place->folder, NULL), 0);
    place->room = (struct room){place->store, 3 * PACKAGE_BYTES, in_use, removed, place};
    put(place, 3, 3000, "");
    put(place, 1, 1000, "");
    put(place, 2, 2000, ".part");
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    package_store_free(place->store);
    (void)snprintf(command, sizeof command, "rm -rf %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void cache_with_room_keeps_everything(void **state)
{
    struct place *place = *state;
    place->room.cache_max = 4 * PACKAGE_BYTES;
    assert_int_equal(room_make(&place->room, PACKAGE_BYTES, NULL), 0);
    assert_int_equal(place->gone_count, 0);
}

static void longest_unused_goes_first(void **state)
{
    struct place *place = *state;
    assert_int_equal(room_make(&place->room, PACKAGE_BYTES, NULL), 0);
    assert_int_equal(place->gone_count, 1);
    assert_int_equal(place->gone[0], 1);
    assert_int_equal(room_make(&place->room, PACKAGE_BYTES + 1, NULL), 0);
    assert_int_equal(place->gone_count, 2);
    assert_int_equal(place->gone[1], 2);
}

static void use_makes_a_package_young(void **state)
{
    struct place *place = *state;
    uint8_t digest[LIMIT_DIGEST_BYTES] = {1};
    package_store_touch(place->store, digest);
    assert_int_equal(room_make(&place->room, PACKAGE_BYTES, NULL), 0);
    assert_int_equal(place->gone[0], 2);
}

static void package_in_use_never_goes(void **state)
{
    struct place *place = *state;
    place->needed[0] = 1;
    place->needed[1] = 2;
    place->needed_count = 2;
    assert_int_equal(room_make(&place->room, PACKAGE_BYTES, NULL), 0);
    assert_int_equal(place->gone_count, 1);
    assert_int_equal(place->gone[0], 3);
}

static void package_that_can_never_fit_removes_nothing(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    place->needed[0] = 1;
    place->needed_count = 1;
    assert_int_equal(room_make(&place->room, 2 * PACKAGE_BYTES + 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_string_equal(err.text, "the relay's package cache has no room for 2001 bytes: it may "
                                  "hold 3000 (--cache-max), and 1000 are in use");
    assert_int_equal(place->gone_count, 0);
}

static void package_larger_than_the_disk_fails_saying_so(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    place->room.cache_max = UINT64_MAX;
    assert_int_equal(room_make(&place->room, 1ULL << 60, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_non_null(strstr(err.text, "the relay's disk has no room for the package"));
    assert_int_equal(place->gone_count, 0);
}

static void files_of_others_are_not_ours(void **state)
{
    struct place *place = *state;
    struct package_entry *entries;
    size_t count;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/notes.txt", place->folder);
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
    (void)snprintf(path, sizeof path, "%s/%064d", place->folder, 9);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/%064d", place->folder, 8);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(package_store_list(place->store, &entries, &count, NULL), 0);
    assert_int_equal(count, 3);
    free(entries);
}

static void peek_reads_whole_and_part_but_never_less_than_asked(void **state)
{
    struct place *place = *state;
    uint8_t whole[LIMIT_DIGEST_BYTES] = {1};
    uint8_t part[LIMIT_DIGEST_BYTES] = {2};
    uint8_t none[LIMIT_DIGEST_BYTES] = {9};
    uint8_t bytes[PACKAGE_BYTES];
    struct err err = {0};
    size_t got = 0;
    assert_int_equal(package_store_peek(place->store, whole, 1, bytes, 999, &got, NULL), 0);
    assert_int_equal(got, 999);
    assert_int_equal(package_store_peek(place->store, part, 0, bytes, 1000, &got, NULL), 0);
    assert_int_equal(got, 1000);
    assert_int_equal(package_store_peek(place->store, part, 1, bytes, 1000, &got, NULL), 0);
    assert_int_equal(got, 0);
    assert_int_equal(package_store_peek(place->store, part, UINT64_MAX, bytes, 8, &got, NULL), 0);
    assert_int_equal(got, 0);
    assert_int_equal(package_store_peek(place->store, none, 0, bytes, 8, &got, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cache_with_room_keeps_everything),
        CASE(longest_unused_goes_first),
        CASE(use_makes_a_package_young),
        CASE(package_in_use_never_goes),
        CASE(package_that_can_never_fit_removes_nothing),
        CASE(package_larger_than_the_disk_fails_saying_so),
        CASE(files_of_others_are_not_ours),
        CASE(peek_reads_whole_and_part_but_never_less_than_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
