/* relay/auth behind the RPC client's two functions. */
#include "relay/rpc/rpc_auth.h"

static int step(void *context, const uint8_t *token, size_t token_size, struct buf *token_out,
                struct err *err)
{
    return auth_context_step(context, token, token_size, token_out, err);
}

static int session_key(void *context, uint8_t key[RPC_SESSION_KEY_SIZE], uint32_t *flags,
                       struct err *err)
{
    _Static_assert(RPC_SESSION_KEY_SIZE == AUTH_KEY_SIZE, "one key size");
    *flags = auth_context_ntlm_flags(context);
    return auth_context_session_key(context, key, err);
}

struct rpc_auth rpc_auth_of(struct auth_context *context)
{
    struct rpc_auth auth = {.context = context, .step = step, .session_key = session_key};
    return auth;
}
