/* The coordinator's core, story by story: its store was put back to an earlier state. See
 * dispatch_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

#define OPENED_ATTEMPT 5000000 /* START_UNIX_MS in seconds */

static void hello_after(struct story *story, uint16_t relay, uint64_t instance, uint64_t epoch)
{
    struct message_hello message = {.protocol_version = MESSAGE_PROTOCOL_VERSION,
                                    .instance = instance,
                                    .credit = 10,
                                    .epoch = epoch};
    struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = relay};
    event.hello = &message;
    step(story, event);
}

/* Two relays of a site, and a push whose copy in the store says that nobody had anything. */
static struct story story_of_copy(bool told, uint32_t target_count)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .target_count = target_count,
                                                      .restored = told};
    step(&story, event);
    return story;
}

static void failure_after_a_restore_counts_when_every_relay_has_spoken(void **state)
{
    (void)state;
    struct story story = story_of_copy(true, 1);
    expect(&story, "mark p1 r0 <1 #5000000\nmark p1 r1 <1 #5000000\n");
    hello(&story, 1, 2000000000, 10);
    forget(&story);
    result(&story, 1, 1, 0, OPENED_ATTEMPT + 1, TARGET_UNREACHABLE, REASON_NO_REPLY);
    expect(&story, "row p1/0 unknown_effect NO_REPLY\nr1 RESULTS_ACK 5\nclosed p1\n");
    hello(&story, 0, 1000000000, 10);
    forget(&story);
    scheduled(&story, 0, 1, 0, 1); /* what it journalled before, whatever the attempt */
    expect(&story, "row p1/0 scheduled -\nr0 RESULTS_ACK 5\nr0 CLOSE p1\nr1 CLOSE p1\n");
    story_end(&story);
}

static void result_of_a_lost_lease_counts(void **state)
{
    (void)state;
    struct story story = story_of_copy(true, 1);
    hello(&story, 0, 1000000000, 10);
    forget(&story);
    scheduled(&story, 0, 1, 0, 7);
    expect(&story, "row p1/0 scheduled -\nr0 RESULTS_ACK 5\nclosed p1\nr0 CLOSE p1\n");
    story_end(&story);
}

static void cancel_after_a_restore_asks_before_a_row_is_cancelled(void **state)
{
    (void)state;
    struct story story = story_of_copy(true, 1);
    forget(&story);
    stop_push(&story, 1, true);
    expect(&story, ""); /* else: CANCELLED, while a relay may have it */
    hello(&story, 0, 1000000000, 10);
    expect(&story, "epoch r0 0\nr0 WELCOME 0\nmark p1 r0 <1 #5000001\nr0 JOB p1\n"
                   "r0 STOP p1 (job 1)\nr0 LEASE p1 0#5000001\n");
    story_end(&story);
}

static void epoch_that_was_never_given_out_shows_an_old_copy(void **state)
{
    (void)state;
    struct story story = story_of_copy(false, 2);
    hello(&story, 1, 2000000000, 1);
    expect(&story, "epoch r1 0\nr1 WELCOME 0\nmark p1 r1 <1 #1\nr1 JOB p1\nr1 LEASE p1 0#1\n");
    hello_after(&story, 0, 1000000000, START_UNIX_MS + 77);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OLD_COPY), 1);
    assert_true(epoch_of(&story, 0) > START_UNIX_MS + 77);
    expect(&story, "mark p1 r0 <2 #5000000\nmark p1 r1 <2 #5000000\nepoch r0 78\nr0 WELCOME 78\n"
                   "mark p1 r0 <2 #5000001\nr0 JOB p1\nr0 LEASE p1 0-1#5000001\n");
    hello_after(&story, 1, 2000000000, START_UNIX_MS + 99); /* once a push */
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OLD_COPY), 2);
    assert_null(strstr(buf_cstr(&story.trace), "mark"));
    story_end(&story);
}

static void epoch_that_nobody_can_have_been_given_shows_nothing(void **state)
{
    (void)state;
    struct story story = story_of_copy(false, 1);
    hello_after(&story, 0, 1000000000, UINT64_MAX);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OLD_COPY), 0);
    assert_true(epoch_of(&story, 0) == START_UNIX_MS);
    story_end(&story);
}

static void old_copy_counts_for_the_site_of_who_shows_it(void **state)
{
    (void)state;
    struct story story = story_of_copy(false, 1);
    know_relay(&story, 7, 3); /* of a site that the push has nothing to do with */
    hello(&story, 0, 1000000000, 1);
    forget(&story);
    hello_after(&story, 7, 3000000000, START_UNIX_MS + 77);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OLD_COPY), 1);
    assert_null(strstr(buf_cstr(&story.trace), "mark"));
    story_end(&story);
}

static void known_epoch_shows_nothing(void **state)
{
    (void)state;
    struct story story = story_of_copy(false, 1);
    hello(&story, 0, 1000000000, 10);
    uint64_t epoch = epoch_of(&story, 0);
    hello_after(&story, 0, 1000000001, epoch);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_OLD_COPY), 0);
    story_end(&story);
}

static void revoked_relay_owes_nothing_after_a_restore(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    struct dispatch_event out = {.kind = DISPATCH_RELAY_STANDING};
    out.relay_standing = (struct dispatch_relay_standing){0, RELAY_REVOKED};
    step(&story, out);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .target_count = 1,
                                                      .restored = true};
    step(&story, event);
    hello(&story, 1, 2000000000, 10);
    forget(&story);
    result(&story, 1, 1, 0, OPENED_ATTEMPT + 1, TARGET_UNREACHABLE, REASON_NO_REPLY);
    expect(&story, "row p1/0 unreachable NO_REPLY\nr1 RESULTS_ACK 5\nclosed p1\nr1 CLOSE p1\n");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_after_a_restore_counts_when_every_relay_has_spoken),
        cmocka_unit_test(result_of_a_lost_lease_counts),
        cmocka_unit_test(cancel_after_a_restore_asks_before_a_row_is_cancelled),
        cmocka_unit_test(epoch_that_was_never_given_out_shows_an_old_copy),
        cmocka_unit_test(epoch_that_nobody_can_have_been_given_shows_nothing),
        cmocka_unit_test(old_copy_counts_for_the_site_of_who_shows_it),
        cmocka_unit_test(known_epoch_shows_nothing),
        cmocka_unit_test(revoked_relay_owes_nothing_after_a_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
