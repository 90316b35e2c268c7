/* Start, loop and end of the relay. */
#include "relay/shell.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/trust/secret.h"
#include "relay/shell_state.h"

#define DISK_LOOK_MS 2000 /* how often the state folder's disk is looked at */
#define SMB_PORT 445
#define FLUSH_MS 500 /* last messages at the end */
#define CONNECTS_PER_SESSION                                                                       \
    4 /* many machines don't answer: it takes more of them to fill the sessions */
#define CLOSING_TURNS_MAX 1000 /* of the loop, until every handle is closed */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t shell_now_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t shell_now_unix_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

void shell_fail(struct shell *shell, const struct err *why)
{
    if (!shell->failed)
        shell->failure = *why;
    shell->failed = true;
    uv_stop(&shell->loop);
}

static void on_before_poll(uv_prepare_t *handle)
{
    shell_flush(handle->data);
}

static void on_after_poll(uv_check_t *handle)
{
    shell_flush(handle->data);
}

static void on_signal(uv_signal_t *handle, int signal_no)
{
    struct shell *shell = handle->data;
    if (shell->stopping) {
        uv_stop(&shell->loop);
        return;
    }
    shell->stopping = true;
    log_info("%s: ending when the running stages have ended",
             signal_no == SIGTERM ? "SIGTERM" : "SIGINT");
    struct agent_event event = {.kind = AGENT_SHUTDOWN};
    shell_step(shell, &event);
}

static void open_handles(struct shell *shell)
{
    (void)uv_prepare_init(&shell->loop, &shell->before_poll);
    (void)uv_check_init(&shell->loop, &shell->after_poll);
    (void)uv_timer_init(&shell->loop, &shell->agent_timer);
    (void)uv_timer_init(&shell->loop, &shell->cache_timer);
    (void)uv_timer_init(&shell->loop, &shell->disk_timer);
    (void)uv_timer_init(&shell->loop, &shell->trust_timer);
    shell->trust_timer.data = shell;
    (void)uv_signal_init(&shell->loop, &shell->sigterm);
    (void)uv_signal_init(&shell->loop, &shell->sigint);
    shell->before_poll.data = shell->after_poll.data = shell;
    shell->agent_timer.data = shell->cache_timer.data = shell->disk_timer.data = shell;
    shell->sigterm.data = shell->sigint.data = shell;
    (void)uv_prepare_start(&shell->before_poll, on_before_poll);
    (void)uv_check_start(&shell->after_poll, on_after_poll);
    (void)uv_signal_start(&shell->sigterm, on_signal, SIGTERM);
    (void)uv_signal_start(&shell->sigint, on_signal, SIGINT);
    shell->handles_open = true;
}

/* A disk that runs full: nothing new, what is held ends with the space that was kept for it. */
static void on_disk_timer(uv_timer_t *timer)
{
    struct shell *shell = timer->data;
    bool full = !reserve_look(shell->reserve);
    if (full == shell->disk_full)
        return;
    shell->disk_full = full;
    if (full)
        log_error("the disk of %s is nearly full: no new targets until space is freed there",
                  shell->config->state->folder);
    else
        log_info("there is space again: new targets are taken");
    struct agent_event event = {.kind = AGENT_INTAKE, .intake = !full};
    shell_step(shell, &event);
}

static int open_disk(struct shell *shell, struct err *err)
{
    const struct relay_state *state = shell->config->state;
    char *journal = relay_state_path(state, "journal.db");
    char *cache = relay_state_path(state, "cache");
    /* The reserve first: the journal may need its space to recover. */
    int failed = reserve_new(&shell->reserve, state->folder, shell->config->disk_reserve, err);
    if (!failed)
        failed = spool_open(&shell->spool, journal, err);
    if (!failed)
        failed = spool_prune(shell->spool, (int64_t)(shell_now_unix_ms() / 1000), err);
    if (!failed)
        failed = package_store_new(&shell->store, cache, err);
    free(journal);
    free(cache);
    if (failed)
        return -1;
    struct cache_config config = {
        .store = shell->store,
        .request = shell_request_chunk,
        .make_room = shell_make_room,
        .distrusted = shell_peer_distrusted,
        .done = shell_package_done,
        .context = shell,
    };
    shell->cache = cache_new(&config);
    return 0;
}

static int open_runner(struct shell *shell, struct err *err)
{
    struct stage_runner_config config = {
        .loop = &shell->loop,
        .done = shell_stage_done,
        .connected = shell_stage_connected,
        .context = shell,
        .scope = shell->config->scope,
        .smb_port = SMB_PORT,
        .lan_rate = shell->config->lan_rate,
    };
    return stage_runner_new(&config, &shell->runner, err);
}

static void journal_intent(void *context, const struct agent_ref *ref)
{
    struct agent_event event = {.kind = AGENT_JOURNAL_INTENT, .journal = {.ref = *ref}};
    shell_step(context, &event);
}

static void journal_outcome(void *context, const struct agent_ref *ref, bool acked,
                            uint32_t output_size)
{
    struct agent_event event = {.kind = AGENT_JOURNAL_OUTCOME,
                                .journal = {*ref, acked, output_size}};
    shell_step(context, &event);
}

static int open_agent(struct shell *shell, struct err *err)
{
    struct agent_config config;
    agent_config_defaults(&config);
    if (shell->config->session_max) {
        uint32_t connect_max = shell->config->session_max * CONNECTS_PER_SESSION;
        config.session_max = shell->config->session_max;
        config.connect_max = connect_max < config.connect_max ? connect_max : config.connect_max;
    }
    if (shell->config->read_back_s)
        config.read_back_ms = 1000 * shell->config->read_back_s;
    (void)text_copy(config.hello.relay_name, sizeof config.hello.relay_name, shell->config->name);
    memcpy(config.hello.seal_key, shell->config->state->seal.public_key, LIMIT_KEY_BYTES);
    config.hello.instance = random_u64();
    shell->agent = agent_new(&config);
    struct spool_visitor visitor = {journal_intent, journal_outcome, shell};
    if (spool_visit(shell->spool, &visitor, err) != 0)
        return -1;
    on_disk_timer(&shell->disk_timer);
    (void)uv_timer_start(&shell->disk_timer, on_disk_timer, DISK_LOOK_MS, DISK_LOOK_MS);
    return 0;
}

static int open_all(struct shell *shell, struct err *err)
{
    if (open_disk(shell, err) != 0 || open_runner(shell, err) != 0 || open_agent(shell, err) != 0 ||
        net_start(&shell->loop, err) != 0)
        return -1;
    shell->net_started = true;
    shell_trust_start(shell);
    /* Before the coordinator hears where it is. */
    return shell_open_peers(shell, err) == 0 ? shell_open_links(shell, err) : -1;
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_all(struct shell *shell)
{
    stage_runner_free(shell->runner);
    link_client_finish(shell->relay_link, FLUSH_MS);
    link_client_free(shell->package_link);
    shell_close_peers(shell);
    if (shell->net_started)
        net_stop();
    if (shell->handles_open) {
        close_handle((uv_handle_t *)&shell->before_poll);
        close_handle((uv_handle_t *)&shell->after_poll);
        close_handle((uv_handle_t *)&shell->agent_timer);
        close_handle((uv_handle_t *)&shell->cache_timer);
        close_handle((uv_handle_t *)&shell->disk_timer);
        close_handle((uv_handle_t *)&shell->trust_timer);
        close_handle((uv_handle_t *)&shell->sigterm);
        close_handle((uv_handle_t *)&shell->sigint);
    }
    for (int i = 0; i < CLOSING_TURNS_MAX && uv_run(&shell->loop, UV_RUN_NOWAIT) != 0; i++)
        continue;
    (void)uv_loop_close(&shell->loop);
    cache_free(shell->cache);
    package_store_free(shell->store);
    agent_free(shell->agent);
    agent_effects_release(&shell->effects);
    deferred_release(&shell->waiting);
    spool_close(shell->spool);
    reserve_free(shell->reserve);
    peers_release(&shell->peers);
    free(shell->jobs);
}

int shell_run(const struct shell_config *config, struct err *err)
{
    struct shell *shell = mem_new(1, sizeof *shell);
    shell->config = config;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || uv_loop_init(&shell->loop) != 0) {
        free(shell);
        return err_set(err, ERR_IO, "cannot make an event loop");
    }
    open_handles(shell);
    int failed = open_all(shell, err);
    if (!failed) {
        log_info("%s: ready, coordinator %s", config->name, config->coordinator);
        (void)uv_run(&shell->loop, UV_RUN_DEFAULT);
        if (!shell->failed && spool_commit(shell->spool, &shell->failure) != 0)
            shell->failed = true;
        if (shell->failed) {
            if (err)
                *err = shell->failure;
            failed = -1;
        }
    }
    close_all(shell);
    free(shell);
    return failed;
}
