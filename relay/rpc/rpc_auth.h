/* Joins relay/auth to the RPC client: a context of AUTH_NTLM_RAW as the client's struct rpc_auth.
 */
#ifndef PUSHER_RELAY_RPC_RPC_AUTH_H
#define PUSHER_RELAY_RPC_RPC_AUTH_H

#include "relay/auth/auth.h"
#include "relay/rpc/rpc.h"

/* The context is fresh (no step done), of mechanism AUTH_NTLM_RAW, borrowed until RPC_READY. */
struct rpc_auth rpc_auth_of(struct auth_context *context);

#endif
