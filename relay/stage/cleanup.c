/* Stage 5 of a push that cleans up after another (JOB_CLEANUP): what that one put into C:\SPDISTRO
 * goes. The output first: while the package runs, its script has that open, and then nothing is
 * touched. The package goes only when it has the size that the job says and, with --verify, its
 * digest: another push may have put other bytes under the name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/wrapper.h"
#include "relay/stage/sweep.h"

struct cleanup_state {
    struct sweep sweep;
};

static void cleanup_over(struct session *session)
{
    char text[LIMIT_DETAIL_SIZE];
    const struct sweep *sweep = &session->cleanup->sweep;
    const struct sweep_file *refused = NULL;
    for (uint32_t i = 0; i < sweep->count && refused == NULL; i++)
        if (sweep->files[i].end == SWEEP_IN_USE || sweep->files[i].end == SWEEP_REFUSED)
            refused = &sweep->files[i];
    (void)sweep_text(sweep, text, sizeof text);
    if (refused != NULL) {
        enum reason reason =
            refused->end == SWEEP_IN_USE ? REASON_SHARING_VIOLATION : REASON_ACCESS_DENIED;
        session_fail(session, reason, CODE_NTSTATUS, refused->status, "%s", text);
        return;
    }
    if (text[0] == '\0')
        (void)text_copy(text, sizeof text, "nothing to remove");
    free(session->target->cleaned);
    session->target->cleaned = mem_strdup(text);
    session_pass(session, text);
}

/* The output and the package are answered: in use, the rest stays as well. */
static void cleanup_rest(struct session *session)
{
    struct sweep *sweep = &session->cleanup->sweep;
    if (sweep_any(sweep, SWEEP_IN_USE))
        cleanup_over(session);
    else
        sweep_run(session, sweep, SWEEP_FILES_MAX, cleanup_over);
}

static void cleanup_package(struct session *session)
{
    struct sweep *sweep = &session->cleanup->sweep;
    if (sweep_any(sweep, SWEEP_IN_USE))
        cleanup_over(session);
    else
        sweep_run(session, sweep, 1, cleanup_rest);
}

static void cleanup_start(struct session *session)
{
    const struct job *job = &session->job->job;
    char name[WRAPPER_NAME_SIZE];
    char id[PUSH_ID_TEXT_SIZE];
    session->cleanup = mem_new(1, sizeof *session->cleanup);
    struct sweep *sweep = &session->cleanup->sweep;
    sweep_add(sweep, wrapper_name(&job->of_push, job->of_generation, WRAPPER_OUTPUT, name), false);
    sweep_add(sweep, job->package_name, true);
    sweep_add(sweep, wrapper_name(&job->of_push, job->of_generation, WRAPPER_SCRIPT, name), false);
    sweep_add(sweep, wrapper_name(&job->of_push, job->of_generation, WRAPPER_END, name), false);
    push_id_text(&job->of_push, id);
    (void)snprintf(name, sizeof name, STAGE_TEMPORARY_PREFIX "%s-%" PRIu32 STAGE_TEMPORARY_SUFFIX,
                   id, job->of_generation);
    sweep_add(sweep, name, false);
    sweep_run(session, sweep, 1, cleanup_package);
}

static void cleanup_reply(struct session *session, const struct smb_reply *reply)
{
    sweep_reply(session, &session->cleanup->sweep, reply);
}

static void cleanup_release(struct session *session)
{
    if (session->cleanup != NULL)
        sweep_release(&session->cleanup->sweep);
    free(session->cleanup);
    session->cleanup = NULL;
}

const struct stage_steps cleanup_steps = {
    .start = cleanup_start,
    .reply = cleanup_reply,
    .release = cleanup_release,
    .idle_ms = 30000,
    .tries_max = 3,
};
