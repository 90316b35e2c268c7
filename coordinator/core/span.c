/* 128-bit numbers in two halves. */
#include "coordinator/core/span.h"

struct span_key span_key_of(const uint8_t bytes[SUBNET_BYTES])
{
    struct span_key key = {0, 0};
    for (unsigned i = 0; i < SUBNET_BYTES / 2; i++) {
        key.high = key.high << 8 | bytes[i];
        key.low = key.low << 8 | bytes[SUBNET_BYTES / 2 + i];
    }
    return key;
}

void span_key_bytes(struct span_key key, uint8_t bytes[SUBNET_BYTES])
{
    for (unsigned i = SUBNET_BYTES / 2; i-- > 0;) {
        bytes[i] = (uint8_t)(key.high & 0xff);
        bytes[SUBNET_BYTES / 2 + i] = (uint8_t)(key.low & 0xff);
        key.high >>= 8;
        key.low >>= 8;
    }
}

int span_key_compare(struct span_key a, struct span_key b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

struct span_key span_key_next(struct span_key key)
{
    key.low++;
    if (key.low == 0)
        key.high++;
    return key;
}

bool span_key_is_max(struct span_key key)
{
    return key.high == UINT64_MAX && key.low == UINT64_MAX;
}

uint64_t span_key_distance(struct span_key from, struct span_key to)
{
    uint64_t low = to.low - from.low;
    uint64_t high = to.high - from.high - (to.low < from.low);
    return high != 0 ? UINT64_MAX : low;
}

struct span span_of(const struct subnet *subnet)
{
    struct span span = {.first = span_key_of(subnet->bytes)};
    unsigned bits = subnet->bits;
    uint64_t high = bits >= 64 ? 0 : UINT64_MAX >> bits;
    uint64_t low = bits >= 128 ? 0 : bits > 64 ? UINT64_MAX >> (bits - 64) : UINT64_MAX;
    span.last = (struct span_key){span.first.high | high, span.first.low | low};
    return span;
}

int span_compare(const struct span *a, const struct span *b)
{
    int order = span_key_compare(a->first, b->first);
    return order != 0 ? order : span_key_compare(b->last, a->last);
}
