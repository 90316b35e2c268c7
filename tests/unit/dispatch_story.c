/* The stories of the coordinator core's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

struct push_id id_of(uint8_t number)
{
    struct push_id id = {{number}};
    return id;
}

static void trace_leases(struct buf *to, const struct dispatch_effects *effects,
                         const struct dispatch_effect *effect)
{
    const struct dispatch_lease *leases = effects->leases + effect->lease_first;
    uint32_t count = effect->lease_count;
    for (uint32_t i = 0; i < count;) {
        uint32_t last = i;
        while (last + 1 < count && leases[last + 1].target_no == leases[last].target_no + 1 &&
               leases[last + 1].attempt == leases[i].attempt)
            last++;
        buf_printf(to, " %u", leases[i].target_no);
        if (last > i)
            buf_printf(to, "-%u", leases[last].target_no);
        buf_printf(to, "#%u", leases[i].attempt);
        i = last + 1;
    }
}

static void trace_effect(struct buf *to, const struct dispatch_effects *effects,
                         const struct dispatch_effect *e)
{
    unsigned push = e->push.bytes[0];
    unsigned long long epoch = e->epoch % 1000000;
    switch (e->kind) {
    case DISPATCH_PERSIST_OUTCOME:
        buf_printf(to, "row p%u/%u %s %s", push, e->target_no, target_state_word(e->outcome->state),
                   reason_word(e->outcome->reason));
        break;
    case DISPATCH_PERSIST_CERTAIN:
        buf_printf(to, "certain p%u/%u", push, e->target_no);
        break;
    case DISPATCH_PERSIST_LEASE:
        buf_printf(to, "mark p%u r%u <%u #%u", push, e->history.relay, e->history.mark,
                   e->history.attempt_max);
        break;
    case DISPATCH_PERSIST_EPOCH:
        buf_printf(to, "epoch r%u %llu", e->relay, epoch);
        break;
    case DISPATCH_PERSIST_STANDING:
        buf_printf(to, "standing r%u %s", e->relay, relay_standing_word(e->standing));
        break;
    case DISPATCH_PERSIST_CLOSED:
        buf_printf(to, "closed p%u", push);
        break;
    case DISPATCH_SEND_WELCOME:
        buf_printf(to, "r%u WELCOME %llu", e->relay, epoch);
        break;
    case DISPATCH_SEND_HEARTBEAT_ACK:
        buf_printf(to, "r%u HEARTBEAT_ACK %llu", e->relay, (unsigned long long)e->sent_boottime_ms);
        break;
    case DISPATCH_SEND_JOB:
        buf_printf(to, "r%u JOB p%u", e->relay, push);
        break;
    case DISPATCH_SEND_LEASE:
        buf_printf(to, "r%u LEASE p%u", e->relay, push);
        trace_leases(to, effects, e);
        break;
    case DISPATCH_SEND_RESULTS_ACK:
        buf_printf(to, "r%u RESULTS_ACK %llu", e->relay, (unsigned long long)e->sequence);
        break;
    case DISPATCH_SEND_STOP:
        buf_printf(to, "r%u STOP p%u (job %llu)", e->relay, push, (unsigned long long)e->counter);
        break;
    case DISPATCH_SEND_CLOSE:
        buf_printf(to, "r%u CLOSE p%u", e->relay, push);
        break;
    case DISPATCH_ARM_TIMER:
        return; /* see tick_arms_timer */
    }
    buf_printf(to, "\n");
}

struct story story_new(void)
{
    struct dispatch_config config = {LEASE_MS, HEARTBEAT_MS, GRACE_MS, RESEND_MS};
    struct story story = {.core = dispatch_new(&config), .now_ms = START_MS};
    dispatch_effects_init(&story.effects);
    buf_init(&story.trace, 1U << 20);
    return story;
}

void story_end(struct story *story)
{
    dispatch_free(story->core);
    dispatch_effects_release(&story->effects);
    buf_release(&story->trace);
}

void step(struct story *story, struct dispatch_event event)
{
    event.now_ms = story->now_ms;
    event.now_unix_ms = START_UNIX_MS + (story->now_ms - START_MS);
    dispatch_step(story->core, &event, &story->effects);
    for (size_t i = 0; i < story->effects.count; i++)
        trace_effect(&story->trace, &story->effects, &story->effects.items[i]);
}

void expect(struct story *story, const char *trace)
{
    assert_string_equal(buf_cstr(&story->trace), trace);
    buf_reset(&story->trace);
}

void forget(struct story *story)
{
    buf_reset(&story->trace);
}

void know_relay(struct story *story, uint16_t relay, uint16_t site)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known = (struct dispatch_relay_known){.relay = relay, .site = site};
    step(story, event);
}

void open_push(struct story *story, uint8_t number, uint32_t target_count)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = number,
                                                      .push = id_of(number),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .counter = 1,
                                                      .target_count = target_count};
    step(story, event);
}

void hello(struct story *story, uint16_t relay, uint64_t instance, uint32_t credit)
{
    struct message_hello message = {
        .protocol_version = MESSAGE_PROTOCOL_VERSION, .instance = instance, .credit = credit};
    struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = relay};
    event.hello = &message;
    step(story, event);
}

uint64_t epoch_of(const struct story *story, uint16_t relay)
{
    return dispatch_relay_look(story->core, relay).epoch;
}

void heartbeat(struct story *story, uint16_t relay, uint32_t credit)
{
    struct message_heartbeat message = {
        .epoch = epoch_of(story, relay), .sent_boottime_ms = 77, .credit = credit};
    struct dispatch_event event = {.kind = DISPATCH_HEARTBEAT, .relay = relay};
    event.heartbeat = &message;
    step(story, event);
}

void tick(struct story *story)
{
    step(story, (struct dispatch_event){.kind = DISPATCH_TICK});
}

struct result_row row_of(uint8_t push, uint32_t no, uint32_t attempt, enum target_state state,
                         enum reason reason)
{
    struct result_row row = {
        .push = id_of(push), .generation = 1, .target_no = no, .attempt = attempt};
    row.outcome.state = state;
    row.outcome.stage = STAGE_SCHEDULE;
    row.outcome.reason = reason;
    return row;
}

void send_rows(struct story *story, uint16_t relay, uint64_t epoch, struct result_row *rows,
               uint32_t count)
{
    struct message_results message = {
        .epoch = epoch, .sequence = 5, .rows = rows, .row_count = count};
    struct dispatch_event event = {.kind = DISPATCH_RESULTS, .relay = relay};
    event.results = &message;
    step(story, event);
}

void result(struct story *story, uint16_t relay, uint8_t push, uint32_t no, uint32_t attempt,
            enum target_state state, enum reason reason)
{
    struct result_row row = row_of(push, no, attempt, state, reason);
    send_rows(story, relay, epoch_of(story, relay), &row, 1);
}

void scheduled(struct story *story, uint16_t relay, uint8_t push, uint32_t no, uint32_t attempt)
{
    result(story, relay, push, no, attempt, TARGET_SCHEDULED, REASON_NONE);
}

void stop_push(struct story *story, uint8_t push, bool cancel)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = push};
    event.push_stopped.cancel = cancel;
    step(story, event);
}

void resume_push(struct story *story, uint8_t push)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_RESUMED, .push_key = push};
    event.push_resumed.not_after_unix_s = NOT_AFTER_S + 3600;
    event.push_resumed.counter = 2;
    step(story, event);
}

struct story story_of_one_push(uint32_t target_count, uint32_t credit)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, credit);
    open_push(&story, 1, target_count);
    forget(&story);
    return story;
}
