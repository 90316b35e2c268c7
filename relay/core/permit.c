/* The coordinator's permit for the first logons of a domain account.
 *
 * brake.c keeps one relay from locking an account; a domain counts over all relays. Until a logon
 * has succeeded somewhere, or as many were refused as may be, one relay at a time tries: it asks,
 * says so again while it goes on, tells each refusal and the first success, and gives the permit
 * back when nobody waits. What the coordinator doesn't answer is asked again. A permit that wasn't
 * renewed for PERMIT_VALID_MS is no longer used, before the coordinator gives it to another relay.
 * Private mode, local accounts: no permit is needed.
 */
#include <string.h>

#include "relay/core/agent_state.h"

#define PERMIT_AGAIN_MS 3000U
#define PERMIT_VALID_MS 10000U

void permit_init(struct permit *permit, const struct agent_job *job)
{
    *permit = (struct permit){.needed = job->shared_account, .counter = job->account_counter};
    memcpy(permit->account, job->account, sizeof permit->account);
}

bool permit_allows(const struct agent *agent, const struct credential_slot *credential)
{
    const struct permit *permit = &credential->permit;
    return !permit->needed || (permit->state == PERMIT_GRANTED && agent->now_ms < permit->until_ms);
}

void permit_note(struct credential_slot *credential, bool refused)
{
    struct permit *permit = &credential->permit;
    if (!permit->needed)
        return;
    permit->refused += refused;
    permit->due = true;
    permit->settled = false;
}

void on_permit(struct agent *agent, const struct message_permit *message)
{
    if (message->epoch != agent->epoch) {
        agent->ignored++;
        return;
    }
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        struct credential_slot *credential = &agent->credentials[i];
        struct permit *permit = &credential->permit;
        if (credential->refs == 0 || !permit->needed || permit->counter != message->counter ||
            memcmp(permit->account, message->account, sizeof permit->account) != 0)
            continue;
        if (message->failures > credential->failures)
            credential->failures = message->failures;
        if (message->open) {
            credential->proven = true;
            permit->settled = true;
        } else if (message->refused) {
            credential->stopped = true;
            credential->wrong_count = agent->config.logon_failures_max;
            credential->wrong_at_ms = agent->now_ms;
            permit->settled = true;
        } else if (message->granted) {
            permit->state = PERMIT_GRANTED;
            permit->until_ms = permit->said_ms + PERMIT_VALID_MS;
        } else {
            permit->state = PERMIT_ASKED;
        }
    }
}

static bool wanted(const struct credential_slot *credential)
{
    return credential->held.count > 0 || credential->trials > 0;
}

/* Whether there is anything to say, now or at permit->said_ms + PERMIT_AGAIN_MS. */
static bool talks(const struct credential_slot *credential)
{
    const struct permit *permit = &credential->permit;
    if (credential->refs == 0 || !permit->needed || permit->settled)
        return false;
    return credential->proven || credential->stopped || permit->due || wanted(credential) ||
           permit->state == PERMIT_GRANTED;
}

static bool due(const struct agent *agent, const struct credential_slot *credential)
{
    const struct permit *permit = &credential->permit;
    bool gives_back = permit->state == PERMIT_GRANTED && !wanted(credential);
    return permit->due || permit->state == PERMIT_NONE || gives_back ||
           agent->now_ms >= permit->said_ms + PERMIT_AGAIN_MS;
}

static void say(struct agent *agent, struct credential_slot *credential)
{
    struct permit *permit = &credential->permit;
    struct message_permit_get *get = &effect_add(agent, AGENT_SEND_PERMIT_GET)->permit_get;
    get->epoch = agent->epoch;
    memcpy(get->account, permit->account, sizeof get->account);
    get->counter = permit->counter;
    get->refused = permit->refused;
    get->accepted = credential->proven;
    get->done = !wanted(credential);
    permit->due = false;
    permit->said_ms = agent->now_ms;
    if (get->done)
        permit->state = PERMIT_NONE;
    else if (permit->state == PERMIT_NONE)
        permit->state = PERMIT_ASKED;
}

void permits_send(struct agent *agent)
{
    if (!agent->lease_valid)
        return;
    for (uint32_t i = 0; i < agent->credential_count; i++)
        if (talks(&agent->credentials[i]) && due(agent, &agent->credentials[i]))
            say(agent, &agent->credentials[i]);
}

uint64_t permits_due_ms(const struct agent *agent)
{
    uint64_t at = UINT64_MAX;
    if (!agent->lease_valid)
        return at;
    for (uint32_t i = 0; i < agent->credential_count; i++) {
        const struct permit *permit = &agent->credentials[i].permit;
        if (talks(&agent->credentials[i]) && permit->said_ms + PERMIT_AGAIN_MS < at)
            at = permit->said_ms + PERMIT_AGAIN_MS;
    }
    return at;
}
