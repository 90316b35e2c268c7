/* The six stages against real targets: what the relay's shell asks for and what comes back.
 *
 * The agent core decides which target enters which stage and when; the runner does it on the
 * shell's event loop and answers every stage_run exactly once through `done`, never from inside
 * stage_run itself, and never after stage_drop of that key. A target's state (addresses found, its
 * SMB session) lives here from its first stage until stage_drop. Each stage has its own deadline
 * inside: nothing waits without one.
 *
 * One file per stage: resolve.c (common/dns), ping.c (ICMP), access.c, path.c, copy.c, schedule.c;
 * session.c owns the TCP connection that the last four share, dial.c makes it. choose.c decides
 * which addresses of a name are used: those in scope.c's subnets, in destination.c's order.
 */
#ifndef PUSHER_RELAY_STAGE_STAGE_H
#define PUSHER_RELAY_STAGE_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/model/job.h"
#include "common/model/outcome.h"
#include "common/model/stage.h"

struct scope; /* scope.h */
struct stage_runner;

enum stage_verdict {
    STAGE_PASSED,         /* go on to the next stage */
    STAGE_FAILED,         /* the target leaves the pool with `reason` */
    STAGE_EFFECT_UNKNOWN, /* schedule only: the call may have been carried out; must be read back on
                             a new session */
    STAGE_WAITING, /* schedule with `await` only: not ended yet. `reason` says what it would be if
                      time were up: NOT_STARTED or RUN_TIMEOUT */
};

/* What one stage of one target came to. */
struct stage_result {
    uint64_t key; /* as in the request */
    enum stage stage;
    enum stage_verdict verdict;
    enum reason reason; /* REASON_NONE when passed */
    enum code_kind code_kind;
    uint32_t code;
    char detail[LIMIT_DETAIL_SIZE];   /* on failure why; on schedule success when it starts */
    char address[LIMIT_ADDRESS_SIZE]; /* the one in use, "" if none */
    enum name_check name_check;
    bool logged_on; /* access: the account got in, whatever came then */
    uint32_t tries; /* from 1 */
    uint64_t bytes; /* package bytes written (copy), 0 for other stages */
    /* schedule of a job with `wait`: registered by this call, or found there, is PASSED without an
     * exit code; the rest answers a request to `await` */
    uint32_t starts_in_ms; /* PASSED without exit code, WAITING: until the task starts; 0: now */
    bool has_exit_code;    /* PASSED: it is in the success set. Also FAILED, where it is known */
    uint32_t exit_code;
    const uint8_t *output; /* the last bytes the package printed; borrowed while `done` runs */
    size_t output_size;    /* at most LIMIT_OUTPUT_BYTES */
};

struct stage_request {
    uint64_t key;    /* chosen by the caller, one per target in work */
    uint32_t job_no; /* from stage_runner_add_job */
    enum stage stage;
    const char *target; /* host name or address as the operator gave it; copied */
    bool read_back; /* schedule: an earlier call may have been carried out: look before registering
                     */
    bool look_only; /* with read_back: a task that is not there stays away; STAGE_FAILED, CANCELLED
                     */
    bool await; /* schedule, job with `wait`: the task is known to be registered: look whether it
                   has ended, register nothing. WAITING while it has not; EFFECT_UNKNOWN when that
                   could not be seen */
    bool hold_logon; /* access: say `connected` and wait for stage_logon before each logon */
};

struct stage_runner_config {
    uv_loop_t *loop;
    void (*done)(void *context, const struct stage_result *result);
    /* The machine answered NEGOTIATE, nothing of the account was sent yet: the target waits for
     * stage_logon, without a deadline here. May call stage_logon or stage_drop. Needed where
     * hold_logon is asked for. */
    void (*connected)(void *context, uint64_t key);
    void *context;
    const struct scope *scope; /* addresses it may touch; NULL: all. Borrowed */
    uint16_t smb_port;         /* 445 */
    uint64_t lan_rate;         /* package bytes per second to all targets together; 0: unlimited */
    uint32_t patience_ms;      /* of copying and cleaning up, see budget.h; 0: as there */
};

/* Errors: ERR_IO (no DNS configuration). The ICMP socket is made with the first ping; one that is
 * not allowed shows there, as INTERNAL with the remedy in the detail. */
int stage_runner_new(const struct stage_runner_config *config, struct stage_runner **runner,
                     struct err *err);
/* Closes every session without waiting; `done` is not called again. Not from inside `done`. Handles
 * are closed by the loop, which must turn once more before it is closed. NULL is fine. */
void stage_runner_free(struct stage_runner *runner);

/* Makes a job known: copies the job; makes one credential object (GSSAPI, NT hash) for each account
 * and secret, however many jobs bring it, and keeps neither.
 * Returns the job_no. Errors: ERR_INVALID (account syntax), ERR_IO (GSSAPI cannot make the
 * credential). */
int stage_runner_add_job(struct stage_runner *runner, const struct job *job,
                         const struct credential *credential, uint32_t *job_no, struct err *err);
/* The number of the job's account and secret: equal for equal ones, also in later jobs. */
uint32_t stage_runner_credential_no(const struct stage_runner *runner, uint32_t job_no);
/* The package of the job is at `path`, whole and digest-checked; needed before its first copy
 * stage. */
int stage_runner_set_package(struct stage_runner *runner, uint32_t job_no, const char *path,
                             struct err *err);
/* No target of it is in work any more. */
void stage_runner_remove_job(struct stage_runner *runner, uint32_t job_no);

/* Starts a stage. Stages of one key are run in ascending order, except that after a failed or
 * unknown SCHEDULE the caller may ask for ACCESS again (new session) and then for SCHEDULE with
 * read_back; and for PATH after a SCHEDULE that only looked and found nothing. A stage tries again
 * by itself where reason.def says transient, as far as its time goes; a connection lost meanwhile
 * is made again, also between stages, but never once the registering call has been sent: then the
 * verdict is STAGE_EFFECT_UNKNOWN. With read_back any failure before the task was looked for is
 * STAGE_EFFECT_UNKNOWN too. */
void stage_run(struct stage_runner *runner, const struct stage_request *request);
/* Lets a target that is `connected` log on, once: when the stage loses that connection and makes
 * another, it says `connected` again. A connection that breaks while it waits is made again when
 * this is called, and then logs on without asking. Ignored for all others. */
void stage_logon(struct stage_runner *runner, uint64_t key);
/* Forgets the target: logs off and closes its session in the background. Unknown keys are ignored.
 */
void stage_drop(struct stage_runner *runner, uint64_t key);

#endif
