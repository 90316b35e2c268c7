/* credit.held: a relay is never leased more targets than it said it would take, and never holds
 * more. Not looked at with pushes that wait: there a relay says more as it waits for more, and both
 * sides know of it at different times. */
#include "tests/sim/invariants/invariants.h"

#define NAME "credit.held"

void credit_held(struct world *w, uint16_t relay)
{
    const struct dispatch_relay_view view = dispatch_relay_look(w->core, relay);
    REQUIRE(w, w->options.wait || view.leased <= credit_of(w, relay), NAME,
            "r%u is leased %u, its credit is %u", relay, view.leased, credit_of(w, relay));
}

void credit_relay(struct world *w, uint16_t relay)
{
    const struct agent_counters now = agent_counters(w->relays[relay].agent);
    REQUIRE(w, w->options.wait || now.held <= credit_of(w, relay), NAME,
            "r%u holds %u, its credit is %u", relay, now.held, credit_of(w, relay));
}
