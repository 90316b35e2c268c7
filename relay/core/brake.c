/* The brake on a credential: a wrong password must not lock an account on the way through a pool.
 *
 * Only the logon is held: targets connect as their window lets them, so that one which can't be
 * reached costs the others nothing, and wait in `held`, first come first, until their logon is
 * allowed. Until a credential's first success its logons go one after the other; a machine that
 * leaves the logon unanswered for logon_patience_ms no longer holds up the next one, since most
 * such machines never get as far as looking at the password. A few failures without a success, or
 * one ACCOUNT_LOCKED, stop the credential; what has not tried by then ends as CREDENTIAL_BRAKE.
 * With an account that each machine has for itself, a success shows that the password is right
 * somewhere, and a locked account elsewhere says nothing about the others.
 */
#include <assert.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/core/agent_state.h"

uint32_t credential_get(struct agent *agent, uint32_t credential_no, bool local_account)
{
    uint32_t unused = ENTRY_NONE;
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        struct credential_slot *slot = &agent->credentials[i];
        if (slot->refs > 0 && slot->credential_no == credential_no) {
            slot->refs++;
            return i;
        }
        if (slot->refs == 0)
            unused = i;
    }
    if (unused == ENTRY_NONE) {
        unused = agent->credential_count++;
        agent->credentials =
            mem_resize(agent->credentials, agent->credential_count, sizeof *agent->credentials);
    }
    agent->credentials[unused] = (struct credential_slot){
        .refs = 1,
        .credential_no = credential_no,
        .local_account = local_account,
    };
    queue_init(&agent->credentials[unused].held);
    return unused;
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
    return credential->trials < TRIALS_MAX && !held_up(agent, credential);
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

/* Reasons that only somebody hears who has logged on. */
static bool good_logon(const struct agent_stage_done *done)
{
    return done->verdict == AGENT_PASSED || done->reason == REASON_ACCESS_DENIED ||
           done->reason == REASON_BAD_SHARE;
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
    if (good_logon(done)) {
        credential->proven = true;
    } else if (bad_logon(done->reason)) {
        credential->failures++;
        bool locked = done->reason == REASON_ACCOUNT_LOCKED &&
                      !(credential->proven && credential->local_account);
        if (locked ||
            (!credential->proven && credential->failures >= agent->config.logon_failures_max))
            credential->stopped = true;
    }
}

uint64_t brake_due_ms(const struct agent *agent, const struct credential_slot *credential)
{
    if (credential->refs == 0 || credential->held.count == 0)
        return UINT64_MAX;
    const struct work *first = agent->table.entries[credential->held.head].work;
    uint64_t due_ms = first->held_since_ms + agent->config.logon_wait_ms;
    if (!held_up(agent, credential))
        return due_ms;
    uint64_t patience_ms = credential->last_trial_ms + agent->config.logon_patience_ms;
    return patience_ms < due_ms ? patience_ms : due_ms;
}
