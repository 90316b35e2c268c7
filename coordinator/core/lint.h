/* What is odd about the sites, in sentences: `pusher site lint`. PURE. */
#ifndef PUSHER_COORDINATOR_CORE_LINT_H
#define PUSHER_COORDINATOR_CORE_LINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/model/subnet.h"

/* A site, and what its relays may touch. */
struct lint_site {
    const struct site *site;      /* relay_count as in answers */
    bool trusted;                 /* relays need no certificate: private mode */
    const struct subnet *subnets; /* of its relays' certificates, all together */
    uint32_t subnet_count;
};

/* Fills rows, at most row_max of them: errors first, then remarks.
 *   error   the same subnet in two sites, or twice in one
 *   error   a site without a relay
 *   error   a subnet of a site that no certificate of its relays covers (not said of a site
 *           without relays)
 *   remark  a subnet inside one of another site: the longer prefix wins
 *   remark  addresses between two neighbouring subnets of a site that no site has, when they are no
 *           more than the larger of both neighbours
 * `more` tells that there was no room for all. Errors: ERR_INVALID a subnet that is none. */
int lint_sites(const struct lint_site *sites, uint32_t site_count, struct lint_row *rows,
               uint32_t row_max, uint32_t *row_count, bool *more, struct err *err);

#endif
