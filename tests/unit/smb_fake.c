/* A scripted SMB server for unit tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/unit/smb_fake.h"

static const uint8_t session_key[SMB_KEY_SIZE] = "sixteen bytes!!";
static const uint8_t preauth[SMB_PREAUTH_SIZE] = "a hash";

void fake_init_ready(struct fake *f, enum smb_dialect dialect, enum smb_signing signing,
                     enum smb_cipher cipher)
{
    struct auth_credential *unused = (struct auth_credential *)f; /* never looked at */
    struct smb_config config = {.host = "pc-1.example",
                                .credential = unused,
                                .dialect_min = SMB_DIALECT_2_1,
                                .dialect_max = SMB_DIALECT_3_1_1};
    memset(f, 0, sizeof *f);
    buf_init(&f->sent, 8 << 20);
    buf_init(&f->request, 4 << 20);
    buf_init(&f->rest, 4 << 20);
    assert_int_equal(smb_conn_new(&config, &f->conn, &f->err), 0);
    struct smb_conn *conn = f->conn;
    smb_request_free(smb_queue_pop(&conn->sent)); /* its NEGOTIATE */
    buf_reset(&conn->output);
    conn->state = SMB_STATE_READY;
    conn->session_id = FAKE_SESSION;
    conn->signing = (uint16_t)signing;
    conn->cipher = (uint16_t)cipher;
    conn->encrypt = cipher != SMB_CIPHER_NONE;
    conn->multi_credit = true;
    conn->validation_asked = true;
    conn->transact_size_max = 1 << 20;
    conn->server.dialect = (uint16_t)dialect;
    conn->server.read_size_max = SMB_READ_SIZE_MAX;
    conn->server.write_size_max = SMB_WRITE_SIZE_MAX;
    conn->credits = 64;
    conn->crypto = smb_crypto_new((uint16_t)dialect, signing, cipher, session_key, preauth, false);
    f->crypto = smb_crypto_new((uint16_t)dialect, signing, cipher, session_key, preauth, true);
    f->seal = conn->encrypt;
}

void fake_release(struct fake *f)
{
    smb_conn_free(f->conn);
    smb_crypto_free(f->crypto);
    buf_release(&f->sent);
    buf_release(&f->request);
    buf_release(&f->rest);
}

/* Moves the first part of the compound that is left to `request`. */
static void take_part(struct fake *f)
{
    struct cursor c = cursor_of(f->rest.data, f->rest.size);
    cursor_seek(&c, 20);
    size_t next = cursor_u32le(&c);
    assert_true(cursor_ok(&c) && next % 8 == 0 && next < f->rest.size);
    size_t size = next != 0 ? next : f->rest.size;
    assert_true(size >= SMB_HEADER_SIZE);
    if (!f->seal && f->crypto != NULL)
        assert_true(smb_sign_check(f->crypto, f->rest.data, size));
    buf_reset(&f->request);
    buf_bytes(&f->request, f->rest.data, size);
    buf_consume(&f->rest, size);
    assert_true(fake_request_u16(f, 14) >= 64); /* CreditRequest */
}

bool fake_next_request(struct fake *f)
{
    const uint8_t *bytes;
    size_t size;
    if (f->rest.size > 0) {
        take_part(f);
        return true;
    }
    while (smb_conn_output(f->conn, &bytes, &size)) {
        size_t part = size > 1000 ? size - 7 : size; /* sockets take what they like */
        buf_bytes(&f->sent, bytes, part);
        smb_conn_sent(f->conn, part);
    }
    if (f->sent.size == 0)
        return false;
    struct cursor c = cursor_of(f->sent.data, f->sent.size);
    uint32_t length = cursor_u32be(&c);
    assert_true(length >= SMB_HEADER_SIZE && length <= cursor_left(&c));
    uint8_t *frame = f->sent.data + 4;
    size_t skip = f->seal ? SMB_TRANSFORM_SIZE : 0;
    if (f->seal)
        assert_true(smb_open_sealed(f->crypto, FAKE_SESSION, frame, length));
    buf_reset(&f->rest);
    buf_bytes(&f->rest, frame + skip, length - skip);
    buf_consume(&f->sent, 4 + (size_t)length);
    f->frames++;
    take_part(f);
    return true;
}

static struct cursor request_at(const struct fake *f, size_t offset)
{
    struct cursor c = cursor_of(f->request.data, f->request.size);
    cursor_seek(&c, offset);
    return c;
}

uint16_t fake_request_u16(const struct fake *f, size_t offset)
{
    struct cursor c = request_at(f, offset);
    uint16_t value = cursor_u16le(&c);
    assert_true(cursor_ok(&c));
    return value;
}

uint32_t fake_request_u32(const struct fake *f, size_t offset)
{
    struct cursor c = request_at(f, offset);
    uint32_t value = cursor_u32le(&c);
    assert_true(cursor_ok(&c));
    return value;
}

uint64_t fake_request_u64(const struct fake *f, size_t offset)
{
    struct cursor c = request_at(f, offset);
    uint64_t value = cursor_u64le(&c);
    assert_true(cursor_ok(&c));
    return value;
}

void fake_message(struct fake *f, const struct fake_answer *answer, const void *body,
                  size_t body_size, struct buf *message)
{
    bool is_signed = f->crypto != NULL && !f->seal && !answer->bare;
    uint16_t credits = answer->credits != 0 ? answer->credits : 10;
    buf_init(message, 1 << 20);
    buf_bytes(message, "\xfeSMB", 4);
    buf_u16le(message, 64);
    buf_u16le(message, 1);
    buf_u32le(message, answer->status);
    buf_u16le(message, answer->command != 0 ? answer->command : fake_request_u16(f, 12));
    buf_u16le(message, answer->no_credits ? 0 : credits);
    buf_u32le(message, SMB_FLAG_RESPONSE | (is_signed ? SMB_FLAG_SIGNED : 0) | answer->flags);
    buf_u32le(message, 0);
    buf_u64le(message, answer->message_id != 0 ? answer->message_id : fake_request_u64(f, 24));
    buf_u32le(message, 0xFEFF);
    buf_u32le(message, answer->tree != 0 ? answer->tree : FAKE_TREE);
    buf_u64le(message, answer->session != 0 ? answer->session : FAKE_SESSION);
    buf_zero(message, SMB_SIGNATURE_SIZE);
    buf_bytes(message, body, body_size);
    message->size -= answer->cut;
}

int fake_feed(struct fake *f, const struct fake_answer *answer, const struct buf *message)
{
    bool sealed = f->crypto != NULL && f->seal && !answer->bare;
    size_t size = message->size + (sealed ? SMB_TRANSFORM_SIZE : 0);
    /* Exactly as large as it is, so that reading past its end shows. */
    uint8_t *frame = mem_new(4 + size, 1);
    frame[1] = (uint8_t)(size >> 16);
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    if (sealed) {
        assert_true(
            smb_seal(f->crypto, FAKE_SESSION, message->data, message->size, NULL, 0, frame + 4));
    } else {
        memcpy(frame + 4, message->data, message->size);
        struct cursor c = cursor_of(message->data, message->size);
        cursor_seek(&c, 16);
        if (!answer->joined && (cursor_u32le(&c) & SMB_FLAG_SIGNED) != 0 &&
            message->size >= SMB_HEADER_SIZE)
            smb_sign(f->crypto, frame + 4, message->size, frame + 4 + SMB_SIGNATURE_OFFSET);
    }
    if (answer->flip != 0)
        frame[answer->flip > 0 ? 4 + (size_t)answer->flip : 4 + size - (size_t)-answer->flip] ^=
            0x10;
    int result = 0;
    for (size_t at = 0; at < 4 + size && result == 0; at += 50) { /* as sockets give it */
        size_t part = 4 + size - at < 50 ? 4 + size - at : 50;
        result = smb_conn_receive(f->conn, frame + at, part, &f->err);
    }
    free(frame);
    return result;
}

void fake_join(struct fake *f, struct buf *messages, size_t count, struct buf *joined)
{
    buf_init(joined, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        struct buf *part = &messages[i];
        if (i + 1 < count) {
            buf_align(part, 0, 8);
            buf_patch_u32le(part, 20, (uint32_t)part->size); /* NextCommand */
        }
        if (!f->seal)
            smb_sign(f->crypto, part->data, part->size, part->data + SMB_SIGNATURE_OFFSET);
        buf_bytes(joined, part->data, part->size);
        buf_release(part);
    }
}

int fake_answer(struct fake *f, const struct fake_answer *answer, const void *body,
                size_t body_size)
{
    struct buf message;
    fake_message(f, answer, body, body_size, &message);
    int result = fake_feed(f, answer, &message);
    buf_release(&message);
    return result;
}

/* Copies what was built to `body` and gives its size. */
static size_t finish(struct buf *built, uint8_t *body)
{
    size_t size = built->size;
    assert_true(buf_ok(built));
    memcpy(body, built->data, size);
    buf_release(built);
    return size;
}

size_t fake_body_plain(uint8_t *body, uint16_t structure_size)
{
    struct buf b;
    buf_init(&b, 64);
    buf_u16le(&b, structure_size);
    buf_u16le(&b, 0);
    return finish(&b, body);
}

size_t fake_body_tree(uint8_t *body, uint8_t share_type)
{
    struct buf b;
    buf_init(&b, 64);
    buf_u16le(&b, 16);
    buf_u8(&b, share_type);
    buf_zero(&b, 1 + 4 + 4);
    buf_u32le(&b, 0x001f01ff);
    return finish(&b, body);
}

size_t fake_body_create(uint8_t *body)
{
    struct buf b;
    buf_init(&b, 128);
    buf_u16le(&b, 89);
    buf_zero(&b, 2);
    buf_u32le(&b, SMB_CREATED);
    buf_zero(&b, 8 + 8);
    buf_u64le(&b, 0x1122334455667788); /* LastWriteTime */
    buf_zero(&b, 8 + 8);
    buf_u64le(&b, 4711); /* EndofFile */
    buf_u32le(&b, SMB_ATTRIBUTE_DIRECTORY | SMB_ATTRIBUTE_REPARSE_POINT);
    buf_zero(&b, 4);
    buf_u64le(&b, 0xAAAA);
    buf_u64le(&b, 0xBBBB);
    buf_zero(&b, 8);
    return finish(&b, body);
}

size_t fake_body_write(uint8_t *body, uint32_t count)
{
    struct buf b;
    buf_init(&b, 64);
    buf_u16le(&b, 17);
    buf_u16le(&b, 0);
    buf_u32le(&b, count);
    buf_zero(&b, 8);
    return finish(&b, body);
}

size_t fake_body_read(uint8_t *body, const void *data, size_t size)
{
    struct buf b;
    buf_init(&b, 1 << 17);
    buf_u16le(&b, 17);
    buf_u8(&b, SMB_HEADER_SIZE + 16);
    buf_u8(&b, 0);
    buf_u32le(&b, (uint32_t)size);
    buf_zero(&b, 8);
    buf_bytes(&b, data, size);
    return finish(&b, body);
}

size_t fake_body_query(uint8_t *body, const void *data, size_t size)
{
    struct buf b;
    buf_init(&b, 1 << 17);
    buf_u16le(&b, 9);
    buf_u16le(&b, SMB_HEADER_SIZE + 8);
    buf_u32le(&b, (uint32_t)size);
    buf_bytes(&b, data, size);
    return finish(&b, body);
}

size_t fake_body_ioctl(uint8_t *body, uint32_t code, const void *data, size_t size)
{
    struct buf b;
    buf_init(&b, 1 << 17);
    buf_u16le(&b, 49);
    buf_u16le(&b, 0);
    buf_u32le(&b, code);
    buf_zero(&b, 16 + 4 + 4);
    buf_u32le(&b, SMB_HEADER_SIZE + 48);
    buf_u32le(&b, (uint32_t)size);
    buf_zero(&b, 8);
    buf_bytes(&b, data, size);
    return finish(&b, body);
}
