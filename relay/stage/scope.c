/* Subnets of the relay, of its certificate, and the never-touch list. */
#include "relay/stage/scope.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* Whether the first `bits` bits are the same. */
static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool host_bits_clear(const uint8_t *bytes, unsigned bits)
{
    for (unsigned bit = bits; bit < ADDRESS_BYTES * 8; bit++)
        if ((bytes[bit / 8] & (0x80U >> (bit % 8))) != 0)
            return false;
    return true;
}

int scope_add(struct scope *scope, const char *cidr, struct err *err)
{
    char shown[LIMIT_ADDRESS_SIZE + 8];
    char head[LIMIT_ADDRESS_SIZE];
    union stage_address network;
    struct scope_subnet subnet = {.bits = 0};
    uint64_t length = 0;
    (void)text_printable(shown, sizeof shown, cidr);
    const char *slash = strchr(cidr, '/');
    size_t head_size = slash != NULL ? (size_t)(slash - cidr) : strlen(cidr);
    if (head_size >= sizeof head)
        return err_set(err, ERR_INVALID, "'%s': not a subnet", shown);
    memcpy(head, cidr, head_size);
    head[head_size] = '\0';
    if (strchr(head, '%') != NULL || stage_address_parse(head, &network) != 0)
        return err_set(err, ERR_INVALID, "'%s': not a subnet (10.1.0.0/16, 2001:db8::/48)", shown);
    subnet.is_v4 = stage_address_is_v4(&network);
    unsigned width = subnet.is_v4 ? 32 : 128;
    length = width;
    if (slash != NULL && text_to_u64(slash + 1, width, &length) != 0)
        return err_set(err, ERR_INVALID, "'%s': the prefix length is a number from 0 to %u", shown,
                       width);
    subnet.bits = (uint8_t)(128 - width + (unsigned)length);
    stage_address_bytes(&network, subnet.bytes);
    if (!host_bits_clear(subnet.bytes, subnet.bits))
        return err_set(err, ERR_INVALID, "'%s': the address has bits beyond its prefix", shown);
    if (scope->count == SCOPE_SUBNETS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d subnets", SCOPE_SUBNETS_MAX);
    scope->subnets = mem_resize(scope->subnets, scope->count + 1, sizeof *scope->subnets);
    scope->subnets[scope->count++] = subnet;
    return 0;
}

void scope_release(struct scope *scope)
{
    free(scope->subnets);
    *scope = (struct scope){0};
}

static bool own_subnets_cover(const struct scope *scope, const struct subnet_address *address)
{
    for (size_t i = 0; i < scope->count; i++)
        if (scope->subnets[i].is_v4 == address->is_v4 &&
            prefix_equal(scope->subnets[i].bytes, address->bytes, scope->subnets[i].bits))
            return true;
    return scope->count == 0;
}

enum scope_verdict scope_judge(const struct scope *scope, const union stage_address *address)
{
    struct subnet_address mapped = {.is_v4 = stage_address_is_v4(address)};
    stage_address_bytes(address, mapped.bytes);
    if (scope->policy != NULL && policy_never_address(scope->policy, &mapped))
        return SCOPE_NEVER;
    if (!own_subnets_cover(scope, &mapped))
        return SCOPE_OUTSIDE;
    if (scope->policy == NULL)
        return SCOPE_ALLOWED;
    return scope->certificate != NULL && certificate_covers(scope->certificate, &mapped)
               ? SCOPE_ALLOWED
               : SCOPE_OUTSIDE;
}

bool scope_never_name(const struct scope *scope, const char *name)
{
    return scope->policy != NULL && policy_never_name(scope->policy, name);
}
