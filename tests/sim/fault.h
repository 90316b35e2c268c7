/* Faults that come at a time drawn when the world begins: full disks, wall clocks that jump, copies
 * of a store or a journal that take its place, a relay's state in a second process, machines that
 * are dead, slow, away or liars. Disks that fail and processes that stand still are drawn step by
 * step by relay.c and coordinator.c. When all is well again clocks are right and disks have room.
 *
 * What a copy made forget may be said wrongly afterwards, by whoever was not told: fault_excuses
 * names exactly those targets, and nothing is excused that starts anything twice.
 */
#ifndef PUSHER_SIM_FAULT_H
#define PUSHER_SIM_FAULT_H

#include "tests/sim/world.h"

/* Draws what is to come. */
void fault_plan(struct world *world);
/* When the next of it is due; UINT64_MAX: nothing is. */
uint64_t fault_due_ms(const struct world *world);
/* Does what is due. */
void fault_act(struct world *world);
/* Once, when all is well again. */
void fault_heal(struct world *world);
/* What becomes of a process. */
struct plight *plight_of(struct world *world, uint16_t process);
/* In the middle of a step: whether the process stands still from here on. */
bool fault_pauses(struct world *world, uint16_t process);
/* Whether a commit now fails; the process has to end at once. *durable: all of it is there. */
bool fault_disk(struct world *world, uint16_t process, bool *durable);
/* A process journals something of that target: of two clones neither knows what the other did. */
void fault_note_begun(struct world *world, uint16_t process, int slot, uint32_t target_no);
/* A row of that target may say that nothing was registered, or be another's. */
bool fault_excuses(const struct world *world, int slot, uint32_t target_no);

#endif
