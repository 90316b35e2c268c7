/* One event in, effects out. */
#include "coordinator/core/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/core/dispatch_state.h"

struct dispatch *dispatch_new(const struct dispatch_config *config)
{
    struct dispatch *core = mem_new(1, sizeof *core);
    core->config = *config;
    return core;
}

void dispatch_free(struct dispatch *core)
{
    if (core == NULL)
        return;
    for (uint32_t i = 0; i < core->push_count; i++)
        ledger_free(core->pushes[i]);
    free(core->pushes);
    free(core->relays);
    free(core->sites);
    free(core);
}

static struct ledger *push_by_key(const struct dispatch *core, uint64_t key)
{
    for (uint32_t i = 0; i < core->push_count; i++)
        if (core->pushes[i]->key == key)
            return core->pushes[i];
    return NULL;
}

static struct ledger *push_by_id(const struct dispatch *core, const struct push_id *id)
{
    for (uint32_t i = 0; i < core->push_count; i++)
        if (push_id_equal(&core->pushes[i]->push, id))
            return core->pushes[i];
    return NULL;
}

/* ---- what the shell tells ---- */

/* The relay may, or may not, work on the push from now on. */
static void on_relay_can(struct dispatch_turn *turn, uint64_t key,
                         const struct dispatch_relay_can *said)
{
    struct dispatch *core = turn->core;
    struct ledger *ledger = push_by_key(core, key);
    if (ledger == NULL || said->relay >= core->relay_count || !core->relays[said->relay].known)
        return;
    ledger_share(ledger, said->relay)->barred = !said->can;
    if (!said->can || !core->relays[said->relay].live)
        return;
    lease_ask(turn, said->relay);
    lease_fill(turn, said->relay, true);
}

static void add_push(struct dispatch *core, struct ledger *ledger)
{
    if (core->push_count == core->push_capacity) {
        core->push_capacity = core->push_capacity == 0 ? 8 : 2 * core->push_capacity;
        core->pushes = mem_resize(core->pushes, core->push_capacity, sizeof(struct ledger *));
    }
    core->pushes[core->push_count++] = ledger;
}

static void on_push_opened(struct dispatch_turn *turn, const struct dispatch_push_opened *opened)
{
    struct ledger *before = push_by_key(turn->core, opened->key);
    if (before != NULL && before->generation >= opened->generation)
        return;
    if (before != NULL)
        settle_end(turn, before); /* what is unknown there is tried anew, or left at that */
    struct ledger *ledger = recover_ledger(turn, opened);
    add_push(turn->core, ledger);
    settle_due(turn, ledger);
    if (settle_close(turn, ledger))
        return;
    lease_ask_push(turn, ledger);
    lease_fill_all(turn);
}

/* Also of one that is known here, with rows that are unknown_effect: nothing of it counts any more.
 */
static void on_push_ended(struct dispatch_turn *turn, const struct push_id *push,
                          uint32_t generation)
{
    struct ledger *ledger = push_by_id(turn->core, push);
    if (ledger != NULL && ledger->generation == generation)
        settle_end(turn, ledger);
    else if (ledger == NULL)
        settle_remember(turn->core, push, generation);
}

static void on_push_stopped(struct dispatch_turn *turn, uint64_t key, bool cancel)
{
    struct ledger *ledger = push_by_key(turn->core, key);
    if (ledger == NULL || ledger->state == PUSH_CLOSED)
        return;
    const struct dispatch_config *config = &turn->core->config;
    if (cancel)
        ledger->state = PUSH_CANCELLING;
    else if (ledger->state != PUSH_CANCELLING)
        ledger->state = PUSH_STOPPED;
    ledger->settle_at_ms =
        turn->now_ms + (cancel ? config->grace_ms : 2 * (uint64_t)config->lease_ms);
    for (uint16_t relay = 0; relay < turn->core->relay_count; relay++)
        lease_stop(turn, ledger, relay);
    settle_due(turn, ledger);
    if (!settle_close(turn, ledger))
        lease_fill_all(turn);
}

static void on_push_resumed(struct dispatch_turn *turn, const struct dispatch_event *event)
{
    struct ledger *ledger = push_by_key(turn->core, event->push_key);
    if (ledger == NULL || ledger->state == PUSH_CLOSED)
        return;
    /* Relays drop what they hold of a stopped push: it is leased anew. What they hold of an open
     * one they go on with; the new job reaches them with the repeated lease. */
    bool was_open = ledger->state == PUSH_OPEN;
    ledger->state = PUSH_OPEN;
    ledger->not_after_unix_s = event->push_resumed.not_after_unix_s;
    ledger->wait_until_unix_s = event->push_resumed.wait_until_unix_s;
    ledger->starts_later = event->push_resumed.starts_later;
    if (event->push_resumed.fail_stop_count > 0)
        ledger->fail_stop_count = event->push_resumed.fail_stop_count;
    recover_start_until(ledger, event->push_resumed.start_until);
    ledger->counter = event->push_resumed.counter;
    ledger->job_version++;
    ledger->lost_not_before_ms = turn->now_ms + turn->core->config.grace_ms;
    if (!was_open)
        lease_revoke_push(turn, ledger);
    for (uint16_t relay = 0; was_open && relay < turn->core->relay_count; relay++)
        if (turn->core->relays[relay].live)
            lease_repeat(turn, relay, UINT32_MAX);
    settle_threshold(turn, ledger);
    lease_ask_push(turn, ledger);
    if (!settle_close(turn, ledger))
        lease_fill_all(turn);
}

/* ---- what relays say ---- */

static bool outcome_makes_sense(const struct outcome *outcome)
{
    return outcome->state < TARGET_STATE_COUNT && target_state_terminal(outcome->state) &&
           outcome->stage <= STAGE_COUNT && outcome->reason < REASON_COUNT;
}

/* Although the push goes on: it must have missed the new JOB. When it does so again, it knows of a
 * stop that the store has lost, and would decline as fast as it is asked. */
static void on_declined(struct dispatch_turn *turn, const struct ledger *ledger,
                        struct ledger_share *share)
{
    if (share->declined_version == ledger->job_version && turn->now_ms > share->declined_ms)
        share->declined_until_ms = turn->now_ms + turn->core->config.heartbeat_ms / 2;
    share->declined_version = ledger->job_version;
    share->declined_ms = turn->now_ms;
    share->job_epoch = 0;
}

/* A relay says it dropped the target without beginning. */
static void on_dropped(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                       const struct result_row *row)
{
    const struct ledger_target *target = &ledger->targets[row->target_no];
    if (target->phase != LEDGER_LEASED || target->relay != relay ||
        target->attempt != row->attempt) {
        turn->core->counts[DISPATCH_COUNT_SUPERSEDED]++;
        return;
    }
    lease_forget_held(turn->core, ledger, row->target_no);
    ledger_spoke(ledger, relay, row->target_no);
    ledger_return(ledger, row->target_no, false);
    if (ledger->state == PUSH_OPEN)
        on_declined(turn, ledger, ledger_share(ledger, relay));
    else
        ledger_share(ledger, relay)->job_epoch = 0;
}

/* It is registered. With a reason the relay has been told to stop, and gives the lease back. */
static void on_progress(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                        const struct result_row *row)
{
    settle_progress(turn, ledger, relay, row);
    if (row->outcome.reason == REASON_NONE)
        return;
    const struct ledger_target *target = &ledger->targets[row->target_no];
    if (ledger->state == PUSH_CANCELLING && row->attempt == target->attempt && !target->unknown)
        settle_not_awaited(turn, ledger, row->target_no);
    else
        on_dropped(turn, ledger, relay, row);
}

/* What was dropped under one lease may be in work under the next; what failed doesn't count while
 * another relay works on the target. But who has failed owes no word any more. */
static bool superseded(struct ledger *ledger, uint16_t relay, const struct result_row *row)
{
    const struct ledger_target *target = &ledger->targets[row->target_no];
    enum target_state state = row->outcome.state;
    if (target->phase == LEDGER_LEASED && target->relay != relay && !settle_tells(&row->outcome)) {
        if (state != TARGET_CANCELLED && state != TARGET_UNKNOWN_EFFECT)
            ledger_spoke(ledger, relay, row->target_no);
        return true;
    }
    return state == TARGET_CANCELLED && row->attempt < target->attempt;
}

static void on_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                   const struct result_row *row)
{
    uint64_t *counts = turn->core->counts;
    const struct outcome *outcome = &row->outcome;
    bool progress = ledger->wait && outcome->state == TARGET_SCHEDULED;
    if (row->generation != ledger->generation) {
        counts[DISPATCH_COUNT_GENERATION]++;
        return;
    }
    if (!ledger_ever_leased(ledger, relay, turn->core->relays[relay].site, row->target_no)) {
        counts[DISPATCH_COUNT_NOT_LEASED]++;
        return;
    }
    const struct ledger_target *target = &ledger->targets[row->target_no];
    bool settled = target->unknown || target->phase == LEDGER_FINAL;
    /* Attempts of settled rows aren't kept over a restart. */
    if (!outcome_makes_sense(outcome) || (!settled && row->attempt > target->attempt)) {
        counts[DISPATCH_COUNT_NONSENSE]++;
        return;
    }
    bool held = target->phase == LEDGER_LEASED && target->relay == relay;
    if (target->phase == LEDGER_FINAL || (target->unknown && progress && !held)) {
        counts[DISPATCH_COUNT_DUPLICATE]++;
        return;
    }
    if (progress)
        on_progress(turn, ledger, relay, row);
    else if (target->unknown)
        settle_unknown_row(turn, ledger, relay, row);
    else if (superseded(ledger, relay, row))
        counts[DISPATCH_COUNT_SUPERSEDED]++;
    else if (outcome->state == TARGET_CANCELLED && ledger->state != PUSH_CANCELLING)
        on_dropped(turn, ledger, relay, row);
    else
        settle_row(turn, ledger, relay, row);
}

/* Ends what a threshold stops and closes what is complete; pushes may vanish meanwhile. */
static void close_pushes(struct dispatch_turn *turn)
{
    for (uint32_t i = turn->core->push_count; i > 0; i--) {
        settle_threshold(turn, turn->core->pushes[i - 1]);
        (void)settle_close(turn, turn->core->pushes[i - 1]);
    }
}

static void on_results(struct dispatch_turn *turn, uint16_t relay,
                       const struct message_results *results)
{
    struct dispatch *core = turn->core;
    if (relay_of_epoch(core, relay, results->epoch) == NULL)
        return;
    struct ledger *ledger = NULL;
    for (uint32_t i = 0; i < results->row_count; i++) {
        const struct result_row *row = &results->rows[i];
        if (ledger == NULL || !push_id_equal(&ledger->push, &row->push))
            ledger = push_by_id(core, &row->push);
        if (ledger == NULL)
            core->counts[DISPATCH_COUNT_UNKNOWN_PUSH]++;
        else
            on_row(turn, ledger, relay, row);
    }
    turn_to_relay(turn, DISPATCH_SEND_RESULTS_ACK, relay)->sequence = results->sequence;
    close_pushes(turn);
    lease_fill(turn, relay, false);
}

/* ---- time ---- */

static void on_tick(struct dispatch_turn *turn)
{
    struct dispatch *core = turn->core;
    uint64_t resend_before_ms =
        turn->now_ms > core->config.resend_ms ? turn->now_ms - core->config.resend_ms : 0;
    for (uint16_t i = 0; i < core->relay_count; i++) {
        const struct dispatch_relay *relay = &core->relays[i];
        if (!relay->live)
            continue;
        if (turn->now_ms - relay->heard_ms >= core->config.lease_ms) {
            relay_gone(turn, i);
        } else {
            lease_compare_awaited(turn, i);
            lease_repeat(turn, i, (uint32_t)(resend_before_ms / 1000));
        }
    }
    for (uint32_t i = core->push_count; i > 0; i--) {
        settle_due(turn, core->pushes[i - 1]);
        (void)settle_close(turn, core->pushes[i - 1]);
    }
}

static void arm_timer(struct dispatch_turn *turn)
{
    uint64_t wait_ms = turn->more ? 0 : turn->core->config.heartbeat_ms / 2;
    turn_add(turn, DISPATCH_ARM_TIMER)->at_ms = turn->now_ms + wait_ms;
}

void dispatch_step(struct dispatch *core, const struct dispatch_event *event,
                   struct dispatch_effects *out)
{
    struct dispatch_turn turn = {
        .core = core, .now_ms = event->now_ms, .now_unix_ms = event->now_unix_ms, .out = out};
    dispatch_effects_reset(out);
    switch (event->kind) {
    case DISPATCH_RELAY_KNOWN:
        on_relay_known(&turn, &event->relay_known);
        break;
    case DISPATCH_RELAY_STANDING:
        on_relay_standing(&turn, &event->relay_standing);
        break;
    case DISPATCH_RELAY_CAN:
        on_relay_can(&turn, event->push_key, &event->relay_can);
        break;
    case DISPATCH_PUSH_OPENED:
        on_push_opened(&turn, &event->push_opened);
        break;
    case DISPATCH_PUSH_STOPPED:
        on_push_stopped(&turn, event->push_key, event->push_stopped.cancel);
        break;
    case DISPATCH_PUSH_RESUMED:
        on_push_resumed(&turn, event);
        break;
    case DISPATCH_PUSH_ENDED:
        on_push_ended(&turn, &event->push_ended.push, event->push_ended.generation);
        break;
    case DISPATCH_HELLO:
        on_hello(&turn, event->relay, event->hello);
        break;
    case DISPATCH_HEARTBEAT:
        on_heartbeat(&turn, event->relay, event->heartbeat);
        break;
    case DISPATCH_RESULTS:
        on_results(&turn, event->relay, event->results);
        break;
    case DISPATCH_TICK:
        on_tick(&turn);
        break;
    }
    if (turn.more || event->kind == DISPATCH_TICK)
        arm_timer(&turn);
}

/* ---- views ---- */

uint64_t dispatch_counted(const struct dispatch *core, enum dispatch_count what)
{
    return core->counts[what];
}

struct dispatch_relay_view dispatch_relay_look(const struct dispatch *core, uint16_t relay)
{
    struct dispatch_relay_view view = {0};
    if (relay >= core->relay_count || !core->relays[relay].known)
        return view;
    const struct dispatch_relay *from = &core->relays[relay];
    view.known = true;
    view.standing = from->standing;
    view.live = from->live;
    view.heard = from->heard;
    view.heard_ms = from->heard_ms;
    view.epoch = from->epoch;
    view.credit = from->credit;
    view.leased = from->leased;
    memcpy(view.running, from->running, sizeof view.running);
    view.awaiting = from->awaiting;
    return view;
}

uint32_t dispatch_push_leased(const struct dispatch *core, uint64_t push_key)
{
    const struct ledger *ledger = push_by_key(core, push_key);
    return ledger != NULL ? ledger->leased_count : 0;
}

uint16_t dispatch_target_holder(const struct dispatch *core, uint64_t push_key, uint32_t target_no)
{
    const struct ledger *ledger = push_by_key(core, push_key);
    if (ledger == NULL || target_no >= ledger->target_count ||
        ledger->targets[target_no].phase != LEDGER_LEASED)
        return DISPATCH_RELAY_NONE;
    return ledger->targets[target_no].relay;
}
