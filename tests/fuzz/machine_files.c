/* The machine's file server: C:\SPDISTRO and the pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "machine.h"
#include "relay/sd/sd.h"

/* What the machine hands out as handles. */
enum { FILE_NONE, FILE_PIPE = 0xf1, FILE_END, FILE_OUT, FILE_SCRIPT, FILE_PACKAGE, FILE_FOLDER };

static struct cursor field(const struct heard *heard, size_t offset)
{
    struct cursor c = cursor_of(heard->bytes, heard->size);
    cursor_seek(&c, offset);
    return c;
}

static uint64_t file_of(const struct heard *heard)
{
    size_t at = heard->command == SMB_COMMAND_QUERY_INFO ? 96
                : heard->command == SMB_COMMAND_READ || heard->command == SMB_COMMAND_WRITE ||
                        heard->command == SMB_COMMAND_SET_INFO
                    ? 88
                    : 80;
    struct cursor c = field(heard, at);
    return cursor_u64le(&c);
}

/* Which file a CREATE is about; `fresh`: it makes one. */
static uint64_t create_names(const struct heard *heard, bool *fresh)
{
    struct cursor c = field(heard, SMB_HEADER_SIZE + 36);
    *fresh = cursor_u32le(&c) != SMB_OPEN;
    bool folder = (cursor_u32le(&c) & SMB_OPTION_DIRECTORY) != 0;
    cursor_seek(&c, SMB_HEADER_SIZE + 44);
    uint16_t at = cursor_u16le(&c);
    uint16_t size = cursor_u16le(&c);
    struct cursor name = cursor_sub(&c, at, size);
    const uint8_t *bytes = cursor_bytes(&name, size);
    FUZZ_CHECK(cursor_ok(&name) && size >= 8);
    const uint8_t *last = bytes + size - 8; /* four characters */
    if (bytes[0] == 'a')
        return FILE_PIPE;
    if (memcmp(last, ".\0e\0n\0d", 8) == 0)
        return FILE_END;
    if (memcmp(last, ".\0o\0u\0t", 8) == 0)
        return FILE_OUT;
    if (memcmp(last, ".\0c\0m\0d", 8) == 0)
        return FILE_SCRIPT;
    return folder || size == 16 ? FILE_FOLDER : FILE_PACKAGE;
}

static size_t put_create(uint8_t *body, uint64_t file)
{
    struct buf b;
    buf_init(&b, 128);
    uint64_t size = file == FILE_END ? 3 : file == FILE_OUT ? 11 : world.job.job.package_bytes;
    buf_u16le(&b, 89);
    buf_zero(&b, 2);
    buf_u32le(&b, SMB_OPENED);
    buf_zero(&b, 32);
    buf_u64le(&b, size);
    buf_u64le(&b, size);
    buf_u32le(&b, file == FILE_FOLDER ? SMB_ATTRIBUTE_DIRECTORY : 0x20U);
    buf_zero(&b, 4);
    buf_u64le(&b, file);
    buf_u64le(&b, file);
    buf_zero(&b, 8);
    memcpy(body, b.data, b.size);
    size_t body_size = b.size;
    buf_release(&b);
    return body_size;
}

static size_t put_listing(uint8_t *body)
{
    static const char name[] = ".pusher-0123456789abcdef0123456789abcdef-1.tmp";
    struct buf b;
    buf_init(&b, 512);
    buf_zero(&b, 56);
    buf_u32le(&b, 0x20);
    buf_u32le(&b, 2 * (sizeof name - 1));
    for (size_t i = 0; i + 1 < sizeof name; i++)
        buf_u16le(&b, (uint16_t)name[i]);
    size_t size = fake_body_query(body, b.data, b.size);
    buf_release(&b);
    return size;
}

static size_t put_rights(uint8_t *body)
{
    struct buf b;
    buf_init(&b, 1024);
    sd_build_distribution(&b);
    size_t size = fake_body_query(body, b.data, b.size);
    buf_release(&b);
    return size;
}

/* What the pipe has, as much as was asked for. */
static size_t read_pipe(uint8_t *data, uint32_t wanted, uint32_t *status)
{
    size_t size = wanted < world.pipe.size ? wanted : world.pipe.size;
    memcpy(data, world.pipe.data, size);
    buf_consume(&world.pipe, size);
    *status = world.pipe.size > 0 ? NTSTATUS_BUFFER_OVERFLOW : NTSTATUS_SUCCESS;
    return size;
}

static size_t put_read(const struct heard *heard, uint8_t *body, uint32_t *status)
{
    static uint8_t data[SMB_READ_SIZE_MAX];
    struct cursor c = field(heard, SMB_HEADER_SIZE + 4);
    uint32_t wanted = cursor_u32le(&c);
    uint64_t offset = cursor_u64le(&c);
    uint64_t file = file_of(heard);
    char text[32] = "";
    memset(data, 0, wanted < sizeof data ? wanted : sizeof data);
    if (file == FILE_PIPE)
        return fake_body_read(body, data, read_pipe(data, wanted, status));
    if (file == FILE_PACKAGE)
        return fake_body_read(body, data, wanted);
    (void)snprintf(text, sizeof text, file == FILE_END ? "%u\r\n" : "it says %u\n",
                   world.exit_code);
    size_t size = strlen(text);
    if (offset >= size) {
        *status = NTSTATUS_END_OF_FILE;
        return fake_body_plain(body, 9);
    }
    size = size - offset < wanted ? size - offset : wanted;
    return fake_body_read(body, text + offset, size);
}

static size_t put_ioctl(const struct heard *heard, uint8_t *body, uint32_t *status)
{
    static uint8_t data[SMB_READ_SIZE_MAX];
    struct cursor c = field(heard, SMB_HEADER_SIZE + 24);
    uint32_t at = cursor_u32le(&c);
    uint32_t size = cursor_u32le(&c);
    cursor_seek(&c, SMB_HEADER_SIZE + 44);
    uint32_t wanted = cursor_u32le(&c);
    struct cursor input = cursor_sub(&c, at, size);
    FUZZ_CHECK(cursor_ok(&input));
    machine_pipe_written(cursor_bytes(&input, size), size);
    return fake_body_ioctl(body, 0x0011C017, data, read_pipe(data, wanted, status));
}

/* A good answer, and what it does on the machine. */
static size_t serve(const struct heard *heard, uint8_t *body, uint32_t *status)
{
    struct cursor c = field(heard, SMB_HEADER_SIZE + 2);
    uint64_t file = 0;
    bool fresh = false;
    switch (heard->command) {
    case SMB_COMMAND_TREE_CONNECT:
        return fake_body_tree(body, 2);
    case SMB_COMMAND_CREATE:
        file = create_names(heard, &fresh);
        if (file == FILE_PACKAGE && !fresh && world.session.steps == &copy_steps)
            *status = NTSTATUS_OBJECT_NAME_NOT_FOUND;
        return put_create(body, file);
    case SMB_COMMAND_WRITE: {
        uint16_t at = cursor_u16le(&c);
        uint32_t size = cursor_u32le(&c);
        struct cursor bytes = cursor_sub(&c, at, size);
        FUZZ_CHECK(cursor_ok(&bytes));
        if (file_of(heard) == FILE_PIPE)
            machine_pipe_written(cursor_bytes(&bytes, size), size);
        return fake_body_write(body, size);
    }
    case SMB_COMMAND_READ:
        return put_read(heard, body, status);
    case SMB_COMMAND_IOCTL:
        return put_ioctl(heard, body, status);
    case SMB_COMMAND_QUERY_INFO:
        return put_rights(body);
    case SMB_COMMAND_QUERY_DIRECTORY:
        return put_listing(body);
    default:
        return fake_body_plain(body, 4);
    }
}

/* Rights that nobody else can use, in an answer as it leaves. */
static bool tells_safe_rights(const struct buf *message)
{
    struct sd *sd = mem_new(1, sizeof *sd);
    struct cursor c = cursor_of(message->data, message->size);
    cursor_seek(&c, SMB_HEADER_SIZE + 2);
    uint16_t at = cursor_u16le(&c);
    uint32_t size = cursor_u32le(&c);
    struct cursor bytes = cursor_sub(&c, at, size);
    bool safe = cursor_ok(&bytes) && sd_parse(bytes.data, bytes.size, sd, NULL) == 0 &&
                sd_is_safe(sd, SD_FOLDER, NULL, 0);
    free(sd);
    return safe;
}

static uint64_t file_size(void)
{
    const struct folder *folder = &world.job.folder;
    if (folder->count == 0)
        return world.job.job.package_bytes;
    return world.files_done < folder->count ? folder->files[world.files_done].size : 0;
}

static bool is_whole(void)
{
    return file_size() == 0 || memchr(world.written, 0, file_size()) == NULL;
}

/* What counts as done once this answer is out, if it says so. */
static void note(const struct heard *heard, const struct buf *message)
{
    struct cursor said = cursor_of(message->data, message->size);
    cursor_seek(&said, 8);
    uint32_t status = cursor_u32le(&said);
    cursor_seek(&said, SMB_HEADER_SIZE + 4);
    uint32_t count = cursor_u32le(&said);
    if (message->size < SMB_HEADER_SIZE || ntstatus_is_error(status))
        return;
    struct cursor c = field(heard, SMB_HEADER_SIZE + 4);
    uint32_t size = cursor_u32le(&c);
    uint64_t offset = cursor_u64le(&c);
    switch (heard->command) {
    case SMB_COMMAND_WRITE:
        if (count == size && offset + size <= sizeof world.written && file_of(heard) != FILE_PIPE)
            memset(world.written + offset, 1, size);
        return;
    case SMB_COMMAND_FLUSH:
        world.flushed = is_whole();
        return;
    case SMB_COMMAND_SET_INFO:
        if (heard->bytes[SMB_HEADER_SIZE + 3] == 10)
            world.renamed = world.flushed;
        if (heard->bytes[SMB_HEADER_SIZE + 3] == 13)
            world.unmarked = heard->bytes[SMB_HEADER_SIZE + 32] == 0;
        return;
    case SMB_COMMAND_CLOSE:
        if (!world.flushed || !world.renamed || !world.unmarked)
            return;
        world.files_done++;
        world.flushed = world.renamed = world.unmarked = false;
        memset(world.written, 0, sizeof world.written);
        return;
    case SMB_COMMAND_QUERY_INFO:
        world.rights_safe |= tells_safe_rights(message);
        return;
    default:
        return;
    }
}

void machine_hear(void)
{
    while (world.heard_count < MACHINE_HEARD_MAX && fake_next_request(&world.far)) {
        struct heard *heard = &world.heard[world.heard_count++];
        heard->command = fake_request_u16(&world.far, 12);
        heard->message_id = fake_request_u64(&world.far, 24);
        heard->size = world.far.request.size;
        heard->bytes = mem_new(heard->size, 1);
        memcpy(heard->bytes, world.far.request.data, heard->size);
    }
}

void machine_forget(unsigned at)
{
    free(world.heard[at].bytes);
    world.heard_count--;
    memmove(world.heard + at, world.heard + at + 1, (world.heard_count - at) * sizeof *world.heard);
}

static uint32_t some_status(void)
{
    static const uint32_t usual[] = {NTSTATUS_ACCESS_DENIED,           NTSTATUS_SHARING_VIOLATION,
                                     NTSTATUS_OBJECT_NAME_NOT_FOUND,   NTSTATUS_DISK_FULL,
                                     NTSTATUS_PIPE_NOT_AVAILABLE,      NTSTATUS_PIPE_BROKEN,
                                     NTSTATUS_OBJECT_NAME_COLLISION,   NTSTATUS_NO_SUCH_FILE,
                                     NTSTATUS_DELETE_PENDING,          NTSTATUS_END_OF_FILE,
                                     NTSTATUS_NOT_A_DIRECTORY,         NTSTATUS_STOPPED_ON_SYMLINK,
                                     NTSTATUS_BUFFER_OVERFLOW,         NTSTATUS_FILE_IS_A_DIRECTORY,
                                     NTSTATUS_NETWORK_SESSION_EXPIRED, NTSTATUS_FILE_CLOSED};
    uint8_t which = cursor_u8(&world.input);
    return which >= 0xf0 ? cursor_u32le(&world.input) : usual[which % 16];
}

/* Answers one of the requests: as a good machine does, or as the input says. */
void machine_answer(void)
{
    static uint8_t body[SMB_READ_SIZE_MAX + 256];
    struct fake_answer answer = {0};
    struct buf message;
    uint8_t how = cursor_u8(&world.input);
    unsigned at = how >= 0xc0 && how < 0xd0 ? how % world.heard_count : 0;
    struct heard *heard = &world.heard[at];
    answer.message_id = heard->message_id;
    answer.command = heard->command;
    if (how >= 0xd0 && how < 0xe0) { /* refused, nothing done */
        answer.status = some_status();
        fake_message(&world.far, &answer, body, fake_body_plain(body, 9), &message);
    } else {
        size_t size = serve(heard, body, &answer.status);
        if (how >= 0xe0 && how < 0xe8) /* done, and yet refused */
            answer.status = some_status();
        if (how >= 0xf8)
            answer.cut = cursor_u8(&world.input) % (size + 1);
        fake_message(&world.far, &answer, body, size, &message);
        for (unsigned i = 0; how >= 0xe8 && i < 1 + how % 3U; i++) {
            size_t where = cursor_u8(&world.input);
            if (where < message.size)
                message.data[where] = cursor_u8(&world.input);
        }
    }
    note(heard, &message);
    machine_forget(at);
    (void)fake_feed(&world.far, &answer, &message);
    buf_release(&message);
}
