/* The machines: what a stage comes to there, and the truth about their tasks.
 *
 * The target is the arbiter: a task is registered once, whoever comes first, and starts once.
 */
#ifndef PUSHER_SIM_TARGET_H
#define PUSHER_SIM_TARGET_H

#include "tests/sim/world.h"

/* RUN_STAGE: the stage's end is drawn now, a task is there from the moment the call is made. */
void target_run_stage(struct world *world, uint16_t relay, const struct agent_effect *effect);
/* LOGON of a target that was connected. */
void target_log_on(struct world *world, uint16_t relay, uint64_t key);

/* What the package printed there. Returns its size. */
size_t target_output(int slot, uint32_t target_no, char text[16]);
bool target_success_code(uint32_t code);

#endif
