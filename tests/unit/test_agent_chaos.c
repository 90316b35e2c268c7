/* The relay's core under random loss, repetition, delay, crashes, restarts and stops, with fixed
 * seeds. A small coordinator, a journal and a stage runner are played here; what must always hold
 * is checked at every effect, and after the world has healed every target must be terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/core/agent.h"

#define TARGETS 40U
#define QUEUE_MAX 20000U
#define LEASE_MS 20000U
#define HEARTBEAT_MS 5000U
#define RESEND_MS 15000U
#define SEEDS 1000U
#define CHAOS_MS 240000U
#define HEAL_MS 3000000U

enum item_kind { ITEM_TO_RELAY, ITEM_TO_COORDINATOR, ITEM_STAGE, ITEM_CONNECTED, ITEM_PACKAGE };

/* Something on its way. */
struct item {
    uint64_t at_ms;
    enum item_kind kind;
    uint32_t life; /* ITEM_STAGE, ITEM_CONNECTED, ITEM_PACKAGE: of the relay process */
    struct message message;
    struct lease_entry entries[TARGETS];
    struct result_row rows[TARGETS];
    char names[TARGETS][8];
    struct agent_stage_done done;
    bool job;
    uint32_t job_no;
};

struct target {
    /* the relay's journal */
    bool intent, outcome, acked;
    uint32_t outcome_attempt;
    /* what was seen */
    uint32_t plain_schedules; /* SCHEDULE runs that were not told to look first */
    /* the runner */
    uint64_t key;
    bool running, session;
    bool held; /* connected, no logon yet */
    enum stage stage;
    /* the coordinator */
    bool leased, terminal;
    uint32_t attempt;
    uint64_t leased_at_ms;
};

struct sim {
    uint64_t seed, now_ms, unix_ms, timer_ms;
    struct agent *agent;
    struct agent_effects effects;
    struct agent_config config;
    uint32_t life;
    struct target targets[TARGETS];
    struct item *items;
    uint32_t item_count;
    bool healed, closed_at_relay, stop_seen, job_seen;
    bool wrong_password;
    uint32_t refusals; /* of the password, in this life */
    /* lease as the relay may believe in it */
    uint64_t hello_first_ms, lease_from_ms;
    bool hello_out, leased_once;
    /* coordinator */
    bool live, stopped, closed, relay_link;
    uint64_t epoch, instance, heard_ms;
    int64_t not_after_ms;
};

static const struct push_id push = {{7}};
static struct item item_store[QUEUE_MAX];

static uint64_t draw(struct sim *sim)
{
    sim->seed ^= sim->seed << 13;
    sim->seed ^= sim->seed >> 7;
    sim->seed ^= sim->seed << 17;
    return sim->seed * 0x2545F4914F6CDD1DULL >> 11;
}

static bool chance(struct sim *sim, uint32_t percent)
{
    return draw(sim) % 100 < percent;
}

static void must(struct sim *sim, bool holds, const char *what)
{
    if (!holds)
        fail_msg("at %llu ms: %s", (unsigned long long)sim->now_ms, what);
}

static struct item *later(struct sim *sim, enum item_kind kind, uint64_t delay_ms)
{
    must(sim, sim->item_count < QUEUE_MAX, "too many items");
    struct item *item = &sim->items[sim->item_count++];
    memset(item, 0, sizeof *item);
    item->kind = kind;
    item->at_ms = sim->now_ms + delay_ms;
    item->life = sim->life;
    return item;
}

/* A message both ways: lost, late, or twice while the world is not healed. */
static void post(struct sim *sim, const struct item *from, enum item_kind kind)
{
    uint32_t copies = 1;
    if (!sim->healed)
        copies = chance(sim, 15) ? 0 : chance(sim, 10) ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t delay = 1 + draw(sim) % 30;
        if (!sim->healed && chance(sim, 10))
            delay += draw(sim) % 8000;
        struct item *item = later(sim, kind, delay);
        uint64_t at_ms = item->at_ms;
        *item = *from;
        item->kind = kind;
        item->at_ms = at_ms;
    }
}

static struct item scratch;

static struct item *draft(enum message_kind kind)
{
    memset(&scratch, 0, sizeof scratch);
    scratch.message.kind = kind;
    return &scratch;
}

static void step(struct sim *sim, struct agent_event *event);

static void start_relay(struct sim *sim)
{
    sim->life++;
    sim->refusals = 0;
    sim->config.hello.instance = draw(sim);
    sim->agent = agent_new(&sim->config);
    sim->timer_ms = UINT64_MAX;
    sim->hello_out = sim->leased_once = sim->job_seen = false;
    sim->stop_seen = false;
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &sim->targets[i];
        target->running = target->session = target->held = false;
        target->key = 0;
        struct agent_event event = {.kind = AGENT_JOURNAL_INTENT};
        event.journal.ref = (struct agent_ref){
            .push = push, .generation = 1, .target_no = i, .attempt = target->outcome_attempt};
        event.journal.acked = target->acked;
        if (target->outcome)
            event.kind = AGENT_JOURNAL_OUTCOME;
        if (target->outcome || target->intent)
            step(sim, &event);
    }
    struct agent_event up = {.kind = AGENT_LINK_UP};
    step(sim, &up);
}

static void crash(struct sim *sim)
{
    agent_free(sim->agent);
    sim->agent = NULL;
}

static void check_windows(struct sim *sim)
{
    uint32_t runs[STAGE_COUNT] = {0};
    uint32_t sessions = 0;
    for (uint32_t i = 0; i < TARGETS; i++) {
        runs[sim->targets[i].stage] += sim->targets[i].running;
        sessions += sim->targets[i].session;
    }
    must(sim, runs[STAGE_RESOLVE] <= sim->config.resolve_max, "too many resolves");
    must(sim, runs[STAGE_PING] <= sim->config.ping_max, "too many pings");
    must(sim, sessions <= sim->config.session_max, "too many sessions");
}

static void plan_result(struct sim *sim, uint64_t key, enum stage stage)
{
    struct item *item = later(sim, ITEM_STAGE, 1 + draw(sim) % 3000);
    item->done.key = key;
    item->done.stage = stage;
    item->done.tries = 1;
    if (stage == STAGE_ACCESS && sim->wrong_password) {
        item->done.verdict = AGENT_FAILED;
        item->done.reason = REASON_LOGON_FAILURE;
    }
    if (sim->healed || chance(sim, 85))
        return;
    item->done.verdict = AGENT_FAILED;
    item->done.reason = stage == STAGE_ACCESS ? REASON_CONN_LOST : REASON_DISK_FULL;
    if (stage == STAGE_SCHEDULE && chance(sim, 70)) {
        item->done.verdict = AGENT_EFFECT_UNKNOWN;
        item->done.reason = REASON_CONN_LOST;
    }
}

/* NEGOTIATE is answered, some time, or never. */
static void plan_connection(struct sim *sim, uint64_t key)
{
    struct item *item = later(sim, ITEM_CONNECTED, 1 + draw(sim) % 5000);
    item->done.key = key;
    item->done.stage = STAGE_ACCESS;
    if (sim->healed || chance(sim, 85))
        return;
    item->kind = ITEM_STAGE;
    item->done.verdict = AGENT_FAILED;
    item->done.reason = REASON_CONNECT_TIMEOUT;
}

static struct target *target_of(struct sim *sim, uint64_t key)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        if (sim->targets[i].key == key)
            return &sim->targets[i];
    }
    return NULL;
}

static void must_have_lease(struct sim *sim, const char *what)
{
    must(sim, sim->leased_once && sim->now_ms < sim->lease_from_ms + LEASE_MS * 8 / 10, what);
}

static void on_logon(struct sim *sim, uint64_t key)
{
    struct target *target = target_of(sim, key);
    if (!target || !target->held) {
        must(sim, false, "a logon of nobody who waits for it");
        return;
    }
    must(sim, !sim->stop_seen || target->intent, "a logon after STOP");
    must(sim, (int64_t)sim->unix_ms < sim->not_after_ms || target->intent,
         "a logon after not_after");
    must_have_lease(sim, "a logon after the lease");
    must(sim, sim->refusals < sim->config.logon_failures_max, "a logon that locks the account");
    target->held = false;
    target->session = true;
    check_windows(sim);
    if (!sim->healed && chance(sim, 10))
        plan_connection(sim, key); /* lost, and made again */
    else
        plan_result(sim, key, STAGE_ACCESS);
}

static void on_run(struct sim *sim, const struct agent_effect *effect)
{
    uint32_t no = 0;
    for (const char *digit = effect->run.target + 1; *digit; digit++)
        no = no * 10 + (uint32_t)(*digit - '0');
    must(sim, no < TARGETS, "a target nobody leased");
    struct target *target = &sim->targets[no];
    must(sim, !target->running, "two stages of one target at once");
    must(sim, !target->outcome, "a stage after the outcome");
    must(sim, !sim->closed_at_relay, "a stage after CLOSE");
    must(sim, sim->job_seen, "a stage without a job");
    must(sim, (int64_t)sim->unix_ms < sim->not_after_ms || target->intent,
         "a stage after not_after");
    must(sim, !sim->stop_seen || target->intent, "a stage after STOP");
    must_have_lease(sim, "a stage after the lease");
    if (effect->run.stage == STAGE_SCHEDULE) {
        must(sim, target->intent || effect->run.look_only, "SCHEDULE without INTENT");
        if (!effect->run.read_back)
            target->plain_schedules++;
        must(sim, target->plain_schedules <= 1, "SCHEDULE twice without looking");
        must(sim, !sim->stop_seen || effect->run.look_only, "may register after STOP");
        must(sim, (int64_t)sim->unix_ms < sim->not_after_ms || effect->run.look_only,
             "may register after not_after");
    }
    if (target->key != effect->run.key) {
        must(sim, target->key == 0, "a new key while the old one is open");
        must(sim, effect->run.stage == STAGE_RESOLVE, "a new key not from the first stage");
    }
    target->key = effect->run.key;
    target->running = true;
    target->stage = effect->run.stage;
    target->session = effect->run.stage > STAGE_ACCESS;
    check_windows(sim);
    must(sim, effect->run.hold_logon == (effect->run.stage == STAGE_ACCESS), "an unheld logon");
    if (effect->run.hold_logon)
        plan_connection(sim, effect->run.key);
    else
        plan_result(sim, effect->run.key, effect->run.stage);
}

static void on_drop(struct sim *sim, uint64_t key)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &sim->targets[i];
        if (target->key == key) {
            target->running = target->session = target->held = false;
            target->key = 0;
            return;
        }
    }
    must(sim, false, "an unknown key is dropped");
}

static void send_rows(struct sim *sim, const struct agent_effect *effect)
{
    struct item *item = draft(MESSAGE_RESULTS);
    item->message.results.epoch = effect->rows.epoch;
    item->message.results.sequence = effect->rows.sequence;
    item->message.results.row_count = effect->rows.ref_count;
    for (uint32_t i = 0; i < effect->rows.ref_count; i++) {
        const struct agent_ref *ref = &sim->effects.refs[effect->rows.first_ref + i];
        const struct target *target = &sim->targets[ref->target_no];
        bool cancelled = effect->kind == AGENT_SEND_CANCELLED;
        if (!cancelled)
            must(sim, target->outcome && target->outcome_attempt == ref->attempt,
                 "a row that the journal has not");
        item->rows[i].target_no = ref->target_no;
        item->rows[i].attempt = ref->attempt;
        item->rows[i].outcome.state = cancelled ? TARGET_CANCELLED : TARGET_FAILED;
    }
    post(sim, item, ITEM_TO_COORDINATOR);
}

static void persist_outcome(struct sim *sim, const struct agent_ref *ref)
{
    struct target *target = &sim->targets[ref->target_no];
    must(sim, !target->outcome, "a second outcome");
    must(sim, !sim->closed_at_relay, "an outcome after CLOSE");
    target->outcome = true;
    target->acked = false;
    target->intent = false;
    target->outcome_attempt = ref->attempt;
}

static void forget_push(struct sim *sim)
{
    sim->closed_at_relay = true;
    for (uint32_t i = 0; i < TARGETS; i++)
        sim->targets[i].intent = sim->targets[i].outcome = false;
}

static void say_hello(struct sim *sim, const struct agent_effect *effect)
{
    if (!sim->hello_out)
        sim->hello_first_ms = sim->now_ms;
    sim->hello_out = true;
    struct item *item = draft(MESSAGE_HELLO);
    item->message.hello = effect->hello;
    post(sim, item, ITEM_TO_COORDINATOR);
}

static void carry_out(struct sim *sim, const struct agent_effect *effect)
{
    const struct agent_ref *ref = &effect->persist.ref;
    struct item *item;
    switch (effect->kind) {
    case AGENT_PERSIST_INTENT:
        must(sim, !sim->targets[ref->target_no].intent, "a second INTENT");
        sim->targets[ref->target_no].intent = true;
        break;
    case AGENT_PERSIST_OUTCOME:
        persist_outcome(sim, ref);
        break;
    case AGENT_JOURNAL_RENEW:
        must(sim, sim->targets[ref->target_no].outcome, "nothing to renew");
        sim->targets[ref->target_no].outcome_attempt = ref->attempt;
        sim->targets[ref->target_no].acked = false;
        break;
    case AGENT_JOURNAL_ACKED:
        for (uint32_t i = 0; i < effect->rows.ref_count; i++)
            sim->targets[sim->effects.refs[effect->rows.first_ref + i].target_no].acked = true;
        break;
    case AGENT_JOURNAL_FORGET:
        forget_push(sim);
        break;
    case AGENT_SEND_HELLO:
        say_hello(sim, effect);
        break;
    case AGENT_SEND_HEARTBEAT:
        item = draft(MESSAGE_HEARTBEAT);
        item->message.heartbeat = effect->heartbeat;
        post(sim, item, ITEM_TO_COORDINATOR);
        break;
    case AGENT_SEND_PERMIT_GET: /* no account is shared here */
        break;
    case AGENT_SEND_RESULTS:
    case AGENT_SEND_CANCELLED:
    case AGENT_SEND_SCHEDULED:
        send_rows(sim, effect);
        break;
    case AGENT_RUN_STAGE:
        on_run(sim, effect);
        break;
    case AGENT_LOGON:
        on_logon(sim, effect->key);
        break;
    case AGENT_DROP:
        on_drop(sim, effect->key);
        break;
    case AGENT_FETCH_PACKAGE:
        later(sim, ITEM_PACKAGE, 1 + draw(sim) % 10000)->job_no = effect->job_no;
        break;
    case AGENT_ARM_TIMER:
        must(sim, effect->timer_ms > sim->now_ms, "a timer in the past");
        sim->timer_ms = effect->timer_ms;
        break;
    case AGENT_REMOVE_JOB:
    case AGENT_FINISHED:
        break;
    }
}

/* Effects are carried out in order, unless the relay dies between two of them. */
static void step(struct sim *sim, struct agent_event *event)
{
    event->now_ms = sim->now_ms;
    event->now_unix_ms = sim->unix_ms;
    agent_step(sim->agent, event, &sim->effects);
    size_t until = sim->effects.count;
    bool dies = !sim->healed && sim->life > 0 && until > 0 && draw(sim) % 800 == 0;
    if (dies)
        until = draw(sim) % (until + 1);
    for (size_t i = 0; i < until; i++)
        carry_out(sim, &sim->effects.items[i]);
    check_windows(sim);
    if (dies) {
        crash(sim);
        start_relay(sim);
    }
}

/* The coordinator. */

static void take_back(struct sim *sim)
{
    for (uint32_t i = 0; i < TARGETS; i++)
        sim->targets[i].leased = false;
}

static void send_job(struct sim *sim)
{
    struct item *item = draft(MESSAGE_JOB);
    item->job = true;
    post(sim, item, ITEM_TO_RELAY);
}

static void send_ref(struct sim *sim, enum message_kind kind)
{
    struct item *item = draft(kind);
    item->message.push_ref = (struct message_push_ref){sim->epoch, push, 1, 1};
    post(sim, item, ITEM_TO_RELAY);
}

static void add_entry(struct item *item, uint32_t no, uint32_t attempt)
{
    uint32_t i = item->message.lease.entry_count++;
    (void)snprintf(item->names[i], sizeof item->names[i], "t%u", no);
    item->entries[i] = (struct lease_entry){no, attempt, NULL};
}

/* Leases what is free, and again what is long out; under STOP only the latter is asked for. */
static void send_leases(struct sim *sim, bool repeat_all)
{
    struct item *item = draft(MESSAGE_LEASE);
    if (!sim->live || sim->closed)
        return;
    item->message.lease.epoch = sim->epoch;
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &sim->targets[i];
        bool old =
            target->leased && (repeat_all || sim->now_ms >= target->leased_at_ms + RESEND_MS);
        if (target->terminal || (target->leased && !old))
            continue;
        if (!target->leased)
            target->attempt++;
        target->leased = true;
        target->leased_at_ms = sim->now_ms;
        add_entry(item, i, target->attempt);
    }
    if (item->message.lease.entry_count == 0)
        return;
    struct item lease = *item;
    send_job(sim);
    if (sim->stopped)
        send_ref(sim, MESSAGE_STOP);
    post(sim, &lease, ITEM_TO_RELAY);
}

static void on_hello(struct sim *sim, const struct message_hello *hello)
{
    bool reconnect = sim->live && hello->instance == sim->instance;
    if (!reconnect) {
        sim->epoch++;
        take_back(sim);
    }
    sim->live = true;
    sim->instance = hello->instance;
    sim->heard_ms = sim->now_ms;
    struct item *item = draft(MESSAGE_WELCOME);
    item->message.welcome =
        (struct message_welcome){sim->epoch, LEASE_MS, HEARTBEAT_MS, hello->instance, 0};
    post(sim, item, ITEM_TO_RELAY);
    send_leases(sim, true);
    if (sim->closed)
        send_ref(sim, MESSAGE_CLOSE);
}

static void on_rows(struct sim *sim, const struct item *item)
{
    const struct message_results *results = &item->message.results;
    for (uint32_t i = 0; i < results->row_count; i++) {
        struct target *target = &sim->targets[item->rows[i].target_no];
        must(sim, item->rows[i].attempt <= target->attempt, "an attempt nobody gave out");
        bool dropped = item->rows[i].outcome.state == TARGET_CANCELLED;
        if (!dropped || sim->stopped)
            target->terminal = true;
        else if (item->rows[i].attempt == target->attempt)
            target->leased = false;
    }
    struct item *ack = draft(MESSAGE_RESULTS_ACK);
    ack->message.results_ack = (struct message_results_ack){results->epoch, results->sequence};
    struct item copy = *ack;
    post(sim, &copy, ITEM_TO_RELAY);
}

static void coordinator_takes(struct sim *sim, const struct item *item)
{
    if (item->message.kind == MESSAGE_HELLO) {
        on_hello(sim, &item->message.hello);
    } else if (item->message.kind == MESSAGE_HEARTBEAT) {
        if (!sim->live || item->message.heartbeat.epoch != sim->epoch)
            return;
        sim->heard_ms = sim->now_ms;
        struct item *ack = draft(MESSAGE_HEARTBEAT_ACK);
        ack->message.heartbeat_ack =
            (struct message_heartbeat_ack){sim->epoch, item->message.heartbeat.sent_boottime_ms};
        struct item copy = *ack;
        post(sim, &copy, ITEM_TO_RELAY);
        send_leases(sim, false);
    } else if (sim->live && item->message.results.epoch == sim->epoch) {
        struct item copy = *item;
        on_rows(sim, &copy);
    }
}

static void coordinator_time(struct sim *sim)
{
    if (sim->live && sim->now_ms >= sim->heard_ms + LEASE_MS) {
        sim->live = false;
        take_back(sim);
    }
}

/* The relay's side of a message. */

static void note_lease(struct sim *sim, const struct message *message)
{
    if (message->kind == MESSAGE_WELCOME && sim->hello_out) {
        sim->hello_out = false;
        sim->lease_from_ms = sim->hello_first_ms;
        sim->leased_once = true;
    } else if (message->kind == MESSAGE_HEARTBEAT_ACK && sim->leased_once &&
               message->heartbeat_ack.epoch == agent_counters(sim->agent).epoch &&
               message->heartbeat_ack.sent_boottime_ms > sim->lease_from_ms) {
        sim->lease_from_ms = message->heartbeat_ack.sent_boottime_ms;
    } else if (message->kind == MESSAGE_STOP && sim->job_seen &&
               message->push_ref.epoch == agent_counters(sim->agent).epoch) {
        sim->stop_seen = true;
    }
}

static void relay_takes_job(struct sim *sim)
{
    if (sim->closed_at_relay || agent_knows_job(sim->agent, &push, 1, 1))
        return;
    struct agent_job job = {
        .push = push,
        .generation = 1,
        .accepted = true,
        .counter = 1,
        .not_after_unix_ms = sim->not_after_ms,
        .job_no = sim->life,
        .credential_no = sim->life,
    };
    struct agent_event event = {.kind = AGENT_JOB, .job = &job};
    sim->job_seen = true;
    step(sim, &event);
}

static void relay_takes(struct sim *sim, struct item *item)
{
    struct agent_event event = {.kind = AGENT_TICK};
    const struct message *message = &item->message;
    note_lease(sim, message);
    if (item->job) {
        relay_takes_job(sim);
        return;
    }
    if (message->kind == MESSAGE_WELCOME) {
        event.kind = AGENT_WELCOME;
        event.welcome = message->welcome;
    } else if (message->kind == MESSAGE_HEARTBEAT_ACK) {
        event.kind = AGENT_HEARTBEAT_ACK;
        event.heartbeat_ack = message->heartbeat_ack;
    } else if (message->kind == MESSAGE_RESULTS_ACK) {
        event.kind = AGENT_RESULTS_ACK;
        event.results_ack = message->results_ack;
    } else if (message->kind == MESSAGE_STOP || message->kind == MESSAGE_CLOSE) {
        event.kind = message->kind == MESSAGE_STOP ? AGENT_STOP : AGENT_CLOSE;
        event.push_ref = message->push_ref;
    } else {
        for (uint32_t i = 0; i < message->lease.entry_count; i++)
            item->entries[i].name = item->names[i];
        event.kind = AGENT_LEASE;
        event.lease = (struct agent_lease){.epoch = message->lease.epoch,
                                           .push = push,
                                           .generation = 1,
                                           .verified = true,
                                           .entries = item->entries,
                                           .entry_count = message->lease.entry_count};
    }
    step(sim, &event);
}

static void relay_done(struct sim *sim, const struct agent_stage_done *done)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &sim->targets[i];
        if (target->key != done->key || !target->running || target->stage != done->stage)
            continue;
        target->running = false;
        sim->refusals += done->reason == REASON_LOGON_FAILURE;
        if (done->verdict == AGENT_EFFECT_UNKNOWN)
            target->session = false;
        struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = done};
        step(sim, &event);
        return;
    }
}

static void relay_connected(struct sim *sim, uint64_t key)
{
    struct target *target = target_of(sim, key);
    if (!target || !target->running || target->stage != STAGE_ACCESS)
        return;
    target->held = true;
    target->session = false; /* if it had one: it asks again */
    struct agent_event event = {.kind = AGENT_CONNECTED, .key = key};
    step(sim, &event);
}

static void deliver(struct sim *sim, struct item *item)
{
    struct agent_event event = {.kind = AGENT_PACKAGE_READY};
    switch (item->kind) {
    case ITEM_TO_RELAY:
        relay_takes(sim, item);
        break;
    case ITEM_TO_COORDINATOR:
        coordinator_takes(sim, item);
        break;
    case ITEM_STAGE:
        if (item->life == sim->life)
            relay_done(sim, &item->done);
        break;
    case ITEM_CONNECTED:
        if (item->life == sim->life)
            relay_connected(sim, item->done.key);
        break;
    case ITEM_PACKAGE:
        event.package.job_no = item->job_no;
        if (item->life == sim->life)
            step(sim, &event);
        break;
    }
}

static uint64_t next_time(const struct sim *sim, uint32_t *which)
{
    uint64_t at = sim->timer_ms;
    *which = UINT32_MAX;
    for (uint32_t i = 0; i < sim->item_count; i++) {
        if (sim->items[i].at_ms < at) {
            at = sim->items[i].at_ms;
            *which = i;
        }
    }
    return at;
}

static void tick(struct sim *sim)
{
    struct agent_event event = {.kind = AGENT_TICK};
    sim->timer_ms = UINT64_MAX;
    step(sim, &event);
}

static void advance(struct sim *sim)
{
    uint32_t which;
    uint64_t at = next_time(sim, &which);
    must(sim, at != UINT64_MAX, "nothing will ever happen again");
    if (at > sim->now_ms) {
        sim->unix_ms += at - sim->now_ms;
        sim->now_ms = at;
    }
    coordinator_time(sim);
    if (which == UINT32_MAX) {
        tick(sim);
        return;
    }
    struct item item = sim->items[which];
    sim->items[which] = sim->items[--sim->item_count];
    deliver(sim, &item);
    if (!sim->healed && draw(sim) % 2000 == 0) {
        struct agent_event up = {.kind = AGENT_LINK_UP};
        sim->hello_out = false;
        step(sim, &up);
    }
}

static bool all_terminal(const struct sim *sim)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        if (!sim->targets[i].terminal)
            return false;
    }
    return true;
}

static void sim_init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed * 0x9E3779B97F4A7C15ULL + 1;
    sim->items = item_store;
    sim->now_ms = 1000;
    sim->unix_ms = 1700000000000ULL;
    agent_config_defaults(&sim->config);
    sim->config.resolve_max = 1 + (uint32_t)(draw(sim) % 5);
    sim->config.ping_max = 1 + (uint32_t)(draw(sim) % 5);
    sim->config.connect_max = 1 + (uint32_t)(draw(sim) % 8);
    sim->config.session_max = 1 + (uint32_t)(draw(sim) % 8);
    sim->config.package_wait_max = 1 + (uint32_t)(draw(sim) % 3);
    sim->config.results_in_flight = 1 + (uint32_t)(draw(sim) % 3);
    sim->wrong_password = chance(sim, 10);
    sim->not_after_ms =
        (int64_t)sim->unix_ms + (chance(sim, 30) ? 60000 : 1000000) + (int64_t)(draw(sim) % 60000);
    start_relay(sim);
}

static void run_seed(uint64_t seed)
{
    static struct sim sim;
    sim_init(&sim, seed);
    uint64_t stop_ms = chance(&sim, 30) ? 20000 + draw(&sim) % 60000 : UINT64_MAX;
    while (sim.now_ms < CHAOS_MS) {
        advance(&sim);
        if (!sim.stopped && sim.now_ms >= stop_ms) {
            sim.stopped = true;
            send_ref(&sim, MESSAGE_STOP);
        }
    }
    sim.healed = true;
    while (!all_terminal(&sim)) {
        must(&sim, sim.now_ms < HEAL_MS, "not terminal long after all was well");
        advance(&sim);
    }
    sim.closed = true;
    for (uint64_t end_ms = sim.now_ms + 4 * LEASE_MS; sim.now_ms < end_ms;) {
        if (sim.live && draw(&sim) % 3 == 0)
            send_ref(&sim, MESSAGE_CLOSE);
        advance(&sim);
    }
    for (uint32_t i = 0; i < TARGETS; i++)
        must(&sim, !sim.targets[i].intent && !sim.targets[i].outcome, "left after CLOSE");
    struct agent_counters counters = agent_counters(sim.agent);
    assert_int_equal(counters.held, 0);
    assert_int_equal(counters.sessions, 0);
    assert_int_equal(counters.unacknowledged, 0);
    agent_free(sim.agent);
    agent_effects_release(&sim.effects);
}

static void random_worlds_keep_every_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("%s", seed % 100 == 0 ? "." : "");
        run_seed(seed);
    }
    print_message("\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_worlds_keep_every_promise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
