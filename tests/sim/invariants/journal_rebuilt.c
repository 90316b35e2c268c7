/* journal.rebuilt: what a relay that starts makes of its journal equals what the live one holds:
 * the outcomes that wait for their acknowledgement. The live one may have rows on their way that
 * were never journalled: CANCELLED, of what it gave back. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/journal.h"

#define NAME "journal.rebuilt"

void journal_rebuilt_look(struct world *w, uint16_t number)
{
    const struct relay *relay = &w->relays[number];
    struct agent_effects effects = {0};
    struct agent_config config;
    uint32_t waiting = 0;
    if (w->options.classic) /* there a relay that starts is told of what it forgot, too */
        return;
    agent_config_defaults(&config);
    struct agent *again = agent_new(&config);
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++) {
            struct agent_event event;
            if (!journal_event(w, number, slot, no, &event))
                continue;
            const struct journal_row *row = &relay->journal.rows[slot][no];
            waiting += row->outcome && !row->acked;
            event.now_ms = world_boot_ms(w);
            event.now_unix_ms = world_unix_ms(w, number);
            agent_step(again, &event, &effects);
        }
    uint32_t live = agent_counters(relay->agent).unacknowledged;
    uint32_t rebuilt = agent_counters(again).unacknowledged;
    REQUIRE(w, live >= waiting && rebuilt == waiting, NAME,
            "r%u: %u outcomes wait for their acknowledgement, in the journal %u, rebuilt %u",
            number, live, waiting, rebuilt);
    agent_free(again);
    agent_effects_release(&effects);
}
