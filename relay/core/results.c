/* Outcomes on their way to the coordinator: queued, in batches, acknowledged, kept as tombstones.
 */
#include <assert.h>
#include <string.h>

#include "relay/core/agent_state.h"

struct agent_ref entry_ref(const struct agent *agent, uint32_t index)
{
    const struct entry *entry = &agent->table.entries[index];
    const struct push_slot *push = &agent->pushes[entry->push];
    return (struct agent_ref){
        .push = push->id,
        .generation = push->generation,
        .target_no = entry->target_no,
        .attempt = entry->attempt,
    };
}

static void queue_unsent(struct agent *agent, uint32_t index)
{
    struct entry *entry = &agent->table.entries[index];
    entry->status = ENTRY_UNSENT;
    queue_push(&agent->table, entry->dropped ? &agent->dropped : &agent->unsent, index);
}

void results_drop(struct agent *agent, uint32_t index, enum stage reached)
{
    agent->table.entries[index].dropped = true;
    agent->table.entries[index].reached = reached;
    queue_unsent(agent, index);
}

void on_journal(struct agent *agent, const struct agent_ref *ref, bool outcome, bool acked,
                uint32_t output_size)
{
    uint32_t push = push_get(agent, &ref->push, ref->generation);
    if (push == ENTRY_NONE) {
        agent->ignored++;
        return;
    }
    uint32_t index = table_find(&agent->table, push, ref->target_no);
    if (index == ENTRY_NONE)
        index = table_add(&agent->table, push, ref->target_no);
    struct entry *entry = &agent->table.entries[index];
    if (entry->status != ENTRY_INTENT) {
        agent->ignored++;
        return;
    }
    entry->attempt = ref->attempt;
    if (!outcome) {
        entry->intent = true;
    } else if (acked) {
        entry->status = ENTRY_ACKED;
    } else {
        entry->output_size = output_size;
        queue_unsent(agent, index);
    }
}

static void leave_batch(struct agent *agent, uint32_t index)
{
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        struct batch *batch = &agent->batches[b];
        for (uint32_t i = 0; batch->used && i < batch->count; i++) {
            if (batch->rows[i] == index)
                batch->rows[i] = ENTRY_NONE;
        }
    }
}

void results_forget(struct agent *agent, uint32_t index)
{
    const struct entry *entry = &agent->table.entries[index];
    if (entry->status == ENTRY_UNSENT)
        queue_remove(&agent->table, entry->dropped ? &agent->dropped : &agent->unsent, index);
    else if (entry->status == ENTRY_SENT)
        leave_batch(agent, index);
}

void results_renew(struct agent *agent, uint32_t index, uint32_t attempt)
{
    struct entry *entry = &agent->table.entries[index];
    /* The lease was repeated while the row is on its way: nothing new. */
    if (attempt <= entry->attempt && entry->status != ENTRY_ACKED)
        return;
    if (attempt > entry->attempt)
        entry->attempt = attempt;
    if (!entry->dropped) {
        struct agent_ref ref = entry_ref(agent, index);
        effect_add(agent, AGENT_JOURNAL_RENEW)->persist.ref = ref;
    }
    results_forget(agent, index);
    queue_unsent(agent, index);
}

static void requeue_batch(struct agent *agent, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->rows[i] != ENTRY_NONE)
            queue_unsent(agent, batch->rows[i]);
    }
    batch->used = false;
}

void results_requeue(struct agent *agent)
{
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        if (agent->batches[b].used)
            requeue_batch(agent, &agent->batches[b]);
    }
}

/* The coordinator has them back, and gives them out under a higher attempt. What was said of this
 * one stays true: a LEASE of it that comes late, under a JOB that lifts the STOP, begins nothing.
 */
static void note_dropped(struct agent *agent, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->rows[i] != ENTRY_NONE)
            agent->table.entries[batch->rows[i]].status = ENTRY_ACKED;
    }
}

static void note_acked(struct agent *agent, const struct batch *batch)
{
    struct agent_effect *effect = effect_add(agent, AGENT_JOURNAL_ACKED);
    effect->rows.first_ref = (uint32_t)agent->effects->ref_count;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->rows[i] == ENTRY_NONE)
            continue;
        agent->table.entries[batch->rows[i]].status = ENTRY_ACKED;
        agent->table.entries[batch->rows[i]].output_size = 0; /* the journal drops it */
        struct agent_ref ref = entry_ref(agent, batch->rows[i]);
        effect_ref(agent, &ref);
        effect->rows.ref_count++;
    }
}

void on_results_ack(struct agent *agent, const struct message_results_ack *ack)
{
    struct batch *batch = NULL;
    if (ack->sequence == 0)
        return; /* of progress, which a LEASE asks for again when it was lost */
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        if (agent->batches[b].used && agent->batches[b].sequence == ack->sequence)
            batch = &agent->batches[b];
    }
    if (agent->epoch == 0 || ack->epoch != agent->epoch || !batch) {
        agent->ignored++;
        return;
    }
    batch->used = false;
    if (batch->cancelled)
        note_dropped(agent, batch);
    else
        note_acked(agent, batch);
}

static void note_dropped_ref(const struct entry *entry, struct agent_ref *ref)
{
    ref->reached = entry->reached;
    ref->registered = entry->intent;
}

static void send_batch(struct agent *agent, struct batch *batch, struct queue *from)
{
    batch->cancelled = from == &agent->dropped;
    batch->used = true;
    batch->sequence = ++agent->sequence;
    batch->sent_ms = agent->now_ms;
    batch->count = 0;
    struct agent_effect *effect =
        effect_add(agent, batch->cancelled ? AGENT_SEND_CANCELLED : AGENT_SEND_RESULTS);
    effect->rows.first_ref = (uint32_t)agent->effects->ref_count;
    effect->rows.epoch = agent->epoch;
    effect->rows.sequence = batch->sequence;
    uint32_t output_size = 0;
    while (from->count > 0 && batch->count < LIMIT_ROWS_PER_MESSAGE) {
        uint32_t index = from->head;
        output_size += agent->table.entries[index].output_size;
        if (output_size > OUTPUT_PER_MESSAGE && batch->count > 0)
            break;
        queue_remove(&agent->table, from, index);
        agent->table.entries[index].status = ENTRY_SENT;
        batch->rows[batch->count++] = index;
        struct agent_ref ref = entry_ref(agent, index);
        if (batch->cancelled)
            note_dropped_ref(&agent->table.entries[index], &ref);
        effect_ref(agent, &ref);
    }
    effect->rows.ref_count = batch->count;
}

void results_send(struct agent *agent)
{
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        struct batch *batch = &agent->batches[b];
        if (batch->used && agent->now_ms >= batch->sent_ms + agent->config.results_retry_ms)
            requeue_batch(agent, batch);
    }
    if (agent->epoch == 0)
        return;
    for (uint32_t b = 0; b < agent->config.results_in_flight; b++) {
        struct queue *from = agent->unsent.count > 0 ? &agent->unsent : &agent->dropped;
        if (from->count > 0 && !agent->batches[b].used)
            send_batch(agent, &agent->batches[b], from);
    }
}

uint64_t results_due_ms(const struct agent *agent)
{
    uint64_t due = UINT64_MAX;
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        const struct batch *batch = &agent->batches[b];
        uint64_t at = batch->sent_ms + agent->config.results_retry_ms;
        if (batch->used && at < due)
            due = at;
    }
    return due;
}

uint32_t results_unacknowledged(const struct agent *agent)
{
    uint32_t count = agent->unsent.count + agent->dropped.count;
    for (uint32_t b = 0; b < BATCHES_MAX; b++) {
        const struct batch *batch = &agent->batches[b];
        for (uint32_t i = 0; batch->used && i < batch->count; i++)
            count += batch->rows[i] != ENTRY_NONE;
    }
    return count;
}
