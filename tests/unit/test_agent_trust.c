/* The relay's core when it may not work, or not for this signer, or not on this target. See
 * agent_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/agent_world.h"

static void halt(struct world *world, bool halted)
{
    struct agent_event event = {.kind = AGENT_HALT, .halted = halted};
    step(world, &event);
}

static void distrust(struct world *world, uint32_t job_no)
{
    struct agent_event event = {.kind = AGENT_DISTRUST, .package = {job_no, "signer left"}};
    step(world, &event);
}

static void halted_relay_asks_for_nothing_and_takes_nothing(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    halt(&world, true);
    forget_trace(&world);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 2, 1);
    saw(&world, "hello instance=7 credit=0\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    halt(&world, false);
    saw(&world, "hello instance=7 credit=512\n");
    welcome(&world, 1);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void halt_gives_targets_back_without_rows(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass(&world, "At0");
    forget_trace(&world);
    halt(&world, true);
    saw(&world, "drop At0\ndrop At1\nhello instance=8 credit=0\n");
    welcome(&world, 2);
    lease(&world, &push_a, 0, 2, 2);
    pass_live_ms(&world, 60000);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).held, 0);
    world_release(&world);
}

static void halt_lets_schedule_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    halt(&world, true);
    welcome(&world, 2);
    saw(&world, "hello instance=8 credit=0\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void halt_twice_is_halt_once(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    halt(&world, true);
    saw(&world, "hello instance=7 credit=0\n");
    halt(&world, true);
    saw(&world, "");
    world_release(&world);
}

static void distrusted_job_refuses_what_is_in_work_and_what_comes(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass(&world, "At1");
    forget_trace(&world);
    distrust(&world, 1);
    saw(&world, "drop At0\noutcome A/1 #0.1 failed - JOB_REFUSED\n"
                "drop At1\noutcome A/1 #1.1 failed - JOB_REFUSED\nresults A#0.1 A#1.1\n");
    ack_results(&world);
    forget_trace(&world);
    lease(&world, &push_a, 2, 1, 1);
    saw(&world, "outcome A/1 #2.1 failed - JOB_REFUSED\nresults A#2.1\n");
    struct agent_job other = job_of(&push_b, 2);
    give_job(&world, &other);
    lease(&world, &push_b, 0, 1, 1);
    saw(&world, "run Bt0 resolve\n");
    world_release(&world);
}

static void distrusted_job_looks_at_intents_and_registers_nothing(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    distrust(&world, 1);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED); /* it isn't there */
    saw(&world, "outcome A/1 #0.1 failed schedule JOB_REFUSED\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void distrusted_job_lifted_by_another_signature(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    distrust(&world, 1);
    saw(&world, "");
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void distrust_of_unknown_job_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    distrust(&world, 99);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, 1);
    world_release(&world);
}

/* Whoever a retry doesn't mean is an empty leaf, which a coordinator can prove. */
static void lease_of_empty_name_refused(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    char none[] = "";
    char some[] = "At1";
    struct lease_entry entries[] = {{0, 1, none}, {1, 1, some}};
    struct agent_event event = {.kind = AGENT_LEASE,
                                .lease = {world.epoch, push_a, 1, true, entries, 2, 0}};
    step(&world, &event);
    saw(&world, "outcome A/1 #0.1 failed - JOB_REFUSED\nrun At1 resolve\nresults A#0.1\n");
    world_release(&world);
}

static void target_nobody_touches_was_never_attempted(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_ms(&world, 40);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NEVER_TOUCH);
    saw(&world, "outcome A/1 #0.1 never_attempted - NEVER_TOUCH\ndrop At0\nresults A#0.1\n");
    const struct outcome *outcome = &world.effects.outcomes[0];
    assert_int_equal(outcome->stage, STAGE_COUNT);
    assert_int_equal(outcome->started_unix_ms, 0);
    assert_int_equal(outcome->elapsed_ms, 0);
    assert_int_equal(outcome->stage_ms[STAGE_RESOLVE], 0);
    assert_int_equal(outcome->tries, 0);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halted_relay_asks_for_nothing_and_takes_nothing),
        cmocka_unit_test(halt_gives_targets_back_without_rows),
        cmocka_unit_test(halt_lets_schedule_end),
        cmocka_unit_test(halt_twice_is_halt_once),
        cmocka_unit_test(distrusted_job_refuses_what_is_in_work_and_what_comes),
        cmocka_unit_test(distrusted_job_looks_at_intents_and_registers_nothing),
        cmocka_unit_test(distrusted_job_lifted_by_another_signature),
        cmocka_unit_test(distrust_of_unknown_job_ignored),
        cmocka_unit_test(lease_of_empty_name_refused),
        cmocka_unit_test(target_nobody_touches_was_never_attempted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
