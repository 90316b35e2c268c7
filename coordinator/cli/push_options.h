/* The command line of `pusher push`, checked as far as it can be without touching anything. */
#ifndef PUSHER_CLI_PUSH_OPTIONS_H
#define PUSHER_CLI_PUSH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "coordinator/cli/operator_key.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/values.h"

#define RUN_TIMEOUT_DEFAULT_S 7200U /* ExecutionTimeLimit without --run-timeout */
#define UNTIL_DEFAULT_S 86400       /* EndBoundary without --until and --at */
#define UNTIL_AFTER_AT_S 3600       /* ... with --at */
#define ZONE_BEHIND_MAX_S 43200     /* no clock is further behind UTC */

struct push_options {
    struct common_options common;
    struct operator_options operator; /* with a coordinator: who signs */
    const char *package;              /* NULL with --resume: the one that was pushed */
    const char **targets;             /* -t, owned list of borrowed words */
    size_t target_count;
    const char **excludes; /* --exclude, alike */
    size_t exclude_count;
    const char *site;          /* --site: every target's; NULL: by routing */
    const char *user;          /* NULL, with a coordinator only: the sites' stored accounts */
    const char *password_file; /* NULL: ask */
    const char *command;       /* NULL: what fits the package */
    enum ping_mode ping;
    enum run_as run_as;
    const char *at; /* --at and --until as given: their zone may come after them */
    const char *until;
    enum time_zone zone;                         /* what they are in */
    int64_t at_unix_s;                           /* 0: at once */
    int64_t until_unix_s;                        /* 0: default */
    uint32_t run_timeout_s;                      /* never 0 */
    uint32_t deadline_s;                         /* 0: --until */
    uint32_t timeout_s;                          /* 0: as long as it takes */
    bool wait;                                   /* for exit codes */
    bool cleanup;                                /* remove the package after its end */
    uint32_t success_codes[LIMIT_SUCCESS_CODES]; /* with wait; the default if none were given */
    uint32_t success_code_count;
    struct fail_limit max_fail; /* with resume: not given keeps the one before */
    const char *unresumable;    /* last option that --resume can't change; NULL: none was given */
    bool verify;
    bool replace_path;
    bool dry_run;
    bool yes;
    bool no_report;
    bool detach;                         /* end once the push is handed over */
    bool resume;                         /* --resume: push_id is set */
    bool has_id;                         /* --push-id: push_id is set */
    char push_prefix[PUSH_ID_TEXT_SIZE]; /* --resume's word: an id or the beginning of one */
    struct push_id push_id;
    char arguments[LIMIT_ARGUMENTS_SIZE]; /* after "--" */
    bool has_arguments;
};

/* Reads argv (without "pusher push"). now_unix_s is for --at and --until. With help or version set
 * nothing else is checked. Errors: ERR_INVALID, ERR_LIMIT: a usage error. */
int push_options_parse(struct push_options *options, int argc, char *const *argv,
                       int64_t now_unix_s, struct err *err);
/* Whether --user is there, if it must be, and sensible. Errors: ERR_INVALID. */
int push_account_check(const struct push_options *options, struct err *err);
/* Whether --site and --detach fit: only a configured coordinator knows them. Errors: ERR_INVALID.
 */
int push_coordinator_check(const struct push_options *options, struct err *err);
/* Reads --at and --until, which have to make sense now. Errors: ERR_INVALID. */
int push_times_check(struct push_options *options, int64_t now_unix_s, struct err *err);
/* Whether a word can name a push: what changes something on targets should not be one typing error
 * away from another push, so at least four digits. Errors: ERR_INVALID. */
int push_word_check(const char *word, struct err *err);
void push_options_release(struct push_options *options);
void push_options_help(FILE *out);

#endif
