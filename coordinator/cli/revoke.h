/* Revoking a relay in the signed policy, so that its certificate is void for everybody. */
#ifndef PUSHER_CLI_REVOKE_H
#define PUSHER_CLI_REVOKE_H

#include "common/base/err.h"
#include "common/model/message.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/session.h"

/* Signs a policy that revokes the relay's key, and says so. Nothing is to be done, and it succeeds,
 * when the policy has it already or when there is no policy yet. Errors: as policy_state_fetch,
 * policy_state_change, operator_key_load. */
int revoke_sign(struct session *session, const struct relay_row *row,
                const struct operator_options *operator_key, struct err *err);

#endif
