/* The scheduled task of a push: its name, its fingerprint, its XML, and whether a task found on a
 * target is ours.
 *
 * Pure functions over plain structs. XML from a target is hostile: no DTD, no entity but the five
 * and numeric ones, bounded in size and depth. Byte equality of XML means nothing (the scheduler
 * re-serialises, start times differ between tries): task_matches compares what decides what runs.
 *
 * Spec: [MS-TSCH] 2.5 (XML task definition), XML 1.0.
 */
#ifndef PUSHER_RELAY_TSCH_TASK_H
#define PUSHER_RELAY_TSCH_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define TASK_FOLDER "\\Pusher"
#define TASK_PUSH_ID_BYTES 16
#define TASK_DIGEST_BYTES 32
#define TASK_PATH_SIZE 64         /* "\Pusher\" + 32 digits + "-" + generation and a NUL */
#define TASK_DESCRIPTION_SIZE 128 /* "Pusher job " + 64 digits and a NUL, or what others write */
#define TASK_COMMAND_SIZE 1024    /* UTF-8 with the NUL */
#define TASK_ARGUMENTS_SIZE 8192  /* UTF-8 with the NUL */
#define TASK_DIRECTORY_SIZE 1024  /* UTF-8 with the NUL */
#define TASK_ACCOUNT_SIZE 320     /* UTF-8 with the NUL */
#define TASK_TIME_SIZE 40         /* "2026-01-31T12:00:00Z" and what others write */
#define TASK_XML_SIZE_MAX (256U << 10) /* bytes of UTF-16LE, written or read */
#define TASK_WHY_SIZE 256

enum task_principal {
    TASK_AS_SYSTEM,          /* S-1-5-18, HighestAvailable */
    TASK_AS_LOCAL_SERVICE,   /* S-1-5-19 */
    TASK_AS_NETWORK_SERVICE, /* S-1-5-20 */
    TASK_AS_USER,            /* the logged-on user: group Users, or `user` with InteractiveToken */
};

/* What makes two registrations the same job: no times. */
struct task_job {
    uint8_t push_id[TASK_PUSH_ID_BYTES];
    uint32_t generation;
    uint8_t package_digest[TASK_DIGEST_BYTES];
    const char *command;
    const char *arguments; /* "" = none */
    enum task_principal principal;
    const char *user; /* TASK_AS_USER: an account, or "" or NULL = whoever is logged on */
};

/* A task to be registered. Strings are UTF-8 and borrowed. */
struct task {
    const char *author;
    const char *description; /* from task_description */
    enum task_principal principal;
    const char *user;                /* as in task_job */
    int64_t start_unix_s;            /* StartBoundary */
    int64_t end_unix_s;              /* EndBoundary, after start */
    bool utc;                        /* boundaries end in Z; false: the target's wall clock */
    uint32_t execution_limit_s;      /* ExecutionTimeLimit; 0 = none */
    uint32_t delete_expired_after_s; /* DeleteExpiredTaskAfter, counted from EndBoundary */
    const char *command;
    const char *arguments;         /* "" or NULL = none */
    const char *working_directory; /* "" or NULL = none */
};

/* What a task found on a target says. Fields are "" when the XML has no such element. */
struct task_seen {
    char description[TASK_DESCRIPTION_SIZE];
    uint32_t principal_count;
    char user_id[TASK_ACCOUNT_SIZE];  /* UserId of the first principal; so the next two */
    char group_id[TASK_ACCOUNT_SIZE]; /* GroupId */
    char logon_type[TASK_ACCOUNT_SIZE];
    uint32_t trigger_count;              /* triggers of any kind */
    char start_boundary[TASK_TIME_SIZE]; /* of the first trigger */
    char end_boundary[TASK_TIME_SIZE];
    uint32_t action_count; /* actions of any kind */
    uint32_t exec_count;   /* Exec actions; the next three are the first one's */
    char command[TASK_COMMAND_SIZE];
    char arguments[TASK_ARGUMENTS_SIZE];
    char working_directory[TASK_DIRECTORY_SIZE];
    bool oversized; /* a field did not fit and is cut: nothing of ours is that long */
};

/* "\Pusher\<32 digits>-<generation>". Returns `path`. */
char *task_path(const uint8_t push_id[TASK_PUSH_ID_BYTES], uint32_t generation,
                char path[TASK_PATH_SIZE]);
/* "Pusher job <64 digits>": SHA-256 over the job's fields, each with its length. Returns `text`. */
char *task_description(const struct task_job *job, char text[TASK_DESCRIPTION_SIZE]);
/* Whether a description has the form that task_description gives it, of whatever job. */
bool task_description_is_ours(const char *description);

/* Appends the definition as UTF-16LE without BOM and NUL. Errors: ERR_INVALID (a string that is not
 * UTF-8 or has a character that XML 1.0 forbids or a control character; a command that is empty; an
 * end that is not after the start; a year past 9999), ERR_LIMIT. `out` is undefined on error. */
int task_xml_build(const struct task *task, struct buf *out, struct err *err);
/* Reads a definition as SchRpcRetrieveTask returns it. Errors: ERR_PROTOCOL (not well-formed, a
 * DTD, not a task, an element twice), ERR_LIMIT (too big, too deep). */
int task_xml_read(const uint8_t *xml, size_t size, struct task_seen *seen, struct err *err);

/* Whether the task found is the one expected: same description, exactly one action, an Exec with
 * the same command, arguments and working directory, and the same principal. When not, `why` gets a
 * sentence; it may be NULL. */
bool task_matches(const struct task *expected, const struct task_seen *seen, char *why,
                  size_t why_size);

#endif
