/* A disk that fails a sync, under the coordinator's store and the relay's journal: whoever writes
 * is told, and nobody syncs the same file once more, not even to close it. The second sync of bytes
 * that the kernel has given up says that all is well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coordinator/store/store.h"
#include "relay/spool.h"

#define ROUNDS_MAX 200U /* of 64 KiB each: several checkpoints */
#define BODY_BYTES 65536U

static const char *failing; /* end of the name of the file whose next sync fails; NULL: none */
static uint32_t sync_count;

static int sync_file(int fd, long number)
{
    char link[64];
    char path[256];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path);
    sync_count++;
    if (failing != NULL && size > (ssize_t)strlen(failing) &&
        memcmp(path + size - strlen(failing), failing, strlen(failing)) == 0) {
        failing = NULL;
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, fd);
}

/* Found before the C library's by everything in this process, SQLite included. */
int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

struct place {
    char folder[64];
    char path[96];
    struct store *store;
    struct spool *spool;
    struct err err;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-sync-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/file.db", place->folder);
    failing = NULL;
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    static const char *const ends[] = {"", "-wal"};
    store_close(place->store);
    spool_close(place->spool);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", place->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}

/* A new policy, durable. */
static int write_store(struct place *place, uint64_t version)
{
    static const uint8_t body[BODY_BYTES] = {1};
    return store_policy_put(place->store, version, body, sizeof body, &place->err) != 0 ||
                   store_commit(place->store, &place->err) != 0
               ? -1
               : 0;
}

static void store_fails_in(struct place *place, const char *file)
{
    uint64_t version = 1;
    assert_int_equal(store_open(&place->store, place->path, &place->err), 0);
    assert_int_equal(write_store(place, version), 0);
    failing = file;
    while (version < ROUNDS_MAX && write_store(place, version + 1) == 0)
        version++;
    assert_true(version < ROUNDS_MAX); /* it was told */
    assert_true(store_failed(place->store));
    uint32_t before = sync_count;
    store_close(place->store);
    place->store = NULL;
    assert_int_equal(sync_count, before);

    uint64_t newest = 0;
    assert_int_equal(store_open(&place->store, place->path, &place->err), 0);
    assert_int_equal(store_policy_newest(place->store, &newest, &place->err), 0);
    assert_true(newest >= version);
}

static void store_whose_commit_is_not_synced_ends(void **state)
{
    store_fails_in(*state, "-wal");
}

static void store_whose_checkpoint_is_not_synced_ends(void **state)
{
    store_fails_in(*state, ".db");
}

static int write_journal(struct place *place, uint32_t target_no)
{
    static const uint8_t body[BODY_BYTES] = {1};
    const struct agent_ref ref = {
        .push = {{1}}, .generation = 1, .target_no = target_no, .attempt = 1};
    return spool_put_output(place->spool, &ref, body, sizeof body, &place->err) != 0 ||
                   spool_commit(place->spool, &place->err) != 0
               ? -1
               : 0;
}

static void journal_fails_in(struct place *place, const char *file)
{
    uint32_t count = 1;
    assert_int_equal(spool_open(&place->spool, place->path, &place->err), 0);
    assert_int_equal(write_journal(place, count), 0);
    failing = file;
    while (count < ROUNDS_MAX && write_journal(place, count + 1) == 0)
        count++;
    assert_true(count < ROUNDS_MAX);
    uint32_t before = sync_count;
    spool_close(place->spool);
    place->spool = NULL;
    assert_int_equal(sync_count, before);

    const struct agent_ref last = {
        .push = {{1}}, .generation = 1, .target_no = count, .attempt = 1};
    uint8_t *body = NULL;
    size_t size = 0;
    assert_int_equal(spool_open(&place->spool, place->path, &place->err), 0);
    assert_int_equal(spool_get_output(place->spool, &last, &body, &size, &place->err), 0);
    assert_int_equal(size, BODY_BYTES);
    free(body);
}

static void journal_whose_commit_is_not_synced_ends(void **state)
{
    journal_fails_in(*state, "-wal");
}

static void journal_whose_checkpoint_is_not_synced_ends(void **state)
{
    journal_fails_in(*state, ".db");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(store_whose_commit_is_not_synced_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(store_whose_checkpoint_is_not_synced_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(journal_whose_commit_is_not_synced_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(journal_whose_checkpoint_is_not_synced_ends, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
