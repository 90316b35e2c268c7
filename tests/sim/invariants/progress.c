/* progress.made: when all has been well for a while, and the deadline is far, what goes on is
 * through: nothing expired, every row that can have ended has, and the push is closed. Packages
 * that never end hold up others only under a failure threshold: while so many may yet fail, nothing
 * fresh is leased. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "progress.made"

/* Its task takes long, or for ever, and the row may be open for so long. */
static bool endless(const struct world *w, int slot, uint32_t no)
{
    const struct task *task = &w->tasks[slot][no];
    return w->options.wait &&
           (w->machines[no].hostile || (task->registered && task->ends_ms + LOOKS_MS >= w->now_ms));
}

static void look_at(struct world *w, int slot, uint32_t no, bool held_up)
{
    enum target_state row = w->store.rows[slot][no];
    REQUIRE(w, row != TARGET_EXPIRED || w->clock_ahead_ms > 0, NAME, "%s t%u expired",
            slot_word(slot), no);
    if (!w->options.wait || w->store.state[slot] == PUSH_CLOSED)
        return;
    bool may_wait = endless(w, slot, no) || (held_up && row == TARGET_QUEUED);
    REQUIRE(w, may_wait || row_ended(w, row), NAME, "%s t%u is still %s", slot_word(slot), no,
            target_state_word(row));
}

void progress_look(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        bool any_endless = false;
        if (w->store.state[slot] == PUSH_STOPPED || !is_newest(w, slot))
            continue;
        if (w->restored && !w->options.store_told)
            continue; /* relays may obey a STOP that nobody here knows of, until the deadline */
        for (uint32_t no = 0; no < w->options.target_count; no++)
            any_endless |= !w->store.old[slot][no] && endless(w, slot, no);
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (!w->store.old[slot][no])
                look_at(w, slot, no, any_endless && w->options.fail_stop_count > 0);
        REQUIRE(w, any_endless || w->store.state[slot] == PUSH_CLOSED, NAME, "%s isn't closed",
                slot_word(slot));
    }
}
