/* The two daemons together. */
#include "coordinator/cli/private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/daemon.h"

#define POLL_MS 50U        /* how often daemons and locks are looked at */
#define START_MS 30000U    /* the control socket must be there by then */
#define LOCK_INIT 0        /* bytes of supervisor.lock: first set-up ... */
#define LOCK_COORDINATOR 1 /* ... who runs the coordinator ... */
#define LOCK_RELAY 2       /* ... and the relay */
#define RELAY_NAME "local"
#define HEARTBEAT_MS "1000" /* the live view shows what runs where as of the last one */

#define DISK_RESERVE "8388608" /* 8 MiB for each daemon: a user's disk is no server's */

struct private_mode {
    struct private_config config;
    struct daemon coordinator;
    struct daemon relay;
    uv_timer_t timer;
    bool closed;  /* timer's handle is gone */
    bool opening; /* no relay yet, and taking a free lock is nothing worth telling */
    bool failed;
    struct err failure;
    char endpoint[STATE_PATH_SIZE + 8];
    char relays_endpoint[STATE_PATH_SIZE + 8];
    char packages_endpoint[STATE_PATH_SIZE + 8];
    char coordinator_key[STATE_PATH_SIZE];
    char relay_key[STATE_PATH_SIZE];
    char parent[24]; /* our process id */
};

static void set_arguments(struct private_mode *mode)
{
    const struct state_paths *paths = mode->config.paths;
    const char *const coordinator[] = {"run",
                                       "--state",
                                       paths->coordinator,
                                       "--relay-key",
                                       mode->relay_key,
                                       "--control",
                                       mode->endpoint,
                                       "--relays",
                                       mode->relays_endpoint,
                                       "--packages",
                                       mode->packages_endpoint,
                                       "--heartbeat-ms",
                                       HEARTBEAT_MS,
                                       "--disk-reserve",
                                       DISK_RESERVE,
                                       "--parent",
                                       mode->parent,
                                       NULL};
    const char *const relay[] = {"run",
                                 "--state",
                                 paths->relay,
                                 "--name",
                                 RELAY_NAME,
                                 "--coordinator",
                                 mode->relays_endpoint,
                                 "--packages",
                                 mode->packages_endpoint,
                                 "--coordinator-key",
                                 mode->coordinator_key,
                                 "--operators",
                                 paths->operators,
                                 "--disk-reserve",
                                 DISK_RESERVE,
                                 "--parent",
                                 mode->parent,
                                 NULL};
    (void)snprintf(mode->parent, sizeof mode->parent, "%d", (int)getpid());
    static_assert(sizeof coordinator <= sizeof mode->coordinator.arguments, "room for arguments");
    static_assert(sizeof relay <= sizeof mode->relay.arguments, "room for arguments");
    memcpy(mode->coordinator.arguments, coordinator, sizeof coordinator);
    memcpy(mode->relay.arguments, relay, sizeof relay);
}

static void set_paths(struct private_mode *mode)
{
    const struct state_paths *paths = mode->config.paths;
    (void)snprintf(mode->endpoint, sizeof mode->endpoint, "ipc://%s", paths->control);
    (void)snprintf(mode->relays_endpoint, sizeof mode->relays_endpoint, "ipc://%.*s/relay.sock",
                   (int)STATE_ROOT_SIZE + 64, paths->coordinator);
    (void)snprintf(mode->packages_endpoint, sizeof mode->packages_endpoint,
                   "ipc://%.*s/package.sock", (int)STATE_ROOT_SIZE + 64, paths->coordinator);
    (void)snprintf(mode->coordinator_key, sizeof mode->coordinator_key, "%.*s/curve.pub",
                   (int)STATE_ROOT_SIZE + 64, paths->coordinator);
    (void)snprintf(mode->relay_key, sizeof mode->relay_key, "%.*s/curve.pub",
                   (int)STATE_ROOT_SIZE + 64, paths->relay);
}

/* Makes keys once; one command at a time. */
static int first_set_up(struct private_mode *mode, struct err *err)
{
    const struct state_paths *paths = mode->config.paths;
    const char *const coordinator[] = {"init", "--state", paths->coordinator, NULL};
    const char *const relay[] = {"init", "--state", paths->relay, NULL};
    if (access(mode->coordinator_key, R_OK) == 0 && access(mode->relay_key, R_OK) == 0)
        return 0;
    int lock = lock_wait(paths->lock, LOCK_INIT, err);
    if (lock < 0)
        return -1;
    int result = 0;
    if (access(mode->coordinator_key, R_OK) != 0)
        result = daemon_run_once(&mode->coordinator, coordinator, err);
    if (result == 0 && access(mode->relay_key, R_OK) != 0)
        result = daemon_run_once(&mode->relay, relay, err);
    (void)close(lock);
    return result;
}

static void poll_one(struct private_mode *mode, struct daemon *daemon)
{
    enum daemon_news news = DAEMON_QUIET;
    char ended[64];
    char text[256];
    if (mode->failed)
        return;
    if (daemon_poll(daemon, uv_now(mode->config.loop), &news, ended, &mode->failure) != 0)
        mode->failed = true;
    if (news == DAEMON_ENDED)
        (void)snprintf(text, sizeof text, "%s ended (%s); starting it again", daemon->name, ended);
    else if (news == DAEMON_TAKEN_OVER && !mode->opening)
        (void)snprintf(text, sizeof text, "%s: taken over from a command that ended", daemon->name);
    else
        return;
    mode->config.said(mode->config.context, text);
}

static void poll_all(struct private_mode *mode)
{
    poll_one(mode, &mode->coordinator);
    if (mode->config.with_relay && !mode->opening)
        poll_one(mode, &mode->relay);
}

static void timer_fired(uv_timer_t *timer)
{
    poll_all(timer->data);
}

static void timer_closed(uv_handle_t *handle)
{
    struct private_mode *mode = handle->data;
    mode->closed = true;
}

/* Whether somebody accepts connections there: dialling too early would cost a redial pause. */
static bool socket_answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!text_copy(address.sun_path, sizeof address.sun_path, path))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool answers = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return answers;
}

static int wait_for_socket(struct private_mode *mode, struct err *err)
{
    uv_loop_t *loop = mode->config.loop;
    uint64_t from_ms = uv_now(loop);
    while (!socket_answers(mode->config.paths->control)) {
        (void)uv_run(loop, UV_RUN_ONCE);
        if (private_check(mode, err) != 0 || mode->config.check(mode->config.context, err) != 0)
            return -1;
        if (uv_now(loop) - from_ms > START_MS)
            return err_set(err, ERR_UNAVAILABLE,
                           "the private coordinator did not come up in %u s; see %s",
                           START_MS / 1000, mode->coordinator.log);
    }
    return 0;
}

int private_open(struct private_mode **out, const struct private_config *config, struct err *err)
{
    struct private_mode *mode = mem_new(1, sizeof *mode);
    const struct state_paths *paths = config->paths;
    mode->config = *config;
    daemon_init(&mode->coordinator, "pusher-coordinator", paths, "coordinator.log",
                LOCK_COORDINATOR);
    daemon_init(&mode->relay, "pusher-relay", paths, "relay.log", LOCK_RELAY);
    set_paths(mode);
    set_arguments(mode);
    if (program_find("pusher-coordinator", mode->coordinator.path, err) != 0 ||
        program_find("pusher-relay", mode->relay.path, err) != 0 ||
        state_paths_make(paths, err) != 0 || first_set_up(mode, err) != 0) {
        free(mode);
        return -1;
    }
    (void)uv_timer_init(config->loop, &mode->timer);
    mode->timer.data = mode;
    (void)uv_timer_start(&mode->timer, timer_fired, POLL_MS, POLL_MS);
    uv_update_time(config->loop);
    mode->opening = true;
    poll_one(mode, &mode->coordinator);
    int result = wait_for_socket(mode, err);
    /* Only now, so that the relay dials a coordinator that is there. */
    if (result == 0 && config->with_relay)
        poll_one(mode, &mode->relay);
    mode->opening = false;
    if (result == 0)
        result = private_check(mode, err);
    if (result != 0) {
        private_close(mode, 1000, NULL);
        return -1;
    }
    *out = mode;
    return 0;
}

const char *private_endpoint(const struct private_mode *mode)
{
    return mode->endpoint;
}

void private_need_relay(struct private_mode *mode)
{
    mode->config.with_relay = true;
    mode->opening = true;
    poll_one(mode, &mode->relay);
    mode->opening = false;
}

int private_check(const struct private_mode *mode, struct err *err)
{
    if (!mode->failed)
        return 0;
    *err = mode->failure;
    return -1;
}

static void end_one(struct private_mode *mode, struct daemon *daemon, unsigned wait_ms,
                    const bool *hurry)
{
    uv_loop_t *loop = mode->config.loop;
    uv_update_time(loop);
    uint64_t from_ms = uv_now(loop);
    daemon_terminate(daemon);
    while (!daemon_gone(daemon)) {
        if (uv_now(loop) - from_ms >= wait_ms || (hurry != NULL && *hurry)) {
            daemon_kill(daemon);
            break;
        }
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    daemon_release(daemon);
}

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

void private_close(struct private_mode *mode, unsigned wait_ms, const bool *hurry)
{
    if (mode == NULL)
        return;
    /* From here on the timer only wakes the loop: nothing is started again. */
    (void)uv_timer_start(&mode->timer, wake, POLL_MS / 5, POLL_MS / 5);
    end_one(mode, &mode->relay, wait_ms, hurry);
    end_one(mode, &mode->coordinator, wait_ms, hurry);
    uv_close((uv_handle_t *)&mode->timer, timer_closed);
    while (!mode->closed)
        (void)uv_run(mode->config.loop, UV_RUN_ONCE);
    free(mode);
}
