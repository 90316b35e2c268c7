/* The link's state: HELLO, epoch, heartbeats, the lease and when it runs out, new targets. */
#include <string.h>

#include "common/base/text.h"
#include "relay/core/agent_state.h"

/* A coordinator's times are taken within reason: neither a busy loop nor a lease of weeks. */
#define HEARTBEAT_MIN_MS 100U
#define HEARTBEAT_MAX_MS 60000U
#define LEASE_MAX_MS 600000U
#define HEARTBEATS_UNHEARD_MAX 3U
/* While targets are in work people look at the live view: heartbeats come at least so often. */
#define PULSE_MS 2000U

static uint32_t credit(const struct agent *agent)
{
    if (agent->shutting_down || agent->intake_closed || agent->halted)
        return 0;
    uint32_t asked = agent->config.held_max + agent->spare;
    return asked < CREDIT_MAX ? asked : CREDIT_MAX;
}

/* A lease may answer a credit that was said a while ago. */
static uint32_t note_credit(struct agent *agent)
{
    if (credit(agent) > agent->credit_said)
        agent->credit_said = credit(agent);
    return credit(agent);
}

static void say_hello(struct agent *agent)
{
    if (!agent->hello_out)
        agent->hello_first_ms = agent->now_ms;
    agent->hello_out = true;
    agent->hello_next_ms = agent->now_ms + agent->config.hello_retry_ms;
    struct agent_effect *effect = effect_add(agent, AGENT_SEND_HELLO);
    effect->hello = agent->config.hello;
    effect->hello.protocol_version = MESSAGE_PROTOCOL_VERSION;
    effect->hello.credit = note_credit(agent);
    effect->hello.epoch = agent->epoch_newest;
    effect->hello.sent_boottime_ms = agent->now_ms;
}

static void say_heartbeat(struct agent *agent)
{
    struct agent_effect *effect = effect_add(agent, AGENT_SEND_HEARTBEAT);
    effect->heartbeat.epoch = agent->epoch;
    effect->heartbeat.sent_boottime_ms = agent->now_ms;
    effect->heartbeat.credit = note_credit(agent);
    effect->heartbeat.awaiting = agent->awaiting;
    memcpy(effect->heartbeat.running, agent->in_stage, sizeof agent->in_stage);
    agent->heartbeat_said_ms = agent->now_ms;
    agent->heartbeat_due = false;
}

static uint64_t heartbeat_due_ms(const struct agent *agent)
{
    uint32_t pause_ms = agent->heartbeat_ms;
    if (agent->held > 0 && pause_ms > PULSE_MS)
        pause_ms = PULSE_MS;
    return agent->heartbeat_due ? 0 : agent->heartbeat_said_ms + pause_ms;
}

static uint64_t lease_stop_ms(const struct agent *agent)
{
    return agent->lease_from_ms + (uint64_t)agent->lease_ms * 8 / 10;
}

/* Nothing that was leased holds any longer. SCHEDULE where it runs goes on to its end, since its
 * INTENT is journalled and the target arbitrates; the rest is leased anew. */
static void lose_leases(struct agent *agent)
{
    for (uint32_t i = 0; i < agent->table.count; i++) {
        struct entry *entry = &agent->table.entries[i];
        if (!entry->work)
            continue;
        if (entry->status == ENTRY_RUNNING && entry->intent && entry->work->stage == STAGE_SCHEDULE)
            entry->work->leased = false;
        else
            work_give_up(agent, i);
    }
}

void on_link_up(struct agent *agent)
{
    agent->hello_out = false; /* a WELCOME of the connection before cannot come any more */
    say_hello(agent);
}

static uint32_t clamp(uint32_t value, uint32_t min, uint32_t max)
{
    if (value < min)
        return min;
    return value > max ? max : value;
}

/* Of a HELLO that it has answered already, or gave up: it lay somewhere while this process stood
 * still, and says nothing of what the coordinator thinks now. */
static bool welcome_is_stale(const struct agent *agent, const struct message_welcome *welcome)
{
    return welcome->sent_boottime_ms != 0 && (welcome->sent_boottime_ms < agent->hello_first_ms ||
                                              welcome->sent_boottime_ms > agent->now_ms);
}

void on_welcome(struct agent *agent, const struct message_welcome *welcome)
{
    if (!agent->hello_out || welcome->epoch == 0 ||
        welcome->instance != agent->config.hello.instance || welcome_is_stale(agent, welcome)) {
        agent->ignored++;
        return;
    }
    if (welcome->epoch != agent->epoch) {
        lose_leases(agent);
        agent->epoch = agent->epoch_newest = welcome->epoch;
        agent->sequence = 0;
    }
    results_requeue(agent);
    agent->hello_out = false;
    agent->lease_ms = clamp(welcome->lease_ms, 0, LEASE_MAX_MS);
    agent->heartbeat_ms = clamp(welcome->heartbeat_ms, HEARTBEAT_MIN_MS, HEARTBEAT_MAX_MS);
    /* When it isn't said which of several HELLOs is answered, the first is the safe one. */
    agent->lease_from_ms =
        welcome->sent_boottime_ms != 0 ? welcome->sent_boottime_ms : agent->hello_first_ms;
    agent->lease_valid = agent->now_ms < lease_stop_ms(agent);
    agent->heard_ms = agent->now_ms;
    say_heartbeat(agent);
}

void on_heartbeat_ack(struct agent *agent, const struct message_heartbeat_ack *ack)
{
    if (agent->epoch == 0 || ack->epoch != agent->epoch || ack->sent_boottime_ms > agent->now_ms) {
        agent->ignored++;
        return;
    }
    agent->heard_ms = agent->now_ms;
    if (ack->sent_boottime_ms > agent->lease_from_ms)
        agent->lease_from_ms = ack->sent_boottime_ms;
    if (agent->now_ms < lease_stop_ms(agent))
        agent->lease_valid = true;
}

/* As a new instance, without what was leased. */
static void come_back(struct agent *agent)
{
    lose_leases(agent);
    results_requeue(agent);
    agent->config.hello.instance++;
    agent->epoch = 0;
    agent->hello_out = false;
    say_hello(agent);
}

/* The coordinator may still hold the leases when its ack comes late, and would wait for results of
 * targets that were given up here. So we come back as a new instance: every lease of the old one
 * goes back to the queue. */
void lease_check(struct agent *agent)
{
    if (!agent->lease_valid || agent->now_ms < lease_stop_ms(agent))
        return;
    agent->lease_valid = false;
    agent->lapses++;
    if (agent->held > 0)
        come_back(agent);
}

void on_halt(struct agent *agent, bool halted)
{
    if (agent->halted == halted)
        return;
    agent->halted = halted;
    if (halted && agent->held > 0) {
        agent->lease_valid = false;
        come_back(agent);
        return;
    }
    say_hello(agent); /* with the credit that counts now */
}

void lease_speak(struct agent *agent)
{
    if (agent->hello_out) {
        if (agent->now_ms >= agent->hello_next_ms)
            say_hello(agent);
    } else if (agent->epoch != 0 &&
               agent->now_ms >=
                   agent->heard_ms + (uint64_t)HEARTBEATS_UNHEARD_MAX * agent->heartbeat_ms) {
        say_hello(agent);
    }
    /* Between HELLO and WELCOME nothing is said under the epoch before: it may be over. */
    if (agent->epoch != 0 && !agent->hello_out && agent->now_ms >= heartbeat_due_ms(agent))
        say_heartbeat(agent);
}

uint64_t lease_due_ms(const struct agent *agent)
{
    uint64_t due = UINT64_MAX;
    if (agent->hello_out)
        due = agent->hello_next_ms;
    if (agent->epoch != 0 && !agent->hello_out && heartbeat_due_ms(agent) < due)
        due = heartbeat_due_ms(agent);
    if (agent->lease_valid && lease_stop_ms(agent) < due)
        due = lease_stop_ms(agent);
    return due;
}

/* Its CANCELLED row needn't be heard any more. */
static void take_back_dropped(struct agent *agent, uint32_t index)
{
    results_forget(agent, index);
    agent->table.entries[index].dropped = false;
    agent->table.entries[index].status = ENTRY_INTENT;
}

static void refuse_target(struct agent *agent, uint32_t push, const struct lease_entry *from,
                          const char *why)
{
    uint32_t index = table_find(&agent->table, push, from->target_no);
    if (index != ENTRY_NONE && agent->table.entries[index].dropped &&
        from->attempt > agent->table.entries[index].attempt)
        take_back_dropped(agent, index);
    if (index != ENTRY_NONE && agent->table.entries[index].status != ENTRY_INTENT) {
        if (agent->table.entries[index].work)
            agent->ignored++;
        else
            results_renew(agent, index, from->attempt);
        return;
    }
    struct outcome outcome = {
        .state = TARGET_FAILED, .stage = STAGE_COUNT, .reason = REASON_JOB_REFUSED};
    (void)text_copy(outcome.detail, sizeof outcome.detail, why);
    if (agent->pushes[push].forgotten)
        outcome.state = TARGET_UNKNOWN_EFFECT; /* it may have been registered before CLOSE */
    if (index == ENTRY_NONE) {
        index = table_add(&agent->table, push, from->target_no);
    } else if (agent->table.entries[index].intent) {
        /* An earlier life of ours may have registered it, and cannot look under a refused job. */
        outcome.state = TARGET_UNKNOWN_EFFECT;
        outcome.stage = STAGE_SCHEDULE;
    }
    agent->table.entries[index].attempt = from->attempt;
    work_finish(agent, index, &outcome);
}

void on_distrust(struct agent *agent, uint32_t job_no, const char *why)
{
    uint32_t job = 0;
    while (job < agent->job_count && (!agent->jobs[job].used || agent->jobs[job].job_no != job_no))
        job++;
    if (job == agent->job_count) {
        agent->ignored++;
        return;
    }
    uint32_t push = agent->jobs[job].push;
    struct push_slot *slot = &agent->pushes[push];
    if (slot->job == job) {
        slot->refused = true;
        (void)text_copy(slot->refusal, sizeof slot->refusal, why);
    }
    /* The job may go with the last work that names it; its slot isn't taken again meanwhile. */
    for (uint32_t i = 0; i < agent->table.count; i++) {
        const struct entry *entry = &agent->table.entries[i];
        if (!entry->work || entry->work->job != job || entry->intent)
            continue;
        struct lease_entry refused = {.target_no = entry->target_no, .attempt = entry->attempt};
        work_give_up(agent, i);
        refuse_target(agent, push, &refused, why);
    }
}

static void take_target(struct agent *agent, uint32_t push, const struct lease_entry *from)
{
    uint32_t index = table_find(&agent->table, push, from->target_no);
    if (index != ENTRY_NONE) {
        struct entry *entry = &agent->table.entries[index];
        if (entry->work) {
            if (from->attempt < entry->attempt) {
                agent->ignored++;
            } else {
                entry->attempt = from->attempt;
                entry->work->leased = true;
                if (entry->work->scheduled)
                    wait_tell(agent, index); /* it hasn't heard, or has forgotten */
            }
            return;
        }
        bool stopped =
            entry->intent ? wait_stopped(&agent->pushes[push]) : agent->pushes[push].stopped;
        if (entry->dropped && !stopped && from->attempt > entry->attempt) {
            take_back_dropped(agent, index);
        } else if (entry->status != ENTRY_INTENT) {
            results_renew(agent, index, from->attempt);
            return;
        }
    }
    if (agent->held >= agent->credit_said) {
        agent->ignored++; /* past the credit; the lease is repeated */
        return;
    }
    if (index == ENTRY_NONE)
        index = table_add(&agent->table, push, from->target_no);
    agent->table.entries[index].attempt = from->attempt;
    if (agent->pushes[push].stopped && !agent->table.entries[index].intent) {
        results_drop(agent, index, STAGE_COUNT);
        return;
    }
    uint32_t job = agent->pushes[push].job;
    bool look_first =
        from->attempt > 1 && !agent->table.entries[index].intent && !agent->jobs[job].cleanup;
    work_begin(agent, index, job, from->name, look_first);
}

/* What went past INTENT under an earlier job is looked into under that one. */
static bool job_refused(const struct agent *agent, uint32_t push, uint32_t target_no)
{
    const struct push_slot *slot = &agent->pushes[push];
    uint32_t index = table_find(&agent->table, push, target_no);
    if (slot->job == ENTRY_NONE || !slot->refused)
        return slot->refused;
    return index == ENTRY_NONE || !agent->table.entries[index].intent;
}

void on_lease(struct agent *agent, const struct agent_lease *lease)
{
    uint32_t push = push_find(agent, &lease->push, lease->generation);
    if (agent->epoch == 0 || lease->epoch != agent->epoch || push == ENTRY_NONE ||
        agent->shutting_down || agent->halted) {
        agent->ignored++;
        return;
    }
    const struct push_slot *slot = &agent->pushes[push];
    if (slot->job == ENTRY_NONE && !slot->refused) {
        agent->ignored++; /* JOB was lost; the coordinator says both again */
        return;
    }
    if (lease->stop_counter > 0)
        push_stop(agent, push, lease->stop_counter);
    for (uint32_t i = 0; i < lease->entry_count; i++) {
        const struct lease_entry *entry = &lease->entries[i];
        if (job_refused(agent, push, entry->target_no))
            refuse_target(agent, push, entry, slot->refusal);
        else if (!lease->verified)
            refuse_target(agent, push, entry,
                          "nothing shows that the operator named this target: lease refused");
        else if (entry->name[0] == '\0') /* a retry leaves out whoever is not meant */
            refuse_target(agent, push, entry,
                          "this generation of the push leaves this target out: lease refused");
        else
            take_target(agent, push, entry);
    }
}
