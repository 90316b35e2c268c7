/* Stage 6: the task is registered with the target's own Task Scheduler.
 *
 * On the connection that is there: IPC$, the pipe, an RPC bind of its own (NTLM, PKT_PRIVACY), then
 * the folder \Pusher, then one SchRpcRegisterTask with TASK_CREATE alone on a path made of push and
 * generation: whoever comes first wins, and a second call can't start anything twice. "Exists" is
 * settled by reading the task back: same fingerprint, action, principal and a safe owner.
 *
 * From the first byte of that call on, until the scheduler has answered, the target is `uncertain`:
 * whatever breaks then is an unknown effect, never a failure. When only the pipe breaks, the task
 * is looked for at once on a new pipe; registering is not tried again in this stage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/rpc/rpc_auth.h"
#include "relay/sd/sd.h"
#include "relay/stage/session.h"
#include "relay/stage/starttime.h"
#include "relay/stage/statusmap.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/task.h"
#include "relay/tsch/tsch.h"

#define STUB_MAX (512U << 10)
#define PIPE_TRIES 3
#define PIPE_PAUSE_MS 700
#define LOOK_PAUSE_MS 1000           /* before looking for a task after the pipe broke */
#define PIPE_ACCESS 0x3U             /* read and write data: enough for a pipe */
#define KEEP_EXPIRED_S (7U * 86400U) /* DeleteExpiredTaskAfter */
#define AUTHOR "Pusher"

enum schedule_step { SCHEDULE_TREE = 1, SCHEDULE_OPEN, SCHEDULE_IO, SCHEDULE_CLOSE };

enum schedule_call {
    CALL_FOLDER,          /* SchRpcCreateFolder \Pusher */
    CALL_FOLDER_SECURITY, /* SchRpcGetSecurity of it: it was there */
    CALL_REGISTER,        /* SchRpcRegisterTask */
    CALL_RETRIEVE,        /* SchRpcRetrieveTask: is there a task, and is it ours? */
    CALL_TASK_SECURITY,   /* SchRpcGetSecurity of it */
};

/* Why a task is being looked for. */
enum looking {
    LOOKING_NOT,
    LOOKING_BACK,   /* an earlier session may have registered it */
    LOOKING_EXISTS, /* the scheduler says that it exists */
    LOOKING_FAILED, /* our call went wrong in a way that doesn't tell */
};

struct schedule_state {
    uint32_t tree; /* IPC$ */
    struct smb_file pipe;
    bool pipe_open;
    uint32_t pipe_tries;
    struct auth_context *auth;
    struct rpc_client *rpc;
    enum schedule_call call; /* under way, or the first one after the bind */
    enum looking looking;
    bool submitted; /* the registering call may be at the target */
    struct start_plan plan;
    char path[TASK_PATH_SIZE];
    char seen_start[TASK_TIME_SIZE]; /* of a task that was found */
    /* what to report when the task is not found after all (LOOKING_FAILED) */
    enum reason reason;
    enum code_kind kind;
    uint32_t code;
    char text[LIMIT_DETAIL_SIZE];
};

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

static void schedule_pass(struct session *session, const char *detail)
{
    pipe_close(session);
    session_pass(session, detail);
}

static void schedule_fail(struct session *session, enum reason reason, enum code_kind kind,
                          uint32_t code, const char *what, const char *name)
{
    pipe_close(session);
    session_fail(session, reason, kind, code, "%s%s%s", what, name[0] != '\0' ? ": " : "", name);
}

/* Remembers a failure that doesn't tell whether the task was registered. */
static void failure_note(struct schedule_state *schedule, enum reason reason, enum code_kind kind,
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
    if (session->schedule != NULL && session->schedule->submitted)
        once.again = false; /* looking for the task is for a session of its own */
    session_lost_default(session, &once);
}

/* --- Pipe --- */

static void pipe_open(struct session *session)
{
    struct err err;
    struct smb_create_request request = {
        .path = TSCH_PIPE_NAME,
        .access = PIPE_ACCESS,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE,
        .disposition = SMB_OPEN,
    };
    if (smb_create(session->conn, session_tag(session, SCHEDULE_OPEN), session->schedule->tree,
                   &request, &err) != 0)
        session_fail_request(session, &err);
}

static void pipe_lost(struct session *session, uint32_t status, const char *what)
{
    struct schedule_state *schedule = session->schedule;
    const char *name = ntstatus_name(status);
    enum reason reason = status_reason(STAGE_SCHEDULE, status);
    name = name != NULL ? name : "unknown status";
    pipe_close(session);
    if (schedule->submitted && schedule->looking != LOOKING_FAILED) {
        failure_note(schedule, reason, CODE_NTSTATUS, status,
                     "the pipe broke while the task was registered", name);
        schedule->looking = LOOKING_FAILED;
        session_pause(session, LOOK_PAUSE_MS, pipe_open);
        return;
    }
    if (reason == REASON_RPC_UNAVAILABLE && ++schedule->pipe_tries < PIPE_TRIES) {
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

static void call_answered(struct session *session);
static void call_first(struct session *session);

/* Does what the RPC client wants next. */
static void client_pump(struct session *session)
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
            call_answered(session);
        else
            call_first(session);
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
    char address[LIMIT_ADDRESS_SIZE];
    if (ntstatus_is_error(reply->status)) {
        pipe_lost(session, reply->status, "open the Task Scheduler's pipe");
        return;
    }
    schedule->pipe = reply->file;
    schedule->pipe_open = true;
    target_address_text(session->target, address);
    if (auth_context_new(session->job->credential, AUTH_NTLM_RAW, "host",
                         session->target->name_is_address ? address : session->target->name,
                         &schedule->auth, &err) != 0) {
        schedule_fail(session, REASON_INTERNAL, CODE_NONE, 0, err.text, "");
        return;
    }
    struct rpc_auth auth = rpc_auth_of(schedule->auth);
    if (rpc_client_new(&tsch_interface, &auth, &schedule->rpc, &err) != 0) {
        schedule_fail(session, REASON_INTERNAL, CODE_NONE, 0, err.text, "");
        return;
    }
    client_pump(session);
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
    client_pump(session);
}

/* --- Calls --- */

static enum task_principal principal_of(enum run_as run_as)
{
    switch (run_as) {
    case RUN_AS_LOCAL_SERVICE:
        return TASK_AS_LOCAL_SERVICE;
    case RUN_AS_NETWORK_SERVICE:
        return TASK_AS_NETWORK_SERVICE;
    case RUN_AS_USER:
        return TASK_AS_USER;
    case RUN_AS_SYSTEM:
    case RUN_AS_COUNT:
        break;
    }
    return TASK_AS_SYSTEM;
}

/* The texts that a struct task borrows. */
struct task_texts {
    char command[LIMIT_COMMAND_SIZE];
    char description[TASK_DESCRIPTION_SIZE];
};

static struct task task_of(const struct session *session, struct task_texts *texts)
{
    const struct job *job = &session->job->job;
    const struct schedule_state *schedule = session->schedule;
    struct task_job fingerprint = {.generation = job->generation,
                                   .command = texts->command,
                                   .arguments = job->arguments,
                                   .principal = principal_of(job->run_as)};
    if (job->command[0] != '\0')
        (void)text_copy(texts->command, sizeof texts->command, job->command);
    else
        (void)snprintf(texts->command, sizeof texts->command, "C:\\" STAGE_FOLDER "\\%s",
                       job->package_name);
    memcpy(fingerprint.push_id, job->push.bytes, sizeof fingerprint.push_id);
    memcpy(fingerprint.package_digest, job->package_digest, sizeof fingerprint.package_digest);
    (void)task_description(&fingerprint, texts->description);
    return (struct task){
        .author = AUTHOR,
        .description = texts->description,
        .principal = fingerprint.principal,
        .start_unix_s = schedule->plan.start_unix_s,
        .end_unix_s = schedule->plan.end_unix_s,
        .utc = schedule->plan.utc,
        .execution_limit_s = job->run_timeout_s,
        .delete_expired_after_s = KEEP_EXPIRED_S,
        .command = texts->command,
        .arguments = job->arguments,
        .working_directory = "C:\\" STAGE_FOLDER,
    };
}

static int encode_register(struct session *session, struct buf *stub, struct err *err)
{
    struct schedule_state *schedule = session->schedule;
    struct task_texts texts;
    struct buf xml;
    uint64_t system_time = smb_conn_server(session->conn)->system_time;
    uint64_t elapsed_ms = uv_now(session->runner->config.loop) - session->negotiated_ms;
    if (system_time == 0) { /* the target tells no time: ours is the best guess */
        system_time = filetime_from_unix_s((int64_t)time(NULL));
        elapsed_ms = 0;
    }
    if (start_plan_make(&session->job->job, system_time, elapsed_ms, &schedule->plan, err) != 0)
        return -1;
    struct task task = task_of(session, &texts);
    buf_init(&xml, TASK_XML_SIZE_MAX);
    int status = task_xml_build(&task, &xml, err);
    if (status == 0) {
        struct tsch_register request = {
            .path = schedule->path,
            .xml = xml.data,
            .xml_size = xml.size,
            .flags = TSCH_CREATE,
            .sddl = SD_SDDL_TASKS,
            .logon = task.principal == TASK_AS_USER ? TSCH_LOGON_GROUP : TSCH_LOGON_SERVICE_ACCOUNT,
        };
        status = tsch_encode_register(stub, &request, err);
    }
    buf_release(&xml);
    return status;
}

static int encode_call(struct session *session, struct buf *stub, uint16_t *opnum, struct err *err)
{
    struct schedule_state *schedule = session->schedule;
    uint32_t parts = TSCH_SECURITY_OWNER | TSCH_SECURITY_DACL;
    switch (schedule->call) {
    case CALL_FOLDER:
        *opnum = TSCH_CREATE_FOLDER;
        return tsch_encode_create_folder(stub, TASK_FOLDER, SD_SDDL_TASKS, err);
    case CALL_FOLDER_SECURITY:
        *opnum = TSCH_GET_SECURITY;
        return tsch_encode_get_security(stub, TASK_FOLDER, parts, err);
    case CALL_REGISTER:
        *opnum = TSCH_REGISTER_TASK;
        return encode_register(session, stub, err);
    case CALL_RETRIEVE:
        *opnum = TSCH_RETRIEVE_TASK;
        return tsch_encode_retrieve(stub, schedule->path, err);
    case CALL_TASK_SECURITY:
        *opnum = TSCH_GET_SECURITY;
        return tsch_encode_get_security(stub, schedule->path, parts, err);
    }
    return err_set(err, ERR_INTERNAL, "no such call");
}

static void call_make(struct session *session, enum schedule_call call)
{
    struct schedule_state *schedule = session->schedule;
    struct buf stub;
    struct err err;
    uint16_t opnum = 0;
    schedule->call = call;
    buf_init(&stub, STUB_MAX);
    int status = encode_call(session, &stub, &opnum, &err);
    if (status == 0)
        status = rpc_client_call(schedule->rpc, opnum, stub.data, stub.size, &err);
    buf_release(&stub);
    if (status != 0) {
        /* Nothing was sent: an end before the start is the job's, the rest is ours. */
        bool late =
            call == CALL_REGISTER && err.code == ERR_INVALID && schedule->plan.end_unix_s == 0;
        schedule_fail(session, late ? REASON_EXPIRED : REASON_INTERNAL, CODE_NONE, 0, err.text, "");
        return;
    }
    if (call == CALL_REGISTER) {
        schedule->submitted = true;
        session->target->uncertain = true;
    }
    client_pump(session);
}

static void call_first(struct session *session)
{
    call_make(session, session->schedule->looking != LOOKING_NOT ? CALL_RETRIEVE : CALL_FOLDER);
}

/* --- Answers --- */

static void hresult_fail(struct session *session, uint32_t hresult, const char *what)
{
    const char *text = hresult_text(hresult);
    schedule_fail(session, hresult_reason(hresult), CODE_HRESULT, hresult, what,
                  text[0] != '\0' ? text : hresult_name(hresult));
}

static const char *call_words(enum schedule_call call)
{
    switch (call) {
    case CALL_FOLDER:
        return "make the task folder " TASK_FOLDER;
    case CALL_FOLDER_SECURITY:
        return "read the rights of the task folder " TASK_FOLDER;
    case CALL_REGISTER:
        return "register the task";
    case CALL_RETRIEVE:
        return "read the task back";
    case CALL_TASK_SECURITY:
        return "read the task's rights";
    }
    return "call the Task Scheduler";
}

/* Whether a folder or a task is safe in other people's hands; ends the stage when not. */
static bool security_checked(struct session *session, const struct rpc_answer *answer,
                             enum sd_object object, const char *what)
{
    struct sd sd;
    struct buf sddl;
    struct err err;
    uint32_t hresult = 0;
    char why[SD_WHY_SIZE];
    buf_init(&sddl, SD_SDDL_SIZE_MAX);
    int status = tsch_decode_get_security(answer->stub, answer->stub_size, &sddl, &hresult, &err);
    if (status == 0 && hresult_kind(hresult) == HRESULT_OK)
        status = sd_parse_sddl(buf_cstr(&sddl), &sd, &err);
    buf_release(&sddl);
    if (status != 0) {
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, what, err.text);
        return false;
    }
    if (hresult_kind(hresult) != HRESULT_OK) {
        hresult_fail(session, hresult, call_words(session->schedule->call));
        return false;
    }
    if (sd_is_safe(&sd, object, why, sizeof why))
        return true;
    session->target->uncertain = false;
    schedule_fail(session, REASON_NAME_CONFLICT, CODE_NONE, 0, what, why);
    return false;
}

static void registered(struct session *session, const struct tsch_register_result *result)
{
    struct schedule_state *schedule = session->schedule;
    char start[STARTTIME_TEXT_SIZE];
    char detail[LIMIT_DETAIL_SIZE];
    /* The scheduler has spoken: no doubt is left but about "exists". */
    schedule->submitted = false;
    session->target->uncertain = false;
    if (hresult_kind(result->hresult) == HRESULT_OK) {
        (void)snprintf(detail, sizeof detail, "starts %s by the target's clock",
                       start_plan_text(&schedule->plan, start));
        schedule_pass(session, detail);
        return;
    }
    if (hresult_kind(result->hresult) == HRESULT_EXISTS) {
        schedule->looking = LOOKING_EXISTS;
        call_make(session, CALL_RETRIEVE);
        return;
    }
    if (result->has_error_info) {
        char node[TSCH_NODE_SIZE * 2];
        (void)snprintf(detail, sizeof detail, "register the task: %s: line %u, element %.60s",
                       hresult_name(result->hresult), result->line,
                       text_printable(node, sizeof node, result->node));
        schedule_fail(session, hresult_reason(result->hresult), CODE_HRESULT, result->hresult,
                      detail, "");
        return;
    }
    hresult_fail(session, result->hresult, call_words(CALL_REGISTER));
}

/* There is no such task. */
static void not_found(struct session *session, uint32_t hresult)
{
    struct schedule_state *schedule = session->schedule;
    session->target->uncertain = false;
    schedule->submitted = false;
    switch (schedule->looking) {
    case LOOKING_BACK:
        schedule->looking = LOOKING_NOT;
        call_make(session, CALL_FOLDER);
        return;
    case LOOKING_FAILED:
        schedule_fail(session, schedule->reason, schedule->kind, schedule->code, schedule->text,
                      "");
        return;
    case LOOKING_EXISTS:
    case LOOKING_NOT:
        break;
    }
    hresult_fail(session, hresult, "the task exists, and yet does not");
}

static void retrieved(struct session *session, const struct rpc_answer *answer)
{
    struct schedule_state *schedule = session->schedule;
    const uint8_t *xml = NULL;
    size_t xml_size = 0;
    uint32_t hresult = 0;
    struct err err;
    char why[TASK_WHY_SIZE];
    if (tsch_decode_retrieve(answer->stub, answer->stub_size, &xml, &xml_size, &hresult, &err) !=
        0) {
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
        return;
    }
    if (hresult_kind(hresult) == HRESULT_NOT_FOUND) {
        not_found(session, hresult);
        return;
    }
    if (hresult_kind(hresult) != HRESULT_OK) {
        hresult_fail(session, hresult, call_words(CALL_RETRIEVE));
        return;
    }
    struct task_texts texts;
    struct task expected = task_of(session, &texts);
    struct task_seen *seen = mem_new(1, sizeof *seen);
    bool ours = false;
    if (xml == NULL)
        (void)snprintf(why, sizeof why, "it has no definition");
    else if (task_xml_read(xml, xml_size, seen, &err) != 0)
        (void)snprintf(why, sizeof why, "%.200s", err.text);
    else
        ours = task_matches(&expected, seen, why, sizeof why);
    (void)text_printable(schedule->seen_start, sizeof schedule->seen_start, seen->start_boundary);
    free(seen);
    if (ours) {
        call_make(session, CALL_TASK_SECURITY);
        return;
    }
    session->target->uncertain = false;
    schedule_fail(session, REASON_NAME_CONFLICT, CODE_NONE, 0,
                  "a task of this name exists and is not ours", why);
}

static void found_ours(struct session *session)
{
    char detail[LIMIT_DETAIL_SIZE];
    (void)snprintf(detail, sizeof detail, "already registered; starts %s by the target's clock",
                   session->schedule->seen_start);
    session->target->uncertain = false;
    schedule_pass(session, detail);
}

static void call_faulted(struct session *session, const struct rpc_answer *answer)
{
    struct schedule_state *schedule = session->schedule;
    const char *what = call_words(schedule->call);
    const char *name = rpc_fault_name(answer->status);
    enum reason reason = fault_reason(answer->status);
    if (schedule->call == CALL_REGISTER) {
        if (!answer->did_not_execute && reason != REASON_ACCESS_DENIED) {
            failure_note(schedule, reason, CODE_RPC, answer->status, what, name);
            schedule->looking = LOOKING_FAILED;
            call_make(session, CALL_RETRIEVE);
            return;
        }
        session->target->uncertain = false;
    }
    schedule_fail(session, reason, CODE_RPC, answer->status, what, name);
}

static void folder_made(struct session *session, const struct rpc_answer *answer)
{
    uint32_t hresult = 0;
    struct err err;
    if (tsch_decode_hresult(answer->stub, answer->stub_size, &hresult, &err) != 0)
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
    else if (hresult_kind(hresult) == HRESULT_OK)
        call_make(session, CALL_REGISTER);
    else if (hresult_kind(hresult) == HRESULT_EXISTS)
        call_make(session, CALL_FOLDER_SECURITY);
    else
        hresult_fail(session, hresult, call_words(CALL_FOLDER));
}

static void call_answered(struct session *session)
{
    struct schedule_state *schedule = session->schedule;
    struct rpc_answer answer;
    struct tsch_register_result result;
    struct err err;
    rpc_client_answer(schedule->rpc, &answer);
    if (answer.fault) {
        call_faulted(session, &answer);
        return;
    }
    switch (schedule->call) {
    case CALL_FOLDER:
        folder_made(session, &answer);
        return;
    case CALL_FOLDER_SECURITY:
        if (security_checked(session, &answer, SD_TASK_FOLDER, "the task folder " TASK_FOLDER))
            call_make(session, CALL_REGISTER);
        return;
    case CALL_REGISTER:
        if (tsch_decode_register(answer.stub, answer.stub_size, &result, &err) == 0)
            registered(session, &result);
        else
            schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
        return;
    case CALL_RETRIEVE:
        retrieved(session, &answer);
        return;
    case CALL_TASK_SECURITY:
        if (security_checked(session, &answer, SD_TASK, "the task of this name"))
            found_ours(session);
        return;
    }
}

/* --- Steps --- */

static void schedule_start(struct session *session)
{
    struct err err;
    const struct job *job = &session->job->job;
    struct schedule_state *schedule = mem_new(1, sizeof *schedule);
    session->schedule = schedule;
    schedule->looking = session->target->read_back ? LOOKING_BACK : LOOKING_NOT;
    (void)task_path(job->push.bytes, job->generation, schedule->path);
    if (smb_tree_connect(session->conn, session_tag(session, SCHEDULE_TREE), "IPC$", &err) != 0)
        session_fail_request(session, &err);
}

static void schedule_reply(struct session *session, const struct smb_reply *reply)
{
    switch (session_step(reply->tag)) {
    case SCHEDULE_TREE:
        if (ntstatus_is_error(reply->status)) {
            session_fail_status(session, reply->status, "connect to share IPC$");
            return;
        }
        session->schedule->tree = reply->tree;
        pipe_open(session);
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
