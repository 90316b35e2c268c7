/* The coordinator's core among relays that crash, repeat, delay and lose messages, and crashing
 * itself: seeded, in virtual time. The relays here are a plain model of docs/PROTOCOL.md.
 *
 * What must hold all along: a terminal row never changes, but unknown_effect to known; a row is
 * what a relay journalled; EXPIRED and CANCELLED mean that nothing was registered; credit is never
 * exceeded; JOB before LEASE. After healing every row is terminal and nothing that a relay knows is
 * lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "coordinator/core/dispatch.h"

enum { RELAYS = 3, PUSHES = 3, TARGETS = 40, WIRE_MAX = 4096, SEEDS = 250 };
enum { LEASE_MS = 60000, HEARTBEAT_MS = 10000, GRACE_MS = 120000, RESEND_MS = 120000 };
#define NOT_AFTER_MS UINT64_C(1200000) /* since the start */
#define END_MS UINT64_C(3600000)
#define UNIX_START_MS UINT64_C(7000000000)

struct parcel {
    uint64_t due_ms;
    bool up; /* to the coordinator */
    uint16_t relay;
    struct dispatch_effect effect; /* down */
    struct dispatch_lease leases[TARGETS];
    enum dispatch_event_kind kind; /* up */
    uint64_t epoch, instance, sequence, sent_ms;
    uint32_t credit, row_count;
    struct result_row rows[8];
};

struct relay_target {
    bool held, intent, dropped;
    uint32_t attempt;
    enum target_state outcome; /* TARGET_QUEUED: none */
};

struct relay {
    uint64_t instance, epoch, lease_from_ms, heartbeat_ms, hello_ms, sequence;
    uint32_t credit;
    bool job[PUSHES], stopped[PUSHES], closed[PUSHES];
    struct relay_target targets[PUSHES][TARGETS];
};

/* What a store would hold. */
struct memory {
    bool opened[PUSHES];
    enum push_state state[PUSHES];
    enum target_state rows[PUSHES][TARGETS];
    struct dispatch_history history[PUSHES][RELAYS];
    uint64_t epoch[RELAYS];
};

struct world {
    uint64_t seed, random, now_ms;
    bool healed, shared_sites;
    struct dispatch *core;
    struct dispatch_effects effects;
    struct memory memory;
    struct relay relays[RELAYS];
    struct parcel *wire;
    uint32_t wire_count;
    uint64_t job_sent[PUSHES][RELAYS]; /* epoch of the JOB this core sent last */
    bool registered[PUSHES][TARGETS];  /* the target's own truth */
    uint16_t site_of[TARGETS];
};

#define CHECK(world, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu at %llu: %s", (unsigned long long)(world)->seed,                   \
                     (unsigned long long)(world)->now_ms, #condition);                             \
    } while (0)

static uint32_t below(struct world *w, uint32_t bound)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)((w->random >> 20) % bound);
}

static bool chance(struct world *w, uint32_t percent)
{
    return below(w, 100) < percent;
}

static uint16_t site_of_relay(const struct world *w, uint16_t relay)
{
    return w->shared_sites ? (uint16_t)(relay / 2) : relay;
}

static int push_of(const struct push_id *id)
{
    return id->bytes[0] - 1;
}

static struct push_id id_of(int push)
{
    struct push_id id = {{(uint8_t)(push + 1)}};
    return id;
}

/* ---- the wire ---- */

static struct parcel *post(struct world *w, uint16_t relay, bool up)
{
    static struct parcel lost;
    if (w->wire_count == WIRE_MAX || (!w->healed && chance(w, 8)))
        return &lost;
    struct parcel *parcel = &w->wire[w->wire_count++];
    memset(parcel, 0, sizeof *parcel);
    parcel->relay = relay;
    parcel->up = up;
    parcel->due_ms = w->now_ms + below(w, w->healed ? 300 : 9000);
    return parcel;
}

static void repeat_some(struct world *w)
{
    if (w->healed || w->wire_count == 0 || w->wire_count == WIRE_MAX || !chance(w, 5))
        return;
    w->wire[w->wire_count] = w->wire[below(w, w->wire_count)];
    w->wire[w->wire_count++].due_ms += below(w, 30000);
}

/* ---- the coordinator and its store ---- */

static void step(struct world *w, struct dispatch_event *event);

static void open_in_core(struct world *w, int push)
{
    uint8_t states[TARGETS];
    struct dispatch_history history[RELAYS];
    size_t history_count = 0;
    for (int no = 0; no < TARGETS; no++)
        states[no] = (uint8_t)w->memory.rows[push][no];
    for (int relay = 0; relay < RELAYS; relay++)
        if (w->memory.history[push][relay].mark > 0)
            history[history_count++] = w->memory.history[push][relay];
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){
        .key = (uint64_t)push + 1,
        .push = id_of(push),
        .generation = 1,
        .state = w->memory.state[push],
        .not_after_unix_s = (int64_t)((UNIX_START_MS + NOT_AFTER_MS) / 1000),
        .target_count = TARGETS,
        .sites = w->site_of,
        .states = states,
        .history = history,
        .history_count = history_count,
    };
    step(w, &event);
}

static void start_core(struct world *w)
{
    const struct dispatch_config config = {LEASE_MS, HEARTBEAT_MS, GRACE_MS, RESEND_MS};
    dispatch_free(w->core);
    w->core = dispatch_new(&config);
    memset(w->job_sent, 0, sizeof w->job_sent);
    for (uint16_t relay = 0; relay < RELAYS; relay++) {
        struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
        event.relay_known =
            (struct dispatch_relay_known){relay, site_of_relay(w, relay), w->memory.epoch[relay]};
        step(w, &event);
    }
    for (int push = 0; push < PUSHES; push++) {
        bool unknown = false;
        for (int no = 0; no < TARGETS; no++)
            unknown |= w->memory.rows[push][no] == TARGET_UNKNOWN_EFFECT;
        if (w->memory.opened[push] && (w->memory.state[push] != PUSH_CLOSED || unknown)) {
            open_in_core(w, push);
        } else if (w->memory.opened[push]) {
            struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
            event.push_ended.push = id_of(push);
            event.push_ended.generation = 1;
            step(w, &event);
        }
    }
}

static void check_row(struct world *w, int push, uint32_t no, uint16_t relay,
                      const struct outcome *outcome)
{
    enum target_state before = w->memory.rows[push][no];
    enum target_state after = outcome->state;
    CHECK(w, target_state_terminal(after));
    CHECK(w, !target_state_terminal(before) ||
                 (before == TARGET_UNKNOWN_EFFECT && after != TARGET_UNKNOWN_EFFECT));
    if (after == TARGET_EXPIRED || after == TARGET_CANCELLED)
        CHECK(w, !w->registered[push][no]);
    if (after == TARGET_SCHEDULED)
        CHECK(w, w->registered[push][no]);
    if (after == TARGET_SCHEDULED || after == TARGET_FAILED)
        CHECK(w, relay < RELAYS && w->relays[relay].targets[push][no].outcome == after);
}

static void persist(struct world *w, const struct dispatch_effect *e)
{
    int push = push_of(&e->push);
    if (e->kind == DISPATCH_PERSIST_OUTCOME) {
        check_row(w, push, e->target_no, e->relay, e->outcome);
        w->memory.rows[push][e->target_no] = e->outcome->state;
    } else if (e->kind == DISPATCH_PERSIST_LEASE) {
        w->memory.history[push][e->history.relay] = e->history;
    } else if (e->kind == DISPATCH_PERSIST_EPOCH) {
        CHECK(w, e->epoch > w->memory.epoch[e->relay]);
        w->memory.epoch[e->relay] = e->epoch;
    } else if (e->kind == DISPATCH_PERSIST_CLOSED) {
        for (int no = 0; no < TARGETS; no++)
            CHECK(w, target_state_terminal(w->memory.rows[push][no]));
        w->memory.state[push] = PUSH_CLOSED;
    }
}

static void send_effect(struct world *w, const struct dispatch_effect *e)
{
    int push = push_of(&e->push);
    if (e->relay == DISPATCH_RELAY_NONE || e->kind == DISPATCH_PERSIST_OUTCOME ||
        e->kind == DISPATCH_PERSIST_EPOCH)
        return;
    if (e->kind == DISPATCH_SEND_JOB)
        w->job_sent[push][e->relay] = e->epoch;
    if (e->kind == DISPATCH_SEND_LEASE) {
        const struct dispatch_relay_view view = dispatch_relay_look(w->core, e->relay);
        CHECK(w, w->job_sent[push][e->relay] == e->epoch);
        CHECK(w, view.leased <= view.credit || view.credit < w->relays[e->relay].credit);
        CHECK(w, w->memory.history[push][e->relay].mark >
                     w->effects.leases[e->lease_first + e->lease_count - 1].target_no);
    }
    struct parcel *parcel = post(w, e->relay, false);
    parcel->effect = *e;
    for (uint32_t i = 0; i < e->lease_count; i++) {
        parcel->leases[i] = w->effects.leases[e->lease_first + i];
        CHECK(w, i == 0 || parcel->leases[i].target_no > parcel->leases[i - 1].target_no);
        CHECK(w, w->site_of[parcel->leases[i].target_no] == site_of_relay(w, e->relay));
    }
}

/* One turn: all that is to be durable, then the messages, or a crash between any two. */
static void step(struct world *w, struct dispatch_event *event)
{
    event->now_ms = w->now_ms;
    event->now_unix_ms = UNIX_START_MS + w->now_ms;
    dispatch_step(w->core, event, &w->effects);
    bool told = event->kind == DISPATCH_HELLO || event->kind == DISPATCH_HEARTBEAT ||
                event->kind == DISPATCH_RESULTS || event->kind == DISPATCH_TICK;
    bool crash = told && !w->healed && below(w, 400) == 0;
    if (!crash || chance(w, 70)) {
        for (size_t i = 0; i < w->effects.count; i++)
            persist(w, &w->effects.items[i]);
        size_t sent = crash ? below(w, (uint32_t)w->effects.count + 1) : w->effects.count;
        for (size_t i = 0; i < sent; i++)
            send_effect(w, &w->effects.items[i]);
    }
    if (crash)
        start_core(w);
}

/* ---- a relay ---- */

static void restart_relay(struct world *w, struct relay *relay)
{
    relay->instance = (relay->instance + 1) * 1000 + below(w, 1000);
    relay->epoch = 0;
    relay->hello_ms = 0;
    memset(relay->job, 0, sizeof relay->job);
    memset(relay->stopped, 0, sizeof relay->stopped);
    for (int push = 0; push < PUSHES; push++)
        for (int no = 0; no < TARGETS; no++)
            relay->targets[push][no].held = relay->targets[push][no].dropped = false;
}

static bool lease_valid(const struct world *w, const struct relay *relay)
{
    return relay->epoch != 0 && w->now_ms < relay->lease_from_ms + LEASE_MS / 10 * 8;
}

static void finish_target(struct relay_target *target, enum target_state outcome)
{
    target->held = false;
    target->outcome = outcome;
}

static void work_on(struct world *w, struct relay *relay, int push, int no)
{
    struct relay_target *target = &relay->targets[push][no];
    if (!target->held || !chance(w, 10))
        return;
    if (target->intent) { /* the call, or reading back what became of it */
        if (w->now_ms >= NOT_AFTER_MS && !w->registered[push][no]) {
            finish_target(target, TARGET_FAILED);
        } else if (chance(w, 60)) {
            w->registered[push][no] = true;
            finish_target(target, TARGET_SCHEDULED);
        }
        return;
    }
    if (!lease_valid(w, relay) || relay->stopped[push])
        return;
    if (w->now_ms >= NOT_AFTER_MS)
        finish_target(target, TARGET_EXPIRED);
    else if (chance(w, 20))
        finish_target(target, TARGET_FAILED);
    else
        target->intent = true;
}

static void on_lease(struct relay *relay, const struct parcel *parcel)
{
    int push = push_of(&parcel->effect.push);
    if (!relay->job[push] || relay->closed[push])
        return;
    for (uint32_t i = 0; i < parcel->effect.lease_count; i++) {
        struct relay_target *target = &relay->targets[push][parcel->leases[i].target_no];
        if (parcel->leases[i].attempt < target->attempt)
            continue;
        target->attempt = parcel->leases[i].attempt;
        if (target->outcome != TARGET_QUEUED)
            continue;
        if (relay->stopped[push] && !target->intent)
            target->dropped = true;
        else
            target->held = true;
    }
}

static void on_stop(struct relay *relay, int push)
{
    relay->stopped[push] = true;
    for (int no = 0; no < TARGETS; no++) {
        struct relay_target *target = &relay->targets[push][no];
        if (target->held && !target->intent) {
            target->held = false;
            target->dropped = true;
        }
    }
}

static void on_welcome(struct relay *relay, uint64_t epoch)
{
    if (epoch <= relay->epoch)
        return;
    relay->epoch = epoch;
    relay->lease_from_ms = relay->hello_ms;
    memset(relay->job, 0, sizeof relay->job);
    memset(relay->stopped, 0, sizeof relay->stopped);
    for (int push = 0; push < PUSHES; push++)
        for (int no = 0; no < TARGETS; no++)
            relay->targets[push][no].held = relay->targets[push][no].dropped = false;
}

static void relay_hears(struct world *w, const struct parcel *parcel)
{
    struct relay *relay = &w->relays[parcel->relay];
    const struct dispatch_effect *e = &parcel->effect;
    int push = push_of(&e->push);
    if (e->kind == DISPATCH_SEND_WELCOME) {
        on_welcome(relay, e->epoch);
        return;
    }
    if (e->epoch != relay->epoch)
        return;
    if (e->kind == DISPATCH_SEND_HEARTBEAT_ACK && e->sent_boottime_ms > relay->lease_from_ms)
        relay->lease_from_ms = e->sent_boottime_ms;
    if (e->kind == DISPATCH_SEND_JOB)
        relay->job[push] = true;
    if (e->kind == DISPATCH_SEND_LEASE)
        on_lease(relay, parcel);
    if (e->kind == DISPATCH_SEND_STOP)
        on_stop(relay, push);
    if (e->kind == DISPATCH_SEND_CLOSE) {
        relay->closed[push] = true;
        for (int no = 0; no < TARGETS; no++)
            CHECK(w, target_state_terminal(w->memory.rows[push][no]));
    }
}

/* A few rows of what it knows, again and again: acknowledgements only save repetition. */
static void say_results(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    struct parcel *parcel = post(w, number, true);
    parcel->kind = DISPATCH_RESULTS;
    parcel->epoch = relay->epoch;
    parcel->sequence = ++relay->sequence;
    parcel->row_count = 0;
    int start = (int)below(w, PUSHES * TARGETS);
    for (int i = 0; i < PUSHES * TARGETS && parcel->row_count < 8; i++) {
        int push = (start + i) % (PUSHES * TARGETS) / TARGETS;
        int no = (start + i) % TARGETS;
        struct relay_target *target = &relay->targets[push][no];
        bool has = target->outcome != TARGET_QUEUED;
        if ((!has && !target->dropped) || relay->closed[push] || chance(w, 50))
            continue;
        struct result_row *row = &parcel->rows[parcel->row_count++];
        memset(row, 0, sizeof *row);
        row->push = id_of(push);
        row->generation = 1;
        row->target_no = (uint32_t)no;
        row->attempt = target->attempt;
        row->outcome.state = has ? target->outcome : TARGET_CANCELLED;
        row->outcome.reason = has ? REASON_NONE : REASON_CANCELLED;
    }
}

static void relay_lives(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    bool holds = false;
    for (int push = 0; push < PUSHES; push++)
        for (int no = 0; no < TARGETS; no++) {
            work_on(w, relay, push, no);
            holds |= relay->targets[push][no].held;
        }
    if (relay->epoch != 0 && !lease_valid(w, relay) && holds)
        restart_relay(w, relay);
    if (relay->epoch == 0 || w->now_ms > relay->lease_from_ms + LEASE_MS || chance(w, 1)) {
        if (w->now_ms >= relay->hello_ms + 5000) {
            struct parcel *hello = post(w, number, true);
            hello->kind = DISPATCH_HELLO;
            hello->instance = relay->instance;
            hello->credit = relay->credit;
            relay->hello_ms = w->now_ms;
        }
    } else if (w->now_ms >= relay->heartbeat_ms + HEARTBEAT_MS) {
        struct parcel *heartbeat = post(w, number, true);
        heartbeat->kind = DISPATCH_HEARTBEAT;
        heartbeat->epoch = relay->epoch;
        heartbeat->sent_ms = w->now_ms;
        heartbeat->credit = relay->credit;
        relay->heartbeat_ms = w->now_ms;
    }
    if (relay->epoch != 0 && chance(w, 40))
        say_results(w, number);
}

/* ---- the world turns ---- */

static void coordinator_hears(struct world *w, struct parcel *parcel)
{
    struct message_hello hello = {.protocol_version = MESSAGE_PROTOCOL_VERSION,
                                  .instance = parcel->instance,
                                  .credit = parcel->credit};
    struct message_heartbeat heartbeat = {
        .epoch = parcel->epoch, .sent_boottime_ms = parcel->sent_ms, .credit = parcel->credit};
    struct message_results results = {parcel->epoch, parcel->sequence, parcel->rows,
                                      parcel->row_count};
    struct dispatch_event event = {.kind = parcel->kind, .relay = parcel->relay};
    if (parcel->kind == DISPATCH_HELLO)
        event.hello = &hello;
    else if (parcel->kind == DISPATCH_HEARTBEAT)
        event.heartbeat = &heartbeat;
    else
        event.results = &results;
    step(w, &event);
}

static void deliver(struct world *w)
{
    for (uint32_t i = 0; i < w->wire_count;) {
        if (w->wire[i].due_ms > w->now_ms) {
            i++;
            continue;
        }
        struct parcel parcel = w->wire[i];
        w->wire[i] = w->wire[--w->wire_count];
        if (parcel.up)
            coordinator_hears(w, &parcel);
        else
            relay_hears(w, &parcel);
    }
}

static void admin_acts(struct world *w)
{
    int push = (int)below(w, PUSHES);
    if (!w->memory.opened[push]) {
        w->memory.opened[push] = true;
        open_in_core(w, push);
        return;
    }
    enum push_state state = w->memory.state[push];
    if (state == PUSH_CLOSED || state == PUSH_CANCELLING || !chance(w, 30))
        return;
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = (uint64_t)push + 1};
    if (state == PUSH_STOPPED) {
        /* The same deadline, signed again: relays lift the STOP by the JOB's counter. */
        event.kind = DISPATCH_PUSH_RESUMED;
        event.push_resumed.not_after_unix_s = (int64_t)((UNIX_START_MS + NOT_AFTER_MS) / 1000);
        w->memory.state[push] = PUSH_OPEN;
        for (int relay = 0; relay < RELAYS; relay++)
            w->relays[relay].stopped[push] = false;
    } else {
        event.push_stopped.cancel = chance(w, 30);
        w->memory.state[push] = event.push_stopped.cancel ? PUSH_CANCELLING : PUSH_STOPPED;
    }
    step(w, &event);
}

static void turn(struct world *w)
{
    w->now_ms += 200 + below(w, 1500);
    if (w->now_ms > END_MS / 2)
        w->healed = true;
    if (chance(w, 2))
        admin_acts(w);
    deliver(w);
    repeat_some(w);
    for (uint16_t relay = 0; relay < RELAYS; relay++) {
        if (!w->healed && below(w, 300) == 0)
            restart_relay(w, &w->relays[relay]);
        if (w->healed || (w->now_ms / 100000 + relay) % 7 != 0) /* else away */
            relay_lives(w, relay);
    }
    struct dispatch_event tick = {.kind = DISPATCH_TICK};
    step(w, &tick);
}

static void check_end(struct world *w)
{
    for (int push = 0; push < PUSHES; push++) {
        if (!w->memory.opened[push])
            continue;
        CHECK(w, w->memory.state[push] == PUSH_CLOSED);
        for (int no = 0; no < TARGETS; no++) {
            enum target_state row = w->memory.rows[push][no];
            CHECK(w, target_state_terminal(row));
            for (int relay = 0; relay < RELAYS && !w->shared_sites; relay++) {
                enum target_state known = w->relays[relay].targets[push][no].outcome;
                CHECK(w, known == TARGET_QUEUED || known == row);
            }
            if (!w->shared_sites && row == TARGET_UNKNOWN_EFFECT) {
                const struct relay_target *at = &w->relays[w->site_of[no]].targets[push][no];
                CHECK(w, at->outcome == TARGET_QUEUED);
            }
        }
    }
}

static void run_seed(uint64_t seed)
{
    struct world *w = mem_new(1, sizeof *w);
    w->wire = mem_new(WIRE_MAX, sizeof *w->wire);
    w->seed = seed;
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->shared_sites = seed % 2 == 1;
    dispatch_effects_init(&w->effects);
    for (int no = 0; no < TARGETS; no++)
        w->site_of[no] = (uint16_t)below(w, w->shared_sites ? 2 : RELAYS);
    for (uint16_t relay = 0; relay < RELAYS; relay++) {
        w->relays[relay].credit = 1 + below(w, 30);
        restart_relay(w, &w->relays[relay]);
    }
    start_core(w);
    while (w->now_ms < END_MS)
        turn(w);
    check_end(w);
    dispatch_free(w->core);
    dispatch_effects_release(&w->effects);
    free(w->wire);
    free(w);
}

static void pushes_under_faults_keep_the_law(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pushes_under_faults_keep_the_law)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
