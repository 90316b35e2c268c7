/* When a row is terminal, and what follows when all of a push are. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "coordinator/core/dispatch_state.h"

/* What the coordinator itself can make of a row; and outcome_not_awaited, below. */
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
static const struct outcome outcome_max_fail = {
    .state = TARGET_NEVER_ATTEMPTED,
    .stage = STAGE_COUNT,
    .reason = REASON_MAX_FAIL,
    .detail = "more targets had failed than --max-fail allows",
};
static const struct outcome outcome_scheduled = {
    .state = TARGET_SCHEDULED,
    .stage = STAGE_SCHEDULE,
    .detail = "registered; the relay was told to stop before it saw the end",
};
static const struct outcome outcome_unheard = {
    .state = TARGET_UNKNOWN_EFFECT,
    .stage = STAGE_SCHEDULE,
    .reason = REASON_RELAY_LOST,
    .detail = "scheduled, and no relay has said how it ended",
};
static const struct outcome outcome_lost = {
    .state = TARGET_UNKNOWN_EFFECT,
    .stage = STAGE_COUNT,
    .reason = REASON_RELAY_LOST,
    .detail = "a relay had this target and has not said what became of it",
};

bool settle_owed_by_other(const struct dispatch *core, const struct ledger *ledger, uint16_t relay,
                          uint32_t no)
{
    const struct ledger_target *target = &ledger->targets[no];
    if (target->relay != relay && target->relay != LEDGER_RELAY_NONE && target->owed)
        return true;
    if (past_owed_by_other(&ledger->past, no, relay))
        return true;
    if (!target->recovered)
        return false;
    for (uint16_t other = relay_first_of_site(core, target->site); other != DISPATCH_RELAY_NONE;
         other = core->relays[other].next_of_site)
        if (other != relay && ledger_owes(ledger, other, target->site, no))
            return true;
    return false;
}

static struct dispatch_effect *persist(struct dispatch_turn *turn, const struct ledger *ledger,
                                       uint16_t relay, uint32_t no, const struct outcome *outcome)
{
    struct dispatch_effect *effect = turn_of_push(turn, DISPATCH_PERSIST_OUTCOME, ledger);
    effect->relay = relay;
    effect->target_no = no;
    effect->outcome = outcome;
    return effect;
}

static struct dispatch_effect *settle(struct dispatch_turn *turn, struct ledger *ledger,
                                      uint16_t relay, uint32_t no, const struct outcome *outcome)
{
    lease_forget_held(turn->core, ledger, no);
    ledger_settle(ledger, no, outcome->state == TARGET_UNKNOWN_EFFECT);
    ledger->failed_count += outcome->state == TARGET_FAILED;
    return persist(turn, ledger, relay, no, outcome);
}

static void add_text(struct outcome *outcome, const char *text)
{
    size_t used = strlen(outcome->detail);
    (void)text_copy(outcome->detail + used, sizeof outcome->detail - used, text);
}

/* Once a push and step. */
static const struct outcome *outcome_not_awaited(struct dispatch_turn *turn,
                                                 const struct ledger *ledger)
{
    if (turn->made_for == ledger)
        return turn->not_awaited;
    struct outcome *outcome = turn_outcome(turn);
    turn->made_for = ledger;
    turn->not_awaited = outcome;
    *outcome = (struct outcome){
        .state = TARGET_UNKNOWN_EFFECT, .stage = STAGE_SCHEDULE, .reason = REASON_CANCELLED};
    add_text(outcome, "scheduled, may start");
    if (ledger->start_until[0] != '\0') {
        add_text(outcome, " until ");
        add_text(outcome, ledger->start_until);
    }
    add_text(outcome, "; its end was not awaited");
    return outcome;
}

/* What is left to say of a row that a relay had and said no end of. */
static const struct outcome *outcome_given_up(struct dispatch_turn *turn,
                                              const struct ledger *ledger, uint32_t no)
{
    if (!ledger->targets[no].scheduled)
        return &outcome_lost;
    return ledger->state == PUSH_CANCELLING ? outcome_not_awaited(turn, ledger) : &outcome_unheard;
}

void settle_not_awaited(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no)
{
    (void)settle(turn, ledger, ledger->targets[no].relay, no, outcome_not_awaited(turn, ledger));
}

/* Of a target that is registered only somebody who looked there can say how it ended; another relay
 * that couldn't get as far knows nothing of it. */
static bool saw_the_end(const struct outcome *outcome)
{
    return outcome->state == TARGET_SUCCEEDED || outcome->reason == REASON_EXIT_CODE ||
           outcome->reason == REASON_INSTALLER_BUSY || outcome->reason == REASON_RUN_TIMEOUT ||
           outcome->reason == REASON_NOT_STARTED;
}

bool settle_tells(const struct outcome *outcome)
{
    return outcome->state == TARGET_SCHEDULED || saw_the_end(outcome);
}

/* It is known that the task is there, and the row doesn't say how that ended. */
static bool end_unseen(const struct ledger *ledger, uint32_t no, const struct outcome *outcome)
{
    return ledger->wait && ledger->targets[no].scheduled && !saw_the_end(outcome);
}

/* The row of a relay that failed on the way, while another one may have got further. */
static const struct outcome *outcome_doubted(struct dispatch_turn *turn, const struct outcome *said)
{
    struct outcome *outcome = turn_outcome(turn);
    *outcome = *said;
    outcome->state = TARGET_UNKNOWN_EFFECT;
    outcome->detail[sizeof outcome->detail - sizeof DISPATCH_DOUBT_TEXT] = '\0';
    add_text(outcome, DISPATCH_DOUBT_TEXT);
    return outcome;
}

static void persist_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                        const struct result_row *row, const struct outcome *outcome)
{
    struct dispatch_effect *effect = settle(turn, ledger, relay, row->target_no, outcome);
    effect->output = row->output_size > 0 ? row->output : NULL;
    effect->output_size = row->output_size;
}

/* Who can't tell may have gone past INTENT, and owes the word still: a failure of somebody who had
 * the target earlier says nothing of that. */
static void note_word(struct ledger *ledger, uint16_t relay, const struct result_row *row)
{
    if (row->outcome.state == TARGET_UNKNOWN_EFFECT)
        ledger_owe(ledger, relay, row->target_no);
    else
        ledger_spoke(ledger, relay, row->target_no);
}

void settle_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                const struct result_row *row)
{
    const struct outcome *outcome = &row->outcome;
    uint32_t no = row->target_no;
    bool known = outcome->state != TARGET_UNKNOWN_EFFECT;
    note_word(ledger, relay, row);
    if (known && end_unseen(ledger, no, outcome)) {
        persist_row(turn, ledger, relay, row, outcome_given_up(turn, ledger, no));
    } else if (known && !settle_tells(outcome) &&
               settle_owed_by_other(turn->core, ledger, relay, no)) {
        turn->core->counts[DISPATCH_COUNT_DOUBTED]++;
        persist_row(turn, ledger, relay, row, outcome_doubted(turn, outcome));
        ledger->targets[no].would_fail = outcome->state == TARGET_FAILED;
        ledger_doubt(ledger, no, true);
        lease_ask_of(turn, ledger, no);
    } else {
        persist_row(turn, ledger, relay, row, outcome);
    }
}

/* Nobody owes a word any more: the failure in the row is what happened. */
static void settle_certain(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no)
{
    struct dispatch_effect *effect = turn_of_push(turn, DISPATCH_PERSIST_CERTAIN, ledger);
    effect->target_no = no;
    turn->core->counts[DISPATCH_COUNT_LATE]++;
    lease_forget_held(turn->core, ledger, no);
    ledger->failed_count += ledger->targets[no].would_fail;
    ledger_settle(ledger, no, false);
}

/* Back to where rows lie that are unknown_effect. */
static void rest(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no)
{
    enum ledger_phase phase = (enum ledger_phase)ledger->targets[no].phase;
    lease_forget_held(turn->core, ledger, no);
    if (phase == LEDGER_LEASED || phase == LEDGER_WANTED)
        ledger_return(ledger, no, false);
}

/* The row of a doubted target, or of one that it makes no difference to. True: it is dealt with. */
static bool answered(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                     const struct result_row *row)
{
    const struct outcome *outcome = &row->outcome;
    struct ledger_target *target = &ledger->targets[row->target_no];
    bool asked =
        target->phase == LEDGER_LEASED && target->relay == relay && target->attempt == row->attempt;
    if (outcome->state == TARGET_CANCELLED && target->doubted && !asked)
        return true; /* of an earlier lease */
    note_word(ledger, relay, row);
    bool nobody_knows =
        outcome->state == TARGET_UNKNOWN_EFFECT || end_unseen(ledger, row->target_no, outcome);
    bool open = settle_owed_by_other(turn->core, ledger, relay, row->target_no);
    if (!nobody_knows && !open)
        return false;
    if (asked)
        rest(turn, ledger, row->target_no);
    if (target->phase == LEDGER_UNKNOWN && target->doubted) {
        ledger_doubt(ledger, row->target_no, !nobody_knows);
        if (!nobody_knows)
            lease_ask_of(turn, ledger, row->target_no);
    }
    return true;
}

static bool never_began(const struct outcome *outcome)
{
    return outcome->state == TARGET_CANCELLED || outcome->state == TARGET_EXPIRED ||
           outcome->reason == REASON_JOB_REFUSED;
}

void settle_unknown_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                        const struct result_row *row)
{
    const struct outcome *outcome = &row->outcome;
    const struct ledger_target *target = &ledger->targets[row->target_no];
    bool tells = settle_tells(outcome) && !end_unseen(ledger, row->target_no, outcome);
    bool elsewhere = target->phase == LEDGER_LEASED && target->relay != relay;
    if (elsewhere && !settle_tells(outcome)) {
        turn->core->counts[DISPATCH_COUNT_SUPERSEDED]++; /* it may be registered by now */
        if (outcome->state != TARGET_CANCELLED && outcome->state != TARGET_UNKNOWN_EFFECT)
            ledger_spoke(ledger, relay, row->target_no);
        return;
    }
    if (!tells && answered(turn, ledger, relay, row)) {
        turn->core->counts[DISPATCH_COUNT_DUPLICATE]++;
    } else if (!tells && target->doubted && never_began(outcome)) {
        settle_certain(turn, ledger, row->target_no);
    } else {
        turn->core->counts[DISPATCH_COUNT_LATE]++;
        persist_row(turn, ledger, relay, row, outcome);
    }
}

void settle_progress(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                     const struct result_row *row)
{
    struct ledger_target *target = &ledger->targets[row->target_no];
    turn->core->counts[DISPATCH_COUNT_PROGRESS]++;
    if (target->phase == LEDGER_LEASED && target->relay == relay && target->attempt == row->attempt)
        ledger_await(ledger, row->target_no);
    if (target->scheduled || target->unknown) {
        target->scheduled = true; /* a row that is unknown_effect waits for the end */
        return;
    }
    target->scheduled = true;
    bool given_back = row->outcome.reason != REASON_NONE;
    (void)persist(turn, ledger, relay, row->target_no,
                  given_back ? &outcome_scheduled : &row->outcome);
}

/* Settles from the head of a list while the budget lasts; NULL: given up. */
static void settle_list(struct dispatch_turn *turn, struct ledger *ledger,
                        const struct ledger_list *list, const struct outcome *outcome,
                        uint32_t *budget)
{
    while (list->count > 0 && *budget > 0) {
        uint32_t no = list->head;
        (*budget)--;
        if (ledger->targets[no].unknown) {
            rest(turn, ledger, no); /* whom it was asked of says nothing */
            continue;
        }
        if (ledger->targets[no].phase == LEDGER_LEASED) /* it may be registered all the same */
            ledger_owe(ledger, ledger->targets[no].relay, no);
        (void)settle(turn, ledger, ledger->targets[no].relay, no,
                     outcome != NULL ? outcome : outcome_given_up(turn, ledger, no));
    }
    if (list->count > 0)
        turn->more = true;
}

static void settle_fresh(struct dispatch_turn *turn, struct ledger *ledger,
                         const struct outcome *outcome, uint32_t *budget)
{
    for (uint16_t site = 0; ledger->fresh_count > 0 && site < ledger->site_count; site++)
        settle_list(turn, ledger, &ledger->queues[site].fresh, outcome, budget);
}

static void settle_lost(struct dispatch_turn *turn, struct ledger *ledger, uint32_t *budget)
{
    for (uint16_t site = 0; site < ledger->site_count; site++)
        settle_list(turn, ledger, &ledger->queues[site].returned, NULL, budget);
    for (uint16_t relay = 0; relay < ledger->share_count; relay++) {
        if (ledger->shares[relay] == NULL)
            continue;
        settle_list(turn, ledger, &ledger->shares[relay]->leased, NULL, budget);
        settle_list(turn, ledger, &ledger->shares[relay]->wanted, NULL, budget);
    }
}

/* A push that stands still may yet be resumed with another threshold. */
void settle_threshold(struct dispatch_turn *turn, struct ledger *ledger)
{
    uint32_t budget = DISPATCH_SETTLE_MAX;
    if (ledger->state == PUSH_OPEN && ledger_over_threshold(ledger))
        settle_fresh(turn, ledger, &outcome_max_fail, &budget);
}

static uint64_t unix_ms(int64_t unix_s)
{
    return unix_s > 0 ? (uint64_t)unix_s * 1000 : UINT64_MAX;
}

/* When the job allows nothing any more, not even waiting. */
static uint64_t last_moment_ms(const struct ledger *ledger)
{
    uint64_t deadline_ms = unix_ms(ledger->not_after_unix_s);
    uint64_t wait_ms = unix_ms(ledger->wait_until_unix_s);
    return ledger->wait && wait_ms > deadline_ms ? wait_ms : deadline_ms;
}

static bool time_since(const struct dispatch_turn *turn, uint64_t last_ms, uint64_t time_ms)
{
    return turn->now_unix_ms >= last_ms && turn->now_unix_ms - last_ms >= time_ms;
}

void settle_due(struct dispatch_turn *turn, struct ledger *ledger)
{
    uint32_t budget = DISPATCH_SETTLE_MAX;
    if (ledger->state == PUSH_CLOSED)
        return;
    settle_threshold(turn, ledger);
    bool expired = turn->now_unix_ms >= unix_ms(ledger->not_after_unix_s);
    /* Until then relays are owed the time to say how it ended. */
    bool grace_over = time_since(turn, last_moment_ms(ledger), turn->core->config.grace_ms) &&
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

void settle_end(struct dispatch_turn *turn, struct ledger *ledger)
{
    struct dispatch *core = turn->core;
    lease_revoke_push(turn, ledger);
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
}

bool settle_close(struct dispatch_turn *turn, struct ledger *ledger)
{
    bool asking = ledger->state == PUSH_OPEN || ledger->state == PUSH_CANCELLING;
    if (ledger->settled_count < ledger->target_count || (asking && ledger->asked_count > 0))
        return false;
    if (ledger->state != PUSH_CLOSED) {
        ledger->state = PUSH_CLOSED;
        (void)turn_of_push(turn, DISPATCH_PERSIST_CLOSED, ledger);
    }
    /* The relay that holds the truth about an unknown row must not be told to forget it; but each
     * push that nobody ever knows all about would take room at relays for good. */
    if (ledger->unknown_count > 0 &&
        !time_since(turn, last_moment_ms(ledger), UINT64_C(1000) * DISPATCH_UNKNOWN_KEPT_S))
        return false;
    settle_end(turn, ledger);
    return true;
}
