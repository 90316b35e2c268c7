/* common/trust/wrapped: a key that a passphrase opens, and files that nobody should trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/trust/secret.h"
#include "common/trust/wrapped.h"

#define OK(call) assert_int_equal(call, 0)
/* Argon2id's smallest costs, so that files made for tests open at once. */
#define CHEAP "argon2id 1 8 000102030405060708090a0b0c0d0e0f\n"

struct place {
    char folder[64];
    char path[96];
    struct key_pair pair;
    struct err err;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    OK(trust_start(NULL));
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-wrapped-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/operator.key", place->folder);
    key_pair_generate(&place->pair, KEY_OPERATOR);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    (void)unlink(place->path);
    OK(rmdir(place->folder)); /* nothing temporary stays behind */
    key_pair_release(&place->pair);
    free(place);
    return 0;
}

static size_t read_whole(const struct place *place, char *text, size_t size)
{
    FILE *file = fopen(place->path, "re");
    assert_non_null(file);
    size_t length = fread(text, 1, size - 1, file);
    text[length] = '\0';
    OK(fclose(file));
    return length;
}

static void write_whole(const struct place *place, const char *text)
{
    (void)unlink(place->path);
    int fd = open(place->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    OK(close(fd));
}

static int load(struct place *place, const char *passphrase)
{
    struct key_pair pair;
    int result = key_pair_load_wrapped(&pair, KEY_OPERATOR, place->path, passphrase, &place->err);
    if (result == 0) {
        assert_true(key_equal(pair.public_key, place->pair.public_key));
        assert_memory_equal(pair.secret, place->pair.secret, pair.secret_size);
    } else {
        assert_null(pair.secret);
    }
    key_pair_release(&pair);
    return result;
}

static void wrapped_key_opens_with_its_passphrase_only(void **state)
{
    struct place *place = *state;
    struct stat status;
    uint8_t public_key[LIMIT_KEY_BYTES];
    char text[1024];
    char seed[2 * 32 + 1];
    bool wrapped = false;
    OK(key_pair_save_wrapped(&place->pair, place->path, "correct horse", &place->err));
    OK(stat(place->path, &status));
    assert_int_equal(status.st_mode & 07777, 0600);
    OK(load(place, "correct horse"));
    assert_int_equal(load(place, "correct horsf"), -1);
    assert_int_equal(place->err.code, ERR_DENIED);
    assert_non_null(strstr(place->err.text, "passphrase is wrong"));
    OK(key_file_look(place->path, KEY_OPERATOR, public_key, &wrapped, &place->err));
    assert_true(wrapped);
    assert_true(key_equal(public_key, place->pair.public_key));
    (void)read_whole(place, text, sizeof text);
    for (int i = 0; i < 32; i++)
        (void)snprintf(seed + 2 * i, 3, "%02x", place->pair.secret[i]);
    assert_null(strstr(text, seed));
    assert_non_null(strstr(text, "\nargon2id 3 262144 "));
    assert_int_equal(key_pair_save_wrapped(&place->pair, place->path, "correct horse", &place->err),
                     -1);
    assert_int_equal(place->err.code, ERR_EXISTS);
}

static void plain_key_needs_no_passphrase(void **state)
{
    struct place *place = *state;
    uint8_t public_key[LIMIT_KEY_BYTES];
    bool wrapped = true;
    OK(key_pair_save(&place->pair, place->path, &place->err));
    OK(key_file_look(place->path, KEY_OPERATOR, public_key, &wrapped, &place->err));
    assert_false(wrapped);
    assert_true(key_equal(public_key, place->pair.public_key));
    OK(load(place, NULL));
}

static void file_that_others_may_read_is_refused(void **state)
{
    struct place *place = *state;
    uint8_t public_key[LIMIT_KEY_BYTES];
    bool wrapped = false;
    OK(key_pair_save(&place->pair, place->path, &place->err));
    OK(chmod(place->path, 0640));
    assert_int_equal(load(place, "x"), -1);
    assert_int_equal(place->err.code, ERR_DENIED);
    assert_non_null(strstr(place->err.text, "0640"));
    assert_int_equal(key_file_look(place->path, KEY_OPERATOR, public_key, &wrapped, &place->err),
                     -1);
    OK(unlink(place->path));
    assert_int_equal(load(place, "x"), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

static void compose(const struct place *place, const char *word, const char *kdf,
                    const char *sealed, char *text, size_t size)
{
    char public_text[KEY_TEXT_SIZE];
    key_text(place->pair.public_key, public_text);
    (void)snprintf(text, size, "pusher-key 2 %s\npublic %s\n%swrapped %s\n", word, public_text, kdf,
                   sealed);
}

/* A hostile file may neither cost gigabytes nor be read past its end. */
static void file_that_is_no_wrapped_key_is_refused(void **state)
{
    struct place *place = *state;
    char zeroes[145];
    char text[1024];
    memset(zeroes, '0', sizeof zeroes - 1);
    zeroes[sizeof zeroes - 1] = '\0';
    static const char *const costs[] = {
        "argon2id 17 8 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 0 8 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 1 7 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 1 1048577 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 1 99999999999 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 1 -8 000102030405060708090a0b0c0d0e0f\n",
        "argon2id  8 000102030405060708090a0b0c0d0e0f\n",
        "argon2id 1 8 0001\n",
        "scrypt 1 8 000102030405060708090a0b0c0d0e0f\n",
        "",
    };
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        compose(place, "operator", costs[i], zeroes, text, sizeof text);
        write_whole(place, text);
        assert_int_equal(load(place, "x"), -1);
        assert_int_equal(place->err.code, ERR_INVALID);
    }
    compose(place, "seal", CHEAP, zeroes, text, sizeof text);
    write_whole(place, text);
    assert_int_equal(load(place, "x"), -1);
    assert_int_equal(place->err.code, ERR_INVALID);
    compose(place, "operator", CHEAP, zeroes + 1, text, sizeof text); /* a digit is missing */
    write_whole(place, text);
    assert_int_equal(load(place, "x"), -1);
    assert_int_equal(place->err.code, ERR_INVALID);
    compose(place, "operator", CHEAP, zeroes, text, sizeof text);
    for (size_t length = strlen(text); length > 0; length--) {
        text[length - 1] = '\0';
        write_whole(place, text);
        assert_int_equal(load(place, "x"), -1);
        assert_int_equal(place->err.code, ERR_INVALID);
    }
}

static void box_that_nobody_sealed_is_a_wrong_passphrase(void **state)
{
    struct place *place = *state;
    char zeroes[145];
    char text[1024];
    memset(zeroes, '0', sizeof zeroes - 1);
    zeroes[sizeof zeroes - 1] = '\0';
    compose(place, "operator", CHEAP, zeroes, text, sizeof text);
    write_whole(place, text);
    assert_int_equal(load(place, "x"), -1);
    assert_int_equal(place->err.code, ERR_DENIED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wrapped_key_opens_with_its_passphrase_only),
        TEST(plain_key_needs_no_passphrase),
        TEST(file_that_others_may_read_is_refused),
        TEST(file_that_is_no_wrapped_key_is_refused),
        TEST(box_that_nobody_sealed_is_a_wrong_passphrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
