/* Options drawn per seed. What is on at all matters more than how much: a world with every fault at
 * once hides what one fault alone would show. */
#include "tests/sim/options.h"

#define SOON_MS UINT64_C(240000) /* a deadline in the middle of the trouble */
#define ROUND_MS UINT64_C(12000) /* all stages at one target, at most */
#define LATE_MS UINT64_C(600000) /* all is done long before */

void options_classic(struct options *o, uint64_t seed, bool wait)
{
    *o = (struct options){
        .classic = true,
        .site_count = (uint16_t)(1 + seed % 3),
        .relay_count = (uint16_t)(2 + seed / 3 % 4),
        .push_count = 2,
        .target_count = 24,
        .generation_count = 2,
        .credit = 4,
        .credit_step = 20,
        .wait = wait,
        .starts_later = seed % 2 == 0,
        .fail_stop_count = seed % 7 < 3 ? 1 + (uint32_t)(seed % 5) : 0,
        .one_refuses = seed % 5 == 0,
        .not_after_ms = seed % 4 == 0 ? SOON_MS : LATE_MS,
        .chaos_ms = 200000,
        .settled_ms = seed % 4 == 0 ? 0 : 450000,
        .end_ms = 900000,
        .lost_percent = 10,
        .twice_percent = 5,
        .late_percent = 8,
        .late_ms = 9000,
        .cut_percent = 30,
        .cut_ms = 60000,
        .core_dies_one_in = 120,
        .core_kept_percent = 70,
        .relay_dies_one_in = 250,
        .lost_relay_percent = 30,
        .long_down_percent = 20,
        .stage_fails_percent = 3,
        .unknown_percent = 20,
        .refused_percent = 5,
        .never_starts_percent = 5,
        .never_ends_percent = 5,
        .operator_one_in = 2000,
        .standing_percent = 30,
        .drain_percent = 70,
        .cancel_percent = 30,
    };
    if (o->relay_count < o->site_count)
        o->relay_count = o->site_count;
}

/* ---- drawn ---- */

/* Kinds of trouble. Some worlds have all, some one or two. */
enum trouble {
    TROUBLE_LOST,
    TROUBLE_TWICE,
    TROUBLE_LATE,
    TROUBLE_CUT,
    TROUBLE_CORE_DIES,
    TROUBLE_RELAY_DIES,
    TROUBLE_LOST_RELAY,
    TROUBLE_STAGE_FAILS,
    TROUBLE_UNKNOWN,
    TROUBLE_REFUSED,
    TROUBLE_NEVER,
    TROUBLE_OPERATOR,
    TROUBLE_COUNT
};

/* splitmix64: a stream of its own, so that options and the world's draws don't touch. */
static uint32_t pick(uint64_t *random, uint32_t bound)
{
    *random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ (z >> 31)) >> 32) % bound;
}

static uint32_t from_to(uint64_t *random, uint32_t least, uint32_t most)
{
    return least + pick(random, most - least + 1);
}

/* Weak, middling, strong. */
static uint32_t strength(uint64_t *random, uint32_t weak, uint32_t middling, uint32_t strong)
{
    const uint32_t all[] = {weak, middling, middling, strong};
    return all[pick(random, 4)];
}

static void draw_size(struct options *o, uint64_t *random)
{
    uint32_t large = pick(random, 100);
    if (large < 40) {
        o->site_count = (uint16_t)from_to(random, 1, 2);
        o->relay_count = (uint16_t)from_to(random, 1, 3);
        o->target_count = from_to(random, 1, 8);
        o->push_count = 1;
    } else if (large < 82) {
        o->site_count = (uint16_t)from_to(random, 1, 3);
        o->relay_count = (uint16_t)from_to(random, 2, 5);
        o->target_count = from_to(random, 4, 24);
        o->push_count = from_to(random, 1, 2);
    } else {
        o->site_count = (uint16_t)from_to(random, 1, SITES);
        o->relay_count = (uint16_t)from_to(random, 2, RELAYS);
        o->target_count = from_to(random, 24, TARGETS);
        o->push_count = from_to(random, 1, PUSHES);
    }
    if (o->relay_count < o->site_count)
        o->relay_count = o->site_count;
    o->generation_count = from_to(random, 1, GENERATIONS);
    o->credit = strength(random, 1, 4, TARGETS * PUSHES);
    if (o->credit < 4 && o->target_count * o->push_count > 24)
        o->credit = 4;
    o->credit_step = strength(random, 0, 2, 20);
    o->window = pick(random, 4) == 0 ? from_to(random, 1, 8) : 0;
}

static void draw_pushes(struct options *o, uint64_t *random)
{
    uint32_t at_once = o->window > 0 && o->window < o->credit ? o->window : o->credit;
    uint64_t rounds = o->target_count * o->push_count / at_once; /* by one relay alone */
    o->wait = pick(random, 5) < 2;
    o->starts_later = pick(random, 2) == 0;
    o->fail_stop_count = pick(random, 3) == 0 ? from_to(random, 1, 5) : 0;
    o->one_refuses = pick(random, 6) == 0;
    o->chaos_ms = from_to(random, 60000, 200000);
    o->settled_ms = o->chaos_ms + 250000 + rounds * ROUND_MS;
    o->not_after_ms = o->settled_ms + 150000;
    if (pick(random, 4) == 0) { /* in the middle of the trouble, or soon after */
        o->settled_ms = 0;
        o->not_after_ms = from_to(random, 20000, (uint32_t)o->chaos_ms + 60000);
    }
    uint64_t all_well_ms = o->not_after_ms > o->chaos_ms ? o->not_after_ms : o->chaos_ms;
    o->end_ms = all_well_ms + 300000;
}

static void draw_network(struct options *o, const bool on[TROUBLE_COUNT], uint64_t *random)
{
    if (on[TROUBLE_LOST])
        o->lost_percent = strength(random, 1, 10, 40);
    if (on[TROUBLE_TWICE])
        o->twice_percent = strength(random, 1, 5, 50);
    if (on[TROUBLE_LATE]) {
        o->late_percent = strength(random, 2, 8, 50);
        o->late_ms = strength(random, 300, 9000, 25000);
    }
    if (on[TROUBLE_CUT]) {
        o->cut_percent = strength(random, 30, 60, 100);
        o->one_way_percent = strength(random, 0, 50, 100);
        o->cut_ms = strength(random, 10000, 60000, 150000);
    }
}

static void draw_processes(struct options *o, const bool on[TROUBLE_COUNT], uint64_t *random)
{
    if (on[TROUBLE_CORE_DIES]) {
        o->core_dies_one_in = strength(random, 400, 120, 12);
        o->core_kept_percent = strength(random, 30, 70, 95);
    }
    if (on[TROUBLE_RELAY_DIES]) {
        o->relay_dies_one_in = strength(random, 800, 250, 20);
        o->long_down_percent = strength(random, 0, 20, 60);
    }
    if (on[TROUBLE_LOST_RELAY]) {
        o->lost_relay_percent = 70;
        if (o->relay_dies_one_in == 0)
            o->relay_dies_one_in = 250;
    }
}

static void draw_targets(struct options *o, const bool on[TROUBLE_COUNT], uint64_t *random)
{
    if (on[TROUBLE_STAGE_FAILS])
        o->stage_fails_percent = strength(random, 1, 3, 25);
    if (on[TROUBLE_UNKNOWN])
        o->unknown_percent = strength(random, 5, 20, 60);
    if (on[TROUBLE_REFUSED])
        o->refused_percent = strength(random, 2, 5, 40);
    if (on[TROUBLE_NEVER]) {
        o->never_starts_percent = strength(random, 0, 5, 30);
        o->never_ends_percent = strength(random, 0, 5, 30);
    }
}

static void draw_operator(struct options *o, const bool on[TROUBLE_COUNT], uint64_t *random)
{
    if (!on[TROUBLE_OPERATOR])
        return;
    o->operator_one_in = strength(random, 2000, 500, 60);
    o->standing_percent = strength(random, 0, 30, 60);
    o->drain_percent = strength(random, 40, 70, 95);
    o->cancel_percent = strength(random, 0, 10, 50);
}

void options_swarm(struct options *o, uint64_t seed)
{
    uint64_t random = seed;
    bool on[TROUBLE_COUNT] = {false};
    uint32_t kind = pick(&random, 100);
    *o = (struct options){0};
    if (kind < 35)
        for (uint32_t i = from_to(&random, 1, 2); i > 0; i--)
            on[pick(&random, TROUBLE_COUNT)] = true;
    else
        for (int i = 0; i < TROUBLE_COUNT; i++)
            on[i] = kind < 60 || pick(&random, 2) == 0;
    draw_size(o, &random);
    draw_pushes(o, &random);
    draw_network(o, on, &random);
    draw_processes(o, on, &random);
    draw_targets(o, on, &random);
    draw_operator(o, on, &random);
    options_faults(o, seed);
}
