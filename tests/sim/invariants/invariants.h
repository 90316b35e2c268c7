/* What must hold, one file for each; the file's comment says what it means. Called where something
 * is about to be noted or done; what breaks is a violation() named as the file is.
 *
 * They know the truth of all sides: the machines' tasks, the journals, the store. */
#ifndef PUSHER_SIM_INVARIANTS_H
#define PUSHER_SIM_INVARIANTS_H

#include "common/model/message.h"
#include "tests/sim/world.h"

/* start_once.c */
void start_once_run(struct world *world, uint16_t relay, int slot, uint32_t target_no,
                    const struct agent_effect *effect);

/* It has seen for certain that nothing is registered. */
void start_once_looked(struct world *world, uint16_t relay, int slot, uint32_t target_no);

/* row_final.c */
void row_final_outcome(struct world *world, int slot, const struct dispatch_effect *effect);
void row_final_certain(struct world *world, int slot, const struct dispatch_effect *effect);
void row_final_closed(struct world *world, int slot);

/* row_truth.c */
void row_truth_outcome(struct world *world, int slot, const struct dispatch_effect *effect);
/* Such a row says that the task has ended, or that nobody knows. */
bool row_truth_tells_end(enum target_state state, enum reason reason);

/* row_relays.c */
void row_relays_outcome(struct world *world, int slot, const struct dispatch_effect *effect);

/* threshold.c */
void threshold_outcome(struct world *world, int slot, const struct dispatch_effect *effect);
void threshold_lease(struct world *world, int slot, const struct dispatch_history *history);

/* epoch.c */
void epoch_rises(struct world *world, const struct dispatch_effect *effect);

/* disk.c: a HELLO or heartbeat */
void disk_says(struct world *world, uint16_t process, uint32_t credit);

/* clone.c */
void clone_standing(struct world *world, const struct dispatch_effect *effect);
void clone_end(struct world *world);

/* credit.c */
void credit_held(struct world *world, uint16_t relay);
/* Before a step of the coordinator's core: what each relay holds; and after it. */
void credit_before(const struct world *world, uint32_t leased[RELAYS]);
void credit_given(struct world *world, const uint32_t leased_before[RELAYS]);
void credit_relay(struct world *world, uint16_t relay);

/* scope.c */
void scope_lease(struct world *world, int slot, uint16_t relay, uint32_t target_no);
void scope_run(struct world *world, uint16_t relay, int slot, uint32_t target_no);

/* deadline.c */
void deadline_run(struct world *world, uint16_t relay, int slot, uint32_t target_no,
                  const struct agent_effect *effect);

/* result_kept.c */
void result_kept_outcome(struct world *world, uint16_t relay, int slot, uint32_t target_no);
void result_kept_acked(struct world *world, uint16_t relay, int slot, uint32_t target_no);
void result_kept_forget(struct world *world, uint16_t relay, int slot);
void result_kept_said(struct world *world, uint16_t relay, bool journalled);
void result_kept_end(struct world *world);

/* store_rebuilt.c */
void store_rebuilt_look(struct world *world);

/* journal_rebuilt.c */
void journal_rebuilt_look(struct world *world, uint16_t relay);

/* windows.c */
void windows_look(struct world *world, uint16_t relay);

/* stop_kept.c */
void stop_kept_register(struct world *world, uint16_t relay, int slot, uint32_t target_no);

/* The relay is about to deal with a message. */
void stop_kept_heard(struct world *world, uint16_t relay, const struct message *message);
/* A message to a relay is lost, or late. */
void stop_kept_missed(struct world *world, uint16_t relay, const struct message *message);

/* progress.c */
void progress_look(struct world *world);

/* terminal.c */
void terminal_end(struct world *world);

#endif
