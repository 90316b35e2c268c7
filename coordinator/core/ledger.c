/* Lists over dense arrays: every target is in one of them. */
#include "coordinator/core/ledger.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

static void list_init(struct ledger_list *list)
{
    *list = (struct ledger_list){.head = LEDGER_NONE, .tail = LEDGER_NONE};
}

static void list_append(struct ledger *ledger, struct ledger_list *list, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    target->next = LEDGER_NONE;
    target->previous = list->tail;
    if (list->tail == LEDGER_NONE)
        list->head = no;
    else
        ledger->targets[list->tail].next = no;
    list->tail = no;
    list->count++;
}

static void list_remove(struct ledger *ledger, struct ledger_list *list, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(list->count > 0);
    if (target->previous == LEDGER_NONE)
        list->head = target->next;
    else
        ledger->targets[target->previous].next = target->next;
    if (target->next == LEDGER_NONE)
        list->tail = target->previous;
    else
        ledger->targets[target->next].previous = target->previous;
    target->next = target->previous = LEDGER_NONE;
    list->count--;
}

struct ledger *ledger_new(uint64_t key, const struct push_id *push, uint32_t target_count,
                          const uint16_t *sites)
{
    struct ledger *ledger = mem_new(1, sizeof *ledger);
    ledger->key = key;
    ledger->push = *push;
    ledger->target_count = target_count;
    ledger->job_version = 1;
    past_init(&ledger->past);
    list_init(&ledger->doubted);
    ledger->targets = mem_new(target_count + 1U, sizeof *ledger->targets);
    for (uint32_t no = 0; no < target_count; no++) {
        uint16_t site = sites != NULL ? sites[no] : 0;
        if (site >= ledger->site_count)
            ledger->site_count = (uint16_t)(site + 1);
        ledger->targets[no] = (struct ledger_target){.relay = LEDGER_RELAY_NONE, .site = site};
    }
    ledger->queues = mem_new(ledger->site_count + 1U, sizeof *ledger->queues);
    for (uint16_t site = 0; site < ledger->site_count; site++) {
        list_init(&ledger->queues[site].fresh);
        list_init(&ledger->queues[site].returned);
    }
    for (uint32_t no = 0; no < target_count; no++)
        list_append(ledger, &ledger->queues[ledger->targets[no].site].fresh, no);
    ledger->fresh_count = target_count;
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (uint16_t relay = 0; relay < ledger->share_count; relay++)
        free(ledger->shares[relay]);
    past_release(&ledger->past);
    free(ledger->shares);
    free(ledger->queues);
    free(ledger->targets);
    free(ledger);
}

struct ledger_share *ledger_share_find(const struct ledger *ledger, uint16_t relay)
{
    return relay < ledger->share_count ? ledger->shares[relay] : NULL;
}

struct ledger_share *ledger_share(struct ledger *ledger, uint16_t relay)
{
    struct ledger_share *share = ledger_share_find(ledger, relay);
    if (share != NULL)
        return share;
    if (relay >= ledger->share_count) {
        uint16_t count = (uint16_t)(relay + 1);
        ledger->shares = mem_resize(ledger->shares, count, sizeof *ledger->shares);
        for (uint16_t i = ledger->share_count; i < count; i++)
            ledger->shares[i] = NULL;
        ledger->share_count = count;
    }
    share = ledger->shares[relay] = mem_new(1, sizeof *share);
    list_init(&share->leased);
    list_init(&share->wanted);
    share->barred = ledger->picked;
    return share;
}

struct ledger_queue *ledger_queue_of(const struct ledger *ledger, uint16_t site)
{
    return site < ledger->site_count ? &ledger->queues[site] : NULL;
}

/* ---- what relays may know ---- */

/* What was leased before a restart is known by number only, so the site must fit as well. */
static bool had_before(const struct ledger *ledger, uint16_t relay, uint16_t relay_site,
                       uint32_t no)
{
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    return share != NULL && no < share->recovered_mark && ledger->targets[no].site == relay_site;
}

bool ledger_ever_leased(const struct ledger *ledger, uint16_t relay, uint16_t relay_site,
                        uint32_t no)
{
    if (no >= ledger->target_count)
        return false;
    return ledger->targets[no].relay == relay || past_find(&ledger->past, no, relay) != NULL ||
           had_before(ledger, relay, relay_site, no);
}

bool ledger_owes(const struct ledger *ledger, uint16_t relay, uint16_t relay_site, uint32_t no)
{
    const struct ledger_target *target = &ledger->targets[no];
    if (target->relay == relay)
        return target->owed;
    const struct past_entry *entry = past_find(&ledger->past, no, relay);
    if (entry != NULL)
        return entry->owed;
    return target->recovered && had_before(ledger, relay, relay_site, no);
}

static void note_word(struct ledger *ledger, uint16_t relay, uint32_t no, bool owed)
{
    struct ledger_target *target = &ledger->targets[no];
    if (target->relay == relay)
        target->owed = owed;
    else if (target->recovered || past_find(&ledger->past, no, relay) != NULL)
        past_note(&ledger->past, no, relay, owed);
}

void ledger_spoke(struct ledger *ledger, uint16_t relay, uint32_t no)
{
    note_word(ledger, relay, no, false);
}

void ledger_owe(struct ledger *ledger, uint16_t relay, uint32_t no)
{
    note_word(ledger, relay, no, true);
}

/* The target goes to another relay; what the one before may know is kept. */
static void hand_over(struct ledger *ledger, uint32_t no, uint16_t relay, uint16_t relay_site)
{
    struct ledger_target *target = &ledger->targets[no];
    if (target->relay == relay)
        return;
    bool owes = ledger_owes(ledger, relay, relay_site, no);
    if (target->relay != LEDGER_RELAY_NONE)
        past_note(&ledger->past, no, target->relay, target->owed);
    if (past_find(&ledger->past, no, relay) != NULL)
        past_note(&ledger->past, no, relay, false); /* `owed` says it from here on */
    target->relay = relay;
    target->owed = owes;
}

/* ---- who is at work ---- */

static uint32_t site_work(const struct ledger_queue *queue)
{
    return queue->fresh.count > 0 ? queue->live : queue->holders;
}

void ledger_live(struct ledger *ledger, uint16_t site, bool live)
{
    struct ledger_queue *queue = ledger_queue_of(ledger, site);
    if (queue == NULL)
        return;
    ledger->at_work -= site_work(queue);
    queue->live += live ? 1U : UINT32_MAX;
    ledger->at_work += site_work(queue);
}

static void fresh_remove(struct ledger *ledger, uint32_t no)
{
    struct ledger_queue *queue = &ledger->queues[ledger->targets[no].site];
    ledger->at_work -= site_work(queue);
    list_remove(ledger, &queue->fresh, no);
    ledger->fresh_count--;
    ledger->at_work += site_work(queue);
}

/* After its list of leased targets has changed from or to none. */
static void holder_change(struct ledger *ledger, uint16_t site, bool holds)
{
    struct ledger_queue *queue = &ledger->queues[site];
    ledger->at_work -= site_work(queue);
    queue->holders += holds ? 1U : UINT32_MAX;
    ledger->at_work += site_work(queue);
}

/* ---- moves ---- */

static void leased_add(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    struct ledger_list *list = &ledger->shares[target->relay]->leased;
    list_append(ledger, list, no);
    ledger->leased_count++;
    if (list->count == 1)
        holder_change(ledger, target->site, true);
}

static void leased_remove(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    struct ledger_share *share = ledger->shares[target->relay];
    list_remove(ledger, &share->leased, no);
    ledger->leased_count--;
    share->awaited_count -= target->awaited;
    target->awaited = false;
    if (share->leased.count == 0)
        holder_change(ledger, target->site, false);
}

/* Out of the list that it is in; in none when it is settled, unless it is doubted. */
static void take_out(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    switch ((enum ledger_phase)target->phase) {
    case LEDGER_FRESH:
        fresh_remove(ledger, no);
        break;
    case LEDGER_RETURNED:
        list_remove(ledger, &ledger->queues[target->site].returned, no);
        break;
    case LEDGER_WANTED:
        list_remove(ledger, &ledger->shares[target->relay]->wanted, no);
        ledger->asked_count--;
        break;
    case LEDGER_LEASED:
        leased_remove(ledger, no);
        ledger->asked_count -= target->unknown;
        break;
    case LEDGER_UNKNOWN:
        if (target->doubted)
            list_remove(ledger, &ledger->doubted, no);
        break;
    case LEDGER_FINAL:
        break;
    }
}

bool ledger_over_threshold(const struct ledger *ledger)
{
    return ledger->fail_stop_count > 0 && ledger->failed_count >= ledger->fail_stop_count;
}

void ledger_lease(struct ledger *ledger, uint32_t no, uint16_t relay, uint16_t relay_site,
                  uint32_t now_s)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_FRESH || target->phase == LEDGER_RETURNED ||
           target->phase == LEDGER_WANTED);
    (void)ledger_share(ledger, relay);
    take_out(ledger, no);
    hand_over(ledger, no, relay, relay_site);
    target->phase = LEDGER_LEASED;
    target->attempt++;
    target->awaited = false;
    target->leased_at = now_s;
    ledger->asked_count += target->unknown;
    leased_add(ledger, no);
}

void ledger_await(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_LEASED);
    ledger->shares[target->relay]->awaited_count += !target->awaited;
    target->awaited = true;
}

void ledger_lease_again(struct ledger *ledger, uint32_t no, uint32_t now_s)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_LEASED);
    struct ledger_list *list = &ledger->shares[target->relay]->leased;
    list_remove(ledger, list, no);
    target->leased_at = now_s;
    list_append(ledger, list, no);
}

/* A target whose row is unknown_effect, back from a relay. */
static void rest(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    target->phase = LEDGER_UNKNOWN;
    if (target->doubted)
        list_append(ledger, &ledger->doubted, no);
}

void ledger_return(struct ledger *ledger, uint32_t no, bool lost)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_FRESH || target->phase == LEDGER_WANTED ||
           target->phase == LEDGER_LEASED);
    take_out(ledger, no);
    target->owed = target->owed || lost;
    if (target->unknown) {
        rest(ledger, no);
        return;
    }
    target->phase = LEDGER_RETURNED;
    list_append(ledger, &ledger->queues[target->site].returned, no);
}

void ledger_suspect(struct ledger *ledger, uint32_t no, uint32_t attempt)
{
    struct ledger_target *target = &ledger->targets[no];
    if (target->phase == LEDGER_FINAL)
        return;
    target->recovered = true;
    if (target->attempt < attempt)
        target->attempt = attempt;
    if (target->phase == LEDGER_FRESH)
        ledger_return(ledger, no, false);
}

void ledger_settle(struct ledger *ledger, uint32_t no, bool unknown)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase != LEDGER_FINAL);
    take_out(ledger, no);
    if (target->unknown)
        ledger->unknown_count--;
    else
        ledger->settled_count++;
    target->phase = unknown ? LEDGER_UNKNOWN : LEDGER_FINAL;
    target->unknown = unknown;
    target->doubted = false;
    if (unknown)
        ledger->unknown_count++;
}

void ledger_doubt(struct ledger *ledger, uint32_t no, bool doubted)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_UNKNOWN);
    if (target->doubted)
        list_remove(ledger, &ledger->doubted, no);
    target->doubted = doubted;
    if (doubted)
        list_append(ledger, &ledger->doubted, no);
}

void ledger_want(struct ledger *ledger, uint32_t no, uint16_t relay, uint16_t relay_site)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_UNKNOWN && target->doubted);
    take_out(ledger, no);
    hand_over(ledger, no, relay, relay_site);
    target->phase = LEDGER_WANTED;
    list_append(ledger, &ledger_share(ledger, relay)->wanted, no);
    ledger->asked_count++;
}
