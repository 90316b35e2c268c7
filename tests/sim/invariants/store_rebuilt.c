/* store.rebuilt: what a coordinator that starts makes of the store equals what the live one holds.
 *
 * Now and then a second core is told of all that the store holds, as one that starts would be, and
 * thrown away. Both are then looked into: rows and what is open, marks, attempts, epochs and
 * standings are equal. Where the live core knows more (leases aren't stored) the new one errs on
 * the safe side: what it takes for never leased never was, its attempts aren't lower, and who owes
 * a word to the live one owes it to the new one, and a doubt that a relay's word has ended is back
 * until that relay says it again.
 *
 * Not looked at once a deadline has passed: a core that starts would settle rows at once. */
#include "coordinator/core/dispatch_state.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "store.rebuilt"

static const struct ledger *ledger_of(const struct dispatch *core, int slot)
{
    const struct push_id id = id_of(slot);
    for (uint32_t i = 0; i < core->push_count; i++)
        if (push_id_equal(&core->pushes[i]->push, &id))
            return core->pushes[i];
    return NULL;
}

static bool settled(const struct ledger_target *target)
{
    return target->unknown || target->phase == LEDGER_UNKNOWN || target->phase == LEDGER_FINAL;
}

/* Who is owed a word is asked whenever it comes back. */
static bool owes_less(const struct world *w, const struct ledger *live, const struct ledger *again,
                      uint32_t no)
{
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        if (ledger_owes(live, r, site_of_relay(w, r), no) &&
            !ledger_owes(again, r, site_of_relay(w, r), no))
            return true;
    return false;
}

static void compare_targets(struct world *w, int slot, const struct ledger *live,
                            const struct ledger *again)
{
    for (uint32_t no = 0; no < live->target_count; no++) {
        const struct ledger_target *a = &live->targets[no];
        const struct ledger_target *b = &again->targets[no];
        REQUIRE(w, settled(a) == settled(b) && a->unknown == b->unknown && a->doubted <= b->doubted,
                NAME, "%s t%u is settled, unknown, doubted: %d %d %d, rebuilt %d %d %d",
                slot_word(slot), no, settled(a), a->unknown, a->doubted, settled(b), b->unknown,
                b->doubted);
        if (settled(a))
            continue;
        REQUIRE(w, a->scheduled == b->scheduled, NAME, "%s t%u is %s scheduled, rebuilt not",
                slot_word(slot), no, a->scheduled ? "" : "not");
        REQUIRE(w, b->phase != LEDGER_FRESH || a->phase == LEDGER_FRESH, NAME,
                "%s t%u was leased, and is taken for never leased", slot_word(slot), no);
        REQUIRE(w, b->attempt >= a->attempt, NAME, "%s t%u: attempt %u, rebuilt %u",
                slot_word(slot), no, a->attempt, b->attempt);
        REQUIRE(w, !owes_less(w, live, again, no), NAME,
                "%s t%u: who owes a word of it is not asked", slot_word(slot), no);
    }
}

/* A live core holds a push open while it asks relays of a row in doubt; at a start none is there.
 */
static bool closes(const struct ledger *again)
{
    return again->state == PUSH_CLOSED && again->settled_count == again->target_count;
}

static void compare_pushes(struct world *w, int slot, const struct ledger *live,
                           const struct ledger *again)
{
    REQUIRE(w, (live != NULL) == (again != NULL), NAME, "%s is %s, rebuilt %s", slot_word(slot),
            live != NULL ? "open" : "ended", again != NULL ? "open" : "ended");
    if (live == NULL || again == NULL)
        return;
    REQUIRE(w,
            live->generation == again->generation &&
                (live->state == again->state || closes(again)) && live->counter == again->counter &&
                live->failed_count == again->failed_count &&
                live->settled_count == again->settled_count,
            NAME,
            "%s: generation, state, counter, failed, settled: %u %d %llu %u %u, "
            "rebuilt %u %d %llu %u %u",
            slot_word(slot), live->generation, (int)live->state, (unsigned long long)live->counter,
            live->failed_count, live->settled_count, again->generation, (int)again->state,
            (unsigned long long)again->counter, again->failed_count, again->settled_count);
    if (w->violated == NULL)
        compare_targets(w, slot, live, again);
    for (uint16_t r = 0; r < w->options.relay_count; r++) {
        const struct ledger_share *a = ledger_share_find(live, r);
        const struct ledger_share *b = ledger_share_find(again, r);
        REQUIRE(w,
                (a != NULL ? a->mark : 0) == (b != NULL ? b->mark : 0) &&
                    (a != NULL ? a->attempt_max : 0) == (b != NULL ? b->attempt_max : 0),
                NAME, "%s: what r%u was leased differs", slot_word(slot), r);
    }
}

static void compare(struct world *w, const struct dispatch *again)
{
    for (uint16_t r = 0; r < w->options.relay_count; r++) {
        const struct dispatch_relay_view a = dispatch_relay_look(w->core, r);
        const struct dispatch_relay_view b = dispatch_relay_look(again, r);
        REQUIRE(w, a.epoch == b.epoch && a.standing == b.standing, NAME,
                "r%u: epoch %llu, %s, rebuilt %llu, %s", r, (unsigned long long)a.epoch,
                relay_standing_word(a.standing), (unsigned long long)b.epoch,
                relay_standing_word(b.standing));
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (is_newest(w, slot))
            compare_pushes(w, slot, ledger_of(w->core, slot), ledger_of(again, slot));
}

void store_rebuilt_look(struct world *w)
{
    if (world_unix_ms(w, COORDINATOR) / 1000 >= (UNIX_START_MS + w->options.not_after_ms) / 1000)
        return;
    struct dispatch *again = coordinator_rebuild(w);
    compare(w, again);
    dispatch_free(again);
}
