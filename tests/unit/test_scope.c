/* relay/stage/scope: which addresses a relay may touch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/scope.h"

static bool covers(const struct scope *scope, const char *text)
{
    union stage_address address;
    assert_int_equal(stage_address_parse(text, &address), 0);
    return scope_judge(scope, &address) == SCOPE_ALLOWED;
}

static void scope_without_subnets_covers_everything(void **state)
{
    (void)state;
    struct scope scope = {0};
    assert_true(covers(&scope, "10.1.2.3"));
    assert_true(covers(&scope, "2001:db8::1"));
}

static void scope_covers_its_subnets_only(void **state)
{
    (void)state;
    struct scope scope = {0};
    assert_int_equal(scope_add(&scope, "10.1.0.0/16", NULL), 0);
    assert_int_equal(scope_add(&scope, "192.0.2.7", NULL), 0);
    assert_int_equal(scope_add(&scope, "10.3.4.128/25", NULL), 0);
    assert_int_equal(scope_add(&scope, "2001:db8:7::/49", NULL), 0);
    static const char *const inside[] = {
        "10.1.0.0",   "10.1.255.255",  "192.0.2.7",         "10.3.4.128",
        "10.3.4.255", "2001:db8:7::1", "2001:db8:7:7fff::", "::ffff:10.1.2.3",
    };
    static const char *const outside[] = {
        "10.0.255.255", "10.2.0.0",          "192.0.2.6", "10.3.4.127",
        "10.3.5.128",   "2001:db8:7:8000::", "::1",       "2001:db8:8::1",
    };
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        assert_true(covers(&scope, inside[i]));
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        assert_false(covers(&scope, outside[i]));
    scope_release(&scope);
}

static void scope_of_one_family_covers_nothing_of_the_other(void **state)
{
    (void)state;
    struct scope scope = {0};
    assert_int_equal(scope_add(&scope, "::/0", NULL), 0);
    assert_false(covers(&scope, "10.1.2.3"));
    assert_true(covers(&scope, "2001:db8::1"));
    scope_release(&scope);
    assert_int_equal(scope_add(&scope, "0.0.0.0/0", NULL), 0);
    assert_true(covers(&scope, "10.1.2.3"));
    assert_false(covers(&scope, "2001:db8::1"));
    scope_release(&scope);
}

static void subnet_with_an_error_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "10.1.0.0/33",
        "10.1.0.0/",
        "10.1.0.0/-1",
        "10.1.2.3/16",
        "10.1",
        "pc-1",
        "2001:db8::/129",
        "2001:db8::1/64",
        "fe80::%lo/64",
        "/8",
        "10.0.0.0/8/8",
        "2001:db8::1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19/64",
    };
    struct scope scope = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        assert_int_equal(scope_add(&scope, bad[i], &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_int_equal(scope.count, 0);
}

static enum scope_verdict judge(const struct scope *scope, const char *text)
{
    union stage_address address;
    assert_int_equal(stage_address_parse(text, &address), 0);
    return scope_judge(scope, &address);
}

static void enrolled_scope_is_what_all_allow(void **state)
{
    (void)state;
    struct subnet certified[2];
    struct subnet never;
    char name[] = "dc-*";
    char other[] = "Files-1"; /* without a star that would take in all that follows */
    char full[] = "till.shop.example";
    char *names[] = {name, other, full};
    struct policy policy = {.never_subnets = &never,
                            .never_subnet_count = 1,
                            .never_names = names,
                            .never_name_count = 3};
    struct certificate certificate = {.subnets = certified, .subnet_count = 2};
    struct scope scope = {.policy = &policy};
    assert_int_equal(subnet_from_text("10.1.0.0/16", &certified[0], NULL), 0);
    assert_int_equal(subnet_from_text("2001:db8::/32", &certified[1], NULL), 0);
    assert_int_equal(subnet_from_text("10.1.9.0/24", &never, NULL), 0);
    assert_int_equal(judge(&scope, "10.1.2.3"), SCOPE_OUTSIDE); /* no certificate yet */
    scope.certificate = &certificate;
    assert_int_equal(judge(&scope, "10.1.2.3"), SCOPE_ALLOWED);
    assert_int_equal(judge(&scope, "::ffff:10.1.2.3"), SCOPE_ALLOWED);
    assert_int_equal(judge(&scope, "2001:db8::7"), SCOPE_ALLOWED);
    assert_int_equal(judge(&scope, "10.2.0.1"), SCOPE_OUTSIDE);
    assert_int_equal(judge(&scope, "10.1.9.9"), SCOPE_NEVER);
    assert_int_equal(judge(&scope, "::ffff:10.1.9.9"), SCOPE_NEVER);
    assert_int_equal(scope_add(&scope, "10.1.2.0/24", NULL), 0);
    assert_int_equal(judge(&scope, "10.1.2.3"), SCOPE_ALLOWED);
    assert_int_equal(judge(&scope, "10.1.3.3"), SCOPE_OUTSIDE);
    assert_int_equal(judge(&scope, "10.1.9.9"), SCOPE_NEVER); /* whatever the rest says */
    assert_true(scope_never_name(&scope, "DC-1"));
    assert_true(scope_never_name(&scope, "dc-1.corp.example."));
    assert_true(scope_never_name(&scope, "files-1"));
    assert_true(scope_never_name(&scope, "files-1."));
    assert_true(scope_never_name(&scope, "FILES-1.corp.example"));
    assert_true(scope_never_name(&scope, "files-1.corp.example."));
    assert_false(scope_never_name(&scope, "files-10.corp.example"));
    assert_true(scope_never_name(&scope, "till.shop.example"));
    assert_true(scope_never_name(&scope, "till.shop.example."));
    assert_false(scope_never_name(&scope, "till"));
    assert_true(scope_never_name(&scope, "10.1.9.1"));
    assert_false(scope_never_name(&scope, "pc-1"));
    scope_release(&scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scope_without_subnets_covers_everything),
        cmocka_unit_test(scope_covers_its_subnets_only),
        cmocka_unit_test(enrolled_scope_is_what_all_allow),
        cmocka_unit_test(scope_of_one_family_covers_nothing_of_the_other),
        cmocka_unit_test(subnet_with_an_error_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
