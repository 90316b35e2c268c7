/* Requests to the coordinator over the control link, one at a time, from straight-line code.
 *
 * control_call runs the loop until the answer is there, so timers of others (the supervisor of the
 * private daemons, signals) go on meanwhile. The link may lose anything: a request is sent again
 * after a reconnect and after a silence; every request of the protocol may be repeated.
 */
#ifndef PUSHER_CLI_CONTROL_H
#define PUSHER_CLI_CONTROL_H

#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/model/message.h"

struct control;

struct control_config {
    uv_loop_t *loop;
    const char *endpoint; /* "ipc://PATH" */
    /* Asked on every turn while waiting: -1 with err ends the wait (Ctrl-C, a daemon that can't
     * start). May be NULL. */
    int (*check)(void *context, struct err *err);
    void *context;
};

/* Errors: ERR_INVALID, ERR_IO. */
int control_open(struct control **out, const struct control_config *config, struct err *err);
void control_close(struct control *control);

/* Sends and waits for the answer, whose kind is `expected`; the caller releases it. `request` is
 * borrowed; its number is set here. Errors: ERR_UNAVAILABLE when nobody answers for timeout_ms;
 * what MESSAGE_FAIL says; what check says; ERR_PROTOCOL for another kind. */
int control_call(struct control *control, struct message *request, enum message_kind expected,
                 struct message *answer, uint32_t timeout_ms, struct err *err);

/* Called for each row of a report, in order; the row is valid until it returns. */
typedef int control_row(void *context, const struct report_row *row, struct err *err);
/* Asks for a push's rows. When an answer breaks off in the middle it is asked for again and rows
 * that were handed out already are skipped. Errors: as control_call, and those of `row`. */
int control_report(struct control *control, const struct report_filter *filter, control_row *row,
                   void *context, struct push_summary *push, uint32_t timeout_ms, struct err *err);

#endif
