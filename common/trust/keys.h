/* Key pairs: operators' signing keys, relays' sealing keys, CURVE keys of links; their files.
 *
 * A pair's secret half lives in secret memory and nowhere else; copies of the struct share it, so
 * one owner releases it. A secret file is text, mode 0600 and owned by the user that runs us, else
 * it is refused: a key that others could read or replace is no key. Public halves are 64
 * hexadecimal digits wherever people meet them.
 */
#ifndef PUSHER_TRUST_KEYS_H
#define PUSHER_TRUST_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"

#define KEY_TEXT_SIZE (2 * LIMIT_KEY_BYTES + 1) /* hexadecimal public key and a NUL */

/* What a pair is for: a file of one kind is never loaded as another. */
enum key_kind {
    KEY_OPERATOR, /* Ed25519: signs jobs and sealed credentials */
    KEY_SEAL,     /* X25519: credentials are sealed to it */
    KEY_CURVE,    /* Curve25519: identity of a program on its links */
    KEY_KIND_COUNT,
};

struct key_pair {
    enum key_kind kind;
    uint8_t public_key[LIMIT_KEY_BYTES];
    uint8_t *secret;    /* secret memory, owned; NULL: no pair */
    size_t secret_size; /* 64 for KEY_OPERATOR (seed and public key), else 32 */
};

/* Fills `pair` with a new random pair. Needs trust_start. */
void key_pair_generate(struct key_pair *pair, enum key_kind kind);
/* Fills `pair` from its 32 secret bytes (seed or scalar). Errors: ERR_INVALID when they are none.
 */
int key_pair_from_secret(struct key_pair *pair, enum key_kind kind, const uint8_t *secret,
                         struct err *err);
/* Wipes the secret and clears the struct; a zeroed one is fine. */
void key_pair_release(struct key_pair *pair);
/* Writes the pair to a new file, mode 0600, synced with its folder. Errors: ERR_EXISTS when there
 * is such a file (a key is never overwritten), ERR_IO, ERR_NO_SPACE. */
int key_pair_save(const struct key_pair *pair, const char *path, struct err *err);
/* Reads a pair that key_pair_save wrote. Errors: ERR_NOT_FOUND; ERR_DENIED when the file is not a
 * regular file of ours with mode 0600 (or 0400); ERR_INVALID when it holds no pair of this kind;
 * ERR_IO. */
int key_pair_load(struct key_pair *pair, enum key_kind kind, const char *path, struct err *err);
/* Loads, or generates and saves when there is no file yet: how daemons get their own keys. */
int key_pair_load_or_create(struct key_pair *pair, enum key_kind kind, const char *path,
                            struct err *err);

/* Public key as 64 lower-case digits and a NUL. */
void key_text(const uint8_t key[LIMIT_KEY_BYTES], char text[KEY_TEXT_SIZE]);
/* Reads 64 digits that are the whole string. Errors: ERR_INVALID. */
int key_from_text(const char *text, uint8_t key[LIMIT_KEY_BYTES], struct err *err);
/* Constant-time. */
bool key_equal(const uint8_t a[LIMIT_KEY_BYTES], const uint8_t b[LIMIT_KEY_BYTES]);

/* Public keys that somebody trusts (borrowed). */
struct key_set {
    const uint8_t *keys; /* count keys of LIMIT_KEY_BYTES, one after the other */
    size_t count;
};

bool key_set_has(const struct key_set *set, const uint8_t key[LIMIT_KEY_BYTES]);

#endif
