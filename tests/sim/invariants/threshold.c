/* threshold.first: a row that the failure threshold ended was leased to nobody, not before so many
 * had failed; and once so many have, nothing is leased for the first time. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "threshold.first"

static bool over(const struct world *w, int slot)
{
    uint32_t count = 0;
    for (uint32_t no = 0; no < w->options.target_count; no++)
        count += w->store.rows[slot][no] == TARGET_FAILED && !w->store.old[slot][no];
    return w->options.fail_stop_count > 0 && count >= w->options.fail_stop_count;
}

static bool touched(const struct world *w, int slot, uint32_t no, uint16_t r)
{
    const struct journal_row *row = &w->relays[r].journal.rows[slot][no];
    return row->intent || row->outcome || w->relays[r].running[slot][no] != 0 ||
           (site_of_relay(w, r) == w->site_of[no] && w->store.history[slot][r].mark > no);
}

void threshold_outcome(struct world *w, int slot, const struct dispatch_effect *e)
{
    if (e->outcome->reason != REASON_MAX_FAIL && e->outcome->state != TARGET_NEVER_ATTEMPTED)
        return;
    bool excused = fault_excuses(w, slot, e->target_no);
    REQUIRE(w,
            e->outcome->state == TARGET_NEVER_ATTEMPTED &&
                w->store.rows[slot][e->target_no] == TARGET_QUEUED && over(w, slot) &&
                (excused || !w->tasks[slot][e->target_no].registered),
            NAME, "%s t%u is %s %s", slot_word(slot), e->target_no,
            target_state_word(e->outcome->state), reason_word(e->outcome->reason));
    if (excused)
        return;
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        REQUIRE(w, !touched(w, slot, e->target_no, r), NAME,
                "%s t%u was never attempted, but r%u has had it", slot_word(slot), e->target_no, r);
}

void threshold_lease(struct world *w, int slot, const struct dispatch_history *history)
{
    uint32_t mark = 0;
    if (w->restored)
        return; /* then a mark may say no more than that nobody knows */
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        if (site_of_relay(w, r) == site_of_relay(w, history->relay) &&
            w->store.history[slot][r].mark > mark)
            mark = w->store.history[slot][r].mark;
    REQUIRE(w, history->mark <= mark || !over(w, slot), NAME,
            "%s: r%u is leased fresh targets after the threshold", slot_word(slot), history->relay);
}
