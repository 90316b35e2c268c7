/* Fingerprints. */
#include "common/signed/fingerprint.h"

#include <sodium.h>
#include <string.h>

#include "common/base/hex.h"

#define HASH_BYTES 16
#define GROUP_DIGITS 4

/* The prefixes' NULs are hashed as well, so that none is the beginning of another. */
static const char relay_prefix[] = "pusher relay fingerprint 1";
static const char key_prefix[] = "pusher key fingerprint 1";

static void add(crypto_generichash_state *hash, const void *bytes, size_t size)
{
    (void)crypto_generichash_update(hash, bytes, size);
}

static void finish(crypto_generichash_state *hash, char text[FINGERPRINT_TEXT_SIZE])
{
    uint8_t bytes[HASH_BYTES];
    char digits[2 * HASH_BYTES + 1];
    (void)crypto_generichash_final(hash, bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, digits);
    char *at = text;
    for (size_t i = 0; i < 2 * HASH_BYTES; i++) {
        if (i > 0 && i % GROUP_DIGITS == 0)
            *at++ = ' ';
        *at++ = digits[i];
    }
    *at = '\0';
}

void relay_fingerprint(const uint8_t curve_key[LIMIT_KEY_BYTES],
                       const uint8_t seal_key[LIMIT_KEY_BYTES], const char *name,
                       char text[FINGERPRINT_TEXT_SIZE])
{
    crypto_generichash_state hash;
    (void)crypto_generichash_init(&hash, NULL, 0, HASH_BYTES);
    add(&hash, relay_prefix, sizeof relay_prefix);
    add(&hash, curve_key, LIMIT_KEY_BYTES);
    add(&hash, seal_key, LIMIT_KEY_BYTES);
    add(&hash, name, strlen(name));
    finish(&hash, text);
}

void key_fingerprint(const uint8_t key[LIMIT_KEY_BYTES], char text[FINGERPRINT_TEXT_SIZE])
{
    crypto_generichash_state hash;
    (void)crypto_generichash_init(&hash, NULL, 0, HASH_BYTES);
    add(&hash, key_prefix, sizeof key_prefix);
    add(&hash, key, LIMIT_KEY_BYTES);
    finish(&hash, text);
}
