/* Relays' links: their messages become events, effects become messages. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"

bool relay_link_admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    return relays_admitted(context, key) != NULL || enrol_admits(context, key);
}

bool package_link_admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    return relays_admitted(context, key) != NULL;
}

/* ---- in ---- */

/* Private mode: keeps the relay's name and sealing key as it says them. With sites they are those
 * of its certificate. */
static void note_said(struct coordinator *c, struct relay_slot *slot,
                      const struct message_hello *hello)
{
    struct store_relay *stored = &slot->stored;
    struct err err = {0};
    if (strcmp(stored->name, hello->relay_name) == 0 &&
        memcmp(stored->seal_key, hello->seal_key, LIMIT_KEY_BYTES) == 0)
        return;
    if (trust_has_sites(c)) {
        log_warning("relay %s says another name or sealing key than it enrolled with: ignored",
                    stored->name);
        return;
    }
    (void)text_copy(stored->name, sizeof stored->name, hello->relay_name);
    memcpy(stored->seal_key, hello->seal_key, LIMIT_KEY_BYTES);
    c->commit_due = true;
    if (store_relay_said(c->store, stored->relay, stored->name, stored->seal_key, &err) != 0)
        shell_store_failed(c, &err);
}

static void note_hello(struct coordinator *c, struct relay_slot *slot,
                       const struct message_hello *hello)
{
    const struct store_relay *stored = &slot->stored;
    char name[2 * LIMIT_SITE_NAME_SIZE];
    log_info("relay %u (%s): hello, credit %u", stored->relay,
             text_printable(name, sizeof name, hello->relay_name), hello->credit);
    if (hello->protocol_version != MESSAGE_PROTOCOL_VERSION) {
        log_warning("relay %u speaks protocol version %u, this is %u: ignored", stored->relay,
                    hello->protocol_version, MESSAGE_PROTOCOL_VERSION);
        return;
    }
    if (hello->epoch > stored->epoch && !c->options.restored)
        log_error("relay %u was given an epoch that the store doesn't know: the store is an old "
                  "copy. Rows that ended since this start may be wrong: see --restored",
                  stored->relay);
    (void)text_copy(slot->serve, sizeof slot->serve, hello->serve);
    note_said(c, slot, hello);
    if (trust_has_sites(c))
        trust_greet(c, slot, hello);
}

/* Of a relay whose leases hold: whoever is silent, or comes back, asks again. */
static void permit_get(struct coordinator *c, uint16_t relay, const struct message_permit_get *said)
{
    struct dispatch_relay_view view = dispatch_relay_look(c->core, relay);
    const struct permits_answer *answers = NULL;
    if (!view.live || view.epoch != said->epoch)
        return;
    size_t count =
        permits_take(c->permits, clock_boottime_ms(), relay, said->epoch, said, &answers);
    for (size_t i = 0; i < count; i++) {
        struct message message = {.kind = MESSAGE_PERMIT, .permit = answers[i].permit};
        const struct relay_slot *to = &c->relays[answers[i].relay];
        message.permit.epoch = dispatch_relay_look(c->core, answers[i].relay).epoch;
        if (to->reachable)
            shell_send(c, c->relay_link, &to->peer, &message);
    }
}

static void relay_message(struct coordinator *c, struct relay_slot *slot,
                          const struct message *message)
{
    struct dispatch_event event = {.relay = slot->stored.relay};
    if (message->kind == MESSAGE_HELLO) {
        note_hello(c, slot, &message->hello);
        event.kind = DISPATCH_HELLO;
        event.hello = &message->hello;
    } else if (message->kind == MESSAGE_HEARTBEAT) {
        event.kind = DISPATCH_HEARTBEAT;
        event.heartbeat = &message->heartbeat;
    } else if (message->kind == MESSAGE_RESULTS) {
        event.kind = DISPATCH_RESULTS;
        event.results = &message->results;
    } else if (message->kind == MESSAGE_PERMIT_GET) {
        permit_get(c, event.relay, &message->permit_get);
        return;
    } else {
        log_debug("relay %u: ignored %s", event.relay, message_kind_word(message->kind));
        return;
    }
    shell_step(c, &event);
    if (message->kind == MESSAGE_HELLO && trust_has_sites(c))
        trust_introduce(c, slot);
}

void relay_link_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                         size_t size)
{
    struct coordinator *c = context;
    struct relay_slot *slot = relays_admitted(c, peer->key);
    struct message message;
    struct err err = {0};
    if (c->stopping || (slot == NULL && !enrol_admits(c, peer->key)))
        return;
    if (wire_decode(bytes, size, &message, &err) != 0) {
        log_warning("%s: %s", slot != NULL ? slot->stored.name : "token", err.text);
        return;
    }
    if (slot == NULL) {
        enrol_received(c, peer, &message);
    } else {
        slot->peer = *peer;
        slot->reachable = true;
        relay_message(c, slot, &message);
    }
    message_release(&message);
}

/* ---- out ---- */

static int fill_job(struct coordinator *c, const struct dispatch_effect *effect,
                    struct message *message, struct err *err)
{
    struct job decoded = {0};
    struct buf job;
    struct buf credential;
    buf_init(&job, LIMIT_MESSAGE_BYTES_MAX);
    buf_init(&credential, LIMIT_MESSAGE_BYTES_MAX);
    message->kind = MESSAGE_JOB;
    int result = shell_stored_job(c, effect->push_key, &decoded, err);
    if (result == 0)
        result = store_push_blobs(c->store, effect->push_key, &job, NULL, err);
    if (result == 0)
        result = sealed_for(c, effect->push_key, &decoded, effect->relay, &credential, err);
    /* The message owns the buffers' memory from here, and is released by the caller. */
    message->job = (struct message_job){job.data, job.size, credential.data, credential.size};
    return result;
}

static int fill_lease(struct coordinator *c, const struct dispatch_effect *effect,
                      struct message *message, struct err *err)
{
    const struct dispatch_lease *leases = c->effects.leases + effect->lease_first;
    uint32_t count = effect->lease_count;
    struct message_lease *lease = &message->lease;
    uint32_t numbers[LIMIT_ROWS_PER_MESSAGE];

    message->kind = MESSAGE_LEASE;
    lease->epoch = effect->epoch;
    lease->push = effect->push;
    lease->generation = effect->generation;
    lease->stop_counter = effect->counter;
    lease->entries = mem_new(count, sizeof *lease->entries);
    for (uint32_t i = 0; i < count; i++) {
        struct lease_entry *entry = &lease->entries[lease->entry_count++];
        numbers[i] = entry->target_no = leases[i].target_no;
        entry->attempt = leases[i].attempt;
        if (store_target_name(c->store, effect->push_key, numbers[i], &entry->name, err) != 0)
            return -1;
    }
    struct merkle_tree *tree = book_tree(c, effect->push_key, err);
    if (tree == NULL)
        return -1;
    struct buf proof;
    buf_init(&proof, LIMIT_MESSAGE_BYTES_MAX);
    int result = merkle_tree_prove(tree, numbers, count, &proof, err);
    lease->proof = proof.data;
    lease->proof_size = proof.size;
    return result;
}

static int fill(struct coordinator *c, const struct dispatch_effect *effect,
                struct message *message, struct err *err)
{
    switch (effect->kind) {
    case DISPATCH_SEND_WELCOME:
        message->kind = MESSAGE_WELCOME;
        message->welcome =
            (struct message_welcome){effect->epoch, c->options.lease_ms, c->options.heartbeat_ms,
                                     effect->instance, effect->sent_boottime_ms};
        return 0;
    case DISPATCH_SEND_HEARTBEAT_ACK:
        message->kind = MESSAGE_HEARTBEAT_ACK;
        message->heartbeat_ack =
            (struct message_heartbeat_ack){effect->epoch, effect->sent_boottime_ms};
        return 0;
    case DISPATCH_SEND_RESULTS_ACK:
        message->kind = MESSAGE_RESULTS_ACK;
        message->results_ack = (struct message_results_ack){effect->epoch, effect->sequence};
        return 0;
    case DISPATCH_SEND_STOP:
    case DISPATCH_SEND_CLOSE:
        message->kind = effect->kind == DISPATCH_SEND_STOP ? MESSAGE_STOP : MESSAGE_CLOSE;
        message->push_ref = (struct message_push_ref){effect->epoch, effect->push,
                                                      effect->generation, effect->counter};
        return 0;
    case DISPATCH_SEND_JOB:
        return fill_job(c, effect, message, err);
    case DISPATCH_SEND_LEASE:
        return fill_lease(c, effect, message, err);
    case DISPATCH_PERSIST_OUTCOME:
    case DISPATCH_PERSIST_CERTAIN:
    case DISPATCH_PERSIST_STANDING:
    case DISPATCH_PERSIST_LEASE:
    case DISPATCH_PERSIST_EPOCH:
    case DISPATCH_PERSIST_CLOSED:
    case DISPATCH_ARM_TIMER:
        break;
    }
    return err_set(err, ERR_INTERNAL, "effect %d is no message", (int)effect->kind);
}

void relay_link_send(struct coordinator *c, const struct dispatch_effect *effect)
{
    struct message message = {0};
    struct err err = {0};
    const struct relay_slot *slot = &c->relays[effect->relay];
    if (!slot->reachable)
        return; /* the core repeats what matters */
    if (fill(c, effect, &message, &err) != 0) {
        log_error("cannot tell relay %u: %s", effect->relay, err.text);
        shell_store_failed(c, &err);
    } else {
        shell_send(c, c->relay_link, &slot->peer, &message);
    }
    message_release(&message);
}
