/* epoch.rises: no two processes of a relay ever get the same epoch; and only a clone is taken for
 * one. */
#include "tests/sim/invariants/invariants.h"

#define NAME "epoch.rises"

void epoch_rises(struct world *w, const struct dispatch_effect *e)
{
    REQUIRE(w, e->epoch > w->store.epoch[e->relay], NAME, "r%u gets epoch %llu after %llu",
            e->relay, (unsigned long long)e->epoch, (unsigned long long)w->store.epoch[e->relay]);
}

void epoch_standing(struct world *w, const struct dispatch_effect *e)
{
    violation(w, "clone.real", "r%u is taken for a clone", e->relay); /* nobody is one here */
}
