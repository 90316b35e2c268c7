/* relay/stage: address literals, subnets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/onlink.h"
#include "relay/stage/runner.h"

static union stage_address address_of(const char *text)
{
    union stage_address address;
    assert_int_equal(stage_address_parse(text, &address), 0);
    return address;
}

static void literal_is_read_and_written(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "10.1.2.3", "0.20.100.255", "192.168.199.9", "::1", "2001:db8::7", "fe80::1%lo",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        union stage_address address = address_of(texts[i]);
        char text[LIMIT_ADDRESS_SIZE];
        stage_address_text(&address, text);
        assert_string_equal(text, texts[i]);
    }
}

static void mapped_literal_is_the_ipv4_address(void **state)
{
    (void)state;
    union stage_address mapped = address_of("::ffff:10.1.2.3");
    union stage_address plain = address_of("10.1.2.3");
    assert_true(stage_address_equal(&mapped, &plain));
    assert_true(stage_address_is_v4(&mapped));
}

static void address_that_is_no_machines_is_told(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1",        "239.1.2.3",
        "::",      "ff02::1", "fe80::1",         "::ffff:224.0.0.1",
    };
    static const char *const good[] = {"10.1.2.3", "127.0.0.1", "::1", "fe80::1%lo", "fd00::1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        union stage_address address = address_of(bad[i]);
        assert_non_null(stage_address_flaw(&address));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        union stage_address address = address_of(good[i]);
        assert_null(stage_address_flaw(&address));
    }
}

static void address_in_use_comes_first(void **state)
{
    (void)state;
    union stage_address found[] = {address_of("10.1.2.3"), address_of("10.1.2.4"),
                                   address_of("::1")};
    struct stage_target target = {.address_count = 0};
    char text[LIMIT_ADDRESS_SIZE];
    target_addresses_set(&target, found, 3);
    target_address_use(&target, 2);
    target_address_text(&target, text);
    assert_string_equal(text, "::1");
    assert_true(stage_address_equal(&target.addresses[1], &found[0]));
    assert_true(stage_address_equal(&target.addresses[2], &found[1]));
    target_addresses_set(&target, NULL, 0);
    target_address_text(&target, text);
    assert_string_equal(text, "");
    free(target.addresses);
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
    assert_true(onlink.probe_max_v4 > 0);
    assert_true(onlink.probe_max_v6 > 0);
    assert_int_equal(stage_address_parse("127.0.0.1", &address), 0);
    assert_false(onlink_covers(&onlink, 1, &address));
    assert_int_equal(onlink_prefix_bits(&onlink, 1, &address), 8);
    address = address_of("203.0.113.77");
    assert_int_equal(onlink_prefix_bits(&onlink, 1, &address), 0);
    onlink_release(&onlink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_is_read_and_written),
        cmocka_unit_test(mapped_literal_is_the_ipv4_address),
        cmocka_unit_test(address_that_is_no_machines_is_told),
        cmocka_unit_test(address_in_use_comes_first),
        cmocka_unit_test(text_that_is_no_literal_is_left_alone),
        cmocka_unit_test(subnet_covers_its_addresses_only),
        cmocka_unit_test(loopback_is_not_on_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
