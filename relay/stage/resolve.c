/* Stage 1: host name to addresses. */
#include <assert.h>
#include <string.h>

#include "common/dns/dns.h"
#include "relay/stage/runner.h"

#define V4_OFFSET 12 /* of an IPv4 address in its mapped form */

static void address_of(const struct subnet_address *from, union stage_address *to)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (from->is_v4) {
        memcpy(&v4, from->bytes + V4_OFFSET, sizeof v4);
        stage_address_set_v4(to, &v4);
    } else {
        memcpy(&v6, from->bytes, sizeof v6);
        stage_address_set_v6(to, &v6);
    }
}

static void answered(void *context, const struct dns_answer *answer)
{
    struct stage_target *target = context;
    union stage_address addresses[DNS_ADDRESSES_MAX];
    static_assert(DNS_ADDRESSES_MAX <= STAGE_ADDRESSES_MAX, "a target keeps all of them");
    target->tries += answer->timeout_count;
    for (uint8_t i = 0; i < answer->address_count; i++)
        address_of(&answer->addresses[i], &addresses[i]);
    /* The never-touch list may have the name that the search list made of it. */
    if (answer->found_as != NULL && target_never(target, answer->found_as))
        return;
    if (answer->address_count > 0)
        target_resolved(target, addresses, answer->address_count);
    else
        target_fail(target, answer->reason, answer->code_kind, answer->code, "%s", answer->detail);
}

void resolve_begin(struct stage_target *target)
{
    union stage_address address;
    target_addresses_set(target, NULL, 0);
    if (target_never(target, target->name))
        return;
    if (stage_address_parse(target->name, &address) == 0) {
        target->name_is_address = true;
        target_resolved(target, &address, 1);
        return;
    }
    dns_ask(target->runner->dns, target->name, answered, target, &target->query);
}

void resolve_cancel(struct stage_target *target)
{
    dns_cancel(&target->query);
}
