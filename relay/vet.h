/* Whether a signed job may be worked on here: before anything of it is believed.
 *
 * The signature is checked first, then the job is decoded; it counts when its signer is an operator
 * of the relay's policy (in private mode: the operator key that is kept for exactly this push), the
 * relay's certificate is valid, times and names make sense, and the credential that came with it is
 * the site's, or was sealed by the same operator for this relay and this job. A job that fails is
 * refused with a sentence for the rows of its targets. One that was signed under a policy which has
 * not come yet is neither accepted nor refused: it is to be ignored, and comes again.
 */
#ifndef PUSHER_RELAY_VET_H
#define PUSHER_RELAY_VET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/message.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"

struct vet_config {
    const char *operators;                 /* private mode: folder of `<push id>.pub` files */
    const struct policy *policy;           /* enrolled: the newest; NULL: private mode */
    const struct certificate *certificate; /* enrolled: this relay's */
    uint64_t site_counter;                 /* enrolled: no site credential below this is taken */
    const struct key_pair *seal;           /* this relay's */
    int64_t now_unix_s;
};

struct vetted_job {
    struct job job; /* of a refused one only push and generation mean anything */
    bool accepted;
    bool owed; /* not accepted, not refused: its policy is still to come */
    char refusal[LIMIT_DETAIL_SIZE];
    uint8_t signer[LIMIT_KEY_BYTES]; /* when accepted */
    uint64_t site_counter;           /* when accepted: of the site credential; 0: the push's own */
    struct credential *credential;   /* secret memory, owned; only when accepted */
};

/* Returns 0 when a push can be named, accepted or refused; -1 when the bytes name none. Errors:
 * ERR_PROTOCOL, ERR_DENIED. */
int job_vet(const struct vet_config *config, const struct message_job *message,
            struct vetted_job *out, struct err *err);
/* Wipes the credential. */
void vetted_job_release(struct vetted_job *vetted);

#endif
