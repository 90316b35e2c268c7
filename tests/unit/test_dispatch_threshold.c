/* The coordinator's core, story by story: the failure threshold (--max-fail). See dispatch_story.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

static struct dispatch_event opened(uint32_t target_count, uint32_t fail_stop_count)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .fail_stop_count = fail_stop_count,
                                                      .target_count = target_count};
    return event;
}

/* A live relay and an open push with a threshold, the first slice leased. */
static struct story story_of_threshold(uint32_t target_count, uint32_t fail_stop_count)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, 100);
    step(&story, opened(target_count, fail_stop_count));
    return story;
}

static void failed(struct story *story, uint32_t no, uint32_t attempt)
{
    result(story, 0, 1, no, attempt, TARGET_FAILED, REASON_DISK_FULL);
}

static void resume_with(struct story *story, uint32_t fail_stop_count)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_RESUMED, .push_key = 1};
    event.push_resumed.not_after_unix_s = NOT_AFTER_S;
    event.push_resumed.counter = 2;
    event.push_resumed.fail_stop_count = fail_stop_count;
    step(story, event);
}

static void threshold_ends_what_is_fresh_and_awaits_what_is_out(void **state)
{
    (void)state;
    struct story story = story_of_threshold(20, 2);
    forget(&story);
    failed(&story, 0, 1);
    expect(&story, "row p1/0 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <17 #1\n"
                   "r0 LEASE p1 16#1\n");
    failed(&story, 1, 1);
    expect(&story, "row p1/1 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n"
                   "row p1/17 never_attempted MAX_FAIL\n"
                   "row p1/18 never_attempted MAX_FAIL\n"
                   "row p1/19 never_attempted MAX_FAIL\n");
    for (uint32_t no = 2; no < 16; no++)
        scheduled(&story, 0, 1, no, 1);
    heartbeat(&story, 0, 100);
    forget(&story);
    failed(&story, 16, 1);
    expect(&story, "row p1/16 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void unreachable_rows_do_not_count(void **state)
{
    (void)state;
    struct story story = story_of_threshold(17, 1);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_UNREACHABLE, REASON_NO_REPLY);
    expect(&story, "row p1/0 unreachable NO_REPLY\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <17 #1\n"
                   "r0 LEASE p1 16#1\n");
    story_end(&story);
}

static void slice_is_as_many_as_may_fail_and_16_at_least(void **state)
{
    (void)state;
    struct story story = story_of_threshold(60, 30);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <30 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-29#1\n");
    failed(&story, 0, 1); /* as many as may fail are out: none in its place */
    expect(&story, "row p1/0 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n");
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <31 #1\n"
                   "r0 LEASE p1 30#1\n");
    story_end(&story);
}

static void relays_share_a_slice_and_none_is_left_out(void **state)
{
    (void)state;
    struct story story = story_new();
    uint16_t sites[60];
    struct dispatch_event event = opened(60, 1);
    for (uint16_t no = 0; no < 60; no++)
        sites[no] = no % 20;
    event.push_opened.sites = sites;
    for (uint16_t relay = 0; relay < 20; relay++) {
        know_relay(&story, relay, relay);
        hello(&story, relay, 11, 100);
    }
    forget(&story);
    step(&story, event);
    assert_int_equal(dispatch_push_leased(story.core, 1), 20); /* one each, not 16 for the first */
    for (uint16_t relay = 0; relay < 20; relay++)
        assert_int_equal(dispatch_relay_look(story.core, relay).leased, 1);
    story_end(&story);
}

static void restart_counts_rows_of_before(void **state)
{
    (void)state;
    struct story story = story_new();
    const struct dispatch_history history = {.relay = 0, .mark = 3, .attempt_max = 1};
    const uint8_t states[5] = {TARGET_FAILED, TARGET_QUEUED, TARGET_FAILED};
    struct dispatch_event event = opened(5, 2);
    event.push_opened.states = states;
    event.push_opened.history = &history;
    event.push_opened.history_count = 1;
    know_relay(&story, 0, 0);
    step(&story, event);
    expect(&story, "row p1/3 never_attempted MAX_FAIL\n"
                   "row p1/4 never_attempted MAX_FAIL\n");
    hello(&story, 0, 12, 100); /* what was out may be past INTENT */
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <3 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#2\n");
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void restart_with_nothing_out_closes(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint8_t states[2] = {TARGET_FAILED, TARGET_QUEUED};
    struct dispatch_event event = opened(2, 1);
    event.push_opened.states = states;
    step(&story, event);
    expect(&story, "row p1/1 never_attempted MAX_FAIL\n"
                   "closed p1\n");
    story_end(&story);
}

/* A failure that was in doubt, since another relay had the target before, and is certain now. */
static void failure_that_was_doubted_counts_once_it_is_certain(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 1000000000, 1);
    step(&story, opened(4, 1));
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 2000000000, 1);
    result(&story, 1, 1, 0, 2, TARGET_FAILED, REASON_DISK_FULL);
    hello(&story, 0, 1100000000, 1);
    forget(&story);
    result(&story, 0, 1, 0, 3, TARGET_CANCELLED, REASON_CANCELLED);
    expect(&story, "certain p1/0\n"
                   "r0 RESULTS_ACK 5\n"
                   "row p1/2 never_attempted MAX_FAIL\n"
                   "row p1/3 never_attempted MAX_FAIL\n");
    story_end(&story);
}

static void stopped_push_keeps_what_is_fresh_for_another_threshold(void **state)
{
    (void)state;
    struct story story = story_of_threshold(18, 1);
    stop_push(&story, 1, false);
    forget(&story);
    for (uint32_t no = 0; no < 16; no++)
        failed(&story, no, 1);
    tick(&story);
    forget(&story);
    resume_with(&story, 17);
    expect(&story, "mark p1 r0 <18 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 16-17#1\n");
    story_end(&story);
}

static void resume_without_one_keeps_the_threshold(void **state)
{
    (void)state;
    struct story story = story_of_threshold(18, 1);
    stop_push(&story, 1, false);
    for (uint32_t no = 0; no < 16; no++)
        failed(&story, no, 1);
    forget(&story);
    resume_with(&story, 0);
    expect(&story, "row p1/16 never_attempted MAX_FAIL\n"
                   "row p1/17 never_attempted MAX_FAIL\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void cancelled_push_ends_what_is_fresh_as_cancelled(void **state)
{
    (void)state;
    struct story story = story_of_threshold(17, 1);
    forget(&story);
    stop_push(&story, 1, true);
    failed(&story, 0, 1);
    expect(&story, "r0 STOP p1 (job 1)\n"
                   "row p1/16 cancelled CANCELLED\n"
                   "row p1/0 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void many_rows_are_stopped_in_portions(void **state)
{
    (void)state;
    struct story story = story_of_threshold(2016, 1);
    failed(&story, 0, 1);
    const struct dispatch_effect *last = &story.effects.items[story.effects.count - 1];
    assert_int_equal(last->kind, DISPATCH_ARM_TIMER);
    assert_true(last->at_ms == story.now_ms);
    assert_int_equal(story.effects.count, 2 + 1024 + 1);
    tick(&story);
    assert_int_equal(story.effects.count, 2000 - 1024 + 1);
    story_end(&story);
}

static void awaited_targets_are_in_flight_unless_they_start_later(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct story story = story_new();
        struct dispatch_event event = opened(18, 1);
        event.push_opened.wait = true;
        event.push_opened.starts_later = later;
        event.push_opened.wait_until_unix_s = NOT_AFTER_S;
        know_relay(&story, 0, 0);
        hello(&story, 0, 11, 100);
        step(&story, event);
        forget(&story);
        scheduled(&story, 0, 1, 0, 1);
        scheduled(&story, 0, 1, 0, 1); /* said twice, counted once */
        expect(&story, later ? "row p1/0 scheduled -\n"
                               "r0 RESULTS_ACK 5\n"
                               "mark p1 r0 <17 #1\n"
                               "r0 LEASE p1 16#1\n"
                               "r0 RESULTS_ACK 5\n"
                             : "row p1/0 scheduled -\n"
                               "r0 RESULTS_ACK 5\n"
                               "r0 RESULTS_ACK 5\n");
        result(&story, 0, 1, 0, 1, TARGET_SUCCEEDED, REASON_NONE);
        expect(&story, later ? "row p1/0 succeeded -\n"
                               "r0 RESULTS_ACK 5\n"
                             : "row p1/0 succeeded -\n"
                               "r0 RESULTS_ACK 5\n"
                               "mark p1 r0 <17 #1\n"
                               "r0 LEASE p1 16#1\n");
        story_end(&story);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_ends_what_is_fresh_and_awaits_what_is_out),
        cmocka_unit_test(unreachable_rows_do_not_count),
        cmocka_unit_test(slice_is_as_many_as_may_fail_and_16_at_least),
        cmocka_unit_test(relays_share_a_slice_and_none_is_left_out),
        cmocka_unit_test(restart_counts_rows_of_before),
        cmocka_unit_test(restart_with_nothing_out_closes),
        cmocka_unit_test(failure_that_was_doubted_counts_once_it_is_certain),
        cmocka_unit_test(stopped_push_keeps_what_is_fresh_for_another_threshold),
        cmocka_unit_test(resume_without_one_keeps_the_threshold),
        cmocka_unit_test(cancelled_push_ends_what_is_fresh_as_cancelled),
        cmocka_unit_test(many_rows_are_stopped_in_portions),
        cmocka_unit_test(awaited_targets_are_in_flight_unless_they_start_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
