/* clone.noticed: two processes with one relay's keys don't both go on: once all has been well for a
 * while its standing is cloned, unless an admin has put it out before. And only a relay whose state
 * was copied is ever taken for a clone. */
#include "tests/sim/invariants/invariants.h"

#define NAME "clone.noticed"

void clone_standing(struct world *w, const struct dispatch_effect *e)
{
    REQUIRE(w, w->clone_runs && e->relay == w->clone_of, NAME, "r%u is taken for a clone",
            e->relay);
}

void clone_end(struct world *w)
{
    if (!w->clone_runs)
        return;
    enum relay_standing standing = w->store.standing[w->clone_of];
    REQUIRE(w, standing == RELAY_CLONED || standing == RELAY_REVOKED, NAME,
            "r%u runs twice, and is %s", w->clone_of, relay_standing_word(standing));
}
