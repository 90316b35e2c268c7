/* Loop, signals, daemons, link. */
#include "coordinator/cli/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/net/link.h"
#include "common/trust/secret.h"

#define CONNECT_MS 5000U     /* a coordinator that starts again takes a moment */
#define CONNECT_LOOK_MS 100U /* ... with a look this often */

static void signalled(uv_signal_t *handle, int number)
{
    struct session *session = handle->data;
    (void)number;
    session->hurry = session->interrupted;
    session->interrupted = true;
}

static void daemon_said(void *context, const char *text)
{
    const struct session *session = context;
    if (session->drawing)
        (void)fputs("\r\x1b[K", stderr);
    say(session->common, "%s", text);
}

int session_check(void *context, struct err *err)
{
    const struct session *session = context;
    if (session->hurry || (session->interrupted && !session->stopping))
        return err_set_native(err, ERR_TIMEOUT, EINTR, "interrupted");
    return session->mode == NULL ? 0 : private_check(session->mode, err);
}

static void start_signals(struct session *session)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        (void)uv_signal_init(&session->loop, &session->signals[i]);
        session->signals[i].data = session;
        (void)uv_signal_start(&session->signals[i], signalled, numbers[i]);
        uv_unref((uv_handle_t *)&session->signals[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

bool session_is_private(const struct common_options *common)
{
    return *common_coordinator(common) == '\0';
}

/* 0: somebody listens on the Unix socket; else why not. */
static int knock(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    (void)text_copy(address.sun_path, sizeof address.sun_path, path);
    int errno_value =
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    (void)close(fd);
    return errno_value == EAGAIN ? 0 : errno_value; /* its backlog is full: it is there */
}

/* A link dials for ever and never says why: the socket itself tells at once. */
static int find_coordinator(struct session *session, struct err *err)
{
    const char *path = session->endpoint + strlen("ipc://");
    char shown[STATE_PATH_SIZE];
    (void)text_printable(shown, sizeof shown, path);
    for (uint32_t waited_ms = 0;; waited_ms += CONNECT_LOOK_MS) {
        int errno_value = knock(path);
        if (errno_value == 0)
            return 0;
        if (errno_value == EACCES || errno_value == EPERM)
            return err_set(err, ERR_DENIED,
                           "%s: this account may not talk to the coordinator: its socket is for "
                           "root and its group (a new group counts after the next log-in)",
                           shown);
        if (errno_value != ECONNREFUSED && errno_value != ENOENT)
            return err_set_errno(err, errno_value, "cannot reach the coordinator at %s", shown);
        if (waited_ms >= CONNECT_MS)
            return err_set(err, ERR_UNAVAILABLE,
                           "no coordinator answers at %s (%s): start pusher-coordinator there, or "
                           "correct --coordinator or PUSHER_COORDINATOR",
                           shown, errno_value == ENOENT ? "no such file" : "nobody listens");
        if (session_wait(session, CONNECT_LOOK_MS, err) != 0)
            return -1;
    }
}

static int open_private(struct session *session, bool with_relay, struct err *err)
{
    struct private_config config = {.loop = &session->loop,
                                    .paths = &session->paths,
                                    .with_relay = with_relay,
                                    .said = daemon_said,
                                    .check = session_check,
                                    .context = session};
    say_more(session->common, "state and the daemons' logs: %s", session->paths.root);
    if (private_open(&session->mode, &config, err) != 0)
        return -1;
    (void)text_copy(session->endpoint, sizeof session->endpoint, private_endpoint(session->mode));
    return 0;
}

int session_open(struct session *session, const struct common_options *common, bool with_relay,
                 struct err *err)
{
    const char *configured = common_coordinator(common);
    memset(session, 0, sizeof *session);
    session->common = common;
    if (coordinator_endpoint_check(configured, err) != 0)
        return common->coordinator != NULL ? -1 : err_wrap(err, "PUSHER_COORDINATOR");
    if (process_harden(err) != 0 ||
        (*configured == '\0' && state_paths_find(&session->paths, err) != 0))
        return -1;
    int code = uv_loop_init(&session->loop);
    if (code != 0)
        return err_set(err, ERR_IO, "event loop: %s", uv_strerror(code));
    start_signals(session);
    (void)uv_timer_init(&session->loop, &session->pause);
    session->pause.data = session;
    (void)text_copy(session->endpoint, sizeof session->endpoint, configured);
    int result = *configured == '\0' ? open_private(session, with_relay, err)
                                     : find_coordinator(session, err);
    if (result == 0)
        result = net_start(&session->loop, err);
    if (result == 0) {
        struct control_config control = {.loop = &session->loop,
                                         .endpoint = session->endpoint,
                                         .check = session_check,
                                         .context = session};
        result = control_open(&session->control, &control, err);
    }
    if (result == 0)
        say_more(common,
                 session->mode == NULL ? "the coordinator is there: %s"
                                       : "the private coordinator answers: %s",
                 session->endpoint);
    else
        session_close(session, 1000);
    return result;
}

int session_open_coordinator(struct session *session, const struct common_options *common,
                             struct err *err)
{
    memset(session, 0, sizeof *session); /* session_failed looks at it */
    session->common = common;
    if (session_is_private(common))
        return err_set(err, ERR_INVALID,
                       "this needs a coordinator, and none is configured: --coordinator ipc://PATH "
                       "or PUSHER_COORDINATOR");
    return session_open(session, common, false, err);
}

void session_close(struct session *session, unsigned wait_ms)
{
    session->stopping = true;
    control_close(session->control);
    session->control = NULL;
    private_close(session->mode, wait_ms, &session->hurry);
    session->mode = NULL;
    net_stop();
    for (size_t i = 0; i < sizeof session->signals / sizeof *session->signals; i++)
        uv_close((uv_handle_t *)&session->signals[i], NULL);
    uv_close((uv_handle_t *)&session->pause, NULL);
    while (uv_run(&session->loop, UV_RUN_NOWAIT) != 0)
        ;
    (void)uv_loop_close(&session->loop);
}

static void pause_over(uv_timer_t *timer)
{
    struct session *session = timer->data;
    session->paused = false;
}

int session_wait(struct session *session, uint32_t ms, struct err *err)
{
    session->paused = true;
    uv_update_time(&session->loop);
    (void)uv_timer_start(&session->pause, pause_over, ms, 0);
    while (session->paused) {
        (void)uv_run(&session->loop, UV_RUN_ONCE);
        if (session_check(session, err) != 0) {
            (void)uv_timer_stop(&session->pause);
            return -1;
        }
    }
    return 0;
}

int session_failed(const struct session *session, const struct err *err)
{
    if (!session->interrupted)
        return complain_err(err);
    complain("interrupted");
    return EXIT_INTERRUPTED;
}

int session_call(struct session *session, struct message *request, enum message_kind expected,
                 struct message *answer, struct err *err)
{
    return control_call(session->control, request, expected, answer, ANSWER_MS, err);
}
