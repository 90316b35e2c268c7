/* Signed objects. */
#include "common/trust/signed.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/base/cursor.h"

#define SIGNED_VERSION 1

static const uint8_t magic[16] = "pusher signed";

static_assert(crypto_sign_BYTES == LIMIT_SIGNATURE_BYTES, "Ed25519 signature");
static_assert(SIGNED_OVERHEAD_BYTES ==
                  sizeof magic + 4 + LIMIT_KEY_BYTES + 4 + LIMIT_SIGNATURE_BYTES,
              "layout");

int signed_make(const struct key_pair *operator_key, enum signed_kind kind, const void *payload,
                size_t payload_size, struct buf *out, struct err *err)
{
    assert(operator_key->kind == KEY_OPERATOR && operator_key->secret != NULL);
    if (payload_size > SIGNED_PAYLOAD_MAX || !buf_ok(out) ||
        SIGNED_OVERHEAD_BYTES + payload_size > out->size_max - out->size)
        return err_set(err, ERR_LIMIT, "cannot sign: %zu bytes are too many", payload_size);
    size_t start = out->size;
    uint8_t signature[LIMIT_SIGNATURE_BYTES];
    buf_bytes(out, magic, sizeof magic);
    buf_u8(out, SIGNED_VERSION);
    buf_u8(out, (uint8_t)kind);
    buf_u16le(out, 0);
    buf_bytes(out, operator_key->public_key, LIMIT_KEY_BYTES);
    buf_u32le(out, (uint32_t)payload_size);
    buf_bytes(out, payload, payload_size);
    (void)crypto_sign_detached(signature, NULL, out->data + start, out->size - start,
                               operator_key->secret);
    buf_bytes(out, signature, sizeof signature);
    return 0;
}

int signed_open(const uint8_t *bytes, size_t size, enum signed_kind kind,
                const struct key_set *trusted, struct signed_view *view, struct err *err)
{
    struct cursor c = cursor_of(bytes, size);
    const uint8_t *start = cursor_bytes(&c, sizeof magic);
    uint8_t version = cursor_u8(&c);
    uint8_t found_kind = cursor_u8(&c);
    uint16_t zero = cursor_u16le(&c);
    const uint8_t *signer = cursor_bytes(&c, LIMIT_KEY_BYTES);
    uint32_t payload_size = cursor_u32le(&c);
    const uint8_t *payload = cursor_bytes(&c, payload_size);
    size_t signed_size = c.at;
    const uint8_t *signature = cursor_bytes(&c, LIMIT_SIGNATURE_BYTES);
    if (!cursor_ok(&c) || cursor_left(&c) != 0 || payload_size > SIGNED_PAYLOAD_MAX ||
        memcmp(start, magic, sizeof magic) != 0)
        return err_set(err, ERR_PROTOCOL, "not a signed object");
    if (version != SIGNED_VERSION || zero != 0)
        return err_set(err, ERR_PROTOCOL, "signed object of unknown version %u", version);
    if (found_kind != kind)
        return err_set(err, ERR_PROTOCOL, "signed object of kind %u where %u was expected",
                       found_kind, (unsigned)kind);
    if (trusted != NULL && !key_set_has(trusted, signer))
        return err_set(err, ERR_DENIED, "signed by a key that is not trusted");
    if (crypto_sign_verify_detached(signature, bytes, signed_size, signer) != 0)
        return err_set(err, ERR_DENIED, "bad signature");
    view->kind = kind;
    view->signer = signer;
    view->payload = payload;
    view->payload_size = payload_size;
    return 0;
}
