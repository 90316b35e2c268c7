/* Stage 6 of a job that is waited for, before it registers: the wrapper script, and the two files
 * that it fills, are put beside the package.
 *
 * Only after the task was looked for and is not there: nobody can run or hold the files then. They
 * need no temporary name, since nothing starts the script before the task exists. The two are made
 * empty, with rights for the account that fills them; the folder would give it none.
 */
#include <stdio.h>
#include <string.h>

#include "common/pkg/wrapper.h"
#include "relay/stage/filesd.h"
#include "relay/stage/schedule.h"

enum wrap_step { WRAP_OPEN = WRAP_STEP, WRAP_WRITE, WRAP_CLOSE };

/* In this order. */
static const enum wrapper_file files[] = {WRAPPER_OUTPUT, WRAPPER_END, WRAPPER_SCRIPT};
#define FILE_COUNT (sizeof files / sizeof files[0])

static void wrap_open(struct session *session)
{
    const struct job *job = &session->job->job;
    enum wrapper_file file = files[session->schedule->wrap_at];
    struct buf descriptor;
    struct err err;
    char name[WRAPPER_NAME_SIZE];
    char path[SMB_PATH_SIZE_MAX];
    (void)snprintf(path, sizeof path, STAGE_FOLDER "\\%s",
                   wrapper_name(&job->push, job->generation, file, name));
    buf_init(&descriptor, FILESD_SIZE_MAX);
    if (file == WRAPPER_SCRIPT)
        filesd_build(&descriptor, job);
    else
        filesd_build_output(&descriptor, job);
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_WRITE_DATA | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_NONE,
        .disposition = SMB_OVERWRITE_IF,
        .options = SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .attributes = SMB_ATTRIBUTE_NORMAL,
        .security_descriptor = descriptor.data,
        .security_descriptor_size = descriptor.size,
    };
    int made =
        smb_create(session->conn, session_tag(session, WRAP_OPEN), session->tree, &request, &err);
    buf_release(&descriptor);
    if (made != 0)
        session_fail_request(session, &err);
}

void wrap_begin(struct session *session)
{
    session->schedule->wrap_at = 0;
    wrap_open(session);
}

static void wrap_close(struct session *session)
{
    struct err err;
    if (smb_close(session->conn, session_tag(session, WRAP_CLOSE), session->schedule->wrap_file,
                  &err) != 0)
        session_fail_request(session, &err);
}

static void wrap_opened(struct session *session, const struct smb_reply *reply)
{
    struct schedule_state *schedule = session->schedule;
    struct buf script;
    struct err err;
    schedule->wrap_file = reply->file;
    if (files[schedule->wrap_at] != WRAPPER_SCRIPT) {
        wrap_close(session);
        return;
    }
    buf_init(&script, WRAPPER_SIZE_MAX);
    int status = wrapper_build(&session->job->job, &script, &err);
    if (status == 0) {
        schedule->wrap_size = script.size;
        status = smb_write(session->conn, session_tag(session, WRAP_WRITE), reply->file, 0,
                           script.data, script.size, &err);
    }
    buf_release(&script);
    if (status != 0)
        session_fail_request(session, &err);
}

void wrap_reply(struct session *session, const struct smb_reply *reply)
{
    struct schedule_state *schedule = session->schedule;
    if (ntstatus_is_error(reply->status)) {
        schedule_fail_copy(session, reply->status, "write the script that runs the package");
        return;
    }
    switch ((enum wrap_step)session_step(reply->tag)) {
    case WRAP_OPEN:
        wrap_opened(session, reply);
        return;
    case WRAP_WRITE:
        if (reply->count != schedule->wrap_size) {
            schedule_fail(session, REASON_DISK_FULL, CODE_NONE, 0,
                          "the machine cut the script short", "");
            return;
        }
        wrap_close(session);
        return;
    case WRAP_CLOSE:
        if (++schedule->wrap_at < FILE_COUNT)
            wrap_open(session);
        else
            schedule_call_make(session, CALL_FOLDER_SECURITY);
        return;
    }
}
