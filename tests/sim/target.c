/* See target.h. */
#include "tests/sim/target.h"

#include "tests/sim/flow.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/story.h"
#include "tests/sim/trace.h"

bool target_success_code(uint32_t code)
{
    return code == 0 || code == 3010;
}

size_t target_output(int slot, uint32_t no, char text[16])
{
    return (size_t)snprintf(text, 16, "said %d-%u", slot, no);
}

/* So that what has ended is seen in time: see progress.c. */
static bool all_well_there(const struct world *w, bool intent)
{
    return w->options.wait && w->healed && intent;
}

static uint32_t starts_in_ms(const struct world *w, const struct task *task)
{
    return w->now_ms < task->starts_ms && task->starts_ms < NEVER_MS
               ? (uint32_t)(task->starts_ms - w->now_ms)
               : 0;
}

/* Runs once, whatever anybody knows of it; some never start, some never end. */
static void register_task(struct world *w, uint16_t relay, int slot, uint32_t no)
{
    static const uint32_t codes[] = {0, 0, 0, 3010, 1603, 1618};
    struct task *task = &w->tasks[slot][no];
    if (task->registered) {
        TRACE(w, "target", "%s t%u: the task is there already", slot_word(slot), no);
        return;
    }
    stop_kept_register(w, relay, slot, no);
    task->registered = true;
    TRACE(w, "target", "%s t%u: the task is registered", slot_word(slot), no);
    if (!w->options.wait)
        return;
    task->starts_ms =
        chance(w, w->options.never_starts_percent) ? NEVER_MS : w->now_ms + below(w, 20000);
    task->ends_ms = task->starts_ms + below(w, 60000);
    if (chance(w, w->options.never_ends_percent))
        task->ends_ms = NEVER_MS;
    task->exit_code = codes[below(w, sizeof codes / sizeof *codes)];
}

static bool away(const struct world *w, uint32_t no)
{
    const struct machine *machine = &w->machines[no];
    return machine->dead ||
           (w->now_ms >= machine->away_from_ms && w->now_ms < machine->away_until_ms);
}

/* What a stage comes to at a machine that doesn't answer. What it did before is done. */
static void nobody_answers(enum stage stage, struct agent_stage_done *done)
{
    done->verdict = stage == STAGE_SCHEDULE ? AGENT_EFFECT_UNKNOWN : AGENT_FAILED;
    done->reason = stage == STAGE_PING     ? REASON_NO_REPLY
                   : stage == STAGE_ACCESS ? REASON_CONNECT_TIMEOUT
                                           : REASON_CONN_LOST;
}

static void look_for_end(struct world *w, int slot, uint32_t no, struct agent_stage_done *done)
{
    const struct task *task = &w->tasks[slot][no];
    char text[16];
    if (!w->healed && chance(w, w->options.unknown_percent)) {
        done->verdict = chance(w, 50) ? AGENT_EFFECT_UNKNOWN : AGENT_FAILED;
        done->reason = REASON_CONN_LOST;
    } else if (w->now_ms < task->ends_ms) {
        done->verdict = AGENT_WAITING;
        done->reason = w->now_ms < task->starts_ms ? REASON_NOT_STARTED : REASON_RUN_TIMEOUT;
        done->starts_in_ms = starts_in_ms(w, task);
    } else {
        done->has_exit_code = true;
        done->exit_code = task->exit_code;
        if (!target_success_code(done->exit_code)) {
            done->verdict = AGENT_FAILED;
            done->reason = done->exit_code == 1618 ? REASON_INSTALLER_BUSY : REASON_EXIT_CODE;
        }
        done->output_size = target_output(slot, no, text);
    }
}

static void schedule(struct world *w, uint16_t relay, int slot, uint32_t no,
                     const struct agent_effect *e, struct agent_stage_done *done)
{
    const struct task *task = &w->tasks[slot][no];
    if (e->run.await) {
        look_for_end(w, slot, no, done);
    } else if (e->run.read_back && task->registered) {
        done->starts_in_ms = starts_in_ms(w, task);
    } else if (e->run.look_only) {
        bool lost = !w->healed && chance(w, w->options.unknown_percent);
        done->verdict = lost ? AGENT_EFFECT_UNKNOWN : AGENT_FAILED;
        done->reason = lost ? REASON_CONN_LOST : REASON_CANCELLED;
        if (!lost)
            start_once_looked(w, relay, slot, no);
    } else if (!w->healed && chance(w, w->options.unknown_percent)) {
        done->verdict = AGENT_EFFECT_UNKNOWN;
        done->reason = REASON_CONN_LOST;
        if (chance(w, 50))
            register_task(w, relay, slot, no);
    } else if (chance(w, w->options.refused_percent) && !task->registered) {
        done->verdict = AGENT_FAILED;
        done->reason = REASON_SCHEDULER_REFUSED;
    } else {
        register_task(w, relay, slot, no);
        done->starts_in_ms = starts_in_ms(w, task);
    }
}

/* A machine that says what it likes. Returns whether it has; else it tells the truth for once. */
static bool lies(struct world *w, uint16_t relay, int slot, uint32_t no,
                 const struct agent_effect *e, struct agent_stage_done *done)
{
    if (chance(w, 30) && !e->run.look_only && !e->run.await)
        register_task(w, relay, slot, no);
    switch (below(w, 6)) {
    case 0: /* success, whatever there is */
        done->has_exit_code = e->run.await && chance(w, 50);
        return true;
    case 1: /* somebody else's task has our name */
        done->verdict = AGENT_FAILED;
        done->reason = REASON_NAME_CONFLICT;
        return true;
    case 2:
        done->verdict = AGENT_FAILED;
        done->reason = REASON_PROTOCOL_ERROR;
        return true;
    case 3:
        done->verdict = AGENT_EFFECT_UNKNOWN;
        done->reason = REASON_PROTOCOL_ERROR;
        return true;
    case 4: /* there never was one */
        done->verdict = AGENT_FAILED;
        done->reason = e->run.look_only ? REASON_CANCELLED : REASON_SCHEDULER_REFUSED;
        return true;
    default:
        return false;
    }
}

static bool find_run(struct world *w, const struct agent_effect *e, int *slot, uint32_t *no)
{
    bool found = sscanf(e->run.target, "%d-%u", slot, no) == 2 && *slot >= 0 && *slot < SLOTS &&
                 *no < w->options.target_count;
    REQUIRE(w, found, "effect.sane", "a stage at %s, which nobody named", e->run.target);
    return found;
}

void target_run_stage(struct world *w, uint16_t relay, const struct agent_effect *e)
{
    int slot = 0;
    uint32_t no = 0;
    if (!find_run(w, e, &slot, &no))
        return;
    bool intent = w->relays[relay].journal.rows[slot][no].intent;
    scope_run(w, relay, slot, no);
    start_once_run(w, relay, slot, no, e);
    deadline_run(w, relay, slot, no, e);
    TRACE(w, relay_word(relay), "%s at %s t%u%s", stage_word(e->run.stage), slot_word(slot), no,
          run_word(e));
    w->relays[relay].running[slot][no] = e->run.key;
    uint32_t takes_ms = 1 + below(w, 2500);
    struct item *item = later(w, STAGE_END, relay, w->machines[no].slow ? 4 * takes_ms : takes_ms);
    item->done.key = e->run.key;
    item->done.stage = e->run.stage;
    item->done.tries = 1;
    if (story_fails(w) || (e->run.stage != STAGE_RESOLVE && away(w, no))) {
        nobody_answers(e->run.stage, &item->done);
    } else if (e->run.hold_logon) {
        item->kind = PORT_ANSWERED;
    } else if (e->run.stage == STAGE_SCHEDULE) {
        if (!w->machines[no].hostile || !lies(w, relay, slot, no, e, &item->done))
            schedule(w, relay, slot, no, e, &item->done);
    } else if (chance(w, w->options.stage_fails_percent) && !all_well_there(w, intent)) {
        item->done.verdict = AGENT_FAILED;
        item->done.reason = e->run.stage == STAGE_PING ? REASON_NO_REPLY : REASON_DISK_FULL;
    }
}

/* Whose key it is. */
static bool find_key(const struct world *w, uint16_t relay, uint64_t key, int *slot, uint32_t *no)
{
    for (*slot = 0; *slot < SLOTS; (*slot)++)
        for (*no = 0; *no < w->options.target_count; (*no)++)
            if (w->relays[relay].running[*slot][*no] == key)
                return true;
    return false;
}

void target_log_on(struct world *w, uint16_t relay, uint64_t key)
{
    int slot = 0;
    uint32_t no = 0;
    struct item *item = later(w, STAGE_END, relay, 1 + below(w, 500));
    bool found = find_key(w, relay, key, &slot, &no);
    bool intent = found && w->relays[relay].journal.rows[slot][no].intent;
    item->done.key = key;
    item->done.stage = STAGE_ACCESS;
    item->done.tries = 1;
    if (found && away(w, no)) {
        nobody_answers(STAGE_COPY, &item->done);
    } else if (chance(w, w->options.stage_fails_percent) && !all_well_there(w, intent)) {
        item->done.verdict = AGENT_FAILED;
        item->done.reason = REASON_BAD_SHARE;
    }
}
