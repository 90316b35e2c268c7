/* The connection as its user sees it: making, feeding, draining, replies; and its queues. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/smb/smb_internal.h"

#define OUTPUT_SIZE_DEFAULT 262144U                /* four credits' worth of file data */
#define OUTPUT_SLACK 131072U                       /* for requests that carry no file data */
#define FRAME_SIZE_MAX (SMB_READ_SIZE_MAX + 4096U) /* the largest answer that we ask for */
#define FRAME_LENGTH_SIZE 4U                       /* [MS-SMB2] 2.1: zero byte, 24-bit length */
#define IDLE_CAPACITY_MAX 8192U /* buffers larger than this are not kept while idle */
#define WRITE_ROOM_STEP SMB_CREDIT_UNIT

static int set_dialects(struct smb_config *config, struct err *err)
{
    if (config->dialect_min == 0)
        config->dialect_min = SMB_DIALECT_3_0_2;
    if (config->dialect_max == 0)
        config->dialect_max = SMB_DIALECT_3_1_1;
    if (config->dialect_min > config->dialect_max)
        return err_set(err, ERR_INVALID, "no SMB dialect is left between minimum and maximum");
    return 0;
}

int smb_conn_new(const struct smb_config *config, struct smb_conn **conn, struct err *err)
{
    struct smb_config own = *config;
    if (config->host == NULL || config->host[0] == '\0' || strlen(config->host) >= AUTH_NAME_SIZE)
        return err_set(err, ERR_INVALID, "no host name, or one too long");
    if (config->credential == NULL)
        return err_set(err, ERR_INVALID, "no credential for %s", config->host);
    if (set_dialects(&own, err) != 0)
        return -1;
    if (own.output_size_max == 0)
        own.output_size_max = OUTPUT_SIZE_DEFAULT;
    struct smb_conn *made = mem_new(1, sizeof *made);
    own.host = mem_strdup(config->host);
    made->config = own;
    made->credits = 1; /* 3.2.4.1.2: what a connection starts with */
    made->server.cipher = "none";
    made->server.signing = "none";
    buf_init(&made->output, (size_t)own.output_size_max + OUTPUT_SLACK);
    buf_init(&made->input, FRAME_LENGTH_SIZE + FRAME_SIZE_MAX);
    smb_negotiate_send(made);
    *conn = made;
    return 0;
}

static void queue_release(struct smb_queue *queue)
{
    struct smb_request *request;
    while ((request = smb_queue_pop(queue)) != NULL)
        smb_request_free(request);
}

/* Gives back what only a living connection needs. */
static void drop_secrets(struct smb_conn *conn)
{
    auth_context_free(conn->auth);
    conn->auth = NULL;
    smb_crypto_free(conn->crypto);
    conn->crypto = NULL;
}

void smb_conn_free(struct smb_conn *conn)
{
    if (conn == NULL)
        return;
    drop_secrets(conn);
    queue_release(&conn->sent);
    queue_release(&conn->deferred);
    queue_release(&conn->collected);
    queue_release(&conn->done);
    smb_request_free(conn->taken);
    buf_release(&conn->output);
    buf_release(&conn->input);
    free((void *)(uintptr_t)conn->config.host); /* owned copy behind a const pointer */
    free(conn);
}

const char *smb_status_text(uint32_t status, char text[64])
{
    const char *name = ntstatus_name(status);
    (void)snprintf(text, 64, "%s (0x%08X)", name != NULL ? name : "status", status);
    return text;
}

int smb_fail(struct smb_conn *conn, enum smb_failure failure, enum err_code code, uint32_t status,
             const char *format, ...)
{
    if (conn->state == SMB_STATE_FAILED)
        return -1;
    va_list args;
    va_start(args, format);
    char text[ERR_TEXT_SIZE];
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    conn->state = SMB_STATE_FAILED;
    conn->failure = failure;
    err_set_native(&conn->error, code, (int64_t)status, "%s", text);
    drop_secrets(conn);
    return -1;
}

/* Bytes still needed to complete what `input` holds: the length, then the frame. */
static int input_wanted(struct smb_conn *conn, size_t *wanted)
{
    if (conn->input.size < FRAME_LENGTH_SIZE) {
        *wanted = FRAME_LENGTH_SIZE - conn->input.size;
        return 0;
    }
    struct cursor c = cursor_of(conn->input.data, FRAME_LENGTH_SIZE);
    uint32_t length = cursor_u32be(&c);
    if (length > FRAME_SIZE_MAX) /* also anything but a session message: its type is the top byte */
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_PROTOCOL, 0,
                        "message of 0x%08x bytes is over the limit or not SMB", length);
    *wanted = FRAME_LENGTH_SIZE + length - conn->input.size;
    return 0;
}

static int take_frame(struct smb_conn *conn)
{
    int result = smb_handle_frame(conn, conn->input.data + FRAME_LENGTH_SIZE,
                                  conn->input.size - FRAME_LENGTH_SIZE);
    if (conn->input.capacity > IDLE_CAPACITY_MAX)
        buf_release(&conn->input);
    else
        buf_reset(&conn->input);
    return result;
}

int smb_conn_receive(struct smb_conn *conn, const uint8_t *bytes, size_t size, struct err *err)
{
    while (size > 0 && conn->state != SMB_STATE_FAILED) {
        size_t wanted = 0;
        if (input_wanted(conn, &wanted) != 0)
            break;
        size_t taken = wanted < size ? wanted : size;
        buf_bytes(&conn->input, bytes, taken);
        bytes += taken;
        size -= taken;
        if (input_wanted(conn, &wanted) != 0)
            break;
        if (wanted == 0 && take_frame(conn) != 0)
            break;
    }
    if (conn->state == SMB_STATE_FAILED) {
        if (err != NULL)
            *err = conn->error;
        return -1;
    }
    smb_send_deferred(conn);
    return 0;
}

bool smb_conn_output(const struct smb_conn *conn, const uint8_t **bytes, size_t *size)
{
    if (conn->state == SMB_STATE_FAILED || conn->output_at == conn->output.size)
        return false;
    *bytes = conn->output.data + conn->output_at;
    *size = conn->output.size - conn->output_at;
    return true;
}

void smb_conn_sent(struct smb_conn *conn, size_t size)
{
    size_t left = conn->output.size - conn->output_at;
    conn->output_at += size < left ? size : left;
    if (conn->output_at < conn->output.size) {
        /* What was sent makes room once it is the larger part: each byte is moved at most once. */
        if (conn->output_at > conn->output.size / 2) {
            buf_consume(&conn->output, conn->output_at);
            conn->output_at = 0;
            smb_send_deferred(conn);
        }
        return;
    }
    conn->output_at = 0;
    if (conn->output.capacity > IDLE_CAPACITY_MAX && conn->sent.count == 0)
        buf_release(&conn->output);
    else
        buf_reset(&conn->output);
    smb_send_deferred(conn);
}

bool smb_conn_next_reply(struct smb_conn *conn, struct smb_reply *reply)
{
    smb_request_free(conn->taken);
    conn->taken = NULL;
    /* Somebody in between could hold the validation up for as long as it takes to push: nobody
     * uses the tree before it is answered. */
    if (conn->validating)
        return false;
    conn->taken = smb_queue_pop(&conn->done);
    if (conn->taken == NULL)
        return false;
    *reply = conn->taken->reply;
    return true;
}

bool smb_conn_holds_logon(const struct smb_conn *conn)
{
    return conn->state == SMB_STATE_LOGON_HELD;
}

int smb_logon(struct smb_conn *conn, struct err *err)
{
    if (conn->state == SMB_STATE_LOGON_HELD)
        (void)smb_session_start(conn);
    if (conn->state != SMB_STATE_FAILED)
        return 0;
    if (err != NULL)
        *err = conn->error;
    return -1;
}

enum smb_failure smb_conn_failure(const struct smb_conn *conn)
{
    return conn->failure;
}

bool smb_conn_ready(const struct smb_conn *conn)
{
    return conn->state == SMB_STATE_READY;
}

bool smb_conn_validating(const struct smb_conn *conn)
{
    return conn->validating;
}

const struct smb_server_info *smb_conn_server(const struct smb_conn *conn)
{
    return &conn->server;
}

size_t smb_conn_pending(const struct smb_conn *conn)
{
    return conn->sent.count + conn->deferred.count;
}

struct smb_counts smb_conn_counts(const struct smb_conn *conn)
{
    return conn->counts;
}

/* Whole credits' worth only, so that a nearly full buffer does not lead to a trickle of tiny
 * writes; one credit stays back for the request that ends the copy. A server that never grants more
 * than one gets its writes one by one: nothing else is on the way that could bring a second. */
uint32_t smb_conn_write_room(const struct smb_conn *conn)
{
    uint32_t size_max = conn->server.write_size_max;
    /* Bytes already sent count too, until the buffer has got rid of them. */
    size_t waiting = conn->output.size;
    uint32_t step = size_max < WRITE_ROOM_STEP ? size_max : WRITE_ROOM_STEP;
    uint32_t spare = conn->sent.count == 0 ? 0 : 1;
    if (conn->state != SMB_STATE_READY || conn->deferred.count > 0 || conn->credits <= spare ||
        waiting >= conn->config.output_size_max || step == 0)
        return 0;
    uint32_t room = conn->config.output_size_max - (uint32_t)waiting;
    uint32_t units = conn->multi_credit && conn->credits > 1 ? conn->credits - 1 : 1;
    if (room / step < units)
        units = room / step;
    if (size_max / step < units)
        units = size_max / step;
    return units * step;
}

void smb_queue_push(struct smb_queue *queue, struct smb_request *request)
{
    request->next = NULL;
    if (queue->tail != NULL)
        queue->tail->next = request;
    else
        queue->head = request;
    queue->tail = request;
    queue->count++;
}

struct smb_request *smb_queue_pop(struct smb_queue *queue)
{
    struct smb_request *request = queue->head;
    if (request == NULL)
        return NULL;
    queue->head = request->next;
    if (queue->head == NULL)
        queue->tail = NULL;
    queue->count--;
    request->next = NULL;
    return request;
}

struct smb_request *smb_queue_take(struct smb_queue *queue, uint64_t message_id)
{
    struct smb_request *before = NULL;
    struct smb_request *at = queue->head;
    while (at != NULL && at->message_id != message_id) {
        before = at;
        at = at->next;
    }
    if (at == NULL)
        return NULL;
    if (before == NULL)
        return smb_queue_pop(queue);
    before->next = at->next;
    if (queue->tail == at)
        queue->tail = before;
    queue->count--;
    at->next = NULL;
    return at;
}

struct smb_request *smb_request_new(enum smb_command command, enum smb_op op, uint64_t tag)
{
    struct smb_request *request = mem_new(1, sizeof *request);
    request->command = (uint16_t)command;
    request->charge = 1;
    request->reply.op = op;
    request->reply.tag = tag;
    return request;
}

void smb_request_free(struct smb_request *request)
{
    if (request == NULL)
        return;
    buf_release(&request->deferred);
    free(request->data);
    free(request);
}

void smb_request_keep(struct smb_request *request, const uint8_t *bytes, size_t size)
{
    free(request->data);
    request->data = mem_new(size > 0 ? size : 1, 1);
    if (size > 0)
        memcpy(request->data, bytes, size);
    request->reply.data = request->data;
    request->reply.data_size = size;
}

const char *smb_dialect_name(uint16_t dialect)
{
    switch (dialect) {
    case SMB_DIALECT_2_1:
        return "SMB 2.1";
    case SMB_DIALECT_3_0:
        return "SMB 3.0";
    case SMB_DIALECT_3_0_2:
        return "SMB 3.0.2";
    case SMB_DIALECT_3_1_1:
        return "SMB 3.1.1";
    default:
        return "SMB ?";
    }
}

const char *smb_failure_name(enum smb_failure failure)
{
    switch (failure) {
    case SMB_FAILURE_NONE:
        return "none";
    case SMB_FAILURE_PROTOCOL:
        return "protocol";
    case SMB_FAILURE_DIALECT:
        return "dialect";
    case SMB_FAILURE_SIGNING:
        return "signing";
    case SMB_FAILURE_ENCRYPTION:
        return "encryption";
    case SMB_FAILURE_LOGON:
        return "logon";
    case SMB_FAILURE_AUTH:
        return "authentication";
    case SMB_FAILURE_CLOCK:
        return "clock";
    case SMB_FAILURE_SESSION_LOST:
        return "session-lost";
    }
    return "?";
}
