/* Revoking in the policy. */
#include "coordinator/cli/revoke.h"

#include "coordinator/cli/policy_edit.h"
#include "coordinator/cli/policy_state.h"
#include "coordinator/cli/say.h"

static int sign(struct session *session, const struct policy_state *state, struct policy *next,
                const struct operator_options *operator_key, struct err *err)
{
    struct key_pair key = {0};
    if (operator_key_load(operator_key, &key, err) != 0)
        return -1;
    int result = policy_state_change(session, state, next, &key, err);
    key_pair_release(&key);
    return result;
}

int revoke_sign(struct session *session, const struct relay_row *row,
                const struct operator_options *operator_key, struct err *err)
{
    struct policy_state state;
    struct policy next;
    struct err why = {0};
    bool changed = false;
    if (policy_state_fetch(session, &state, &why) != 0) {
        if (why.code == ERR_NOT_FOUND)
            return 0; /* nobody can have approved it */
        *err = why;
        return -1;
    }
    policy_clone(&state.newest, &next);
    int result = policy_revoke(&next, row->curve_key, &changed, err);
    if (result == 0 && changed)
        result = sign(session, &state, &next, operator_key, err);
    if (result == 0)
        say(session->common, "policy %llu %s its certificate", (unsigned long long)next.version,
            changed ? "revokes" : "has revoked");
    policy_release(&next);
    policy_state_release(&state);
    return result;
}
