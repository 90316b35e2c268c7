/* Which addresses the relay reaches without a router: each unanswered ping to one takes a place in
 * the kernel's neighbour table, and a full table cuts the relay off, from its own gateway too. */
#ifndef PUSHER_RELAY_STAGE_ONLINK_H
#define PUSHER_RELAY_STAGE_ONLINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "relay/stage/address.h"

struct onlink {
    uv_interface_address_t *interfaces; /* libuv's list; NULL: not read yet */
    int interface_count;
    uint64_t read_ms;      /* when that was */
    uint32_t probe_max_v4; /* probes without an answer that may be out: half of what the ... */
    uint32_t probe_max_v6; /* ... family's neighbour table holds (gc_thresh3) */
};

void onlink_init(struct onlink *onlink);
void onlink_release(struct onlink *onlink);
/* Whether the address lies in a subnet of an interface (loopback aside). Reads the interfaces again
 * when that was more than a minute ago. */
bool onlink_covers(struct onlink *onlink, uint64_t now_ms, const union stage_address *address);
/* The prefix length of the subnet that an interface has this very address in; 0 when none has. */
unsigned onlink_prefix_bits(struct onlink *onlink, uint64_t now_ms,
                            const union stage_address *address);

/* Whether two addresses are equal under a mask; false for different families. Pure. */
bool address_equal_masked(const union stage_address *a, const struct sockaddr *b,
                          const struct sockaddr *mask);

#endif
