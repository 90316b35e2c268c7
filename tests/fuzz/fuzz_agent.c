/* relay/core: a coordinator that was taken over and says anything at all, while stages end as they
 * like.
 *
 * Input: a list of events. Holds: no task is registered without its INTENT, nor under a lease that
 * was not proven or a job that was not accepted; a target of a generation has one outcome until
 * CLOSE; windows and the number of targets held are never passed. */
#include <string.h>

#include "fuzz.h"
#include "relay/core/agent.h"

enum { PUSHES = 2, TARGETS = 8, RUNS_MAX = 64, STEPS_MAX = 120 };
enum { HELD_MAX = 6, RESOLVE_MAX = 3, PING_MAX = 2, CONNECT_MAX = 2, SESSION_MAX = 2 };

static char names[PUSHES][TARGETS][8];

struct run {
    uint64_t key;
    enum stage stage;
    bool awaits_logon;
};

static struct world {
    struct agent *agent;
    struct agent_effects effects;
    struct agent_config config;
    uint64_t now_ms;
    struct run runs[RUNS_MAX]; /* stages that were begun and have not ended */
    uint32_t run_count;
    bool intents[PUSHES][TARGETS];
    bool outcomes[PUSHES][TARGETS];
    bool proven[PUSHES][TARGETS]; /* some verified lease named it */
    bool accepted[PUSHES];
} world;

static struct push_id id_of(unsigned push)
{
    struct push_id id = {{(uint8_t)(push + 1)}};
    return id;
}

static unsigned push_of(const struct push_id *id)
{
    FUZZ_CHECK(id->bytes[0] >= 1 && id->bytes[0] <= PUSHES);
    return id->bytes[0] - 1U;
}

static void forget_run(uint64_t key)
{
    for (uint32_t i = 0; i < world.run_count; i++) {
        if (world.runs[i].key == key)
            world.runs[i--] = world.runs[--world.run_count];
    }
}

static void check_run(const struct agent_effect *effect)
{
    unsigned push = effect->run.job_no - 1;
    unsigned target = (unsigned)(effect->run.target[3] - '0');
    bool registers = effect->run.stage == STAGE_SCHEDULE && !effect->run.look_only &&
                     !effect->run.await && !effect->run.read_back;
    FUZZ_CHECK(push < PUSHES && target < TARGETS);
    FUZZ_CHECK(strcmp(effect->run.target, names[push][target]) == 0);
    FUZZ_CHECK(world.accepted[push] && world.proven[push][target]);
    FUZZ_CHECK(!registers || world.intents[push][target]);
    FUZZ_CHECK(!registers || !world.outcomes[push][target]);
    forget_run(effect->run.key);
    FUZZ_CHECK(world.run_count < RUNS_MAX);
    world.runs[world.run_count++] =
        (struct run){effect->run.key, effect->run.stage, effect->run.hold_logon};
}

static void check_effect(const struct agent_effect *effect)
{
    if (effect->kind == AGENT_PERSIST_INTENT) {
        world.intents[push_of(&effect->persist.ref.push)][effect->persist.ref.target_no] = true;
    } else if (effect->kind == AGENT_PERSIST_OUTCOME) {
        unsigned push = push_of(&effect->persist.ref.push);
        uint32_t target = effect->persist.ref.target_no;
        FUZZ_CHECK(target < TARGETS && effect->persist.outcome_no < world.effects.outcome_count);
        FUZZ_CHECK(!world.outcomes[push][target]);
        world.outcomes[push][target] = true;
    } else if (effect->kind == AGENT_JOURNAL_FORGET) {
        unsigned push = push_of(&effect->forget.push);
        memset(world.intents[push], 0, sizeof world.intents[push]);
        memset(world.outcomes[push], 0, sizeof world.outcomes[push]);
    } else if (effect->kind == AGENT_RUN_STAGE) {
        check_run(effect);
    } else if (effect->kind == AGENT_DROP) {
        forget_run(effect->key);
    }
}

static void step(struct agent_event *event)
{
    event->now_ms = world.now_ms;
    event->now_unix_ms = 1700000000000 + world.now_ms;
    agent_step(world.agent, event, &world.effects);
    for (size_t i = 0; i < world.effects.count; i++)
        check_effect(&world.effects.items[i]);
    struct agent_counters counters = agent_counters(world.agent);
    FUZZ_CHECK(counters.stage_runs[STAGE_RESOLVE] <= RESOLVE_MAX);
    FUZZ_CHECK(counters.stage_runs[STAGE_PING] <= PING_MAX);
    FUZZ_CHECK(counters.sessions <= SESSION_MAX);
}

static void give_job(struct cursor *in, unsigned push)
{
    uint8_t flags = cursor_u8(in);
    struct agent_job job = {
        .push = id_of(push),
        .generation = 1,
        .accepted = (flags & 3) != 0,
        .refusal = "no",
        .counter = 1 + flags / 16,
        .not_after_unix_ms = 1700000000000 + 600000,
        .job_no = push + 1,
        .credential_no = 1,
        .local_account = (flags & 4) != 0,
        .shared_account = (flags & 8) != 0 && (flags & 4) == 0,
        .package_ready = (flags & 12) != 12,
        .wait = push == 1,
        .wait_until_unix_ms = 1700000000000 + 900000,
    };
    struct agent_event event = {.kind = AGENT_JOB, .job = &job};
    if (agent_knows_job(world.agent, &job.push, 1, job.counter))
        return; /* as the shell does */
    world.accepted[push] = world.accepted[push] || job.accepted;
    step(&event);
}

static void give_lease(struct cursor *in, unsigned push, uint64_t epoch)
{
    struct lease_entry entries[TARGETS];
    struct agent_event event = {.kind = AGENT_LEASE};
    uint8_t which = cursor_u8(in);
    uint8_t flags = cursor_u8(in);
    uint32_t count = 0;
    for (uint32_t no = 0; no < TARGETS; no++) {
        if ((which >> no & 1) == 0)
            continue;
        entries[count++] = (struct lease_entry){
            .target_no = no, .attempt = 1U + flags % 4, .name = names[push][no]};
        world.proven[push][no] = world.proven[push][no] || flags < 192;
    }
    event.lease = (struct agent_lease){.epoch = epoch,
                                       .push = id_of(push),
                                       .generation = 1,
                                       .verified = flags < 192,
                                       .entries = entries,
                                       .entry_count = count,
                                       .stop_counter = flags % 8 == 7 ? flags / 16 : 0};
    if (count > 0)
        step(&event);
}

static void end_stage(struct cursor *in)
{
    uint8_t which = cursor_u8(in);
    struct agent_stage_done done = {.key = which, .stage = STAGE_PING, .tries = 1};
    const struct run *run = world.run_count == 0 ? NULL : &world.runs[which % world.run_count];
    struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
    uint8_t how = cursor_u8(in);
    if (run != NULL && run->awaits_logon && how % 4 == 3) {
        event = (struct agent_event){.kind = AGENT_CONNECTED, .key = run->key};
        step(&event);
        return;
    }
    if (run != NULL) {
        done.key = run->key;
        done.stage = run->stage;
        forget_run(done.key);
    }
    done.verdict = how % 4 == 0 ? AGENT_FAILED : AGENT_PASSED;
    if (done.stage == STAGE_SCHEDULE && how % 4 == 1)
        done.verdict = how < 128 ? AGENT_EFFECT_UNKNOWN : AGENT_WAITING;
    done.logged_on = done.stage == STAGE_ACCESS && done.verdict == AGENT_PASSED;
    if (done.verdict != AGENT_PASSED)
        done.reason = (enum reason)(1 + how / 4 % (REASON_COUNT - 1));
    step(&event);
}

/* What needs no more than an epoch and a push. */
static void say(struct cursor *in, uint8_t what, unsigned push, uint64_t epoch)
{
    static const enum agent_event_kind kinds[] = {
        AGENT_WELCOME, AGENT_HEARTBEAT_ACK, AGENT_RESULTS_ACK,   AGENT_STOP,
        AGENT_CLOSE,   AGENT_PERMIT,        AGENT_PACKAGE_READY, AGENT_PACKAGE_FAILED,
        AGENT_LINK_UP, AGENT_INTAKE,        AGENT_HALT,          AGENT_DISTRUST};
    struct agent_event event = {.kind = kinds[what % 12]};
    uint64_t value = cursor_u16le(in);
    if (event.kind == AGENT_WELCOME)
        event.welcome = (struct message_welcome){.epoch = value % 8,
                                                 .lease_ms = 60000,
                                                 .heartbeat_ms = 10000,
                                                 .instance = value < 60000 ? 9 : 1};
    else if (event.kind == AGENT_HEARTBEAT_ACK)
        event.heartbeat_ack =
            (struct message_heartbeat_ack){.epoch = epoch, .sent_boottime_ms = value * 10};
    else if (event.kind == AGENT_RESULTS_ACK)
        event.results_ack = (struct message_results_ack){.epoch = epoch, .sequence = value % 16};
    else if (event.kind == AGENT_STOP || event.kind == AGENT_CLOSE)
        event.push_ref = (struct message_push_ref){
            .epoch = epoch, .push = id_of(push), .generation = 1, .counter = value % 20};
    else if (event.kind == AGENT_PERMIT)
        event.permit = (struct message_permit){.epoch = epoch,
                                               .granted = value % 2 == 1,
                                               .open = value % 4 == 3,
                                               .refused = value % 8 == 4};
    else if (event.kind == AGENT_INTAKE)
        event.intake = value % 4 != 0;
    else if (event.kind == AGENT_HALT)
        event.halted = value % 4 == 0;
    else if (event.kind != AGENT_LINK_UP) {
        event.package.job_no = push + 1;
        event.package.detail = "why";
    }
    step(&event);
}

static void begin(void)
{
    memset(&world, 0, sizeof world);
    agent_config_defaults(&world.config);
    world.config.hello.instance = 9;
    world.config.held_max = HELD_MAX;
    world.config.resolve_max = RESOLVE_MAX;
    world.config.ping_max = PING_MAX;
    world.config.connect_max = CONNECT_MAX;
    world.config.session_max = SESSION_MAX;
    world.config.package_wait_max = 1;
    world.agent = agent_new(&world.config);
    for (unsigned push = 0; push < PUSHES; push++) {
        for (unsigned no = 0; no < TARGETS; no++)
            (void)memcpy(names[push][no], (char[8]){'p', (char)('0' + push), '-', (char)('0' + no)},
                         8);
    }
    struct agent_event up = {.kind = AGENT_LINK_UP};
    step(&up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    begin();
    for (int steps = 0; steps < STEPS_MAX && cursor_left(&in) > 0; steps++) {
        uint8_t what = cursor_u8(&in);
        unsigned push = what / 8 % PUSHES;
        uint64_t epoch = what >= 224 ? cursor_u8(&in) : agent_counters(world.agent).epoch;
        if (what % 8 == 0) {
            give_job(&in, push);
        } else if (what % 8 == 1) {
            give_lease(&in, push, epoch);
        } else if (what % 8 < 5) {
            end_stage(&in);
        } else if (what % 8 < 7) {
            say(&in, what / 16, push, epoch);
        } else {
            struct agent_event tick = {.kind = AGENT_TICK};
            world.now_ms += (uint64_t)cursor_u8(&in) * 250;
            step(&tick);
        }
    }
    agent_effects_release(&world.effects);
    agent_free(world.agent);
    return 0;
}
