/* Everything of a push that can be found wrong before anything is started. */
#ifndef PUSHER_CLI_PUSH_PREPARE_H
#define PUSHER_CLI_PUSH_PREPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/pkg/file.h"
#include "coordinator/cli/push_options.h"
#include "coordinator/cli/targets.h"

#define CONFIRM_ABOVE 100U /* targets: more are asked about */

/* A push on its way; zeroed, then filled step by step, released as a whole. */
struct push {
    struct push_options options;
    struct targets *targets; /* NULL with --resume */
    struct package_file package;
    bool has_package;
    struct credential *credential; /* secret memory */
    struct job job;                /* with --resume: filled from what was kept */
};

/* Opens the package, expands the targets, says what is going to happen, asks, reads the password,
 * fills the job. Returns -1 to go on, else the exit status (usage, no targets, dry run done). */
int push_prepare(struct push *push);
/* Sets the job's times and counter by the wall clock; again for a resume. */
void push_set_times(struct push *push);
void push_release(struct push *push);

#endif
