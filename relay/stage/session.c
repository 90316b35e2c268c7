/* The TCP connection under stages 3 to 6: connecting, moving bytes, deadlines, ending. */
#include "relay/stage/session.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "relay/stage/budget.h"
#include "relay/stage/statusmap.h"

#define CONNECT_TIMEOUT_MS 5000U
#define AGAIN_DELAY_MS 500
#define LOGOFF_TIMEOUT_MS 2000
#define USER_TIMEOUT_MS 30000
#define READS_PER_WAKE 8
#define OUTPUT_BYTES_MAX (1088U << 10) /* queued for one socket: two of copy.c's largest pieces */

static void on_poll(uv_poll_t *poll, int status, int events);

static const struct stage_steps *steps_of(const struct stage_target *target)
{
    switch (target->stage) {
    case STAGE_PATH:
        return &path_steps;
    case STAGE_COPY:
        return target->job->job.action == JOB_CLEANUP ? &cleanup_steps : &copy_steps;
    case STAGE_SCHEDULE:
        return &schedule_steps;
    case STAGE_ACCESS:
    case STAGE_RESOLVE:
    case STAGE_PING:
    case STAGE_COUNT:
        break;
    }
    return &access_steps;
}

/* The longest that the target's stage may take; 0: no limit. */
static uint64_t budget_ms(const struct stage_target *target)
{
    const struct stage_steps *steps = steps_of(target);
    const struct stage_job *job = target->job;
    uint32_t patience_ms = target->runner->config.patience_ms;
    if (patience_ms == 0)
        patience_ms = BUDGET_PATIENCE_MS;
    if (steps == &copy_steps)
        return budget_copy_ms(&job->job, job->folder.count, patience_ms);
    if (steps == &cleanup_steps)
        return budget_cleanup_ms(&job->job, patience_ms);
    return steps->total_ms;
}

static uint64_t now_ms(const struct session *session)
{
    return uv_now(session->runner->config.loop);
}

/* --- Ending --- */

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void steps_release(struct session *session)
{
    if (session->steps->release != NULL)
        session->steps->release(session);
}

/* Closes at once. The memory goes when libuv is done with it; `closed` tells everybody on the way
 * back. */
static void session_close(struct session *session)
{
    if (session->closed)
        return;
    session->closed = true;
    steps_release(session);
    if (session->target != NULL)
        session->target->session = NULL;
    session->target = NULL;
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        session->runner->sessions = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    smb_conn_free(session->conn);
    session->conn = NULL;
    dial_free(session->dial);
    session->dial = NULL;
    (void)uv_timer_stop(&session->timer);
    uv_close((uv_handle_t *)&session->timer, timer_closed);
    if (session->fd >= 0) {
        (void)uv_poll_stop(session->poll);
        uv_close((uv_handle_t *)session->poll, poll_closed);
        (void)close(session->fd);
        session->fd = -1;
    }
    stage_job_session_ended(session->runner, session->job);
}

void sessions_abandon(struct stage_runner *runner)
{
    while (runner->sessions != NULL)
        session_close(runner->sessions);
}

/* --- Deadlines --- */

static void on_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    session->on_timer(session);
}

static void timed_out(struct session *session);

/* Waits for an answer. */
static void session_arm(struct session *session)
{
    uint64_t wait = session->steps->idle_ms;
    uint64_t now = now_ms(session);
    if (session->stage_deadline_ms != 0) {
        uint64_t left = session->stage_deadline_ms > now ? session->stage_deadline_ms - now : 0;
        wait = left < wait ? left : wait;
    }
    session->on_timer = timed_out;
    (void)uv_timer_start(&session->timer, on_timer, wait, 0);
}

static void session_disarm(struct session *session)
{
    (void)uv_timer_stop(&session->timer);
}

static void flush_output(struct session *session);

static void pause_over(struct session *session)
{
    void (*action)(struct session *) = session->on_pause;
    session_arm(session);
    action(session);
    if (!session->closed && session->connected)
        flush_output(session);
}

void session_pause(struct session *session, uint32_t ms, void (*action)(struct session *session))
{
    session->on_pause = action;
    session->on_timer = pause_over;
    (void)uv_timer_start(&session->timer, on_timer, ms, 0);
}

/* --- Results --- */

static void stage_over(struct session *session)
{
    steps_release(session);
    session_disarm(session);
}

void session_pass(struct session *session, const char *detail)
{
    struct stage_target *target = session->target;
    stage_over(session);
    target_pass(target, "%s", detail);
}

void session_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                  const char *format, ...)
{
    char text[LIMIT_DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct stage_target *target = session->target;
    stage_over(session);
    target_fail(target, reason, kind, code, "%s", text);
}

void session_finish(struct session *session, const struct stage_result *result, uint8_t *output)
{
    struct stage_target *target = session->target;
    stage_over(session);
    target_end(target, result, output);
}

void session_finish_lost(struct session *session, const struct stage_result *result,
                         uint8_t *output)
{
    struct stage_target *target = session->target;
    session_close(session);
    target_end(target, result, output);
}

void session_fail_status(struct session *session, uint32_t status, const char *what)
{
    const char *name = ntstatus_name(status);
    session_fail(session, status_reason(session->target->stage, status), CODE_NTSTATUS, status,
                 "%s: %s", what, name != NULL ? name : "unknown status");
}

void session_fail_request(struct session *session, const struct err *err)
{
    struct stage_target *target = session->target;
    session_close(session);
    target_fail(target, REASON_INTERNAL, CODE_NONE, 0, "%s", err->text);
}

/* --- Losing the connection --- */

static struct session *session_new(struct stage_target *target);
static void connect_now(struct session *session);

void session_lost_default(struct session *session, const struct session_loss *loss)
{
    struct stage_target *target = session->target;
    uint32_t tries_max = session->steps->tries_max;
    uint64_t deadline = session->stage_deadline_ms;
    target->logon_allowed = false; /* another connection is another logon */
    session_close(session);
    if (!loss->again || target->tries >= tries_max) {
        target_fail(target, loss->reason, loss->kind, loss->code, "%s", loss->text);
        return;
    }
    target->tries++;
    struct session *fresh = session_new(target);
    fresh->stage_deadline_ms = deadline;
    session_pause(fresh, AGAIN_DELAY_MS, connect_now);
}

static void session_lost(struct session *session, const struct session_loss *loss)
{
    if (session->target == NULL || !session->target->running || session->target->ending != NULL) {
        session_close(session); /* between stages: the next one connects again */
        return;
    }
    if (session->steps->lost != NULL)
        session->steps->lost(session, loss);
    else
        session_lost_default(session, loss);
}

static void timed_out(struct session *session)
{
    struct session_loss loss = {.kind = CODE_ERRNO, .code = ETIMEDOUT};
    if (session->target == NULL) {
        session_close(session);
        return;
    }
    if (!session->connected) {
        loss.reason = REASON_CONNECT_TIMEOUT;
        (void)snprintf(loss.text, sizeof loss.text, "TCP port %u: no answer in %u s",
                       session->runner->config.smb_port, CONNECT_TIMEOUT_MS / 1000);
    } else {
        bool late =
            session->stage_deadline_ms != 0 && now_ms(session) >= session->stage_deadline_ms;
        loss.reason = REASON_CONN_LOST;
        (void)snprintf(loss.text, sizeof loss.text,
                       late ? "connected, but not done in time: it answers too slowly"
                            : "connected, but no answer in time");
    }
    session_lost(session, &loss);
}

/* A socket error, before or after the connection stood. */
static void socket_failed(struct session *session, int error)
{
    struct session_loss loss = {
        .reason = REASON_CONN_LOST, .kind = CODE_ERRNO, .code = (uint32_t)error, .again = true};
    const char *what = session->connected ? "connection lost" : "cannot connect";
    if (session->connected && !session->heard) {
        loss.reason = REASON_DIALECT_REFUSED;
        what = "closed instead of an answer to SMB 2 (SMB 1 only?)";
    }
    if (session->connected && session->heard && smb_conn_validating(session->conn)) {
        loss.reason = REASON_SIGNING_REFUSED;
        what = "closed instead of confirming the SMB negotiation, as if it had been tampered with";
    }
    if (!session->connected) {
        loss.reason = connect_reason(error);
        loss.again = error != ETIMEDOUT;
    }
    (void)snprintf(loss.text, sizeof loss.text, "TCP port %u: %s: %s",
                   session->runner->config.smb_port, what, strerror(error));
    session_lost(session, &loss);
}

/* The engine refused what came. */
static void engine_failed(struct session *session, const struct err *err)
{
    enum smb_failure failure = smb_conn_failure(session->conn);
    struct session_loss loss = {.reason = failure_reason(failure, (uint32_t)err->native),
                                .kind = err->native != 0 ? CODE_NTSTATUS : CODE_NONE,
                                .code = (uint32_t)err->native,
                                .again = failure == SMB_FAILURE_SESSION_LOST};
    (void)snprintf(loss.text, sizeof loss.text, "%.*s", (int)sizeof loss.text - 1, err->text);
    session_lost(session, &loss);
}

/* --- Bytes --- */

static void poll_update(struct session *session, bool writable)
{
    if (writable == session->writable_wanted)
        return;
    session->writable_wanted = writable;
    (void)uv_poll_start(session->poll, UV_READABLE | (writable ? UV_WRITABLE : 0), on_poll);
}

static void flush_output(struct session *session)
{
    const uint8_t *bytes;
    size_t size;
    while (smb_conn_output(session->conn, &bytes, &size)) {
        ssize_t sent = send(session->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            smb_conn_sent(session->conn, (size_t)sent);
            if (session->steps->room != NULL && session->target != NULL)
                session->steps->room(session);
            if (session->closed)
                return;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            poll_update(session, true);
            return;
        }
        socket_failed(session, sent < 0 ? errno : EPIPE);
        return;
    }
    poll_update(session, false);
}

/* Lets the stage write more, then sends. */
static void pump_output(struct session *session)
{
    if (session->steps->room != NULL && session->target != NULL)
        session->steps->room(session);
    if (!session->closed)
        flush_output(session);
}

static void on_reply(struct session *session, const struct smb_reply *reply)
{
    if (session->target == NULL) {
        if (reply->op == SMB_OP_LOGOFF)
            session_close(session);
        return;
    }
    if (!session->target->running || session->target->ending != NULL ||
        reply->tag >> 32 != session->generation)
        return; /* of a stage that is over: closing of handles and the like */
    if (session->on_timer != pause_over)
        session_arm(session);
    session->steps->reply(session, reply);
}

/* The machine speaks our protocol; what it would do with the password is the next one to see. */
static void session_hold(struct session *session)
{
    const struct stage_runner_config *config = &session->runner->config;
    poll_update(session, false);
    session_disarm(session);
    session->target->held = true;
    config->connected(config->context, session->target->key);
}

static bool session_held(const struct session *session)
{
    return session->target != NULL && session->target->held;
}

/* Returns false when nothing more is to be read: the session is gone, or waits for its logon. */
static bool take_bytes(struct session *session, const uint8_t *bytes, size_t size)
{
    struct err err;
    if (smb_conn_receive(session->conn, bytes, size, &err) != 0) {
        engine_failed(session, &err);
        return false;
    }
    if (session->negotiated_ms == 0 && smb_conn_server(session->conn)->system_time != 0)
        session->negotiated_ms = now_ms(session);
    struct smb_reply reply;
    while (!session->closed && smb_conn_next_reply(session->conn, &reply))
        on_reply(session, &reply);
    if (session->closed || !smb_conn_holds_logon(session->conn))
        return !session->closed;
    session_hold(session);
    return !session->closed && !session_held(session);
}

static void read_socket(struct session *session)
{
    for (int i = 0; i < READS_PER_WAKE; i++) {
        ssize_t got =
            recv(session->fd, session->runner->received, STAGE_BUFFER_BYTES, MSG_DONTWAIT);
        if (got > 0) {
            session->heard = true;
            if (!take_bytes(session, session->runner->received, (size_t)got))
                return;
            if ((size_t)got < STAGE_BUFFER_BYTES)
                return;
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        socket_failed(session, got < 0 ? errno : ECONNRESET);
        return;
    }
}

/* Speaks first. */
static void session_open(struct session *session)
{
    session->target->logon_allowed = false;
    session->steps->start(session);
    if (!session->closed)
        session_arm(session);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct session *session = poll->data;
    (void)events;
    if (status < 0)
        /* libuv stopped the poll because of an error; reading tells which */
        (void)uv_poll_start(poll, UV_READABLE | (session->writable_wanted ? UV_WRITABLE : 0),
                            on_poll);
    if (session_held(session))
        session_close(session); /* the other side gave up waiting; made again when it is time */
    else
        read_socket(session);
    if (!session->closed && !session_held(session))
        pump_output(session);
}

/* --- Connecting --- */

static int make_engine(struct session *session, struct err *err)
{
    struct smb_config config = {
        .credential = session->job->credential,
        .dialect_min = SMB_DIALECT_2_1,
        .hold_logon = session->target->hold_logon && !session->target->logon_allowed,
        .output_size_max = OUTPUT_BYTES_MAX,
    };
    char host[LIMIT_TARGET_NAME_SIZE];
    target_host_text(session->target, host);
    config.host = host;
    if (getrandom(config.client_guid, sizeof config.client_guid, 0) < 0 ||
        getrandom(config.salt, sizeof config.salt, 0) < 0)
        return err_set_errno(err, errno, "no random bytes");
    return smb_conn_new(&config, &session->conn, err);
}

static void set_options(int fd)
{
    int on = 1;
    int idle_s = 10;
    int interval_s = 5;
    int count = 3;
    unsigned user_timeout_ms = USER_TIMEOUT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

/* An address answered, or none did. The target keeps to that address from now on: what was begun at
 * a machine goes on at that machine, whatever else its name stands for. */
static void on_dialled(void *context, const struct dial_end *end)
{
    struct session *session = context;
    struct stage_target *target = session->target;
    struct err err;
    dial_free(session->dial);
    session->dial = NULL;
    if (end->error != 0) {
        socket_failed(session, end->error);
        return;
    }
    session->fd = end->fd;
    session->poll = end->poll;
    session->poll->data = session;
    session->connected = true;
    session->writable_wanted = true; /* as the poll stands */
    set_options(session->fd);
    target_address_use(target, end->at);
    target->address_count = 1;
    (void)uv_poll_start(session->poll, UV_READABLE | UV_WRITABLE, on_poll);
    /* Only now: a thousand may be connecting, and most of an engine's memory would be in vain. */
    if (make_engine(session, &err) != 0) {
        session_fail_request(session, &err);
        return;
    }
    session_open(session);
    if (!session->closed)
        pump_output(session);
}

static void connect_now(struct session *session)
{
    if (!target_addresses_check(session->target)) {
        session_close(session);
        return;
    }
    struct dial_config config = {
        .loop = session->runner->config.loop,
        .addresses = session->target->addresses,
        .count = session->target->address_count,
        .port = session->runner->config.smb_port,
        .done = on_dialled,
        .context = session,
    };
    session->on_timer = timed_out;
    (void)uv_timer_start(&session->timer, on_timer, CONNECT_TIMEOUT_MS, 0);
    session->dial = dial_new(&config);
    dial_start(session->dial);
}

static struct session *session_new(struct stage_target *target)
{
    struct stage_runner *runner = target->runner;
    struct session *session = mem_new(1, sizeof *session);
    session->runner = runner;
    session->target = target;
    session->job = target->job;
    session->job->session_count++;
    session->steps = &access_steps;
    session->fd = -1;
    session->next = runner->sessions;
    if (runner->sessions != NULL)
        runner->sessions->previous = session;
    runner->sessions = session;
    (void)uv_timer_init(runner->config.loop, &session->timer);
    session->timer.data = session;
    target->session = session;
    return session;
}

/* --- For the stages --- */

uint64_t session_tag(const struct session *session, uint32_t step)
{
    return (uint64_t)session->generation << 32 | step;
}

void session_tags_new(struct session *session)
{
    session->generation++;
}

uint32_t session_step(uint64_t tag)
{
    return (uint32_t)tag;
}

static void stage_start(struct session *session)
{
    session->generation++;
    session->steps = steps_of(session->target);
    session_arm(session);
    session->steps->start(session);
    if (!session->closed)
        flush_output(session);
}

void session_up(struct session *session)
{
    session->up = true;
    if (session->target->stage == STAGE_ACCESS)
        session_pass(session, "");
    else
        stage_start(session);
}

void session_stage_begin(struct stage_target *target)
{
    if (target->stage == STAGE_ACCESS)
        session_end(target);
    uint64_t total_ms = budget_ms(target);
    struct session *session = target->session;
    bool fresh = session == NULL;
    if (fresh)
        session = session_new(target);
    session->stage_deadline_ms = total_ms != 0 ? now_ms(session) + total_ms : 0;
    if (fresh)
        connect_now(session);
    else
        stage_start(session);
}

static void logon_now(struct session *session)
{
    struct err err;
    session_arm(session);
    if (smb_logon(session->conn, &err) != 0)
        engine_failed(session, &err);
    else
        pump_output(session);
}

void session_logon(struct stage_target *target)
{
    struct session *session = target->session;
    bool fresh = session == NULL;
    target->held = false;
    target->logon_allowed = true;
    if (fresh)
        session = session_new(target);
    session->stage_deadline_ms = now_ms(session) + access_steps.total_ms;
    if (fresh)
        connect_now(session);
    else
        logon_now(session);
}

void session_end(struct stage_target *target)
{
    struct session *session = target->session;
    if (session == NULL)
        return;
    steps_release(session);
    session->steps = &access_steps;
    target->session = NULL;
    session->target = NULL;
    if (session->conn == NULL || !smb_conn_ready(session->conn) ||
        smb_logoff(session->conn, 0, NULL) != 0) {
        session_close(session);
        return;
    }
    session->on_timer = timed_out;
    (void)uv_timer_start(&session->timer, on_timer, LOGOFF_TIMEOUT_MS, 0);
    flush_output(session);
}
