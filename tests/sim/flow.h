/* What is on its way, the earliest first; of equals the one that was put in first.
 *
 * A heap. In classic worlds it is a list whose last item takes the place of one that is taken, and
 * the first of the earliest is due: the order that the numbers in seeds.txt depend on.
 */
#ifndef PUSHER_SIM_FLOW_H
#define PUSHER_SIM_FLOW_H

#include "tests/sim/world.h"

void flow_init(struct flow *flow, bool classic);
void flow_release(struct flow *flow);
/* Room for an item that is due at `at_ms`, zeroed but for that. Valid until it is taken. */
struct item *flow_add(struct flow *flow, uint64_t at_ms);
/* When the earliest is due; UINT64_MAX: there is none. */
uint64_t flow_due_ms(const struct flow *flow);
/* The earliest one, now the caller's: item_free. The flow isn't empty. */
struct item *flow_take(struct flow *flow);

void item_free(struct item *item);

/* Something of the relay's or for it, after `delay_ms`. */
struct item *later(struct world *world, enum item_kind kind, uint16_t relay, uint64_t delay_ms);

#endif
