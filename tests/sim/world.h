/* Both cores in one process, in virtual time: the plain state that the simulator's files share.
 *
 * world.c turns it: what is due next happens, and so on, until the end. flow.c holds what is on
 * its way, network.c carries messages through the real codec, coordinator.c and relay.c are the
 * shells around the cores, store.c and journal.c what they keep, target.c is the machines' truth,
 * operator.c the person, invariants/ watch. Nothing here reads a clock or a random source: a world
 * is a function of its options and its seed.
 *
 * Who: the coordinator is one process (w->core, life w->core_life); relays are processes of their
 * own, each with an index. A process that dies loses its core, what it had on its way to itself
 * (item.life), and the effects that were not carried out; what it persisted stays.
 */
#ifndef PUSHER_SIM_WORLD_H
#define PUSHER_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "coordinator/core/dispatch.h"
#include "relay/core/agent.h"
#include "tests/sim/disk.h"
#include "tests/sim/options.h"

enum { LEASE_MS = 20000, HEARTBEAT_MS = 5000, GRACE_MS = 60000, RESEND_MS = 30000 };
#define WAIT_MORE_MS UINT64_C(150000) /* from the deadline to the end of all waiting */
#define LOOKS_MS UINT64_C(150000)     /* two looks, far apart, may fail before one sees the end */
#define NEVER_MS UINT64_C(1000000000)
#define UNIX_START_MS UINT64_C(1790000000000)

/* Processes of relays: one each, and the second one of a relay that is cloned. */
enum { PROCESSES = RELAYS + 1, ACTS = 64 };

enum item_kind { TO_COORDINATOR, TO_RELAY, STAGE_END, PORT_ANSWERED, PACKAGE_HERE };

/* Something on its way. */
struct item {
    uint64_t at_ms;
    uint64_t number; /* in the order they were put in: decides between equal times */
    enum item_kind kind;
    uint16_t relay;
    uint32_t life;      /* of the relay process, for what is its own */
    uint32_t core_life; /* of the coordinator, for what it sent: dies with its connections */
    uint8_t *bytes;     /* owned; a message */
    size_t size;
    struct agent_stage_done done; /* STAGE_END, PORT_ANSWERED */
    uint32_t job_no;              /* PACKAGE_HERE */
};

/* What is on its way, the earliest first; flow.h. */
struct flow {
    struct item **items; /* owned, each too; a heap, but in classic worlds a plain list */
    uint32_t count, capacity;
    uint64_t next_number;
    bool classic;
};

/* One row of a relay's journal. */
struct journal_row {
    bool intent, outcome, acked, output;
    uint32_t attempt;
    struct outcome value;
};

/* What a relay process keeps over its death. */
struct journal {
    struct journal_row rows[SLOTS][TARGETS];
    bool forgotten[SLOTS];   /* closed; in classic worlds its rows stay */
    uint64_t counter[SLOTS]; /* highest of the jobs it accepted */
};

/* What happens to a process beside its death. */
struct plight {
    uint64_t paused_until_ms; /* it stands still, as after SIGSTOP */
    size_t rest_from;         /* the first effect of its last step that is not carried out yet */
    bool rest;                /* there are such */
    uint64_t decided_ms;      /* when that step was */
    uint64_t decided_unix_ms; /* ... by its wall clock */
    int64_t clock_ms;         /* how far its wall clock is ahead */
    bool full, spent;         /* its disk is nearly full; nothing can be written */
};

struct relay {
    struct agent *agent; /* NULL: down */
    struct agent_effects effects;
    uint32_t life;
    uint64_t timer_ms, up_at_ms, started_ms;
    struct journal journal;
    uint64_t running[SLOTS][TARGETS]; /* key in the runner; 0: none */
    bool kill;                        /* a story wants it dead before its next effect */
    struct disk disk;                 /* under the journal */
    bool intake_closed;               /* its core was told that the disk is full */
    bool urgent;                      /* what is not committed may not wait */
    uint64_t committed_ms;            /* last time */
    struct plight plight;
};

enum act_kind {
    ACT_DISK_FULL,  /* process */
    ACT_DISK_SPENT, /* process */
    ACT_DISK_FREE,  /* process */
    ACT_CLOCK,      /* process, ms */
    ACT_STORE_COPIED,
    ACT_STORE_RESTORED,
    ACT_RESUMED,          /* what the restored coordinator stopped */
    ACT_JOURNAL_COPIED,   /* process */
    ACT_JOURNAL_RESTORED, /* process */
    ACT_CLONE,            /* process */
};

/* A fault that comes at its time; fault.h. */
struct act {
    uint64_t at_ms;
    enum act_kind kind;
    uint16_t process; /* COORDINATOR, or that of a relay */
    int64_t ms;
};

/* Of a target's machine, whatever is pushed to it. */
struct machine {
    bool dead, slow, hostile;
    uint64_t away_from_ms, away_until_ms; /* it restarts; what was registered stays */
};

/* What the coordinator's store holds. */
struct store {
    enum push_state state[SLOTS];
    enum target_state rows[SLOTS][TARGETS];
    enum reason reasons[SLOTS][TARGETS];
    bool doubted[SLOTS][TARGETS]; /* unknown_effect, with a failure that may yet count */
    bool old[SLOTS][TARGETS];     /* not tried in this generation */
    uint32_t generation[PUSHES];  /* newest; 0: no such push */
    enum relay_standing standing[RELAYS];
    struct dispatch_history history[SLOTS][RELAYS];
    uint64_t epoch[RELAYS];
    uint64_t counter[SLOTS]; /* of the signed job */
};

/* The machines' own truth about one task. */
struct task {
    bool registered;
    uint64_t starts_ms, ends_ms; /* with `wait` */
    uint32_t exit_code;
};

struct world {
    struct options options;
    uint64_t seed, random, now_ms, timer_ms;
    uint64_t events; /* steps of either core */
    bool healed, looked, ending;
    uint16_t lost_relay; /* goes and never comes back; relay_count: none */
    uint64_t cut_from_ms[RELAYS], cut_until_ms[RELAYS]; /* nothing gets through meanwhile */
    bool cut_up[RELAYS], cut_down[RELAYS];              /* ... to and from the coordinator */
    struct dispatch *core;
    uint32_t core_life;
    struct dispatch_effects effects;
    uint64_t core_up_at_ms; /* while w->core is NULL */
    struct plight core_plight;
    struct store store;
    struct relay relays[PROCESSES];
    uint16_t clone_of;     /* whose state the last process has; relay_count: nobody's */
    bool clone_runs;       /* it has been started */
    uint16_t line[RELAYS]; /* the process of this relay that was heard last */
    struct flow flow;
    uint32_t job_no;
    uint16_t site_of[TARGETS];
    struct task tasks[SLOTS][TARGETS];
    bool called[PROCESSES][SLOTS][TARGETS]; /* it has made a call that registers */
    bool stop_missed[SLOTS][RELAYS];        /* a STOP to it was lost or late */
    uint64_t stopped_ms[SLOTS];             /* when the operator stopped or cancelled it last */
    struct machine machines[TARGETS];

    struct act acts[ACTS]; /* by time */
    uint32_t act_count, act_next;
    struct store store_copy;
    struct journal *journal_copy;  /* owned; NULL: none */
    bool restored;                 /* the store is, or was once, an old copy */
    bool told;                     /* the coordinator that runs was started with --restored */
    bool told_start;               /* ... or the next one will be */
    bool unproven[SLOTS][TARGETS]; /* a copy forgot what was done there: see fault_excuses */
    uint64_t counter_max[PUSHES];  /* of any signed job: the operators' clock */
    uint64_t epoch_max[RELAYS];    /* that was ever given out */
    bool clock_wrong;              /* some wall clock was */
    int64_t clock_ahead_ms;        /* the furthest that any wall clock was */

    const struct story *story; /* NULL: none; and where it is */
    uint32_t beat;
    const struct beat *deed; /* of the last beat, to be done */
    FILE *trace;             /* NULL: none */
    bool listened;           /* somebody wants trace lines */
    const char *violated;    /* name of the first invariant that broke; NULL: none */
    char violation[512];     /* what it says */
    uint64_t violated_ms;
};

/* ---- world.c ---- */

/* A world before its first turn; nothing is drawn but by its options. */
struct world *world_new(const struct options *options, uint64_t seed, FILE *trace);
void world_free(struct world *world);
/* From start to end, or to the first violation. Returns whether all invariants held. */
bool world_run(struct world *world);

/* Draws from the world's stream. */
uint32_t below(struct world *world, uint32_t bound);
/* 0 draws nothing. */
bool chance(struct world *world, uint32_t percent);
bool one_in(struct world *world, uint32_t count);

#define COORDINATOR UINT16_MAX /* as a process */
/* Time as a process sees it. */
uint64_t world_boot_ms(const struct world *world);
uint64_t world_unix_ms(const struct world *world, uint16_t process);

/* ---- who and what: pure ---- */

struct push_id id_of(int slot);
uint32_t generation_of(int slot);
int slot_of(const struct push_id *id, uint32_t generation);
/* The store's row is the push's, whatever its generation. */
uint64_t key_of(int slot);
bool is_newest(const struct world *world, int slot);
/* Processes of relays that there are, or may come to be. */
uint16_t process_count(const struct world *world);
/* Which relay the process is, for whoever looks at keys. */
uint16_t relay_of(const struct world *world, uint16_t process);
uint16_t site_of_relay(const struct world *world, uint16_t process);
uint32_t credit_of(const struct world *world, uint16_t process);
uint64_t wait_until_ms(const struct world *world);
/* Nothing more is expected of the row. */
bool row_ended(const struct world *world, enum target_state row);
/* Somebody else of the site is there, whatever becomes of this one. */
bool has_twin(const struct world *world, uint16_t relay);

/* ---- violation.c ---- */

/* Notes the first one; the world ends after the present turn. */
void violation(struct world *world, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define REQUIRE(world, condition, invariant, ...)                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            violation(world, invariant, __VA_ARGS__);                                              \
    } while (0)

#endif
