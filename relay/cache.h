/* Fetching packages over the package link into the content-addressed store.
 *
 * Called by the relay's shell, which carries messages and tells the time. One package at a time, a
 * few chunks in flight; bytes are appended in order, so whatever gets lost is asked for again from
 * where the store is, after a pause that grows while nothing comes. A package that is on its way is
 * never given up for silence: the job's deadline and the lease decide that.
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
    /* Sends a request; it may get lost. */
    void (*request)(void *context, const struct message_chunk_request *request);
    /* The package is whole and checked, or cannot be had: `failure` says why. May be called from
     * inside any function below but cache_due_ms. */
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
void cache_chunk(struct cache *cache, const struct message_chunk *chunk, uint64_t now_ms);
/* A new connection: what was in flight is lost. */
void cache_link_up(struct cache *cache, uint64_t now_ms);
void cache_tick(struct cache *cache, uint64_t now_ms);
/* When cache_tick has something to do; UINT64_MAX: never. */
uint64_t cache_due_ms(const struct cache *cache);

#endif
