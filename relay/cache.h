/* Fetching packages into the content-addressed store: from the coordinator, or from a peer, another
 * relay of the site, when the coordinator says so.
 *
 * Called by the relay's shell, which carries messages and tells the time. One package at a time, a
 * few chunks in flight; bytes are appended in order, so whatever gets lost is asked for again from
 * where the store is, after a pause that grows while nothing comes. A package that is on its way is
 * never given up for silence: the job's deadline and the lease decide that.
 *
 * A peer is tried for some seconds; when it does not answer or has nothing new for long, the
 * coordinator is asked again, and insisted with. Bytes of a peer are worth what the digest of the
 * whole says: when that is wrong they are thrown away, this package comes from the coordinator, and
 * the peer is not asked for it again.
 */
#ifndef PUSHER_RELAY_CACHE_H
#define PUSHER_RELAY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/message.h"
#include "common/pkg/store.h"

struct cache;

struct cache_config {
    struct package_store *store; /* borrowed */
    /* Sends a request; it may get lost. `peer`: whom to ask (LIMIT_KEY_BYTES); NULL: the
     * coordinator. Returns whether there is such a peer. */
    bool (*request)(void *context, const uint8_t *peer,
                    const struct message_chunk_request *request);
    /* Makes room for so many more bytes; may remove packages that nobody needs. Errors: why there
     * is none. */
    int (*make_room)(void *context, uint64_t bytes, struct err *err);
    /* The peer gave bytes that are not this package's: for the log. */
    void (*distrusted)(void *context, const uint8_t *peer,
                       const uint8_t digest[LIMIT_DIGEST_BYTES]);
    /* The package is whole and checked, or cannot be had: `failure` says why. May be called from
     * inside any function below but cache_due_ms and the two that ask. */
    void (*done)(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES], const char *failure);
    void *context;
};

struct cache *cache_new(const struct cache_config *config);
void cache_free(struct cache *cache);
/* Asks for a package; one that is asked for already, or is there, is fine. */
void cache_fetch(struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES], uint64_t bytes,
                 uint64_t now_ms);
/* Nobody waits for it any more; what is there stays. */
void cache_cancel(struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES], uint64_t now_ms);
/* An answer of the coordinator (`peer` NULL) or of a peer. */
void cache_chunk(struct cache *cache, const uint8_t *peer, const struct message_chunk *chunk,
                 uint64_t now_ms);
/* A new connection to the coordinator (`peer` NULL) or to a peer: what was in flight is lost. */
void cache_link_up(struct cache *cache, const uint8_t *peer, uint64_t now_ms);
void cache_tick(struct cache *cache, uint64_t now_ms);
/* When cache_tick has something to do; UINT64_MAX: never. */
uint64_t cache_due_ms(const struct cache *cache);
/* The size of a package that is being fetched or waits for it; 0: not one of those. */
uint64_t cache_wanted_bytes(const struct cache *cache, const uint8_t digest[LIMIT_DIGEST_BYTES]);
/* Whether bytes are expected of this peer now: its connection is needed. */
bool cache_needs_peer(const struct cache *cache, const uint8_t peer[LIMIT_KEY_BYTES]);

#endif
