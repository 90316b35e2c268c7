/* Stage 6 of a job that is waited for, before it registers: the wrapper script, and the two files
 * that it fills, are put beside the package.
 *
 * Only after the task was looked for and is not there: nobody can run or hold the files then. They
 * need no temporary name, since nothing starts the script before the task exists. The two are made
 * empty, with rights for the account that fills them; the folder would give it none.
 *
 * When nothing is registered in the end, and that is certain, they go again before the failure is
 * told: nobody would ever look at them. When the effect is unknown they stay, for a task that may
 * be there; `pusher cleanup` removes them then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/pkg/wrapper.h"
#include "relay/stage/filesd.h"
#include "relay/stage/schedule.h"
#include "relay/stage/sweep.h"

enum wrap_step {
    WRAP_OPEN = WRAP_STEP,
    WRAP_WRITE,
    WRAP_CLOSE,
    WRAP_LEFT, /* closed because of a failure; nobody waits for it */
};

/* In this order. */
static const enum wrapper_file files[] = {WRAPPER_OUTPUT, WRAPPER_END, WRAPPER_SCRIPT};
#define FILE_COUNT (sizeof files / sizeof files[0])

struct wrap_undo {
    struct stage_result failure; /* to be told afterwards */
    struct sweep sweep;
};

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
    schedule->wrapped = true;
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

/* The script could not be written whole. */
static void wrap_leave(struct session *session)
{
    (void)smb_close(session->conn, session_tag(session, WRAP_LEFT), session->schedule->wrap_file,
                    NULL);
}

void wrap_reply(struct session *session, const struct smb_reply *reply)
{
    struct schedule_state *schedule = session->schedule;
    enum wrap_step step = (enum wrap_step)session_step(reply->tag);
    if (step == WRAP_LEFT)
        return;
    if (ntstatus_is_error(reply->status)) {
        if (step == WRAP_WRITE)
            wrap_leave(session);
        schedule_fail_copy(session, reply->status, "write the script that runs the package");
        return;
    }
    switch (step) {
    case WRAP_OPEN:
        wrap_opened(session, reply);
        return;
    case WRAP_WRITE:
        if (reply->count != schedule->wrap_size) {
            wrap_leave(session);
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
    case WRAP_LEFT:
        return;
    }
}

/* --- When nothing was registered --- */

void wrap_undo_free(struct wrap_undo *undo)
{
    if (undo != NULL)
        sweep_release(&undo->sweep);
    free(undo);
}

static void undo_over(struct session *session)
{
    struct stage_result failure = session->schedule->undo->failure;
    session_finish(session, &failure, NULL);
}

/* The output is answered: in use, another relay's task runs the script after all. */
static void undo_rest(struct session *session)
{
    struct sweep *sweep = &session->schedule->undo->sweep;
    if (sweep_any(sweep, SWEEP_IN_USE))
        undo_over(session);
    else
        sweep_run(session, sweep, SWEEP_FILES_MAX, undo_over);
}

bool wrap_undo(struct session *session, const struct stage_result *failure)
{
    struct schedule_state *schedule = session->schedule;
    const struct job *job = &session->job->job;
    char name[WRAPPER_NAME_SIZE];
    if (!schedule->wrapped || session->target->uncertain)
        return false;
    schedule->undo = mem_new(1, sizeof *schedule->undo);
    schedule->undo->failure = *failure;
    for (size_t i = 0; i < FILE_COUNT; i++)
        sweep_add(&schedule->undo->sweep, wrapper_name(&job->push, job->generation, files[i], name),
                  false);
    sweep_run(session, &schedule->undo->sweep, 1, undo_rest);
    return true;
}

void wrap_undo_reply(struct session *session, const struct smb_reply *reply)
{
    sweep_reply(session, &session->schedule->undo->sweep, reply);
}

bool wrap_undo_lost(struct session *session)
{
    if (session->schedule->undo == NULL)
        return false;
    struct stage_result failure = session->schedule->undo->failure;
    session_finish_lost(session, &failure, NULL);
    return true;
}
