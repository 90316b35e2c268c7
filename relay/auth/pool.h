/* One credential object for each account and secret, shared by all jobs that bring it.
 *
 * Also says which jobs have the same: the number of an account and secret stays the same after its
 * last user is gone, so that a brake on it holds for the next job. No password is kept: an entry
 * knows its account and secret again by a keyed digest. Used by the runner, on its one thread.
 */
#ifndef PUSHER_RELAY_AUTH_POOL_H
#define PUSHER_RELAY_AUTH_POOL_H

#include "relay/auth/auth.h"

#define AUTH_POOL_KEY_SIZE 32
#define AUTH_POOL_ENTRIES_MAX 1024 /* of unused ones the oldest are forgotten beyond this */

struct auth_pool;

/* `key`: random bytes, copied; whoever doesn't have them can't try passwords on the digests. */
struct auth_pool *auth_pool_new(const uint8_t key[AUTH_POOL_KEY_SIZE]);
/* Frees the credentials too, whoever has them. NULL is fine. */
void auth_pool_free(struct auth_pool *pool);

/* The credential for an account and password, made when it isn't there; give it back with
 * auth_pool_drop. `number` is equal for equal ones: "DOM\User" and "dom\user" are, ".\user" and
 * "user" too (ASCII letters fold, no others). Errors: as auth_credential_new. */
int auth_pool_get(struct auth_pool *pool, const char *account, const char *password,
                  const struct auth_credential **credential, uint32_t *number, struct err *err);
/* The last one wipes and frees it. */
void auth_pool_drop(struct auth_pool *pool, const struct auth_credential *credential);

#endif
