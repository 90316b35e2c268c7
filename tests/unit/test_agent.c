/* The relay's core, scenario by scenario: events in, effects out as a text trace of virtual time.
 *
 * A world plays the shell: it keeps the keys of targets by name, answers stages, and writes down
 * every effect but the timer's. `saw` compares what was written since the last look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "relay/core/agent.h"

#define KEYS_MAX 4096U
#define UNIX_START_MS 1700000000000ULL
#define LEASE_MS 60000U
#define HEARTBEAT_MS 15000U

struct world {
    struct agent *agent;
    struct agent_effects effects;
    struct buf trace;
    uint64_t now_ms, now_unix_ms, timer_ms;
    uint64_t sequence; /* of the last batch sent */
    uint64_t epoch;    /* of the last WELCOME */
    bool quiet;        /* heartbeats are left out of the trace */
    bool logged_on;    /* what fails, fails after the logon */
    struct {
        uint64_t key;
        char name[32];
        enum stage stage;
    } runs[KEYS_MAX]; /* the newest run of each name */
    uint32_t run_count;
};

static const struct push_id push_a = {{0xaa}};
static const struct push_id push_b = {{0xbb}};

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
        buf_printf(trace, "hello instance=%u credit=%u\n", (unsigned)effect->hello.instance,
                   effect->hello.credit);
        break;
    case AGENT_SEND_HEARTBEAT:
        if (!world->quiet)
            buf_printf(trace, "heartbeat epoch=%u credit=%u\n", (unsigned)effect->heartbeat.epoch,
                       effect->heartbeat.credit);
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

static void step(struct world *world, struct agent_event *event)
{
    event->now_ms = world->now_ms;
    event->now_unix_ms = world->now_unix_ms;
    agent_step(world->agent, event, &world->effects);
    for (size_t i = 0; i < world->effects.count; i++)
        trace_effect(world, &world->effects.items[i]);
}

static void step_kind(struct world *world, enum agent_event_kind kind)
{
    struct agent_event event = {.kind = kind};
    step(world, &event);
}

/* Time passes; the timer fires whenever it is due on the way. */
static void pass_ms(struct world *world, uint64_t ms)
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

static void saw(struct world *world, const char *expected)
{
    assert_string_equal(buf_cstr(&world->trace), expected);
    buf_reset(&world->trace);
}

static void forget_trace(struct world *world)
{
    buf_reset(&world->trace);
}

static void ack_heartbeat(struct world *world)
{
    struct agent_event event = {.kind = AGENT_HEARTBEAT_ACK,
                                .heartbeat_ack = {world->epoch, world->now_ms}};
    step(world, &event);
}

/* Time passes with a coordinator that answers heartbeats. */
static void pass_live_ms(struct world *world, uint64_t ms)
{
    while (ms > 0) {
        uint64_t part = ms < HEARTBEAT_MS ? ms : HEARTBEAT_MS;
        pass_ms(world, part);
        ack_heartbeat(world);
        ms -= part;
    }
}

static void welcome(struct world *world, uint64_t epoch)
{
    struct agent_event event = {.kind = AGENT_WELCOME, .welcome = {epoch, LEASE_MS, HEARTBEAT_MS}};
    world->epoch = epoch;
    step(world, &event);
}

static struct agent_job job_of(const struct push_id *push, uint64_t counter)
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

static void give_job(struct world *world, const struct agent_job *job)
{
    struct agent_event event = {.kind = AGENT_JOB, .job = job};
    step(world, &event);
}

/* Leases targets named t<first> on. */
static void lease(struct world *world, const struct push_id *push, uint32_t first, uint32_t count,
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
        .lease = {world->epoch, *push, 1, true, entries, count},
    };
    step(world, &event);
}

static void answer(struct world *world, const char *name, enum agent_verdict verdict,
                   enum reason reason)
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

/* The port answered; the logon waits to be allowed. */
static void connected(struct world *world, const char *name)
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

static void pass(struct world *world, const char *name)
{
    answer(world, name, AGENT_PASSED, REASON_NONE);
}

static void pass_until(struct world *world, const char *name, enum stage stage)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        while (strcmp(world->runs[i].name, name) == 0 && world->runs[i].stage < stage)
            pass(world, name);
    }
}

static void ack_results(struct world *world)
{
    struct agent_event event = {.kind = AGENT_RESULTS_ACK,
                                .results_ack = {world->epoch, world->sequence}};
    step(world, &event);
}

static void refer(struct world *world, enum agent_event_kind kind, const struct push_id *push)
{
    struct agent_event event = {.kind = kind, .push_ref = {world->epoch, *push, 1, 0}};
    step(world, &event);
}

static void stop_job(struct world *world, const struct push_id *push, uint64_t counter)
{
    struct agent_event event = {.kind = AGENT_STOP, .push_ref = {world->epoch, *push, 1, counter}};
    step(world, &event);
}

static void give_journal(struct world *world, enum agent_event_kind kind, uint32_t target_no,
                         uint32_t attempt, bool acked)
{
    struct agent_event event = {.kind = kind,
                                .journal = {{push_a, 1, target_no, attempt, STAGE_RESOLVE}, acked}};
    step(world, &event);
}

static struct agent_config test_config(void)
{
    struct agent_config config;
    agent_config_defaults(&config);
    config.hello.instance = 7;
    config.held_max = 512;
    return config;
}

static void world_init(struct world *world, const struct agent_config *config)
{
    memset(world, 0, sizeof *world);
    world->agent = agent_new(config);
    world->now_ms = 1000;
    world->now_unix_ms = UNIX_START_MS;
    world->timer_ms = UINT64_MAX;
    buf_init(&world->trace, 1 << 20);
}

static void world_release(struct world *world)
{
    agent_free(world->agent);
    agent_effects_release(&world->effects);
    buf_release(&world->trace);
}

/* Connected and welcome, with an accepted job for push A. */
static void world_ready(struct world *world, const struct agent_config *config)
{
    world_init(world, config);
    world->quiet = true;
    step_kind(world, AGENT_LINK_UP);
    welcome(world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(world, &job);
    forget_trace(world);
}

static void world_default(struct world *world)
{
    struct agent_config config = test_config();
    world_ready(world, &config);
}

/* One target past its first logon, so that the credential is proven; it ends as scheduled. */
static void prove_credential(struct world *world)
{
    lease(world, &push_a, 500, 1, 1);
    pass_until(world, "At500", STAGE_SCHEDULE);
    pass(world, "At500");
    ack_results(world);
    forget_trace(world);
}

static void link_up_says_hello_until_welcome(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    saw(&world, "hello instance=7 credit=512\n");
    pass_ms(&world, 5000);
    saw(&world, "hello instance=7 credit=512\n");
    welcome(&world, 3);
    saw(&world, "heartbeat epoch=3 credit=512\n");
    pass_ms(&world, 15000);
    saw(&world, "heartbeat epoch=3 credit=512\n");
    world_release(&world);
}

static void heartbeats_come_often_while_targets_are_in_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = false;
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_ms(&world, 2000);
    saw(&world, "heartbeat epoch=1 credit=512\n");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    ack_results(&world);
    forget_trace(&world);
    pass_ms(&world, 14999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "heartbeat epoch=1 credit=512\n");
    world_release(&world);
}

static void welcome_nobody_asked_for_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    welcome(&world, 9);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).epoch, 1);
    assert_int_equal(agent_counters(world.agent).ignored, 1);
    world_release(&world);
}

static void heartbeats_unanswered_say_hello_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    pass_ms(&world, 45000);
    saw(&world, "hello instance=7 credit=512\n");
    world_release(&world);
}

static void target_through_six_stages_scheduled(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    pass(&world, "At0");
    saw(&world, "run At0 access\n");
    pass(&world, "At0");
    saw(&world, "run At0 path\n");
    pass(&world, "At0");
    saw(&world, "run At0 copy\n");
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.1\nrun At0 schedule\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    ack_results(&world);
    saw(&world, "acked A#0.1\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    world_release(&world);
}

static void outcome_carries_times_tries_and_detail(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_ms(&world, 30);
    pass(&world, "At0");
    pass_ms(&world, 2000);
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    assert_int_equal(world.effects.outcome_count, 1);
    const struct outcome *outcome = &world.effects.outcomes[0];
    assert_int_equal(outcome->state, TARGET_UNREACHABLE);
    assert_int_equal(outcome->stage, STAGE_PING);
    assert_int_equal(outcome->reason, REASON_NO_REPLY);
    assert_string_equal(outcome->detail, "as the test said");
    assert_string_equal(outcome->address, "10.1.2.3");
    assert_int_equal(outcome->tries, 1);
    assert_int_equal(outcome->started_unix_ms, UNIX_START_MS);
    assert_int_equal(outcome->elapsed_ms, 2030);
    assert_int_equal(outcome->stage_ms[STAGE_RESOLVE], 30);
    assert_int_equal(outcome->stage_ms[STAGE_PING], 2000);
    world_release(&world);
}

static void windows_full_start_no_more(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 2;
    config.ping_max = 1;
    config.connect_max = 1;
    config.session_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    lease(&world, &push_a, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\nrun At2 resolve\n");
    pass(&world, "At1");
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "run At0 access\nrun At1 ping\n");
    pass(&world, "At1");
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_BAD_SHARE);
    saw(&world, "outcome A/1 #0.1 failed access BAD_SHARE\ndrop At0\nrun At1 access\n"
                "results A#0.1\n");
    world_release(&world);
}

/* No time passes here at all: what waits for silent machines can't have held up the others. */
static void silent_machines_hold_up_no_other(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    uint64_t began_ms = world.now_ms;
    lease(&world, &push_a, 0, 40, 1);
    for (uint32_t no = 0; no < 40; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        bool silent = no % 10 != 9;
        pass_until(&world, name, silent ? STAGE_PING : STAGE_SCHEDULE);
        if (!silent)
            pass(&world, name);
    }
    struct agent_counters counters = agent_counters(world.agent);
    assert_int_equal(counters.held, 36);
    assert_int_equal(counters.stage_runs[STAGE_PING], 36);
    assert_int_equal(counters.unacknowledged, 4);
    assert_int_equal(world.now_ms, began_ms);
    world_release(&world);
}

static void two_pushes_take_turns(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 2;
    world_ready(&world, &config);
    struct agent_job job = job_of(&push_b, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 3, 1);
    lease(&world, &push_b, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    pass(&world, "At0");
    pass(&world, "At1");
    const char *trace = buf_cstr(&world.trace);
    assert_non_null(strstr(trace, "run At2 resolve\n"));
    assert_non_null(strstr(trace, "run Bt0 resolve\n"));
    world_release(&world);
}

static void package_missing_holds_copy_and_further_sessions(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.package_wait_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.package_ready = false;
    give_job(&world, &job);
    saw(&world, "fetch job 2\n");
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    pass_until(&world, "Bt1", STAGE_PING);
    pass(&world, "Bt1");
    pass(&world, "Bt0");
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "");
    struct agent_event event = {.kind = AGENT_PACKAGE_READY, .package = {.job_no = 2}};
    step(&world, &event);
    saw(&world, "run Bt0 copy\nrun Bt1 access\n");
    world_release(&world);
}

static void package_failed_ends_targets_at_copy(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.package_ready = false;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_PATH);
    pass(&world, "Bt0");
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_PACKAGE_FAILED,
                                .package = {.job_no = 2, .detail = "the disk is full"}};
    step(&world, &event);
    saw(&world, "outcome B/1 #0.1 failed copy INTERNAL\ndrop Bt0\nresults B#0.1\n");
    assert_string_equal(world.effects.outcomes[0].detail, "the disk is full");
    world_release(&world);
}

static void lease_without_job_or_of_other_epoch_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_b, 0, 1, 1);
    world.epoch = 2;
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, 2);
    world_release(&world);
}

static void lease_under_refused_job_answers_job_refused(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.accepted = false;
    (void)text_copy(job.refusal, sizeof job.refusal, "unknown operator key");
    give_job(&world, &job);
    lease(&world, &push_b, 4, 2, 3);
    saw(&world, "outcome B/1 #4.3 failed - JOB_REFUSED\noutcome B/1 #5.3 failed - JOB_REFUSED\n"
                "results B#4.3 B#5.3\n");
    assert_string_equal(world.effects.outcomes[0].detail, "unknown operator key");
    world_release(&world);
}

static void lease_without_proof_answers_job_refused(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    char name[] = "stranger";
    struct lease_entry entry = {0, 1, name};
    struct agent_event event = {.kind = AGENT_LEASE, .lease = {1, push_a, 1, false, &entry, 1}};
    step(&world, &event);
    saw(&world, "outcome A/1 #0.1 failed - JOB_REFUSED\nresults A#0.1\n");
    world_release(&world);
}

static void refusal_after_acceptance_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_a, 2);
    job.accepted = false;
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

/* Who resumed isn't trusted here: declining its leases would have them repeated until the end. */
static void refusal_of_newer_job_under_stop_answers_its_leases(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 1, 1, 1);
    stop_job(&world, &push_a, 1);
    pass(&world, "At1"); /* its CANCELLED row stays unheard */
    job = job_of(&push_a, 2);
    job.accepted = false;
    (void)text_copy(job.refusal, sizeof job.refusal, "unknown operator key");
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 3, 2);
    saw(&world, "outcome A/1 #1.2 failed - JOB_REFUSED\noutcome A/1 #2.2 failed - JOB_REFUSED\n"
                "run At0 resolve\nresults A#1.2 A#2.2\n");
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    job = job_of(&push_a, 3);
    give_job(&world, &job);
    lease(&world, &push_a, 3, 1, 1);
    saw(&world, "run At3 resolve\n");
    world_release(&world);
}

static void lease_repeated_while_in_work_takes_attempt(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    lease(&world, &push_a, 0, 1, 2);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #0.2 failed resolve NXDOMAIN\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void lease_past_credit_ignored(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.held_max = 2;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    assert_int_equal(agent_counters(world.agent).held, 2);
    world_release(&world);
}

static void lease_run_out_drops_and_returns_as_new_instance(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_ms(&world, 47000);
    saw(&world, "hello instance=7 credit=512\n"); /* unheard for 45 s */
    pass_ms(&world, 1000);
    saw(&world, "drop At0\nhello instance=8 credit=512\n");
    answer(&world, "At0", AGENT_PASSED, REASON_NONE);
    saw(&world, "");
    welcome(&world, 2);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void lease_run_out_lets_schedule_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    pass_until(&world, "At1", STAGE_SCHEDULE);
    forget_trace(&world);
    pass_ms(&world, 48000);
    saw(&world, "hello instance=7 credit=512\nhello instance=8 credit=512\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\n");
    answer(&world, "At1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "drop At1\n");
    welcome(&world, 2);
    saw(&world, "results A#0.1\n");
    lease(&world, &push_a, 1, 1, 2);
    pass_until(&world, "At1", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At1");
    saw(&world, "run At1 schedule read-back\n");
    world_release(&world);
}

static void lease_renewed_by_ack_goes_on(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_live_ms(&world, 300000);
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void ack_of_future_heartbeat_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    struct agent_event event = {.kind = AGENT_HEARTBEAT_ACK, .heartbeat_ack = {1, 1000000}};
    step(&world, &event);
    pass_ms(&world, 48000);
    assert_int_equal(agent_counters(world.agent).lapses, 1);
    world_release(&world);
}

static void lease_runs_from_first_unanswered_hello(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    pass_ms(&world, 50000);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    ack_heartbeat(&world);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void reconnect_with_same_epoch_keeps_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    saw(&world, "hello instance=7 credit=512\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void welcome_with_new_epoch_drops_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 2);
    saw(&world, "hello instance=7 credit=512\ndrop At0\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    world_release(&world);
}

static void results_unacknowledged_sent_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    pass_ms(&world, 10000);
    saw(&world, "results A#0.1\n");
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 2);
    saw(&world, "hello instance=7 credit=512\nresults A#0.1\n");
    ack_results(&world);
    saw(&world, "acked A#0.1\n");
    pass_live_ms(&world, 60000);
    saw(&world, "");
    world_release(&world);
}

static void results_many_go_in_batches(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.results_in_flight = 1;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 256, 1);
    lease(&world, &push_a, 256, 44, 1);
    char name[16];
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "At%u", i);
        answer(&world, name, AGENT_FAILED, REASON_NXDOMAIN);
    }
    assert_int_equal(agent_counters(world.agent).unacknowledged, 300);
    ack_results(&world); /* the first went alone */
    assert_int_equal(agent_counters(world.agent).unacknowledged, 299);
    ack_results(&world);
    assert_int_equal(agent_counters(world.agent).unacknowledged, 43);
    ack_results(&world);
    assert_int_equal(agent_counters(world.agent).unacknowledged, 0);
    world_release(&world);
}

static void lease_for_known_outcome_sends_it_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1); /* crossed the results on the way */
    saw(&world, "");
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "renew A/1 #0.2\nresults A#0.2\n");
    ack_results(&world);
    saw(&world, "acked A#0.2\n");
    lease(&world, &push_a, 0, 1, 2); /* the coordinator was restored from a backup */
    saw(&world, "renew A/1 #0.2\nresults A#0.2\n");
    world_release(&world);
}

static void journal_outcome_survives_restart(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 0, 1, false);
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 1, 1, true);
    saw(&world, "");
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    saw(&world, "hello instance=7 credit=512\nresults A#0.1\n");
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 1, 1, 2);
    saw(&world, "renew A/1 #1.2\nresults A#1.2\n");
    world_release(&world);
}

static void journal_intent_reads_back_without_copying(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void journal_intent_unreachable_becomes_unknown_effect(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.read_back_ms = 2500;
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    pass(&world, "At0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    saw(&world, "drop At0\n");
    pass_ms(&world, 1000);
    saw(&world, "run At0 resolve\n");
    pass(&world, "At0");
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    saw(&world, "run At0 ping\ndrop At0\n");
    pass_ms(&world, 2000);
    answer(&world, "At0", AGENT_FAILED, REASON_DNS_TIMEOUT);
    saw(&world, "run At0 resolve\noutcome A/1 #0.2 unknown_effect schedule NO_REPLY\ndrop At0\n"
                "results A#0.2\n");
    world_release(&world);
}

static void effect_unknown_reads_back_on_new_session(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    pass_ms(&world, 999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "run At0 access\n");
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    assert_int_equal(world.effects.outcomes[0].tries, 2);
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void effect_unknown_for_long_is_unknown_effect(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.read_back_ms = 1500;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "At0");
    pass_ms(&world, 500);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_RPC_UNAVAILABLE);
    saw(&world, "outcome A/1 #0.1 unknown_effect schedule CONN_LOST\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void read_back_with_clear_answer_counts(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "At0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NAME_CONFLICT);
    saw(&world, "outcome A/1 #0.1 failed schedule NAME_CONFLICT\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void deadline_passed_expires_waiting_targets(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 1;
    world_ready(&world, &config);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    saw(&world, "run Bt0 resolve\n");
    pass_ms(&world, 5000);
    saw(&world, "outcome B/1 #1.1 expired - EXPIRED\nresults B#1.1\n");
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 expired ping EXPIRED\ndrop Bt0\nresults B#0.1\n");
    world_release(&world);
}

static void deadline_passed_registers_nothing(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_COPY);
    pass_until(&world, "Bt1", STAGE_SCHEDULE);
    answer(&world, "Bt1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    forget_trace(&world);
    world.now_unix_ms += 6000;
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 expired schedule EXPIRED\ndrop Bt0\nresults B#0.1\n");
    pass_ms(&world, 1000);
    saw(&world, "run Bt1 access\n");
    pass(&world, "Bt1");
    saw(&world, "run Bt1 schedule look-only\n");
    answer(&world, "Bt1", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "outcome B/1 #1.1 expired schedule EXPIRED\ndrop Bt1\nresults B#1.1\n");
    world_release(&world);
}

static void deadline_passed_looks_a_while_longer(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_SCHEDULE);
    pass_until(&world, "Bt1", STAGE_SCHEDULE);
    world.now_unix_ms += 5000;
    answer(&world, "Bt0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    answer(&world, "Bt1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "Bt0");
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 scheduled schedule -\ndrop Bt0\nresults B#0.1\n");
    answer(&world, "Bt1", AGENT_FAILED, REASON_CONNECT_TIMEOUT);
    ack_results(&world);
    forget_trace(&world);
    world.now_unix_ms += 59000;
    step_kind(&world, AGENT_TICK);
    saw(&world, "outcome B/1 #1.1 unknown_effect schedule CONN_LOST\nresults B#1.1\n");
    world_release(&world);
}

/* Found out too late for this deadline, but the push goes on under a newer signature. */
static void deadline_passed_under_old_signature_goes_back(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_SCHEDULE);
    world.now_unix_ms += 5000;
    answer(&world, "Bt0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "Bt0");
    job = job_of(&push_b, 3);
    give_job(&world, &job);
    forget_trace(&world);
    answer(&world, "Bt0", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "drop Bt0\nremove job 2\ncancelled B#0.1\n");
    world_release(&world);
}

static void stop_drops_all_but_intents(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "");
    pass(&world, "At1");
    saw(&world, "drop At1\ncancelled A#1.1\n");
    assert_int_equal(world.effects.refs[0].reached, STAGE_RESOLVE);
    ack_results(&world);
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 1);
    world_release(&world);
}

static void stop_lets_running_stages_end_and_starts_none(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 3;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 5, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\nrun At2 resolve\n");
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "cancelled A#3.1 A#4.1\n");
    pass(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #1.1 failed resolve NXDOMAIN\ndrop At1\nresults A#1.1\n");
    refer(&world, AGENT_STOP, &push_a);
    pass_ms(&world, config.shutdown_ms - 1);
    forget_trace(&world);
    pass_ms(&world, 1);
    assert_non_null(strstr(buf_cstr(&world.trace), "drop At2\n"));
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_RESOLVE], 0);
    world_release(&world);
}

static void lease_under_stop_starts_nothing(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 1, 1, true);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    refer(&world, AGENT_STOP, &push_a);
    forget_trace(&world);
    lease(&world, &push_a, 0, 3, 2);
    saw(&world, "renew A/1 #1.2\nrun At0 resolve\nresults A#1.2\ncancelled A#2.2\n");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

/* A relay that died right after INTENT must not register when it is back, hours after the cancel;
 * and what was not registered can be leased again once the push is resumed. */
static void look_under_stop_finding_nothing_is_cancelled(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    refer(&world, AGENT_STOP, &push_a);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED);
    assert_int_equal(world.effects.refs[0].reached, STAGE_SCHEDULE);
    saw(&world, "drop At0\ncancelled A#0.2\n");
    ack_results(&world);
    job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 3);
    pass_until(&world, "At0", STAGE_COPY);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.3\nrun At0 schedule\n");
    world_release(&world);
}

static void cancelled_rows_sent_until_acknowledged(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    refer(&world, AGENT_STOP, &push_a);
    pass(&world, "At0");
    forget_trace(&world);
    pass_ms(&world, 10000);
    saw(&world, "cancelled A#0.1\n");
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "remove job 1\nrun At0 resolve\n");
    ack_results(&world);
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void stop_lifted_by_newer_signature_only(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    refer(&world, AGENT_STOP, &push_a);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "cancelled A#0.1\n");
    job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "remove job 1\nrun At0 resolve\n");
    world_release(&world);
}

/* A LEASE that came twice, once before and once after the JOB that lifts the STOP. */
static void lease_declined_under_stop_stays_declined(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    refer(&world, AGENT_STOP, &push_a);
    lease(&world, &push_a, 0, 2, 1);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    saw(&world, "cancelled A#0.1 A#1.1\nremove job 1\n");
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    ack_results(&world);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "cancelled A#1.1\n");
    lease(&world, &push_a, 0, 2, 2);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    world_release(&world);
}

/* It was under way when the push was resumed, and nothing would lift it. */
static void stop_of_earlier_job_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    stop_job(&world, &push_a, 1);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    uint64_t ignored = agent_counters(world.agent).ignored;
    forget_trace(&world);
    stop_job(&world, &push_a, 1);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, ignored + 1);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "run At1 resolve\n");
    stop_job(&world, &push_a, 2);
    pass(&world, "At0");
    pass(&world, "At1");
    saw(&world, "drop At0\ncancelled A#0.2\ndrop At1\ncancelled A#1.1\n");
    world_release(&world);
}

static void stop_of_later_job_holds_when_that_job_comes(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    stop_job(&world, &push_a, 2);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "cancelled A#0.1\n");
    stop_job(&world, &push_a, 1); /* late: the newer STOP holds */
    job = job_of(&push_a, 3);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "run At1 resolve\n");
    world_release(&world);
}

static void job_replaced_lives_until_its_targets_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world,
        "outcome A/1 #0.1 failed resolve NXDOMAIN\ndrop At0\nremove job 1\nresults A#0.1\n");
    world_release(&world);
}

static void close_forgets_everything_of_the_push(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 3, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    ack_results(&world);
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    refer(&world, AGENT_CLOSE, &push_a);
    saw(&world, "drop At2\nremove job 1\nforget A/1\n");
    pass_live_ms(&world, 60000);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 0);
    world_release(&world);
}

static void close_forgets_intents_too(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    refer(&world, AGENT_CLOSE, &push_a);
    saw(&world, "drop At0\nremove job 1\nforget A/1\n");
    struct agent_job job = job_of(&push_b, 2); /* takes the place of push A */
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "run Bt0 path\n");
    world_release(&world);
}

static void lease_again_while_schedule_runs_reads_back_here(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    pass_ms(&world, 48000);
    welcome(&world, 2);
    lease(&world, &push_a, 0, 1, 2);
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "");
    pass_ms(&world, 1000);
    saw(&world, "run At0 access\n");
    world_release(&world);
}

static void shutdown_lets_running_stages_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    forget_trace(&world);
    world.quiet = false;
    step_kind(&world, AGENT_SHUTDOWN);
    saw(&world, "heartbeat epoch=1 credit=0\n");
    pass(&world, "At0");
    saw(&world, "");
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #1.1 failed resolve NXDOMAIN\ndrop At1\nresults A#1.1\nfinished\n");
    world_release(&world);
}

static void shutdown_ends_after_its_time(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_SHUTDOWN);
    pass_ms(&world, 10000);
    saw(&world, "finished\n");
    world_release(&world);
}

/* Targets t<first> on are in ACCESS, not connected yet. */
static void enter_access(struct world *world, uint32_t first, uint32_t count)
{
    lease(world, &push_a, first, count, 1);
    for (uint32_t no = first; no < first + count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        pass_until(world, name, STAGE_ACCESS);
    }
    forget_trace(world);
}

static void brake_holds_all_logons_but_the_first(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 4);
    connected(&world, "At2");
    saw(&world, "logon At2\n");
    connected(&world, "At1");
    connected(&world, "At0");
    connected(&world, "At1");
    saw(&world, "");
    pass(&world, "At2");
    saw(&world, "logon At1\nlogon At0\nrun At2 path\n");
    connected(&world, "At3");
    saw(&world, "logon At3\n");
    world_release(&world);
}

static void silent_ports_take_no_session_from_others(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.connect_max = 4;
    config.session_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    enter_access(&world, 0, 4);
    connected(&world, "At3");
    saw(&world, "logon At3\n");
    connected(&world, "At2");
    saw(&world, ""); /* no place */
    connected(&world, "At3");
    saw(&world, "logon At2\n"); /* At3 lost its connection, and its place */
    pass_live_ms(&world, config.logon_wait_ms + 1000);
    /* Waiting for a place is nothing that other machines do to the account. */
    assert_null(strstr(buf_cstr(&world.trace), "outcome"));
    forget_trace(&world);
    answer(&world, "At2", AGENT_FAILED, REASON_BAD_SHARE);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon At3\n"));
    assert_int_equal(agent_counters(world.agent).sessions, 1);
    world_release(&world);
}

/* Ports that are filtered: no password was sent, so there is nothing to wait for. No time passes.
 */
static void brake_unreachable_machines_hold_up_no_other(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    uint64_t began_ms = world.now_ms;
    enter_access(&world, 0, 200);
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_ACCESS], 200);
    enter_access(&world, 200, 1);
    connected(&world, "At200");
    saw(&world, "logon At200\n");
    pass(&world, "At200");
    saw(&world, "run At200 path\n");
    answer(&world, "At0", AGENT_FAILED, REASON_CONNECT_TIMEOUT);
    assert_int_equal(world.now_ms, began_ms);
    world_release(&world);
}

static void brake_silent_machine_holds_up_a_second_only(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    connected(&world, "At2");
    saw(&world, "logon At0\n");
    pass_ms(&world, 999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "logon At1\n");
    pass_ms(&world, 1000);
    saw(&world, "logon At2\n");
    world_release(&world);
}

static void connect_all(struct world *world, uint32_t first, uint32_t count)
{
    for (uint32_t no = first; no < first + count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        connected(world, name);
    }
}

/* Each of them may yet be refused: the third is the last, however long they think. */
static void brake_silent_machines_never_pass_the_limit_of_refusals(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 7);
    connect_all(&world, 0, 7);
    pass_live_ms(&world, 2000);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon At2\n"));
    forget_trace(&world);
    pass_live_ms(&world, 60000);
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_CONN_LOST);
    saw(&world, "outcome A/1 #0.1 failed access CONN_LOST\ndrop At0\nlogon At3\nresults A#0.1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world, "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nresults A#1.1\n");
    ack_results(&world);
    pass_live_ms(&world, 537999);
    forget_trace(&world);
    pass_live_ms(&world, 1);
    saw(&world, "outcome A/1 #4.1 failed access CREDENTIAL_BRAKE\ndrop At4\n"
                "outcome A/1 #5.1 failed access CREDENTIAL_BRAKE\ndrop At5\n"
                "outcome A/1 #6.1 failed access CREDENTIAL_BRAKE\ndrop At6\n"
                "results A#4.1 A#5.1 A#6.1\n");
    world_release(&world);
}

static void brake_second_connection_asks_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    saw(&world, "logon At0\n");
    connected(&world, "At0"); /* the first connection broke: its logon is over */
    saw(&world, "logon At1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nlogon At0\nresults A#1.1\n");
    world_release(&world);
}

static void brake_three_refusals_stop_the_account(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 6);
    static const char *const names[] = {"At0", "At1", "At2", "At3", "At4"};
    for (size_t i = 0; i < 5; i++)
        connected(&world, names[i]);
    answer(&world, "At0", AGENT_FAILED, REASON_LOGON_FAILURE);
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "logon At0\n"
        "outcome A/1 #0.1 failed access LOGON_FAILURE\ndrop At0\nlogon At1\nresults A#0.1\n"
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nlogon At2\nresults A#1.1\n");
    answer(&world, "At2", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world, "outcome A/1 #2.1 failed access LOGON_FAILURE\ndrop At2\n"
                "outcome A/1 #3.1 failed access CREDENTIAL_BRAKE\ndrop At3\n"
                "outcome A/1 #4.1 failed access CREDENTIAL_BRAKE\ndrop At4\n"
                "results A#2.1 A#3.1 A#4.1\n");
    connected(&world, "At5"); /* was still on its way to the port */
    saw(&world, "outcome A/1 #5.1 failed access CREDENTIAL_BRAKE\ndrop At5\nresults A#5.1\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    world_release(&world);
}

static void brake_locked_account_stops_at_once(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    enter_access(&world, 0, 1);
    lease(&world, &push_a, 1, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_ACCOUNT_LOCKED);
    pass_until(&world, "At1", STAGE_PING);
    forget_trace(&world);
    pass(&world, "At1");
    saw(&world, "outcome A/1 #1.1 failed access CREDENTIAL_BRAKE\ndrop At1\nresults A#1.1\n");
    world_release(&world);
}

/* ACCESS_DENIED comes from the share, to somebody who is in, or instead of the logon. */
static void brake_denied_before_the_logon_proves_nothing(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 4);
    connect_all(&world, 0, 4);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_ACCESS_DENIED);
    saw(&world, "outcome A/1 #0.1 failed access ACCESS_DENIED\ndrop At0\nlogon At1\n"
                "results A#0.1\n");
    world.logged_on = true;
    answer(&world, "At1", AGENT_FAILED, REASON_ACCESS_DENIED);
    saw(&world, "outcome A/1 #1.1 failed access ACCESS_DENIED\ndrop At1\nlogon At2\nlogon At3\n"
                "results A#1.1\n");
    world_release(&world);
}

/* Push B, with the account and secret of push A. */
static void share_credential(struct world *world, const struct agent_job *job_a)
{
    struct agent_job job = job_of(&push_b, 7);
    job.credential_no = job_a->credential_no;
    job.local_account = job_a->local_account;
    give_job(world, &job);
}

static void brake_concurrent_pushes_share_one_count(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_a, 1);
    share_credential(&world, &job);
    enter_access(&world, 0, 3);
    connect_all(&world, 0, 2);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    connected(&world, "Bt0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_LOGON_FAILURE);
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon Bt0\n"));
    forget_trace(&world);
    connected(&world, "At2");
    answer(&world, "Bt0", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_non_null(strstr(buf_cstr(&world.trace), "A/1 #2.1 failed access CREDENTIAL_BRAKE\n"));
    pass_until(&world, "Bt1", STAGE_PING);
    forget_trace(&world);
    pass(&world, "Bt1");
    assert_non_null(strstr(buf_cstr(&world.trace), "B/1 #1.1 failed access CREDENTIAL_BRAKE\n"));
    world_release(&world);
}

/* Push A is refused `count` times and closed; then push B comes with the same credential. Whether
 * it may try its first logon. */
static bool may_try_after(const struct agent_job *job_a, uint32_t count, enum reason reason,
                          uint64_t pause_ms)
{
    struct world world;
    struct agent_config config = test_config();
    world_ready(&world, &config);
    give_job(&world, job_a);
    enter_access(&world, 0, count);
    connect_all(&world, 0, count);
    for (uint32_t no = 0; no < count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        answer(&world, name, AGENT_FAILED, reason);
    }
    refer(&world, AGENT_CLOSE, &push_a);
    pass_live_ms(&world, pause_ms);
    share_credential(&world, job_a);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_PING);
    forget_trace(&world);
    pass(&world, "Bt0");
    bool tries = strstr(buf_cstr(&world.trace), "run Bt0 access\n") != NULL;
    assert_true(tries || strstr(buf_cstr(&world.trace), "CREDENTIAL_BRAKE") != NULL);
    world_release(&world);
    return tries;
}

static void brake_remembers_wrong_passwords_of_domain_accounts(void **state)
{
    (void)state;
    struct agent_job job = job_of(&push_a, 2); /* replaces the one that the world begins with */
    job.credential_no = 9;
    assert_false(may_try_after(&job, 3, REASON_LOGON_FAILURE, 0));
    assert_false(may_try_after(&job, 3, REASON_LOGON_FAILURE, 1700000));
    assert_true(may_try_after(&job, 3, REASON_LOGON_FAILURE, 1800000));
    assert_true(may_try_after(&job, 2, REASON_LOGON_FAILURE, 0));
    /* What an administrator mends without a new password doesn't last. */
    assert_true(may_try_after(&job, 1, REASON_ACCOUNT_LOCKED, 0));
    assert_true(may_try_after(&job, 3, REASON_ACCOUNT_DISABLED, 0));
    job.local_account = true; /* other machines count for themselves */
    assert_true(may_try_after(&job, 3, REASON_LOGON_FAILURE, 0));
}

static void held_logon_whose_lease_runs_out_dropped(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.logon_patience_ms = 2 * LEASE_MS;
    world_ready(&world, &config);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    forget_trace(&world);
    pass_ms(&world, LEASE_MS * 8 / 10);
    assert_non_null(strstr(buf_cstr(&world.trace), "drop At0\ndrop At1\n"));
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_ACCESS], 0);
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_CONNECTED, .key = world.runs[1].key};
    step(&world, &event);
    pass_ms(&world, 2 * LEASE_MS);
    assert_null(strstr(buf_cstr(&world.trace), "logon"));
    world_release(&world);
}

static void held_logon_under_stop_dropped(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    connected(&world, "At2");
    forget_trace(&world);
    answer(&world, "At1", AGENT_FAILED, REASON_CONN_LOST); /* while held */
    saw(&world, "outcome A/1 #1.1 failed access CONN_LOST\ndrop At1\nresults A#1.1\n");
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "drop At2\ncancelled A#2.1\n");
    pass(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1\n");
    pass_ms(&world, 5000);
    saw(&world, "");
    world_release(&world);
}

static void held_logon_past_deadline_expired(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    forget_trace(&world);
    world.now_unix_ms = UNIX_START_MS + 3600000;
    step_kind(&world, AGENT_TICK);
    saw(&world, "outcome A/1 #1.1 expired access EXPIRED\ndrop At1\nresults A#1.1\n");
    world_release(&world);
}

static void held_logon_does_not_delay_shutdown(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    answer(&world, "At0", AGENT_FAILED, REASON_NAME_MISMATCH);
    forget_trace(&world);
    connected(&world, "At2");
    saw(&world, "");
    step_kind(&world, AGENT_SHUTDOWN);
    saw(&world, "drop At2\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nresults A#1.1\nfinished\n");
    world_release(&world);
}

static void brake_after_success_lets_wrong_passwords_be(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    lease(&world, &push_a, 0, 5, 1);
    static const char *const names[] = {"At0", "At1", "At2", "At3"};
    for (size_t i = 0; i < 4; i++) {
        pass_until(&world, names[i], STAGE_ACCESS);
        answer(&world, names[i], AGENT_FAILED, REASON_LOGON_FAILURE);
    }
    pass_until(&world, "At4", STAGE_PING);
    forget_trace(&world);
    pass(&world, "At4");
    saw(&world, "run At4 access\n");
    world_release(&world);
}

static void stage_result_of_unknown_key_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_stage_done done = {.key = 0x123400000001ULL, .stage = STAGE_COPY};
    struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
    step(&world, &event);
    done.key = UINT64_MAX;
    step(&world, &event);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, 2);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_up_says_hello_until_welcome),
        cmocka_unit_test(heartbeats_come_often_while_targets_are_in_work),
        cmocka_unit_test(welcome_nobody_asked_for_ignored),
        cmocka_unit_test(heartbeats_unanswered_say_hello_again),
        cmocka_unit_test(target_through_six_stages_scheduled),
        cmocka_unit_test(outcome_carries_times_tries_and_detail),
        cmocka_unit_test(windows_full_start_no_more),
        cmocka_unit_test(silent_ports_take_no_session_from_others),
        cmocka_unit_test(silent_machines_hold_up_no_other),
        cmocka_unit_test(two_pushes_take_turns),
        cmocka_unit_test(package_missing_holds_copy_and_further_sessions),
        cmocka_unit_test(package_failed_ends_targets_at_copy),
        cmocka_unit_test(lease_without_job_or_of_other_epoch_ignored),
        cmocka_unit_test(lease_under_refused_job_answers_job_refused),
        cmocka_unit_test(lease_without_proof_answers_job_refused),
        cmocka_unit_test(refusal_after_acceptance_ignored),
        cmocka_unit_test(refusal_of_newer_job_under_stop_answers_its_leases),
        cmocka_unit_test(lease_repeated_while_in_work_takes_attempt),
        cmocka_unit_test(lease_past_credit_ignored),
        cmocka_unit_test(lease_run_out_drops_and_returns_as_new_instance),
        cmocka_unit_test(lease_run_out_lets_schedule_end),
        cmocka_unit_test(lease_renewed_by_ack_goes_on),
        cmocka_unit_test(ack_of_future_heartbeat_ignored),
        cmocka_unit_test(lease_runs_from_first_unanswered_hello),
        cmocka_unit_test(reconnect_with_same_epoch_keeps_work),
        cmocka_unit_test(welcome_with_new_epoch_drops_work),
        cmocka_unit_test(results_unacknowledged_sent_again),
        cmocka_unit_test(results_many_go_in_batches),
        cmocka_unit_test(lease_for_known_outcome_sends_it_again),
        cmocka_unit_test(journal_outcome_survives_restart),
        cmocka_unit_test(journal_intent_reads_back_without_copying),
        cmocka_unit_test(journal_intent_unreachable_becomes_unknown_effect),
        cmocka_unit_test(effect_unknown_reads_back_on_new_session),
        cmocka_unit_test(effect_unknown_for_long_is_unknown_effect),
        cmocka_unit_test(read_back_with_clear_answer_counts),
        cmocka_unit_test(deadline_passed_expires_waiting_targets),
        cmocka_unit_test(deadline_passed_registers_nothing),
        cmocka_unit_test(deadline_passed_looks_a_while_longer),
        cmocka_unit_test(deadline_passed_under_old_signature_goes_back),
        cmocka_unit_test(stop_drops_all_but_intents),
        cmocka_unit_test(stop_lets_running_stages_end_and_starts_none),
        cmocka_unit_test(lease_under_stop_starts_nothing),
        cmocka_unit_test(look_under_stop_finding_nothing_is_cancelled),
        cmocka_unit_test(cancelled_rows_sent_until_acknowledged),
        cmocka_unit_test(stop_lifted_by_newer_signature_only),
        cmocka_unit_test(lease_declined_under_stop_stays_declined),
        cmocka_unit_test(stop_of_earlier_job_ignored),
        cmocka_unit_test(stop_of_later_job_holds_when_that_job_comes),
        cmocka_unit_test(job_replaced_lives_until_its_targets_end),
        cmocka_unit_test(close_forgets_everything_of_the_push),
        cmocka_unit_test(close_forgets_intents_too),
        cmocka_unit_test(lease_again_while_schedule_runs_reads_back_here),
        cmocka_unit_test(shutdown_lets_running_stages_end),
        cmocka_unit_test(shutdown_ends_after_its_time),
        cmocka_unit_test(brake_holds_all_logons_but_the_first),
        cmocka_unit_test(brake_unreachable_machines_hold_up_no_other),
        cmocka_unit_test(brake_silent_machine_holds_up_a_second_only),
        cmocka_unit_test(brake_silent_machines_never_pass_the_limit_of_refusals),
        cmocka_unit_test(brake_second_connection_asks_again),
        cmocka_unit_test(held_logon_whose_lease_runs_out_dropped),
        cmocka_unit_test(held_logon_under_stop_dropped),
        cmocka_unit_test(held_logon_past_deadline_expired),
        cmocka_unit_test(held_logon_does_not_delay_shutdown),
        cmocka_unit_test(brake_three_refusals_stop_the_account),
        cmocka_unit_test(brake_locked_account_stops_at_once),
        cmocka_unit_test(brake_denied_before_the_logon_proves_nothing),
        cmocka_unit_test(brake_concurrent_pushes_share_one_count),
        cmocka_unit_test(brake_remembers_wrong_passwords_of_domain_accounts),
        cmocka_unit_test(brake_after_success_lets_wrong_passwords_be),
        cmocka_unit_test(stage_result_of_unknown_key_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
