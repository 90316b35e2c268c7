/* Fetching packages: go-back-N over CHUNK_REQUESTs, from one source at a time. */
#include "relay/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define CHUNKS_IN_FLIGHT 8U
#define PAUSE_FIRST_MS 2000U
#define PAUSE_MAX_MS 30000U
#define PATIENCE 4U           /* times as long as the last piece took */
#define PEER_PAUSE_MS 2000U   /* until a peer that doesn't answer is asked again ... */
#define PEER_TRIES 3U         /* ... so often */
#define NOT_YET_PAUSE_MS 250U /* a peer that fetches it, too, is asked so often ... */
#define NOT_YET_MAX_MS 15000U /* ... while nothing new comes for so long: then back, ... */
#define STUCK_MAX_MS 90000U   /* ... and for so long: insisting */
#define BAD_PEERS_MAX 8U      /* whose bytes were wrong; with more, the coordinator's alone count */

struct fetch {
    struct fetch *next;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t bytes;
    bool again;   /* its digest was wrong once, with the coordinator's bytes alone */
    bool insist;  /* the next request to the coordinator says so */
    bool alone;   /* from the coordinator, to the end: too many peers were wrong */
    bool at_peer; /* `peer` is asked; else the coordinator */
    bool unknown; /* the peer was not known here when it was to be asked last */
    bool not_yet; /* the peer had no more than we have when it answered last */
    bool mixed;   /* the part holds bytes of `giver` */
    uint8_t peer[LIMIT_KEY_BYTES];
    uint8_t giver[LIMIT_KEY_BYTES]; /* the peer that gave bytes last */
    uint8_t bad[BAD_PEERS_MAX][LIMIT_KEY_BYTES];
    uint32_t bad_count;
    uint32_t unanswered; /* requests to the peer since its last answer */
    uint64_t moved_ms;   /* when bytes came last, or the fetch began */
    uint64_t sent_ms;    /* when the coordinator sent us to the peer */
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

/* ---- asking ---- */

/* Back to the coordinator; what is in flight at the peer does not count any more. */
static void leave_peer(struct cache *cache, bool insist)
{
    struct fetch *fetch = cache->first;
    fetch->at_peer = false;
    fetch->unknown = false;
    fetch->not_yet = false;
    fetch->insist = fetch->insist || insist;
    fetch->unanswered = 0;
    cache->asked = cache->stored;
    cache->pause_ms = PAUSE_FIRST_MS;
}

static bool request(struct cache *cache)
{
    const struct fetch *fetch = cache->first;
    uint64_t left = fetch->bytes - cache->asked;
    struct message_chunk_request request = {
        .offset = cache->asked,
        .size = left < LIMIT_CHUNK_BYTES ? (uint32_t)left : LIMIT_CHUNK_BYTES,
        .insist = !fetch->at_peer && (fetch->insist || fetch->alone),
    };
    memcpy(request.digest, fetch->digest, LIMIT_DIGEST_BYTES);
    if (!cache->config.request(cache->config.context, fetch->at_peer ? fetch->peer : NULL,
                               &request))
        return false;
    cache->asked += request.size;
    return true;
}

/* One at a time where the answer may well be "elsewhere" or "not yet": an insisting request that is
 * answered so counts once. */
static uint64_t window(const struct fetch *fetch)
{
    bool unsure = fetch->at_peer ? fetch->not_yet : fetch->insist;
    return unsure ? LIMIT_CHUNK_BYTES : (uint64_t)CHUNKS_IN_FLIGHT * LIMIT_CHUNK_BYTES;
}

/* What tells of a peer comes over another link than what sends us there, and again when that link
 * is made anew: a peer that is not known is waited for as long as one that doesn't answer. */
static void ask(struct cache *cache, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    uint64_t end = cache->stored + window(fetch);
    bool sent = true;
    while (sent && cache->asked < fetch->bytes && cache->asked + LIMIT_CHUNK_BYTES <= end)
        sent = request(cache);
    fetch->unknown = fetch->at_peer && !sent;
    cache->retry_ms = now_ms + (fetch->at_peer ? PEER_PAUSE_MS : cache->pause_ms);
}

/* Takes the first off the list, then tells; the callback may ask for more. */
static void finish(struct cache *cache, const char *failure)
{
    struct fetch *fetch = cache->first;
    cache->first = fetch->next;
    cache->config.done(cache->config.context, fetch->digest, failure);
    free(fetch);
}

/* Whether there is room for what is missing of the first; else it failed. */
static bool has_room(struct cache *cache)
{
    struct err err;
    if (cache->config.make_room(cache->config.context, cache->first->bytes - cache->stored, &err) ==
        0)
        return true;
    finish(cache, err.text);
    return false;
}

/* Begins with the first of the list that is not whole already. */
static void start(struct cache *cache, uint64_t now_ms)
{
    while (cache->first) {
        struct err err;
        struct fetch *fetch = cache->first;
        cache->pause_ms = PAUSE_FIRST_MS;
        if (package_store_offset(cache->config.store, fetch->digest, fetch->bytes, &cache->stored,
                                 &err) != 0) {
            finish(cache, err.text);
        } else if (cache->stored == fetch->bytes) {
            finish(cache, NULL);
        } else if (has_room(cache)) {
            fetch->moved_ms = now_ms;
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

/* ---- answers ---- */

static bool is_bad(const struct fetch *fetch, const uint8_t *peer)
{
    for (uint32_t i = 0; i < fetch->bad_count; i++)
        if (memcmp(fetch->bad[i], peer, LIMIT_KEY_BYTES) == 0)
            return true;
    return fetch->alone;
}

/* The whole had another digest, and a peer had its hands in it. */
static void distrust(struct cache *cache)
{
    struct fetch *fetch = cache->first;
    if (fetch->bad_count < BAD_PEERS_MAX)
        memcpy(fetch->bad[fetch->bad_count++], fetch->giver, LIMIT_KEY_BYTES);
    else
        fetch->alone = true;
    cache->config.distrusted(cache->config.context, fetch->giver, fetch->digest);
    fetch->mixed = false;
    leave_peer(cache, true);
}

static void on_append_failed(struct cache *cache, const struct err *err, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    bool wrong = err->code == ERR_DENIED; /* the store threw it away: from the start */
    if (wrong && fetch->mixed) {
        distrust(cache);
        start(cache, now_ms);
        return;
    }
    if (wrong && !fetch->again) {
        fetch->again = true;
        start(cache, now_ms);
        return;
    }
    char text[ERR_TEXT_SIZE + 40];
    (void)snprintf(text, sizeof text, "cannot fetch the package: %s", err->text);
    finish(cache, text);
    start(cache, now_ms);
}

/* How long to wait for the next piece, when one took so long: asking again for what is under way
 * on a thin link would send it twice. */
static uint32_t patience(uint64_t gap_ms)
{
    if (gap_ms > PAUSE_MAX_MS / PATIENCE)
        return PAUSE_MAX_MS;
    return gap_ms < PAUSE_FIRST_MS / PATIENCE ? PAUSE_FIRST_MS : (uint32_t)gap_ms * PATIENCE;
}

static void append(struct cache *cache, const struct message_chunk *chunk, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    struct err err;
    uint64_t next = 0;
    if (fetch->at_peer) {
        fetch->mixed = true;
        memcpy(fetch->giver, fetch->peer, LIMIT_KEY_BYTES);
    }
    if (package_store_append(cache->config.store, fetch->digest, fetch->bytes, chunk->offset,
                             chunk->data, chunk->size, &next, &err) != 0) {
        on_append_failed(cache, &err, now_ms);
        return;
    }
    cache->stored = next;
    if (cache->asked < next)
        cache->asked = next;
    cache->pause_ms = patience(now_ms - fetch->moved_ms);
    fetch->moved_ms = now_ms;
    fetch->not_yet = false;
    if (next < fetch->bytes) {
        ask(cache, now_ms);
        return;
    }
    finish(cache, NULL);
    start(cache, now_ms);
}

/* The peer answers, but has no more than we have, or not this package. */
static void on_peer_empty(struct cache *cache, const struct message_chunk *chunk, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    uint64_t since_ms = fetch->moved_ms > fetch->sent_ms ? fetch->moved_ms : fetch->sent_ms;
    if (chunk->total != fetch->bytes) {
        leave_peer(cache, true);
        ask(cache, now_ms);
    } else if (now_ms - since_ms >= NOT_YET_MAX_MS) {
        leave_peer(cache, now_ms - fetch->moved_ms >= STUCK_MAX_MS);
        ask(cache, now_ms);
    } else if (cache->asked > cache->stored) {
        /* One of those in flight; the rest of them say the same. */
        fetch->not_yet = true;
        cache->asked = cache->stored;
        cache->retry_ms = now_ms + NOT_YET_PAUSE_MS;
    }
}

static void on_sent_to_peer(struct cache *cache, const uint8_t *peer, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    if (is_bad(fetch, peer)) {
        if (!fetch->insist) {
            leave_peer(cache, true);
            ask(cache, now_ms);
        }
        return; /* it insists already: after a pause, again */
    }
    memcpy(fetch->peer, peer, LIMIT_KEY_BYTES);
    fetch->at_peer = true;
    fetch->insist = false;
    fetch->unanswered = 0;
    fetch->sent_ms = now_ms;
    cache->asked = cache->stored;
    ask(cache, now_ms);
}

static bool from_source(const struct fetch *fetch, const uint8_t *peer)
{
    if (peer == NULL || !fetch->at_peer)
        return peer == NULL && !fetch->at_peer;
    return memcmp(peer, fetch->peer, LIMIT_KEY_BYTES) == 0;
}

void cache_chunk(struct cache *cache, const uint8_t *peer, const struct message_chunk *chunk,
                 uint64_t now_ms)
{
    static const uint8_t nobody[LIMIT_KEY_BYTES];
    struct fetch *fetch = cache->first;
    if (!fetch || memcmp(fetch->digest, chunk->digest, LIMIT_DIGEST_BYTES) != 0 ||
        !from_source(fetch, peer))
        return; /* of one that was cancelled, or that is fetched elsewhere by now */
    fetch->unanswered = 0;
    if (peer == NULL && chunk->total != fetch->bytes) {
        finish(cache, chunk->total == 0 ? "the coordinator does not have the package"
                                        : "the coordinator's package has another size");
        start(cache, now_ms);
    } else if (peer == NULL && chunk->size == 0 &&
               memcmp(chunk->source, nobody, sizeof nobody) != 0) {
        on_sent_to_peer(cache, chunk->source, now_ms);
    } else if (peer != NULL && (chunk->size == 0 || chunk->total != fetch->bytes)) {
        on_peer_empty(cache, chunk, now_ms);
    } else if (chunk->offset == cache->stored && chunk->size > 0) {
        if (peer == NULL)
            fetch->insist = false;
        append(cache, chunk, now_ms);
    } /* else a repeat, or one before it was lost */
}

void cache_link_up(struct cache *cache, const uint8_t *peer, uint64_t now_ms)
{
    if (!cache->first || !from_source(cache->first, peer))
        return;
    cache->asked = cache->stored;
    cache->pause_ms = PAUSE_FIRST_MS;
    ask(cache, now_ms);
}

void cache_tick(struct cache *cache, uint64_t now_ms)
{
    struct fetch *fetch = cache->first;
    if (!fetch || now_ms < cache->retry_ms)
        return;
    bool waited = fetch->unknown || cache->asked > cache->stored;
    if (fetch->at_peer && waited && ++fetch->unanswered >= PEER_TRIES)
        leave_peer(cache, true);
    cache->asked = cache->stored;
    if (!fetch->at_peer)
        cache->pause_ms = cache->pause_ms < PAUSE_MAX_MS / 2 ? cache->pause_ms * 2 : PAUSE_MAX_MS;
    ask(cache, now_ms);
}

uint64_t cache_due_ms(const struct cache *cache)
{
    return cache->first ? cache->retry_ms : UINT64_MAX;
}

uint64_t cache_wanted_bytes(const struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    for (const struct fetch *fetch = cache->first; fetch; fetch = fetch->next)
        if (memcmp(fetch->digest, digest, LIMIT_DIGEST_BYTES) == 0)
            return fetch->bytes;
    return 0;
}

bool cache_needs_peer(const struct cache *cache, const uint8_t peer[LIMIT_KEY_BYTES])
{
    const struct fetch *fetch = cache->first;
    return fetch && fetch->at_peer && memcmp(fetch->peer, peer, LIMIT_KEY_BYTES) == 0;
}
