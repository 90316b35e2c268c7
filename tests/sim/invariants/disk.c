/* disk.refuses: while a relay's disk is nearly full it asks for nothing new. */
#include "tests/sim/invariants/invariants.h"
#include "tests/sim/trace.h"

#define NAME "disk.refuses"

void disk_says(struct world *w, uint16_t process, uint32_t credit)
{
    REQUIRE(w, !w->relays[process].intake_closed || credit == 0, NAME,
            "%s asks for %u targets, and its disk is nearly full", relay_word(process), credit);
}
