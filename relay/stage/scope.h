/* Which addresses a relay may touch: a list of subnets. Checked on every address before the first
 * packet goes there. Pure.
 */
#ifndef PUSHER_RELAY_STAGE_SCOPE_H
#define PUSHER_RELAY_STAGE_SCOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "relay/stage/address.h"

#define SCOPE_SUBNETS_MAX 4096

struct scope_subnet {
    uint8_t bytes[ADDRESS_BYTES]; /* as stage_address_bytes; host bits are 0 */
    uint8_t bits;                 /* that count, IPv4 from 96 on */
    bool is_v4;
};

/* Zeroed: no subnet, which allows everything. */
struct scope {
    struct scope_subnet *subnets; /* owned */
    size_t count;
};

/* Adds "10.1.0.0/16", "2001:db8::/48" or an address alone. Bits below the prefix must be 0: half of
 * such lines are typing errors, and this list is there to hold. Errors: ERR_INVALID, ERR_LIMIT. */
int scope_add(struct scope *scope, const char *cidr, struct err *err);
void scope_release(struct scope *scope);
/* True for every address when there is no subnet. */
bool scope_covers(const struct scope *scope, const union stage_address *address);

#endif
