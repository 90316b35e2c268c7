/* The coordinator's core, story by story: pushes that wait for exit codes. See dispatch_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

#define WAIT_UNTIL_S (NOT_AFTER_S + 7200)

static struct dispatch_event waiting_push(uint32_t target_count)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .wait = true,
                                                      .wait_until_unix_s = WAIT_UNTIL_S,
                                                      .start_until = "tonight",
                                                      .target_count = target_count};
    return event;
}

/* A live relay that holds all targets of a push that waits. */
static struct story story_waiting(uint32_t target_count)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, 10);
    step(&story, waiting_push(target_count));
    forget(&story);
    return story;
}

static void awaiting_heartbeat(struct story *story, uint16_t relay, uint32_t awaiting)
{
    struct message_heartbeat message = {.epoch = epoch_of(story, relay),
                                        .sent_boottime_ms = 77,
                                        .credit = 10,
                                        .awaiting = awaiting};
    struct dispatch_event event = {.kind = DISPATCH_HEARTBEAT, .relay = relay};
    event.heartbeat = &message;
    step(story, event);
}

static void scheduled_is_progress_and_the_end_closes(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\nr0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 1);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "r0 RESULTS_ACK 5\n");
    static uint8_t printed[] = {'o', 'k'};
    struct result_row row = row_of(1, 0, 1, TARGET_SUCCEEDED, REASON_NONE);
    row.output = printed;
    row.output_size = sizeof printed;
    send_rows(&story, 0, epoch_of(&story, 0), &row, 1);
    assert_ptr_equal(story.effects.items[0].output, printed);
    assert_int_equal(story.effects.items[0].output_size, sizeof printed);
    expect(&story, "row p1/0 succeeded -\nr0 RESULTS_ACK 5\nclosed p1\nr0 CLOSE p1\n");
    story_end(&story);
}

static void exit_code_outside_the_set_ends_the_row(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_EXIT_CODE);
    expect(&story, "row p1/0 failed EXIT_CODE\nr0 RESULTS_ACK 5\nclosed p1\nr0 CLOSE p1\n");
    story_end(&story);
}

static void awaited_lease_is_repeated_only_when_in_doubt(void **state)
{
    (void)state;
    struct story story = story_waiting(2);
    scheduled(&story, 0, 1, 0, 1);
    for (int round = 0; round < 3; round++) {
        story.now_ms += RESEND_MS / 3 + 1000;
        awaiting_heartbeat(&story, 0, 1);
    }
    forget(&story);
    tick(&story);
    expect(&story, "r0 JOB p1\nr0 LEASE p1 1#1\n");
    for (int round = 0; round < 3; round++) {
        story.now_ms += RESEND_MS / 3 + 1000;
        awaiting_heartbeat(&story, 0, 0); /* it has forgotten */
    }
    forget(&story);
    tick(&story);
    expect(&story, "r0 JOB p1\nr0 LEASE p1 0-1#1\n");
    story_end(&story);
}

/* What one relay awaits another one begins by looking at: until it has said so, its lease may be
 * lost like any other. */
static void taken_over_target_is_not_taken_for_awaited(void **state)
{
    (void)state;
    struct story story = story_waiting(3);
    know_relay(&story, 1, 0);
    scheduled(&story, 0, 1, 0, 1);
    scheduled(&story, 0, 1, 1, 1);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 2000000000, 10);
    scheduled(&story, 1, 1, 1, 2);
    for (int round = 0; round < 3; round++) {
        story.now_ms += RESEND_MS / 3 + 1000;
        awaiting_heartbeat(&story, 1, 1);
    }
    forget(&story);
    tick(&story);
    expect(&story, "r1 JOB p1\nr1 LEASE p1 0#2 2#2\n");
    story_end(&story);
}

static void late_word_of_an_earlier_lease_gives_nothing_back(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    stop_push(&story, 1, false);
    result(&story, 0, 1, 0, 1, TARGET_SCHEDULED, REASON_CANCELLED);
    resume_push(&story, 1);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_SCHEDULED, REASON_CANCELLED); /* the same message, again */
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    story_end(&story);
}

static void lost_relay_s_scheduled_target_is_leased_again(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    hello(&story, 0, 12, 10);
    expect(&story, "epoch r0 1\nr0 WELCOME 1\nmark p1 r0 <1 #2\nr0 JOB p1\nr0 LEASE p1 0#2\n");
    story_end(&story);
}

static void stop_takes_scheduled_back_and_resume_leases_it(void **state)
{
    (void)state;
    struct story story = story_waiting(2);
    scheduled(&story, 0, 1, 0, 1);
    stop_push(&story, 1, false);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_SCHEDULED, REASON_CANCELLED);
    expect(&story, "r0 RESULTS_ACK 5\n");
    result(&story, 0, 1, 1, 1, TARGET_SCHEDULED, REASON_CANCELLED); /* not heard of before */
    expect(&story, "row p1/1 scheduled -\nr0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 0);
    resume_push(&story, 1);
    expect(&story, "mark p1 r0 <2 #2\nr0 JOB p1\nr0 LEASE p1 0-1#2\n");
    story_end(&story);
}

static void cancel_of_scheduled_ends_unknown_and_may_become_known(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    stop_push(&story, 1, true);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_SCHEDULED, REASON_CANCELLED);
    assert_string_equal(story.effects.items[0].outcome->detail,
                        "scheduled, may start until tonight; its end was not awaited");
    expect(&story, "row p1/0 unknown_effect CANCELLED\nr0 RESULTS_ACK 5\nclosed p1\n");
    result(&story, 0, 1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    expect(&story, "r0 RESULTS_ACK 5\nr0 RESULTS_ACK 5\n");
    result(&story, 0, 1, 0, 1, TARGET_SUCCEEDED, REASON_NONE);
    expect(&story, "row p1/0 succeeded -\nr0 RESULTS_ACK 5\nr0 CLOSE p1\n");
    story_end(&story);
}

static void cancel_without_word_leaves_scheduled_not_awaited(void **state)
{
    (void)state;
    struct story story = story_waiting(2);
    scheduled(&story, 0, 1, 0, 1);
    stop_push(&story, 1, true);
    forget(&story);
    story.now_ms += GRACE_MS;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect CANCELLED\nrow p1/1 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    story_end(&story);
}

/* A relay that takes over and can't get as far says nothing of what is scheduled there. */
static void failure_on_the_way_leaves_scheduled_unknown(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    know_relay(&story, 1, 0);
    scheduled(&story, 0, 1, 0, 1);
    hello(&story, 1, 21, 10);
    for (int round = 0; round < 3; round++) {
        story.now_ms += LEASE_MS / 3 + 1;
        heartbeat(&story, 1, 10);
        tick(&story);
    }
    forget(&story);
    heartbeat(&story, 1, 10);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 1);
    forget(&story);
    result(&story, 1, 1, 0, 2, TARGET_UNREACHABLE, REASON_NO_REPLY);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\nr1 RESULTS_ACK 5\nclosed p1\n");
    story_end(&story);
}

static void deadline_of_registering_takes_no_waiting_lease(void **state)
{
    (void)state;
    struct story story = story_waiting(1);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    story.now_ms = START_MS + (uint64_t)(WAIT_UNTIL_S * 1000) - START_UNIX_MS + GRACE_MS - 1;
    awaiting_heartbeat(&story, 0, 1);
    tick(&story);
    assert_null(strstr(buf_cstr(&story.trace), "row"));
    story.now_ms += 1;
    forget(&story);
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\nclosed p1\n");
    story_end(&story);
}

static void restart_leases_scheduled_targets_again(void **state)
{
    (void)state;
    static const uint8_t states[] = {TARGET_SCHEDULED, TARGET_SUCCEEDED, TARGET_QUEUED};
    const struct dispatch_history history = {.relay = 0, .mark = 3, .attempt_max = 4};
    struct story story = story_new();
    struct dispatch_event event = waiting_push(3);
    know_relay(&story, 0, 0);
    event.push_opened.states = states;
    event.push_opened.history = &history;
    event.push_opened.history_count = 1;
    step(&story, event);
    expect(&story, "");
    hello(&story, 0, 11, 10);
    expect(&story, "epoch r0 0\nr0 WELCOME 0\nmark p1 r0 <3 #5\nr0 JOB p1\n"
                   "r0 LEASE p1 0#5 2#5\n");
    scheduled(&story, 0, 1, 0, 5); /* known */
    expect(&story, "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheduled_is_progress_and_the_end_closes),
        cmocka_unit_test(exit_code_outside_the_set_ends_the_row),
        cmocka_unit_test(awaited_lease_is_repeated_only_when_in_doubt),
        cmocka_unit_test(taken_over_target_is_not_taken_for_awaited),
        cmocka_unit_test(late_word_of_an_earlier_lease_gives_nothing_back),
        cmocka_unit_test(lost_relay_s_scheduled_target_is_leased_again),
        cmocka_unit_test(stop_takes_scheduled_back_and_resume_leases_it),
        cmocka_unit_test(cancel_of_scheduled_ends_unknown_and_may_become_known),
        cmocka_unit_test(cancel_without_word_leaves_scheduled_not_awaited),
        cmocka_unit_test(failure_on_the_way_leaves_scheduled_unknown),
        cmocka_unit_test(deadline_of_registering_takes_no_waiting_lease),
        cmocka_unit_test(restart_leases_scheduled_targets_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
