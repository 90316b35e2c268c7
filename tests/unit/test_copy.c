/* relay/stage/copy.c against a file server that the test plays, answer by answer: what is asked in
 * which order, and that success is claimed only when everything it rests on was answered. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "relay/stage/session.h"

#define PACKAGE_BYTES 1000U
#define ROOM_BYTES 400U /* three writes */
#define ASKED_MAX 32U

struct asked {
    char word[16];
    uint64_t tag;
    uint32_t size;
};

/* The world: what was asked and not answered, and how the stage ended. */
static struct {
    struct stage_runner runner;
    struct stage_target target;
    struct stage_job job;
    struct session session;
    struct smb_server_info server;
    struct asked asked[ASKED_MAX];
    size_t asked_count;
    struct buf trace; /* words of what was asked, in order */
    void (*paused)(struct session *session);
    uint32_t attributes; /* of the old file */
    size_t queued;       /* bytes that the socket did not take yet */
    char ended[64];      /* "passed" or the reason */
} world;

static int ask(uint64_t tag, uint32_t size, const char *word)
{
    assert_true(world.asked_count < ASKED_MAX);
    struct asked *asked = &world.asked[world.asked_count++];
    (void)snprintf(asked->word, sizeof asked->word, "%s", word);
    asked->tag = tag;
    asked->size = size;
    buf_printf(&world.trace, "%s ", word);
    return 0;
}

/* ---- the engine ---- */

int smb_create(struct smb_conn *conn, uint64_t tag, uint32_t tree,
               const struct smb_create_request *request, struct err *err)
{
    (void)conn;
    (void)tree;
    (void)err;
    return ask(tag, 0, strstr(request->path, ".tmp") != NULL ? "create" : "probe");
}

int smb_close(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    return ask(tag, 0, "close");
}

int smb_write(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
              const uint8_t *bytes, size_t size, struct err *err)
{
    (void)conn;
    (void)file;
    (void)offset;
    (void)bytes;
    (void)err;
    return ask(tag, (uint32_t)size, "write");
}

int smb_write_from(struct smb_conn *conn, uint64_t tag, const struct smb_write_request *wanted,
                   struct err *err)
{
    uint8_t bytes[ROOM_BYTES];
    (void)conn;
    assert_in_range(wanted->size, 1, ROOM_BYTES);
    if (wanted->read(wanted->context, wanted->offset, bytes, wanted->size, err) != 0)
        return -1;
    return ask(tag, wanted->size, "write");
}

bool smb_conn_output(const struct smb_conn *conn, const uint8_t **bytes, size_t *size)
{
    (void)conn;
    *bytes = (const uint8_t *)"";
    *size = world.queued;
    return world.queued > 0;
}

int smb_read(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
             uint32_t size, struct err *err)
{
    (void)conn;
    (void)file;
    (void)offset;
    (void)err;
    return ask(tag, size, "read");
}

int smb_flush(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    return ask(tag, 0, "flush");
}

int smb_rename(struct smb_conn *conn, uint64_t tag, struct smb_file file, const char *new_path,
               bool replace, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_string_equal(new_path, "SPDISTRO\\setup.exe");
    assert_true(replace);
    return ask(tag, 0, "rename");
}

int smb_set_attributes(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                       uint32_t attributes, struct err *err)
{
    (void)conn;
    (void)file;
    (void)attributes;
    (void)err;
    return ask(tag, 0, "clear");
}

int smb_set_delete(struct smb_conn *conn, uint64_t tag, struct smb_file file, bool remove,
                   struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    return ask(tag, 0, remove ? "mark" : "unmark");
}

int smb_set_allocation(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t size,
                       struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_int_equal(size, PACKAGE_BYTES);
    return ask(tag, 0, "allocate");
}

void smb_compound_begin(struct smb_conn *conn)
{
    (void)conn;
    buf_printf(&world.trace, "[ ");
}

int smb_compound_end(struct smb_conn *conn, bool made, struct err *err)
{
    (void)conn;
    (void)err;
    assert_true(made);
    buf_printf(&world.trace, "] ");
    return 0;
}

uint32_t smb_conn_write_room(const struct smb_conn *conn)
{
    (void)conn;
    return ROOM_BYTES;
}

const struct smb_server_info *smb_conn_server(const struct smb_conn *conn)
{
    (void)conn;
    return &world.server;
}

/* ---- the session ---- */

uint64_t session_tag(const struct session *session, uint32_t step)
{
    (void)session;
    return step;
}

void session_tags_new(struct session *session)
{
    (void)session;
    fail(); /* a package of one file */
}

int smb_query_security(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint32_t parts,
                       struct err *err)
{
    (void)conn;
    (void)tag;
    (void)file;
    (void)parts;
    (void)err;
    fail(); /* the same */
    return -1;
}

uint32_t session_step(uint64_t tag)
{
    return (uint32_t)tag;
}

void session_pause(struct session *session, uint32_t ms, void (*action)(struct session *session))
{
    (void)session;
    (void)ms;
    world.paused = action;
}

static void end(const char *how)
{
    assert_string_equal(world.ended, ""); /* once */
    (void)snprintf(world.ended, sizeof world.ended, "%s", how);
    copy_steps.release(&world.session);
}

void session_pass(struct session *session, const char *detail)
{
    (void)session;
    (void)detail;
    end("passed");
}

void session_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                  const char *format, ...)
{
    (void)session;
    (void)kind;
    (void)code;
    (void)format;
    end(reason_word(reason));
}

void session_fail_status(struct session *session, uint32_t status, const char *what)
{
    (void)session;
    (void)status;
    end(what);
}

void session_fail_request(struct session *session, const struct err *err)
{
    (void)session;
    end(err->text);
}

void session_lost_default(struct session *session, const struct session_loss *loss)
{
    (void)session;
    end(reason_word(loss->reason));
}

/* ---- the script ---- */

static void begin(void)
{
    memset(&world, 0, sizeof world);
    buf_init(&world.trace, 4096);
    world.runner.scratch = calloc(1, STAGE_BUFFER_BYTES);
    world.server.read_size_max = SMB_READ_SIZE_MAX;
    world.job.job.package_bytes = PACKAGE_BYTES;
    world.job.job.generation = 1;
    (void)snprintf(world.job.job.package_name, sizeof world.job.job.package_name, "setup.exe");
    world.job.package_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(world.job.package_fd >= 0);
    world.target.job = &world.job;
    world.session.runner = &world.runner;
    world.session.target = &world.target;
    world.session.job = &world.job;
    copy_steps.start(&world.session);
}

static void finish(void)
{
    copy_steps.release(&world.session);
    (void)close(world.job.package_fd);
    free(world.runner.scratch);
    buf_release(&world.trace);
}

/* Answers the oldest request of this name. */
static void answer_with(const char *word, uint32_t status, uint32_t count)
{
    size_t at = 0;
    while (at < world.asked_count && strcmp(world.asked[at].word, word) != 0)
        at++;
    assert_true(at < world.asked_count);
    struct smb_reply reply = {.tag = world.asked[at].tag,
                              .status = status,
                              .count = count,
                              .info.attributes = world.attributes};
    memmove(world.asked + at, world.asked + at + 1,
            (--world.asked_count - at) * sizeof *world.asked);
    if (world.ended[0] == '\0')
        copy_steps.reply(&world.session, &reply);
    if (world.ended[0] == '\0')
        copy_steps.room(&world.session);
}

static void answer(const char *word)
{
    uint32_t count = 0;
    for (size_t at = 0; at < world.asked_count && count == 0; at++)
        if (strcmp(world.asked[at].word, word) == 0)
            count = world.asked[at].size;
    answer_with(word, NTSTATUS_SUCCESS, count);
}

static void saw(const char *expected)
{
    assert_string_equal(buf_cstr(&world.trace), expected);
    buf_reset(&world.trace);
}

static void no_old_file(void)
{
    answer_with("probe", NTSTATUS_OBJECT_NAME_NOT_FOUND, 0);
    answer_with("close", NTSTATUS_OBJECT_NAME_NOT_FOUND, 0);
}

/* Up to the three writes, none of them answered. */
static void until_writes(void)
{
    no_old_file();
    saw("[ probe close ] [ create mark allocate ] ");
    answer("create");
    answer("mark");
    saw("");
    answer("allocate");
    saw("write write write ");
}

static void until_rename(void)
{
    until_writes();
    answer("write");
    answer("write");
    answer("write");
    answer("flush");
    saw("flush [ unmark rename ] ");
}

/* ---- cases ---- */

static void name_is_taken_after_every_byte_and_flush(void **state)
{
    (void)state;
    begin();
    until_writes();
    answer("write");
    answer("write");
    saw(""); /* all bytes are sent, one answer is missing */
    answer("write");
    saw("flush ");
    answer("flush");
    saw("[ unmark rename ] ");
    answer("unmark");
    answer("rename");
    saw("close ");
    assert_string_equal(world.ended, "");
    answer("close");
    assert_string_equal(world.ended, "passed");
    finish();
}

static void rate_of_all_copies_pauses_without_failing(void **state)
{
    (void)state;
    begin();
    world.runner.config.loop = uv_default_loop();
    pace_set(&world.runner.lan, 4 * ROOM_BYTES, uv_now(uv_default_loop()));
    no_old_file();
    saw("[ probe close ] [ create mark allocate ] ");
    answer("create");
    answer("mark");
    answer("allocate");
    saw("write ");
    assert_non_null(world.paused);
    answer("write");
    saw(""); /* an answer lets nothing more go */
    world.paused(&world.session);
    saw(""); /* still too early */
    world.runner.lan.tokens = 1;
    world.paused(&world.session);
    saw("write ");
    world.runner.lan.tokens = 1;
    answer("write");
    saw("");
    world.paused(&world.session);
    saw("write ");
    answer("write");
    saw("flush ");
    finish();
    assert_int_equal(uv_loop_close(uv_default_loop()), 0);
}

static void package_that_the_rate_holds_back_does_not_go_along(void **state)
{
    (void)state;
    begin();
    world.server.write_size_max = SMB_COMPOUND_WRITE_MAX;
    world.runner.config.loop = uv_default_loop();
    pace_set(&world.runner.lan, 1, uv_now(uv_default_loop()));
    pace_take(&world.runner.lan, 10);
    no_old_file();
    saw("[ probe close ] [ create mark allocate ] ");
    finish();
    assert_int_equal(uv_loop_close(uv_default_loop()), 0);
}

static void short_write_is_no_write(void **state)
{
    (void)state;
    begin();
    until_writes();
    answer_with("write", NTSTATUS_SUCCESS, ROOM_BYTES - 1);
    saw("[ mark close ] ");
    answer("close");
    assert_string_equal(world.ended, "DISK_FULL");
    finish();
}

static void failed_flush_leaves_nothing(void **state)
{
    (void)state;
    begin();
    until_writes();
    answer("write");
    answer("write");
    answer("write");
    answer_with("flush", NTSTATUS_DISK_FULL, 0);
    saw("flush [ mark close ] ");
    answer("mark");
    answer("close");
    assert_string_equal(world.ended, "DISK_FULL");
    finish();
}

/* Answers come in any order: as long as the mark may be on, closing would delete the package. */
static void package_is_closed_when_its_mark_is_off(void **state)
{
    (void)state;
    begin();
    until_rename();
    answer("rename");
    saw("");
    answer("unmark");
    saw("close ");
    answer("close");
    assert_string_equal(world.ended, "passed");
    finish();
}

static void mark_that_stays_on_is_no_success(void **state)
{
    static const char *const orders[][2] = {{"unmark", "rename"}, {"rename", "unmark"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin();
        until_rename();
        for (size_t k = 0; k < 2; k++)
            answer_with(orders[i][k],
                        strcmp(orders[i][k], "unmark") == 0 ? NTSTATUS_ACCESS_DENIED : 0, 0);
        saw("[ mark close ] ");
        answer("close");
        assert_string_equal(world.ended, "ACCESS_DENIED");
        finish();
    }
}

static void rename_over_a_held_file_is_tried_again(void **state)
{
    (void)state;
    begin();
    until_rename();
    answer("unmark");
    answer_with("rename", NTSTATUS_SHARING_VIOLATION, 0);
    saw("mark ");
    assert_non_null(world.paused);
    world.paused(&world.session);
    saw("[ unmark rename ] ");
    answer("mark");
    answer("unmark");
    answer("rename");
    saw("close ");
    answer("close");
    assert_string_equal(world.ended, "passed");
    finish();
}

/* ---- a package that goes along with its file ---- */

static void begin_small(void)
{
    begin();
    world.server.write_size_max = SMB_COMPOUND_WRITE_MAX;
    no_old_file();
    saw("[ probe close ] [ create mark write flush ] ");
}

static void small_package_goes_along_and_is_named_after_its_flush(void **state)
{
    (void)state;
    begin_small();
    answer("create");
    answer("mark");
    answer("write");
    saw(""); /* not named before the flush is answered */
    answer("flush");
    saw("[ unmark rename ] ");
    answer("unmark");
    answer("rename");
    saw("close ");
    answer("close");
    assert_string_equal(world.ended, "passed");
    assert_int_equal(world.target.bytes, PACKAGE_BYTES);
    finish();
}

static void small_package_not_written_or_not_marked_is_not_named(void **state)
{
    static const char *const parts[] = {"mark", "write", "flush"};
    (void)state;
    for (size_t failing = 0; failing < 3; failing++) {
        begin_small();
        answer("create");
        for (size_t part = 0; part < failing; part++)
            answer(parts[part]);
        /* whether the parts behind it are carried out is the server's choice */
        answer_with(parts[failing], NTSTATUS_DISK_FULL, 0);
        saw("[ mark close ] ");
        for (size_t part = failing + 1; part < 3; part++)
            answer(parts[part]);
        saw("");
        answer("mark");
        answer("close");
        assert_string_equal(world.ended, "DISK_FULL");
        finish();
    }
}

static void small_package_written_short_is_not_named(void **state)
{
    (void)state;
    begin_small();
    answer("create");
    answer("mark");
    answer_with("write", NTSTATUS_SUCCESS, PACKAGE_BYTES - 1);
    answer("flush");
    saw("[ mark close ] ");
    answer("close");
    assert_string_equal(world.ended, "DISK_FULL");
    finish();
}

/* A temporary file that a lost connection of ours still holds: everything again, in a while. */
static void file_that_cannot_be_made_is_tried_again(void **state)
{
    (void)state;
    begin_small();
    answer_with("create", NTSTATUS_SHARING_VIOLATION, 0);
    answer_with("mark", NTSTATUS_SHARING_VIOLATION, 0);
    answer_with("write", NTSTATUS_SHARING_VIOLATION, 0);
    answer_with("flush", NTSTATUS_SHARING_VIOLATION, 0);
    saw("");
    assert_non_null(world.paused);
    world.paused(&world.session);
    saw("[ create mark write flush ] ");
    answer_with("create", NTSTATUS_ACCESS_DENIED, 0);
    assert_string_equal(world.ended, "ACCESS_DENIED");
    finish();
}

/* ---- large packages ---- */

static void package_that_cannot_be_read_leaves_nothing(void **state)
{
    (void)state;
    begin();
    no_old_file();
    answer("create");
    answer("mark");
    (void)close(world.job.package_fd);
    world.job.package_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    buf_reset(&world.trace);
    answer("allocate");
    saw("[ mark close ] ");
    answer("mark");
    answer("close");
    assert_string_equal(world.ended, "INTERNAL");
    assert_int_equal(world.runner.copying_count, 0);
    finish();
}

static void piece_waits_for_room_while_another_is_queued(void **state)
{
    (void)state;
    begin();
    no_old_file();
    answer("create");
    answer("mark");
    buf_reset(&world.trace);
    world.queued = 1; /* the room is less than what is left: no small pieces then */
    answer("allocate");
    saw("");
    world.queued = 0;
    copy_steps.room(&world.session);
    saw("write write write ");
    assert_int_equal(world.runner.copying_count, 1);
    finish();
    assert_int_equal(world.runner.copying_count, 0);
}

/* ---- who holds the final name ---- */

static void old_file_is_looked_at_and_closed_in_one_message(void **state)
{
    (void)state;
    begin();
    saw("[ probe close ] ");
    answer("probe");
    saw("");
    answer("close");
    saw("[ create mark allocate ] ");
    finish();
}

static void held_old_file_costs_no_transfer(void **state)
{
    (void)state;
    begin();
    for (int look = 0; look < 3; look++) {
        saw("[ probe close ] ");
        assert_string_equal(world.ended, "");
        answer_with("probe", NTSTATUS_SHARING_VIOLATION, 0);
        if (world.ended[0] == '\0') {
            answer_with("close", NTSTATUS_SHARING_VIOLATION, 0);
            saw("");
            world.paused(&world.session);
        }
    }
    assert_string_equal(world.ended, "SHARING_VIOLATION");
    finish();
}

/* A refused rename: the file in the way is read-only, or a program that runs, or neither. */
static void refused_rename_finds_its_cause(void **state)
{
    (void)state;
    begin();
    until_rename();
    answer("unmark");
    answer_with("rename", NTSTATUS_ACCESS_DENIED, 0);
    saw("[ probe ] ");
    world.attributes = SMB_ATTRIBUTE_READONLY;
    answer("probe");
    saw("clear ");
    answer("clear");
    saw("close ");
    answer("close");
    saw("[ unmark rename ] "); /* writable now, once more */
    answer("unmark");
    answer_with("rename", NTSTATUS_ACCESS_DENIED, 0);
    saw("[ probe ] ");
    answer("probe");
    saw("close ");
    answer("close");
    saw("[ probe close ] "); /* for writing: does it run? */
    answer_with("probe", NTSTATUS_SHARING_VIOLATION, 0);
    saw("mark ");
    world.paused(&world.session);
    saw("[ unmark rename ] ");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_is_taken_after_every_byte_and_flush),
        cmocka_unit_test(rate_of_all_copies_pauses_without_failing),
        cmocka_unit_test(package_that_the_rate_holds_back_does_not_go_along),
        cmocka_unit_test(short_write_is_no_write),
        cmocka_unit_test(failed_flush_leaves_nothing),
        cmocka_unit_test(package_is_closed_when_its_mark_is_off),
        cmocka_unit_test(mark_that_stays_on_is_no_success),
        cmocka_unit_test(rename_over_a_held_file_is_tried_again),
        cmocka_unit_test(small_package_goes_along_and_is_named_after_its_flush),
        cmocka_unit_test(small_package_not_written_or_not_marked_is_not_named),
        cmocka_unit_test(small_package_written_short_is_not_named),
        cmocka_unit_test(file_that_cannot_be_made_is_tried_again),
        cmocka_unit_test(package_that_cannot_be_read_leaves_nothing),
        cmocka_unit_test(piece_waits_for_room_while_another_is_queued),
        cmocka_unit_test(old_file_is_looked_at_and_closed_in_one_message),
        cmocka_unit_test(held_old_file_costs_no_transfer),
        cmocka_unit_test(refused_rename_finds_its_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
