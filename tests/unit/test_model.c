/* common/model: words, ids, totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/message.h"
#include "common/model/signed_objects.h"

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

static void kinds_and_standings_each_have_a_word(void **state)
{
    (void)state;
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++)
        assert_non_null(message_kind_word((enum message_kind)kind));
    assert_string_equal(message_kind_word(MESSAGE_KIND_COUNT), "?");
    assert_string_equal(relay_standing_word(RELAY_CLONED), "cloned");
    assert_string_equal(relay_standing_word(RELAY_STANDING_COUNT), "?");
}

static void pattern_fits_as_people_expect(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *name;
        bool fits;
    } rows[] = {
        {"dc1", "DC1", true},
        {"DC?", "dc1", true},
        {"dc?", "dc", false},
        {"dc?", "dc12", false},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"?", "", false},
        {"srv-*", "srv-", true},
        {"srv-*", "SRV-a.corp.example", true},
        {"*.corp.example", "a.corp.example", true},
        {"*.corp.example", "corp.example", false},
        {"*-*-*", "a-b-c", true},
        {"*-*-*", "a-b", false},
        {"**a**", "bab", true},
        {"a?c",
         "a\xc3\xa9"
         "c",
         true}, /* one character of two bytes */
        {"*?c",
         "\xc3\xa9"
         "c",
         true},
        {"ab", "abc", false},
        {"abc", "ab", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (pattern_fits(rows[i].pattern, rows[i].name) != rows[i].fits)
            fail_msg("%s on %s", rows[i].pattern, rows[i].name);
    }
}

/* A matcher that tries every way to share the run among the stars would not end. */
static void pattern_of_many_stars_ends_soon(void **state)
{
    (void)state;
    char name[LIMIT_TARGET_NAME_SIZE];
    char pattern[LIMIT_TARGET_NAME_SIZE];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i + 1 < sizeof pattern; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = '\0';
    assert_false(pattern_fits(pattern, name));
    assert_false(pattern_fits("*a*a*a*a*a*a*a*a*b", name));
    pattern[sizeof pattern - 2] = '*';
    assert_true(pattern_fits(pattern, name));
}

static struct policy policy_of(struct subnet *subnets, uint32_t count)
{
    static char names[][16] = {"dc*", "*.vip.example", "10.9.*"};
    static char *never_names[] = {names[0], names[1], names[2]};
    struct policy policy = {.version = 1,
                            .operators = {{1}, {2}},
                            .operator_count = 2,
                            .never_names = never_names,
                            .never_name_count = 3,
                            .never_subnets = subnets,
                            .never_subnet_count = count};
    return policy;
}

static void policy_never_name_sees_through_labels_dots_and_addresses(void **state)
{
    (void)state;
    struct subnet subnets[2];
    assert_int_equal(subnet_from_text("10.0.0.0/24", &subnets[0], NULL), 0);
    assert_int_equal(subnet_from_text("2001:db8::/32", &subnets[1], NULL), 0);
    struct policy policy = policy_of(subnets, 2);
    static const char *const never[] = {"DC1",           "dc1.corp.example", "dc1.corp.example.",
                                        "a.VIP.example", "a.vip.example.",   "10.0.0.77",
                                        "2001:db8::5",   "::ffff:10.0.0.77", "10.9.1.1"};
    static const char *const fine[] = {"adc1",      "pc.corp.example", "vip.example",
                                       "10.0.1.77", "fe80::1%eth0",    "2001:db9::5",
                                       "x.dc1"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (!policy_never_name(&policy, never[i]))
            fail_msg("%s", never[i]);
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        if (policy_never_name(&policy, fine[i]))
            fail_msg("%s", fine[i]);
    }
}

static void policy_knows_its_operators_only(void **state)
{
    (void)state;
    struct policy policy = policy_of(NULL, 0);
    const uint8_t second[LIMIT_KEY_BYTES] = {2};
    const uint8_t third[LIMIT_KEY_BYTES] = {3};
    const uint8_t zero[LIMIT_KEY_BYTES] = {0};
    assert_true(policy_has_operator(&policy, second));
    assert_false(policy_has_operator(&policy, third));
    assert_false(policy_has_operator(&policy, zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_every_row_round_trips),
        cmocka_unit_test(reasons_lead_to_terminal_states_with_advice),
        cmocka_unit_test(push_id_prefix_ignores_case_and_rejects_junk),
        cmocka_unit_test(totals_scheduled_counts_by_wait),
        cmocka_unit_test(code_text_shows_each_kind_as_its_field_does),
        cmocka_unit_test(kinds_and_standings_each_have_a_word),
        cmocka_unit_test(pattern_fits_as_people_expect),
        cmocka_unit_test(pattern_of_many_stars_ends_soon),
        cmocka_unit_test(policy_never_name_sees_through_labels_dots_and_addresses),
        cmocka_unit_test(policy_knows_its_operators_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
