/* Stage 6, the calls: what is asked of the Task Scheduler, in which order, and what its answers
 * mean.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/wrapper.h"
#include "relay/sd/sd.h"
#include "relay/stage/schedule.h"
#include "relay/stage/statusmap.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/tsch.h"

#define STUB_MAX (512U << 10)
#define KEEP_EXPIRED_S (7U * 86400U) /* DeleteExpiredTaskAfter */
#define AUTHOR "Pusher"

/* --- Asking --- */

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
    char wrapper[WRAPPER_ARGUMENTS_SIZE];
    char description[TASK_DESCRIPTION_SIZE];
};

static struct task task_of(const struct session *session, struct task_texts *texts)
{
    const struct job *job = &session->job->job;
    const struct schedule_state *schedule = session->schedule;
    if (job->command[0] != '\0')
        (void)text_copy(texts->command, sizeof texts->command, job->command);
    else
        (void)snprintf(texts->command, sizeof texts->command, "C:\\" STAGE_FOLDER "\\%s",
                       job->package_name);
    struct task_job fingerprint = {.generation = job->generation,
                                   .command = texts->command,
                                   .arguments = job->arguments,
                                   .principal = principal_of(job->run_as)};
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
        .command = job->wait ? WRAPPER_COMMAND : texts->command,
        .arguments = job->wait ? wrapper_arguments(&job->push, job->generation, texts->wrapper)
                               : job->arguments,
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
            /* Without the second, whoever the task runs as could read its arguments. */
            .flags = TSCH_CREATE | TSCH_DONT_ADD_PRINCIPAL_ACE,
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
    case CALL_TASK_INFO:
        *opnum = TSCH_GET_TASK_INFO;
        return tsch_encode_get_task_info(stub, schedule->path, err);
    case CALL_LAST_RUN:
        *opnum = TSCH_GET_LAST_RUN_INFO;
        return tsch_encode_get_last_run_info(stub, schedule->path, err);
    case CALL_DISABLE:
        *opnum = TSCH_ENABLE_TASK;
        return tsch_encode_enable_task(stub, schedule->path, false, err);
    }
    return err_set(err, ERR_INTERNAL, "no such call");
}

void schedule_call_make(struct session *session, enum schedule_call call)
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
    schedule_pump(session);
}

void schedule_call_first(struct session *session)
{
    schedule_call_make(session, session->schedule->looking != LOOKING_NOT ? CALL_RETRIEVE
                                                                          : CALL_FOLDER_SECURITY);
}

/* --- Answers --- */

/* [MS-TSCH] 2.3.14 SCHED_S_SOME_TRIGGERS_FAILED: a success, but our tasks have one trigger only. */
#define HRESULT_SOME_TRIGGERS_FAILED 0x0004131BU

void schedule_call_failed(struct session *session, uint32_t hresult, const char *what)
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
    case CALL_TASK_INFO:
        return "ask whether the task runs";
    case CALL_LAST_RUN:
        return "ask how the task ended";
    case CALL_DISABLE:
        return "disable the task";
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
        schedule_call_failed(session, hresult, call_words(session->schedule->call));
        return false;
    }
    if (sd_is_safe(&sd, object, why, sizeof why))
        return true;
    session->target->uncertain = false;
    schedule_fail(session, REASON_NAME_CONFLICT, CODE_NONE, 0, what, why);
    return false;
}

/* The task is registered. */
static void scheduled(struct session *session, const char *word, const char *start,
                      int64_t start_unix_s)
{
    struct stage_result result = {.verdict = STAGE_PASSED};
    int64_t wait_s = start_unix_s - schedule_target_now_s(session);
    wait_s = wait_s < 0 ? 0 : wait_s;
    result.starts_in_ms = wait_s < UINT32_MAX / 1000 ? (uint32_t)(wait_s * 1000) : UINT32_MAX;
    (void)snprintf(result.detail, sizeof result.detail, "%sstarts %s by the target's clock", word,
                   start);
    schedule_finish(session, &result, NULL);
}

static void registered(struct session *session, const struct tsch_register_result *result)
{
    struct schedule_state *schedule = session->schedule;
    char start[STARTTIME_TEXT_SIZE];
    char detail[LIMIT_DETAIL_SIZE];
    /* The scheduler has spoken: no doubt is left but about "exists", until the task was read. */
    schedule->submitted = false;
    session->target->uncertain = hresult_kind(result->hresult) == HRESULT_EXISTS;
    if (hresult_kind(result->hresult) == HRESULT_OK)
        schedule->wrapped = false; /* the script is the task's */
    if (result->hresult == HRESULT_SOME_TRIGGERS_FAILED) {
        schedule_call_failed(session, result->hresult, "the task is registered and will not start");
        return;
    }
    if (hresult_kind(result->hresult) == HRESULT_OK) {
        scheduled(session, "", start_plan_text(&schedule->plan, start),
                  start_plan_earliest(schedule->plan.start_unix_s, schedule->plan.utc));
        return;
    }
    if (hresult_kind(result->hresult) == HRESULT_EXISTS) {
        schedule->looking = LOOKING_EXISTS;
        schedule_call_make(session, CALL_RETRIEVE);
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
    schedule_call_failed(session, result->hresult, call_words(CALL_REGISTER));
}

/* The last detail of cleaning up is the one that the row shows: it says it all. */
static void cleaned(struct session *session, const char *task)
{
    char detail[LIMIT_DETAIL_SIZE];
    const char *files = session->target->cleaned;
    (void)snprintf(detail, sizeof detail, "%.160s%s%s", files != NULL ? files : "",
                   files != NULL ? "; " : "", task);
    schedule_pass(session, detail);
}

/* There is no such task. */
static void not_found(struct session *session, uint32_t hresult)
{
    struct schedule_state *schedule = session->schedule;
    if (schedule->await != NULL) { /* and what became of it nobody can say */
        schedule_call_failed(session, hresult, "the task is not there any more");
        return;
    }
    session->target->uncertain = false;
    schedule->submitted = false;
    switch (schedule->looking) {
    case LOOKING_BACK:
        if (session->target->look_only) {
            schedule_fail(session, REASON_CANCELLED, CODE_NONE, 0,
                          "the task was never registered, and may not be any more", "");
            return;
        }
        if (session->job->job.action == JOB_CLEANUP) {
            cleaned(session, "there is no task");
            return;
        }
        schedule->looking = LOOKING_NOT;
        if (session->job->job.wait)
            wrap_begin(session);
        else
            schedule_call_make(session, CALL_FOLDER_SECURITY);
        return;
    case LOOKING_LOST: /* not yet: a scheduler that is slow may still register it */
        session->target->uncertain = true;
        schedule_fail(session, schedule->reason, schedule->kind, schedule->code, schedule->text,
                      "");
        return;
    case LOOKING_FAILED:
        schedule_fail(session, schedule->reason, schedule->kind, schedule->code, schedule->text,
                      "");
        return;
    case LOOKING_EXISTS:
    case LOOKING_NOT:
        break;
    }
    schedule_call_failed(session, hresult, "the task exists, and yet does not");
}

/* Whether the task is this job's; for cleaning up, whether it is one of ours at all: its name is
 * the other push's, whose command we don't know. */
static bool seen_is_ours(const struct session *session, const struct task_seen *seen, char *why,
                         size_t why_size)
{
    struct task_texts texts;
    if (session->job->job.action == JOB_CLEANUP) {
        bool ours = task_description_is_ours(seen->description);
        if (!ours)
            (void)text_copy(why, why_size, "its description is not a push's");
        return ours;
    }
    struct task expected = task_of(session, &texts);
    return task_matches(&expected, seen, why, why_size);
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
        schedule_call_failed(session, hresult, call_words(CALL_RETRIEVE));
        return;
    }
    struct task_seen *seen = mem_new(1, sizeof *seen);
    bool readable = xml != NULL && task_xml_read(xml, xml_size, seen, &err) == 0;
    bool ours = readable && seen_is_ours(session, seen, why, sizeof why);
    if (!readable)
        (void)snprintf(why, sizeof why, "%.200s", xml != NULL ? err.text : "it has no definition");
    (void)text_printable(schedule->seen_start, sizeof schedule->seen_start, seen->start_boundary);
    (void)text_printable(schedule->seen_end, sizeof schedule->seen_end, seen->end_boundary);
    free(seen);
    if (ours || !readable)
        schedule->wrapped = false; /* the script is the task's, whoever registered it */
    if (ours && schedule->await != NULL) {
        await_found(session);
        return;
    }
    if (ours) {
        schedule_call_make(session, CALL_TASK_SECURITY);
        return;
    }
    if (!readable) { /* it may be ours: whether a call was carried out stays as it was */
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0,
                      "a task of this name exists and cannot be read", why);
        return;
    }
    session->target->uncertain = schedule->await != NULL;
    schedule_fail(session, REASON_NAME_CONFLICT, CODE_NONE, 0,
                  "a task of this name exists and is not ours", why);
}

static void found_ours(struct session *session)
{
    int64_t start = 0;
    bool utc = true;
    const char *text = session->schedule->seen_start;
    if (session->job->job.action == JOB_CLEANUP) {
        schedule_call_make(session, CALL_DISABLE);
        return;
    }
    if (boundary_parse(text, &start, &utc) == 0)
        start = start_plan_earliest(start, utc);
    session->target->uncertain = false;
    scheduled(session, "already registered; ", text, start);
}

static void disabled(struct session *session, const struct rpc_answer *answer)
{
    uint32_t hresult = 0;
    struct err err;
    if (session->schedule->await != NULL) {
        await_disabled(session);
        return;
    }
    if (tsch_decode_hresult(answer->stub, answer->stub_size, &hresult, &err) != 0) {
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
        return;
    }
    if (hresult_kind(hresult) != HRESULT_OK) {
        schedule_call_failed(session, hresult, call_words(CALL_DISABLE));
        return;
    }
    session->target->uncertain = false;
    cleaned(session, "the task is disabled and stays as a mark");
}

static void call_faulted(struct session *session, const struct rpc_answer *answer)
{
    struct schedule_state *schedule = session->schedule;
    const char *what = call_words(schedule->call);
    const char *name = rpc_fault_name(answer->status);
    enum reason reason = fault_reason(answer->status);
    if (schedule->call == CALL_REGISTER) {
        if (!answer->did_not_execute && reason != REASON_ACCESS_DENIED) {
            schedule_note(schedule, reason, CODE_RPC, answer->status, what, name);
            schedule->looking = LOOKING_FAILED;
            schedule_call_make(session, CALL_RETRIEVE);
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
        schedule_call_make(session, CALL_REGISTER);
    else if (hresult_kind(hresult) == HRESULT_EXISTS) /* somebody was faster; or it can't be read */
        schedule_call_make(session, CALL_FOLDER_SECURITY);
    else
        schedule_call_failed(session, hresult, call_words(CALL_FOLDER));
}

/* The folder's rights, asked for before it is made: from the second push on it is there, which
 * saves a call. Whatever says that they can't be had leads to making it, once. */
static void folder_looked_at(struct session *session, const struct rpc_answer *answer)
{
    struct schedule_state *schedule = session->schedule;
    struct buf ignored;
    uint32_t hresult = 0;
    buf_init(&ignored, SD_SDDL_SIZE_MAX);
    int status =
        tsch_decode_get_security(answer->stub, answer->stub_size, &ignored, &hresult, NULL);
    buf_release(&ignored);
    if (status == 0 && hresult_kind(hresult) != HRESULT_OK && !schedule->folder_asked) {
        schedule->folder_asked = true;
        schedule_call_make(session, CALL_FOLDER);
    } else if (security_checked(session, answer, SD_TASK_FOLDER, "the task folder " TASK_FOLDER)) {
        schedule_call_make(session, CALL_REGISTER);
    }
}

void schedule_call_answered(struct session *session)
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
        folder_looked_at(session, &answer);
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
    case CALL_TASK_INFO:
        await_info(session, &answer);
        return;
    case CALL_LAST_RUN:
        await_last_run(session, &answer);
        return;
    case CALL_DISABLE:
        disabled(session, &answer);
        return;
    }
}
