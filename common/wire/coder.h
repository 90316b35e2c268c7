/* What every encoder and decoder of this room uses: checks that are the same in both directions,
 * with one sticky error.
 *
 * put_ turns our fields into the generated structs, take_ the other way. After the first failure
 * everything yields zero or nothing; coder_ok() at the end decides. Texts of errors name the field
 * and never quote it.
 */
#ifndef PUSHER_WIRE_CODER_H
#define PUSHER_WIRE_CODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/limits.h"
#include "common/wire/memory.h"
#include "pusher.pb-c.h"

struct coder {
    struct wire_memory memory; /* generated structs and what they point to */
    bool decoding;             /* a broken value is the peer's fault, not ours */
    bool failed;               /* first error was set */
    struct err *err;           /* may be NULL */
};

void coder_init(struct coder *c, bool decoding, struct err *err);
void coder_release(struct coder *c, bool wipe);
bool coder_ok(const struct coder *c);
/* First failure wins: `field` is why. */
void coder_fail(struct coder *c, const char *field, const char *why);
/* ERR_LIMIT: the bytes do not fit. */
void coder_too_long(struct coder *c);
/* Zeroed arrays for generated structs; NULL and failed when memory is used up, NULL for count 0. */
void *coder_new(struct coder *c, size_t count, size_t size);
/* A generated message, initialised; NULL and failed when memory is used up. */
void *coder_message(struct coder *c, const ProtobufCMessageDescriptor *type);
/* Appends the packed message to `out`, or fails with ERR_LIMIT leaving it alone. */
void coder_pack(struct coder *c, const ProtobufCMessage *message, struct buf *out);
/* Parses; NULL and failed when it is none of this type. */
void *coder_unpack(struct coder *c, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                   size_t size);

/* Both ways. */
uint64_t check_u64(struct coder *c, uint64_t value, uint64_t max, const char *field);
uint32_t check_u32(struct coder *c, uint32_t value, uint32_t max, const char *field);
/* `value` when 0 <= value < count, else 0 and failed. */
int check_enum(struct coder *c, int64_t value, int count, const char *field);

/* Text with room for `size_max` bytes and NUL in its struct. */
ProtobufCBinaryData put_text(struct coder *c, const char *text, size_t size_max, const char *field);
ProtobufCBinaryData put_raw_text(struct coder *c, const char *text, size_t size_max,
                                 const char *field);
ProtobufCBinaryData put_bytes(struct coder *c, const uint8_t *bytes, size_t size);
/* 32 bytes, or none when they are all zero. */
ProtobufCBinaryData put_key_or_none(struct coder *c, const uint8_t key[LIMIT_KEY_BYTES]);
/* Borrows instead of copying. */
ProtobufCBinaryData put_blob(struct coder *c, uint8_t *bytes, size_t size, size_t size_max,
                             const char *field);
/* Copies an array of counters. */
void put_counters(struct coder *c, const uint32_t *from, size_t count, uint32_t **to,
                  size_t *to_count);

void take_text(struct coder *c, ProtobufCBinaryData from, char *to, size_t size_max,
               const char *field);
void take_raw_text(struct coder *c, ProtobufCBinaryData from, char *to, size_t size_max,
                   const char *field);
/* Exactly `size` bytes. */
void take_bytes(struct coder *c, ProtobufCBinaryData from, uint8_t *to, size_t size,
                const char *field);
/* 32 bytes; none leaves zeroes. */
void take_key_or_none(struct coder *c, ProtobufCBinaryData from, uint8_t key[LIMIT_KEY_BYTES],
                      const char *field);
/* Heap copies that the message owns from then on. */
void take_blob(struct coder *c, ProtobufCBinaryData from, uint8_t **to, size_t *to_size,
               size_t size_max, const char *field);
void take_heap_text(struct coder *c, ProtobufCBinaryData from, char **to, size_t size_max,
                    const char *field);
/* Heap array for rows, zeroed; NULL for none, or failed when there are more than
 * LIMIT_ROWS_PER_MESSAGE. */
void *take_rows(struct coder *c, size_t count, size_t size, uint32_t *to_count, const char *field);
/* The same with another maximum, which what the parser allocated bounds as well. */
void *take_array(struct coder *c, size_t count, size_t count_max, size_t size, uint32_t *to_count,
                 const char *field);
/* At most `count` counters; the rest stays zero. */
void take_counters(struct coder *c, const uint32_t *from, size_t from_count, uint32_t *to,
                   size_t count, const char *field);

#endif
