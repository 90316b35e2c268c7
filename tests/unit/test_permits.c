/* coordinator/core/permits: whose turn the first logons of a domain account are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/permits.h"

static struct permits *permits;
static uint64_t now_ms;
static const struct permits_answer *answers;
static size_t count;

static int set_up(void **state)
{
    (void)state;
    permits = permits_new();
    now_ms = 1000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    permits_free(permits);
    return 0;
}

enum { WAIT, GRANTED, OPEN, REFUSED };

static int verdict(const struct message_permit *permit)
{
    assert_true(permit->open + permit->refused + permit->granted <= 1);
    return permit->open ? OPEN : permit->refused ? REFUSED : permit->granted ? GRANTED : WAIT;
}

/* What the relay is answered. */
static int say(uint16_t relay, uint64_t counter, uint32_t refused, bool accepted, bool done)
{
    struct message_permit_get said = {
        .epoch = 1, .counter = counter, .refused = refused, .accepted = accepted, .done = done};
    memset(said.account, 7, sizeof said.account);
    count = permits_take(permits, now_ms, relay, 1, &said, &answers);
    assert_true(count >= 1);
    assert_int_equal(answers[0].relay, relay);
    assert_int_equal(answers[0].permit.counter, counter);
    return verdict(&answers[0].permit);
}

static int ask(uint16_t relay)
{
    return say(relay, 1, 0, false, false);
}

static void permits_one_relay_at_a_time_tries(void **state)
{
    (void)state;
    assert_int_equal(ask(0), GRANTED);
    assert_int_equal(ask(1), WAIT);
    assert_int_equal(ask(0), GRANTED); /* renewed */
    assert_int_equal(ask(2), WAIT);
    assert_int_equal(say(0, 1, 0, false, true), WAIT); /* given back: the next one hears of it */
    assert_int_equal(count, 2);
    assert_int_equal(answers[1].relay, 1);
    assert_int_equal(verdict(&answers[1].permit), GRANTED);
    assert_int_equal(ask(0), WAIT);
}

static void permits_success_opens_it_for_all_that_wait(void **state)
{
    (void)state;
    (void)ask(0);
    (void)ask(1);
    (void)ask(2);
    assert_int_equal(say(0, 1, 0, true, false), OPEN);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(verdict(&answers[i].permit), OPEN);
    assert_int_equal(ask(9), OPEN);
    assert_int_equal(count, 1); /* told once */
}

static void permits_three_refusals_at_all_relays_together_end_it(void **state)
{
    (void)state;
    (void)ask(0);
    (void)ask(1);
    assert_int_equal(say(0, 1, 1, false, false), GRANTED);
    assert_int_equal(say(0, 1, 1, false, false), GRANTED); /* said again is not one more */
    assert_int_equal(answers[0].permit.failures, 1);
    assert_int_equal(say(0, 1, 2, false, true), WAIT);
    assert_int_equal(verdict(&answers[1].permit), GRANTED);
    assert_int_equal(answers[1].permit.failures, 2);
    assert_int_equal(say(1, 1, 1, false, false), REFUSED);
    assert_int_equal(ask(2), REFUSED);
    assert_int_equal(say(1, 1, UINT32_MAX, false, false), REFUSED);
}

static void permits_silent_holder_loses_it(void **state)
{
    (void)state;
    (void)ask(0);
    now_ms += PERMITS_HOLD_MS - 1;
    assert_int_equal(ask(1), WAIT);
    now_ms += 1;
    assert_int_equal(ask(1), GRANTED);
    assert_int_equal(ask(0), WAIT);
}

static void permits_corrected_password_begins_anew(void **state)
{
    (void)state;
    (void)ask(0);
    assert_int_equal(say(0, 1, 3, false, false), REFUSED);
    assert_int_equal(say(0, 2, 0, false, false), GRANTED);
    assert_int_equal(ask(0), REFUSED);
    now_ms += PERMITS_MEMORY_MS;
    assert_int_equal(say(0, 1, 0, false, false), GRANTED);
}

static void permits_flood_of_accounts_stays_bounded(void **state)
{
    (void)state;
    (void)say(0, 1, 3, false, false);
    for (uint64_t counter = 2; counter < 2 + PERMITS_ACCOUNTS_MAX; counter++) {
        now_ms++; /* of many relays, each with a few */
        assert_int_equal(say((uint16_t)(counter / 8), counter, 0, false, false), GRANTED);
    }
    assert_int_equal(say((1 + PERMITS_ACCOUNTS_MAX) / 8, 1 + PERMITS_ACCOUNTS_MAX, 1, false, false),
                     GRANTED);
    assert_int_equal(say(0, 1, 0, false, false), GRANTED); /* the oldest was forgotten */
}

static void permits_flood_of_one_relay_leaves_the_others_theirs(void **state)
{
    (void)state;
    assert_int_equal(say(1, 1, 2, false, false), GRANTED);
    for (uint64_t counter = 2; counter < 2 + 2 * PERMITS_ACCOUNTS_MAX; counter++) {
        now_ms++;
        (void)say(2, counter, 0, false, false);
    }
    assert_int_equal(say(3, 1, 1, false, false), REFUSED); /* two were counted, and this one */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(permits_one_relay_at_a_time_tries),
        TEST(permits_success_opens_it_for_all_that_wait),
        TEST(permits_three_refusals_at_all_relays_together_end_it),
        TEST(permits_silent_holder_loses_it),
        TEST(permits_corrected_password_begins_anew),
        TEST(permits_flood_of_accounts_stays_bounded),
        TEST(permits_flood_of_one_relay_leaves_the_others_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
