/* See world.h: a world begins, turns and ends. */
#include "tests/sim/world.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/fault.h"
#include "tests/sim/flow.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/operator.h"
#include "tests/sim/relay.h"
#include "tests/sim/story.h"
#include "tests/sim/trace.h"

#define MORE_MS UINT64_C(60000)

uint32_t below(struct world *w, uint32_t bound)
{
    if (bound == 0)
        return 0;
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)((w->random >> 20) % bound);
}

bool chance(struct world *w, uint32_t percent)
{
    return percent > 0 && below(w, 100) < percent;
}

bool one_in(struct world *w, uint32_t count)
{
    return count > 0 && below(w, count) == 0;
}

uint64_t world_boot_ms(const struct world *w)
{
    return w->now_ms;
}

uint64_t world_unix_ms(const struct world *w, uint16_t process)
{
    const struct plight *plight =
        process == COORDINATOR ? &w->core_plight : &w->relays[process].plight;
    return (uint64_t)((int64_t)(UNIX_START_MS + w->now_ms) + plight->clock_ms);
}

uint64_t wait_until_ms(const struct world *w)
{
    return w->options.not_after_ms + WAIT_MORE_MS;
}

bool row_ended(const struct world *w, enum target_state row)
{
    return target_state_terminal(row) && !(w->options.wait && row == TARGET_SCHEDULED);
}

struct push_id id_of(int slot)
{
    struct push_id id = {{(uint8_t)(slot % PUSHES + 1)}};
    return id;
}

uint32_t generation_of(int slot)
{
    return (uint32_t)(slot / PUSHES + 1);
}

int slot_of(const struct push_id *id, uint32_t generation)
{
    return id->bytes[0] - 1 + (int)(generation - 1) * PUSHES;
}

uint64_t key_of(int slot)
{
    return (uint64_t)(slot % PUSHES) + 1;
}

bool is_newest(const struct world *w, int slot)
{
    return w->store.generation[slot % PUSHES] == generation_of(slot);
}

uint16_t process_count(const struct world *w)
{
    return (uint16_t)(w->options.relay_count + w->clone_runs);
}

uint16_t relay_of(const struct world *w, uint16_t process)
{
    return process < w->options.relay_count ? process : w->clone_of;
}

uint16_t site_of_relay(const struct world *w, uint16_t process)
{
    return relay_of(w, process) % w->options.site_count;
}

uint32_t credit_of(const struct world *w, uint16_t process)
{
    return w->options.credit + relay_of(w, process) * w->options.credit_step;
}

bool has_twin(const struct world *w, uint16_t relay)
{
    for (uint16_t other = 0; other < w->options.relay_count; other++)
        if (other != relay && other != w->lost_relay && other != w->clone_of &&
            site_of_relay(w, other) == site_of_relay(w, relay) &&
            w->store.standing[other] == RELAY_ACTIVE)
            return true;
    return false;
}

static void draw_cut(struct world *w, uint16_t relay)
{
    const struct options *o = &w->options;
    w->cut_from_ms[relay] = chance(w, o->cut_percent) ? below(w, (uint32_t)o->chaos_ms) : NEVER_MS;
    w->cut_until_ms[relay] = w->cut_from_ms[relay] + below(w, o->cut_ms);
    if (w->cut_until_ms[relay] > o->chaos_ms && !o->classic)
        w->cut_until_ms[relay] = o->chaos_ms;
    bool one_way = chance(w, o->one_way_percent);
    bool up = one_way && chance(w, 50);
    w->cut_up[relay] = !one_way || up;
    w->cut_down[relay] = !one_way || !up;
}

struct world *world_new(const struct options *options, uint64_t seed, FILE *file)
{
    struct world *w = mem_new(1, sizeof *w);
    w->options = *options;
    w->seed = seed;
    w->trace = file;
    w->listened = file != NULL;
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->lost_relay = w->clone_of = options->relay_count;
    flow_init(&w->flow, options->classic);
    dispatch_effects_init(&w->effects);
    for (uint32_t no = 0; no < options->target_count; no++)
        w->site_of[no] = (uint16_t)below(w, options->site_count);
    for (uint32_t push = 0; push < options->push_count; push++)
        w->store.counter[push] = w->counter_max[push] = w->store.generation[push] = 1;
    for (uint16_t r = 0; r < options->relay_count; r++) {
        w->store.standing[r] = RELAY_ACTIVE;
        w->line[r] = r;
        draw_cut(w, r);
    }
    if (chance(w, options->lost_relay_percent) && has_twin(w, 0))
        w->lost_relay = 0;
    fault_plan(w);
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL)
        return;
    flow_release(&w->flow);
    for (int r = 0; r < PROCESSES; r++) {
        agent_free(w->relays[r].agent);
        agent_effects_release(&w->relays[r].effects);
        disk_release(&w->relays[r].disk);
    }
    free(w->journal_copy);
    dispatch_free(w->core);
    dispatch_effects_release(&w->effects);
    free(w);
}

/* Whoever stands still finds it when it goes on. */
static void postpone(struct world *w, struct item *item, uint64_t at_ms)
{
    struct item *again = flow_add(&w->flow, at_ms);
    uint64_t number = again->number;
    *again = *item;
    again->at_ms = at_ms;
    again->number = number;
    item->bytes = NULL; /* the other one's now */
}

static bool waits(struct world *w, struct item *item, const struct plight *plight)
{
    if (plight->paused_until_ms <= w->now_ms)
        return false;
    postpone(w, item, plight->paused_until_ms);
    return true;
}

static void deliver(struct world *w, struct item *item)
{
    struct relay *relay = &w->relays[item->relay];
    bool own = relay->agent != NULL && item->life == relay->life;
    bool connected = item->core_life == w->core_life; /* else the coordinator's end ended it */
    if (waits(w, item, item->kind == TO_COORDINATOR ? &w->core_plight : &relay->plight))
        return;
    switch (item->kind) {
    case TO_COORDINATOR:
        if (connected && w->core != NULL)
            coordinator_hears(w, item);
        break;
    case TO_RELAY:
        if (connected && relay->agent != NULL)
            relay_hears(w, item);
        break;
    case STAGE_END:
    case PORT_ANSWERED:
        if (own)
            relay_stage_ends(w, item);
        break;
    case PACKAGE_HERE:
        if (own)
            relay_package_here(w, item);
        break;
    }
}

static uint64_t later_of(uint64_t due_ms, const struct plight *plight)
{
    if (plight->rest)
        return plight->paused_until_ms;
    return due_ms > plight->paused_until_ms ? due_ms : plight->paused_until_ms;
}

static uint64_t core_due_ms(const struct world *w)
{
    return w->core == NULL ? w->core_up_at_ms : later_of(w->timer_ms, &w->core_plight);
}

static uint64_t relay_due_ms(const struct world *w, uint16_t r)
{
    const struct relay *relay = &w->relays[r];
    return relay->agent == NULL ? relay->up_at_ms : later_of(relay->timer_ms, &relay->plight);
}

static uint64_t timers_due_ms(const struct world *w)
{
    uint64_t at_ms = core_due_ms(w);
    for (uint16_t r = 0; r < process_count(w); r++)
        if (relay_due_ms(w, r) < at_ms)
            at_ms = relay_due_ms(w, r);
    return fault_due_ms(w) < at_ms ? fault_due_ms(w) : at_ms;
}

static void core_timer(struct world *w)
{
    struct dispatch_event tick = {.kind = DISPATCH_TICK};
    if (w->core == NULL) {
        coordinator_start(w);
    } else if (w->core_plight.rest) {
        coordinator_goes_on(w);
    } else {
        w->timer_ms = w->now_ms + HEARTBEAT_MS;
        coordinator_step(w, &tick);
    }
}

static void relay_timer(struct world *w, uint16_t r)
{
    struct relay *relay = &w->relays[r];
    struct agent_event tick = {.kind = AGENT_TICK};
    if (relay->agent == NULL) {
        relay_start(w, r);
    } else if (relay->plight.rest) {
        relay_goes_on(w, r);
    } else {
        relay->timer_ms = w->now_ms + 60000;
        relay_step(w, r, &tick);
        relay_look_at_disk(w, r);
    }
}

static void timers(struct world *w)
{
    if (core_due_ms(w) <= w->now_ms)
        core_timer(w);
    for (uint16_t r = 0; r < process_count(w); r++)
        if (relay_due_ms(w, r) <= w->now_ms)
            relay_timer(w, r);
    if (fault_due_ms(w) <= w->now_ms)
        fault_act(w);
}

/* All is well and every push closed: what is still on its way comes, then there is nothing more. */
static void end_early(struct world *w)
{
    for (uint32_t push = 0; push < w->options.push_count; push++) {
        uint32_t slot = push + (w->store.generation[push] - 1) * PUSHES;
        if (w->store.state[slot] != PUSH_CLOSED)
            return;
    }
    w->ending = true;
    if (w->options.end_ms > w->now_ms + MORE_MS)
        w->options.end_ms = w->now_ms + MORE_MS;
}

static void turn(struct world *w)
{
    uint64_t timers_ms = timers_due_ms(w);
    uint64_t item_ms = flow_due_ms(&w->flow);
    uint64_t at_ms = item_ms < timers_ms ? item_ms : timers_ms;
    if (at_ms > w->now_ms)
        w->now_ms = at_ms;
    if (w->now_ms > w->options.chaos_ms && !w->healed) {
        w->healed = true;
        fault_heal(w);
    }
    if (item_ms < timers_ms) {
        struct item *item = flow_take(&w->flow);
        deliver(w, item);
        item_free(item);
    } else {
        timers(w);
    }
    bool there = w->core != NULL && w->core_plight.paused_until_ms <= w->now_ms;
    if (!w->healed && there && one_in(w, w->options.operator_one_in))
        operator_acts(w);
    if (w->story != NULL)
        story_acts(w);
    if (w->options.settled_ms > 0 && w->now_ms >= w->options.settled_ms && !w->looked) {
        w->looked = true;
        progress_look(w);
    }
    if (w->healed && !w->ending && !w->options.classic)
        end_early(w);
}

bool world_run(struct world *w)
{
    coordinator_start(w);
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        relay_start(w, r);
    while (w->now_ms < w->options.end_ms && w->violated == NULL)
        turn(w);
    if (w->violated == NULL)
        terminal_end(w);
    if (w->violated == NULL)
        clone_end(w);
    if (w->violated == NULL)
        result_kept_end(w);
    return w->violated == NULL;
}
