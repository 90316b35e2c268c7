/* scope.site: nobody outside a relay's scope is touched. A lease names targets of the relay's site,
 * and only what the store knows as leased; a stage runs at no other. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "scope.site"

void scope_lease(struct world *w, int slot, uint16_t relay, uint32_t no)
{
    if (no >= w->options.target_count || relay >= w->options.relay_count) {
        violation(w, NAME, "%s t%u is leased to r%u", slot_word(slot), no, relay);
        return;
    }
    REQUIRE(w, w->site_of[no] == site_of_relay(w, relay), NAME,
            "%s t%u of site %u is leased to r%u of site %u", slot_word(slot), no, w->site_of[no],
            relay, site_of_relay(w, relay));
    REQUIRE(w, no < w->store.history[slot][relay].mark, NAME,
            "%s t%u is leased to r%u, which isn't committed", slot_word(slot), no, relay);
}

void scope_run(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    REQUIRE(w, w->site_of[no] == site_of_relay(w, relay), NAME,
            "r%u of site %u touches %s t%u of site %u", relay, site_of_relay(w, relay),
            slot_word(slot), no, w->site_of[no]);
}
