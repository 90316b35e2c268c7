/* When a row is terminal, and what follows when all of a push are. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/dispatch_state.h"

/* The three ends that the coordinator itself can give a row. */
static const struct outcome outcome_cancelled = {
    .state = TARGET_CANCELLED,
    .stage = STAGE_COUNT,
    .reason = REASON_CANCELLED,
    .detail = "the push was cancelled while this target was waiting",
};
static const struct outcome outcome_expired = {
    .state = TARGET_EXPIRED,
    .stage = STAGE_COUNT,
    .reason = REASON_EXPIRED,
    .detail = "no relay took this target before the deadline",
};
static const struct outcome outcome_lost = {
    .state = TARGET_UNKNOWN_EFFECT,
    .stage = STAGE_COUNT,
    .reason = REASON_RELAY_LOST,
    .detail = "a relay had this target and has not said what became of it",
};

/* Whether another relay was ever leased the target: then "not begun" from one says little. */
static bool held_by_other(const struct dispatch *core, const struct ledger *ledger, uint16_t relay,
                          uint32_t no)
{
    for (uint16_t other = 0; other < ledger->share_count; other++)
        if (other != relay && other < core->relay_count &&
            ledger_ever_leased(ledger, other, core->relays[other].site, no))
            return true;
    return false;
}

static void settle(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay, uint32_t no,
                   const struct outcome *outcome)
{
    lease_forget_held(turn->core, ledger, no);
    ledger_settle(ledger, no, outcome->state == TARGET_UNKNOWN_EFFECT);
    struct dispatch_effect *persist = turn_of_push(turn, DISPATCH_PERSIST_OUTCOME, ledger);
    persist->relay = relay;
    persist->target_no = no;
    persist->outcome = outcome;
}

bool settle_is_unknown(const struct dispatch *core, const struct ledger *ledger, uint16_t relay,
                       uint32_t no, enum target_state state)
{
    bool not_begun = state == TARGET_CANCELLED || state == TARGET_EXPIRED;
    return state == TARGET_UNKNOWN_EFFECT || (not_begun && held_by_other(core, ledger, relay, no));
}

void settle_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay, uint32_t no,
                const struct outcome *outcome)
{
    if (outcome->state != TARGET_UNKNOWN_EFFECT &&
        settle_is_unknown(turn->core, ledger, relay, no, outcome->state))
        outcome = &outcome_lost;
    settle(turn, ledger, relay, no, outcome);
}

/* Settles from the head of a list while the budget lasts. */
static void settle_list(struct dispatch_turn *turn, struct ledger *ledger,
                        const struct ledger_list *list, const struct outcome *outcome,
                        uint32_t *budget)
{
    while (list->count > 0 && *budget > 0) {
        uint32_t no = list->head;
        settle(turn, ledger, ledger->targets[no].relay, no, outcome);
        (*budget)--;
    }
    if (list->count > 0)
        turn->more = true;
}

static void settle_fresh(struct dispatch_turn *turn, struct ledger *ledger,
                         const struct outcome *outcome, uint32_t *budget)
{
    for (uint16_t site = 0; site < ledger->site_count; site++)
        settle_list(turn, ledger, &ledger->queues[site].fresh, outcome, budget);
}

static void settle_lost(struct dispatch_turn *turn, struct ledger *ledger, uint32_t *budget)
{
    for (uint16_t site = 0; site < ledger->site_count; site++)
        settle_list(turn, ledger, &ledger->queues[site].returned, &outcome_lost, budget);
    for (uint16_t relay = 0; relay < ledger->share_count; relay++)
        if (ledger->shares[relay] != NULL)
            settle_list(turn, ledger, &ledger->shares[relay]->leased, &outcome_lost, budget);
}

void settle_due(struct dispatch_turn *turn, struct ledger *ledger)
{
    uint32_t budget = DISPATCH_SETTLE_MAX;
    if (ledger->state == PUSH_CLOSED)
        return;
    uint64_t deadline_ms =
        ledger->not_after_unix_s > 0 ? (uint64_t)ledger->not_after_unix_s * 1000 : UINT64_MAX;
    bool expired = turn->now_unix_ms >= deadline_ms;
    bool grace_over = expired && turn->now_unix_ms - deadline_ms >= turn->core->config.grace_ms &&
                      turn->now_ms >= ledger->lost_not_before_ms;
    bool stop_over = turn->now_ms >= ledger->settle_at_ms;

    if (ledger->state == PUSH_CANCELLING)
        settle_fresh(turn, ledger, &outcome_cancelled, &budget);
    else if (expired)
        settle_fresh(turn, ledger, &outcome_expired, &budget);

    if (grace_over || (ledger->state == PUSH_CANCELLING && stop_over))
        settle_lost(turn, ledger, &budget);
    else if (ledger->state == PUSH_STOPPED && stop_over)
        lease_revoke_push(turn, ledger);
}

void settle_remember(struct dispatch *core, const struct push_id *push, uint32_t generation)
{
    core->ended[core->ended_next] = (struct dispatch_ended){*push, generation};
    core->ended_next = (core->ended_next + 1) % DISPATCH_ENDED_MAX;
    if (core->ended_count < DISPATCH_ENDED_MAX)
        core->ended_count++;
}

static void remove_push(struct dispatch *core, const struct ledger *ledger)
{
    uint32_t at = 0;
    while (core->pushes[at] != ledger)
        at++;
    core->push_count--;
    memmove(core->pushes + at, core->pushes + at + 1,
            (core->push_count - at) * sizeof *core->pushes);
}

bool settle_close(struct dispatch_turn *turn, struct ledger *ledger)
{
    struct dispatch *core = turn->core;
    if (ledger->settled_count < ledger->target_count)
        return false;
    if (ledger->state != PUSH_CLOSED) {
        ledger->state = PUSH_CLOSED;
        (void)turn_of_push(turn, DISPATCH_PERSIST_CLOSED, ledger);
    }
    /* The relay that holds the truth about an unknown row must not be told to forget it. */
    if (ledger->unknown_count > 0)
        return false;
    for (uint16_t relay = 0; relay < ledger->share_count && relay < core->relay_count; relay++) {
        if (ledger->shares[relay] == NULL || !core->relays[relay].live)
            continue;
        struct dispatch_effect *close = turn_of_push(turn, DISPATCH_SEND_CLOSE, ledger);
        close->relay = relay;
        close->epoch = core->relays[relay].epoch;
    }
    settle_remember(core, &ledger->push, ledger->generation);
    remove_push(core, ledger);
    ledger_free(ledger);
    return true;
}
