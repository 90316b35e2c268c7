/* A ZeroMQ socket on a libuv loop.
 *
 * ZMQ_FD is edge-triggered in disguise: it tells of changes, not of waiting messages, and a send or
 * a receive can swallow the edge (a loop that took one message per wake-up got 1 of 1,000). So a
 * wake-up takes messages until ZMQ_EVENTS says that there are none, at most WATCH_TURNS_MAX at a
 * time to be fair to others on the loop; what is left, and what a send may have hidden, is looked
 * at in the loop's next round through an idle handle.
 */
#ifndef PUSHER_NET_WATCH_H
#define PUSHER_NET_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/err.h"

#define WATCH_TURNS_MAX 64

struct watch {
    uv_poll_t poll;                /* on ZMQ_FD */
    uv_idle_t idle;                /* running while there may be more */
    void *socket;                  /* libzmq socket, borrowed */
    bool (*turn)(void *context);   /* takes one message; false when there was none */
    void (*closed)(void *context); /* both handles are closed */
    void *context;
    bool closing;
    int handles_open;
};

/* Starts watching; the struct must stay until `closed` was called. `turn` may call watch_close.
 * Errors: ERR_IO; then there is nothing to close. */
int watch_start(struct watch *watch, uv_loop_t *loop, void *socket, bool (*turn)(void *context),
                void *context, struct err *err);
/* Looks again soon: after every send. */
void watch_kick(struct watch *watch);
/* Stops at once, so that the socket may be closed; calls `closed` from the loop. */
void watch_close(struct watch *watch, void (*closed)(void *context));
/* Lets the loop end although this is watched. */
void watch_unref(struct watch *watch);

#endif
