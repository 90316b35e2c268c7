/* The coordinator's shell around its core: what it persists is there wholly or not at all, what it
 * sends goes out in order, and it may die between any two effects. */
#ifndef PUSHER_SIM_COORDINATOR_H
#define PUSHER_SIM_COORDINATOR_H

#include "tests/sim/world.h"

/* A new process, told of all that the store holds. Ends the one before. */
void coordinator_start(struct world *world);
/* It stood still in the middle of a step: the rest of that. */
void coordinator_goes_on(struct world *world);
/* One step of the core; when the process dies of it, another one is there afterwards. */
void coordinator_step(struct world *world, struct dispatch_event *event);
/* Another core, told of all that the store holds; what it asks for is dropped. dispatch_free. */
struct dispatch *coordinator_rebuild(const struct world *world);
/* A message of a relay has come. */
void coordinator_hears(struct world *world, const struct item *item);
/* Tells the core of what the operator had the store note. */
void coordinator_tell_standing(struct world *world, uint16_t relay);
void coordinator_tell_retry(struct world *world, int slot);

#endif
