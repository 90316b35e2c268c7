/* Subnets as first and last address: what sorting and sweeping over them needs. For plan.c and
 * lint.c. Pure.
 */
#ifndef PUSHER_COORDINATOR_CORE_SPAN_H
#define PUSHER_COORDINATOR_CORE_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/subnet.h"

/* An address as a number, IPv4 in its mapped form. */
struct span_key {
    uint64_t high;
    uint64_t low;
};

/* All addresses from the first to the last one. */
struct span {
    struct span_key first;
    struct span_key last;
};

struct span_key span_key_of(const uint8_t bytes[SUBNET_BYTES]);
void span_key_bytes(struct span_key key, uint8_t bytes[SUBNET_BYTES]);
/* Below, equal, above: negative, 0, positive. */
int span_key_compare(struct span_key a, struct span_key b);
/* The address after this one; the last one of all is followed by the first. */
struct span_key span_key_next(struct span_key key);
/* The last number of all. */
bool span_key_is_max(struct span_key key);
/* How far it is from `from` up to `to`; UINT64_MAX stands for that and more. */
uint64_t span_key_distance(struct span_key from, struct span_key to);
struct span span_of(const struct subnet *subnet);
/* By first address, of those that begin together the widest one first: whoever is inside another
 * one comes after it. */
int span_compare(const struct span *a, const struct span *b);

#endif
