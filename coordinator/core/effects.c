/* The list of effects one step returns. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/core/dispatch_state.h"

void dispatch_effects_init(struct dispatch_effects *effects)
{
    *effects = (struct dispatch_effects){0};
}

void dispatch_effects_reset(struct dispatch_effects *effects)
{
    effects->count = 0;
    effects->lease_count = 0;
    for (size_t i = 0; i < effects->made_count; i++)
        free(effects->made[i]);
    effects->made_count = 0;
}

/* Each in memory of its own, since effects point to it while the list grows. */
struct outcome *turn_outcome(struct dispatch_turn *turn)
{
    struct dispatch_effects *out = turn->out;
    out->made = mem_resize(out->made, out->made_count + 1, sizeof *out->made);
    out->made[out->made_count] = mem_new(1, sizeof **out->made);
    return out->made[out->made_count++];
}

void dispatch_effects_release(struct dispatch_effects *effects)
{
    free(effects->items);
    free(effects->leases);
    dispatch_effects_reset(effects);
    free(effects->made);
    *effects = (struct dispatch_effects){0};
}

struct dispatch_effect *turn_add(struct dispatch_turn *turn, enum dispatch_effect_kind kind)
{
    struct dispatch_effects *out = turn->out;
    if (out->count == out->capacity) {
        out->capacity = out->capacity == 0 ? 64 : 2 * out->capacity;
        out->items = mem_resize(out->items, out->capacity, sizeof *out->items);
    }
    struct dispatch_effect *effect = &out->items[out->count++];
    *effect = (struct dispatch_effect){.kind = kind, .relay = DISPATCH_RELAY_NONE};
    return effect;
}

struct dispatch_effect *turn_to_relay(struct dispatch_turn *turn, enum dispatch_effect_kind kind,
                                      uint16_t relay)
{
    struct dispatch_effect *effect = turn_add(turn, kind);
    effect->relay = relay;
    effect->epoch = turn->core->relays[relay].epoch;
    return effect;
}

struct dispatch_effect *turn_of_push(struct dispatch_turn *turn, enum dispatch_effect_kind kind,
                                     const struct ledger *ledger)
{
    struct dispatch_effect *effect = turn_add(turn, kind);
    effect->push_key = ledger->key;
    effect->push = ledger->push;
    effect->generation = ledger->generation;
    return effect;
}

void turn_add_lease(struct dispatch_turn *turn, uint32_t target_no, uint32_t attempt)
{
    struct dispatch_effects *out = turn->out;
    if (out->lease_count == out->lease_capacity) {
        out->lease_capacity = out->lease_capacity == 0 ? 256 : 2 * out->lease_capacity;
        out->leases = mem_resize(out->leases, out->lease_capacity, sizeof *out->leases);
    }
    assert(out->count > 0 && out->items[out->count - 1].kind == DISPATCH_SEND_LEASE);
    struct dispatch_effect *effect = &out->items[out->count - 1];
    if (effect->lease_count == 0)
        effect->lease_first = out->lease_count;
    out->leases[out->lease_count++] =
        (struct dispatch_lease){.target_no = target_no, .attempt = attempt};
    effect->lease_count++;
}

static int by_number(const void *a, const void *b)
{
    const struct dispatch_lease *left = a;
    const struct dispatch_lease *right = b;
    return (left->target_no > right->target_no) - (left->target_no < right->target_no);
}

void turn_sort_leases(struct dispatch_turn *turn)
{
    struct dispatch_effects *out = turn->out;
    const struct dispatch_effect *effect = &out->items[out->count - 1];
    qsort(out->leases + effect->lease_first, effect->lease_count, sizeof *out->leases, by_number);
}
