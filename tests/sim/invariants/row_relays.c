/* row.relays: a recorded outcome is the relay's own: as its journal has it, with what the package
 * printed there. */
#include <string.h>

#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/target.h"
#include "tests/sim/trace.h"

#define NAME "row.relays"

static bool of_relay(const struct world *w, const struct outcome *outcome)
{
    bool progress = w->options.wait && outcome->state == TARGET_SCHEDULED;
    return !progress && (outcome->state == TARGET_SCHEDULED || outcome->state == TARGET_SUCCEEDED ||
                         outcome->state == TARGET_FAILED || outcome->state == TARGET_UNREACHABLE);
}

void row_relays_outcome(struct world *w, int slot, const struct dispatch_effect *e)
{
    char text[16];
    if (e->output != NULL)
        REQUIRE(w,
                e->output_size == target_output(slot, e->target_no, text) &&
                    memcmp(e->output, text, e->output_size) == 0,
                NAME, "%s t%u has another package's output", slot_word(slot), e->target_no);
    if (!of_relay(w, e->outcome))
        return;
    if (e->relay >= w->options.relay_count) {
        violation(w, NAME, "%s t%u is %s, by nobody", slot_word(slot), e->target_no,
                  target_state_word(e->outcome->state));
        return;
    }
    if (fault_excuses(w, slot, e->target_no))
        return;
    const struct journal_row *row = &w->relays[e->relay].journal.rows[slot][e->target_no];
    REQUIRE(w,
            row->outcome && row->value.state == e->outcome->state &&
                row->value.reason == e->outcome->reason &&
                strcmp(row->value.detail, e->outcome->detail) == 0,
            NAME, "%s t%u is %s %s, r%u journalled %s %s", slot_word(slot), e->target_no,
            target_state_word(e->outcome->state), reason_word(e->outcome->reason), e->relay,
            row->outcome ? target_state_word(row->value.state) : "nothing",
            row->outcome ? reason_word(row->value.reason) : "");
}
