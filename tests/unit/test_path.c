/* relay/stage/path.c against a file server that the test plays: what makes a folder unsafe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "relay/sd/sd.h"
#include "relay/stage/session.h"

enum step { OPEN, SECURITY, LIST, CLOSE, RENAME, STEP_COUNT };

/* The tag of what was asked last of each kind, and how the stage ended. */
static struct {
    struct stage_target target;
    struct stage_job job;
    struct session session;
    uint64_t tags[STEP_COUNT];
    bool asked[STEP_COUNT];
    uint32_t options; /* of the opening */
    bool descriptor;  /* the opening brought one */
    bool compound;    /* between begin and end */
    unsigned opened;  /* how often */
    unsigned closed;
    unsigned listed; /* entries of the listing handed out */
    unsigned stale;  /* of how many */
    bool renamed;
    char ended[64]; /* "passed" or the reason */
} world;

static int ask(enum step step, uint64_t tag)
{
    world.tags[step] = tag;
    world.asked[step] = true;
    return 0;
}

int smb_create(struct smb_conn *conn, uint64_t tag, uint32_t tree,
               const struct smb_create_request *request, struct err *err)
{
    (void)conn;
    (void)tree;
    (void)err;
    assert_true(world.compound); /* nothing is opened without what belongs to it */
    world.opened++;
    world.options = request->options;
    world.descriptor = request->security_descriptor_size > 0;
    return ask(OPEN, tag);
}

void smb_compound_begin(struct smb_conn *conn)
{
    (void)conn;
    assert_false(world.compound);
    world.compound = true;
}

int smb_compound_end(struct smb_conn *conn, bool made, struct err *err)
{
    (void)conn;
    (void)err;
    assert_true(made && world.compound);
    world.compound = false;
    return 0;
}

int smb_close(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    world.closed++;
    return ask(CLOSE, tag);
}

int smb_query_security(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint32_t parts,
                       struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_int_equal(parts, SMB_SECURITY_OWNER | SMB_SECURITY_DACL);
    return ask(SECURITY, tag);
}

int smb_query_directory(struct smb_conn *conn, uint64_t tag, struct smb_file directory,
                        const char *pattern, bool restart, struct err *err)
{
    (void)conn;
    (void)directory;
    (void)pattern;
    (void)restart;
    (void)err;
    return ask(LIST, tag);
}

bool smb_directory_next(struct cursor *at, struct smb_directory_entry *entry)
{
    (void)at;
    memset(entry, 0, sizeof *entry);
    (void)snprintf(entry->name, sizeof entry->name, ".pusher-%u-1.tmp", world.listed);
    return world.listed++ < world.stale;
}

int smb_rename(struct smb_conn *conn, uint64_t tag, struct smb_file file, const char *new_path,
               bool replace, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
    assert_true(world.job.job.replace_path); /* nothing is renamed unasked */
    assert_memory_equal(new_path, "SPDISTRO.unsafe-", 16);
    assert_false(replace);
    world.renamed = true;
    return ask(RENAME, tag);
}

uint64_t session_tag(const struct session *session, uint32_t step)
{
    (void)session;
    return step;
}

uint32_t session_step(uint64_t tag)
{
    return (uint32_t)tag;
}

static void end(const char *how)
{
    assert_string_equal(world.ended, ""); /* once */
    (void)snprintf(world.ended, sizeof world.ended, "%s", how);
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

static void begin(bool replace)
{
    memset(&world, 0, sizeof world);
    world.job.job.replace_path = replace;
    world.target.job = &world.job;
    world.session.target = &world.target;
    world.session.job = &world.job;
    path_steps.start(&world.session);
    assert_true(world.asked[OPEN] && world.descriptor && !world.compound);
    assert_true(world.asked[SECURITY] && world.asked[LIST] && world.asked[CLOSE]);
    assert_int_equal(world.options, SMB_OPTION_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT);
}

static void answer(enum step step, struct smb_reply reply)
{
    assert_true(world.asked[step]);
    world.asked[step] = false;
    reply.tag = world.tags[step];
    path_steps.reply(&world.session, &reply);
}

/* A folder with these attributes and our descriptor but for the byte at `flip`. */
static const char *judge(uint32_t attributes, size_t flip)
{
    struct buf descriptor;
    buf_init(&descriptor, 1024);
    sd_build_distribution(&descriptor);
    if (flip < descriptor.size)
        descriptor.data[flip] ^= 1;
    begin(false);
    answer(OPEN, (struct smb_reply){.info.attributes = attributes});
    answer(SECURITY, (struct smb_reply){.data = descriptor.data, .data_size = descriptor.size});
    answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    assert_string_equal(world.ended, ""); /* not before its handle is given back */
    answer(CLOSE, (struct smb_reply){0});
    buf_release(&descriptor);
    return world.ended;
}

static void folder_of_ours_passes(void **state)
{
    (void)state;
    assert_string_equal(judge(SMB_ATTRIBUTE_DIRECTORY, SIZE_MAX), "passed");
}

static void link_is_unsafe_whatever_its_rights(void **state)
{
    (void)state;
    assert_string_equal(judge(SMB_ATTRIBUTE_DIRECTORY | SMB_ATTRIBUTE_REPARSE_POINT, SIZE_MAX),
                        "UNSAFE_PATH");
}

static void other_owner_or_other_rights_are_unsafe(void **state)
{
    struct buf descriptor;
    (void)state;
    buf_init(&descriptor, 1024);
    sd_build_distribution(&descriptor);
    size_t last = descriptor.size - 1; /* of the SID in the last entry */
    buf_release(&descriptor);
    assert_string_equal(judge(SMB_ATTRIBUTE_DIRECTORY, 20 + 12), "UNSAFE_PATH"); /* the owner's */
    assert_string_equal(judge(SMB_ATTRIBUTE_DIRECTORY, last), "UNSAFE_PATH");
}

static void rights_that_cannot_be_read_are_no_pass(void **state)
{
    (void)state;
    begin(false);
    answer(OPEN, (struct smb_reply){.info.attributes = SMB_ATTRIBUTE_DIRECTORY});
    answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    answer(SECURITY, (struct smb_reply){.status = NTSTATUS_ACCESS_DENIED});
    answer(CLOSE, (struct smb_reply){0});
    assert_string_not_equal(world.ended, "");
    assert_string_not_equal(world.ended, "passed");
}

/* Good answers to all but LIST and CLOSE. */
static void until_list(void)
{
    struct buf descriptor;
    buf_init(&descriptor, 1024);
    sd_build_distribution(&descriptor);
    answer(OPEN, (struct smb_reply){.info.attributes = SMB_ATTRIBUTE_DIRECTORY});
    answer(SECURITY, (struct smb_reply){.data = descriptor.data, .data_size = descriptor.size});
    buf_release(&descriptor);
}

/* [MS-SMB2] 3.3.5.2.7.2: the server may refuse the CLOSE behind a listing that found nothing. */
static void folder_left_open_is_closed_and_passes(void **state)
{
    (void)state;
    begin(false);
    until_list();
    answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    assert_int_equal(world.closed, 1);
    answer(CLOSE, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    assert_int_equal(world.closed, 2);
    assert_string_equal(world.ended, "passed");
}

static void folder_that_cannot_be_opened_says_so_once(void **state)
{
    (void)state;
    begin(false);
    answer(OPEN, (struct smb_reply){.status = NTSTATUS_NOT_A_DIRECTORY});
    assert_string_equal(world.ended, "NOT_A_DIRECTORY");
    begin(true); /* the parts behind it fail too, and count for nothing */
    answer(OPEN, (struct smb_reply){.status = NTSTATUS_NOT_A_DIRECTORY});
    assert_true(world.renamed);
    path_steps.reply(&world.session, &(struct smb_reply){.status = NTSTATUS_NOT_A_DIRECTORY,
                                                         .tag = world.tags[SECURITY]});
    path_steps.reply(&world.session, &(struct smb_reply){.status = NTSTATUS_NOT_A_DIRECTORY,
                                                         .tag = world.tags[LIST]});
    assert_string_equal(world.ended, "");
    answer(OPEN, (struct smb_reply){0});
    answer(RENAME, (struct smb_reply){0});
    answer(CLOSE, (struct smb_reply){0});
    assert_int_equal(world.opened, 3); /* and now the new one */
    until_list();
    answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    answer(CLOSE, (struct smb_reply){0});
    assert_string_equal(world.ended, "passed");
}

static void old_folder_that_cannot_be_renamed_is_a_failure(void **state)
{
    (void)state;
    begin(true);
    answer(OPEN, (struct smb_reply){.status = NTSTATUS_NOT_A_DIRECTORY});
    answer(OPEN, (struct smb_reply){0});
    answer(RENAME, (struct smb_reply){.status = NTSTATUS_SHARING_VIOLATION});
    assert_string_equal(world.ended, "rename the old C:\\SPDISTRO");
}

static void temporary_files_are_swept_each_in_one_message(void **state)
{
    (void)state;
    begin(false);
    world.stale = 2;
    until_list();
    answer(LIST, (struct smb_reply){0});
    answer(CLOSE, (struct smb_reply){0});
    assert_int_equal(world.opened, 3);
    assert_true((world.options & SMB_OPTION_DELETE_ON_CLOSE) != 0);
    uint64_t opened = world.tags[OPEN];
    uint64_t closed = world.tags[CLOSE];
    uint32_t held = NTSTATUS_SHARING_VIOLATION; /* one that is being written */
    path_steps.reply(&world.session, &(struct smb_reply){.tag = opened, .status = held});
    path_steps.reply(&world.session, &(struct smb_reply){.tag = closed, .status = held});
    path_steps.reply(&world.session, &(struct smb_reply){.tag = opened});
    assert_string_equal(world.ended, "");
    path_steps.reply(&world.session, &(struct smb_reply){.tag = closed});
    assert_string_equal(world.ended, "passed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_of_ours_passes),
        cmocka_unit_test(link_is_unsafe_whatever_its_rights),
        cmocka_unit_test(other_owner_or_other_rights_are_unsafe),
        cmocka_unit_test(rights_that_cannot_be_read_are_no_pass),
        cmocka_unit_test(folder_left_open_is_closed_and_passes),
        cmocka_unit_test(folder_that_cannot_be_opened_says_so_once),
        cmocka_unit_test(old_folder_that_cannot_be_renamed_is_a_failure),
        cmocka_unit_test(temporary_files_are_swept_each_in_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
