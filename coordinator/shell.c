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
#include "common/base/text.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"
#include "coordinator/files.h"

/* Messages beyond this wait for nobody: they are dropped, and the protocol repeats them. */
#define OUTBOX_BYTES_MAX (64U << 20)
/* An upload's writes need not be durable before its commit: they are committed this often. */
#define LAZY_COMMIT_MS 250
#define SWEEP_MS 5000 /* how often abandoned uploads and the disk are looked at */
#define RECENT_PUSHES_MAX 64U

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

/* ---- recovery ---- */

static int note_target(void *context, uint32_t target_no, const char *name, uint16_t site,
                       enum target_state state)
{
    struct dispatch_push_opened *opened = context;
    (void)name;
    if (target_no >= opened->target_count)
        return -1;
    /* Const for the core, ours to fill: both arrays were made by shell_open_push. */
    uint8_t *states = (uint8_t *)(uintptr_t)opened->states;
    uint16_t *sites = (uint16_t *)(uintptr_t)opened->sites;
    states[target_no] = (uint8_t)state;
    /* Whoever has none has ended, or ends with the cancelled push that this is. */
    sites[target_no] = site != STORE_SITE_NONE ? site : 0;
    return 0;
}

static int note_doubted(void *context, uint32_t target_no, enum target_state counts_as)
{
    const struct dispatch_push_opened *opened = context;
    if (target_no < opened->target_count)
        ((uint8_t *)(uintptr_t)opened->states)[target_no] =
            counts_as == TARGET_FAILED ? DISPATCH_STATE_DOUBTED_FAILED : DISPATCH_STATE_DOUBTED;
    return 0;
}

static int note_old(void *context, uint32_t target_no)
{
    const struct dispatch_push_opened *opened = context;
    if (target_no < opened->target_count)
        ((uint8_t *)(uintptr_t)opened->states)[target_no] = DISPATCH_STATE_OLD;
    return 0;
}

static int note_targets(struct coordinator *c, uint64_t key, struct dispatch_push_opened *opened,
                        struct err *err)
{
    if (store_target_each(c->store, key, note_target, opened, err) != 0 ||
        store_doubted_each(c->store, key, DISPATCH_DOUBT_TEXT, note_doubted, opened, err) != 0)
        return -1;
    return store_old_each(c->store, key, note_old, opened, err);
}

int shell_stored_job(struct coordinator *c, uint64_t key, struct job *job, struct err *err)
{
    struct buf bytes;
    struct signed_view view;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    int result = store_push_blobs(c->store, key, &bytes, NULL, err);
    if (result == 0 && (signed_open(bytes.data, bytes.size, SIGNED_JOB, NULL, &view, err) != 0 ||
                        wire_decode_job(view.payload, view.payload_size, job, err) != 0))
        result = err_wrap(err, "stored job");
    buf_release(&bytes);
    return result;
}

const char *shell_start_until(const struct job *job, char text[SHELL_TIME_SIZE])
{
    time_t until_s = (time_t)job_start_until_unix_s(job);
    struct tm parts;
    if (until_s <= 0 || gmtime_r(&until_s, &parts) == NULL ||
        strftime(text, SHELL_TIME_SIZE, "%Y-%m-%d %H:%M UTC", &parts) == 0)
        return NULL;
    return text;
}

int shell_open_push(struct coordinator *c, uint64_t key, struct err *err)
{
    struct push_summary summary;
    struct store_recovery recovery;
    struct job job = {0};
    char start_until[SHELL_TIME_SIZE];
    if (store_summary(c->store, key, &summary, err) != 0 ||
        shell_stored_job(c, key, &job, err) != 0 ||
        store_recovery(c->store, key, &recovery, err) != 0)
        return -1;
    uint8_t *states = mem_new(recovery.target_count + 1U, sizeof *states);
    uint16_t *sites = mem_new(recovery.target_count + 1U, sizeof *sites);
    struct dispatch_history *history = mem_new(recovery.lease_count + 1U, sizeof *history);
    for (uint32_t i = 0; i < recovery.lease_count; i++)
        history[i] = (struct dispatch_history){recovery.leases[i].relay, recovery.leases[i].mark,
                                               recovery.leases[i].attempt_max};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    uint16_t *relays = NULL;
    size_t relay_count = 0;
    int result = sealed_able(c, key, &job, &relays, &relay_count, err);
    event.push_opened = (struct dispatch_push_opened){
        .key = key,
        .push = summary.push,
        .generation = summary.generation,
        .state = summary.state,
        .not_after_unix_s = recovery.not_after_unix_s,
        .counter = job.counter,
        .wait = summary.wait,
        .wait_until_unix_s = job_wait_until_unix_s(&job),
        .starts_later = job.start_unix_s != 0,
        .start_until = shell_start_until(&job, start_until),
        .fail_stop_count = recovery.fail_stop_count,
        .target_count = recovery.target_count,
        .sites = sites,
        .states = states,
        .relays = relays,
        .relay_count = relay_count,
        .history = history,
        .history_count = recovery.lease_count,
        .restored = key <= c->restored_key,
    };
    if (result == 0)
        result = note_targets(c, key, &event.push_opened, err);
    if (result == 0)
        shell_step(c, &event);
    free(relays);
    free(recovery.leases);
    free(states);
    free(sites);
    free(history);
    return result;
}

static int recover_ended(struct coordinator *c, struct err *err)
{
    uint64_t keys[RECENT_PUSHES_MAX];
    uint32_t count = 0;
    if (store_push_keys(c->store, STORE_PUSHES_CLOSED, keys, RECENT_PUSHES_MAX, &count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct push_summary summary;
        if (store_summary(c->store, keys[i], &summary, err) != 0)
            return -1;
        struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
        event.push_ended.push = summary.push;
        event.push_ended.generation = summary.generation;
        shell_step(c, &event);
    }
    return 0;
}

uint64_t *shell_push_keys(struct coordinator *c, enum store_which which, uint32_t max,
                          uint32_t *count, struct err *err)
{
    uint32_t room = RECENT_PUSHES_MAX;
    for (;;) {
        uint64_t *keys = mem_new(room, sizeof *keys);
        if (store_push_keys(c->store, which, keys, room, count, err) != 0) {
            free(keys);
            return NULL;
        }
        if (*count < room || room >= max)
            return keys;
        free(keys);
        room *= 2;
    }
}

static int recover_pushes(struct coordinator *c, enum store_which which, uint32_t max,
                          struct err *err)
{
    uint32_t count = 0;
    uint64_t *keys = shell_push_keys(c, which, max, &count, err);
    int result = keys != NULL ? 0 : -1;
    for (uint32_t i = 0; result == 0 && i < count; i++)
        result = which == STORE_PUSHES_OPEN ? routing_open(c, keys[i], err)
                                            : shell_open_push(c, keys[i], err);
    free(keys);
    if (result == 0 && count > 0 && which == STORE_PUSHES_OPEN)
        log_info("going on with %u open pushes", count);
    return result;
}

/* Private mode: the one relay, by its key. */
static int recover_private(struct coordinator *c, struct err *err)
{
    struct store_relay relay;
    uint8_t key[LIMIT_KEY_BYTES];
    if (files_read_key(c->options.relay_key, key, err) != 0 ||
        store_site(c->store, COORDINATOR_SITE, &c->site, err) != 0 ||
        store_relay(c->store, key, c->site, &relay, err) != 0)
        return -1;
    return relays_recover(c, relay.relay, err);
}

static int recover_sites(struct coordinator *c, struct err *err)
{
    if (trust_recover(c, err) != 0 || enrol_recover(c, err) != 0)
        return -1;
    return relays_recover(c, STORE_RELAY_NONE, err);
}

/* It may have been stopped or cancelled since the copy was made, and relays may know a newer job:
 * whoever resumes it signs one that is above all of that. */
static int stop_restored(struct coordinator *c, uint64_t key, struct err *err)
{
    struct push_summary summary;
    char id[PUSH_ID_TEXT_SIZE];
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    if (summary.state != PUSH_OPEN)
        return 0;
    push_id_text(&summary.push, id);
    log_warning("push %s is stopped: resume it, or cancel it", id);
    return store_push_state(c->store, key, PUSH_STOPPED, clock_unix_ms(), err);
}

/* Also a push that is closed in the copy: it may have been tried again since. */
static int note_restored(struct coordinator *c, struct err *err)
{
    static const enum store_which kinds[] = {STORE_PUSHES_OPEN, STORE_PUSHES_UNKNOWN,
                                             STORE_PUSHES_CLOSED};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        uint32_t count = 0;
        uint64_t *keys = shell_push_keys(c, kinds[kind], UINT32_MAX, &count, err);
        if (keys == NULL)
            return -1;
        int result = 0;
        for (uint32_t i = 0; i < count && result == 0; i++) {
            if (keys[i] > c->restored_key)
                c->restored_key = keys[i];
            if (kinds[kind] == STORE_PUSHES_OPEN)
                result = stop_restored(c, keys[i], err);
        }
        free(keys);
        if (result != 0)
            return -1;
    }
    log_warning("the store is an old copy: whatever it says no relay had may have been had");
    return 0;
}

static int recover(struct coordinator *c, struct err *err)
{
    if (c->options.restored && note_restored(c, err) != 0)
        return -1;
    if (store_upload_sweep(c->store, err) != 0 ||
        (trust_has_sites(c) ? recover_sites(c, err) : recover_private(c, err)) != 0 ||
        routing_start(c, err) != 0 || recover_ended(c, err) != 0 ||
        recover_pushes(c, STORE_PUSHES_UNKNOWN, RECENT_PUSHES_MAX, err) != 0 ||
        recover_pushes(c, STORE_PUSHES_OPEN, UINT32_MAX, err) != 0)
        return -1;
    return store_commit(c->store, err);
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
    if (open_state(c, err) == 0 && recover(c, err) == 0 &&
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
