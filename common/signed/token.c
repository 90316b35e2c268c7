/* Enrolment tokens. */
#include "common/signed/token.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/trust/secret.h"

#define CHECK_BYTES 4
#define VERSION_BYTES 8
#define BODY_BYTES (3 * LIMIT_KEY_BYTES + VERSION_BYTES)
#define TOKEN_BYTES (BODY_BYTES + CHECK_BYTES)
#define ENCODING sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define ENCODED_SIZE sodium_base64_ENCODED_LEN(TOKEN_BYTES, ENCODING) /* with the NUL */

static_assert(sizeof TOKEN_PREFIX - 1 + ENCODED_SIZE <= TOKEN_TEXT_SIZE, "room for the text");

static void put_check(uint8_t bytes[TOKEN_BYTES], uint8_t check[CHECK_BYTES])
{
    uint8_t hash[crypto_generichash_BYTES];
    (void)crypto_generichash(hash, sizeof hash, bytes, BODY_BYTES, NULL, 0);
    memcpy(check, hash, CHECK_BYTES);
}

void token_generate(struct token *token, const uint8_t coordinator_key[LIMIT_KEY_BYTES],
                    const uint8_t operator_key[LIMIT_KEY_BYTES], uint64_t policy_version)
{
    memset(token, 0, sizeof *token);
    key_pair_generate(&token->curve, KEY_CURVE);
    memcpy(token->coordinator_key, coordinator_key, LIMIT_KEY_BYTES);
    memcpy(token->operator_key, operator_key, LIMIT_KEY_BYTES);
    token->policy_version = policy_version;
}

void token_release(struct token *token)
{
    key_pair_release(&token->curve);
    memset(token, 0, sizeof *token);
}

char *token_text(const struct token *token)
{
    assert(token->curve.kind == KEY_CURVE && token->curve.secret != NULL);
    uint8_t *bytes = secret_new(TOKEN_BYTES);
    char *text = secret_new(TOKEN_TEXT_SIZE);
    memcpy(bytes, token->curve.secret, LIMIT_KEY_BYTES);
    memcpy(bytes + LIMIT_KEY_BYTES, token->coordinator_key, LIMIT_KEY_BYTES);
    memcpy(bytes + 2 * LIMIT_KEY_BYTES, token->operator_key, LIMIT_KEY_BYTES);
    for (unsigned i = 0; i < VERSION_BYTES; i++)
        bytes[3 * LIMIT_KEY_BYTES + i] = (uint8_t)(token->policy_version >> (8 * i));
    put_check(bytes, bytes + BODY_BYTES);
    memcpy(text, TOKEN_PREFIX, sizeof TOKEN_PREFIX);
    (void)sodium_bin2base64(text + sizeof TOKEN_PREFIX - 1, TOKEN_TEXT_SIZE - sizeof TOKEN_PREFIX,
                            bytes, TOKEN_BYTES, ENCODING);
    secret_free(bytes);
    return text;
}

static int read_body(const uint8_t bytes[TOKEN_BYTES], struct token *out, struct err *err)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < VERSION_BYTES; i++)
        out->policy_version |= (uint64_t)bytes[3 * LIMIT_KEY_BYTES + i] << (8 * i);
    if (out->policy_version == 0)
        return err_set(err, ERR_INVALID, "the token was made without a policy");
    memcpy(out->coordinator_key, bytes + LIMIT_KEY_BYTES, LIMIT_KEY_BYTES);
    memcpy(out->operator_key, bytes + 2 * LIMIT_KEY_BYTES, LIMIT_KEY_BYTES);
    return key_pair_from_secret(&out->curve, KEY_CURVE, bytes, err);
}

int token_from_text(const char *text, struct token *out, struct err *err)
{
    static const char space[] = " \t\r\n";
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    text += strspn(text, space);
    if (strncmp(text, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1) != 0)
        return err_set(err, ERR_INVALID, "not a token: it does not begin with %s", TOKEN_PREFIX);
    text += sizeof TOKEN_PREFIX - 1;
    size_t length = strcspn(text, space);
    if (text[length + strspn(text + length, space)] != '\0')
        return err_set(err, ERR_INVALID, "not a token: there is more behind it");
    if (length != ENCODED_SIZE - 1)
        return err_set(err, ERR_INVALID, "the token has %zu characters instead of %zu: %s",
                       length + sizeof TOKEN_PREFIX - 1, ENCODED_SIZE + sizeof TOKEN_PREFIX - 2,
                       length < ENCODED_SIZE - 1 ? "is it cut off?" : "is something added?");
    /* libsodium's decoder takes some bytes above 0x7f for a '_'. */
    if (strspn(text, alphabet) != length)
        return err_set(err, ERR_INVALID, "the token holds a character that no token has");
    uint8_t *bytes = secret_new(TOKEN_BYTES);
    uint8_t check[CHECK_BYTES];
    size_t size = 0;
    const char *end = NULL;
    int result = 0;
    if (sodium_base642bin(bytes, TOKEN_BYTES, text, length, NULL, &size, &end, ENCODING) != 0 ||
        size != TOKEN_BYTES || end != text + length)
        result = err_set(err, ERR_INVALID, "the token can't be read");
    if (result == 0) {
        put_check(bytes, check);
        if (memcmp(check, bytes + BODY_BYTES, CHECK_BYTES) != 0)
            result = err_set(err, ERR_INVALID, "the token has a typing error in it");
    }
    if (result == 0)
        result = read_body(bytes, out, err);
    secret_free(bytes);
    return result;
}

int token_check_policy(const struct token *token, const struct policy *policy,
                       const uint8_t signer[LIMIT_KEY_BYTES], struct err *err)
{
    if (policy->version != token->policy_version || key_equal(signer, token->operator_key))
        return 0;
    return err_set(err, ERR_DENIED,
                   "policy %llu of this coordinator was not signed by the operator who made the "
                   "token",
                   (unsigned long long)policy->version);
}
