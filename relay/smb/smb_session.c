/* SESSION_SETUP and LOGOFF: runs the authentication, derives the keys, believes nothing before the
 * final answer's signature is right. */
#include <string.h>

#include "relay/smb/smb_internal.h"

/* [MS-SMB2] 2.2.6 SessionFlags */
#define SESSION_IS_GUEST 0x0001U
#define SESSION_IS_NULL 0x0002U
#define SESSION_ENCRYPT_DATA 0x0004U

#define SESSION_SETUP_FIXED_SIZE 24U /* 2.2.5 up to Buffer */

/* A failure of the mechanism, in the engine's classes. */
static int fail_auth(struct smb_conn *conn, const struct err *why)
{
    enum smb_failure failure = why->code == ERR_TIMEOUT ? SMB_FAILURE_CLOCK : SMB_FAILURE_AUTH;
    /* GSSAPI's minor status stands in the text; an NTSTATUS it is not. */
    return smb_fail(conn, failure, why->code, 0, "logon to %s: %s", conn->config.host, why->text);
}

static int answer_session_setup(struct smb_conn *conn, struct smb_request *request,
                                struct smb_message *message);

static int send_token(struct smb_conn *conn, const struct buf *token)
{
    struct buf message;
    smb_message_begin(&message);
    buf_u16le(&message, 25);                /* StructureSize */
    buf_u8(&message, 0);                    /* Flags: no binding */
    buf_u8(&message, SMB_SIGNING_REQUIRED); /* SecurityMode */
    buf_u32le(&message, 0);                 /* Capabilities */
    buf_u32le(&message, 0);                 /* Channel */
    buf_u16le(&message, (uint16_t)(SMB_HEADER_SIZE + SESSION_SETUP_FIXED_SIZE));
    buf_u16le(&message, (uint16_t)token->size); /* SecurityBufferLength */
    buf_u64le(&message, 0);                     /* PreviousSessionId */
    buf_bytes(&message, token->data, token->size);
    struct smb_request *request = smb_request_new(SMB_COMMAND_SESSION_SETUP, SMB_OP_LOGON, 0);
    request->answer = answer_session_setup;
    struct err err;
    if (smb_submit(conn, request, &message, NULL, 0, &err) != 0)
        return fail_auth(conn, &err);
    return 0;
}

/* One round of the mechanism. The token, if any, is left in `token` (initialised by the caller). */
static int step(struct smb_conn *conn, const uint8_t *bytes, size_t size, struct buf *token)
{
    struct err err;
    int result = auth_context_step(conn->auth, bytes, size, token, &err);
    conn->server.names = *auth_context_peer(conn->auth);
    if (result != 0)
        return fail_auth(conn, &err);
    return 0;
}

int smb_session_start(struct smb_conn *conn)
{
    struct err err;
    struct buf token;
    conn->state = SMB_STATE_SESSION_SETUP;
    if (auth_context_new(conn->config.credential, AUTH_SPNEGO, "cifs", conn->config.host,
                         &conn->auth, &err) != 0)
        return fail_auth(conn, &err);
    buf_init(&token, AUTH_TOKEN_SIZE_MAX);
    int result = step(conn, NULL, 0, &token);
    if (result == 0)
        result = send_token(conn, &token);
    buf_release(&token);
    return result;
}

/* STATUS_MORE_PROCESSING_REQUIRED: the exchange goes on. */
static int continue_logon(struct smb_conn *conn, struct smb_request *request,
                          struct smb_message *message, const uint8_t *bytes, size_t size)
{
    struct buf token;
    if (message->session_id == 0 ||
        (conn->session_id != 0 && conn->session_id != message->session_id))
        return -1;
    conn->session_id = message->session_id;
    smb_preauth_add(conn, message->bytes, message->size);
    request->silent = true;
    buf_init(&token, AUTH_TOKEN_SIZE_MAX);
    int result = step(conn, bytes, size, &token);
    if (result == 0 && token.size == 0)
        result =
            smb_fail(conn, SMB_FAILURE_AUTH, ERR_PROTOCOL, message->status,
                     "%s wants another authentication token, and there is none", conn->config.host);
    if (result == 0)
        result = send_token(conn, &token);
    buf_release(&token);
    return result;
}

static void describe(struct smb_conn *conn)
{
    static const char *const ciphers[SMB_CIPHER_COUNT] = {"none", "AES-128-CCM", "AES-128-GCM",
                                                          "AES-256-CCM", "AES-256-GCM"};
    static const char *const signings[] = {"HMAC-SHA256", "AES-128-CMAC", "AES-128-GMAC"};
    conn->server.encrypted = conn->encrypt;
    conn->server.cipher = ciphers[conn->encrypt ? conn->cipher : 0];
    conn->server.signing = signings[conn->signing];
}

/* The session's keys, then the proof that the server has them too. */
static int open_session(struct smb_conn *conn, struct smb_message *message, uint16_t flags)
{
    uint8_t key[AUTH_KEY_SIZE];
    struct err err;
    if (auth_context_session_key(conn->auth, key, &err) != 0)
        return fail_auth(conn, &err);
    auth_context_free(conn->auth);
    conn->auth = NULL;
    conn->crypto = smb_crypto_new(conn->server.dialect, (enum smb_signing)conn->signing,
                                  (enum smb_cipher)conn->cipher, key, conn->preauth, false);
    explicit_bzero(key, sizeof key);
    if (!smb_signature_good(conn, message))
        return smb_fail(conn, SMB_FAILURE_SIGNING, ERR_DENIED, message->status,
                        "%s did not sign the end of the logon rightly", conn->config.host);
    conn->encrypt = conn->cipher != SMB_CIPHER_NONE;
    if (!conn->encrypt && (flags & SESSION_ENCRYPT_DATA) != 0)
        return smb_fail(conn, SMB_FAILURE_ENCRYPTION, ERR_DENIED, message->status,
                        "%s requires encryption, which was not negotiated", conn->config.host);
    describe(conn);
    conn->state = SMB_STATE_READY;
    return 0;
}

static int finish_logon(struct smb_conn *conn, struct smb_message *message, uint16_t flags,
                        const uint8_t *bytes, size_t size)
{
    struct buf token;
    if ((flags & (SESSION_IS_GUEST | SESSION_IS_NULL)) != 0)
        return smb_fail(conn, SMB_FAILURE_LOGON, ERR_DENIED, message->status,
                        "%s let the account in only as a guest", conn->config.host);
    if (message->session_id == 0 || message->session_id != conn->session_id)
        return -1;
    if (size > 0) {
        buf_init(&token, AUTH_TOKEN_SIZE_MAX);
        int result = step(conn, bytes, size, &token);
        buf_release(&token);
        if (result != 0)
            return result;
    }
    if (!auth_context_done(conn->auth))
        return smb_fail(conn, SMB_FAILURE_AUTH, ERR_PROTOCOL, message->status,
                        "%s ended the authentication too early", conn->config.host);
    return open_session(conn, message, flags);
}

static int answer_session_setup(struct smb_conn *conn, struct smb_request *request,
                                struct smb_message *message)
{
    struct cursor *c = &message->body;
    char text[64];
    if (message->status != NTSTATUS_SUCCESS && message->status != NTSTATUS_MORE_PROCESSING_REQUIRED)
        return smb_fail(conn, SMB_FAILURE_LOGON, ERR_DENIED, message->status,
                        "%s refuses the logon: %s", conn->config.host,
                        smb_status_text(message->status, text));
    uint16_t structure_size = cursor_u16le(c);
    uint16_t flags = cursor_u16le(c);
    uint16_t offset = cursor_u16le(c);
    uint16_t size = cursor_u16le(c);
    const uint8_t *bytes = smb_message_bytes(message, offset, size);
    if (!cursor_ok(c) || structure_size != 9 || bytes == NULL)
        return -1;
    if (message->status == NTSTATUS_MORE_PROCESSING_REQUIRED)
        return continue_logon(conn, request, message, bytes, size);
    return finish_logon(conn, message, flags, bytes, size);
}

static int answer_logoff(struct smb_conn *conn, struct smb_request *request,
                         struct smb_message *message)
{
    (void)request;
    conn->state = SMB_STATE_LOGGED_OFF;
    return cursor_u16le(&message->body) == 4 ? 0 : -1;
}

int smb_logoff(struct smb_conn *conn, uint64_t tag, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    smb_message_begin(&message);
    buf_u16le(&message, 4); /* StructureSize, 2.2.7 */
    buf_u16le(&message, 0);
    struct smb_request *request = smb_request_new(SMB_COMMAND_LOGOFF, SMB_OP_LOGOFF, tag);
    request->answer = answer_logoff;
    return smb_submit(conn, request, &message, NULL, 0, err);
}
