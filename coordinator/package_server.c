/* Requests for package bytes: decided, queued, answered in turns. */
#include "coordinator/package_server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/pace.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"
#include "coordinator/core/spread.h"
#include "coordinator/trust.h"

#define WANTS_MAX 16U   /* of one relay: twice what it asks for at once */
#define TURN_CHUNKS 16U /* in one turn of the loop */

struct want {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t offset;
    uint32_t size;
};

/* What a relay waits for, oldest first. */
struct relay_queue {
    struct want wants[WANTS_MAX];
    uint32_t count;
    struct link_peer peer; /* of its newest request */
    uint16_t site;
};

struct site_link {
    struct pace pace;
    uint64_t sent_bytes;
};

struct package_server {
    struct coordinator *c;
    struct spread *spread;
    struct relay_queue *queues; /* by relay */
    uint16_t queue_count;
    struct site_link *sites; /* by site */
    uint16_t site_count;
    uint16_t turn; /* whose turn it is */
    uv_timer_t *timer;
};

struct package_server *package_server_new(struct coordinator *c)
{
    struct package_server *server = mem_new(1, sizeof *server);
    server->c = c;
    server->spread = spread_new();
    server->timer = mem_new(1, sizeof *server->timer);
    (void)uv_timer_init(c->loop, server->timer);
    server->timer->data = server;
    return server;
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void package_server_free(struct package_server *server)
{
    if (server == NULL)
        return;
    for (uint16_t i = 0; i < server->site_count; i++)
        if (server->sites[i].sent_bytes > 0)
            log_info("site %u: %" PRIu64 " package bytes sent", i, server->sites[i].sent_bytes);
    uv_close((uv_handle_t *)server->timer, timer_closed);
    spread_free(server->spread);
    free(server->queues);
    free(server->sites);
    free(server);
}

static struct site_link *site_of(struct package_server *server, uint16_t site)
{
    if (site >= server->site_count) {
        uint16_t count = (uint16_t)(site + 1U);
        server->sites = mem_resize(server->sites, count, sizeof *server->sites);
        memset(server->sites + server->site_count, 0,
               (size_t)(count - server->site_count) * sizeof *server->sites);
        server->site_count = count;
    }
    return &server->sites[site];
}

static struct relay_queue *queue_of(struct package_server *server, uint16_t relay)
{
    if (relay >= server->queue_count) {
        uint16_t count = (uint16_t)(relay + 1U);
        server->queues = mem_resize(server->queues, count, sizeof *server->queues);
        memset(server->queues + server->queue_count, 0,
               (size_t)(count - server->queue_count) * sizeof *server->queues);
        server->queue_count = count;
    }
    return &server->queues[relay];
}

int package_server_rates(struct package_server *server, struct err *err)
{
    struct store_site *sites = NULL;
    uint64_t now_ms = clock_boottime_ms();
    uint32_t count = 0;
    if (store_sites(server->c->store, &sites, &count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        pace_set(&site_of(server, sites[i].no)->pace, sites[i].site.wan_rate, now_ms);
    store_sites_free(sites, count);
    return 0;
}

uint64_t package_server_sent(const struct package_server *server, uint16_t site)
{
    return site < server->site_count ? server->sites[site].sent_bytes : 0;
}

/* ---- answers ---- */

static bool send_chunk(struct package_server *server, const struct link_peer *peer,
                       const struct message *answer)
{
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    /* At once: there is nothing to commit before it. */
    bool sent = wire_encode(answer, &bytes, &err) == 0 &&
                link_server_send(server->c->package_link, peer, bytes.data, bytes.size, &err) == 0;
    if (!sent)
        log_debug("chunk not sent: %s", err.text);
    buf_release(&bytes);
    return sent;
}

/* An answer without bytes: `source` NULL, nobody has it. */
static void refer(struct package_server *server, const struct link_peer *peer,
                  const struct message_chunk_request *want, uint64_t total, const uint8_t *source)
{
    struct message answer = {.kind = MESSAGE_CHUNK};
    memcpy(answer.chunk.digest, want->digest, LIMIT_DIGEST_BYTES);
    answer.chunk.offset = want->offset;
    answer.chunk.total = total;
    if (source != NULL)
        memcpy(answer.chunk.source, source, LIMIT_KEY_BYTES);
    (void)send_chunk(server, peer, &answer);
}

/* Sends the oldest of a relay's wants. */
static void answer_want(struct package_server *server, struct relay_queue *queue)
{
    const struct want want = queue->wants[0];
    struct message answer = {.kind = MESSAGE_CHUNK};
    struct message_chunk *chunk = &answer.chunk;
    struct err err = {0};
    memmove(queue->wants, queue->wants + 1, --queue->count * sizeof *queue->wants);
    memcpy(chunk->digest, want.digest, LIMIT_DIGEST_BYTES);
    chunk->offset = want.offset;
    chunk->data = mem_new(want.size + 1U, 1);
    if (package_store_read(server->c->packages, want.digest, want.offset, chunk->data, want.size,
                           &chunk->size, &chunk->total, &err) != 0) {
        log_warning("package link: %s", err.text);
        chunk->total = 0;
        chunk->size = 0;
    }
    size_t size = chunk->size;
    struct site_link *site = site_of(server, queue->site);
    if (send_chunk(server, &queue->peer, &answer)) {
        site->sent_bytes += size;
        pace_take(&site->pace, size);
    }
    message_release(&answer);
}

static void on_timer(uv_timer_t *timer);

/* Each relay in turn gets a piece, as far as its site's rate goes. */
static void serve(struct package_server *server)
{
    uint64_t now_ms = clock_boottime_ms();
    uint64_t wait_ms = UINT64_MAX;
    uint32_t sent = 0;
    uint16_t idle = 0; /* relays in a row that got nothing */
    while (sent < TURN_CHUNKS && idle < server->queue_count) {
        struct relay_queue *queue = &server->queues[server->turn];
        server->turn = (uint16_t)((server->turn + 1U) % server->queue_count);
        uint64_t due_ms = queue->count == 0
                              ? UINT64_MAX
                              : pace_wait_ms(&site_of(server, queue->site)->pace, now_ms);
        if (due_ms == 0) {
            answer_want(server, queue);
            sent++;
            idle = 0;
        } else {
            wait_ms = due_ms < wait_ms ? due_ms : wait_ms;
            idle++;
        }
    }
    if (sent == TURN_CHUNKS)
        wait_ms = 0;
    if (wait_ms != UINT64_MAX) {
        uv_update_time(server->c->loop);
        (void)uv_timer_start(server->timer, on_timer, wait_ms, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct package_server *server = timer->data;
    if (!server->c->stopping)
        serve(server);
}

/* ---- requests ---- */

/* Whether the relay is there for others of this site. */
static bool usable(const struct coordinator *c, uint16_t relay, uint16_t site)
{
    if (relay >= c->relay_count)
        return false;
    const struct relay_slot *slot = &c->relays[relay];
    return slot->admitted && slot->stored.site == site && slot->serve[0] != '\0' &&
           dispatch_relay_look(c->core, relay).live;
}

static void log_referral(const struct coordinator *c, uint16_t relay, uint16_t source,
                         const uint8_t *digest)
{
    char hex[2 * 4 + 1];
    hex_encode(digest, 4, hex);
    log_debug("package %s: relay %u is sent to relay %u (%s)", hex, relay, source,
              c->relays[source].serve);
}

/* Who is to send the bytes: a relay's number, or SPREAD_NOBODY for us. */
static uint16_t decide(struct package_server *server, const struct store_relay *relay,
                       const struct message_chunk_request *want, uint64_t total)
{
    uint16_t source = spread_source(server->spread, relay->site, want->digest);
    struct spread_ask ask = {
        .site = relay->site,
        .relay = relay->relay,
        .digest = want->digest,
        .end = want->offset < total ? want->offset + want->size : total,
        .total = total,
        .insist = want->insist,
        .source_usable = usable(server->c, source, relay->site),
        .now_ms = clock_boottime_ms(),
    };
    return spread_decide(server->spread, &ask);
}

/* A piece that waits already keeps its place. When all places are taken the newest goes: the relay
 * asks in order, and needs the first pieces first. */
static void enqueue(struct relay_queue *queue, const struct message_chunk_request *said)
{
    struct want want = {.offset = said->offset, .size = said->size};
    memcpy(want.digest, said->digest, LIMIT_DIGEST_BYTES);
    if (want.size > LIMIT_CHUNK_BYTES)
        want.size = LIMIT_CHUNK_BYTES;
    for (uint32_t i = 0; i < queue->count; i++)
        if (queue->wants[i].offset == want.offset &&
            memcmp(queue->wants[i].digest, want.digest, LIMIT_DIGEST_BYTES) == 0)
            return;
    if (queue->count < WANTS_MAX)
        queue->wants[queue->count++] = want;
}

static void on_request(struct coordinator *c, const struct link_peer *peer,
                       const struct message_chunk_request *want)
{
    struct package_server *server = c->package_server;
    const struct relay_slot *slot = relays_admitted(c, peer->key);
    struct err err = {0};
    uint64_t total = 0;
    if (slot == NULL)
        return;
    const struct store_relay *relay = &slot->stored;
    int fd = package_store_open(c->packages, want->digest, &total, &err);
    if (fd < 0) {
        log_warning("package link: relay %u: %s", relay->relay, err.text);
        refer(server, peer, want, 0, NULL);
        return;
    }
    (void)close(fd);
    uint16_t source = decide(server, relay, want, total);
    if (source != SPREAD_NOBODY) {
        log_referral(c, relay->relay, source, want->digest);
        refer(server, peer, want, total, c->relays[source].stored.key);
        return;
    }
    struct relay_queue *queue = queue_of(server, relay->relay);
    queue->peer = *peer;
    queue->site = relay->site;
    enqueue(queue, want);
    serve(server);
}

void package_link_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                           size_t size)
{
    struct coordinator *c = context;
    struct message request;
    struct err err = {0};
    if (c->stopping)
        return;
    if (wire_decode(bytes, size, &request, &err) != 0) {
        log_warning("package link: %s", err.text);
        return;
    }
    if (request.kind == MESSAGE_CHUNK_REQUEST)
        on_request(c, peer, &request.chunk_request);
    else
        log_debug("package link: ignored %s", message_kind_word(request.kind));
    message_release(&request);
}
