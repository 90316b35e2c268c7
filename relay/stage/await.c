/* Stage 6 told to wait: has the task run, and how did its package end?
 *
 * The Task Scheduler is asked first: whether the task runs now, then whether it has run and with
 * which result, in this order, so that a start in between shows as one. Only when it has run and
 * doesn't run any more are the script's files read: its exit code, and the last of what it printed.
 * The two must agree; what else is believed stands in docs/adr/0008-waiting.md.
 *
 * Then the files go: the output and, with `cleanup`, the package first, then the task is disabled,
 * and last the script and its exit code. A look that breaks on the way still tells the result. When
 * the relay dies on the way, the next look finds the exit code still there; or, once it is gone, a
 * disabled task, which says that an earlier look found the two agreeing: the scheduler's result
 * then counts alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/pkg/wrapper.h"
#include "relay/stage/schedule.h"
#include "relay/stage/sweep.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/tsch.h"

#define END_BYTES 32U             /* of the file with the exit code that are read */
#define END_GRACE_S 15            /* a start at the last moment has shown by then */
#define EXIT_INSTALLER_BUSY 1618U /* ERROR_INSTALL_ALREADY_RUNNING */
#define SWEEP_BEFORE_DISABLING 2U /* output and package */

enum await_step {
    AWAIT_END_OPEN = AWAIT_STEP,
    AWAIT_END_READ,
    AWAIT_OUTPUT_OPEN,
    AWAIT_OUTPUT_READ,
    AWAIT_CLOSED, /* a file was closed; nobody waits for it */
};

struct await_state {
    bool enabled;        /* the task is */
    uint32_t task_state; /* TSCH_STATE_ */
    uint32_t code;       /* the scheduler's result */
    bool has_end;        /* the script wrote its exit code: */
    uint32_t end;
    struct smb_file file; /* being read */
    uint8_t *output;      /* owned */
    size_t output_size;   /* bytes wanted, then bytes there */
    size_t output_read;
    uint64_t output_start; /* offset of the first one */
    char note[96];         /* about the output */
    bool decided;          /* the rest is clean-up; the outcome: */
    bool agreed;           /* the task may be disabled */
    struct stage_result result;
    struct sweep sweep;
};

struct await_state *await_new(void)
{
    return mem_new(1, sizeof(struct await_state));
}

void await_free(struct await_state *await)
{
    if (await == NULL)
        return;
    sweep_release(&await->sweep);
    free(await->output);
    free(await);
}

/* --- Ending --- */

/* The result, with what stays on the machine added to its sentence. */
static void result_complete(struct session *session, const char *why)
{
    struct await_state *await = session->schedule->await;
    struct stage_result *result = &await->result;
    char rest[LIMIT_DETAIL_SIZE];
    size_t used = strlen(result->detail);
    (void)sweep_rest_text(&await->sweep, rest, sizeof rest);
    if (rest[0] != '\0')
        (void)snprintf(result->detail + used, sizeof result->detail - used, "; %s", rest);
    used = strlen(result->detail);
    if (why[0] != '\0')
        (void)snprintf(result->detail + used, sizeof result->detail - used,
                       "; not all was cleaned up: %s", why);
    result->output_size = await->output_size;
    session->target->uncertain = false;
}

static uint8_t *output_take(struct await_state *await)
{
    uint8_t *output = await->output;
    await->output = NULL;
    return output;
}

static void await_over(struct session *session, const char *why)
{
    struct stage_result result;
    result_complete(session, why);
    result = session->schedule->await->result;
    schedule_finish(session, &result, output_take(session->schedule->await));
}

static void swept(struct session *session)
{
    await_over(session, "");
}

void await_disabled(struct session *session)
{
    sweep_run(session, &session->schedule->await->sweep, SWEEP_FILES_MAX, swept);
}

static void swept_output(struct session *session)
{
    if (session->schedule->await->agreed)
        schedule_call_make(session, CALL_DISABLE);
    else
        await_disabled(session);
}

bool await_decided(const struct session *session)
{
    return session->schedule->await != NULL && session->schedule->await->decided;
}

bool await_failed(struct session *session, const char *why)
{
    if (!await_decided(session))
        return false;
    await_over(session, why);
    return true;
}

bool await_lost(struct session *session, const char *why)
{
    struct await_state *await = session->schedule->await;
    if (!await->decided)
        return false;
    result_complete(session, why);
    struct stage_result result = await->result;
    session_finish_lost(session, &result, output_take(await));
    return true;
}

/* Not ended yet. */
static void still_waiting(struct session *session, enum reason reason, int64_t start_unix_s,
                          const char *detail)
{
    struct stage_result result = {.verdict = STAGE_WAITING, .reason = reason};
    int64_t wait_s = start_unix_s - schedule_target_now_s(session);
    if (wait_s > 0)
        result.starts_in_ms = wait_s < UINT32_MAX / 1000 ? (uint32_t)(wait_s * 1000) : UINT32_MAX;
    (void)snprintf(result.detail, sizeof result.detail, "%s", detail);
    session->target->uncertain = false;
    schedule_finish(session, &result, NULL);
}

/* The outcome is known; what is left is clean-up. */
static void decide(struct session *session, bool agreed)
{
    struct await_state *await = session->schedule->await;
    const struct job *job = &session->job->job;
    char name[WRAPPER_NAME_SIZE];
    await->decided = true;
    await->agreed = agreed;
    sweep_add(&await->sweep, wrapper_name(&job->push, job->generation, WRAPPER_OUTPUT, name),
              false);
    if (job->cleanup)
        sweep_add(&await->sweep, job->package_name, true);
    sweep_add(&await->sweep, wrapper_name(&job->push, job->generation, WRAPPER_SCRIPT, name),
              false);
    sweep_add(&await->sweep, wrapper_name(&job->push, job->generation, WRAPPER_END, name), false);
    sweep_run(session, &await->sweep, job->cleanup ? SWEEP_BEFORE_DISABLING : 1, swept_output);
}

/* --- What it came to --- */

static char *code_text(uint32_t code, char text[16])
{
    (void)snprintf(text, 16, code < 0x80000000U ? "%" PRIu32 : "0x%08" PRIX32, code);
    return text;
}

static bool in_success_set(const struct job *job, uint32_t code)
{
    for (uint32_t i = 0; i < job->success_code_count; i++)
        if (job->success_codes[i] == code)
            return true;
    return job->success_code_count == 0 && code == 0;
}

static void ended_with(struct session *session, uint32_t code)
{
    struct await_state *await = session->schedule->await;
    struct stage_result *result = &await->result;
    char text[16];
    result->verdict = STAGE_FAILED;
    result->reason = code == EXIT_INSTALLER_BUSY ? REASON_INSTALLER_BUSY : REASON_EXIT_CODE;
    if (in_success_set(&session->job->job, code)) {
        result->verdict = STAGE_PASSED;
        result->reason = REASON_NONE;
    }
    result->code_kind = CODE_EXIT;
    result->code = result->exit_code = code;
    result->has_exit_code = true;
    (void)snprintf(result->detail, sizeof result->detail, "ended with %s%s%s",
                   code_text(code, text), await->note[0] != '\0' ? "; " : "", await->note);
    decide(session, true);
}

static void ended_badly(struct session *session, enum reason reason, enum code_kind kind,
                        uint32_t code, const char *detail)
{
    struct stage_result *result = &session->schedule->await->result;
    result->verdict = STAGE_FAILED;
    result->reason = reason;
    result->code_kind = kind;
    result->code = code;
    (void)snprintf(result->detail, sizeof result->detail, "%s", detail);
    decide(session, false);
}

/* A result that the scheduler itself made up because nothing could be started: HRESULTs of its own
 * and of Win32. */
static bool is_start_failure(uint32_t code)
{
    uint32_t facility = code & 0xFFFF0000U;
    return facility == 0x80070000U || facility == 0x80040000U;
}

/* The script left no exit code: the scheduler's result says what kind of end it was. */
static void ended_without_word(struct session *session)
{
    struct await_state *await = session->schedule->await;
    char detail[LIMIT_DETAIL_SIZE];
    char text[16];
    const char *name = hresult_name(await->code);
    if (await->code == HRESULT_SCHED_S_TASK_TERMINATED) {
        (void)snprintf(detail, sizeof detail,
                       "ended by the Task Scheduler: after its limit of %" PRIu32
                       " s, or by somebody at the machine",
                       session->job->job.run_timeout_s);
        ended_badly(session, REASON_RUN_TIMEOUT, CODE_HRESULT, await->code, detail);
    } else if (!await->enabled) { /* an earlier look, which cleaned up, found them agreeing */
        ended_with(session, await->code);
    } else if (is_start_failure(await->code)) {
        (void)snprintf(detail, sizeof detail, "the Task Scheduler could not start it: %s %s", name,
                       hresult_text(await->code));
        ended_badly(session, REASON_NOT_STARTED, CODE_HRESULT, await->code, detail);
    } else {
        (void)snprintf(detail, sizeof detail,
                       "the script left no exit code, the Task Scheduler says %s: the machine "
                       "restarted, somebody ended it, or it could not run",
                       code_text(await->code, text));
        ended_badly(session, REASON_EXIT_CODE, CODE_EXIT, await->code, detail);
    }
}

static void files_read(struct session *session)
{
    struct await_state *await = session->schedule->await;
    char detail[LIMIT_DETAIL_SIZE];
    char script[16];
    char scheduler[16];
    if (!await->has_end) {
        ended_without_word(session);
    } else if (await->end == await->code) {
        ended_with(session, await->end);
    } else {
        (void)snprintf(detail, sizeof detail,
                       "the script says it ended with %s, the Task Scheduler says %s",
                       code_text(await->end, script), code_text(await->code, scheduler));
        await->result.has_exit_code = true;
        await->result.exit_code = await->end;
        ended_badly(session, REASON_EXIT_CODE, CODE_EXIT, await->end, detail);
    }
}

/* --- The script's files --- */

static void file_open(struct session *session, enum wrapper_file file, enum await_step step)
{
    const struct job *job = &session->job->job;
    struct err err;
    char name[WRAPPER_NAME_SIZE];
    char path[SMB_PATH_SIZE_MAX];
    (void)snprintf(path, sizeof path, STAGE_FOLDER "\\%s",
                   wrapper_name(&job->push, job->generation, file, name));
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN,
        .options = SMB_OPTION_NON_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
    };
    if (smb_create(session->conn, session_tag(session, step), session->tree, &request, &err) != 0)
        session_fail_request(session, &err);
}

/* False when the request could not be queued, and the stage is over. */
static bool file_close(struct session *session)
{
    struct err err;
    if (smb_close(session->conn, session_tag(session, AWAIT_CLOSED), session->schedule->await->file,
                  &err) == 0)
        return true;
    session_fail_request(session, &err);
    return false;
}

static void file_read(struct session *session, enum await_step step, uint64_t offset, size_t size)
{
    struct err err;
    uint32_t most = smb_conn_server(session->conn)->read_size_max;
    if (smb_read(session->conn, session_tag(session, step), session->schedule->await->file, offset,
                 size < most ? (uint32_t)size : most, &err) != 0)
        session_fail_request(session, &err);
}

static bool is_missing(uint32_t status)
{
    return status == NTSTATUS_OBJECT_NAME_NOT_FOUND || status == NTSTATUS_OBJECT_PATH_NOT_FOUND ||
           status == NTSTATUS_DELETE_PENDING;
}

static void end_opened(struct session *session, const struct smb_reply *reply)
{
    struct await_state *await = session->schedule->await;
    if (is_missing(reply->status)) {
        file_open(session, WRAPPER_OUTPUT, AWAIT_OUTPUT_OPEN);
        return;
    }
    if (ntstatus_is_error(reply->status)) {
        schedule_fail_copy(session, reply->status, "open the file with the exit code");
        return;
    }
    await->file = reply->file;
    file_read(session, AWAIT_END_READ, 0, END_BYTES);
}

static void end_read(struct session *session, const struct smb_reply *reply)
{
    struct await_state *await = session->schedule->await;
    if (ntstatus_is_error(reply->status) && reply->status != NTSTATUS_END_OF_FILE) {
        schedule_fail_copy(session, reply->status, "read the file with the exit code");
        return;
    }
    if (!ntstatus_is_error(reply->status))
        await->has_end = wrapper_end_read(reply->data, reply->data_size, &await->end);
    if (file_close(session))
        file_open(session, WRAPPER_OUTPUT, AWAIT_OUTPUT_OPEN);
}

static void output_ended(struct session *session)
{
    struct await_state *await = session->schedule->await;
    await->output_size = await->output_read;
    if (file_close(session))
        files_read(session);
}

static void output_opened(struct session *session, const struct smb_reply *reply)
{
    struct await_state *await = session->schedule->await;
    if (ntstatus_is_error(reply->status)) {
        const char *name = ntstatus_name(reply->status);
        (void)snprintf(await->note, sizeof await->note, "its output cannot be read (%s)",
                       name != NULL ? name : "unknown status");
        files_read(session);
        return;
    }
    await->file = reply->file;
    uint64_t size = reply->info.size;
    await->output_size = size < LIMIT_OUTPUT_BYTES ? (size_t)size : LIMIT_OUTPUT_BYTES;
    await->output_start = size - await->output_size;
    if (await->output_start > 0)
        (void)snprintf(await->note, sizeof await->note,
                       "printed %" PRIu64 " bytes, the last %u are kept", size, LIMIT_OUTPUT_BYTES);
    if (await->output_size == 0) {
        output_ended(session);
        return;
    }
    await->output = mem_new(1, await->output_size);
    file_read(session, AWAIT_OUTPUT_READ, await->output_start, await->output_size);
}

static void output_was_read(struct session *session, const struct smb_reply *reply)
{
    struct await_state *await = session->schedule->await;
    size_t left = await->output_size - await->output_read;
    bool failed = ntstatus_is_error(reply->status);
    if (failed && reply->status != NTSTATUS_END_OF_FILE) {
        const char *name = ntstatus_name(reply->status);
        (void)snprintf(await->note, sizeof await->note, "its output cannot be read (%s)",
                       name != NULL ? name : "unknown status");
    }
    if (failed || reply->data_size == 0 || reply->data_size > left) {
        output_ended(session);
        return;
    }
    memcpy(await->output + await->output_read, reply->data, reply->data_size);
    await->output_read += reply->data_size;
    if (await->output_read < await->output_size)
        file_read(session, AWAIT_OUTPUT_READ, await->output_start + await->output_read,
                  await->output_size - await->output_read);
    else
        output_ended(session);
}

void await_reply(struct session *session, const struct smb_reply *reply)
{
    struct await_state *await = session->schedule->await;
    if (session_step(reply->tag) >= SWEEP_STEP) {
        sweep_reply(session, &await->sweep, reply);
        return;
    }
    switch ((enum await_step)session_step(reply->tag)) {
    case AWAIT_END_OPEN:
        end_opened(session, reply);
        return;
    case AWAIT_END_READ:
        end_read(session, reply);
        return;
    case AWAIT_OUTPUT_OPEN:
        output_opened(session, reply);
        return;
    case AWAIT_OUTPUT_READ:
        output_was_read(session, reply);
        return;
    case AWAIT_CLOSED:
        return;
    }
}

/* --- The Task Scheduler's answers --- */

void await_found(struct session *session)
{
    schedule_call_make(session, CALL_TASK_INFO);
}

void await_info(struct session *session, const struct rpc_answer *answer)
{
    struct await_state *await = session->schedule->await;
    uint32_t hresult = 0;
    struct err err;
    if (tsch_decode_get_task_info(answer->stub, answer->stub_size, &await->enabled,
                                  &await->task_state, &hresult, &err) != 0)
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
    else if (hresult_kind(hresult) != HRESULT_OK)
        schedule_call_failed(session, hresult, "ask whether the task runs");
    else
        schedule_call_make(session, CALL_LAST_RUN);
}

/* It has not run, or could not be started: will it still? */
static void not_started(struct session *session, const char *why, enum code_kind kind,
                        uint32_t code)
{
    const struct schedule_state *schedule = session->schedule;
    char detail[LIMIT_DETAIL_SIZE];
    int64_t start = 0;
    int64_t end = session->job->job.end_unix_s;
    bool utc = true;
    if (boundary_parse(schedule->seen_end, &end, &utc) == 0 && !utc)
        end += STARTTIME_ZONE_WEST_S;
    if (boundary_parse(schedule->seen_start, &start, &utc) == 0)
        start = start_plan_earliest(start, utc);
    if (schedule_target_now_s(session) > end + END_GRACE_S) {
        (void)snprintf(detail, sizeof detail, "%s, and may not start after %s", why,
                       schedule->seen_end);
        ended_badly(session, REASON_NOT_STARTED, kind, code, detail);
        return;
    }
    (void)snprintf(detail, sizeof detail, "%s; it may start from %s to %s by the target's clock",
                   why, schedule->seen_start, schedule->seen_end);
    still_waiting(session, REASON_NOT_STARTED, start, detail);
}

void await_last_run(struct session *session, const struct rpc_answer *answer)
{
    struct await_state *await = session->schedule->await;
    struct tsch_time last;
    uint32_t hresult = 0;
    struct err err;
    if (tsch_decode_get_last_run_info(answer->stub, answer->stub_size, &last, &await->code,
                                      &hresult, &err) != 0) {
        schedule_fail(session, REASON_PROTOCOL_ERROR, CODE_NONE, 0, err.text, "");
        return;
    }
    if (hresult_kind(hresult) != HRESULT_OK) {
        schedule_call_failed(session, hresult, "ask how the task ended");
        return;
    }
    bool ran = hresult != HRESULT_SCHED_S_TASK_HAS_NOT_RUN && last.year != 0 &&
               await->code != HRESULT_SCHED_S_TASK_HAS_NOT_RUN;
    if (await->task_state == TSCH_STATE_RUNNING ||
        (ran && await->code == HRESULT_SCHED_S_TASK_RUNNING))
        still_waiting(session, REASON_RUN_TIMEOUT, 0, "it runs");
    else if (await->task_state == TSCH_STATE_QUEUED)
        still_waiting(session, REASON_NOT_STARTED, 0, "it is about to start");
    else if (!ran)
        not_started(session, await->enabled ? "it has not started" : "somebody disabled the task",
                    CODE_NONE, 0);
    else if (await->code == HRESULT_REQUEST_REFUSED)
        not_started(session,
                    "a condition of the machine, or nobody logged on, kept it from starting",
                    CODE_HRESULT, await->code);
    else
        file_open(session, WRAPPER_END, AWAIT_END_OPEN);
}
