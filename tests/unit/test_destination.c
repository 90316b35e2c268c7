/* relay/stage/destination: RFC 6724's order, by its own examples (10.2) and a few of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/destination.h"

static struct destination made(const char *address, const char *source, unsigned source_bits)
{
    struct destination d = {.source_bits = source_bits, .reachable = source != NULL};
    union stage_address parsed;
    /* Link-local literals have no zone here; it is of no account. */
    assert_int_equal(stage_address_parse(address, &parsed), 0);
    d.address = parsed;
    if (source != NULL) {
        assert_int_equal(stage_address_parse(source, &parsed), 0);
        d.source = parsed;
    }
    return d;
}

/* Whichever way they come, `first` goes first. */
static void assert_order(struct destination first, struct destination second)
{
    struct destination given[2] = {first, second};
    struct destination turned[2] = {second, first};
    destinations_sort(given, 2);
    destinations_sort(turned, 2);
    assert_true(stage_address_equal(&given[0].address, &first.address));
    assert_true(stage_address_equal(&turned[0].address, &first.address));
    assert_true(stage_address_equal(&turned[1].address, &second.address));
}

static void destination_of_matching_scope_comes_first(void **state)
{
    (void)state;
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64),
                 made("198.51.100.121", "169.254.13.78", 16));
    assert_order(made("198.51.100.121", "198.51.100.117", 24),
                 made("2001:db8:1::1", "fe80::1", 64));
}

static void destination_of_higher_precedence_comes_first(void **state)
{
    (void)state;
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64), made("10.1.2.3", "10.1.2.4", 24));
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64),
                 made("2002:c633:6401::1", "2002:c633:6401::2", 64));
    /* A name in DNS with a unique local address: IPv4 goes before it (2.1, precedence 3). */
    assert_order(made("10.50.1.7", "10.49.0.1", 24), made("fd50::10:50:1:7", "fd49::1", 64));
}

static void destination_of_smaller_scope_comes_first(void **state)
{
    (void)state;
    assert_order(made("fe80::1", "fe80::2", 64), made("2001:db8:1::1", "2001:db8:1::2", 64));
}

static void destination_with_deprecated_source_comes_last(void **state)
{
    (void)state;
    struct destination deprecated = made("fe80::1", "fe80::2", 64);
    deprecated.source_deprecated = true;
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64), deprecated);
}

static void destination_from_home_address_comes_first(void **state)
{
    (void)state;
    struct destination home = made("2001:db8:1::1", "2001:db8:3::1", 64);
    home.source_home = true;
    assert_order(home, made("fe80::1", "fe80::2", 64));
}

static void destination_with_longer_matching_prefix_comes_first(void **state)
{
    (void)state;
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64),
                 made("2001:db8:3ffe::1", "2001:db8:3f44::2", 64));
    assert_order(made("10.1.2.200", "10.1.2.4", 24), made("10.9.2.3", "10.1.2.4", 24));
}

static void prefix_match_looks_no_further_than_the_sources_subnet(void **state)
{
    (void)state;
    struct destination far = made("10.1.2.200", "10.1.2.4", 24);
    struct destination two[2] = {far, made("10.1.2.5", "10.1.2.4", 24)};
    destinations_sort(two, 2);
    assert_true(stage_address_equal(&two[0].address, &far.address));
}

static void destination_of_matching_label_comes_first(void **state)
{
    (void)state;
    assert_order(made("2002:c633:6401::1", "2002:c633:6401::2", 64),
                 made("2001:db8:1::1", "2002:c633:6401::2", 64));
}

static void destination_without_a_route_comes_last(void **state)
{
    (void)state;
    assert_order(made("10.1.2.3", "10.1.2.4", 24), made("2001:db8:1::1", NULL, 0));
    assert_order(made("2001:db8:1::1", "2001:db8:1::2", 64), made("10.1.2.3", NULL, 0));
}

static void equal_destinations_keep_their_order(void **state)
{
    (void)state;
    struct destination three[3] = {made("10.1.7.9", "10.9.2.4", 8), made("10.1.7.1", "10.9.2.4", 8),
                                   made("10.1.7.5", "10.9.2.4", 8)};
    struct destination before[3];
    memcpy(before, three, sizeof before);
    destinations_sort(three, 3);
    for (int i = 0; i < 3; i++)
        assert_true(stage_address_equal(&three[i].address, &before[i].address));
    destinations_sort(three, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destination_of_matching_scope_comes_first),
        cmocka_unit_test(destination_of_higher_precedence_comes_first),
        cmocka_unit_test(destination_of_smaller_scope_comes_first),
        cmocka_unit_test(destination_with_deprecated_source_comes_last),
        cmocka_unit_test(destination_from_home_address_comes_first),
        cmocka_unit_test(destination_with_longer_matching_prefix_comes_first),
        cmocka_unit_test(prefix_match_looks_no_further_than_the_sources_subnet),
        cmocka_unit_test(destination_of_matching_label_comes_first),
        cmocka_unit_test(destination_without_a_route_comes_last),
        cmocka_unit_test(equal_destinations_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
