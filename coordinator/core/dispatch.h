/* The coordinator's core: which relay works on which target, and when a row is terminal. PURE.
 *
 * Called by the coordinator's shell and by the simulator: one event in, an ordered list of effects
 * out. It reads no clock, file or socket and cannot fail; what a peer sends that makes no sense is
 * ignored and counted. Rules and their reasons: docs/PROTOCOL.md, "Relay and coordinator".
 *
 * The caller carries effects out in order, committing what is persisted before it sends anything
 * that comes after it. Relays and sites are small numbers (indices) given by the caller, pushes
 * have the caller's key (the store's row) beside their id. After a restart the caller tells what
 * its store knows (RELAY_KNOWN, then PUSH_OPENED); leases themselves are not stored, only how far
 * each relay's reached, so that "never leased" stays a fact.
 *
 * It does not check signatures, names or packages, and keeps no outcome: only which rows are
 * terminal, and which of them are unknown_effect.
 *
 * Doubt. A relay whose lease was lost may have gone past INTENT. When another relay of the site
 * then fails on the way, its row is unknown_effect with its stage, reason and a detail that ends
 * with DISPATCH_DOUBT_TEXT; the first relay is asked as soon as it is back (a LEASE to it alone).
 * What it did counts; when it did nothing, PERSIST_CERTAIN lets the recorded failure count.
 *
 * An old copy. When the store was put back to an earlier state, what it says was never leased may
 * have been. The caller says so (PUSH_OPENED's `restored`), or a relay shows it: its HELLO names an
 * epoch that this store never gave out, which counts for its own site. From then on every relay of
 * the site that was let in may have had each target of it that has no terminal row; PERSIST_LEASE
 * makes that durable.
 */
#ifndef PUSHER_COORDINATOR_CORE_DISPATCH_H
#define PUSHER_COORDINATOR_CORE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/id.h"
#include "common/model/message.h"
#include "common/model/outcome.h"

#define DISPATCH_RELAY_NONE UINT16_MAX
#define DISPATCH_CREDIT_MAX 65536U /* a relay that claims more gets this */
/* An unknown_effect row is left at that so long after its job allows anything: by then its task is
 * gone from the target, too, and relays needn't remember the push any more. */
#define DISPATCH_UNKNOWN_KEPT_S (30U * 86400U)
/* What the detail of a row ends with whose failure doesn't count yet: see Doubt. */
#define DISPATCH_DOUBT_TEXT " (another relay had this target before, and hasn't come back)"
/* In dispatch_push_opened.states beside enum target_state ... */
#define DISPATCH_STATE_DOUBTED (TARGET_STATE_COUNT) /* unknown_effect, with that detail */
#define DISPATCH_STATE_OLD (TARGET_STATE_COUNT + 1) /* of an older generation: settled */
#define DISPATCH_STATE_DOUBTED_FAILED (TARGET_STATE_COUNT + 2) /* ... that would be FAILED */

struct dispatch;

struct dispatch_config {
    uint32_t lease_ms;     /* a relay that is silent for so long loses its leases */
    uint32_t heartbeat_ms; /* how often relays are asked to send one; ticks come twice as often */
    uint32_t grace_ms;     /* after a deadline or cancel: for relays to deliver what they know */
    uint32_t resend_ms;    /* a LEASE whose result is out for so long is sent again */
};

enum dispatch_event_kind {
    DISPATCH_RELAY_KNOWN, /* at start and when a relay is admitted; before any push it worked on */
    DISPATCH_RELAY_STANDING, /* after the store has it; RELAY_KNOWN leaves a new one active */
    DISPATCH_PUSH_OPENED,    /* at commit, at start for each push that is not settled, and when the
                                store has a new generation, which ends the one before */
    DISPATCH_RELAY_CAN,      /* a relay may, or may not any more, work on a push */
    DISPATCH_PUSH_STOPPED,   /* after the store has it */
    DISPATCH_PUSH_RESUMED,   /* after the store has the newly signed job */
    DISPATCH_PUSH_ENDED,     /* at start: a closed push of late; relays are told CLOSE again */
    DISPATCH_HELLO,
    DISPATCH_HEARTBEAT,
    DISPATCH_RESULTS,
    DISPATCH_TICK, /* when an armed timer is due; any number of extra ones do no harm */
};

struct dispatch_relay_known {
    uint16_t relay; /* index, dense, below DISPATCH_RELAY_NONE */
    uint16_t site;  /* index, dense */
    uint64_t epoch; /* the last one persisted; 0: none */
};

/* PENDING, REVOKED, CLONED: out. It isn't heard any more, nothing is sent to it, and its leases go
 * back as those of a silent relay. DRAINING: what it has it goes on with, nothing new. */
struct dispatch_relay_standing {
    uint16_t relay;
    enum relay_standing standing;
};

/* Who may not is leased nothing of the push, and isn't asked; what it holds stays until its lease
 * runs out. */
struct dispatch_relay_can {
    uint16_t relay;
    bool can;
};

/* How far a relay's leases in a push reached before the restart (PERSIST_LEASE's values). */
struct dispatch_history {
    uint16_t relay;
    uint32_t mark;        /* it was leased target numbers below this only */
    uint32_t attempt_max; /* highest attempt of its leases */
};

struct dispatch_push_opened {
    uint64_t key; /* the caller's, unique */
    struct push_id push;
    uint32_t generation;
    enum push_state state; /* PUSH_CLOSED only while rows are unknown_effect */
    int64_t not_after_unix_s;
    uint64_t counter;          /* of the signed job */
    bool wait;                 /* scheduled is progress: rows end when the packages have ended */
    int64_t wait_until_unix_s; /* with wait: relays give up waiting then */
    bool starts_later;         /* with wait: the job sets a time to start at */
    const char *start_until;   /* what is scheduled starts before, for people; NULL: nobody knows */
    uint32_t fail_stop_count;  /* nothing fresh is leased once so many FAILED; 0: no threshold */
    uint32_t target_count;
    const uint16_t *sites;  /* one per target; NULL: all of site 0 */
    const uint8_t *states;  /* enum target_state or DISPATCH_STATE_*, one per target; NULL: all
                               queued */
    const uint16_t *relays; /* who may work on it; NULL: every relay. See RELAY_CAN */
    size_t relay_count;
    const struct dispatch_history *history;
    size_t history_count;
    bool restored; /* the store is an old copy: see there */
};

struct dispatch_event {
    enum dispatch_event_kind kind;
    uint64_t now_ms;      /* CLOCK_BOOTTIME */
    uint64_t now_unix_ms; /* wall clock, for the jobs' deadlines */
    uint16_t relay;       /* HELLO, HEARTBEAT, RESULTS: who is on the line, by its key */
    uint64_t push_key;    /* PUSH_STOPPED, PUSH_RESUMED, RELAY_CAN */
    union {
        struct dispatch_relay_known relay_known;
        struct dispatch_relay_standing relay_standing;
        struct dispatch_relay_can relay_can;
        struct dispatch_push_opened push_opened;
        struct {
            bool cancel; /* rows that never began become CANCELLED */
        } push_stopped;
        struct {
            int64_t not_after_unix_s;  /* of the new job */
            uint64_t counter;          /* of the new job: higher than the one before */
            int64_t wait_until_unix_s; /* of the new job, as when it was opened */
            const char *start_until;
            bool starts_later;
            uint32_t fail_stop_count; /* 0: as it was */
        } push_resumed;
        struct {
            struct push_id push;
            uint32_t generation;
        } push_ended;
        const struct message_hello *hello;
        const struct message_heartbeat *heartbeat;
        const struct message_results *results;
    };
};

enum dispatch_effect_kind {
    DISPATCH_PERSIST_OUTCOME,  /* push_key, target_no, relay (or none), outcome, output; of a push
                                  that waits also SCHEDULED, which is progress */
    DISPATCH_PERSIST_CERTAIN,  /* push_key, target_no: the recorded failure counts. The row's state
                                  becomes that of its reason, DISPATCH_DOUBT_TEXT goes */
    DISPATCH_PERSIST_LEASE,    /* push_key, relay, history: overwrite the stored values */
    DISPATCH_PERSIST_EPOCH,    /* relay, epoch */
    DISPATCH_PERSIST_STANDING, /* relay, standing: RELAY_CLONED; the core holds it for out */
    DISPATCH_PERSIST_CLOSED,   /* push_key: every row is terminal, the credential may go */
    DISPATCH_SEND_WELCOME,     /* relay, epoch, instance, sent_boottime_ms */
    DISPATCH_SEND_HEARTBEAT_ACK, /* relay, epoch, sent_boottime_ms */
    DISPATCH_SEND_JOB,           /* relay, push_key */
    DISPATCH_SEND_LEASE,         /* relay, epoch, push_key, leases, counter */
    DISPATCH_SEND_RESULTS_ACK,   /* relay, epoch, sequence */
    DISPATCH_SEND_STOP,          /* relay, epoch, push, generation, counter */
    DISPATCH_SEND_CLOSE,         /* relay, epoch, push, generation */
    DISPATCH_ARM_TIMER,          /* at_ms; replaces the one before */
};

struct dispatch_lease {
    uint32_t target_no;
    uint32_t attempt;
};

/* One thing to do. What each kind uses stands beside the kind; the rest is zero. */
struct dispatch_effect {
    enum dispatch_effect_kind kind;
    uint16_t relay;                /* DISPATCH_RELAY_NONE: nobody */
    uint64_t epoch;                /* of that relay */
    uint64_t instance;             /* SEND_WELCOME: of the HELLO that it answers */
    enum relay_standing standing;  /* PERSIST_STANDING */
    uint64_t push_key;             /* as in PUSH_OPENED; 0 for SEND_CLOSE of an old push */
    struct push_id push;           /* whenever a push is meant */
    uint32_t generation;           /* of that push */
    uint64_t counter;              /* SEND_STOP, and SEND_LEASE if it asks only: of the job that is
                                      stopped */
    uint32_t target_no;            /* PERSIST_OUTCOME */
    const struct outcome *outcome; /* borrowed from the event, constant, or the effects' own: valid
                                      until the event's message is released, and the next step */
    const uint8_t *output;         /* as `outcome`; NULL: none */
    size_t output_size;            /* at most LIMIT_OUTPUT_BYTES */
    struct dispatch_history history; /* PERSIST_LEASE */
    size_t lease_first;              /* SEND_LEASE: index into dispatch_effects.leases ... */
    uint32_t lease_count;            /* ... 1 to LIMIT_ROWS_PER_MESSAGE, ascending target_no */
    uint64_t sequence;               /* SEND_RESULTS_ACK */
    uint64_t sent_boottime_ms;       /* SEND_HEARTBEAT_ACK, SEND_WELCOME */
    uint64_t at_ms;                  /* ARM_TIMER */
};

/* What one step asks for. Owned by the caller, reused from step to step. */
struct dispatch_effects {
    struct dispatch_effect *items;
    size_t count;
    size_t capacity;
    struct dispatch_lease *leases; /* of all SEND_LEASE */
    size_t lease_count;
    size_t lease_capacity;
    struct outcome **made; /* owned: outcomes worded in this step */
    size_t made_count;
};

void dispatch_effects_init(struct dispatch_effects *effects);
void dispatch_effects_release(struct dispatch_effects *effects);

struct dispatch *dispatch_new(const struct dispatch_config *config);
void dispatch_free(struct dispatch *dispatch);
/* Empties *out, then fills it. */
void dispatch_step(struct dispatch *dispatch, const struct dispatch_event *event,
                   struct dispatch_effects *out);

/* What was ignored, and other things worth a look; each counts up from 0. */
enum dispatch_count {
    DISPATCH_COUNT_STRANGER,     /* a message of a relay that is not known */
    DISPATCH_COUNT_OUT,          /* a message of a relay that is out */
    DISPATCH_COUNT_VERSION,      /* a HELLO of another protocol version */
    DISPATCH_COUNT_EPOCH,        /* a message of another epoch */
    DISPATCH_COUNT_REPLACED,     /* a HELLO of a process that another one has replaced */
    DISPATCH_COUNT_UNKNOWN_PUSH, /* a result row for no push here */
    DISPATCH_COUNT_GENERATION,   /* ... of another generation */
    DISPATCH_COUNT_NOT_LEASED,   /* ... for a target this relay was never leased */
    DISPATCH_COUNT_NONSENSE,     /* ... with a state or attempt that cannot be */
    DISPATCH_COUNT_SUPERSEDED,   /* ... a failure of an old lease while another relay works on it */
    DISPATCH_COUNT_DUPLICATE,    /* ... for a row that is terminal already */
    DISPATCH_COUNT_LATE,         /* ... that made an unknown_effect row known */
    DISPATCH_COUNT_DOUBTED,      /* failures that don't count until an earlier relay has spoken */
    DISPATCH_COUNT_LEASES_LOST,  /* leases taken back from a silent or restarted relay */
    DISPATCH_COUNT_LEASES_AGAIN, /* leases sent again */
    DISPATCH_COUNT_PROGRESS,     /* rows that said SCHEDULED of a target that is waited for */
    DISPATCH_COUNT_OLD_COPY,     /* HELLOs that showed that the store is an old copy */
    DISPATCH_COUNT_COUNT,
};

uint64_t dispatch_counted(const struct dispatch *dispatch, enum dispatch_count what);

/* A relay for the live view. */
struct dispatch_relay_view {
    bool known;                    /* there is such a relay; else all is zero */
    enum relay_standing standing;  /* as told, or RELAY_CLONED when noticed here */
    bool live;                     /* its leases hold */
    bool heard;                    /* it has said something since the start */
    uint64_t heard_ms;             /* when it was last heard of */
    uint64_t epoch;                /* its newest epoch */
    uint32_t credit;               /* as it said last */
    uint32_t leased;               /* targets it holds */
    uint32_t running[STAGE_COUNT]; /* as its last heartbeat said */
    uint32_t awaiting;             /* so that one */
};

struct dispatch_relay_view dispatch_relay_look(const struct dispatch *dispatch, uint16_t relay);
/* Targets of the push that relays hold now; 0 when the push is not open here. */
uint32_t dispatch_push_leased(const struct dispatch *dispatch, uint64_t push_key);
/* The relay that holds the target now; DISPATCH_RELAY_NONE when none does. */
uint16_t dispatch_target_holder(const struct dispatch *dispatch, uint64_t push_key,
                                uint32_t target_no);

#endif
