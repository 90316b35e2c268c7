/* Sticky reader over bytes from outside.
 *
 * After the first read past the end every further read yields zero and changes nothing; one test of
 * cursor_ok() at the end of a decoder decides. The cursor never owns the bytes. Called by every
 * decoder of the project.
 */
#ifndef PUSHER_BASE_CURSOR_H
#define PUSHER_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *data; /* borrowed; NULL only when size is 0 */
    size_t size;         /* readable bytes */
    size_t at;           /* next byte, <= size */
    bool failed;         /* a read did not fit; never cleared */
};

struct cursor cursor_of(const void *data, size_t size);

/* Reads never fail visibly: they return 0 and set failed when the bytes are not there. */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16le(struct cursor *c);
uint32_t cursor_u32le(struct cursor *c);
uint64_t cursor_u64le(struct cursor *c);
uint16_t cursor_u16be(struct cursor *c);
uint32_t cursor_u32be(struct cursor *c);
uint64_t cursor_u64be(struct cursor *c);

/* A view of the next `size` bytes, or NULL and failed. size 0 gives a non-NULL pointer while the
 * cursor is good. */
const uint8_t *cursor_bytes(struct cursor *c, size_t size);
/* Copies the next `size` bytes to `to`; zeroes `to` on failure. */
void cursor_copy(struct cursor *c, void *to, size_t size);
void cursor_skip(struct cursor *c, size_t size);
/* Moves to an absolute offset from the start of the data. */
void cursor_seek(struct cursor *c, size_t offset);
/* Skips to the next multiple of `alignment` (a power of two), counted from the start of the data.
 */
void cursor_align(struct cursor *c, size_t alignment);
/* A cursor over [offset, offset + size) of the same data; failed (both) when that is not inside. */
struct cursor cursor_sub(struct cursor *c, size_t offset, size_t size);

size_t cursor_left(const struct cursor *c); /* 0 once failed */
bool cursor_ok(const struct cursor *c);
/* Marks the cursor bad: for decoders that find a value they cannot accept. */
void cursor_fail(struct cursor *c);

#endif
