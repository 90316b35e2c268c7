/* Racing connections. */
#include "relay/stage/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"

#define STAGGER_MS 250 /* RFC 8305 5: Connection Attempt Delay */

struct dial_attempt {
    struct dial *dial;
    int fd; /* -1: over */
    uv_poll_t *poll;
};

struct dial {
    struct dial_config config;
    uint8_t next;     /* address to be tried next */
    uint8_t open;     /* attempts under way */
    int error;        /* of the first address that failed, in order of the addresses */
    uint8_t error_at; /* which that is */
    uv_timer_t
        *timer; /* for the next attempt; NULL with one address; freed by its close callback */
    struct dial_attempt attempts[]; /* config.count of them */
};

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void attempt_close(struct dial_attempt *attempt)
{
    if (attempt->fd < 0)
        return;
    (void)uv_poll_stop(attempt->poll);
    uv_close((uv_handle_t *)attempt->poll, free_on_close);
    (void)close(attempt->fd);
    attempt->fd = -1;
    attempt->dial->open--;
}

static void note_error(struct dial *dial, uint8_t at, int error)
{
    if (dial->error != 0 && dial->error_at < at)
        return;
    dial->error = error;
    dial->error_at = at;
}

static void dial_on(struct dial *dial);

static void attempt_won(struct dial_attempt *attempt)
{
    struct dial *dial = attempt->dial;
    struct dial_end end = {
        .at = (uint8_t)(attempt - dial->attempts), .fd = attempt->fd, .poll = attempt->poll};
    attempt->fd = -1; /* the receiver's now */
    for (uint8_t i = 0; i < dial->next; i++)
        attempt_close(&dial->attempts[i]);
    if (dial->timer != NULL)
        (void)uv_timer_stop(dial->timer);
    dial->config.done(dial->config.context, &end);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct dial_attempt *attempt = poll->data;
    struct dial *dial = attempt->dial;
    int error = 0;
    socklen_t size = sizeof error;
    (void)status; /* an error of the socket is there to be asked for */
    (void)events;
    if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0) {
        attempt_won(attempt);
        return;
    }
    note_error(dial, (uint8_t)(attempt - dial->attempts), error);
    attempt_close(attempt);
    dial_on(dial);
}

/* 0 when under way, else errno. */
static int attempt_open(struct dial *dial, uint8_t at)
{
    struct dial_attempt *attempt = &dial->attempts[at];
    union stage_address to = dial->config.addresses[at];
    if (stage_address_is_v4(&to))
        to.v4.sin_port = htons(dial->config.port);
    else
        to.v6.sin6_port = htons(dial->config.port);
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = 0;
    if (connect(fd, &to.any, stage_address_size(&to)) != 0 && errno != EINPROGRESS)
        error = errno;
    if (error == 0) {
        attempt->poll = mem_new(1, sizeof *attempt->poll);
        error = -uv_poll_init(dial->config.loop, attempt->poll, fd);
        if (error != 0)
            free(attempt->poll);
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    attempt->poll->data = attempt;
    attempt->fd = fd;
    dial->open++;
    (void)uv_poll_start(attempt->poll, UV_READABLE | UV_WRITABLE, on_poll);
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    dial_on(timer->data);
}

/* The next address, or the end when there is none and nothing is under way. */
static void dial_on(struct dial *dial)
{
    uint8_t open = dial->open;
    while (dial->next < dial->config.count && dial->open == open) {
        uint8_t at = dial->next++;
        int error = attempt_open(dial, at);
        if (error != 0)
            note_error(dial, at, error);
    }
    if (dial->timer != NULL) {
        if (dial->next < dial->config.count)
            (void)uv_timer_start(dial->timer, on_timer, STAGGER_MS, 0);
        else
            (void)uv_timer_stop(dial->timer);
    }
    if (dial->open > 0)
        return;
    struct dial_end end = {.error = dial->error, .at = dial->error_at, .fd = -1};
    dial->config.done(dial->config.context, &end);
}

struct dial *dial_new(const struct dial_config *config)
{
    struct dial *dial = mem_new(1, sizeof *dial + config->count * sizeof(struct dial_attempt));
    assert(config->count > 0);
    dial->config = *config;
    for (uint8_t i = 0; i < config->count; i++)
        dial->attempts[i] = (struct dial_attempt){.dial = dial, .fd = -1};
    if (config->count > 1) {
        dial->timer = mem_new(1, sizeof *dial->timer);
        (void)uv_timer_init(config->loop, dial->timer);
        dial->timer->data = dial;
    }
    return dial;
}

void dial_start(struct dial *dial)
{
    dial_on(dial);
}

void dial_free(struct dial *dial)
{
    if (dial == NULL)
        return;
    for (uint8_t i = 0; i < dial->config.count; i++)
        attempt_close(&dial->attempts[i]);
    if (dial->timer != NULL) {
        (void)uv_timer_stop(dial->timer);
        uv_close((uv_handle_t *)dial->timer, free_on_close);
    }
    free(dial);
}
