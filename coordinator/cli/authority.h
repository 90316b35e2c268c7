/* What a command signs with for a configured coordinator: the policy that says who may, and the
 * operator's key.
 *
 * authority_open fetches and checks the policy; authority_unlock asks for the key (and its
 * passphrase) when something is going to be signed, not before.
 */
#ifndef PUSHER_CLI_AUTHORITY_H
#define PUSHER_CLI_AUTHORITY_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/session.h"

/* Zeroed, then opened. */
struct authority {
    struct policy_state state; /* newest.version 0: not opened */
    struct key_pair key;       /* secret NULL: locked */
};

void authority_release(struct authority *authority);
/* The newest policy. Errors: as policy_state_fetch. */
int authority_open(struct authority *authority, struct session *session, struct err *err);
/* Loads the operator's key, which must be one of the policy's. Errors: as operator_key_load;
 * ERR_DENIED when it is no operator's. */
int authority_unlock(struct authority *authority, const struct operator_options *options,
                     struct err *err);
/* The newest signed job of a push. Errors: ERR_DENIED when no operator of the policy signed it, or
 * it is another push's; as session_call. */
int authority_job(const struct authority *authority, struct session *session,
                  const struct push_id *push, struct job *job, struct err *err);

/* The root over all names of the push, of every generation. */
const uint8_t *authority_pool_root(const struct job *job);

#endif
