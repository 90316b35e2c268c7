/* What is said about sites that are oddly described. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/lint.h"

#define TEXTS_MAX 6
#define SITES_MAX 4
#define ROWS_MAX 8

struct line {
    const char *name;
    const char *subnets[TEXTS_MAX];
    const char *covered[TEXTS_MAX]; /* by certificates */
    uint32_t relay_count;
    bool trusted;
};

static char said[4096];

static struct subnet *subnets_of(const char *const texts[TEXTS_MAX], uint32_t *count)
{
    struct subnet *subnets = calloc(TEXTS_MAX, sizeof *subnets);
    struct err err = {0};
    for (*count = 0; *count < TEXTS_MAX && texts[*count] != NULL; ++*count)
        assert_int_equal(subnet_from_text(texts[*count], &subnets[*count], &err), 0);
    return subnets;
}

/* All sentences, a line each, errors with a "!". */
static const char *lint(const struct line *lines, uint32_t count, uint32_t row_max, bool *more)
{
    struct site sites[SITES_MAX] = {0};
    struct lint_site asked[SITES_MAX] = {0};
    struct lint_row rows[ROWS_MAX];
    uint32_t row_count = 0;
    struct err err = {0};
    assert_in_range(count, 1, SITES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(sites[i].name, sizeof sites[i].name, "%s", lines[i].name);
        sites[i].subnets = (char **)(uintptr_t)lines[i].subnets;
        while (sites[i].subnet_count < TEXTS_MAX && lines[i].subnets[sites[i].subnet_count] != NULL)
            sites[i].subnet_count++;
        sites[i].relay_count = lines[i].relay_count;
        asked[i] = (struct lint_site){.site = &sites[i], .trusted = lines[i].trusted};
        asked[i].subnets = subnets_of(lines[i].covered, &asked[i].subnet_count);
    }
    assert_int_equal(lint_sites(asked, count, rows, row_max, &row_count, more, &err), 0);
    size_t used = 0;
    said[0] = '\0';
    for (uint32_t i = 0; i < row_count; i++)
        used += (size_t)snprintf(said + used, sizeof said - used, "%s%s\n",
                                 rows[i].error ? "!" : "", rows[i].text);
    for (uint32_t i = 0; i < count; i++)
        free((void *)(uintptr_t)asked[i].subnets);
    return said;
}

static void tidy_sites_give_no_row(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a",
         .subnets = {"10.1.0.0/24", "10.1.1.0/24", "10.9.0.0/24", "2001:db8::/48"},
         .covered = {"10.0.0.0/8", "2001:db8::/32"},
         .relay_count = 1},
        {.name = "b", .subnets = {"10.2.0.0/16"}, .relay_count = 1, .trusted = true}};
    bool more = false;
    assert_string_equal(lint(lines, 2, ROWS_MAX, &more), "");
    assert_false(more);
}

static void same_subnet_in_two_sites_is_an_error(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a", .subnets = {"10.1.0.0/24"}, .relay_count = 1, .trusted = true},
        {.name = "b", .subnets = {"10.1.0.0/24"}, .relay_count = 1, .trusted = true}};
    bool more = false;
    assert_string_equal(lint(lines, 2, ROWS_MAX, &more),
                        "!10.1.0.0/24 is in site a and again in site b: a has it\n");
}

static void nested_subnets_are_a_remark(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a", .subnets = {"10.0.0.0/8", "::/0"}, .relay_count = 1, .trusted = true},
        {.name = "b", .subnets = {"10.1.0.0/24", "10.1.0.7"}, .relay_count = 1, .trusted = true}};
    bool more = false;
    assert_string_equal(
        lint(lines, 2, ROWS_MAX, &more),
        "10.1.0.0/24 of site b lies in 10.0.0.0/8 of site a: the narrower one wins\n"
        "10.1.0.7/32 of site b lies in 10.1.0.0/24 of site b: the narrower one "
        "wins\n");
}

static void gap_between_neighbours_is_a_remark(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a",
         .subnets = {"10.1.0.0/24", "10.1.2.0/24", "10.1.4.0/24", "10.1.99.0/24"},
         .relay_count = 1,
         .trusted = true},
        {.name = "b", .subnets = {"10.1.3.0/25"}, .relay_count = 1, .trusted = true}};
    bool more = false;
    assert_string_equal(lint(lines, 2, ROWS_MAX, &more),
                        "10.1.1.0 to 10.1.1.255, between subnets of site a, belong to no site\n"
                        "10.1.3.128 to 10.1.3.255, between subnets of site a, belong to no site\n");
}

static void site_without_relay_is_an_error(void **state)
{
    (void)state;
    static const struct line lines[] = {{.name = "a", .subnets = {"10.1.0.0/24"}}};
    bool more = false;
    assert_string_equal(lint(lines, 1, ROWS_MAX, &more),
                        "!site a has no relay: nobody works there\n");
}

static void subnet_outside_all_certificates_is_an_error(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a",
         .subnets = {"10.1.0.0/24", "10.2.0.0/24", "2001:db8::/64"},
         .covered = {"10.1.0.0/25", "10.1.0.128/25", "10.2.0.0/26", "10.2.0.192/26", "::/1"},
         .relay_count = 2},
        {.name = "b", .subnets = {"10.3.0.0/30"}, .relay_count = 1}};
    bool more = false;
    assert_string_equal(lint(lines, 2, ROWS_MAX, &more),
                        "!no relay of site a may touch 10.2.0.64 to 10.2.0.191 (subnet "
                        "10.2.0.0/24): approve one with it\n"
                        "!no relay of site b may touch 10.3.0.0 to 10.3.0.3 (subnet 10.3.0.0/30): "
                        "approve one with it\n");
}

static void ipv6_certificate_covers_no_ipv4(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a", .subnets = {"10.1.0.0/24"}, .covered = {"::/0"}, .relay_count = 1}};
    bool more = false;
    assert_non_null(strstr(lint(lines, 1, ROWS_MAX, &more), "10.1.0.0 to 10.1.0.255"));
}

static void rows_beyond_the_room_are_told_as_more(void **state)
{
    (void)state;
    static const struct line lines[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    bool more = false;
    assert_string_equal(lint(lines, 3, 2, &more), "!site a has no relay: nobody works there\n"
                                                  "!site b has no relay: nobody works there\n");
    assert_true(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tidy_sites_give_no_row),
        cmocka_unit_test(same_subnet_in_two_sites_is_an_error),
        cmocka_unit_test(nested_subnets_are_a_remark),
        cmocka_unit_test(gap_between_neighbours_is_a_remark),
        cmocka_unit_test(site_without_relay_is_an_error),
        cmocka_unit_test(subnet_outside_all_certificates_is_an_error),
        cmocka_unit_test(ipv6_certificate_covers_no_ipv4),
        cmocka_unit_test(rows_beyond_the_room_are_told_as_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
