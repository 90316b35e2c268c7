/* The coordinator's core, story by story: several relays of a site, and what is true when one takes
 * over from another. See dispatch_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

static void fails(struct story *story, uint16_t relay, uint32_t no, uint32_t attempt,
                  enum stage stage, enum reason reason)
{
    struct result_row row = row_of(1, no, attempt, reason_state(reason), reason);
    row.outcome.stage = stage;
    strcpy(row.outcome.detail, "said so");
    send_rows(story, relay, epoch_of(story, relay), &row, 1);
}

/* Relay 0 had `target_count` targets and is silent; relay 1 of its site has them now. */
static struct story story_of_takeover(uint32_t target_count)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 1000000000, 10);
    open_push(&story, 1, target_count);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 2000000000, 10);
    forget(&story);
    return story;
}

static void failure_after_a_takeover_is_unknown_and_the_first_is_asked(void **state)
{
    (void)state;
    struct story story = story_of_takeover(2);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/0 unknown_effect NO_REPLY\nr1 RESULTS_ACK 5\n");
    const char *detail = "said so" DISPATCH_DOUBT_TEXT;
    fails(&story, 1, 1, 2, STAGE_COPY, REASON_DISK_FULL);
    assert_string_equal(story.effects.items[0].outcome->detail, detail);
    expect(&story, "row p1/1 unknown_effect DISK_FULL\nr1 RESULTS_ACK 5\nclosed p1\n");
    hello(&story, 0, 1100000000, 10);
    forget(&story);
    assert_int_equal(dispatch_push_leased(story.core, 1), 2);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 0);
    /* It had INTENT there, and nothing of the other. */
    fails(&story, 0, 1, 3, STAGE_COUNT, REASON_CANCELLED);
    expect(&story, "certain p1/1\nr0 RESULTS_ACK 5\n");
    scheduled(&story, 0, 1, 0, 3);
    expect(&story, "row p1/0 scheduled -\nr0 RESULTS_ACK 5\nr0 CLOSE p1\nr1 CLOSE p1\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_DOUBTED), 2);
    story_end(&story);
}

static void closed_push_is_asked_about_under_stop(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    forget(&story);
    hello(&story, 0, 1100000000, 10);
    expect(&story,
           "epoch r0 60000\nr0 WELCOME 60000\nmark p1 r0 <1 #3\nr0 JOB p1\nr0 STOP p1 (job 1)\n"
           "r0 LEASE p1 0#3\n");
    story_end(&story);
}

static void relay_that_is_back_already_is_asked_before_the_push_closes(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    hello(&story, 0, 1100000000, 10);
    forget(&story);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/0 unknown_effect NO_REPLY\nr1 RESULTS_ACK 5\n");
    heartbeat(&story, 0, 10);
    expect(&story, "r0 HEARTBEAT_ACK 77\nmark p1 r0 <1 #3\nr0 JOB p1\nr0 LEASE p1 0#3\n");
    fails(&story, 0, 0, 3, STAGE_PING, REASON_HOST_UNREACHABLE);
    expect(&story, "row p1/0 unreachable HOST_UNREACHABLE\nr0 RESULTS_ACK 5\nclosed p1\n"
                   "r0 CLOSE p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void success_is_no_doubt_and_a_refusal_is(void **state)
{
    (void)state;
    struct story story = story_of_takeover(2);
    scheduled(&story, 1, 1, 0, 2);
    expect(&story, "row p1/0 scheduled -\nr1 RESULTS_ACK 5\n");
    fails(&story, 1, 1, 2, STAGE_SCHEDULE, REASON_SCHEDULER_REFUSED);
    expect(&story, "row p1/1 unknown_effect SCHEDULER_REFUSED\nr1 RESULTS_ACK 5\nclosed p1\n");
    story_end(&story);
}

static void what_a_relay_gave_back_itself_is_no_doubt(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 1000000000, 10);
    open_push(&story, 1, 1);
    stop_push(&story, 1, false);
    fails(&story, 0, 0, 1, STAGE_COUNT, REASON_CANCELLED);
    story.now_ms += LEASE_MS;
    tick(&story);
    resume_push(&story, 1);
    hello(&story, 1, 2000000000, 10);
    forget(&story);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/0 unreachable NO_REPLY\nr1 RESULTS_ACK 5\nclosed p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void restart_of_the_same_relay_is_no_doubt(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 5);
    hello(&story, 0, 1100000000, 5);
    forget(&story);
    fails(&story, 0, 0, 2, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/0 unreachable NO_REPLY\nr0 RESULTS_ACK 5\nclosed p1\nr0 CLOSE p1\n");
    story_end(&story);
}

/* Its word comes with an epoch that is over for its leases, and counts as a word all the same. */
static void late_failure_of_the_first_ends_the_doubt(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    hello(&story, 0, 1100000000, 10);
    fails(&story, 0, 0, 1, STAGE_COPY, REASON_DISK_FULL);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    forget(&story);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/0 unreachable NO_REPLY\nr1 RESULTS_ACK 5\nclosed p1\n"
                   "r0 CLOSE p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void who_does_not_know_leaves_it_unknown_for_good(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    hello(&story, 0, 1100000000, 10);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    heartbeat(&story, 0, 10);
    forget(&story);
    struct result_row row = row_of(1, 0, 3, TARGET_UNKNOWN_EFFECT, REASON_CONN_LOST);
    send_rows(&story, 0, epoch_of(&story, 0), &row, 1);
    expect(&story, "r0 RESULTS_ACK 5\nclosed p1\n");
    hello(&story, 0, 1200000000, 10);
    assert_int_equal(dispatch_push_leased(story.core, 1), 0);
    story_end(&story);
}

static void asked_relay_that_goes_away_is_asked_again_when_it_is_back(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    hello(&story, 0, 1100000000, 10);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    heartbeat(&story, 0, 10);
    forget(&story);
    hello(&story, 0, 1200000000, 10);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 0);
    forget(&story);
    story.now_ms += LEASE_MS;
    tick(&story);
    expect(&story, "closed p1\n");
    story_end(&story);
}

/* The second relay went past INTENT and can't look. What the first one says of its own way then
 * tells nothing of the task. */
static void failure_of_the_first_says_nothing_of_what_the_second_cannot_tell(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    struct result_row row = row_of(1, 0, 2, TARGET_UNKNOWN_EFFECT, REASON_CONN_LOST);
    send_rows(&story, 1, epoch_of(&story, 1), &row, 1);
    hello(&story, 0, 1100000000, 10);
    forget(&story);
    fails(&story, 0, 0, 1, STAGE_COPY, REASON_DISK_FULL);
    expect(&story, "r0 RESULTS_ACK 5\n");
    scheduled(&story, 1, 1, 0, 2);
    expect(&story, "row p1/0 scheduled -\nr1 RESULTS_ACK 5\nr0 CLOSE p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void failure_of_the_first_says_nothing_of_what_the_second_was_not_heard_of(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    stop_push(&story, 1, true);
    for (uint32_t ms = 0; ms < GRACE_MS; ms += HEARTBEAT_MS) {
        story.now_ms += HEARTBEAT_MS;
        heartbeat(&story, 1, 10);
    }
    forget(&story);
    tick(&story);
    expect(&story, "r1 JOB p1\nr1 STOP p1 (job 1)\nr1 LEASE p1 0#2\n"
                   "row p1/0 unknown_effect RELAY_LOST\nclosed p1\n");
    hello(&story, 0, 1100000000, 10);
    forget(&story);
    fails(&story, 0, 0, 1, STAGE_COUNT, REASON_EXPIRED);
    expect(&story, "r0 RESULTS_ACK 5\n");
    scheduled(&story, 1, 1, 0, 2);
    expect(&story, "row p1/0 scheduled -\nr1 RESULTS_ACK 5\nr0 CLOSE p1\nr1 CLOSE p1\n");
    story_end(&story);
}

/* After a restart the coordinator knows how far leases reached, and who said what it has stored. */
static void doubt_is_found_again_after_a_restart(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    const struct dispatch_history history[] = {{0, 2, 1}, {1, 1, 2}};
    const uint8_t states[] = {DISPATCH_STATE_DOUBTED, TARGET_QUEUED, TARGET_QUEUED};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .target_count = 3,
                                                      .states = states,
                                                      .history = history,
                                                      .history_count = 2};
    step(&story, event);
    hello(&story, 1, 2000000000, 2);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 1);
    forget(&story);
    fails(&story, 1, 0, 3, STAGE_COUNT, REASON_CANCELLED); /* relay 0 may still know */
    fails(&story, 1, 1, 2, STAGE_PING, REASON_NO_REPLY);   /* so it may here */
    hello(&story, 0, 1000000000, 9);
    forget(&story);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 0);
    assert_int_equal(dispatch_target_holder(story.core, 1, 1), 0);
    fails(&story, 0, 0, 4, STAGE_COUNT, REASON_EXPIRED);
    expect(&story, "certain p1/0\nr0 RESULTS_ACK 5\n");
    fails(&story, 0, 1, 3, STAGE_PING, REASON_NO_REPLY);
    expect(&story, "row p1/1 unreachable NO_REPLY\nr0 RESULTS_ACK 5\n");
    story_end(&story);
}

/* Whether a doubted failure counts for --max-fail once it is certain, the store knows. */
static void doubted_failure_counts_for_the_threshold_after_a_restart(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const struct dispatch_history history[] = {{0, 1, 1}};
    const uint8_t states[] = {DISPATCH_STATE_DOUBTED_FAILED, TARGET_QUEUED};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .fail_stop_count = 1,
                                                      .target_count = 2,
                                                      .states = states,
                                                      .history = history,
                                                      .history_count = 1};
    step(&story, event);
    hello(&story, 0, 1000000000, 1);
    forget(&story);
    fails(&story, 0, 0, 2, STAGE_COUNT, REASON_EXPIRED);
    expect(&story, "certain p1/0\nr0 RESULTS_ACK 5\nrow p1/1 never_attempted MAX_FAIL\n"
                   "closed p1\nr0 CLOSE p1\n");
    story_end(&story);
}

/* ---- who may work ---- */

static void stand(struct story *story, uint16_t relay, enum relay_standing standing)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_STANDING};
    event.relay_standing = (struct dispatch_relay_standing){relay, standing};
    step(story, event);
}

static void draining_relay_finishes_and_gets_nothing_new(void **state)
{
    (void)state;
    struct story story = story_of_one_push(4, 2);
    stand(&story, 0, RELAY_DRAINING);
    scheduled(&story, 0, 1, 0, 1);
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "row p1/0 scheduled -\nr0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\nr0 RESULTS_ACK 5\n");
    stand(&story, 0, RELAY_ACTIVE);
    expect(&story, "mark p1 r0 <4 #1\nr0 LEASE p1 2-3#1\n");
    story_end(&story);
}

static void revoked_relay_loses_its_leases_and_is_not_heard(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    uint64_t epoch = epoch_of(&story, 0);
    stand(&story, 0, RELAY_REVOKED);
    expect(&story, "");
    assert_int_equal(dispatch_push_leased(story.core, 1), 0);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    send_rows(&story, 0, epoch, &row, 1);
    hello(&story, 0, 1100000000, 2);
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OUT), 2);
    story_end(&story);
}

static void relay_without_the_account_gets_nothing_until_it_has_it(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint16_t able[] = {1};
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 1000000000, 10);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .relays = able,
                                                      .relay_count = 1,
                                                      .target_count = 3};
    forget(&story);
    step(&story, event);
    expect(&story, "");
    hello(&story, 1, 2000000000, 1);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), 1);
    forget(&story);
    struct dispatch_event can = {.kind = DISPATCH_RELAY_CAN, .push_key = 1};
    can.relay_can = (struct dispatch_relay_can){0, true};
    step(&story, can);
    expect(&story, "mark p1 r0 <3 #1\nr0 JOB p1\nr0 LEASE p1 1-2#1\n");
    can.relay_can = (struct dispatch_relay_can){1, false};
    step(&story, can);
    scheduled(&story, 1, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\nr1 RESULTS_ACK 5\n");
    story_end(&story);
}

/* ---- generations ---- */

static void new_generation_ends_the_one_before(void **state)
{
    (void)state;
    struct story story = story_of_takeover(3);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    scheduled(&story, 1, 1, 1, 2);
    scheduled(&story, 1, 1, 2, 2);
    forget(&story);
    const uint8_t states[] = {TARGET_QUEUED, DISPATCH_STATE_OLD, DISPATCH_STATE_OLD};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 2,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 2,
                                                      .target_count = 3,
                                                      .states = states};
    step(&story, event);
    expect(&story, "r1 CLOSE p1\nmark p1 r1 <1 #1\nr1 JOB p1\nr1 LEASE p1 0#1\n");
    scheduled(&story, 1, 1, 0, 2); /* of generation 1: heard, and of no account */
    expect(&story, "r1 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_GENERATION), 1);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    row.generation = 2;
    send_rows(&story, 1, epoch_of(&story, 1), &row, 1);
    expect(&story, "row p1/0 scheduled -\nr1 RESULTS_ACK 5\nclosed p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void ended_push_with_unknown_rows_is_forgotten(void **state)
{
    (void)state;
    struct story story = story_of_takeover(1);
    fails(&story, 1, 0, 2, STAGE_PING, REASON_NO_REPLY);
    forget(&story);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
    event.push_ended.push = id_of(1);
    event.push_ended.generation = 1;
    step(&story, event);
    expect(&story, "r1 CLOSE p1\n");
    hello(&story, 0, 1100000000, 10);
    scheduled(&story, 0, 1, 0, 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_UNKNOWN_PUSH), 1);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_after_a_takeover_is_unknown_and_the_first_is_asked),
        cmocka_unit_test(closed_push_is_asked_about_under_stop),
        cmocka_unit_test(relay_that_is_back_already_is_asked_before_the_push_closes),
        cmocka_unit_test(success_is_no_doubt_and_a_refusal_is),
        cmocka_unit_test(what_a_relay_gave_back_itself_is_no_doubt),
        cmocka_unit_test(restart_of_the_same_relay_is_no_doubt),
        cmocka_unit_test(late_failure_of_the_first_ends_the_doubt),
        cmocka_unit_test(who_does_not_know_leaves_it_unknown_for_good),
        cmocka_unit_test(asked_relay_that_goes_away_is_asked_again_when_it_is_back),
        cmocka_unit_test(failure_of_the_first_says_nothing_of_what_the_second_cannot_tell),
        cmocka_unit_test(failure_of_the_first_says_nothing_of_what_the_second_was_not_heard_of),
        cmocka_unit_test(doubt_is_found_again_after_a_restart),
        cmocka_unit_test(doubted_failure_counts_for_the_threshold_after_a_restart),
        cmocka_unit_test(draining_relay_finishes_and_gets_nothing_new),
        cmocka_unit_test(revoked_relay_loses_its_leases_and_is_not_heard),
        cmocka_unit_test(relay_without_the_account_gets_nothing_until_it_has_it),
        cmocka_unit_test(new_generation_ends_the_one_before),
        cmocka_unit_test(ended_push_with_unknown_rows_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
