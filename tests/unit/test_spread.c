/* Who of a site fetches over the WAN link: one, and another when that one fails. Rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/pace.h"
#include "coordinator/core/spread.h"

#define TOTAL 1000U

static uint8_t digest[LIMIT_DIGEST_BYTES] = {7};

static int setup(void **state)
{
    *state = spread_new();
    return 0;
}

static int teardown(void **state)
{
    spread_free(*state);
    return 0;
}

struct extra {
    bool insist, unusable, complete;
    uint16_t site;
};

static uint16_t ask(void **state, uint16_t relay, uint64_t now_ms, struct extra extra)
{
    struct spread_ask request = {
        .site = extra.site,
        .relay = relay,
        .digest = digest,
        .end = extra.complete ? TOTAL : TOTAL / 2,
        .total = TOTAL,
        .insist = extra.insist,
        .source_usable = !extra.unusable,
        .now_ms = now_ms,
    };
    return spread_decide(*state, &request);
}

static void first_gets_bytes_others_are_sent_to_it(void **state)
{
    assert_int_equal(spread_source(*state, 0, digest), SPREAD_NOBODY);
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(spread_source(*state, 0, digest), 3);
    assert_int_equal(ask(state, 4, 1, (struct extra){0}), 3);
    assert_int_equal(ask(state, 3, 2, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 5, 3, (struct extra){0}), 3);
}

static void sites_and_packages_have_their_own_source(void **state)
{
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 9, 0, (struct extra){.site = 1}), SPREAD_NOBODY);
    digest[31] = 1;
    assert_int_equal(ask(state, 4, 0, (struct extra){0}), SPREAD_NOBODY);
    digest[31] = 0;
    assert_int_equal(ask(state, 4, 0, (struct extra){0}), 3);
}

static void source_that_cannot_serve_is_replaced(void **state)
{
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 4, 1, (struct extra){.unusable = true}), SPREAD_NOBODY);
    assert_int_equal(spread_source(*state, 0, digest), 4);
    assert_int_equal(ask(state, 3, 2, (struct extra){0}), 4);
}

static void first_to_insist_replaces_the_others_follow(void **state)
{
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 4, 1, (struct extra){0}), 3);
    assert_int_equal(ask(state, 5, 1, (struct extra){0}), 3);
    assert_int_equal(ask(state, 4, 9, (struct extra){.insist = true}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 5, 9, (struct extra){.insist = true}), 4);
    assert_int_equal(ask(state, 5, 20, (struct extra){.insist = true}), SPREAD_NOBODY);
}

/* It insists because of what it was told before: here it is told anew. */
static void insisting_of_one_that_was_told_nothing_is_sent_first(void **state)
{
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 4, 1, (struct extra){.insist = true}), 3);
    assert_int_equal(ask(state, 4, 9, (struct extra){.insist = true}), SPREAD_NOBODY);
}

static void more_relays_than_are_remembered_get_bytes_when_they_insist(void **state)
{
    assert_int_equal(ask(state, 0, 0, (struct extra){0}), SPREAD_NOBODY);
    for (uint16_t relay = 1; relay <= SPREAD_TOLD_MAX + 1; relay++)
        assert_int_equal(ask(state, relay, 1, (struct extra){0}), 0);
    assert_int_equal(ask(state, SPREAD_TOLD_MAX + 1, 2, (struct extra){.insist = true}),
                     SPREAD_NOBODY);
}

static void silent_source_is_replaced_unless_it_has_everything(void **state)
{
    assert_int_equal(ask(state, 3, 0, (struct extra){0}), SPREAD_NOBODY);
    assert_int_equal(ask(state, 4, SPREAD_SILENT_MS, (struct extra){0}), 3);
    assert_int_equal(ask(state, 4, SPREAD_SILENT_MS + 1, (struct extra){.complete = true}),
                     SPREAD_NOBODY);
    assert_int_equal(ask(state, 5, 10 * SPREAD_SILENT_MS, (struct extra){0}), 4);
}

static void full_memory_begins_anew(void **state)
{
    for (uint32_t i = 0; i <= SPREAD_ENTRIES_MAX; i++) {
        digest[0] = (uint8_t)i;
        digest[1] = (uint8_t)(i >> 8);
        assert_int_equal(ask(state, 3, i, (struct extra){0}), SPREAD_NOBODY);
        assert_true(spread_count(*state) <= SPREAD_ENTRIES_MAX);
    }
    memset(digest, 0, 2);
    digest[0] = 7;
}

static void rate_without_limit_never_waits(void **state)
{
    (void)state;
    struct pace pace = {0};
    pace_take(&pace, UINT64_MAX);
    assert_int_equal(pace_wait_ms(&pace, 5), 0);
}

static void rate_holds_on_average_whatever_the_piece(void **state)
{
    (void)state;
    static const uint64_t pieces[] = {1, 700, 131072};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct pace pace = {0};
        uint64_t now_ms = 1000;
        uint64_t sent = 0;
        pace_set(&pace, 10000, now_ms);
        while (sent < 1310720) {
            now_ms += pace_wait_ms(&pace, now_ms);
            assert_int_equal(pace_wait_ms(&pace, now_ms), 0);
            pace_take(&pace, pieces[i]);
            sent += pieces[i];
        }
        now_ms += pace_wait_ms(&pace, now_ms);
        uint64_t ideal_ms = sent / 10 - 250; /* what the full bucket saved at the start */
        assert_in_range(now_ms - 1000, ideal_ms - 1, ideal_ms + 200);
    }
}

static void rate_of_one_byte_a_second_and_clock_backwards_are_fine(void **state)
{
    (void)state;
    struct pace pace = {0};
    pace_set(&pace, 1, 5000);
    pace_take(&pace, 3);
    assert_int_equal(pace_wait_ms(&pace, 5000), 3000);
    assert_int_equal(pace_wait_ms(&pace, 1), 3000);
    assert_int_equal(pace_wait_ms(&pace, 7999), 1);
    assert_int_equal(pace_wait_ms(&pace, 8000), 0);
    pace_set(&pace, UINT64_MAX, 8000);
    pace_take(&pace, UINT64_MAX);
    assert_true(pace_wait_ms(&pace, 8000) > 0);
}

static void debt_outlives_a_change_of_the_rate(void **state)
{
    (void)state;
    struct pace pace = {0};
    pace_set(&pace, 1000, 0);
    pace_take(&pace, 1249);
    assert_int_equal(pace_wait_ms(&pace, 0), 1000);
    pace_set(&pace, 100, 0);
    assert_int_equal(pace_wait_ms(&pace, 0), 10000);
    pace_set(&pace, 0, 0);
    assert_int_equal(pace_wait_ms(&pace, 0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(first_gets_bytes_others_are_sent_to_it),
        CASE(sites_and_packages_have_their_own_source),
        CASE(source_that_cannot_serve_is_replaced),
        CASE(first_to_insist_replaces_the_others_follow),
        CASE(insisting_of_one_that_was_told_nothing_is_sent_first),
        CASE(more_relays_than_are_remembered_get_bytes_when_they_insist),
        CASE(silent_source_is_replaced_unless_it_has_everything),
        CASE(full_memory_begins_anew),
        cmocka_unit_test(rate_without_limit_never_waits),
        cmocka_unit_test(rate_holds_on_average_whatever_the_piece),
        cmocka_unit_test(rate_of_one_byte_a_second_and_clock_backwards_are_fine),
        cmocka_unit_test(debt_outlives_a_change_of_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
