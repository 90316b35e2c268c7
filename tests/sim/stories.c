/* The stories. Each was a fault on paper before it was a test: PROTOCOL.md has the rules. */
#include <string.h>

#include "tests/sim/story.h"

static const struct story stories[] = {
    {"all-is-well", "One relay, two targets, nothing fails.", .relays = 1, .targets = 2,
     .beats = {{"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"dies-between-intent-and-call",
     "A relay dies between INTENT and the call; its twin looks first, finds nothing, and "
     "registers.",
     .relays = 2, .targets = 1,
     .beats = {{"r0 journals push 1 t0: INTENT", DEED_RELAY_LOST, 0, 0},
               {"r1 schedule at push 1 t0 (only looks)", DEED_NOTHING, 0, 0},
               {"coordinator commits push 1 t0: scheduled", DEED_NOTHING, 0, 0}}},

    {"dies-after-the-call",
     "A relay dies when the task is registered; its twin finds it there, and nothing starts twice.",
     .relays = 2, .targets = 1,
     .beats = {{"target push 1 t0: the task is registered", DEED_RELAY_LOST, 0, 0},
               {"r1 schedule at push 1 t0 (only looks)", DEED_NOTHING, 0, 0},
               {"coordinator commits push 1 t0: scheduled", DEED_NOTHING, 0, 0}}},

    {"comes-back-and-reads-back",
     "A relay dies after the call and comes back: its journal has the INTENT, so it reads back.",
     .relays = 1, .targets = 1,
     .beats = {{"target push 1 t0: the task is registered", DEED_RELAY_DIES, 0, 0},
               {"r0 schedule at push 1 t0 (reads back)", DEED_NOTHING, 0, 0},
               {"coordinator commits push 1 t0: scheduled", DEED_NOTHING, 0, 0}}},

    {"coordinator-dies-before-commit",
     "The coordinator dies before it has committed a result: it never acknowledged, so the relay "
     "says it again.",
     .relays = 1, .targets = 1,
     .beats = {{"coordinator hears r0: results 1", DEED_CORE_DIES_BEFORE, 0, 0},
               {"coordinator commits push 1 t0: scheduled", DEED_NOTHING, 0, 0}}},

    {"coordinator-dies-after-commit",
     "The coordinator dies when a result is committed and not acknowledged: the relay says it "
     "again, and nothing changes.",
     .relays = 1, .targets = 1,
     .beats = {{"coordinator hears r0: results 1", DEED_CORE_DIES_AFTER, 0, 0},
               {"coordinator hears r0: results 1: push 1 t0 scheduled", DEED_NOTHING, 0, 0}}},

    {"last-acknowledgement-lost",
     "The last acknowledgement is lost, then the CLOSE: the relay says its result again and is "
     "told.",
     .relays = 1, .targets = 1,
     .beats = {{"coordinator tells r0: results_ack 1", DEED_LOSE, 0, 0},
               {"coordinator tells r0: close push 1", DEED_LOSE, 0, 0},
               {"r0 journals push 1 t0: acknowledged", DEED_NOTHING, 0, 0}}},

    {"cancelled-while-leased",
     "The operator cancels while a lease is out: what has not begun is cancelled, what is past "
     "INTENT is finished and reported.",
     .relays = 1, .targets = 3,
     .beats = {{"journals push 1", DEED_CANCEL, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"cancelled-with-stop-lost",
     "The operator cancels, the relay has just started again, and its STOP is lost: the LEASE "
     "itself says that nothing may begin.",
     .relays = 1, .targets = 1,
     .beats = {{"r0 path at push 1 t0", DEED_RELAY_DIES, 0, 0},
               {"r0 starts", DEED_CANCEL, 0, 0},
               {"coordinator hears r0: hello", DEED_NOTHING, 0, 0},
               {"coordinator tells r0: stop push 1", DEED_LOSE, 0, 0},
               {"coordinator commits push 1 t0: cancelled", DEED_NOTHING, 0, 0}}},

    {"stopped-and-resumed",
     "The operator stops a push and resumes it: the relay gives back what it hasn't begun, and "
     "gets "
     "it again under a job signed anew.",
     .relays = 1, .targets = 2,
     .beats = {{"r0 access at push 1 t0", DEED_STOP, 0, 0},
               {"coordinator hears r0: results", DEED_RESUME, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"cut-off",
     "The network is cut for longer than a lease: the relay stops at four fifths of it, its twin "
     "takes over what it had, and what it journalled meanwhile counts when it is back.",
     .relays = 2, .targets = 2,
     .beats = {{"r0 copy at push 1 t0", DEED_CUT, 0, 40000},
               {"r1 hears: lease push 1: t0 (once more)", DEED_NOTHING, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"drained", "A relay is drained: it finishes what it has, and the other gets the rest.",
     .relays = 2, .targets = 6,
     .beats = {{"r0 journals", DEED_DRAIN, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"revoked",
     "A relay is revoked in the middle: nobody hears it any more, and its twin takes over.",
     .relays = 2, .targets = 2,
     .beats = {{"r0 copy at push 1 t0", DEED_REVOKE, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},

    {"retried",
     "A target doesn't answer and is tried again in another generation, the other one is left "
     "alone.",
     .relays = 1, .targets = 2,
     .beats = {{"r0 ping at push 1 t0", DEED_FAIL, 0, 0},
               {"coordinator commits push 1: closed", DEED_RETRY, 0, 0},
               {"coordinator commits push 1 again t0: scheduled", DEED_NOTHING, 0, 0}}},

    {"waits-for-the-end",
     "The push waits: the relay is lost when the task is registered, its twin finds it and waits "
     "on.",
     .relays = 2, .targets = 1, .wait = true,
     .beats = {{"coordinator commits push 1 t0: scheduled", DEED_RELAY_LOST, 0, 0},
               {"r1 schedule at push 1 t0 (only looks)", DEED_NOTHING, 0, 0},
               {"coordinator commits push 1: closed", DEED_NOTHING, 0, 0}}},
};

const struct story *story_at(uint32_t number)
{
    return number < sizeof stories / sizeof *stories ? &stories[number] : NULL;
}

const struct story *story_find(const char *name)
{
    const struct story *story = NULL;
    for (uint32_t i = 0; (story = story_at(i)) != NULL; i++)
        if (strcmp(story->name, name) == 0)
            return story;
    return NULL;
}
