/* An enrolment token: made by the operator's tool, typed or piped into pusher-relay enroll. Its
 * text is a secret: whoever has it may enrol one relay until it expires. Nobody works because of
 * it: a relay that enrolled waits for its certificate.
 *
 * Text: "pusher-token-" and base64url (RFC 4648 section 5) without padding of: CURVE secret key 32
 * bytes, coordinator's CURVE public key 32, operator's public key 32, policy version u64
 * little-endian, and the first 4 bytes of the BLAKE2b hash of all that, which finds typing errors.
 */
#ifndef PUSHER_SIGNED_TOKEN_H
#define PUSHER_SIGNED_TOKEN_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"

#define TOKEN_PREFIX "pusher-token-"
#define TOKEN_TEXT_SIZE 160 /* room for the text and a NUL */

struct token {
    struct key_pair curve;                    /* KEY_CURVE: the relay dials with it, once; owned */
    uint8_t coordinator_key[LIMIT_KEY_BYTES]; /* CURVE: who answers */
    uint8_t operator_key[LIMIT_KEY_BYTES];    /* signed the newest policy */
    uint64_t policy_version;                  /* of that policy: an older one isn't the newest */
};

/* A new random key pair with what the operator's tool knows. Needs trust_start. */
void token_generate(struct token *token, const uint8_t coordinator_key[LIMIT_KEY_BYTES],
                    const uint8_t operator_key[LIMIT_KEY_BYTES], uint64_t policy_version);
/* Wipes the secret; a zeroed one is fine. */
void token_release(struct token *token);
/* The text, in secret memory: secret_free. */
char *token_text(const struct token *token);
/* Reads a text, white space around it is left aside. On success the caller releases `out`. Errors:
 * ERR_INVALID (no token, cut off, a typing error); never quotes it. */
int token_from_text(const char *text, struct token *out, struct err *err);
/* For each policy of the chain that the coordinator offers, in order, after policy_follow took it:
 * the one of the token's version must be the one that the operator signed. A coordinator that lies
 * could offer a chain of its own making, but none that goes through that signature. The chain is
 * good when its last version is at least token->policy_version. Errors: ERR_DENIED. */
int token_check_policy(const struct token *token, const struct policy *policy,
                       const uint8_t signer[LIMIT_KEY_BYTES], struct err *err);

#endif
