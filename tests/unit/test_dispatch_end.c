/* The coordinator's core, story by story: deadlines, stop, resume, cancel, restart, close. See
 * dispatch_story.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"
#include "tests/unit/reason_seen.h"

/* ---- deadlines ---- */

static void deadline_expires_what_was_never_leased(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 1);
    story.now_ms += 3600 * 1000 - 1;
    hello(&story, 0, 12, 0);
    forget(&story);
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/1 expired EXPIRED\n"
                   "row p1/2 expired EXPIRED\n");
    heartbeat(&story, 0, 5); /* what was leased may be past INTENT: the relay is asked */
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "mark p1 r0 <1 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2\n");
    story_end(&story);
}

static void relay_lost_past_deadline_leaves_unknown_effect_that_late_result_mends(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 1);
    story.now_ms += 3600 * 1000;
    tick(&story);
    expect(&story, "row p1/1 expired EXPIRED\n");
    story.now_ms += GRACE_MS - 1;
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    reason_seen(REASON_RELAY_LOST);
    hello(&story, 0, 12, 5); /* back after all: no CLOSE, it may know better */
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_UNKNOWN_EFFECT, REASON_CONN_LOST);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 CLOSE p1\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_LATE), 1);
    story_end(&story);
}

static void not_begun_says_nothing_when_another_relay_had_it(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 1);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 22, 5);
    forget(&story);
    result(&story, 1, 1, 0, 2, TARGET_EXPIRED, REASON_EXPIRED);
    expect(&story, "row p1/0 unknown_effect EXPIRED\n"
                   "r1 RESULTS_ACK 5\n"
                   "closed p1\n");
    story_end(&story);
}

static void deadline_between_ticks_leases_nothing_fresh(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 1);
    story.now_ms += 3600 * 1000;
    heartbeat(&story, 0, 5);
    expect(&story, "r0 HEARTBEAT_ACK 77\n");
    story_end(&story);
}

static void restart_past_deadline_still_gives_grace(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const struct dispatch_history history = {.relay = 0, .mark = 1, .attempt_max = 1};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 1,
                                                      .history = &history,
                                                      .history_count = 1};
    story.now_ms += 24 * 3600 * 1000;
    step(&story, event);
    story.now_ms += GRACE_MS - 1;
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    story_end(&story);
}

static void many_rows_expire_in_portions(void **state)
{
    (void)state;
    struct story story = story_new();
    open_push(&story, 1, 2500);
    story.now_ms += 3600 * 1000;
    size_t rows = 0;
    for (int turn = 0; turn < 3; turn++) {
        tick(&story);
        const struct dispatch_effect *last = &story.effects.items[story.effects.count - 1];
        assert_int_equal(last->kind, DISPATCH_ARM_TIMER);
        assert_true(turn == 2 ? last->at_ms > story.now_ms : last->at_ms == story.now_ms);
        rows += story.effects.count - 1;
    }
    assert_int_equal(rows, 2501); /* and one PERSIST_CLOSED */
    story_end(&story);
}

static void tick_arms_timer_for_the_next(void **state)
{
    (void)state;
    struct story story = story_new();
    tick(&story);
    assert_int_equal(story.effects.count, 1);
    assert_int_equal(story.effects.items[0].kind, DISPATCH_ARM_TIMER);
    assert_true(story.effects.items[0].at_ms == START_MS + HEARTBEAT_MS / 2);
    story_end(&story);
}

/* ---- stop, cancel, resume ---- */

static void stop_takes_back_what_relay_drops_and_resume_goes_on(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    expect(&story, "r0 STOP p1 (job 1)\n");
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    scheduled(&story, 0, 1, 1, 1);
    heartbeat(&story, 0, 2);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 HEARTBEAT_ACK 77\n");
    resume_push(&story, 1);
    expect(&story, "mark p1 r0 <3 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2 2#1\n");
    story_end(&story);
}

static void resume_sends_new_job_and_takes_back_what_is_still_out(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    resume_push(&story, 1); /* before the relay said what it dropped */
    expect(&story, "mark p1 r0 <3 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#2 2#1\n");
    result(&story, 0, 1, 1, 1, TARGET_CANCELLED, REASON_CANCELLED); /* of the old lease */
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_push_leased(story.core, 1), 2);
    story_end(&story);
}

static void stop_is_repeated_while_relay_holds_targets(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    forget(&story);
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "r0 STOP p1 (job 1)\n");
    story.now_ms += LEASE_MS;
    heartbeat(&story, 0, 2);
    story.now_ms += LEASE_MS;
    heartbeat(&story, 0, 2);
    tick(&story); /* it never said what it dropped: taken back */
    assert_int_equal(dispatch_push_leased(story.core, 1), 0);
    story_end(&story);
}

/* The relay tells a late STOP from one that is meant by the job it names. */
static void stop_after_resume_names_the_new_job(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    stop_push(&story, 1, false);
    expect(&story, "r0 STOP p1 (job 1)\n");
    resume_push(&story, 1);
    forget(&story);
    stop_push(&story, 1, true);
    expect(&story, "r0 STOP p1 (job 2)\n");
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "r0 STOP p1 (job 2)\n");
    story_end(&story);
}

static void cancel_ends_what_waits_and_asks_for_what_was_leased(void **state)
{
    (void)state;
    struct story story = story_of_one_push(4, 2);
    stop_push(&story, 1, true);
    expect(&story, "r0 STOP p1 (job 1)\n"
                   "row p1/2 cancelled CANCELLED\n"
                   "row p1/3 cancelled CANCELLED\n");
    hello(&story, 0, 12, 5); /* restarted: asked under STOP for what its journal knows */
    expect(&story, "epoch r0 1\n"
                   "r0 WELCOME 1\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 STOP p1 (job 1)\n"
                   "r0 LEASE p1 0-1#2\n");
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED); /* of the lease before */
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    result(&story, 0, 1, 0, 2, TARGET_CANCELLED, REASON_CANCELLED);
    scheduled(&story, 0, 1, 1, 2);
    expect(&story, "row p1/0 cancelled CANCELLED\n"
                   "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void cancel_without_word_from_relay_ends_unknown(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    stop_push(&story, 1, true);
    story.now_ms += GRACE_MS;
    forget(&story);
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    story_end(&story);
}

static void resume_of_open_push_sends_new_job_with_the_leases(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    resume_push(&story, 1);
    expect(&story, "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    story_end(&story);
}

static void dropped_target_of_open_push_is_leased_with_its_job_again(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <1 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2\n");
    story_end(&story);
}

/* It obeys a stop that the store has lost. */
static void relay_that_gives_back_again_is_asked_after_a_while(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    forget(&story);
    story.now_ms += 20;
    result(&story, 0, 1, 0, 2, TARGET_CANCELLED, REASON_CANCELLED);
    expect(&story, "r0 RESULTS_ACK 5\n");
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n");
    story.now_ms += HEARTBEAT_MS / 2;
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "mark p1 r0 <1 #3\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#3\n");
    story_end(&story);
}

/* ---- restart of the coordinator ---- */

static void restart_keeps_apart_what_was_leased(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const uint8_t states[] = {TARGET_SCHEDULED, TARGET_QUEUED, TARGET_QUEUED};
    const struct dispatch_history history = {.relay = 0, .mark = 2, .attempt_max = 3};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 3,
                                                      .states = states,
                                                      .history = &history,
                                                      .history_count = 1};
    step(&story, event);
    hello(&story, 0, 11, 0);
    forget(&story);
    scheduled(&story, 0, 1, 2, 1); /* never leased to it */
    expect(&story, "r0 RESULTS_ACK 5\n");
    story.now_ms += 3600 * 1000;
    tick(&story);
    expect(&story, "row p1/2 expired EXPIRED\n");
    hello(&story, 0, 11, 9);
    expect(&story, "epoch r0 600000\n"
                   "r0 WELCOME 600000\n"
                   "mark p1 r0 <2 #4\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#4\n");
    scheduled(&story, 0, 1, 1, 2); /* from before the restart */
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void ended_push_is_closed_again_at_hello(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
    event.push_ended.push = id_of(7);
    step(&story, event);
    hello(&story, 0, 11, 1);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "r0 CLOSE p7\n");
    story_end(&story);
}

static void unknown_row_is_left_at_that_after_a_month(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 1);
    story.now_ms += 3600 * 1000 + GRACE_MS;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    hello(&story, 0, 12, 5);
    forget(&story);
    story.now_ms = START_MS + UINT64_C(1000) * (3600 + DISPATCH_UNKNOWN_KEPT_S) - 1;
    heartbeat(&story, 0, 5);
    forget(&story);
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "r0 CLOSE p1\n");
    scheduled(&story, 0, 1, 0, 1); /* too late: acknowledged, so that the relay forgets it */
    expect(&story, "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void closed_push_with_unknown_rows_still_listens(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const uint8_t states[] = {TARGET_UNKNOWN_EFFECT};
    const struct dispatch_history history = {.relay = 0, .mark = 1, .attempt_max = 1};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .state = PUSH_CLOSED,
                                                      .target_count = 1,
                                                      .states = states,
                                                      .history = &history,
                                                      .history_count = 1};
    step(&story, event);
    expect(&story, "");
    hello(&story, 0, 11, 1);
    forget(&story);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void million_targets_take_bounded_steps(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 1000000);
    hello(&story, 0, 11, 4000000000U);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, DISPATCH_CREDIT_MAX);
    assert_true(story.effects.count < 1000);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_expires_what_was_never_leased),
        cmocka_unit_test(relay_lost_past_deadline_leaves_unknown_effect_that_late_result_mends),
        cmocka_unit_test(not_begun_says_nothing_when_another_relay_had_it),
        cmocka_unit_test(deadline_between_ticks_leases_nothing_fresh),
        cmocka_unit_test(restart_past_deadline_still_gives_grace),
        cmocka_unit_test(many_rows_expire_in_portions),
        cmocka_unit_test(tick_arms_timer_for_the_next),
        cmocka_unit_test(stop_takes_back_what_relay_drops_and_resume_goes_on),
        cmocka_unit_test(resume_sends_new_job_and_takes_back_what_is_still_out),
        cmocka_unit_test(stop_is_repeated_while_relay_holds_targets),
        cmocka_unit_test(stop_after_resume_names_the_new_job),
        cmocka_unit_test(cancel_ends_what_waits_and_asks_for_what_was_leased),
        cmocka_unit_test(cancel_without_word_from_relay_ends_unknown),
        cmocka_unit_test(resume_of_open_push_sends_new_job_with_the_leases),
        cmocka_unit_test(dropped_target_of_open_push_is_leased_with_its_job_again),
        cmocka_unit_test(relay_that_gives_back_again_is_asked_after_a_while),
        cmocka_unit_test(restart_keeps_apart_what_was_leased),
        cmocka_unit_test(ended_push_is_closed_again_at_hello),
        cmocka_unit_test(unknown_row_is_left_at_that_after_a_month),
        cmocka_unit_test(closed_push_with_unknown_rows_still_listens),
        cmocka_unit_test(million_targets_take_bounded_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
