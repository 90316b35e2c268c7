/* row.final: a terminal row never changes, but unknown_effect to what became known; a waiting row's
 * SCHEDULED is said once. A push is closed when every row has ended, and nothing changes in a
 * generation that another one has followed. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "row.final"

void row_final_outcome(struct world *w, int slot, const struct dispatch_effect *e)
{
    enum target_state before = w->store.rows[slot][e->target_no];
    enum target_state after = e->outcome->state;
    REQUIRE(w, is_newest(w, slot) && !w->store.old[slot][e->target_no], NAME,
            "%s t%u is settled in an older generation", slot_word(slot), e->target_no);
    REQUIRE(w, target_state_terminal(after), NAME, "%s t%u becomes %s", slot_word(slot),
            e->target_no, target_state_word(after));
    REQUIRE(w,
            !row_ended(w, before) ||
                (before == TARGET_UNKNOWN_EFFECT && after != TARGET_UNKNOWN_EFFECT),
            NAME, "%s t%u goes from %s to %s", slot_word(slot), e->target_no,
            target_state_word(before), target_state_word(after));
    REQUIRE(w,
            !w->options.wait || after != TARGET_SCHEDULED ||
                (before != TARGET_SCHEDULED && before != TARGET_UNKNOWN_EFFECT),
            NAME, "%s t%u is scheduled again, after %s", slot_word(slot), e->target_no,
            target_state_word(before));
}

void row_final_certain(struct world *w, int slot, const struct dispatch_effect *e)
{
    REQUIRE(w, w->store.doubted[slot][e->target_no], NAME,
            "%s t%u: a failure counts that was not in doubt", slot_word(slot), e->target_no);
    if (w->machines[e->target_no].hostile || fault_excuses(w, slot, e->target_no))
        return;
    REQUIRE(w, !w->tasks[slot][e->target_no].registered, NAME,
            "%s t%u: a failure counts, but the task is there", slot_word(slot), e->target_no);
}

void row_final_closed(struct world *w, int slot)
{
    for (uint32_t no = 0; no < w->options.target_count; no++)
        REQUIRE(w, row_ended(w, w->store.rows[slot][no]) || w->store.old[slot][no], NAME,
                "%s is closed while t%u is %s", slot_word(slot), no,
                target_state_word(w->store.rows[slot][no]));
}
