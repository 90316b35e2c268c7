/* deadline.kept: after a job's deadline nothing is registered; a target without INTENT isn't even
 * touched. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "deadline.kept"

void deadline_run(struct world *w, uint16_t relay, int slot, uint32_t no,
                  const struct agent_effect *e)
{
    bool intent = w->relays[relay].journal.rows[slot][no].intent;
    bool registers =
        e->run.stage == STAGE_SCHEDULE && !e->run.hold_logon && !e->run.look_only && !e->run.await;
    /* By the relay's own clock, when it decided. */
    uint64_t by_ms = w->relays[relay].plight.decided_unix_ms;
    REQUIRE(w, by_ms < UNIX_START_MS + w->options.not_after_ms || (intent && !registers), NAME,
            "r%u runs %s at %s t%u", relay, stage_word(e->run.stage), slot_word(slot), no);
}
