/* See operator.h. */
#include "tests/sim/operator.h"

#include "tests/sim/coordinator.h"
#include "tests/sim/store.h"
#include "tests/sim/trace.h"

void operator_stand(struct world *w, uint16_t relay, enum relay_standing standing)
{
    TRACE(w, "operator", "makes r%u %s", relay, relay_standing_word(standing));
    w->store.standing[relay] = standing;
    coordinator_tell_standing(w, relay);
}

void operator_stop(struct world *w, int slot, bool cancel)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = key_of(slot)};
    event.push_stopped.cancel = cancel;
    TRACE(w, "operator", "%s %s", cancel ? "cancels" : "stops", slot_word(slot));
    w->store.state[slot] = cancel ? PUSH_CANCELLING : PUSH_STOPPED;
    w->stopped_ms[slot] = w->now_ms;
    coordinator_step(w, &event);
}

void operator_resume(struct world *w, int slot)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_RESUMED, .push_key = key_of(slot)};
    event.push_resumed.not_after_unix_s =
        (int64_t)((UNIX_START_MS + w->options.not_after_ms) / 1000);
    event.push_resumed.counter = w->store.counter[slot] = store_next_counter(w, slot);
    event.push_resumed.starts_later = w->options.starts_later;
    event.push_resumed.wait_until_unix_s = (int64_t)((UNIX_START_MS + wait_until_ms(w)) / 1000);
    TRACE(w, "operator", "resumes %s", slot_word(slot));
    w->store.state[slot] = PUSH_OPEN;
    coordinator_step(w, &event);
}

void operator_retry(struct world *w, int slot)
{
    TRACE(w, "operator", "retries %s", slot_word(slot));
    store_retry(w, slot);
    coordinator_tell_retry(w, slot);
}

static void change_standing(struct world *w)
{
    uint16_t relay = (uint16_t)below(w, w->options.relay_count);
    enum relay_standing standing = w->store.standing[relay];
    if (standing == RELAY_DRAINING)
        standing = RELAY_ACTIVE;
    else if (standing == RELAY_ACTIVE && has_twin(w, relay))
        standing = chance(w, w->options.drain_percent) ? RELAY_DRAINING : RELAY_REVOKED;
    operator_stand(w, relay, standing);
}

void operator_acts(struct world *w)
{
    int slot = (int)below(w, w->options.push_count);
    if (chance(w, w->options.standing_percent)) {
        change_standing(w);
        return;
    }
    slot += (int)(w->store.generation[slot] - 1) * PUSHES;
    enum push_state state = w->store.state[slot];
    if (state == PUSH_CLOSED && generation_of(slot) < w->options.generation_count)
        operator_retry(w, slot);
    else if (state == PUSH_STOPPED)
        operator_resume(w, slot);
    else if (state == PUSH_OPEN)
        operator_stop(w, slot, chance(w, w->options.cancel_percent));
}
