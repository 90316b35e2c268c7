/* progress.made: when all has been well for a while, and the deadline is far, what goes on is
 * through: nothing expired, every row that can have ended has, and the push is closed. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "progress.made"

/* Returns whether the row may yet take long. */
static bool look_at(struct world *w, int slot, uint32_t no)
{
    const struct task *task = &w->tasks[slot][no];
    enum target_state row = w->store.rows[slot][no];
    REQUIRE(w, row != TARGET_EXPIRED, NAME, "%s t%u expired", slot_word(slot), no);
    if (!w->options.wait || w->store.state[slot] == PUSH_CLOSED)
        return false;
    bool ends = !task->registered || task->ends_ms + LOOKS_MS < w->now_ms;
    REQUIRE(w, !ends || row_ended(w, row), NAME, "%s t%u is still %s", slot_word(slot), no,
            target_state_word(row));
    return !ends;
}

void progress_look(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (w->store.state[slot] == PUSH_STOPPED || !is_newest(w, slot))
            continue;
        bool endless = false;
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (!w->store.old[slot][no])
                endless |= look_at(w, slot, no);
        REQUIRE(w, endless || w->store.state[slot] == PUSH_CLOSED, NAME, "%s isn't closed",
                slot_word(slot));
    }
}
