/* The agent core under a coordinator whose store was put back to an earlier state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

/* The coordinator lost job 2, and in its new epoch stops job 1, which is all that it knows. */
static void stop_of_an_earlier_job_in_a_new_epoch_is_obeyed(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 60);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    stop_job(&world, &push_a, 1);
    pass(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1\n");
    job = job_of(&push_a, 3); /* what resumes it is above either */
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

/* A cancelled push is asked of a relay that has just started: JOB, STOP, LEASE; STOP is lost. */
static void lease_of_a_stopped_job_starts_nothing_without_its_stop(void **state)
{
    (void)state;
    struct world world;
    char name[] = "At0";
    struct lease_entry entry = {0, 1, name};
    world_default(&world);
    world.quiet = true;
    struct agent_event event = {
        .kind = AGENT_LEASE,
        .lease = {.epoch = world.epoch,
                  .push = push_a,
                  .generation = 1,
                  .verified = true,
                  .entries = &entry,
                  .entry_count = 1,
                  .stop_counter = 1},
    };
    step(&world, &event);
    saw(&world, "cancelled A#0.1\n");
    struct agent_job job = job_of(&push_a, 2); /* resumed; the LEASE comes once more, late */
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 2);
    step(&world, &event);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void job_of_a_closed_push_leaves_its_targets_unknown(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    struct agent_job job = job_of(&push_b, 1);
    job.accepted = false;
    job.forgotten = true;
    (void)text_copy(job.refusal, sizeof job.refusal, "this push is closed already");
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_b, 0, 1, 1);
    saw(&world, "outcome B/1 #0.1 unknown_effect - JOB_REFUSED\nresults B#0.1\n");
    world_release(&world);
}

static void hello_names_the_newest_epoch(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    uint64_t before = world.epoch;
    step_kind(&world, AGENT_LINK_UP);
    assert_int_equal(world.effects.items[0].kind, AGENT_SEND_HELLO);
    assert_int_equal(world.effects.items[0].hello.epoch, before);
    welcome(&world, before + 5);
    step_kind(&world, AGENT_LINK_UP);
    assert_int_equal(world.effects.items[0].hello.epoch, before + 5);
    world_release(&world);
}

static void welcome_to(struct world *world, uint64_t epoch, uint64_t sent_ms)
{
    struct agent_event event = {
        .kind = AGENT_WELCOME,
        .welcome = {epoch, LEASE_MS, HEARTBEAT_MS, world->instance, sent_ms}};
    world->epoch = epoch;
    step(world, &event);
}

/* Two WELCOMEs answered two HELLOs, and one of them lay in a queue while the relay stood still: the
 * coordinator has given its targets away by now. */
static void welcome_of_a_hello_before_is_no_lease(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    step_kind(&world, AGENT_LINK_UP);
    uint64_t sent_ms = world.now_ms;
    world.now_ms += 100;
    welcome_to(&world, 60, sent_ms);
    world.now_ms += 2 * LEASE_MS;
    step_kind(&world, AGENT_TICK);
    forget_trace(&world);
    uint64_t ignored = agent_counters(world.agent).ignored;
    welcome_to(&world, 60, sent_ms);
    assert_int_equal(agent_counters(world.agent).ignored, ignored + 1);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    world_release(&world);
}

/* Of several HELLOs the one that was answered counts. */
static void lease_begins_when_the_answered_hello_was_sent(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    step_kind(&world, AGENT_LINK_UP);
    pass_ms(&world, LEASE_MS);
    uint64_t sent_ms = world.now_ms;
    world.now_ms += 10;
    welcome_to(&world, 60, sent_ms);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_of_an_earlier_job_in_a_new_epoch_is_obeyed),
        cmocka_unit_test(lease_of_a_stopped_job_starts_nothing_without_its_stop),
        cmocka_unit_test(job_of_a_closed_push_leaves_its_targets_unknown),
        cmocka_unit_test(hello_names_the_newest_epoch),
        cmocka_unit_test(welcome_of_a_hello_before_is_no_lease),
        cmocka_unit_test(lease_begins_when_the_answered_hello_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
