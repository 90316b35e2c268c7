/* See journal.h. */
#include "tests/sim/journal.h"

#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/network.h"
#include "tests/sim/target.h"
#include "tests/sim/trace.h"

static struct journal_row *row_of(struct world *w, uint16_t relay, const struct agent_ref *ref)
{
    return &w->relays[relay].journal.rows[slot_of(&ref->push, ref->generation)][ref->target_no];
}

/* It is about to change. */
static struct journal_row *change(struct world *w, uint16_t relay, const struct agent_ref *ref)
{
    struct journal_row *row = row_of(w, relay, ref);
    disk_write(&w->relays[relay].disk, row, sizeof *row);
    fault_note_begun(w, relay, slot_of(&ref->push, ref->generation), ref->target_no);
    return row;
}

static void outcome(struct world *w, uint16_t relay, const struct agent_effect *e)
{
    const struct agent_ref *ref = &e->persist.ref;
    struct journal_row *row = change(w, relay, ref);
    const struct outcome *value = &w->relays[relay].effects.outcomes[e->persist.outcome_no];
    result_kept_outcome(w, relay, slot_of(&ref->push, ref->generation), ref->target_no);
    *row = (struct journal_row){.outcome = true,
                                .attempt = ref->attempt,
                                .output = e->persist.output_size > 0,
                                .value = *value};
    TRACE(w, relay_word(relay), "journals %s t%u: %s%s%s",
          slot_word(slot_of(&ref->push, ref->generation)), ref->target_no,
          target_state_word(value->state), value->reason != REASON_NONE ? ", " : "",
          value->reason != REASON_NONE ? reason_word(value->reason) : "");
}

static void acked(struct world *w, uint16_t relay, const struct agent_effect *e)
{
    for (uint32_t i = 0; i < e->rows.ref_count; i++) {
        const struct agent_ref *ref = &w->relays[relay].effects.refs[e->rows.first_ref + i];
        int slot = slot_of(&ref->push, ref->generation);
        result_kept_acked(w, relay, slot, ref->target_no);
        change(w, relay, ref)->acked = true;
        TRACE(w, relay_word(relay), "journals %s t%u: acknowledged", slot_word(slot),
              ref->target_no);
    }
}

static void intent(struct world *w, uint16_t relay, const struct agent_ref *ref)
{
    struct journal_row *row = change(w, relay, ref);
    row->intent = true;
    row->attempt = ref->attempt;
    TRACE(w, relay_word(relay), "journals %s t%u: INTENT, attempt %u",
          slot_word(slot_of(&ref->push, ref->generation)), ref->target_no, ref->attempt);
}

static void forget(struct world *w, uint16_t relay, int slot)
{
    struct journal *journal = &w->relays[relay].journal;
    struct disk *disk = &w->relays[relay].disk;
    result_kept_forget(w, relay, slot);
    disk_write(disk, &journal->forgotten[slot], sizeof journal->forgotten[slot]);
    journal->forgotten[slot] = true;
    for (uint32_t no = 0; no < w->options.target_count && !w->options.classic; no++) {
        struct journal_row *row = &journal->rows[slot][no];
        if (!row->intent && !row->outcome)
            continue;
        disk_write(disk, row, sizeof *row);
        *row = (struct journal_row){0};
    }
    TRACE(w, relay_word(relay), "forgets %s", slot_word(slot));
}

void journal_write(struct world *w, uint16_t relay, const struct agent_effect *e)
{
    const struct agent_ref *ref = &e->persist.ref;
    if (e->kind == AGENT_PERSIST_INTENT) {
        intent(w, relay, ref);
    } else if (e->kind == AGENT_PERSIST_OUTCOME) {
        outcome(w, relay, e);
    } else if (e->kind == AGENT_JOURNAL_RENEW) {
        struct journal_row *row = change(w, relay, ref);
        row->attempt = ref->attempt;
        row->acked = false;
    } else if (e->kind == AGENT_JOURNAL_ACKED) {
        acked(w, relay, e);
    } else if (e->kind == AGENT_JOURNAL_FORGET) {
        forget(w, relay, slot_of(&e->forget.push, e->forget.generation));
    }
}

void journal_job(struct world *w, uint16_t relay, int slot, uint64_t counter)
{
    uint64_t *known = &w->relays[relay].journal.counter[slot];
    disk_write(&w->relays[relay].disk, known, sizeof *known);
    *known = counter;
    w->relays[relay].urgent = true;
}

bool journal_event(const struct world *w, uint16_t relay, int slot, uint32_t no,
                   struct agent_event *event)
{
    const struct journal_row *row = &w->relays[relay].journal.rows[slot][no];
    *event =
        (struct agent_event){.kind = row->outcome ? AGENT_JOURNAL_OUTCOME : AGENT_JOURNAL_INTENT};
    event->journal.ref = (struct agent_ref){.push = id_of(slot),
                                            .generation = generation_of(slot),
                                            .target_no = no,
                                            .attempt = row->attempt};
    event->journal.acked = row->acked;
    event->journal.output_size = row->output && !row->acked ? 10 : 0;
    return row->outcome || row->intent;
}

static void fill_row(struct world *w, uint16_t relay, const struct agent_effect *e, uint32_t i,
                     struct result_row *row, char said[16])
{
    const struct relay *from = &w->relays[relay];
    const struct agent_ref *ref = &from->effects.refs[e->rows.first_ref + i];
    const struct journal_row *known = row_of(w, relay, ref);
    *row = (struct result_row){.push = ref->push,
                               .generation = ref->generation,
                               .target_no = ref->target_no,
                               .attempt = ref->attempt};
    if (e->kind == AGENT_SEND_CANCELLED) {
        result_kept_said(w, relay, !ref->registered || (w->options.wait && known->intent));
        row->outcome.state = ref->registered ? TARGET_SCHEDULED : TARGET_CANCELLED;
        row->outcome.reason = REASON_CANCELLED;
        row->outcome.stage = ref->reached;
    } else if (e->kind == AGENT_SEND_SCHEDULED) {
        result_kept_said(w, relay, known->intent && !known->outcome);
        row->outcome = from->effects.outcomes[e->rows.first_outcome + i];
    } else {
        result_kept_said(w, relay, known->outcome);
        row->outcome = known->value;
        if (known->output && !known->acked)
            row->output_size =
                target_output(slot_of(&ref->push, ref->generation), ref->target_no, said);
        row->output = (uint8_t *)said;
    }
}

void journal_send(struct world *w, uint16_t relay, const struct agent_effect *e)
{
    struct message message = {.kind = MESSAGE_RESULTS};
    struct result_row rows[SLOTS * TARGETS];
    char said[SLOTS * TARGETS][16];
    if (e->rows.ref_count > SLOTS * TARGETS) {
        violation(w, "effect.sane", "a batch of %u rows", e->rows.ref_count);
        return;
    }
    for (uint32_t i = 0; i < e->rows.ref_count; i++)
        fill_row(w, relay, e, i, &rows[i], said[i]);
    message.results =
        (struct message_results){e->rows.epoch, e->rows.sequence, rows, e->rows.ref_count};
    network_post(w, TO_COORDINATOR, relay, &message);
}
