/* clone.noticed: two processes with one relay's keys don't both go on: once all has been well for a
 * while its standing is cloned, unless an admin has put it out before. And only a relay whose state
 * was copied is ever taken for a clone. */
#include "tests/sim/invariants/invariants.h"

#define NAME "clone.noticed"
enum { NOTICED_MS = 60000 };

void clone_standing(struct world *w, const struct dispatch_effect *e)
{
    REQUIRE(w, w->clone_runs && e->relay == w->clone_of, NAME, "r%u is taken for a clone",
            e->relay);
}

/* Since when the process has been able to speak and to be heard. */
static uint64_t well_since_ms(const struct world *w, uint16_t process)
{
    const struct relay *relay = &w->relays[process];
    uint64_t since_ms = w->options.chaos_ms;
    if (relay->agent == NULL)
        return w->now_ms;
    if (relay->started_ms > since_ms)
        since_ms = relay->started_ms;
    if (relay->plight.paused_until_ms > since_ms)
        since_ms = relay->plight.paused_until_ms;
    return w->core_plight.paused_until_ms > since_ms ? w->core_plight.paused_until_ms : since_ms;
}

/* A coordinator with an old copy of its store, and a wall clock behind the one before, gives one of
 * them the epoch that the other has: two faults at once that nothing in a heartbeat tells apart. */
static bool same_epoch(const struct world *w)
{
    return agent_counters(w->relays[w->clone_of].agent).epoch ==
           agent_counters(w->relays[w->options.relay_count].agent).epoch;
}

void clone_end(struct world *w)
{
    if (w->clock_wrong && w->restored)
        return; /* both may have one epoch: see epoch.c */
    if (!w->clone_runs || w->now_ms < well_since_ms(w, w->clone_of) + NOTICED_MS ||
        w->now_ms < well_since_ms(w, w->options.relay_count) + NOTICED_MS)
        return;
    if (w->restored && w->clock_wrong && same_epoch(w))
        return;
    enum relay_standing standing = w->store.standing[w->clone_of];
    REQUIRE(w, standing == RELAY_CLONED || standing == RELAY_REVOKED, NAME,
            "r%u runs twice, and is %s", w->clone_of, relay_standing_word(standing));
}
