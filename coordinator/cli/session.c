/* Loop, signals, daemons, link. */
#include "coordinator/cli/session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/net/link.h"
#include "common/trust/secret.h"

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
        return err_set(err, ERR_TIMEOUT, "interrupted");
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

int session_open(struct session *session, const struct common_options *common, bool with_relay,
                 struct err *err)
{
    memset(session, 0, sizeof *session);
    session->common = common;
    if (state_paths_find(&session->paths, err) != 0 || process_harden(err) != 0)
        return -1;
    int code = uv_loop_init(&session->loop);
    if (code != 0)
        return err_set(err, ERR_IO, "event loop: %s", uv_strerror(code));
    start_signals(session);
    (void)uv_timer_init(&session->loop, &session->pause);
    session->pause.data = session;
    struct private_config config = {.loop = &session->loop,
                                    .paths = &session->paths,
                                    .with_relay = with_relay,
                                    .said = daemon_said,
                                    .check = session_check,
                                    .context = session};
    say_more(common, "state and the daemons' logs: %s", session->paths.root);
    int result = private_open(&session->mode, &config, err);
    if (result == 0)
        result = net_start(&session->loop, err);
    if (result == 0) {
        struct control_config control = {.loop = &session->loop,
                                         .endpoint = private_endpoint(session->mode),
                                         .check = session_check,
                                         .context = session};
        result = control_open(&session->control, &control, err);
    }
    if (result == 0)
        say_more(common, "the private coordinator answers");
    else
        session_close(session, 1000);
    return result;
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
