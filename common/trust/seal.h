/* The push account on its way to one relay: sealed to the relay's key by the operator's tool,
 * inside an object that the operator signed and that names relay, push and counter. The coordinator
 * carries it and can read nothing.
 *
 * Payload of the signed object: relay's seal key 32 bytes, push id 16 bytes, counter u64
 * little-endian, then a libsodium sealed box (X25519, XSalsa20-Poly1305) of
 * wire_encode_credential's bytes.
 */
#ifndef PUSHER_TRUST_SEAL_H
#define PUSHER_TRUST_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/id.h"
#include "common/trust/keys.h"

/* What a relay knows from the job that the credential came with. */
struct seal_context {
    struct push_id push;
    uint64_t counter;                /* job.counter */
    uint8_t signer[LIMIT_KEY_BYTES]; /* operator who signed the job */
};

/* Appends the sealed object for the relay whose seal key is given; context->signer is ignored (it
 * is operator_key). Errors: ERR_INVALID when relay_key is no usable point; ERR_LIMIT. */
int seal_make(const struct key_pair *operator_key, const uint8_t relay_key[LIMIT_KEY_BYTES],
              const struct seal_context *context, const uint8_t *clear, size_t clear_size,
              struct buf *out, struct err *err);
/* Verifies the signature, signer, relay, push and counter, then opens. On success *clear is secret
 * memory of *clear_size bytes that the caller frees with secret_free. Errors: ERR_PROTOCOL,
 * ERR_DENIED (which check failed is in the text). */
int seal_open(const uint8_t *bytes, size_t size, const struct key_pair *relay,
              const struct seal_context *expected, uint8_t **clear, size_t *clear_size,
              struct err *err);

#endif
