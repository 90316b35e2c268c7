/* UTF-8 to UTF-16LE and back, strict: surrogates, overlong forms and broken pairs are refused. */
#ifndef PUSHER_BASE_UTF16_H
#define PUSHER_BASE_UTF16_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/* Appends the text without a NUL. Returns 0, or -1 (nothing appended) when it is not valid UTF-8.
 */
int utf16_from_utf8(struct buf *out, const char *text);
/* Appends the UTF-8 form of `size` bytes of UTF-16LE. Returns 0, or -1 when size is odd or a pair
 * is broken. */
int utf16_to_utf8(struct buf *out, const uint8_t *bytes, size_t size);
/* Whether a NUL-terminated string is valid UTF-8. */
int utf8_valid(const char *text);

#endif
