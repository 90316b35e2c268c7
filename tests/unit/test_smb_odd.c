/* What servers do that is allowed and easily forgotten: answers that come in two steps, less data
 * than asked for, and credits one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smb_fake.h"

#define PIPE_CODE 0x0011C017U
#define KIND_COUNT 15U

static const struct smb_file file = {FAKE_TREE, 0xAAAA, 0xBBBB};
static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};

static void init(struct fake *f, bool sealed)
{
    fake_init_ready(f, SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                    sealed ? SMB_CIPHER_AES_128_GCM : SMB_CIPHER_NONE);
}

static void must(int result)
{
    assert_int_equal(result, 0);
}

/* Makes one request of each kind, with the tag 1; returns what its reply will be. */
static enum smb_op make(struct fake *f, unsigned kind)
{
    struct smb_conn *c = f->conn;
    struct err *err = &f->err;
    const uint8_t *bytes = (const uint8_t *)"0123456789";
    static const enum smb_op ops[KIND_COUNT] = {
        SMB_OP_TREE_CONNECT,    SMB_OP_TREE_DISCONNECT, SMB_OP_CREATE,
        SMB_OP_CLOSE,           SMB_OP_WRITE,           SMB_OP_READ,
        SMB_OP_FLUSH,           SMB_OP_SET_INFO,        SMB_OP_SET_INFO,
        SMB_OP_SET_INFO,        SMB_OP_QUERY_INFO,      SMB_OP_QUERY_SECURITY,
        SMB_OP_QUERY_DIRECTORY, SMB_OP_PIPE_TRANSCEIVE, SMB_OP_LOGOFF};
    int made = -1;
    switch (kind) {
    case 0:
        made = smb_tree_connect(c, 1, "C$", err);
        break;
    case 1:
        made = smb_tree_disconnect(c, 1, FAKE_TREE, err);
        break;
    case 2:
        made = smb_create(c, 1, FAKE_TREE, &(struct smb_create_request){.path = "x"}, err);
        break;
    case 3:
        made = smb_close(c, 1, file, err);
        break;
    case 4:
        made = smb_write(c, 1, file, 0, bytes, 10, err);
        break;
    case 5:
        made = smb_read(c, 1, file, 0, 100, err);
        break;
    case 6:
        made = smb_flush(c, 1, file, err);
        break;
    case 7:
        made = smb_set_delete(c, 1, file, true, err);
        break;
    case 8:
        made = smb_rename(c, 1, file, "y", true, err);
        break;
    case 9:
        made = smb_set_allocation(c, 1, file, 1, err);
        break;
    case 10:
        made = smb_query_info(c, 1, file, SMB_INFO_STANDARD, err);
        break;
    case 11:
        made = smb_query_security(c, 1, file, SMB_SECURITY_DACL, err);
        break;
    case 12:
        made = smb_query_directory(c, 1, file, "*", true, err);
        break;
    case 13:
        made = smb_pipe_transceive(c, 1, file, bytes, 10, 99, err);
        break;
    default:
        made = smb_logoff(c, 1, err);
        break;
    }
    must(made);
    return ops[kind];
}

/* A good answer's body to the request looked at last. */
static size_t good_body(const struct fake *f, uint8_t *body)
{
    static const uint8_t data[40] = {0};
    switch (fake_request_u16(f, 12)) {
    case SMB_COMMAND_TREE_CONNECT:
        return fake_body_tree(body, 1);
    case SMB_COMMAND_CREATE:
        return fake_body_create(body);
    case SMB_COMMAND_CLOSE:
        return fake_body_plain(body, 60);
    case SMB_COMMAND_WRITE:
        return fake_body_write(body, 10);
    case SMB_COMMAND_READ:
        return fake_body_read(body, data, sizeof data);
    case SMB_COMMAND_SET_INFO:
        return fake_body_plain(body, 2);
    case SMB_COMMAND_QUERY_INFO:
    case SMB_COMMAND_QUERY_DIRECTORY:
        return fake_body_query(body, data, sizeof data);
    case SMB_COMMAND_IOCTL:
        return fake_body_ioctl(body, PIPE_CODE, data, sizeof data);
    default:
        return fake_body_plain(body, 4);
    }
}

/* Servers put off whatever they like, and may say so more than once. */
static void interim_answer_to_any_request_is_no_answer(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        for (int sealed = 0; sealed < 2; sealed++) {
            struct fake f;
            struct smb_reply reply;
            uint8_t body[512];
            struct fake_answer interim = {
                .status = NTSTATUS_PENDING, .flags = SMB_FLAG_ASYNC, .bare = sealed == 0};
            init(&f, sealed != 0);
            enum smb_op op = make(&f, kind);
            assert_true(fake_next_request(&f));
            for (int i = 0; i < 2; i++) {
                must(fake_answer(&f, &interim, error_body, sizeof error_body));
                assert_false(smb_conn_next_reply(f.conn, &reply));
                assert_int_equal(smb_conn_pending(f.conn), 1);
            }
            must(fake_answer(&f, &(struct fake_answer){.flags = kind == 0 ? 0 : SMB_FLAG_ASYNC},
                             body, good_body(&f, body)));
            assert_true(smb_conn_next_reply(f.conn, &reply));
            assert_int_equal(reply.op, op);
            assert_int_equal(reply.tag, 1);
            assert_int_equal(reply.status, NTSTATUS_SUCCESS);
            assert_int_equal(smb_conn_pending(f.conn), 0);
            fake_release(&f);
        }
}

static void refusal_after_an_interim_answer_is_the_answer(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct fake f;
        struct smb_reply reply;
        struct fake_answer interim = {.status = NTSTATUS_PENDING, .flags = SMB_FLAG_ASYNC};
        struct fake_answer refusal = {.status = NTSTATUS_ACCESS_DENIED, .flags = SMB_FLAG_ASYNC};
        init(&f, true);
        (void)make(&f, kind);
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &interim, error_body, sizeof error_body));
        must(fake_answer(&f, &refusal, error_body, sizeof error_body));
        assert_true(smb_conn_next_reply(f.conn, &reply));
        assert_int_equal(reply.status, NTSTATUS_ACCESS_DENIED);
        assert_int_equal(reply.data_size, 0);
        fake_release(&f);
    }
}

/* Pipes and files give what they have. */
static void less_than_asked_for_is_what_there_is(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 100; size += 25) {
        struct fake f;
        struct smb_reply reply;
        uint8_t body[256];
        uint8_t data[100] = {1, 2, 3};
        init(&f, true);
        must(smb_read(f.conn, 1, file, 0, sizeof data, &f.err));
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){0}, body, fake_body_read(body, data, size)));
        assert_true(smb_conn_next_reply(f.conn, &reply));
        assert_int_equal(reply.data_size, size);
        must(smb_pipe_transceive(f.conn, 2, file, data, 10, sizeof data, &f.err));
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_BUFFER_OVERFLOW}, body,
                         fake_body_ioctl(body, PIPE_CODE, data, size)));
        assert_true(smb_conn_next_reply(f.conn, &reply));
        assert_int_equal(reply.status, NTSTATUS_BUFFER_OVERFLOW); /* the rest by smb_read */
        assert_int_equal(reply.data_size, size);
        assert_memory_equal(reply.data, data, size);
        fake_release(&f);
    }
}

/* With BUFFER_OVERFLOW some answers carry what fitted (2.2.2). A listing may come to nothing. In
 * any other answer it would pass for a success that says nothing. */
static void overflow_is_an_answer_only_where_data_was_asked_for(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct fake f;
        struct smb_reply reply;
        uint8_t body[512];
        init(&f, false);
        enum smb_op op = make(&f, kind);
        bool data = op == SMB_OP_READ || op == SMB_OP_QUERY_SECURITY || op == SMB_OP_QUERY_INFO ||
                    op == SMB_OP_PIPE_TRANSCEIVE;
        assert_true(fake_next_request(&f));
        size_t size = good_body(&f, body);
        if (!data)
            memcpy(body, error_body, sizeof error_body);
        int fed = fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_BUFFER_OVERFLOW}, body,
                              data ? size : sizeof error_body);
        if (!data && op != SMB_OP_QUERY_DIRECTORY) {
            assert_int_equal(fed, -1);
            assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_PROTOCOL);
            assert_false(smb_conn_next_reply(f.conn, &reply));
            fake_release(&f);
            continue;
        }
        assert_int_equal(fed, 0);
        assert_true(smb_conn_next_reply(f.conn, &reply));
        assert_int_equal(reply.status, NTSTATUS_BUFFER_OVERFLOW);
        if (op != SMB_OP_QUERY_INFO) /* which has fields, no data */
            assert_int_equal(reply.data_size > 0, data);
        fake_release(&f);
    }
}

/* One credit at a time: everything goes on, in order, only slower. */
static void server_with_one_credit_is_served_in_order(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct fake f;
        struct smb_reply reply;
        uint8_t body[512];
        uint64_t tag = 0;
        init(&f, sealed != 0);
        f.conn->credits = 1;
        for (uint64_t round = 0; round < 5; round++) {
            struct smb_create_request create = {.path = "x"};
            must(smb_flush(f.conn, 4 * round, file, &f.err));
            smb_compound_begin(f.conn);
            must(smb_create(f.conn, 4 * round + 1, FAKE_TREE, &create, &f.err));
            must(smb_write(f.conn, 4 * round + 2, smb_related_file(), 0,
                           (const uint8_t *)"0123456789", 10, &f.err));
            must(smb_close(f.conn, 4 * round + 3, smb_related_file(), &f.err));
            must(smb_compound_end(f.conn, true, &f.err));
        }
        while (fake_next_request(&f)) {
            assert_int_equal(f.conn->credits, 0);
            assert_int_equal(fake_request_u16(&f, 14), 64); /* it is asked for more every time */
            must(fake_answer(&f, &(struct fake_answer){.credits = 1}, body, good_body(&f, body)));
            assert_true(smb_conn_next_reply(f.conn, &reply));
            assert_int_equal(reply.tag, tag++);
            assert_int_equal(reply.status, NTSTATUS_SUCCESS);
        }
        assert_int_equal(tag, 20);
        assert_int_equal(f.frames, 20);
        assert_int_equal(smb_conn_pending(f.conn), 0);
        fake_release(&f);
    }
}

/* A session that the server gave up while nobody used it: whatever comes next finds out. */
static void session_dropped_while_idle_ends_the_connection_as_lost(void **state)
{
    (void)state;
    static const uint32_t statuses[] = {NTSTATUS_USER_SESSION_DELETED,
                                        NTSTATUS_NETWORK_SESSION_EXPIRED};
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        for (size_t i = 0; i < 2; i++) {
            struct fake f;
            struct smb_reply reply;
            struct fake_answer answer = {.status = statuses[i], .bare = true};
            init(&f, kind % 2 != 0);
            (void)make(&f, kind);
            assert_true(fake_next_request(&f));
            assert_int_equal(fake_answer(&f, &answer, error_body, sizeof error_body), -1);
            assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_SESSION_LOST);
            assert_int_equal(f.err.native, statuses[i]);
            assert_false(smb_conn_next_reply(f.conn, &reply));
            fake_release(&f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interim_answer_to_any_request_is_no_answer),
        cmocka_unit_test(refusal_after_an_interim_answer_is_the_answer),
        cmocka_unit_test(less_than_asked_for_is_what_there_is),
        cmocka_unit_test(overflow_is_an_answer_only_where_data_was_asked_for),
        cmocka_unit_test(server_with_one_credit_is_served_in_order),
        cmocka_unit_test(session_dropped_while_idle_ends_the_connection_as_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
