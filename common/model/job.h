/* What an operator signs: everything that decides what happens on a target, and to whom.
 * The bytes that are signed are wire_encode_job()'s; a relay verifies the bytes first and decodes
 * them after.
 */
#ifndef PUSHER_MODEL_JOB_H
#define PUSHER_MODEL_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/id.h"
#include "common/model/limits.h"

/* Account the task runs as. Order is part of the wire format. */
enum run_as {
    RUN_AS_SYSTEM,
    RUN_AS_LOCAL_SERVICE,
    RUN_AS_NETWORK_SERVICE,
    RUN_AS_USER,
    RUN_AS_COUNT
};

/* What stage 2 asks for. Order is part of the wire format. */
enum ping_mode { PING_REQUIRE, PING_PREFER, PING_SKIP, PING_MODE_COUNT };

/* How --at and --until are meant. Order is part of the wire format. (TIME_UTC is a macro of
 * time.h.) */
enum time_zone { TIME_ZONE_UTC, TIME_ZONE_TARGET, TIME_ZONE_COUNT };

/* What relays are to do. Order is part of the wire format. */
enum job_action {
    JOB_PUSH,    /* the six stages */
    JOB_CLEANUP, /* undo what push `of_push` left: stages 4 to 6 look at the folder, remove the
                    files and disable the task */
    JOB_ACTION_COUNT
};

struct job {
    struct push_id push;
    uint32_t generation;                        /* 1, then +1 for every `pusher retry` */
    char package_name[LIMIT_PACKAGE_NAME_SIZE]; /* file name under C:\SPDISTRO */
    uint64_t package_bytes;                     /* size of the file */
    uint8_t package_digest[LIMIT_DIGEST_BYTES]; /* SHA-256 of the file */
    char command[LIMIT_COMMAND_SIZE];           /* Exec/Command; "" = C:\SPDISTRO\<package_name> */
    char arguments[LIMIT_ARGUMENTS_SIZE];       /* Exec/Arguments; "" = none */
    enum run_as run_as;
    enum ping_mode ping;
    bool replace_path; /* an unsafe C:\SPDISTRO is renamed aside */
    bool verify;       /* read the copied file back and compare digests */
    bool wait;         /* through a wrapper; a target ends with the package's exit code */
    bool cleanup;      /* with wait: remove the package when it has ended */
    uint32_t success_codes[LIMIT_SUCCESS_CODES]; /* with wait: exit codes that are a success ... */
    uint32_t success_code_count;                 /* ... at least one */
    enum job_action action;                      /* what for */
    struct push_id of_push; /* JOB_CLEANUP: whose leavings; package_name and run_as
                               are that push's as well */
    uint32_t of_generation;
    enum time_zone zone;       /* of start_unix_s and end_unix_s */
    int64_t start_unix_s;      /* StartBoundary; 0 = as soon as registered */
    int64_t end_unix_s;        /* EndBoundary (--until) */
    uint32_t run_timeout_s;    /* ExecutionTimeLimit */
    int64_t not_before_unix_s; /* a relay refuses the job before this ... */
    int64_t not_after_unix_s;  /* ... and never registers after this (<= end_unix_s) */
    uint32_t target_count;     /* leaves under targets_root */
    uint8_t
        targets_root[LIMIT_DIGEST_BYTES]; /* Merkle root over the targets in order, see merkle.h */
    uint64_t counter;                     /* operator's, rises with every signature */
    uint64_t policy_version;              /* the signer's policy: a relay with an older one refuses;
                                             0: private mode */
    bool site_credentials; /* the account is the site's; else it came with the push */
    bool directory;        /* the package is a folder, see pkg/folder.h */
    uint8_t pool_root[LIMIT_DIGEST_BYTES]; /* from generation 2 on: generation 1's targets_root, so
                                              that the operator of the next retry can tell whether
                                              the names that the coordinator has are the first
                                              operator's; else zeroes */
};

/* With `wait`: when waiting for the end of what was scheduled is over, whatever became of it: the
 * task starts before end_unix_s (without one, at start_unix_s or as soon as it is registered), runs
 * at most run_timeout_s, and two minutes are given to see that. */
int64_t job_wait_until_unix_s(const struct job *job);
/* What is scheduled starts before this, in UTC; 0 when nothing bounds it. */
int64_t job_start_until_unix_s(const struct job *job);

/* The push account, in the clear: at the CLI before sealing and at the relay after opening, nowhere
 * else. */
struct credential {
    char account[LIMIT_ACCOUNT_SIZE]; /* "user", "DOMAIN\user", "user@realm", ".\user" */
    char secret[LIMIT_SECRET_SIZE];   /* password, UTF-8; wiped by the owner after use */
};

#endif
