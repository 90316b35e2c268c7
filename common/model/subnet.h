/* A subnet, IPv4 or IPv6: as sites, certificates and the never-touch list have them. Pure. */
#ifndef PUSHER_MODEL_SUBNET_H
#define PUSHER_MODEL_SUBNET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define SUBNET_BYTES 16
#define SUBNET_TEXT_SIZE 64

/* IPv4 is kept in its mapped form (::ffff:a.b.c.d), its prefix counted from 96. */
struct subnet {
    uint8_t bytes[SUBNET_BYTES]; /* host bits are 0 */
    uint8_t bits;                /* 0 to 128 */
    bool is_v4;
};

/* An address alone, mapped if IPv4. */
struct subnet_address {
    uint8_t bytes[SUBNET_BYTES];
    bool is_v4;
};

/* Reads "10.1.0.0/16", "2001:db8::/48" or an address alone, which is a subnet of one. Bits below
 * the prefix must be 0: half of such lines are typing errors. Errors: ERR_INVALID. */
int subnet_from_text(const char *text, struct subnet *out, struct err *err);
/* Writes it in its one canonical form ("10.1.0.0/16"; with the prefix, also of a single address).
 */
void subnet_text(const struct subnet *subnet, char text[SUBNET_TEXT_SIZE]);
/* Reads "10.1.2.3" or "2001:db8::1"; an IPv6 address may carry a %scope, which is left aside. */
bool subnet_address_from_text(const char *text, struct subnet_address *out);
/* Writes it without a prefix. */
void subnet_address_text(const struct subnet_address *address, char text[SUBNET_TEXT_SIZE]);
/* Whether the address lies in the subnet; IPv4 subnets cover IPv4 addresses only. */
bool subnet_covers(const struct subnet *subnet, const struct subnet_address *address);
/* Whether all of `inner` lies in `outer`. */
bool subnet_includes(const struct subnet *outer, const struct subnet *inner);

#endif
