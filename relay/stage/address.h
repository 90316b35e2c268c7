/* IP addresses of targets: read, written, compared, judged. Used all over relay/stage. Pure but for
 * the names of interfaces (the zone of a link-local literal).
 */
#ifndef PUSHER_RELAY_STAGE_ADDRESS_H
#define PUSHER_RELAY_STAGE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "common/model/limits.h"

#define ADDRESS_BYTES 16

/* The port is always 0 here; whoever connects sets it in a copy. */
union stage_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

void stage_address_set_v4(union stage_address *address, const struct in_addr *from);
/* An IPv4-mapped address becomes the IPv4 address: nobody gets around a subnet by writing an
 * address in another way. */
void stage_address_set_v6(union stage_address *address, const struct in6_addr *from);

/* Reads an IPv4 or IPv6 literal; a zone (an interface's name after %) is allowed. Returns 0 or -1,
 * then `address` is untouched. */
int stage_address_parse(const char *text, union stage_address *address);
/* RFC 5952 text, with the zone if there is one. */
void stage_address_text(const union stage_address *address, char text[LIMIT_ADDRESS_SIZE]);
bool stage_address_is_v4(const union stage_address *address);
/* Family, address and zone. */
bool stage_address_equal(const union stage_address *a, const union stage_address *b);
/* The length of the sockaddr that the system calls want. */
socklen_t stage_address_size(const union stage_address *address);
/* As 16 bytes: IPv6, or IPv4-mapped (RFC 4291 2.5.5.2). */
void stage_address_bytes(const union stage_address *address, uint8_t bytes[ADDRESS_BYTES]);
/* NULL when one machine can be meant by it, else what it is instead: "a multicast address" ... */
const char *stage_address_flaw(const union stage_address *address);

#endif
