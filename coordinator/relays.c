/* The relays in memory: found by key among thousands, for every message. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/coordinator.h"

bool trust_has_sites(const struct coordinator *c)
{
    return c->options.relay_key == NULL;
}

/* ---- index ---- */

/* Where the key is, or where it belongs. */
static uint32_t place_of(const struct trust *trust, const uint8_t *key)
{
    uint32_t low = 0;
    uint32_t high = trust->index_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(trust->index[middle].key, key, LIMIT_KEY_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void index_add(struct trust *trust, const struct store_relay *stored)
{
    uint32_t at = place_of(trust, stored->key);
    trust->index = mem_resize(trust->index, trust->index_count + 1U, sizeof *trust->index);
    memmove(trust->index + at + 1, trust->index + at,
            (trust->index_count - at) * sizeof *trust->index);
    trust->index_count++;
    memcpy(trust->index[at].key, stored->key, LIMIT_KEY_BYTES);
    trust->index[at].relay = stored->relay;
}

struct relay_slot *relays_find(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct trust *trust = &c->trust;
    uint32_t at = place_of(trust, key);
    if (at == trust->index_count || memcmp(trust->index[at].key, key, LIMIT_KEY_BYTES) != 0)
        return NULL;
    return &c->relays[trust->index[at].relay];
}

struct relay_slot *relays_admitted(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES])
{
    struct relay_slot *slot = relays_find(c, key);
    return slot != NULL && slot->admitted ? slot : NULL;
}

struct relay_slot *relays_of_seal_key(struct coordinator *c,
                                      const uint8_t seal_key[LIMIT_KEY_BYTES])
{
    for (uint16_t i = 0; i < c->relay_count; i++) {
        const struct store_relay *stored = &c->relays[i].stored;
        if (stored->standing != RELAY_REVOKED && stored->standing != RELAY_CLONED &&
            memcmp(stored->seal_key, seal_key, LIMIT_KEY_BYTES) == 0)
            return &c->relays[i];
    }
    return NULL;
}

/* ---- the core ---- */

static void tell_known(struct coordinator *c, const struct relay_slot *slot)
{
    const struct store_relay *stored = &slot->stored;
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known = (struct dispatch_relay_known){stored->relay, stored->site, stored->epoch};
    shell_step(c, &event);
}

static bool lets_in(enum relay_standing standing)
{
    return standing == RELAY_ACTIVE || standing == RELAY_DRAINING;
}

/* Whoever's certificate is over refuses everything: it gets nothing new until it has another. */
static void tell_standing(struct coordinator *c, const struct relay_slot *slot)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_STANDING};
    bool drains = slot->expired && slot->stored.standing == RELAY_ACTIVE;
    event.relay_standing = (struct dispatch_relay_standing){
        slot->stored.relay, drains ? RELAY_DRAINING : slot->stored.standing};
    shell_step(c, &event);
}

static bool is_expired(const struct relay_slot *slot)
{
    return slot->admitted && slot->stored.until_unix_s <= (int64_t)(clock_unix_ms() / 1000);
}

/* ---- table ---- */

int relays_recover(struct coordinator *c, uint16_t private_relay, struct err *err)
{
    uint16_t count = 0;
    if (store_relay_count(c->store, &count, err) != 0)
        return -1;
    c->relays = mem_new(count + 1U, sizeof *c->relays);
    for (uint16_t i = 0; i < count; i++) {
        struct relay_slot *slot = &c->relays[i];
        if (store_relay_get(c->store, i, &slot->stored, err) != 0)
            return -1;
        c->relay_count = (uint16_t)(i + 1);
        slot->admitted = trust_has_sites(c) ? lets_in(slot->stored.standing) : i == private_relay;
        index_add(&c->trust, &slot->stored);
        tell_known(c, slot);
        if (!trust_has_sites(c))
            continue;
        slot->expired = is_expired(slot);
        tell_standing(c, slot);
    }
    return 0;
}

void relays_release(struct coordinator *c)
{
    free(c->relays);
    free(c->trust.index);
}

void relays_add(struct coordinator *c, const struct store_relay *stored)
{
    c->relays = mem_resize(c->relays, c->relay_count + 2U, sizeof *c->relays);
    struct relay_slot *slot = &c->relays[c->relay_count++];
    *slot = (struct relay_slot){.stored = *stored, .admitted = lets_in(stored->standing)};
    index_add(&c->trust, stored);
    tell_known(c, slot);
    tell_standing(c, slot);
}

int relays_note_standing(struct coordinator *c, uint16_t relay, enum relay_standing standing,
                         struct err *err)
{
    struct relay_slot *slot = &c->relays[relay];
    c->commit_due = true;
    if (store_relay_standing(c->store, relay, standing, err) != 0)
        return -1;
    log_info("relay %s is %s now", slot->stored.name, relay_standing_word(standing));
    slot->stored.standing = standing;
    slot->admitted = lets_in(standing);
    slot->expired = is_expired(slot);
    trust_announce(c, slot);
    return 0;
}

int relays_set_standing(struct coordinator *c, uint16_t relay, enum relay_standing standing,
                        struct err *err)
{
    if (relays_note_standing(c, relay, standing, err) != 0)
        return -1;
    tell_standing(c, &c->relays[relay]);
    return 0;
}

void relays_sweep(struct coordinator *c)
{
    for (uint16_t i = 0; trust_has_sites(c) && i < c->relay_count; i++) {
        struct relay_slot *slot = &c->relays[i];
        if (is_expired(slot) == slot->expired)
            continue;
        slot->expired = !slot->expired;
        if (slot->expired)
            log_warning("relay %s: its certificate is over: pusher relay approve %s",
                        slot->stored.name, slot->stored.name);
        tell_standing(c, slot);
    }
}

void relays_tell(struct coordinator *c, const struct message *message)
{
    for (uint16_t i = 0; i < c->relay_count; i++)
        if (c->relays[i].admitted && c->relays[i].reachable)
            shell_send(c, c->relay_link, &c->relays[i].peer, message);
}
