/* relay/smb: the whole engine after the logon, against a server that the fuzzer plays and that has
 * the session's keys: a target that took the account in and then lies. Covers smb_conn_receive and
 * all below it: frames cut anywhere, compounds, interim answers, transform headers, signatures, and
 * the answer of every request; ciphers and signing algorithms as the first byte says.
 *
 * Holds: every request has one reply at most, its own; no reply says success unless the server said
 * so under the session's key, in a body of the right kind, and what it reports is what stood there;
 * buffers stay within their maximum; a failed connection stays silent. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tests/unit/smb_fake.h"

#define REQUESTS_MAX 64U
#define KINDS 20U /* of requests */
#define STEPS_MAX 300U
#define PATCHES_MAX 3U

/* A request that was accepted, and the server's word about it. */
struct asked {
    enum smb_op op;
    bool replied;
    bool heard; /* by the server, as: */
    uint64_t message_id;
    uint32_t limit;  /* bytes that a READ or WRITE asked for */
    uint8_t *answer; /* the first final one that was protected rightly; owned */
    size_t answer_size;
};

static struct {
    struct fake far;
    struct asked asked[REQUESTS_MAX];
    unsigned asked_count;
    struct smb_file file; /* the last one opened */
    uint32_t tree;
} world;

static uint8_t payload[70000];

/* ---- the relay's side ---- */

static int ask_file(uint8_t what, uint64_t tag, struct smb_file file, struct err *err)
{
    struct smb_conn *conn = world.far.conn;
    uint32_t room = smb_conn_write_room(conn);
    uint32_t size = what >= 0x80 ? (uint32_t)sizeof payload : 40U + what;
    switch (what % KINDS) {
    case 0:
        return smb_close(conn, tag, file, err);
    case 1:
        return room == 0 ? -1
                         : smb_write(conn, tag, file, 0, payload, size < room ? size : room, err);
    case 2:
        return smb_read(conn, tag, file, 0, what >= 0x80 ? SMB_READ_SIZE_MAX : 100, err);
    case 3:
        return smb_flush(conn, tag, file, err);
    case 4:
        return smb_rename(conn, tag, file, "SPDISTRO\\setup.exe", true, err);
    case 5:
        return smb_set_attributes(conn, tag, file, SMB_ATTRIBUTE_NORMAL, err);
    case 6:
        return smb_set_delete(conn, tag, file, true, err);
    case 7:
        return smb_set_allocation(conn, tag, file, 1000, err);
    case 8:
    case 9:
    case 10:
    case 11:
        return smb_query_info(conn, tag, file, (enum smb_info_class)(what % 4), err);
    case 12:
        return smb_query_security(conn, tag, file, SMB_SECURITY_DACL, err);
    case 13:
        return smb_query_directory(conn, tag, file, "*", true, err);
    default:
        return smb_pipe_transceive(conn, tag, file, payload, 100, SMB_PIPE_OUTPUT_SIZE, err);
    }
}

static int ask(uint8_t what, uint64_t tag, struct smb_file file, uint32_t tree, struct err *err)
{
    static const struct smb_create_request create = {.path = "SPDISTRO",
                                                     .access = SMB_ACCESS_READ_DATA,
                                                     .disposition = SMB_OPEN_IF,
                                                     .security_descriptor = payload,
                                                     .security_descriptor_size = 30};
    struct smb_conn *conn = world.far.conn;
    switch (what % KINDS) {
    case 16:
        return smb_tree_connect(conn, tag, "IPC$", err);
    case 17:
        return smb_tree_disconnect(conn, tag, tree, err);
    case 18:
        return smb_create(conn, tag, tree, &create, err);
    case 19:
        return smb_logoff(conn, tag, err);
    default:
        return ask_file(what, tag, file, err);
    }
}

static enum smb_op op_of(uint8_t what)
{
    static const enum smb_op ops[KINDS] = {
        SMB_OP_CLOSE,           SMB_OP_WRITE,           SMB_OP_READ,
        SMB_OP_FLUSH,           SMB_OP_SET_INFO,        SMB_OP_SET_INFO,
        SMB_OP_SET_INFO,        SMB_OP_SET_INFO,        SMB_OP_QUERY_INFO,
        SMB_OP_QUERY_INFO,      SMB_OP_QUERY_INFO,      SMB_OP_QUERY_INFO,
        SMB_OP_QUERY_SECURITY,  SMB_OP_QUERY_DIRECTORY, SMB_OP_PIPE_TRANSCEIVE,
        SMB_OP_PIPE_TRANSCEIVE, SMB_OP_TREE_CONNECT,    SMB_OP_TREE_DISCONNECT,
        SMB_OP_CREATE,          SMB_OP_LOGOFF};
    return ops[what % KINDS];
}

/* One request, or a compound of up to four that begins with a CREATE or a TREE_CONNECT. */
static void step_ask(struct cursor *c)
{
    struct err err = {0};
    uint8_t count = cursor_u8(c) % 5;
    unsigned before = world.asked_count;
    bool compound = count > 1;
    bool made = true;
    if (before + 4 > REQUESTS_MAX)
        return;
    if (compound)
        smb_compound_begin(world.far.conn);
    for (uint8_t i = 0; made && i < (compound ? count : 1); i++) {
        uint8_t what = cursor_u8(c);
        bool first = i == 0;
        if (compound && what % KINDS >= 15) /* one that makes something may be the first only */
            what = first ? 18 : 3;
        made = ask(what, world.asked_count, first ? world.file : smb_related_file(),
                   first ? world.tree : SMB_RELATED_TREE, &err) == 0;
        if (made)
            world.asked[world.asked_count++] = (struct asked){.op = op_of(what)};
    }
    if (compound && smb_compound_end(world.far.conn, made, &err) != 0 &&
        smb_conn_failure(world.far.conn) == SMB_FAILURE_NONE)
        world.asked_count = before;
}

/* ---- the server's side ---- */

static struct asked *asked_with(uint64_t message_id)
{
    for (unsigned i = 0; i < world.asked_count; i++)
        if (world.asked[i].heard && world.asked[i].message_id == message_id)
            return &world.asked[i];
    return NULL;
}

static void heard(struct asked *asked, uint64_t message_id)
{
    asked->heard = true;
    asked->message_id = message_id;
    if (asked->op == SMB_OP_READ || asked->op == SMB_OP_WRITE)
        asked->limit = fake_request_u32(&world.far, SMB_HEADER_SIZE + 4);
}

static void step_hear(void)
{
    while (fake_next_request(&world.far)) {
        uint64_t message_id = fake_request_u64(&world.far, 24);
        for (const struct smb_request *at = world.far.conn->sent.head; at != NULL; at = at->next)
            if (at->message_id == message_id && at->reply.tag < world.asked_count)
                heard(&world.asked[at->reply.tag], message_id);
    }
}

/* What the server has said now counts, as far as it is under the session's key. */
static void say(const struct buf *frame, bool is_protected, bool flipped)
{
    size_t at = 0;
    while (is_protected && frame->size - at >= SMB_HEADER_SIZE) {
        struct cursor c = cursor_of(frame->data + at, frame->size - at);
        cursor_seek(&c, 8);
        uint32_t status = cursor_u32le(&c);
        cursor_seek(&c, 16);
        uint32_t flags = cursor_u32le(&c);
        uint32_t next = cursor_u32le(&c);
        struct asked *asked = asked_with(cursor_u64le(&c));
        size_t size = next != 0 ? next : frame->size - at;
        if (size > frame->size - at)
            return;
        bool counts = world.far.seal || (flags & SMB_FLAG_SIGNED) != 0;
        if (flipped && (world.far.seal || next == 0)) /* each part has its own signature */
            return;
        if (asked != NULL && counts && asked->answer == NULL && status != NTSTATUS_PENDING) {
            asked->answer = malloc(size);
            FUZZ_CHECK(asked->answer != NULL);
            memcpy(asked->answer, frame->data + at, size);
            asked->answer_size = size;
        }
        if (next == 0)
            return;
        at += next;
    }
}

static size_t good_body(enum smb_op op, uint8_t *body, struct cursor *c)
{
    uint8_t data[200];
    uint8_t size = cursor_u8(c) % (uint8_t)sizeof data;
    cursor_copy(c, data, size);
    switch (op) {
    case SMB_OP_TREE_CONNECT:
        return fake_body_tree(body, 1);
    case SMB_OP_CREATE:
        return fake_body_create(body);
    case SMB_OP_WRITE:
        return fake_body_write(body, size);
    case SMB_OP_READ:
        return fake_body_read(body, data, size);
    case SMB_OP_PIPE_TRANSCEIVE:
        return fake_body_ioctl(body, 0x0011C017, data, size);
    case SMB_OP_QUERY_INFO:
    case SMB_OP_QUERY_SECURITY:
    case SMB_OP_QUERY_DIRECTORY:
        return fake_body_query(body, data, size);
    case SMB_OP_CLOSE:
    case SMB_OP_FLUSH:
    case SMB_OP_SET_INFO:
    case SMB_OP_TREE_DISCONNECT:
    case SMB_OP_LOGOFF:
    case SMB_OP_LOGON:
        break;
    }
    return fake_body_plain(body, 4);
}

/* Rather often what a server says; now and then any number. */
static uint32_t some_status(struct cursor *c)
{
    static const uint32_t usual[] = {NTSTATUS_SUCCESS,
                                     NTSTATUS_BUFFER_OVERFLOW,
                                     NTSTATUS_NO_MORE_FILES,
                                     NTSTATUS_ACCESS_DENIED,
                                     NTSTATUS_PENDING,
                                     NTSTATUS_STOPPED_ON_SYMLINK,
                                     NTSTATUS_END_OF_FILE,
                                     NTSTATUS_MORE_PROCESSING_REQUIRED,
                                     NTSTATUS_USER_SESSION_DELETED,
                                     0x40000000U};
    uint8_t which = cursor_u8(c);
    if (which == 0xff)
        return cursor_u32le(c);
    return usual[which < 0x80 ? 0 : which % (sizeof usual / sizeof usual[0])];
}

/* Builds the answer to one request and spoils what the input says of it. */
static bool build_answer(struct cursor *c, struct fake_answer *answer, struct buf *message)
{
    uint8_t body[512];
    if (world.asked_count == 0)
        return false;
    const struct asked *asked = &world.asked[cursor_u8(c) % world.asked_count];
    uint8_t how = cursor_u8(c);
    if (!asked->heard)
        return false;
    memset(answer, 0, sizeof *answer);
    answer->status = some_status(c);
    answer->message_id = asked->message_id;
    answer->command = 0xffff; /* set below: NEGOTIATE's number is 0 */
    answer->bare = (how & 0x80) != 0;
    answer->flags = (how & 0x40) != 0 ? SMB_FLAG_ASYNC : 0;
    answer->no_credits = (how & 0x20) != 0;
    size_t size = good_body(asked->op, body, c);
    if ((how & 0x10) != 0)
        answer->cut = cursor_u8(c) % (size + 1);
    fake_message(&world.far, answer, body, size, message);
    static const uint16_t commands[] = {[SMB_OP_TREE_CONNECT] = SMB_COMMAND_TREE_CONNECT,
                                        [SMB_OP_TREE_DISCONNECT] = SMB_COMMAND_TREE_DISCONNECT,
                                        [SMB_OP_CREATE] = SMB_COMMAND_CREATE,
                                        [SMB_OP_CLOSE] = SMB_COMMAND_CLOSE,
                                        [SMB_OP_WRITE] = SMB_COMMAND_WRITE,
                                        [SMB_OP_READ] = SMB_COMMAND_READ,
                                        [SMB_OP_FLUSH] = SMB_COMMAND_FLUSH,
                                        [SMB_OP_SET_INFO] = SMB_COMMAND_SET_INFO,
                                        [SMB_OP_QUERY_INFO] = SMB_COMMAND_QUERY_INFO,
                                        [SMB_OP_QUERY_SECURITY] = SMB_COMMAND_QUERY_INFO,
                                        [SMB_OP_QUERY_DIRECTORY] = SMB_COMMAND_QUERY_DIRECTORY,
                                        [SMB_OP_PIPE_TRANSCEIVE] = SMB_COMMAND_IOCTL,
                                        [SMB_OP_LOGOFF] = SMB_COMMAND_LOGOFF};
    buf_patch_u16le(message, 12, commands[asked->op]);
    for (unsigned i = 0; i < (how & 3U) && i < PATCHES_MAX; i++) {
        size_t at = cursor_u8(c);
        if (at < message->size)
            message->data[at] = cursor_u8(c);
    }
    return true;
}

static void feed(const struct fake_answer *answer, const struct buf *frame)
{
    say(frame, !answer->bare, answer->flip != 0);
    (void)fake_feed(&world.far, answer, frame);
}

static void step_answer(struct cursor *c)
{
    struct fake_answer answer;
    struct buf message;
    if (!build_answer(c, &answer, &message))
        return;
    feed(&answer, &message);
    buf_release(&message);
}

static void step_answer_many(struct cursor *c)
{
    struct fake_answer answer = {0};
    struct buf parts[4];
    struct buf joined;
    size_t count = 0;
    size_t wanted = 1 + cursor_u8(c) % 4U;
    while (count < wanted && build_answer(c, &answer, &parts[count]))
        count++;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        buf_zero(&parts[i], parts[i].size < SMB_HEADER_SIZE ? SMB_HEADER_SIZE : 0);
    fake_join(&world.far, parts, count, &joined);
    feed(&(struct fake_answer){.joined = true, .flip = cursor_u8(c) == 1 ? -1 : 0}, &joined);
    buf_release(&joined);
}

/* Any plaintext under the right key. */
static void step_any_message(struct cursor *c)
{
    struct buf message;
    uint16_t size = cursor_u16le(c) % 1024;
    if (size > cursor_left(c))
        size = (uint16_t)cursor_left(c);
    buf_init(&message, 1024);
    buf_bytes(&message, cursor_bytes(c, size), size);
    if (size >= SMB_HEADER_SIZE)
        feed(&(struct fake_answer){0}, &message);
    buf_release(&message);
}

static void step_any_bytes(struct cursor *c)
{
    size_t size = cursor_u8(c);
    size = size < cursor_left(c) ? size : cursor_left(c);
    const uint8_t *bytes = cursor_bytes(c, size);
    if (size > 0)
        (void)smb_conn_receive(world.far.conn, bytes, size, &world.far.err);
}

/* ---- what was made of it ---- */

static void check_fields(const struct smb_reply *reply, const struct asked *asked)
{
    struct cursor c = cursor_of(asked->answer, asked->answer_size);
    cursor_seek(&c, SMB_HEADER_SIZE);
    uint16_t structure_size = cursor_u16le(&c);
    switch (reply->op) {
    case SMB_OP_TREE_CONNECT:
        cursor_seek(&c, 36);
        FUZZ_CHECK(structure_size == 16 && reply->tree != 0 && reply->tree == cursor_u32le(&c));
        world.tree = reply->tree;
        return;
    case SMB_OP_CREATE:
        cursor_seek(&c, SMB_HEADER_SIZE + 64);
        FUZZ_CHECK(structure_size == 89 && reply->file.persistent == cursor_u64le(&c) &&
                   reply->file.volatile_id == cursor_u64le(&c));
        world.file = reply->file;
        return;
    case SMB_OP_WRITE:
        cursor_seek(&c, SMB_HEADER_SIZE + 4);
        FUZZ_CHECK(structure_size == 17 && reply->count == cursor_u32le(&c));
        FUZZ_CHECK(reply->count <= asked->limit);
        return;
    case SMB_OP_READ:
    case SMB_OP_PIPE_TRANSCEIVE:
    case SMB_OP_QUERY_SECURITY:
    case SMB_OP_QUERY_DIRECTORY:
        FUZZ_CHECK(structure_size == (reply->op == SMB_OP_READ              ? 17
                                      : reply->op == SMB_OP_PIPE_TRANSCEIVE ? 49
                                                                            : 9));
        FUZZ_CHECK(reply->data_size <= SMB_READ_SIZE_MAX);
        FUZZ_CHECK(reply->op != SMB_OP_READ || reply->data_size <= asked->limit);
        FUZZ_CHECK(reply->data_size == 0 ||
                   memmem(asked->answer + SMB_HEADER_SIZE, asked->answer_size - SMB_HEADER_SIZE,
                          reply->data, reply->data_size) != NULL);
        return;
    case SMB_OP_QUERY_INFO:
        FUZZ_CHECK(structure_size == 9);
        return;
    case SMB_OP_CLOSE:
    case SMB_OP_FLUSH:
    case SMB_OP_SET_INFO:
    case SMB_OP_TREE_DISCONNECT:
    case SMB_OP_LOGOFF:
    case SMB_OP_LOGON:
        return;
    }
}

static void step_take(void)
{
    struct smb_reply reply;
    while (smb_conn_next_reply(world.far.conn, &reply)) {
        FUZZ_CHECK(reply.tag < world.asked_count);
        struct asked *asked = &world.asked[reply.tag];
        FUZZ_CHECK(!asked->replied && asked->op == reply.op);
        FUZZ_CHECK(reply.status != NTSTATUS_PENDING);
        asked->replied = true;
        if (ntstatus_is_error(reply.status))
            continue;
        FUZZ_CHECK(asked->answer != NULL);
        struct cursor c = cursor_of(asked->answer, asked->answer_size);
        cursor_seek(&c, 8);
        FUZZ_CHECK(reply.status == cursor_u32le(&c));
        if (reply.op == SMB_OP_QUERY_DIRECTORY && reply.status >> 30 == 2) {
            FUZZ_CHECK(reply.data_size == 0); /* nothing more, or no room for it */
            continue;
        }
        check_fields(&reply, asked);
    }
}

static void check_state(void)
{
    const struct smb_conn *conn = world.far.conn;
    const uint8_t *bytes;
    size_t size;
    size_t open = 0;
    FUZZ_CHECK(conn->input.capacity <= conn->input.size_max);
    FUZZ_CHECK(conn->output.capacity <= conn->output.size_max);
    FUZZ_CHECK(conn->deferred_size <= SMB_DEFERRED_SIZE_MAX);
    if (smb_conn_failure(conn) != SMB_FAILURE_NONE) {
        FUZZ_CHECK(!smb_conn_output(conn, &bytes, &size) && !smb_conn_ready(conn));
        fuzz_check_error(&conn->error);
        return;
    }
    for (unsigned i = 0; i < world.asked_count; i++)
        open += !world.asked[i].replied;
    FUZZ_CHECK(open == smb_conn_pending(conn) + conn->done.count);
}

static void begin(uint8_t how)
{
    static const enum smb_dialect dialects[] = {SMB_DIALECT_3_1_1, SMB_DIALECT_2_1,
                                                SMB_DIALECT_3_0_2, SMB_DIALECT_3_1_1};
    static const enum smb_signing signings[] = {SMB_SIGNING_AES_GMAC, SMB_SIGNING_HMAC_SHA256,
                                                SMB_SIGNING_AES_CMAC, SMB_SIGNING_AES_CMAC};
    enum smb_cipher cipher = (enum smb_cipher)(how / 4 % SMB_CIPHER_COUNT);
    memset(&world, 0, sizeof world);
    world.tree = FAKE_TREE;
    world.file = (struct smb_file){FAKE_TREE, 1, 2};
    fake_init_ready(&world.far, dialects[how % 4], signings[how % 4], cipher);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    begin(cursor_u8(&c));
    for (unsigned i = 0; i < STEPS_MAX && cursor_left(&c) > 0; i++) {
        switch (cursor_u8(&c) % 8) {
        case 0:
            step_ask(&c);
            step_hear();
            break;
        case 1:
            step_ask(&c);
            break;
        case 2:
        case 3:
            step_answer(&c);
            break;
        case 4:
            step_answer_many(&c);
            break;
        case 5:
            step_any_message(&c);
            break;
        case 6:
            step_any_bytes(&c);
            break;
        default:
            step_take();
            break;
        }
        check_state();
        step_hear();
    }
    step_take();
    check_state();
    for (unsigned i = 0; i < world.asked_count; i++)
        free(world.asked[i].answer);
    fake_release(&world.far);
    return 0;
}
