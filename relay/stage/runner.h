/* Inside of the stage runner: what the stages' files share.
 *
 * A target lives in the runner's table from its first stage until stage_drop. One stage of a target
 * runs at a time; whichever file runs it ends it with exactly one of target_pass and target_fail.
 * Results are queued and handed out from the loop, so a stage may end anywhere, and the caller may
 * drop the target inside `done`.
 *
 * Starting a stage: STAGE_begin(target). Abandoning it: STAGE_cancel(target), which leaves no
 * callback behind that could touch the target.
 */
#ifndef PUSHER_RELAY_STAGE_RUNNER_H
#define PUSHER_RELAY_STAGE_RUNNER_H

#include <stddef.h>

#include "common/base/pace.h"
#include "common/pkg/folder.h"
#include "relay/stage/address.h"
#include "relay/stage/onlink.h"
#include "relay/stage/stage.h"

#define STAGE_ADDRESSES_MAX 16  /* of one name; what DNS tells beyond is left alone */
#define STAGE_FOLDER "SPDISTRO" /* below C:\ */
/* Temporary files there are called .pusher-<push>-<generation>.tmp; no package may be. */
#define STAGE_TEMPORARY_PREFIX ".pusher-"
#define STAGE_TEMPORARY_SUFFIX ".tmp"

struct auth_credential; /* relay/auth */
struct auth_pool;       /* relay/auth */
struct ping_probe;      /* ping.c */
struct pinger;          /* ping.c */
struct dns;             /* common/dns */
struct dns_query;       /* common/dns */
struct session;         /* session.c */

/* One push that this relay works on. */
struct stage_job {
    struct stage_job *next;                   /* of the runner's list */
    uint32_t no;                              /* job_no */
    uint32_t target_count;                    /* targets in the table that belong to it */
    uint32_t session_count;                   /* connections that still use its credential */
    bool removed;                             /* freed with its last target and connection */
    struct job job;                           /* as signed */
    const struct auth_credential *credential; /* the pool's; shared by all sessions of the push */
    uint32_t credential_no;                   /* the pool's number for it */
    int package_fd;                           /* -1 until stage_runner_set_package ... */
    struct folder folder;                     /* ... the files in it, if it is a folder */
};

/* A result on its way to the caller. */
struct stage_ending {
    struct stage_ending *next;
    struct stage_target *target; /* NULL: dropped in the meantime */
    struct stage_result result;
    uint8_t *output; /* owned; what result.output points to */
};

/* One target in work: small, since thousands wait at a time. */
struct stage_target {
    struct stage_target *next; /* in its bucket */
    struct stage_runner *runner;
    struct stage_job *job;
    uint64_t key;
    char *cleaned; /* JOB_CLEANUP: what stage 5 removed, for the last detail; owned */
    char *name;    /* owned */
    union stage_address *addresses; /* owned; best first, the one in use at the front */
    uint8_t address_count;
    bool name_is_address; /* given as an address: its name can't be checked */
    bool running;         /* a stage was asked for and has not ended */
    bool read_back;       /* of the request */
    bool look_only;       /* of the request */
    bool await;           /* of the request */
    bool hold_logon;      /* of the request */
    bool logged_on;       /* since ACCESS began: the account got in */
    bool held;            /* said `connected`, waits for stage_logon */
    bool logon_allowed;   /* for the next connection: the held one broke */
    bool uncertain;       /* schedule: a call may have been carried out; a failure is unknown */
    enum stage stage;     /* the running one, or the last */
    enum name_check name_check;
    uint32_t tries;              /* of the running stage */
    uint64_t bytes;              /* package bytes written */
    struct stage_ending *ending; /* queued result, NULL if none */
    struct dns_query *query;     /* its question, while it is out */
    struct ping_probe *probe;    /* owned by ping.c */
    struct session *session;     /* owned by session.c; NULL while there is no connection */
};

struct stage_runner {
    struct stage_runner_config config;
    struct stage_target **buckets; /* bucket_count lists */
    size_t bucket_count;           /* a power of two */
    size_t target_count;
    struct stage_job *jobs;
    uint32_t job_no_last;
    struct auth_pool *credentials; /* of all jobs */
    struct stage_ending *endings;  /* oldest first */
    struct stage_ending **endings_tail;
    struct stage_ending *delivering; /* the rest of those being handed out now */
    uv_idle_t *deliver;              /* runs while endings wait; freed by its close callback */
    struct dns *dns;
    struct pinger *pinger;
    struct onlink onlink;     /* what is reached without a router */
    struct session *sessions; /* every connection that is not closed */
    struct pace lan;          /* package bytes to all targets together */
    uint32_t copying_count;   /* targets that a large package is being copied to */
    uint8_t *received;        /* STAGE_BUFFER_BYTES: what a socket gave, within one callback */
    uint8_t *scratch;         /* STAGE_BUFFER_BYTES: package bytes, within one function */
};

#define STAGE_BUFFER_BYTES (256U << 10)

/* Ends the running stage of the target. `format` may be "" (no detail). */
void target_pass(struct stage_target *target, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* STAGE_EFFECT_UNKNOWN instead of STAGE_FAILED while the target is `uncertain`. */
void target_fail(struct stage_target *target, enum reason reason, enum code_kind kind,
                 uint32_t code, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Ends it with a verdict of any kind: verdict, reason, code, detail and what a waited-for job adds
 * are the caller's to fill. Takes `output` (from mem_new; NULL: none) over. */
void target_end(struct stage_target *target, const struct stage_result *result, uint8_t *output);

/* A connection of the job is closed for good. */
void stage_job_session_ended(struct stage_runner *runner, struct stage_job *job);

/* Text of the address in use; "" when none. */
void target_address_text(const struct stage_target *target, char text[LIMIT_ADDRESS_SIZE]);
/* What to call the machine in SMB and RPC: the address in use if the operator gave an address, else
 * the name without a final dot. */
void target_host_text(const struct stage_target *target, char text[LIMIT_TARGET_NAME_SIZE]);
/* Copies the addresses, best first; `count` may be 0. */
void target_addresses_set(struct stage_target *target, const union stage_address *addresses,
                          uint8_t count);
/* The address numbered `at` answered: from now on it is the one in use, the others come after it.
 */
void target_address_use(struct stage_target *target, uint8_t at);

/* Ends RESOLVE with NEVER_TOUCH when the name is on the never-touch list; true when it did. */
bool target_never(struct stage_target *target, const char *name);
/* Ends RESOLVE with those of the addresses (1 to STAGE_ADDRESSES_MAX) that lie in the relay's
 * scope, in the order of RFC 6724; without one, with OUT_OF_SCOPE; with NEVER_TOUCH when one of
 * them is on the never-touch list. */
void target_resolved(struct stage_target *target, const union stage_address *addresses,
                     uint8_t count);
/* Leaves those of the target's addresses that still may be touched, since the scope may have
 * changed since RESOLVE. False when there is none: then it ended the running stage. Asked before
 * every stage from PING on and before every connection. */
bool target_addresses_check(struct stage_target *target);

void resolve_begin(struct stage_target *target);
void resolve_cancel(struct stage_target *target);

struct pinger *pinger_new(struct stage_runner *runner);
void pinger_free(struct pinger *pinger);
void ping_begin(struct stage_target *target);
void ping_cancel(struct stage_target *target);

#endif
