/* Changes to a policy before it is signed. Pure.
 *
 * Every function leaves the policy alone when it fails.
 */
#ifndef PUSHER_CLI_POLICY_EDIT_H
#define PUSHER_CLI_POLICY_EDIT_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"

/* A copy that owns its own memory: policy_release. */
void policy_clone(const struct policy *from, struct policy *to);

/* Errors: ERR_EXISTS, ERR_LIMIT. */
int policy_add_operator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES], struct err *err);
int policy_add_coordinator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                           struct err *err);
/* The last one stays. Errors: ERR_NOT_FOUND; ERR_DENIED. */
int policy_remove_operator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                           struct err *err);
int policy_remove_coordinator(struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES],
                              struct err *err);

/* *changed: false when it was revoked already. Errors: ERR_LIMIT. */
int policy_revoke(struct policy *policy, const uint8_t curve_key[LIMIT_KEY_BYTES], bool *changed,
                  struct err *err);

/* A subnet, an address, or a pattern of names. *changed: false when it was there already (removal:
 * when there was none). Errors: ERR_INVALID: it is none of them, or would fit everything, or only
 * looks as if it protected addresses; ERR_LIMIT. */
int policy_never_add(struct policy *policy, const char *text, bool *changed, struct err *err);
int policy_never_remove(struct policy *policy, const char *text, bool *changed, struct err *err);

#endif
