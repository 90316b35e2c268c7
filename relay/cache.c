/* Fetching packages: go-back-N over CHUNK_REQUESTs. */
#include "relay/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define CHUNKS_IN_FLIGHT 8U
#define PAUSE_FIRST_MS 2000U
#define PAUSE_MAX_MS 30000U

struct fetch {
    struct fetch *next;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t bytes;
    bool again; /* its digest was wrong once */
};

struct cache {
    struct cache_config config;
    struct fetch *first; /* owned list; the first one is being fetched */
    uint64_t stored;     /* of the first: bytes in the store */
    uint64_t asked;      /* of the first: requested up to here */
    uint64_t retry_ms;   /* ask again from `stored` */
    uint32_t pause_ms;   /* next pause */
};

struct cache *cache_new(const struct cache_config *config)
{
    struct cache *cache = mem_new(1, sizeof *cache);
    cache->config = *config;
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    while (cache->first) {
        struct fetch *fetch = cache->first;
        cache->first = fetch->next;
        free(fetch);
    }
    free(cache);
}

static void ask(struct cache *cache, uint64_t now_ms)
{
    const struct fetch *fetch = cache->first;
    uint64_t end = cache->stored + (uint64_t)CHUNKS_IN_FLIGHT * LIMIT_CHUNK_BYTES;
    while (cache->asked < fetch->bytes && cache->asked + LIMIT_CHUNK_BYTES <= end) {
        uint64_t left = fetch->bytes - cache->asked;
        struct message_chunk_request request = {
            .offset = cache->asked,
            .size = left < LIMIT_CHUNK_BYTES ? (uint32_t)left : LIMIT_CHUNK_BYTES,
        };
        memcpy(request.digest, fetch->digest, LIMIT_DIGEST_BYTES);
        cache->asked += request.size;
        cache->config.request(cache->config.context, &request);
    }
    cache->retry_ms = now_ms + cache->pause_ms;
}

/* Takes the first off the list, then tells; the callback may ask for more. */
static void finish(struct cache *cache, const char *failure)
{
    struct fetch *fetch = cache->first;
    cache->first = fetch->next;
    cache->config.done(cache->config.context, fetch->digest, failure);
    free(fetch);
}

/* Begins with the first of the list that is not whole already. */
static void start(struct cache *cache, uint64_t now_ms)
{
    while (cache->first) {
        struct err err;
        const struct fetch *fetch = cache->first;
        cache->pause_ms = PAUSE_FIRST_MS;
        if (package_store_offset(cache->config.store, fetch->digest, fetch->bytes, &cache->stored,
                                 &err) != 0) {
            finish(cache, err.text);
        } else if (cache->stored == fetch->bytes) {
            finish(cache, NULL);
        } else {
            cache->asked = cache->stored;
            ask(cache, now_ms);
            return;
        }
    }
}

void cache_fetch(struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES], uint64_t bytes,
                 uint64_t now_ms)
{
    struct fetch **end = &cache->first;
    for (; *end; end = &(*end)->next) {
        if (memcmp((*end)->digest, digest, LIMIT_DIGEST_BYTES) == 0)
            return;
    }
    bool idle = cache->first == NULL;
    *end = mem_new(1, sizeof **end);
    memcpy((*end)->digest, digest, LIMIT_DIGEST_BYTES);
    (*end)->bytes = bytes;
    if (idle)
        start(cache, now_ms);
}

void cache_cancel(struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES], uint64_t now_ms)
{
    for (struct fetch **at = &cache->first; *at; at = &(*at)->next) {
        struct fetch *fetch = *at;
        if (memcmp(fetch->digest, digest, LIMIT_DIGEST_BYTES) != 0)
            continue;
        bool running = fetch == cache->first;
        *at = fetch->next;
        free(fetch);
        if (running)
            start(cache, now_ms);
        return;
    }
}

static void on_append_failed(struct cache *cache, const struct err *err, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    if (err->code == ERR_DENIED && !fetch->again) {
        fetch->again = true; /* the store threw it away: once more from the start */
        start(cache, now_ms);
        return;
    }
    char text[ERR_TEXT_SIZE + 40];
    (void)snprintf(text, sizeof text, "cannot fetch the package: %s", err->text);
    finish(cache, text);
    start(cache, now_ms);
}

void cache_chunk(struct cache *cache, const struct message_chunk *chunk, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    if (!fetch || memcmp(fetch->digest, chunk->digest, LIMIT_DIGEST_BYTES) != 0)
        return; /* of one that was cancelled */
    if (chunk->total != fetch->bytes) {
        finish(cache, chunk->total == 0 ? "the coordinator does not have the package"
                                        : "the coordinator's package has another size");
        start(cache, now_ms);
        return;
    }
    if (chunk->offset != cache->stored || chunk->size == 0)
        return; /* a repeat, or one before it was lost */
    struct err err;
    uint64_t next = 0;
    if (package_store_append(cache->config.store, fetch->digest, fetch->bytes, chunk->offset,
                             chunk->data, chunk->size, &next, &err) != 0) {
        on_append_failed(cache, &err, now_ms);
        return;
    }
    cache->stored = next;
    if (cache->asked < next)
        cache->asked = next;
    cache->pause_ms = PAUSE_FIRST_MS;
    if (next < fetch->bytes) {
        ask(cache, now_ms);
        return;
    }
    finish(cache, NULL);
    start(cache, now_ms);
}

void cache_link_up(struct cache *cache, uint64_t now_ms)
{
    if (!cache->first)
        return;
    cache->asked = cache->stored;
    cache->pause_ms = PAUSE_FIRST_MS;
    ask(cache, now_ms);
}

void cache_tick(struct cache *cache, uint64_t now_ms)
{
    if (!cache->first || now_ms < cache->retry_ms)
        return;
    cache->asked = cache->stored;
    cache->pause_ms = cache->pause_ms < PAUSE_MAX_MS / 2 ? cache->pause_ms * 2 : PAUSE_MAX_MS;
    ask(cache, now_ms);
}

uint64_t cache_due_ms(const struct cache *cache)
{
    return cache->first ? cache->retry_ms : UINT64_MAX;
}
