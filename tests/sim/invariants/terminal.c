/* end.terminal: after healing every target reaches a terminal row and every push is closed; what
 * was registered is known as that, or as unknown. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "end.terminal"

static bool told_of_registered(const struct world *w, int slot, uint32_t no)
{
    enum target_state row = w->store.rows[slot][no];
    if (!w->options.wait)
        return row == TARGET_UNKNOWN_EFFECT || row == TARGET_SCHEDULED;
    return row_truth_tells_end(row, w->store.reasons[slot][no]);
}

static void check_row(struct world *w, int slot, uint32_t no)
{
    enum target_state row = w->store.rows[slot][no];
    REQUIRE(w, row_ended(w, row), NAME, "%s t%u is %s", slot_word(slot), no,
            target_state_word(row));
    if (w->machines[no].hostile || fault_excuses(w, slot, no))
        return;
    REQUIRE(w, !w->tasks[slot][no].registered || told_of_registered(w, slot, no), NAME,
            "%s t%u is %s, but the task is there", slot_word(slot), no, target_state_word(row));
}

void terminal_end(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (!is_newest(w, slot))
            continue;
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (!w->store.old[slot][no])
                check_row(w, slot, no);
        REQUIRE(w, w->store.state[slot] == PUSH_CLOSED, NAME, "%s isn't closed", slot_word(slot));
    }
}
