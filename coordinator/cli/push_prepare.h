/* Everything of a push that can be found wrong before anything is started. */
#ifndef PUSHER_CLI_PUSH_PREPARE_H
#define PUSHER_CLI_PUSH_PREPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/pkg/file.h"
#include "coordinator/cli/authority.h"
#include "coordinator/cli/push_options.h"
#include "coordinator/cli/sites.h"
#include "coordinator/cli/targets.h"

#define CONFIRM_ABOVE 100U /* targets: more are asked about */
#define PUSH_GO_ON (-1)    /* no exit status: nothing ended the command */

/* A push on its way; zeroed, then filled step by step, released as a whole. */
struct push {
    struct push_options options;
    struct targets *targets;     /* NULL with --resume and retry */
    struct package_file package; /* without has_package: name and size of one at the coordinator */
    bool has_package;            /* a file here */
    bool package_is_folder;
    struct credential *credential; /* secret memory; NULL: the sites' stored accounts */
    struct job job;                /* with --resume and retry: filled from the one before */
    /* With a configured coordinator: */
    struct authority authority;
    struct site_shares shares;
    bool retry; /* the next generation, of these rows (as MESSAGE_PUSH_COMMIT's) ... */
    uint32_t retry_states;
    enum reason retry_reason;
    uint32_t retry_count; /* ... so many */
};

/* Targets that it is about. */
uint32_t push_count(const struct push *push);

/* Opens the package, or finds it at the coordinator, expands the targets, says what is going to
 * happen, asks, reads the password, fills the job. Returns PUSH_GO_ON, else the exit status (usage,
 * no targets, dry run done). */
int push_prepare(struct push *push);
/* The steps of that which other commands share. Each returns PUSH_GO_ON or the exit status, having
 * said why. Without a terminal more than CONFIRM_ABOVE targets are refused without a -y: before
 * their count is shown, so that a script gets one line. */
int push_refuse_unasked(const struct push *push);
/* Has the count typed, if it must be. */
int push_confirm(const struct push *push);
/* The credential, from the file if one was named: at once, so that a wrong one is found before
 * anything is said. Errors: as password_from_file. */
int push_read_password(struct push *push, struct err *err);
/* ... else from the terminal. */
int push_ask_password(struct push *push);
/* Sets the job's times and counter by the wall clock; again for a resume. */
void push_set_times(struct push *push);
void push_release(struct push *push);

#endif
