/* Addresses as text and back. */
#include "relay/stage/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

void stage_address_set_v4(union stage_address *address, const struct in_addr *from)
{
    memset(address, 0, sizeof *address);
    address->v4.sin_family = AF_INET;
    address->v4.sin_addr = *from;
}

void stage_address_set_v6(union stage_address *address, const struct in6_addr *from)
{
    struct in_addr v4;
    if (IN6_IS_ADDR_V4MAPPED(from)) {
        memcpy(&v4, from->s6_addr + 12, sizeof v4);
        stage_address_set_v4(address, &v4);
        return;
    }
    memset(address, 0, sizeof *address);
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_addr = *from;
}

int stage_address_parse(const char *text, union stage_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    char bare[INET6_ADDRSTRLEN];
    unsigned zone = 0;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        stage_address_set_v4(address, &v4);
        return 0;
    }
    const char *percent = strchr(text, '%');
    size_t length = percent != NULL ? (size_t)(percent - text) : strlen(text);
    if (length >= sizeof bare)
        return -1;
    memcpy(bare, text, length);
    bare[length] = '\0';
    if (inet_pton(AF_INET6, bare, &v6) != 1)
        return -1;
    if (percent != NULL) {
        zone = if_nametoindex(percent + 1);
        if (zone == 0)
            return -1;
    }
    stage_address_set_v6(address, &v6);
    if (!stage_address_is_v4(address))
        address->v6.sin6_scope_id = zone;
    return 0;
}

/* As inet_ntop would, which goes by way of printf: every result carries such a text. */
static void v4_text(const struct in_addr *address, char *text)
{
    uint8_t bytes[4];
    memcpy(bytes, address, sizeof bytes);
    for (int i = 0; i < 4; i++) {
        if (bytes[i] >= 100)
            *text++ = (char)('0' + bytes[i] / 100);
        if (bytes[i] >= 10)
            *text++ = (char)('0' + bytes[i] / 10 % 10);
        *text++ = (char)('0' + bytes[i] % 10);
        *text++ = i < 3 ? '.' : '\0';
    }
}

void stage_address_text(const union stage_address *address, char text[LIMIT_ADDRESS_SIZE])
{
    if (stage_address_is_v4(address)) {
        v4_text(&address->v4.sin_addr, text);
        return;
    }
    text[0] = '\0';
    (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, text, LIMIT_ADDRESS_SIZE);
    char zone[IF_NAMESIZE];
    size_t used = strlen(text);
    if (address->v6.sin6_scope_id != 0 && if_indextoname(address->v6.sin6_scope_id, zone) != NULL)
        (void)snprintf(text + used, LIMIT_ADDRESS_SIZE - used, "%%%s", zone);
}

bool stage_address_is_v4(const union stage_address *address)
{
    return address->any.sa_family == AF_INET;
}

bool stage_address_equal(const union stage_address *a, const union stage_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (stage_address_is_v4(a))
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
           a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

socklen_t stage_address_size(const union stage_address *address)
{
    return stage_address_is_v4(address) ? sizeof address->v4 : sizeof address->v6;
}

void stage_address_bytes(const union stage_address *address, uint8_t bytes[ADDRESS_BYTES])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (!stage_address_is_v4(address)) {
        memcpy(bytes, &address->v6.sin6_addr, ADDRESS_BYTES);
        return;
    }
    memcpy(bytes, mapped, sizeof mapped);
    memcpy(bytes + sizeof mapped, &address->v4.sin_addr, sizeof address->v4.sin_addr);
}

const char *stage_address_flaw(const union stage_address *address)
{
    if (stage_address_is_v4(address)) {
        uint32_t host = ntohl(address->v4.sin_addr.s_addr);
        if (host >> 24 == 0) /* RFC 6890 2.2.2: "this network" */
            return "no machine's address";
        if (host == INADDR_BROADCAST)
            return "the broadcast address";
        return IN_MULTICAST(host) ? "a multicast address" : NULL;
    }
    const struct in6_addr *v6 = &address->v6.sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(v6))
        return "no machine's address";
    if (IN6_IS_ADDR_MULTICAST(v6))
        return "a multicast address";
    if (IN6_IS_ADDR_LINKLOCAL(v6) && address->v6.sin6_scope_id == 0)
        return "a link-local address, which says nothing without its link";
    return NULL;
}
