/* Subnets of the relay's own interfaces. */
#include "relay/stage/onlink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_AGAIN_MS 60000
#define NEIGHBOURS_V4 "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
#define NEIGHBOURS_V6 "/proc/sys/net/ipv6/neigh/default/gc_thresh3"
#define NEIGHBOURS_DEFAULT 1024

/* Half of the neighbour table; the rest is for those who answer, and for everybody else. */
static uint32_t probe_limit(const char *path)
{
    uint32_t entries = NEIGHBOURS_DEFAULT;
    char line[32];
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) != NULL) {
            unsigned long read = strtoul(line, NULL, 10);
            if (read >= 2 && read <= UINT32_MAX)
                entries = (uint32_t)read;
        }
        (void)fclose(file);
    }
    return entries / 2;
}

void onlink_init(struct onlink *onlink)
{
    *onlink = (struct onlink){.probe_max_v4 = probe_limit(NEIGHBOURS_V4),
                              .probe_max_v6 = probe_limit(NEIGHBOURS_V6)};
}

void onlink_release(struct onlink *onlink)
{
    if (onlink->interfaces != NULL)
        uv_free_interface_addresses(onlink->interfaces, onlink->interface_count);
    onlink->interfaces = NULL;
}

bool address_equal_masked(const union stage_address *a, const struct sockaddr *b,
                          const struct sockaddr *mask)
{
    union stage_address other;
    union stage_address bits;
    if (a->any.sa_family != b->sa_family)
        return false;
    if (b->sa_family == AF_INET) {
        memcpy(&other.v4, b, sizeof other.v4);
        memcpy(&bits.v4, mask, sizeof bits.v4);
        return ((a->v4.sin_addr.s_addr ^ other.v4.sin_addr.s_addr) & bits.v4.sin_addr.s_addr) == 0;
    }
    if (b->sa_family != AF_INET6)
        return false;
    memcpy(&other.v6, b, sizeof other.v6);
    memcpy(&bits.v6, mask, sizeof bits.v6);
    for (size_t i = 0; i < sizeof a->v6.sin6_addr.s6_addr; i++)
        if (((a->v6.sin6_addr.s6_addr[i] ^ other.v6.sin6_addr.s6_addr[i]) &
             bits.v6.sin6_addr.s6_addr[i]) != 0)
            return false;
    return true;
}

static void read_again(struct onlink *onlink, uint64_t now_ms)
{
    if (onlink->interfaces != NULL && now_ms - onlink->read_ms <= READ_AGAIN_MS)
        return;
    onlink_release(onlink);
    onlink->read_ms = now_ms;
    onlink->interface_count = 0;
    if (uv_interface_addresses(&onlink->interfaces, &onlink->interface_count) != 0 ||
        onlink->interfaces == NULL) {
        onlink->interfaces = NULL;
        onlink->interface_count = 0;
    }
}

bool onlink_covers(struct onlink *onlink, uint64_t now_ms, const union stage_address *address)
{
    read_again(onlink, now_ms);
    for (int i = 0; onlink->interfaces != NULL && i < onlink->interface_count; i++) {
        const uv_interface_address_t *at = &onlink->interfaces[i];
        if (!at->is_internal && address_equal_masked(address, (const struct sockaddr *)&at->address,
                                                     (const struct sockaddr *)&at->netmask))
            return true;
    }
    return false;
}

static unsigned mask_bits(const uv_interface_address_t *at)
{
    unsigned bits = 0;
    const uint8_t *mask = at->netmask.netmask4.sin_family == AF_INET
                              ? (const uint8_t *)&at->netmask.netmask4.sin_addr
                              : at->netmask.netmask6.sin6_addr.s6_addr;
    unsigned size = at->netmask.netmask4.sin_family == AF_INET ? 4 : 16;
    while (bits < size * 8 && (mask[bits / 8] & (0x80U >> (bits % 8))) != 0)
        bits++;
    return bits;
}

unsigned onlink_prefix_bits(struct onlink *onlink, uint64_t now_ms,
                            const union stage_address *address)
{
    read_again(onlink, now_ms);
    for (int i = 0; onlink->interfaces != NULL && i < onlink->interface_count; i++) {
        const uv_interface_address_t *at = &onlink->interfaces[i];
        union stage_address all;
        memset(&all, 0xff, sizeof all);
        if (address_equal_masked(address, (const struct sockaddr *)&at->address, &all.any))
            return mask_bits(at);
    }
    return 0;
}
