/* Options drawn per seed. What is on at all matters more than how much: a world with every fault at
 * once hides what one fault alone would show. */
#include "tests/sim/options.h"

#define SOON_MS UINT64_C(240000) /* a deadline in the middle of the trouble */
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

void options_swarm(struct options *o, uint64_t seed)
{
    options_classic(o, seed, seed % 2 == 0);
    o->classic = false;
}
