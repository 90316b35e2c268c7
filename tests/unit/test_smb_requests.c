/* The SMB engine after the logon: what requests look like, what answers become, how credits pace,
 * and that nothing unsigned, damaged or nonsensical is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/unit/smb_fake.h"

#define PIPE_CODE 0x0011C017U

static const struct smb_file file = {FAKE_TREE, 0xAAAA, 0xBBBB};

/* Every way a session can be protected. */
static const struct {
    enum smb_dialect dialect;
    enum smb_signing signing;
    enum smb_cipher cipher;
} protections[] = {
    {SMB_DIALECT_2_1, SMB_SIGNING_HMAC_SHA256, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_0_2, SMB_SIGNING_AES_CMAC, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_0_2, SMB_SIGNING_AES_CMAC, SMB_CIPHER_AES_128_CCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_AES_128_GCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_AES_256_GCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_CMAC, SMB_CIPHER_AES_256_CCM},
};
#define PROTECTION_COUNT (sizeof protections / sizeof protections[0])

static void init(struct fake *f, size_t protection)
{
    fake_init_ready(f, protections[protection].dialect, protections[protection].signing,
                    protections[protection].cipher);
}

static void init_signed(struct fake *f)
{
    init(f, 2);
}

static struct smb_reply only_reply(struct fake *f)
{
    struct smb_reply reply;
    assert_true(smb_conn_next_reply(f->conn, &reply));
    return reply;
}

static void must(int result)
{
    assert_int_equal(result, 0);
}

static void tree_connect_names_the_share_and_gives_the_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        uint8_t body[128];
        init(&f, i);
        must(smb_tree_connect(f.conn, 1, "IPC$", &f.err));
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_TREE_CONNECT);
        assert_int_equal(fake_request_u16(&f, 68), 72); /* PathOffset */
        assert_int_equal(fake_request_u16(&f, 70), 2 * strlen("\\\\pc-1.example\\IPC$"));
        assert_int_equal(fake_request_u16(&f, 72 + 2 * 14), '\\');
        must(fake_answer(&f, &(struct fake_answer){.tree = 77}, body, fake_body_tree(body, 2)));
        struct smb_reply reply = only_reply(&f);
        assert_int_equal(reply.op, SMB_OP_TREE_CONNECT);
        assert_int_equal(reply.tag, 1);
        assert_int_equal(reply.status, NTSTATUS_SUCCESS);
        assert_int_equal(reply.tree, 77);
        assert_true(reply.tree_is_pipe);
        assert_false(smb_conn_next_reply(f.conn, &reply));
        fake_release(&f);
    }
}

static void refused_request_gives_its_status_and_keeps_the_connection(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        init(&f, i);
        must(smb_tree_connect(f.conn, 1, "C$", &f.err));
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_ACCESS_DENIED}, error_body,
                         sizeof error_body));
        assert_int_equal(only_reply(&f).status, NTSTATUS_ACCESS_DENIED);
        assert_true(smb_conn_ready(f.conn));
        fake_release(&f);
    }
}

static void create_carries_everything_and_gives_the_file(void **state)
{
    (void)state;
    static const uint8_t descriptor[] = {1, 0, 4, 0x80, 9, 9, 9};
    struct fake f;
    uint8_t body[128];
    struct smb_create_request request = {.path = "SPDISTRO\\\xc3\xa4",
                                         .access = SMB_ACCESS_READ_DATA,
                                         .share = SMB_SHARE_READ,
                                         .disposition = SMB_OPEN_IF,
                                         .options = SMB_OPTION_DIRECTORY,
                                         .attributes = SMB_ATTRIBUTE_NORMAL,
                                         .security_descriptor = descriptor,
                                         .security_descriptor_size = sizeof descriptor};
    init_signed(&f);
    must(smb_create(f.conn, 2, FAKE_TREE, &request, &f.err));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u32(&f, 36), FAKE_TREE);
    assert_int_equal(fake_request_u32(&f, 64 + 24), SMB_ACCESS_READ_DATA);
    assert_int_equal(fake_request_u32(&f, 64 + 28), SMB_ATTRIBUTE_NORMAL);
    assert_int_equal(fake_request_u32(&f, 64 + 32), SMB_SHARE_READ);
    assert_int_equal(fake_request_u32(&f, 64 + 36), SMB_OPEN_IF);
    assert_int_equal(fake_request_u32(&f, 64 + 40), SMB_OPTION_DIRECTORY);
    assert_int_equal(fake_request_u16(&f, 64 + 44), 120);
    assert_int_equal(fake_request_u16(&f, 64 + 46), 20); /* ten UTF-16 units */
    uint32_t context = fake_request_u32(&f, 64 + 48);
    assert_int_equal(context % 8, 0);
    assert_int_equal(fake_request_u32(&f, 64 + 52), 24 + sizeof descriptor);
    assert_memory_equal(f.request.data + context + 16, "SecD", 4);
    assert_memory_equal(f.request.data + context + 24, descriptor, sizeof descriptor);
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_create(body)));
    struct smb_reply reply = only_reply(&f);
    assert_int_equal(reply.create_action, SMB_CREATED);
    assert_int_equal(reply.file.tree, FAKE_TREE);
    assert_int_equal(reply.file.persistent, 0xAAAA);
    assert_int_equal(reply.file.volatile_id, 0xBBBB);
    assert_true(reply.info.directory);
    assert_int_equal(reply.info.size, 4711);
    assert_int_equal(reply.info.attributes & SMB_ATTRIBUTE_REPARSE_POINT,
                     SMB_ATTRIBUTE_REPARSE_POINT);
    fake_release(&f);
}

static void create_with_an_informational_status_has_its_file(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[128];
    struct smb_create_request request = {.path = "x"};
    init_signed(&f);
    must(smb_create(f.conn, 2, FAKE_TREE, &request, &f.err));
    assert_true(fake_next_request(&f));
    struct fake_answer answer = {.status = 0x40000000U}; /* STATUS_OBJECT_NAME_EXISTS */
    must(fake_answer(&f, &answer, body, fake_body_create(body)));
    assert_int_equal(only_reply(&f).file.persistent, 0xAAAA);
    must(smb_create(f.conn, 3, FAKE_TREE, &request, &f.err));
    assert_true(fake_next_request(&f));
    answer.status = 0x40000000U; /* and without its body it is malformed */
    assert_int_equal(fake_answer(&f, &answer, body, 9), -1);
    fake_release(&f);
}

static void create_bad_inputs_are_refused_before_sending(void **state)
{
    (void)state;
    struct fake f;
    char long_path[SMB_PATH_SIZE_MAX + 2];
    init_signed(&f);
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    struct smb_create_request request = {.path = long_path};
    assert_int_equal(smb_create(f.conn, 2, FAKE_TREE, &request, &f.err), -1);
    assert_int_equal(f.err.code, ERR_INVALID);
    request.path = "\xff";
    assert_int_equal(smb_create(f.conn, 2, FAKE_TREE, &request, &f.err), -1);
    assert_int_equal(smb_rename(f.conn, 2, file, "\xff", true, &f.err), -1);
    assert_int_equal(smb_query_directory(f.conn, 2, file, "\xff", true, &f.err), -1);
    uint8_t byte = 0;
    assert_int_equal(smb_write(f.conn, 2, file, 0, &byte, 0, &f.err), -1);
    assert_int_equal(smb_write(f.conn, 2, file, 0, &byte, SMB_WRITE_SIZE_MAX + 1, &f.err), -1);
    assert_int_equal(smb_read(f.conn, 2, file, 0, SMB_READ_SIZE_MAX + 1, &f.err), -1);
    assert_int_equal(smb_pipe_transceive(f.conn, 2, file, &byte, 1, SMB_READ_SIZE_MAX + 1, &f.err),
                     -1);
    assert_false(fake_next_request(&f));
    assert_int_equal(smb_conn_pending(f.conn), 0);
    fake_release(&f);
}

static void write_of_several_credits_costs_them(void **state)
{
    (void)state;
    uint8_t *bytes = mem_new(150000, 1);
    memset(bytes, 0x5A, 150000);
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        uint8_t body[64];
        init(&f, i);
        must(smb_write(f.conn, 3, file, 0x123456789A, bytes, 150000, &f.err));
        assert_int_equal(f.conn->credits, 61);
        must(smb_flush(f.conn, 4, file, &f.err));
        assert_true(fake_next_request(&f));
        uint64_t first_id = fake_request_u64(&f, 24);
        assert_int_equal(fake_request_u16(&f, 6), 3); /* CreditCharge */
        assert_int_equal(fake_request_u16(&f, 66), 112);
        assert_int_equal(fake_request_u32(&f, 68), 150000);
        assert_int_equal(fake_request_u64(&f, 72), 0x123456789A);
        assert_int_equal(f.request.size, 112 + 150000);
        assert_memory_equal(f.request.data + 112, bytes, 150000);
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_write(body, 150000)));
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u64(&f, 24), first_id + 3); /* ids are used up as well */
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)));
        assert_int_equal(only_reply(&f).count, 150000);
        assert_int_equal(only_reply(&f).op, SMB_OP_FLUSH);
        fake_release(&f);
    }
    free(bytes);
}

/* Where the bytes of write_from come from. */
struct source {
    const uint8_t *bytes;
    unsigned asked;
    bool broken;
};

static int source_read(void *context, uint64_t offset, uint8_t *to, size_t size, struct err *err)
{
    struct source *source = context;
    source->asked++;
    if (source->broken)
        return err_set(err, ERR_IO, "no bytes");
    memcpy(to, source->bytes + offset, size);
    return 0;
}

static void write_from_reads_to_where_the_message_leaves(void **state)
{
    (void)state;
    uint8_t *bytes = mem_new(200000, 1);
    for (size_t i = 0; i < 200000; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        uint8_t body[64];
        struct source source = {.bytes = bytes};
        struct smb_write_request wanted = {
            .file = file, .offset = 50000, .size = 150000, .read = source_read, .context = &source};
        init(&f, i);
        must(smb_flush(f.conn, 2, file, &f.err)); /* something lies before it already */
        must(smb_write_from(f.conn, 3, &wanted, &f.err));
        must(smb_close(f.conn, 4, file, &f.err));
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)));
        assert_true(fake_next_request(&f)); /* checks signature or tag */
        assert_int_equal(fake_request_u16(&f, 6), 3);
        assert_int_equal(fake_request_u32(&f, 68), 150000);
        assert_int_equal(fake_request_u64(&f, 72), 50000);
        assert_int_equal(f.request.size, 112 + 150000);
        assert_memory_equal(f.request.data + 112, bytes + 50000, 150000);
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_write(body, 150000)));
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_CLOSE);
        fake_release(&f);
    }
    free(bytes);
}

static void write_from_that_cannot_be_made_sends_nothing(void **state)
{
    (void)state;
    uint8_t bytes[10] = {0};
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct source source = {.bytes = bytes, .broken = true};
        struct smb_write_request wanted = {
            .file = file, .size = sizeof bytes, .read = source_read, .context = &source};
        init(&f, i);
        must(smb_flush(f.conn, 2, file, &f.err));
        assert_int_equal(smb_write_from(f.conn, 3, &wanted, &f.err), -1);
        assert_int_equal(f.err.code, ERR_IO);
        source.broken = false;
        f.conn->credits = 0;
        assert_int_equal(smb_write_from(f.conn, 3, &wanted, &f.err), -1);
        assert_int_equal(f.err.code, ERR_LIMIT);
        assert_int_equal(source.asked, 1);
        wanted.size = 0;
        assert_int_equal(smb_write_from(f.conn, 3, &wanted, &f.err), -1);
        assert_int_equal(f.err.code, ERR_INVALID);
        f.conn->credits = 5;
        wanted.size = sizeof bytes;
        must(smb_write_from(f.conn, 4, &wanted, &f.err)); /* the connection is as good as before */
        assert_true(fake_next_request(&f));
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_WRITE);
        assert_false(fake_next_request(&f));
        fake_release(&f);
    }
}

static void write_answer_that_counts_more_than_asked_is_refused(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64] = {0};
    init_signed(&f);
    must(smb_write(f.conn, 3, file, 0, body, 10, &f.err));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_write(body, 11)),
                     -1);
    assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_PROTOCOL);
    fake_release(&f);
}

static void write_room_follows_credits_and_buffer(void **state)
{
    (void)state;
    struct fake f;
    uint8_t *bytes = mem_new(262144, 1);
    init_signed(&f);
    assert_int_equal(smb_conn_write_room(f.conn), 262144); /* the buffer's default */
    f.conn->credits = 3;
    assert_int_equal(smb_conn_write_room(f.conn), 131072); /* one credit stays back */
    f.conn->credits = 1; /* and nothing on the way that could bring another */
    assert_int_equal(smb_conn_write_room(f.conn), 65536);
    f.conn->credits = 64;
    must(smb_write(f.conn, 1, file, 0, bytes, 100000, &f.err));
    f.conn->credits = 1;
    assert_int_equal(smb_conn_write_room(f.conn), 0);
    f.conn->credits = 62;
    assert_int_equal(smb_conn_write_room(f.conn), 131072); /* whole steps only */
    must(smb_write(f.conn, 1, file, 0, bytes, 131072, &f.err));
    assert_int_equal(smb_conn_write_room(f.conn), 0);
    while (fake_next_request(&f)) {
    }
    assert_int_equal(smb_conn_write_room(f.conn), 262144);
    f.conn->multi_credit = false;
    assert_int_equal(smb_conn_write_room(f.conn), 65536);
    free(bytes);
    fake_release(&f);
}

static void requests_without_credits_wait_in_order(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    uint8_t big[20000] = {0};
    init_signed(&f);
    f.conn->credits = 1;
    must(smb_flush(f.conn, 1, file, &f.err));
    must(smb_write(f.conn, 2, file, 0, big, 100, &f.err)); /* small: waits as well */
    must(smb_close(f.conn, 3, file, &f.err));
    assert_int_equal(smb_conn_write_room(f.conn), 0);
    assert_int_equal(smb_write(f.conn, 4, file, 0, big, sizeof big, &f.err), -1);
    assert_int_equal(f.err.code, ERR_LIMIT);
    assert_int_equal(smb_conn_pending(f.conn), 3);
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_FLUSH);
    assert_false(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){.credits = 1}, body, fake_body_plain(body, 4)));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_WRITE);
    assert_int_equal(f.request.size, 112 + 100);
    assert_false(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){.credits = 9}, body, fake_body_write(body, 100)));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_CLOSE);
    fake_release(&f);
}

static void requests_deferred_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct fake f;
    uint8_t bytes[8000] = {0};
    int accepted = 0;
    init_signed(&f);
    f.conn->credits = 0;
    while (accepted < 1000 && smb_write(f.conn, 1, file, 0, bytes, sizeof bytes, &f.err) == 0)
        accepted++;
    assert_true(accepted > 10 && accepted < 100);
    assert_int_equal(f.err.code, ERR_LIMIT);
    fake_release(&f);
}

static void no_credits_left_and_nothing_to_wait_for_is_refused(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    init_signed(&f);
    f.conn->credits = 1;
    must(smb_flush(f.conn, 1, file, &f.err));
    assert_true(fake_next_request(&f));
    struct fake_answer answer = {.no_credits = true};
    assert_int_equal(fake_answer(&f, &answer, body, fake_body_plain(body, 4)), -1);
    assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_PROTOCOL);
    fake_release(&f);
}

static void interim_answer_is_followed_by_the_real_one(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct smb_reply reply;
        uint8_t body[64];
        init(&f, i);
        must(smb_flush(f.conn, 1, file, &f.err));
        assert_true(fake_next_request(&f));
        struct fake_answer interim = {.status = NTSTATUS_PENDING,
                                      .flags = SMB_FLAG_ASYNC,
                                      .bare = !f.seal}; /* servers do not sign these */
        must(fake_answer(&f, &interim, error_body, sizeof error_body));
        assert_false(smb_conn_next_reply(f.conn, &reply));
        assert_int_equal(smb_conn_pending(f.conn), 1);
        must(fake_answer(&f, &(struct fake_answer){.flags = SMB_FLAG_ASYNC, .no_credits = true},
                         body, fake_body_plain(body, 4)));
        assert_int_equal(only_reply(&f).status, NTSTATUS_SUCCESS);
        fake_release(&f);
    }
}

static void interim_answer_without_async_id_is_refused(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    struct fake f;
    init_signed(&f);
    must(smb_flush(f.conn, 1, file, &f.err));
    assert_true(fake_next_request(&f));
    struct fake_answer interim = {.status = NTSTATUS_PENDING};
    assert_int_equal(fake_answer(&f, &interim, error_body, sizeof error_body), -1);
    fake_release(&f);
}

static void transceive_overflow_is_data_and_read_gives_the_rest(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[256];
    init_signed(&f);
    must(smb_pipe_transceive(f.conn, 1, file, (const uint8_t *)"ask", 3, 8, &f.err));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u32(&f, 68), PIPE_CODE);
    assert_int_equal(fake_request_u32(&f, 64 + 28), 3); /* InputCount */
    assert_int_equal(fake_request_u32(&f, 64 + 44), 8); /* MaxOutputResponse */
    assert_memory_equal(f.request.data + 120, "ask", 3);
    must(fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_BUFFER_OVERFLOW}, body,
                     fake_body_ioctl(body, PIPE_CODE, "12345678", 8)));
    struct smb_reply reply = only_reply(&f);
    assert_int_equal(reply.status, NTSTATUS_BUFFER_OVERFLOW);
    assert_false(ntstatus_is_error(reply.status));
    assert_int_equal(reply.data_size, 8);
    assert_memory_equal(reply.data, "12345678", 8);
    must(smb_read(f.conn, 2, file, 0, 100, &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_read(body, "rest", 4)));
    reply = only_reply(&f);
    assert_memory_equal(reply.data, "rest", 4);
    fake_release(&f);
}

static void answers_longer_than_asked_are_refused(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[256];
    init_signed(&f);
    must(smb_pipe_transceive(f.conn, 1, file, (const uint8_t *)"ask", 3, 7, &f.err));
    assert_true(fake_next_request(&f));
    size_t size = fake_body_ioctl(body, PIPE_CODE, "12345678", 8);
    assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, size), -1);
    fake_release(&f);
    init_signed(&f);
    must(smb_read(f.conn, 1, file, 0, 3, &f.err));
    assert_true(fake_next_request(&f));
    size = fake_body_read(body, "rest", 4);
    assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, size), -1);
    fake_release(&f);
}

static void rename_says_replace_and_the_new_name(void **state)
{
    (void)state;
    struct fake f;
    init_signed(&f);
    must(smb_rename(f.conn, 1, file, "a\\b", true, &f.err));
    must(smb_rename(f.conn, 2, file, "a\\b", false, &f.err));
    must(smb_set_delete(f.conn, 3, file, true, &f.err));
    must(smb_set_attributes(f.conn, 4, file, SMB_ATTRIBUTE_NORMAL, &f.err));
    for (int replace = 1; replace >= 0; replace--) {
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_SET_INFO);
        assert_int_equal(fake_request_u16(&f, 66), 10 << 8 | 1); /* InfoType, FileInfoClass */
        assert_int_equal(fake_request_u32(&f, 68), 20 + 6);      /* BufferLength */
        assert_int_equal(f.request.data[96], replace);
        assert_int_equal(fake_request_u32(&f, 96 + 16), 6);
        assert_memory_equal(f.request.data + 96 + 20, "a\0\\\0b\0", 6);
    }
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 66), 13 << 8 | 1);
    assert_int_equal(f.request.data[96], 1);
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 66), 4 << 8 | 1);
    assert_int_equal(fake_request_u32(&f, 68), 40);
    assert_int_equal(fake_request_u32(&f, 96 + 32), SMB_ATTRIBUTE_NORMAL);
    fake_release(&f);
}

static void query_info_reads_each_class(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[256];
    uint8_t data[64] = {0};
    struct smb_reply reply;
    init_signed(&f);
    must(smb_query_info(f.conn, 1, file, SMB_INFO_STANDARD, &f.err));
    assert_true(fake_next_request(&f));
    data[8] = 7;  /* EndOfFile */
    data[20] = 1; /* DeletePending */
    data[21] = 1; /* Directory */
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_query(body, data, 24)));
    reply = only_reply(&f);
    assert_int_equal(reply.info.size, 7);
    assert_true(reply.info.delete_pending && reply.info.directory);
    must(smb_query_info(f.conn, 2, file, SMB_INFO_ATTRIBUTE_TAG, &f.err));
    assert_true(fake_next_request(&f));
    static const uint8_t tag[] = {0x10, 4, 0, 0, 3, 0, 0, 0xA0};
    memcpy(data, tag, sizeof tag);
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_query(body, data, 8)));
    reply = only_reply(&f);
    assert_int_equal(reply.info.reparse_tag, 0xA0000003U); /* a mount point */
    assert_int_equal(reply.info.attributes, 0x410);
    must(smb_query_info(f.conn, 3, file, SMB_INFO_FREE_SPACE, &f.err));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 66), 7 << 8 | 2);
    memset(data, 0xff, sizeof data); /* a size that would overflow */
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_query(body, data, 32)));
    assert_true(only_reply(&f).free_bytes == UINT64_MAX);
    must(smb_query_info(f.conn, 4, file, SMB_INFO_BASIC, &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_query(body, data, 40)));
    assert_int_equal(only_reply(&f).info.attributes, UINT32_MAX);
    fake_release(&f);
}

static void directory_entries_are_read_and_damaged_ones_end_it(void **state)
{
    (void)state;
    struct smb_directory_entry entry;
    struct buf list;
    buf_init(&list, 1024);
    for (int i = 0; i < 3; i++) { /* "a", a lone surrogate, "c" */
        static const char *const names[] = {"a", "\x00\xd8", "c"};
        buf_u32le(&list, i < 2 ? 72 : 0);
        buf_zero(&list, 4 + 4 * 8);
        buf_u64le(&list, (uint64_t)i + 100);
        buf_u64le(&list, 0);
        buf_u32le(&list, SMB_ATTRIBUTE_NORMAL);
        buf_u32le(&list, 2);
        buf_bytes(&list, names[i], 2);
        buf_align(&list, 0, 8);
    }
    struct cursor c = cursor_of(list.data, list.size);
    assert_true(smb_directory_next(&c, &entry));
    assert_string_equal(entry.name, "a");
    assert_int_equal(entry.info.size, 100);
    assert_true(smb_directory_next(&c, &entry));
    assert_string_equal(entry.name, "c"); /* the unreadable name is passed over */
    assert_false(smb_directory_next(&c, &entry));
    assert_true(cursor_ok(&c));
    for (size_t size = 0; size < list.size; size++) {
        uint8_t *exact = mem_new(size > 0 ? size : 1, 1);
        memcpy(exact, list.data, size);
        c = cursor_of(exact, size);
        int count = 0;
        while (smb_directory_next(&c, &entry))
            count++;
        assert_true(count <= 2);
        free(exact);
    }
    list.data[0] = 8; /* NextEntryOffset into itself */
    c = cursor_of(list.data, list.size);
    assert_false(smb_directory_next(&c, &entry));
    assert_false(cursor_ok(&c));
    buf_release(&list);
}

static void compound_answer_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct buf messages[2];
        struct buf joined;
        uint8_t body[64];
        init(&f, i);
        must(smb_flush(f.conn, 1, file, &f.err));
        must(smb_close(f.conn, 2, file, &f.err));
        assert_true(fake_next_request(&f));
        fake_message(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4), &messages[0]);
        assert_true(fake_next_request(&f));
        fake_message(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 60), &messages[1]);
        fake_join(&f, messages, 2, &joined);
        must(fake_feed(&f, &(struct fake_answer){.joined = true}, &joined));
        assert_int_equal(only_reply(&f).tag, 1);
        assert_int_equal(only_reply(&f).tag, 2);
        buf_release(&joined);
        fake_release(&f);
    }
}

static void next_command_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {1, 8, 60, 63, 65, 68, 136, 0x7ffffff8, 0xfffffff8, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fake f;
        struct buf message;
        uint8_t body[136] = {0};
        init(&f, 4);
        must(smb_flush(f.conn, 1, file, &f.err));
        assert_true(fake_next_request(&f));
        (void)fake_body_plain(body, 4);
        fake_message(&f, &(struct fake_answer){0}, body, sizeof body, &message);
        /* A header lies where a misaligned NextCommand would find one. */
        memcpy(message.data + 68, message.data, SMB_HEADER_SIZE);
        buf_patch_u32le(&message, 20, bad[i]);
        assert_int_equal(fake_feed(&f, &(struct fake_answer){0}, &message), -1);
        assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_PROTOCOL);
        buf_release(&message);
        fake_release(&f);
    }
}

/* Makes a request, answers it as told, expects the connection to fail like this. */
static void expect_failure(size_t protection, const struct fake_answer *answer,
                           enum smb_failure failure)
{
    struct fake f;
    struct smb_reply reply;
    const uint8_t *bytes;
    size_t size;
    uint8_t body[64];
    init(&f, protection);
    must(smb_flush(f.conn, 1, file, &f.err));
    assert_true(fake_next_request(&f));
    must(smb_close(f.conn, 2, file, &f.err));
    assert_int_equal(fake_answer(&f, answer, body, fake_body_plain(body, 4)), -1);
    assert_int_equal(smb_conn_failure(f.conn), failure);
    /* Nothing comes of it, and nothing more is sent or accepted. */
    assert_false(smb_conn_next_reply(f.conn, &reply));
    assert_false(smb_conn_output(f.conn, &bytes, &size));
    assert_int_equal(smb_flush(f.conn, 3, file, &f.err), -1);
    assert_int_equal(f.err.code, ERR_UNAVAILABLE);
    assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)), -1);
    fake_release(&f);
}

static void unprotected_answers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        expect_failure(i, &(struct fake_answer){.bare = true}, SMB_FAILURE_SIGNING);
        expect_failure(i, &(struct fake_answer){.bare = true, .status = NTSTATUS_ACCESS_DENIED},
                       SMB_FAILURE_SIGNING);
        expect_failure(i,
                       &(struct fake_answer){.bare = true, .status = NTSTATUS_USER_SESSION_DELETED},
                       SMB_FAILURE_SESSION_LOST);
        expect_failure(
            i, &(struct fake_answer){.bare = true, .status = NTSTATUS_NETWORK_SESSION_EXPIRED},
            SMB_FAILURE_SESSION_LOST);
    }
}

static void session_gone_is_told_by_protected_answers_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        expect_failure(i, &(struct fake_answer){.status = NTSTATUS_USER_SESSION_DELETED},
                       SMB_FAILURE_SESSION_LOST);
        expect_failure(i, &(struct fake_answer){.status = NTSTATUS_NETWORK_SESSION_EXPIRED},
                       SMB_FAILURE_SESSION_LOST);
    }
}

static void unsealed_interim_answer_in_an_encrypted_session_is_refused(void **state)
{
    (void)state;
    struct fake_answer answer = {.bare = true, .status = NTSTATUS_PENDING, .flags = SMB_FLAG_ASYNC};
    expect_failure(3, &answer, SMB_FAILURE_SIGNING);
    expect_failure(4, &answer, SMB_FAILURE_SIGNING);
}

static void signed_answer_in_an_encrypted_session_is_refused(void **state)
{
    (void)state;
    for (size_t i = 3; i < PROTECTION_COUNT; i++) {
        struct fake f;
        uint8_t body[64];
        init(&f, i);
        must(smb_flush(f.conn, 1, file, &f.err));
        assert_true(fake_next_request(&f));
        f.seal = false; /* a right signature instead */
        size_t size = fake_body_plain(body, 4);
        assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, size), -1);
        assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_SIGNING);
        fake_release(&f);
    }
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        size_t size = SMB_HEADER_SIZE + 4 + (i >= 3 ? SMB_TRANSFORM_SIZE : 0);
        for (size_t at = 0; at < size; at++) {
            struct fake f;
            uint8_t body[64];
            struct smb_reply reply;
            init(&f, i);
            must(smb_flush(f.conn, 1, file, &f.err));
            assert_true(fake_next_request(&f));
            struct fake_answer answer = {.flip = (long)at - (long)size};
            assert_int_equal(fake_answer(&f, &answer, body, fake_body_plain(body, 4)), -1);
            assert_int_not_equal(smb_conn_failure(f.conn), SMB_FAILURE_NONE);
            if (at >= 4 && i >= 3) /* behind the protocol id all of a sealed frame is covered */
                assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_SIGNING);
            assert_false(smb_conn_next_reply(f.conn, &reply));
            fake_release(&f);
        }
    }
}

static void answers_to_nothing_or_to_somebody_else_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        expect_failure(i, &(struct fake_answer){.message_id = 999}, SMB_FAILURE_PROTOCOL);
        expect_failure(i, &(struct fake_answer){.session = 1}, SMB_FAILURE_PROTOCOL);
        expect_failure(i, &(struct fake_answer){.command = SMB_COMMAND_CREATE},
                       SMB_FAILURE_PROTOCOL);
        expect_failure(i, &(struct fake_answer){.message_id = UINT64_MAX}, SMB_FAILURE_PROTOCOL);
    }
}

static void answer_given_twice_is_refused(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    init_signed(&f);
    must(smb_flush(f.conn, 1, file, &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)));
    assert_int_equal(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)), -1);
    assert_int_equal(only_reply(&f).tag, 1); /* what came before the failure stays */
    fake_release(&f);
}

static void oplock_break_is_ignored(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    init_signed(&f);
    must(smb_flush(f.conn, 1, file, &f.err));
    assert_true(fake_next_request(&f));
    struct fake_answer answer = {
        .message_id = UINT64_MAX, .command = SMB_COMMAND_OPLOCK_BREAK, .bare = true};
    must(fake_answer(&f, &answer, body, fake_body_plain(body, 24)));
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_plain(body, 4)));
    fake_release(&f);
}

static void frames_that_are_no_smb_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        enum smb_failure failure;
    } cases[] = {
        {"\0\0\0\0", 4, SMB_FAILURE_PROTOCOL}, /* an empty frame */
        {"\0\0\0\1x", 5, SMB_FAILURE_PROTOCOL},
        {"\0\0\0\4\xfeSMB", 8, SMB_FAILURE_PROTOCOL}, /* no header */
        {"\0\0\0\4\xfdSMB", 8, SMB_FAILURE_SIGNING},
        {"\0\0\0\4\xfcSMB", 8, SMB_FAILURE_PROTOCOL}, /* compressed */
        {"\0\0\0\4\xffSMB", 8, SMB_FAILURE_DIALECT},  /* SMB1 */
        {"\x85\0\0\0", 4, SMB_FAILURE_PROTOCOL},      /* NetBIOS keep-alive */
        {"\0\xff\xff\xff", 4, SMB_FAILURE_PROTOCOL},  /* 16 MB to come */
        {"HTTP/1.1 400", 12, SMB_FAILURE_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake f;
        init_signed(&f);
        assert_int_equal(
            smb_conn_receive(f.conn, (const uint8_t *)cases[i].bytes, cases[i].size, &f.err), -1);
        assert_int_equal(smb_conn_failure(f.conn), cases[i].failure);
        fake_release(&f);
    }
}

static void logoff_ends_the_session(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    init_signed(&f);
    must(smb_logoff(f.conn, 1, &f.err));
    assert_true(fake_next_request(&f));
    must(
        fake_answer(&f, &(struct fake_answer){.no_credits = true}, body, fake_body_plain(body, 4)));
    assert_int_equal(only_reply(&f).op, SMB_OP_LOGOFF);
    assert_false(smb_conn_ready(f.conn));
    assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_NONE);
    assert_int_equal(smb_flush(f.conn, 2, file, &f.err), -1);
    fake_release(&f);
}

/* --- Every decoder against every truncation and many random bytes, with a right signature --- */

#define REQUEST_KINDS 14U

/* Queues one request of each kind that has an answer of its own form. */
static void make_request(struct fake *f, unsigned kind)
{
    struct smb_create_request create = {.path = "x"};
    switch (kind) {
    case 0:
        must(smb_tree_connect(f->conn, 1, "C$", &f->err));
        break;
    case 1:
        must(smb_create(f->conn, 1, FAKE_TREE, &create, &f->err));
        break;
    case 2:
        must(smb_close(f->conn, 1, file, &f->err));
        break;
    case 3:
        must(smb_write(f->conn, 1, file, 0, (const uint8_t *)"0123456789", 10, &f->err));
        break;
    case 4:
        must(smb_read(f->conn, 1, file, 0, 100, &f->err));
        break;
    case 5:
        must(smb_flush(f->conn, 1, file, &f->err));
        break;
    case 6:
        must(smb_set_delete(f->conn, 1, file, true, &f->err));
        break;
    case 7:
        must(smb_query_info(f->conn, 1, file, SMB_INFO_BASIC, &f->err));
        break;
    case 8:
        must(smb_query_info(f->conn, 1, file, SMB_INFO_STANDARD, &f->err));
        break;
    case 9:
        must(smb_query_info(f->conn, 1, file, SMB_INFO_FREE_SPACE, &f->err));
        break;
    case 10:
        must(smb_query_security(f->conn, 1, file, SMB_SECURITY_DACL, &f->err));
        break;
    case 11:
        must(smb_query_directory(f->conn, 1, file, "*", true, &f->err));
        break;
    case 12:
        must(smb_pipe_transceive(f->conn, 1, file, (const uint8_t *)"q", 1, 99, &f->err));
        break;
    default:
        must(smb_validate_send(f->conn, FAKE_TREE));
        break;
    }
    assert_true(fake_next_request(f));
}

static size_t good_body(unsigned kind, uint8_t *body)
{
    uint8_t data[64];
    memset(data, 1, sizeof data);
    switch (kind) {
    case 0:
        return fake_body_tree(body, 1);
    case 1:
        return fake_body_create(body);
    case 2:
        return fake_body_plain(body, 60);
    case 3:
        return fake_body_write(body, 10);
    case 4:
        return fake_body_read(body, data, sizeof data);
    case 5:
        return fake_body_plain(body, 4);
    case 6:
        return fake_body_plain(body, 2);
    case 7:
    case 8:
    case 9:
    case 10:
        return fake_body_query(body, data, 40);
    case 11:
        return fake_body_query(body, data, sizeof data);
    case 12:
        return fake_body_ioctl(body, PIPE_CODE, data, sizeof data);
    default:
        memset(data, 0, 24); /* what fake_init_ready leaves as the negotiated values */
        data[22] = 0x11;
        data[23] = 0x03;
        return fake_body_ioctl(body, 0x00140204U, data, 24);
    }
}

static void answers_good_and_truncated_are_told_apart(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < REQUEST_KINDS; kind++) {
        uint8_t body[512];
        size_t body_size = good_body(kind, body);
        for (size_t cut = 0; cut <= SMB_HEADER_SIZE + body_size; cut++) {
            struct fake f;
            init_signed(&f);
            make_request(&f, kind);
            int result = fake_answer(&f, &(struct fake_answer){.cut = cut}, body, body_size);
            if (cut == 0)
                must(result);
            if (cut >= body_size) /* not even a StructureSize */
                assert_int_equal(result, -1);
            fake_release(&f);
        }
    }
}

/* xorshift64: the same damage in every run. */
static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void answers_with_random_damage_never_crash(void **state)
{
    (void)state;
    static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xff, 64, 63, 65};
    uint64_t seed = 20240607;
    for (unsigned round = 0; round < 6000; round++) {
        unsigned kind = round % REQUEST_KINDS;
        struct fake f;
        struct buf message;
        struct smb_reply reply;
        uint8_t body[512];
        init_signed(&f);
        make_request(&f, kind);
        size_t body_size = good_body(kind, body);
        fake_message(&f, &(struct fake_answer){0}, body, body_size, &message);
        for (unsigned i = 0; i <= round % 5; i++) {
            size_t first = round % 3 == 0 ? 4 : SMB_HEADER_SIZE; /* header as well, or body only */
            size_t at = first + random_next(&seed) % (message.size - first);
            uint8_t value = nasty[random_next(&seed) % sizeof nasty];
            message.data[at] = round % 2 == 0 ? value : (uint8_t)random_next(&seed);
        }
        if (fake_feed(&f, &(struct fake_answer){0}, &message) == 0)
            while (smb_conn_next_reply(f.conn, &reply)) {
                struct cursor c = cursor_of(reply.data, reply.data_size);
                struct smb_directory_entry entry;
                while (smb_directory_next(&c, &entry)) {
                }
            }
        buf_release(&message);
        fake_release(&f);
    }
}

/* --- FSCTL_VALIDATE_NEGOTIATE_INFO --- */

static int validate(size_t protection, uint32_t status, size_t byte, enum smb_failure *failure)
{
    struct fake f;
    struct smb_reply reply;
    uint8_t body[256];
    uint8_t data[24] = {0};
    init(&f, protection);
    f.conn->validation_asked = false;
    must(smb_tree_connect(f.conn, 1, "C$", &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_tree(body, 1)));
    assert_false(smb_conn_next_reply(f.conn, &reply)); /* not before it is sure what was agreed */
    assert_true(fake_next_request(&f));                /* the question comes by itself */
    assert_int_equal(fake_request_u32(&f, 68), 0x00140204U);
    assert_true(fake_request_u64(&f, 72) == UINT64_MAX);
    assert_int_equal(fake_request_u32(&f, 120), f.conn->config.refuse_encryption ? 4 : 0x44);
    assert_int_equal(fake_request_u16(&f, 120 + 20), SMB_SIGNING_REQUIRED);
    assert_int_equal(fake_request_u16(&f, 120 + 22), 4);
    assert_int_equal(fake_request_u16(&f, 120 + 24), SMB_DIALECT_2_1);
    data[22] = (uint8_t)protections[protection].dialect;
    data[23] = (uint8_t)(protections[protection].dialect >> 8);
    if (byte < sizeof data)
        data[byte] ^= 1;
    int result = fake_answer(&f, &(struct fake_answer){.status = status}, body,
                             fake_body_ioctl(body, 0x00140204U, data, sizeof data));
    *failure = smb_conn_failure(f.conn);
    assert_int_equal(smb_conn_next_reply(f.conn, &reply), result == 0); /* TREE_CONNECT's */
    assert_false(smb_conn_next_reply(f.conn, &reply));
    if (result == 0) { /* asked once only */
        must(smb_tree_connect(f.conn, 2, "IPC$", &f.err));
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_tree(body, 2)));
        assert_false(fake_next_request(&f));
    }
    fake_release(&f);
    return result;
}

static void validation_of_the_negotiation_is_asked_and_believed(void **state)
{
    (void)state;
    enum smb_failure failure;
    must(validate(0, 0, 99, &failure));
    must(validate(1, 0, 99, &failure));
    must(validate(3, 0, 99, &failure));
    /* Old servers may not know it; signed, that is an answer (2.1 only). */
    must(validate(0, NTSTATUS_INVALID_DEVICE_REQUEST, 99, &failure));
    must(validate(0, NTSTATUS_NOT_SUPPORTED, 99, &failure));
    must(validate(0, NTSTATUS_FILE_CLOSED, 99, &failure));
}

static void validation_that_differs_or_is_refused_fails_the_connection(void **state)
{
    (void)state;
    enum smb_failure failure;
    for (size_t byte = 0; byte < 24; byte++) {
        assert_int_equal(validate(1, 0, byte, &failure), -1);
        assert_int_equal(failure, SMB_FAILURE_SIGNING);
    }
    assert_int_equal(validate(1, NTSTATUS_INVALID_DEVICE_REQUEST, 99, &failure), -1);
    assert_int_equal(failure, SMB_FAILURE_SIGNING);
    assert_int_equal(validate(0, NTSTATUS_ACCESS_DENIED, 99, &failure), -1);
    assert_int_equal(failure, SMB_FAILURE_SIGNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_connect_names_the_share_and_gives_the_tree),
        cmocka_unit_test(refused_request_gives_its_status_and_keeps_the_connection),
        cmocka_unit_test(create_carries_everything_and_gives_the_file),
        cmocka_unit_test(create_with_an_informational_status_has_its_file),
        cmocka_unit_test(create_bad_inputs_are_refused_before_sending),
        cmocka_unit_test(write_of_several_credits_costs_them),
        cmocka_unit_test(write_from_reads_to_where_the_message_leaves),
        cmocka_unit_test(write_from_that_cannot_be_made_sends_nothing),
        cmocka_unit_test(write_answer_that_counts_more_than_asked_is_refused),
        cmocka_unit_test(write_room_follows_credits_and_buffer),
        cmocka_unit_test(requests_without_credits_wait_in_order),
        cmocka_unit_test(requests_deferred_beyond_the_limit_are_refused),
        cmocka_unit_test(no_credits_left_and_nothing_to_wait_for_is_refused),
        cmocka_unit_test(interim_answer_is_followed_by_the_real_one),
        cmocka_unit_test(interim_answer_without_async_id_is_refused),
        cmocka_unit_test(transceive_overflow_is_data_and_read_gives_the_rest),
        cmocka_unit_test(answers_longer_than_asked_are_refused),
        cmocka_unit_test(rename_says_replace_and_the_new_name),
        cmocka_unit_test(query_info_reads_each_class),
        cmocka_unit_test(directory_entries_are_read_and_damaged_ones_end_it),
        cmocka_unit_test(compound_answer_is_taken_apart),
        cmocka_unit_test(next_command_out_of_bounds_is_refused),
        cmocka_unit_test(unprotected_answers_are_refused),
        cmocka_unit_test(session_gone_is_told_by_protected_answers_too),
        cmocka_unit_test(unsealed_interim_answer_in_an_encrypted_session_is_refused),
        cmocka_unit_test(signed_answer_in_an_encrypted_session_is_refused),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(answers_to_nothing_or_to_somebody_else_are_refused),
        cmocka_unit_test(answer_given_twice_is_refused),
        cmocka_unit_test(oplock_break_is_ignored),
        cmocka_unit_test(frames_that_are_no_smb_are_refused),
        cmocka_unit_test(logoff_ends_the_session),
        cmocka_unit_test(answers_good_and_truncated_are_told_apart),
        cmocka_unit_test(answers_with_random_damage_never_crash),
        cmocka_unit_test(validation_of_the_negotiation_is_asked_and_believed),
        cmocka_unit_test(validation_that_differs_or_is_refused_fails_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
