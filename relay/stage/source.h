/* What the kernel would send from: the half of RFC 6724 that it has done already. */
#ifndef PUSHER_RELAY_STAGE_SOURCE_H
#define PUSHER_RELAY_STAGE_SOURCE_H

#include "relay/stage/destination.h"
#include "relay/stage/onlink.h"

/* Fills in all of `to` but its address, by a datagram socket that is connected and sends nothing.
 * Without a route, or without such a socket, the destination is not reachable. Whether a source is
 * deprecated is not asked: the kernel avoids those by itself where there is a choice. */
void source_find(struct destination *to, struct onlink *onlink, uint64_t now_ms);

#endif
