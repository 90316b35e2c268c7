/* What the coordinator knows of relays and sites, fetched in pages. */
#ifndef PUSHER_CLI_FLEET_H
#define PUSHER_CLI_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/model/signed_objects.h"
#include "common/trust/signed.h"
#include "coordinator/cli/session.h"

struct fleet {
    struct relay_row *rows; /* owned */
    uint32_t count;
};

/* All relays. On success the caller releases `out`. Errors: as session_call. */
int fleet_fetch(struct session *session, struct fleet *out, struct err *err);
void fleet_release(struct fleet *fleet);
/* The relay of this name, or whose key begins with these digits (at least 8). Revoked and cloned
 * ones are found by name only when no other has it. Errors: ERR_NOT_FOUND; ERR_INVALID several. */
int fleet_find(const struct fleet *fleet, const char *word, const struct relay_row **out,
               struct err *err);

/* Called for each signed object; its bytes are valid until it returns. */
typedef int fleet_object(void *context, const uint8_t *bytes, size_t size, struct err *err);
/* All certificates or site credentials, of one site or (site "") of all. Errors: as session_call,
 * and those of `each`. */
int fleet_objects(struct session *session, enum signed_kind kind, const char *site,
                  fleet_object *each, void *context, struct err *err);
/* Hands a signed object to the coordinator. Errors: as session_call. */
int fleet_put(struct session *session, const uint8_t *bytes, size_t size, struct err *err);

/* The subnets of a site. *subnets is to be freed. Errors: ERR_NOT_FOUND no such site; ERR_INVALID
 * what the coordinator says is none. */
int fleet_site_subnets(struct session *session, const char *site, struct subnet **subnets,
                       uint32_t *count, struct err *err);

#endif
