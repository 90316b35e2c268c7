/* result.kept: no result that a relay holds is dropped. It is journalled once, said as it is
 * journalled, acknowledged only when the coordinator's store has the row's end, and forgotten only
 * when that is known for good. At the end, what the only relay of a site holds is what the row
 * says. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "result.kept"

void result_kept_outcome(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    REQUIRE(w, !w->relays[relay].journal.rows[slot][no].outcome, NAME,
            "r%u journals another outcome of %s t%u", relay, slot_word(slot), no);
}

/* Of several relays' failures one may be enough; what says how it ended always counts. */
static bool always_counts(const struct world *w, const struct outcome *outcome)
{
    return w->options.relay_count == w->options.site_count || outcome->state == TARGET_SCHEDULED ||
           outcome->state == TARGET_SUCCEEDED;
}

void result_kept_acked(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    const struct journal_row *row = &w->relays[relay].journal.rows[slot][no];
    bool over = !is_newest(w, slot) || w->store.old[slot][no];
    REQUIRE(w,
            over || !row->outcome || !always_counts(w, &row->value) || fault_excuses(w, slot, no) ||
                row_ended(w, w->store.rows[slot][no]),
            NAME, "%s t%u of r%u is acknowledged, but the row is %s", slot_word(slot), no, relay,
            target_state_word(w->store.rows[slot][no]));
}

void result_kept_said(struct world *w, uint16_t relay, bool journalled)
{
    REQUIRE(w, journalled, NAME, "r%u says what its journal doesn't hold", relay);
}

static void check_row(struct world *w, int slot, uint32_t no)
{
    if (w->machines[no].hostile || fault_excuses(w, slot, no))
        return;
    for (uint16_t r = 0; r < w->options.relay_count; r++) {
        const struct journal_row *known = &w->relays[r].journal.rows[slot][no];
        if (known->value.reason == REASON_JOB_REFUSED)
            continue; /* what it held is forgotten since CLOSE */
        if ((w->restored || w->clock_wrong) && w->store.reasons[slot][no] == REASON_RELAY_LOST)
            continue; /* acknowledged once, and stopped until its deadline; or over too soon */
        REQUIRE(w, !known->outcome || known->value.state == w->store.rows[slot][no], NAME,
                "%s t%u is %s, r%u holds %s", slot_word(slot), no,
                target_state_word(w->store.rows[slot][no]), r,
                target_state_word(known->value.state));
    }
}

void result_kept_forget(struct world *w, uint16_t relay, int slot)
{
    if (!is_newest(w, slot))
        return;
    for (uint32_t no = 0; no < w->options.target_count; no++) {
        enum target_state row = w->store.rows[slot][no];
        if (w->store.old[slot][no])
            continue;
        REQUIRE(w, row_ended(w, row) && row != TARGET_UNKNOWN_EFFECT, NAME,
                "r%u forgets %s, where t%u is %s", relay, slot_word(slot), no,
                target_state_word(row));
        if (w->options.relay_count == w->options.site_count)
            check_row(w, slot, no);
    }
}

void result_kept_end(struct world *w)
{
    if (w->options.relay_count != w->options.site_count)
        return;
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (is_newest(w, slot) && !w->store.old[slot][no])
                check_row(w, slot, no);
}
