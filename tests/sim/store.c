/* See store.h. */
#include "tests/sim/store.h"

#include <string.h>

#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

static void outcome(struct world *w, int slot, const struct dispatch_effect *e)
{
    struct store *store = &w->store;
    row_final_outcome(w, slot, e);
    row_truth_outcome(w, slot, e);
    row_relays_outcome(w, slot, e);
    threshold_outcome(w, slot, e);
    store->rows[slot][e->target_no] = e->outcome->state;
    store->reasons[slot][e->target_no] = e->outcome->reason;
    store->doubted[slot][e->target_no] = e->outcome->state == TARGET_UNKNOWN_EFFECT &&
                                         strstr(e->outcome->detail, DISPATCH_DOUBT_TEXT) != NULL;
    TRACE(w, "coordinator", "commits %s t%u: %s%s%s%s", slot_word(slot), e->target_no,
          target_state_word(e->outcome->state), e->outcome->reason != REASON_NONE ? ", " : "",
          e->outcome->reason != REASON_NONE ? reason_word(e->outcome->reason) : "",
          store->doubted[slot][e->target_no] ? ", doubted" : "");
}

static void certain(struct world *w, int slot, const struct dispatch_effect *e)
{
    struct store *store = &w->store;
    row_final_certain(w, slot, e);
    store->rows[slot][e->target_no] = reason_state(store->reasons[slot][e->target_no]);
    store->doubted[slot][e->target_no] = false;
    TRACE(w, "coordinator", "commits %s t%u: the failure counts", slot_word(slot), e->target_no);
}

void store_persist(struct world *w, const struct dispatch_effect *e)
{
    struct store *store = &w->store;
    int slot = e->generation > 0 ? slot_of(&e->push, e->generation) : 0;
    switch (e->kind) {
    case DISPATCH_PERSIST_OUTCOME:
        outcome(w, slot, e);
        break;
    case DISPATCH_PERSIST_CERTAIN:
        certain(w, slot, e);
        break;
    case DISPATCH_PERSIST_LEASE:
        threshold_lease(w, slot, &e->history);
        store->history[slot][e->history.relay] = e->history;
        break;
    case DISPATCH_PERSIST_EPOCH:
        epoch_rises(w, e);
        store->epoch[e->relay] = e->epoch;
        break;
    case DISPATCH_PERSIST_STANDING:
        clone_standing(w, e);
        store->standing[e->relay] = e->standing;
        break;
    case DISPATCH_PERSIST_CLOSED:
        row_final_closed(w, slot);
        store->state[slot] = PUSH_CLOSED;
        TRACE(w, "coordinator", "commits %s: closed", slot_word(slot));
        break;
    case DISPATCH_SEND_WELCOME:
    case DISPATCH_SEND_HEARTBEAT_ACK:
    case DISPATCH_SEND_JOB:
    case DISPATCH_SEND_LEASE:
    case DISPATCH_SEND_RESULTS_ACK:
    case DISPATCH_SEND_STOP:
    case DISPATCH_SEND_CLOSE:
    case DISPATCH_ARM_TIMER:
        break;
    }
}

bool store_slot_open(const struct world *w, int slot)
{
    if (w->store.state[slot] != PUSH_CLOSED)
        return true;
    for (uint32_t no = 0; no < w->options.target_count; no++)
        if (w->store.rows[slot][no] == TARGET_UNKNOWN_EFFECT && !w->store.old[slot][no])
            return true;
    return false;
}

static uint8_t doubted_state(enum reason reason)
{
    return reason_state(reason) == TARGET_FAILED ? DISPATCH_STATE_DOUBTED_FAILED
                                                 : DISPATCH_STATE_DOUBTED;
}

void store_open(const struct world *w, int slot, struct store_opened *opened)
{
    const struct store *store = &w->store;
    const struct options *o = &w->options;
    opened->event = (struct dispatch_event){.kind = DISPATCH_PUSH_OPENED};
    struct dispatch_push_opened *push = &opened->event.push_opened;
    *push = (struct dispatch_push_opened){
        .key = key_of(slot),
        .push = id_of(slot),
        .generation = generation_of(slot),
        .state = store->state[slot],
        .not_after_unix_s = (int64_t)((UNIX_START_MS + o->not_after_ms) / 1000),
        .counter = store->counter[slot],
        .wait = o->wait,
        .wait_until_unix_s = (int64_t)((UNIX_START_MS + wait_until_ms(w)) / 1000),
        .starts_later = o->starts_later,
        .start_until = "the deadline",
        .fail_stop_count = o->fail_stop_count,
        .target_count = o->target_count,
        .sites = w->site_of,
        .states = opened->states,
        .history = opened->history,
    };
    for (uint32_t no = 0; no < o->target_count; no++)
        opened->states[no] = store->old[slot][no]       ? (uint8_t)DISPATCH_STATE_OLD
                             : store->doubted[slot][no] ? doubted_state(store->reasons[slot][no])
                                                        : (uint8_t)store->rows[slot][no];
    for (uint16_t relay = 0; relay < o->relay_count; relay++)
        if (store->history[slot][relay].mark > 0)
            opened->history[push->history_count++] = store->history[slot][relay];
}

uint64_t store_next_counter(struct world *w, int slot)
{
    uint64_t *most = &w->counter_max[slot % PUSHES];
    uint64_t next = w->store.counter[slot] + 1;
    *most = next > *most ? next : *most + 1;
    return *most;
}

void store_retry(struct world *w, int slot)
{
    struct store *store = &w->store;
    int next = slot + PUSHES;
    store->generation[slot % PUSHES] = generation_of(next);
    store->counter[next] = store_next_counter(w, slot);
    store->state[next] = PUSH_OPEN;
    for (uint32_t no = 0; no < w->options.target_count; no++) {
        enum target_state row = store->rows[slot][no];
        bool again =
            row == TARGET_FAILED || row == TARGET_UNREACHABLE || row == TARGET_UNKNOWN_EFFECT;
        store->old[next][no] = !again;
        store->rows[next][no] = again ? TARGET_QUEUED : row;
    }
}
