/* relay/cache over common/pkg/store: chunks of packages from a coordinator and from peers that lie.
 *
 * Input: a list of events. Holds: a package is said to be there only when it is there, whole, byte
 * by byte; requests ask for at most a chunk, within the package. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pkg/digest.h"
#include "fuzz.h"
#include "relay/cache.h"

#define PACKAGES 2U
#define CONTENT_MAX 200000U

static const uint64_t sizes[PACKAGES] = {300, CONTENT_MAX};
static uint8_t content[PACKAGES][CONTENT_MAX];
static uint8_t digests[PACKAGES][LIMIT_DIGEST_BYTES];
static uint8_t lies[CONTENT_MAX];
static struct package_store *store;
static char folder[256];

static void clean_up(void)
{
    package_store_free(store);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    (void)snprintf(folder, sizeof folder, "%s/pusher-fuzz-cache-XXXXXX", fuzz_temporary());
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    FUZZ_CHECK(package_store_new(&store, folder, NULL) == 0);
    (void)atexit(clean_up);
    memset(lies, 0xee, sizeof lies);
    for (unsigned i = 0; i < PACKAGES; i++) {
        for (uint64_t at = 0; at < sizes[i]; at++)
            content[i][at] = (uint8_t)(at * 7 + i);
        struct digest *digest = digest_new();
        digest_add(digest, content[i], sizes[i]);
        digest_end(digest, digests[i]);
        digest_free(digest);
    }
    return 0;
}

static bool on_request(void *context, const uint8_t *peer,
                       const struct message_chunk_request *request)
{
    (void)context;
    FUZZ_CHECK(request->size > 0 && request->size <= LIMIT_CHUNK_BYTES);
    return peer == NULL || peer[0] != 3; /* that one isn't known here */
}

static int on_make_room(void *context, uint64_t bytes, struct err *err)
{
    (void)context;
    return bytes <= CONTENT_MAX ? 0 : err_set(err, ERR_NO_SPACE, "no room");
}

static void on_distrusted(void *context, const uint8_t *peer,
                          const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    (void)context;
    (void)digest;
    FUZZ_CHECK(peer != NULL);
}

static void on_done(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES], const char *failure)
{
    static uint8_t read[CONTENT_MAX];
    (void)context;
    if (failure != NULL) {
        FUZZ_CHECK(failure[0] != '\0');
        return;
    }
    unsigned which = memcmp(digest, digests[0], LIMIT_DIGEST_BYTES) == 0 ? 0 : 1;
    size_t got = 0;
    uint64_t bytes = 0;
    FUZZ_CHECK(memcmp(digest, digests[which], LIMIT_DIGEST_BYTES) == 0);
    FUZZ_CHECK(package_store_read(store, digest, 0, read, sizeof read, &got, &bytes, NULL) == 0);
    FUZZ_CHECK(bytes == sizes[which] && got == bytes);
    FUZZ_CHECK(memcmp(read, content[which], got) == 0);
}

static void offer(struct cache *cache, struct cursor *in, const uint8_t *peer, unsigned which,
                  uint64_t now_ms)
{
    uint8_t flags = cursor_u8(in);
    struct message_chunk chunk = {.total = sizes[which]};
    uint64_t offset = cursor_u16le(in);
    /* Mostly where a chunk belongs. */
    chunk.offset = flags & 1 ? offset : offset % 3 * LIMIT_CHUNK_BYTES;
    chunk.size = flags & 2 ? cursor_u16le(in) : LIMIT_CHUNK_BYTES;
    chunk.total = flags & 4 ? cursor_u32le(in) : sizes[which];
    memcpy(chunk.digest, digests[which], LIMIT_DIGEST_BYTES);
    chunk.source[0] = flags & 8 ? 1 + flags % 3 : 0;
    if (chunk.offset >= sizes[which])
        chunk.offset = sizes[which];
    if (chunk.size > sizes[which] - chunk.offset)
        chunk.size = sizes[which] - chunk.offset;
    if ((flags & 8) != 0)
        chunk.size = 0;
    chunk.data = (flags & 16 ? lies : content[which]) + chunk.offset;
    cache_chunk(cache, peer, &chunk, now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    const struct cache_config config = {store,         on_request, on_make_room,
                                        on_distrusted, on_done,    NULL};
    struct cache *cache = cache_new(&config);
    uint64_t now_ms = 1;
    for (int steps = 0; steps < 60 && cursor_left(&in) > 0; steps++) {
        uint8_t what = cursor_u8(&in);
        unsigned which = what / 8 % PACKAGES;
        uint8_t key[LIMIT_KEY_BYTES] = {what / 16 % 4};
        const uint8_t *peer = key[0] == 0 ? NULL : key;
        if (what % 8 == 0)
            cache_fetch(cache, digests[which], what & 64 ? cursor_u32le(&in) : sizes[which],
                        now_ms);
        else if (what % 8 == 1)
            cache_cancel(cache, digests[which], now_ms);
        else if (what % 8 == 2)
            cache_link_up(cache, peer, now_ms);
        else if (what % 8 == 3)
            now_ms += (uint64_t)cursor_u8(&in) * 500;
        else
            offer(cache, &in, peer, which, now_ms);
        cache_tick(cache, now_ms);
        (void)cache_needs_peer(cache, key);
    }
    cache_free(cache);
    for (unsigned i = 0; i < PACKAGES; i++)
        FUZZ_CHECK(package_store_remove(store, digests[i], NULL) == 0);
    return 0;
}
