/* coordinator/core: relays that were admitted and say anything at all: hellos, heartbeats and rows
 * for pushes, targets, generations and attempts that nobody gave them.
 *
 * Input: a list of events. Holds: only who was leased a target is believed about it, a row that is
 * final changes from unknown to known only, leases stay within the site, and a push is closed when
 * every row is final. */
#include <string.h>

#include "coordinator/core/dispatch.h"
#include "fuzz.h"

enum { RELAYS = 3, TARGETS = 12, STEPS_MAX = 120, ROWS_MAX = 4 };

static const struct push_id push = {{1, 2, 3}};
static const uint64_t start_unix_ms = 1700000000000;

static struct world {
    struct dispatch *core;
    struct dispatch_effects effects;
    uint64_t now_ms;
    uint64_t epochs[RELAYS];
    bool wait;
    bool closed;
    uint64_t counter;
    enum target_state rows[TARGETS];
    bool leased[RELAYS][TARGETS];
} world;

static bool is_final(enum target_state state)
{
    return target_state_terminal(state) && !(state == TARGET_SCHEDULED && world.wait);
}

static uint16_t site_of(uint32_t number)
{
    return number % 3 == 2;
}

static void check_outcome(const struct dispatch_effect *effect)
{
    FUZZ_CHECK(effect->target_no < TARGETS && effect->outcome != NULL);
    enum target_state before = world.rows[effect->target_no];
    enum target_state after = effect->outcome->state;
    FUZZ_CHECK(!is_final(before) || before == TARGET_UNKNOWN_EFFECT);
    FUZZ_CHECK(is_final(after) || (world.wait && after == TARGET_SCHEDULED));
    FUZZ_CHECK(effect->relay == DISPATCH_RELAY_NONE ||
               (effect->relay < RELAYS && world.leased[effect->relay][effect->target_no]));
    world.rows[effect->target_no] = after;
}

static void check_lease(const struct dispatch_effect *effect)
{
    FUZZ_CHECK(effect->relay < RELAYS && effect->epoch == world.epochs[effect->relay]);
    FUZZ_CHECK(effect->lease_count >= 1 && effect->lease_count <= LIMIT_ROWS_PER_MESSAGE);
    FUZZ_CHECK(effect->lease_first + effect->lease_count <= world.effects.lease_count);
    for (uint32_t i = 0; i < effect->lease_count; i++) {
        const struct dispatch_lease *lease = &world.effects.leases[effect->lease_first + i];
        FUZZ_CHECK(lease->target_no < TARGETS && lease->attempt > 0);
        FUZZ_CHECK(i == 0 || lease[-1].target_no < lease->target_no);
        FUZZ_CHECK(site_of(lease->target_no) == site_of(effect->relay));
        world.leased[effect->relay][lease->target_no] = true;
    }
}

static void step(struct dispatch_event *event)
{
    event->now_ms = world.now_ms;
    event->now_unix_ms = start_unix_ms + world.now_ms;
    dispatch_step(world.core, event, &world.effects);
    for (size_t i = 0; i < world.effects.count; i++) {
        const struct dispatch_effect *effect = &world.effects.items[i];
        if (effect->kind == DISPATCH_PERSIST_OUTCOME)
            check_outcome(effect);
        else if (effect->kind == DISPATCH_SEND_LEASE)
            check_lease(effect);
        else if (effect->kind == DISPATCH_PERSIST_EPOCH)
            world.epochs[effect->relay] = effect->epoch;
        else if (effect->kind == DISPATCH_PERSIST_CLOSED)
            world.closed = true;
        for (uint32_t no = 0; effect->kind == DISPATCH_PERSIST_CLOSED && no < TARGETS; no++)
            FUZZ_CHECK(is_final(world.rows[no]));
    }
}

static void begin(bool wait)
{
    static const struct dispatch_config config = {60000, 10000, 120000, 120000};
    uint16_t sites[TARGETS];
    memset(&world, 0, sizeof world);
    dispatch_effects_init(&world.effects);
    world.core = dispatch_new(&config);
    world.wait = wait;
    world.counter = 1;
    for (uint16_t relay = 0; relay < (uint16_t)RELAYS; relay++) {
        struct dispatch_event known = {.kind = DISPATCH_RELAY_KNOWN};
        known.relay_known = (struct dispatch_relay_known){relay, site_of(relay), 0};
        step(&known);
    }
    for (uint32_t no = 0; no < TARGETS; no++)
        sites[no] = site_of(no);
    struct dispatch_event opened = {.kind = DISPATCH_PUSH_OPENED};
    opened.push_opened =
        (struct dispatch_push_opened){.key = 1,
                                      .push = push,
                                      .generation = 1,
                                      .state = PUSH_OPEN,
                                      .not_after_unix_s = (int64_t)(start_unix_ms / 1000) + 1000,
                                      .counter = 1,
                                      .wait = wait,
                                      .wait_until_unix_s = (int64_t)(start_unix_ms / 1000) + 2000,
                                      .target_count = TARGETS,
                                      .sites = sites};
    step(&opened);
}

static void say_results(struct cursor *in, uint16_t relay, uint64_t epoch)
{
    static struct result_row rows[ROWS_MAX];
    struct message_results results = {.epoch = epoch, .rows = rows};
    uint8_t count = cursor_u8(in);
    results.sequence = cursor_u8(in);
    results.row_count = 1 + count % ROWS_MAX;
    memset(rows, 0, sizeof rows);
    for (uint32_t i = 0; i < results.row_count; i++) {
        uint8_t odd = cursor_u8(in);
        rows[i].push = push;
        rows[i].push.bytes[0] ^= odd % 16 == 1;
        rows[i].generation = 1 + (odd % 16 == 2);
        rows[i].target_no = odd % 16 == 3 ? cursor_u32le(in) : cursor_u8(in) % (uint32_t)TARGETS;
        rows[i].attempt = odd % 16 == 4 ? cursor_u32le(in) : 1U + odd / 64;
        rows[i].outcome.state = (enum target_state)(cursor_u8(in) % TARGET_STATE_COUNT);
        rows[i].outcome.stage = (enum stage)(cursor_u8(in) % (STAGE_COUNT + 1));
        rows[i].outcome.reason = (enum reason)(cursor_u8(in) % REASON_COUNT);
    }
    struct dispatch_event event = {.kind = DISPATCH_RESULTS, .relay = relay, .results = &results};
    step(&event);
}

static void say(struct cursor *in, uint8_t what)
{
    struct dispatch_event event = {.relay = what / 8 % 4}; /* the last one is not known */
    uint64_t epoch = what >= 192 ? cursor_u8(in) : world.epochs[event.relay % RELAYS];
    struct message_hello hello = {.protocol_version = 1};
    struct message_heartbeat heartbeat = {.epoch = epoch};
    if (what % 8 == 0) {
        hello.instance = cursor_u8(in);
        hello.credit = cursor_u16le(in);
        event.kind = DISPATCH_HELLO;
        event.hello = &hello;
        step(&event);
    } else if (what % 8 == 1) {
        heartbeat.credit = cursor_u16le(in);
        event.kind = DISPATCH_HEARTBEAT;
        event.heartbeat = &heartbeat;
        step(&event);
    } else {
        say_results(in, event.relay, epoch);
    }
}

/* What the operator does: stops and resumes, takes relays out and in. */
static void operate(struct cursor *in, uint8_t what)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = 1};
    if (what / 8 % 3 == 0) {
        event.kind = DISPATCH_RELAY_STANDING;
        event.relay_standing.relay = cursor_u8(in) % RELAYS;
        event.relay_standing.standing = (enum relay_standing)(cursor_u8(in) % RELAY_STANDING_COUNT);
    } else if (what / 8 % 3 == 1) {
        event.push_stopped.cancel = what >= 128;
    } else {
        event.kind = DISPATCH_PUSH_RESUMED;
        event.push_resumed.counter = ++world.counter;
        event.push_resumed.not_after_unix_s =
            (int64_t)((start_unix_ms + world.now_ms) / 1000) + 1000;
        event.push_resumed.wait_until_unix_s = event.push_resumed.not_after_unix_s + 1000;
    }
    if (!world.closed)
        step(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    begin(cursor_u8(&in) % 2 == 1);
    for (int steps = 0; steps < STEPS_MAX && cursor_left(&in) > 0; steps++) {
        uint8_t what = cursor_u8(&in);
        if (what % 8 < 5) {
            say(&in, what);
        } else if (what % 8 == 5) {
            operate(&in, what);
        } else {
            struct dispatch_event tick = {.kind = DISPATCH_TICK};
            world.now_ms += (uint64_t)cursor_u8(&in) * 500;
            step(&tick);
        }
    }
    dispatch_effects_release(&world.effects);
    dispatch_free(world.core);
    return 0;
}
