/* Inside of stage 6: what schedule.c (connection, pipe, steps), schedule_call.c (the scheduler's
 * calls and what their answers mean), wrapfile.c (the script of a job that is waited for) and
 * await.c (whether it has ended) share. */
#ifndef PUSHER_RELAY_STAGE_SCHEDULE_H
#define PUSHER_RELAY_STAGE_SCHEDULE_H

#include "relay/rpc/rpc.h"
#include "relay/stage/session.h"
#include "relay/stage/starttime.h"
#include "relay/tsch/task.h"

enum schedule_call {
    CALL_FOLDER,          /* SchRpcCreateFolder \Pusher */
    CALL_FOLDER_SECURITY, /* SchRpcGetSecurity of it: comes first, and again when it was there */
    CALL_REGISTER,        /* SchRpcRegisterTask */
    CALL_RETRIEVE,        /* SchRpcRetrieveTask: is there a task, and is it ours? */
    CALL_TASK_SECURITY,   /* SchRpcGetSecurity of it */
    CALL_TASK_INFO,       /* SchRpcGetTaskInfo: does it run now? */
    CALL_LAST_RUN,        /* SchRpcGetLastRunInfo: has it run, and how did it end? */
    CALL_DISABLE,         /* SchRpcEnableTask(false) */
};

/* Steps of answers on C$: which file they are for. SWEEP_STEP is the next: for await.c's files when
 * there is an `await`, else for wrapfile.c's. */
#define WRAP_STEP 0x10U
#define AWAIT_STEP 0x20U

/* Why a task is being looked for. */
enum looking {
    LOOKING_NOT,
    LOOKING_BACK,   /* an earlier session may have registered it */
    LOOKING_EXISTS, /* the scheduler says that it exists */
    LOOKING_FAILED, /* our call was answered in a way that doesn't tell */
    LOOKING_LOST,   /* the pipe broke before the answer to our call */
};

struct await_state; /* await.c */
struct wrap_undo;   /* wrapfile.c */

struct schedule_state {
    uint32_t tree; /* IPC$ */
    struct smb_file pipe;
    bool pipe_open;
    uint32_t pipe_tries;
    struct auth_context *auth;
    struct rpc_client *rpc;
    enum schedule_call call; /* under way, or the first one after the bind */
    enum looking looking;
    bool folder_asked; /* CALL_FOLDER was made */
    bool submitted;    /* the registering call may be at the target */
    struct start_plan plan;
    char path[TASK_PATH_SIZE];
    char seen_start[TASK_TIME_SIZE]; /* of a task that was found */
    char seen_end[TASK_TIME_SIZE];
    uint32_t wrap_at; /* wrapfile.c: file in work, the open file, bytes of the script */
    struct smb_file wrap_file;
    size_t wrap_size;
    bool wrapped;              /* this session wrote files of the script, and no task runs it */
    struct wrap_undo *undo;    /* owned; the stage has failed, the script is being removed */
    struct await_state *await; /* owned; NULL: registers, or cleans up after another push */
    /* what to report when the task is not found after all (LOOKING_FAILED, LOOKING_LOST) */
    enum reason reason;
    enum code_kind kind;
    uint32_t code;
    char text[LIMIT_DETAIL_SIZE];
};

/* schedule.c: end the stage, closing the pipe. `name` adds ": NAME" to the sentence when not "". */
void schedule_pass(struct session *session, const char *detail);
void schedule_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                   const char *what, const char *name);
/* schedule.c: a status on C$; the reason is the one that it has for a copied file. */
void schedule_fail_copy(struct session *session, uint32_t status, const char *what);
/* schedule.c: ends the stage with a verdict of any kind; as target_end. */
void schedule_finish(struct session *session, const struct stage_result *result, uint8_t *output);
/* schedule.c: the target's clock, as well as we know it. */
int64_t schedule_target_now_s(const struct session *session);
/* schedule.c: does what the RPC client wants next. */
void schedule_pump(struct session *session);
/* schedule.c: remembers a failure that doesn't tell whether the task was registered. */
void schedule_note(struct schedule_state *schedule, enum reason reason, enum code_kind kind,
                   uint32_t code, const char *what, const char *name);

/* schedule_call.c: the first call on a pipe that is bound. */
void schedule_call_first(struct session *session);
/* schedule_call.c: makes a call. */
void schedule_call_make(struct session *session, enum schedule_call call);
/* schedule_call.c: the client has an answer. */
void schedule_call_answered(struct session *session);
/* schedule_call.c: ends the stage as an HRESULT says. */
void schedule_call_failed(struct session *session, uint32_t hresult, const char *what);

/* wrapfile.c: writes the script, then goes on with CALL_FOLDER_SECURITY. */
void wrap_begin(struct session *session);
void wrap_reply(struct session *session, const struct smb_reply *reply);
/* wrapfile.c: the stage fails: removes the script first, when this session wrote it and it is
 * certain that no task runs it. False, doing nothing, in all other cases. */
bool wrap_undo(struct session *session, const struct stage_result *failure);
void wrap_undo_reply(struct session *session, const struct smb_reply *reply);
/* wrapfile.c: the connection broke. False when nothing was being removed. */
bool wrap_undo_lost(struct session *session);
void wrap_undo_free(struct wrap_undo *undo);

/* await.c: the task is there and ours: looks whether it has ended, and ends the stage. */
struct await_state *await_new(void);
void await_free(struct await_state *await);
void await_found(struct session *session);
/* await.c: answers to its own calls, and on C$. */
void await_info(struct session *session, const struct rpc_answer *answer);
void await_last_run(struct session *session, const struct rpc_answer *answer);
void await_disabled(struct session *session);
void await_reply(struct session *session, const struct smb_reply *reply);
/* await.c: the connection broke. False when nothing is known yet. */
bool await_lost(struct session *session, const char *why);
/* await.c: a call failed. False when nothing is known yet. */
bool await_failed(struct session *session, const char *why);
/* await.c: the outcome is known, the rest is clean-up. */
bool await_decided(const struct session *session);

#endif
