/* What every command that talks to a coordinator has: loop, signals, control link, and in private
 * mode the daemons.
 *
 * Which coordinator: --coordinator or PUSHER_COORDINATOR names one; without them the command starts
 * (or joins) a private one. session_call and everything else are the same over both.
 */
#ifndef PUSHER_CLI_SESSION_H
#define PUSHER_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "coordinator/cli/control.h"
#include "coordinator/cli/paths.h"
#include "coordinator/cli/private.h"
#include "coordinator/cli/say.h"

#define ANSWER_MS 30000U /* a coordinator that says nothing for so long is not there */

struct session {
    const struct common_options *common; /* borrowed */
    char endpoint[STATE_PATH_SIZE];      /* where the coordinator listens */
    struct state_paths paths;            /* private mode's */
    uv_loop_t loop;
    uv_signal_t signals[3];    /* SIGINT, SIGTERM, SIGHUP */
    uv_timer_t pause;          /* session_wait's */
    bool paused;               /* ... still running */
    bool interrupted;          /* a signal came */
    bool hurry;                /* another one */
    bool stopping;             /* the first signal is being obeyed: calls go on */
    bool drawing;              /* a progress line is on the terminal: clear it before a note */
    struct private_mode *mode; /* owned; NULL: a configured coordinator */
    struct control *control;   /* owned */
};

/* Connects to the configured coordinator, else starts everything private. with_relay false: only to
 * look. Errors: ERR_INVALID (PUSHER_COORDINATOR makes no sense), ERR_UNAVAILABLE (nobody listens),
 * ERR_DENIED (its socket is for others); as private_open and control_open; ERR_TIMEOUT with
 * interrupted set. On failure everything is ended. */
int session_open(struct session *session, const struct common_options *common, bool with_relay,
                 struct err *err);
/* For commands that make no sense without a configured coordinator. Errors: ERR_INVALID in private
 * mode, with what to do; as session_open. */
int session_open_coordinator(struct session *session, const struct common_options *common,
                             struct err *err);
/* Whether these options mean private mode. */
bool session_is_private(const struct common_options *common);
/* Ends daemons of ours (wait_ms each before SIGKILL) and frees all. */
void session_close(struct session *session, unsigned wait_ms);
/* Runs the loop for so long. Errors: as session_check. */
int session_wait(struct session *session, uint32_t ms, struct err *err);
/* -1 when interrupted (ERR_TIMEOUT) or when a daemon can't be kept running. */
int session_check(void *context, struct err *err);
/* Exit status for an error of a call: interruption first, then exit_of_err; says the error. */
int session_failed(const struct session *session, const struct err *err);
/* control_call with the usual patience. */
int session_call(struct session *session, struct message *request, enum message_kind expected,
                 struct message *answer, struct err *err);

#endif
