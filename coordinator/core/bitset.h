/* A set of small numbers that takes memory only where it has members: which targets a relay was
 * ever leased. Embedded in the ledger; pages of 4,096 bits are allocated on the first member.
 */
#ifndef PUSHER_COORDINATOR_CORE_BITSET_H
#define PUSHER_COORDINATOR_CORE_BITSET_H

#include <stdbool.h>
#include <stdint.h>

struct bitset {
    uint64_t **pages;    /* owned; NULL where no member is */
    uint32_t page_count; /* covers page_count * 4,096 numbers */
};

/* An empty set over the numbers 0 to limit - 1. */
void bitset_init(struct bitset *set, uint32_t limit);
void bitset_release(struct bitset *set);
/* `number` must be below the limit. */
void bitset_add(struct bitset *set, uint32_t number);
/* False for numbers at or past the limit. */
bool bitset_has(const struct bitset *set, uint32_t number);

#endif
