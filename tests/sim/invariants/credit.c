/* credit.held: a relay is never leased more targets than it said it would take, and never holds
 * more; what it asked for last is the most that it is given. How much it holds isn't looked at with
 * pushes that wait: there a relay says more as it waits for more, and both
 * sides know of it at different times. */
#include "tests/sim/invariants/invariants.h"

#define NAME "credit.held"

void credit_held(struct world *w, uint16_t relay)
{
    const struct dispatch_relay_view view = dispatch_relay_look(w->core, relay);
    REQUIRE(w, w->options.wait || view.leased <= credit_of(w, relay), NAME,
            "r%u is leased %u, its credit is %u", relay, view.leased, credit_of(w, relay));
}

void credit_before(const struct world *w, uint32_t leased[RELAYS])
{
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        leased[r] = dispatch_relay_look(w->core, r).leased;
}

void credit_given(struct world *w, const uint32_t leased_before[RELAYS])
{
    for (uint16_t r = 0; r < w->options.relay_count; r++) {
        const struct dispatch_relay_view view = dispatch_relay_look(w->core, r);
        REQUIRE(w, view.leased <= leased_before[r] || view.leased <= view.credit, NAME,
                "r%u is leased %u after %u, and asked for %u", r, view.leased, leased_before[r],
                view.credit);
    }
}

void credit_relay(struct world *w, uint16_t relay)
{
    const struct agent_counters now = agent_counters(w->relays[relay].agent);
    REQUIRE(w, w->options.wait || now.held <= credit_of(w, relay), NAME,
            "r%u holds %u, its credit is %u", relay, now.held, credit_of(w, relay));
}
