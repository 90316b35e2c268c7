/* How long copying and cleaning up may take, however promptly a machine answers every single
 * question: else one that takes a little at a time would keep its place among the sessions for as
 * long as it likes. Called by session.c. Pure.
 *
 * As slow as this is what the wait for one answer would allow anyway: a piece of 64 KiB in 30 s.
 */
#ifndef PUSHER_RELAY_STAGE_BUDGET_H
#define PUSHER_RELAY_STAGE_BUDGET_H

#include <stdint.h>

#include "common/model/job.h"

#define BUDGET_PATIENCE_MS 120000U /* for questions that carry no bytes */
#define BUDGET_FILE_MS 10000U      /* ... for those of every further file of a folder */
#define BUDGET_RATE 2048U          /* package bytes per second */

/* For one target. `files`: of the package, at least 1. `patience_ms`: BUDGET_PATIENCE_MS, but in
 * tests. Waits for our own limit of bandwidth are not in it. */
uint64_t budget_copy_ms(const struct job *job, uint32_t files, uint32_t patience_ms);
/* The same for JOB_CLEANUP, which reads the package back with --verify alone. */
uint64_t budget_cleanup_ms(const struct job *job, uint32_t patience_ms);

#endif
