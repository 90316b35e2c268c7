/* What every command that talks to a coordinator has: loop, signals, private daemons, control link.
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
    struct state_paths paths;
    uv_loop_t loop;
    uv_signal_t signals[3];    /* SIGINT, SIGTERM, SIGHUP */
    uv_timer_t pause;          /* session_wait's */
    bool paused;               /* ... still running */
    bool interrupted;          /* a signal came */
    bool hurry;                /* another one */
    bool stopping;             /* the first signal is being obeyed: calls go on */
    bool drawing;              /* a progress line is on the terminal: clear it before a note */
    struct private_mode *mode; /* owned */
    struct control *control;   /* owned */
};

/* Starts everything. with_relay false: only to look. Errors: as private_open and control_open;
 * ERR_TIMEOUT with interrupted set. On failure everything is ended. */
int session_open(struct session *session, const struct common_options *common, bool with_relay,
                 struct err *err);
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
