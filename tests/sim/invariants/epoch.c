/* epoch.rises: no two processes of a relay ever get the same epoch. */
#include "tests/sim/invariants/invariants.h"

#define NAME "epoch.rises"

void epoch_rises(struct world *w, const struct dispatch_effect *e)
{
    /* A wall clock that was set back and an old copy at once leave only what relays show. */
    uint64_t most = w->clock_wrong ? w->store.epoch[e->relay] : w->epoch_max[e->relay];
    REQUIRE(w, e->epoch > most, NAME, "r%u gets epoch %llu after %llu", e->relay,
            (unsigned long long)e->epoch, (unsigned long long)most);
    if (e->epoch > w->epoch_max[e->relay])
        w->epoch_max[e->relay] = e->epoch;
}
