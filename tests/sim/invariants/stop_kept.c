/* stop.kept: nothing new is registered later than one lease after a stop or cancel is committed.
 *
 * A relay that a STOP was lost for, or came late to, is let off until it hears of it: it is told
 * again with each of its heartbeats, and by a LEASE that asks only. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "stop.kept"

void stop_kept_register(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    enum push_state state = w->store.state[slot];
    bool stopped = (state == PUSH_STOPPED || state == PUSH_CANCELLING) &&
                   !w->stop_missed[slot][relay_of(w, relay)];
    uint64_t since_ms = w->stopped_ms[slot];
    uint64_t decided_ms = w->relays[relay].plight.decided_ms;
    REQUIRE(w, !stopped || decided_ms <= since_ms + LEASE_MS, NAME,
            "r%u registers %s t%u %llu ms after the operator's word", relay, slot_word(slot), no,
            (unsigned long long)(decided_ms - since_ms));
}

void stop_kept_missed(struct world *w, uint16_t relay, const struct message *message)
{
    if (message->kind == MESSAGE_STOP)
        w->stop_missed[slot_of(&message->push_ref.push, message->push_ref.generation)]
                      [relay_of(w, relay)] = true;
}

void stop_kept_heard(struct world *w, uint16_t relay, const struct message *message)
{
    int slot = 0;
    uint64_t counter = 0;
    if (message->kind == MESSAGE_STOP) {
        slot = slot_of(&message->push_ref.push, message->push_ref.generation);
        counter = message->push_ref.counter;
    } else if (message->kind == MESSAGE_LEASE) {
        slot = slot_of(&message->lease.push, message->lease.generation);
        counter = message->lease.stop_counter;
    }
    if (counter > 0 && counter == w->store.counter[slot])
        w->stop_missed[slot][relay] = false;
}
