/* The brake on a credential: a wrong password must not lock an account on the way through a pool.
 *
 * Only the logon is held: targets connect as their window lets them, so that one which can't be
 * reached costs the others nothing, and wait in `held`, first come first, until their logon is
 * allowed. Until a credential's first success its logons go one after the other; a machine that
 * leaves the logon unanswered for logon_patience_ms no longer holds up the next one. But each that
 * is out may yet be refused, so refusals and unanswered ones together never pass the limit: what
 * the server counts stays below it whatever the machines do. A few refusals without a success, or
 * one ACCOUNT_LOCKED, stop the credential; what has not tried by then ends as CREDENTIAL_BRAKE.
 * With an account that each machine has for itself, a success shows that the password is right
 * somewhere, and a locked account elsewhere says nothing about the others.
 *
 * A credential is an account with one secret, whichever job brought it: concurrent pushes share it.
 * Wrong passwords of a domain account are remembered when the last job is gone, since the domain
 * controller counts on; a corrected password is another credential. A stop for any other reason
 * (locked, disabled) ends with its jobs: the administrator lifts it with the password unchanged.
 */
#include <assert.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/core/agent_state.h"

/* Unused, but its wrong passwords still count. */
static bool remembered(const struct agent *agent, const struct credential_slot *slot)
{
    return slot->refs == 0 && slot->wrong_count > 0 && !slot->local_account &&
           agent->now_ms < slot->wrong_at_ms + agent->config.logon_memory_ms;
}

static uint32_t take_unused(struct agent *agent)
{
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        const struct credential_slot *slot = &agent->credentials[i];
        if (slot->refs == 0 &&
            (!remembered(agent, slot) || agent->credential_count >= CREDENTIALS_MAX))
            return i;
    }
    uint32_t fresh = agent->credential_count++;
    agent->credentials =
        mem_resize(agent->credentials, agent->credential_count, sizeof *agent->credentials);
    return fresh;
}

uint32_t credential_get(struct agent *agent, const struct agent_job *job)
{
    uint32_t wrong_count = 0;
    uint64_t wrong_at_ms = 0;
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        struct credential_slot *slot = &agent->credentials[i];
        if (slot->credential_no != job->credential_no)
            continue;
        if (slot->refs > 0) {
            slot->refs++;
            return i;
        }
        if (remembered(agent, slot)) {
            wrong_count = slot->wrong_count;
            wrong_at_ms = slot->wrong_at_ms;
            slot->wrong_count = 0;
        }
    }
    uint32_t index = take_unused(agent);
    agent->credentials[index] = (struct credential_slot){
        .refs = 1,
        .credential_no = job->credential_no,
        .local_account = job->local_account,
        .stopped = wrong_count >= agent->config.logon_failures_max,
        .failures = wrong_count,
        .wrong_count = wrong_count,
        .wrong_at_ms = wrong_at_ms,
    };
    queue_init(&agent->credentials[index].held);
    permit_init(&agent->credentials[index].permit, job);
    return index;
}

void credential_drop(struct agent *agent, uint32_t credential)
{
    assert(agent->credentials[credential].refs > 0);
    agent->credentials[credential].refs--;
    assert(agent->credentials[credential].refs > 0 ||
           agent->credentials[credential].held.count == 0);
}

static bool held_up(const struct agent *agent, const struct credential_slot *credential)
{
    return credential->trials > 0 && credential->last_trial_ms > 0 &&
           agent->now_ms < credential->last_trial_ms + agent->config.logon_patience_ms;
}

bool brake_allows(const struct agent *agent, const struct credential_slot *credential)
{
    if (credential->stopped)
        return false;
    if (credential->proven)
        return true;
    if (!permit_allows(agent, credential))
        return false;
    return credential->failures + credential->trials < agent->config.logon_failures_max &&
           !held_up(agent, credential);
}

void brake_began(struct agent *agent, struct work *work)
{
    struct credential_slot *credential = &agent->credentials[agent->jobs[work->job].credential];
    if (credential->proven)
        return;
    work->trial = true;
    credential->trials++;
    credential->last_trial_ms = agent->now_ms;
    credential->last_trial = work->serial;
}

static bool bad_logon(enum reason reason)
{
    return reason == REASON_LOGON_FAILURE || reason == REASON_ACCOUNT_LOCKED ||
           reason == REASON_ACCOUNT_DISABLED || reason == REASON_PASSWORD_EXPIRED;
}

static void refused(struct agent *agent, struct credential_slot *credential, enum reason reason)
{
    bool locked = reason == REASON_ACCOUNT_LOCKED;
    credential->failures++;
    permit_note(credential, true);
    if (reason == REASON_LOGON_FAILURE) {
        credential->wrong_count++;
        credential->wrong_at_ms = agent->now_ms;
    }
    if ((locked && !(credential->proven && credential->local_account)) ||
        (!credential->proven && credential->failures >= agent->config.logon_failures_max))
        credential->stopped = true;
}

void brake_ended(struct agent *agent, struct work *work, const struct agent_stage_done *done)
{
    struct credential_slot *credential = &agent->credentials[agent->jobs[work->job].credential];
    if (work->trial) {
        work->trial = false;
        credential->trials--;
        if (credential->last_trial == work->serial)
            credential->last_trial_ms = 0;
    }
    if (!done)
        return;
    if (done->logged_on || done->verdict == AGENT_PASSED) {
        if (!credential->proven)
            permit_note(credential, false);
        credential->proven = true;
        credential->wrong_count = 0;
    } else if (bad_logon(done->reason)) {
        refused(agent, credential, done->reason);
    }
}

uint64_t brake_due_ms(const struct agent *agent, const struct credential_slot *credential)
{
    if (credential->refs == 0 || credential->held.count == 0 || brake_allows(agent, credential))
        return UINT64_MAX; /* who waits for a place among the sessions is not timed */
    const struct work *first = agent->table.entries[credential->held.head].work;
    uint64_t due_ms = first->held_since_ms + agent->config.logon_wait_ms;
    if (!held_up(agent, credential))
        return due_ms;
    uint64_t patience_ms = credential->last_trial_ms + agent->config.logon_patience_ms;
    return patience_ms < due_ms ? patience_ms : due_ms;
}
