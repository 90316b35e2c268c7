/* UTF-8 and UTF-16LE, strict both ways. */
#include "common/base/utf16.h"

#include <stdbool.h>
#include <string.h>

/* Decodes one code point at *at and moves on; -1 when the bytes are not well-formed (Unicode 15,
 * table 3-7). */
static int32_t next_code_point(const uint8_t **at)
{
    const uint8_t *p = *at;
    uint32_t lead = p[0];
    size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 9 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (more == 9 || lead > 0xf4)
        return -1;
    uint32_t code = more == 0 ? lead : lead & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return -1;
    *at = p + more + 1;
    return (int32_t)code;
}

int utf8_valid(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    while (*at != 0) {
        if (*at < 0x80)
            at++;
        else if (next_code_point(&at) < 0)
            return 0;
    }
    return 1;
}

/* Writes the ASCII characters at the start of the text, most of all texts here, in one go; returns
 * what follows. */
static const uint8_t *put_ascii(struct buf *out, const uint8_t *text)
{
    size_t count = 0;
    while (text[count] != 0 && text[count] < 0x80)
        count++;
    uint8_t *to = count > 0 ? buf_reserve(out, 2 * count) : NULL;
    for (size_t i = 0; to != NULL && i < count; i++)
        to[2 * i] = text[i];
    return text + count;
}

int utf16_from_utf8(struct buf *out, const char *text)
{
    if (!utf8_valid(text))
        return -1;
    const uint8_t *at = (const uint8_t *)text;
    while (*(at = put_ascii(out, at)) != 0) {
        uint32_t code = (uint32_t)next_code_point(&at);
        if (code < 0x10000) {
            buf_u16le(out, (uint16_t)code);
        } else {
            buf_u16le(out, (uint16_t)(0xd800 + ((code - 0x10000) >> 10)));
            buf_u16le(out, (uint16_t)(0xdc00 + ((code - 0x10000) & 0x3ff)));
        }
    }
    return 0;
}

static void put_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        buf_u8(out, (uint8_t)(0xc0 | code >> 6));
        buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_u8(out, (uint8_t)(0xe0 | code >> 12));
        buf_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        buf_u8(out, (uint8_t)(0xf0 | code >> 18));
        buf_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

int utf16_to_utf8(struct buf *out, const uint8_t *bytes, size_t size)
{
    if (size % 2 != 0)
        return -1;
    for (size_t i = 0; i < size; i += 2) {
        uint32_t unit = (uint32_t)(bytes[i] | bytes[i + 1] << 8);
        if (unit >= 0xdc00 && unit <= 0xdfff)
            return -1;
        if (unit >= 0xd800 && unit <= 0xdbff) {
            if (i + 3 >= size)
                return -1;
            uint32_t low = (uint32_t)(bytes[i + 2] | bytes[i + 3] << 8);
            if (low < 0xdc00 || low > 0xdfff)
                return -1;
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        put_utf8(out, unit);
    }
    return 0;
}
