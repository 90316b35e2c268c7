/* Sealed credentials. */
#include "common/trust/seal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cursor.h"
#include "common/base/mem.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"

#define HEAD_BYTES (LIMIT_KEY_BYTES + PUSH_ID_BYTES + 8)
#define CLEAR_MAX 4096U /* a credential has under 1.4 KiB */

int seal_make(const struct key_pair *operator_key, const uint8_t relay_key[LIMIT_KEY_BYTES],
              const struct seal_context *context, const uint8_t *clear, size_t clear_size,
              struct buf *out, struct err *err)
{
    struct buf payload;
    if (clear_size > CLEAR_MAX)
        return err_set(err, ERR_LIMIT, "cannot seal: credential too long");
    buf_init(&payload, HEAD_BYTES + CLEAR_MAX + crypto_box_SEALBYTES);
    buf_bytes(&payload, relay_key, LIMIT_KEY_BYTES);
    buf_bytes(&payload, context->push.bytes, PUSH_ID_BYTES);
    buf_u64le(&payload, context->counter);
    uint8_t *box = buf_reserve(&payload, clear_size + crypto_box_SEALBYTES);
    assert(box != NULL);
    int result = 0;
    if (crypto_box_seal(box, clear, clear_size, relay_key) != 0)
        result = err_set(err, ERR_INVALID, "cannot seal: the relay's key is not usable");
    else
        result = signed_make(operator_key, SIGNED_CREDENTIAL, payload.data, payload.size, out, err);
    buf_release(&payload);
    return result;
}

int seal_open(const uint8_t *bytes, size_t size, const struct key_pair *relay,
              const struct seal_context *expected, uint8_t **clear, size_t *clear_size,
              struct err *err)
{
    const struct key_set signer = {.keys = expected->signer, .count = 1};
    struct signed_view view;
    assert(relay->kind == KEY_SEAL && relay->secret != NULL);
    if (signed_open(bytes, size, SIGNED_CREDENTIAL, &signer, &view, err) != 0)
        return err_wrap(err, "credential");
    struct cursor c = cursor_of(view.payload, view.payload_size);
    const uint8_t *relay_key = cursor_bytes(&c, LIMIT_KEY_BYTES);
    const uint8_t *push = cursor_bytes(&c, PUSH_ID_BYTES);
    uint64_t counter = cursor_u64le(&c);
    size_t box_size = cursor_left(&c);
    const uint8_t *box = cursor_bytes(&c, box_size);
    if (!cursor_ok(&c) || box_size <= crypto_box_SEALBYTES ||
        box_size > CLEAR_MAX + crypto_box_SEALBYTES)
        return err_set(err, ERR_PROTOCOL, "credential: wrong size");
    if (!key_equal(relay_key, relay->public_key))
        return err_set(err, ERR_DENIED, "credential: sealed to another relay");
    if (memcmp(push, expected->push.bytes, PUSH_ID_BYTES) != 0)
        return err_set(err, ERR_DENIED, "credential: belongs to another push");
    if (counter != expected->counter)
        return err_set(err, ERR_DENIED, "credential: belongs to another signing of this push");
    uint8_t *opened = secret_new(box_size - crypto_box_SEALBYTES);
    if (crypto_box_seal_open(opened, box, box_size, relay->public_key, relay->secret) != 0) {
        secret_free(opened);
        return err_set(err, ERR_DENIED, "credential: seal is broken");
    }
    *clear = opened;
    *clear_size = box_size - crypto_box_SEALBYTES;
    return 0;
}
