/* The coordinator's store: what every back end must do, tried on SQLite; and what SQLite's file
 * must survive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/store/store.h"
#include "tests/unit/reason_seen.h"

struct place {
    char folder[64];
    char path[96];
    struct store *store;
    struct err err;
};

static void open_store(struct place *place)
{
    if (store_open(&place->store, place->path, &place->err) != 0)
        fail_msg("%s", place->err.text);
}

static void reopen(struct place *place)
{
    store_close(place->store);
    place->store = NULL;
    open_store(place);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-store-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/store.db", place->folder);
    open_store(place);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".new", ".new-journal"};
    store_close(place->store);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", place->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}

#define OK(call) assert_int_equal((call), 0)

static const uint8_t digest_a[LIMIT_DIGEST_BYTES] = {0xaa};
static const uint8_t digest_b[LIMIT_DIGEST_BYTES] = {0xbb};
static const uint8_t some_key[LIMIT_KEY_BYTES] = {1, 2, 3};

static struct push_id id_of(uint8_t first, uint8_t second)
{
    struct push_id id = {{first, second}};
    return id;
}

static struct store_push push_of(struct push_id id, const uint8_t *digest, uint64_t created)
{
    static const uint8_t job[] = "signed job";
    static const uint8_t credential[] = "sealed credential";
    return (struct store_push){.push = id,
                               .generation = 1,
                               .package_name = "Tool.exe",
                               .package_bytes = 4096,
                               .package_digest = digest,
                               .not_after_unix_s = 5000,
                               .operator_key = some_key,
                               .account = "uid 1000",
                               .created_unix_ms = created,
                               .signed_job = job,
                               .signed_job_size = sizeof job,
                               .sealed_credential = credential,
                               .sealed_credential_size = sizeof credential};
}

/* Commits a push over targets PREFIX-0, PREFIX-1, ... */
static uint64_t make_with(struct place *place, const struct store_push *push, const char *prefix,
                          uint32_t count)
{
    uint64_t key = 0;
    uint16_t site = 9;
    OK(store_site(place->store, "local", &site, &place->err));
    OK(store_upload_begin(place->store, &push->push, count, &key, &place->err));
    for (uint32_t no = 0; no < count; no++) {
        char name[64];
        char *names[] = {name};
        (void)snprintf(name, sizeof name, "%s-%u", prefix, no);
        OK(store_upload_targets(place->store, key, site, no, names, 1, &place->err));
    }
    OK(store_push_commit(place->store, key, push, &place->err));
    OK(store_commit(place->store, &place->err));
    return key;
}

static uint64_t make_push(struct place *place, struct push_id id, const uint8_t *digest,
                          uint64_t created, const char *prefix, uint32_t count)
{
    struct store_push push = push_of(id, digest, created);
    return make_with(place, &push, prefix, count);
}

/* After some push with that package. */
static uint64_t make_cleanup(struct place *place, struct push_id id, const uint8_t *digest,
                             uint64_t created, const char *prefix, uint32_t count)
{
    struct store_push push = push_of(id, digest, created);
    push.action = JOB_CLEANUP;
    push.of_push = &push.push;
    return make_with(place, &push, prefix, count);
}

static struct outcome outcome_of(enum target_state state, enum stage stage, enum reason reason)
{
    struct outcome outcome = {.state = state,
                              .stage = stage,
                              .reason = reason,
                              .code_kind = CODE_NTSTATUS,
                              .code = 0xC0000022,
                              .detail = "hostile \x1b[31m \xff text",
                              .address = "10.0.0.7",
                              .name_check = NAME_MATCHED,
                              .tries = 2,
                              .bytes = UINT64_C(5) << 40,
                              .started_unix_ms = UINT64_C(1790000000123),
                              .elapsed_ms = 1234,
                              .stage_ms = {1, 2, 3, 4, 5, 6}};
    return outcome;
}

static struct push_summary summary_of(struct place *place, uint64_t key)
{
    struct push_summary summary;
    OK(store_summary(place->store, key, &summary, &place->err));
    return summary;
}

/* The numbers of all rows that fit, as text; room rows to a page. */
static const char *numbers(struct place *place, uint64_t key, const struct report_filter *filter,
                           uint32_t room)
{
    static char text[4096];
    struct report_row rows[64];
    struct store_page page = {.rows = rows, .row_max = room};
    text[0] = '\0';
    while (!page.end) {
        OK(store_report(place->store, key, filter, &page, &place->err));
        for (uint32_t i = 0; i < page.row_count; i++) {
            size_t used = strlen(text);
            (void)snprintf(text + used, sizeof text - used, "%u ", rows[i].target_no);
            free(rows[i].target);
        }
    }
    return text;
}

static const struct report_filter everything = {.stage = STAGE_COUNT};

/* ---- what every back end does ---- */

static void upload_uncommitted_is_invisible(void **state)
{
    struct place *place = *state;
    struct push_id id = id_of(1, 0);
    struct push_selector newest = {""};
    uint64_t key = 0;
    uint64_t found = 0;
    uint32_t count = 9;
    struct push_summary summary;
    char *names[] = {(char[]){"a"}, (char[]){"b"}};
    OK(store_upload_begin(place->store, &id, 2, &key, &place->err));
    OK(store_upload_targets(place->store, key, 0, 0, names, 2, &place->err));
    assert_int_equal(store_find_id(place->store, &id, &found, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(store_find(place->store, &newest, &found, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(store_summary(place->store, key, &summary, &place->err), -1);
    OK(store_list(place->store, &summary, 1, &count, &place->err));
    assert_int_equal(count, 0);
    OK(store_upload_drop(place->store, key, &place->err));
    OK(store_commit(place->store, &place->err));
}

static void upload_again_begins_anew(void **state)
{
    struct place *place = *state;
    struct push_id id = id_of(1, 0);
    uint64_t first = 0;
    char *names[] = {(char[]){"old-0"}, (char[]){"old-1"}};
    OK(store_upload_begin(place->store, &id, 2, &first, &place->err));
    OK(store_upload_targets(place->store, first, 0, 0, names, 2, &place->err));
    OK(store_commit(place->store, &place->err));
    uint64_t key = make_push(place, id, digest_a, 1, "new", 1);
    char *name = NULL;
    OK(store_target_name(place->store, key, 0, &name, &place->err));
    assert_string_equal(name, "new-0");
    free(name);
    assert_int_equal(store_target_name(place->store, key, 1, &name, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(store_upload_begin(place->store, &id, 1, &first, &place->err), -1);
    assert_int_equal(place->err.code, ERR_EXISTS);
}

static void committed_push_shows_all_it_was_given(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(0xab, 0xcd), digest_a, 77, "pc", 3);
    reopen(place);
    struct push_summary summary = summary_of(place, key);
    assert_int_equal(summary.push.bytes[1], 0xcd);
    assert_int_equal(summary.state, PUSH_OPEN);
    assert_int_equal(summary.generation, 1);
    assert_string_equal(summary.package_name, "Tool.exe");
    assert_int_equal(summary.package_bytes, 4096);
    assert_memory_equal(summary.package_digest, digest_a, LIMIT_DIGEST_BYTES);
    assert_int_equal(summary.created_unix_ms, 77);
    assert_int_equal(summary.closed_unix_ms, 0);
    assert_memory_equal(summary.operator_key, "0102030000", 10);
    assert_string_equal(summary.account, "uid 1000");
    assert_int_equal(summary.totals.by_state[TARGET_QUEUED], 3);
    assert_int_equal(totals_submitted(&summary.totals), 3);
    assert_string_equal(numbers(place, key, &everything, 2), "0 1 2 ");
    struct buf job;
    buf_init(&job, 1000);
    OK(store_push_blobs(place->store, key, &job, NULL, &place->err));
    assert_string_equal(buf_cstr(&job), "signed job");
    buf_release(&job);
}

static void outcome_is_kept_unchanged_and_counted(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 3);
    struct store_relay relay;
    uint16_t site = 9;
    OK(store_site(place->store, "local", &site, &place->err));
    OK(store_relay(place->store, some_key, site, &relay, &place->err));
    OK(store_relay_said(place->store, relay.relay, "lyon-1", digest_b, &place->err));
    struct outcome failed = outcome_of(TARGET_FAILED, STAGE_ACCESS, REASON_ACCESS_DENIED);
    OK(store_outcome(place->store, key, 1, relay.relay, &failed, &place->err));
    /* Seen at once, and after a commit and a restart. */
    assert_int_equal(summary_of(place, key).totals.by_state[TARGET_FAILED], 1);
    OK(store_commit(place->store, &place->err));
    reopen(place);
    struct push_summary summary = summary_of(place, key);
    assert_int_equal(summary.totals.by_state[TARGET_QUEUED], 2);
    assert_int_equal(summary.totals.by_state[TARGET_FAILED], 1);
    assert_int_equal(summary.totals.attempted, 1);

    struct report_row row;
    struct store_page page = {.next_no = 1, .rows = &row, .row_max = 1};
    OK(store_report(place->store, key, &everything, &page, &place->err));
    assert_int_equal(page.row_count, 1);
    assert_string_equal(row.target, "pc-1");
    assert_string_equal(row.site, "local");
    assert_string_equal(row.relay, "lyon-1");
    assert_int_equal(row.outcome.state, failed.state);
    assert_int_equal(row.outcome.stage, failed.stage);
    assert_int_equal(row.outcome.reason, failed.reason);
    assert_int_equal(row.outcome.code_kind, failed.code_kind);
    assert_int_equal(row.outcome.code, failed.code);
    assert_string_equal(row.outcome.detail, failed.detail);
    assert_string_equal(row.outcome.address, failed.address);
    assert_int_equal(row.outcome.name_check, failed.name_check);
    assert_int_equal(row.outcome.tries, failed.tries);
    assert_true(row.outcome.bytes == failed.bytes);
    assert_true(row.outcome.started_unix_ms == failed.started_unix_ms);
    assert_int_equal(row.outcome.elapsed_ms, failed.elapsed_ms);
    assert_memory_equal(row.outcome.stage_ms, failed.stage_ms, sizeof failed.stage_ms);
    assert_false(row.outcome.has_exit_code);
    free(row.target);
}

static void unknown_row_made_known_moves_the_totals(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 2);
    struct outcome lost = {.state = TARGET_UNKNOWN_EFFECT, .reason = REASON_RELAY_LOST};
    struct outcome known = outcome_of(TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
    known.has_exit_code = true;
    known.exit_code = 3010;
    OK(store_outcome(place->store, key, 0, STORE_RELAY_NONE, &lost, &place->err));
    OK(store_commit(place->store, &place->err));
    OK(store_outcome(place->store, key, 0, STORE_RELAY_NONE, &known, &place->err));
    OK(store_commit(place->store, &place->err));
    struct totals totals = summary_of(place, key).totals;
    assert_int_equal(totals.by_state[TARGET_UNKNOWN_EFFECT], 0);
    assert_int_equal(totals.by_state[TARGET_SUCCEEDED], 1);
    assert_int_equal(totals.by_state[TARGET_QUEUED], 1);
    assert_int_equal(totals.attempted, 1);
    assert_int_equal(totals.reboot, 1);
    assert_int_equal(store_outcome(place->store, key, 2, STORE_RELAY_NONE, &known, &place->err),
                     -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

static void report_filters_and_pages_in_order(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "PC", 20);
    for (uint32_t no = 0; no < 20; no++) {
        struct outcome outcome = outcome_of(TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
        if (no % 5 == 1)
            outcome = outcome_of(TARGET_FAILED, STAGE_COPY, REASON_DISK_FULL);
        if (no % 5 == 3)
            outcome = outcome_of(TARGET_UNREACHABLE, STAGE_PING, REASON_NO_REPLY);
        (void)snprintf(outcome.address, sizeof outcome.address, "10.0.0.%u", no);
        if (no != 19)
            OK(store_outcome(place->store, key, no, STORE_RELAY_NONE, &outcome, &place->err));
    }
    struct report_filter filter = everything;
    assert_string_equal(numbers(place, key, &filter, 7),
                        "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
    filter.failed_only = true;
    assert_string_equal(numbers(place, key, &filter, 3), "1 3 6 8 11 13 16 18 ");
    filter.stage = STAGE_COPY;
    assert_string_equal(numbers(place, key, &filter, 2), "1 6 11 16 ");
    filter = everything;
    filter.reason = REASON_NO_REPLY;
    assert_string_equal(numbers(place, key, &filter, 64), "3 8 13 18 ");
    filter = everything;
    (void)snprintf(filter.site, sizeof filter.site, "elsewhere");
    assert_string_equal(numbers(place, key, &filter, 64), "");
    filter = everything;
    (void)snprintf(filter.target, sizeof filter.target, "pc-7");
    assert_string_equal(numbers(place, key, &filter, 64), "7 ");
    (void)snprintf(filter.target, sizeof filter.target, "10.0.0.8");
    assert_string_equal(numbers(place, key, &filter, 64), "8 ");
}

static void parts_count_rows_by_site_and_relay(void **state)
{
    struct place *place = *state;
    uint16_t site = 0;
    struct store_relay relay;
    struct push_part *parts = NULL;
    uint32_t count = 9;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 9);
    OK(store_site(place->store, "local", &site, &place->err));
    OK(store_relay(place->store, digest_a, site, &relay, &place->err));
    OK(store_relay_said(place->store, relay.relay, "r2", some_key, &place->err));
    OK(store_relay(place->store, digest_b, site, &relay, &place->err));
    OK(store_relay_said(place->store, relay.relay, "r1", some_key, &place->err));
    for (uint32_t no = 0; no < 6; no++) {
        struct outcome outcome = outcome_of(TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
        outcome.has_exit_code = no % 2 == 0;
        outcome.exit_code = 3010;
        if (no == 5)
            outcome = outcome_of(TARGET_FAILED, STAGE_COPY, REASON_DISK_FULL);
        OK(store_outcome(place->store, key, no, no < 2 ? 0 : 1, &outcome, &place->err));
    }
    OK(store_parts(place->store, key, &parts, &count, &place->err));
    assert_int_equal(count, 3);
    static const char *const names[] = {"-", "r1", "r2"};
    static const uint32_t sums[] = {3, 4, 2};
    static const uint32_t reboots[] = {0, 2, 1};
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(parts[i].site, "local");
        assert_string_equal(parts[i].relay, names[i]);
        assert_int_equal(totals_submitted(&parts[i].totals), sums[i]);
        assert_int_equal(parts[i].totals.attempted, i == 0 ? 0 : sums[i]);
        assert_int_equal(parts[i].totals.reboot, reboots[i]);
    }
    assert_int_equal(parts[1].totals.by_state[TARGET_FAILED], 1);
    free(parts);
    OK(store_parts(place->store, key + 1, &parts, &count, &place->err));
    assert_int_equal(count, 0);
    free(parts);
}

static void put_output(struct place *place, uint64_t key, uint32_t no, size_t size)
{
    uint8_t *output = malloc(size);
    assert_non_null(output);
    memset(output, (int)('a' + no), size);
    OK(store_output(place->store, key, no, output, size, &place->err));
    free(output);
}

static void output_comes_with_a_report_of_its_target(void **state)
{
    struct place *place = *state;
    struct report_row rows[8];
    struct store_page page = {.rows = rows, .row_max = 8};
    struct report_filter filter = everything;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "PC", 3);
    struct outcome outcome = outcome_of(TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
    for (uint32_t no = 0; no < 3; no++) {
        OK(store_outcome(place->store, key, no, STORE_RELAY_NONE, &outcome, &place->err));
        put_output(place, key, no, LIMIT_OUTPUT_BYTES);
    }
    assert_int_equal(store_output(place->store, key, 0, some_key, 0, &place->err), -1);
    filter.output = true;
    OK(store_report(place->store, key, &filter, &page, &place->err)); /* names no target */
    assert_int_equal(page.row_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(rows[i].output);
        free(rows[i].target);
    }
    (void)snprintf(filter.target, sizeof filter.target, "10.0.0.7"); /* of all three */
    page.next_no = 0;
    OK(store_report(place->store, key, &filter, &page, &place->err));
    assert_int_equal(page.row_count, 2); /* more would make too large a message */
    assert_false(page.end);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rows[i].output_size, LIMIT_OUTPUT_BYTES);
        assert_int_equal(rows[i].output[0], 'a' + i);
        free(rows[i].output);
        free(rows[i].target);
    }
    OK(store_report(place->store, key, &filter, &page, &place->err));
    assert_int_equal(page.row_count, 1);
    assert_int_equal(rows[0].output[0], 'c');
    assert_true(page.end);
    free(rows[0].output);
    free(rows[0].target);
}

/* Many names of one address, each as long as a name may be. */
static void output_and_long_rows_share_a_message(void **state)
{
    struct place *place = *state;
    struct report_row rows[LIMIT_ROWS_PER_MESSAGE];
    struct store_page page = {.rows = rows, .row_max = LIMIT_ROWS_PER_MESSAGE};
    struct report_filter filter = everything;
    char prefix[60];
    size_t size = 0;
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, prefix, LIMIT_ROWS_PER_MESSAGE);
    struct outcome outcome = outcome_of(TARGET_FAILED, STAGE_SCHEDULE, REASON_EXIT_CODE);
    for (uint32_t no = 0; no < LIMIT_ROWS_PER_MESSAGE; no++)
        OK(store_outcome(place->store, key, no, STORE_RELAY_NONE, &outcome, &place->err));
    put_output(place, key, 0, LIMIT_OUTPUT_BYTES);
    put_output(place, key, 1, LIMIT_OUTPUT_BYTES);
    (void)snprintf(filter.target, sizeof filter.target, "%s", outcome.address);
    filter.output = true;
    OK(store_report(place->store, key, &filter, &page, &place->err));
    for (uint32_t i = 0; i < page.row_count; i++) {
        size += rows[i].output_size + LIMIT_TARGET_NAME_SIZE + 2U * LIMIT_SITE_NAME_SIZE +
                LIMIT_DETAIL_SIZE + LIMIT_ADDRESS_SIZE + 160U; /* numbers, and their tags */
        free(rows[i].output);
        free(rows[i].target);
    }
    assert_in_range(size, 2U * LIMIT_OUTPUT_BYTES, LIMIT_MESSAGE_BYTES_MAX);
    assert_false(page.end);
    assert_int_equal(page.next_no, page.row_count);
}

static uint32_t fail_stop_of(struct place *place, uint64_t key)
{
    struct store_recovery recovery;
    OK(store_recovery(place->store, key, &recovery, &place->err));
    free(recovery.leases);
    return recovery.fail_stop_count;
}

static void threshold_is_kept_unless_resume_brings_another(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 2);
    struct store_push push = push_of(id_of(1, 0), digest_a, 1);
    assert_int_equal(fail_stop_of(place, key), 0);
    push.fail_stop_count = 4;
    OK(store_push_resume(place->store, key, &push, &place->err));
    assert_int_equal(fail_stop_of(place, key), 4);
    push.fail_stop_count = 0;
    OK(store_push_resume(place->store, key, &push, &place->err));
    assert_int_equal(fail_stop_of(place, key), 4);
}

static void summary_says_what_the_push_is_for(void **state)
{
    struct place *place = *state;
    struct push_summary summary;
    struct push_id first = id_of(1, 0);
    uint64_t key = 0;
    uint16_t site = 0;
    struct push_id id = id_of(2, 0);
    char name[] = "PC";
    char *names[] = {name};
    struct store_push push = push_of(id, digest_a, 1);
    push.wait = true;
    push.action = JOB_CLEANUP;
    push.of_push = &first;
    push.run_as = RUN_AS_USER;
    push.fail_stop_count = 9;
    OK(store_site(place->store, "local", &site, &place->err));
    OK(store_upload_begin(place->store, &id, 1, &key, &place->err));
    OK(store_upload_targets(place->store, key, site, 0, names, 1, &place->err));
    OK(store_push_commit(place->store, key, &push, &place->err));
    OK(store_summary(place->store, key, &summary, &place->err));
    assert_int_equal(fail_stop_of(place, key), 9);
    assert_true(summary.wait);
    assert_int_equal(summary.action, JOB_CLEANUP);
    assert_true(push_id_equal(&summary.of_push, &first));
    assert_int_equal(summary.run_as, RUN_AS_USER);
}

static void push_is_found_by_prefix_or_as_the_newest(void **state)
{
    struct place *place = *state;
    uint64_t first = make_push(place, id_of(0x7f, 0x3a), digest_a, 100, "a", 1);
    uint64_t second = make_push(place, id_of(0x7f, 0x4b), digest_a, 300, "b", 1);
    uint64_t third = make_push(place, id_of(0xff, 0xff), digest_a, 200, "c", 1);
    struct push_selector selector = {""};
    uint64_t key = 0;
    OK(store_find(place->store, &selector, &key, &place->err));
    assert_true(key == second);
    selector = (struct push_selector){"7F3"};
    OK(store_find(place->store, &selector, &key, &place->err));
    assert_true(key == first);
    selector = (struct push_selector){"ffff0000000000000000000000000000"};
    OK(store_find(place->store, &selector, &key, &place->err));
    assert_true(key == third);
    selector = (struct push_selector){"7f"};
    assert_int_equal(store_find(place->store, &selector, &key, &place->err), -1);
    assert_int_equal(place->err.code, ERR_INVALID);
    selector = (struct push_selector){"0"};
    assert_int_equal(store_find(place->store, &selector, &key, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    selector = (struct push_selector){"%"};
    assert_int_equal(store_find(place->store, &selector, &key, &place->err), -1);
    assert_int_equal(place->err.code, ERR_INVALID);

    struct push_summary list[4];
    uint32_t count = 0;
    OK(store_list(place->store, list, 4, &count, &place->err));
    assert_int_equal(count, 3);
    assert_int_equal(list[0].push.bytes[1], 0x4b);
    assert_int_equal(list[1].push.bytes[1], 0xff);
    assert_int_equal(list[2].push.bytes[1], 0x3a);
    OK(store_list(place->store, list, 2, &count, &place->err));
    assert_int_equal(count, 2);
}

static void target_awaited_by_another_file_of_this_name_is_refused(void **state)
{
    struct place *place = *state;
    uint64_t old = make_push(place, id_of(1, 0), digest_a, 1, "PC", 2);
    struct outcome done = outcome_of(TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
    OK(store_outcome(place->store, old, 1, STORE_RELAY_NONE, &done, &place->err));
    uint64_t same = make_push(place, id_of(2, 0), digest_a, 1, "pc", 3);
    OK(store_push_refuse_in_use(place->store, same, &place->err));
    assert_int_equal(summary_of(place, same).totals.by_state[TARGET_FAILED], 0);
    OK(store_push_state(place->store, same, PUSH_CLOSED, 5, &place->err));

    uint64_t other = make_push(place, id_of(3, 0), digest_b, 1, "pc", 3);
    OK(store_push_refuse_in_use(place->store, other, &place->err));
    OK(store_commit(place->store, &place->err));
    struct report_filter filter = everything;
    filter.reason = REASON_PACKAGE_IN_USE;
    assert_string_equal(numbers(place, other, &filter, 64), "0 ");
    reason_seen(REASON_PACKAGE_IN_USE);
    struct totals totals = summary_of(place, other).totals;
    assert_int_equal(totals.by_state[TARGET_FAILED], 1);
    assert_int_equal(totals.by_state[TARGET_QUEUED], 2);
    assert_int_equal(totals.attempted, 0);
}

static uint32_t refused_of(struct place *place, uint64_t key)
{
    OK(store_push_refuse_in_use(place->store, key, &place->err));
    return summary_of(place, key).totals.by_state[TARGET_FAILED];
}

/* It removes the very file that a push brings, be it the same bytes. */
static void target_that_is_cleaned_up_and_pushed_to_is_refused(void **state)
{
    struct place *place = *state;
    uint64_t cleans = make_cleanup(place, id_of(1, 0), digest_a, 1, "PC", 2);
    struct outcome done = outcome_of(TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
    OK(store_outcome(place->store, cleans, 1, STORE_RELAY_NONE, &done, &place->err));
    uint64_t push = make_push(place, id_of(2, 0), digest_a, 1, "pc", 3);
    assert_int_equal(refused_of(place, push), 1);
    OK(store_push_state(place->store, cleans, PUSH_CLOSED, 5, &place->err));

    done.state = TARGET_SCHEDULED; /* the file is still to be run */
    OK(store_outcome(place->store, push, 1, STORE_RELAY_NONE, &done, &place->err));
    uint64_t later = make_cleanup(place, id_of(3, 0), digest_b, 1, "pc", 4);
    assert_int_equal(refused_of(place, later), 2);
    assert_int_equal(refused_of(place, make_cleanup(place, id_of(4, 0), digest_a, 1, "pc", 2)), 1);
}

static void close_drops_credential_and_resume_brings_new_job(void **state)
{
    struct place *place = *state;
    struct push_id id = id_of(1, 0);
    uint64_t key = make_push(place, id, digest_a, 1, "pc", 1);
    OK(store_push_state(place->store, key, PUSH_STOPPED, 0, &place->err));
    assert_int_equal(summary_of(place, key).state, PUSH_STOPPED);
    struct store_push again = push_of(id, digest_a, 999);
    again.signed_job = (const uint8_t *)"other";
    again.signed_job_size = 5;
    again.not_after_unix_s = 9000;
    OK(store_push_resume(place->store, key, &again, &place->err));
    struct push_summary summary = summary_of(place, key);
    assert_int_equal(summary.state, PUSH_OPEN);
    assert_int_equal(summary.created_unix_ms, 1);
    struct buf job;
    struct buf credential;
    buf_init(&job, 100);
    buf_init(&credential, 100);
    OK(store_push_blobs(place->store, key, &job, &credential, &place->err));
    assert_string_equal(buf_cstr(&job), "other");
    assert_int_equal(credential.size, sizeof "sealed credential");
    OK(store_push_state(place->store, key, PUSH_CLOSED, 55, &place->err));
    OK(store_push_state(place->store, key, PUSH_STOPPED, 66,
                        &place->err)); /* closed stays closed */
    summary = summary_of(place, key);
    assert_int_equal(summary.state, PUSH_CLOSED);
    assert_int_equal(summary.closed_unix_ms, 55);
    OK(store_push_resume(place->store, key, &again, &place->err));
    assert_int_equal(summary_of(place, key).state, PUSH_CLOSED);
    buf_reset(&credential);
    OK(store_push_blobs(place->store, key, NULL, &credential, &place->err));
    assert_int_equal(credential.size, 0);
    buf_release(&job);
    buf_release(&credential);
}

struct seen {
    uint32_t count;
    uint32_t terminal;
};

static int see(void *context, uint32_t target_no, const char *name, uint16_t site,
               enum target_state state)
{
    struct seen *seen = context;
    assert_int_equal(target_no, seen->count);
    assert_int_equal(strncmp(name, "pc-", 3), 0);
    assert_int_equal(site, 0);
    seen->count++;
    seen->terminal += target_state_terminal(state);
    return 0;
}

static void restart_finds_what_it_needs(void **state)
{
    struct place *place = *state;
    uint64_t open = make_push(place, id_of(1, 0), digest_a, 1, "pc", 5);
    uint64_t unknown = make_push(place, id_of(2, 0), digest_a, 1, "pc", 1);
    uint64_t closed = make_push(place, id_of(3, 0), digest_a, 1, "pc", 1);
    struct outcome lost = {.state = TARGET_UNKNOWN_EFFECT, .reason = REASON_RELAY_LOST};
    struct outcome done = outcome_of(TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
    OK(store_outcome(place->store, open, 2, STORE_RELAY_NONE, &done, &place->err));
    OK(store_outcome(place->store, unknown, 0, STORE_RELAY_NONE, &lost, &place->err));
    OK(store_outcome(place->store, closed, 0, STORE_RELAY_NONE, &done, &place->err));
    OK(store_push_state(place->store, unknown, PUSH_CLOSED, 5, &place->err));
    OK(store_push_state(place->store, closed, PUSH_CLOSED, 5, &place->err));
    const struct store_lease first = {3, 2, 1};
    const struct store_lease later = {3, 4, 2};
    OK(store_lease(place->store, open, &first, &place->err));
    OK(store_lease(place->store, open, &later, &place->err));
    OK(store_commit(place->store, &place->err));
    reopen(place);

    uint64_t keys[4];
    uint32_t count = 0;
    OK(store_push_keys(place->store, STORE_PUSHES_OPEN, keys, 4, &count, &place->err));
    assert_true(count == 1 && keys[0] == open);
    OK(store_push_keys(place->store, STORE_PUSHES_UNKNOWN, keys, 4, &count, &place->err));
    assert_true(count == 1 && keys[0] == unknown);
    OK(store_push_keys(place->store, STORE_PUSHES_CLOSED, keys, 4, &count, &place->err));
    assert_true(count == 1 && keys[0] == closed);
    struct store_recovery recovery;
    OK(store_recovery(place->store, open, &recovery, &place->err));
    assert_int_equal(recovery.not_after_unix_s, 5000);
    assert_int_equal(recovery.target_count, 5);
    assert_int_equal(recovery.lease_count, 1);
    assert_int_equal(recovery.leases[0].relay, 3);
    assert_int_equal(recovery.leases[0].mark, 4);
    assert_int_equal(recovery.leases[0].attempt_max, 2);
    free(recovery.leases);
    struct seen seen = {0};
    OK(store_target_each(place->store, open, see, &seen, &place->err));
    assert_int_equal(seen.count, 5);
    assert_int_equal(seen.terminal, 1);
}

static void relays_and_sites_keep_their_numbers(void **state)
{
    struct place *place = *state;
    uint16_t local = 9;
    uint16_t lyon = 9;
    uint16_t count = 0;
    struct store_relay relay;
    OK(store_site(place->store, "local", &local, &place->err));
    OK(store_site(place->store, "lyon", &lyon, &place->err));
    assert_int_equal(local, 0);
    assert_int_equal(lyon, 1);
    OK(store_relay(place->store, digest_a, lyon, &relay, &place->err));
    OK(store_relay(place->store, digest_b, local, &relay, &place->err));
    assert_int_equal(relay.relay, 1);
    OK(store_relay_epoch(place->store, 1, UINT64_C(1790000000000), &place->err));
    OK(store_relay_said(place->store, 1, "r1", some_key, &place->err));
    OK(store_commit(place->store, &place->err));
    reopen(place);
    OK(store_relay(place->store, digest_b, lyon, &relay, &place->err));
    assert_int_equal(relay.relay, 1);
    assert_int_equal(relay.site, 1);
    assert_string_equal(relay.site_name, "lyon");
    assert_string_equal(relay.name, "r1");
    assert_memory_equal(relay.seal_key, some_key, LIMIT_KEY_BYTES);
    assert_true(relay.epoch == UINT64_C(1790000000000));
    OK(store_relay_count(place->store, &count, &place->err));
    assert_int_equal(count, 2);
    assert_int_equal(store_relay_get(place->store, 7, &relay, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

static void writes_without_commit_are_gone_after_a_kill(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 2);
    store_close(place->store);
    place->store = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct outcome done = outcome_of(TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
        struct store *store = NULL;
        if (store_open(&store, place->path, NULL) != 0 ||
            store_outcome(store, key, 0, STORE_RELAY_NONE, &done, NULL) != 0 ||
            store_commit(store, NULL) != 0 ||
            store_outcome(store, key, 1, STORE_RELAY_NONE, &done, NULL) != 0)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status));
    open_store(place);
    struct totals totals = summary_of(place, key).totals;
    assert_int_equal(totals.by_state[TARGET_SCHEDULED], 1);
    assert_int_equal(totals.by_state[TARGET_QUEUED], 1);
}

/* ---- SQLite's file ---- */

static void expect_refused(struct place *place, const char *words)
{
    struct store *store = NULL;
    struct err err = {0};
    assert_int_equal(store_open(&store, place->path, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
}

static void overwrite(const char *path, off_t offset, const void *data, size_t size, int flags)
{
    int fd = open(path, O_WRONLY | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, offset), (ssize_t)size);
    assert_int_equal(close(fd), 0);
}

static void damaged_file_is_refused_and_left_alone(void **state)
{
    struct place *place = *state;
    (void)make_push(place, id_of(1, 0), digest_a, 1, "pc", 300);
    store_close(place->store);
    place->store = NULL;
    struct stat before;
    assert_int_equal(stat(place->path, &before), 0);
    char junk[5000];
    memset(junk, 0x5a, sizeof junk);
    overwrite(place->path, before.st_size - (off_t)sizeof junk, junk, sizeof junk, 0);
    expect_refused(place, "is damaged");
    overwrite(place->path, 0, "not a database at all", 21, 0);
    expect_refused(place, "is damaged");
    struct stat after;
    assert_int_equal(stat(place->path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(truncate(place->path, 0), 0);
    expect_refused(place, "it is empty");
}

static void lost_file_beside_its_wal_is_refused(void **state)
{
    struct place *place = *state;
    char wal[128];
    store_close(place->store);
    place->store = NULL;
    assert_int_equal(unlink(place->path), 0);
    (void)snprintf(wal, sizeof wal, "%s-wal", place->path);
    overwrite(wal, 0, "x", 1, O_CREAT);
    expect_refused(place, "-wal file");
}

static void newer_or_foreign_file_is_refused(void **state)
{
    struct place *place = *state;
    store_close(place->store);
    place->store = NULL;
    /* SQLite file format 1.3: user version at offset 60, application id at 68, big-endian. */
    overwrite(place->path, 60, "\0\0\0\x63", 4, 0);
    expect_refused(place, "newer version");
    overwrite(place->path, 68, "ABCD", 4, 0);
    expect_refused(place, "not pusher's");
}

/* What each version brought, taken away again: how files of older versions are made. */
#define UNDO_4                                                                                     \
    "DROP TABLE site_rule; DROP TABLE token; DROP TABLE policy; DROP TABLE site_credential;"       \
    "DROP TABLE push_credential; DROP TABLE package;"                                              \
    "ALTER TABLE site DROP COLUMN is_default; ALTER TABLE site DROP COLUMN described;ALTER TABLE " \
    "site DROP COLUMN wan_rate;"                                                                   \
    "ALTER TABLE relay DROP COLUMN standing; ALTER TABLE relay DROP COLUMN serial;"                \
    "ALTER TABLE relay DROP COLUMN certificate; ALTER TABLE relay DROP COLUMN until_s;"            \
    "ALTER TABLE push DROP COLUMN site; ALTER TABLE push DROP COLUMN policy_version;"              \
    "ALTER TABLE target DROP COLUMN generation; PRAGMA user_version = 3;"
#define UNDO_3 UNDO_4 "ALTER TABLE push DROP COLUMN fail_stop; PRAGMA user_version = 2;"
#define UNDO_2                                                                                     \
    UNDO_3 "DROP TABLE output; ALTER TABLE push DROP COLUMN wait;"                                 \
           "ALTER TABLE push DROP COLUMN action; ALTER TABLE push DROP COLUMN of_push;"            \
           "ALTER TABLE push DROP COLUMN run_as; PRAGMA user_version = 1;"

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    OK(sqlite3_open(path, &db));
    OK(sqlite3_exec(db, sql, NULL, NULL, NULL));
    OK(sqlite3_close(db));
}

/* Every column with its type, whether it may be NULL and its default, one a line. */
static void describe_schema(const char *path, char *text, size_t size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    size_t length = 0;
    OK(sqlite3_open(path, &db));
    OK(sqlite3_prepare_v2(db,
                          "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\""
                          " || ' ' || ifnull(c.dflt_value, '-') FROM sqlite_master t,"
                          " pragma_table_info(t.name) c WHERE t.type = 'table'"
                          " ORDER BY t.name, c.name",
                          -1, &row, NULL));
    text[0] = '\0';
    while (sqlite3_step(row) == SQLITE_ROW) {
        length += (size_t)snprintf(text + length, size - length, "%s\n",
                                   (const char *)sqlite3_column_text(row, 0));
        assert_true(length < size);
    }
    OK(sqlite3_finalize(row));
    OK(sqlite3_close(db));
}

static void store_of_any_older_schema_becomes_what_a_new_one_is(void **state)
{
    struct place *place = *state;
    static const char *const undo[] = {UNDO_4, UNDO_3, UNDO_2};
    static char fresh[16384];
    static char old[16384];
    static char migrated[16384];
    store_close(place->store);
    describe_schema(place->path, fresh, sizeof fresh);
    for (size_t i = 0; i < sizeof undo / sizeof *undo; i++) {
        run_sql(place->path, undo[i]);
        describe_schema(place->path, old, sizeof old);
        assert_string_not_equal(old, fresh);
        OK(store_open(&place->store, place->path, &place->err));
        store_close(place->store);
        describe_schema(place->path, migrated, sizeof migrated);
        assert_string_equal(migrated, fresh);
    }
    OK(store_open(&place->store, place->path, &place->err));
}

/* The file that the version before sites wrote: its relay goes on working. */
static void store_of_schema_3_is_migrated(void **state)
{
    struct place *place = *state;
    struct push_summary summary;
    sqlite3 *db = NULL;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "PC", 2);
    store_close(place->store);
    run_sql(place->path,
            UNDO_4 "INSERT INTO relay (key, site, name) SELECT x'01', no, 'old' FROM site;");
    for (int round = 0; round < 2; round++) { /* the second time nothing is to migrate */
        OK(store_open(&place->store, place->path, &place->err));
        OK(store_summary(place->store, key, &summary, &place->err));
        assert_int_equal(summary.policy_version, 0);
        assert_int_equal(summary.totals.by_state[TARGET_QUEUED], 2);
        store_close(place->store);
    }
    OK(sqlite3_open(place->path, &db));
    /* standing 1: RELAY_ACTIVE; generation 1: the only one that there was */
    assert_int_equal(RELAY_ACTIVE, 1);
    int seen = 0;
    sqlite3_stmt *row = NULL;
    OK(sqlite3_prepare_v2(db,
                          "SELECT (SELECT count(*) FROM relay WHERE standing = 1 AND serial = 0"
                          " AND certificate IS NULL) + (SELECT count(*) FROM target WHERE"
                          " generation = 1) + (SELECT count(*) FROM push WHERE site = '')",
                          -1, &row, NULL));
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    seen = sqlite3_column_int(row, 0);
    OK(sqlite3_finalize(row));
    OK(sqlite3_close(db));
    assert_int_equal(seen, 1 + 2 + 1);
    OK(store_open(&place->store, place->path, &place->err));
}

static void store_of_schema_1_is_migrated(void **state)
{
    struct place *place = *state;
    struct push_summary summary;
    static const uint8_t said[] = {'h', 'i'};
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "PC", 2);
    store_close(place->store);
    run_sql(place->path, UNDO_2);
    for (int round = 0; round < 2; round++) { /* the second time there is nothing to migrate */
        OK(store_open(&place->store, place->path, &place->err));
        OK(store_summary(place->store, key, &summary, &place->err));
        assert_false(summary.wait);
        assert_int_equal(summary.action, JOB_PUSH);
        assert_int_equal(summary.totals.by_state[TARGET_QUEUED], 2);
        OK(store_output(place->store, key, 1, said, sizeof said, &place->err));
        OK(store_commit(place->store, &place->err));
        store_close(place->store);
    }
    OK(store_open(&place->store, place->path, &place->err));
}

/* The file that the version before failure thresholds wrote. */
static void store_of_schema_2_is_migrated(void **state)
{
    struct place *place = *state;
    struct store_push push = push_of(id_of(1, 0), digest_a, 1);
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "PC", 2);
    store_close(place->store);
    run_sql(place->path, UNDO_3);
    push.fail_stop_count = 7;
    for (uint32_t round = 0; round < 2; round++) { /* the second time nothing is to migrate */
        OK(store_open(&place->store, place->path, &place->err));
        assert_int_equal(fail_stop_of(place, key), round * 7);
        OK(store_push_resume(place->store, key, &push, &place->err));
        OK(store_commit(place->store, &place->err));
        store_close(place->store);
    }
    OK(store_open(&place->store, place->path, &place->err));
}

static void missing_folder_and_second_opener_are_errors(void **state)
{
    struct place *place = *state;
    struct store *store = NULL;
    struct err err = {0};
    assert_int_equal(store_open(&store, "/nonexistent/folder/store.db", &err), -1);
    assert_int_equal(err.code, ERR_IO);
    pid_t child = fork(); /* SQLite's locks are between processes */
    assert_true(child >= 0);
    if (child == 0)
        _exit(store_open(&store, place->path, &err) == -1 && strstr(err.text, "another process")
                  ? 0
                  : 1);
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void file_is_for_its_owner_only(void **state)
{
    struct place *place = *state;
    struct stat stat_of;
    assert_int_equal(stat(place->path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
}

/* A file that may not grow stands for a full disk. */
static void failed_write_ends_the_store_and_keeps_what_was_committed(void **state)
{
    struct place *place = *state;
    uint64_t key = make_push(place, id_of(1, 0), digest_a, 1, "pc", 2);
    store_close(place->store);
    place->store = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = NULL;
        struct err err = {0};
        struct rlimit limit = {65536, 65536};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (store_open(&store, place->path, &err) != 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        struct push_id id = id_of(9, 9);
        uint64_t upload = 0;
        char *names[] = {(char[]){"a-target-with-a-long-name.example.com"}};
        int result = store_upload_begin(store, &id, 100000, &upload, &err);
        for (uint32_t no = 0; result == 0 && no < 100000; no++)
            result = store_upload_targets(store, upload, 0, no, names, 1, &err);
        if (result == 0)
            result = store_commit(store, &err);
        uint32_t count = 0;
        bool refused = store_push_keys(store, STORE_PUSHES_OPEN, &upload, 1, &count, NULL) == -1;
        _exit(result == -1 && refused && err.text[0] != '\0' ? 0 : 2);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    open_store(place);
    OK(store_upload_sweep(place->store, &place->err));
    assert_int_equal(summary_of(place, key).totals.by_state[TARGET_QUEUED], 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(upload_uncommitted_is_invisible),
        TEST(upload_again_begins_anew),
        TEST(committed_push_shows_all_it_was_given),
        TEST(outcome_is_kept_unchanged_and_counted),
        TEST(unknown_row_made_known_moves_the_totals),
        TEST(report_filters_and_pages_in_order),
        TEST(parts_count_rows_by_site_and_relay),
        TEST(output_comes_with_a_report_of_its_target),
        TEST(output_and_long_rows_share_a_message),
        TEST(threshold_is_kept_unless_resume_brings_another),
        TEST(summary_says_what_the_push_is_for),
        TEST(push_is_found_by_prefix_or_as_the_newest),
        TEST(target_awaited_by_another_file_of_this_name_is_refused),
        TEST(target_that_is_cleaned_up_and_pushed_to_is_refused),
        TEST(close_drops_credential_and_resume_brings_new_job),
        TEST(restart_finds_what_it_needs),
        TEST(relays_and_sites_keep_their_numbers),
        TEST(writes_without_commit_are_gone_after_a_kill),
        TEST(damaged_file_is_refused_and_left_alone),
        TEST(lost_file_beside_its_wal_is_refused),
        TEST(newer_or_foreign_file_is_refused),
        TEST(store_of_schema_1_is_migrated),
        TEST(store_of_schema_2_is_migrated),
        TEST(store_of_schema_3_is_migrated),
        TEST(store_of_any_older_schema_becomes_what_a_new_one_is),
        TEST(missing_folder_and_second_opener_are_errors),
        TEST(file_is_for_its_owner_only),
        TEST(failed_write_ends_the_store_and_keeps_what_was_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
