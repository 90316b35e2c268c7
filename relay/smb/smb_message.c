/* Messages: header, credits, signing and sealing on the way out; every check on the way in. */
#include <string.h>

#include "common/base/mem.h"
#include "relay/smb/smb_internal.h"

#define CREDITS_WANTED 64U         /* CreditRequest in every header */
#define CREDITS_MAX 65535U         /* grants beyond are not counted: nobody needs them */
#define MESSAGE_SIZE_MAX 81920U    /* a request without file data: 64 KiB of pipe data at most */
#define DEFERRED_PAYLOAD_MAX 8192U /* larger file data is refused instead of copied aside */
#define NO_MESSAGE_ID UINT64_MAX   /* 2.2.1.2: unsolicited */
#define FRAME_LENGTH_SIZE 4U

#define PROCESS_ID 0xFEFFU /* 2.2.1.2 Reserved: the value Windows clients send */

void smb_message_begin(struct buf *message)
{
    buf_init(message, MESSAGE_SIZE_MAX);
    buf_zero(message, SMB_HEADER_SIZE);
}

int smb_check_ready(const struct smb_conn *conn, struct err *err)
{
    if (conn->state == SMB_STATE_READY)
        return 0;
    if (conn->state == SMB_STATE_FAILED)
        return err_set_native(err, ERR_UNAVAILABLE, conn->error.native, "%s", conn->error.text);
    return err_set(err, ERR_UNAVAILABLE, "no SMB session with %s", conn->config.host);
}

uint16_t smb_charge(size_t size)
{
    return (uint16_t)(size == 0 ? 1 : 1 + (size - 1) / SMB_CREDIT_UNIT);
}

void smb_preauth_add(struct smb_conn *conn, const uint8_t *message, size_t size)
{
    smb_preauth_hash(conn->preauth, message, size);
}

/* Fills the header: everything that is known only when the message leaves. next: NextCommand. */
static void fill_header(struct smb_conn *conn, struct smb_request *request, uint32_t next,
                        uint8_t *header)
{
    struct buf fields;
    uint32_t wanted = request->charge > CREDITS_WANTED ? request->charge : CREDITS_WANTED;
    uint32_t flags = (conn->crypto != NULL && !conn->encrypt ? SMB_FLAG_SIGNED : 0) |
                     (request->related ? SMB_FLAG_RELATED : 0);
    buf_init(&fields, SMB_HEADER_SIZE);
    buf_bytes(&fields, "\xfeSMB", 4);                             /* ProtocolId */
    buf_u16le(&fields, SMB_HEADER_SIZE);                          /* StructureSize */
    buf_u16le(&fields, conn->multi_credit ? request->charge : 0); /* CreditCharge */
    buf_u32le(&fields, 0);                                        /* ChannelSequence */
    buf_u16le(&fields, request->command);                         /* Command */
    buf_u16le(&fields, (uint16_t)wanted);                         /* CreditRequest */
    buf_u32le(&fields, flags);                                    /* Flags */
    buf_u32le(&fields, next);                                     /* NextCommand */
    buf_u64le(&fields, request->message_id);                      /* MessageId */
    buf_u32le(&fields, PROCESS_ID);                               /* Reserved */
    buf_u32le(&fields, request->tree);                            /* TreeId */
    buf_u64le(&fields, conn->session_id);                         /* SessionId */
    memcpy(header, fields.data, fields.size);
    buf_release(&fields);
}

/* Room a message takes in the output buffer. */
static size_t wire_size(const struct smb_conn *conn, size_t size)
{
    return FRAME_LENGTH_SIZE + (conn->encrypt ? SMB_TRANSFORM_SIZE : 0) + size;
}

static bool can_send(const struct smb_conn *conn, uint32_t charge, size_t size)
{
    return conn->credits >= charge && buf_ok(&conn->output) &&
           wire_size(conn, size) <= conn->output.size_max - conn->output.size;
}

/* Everything about a request that is settled when it leaves. */
static void stamp(struct smb_conn *conn, struct smb_request *request, uint32_t next,
                  uint8_t *header)
{
    request->message_id = conn->message_id_next;
    conn->message_id_next += request->charge;
    conn->credits -= request->charge;
    conn->counts.requests++;
    fill_header(conn, request, next, header);
}

static void count_message(struct smb_conn *conn)
{
    conn->counts.messages++;
    conn->counts.turns += conn->answered || conn->counts.turns == 0;
    conn->answered = false;
}

/* Frames head || payload and seals it into the output buffer, or copies it there, where *plain then
 * points to it. */
static int put_frame(struct smb_conn *conn, const struct buf *head, const uint8_t *payload,
                     size_t payload_size, uint8_t **plain)
{
    size_t frame_size = wire_size(conn, head->size + payload_size) - FRAME_LENGTH_SIZE;
    bool sealed = true;
    buf_u32be(&conn->output, (uint32_t)frame_size);
    if (conn->encrypt) {
        uint8_t *out = buf_extend(&conn->output, frame_size);
        sealed = out != NULL && smb_seal(conn->crypto, conn->session_id, head->data, head->size,
                                         payload, payload_size, out);
    } else {
        buf_bytes(&conn->output, head->data, head->size);
        buf_bytes(&conn->output, payload, payload_size);
        *plain = conn->output.data + conn->output.size - frame_size;
    }
    count_message(conn);
    if (!sealed || !buf_ok(&conn->output))
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_INTERNAL, 0, "cannot encrypt a message");
    return 0;
}

/* Puts the message on the wire: assigns ids, signs or seals into the output buffer. */
static int send_now(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                    const uint8_t *payload, size_t payload_size)
{
    uint8_t *plain = NULL;
    stamp(conn, request, 0, message->data);
    if (conn->state < SMB_STATE_READY) /* only NEGOTIATE and SESSION_SETUP leave so early */
        smb_preauth_add(conn, message->data, message->size);
    smb_queue_push(&conn->sent, request);
    if (put_frame(conn, message, payload, payload_size, &plain) != 0)
        return -1;
    if (plain != NULL && conn->crypto != NULL)
        smb_sign(conn->crypto, plain, message->size + payload_size, plain + SMB_SIGNATURE_OFFSET);
    return 0;
}

/* The first `count` deferred requests as one message of `size` bytes: every part is padded to 8
 * bytes but the last (3.2.4.1.4), and signed by itself, padding included (3.1.4.1). */
static void send_compound(struct smb_conn *conn, size_t count, size_t size)
{
    struct buf message;
    buf_init(&message, size);
    for (size_t left = count; left > 0; left--) {
        struct smb_request *request = smb_queue_pop(&conn->deferred);
        struct buf *part = &request->deferred;
        conn->deferred_size -= part->size;
        part->size_max += 8;
        if (left > 1)
            buf_align(part, 0, 8);
        stamp(conn, request, left > 1 ? (uint32_t)part->size : 0, part->data);
        if (!conn->encrypt)
            smb_sign(conn->crypto, part->data, part->size, part->data + SMB_SIGNATURE_OFFSET);
        buf_bytes(&message, part->data, part->size);
        buf_release(part);
        smb_queue_push(&conn->sent, request);
    }
    uint8_t *plain = NULL;
    (void)put_frame(conn, &message, NULL, 0, &plain); /* a failure stays with the connection */
    buf_release(&message);
}

static void send_first(struct smb_conn *conn)
{
    struct smb_request *request = smb_queue_pop(&conn->deferred);
    struct buf message = request->deferred;
    buf_init(&request->deferred, 0);
    conn->deferred_size -= message.size;
    (void)send_now(conn, request, &message, NULL, 0);
    buf_release(&message);
}

static int too_many(const struct smb_conn *conn, struct err *err)
{
    return err_set(err, ERR_LIMIT, "too many requests wait for %s", conn->config.host);
}

static int defer(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                 const uint8_t *payload, size_t payload_size, struct err *err)
{
    buf_bytes(message, payload, payload_size);
    if (payload_size > DEFERRED_PAYLOAD_MAX || !buf_ok(message) ||
        message->size > SMB_DEFERRED_SIZE_MAX - conn->deferred_size)
        return too_many(conn, err);
    conn->deferred_size += message->size;
    request->deferred = *message;
    buf_init(message, 0);
    smb_queue_push(&conn->deferred, request);
    return 0;
}

int smb_submit(struct smb_conn *conn, struct smb_request *request, struct buf *message,
               const uint8_t *payload, size_t payload_size, struct err *err)
{
    int result = 0;
    if (conn->collecting)
        return smb_compound_collect(conn, request, message, payload, payload_size, err);
    if (!buf_ok(message))
        result = err_set(err, ERR_INVALID, "request to %s is too large", conn->config.host);
    else if (conn->deferred.count == 0 &&
             can_send(conn, request->charge, message->size + payload_size)) {
        if (send_now(conn, request, message, payload, payload_size) != 0) {
            if (err != NULL)
                *err = conn->error;
            buf_release(message);
            return -1; /* the request is in the sent queue */
        }
    } else
        result = defer(conn, request, message, payload, payload_size, err);
    buf_release(message);
    if (result != 0)
        smb_request_free(request);
    return result;
}

/* The frame is laid out in the output buffer and protected there. */
static int send_in_place(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                         const struct smb_write_request *wanted, struct err *err)
{
    size_t before = conn->output.size;
    size_t size = message->size + wanted->size;
    size_t frame_size = wire_size(conn, size);
    uint8_t *frame = buf_extend(&conn->output, frame_size);
    uint8_t *plain = frame + frame_size - size;
    if (wanted->read(wanted->context, wanted->offset, plain + message->size, wanted->size, err) !=
        0) {
        conn->output.size = before;
        smb_request_free(request);
        return -1;
    }
    stamp(conn, request, 0, message->data);
    smb_queue_push(&conn->sent, request);
    memcpy(plain, message->data, message->size);
    for (size_t i = 0; i < FRAME_LENGTH_SIZE; i++)
        frame[i] = (uint8_t)((frame_size - FRAME_LENGTH_SIZE) >> (8 * (FRAME_LENGTH_SIZE - 1 - i)));
    count_message(conn);
    if (!conn->encrypt) {
        smb_sign(conn->crypto, plain, size, plain + SMB_SIGNATURE_OFFSET);
        return 0;
    }
    if (smb_seal(conn->crypto, conn->session_id, plain, message->size, plain + message->size,
                 wanted->size, frame + FRAME_LENGTH_SIZE))
        return 0;
    (void)smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_INTERNAL, 0, "cannot encrypt a message");
    if (err != NULL)
        *err = conn->error;
    return -1;
}

int smb_submit_from(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                    const struct smb_write_request *wanted, struct err *err)
{
    int result;
    if (conn->collecting || conn->deferred.count > 0 ||
        !can_send(conn, request->charge, message->size + wanted->size)) {
        smb_request_free(request);
        result = too_many(conn, err);
    } else {
        result = send_in_place(conn, request, message, wanted, err);
    }
    buf_release(message);
    return result;
}

void smb_send_deferred(struct smb_conn *conn)
{
    while (conn->state != SMB_STATE_FAILED && conn->deferred.head != NULL) {
        struct smb_request *first = conn->deferred.head;
        size_t size = 0;
        uint32_t charge = 0;
        size_t count = smb_compound_first(conn, &size, &charge);
        if (first->related)
            return; /* what it rests on was sent alone and is not answered yet */
        if (count > 1 && can_send(conn, charge, size))
            send_compound(conn, count, size);
        else if ((count == 1 || conn->sent.count == 0) &&
                 can_send(conn, first->charge, first->deferred.size))
            send_first(conn); /* no answer is out that could bring more credits */
        else
            return;
    }
}

const uint8_t *smb_message_bytes(const struct smb_message *message, uint32_t offset, uint32_t size)
{
    if (size == 0)
        return message->bytes + SMB_HEADER_SIZE;
    if (offset < SMB_HEADER_SIZE || offset > message->size || size > message->size - offset)
        return NULL;
    return message->bytes + offset;
}

bool smb_signature_good(struct smb_conn *conn, const struct smb_message *message)
{
    return (message->flags & SMB_FLAG_SIGNED) != 0 &&
           smb_sign_check(conn->crypto, message->bytes, message->size);
}

/* 2.2.1 header of one message in a frame; -1: not one. */
static int read_header(struct smb_message *message, const uint8_t *bytes, size_t size)
{
    struct cursor c = cursor_of(bytes, size);
    memset(message, 0, sizeof *message);
    uint32_t protocol = cursor_u32be(&c);
    uint16_t structure_size = cursor_u16le(&c);
    cursor_skip(&c, 2); /* CreditCharge */
    message->status = cursor_u32le(&c);
    message->command = cursor_u16le(&c);
    message->credits = cursor_u16le(&c);
    message->flags = cursor_u32le(&c);
    message->next = cursor_u32le(&c);
    message->message_id = cursor_u64le(&c);
    cursor_skip(&c, 4); /* Reserved, or half of AsyncId */
    uint32_t tree = cursor_u32le(&c);
    message->tree = (message->flags & SMB_FLAG_ASYNC) != 0 ? 0 : tree;
    message->session_id = cursor_u64le(&c);
    cursor_skip(&c, SMB_SIGNATURE_SIZE);
    message->bytes = bytes;
    message->size = message->next != 0 ? message->next : size;
    if (!cursor_ok(&c) || protocol != 0xFE534D42U || structure_size != SMB_HEADER_SIZE ||
        (message->flags & SMB_FLAG_RESPONSE) == 0)
        return -1;
    if (message->next != 0 && (message->next < SMB_HEADER_SIZE || message->next % 8 != 0 ||
                               message->next > size - SMB_HEADER_SIZE))
        return -1;
    message->body = cursor_of(bytes, message->size);
    cursor_seek(&message->body, SMB_HEADER_SIZE);
    return 0;
}

/* [MS-SMB2] 3.2.5.1.6: the server has no session of ours any more. */
static int fail_session(struct smb_conn *conn, const struct smb_message *message)
{
    char text[64];
    return smb_fail(conn, SMB_FAILURE_SESSION_LOST, ERR_UNAVAILABLE, message->status,
                    "%s dropped the session: %s", conn->config.host,
                    smb_status_text(message->status, text));
}

static bool session_is_gone(uint32_t status)
{
    return status == NTSTATUS_USER_SESSION_DELETED || status == NTSTATUS_NETWORK_SESSION_EXPIRED;
}

/* Whether an answer may be believed once the session has keys (3.2.5.1.3). An interim answer may
 * come unsigned: it changes nothing but the number of credits. So may word that the session is
 * gone, from a server that has no key for it any more: it ends the connection either way. */
static int check_protection(struct smb_conn *conn, const struct smb_message *message, bool sealed)
{
    char text[64];
    if (conn->crypto == NULL)
        return 0; /* NEGOTIATE and SESSION_SETUP see to themselves */
    bool is_signed = (message->flags & SMB_FLAG_SIGNED) != 0;
    if (sealed || (!conn->encrypt && is_signed)) {
        if (!sealed && !smb_signature_good(conn, message))
            return smb_fail(conn, SMB_FAILURE_SIGNING, ERR_DENIED, message->status,
                            "an answer of %s has a wrong signature", conn->config.host);
        if (message->session_id != conn->session_id)
            return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, message->status,
                            "an answer of %s is for another session", conn->config.host);
        return session_is_gone(message->status) ? fail_session(conn, message) : 0;
    }
    if (session_is_gone(message->status))
        return fail_session(conn, message);
    if (!conn->encrypt && message->status == NTSTATUS_PENDING)
        return 0;
    return smb_fail(conn, SMB_FAILURE_SIGNING, ERR_DENIED, message->status,
                    "an answer of %s is not %s: %s", conn->config.host,
                    conn->encrypt ? "encrypted" : "signed", smb_status_text(message->status, text));
}

/* Whether a body of the usual form follows this status: successes and informations have one, errors
 * and most warnings carry an error body instead (2.2.2). */
static bool has_body(const struct smb_message *message)
{
    if (message->status == NTSTATUS_BUFFER_OVERFLOW)
        return message->command == SMB_COMMAND_READ || message->command == SMB_COMMAND_IOCTL ||
               message->command == SMB_COMMAND_QUERY_INFO;
    return message->status >> 30 < 2 || (message->status == NTSTATUS_MORE_PROCESSING_REQUIRED &&
                                         message->command == SMB_COMMAND_SESSION_SETUP);
}

/* A success to the caller that brings nothing of what he asked for: it must not become one with
 * fields of zero. Only a listing may come to nothing. */
static bool is_hollow(const struct smb_message *message)
{
    return !has_body(message) && !ntstatus_is_error(message->status) &&
           message->command != SMB_COMMAND_QUERY_DIRECTORY;
}

/* NEGOTIATE, SESSION_SETUP and the validation judge errors themselves. */
static bool judges_errors(const struct smb_request *request)
{
    return request->command == SMB_COMMAND_NEGOTIATE ||
           request->command == SMB_COMMAND_SESSION_SETUP || request->silent;
}

static int finish_request(struct smb_conn *conn, struct smb_request *request,
                          struct smb_message *message)
{
    int result = 0;
    request->reply.status = message->status;
    if (has_body(message) || judges_errors(request))
        result = request->answer(conn, request, message);
    else if (is_hollow(message))
        result = -1;
    if (result != 0) {
        smb_request_free(request);
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, message->status,
                        "an answer of %s to command %u is malformed", conn->config.host,
                        message->command);
    }
    if (request->silent) {
        smb_request_free(request);
        return 0;
    }
    smb_queue_push(&conn->done, request);
    if (request->chain != 0)
        smb_compound_answered(conn, request);
    return 0;
}

static int handle_message(struct smb_conn *conn, struct smb_message *message, bool sealed)
{
    if (message->message_id == NO_MESSAGE_ID && message->command == SMB_COMMAND_OPLOCK_BREAK)
        return 0; /* we hold no oplocks: nothing to give back */
    struct smb_request *request = smb_queue_take(&conn->sent, message->message_id);
    if (request == NULL || request->command != message->command) {
        smb_request_free(request);
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, message->status,
                        "%s answers a request that was not made", conn->config.host);
    }
    if (check_protection(conn, message, sealed) != 0) {
        smb_request_free(request);
        return -1;
    }
    conn->credits += message->credits;
    if (conn->credits > CREDITS_MAX)
        conn->credits = CREDITS_MAX;
    if (message->status == NTSTATUS_PENDING) { /* interim, 3.2.5.1.5: the answer is still to come */
        if ((message->flags & SMB_FLAG_ASYNC) == 0 || conn->state < SMB_STATE_READY) {
            smb_request_free(request);
            return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, message->status,
                            "an interim answer of %s has no async id", conn->config.host);
        }
        smb_queue_push(&conn->sent, request);
        return 0;
    }
    if (finish_request(conn, request, message) != 0)
        return -1;
    if (conn->credits == 0 && conn->sent.count == 0 && conn->state != SMB_STATE_LOGGED_OFF)
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, message->status,
                        "%s grants no more credits", conn->config.host);
    return 0;
}

/* The messages of a frame, one after the other as NextCommand says. */
static int handle_chain(struct smb_conn *conn, const uint8_t *bytes, size_t size, bool sealed)
{
    size_t at = 0;
    for (;;) {
        struct smb_message message;
        if (read_header(&message, bytes + at, size - at) != 0)
            return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, 0,
                            "%s sent a malformed header", conn->config.host);
        if (handle_message(conn, &message, sealed) != 0)
            return -1;
        if (message.next == 0)
            return 0;
        at += message.next;
    }
}

int smb_handle_frame(struct smb_conn *conn, uint8_t *bytes, size_t size)
{
    struct cursor c = cursor_of(bytes, size);
    uint32_t protocol = cursor_u32be(&c);
    conn->answered = true;
    switch (cursor_ok(&c) ? protocol : 0) {
    case 0xFE534D42U: /* 2.2.1 */
        return handle_chain(conn, bytes, size, false);
    case 0xFD534D42U: /* 2.2.41 */
        if (conn->crypto == NULL || !conn->encrypt ||
            !smb_open_sealed(conn->crypto, conn->session_id, bytes, size))
            return smb_fail(conn, SMB_FAILURE_SIGNING, ERR_DENIED, 0,
                            "an answer of %s cannot be decrypted", conn->config.host);
        return handle_chain(conn, bytes + SMB_TRANSFORM_SIZE, size - SMB_TRANSFORM_SIZE, true);
    case 0xFF534D42U: /* [MS-CIFS] 2.2.3.1: SMB1 */
        return smb_fail(conn, SMB_FAILURE_DIALECT, ERR_DENIED, 0, "%s speaks SMB1",
                        conn->config.host);
    default:
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, 0, "%s does not speak SMB",
                        conn->config.host);
    }
}
