/* Fingerprints: what two people compare over the telephone, or on two screens.
 *
 * BLAKE2b-128 over a prefix that says what it is of, then the keys: eight groups of four
 * hexadecimal digits.
 */
#ifndef PUSHER_SIGNED_FINGERPRINT_H
#define PUSHER_SIGNED_FINGERPRINT_H

#include <stdint.h>

#include "common/model/limits.h"

#define FINGERPRINT_TEXT_SIZE 40 /* "0123 4567 ..." and a NUL */

/* Of a relay that enrols: over both its keys and its name. */
void relay_fingerprint(const uint8_t curve_key[LIMIT_KEY_BYTES],
                       const uint8_t seal_key[LIMIT_KEY_BYTES], const char *name,
                       char text[FINGERPRINT_TEXT_SIZE]);
/* Of an operator's or a coordinator's public key. */
void key_fingerprint(const uint8_t key[LIMIT_KEY_BYTES], char text[FINGERPRINT_TEXT_SIZE]);

#endif
