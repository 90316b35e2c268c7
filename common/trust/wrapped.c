/* Wrapped keys. A file is four lines:
 *
 *   pusher-key 2 operator
 *   public <64 digits>
 *   argon2id <passes> <KiB> <salt, 32 digits>
 *   wrapped <nonce, 48 digits><box of the 32 secret bytes, 96 digits>
 */
#include "common/trust/wrapped.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/trust/key_file.h"
#include "common/trust/secret.h"

#define SEED_BYTES 32
#define SALT_BYTES crypto_pwhash_SALTBYTES
#define NONCE_BYTES crypto_secretbox_NONCEBYTES
#define BOX_BYTES (SEED_BYTES + crypto_secretbox_MACBYTES)
#define PASSES_MAX 16U
#define KIB_MAX (1U << 20) /* a file that asks for more than 1 GiB is not ours */

static_assert(crypto_pwhash_ALG_DEFAULT == crypto_pwhash_ALG_ARGON2ID13, "Argon2id");
static_assert(SALT_BYTES == 16 && NONCE_BYTES == 24 && BOX_BYTES == 48, "layout");

struct wrapping {
    uint32_t passes;
    uint32_t kib;
    uint8_t salt[SALT_BYTES];
    uint8_t nonce[NONCE_BYTES];
    uint8_t box[BOX_BYTES];
};

static const char *kind_word(enum key_kind kind)
{
    switch (kind) {
    case KEY_OPERATOR:
        return "operator";
    case KEY_SEAL:
        return "seal";
    case KEY_CURVE:
        return "curve";
    case KEY_KIND_COUNT:
        break;
    }
    return "?";
}

/* Key for the box, in secret memory that the caller frees; NULL with err. */
static uint8_t *stretch(const struct wrapping *wrapping, const char *passphrase, struct err *err)
{
    uint8_t *key = secret_new(crypto_secretbox_KEYBYTES);
    if (crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase),
                      wrapping->salt, wrapping->passes, (size_t)wrapping->kib * 1024,
                      crypto_pwhash_ALG_ARGON2ID13) == 0)
        return key;
    secret_free(key);
    (void)err_set(err, ERR_LIMIT, "the passphrase takes %u MiB of memory, which are not there",
                  wrapping->kib / 1024);
    return NULL;
}

int key_pair_save_wrapped(const struct key_pair *pair, const char *path, const char *passphrase,
                          struct err *err)
{
    assert(pair->secret != NULL && *passphrase != '\0');
    struct wrapping wrapping = {
        .passes = crypto_pwhash_OPSLIMIT_MODERATE,
        .kib = crypto_pwhash_MEMLIMIT_MODERATE / 1024,
    };
    char text[KEY_FILE_SIZE];
    char public_text[KEY_TEXT_SIZE];
    char salt[2 * SALT_BYTES + 1];
    char nonce[2 * NONCE_BYTES + 1];
    char box[2 * BOX_BYTES + 1];
    random_bytes(wrapping.salt, sizeof wrapping.salt);
    random_bytes(wrapping.nonce, sizeof wrapping.nonce);
    uint8_t *key = stretch(&wrapping, passphrase, err);
    if (key == NULL)
        return -1;
    /* An Ed25519 secret key begins with its seed. */
    (void)crypto_secretbox_easy(wrapping.box, pair->secret, SEED_BYTES, wrapping.nonce, key);
    secret_free(key);
    key_text(pair->public_key, public_text);
    hex_encode(wrapping.salt, sizeof wrapping.salt, salt);
    hex_encode(wrapping.nonce, sizeof wrapping.nonce, nonce);
    hex_encode(wrapping.box, sizeof wrapping.box, box);
    (void)snprintf(
        text, sizeof text,
        "pusher-key 2 %s\npublic %s\nargon2id %" PRIu32 " %" PRIu32 " %s\nwrapped %s%s\n",
        kind_word(pair->kind), public_text, wrapping.passes, wrapping.kib, salt, nonce, box);
    return key_file_write(path, text, err);
}

/* The next word of the file, which `size` - 1 characters must fill, or which is shorter when
 * `shorter`; moves *at behind it and the separator `end`. */
static bool take_word(const char **at, char *word, size_t size, bool shorter, char end)
{
    size_t length = strcspn(*at, " \n");
    if (length >= size || (length + 1 < size && !shorter) || (*at)[length] != end)
        return false;
    memcpy(word, *at, length);
    word[length] = '\0';
    *at += length + 1;
    return true;
}

static bool take_exactly(const char **at, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool take_number(const char **at, uint32_t max, uint32_t *to)
{
    char word[11];
    uint32_t value = 0;
    if (!take_word(at, word, sizeof word, true, ' ') || word[0] == '\0')
        return false;
    for (const char *digit = word; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (uint32_t)(*digit - '0');
        if (value > max)
            return false;
    }
    *to = value;
    return true;
}

static bool take_bytes(const char **at, uint8_t *bytes, size_t size, char end)
{
    char digits[2 * (NONCE_BYTES + BOX_BYTES) + 1];
    return take_word(at, digits, 2 * size + 1, false, end) && hex_decode(digits, bytes, size) == 0;
}

/* Whether the text is a wrapped key of this kind, which fills the rest. */
static bool parse(const char *text, enum key_kind kind, uint8_t public_key[LIMIT_KEY_BYTES],
                  struct wrapping *to)
{
    const char *at = text;
    uint8_t sealed[NONCE_BYTES + BOX_BYTES];
    bool ok = take_exactly(&at, "pusher-key 2 ") && take_exactly(&at, kind_word(kind)) &&
              take_exactly(&at, "\npublic ") &&
              take_bytes(&at, public_key, LIMIT_KEY_BYTES, '\n') &&
              take_exactly(&at, "argon2id ") && take_number(&at, PASSES_MAX, &to->passes) &&
              take_number(&at, KIB_MAX, &to->kib) &&
              take_bytes(&at, to->salt, sizeof to->salt, '\n') && take_exactly(&at, "wrapped ") &&
              take_bytes(&at, sealed, sizeof sealed, '\n') && *at == '\0';
    if (!ok || to->passes < crypto_pwhash_OPSLIMIT_MIN ||
        (size_t)to->kib * 1024 < crypto_pwhash_MEMLIMIT_MIN)
        return false;
    memcpy(to->nonce, sealed, sizeof to->nonce);
    memcpy(to->box, sealed + sizeof to->nonce, sizeof to->box);
    return true;
}

int key_file_look(const char *path, enum key_kind kind, uint8_t public_key[LIMIT_KEY_BYTES],
                  bool *wrapped, struct err *err)
{
    struct wrapping wrapping;
    struct key_pair pair;
    char *text = secret_new(KEY_FILE_SIZE);
    int result = key_file_read(path, text, err);
    bool found = result == 0 && parse(text, kind, public_key, &wrapping);
    secret_free(text);
    if (result != 0)
        return -1;
    *wrapped = found;
    if (found)
        return 0;
    if (key_pair_load(&pair, kind, path, err) != 0)
        return -1;
    memcpy(public_key, pair.public_key, LIMIT_KEY_BYTES);
    key_pair_release(&pair);
    return 0;
}

static int unwrap(struct key_pair *pair, enum key_kind kind, const struct wrapping *wrapping,
                  const char *passphrase, struct err *err)
{
    uint8_t *key = stretch(wrapping, passphrase, err);
    if (key == NULL)
        return -1;
    uint8_t *seed = secret_new(SEED_BYTES);
    int result = 0;
    if (crypto_secretbox_open_easy(seed, wrapping->box, BOX_BYTES, wrapping->nonce, key) != 0)
        result = err_set(err, ERR_DENIED, "the passphrase is wrong");
    else
        result = key_pair_from_secret(pair, kind, seed, err);
    secret_free(seed);
    secret_free(key);
    return result;
}

int key_pair_load_wrapped(struct key_pair *pair, enum key_kind kind, const char *path,
                          const char *passphrase, struct err *err)
{
    struct wrapping wrapping;
    uint8_t public_key[LIMIT_KEY_BYTES];
    memset(pair, 0, sizeof *pair);
    char *text = secret_new(KEY_FILE_SIZE);
    int result = key_file_read(path, text, err);
    bool wrapped = result == 0 && parse(text, kind, public_key, &wrapping);
    secret_free(text);
    if (result != 0)
        return -1;
    if (!wrapped)
        return key_pair_load(pair, kind, path, err);
    if (unwrap(pair, kind, &wrapping, passphrase, err) != 0)
        return err_wrap(err, "key %s", path);
    if (key_equal(public_key, pair->public_key))
        return 0;
    key_pair_release(pair);
    return err_set(err, ERR_INVALID, "%s is damaged: its halves do not fit together", path);
}
