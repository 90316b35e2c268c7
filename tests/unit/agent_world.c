/* The world of the relay core's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

const struct push_id push_a = {{0xaa}};
const struct push_id push_b = {{0xbb}};

static const char *push_word(const struct push_id *id)
{
    return push_id_equal(id, &push_a) ? "A" : "B";
}

static void note_run(struct world *world, const struct agent_effect *effect)
{
    uint32_t i = 0;
    while (i < world->run_count && strcmp(world->runs[i].name, effect->run.target) != 0)
        i++;
    if (i == world->run_count)
        world->run_count++;
    assert_true(i < KEYS_MAX);
    assert_int_equal(effect->run.hold_logon, effect->run.stage == STAGE_ACCESS);
    world->runs[i].key = effect->run.key;
    world->runs[i].stage = effect->run.stage;
    (void)text_copy(world->runs[i].name, sizeof world->runs[i].name, effect->run.target);
}

static const char *name_of(const struct world *world, uint64_t key)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        if (world->runs[i].key == key)
            return world->runs[i].name;
    }
    return "?";
}

static void trace_ref(struct world *world, const char *what, const struct agent_ref *ref)
{
    buf_printf(&world->trace, "%s %s/%u #%u.%u", what, push_word(&ref->push), ref->generation,
               ref->target_no, ref->attempt);
}

static void trace_rows(struct world *world, const char *what, const struct agent_effect *effect)
{
    buf_text(&world->trace, what);
    for (uint32_t i = 0; i < effect->rows.ref_count; i++) {
        const struct agent_ref *ref = &world->effects.refs[effect->rows.first_ref + i];
        buf_printf(&world->trace, " %s#%u.%u%s", push_word(&ref->push), ref->target_no,
                   ref->attempt, ref->registered ? "!" : "");
    }
    buf_text(&world->trace, "\n");
}

static void trace_outcome(struct world *world, const struct agent_effect *effect)
{
    const struct outcome *outcome = &world->effects.outcomes[effect->persist.outcome_no];
    trace_ref(world, "outcome", &effect->persist.ref);
    buf_printf(&world->trace, " %s %s %s\n", target_state_word(outcome->state),
               stage_word(outcome->stage), reason_word(outcome->reason));
}

static void trace_effect(struct world *world, const struct agent_effect *effect)
{
    struct buf *trace = &world->trace;
    switch (effect->kind) {
    case AGENT_PERSIST_INTENT:
        trace_ref(world, "intent", &effect->persist.ref);
        buf_text(trace, "\n");
        break;
    case AGENT_PERSIST_OUTCOME:
        trace_outcome(world, effect);
        break;
    case AGENT_JOURNAL_RENEW:
        trace_ref(world, "renew", &effect->persist.ref);
        buf_text(trace, "\n");
        break;
    case AGENT_JOURNAL_ACKED:
        trace_rows(world, "acked", effect);
        break;
    case AGENT_JOURNAL_FORGET:
        buf_printf(trace, "forget %s/%u\n", push_word(&effect->forget.push),
                   effect->forget.generation);
        break;
    case AGENT_SEND_HELLO:
        world->instance = effect->hello.instance;
        buf_printf(trace, "hello instance=%u credit=%u\n", (unsigned)effect->hello.instance,
                   effect->hello.credit);
        break;
    case AGENT_SEND_HEARTBEAT:
        if (!world->quiet)
            buf_printf(trace, "heartbeat epoch=%u credit=%u\n", (unsigned)effect->heartbeat.epoch,
                       effect->heartbeat.credit);
        break;
    case AGENT_SEND_PERMIT_GET:
        buf_printf(trace, "permit_get counter=%u refused=%u%s%s\n",
                   (unsigned)effect->permit_get.counter, effect->permit_get.refused,
                   effect->permit_get.accepted ? " accepted" : "",
                   effect->permit_get.done ? " done" : "");
        break;
    case AGENT_SEND_RESULTS:
        world->sequence = effect->rows.sequence;
        trace_rows(world, "results", effect);
        break;
    case AGENT_SEND_CANCELLED:
        world->sequence = effect->rows.sequence;
        trace_rows(world, "cancelled", effect);
        break;
    case AGENT_SEND_SCHEDULED:
        assert_int_equal(effect->rows.sequence, 0);
        trace_rows(world, "scheduled", effect);
        break;
    case AGENT_RUN_STAGE:
        note_run(world, effect);
        buf_printf(trace, "run %s %s%s\n", effect->run.target, stage_word(effect->run.stage),
                   effect->run.await       ? " await"
                   : effect->run.look_only ? " look-only"
                   : effect->run.read_back ? " read-back"
                                           : "");
        break;
    case AGENT_LOGON:
        buf_printf(trace, "logon %s\n", name_of(world, effect->key));
        break;
    case AGENT_DROP:
        buf_printf(trace, "drop %s\n", name_of(world, effect->key));
        break;
    case AGENT_FETCH_PACKAGE:
        buf_printf(trace, "fetch job %u\n", effect->job_no);
        break;
    case AGENT_REMOVE_JOB:
        buf_printf(trace, "remove job %u\n", effect->job_no);
        break;
    case AGENT_ARM_TIMER:
        assert_true(effect->timer_ms > world->now_ms);
        world->timer_ms = effect->timer_ms;
        break;
    case AGENT_FINISHED:
        buf_text(trace, "finished\n");
        break;
    }
}

void step(struct world *world, struct agent_event *event)
{
    event->now_ms = world->now_ms;
    event->now_unix_ms = world->now_unix_ms;
    agent_step(world->agent, event, &world->effects);
    for (size_t i = 0; i < world->effects.count; i++)
        trace_effect(world, &world->effects.items[i]);
}

void step_kind(struct world *world, enum agent_event_kind kind)
{
    struct agent_event event = {.kind = kind};
    step(world, &event);
}

void pass_ms(struct world *world, uint64_t ms)
{
    uint64_t end = world->now_ms + ms;
    while (world->timer_ms <= end) {
        world->now_unix_ms += world->timer_ms - world->now_ms;
        world->now_ms = world->timer_ms;
        world->timer_ms = UINT64_MAX;
        step_kind(world, AGENT_TICK);
    }
    world->now_unix_ms += end - world->now_ms;
    world->now_ms = end;
}

void saw(struct world *world, const char *expected)
{
    assert_string_equal(buf_cstr(&world->trace), expected);
    buf_reset(&world->trace);
}

void forget_trace(struct world *world)
{
    buf_reset(&world->trace);
}

void ack_heartbeat(struct world *world)
{
    struct agent_event event = {.kind = AGENT_HEARTBEAT_ACK,
                                .heartbeat_ack = {world->epoch, world->now_ms}};
    step(world, &event);
}

void pass_live_ms(struct world *world, uint64_t ms)
{
    while (ms > 0) {
        uint64_t part = ms < HEARTBEAT_MS ? ms : HEARTBEAT_MS;
        pass_ms(world, part);
        ack_heartbeat(world);
        ms -= part;
    }
}

void welcome(struct world *world, uint64_t epoch)
{
    struct agent_event event = {.kind = AGENT_WELCOME,
                                .welcome = {epoch, LEASE_MS, HEARTBEAT_MS, world->instance, 0}};
    world->epoch = epoch;
    step(world, &event);
}

struct agent_job job_of(const struct push_id *push, uint64_t counter)
{
    return (struct agent_job){
        .push = *push,
        .generation = 1,
        .accepted = true,
        .counter = counter,
        .not_after_unix_ms = (int64_t)UNIX_START_MS + 3600000,
        .job_no = (uint32_t)counter,
        .credential_no = 1,
        .package_ready = true,
    };
}

void give_job(struct world *world, const struct agent_job *job)
{
    struct agent_event event = {.kind = AGENT_JOB, .job = job};
    step(world, &event);
}

void lease(struct world *world, const struct push_id *push, uint32_t first, uint32_t count,
           uint32_t attempt)
{
    static char names[LIMIT_ROWS_PER_MESSAGE][32];
    struct lease_entry entries[LIMIT_ROWS_PER_MESSAGE];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "%st%u", push_word(push), first + i);
        entries[i] = (struct lease_entry){first + i, attempt, names[i]};
    }
    struct agent_event event = {
        .kind = AGENT_LEASE,
        .lease = {world->epoch, *push, 1, true, entries, count, 0},
    };
    step(world, &event);
}

void answer(struct world *world, const char *name, enum agent_verdict verdict, enum reason reason)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        if (strcmp(world->runs[i].name, name) != 0)
            continue;
        struct agent_stage_done done = {
            .key = world->runs[i].key,
            .stage = world->runs[i].stage,
            .verdict = verdict,
            .reason = reason,
            .detail = "as the test said",
            .address = "10.1.2.3",
            .logged_on = world->logged_on,
            .tries = 1,
        };
        struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
        step(world, &event);
        return;
    }
    fail_msg("%s runs nothing", name);
}

void connected(struct world *world, const char *name)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        if (strcmp(world->runs[i].name, name) != 0)
            continue;
        assert_int_equal(world->runs[i].stage, STAGE_ACCESS);
        struct agent_event event = {.kind = AGENT_CONNECTED, .key = world->runs[i].key};
        step(world, &event);
        return;
    }
    fail_msg("%s runs nothing", name);
}

void pass(struct world *world, const char *name)
{
    answer(world, name, AGENT_PASSED, REASON_NONE);
}

void pass_until(struct world *world, const char *name, enum stage stage)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        while (strcmp(world->runs[i].name, name) == 0 && world->runs[i].stage < stage)
            pass(world, name);
    }
}

void ack_results(struct world *world)
{
    struct agent_event event = {.kind = AGENT_RESULTS_ACK,
                                .results_ack = {world->epoch, world->sequence}};
    step(world, &event);
}

void refer(struct world *world, enum agent_event_kind kind, const struct push_id *push)
{
    struct agent_event event = {.kind = kind, .push_ref = {world->epoch, *push, 1, 0}};
    step(world, &event);
}

void stop_job(struct world *world, const struct push_id *push, uint64_t counter)
{
    struct agent_event event = {.kind = AGENT_STOP, .push_ref = {world->epoch, *push, 1, counter}};
    step(world, &event);
}

void give_journal(struct world *world, enum agent_event_kind kind, uint32_t target_no,
                  uint32_t attempt, bool acked)
{
    struct agent_ref ref = {
        .push = push_a, .generation = 1, .target_no = target_no, .attempt = attempt};
    struct agent_event event = {.kind = kind, .journal = {.ref = ref, .acked = acked}};
    step(world, &event);
}

struct agent_config test_config(void)
{
    struct agent_config config;
    agent_config_defaults(&config);
    config.hello.instance = 7;
    config.held_max = 512;
    return config;
}

void world_init(struct world *world, const struct agent_config *config)
{
    memset(world, 0, sizeof *world);
    world->agent = agent_new(config);
    world->now_ms = 1000;
    world->now_unix_ms = UNIX_START_MS;
    world->timer_ms = UINT64_MAX;
    buf_init(&world->trace, 1 << 20);
}

void world_release(struct world *world)
{
    agent_free(world->agent);
    agent_effects_release(&world->effects);
    buf_release(&world->trace);
}

void world_ready(struct world *world, const struct agent_config *config)
{
    world_init(world, config);
    world->quiet = true;
    step_kind(world, AGENT_LINK_UP);
    welcome(world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(world, &job);
    forget_trace(world);
}

void world_default(struct world *world)
{
    struct agent_config config = test_config();
    world_ready(world, &config);
}

void prove_credential(struct world *world)
{
    lease(world, &push_a, 500, 1, 1);
    pass_until(world, "At500", STAGE_SCHEDULE);
    pass(world, "At500");
    ack_results(world);
    forget_trace(world);
}
