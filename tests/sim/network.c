/* See network.h. */
#include "tests/sim/network.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/wire/wire.h"
#include "tests/sim/flow.h"
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/story.h"
#include "tests/sim/trace.h"

enum { TALE_MS = 20 }; /* in a story messages keep their order, unless it says otherwise */

/* What a dead process said comes within a heartbeat's time: a connection keeps the order. */
static bool is_pulse(const struct message *message)
{
    return message->kind == MESSAGE_HELLO || message->kind == MESSAGE_HEARTBEAT;
}

static bool cut(const struct world *w, enum item_kind kind, uint16_t process)
{
    uint16_t relay = relay_of(w, process);
    return w->now_ms >= w->cut_from_ms[relay] && w->now_ms < w->cut_until_ms[relay] &&
           (kind == TO_COORDINATOR ? w->cut_up[relay] : w->cut_down[relay]);
}

static uint32_t copies_of(struct world *w)
{
    if (story_loses(w))
        return 0;
    if (w->healed)
        return 1;
    if (chance(w, w->options.lost_percent))
        return 0;
    return chance(w, w->options.twice_percent) ? 2 : 1;
}

static void missed(struct world *w, enum item_kind kind, uint16_t relay,
                   const struct message *message)
{
    if (kind == TO_RELAY)
        stop_kept_missed(w, relay, message);
}

static uint64_t delay_of(struct world *w, enum item_kind kind, uint16_t relay,
                         const struct message *message)
{
    if (w->story != NULL)
        return TALE_MS;
    uint64_t delay_ms = 1 + below(w, 40);
    uint32_t late_ms = w->options.late_ms;
    if (is_pulse(message) && late_ms > HEARTBEAT_MS - 100)
        late_ms = HEARTBEAT_MS - 100;
    if (!w->healed && chance(w, w->options.late_percent)) {
        delay_ms += below(w, late_ms);
        missed(w, kind, relay, message);
    }
    return delay_ms;
}

void network_post(struct world *w, enum item_kind kind, uint16_t relay,
                  const struct message *message)
{
    struct buf bytes;
    struct err err;
    if (kind == TO_RELAY)
        relay = w->line[relay];
    TRACE_MESSAGE(w, FATE_SAID, kind, relay, message);
    if (cut(w, kind, relay)) {
        TRACE_MESSAGE(w, FATE_CUT, kind, relay, message);
        missed(w, kind, relay, message);
        return;
    }
    uint32_t copies = copies_of(w);
    if (copies == 0) {
        TRACE_MESSAGE(w, FATE_LOST, kind, relay, message);
        missed(w, kind, relay, message);
    }
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(message, &bytes, &err) != 0) {
        violation(w, "wire.encodes", "cannot encode %s: %s", message_kind_word(message->kind),
                  err.text);
        copies = 0;
    }
    for (uint32_t i = 0; i < copies; i++) {
        struct item *item = later(w, kind, relay, delay_of(w, kind, relay, message));
        item->bytes = mem_new(bytes.size, 1);
        memcpy(item->bytes, bytes.data, bytes.size);
        item->size = bytes.size;
    }
    buf_release(&bytes);
}

bool network_open(struct world *w, const struct item *item, struct message *message)
{
    struct err err;
    if (wire_decode(item->bytes, item->size, message, &err) != 0) {
        violation(w, "wire.decodes", "cannot decode: %s", err.text);
        return false;
    }
    TRACE_MESSAGE(w, FATE_HEARD, item->kind, item->relay, message);
    return true;
}
