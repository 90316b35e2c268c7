/* Who may start what now: stages, logons, looks; and who may not wait for it any longer. */
#include "common/base/text.h"
#include "relay/core/agent_state.h"

static void allow_logon(struct agent *agent, uint32_t index)
{
    struct work *work = work_of(agent, index);
    queue_remove(&agent->table, &work_credential(agent, work)->held, index);
    agent->table.entries[index].status = ENTRY_RUNNING;
    work->stage_started_ms += agent->now_ms - work->held_since_ms;
    work_move_session(agent, work, true);
    brake_began(agent, work);
    effect_add(agent, AGENT_LOGON)->key = work_key(agent, index);
}

static void allow_logons(struct agent *agent)
{
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        struct credential_slot *credential = &agent->credentials[i];
        while (credential->held.count > 0 && agent->sessions < agent->config.session_max &&
               brake_allows(agent, credential))
            allow_logon(agent, credential->held.head);
    }
}

static void end_stopped(struct agent *agent)
{
    for (uint32_t i = 0; i < agent->push_count; i++) {
        const struct push_slot *slot = &agent->pushes[i];
        if (slot->used && slot->stopped && slot->stop_until_ms > 0 &&
            agent->now_ms >= slot->stop_until_ms)
            work_stop(agent, i);
    }
}

static bool may_enter(const struct agent *agent, const struct job_slot *job, enum stage stage)
{
    const struct entry *head = &agent->table.entries[job->waiting[stage].head];
    switch (stage) {
    case STAGE_RESOLVE:
        return agent->stage_runs[stage] < agent->config.resolve_max;
    case STAGE_PING:
        return agent->stage_runs[stage] < agent->config.ping_max;
    case STAGE_ACCESS:
        return agent->connecting < agent->config.connect_max &&
               agent->sessions < agent->config.session_max &&
               (head->intent || job->package == PACKAGE_READY ||
                job->sessions < agent->config.package_wait_max) &&
               !agent->credentials[job->credential].stopped;
    case STAGE_COPY:
        return job->package == PACKAGE_READY;
    case STAGE_PATH:
    case STAGE_SCHEDULE:
        return true;
    case STAGE_COUNT:
        break;
    }
    return false;
}

static void start_stage(struct agent *agent, uint32_t index)
{
    struct entry *entry = &agent->table.entries[index];
    struct work *work = entry->work;
    struct job_slot *job = &agent->jobs[work->job];
    queue_remove(&agent->table, &job->waiting[work->stage], index);
    if (!work->begun) {
        work->begun = true;
        agent->in_stage[work->stage] += !work->scheduled;
    }
    if (!work->started_unix_ms) {
        work->started_ms = agent->now_ms;
        work->started_unix_ms = agent->now_unix_ms ? agent->now_unix_ms : 1;
    }
    if (work->stage == STAGE_ACCESS) {
        work->connecting = true;
        agent->connecting++;
        job->sessions++;
    }
    work->read_back =
        work->stage == STAGE_SCHEDULE && !work->scheduled && (entry->intent || work->look_first);
    const struct push_slot *push = &agent->pushes[entry->push];
    work->look_only = work->read_back && (work->look_first || push->stopped || push->refused ||
                                          job_expired(agent, job));
    if (work->stage == STAGE_SCHEDULE && !entry->intent && !job->cleanup && !work->look_first) {
        entry->intent = true;
        effect_add(agent, AGENT_PERSIST_INTENT)->persist.ref = entry_ref(agent, index);
    }
    entry->status = ENTRY_RUNNING;
    work->stage_started_ms = agent->now_ms;
    agent->running++;
    agent->stage_runs[work->stage]++;
    struct agent_effect *effect = effect_add(agent, AGENT_RUN_STAGE);
    effect->run.key = work_key(agent, index);
    effect->run.job_no = job->job_no;
    effect->run.stage = work->stage;
    effect->run.target = work->name;
    effect->run.read_back = work->read_back;
    effect->run.look_only = work->look_only;
    effect->run.await = work->stage == STAGE_SCHEDULE && work->scheduled;
    effect->run.hold_logon = work->stage == STAGE_ACCESS;
}

/* One target of each job in turn, so that no push waits for another's end. */
static void fill_stage(struct agent *agent, enum stage stage)
{
    bool started = true;
    while (started) {
        started = false;
        for (uint32_t i = 0; i < agent->job_count; i++) {
            struct job_slot *job = &agent->jobs[(agent->job_turn + i) % agent->job_count];
            if (job->used && job->waiting[stage].count > 0 && may_enter(agent, job, stage)) {
                start_stage(agent, job->waiting[stage].head);
                started = true;
            }
        }
    }
}

/* Past the deadline. What may be registered already is looked at a while longer. */
static bool too_late(const struct agent *agent, uint32_t index)
{
    const struct job_slot *job = &agent->jobs[work_of(agent, index)->job];
    if (work_of(agent, index)->scheduled)
        return wait_time_is_up(agent, job);
    return agent->table.entries[index].intent ? job_over(agent, job) : job_expired(agent, job);
}

static void expire_job(struct agent *agent, struct job_slot *job)
{
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        uint32_t next;
        for (uint32_t i = job->waiting[stage].head; i != ENTRY_NONE; i = next) {
            next = agent->table.entries[i].next;
            if (too_late(agent, i))
                work_expire(agent, i);
        }
    }
}

/* Ends the waiting targets of a job whose package cannot be had, up to the copy. */
static void end_packageless(struct agent *agent, struct job_slot *job)
{
    for (int stage = STAGE_ACCESS; stage <= STAGE_COPY; stage++) {
        uint32_t next;
        for (uint32_t i = job->waiting[stage].head; i != ENTRY_NONE; i = next) {
            next = agent->table.entries[i].next;
            if (!agent->table.entries[i].intent)
                work_finish_with(agent, i, STAGE_COPY, REASON_INTERNAL, job->package_detail);
        }
    }
}

/* Ends one that waits for its logon, or for the connection that comes first. */
static void end_braked(struct agent *agent, uint32_t index, const char *why)
{
    struct entry *entry = &agent->table.entries[index];
    struct agent_stage_done braked = {
        .stage = STAGE_ACCESS, .verdict = AGENT_FAILED, .reason = REASON_CREDENTIAL_BRAKE};
    if (!entry->intent) {
        work_finish_with(agent, index, STAGE_ACCESS, REASON_CREDENTIAL_BRAKE, why);
        return;
    }
    (void)text_copy(braked.detail, sizeof braked.detail, why);
    work_leave_status(agent, index);
    entry->status = ENTRY_INTENT;
    if (entry->work->scheduled)
        wait_looked(agent, index, &braked);
    else
        work_pause_unknown(agent, index, &braked);
}

static const char refused_elsewhere[] = "not tried: the account was refused on other machines";

static void end_braked_job(struct agent *agent, struct job_slot *job)
{
    uint32_t next;
    for (uint32_t i = job->waiting[STAGE_ACCESS].head; i != ENTRY_NONE; i = next) {
        next = agent->table.entries[i].next;
        end_braked(agent, i, refused_elsewhere);
    }
}

/* Those that are connected and may not wait for their logon any longer. */
static void end_held(struct agent *agent, struct credential_slot *credential)
{
    uint32_t next;
    for (uint32_t i = credential->held.head; i != ENTRY_NONE; i = next) {
        next = agent->table.entries[i].next;
        if (agent->shutting_down)
            work_give_up(agent, i); /* whoever gets the lease next connects anew */
        else if (too_late(agent, i))
            work_expire(agent, i);
        else if (credential->stopped)
            end_braked(agent, i, refused_elsewhere);
        else if (!brake_allows(agent, credential) && /* else it waits for a place, not for others */
                 agent->now_ms >= work_of(agent, i)->held_since_ms + agent->config.logon_wait_ms)
            end_braked(agent, i, "not tried: other machines leave the account's logon unanswered");
    }
}

static bool may_resume(const struct agent *agent, const struct work *work)
{
    return agent->lease_valid && !agent->shutting_down && !agent->halted &&
           agent->now_ms >= work->retry_at_ms && (!work->scheduled || wait_may_look(agent));
}

static void resume_paused(struct agent *agent)
{
    uint32_t next;
    if (agent->now_ms < agent->paused_scan_ms)
        return;
    agent->paused_scan_ms = agent->paused.count > PAUSED_OFTEN_MAX ? agent->now_ms + 1000 : 0;
    for (uint32_t i = agent->paused.head; i != ENTRY_NONE; i = next) {
        next = agent->table.entries[i].next;
        struct work *work = work_of(agent, i);
        if (too_late(agent, i)) {
            work_expire(agent, i);
        } else if (may_resume(agent, work)) {
            queue_remove(&agent->table, &agent->paused, i);
            work->looking = work->scheduled;
            agent->looks += work->looking;
            work_wait_for(agent, i, work->begun ? STAGE_ACCESS : STAGE_RESOLVE);
        }
    }
}

void work_schedule(struct agent *agent)
{
    end_stopped(agent);
    resume_paused(agent);
    for (uint32_t i = 0; i < agent->job_count; i++) {
        if (agent->jobs[i].used && job_expired(agent, &agent->jobs[i]))
            expire_job(agent, &agent->jobs[i]);
        if (agent->jobs[i].used && agent->jobs[i].package == PACKAGE_FAILED)
            end_packageless(agent, &agent->jobs[i]);
        if (agent->jobs[i].used && agent->credentials[agent->jobs[i].credential].stopped)
            end_braked_job(agent, &agent->jobs[i]);
    }
    for (uint32_t i = 0; i < agent->credential_count; i++)
        end_held(agent, &agent->credentials[i]);
    if (!agent->lease_valid || agent->shutting_down || agent->halted || agent->job_count == 0)
        return;
    allow_logons(agent);
    /* The nearer to the end, the sooner: a session that is open costs the target, too. */
    for (int stage = STAGE_COUNT - 1; stage >= 0; stage--)
        fill_stage(agent, (enum stage)stage);
    agent->job_turn = (agent->job_turn + 1) % agent->job_count;
}

static uint64_t paused_due_ms(const struct agent *agent)
{
    uint64_t due = UINT64_MAX;
    if (!agent->lease_valid)
        return due;
    if (agent->paused.count > PAUSED_OFTEN_MAX)
        return agent->paused_scan_ms > agent->now_ms ? agent->paused_scan_ms : agent->now_ms + 1000;
    bool may_look = wait_may_look(agent); /* else the end of a look lets the next begin */
    for (uint32_t i = agent->paused.head; i != ENTRY_NONE; i = agent->table.entries[i].next) {
        const struct work *work = work_of(agent, i);
        if (work->retry_at_ms < due && (may_look || !work->scheduled))
            due = work->retry_at_ms;
    }
    return due;
}

uint64_t work_due_ms(const struct agent *agent)
{
    uint64_t due = paused_due_ms(agent);
    for (uint32_t i = 0; i < agent->job_count; i++) {
        const struct job_slot *job = &agent->jobs[i];
        if (!job->used || job->refs == 0)
            continue;
        uint64_t at = agent->now_ms;
        if (!job_expired(agent, job)) {
            uint64_t left = (uint64_t)job->not_after_unix_ms - agent->now_unix_ms;
            at += left < TIMER_PAUSE_MAX_MS ? left : TIMER_PAUSE_MAX_MS;
        } else {
            at += 1000; /* only running stages are left: they end by themselves */
        }
        if (at < due)
            due = at;
    }
    for (uint32_t i = 0; i < agent->push_count; i++) {
        const struct push_slot *slot = &agent->pushes[i];
        if (slot->used && slot->stopped && slot->stop_until_ms > 0 && slot->stop_until_ms < due)
            due = slot->stop_until_ms;
    }
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        uint64_t at = brake_due_ms(agent, &agent->credentials[i]);
        if (at < due)
            due = at;
    }
    return due;
}
