/* Is the machine that answers the one that was meant? Catches stale DNS records, not liars. Pure.
 */
#ifndef PUSHER_RELAY_STAGE_NAMECHECK_H
#define PUSHER_RELAY_STAGE_NAMECHECK_H

#include <stdbool.h>

#include "relay/auth/auth.h"

#define NAMECHECK_NETBIOS_LENGTH                                                                   \
    15 /* [MS-NLMP] 2.2.2.1: NetBIOS names have at most 15 characters */

/* Whether `target`, a host name as the operator gave it, fits what the server said of itself in the
 * NTLM challenge. The first labels are compared without case: with the NetBIOS computer name, and
 * with the DNS computer name, which alone decides when the label is longer than 15 characters
 * (NetBIOS names are cut there) unless the server told none. */
bool namecheck_fits(const char *target, const struct auth_peer *peer);

#endif
