/* Private mode: an own coordinator and relay for as long as commands need them.
 *
 * private_open starts (or joins) the daemons and waits until the coordinator's control socket
 * takes connections; while the loop runs, both are watched and started again when they die, and
 * taken over when another command that supervised them ends. private_close ends what is ours.
 * Layout and rules: docs/ARCHITECTURE.md.
 */
#ifndef PUSHER_CLI_PRIVATE_H
#define PUSHER_CLI_PRIVATE_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/err.h"
#include "coordinator/cli/paths.h"

struct private_mode;

struct private_config {
    uv_loop_t *loop;
    const struct state_paths *paths; /* borrowed until private_close */
    bool with_relay;                 /* false: only looking */
    /* A sentence about a daemon that ended or was taken over. */
    void (*said)(void *context, const char *text);
    /* Asked while waiting, as control_config.check. */
    int (*check)(void *context, struct err *err);
    void *context;
};

/* Errors: ERR_NOT_FOUND (a program is missing), ERR_UNAVAILABLE (a daemon does not start; the end
 * of its log is in the text), ERR_DENIED, ERR_IO. */
int private_open(struct private_mode **out, const struct private_config *config, struct err *err);
/* "ipc://..." of the control socket. */
const char *private_endpoint(const struct private_mode *mode);
/* From now on the relay is needed too. */
void private_need_relay(struct private_mode *mode);
/* -1 once a daemon can't be kept running. */
int private_check(const struct private_mode *mode, struct err *err);
/* Ends our daemons: SIGTERM, relay_ms for the relay and as much for the coordinator, then SIGKILL.
 * `hurry` is looked at while waiting: true kills at once. NULL is fine. */
void private_close(struct private_mode *mode, unsigned wait_ms, const bool *hurry);

#endif
