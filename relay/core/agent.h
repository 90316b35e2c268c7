/* The relay's pure core: which target enters which stage when, what is journalled, what is sent.
 *
 * agent_step takes one event and leaves an ordered list of effects. It reads no clock, file, socket
 * or random source, it cannot fail, and a peer's nonsense is ignored and counted. Called by the
 * relay's shell (and by tests and simulators) from one thread.
 *
 * The caller carries effects out in order: everything that is persisted in front of a SEND or a
 * RUN_STAGE is committed before that SEND or RUN_STAGE is carried out. It may crash between any
 * two. Outcomes are handed over once, with PERSIST_OUTCOME, and live in the journal from then on: a
 * results batch only names its rows. That keeps a finished target at some fifty bytes here.
 *
 * With a job that waits, a target whose task is registered keeps its lease and is looked at again
 * and again until it has ended (wait.c). It holds no session between two looks and costs some 300
 * bytes.
 *
 * A target that another relay may have worked on (an attempt above 1, and no INTENT here) is looked
 * at by SCHEDULE, look_only, before PATH: found there, it is done.
 *
 * Rules: docs/PROTOCOL.md. Invariants: at most one outcome per target and generation; INTENT is
 * persisted before the schedule stage, unless that only looks; no stage starts and no logon is
 * allowed after 80 % of the lease, after STOP, after the job's not_after, or during shutdown, but
 * to look for a task that may be registered already; no window is ever exceeded.
 */
#ifndef PUSHER_RELAY_CORE_AGENT_H
#define PUSHER_RELAY_CORE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/id.h"
#include "common/model/message.h"
#include "common/model/outcome.h"

struct agent;

struct agent_config {
    struct message_hello hello;  /* name, instance and seal key; the rest is filled here */
    uint32_t held_max;           /* targets held at once, waiting ones not counted: the credit */
    uint32_t resolve_max;        /* names being looked up at once */
    uint32_t ping_max;           /* addresses being pinged at once */
    uint32_t connect_max;        /* connecting, or connected and waiting for their logon */
    uint32_t session_max;        /* SMB sessions, counted from their logon to the end of schedule */
    uint32_t package_wait_max;   /* of one job that may wait for its package, connected */
    uint32_t hello_retry_ms;     /* HELLO again when no WELCOME came */
    uint32_t results_retry_ms;   /* a batch again when no ack came */
    uint32_t read_back_ms;       /* how long an unknown effect is looked into before it counts */
    uint32_t retry_first_ms;     /* first pause before reading back; doubles */
    uint32_t logon_patience_ms;  /* an unanswered first logon holds up others this long */
    uint32_t logon_wait_ms;      /* a connected target waits at most this long for its logon */
    uint32_t await_first_ms;     /* a waiting target is looked at so long after its start ... */
    uint32_t await_max_ms;       /* ... then after pauses that grow by half up to this */
    uint32_t shutdown_ms;        /* running stages get this long to end */
    uint32_t results_in_flight;  /* unacknowledged batches at once, at most 8 */
    uint32_t logon_failures_max; /* failures without a success that stop a credential */
    uint32_t logon_memory_ms;    /* a domain account's wrong passwords count so long after */
};

/* Defaults of the product; `hello` is left zeroed. */
void agent_config_defaults(struct agent_config *config);

/* A row's identity. */
struct agent_ref {
    struct push_id push;
    uint32_t generation;
    uint32_t target_no;
    uint32_t attempt;
    enum stage reached; /* SEND_CANCELLED: stage it was in, STAGE_COUNT if none began; else 0 */
    bool registered;    /* SEND_CANCELLED: the row says SCHEDULED, reason CANCELLED: it was waited
                           for, and the lease is given back */
};

/* What the core needs to know of a job that the shell verified, or refused. */
struct agent_job {
    struct push_id push;
    uint32_t generation;
    bool accepted;
    char refusal[LIMIT_DETAIL_SIZE]; /* when refused: why, for the row */
    bool forgotten;                  /* refused: was closed here, what was done for it is lost */
    uint64_t counter;                /* operator's; a higher one replaces the job, lifts a STOP */
    int64_t not_after_unix_ms;       /* nothing is registered after this */
    uint32_t job_no;                 /* the shell's number for it, unique while it is known */
    uint32_t credential_no;          /* equal for equal account and secret */
    bool local_account;              /* each machine has its own account of this name */
    bool shared_account;             /* a domain's: first logons need the coordinator's permit */
    uint8_t account[LIMIT_DIGEST_BYTES]; /* shared: as in message_permit_get; so the next */
    uint64_t account_counter;
    bool package_ready;         /* its package is in the cache already */
    bool cleanup;               /* JOB_CLEANUP: no INTENT, ends as SUCCEEDED */
    bool wait;                  /* targets end when the package has ended */
    int64_t wait_until_unix_ms; /* ... or then, whatever became of it */
};

enum agent_verdict {
    AGENT_PASSED,
    AGENT_FAILED,
    AGENT_EFFECT_UNKNOWN,
    AGENT_WAITING, /* SCHEDULE under `wait`: registered, not ended yet; `reason` says what it would
                      be if time were up now: NOT_STARTED or RUN_TIMEOUT */
};

/* What a stage came to (relay/stage/stage.h's result, which this room may not include). */
struct agent_stage_done {
    uint64_t key;
    enum stage stage;
    enum agent_verdict verdict;
    enum reason reason;
    enum code_kind code_kind;
    uint32_t code;
    char detail[LIMIT_DETAIL_SIZE];
    char address[LIMIT_ADDRESS_SIZE];
    enum name_check name_check;
    bool logged_on; /* ACCESS: the account got in, whatever came then */
    uint32_t tries;
    uint64_t bytes;
    uint32_t starts_in_ms; /* WAITING: until the task starts */
    bool has_exit_code;
    uint32_t exit_code;
    const uint8_t *output; /* borrowed for the step; at most LIMIT_OUTPUT_BYTES */
    size_t output_size;
};

struct agent_lease {
    uint64_t epoch;
    struct push_id push;
    uint32_t generation;
    bool verified; /* the Merkle proof shows that the operator named every entry */
    const struct lease_entry *entries;
    uint32_t entry_count;
    uint64_t stop_counter; /* as in message_lease */
};

enum agent_event_kind {
    AGENT_TICK,            /* the armed timer fired, or nothing but time passed */
    AGENT_JOURNAL_INTENT,  /* at start, before anything else: `ref` has an INTENT, no outcome */
    AGENT_JOURNAL_OUTCOME, /* at start, before anything else: `ref` has an outcome; `acked` */
    AGENT_LINK_UP,         /* the link may carry messages now (at start, after a reconnect) */
    AGENT_WELCOME,
    AGENT_HEARTBEAT_ACK,
    AGENT_JOB,
    AGENT_LEASE,
    AGENT_RESULTS_ACK,
    AGENT_STOP,
    AGENT_CLOSE,
    AGENT_CONNECTED, /* `key`: its ACCESS has NEGOTIATE's answer, waits for LOGON. Again when it has
                        lost that connection and made another: one LOGON is one logon */
    AGENT_STAGE_DONE,
    AGENT_PACKAGE_READY,  /* `job_no` */
    AGENT_PACKAGE_FAILED, /* `job_no`, and `detail` why */
    AGENT_PERMIT,
    AGENT_INTAKE,   /* `intake`: whether new targets are wanted; at first they are */
    AGENT_DISTRUST, /* `job_no`, and `detail` why: its signer is no operator any more. What is
                       not past INTENT ends as JOB_REFUSED, the rest is looked at only */
    AGENT_HALT,     /* `halted`: this relay may not work (any more). What it holds is given
                       back as if the lease had run out; it asks for nothing */
    AGENT_SHUTDOWN, /* start nothing more, say FINISHED when what runs has ended */
};

/* Borrowed for the length of agent_step. */
struct agent_event {
    enum agent_event_kind kind;
    uint64_t now_ms;      /* CLOCK_BOOTTIME; never falls */
    uint64_t now_unix_ms; /* wall clock; may jump */
    union {
        struct {
            struct agent_ref ref;
            bool acked;
            uint32_t output_size; /* OUTCOME: of the output that is journalled with it */
        } journal;
        struct message_welcome welcome;
        struct message_heartbeat_ack heartbeat_ack;
        const struct agent_job *job;
        struct agent_lease lease;
        struct message_results_ack results_ack;
        struct message_permit permit;
        struct message_push_ref push_ref; /* STOP, CLOSE */
        uint64_t key;                     /* CONNECTED */
        bool intake;
        const struct agent_stage_done *stage_done;
        struct {
            uint32_t job_no;
            const char *detail;
        } package; /* PACKAGE_READY, PACKAGE_FAILED, DISTRUST */
        bool halted;
    };
};

enum agent_effect_kind {
    AGENT_PERSIST_INTENT,  /* `ref` */
    AGENT_PERSIST_OUTCOME, /* `ref`, `outcome_no`: journalled as not acknowledged */
    AGENT_JOURNAL_RENEW,   /* `ref`: its outcome now answers ref.attempt and is unacknowledged */
    AGENT_JOURNAL_ACKED,   /* refs [first_ref, +ref_count) are acknowledged */
    AGENT_JOURNAL_FORGET,  /* `forget`: drop its intents and outcomes, remember it as closed */
    AGENT_SEND_HELLO,      /* `hello` */
    AGENT_SEND_HEARTBEAT,  /* `heartbeat` */
    AGENT_SEND_PERMIT_GET, /* `permit_get` */
    AGENT_SEND_RESULTS,    /* `results`: the journal's outcomes of these refs, as one batch */
    AGENT_SEND_CANCELLED,  /* `results`: CANCELLED rows for these refs; the journal has none */
    AGENT_SEND_SCHEDULED,  /* `results`: SCHEDULED rows, progress: the outcomes from first_outcome
                              on,  one for each ref; the journal has none. Sequence 0 */
    AGENT_RUN_STAGE,       /* `run` */
    AGENT_LOGON,           /* `key`: said CONNECTED, may log on now, once */
    AGENT_DROP,            /* `key`: forget the target; no result is wanted any more */
    AGENT_FETCH_PACKAGE,   /* `job_no`: answer with PACKAGE_READY or PACKAGE_FAILED */
    AGENT_REMOVE_JOB,      /* `job_no`: nothing of it is in work and no lease will name it */
    AGENT_ARM_TIMER,       /* `timer_ms`: TICK at this CLOCK_BOOTTIME; replaces the last one */
    AGENT_FINISHED,        /* after SHUTDOWN: end the process */
};

struct agent_effect {
    enum agent_effect_kind kind;
    union {
        struct {
            struct agent_ref ref;
            uint32_t outcome_no;   /* index into agent_effects.outcomes */
            const uint8_t *output; /* what the package printed; borrowed from the event */
            size_t output_size;    /* 0: none */
        } persist;
        struct {
            uint32_t first_ref; /* index into agent_effects.refs */
            uint32_t ref_count;
            uint32_t first_outcome; /* SEND_SCHEDULED: index into agent_effects.outcomes */
            uint64_t epoch;         /* SEND_* only */
            uint64_t sequence;      /* SEND_* only */
        } rows;
        struct {
            struct push_id push;
            uint32_t generation;
            uint64_t counter;          /* highest accepted, 0 if none was */
            int64_t not_after_unix_ms; /* of that job */
        } forget;
        struct message_hello hello;
        struct message_permit_get permit_get;
        struct message_heartbeat heartbeat;
        struct {
            uint64_t key;
            uint32_t job_no;
            enum stage stage;
            const char *target; /* borrowed until the next agent_step */
            bool read_back;
            bool look_only;  /* with read_back: nothing may be registered any more */
            bool await;      /* SCHEDULE: it is registered; look whether it has ended */
            bool hold_logon; /* say CONNECTED and wait for LOGON before each logon */
        } run;
        uint64_t key;
        uint32_t job_no;
        uint64_t timer_ms;
    };
};

/* Filled by agent_step, which empties it first; the memory is reused. At most a few effects per
 * held target and row. Zero it before the first use. */
struct agent_effects {
    struct agent_effect *items;
    size_t count, capacity;
    struct agent_ref *refs;
    size_t ref_count, ref_capacity;
    struct outcome *outcomes;
    size_t outcome_count, outcome_capacity;
};

void agent_effects_release(struct agent_effects *effects);

/* Figures for logs and tests. */
struct agent_counters {
    uint64_t ignored;                 /* events that made no sense here or came too late */
    uint32_t held;                    /* targets leased to us, without outcome */
    uint32_t in_stage[STAGE_COUNT];   /* of them, by the stage they are in or wait for */
    uint32_t stage_runs[STAGE_COUNT]; /* stages running now */
    uint32_t sessions;                /* targets holding an SMB session */
    uint32_t awaiting;                /* of those held: registered, their end is waited for */
    uint32_t unacknowledged;          /* outcomes the coordinator has not confirmed */
    uint32_t lapses;                  /* leases that ran out */
    uint64_t epoch;                   /* 0: not welcome yet */
};

struct agent *agent_new(const struct agent_config *config);
void agent_free(struct agent *agent);
void agent_step(struct agent *agent, const struct agent_event *event,
                struct agent_effects *effects);
/* Whether a job with this or a higher counter is known already: the shell then need not prepare it
 * again. */
bool agent_knows_job(const struct agent *agent, const struct push_id *push, uint32_t generation,
                     uint64_t counter);
struct agent_counters agent_counters(const struct agent *agent);

#endif
