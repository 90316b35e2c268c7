/* SET_INFO, QUERY_INFO, QUERY_DIRECTORY. Layouts are [MS-FSCC]'s. */
#include <string.h>

#include "common/base/utf16.h"
#include "relay/smb/smb_internal.h"

/* [MS-SMB2] 2.2.37 InfoType */
enum info_type { INFO_FILE = 1, INFO_FILESYSTEM = 2, INFO_SECURITY = 3 };

/* [MS-FSCC] 2.4, 2.5 */
enum file_info_class {
    FILE_DIRECTORY_INFORMATION = 1,
    FILE_BASIC_INFORMATION = 4,
    FILE_STANDARD_INFORMATION = 5,
    FILE_RENAME_INFORMATION = 10,
    FILE_DISPOSITION_INFORMATION = 13,
    FILE_ALLOCATION_INFORMATION = 19,
    FILE_ATTRIBUTE_TAG_INFORMATION = 35,
    FILE_FS_FULL_SIZE_INFORMATION = 7,
};

#define SET_INFO_FIXED_SIZE 32U        /* [MS-SMB2] 2.2.39 up to Buffer */
#define QUERY_DIRECTORY_FIXED_SIZE 32U /* 2.2.33 up to Buffer */
#define QUERY_SIZE_MAX 65536U          /* one credit's worth of answer */
#define DIRECTORY_ENTRY_FIXED_SIZE 64U /* [MS-FSCC] 2.4.10 up to FileName */
#define RESTART_SCANS 1U               /* 2.2.33 Flags */

/* SET_INFO with this information; takes nothing. */
static int set_info(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                    enum file_info_class info_class, const struct buf *information, struct err *err)
{
    struct buf message;
    smb_message_begin(&message);
    buf_u16le(&message, SET_INFO_FIXED_SIZE + 1);               /* StructureSize */
    buf_u8(&message, INFO_FILE);                                /* InfoType */
    buf_u8(&message, (uint8_t)info_class);                      /* FileInfoClass */
    buf_u32le(&message, (uint32_t)information->size);           /* BufferLength */
    buf_u16le(&message, SMB_HEADER_SIZE + SET_INFO_FIXED_SIZE); /* BufferOffset */
    buf_u16le(&message, 0);                                     /* Reserved */
    buf_u32le(&message, 0);                                     /* AdditionalInformation */
    smb_put_file_id(&message, &file);
    buf_bytes(&message, information->data, information->size);
    struct smb_request *request = smb_request_new(SMB_COMMAND_SET_INFO, SMB_OP_SET_INFO, tag);
    request->tree = file.tree;
    request->reply.file = file;
    request->answer = smb_answer_plain;
    return smb_submit(conn, request, &message, NULL, 0, err);
}

int smb_rename(struct smb_conn *conn, uint64_t tag, struct smb_file file, const char *new_path,
               bool replace, struct err *err)
{
    struct buf information;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    buf_init(&information, 4 * (size_t)SMB_PATH_SIZE_MAX);
    /* [MS-FSCC] 2.4.42.2 FileRenameInformation for SMB2 */
    buf_u8(&information, replace ? 1 : 0); /* ReplaceIfExists */
    buf_zero(&information, 7);
    buf_u64le(&information, 0); /* RootDirectory */
    buf_u32le(&information, 0); /* FileNameLength */
    size_t name_at = information.size;
    int result = smb_put_path(&information, new_path, err);
    if (result == 0) {
        buf_patch_u32le(&information, name_at - 4, (uint32_t)(information.size - name_at));
        result = set_info(conn, tag, file, FILE_RENAME_INFORMATION, &information, err);
    }
    buf_release(&information);
    return result;
}

int smb_set_attributes(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                       uint32_t attributes, struct err *err)
{
    struct buf information;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    buf_init(&information, 64);
    buf_zero(&information, 4 * 8); /* [MS-FSCC] 2.4.7: a time of 0 is left as it is */
    buf_u32le(&information, attributes);
    buf_u32le(&information, 0);
    int result = set_info(conn, tag, file, FILE_BASIC_INFORMATION, &information, err);
    buf_release(&information);
    return result;
}

int smb_set_delete(struct smb_conn *conn, uint64_t tag, struct smb_file file, bool remove,
                   struct err *err)
{
    struct buf information;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    buf_init(&information, 1);
    buf_u8(&information, remove ? 1 : 0); /* [MS-FSCC] 2.4.11 DeletePending */
    int result = set_info(conn, tag, file, FILE_DISPOSITION_INFORMATION, &information, err);
    buf_release(&information);
    return result;
}

int smb_set_allocation(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t size,
                       struct err *err)
{
    struct buf information;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    buf_init(&information, 8);
    buf_u64le(&information, size); /* [MS-FSCC] 2.4.4 AllocationSize */
    int result = set_info(conn, tag, file, FILE_ALLOCATION_INFORMATION, &information, err);
    buf_release(&information);
    return result;
}

/* QUERY_INFO and QUERY_DIRECTORY answers share their layout (2.2.38, 2.2.34): a cursor over the
 * buffer, failed when it is not inside. */
static struct cursor answer_buffer(struct smb_request *request, struct smb_message *message)
{
    struct cursor *c = &message->body;
    uint16_t structure_size = cursor_u16le(c);
    uint16_t offset = cursor_u16le(c);
    uint32_t size = cursor_u32le(c);
    const uint8_t *bytes = smb_message_bytes(message, offset, size);
    struct cursor buffer = cursor_of(bytes, size);
    if (!cursor_ok(c) || structure_size != 9 || bytes == NULL || size > request->limit)
        cursor_fail(&buffer);
    return buffer;
}

static int answer_bytes(struct smb_conn *conn, struct smb_request *request,
                        struct smb_message *message)
{
    (void)conn;
    struct cursor buffer = answer_buffer(request, message);
    if (!cursor_ok(&buffer))
        return -1;
    smb_request_keep(request, buffer.data, buffer.size);
    return 0;
}

static void read_free_space(struct cursor *c, struct smb_reply *reply)
{
    cursor_skip(c, 8); /* TotalAllocationUnits, [MS-FSCC] 2.5.4 */
    uint64_t units = cursor_u64le(c);
    cursor_skip(c, 8); /* ActualAvailableAllocationUnits */
    uint64_t unit_size = (uint64_t)cursor_u32le(c) * cursor_u32le(c);
    reply->free_bytes =
        unit_size != 0 && units > UINT64_MAX / unit_size ? UINT64_MAX : units * unit_size;
}

static int answer_info(struct smb_conn *conn, struct smb_request *request,
                       struct smb_message *message)
{
    (void)conn;
    struct cursor c = answer_buffer(request, message);
    struct smb_file_info *info = &request->reply.info;
    switch (request->info_class) {
    case SMB_INFO_BASIC:
        cursor_skip(&c, 8 + 8); /* CreationTime, LastAccessTime, [MS-FSCC] 2.4.7 */
        info->written = cursor_u64le(&c);
        cursor_skip(&c, 8);
        info->attributes = cursor_u32le(&c);
        info->directory = (info->attributes & SMB_ATTRIBUTE_DIRECTORY) != 0;
        break;
    case SMB_INFO_STANDARD:
        cursor_skip(&c, 8); /* AllocationSize, [MS-FSCC] 2.4.41 */
        info->size = cursor_u64le(&c);
        cursor_skip(&c, 4);
        info->delete_pending = cursor_u8(&c) != 0;
        info->directory = cursor_u8(&c) != 0;
        break;
    case SMB_INFO_ATTRIBUTE_TAG:
        info->attributes = cursor_u32le(&c); /* [MS-FSCC] 2.4.6 */
        info->reparse_tag = cursor_u32le(&c);
        info->directory = (info->attributes & SMB_ATTRIBUTE_DIRECTORY) != 0;
        break;
    case SMB_INFO_FREE_SPACE:
        read_free_space(&c, &request->reply);
        break;
    }
    return cursor_ok(&c) ? 0 : -1;
}

static uint8_t class_number(enum smb_info_class info_class)
{
    switch (info_class) {
    case SMB_INFO_BASIC:
        return FILE_BASIC_INFORMATION;
    case SMB_INFO_STANDARD:
        return FILE_STANDARD_INFORMATION;
    case SMB_INFO_ATTRIBUTE_TAG:
        return FILE_ATTRIBUTE_TAG_INFORMATION;
    case SMB_INFO_FREE_SPACE:
        return FILE_FS_FULL_SIZE_INFORMATION;
    }
    return 0;
}

/* Sends QUERY_INFO for a request whose answer and limit are set. */
static int query(struct smb_conn *conn, struct smb_request *request, enum info_type type,
                 uint8_t number, uint32_t parts, struct err *err)
{
    struct buf message;
    smb_message_begin(&message);
    buf_u16le(&message, 41);             /* StructureSize, 2.2.37 */
    buf_u8(&message, (uint8_t)type);     /* InfoType */
    buf_u8(&message, number);            /* FileInfoClass */
    buf_u32le(&message, request->limit); /* OutputBufferLength */
    buf_zero(&message, 2 + 2 + 4);       /* InputBuffer: none */
    buf_u32le(&message, parts);          /* AdditionalInformation */
    buf_u32le(&message, 0);              /* Flags */
    smb_put_file_id(&message, &request->reply.file);
    buf_u8(&message, 0); /* Buffer has at least one byte */
    return smb_submit(conn, request, &message, NULL, 0, err);
}

static struct smb_request *query_request(struct smb_conn *conn, enum smb_command command,
                                         enum smb_op op, uint64_t tag, struct smb_file file)
{
    struct smb_request *request = smb_request_new(command, op, tag);
    request->tree = file.tree;
    request->reply.file = file;
    request->limit =
        conn->transact_size_max < QUERY_SIZE_MAX ? conn->transact_size_max : QUERY_SIZE_MAX;
    request->answer = answer_bytes;
    return request;
}

int smb_query_info(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                   enum smb_info_class info_class, struct err *err)
{
    if (smb_check_ready(conn, err) != 0)
        return -1;
    struct smb_request *request =
        query_request(conn, SMB_COMMAND_QUERY_INFO, SMB_OP_QUERY_INFO, tag, file);
    request->info_class = info_class;
    request->answer = answer_info;
    enum info_type type = info_class == SMB_INFO_FREE_SPACE ? INFO_FILESYSTEM : INFO_FILE;
    return query(conn, request, type, class_number(info_class), 0, err);
}

int smb_query_security(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint32_t parts,
                       struct err *err)
{
    if (smb_check_ready(conn, err) != 0)
        return -1;
    struct smb_request *request =
        query_request(conn, SMB_COMMAND_QUERY_INFO, SMB_OP_QUERY_SECURITY, tag, file);
    return query(conn, request, INFO_SECURITY, 0, parts, err);
}

int smb_query_directory(struct smb_conn *conn, uint64_t tag, struct smb_file directory,
                        const char *pattern, bool restart, struct err *err)
{
    struct buf message;
    if (smb_check_ready(conn, err) != 0)
        return -1;
    struct smb_request *request =
        query_request(conn, SMB_COMMAND_QUERY_DIRECTORY, SMB_OP_QUERY_DIRECTORY, tag, directory);
    smb_message_begin(&message);
    buf_u16le(&message, QUERY_DIRECTORY_FIXED_SIZE + 1); /* StructureSize */
    buf_u8(&message, FILE_DIRECTORY_INFORMATION);        /* FileInformationClass */
    buf_u8(&message, restart ? RESTART_SCANS : 0);       /* Flags */
    buf_u32le(&message, 0);                              /* FileIndex */
    smb_put_file_id(&message, &directory);
    buf_u16le(&message, SMB_HEADER_SIZE + QUERY_DIRECTORY_FIXED_SIZE); /* FileNameOffset */
    buf_u16le(&message, 0);                                            /* FileNameLength */
    buf_u32le(&message, request->limit);                               /* OutputBufferLength */
    size_t name_at = message.size;
    if (smb_put_path(&message, pattern, err) != 0) {
        buf_release(&message);
        smb_request_free(request);
        return -1;
    }
    buf_patch_u16le(&message, name_at - 6, (uint16_t)(message.size - name_at));
    return smb_submit(conn, request, &message, NULL, 0, err);
}

/* The name as UTF-8; false when it has none that we can use. */
static bool entry_name(char name[SMB_PATH_SIZE_MAX], const uint8_t *bytes, uint32_t size)
{
    struct buf text;
    buf_init(&text, SMB_PATH_SIZE_MAX - 1);
    bool good = bytes != NULL && utf16_to_utf8(&text, bytes, size) == 0 && buf_ok(&text) &&
                text.size > 0 && memchr(text.data, '\0', text.size) == NULL;
    if (good) {
        memcpy(name, text.data, text.size);
        name[text.size] = '\0';
    }
    buf_release(&text);
    return good;
}

/* Reads the entry at the cursor and moves on to the next; 1: usable, 0: passed over. */
static int read_entry(struct cursor *at, struct smb_directory_entry *entry)
{
    size_t start = at->at;
    uint32_t next = cursor_u32le(at);
    cursor_skip(at, 4 + 8 + 8); /* FileIndex, CreationTime, LastAccessTime */
    entry->info.written = cursor_u64le(at);
    cursor_skip(at, 8); /* ChangeTime */
    entry->info.size = cursor_u64le(at);
    cursor_skip(at, 8); /* AllocationSize */
    entry->info.attributes = cursor_u32le(at);
    uint32_t name_size = cursor_u32le(at);
    entry->info.directory = (entry->info.attributes & SMB_ATTRIBUTE_DIRECTORY) != 0;
    int usable = entry_name(entry->name, cursor_bytes(at, name_size), name_size);
    if (next == 0)
        cursor_seek(at, at->size);
    else if (next < DIRECTORY_ENTRY_FIXED_SIZE)
        cursor_fail(at); /* backwards or into itself: it would never end */
    else
        cursor_seek(at, start + next);
    return usable;
}

bool smb_directory_next(struct cursor *at, struct smb_directory_entry *entry)
{
    while (cursor_ok(at) && cursor_left(at) > 0) {
        memset(entry, 0, sizeof *entry);
        int usable = read_entry(at, entry);
        if (cursor_ok(at) && usable)
            return true;
    }
    return false;
}
