/* windows.kept: a relay never runs more of a stage at once than its windows allow. */
#include "tests/sim/invariants/invariants.h"

#define NAME "windows.kept"

void windows_look(struct world *w, uint16_t relay)
{
    const struct agent_counters now = agent_counters(w->relays[relay].agent);
    uint32_t window = w->options.window;
    REQUIRE(w,
            window == 0 || (now.stage_runs[STAGE_RESOLVE] <= window &&
                            now.stage_runs[STAGE_PING] <= window && now.sessions <= window),
            NAME, "r%u: %u names, %u pings, %u sessions at once, %u are allowed", relay,
            now.stage_runs[STAGE_RESOLVE], now.stage_runs[STAGE_PING], now.sessions, window);
}
