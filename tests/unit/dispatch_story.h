/* The coordinator's core, told as stories: events in, effects out as a text trace in virtual time.
 * Used by the test_dispatch*.c.
 */
#ifndef PUSHER_TESTS_DISPATCH_STORY_H
#define PUSHER_TESTS_DISPATCH_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "coordinator/core/dispatch.h"

enum { LEASE_MS = 60000, HEARTBEAT_MS = 10000, GRACE_MS = 120000, RESEND_MS = 90000 };
#define START_MS UINT64_C(1000000)
#define START_UNIX_MS UINT64_C(5000000000)
#define NOT_AFTER_S INT64_C(5003600) /* an hour after the start */

struct story {
    struct dispatch *core;
    struct dispatch_effects effects;
    uint64_t now_ms;
    struct buf trace;
};

struct push_id id_of(uint8_t number);
struct story story_new(void);
void story_end(struct story *story);
void step(struct story *story, struct dispatch_event event);
/* What happened since the last look. */
void expect(struct story *story, const char *trace);
void forget(struct story *story);
void know_relay(struct story *story, uint16_t relay, uint16_t site);
void open_push(struct story *story, uint8_t number, uint32_t target_count);
void hello(struct story *story, uint16_t relay, uint64_t instance, uint32_t credit);
uint64_t epoch_of(const struct story *story, uint16_t relay);
void heartbeat(struct story *story, uint16_t relay, uint32_t credit);
void tick(struct story *story);
struct result_row row_of(uint8_t push, uint32_t no, uint32_t attempt, enum target_state state,
                         enum reason reason);
void send_rows(struct story *story, uint16_t relay, uint64_t epoch, struct result_row *rows,
               uint32_t count);
void result(struct story *story, uint16_t relay, uint8_t push, uint32_t no, uint32_t attempt,
            enum target_state state, enum reason reason);
void scheduled(struct story *story, uint16_t relay, uint8_t push, uint32_t no, uint32_t attempt);
void stop_push(struct story *story, uint8_t push, bool cancel);
void resume_push(struct story *story, uint8_t push);
/* A relay that is live and pushes as asked, with nothing to look at yet. */
struct story story_of_one_push(uint32_t target_count, uint32_t credit);

#endif
