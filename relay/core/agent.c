/* One step of the agent: the event, then what has become due, then the timer. */
#include "relay/core/agent.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/core/agent_state.h"

void agent_config_defaults(struct agent_config *config)
{
    *config = (struct agent_config){
        .held_max = 8192,
        .resolve_max = 512, /* the stage asks the servers fewer at once, slow names aside */
        .ping_max = 4096,   /* the ping stage itself asks fewer on-link addresses at once */
        .connect_max = 1024,
        .session_max = 256,
        .package_wait_max = 32,
        .hello_retry_ms = 5000,
        .results_retry_ms = 10000,
        .read_back_ms = 60000,
        .retry_first_ms = 1000,
        .logon_patience_ms = 1000,
        .logon_wait_ms = 600000,
        .await_first_ms = 5000,
        .await_max_ms = 60000,
        .shutdown_ms = 10000,
        .results_in_flight = 4,
        .logon_failures_max = 3,
        .logon_memory_ms = 1800000, /* the longest counting window that Windows suggests */
    };
}

struct agent *agent_new(const struct agent_config *config)
{
    struct agent *agent = mem_new(1, sizeof *agent);
    agent->config = *config;
    if (agent->config.results_in_flight > BATCHES_MAX)
        agent->config.results_in_flight = BATCHES_MAX;
    table_init(&agent->table);
    queue_init(&agent->paused);
    queue_init(&agent->unsent);
    queue_init(&agent->dropped);
    agent->timer_ms = UINT64_MAX;
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    table_release(&agent->table);
    free(agent->pushes);
    free(agent->jobs);
    free(agent->credentials);
    free(agent->progress);
    free(agent);
}

static void on_shutdown(struct agent *agent)
{
    if (agent->shutting_down)
        return;
    agent->shutting_down = true;
    agent->shutdown_at_ms = agent->now_ms + agent->config.shutdown_ms;
    agent->heartbeat_due = true; /* says credit 0 */
}

/* What is held goes on. */
static void on_intake(struct agent *agent, bool open)
{
    if (agent->intake_closed == !open)
        return;
    agent->intake_closed = !open;
    agent->heartbeat_due = true; /* says the new credit */
}

static void take_event(struct agent *agent, const struct agent_event *event)
{
    switch (event->kind) {
    case AGENT_TICK:
    case AGENT_HEARTBEAT_ACK: /* taken before the lease was looked at */
        break;
    case AGENT_JOURNAL_INTENT:
        on_journal(agent, &event->journal.ref, false, false, 0);
        break;
    case AGENT_JOURNAL_OUTCOME:
        on_journal(agent, &event->journal.ref, true, event->journal.acked,
                   event->journal.output_size);
        break;
    case AGENT_LINK_UP:
        on_link_up(agent);
        break;
    case AGENT_WELCOME:
        on_welcome(agent, &event->welcome);
        break;
    case AGENT_JOB:
        on_job(agent, event->job);
        break;
    case AGENT_LEASE:
        on_lease(agent, &event->lease);
        break;
    case AGENT_RESULTS_ACK:
        on_results_ack(agent, &event->results_ack);
        break;
    case AGENT_STOP:
        on_stop(agent, &event->push_ref);
        break;
    case AGENT_CLOSE:
        on_close(agent, &event->push_ref);
        break;
    case AGENT_CONNECTED:
        on_connected(agent, event->key);
        break;
    case AGENT_STAGE_DONE:
        on_stage_done(agent, event->stage_done);
        break;
    case AGENT_PACKAGE_READY:
        on_package(agent, event->package.job_no, NULL);
        break;
    case AGENT_PACKAGE_FAILED:
        on_package(agent, event->package.job_no, event->package.detail);
        break;
    case AGENT_PERMIT:
        on_permit(agent, &event->permit);
        break;
    case AGENT_INTAKE:
        on_intake(agent, event->intake);
        break;
    case AGENT_DISTRUST:
        on_distrust(agent, event->package.job_no, event->package.detail);
        break;
    case AGENT_HALT:
        on_halt(agent, event->halted);
        break;
    case AGENT_SHUTDOWN:
        on_shutdown(agent);
        break;
    }
}

static void arm_timer(struct agent *agent)
{
    uint64_t due = lease_due_ms(agent);
    uint64_t others[] = {
        work_due_ms(agent), results_due_ms(agent), wait_due_ms(agent), permits_due_ms(agent),
        agent->shutting_down && !agent->finished ? agent->shutdown_at_ms : UINT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i] < due)
            due = others[i];
    }
    if (due == agent->timer_ms || due == UINT64_MAX)
        return;
    agent->timer_ms = due;
    effect_add(agent, AGENT_ARM_TIMER)->timer_ms = due;
}

void agent_step(struct agent *agent, const struct agent_event *event, struct agent_effects *effects)
{
    effects_reset(effects);
    agent->effects = effects;
    agent->now_ms = event->now_ms;
    agent->now_unix_ms = event->now_unix_ms;
    if (agent->timer_ms <= agent->now_ms)
        agent->timer_ms = UINT64_MAX; /* it has fired */
    if (event->kind == AGENT_HEARTBEAT_ACK)
        on_heartbeat_ack(agent, &event->heartbeat_ack);
    lease_check(agent);
    take_event(agent, event);
    work_schedule(agent);
    lease_speak(agent);
    results_send(agent);
    wait_send(agent);
    permits_send(agent);
    if (agent->shutting_down && !agent->finished &&
        (agent->running == 0 || agent->now_ms >= agent->shutdown_at_ms)) {
        agent->finished = true;
        effect_add(agent, AGENT_FINISHED);
    }
    arm_timer(agent);
    agent->effects = NULL;
}

struct agent_counters agent_counters(const struct agent *agent)
{
    struct agent_counters counters = {
        .ignored = agent->ignored,
        .held = agent->held,
        .awaiting = agent->awaiting,
        .sessions = agent->sessions,
        .unacknowledged = results_unacknowledged(agent),
        .lapses = agent->lapses,
        .epoch = agent->epoch,
    };
    memcpy(counters.in_stage, agent->in_stage, sizeof counters.in_stage);
    memcpy(counters.stage_runs, agent->stage_runs, sizeof counters.stage_runs);
    return counters;
}
