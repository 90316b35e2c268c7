/* One source per site and package. */
#include "coordinator/core/spread.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BUCKETS 4096U /* a power of two */

struct told {
    uint16_t relay;  /* who was sent ... */
    uint16_t source; /* ... where */
};

struct entry {
    struct entry *next; /* in its bucket */
    uint16_t site;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint16_t source;
    bool complete;      /* the source has asked for the last byte */
    uint64_t source_ms; /* when the source asked last */
    uint64_t asked_ms;  /* when anybody did */
    struct told told[SPREAD_TOLD_MAX];
    uint8_t told_count;
};

struct spread {
    struct entry *buckets[BUCKETS];
    uint32_t count;
};

struct spread *spread_new(void)
{
    return mem_new(1, sizeof(struct spread));
}

void spread_free(struct spread *spread)
{
    if (spread == NULL)
        return;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (spread->buckets[i] != NULL) {
            struct entry *entry = spread->buckets[i];
            spread->buckets[i] = entry->next;
            free(entry);
        }
    }
    free(spread);
}

/* Digests are spread evenly by themselves. Whoever makes up many of them fills lists of at most
 * SPREAD_ENTRIES_MAX, and only packages that are there are asked about. */
static uint32_t bucket_of(uint16_t site, const uint8_t *digest)
{
    uint32_t head = (uint32_t)digest[0] | (uint32_t)digest[1] << 8 | (uint32_t)digest[2] << 16;
    return (head ^ site * 2654435761U) % BUCKETS;
}

static struct entry *find(const struct spread *spread, uint16_t site, const uint8_t *digest)
{
    struct entry *entry = spread->buckets[bucket_of(site, digest)];
    while (entry != NULL &&
           (entry->site != site || memcmp(entry->digest, digest, LIMIT_DIGEST_BYTES) != 0))
        entry = entry->next;
    return entry;
}

static void forget_old(struct spread *spread, uint64_t older_than_ms)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct entry **at = &spread->buckets[i];
        while (*at != NULL) {
            struct entry *entry = *at;
            if (entry->asked_ms < older_than_ms) {
                *at = entry->next;
                free(entry);
                spread->count--;
            } else {
                at = &entry->next;
            }
        }
    }
}

/* When all are in use the memory begins anew: sources change, nothing is lost. */
static void make_room(struct spread *spread, uint64_t now_ms)
{
    if (spread->count < SPREAD_ENTRIES_MAX)
        return;
    forget_old(spread, now_ms > SPREAD_FORGET_MS ? now_ms - SPREAD_FORGET_MS : 0);
    if (spread->count == SPREAD_ENTRIES_MAX)
        forget_old(spread, UINT64_MAX);
}

static struct entry *add(struct spread *spread, const struct spread_ask *ask)
{
    make_room(spread, ask->now_ms);
    struct entry **bucket = &spread->buckets[bucket_of(ask->site, ask->digest)];
    struct entry *entry = mem_new(1, sizeof *entry);
    entry->next = *bucket;
    entry->site = ask->site;
    memcpy(entry->digest, ask->digest, LIMIT_DIGEST_BYTES);
    entry->source = SPREAD_NOBODY;
    *bucket = entry;
    spread->count++;
    return entry;
}

uint16_t spread_source(const struct spread *spread, uint16_t site, const uint8_t *digest)
{
    const struct entry *entry = find(spread, site, digest);
    return entry != NULL ? entry->source : SPREAD_NOBODY;
}

/* Whether the relay was sent to the present source, as far as is remembered. */
static bool was_told(const struct entry *entry, uint16_t relay)
{
    for (uint8_t i = 0; i < entry->told_count; i++)
        if (entry->told[i].relay == relay)
            return entry->told[i].source == entry->source;
    return entry->told_count == SPREAD_TOLD_MAX;
}

static void tell(struct entry *entry, uint16_t relay)
{
    for (uint8_t i = 0; i < entry->told_count; i++) {
        if (entry->told[i].relay == relay) {
            entry->told[i].source = entry->source;
            return;
        }
    }
    if (entry->told_count < SPREAD_TOLD_MAX)
        entry->told[entry->told_count++] = (struct told){relay, entry->source};
}

static bool must_replace(const struct entry *entry, const struct spread_ask *ask)
{
    if (entry->source == SPREAD_NOBODY || !ask->source_usable)
        return true;
    if (!entry->complete && ask->now_ms > entry->source_ms &&
        ask->now_ms - entry->source_ms > SPREAD_SILENT_MS)
        return true;
    return ask->insist && was_told(entry, ask->relay);
}

uint16_t spread_decide(struct spread *spread, const struct spread_ask *ask)
{
    struct entry *entry = find(spread, ask->site, ask->digest);
    if (entry == NULL)
        entry = add(spread, ask);
    entry->asked_ms = ask->now_ms;
    if (entry->source != ask->relay && !must_replace(entry, ask)) {
        tell(entry, ask->relay);
        return entry->source;
    }
    if (entry->source != ask->relay)
        entry->complete = false;
    entry->source = ask->relay;
    entry->source_ms = ask->now_ms;
    if (ask->end >= ask->total)
        entry->complete = true;
    return SPREAD_NOBODY;
}

uint32_t spread_count(const struct spread *spread)
{
    return spread->count;
}
