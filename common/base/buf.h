/* Growable byte buffer, born with a maximum.
 *
 * Writes past the maximum set `failed` and are dropped; one test of buf_ok() at the end of an
 * encoder decides. Memory exhaustion below the maximum aborts (sizes are bounded before).
 * buf_release wipes nothing: secrets use buf_wipe first.
 */
#ifndef PUSHER_BASE_BUF_H
#define PUSHER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;   /* owned; NULL until the first write */
    size_t size;     /* bytes written */
    size_t capacity; /* bytes allocated */
    size_t size_max; /* never more than this */
    bool failed;     /* a write did not fit */
};

void buf_init(struct buf *b, size_t size_max);
void buf_release(struct buf *b);
/* Empties it and clears failed; keeps the memory. */
void buf_reset(struct buf *b);
/* Overwrites the content with zeroes, then resets. */
void buf_wipe(struct buf *b);
bool buf_ok(const struct buf *b);

void buf_u8(struct buf *b, uint8_t value);
void buf_u16le(struct buf *b, uint16_t value);
void buf_u32le(struct buf *b, uint32_t value);
void buf_u64le(struct buf *b, uint64_t value);
void buf_u16be(struct buf *b, uint16_t value);
void buf_u32be(struct buf *b, uint32_t value);
void buf_u64be(struct buf *b, uint64_t value);
void buf_bytes(struct buf *b, const void *data, size_t size);
void buf_zero(struct buf *b, size_t size);
/* Pads with zeroes to a multiple of `alignment` (a power of two) counted from `origin`, an offset
 * in the buffer. */
void buf_align(struct buf *b, size_t origin, size_t alignment);
/* printf into the buffer, without the NUL. */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_text(struct buf *b, const char *text);
/* Room for `size` more bytes, counted as written and zeroed; NULL and failed when over the maximum.
 * Valid until the next write. */
uint8_t *buf_reserve(struct buf *b, size_t size);
/* The same without zeroing: the caller fills all of it. */
uint8_t *buf_extend(struct buf *b, size_t size);
/* Overwrites bytes that are there already; out of range sets failed. */
void buf_patch_u16le(struct buf *b, size_t offset, uint16_t value);
void buf_patch_u32le(struct buf *b, size_t offset, uint32_t value);
/* Removes the first `size` bytes (at most all). */
void buf_consume(struct buf *b, size_t size);
/* The content as a NUL-terminated string, valid until the next write; "" when failed. */
const char *buf_cstr(struct buf *b);

#endif
