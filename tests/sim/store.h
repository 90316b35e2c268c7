/* What the coordinator's store holds, and what a coordinator that starts reads from it. */
#ifndef PUSHER_SIM_STORE_H
#define PUSHER_SIM_STORE_H

#include "tests/sim/world.h"

/* Carries out a PERSIST_*; nothing for other effects. The invariants look first. */
void store_persist(struct world *world, const struct dispatch_effect *effect);
/* Whether a core that starts is told of the slot as open: else it has ended. */
bool store_slot_open(const struct world *world, int slot);

/* Room for what a PUSH_OPENED points to. */
struct store_opened {
    struct dispatch_event event;
    uint8_t states[TARGETS];
    struct dispatch_history history[RELAYS];
};

/* The slot as the store knows it. */
void store_open(const struct world *world, int slot, struct store_opened *opened);
/* The counter of a job that is signed now: above all before, as the operators' clocks are, whatever
 * became of the store. */
uint64_t store_next_counter(struct world *world, int slot);
/* The next generation of a closed push: who failed, wasn't reached, or is unknown. */
void store_retry(struct world *world, int slot);

#endif
