/* The accepting side of a logon, for unit tests: GSSAPI's own, so that our initiating side meets
 * code that nobody here wrote. Knows the accounts "user" of domain TESTDOM and "local" without a
 * domain.
 */
#ifndef PUSHER_TESTS_UNIT_AUTH_ACCEPTOR_H
#define PUSHER_TESTS_UNIT_AUTH_ACCEPTOR_H

#include <gssapi/gssapi.h>

#include "relay/auth/auth.h"

#define RIGHT_PASSWORD                                                                             \
    "R\xc3\xa9"                                                                                    \
    "al w\xc3\xb6rd" /* no colon: the file's fields end there */
#define WRONG_PASSWORD "Not it"

struct acceptor {
    gss_cred_id_t credential;
    gss_ctx_id_t context;
    bool done;
};

/* For cmocka's groups: the accounts' file, which at the same time is a default credential with the
 * right password, a trap for the initiating side. */
int acceptor_group_setup(void **state);
int acceptor_group_teardown(void **state);

void acceptor_init(struct acceptor *a, enum auth_mechanism mechanism);
void acceptor_release(struct acceptor *a);
/* Appends the answer to `out`; -1 when the logon is refused. */
int acceptor_step(struct acceptor *a, const uint8_t *token, size_t token_size, struct buf *out);
void acceptor_key(struct acceptor *a, uint8_t key[AUTH_KEY_SIZE]);

#endif
