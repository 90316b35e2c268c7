/* See flow.h. */
#include "tests/sim/flow.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { STORM = 1000000 }; /* so many on their way are a bug of somebody's */

void flow_init(struct flow *flow, bool classic)
{
    *flow = (struct flow){.classic = classic};
}

void item_free(struct item *item)
{
    if (item != NULL)
        free(item->bytes);
    free(item);
}

void flow_release(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->count; i++)
        item_free(flow->items[i]);
    free(flow->items);
    *flow = (struct flow){0};
}

static bool earlier(const struct item *a, const struct item *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void swap(struct flow *flow, uint32_t a, uint32_t b)
{
    struct item *item = flow->items[a];
    flow->items[a] = flow->items[b];
    flow->items[b] = item;
}

static void rise(struct flow *flow, uint32_t at)
{
    while (at > 0 && earlier(flow->items[at], flow->items[(at - 1) / 2])) {
        swap(flow, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sink(struct flow *flow)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < flow->count; child++)
            if (earlier(flow->items[child], flow->items[least]))
                least = child;
        if (least == at)
            return;
        swap(flow, at, least);
        at = least;
    }
}

struct item *flow_add(struct flow *flow, uint64_t at_ms)
{
    struct item *item = mem_new(1, sizeof *item);
    item->at_ms = at_ms;
    item->number = flow->next_number++;
    if (flow->count == flow->capacity) {
        flow->capacity = flow->capacity > 0 ? flow->capacity * 2 : 256;
        flow->items = mem_resize(flow->items, flow->capacity, sizeof(struct item *));
    }
    flow->items[flow->count++] = item;
    if (!flow->classic)
        rise(flow, flow->count - 1);
    return item;
}

static uint32_t first(const struct flow *flow)
{
    uint32_t which = 0;
    for (uint32_t i = 1; flow->classic && i < flow->count; i++)
        if (flow->items[i]->at_ms < flow->items[which]->at_ms)
            which = i;
    return which;
}

uint64_t flow_due_ms(const struct flow *flow)
{
    return flow->count > 0 ? flow->items[first(flow)]->at_ms : UINT64_MAX;
}

struct item *flow_take(struct flow *flow)
{
    uint32_t which = first(flow);
    struct item *item = flow->items[which];
    flow->items[which] = flow->items[--flow->count];
    if (!flow->classic)
        sink(flow);
    return item;
}

struct item *later(struct world *w, enum item_kind kind, uint16_t relay, uint64_t delay_ms)
{
    struct item *item = flow_add(&w->flow, w->now_ms + delay_ms);
    REQUIRE(w, w->flow.count < STORM, "network.storm", "%u things are on their way", w->flow.count);
    item->kind = kind;
    item->relay = relay;
    item->life = w->relays[relay].life;
    item->core_life = w->core_life;
    return item;
}
