/* The coordinator's store: a push that is tried once more, and failures that count late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_place.h"

static const uint8_t digest[LIMIT_DIGEST_BYTES] = {0xaa};
static const uint8_t some_key[LIMIT_KEY_BYTES] = {1, 2, 3};
static const char ending[] = " (doubted)";

static struct store_push push_of(uint32_t generation, const char *job)
{
    return (struct store_push){.push = {{7}},
                               .generation = generation,
                               .package_name = "setup.exe",
                               .package_bytes = 100,
                               .package_digest = digest,
                               .not_after_unix_s = 5000 + generation,
                               .operator_key = some_key,
                               .account = "uid 1000",
                               .created_unix_ms = 1,
                               .signed_job = (const uint8_t *)job,
                               .signed_job_size = strlen(job),
                               .sealed_credential = (const uint8_t *)"secret",
                               .sealed_credential_size = 6};
}

static void end(struct store_place *place, uint64_t key, uint32_t no, enum target_state state,
                enum reason reason, const char *detail)
{
    struct outcome outcome = {.state = state, .stage = STAGE_PING, .reason = reason};
    (void)snprintf(outcome.detail, sizeof outcome.detail, "%s", detail);
    outcome.started_unix_ms = 5;
    OK(store_outcome(place->store, key, no, 0, &outcome, failed));
}

/* Five targets: scheduled, failed, unreachable, unknown, scheduled with a reboot; closed. */
static uint64_t closed_push(struct store_place *place)
{
    char name[] = "pc-0";
    char *names[] = {name};
    struct store_push push = push_of(1, "job 1");
    uint16_t site = 0;
    uint64_t key = 0;
    OK(store_site(place->store, "local", &site, failed));
    OK(store_upload_begin(place->store, &push.push, 5, &key, failed));
    for (uint32_t no = 0; no < 5; no++) {
        name[3] = (char)('0' + no);
        OK(store_upload_targets(place->store, key, site, no, names, 1, failed));
    }
    OK(store_push_commit(place->store, key, &push, failed));
    end(place, key, 0, TARGET_SCHEDULED, REASON_NONE, "");
    end(place, key, 1, TARGET_FAILED, REASON_DISK_FULL, "full");
    end(place, key, 2, TARGET_UNREACHABLE, REASON_NO_REPLY, "silent");
    end(place, key, 3, TARGET_UNKNOWN_EFFECT, REASON_NO_REPLY, "silent (doubted)");
    struct outcome reboot = {.state = TARGET_SUCCEEDED, .has_exit_code = true, .exit_code = 3010};
    OK(store_outcome(place->store, key, 4, 0, &reboot, failed));
    OK(store_output(place->store, key, 1, (const uint8_t *)"said", 4, failed));
    const struct store_lease lease = {0, 5, 3};
    OK(store_lease(place->store, key, &lease, failed));
    OK(store_push_state(place->store, key, PUSH_CLOSED, 77, failed));
    OK(store_commit(place->store, failed));
    return key;
}

static int note_doubted(void *context, uint32_t target_no, enum target_state counts_as)
{
    char *text = context;
    size_t used = strlen(text);
    (void)snprintf(text + used, 32 - used, "%u %s ", target_no, target_state_word(counts_as));
    return 0;
}

static int note_number(void *context, uint32_t target_no)
{
    char *text = context;
    size_t used = strlen(text);
    (void)snprintf(text + used, 32 - used, "%u ", target_no);
    return 0;
}

static struct push_summary summary_of(struct store_place *place, uint64_t key)
{
    struct push_summary summary;
    OK(store_summary(place->store, key, &summary, failed));
    return summary;
}

static void retry_queues_what_fits_as_a_new_generation(void **state)
{
    struct store_place *place = *state;
    uint64_t key = closed_push(place);
    const struct store_retry which = {1U << TARGET_FAILED | 1U << TARGET_UNREACHABLE, REASON_NONE};
    struct store_push push = push_of(2, "job 2");
    char chosen[32] = "";
    char old[32] = "";
    OK(store_retry_each(place->store, key, &which, note_number, chosen, failed));
    assert_string_equal(chosen, "1 2 ");
    OK(store_push_retry(place->store, key, &push, &which, failed));
    OK(store_commit(place->store, failed));
    store_place_reopen(place);
    struct push_summary summary = summary_of(place, key);
    assert_int_equal(summary.state, PUSH_OPEN);
    assert_int_equal(summary.generation, 2);
    assert_int_equal(summary.closed_unix_ms, 0);
    assert_int_equal(totals_submitted(&summary.totals), 5);
    assert_int_equal(summary.totals.by_state[TARGET_QUEUED], 2);
    assert_int_equal(summary.totals.by_state[TARGET_FAILED], 0);
    assert_int_equal(summary.totals.by_state[TARGET_UNREACHABLE], 0);
    assert_int_equal(summary.totals.by_state[TARGET_SCHEDULED], 1);
    assert_int_equal(summary.totals.attempted, 3);
    assert_int_equal(summary.totals.reboot, 1);
    OK(store_old_each(place->store, key, note_number, old, failed));
    assert_string_equal(old, "0 3 4 ");
    struct store_recovery recovery;
    OK(store_recovery(place->store, key, &recovery, failed));
    assert_int_equal(recovery.lease_count, 0);
    assert_int_equal(recovery.not_after_unix_s, 5002);
    struct buf job;
    buf_init(&job, 100);
    OK(store_push_blobs(place->store, key, &job, NULL, failed));
    assert_string_equal(buf_cstr(&job), "job 2");
    buf_release(&job);
}

static void retried_row_is_as_if_never_tried(void **state)
{
    struct store_place *place = *state;
    uint64_t key = closed_push(place);
    const struct store_retry which = {1U << TARGET_FAILED, REASON_DISK_FULL};
    struct store_push push = push_of(2, "job 2");
    OK(store_push_retry(place->store, key, &push, &which, failed));
    struct report_filter filter = {.stage = STAGE_COUNT, .target = "pc-1", .output = true};
    struct report_row row;
    struct store_page page = {.rows = &row, .row_max = 1};
    OK(store_report(place->store, key, &filter, &page, failed));
    assert_int_equal(page.row_count, 1);
    assert_int_equal(row.outcome.state, TARGET_QUEUED);
    assert_int_equal(row.outcome.reason, REASON_NONE);
    assert_string_equal(row.outcome.detail, "");
    assert_string_equal(row.relay, "-");
    assert_int_equal(row.output_size, 0);
    free(row.target);
    free(row.output);
}

static void retry_by_another_reason_chooses_nobody(void **state)
{
    struct store_place *place = *state;
    uint64_t key = closed_push(place);
    const struct store_retry which = {1U << TARGET_FAILED, REASON_BAD_SHARE};
    char chosen[32] = "";
    OK(store_retry_each(place->store, key, &which, note_number, chosen, failed));
    assert_string_equal(chosen, "");
}

static void push_that_is_not_over_is_not_retried(void **state)
{
    struct store_place *place = *state;
    uint64_t key = closed_push(place);
    const struct store_retry which = {1U << TARGET_FAILED, REASON_NONE};
    struct store_push push = push_of(2, "job 2");
    struct err err = {0};
    OK(store_push_retry(place->store, key, &push, &which, failed));
    assert_int_equal(store_push_retry(place->store, key, &push, &which, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void doubted_failure_counts_when_it_is_certain(void **state)
{
    struct store_place *place = *state;
    uint64_t key = closed_push(place);
    char doubted[32] = "";
    OK(store_doubted_each(place->store, key, ending, note_doubted, doubted, failed));
    assert_string_equal(doubted, "3 unreachable ");
    OK(store_outcome_certain(place->store, key, 3, ending, failed));
    OK(store_outcome_certain(place->store, key, 1, ending, failed)); /* known: left alone */
    OK(store_commit(place->store, failed));
    struct push_summary summary = summary_of(place, key);
    assert_int_equal(summary.totals.by_state[TARGET_UNKNOWN_EFFECT], 0);
    assert_int_equal(summary.totals.by_state[TARGET_UNREACHABLE], 2);
    assert_int_equal(summary.totals.by_state[TARGET_FAILED], 1);
    struct report_filter filter = {.stage = STAGE_COUNT, .target = "pc-3"};
    struct report_row row;
    struct store_page page = {.rows = &row, .row_max = 1};
    OK(store_report(place->store, key, &filter, &page, failed));
    assert_int_equal(row.outcome.state, TARGET_UNREACHABLE);
    assert_string_equal(row.outcome.detail, "silent");
    free(row.target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, store_place_set_up, store_place_tear_down)
        CASE(retry_queues_what_fits_as_a_new_generation),
        CASE(retried_row_is_as_if_never_tried),
        CASE(retry_by_another_reason_chooses_nobody),
        CASE(push_that_is_not_over_is_not_retried),
        CASE(doubted_failure_counts_when_it_is_certain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
