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
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/trust/secret.h"

#define SEED_BYTES 32
#define KEY_FILE_SIZE 256 /* more than any key file has */
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

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        text += written;
        size -= (size_t)written;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? mem_strdup(".")
                   : slash == path ? mem_strdup("/")
                                   : mem_strndup(path, (size_t)(slash - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        (void)close(fd);
    free(folder);
    return result;
}

/* Writes the text to a file that is there completely or not at all, and never replaces one. */
static int write_new_file(const char *path, const char *text, struct err *err)
{
    char temporary[4096];
    int length =
        snprintf(temporary, sizeof temporary, "%s.%016llx", path, (unsigned long long)random_u64());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return err_set(err, ERR_INVALID, "cannot write key %s: path too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot write key %s", path);
    int result = write_all(fd, text, strlen(text));
    if (result == 0)
        result = fchmod(fd, 0600);
    if (result == 0)
        result = fsync(fd);
    int why = errno;
    (void)close(fd);
    if (result == 0) {
        result = link(temporary, path); /* unlike rename, fails when there is one already */
        why = errno;
    }
    (void)unlink(temporary);
    if (result == 0 && sync_folder_of(path) != 0) {
        result = -1;
        why = errno;
    }
    if (result == 0)
        return 0;
    if (why == EEXIST)
        return err_set(err, ERR_EXISTS, "key %s exists already", path);
    return err_set_errno(err, why, "cannot write key %s", path);
}

int key_pair_save(const struct key_pair *pair, const char *path, struct err *err)
{
    assert(pair->secret != NULL);
    char *text = format_file(pair);
    int result = write_new_file(path, text, err);
    secret_free(text);
    return result;
}

/* Whether the open file is one that only we could have written and can read. */
static int check_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(err, errno, "cannot read key %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_DENIED, "key %s is not a regular file", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_DENIED, "key %s belongs to uid %u, not to us (uid %u)", path,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 07777) != 0600 && (st.st_mode & 07777) != 0400)
        return err_set(err, ERR_DENIED, "key %s has mode %04o, must be 0600", path,
                       (unsigned)(st.st_mode & 07777));
    return 0;
}

/* Reads at most KEY_FILE_SIZE - 1 bytes into zeroed `text`. */
static int read_file(int fd, char *text)
{
    size_t size = 0;
    while (size < KEY_FILE_SIZE - 1) {
        ssize_t got = read(fd, text + size, KEY_FILE_SIZE - 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return 0;
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
    /* Non-blocking, so that a FIFO in its place cannot hold us; no effect on files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "there is no key %s", path);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read key %s", path);
    int result = check_file(fd, path, err);
    char *text = secret_new(KEY_FILE_SIZE);
    if (result == 0 && read_file(fd, text) != 0)
        result = err_set_errno(err, errno, "cannot read key %s", path);
    (void)close(fd);
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
