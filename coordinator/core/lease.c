/* Giving leases out within credit, fairly over the open pushes, and taking them back. */
#include "coordinator/core/dispatch_state.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool past_deadline(const struct dispatch_turn *turn, const struct ledger *ledger)
{
    return ledger->not_after_unix_s > 0 &&
           turn->now_unix_ms / 1000 >= (uint64_t)ledger->not_after_unix_s;
}

/* The live relays of a site share what was never leased: each holds at most as much as would be
 * left for each of the others. So the shares shrink with what is left, and who is slow gets less.
 * A quarter of it must be free, or every result would be followed by a LEASE of one target. */
static uint32_t fair_room(const struct ledger *ledger, uint16_t relay,
                          const struct ledger_queue *queue)
{
    uint32_t fresh = queue->fresh.count;
    if (queue->live < 2)
        return fresh;
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    uint32_t held = share != NULL ? share->leased.count - share->awaited_count : 0;
    uint32_t part = fresh / queue->live;
    if (part < DISPATCH_PART_MIN)
        part = DISPATCH_PART_MIN;
    if (held >= part || part - held < part / 4)
        return 0;
    return smaller(fresh, part - held);
}

/* How many that were never leased the relay may be given. With a failure threshold not all at once:
 * what is in flight when it is reached goes on to its end. */
static uint32_t fresh_room(const struct dispatch_turn *turn, const struct ledger *ledger,
                           uint16_t relay, const struct ledger_queue *queue)
{
    if (past_deadline(turn, ledger) || ledger_over_threshold(ledger))
        return 0;
    if (ledger->fail_stop_count == 0)
        return fair_room(ledger, relay, queue);
    uint32_t slice = ledger->fail_stop_count - ledger->failed_count;
    if (slice < DISPATCH_SLICE_MIN)
        slice = DISPATCH_SLICE_MIN;
    uint32_t part = slice / (ledger->at_work > 0 ? ledger->at_work : 1);
    uint32_t held = queue->returned.count;
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    if (share != NULL)
        held += share->leased.count - (ledger->starts_later ? share->awaited_count : 0);
    if (part == 0)
        part = 1; /* a site is never left out */
    return held < part ? smaller(queue->fresh.count, part - held) : 0;
}

static bool may_work(const struct ledger *ledger, const struct ledger_share *share)
{
    return share != NULL ? !share->barred : !ledger->picked;
}

/* It has just given back what it was leased although the push goes on. */
static bool declines(const struct dispatch_turn *turn, const struct ledger_share *share)
{
    return share != NULL && turn->now_ms < share->declined_until_ms;
}

/* Under STOP a relay answers a lease with what it knows and starts nothing. */
static bool asks_only(const struct ledger *ledger)
{
    return ledger->state == PUSH_CANCELLING || ledger->state == PUSH_CLOSED;
}

/* How many targets of the push the relay could be given now. A cancelled push still gives out what
 * came back, a closed one what is doubted. */
static uint32_t available(const struct dispatch_turn *turn, const struct ledger *ledger,
                          uint16_t relay)
{
    const struct dispatch_relay *to = &turn->core->relays[relay];
    const struct ledger_queue *queue = ledger_queue_of(ledger, to->site);
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    if (queue == NULL || !may_work(ledger, share))
        return 0;
    uint32_t wanted = share != NULL ? share->wanted.count : 0;
    bool drains =
        to->standing == RELAY_DRAINING || (ledger->state == PUSH_OPEN && declines(turn, share));
    switch (ledger->state) {
    case PUSH_OPEN:
        return drains ? wanted
                      : wanted + queue->returned.count + fresh_room(turn, ledger, relay, queue);
    case PUSH_CANCELLING:
        return drains ? wanted : wanted + queue->returned.count;
    case PUSH_CLOSED:
        return wanted;
    case PUSH_STOPPED:
    case PUSH_ROUTING:
    case PUSH_STATE_COUNT:
        break;
    }
    return 0;
}

static void send_job(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay)
{
    struct ledger_share *share = ledger_share(ledger, relay);
    struct dispatch_effect *job = turn_of_push(turn, DISPATCH_SEND_JOB, ledger);
    job->relay = relay;
    job->epoch = turn->core->relays[relay].epoch;
    share->job_epoch = job->epoch;
    share->job_version = ledger->job_version;
    share->stop_sent = false;
}

void lease_stop(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay)
{
    struct ledger_share *share = ledger_share_find(ledger, relay);
    const struct dispatch_relay *to = &turn->core->relays[relay];
    if (share == NULL || !to->live || share->job_epoch != to->epoch || share->stop_sent)
        return;
    struct dispatch_effect *stop = turn_of_push(turn, DISPATCH_SEND_STOP, ledger);
    stop->relay = relay;
    stop->epoch = to->epoch;
    stop->counter = ledger->counter;
    share->stop_sent = true;
}

/* What must reach the relay before a LEASE of this push. */
static void send_before_lease(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay)
{
    const struct ledger_share *share = ledger_share(ledger, relay);
    if (share->job_epoch != turn->core->relays[relay].epoch ||
        share->job_version != ledger->job_version)
        send_job(turn, ledger, relay);
    if (asks_only(ledger))
        lease_stop(turn, ledger, relay);
}

static void send_lease(struct dispatch_turn *turn, const struct ledger *ledger, uint16_t relay,
                       const uint32_t *numbers, uint32_t count)
{
    struct dispatch_effect *lease = turn_of_push(turn, DISPATCH_SEND_LEASE, ledger);
    lease->relay = relay;
    lease->epoch = turn->core->relays[relay].epoch;
    if (asks_only(ledger)) /* its STOP may be lost */
        lease->counter = ledger->counter;
    for (uint32_t i = 0; i < count; i++)
        turn_add_lease(turn, numbers[i], ledger->targets[numbers[i]].attempt);
    turn_sort_leases(turn);
}

/* Leases up to `count` targets of one push in one message. Returns how many. */
static uint32_t give(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                     uint32_t count)
{
    struct dispatch_relay *to = &turn->core->relays[relay];
    struct ledger_queue *queue = ledger_queue_of(ledger, to->site);
    struct ledger_share *share = ledger_share(ledger, relay);
    uint32_t numbers[LIMIT_ROWS_PER_MESSAGE];
    uint32_t mark = share->mark;
    uint32_t attempt_max = share->attempt_max;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t no = share->wanted.count > 0     ? share->wanted.head
                      : queue->returned.count > 0 ? queue->returned.head
                                                  : queue->fresh.head;
        ledger_lease(ledger, no, relay, to->site, (uint32_t)(turn->now_ms / 1000));
        numbers[i] = no;
        if (no >= mark)
            mark = no + 1;
        if (ledger->targets[no].attempt > attempt_max)
            attempt_max = ledger->targets[no].attempt;
    }
    to->leased += count;
    if (mark != share->mark || attempt_max != share->attempt_max) {
        share->mark = mark;
        share->attempt_max = attempt_max;
        turn_of_push(turn, DISPATCH_PERSIST_LEASE, ledger)->history =
            (struct dispatch_history){.relay = relay, .mark = mark, .attempt_max = attempt_max};
    }
    send_before_lease(turn, ledger, relay);
    send_lease(turn, ledger, relay, numbers, count);
    return count;
}

/* Enough free credit to be worth a message: an eighth of it, at most a full one. */
static uint32_t worth(const struct dispatch_relay *relay)
{
    uint32_t part = relay->credit / 8;
    if (part == 0)
        return 1;
    return smaller(part, LIMIT_ROWS_PER_MESSAGE);
}

void lease_fill(struct dispatch_turn *turn, uint16_t relay_no, bool top_up)
{
    struct dispatch *core = turn->core;
    struct dispatch_relay *relay = &core->relays[relay_no];
    if (!relay->live || relay->leased >= relay->credit)
        return;
    if (!top_up && relay->leased > 0 && relay->credit - relay->leased < worth(relay))
        return;

    uint32_t ready;
    do {
        ready = 0;
        for (uint32_t i = 0; i < core->push_count; i++)
            ready += available(turn, core->pushes[i], relay_no) > 0;
        uint32_t room = relay->credit - relay->leased;
        uint32_t quantum = ready > 0 ? smaller(room / ready, LIMIT_ROWS_PER_MESSAGE) : 0;
        if (quantum == 0)
            quantum = 1;
        for (uint32_t i = 0; i < core->push_count && relay->leased < relay->credit; i++) {
            struct ledger *ledger = core->pushes[(relay->turn + i) % core->push_count];
            uint32_t count = smaller(available(turn, ledger, relay_no), quantum);
            count = smaller(count, relay->credit - relay->leased);
            if (count > 0)
                (void)give(turn, ledger, relay_no, count);
        }
        relay->turn++;
    } while (ready > 0 && relay->leased < relay->credit);
}

void lease_fill_all(struct dispatch_turn *turn)
{
    for (uint16_t relay = 0; relay < turn->core->relay_count; relay++)
        lease_fill(turn, relay, true);
}

/* A STOP may be lost: it is repeated while the relay still holds targets of that push. */
void lease_repeat_stops(struct dispatch_turn *turn, uint16_t relay)
{
    for (uint32_t i = 0; i < turn->core->push_count; i++) {
        struct ledger *ledger = turn->core->pushes[i];
        struct ledger_share *share = ledger_share_find(ledger, relay);
        if (share == NULL || share->leased.count == 0)
            continue;
        if (ledger->state == PUSH_STOPPED || asks_only(ledger)) {
            share->stop_sent = false;
            lease_stop(turn, ledger, relay);
        }
    }
}

/* One push: what was leased before `before_s`, in full messages. */
static void repeat_push(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                        uint32_t before_s)
{
    struct ledger_share *share = ledger_share_find(ledger, relay);
    if (share == NULL || share->leased.count == 0)
        return;
    if (ledger->state == PUSH_STOPPED)
        return; /* STOP is repeated with every heartbeat */
    uint32_t left = share->leased.count;
    uint32_t numbers[LIMIT_ROWS_PER_MESSAGE];
    bool job_sent = false;
    while (left > 0 && ledger->targets[share->leased.head].leased_at < before_s) {
        uint32_t count = 0;
        while (left > 0 && count < LIMIT_ROWS_PER_MESSAGE &&
               ledger->targets[share->leased.head].leased_at < before_s) {
            uint32_t no = share->leased.head;
            ledger_lease_again(ledger, no, (uint32_t)(turn->now_ms / 1000));
            left--;
            /* That a relay waits for it, it has said. */
            if (!ledger->targets[no].awaited || before_s == UINT32_MAX ||
                turn->core->relays[relay].forgetful)
                numbers[count++] = no;
        }
        if (count == 0)
            break;
        if (!job_sent) {
            send_job(turn, ledger, relay); /* it may be the JOB that was lost */
            job_sent = true;
        }
        send_before_lease(turn, ledger, relay);
        send_lease(turn, ledger, relay, numbers, count);
        turn->core->counts[DISPATCH_COUNT_LEASES_AGAIN] += count;
    }
}

void lease_compare_awaited(struct dispatch_turn *turn, uint16_t relay)
{
    uint32_t said = 0;
    for (uint32_t i = 0; i < turn->core->push_count; i++) {
        const struct ledger *ledger = turn->core->pushes[i];
        const struct ledger_share *share = ledger_share_find(ledger, relay);
        if (share == NULL || !ledger->wait)
            continue;
        for (uint32_t no = share->leased.head; no != LEDGER_NONE; no = ledger->targets[no].next)
            said += ledger->targets[no].awaited;
    }
    turn->core->relays[relay].forgetful = turn->core->relays[relay].awaiting < said;
}

void lease_repeat(struct dispatch_turn *turn, uint16_t relay, uint32_t before_s)
{
    for (uint32_t i = 0; i < turn->core->push_count; i++)
        repeat_push(turn, turn->core->pushes[i], relay, before_s);
}

void lease_forget_held(struct dispatch *core, const struct ledger *ledger, uint32_t no)
{
    const struct ledger_target *target = &ledger->targets[no];
    if (target->phase == LEDGER_LEASED)
        core->relays[target->relay].leased--;
}

static void revoke_share(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay)
{
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    while (share != NULL && share->leased.count > 0) {
        uint32_t no = share->leased.head;
        lease_forget_held(turn->core, ledger, no);
        ledger_return(ledger, no, true);
        turn->core->counts[DISPATCH_COUNT_LEASES_LOST]++;
    }
    while (share != NULL && share->wanted.count > 0)
        ledger_return(ledger, share->wanted.head, true);
}

void lease_revoke(struct dispatch_turn *turn, uint16_t relay)
{
    for (uint32_t i = 0; i < turn->core->push_count; i++)
        revoke_share(turn, turn->core->pushes[i], relay);
}

void lease_revoke_push(struct dispatch_turn *turn, struct ledger *ledger)
{
    for (uint16_t relay = 0; relay < ledger->share_count; relay++)
        revoke_share(turn, ledger, relay);
}

void lease_revoke_site(struct dispatch_turn *turn, struct ledger *ledger, uint16_t site)
{
    const struct dispatch *core = turn->core;
    for (uint16_t relay = 0; relay < ledger->share_count && relay < core->relay_count; relay++)
        if (core->relays[relay].site == site)
            revoke_share(turn, ledger, relay);
}

/* ---- doubt ---- */

void lease_ask_of(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no)
{
    struct dispatch *core = turn->core;
    uint16_t site = ledger->targets[no].site;
    for (uint16_t relay = relay_first_of_site(core, site); relay != DISPATCH_RELAY_NONE;
         relay = core->relays[relay].next_of_site) {
        if (!core->relays[relay].live || !may_work(ledger, ledger_share_find(ledger, relay)) ||
            !ledger_owes(ledger, relay, site, no))
            continue;
        ledger_want(ledger, no, relay, site);
        return;
    }
}

void lease_ask_push(struct dispatch_turn *turn, struct ledger *ledger)
{
    uint32_t next;
    for (uint32_t no = ledger->doubted.head; no != LEDGER_NONE; no = next) {
        next = ledger->targets[no].next;
        lease_ask_of(turn, ledger, no);
    }
}

void lease_ask(struct dispatch_turn *turn, uint16_t relay)
{
    uint16_t site = turn->core->relays[relay].site;
    for (uint32_t i = 0; i < turn->core->push_count; i++) {
        struct ledger *ledger = turn->core->pushes[i];
        if (!may_work(ledger, ledger_share_find(ledger, relay)))
            continue;
        uint32_t next;
        for (uint32_t no = ledger->doubted.head; no != LEDGER_NONE; no = next) {
            next = ledger->targets[no].next;
            if (ledger_owes(ledger, relay, site, no))
                ledger_want(ledger, no, relay, site);
        }
    }
}
