/* common/model/subnet: text both ways, who covers whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/subnet.h"

static struct subnet subnet_of(const char *text)
{
    struct subnet subnet;
    struct err err = {0};
    if (subnet_from_text(text, &subnet, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return subnet;
}

static struct subnet_address address_of(const char *text)
{
    struct subnet_address address;
    if (!subnet_address_from_text(text, &address))
        fail_msg("%s", text);
    return address;
}

static void subnet_text_is_canonical(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"10.1.0.0/16", "10.1.0.0/16"},
        {"10.1.2.3", "10.1.2.3/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"2001:DB8:0:0::/48", "2001:db8::/48"},
        {"2001:db8::1", "2001:db8::1/128"},
        {"::ffff:10.1.0.0/112", "10.1.0.0/16"},
        {"255.255.255.255/32", "255.255.255.255/32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[SUBNET_TEXT_SIZE];
        struct subnet subnet = subnet_of(rows[i][0]);
        subnet_text(&subnet, text);
        assert_string_equal(text, rows[i][1]);
        struct subnet again = subnet_of(text);
        assert_true(subnet_includes(&subnet, &again) && subnet_includes(&again, &subnet));
    }
}

static void subnet_from_anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "/",
        "10.1.0.0/",
        "10.1.0.0/33",
        "10.1.0.0/-1",
        "10.1.0.0/ 8",
        "10.1.0/16",
        "10.1.0.1/16",
        "::1/64",
        "2001:db8::/129",
        "fe80::1%eth0",
        "fe80::%1/64",
        "host",
        "10.1.0.0/16 ",
        " 10.1.0.0/16",
        "10.1.0.0/1/6",
        "010.1.0.0/16",
        "0:0:0:0:0:0:0:0:0",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd/48"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct subnet subnet;
        struct err err = {0};
        if (subnet_from_text(rows[i], &subnet, &err) != -1)
            fail_msg("%s was taken", rows[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void subnet_with_host_bits_names_what_was_meant(void **state)
{
    (void)state;
    struct subnet subnet;
    struct err err = {0};
    assert_int_equal(subnet_from_text("10.1.2.3/20", &subnet, &err), -1);
    assert_non_null(strstr(err.text, "10.1.0.0/20"));
    assert_int_equal(subnet_from_text("\x1b[2J", &subnet, &err), -1);
    assert_non_null(strstr(err.text, "\\x1b[2J: "));
}

static void subnet_covers_to_the_bit_and_within_its_family(void **state)
{
    (void)state;
    static const struct {
        const char *subnet;
        const char *address;
        bool covers;
    } rows[] = {
        {"10.1.0.0/17", "10.1.127.255", true},
        {"10.1.0.0/17", "10.1.128.0", false},
        {"10.1.0.0/32", "10.1.0.0", true},
        {"10.1.0.0/32", "10.1.0.1", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "10.0.0.1", false},
        {"::/0", "2001::1", true},
        {"10.1.0.0/16", "::ffff:10.1.9.9", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"fe80::/64", "fe80::1%eth0", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct subnet subnet = subnet_of(rows[i].subnet);
        struct subnet_address address = address_of(rows[i].address);
        if (subnet_covers(&subnet, &address) != rows[i].covers)
            fail_msg("%s and %s", rows[i].subnet, rows[i].address);
    }
}

static void subnet_includes_only_what_lies_whole_inside(void **state)
{
    (void)state;
    struct subnet wide = subnet_of("10.0.0.0/8");
    struct subnet inner = subnet_of("10.200.0.0/13");
    struct subnet other = subnet_of("11.0.0.0/13");
    struct subnet six = subnet_of("::/0");
    assert_true(subnet_includes(&wide, &inner));
    assert_true(subnet_includes(&wide, &wide));
    assert_false(subnet_includes(&inner, &wide));
    assert_false(subnet_includes(&wide, &other));
    assert_false(subnet_includes(&six, &wide));
}

static void address_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "10.1", "10.1.2.3.4", "0x0a000001", "10.1.2.3%eth0", "10.1.2.3/32", "::g", "%eth0"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct subnet_address address;
        if (subnet_address_from_text(rows[i], &address))
            fail_msg("%s was taken", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subnet_text_is_canonical),
        cmocka_unit_test(subnet_from_anything_else_is_refused),
        cmocka_unit_test(subnet_with_host_bits_names_what_was_meant),
        cmocka_unit_test(subnet_covers_to_the_bit_and_within_its_family),
        cmocka_unit_test(subnet_includes_only_what_lies_whole_inside),
        cmocka_unit_test(address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
