/* Which of a name's addresses are used, in which order, and whether they still may be. */
#include <assert.h>
#include <stdio.h>

#include "common/base/text.h"
#include "relay/stage/runner.h"
#include "relay/stage/scope.h"
#include "relay/stage/source.h"

static enum scope_verdict judge(const struct stage_target *target,
                                const union stage_address *address)
{
    const struct scope *scope = target->runner->config.scope;
    return scope == NULL ? SCOPE_ALLOWED : scope_judge(scope, address);
}

/* Ends the stage because the address, one of `count`, may not be touched. */
static void refuse(struct stage_target *target, const union stage_address *address, uint8_t count)
{
    union stage_address told = *address; /* it may be the target's own */
    char text[LIMIT_ADDRESS_SIZE];
    char more[64] = "";
    const char *flaw = stage_address_flaw(&told);
    stage_address_text(&told, text);
    target_addresses_set(target, &told, 1); /* for the row */
    if (judge(target, &told) == SCOPE_NEVER) {
        target_fail(target, REASON_NEVER_TOUCH, CODE_NONE, 0,
                    "%s is on the never-touch list: nothing was sent there", text);
        return;
    }
    if (count > 1)
        (void)snprintf(more, sizeof more, "; none of the name's %u addresses may be touched",
                       count);
    target_fail(target, REASON_OUT_OF_SCOPE, CODE_NONE, 0, "%s is %s%s", text,
                flaw != NULL ? flaw : "outside the subnets of this relay", more);
}

/* One address of a name that nobody may touch is enough: all are taken for the same machine. */
static const union stage_address *first_never(const struct stage_target *target,
                                              const union stage_address *addresses, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++)
        if (judge(target, &addresses[i]) == SCOPE_NEVER)
            return &addresses[i];
    return NULL;
}

bool target_never(struct stage_target *target, const char *name)
{
    const struct scope *scope = target->runner->config.scope;
    char text[128];
    if (scope == NULL || !scope_never_name(scope, name))
        return false;
    target_fail(target, REASON_NEVER_TOUCH, CODE_NONE, 0,
                "%s is on the never-touch list: nothing was sent there",
                text_printable(text, sizeof text, name));
    return true;
}

void target_resolved(struct stage_target *target, const union stage_address *addresses,
                     uint8_t count)
{
    struct destination usable[STAGE_ADDRESSES_MAX];
    uint8_t usable_count = 0;
    const union stage_address *never = first_never(target, addresses, count);
    if (never != NULL) {
        refuse(target, never, count);
        return;
    }
    for (uint8_t i = 0; i < count; i++)
        if (stage_address_flaw(&addresses[i]) == NULL &&
            judge(target, &addresses[i]) == SCOPE_ALLOWED)
            usable[usable_count++] = (struct destination){.address = addresses[i]};
    if (usable_count == 0) {
        refuse(target, &addresses[0], count);
        return;
    }
    if (usable_count > 1) {
        uint64_t now = uv_now(target->runner->config.loop);
        for (uint8_t i = 0; i < usable_count; i++)
            source_find(&usable[i], &target->runner->onlink, now);
        destinations_sort(usable, usable_count);
    }
    union stage_address ordered[STAGE_ADDRESSES_MAX];
    for (uint8_t i = 0; i < usable_count; i++)
        ordered[i] = usable[i].address;
    target_addresses_set(target, ordered, usable_count);
    target_pass(target, "%s", "");
}

bool target_addresses_check(struct stage_target *target)
{
    assert(target->address_count > 0);
    assert(target->addresses != NULL);
    const union stage_address *never =
        first_never(target, target->addresses, target->address_count);
    uint8_t kept = 0;
    if (never != NULL) {
        refuse(target, never, target->address_count);
        return false;
    }
    union stage_address first = target->addresses[0];
    /* A connection that stands is one to the first address. */
    uint8_t count = target->session != NULL ? 1 : target->address_count;
    for (uint8_t i = 0; i < count; i++)
        if (judge(target, &target->addresses[i]) == SCOPE_ALLOWED)
            target->addresses[kept++] = target->addresses[i];
    if (kept == 0) {
        refuse(target, &first, target->address_count);
        return false;
    }
    if (kept < count)
        target->address_count = kept;
    return true;
}
