/* SMB 3.1.1 as the six stages need it ([MS-SMB2] 3.3.5). */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "relay/sd/sd.h"
#include "relay/smb/smb_internal.h"
#include "tests/bench/light/light.h"

#define FRAME_SIZE_MAX (9U << 20) /* a write of 8 MiB and what stands around it */
#define IO_SIZE_MAX 8388608U      /* as Windows says in NEGOTIATE */
#define CREDITS_MAX 512U
#define FLAG_RELATED 0x4U /* 2.2.1.2 SMB2_FLAGS_RELATED_OPERATIONS */
#define TREE_DISK 1U
#define TREE_PIPE 2U
#define STATUS_PIPE_EMPTY 0xC00000D9U
#define FSCTL_PIPE_TRANSCEIVE 0x0011C017U
#define FILETIME_OF_1970 11644473600ULL

/* What a file number stands for: its low bits. */
enum file_kind { FILE_PLAIN, FILE_FOLDER, FILE_PIPE, FILE_KINDS };

/* A request with its header read; `body` stands behind the header. */
struct request {
    uint8_t *bytes;
    size_t size;
    uint16_t command;
    uint16_t credits;
    uint32_t flags;
    uint64_t message_id;
    uint32_t tree;
    struct cursor body;
};

void light_conn_init(struct light_conn *conn, struct light_site *site, const char *computer,
                     struct hostile *hostile)
{
    memset(conn, 0, sizeof *conn);
    conn->site = site;
    conn->hostile = hostile;
    (void)strncpy(conn->computer, computer, sizeof conn->computer - 1);
    buf_init(&conn->in, 4 + FRAME_SIZE_MAX);
    buf_init(&conn->out, 2 * FRAME_SIZE_MAX);
    buf_init(&conn->reply, FRAME_SIZE_MAX);
    light_logon_init(&conn->logon);
    conn->logon.hostile = hostile;
    conn->logon.place = SMB_COMMAND_SESSION_SETUP;
    site->counts.connections++;
}

void light_conn_release(struct light_conn *conn)
{
    smb_crypto_free(conn->crypto);
    buf_release(&conn->in);
    buf_release(&conn->out);
    buf_release(&conn->reply);
    light_logon_release(&conn->logon);
    if (conn->pipe_open)
        light_pipe_release(&conn->pipe);
    hostile_free(conn->hostile);
}

/* --- Bodies of answers, appended behind the header; each returns the status. --- */

static uint32_t answer_error(struct light_conn *conn, uint32_t status)
{
    buf_u16le(&conn->reply, 9); /* 2.2.2 */
    buf_zero(&conn->reply, 2 + 4 + 1);
    return status;
}

static uint32_t answer_plain(struct light_conn *conn, uint16_t structure_size)
{
    buf_u16le(&conn->reply, structure_size);
    buf_zero(&conn->reply, structure_size == 2 ? 0 : 2);
    return NTSTATUS_SUCCESS;
}

static uint64_t filetime_now(void)
{
    return ((uint64_t)time(NULL) + FILETIME_OF_1970) * 10000000U;
}

static void put_context(struct buf *out, uint16_t type, const void *data, uint16_t size)
{
    buf_u16le(out, type);
    buf_u16le(out, size);
    buf_u32le(out, 0);
    buf_bytes(out, data, size);
}

static uint32_t negotiate(struct light_conn *conn, size_t header_at)
{
    static const uint8_t cipher[4] = {1, 0, SMB_CIPHER_AES_128_GCM, 0};
    static const uint8_t signing[4] = {1, 0, SMB_SIGNING_AES_GMAC, 0};
    uint8_t preauth[6 + 32] = {1, 0, 32, 0, 1, 0}; /* one algorithm, a salt, SHA-512 */
    struct buf *out = &conn->reply;
    conn->encrypts = conn->site->encrypts;
    if (getrandom(preauth + 6, 32, 0) != 32)
        return answer_error(conn, NTSTATUS_ACCESS_DENIED);
    buf_u16le(out, 65); /* StructureSize, 2.2.4 */
    buf_u16le(out, 3);  /* SecurityMode: signing required */
    buf_u16le(out, SMB_DIALECT_3_1_1);
    buf_u16le(out, conn->encrypts ? 3 : 2); /* NegotiateContextCount */
    buf_zero(out, 16);                      /* ServerGuid */
    buf_u32le(out, SMB_CAP_LARGE_MTU);
    buf_u32le(out, IO_SIZE_MAX);
    buf_u32le(out, IO_SIZE_MAX);
    buf_u32le(out, IO_SIZE_MAX);
    buf_u64le(out, filetime_now());
    buf_u64le(out, 0);                    /* ServerStartTime */
    buf_u16le(out, SMB_HEADER_SIZE + 64); /* SecurityBufferOffset */
    buf_u16le(out, 0);
    buf_u32le(out, SMB_HEADER_SIZE + 64); /* NegotiateContextOffset */
    put_context(out, 1, preauth, sizeof preauth);
    buf_align(out, header_at, 8);
    if (conn->encrypts) {
        put_context(out, 2, cipher, sizeof cipher);
        buf_align(out, header_at, 8);
    }
    put_context(out, 8, signing, sizeof signing);
    return NTSTATUS_SUCCESS;
}

static uint32_t session_setup(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2 + 1 + 1 + 4 + 4); /* StructureSize ... Channel, 2.2.5 */
    uint16_t offset = cursor_u16le(&body);
    uint16_t size = cursor_u16le(&body);
    struct cursor token = cursor_sub(&body, offset, size);
    uint8_t key[LIGHT_KEY_SIZE];
    struct buf answer;
    uint32_t status = NTSTATUS_MORE_PROCESSING_REQUIRED;
    if (conn->crypto != NULL || !cursor_ok(&token))
        return answer_error(conn, NTSTATUS_ACCESS_DENIED);
    buf_init(&answer, 4096);
    if (conn->logon.negotiate.size == 0) {
        struct buf challenge;
        buf_init(&challenge, 2048);
        if (light_logon_challenge(&conn->logon, conn->computer, token.data, token.size,
                                  &challenge) != 0)
            status = NTSTATUS_LOGON_FAILURE;
        light_spnego_wrap(&answer, challenge.data, challenge.size);
        buf_release(&challenge);
    } else if (light_logon_authenticate(&conn->logon, conn->site, token.data, token.size, key) ==
               0) {
        status = NTSTATUS_SUCCESS;
        conn->crypto = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                                      conn->encrypts ? SMB_CIPHER_AES_128_GCM : SMB_CIPHER_NONE,
                                      key, conn->preauth, true);
        light_spnego_complete(&answer, key);
    } else {
        status = NTSTATUS_LOGON_FAILURE;
    }
    if (status == NTSTATUS_LOGON_FAILURE) {
        buf_release(&answer);
        return answer_error(conn, status);
    }
    buf_u16le(&conn->reply, 9);                   /* StructureSize, 2.2.6 */
    buf_u16le(&conn->reply, 0);                   /* SessionFlags */
    buf_u16le(&conn->reply, SMB_HEADER_SIZE + 8); /* SecurityBufferOffset */
    buf_u16le(&conn->reply, (uint16_t)answer.size);
    buf_bytes(&conn->reply, answer.data, answer.size);
    buf_release(&answer);
    return status;
}

/* Share names end in "C$" or "IPC$", UTF-16. */
static uint32_t tree_connect(struct light_conn *conn, struct request *request)
{
    static const uint8_t ipc[] = {'I', 0, 'P', 0, 'C', 0, '$', 0};
    struct cursor body = request->body;
    cursor_skip(&body, 2 + 2); /* StructureSize, Flags, 2.2.9 */
    uint16_t offset = cursor_u16le(&body);
    uint16_t size = cursor_u16le(&body);
    struct cursor path = cursor_sub(&body, offset, size);
    if (!cursor_ok(&path) || size < sizeof ipc)
        return answer_error(conn, NTSTATUS_BAD_NETWORK_NAME);
    bool pipe = memcmp(path.data + size - sizeof ipc, ipc, sizeof ipc) == 0;
    request->tree = pipe ? TREE_PIPE : TREE_DISK;
    buf_u16le(&conn->reply, 16);           /* StructureSize, 2.2.10 */
    buf_u16le(&conn->reply, pipe ? 2 : 1); /* ShareType, Reserved */
    buf_zero(&conn->reply, 4 + 4);         /* ShareFlags, Capabilities */
    buf_u32le(&conn->reply, 0x001f01ff);   /* MaximalAccess */
    return NTSTATUS_SUCCESS;
}

/* --- Files --- */

static enum file_kind kind_of(uint64_t file)
{
    return (enum file_kind)(file % FILE_KINDS);
}

static uint64_t read_file_id(const struct light_conn *conn, struct cursor *body)
{
    cursor_skip(body, 8); /* Persistent */
    uint64_t file = cursor_u64le(body);
    return file == UINT64_MAX ? conn->file_related : file; /* 3.3.5.2.7.2 */
}

static void put_file_times(struct buf *out)
{
    uint64_t now = filetime_now();
    for (int i = 0; i < 4; i++)
        buf_u64le(out, now); /* CreationTime, LastAccessTime, LastWriteTime, ChangeTime */
}

/* Whether the file of a CREATE that makes none is there: only hostile machines remember any. */
static bool exists(struct light_conn *conn, struct cursor *body)
{
    uint16_t offset = cursor_u16le(body);
    uint16_t size = cursor_u16le(body);
    struct cursor name = cursor_sub(body, offset, size);
    return conn->hostile != NULL && cursor_ok(&name) &&
           light_machine_open(conn->hostile->machine, name, &conn->content);
}

static uint32_t create(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2 + 1 + 1 + 4 + 8 + 8 + 4 + 4 + 4); /* up to ShareAccess, 2.2.13 */
    uint32_t disposition = cursor_u32le(&body);
    uint32_t options = cursor_u32le(&body);
    enum file_kind kind = (options & SMB_OPTION_DIRECTORY) != 0 ? FILE_FOLDER : FILE_PLAIN;
    if (request->tree == TREE_PIPE)
        kind = FILE_PIPE;
    conn->content = cursor_of(NULL, 0);
    if (!cursor_ok(&body) ||
        (kind == FILE_PLAIN && disposition == SMB_OPEN && !exists(conn, &body)))
        return answer_error(conn, NTSTATUS_OBJECT_NAME_NOT_FOUND); /* there is no old package */
    if (kind == FILE_PIPE) {
        if (conn->pipe_open)
            light_pipe_release(&conn->pipe);
        light_pipe_init(&conn->pipe, conn->site, conn->computer, conn->hostile);
        conn->pipe_open = true;
    }
    conn->file_last += FILE_KINDS;
    conn->file_related = conn->file_last + (uint64_t)kind;
    conn->file_bytes = 0;
    struct buf *out = &conn->reply;
    buf_u16le(out, 89); /* StructureSize, 2.2.14 */
    buf_zero(out, 2);   /* OplockLevel, Flags */
    buf_u32le(out, kind == FILE_PLAIN ? SMB_CREATED : SMB_OPENED);
    put_file_times(out);
    buf_u64le(out, conn->content.size); /* AllocationSize, EndofFile */
    buf_u64le(out, conn->content.size);
    buf_u32le(out, kind == FILE_FOLDER ? SMB_ATTRIBUTE_DIRECTORY : SMB_ATTRIBUTE_NORMAL);
    buf_zero(out, 4);
    buf_u64le(out, conn->file_related); /* FileId: Persistent, Volatile */
    buf_u64le(out, conn->file_related);
    buf_zero(out, 4 + 4); /* CreateContexts: none */
    return NTSTATUS_SUCCESS;
}

static uint32_t close_file(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2 + 2 + 4); /* StructureSize, Flags, Reserved, 2.2.15 */
    if (kind_of(read_file_id(conn, &body)) == FILE_PIPE && conn->pipe_open) {
        light_pipe_release(&conn->pipe);
        conn->pipe_open = false;
    }
    buf_u16le(&conn->reply, 60); /* StructureSize, 2.2.16 */
    buf_zero(&conn->reply, 58);
    return NTSTATUS_SUCCESS;
}

static uint32_t write_file(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2); /* StructureSize, 2.2.21 */
    uint16_t offset = cursor_u16le(&body);
    uint32_t size = cursor_u32le(&body);
    uint64_t file_offset = cursor_u64le(&body);
    uint64_t file = read_file_id(conn, &body);
    struct cursor data = cursor_sub(&body, offset, size);
    if (!cursor_ok(&data))
        return answer_error(conn, NTSTATUS_INVALID_PARAMETER);
    if (kind_of(file) == FILE_PIPE) {
        if (!conn->pipe_open || light_pipe_write(&conn->pipe, request->bytes + offset, size) != 0)
            return answer_error(conn, NTSTATUS_ACCESS_DENIED);
    } else {
        conn->file_bytes += size;
        if (conn->hostile != NULL)
            light_machine_write(conn->hostile->machine, file_offset, data.data, size);
    }
    buf_u16le(&conn->reply, 17); /* StructureSize, 2.2.22 */
    buf_u16le(&conn->reply, 0);
    buf_u32le(&conn->reply, size); /* Count */
    buf_zero(&conn->reply, 8);     /* Remaining, WriteChannelInfo */
    return NTSTATUS_SUCCESS;
}

/* How much of the pipe's answer is given now, and whether there is more. */
static uint32_t take_answer(const struct light_conn *conn, uint32_t size_max, uint32_t *size)
{
    size_t here = conn->pipe.answer.size;
    *size = here < size_max ? (uint32_t)here : size_max;
    return *size < here ? NTSTATUS_BUFFER_OVERFLOW : NTSTATUS_SUCCESS;
}

/* Of a file that was opened, not of the pipe. */
static uint32_t read_content(struct light_conn *conn, uint32_t size_max, uint64_t offset)
{
    struct cursor content = conn->content;
    if (offset >= content.size)
        return answer_error(conn, NTSTATUS_END_OF_FILE);
    size_t left = content.size - (size_t)offset;
    uint32_t size = left < size_max ? (uint32_t)left : size_max;
    buf_u16le(&conn->reply, 17); /* StructureSize, 2.2.20 */
    buf_u16le(&conn->reply, SMB_HEADER_SIZE + 16);
    buf_u32le(&conn->reply, size);
    buf_zero(&conn->reply, 8);
    buf_bytes(&conn->reply, content.data + offset, size);
    return NTSTATUS_SUCCESS;
}

static uint32_t read_file(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    uint32_t size = 0;
    cursor_skip(&body, 2 + 1 + 1); /* StructureSize, Padding, Flags, 2.2.19 */
    uint32_t size_max = cursor_u32le(&body);
    uint64_t offset = cursor_u64le(&body);
    enum file_kind kind = kind_of(read_file_id(conn, &body));
    if (kind == FILE_PLAIN && conn->hostile != NULL)
        return read_content(conn, size_max, offset);
    if (kind == FILE_PIPE && conn->pipe_open)
        light_pipe_more(&conn->pipe);
    if (kind != FILE_PIPE || !conn->pipe_open || conn->pipe.answer.size == 0)
        return answer_error(conn, STATUS_PIPE_EMPTY);
    uint32_t status = take_answer(conn, size_max, &size);
    buf_u16le(&conn->reply, 17); /* StructureSize, 2.2.20 */
    buf_u16le(&conn->reply, SMB_HEADER_SIZE + 16);
    buf_u32le(&conn->reply, size);
    buf_zero(&conn->reply, 8);
    buf_bytes(&conn->reply, conn->pipe.answer.data, size);
    buf_consume(&conn->pipe.answer, size);
    return status;
}

static uint32_t transceive(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    uint32_t size = 0;
    cursor_skip(&body, 2 + 2); /* StructureSize, Reserved, 2.2.31 */
    uint32_t code = cursor_u32le(&body);
    uint64_t file = read_file_id(conn, &body);
    uint32_t offset = cursor_u32le(&body);
    uint32_t input_size = cursor_u32le(&body);
    cursor_skip(&body, 4 + 4 + 4); /* MaxInputResponse, OutputOffset, OutputCount */
    uint32_t size_max = cursor_u32le(&body);
    struct cursor input = cursor_sub(&body, offset, input_size);
    if (code != FSCTL_PIPE_TRANSCEIVE || !conn->pipe_open || !cursor_ok(&input) ||
        light_pipe_write(&conn->pipe, request->bytes + offset, input_size) != 0)
        return answer_error(conn, NTSTATUS_ACCESS_DENIED);
    uint32_t status = take_answer(conn, size_max, &size);
    buf_u16le(&conn->reply, 49); /* StructureSize, 2.2.32 */
    buf_u16le(&conn->reply, 0);
    buf_u32le(&conn->reply, code);
    buf_u64le(&conn->reply, file);
    buf_u64le(&conn->reply, file);
    buf_u32le(&conn->reply, SMB_HEADER_SIZE + 48); /* InputOffset, InputCount */
    buf_u32le(&conn->reply, 0);
    buf_u32le(&conn->reply, SMB_HEADER_SIZE + 48); /* OutputOffset */
    buf_u32le(&conn->reply, size);
    buf_zero(&conn->reply, 4 + 4); /* Flags, Reserved2 */
    buf_bytes(&conn->reply, conn->pipe.answer.data, size);
    buf_consume(&conn->pipe.answer, size);
    return status;
}

static uint32_t query_info(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2); /* StructureSize, 2.2.37 */
    uint8_t type = cursor_u8(&body);
    struct buf answer;
    buf_init(&answer, 1024);
    if (type == 3) { /* security */
        sd_build_distribution(&answer);
    } else if (type == 2) { /* [MS-FSCC] 2.5.4 FileFsFullSizeInformation: 4 TiB, all free */
        for (int i = 0; i < 3; i++)
            buf_u64le(&answer, 1U << 30);
        buf_u32le(&answer, 8);
        buf_u32le(&answer, 512);
    } else {
        buf_zero(&answer, 40);
    }
    buf_u16le(&conn->reply, 9); /* StructureSize, 2.2.38 */
    buf_u16le(&conn->reply, SMB_HEADER_SIZE + 8);
    buf_u32le(&conn->reply, (uint32_t)answer.size);
    buf_bytes(&conn->reply, answer.data, answer.size);
    buf_release(&answer);
    return NTSTATUS_SUCCESS;
}

static uint32_t set_info(struct light_conn *conn, const struct request *request)
{
    struct cursor body = request->body;
    cursor_skip(&body, 2 + 1);    /* StructureSize, InfoType, 2.2.39 */
    if (cursor_u8(&body) == 10) { /* [MS-FSCC] 2.4 FileRenameInformation */
        conn->site->counts.files++;
        conn->site->counts.bytes += conn->file_bytes;
        if (conn->hostile != NULL)
            light_machine_renamed(conn->hostile->machine);
    }
    return answer_plain(conn, 2);
}

/* --- Messages --- */

static uint32_t dispatch(struct light_conn *conn, struct request *request, size_t header_at)
{
    if (conn->crypto == NULL && request->command > SMB_COMMAND_SESSION_SETUP)
        return answer_error(conn, NTSTATUS_ACCESS_DENIED);
    if ((request->flags & FLAG_RELATED) != 0 && ntstatus_is_error(conn->status))
        return answer_error(conn, conn->status); /* 3.3.5.2.7.2 */
    switch (request->command) {
    case SMB_COMMAND_NEGOTIATE:
        return negotiate(conn, header_at);
    case SMB_COMMAND_SESSION_SETUP:
        return session_setup(conn, request);
    case SMB_COMMAND_TREE_CONNECT:
        return tree_connect(conn, request);
    case SMB_COMMAND_LOGOFF:
    case SMB_COMMAND_TREE_DISCONNECT:
    case SMB_COMMAND_FLUSH:
        return answer_plain(conn, 4);
    case SMB_COMMAND_CREATE:
        return create(conn, request);
    case SMB_COMMAND_CLOSE:
        return close_file(conn, request);
    case SMB_COMMAND_READ:
        return read_file(conn, request);
    case SMB_COMMAND_WRITE:
        return write_file(conn, request);
    case SMB_COMMAND_IOCTL:
        return transceive(conn, request);
    case SMB_COMMAND_QUERY_DIRECTORY:
        return answer_error(conn, NTSTATUS_NO_SUCH_FILE);
    case SMB_COMMAND_QUERY_INFO:
        return query_info(conn, request);
    case SMB_COMMAND_SET_INFO:
        return set_info(conn, request);
    default:
        return answer_error(conn, NTSTATUS_NOT_SUPPORTED);
    }
}

static void put_header(struct light_conn *conn, const struct request *request, size_t at,
                       uint32_t status, bool is_signed)
{
    struct buf header;
    uint16_t credits = request->credits < CREDITS_MAX ? request->credits : CREDITS_MAX;
    buf_init(&header, SMB_HEADER_SIZE);
    buf_bytes(&header, "\xfeSMB", 4);
    buf_u16le(&header, SMB_HEADER_SIZE);
    buf_u16le(&header, 1); /* CreditCharge */
    buf_u32le(&header, status);
    buf_u16le(&header, request->command);
    buf_u16le(&header, credits > 0 ? credits : 1);
    buf_u32le(&header, SMB_FLAG_RESPONSE | (is_signed ? SMB_FLAG_SIGNED : 0) |
                           (request->flags & FLAG_RELATED));
    buf_u32le(&header, 0); /* NextCommand */
    buf_u64le(&header, request->message_id);
    buf_u32le(&header, 0xFEFF);
    buf_u32le(&header, request->tree);
    buf_u64le(&header, LIGHT_SESSION_ID);
    buf_zero(&header, SMB_SIGNATURE_SIZE);
    memcpy(conn->reply.data + at, header.data, header.size);
    buf_release(&header);
}

/* One request; its answer is appended to `reply`, unsigned. */
static int handle_message(struct light_conn *conn, struct request *request, bool sealed)
{
    bool logging_on = conn->crypto == NULL;
    if (!logging_on && !sealed &&
        (conn->encrypts || !smb_sign_check(conn->crypto, request->bytes, request->size)))
        return -1;
    if (logging_on)
        smb_preauth_hash(conn->preauth, request->bytes, request->size);
    size_t at = conn->reply.size;
    buf_zero(&conn->reply, SMB_HEADER_SIZE);
    if (request->tree == UINT32_MAX) /* 3.3.5.2.7.2: as in the request before */
        request->tree = conn->tree_related;
    if ((request->flags & FLAG_RELATED) == 0)
        conn->status = NTSTATUS_SUCCESS;
    uint32_t status = dispatch(conn, request, at);
    if (request->command == SMB_COMMAND_CREATE || request->command == SMB_COMMAND_TREE_CONNECT)
        conn->status = status;
    conn->tree_related = request->tree;
    if (!buf_ok(&conn->reply))
        return -1;
    put_header(conn, request, at, status, conn->crypto != NULL && !sealed);
    (void)hostile_hit(conn->hostile, HOSTILE_MESSAGE, request->command, &conn->reply, at);
    if (conn->crypto == NULL)
        smb_preauth_hash(conn->preauth, conn->reply.data + at, conn->reply.size - at);
    return 0;
}

/* Reads the header at the start of `bytes`; -1: none. `next`: NextCommand. */
static int read_request(struct request *request, uint8_t *bytes, size_t size, uint32_t *next)
{
    struct cursor c = cursor_of(bytes, size);
    uint32_t protocol = cursor_u32be(&c);
    cursor_skip(&c, 2 + 2 + 4); /* StructureSize, CreditCharge, ChannelSequence */
    request->command = cursor_u16le(&c);
    request->credits = cursor_u16le(&c);
    request->flags = cursor_u32le(&c);
    *next = cursor_u32le(&c);
    request->message_id = cursor_u64le(&c);
    cursor_skip(&c, 4);
    request->tree = cursor_u32le(&c);
    cursor_skip(&c, 8 + SMB_SIGNATURE_SIZE); /* SessionId, Signature */
    request->bytes = bytes;
    request->size = *next != 0 ? *next : size;
    if (!cursor_ok(&c) || protocol != 0xFE534D42U || request->size < SMB_HEADER_SIZE ||
        request->size > size)
        return -1;
    request->body = cursor_of(bytes, request->size);
    cursor_seek(&request->body, SMB_HEADER_SIZE);
    return 0;
}

static int handle_frame(struct light_conn *conn, uint8_t *bytes, size_t size)
{
    struct cursor c = cursor_of(bytes, size);
    bool sealed = cursor_u32be(&c) == 0xFD534D42U;
    if (sealed) {
        if (conn->crypto == NULL || !conn->encrypts ||
            !smb_open_sealed(conn->crypto, LIGHT_SESSION_ID, bytes, size))
            return -1;
        bytes += SMB_TRANSFORM_SIZE;
        size -= SMB_TRANSFORM_SIZE;
    }
    buf_reset(&conn->reply);
    uint16_t command = 0;
    for (size_t at = 0;;) {
        struct request request;
        uint32_t next = 0;
        size_t answer_at = conn->reply.size;
        if (read_request(&request, bytes + at, size - at, &next) != 0 ||
            handle_message(conn, &request, sealed) != 0)
            return -1;
        command = request.command;
        if (next == 0)
            break;
        buf_align(&conn->reply, answer_at, 8);
        if (conn->reply.size - answer_at >= SMB_HEADER_SIZE)
            buf_patch_u32le(&conn->reply, answer_at + 20, (uint32_t)(conn->reply.size - answer_at));
        at += next;
    }
    return light_conn_send(conn, sealed, command);
}

int light_conn_receive(struct light_conn *conn, const uint8_t *bytes, size_t size)
{
    buf_bytes(&conn->in, bytes, size);
    size_t at = 0;
    for (;;) {
        struct cursor c = cursor_of(conn->in.data, conn->in.size);
        cursor_seek(&c, at);
        uint32_t length = cursor_u32be(&c);
        if (!cursor_ok(&c) || length > cursor_left(&c)) {
            if (length > FRAME_SIZE_MAX)
                return -1;
            break;
        }
        if (length < SMB_HEADER_SIZE || handle_frame(conn, conn->in.data + at + 4, length) != 0)
            return -1;
        at += 4 + (size_t)length;
    }
    buf_consume(&conn->in, at);
    return buf_ok(&conn->in) && buf_ok(&conn->out) ? 0 : -1;
}
