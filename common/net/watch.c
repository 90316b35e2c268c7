/* ZeroMQ sockets on a libuv loop. */
#include "common/net/watch.h"

#include <assert.h>
#include <string.h>
#include <zmq.h>

static bool readable(const struct watch *watch)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(watch->socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

static void on_idle(uv_idle_t *handle);

static void work(struct watch *watch)
{
    for (int turn = 0; turn < WATCH_TURNS_MAX && !watch->closing; turn++) {
        if (watch->turn(watch->context) || watch->closing)
            continue;
        if (!readable(watch)) {
            (void)uv_idle_stop(&watch->idle);
            return;
        }
    }
    if (!watch->closing)
        (void)uv_idle_start(&watch->idle, on_idle);
}

static void on_idle(uv_idle_t *handle)
{
    work(handle->data);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    work(handle->data);
}

int watch_start(struct watch *watch, uv_loop_t *loop, void *socket, bool (*turn)(void *context),
                void *context, struct err *err)
{
    int fd = -1;
    size_t size = sizeof fd;
    memset(watch, 0, sizeof *watch);
    watch->socket = socket;
    watch->turn = turn;
    watch->context = context;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0)
        return err_set_errno(err, zmq_errno(), "cannot watch a socket");
    int result = uv_poll_init(loop, &watch->poll, fd);
    if (result != 0)
        return err_set_errno(err, -result, "cannot watch a socket");
    (void)uv_idle_init(loop, &watch->idle);
    watch->poll.data = watch;
    watch->idle.data = watch;
    watch->handles_open = 2;
    result = uv_poll_start(&watch->poll, UV_READABLE, on_poll);
    assert(result == 0); /* the descriptor was good for uv_poll_init */
    watch_kick(watch);
    return 0;
}

void watch_kick(struct watch *watch)
{
    if (!watch->closing)
        (void)uv_idle_start(&watch->idle, on_idle);
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    if (--watch->handles_open == 0)
        watch->closed(watch->context);
}

void watch_close(struct watch *watch, void (*closed)(void *context))
{
    assert(!watch->closing);
    watch->closing = true;
    watch->closed = closed;
    uv_close((uv_handle_t *)&watch->idle, on_closed);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}

void watch_unref(struct watch *watch)
{
    uv_unref((uv_handle_t *)&watch->poll);
}
