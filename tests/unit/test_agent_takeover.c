/* The agent core: a target that another relay may have worked on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

/* Another relay may have gone past INTENT: the Task Scheduler is asked before a package that may
 * run is written over. */
static void second_attempt_finding_the_task_is_scheduled(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void second_attempt_finding_nothing_goes_on(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "run At0 path\n");
    pass(&world, "At0");
    saw(&world, "run At0 copy\n");
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.2\nrun At0 schedule\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void second_attempt_that_cannot_look_failed_at_schedule(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "outcome A/1 #0.2 failed schedule CONN_LOST\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void look_first_found_nothing_under_stop_is_cancelled(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    refer(&world, AGENT_STOP, &push_a);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "drop At0\ncancelled A#0.2\n");
    world_release(&world);
}

/* What is found is told, whatever was said meanwhile. */
static void look_first_found_it_under_stop_is_scheduled(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = true;
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    refer(&world, AGENT_STOP, &push_a);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_attempt_finding_the_task_is_scheduled),
        cmocka_unit_test(second_attempt_finding_nothing_goes_on),
        cmocka_unit_test(second_attempt_that_cannot_look_failed_at_schedule),
        cmocka_unit_test(look_first_found_nothing_under_stop_is_cancelled),
        cmocka_unit_test(look_first_found_it_under_stop_is_scheduled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
