/* Targets on their way through the stages: what a result leads to, the outcome. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/core/agent_state.h"

struct work *work_of(const struct agent *agent, uint32_t index)
{
    return agent->table.entries[index].work;
}

uint64_t work_key(const struct agent *agent, uint32_t index)
{
    return (uint64_t)work_of(agent, index)->serial << 32 | index;
}

static void add_detail(char to[LIMIT_DETAIL_SIZE], const char *first, const char *second)
{
    (void)text_copy(to, LIMIT_DETAIL_SIZE, first);
    size_t used = strlen(to);
    (void)text_copy(to + used, LIMIT_DETAIL_SIZE - used, second);
}

static void close_session(struct agent *agent, struct work *work)
{
    if (!work->connecting && !work->has_session)
        return;
    if (work->has_session)
        agent->sessions--;
    else
        agent->connecting--;
    work->connecting = work->has_session = false;
    agent->jobs[work->job].sessions--;
}

/* From one window into the other. A place among the sessions is for those that log on: a port that
 * says nothing must not keep one from a machine that would answer. */
void work_move_session(struct agent *agent, struct work *work, bool logging_on)
{
    if (work->has_session == logging_on)
        return;
    work->has_session = logging_on;
    work->connecting = !logging_on;
    agent->sessions += logging_on ? 1U : UINT32_MAX;
    agent->connecting -= logging_on ? 1U : UINT32_MAX;
}

/* Into its job's queue for the stage. */
void work_wait_for(struct agent *agent, uint32_t index, enum stage stage)
{
    struct work *work = work_of(agent, index);
    struct queue *queue = &agent->jobs[work->job].waiting[stage];
    if (work->begun && !work->scheduled) {
        agent->in_stage[work->stage]--;
        agent->in_stage[stage]++;
    }
    work->stage = stage;
    agent->table.entries[index].status = ENTRY_WAITING;
    if (work->scheduled)
        queue_push_front(&agent->table, queue, index); /* there are few of them: see wait.c */
    else
        queue_push(&agent->table, queue, index);
}

struct credential_slot *work_credential(const struct agent *agent, const struct work *work)
{
    return &agent->credentials[agent->jobs[work->job].credential];
}

static void leave_running(struct agent *agent, uint32_t index)
{
    struct work *work = work_of(agent, index);
    if (agent->table.entries[index].status == ENTRY_HELD)
        queue_remove(&agent->table, &work_credential(agent, work)->held, index);
    agent->running--;
    agent->stage_runs[work->stage]--;
}

void work_leave_status(struct agent *agent, uint32_t index)
{
    struct entry *entry = &agent->table.entries[index];
    struct work *work = entry->work;
    if (entry->status == ENTRY_WAITING) {
        queue_remove(&agent->table, &agent->jobs[work->job].waiting[work->stage], index);
    } else if (entry->status == ENTRY_PAUSED) {
        queue_remove(&agent->table, &agent->paused, index);
    } else if (entry->status == ENTRY_RUNNING || entry->status == ENTRY_HELD) {
        leave_running(agent, index);
        if (work->trial)
            brake_ended(agent, work, NULL);
    }
}

void work_drop_key(struct agent *agent, uint32_t index)
{
    struct work *work = work_of(agent, index);
    close_session(agent, work);
    if (work->begun) {
        effect_add(agent, AGENT_DROP)->key = work_key(agent, index);
        agent->in_stage[work->stage] -= !work->scheduled;
    }
    work->begun = false;
    work->serial = ++agent->serial;
}

static void forget_work(struct agent *agent, uint32_t index)
{
    struct entry *entry = &agent->table.entries[index];
    work_leave_status(agent, index);
    work_drop_key(agent, index);
    uint32_t job = entry->work->job;
    agent->jobs[job].refs--;
    agent->held--;
    wait_forget(agent, entry->work);
    free(entry->work->unknown);
    free(entry->work);
    entry->work = NULL;
    entry->status = ENTRY_INTENT;
    job_settle(agent, job);
}

void work_begin(struct agent *agent, uint32_t index, uint32_t job, const char *name,
                bool look_first)
{
    size_t size = strlen(name) + 1; /* < LIMIT_TARGET_NAME_SIZE, by the decoder */
    struct work *work = mem_new(1, sizeof *work + size);
    memcpy(work->name, name, size);
    work->serial = ++agent->serial;
    work->job = job;
    work->leased = true;
    work->look_first = look_first;
    work->retry_pause_ms = agent->config.retry_first_ms;
    agent->table.entries[index].work = work;
    agent->jobs[job].refs++;
    agent->held++;
    work_wait_for(agent, index, STAGE_RESOLVE);
}

void work_give_up(struct agent *agent, uint32_t index)
{
    forget_work(agent, index);
    if (!agent->table.entries[index].intent)
        table_remove(&agent->table, index);
}

void work_drop(struct agent *agent, uint32_t index)
{
    const struct work *work = work_of(agent, index);
    enum stage reached = work->started_unix_ms ? work->stage : STAGE_COUNT;
    forget_work(agent, index);
    results_drop(agent, index, reached);
}

static void finish_with_output(struct agent *agent, uint32_t index, const struct outcome *outcome,
                               const uint8_t *output, size_t output_size)
{
    struct agent_effect *effect = effect_add(agent, AGENT_PERSIST_OUTCOME);
    effect->persist.ref = entry_ref(agent, index);
    effect->persist.outcome_no = effect_outcome(agent, outcome);
    effect->persist.output = output;
    effect->persist.output_size = output_size;
    agent->table.entries[index].output_size = (uint32_t)output_size;
    if (agent->table.entries[index].work)
        forget_work(agent, index);
    agent->table.entries[index].status = ENTRY_UNSENT;
    agent->table.entries[index].intent = false;
    queue_push(&agent->table, &agent->unsent, index);
}

void work_finish(struct agent *agent, uint32_t index, const struct outcome *outcome)
{
    finish_with_output(agent, index, outcome, NULL, 0);
}

struct outcome work_outcome(const struct agent *agent, const struct work *work)
{
    struct outcome outcome = {.stage = work->started_unix_ms ? work->stage : STAGE_COUNT};
    (void)text_copy(outcome.address, sizeof outcome.address, work->address);
    outcome.name_check = work->name_check;
    outcome.bytes = work->bytes;
    outcome.started_unix_ms = work->started_unix_ms;
    if (work->started_unix_ms) {
        uint64_t elapsed = agent->now_ms - work->started_ms;
        outcome.elapsed_ms = elapsed < UINT32_MAX ? (uint32_t)elapsed : UINT32_MAX;
    }
    memcpy(outcome.stage_ms, work->stage_ms, sizeof outcome.stage_ms);
    return outcome;
}

void work_finish_with(struct agent *agent, uint32_t index, enum stage stage, enum reason reason,
                      const char *detail)
{
    struct outcome outcome = work_outcome(agent, work_of(agent, index));
    outcome.state = reason_state(reason);
    outcome.stage = stage;
    outcome.reason = reason;
    (void)text_copy(outcome.detail, sizeof outcome.detail, detail);
    work_finish(agent, index, &outcome);
}

/* What was looked up to learn that it may not be touched is no attempt. */
static void never_attempted(struct outcome *outcome)
{
    outcome->stage = STAGE_COUNT;
    outcome->tries = 0;
    outcome->started_unix_ms = 0;
    outcome->elapsed_ms = 0;
    memset(outcome->stage_ms, 0, sizeof outcome->stage_ms);
}

void work_finish_done(struct agent *agent, uint32_t index, const struct agent_stage_done *done)
{
    const struct work *work = work_of(agent, index);
    struct outcome outcome = work_outcome(agent, work);
    bool passed = done->verdict == AGENT_PASSED;
    enum reason reason = done->reason;
    if (!passed && (reason == REASON_NONE || reason >= REASON_COUNT))
        reason = REASON_INTERNAL;
    const struct job_slot *job = &agent->jobs[work->job];
    bool ended = job->cleanup || (job->wait && done->has_exit_code);
    outcome.state = !passed ? reason_state(reason) : ended ? TARGET_SUCCEEDED : TARGET_SCHEDULED;
    outcome.has_exit_code = job->wait && done->has_exit_code;
    outcome.exit_code = outcome.has_exit_code ? done->exit_code : 0;
    outcome.stage = done->stage;
    outcome.reason = passed ? REASON_NONE : reason;
    outcome.code_kind = done->code_kind < CODE_KIND_COUNT ? done->code_kind : CODE_NONE;
    outcome.code = done->code;
    outcome.tries = done->stage == STAGE_SCHEDULE ? work->schedule_tries : done->tries;
    (void)text_copy(outcome.detail, sizeof outcome.detail, done->detail);
    if (outcome.state == TARGET_NEVER_ATTEMPTED)
        never_attempted(&outcome);
    bool printed = job->wait && done->output && done->output_size <= LIMIT_OUTPUT_BYTES;
    finish_with_output(agent, index, &outcome, printed ? done->output : NULL,
                       printed ? done->output_size : 0);
}

static void finish_unknown(struct agent *agent, uint32_t index)
{
    const struct work *work = work_of(agent, index);
    struct outcome outcome = work_outcome(agent, work);
    outcome.state = TARGET_UNKNOWN_EFFECT;
    outcome.stage = STAGE_SCHEDULE;
    outcome.reason = REASON_EXPIRED;
    outcome.tries = work->schedule_tries;
    const char *why = "the job's deadline passed";
    if (work->unknown) {
        outcome.reason = work->unknown->reason;
        outcome.code_kind = work->unknown->code_kind;
        outcome.code = work->unknown->code;
        why = work->unknown->detail;
    }
    add_detail(outcome.detail, "may be scheduled, and could not be looked up: ", why);
    work_finish(agent, index, &outcome);
}

void work_expire(struct agent *agent, uint32_t index)
{
    const struct work *work = work_of(agent, index);
    if (work->scheduled)
        wait_over(agent, index);
    else if (agent->table.entries[index].intent)
        finish_unknown(agent, index);
    else
        work_finish_with(agent, index, work->started_unix_ms ? work->stage : STAGE_COUNT,
                         REASON_EXPIRED, "the job's deadline passed");
}

void work_pause(struct agent *agent, uint32_t index, uint64_t pause_ms)
{
    struct entry *entry = &agent->table.entries[index];
    entry->work->retry_at_ms = agent->now_ms + pause_ms;
    entry->status = ENTRY_PAUSED;
    queue_push(&agent->table, &agent->paused, index);
}

/* INTENT is journalled and the task may be there: look again later, on a new session; anything but
 * a failed SCHEDULE also begins again with the name. Who waits for the end also waits for a machine
 * that can't be reached, but not for a scheduler there that never answers. */
void work_pause_unknown(struct agent *agent, uint32_t index, const struct agent_stage_done *done)
{
    struct work *work = work_of(agent, index);
    if (!work->unknown) {
        work->unknown = mem_new(1, sizeof *work->unknown);
        *work->unknown = *done;
        if (done->reason == REASON_NONE || done->reason >= REASON_COUNT)
            work->unknown->reason = REASON_CONN_LOST;
        if (done->code_kind >= CODE_KIND_COUNT)
            work->unknown->code_kind = CODE_NONE;
        work->unknown_since_ms = agent->now_ms;
    }
    if (!work->leased) {
        work_give_up(agent, index); /* whoever gets the lease looks again */
        return;
    }
    bool wait = agent->jobs[work->job].wait;
    bool reached = done->stage == STAGE_SCHEDULE;
    if ((!wait || reached) &&
        agent->now_ms >= work->unknown_since_ms + agent->config.read_back_ms) {
        finish_unknown(agent, index);
        return;
    }
    if (done->stage == STAGE_SCHEDULE)
        close_session(agent, work);
    else
        work_drop_key(agent, index);
    if (wait)
        wait_spare(agent, work); /* the machine may restart: that is waited for, too */
    work_pause(agent, index, work->retry_pause_ms);
    uint32_t pause_max_ms = wait ? agent->config.await_max_ms : RETRY_PAUSE_MAX_MS;
    work->retry_pause_ms *= 2;
    if (work->retry_pause_ms > pause_max_ms)
        work->retry_pause_ms = pause_max_ms;
}

static bool effect_unknown(const struct entry *entry, const struct agent_stage_done *done)
{
    if (!entry->intent)
        return false;
    if (done->stage != STAGE_SCHEDULE || done->verdict == AGENT_EFFECT_UNKNOWN)
        return true;
    /* It was to look first and broke on the way: what the earlier call did stays unknown. */
    return entry->work->read_back && done->reason < REASON_COUNT && reason_transient(done->reason);
}

static void note_done(struct agent *agent, struct work *work, const struct agent_stage_done *done)
{
    if (done->address[0])
        (void)text_copy(work->address, sizeof work->address, done->address);
    if (done->name_check < NAME_CHECK_COUNT && done->name_check != NAME_NOT_CHECKED)
        work->name_check = done->name_check;
    if (work->scheduled)
        return; /* how long looking took is of no use */
    uint64_t ms = agent->now_ms - work->stage_started_ms + work->stage_ms[done->stage];
    work->stage_ms[done->stage] = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    work->bytes += done->bytes;
    if (done->stage == STAGE_SCHEDULE)
        work->schedule_tries += done->tries;
}

/* After a look that might register nothing and found no task: the INTENT came to nothing. */
static bool came_to_nothing(const struct work *work, const struct agent_stage_done *done)
{
    return work->look_only && done->stage == STAGE_SCHEDULE && done->verdict == AGENT_FAILED &&
           done->reason == REASON_CANCELLED;
}

/* Under STOP no outcome, since the push may be resumed; nor when it is resumed already. The journal
 * keeps the INTENT, which costs a look at most. */
static void finish_nothing(struct agent *agent, uint32_t index)
{
    struct entry *entry = &agent->table.entries[index];
    const struct push_slot *push = &agent->pushes[entry->push];
    if (!push->stopped && push->refused) {
        work_finish_with(agent, index, STAGE_SCHEDULE, REASON_JOB_REFUSED, push->refusal);
        return;
    }
    if (!push->stopped && push->job == entry->work->job) {
        work_finish_with(agent, index, STAGE_SCHEDULE, REASON_EXPIRED,
                         "the job's deadline passed, and the task was never registered");
        return;
    }
    entry->intent = false;
    work_drop(agent, index);
}

/* The running target of that key; NULL: dropped meanwhile. */
static struct entry *running_entry(struct agent *agent, uint64_t key, enum stage stage)
{
    uint32_t index = (uint32_t)key;
    struct entry *entry = index < agent->table.count ? &agent->table.entries[index] : NULL;
    if (entry && (entry->status == ENTRY_RUNNING || entry->status == ENTRY_HELD) &&
        entry->work->serial == key >> 32 && entry->work->stage == stage)
        return entry;
    agent->ignored++;
    return NULL;
}

void on_connected(struct agent *agent, uint64_t key)
{
    struct entry *entry = running_entry(agent, key, STAGE_ACCESS);
    if (!entry || entry->status == ENTRY_HELD)
        return;
    if (entry->work->trial)
        brake_ended(agent, entry->work, NULL); /* its connection broke; this is another one */
    if (agent->pushes[entry->push].stopped && !entry->intent) {
        work_drop(agent, (uint32_t)key); /* no logon under STOP */
        return;
    }
    work_move_session(agent, entry->work, false); /* one that asks again holds no place meanwhile */
    entry->work->held_since_ms = agent->now_ms;
    entry->status = ENTRY_HELD;
    queue_push(&agent->table, &work_credential(agent, entry->work)->held, (uint32_t)key);
}

/* The task is there, and its end is to be waited for. */
static bool registered(const struct agent *agent, const struct work *work,
                       const struct agent_stage_done *done)
{
    return agent->jobs[work->job].wait && done->stage == STAGE_SCHEDULE &&
           (done->verdict == AGENT_WAITING ||
            (done->verdict == AGENT_PASSED && !done->has_exit_code));
}

/* Another relay was leased the target before: the Task Scheduler has said whether it got that far,
 * before anything is copied over a package that runs. What can't be told is this relay's failure,
 * and the coordinator knows that it says nothing of the other's. */
static void looked_first(struct agent *agent, uint32_t index, const struct agent_stage_done *done)
{
    struct entry *entry = &agent->table.entries[index];
    struct work *work = entry->work;
    bool nothing = came_to_nothing(work, done);
    work->look_first = false;
    if (nothing && agent->pushes[entry->push].stopped) {
        work_drop(agent, index);
    } else if (nothing) {
        work->schedule_tries = 0;
        work_wait_for(agent, index, STAGE_PATH);
    } else if (registered(agent, work, done)) {
        entry->intent = true; /* its end is waited for, also after a crash */
        effect_add(agent, AGENT_PERSIST_INTENT)->persist.ref = entry_ref(agent, index);
        wait_begin(agent, index, done);
    } else {
        work_finish_done(agent, index, done);
    }
}

void on_stage_done(struct agent *agent, const struct agent_stage_done *done)
{
    uint32_t index = (uint32_t)done->key;
    struct entry *entry = running_entry(agent, done->key, done->stage);
    if (!entry)
        return;
    struct work *work = entry->work;
    leave_running(agent, index);
    note_done(agent, work, done);
    if (done->stage == STAGE_ACCESS)
        brake_ended(agent, work, done);
    entry->status = ENTRY_INTENT; /* in no queue for the moment */
    if (work->scheduled && (done->stage == STAGE_SCHEDULE || done->verdict != AGENT_PASSED)) {
        wait_looked(agent, index, done);
    } else if (work->look_first && done->stage == STAGE_SCHEDULE) {
        looked_first(agent, index, done);
    } else if (registered(agent, work, done)) {
        wait_begin(agent, index, done);
    } else if (agent->pushes[entry->push].stopped && !entry->intent &&
               done->verdict == AGENT_PASSED) {
        work_drop(agent, index); /* its last stage under this lease */
    } else if (came_to_nothing(work, done)) {
        finish_nothing(agent, index);
    } else if (done->verdict != AGENT_PASSED && effect_unknown(entry, done)) {
        work_pause_unknown(agent, index, done);
    } else if (done->verdict != AGENT_PASSED || done->stage == STAGE_SCHEDULE) {
        work_finish_done(agent, index, done);
    } else if ((entry->intent || work->look_first) && done->stage == STAGE_ACCESS) {
        work_wait_for(agent, index, STAGE_SCHEDULE); /* to look; after INTENT the copy is whole */
    } else {
        work_wait_for(agent, index, done->stage + 1);
    }
}

void work_stop(struct agent *agent, uint32_t push)
{
    struct push_slot *slot = &agent->pushes[push];
    if (agent->now_ms >= slot->stop_until_ms)
        slot->stop_until_ms = 0;
    for (uint32_t i = 0; i < agent->table.count; i++) {
        const struct entry *entry = &agent->table.entries[i];
        if (!entry->work || entry->push != push)
            continue;
        bool running = entry->status == ENTRY_RUNNING;
        /* A look that has got as far as the scheduler may be about to see the end. */
        bool stays = entry->intent ? !entry->work->scheduled || slot->wait_on ||
                                         (running && entry->work->stage == STAGE_SCHEDULE)
                                   : running && slot->stop_until_ms > 0;
        if (!stays)
            work_drop(agent, i);
    }
}
