/* One item of TARGETS or --exclude: a host name, an address, a CIDR or a range, strictly read.
 *
 * Called by targets.c for every argument and every line of a target file. Pure. A value that could
 * be mistaken for an incomplete address ("10.1.2", "1234") is refused: a typing error must never
 * become a name that somebody else's DNS knows.
 */
#ifndef PUSHER_CLI_TARGET_ITEM_H
#define PUSHER_CLI_TARGET_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"

enum target_item_kind {
    TARGET_ITEM_HOST,  /* name is set */
    TARGET_ITEM_RANGE, /* first..last; an address is a range of one */
};

/* An address of either family; IPv4 is kept in the last four bytes. */
struct target_address {
    bool is_v6;
    uint8_t bytes[16]; /* network order; IPv4: bytes 12 to 15, zeroes before */
};

struct target_item {
    enum target_item_kind kind;
    char name[LIMIT_TARGET_NAME_SIZE]; /* host: as given; a final dot is kept */
    struct target_address first;       /* range: lowest address */
    struct target_address last;        /* range: highest address, same family */
    int cidr_bits;                     /* prefix length when it was written as a CIDR, else -1 */
};

/* Reads one item. Errors: ERR_INVALID with a sentence that names the item (made printable). */
int target_item_parse(const char *text, struct target_item *item, struct err *err);

/* How many addresses the range has, at most UINT64_MAX (for IPv6). */
uint64_t target_range_size(const struct target_item *item);
/* Whether the address is the network's own or the broadcast address of an IPv4 CIDR wider than
 * /31: those are no machines. */
bool target_range_skips(const struct target_item *item, const struct target_address *address);
int target_address_compare(const struct target_address *a, const struct target_address *b);
/* The next address; wraps at the family's end. */
void target_address_next(struct target_address *address);
/* Canonical text (RFC 5952 for IPv6). */
void target_address_text(const struct target_address *address, char text[LIMIT_ADDRESS_SIZE]);
/* Reads a plain address. An IPv4-mapped IPv6 address becomes the IPv4 address. Returns 0 or -1. */
int target_address_parse(const char *text, struct target_address *address);

#endif
