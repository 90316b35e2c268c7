/* Why a target ended: words, the state each leads to, cause and remedy. One row per reason in
 * reason.def. */
#ifndef PUSHER_MODEL_REASON_H
#define PUSHER_MODEL_REASON_H

#include <stdbool.h>

/* What a target's row says. Order is part of the store's format: append only. */
enum target_state {
    TARGET_QUEUED,          /* waiting at the coordinator */
    TARGET_RUNNING,         /* leased to a relay */
    TARGET_SCHEDULED,       /* the task is registered: success without --wait */
    TARGET_SUCCEEDED,       /* the package ended with a success code (--wait) */
    TARGET_FAILED,          /* a stage failed */
    TARGET_UNREACHABLE,     /* the machine could not be reached */
    TARGET_CANCELLED,       /* an admin stopped the push before it */
    TARGET_EXPIRED,         /* deadline passed, nothing registered */
    TARGET_UNKNOWN_EFFECT,  /* a task may have been registered; nobody can tell */
    TARGET_NEVER_ATTEMPTED, /* stage 1 never began, on purpose */
    TARGET_STATE_COUNT,
};

enum reason {
    REASON_NONE, /* no reason: queued, running or successful */
#define REASON(name, state, transient, cause, remedy) REASON_##name,
#include "common/model/reason.def"
#undef REASON
    REASON_COUNT,
};

const char *target_state_word(enum target_state state);
/* TARGET_STATE_COUNT when there is no such word. */
enum target_state target_state_from_word(const char *word);
/* Whether a row in this state is final. TARGET_UNKNOWN_EFFECT is final but may still become a known
 * result. */
bool target_state_terminal(enum target_state state);

/* "NO_REPLY"; "-" for REASON_NONE. */
const char *reason_word(enum reason reason);
/* REASON_COUNT when there is no such word. */
enum reason reason_from_word(const char *word);
enum target_state reason_state(enum reason reason);
bool reason_transient(enum reason reason);
const char *reason_cause(enum reason reason);  /* "" for REASON_NONE */
const char *reason_remedy(enum reason reason); /* "" for REASON_NONE */

#endif
