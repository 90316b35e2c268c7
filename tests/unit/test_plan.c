/* Which site a target belongs to: the order of the rules, and the intervals against a naive search.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core/plan.h"

#define TEXTS_MAX 8

/* A site in one line: subnets and patterns end with NULL. */
struct line {
    const char *name;
    const char *subnets[TEXTS_MAX];
    const char *patterns[TEXTS_MAX];
    bool is_default;
};

static struct plan *plan_of(const struct line *lines, uint32_t count)
{
    struct site *sites = calloc(count + 1U, sizeof *sites);
    struct plan *plan = NULL;
    struct err err = {0};
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(sites[i].name, sizeof sites[i].name, "%s", lines[i].name);
        sites[i].subnets = (char **)(uintptr_t)lines[i].subnets;
        sites[i].patterns = (char **)(uintptr_t)lines[i].patterns;
        while (sites[i].subnet_count < TEXTS_MAX && lines[i].subnets[sites[i].subnet_count] != NULL)
            sites[i].subnet_count++;
        while (sites[i].pattern_count < TEXTS_MAX &&
               lines[i].patterns[sites[i].pattern_count] != NULL)
            sites[i].pattern_count++;
        sites[i].is_default = lines[i].is_default;
    }
    if (plan_new(&plan, sites, count, &err) != 0)
        fail_msg("%s", err.text);
    free(sites);
    return plan;
}

/* Where a target goes that has these addresses, as "SITE by WHY match". */
static const char *went(const struct plan *plan, const char *name, const char *first,
                        const char *second)
{
    static const char *const words[ROUTE_BY_COUNT] = {"nowhere", "unresolved", "site", "subnet",
                                                      "pattern", "default",    "never"};
    static char text[256];
    struct subnet_address addresses[2];
    struct plan_question question = {.name = name, .addresses = addresses, .site = PLAN_SITE_NONE};
    if (first != NULL)
        assert_true(subnet_address_from_text(first, &addresses[question.address_count++]));
    if (second != NULL)
        assert_true(subnet_address_from_text(second, &addresses[question.address_count++]));
    struct plan_route route = plan_route(plan, &question);
    (void)snprintf(text, sizeof text, "%s/%s/%s", plan_site_name(plan, route.site), words[route.by],
                   route.match);
    return text;
}

static const struct line three[] = {
    {.name = "lyon", .subnets = {"10.1.0.0/16", "2001:db8:1::/48"}, .patterns = {"lyo-*"}},
    {.name = "nice", .subnets = {"10.1.7.0/24", "10.2.0.0/16"}, .patterns = {"*.nice.example"}},
    {.name = "oslo", .subnets = {"10.1.7.9", "::/0"}, .patterns = {"lyo-1?", "*"}},
};

static void address_in_nested_subnets_goes_to_longest_prefix(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    assert_string_equal(went(plan, "a", "10.1.0.0", NULL), "lyon/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "a", "10.1.7.0", NULL), "nice/subnet/10.1.7.0/24");
    assert_string_equal(went(plan, "a", "10.1.7.9", NULL), "oslo/subnet/10.1.7.9/32");
    assert_string_equal(went(plan, "a", "10.1.7.10", NULL), "nice/subnet/10.1.7.0/24");
    assert_string_equal(went(plan, "a", "10.1.8.0", NULL), "lyon/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "a", "10.1.255.255", NULL), "lyon/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "a", "10.2.255.255", NULL), "nice/subnet/10.2.0.0/16");
    assert_string_equal(went(plan, "a", "2001:db8:1:ffff::1", NULL), "lyon/subnet/2001:db8:1::/48");
    assert_string_equal(went(plan, "a", "2001:db8:2::", NULL), "oslo/subnet/::/0");
    plan_free(plan);
}

static void ipv4_address_under_ipv6_default_route_is_not_covered(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    assert_string_equal(went(plan, "10.3.0.0", "10.3.0.0", NULL), "/nowhere/");
    assert_string_equal(went(plan, "10.0.255.255", "::ffff:10.0.255.255", NULL), "/nowhere/");
    assert_string_equal(went(plan, "9.9.9.9", "::ffff:10.1.7.9", NULL), "oslo/subnet/10.1.7.9/32");
    plan_free(plan);
    const struct line v6_alone = {.name = "oslo", .subnets = {"::/0"}};
    plan = plan_of(&v6_alone, 1);
    assert_string_equal(went(plan, "10.3.0.0", "10.3.0.0", NULL), "/nowhere/");
    assert_string_equal(went(plan, "::1", "2001:db8::", NULL), "oslo/subnet/::/0");
    plan_free(plan);
}

static void name_with_several_addresses_goes_by_narrowest_then_lowest(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    assert_string_equal(went(plan, "a", "10.1.1.1", "10.1.7.1"), "nice/subnet/10.1.7.0/24");
    assert_string_equal(went(plan, "a", "10.1.7.1", "10.1.1.1"), "nice/subnet/10.1.7.0/24");
    assert_string_equal(went(plan, "a", "10.2.1.1", "10.1.1.1"), "lyon/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "a", "10.1.1.1", "10.2.1.1"), "lyon/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "a", "10.9.1.1", "10.2.1.1"), "nice/subnet/10.2.0.0/16");
    plan_free(plan);
}

static void name_without_covered_address_goes_by_pattern_with_most_literals(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    assert_string_equal(went(plan, "LYO-77", NULL, NULL), "lyon/pattern/lyo-*");
    assert_string_equal(went(plan, "lyo-12", NULL, NULL), "oslo/pattern/lyo-1?");
    assert_string_equal(went(plan, "lyo-12.nice.example", NULL, NULL),
                        "nice/pattern/*.nice.example");
    assert_string_equal(went(plan, "lyo-12.example", NULL, NULL), "oslo/pattern/lyo-1?");
    assert_string_equal(went(plan, "else", "10.77.1.1", NULL), "oslo/pattern/*");
    plan_free(plan);
}

static void patterns_of_equal_strength_go_by_order_of_sites(void **state)
{
    (void)state;
    static const struct line lines[] = {{.name = "a", .patterns = {"*pc"}},
                                        {.name = "b", .patterns = {"pc*", "p?c*"}}};
    struct plan *plan = plan_of(lines, 2);
    assert_string_equal(went(plan, "pc-pc", NULL, NULL), "a/pattern/*pc");
    assert_string_equal(went(plan, "pc-px", NULL, NULL), "b/pattern/pc*");
    plan_free(plan);
}

static void address_as_name_fits_no_pattern(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    assert_string_equal(went(plan, "172.16.0.1", "172.16.0.1", NULL), "/nowhere/");
    plan_free(plan);
}

static void default_site_takes_what_nothing_else_takes(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {.name = "a", .subnets = {"10.1.0.0/16"}, .patterns = {"a-*"}},
        {.name = "z", .is_default = true}};
    struct plan *plan = plan_of(lines, 2);
    assert_string_equal(went(plan, "b", NULL, NULL), "z/default/");
    assert_string_equal(went(plan, "10.2.0.1", "10.2.0.1", NULL), "z/default/");
    assert_string_equal(went(plan, "a-1", "10.2.0.1", NULL), "a/pattern/a-*");
    plan_free(plan);
}

static void nothing_at_all_tells_unresolved_from_nowhere(void **state)
{
    (void)state;
    struct plan *plan = plan_of(NULL, 0);
    assert_string_equal(went(plan, "b", NULL, NULL), "/unresolved/");
    assert_string_equal(went(plan, "b", "10.1.1.1", NULL), "/nowhere/");
    assert_int_equal(plan_find_site(plan, "a"), PLAN_SITE_NONE);
    plan_free(plan);
}

static void site_of_the_operator_outranks_the_address(void **state)
{
    (void)state;
    struct plan *plan = plan_of(three, 3);
    struct subnet_address address;
    assert_true(subnet_address_from_text("10.1.1.1", &address));
    const struct plan_question question = {.name = "a",
                                           .addresses = &address,
                                           .address_count = 1,
                                           .site = plan_find_site(plan, "oslo")};
    struct plan_route route = plan_route(plan, &question);
    assert_int_equal(route.by, ROUTE_BY_SITE);
    assert_string_equal(plan_site_name(plan, route.site), "oslo");
    plan_free(plan);
}

static void name_needs_address_only_when_it_may_decide(void **state)
{
    (void)state;
    static const struct line names[] = {{.name = "a", .patterns = {"a-*"}}};
    static const struct line whole[] = {{.name = "a", .is_default = true}};
    struct plan *plan = plan_of(three, 3);
    assert_true(plan_needs_address(plan, "lyo-1", PLAN_SITE_NONE));
    assert_false(plan_needs_address(plan, "lyo-1", 1));
    plan_free(plan);
    plan = plan_of(names, 1);
    assert_false(plan_needs_address(plan, "a-1", PLAN_SITE_NONE));
    assert_true(plan_needs_address(plan, "b-1", PLAN_SITE_NONE)); /* NXDOMAIN, or in no site? */
    plan_free(plan);
    plan = plan_of(whole, 1);
    assert_false(plan_needs_address(plan, "b-1", PLAN_SITE_NONE));
    plan_free(plan);
}

static void subnet_of_two_sites_belongs_to_the_first(void **state)
{
    (void)state;
    static const struct line lines[] = {{.name = "a", .subnets = {"10.1.0.0/16"}},
                                        {.name = "b", .subnets = {"10.1.0.0/16", "10.1.1.0/24"}},
                                        {.name = "c", .subnets = {"0.0.0.0/0", "::/0"}}};
    struct plan *plan = plan_of(lines, 3);
    assert_string_equal(went(plan, "x", "10.1.0.0", NULL), "a/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "x", "10.1.1.0", NULL), "b/subnet/10.1.1.0/24");
    assert_string_equal(went(plan, "x", "10.1.2.0", NULL), "a/subnet/10.1.0.0/16");
    assert_string_equal(went(plan, "x", "255.255.255.255", NULL), "c/subnet/0.0.0.0/0");
    assert_string_equal(went(plan, "x", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL),
                        "c/subnet/::/0");
    plan_free(plan);
}

static void text_that_is_no_subnet_is_refused(void **state)
{
    (void)state;
    char *subnets[] = {(char *)(uintptr_t) "10.1.0.1/16"};
    const struct site site = {.name = "lyon", .subnets = subnets, .subnet_count = 1};
    struct plan *plan = NULL;
    struct err err = {0};
    assert_int_equal(plan_new(&plan, &site, 1, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "site lyon"));
    assert_null(plan);
}

/* ---- against a search through all subnets ---- */

static uint64_t random_state;

/* xorshift64*: the same numbers on every machine. */
static uint32_t draw(uint32_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 2685821657736338717ULL) >> 33) % below;
}

/* Few different bits, so that subnets nest and addresses meet them. */
static void draw_address(struct subnet_address *address, bool is_v4)
{
    char text[SUBNET_TEXT_SIZE];
    if (is_v4)
        (void)snprintf(text, sizeof text, "%u.%u.%u.%u", 10 + draw(2) * 245U, draw(4) * 85U,
                       draw(4) * 85U, draw(256));
    else
        (void)snprintf(text, sizeof text, "%x::%x:%x", draw(2) * 0xffffU, draw(3) * 0x7fffU,
                       draw(65536));
    assert_true(subnet_address_from_text(text, address));
}

static void draw_subnet(struct subnet *subnet)
{
    struct subnet_address address;
    struct err err = {0};
    char text[SUBNET_TEXT_SIZE];
    bool is_v4 = draw(2) == 0;
    draw_address(&address, is_v4);
    *subnet =
        (struct subnet){.bits = (uint8_t)(is_v4 ? 106 + draw(23) : 16 + draw(113)), .is_v4 = is_v4};
    memcpy(subnet->bytes, address.bytes, sizeof subnet->bytes);
    for (unsigned bit = subnet->bits; bit < 128; bit++)
        subnet->bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
    subnet_text(subnet, text);
    assert_int_equal(subnet_from_text(text, subnet, &err), 0);
}

#define RANDOM_SITES 12U
#define RANDOM_SUBNETS 9U

struct random_sites {
    struct site sites[RANDOM_SITES];
    char *texts[RANDOM_SITES][RANDOM_SUBNETS];
    char room[RANDOM_SITES][RANDOM_SUBNETS][SUBNET_TEXT_SIZE];
    struct subnet subnets[RANDOM_SITES][RANDOM_SUBNETS];
};

static void draw_sites(struct random_sites *all)
{
    memset(all, 0, sizeof *all);
    for (uint32_t i = 0; i < RANDOM_SITES; i++) {
        struct site *site = &all->sites[i];
        (void)snprintf(site->name, sizeof site->name, "s%02u", i);
        site->subnets = all->texts[i];
        site->subnet_count = draw(RANDOM_SUBNETS + 1);
        for (uint32_t j = 0; j < site->subnet_count; j++) {
            draw_subnet(&all->subnets[i][j]);
            subnet_text(&all->subnets[i][j], all->room[i][j]);
            all->texts[i][j] = all->room[i][j];
        }
    }
}

/* The site with the longest prefix, of equal ones the first. */
static uint32_t search(const struct random_sites *all, const struct subnet_address *address,
                       char match[SUBNET_TEXT_SIZE])
{
    uint32_t best = PLAN_SITE_NONE;
    int best_bits = -1;
    match[0] = '\0';
    for (uint32_t i = 0; i < RANDOM_SITES; i++) {
        for (uint32_t j = 0; j < all->sites[i].subnet_count; j++) {
            const struct subnet *subnet = &all->subnets[i][j];
            if (!subnet_covers(subnet, address) || (int)subnet->bits <= best_bits)
                continue;
            best = i;
            best_bits = subnet->bits;
            subnet_text(subnet, match);
        }
    }
    return best;
}

static void random_subnets_agree_with_naive_search(void **state)
{
    (void)state;
    static struct random_sites all;
    struct err err = {0};
    uint32_t found = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct plan *plan = NULL;
        random_state = seed * 0x9e3779b97f4a7c15ULL;
        draw_sites(&all);
        assert_int_equal(plan_new(&plan, all.sites, RANDOM_SITES, &err), 0);
        for (uint32_t i = 0; i < 200; i++) {
            struct subnet_address address;
            char match[SUBNET_TEXT_SIZE];
            draw_address(&address, draw(2) == 0);
            uint32_t expected = search(&all, &address, match);
            const struct plan_question question = {
                .name = "x", .addresses = &address, .address_count = 1, .site = PLAN_SITE_NONE};
            struct plan_route route = plan_route(plan, &question);
            if (route.site != expected || strcmp(route.match, match) != 0)
                fail_msg("seed %llu, address %u: %s, not %s", (unsigned long long)seed, i,
                         route.match, match);
            found += expected != PLAN_SITE_NONE;
        }
        plan_free(plan);
    }
    assert_in_range(found, 10000, 59000); /* both outcomes are tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_in_nested_subnets_goes_to_longest_prefix),
        cmocka_unit_test(ipv4_address_under_ipv6_default_route_is_not_covered),
        cmocka_unit_test(name_with_several_addresses_goes_by_narrowest_then_lowest),
        cmocka_unit_test(name_without_covered_address_goes_by_pattern_with_most_literals),
        cmocka_unit_test(patterns_of_equal_strength_go_by_order_of_sites),
        cmocka_unit_test(address_as_name_fits_no_pattern),
        cmocka_unit_test(default_site_takes_what_nothing_else_takes),
        cmocka_unit_test(nothing_at_all_tells_unresolved_from_nowhere),
        cmocka_unit_test(site_of_the_operator_outranks_the_address),
        cmocka_unit_test(name_needs_address_only_when_it_may_decide),
        cmocka_unit_test(subnet_of_two_sites_belongs_to_the_first),
        cmocka_unit_test(text_that_is_no_subnet_is_refused),
        cmocka_unit_test(random_subnets_agree_with_naive_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
