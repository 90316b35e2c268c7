/* NDR32, the few shapes that our interfaces have: integers, strings, unique pointers.
 *
 * Integers are written by buf_* and read by cursor_* directly, after ndr_align; strings are UTF-8
 * here and conformant varying UTF-16LE on the wire, with the NUL counted.
 *
 * Spec: [C706] 14.2, 14.3.
 */
#ifndef PUSHER_RELAY_RPC_NDR_H
#define PUSHER_RELAY_RPC_NDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"

/* A request being written. Sticky like buf: one test at the end. */
struct ndr_out {
    struct buf *buf;         /* borrowed, empty at the start */
    uint32_t referent_count; /* pointers written so far: the next one's id follows from it */
    bool bad_text;           /* a string was not UTF-8 */
};

struct ndr_out ndr_out_of(struct buf *buf);
void ndr_put_u32(struct ndr_out *ndr, uint32_t value);
/* [string] of a NUL-terminated UTF-8 text. */
void ndr_put_string(struct ndr_out *ndr, const char *text);
/* [string] of UTF-16LE bytes without NUL. */
void ndr_put_string_utf16(struct ndr_out *ndr, const uint8_t *utf16, size_t size);
/* [unique, string]; NULL writes the null pointer. */
void ndr_put_unique_string(struct ndr_out *ndr, const char *text);

uint32_t ndr_get_u32(struct cursor *c);
uint16_t ndr_get_u16(struct cursor *c);
/* Reads a [string]: *utf16 is a view without the NUL. A NUL inside, a non-zero offset or a count
 * over its maximum fails the cursor. */
void ndr_get_string(struct cursor *c, const uint8_t **utf16, size_t *size);
/* Whether a unique pointer that is read here is not null. */
bool ndr_get_pointer(struct cursor *c);

#endif
