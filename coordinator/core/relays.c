/* Relays: who may work, who is live, in which epoch; and who turns out to be two. */
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/core/dispatch_state.h"

/* ---- what the shell tells ---- */

static bool let_in(const struct dispatch_relay *relay)
{
    return relay->standing == RELAY_ACTIVE || relay->standing == RELAY_DRAINING;
}

/* Who was put out stays out: what it may have been leased is in any copy of the store. */
bool relay_counts(const struct dispatch_relay *relay)
{
    return relay->known && (let_in(relay) || relay->standing == RELAY_PENDING);
}

uint16_t relay_first_of_site(const struct dispatch *core, uint16_t site)
{
    return site < core->site_count ? core->sites[site].first_relay : DISPATCH_RELAY_NONE;
}

static void leave_site(struct dispatch *core, uint16_t relay_no)
{
    struct dispatch_relay *relay = &core->relays[relay_no];
    uint16_t *link = &core->sites[relay->site].first_relay;
    while (*link != relay_no)
        link = &core->relays[*link].next_of_site;
    *link = relay->next_of_site;
}

static void join_site(struct dispatch *core, uint16_t relay_no, uint16_t site)
{
    if (site >= core->site_count) {
        core->sites = mem_resize(core->sites, site + 1U, sizeof *core->sites);
        for (; core->site_count <= site; core->site_count++)
            core->sites[core->site_count] = (struct dispatch_site){DISPATCH_RELAY_NONE, 0};
    }
    struct dispatch_relay *relay = &core->relays[relay_no];
    relay->site = site;
    relay->next_of_site = core->sites[site].first_relay;
    core->sites[site].first_relay = relay_no;
}

void on_relay_known(struct dispatch_turn *turn, const struct dispatch_relay_known *known)
{
    struct dispatch *core = turn->core;
    if (known->relay == DISPATCH_RELAY_NONE)
        return;
    if (known->relay >= core->relay_count) {
        uint16_t count = (uint16_t)(known->relay + 1);
        core->relays = mem_resize(core->relays, count, sizeof *core->relays);
        memset(core->relays + core->relay_count, 0,
               (size_t)(count - core->relay_count) * sizeof *core->relays);
        core->relay_count = count;
    }
    struct dispatch_relay *relay = &core->relays[known->relay];
    if (relay->known && relay->site != known->site) {
        relay_gone(turn, known->relay); /* what it holds is of its site before */
        leave_site(core, known->relay);
        join_site(core, known->relay, known->site);
    } else if (!relay->known) {
        relay->known = true;
        relay->standing = RELAY_ACTIVE;
        join_site(core, known->relay, known->site);
    }
    if (known->epoch > relay->epoch)
        relay->epoch = known->epoch;
}

static void set_live(struct dispatch *core, uint16_t relay_no, bool live)
{
    struct dispatch_relay *relay = &core->relays[relay_no];
    if (relay->live == live)
        return;
    relay->live = live;
    core->sites[relay->site].live_count += live ? 1U : UINT32_MAX;
    for (uint32_t i = 0; i < core->push_count; i++)
        ledger_live(core->pushes[i], relay->site, live);
}

void relay_gone(struct dispatch_turn *turn, uint16_t relay)
{
    lease_revoke(turn, relay);
    set_live(turn->core, relay, false);
}

void on_relay_standing(struct dispatch_turn *turn, const struct dispatch_relay_standing *said)
{
    struct dispatch *core = turn->core;
    if (said->relay >= core->relay_count || !core->relays[said->relay].known)
        return;
    struct dispatch_relay *relay = &core->relays[said->relay];
    relay->standing = said->standing;
    if (!let_in(relay)) {
        relay_gone(turn, said->relay);
        memset(relay->replaced, 0, sizeof relay->replaced);
        relay->epoch_first = 0;
    } else {
        lease_fill(turn, said->relay, true);
    }
}

/* ---- clones ----
 *
 * A process that another one replaced is gone, or will be in a moment: what it has sent may still
 * come, in one burst when the connection ends. When it goes on speaking after a heartbeat's time,
 * twice and half a heartbeat apart, two processes have the same keys. It never gets an epoch
 * again, whatever life of its own it says HELLO in.
 *
 * That goes for one whose replacer has spoken in the epoch it was given. Else the replacer may be
 * the one that is gone, and what replaced was a late HELLO: then the other one comes back. */

/* Instances of one process count up; those of others are random. */
#define LIVES_MAX (1U << 20)

static bool same_process(uint64_t a, uint64_t b)
{
    return a - b < LIVES_MAX || b - a < LIVES_MAX;
}

/* The present process, though perhaps in an earlier or a later life. */
static bool is_present(const struct dispatch_relay *relay, uint64_t instance)
{
    return relay->epoch_first != 0 && same_process(relay->instance, instance);
}

static void note_replaced(struct dispatch_relay *relay, uint64_t now_ms)
{
    if (relay->epoch_first == 0)
        return; /* nobody was there since the core started */
    relay->replaced[relay->replaced_next] =
        (struct dispatch_replaced){.instance = relay->instance,
                                   .epoch_first = relay->epoch_first,
                                   .epoch_last = relay->epoch,
                                   .at_ms = now_ms};
    relay->replaced_next = (relay->replaced_next + 1) % DISPATCH_REPLACED_MAX;
}

static void suspect(struct dispatch_turn *turn, uint16_t relay_no, struct dispatch_replaced *other)
{
    const struct dispatch_config *config = &turn->core->config;
    if (!turn->core->relays[relay_no].answered ||
        turn->now_ms < other->at_ms + config->heartbeat_ms)
        return;
    if (other->suspect_ms == 0) {
        other->suspect_ms = turn->now_ms;
        return;
    }
    if (turn->now_ms - other->suspect_ms < config->heartbeat_ms / 2)
        return;
    struct dispatch_relay_standing cloned = {relay_no, RELAY_CLONED};
    turn_to_relay(turn, DISPATCH_PERSIST_STANDING, relay_no)->standing = RELAY_CLONED;
    on_relay_standing(turn, &cloned);
}

static struct dispatch_replaced *replaced_instance(struct dispatch_relay *relay, uint64_t instance)
{
    for (uint32_t i = 0; i < DISPATCH_REPLACED_MAX; i++)
        if (relay->replaced[i].epoch_first != 0 &&
            same_process(relay->replaced[i].instance, instance))
            return &relay->replaced[i];
    return NULL;
}

static struct dispatch_replaced *replaced_epoch(struct dispatch_relay *relay, uint64_t epoch)
{
    for (uint32_t i = 0; i < DISPATCH_REPLACED_MAX; i++)
        if (epoch != 0 && epoch >= relay->replaced[i].epoch_first &&
            epoch <= relay->replaced[i].epoch_last)
            return &relay->replaced[i];
    return NULL;
}

/* ---- what relays say ---- */

/* NULL, and counted: nobody we listen to. */
static struct dispatch_relay *relay_let_in(struct dispatch *core, uint16_t relay)
{
    if (relay >= core->relay_count || !core->relays[relay].known) {
        core->counts[DISPATCH_COUNT_STRANGER]++;
        return NULL;
    }
    if (!let_in(&core->relays[relay])) {
        core->counts[DISPATCH_COUNT_OUT]++;
        return NULL;
    }
    return &core->relays[relay];
}

struct dispatch_relay *relay_of_epoch(struct dispatch *core, uint16_t relay_no, uint64_t epoch)
{
    struct dispatch_relay *relay = relay_let_in(core, relay_no);
    if (relay != NULL && (!relay->live || relay->epoch != epoch)) {
        core->counts[DISPATCH_COUNT_EPOCH]++;
        return NULL;
    }
    if (relay != NULL)
        relay->answered = true;
    return relay;
}

static void set_credit(struct dispatch_relay *relay, uint32_t credit)
{
    relay->credit = credit < DISPATCH_CREDIT_MAX ? credit : DISPATCH_CREDIT_MAX;
}

static void send_ended(struct dispatch_turn *turn, uint16_t relay)
{
    const struct dispatch *core = turn->core;
    for (uint32_t i = 0; i < core->ended_count; i++) {
        struct dispatch_effect *close = turn_to_relay(turn, DISPATCH_SEND_CLOSE, relay);
        close->push = core->ended[i].push;
        close->generation = core->ended[i].generation;
    }
}

/* Epochs are times, or follow on them: whoever names one this far ahead was never given it. */
#define EPOCH_AHEAD_MAX_MS (UINT64_C(366) * 86400 * 1000)

/* Leases that nothing here tells of may be out: what this core has given out since it started is
 * taken back, and goes out again under attempts that are above those. A relay's word counts for its
 * own site: each has relays that say so when it is true, and one that lies harms no other. */
static void see_old_copy(struct dispatch_turn *turn, uint16_t relay_no, uint64_t epoch)
{
    struct dispatch *core = turn->core;
    core->relays[relay_no].epoch = epoch;
    core->counts[DISPATCH_COUNT_OLD_COPY]++;
    uint16_t site = core->relays[relay_no].site;
    for (uint32_t i = 0; i < core->push_count; i++) {
        const struct ledger_queue *queue = ledger_queue_of(core->pushes[i], site);
        if (queue == NULL || queue->suspect)
            continue;
        lease_revoke_site(turn, core->pushes[i], site);
        recover_suspect(turn, core->pushes[i], site);
    }
}

static void new_epoch(struct dispatch_turn *turn, uint16_t relay_no, uint64_t instance)
{
    struct dispatch_relay *relay = &turn->core->relays[relay_no];
    lease_revoke(turn, relay_no);
    memset(relay->running, 0, sizeof relay->running);
    relay->awaiting = 0;
    bool other = !is_present(relay, instance);
    if (other) {
        struct dispatch_replaced *back = replaced_instance(relay, instance);
        if (back != NULL)
            *back = (struct dispatch_replaced){0};
        note_replaced(relay, turn->now_ms);
        relay->answered = false;
    }
    set_live(turn->core, relay_no, true);
    relay->instance = instance;
    /* Rises even when the store was restored from an old copy. */
    relay->epoch = turn->now_unix_ms > relay->epoch ? turn->now_unix_ms : relay->epoch + 1;
    if (other)
        relay->epoch_first = relay->epoch;
    (void)turn_to_relay(turn, DISPATCH_PERSIST_EPOCH, relay_no);
}

/* A HELLO of an earlier life of the present process, which a later one has overtaken, or of a
 * process that was replaced. */
static bool is_overtaken(struct dispatch_turn *turn, uint16_t relay_no, uint64_t instance)
{
    struct dispatch_relay *relay = &turn->core->relays[relay_no];
    if (is_present(relay, instance))
        return relay->instance - instance < LIVES_MAX && instance != relay->instance;
    struct dispatch_replaced *replaced = replaced_instance(relay, instance);
    if (replaced == NULL || !relay->answered)
        return false;
    suspect(turn, relay_no, replaced);
    return true;
}

void on_hello(struct dispatch_turn *turn, uint16_t relay_no, const struct message_hello *hello)
{
    struct dispatch_relay *relay = relay_let_in(turn->core, relay_no);
    if (relay == NULL)
        return;
    if (hello->protocol_version != MESSAGE_PROTOCOL_VERSION) {
        turn->core->counts[DISPATCH_COUNT_VERSION]++;
        return;
    }
    if (is_overtaken(turn, relay_no, hello->instance)) {
        turn->core->counts[DISPATCH_COUNT_REPLACED]++;
        return;
    }
    if (hello->epoch > relay->epoch && hello->epoch <= turn->now_unix_ms + EPOCH_AHEAD_MAX_MS)
        see_old_copy(turn, relay_no, hello->epoch);
    bool reconnect = relay->live && relay->instance == hello->instance;
    relay->heard = true;
    relay->heard_ms = turn->now_ms;
    set_credit(relay, hello->credit);
    if (!reconnect)
        new_epoch(turn, relay_no, hello->instance);
    struct dispatch_effect *welcome = turn_to_relay(turn, DISPATCH_SEND_WELCOME, relay_no);
    welcome->instance = hello->instance;
    welcome->sent_boottime_ms = hello->sent_boottime_ms;
    send_ended(turn, relay_no);
    if (reconnect)
        lease_repeat(turn, relay_no, UINT32_MAX);
    else
        lease_ask(turn, relay_no);
    lease_fill(turn, relay_no, true);
}

void on_heartbeat(struct dispatch_turn *turn, uint16_t relay_no,
                  const struct message_heartbeat *heartbeat)
{
    struct dispatch_relay *relay = relay_of_epoch(turn->core, relay_no, heartbeat->epoch);
    if (relay == NULL) {
        if (relay_no >= turn->core->relay_count || !let_in(&turn->core->relays[relay_no]))
            return;
        struct dispatch_replaced *replaced =
            replaced_epoch(&turn->core->relays[relay_no], heartbeat->epoch);
        if (replaced != NULL)
            suspect(turn, relay_no, replaced);
        return;
    }
    relay->heard_ms = turn->now_ms;
    set_credit(relay, heartbeat->credit);
    memcpy(relay->running, heartbeat->running, sizeof relay->running);
    relay->awaiting = heartbeat->awaiting;
    turn_to_relay(turn, DISPATCH_SEND_HEARTBEAT_ACK, relay_no)->sent_boottime_ms =
        heartbeat->sent_boottime_ms;
    lease_repeat_stops(turn, relay_no);
    lease_fill(turn, relay_no, true);
}
