/* The list of effects: three arrays that are reused from step to step. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/core/agent_state.h"

static void *room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 64;
    return mem_resize(items, *capacity, size);
}

void agent_effects_release(struct agent_effects *effects)
{
    free(effects->items);
    free(effects->refs);
    free(effects->outcomes);
    memset(effects, 0, sizeof *effects);
}

void effects_reset(struct agent_effects *effects)
{
    effects->count = effects->ref_count = effects->outcome_count = 0;
}

struct agent_effect *effect_add(struct agent *agent, enum agent_effect_kind kind)
{
    struct agent_effects *effects = agent->effects;
    effects->items =
        room(effects->items, effects->count, &effects->capacity, sizeof *effects->items);
    struct agent_effect *effect = &effects->items[effects->count++];
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

void effect_ref(struct agent *agent, const struct agent_ref *ref)
{
    struct agent_effects *effects = agent->effects;
    effects->refs =
        room(effects->refs, effects->ref_count, &effects->ref_capacity, sizeof *effects->refs);
    effects->refs[effects->ref_count++] = *ref;
}

uint32_t effect_outcome(struct agent *agent, const struct outcome *outcome)
{
    struct agent_effects *effects = agent->effects;
    effects->outcomes = room(effects->outcomes, effects->outcome_count, &effects->outcome_capacity,
                             sizeof *effects->outcomes);
    effects->outcomes[effects->outcome_count] = *outcome;
    return (uint32_t)effects->outcome_count++;
}
