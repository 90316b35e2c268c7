/* Objects signed by an operator: a payload, what it is, who signed it, and the signature.
 *
 * Made by the operator's tool; opened by relays (and by the coordinator, which stores and forwards
 * them unchanged). Verification comes before decoding: signed_open hands out the payload only when
 * the signature is good. Layout, all integers little-endian:
 *
 *   magic "pusher signed" and 3 zero bytes, version u8 = 1, kind u8, zero u16, signer 32 bytes,
 *   payload size u32, payload, Ed25519 signature 64 bytes over everything before it
 *
 * The magic and the kind are inside what is signed, so that a signature made for one purpose
 * never fits another. Replay is not caught here: push id, generation, counter and times inside
 * the payload do that.
 */
#ifndef PUSHER_TRUST_SIGNED_H
#define PUSHER_TRUST_SIGNED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/trust/keys.h"

#define SIGNED_PAYLOAD_MAX 65536U  /* bytes; a job has at most about 10 KiB */
#define SIGNED_OVERHEAD_BYTES 120U /* all but the payload */

/* Order is part of the format: append only. */
enum signed_kind {
    SIGNED_JOB = 1,        /* wire_encode_job's bytes */
    SIGNED_CREDENTIAL = 2, /* see seal.h */
    SIGNED_POLICY = 3,     /* these three: model/signed_objects.h */
    SIGNED_CERTIFICATE = 4,
    SIGNED_SITE_CREDENTIAL = 5,
    SIGNED_KIND_COUNT
};

/* What a good object holds; pointers into the bytes given to signed_open. */
struct signed_view {
    enum signed_kind kind;
    const uint8_t *signer; /* operator's public key, LIMIT_KEY_BYTES */
    const uint8_t *payload;
    size_t payload_size;
};

/* Appends a signed object. Errors: ERR_LIMIT when the payload or `out` is too small a room. */
int signed_make(const struct key_pair *operator_key, enum signed_kind kind, const void *payload,
                size_t payload_size, struct buf *out, struct err *err);
/* Verifies and opens. `trusted` NULL accepts any signer: then the caller decides by view->signer
 * before acting on the payload. Errors: ERR_PROTOCOL when the bytes are no such object;
 * ERR_DENIED when the signature is bad or the signer not trusted. */
int signed_open(const uint8_t *bytes, size_t size, enum signed_kind kind,
                const struct key_set *trusted, struct signed_view *view, struct err *err);

#endif
