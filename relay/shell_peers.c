/* Packages between relays of a site: what is served to peers, and what is fetched from one.
 *
 * A peer is let in by its certificate (relay/peers.h). It gets what is here of a package, also one
 * that is on its way: the digest of the whole protects the one who asks, not the one who answers.
 * One package is fetched at a time, so there is one connection to a peer at most.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "relay/shell_state.h"

#define SHORT_DIGEST_BYTES 4 /* of a digest, in logs */
/* Pieces that wait for a peer, each of up to LIMIT_CHUNK_BYTES: more than it asks for at once, and
 * little enough that one that never reads costs us nothing. */
#define PEER_QUEUE_MAX 32

/* ---- serving ---- */

static bool admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct shell *shell = context;
    return peers_admit(&shell->peers, key, (int64_t)(shell_now_unix_ms() / 1000));
}

/* The size of a package that is here or comes; 0: neither. */
static uint64_t package_total(struct shell *shell, const uint8_t *digest)
{
    uint64_t bytes = 0;
    int fd = package_store_open(shell->store, digest, &bytes, NULL);
    if (fd < 0)
        return cache_wanted_bytes(shell->cache, digest);
    (void)close(fd);
    return bytes;
}

static void fill_chunk(struct shell *shell, const struct message_chunk_request *want,
                       struct message_chunk *chunk)
{
    struct err err;
    memcpy(chunk->digest, want->digest, LIMIT_DIGEST_BYTES);
    chunk->offset = want->offset;
    chunk->total = package_total(shell, want->digest);
    if (want->offset >= chunk->total)
        return;
    uint64_t left = chunk->total - want->offset;
    size_t size = want->size < LIMIT_CHUNK_BYTES ? want->size : LIMIT_CHUNK_BYTES;
    size = left < size ? (size_t)left : size;
    chunk->data = mem_new(size + 1, 1);
    if (package_store_peek(shell->store, want->digest, want->offset, chunk->data, size,
                           &chunk->size, &err) != 0)
        chunk->size = 0; /* nothing of it yet */
}

static void on_peer_asks(void *context, const struct link_peer *peer, const uint8_t *bytes,
                         size_t size)
{
    struct shell *shell = context;
    struct message request;
    struct err err;
    if (shell->failed || wire_decode(bytes, size, &request, &err) != 0)
        return;
    if (request.kind == MESSAGE_CHUNK_REQUEST) {
        struct message answer = {.kind = MESSAGE_CHUNK};
        struct buf out;
        buf_init(&out, LIMIT_MESSAGE_BYTES_MAX);
        fill_chunk(shell, &request.chunk_request, &answer.chunk);
        if (wire_encode(&answer, &out, &err) != 0 ||
            link_server_send(shell->peer_server, peer, out.data, out.size, &err) != 0)
            log_debug("chunk for a peer not sent: %s", err.text);
        shell->served_bytes += answer.chunk.size;
        buf_release(&out);
        message_release(&answer);
    }
    message_release(&request);
}

int shell_open_peers(struct shell *shell, struct err *err)
{
    struct link_server_config config = {
        .endpoint = shell->config->serve,
        .key = &shell->config->state->curve,
        .group = (gid_t)-1,
        .queue_max = PEER_QUEUE_MAX,
        .admit = admit,
        .received = on_peer_asks,
        .context = shell,
    };
    if (!shell->config->serve)
        return 0;
    if (link_server_new(&shell->peer_server, &config, err) != 0)
        return err_wrap(err, "--serve");
    log_info("serving packages to relays of this site at %s",
             link_server_endpoint(shell->peer_server));
    return 0;
}

void shell_close_peers(struct shell *shell)
{
    if (shell->served_bytes > 0)
        log_info("%llu package bytes were served to relays of this site",
                 (unsigned long long)shell->served_bytes);
    link_server_free(shell->peer_server);
    link_client_free(shell->peer_link);
    shell->peer_server = NULL;
    shell->peer_link = NULL;
}

/* ---- fetching ---- */

static void on_peer_answers(void *context, const uint8_t *bytes, size_t size)
{
    struct shell *shell = context;
    uint8_t key[LIMIT_KEY_BYTES];
    struct message message;
    struct err err;
    if (shell->failed || wire_decode(bytes, size, &message, &err) != 0)
        return;
    memcpy(key, shell->peer_key, sizeof key); /* the next package may come from another peer */
    if (message.kind == MESSAGE_CHUNK) {
        cache_chunk(shell->cache, key, &message.chunk, shell_now_ms());
        shell_arm_cache(shell);
    }
    message_release(&message);
}

static void on_peer_state(void *context, enum link_state state)
{
    struct shell *shell = context;
    uint8_t key[LIMIT_KEY_BYTES];
    memcpy(key, shell->peer_key, sizeof key);
    if (state == LINK_CONNECTED) {
        cache_link_up(shell->cache, key, shell_now_ms());
        shell_arm_cache(shell);
    }
}

/* A connection to this peer, made if need be. */
static int dial(struct shell *shell, const struct peer *peer)
{
    struct link_client_config config = {
        .endpoint = peer->serve,
        .key = &shell->config->state->curve,
        .server_key = peer->key,
        .received = on_peer_answers,
        .state = on_peer_state,
        .context = shell,
    };
    char name[LIMIT_SITE_NAME_SIZE];
    char endpoint[LIMIT_ENDPOINT_SIZE];
    struct err err;
    if (shell->peer_link && memcmp(shell->peer_key, peer->key, LIMIT_KEY_BYTES) == 0)
        return 0;
    link_client_free(shell->peer_link);
    shell->peer_link = NULL;
    if (link_client_new(&shell->peer_link, &config, &err) != 0) {
        log_warning("relay %s: %s", text_printable(name, sizeof name, peer->name), err.text);
        return -1;
    }
    memcpy(shell->peer_key, peer->key, LIMIT_KEY_BYTES);
    log_info("fetching a package from relay %s at %s",
             text_printable(name, sizeof name, peer->name),
             text_printable(endpoint, sizeof endpoint, peer->serve));
    return 0;
}

bool shell_request_from_peer(struct shell *shell, const uint8_t *key, const struct message *request)
{
    const struct peer *peer = peers_find(&shell->peers, key);
    if (!peer || peer->serve[0] == '\0' || dial(shell, peer) != 0)
        return false;
    shell_send_message(shell->peer_link, request); /* lost while it is dialled: asked again */
    return true;
}

void shell_drop_idle_peer(struct shell *shell)
{
    if (!shell->peer_link || cache_needs_peer(shell->cache, shell->peer_key))
        return;
    link_client_free(shell->peer_link);
    shell->peer_link = NULL;
}

void shell_peer_distrusted(void *context, const uint8_t *key,
                           const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    const struct shell *shell = context;
    const struct peer *peer = peers_find(&shell->peers, key);
    char hex[2 * SHORT_DIGEST_BYTES + 1];
    char name[LIMIT_SITE_NAME_SIZE];
    hex_encode(digest, SHORT_DIGEST_BYTES, hex);
    log_warning("relay %s gave wrong bytes for package %s: it is not asked for it again",
                peer ? text_printable(name, sizeof name, peer->name) : "that is gone", hex);
}
