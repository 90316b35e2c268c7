/* NEGOTIATE: what we offer, and whether the server's choice is one of it. */
#include <string.h>

#include "common/base/utf16.h"
#include "relay/smb/smb_internal.h"

/* [MS-SMB2] 2.2.3.1 ContextType */
enum negotiate_context {
    CONTEXT_PREAUTH_INTEGRITY = 1,
    CONTEXT_ENCRYPTION = 2,
    CONTEXT_NETNAME = 5,
    CONTEXT_SIGNING = 8,
};

#define HASH_SHA_512 1U                  /* 2.2.3.1.1 HashAlgorithms */
#define DIALECT_WILDCARD 0x02FFU         /* 2.2.4: an answer to SMB1's NEGOTIATE only */
#define NEGOTIATE_REQUEST_FIXED_SIZE 36U /* 2.2.3 up to Dialects */
#define IO_SIZE_MIN 16384U /* a call on a pipe, a script in one write: less is no server */

size_t smb_offered_dialects(const struct smb_conn *conn, uint16_t dialects[4])
{
    static const uint16_t known[4] = {SMB_DIALECT_2_1, SMB_DIALECT_3_0, SMB_DIALECT_3_0_2,
                                      SMB_DIALECT_3_1_1};
    size_t count = 0;
    for (size_t i = 0; i < 4; i++)
        if (known[i] >= (uint16_t)conn->config.dialect_min &&
            known[i] <= (uint16_t)conn->config.dialect_max)
            dialects[count++] = known[i];
    return count;
}

uint32_t smb_offered_capabilities(const struct smb_conn *conn)
{
    if (conn->config.dialect_max < SMB_DIALECT_3_0)
        return 0; /* 2.2.3: must be zero below 3.0 */
    return SMB_CAP_LARGE_MTU | (conn->config.refuse_encryption ? 0 : SMB_CAP_ENCRYPTION);
}

/* Starts a context aligned to 8 and returns the offset of its DataLength, to be patched. */
static size_t context_begin(struct buf *message, enum negotiate_context type)
{
    buf_align(message, 0, 8);
    buf_u16le(message, (uint16_t)type);
    buf_u16le(message, 0);
    buf_u32le(message, 0);
    return message->size - 6;
}

static void context_end(struct buf *message, size_t length_offset)
{
    buf_patch_u16le(message, length_offset, (uint16_t)(message->size - (length_offset + 6)));
}

static void put_preauth(struct smb_conn *conn, struct buf *message)
{
    size_t at = context_begin(message, CONTEXT_PREAUTH_INTEGRITY);
    buf_u16le(message, 1);                        /* HashAlgorithmCount */
    buf_u16le(message, sizeof conn->config.salt); /* SaltLength */
    buf_u16le(message, HASH_SHA_512);
    buf_bytes(message, conn->config.salt, sizeof conn->config.salt);
    context_end(message, at);
}

/* Best first: AES-128 is as good as anything here and faster; AES-256 is for servers that insist.
 */
static const uint16_t ciphers[] = {SMB_CIPHER_AES_128_GCM, SMB_CIPHER_AES_256_GCM,
                                   SMB_CIPHER_AES_128_CCM, SMB_CIPHER_AES_256_CCM};
#define CIPHER_COUNT (sizeof ciphers / sizeof ciphers[0])

static bool cipher_offered(const struct smb_conn *conn, uint16_t cipher)
{
    switch (cipher) {
    case SMB_CIPHER_AES_128_GCM:
    case SMB_CIPHER_AES_256_GCM:
        return !conn->config.refuse_gcm;
    case SMB_CIPHER_AES_128_CCM:
    case SMB_CIPHER_AES_256_CCM:
        return true;
    default:
        return false;
    }
}

static void put_encryption(struct smb_conn *conn, struct buf *message)
{
    size_t at = context_begin(message, CONTEXT_ENCRYPTION);
    size_t count_at = message->size;
    uint16_t count = 0;
    buf_u16le(message, 0); /* CipherCount */
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        if (cipher_offered(conn, ciphers[i])) {
            buf_u16le(message, ciphers[i]);
            count++;
        }
    buf_patch_u16le(message, count_at, count);
    context_end(message, at);
}

static void put_signing(struct smb_conn *conn, struct buf *message)
{
    size_t at = context_begin(message, CONTEXT_SIGNING);
    buf_u16le(message, conn->config.refuse_gmac ? 1 : 2); /* SigningAlgorithmCount, best first */
    if (!conn->config.refuse_gmac)
        buf_u16le(message, SMB_SIGNING_AES_GMAC);
    buf_u16le(message, SMB_SIGNING_AES_CMAC);
    context_end(message, at);
}

/* 2.2.3.1.4; left out when the name is not UTF-8, which then fails later with a better message. */
static bool put_netname(struct smb_conn *conn, struct buf *message)
{
    if (!utf8_valid(conn->config.host))
        return false;
    size_t at = context_begin(message, CONTEXT_NETNAME);
    (void)utf16_from_utf8(message, conn->config.host);
    context_end(message, at);
    return true;
}

/* The 3.1.1 contexts; returns their number. */
static uint16_t put_contexts(struct smb_conn *conn, struct buf *message)
{
    uint16_t count = 2;
    put_preauth(conn, message);
    if (!conn->config.refuse_encryption) {
        put_encryption(conn, message);
        count++;
    }
    put_signing(conn, message);
    if (put_netname(conn, message))
        count++;
    return count;
}

static int answer_negotiate(struct smb_conn *conn, struct smb_request *request,
                            struct smb_message *message);

void smb_negotiate_send(struct smb_conn *conn)
{
    uint16_t dialects[4];
    size_t count = smb_offered_dialects(conn, dialects);
    struct buf message;
    smb_message_begin(&message);
    buf_u16le(&message, NEGOTIATE_REQUEST_FIXED_SIZE);   /* StructureSize */
    buf_u16le(&message, (uint16_t)count);                /* DialectCount */
    buf_u16le(&message, SMB_SIGNING_REQUIRED);           /* SecurityMode */
    buf_u16le(&message, 0);                              /* Reserved */
    buf_u32le(&message, smb_offered_capabilities(conn)); /* Capabilities */
    buf_bytes(&message, conn->config.client_guid, 16);   /* ClientGuid */
    size_t contexts_at = message.size;
    buf_zero(&message, 8); /* NegotiateContextOffset, NegotiateContextCount, Reserved2 */
    for (size_t i = 0; i < count; i++)
        buf_u16le(&message, dialects[i]);
    if (count > 0 && dialects[count - 1] == SMB_DIALECT_3_1_1) {
        buf_align(&message, 0, 8);
        buf_patch_u32le(&message, contexts_at, (uint32_t)message.size);
        buf_patch_u16le(&message, contexts_at + 4, put_contexts(conn, &message));
    }
    struct smb_request *request = smb_request_new(SMB_COMMAND_NEGOTIATE, SMB_OP_LOGON, 0);
    request->silent = true;
    request->answer = answer_negotiate;
    (void)smb_submit(conn, request, &message, NULL, 0, NULL); /* an empty queue takes it */
}

/* What the contexts of an answer said; duplicates are errors (3.2.5.2). */
struct contexts {
    bool preauth;
    bool encryption;
    bool signing;
};

/* A list of one 16-bit choice: its count, then the choice. False: not exactly one. */
static bool read_choice(struct cursor *data, uint16_t *choice)
{
    uint16_t count = cursor_u16le(data);
    *choice = cursor_u16le(data);
    return cursor_ok(data) && count == 1;
}

static int read_preauth(struct cursor *data)
{
    uint16_t count = cursor_u16le(data);
    uint16_t salt_size = cursor_u16le(data);
    uint16_t hash = cursor_u16le(data);
    cursor_skip(data, salt_size);
    return cursor_ok(data) && count == 1 && hash == HASH_SHA_512 ? 0 : -1;
}

static int read_encryption(struct smb_conn *conn, struct cursor *data)
{
    uint16_t cipher = 0;
    if (conn->config.refuse_encryption || !read_choice(data, &cipher))
        return -1;
    conn->cipher = cipher;
    return cipher == SMB_CIPHER_NONE || cipher_offered(conn, cipher) ? 0 : -1;
}

static int read_signing(struct smb_conn *conn, struct cursor *data)
{
    uint16_t signing = 0;
    if (!read_choice(data, &signing))
        return -1;
    bool offered = signing == SMB_SIGNING_AES_CMAC ||
                   (signing == SMB_SIGNING_AES_GMAC && !conn->config.refuse_gmac);
    conn->signing = signing;
    return offered ? 0 : -1;
}

static int read_context(struct smb_conn *conn, struct contexts *seen, uint16_t type,
                        struct cursor *data)
{
    bool *once = NULL;
    int result = 0;
    switch (type) {
    case CONTEXT_PREAUTH_INTEGRITY:
        once = &seen->preauth;
        result = read_preauth(data);
        break;
    case CONTEXT_ENCRYPTION:
        once = &seen->encryption;
        result = read_encryption(conn, data);
        break;
    case CONTEXT_SIGNING:
        once = &seen->signing;
        result = read_signing(conn, data);
        break;
    default:
        return 0; /* compression, transport, RDMA: not asked for, ignored (3.2.5.2) */
    }
    if (result != 0 || *once)
        return -1;
    *once = true;
    return 0;
}

static int read_contexts(struct smb_conn *conn, struct smb_message *message, uint32_t offset,
                         uint16_t count)
{
    struct contexts seen = {0};
    struct cursor *c = &message->body;
    if (offset < SMB_HEADER_SIZE)
        return -1;
    cursor_seek(c, offset);
    for (uint16_t i = 0; i < count; i++) {
        cursor_align(c, 8);
        uint16_t type = cursor_u16le(c);
        uint16_t size = cursor_u16le(c);
        cursor_skip(c, 4);
        struct cursor data = cursor_sub(c, c->at, size);
        cursor_skip(c, size);
        if (!cursor_ok(c) || read_context(conn, &seen, type, &data) != 0)
            return -1;
    }
    return seen.preauth ? 0 : -1;
}

static bool was_offered(const struct smb_conn *conn, uint16_t dialect)
{
    uint16_t dialects[4];
    size_t count = smb_offered_dialects(conn, dialects);
    for (size_t i = 0; i < count; i++)
        if (dialects[i] == dialect)
            return true;
    return false;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Sizes, and everything that follows from the dialect. */
static void settle(struct smb_conn *conn, uint16_t dialect, uint32_t read_size, uint32_t write_size)
{
    conn->multi_credit = (conn->capabilities & SMB_CAP_LARGE_MTU) != 0;
    conn->server.dialect = dialect;
    conn->server.read_size_max =
        smaller(smaller(read_size, conn->transact_size_max), SMB_READ_SIZE_MAX);
    conn->server.write_size_max = smaller(write_size, SMB_WRITE_SIZE_MAX);
    if (!conn->multi_credit)
        conn->server.write_size_max = smaller(conn->server.write_size_max, SMB_CREDIT_UNIT);
    if (dialect == SMB_DIALECT_2_1)
        conn->signing = SMB_SIGNING_HMAC_SHA256;
    else if (dialect < SMB_DIALECT_3_1_1 || conn->signing == 0)
        conn->signing = SMB_SIGNING_AES_CMAC;
    if (dialect == SMB_DIALECT_3_0 || dialect == SMB_DIALECT_3_0_2)
        conn->cipher = (conn->capabilities & smb_offered_capabilities(conn) & SMB_CAP_ENCRYPTION)
                           ? SMB_CIPHER_AES_128_CCM
                           : SMB_CIPHER_NONE;
    conn->validation_asked =
        dialect == SMB_DIALECT_3_1_1; /* the keys depend on the negotiation there */
}

/* An error, or a success that is none of ours. */
static int refuse(struct smb_conn *conn, uint32_t status, uint16_t dialect)
{
    char text[64];
    if (status == NTSTATUS_NOT_SUPPORTED)
        return smb_fail(conn, SMB_FAILURE_DIALECT, ERR_DENIED, status,
                        "%s speaks none of the SMB dialects offered", conn->config.host);
    if (status != NTSTATUS_SUCCESS)
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, status,
                        "%s refuses to negotiate: %s", conn->config.host,
                        smb_status_text(status, text));
    return smb_fail(conn, SMB_FAILURE_DIALECT, ERR_DENIED, 0,
                    "%s chose SMB dialect 0x%04x, which was not offered", conn->config.host,
                    dialect);
}

static int answer_negotiate(struct smb_conn *conn, struct smb_request *request,
                            struct smb_message *message)
{
    (void)request;
    struct cursor *c = &message->body;
    if (message->status != NTSTATUS_SUCCESS)
        return refuse(conn, message->status, 0);
    uint16_t structure_size = cursor_u16le(c);
    conn->server_security_mode = cursor_u16le(c);
    uint16_t dialect = cursor_u16le(c);
    uint16_t context_count = cursor_u16le(c);
    cursor_copy(c, conn->server_guid, sizeof conn->server_guid);
    conn->capabilities = cursor_u32le(c);
    conn->transact_size_max = cursor_u32le(c);
    uint32_t read_size = cursor_u32le(c);
    uint32_t write_size = cursor_u32le(c);
    conn->server.system_time = cursor_u64le(c);
    cursor_skip(c, 8 + 2 + 2); /* ServerStartTime; the security buffer is only a hint */
    uint32_t context_offset = cursor_u32le(c);
    if (!cursor_ok(c) || structure_size != 65)
        return -1;
    if (!was_offered(conn, dialect) || dialect == DIALECT_WILDCARD)
        return refuse(conn, NTSTATUS_SUCCESS, dialect);
    if (conn->transact_size_max < IO_SIZE_MIN || read_size < IO_SIZE_MIN ||
        write_size < IO_SIZE_MIN)
        return -1;
    if (dialect == SMB_DIALECT_3_1_1 &&
        read_contexts(conn, message, context_offset, context_count) != 0)
        return -1;
    settle(conn, dialect, read_size, write_size);
    if (conn->config.require_encryption && conn->cipher == SMB_CIPHER_NONE)
        return smb_fail(conn, SMB_FAILURE_ENCRYPTION, ERR_DENIED, 0,
                        "%s cannot encrypt (%s), and encryption is required", conn->config.host,
                        smb_dialect_name(dialect));
    smb_preauth_add(conn, message->bytes, message->size);
    if (conn->config.hold_logon) {
        conn->state = SMB_STATE_LOGON_HELD;
        return 0;
    }
    return smb_session_start(conn);
}
