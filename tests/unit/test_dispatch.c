/* The coordinator's core, told as stories: events in, effects out as a text trace in virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "coordinator/core/dispatch.h"
#include "tests/unit/reason_seen.h"

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

static struct push_id id_of(uint8_t number)
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
    case DISPATCH_PERSIST_LEASE:
        buf_printf(to, "mark p%u r%u <%u #%u", push, e->history.relay, e->history.mark,
                   e->history.attempt_max);
        break;
    case DISPATCH_PERSIST_EPOCH:
        buf_printf(to, "epoch r%u %llu", e->relay, epoch);
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

static struct story story_new(void)
{
    struct dispatch_config config = {LEASE_MS, HEARTBEAT_MS, GRACE_MS, RESEND_MS};
    struct story story = {.core = dispatch_new(&config), .now_ms = START_MS};
    dispatch_effects_init(&story.effects);
    buf_init(&story.trace, 1U << 20);
    return story;
}

static void story_end(struct story *story)
{
    dispatch_free(story->core);
    dispatch_effects_release(&story->effects);
    buf_release(&story->trace);
}

static void step(struct story *story, struct dispatch_event event)
{
    event.now_ms = story->now_ms;
    event.now_unix_ms = START_UNIX_MS + (story->now_ms - START_MS);
    dispatch_step(story->core, &event, &story->effects);
    for (size_t i = 0; i < story->effects.count; i++)
        trace_effect(&story->trace, &story->effects, &story->effects.items[i]);
}

/* What happened since the last look. */
static void expect(struct story *story, const char *trace)
{
    assert_string_equal(buf_cstr(&story->trace), trace);
    buf_reset(&story->trace);
}

static void forget(struct story *story)
{
    buf_reset(&story->trace);
}

static void know_relay(struct story *story, uint16_t relay, uint16_t site)
{
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known = (struct dispatch_relay_known){.relay = relay, .site = site};
    step(story, event);
}

static void open_push(struct story *story, uint8_t number, uint32_t target_count)
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

static void hello(struct story *story, uint16_t relay, uint64_t instance, uint32_t credit)
{
    struct message_hello message = {
        .protocol_version = MESSAGE_PROTOCOL_VERSION, .instance = instance, .credit = credit};
    struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = relay};
    event.hello = &message;
    step(story, event);
}

static uint64_t epoch_of(const struct story *story, uint16_t relay)
{
    return dispatch_relay_look(story->core, relay).epoch;
}

static void heartbeat(struct story *story, uint16_t relay, uint32_t credit)
{
    struct message_heartbeat message = {
        .epoch = epoch_of(story, relay), .sent_boottime_ms = 77, .credit = credit};
    struct dispatch_event event = {.kind = DISPATCH_HEARTBEAT, .relay = relay};
    event.heartbeat = &message;
    step(story, event);
}

static void tick(struct story *story)
{
    step(story, (struct dispatch_event){.kind = DISPATCH_TICK});
}

static struct result_row row_of(uint8_t push, uint32_t no, uint32_t attempt,
                                enum target_state state, enum reason reason)
{
    struct result_row row = {
        .push = id_of(push), .generation = 1, .target_no = no, .attempt = attempt};
    row.outcome.state = state;
    row.outcome.stage = STAGE_SCHEDULE;
    row.outcome.reason = reason;
    return row;
}

static void send_rows(struct story *story, uint16_t relay, uint64_t epoch, struct result_row *rows,
                      uint32_t count)
{
    struct message_results message = {
        .epoch = epoch, .sequence = 5, .rows = rows, .row_count = count};
    struct dispatch_event event = {.kind = DISPATCH_RESULTS, .relay = relay};
    event.results = &message;
    step(story, event);
}

static void result(struct story *story, uint16_t relay, uint8_t push, uint32_t no, uint32_t attempt,
                   enum target_state state, enum reason reason)
{
    struct result_row row = row_of(push, no, attempt, state, reason);
    send_rows(story, relay, epoch_of(story, relay), &row, 1);
}

static void scheduled(struct story *story, uint16_t relay, uint8_t push, uint32_t no,
                      uint32_t attempt)
{
    result(story, relay, push, no, attempt, TARGET_SCHEDULED, REASON_NONE);
}

static void stop_push(struct story *story, uint8_t push, bool cancel)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = push};
    event.push_stopped.cancel = cancel;
    step(story, event);
}

static void resume_push(struct story *story, uint8_t push)
{
    struct dispatch_event event = {.kind = DISPATCH_PUSH_RESUMED, .push_key = push};
    event.push_resumed.not_after_unix_s = NOT_AFTER_S + 3600;
    event.push_resumed.counter = 2;
    step(story, event);
}

/* A relay that is live and pushes as asked, with nothing to look at yet. */
static struct story story_of_one_push(uint32_t target_count, uint32_t credit)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, credit);
    open_push(&story, 1, target_count);
    forget(&story);
    return story;
}

/* ---- the ordinary course ---- */

static void push_to_one_relay_runs_to_close(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 3);
    expect(&story, "");
    hello(&story, 0, 11, 10);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <3 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-2#1\n");
    struct result_row rows[] = {row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE),
                                row_of(1, 2, 1, TARGET_FAILED, REASON_ACCESS_DENIED)};
    send_rows(&story, 0, epoch_of(&story, 0), rows, 2);
    expect(&story, "row p1/0 scheduled -\n"
                   "row p1/2 failed ACCESS_DENIED\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_push_leased(story.core, 1), 1);
    assert_int_equal(dispatch_target_holder(story.core, 1, 1), 0);
    assert_int_equal(dispatch_target_holder(story.core, 1, 0), DISPATCH_RELAY_NONE);
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void lease_within_credit_refills_as_results_come(void **state)
{
    (void)state;
    struct story story = story_of_one_push(10, 4);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 4);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <5 #1\n"
                   "r0 LEASE p1 4#1\n");
    heartbeat(&story, 0, 2); /* less than it holds: nothing new */
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void refill_with_large_credit_waits_until_worth_a_message(void **state)
{
    (void)state;
    struct story story = story_of_one_push(100, 80);
    for (uint32_t no = 0; no < 9; no++)
        scheduled(&story, 0, 1, no, 1);
    assert_null(strstr(buf_cstr(&story.trace), "LEASE"));
    forget(&story);
    scheduled(&story, 0, 1, 9, 1);
    expect(&story, "row p1/9 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <90 #1\n"
                   "r0 LEASE p1 80-89#1\n");
    scheduled(&story, 0, 1, 10, 1);
    forget(&story);
    heartbeat(&story, 0, 80); /* tops up */
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "mark p1 r0 <91 #1\n"
                   "r0 LEASE p1 90#1\n");
    story_end(&story);
}

static void large_credit_is_leased_in_messages_of_limited_rows(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 600);
    hello(&story, 0, 11, 4096);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <256 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-255#1\n"
                   "mark p1 r0 <512 #1\n"
                   "r0 LEASE p1 256-511#1\n"
                   "mark p1 r0 <600 #1\n"
                   "r0 LEASE p1 512-599#1\n");
    story_end(&story);
}

static void open_pushes_share_the_credit(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 100);
    open_push(&story, 2, 100);
    hello(&story, 0, 11, 10);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "mark p1 r0 <5 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-4#1\n"
                   "mark p2 r0 <5 #1\n"
                   "r0 JOB p2\n"
                   "r0 LEASE p2 0-4#1\n");
    story_end(&story);
}

static void targets_go_to_relays_of_their_site_only(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint16_t sites[] = {0, 1, 0, 1};
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 1);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 4,
                                                      .sites = sites};
    step(&story, event);
    hello(&story, 1, 22, 10);
    expect(&story, "epoch r1 0\n"
                   "r1 WELCOME 0\n"
                   "mark p1 r1 <4 #1\n"
                   "r1 JOB p1\n"
                   "r1 LEASE p1 1#1 3#1\n");
    story_end(&story);
}

static void push_with_states_leases_only_the_rest(void **state)
{
    (void)state;
    struct story story = story_new();
    const uint8_t states[] = {TARGET_FAILED, TARGET_QUEUED};
    know_relay(&story, 0, 0);
    hello(&story, 0, 11, 10);
    forget(&story);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 2,
                                                      .states = states};
    step(&story, event);
    expect(&story, "mark p1 r0 <2 #1\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#1\n");
    story_end(&story);
}

/* ---- epochs and leases ---- */

static void new_instance_gets_higher_epoch_and_next_attempt(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 10);
    uint64_t first = epoch_of(&story, 0);
    story.now_ms += 5;
    hello(&story, 0, 12, 10);
    assert_true(epoch_of(&story, 0) > first);
    expect(&story, "epoch r0 5\n"
                   "r0 WELCOME 5\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#2\n");
    story_end(&story);
}

static void epoch_rises_when_the_wall_clock_falls(void **state)
{
    (void)state;
    struct story story = story_new();
    struct dispatch_event event = {.kind = DISPATCH_RELAY_KNOWN};
    event.relay_known = (struct dispatch_relay_known){.epoch = 2 * START_UNIX_MS};
    step(&story, event);
    hello(&story, 0, 11, 1);
    assert_true(epoch_of(&story, 0) == 2 * START_UNIX_MS + 1);
    story_end(&story);
}

static void same_instance_keeps_epoch_and_hears_its_leases_again(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    story.now_ms += 5;
    hello(&story, 0, 11, 2);
    expect(&story, "r0 WELCOME 0\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    story_end(&story);
}

static void silent_relay_loses_leases_and_must_say_hello(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    uint64_t old_epoch = epoch_of(&story, 0);
    story.now_ms += LEASE_MS - 1;
    tick(&story);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 2);
    story.now_ms += 1;
    tick(&story);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, 0);
    assert_false(dispatch_relay_look(story.core, 0).live);
    heartbeat(&story, 0, 2);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    send_rows(&story, 0, old_epoch, &row, 1);
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 2);
    hello(&story, 0, 11, 2); /* the same process, but its leases are gone */
    expect(&story, "epoch r0 60000\n"
                   "r0 WELCOME 60000\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#2\n");
    story_end(&story);
}

static void message_of_old_epoch_is_ignored(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    uint64_t old_epoch = epoch_of(&story, 0);
    hello(&story, 0, 12, 2);
    forget(&story);
    struct result_row row = row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE);
    send_rows(&story, 0, old_epoch, &row, 1);
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 1);
    story_end(&story);
}

static void heartbeat_renews_the_lease(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    for (int i = 0; i < 8; i++) {
        story.now_ms += LEASE_MS / 2;
        heartbeat(&story, 0, 2);
        story.now_ms += LEASE_MS / 4;
        tick(&story);
        assert_true(dispatch_relay_look(story.core, 0).live);
    }
    story_end(&story);
}

static void lease_without_result_is_sent_again_with_its_job(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    for (int i = 0; i < 4; i++) {
        story.now_ms += RESEND_MS / 4;
        heartbeat(&story, 0, 2);
    }
    forget(&story);
    tick(&story);
    expect(&story, "");
    story.now_ms += 1000;
    tick(&story);
    expect(&story, "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    tick(&story);
    expect(&story, "");
    story_end(&story);
}

static void lost_relay_s_targets_go_to_another_of_the_site(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 2);
    story.now_ms += LEASE_MS;
    tick(&story);
    forget(&story);
    hello(&story, 1, 22, 5);
    expect(&story, "epoch r1 60000\n"
                   "r1 WELCOME 60000\n"
                   "mark p1 r1 <2 #2\n"
                   "r1 JOB p1\n"
                   "r1 LEASE p1 0-1#2\n");
    story_end(&story);
}

/* ---- whose rows count ---- */

static void result_of_older_lease_of_same_relay_counts(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    hello(&story, 0, 12, 2);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_DISK_FULL);
    expect(&story, "row p1/0 failed DISK_FULL\n"
                   "r0 RESULTS_ACK 5\n");
    story_end(&story);
}

static void result_for_another_relay_s_target_is_ignored(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    know_relay(&story, 1, 0);
    hello(&story, 1, 22, 2);
    forget(&story);
    scheduled(&story, 1, 1, 0, 1);
    expect(&story, "r1 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NOT_LEASED), 1);
    story_end(&story);
}

static void failure_of_old_holder_yields_to_new_holder_but_success_counts(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 2);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 22, 5); /* has both now */
    hello(&story, 0, 11, 0);
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_CONN_LOST);
    scheduled(&story, 0, 1, 1, 1);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    assert_int_equal(dispatch_relay_look(story.core, 1).leased, 1);
    story_end(&story);
}

static void repeated_or_changed_row_changes_nothing(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    scheduled(&story, 0, 1, 0, 1);
    result(&story, 0, 1, 0, 1, TARGET_FAILED, REASON_DISK_FULL);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_DUPLICATE), 2);
    story_end(&story);
}

static void nonsense_rows_are_counted_and_acknowledged(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    struct result_row rows[] = {
        row_of(9, 0, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 77, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, UINT32_MAX, 1, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 0, 2, TARGET_SCHEDULED, REASON_NONE),
        row_of(1, 0, 1, TARGET_RUNNING, REASON_NONE),
        row_of(1, 0, 1, (enum target_state)99, REASON_NONE),
        row_of(1, 0, 1, TARGET_FAILED, (enum reason)999),
        row_of(1, 0, 1, TARGET_SCHEDULED, REASON_NONE),
    };
    rows[7].generation = 2;
    send_rows(&story, 0, epoch_of(&story, 0), rows, 8);
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_UNKNOWN_PUSH), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NOT_LEASED), 2);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_NONSENSE), 4);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_GENERATION), 1);
    story_end(&story);
}

static void stranger_and_other_version_are_ignored(void **state)
{
    (void)state;
    struct story story = story_new();
    hello(&story, 3, 11, 2);
    know_relay(&story, 0, 0);
    struct message_hello old = {.protocol_version = 99, .credit = 1};
    struct dispatch_event event = {.kind = DISPATCH_HELLO, .relay = 0};
    event.hello = &old;
    step(&story, event);
    heartbeat(&story, 0, 1); /* no epoch yet */
    expect(&story, "");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_STRANGER), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_VERSION), 1);
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_EPOCH), 1);
    story_end(&story);
}

/* ---- deadlines ---- */

static void deadline_expires_what_was_never_leased(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 1);
    story.now_ms += 3600 * 1000 - 1;
    hello(&story, 0, 12, 0);
    forget(&story);
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/1 expired EXPIRED\n"
                   "row p1/2 expired EXPIRED\n");
    heartbeat(&story, 0, 5); /* what was leased may be past INTENT: the relay is asked */
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "mark p1 r0 <1 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2\n");
    story_end(&story);
}

static void relay_lost_past_deadline_leaves_unknown_effect_that_late_result_mends(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 1);
    story.now_ms += 3600 * 1000;
    tick(&story);
    expect(&story, "row p1/1 expired EXPIRED\n");
    story.now_ms += GRACE_MS - 1;
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    reason_seen(REASON_RELAY_LOST);
    hello(&story, 0, 12, 5); /* back after all: no CLOSE, it may know better */
    forget(&story);
    result(&story, 0, 1, 0, 1, TARGET_UNKNOWN_EFFECT, REASON_CONN_LOST);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 CLOSE p1\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_LATE), 1);
    story_end(&story);
}

static void not_begun_says_nothing_when_another_relay_had_it(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 11, 5);
    open_push(&story, 1, 1);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 22, 5);
    forget(&story);
    result(&story, 1, 1, 0, 2, TARGET_EXPIRED, REASON_EXPIRED);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "r1 RESULTS_ACK 5\n"
                   "closed p1\n");
    story_end(&story);
}

static void deadline_between_ticks_leases_nothing_fresh(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 1);
    story.now_ms += 3600 * 1000;
    heartbeat(&story, 0, 5);
    expect(&story, "r0 HEARTBEAT_ACK 77\n");
    story_end(&story);
}

static void restart_past_deadline_still_gives_grace(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const struct dispatch_history history = {.relay = 0, .mark = 1, .attempt_max = 1};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 1,
                                                      .history = &history,
                                                      .history_count = 1};
    story.now_ms += 24 * 3600 * 1000;
    step(&story, event);
    story.now_ms += GRACE_MS - 1;
    tick(&story);
    expect(&story, "");
    story.now_ms += 1;
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    story_end(&story);
}

static void many_rows_expire_in_portions(void **state)
{
    (void)state;
    struct story story = story_new();
    open_push(&story, 1, 2500);
    story.now_ms += 3600 * 1000;
    size_t rows = 0;
    for (int turn = 0; turn < 3; turn++) {
        tick(&story);
        const struct dispatch_effect *last = &story.effects.items[story.effects.count - 1];
        assert_int_equal(last->kind, DISPATCH_ARM_TIMER);
        assert_true(turn == 2 ? last->at_ms > story.now_ms : last->at_ms == story.now_ms);
        rows += story.effects.count - 1;
    }
    assert_int_equal(rows, 2501); /* and one PERSIST_CLOSED */
    story_end(&story);
}

static void tick_arms_timer_for_the_next(void **state)
{
    (void)state;
    struct story story = story_new();
    tick(&story);
    assert_int_equal(story.effects.count, 1);
    assert_int_equal(story.effects.items[0].kind, DISPATCH_ARM_TIMER);
    assert_true(story.effects.items[0].at_ms == START_MS + HEARTBEAT_MS / 2);
    story_end(&story);
}

/* ---- stop, cancel, resume ---- */

static void stop_takes_back_what_relay_drops_and_resume_goes_on(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    expect(&story, "r0 STOP p1 (job 1)\n");
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    scheduled(&story, 0, 1, 1, 1);
    heartbeat(&story, 0, 2);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 HEARTBEAT_ACK 77\n");
    resume_push(&story, 1);
    expect(&story, "mark p1 r0 <3 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2 2#1\n");
    story_end(&story);
}

static void resume_sends_new_job_and_takes_back_what_is_still_out(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    scheduled(&story, 0, 1, 0, 1);
    forget(&story);
    resume_push(&story, 1); /* before the relay said what it dropped */
    expect(&story, "mark p1 r0 <3 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#2 2#1\n");
    result(&story, 0, 1, 1, 1, TARGET_CANCELLED, REASON_CANCELLED); /* of the old lease */
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_push_leased(story.core, 1), 2);
    story_end(&story);
}

static void stop_is_repeated_while_relay_holds_targets(void **state)
{
    (void)state;
    struct story story = story_of_one_push(3, 2);
    stop_push(&story, 1, false);
    forget(&story);
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "r0 STOP p1 (job 1)\n");
    story.now_ms += LEASE_MS;
    heartbeat(&story, 0, 2);
    story.now_ms += LEASE_MS;
    heartbeat(&story, 0, 2);
    tick(&story); /* it never said what it dropped: taken back */
    assert_int_equal(dispatch_push_leased(story.core, 1), 0);
    story_end(&story);
}

/* The relay tells a late STOP from one that is meant by the job it names. */
static void stop_after_resume_names_the_new_job(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    stop_push(&story, 1, false);
    expect(&story, "r0 STOP p1 (job 1)\n");
    resume_push(&story, 1);
    forget(&story);
    stop_push(&story, 1, true);
    expect(&story, "r0 STOP p1 (job 2)\n");
    heartbeat(&story, 0, 2);
    expect(&story, "r0 HEARTBEAT_ACK 77\n"
                   "r0 STOP p1 (job 2)\n");
    story_end(&story);
}

static void cancel_ends_what_waits_and_asks_for_what_was_leased(void **state)
{
    (void)state;
    struct story story = story_of_one_push(4, 2);
    stop_push(&story, 1, true);
    expect(&story, "r0 STOP p1 (job 1)\n"
                   "row p1/2 cancelled CANCELLED\n"
                   "row p1/3 cancelled CANCELLED\n");
    hello(&story, 0, 12, 5); /* restarted: asked under STOP for what its journal knows */
    expect(&story, "epoch r0 1\n"
                   "r0 WELCOME 1\n"
                   "mark p1 r0 <2 #2\n"
                   "r0 JOB p1\n"
                   "r0 STOP p1 (job 1)\n"
                   "r0 LEASE p1 0-1#2\n");
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED); /* of the lease before */
    expect(&story, "r0 RESULTS_ACK 5\n");
    assert_int_equal(dispatch_counted(story.core, DISPATCH_COUNT_SUPERSEDED), 1);
    result(&story, 0, 1, 0, 2, TARGET_CANCELLED, REASON_CANCELLED);
    scheduled(&story, 0, 1, 1, 2);
    expect(&story, "row p1/0 cancelled CANCELLED\n"
                   "r0 RESULTS_ACK 5\n"
                   "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void cancel_without_word_from_relay_ends_unknown(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    stop_push(&story, 1, true);
    story.now_ms += GRACE_MS;
    forget(&story);
    tick(&story);
    expect(&story, "row p1/0 unknown_effect RELAY_LOST\n"
                   "closed p1\n");
    story_end(&story);
}

static void resume_of_open_push_sends_new_job_with_the_leases(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    resume_push(&story, 1);
    expect(&story, "r0 JOB p1\n"
                   "r0 LEASE p1 0-1#1\n");
    story_end(&story);
}

static void dropped_target_of_open_push_is_leased_with_its_job_again(void **state)
{
    (void)state;
    struct story story = story_of_one_push(1, 2);
    result(&story, 0, 1, 0, 1, TARGET_CANCELLED, REASON_CANCELLED);
    expect(&story, "r0 RESULTS_ACK 5\n"
                   "mark p1 r0 <1 #2\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 0#2\n");
    story_end(&story);
}

/* ---- restart of the coordinator ---- */

static void restart_keeps_apart_what_was_leased(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const uint8_t states[] = {TARGET_SCHEDULED, TARGET_QUEUED, TARGET_QUEUED};
    const struct dispatch_history history = {.relay = 0, .mark = 2, .attempt_max = 3};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .not_after_unix_s = NOT_AFTER_S,
                                                      .target_count = 3,
                                                      .states = states,
                                                      .history = &history,
                                                      .history_count = 1};
    step(&story, event);
    hello(&story, 0, 11, 0);
    forget(&story);
    scheduled(&story, 0, 1, 2, 1); /* never leased to it */
    expect(&story, "r0 RESULTS_ACK 5\n");
    story.now_ms += 3600 * 1000;
    tick(&story);
    expect(&story, "row p1/2 expired EXPIRED\n");
    hello(&story, 0, 11, 9);
    expect(&story, "epoch r0 600000\n"
                   "r0 WELCOME 600000\n"
                   "mark p1 r0 <2 #4\n"
                   "r0 JOB p1\n"
                   "r0 LEASE p1 1#4\n");
    scheduled(&story, 0, 1, 1, 2); /* from before the restart */
    expect(&story, "row p1/1 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "closed p1\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void ended_push_is_closed_again_at_hello(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_ENDED};
    event.push_ended.push = id_of(7);
    step(&story, event);
    hello(&story, 0, 11, 1);
    expect(&story, "epoch r0 0\n"
                   "r0 WELCOME 0\n"
                   "r0 CLOSE p7\n");
    story_end(&story);
}

static void closed_push_with_unknown_rows_still_listens(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    const uint8_t states[] = {TARGET_UNKNOWN_EFFECT};
    const struct dispatch_history history = {.relay = 0, .mark = 1, .attempt_max = 1};
    struct dispatch_event event = {.kind = DISPATCH_PUSH_OPENED};
    event.push_opened = (struct dispatch_push_opened){.key = 1,
                                                      .push = id_of(1),
                                                      .generation = 1,
                                                      .state = PUSH_CLOSED,
                                                      .target_count = 1,
                                                      .states = states,
                                                      .history = &history,
                                                      .history_count = 1};
    step(&story, event);
    expect(&story, "");
    hello(&story, 0, 11, 1);
    forget(&story);
    scheduled(&story, 0, 1, 0, 1);
    expect(&story, "row p1/0 scheduled -\n"
                   "r0 RESULTS_ACK 5\n"
                   "r0 CLOSE p1\n");
    story_end(&story);
}

static void million_targets_take_bounded_steps(void **state)
{
    (void)state;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    open_push(&story, 1, 1000000);
    hello(&story, 0, 11, 4000000000U);
    assert_int_equal(dispatch_relay_look(story.core, 0).leased, DISPATCH_CREDIT_MAX);
    assert_true(story.effects.count < 1000);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_to_one_relay_runs_to_close),
        cmocka_unit_test(lease_within_credit_refills_as_results_come),
        cmocka_unit_test(refill_with_large_credit_waits_until_worth_a_message),
        cmocka_unit_test(large_credit_is_leased_in_messages_of_limited_rows),
        cmocka_unit_test(open_pushes_share_the_credit),
        cmocka_unit_test(targets_go_to_relays_of_their_site_only),
        cmocka_unit_test(push_with_states_leases_only_the_rest),
        cmocka_unit_test(new_instance_gets_higher_epoch_and_next_attempt),
        cmocka_unit_test(epoch_rises_when_the_wall_clock_falls),
        cmocka_unit_test(same_instance_keeps_epoch_and_hears_its_leases_again),
        cmocka_unit_test(silent_relay_loses_leases_and_must_say_hello),
        cmocka_unit_test(message_of_old_epoch_is_ignored),
        cmocka_unit_test(heartbeat_renews_the_lease),
        cmocka_unit_test(lease_without_result_is_sent_again_with_its_job),
        cmocka_unit_test(lost_relay_s_targets_go_to_another_of_the_site),
        cmocka_unit_test(result_of_older_lease_of_same_relay_counts),
        cmocka_unit_test(result_for_another_relay_s_target_is_ignored),
        cmocka_unit_test(failure_of_old_holder_yields_to_new_holder_but_success_counts),
        cmocka_unit_test(repeated_or_changed_row_changes_nothing),
        cmocka_unit_test(nonsense_rows_are_counted_and_acknowledged),
        cmocka_unit_test(stranger_and_other_version_are_ignored),
        cmocka_unit_test(deadline_expires_what_was_never_leased),
        cmocka_unit_test(relay_lost_past_deadline_leaves_unknown_effect_that_late_result_mends),
        cmocka_unit_test(not_begun_says_nothing_when_another_relay_had_it),
        cmocka_unit_test(deadline_between_ticks_leases_nothing_fresh),
        cmocka_unit_test(restart_past_deadline_still_gives_grace),
        cmocka_unit_test(many_rows_expire_in_portions),
        cmocka_unit_test(tick_arms_timer_for_the_next),
        cmocka_unit_test(stop_takes_back_what_relay_drops_and_resume_goes_on),
        cmocka_unit_test(resume_sends_new_job_and_takes_back_what_is_still_out),
        cmocka_unit_test(stop_is_repeated_while_relay_holds_targets),
        cmocka_unit_test(stop_after_resume_names_the_new_job),
        cmocka_unit_test(cancel_ends_what_waits_and_asks_for_what_was_leased),
        cmocka_unit_test(cancel_without_word_from_relay_ends_unknown),
        cmocka_unit_test(resume_of_open_push_sends_new_job_with_the_leases),
        cmocka_unit_test(dropped_target_of_open_push_is_leased_with_its_job_again),
        cmocka_unit_test(restart_keeps_apart_what_was_leased),
        cmocka_unit_test(ended_push_is_closed_again_at_hello),
        cmocka_unit_test(closed_push_with_unknown_rows_still_listens),
        cmocka_unit_test(million_targets_take_bounded_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
