/* Memory for secrets, random bytes, and what a process that holds secrets does first.
 *
 * Called by every program's main and by whoever holds a key or a password. Secret memory is
 * locked where the system allows it, fenced by guard pages and wiped when freed.
 */
#ifndef PUSHER_TRUST_SECRET_H
#define PUSHER_TRUST_SECRET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "common/model/job.h"

/* First thing in main, before threads and sockets: starts libsodium, forbids core dumps
 * (RLIMIT_CORE 0) and tracing (PR_SET_DUMPABLE 0), and seeds the C library's rand(), which libzmq
 * uses for routing ids and never seeds itself. May be called again. Errors: ERR_IO. */
int process_harden(struct err *err);
/* Gets SIGTERM when `parent` ends, which must be the process that started us. Called after exec,
 * even if whoever started us asked for it before: exec of a file with capabilities clears the
 * request (prctl(2), PR_SET_PDEATHSIG). Errors: ERR_UNAVAILABLE when it ended already; ERR_IO. */
int process_follow(pid_t parent, struct err *err);
/* libsodium and the seed of rand() only: what process_harden does without touching the process's
 * limits. common/net and the tests call it. Errors: ERR_INTERNAL. */
int trust_start(struct err *err);

/* Zeroed secret memory; never NULL: exhaustion ends the process. size > 0. */
void *secret_new(size_t size);
/* Wipes and frees; NULL is fine. */
void secret_free(void *secret);
/* Overwrites memory that is about to be given back. */
void secret_wipe(void *data, size_t size);

/* A credential in secret memory, empty. */
struct credential *credential_new(void);
void credential_free(struct credential *credential);

/* Unpredictable bytes. Need trust_start or process_harden before. */
void random_bytes(void *to, size_t size);
uint64_t random_u64(void);
/* Uniform in [0, bound); 0 for bound 0. */
uint32_t random_below(uint32_t bound);

#endif
