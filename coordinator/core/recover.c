/* A push as the store knows it: at commit, at start, and when it is tried anew. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/core/dispatch_state.h"

#define HISTORY_NONE SIZE_MAX

void recover_start_until(struct ledger *ledger, const char *start_until)
{
    (void)text_copy(ledger->start_until, sizeof ledger->start_until,
                    start_until != NULL ? start_until : "");
}

/* Histories by the site of their relay: a target is compared with those of its own only. */
struct by_site {
    size_t *first; /* by site, and one more for relays of which nothing is known */
    size_t *next;  /* by history */
};

static size_t list_of(const struct dispatch *core, const struct ledger *ledger, uint16_t relay)
{
    if (relay >= core->relay_count || !core->relays[relay].known)
        return ledger->site_count;
    return core->relays[relay].site;
}

static struct by_site sort_by_site(const struct dispatch *core, struct ledger *ledger,
                                   const struct dispatch_push_opened *opened)
{
    struct by_site lists = {
        .first = mem_new(ledger->site_count + 1U, sizeof *lists.first),
        .next = mem_new(opened->history_count + 1, sizeof *lists.next),
    };
    for (size_t site = 0; site <= ledger->site_count; site++)
        lists.first[site] = HISTORY_NONE;
    for (size_t i = 0; i < opened->history_count; i++) {
        const struct dispatch_history *history = &opened->history[i];
        if (history->relay == DISPATCH_RELAY_NONE)
            continue;
        struct ledger_share *share = ledger_share(ledger, history->relay);
        share->recovered_mark = share->mark = history->mark;
        share->attempt_max = history->attempt_max;
        size_t list = list_of(core, ledger, history->relay);
        if (list > ledger->site_count)
            continue; /* it has moved to a site that this push doesn't know */
        lists.next[i] = lists.first[list];
        lists.first[list] = i;
    }
    return lists;
}

static uint32_t highest_attempt(const struct dispatch_push_opened *opened,
                                const struct by_site *lists, size_t list, uint32_t no)
{
    uint32_t attempt = 0;
    for (size_t i = lists->first[list]; i != HISTORY_NONE; i = lists->next[i])
        if (no < opened->history[i].mark && opened->history[i].attempt_max > attempt)
            attempt = opened->history[i].attempt_max;
    return attempt;
}

static bool is_doubted(uint8_t state)
{
    return state == DISPATCH_STATE_DOUBTED || state == DISPATCH_STATE_DOUBTED_FAILED;
}

static void recover_settled(struct ledger *ledger, uint32_t no, uint8_t state)
{
    bool doubted = is_doubted(state);
    ledger_settle(ledger, no, doubted || state == TARGET_UNKNOWN_EFFECT);
    if (doubted)
        ledger_doubt(ledger, no, true);
    ledger->targets[no].would_fail = state == DISPATCH_STATE_DOUBTED_FAILED;
    ledger->failed_count += state == TARGET_FAILED;
}

static bool is_settled(const struct ledger *ledger, uint8_t state)
{
    if (is_doubted(state) || state == DISPATCH_STATE_OLD)
        return true;
    return target_state_terminal((enum target_state)state) &&
           !(ledger->wait && state == TARGET_SCHEDULED);
}

/* Puts the targets where a restart left them: terminal ones aside, those that some relay may have
 * been leased into the returned queues. */
static void recover_targets(const struct dispatch *core, struct ledger *ledger,
                            const struct dispatch_push_opened *opened)
{
    struct by_site lists = sort_by_site(core, ledger, opened);
    for (uint32_t no = 0; no < ledger->target_count; no++) {
        struct ledger_target *target = &ledger->targets[no];
        uint8_t state = opened->states != NULL ? opened->states[no] : TARGET_QUEUED;
        uint32_t attempt = highest_attempt(opened, &lists, target->site, no);
        uint32_t foreign = highest_attempt(opened, &lists, ledger->site_count, no);
        attempt = foreign > attempt ? foreign : attempt;
        target->recovered = attempt > 0 && state != DISPATCH_STATE_OLD;
        if (is_settled(ledger, state)) {
            target->attempt = attempt;
            recover_settled(ledger, no, state);
            continue;
        }
        target->scheduled = ledger->wait && state == TARGET_SCHEDULED;
        if (attempt == 0)
            attempt = target->scheduled; /* some relay had it, whatever became of that one */
        if (attempt > 0) {
            target->attempt = attempt;
            ledger_return(ledger, no, false);
        }
    }
    free(lists.first);
    free(lists.next);
}

/* Attempts rise as epochs do: none that was given out after the copy was made is as high. */
static uint32_t attempt_after(const struct dispatch_turn *turn)
{
    return (uint32_t)(turn->now_unix_ms / 1000);
}

void recover_suspect(struct dispatch_turn *turn, struct ledger *ledger, uint16_t site)
{
    const struct dispatch *core = turn->core;
    uint32_t attempt = attempt_after(turn);
    struct ledger_queue *queue = ledger_queue_of(ledger, site);
    if (queue == NULL || queue->suspect)
        return;
    queue->suspect = true;
    ledger->lost_not_before_ms = turn->now_ms + core->config.grace_ms;
    ledger->settle_at_ms = turn->now_ms + core->config.grace_ms;
    for (uint16_t relay = 0; relay < core->relay_count; relay++) {
        if (!relay_counts(&core->relays[relay]) || core->relays[relay].site != site)
            continue;
        struct ledger_share *share = ledger_share(ledger, relay);
        share->recovered_mark = share->mark = ledger->target_count;
        if (share->attempt_max < attempt)
            share->attempt_max = attempt;
        turn_of_push(turn, DISPATCH_PERSIST_LEASE, ledger)->history =
            (struct dispatch_history){relay, share->mark, share->attempt_max};
    }
    for (uint32_t no = 0; no < ledger->target_count; no++)
        if (ledger->targets[no].site == site)
            ledger_suspect(ledger, no, attempt);
}

struct ledger *recover_ledger(struct dispatch_turn *turn, const struct dispatch_push_opened *opened)
{
    const struct dispatch *core = turn->core;
    struct ledger *ledger =
        ledger_new(opened->key, &opened->push, opened->target_count, opened->sites);
    ledger->generation = opened->generation;
    ledger->state = opened->state;
    ledger->not_after_unix_s = opened->not_after_unix_s;
    ledger->counter = opened->counter;
    ledger->wait = opened->wait;
    ledger->wait_until_unix_s = opened->wait_until_unix_s;
    ledger->starts_later = opened->starts_later;
    ledger->fail_stop_count = opened->fail_stop_count;
    recover_start_until(ledger, opened->start_until);
    ledger->lost_not_before_ms = turn->now_ms + core->config.grace_ms;
    ledger->settle_at_ms = turn->now_ms + core->config.grace_ms;
    ledger->picked = opened->relays != NULL;
    for (uint32_t site = 0; site < core->site_count; site++)
        for (uint32_t i = 0; i < core->sites[site].live_count; i++)
            ledger_live(ledger, (uint16_t)site, true);
    recover_targets(core, ledger, opened);
    for (size_t i = 0; opened->relays != NULL && i < opened->relay_count; i++)
        if (opened->relays[i] != DISPATCH_RELAY_NONE)
            ledger_share(ledger, opened->relays[i])->barred = false;
    for (uint16_t site = 0; opened->restored && site < ledger->site_count; site++)
        recover_suspect(turn, ledger, site);
    return ledger;
}
