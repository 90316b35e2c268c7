/* Inside of stage 6: what schedule.c (connection, pipe, steps) and schedule_call.c (the scheduler's
 * calls and what their answers mean) share. */
#ifndef PUSHER_RELAY_STAGE_SCHEDULE_H
#define PUSHER_RELAY_STAGE_SCHEDULE_H

#include "relay/rpc/rpc.h"
#include "relay/stage/session.h"
#include "relay/stage/starttime.h"
#include "relay/tsch/task.h"

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

/* schedule.c: end the stage, closing the pipe. `name` adds ": NAME" to the sentence when not "". */
void schedule_pass(struct session *session, const char *detail);
void schedule_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                   const char *what, const char *name);
/* schedule.c: does what the RPC client wants next. */
void schedule_pump(struct session *session);
/* schedule.c: remembers a failure that doesn't tell whether the task was registered. */
void schedule_note(struct schedule_state *schedule, enum reason reason, enum code_kind kind,
                   uint32_t code, const char *what, const char *name);

/* schedule_call.c: the first call on a pipe that is bound. */
void schedule_call_first(struct session *session);
/* schedule_call.c: the client has an answer. */
void schedule_call_answered(struct session *session);

#endif
