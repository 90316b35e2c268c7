/* Accounts, who tries them, and who waits. */
#include "coordinator/core/permits.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/core/dispatch.h"

/* A relay that has asked for the account. */
struct member {
    uint16_t relay;
    uint64_t
        epoch; /* a new one may count `refused` from 0, or go on: rather too many than too few */
    uint32_t refused; /* as it said last */
    bool waits;
};

struct account {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t counter;
    uint16_t first;    /* the relay that asked for it first */
    uint32_t failures; /* at all relays */
    bool open;         /* a logon has succeeded */
    uint16_t holder;   /* DISPATCH_RELAY_NONE: nobody's turn */
    uint64_t until_ms; /* of the holder */
    uint64_t asked_ms; /* last message */
    struct member *members;
    uint32_t member_count;
};

struct permits {
    struct account *accounts;
    uint32_t account_count;
    struct permits_answer *answers;
    size_t answer_count, answer_capacity;
};

struct permits *permits_new(void)
{
    return mem_new(1, sizeof(struct permits));
}

void permits_free(struct permits *permits)
{
    if (permits == NULL)
        return;
    for (uint32_t i = 0; i < permits->account_count; i++)
        free(permits->accounts[i].members);
    free(permits->accounts);
    free(permits->answers);
    free(permits);
}

static struct account *older(struct account *a, struct account *b)
{
    return a == NULL || b->asked_ms < a->asked_ms ? b : a;
}

/* A place for a new account: a forgotten one, a fresh one, or the one that is longest unused. A
 * relay that names many takes the places of its own. */
static struct account *make_room(struct permits *permits, uint64_t now_ms, uint16_t relay)
{
    struct account *oldest = NULL;
    struct account *own = NULL;
    uint32_t own_count = 0;
    for (uint32_t i = 0; i < permits->account_count; i++) {
        struct account *account = &permits->accounts[i];
        if (now_ms - account->asked_ms >= PERMITS_MEMORY_MS)
            return account;
        oldest = older(oldest, account);
        if (account->first == relay) {
            own = older(own, account);
            own_count++;
        }
    }
    if (own_count >= PERMITS_OF_RELAY_MAX)
        return own;
    if (permits->account_count == PERMITS_ACCOUNTS_MAX)
        return oldest;
    permits->accounts =
        mem_resize(permits->accounts, permits->account_count + 1U, sizeof *permits->accounts);
    struct account *fresh = &permits->accounts[permits->account_count++];
    *fresh = (struct account){0};
    return fresh;
}

static struct account *account_of(struct permits *permits, uint64_t now_ms, uint16_t relay,
                                  const struct message_permit_get *said)
{
    for (uint32_t i = 0; i < permits->account_count; i++) {
        struct account *account = &permits->accounts[i];
        if (account->counter == said->counter &&
            memcmp(account->digest, said->account, sizeof account->digest) == 0 &&
            now_ms - account->asked_ms < PERMITS_MEMORY_MS)
            return account;
    }
    struct account *account = make_room(permits, now_ms, relay);
    free(account->members);
    *account =
        (struct account){.counter = said->counter, .first = relay, .holder = DISPATCH_RELAY_NONE};
    memcpy(account->digest, said->account, sizeof account->digest);
    return account;
}

static struct member *member_of(struct account *account, uint16_t relay, uint64_t epoch)
{
    struct member *member = NULL;
    for (uint32_t i = 0; i < account->member_count && member == NULL; i++)
        if (account->members[i].relay == relay)
            member = &account->members[i];
    if (member == NULL) {
        account->members =
            mem_resize(account->members, account->member_count + 1U, sizeof *account->members);
        member = &account->members[account->member_count++];
        *member = (struct member){.relay = relay, .epoch = epoch};
    }
    if (member->epoch != epoch)
        *member = (struct member){.relay = relay, .epoch = epoch};
    return member;
}

static bool settled(const struct account *account)
{
    return account->open || account->failures >= PERMITS_REFUSED_MAX;
}

static void answer(struct permits *permits, const struct account *account, uint16_t relay)
{
    if (permits->answer_count == permits->answer_capacity) {
        permits->answer_capacity =
            permits->answer_capacity == 0 ? 16 : 2 * permits->answer_capacity;
        permits->answers =
            mem_resize(permits->answers, permits->answer_capacity, sizeof *permits->answers);
    }
    struct permits_answer *to = &permits->answers[permits->answer_count++];
    *to = (struct permits_answer){.relay = relay};
    memcpy(to->permit.account, account->digest, sizeof to->permit.account);
    to->permit.counter = account->counter;
    to->permit.failures = account->failures;
    to->permit.open = account->open;
    to->permit.refused = !account->open && settled(account);
    to->permit.granted = !settled(account) && account->holder == relay;
}

/* Gives a free permit to the asker, or else to whoever waits. */
static void pass_on(struct account *account, uint64_t now_ms, const struct member *asker)
{
    if (account->holder != DISPATCH_RELAY_NONE && now_ms < account->until_ms)
        return;
    account->holder = DISPATCH_RELAY_NONE;
    const struct member *next = asker->waits ? asker : NULL;
    for (uint32_t i = 0; i < account->member_count && next == NULL; i++)
        if (account->members[i].waits)
            next = &account->members[i];
    if (next == NULL)
        return;
    account->holder = next->relay;
    account->until_ms = now_ms + PERMITS_HOLD_MS;
}

size_t permits_take(struct permits *permits, uint64_t now_ms, uint16_t relay, uint64_t epoch,
                    const struct message_permit_get *said, const struct permits_answer **answers)
{
    struct account *account = account_of(permits, now_ms, relay, said);
    struct member *asker = member_of(account, relay, epoch);
    bool was_settled = settled(account);
    uint16_t held_before = account->holder;
    account->asked_ms = now_ms;
    if (said->refused > asker->refused) {
        uint32_t more = said->refused - asker->refused;
        account->failures = more < PERMITS_REFUSED_MAX - account->failures && !was_settled
                                ? account->failures + more
                                : PERMITS_REFUSED_MAX;
        asker->refused = said->refused;
    }
    account->open = account->open || said->accepted;
    asker->waits = !said->done;
    if (account->holder == relay) {
        account->until_ms = now_ms + PERMITS_HOLD_MS;
        if (said->done)
            account->holder = DISPATCH_RELAY_NONE;
    }
    pass_on(account, now_ms, asker);
    permits->answer_count = 0;
    answer(permits, account, relay);
    for (uint32_t i = 0; i < account->member_count; i++) {
        const struct member *member = &account->members[i];
        bool news = settled(account)
                        ? !was_settled
                        : member->relay == account->holder && member->relay != held_before;
        if (member->relay != relay && member->waits && news)
            answer(permits, account, member->relay);
    }
    *answers = permits->answers;
    return permits->answer_count;
}
