/* What the store knows, told to the core: at the start, and when a push is opened or retried. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"
#include "coordinator/files.h"

#define RECENT_PUSHES_MAX 64U

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

int shell_recover(struct coordinator *c, struct err *err)
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
