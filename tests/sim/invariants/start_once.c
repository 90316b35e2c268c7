/* start.once: no target's installer starts twice. INTENT is journalled before the call that
 * registers; whoever has called once looks, or reads back, before it calls again, whatever it lost
 * meanwhile; what is awaited was registered. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "start.once"

void start_once_run(struct world *w, uint16_t relay, int slot, uint32_t no,
                    const struct agent_effect *e)
{
    bool *called = &w->called[relay][slot][no];
    const struct journal_row *row = &w->relays[relay].journal.rows[slot][no];
    if (e->run.stage != STAGE_SCHEDULE || e->run.hold_logon)
        return;
    REQUIRE(w, row->intent || e->run.look_only, NAME, "r%u registers %s t%u without INTENT", relay,
            slot_word(slot), no);
    if (w->machines[no].hostile)
        return; /* it said so */
    REQUIRE(w, !e->run.await || (w->options.wait && w->tasks[slot][no].registered), NAME,
            "r%u waits for %s t%u, where nothing is registered", relay, slot_word(slot), no);
    if (e->run.look_only || e->run.await)
        return;
    REQUIRE(w, !*called || e->run.read_back || fault_excuses(w, slot, no), NAME,
            "r%u registers %s t%u blindly, again", relay, slot_word(slot), no);
    *called = true;
}

void start_once_looked(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    w->called[relay][slot][no] = false;
}
