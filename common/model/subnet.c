/* Subnets: text, and who lies in whom. */
#include "common/model/subnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

#define V4_PREFIX_BITS 96U

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool subnet_address_from_text(const char *text, struct subnet_address *out)
{
    char plain[SUBNET_TEXT_SIZE];
    memset(out, 0, sizeof *out);
    if (!text_copy(plain, sizeof plain, text))
        return false;
    if (inet_pton(AF_INET, plain, out->bytes + sizeof mapped) == 1) {
        memcpy(out->bytes, mapped, sizeof mapped);
        out->is_v4 = true;
        return true;
    }
    char *scope = strchr(plain, '%');
    if (scope != NULL)
        *scope = '\0';
    if (inet_pton(AF_INET6, plain, out->bytes) != 1)
        return false;
    out->is_v4 = memcmp(out->bytes, mapped, sizeof mapped) == 0;
    return true;
}

/* Clears the bits below the prefix; returns whether any was set. */
static bool clear_host_bits(uint8_t bytes[SUBNET_BYTES], unsigned bits)
{
    bool found = false;
    for (unsigned i = 0; i < SUBNET_BYTES; i++) {
        unsigned kept = bits <= 8 * i ? 0 : bits - 8 * i;
        uint8_t mask = (uint8_t)(kept >= 8 ? 0xffU : 0xff00U >> kept);
        found = found || (bytes[i] & (uint8_t)~mask) != 0;
        bytes[i] = bytes[i] & mask;
    }
    return found;
}

int subnet_from_text(const char *text, struct subnet *out, struct err *err)
{
    char plain[SUBNET_TEXT_SIZE];
    char shown[4 * SUBNET_TEXT_SIZE];
    struct subnet_address address;
    uint64_t bits = 0;
    memset(out, 0, sizeof *out);
    text_printable(shown, sizeof shown, text);
    if (!text_copy(plain, sizeof plain, text))
        return err_set(err, ERR_INVALID, "too long for a subnet");
    char *slash = strchr(plain, '/');
    if (slash != NULL)
        *slash = '\0';
    if (strchr(plain, '%') != NULL || !subnet_address_from_text(plain, &address))
        return err_set(err, ERR_INVALID, "%s: not an address or subnet (10.1.0.0/16)", shown);
    uint64_t most = address.is_v4 && strchr(plain, ':') == NULL ? 32 : 128;
    if (slash == NULL)
        bits = most;
    else if (text_to_u64(slash + 1, most, &bits) != 0)
        return err_set(err, ERR_INVALID, "%s: the prefix must be 0 to %u", shown, (unsigned)most);
    if (most == 32)
        bits += V4_PREFIX_BITS;
    memcpy(out->bytes, address.bytes, SUBNET_BYTES);
    out->bits = (uint8_t)bits;
    out->is_v4 = address.is_v4 && bits >= V4_PREFIX_BITS;
    if (clear_host_bits(out->bytes, out->bits)) {
        char meant[SUBNET_TEXT_SIZE];
        subnet_text(out, meant);
        return err_set(err, ERR_INVALID, "%s: bits below the prefix are set; %s is meant?", shown,
                       meant);
    }
    return 0;
}

void subnet_address_text(const struct subnet_address *address, char text[SUBNET_TEXT_SIZE])
{
    int family = address->is_v4 ? AF_INET : AF_INET6;
    (void)inet_ntop(family, address->bytes + (address->is_v4 ? sizeof mapped : 0), text,
                    SUBNET_TEXT_SIZE);
}

void subnet_text(const struct subnet *subnet, char text[SUBNET_TEXT_SIZE])
{
    struct subnet_address address = {.is_v4 = subnet->is_v4};
    char alone[SUBNET_TEXT_SIZE];
    memcpy(address.bytes, subnet->bytes, sizeof address.bytes);
    subnet_address_text(&address, alone);
    (void)snprintf(text, SUBNET_TEXT_SIZE, "%.*s/%u", INET6_ADDRSTRLEN, alone,
                   subnet->bits - (subnet->is_v4 ? V4_PREFIX_BITS : 0U));
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) & (uint8_t)(0xff00U >> rest)) == 0;
}

bool subnet_covers(const struct subnet *subnet, const struct subnet_address *address)
{
    return subnet->is_v4 == address->is_v4 &&
           same_prefix(subnet->bytes, address->bytes, subnet->bits);
}

bool subnet_includes(const struct subnet *outer, const struct subnet *inner)
{
    return outer->is_v4 == inner->is_v4 && outer->bits <= inner->bits &&
           same_prefix(outer->bytes, inner->bytes, outer->bits);
}
