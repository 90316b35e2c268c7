/* What the operator's tool signs and seals for one push: a key that lives in memory only. */
#ifndef PUSHER_CLI_SIGNING_H
#define PUSHER_CLI_SIGNING_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/limits.h"
#include "common/trust/keys.h"
#include "coordinator/cli/paths.h"

/* Merkle root over the names, in order. Errors: ERR_LIMIT. */
int job_set_targets(struct job *job, char *const *names, uint32_t count, struct err *err);
/* Appends the signed job. Errors: ERR_INVALID, ERR_LIMIT. */
int job_sign(const struct job *job, const struct key_pair *operator_key, struct buf *out,
             struct err *err);
/* Appends the credential, sealed to the relay for this job. Errors: ERR_INVALID, ERR_LIMIT. */
int credential_seal(const struct credential *credential, const struct job *job,
                    const struct key_pair *operator_key, const uint8_t relay_key[LIMIT_KEY_BYTES],
                    struct buf *out, struct err *err);

/* The private relay's own word, relay/seal.pub, about the key to seal to. Whoever answers for the
 * coordinator must not choose who can read the password: ERR_DENIED when `said` is another key. */
int relay_seal_key_check(const struct state_paths *paths, const uint8_t said[LIMIT_KEY_BYTES],
                         struct err *err);

/* operators/<push id>.pub: from now on the private relay trusts this key for this push. Errors:
 * ERR_IO. */
int operator_key_publish(const struct state_paths *paths, const struct push_id *push,
                         const struct key_pair *operator_key, struct err *err);
/* jobs/<push id>.job: what --resume signs again (no secret in it). Errors: ERR_IO, ERR_NOT_FOUND
 * when there is none of this push. */
int job_keep(const struct state_paths *paths, const struct job *job, struct err *err);
int job_recall(const struct state_paths *paths, const struct push_id *push, struct job *job,
               struct err *err);
/* Removes it once the push is over; missing is fine. */
void job_forget(const struct state_paths *paths, const struct push_id *push);

#endif
