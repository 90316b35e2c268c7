/* IOCTL: pipe transactions and the validation of the negotiation. */
#include <string.h>

#include "relay/smb/smb_internal.h"

/* [MS-FSCC] 2.3, [MS-SMB2] 2.2.31 CtlCode */
#define FSCTL_PIPE_TRANSCEIVE 0x0011C017U
#define FSCTL_VALIDATE_NEGOTIATE_INFO 0x00140204U
#define IOCTL_IS_FSCTL 1U        /* Flags */
#define IOCTL_FIXED_SIZE 56U     /* 2.2.31 up to Buffer */
#define VALIDATE_ANSWER_SIZE 24U /* 2.2.32.6 */

static int put_ioctl(struct smb_conn *conn, struct smb_request *request, uint32_t code,
                     const uint8_t *input, size_t input_size, struct err *err)
{
    struct buf message;
    smb_message_begin(&message);
    buf_u16le(&message, IOCTL_FIXED_SIZE + 1); /* StructureSize */
    buf_u16le(&message, 0);                    /* Reserved */
    buf_u32le(&message, code);                 /* CtlCode */
    smb_put_file_id(&message, &request->reply.file);
    buf_u32le(&message, SMB_HEADER_SIZE + IOCTL_FIXED_SIZE); /* InputOffset */
    buf_u32le(&message, (uint32_t)input_size);               /* InputCount */
    buf_u32le(&message, 0);                                  /* MaxInputResponse */
    buf_u32le(&message, 0);                                  /* OutputOffset */
    buf_u32le(&message, 0);                                  /* OutputCount */
    buf_u32le(&message, request->limit);                     /* MaxOutputResponse */
    buf_u32le(&message, IOCTL_IS_FSCTL);                     /* Flags */
    buf_u32le(&message, 0);                                  /* Reserved2 */
    buf_bytes(&message, input, input_size);
    return smb_submit(conn, request, &message, NULL, 0, err);
}

/* 2.2.32: the output bytes; NULL when malformed. */
static const uint8_t *read_output(struct smb_request *request, struct smb_message *message,
                                  uint32_t *size)
{
    struct cursor *c = &message->body;
    uint16_t structure_size = cursor_u16le(c);
    cursor_skip(c, 2 + 4 + 16 + 4 + 4); /* Reserved, CtlCode, FileId, InputOffset, InputCount */
    uint32_t offset = cursor_u32le(c);
    *size = cursor_u32le(c);
    cursor_skip(c, 4 + 4); /* Flags, Reserved2 */
    if (!cursor_ok(c) || structure_size != 49 || *size > request->limit)
        return NULL;
    return smb_message_bytes(message, offset, *size);
}

static int answer_transceive(struct smb_conn *conn, struct smb_request *request,
                             struct smb_message *message)
{
    (void)conn;
    uint32_t size = 0;
    const uint8_t *output = read_output(request, message, &size);
    if (output == NULL)
        return -1;
    smb_request_keep(request, output, size);
    return 0;
}

int smb_pipe_transceive(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                        const uint8_t *bytes, size_t size, uint32_t output_size_max,
                        struct err *err)
{
    if (smb_check_ready(conn, err) != 0)
        return -1;
    if (size > SMB_READ_SIZE_MAX || size > conn->transact_size_max || output_size_max == 0 ||
        output_size_max > conn->server.read_size_max)
        return err_set(err, ERR_INVALID, "a pipe transaction of %zu and %u bytes is over the limit",
                       size, output_size_max);
    struct smb_request *request = smb_request_new(SMB_COMMAND_IOCTL, SMB_OP_PIPE_TRANSCEIVE, tag);
    request->tree = file.tree;
    request->reply.file = file;
    request->limit = output_size_max;
    request->answer = answer_transceive;
    return put_ioctl(conn, request, FSCTL_PIPE_TRANSCEIVE, bytes, size, err);
}

/* Below 3.0 servers may not know the question; signed, their refusal proves as much (3.2.5.14.12).
 */
static bool may_refuse(const struct smb_conn *conn, uint32_t status)
{
    return conn->server.dialect < SMB_DIALECT_3_0 &&
           (status == NTSTATUS_NOT_SUPPORTED || status == NTSTATUS_INVALID_DEVICE_REQUEST ||
            status == NTSTATUS_FILE_CLOSED);
}

static int fail_validation(struct smb_conn *conn, uint32_t status)
{
    char text[64];
    return smb_fail(conn, SMB_FAILURE_SIGNING, ERR_DENIED, status,
                    "the SMB negotiation with %s was tampered with: %s", conn->config.host,
                    smb_status_text(status, text));
}

static int answer_validate(struct smb_conn *conn, struct smb_request *request,
                           struct smb_message *message)
{
    uint8_t guid[16];
    uint32_t size = 0;
    if (may_refuse(conn, message->status)) {
        conn->validating = false;
        return 0;
    }
    if (message->status != NTSTATUS_SUCCESS)
        return fail_validation(conn, message->status);
    const uint8_t *output = read_output(request, message, &size);
    if (output == NULL)
        return -1;
    struct cursor c = cursor_of(output, size);
    uint32_t capabilities = cursor_u32le(&c);
    cursor_copy(&c, guid, sizeof guid);
    uint16_t security_mode = cursor_u16le(&c);
    uint16_t dialect = cursor_u16le(&c);
    if (!cursor_ok(&c) || capabilities != conn->capabilities ||
        memcmp(guid, conn->server_guid, sizeof guid) != 0 ||
        security_mode != conn->server_security_mode || dialect != conn->server.dialect)
        return fail_validation(conn, message->status);
    conn->validating = false;
    return 0;
}

int smb_validate_send(struct smb_conn *conn, uint32_t tree)
{
    uint16_t dialects[4];
    size_t count = smb_offered_dialects(conn, dialects);
    struct buf input;
    buf_init(&input, 64);
    buf_u32le(&input, smb_offered_capabilities(conn)); /* 2.2.31.4 Capabilities */
    buf_bytes(&input, conn->config.client_guid, 16);   /* Guid */
    buf_u16le(&input, SMB_SIGNING_REQUIRED);           /* SecurityMode */
    buf_u16le(&input, (uint16_t)count);                /* DialectCount */
    for (size_t i = 0; i < count; i++)
        buf_u16le(&input, dialects[i]);
    struct smb_request *request = smb_request_new(SMB_COMMAND_IOCTL, SMB_OP_PIPE_TRANSCEIVE, 0);
    request->silent = true;
    request->tree = tree;
    request->limit = VALIDATE_ANSWER_SIZE;
    request->reply.file.persistent = UINT64_MAX; /* 2.2.31 FileId: no file */
    request->reply.file.volatile_id = UINT64_MAX;
    request->answer = answer_validate;
    struct err err;
    int result =
        put_ioctl(conn, request, FSCTL_VALIDATE_NEGOTIATE_INFO, input.data, input.size, &err);
    buf_release(&input);
    if (result != 0)
        return smb_fail(conn, SMB_FAILURE_PROTOCOL, ERR_INTERNAL, 0, "%s", err.text);
    conn->validation_asked = true; /* asked once, on the first tree */
    conn->validating = true;
    return 0;
}
