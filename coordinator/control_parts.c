/* A push counted by site and relay. To count goes through all its rows, so an answer serves for a
 * while: a page's next page, and whoever looks again while the push goes on. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/coordinator.h"

#define FRESH_MS 1000U /* counts of an open push are at most so old ... */
#define FRESH_COST 50U /* ... or so many times as long as counting took */

static bool fresh(const struct parts_cache *cache, uint64_t key, bool open, uint32_t first,
                  uint64_t now_ms)
{
    uint64_t cost_ms = (uint64_t)FRESH_COST * cache->cost_ms;
    if (cache->parts == NULL || cache->key != key)
        return false;
    if (first > 0)
        return true; /* pages fit together */
    /* Of a push that is over, the counts are to be right. */
    return open && now_ms - cache->counted_ms < (cost_ms > FRESH_MS ? cost_ms : FRESH_MS);
}

static int count(struct coordinator *c, uint64_t key, struct err *err)
{
    struct parts_cache *cache = &c->parts;
    struct push_part *parts = NULL;
    uint32_t part_count = 0;
    uint64_t from_ms = clock_boottime_ms();
    if (store_parts(c->store, key, &parts, &part_count, err) != 0)
        return -1;
    control_parts_release(c);
    *cache = (struct parts_cache){.key = key,
                                  .parts = parts == NULL ? mem_new(1, sizeof *parts) : parts,
                                  .part_count = part_count,
                                  .counted_ms = clock_boottime_ms()};
    cache->cost_ms = (uint32_t)(cache->counted_ms - from_ms);
    return 0;
}

void control_parts_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    struct message answer = {.kind = MESSAGE_PARTS, .request = message->request};
    const struct parts_cache *cache = &c->parts;
    struct push_summary summary;
    uint32_t first = message->parts_get.first;
    struct err err = {0};
    uint64_t key = 0;
    if (store_find(c->store, &message->parts_get.push, &key, &err) != 0 ||
        store_summary(c->store, key, &summary, &err) != 0 ||
        (!fresh(cache, key, summary.state != PUSH_CLOSED, first, clock_boottime_ms()) &&
         count(c, key, &err) != 0)) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    uint32_t left = first < cache->part_count ? cache->part_count - first : 0;
    answer.parts.row_count = left < LIMIT_ROWS_PER_MESSAGE ? left : LIMIT_ROWS_PER_MESSAGE;
    answer.parts.rows =
        cache->parts + (left == 0 ? 0 : first); /* borrowed: it is encoded at once */
    answer.parts.next = left > answer.parts.row_count ? first + answer.parts.row_count : 0;
    shell_send(c, c->control_link, peer, &answer);
}

void control_parts_release(struct coordinator *c)
{
    free(c->parts.parts);
    c->parts = (struct parts_cache){0};
}
