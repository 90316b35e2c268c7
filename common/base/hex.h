/* Bytes as lower-case hexadecimal text and back. */
#ifndef PUSHER_BASE_HEX_H
#define PUSHER_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * size digits and a NUL; `text` has room for 2 * size + 1. */
void hex_encode(const uint8_t *bytes, size_t size, char *text);
/* Reads exactly 2 * size digits (either case) that must be the whole string. Returns 0, or -1 on
 * anything else. */
int hex_decode(const char *text, uint8_t *bytes, size_t size);

#endif
