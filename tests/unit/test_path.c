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

enum step { OPEN, SECURITY, LIST, CLOSE, STEP_COUNT };

/* The tag of what was asked last of each kind, and how the stage ended. */
static struct {
    struct stage_target target;
    struct stage_job job;
    struct session session;
    uint64_t tags[STEP_COUNT];
    bool asked[STEP_COUNT];
    uint32_t options; /* of the opening */
    bool descriptor;  /* the opening brought one */
    char ended[64];   /* "passed" or the reason */
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
    world.options = request->options;
    world.descriptor = request->security_descriptor_size > 0;
    return ask(OPEN, tag);
}

int smb_close(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err)
{
    (void)conn;
    (void)file;
    (void)err;
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
    (void)entry;
    return false;
}

int smb_rename(struct smb_conn *conn, uint64_t tag, struct smb_file file, const char *new_path,
               bool replace, struct err *err)
{
    (void)conn;
    (void)tag;
    (void)file;
    (void)new_path;
    (void)replace;
    (void)err;
    fail_msg("nothing is renamed unasked");
    return -1;
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

static void begin(void)
{
    memset(&world, 0, sizeof world);
    world.target.job = &world.job;
    world.session.target = &world.target;
    world.session.job = &world.job;
    path_steps.start(&world.session);
    assert_true(world.asked[OPEN] && world.descriptor);
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
    begin();
    answer(OPEN, (struct smb_reply){.info.attributes = attributes});
    if (world.asked[SECURITY]) {
        answer(SECURITY, (struct smb_reply){.data = descriptor.data, .data_size = descriptor.size});
        answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    }
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
    begin();
    answer(OPEN, (struct smb_reply){.info.attributes = SMB_ATTRIBUTE_DIRECTORY});
    answer(LIST, (struct smb_reply){.status = NTSTATUS_NO_SUCH_FILE});
    answer(SECURITY, (struct smb_reply){.status = NTSTATUS_ACCESS_DENIED});
    assert_string_not_equal(world.ended, "");
    assert_string_not_equal(world.ended, "passed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_of_ours_passes),
        cmocka_unit_test(link_is_unsafe_whatever_its_rights),
        cmocka_unit_test(other_owner_or_other_rights_are_unsafe),
        cmocka_unit_test(rights_that_cannot_be_read_are_no_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
