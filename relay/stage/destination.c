/* RFC 6724 6, rule by rule. */
#include "relay/stage/destination.h"

#include <string.h>

/* RFC 4291 2.7 scopes; RFC 6724 3.1 and 3.2 map unicast and IPv4 addresses to them. */
#define SCOPE_LINK_LOCAL 0x2
#define SCOPE_SITE_LOCAL 0x5
#define SCOPE_GLOBAL 0xe

/* A row of the default policy table. Spec: RFC 6724 2.1 */
struct policy {
    uint8_t prefix[ADDRESS_BYTES];
    uint8_t bits;
    uint8_t precedence;
    uint8_t label;
};

/* The longest prefixes first, so that the first match counts. */
static const struct policy policies[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, 50, 0}, /* ::1 */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 35, 4},        /* ::ffff:0:0/96, IPv4 */
    {{0}, 96, 1, 3},                                                /* ::/96 */
    {{0x20, 0x01}, 32, 5, 5},                                       /* 2001::/32, Teredo */
    {{0x20, 0x02}, 16, 30, 2},                                      /* 2002::/16, 6to4 */
    {{0x3f, 0xfe}, 16, 1, 12},                                      /* 3ffe::/16, 6bone */
    {{0xfe, 0xc0}, 10, 1, 11},                                      /* fec0::/10, site-local */
    {{0xfc}, 7, 3, 13},                                             /* fc00::/7, unique local */
    {{0}, 0, 40, 1},                                                /* ::/0 */
};

/* How many leading bits two addresses share, at most `limit`. */
static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned limit)
{
    unsigned bit = 0;
    while (bit < limit && ((a[bit / 8] ^ b[bit / 8]) & (0x80U >> (bit % 8))) == 0)
        bit++;
    return bit;
}

static const struct policy *policy_of(const union stage_address *address)
{
    uint8_t bytes[ADDRESS_BYTES];
    const struct policy *policy = policies;
    stage_address_bytes(address, bytes);
    while (common_bits(policy->prefix, bytes, policy->bits) < policy->bits)
        policy++;
    return policy;
}

static int scope_of(const union stage_address *address)
{
    if (stage_address_is_v4(address)) {
        uint32_t host = ntohl(address->v4.sin_addr.s_addr);
        /* 169.254.0.0/16 and 127.0.0.0/8 are link-local, all others global */
        return host >> 16 == 0xa9fe || host >> 24 == 127 ? SCOPE_LINK_LOCAL : SCOPE_GLOBAL;
    }
    const struct in6_addr *v6 = &address->v6.sin6_addr;
    if (IN6_IS_ADDR_MULTICAST(v6))
        return v6->s6_addr[1] & 0xf;
    if (IN6_IS_ADDR_LINKLOCAL(v6) || IN6_IS_ADDR_LOOPBACK(v6))
        return SCOPE_LINK_LOCAL;
    return IN6_IS_ADDR_SITELOCAL(v6) ? SCOPE_SITE_LOCAL : SCOPE_GLOBAL;
}

static unsigned matching_bits(const struct destination *d)
{
    uint8_t address[ADDRESS_BYTES];
    uint8_t source[ADDRESS_BYTES];
    unsigned mapped = stage_address_is_v4(&d->source) ? 96 : 0;
    stage_address_bytes(&d->address, address);
    stage_address_bytes(&d->source, source);
    return common_bits(address, source, mapped + d->source_bits);
}

/* Rules that look at the source too. Positive: `a` first, negative: `b` first, 0: no difference. */
static int prefer_by_source(const struct destination *a, const struct destination *b)
{
    if (a->reachable != b->reachable) /* rule 1: avoid unusable destinations */
        return (int)a->reachable - (int)b->reachable;
    if (!a->reachable)
        return 0;
    bool a_scope = scope_of(&a->address) == scope_of(&a->source);
    bool b_scope = scope_of(&b->address) == scope_of(&b->source);
    if (a_scope != b_scope) /* rule 2: prefer matching scope */
        return (int)a_scope - (int)b_scope;
    if (a->source_deprecated != b->source_deprecated) /* rule 3: avoid deprecated addresses */
        return (int)b->source_deprecated - (int)a->source_deprecated;
    if (a->source_home != b->source_home) /* rule 4: prefer home addresses */
        return (int)a->source_home - (int)b->source_home;
    bool a_label = policy_of(&a->address)->label == policy_of(&a->source)->label;
    bool b_label = policy_of(&b->address)->label == policy_of(&b->source)->label;
    return (int)a_label - (int)b_label; /* rule 5: prefer matching label */
}

static int prefer(const struct destination *a, const struct destination *b)
{
    int by_source = prefer_by_source(a, b);
    if (by_source != 0)
        return by_source;
    int precedence = policy_of(&a->address)->precedence - policy_of(&b->address)->precedence;
    if (precedence != 0) /* rule 6: prefer higher precedence */
        return precedence;
    int scope = scope_of(&b->address) - scope_of(&a->address);
    if (scope != 0) /* rule 8: prefer smaller scope */
        return scope;
    if (!a->reachable || stage_address_is_v4(&a->address) != stage_address_is_v4(&b->address))
        return 0;
    return (int)matching_bits(a) - (int)matching_bits(b); /* rule 9: longest matching prefix */
}

void destinations_sort(struct destination *destinations, size_t count)
{
    /* By insertion: stable, as rule 10 wants it, and there are a few only. */
    for (size_t i = 1; i < count; i++) {
        struct destination moving = destinations[i];
        size_t at = i;
        for (; at > 0 && prefer(&moving, &destinations[at - 1]) > 0; at--)
            destinations[at] = destinations[at - 1];
        destinations[at] = moving;
    }
}
