/* What a relay keeps over its death, and what it sends of it. */
#ifndef PUSHER_SIM_JOURNAL_H
#define PUSHER_SIM_JOURNAL_H

#include "tests/sim/world.h"

/* Carries out a PERSIST_* or JOURNAL_* effect. The invariants look first. */
void journal_write(struct world *world, uint16_t relay, const struct agent_effect *effect);
/* An accepted job. */
void journal_job(struct world *world, uint16_t relay, int slot, uint64_t counter);
/* At start: the event that tells of a row; false: there is nothing to tell. */
bool journal_event(const struct world *world, uint16_t relay, int slot, uint32_t target_no,
                   struct agent_event *event);
/* SEND_RESULTS, SEND_CANCELLED, SEND_SCHEDULED: rows as the journal has them. */
void journal_send(struct world *world, uint16_t relay, const struct agent_effect *effect);

#endif
