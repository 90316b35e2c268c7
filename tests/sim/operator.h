/* The operator: stops, resumes, cancels and retries pushes, drains and revokes relays. */
#ifndef PUSHER_SIM_OPERATOR_H
#define PUSHER_SIM_OPERATOR_H

#include "tests/sim/world.h"

/* One thing, at random; or nothing, when it can't be done now. */
void operator_acts(struct world *world);

/* Each as a command would: the store has it first, then the core is told. */
void operator_stop(struct world *world, int slot, bool cancel);
void operator_resume(struct world *world, int slot);
void operator_retry(struct world *world, int slot);
void operator_stand(struct world *world, uint16_t relay, enum relay_standing standing);

#endif
