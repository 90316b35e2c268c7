/* common/model: words, ids, totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/message.h"

static void words_every_row_round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < STAGE_COUNT; i++)
        assert_int_equal(stage_from_word(stage_word((enum stage)i)), i);
    for (int i = 0; i < REASON_COUNT; i++)
        assert_int_equal(reason_from_word(reason_word((enum reason)i)), i);
    for (int i = 0; i < TARGET_STATE_COUNT; i++)
        assert_int_equal(target_state_from_word(target_state_word((enum target_state)i)), i);
    assert_int_equal(stage_from_word("RESOLVE"), STAGE_COUNT);
    assert_int_equal(reason_from_word("no_reply"), REASON_COUNT);
}

static void reasons_lead_to_terminal_states_with_advice(void **state)
{
    (void)state;
    for (int i = 1; i < REASON_COUNT; i++) {
        assert_true(target_state_terminal(reason_state((enum reason)i)));
        assert_true(strlen(reason_cause((enum reason)i)) > 0);
        assert_true(strlen(reason_remedy((enum reason)i)) > 0);
    }
    assert_int_equal(reason_state(REASON_NO_REPLY), TARGET_UNREACHABLE);
    assert_int_equal(reason_state(REASON_RELAY_LOST), TARGET_UNKNOWN_EFFECT);
}

static void push_id_prefix_ignores_case_and_rejects_junk(void **state)
{
    (void)state;
    struct push_id id;
    assert_int_equal(push_id_from_text("00112233445566778899AABBCCDDEEFF", &id), 0);
    assert_true(push_id_has_prefix(&id, "0011"));
    assert_true(push_id_has_prefix(&id, "00112233445566778899aabbccddeeff"));
    assert_false(push_id_has_prefix(&id, "00112233445566778899aabbccddeeff0"));
    assert_false(push_id_has_prefix(&id, "01"));
    assert_false(push_id_has_prefix(&id, ""));
    assert_int_equal(push_id_from_text("00", &id), -1);
}

static void totals_scheduled_counts_by_wait(void **state)
{
    (void)state;
    struct totals totals = {0};
    totals.by_state[TARGET_SCHEDULED] = 3;
    totals.by_state[TARGET_QUEUED] = 2;
    totals.by_state[TARGET_FAILED] = 1;
    assert_int_equal(totals_submitted(&totals), 6);
    assert_int_equal(totals_pending(&totals, false), 2);
    assert_int_equal(totals_pending(&totals, true), 5);
    assert_int_equal(totals_succeeded(&totals, false), 3);
    assert_int_equal(totals_succeeded(&totals, true), 0);
}

static void code_text_shows_each_kind_as_its_field_does(void **state)
{
    (void)state;
    char text[16];
    assert_string_equal(outcome_code_text(CODE_NTSTATUS, 0xC0000022, text), "0xC0000022");
    assert_string_equal(outcome_code_text(CODE_ERRNO, 111, text), "111");
    assert_string_equal(outcome_code_text(CODE_ICMP, 0x0301, text), "3/1");
    assert_string_equal(outcome_code_text(CODE_NONE, 5, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_every_row_round_trips),
        cmocka_unit_test(reasons_lead_to_terminal_states_with_advice),
        cmocka_unit_test(push_id_prefix_ignores_case_and_rejects_junk),
        cmocka_unit_test(totals_scheduled_counts_by_wait),
        cmocka_unit_test(code_text_shows_each_kind_as_its_field_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
