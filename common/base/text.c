/* Text helpers. */
#include "common/base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Length of the well-formed UTF-8 character at p (1 to 4), its code in *code; 0 when not
 * well-formed. */
static size_t character(const uint8_t *p, uint32_t *code)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (length == 0 || p[0] > 0xf4)
        return 0;
    *code = length == 1 ? p[0] : p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    bool overlong = (length == 3 && *code < 0x800) || (length == 4 && *code < 0x10000);
    return overlong || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff) ? 0 : length;
}

/* Controls, and the format characters that could reorder or hide what a terminal shows. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x2069) ||
           code == 0xfeff || code == 0x061c;
}

char *text_printable(char *to, size_t size, const char *from)
{
    size_t used = 0;
    const uint8_t *p = (const uint8_t *)from;
    while (*p != 0) {
        uint32_t code = 0;
        size_t length = character(p, &code);
        char piece[16];
        size_t piece_size = length;
        if (length == 0) {
            piece_size = (size_t)snprintf(piece, sizeof piece, "\\x%02x", p[0]);
            length = 1;
        } else if (is_unsafe(code)) {
            piece_size = code < 0x100 ? (size_t)snprintf(piece, sizeof piece, "\\x%02x", code)
                                      : (size_t)snprintf(piece, sizeof piece, "\\u{%04x}", code);
        } else {
            memcpy(piece, p, length);
        }
        if (used + piece_size >= size)
            break;
        memcpy(to + used, piece, piece_size);
        used += piece_size;
        p += length;
    }
    if (size > 0)
        to[used] = '\0';
    return to;
}

bool text_copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    size_t kept = length < size ? length : size - 1;
    memcpy(to, from, kept);
    to[kept] = '\0';
    return kept == length;
}

int text_to_u64(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t result = 0;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        uint64_t digit = (uint64_t)(*text - '0');
        if (result > (max - digit) / 10 || digit > max)
            return -1;
        result = result * 10 + digit;
    }
    *value = result;
    return 0;
}

int text_to_bytes(const char *text, uint64_t *value)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t length = strlen(text);
    unsigned shift = 0;
    if (length == 0 || length >= sizeof digits)
        return -1;
    (void)text_copy(digits, sizeof digits, text);
    for (unsigned i = 0; units[i] != '\0'; i++) {
        if (digits[length - 1] == units[i] || digits[length - 1] == units[i] + ('a' - 'A')) {
            shift = 10 * (i + 1);
            digits[length - 1] = '\0';
            break;
        }
    }
    if (text_to_u64(digits, UINT64_MAX >> shift, value) != 0)
        return -1;
    *value <<= shift;
    return 0;
}

bool text_equal_nocase(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}
