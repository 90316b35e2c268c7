/* What people paste or keep in files: enrolment tokens, public keys, push ids (common/signed,
 * common/trust, common/model), and key files, wrapped or not.
 *
 * Input: which, then text. Holds: what is read is written again as it was; a token with another
 * checksum is refused; a refusal says why and quotes no secret; a key file opens as the kind it is
 * only. (The passphrase's own work takes a quarter of a GiB by intention: files that need one are
 * looked at, not opened.) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/model/id.h"
#include "common/signed/fingerprint.h"
#include "common/signed/token.h"
#include "common/trust/secret.h"
#include "common/trust/wrapped.h"
#include "fuzz.h"

static char key_path[256];
static int key_fd;

static void clean_up(void)
{
    (void)unlink(key_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    FUZZ_CHECK(trust_start(NULL) == 0);
    (void)snprintf(key_path, sizeof key_path, "%s/pusher-fuzz-key-XXXXXX", fuzz_temporary());
    key_fd = mkstemp(key_path);
    FUZZ_CHECK(key_fd >= 0);
    (void)atexit(clean_up);
    return 0;
}

static void try_token(const char *text)
{
    struct token token;
    struct err err = {0};
    if (token_from_text(text, &token, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    char *again = token_text(&token);
    FUZZ_CHECK(strncmp(text + strspn(text, " \t\r\n"), again, strlen(again)) == 0);
    secret_free(again);
    token_release(&token);
}

/* A good token of the input's content, with one character of its checksum changed or not. */
static void try_made_token(struct cursor *in)
{
    struct token token = {.policy_version = 1ULL + cursor_u32le(in)};
    uint8_t secret[LIMIT_KEY_BYTES];
    uint8_t at = cursor_u8(in);
    uint8_t with = cursor_u8(in);
    cursor_copy(in, secret, sizeof secret);
    cursor_copy(in, token.coordinator_key, LIMIT_KEY_BYTES);
    cursor_copy(in, token.operator_key, LIMIT_KEY_BYTES);
    FUZZ_CHECK(key_pair_from_secret(&token.curve, KEY_CURVE, secret, NULL) == 0);
    char *text = token_text(&token);
    struct token read;
    FUZZ_CHECK(token_from_text(text, &read, NULL) == 0);
    FUZZ_CHECK(read.policy_version == token.policy_version &&
               key_equal(read.operator_key, token.operator_key) &&
               key_equal(read.coordinator_key, token.coordinator_key) &&
               key_equal(read.curve.public_key, token.curve.public_key));
    token_release(&read);
    /* The last five characters are of the checksum alone: four bytes behind 104 of content. */
    char *place = text + strlen(text) - 1 - at % 5;
    if (with != 0 && (char)with != *place) {
        *place = (char)with;
        FUZZ_CHECK(token_from_text(text, &read, NULL) != 0);
    }
    secret_free(text);
    token_release(&token);
}

static void try_key_file(struct cursor *in)
{
    enum key_kind kind = (enum key_kind)(cursor_u8(in) % KEY_KIND_COUNT);
    size_t size = cursor_left(in);
    uint8_t public_key[LIMIT_KEY_BYTES];
    bool wrapped = false;
    struct err err = {0};
    struct key_pair pair;
    FUZZ_CHECK(ftruncate(key_fd, 0) == 0);
    FUZZ_CHECK(pwrite(key_fd, cursor_bytes(in, size), size, 0) == (ssize_t)size);
    if (key_file_look(key_path, kind, public_key, &wrapped, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    if (wrapped) {
        FUZZ_CHECK(key_pair_load(&pair, kind, key_path, &err) != 0);
        return;
    }
    FUZZ_CHECK(key_pair_load_wrapped(&pair, kind, key_path, "", &err) == 0);
    FUZZ_CHECK(key_equal(pair.public_key, public_key));
    key_pair_release(&pair);
    for (int other = 0; other < KEY_KIND_COUNT; other++)
        FUZZ_CHECK(other == (int)kind ||
                   key_pair_load(&pair, (enum key_kind)other, key_path, NULL) != 0);
}

static void try_words(const char *text)
{
    uint8_t key[LIMIT_KEY_BYTES];
    char digits[KEY_TEXT_SIZE];
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    struct push_id id;
    struct err err = {0};
    if (key_from_text(text, key, &err) == 0) {
        key_text(key, digits);
        FUZZ_CHECK(strcasecmp(digits, text) == 0);
        key_fingerprint(key, fingerprint);
        FUZZ_CHECK(strlen(fingerprint) == FINGERPRINT_TEXT_SIZE - 1);
    } else {
        fuzz_check_error(&err);
    }
    if (push_id_from_text(text, &id) == 0) {
        push_id_text(&id, digits);
        FUZZ_CHECK(strcasecmp(digits, text) == 0 && push_id_has_prefix(&id, text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    uint8_t what = cursor_u8(&in) % 4;
    if (what == 0) {
        try_made_token(&in);
    } else if (what == 1) {
        try_key_file(&in);
    } else {
        char *text = fuzz_new_text(&in, 4096);
        if (what == 2)
            try_token(text);
        else
            try_words(text);
        free(text);
    }
    return 0;
}
