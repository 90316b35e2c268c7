/* Key pairs and their files. A file is three lines:
 *
 *   pusher-key 1 operator
 *   public <64 digits>
 *   secret <64 digits>
 *
 * where the secret is the seed (Ed25519) or the scalar (X25519, CURVE): the public half follows
 * from it and is checked when the file is read.
 */
#include "common/trust/keys.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/trust/key_file.h"
#include "common/trust/secret.h"

#define SEED_BYTES 32
#define SEED_TEXT_SIZE (2 * SEED_BYTES + 1)

static_assert(crypto_sign_PUBLICKEYBYTES == LIMIT_KEY_BYTES, "Ed25519");
static_assert(crypto_box_PUBLICKEYBYTES == LIMIT_KEY_BYTES, "X25519");
static_assert(crypto_sign_SEEDBYTES == SEED_BYTES, "Ed25519 seed");
static_assert(crypto_box_SECRETKEYBYTES == SEED_BYTES, "X25519 scalar");

static const char *const kind_words[KEY_KIND_COUNT] = {
    [KEY_OPERATOR] = "operator",
    [KEY_SEAL] = "seal",
    [KEY_CURVE] = "curve",
};

/* Fills the pair from 32 secret bytes. Returns -1 when they are no secret key. */
static int derive(struct key_pair *pair, enum key_kind kind, const uint8_t seed[SEED_BYTES])
{
    pair->kind = kind;
    pair->secret_size = kind == KEY_OPERATOR ? crypto_sign_SECRETKEYBYTES : SEED_BYTES;
    pair->secret = secret_new(pair->secret_size);
    if (kind == KEY_OPERATOR)
        return crypto_sign_seed_keypair(pair->public_key, pair->secret, seed);
    memcpy(pair->secret, seed, SEED_BYTES);
    return crypto_scalarmult_base(pair->public_key, pair->secret);
}

void key_pair_generate(struct key_pair *pair, enum key_kind kind)
{
    uint8_t seed[SEED_BYTES];
    assert(kind < KEY_KIND_COUNT);
    random_bytes(seed, sizeof seed);
    int derived = derive(pair, kind, seed);
    assert(derived == 0);
    secret_wipe(seed, sizeof seed);
}

int key_pair_from_secret(struct key_pair *pair, enum key_kind kind, const uint8_t *secret,
                         struct err *err)
{
    memset(pair, 0, sizeof *pair);
    if (derive(pair, kind, secret) == 0)
        return 0;
    key_pair_release(pair);
    return err_set(err, ERR_INVALID, "not a secret key");
}

void key_pair_release(struct key_pair *pair)
{
    secret_free(pair->secret);
    memset(pair, 0, sizeof *pair);
}

/* The file's text in secret memory of KEY_FILE_SIZE bytes; the caller frees it. */
static char *format_file(const struct key_pair *pair)
{
    char public_text[KEY_TEXT_SIZE];
    char *secret_text = secret_new(SEED_TEXT_SIZE);
    char *text = secret_new(KEY_FILE_SIZE);
    key_text(pair->public_key, public_text);
    /* An Ed25519 secret key begins with its seed. */
    hex_encode(pair->secret, SEED_BYTES, secret_text);
    (void)snprintf(text, KEY_FILE_SIZE, "pusher-key 1 %s\npublic %s\nsecret %s\n",
                   kind_words[pair->kind], public_text, secret_text);
    secret_free(secret_text);
    return text;
}

int key_pair_save(const struct key_pair *pair, const char *path, struct err *err)
{
    assert(pair->secret != NULL);
    char *text = format_file(pair);
    int result = key_file_write(path, text, err);
    secret_free(text);
    return result;
}

static int parse_file(struct key_pair *pair, enum key_kind kind, const char *path, const char *text,
                      struct err *err)
{
    char prefix[64];
    int length = snprintf(prefix, sizeof prefix, "pusher-key 1 %s\npublic ", kind_words[kind]);
    size_t at = (size_t)length;
    static const char between[] = "\nsecret ";
    const size_t digits = KEY_TEXT_SIZE - 1;
    const size_t whole = at + digits + strlen(between) + digits + 1;
    char public_text[KEY_TEXT_SIZE] = {0};
    uint8_t public_key[LIMIT_KEY_BYTES];
    if (strlen(text) != whole || strncmp(text, prefix, at) != 0 ||
        strncmp(text + at + digits, between, strlen(between)) != 0 || text[whole - 1] != '\n')
        return err_set(err, ERR_INVALID, "%s holds no %s key", path, kind_words[kind]);
    memcpy(public_text, text + at, digits);
    uint8_t *seed = secret_new(SEED_BYTES);
    char *secret_text = secret_new(SEED_TEXT_SIZE);
    memcpy(secret_text, text + at + digits + strlen(between), digits);
    int result = hex_decode(secret_text, seed, SEED_BYTES);
    if (result == 0)
        result = hex_decode(public_text, public_key, sizeof public_key);
    if (result == 0)
        result = derive(pair, kind, seed);
    if (result == 0 && !key_equal(public_key, pair->public_key))
        result = -1;
    secret_free(secret_text);
    secret_free(seed);
    if (result == 0)
        return 0;
    key_pair_release(pair);
    return err_set(err, ERR_INVALID, "%s is damaged: its halves do not fit together", path);
}

int key_pair_load(struct key_pair *pair, enum key_kind kind, const char *path, struct err *err)
{
    assert(kind < KEY_KIND_COUNT);
    memset(pair, 0, sizeof *pair);
    char *text = secret_new(KEY_FILE_SIZE);
    int result = key_file_read(path, text, err);
    if (result == 0)
        result = parse_file(pair, kind, path, text, err);
    secret_free(text);
    return result;
}

int key_pair_load_or_create(struct key_pair *pair, enum key_kind kind, const char *path,
                            struct err *err)
{
    struct err why = {0};
    if (key_pair_load(pair, kind, path, &why) == 0)
        return 0;
    if (why.code != ERR_NOT_FOUND) {
        if (err != NULL)
            *err = why;
        return -1;
    }
    key_pair_generate(pair, kind);
    if (key_pair_save(pair, path, err) == 0)
        return 0;
    key_pair_release(pair);
    return -1;
}

void key_text(const uint8_t key[LIMIT_KEY_BYTES], char text[KEY_TEXT_SIZE])
{
    hex_encode(key, LIMIT_KEY_BYTES, text);
}

int key_from_text(const char *text, uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    if (hex_decode(text, key, LIMIT_KEY_BYTES) != 0)
        return err_set(err, ERR_INVALID, "a public key has 64 hexadecimal digits");
    return 0;
}

bool key_equal(const uint8_t a[LIMIT_KEY_BYTES], const uint8_t b[LIMIT_KEY_BYTES])
{
    return sodium_memcmp(a, b, LIMIT_KEY_BYTES) == 0;
}

bool key_set_has(const struct key_set *set, const uint8_t key[LIMIT_KEY_BYTES])
{
    for (size_t i = 0; i < set->count; i++) {
        if (key_equal(set->keys + i * LIMIT_KEY_BYTES, key))
            return true;
    }
    return false;
}
