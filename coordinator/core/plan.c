/* Sorted disjoint intervals and a binary search; patterns in the order of their strength.
 *
 * A binary trie was measured beside it (tests/bench/routes.c): for IPv4 it finds a prefix somewhat
 * sooner, but reading the addresses costs more than either, and with IPv6 it grows to 128 steps and
 * as many nodes a subnet. Two arrays stay what they are.
 */
#include "coordinator/core/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/signed_objects.h"
#include "coordinator/core/span.h"

#define RULE_NONE UINT32_MAX
#define NESTING_MAX 129U /* prefixes of one address: 0 to 128 bits */

/* A subnet of a site. */
struct plan_rule {
    struct span span;
    uint32_t site;
    char text[SUBNET_TEXT_SIZE];
};

struct plan_pattern {
    char *text; /* owned */
    uint32_t site;
    uint32_t literal_count; /* characters that are no wildcard */
};

/* From this address on, up to the next interval, this rule has the longest prefix. */
struct plan_interval {
    struct span_key first;
    uint32_t rule; /* RULE_NONE: nobody's */
};

/* IPv4 and IPv6 apart: no IPv6 subnet covers an IPv4 address, not even ::/0. */
struct plan_family {
    struct plan_rule *rules; /* owned; by span_compare, then by site */
    uint32_t rule_count;
    struct plan_interval *intervals; /* owned; ascending */
    uint32_t interval_count;
};

struct plan {
    char (*names)[LIMIT_SITE_NAME_SIZE]; /* owned */
    uint32_t site_count;
    uint32_t default_site; /* PLAN_SITE_NONE: none */
    struct plan_family v4;
    struct plan_family v6;
    struct plan_pattern *patterns; /* owned; strongest first */
    uint32_t pattern_count;
};

/* ---- making ---- */

static int compare_rules(const void *left, const void *right)
{
    const struct plan_rule *a = left;
    const struct plan_rule *b = right;
    int order = span_compare(&a->span, &b->span);
    return order != 0 ? order : (a->site > b->site) - (a->site < b->site);
}

static void add_interval(struct plan_family *family, struct span_key first, uint32_t rule)
{
    uint32_t count = family->interval_count;
    /* Whoever begins where the one before would have begun takes its place. */
    if (count > 0 && span_key_compare(family->intervals[count - 1].first, first) == 0)
        family->interval_count--;
    family->intervals[family->interval_count++] = (struct plan_interval){first, rule};
}

/* The subnets that hold the place the sweep has come to, the narrowest last. */
struct nesting {
    uint32_t rules[NESTING_MAX];
    uint32_t count;
};

/* Leaves the subnets that end before `until`; NULL: all of them. */
static void leave(struct plan_family *family, struct nesting *nesting, const struct span_key *until)
{
    while (nesting->count > 0) {
        struct span_key last = family->rules[nesting->rules[nesting->count - 1]].span.last;
        if (until != NULL && span_key_compare(last, *until) >= 0)
            return;
        nesting->count--;
        uint32_t outer = nesting->count > 0 ? nesting->rules[nesting->count - 1] : RULE_NONE;
        if (!span_key_is_max(last))
            add_interval(family, span_key_next(last), outer);
    }
}

static void make_intervals(struct plan_family *family)
{
    struct nesting nesting = {.count = 0};
    if (family->rule_count == 0)
        return;
    qsort(family->rules, family->rule_count, sizeof *family->rules, compare_rules);
    family->intervals = mem_new(2U * (size_t)family->rule_count, sizeof *family->intervals);
    for (uint32_t i = 0; i < family->rule_count; i++) {
        const struct span *span = &family->rules[i].span;
        if (i > 0 && span_compare(span, &family->rules[i - 1].span) == 0)
            continue; /* the first site has it */
        leave(family, &nesting, &span->first);
        assert(nesting.count < NESTING_MAX);
        add_interval(family, span->first, i);
        nesting.rules[nesting.count++] = i;
    }
    leave(family, &nesting, NULL);
}

static int add_subnets(struct plan *plan, const struct site *site, uint32_t place, struct err *err)
{
    for (uint32_t i = 0; i < site->subnet_count; i++) {
        struct subnet subnet;
        if (subnet_from_text(site->subnets[i], &subnet, err) != 0)
            return err_wrap(err, "site %s", site->name);
        struct plan_family *family = subnet.is_v4 ? &plan->v4 : &plan->v6;
        struct plan_rule *rule = &family->rules[family->rule_count++];
        *rule = (struct plan_rule){.span = span_of(&subnet), .site = place};
        subnet_text(&subnet, rule->text);
    }
    return 0;
}

static uint32_t literals_of(const char *pattern)
{
    uint32_t count = 0;
    for (; *pattern != '\0'; pattern++)
        count += *pattern != '*' && *pattern != '?';
    return count;
}

static int compare_patterns(const void *left, const void *right)
{
    const struct plan_pattern *a = left;
    const struct plan_pattern *b = right;
    if (a->literal_count != b->literal_count)
        return a->literal_count > b->literal_count ? -1 : 1;
    if (a->site != b->site)
        return a->site < b->site ? -1 : 1;
    return strcmp(a->text, b->text);
}

static void add_patterns(struct plan *plan, const struct site *site, uint32_t place)
{
    for (uint32_t i = 0; i < site->pattern_count; i++)
        plan->patterns[plan->pattern_count++] =
            (struct plan_pattern){.text = mem_strdup(site->patterns[i]),
                                  .site = place,
                                  .literal_count = literals_of(site->patterns[i])};
}

static void make_room(struct plan *plan, const struct site *sites, uint32_t site_count)
{
    size_t subnet_count = 0;
    size_t pattern_count = 0;
    for (uint32_t i = 0; i < site_count; i++) {
        subnet_count += sites[i].subnet_count;
        pattern_count += sites[i].pattern_count;
    }
    plan->names = mem_new(site_count + 1U, sizeof *plan->names);
    plan->v4.rules = mem_new(subnet_count + 1U, sizeof *plan->v4.rules);
    plan->v6.rules = mem_new(subnet_count + 1U, sizeof *plan->v6.rules);
    plan->patterns = mem_new(pattern_count + 1U, sizeof *plan->patterns);
}

int plan_new(struct plan **out, const struct site *sites, uint32_t site_count, struct err *err)
{
    struct plan *plan = mem_new(1, sizeof *plan);
    plan->site_count = site_count;
    plan->default_site = PLAN_SITE_NONE;
    make_room(plan, sites, site_count);
    for (uint32_t i = 0; i < site_count; i++) {
        memcpy(plan->names[i], sites[i].name, sizeof plan->names[i]);
        if (sites[i].is_default && plan->default_site == PLAN_SITE_NONE)
            plan->default_site = i;
        add_patterns(plan, &sites[i], i);
        if (add_subnets(plan, &sites[i], i, err) != 0) {
            plan_free(plan);
            return -1;
        }
    }
    qsort(plan->patterns, plan->pattern_count, sizeof *plan->patterns, compare_patterns);
    make_intervals(&plan->v4);
    make_intervals(&plan->v6);
    *out = plan;
    return 0;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    for (uint32_t i = 0; i < plan->pattern_count; i++)
        free(plan->patterns[i].text);
    free(plan->patterns);
    free(plan->v4.rules);
    free(plan->v4.intervals);
    free(plan->v6.rules);
    free(plan->v6.intervals);
    free(plan->names);
    free(plan);
}

/* ---- asking ---- */

/* NULL: no subnet covers it. */
static const struct plan_rule *find_rule(const struct plan *plan,
                                         const struct subnet_address *address)
{
    const struct plan_family *family = address->is_v4 ? &plan->v4 : &plan->v6;
    struct span_key key = span_key_of(address->bytes);
    uint32_t low = 0;
    uint32_t high = family->interval_count; /* the first one that begins after the address */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (span_key_compare(family->intervals[middle].first, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || family->intervals[low - 1].rule == RULE_NONE)
        return NULL;
    return &family->rules[family->intervals[low - 1].rule];
}

/* Whether the narrower rule, or of equal ones the lower address, is the first of both. */
static bool goes_first(const struct plan_rule *a, const struct subnet_address *a_address,
                       const struct plan_rule *b, const struct subnet_address *b_address)
{
    struct span_key a_size = {a->span.last.high - a->span.first.high,
                              a->span.last.low - a->span.first.low};
    struct span_key b_size = {b->span.last.high - b->span.first.high,
                              b->span.last.low - b->span.first.low};
    int order = span_key_compare(a_size, b_size);
    return order != 0 ? order < 0
                      : memcmp(a_address->bytes, b_address->bytes, sizeof a_address->bytes) < 0;
}

static bool route_by_address(const struct plan *plan, const struct plan_question *question,
                             struct plan_route *route)
{
    const struct plan_rule *best = NULL;
    for (uint32_t i = 0; i < question->address_count; i++) {
        const struct plan_rule *rule = find_rule(plan, &question->addresses[i]);
        if (rule == NULL)
            continue;
        if (best == NULL ||
            goes_first(rule, &question->addresses[i], best, &question->addresses[route->address])) {
            best = rule;
            route->address = i;
        }
    }
    if (best == NULL)
        return false;
    route->by = ROUTE_BY_SUBNET;
    route->site = best->site;
    route->match = best->text;
    return true;
}

/* A pattern is meant for the name as it is given or for its first label. */
static const struct plan_pattern *find_pattern(const struct plan *plan, const char *name)
{
    char label[LIMIT_TARGET_NAME_SIZE];
    struct subnet_address address;
    size_t length = strcspn(name, ".");
    if (plan->pattern_count == 0 || length >= sizeof label ||
        subnet_address_from_text(name, &address))
        return NULL;
    memcpy(label, name, length);
    label[length] = '\0';
    for (uint32_t i = 0; i < plan->pattern_count; i++)
        if (pattern_fits(plan->patterns[i].text, name) ||
            pattern_fits(plan->patterns[i].text, label))
            return &plan->patterns[i];
    return NULL;
}

struct plan_route plan_route(const struct plan *plan, const struct plan_question *question)
{
    struct plan_route route = {.match = "", .site = PLAN_SITE_NONE};
    if (question->site != PLAN_SITE_NONE) {
        route.by = ROUTE_BY_SITE;
        route.site = question->site;
        return route;
    }
    if (route_by_address(plan, question, &route))
        return route;
    const struct plan_pattern *pattern = find_pattern(plan, question->name);
    if (pattern != NULL) {
        route.by = ROUTE_BY_PATTERN;
        route.site = pattern->site;
        route.match = pattern->text;
    } else if (plan->default_site != PLAN_SITE_NONE) {
        route.by = ROUTE_BY_DEFAULT;
        route.site = plan->default_site;
    } else {
        route.by = question->address_count > 0 ? ROUTE_NOWHERE : ROUTE_UNRESOLVED;
    }
    return route;
}

bool plan_needs_address(const struct plan *plan, const char *name, uint32_t site)
{
    if (site != PLAN_SITE_NONE)
        return false;
    if (plan->v4.rule_count + plan->v6.rule_count > 0)
        return true;
    return find_pattern(plan, name) == NULL && plan->default_site == PLAN_SITE_NONE;
}

uint32_t plan_find_site(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->site_count; i++)
        if (strcmp(plan->names[i], name) == 0)
            return i;
    return PLAN_SITE_NONE;
}

const char *plan_site_name(const struct plan *plan, uint32_t site)
{
    return site < plan->site_count ? plan->names[site] : "";
}
