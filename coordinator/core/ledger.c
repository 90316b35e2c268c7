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
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (uint16_t relay = 0; relay < ledger->share_count; relay++) {
        if (ledger->shares[relay] != NULL)
            bitset_release(&ledger->shares[relay]->ever);
        free(ledger->shares[relay]);
    }
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
    bitset_init(&share->ever, ledger->target_count);
    return share;
}

struct ledger_queue *ledger_queue_of(const struct ledger *ledger, uint16_t site)
{
    return site < ledger->site_count ? &ledger->queues[site] : NULL;
}

bool ledger_ever_leased(const struct ledger *ledger, uint16_t relay, uint16_t relay_site,
                        uint32_t no)
{
    const struct ledger_share *share = ledger_share_find(ledger, relay);
    if (share == NULL || no >= ledger->target_count)
        return false;
    /* What was leased before a restart is known by number only, so the site must fit as well. */
    return bitset_has(&share->ever, no) ||
           (no < share->recovered_mark && ledger->targets[no].site == relay_site);
}

/* The list a target is in; NULL when it is settled. */
static struct ledger_list *list_of(struct ledger *ledger, uint32_t no)
{
    const struct ledger_target *target = &ledger->targets[no];
    switch ((enum ledger_phase)target->phase) {
    case LEDGER_FRESH:
        return &ledger->queues[target->site].fresh;
    case LEDGER_RETURNED:
        return &ledger->queues[target->site].returned;
    case LEDGER_LEASED:
        return &ledger->shares[target->relay]->leased;
    case LEDGER_UNKNOWN:
    case LEDGER_FINAL:
        break;
    }
    return NULL;
}

static void take_out(struct ledger *ledger, uint32_t no)
{
    struct ledger_list *list = list_of(ledger, no);
    if (list == NULL)
        return;
    list_remove(ledger, list, no);
    struct ledger_target *target = &ledger->targets[no];
    if (target->phase != LEDGER_LEASED)
        return;
    ledger->leased_count--;
    ledger->shares[target->relay]->awaited_count -= target->awaited;
    target->awaited = false;
}

bool ledger_over_threshold(const struct ledger *ledger)
{
    return ledger->fail_stop_count > 0 && ledger->failed_count >= ledger->fail_stop_count;
}

void ledger_lease(struct ledger *ledger, uint32_t no, uint16_t relay, uint32_t now_s)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_FRESH || target->phase == LEDGER_RETURNED);
    struct ledger_share *share = ledger_share(ledger, relay);
    take_out(ledger, no);
    target->phase = LEDGER_LEASED;
    target->relay = relay;
    target->attempt++;
    target->awaited = false;
    target->leased_at = now_s;
    list_append(ledger, &share->leased, no);
    bitset_add(&share->ever, no);
    ledger->leased_count++;
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

void ledger_return(struct ledger *ledger, uint32_t no)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase == LEDGER_FRESH || target->phase == LEDGER_LEASED);
    take_out(ledger, no);
    target->phase = LEDGER_RETURNED;
    list_append(ledger, &ledger->queues[target->site].returned, no);
}

void ledger_settle(struct ledger *ledger, uint32_t no, bool unknown)
{
    struct ledger_target *target = &ledger->targets[no];
    assert(target->phase != LEDGER_FINAL);
    if (target->phase == LEDGER_UNKNOWN)
        ledger->unknown_count--;
    else
        ledger->settled_count++;
    take_out(ledger, no);
    target->phase = unknown ? LEDGER_UNKNOWN : LEDGER_FINAL;
    if (unknown)
        ledger->unknown_count++;
}
