/* The loop turn: events to the core, effects to store and links, one commit before the sends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"
#include "coordinator/files.h"

/* Messages beyond this wait for nobody: they are dropped, and the protocol repeats them. */
#define OUTBOX_BYTES_MAX (64U << 20)
/* An upload's writes need not be durable before its commit: they are committed this often. */
#define LAZY_COMMIT_MS 250
#define SWEEP_MS 5000 /* how often abandoned uploads and the disk are looked at */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        abort(); /* both clocks exist on every Linux we run on */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_boottime_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t clock_unix_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

/* ---- ending ---- */

void shell_fail(struct coordinator *c, const struct err *err)
{
    if (!c->stopping)
        log_error("%s; ending", err->text);
    c->exit_status = -1;
    c->stopping = true;
    uv_stop(c->loop);
}

void shell_store_failed(struct coordinator *c, const struct err *err)
{
    if (store_failed(c->store))
        shell_fail(c, err);
}

/* ---- messages out ---- */

void shell_send(struct coordinator *c, struct link_server *link, const struct link_peer *peer,
                const struct message *message)
{
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(message, &bytes, &err) != 0 ||
        c->outbox_bytes + bytes.size > OUTBOX_BYTES_MAX) {
        log_error("%s not sent: %s", message_kind_word(message->kind),
                  err.code != ERR_NONE ? err.text : "too much is waiting");
        buf_release(&bytes);
        return;
    }
    if (c->outbox_count == c->outbox_capacity) {
        c->outbox_capacity = c->outbox_capacity == 0 ? 64 : 2 * c->outbox_capacity;
        c->outbox = mem_resize(c->outbox, c->outbox_capacity, sizeof *c->outbox);
    }
    c->outbox[c->outbox_count++] = (struct outgoing){link, *peer, bytes.data, bytes.size};
    c->outbox_bytes += bytes.size;
}

static void flush_outbox(struct coordinator *c)
{
    for (size_t i = 0; i < c->outbox_count; i++) {
        const struct outgoing *out = &c->outbox[i];
        struct err err = {0};
        if (link_server_send(out->link, &out->peer, out->bytes, out->size, &err) != 0)
            log_debug("not sent: %s", err.text);
        free(out->bytes);
    }
    c->outbox_count = 0;
    c->outbox_bytes = 0;
}

static void on_lazy_timer(uv_timer_t *timer)
{
    struct coordinator *c = timer->data;
    c->commit_due = true;
}

static void on_turn(uv_prepare_t *handle)
{
    struct coordinator *c = handle->data;
    struct err err = {0};
    if (c->stopping)
        return;
    if (c->commit_due && store_commit(c->store, &err) != 0) {
        shell_fail(c, &err);
        return;
    }
    c->commit_due = false;
    flush_outbox(c);
    if (store_dirty(c->store) && !uv_is_active((uv_handle_t *)&c->lazy_timer))
        (void)uv_timer_start(&c->lazy_timer, on_lazy_timer, LAZY_COMMIT_MS, 0);
}

/* ---- effects ---- */

static int persist(struct coordinator *c, const struct dispatch_effect *effect, struct err *err)
{
    char id[PUSH_ID_TEXT_SIZE];
    struct store_lease lease;
    c->commit_due = true;
    switch (effect->kind) {
    case DISPATCH_PERSIST_OUTCOME:
        if (effect->output_size > 0 && store_output(c->store, effect->push_key, effect->target_no,
                                                    effect->output, effect->output_size, err) != 0)
            return -1;
        return store_outcome(c->store, effect->push_key, effect->target_no, effect->relay,
                             effect->outcome, err);
    case DISPATCH_PERSIST_CERTAIN:
        return store_outcome_certain(c->store, effect->push_key, effect->target_no,
                                     DISPATCH_DOUBT_TEXT, err);
    case DISPATCH_PERSIST_LEASE:
        lease = (struct store_lease){effect->history.relay, effect->history.mark,
                                     effect->history.attempt_max};
        return store_lease(c->store, effect->push_key, &lease, err);
    case DISPATCH_PERSIST_EPOCH:
        c->relays[effect->relay].stored.epoch = effect->epoch;
        return store_relay_epoch(c->store, effect->relay, effect->epoch, err);
    case DISPATCH_PERSIST_STANDING:
        log_error("relay %s: two processes use its keys: neither is let in any more",
                  c->relays[effect->relay].stored.name);
        return relays_note_standing(c, effect->relay, effect->standing, err);
    case DISPATCH_PERSIST_CLOSED:
        push_id_text(&effect->push, id);
        log_info("push %s: every row is terminal, closed", id);
        book_drop(c, effect->push_key);
        return store_push_state(c->store, effect->push_key, PUSH_CLOSED, clock_unix_ms(), err);
    case DISPATCH_SEND_WELCOME:
    case DISPATCH_SEND_HEARTBEAT_ACK:
    case DISPATCH_SEND_JOB:
    case DISPATCH_SEND_LEASE:
    case DISPATCH_SEND_RESULTS_ACK:
    case DISPATCH_SEND_STOP:
    case DISPATCH_SEND_CLOSE:
    case DISPATCH_ARM_TIMER:
        break;
    }
    return err_set(err, ERR_INTERNAL, "effect %d persists nothing", (int)effect->kind);
}

static void on_core_timer(uv_timer_t *timer)
{
    struct dispatch_event tick = {.kind = DISPATCH_TICK};
    shell_step(timer->data, &tick);
}

static void arm_timer(struct coordinator *c, uint64_t at_ms)
{
    uint64_t now_ms = clock_boottime_ms();
    (void)uv_timer_start(&c->core_timer, on_core_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void carry_out(struct coordinator *c, const struct dispatch_effect *effect)
{
    struct err err = {0};
    switch (effect->kind) {
    case DISPATCH_PERSIST_OUTCOME:
    case DISPATCH_PERSIST_CERTAIN:
    case DISPATCH_PERSIST_LEASE:
    case DISPATCH_PERSIST_EPOCH:
    case DISPATCH_PERSIST_STANDING:
    case DISPATCH_PERSIST_CLOSED:
        /* The core holds it for done: when it can't be, only a restart makes both agree again. */
        if (persist(c, effect, &err) != 0)
            shell_fail(c, &err);
        break;
    case DISPATCH_SEND_WELCOME:
    case DISPATCH_SEND_HEARTBEAT_ACK:
    case DISPATCH_SEND_JOB:
    case DISPATCH_SEND_LEASE:
    case DISPATCH_SEND_RESULTS_ACK:
    case DISPATCH_SEND_STOP:
    case DISPATCH_SEND_CLOSE:
        relay_link_send(c, effect);
        break;
    case DISPATCH_ARM_TIMER:
        arm_timer(c, effect->at_ms);
        break;
    }
}

void shell_step(struct coordinator *c, struct dispatch_event *event)
{
    event->now_ms = clock_boottime_ms();
    event->now_unix_ms = clock_unix_ms();
    dispatch_step(c->core, event, &c->effects);
    for (size_t i = 0; i < c->effects.count && !c->stopping; i++)
        carry_out(c, &c->effects.items[i]);
}

/* ---- start and end ---- */

static void on_sweep_timer(uv_timer_t *timer)
{
    struct coordinator *c = timer->data;
    control_push_sweep(c);
    enrol_sweep(c);
    sealed_sweep(c);
    relays_sweep(c);
    (void)reserve_look(c->reserve); /* gives it up in time for what is open */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct coordinator *c = handle->data;
    log_info("%s: ending", number == SIGTERM ? "SIGTERM" : "SIGINT");
    c->stopping = true;
    uv_stop(c->loop);
}

static int open_state(struct coordinator *c, struct err *err)
{
    char path[FILES_PATH_SIZE];
    if (files_lock_state(c->options.state, &c->lock_fd, err) != 0 ||
        files_path(path, c->options.state, "curve.key", err) != 0 ||
        key_pair_load(&c->curve, KEY_CURVE, path, err) != 0 ||
        files_path(path, c->options.state, "packages", err) != 0 ||
        package_store_new(&c->packages, path, err) != 0 ||
        files_path(path, c->options.state, "store.db", err) != 0 ||
        /* before the store is opened: it may need that space to recover */
        reserve_new(&c->reserve, c->options.state, c->options.disk_reserve, err) != 0)
        return -1;
    return store_open(&c->store, path, err);
}

static int open_links(struct coordinator *c, struct err *err)
{
    const struct link_server_config control = {.endpoint = c->options.control,
                                               .mode = c->options.control_mode,
                                               .group = c->options.control_group,
                                               .received = control_received,
                                               .context = c};
    struct link_server_config relays = {.endpoint = c->options.relays,
                                        .key = &c->curve,
                                        .group = (gid_t)-1,
                                        .admit = relay_link_admit,
                                        .received = relay_link_received,
                                        .context = c};
    struct link_server_config packages = relays;
    packages.endpoint = c->options.packages;
    packages.queue_max = PACKAGE_QUEUE_MAX;
    packages.admit = package_link_admit;
    packages.received = package_link_received;
    /* Control last: whoever finds its socket finds a coordinator that is ready. */
    if (net_start(c->loop, err) != 0 || link_server_new(&c->relay_link, &relays, err) != 0 ||
        link_server_new(&c->package_link, &packages, err) != 0 ||
        link_server_new(&c->control_link, &control, err) != 0)
        return -1;
    log_info("relays at %s, packages at %s, control at %s", link_server_endpoint(c->relay_link),
             link_server_endpoint(c->package_link), link_server_endpoint(c->control_link));
    return 0;
}

static void start_handles(struct coordinator *c)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    c->core_timer.data = c->lazy_timer.data = c->report_timer.data = c;
    c->sweep_timer.data = c->turn.data = c;
    (void)uv_timer_init(c->loop, &c->core_timer);
    (void)uv_timer_init(c->loop, &c->lazy_timer);
    (void)uv_timer_init(c->loop, &c->report_timer);
    (void)uv_timer_init(c->loop, &c->sweep_timer);
    (void)uv_prepare_init(c->loop, &c->turn);
    for (int i = 0; i < 2; i++) {
        (void)uv_signal_init(c->loop, &c->signals[i]);
        c->signals[i].data = c;
        (void)uv_signal_start(&c->signals[i], on_signal, numbers[i]);
    }
    (void)uv_prepare_start(&c->turn, on_turn);
    (void)uv_timer_start(&c->sweep_timer, on_sweep_timer, SWEEP_MS, SWEEP_MS);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(struct coordinator *c)
{
    struct err err = {0};
    if (c->store != NULL && !store_failed(c->store) && c->exit_status == 0) {
        if (store_commit(c->store, &err) == 0)
            flush_outbox(c); /* what is durable may be said */
        else
            log_error("%s", err.text);
    }
    for (size_t i = 0; i < c->outbox_count; i++)
        free(c->outbox[i].bytes);
    control_report_release(c);
    control_parts_release(c);
    control_push_release(c);
    sealed_release(c);
    routing_release(c);
    control_package_release(c);
    link_server_free(c->control_link);
    link_server_free(c->relay_link);
    link_server_free(c->package_link);
    package_server_free(c->package_server);
    net_stop();
    uv_walk(c->loop, close_handle, NULL);
    (void)uv_run(c->loop, UV_RUN_DEFAULT);
    book_release(c);
    store_close(c->store);
    package_store_free(c->packages);
    reserve_free(c->reserve);
    dispatch_free(c->core);
    permits_free(c->permits);
    dispatch_effects_release(&c->effects);
    key_pair_release(&c->curve);
    if (c->lock_fd >= 0)
        (void)close(c->lock_fd);
    free(c->outbox);
    relays_release(c);
    trust_release(c);
}

int coordinator_run(const struct coordinator_options *options, struct err *err)
{
    struct coordinator *c = mem_new(1, sizeof *c);
    uv_loop_t loop;
    const struct dispatch_config config = {.lease_ms = options->lease_ms,
                                           .heartbeat_ms = options->heartbeat_ms,
                                           .grace_ms = COORDINATOR_GRACE_MS,
                                           .resend_ms = 2 * options->lease_ms};
    if (uv_loop_init(&loop) != 0) {
        free(c);
        return err_set(err, ERR_IO, "cannot make an event loop");
    }
    c->options = *options;
    c->loop = &loop;
    c->lock_fd = -1;
    c->started_ms = clock_boottime_ms();
    c->core = dispatch_new(&config);
    c->permits = permits_new();
    dispatch_effects_init(&c->effects);
    start_handles(c);
    c->package_server = package_server_new(c);
    int result = -1;
    if (open_state(c, err) == 0 && shell_recover(c, err) == 0 &&
        package_server_rates(c->package_server, err) == 0 && open_links(c, err) == 0) {
        struct dispatch_event first = {.kind = DISPATCH_TICK};
        shell_step(c, &first);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        result = c->exit_status;
        if (result != 0)
            (void)err_set(err, ERR_IO, "ended by the failure above");
    } else {
        c->exit_status = -1;
    }
    finish(c);
    (void)uv_loop_close(&loop);
    free(c);
    return result;
}
