/* A relay's shell around its core: it journals, sends and runs stages in order, and may die between
 * any two effects. */
#ifndef PUSHER_SIM_RELAY_H
#define PUSHER_SIM_RELAY_H

#include "tests/sim/world.h"

/* A new process, told of all that the journal holds. The one before is gone. */
void relay_start(struct world *world, uint16_t relay);
/* Comes back after a while, unless it is the lost one. */
void relay_kill(struct world *world, uint16_t relay);
/* It tells its core when its disk has run full, or has room again. */
void relay_look_at_disk(struct world *world, uint16_t relay);
/* It stood still in the middle of a step: the rest of that. */
void relay_goes_on(struct world *world, uint16_t relay);
/* One step of the core; the relay may be down afterwards. */
void relay_step(struct world *world, uint16_t relay, struct agent_event *event);
/* What has come for a relay that is up: a message, or the end of something of its own. */
void relay_hears(struct world *world, const struct item *item);
void relay_stage_ends(struct world *world, struct item *item);
void relay_package_here(struct world *world, const struct item *item);

#endif
