/* Policies, certificates and site credentials as signed bytes: made, verified, read.
 *
 * The operator's tool makes them. Relays open them before they act on them; coordinator and tool do
 * so before they keep or show them, which protects nobody but finds mistakes early. Every _open
 * verifies the signature before it decodes a byte, then checks who signed, then whether the content
 * makes sense. The clock comes from the caller.
 *
 * What an _open doesn't know is what came before: the caller compares a certificate's serial and a
 * credential's counter with the highest it has seen, and keeps every version of the policy in
 * order. docs/PROTOCOL.md has the layouts.
 */
#ifndef PUSHER_SIGNED_OBJECTS_H
#define PUSHER_SIGNED_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/signed_objects.h"
#include "common/trust/keys.h"
#include "common/trust/signed.h"

/* What one object has at most: give it to buf_init. */
#define OBJECT_BYTES_MAX (SIGNED_OVERHEAD_BYTES + SIGNED_PAYLOAD_MAX)
/* Clocks of admin host and branch office may differ as much as Kerberos lets them. */
#define OBJECT_SKEW_MAX_S 300

/* Kind and signer of bytes whose signature is good; says nothing about whether that key may sign.
 * Errors: ERR_PROTOCOL, ERR_DENIED. */
int object_look(const uint8_t *bytes, size_t size, enum signed_kind *kind,
                uint8_t signer[LIMIT_KEY_BYTES], struct err *err);

/* Appends the signed policy. The caller has set version and all. Errors: ERR_INVALID (no operator,
 * no coordinator, version 0); ERR_LIMIT (over 64 KiB). */
int policy_make(const struct policy *policy, const struct key_pair *operator_key, struct buf *out,
                struct err *err);
/* Reads the policy that follows `before`: of the next version, signed by an operator of `before`.
 * `before` NULL (or of version 0): version 1, signed by one of its own operators, which shows only
 * that it is whole: the caller has pinned the signer or asks somebody. On success the caller
 * releases `out`. Errors: ERR_PROTOCOL; ERR_DENIED (signature, signer); ERR_INVALID (version,
 * content). */
int policy_open(const uint8_t *bytes, size_t size, const struct policy *before, struct policy *out,
                struct err *err);
/* The same, and `newest` becomes it; unchanged on failure. Starts with a zeroed one. */
int policy_follow(struct policy *newest, const uint8_t *bytes, size_t size, struct err *err);
/* Signature and content only, of any version: for bytes that were verified before (one's own store)
 * and to see what they are. `signer` may be NULL. */
int policy_look(const uint8_t *bytes, size_t size, struct policy *out,
                uint8_t signer[LIMIT_KEY_BYTES], struct err *err);
bool policy_has_coordinator(const struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES]);

/* Appends the signed certificate. Errors: ERR_INVALID (a name is empty, no subnet, serial 0, ends
 * before it begins); ERR_LIMIT. */
int certificate_make(const struct certificate *certificate, const struct key_pair *operator_key,
                     struct buf *out, struct err *err);
/* Reads a certificate that an operator of the policy signed and whose time is now. On success the
 * caller releases `out`. Errors: ERR_PROTOCOL; ERR_DENIED (signature, signer, time); ERR_INVALID
 * (content). */
int certificate_open(const uint8_t *bytes, size_t size, const struct policy *policy,
                     int64_t now_unix_s, struct certificate *out, struct err *err);
/* The same whatever the time, for lists and for stores. */
int certificate_look(const uint8_t *bytes, size_t size, const struct policy *policy,
                     struct certificate *out, struct err *err);
/* Whether its time is now: expiry to the second, the beginning OBJECT_SKEW_MAX_S earlier. Errors:
 * ERR_DENIED. */
int certificate_check_time(const struct certificate *certificate, int64_t now_unix_s,
                           struct err *err);

/* Appends the credential sealed to terms->seal_key and signed, with terms->site, counter and
 * account (its box is ignored). Errors: ERR_INVALID (site empty, counter 0, the key is not usable);
 * ERR_LIMIT. */
int site_credential_make(const struct site_credential *terms, const struct credential *clear,
                         const struct key_pair *operator_key, struct buf *out, struct err *err);
/* Reads what a credential says outside of its box, for whoever only keeps and forwards it. On
 * success the caller releases `out`. Errors: ERR_PROTOCOL; ERR_DENIED; ERR_INVALID. */
int site_credential_look(const uint8_t *bytes, size_t size, const struct policy *policy,
                         struct site_credential *out, struct err *err);

/* What a relay knows when a site credential comes. */
struct site_credential_terms {
    const struct policy *policy; /* its newest */
    const char *site;            /* its own, from its certificate */
    const struct key_pair *seal; /* its own, KEY_SEAL */
    uint64_t counter_min;        /* the highest counter that it has seen */
};

/* Verifies and unseals at the relay. On success *clear is the caller's (credential_free), and
 * *counter the new counter_min. Errors: ERR_PROTOCOL; ERR_DENIED (the text says which check). */
int site_credential_open(const uint8_t *bytes, size_t size,
                         const struct site_credential_terms *terms, struct credential **clear,
                         uint64_t *counter, struct err *err);

#endif
