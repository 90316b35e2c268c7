/* Stage 6: the task is registered with the target's own Task Scheduler.
 *
 * On the connection that is there: IPC$, the pipe, an RPC bind of its own (NTLM, PKT_PRIVACY), then
 * the folder \Pusher, then one SchRpcRegisterTask with TASK_CREATE alone on a path made of push and
 * generation: whoever comes first wins, and a second call can't start anything twice. "Exists" is
 * settled by reading the task back: same fingerprint, action, principal and a safe owner.
 *
 * From the first byte of that call on, until the scheduler has answered, the target is `uncertain`:
 * whatever breaks then is an unknown effect, never a failure. When only the pipe breaks, the task
 * is looked for at once on a new pipe; registering is not tried again in this stage. A task that is
 * not there then may still come: that is an unknown effect, to be read back later.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "relay/rpc/rpc_auth.h"
#include "relay/stage/schedule.h"
#include "relay/stage/statusmap.h"
#include "relay/tsch/tsch.h"

#define PIPE_TRIES 3
#define PIPE_PAUSE_MS 700
#define LOOK_PAUSE_MS 1000 /* before looking for a task after the pipe broke */
#define PIPE_ACCESS 0x3U   /* read and write data: enough for a pipe */

/* Below WRAP_STEP. */
enum schedule_step { SCHEDULE_TREE = 1, SCHEDULE_OPEN, SCHEDULE_IO, SCHEDULE_CLOSE };

/* --- Ending --- */

static void client_free(struct schedule_state *schedule)
{
    rpc_client_free(schedule->rpc);
    auth_context_free(schedule->auth);
    schedule->rpc = NULL;
    schedule->auth = NULL;
}

static void schedule_release(struct session *session)
{
    if (session->schedule == NULL)
        return;
    client_free(session->schedule);
    await_free(session->schedule->await);
    wrap_undo_free(session->schedule->undo);
    free(session->schedule);
    session->schedule = NULL;
}

/* Closes the pipe; nobody waits for the answer. */
static void pipe_close(struct session *session)
{
    struct schedule_state *schedule = session->schedule;
    if (schedule->pipe_open)
        (void)smb_close(session->conn, session_tag(session, SCHEDULE_CLOSE), schedule->pipe, NULL);
    schedule->pipe_open = false;
    client_free(schedule);
}

/* The pipe is left to LOGOFF, which comes next and closes it as well: a message less a target. */
static void pipe_leave(struct session *session)
{
    session->schedule->pipe_open = false;
    client_free(session->schedule);
}

void schedule_pass(struct session *session, const char *detail)
{
    pipe_leave(session);
    session_pass(session, detail);
}

void schedule_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                   const char *what, const char *name)
{
    struct stage_result failure = {
        .verdict = STAGE_FAILED, .reason = reason, .code_kind = kind, .code = code};
    if (await_failed(session, what))
        return;
    pipe_close(session);
    (void)snprintf(failure.detail, sizeof failure.detail, "%s%s%s", what,
                   name[0] != '\0' ? ": " : "", name);
    if (!wrap_undo(session, &failure))
        session_fail(session, reason, kind, code, "%s", failure.detail);
}

void schedule_fail_copy(struct session *session, uint32_t status, const char *what)
{
    const char *name = ntstatus_name(status);
    schedule_fail(session, status_reason(STAGE_COPY, status), CODE_NTSTATUS, status, what,
                  name != NULL ? name : "unknown status");
}

void schedule_finish(struct session *session, const struct stage_result *result, uint8_t *output)
{
    if (result->verdict == STAGE_PASSED && session->schedule->await == NULL)
        pipe_leave(session);
    else
        pipe_close(session);
    session_finish(session, result, output);
}

int64_t schedule_target_now_s(const struct session *session)
{
    uint64_t system_time = smb_conn_server(session->conn)->system_time;
    uint64_t elapsed_ms = uv_now(session->runner->config.loop) - session->negotiated_ms;
    if (system_time == 0) /* the target tells no time: ours is the best guess */
        return (int64_t)time(NULL);
    return filetime_to_unix_s(system_time) + (int64_t)(elapsed_ms / 1000);
}

/* Remembers a failure that doesn't tell whether the task was registered. */
void schedule_note(struct schedule_state *schedule, enum reason reason, enum code_kind kind,
                   uint32_t code, const char *what, const char *name)
{
    schedule->reason = reason;
    schedule->kind = kind;
    schedule->code = code;
    (void)snprintf(schedule->text, sizeof schedule->text, "%s: %s", what, name);
}

static void schedule_lost(struct session *session, const struct session_loss *loss)
{
    struct session_loss once = *loss;
    if (session->schedule != NULL && session->schedule->await != NULL &&
        await_lost(session, loss->text))
        return;
    if (session->schedule != NULL && wrap_undo_lost(session))
        return;
    if (session->schedule != NULL && session->schedule->submitted)
        once.again = false; /* looking for the task is for a session of its own */
    session_lost_default(session, &once);
}

/* --- Pipe --- */

static int pipe_create(struct session *session, uint32_t tree, struct err *err)
{
    struct smb_create_request request = {
        .path = TSCH_PIPE_NAME,
        .access = PIPE_ACCESS,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE,
        .disposition = SMB_OPEN,
    };
    return smb_create(session->conn, session_tag(session, SCHEDULE_OPEN), tree, &request, err);
}

static void pipe_open(struct session *session)
{
    struct err err;
    if (pipe_create(session, session->schedule->tree, &err) != 0)
        session_fail_request(session, &err);
}

/* The share and the pipe in it, in one message. */
static void pipe_connect(struct session *session)
{
    struct err err;
    smb_compound_begin(session->conn);
    bool made =
        smb_tree_connect(session->conn, session_tag(session, SCHEDULE_TREE), "IPC$", &err) == 0 &&
        pipe_create(session, SMB_RELATED_TREE, &err) == 0;
    if (smb_compound_end(session->conn, made, &err) != 0)
        session_fail_request(session, &err);
}

static void pipe_lost(struct session *session, uint32_t status, const char *what)
{
    struct schedule_state *schedule = session->schedule;
    const char *name = ntstatus_name(status);
    enum reason reason = status_reason(STAGE_SCHEDULE, status);
    name = name != NULL ? name : "unknown status";
    pipe_close(session);
    if (schedule->submitted && schedule->looking != LOOKING_LOST) {
        schedule_note(schedule, reason, CODE_NTSTATUS, status,
                      "the pipe broke while the task was registered", name);
        schedule->looking = LOOKING_LOST;
        session_pause(session, LOOK_PAUSE_MS, pipe_open);
        return;
    }
    if (reason == REASON_RPC_UNAVAILABLE && !await_decided(session) &&
        ++schedule->pipe_tries < PIPE_TRIES) {
        session->target->tries++;
        session_pause(session, PIPE_PAUSE_MS, pipe_open);
        return;
    }
    schedule_fail(session, reason, CODE_NTSTATUS, status, what, name);
}

static void client_failed(struct session *session, enum rpc_state before, const struct err *err)
{
    enum reason reason = REASON_PROTOCOL_ERROR;
    if (err->code == ERR_DENIED)
        reason = before == RPC_BINDING ? REASON_RPC_UNAVAILABLE : REASON_SIGNING_REFUSED;
    schedule_fail(session, reason, CODE_NONE, 0, err->text, "");
}

/* Does what the RPC client wants next. */
void schedule_pump(struct session *session)
{
    struct schedule_state *schedule = session->schedule;
    struct rpc_action action;
    struct err err;
    uint64_t tag = session_tag(session, SCHEDULE_IO);
    int status = 0;
    rpc_client_next(schedule->rpc, &action);
    size_t most = action.read_max < SMB_READ_SIZE_MAX ? action.read_max : SMB_READ_SIZE_MAX;
    switch (action.io) {
    case RPC_IO_NONE:
        if (rpc_client_state(schedule->rpc) == RPC_ANSWERED)
            schedule_call_answered(session);
        else
            schedule_call_first(session);
        return;
    case RPC_IO_WRITE:
        status = smb_write(session->conn, tag, schedule->pipe, 0, action.bytes, action.size, &err);
        break;
    case RPC_IO_TRANSCEIVE:
        status = smb_pipe_transceive(session->conn, tag, schedule->pipe, action.bytes, action.size,
                                     (uint32_t)most, &err);
        break;
    case RPC_IO_READ:
        status = smb_read(session->conn, tag, schedule->pipe, 0, (uint32_t)most, &err);
        break;
    }
    if (status != 0)
        session_fail_request(session, &err);
}

static void pipe_opened(struct session *session, const struct smb_reply *reply)
{
    struct schedule_state *schedule = session->schedule;
    struct err err;
    char host[LIMIT_TARGET_NAME_SIZE];
    if (ntstatus_is_error(reply->status)) {
        pipe_lost(session, reply->status, "open the Task Scheduler's pipe");
        return;
    }
    schedule->pipe = reply->file;
    schedule->pipe_open = true;
    target_host_text(session->target, host);
    if (auth_context_new(session->job->credential, AUTH_NTLM_RAW, "host", host, &schedule->auth,
                         &err) != 0) {
        schedule_fail(session, REASON_INTERNAL, CODE_NONE, 0, err.text, "");
        return;
    }
    struct rpc_auth auth = rpc_auth_of(schedule->auth);
    if (rpc_client_new(&tsch_interface, &auth, &schedule->rpc, &err) != 0) {
        schedule_fail(session, REASON_INTERNAL, CODE_NONE, 0, err.text, "");
        return;
    }
    schedule_pump(session);
}

static void pipe_moved(struct session *session, const struct smb_reply *reply)
{
    struct schedule_state *schedule = session->schedule;
    struct err err;
    if (schedule->rpc == NULL)
        return; /* of a pipe that is closed by now */
    if (ntstatus_is_error(reply->status)) {
        pipe_lost(session, reply->status, "talk to the Task Scheduler");
        return;
    }
    enum rpc_state before = rpc_client_state(schedule->rpc);
    bool data = reply->op != SMB_OP_WRITE;
    if (rpc_client_done(schedule->rpc, data ? reply->data : NULL, data ? reply->data_size : 0,
                        &err) != 0) {
        client_failed(session, before, &err);
        return;
    }
    if (before == RPC_BINDING && rpc_client_state(schedule->rpc) != RPC_BINDING) {
        /* The keys are out; a context of GSSAPI's takes more memory than all the session beside. */
        auth_context_free(schedule->auth);
        schedule->auth = NULL;
    }
    schedule_pump(session);
}

/* --- Steps --- */

static void schedule_start(struct session *session)
{
    const struct job *job = &session->job->job;
    struct schedule_state *schedule = mem_new(1, sizeof *schedule);
    session->schedule = schedule;
    /* A job that is waited for looks first in any case: the files of a script that may be running
     * must not be written again. */
    bool look = session->target->read_back || session->target->await || job->wait ||
                job->action == JOB_CLEANUP;
    schedule->looking = look ? LOOKING_BACK : LOOKING_NOT;
    if (session->target->await)
        schedule->await = await_new();
    if (job->action == JOB_CLEANUP)
        (void)task_path(job->of_push.bytes, job->of_generation, schedule->path);
    else
        (void)task_path(job->push.bytes, job->generation, schedule->path);
    pipe_connect(session);
}

static void schedule_reply(struct session *session, const struct smb_reply *reply)
{
    if (session_step(reply->tag) >= AWAIT_STEP) {
        if (session->schedule->await != NULL)
            await_reply(session, reply);
        else
            wrap_undo_reply(session, reply);
        return;
    }
    if (session_step(reply->tag) >= WRAP_STEP) {
        wrap_reply(session, reply);
        return;
    }
    switch (session_step(reply->tag)) {
    case SCHEDULE_TREE:
        if (ntstatus_is_error(reply->status)) {
            session_fail_status(session, reply->status, "connect to share IPC$");
            return;
        }
        session->schedule->tree = reply->tree;
        return;
    case SCHEDULE_OPEN:
        pipe_opened(session, reply);
        return;
    case SCHEDULE_IO:
        pipe_moved(session, reply);
        return;
    default:
        return; /* a pipe was closed */
    }
}

const struct stage_steps schedule_steps = {
    .start = schedule_start,
    .reply = schedule_reply,
    .lost = schedule_lost,
    .release = schedule_release,
    .idle_ms = 14000, /* less than the margin before a task starts */
    .total_ms = 60000,
    .tries_max = 3,
};
