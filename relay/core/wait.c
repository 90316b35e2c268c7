/* Waiting for the end of what was scheduled (docs/adr/0008-waiting.md).
 *
 * A waiting target keeps its lease and its work, and nothing else: no session, no key at the
 * runner. Its looks take the road that reading back takes, from the name on, and share the sessions
 * with new work: at most half of them while there is any, and in front of it. Only what a look saw
 * at the scheduler ends a target; everything else says that it could not be looked at, and counts
 * when the time is up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/core/agent_state.h"

/* Targets are registered one by one; their rows go together. */
#define PROGRESS_PAUSE_MS 500U
/* A logon that is refused while waiting isn't tried for ever: it may lock the account. */
#define REFUSED_LOOKS_MAX 2U

static struct job_slot *job_of(const struct agent *agent, const struct work *work)
{
    return &agent->jobs[work->job];
}

bool wait_time_is_up(const struct agent *agent, const struct job_slot *job)
{
    return job->wait_until_unix_ms <= 0 || agent->now_unix_ms >= (uint64_t)job->wait_until_unix_ms;
}

bool wait_stopped(const struct push_slot *push)
{
    return push->stopped && !push->wait_on;
}

bool wait_may_look(const struct agent *agent)
{
    uint32_t looks_max = agent->config.session_max;
    if (agent->held > agent->awaiting && looks_max > 1)
        looks_max /= 2;
    return agent->looks < looks_max;
}

void wait_spare(struct agent *agent, struct work *work)
{
    if (!work->spare)
        agent->spare++;
    work->spare = true;
}

void wait_forget(struct agent *agent, struct work *work)
{
    agent->awaiting -= work->scheduled;
    agent->looks -= work->looking;
    agent->spare -= work->spare;
    free(work->look);
    work->look = NULL;
}

static void note_look(struct work *work, bool reached, const struct agent_stage_done *done)
{
    size_t size = strnlen(done->detail, sizeof done->detail - 1) + 1;
    free(work->look);
    work->look = mem_new(1, sizeof *work->look + size);
    work->look->reached = reached;
    work->look->reason = done->reason < REASON_COUNT ? done->reason : REASON_INTERNAL;
    work->look->code_kind = done->code_kind < CODE_KIND_COUNT ? done->code_kind : CODE_NONE;
    work->look->code = done->code;
    (void)text_copy(work->look->detail, size, done->detail);
}

/* ---- the SCHEDULED row ---- */

void wait_tell(struct agent *agent, uint32_t index)
{
    struct work *work = agent->table.entries[index].work;
    if (work->telling)
        return;
    work->telling = true;
    if (agent->progress_count == agent->progress_capacity) {
        agent->progress_capacity = agent->progress_capacity ? 2 * agent->progress_capacity : 64;
        agent->progress =
            mem_resize(agent->progress, agent->progress_capacity, sizeof *agent->progress);
    }
    agent->progress[agent->progress_count++] = index;
}

static struct outcome outcome_scheduled(const struct agent *agent, const struct work *work)
{
    struct outcome outcome = work_outcome(agent, work);
    outcome.state = TARGET_SCHEDULED;
    outcome.stage = STAGE_SCHEDULE;
    outcome.tries = work->schedule_tries;
    if (work->look->reached || work->look->reason == REASON_NONE)
        (void)text_copy(outcome.detail, sizeof outcome.detail, work->look->detail);
    return outcome;
}

/* Up to a message's worth from progress[*next] on. */
static void send_some(struct agent *agent, uint32_t *next)
{
    struct agent_effect *effect = effect_add(agent, AGENT_SEND_SCHEDULED);
    effect->rows.epoch = agent->epoch;
    effect->rows.first_ref = (uint32_t)agent->effects->ref_count;
    effect->rows.first_outcome = (uint32_t)agent->effects->outcome_count;
    while (*next < agent->progress_count && effect->rows.ref_count < LIMIT_ROWS_PER_MESSAGE) {
        uint32_t index = agent->progress[(*next)++];
        struct work *work = agent->table.entries[index].work;
        if (!work || !work->telling)
            continue; /* gone, or another one */
        work->telling = false;
        struct agent_ref ref = entry_ref(agent, index);
        struct outcome outcome = outcome_scheduled(agent, work);
        effect_ref(agent, &ref);
        (void)effect_outcome(agent, &outcome);
        effect->rows.ref_count++;
    }
    if (effect->rows.ref_count == 0)
        agent->effects->count--; /* nothing to say after all */
}

/* A message that is lost is asked for again by the LEASE that is repeated without it. */
void wait_send(struct agent *agent)
{
    if (agent->progress_count == 0 || agent->epoch == 0 ||
        agent->now_ms < agent->progress_said_ms + PROGRESS_PAUSE_MS)
        return;
    for (uint32_t next = 0; next < agent->progress_count;)
        send_some(agent, &next);
    agent->progress_count = 0;
    agent->progress_said_ms = agent->now_ms;
}

uint64_t wait_due_ms(const struct agent *agent)
{
    if (agent->progress_count == 0 || agent->epoch == 0)
        return UINT64_MAX;
    return agent->progress_said_ms + PROGRESS_PAUSE_MS;
}

/* ---- from registered to the end ---- */

void wait_begin(struct agent *agent, uint32_t index, const struct agent_stage_done *done)
{
    struct entry *entry = &agent->table.entries[index];
    struct work *work = entry->work;
    if (!work->leased) {
        work_give_up(agent, index); /* whoever gets the lease reads back */
        return;
    }
    if (wait_stopped(&agent->pushes[entry->push])) {
        work_drop(agent, index);
        return;
    }
    work_drop_key(agent, index);
    work->stage = STAGE_SCHEDULE;
    work->scheduled = true;
    agent->awaiting++;
    wait_spare(agent, work);
    free(work->unknown);
    work->unknown = NULL;
    note_look(work, false, done);
    work->look->reason = REASON_NONE;
    work->retry_pause_ms = agent->config.await_first_ms;
    work_pause(agent, index, (uint64_t)done->starts_in_ms + agent->config.await_first_ms);
    wait_tell(agent, index);
}

/* What ends the waiting, whenever it is heard. */
static bool decided(const struct agent_stage_done *done)
{
    if (done->stage != STAGE_SCHEDULE)
        return false;
    if (done->verdict == AGENT_PASSED)
        return done->has_exit_code;
    return done->verdict == AGENT_FAILED &&
           (done->reason == REASON_EXIT_CODE || done->reason == REASON_INSTALLER_BUSY ||
            done->reason == REASON_RUN_TIMEOUT || done->reason == REASON_NOT_STARTED);
}

static bool refused(const struct agent_stage_done *done)
{
    return done->stage == STAGE_ACCESS &&
           (done->reason == REASON_LOGON_FAILURE || done->reason == REASON_ACCOUNT_LOCKED ||
            done->reason == REASON_ACCOUNT_DISABLED || done->reason == REASON_PASSWORD_EXPIRED);
}

/* Until the next look. */
static void pause_look(struct agent *agent, uint32_t index, uint32_t starts_in_ms)
{
    struct work *work = agent->table.entries[index].work;
    uint64_t pause_ms = (uint64_t)starts_in_ms + agent->config.await_first_ms;
    if (starts_in_ms == 0) {
        work->retry_pause_ms += work->retry_pause_ms / 2;
        if (work->retry_pause_ms > agent->config.await_max_ms)
            work->retry_pause_ms = agent->config.await_max_ms;
        pause_ms = work->retry_pause_ms;
    }
    work_drop_key(agent, index);
    work->stage = STAGE_SCHEDULE;
    work_pause(agent, index, pause_ms);
}

void wait_looked(struct agent *agent, uint32_t index, const struct agent_stage_done *done)
{
    struct entry *entry = &agent->table.entries[index];
    struct work *work = entry->work;
    bool reached = done->stage == STAGE_SCHEDULE && done->verdict == AGENT_WAITING;
    agent->looks -= work->looking;
    work->looking = false;
    if (decided(done)) {
        work_finish_done(agent, index, done);
        return;
    }
    note_look(work, reached, done);
    work->refused_looks = refused(done) ? work->refused_looks + 1 : 0;
    if (!work->leased)
        work_give_up(agent, index);
    else if (wait_stopped(&agent->pushes[entry->push]))
        work_drop(agent, index);
    else if (wait_time_is_up(agent, job_of(agent, work)) ||
             work->refused_looks >= REFUSED_LOOKS_MAX)
        wait_over(agent, index);
    else
        pause_look(agent, index, reached ? done->starts_in_ms : 0);
}

void wait_over(struct agent *agent, uint32_t index)
{
    const struct work *work = agent->table.entries[index].work;
    const struct look *look = work->look;
    struct outcome outcome = work_outcome(agent, work);
    outcome.stage = STAGE_SCHEDULE;
    outcome.tries = work->schedule_tries;
    outcome.code_kind = look->code_kind;
    outcome.code = look->code;
    if (look->reached) {
        outcome.reason =
            look->reason == REASON_NOT_STARTED ? REASON_NOT_STARTED : REASON_RUN_TIMEOUT;
        outcome.state = reason_state(outcome.reason);
        (void)text_copy(outcome.detail, sizeof outcome.detail, look->detail);
    } else {
        bool looked = look->reason != REASON_NONE;
        outcome.state = TARGET_UNKNOWN_EFFECT;
        outcome.reason = looked ? look->reason : REASON_EXPIRED;
        (void)text_copy(outcome.detail, sizeof outcome.detail,
                        "scheduled, and its end could not be seen");
        size_t used = strlen(outcome.detail);
        if (looked && look->detail[0])
            (void)text_copy(outcome.detail + used, sizeof outcome.detail - used, ": ");
        used = strlen(outcome.detail);
        if (looked)
            (void)text_copy(outcome.detail + used, sizeof outcome.detail - used, look->detail);
    }
    work_finish(agent, index, &outcome);
}
