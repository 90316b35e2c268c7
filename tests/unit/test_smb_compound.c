/* Related compounds: one message, parts that pass tree and file on, answers in every form that a
 * server may give them, few credits, and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smb_fake.h"

#define PARTS 4U
#define OTHER_TREE 9U

/* Every way a session can be protected. */
static const struct {
    enum smb_dialect dialect;
    enum smb_signing signing;
    enum smb_cipher cipher;
} protections[] = {
    {SMB_DIALECT_2_1, SMB_SIGNING_HMAC_SHA256, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_0, SMB_SIGNING_AES_CMAC, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_0_2, SMB_SIGNING_AES_CMAC, SMB_CIPHER_AES_128_CCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_NONE},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_AES_128_GCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_AES_256_GCM},
    {SMB_DIALECT_3_1_1, SMB_SIGNING_AES_CMAC, SMB_CIPHER_AES_256_CCM},
};
#define PROTECTION_COUNT (sizeof protections / sizeof protections[0])
#define SEALED 4U

static const uint16_t commands[PARTS] = {SMB_COMMAND_CREATE, SMB_COMMAND_SET_INFO,
                                         SMB_COMMAND_WRITE, SMB_COMMAND_CLOSE};

static void init(struct fake *f, size_t protection)
{
    fake_init_ready(f, protections[protection].dialect, protections[protection].signing,
                    protections[protection].cipher);
}

static void must(int result)
{
    assert_int_equal(result, 0);
}

static void expect_reply(struct fake *f, uint64_t tag, uint32_t status)
{
    struct smb_reply reply;
    assert_true(smb_conn_next_reply(f->conn, &reply));
    assert_int_equal(reply.tag, tag);
    assert_int_equal(reply.status, status);
}

static void expect_no_reply(struct fake *f)
{
    struct smb_reply reply;
    assert_false(smb_conn_next_reply(f->conn, &reply));
}

/* CREATE, SET_INFO, WRITE, CLOSE with the tags 1 to 4. */
static void compound(struct fake *f)
{
    struct smb_create_request create = {.path = "x"};
    struct smb_file related = smb_related_file();
    smb_compound_begin(f->conn);
    must(smb_create(f->conn, 1, FAKE_TREE, &create, &f->err));
    must(smb_set_delete(f->conn, 2, related, true, &f->err));
    must(smb_write(f->conn, 3, related, 0, (const uint8_t *)"0123456789", 10, &f->err));
    must(smb_close(f->conn, 4, related, &f->err));
    must(smb_compound_end(f->conn, true, &f->err));
}

static size_t good_body(uint16_t command, uint8_t *body)
{
    switch (command) {
    case SMB_COMMAND_CREATE:
        return fake_body_create(body);
    case SMB_COMMAND_TREE_CONNECT:
        return fake_body_tree(body, 1);
    case SMB_COMMAND_SET_INFO:
        return fake_body_plain(body, 2);
    case SMB_COMMAND_WRITE:
        return fake_body_write(body, 10);
    default:
        return fake_body_plain(body, 60);
    }
}

/* A good answer to the request looked at last. */
static void message(struct fake *f, const struct fake_answer *answer, struct buf *to)
{
    uint8_t body[256];
    fake_message(f, answer, body, good_body(fake_request_u16(f, 12), body), to);
}

static int answer(struct fake *f, const struct fake_answer *how)
{
    struct buf built;
    message(f, how, &built);
    int result = fake_feed(f, how, &built);
    buf_release(&built);
    return result;
}

/* Good answers to all parts. */
static void messages(struct fake *f, struct buf built[PARTS])
{
    for (size_t i = 0; i < PARTS; i++) {
        assert_true(fake_next_request(f));
        message(f, &(struct fake_answer){0}, &built[i]);
    }
}

static void compound_leaves_in_one_message_of_related_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        init(&f, i);
        uint32_t credits = f.conn->credits;
        struct smb_counts before = smb_conn_counts(f.conn);
        compound(&f);
        assert_int_equal(f.conn->credits, credits - PARTS);
        assert_int_equal(smb_conn_counts(f.conn).requests - before.requests, PARTS);
        assert_int_equal(smb_conn_counts(f.conn).messages - before.messages, 1);
        uint64_t id = f.conn->message_id_next - PARTS;
        for (size_t part = 0; part < PARTS; part++) {
            assert_true(fake_next_request(&f)); /* checks signature, padding and NextCommand */
            assert_int_equal(fake_request_u16(&f, 12), commands[part]);
            uint32_t flags = fake_request_u32(&f, 16);
            assert_int_equal((flags & SMB_FLAG_RELATED) != 0, part > 0);
            assert_int_equal((flags & SMB_FLAG_SIGNED) != 0, !f.seal);
            assert_int_equal(fake_request_u32(&f, 20) != 0, part + 1 < PARTS);
            assert_int_equal(fake_request_u64(&f, 24), id + part);
            assert_int_equal(fake_request_u32(&f, 36), FAKE_TREE);
            assert_true(fake_request_u64(&f, 40) == FAKE_SESSION);
        }
        assert_true(fake_request_u64(&f, SMB_HEADER_SIZE + 8) == UINT64_MAX); /* CLOSE: FileId */
        assert_true(fake_request_u64(&f, SMB_HEADER_SIZE + 16) == UINT64_MAX);
        assert_false(fake_next_request(&f));
        assert_int_equal(f.frames, 1);
        fake_release(&f);
    }
}

static void compounded_answers_give_a_reply_to_each_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct buf built[PARTS];
        struct buf joined;
        init(&f, i);
        compound(&f);
        messages(&f, built);
        fake_join(&f, built, PARTS, &joined);
        must(fake_feed(&f, &(struct fake_answer){.joined = true}, &joined));
        for (uint64_t tag = 1; tag <= PARTS; tag++) {
            struct smb_reply reply;
            assert_true(smb_conn_next_reply(f.conn, &reply));
            assert_int_equal(reply.tag, tag);
            assert_int_equal(reply.status, NTSTATUS_SUCCESS);
            assert_int_equal(reply.file.tree, FAKE_TREE); /* the file, also for the later parts */
            assert_int_equal(reply.file.persistent, 0xAAAA);
            assert_int_equal(reply.file.volatile_id, 0xBBBB);
        }
        assert_int_equal(smb_conn_pending(f.conn), 0);
        buf_release(&joined);
        fake_release(&f);
    }
}

/* Half compounded, half alone, with interim answers in between, in an order of the server's own. */
static void answers_may_come_apart_and_late(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct buf built[PARTS];
        struct buf joined;
        struct buf interim[2];
        struct fake_answer pending = {.status = NTSTATUS_PENDING, .flags = SMB_FLAG_ASYNC};
        init(&f, i);
        compound(&f);
        for (size_t part = 0; part < PARTS; part++) {
            assert_true(fake_next_request(&f));
            message(&f, &(struct fake_answer){.flags = part >= 2 ? SMB_FLAG_ASYNC : 0},
                    &built[part]);
            if (part >= 2)
                fake_message(&f, &pending, error_body, sizeof error_body, &interim[part - 2]);
        }
        struct buf first[PARTS] = {built[0], built[1], interim[0], interim[1]};
        fake_join(&f, first, PARTS, &joined);
        must(fake_feed(&f, &(struct fake_answer){.joined = true}, &joined));
        buf_release(&joined);
        expect_reply(&f, 1, NTSTATUS_SUCCESS);
        expect_reply(&f, 2, NTSTATUS_SUCCESS);
        expect_no_reply(&f);
        must(fake_feed(&f, &(struct fake_answer){0}, &built[3]));
        must(fake_feed(&f, &(struct fake_answer){0}, &built[2]));
        expect_reply(&f, 4, NTSTATUS_SUCCESS);
        expect_reply(&f, 3, NTSTATUS_SUCCESS);
        expect_no_reply(&f);
        buf_release(&built[2]);
        buf_release(&built[3]);
        fake_release(&f);
    }
}

static void failed_parts_say_so_each(void **state)
{
    (void)state;
    struct fake f;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    init(&f, SEALED);
    compound(&f);
    for (size_t part = 0; part < PARTS; part++) {
        assert_true(fake_next_request(&f));
        must(fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_SHARING_VIOLATION},
                         error_body, sizeof error_body));
    }
    for (uint64_t tag = 1; tag <= PARTS; tag++)
        expect_reply(&f, tag, NTSTATUS_SHARING_VIOLATION);
    fake_release(&f);
}

static void tree_connect_heads_a_compound(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        struct smb_reply reply;
        struct smb_create_request create = {.path = "atsvc"};
        init(&f, i);
        smb_compound_begin(f.conn);
        must(smb_tree_connect(f.conn, 1, "IPC$", &f.err));
        must(smb_create(f.conn, 2, SMB_RELATED_TREE, &create, &f.err));
        must(smb_close(f.conn, 3, smb_related_file(), &f.err));
        must(smb_compound_end(f.conn, true, &f.err));
        for (uint64_t tag = 1; tag <= 3; tag++) {
            assert_true(fake_next_request(&f));
            assert_int_equal(fake_request_u32(&f, 36), tag == 1 ? 0 : SMB_RELATED_TREE);
            must(answer(&f, &(struct fake_answer){.tree = OTHER_TREE}));
            assert_true(smb_conn_next_reply(f.conn, &reply));
            assert_int_equal(reply.tag, tag);
            assert_int_equal(tag == 1 ? reply.tree : reply.file.tree, OTHER_TREE);
        }
        assert_int_equal(reply.file.persistent, 0xAAAA);
        fake_release(&f);
    }
}

/* The negotiation is validated on the first tree, also when that heads a compound. */
static void replies_of_a_compound_wait_for_the_validation(void **state)
{
    (void)state;
    struct fake f;
    struct smb_create_request create = {.path = "x"};
    uint8_t body[256];
    uint8_t data[24] = {[22] = 0x02, [23] = 0x03};
    init(&f, 2);
    f.conn->validation_asked = false;
    smb_compound_begin(f.conn);
    must(smb_tree_connect(f.conn, 1, "C$", &f.err));
    must(smb_create(f.conn, 2, SMB_RELATED_TREE, &create, &f.err));
    must(smb_compound_end(f.conn, true, &f.err));
    assert_true(fake_next_request(&f));
    must(answer(&f, &(struct fake_answer){0}));
    assert_true(fake_next_request(&f));
    must(answer(&f, &(struct fake_answer){0}));
    expect_no_reply(&f);
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_IOCTL);
    must(fake_answer(&f, &(struct fake_answer){0}, body,
                     fake_body_ioctl(body, 0x00140204U, data, sizeof data)));
    expect_reply(&f, 1, NTSTATUS_SUCCESS);
    expect_reply(&f, 2, NTSTATUS_SUCCESS);
    fake_release(&f);
}

static void few_credits_send_the_parts_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROTECTION_COUNT; i++) {
        struct fake f;
        init(&f, i);
        f.conn->credits = 1;
        compound(&f);
        for (size_t part = 0; part < PARTS; part++) {
            assert_true(fake_next_request(&f));
            assert_int_equal(fake_request_u16(&f, 12), commands[part]);
            assert_int_equal(fake_request_u32(&f, 16) & SMB_FLAG_RELATED, 0);
            assert_int_equal(fake_request_u32(&f, 20), 0);
            assert_int_equal(fake_request_u32(&f, 36), FAKE_TREE);
            size_t file_at = part == 3 ? 8 : 16;
            if (part > 0) {
                assert_true(fake_request_u64(&f, SMB_HEADER_SIZE + file_at) == 0xAAAA);
                assert_true(fake_request_u64(&f, SMB_HEADER_SIZE + file_at + 8) == 0xBBBB);
            }
            uint16_t command = fake_request_u16(&f, 12);
            assert_false(fake_next_request(&f));
            assert_int_equal(fake_request_u16(&f, 12), command);
            must(answer(&f, &(struct fake_answer){.credits = 1}));
            expect_reply(&f, part + 1, NTSTATUS_SUCCESS);
        }
        assert_int_equal(f.frames, PARTS);
        assert_int_equal(f.conn->deferred_size, 0);
        fake_release(&f);
    }
}

static void credits_that_come_on_the_way_send_the_rest_together(void **state)
{
    (void)state;
    struct fake f;
    struct smb_create_request create = {.path = "x"};
    init(&f, SEALED);
    f.conn->credits = 1;
    smb_compound_begin(f.conn);
    must(smb_tree_connect(f.conn, 1, "C$", &f.err));
    must(smb_create(f.conn, 2, SMB_RELATED_TREE, &create, &f.err));
    must(smb_close(f.conn, 3, smb_related_file(), &f.err));
    must(smb_compound_end(f.conn, true, &f.err));
    assert_true(fake_next_request(&f));
    must(answer(&f, &(struct fake_answer){.tree = OTHER_TREE, .credits = 9}));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_CREATE);
    assert_int_equal(fake_request_u32(&f, 16) & SMB_FLAG_RELATED, 0);
    assert_int_equal(fake_request_u32(&f, 36), OTHER_TREE);
    must(answer(&f, &(struct fake_answer){0}));
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_CLOSE);
    assert_int_equal(fake_request_u32(&f, 16) & SMB_FLAG_RELATED, SMB_FLAG_RELATED);
    assert_int_equal(f.frames, 2);
    fake_release(&f);
}

/* An interim answer brings a credit, but not yet what the next part is about. */
static void part_waits_for_the_answer_that_it_rests_on(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    struct fake f;
    struct smb_create_request create = {.path = "x"};
    struct fake_answer interim = {
        .status = NTSTATUS_PENDING, .flags = SMB_FLAG_ASYNC, .credits = 5};
    init(&f, SEALED);
    f.conn->credits = 1;
    smb_compound_begin(f.conn);
    must(smb_create(f.conn, 1, FAKE_TREE, &create, &f.err));
    must(smb_close(f.conn, 2, smb_related_file(), &f.err));
    must(smb_compound_end(f.conn, true, &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &interim, error_body, sizeof error_body));
    assert_false(fake_next_request(&f));
    must(answer(&f, &(struct fake_answer){.flags = SMB_FLAG_ASYNC}));
    assert_true(fake_next_request(&f));
    assert_true(fake_request_u64(&f, SMB_HEADER_SIZE + 8) == 0xAAAA);
    fake_release(&f);
}

/* As long as an answer is out, it may bring the credits that are missing. */
static void compound_waits_for_credits_on_the_way(void **state)
{
    (void)state;
    struct fake f;
    uint8_t body[64];
    struct smb_file file = {FAKE_TREE, 1, 2};
    init(&f, 0);
    f.conn->credits = 4;
    must(smb_flush(f.conn, 9, file, &f.err));
    compound(&f);
    must(smb_flush(f.conn, 10, file, &f.err)); /* behind it, in order */
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_FLUSH);
    assert_false(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){.credits = 2}, body, fake_body_plain(body, 4)));
    for (size_t part = 0; part < PARTS; part++) {
        assert_true(fake_next_request(&f));
        assert_int_equal(fake_request_u16(&f, 12), commands[part]);
    }
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_FLUSH);
    assert_int_equal(f.frames, 3);
    fake_release(&f);
}

static void part_that_rests_on_a_failed_one_is_not_sent_alone(void **state)
{
    (void)state;
    static const uint8_t error_body[] = {9, 0, 0, 0, 0, 0, 0, 0, 0};
    struct fake f;
    init(&f, 1);
    f.conn->credits = 1;
    compound(&f);
    must(smb_flush(f.conn, 5, (struct smb_file){FAKE_TREE, 1, 2}, &f.err));
    assert_true(fake_next_request(&f));
    must(fake_answer(&f, &(struct fake_answer){.status = NTSTATUS_ACCESS_DENIED, .credits = 1},
                     error_body, sizeof error_body));
    for (uint64_t tag = 1; tag <= PARTS; tag++)
        expect_reply(&f, tag, NTSTATUS_ACCESS_DENIED);
    expect_no_reply(&f);
    assert_true(fake_next_request(&f));
    assert_int_equal(fake_request_u16(&f, 12), SMB_COMMAND_FLUSH);
    assert_int_equal(smb_conn_pending(f.conn), 1);
    fake_release(&f);
}

static void refused_part_takes_the_whole_compound_back(void **state)
{
    (void)state;
    struct fake f;
    static uint8_t big[SMB_COMPOUND_WRITE_MAX + 1];
    struct smb_create_request create = {.path = "x"};
    init(&f, 3);
    smb_compound_begin(f.conn);
    must(smb_create(f.conn, 1, FAKE_TREE, &create, &f.err));
    create.path = "\xff";
    assert_int_equal(smb_create(f.conn, 2, FAKE_TREE, &create, &f.err), -1);
    assert_int_equal(smb_compound_end(f.conn, false, &f.err), -1);
    assert_int_equal(f.err.code, ERR_INVALID);
    smb_compound_begin(f.conn);
    assert_int_equal(smb_write(f.conn, 3, smb_related_file(), 0, big, sizeof big, &f.err), -1);
    must(smb_write(f.conn, 3, smb_related_file(), 0, big, sizeof big - 1, &f.err));
    assert_int_equal(smb_compound_end(f.conn, false, &f.err), -1);
    assert_int_equal(smb_conn_pending(f.conn), 0);
    assert_false(fake_next_request(&f));
    smb_compound_begin(f.conn); /* an empty one is none */
    must(smb_compound_end(f.conn, true, &f.err));
    assert_false(fake_next_request(&f));
    must(smb_close(f.conn, 4, (struct smb_file){FAKE_TREE, 1, 2}, &f.err));
    assert_true(fake_next_request(&f));
    fake_release(&f);
}

static void too_many_waiting_compounds_are_refused(void **state)
{
    (void)state;
    struct fake f;
    static uint8_t big[SMB_COMPOUND_WRITE_MAX];
    int ended = 0;
    int accepted = 0;
    init(&f, 3);
    f.conn->credits = 0;
    while (ended == 0 && accepted < 100) {
        smb_compound_begin(f.conn);
        must(smb_write(f.conn, 1, (struct smb_file){FAKE_TREE, 1, 2}, 0, big, sizeof big, &f.err));
        ended = smb_compound_end(f.conn, true, &f.err);
        accepted += ended == 0;
    }
    assert_in_range(accepted, 2, 10);
    assert_int_equal(f.err.code, ERR_LIMIT);
    fake_release(&f);
}

/* A sealed answer is what the server wrote: every length of it, and every NextCommand. */
static void compounded_answers_cut_anywhere_are_refused_or_harmless(void **state)
{
    (void)state;
    size_t size = 2;
    for (size_t cut = 1; cut < size; cut++) {
        struct fake f;
        struct buf built[PARTS];
        struct buf joined;
        init(&f, SEALED);
        compound(&f);
        messages(&f, built);
        fake_join(&f, built, PARTS, &joined);
        size = joined.size;
        joined.size -= cut;
        if (fake_feed(&f, &(struct fake_answer){.joined = true}, &joined) == 0)
            assert_true(cut <= 2); /* what an answer to CLOSE has behind its first field */
        buf_release(&joined);
        fake_release(&f);
    }
}

static void next_commands_that_loop_overlap_or_leave_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {1,          7,          8,          32,        56,  63,
                                   65,         66,         132,        248,       600, 8000,
                                   0x7ffffff8, 0x80000000, 0xfffffff8, UINT32_MAX};
    for (size_t part = 0; part < PARTS; part++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct fake f;
            struct buf built[PARTS];
            struct buf joined;
            size_t at = 0;
            init(&f, SEALED);
            compound(&f);
            messages(&f, built);
            for (size_t k = 0; k < part; k++)
                at += (built[k].size + 7) & ~(size_t)7;
            fake_join(&f, built, PARTS, &joined);
            buf_patch_u32le(&joined, at + 20, bad[i]);
            assert_int_equal(fake_feed(&f, &(struct fake_answer){.joined = true}, &joined), -1);
            assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_PROTOCOL);
            buf_release(&joined);
            fake_release(&f);
        }
}

static void flipped_bit_in_any_signed_part_is_refused(void **state)
{
    (void)state;
    long size = 2;
    for (long at = 1; at < size; at += 5) {
        struct fake f;
        struct buf built[PARTS];
        struct buf joined;
        init(&f, 3);
        compound(&f);
        messages(&f, built);
        fake_join(&f, built, PARTS, &joined);
        size = (long)joined.size;
        assert_int_equal(fake_feed(&f, &(struct fake_answer){.joined = true, .flip = at}, &joined),
                         -1);
        buf_release(&joined);
        fake_release(&f);
    }
}

static void unsigned_part_of_a_compound_is_refused(void **state)
{
    (void)state;
    struct fake f;
    struct buf built[PARTS];
    struct buf joined;
    init(&f, 3);
    compound(&f);
    messages(&f, built);
    size_t second = (built[0].size + 7) & ~(size_t)7;
    fake_join(&f, built, PARTS, &joined);
    joined.data[second + 16] &= (uint8_t)~SMB_FLAG_SIGNED;
    assert_int_equal(fake_feed(&f, &(struct fake_answer){.joined = true}, &joined), -1);
    assert_int_equal(smb_conn_failure(f.conn), SMB_FAILURE_SIGNING);
    buf_release(&joined);
    fake_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compound_leaves_in_one_message_of_related_parts),
        cmocka_unit_test(compounded_answers_give_a_reply_to_each_part),
        cmocka_unit_test(answers_may_come_apart_and_late),
        cmocka_unit_test(failed_parts_say_so_each),
        cmocka_unit_test(tree_connect_heads_a_compound),
        cmocka_unit_test(replies_of_a_compound_wait_for_the_validation),
        cmocka_unit_test(few_credits_send_the_parts_one_by_one),
        cmocka_unit_test(credits_that_come_on_the_way_send_the_rest_together),
        cmocka_unit_test(part_waits_for_the_answer_that_it_rests_on),
        cmocka_unit_test(compound_waits_for_credits_on_the_way),
        cmocka_unit_test(part_that_rests_on_a_failed_one_is_not_sent_alone),
        cmocka_unit_test(refused_part_takes_the_whole_compound_back),
        cmocka_unit_test(too_many_waiting_compounds_are_refused),
        cmocka_unit_test(compounded_answers_cut_anywhere_are_refused_or_harmless),
        cmocka_unit_test(next_commands_that_loop_overlap_or_leave_are_refused),
        cmocka_unit_test(flipped_bit_in_any_signed_part_is_refused),
        cmocka_unit_test(unsigned_part_of_a_compound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
