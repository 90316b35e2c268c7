/* See relay.h. */
#include "tests/sim/relay.h"

#include <string.h>

#include "common/base/text.h"
#include "tests/sim/fault.h"
#include "tests/sim/flow.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/journal.h"
#include "tests/sim/network.h"
#include "tests/sim/target.h"
#include "tests/sim/trace.h"

enum { REBUILD_STEPS = 61 }; /* so often the journal is compared with the live core */
enum { LAZY_MS = 1000 };

void relay_start(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    struct agent_config config;
    if (relay->plight.spent) { /* it can't write: it ends, and is started again */
        relay->up_at_ms = w->now_ms + 1000;
        return;
    }
    agent_config_defaults(&config);
    config.hello.instance = w->random ^ w->now_ms;
    (void)snprintf(config.hello.relay_name, sizeof config.hello.relay_name, "r%u",
                   relay_of(w, number));
    config.held_max = credit_of(w, number);
    config.read_back_ms = 20000;
    if (w->options.window > 0)
        config.resolve_max = config.ping_max = config.session_max = w->options.window;
    relay->agent = agent_new(&config);
    relay->life++;
    relay->timer_ms = w->now_ms + 1;
    relay->started_ms = w->now_ms;
    relay->intake_closed = relay->urgent = relay->plight.rest = false;
    relay->plight.paused_until_ms = 0;
    memset(relay->running, 0, sizeof relay->running);
    TRACE(w, relay_word(number), "starts");
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++) {
            struct agent_event event;
            if (journal_event(w, number, slot, no, &event) && relay->agent != NULL)
                relay_step(w, number, &event);
        }
    relay_look_at_disk(w, number);
    struct agent_event up = {.kind = AGENT_LINK_UP};
    if (relay->agent != NULL)
        relay_step(w, number, &up);
}

void relay_look_at_disk(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    struct agent_event event = {.kind = AGENT_INTAKE, .intake = !relay->plight.full};
    if (relay->agent == NULL || relay->plight.paused_until_ms > w->now_ms ||
        relay->intake_closed == relay->plight.full)
        return;
    relay->intake_closed = relay->plight.full;
    relay_step(w, number, &event);
}

void relay_kill(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    agent_free(relay->agent);
    relay->agent = NULL;
    disk_crash(&relay->disk);
    relay->plight.rest = false;
    relay->up_at_ms =
        w->now_ms + 1 + below(w, chance(w, w->options.long_down_percent) ? 60000 : 3000);
    bool for_good = number == w->lost_relay && number < w->options.relay_count;
    if (for_good)
        relay->up_at_ms = NEVER_MS;
    TRACE(w, relay_word(number), "dies%s", for_good ? " for good" : "");
}

static void drop(struct world *w, uint16_t number, uint64_t key)
{
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (w->relays[number].running[slot][no] == key)
                w->relays[number].running[slot][no] = 0;
}

static void carry_out(struct world *w, uint16_t number, const struct agent_effect *e)
{
    struct message message = {.kind = MESSAGE_NONE};
    switch (e->kind) {
    case AGENT_PERSIST_INTENT:
    case AGENT_PERSIST_OUTCOME:
    case AGENT_JOURNAL_RENEW:
    case AGENT_JOURNAL_ACKED:
    case AGENT_JOURNAL_FORGET:
        journal_write(w, number, e);
        break;
    case AGENT_SEND_HELLO:
        disk_says(w, number, e->hello.credit);
        message.kind = MESSAGE_HELLO;
        message.hello = e->hello;
        break;
    case AGENT_SEND_HEARTBEAT:
        disk_says(w, number, e->heartbeat.credit);
        message.kind = MESSAGE_HEARTBEAT;
        message.heartbeat = e->heartbeat;
        break;
    case AGENT_SEND_PERMIT_GET: /* no account is shared here */
        break;
    case AGENT_SEND_RESULTS:
    case AGENT_SEND_CANCELLED:
    case AGENT_SEND_SCHEDULED:
        journal_send(w, number, e);
        break;
    case AGENT_RUN_STAGE:
        target_run_stage(w, number, e);
        break;
    case AGENT_LOGON:
        target_log_on(w, number, e->key);
        break;
    case AGENT_DROP:
        drop(w, number, e->key);
        break;
    case AGENT_FETCH_PACKAGE:
        later(w, PACKAGE_HERE, number, 1 + below(w, 3000))->job_no = e->job_no;
        break;
    case AGENT_ARM_TIMER:
        w->relays[number].timer_ms = e->timer_ms;
        break;
    case AGENT_REMOVE_JOB:
    case AGENT_FINISHED:
        break;
    }
    if (message.kind != MESSAGE_NONE)
        network_post(w, TO_COORDINATOR, number, &message);
}

/* A core that names what can't be is wrong, but mustn't take the simulator along. */
static bool sane_ref(const struct world *w, const struct agent_ref *ref)
{
    return ref->generation >= 1 && ref->generation <= GENERATIONS && ref->push.bytes[0] >= 1 &&
           ref->push.bytes[0] <= PUSHES && ref->target_no < w->options.target_count;
}

static bool sane(struct world *w, uint16_t number, const struct agent_effect *e)
{
    const struct agent_effects *all = &w->relays[number].effects;
    bool fine = true;
    if (e->kind == AGENT_PERSIST_INTENT || e->kind == AGENT_PERSIST_OUTCOME ||
        e->kind == AGENT_JOURNAL_RENEW)
        fine = sane_ref(w, &e->persist.ref);
    else if (e->kind == AGENT_JOURNAL_ACKED || e->kind == AGENT_SEND_RESULTS ||
             e->kind == AGENT_SEND_CANCELLED || e->kind == AGENT_SEND_SCHEDULED)
        for (uint32_t i = 0; i < e->rows.ref_count; i++)
            fine = fine && sane_ref(w, &all->refs[e->rows.first_ref + i]);
    REQUIRE(w, fine, "effect.sane", "effect %d of r%u names no target", (int)e->kind, number);
    return fine;
}

/* Which steps a crash may follow. Classic worlds know of few. */
static bool may_die(const struct world *w, const struct agent_event *event, size_t effect_count)
{
    return !w->healed && effect_count > 0 && (!w->options.classic || event->kind > AGENT_LINK_UP);
}

static void look(struct world *w, uint16_t number, const struct agent_event *event)
{
    credit_relay(w, number);
    windows_look(w, number);
    if (event->kind != AGENT_JOURNAL_INTENT && event->kind != AGENT_JOURNAL_OUTCOME &&
        w->events % REBUILD_STEPS == 0)
        journal_rebuilt_look(w, number);
}

static bool persists(const struct agent_effect *e)
{
    return e->kind == AGENT_PERSIST_INTENT || e->kind == AGENT_PERSIST_OUTCOME ||
           e->kind == AGENT_JOURNAL_RENEW || e->kind == AGENT_JOURNAL_ACKED ||
           e->kind == AGENT_JOURNAL_FORGET;
}

/* Acknowledgements wait for the next write that can't, or a second. Returns whether the process
 * goes on. */
static bool commit(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    bool durable = true;
    if (!disk_dirty(&relay->disk) || (!relay->urgent && w->now_ms < relay->committed_ms + LAZY_MS))
        return true;
    relay->urgent = false;
    relay->committed_ms = w->now_ms;
    bool failed = fault_disk(w, number, &durable);
    if (durable)
        disk_commit(&relay->disk);
    return !failed;
}

/* The effects from `next` on that persist nothing, `until` of all. */
static void carry_out_rest(struct world *w, uint16_t number, size_t next, size_t until)
{
    struct relay *relay = &w->relays[number];
    for (size_t i = next; i < until && !relay->kill; i++) {
        const struct agent_effect *e = &relay->effects.items[i];
        if (persists(e) || !sane(w, number, e))
            continue;
        if (fault_pauses(w, number)) {
            relay->plight.rest_from = i;
            relay->plight.rest = true;
            return;
        }
        carry_out(w, number, e);
    }
}

/* As the real shell does: what persists first, together; then the rest, in order. */
static void carry_out_all(struct world *w, uint16_t number, bool dies)
{
    struct relay *relay = &w->relays[number];
    size_t until = dies ? below(w, (uint32_t)relay->effects.count + 1) : relay->effects.count;
    for (size_t i = 0; i < relay->effects.count && !relay->kill; i++) {
        const struct agent_effect *e = &relay->effects.items[i];
        if (!persists(e) || !sane(w, number, e))
            continue;
        carry_out(w, number, e);
        relay->urgent |= e->kind != AGENT_JOURNAL_ACKED;
    }
    if (relay->kill || (dies && until == 0))
        return;
    if (commit(w, number))
        carry_out_rest(w, number, 0, until);
    else
        relay->kill = true;
}

void relay_goes_on(struct world *w, uint16_t number)
{
    struct relay *relay = &w->relays[number];
    relay->plight.rest = false;
    TRACE(w, relay_word(number), "goes on");
    carry_out_rest(w, number, relay->plight.rest_from, relay->effects.count);
    if (relay->kill)
        relay_kill(w, number);
    relay->kill = false;
}

void relay_step(struct world *w, uint16_t number, struct agent_event *event)
{
    struct relay *relay = &w->relays[number];
    if (relay->plight.rest) /* what its last step asked for comes first */
        relay_goes_on(w, number);
    if (relay->agent == NULL || relay->plight.rest)
        return;
    event->now_ms = world_boot_ms(w);
    event->now_unix_ms = world_unix_ms(w, number);
    relay->plight.decided_ms = w->now_ms;
    relay->plight.decided_unix_ms = event->now_unix_ms;
    agent_step(relay->agent, event, &relay->effects);
    w->events++;
    size_t until = relay->effects.count;
    bool dies = may_die(w, event, until) && one_in(w, w->options.relay_dies_one_in);
    if (!w->options.classic) {
        carry_out_all(w, number, dies);
    } else {
        if (dies)
            until = below(w, (uint32_t)until + 1);
        for (size_t i = 0; i < until && !relay->kill; i++)
            if (sane(w, number, &relay->effects.items[i]))
                carry_out(w, number, &relay->effects.items[i]);
        disk_commit(&relay->disk);
    }
    if (dies || relay->kill)
        relay_kill(w, number);
    else
        look(w, number, event);
    relay->kill = false;
}

/* In some worlds one relay doesn't trust whoever resumed first. */
static bool refuses(const struct world *w, uint16_t relay, uint64_t counter)
{
    return w->options.one_refuses && relay == 1 && counter == 2;
}

enum { CLOCK_SKEW_MS = 300000, USELESS_AFTER_MS = 900000 };

/* Why a job isn't taken; NULL: it is. See relay/vet.c and relay/shell_jobs.c. */
static const char *refusal_of(struct world *w, uint16_t number, int slot, uint64_t counter,
                              bool *forgotten)
{
    const struct journal *journal = &w->relays[number].journal;
    uint64_t last_ms = w->options.wait ? wait_until_ms(w) : w->options.not_after_ms;
    uint64_t unix_ms = world_unix_ms(w, number);
    *forgotten = journal->forgotten[slot];
    if (refuses(w, number, counter))
        return "not signed by anybody trusted here";
    if (unix_ms + CLOCK_SKEW_MS < UNIX_START_MS)
        return "the job is not valid yet";
    if (unix_ms > UNIX_START_MS + last_ms + USELESS_AFTER_MS)
        return "the job expired";
    for (int newer = slot + PUSHES; newer < SLOTS; newer += PUSHES)
        if (journal->counter[newer] > 0)
            return "a newer generation of this push was signed";
    if (journal->forgotten[slot])
        return "this push is closed already";
    return counter < journal->counter[slot] ? "a newer signed job of this push was seen" : NULL;
}

static void hears_job(struct world *w, uint16_t number, const struct message_job *said)
{
    int slot = said->signed_job[0];
    uint64_t counter = said->signed_job[1];
    struct relay *relay = &w->relays[number];
    struct push_id id = id_of(slot);
    bool forgotten = false;
    if (relay->journal.forgotten[slot] && w->options.classic)
        return;
    const char *refusal = refusal_of(w, number, slot, counter, &forgotten);
    if (refusal == NULL && agent_knows_job(relay->agent, &id, generation_of(slot), counter))
        return;
    struct agent_job job = {
        .push = id,
        .generation = generation_of(slot),
        .accepted = refusal == NULL,
        .forgotten = refusal != NULL && forgotten,
        .counter = counter,
        .not_after_unix_ms = (int64_t)(UNIX_START_MS + w->options.not_after_ms),
        .wait = w->options.wait,
        .wait_until_unix_ms = (int64_t)(UNIX_START_MS + wait_until_ms(w)),
        .job_no = ++w->job_no,
        .credential_no = 1,
    };
    if (refusal != NULL)
        (void)text_copy(job.refusal, sizeof job.refusal, refusal);
    else
        journal_job(w, number, slot, counter);
    struct agent_event event = {.kind = AGENT_JOB, .job = &job};
    relay_step(w, number, &event);
}

static struct agent_event event_of(const struct message *message)
{
    struct agent_event event = {.kind = AGENT_TICK};
    if (message->kind == MESSAGE_WELCOME) {
        event.kind = AGENT_WELCOME;
        event.welcome = message->welcome;
    } else if (message->kind == MESSAGE_HEARTBEAT_ACK) {
        event.kind = AGENT_HEARTBEAT_ACK;
        event.heartbeat_ack = message->heartbeat_ack;
    } else if (message->kind == MESSAGE_RESULTS_ACK) {
        event.kind = AGENT_RESULTS_ACK;
        event.results_ack = message->results_ack;
    } else if (message->kind == MESSAGE_STOP || message->kind == MESSAGE_CLOSE) {
        event.kind = message->kind == MESSAGE_STOP ? AGENT_STOP : AGENT_CLOSE;
        event.push_ref = message->push_ref;
    } else {
        const struct message_lease *lease = &message->lease;
        event.kind = AGENT_LEASE;
        event.lease =
            (struct agent_lease){lease->epoch,   lease->push,        lease->generation,  true,
                                 lease->entries, lease->entry_count, lease->stop_counter};
    }
    return event;
}

void relay_hears(struct world *w, const struct item *item)
{
    struct message message;
    if (!network_open(w, item, &message))
        return;
    stop_kept_heard(w, item->relay, &message);
    if (message.kind == MESSAGE_JOB) {
        hears_job(w, item->relay, &message.job);
    } else {
        struct agent_event event = event_of(&message);
        relay_step(w, item->relay, &event);
    }
    message_release(&message);
}

void relay_stage_ends(struct world *w, struct item *item)
{
    struct relay *relay = &w->relays[item->relay];
    char text[16];
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; no < w->options.target_count; no++)
            if (relay->running[slot][no] == item->done.key) {
                struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &item->done};
                (void)target_output(slot, no, text);
                item->done.output = item->done.output_size > 0 ? (const uint8_t *)text : NULL;
                if (item->kind == PORT_ANSWERED)
                    event = (struct agent_event){.kind = AGENT_CONNECTED, .key = item->done.key};
                relay_step(w, item->relay, &event);
                return;
            }
}

void relay_package_here(struct world *w, const struct item *item)
{
    struct agent_event event = {.kind = AGENT_PACKAGE_READY};
    event.package.job_no = item->job_no;
    relay_step(w, item->relay, &event);
}
