/* pusher relay approve: an operator lets a relay work, by signing its certificate. */
#ifndef PUSHER_CLI_APPROVE_H
#define PUSHER_CLI_APPROVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/limits.h"
#include "common/model/subnet.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/session.h"

/* What the operator said. */
struct approval {
    const char *relay;       /* name, or the beginning of its key */
    const char *fingerprint; /* as the relay showed it; NULL: ask */
    bool yes;                /* renewal: don't ask */
    uint32_t expires_s;
    struct subnet subnets[LIMIT_SITE_SUBNETS]; /* narrower than the site's */
    uint32_t subnet_count;                     /* 0: the site's */
    const struct operator_options *operator_key;
};

/* Returns the exit status. */
int approve_run(struct session *session, const struct approval *approval);

#endif
