/* Messages, jobs, credentials and outcomes as bytes, and back: the only room that knows protobuf.
 *
 * Called by every shell, by the operator's tool (the job's bytes are what is signed) and by the
 * journals (an outcome as a blob). The schema and its rules of evolution are proto/pusher.proto.
 *
 * Decoding trusts nothing: memory is bounded before it is allocated, and every count, length,
 * enumeration and text is checked against common/model; what is decoded is complete or the call
 * failed. Text that names something (targets, sites, packages) must be UTF-8; sentences (an
 * outcome's detail, an error's text) pass through byte by byte, since a target may have worded
 * them: every sink escapes. Encoding refuses whatever decoding would refuse, so a sender learns of
 * its own mistake. Neither says anything about who sent the bytes: common/trust and common/net do.
 */
#ifndef PUSHER_WIRE_WIRE_H
#define PUSHER_WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/message.h"
#include "common/model/outcome.h"
#include "common/model/signed_objects.h"

/* Memory that decoding one message may take for the parser's own structures. The largest message
 * that any of our programs sends needs under 1 MiB. */
#define WIRE_MEMORY_MAX (4U << 20)

/* Appends the bytes of `message` to `out`, whose maximum bounds them; out is unchanged on failure.
 * Errors: ERR_INVALID when a text, count or enumeration breaks a limit; ERR_LIMIT when the bytes
 * pass LIMIT_MESSAGE_BYTES_MAX or the maximum of `out`. */
int wire_encode(const struct message *message, struct buf *out, struct err *err);
/* Fills `out` from bytes; on success the caller owns it and calls message_release, on failure it is
 * cleared and owns nothing. Errors: ERR_PROTOCOL, ERR_LIMIT. */
int wire_decode(const uint8_t *bytes, size_t size, struct message *out, struct err *err);

/* The bytes an operator signs. Same contract as wire_encode. The decoder checks ranges, not policy:
 * whether times, counts and names make sense for a push is the relay's own check. */
int wire_encode_job(const struct job *job, struct buf *out, struct err *err);
int wire_decode_job(const uint8_t *bytes, size_t size, struct job *out, struct err *err);

/* What operators sign beside jobs. Same contract: ranges, not sense (common/signed does that). On
 * success the caller of decode owns `out` and releases it; on failure it is cleared. */
int wire_encode_policy(const struct policy *policy, struct buf *out, struct err *err);
int wire_decode_policy(const uint8_t *bytes, size_t size, struct policy *out, struct err *err);
int wire_encode_certificate(const struct certificate *certificate, struct buf *out,
                            struct err *err);
int wire_decode_certificate(const uint8_t *bytes, size_t size, struct certificate *out,
                            struct err *err);
int wire_encode_site_credential(const struct site_credential *credential, struct buf *out,
                                struct err *err);
int wire_decode_site_credential(const uint8_t *bytes, size_t size, struct site_credential *out,
                                struct err *err);

/* What is sealed to a relay. Both sides hold clear text: the caller of encode wipes `out`
 * (buf_wipe) and should give it its whole capacity first (buf_reserve and buf_reset), so that
 * growing leaves no copy behind; `out` of decode belongs in secret memory (trust/secret.h). The
 * parser's own copies are wiped here. Errors never quote the content. */
int wire_encode_credential(const struct credential *credential, struct buf *out, struct err *err);
int wire_decode_credential(const uint8_t *bytes, size_t size, struct credential *out,
                           struct err *err);

/* An outcome alone, for journals and stores. */
int wire_encode_outcome(const struct outcome *outcome, struct buf *out, struct err *err);
int wire_decode_outcome(const uint8_t *bytes, size_t size, struct outcome *out, struct err *err);

#endif
