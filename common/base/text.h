/* Strings from outside, made safe for a line of a terminal or a log; small string helpers. */
#ifndef PUSHER_BASE_TEXT_H
#define PUSHER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies `from` to `to` (size bytes with the NUL). Control characters, DEL, C1 controls,
 * bidirectional overrides and bytes that are not UTF-8 become \xNN or \u{NNNN}; cut at a whole
 * character when too long. Returns `to`. */
char *text_printable(char *to, size_t size, const char *from);
/* Copies, cutting if needed; always NUL-terminated. Returns true when everything fitted. */
bool text_copy(char *to, size_t size, const char *from);
/* Decimal number that is the whole string and at most `max`. Returns 0 or -1. */
int text_to_u64(const char *text, uint64_t max, uint64_t *value);
/* A number of bytes: decimal, and perhaps K, M, G or T (any case), which count by 1024. Returns 0
 * or -1. */
int text_to_bytes(const char *text, uint64_t *value);
/* Whether two ASCII strings are equal without regard to case. */
bool text_equal_nocase(const char *a, const char *b);

#endif
