/* The relay's journal: INTENTs, outcomes until CLOSE, and which signed jobs and site credentials
 * were seen.
 *
 * Called by the relay's shell. Writes gather in one transaction until spool_commit, which returns
 * only when they are on the disk (SQLite, write-ahead log, synchronous=FULL, one connection).
 * Reading sees what is not committed yet. The file is held exclusively: a second relay on the same
 * state does not start.
 *
 * An error of any call leaves the journal in doubt: the caller ends the process, and the next start
 * recovers what was committed. A file that is damaged or not ours is never replaced: without its
 * journal a relay would not know what it may have started.
 */
#ifndef PUSHER_RELAY_SPOOL_H
#define PUSHER_RELAY_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/outcome.h"
#include "relay/core/agent.h"

struct spool;

/* Opens, or makes when there is no such file (mode 0600). Errors: ERR_EXISTS (another process has
 * it), ERR_INVALID (damaged, or no journal of this version: the text names the remedy), ERR_IO,
 * ERR_NO_SPACE. */
int spool_open(struct spool **out, const char *path, struct err *err);
/* What is not committed is lost. NULL is fine. */
void spool_close(struct spool *spool);

int spool_put_intent(struct spool *spool, const struct agent_ref *ref, struct err *err);
/* Not acknowledged; its INTENT goes. */
int spool_put_outcome(struct spool *spool, const struct agent_ref *ref,
                      const struct outcome *outcome, struct err *err);
/* What the package printed, kept beside the outcome until that is acknowledged: 1 to
 * LIMIT_OUTPUT_BYTES bytes. */
int spool_put_output(struct spool *spool, const struct agent_ref *ref, const uint8_t *output,
                     size_t output_size, struct err *err);
/* *output is to be freed; NULL and 0 when there is none. */
int spool_get_output(struct spool *spool, const struct agent_ref *ref, uint8_t **output,
                     size_t *output_size, struct err *err);
/* The outcome answers ref->attempt and is not acknowledged. */
int spool_renew(struct spool *spool, const struct agent_ref *ref, struct err *err);
/* Acknowledged, and its output dropped; unless it was renewed for another attempt since. */
int spool_set_acked(struct spool *spool, const struct agent_ref *ref, struct err *err);
/* Errors: ERR_NOT_FOUND, ERR_INVALID (its bytes make no sense), ERR_IO. */
int spool_get_outcome(struct spool *spool, const struct agent_ref *ref, struct outcome *outcome,
                      struct err *err);

/* What is remembered of a push's signed job, so that an old one is not taken again. */
struct spool_job {
    struct push_id push;
    uint32_t generation;
    uint64_t counter;         /* highest accepted */
    int64_t not_after_unix_s; /* of that job: it is of no use later, and need not be remembered */
    bool closed;              /* CLOSE came */
};

int spool_put_job(struct spool *spool, const struct spool_job *job, struct err *err);
/* *found false: nothing is remembered. job->push and generation say which. */
int spool_get_job(struct spool *spool, struct spool_job *job, bool *found, struct err *err);
/* The newest generation of the push of which a job is remembered; 0: none. */
int spool_newest_generation(struct spool *spool, const struct push_id *push, uint32_t *generation,
                            struct err *err);
/* The highest counter of a site credential that was used here; 0: none. An older one is not taken
 * again. */
int spool_get_site_counter(struct spool *spool, const char *site, uint64_t *counter,
                           struct err *err);
int spool_put_site_counter(struct spool *spool, const char *site, uint64_t counter,
                           struct err *err);
/* CLOSE: the push's intents, outcomes and output go, its job stays, closed. */
int spool_forget(struct spool *spool, const struct push_id *push, uint32_t generation,
                 struct err *err);
/* Closed jobs past their not_after go. */
int spool_prune(struct spool *spool, int64_t now_unix_s, struct err *err);

/* Makes everything durable that was put since the last commit; nothing to do is fine. */
int spool_commit(struct spool *spool, struct err *err);

/* Called for every INTENT without an outcome, then for every outcome. */
struct spool_visitor {
    void (*intent)(void *context, const struct agent_ref *ref);
    void (*outcome)(void *context, const struct agent_ref *ref, bool acked, uint32_t output_size);
    void *context;
};

int spool_visit(struct spool *spool, const struct spool_visitor *visitor, struct err *err);

#endif
