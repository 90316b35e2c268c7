/* Reason and state tables. */
#include "common/model/reason.h"

#include <string.h>

static const struct {
    const char *word;
    enum target_state state;
    bool transient;
    const char *cause;
    const char *remedy;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"-", TARGET_QUEUED, false, "", ""},
#define REASON(name, state, transient, cause, remedy)                                              \
    [REASON_##name] = {#name, TARGET_##state, transient, cause, remedy},
#include "common/model/reason.def"
#undef REASON
};

static const char *const states[TARGET_STATE_COUNT] = {
    [TARGET_QUEUED] = "queued",
    [TARGET_RUNNING] = "running",
    [TARGET_SCHEDULED] = "scheduled",
    [TARGET_SUCCEEDED] = "succeeded",
    [TARGET_FAILED] = "failed",
    [TARGET_UNREACHABLE] = "unreachable",
    [TARGET_CANCELLED] = "cancelled",
    [TARGET_EXPIRED] = "expired",
    [TARGET_UNKNOWN_EFFECT] = "unknown_effect",
    [TARGET_NEVER_ATTEMPTED] = "never_attempted",
};

const char *target_state_word(enum target_state state)
{
    return state < TARGET_STATE_COUNT ? states[state] : "-";
}

enum target_state target_state_from_word(const char *word)
{
    int i = 0;
    while (i < TARGET_STATE_COUNT && strcmp(states[i], word) != 0)
        i++;
    return (enum target_state)i;
}

bool target_state_terminal(enum target_state state)
{
    return state > TARGET_RUNNING && state < TARGET_STATE_COUNT;
}

const char *reason_word(enum reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].word : "-";
}

enum reason reason_from_word(const char *word)
{
    int i = 0;
    while (i < REASON_COUNT && strcmp(reasons[i].word, word) != 0)
        i++;
    return (enum reason)i;
}

enum target_state reason_state(enum reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].state : TARGET_FAILED;
}

bool reason_transient(enum reason reason)
{
    return reason < REASON_COUNT && reasons[reason].transient;
}

const char *reason_cause(enum reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].cause : "";
}

const char *reason_remedy(enum reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].remedy : "";
}
