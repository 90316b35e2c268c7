/* The relay's core; see cores.c. Its world has a `step` of its own, renamed where this is built. */
#include "tests/unit/agent_world.h"

#include <stddef.h>

#include "tests/failing/scenario.h"

static void told(struct run *run, struct world *world)
{
    run_saw(run, "%s", buf_cstr(&world->trace));
    forget_trace(world);
}

/* Targets through six stages, one that fails, one whose effect is unknown, one taken over, STOP. */
static int run_agent(struct run *run, const char *folder, struct err *err)
{
    (void)folder;
    (void)err;
    static struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 4, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    pass(&world, "At0");
    told(run, &world);
    ack_results(&world);
    answer(&world, "At1", AGENT_FAILED, REASON_NO_REPLY);
    pass_until(&world, "At2", STAGE_SCHEDULE);
    answer(&world, "At2", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    told(run, &world);
    lease(&world, &push_a, 7, 1, 2);
    pass_live_ms(&world, HEARTBEAT_MS);
    told(run, &world);
    refer(&world, AGENT_STOP, &push_a);
    pass_live_ms(&world, HEARTBEAT_MS);
    pass_ms(&world, 2 * (uint64_t)LEASE_MS);
    told(run, &world);
    world_release(&world);
    return 0;
}

const struct scenario scenario_agent = {.name = "agent", .kinds = KINDS_MEMORY, .run = run_agent};
