/* Scripted worlds: everything goes well but for what the story says. Their traces are kept in
 * stories/NAME.txt and read like a tale.
 *
 * A script is a list of beats. Each waits for a line of the trace that contains its words, after
 * the beat before it; then its deed is done. So scripts and traces speak one language, and a story
 * that doesn't happen any more says so instead of passing.
 */
#ifndef PUSHER_SIM_STORY_H
#define PUSHER_SIM_STORY_H

#include "tests/sim/world.h"

enum deed {
    DEED_END,              /* no more beats */
    DEED_NOTHING,          /* only waits for the line */
    DEED_RELAY_DIES,       /* `who`, before its next effect */
    DEED_RELAY_LOST,       /* ... and never comes back */
    DEED_CORE_DIES_BEFORE, /* the coordinator, before its next commit */
    DEED_CORE_DIES_AFTER,  /* ... after it, before anything is sent */
    DEED_LOSE,             /* the network, the message that the line tells of */
    DEED_CUT,              /* between `who` and the coordinator, for `ms` */
    DEED_CANCEL,           /* the operator; push 1; so the next ones */
    DEED_STOP,
    DEED_RESUME,
    DEED_RETRY,
    DEED_DRAIN,  /* `who` */
    DEED_REVOKE, /* `who` */
    DEED_FAIL,   /* the stage that runs next at `who`'s targets fails: nothing answers */
};

struct beat {
    const char *after; /* "r0 journals push 1 t0: INTENT" */
    enum deed deed;
    uint16_t who;
    uint32_t ms;
};

enum { BEATS = 8 };

struct story {
    const char *name;
    const char *tells; /* in one sentence */
    uint16_t relays;   /* all in one site */
    uint32_t targets;
    bool wait;
    struct beat beats[BEATS];
};

/* All of them, in order; NULL ends. */
const struct story *story_at(uint32_t number);
const struct story *story_find(const char *name);

/* Tells it. Returns 0, or 1 when an invariant broke or a beat was never reached. */
int story_tell(const struct story *story, FILE *to);

/* ---- for the world ---- */

/* A line of the trace, without its time. */
void story_hears(struct world *world, const char *line);
/* Deeds that can't be done in the middle of a step. */
void story_acts(struct world *world);
/* Whether the message that was just told of is lost. */
bool story_loses(struct world *world);
/* Whether the stage that begins fails. */
bool story_fails(struct world *world);
/* What becomes of the coordinator in this step. */
void story_core(struct world *world, bool *dies, bool *kept);

#endif
