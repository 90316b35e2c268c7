/* Whether a signed job may be worked on here: before anything of it is believed.
 *
 * The signature is checked first, then the job is decoded; it counts when its signer is the
 * operator key that is kept for exactly this push, its times and name make sense, and the
 * credential that came with it was sealed by the same operator for this relay and this job. A job
 * that fails is refused with a sentence for the rows of its targets.
 */
#ifndef PUSHER_RELAY_VET_H
#define PUSHER_RELAY_VET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/message.h"
#include "common/trust/keys.h"

struct vet_config {
    const char *operators;       /* folder of `<push id>.pub` files */
    const struct key_pair *seal; /* this relay's */
    int64_t now_unix_s;
};

struct vetted_job {
    struct job job; /* of a refused one only push and generation mean anything */
    bool accepted;
    char refusal[LIMIT_DETAIL_SIZE];
    struct credential *credential; /* secret memory, owned; only when accepted */
};

/* Returns 0 when a push can be named, accepted or refused; -1 when the bytes name none. Errors:
 * ERR_PROTOCOL, ERR_DENIED. */
int job_vet(const struct vet_config *config, const struct message_job *message,
            struct vetted_job *out, struct err *err);
/* Wipes the credential. */
void vetted_job_release(struct vetted_job *vetted);

#endif
