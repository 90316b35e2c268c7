/* relay/stage/copy_folder.c against a file server that the test plays: every folder is looked at
 * before anything is put into it, every file takes its own name and its own bytes, and success
 * comes after the last one. */
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
#include "relay/sd/sd.h"
#include "relay/stage/session.h"

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
    struct buf trace;    /* what was asked, in order */
    struct buf security; /* of the folders that are there */
    uint32_t attributes; /* of whatever is opened */
    char ended[64];      /* "passed" or the reason */
    char said[LIMIT_DETAIL_SIZE];
} world;

static struct folder_file files[] = {
    {.path = "a.txt", .offset = 100, .size = 3},
    {.path = "b/c/one", .offset = 103, .size = 4},
    {.path = "b/c/two", .offset = 107, .size = 0},
    {.path = "b/d/x", .offset = 107, .size = 5},
};

static int ask(uint64_t tag, uint32_t size, const char *word)
{
    assert_true(world.asked_count < ASKED_MAX);
    struct asked *asked = &world.asked[world.asked_count++];
    (void)snprintf(asked->word, sizeof asked->word, "%s", word);
    asked->tag = tag;
    asked->size = size;
    return 0;
}

/* ---- the engine ---- */

int smb_create(struct smb_conn *conn, uint64_t tag, uint32_t tree,
               const struct smb_create_request *request, struct err *err)
{
    (void)conn;
    (void)tree;
    (void)err;
    assert_true((request->options & SMB_OPTION_OPEN_REPARSE_POINT) != 0);
    if ((request->options & SMB_OPTION_DIRECTORY) != 0) {
        assert_true(request->security_descriptor_size > 0);
        buf_printf(&world.trace, "folder %s ", request->path);
        return ask(tag, 0, "folder");
    }
    bool temporary = strstr(request->path, ".tmp") != NULL;
    if (!temporary)
        buf_printf(&world.trace, "probe %s ", request->path);
    return ask(tag, 0, temporary ? "create" : "probe");
}

int smb_query_security(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint32_t parts,
                       struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_int_equal(parts, SMB_SECURITY_OWNER | SMB_SECURITY_DACL);
    return ask(tag, 0, "security");
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
    (void)err;
    assert_int_equal(offset, 0);
    buf_printf(&world.trace, "write '%.*s' ", (int)size, (const char *)bytes);
    return ask(tag, (uint32_t)size, "write");
}

int smb_write_from(struct smb_conn *conn, uint64_t tag, const struct smb_write_request *wanted,
                   struct err *err)
{
    uint8_t bytes[64];
    assert_in_range(wanted->size, 1, sizeof bytes);
    if (wanted->read(wanted->context, wanted->offset, bytes, wanted->size, err) != 0)
        return -1;
    return smb_write(conn, tag, wanted->file, wanted->offset, bytes, wanted->size, err);
}

bool smb_conn_output(const struct smb_conn *conn, const uint8_t **bytes, size_t *size)
{
    (void)conn;
    *bytes = NULL;
    *size = 0;
    return false;
}

int smb_read(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
             uint32_t size, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_int_equal(offset, 0);
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
    assert_true(replace);
    buf_printf(&world.trace, "rename %s ", new_path);
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
    buf_printf(&world.trace, "allocate %u ", (unsigned)size);
    return ask(tag, 0, "allocate");
}

void smb_compound_begin(struct smb_conn *conn)
{
    (void)conn;
}

int smb_compound_end(struct smb_conn *conn, bool made, struct err *err)
{
    (void)conn;
    (void)err;
    assert_true(made);
    return 0;
}

uint32_t smb_conn_write_room(const struct smb_conn *conn)
{
    (void)conn;
    return 64;
}

const struct smb_server_info *smb_conn_server(const struct smb_conn *conn)
{
    (void)conn;
    return &world.server;
}

/* ---- the session ---- */

uint64_t session_tag(const struct session *session, uint32_t step)
{
    return (uint64_t)session->generation << 32 | step;
}

void session_tags_new(struct session *session)
{
    session->generation++;
}

uint32_t session_step(uint64_t tag)
{
    return (uint32_t)tag;
}

void session_pause(struct session *session, uint32_t ms, void (*action)(struct session *session))
{
    (void)session;
    (void)ms;
    (void)action;
    fail();
}

static void end(const char *how, const char *said)
{
    assert_string_equal(world.ended, ""); /* once */
    (void)snprintf(world.ended, sizeof world.ended, "%s", how);
    (void)snprintf(world.said, sizeof world.said, "%s", said);
    copy_steps.release(&world.session);
}

void session_pass(struct session *session, const char *detail)
{
    (void)session;
    end("passed", detail);
}

void session_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                  const char *format, ...)
{
    char said[LIMIT_DETAIL_SIZE];
    va_list args;
    (void)session;
    (void)kind;
    (void)code;
    va_start(args, format);
    (void)vsnprintf(said, sizeof said, format, args);
    va_end(args);
    end(reason_word(reason), said);
}

void session_fail_status(struct session *session, uint32_t status, const char *what)
{
    (void)session;
    (void)status;
    end("status", what);
}

void session_fail_request(struct session *session, const struct err *err)
{
    (void)session;
    end("request", err->text);
}

void session_lost_default(struct session *session, const struct session_loss *loss)
{
    (void)session;
    end(reason_word(loss->reason), loss->text);
}

/* ---- the script ---- */

static void begin(void)
{
    char path[] = "/tmp/pusher-copy-folder-XXXXXX";
    memset(&world, 0, sizeof world);
    buf_init(&world.trace, 4096);
    buf_init(&world.security, 1024);
    sd_build_distribution(&world.security);
    world.runner.scratch = calloc(1, STAGE_BUFFER_BYTES);
    world.server.read_size_max = SMB_READ_SIZE_MAX;
    world.server.write_size_max = SMB_COMPOUND_WRITE_MAX;
    world.job.job.package_bytes = 112;
    world.job.job.generation = 1;
    world.job.job.directory = true;
    world.job.folder = (struct folder){.files = files, .count = sizeof files / sizeof *files};
    (void)snprintf(world.job.job.package_name, sizeof world.job.job.package_name, "suite");
    world.job.package_fd = mkstemp(path);
    assert_true(world.job.package_fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pwrite(world.job.package_fd, "one1234fiver", 12, 100), 12);
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
    buf_release(&world.security);
}

static void reply_to(const struct asked *asked, uint32_t status, const void *data, size_t size)
{
    struct smb_reply reply = {.tag = asked->tag,
                              .status = status,
                              .count = asked->size,
                              .data = data,
                              .data_size = size,
                              .info.attributes = world.attributes};
    if (world.ended[0] == '\0' && asked->tag >> 32 == world.session.generation)
        copy_steps.reply(&world.session, &reply);
    if (world.ended[0] == '\0')
        copy_steps.room(&world.session);
}

/* Answers the oldest request, which is of this name. */
static void answer_with(const char *word, uint32_t status, const void *data, size_t size)
{
    struct asked asked = world.asked[0];
    assert_true(world.asked_count > 0);
    assert_string_equal(asked.word, word);
    memmove(world.asked, world.asked + 1, --world.asked_count * sizeof asked);
    reply_to(&asked, status, data, size);
}

static void answer(const char *word)
{
    answer_with(word, NTSTATUS_SUCCESS, NULL, 0);
}

static void saw(const char *expected)
{
    assert_string_equal(buf_cstr(&world.trace), expected);
    buf_reset(&world.trace);
}

static void folder_is_fine(void)
{
    answer("folder");
    answer_with("security", NTSTATUS_SUCCESS, world.security.data, world.security.size);
    answer("close");
}

/* A file that was not there, from the look at its name to its closing. */
static void file_goes(const char *content)
{
    answer_with("probe", NTSTATUS_OBJECT_NAME_NOT_FOUND, NULL, 0);
    answer_with("close", NTSTATUS_OBJECT_NAME_NOT_FOUND, NULL, 0);
    answer("create");
    answer("mark");
    if (content[0] == '\0')
        answer("allocate");
    else
        answer("write");
    answer("flush");
    if (world.job.job.verify && content[0] != '\0')
        answer_with("read", NTSTATUS_SUCCESS, content, strlen(content));
    answer("unmark");
    answer("rename");
    answer("close");
}

/* ---- cases ---- */

static void files_go_one_by_one_each_below_its_folders(void **state)
{
    (void)state;
    for (int verify = 0; verify < 2; verify++) {
        begin();
        world.job.job.verify = verify == 1;
        saw("folder SPDISTRO\\suite ");
        folder_is_fine();
        file_goes("one");
        saw("probe SPDISTRO\\suite\\a.txt write 'one' rename SPDISTRO\\suite\\a.txt "
            "folder SPDISTRO\\suite\\b ");
        assert_int_equal(world.target.bytes, 3);
        folder_is_fine();
        saw("folder SPDISTRO\\suite\\b\\c ");
        folder_is_fine();
        file_goes("1234");
        file_goes("");
        assert_int_equal(world.target.bytes, 7);
        saw("probe SPDISTRO\\suite\\b\\c\\one write '1234' rename SPDISTRO\\suite\\b\\c\\one "
            "probe SPDISTRO\\suite\\b\\c\\two allocate 0 rename SPDISTRO\\suite\\b\\c\\two "
            "folder SPDISTRO\\suite\\b\\d ");
        folder_is_fine();
        assert_string_equal(world.ended, "");
        file_goes("fiver");
        assert_string_equal(world.ended, "passed");
        assert_int_equal(world.target.bytes, 12);
        assert_int_equal(world.runner.copying_count, 0);
        finish();
    }
}

static void bytes_read_back_wrong_name_their_file(void **state)
{
    (void)state;
    begin();
    world.job.job.verify = true;
    folder_is_fine();
    file_goes("one");
    folder_is_fine();
    folder_is_fine();
    answer_with("probe", NTSTATUS_OBJECT_NAME_NOT_FOUND, NULL, 0);
    answer_with("close", NTSTATUS_OBJECT_NAME_NOT_FOUND, NULL, 0);
    answer("create");
    answer("mark");
    answer("write");
    answer("flush");
    answer_with("read", NTSTATUS_SUCCESS, "one1", 4); /* what stands at the package's beginning */
    answer("mark");
    answer("close");
    assert_string_equal(world.ended, "HASH_MISMATCH");
    assert_ptr_equal(strstr(world.said, "b/c/one: "), world.said);
    finish();
}

static void folder_that_is_a_link_or_open_to_others_takes_nothing(void **state)
{
    (void)state;
    begin();
    world.attributes = SMB_ATTRIBUTE_DIRECTORY | SMB_ATTRIBUTE_REPARSE_POINT;
    saw("folder SPDISTRO\\suite ");
    answer("folder");
    assert_string_equal(world.ended, "UNSAFE_PATH");
    saw("");
    finish();

    static const struct sid everyone = {.authority = 1, .sub_count = 1, .sub = {0}};
    begin();
    buf_reset(&world.security);
    sd_build_output(&world.security, &everyone);
    answer("folder");
    answer_with("security", NTSTATUS_SUCCESS, world.security.data, world.security.size);
    assert_string_equal(world.ended, "UNSAFE_PATH");
    finish();

    begin();
    answer("folder");
    answer_with("security", NTSTATUS_SUCCESS, "nonsense", 8);
    assert_string_equal(world.ended, "UNSAFE_PATH");
    finish();
}

static void file_in_the_place_of_a_folder_is_named(void **state)
{
    (void)state;
    begin();
    folder_is_fine();
    file_goes("one");
    answer_with("folder", NTSTATUS_NOT_A_DIRECTORY, NULL, 0);
    assert_string_equal(world.ended, "NOT_A_DIRECTORY");
    assert_ptr_equal(strstr(world.said, "b/c/one: "), world.said);
    finish();
}

/* Answers of the file before mean nothing to the next one. */
static void late_answer_of_another_file_is_ignored(void **state)
{
    (void)state;
    begin();
    folder_is_fine();
    uint32_t before = world.session.generation;
    file_goes("one");
    assert_int_not_equal(world.session.generation, before);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_one_by_one_each_below_its_folders),
        cmocka_unit_test(bytes_read_back_wrong_name_their_file),
        cmocka_unit_test(folder_that_is_a_link_or_open_to_others_takes_nothing),
        cmocka_unit_test(file_in_the_place_of_a_folder_is_named),
        cmocka_unit_test(late_answer_of_another_file_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
