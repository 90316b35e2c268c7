/* In which order the addresses of one name are tried: RFC 6724, destination address selection.
 * Pure; which source address the kernel would use is asked elsewhere (source.h).
 */
#ifndef PUSHER_RELAY_STAGE_DESTINATION_H
#define PUSHER_RELAY_STAGE_DESTINATION_H

#include <stddef.h>

#include "relay/stage/address.h"

/* A candidate with what the rules look at. */
struct destination {
    union stage_address address;
    union stage_address source; /* where packets to it would come from */
    unsigned source_bits;       /* prefix length of the source's subnet; rule 9 looks no further */
    bool reachable;             /* there is a route and a source */
    bool source_deprecated;     /* RFC 4862 5.5.4 */
    bool source_home;           /* RFC 6275; nothing sets it but tests */
};

/* Best first. Equal candidates keep their order (rule 10). Spec: RFC 6724 6, with the default
 * policy table of 2.1. Rules 7 (native transport) and 4 (home addresses) concern no relay we know;
 * 7 is left out. */
void destinations_sort(struct destination *destinations, size_t count);

#endif
