/* See fault.h. */
#include "tests/sim/fault.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/operator.h"
#include "tests/sim/relay.h"
#include "tests/sim/trace.h"

#define HOUR_MS 3600000U

/* ---- what there is ---- */

/* A stream of its own, so that options don't move what the world draws. */
static uint32_t draw(uint64_t *state, uint32_t bound)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ (z >> 31)) >> 32) % bound;
}

/* `figure` in one world of four. */
static uint32_t now_and_then(uint64_t *state, uint32_t figure)
{
    return draw(state, 4) == 0 ? figure : 0;
}

void options_faults(struct options *o, uint64_t seed)
{
    uint64_t state = seed ^ UINT64_C(0x666175756C7473);
    if (draw(&state, 2) == 0)
        return; /* what was there before is enough */
    o->disk_fails_one_in = now_and_then(&state, 60);
    o->disk_full_percent = now_and_then(&state, 50);
    o->disk_spent_percent = 30;
    o->disk_full_ms = 60000;
    o->clock_percent = now_and_then(&state, 50);
    o->clock_ms = draw(&state, 2) == 0 ? 60000 : 12 * HOUR_MS;
    o->pause_one_in = now_and_then(&state, 200);
    o->pause_ms = 90000;
    o->core_down_ms = now_and_then(&state, 30000);
    o->store_restored = draw(&state, 4) == 0;
    o->store_told = draw(&state, 4) != 0;
    o->journal_restored = draw(&state, 8) == 0;
    o->cloned = draw(&state, 8) == 0;
    o->dead_percent = now_and_then(&state, 10);
    o->slow_percent = now_and_then(&state, 20);
    o->reboot_percent = now_and_then(&state, 40);
    o->hostile_percent = now_and_then(&state, 10);
    if (o->slow_percent > 0)
        o->settled_ms = 0; /* nobody knows by when */
}

/* ---- what is to come ---- */

static void plan(struct world *w, uint64_t at_ms, enum act_kind kind, uint16_t process, int64_t ms)
{
    uint32_t i = w->act_count;
    if (i == ACTS)
        return;
    w->act_count++;
    for (; i > 0 && w->acts[i - 1].at_ms > at_ms; i--)
        w->acts[i] = w->acts[i - 1];
    w->acts[i] = (struct act){at_ms, kind, process, ms};
}

static uint64_t in_chaos_ms(struct world *w)
{
    return below(w, (uint32_t)w->options.chaos_ms);
}

static void plan_disk(struct world *w, uint16_t process)
{
    const struct options *o = &w->options;
    if (!chance(w, o->disk_full_percent))
        return;
    uint64_t from_ms = in_chaos_ms(w);
    plan(w, from_ms, ACT_DISK_FULL, process, 0);
    if (chance(w, o->disk_spent_percent))
        plan(w, from_ms + 1 + below(w, 5000), ACT_DISK_SPENT, process, 0);
    plan(w, from_ms + 6000 + below(w, o->disk_full_ms), ACT_DISK_FREE, process, 0);
}

static void plan_clock(struct world *w, uint16_t process)
{
    const struct options *o = &w->options;
    if (!chance(w, o->clock_percent))
        return;
    for (uint32_t left = 1 + below(w, 3); left > 0; left--)
        plan(w, in_chaos_ms(w), ACT_CLOCK, process,
             (int64_t)below(w, 2 * o->clock_ms) - (int64_t)o->clock_ms);
}

static void plan_copies(struct world *w)
{
    const struct options *o = &w->options;
    if (o->store_restored) {
        uint64_t at_ms = in_chaos_ms(w);
        plan(w, at_ms, ACT_STORE_COPIED, COORDINATOR, 0);
        plan(w, at_ms + 1 + below(w, (uint32_t)(o->chaos_ms - at_ms)), ACT_STORE_RESTORED,
             COORDINATOR, 0);
    }
    if (o->journal_restored) {
        uint16_t process = (uint16_t)below(w, o->relay_count);
        uint64_t at_ms = in_chaos_ms(w);
        plan(w, at_ms, ACT_JOURNAL_COPIED, process, 0);
        plan(w, at_ms + 1 + below(w, (uint32_t)(o->chaos_ms - at_ms)), ACT_JOURNAL_RESTORED,
             process, 0);
    }
    if (o->cloned) {
        uint16_t relay = (uint16_t)below(w, o->relay_count);
        if (relay != w->lost_relay && has_twin(w, relay)) {
            w->clone_of = relay;
            plan(w, in_chaos_ms(w), ACT_CLONE, relay, 0);
        }
    }
}

static void plan_machines(struct world *w)
{
    const struct options *o = &w->options;
    for (uint32_t no = 0; no < o->target_count; no++) {
        struct machine *machine = &w->machines[no];
        machine->dead = chance(w, o->dead_percent);
        machine->slow = chance(w, o->slow_percent);
        machine->hostile = chance(w, o->hostile_percent);
        if (!chance(w, o->reboot_percent))
            continue;
        machine->away_from_ms = in_chaos_ms(w);
        machine->away_until_ms = machine->away_from_ms + 5000 + below(w, 60000);
    }
}

void fault_plan(struct world *w)
{
    for (uint16_t process = 0; process < w->options.relay_count; process++) {
        plan_disk(w, process);
        plan_clock(w, process);
    }
    plan_disk(w, COORDINATOR);
    plan_clock(w, COORDINATOR);
    plan_copies(w);
    plan_machines(w);
}

uint64_t fault_due_ms(const struct world *w)
{
    return w->act_next < w->act_count ? w->acts[w->act_next].at_ms : UINT64_MAX;
}

/* ---- disks, clocks, pauses ---- */

struct plight *plight_of(struct world *w, uint16_t process)
{
    return process == COORDINATOR ? &w->core_plight : &w->relays[process].plight;
}

static const char *word_of(uint16_t process)
{
    return process == COORDINATOR ? "coordinator" : relay_word(process);
}

static void set_full(struct world *w, uint16_t process, bool full, bool spent)
{
    struct plight *plight = plight_of(w, process);
    bool changes = plight->full != full;
    plight->full = full;
    plight->spent = spent;
    TRACE(w, word_of(process), "%s",
          spent  ? "has no room on its disk at all"
          : full ? "has a disk that is nearly full"
                 : "has room on its disk again");
    if (changes && process != COORDINATOR)
        relay_look_at_disk(w, process);
}

static void set_clock(struct world *w, uint16_t process, int64_t ms)
{
    struct plight *plight = plight_of(w, process);
    plight->clock_ms = ms;
    w->clock_wrong |= ms != 0;
    if (ms > w->clock_ahead_ms)
        w->clock_ahead_ms = ms;
    TRACE(w, word_of(process), "has its clock set to %lld ms %s", (long long)(ms < 0 ? -ms : ms),
          ms < 0 ? "behind" : "ahead");
}

bool fault_pauses(struct world *w, uint16_t process)
{
    struct plight *plight = plight_of(w, process);
    if (w->healed || !one_in(w, w->options.pause_one_in))
        return false;
    plight->paused_until_ms = w->now_ms + 1 + below(w, w->options.pause_ms);
    if (plight->paused_until_ms > w->options.chaos_ms)
        plight->paused_until_ms = w->options.chaos_ms + 1; /* then all is well */
    TRACE(w, word_of(process), "stands still for %llu ms",
          (unsigned long long)(plight->paused_until_ms - w->now_ms));
    return true;
}

bool fault_disk(struct world *w, uint16_t process, bool *durable)
{
    bool spent = plight_of(w, process)->spent;
    if (!spent && (w->healed || !one_in(w, w->options.disk_fails_one_in)))
        return false;
    *durable = !spent && chance(w, 50);
    TRACE(w, word_of(process), "%s, what it wrote is %s: it ends",
          spent ? "cannot write" : "has an fsync fail", *durable ? "there" : "gone");
    return true;
}

/* ---- copies ---- */

static void copy_store(struct world *w)
{
    w->store_copy = w->store;
    TRACE(w, "coordinator", "has its store copied");
}

/* Who isn't told takes for true what the copy says. */
static void excuse_store(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++)
            w->unproven[slot][no] = true;
}

static void restore_store(struct world *w)
{
    w->restored = true;
    w->store = w->store_copy;
    for (int slot = 0; slot < SLOTS; slot++)
        w->stopped_ms[slot] = w->now_ms; /* what relays were leased since is let run out */
    if (!w->options.store_told)
        excuse_store(w);
    TRACE(w, "coordinator", "has the copy for its store%s",
          w->options.store_told ? ", and is told" : "");
    w->told_start = w->options.store_told;
    if (w->told_start)
        plan(w, w->now_ms + below(w, 30000), ACT_RESUMED, COORDINATOR, 0);
    coordinator_start(w);
}

/* The operator does as the coordinator's log says, as soon as there is one. */
static void resume(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (!is_newest(w, slot) || w->store.state[slot] != PUSH_STOPPED)
            continue;
        if (w->core == NULL || w->core_plight.paused_until_ms > w->now_ms) {
            plan(w, w->now_ms + 1000, ACT_RESUMED, COORDINATOR, 0);
            return;
        }
        operator_resume(w, slot);
    }
}

static void copy_journal(struct world *w, uint16_t process)
{
    struct relay *relay = &w->relays[process];
    disk_commit(&relay->disk); /* the file is as it stands */
    free(w->journal_copy);
    w->journal_copy = mem_new(1, sizeof *w->journal_copy);
    *w->journal_copy = relay->journal;
    TRACE(w, relay_word(process), "has its journal copied");
}

static void restore_journal(struct world *w, uint16_t process)
{
    struct relay *relay = &w->relays[process];
    if (w->journal_copy == NULL)
        return;
    if (relay->agent != NULL)
        relay_kill(w, process);
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++) {
            const struct journal_row *now = &relay->journal.rows[slot][no];
            const struct journal_row *then = &w->journal_copy->rows[slot][no];
            w->unproven[slot][no] |= now->intent != then->intent || now->outcome != then->outcome ||
                                     now->attempt != then->attempt ||
                                     relay->journal.forgotten[slot];
        }
    relay->journal = *w->journal_copy;
    TRACE(w, relay_word(process), "has the copy for its journal");
}

static void start_clone(struct world *w, uint16_t relay)
{
    uint16_t clone = w->options.relay_count;
    disk_crash(&w->relays[clone].disk);
    disk_commit(&w->relays[relay].disk); /* it is copied as it stands */
    w->relays[clone].journal = w->relays[relay].journal;
    w->clone_runs = true;
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (w->relays[relay].journal.rows[slot][no].intent ||
                w->relays[relay].journal.rows[slot][no].outcome)
                fault_note_begun(w, relay, slot, no);
    TRACE(w, relay_word(clone), "is a copy of %s", relay_word(relay));
    relay_start(w, clone);
}

void fault_note_begun(struct world *w, uint16_t process, int slot, uint32_t no)
{
    if (w->clone_runs && relay_of(w, process) == w->clone_of)
        w->unproven[slot][no] = true;
}

bool fault_excuses(const struct world *w, int slot, uint32_t no)
{
    return w->unproven[slot][no];
}

/* ---- at its time ---- */

void fault_act(struct world *w)
{
    const struct act *act = &w->acts[w->act_next++];
    switch (act->kind) {
    case ACT_DISK_FULL:
        set_full(w, act->process, true, false);
        break;
    case ACT_DISK_SPENT:
        set_full(w, act->process, true, true);
        break;
    case ACT_DISK_FREE:
        set_full(w, act->process, false, false);
        break;
    case ACT_CLOCK:
        set_clock(w, act->process, act->ms);
        break;
    case ACT_STORE_COPIED:
        copy_store(w);
        break;
    case ACT_STORE_RESTORED:
        restore_store(w);
        break;
    case ACT_RESUMED:
        resume(w);
        break;
    case ACT_JOURNAL_COPIED:
        copy_journal(w, act->process);
        break;
    case ACT_JOURNAL_RESTORED:
        restore_journal(w, act->process);
        break;
    case ACT_CLONE:
        start_clone(w, act->process);
        break;
    }
}

void fault_heal(struct world *w)
{
    while (w->act_next < w->act_count && w->acts[w->act_next].kind != ACT_RESUMED)
        w->act_next++;
    w->act_count = w->act_next < w->act_count ? w->act_next + 1 : w->act_next;
    for (uint16_t process = 0; process <= w->options.relay_count; process++) {
        uint16_t who = process < w->options.relay_count ? process : COORDINATOR;
        if (plight_of(w, who)->full)
            set_full(w, who, false, false);
        if (plight_of(w, who)->clock_ms != 0)
            set_clock(w, who, 0);
    }
}
