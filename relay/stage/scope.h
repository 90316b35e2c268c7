/* Which machines a relay may touch: the subnets of its own configuration, those of its certificate,
 * and never what the operators' policy keeps from everybody. Checked on every name before stage 1
 * and on every address before the first packet goes there. Pure.
 */
#ifndef PUSHER_RELAY_STAGE_SCOPE_H
#define PUSHER_RELAY_STAGE_SCOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"
#include "relay/stage/address.h"

#define SCOPE_SUBNETS_MAX 4096

struct scope_subnet {
    uint8_t bytes[ADDRESS_BYTES]; /* as stage_address_bytes; host bits are 0 */
    uint8_t bits;                 /* that count, IPv4 from 96 on */
    bool is_v4;
};

/* Zeroed: no subnet, which allows everything. The shell may change `policy` and `certificate` at
 * any time: what is looked at next goes by the new ones. */
struct scope {
    struct scope_subnet *subnets; /* owned; of the relay's own configuration */
    size_t count;
    const struct policy *policy; /* borrowed; NULL: private mode, where there is no certificate
                                    either */
    const struct certificate
        *certificate; /* borrowed; NULL with a policy: nothing may be touched */
};

enum scope_verdict {
    SCOPE_ALLOWED,
    SCOPE_OUTSIDE, /* of its subnets, or of its certificate's */
    SCOPE_NEVER,   /* on the never-touch list */
};

/* Adds "10.1.0.0/16", "2001:db8::/48" or an address alone. Bits below the prefix must be 0: half of
 * such lines are typing errors, and this list is there to hold. Errors: ERR_INVALID, ERR_LIMIT. */
int scope_add(struct scope *scope, const char *cidr, struct err *err);
void scope_release(struct scope *scope);
enum scope_verdict scope_judge(const struct scope *scope, const union stage_address *address);
/* Whether the never-touch list has this host name, with or without a final dot. */
bool scope_never_name(const struct scope *scope, const char *name);

#endif
