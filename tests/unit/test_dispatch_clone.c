/* The coordinator's core, story by story: one relay's keys, one process or two. See
 * dispatch_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_story.h"

/* A process as the coordinator sees it, by the rules of relay/core/lease.c. */
struct process {
    uint64_t instance;
    uint64_t epoch;
    uint64_t heard_ms;     /* when its epoch was confirmed last */
    uint64_t heartbeat_ms; /* when it said the last one */
    bool holds;            /* has targets: comes back as another instance when its lease ran out */
    bool hello_out;
    uint64_t hello_ms;
};

static bool cloned(const struct story *story)
{
    return dispatch_relay_look(story->core, 0).standing == RELAY_CLONED;
}

static void say_hello(struct story *story, struct process *process)
{
    uint64_t welcomes = 0;
    hello(story, 0, process->instance, 5);
    for (size_t i = 0; i < story->effects.count; i++)
        welcomes += story->effects.items[i].kind == DISPATCH_SEND_WELCOME;
    process->hello_ms = story->now_ms;
    process->hello_out = welcomes == 0;
    if (welcomes == 0)
        return;
    process->epoch = epoch_of(story, 0);
    process->heard_ms = story->now_ms;
}

static void say_heartbeat(struct story *story, struct process *process)
{
    struct message_heartbeat message = {
        .epoch = process->epoch, .sent_boottime_ms = story->now_ms, .credit = 5};
    struct dispatch_event event = {.kind = DISPATCH_HEARTBEAT};
    event.heartbeat = &message;
    step(story, event);
    process->heartbeat_ms = story->now_ms;
    for (size_t i = 0; i < story->effects.count; i++)
        if (story->effects.items[i].kind == DISPATCH_SEND_HEARTBEAT_ACK)
            process->heard_ms = story->now_ms;
}

/* A second of its life. */
static void live_on(struct story *story, struct process *process)
{
    uint64_t now_ms = story->now_ms;
    if (process->epoch != 0 && process->holds && now_ms >= process->heard_ms + LEASE_MS * 8 / 10) {
        process->instance++;
        process->epoch = 0;
        say_hello(story, process);
    } else if (process->hello_out
                   ? now_ms >= process->hello_ms + 5000
                   : process->epoch == 0 || now_ms >= process->heard_ms + 3 * HEARTBEAT_MS) {
        say_hello(story, process);
    }
    if (process->epoch != 0 && !process->hello_out &&
        now_ms >= process->heartbeat_ms + HEARTBEAT_MS)
        say_heartbeat(story, process);
}

static struct story story_of_relay(void)
{
    struct story story = story_new();
    know_relay(&story, 0, 0);
    return story;
}

static void two_processes_are_noticed(void **state)
{
    (void)state;
    for (uint64_t apart_s = 0; apart_s < 90; apart_s++) {
        for (int holds = 0; holds < 4; holds++) {
            struct story story = story_of_relay();
            struct process first = {.instance = 1000000000, .holds = holds & 1};
            struct process second = {.instance = 5000000000, .holds = holds & 2};
            uint64_t until_ms = story.now_ms + apart_s * 1000 + 60000;
            uint64_t both_ms = story.now_ms + apart_s * 1000;
            while (story.now_ms < until_ms && !cloned(&story)) {
                live_on(&story, &first);
                if (story.now_ms >= both_ms)
                    live_on(&story, &second);
                story.now_ms += 1000;
                tick(&story);
            }
            assert_true(cloned(&story));
            story_end(&story);
        }
    }
}

/* Both come back as new instances whenever their leases have run out. */
static void two_processes_that_come_back_anew_are_noticed(void **state)
{
    (void)state;
    struct story story = story_of_relay();
    struct process processes[] = {{.instance = 1000000000, .holds = true},
                                  {.instance = 5000000000, .holds = true}};
    uint64_t until_ms = story.now_ms + 2 * 60000;
    for (int turn = 0; story.now_ms < until_ms && !cloned(&story); turn++) {
        for (int i = 0; i < 2; i++) {
            /* Each restarts by itself, too, after four heartbeats. */
            if (turn % 40 == 20 * i) {
                processes[i].instance += 1000000000;
                processes[i].epoch = 0;
                say_hello(&story, &processes[i]);
            }
            live_on(&story, &processes[i]);
        }
        story.now_ms += 1000;
        tick(&story);
    }
    assert_true(cloned(&story));
    story_end(&story);
}

static void one_process_that_restarts_is_not_a_clone(void **state)
{
    (void)state;
    for (uint64_t rhythm_s = 1; rhythm_s < 100; rhythm_s += 3) {
        struct story story = story_of_relay();
        struct process process = {.instance = 1000000000, .holds = true};
        for (uint64_t s = 0; s < 600; s++) {
            if (s % rhythm_s == 0) {
                struct process killed = process;
                process.instance += 1000000000;
                process.epoch = 0;
                say_hello(&story, &process);
                for (int late = 0; late < 3 && killed.epoch != 0; late++) {
                    struct process ghost = killed; /* no answer reaches it any more */
                    say_heartbeat(&story, &ghost);
                    say_hello(&story, &ghost);
                }
            }
            live_on(&story, &process);
            story.now_ms += 1000;
            tick(&story);
        }
        assert_false(cloned(&story));
        story_end(&story);
    }
}

/* Its last words were held up on the way, and come in one burst long after. */
static void late_burst_of_a_killed_process_is_not_a_clone(void **state)
{
    (void)state;
    struct story story = story_of_relay();
    struct process killed = {.instance = 1000000000};
    struct process process = {.instance = 5000000000};
    say_hello(&story, &killed);
    say_hello(&story, &process);
    for (int s = 0; s < 45; s++) {
        story.now_ms += 1000;
        live_on(&story, &process);
    }
    for (int i = 0; i < 20; i++) {
        story.now_ms += 100;
        say_heartbeat(&story, &killed);
        say_hello(&story, &killed);
    }
    assert_false(cloned(&story));
    assert_true(dispatch_counted(story.core, DISPATCH_COUNT_REPLACED) > 0);
    /* It didn't replace the one that lives. */
    forget(&story);
    say_heartbeat(&story, &process);
    assert_int_equal(story.effects.items[0].kind, DISPATCH_SEND_HEARTBEAT_ACK);
    story_end(&story);
}

/* The lease ran out in a silence; what was said before comes after what was said later. */
static void lapse_is_not_a_clone(void **state)
{
    (void)state;
    struct story story = story_of_relay();
    struct process process = {.instance = 1000000000, .holds = true};
    say_hello(&story, &process);
    struct process before = process;
    for (int round = 0; round < 5; round++) {
        story.now_ms += LEASE_MS;
        tick(&story);
        live_on(&story, &process);
        for (int s = 0; s < 30; s++) {
            story.now_ms += 1000;
            say_hello(&story, &before);
            live_on(&story, &process);
        }
        before = process;
    }
    assert_false(cloned(&story));
    story_end(&story);
}

/* Its HELLO, sent before it died, is heard after that of its successor. */
static void late_hello_of_a_process_never_heard_makes_no_clone_of_the_live_one(void **state)
{
    (void)state;
    struct story story = story_of_relay();
    struct process live = {.instance = 5000000000, .holds = true};
    struct process dead = {.instance = 1000000000};
    say_hello(&story, &live);
    say_hello(&story, &dead);
    assert_true(epoch_of(&story, 0) == dead.epoch);
    for (int s = 0; s < 120; s++) {
        live_on(&story, &live);
        story.now_ms += 1000;
        tick(&story);
        assert_false(cloned(&story));
    }
    assert_true(epoch_of(&story, 0) == live.epoch); /* it came back, and is heard */
    assert_true(live.heard_ms + 2 * HEARTBEAT_MS > story.now_ms);
    /* A second process is noticed all the same. */
    for (int s = 0; s < 120 && !cloned(&story); s++) {
        live_on(&story, &live);
        live_on(&story, &dead);
        story.now_ms += 1000;
        tick(&story);
    }
    assert_true(cloned(&story));
    story_end(&story);
}

static void clone_stops_both_and_is_persisted_once(void **state)
{
    (void)state;
    struct story story = story_of_one_push(2, 2);
    struct process first = {.instance = 11, .epoch = epoch_of(&story, 0)};
    hello(&story, 0, 5000000000, 2);
    heartbeat(&story, 0, 2);
    story.now_ms += HEARTBEAT_MS;
    say_heartbeat(&story, &first);
    assert_false(cloned(&story));
    story.now_ms += HEARTBEAT_MS / 2 - 1;
    say_heartbeat(&story, &first);
    assert_false(cloned(&story));
    story.now_ms++;
    forget(&story);
    say_heartbeat(&story, &first);
    expect(&story, "standing r0 cloned\n");
    assert_int_equal(dispatch_push_leased(story.core, 1), 0);
    heartbeat(&story, 0, 2);
    hello(&story, 0, 7000000000, 2);
    expect(&story, "");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_are_noticed),
        cmocka_unit_test(two_processes_that_come_back_anew_are_noticed),
        cmocka_unit_test(one_process_that_restarts_is_not_a_clone),
        cmocka_unit_test(late_burst_of_a_killed_process_is_not_a_clone),
        cmocka_unit_test(lapse_is_not_a_clone),
        cmocka_unit_test(late_hello_of_a_process_never_heard_makes_no_clone_of_the_live_one),
        cmocka_unit_test(clone_stops_both_and_is_persisted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
