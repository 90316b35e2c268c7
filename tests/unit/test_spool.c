/* The relay's journal on real SQLite in a folder of its own; a crash is a close without commit. */
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
#include <sqlite3.h>

#include "relay/spool.h"

struct place {
    char folder[64];
    char path[96];
    struct spool *spool;
};

static void reopen(struct place *place)
{
    struct err err = {0};
    spool_close(place->spool);
    place->spool = NULL;
    if (spool_open(&place->spool, place->path, &err) != 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-spool-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/journal.db", place->folder);
    *state = place;
    reopen(place);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    static const char *const tails[] = {"", "-wal", "-shm", "-journal", ".new"};
    spool_close(place->spool);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", place->path, tails[i]);
        (void)unlink(path);
    }
    (void)rmdir(place->folder);
    free(place);
    return 0;
}

static struct agent_ref ref_of(uint32_t target_no, uint32_t attempt)
{
    return (struct agent_ref){
        .push = {{1, 2, 3}}, .generation = 1, .target_no = target_no, .attempt = attempt};
}

static struct outcome outcome_of(const char *detail)
{
    struct outcome outcome = {
        .state = TARGET_FAILED, .stage = STAGE_COPY, .reason = REASON_DISK_FULL, .tries = 2};
    (void)snprintf(outcome.detail, sizeof outcome.detail, "%s", detail);
    return outcome;
}

struct seen {
    uint32_t intents, outcomes, acked, output_size;
    struct agent_ref last_intent, last_outcome;
};

static void see_intent(void *context, const struct agent_ref *ref)
{
    struct seen *seen = context;
    seen->intents++;
    seen->last_intent = *ref;
}

static void see_outcome(void *context, const struct agent_ref *ref, bool acked,
                        uint32_t output_size)
{
    struct seen *seen = context;
    seen->outcomes++;
    seen->acked += acked;
    seen->output_size += output_size;
    seen->last_outcome = *ref;
}

static struct seen look(struct place *place)
{
    struct seen seen = {0};
    struct spool_visitor visitor = {see_intent, see_outcome, &seen};
    assert_int_equal(spool_visit(place->spool, &visitor, NULL), 0);
    return seen;
}

static void put_intent(struct place *place, uint32_t target_no)
{
    struct agent_ref ref = ref_of(target_no, 1);
    assert_int_equal(spool_put_intent(place->spool, &ref, NULL), 0);
}

static void put_outcome(struct place *place, uint32_t target_no, const char *detail)
{
    struct agent_ref ref = ref_of(target_no, 1);
    struct outcome outcome = outcome_of(detail);
    assert_int_equal(spool_put_outcome(place->spool, &ref, &outcome, NULL), 0);
}

static void commit(struct place *place)
{
    assert_int_equal(spool_commit(place->spool, NULL), 0);
}

static void new_journal_is_private(void **state)
{
    struct place *place = *state;
    struct stat info;
    assert_int_equal(stat(place->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void commit_then_crash_kept(void **state)
{
    struct place *place = *state;
    put_intent(place, 3);
    put_intent(place, 4);
    put_outcome(place, 4, "no room");
    commit(place);
    reopen(place);
    struct seen seen = look(place);
    assert_int_equal(seen.intents, 1);
    assert_int_equal(seen.last_intent.target_no, 3);
    assert_int_equal(seen.outcomes, 1);
    assert_int_equal(seen.last_outcome.target_no, 4);
    assert_int_equal(seen.acked, 0);
}

static void crash_without_commit_loses_the_batch_only(void **state)
{
    struct place *place = *state;
    put_intent(place, 1);
    commit(place);
    put_intent(place, 2);
    put_outcome(place, 1, "lost");
    reopen(place);
    struct seen seen = look(place);
    assert_int_equal(seen.intents, 1);
    assert_int_equal(seen.last_intent.target_no, 1);
    assert_int_equal(seen.outcomes, 0);
}

static void outcome_comes_back_unchanged(void **state)
{
    struct place *place = *state;
    put_outcome(place, 9, "no room on C: \x1b[31m");
    struct agent_ref ref = ref_of(9, 1);
    struct outcome outcome = {0};
    assert_int_equal(spool_get_outcome(place->spool, &ref, &outcome, NULL), 0);
    commit(place);
    reopen(place);
    assert_int_equal(spool_get_outcome(place->spool, &ref, &outcome, NULL), 0);
    assert_string_equal(outcome.detail, "no room on C: \x1b[31m");
    assert_int_equal(outcome.state, TARGET_FAILED);
    assert_int_equal(outcome.reason, REASON_DISK_FULL);
    assert_int_equal(outcome.tries, 2);
}

static void outcome_missing_not_found(void **state)
{
    struct place *place = *state;
    struct agent_ref ref = ref_of(1, 1);
    struct outcome outcome;
    struct err err = {0};
    assert_int_equal(spool_get_outcome(place->spool, &ref, &outcome, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void ack_of_older_attempt_changes_nothing(void **state)
{
    struct place *place = *state;
    put_outcome(place, 1, "x");
    struct agent_ref first = ref_of(1, 1);
    struct agent_ref second = ref_of(1, 2);
    assert_int_equal(spool_set_acked(place->spool, &first, NULL), 0);
    assert_int_equal(look(place).acked, 1);
    assert_int_equal(spool_renew(place->spool, &second, NULL), 0);
    assert_int_equal(look(place).acked, 0);
    assert_int_equal(look(place).last_outcome.attempt, 2);
    assert_int_equal(spool_set_acked(place->spool, &first, NULL), 0);
    assert_int_equal(look(place).acked, 0);
    assert_int_equal(spool_set_acked(place->spool, &second, NULL), 0);
    assert_int_equal(look(place).acked, 1);
}

static void output_kept_until_acknowledged(void **state)
{
    struct place *place = *state;
    static const uint8_t said[] = {'o', 'k', 0, 0xff};
    struct agent_ref ref = ref_of(1, 1);
    struct agent_ref later = ref_of(1, 2);
    uint8_t *output = NULL;
    size_t size = 0;
    assert_int_equal(spool_put_output(place->spool, &ref, said, sizeof said, NULL), 0);
    put_outcome(place, 1, "x");
    put_outcome(place, 2, "printed nothing");
    assert_int_equal(spool_commit(place->spool, NULL), 0);
    reopen(place);
    assert_int_equal(look(place).output_size, sizeof said);
    assert_int_equal(spool_get_output(place->spool, &ref, &output, &size, NULL), 0);
    assert_int_equal(size, sizeof said);
    assert_memory_equal(output, said, sizeof said);
    free(output);
    assert_int_equal(spool_renew(place->spool, &later, NULL), 0);
    assert_int_equal(spool_set_acked(place->spool, &ref, NULL), 0); /* of the older attempt */
    assert_int_equal(look(place).output_size, sizeof said);
    assert_int_equal(spool_set_acked(place->spool, &later, NULL), 0);
    assert_int_equal(look(place).output_size, 0);
    assert_int_equal(spool_get_output(place->spool, &ref, &output, &size, NULL), 0);
    assert_null(output);
    assert_int_equal(spool_put_output(place->spool, &ref, said, 0, NULL), -1);
}

static void take_back(struct place *place, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(spool_commit(place->spool, NULL), 0);
    spool_close(place->spool);
    place->spool = NULL;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The journals that the versions before waiting, and before sites, wrote. */
static void journal_of_format_1_is_migrated(void **state)
{
    struct place *place = *state;
    put_outcome(place, 1, "x");
    take_back(place, "DROP TABLE output; DROP TABLE site_credential; PRAGMA user_version = 1;");
    for (int round = 0; round < 2; round++) {
        reopen(place);
        assert_int_equal(look(place).outcomes, 1);
        assert_int_equal(spool_put_site_counter(place->spool, "lyon", 1, NULL), 0);
    }
}

static void journal_of_format_2_is_migrated(void **state)
{
    struct place *place = *state;
    put_outcome(place, 1, "x");
    take_back(place, "DROP TABLE site_credential; PRAGMA user_version = 2;");
    for (int round = 0; round < 2; round++) {
        reopen(place);
        assert_int_equal(look(place).outcomes, 1);
        assert_int_equal(spool_put_site_counter(place->spool, "lyon", 1, NULL), 0);
    }
}

static void journal_of_a_newer_program_refused(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    take_back(place, "PRAGMA user_version = 99;");
    assert_int_equal(spool_open(&place->spool, place->path, &err), -1);
    assert_non_null(strstr(err.text, "format 99"));
    place->spool = NULL;
}

static void site_counter_is_kept_per_site(void **state)
{
    struct place *place = *state;
    uint64_t counter = 7;
    assert_int_equal(spool_get_site_counter(place->spool, "lyon", &counter, NULL), 0);
    assert_int_equal(counter, 0);
    assert_int_equal(spool_put_site_counter(place->spool, "lyon", UINT64_MAX, NULL), 0);
    assert_int_equal(spool_put_site_counter(place->spool, "paris", 3, NULL), 0);
    commit(place);
    reopen(place);
    assert_int_equal(spool_get_site_counter(place->spool, "lyon", &counter, NULL), 0);
    assert_true(counter == UINT64_MAX);
    assert_int_equal(spool_get_site_counter(place->spool, "paris", &counter, NULL), 0);
    assert_int_equal(counter, 3);
}

static void newest_generation_is_remembered(void **state)
{
    struct place *place = *state;
    struct agent_ref ref = ref_of(0, 1);
    uint32_t generation = 9;
    assert_int_equal(spool_newest_generation(place->spool, &ref.push, &generation, NULL), 0);
    assert_int_equal(generation, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        struct spool_job job = {ref.push, i, i, 5000, false};
        assert_int_equal(spool_put_job(place->spool, &job, NULL), 0);
    }
    struct spool_job other = {.push = {{1}}, .generation = 8, .counter = 1};
    assert_int_equal(spool_put_job(place->spool, &other, NULL), 0);
    assert_int_equal(spool_newest_generation(place->spool, &ref.push, &generation, NULL), 0);
    assert_int_equal(generation, 3);
}

static void forget_leaves_the_closed_job(void **state)
{
    struct place *place = *state;
    struct agent_ref ref = ref_of(0, 1);
    struct spool_job job = {ref.push, 1, UINT64_MAX - 1, 5000, false};
    bool found = false;
    put_intent(place, 1);
    put_outcome(place, 2, "x");
    assert_int_equal(spool_put_job(place->spool, &job, NULL), 0);
    assert_int_equal(spool_forget(place->spool, &ref.push, 1, NULL), 0);
    commit(place);
    reopen(place);
    assert_int_equal(look(place).intents + look(place).outcomes, 0);
    job.counter = 0;
    assert_int_equal(spool_get_job(place->spool, &job, &found, NULL), 0);
    assert_true(found);
    assert_true(job.closed);
    assert_true(job.counter == UINT64_MAX - 1);
    assert_int_equal(spool_prune(place->spool, 5000, NULL), 0);
    assert_int_equal(spool_get_job(place->spool, &job, &found, NULL), 0);
    assert_true(found);
    assert_int_equal(spool_prune(place->spool, 5001, NULL), 0);
    assert_int_equal(spool_get_job(place->spool, &job, &found, NULL), 0);
    assert_false(found);
}

/* CLOSE of one generation says nothing of the next. */
static void forget_leaves_other_generations(void **state)
{
    struct place *place = *state;
    struct agent_ref next = ref_of(2, 1);
    struct outcome outcome = outcome_of("x");
    put_intent(place, 1);
    put_outcome(place, 2, "x");
    next.generation = 2;
    assert_int_equal(spool_put_outcome(place->spool, &next, &outcome, NULL), 0);
    next.target_no = 1;
    assert_int_equal(spool_put_intent(place->spool, &next, NULL), 0);
    assert_int_equal(spool_forget(place->spool, &next.push, 1, NULL), 0);
    struct seen seen = look(place);
    assert_int_equal(seen.intents, 1);
    assert_int_equal(seen.last_intent.generation, 2);
    assert_int_equal(seen.outcomes, 1);
    assert_int_equal(seen.last_outcome.generation, 2);
}

/* Else an old copy of it would be new. 30 days on nobody will close it any more. */
static void prune_leaves_a_job_that_nobody_closed(void **state)
{
    struct place *place = *state;
    const int64_t month_s = INT64_C(30) * 24 * 3600;
    struct spool_job job = {{{1, 2, 3}}, 1, 7, 5000, false};
    bool found = false;
    assert_int_equal(spool_put_job(place->spool, &job, NULL), 0);
    assert_int_equal(spool_prune(place->spool, 5000 + month_s, NULL), 0);
    assert_int_equal(spool_get_job(place->spool, &job, &found, NULL), 0);
    assert_true(found);
    assert_int_equal(spool_prune(place->spool, 5001 + month_s, NULL), 0);
    assert_int_equal(spool_get_job(place->spool, &job, &found, NULL), 0);
    assert_false(found);
}

static void expect_refused(struct place *place, enum err_code code, const char *text)
{
    struct spool *spool = NULL;
    struct err err = {0};
    assert_int_equal(spool_open(&spool, place->path, &err), -1);
    assert_null(spool);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("no \"%s\" in: %s", text, err.text);
}

static void second_opener_refused(void **state)
{
    struct place *place = *state;
    put_intent(place, 1);
    commit(place);
    expect_refused(place, ERR_EXISTS, "another pusher-relay");
}

/* Overwrites part of the closed journal. */
static void overwrite(struct place *place, long offset, size_t size, int byte)
{
    FILE *file = fopen(place->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    for (size_t i = 0; i < size; i++)
        (void)fputc(byte, file);
    assert_int_equal(fclose(file), 0);
}

static void damaged_page_refused_and_kept(void **state)
{
    struct place *place = *state;
    for (uint32_t i = 0; i < 500; i++)
        put_outcome(place, i, "something to fill pages with");
    commit(place);
    spool_close(place->spool);
    place->spool = NULL;
    overwrite(place, 8192, 4096, 0x5a);
    struct stat before, after;
    assert_int_equal(stat(place->path, &before), 0);
    expect_refused(place, ERR_INVALID, "move it away");
    assert_int_equal(stat(place->path, &after), 0);
    assert_true(before.st_size == after.st_size);
}

static void damaged_header_refused(void **state)
{
    struct place *place = *state;
    spool_close(place->spool);
    place->spool = NULL;
    overwrite(place, 0, 16, 'x');
    expect_refused(place, ERR_INVALID, "damaged");
}

static void empty_file_refused(void **state)
{
    struct place *place = *state;
    spool_close(place->spool);
    place->spool = NULL;
    assert_int_equal(truncate(place->path, 0), 0);
    expect_refused(place, ERR_INVALID, "no journal");
}

static void other_mode_refused(void **state)
{
    struct place *place = *state;
    spool_close(place->spool);
    place->spool = NULL;
    assert_int_equal(chmod(place->path, 0640), 0);
    expect_refused(place, ERR_DENIED, "0600");
}

static void folder_missing_refused(void **state)
{
    (void)state;
    struct spool *spool = NULL;
    struct err err = {0};
    assert_int_equal(spool_open(&spool, "/nonexistent/folder/journal.db", &err), -1);
    assert_int_equal(err.code, ERR_IO);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(new_journal_is_private),
        CASE(commit_then_crash_kept),
        CASE(crash_without_commit_loses_the_batch_only),
        CASE(outcome_comes_back_unchanged),
        CASE(outcome_missing_not_found),
        CASE(ack_of_older_attempt_changes_nothing),
        CASE(output_kept_until_acknowledged),
        CASE(journal_of_format_1_is_migrated),
        CASE(journal_of_format_2_is_migrated),
        CASE(journal_of_a_newer_program_refused),
        CASE(site_counter_is_kept_per_site),
        CASE(newest_generation_is_remembered),
        CASE(forget_leaves_the_closed_job),
        CASE(forget_leaves_other_generations),
        CASE(prune_leaves_a_job_that_nobody_closed),
        CASE(second_opener_refused),
        CASE(damaged_page_refused_and_kept),
        CASE(damaged_header_refused),
        CASE(empty_file_refused),
        CASE(other_mode_refused),
        CASE(folder_missing_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
