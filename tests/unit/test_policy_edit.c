/* Changes to a policy before it is signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/cli/policy_edit.h"

#define OK(call) assert_int_equal(call, 0)

static void key_of(uint8_t key[LIMIT_KEY_BYTES], uint8_t value)
{
    memset(key, value, LIMIT_KEY_BYTES);
}

static void operators_come_and_go_but_for_the_last(void **state)
{
    (void)state;
    struct policy policy = {0};
    struct err err = {0};
    uint8_t key[LIMIT_KEY_BYTES];
    for (uint8_t i = 1; i <= 3; i++) {
        key_of(key, i);
        OK(policy_add_operator(&policy, key, &err));
    }
    assert_int_equal(policy_add_operator(&policy, key, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    key_of(key, 1);
    OK(policy_remove_operator(&policy, key, &err));
    assert_false(policy_has_operator(&policy, key));
    assert_int_equal(policy_remove_operator(&policy, key, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    key_of(key, 3);
    OK(policy_remove_operator(&policy, key, &err));
    key_of(key, 2);
    assert_true(policy_has_operator(&policy, key));
    assert_int_equal(policy_remove_operator(&policy, key, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(policy.operator_count, 1);
}

static void lists_of_keys_are_full_at_their_limits(void **state)
{
    (void)state;
    struct policy policy = {0};
    struct err err = {0};
    uint8_t key[LIMIT_KEY_BYTES];
    for (uint8_t i = 0; i < LIMIT_POLICY_OPERATORS; i++) {
        key_of(key, i);
        OK(policy_add_operator(&policy, key, &err));
        if (i < LIMIT_POLICY_COORDINATORS)
            OK(policy_add_coordinator(&policy, key, &err));
    }
    key_of(key, 0xff);
    assert_int_equal(policy_add_operator(&policy, key, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(policy_add_coordinator(&policy, key, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    key_of(key, LIMIT_POLICY_OPERATORS - 1);
    OK(policy_remove_operator(&policy, key, &err));
    key_of(key, 0);
    OK(policy_remove_coordinator(&policy, key, &err));
}

static void never_touch_list_is_full_at_its_limit(void **state)
{
    (void)state;
    struct policy policy = {0};
    struct err err = {0};
    bool changed = false;
    char text[32];
    for (unsigned i = 0; i < LIMIT_NEVER_ENTRIES; i++) {
        (void)snprintf(text, sizeof text, "pc-%u", i);
        OK(policy_never_add(&policy, text, &changed, &err));
        (void)snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
        OK(policy_never_add(&policy, text, &changed, &err));
    }
    assert_int_equal(policy_never_add(&policy, "one-more", &changed, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(policy_never_add(&policy, "11.0.0.1", &changed, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    OK(policy_never_add(&policy, "PC-7", &changed, &err)); /* is there */
    assert_false(changed);
    OK(policy_never_remove(&policy, "pc-0", &changed, &err));
    assert_true(changed);
    OK(policy_never_add(&policy, "one-more", &changed, &err));
    policy_release(&policy);
}

static void clone_shares_nothing_with_the_original(void **state)
{
    (void)state;
    struct policy policy = {0};
    struct policy clone;
    struct err err = {0};
    bool changed = false;
    OK(policy_never_add(&policy, "dc1", &changed, &err));
    OK(policy_never_add(&policy, "10.1.0.0/16", &changed, &err));
    policy_clone(&policy, &clone);
    OK(policy_never_remove(&clone, "DC1", &changed, &err));
    assert_true(changed);
    OK(policy_never_remove(&clone, "10.1.0.0/16", &changed, &err));
    assert_true(changed);
    OK(policy_never_remove(&clone, "10.1.0.0/16", &changed, &err));
    assert_false(changed);
    assert_true(policy_never_name(&policy, "dc1"));
    assert_true(policy_never_name(&policy, "10.1.2.3"));
    assert_false(policy_never_name(&clone, "dc1"));
    assert_false(policy_never_name(&clone, "10.1.2.3"));
    policy_release(&policy);
    policy_release(&clone);
}

static void relay_is_revoked_once(void **state)
{
    (void)state;
    struct policy policy = {0};
    struct policy clone;
    struct err err = {0};
    uint8_t key[LIMIT_KEY_BYTES] = {0};
    bool changed = false;
    for (uint32_t i = 0; i < LIMIT_POLICY_REVOKED; i++) {
        memcpy(key, &i, sizeof i);
        assert_false(policy_revokes(&policy, key));
        OK(policy_revoke(&policy, key, &changed, &err));
        assert_true(changed && policy_revokes(&policy, key));
    }
    OK(policy_revoke(&policy, key, &changed, &err));
    assert_false(changed);
    key[31] = 1;
    assert_int_equal(policy_revoke(&policy, key, &changed, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    policy_clone(&policy, &clone);
    memset(policy.revoked[7], 0xff, LIMIT_KEY_BYTES);
    key[31] = 0;
    memcpy(key, &(uint32_t){7}, sizeof(uint32_t));
    assert_true(policy_revokes(&clone, key));
    assert_false(policy_revokes(&policy, key));
    policy_release(&policy);
    policy_release(&clone);
}

static void never_touch_entry_that_protects_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "*",    "?*?", "*.*",  "",          ".",    "a/b",        "10.0.0.*", "10.0.0.1-9", "a b",
        "a\nb", "a,b", "\xff", "0.0.0.0/0", "::/0", "10.0.0.1/8", "1.2.3",    "a:b"};
    static const char *const fine[] = {"*-01", "10*",  "dc?", "p\xc3\xa4rchen",
                                       "a_b",  "a.b.", "::1"};
    struct policy policy = {0};
    bool changed = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        if (policy_never_add(&policy, rows[i], &changed, &err) != -1)
            fail_msg("%s was taken", rows[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct err err = {0};
        if (policy_never_add(&policy, fine[i], &changed, &err) != 0)
            fail_msg("%s: %s", fine[i], err.text);
    }
    policy_release(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_come_and_go_but_for_the_last),
        cmocka_unit_test(lists_of_keys_are_full_at_their_limits),
        cmocka_unit_test(never_touch_list_is_full_at_its_limit),
        cmocka_unit_test(clone_shares_nothing_with_the_original),
        cmocka_unit_test(relay_is_revoked_once),
        cmocka_unit_test(never_touch_entry_that_protects_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
