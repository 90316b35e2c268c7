/* One TCP connection to one target, with the SMB engine on it, and the stage that runs over it.
 *
 * Stages 3 to 6 share the connection. Each is a struct stage_steps: `start` when the connection is
 * up (logged on, name checked, C$ connected), `reply` for every answer, `lost` when the connection
 * or a deadline is gone. A connection that broke between or inside stages is brought up again by
 * access.c's steps before the stage starts (again).
 *
 * Every wait has a deadline: `idle_ms` from the last answer, `total_ms` from the start of the stage
 * (budget.h for those that move bytes); but for a connection that waits for its logon to be allowed
 * (`held`), which the caller watches over. It has sent NEGOTIATE alone and is closed at the next
 * sign of life, to be made again.
 */
#ifndef PUSHER_RELAY_STAGE_SESSION_H
#define PUSHER_RELAY_STAGE_SESSION_H

#include "relay/auth/auth.h"
#include "relay/rpc/rpc.h"
#include "relay/smb/smb.h"
#include "relay/stage/dial.h"
#include "relay/stage/runner.h"

struct session;

/* Why a connection or a wait ended. */
struct session_loss {
    enum reason reason;
    enum code_kind kind;
    uint32_t code;
    bool again; /* another try may do better */
    char text[LIMIT_DETAIL_SIZE];
};

struct stage_steps {
    void (*start)(struct session *session);
    void (*reply)(struct session *session, const struct smb_reply *reply);
    void (*room)(struct session *session); /* more may be written; NULL: nothing to write */
    void (*lost)(struct session *session,
                 const struct session_loss *loss); /* NULL: again or fail */
    void (*release)(struct session *session);      /* frees what the stage holds; NULL: nothing */
    uint32_t idle_ms;                              /* longest wait for an answer */
    uint32_t total_ms;                             /* longest stage; 0: see budget.h */
    uint32_t tries_max;                            /* connections, in all */
};

extern const struct stage_steps access_steps;
extern const struct stage_steps path_steps;
extern const struct stage_steps copy_steps;
extern const struct stage_steps cleanup_steps; /* instead of copying, for JOB_CLEANUP */
extern const struct stage_steps schedule_steps;

#define PATH_STALE_MAX 8        /* temporary files of crashes that one push sweeps */
#define PATH_STALE_NAME_SIZE 64 /* ".pusher-<32 digits>-<number>.tmp" and a NUL */

struct path_state {
    struct smb_file file;
    uint32_t waiting;   /* answers still out before the next step */
    bool replaced;      /* the unsafe one was renamed aside already */
    enum reason reason; /* what is wrong with the present one; REASON_NONE: nothing */
    uint32_t code;      /* NTSTATUS that said so, 0 if none */
    uint32_t failed;    /* NTSTATUS of a question that was refused, 0 if none */
    uint32_t stale_count;
    char stale[PATH_STALE_MAX][PATH_STALE_NAME_SIZE];
    char why[LIMIT_DETAIL_SIZE];
};

struct copy_state;     /* copy.c */
struct schedule_state; /* schedule.c */
struct cleanup_state;  /* cleanup.c */

struct session {
    struct session *previous, *next; /* in the runner's list */
    struct stage_runner *runner;
    struct stage_target *target; /* NULL: dropped, logging off */
    struct stage_job *job;       /* kept until closed */
    const struct stage_steps *steps;
    struct smb_conn *conn;                     /* NULL until connected */
    int fd;                                    /* -1 when closed */
    bool connected;                            /* TCP is up */
    bool heard;                                /* at least one byte came */
    bool up;                                   /* C$ is connected */
    bool closed;                               /* nothing may be done with it any more */
    bool writable_wanted;                      /* the poll waits for room in the socket */
    struct dial *dial;                         /* while connecting */
    uv_poll_t *poll;                           /* of fd; freed by its close callback */
    uv_timer_t timer;                          /* closed last: its callback frees the session */
    uint64_t stage_deadline_ms;                /* 0: none */
    void (*on_timer)(struct session *session); /* what the armed timer means */
    void (*on_pause)(struct session *session); /* what a pause ends with */
    uint32_t generation;                       /* of the tags on this connection, in each of them */
    uint64_t negotiated_ms;                    /* loop time of server.system_time; 0: not yet */
    uint32_t tree;                             /* C$ */
    struct path_state path;                    /* while that stage runs */
    struct copy_state *copy;                   /* while that stage runs */
    struct schedule_state *schedule;           /* while that stage runs */
    struct cleanup_state *cleanup;             /* while that stage runs */
};

/* Starts stage 3, 4, 5 or 6 of the target. ACCESS always makes a new connection. */
void session_stage_begin(struct stage_target *target);
/* The target is held no longer: its logon goes on, if need be on a new connection. */
void session_logon(struct stage_target *target);
/* The target is dropped: logs off and closes in the background. */
void session_end(struct stage_target *target);
/* Closes every connection at once. */
void sessions_abandon(struct stage_runner *runner);

/* For access.c: the connection is usable; goes on with the target's stage. */
void session_up(struct session *session);
/* For steps: the tag of a request; answers to an earlier stage's requests are not handed on. */
uint64_t session_tag(const struct session *session, uint32_t step);
/* For steps that begin anew within a stage: answers that are still out are not handed on either. */
void session_tags_new(struct session *session);
/* The step of an answer's tag. */
uint32_t session_step(uint64_t tag);
/* For steps: calls `action` after a pause instead of waiting for an answer. */
void session_pause(struct session *session, uint32_t ms, void (*action)(struct session *session));
/* For steps: the stage ends; nothing of it stays. */
void session_pass(struct session *session, const char *detail);
void session_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Ends the stage with a verdict of any kind; as target_end. */
void session_finish(struct session *session, const struct stage_result *result, uint8_t *output);
/* The same for `lost` of a stage that knows its result already: the connection is closed. */
void session_finish_lost(struct session *session, const struct stage_result *result,
                         uint8_t *output);
/* An answer with an error status: reason from the status map, detail "WHAT: NAME". */
void session_fail_status(struct session *session, uint32_t status, const char *what);
/* A request could not be queued: our own limit or bug. Takes the connection down. */
void session_fail_request(struct session *session, const struct err *err);
/* For `lost` of a stage: tries again on a new connection when that may help, else fails. */
void session_lost_default(struct session *session, const struct session_loss *loss);

#endif
