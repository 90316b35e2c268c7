/* Messages between relays and the coordinator: through the real codec, over links that lose, repeat
 * and delay, and are cut for a while, both ways or one. */
#ifndef PUSHER_SIM_NETWORK_H
#define PUSHER_SIM_NETWORK_H

#include "common/model/message.h"
#include "tests/sim/world.h"

/* TO_COORDINATOR or TO_RELAY: puts the message on its way, or loses it. */
void network_post(struct world *world, enum item_kind kind, uint16_t relay,
                  const struct message *message);
/* The message that arrived, decoded; false (and a violation) when our own codec rejects it. */
bool network_open(struct world *world, const struct item *item, struct message *message);

#endif
