/* See coordinator.h. */
#include "tests/sim/coordinator.h"

#include "tests/sim/fault.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/network.h"
#include "tests/sim/store.h"
#include "tests/sim/story.h"
#include "tests/sim/trace.h"

enum { REBUILD_STEPS = 61 }; /* so often the store is compared with the live core */

static void send_lease(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_LEASE};
    struct lease_entry entries[TARGETS];
    char names[TARGETS][16];
    int slot = slot_of(&e->push, e->generation);
    if (e->lease_count > TARGETS) {
        violation(w, "effect.sane", "a lease of %u targets", e->lease_count);
        return;
    }
    for (uint32_t i = 0; i < e->lease_count; i++) {
        const struct dispatch_lease *lease = &w->effects.leases[e->lease_first + i];
        scope_lease(w, slot, e->relay, lease->target_no);
        (void)snprintf(names[i], sizeof names[i], "%d-%u", slot, lease->target_no);
        entries[i] = (struct lease_entry){lease->target_no, lease->attempt, names[i]};
    }
    message.lease = (struct message_lease){.epoch = e->epoch,
                                           .push = e->push,
                                           .generation = e->generation,
                                           .entries = entries,
                                           .entry_count = e->lease_count,
                                           .stop_counter = e->counter};
    network_post(w, TO_RELAY, e->relay, &message);
}

/* Stands for the signed job: which push, and the operator's counter. */
static void send_job(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_JOB};
    int slot = slot_of(&e->push, e->generation);
    uint8_t job[2] = {(uint8_t)slot, (uint8_t)w->store.counter[slot]};
    message.job.signed_job = job;
    message.job.signed_job_size = sizeof job;
    network_post(w, TO_RELAY, e->relay, &message);
}

static void carry_out(struct world *w, const struct dispatch_effect *e)
{
    struct message message = {.kind = MESSAGE_NONE};
    if (e->kind == DISPATCH_SEND_WELCOME) {
        message.kind = MESSAGE_WELCOME;
        message.welcome = (struct message_welcome){e->epoch, LEASE_MS, HEARTBEAT_MS, e->instance,
                                                   e->sent_boottime_ms};
    } else if (e->kind == DISPATCH_SEND_HEARTBEAT_ACK) {
        message.kind = MESSAGE_HEARTBEAT_ACK;
        message.heartbeat_ack = (struct message_heartbeat_ack){e->epoch, e->sent_boottime_ms};
    } else if (e->kind == DISPATCH_SEND_RESULTS_ACK) {
        message.kind = MESSAGE_RESULTS_ACK;
        message.results_ack = (struct message_results_ack){e->epoch, e->sequence};
    } else if (e->kind == DISPATCH_SEND_STOP || e->kind == DISPATCH_SEND_CLOSE) {
        message.kind = e->kind == DISPATCH_SEND_STOP ? MESSAGE_STOP : MESSAGE_CLOSE;
        message.push_ref = (struct message_push_ref){e->epoch, e->push, e->generation, e->counter};
    } else if (e->kind == DISPATCH_SEND_LEASE) {
        send_lease(w, e);
    } else if (e->kind == DISPATCH_SEND_JOB) {
        send_job(w, e);
    } else if (e->kind == DISPATCH_ARM_TIMER) {
        w->timer_ms = e->at_ms > w->now_ms ? e->at_ms : w->now_ms + 1;
    }
    if (message.kind != MESSAGE_NONE)
        network_post(w, TO_RELAY, e->relay, &message);
}

/* A core that asks for what can't be is wrong, but mustn't take the simulator along. */
static bool sane(struct world *w, const struct dispatch_effect *e)
{
    bool of_relay = e->relay < w->options.relay_count || e->relay == DISPATCH_RELAY_NONE;
    bool of_push = e->generation == 0 || (e->generation <= GENERATIONS && e->push.bytes[0] >= 1 &&
                                          e->push.bytes[0] <= PUSHES);
    bool fine = of_relay && of_push && e->target_no < w->options.target_count &&
                e->history.relay < w->options.relay_count;
    REQUIRE(w, fine, "effect.sane", "effect %d: relay %u, generation %u, target %u", (int)e->kind,
            e->relay, e->generation, e->target_no);
    return fine;
}

/* Which steps a crash may follow. Classic worlds know of few. */
static bool may_die(const struct world *w, const struct dispatch_event *event)
{
    return !w->healed && (!w->options.classic || event->kind == DISPATCH_HELLO ||
                          event->kind == DISPATCH_HEARTBEAT || event->kind == DISPATCH_RESULTS ||
                          event->kind == DISPATCH_TICK);
}

static bool persists(const struct dispatch_effect *e)
{
    return e->kind == DISPATCH_PERSIST_OUTCOME || e->kind == DISPATCH_PERSIST_CERTAIN ||
           e->kind == DISPATCH_PERSIST_LEASE || e->kind == DISPATCH_PERSIST_EPOCH ||
           e->kind == DISPATCH_PERSIST_STANDING || e->kind == DISPATCH_PERSIST_CLOSED;
}

static bool any_persists(const struct dispatch_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        if (persists(&effects->items[i]))
            return true;
    return false;
}

/* What is left of the step's effects, `until` of all. */
static void carry_out_rest(struct world *w, size_t next, size_t until, bool may_pause)
{
    for (size_t i = next; i < until; i++) {
        if (!sane(w, &w->effects.items[i]))
            continue;
        if (may_pause && fault_pauses(w, COORDINATOR)) {
            w->core_plight.rest_from = i;
            w->core_plight.rest = true;
            return;
        }
        carry_out(w, &w->effects.items[i]);
    }
}

/* Returns whether the process is still there. */
static bool step(struct world *w, struct dispatch_event *event)
{
    uint32_t leased[RELAYS];
    bool told = event->kind == DISPATCH_HELLO || event->kind == DISPATCH_HEARTBEAT ||
                event->kind == DISPATCH_RESULTS || event->kind == DISPATCH_TICK;
    event->now_ms = world_boot_ms(w);
    event->now_unix_ms = world_unix_ms(w, COORDINATOR);
    credit_before(w, leased);
    dispatch_step(w->core, event, &w->effects);
    credit_given(w, leased);
    w->events++;
    bool kept = true;
    bool dies = may_die(w, event) && one_in(w, w->options.core_dies_one_in);
    bool failed = any_persists(&w->effects) && fault_disk(w, COORDINATOR, &kept);
    if (dies && !failed)
        kept = chance(w, w->options.core_kept_percent);
    story_core(w, &dies, &kept);
    for (size_t i = 0; kept && i < w->effects.count; i++)
        if (sane(w, &w->effects.items[i]))
            store_persist(w, &w->effects.items[i]);
    size_t sent = !kept || failed ? 0
                  : dies          ? below(w, (uint32_t)w->effects.count + 1)
                                  : w->effects.count;
    if (dies && w->story != NULL)
        sent = 0;
    carry_out_rest(w, 0, sent, told && !dies);
    if (dies || failed)
        TRACE(w, "coordinator", "dies %s its commit", kept ? "after" : "before");
    return !dies && !failed;
}

void coordinator_goes_on(struct world *w)
{
    w->core_plight.rest = false;
    TRACE(w, "coordinator", "goes on");
    carry_out_rest(w, w->core_plight.rest_from, w->effects.count, true);
}

static struct dispatch_event known_event(const struct world *w, uint16_t relay)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known =
        (struct dispatch_relay_known){relay, site_of_relay(w, relay), w->store.epoch[relay]};
    return event;
}

static struct dispatch_event standing_event(const struct world *w, uint16_t relay)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_STANDING};
    event.relay_standing = (struct dispatch_relay_standing){relay, w->store.standing[relay]};
    return event;
}

static struct dispatch_event ended_event(int slot)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
    event.push_ended.push = id_of(slot);
    event.push_ended.generation = generation_of(slot);
    return event;
}

static bool tell_ended(struct world *w, int slot)
{
    struct dispatch_event event = ended_event(slot);
    return step(w, &event);
}

static bool tell_opened(struct world *w, int slot)
{
    struct store_opened opened;
    store_open(w, slot, &opened);
    opened.event.push_opened.restored = w->told;
    return step(w, &opened.event);
}

static bool tell_relay(struct world *w, uint16_t relay)
{
    struct dispatch_event known = known_event(w, relay);
    struct dispatch_event standing = standing_event(w, relay);
    return step(w, &known) && step(w, &standing);
}

static const struct dispatch_config config = {LEASE_MS, HEARTBEAT_MS, GRACE_MS, RESEND_MS};

/* What was done since the copy was made may have been stopped or cancelled in that time. */
static void stop_restored(struct world *w)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (!is_newest(w, slot) || w->store.state[slot] != PUSH_OPEN)
            continue;
        w->store.state[slot] = PUSH_STOPPED;
        w->stopped_ms[slot] = w->now_ms;
    }
}

static bool try_to_start(struct world *w)
{
    dispatch_free(w->core);
    w->core = dispatch_new(&config);
    w->core_life++;
    w->told = w->told_start;
    w->timer_ms = w->now_ms;
    if (w->told)
        stop_restored(w);
    TRACE(w, "coordinator", "starts");
    for (uint16_t relay = 0; relay < w->options.relay_count; relay++)
        if (!tell_relay(w, relay))
            return false;
    for (int slot = 0; slot < SLOTS; slot++)
        if (is_newest(w, slot) &&
            !(store_slot_open(w, slot) ? tell_opened(w, slot) : tell_ended(w, slot)))
            return false;
    return true;
}

static void stay_away(struct world *w, uint64_t for_ms)
{
    dispatch_free(w->core);
    w->core = NULL;
    w->core_up_at_ms = w->now_ms + for_ms;
}

void coordinator_start(struct world *w)
{
    w->core_plight.rest = false;
    w->core_plight.paused_until_ms = 0;
    if (w->core_plight.spent) { /* it can't write: it ends, and is started again */
        stay_away(w, 1000);
        return;
    }
    while (!try_to_start(w))
        if (w->core_plight.spent) {
            stay_away(w, 1000);
            return;
        }
    w->told_start = false;
}

static void ended(struct world *w)
{
    if (w->options.core_down_ms > 0 && !w->healed)
        stay_away(w, 1 + below(w, w->options.core_down_ms));
    else
        coordinator_start(w);
}

static void quiet_step(const struct world *w, struct dispatch *core, struct dispatch_event *event,
                       struct dispatch_effects *effects)
{
    event->now_ms = world_boot_ms(w);
    event->now_unix_ms = world_unix_ms(w, COORDINATOR);
    dispatch_step(core, event, effects);
}

struct dispatch *coordinator_rebuild(const struct world *w)
{
    struct dispatch *core = dispatch_new(&config);
    struct dispatch_effects effects;
    dispatch_effects_init(&effects);
    for (uint16_t relay = 0; relay < w->options.relay_count; relay++) {
        struct dispatch_event known = known_event(w, relay);
        struct dispatch_event standing = standing_event(w, relay);
        quiet_step(w, core, &known, &effects);
        quiet_step(w, core, &standing, &effects);
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        struct store_opened opened;
        struct dispatch_event ended = ended_event(slot);
        if (!is_newest(w, slot))
            continue;
        store_open(w, slot, &opened);
        quiet_step(w, core, store_slot_open(w, slot) ? &opened.event : &ended, &effects);
    }
    dispatch_effects_release(&effects);
    return core;
}

void coordinator_step(struct world *w, struct dispatch_event *event)
{
    if (!step(w, event))
        ended(w);
    else if (w->events % REBUILD_STEPS == 0)
        store_rebuilt_look(w);
}

void coordinator_hears(struct world *w, const struct item *item)
{
    struct message message;
    uint16_t relay = relay_of(w, item->relay);
    struct dispatch_event event = {.relay = relay};
    if (!network_open(w, item, &message))
        return;
    w->line[relay] = item->relay;
    if (message.kind == MESSAGE_HELLO) {
        event.kind = DISPATCH_HELLO;
        event.hello = &message.hello;
    } else if (message.kind == MESSAGE_HEARTBEAT) {
        event.kind = DISPATCH_HEARTBEAT;
        event.heartbeat = &message.heartbeat;
    } else {
        event.kind = DISPATCH_RESULTS;
        event.results = &message.results;
    }
    coordinator_step(w, &event);
    if (w->core != NULL)
        credit_held(w, relay);
    message_release(&message);
}

void coordinator_tell_standing(struct world *w, uint16_t relay)
{
    struct dispatch_event event = standing_event(w, relay);
    coordinator_step(w, &event);
}

void coordinator_tell_retry(struct world *w, int slot)
{
    if (!tell_ended(w, slot) || !tell_opened(w, slot + PUSHES))
        ended(w);
}
