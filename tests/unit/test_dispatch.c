/* The coordinator's core, story by story: leases, credit, results. See dispatch_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

/* ---- the ordinary course ---- */

static void push_to_one_relay_runs_to_close(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 3);
    expect(&story, "");
    hello(&story, 0, 11, 10);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <3 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-2#1\n");
    struct result_row rows[] = {row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE),
                                row_of(1, 2, 1, TARGET_FAILED, REASON_ACCESS_DENIED)};
    send_rows(&story, 0, epoch_of(&story, 0), rows, 2);
    expect(&story, "row p1/0 scheduled -\n"
                   "row p1/2 failed ACCESS_DENIED\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_push_leased(story.core, 1), 1);
    assert_int_equal(dispatch_target_holder(story.core, 1, 1), 0);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), DISPATCH_RELAY_NONE);
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void lease_within_credit_refills_as_results_come(void **state)
{
    (void)state;
    struct story story = story_of_one_push(10, 4);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 4);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <5 #1\n"
                   "r0 LEASE p1 4#1\n");
    heartbeat(&story, 0, 2); /* less than it holds: nothing new */
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void refill_with_large_credit_waits_until_worth_a_message(void **state)
{
    (void)state;
    struct story story = story_of_one_push(100, 80);
    for (uint32_t no = 0; no < 9; no++)
        scheduled(&story, 0, 1, no, 1);
    assert_null(strstr(buf_cstr(&story.trace), "LEASE"));
    forget(&story);
    scheduled(&story, 0, 1, 9, 1);
    expect(&story, "row p1/9 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <90 #1\n"
                   "r0 LEASE p1 80-89#1\n");
    scheduled(&story, 0, 1, 10, 1);
    forget(&story);
    heartbeat(&story, 0, 80); /* tops up */
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "mark p1 r0 <91 #1\n"
                   "r0 LEASE p1 90#1\n");
    story_end(&story);
}

static void large_credit_is_leased_in_messages_of_limited_rows(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 600);
    hello(&story, 0, 11, 4096);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <256 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-255#1\n"
                   "mark p1 r0 <512 #1\n"
                   "r0 LEASE p1 256-511#1\n"
                   "mark p1 r0 <600 #1\n"
                   "r0 LEASE p1 512-599#1\n");
    story_end(&story);
}

static void open_pushes_share_the_credit(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 100);
    open_push(&story, 2, 100);
    hello(&story, 0, 11, 10);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <5 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-4#1\n"
                   "mark p2 r0 <5 #1\n"
                   "r0 JOB p2\n"
                   "r0 LEASE p2 0-4#1\n");
    story_end(&story);
}

static void relays_of_a_site_share_what_was_never_leased(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 1000);
    hello(&story, 1, 22, 1000);
    forget(&story);
    open_push(&story, 1, 400);
    expect(&story, "mark p1 r0 <200 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-199#1\n"
                   "mark p1 r1 <300 #1\n"
                   "r1 JOB p1\n"
                   "r1 LEASE p1 200-299#1\n");
    /* 100 are left: 64 each at once, so r1 gets more when it holds a quarter less than that. */
    for (uint32_t no = 200; no < 251; no++)
        result(&story, 1, 1, no, 1, TARGET_SCHEDULED, REASON_NONE);
    forget(&story);
    result(&story, 1, 1, 251, 1, TARGET_SCHEDULED, REASON_NONE);
    expect(&story, "row p1/251 scheduled -\n"
                   "r1 RESULTS_ACK 5\n"
                   "mark p1 r1 <316 #1\n"
                   "r1 LEASE p1 300-315#1\n");
    /* Alone it gets the rest. */
    story.now_ms += LEASE_MS / 2;
    heartbeat(&story, 1, 1000);
    story.now_ms += LEASE_MS / 2;
    forget(&story);
    tick(&story);
    heartbeat(&story, 1, 1000);
    expect(&story, "r1 HEARTBEAT_ACK 77\n"
                   "mark p1 r1 <372 #2\n"
                   "r1 LEASE p1 0-199#2 316-371#1\n"
                   "mark p1 r1 <400 #2\n"
                   "r1 LEASE p1 372-399#1\n");
    story_end(&story);
}

static void targets_go_to_relays_of_their_site_only(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint16_t sites[] = {0, 1, 0, 1};
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 1);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 4,
                                                      .sites = sites};
    step(&story, event);
    hello(&story, 1, 22, 10);
    expect(&story, "epoch r1 0\n"
                   "r1 WELCOME 0\n"
                   "mark p1 r1 <4 #1\n"
                   "r1 JOB p1\n"
                   "r1 LEASE p1 1#1 3#1\n");
    story_end(&story);
}

static void push_with_states_leases_only_the_rest(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint8_t states[] = {TARGET_FAILED, TARGET_QUEUED};
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, 10);
    forget(&story);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 2,
                                                      .states = states};
    step(&story, event);
    expect(&story, "mark p1 r0 <2 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#1\n");
    story_end(&story);
}

/* ---- epochs and leases ---- */

static void new_instance_gets_higher_epoch_and_next_attempt(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 10);
    uint64_t first = epoch_of(&story, 0);
    story.now_ms += 5;
    hello(&story, 0, 12, 10);
    assert_true(epoch_of(&story, 0) > first);
    expect(&story, "epoch r0 5\n"
                   "r0 WELCOME 5\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#2\n");
    story_end(&story);
}

static void epoch_rises_when_the_wall_clock_falls(void **state)
{
    (void)state;
    struct story story = story_new();
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known = (struct dispatch_relay_known){.epoch = 2 * START_UNIX_MS};
    step(&story, event);
    hello(&story, 0, 11, 1);
    assert_true(epoch_of(&story, 0) == 2 * START_UNIX_MS + 1);
    story_end(&story);
}

static void same_instance_keeps_epoch_and_hears_its_leases_again(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    story.now_ms += 5;
    hello(&story, 0, 11, 2);
    expect(&story, "r0 WELCOME 0\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    story_end(&story);
}

static void silent_relay_loses_leases_and_must_say_hello(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    uint64_t old_epoch = epoch_of(&story, 0);
    story.now_ms += LEASE_MS - 1;
    tick(&story);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 2);
    story.now_ms += 1;
    tick(&story);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 0);
    assert_false(dispatch_relay_look(story.core, 0).live);
    heartbeat(&story, 0, 2);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    send_rows(&story, 0, old_epoch, &row, 1);
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 2);
    hello(&story, 0, 11, 2); /* the same process, but its leases are gone */
    expect(&story, "epoch r0 60000\n"
                   "r0 WELCOME 60000\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#2\n");
    story_end(&story);
}

static void message_of_old_epoch_is_ignored(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    uint64_t old_epoch = epoch_of(&story, 0);
    hello(&story, 0, 12, 2);
    forget(&story);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    send_rows(&story, 0, old_epoch, &row, 1);
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 1);
    story_end(&story);
}

static void heartbeat_renews_the_lease(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    for (int i = 0; i < 8; i++) {
        story.now_ms += LEASE_MS / 2;
        heartbeat(&story, 0, 2);
        story.now_ms += LEASE_MS / 4;
        tick(&story);
        assert_true(dispatch_relay_look(story.core, 0).live);
    }
    story_end(&story);
}

static void lease_without_result_is_sent_again_with_its_job(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    for (int i = 0; i < 4; i++) {
        story.now_ms += RESEND_MS / 4;
        heartbeat(&story, 0, 2);
    }
    forget(&story);
    tick(&story);
    expect(&story, "");
    story.now_ms += 1000;
    tick(&story);
    expect(&story, "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    tick(&story);
    expect(&story, "");
    story_end(&story);
}

static void lost_relay_s_targets_go_to_another_of_the_site(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 2);
    story.now_ms += LEASE_MS;
    tick(&story);
    forget(&story);
    hello(&story, 1, 22, 5);
    expect(&story, "epoch r1 60000\n"
                   "r1 WELCOME 60000\n"
                   "mark p1 r1 <2 #2\n"
                   "r1 JOB p1\n"
                   "r1 LEASE p1 0-1#2\n");
    story_end(&story);
}

/* ---- whose rows count ---- */

static void result_of_older_lease_of_same_relay_counts(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    hello(&story, 0, 12, 2);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_DISK_FULL);
    expect(&story, "row p1/0 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void result_for_another_relay_s_target_is_ignored(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    know_relay(&story, 1, 0);
    hello(&story, 1, 22, 2);
    forget(&story);
    scheduled(&story, 1, 1, 0, 1);
    expect(&story, "r1 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NOT_LEASED), 1);
    story_end(&story);
}

static void failure_of_old_holder_yields_to_new_holder_but_success_counts(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 2);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 22, 5); /* has both now */
    hello(&story, 0, 11, 0);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_CONN_LOST);
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    assert_int_equal(dispatch_relay_look(story.core, 1).leased, 1);
    story_end(&story);
}

static void repeated_or_changed_row_changes_nothing(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    scheduled(&story, 0, 1, 0, 1);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_DISK_FULL);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_DUPLICATE), 2);
    story_end(&story);
}

static void nonsense_rows_are_counted_and_acknowledged(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    struct result_row rows[] = {
        row_of(9, 0, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 77, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, UINT32_MAX, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 0, 2, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 0, 1, TARGET_RUNNING, REASON_NONE),
        row_of(1, 0, 1, (enum target_state)99, REASON_NONE),
        row_of(1, 0, 1, TARGET_FAILED, (enum reason)999),
        row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE),
    };
    rows[7].generation = 2;
    send_rows(&story, 0, epoch_of(&story, 0), rows, 8);
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_UNKNOWN_PUSH), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NOT_LEASED), 2);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NONSENSE), 4);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_GENERATION), 1);
    story_end(&story);
}

/* Of a push that was ended meanwhile: unacknowledged, the relay would say them for ever. */
static void rows_of_unknown_push_alone_are_acknowledged(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    result(&story, 0, 9, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    expect(&story, "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void stranger_and_other_version_are_ignored(void **state)
{
    (void)state;
    struct story story = story_new();
    hello(&story, 3, 11, 2);
    know_relay(&story, 0, 0);
    struct message_hello old = {.protocol_version = 99, .credit = 1};
    struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = 0};
    event.hello = &old;
    step(&story, event);
    heartbeat(&story, 0, 1); /* no epoch yet */
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_STRANGER), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_VERSION), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 1);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_to_one_relay_runs_to_close),
        cmocka_unit_test(lease_within_credit_refills_as_results_come),
        cmocka_unit_test(refill_with_large_credit_waits_until_worth_a_message),
        cmocka_unit_test(large_credit_is_leased_in_messages_of_limited_rows),
        cmocka_unit_test(open_pushes_share_the_credit),
        cmocka_unit_test(relays_of_a_site_share_what_was_never_leased),
        cmocka_unit_test(targets_go_to_relays_of_their_site_only),
        cmocka_unit_test(push_with_states_leases_only_the_rest),
        cmocka_unit_test(new_instance_gets_higher_epoch_and_next_attempt),
        cmocka_unit_test(epoch_rises_when_the_wall_clock_falls),
        cmocka_unit_test(same_instance_keeps_epoch_and_hears_its_leases_again),
        cmocka_unit_test(silent_relay_loses_leases_and_must_say_hello),
        cmocka_unit_test(message_of_old_epoch_is_ignored),
        cmocka_unit_test(heartbeat_renews_the_lease),
        cmocka_unit_test(lease_without_result_is_sent_again_with_its_job),
        cmocka_unit_test(lost_relay_s_targets_go_to_another_of_the_site),
        cmocka_unit_test(result_of_older_lease_of_same_relay_counts),
        cmocka_unit_test(result_for_another_relay_s_target_is_ignored),
        cmocka_unit_test(failure_of_old_holder_yields_to_new_holder_but_success_counts),
        cmocka_unit_test(repeated_or_changed_row_changes_nothing),
        cmocka_unit_test(nonsense_rows_are_counted_and_acknowledged),
        cmocka_unit_test(rows_of_unknown_push_alone_are_acknowledged),
        cmocka_unit_test(stranger_and_other_version_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
