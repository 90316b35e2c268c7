/* relay/smb: the engine from the first byte that a server sends, up to the first share: NEGOTIATE
 * and its contexts, SESSION_SETUP, the keys, the validation of the negotiation. Anybody who answers
 * on port 445 speaks here. The mechanism is a stand-in that takes any token, so that the fuzzer can
 * know the session key and get past the last signature; fuzz_ntlm has the real one.
 *
 * Holds: logged on means a dialect and algorithms that were offered, as an account and no guest, by
 * an answer signed with the session's key, encrypted where that is required; a share is usable only
 * after the negotiation has been validated; a failure says why, and nothing comes after it. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "fuzz.h"
#include "relay/smb/smb_internal.h"

#define STEPS_MAX 100U
#define SESSION 0x1900000001U
#define IO_SIZE_MIN 16384U /* what the stages ask for in one request */

struct auth_context {
    struct auth_peer peer;
    unsigned steps;
    bool done;
};

static const uint8_t session_key[SMB_KEY_SIZE] = "sixteen bytes!!";
static uint8_t payload[64];

static struct {
    struct smb_conn *conn;
    struct smb_crypto *crypto; /* the server's, from its final SESSION_SETUP on */
    struct buf requests;       /* what the engine sent */
    uint16_t command;          /* of the last request in it */
    uint64_t message_id;
    uint32_t ioctl_code;
    uint8_t negotiated[36]; /* of the last NEGOTIATE answer: up to Capabilities */
    bool signed_off;        /* the final SESSION_SETUP went out under the right key, no guest */
    bool validated;         /* so did the answer about the negotiation, and it says the same */
} world;

/* ---- the mechanism ---- */

int auth_context_new(const struct auth_credential *credential, enum auth_mechanism mechanism,
                     const char *service, const char *host, struct auth_context **context,
                     struct err *err)
{
    (void)credential;
    (void)service;
    (void)err;
    FUZZ_CHECK(mechanism == AUTH_SPNEGO && host[0] != '\0');
    *context = mem_new(1, sizeof **context);
    return 0;
}

void auth_context_free(struct auth_context *context)
{
    free(context);
}

/* The first byte of a token: what it does. */
int auth_context_step(struct auth_context *context, const uint8_t *token, size_t token_size,
                      struct buf *out, struct err *err)
{
    uint8_t what = token_size > 0 ? token[0] : 0;
    context->steps++;
    if (context->done || (what & 0xc0) == 0xc0)
        return err_set(err, (what & 0x20) != 0 ? ERR_TIMEOUT : ERR_PROTOCOL, "a bad token");
    context->peer.known = context->steps > 1;
    context->done = (what & 0x81) == 1; /* a real server's begin with 0xa1 */
    if (!context->done)
        buf_text(out, "our token");
    return 0;
}

bool auth_context_done(const struct auth_context *context)
{
    return context->done;
}

int auth_context_session_key(const struct auth_context *context, uint8_t key[AUTH_KEY_SIZE],
                             struct err *err)
{
    FUZZ_CHECK(context->done);
    (void)err;
    memcpy(key, session_key, AUTH_KEY_SIZE);
    return 0;
}

const struct auth_peer *auth_context_peer(const struct auth_context *context)
{
    return &context->peer;
}

/* ---- the server ---- */

/* What the engine asked last; in plain, since nothing here depends on the rest. */
static void hear(void)
{
    const uint8_t *bytes;
    size_t size;
    while (smb_conn_output(world.conn, &bytes, &size)) {
        buf_bytes(&world.requests, bytes, size);
        smb_conn_sent(world.conn, size);
    }
    FUZZ_CHECK(buf_ok(&world.requests));
    while (world.requests.size > 4) {
        struct cursor c = cursor_of(world.requests.data, world.requests.size);
        size_t frame_size = cursor_u32be(&c);
        uint8_t *frame = world.requests.data + 4;
        FUZZ_CHECK(frame_size <= cursor_left(&c));
        bool sealed = frame[0] == 0xfd;
        if (sealed)
            FUZZ_CHECK(smb_open_sealed(world.crypto, world.conn->session_id, frame, frame_size));
        struct cursor m = cursor_of(frame, frame_size);
        cursor_seek(&m, (sealed ? SMB_TRANSFORM_SIZE : 0) + 12);
        world.command = cursor_u16le(&m);
        cursor_skip(&m, 10);
        world.message_id = cursor_u64le(&m);
        cursor_skip(&m, SMB_HEADER_SIZE - 32 + 4);
        world.ioctl_code = cursor_u32le(&m);
        buf_consume(&world.requests, 4 + frame_size);
    }
}

static void put_negotiate(struct buf *out, struct cursor *c)
{
    static const uint16_t dialects[] = {SMB_DIALECT_3_1_1, SMB_DIALECT_2_1, SMB_DIALECT_3_0,
                                        SMB_DIALECT_3_0_2};
    uint8_t how = cursor_u8(c);
    buf_u16le(out, 65);                /* StructureSize */
    buf_u16le(out, 3);                 /* SecurityMode */
    buf_u16le(out, dialects[how % 4]); /* DialectRevision */
    buf_u16le(out, how % 4 == 0 ? 3 : 0);
    buf_zero(out, 16);    /* ServerGuid */
    buf_u32le(out, 0x44); /* Capabilities: large MTU, encryption */
    buf_u32le(out, 1U << 20);
    buf_u32le(out, 1U << 20);
    buf_u32le(out, 1U << 20);
    buf_u64le(out, 0x01dc000000000000); /* SystemTime */
    buf_u64le(out, 0);
    buf_u16le(out, 128);
    buf_u16le(out, 0);
    buf_u32le(out, 128); /* NegotiateContextOffset */
    if (how % 4 != 0)
        return;
    static const uint16_t heads[3][2] = {{1, 6}, {2, 4}, {8, 4}};
    for (unsigned i = 0; i < 3; i++) {
        buf_align(out, 0, 8);
        buf_u16le(out, heads[i][0]); /* ContextType */
        buf_u16le(out, heads[i][1]); /* DataLength */
        buf_u32le(out, 0);
        buf_u16le(out, 1); /* count */
        if (i == 0)
            buf_u16le(out, 0); /* SaltLength */
        buf_u16le(out, i == 0 ? 1 : i == 1 ? how / 4 % 5 : 1 + how / 32 % 2);
    }
}

static void put_session_setup(struct buf *out, struct cursor *c)
{
    uint8_t token[16];
    uint8_t size = cursor_u8(c) % (uint8_t)(sizeof token + 1);
    cursor_copy(c, token, size);
    buf_u16le(out, 9);
    buf_u16le(out, 0); /* SessionFlags */
    buf_u16le(out, 72);
    buf_u16le(out, size);
    buf_bytes(out, token, size);
}

static void put_ioctl(struct buf *out)
{
    bool validate = world.ioctl_code == 0x00140204;
    buf_u16le(out, 49);
    buf_u16le(out, 0);
    buf_u32le(out, world.ioctl_code);
    buf_zero(out, 16 + 8);
    buf_u32le(out, SMB_HEADER_SIZE + 48);
    buf_u32le(out, validate ? 24 : 0);
    buf_zero(out, 8);
    if (!validate)
        return;
    buf_bytes(out, world.negotiated + 24, 4); /* Capabilities */
    buf_bytes(out, world.negotiated + 8, 16); /* Guid */
    buf_bytes(out, world.negotiated + 2, 4);  /* SecurityMode, Dialect */
}

static void put_body(struct buf *out, struct cursor *c)
{
    switch (world.command) {
    case SMB_COMMAND_NEGOTIATE:
        put_negotiate(out, c);
        return;
    case SMB_COMMAND_SESSION_SETUP:
        put_session_setup(out, c);
        return;
    case SMB_COMMAND_TREE_CONNECT:
        buf_u16le(out, 16);
        buf_u8(out, 1);
        buf_zero(out, 13);
        return;
    case SMB_COMMAND_IOCTL:
        put_ioctl(out);
        return;
    default:
        buf_u16le(out, 4);
        buf_u16le(out, 0);
    }
}

/* Frames a message as the fuzzer's server protects it, and hands it over in two pieces. */
static void deliver(const struct buf *message, bool sealed, uint8_t cut)
{
    struct err err = {0};
    size_t size = message->size + (sealed ? SMB_TRANSFORM_SIZE : 0);
    uint8_t *frame = mem_new(4 + size, 1);
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    if (sealed)
        FUZZ_CHECK(smb_seal(world.crypto, world.conn->session_id, message->data, message->size,
                            NULL, 0, frame + 4));
    else if (message->size > 0)
        memcpy(frame + 4, message->data, message->size);
    size_t first = cut < 4 + size ? cut : 4 + size;
    if (smb_conn_receive(world.conn, frame, first, &err) != 0 ||
        smb_conn_receive(world.conn, frame + first, 4 + size - first, &err) != 0)
        fuzz_check_error(&err);
    free(frame);
}

/* What was just said, as far as a right engine may build on it. */
static void remember(const struct buf *message, bool is_signed, bool sealed)
{
    struct cursor c = cursor_of(message->data, message->size);
    cursor_seek(&c, 8);
    uint32_t status = cursor_u32le(&c);
    cursor_seek(&c, SMB_HEADER_SIZE + 2);
    uint16_t flags = cursor_u16le(&c);
    if (world.command == SMB_COMMAND_NEGOTIATE && message->size >= 100)
        memcpy(world.negotiated, message->data + SMB_HEADER_SIZE, sizeof world.negotiated);
    if (world.conn->state == SMB_STATE_SESSION_SETUP)
        world.signed_off = is_signed && status == NTSTATUS_SUCCESS && (flags & 3) == 0;
    if (world.command != SMB_COMMAND_IOCTL || !(is_signed || sealed))
        return;
    const uint8_t *said = message->size >= 136 ? message->data + 112 : NULL;
    bool same = said != NULL && status == NTSTATUS_SUCCESS &&
                memcmp(said, world.negotiated + 24, 4) == 0 &&
                memcmp(said + 4, world.negotiated + 8, 16) == 0 &&
                memcmp(said + 20, world.negotiated + 2, 4) == 0;
    bool refused = world.conn->server.dialect == SMB_DIALECT_2_1 && status >> 30 == 3;
    world.validated = world.validated || same || refused;
}

static void make_keys(void)
{
    const struct smb_conn *conn = world.conn;
    smb_crypto_free(world.crypto);
    world.crypto = smb_crypto_new(conn->server.dialect, (enum smb_signing)conn->signing,
                                  (enum smb_cipher)conn->cipher, session_key, conn->preauth, true);
}

static void step_answer(struct cursor *c)
{
    static const uint32_t statuses[] = {NTSTATUS_SUCCESS,       NTSTATUS_MORE_PROCESSING_REQUIRED,
                                        NTSTATUS_LOGON_FAILURE, NTSTATUS_NOT_SUPPORTED,
                                        NTSTATUS_FILE_CLOSED,   NTSTATUS_BUFFER_OVERFLOW,
                                        NTSTATUS_PENDING,       NTSTATUS_USER_SESSION_DELETED};
    struct buf message;
    uint8_t how = cursor_u8(c);
    uint8_t patches = cursor_u8(c);
    bool is_signed = (how & 0x08) != 0;
    bool sealed = (how & 0x10) != 0 && smb_conn_ready(world.conn) && world.conn->encrypt;
    buf_init(&message, 4096);
    buf_bytes(&message, "\xfeSMB", 4);
    buf_u16le(&message, 64);
    buf_u16le(&message, 1);
    buf_u32le(&message, statuses[how % 8]);
    buf_u16le(&message, world.command);
    buf_u16le(&message, 10); /* CreditResponse */
    buf_u32le(&message, SMB_FLAG_RESPONSE | (is_signed ? SMB_FLAG_SIGNED : 0));
    buf_u32le(&message, 0);
    buf_u64le(&message, world.message_id);
    buf_u32le(&message, 0);
    buf_u32le(&message, 5); /* TreeId */
    buf_u64le(&message, world.conn->session_id != 0 ? world.conn->session_id : SESSION);
    buf_zero(&message, SMB_SIGNATURE_SIZE);
    put_body(&message, c);
    for (unsigned i = 0; i < patches % 4U; i++) {
        size_t at = cursor_u8(c);
        if (at < message.size)
            message.data[at] = cursor_u8(c);
    }
    if (patches >= 0xf0)
        message.size -= cursor_u8(c) % message.size;
    if (world.conn->state == SMB_STATE_SESSION_SETUP) /* the hash has all that went before */
        make_keys();
    bool could_sign = is_signed && world.crypto != NULL && message.size >= SMB_HEADER_SIZE;
    if (could_sign)
        smb_sign(world.crypto, message.data, message.size, message.data + SMB_SIGNATURE_OFFSET);
    remember(&message, could_sign, sealed);
    deliver(&message, sealed, cursor_u8(c));
    buf_release(&message);
}

/* A frame as it comes, such as a recorded one. */
static void step_frame(struct cursor *c)
{
    struct buf message;
    size_t size = cursor_u16le(c) % 4096;
    size = size < cursor_left(c) ? size : cursor_left(c);
    buf_init(&message, 4096);
    buf_bytes(&message, cursor_bytes(c, size), size);
    deliver(&message, false, 60);
    buf_release(&message);
}

static void step_bytes(struct cursor *c)
{
    struct err err = {0};
    size_t size = cursor_u8(c);
    size = size < cursor_left(c) ? size : cursor_left(c);
    if (size > 0 && smb_conn_receive(world.conn, cursor_bytes(c, size), size, &err) != 0)
        fuzz_check_error(&err);
}

/* ---- the relay ---- */

static void check_logged_on(void)
{
    const struct smb_server_info *server = smb_conn_server(world.conn);
    const struct smb_config *config = &world.conn->config;
    FUZZ_CHECK(world.signed_off);
    FUZZ_CHECK(server->dialect >= config->dialect_min && server->dialect <= config->dialect_max);
    FUZZ_CHECK(server->encrypted == (strcmp(server->cipher, "none") != 0));
    FUZZ_CHECK(server->encrypted || !config->require_encryption);
    FUZZ_CHECK(!server->encrypted || !config->refuse_encryption);
    FUZZ_CHECK(!config->refuse_gcm || strstr(server->cipher, "GCM") == NULL);
    FUZZ_CHECK(!config->refuse_gmac || strstr(server->signing, "GMAC") == NULL);
    FUZZ_CHECK(server->write_size_max <= SMB_WRITE_SIZE_MAX &&
               server->write_size_max >= IO_SIZE_MIN);
    FUZZ_CHECK(server->read_size_max <= SMB_READ_SIZE_MAX && server->read_size_max >= IO_SIZE_MIN);
}

static void step_take(void)
{
    struct smb_reply reply;
    while (smb_conn_next_reply(world.conn, &reply)) {
        if (reply.op == SMB_OP_LOGON)
            check_logged_on();
        if (reply.op == SMB_OP_TREE_CONNECT && !ntstatus_is_error(reply.status))
            FUZZ_CHECK(world.conn->server.dialect == SMB_DIALECT_3_1_1 || world.validated);
    }
}

static void step_ask(uint8_t what)
{
    struct err err = {0};
    if (smb_tree_connect(world.conn, what, "C$", &err) != 0)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK(world.signed_off && smb_conn_ready(world.conn));
}

static void check_state(void)
{
    const uint8_t *bytes;
    size_t size;
    if (smb_conn_ready(world.conn))
        check_logged_on();
    if (smb_conn_failure(world.conn) == SMB_FAILURE_NONE)
        return;
    FUZZ_CHECK(!smb_conn_output(world.conn, &bytes, &size) && !smb_conn_ready(world.conn));
    FUZZ_CHECK(world.conn->auth == NULL && world.conn->crypto == NULL);
    fuzz_check_error(&world.conn->error);
}

static int begin(uint8_t how)
{
    static const enum smb_dialect dialects[] = {SMB_DIALECT_2_1, SMB_DIALECT_3_0, SMB_DIALECT_3_0_2,
                                                SMB_DIALECT_3_1_1};
    struct smb_config config = {.host = "pc-1.example",
                                .credential = (const struct auth_credential *)payload,
                                .dialect_min = dialects[how % 4],
                                .dialect_max = (how & 4) != 0 ? SMB_DIALECT_3_0_2 : 0,
                                .require_encryption = (how & 0x18) == 0x08,
                                .refuse_encryption = (how & 0x18) == 0x10,
                                .refuse_gcm = (how & 0x20) != 0,
                                .refuse_gmac = (how & 0x40) != 0,
                                .hold_logon = (how & 0x80) != 0};
    struct err err = {0};
    memset(&world, 0, sizeof world);
    buf_init(&world.requests, 1 << 20);
    int status = smb_conn_new(&config, &world.conn, &err);
    if (status != 0)
        fuzz_check_error(&err);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct err err = {0};
    if (begin(cursor_u8(&c)) != 0)
        return 0;
    for (unsigned i = 0; i < STEPS_MAX && cursor_left(&c) > 0; i++) {
        hear();
        switch (cursor_u8(&c) % 8) {
        case 0:
        case 1:
        case 2:
            step_answer(&c);
            break;
        case 3:
            step_frame(&c);
            break;
        case 4:
            step_bytes(&c);
            break;
        case 5:
            step_ask(cursor_u8(&c));
            break;
        case 6:
            if (smb_logon(world.conn, &err) != 0)
                fuzz_check_error(&err);
            break;
        default:
            step_take();
            break;
        }
        check_state();
    }
    step_take();
    smb_conn_free(world.conn);
    smb_crypto_free(world.crypto);
    buf_release(&world.requests);
    return 0;
}
