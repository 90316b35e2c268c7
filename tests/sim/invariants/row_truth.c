/* row.truth: a row says what the machine's own truth is. Whatever says that nothing was registered
 * is right; SCHEDULED means that a task is there; an exit code is the package's, told after it
 * ended; time is up only when it is. */
#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/target.h"
#include "tests/sim/trace.h"

#define NAME "row.truth"

bool row_truth_tells_end(enum target_state state, enum reason reason)
{
    return state == TARGET_UNKNOWN_EFFECT || state == TARGET_SUCCEEDED ||
           reason == REASON_EXIT_CODE || reason == REASON_INSTALLER_BUSY ||
           reason == REASON_RUN_TIMEOUT || reason == REASON_NOT_STARTED;
}

static void check_end_seen(struct world *w, int slot, uint32_t no, const struct outcome *outcome)
{
    const struct task *task = &w->tasks[slot][no];
    if (outcome->has_exit_code)
        REQUIRE(w,
                task->registered && w->now_ms >= task->ends_ms &&
                    outcome->exit_code == task->exit_code &&
                    (outcome->state == TARGET_SUCCEEDED) == target_success_code(outcome->exit_code),
                NAME, "%s t%u is %s with exit code %u, the package's is %u", slot_word(slot), no,
                target_state_word(outcome->state), outcome->exit_code, task->exit_code);
    else
        REQUIRE(w, outcome->state != TARGET_SUCCEEDED && outcome->reason != REASON_EXIT_CODE, NAME,
                "%s t%u is %s without an exit code", slot_word(slot), no,
                target_state_word(outcome->state));
    if (outcome->reason == REASON_NOT_STARTED || outcome->reason == REASON_RUN_TIMEOUT)
        REQUIRE(w, task->registered && w->now_ms + (uint64_t)w->clock_ahead_ms >= wait_until_ms(w),
                NAME, "%s t%u: %s before time was up", slot_word(slot), no,
                reason_word(outcome->reason));
}

void row_truth_outcome(struct world *w, int slot, const struct dispatch_effect *e)
{
    uint32_t no = e->target_no;
    bool registered = w->tasks[slot][no].registered;
    enum target_state after = e->outcome->state;
    enum reason reason = e->outcome->reason;
    bool waits = w->options.wait;
    if (w->machines[no].hostile || fault_excuses(w, slot, no))
        return;
    REQUIRE(w, !registered || after == TARGET_SCHEDULED || row_truth_tells_end(after, reason), NAME,
            "%s t%u is %s, but the task is there", slot_word(slot), no, target_state_word(after));
    REQUIRE(w, registered || after != TARGET_SCHEDULED, NAME,
            "%s t%u is scheduled, but there is no task", slot_word(slot), no);
    if (waits && after == TARGET_SCHEDULED) {
        REQUIRE(w, reason == REASON_NONE, NAME, "%s t%u is on its way, reason %s", slot_word(slot),
                no, reason_word(reason));
        return;
    }
    REQUIRE(w, waits || after != TARGET_SUCCEEDED, NAME, "%s t%u succeeded, and nobody waited",
            slot_word(slot), no);
    REQUIRE(w,
            !waits || w->store.rows[slot][no] != TARGET_SCHEDULED ||
                row_truth_tells_end(after, reason),
            NAME, "%s t%u was scheduled and is %s", slot_word(slot), no, target_state_word(after));
    check_end_seen(w, slot, no, e->outcome);
}
