/* Addresses as text and back. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "relay/stage/runner.h"

int stage_address_parse(const char *text, union stage_address *address)
{
    union stage_address found;
    memset(&found, 0, sizeof found);
    if (inet_pton(AF_INET, text, &found.v4.sin_addr) == 1) {
        found.v4.sin_family = AF_INET;
        *address = found;
        return 0;
    }
    char bare[INET6_ADDRSTRLEN];
    const char *scope = strchr(text, '%');
    size_t length = scope != NULL ? (size_t)(scope - text) : strlen(text);
    if (length >= sizeof bare)
        return -1;
    memcpy(bare, text, length);
    bare[length] = '\0';
    if (inet_pton(AF_INET6, bare, &found.v6.sin6_addr) != 1)
        return -1;
    found.v6.sin6_family = AF_INET6;
    if (scope != NULL) {
        found.v6.sin6_scope_id = if_nametoindex(scope + 1);
        if (found.v6.sin6_scope_id == 0)
            return -1;
    }
    *address = found;
    return 0;
}

void target_address_text(const struct stage_target *target, char text[LIMIT_ADDRESS_SIZE])
{
    text[0] = '\0';
    if (target->address_count == 0)
        return;
    const union stage_address *address = &target->addresses[0];
    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, text, LIMIT_ADDRESS_SIZE);
        return;
    }
    (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, text, LIMIT_ADDRESS_SIZE);
    char scope[IF_NAMESIZE];
    size_t used = strlen(text);
    if (address->v6.sin6_scope_id != 0 && if_indextoname(address->v6.sin6_scope_id, scope) != NULL)
        (void)snprintf(text + used, LIMIT_ADDRESS_SIZE - used, "%%%s", scope);
}
