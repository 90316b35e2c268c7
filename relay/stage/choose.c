/* Which of a name's addresses are used, and in which order. */
#include <stdio.h>

#include "relay/stage/runner.h"
#include "relay/stage/scope.h"
#include "relay/stage/source.h"

void target_resolved(struct stage_target *target, const union stage_address *addresses,
                     uint8_t count)
{
    const struct scope *scope = target->runner->config.scope;
    struct destination usable[STAGE_ADDRESSES_MAX];
    uint8_t usable_count = 0;
    for (uint8_t i = 0; i < count; i++)
        if (stage_address_flaw(&addresses[i]) == NULL &&
            (scope == NULL || scope_covers(scope, &addresses[i])))
            usable[usable_count++] = (struct destination){.address = addresses[i]};

    if (usable_count == 0) {
        char text[LIMIT_ADDRESS_SIZE];
        char more[64] = "";
        stage_address_text(&addresses[0], text);
        const char *flaw = stage_address_flaw(&addresses[0]);
        if (count > 1)
            (void)snprintf(more, sizeof more, "; none of the name's %u addresses may be touched",
                           count);
        target_addresses_set(target, addresses, 1); /* for the row */
        target_fail(target, REASON_OUT_OF_SCOPE, CODE_NONE, 0, "%s is %s%s", text,
                    flaw != NULL ? flaw : "outside the subnets of this relay", more);
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
