/* A TCP connection to one of several addresses: tried in order, each 250 ms after the one before or
 * as soon as that one failed, without giving those up that are under way; the first that answers is
 * kept. Used by session.c. Spec: RFC 8305 5.
 *
 * `done` is called once, maybe from inside dial_start, and never after dial_free. There is no
 * deadline here: the caller has one and calls dial_free.
 */
#ifndef PUSHER_RELAY_STAGE_DIAL_H
#define PUSHER_RELAY_STAGE_DIAL_H

#include <uv.h>

#include "relay/stage/address.h"

struct dial;

struct dial_end {
    int error;       /* 0, or the errno of the first address: the others are there in need only */
    uint8_t at;      /* number of the address that answered */
    int fd;          /* connected, the receiver's now; -1 on error */
    uv_poll_t *poll; /* of `fd`, waiting for reading and writing; the receiver's: to be closed with
                        a callback that frees it */
};

struct dial_config {
    uv_loop_t *loop;
    const union stage_address *addresses; /* borrowed until dial_free */
    uint8_t count;                        /* at least 1 */
    uint16_t port;
    void (*done)(void *context, const struct dial_end *end);
    void *context;
};

/* Nothing happens before dial_start. */
struct dial *dial_new(const struct dial_config *config);
/* May have called `done`, and so be gone, when it returns. */
void dial_start(struct dial *dial);
/* Gives up what is under way. Fine inside `done`; NULL is fine. */
void dial_free(struct dial *dial);

#endif
