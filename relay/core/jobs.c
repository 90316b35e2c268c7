/* Pushes and their jobs: accepted, refused, replaced, stopped, closed. */
#include <assert.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/core/agent_state.h"

uint32_t push_find(const struct agent *agent, const struct push_id *id, uint32_t generation)
{
    for (uint32_t i = 0; i < agent->push_count; i++) {
        const struct push_slot *push = &agent->pushes[i];
        if (push->used && push->generation == generation && push_id_equal(&push->id, id))
            return i;
    }
    return ENTRY_NONE;
}

uint32_t push_get(struct agent *agent, const struct push_id *id, uint32_t generation)
{
    uint32_t index = push_find(agent, id, generation);
    if (index != ENTRY_NONE)
        return index;
    for (index = 0; index < agent->push_count && agent->pushes[index].used; index++)
        continue;
    if (index == PUSHES_MAX)
        return ENTRY_NONE;
    if (index == agent->push_count) {
        agent->push_count++;
        agent->pushes = mem_resize(agent->pushes, agent->push_count, sizeof *agent->pushes);
    }
    agent->pushes[index] =
        (struct push_slot){.used = true, .id = *id, .generation = generation, .job = ENTRY_NONE};
    return index;
}

bool job_expired(const struct agent *agent, const struct job_slot *job)
{
    return job->not_after_unix_ms <= 0 || agent->now_unix_ms >= (uint64_t)job->not_after_unix_ms;
}

bool job_over(const struct agent *agent, const struct job_slot *job)
{
    return job_expired(agent, job) && (!job->wait || wait_time_is_up(agent, job)) &&
           agent->now_unix_ms -
                   (uint64_t)(job->not_after_unix_ms > 0 ? job->not_after_unix_ms : 0) >=
               agent->config.read_back_ms;
}

static void remove_job(struct agent *agent, uint32_t job)
{
    assert(agent->jobs[job].refs == 0);
    effect_add(agent, AGENT_REMOVE_JOB)->job_no = agent->jobs[job].job_no;
    credential_drop(agent, agent->jobs[job].credential);
    agent->jobs[job].used = false;
}

void job_settle(struct agent *agent, uint32_t job)
{
    const struct job_slot *slot = &agent->jobs[job];
    if (slot->refs == 0 && agent->pushes[slot->push].job != job)
        remove_job(agent, job);
}

static uint32_t add_job(struct agent *agent, uint32_t push, const struct agent_job *job)
{
    uint32_t index = 0;
    while (index < agent->job_count && agent->jobs[index].used)
        index++;
    if (index == agent->job_count) {
        agent->job_count++;
        agent->jobs = mem_resize(agent->jobs, agent->job_count, sizeof *agent->jobs);
    }
    struct job_slot *slot = &agent->jobs[index];
    *slot = (struct job_slot){
        .used = true,
        .push = push,
        .counter = job->counter,
        .not_after_unix_ms = job->not_after_unix_ms,
        .cleanup = job->cleanup,
        .wait = job->wait,
        .wait_until_unix_ms = job->wait_until_unix_ms,
        .job_no = job->job_no,
        .credential = credential_get(agent, job),
        .package = job->package_ready ? PACKAGE_READY : PACKAGE_FETCHING,
    };
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        queue_init(&slot->waiting[stage]);
    return index;
}

static void accept_job(struct agent *agent, uint32_t push_index, const struct agent_job *job)
{
    struct push_slot *push = &agent->pushes[push_index];
    uint32_t before = push->job;
    push->job = add_job(agent, push_index, job);
    push->counter = job->counter;
    push->job_epoch = agent->hello_out ? 0 : agent->epoch;
    push->not_after_unix_ms = job->not_after_unix_ms;
    push->refused = false;
    push->wait_on = false;
    push->stopped = push->stopped && job->counter <= push->stop_counter; /* it came late */
    if (!job->package_ready)
        effect_add(agent, AGENT_FETCH_PACKAGE)->job_no = job->job_no;
    if (before != ENTRY_NONE)
        job_settle(agent, before);
}

static bool job_in_use(const struct agent *agent, uint32_t job_no)
{
    for (uint32_t i = 0; i < agent->job_count; i++) {
        if (agent->jobs[i].used && agent->jobs[i].job_no == job_no)
            return true;
    }
    return false;
}

/* Under STOP a newer job is the one that leases come under: refused, it would leave them to be
 * declined and repeated until the deadline. Else a refusal changes nothing for what goes on. */
static bool refusal_counts(const struct push_slot *push, const struct agent_job *job)
{
    return push->job == ENTRY_NONE || (push->stopped && job->counter > push->counter);
}

void on_job(struct agent *agent, const struct agent_job *job)
{
    uint32_t index = push_get(agent, &job->push, job->generation);
    struct push_slot *push = index == ENTRY_NONE ? NULL : &agent->pushes[index];
    if (job->accepted && push && (push->job == ENTRY_NONE || job->counter > push->counter)) {
        accept_job(agent, index, job);
    } else if (!job->accepted && push && refusal_counts(push, job)) {
        push->refused = true;
        push->forgotten = job->forgotten;
        push->wait_on = push->stopped && job->counter > push->stop_counter;
        (void)text_copy(push->refusal, sizeof push->refusal, job->refusal);
    } else {
        agent->ignored++;
        if (job->accepted && !job_in_use(agent, job->job_no)) /* made ready for nothing */
            effect_add(agent, AGENT_REMOVE_JOB)->job_no = job->job_no;
    }
}

bool agent_knows_job(const struct agent *agent, const struct push_id *push, uint32_t generation,
                     uint64_t counter)
{
    uint32_t index = push_find(agent, push, generation);
    return index != ENTRY_NONE && agent->pushes[index].job != ENTRY_NONE &&
           counter <= agent->pushes[index].counter;
}

/* A STOP of an earlier job than ours is late: obeyed, it would never be lifted, since the job that
 * lifts it is here already. Not so when our job is of an earlier epoch: then the coordinator has
 * lost that job, and what resumes the push has a higher counter than either. */
static bool stop_is_late(const struct agent *agent, const struct push_slot *push, uint64_t counter)
{
    return counter != 0 && counter < push->counter &&
           (push->job_epoch == 0 || push->job_epoch == agent->epoch);
}

void push_stop(struct agent *agent, uint32_t push, uint64_t counter)
{
    struct push_slot *slot = &agent->pushes[push];
    if (stop_is_late(agent, slot, counter)) {
        agent->ignored++;
        return;
    }
    if (!slot->stopped)
        slot->stop_until_ms = agent->now_ms + agent->config.shutdown_ms;
    slot->stopped = true;
    if (counter == 0 || counter > slot->counter)
        slot->wait_on = false;
    if (counter > slot->stop_counter)
        slot->stop_counter = counter;
    work_stop(agent, push);
}

void on_stop(struct agent *agent, const struct message_push_ref *ref)
{
    uint32_t push = push_find(agent, &ref->push, ref->generation);
    if (agent->epoch == 0 || ref->epoch != agent->epoch || push == ENTRY_NONE) {
        agent->ignored++;
        return;
    }
    push_stop(agent, push, ref->counter);
}

/* Every row of it is terminal at the coordinator: whatever we still know or do is of no use. */
void on_close(struct agent *agent, const struct message_push_ref *ref)
{
    uint32_t index = push_find(agent, &ref->push, ref->generation);
    if (agent->epoch == 0 || ref->epoch != agent->epoch || index == ENTRY_NONE) {
        agent->ignored++;
        return;
    }
    for (uint32_t i = 0; i < agent->table.count; i++) {
        struct entry *entry = &agent->table.entries[i];
        if (entry->status == ENTRY_FREE || entry->push != index)
            continue;
        entry->intent = false;
        if (entry->work) {
            work_give_up(agent, i);
        } else {
            results_forget(agent, i);
            table_remove(&agent->table, i);
        }
    }
    struct push_slot *push = &agent->pushes[index];
    uint32_t job = push->job;
    push->job = ENTRY_NONE;
    if (job != ENTRY_NONE)
        job_settle(agent, job);
    struct agent_effect *effect = effect_add(agent, AGENT_JOURNAL_FORGET);
    effect->forget.push = push->id;
    effect->forget.generation = push->generation;
    effect->forget.counter = push->counter;
    effect->forget.not_after_unix_ms = push->not_after_unix_ms;
    push->used = false;
}

void on_package(struct agent *agent, uint32_t job_no, const char *failure)
{
    for (uint32_t i = 0; i < agent->job_count; i++) {
        struct job_slot *job = &agent->jobs[i];
        if (!job->used || job->job_no != job_no)
            continue;
        job->package = failure ? PACKAGE_FAILED : PACKAGE_READY;
        if (failure)
            (void)text_copy(job->package_detail, sizeof job->package_detail, failure);
        return;
    }
    agent->ignored++;
}
