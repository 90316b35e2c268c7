/* CREATE, CLOSE, WRITE, READ, FLUSH. */
#include <string.h>

#include "common/base/utf16.h"
#include "relay/smb/smb_internal.h"

/* [MS-SMB2] 2.2.13 ImpersonationLevel */
#define IMPERSONATION 2U
#define CREATE_FIXED_SIZE 56U /* 2.2.13 up to Buffer */
#define WRITE_FIXED_SIZE 48U  /* 2.2.21 up to Buffer */
#define SECURITY_DESCRIPTOR_SIZE_MAX 32768U

void smb_put_file_id(struct buf *message, const struct smb_file *file)
{
    buf_u64le(message, file->persistent);
    buf_u64le(message, file->volatile_id);
}

int smb_put_path(struct buf *out, const char *path, struct err *err)
{
    if (strlen(path) > SMB_PATH_SIZE_MAX)
        return err_set(err, ERR_INVALID, "path is longer than %u bytes", SMB_PATH_SIZE_MAX);
    if (utf16_from_utf8(out, path) != 0)
        return err_set(err, ERR_INVALID, "path is not UTF-8");
    return 0;
}

int smb_answer_plain(struct smb_conn *conn, struct smb_request *request,
                     struct smb_message *message)
{
    (void)conn;
    (void)request;
    cursor_skip(&message->body,
                2); /* StructureSize: 4 in FLUSH and TREE_DISCONNECT, 2 in SET_INFO */
    return cursor_ok(&message->body) ? 0 : -1;
}

/* A request about an open file. */
static struct smb_request *file_request(enum smb_command command, enum smb_op op, uint64_t tag,
                                        struct smb_file file)
{
    struct smb_request *request = smb_request_new(command, op, tag);
    request->tree = file.tree;
    request->reply.file = file;
    request->answer = smb_answer_plain;
    return request;
}

static int answer_create(struct smb_conn *conn, struct smb_request *request,
                         struct smb_message *message)
{
    (void)conn;
    struct cursor *c = &message->body;
    struct smb_reply *reply = &request->reply;
    uint16_t structure_size = cursor_u16le(c);
    cursor_skip(c, 1 + 1); /* OplockLevel, Flags */
    reply->create_action = cursor_u32le(c);
    cursor_skip(c, 8 + 8); /* CreationTime, LastAccessTime */
    reply->info.written = cursor_u64le(c);
    cursor_skip(c, 8 + 8); /* ChangeTime, AllocationSize */
    reply->info.size = cursor_u64le(c);
    reply->info.attributes = cursor_u32le(c);
    cursor_skip(c, 4);
    reply->file.persistent = cursor_u64le(c);
    reply->file.volatile_id = cursor_u64le(c);
    cursor_skip(c, 4 + 4); /* create contexts: none asked back */
    reply->info.directory = (reply->info.attributes & SMB_ATTRIBUTE_DIRECTORY) != 0;
    return cursor_ok(c) && structure_size == 89 ? 0 : -1;
}

/* 2.2.13.2.2 SMB2_CREATE_SD_BUFFER: one context, the only one. */
static void put_security_context(struct buf *message, const struct smb_create_request *wanted,
                                 size_t offset_at)
{
    buf_align(message, 0, 8);
    size_t start = message->size;
    buf_u32le(message, 0);                                          /* Next */
    buf_u16le(message, 16);                                         /* NameOffset */
    buf_u16le(message, 4);                                          /* NameLength */
    buf_u16le(message, 0);                                          /* Reserved */
    buf_u16le(message, 24);                                         /* DataOffset */
    buf_u32le(message, (uint32_t)wanted->security_descriptor_size); /* DataLength */
    buf_text(message, "SecD");
    buf_zero(message, 4);
    buf_bytes(message, wanted->security_descriptor, wanted->security_descriptor_size);
    buf_patch_u32le(message, offset_at, (uint32_t)start);
    buf_patch_u32le(message, offset_at + 4, (uint32_t)(message->size - start));
}

static int build_create(struct buf *message, const struct smb_create_request *wanted,
                        struct err *err)
{
    buf_u16le(message, CREATE_FIXED_SIZE + 1);               /* StructureSize */
    buf_u8(message, 0);                                      /* SecurityFlags */
    buf_u8(message, 0);                                      /* RequestedOplockLevel: none */
    buf_u32le(message, IMPERSONATION);                       /* ImpersonationLevel */
    buf_zero(message, 8 + 8);                                /* SmbCreateFlags, Reserved */
    buf_u32le(message, wanted->access);                      /* DesiredAccess */
    buf_u32le(message, wanted->attributes);                  /* FileAttributes */
    buf_u32le(message, wanted->share);                       /* ShareAccess */
    buf_u32le(message, wanted->disposition);                 /* CreateDisposition */
    buf_u32le(message, wanted->options);                     /* CreateOptions */
    buf_u16le(message, SMB_HEADER_SIZE + CREATE_FIXED_SIZE); /* NameOffset */
    buf_u16le(message, 0);                                   /* NameLength */
    size_t contexts_at = message->size;
    buf_zero(message, 4 + 4); /* CreateContextsOffset, Length */
    size_t name_at = message->size;
    if (smb_put_path(message, wanted->path, err) != 0)
        return -1;
    buf_patch_u16le(message, contexts_at - 2, (uint16_t)(message->size - name_at));
    if (wanted->security_descriptor != NULL)
        put_security_context(message, wanted, contexts_at);
    else if (message->size == name_at)
        buf_zero(message, 1); /* Buffer has at least one byte */
    return 0;
}

int smb_create(struct smb_conn *conn, uint64_t tag, uint32_t tree,
               const struct smb_create_request *wanted, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    if (wanted->security_descriptor_size > SECURITY_DESCRIPTOR_SIZE_MAX)
        return err_set(err, ERR_INVALID, "security descriptor is longer than %u bytes",
                       SECURITY_DESCRIPTOR_SIZE_MAX);
    smb_message_begin(&message);
    if (build_create(&message, wanted, err) != 0) {
        buf_release(&message);
        return -1;
    }
    struct smb_request *request =
        file_request(SMB_COMMAND_CREATE, SMB_OP_CREATE, tag, (struct smb_file){.tree = tree});
    request->answer = answer_create;
    return smb_submit(conn, request, &message, NULL, 0, err);
}

int smb_close(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    smb_message_begin(&message);
    buf_u16le(&message, 24); /* StructureSize, 2.2.15 */
    buf_u16le(&message, 0);  /* Flags */
    buf_u32le(&message, 0);  /* Reserved */
    smb_put_file_id(&message, &file);
    struct smb_request *request = file_request(SMB_COMMAND_CLOSE, SMB_OP_CLOSE, tag, file);
    return smb_submit(conn, request, &message, NULL, 0, err);
}

int smb_flush(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    smb_message_begin(&message);
    buf_u16le(&message, 24); /* StructureSize, 2.2.17 */
    buf_u16le(&message, 0);  /* Reserved1 */
    buf_u32le(&message, 0);  /* Reserved2 */
    smb_put_file_id(&message, &file);
    struct smb_request *request = file_request(SMB_COMMAND_FLUSH, SMB_OP_FLUSH, tag, file);
    return smb_submit(conn, request, &message, NULL, 0, err);
}

static int answer_write(struct smb_conn *conn, struct smb_request *request,
                        struct smb_message *message)
{
    (void)conn;
    struct cursor *c = &message->body;
    uint16_t structure_size = cursor_u16le(c);
    cursor_skip(c, 2);
    request->reply.count = cursor_u32le(c);
    return cursor_ok(c) && structure_size == 17 && request->reply.count <= request->limit ? 0 : -1;
}

/* A WRITE but for its bytes. NULL: it can't be made. */
static struct smb_request *write_request(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                                         uint64_t offset, size_t size, struct buf *message,
                                         struct err *err)
{
    if (smb_check_ready(conn, err) != 0)
        return NULL;
    if (size == 0 || size > conn->server.write_size_max) {
        (void)err_set(err, ERR_INVALID, "a write of %zu bytes is not between 1 and %u", size,
                      conn->server.write_size_max);
        return NULL;
    }
    smb_message_begin(message);
    buf_u16le(message, WRITE_FIXED_SIZE + 1);               /* StructureSize */
    buf_u16le(message, SMB_HEADER_SIZE + WRITE_FIXED_SIZE); /* DataOffset */
    buf_u32le(message, (uint32_t)size);                     /* Length */
    buf_u64le(message, offset);                             /* Offset */
    smb_put_file_id(message, &file);
    buf_zero(message, 4 + 4 + 2 + 2 + 4); /* Channel, RemainingBytes, WriteChannelInfo, Flags */
    struct smb_request *request = file_request(SMB_COMMAND_WRITE, SMB_OP_WRITE, tag, file);
    request->charge = conn->multi_credit ? smb_charge(size) : 1;
    request->limit = (uint32_t)size;
    request->answer = answer_write;
    return request;
}

int smb_write(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
              const uint8_t *bytes, size_t size, struct err *err)
{
    struct buf message;
    struct smb_request *request = write_request(conn, tag, file, offset, size, &message, err);
    return request != NULL ? smb_submit(conn, request, &message, bytes, size, err) : -1;
}

int smb_write_from(struct smb_conn *conn, uint64_t tag, const struct smb_write_request *wanted,
                   struct err *err)
{
    struct buf message;
    struct smb_request *request =
        write_request(conn, tag, wanted->file, wanted->offset, wanted->size, &message, err);
    return request != NULL ? smb_submit_from(conn, request, &message, wanted, err) : -1;
}

static int answer_read(struct smb_conn *conn, struct smb_request *request,
                       struct smb_message *message)
{
    (void)conn;
    struct cursor *c = &message->body;
    uint16_t structure_size = cursor_u16le(c);
    uint8_t offset = cursor_u8(c);
    cursor_skip(c, 1);
    uint32_t size = cursor_u32le(c);
    cursor_skip(c, 4 + 4); /* DataRemaining, Reserved2 */
    const uint8_t *data = smb_message_bytes(message, offset, size);
    if (!cursor_ok(c) || structure_size != 17 || data == NULL || size > request->limit)
        return -1;
    smb_request_keep(request, data, size);
    return 0;
}

int smb_read(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
             uint32_t size, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    if (size == 0 || size > conn->server.read_size_max)
        return err_set(err, ERR_INVALID, "a read of %u bytes is not between 1 and %u", size,
                       conn->server.read_size_max);
    smb_message_begin(&message);
    buf_u16le(&message, 49);     /* StructureSize, 2.2.19 */
    buf_u8(&message, 80);        /* Padding: where the answer's data should start */
    buf_u8(&message, 0);         /* Flags */
    buf_u32le(&message, size);   /* Length */
    buf_u64le(&message, offset); /* Offset */
    smb_put_file_id(&message, &file);
    buf_u32le(&message, 0);            /* MinimumCount */
    buf_zero(&message, 4 + 4 + 2 + 2); /* Channel, RemainingBytes, ReadChannelInfo */
    buf_u8(&message, 0);               /* Buffer has at least one byte */
    struct smb_request *request = file_request(SMB_COMMAND_READ, SMB_OP_READ, tag, file);
    request->limit = size;
    request->answer = answer_read;
    return smb_submit(conn, request, &message, NULL, 0, err);
}
