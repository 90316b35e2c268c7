/* Both cores together: the coordinator's dispatch and relays' agents, every message through the
 * real codec, over links that lose, repeat and delay, with crashes of either side between any two
 * effects, stops, resumes, cancels and a deadline. Seeded, in virtual time.
 *
 * All along: a terminal row never changes, but unknown_effect to known; a row is what a relay
 * journalled; EXPIRED and CANCELLED mean that nothing was registered; nothing is registered after
 * the deadline. At the end, all being well again: every row is terminal, what was registered is
 * known as scheduled or unknown, and no outcome that a relay holds is lost.
 *
 * Some worlds have a failure threshold: a row that it ended was leased to nobody, not before so
 * many had failed; and once so many have, nothing is leased for the first time.
 *
 * Every seed is run twice, the second time with pushes that wait: tasks start later, run for a
 * while and end with a code, or do neither. Then SCHEDULED is no end: what was registered ends with
 * the code that its target gave, once it has ended, or is known as unknown.
 *
 * Usage: test_cores [SEEDS [FIRST]]
 *        test_cores --list FILE     the seeds in FILE, see seeds.txt
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/wire.h"
#include "coordinator/core/dispatch.h"
#include "relay/core/agent.h"

enum { RELAYS = 5, SITES = 3, PUSHES = 2, GENERATIONS = 2, TARGETS = 24, ITEMS_MAX = 8192 };
enum { SLOTS = PUSHES * GENERATIONS }; /* a generation of a push each, the first ones first */
enum { LEASE_MS = 20000, HEARTBEAT_MS = 5000, GRACE_MS = 60000, RESEND_MS = 30000 };
#define CHAOS_MS UINT64_C(200000)
#define NOT_AFTER_SOON_MS UINT64_C(240000) /* some jobs' deadline: in the middle of the trouble */
#define NOT_AFTER_MS UINT64_C(600000)      /* the others': all is done long before */
#define SETTLED_MS UINT64_C(450000)        /* by then an open push is through */
#define WAIT_MORE_MS UINT64_C(150000)      /* from the deadline to the end of all waiting */
#define LOOKS_MS UINT64_C(150000) /* two looks, far apart, may fail before one sees the end */
#define NEVER_MS UINT64_C(1000000000)
#define END_MS UINT64_C(900000)
#define UNIX_START_MS UINT64_C(1790000000000)

enum item_kind { TO_COORDINATOR, TO_RELAY, STAGE_END, PORT_ANSWERED, PACKAGE_HERE };

/* Something on its way. */
struct item {
    uint64_t at_ms;
    enum item_kind kind;
    uint16_t relay;
    uint32_t life;      /* of the relay process, for what is its own */
    uint32_t core_life; /* of the coordinator, for what it sent: dies with its connections */
    uint8_t *bytes;
    size_t size;
    struct agent_stage_done done;
    uint32_t job_no;
};

/* One row of a relay's journal. */
struct journal_row {
    bool intent, outcome, acked, output;
    uint32_t attempt;
    struct outcome value;
};

struct relay {
    struct agent *agent; /* NULL: down */
    struct agent_effects effects;
    uint32_t life;
    uint64_t timer_ms, up_at_ms;
    struct journal_row journal[SLOTS][TARGETS];
    bool forgotten[SLOTS];
    uint64_t running[SLOTS][TARGETS]; /* key in the runner; 0: none */
};

/* What the coordinator's store holds. */
struct memory {
    enum push_state state[SLOTS];
    enum target_state rows[SLOTS][TARGETS];
    enum reason reasons[SLOTS][TARGETS];
    bool doubted[SLOTS][TARGETS]; /* unknown_effect, with a failure that may yet count */
    bool old[SLOTS][TARGETS];     /* not tried in this generation */
    uint32_t generation[PUSHES];  /* newest */
    enum relay_standing standing[RELAYS];
    struct dispatch_history history[SLOTS][RELAYS];
    uint64_t epoch[RELAYS];
    uint64_t counter[SLOTS]; /* of the signed job */
};

struct world {
    uint64_t seed, random, now_ms, timer_ms;
    bool healed, looked, wait;
    uint16_t relay_count, site_count;
    uint16_t lost_relay; /* goes and never comes back; relay_count: none */
    uint64_t cut_from_ms[RELAYS], cut_until_ms[RELAYS]; /* nothing gets through meanwhile */
    uint64_t not_after_ms;
    uint32_t fail_stop_count;
    struct dispatch *core;
    uint32_t core_life;
    struct dispatch_effects effects;
    struct memory memory;
    struct relay relays[RELAYS];
    struct item *items;
    uint32_t item_count;
    uint32_t job_no;
    uint16_t site_of[TARGETS];
    bool registered[SLOTS][TARGETS]; /* the target's own truth */
    uint64_t starts_ms[SLOTS][TARGETS], ends_ms[SLOTS][TARGETS];
    uint32_t exit_code[SLOTS][TARGETS];
};

#define CHECK(world, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu%s at %llu ms: %s", (unsigned long long)(world)->seed,              \
                     (world)->wait ? ", waiting," : "", (unsigned long long)(world)->now_ms,       \
                     #condition);                                                                  \
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

static uint64_t wait_until_ms(const struct world *w)
{
    return w->not_after_ms + WAIT_MORE_MS;
}

static bool row_ended(const struct world *w, enum target_state row)
{
    return target_state_terminal(row) && !(w->wait && row == TARGET_SCHEDULED);
}

static bool success_code(uint32_t code)
{
    return code == 0 || code == 3010;
}

/* What the package printed there. Returns its size. */
static size_t output_of(int push, uint32_t no, char text[16])
{
    return (size_t)snprintf(text, 16, "said %d-%u", push, no);
}

static struct push_id id_of(int slot)
{
    struct push_id id = {{(uint8_t)(slot % PUSHES + 1)}};
    return id;
}

static uint32_t generation_of(int slot)
{
    return (uint32_t)(slot / PUSHES + 1);
}

static int slot_of(const struct push_id *id, uint32_t generation)
{
    return id->bytes[0] - 1 + (int)(generation - 1) * PUSHES;
}

/* The store's row is the push's, whatever its generation. */
static uint64_t key_of(int slot)
{
    return (uint64_t)(slot % PUSHES) + 1;
}

static bool is_newest(const struct world *w, int slot)
{
    return w->memory.generation[slot % PUSHES] == generation_of(slot);
}

static uint16_t site_of_relay(const struct world *w, uint16_t relay)
{
    return relay % w->site_count;
}

static uint32_t credit_of(uint16_t relay)
{
    return 4 + relay * 20U;
}

/* ---- what is on its way ---- */

static struct item *later(struct world *w, enum item_kind kind, uint16_t relay, uint64_t delay_ms)
{
    CHECK(w, w->item_count < ITEMS_MAX);
    struct item *item = &w->items[w->item_count++];
    *item = (struct item){.kind = kind, .relay = relay, .at_ms = w->now_ms + delay_ms};
    item->life = w->relays[relay].life;
    item->core_life = w->core_life;
    return item;
}

/* What a dead process said comes within a heartbeat's time: a connection keeps the order. */
static bool is_pulse(const struct message *message)
{
    return message->kind == MESSAGE_HELLO || message->kind == MESSAGE_HEARTBEAT;
}

static void post(struct world *w, enum item_kind kind, uint16_t relay,
                 const struct message *message)
{
    struct buf bytes;
    struct err err;
    if (w->now_ms >= w->cut_from_ms[relay] && w->now_ms < w->cut_until_ms[relay])
        return;
    uint32_t copies = w->healed ? 1 : chance(w, 10) ? 0 : chance(w, 5) ? 2 : 1;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(message, &bytes, &err) != 0)
        fail_msg("cannot encode %s: %s", message_kind_word(message->kind), err.text);
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t delay_ms = 1 + below(w, 40);
        if (!w->healed && chance(w, 8))
            delay_ms += below(w, is_pulse(message) ? HEARTBEAT_MS - 100 : 9000);
        struct item *item = later(w, kind, relay, delay_ms);
        item->bytes = mem_new(bytes.size, 1);
        memcpy(item->bytes, bytes.data, bytes.size);
        item->size = bytes.size;
    }
    buf_release(&bytes);
}

/* ---- the coordinator ---- */

static void core_step(struct world *w, struct dispatch_event *event);

static void open_in_core(struct world *w, int push)
{
    uint8_t states[TARGETS];
    struct dispatch_history history[RELAYS];
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){
        .key = key_of(push),
        .push = id_of(push),
        .generation = generation_of(push),
        .state = w->memory.state[push],
        .not_after_unix_s = (int64_t)((UNIX_START_MS + w->not_after_ms) / 1000),
        .counter = w->memory.counter[push],
        .wait = w->wait,
        .wait_until_unix_s = (int64_t)((UNIX_START_MS + wait_until_ms(w)) / 1000),
        .starts_later = w->seed % 2 == 0,
        .start_until = "the deadline",
        .fail_stop_count = w->fail_stop_count,
        .target_count = TARGETS,
        .sites = w->site_of,
        .states = states,
        .history = history,
    };
    for (int no = 0; no < TARGETS; no++)
        states[no] = w->memory.old[push][no]       ? (uint8_t)DISPATCH_STATE_OLD
                     : w->memory.doubted[push][no] ? (uint8_t)DISPATCH_STATE_DOUBTED
                                                   : (uint8_t)w->memory.rows[push][no];
    for (uint16_t relay = 0; relay < w->relay_count; relay++)
        if (w->memory.history[push][relay].mark > 0)
            history[event.push_opened.history_count++] = w->memory.history[push][relay];
    core_step(w, &event);
}

static void tell_standing(struct world *w, uint16_t relay)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_STANDING};
    event.relay_standing = (struct dispatch_relay_standing){relay, w->memory.standing[relay]};
    core_step(w, &event);
}

static void start_core(struct world *w)
{
    const struct dispatch_config config = {LEASE_MS, HEARTBEAT_MS, GRACE_MS, RESEND_MS};
    dispatch_free(w->core);
    w->core = dispatch_new(&config);
    w->core_life++;
    w->timer_ms = w->now_ms;
    for (uint16_t relay = 0; relay < w->relay_count; relay++) {
        struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
        event.relay_known =
            (struct dispatch_relay_known){relay, site_of_relay(w, relay), w->memory.epoch[relay]};
        core_step(w, &event);
        tell_standing(w, relay);
    }
    for (int push = 0; push < SLOTS; push++) {
        if (!is_newest(w, push))
            continue;
        bool unknown = false;
        for (int no = 0; no < TARGETS; no++)
            unknown |=
                w->memory.rows[push][no] == TARGET_UNKNOWN_EFFECT && !w->memory.old[push][no];
        struct dispatch_event ended = {.kind = DISPATCH_PUSH_ENDED};
        ended.push_ended.push = id_of(push);
        ended.push_ended.generation = generation_of(push);
        if (w->memory.state[push] != PUSH_CLOSED || unknown)
            open_in_core(w, push);
        else
            core_step(w, &ended);
    }
}

/* A code is the target's own, told after it ended; time is up only when it is. */
static void check_end_seen(struct world *w, int push, uint32_t no, const struct outcome *outcome)
{
    if (outcome->has_exit_code) {
        CHECK(w, w->registered[push][no] && w->now_ms >= w->ends_ms[push][no]);
        CHECK(w, outcome->exit_code == w->exit_code[push][no]);
        CHECK(w, (outcome->state == TARGET_SUCCEEDED) == success_code(outcome->exit_code));
    } else {
        CHECK(w, outcome->state != TARGET_SUCCEEDED && outcome->reason != REASON_EXIT_CODE);
    }
    if (outcome->reason == REASON_NOT_STARTED || outcome->reason == REASON_RUN_TIMEOUT)
        CHECK(w, w->registered[push][no] && w->now_ms >= wait_until_ms(w));
}

static void check_output(struct world *w, int push, const struct dispatch_effect *e)
{
    char text[16];
    if (e->output == NULL)
        return;
    CHECK(w, e->output_size == output_of(push, e->target_no, text));
    CHECK(w, memcmp(e->output, text, e->output_size) == 0);
}

static bool tells_the_end(enum target_state state, enum reason reason)
{
    return state == TARGET_UNKNOWN_EFFECT || state == TARGET_SUCCEEDED ||
           reason == REASON_EXIT_CODE || reason == REASON_INSTALLER_BUSY ||
           reason == REASON_RUN_TIMEOUT || reason == REASON_NOT_STARTED;
}

/* Or may be. Every other row says that nothing was registered. */
static bool target_says_scheduled(enum target_state state, enum reason reason)
{
    return state == TARGET_SCHEDULED || tells_the_end(state, reason);
}

static uint32_t failed_count(const struct world *w, int push)
{
    uint32_t count = 0;
    for (int no = 0; no < TARGETS; no++)
        count += w->memory.rows[push][no] == TARGET_FAILED && !w->memory.old[push][no];
    return count;
}

static bool over_threshold(const struct world *w, int push)
{
    return w->fail_stop_count > 0 && failed_count(w, push) >= w->fail_stop_count;
}

static void check_max_fail(struct world *w, int push, uint32_t no, enum target_state before,
                           const struct outcome *outcome)
{
    CHECK(w, outcome->state == TARGET_NEVER_ATTEMPTED && before == TARGET_QUEUED);
    CHECK(w, over_threshold(w, push) && !w->registered[push][no]);
    for (uint16_t r = 0; r < w->relay_count; r++) {
        const struct journal_row *row = &w->relays[r].journal[push][no];
        CHECK(w, !row->intent && !row->outcome && w->relays[r].running[push][no] == 0);
        CHECK(w, site_of_relay(w, r) != w->site_of[no] || w->memory.history[push][r].mark <= no);
    }
}

static void check_first_leases(struct world *w, int push, const struct dispatch_history *history)
{
    uint32_t mark = 0;
    for (uint16_t r = 0; r < w->relay_count; r++)
        if (site_of_relay(w, r) == site_of_relay(w, history->relay) &&
            w->memory.history[push][r].mark > mark)
            mark = w->memory.history[push][r].mark;
    CHECK(w, history->mark <= mark || !over_threshold(w, push));
}

static void check_row(struct world *w, int push, uint32_t no, uint16_t relay,
                      const struct outcome *outcome)
{
    enum target_state before = w->memory.rows[push][no];
    enum target_state after = outcome->state;
    CHECK(w, is_newest(w, push) && !w->memory.old[push][no]);
    CHECK(w, target_state_terminal(after));
    CHECK(w, !row_ended(w, before) ||
                 (before == TARGET_UNKNOWN_EFFECT && after != TARGET_UNKNOWN_EFFECT));
    if (!target_says_scheduled(after, outcome->reason))
        CHECK(w, !w->registered[push][no]);
    if (outcome->reason == REASON_MAX_FAIL || after == TARGET_NEVER_ATTEMPTED)
        check_max_fail(w, push, no, before, outcome);
    if (after == TARGET_SCHEDULED)
        CHECK(w, w->registered[push][no]);
    if (w->wait && after == TARGET_SCHEDULED) {
        CHECK(w, before != TARGET_SCHEDULED && before != TARGET_UNKNOWN_EFFECT);
        CHECK(w, outcome->reason == REASON_NONE);
        return;
    }
    CHECK(w, w->wait || after != TARGET_SUCCEEDED);
    CHECK(w, !w->wait || before != TARGET_SCHEDULED || tells_the_end(after, outcome->reason));
    check_end_seen(w, push, no, outcome);
    if (after == TARGET_SCHEDULED || after == TARGET_SUCCEEDED || after == TARGET_FAILED ||
        after == TARGET_UNREACHABLE) {
        CHECK(w, relay < w->relay_count);
        const struct journal_row *row = &w->relays[relay].journal[push][no];
        CHECK(w, row->outcome && row->value.state == after &&
                     row->value.reason == outcome->reason &&
                     strcmp(row->value.detail, outcome->detail) == 0);
    }
}

static void core_persist(struct world *w, const struct dispatch_effect *e)
{
    int push = slot_of(&e->push, e->generation);
    if (e->kind == DISPATCH_PERSIST_OUTCOME) {
        check_row(w, push, e->target_no, e->relay, e->outcome);
        check_output(w, push, e);
        w->memory.rows[push][e->target_no] = e->outcome->state;
        w->memory.reasons[push][e->target_no] = e->outcome->reason;
        w->memory.doubted[push][e->target_no] =
            e->outcome->state == TARGET_UNKNOWN_EFFECT &&
            strstr(e->outcome->detail, DISPATCH_DOUBT_TEXT) != NULL;
    } else if (e->kind == DISPATCH_PERSIST_CERTAIN) {
        CHECK(w, w->memory.doubted[push][e->target_no] && !w->registered[push][e->target_no]);
        w->memory.rows[push][e->target_no] = reason_state(w->memory.reasons[push][e->target_no]);
        w->memory.doubted[push][e->target_no] = false;
    } else if (e->kind == DISPATCH_PERSIST_LEASE) {
        check_first_leases(w, push, &e->history);
        w->memory.history[push][e->history.relay] = e->history;
    } else if (e->kind == DISPATCH_PERSIST_EPOCH) {
        CHECK(w, e->epoch > w->memory.epoch[e->relay]);
        w->memory.epoch[e->relay] = e->epoch;
    } else if (e->kind == DISPATCH_PERSIST_STANDING) {
        CHECK(w, false); /* nobody is a clone here */
    } else if (e->kind == DISPATCH_PERSIST_CLOSED) {
        w->memory.state[push] = PUSH_CLOSED;
        for (int no = 0; no < TARGETS; no++)
            CHECK(w, row_ended(w, w->memory.rows[push][no]) || w->memory.old[push][no]);
    }
}

static void send_lease(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_LEASE};
    struct lease_entry entries[TARGETS];
    char names[TARGETS][16];
    CHECK(w, e->lease_count <= TARGETS);
    for (uint32_t i = 0; i < e->lease_count; i++) {
        const struct dispatch_lease *lease = &w->effects.leases[e->lease_first + i];
        CHECK(w, w->site_of[lease->target_no] == site_of_relay(w, e->relay));
        CHECK(w, lease->target_no <
                     w->memory.history[slot_of(&e->push, e->generation)][e->relay].mark);
        (void)snprintf(names[i], sizeof names[i], "%d-%u", slot_of(&e->push, e->generation),
                       lease->target_no);
        entries[i] = (struct lease_entry){lease->target_no, lease->attempt, names[i]};
    }
    message.lease = (struct message_lease){.epoch = e->epoch,
                                           .push = e->push,
                                           .generation = e->generation,
                                           .entries = entries,
                                           .entry_count = e->lease_count};
    post(w, TO_RELAY, e->relay, &message);
}

/* Stands for the signed job: which push, and the operator's counter. */
static void send_job(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_JOB};
    int slot = slot_of(&e->push, e->generation);
    uint8_t job[2] = {(uint8_t)slot, (uint8_t)w->memory.counter[slot]};
    message.job.signed_job = job;
    message.job.signed_job_size = sizeof job;
    post(w, TO_RELAY, e->relay, &message);
}

static void core_send(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_NONE};
    if (e->kind == DISPATCH_SEND_WELCOME) {
        message.kind = MESSAGE_WELCOME;
        message.welcome = (struct message_welcome){e->epoch, LEASE_MS, HEARTBEAT_MS, e->instance};
    } else if (e->kind == DISPATCH_SEND_HEARTBEAT_ACK) {
        message.kind = MESSAGE_HEARTBEAT_ACK;
        message.heartbeat_ack = (struct message_heartbeat_ack){e->epoch, e->sent_boottime_ms};
    } else if (e->kind == DISPATCH_SEND_RESULTS_ACK) {
        message.kind = MESSAGE_RESULTS_ACK;
        message.results_ack = (struct message_results_ack){e->epoch, e->sequence};
    } else if (e->kind == DISPATCH_SEND_STOP || e->kind == DISPATCH_SEND_CLOSE) {
        message.kind = e->kind == DISPATCH_SEND_STOP ? MESSAGE_STOP : MESSAGE_CLOSE;
        message.push_ref = (struct message_push_ref){e->epoch, e->push, e->generation, e->counter};
    } else if (e->kind == DISPATCH_SEND_LEASE) {
        send_lease(w, e);
    } else if (e->kind == DISPATCH_SEND_JOB) {
        send_job(w, e);
    } else if (e->kind == DISPATCH_ARM_TIMER) {
        w->timer_ms = e->at_ms > w->now_ms ? e->at_ms : w->now_ms + 1;
    }
    if (message.kind != MESSAGE_NONE)
        post(w, TO_RELAY, e->relay, &message);
}

static void core_step(struct world *w, struct dispatch_event *event)
{
    event->now_ms = w->now_ms;
    event->now_unix_ms = UNIX_START_MS + w->now_ms;
    dispatch_step(w->core, event, &w->effects);
    bool told = event->kind == DISPATCH_HELLO || event->kind == DISPATCH_HEARTBEAT ||
                event->kind == DISPATCH_RESULTS || event->kind == DISPATCH_TICK;
    bool dies = told && !w->healed && below(w, 120) == 0;
    if (!dies || chance(w, 70)) {
        for (size_t i = 0; i < w->effects.count; i++)
            core_persist(w, &w->effects.items[i]);
        size_t sent = dies ? below(w, (uint32_t)w->effects.count + 1) : w->effects.count;
        for (size_t i = 0; i < sent; i++)
            core_send(w, &w->effects.items[i]);
    }
    if (dies)
        start_core(w);
}

static void coordinator_hears(struct world *w, const struct item *item)
{
    struct message message;
    struct err err;
    struct dispatch_event event = {.relay = item->relay};
    if (wire_decode(item->bytes, item->size, &message, &err) != 0)
        fail_msg("cannot decode: %s", err.text);
    if (message.kind == MESSAGE_HELLO) {
        event.kind = DISPATCH_HELLO;
        event.hello = &message.hello;
    } else if (message.kind == MESSAGE_HEARTBEAT) {
        event.kind = DISPATCH_HEARTBEAT;
        event.heartbeat = &message.heartbeat;
    } else {
        event.kind = DISPATCH_RESULTS;
        event.results = &message.results;
    }
    core_step(w, &event);
    const struct dispatch_relay_view view = dispatch_relay_look(w->core, item->relay);
    CHECK(w, w->wait || view.leased <= credit_of(item->relay));
    message_release(&message);
}

/* ---- a relay ---- */

static void relay_step(struct world *w, uint16_t number, struct agent_event *event);

static void start_relay(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    struct agent_config config;
    agent_config_defaults(&config);
    config.hello.instance = w->random ^ w->now_ms;
    (void)snprintf(config.hello.relay_name, sizeof config.hello.relay_name, "r%u", number);
    config.held_max = credit_of(number);
    config.read_back_ms = 20000;
    relay->agent = agent_new(&config);
    relay->life++;
    relay->timer_ms = w->now_ms + 1;
    memset(relay->running, 0, sizeof relay->running);
    for (int push = 0; push < SLOTS; push++)
        for (uint32_t no = 0; no < TARGETS; no++) {
            const struct journal_row *row = &relay->journal[push][no];
            struct agent_event event = {.kind = row->outcome ? AGENT_JOURNAL_OUTCOME
                                                             : AGENT_JOURNAL_INTENT};
            event.journal.ref = (struct agent_ref){.push = id_of(push),
                                                   .generation = generation_of(push),
                                                   .target_no = no,
                                                   .attempt = row->attempt};
            event.journal.acked = row->acked;
            event.journal.output_size = row->output && !row->acked ? 10 : 0;
            if (row->outcome || row->intent)
                relay_step(w, number, &event);
        }
    struct agent_event up = {.kind = AGENT_LINK_UP};
    relay_step(w, number, &up);
}

static void kill_relay(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    agent_free(relay->agent);
    relay->agent = NULL;
    relay->up_at_ms = w->now_ms + 1 + below(w, chance(w, 20) ? 60000 : 3000);
    if (number == w->lost_relay)
        relay->up_at_ms = NEVER_MS;
}

static void find_run(const struct agent_effect *e, int *push, uint32_t *no)
{
    assert_int_equal(sscanf(e->run.target, "%d-%u", push, no), 2);
    assert_true(*push < SLOTS && *no < TARGETS);
}

/* So that what has ended is seen in time: see check_progress. */
static bool all_well_there(const struct world *w, bool intent)
{
    return w->wait && w->healed && intent;
}

static uint32_t starts_in_ms(const struct world *w, int push, uint32_t no)
{
    uint64_t starts_ms = w->starts_ms[push][no];
    return w->now_ms < starts_ms && starts_ms < NEVER_MS ? (uint32_t)(starts_ms - w->now_ms) : 0;
}

/* Runs once, whatever anybody knows of it; some never start, some never end. */
static void register_task(struct world *w, int push, uint32_t no)
{
    static const uint32_t codes[] = {0, 0, 0, 3010, 1603, 1618};
    if (w->registered[push][no])
        return;
    w->registered[push][no] = true;
    if (!w->wait)
        return;
    w->starts_ms[push][no] = chance(w, 5) ? NEVER_MS : w->now_ms + below(w, 20000);
    w->ends_ms[push][no] = w->starts_ms[push][no] + below(w, 60000);
    if (chance(w, 5))
        w->ends_ms[push][no] = NEVER_MS;
    w->exit_code[push][no] = codes[below(w, sizeof codes / sizeof *codes)];
}

static void look_for_end(struct world *w, int push, uint32_t no, struct agent_stage_done *done)
{
    char text[16];
    if (!w->healed && chance(w, 20)) {
        done->verdict = chance(w, 50) ? AGENT_EFFECT_UNKNOWN : AGENT_FAILED;
        done->reason = REASON_CONN_LOST;
    } else if (w->now_ms < w->ends_ms[push][no]) {
        done->verdict = AGENT_WAITING;
        done->reason = w->now_ms < w->starts_ms[push][no] ? REASON_NOT_STARTED : REASON_RUN_TIMEOUT;
        done->starts_in_ms = starts_in_ms(w, push, no);
    } else {
        done->has_exit_code = true;
        done->exit_code = w->exit_code[push][no];
        if (!success_code(done->exit_code)) {
            done->verdict = AGENT_FAILED;
            done->reason = done->exit_code == 1618 ? REASON_INSTALLER_BUSY : REASON_EXIT_CODE;
        }
        done->output_size = output_of(push, no, text);
    }
}

/* The end of the stage is drawn now; a task is there from the moment the call is made. */
static void run_stage(struct world *w, uint16_t number, const struct agent_effect *e)
{
    int push = 0;
    uint32_t no = 0;
    find_run(e, &push, &no);
    bool intent = w->relays[number].journal[push][no].intent;
    CHECK(w, w->now_ms < w->not_after_ms || intent);
    w->relays[number].running[push][no] = e->run.key;
    struct item *item = later(w, STAGE_END, number, 1 + below(w, 2500));
    item->done.key = e->run.key;
    item->done.stage = e->run.stage;
    item->done.tries = 1;
    if (e->run.hold_logon) {
        item->kind = PORT_ANSWERED;
        return;
    }
    if (e->run.stage != STAGE_SCHEDULE) {
        if (chance(w, 3) && !all_well_there(w, intent)) {
            item->done.verdict = AGENT_FAILED;
            item->done.reason = e->run.stage == STAGE_PING ? REASON_NO_REPLY : REASON_DISK_FULL;
        }
        return;
    }
    CHECK(w, intent || e->run.look_only);
    CHECK(w, w->now_ms < w->not_after_ms || e->run.look_only || e->run.await);
    CHECK(w, !e->run.await || (w->wait && w->registered[push][no]));
    if (e->run.await) {
        look_for_end(w, push, no, &item->done);
        return;
    }
    if (e->run.read_back && w->registered[push][no]) {
        item->done.starts_in_ms = starts_in_ms(w, push, no);
        return;
    }
    if (e->run.look_only) {
        bool lost = !w->healed && chance(w, 20);
        item->done.verdict = lost ? AGENT_EFFECT_UNKNOWN : AGENT_FAILED;
        item->done.reason = lost ? REASON_CONN_LOST : REASON_CANCELLED;
        return;
    }
    if (!w->healed && chance(w, 20)) {
        item->done.verdict = AGENT_EFFECT_UNKNOWN;
        item->done.reason = REASON_CONN_LOST;
        if (chance(w, 50))
            register_task(w, push, no);
    } else if (chance(w, 5) && !w->registered[push][no]) {
        item->done.verdict = AGENT_FAILED;
        item->done.reason = REASON_SCHEDULER_REFUSED;
    } else {
        register_task(w, push, no);
        item->done.starts_in_ms = starts_in_ms(w, push, no);
    }
}

static bool knows_intent(const struct relay *relay, uint64_t key)
{
    for (int push = 0; push < SLOTS; push++)
        for (int no = 0; no < TARGETS; no++)
            if (relay->running[push][no] == key)
                return relay->journal[push][no].intent;
    return false;
}

static void log_on(struct world *w, uint16_t number, uint64_t key)
{
    struct item *item = later(w, STAGE_END, number, 1 + below(w, 500));
    item->done.key = key;
    item->done.stage = STAGE_ACCESS;
    item->done.tries = 1;
    if (chance(w, 3) && !all_well_there(w, knows_intent(&w->relays[number], key))) {
        item->done.verdict = AGENT_FAILED;
        item->done.reason = REASON_BAD_SHARE;
    }
}

static void send_rows(struct world *w, uint16_t number, const struct agent_effect *e)
{
    const struct relay *relay = &w->relays[number];
    struct message message = {.kind = MESSAGE_RESULTS};
    struct result_row rows[SLOTS * TARGETS];
    char said[SLOTS * TARGETS][16];
    CHECK(w, e->rows.ref_count <= SLOTS * TARGETS);
    for (uint32_t i = 0; i < e->rows.ref_count; i++) {
        const struct agent_ref *ref = &relay->effects.refs[e->rows.first_ref + i];
        const struct journal_row *row =
            &relay->journal[slot_of(&ref->push, ref->generation)][ref->target_no];
        rows[i] = (struct result_row){.push = ref->push,
                                      .generation = ref->generation,
                                      .target_no = ref->target_no,
                                      .attempt = ref->attempt};
        if (e->kind == AGENT_SEND_CANCELLED) {
            CHECK(w, !ref->registered || (w->wait && row->intent));
            rows[i].outcome.state = ref->registered ? TARGET_SCHEDULED : TARGET_CANCELLED;
            rows[i].outcome.reason = REASON_CANCELLED;
            rows[i].outcome.stage = ref->reached;
        } else if (e->kind == AGENT_SEND_SCHEDULED) {
            CHECK(w, row->intent && !row->outcome);
            rows[i].outcome = relay->effects.outcomes[e->rows.first_outcome + i];
        } else {
            CHECK(w, row->outcome);
            rows[i].outcome = row->value;
            if (row->output && !row->acked)
                rows[i].output_size =
                    output_of(slot_of(&ref->push, ref->generation), ref->target_no, said[i]);
            rows[i].output = (uint8_t *)said[i];
        }
    }
    message.results =
        (struct message_results){e->rows.epoch, e->rows.sequence, rows, e->rows.ref_count};
    post(w, TO_COORDINATOR, number, &message);
}

static void journal(struct world *w, uint16_t number, const struct agent_effect *e)
{
    struct relay *relay = &w->relays[number];
    const struct agent_ref *ref = &e->persist.ref;
    int push = slot_of(&ref->push, ref->generation);
    if (e->kind == AGENT_PERSIST_INTENT) {
        relay->journal[push][ref->target_no].intent = true;
        relay->journal[push][ref->target_no].attempt = ref->attempt;
    } else if (e->kind == AGENT_PERSIST_OUTCOME) {
        CHECK(w, !relay->journal[push][ref->target_no].outcome);
        relay->journal[push][ref->target_no] =
            (struct journal_row){.outcome = true,
                                 .attempt = ref->attempt,
                                 .output = e->persist.output_size > 0,
                                 .value = relay->effects.outcomes[e->persist.outcome_no]};
    } else if (e->kind == AGENT_JOURNAL_RENEW) {
        relay->journal[push][ref->target_no].attempt = ref->attempt;
        relay->journal[push][ref->target_no].acked = false;
    } else if (e->kind == AGENT_JOURNAL_ACKED) {
        for (uint32_t i = 0; i < e->rows.ref_count; i++) {
            const struct agent_ref *acked = &relay->effects.refs[e->rows.first_ref + i];
            relay->journal[slot_of(&acked->push, acked->generation)][acked->target_no].acked = true;
        }
    } else if (e->kind == AGENT_JOURNAL_FORGET) {
        push = slot_of(&e->forget.push, e->forget.generation);
        for (int no = 0; no < TARGETS; no++) {
            enum target_state row = w->memory.rows[push][no];
            CHECK(w, !is_newest(w, push) || (row_ended(w, row) && row != TARGET_UNKNOWN_EFFECT) ||
                         w->memory.old[push][no]);
        }
        relay->forgotten[push] = true; /* the rows stay, for the checks at the end */
    }
}

static void relay_effect(struct world *w, uint16_t number, const struct agent_effect *e)
{
    struct message message = {.kind = MESSAGE_NONE};
    switch (e->kind) {
    case AGENT_PERSIST_INTENT:
    case AGENT_PERSIST_OUTCOME:
    case AGENT_JOURNAL_RENEW:
    case AGENT_JOURNAL_ACKED:
    case AGENT_JOURNAL_FORGET:
        journal(w, number, e);
        break;
    case AGENT_SEND_HELLO:
        message.kind = MESSAGE_HELLO;
        message.hello = e->hello;
        break;
    case AGENT_SEND_HEARTBEAT:
        message.kind = MESSAGE_HEARTBEAT;
        message.heartbeat = e->heartbeat;
        break;
    case AGENT_SEND_PERMIT_GET: /* no account is shared here */
        break;
    case AGENT_SEND_RESULTS:
    case AGENT_SEND_CANCELLED:
    case AGENT_SEND_SCHEDULED:
        send_rows(w, number, e);
        break;
    case AGENT_RUN_STAGE:
        run_stage(w, number, e);
        break;
    case AGENT_LOGON:
        log_on(w, number, e->key);
        break;
    case AGENT_DROP:
        for (int push = 0; push < SLOTS; push++)
            for (int no = 0; no < TARGETS; no++)
                if (w->relays[number].running[push][no] == e->key)
                    w->relays[number].running[push][no] = 0;
        break;
    case AGENT_FETCH_PACKAGE:
        later(w, PACKAGE_HERE, number, 1 + below(w, 3000))->job_no = e->job_no;
        break;
    case AGENT_ARM_TIMER:
        w->relays[number].timer_ms = e->timer_ms;
        break;
    case AGENT_REMOVE_JOB:
    case AGENT_FINISHED:
        break;
    }
    if (message.kind != MESSAGE_NONE)
        post(w, TO_COORDINATOR, number, &message);
}

static void relay_step(struct world *w, uint16_t number, struct agent_event *event)
{
    struct relay *relay = &w->relays[number];
    event->now_ms = w->now_ms;
    event->now_unix_ms = UNIX_START_MS + w->now_ms;
    agent_step(relay->agent, event, &relay->effects);
    size_t until = relay->effects.count;
    bool dies = !w->healed && until > 0 && event->kind > AGENT_LINK_UP && below(w, 250) == 0;
    if (dies)
        until = below(w, (uint32_t)until + 1);
    for (size_t i = 0; i < until; i++)
        relay_effect(w, number, &relay->effects.items[i]);
    if (dies)
        kill_relay(w, number);
}

/* In some worlds one relay doesn't trust whoever resumed first. */
static bool refuses(const struct world *w, uint16_t relay, uint64_t counter)
{
    return w->seed % 5 == 0 && relay == 1 && counter == 2;
}

static void relay_hears_job(struct world *w, uint16_t number, const struct message_job *said)
{
    int push = said->signed_job[0];
    struct relay *relay = &w->relays[number];
    struct push_id id = id_of(push);
    if (relay->forgotten[push] ||
        agent_knows_job(relay->agent, &id, generation_of(push), said->signed_job[1]))
        return;
    const struct agent_job job = {
        .push = id,
        .generation = generation_of(push),
        .accepted = !refuses(w, number, said->signed_job[1]),
        .refusal = "not signed by anybody trusted here",
        .counter = said->signed_job[1],
        .not_after_unix_ms = (int64_t)(UNIX_START_MS + w->not_after_ms),
        .wait = w->wait,
        .wait_until_unix_ms = (int64_t)(UNIX_START_MS + wait_until_ms(w)),
        .job_no = ++w->job_no,
        .credential_no = 1,
    };
    struct agent_event event = {.kind = AGENT_JOB, .job = &job};
    relay_step(w, number, &event);
}

static void relay_hears(struct world *w, const struct item *item)
{
    struct message message;
    struct err err;
    struct agent_event event = {.kind = AGENT_TICK};
    if (wire_decode(item->bytes, item->size, &message, &err) != 0)
        fail_msg("cannot decode: %s", err.text);
    if (message.kind == MESSAGE_JOB) {
        relay_hears_job(w, item->relay, &message.job);
        message_release(&message);
        return;
    }
    if (message.kind == MESSAGE_WELCOME) {
        event.kind = AGENT_WELCOME;
        event.welcome = message.welcome;
    } else if (message.kind == MESSAGE_HEARTBEAT_ACK) {
        event.kind = AGENT_HEARTBEAT_ACK;
        event.heartbeat_ack = message.heartbeat_ack;
    } else if (message.kind == MESSAGE_RESULTS_ACK) {
        event.kind = AGENT_RESULTS_ACK;
        event.results_ack = message.results_ack;
    } else if (message.kind == MESSAGE_STOP || message.kind == MESSAGE_CLOSE) {
        event.kind = message.kind == MESSAGE_STOP ? AGENT_STOP : AGENT_CLOSE;
        event.push_ref = message.push_ref;
    } else {
        const struct message_lease *lease = &message.lease;
        event.kind = AGENT_LEASE;
        event.lease = (struct agent_lease){lease->epoch, lease->push,    lease->generation,
                                           true,         lease->entries, lease->entry_count};
    }
    relay_step(w, item->relay, &event);
    message_release(&message);
}

static void stage_ends(struct world *w, struct item *item)
{
    struct relay *relay = &w->relays[item->relay];
    char text[16];
    for (int push = 0; push < SLOTS; push++)
        for (int no = 0; no < TARGETS; no++)
            if (relay->running[push][no] == item->done.key) {
                struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &item->done};
                (void)output_of(push, (uint32_t)no, text);
                item->done.output = item->done.output_size > 0 ? (const uint8_t *)text : NULL;
                if (item->kind == PORT_ANSWERED)
                    event = (struct agent_event){.kind = AGENT_CONNECTED, .key = item->done.key};
                relay_step(w, item->relay, &event);
                return;
            }
}

/* ---- the world turns ---- */

static void deliver(struct world *w, struct item *item)
{
    struct relay *relay = &w->relays[item->relay];
    bool own = relay->agent != NULL && item->life == relay->life;
    if (item->kind == TO_COORDINATOR) {
        if (item->core_life == w->core_life) /* else its connection ended with the coordinator */
            coordinator_hears(w, item);
    } else if (item->kind == TO_RELAY && relay->agent != NULL) {
        if (item->core_life == w->core_life)
            relay_hears(w, item);
    } else if ((item->kind == STAGE_END || item->kind == PORT_ANSWERED) && own) {
        stage_ends(w, item);
    } else if (item->kind == PACKAGE_HERE && own) {
        struct agent_event event = {.kind = AGENT_PACKAGE_READY};
        event.package.job_no = item->job_no;
        relay_step(w, item->relay, &event);
    }
    free(item->bytes);
}

/* Somebody else of the site is there, whatever becomes of this one. */
static bool has_twin(const struct world *w, uint16_t relay)
{
    for (uint16_t other = 0; other < w->relay_count; other++)
        if (other != relay && other != w->lost_relay &&
            site_of_relay(w, other) == site_of_relay(w, relay) &&
            w->memory.standing[other] == RELAY_ACTIVE)
            return true;
    return false;
}

static void change_standing(struct world *w)
{
    uint16_t relay = (uint16_t)below(w, w->relay_count);
    enum relay_standing *standing = &w->memory.standing[relay];
    if (*standing == RELAY_DRAINING)
        *standing = RELAY_ACTIVE;
    else if (*standing == RELAY_ACTIVE && has_twin(w, relay))
        *standing = chance(w, 70) ? RELAY_DRAINING : RELAY_REVOKED;
    tell_standing(w, relay);
}

/* The next generation: who failed, wasn't reached, or is unknown. */
static void retry(struct world *w, int slot)
{
    int next = slot + PUSHES;
    w->memory.generation[slot % PUSHES] = generation_of(next);
    w->memory.counter[next] = w->memory.counter[slot] + 1;
    w->memory.state[next] = PUSH_OPEN;
    for (int no = 0; no < TARGETS; no++) {
        enum target_state row = w->memory.rows[slot][no];
        bool again =
            row == TARGET_FAILED || row == TARGET_UNREACHABLE || row == TARGET_UNKNOWN_EFFECT;
        w->memory.old[next][no] = !again;
        w->memory.rows[next][no] = again ? TARGET_QUEUED : row;
    }
    struct dispatch_event ended = {.kind = DISPATCH_PUSH_ENDED};
    ended.push_ended.push = id_of(slot);
    ended.push_ended.generation = generation_of(slot);
    core_step(w, &ended);
    open_in_core(w, next);
}

static void admin_acts(struct world *w)
{
    int push = (int)below(w, PUSHES);
    if (chance(w, 30)) {
        change_standing(w);
        return;
    }
    push += (int)(w->memory.generation[push] - 1) * PUSHES;
    enum push_state state = w->memory.state[push];
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = key_of(push)};
    if (state == PUSH_CLOSED && push + PUSHES < SLOTS)
        retry(w, push);
    if (state == PUSH_CLOSED || state == PUSH_CANCELLING)
        return;
    if (state == PUSH_STOPPED) {
        event.kind = DISPATCH_PUSH_RESUMED;
        event.push_resumed.not_after_unix_s = (int64_t)((UNIX_START_MS + w->not_after_ms) / 1000);
        event.push_resumed.counter = ++w->memory.counter[push];
        event.push_resumed.starts_later = w->seed % 2 == 0;
        event.push_resumed.wait_until_unix_s = (int64_t)((UNIX_START_MS + wait_until_ms(w)) / 1000);
        w->memory.state[push] = PUSH_OPEN;
    } else {
        event.push_stopped.cancel = chance(w, 30);
        w->memory.state[push] = event.push_stopped.cancel ? PUSH_CANCELLING : PUSH_STOPPED;
    }
    core_step(w, &event);
}

/* The next thing that is due; UINT32_MAX and its time when it is a timer. */
static uint32_t next_due(const struct world *w, uint64_t *at_ms)
{
    uint32_t which = UINT32_MAX;
    *at_ms = w->timer_ms;
    for (uint16_t r = 0; r < w->relay_count; r++) {
        const struct relay *relay = &w->relays[r];
        uint64_t due_ms = relay->agent != NULL ? relay->timer_ms : relay->up_at_ms;
        if (due_ms < *at_ms)
            *at_ms = due_ms;
    }
    for (uint32_t i = 0; i < w->item_count; i++)
        if (w->items[i].at_ms < *at_ms) {
            *at_ms = w->items[i].at_ms;
            which = i;
        }
    return which;
}

static void timers(struct world *w)
{
    if (w->timer_ms <= w->now_ms) {
        struct dispatch_event tick = {.kind = DISPATCH_TICK};
        w->timer_ms = w->now_ms + HEARTBEAT_MS;
        core_step(w, &tick);
    }
    for (uint16_t r = 0; r < w->relay_count; r++) {
        struct relay *relay = &w->relays[r];
        if (relay->agent == NULL && relay->up_at_ms <= w->now_ms) {
            start_relay(w, r);
        } else if (relay->agent != NULL && relay->timer_ms <= w->now_ms) {
            struct agent_event tick = {.kind = AGENT_TICK};
            relay->timer_ms = w->now_ms + 60000;
            relay_step(w, r, &tick);
        }
    }
}

/* All has been well for a while, and the deadline is far: what goes on must be through. */
static void check_progress(struct world *w)
{
    w->looked = true;
    for (int push = 0; push < SLOTS; push++) {
        if (w->memory.state[push] == PUSH_STOPPED || !is_newest(w, push))
            continue;
        bool endless = false;
        for (int no = 0; no < TARGETS; no++) {
            if (w->memory.old[push][no])
                continue;
            CHECK(w, w->memory.rows[push][no] != TARGET_EXPIRED);
            if (!w->wait || w->memory.state[push] == PUSH_CLOSED)
                continue;
            bool ends = !w->registered[push][no] || w->ends_ms[push][no] + LOOKS_MS < w->now_ms;
            CHECK(w, !ends || row_ended(w, w->memory.rows[push][no]));
            endless |= !ends;
        }
        CHECK(w, endless || w->memory.state[push] == PUSH_CLOSED);
    }
}

static void turn(struct world *w)
{
    uint64_t at_ms = 0;
    uint32_t which = next_due(w, &at_ms);
    if (at_ms > w->now_ms)
        w->now_ms = at_ms;
    if (w->now_ms > CHAOS_MS)
        w->healed = true;
    if (which == UINT32_MAX) {
        timers(w);
    } else {
        struct item item = w->items[which];
        w->items[which] = w->items[--w->item_count];
        deliver(w, &item);
    }
    if (!w->healed && below(w, 2000) == 0)
        admin_acts(w);
    if (w->now_ms >= SETTLED_MS && !w->looked && w->not_after_ms == NOT_AFTER_MS)
        check_progress(w);
}

static bool told_of_registered(const struct world *w, int push, int no)
{
    enum target_state row = w->memory.rows[push][no];
    if (!w->wait)
        return row == TARGET_UNKNOWN_EFFECT || row == TARGET_SCHEDULED;
    return tells_the_end(row, w->memory.reasons[push][no]);
}

static void check_end(struct world *w)
{
    for (int push = 0; push < SLOTS; push++) {
        if (!is_newest(w, push))
            continue;
        CHECK(w, w->memory.state[push] == PUSH_CLOSED);
        for (int no = 0; no < TARGETS; no++) {
            if (w->memory.old[push][no])
                continue;
            enum target_state row = w->memory.rows[push][no];
            CHECK(w, row_ended(w, row));
            if (w->registered[push][no])
                CHECK(w, told_of_registered(w, push, no));
            for (int r = 0; r < w->relay_count && w->relay_count == w->site_count; r++) {
                const struct journal_row *known = &w->relays[r].journal[push][no];
                CHECK(w, !known->outcome || known->value.state == row);
            }
        }
    }
}

static void run_world(uint64_t seed, bool wait)
{
    struct world *w = mem_new(1, sizeof *w);
    w->seed = seed;
    w->wait = wait;
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->site_count = (uint16_t)(1 + seed % SITES);
    w->relay_count = (uint16_t)(2 + seed / 3 % (RELAYS - 1));
    if (w->relay_count < w->site_count)
        w->relay_count = w->site_count;
    w->lost_relay = w->relay_count;
    w->fail_stop_count = seed % 7 < 3 ? 1 + (uint32_t)(seed % 5) : 0;
    w->not_after_ms = seed % 4 == 0 ? NOT_AFTER_SOON_MS : NOT_AFTER_MS;
    w->items = mem_new(ITEMS_MAX, sizeof *w->items);
    dispatch_effects_init(&w->effects);
    for (int no = 0; no < TARGETS; no++)
        w->site_of[no] = (uint16_t)below(w, w->site_count);
    for (int push = 0; push < PUSHES; push++)
        w->memory.counter[push] = w->memory.generation[push] = 1;
    for (uint16_t r = 0; r < w->relay_count; r++) {
        w->memory.standing[r] = RELAY_ACTIVE;
        w->cut_from_ms[r] = chance(w, 30) ? below(w, CHAOS_MS) : NEVER_MS;
        w->cut_until_ms[r] = w->cut_from_ms[r] + below(w, 60000);
    }
    if (chance(w, 30) && has_twin(w, 0))
        w->lost_relay = 0;
    start_core(w);
    for (uint16_t r = 0; r < w->relay_count; r++)
        start_relay(w, r);
    while (w->now_ms < END_MS)
        turn(w);
    check_end(w);
    for (uint32_t i = 0; i < w->item_count; i++)
        free(w->items[i].bytes);
    for (uint16_t r = 0; r < w->relay_count; r++) {
        agent_free(w->relays[r].agent);
        agent_effects_release(&w->relays[r].effects);
    }
    dispatch_free(w->core);
    dispatch_effects_release(&w->effects);
    free(w->items);
    free(w);
}

static void run_seed(uint64_t seed)
{
    run_world(seed, false);
    run_world(seed, true);
}

static uint64_t seeds = 300;
static uint64_t first = 1;
static const char *list;

static void both_cores_under_faults_keep_the_law(void **state)
{
    (void)state;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        run_seed(seed);
}

static void seeds_that_once_failed_keep_the_law(void **state)
{
    char line[256];
    uint32_t count = 0;
    (void)state;
    FILE *file = fopen(list, "r");
    if (file == NULL)
        fail_msg("cannot open %s", list);
    while (fgets(line, sizeof line, file) != NULL) {
        char *end = NULL;
        uint64_t seed = strtoull(line, &end, 10);
        if (end == line)
            continue;
        run_seed(seed);
        count++;
    }
    (void)fclose(file);
    assert_int_not_equal(count, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_cores_under_faults_keep_the_law)};
    const struct CMUnitTest listed[] = {cmocka_unit_test(seeds_that_once_failed_keep_the_law)};
    if (argc > 2 && strcmp(argv[1], "--list") == 0) {
        list = argv[2];
        return cmocka_run_group_tests(listed, NULL, NULL);
    }
    if (argc > 1)
        seeds = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        first = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
