/* relay/stage: address literals, subnets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/onlink.h"

static void literal_is_read_and_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.1.2.3", "::1", "2001:db8::7"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct stage_target target = {.address_count = 1};
        char text[LIMIT_ADDRESS_SIZE];
        assert_int_equal(stage_address_parse(texts[i], &target.addresses[0]), 0);
        target_address_text(&target, text);
        assert_string_equal(text, texts[i]);
    }
}

static void text_that_is_no_literal_is_left_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "pc-1", "10.1.2", "10.1.2.256", "010.1.2.3", "1::2::3", "fe80::1%nosuchlink",
        "%lo", "::1%",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        union stage_address address = {.any.sa_family = 77};
        assert_int_equal(stage_address_parse(texts[i], &address), -1);
        assert_int_equal(address.any.sa_family, 77);
    }
    struct stage_target none = {0};
    char text[LIMIT_ADDRESS_SIZE];
    target_address_text(&none, text);
    assert_string_equal(text, "");
}

static bool covered(const char *address, const char *network, const char *mask)
{
    union stage_address a, b, bits;
    assert_int_equal(stage_address_parse(address, &a), 0);
    assert_int_equal(stage_address_parse(network, &b), 0);
    assert_int_equal(stage_address_parse(mask, &bits), 0);
    return address_equal_masked(&a, &b.any, &bits.any);
}

static void subnet_covers_its_addresses_only(void **state)
{
    (void)state;
    assert_true(covered("10.1.2.200", "10.1.2.1", "255.255.255.0"));
    assert_false(covered("10.1.3.200", "10.1.2.1", "255.255.255.0"));
    assert_true(covered("10.1.3.200", "10.1.2.1", "255.255.254.0"));
    assert_true(covered("2001:db8::7", "2001:db8::1", "ffff:ffff:ffff:ffff::"));
    assert_false(covered("2001:db8:0:1::7", "2001:db8::1", "ffff:ffff:ffff:ffff::"));
    assert_false(covered("10.1.2.200", "2001:db8::1", "ffff:ffff:ffff:ffff::"));
}

static void loopback_is_not_on_a_link(void **state)
{
    (void)state;
    struct onlink onlink;
    union stage_address address;
    onlink_init(&onlink);
    assert_true(onlink.probe_max > 0);
    assert_int_equal(stage_address_parse("127.0.0.1", &address), 0);
    assert_false(onlink_covers(&onlink, 1, &address));
    onlink_release(&onlink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_is_read_and_written),
        cmocka_unit_test(text_that_is_no_literal_is_left_alone),
        cmocka_unit_test(subnet_covers_its_addresses_only),
        cmocka_unit_test(loopback_is_not_on_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
