/* The coordinator's policies as the operator's tool sees them: fetched, verified as a chain, and
 * compared with what this account saw before.
 *
 * The coordinator keeps the policies but isn't trusted with them: it could offer an older one, or
 * one of its own making, for an operator to sign the next version of. So the newest version that
 * was seen is remembered, with its digest, for each endpoint, in $XDG_STATE_HOME/pusher/policy. The
 * first time there is nothing to compare with: whoever signs must have looked (pusher policy show).
 */
#ifndef PUSHER_CLI_POLICY_STATE_H
#define PUSHER_CLI_POLICY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"
#include "coordinator/cli/session.h"

struct policy_state {
    struct policy newest;
    uint8_t signer[LIMIT_KEY_BYTES];    /* who signed the newest */
    uint8_t digest[LIMIT_DIGEST_BYTES]; /* SHA-256 of its bytes */
    bool first_sight;                   /* this account had not seen a policy of this coordinator */
};

/* Fetches, verifies and remembers; needs a session. On success the caller releases `out`. Errors:
 * ERR_NOT_FOUND: there is no policy yet (pusher policy init); ERR_DENIED: the coordinator offers an
 * older policy than before, or another one; as session_call. */
int policy_state_fetch(struct session *session, struct policy_state *out, struct err *err);
void policy_state_release(struct policy_state *state);
/* Signs the policy as the one after `state` (which is zeroed when there is none), sends it, and
 * remembers it. Fills in version and time. Errors: ERR_DENIED when the key is no operator's, or on
 * first sight; ERR_EXISTS when somebody else was faster; as session_call. */
int policy_state_change(struct session *session, const struct policy_state *state,
                        struct policy *next, const struct key_pair *operator_key, struct err *err);
/* Says, on first sight, what was trusted. */
void policy_state_say(const struct session *session, const struct policy_state *state);

#endif
