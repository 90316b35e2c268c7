/* How fast a push is split: addresses over the subnets of many sites, by coordinator/core/plan and
 * by a binary trie, the plain way to find a longest prefix. Both must agree on every address.
 *
 * Usage: bench_routes [ADDRESSES [SUBNETS]]     prints a line for each; exit status 1 when they
 * differ
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/core/plan.h"

#define SITE_COUNT 1000U
#define NONE UINT32_MAX

static uint64_t random_state = 42;

/* xorshift64*: the same subnets and addresses in every run. */
static uint32_t draw(uint32_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 2685821657736338717ULL) >> 33) % below;
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the trie ---- */

struct node {
    uint32_t child[2]; /* NONE: none */
    uint32_t site;     /* of the subnet that ends here; NONE */
};

struct trie {
    struct node *nodes;
    uint32_t count;
};

static uint32_t trie_node(struct trie *trie)
{
    trie->nodes[trie->count] = (struct node){{NONE, NONE}, NONE};
    return trie->count++;
}

static unsigned bit_of(const uint8_t *bytes, unsigned at)
{
    return (unsigned)bytes[at / 8] >> (7 - at % 8) & 1U;
}

static void trie_add(struct trie *trie, const struct subnet *subnet, uint32_t site)
{
    uint32_t at = 0;
    for (unsigned bit = 96; bit < subnet->bits; bit++) {
        uint32_t *child = &trie->nodes[at].child[bit_of(subnet->bytes, bit)];
        if (*child == NONE)
            *child = trie_node(trie);
        at = *child;
    }
    if (trie->nodes[at].site == NONE)
        trie->nodes[at].site = site;
}

static uint32_t trie_find(const struct trie *trie, const struct subnet_address *address)
{
    uint32_t best = NONE;
    uint32_t at = 0;
    for (unsigned bit = 96; at != NONE; bit++) {
        if (trie->nodes[at].site != NONE)
            best = trie->nodes[at].site;
        if (bit == 128)
            break;
        at = trie->nodes[at].child[bit_of(address->bytes, bit)];
    }
    return best;
}

/* ---- subnets and addresses ---- */

/* Mostly /24, as offices have them, with some wider and narrower ones around and inside. */
static void draw_subnet(struct subnet *subnet)
{
    static const uint8_t lengths[] = {24, 24, 24, 24, 24, 22, 20, 26, 28, 16};
    char text[SUBNET_TEXT_SIZE];
    struct err err = {0};
    uint32_t bits = lengths[draw(sizeof lengths)];
    uint32_t address = (10U << 24 | draw(1U << 24)) & (uint32_t)(0xffffffffULL << (32 - bits));
    (void)snprintf(text, sizeof text, "%u.%u.%u.%u/%u", address >> 24, address >> 16 & 255,
                   address >> 8 & 255, address & 255, bits);
    if (subnet_from_text(text, subnet, &err) != 0)
        abort();
}

static void draw_address(char text[SUBNET_TEXT_SIZE])
{
    uint32_t address = draw(1U << 24);
    (void)snprintf(text, SUBNET_TEXT_SIZE, "10.%u.%u.%u", address >> 16, address >> 8 & 255,
                   address & 255);
}

static struct site *make_sites(const struct subnet *subnets, uint32_t subnet_count)
{
    struct site *sites = mem_new(SITE_COUNT, sizeof *sites);
    for (uint32_t i = 0; i < SITE_COUNT; i++)
        (void)snprintf(sites[i].name, sizeof sites[i].name, "site-%04u", i);
    for (uint32_t i = 0; i < subnet_count; i++) {
        struct site *site = &sites[i % SITE_COUNT];
        char text[SUBNET_TEXT_SIZE];
        subnet_text(&subnets[i], text);
        site->subnets = mem_resize(site->subnets, site->subnet_count + 1U, sizeof *site->subnets);
        site->subnets[site->subnet_count++] = mem_strdup(text);
    }
    return sites;
}

static uint32_t number(const char *text, uint32_t otherwise)
{
    uint64_t value = otherwise;
    if (text != NULL && (text_to_u64(text, 1U << 24, &value) != 0 || value == 0)) {
        (void)fprintf(stderr, "usage: bench_routes [ADDRESSES [SUBNETS]]\n");
        exit(2);
    }
    return (uint32_t)value;
}

/* Trie and plan get text, as a push has it: reading an address is part of the work. */
int main(int argc, char **argv)
{
    uint32_t address_count = number(argc > 1 ? argv[1] : NULL, 1000000);
    uint32_t subnet_count = number(argc > 2 ? argv[2] : NULL, 10000);
    struct subnet *subnets = mem_new(subnet_count, sizeof *subnets);
    char(*texts)[SUBNET_TEXT_SIZE] = mem_new(address_count, sizeof *texts);
    uint32_t *by_trie = mem_new(address_count, sizeof *by_trie);
    uint32_t *by_plan = mem_new(address_count, sizeof *by_plan);
    struct trie trie = {.nodes = mem_new(32U * (size_t)subnet_count + 1U, sizeof *trie.nodes)};
    struct plan *plan = NULL;
    struct err err = {0};
    for (uint32_t i = 0; i < subnet_count; i++)
        draw_subnet(&subnets[i]);
    for (uint32_t i = 0; i < address_count; i++)
        draw_address(texts[i]);
    struct site *sites = make_sites(subnets, subnet_count);

    double start = now_s();
    (void)trie_node(&trie);
    /* Of a subnet that two sites have the first site has it, as in the plan. */
    for (uint32_t site = 0; site < SITE_COUNT; site++)
        for (uint32_t i = site; i < subnet_count; i += SITE_COUNT)
            trie_add(&trie, &subnets[i], site);
    double trie_made = now_s();
    for (uint32_t i = 0; i < address_count; i++) {
        struct subnet_address address;
        (void)subnet_address_from_text(texts[i], &address);
        by_trie[i] = trie_find(&trie, &address);
    }
    double trie_done = now_s();
    if (plan_new(&plan, sites, SITE_COUNT, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double plan_made = now_s();
    uint32_t found = 0;
    for (uint32_t i = 0; i < address_count; i++) {
        struct subnet_address address;
        (void)subnet_address_from_text(texts[i], &address);
        const struct plan_question question = {
            .name = texts[i], .addresses = &address, .address_count = 1, .site = PLAN_SITE_NONE};
        struct plan_route route = plan_route(plan, &question);
        by_plan[i] = route.site;
        found += route.site != PLAN_SITE_NONE;
    }
    double plan_done = now_s();
    (void)printf("%u addresses, %u subnets, %u sites; %u addresses belong to one\n", address_count,
                 subnet_count, SITE_COUNT, found);
    (void)printf("trie  made in %.3f s, split in %.3f s\n", trie_made - start,
                 trie_done - trie_made);
    (void)printf("plan  made in %.3f s, split in %.3f s\n", plan_made - trie_done,
                 plan_done - plan_made);
    bool same = memcmp(by_trie, by_plan, address_count * sizeof *by_plan) == 0;
    if (!same)
        (void)fprintf(stderr, "they differ\n");
    for (uint32_t i = 0; i < SITE_COUNT; i++) {
        for (uint32_t j = 0; j < sites[i].subnet_count; j++)
            free(sites[i].subnets[j]);
        free(sites[i].subnets);
    }
    plan_free(plan);
    free(sites);
    free(trie.nodes);
    free(subnets);
    free(texts);
    free(by_trie);
    free(by_plan);
    return same ? 0 : 1;
}
