/* credit.held: a relay never holds more targets than it said it would take. What it waits for isn't
 * counted. */
#include "tests/sim/invariants/invariants.h"

#define NAME "credit.held"

void credit_held(struct world *w, uint16_t relay)
{
    const struct dispatch_relay_view view = dispatch_relay_look(w->core, relay);
    REQUIRE(w, w->options.wait || view.leased <= credit_of(w, relay), NAME,
            "r%u holds %u, its credit is %u", relay, view.leased, credit_of(w, relay));
}
