/* A push that is prepared: sign, upload, follow, report. */
#include "coordinator/cli/push_run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/push_remote.h"
#include "coordinator/cli/reporting.h"
#include "coordinator/cli/session.h"
#include "coordinator/cli/signing.h"
#include "coordinator/cli/upload.h"
#include "coordinator/cli/values.h"

#define LOOK_MS 200U         /* between two looks at a running push */
#define STOP_MS 12000U       /* after Ctrl-C: running stages get 10 s at the relay */
#define END_MS 12000U        /* a daemon of ours gets this long to end: a little more */
#define QUOTED_SIZE 512      /* of a word in the command that goes on; longer ones are cut */
#define RESUME_STOP_MS 12000 /* an open push that is resumed settles for so long */

/* How following a push ended. */
enum follow_end { FOLLOW_CLOSED, FOLLOW_STOPPED, FOLLOW_INTERRUPTED, FOLLOW_TIMEOUT, FOLLOW_ERROR };

static void select_push(struct push_selector *selector, const struct push_id *id)
{
    char text[PUSH_ID_TEXT_SIZE];
    push_id_text(id, text);
    memcpy(selector->prefix, text, sizeof text);
}

static int get_status(struct session *session, const struct push_id *id, struct message *answer,
                      struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    select_push(&request.status_get, id);
    return session_call(session, &request, MESSAGE_STATUS, answer, err);
}

static int stop_push(struct session *session, const struct push_id *id, struct err *err)
{
    struct message request = {.kind = MESSAGE_PUSH_STOP};
    struct message answer;
    request.push_stop.push = *id;
    if (session_call(session, &request, MESSAGE_OK, &answer, err) != 0)
        return -1;
    message_release(&answer);
    return 0;
}

/* Signs with a new key, seals for the relay, lets the relay trust the key, uploads. */
static int sign_and_upload(struct session *session, struct push *push, struct err *err)
{
    struct key_pair operator_key = {0};
    struct buf signed_job;
    struct buf sealed;
    uint8_t relay_key[LIMIT_KEY_BYTES];
    buf_init(&signed_job, LIMIT_MESSAGE_BYTES_MAX / 2);
    buf_init(&sealed, LIMIT_MESSAGE_BYTES_MAX / 4);
    push_set_times(push);
    key_pair_generate(&operator_key, KEY_OPERATOR);
    struct upload upload = {
        .job = &push->job,
        .package = push->has_package ? &push->package : NULL,
        .names = push->targets == NULL ? NULL : targets_names(push->targets),
        .signed_job = &signed_job,
        .sealed_credential = &sealed,
        .resume = push->options.resume,
        .fail_stop_count = fail_limit_stop_count(&push->options.max_fail, push->job.target_count)};
    int result = upload_relay_key(session, relay_key, err);
    if (result == 0)
        say_more(session->common, "the private relay is live: signing %u target%s, handing over",
                 push->job.target_count, push->job.target_count == 1 ? "" : "s");
    if (result == 0)
        result = job_sign(&push->job, &operator_key, &signed_job, err);
    if (result == 0)
        result =
            credential_seal(push->credential, &push->job, &operator_key, relay_key, &sealed, err);
    if (result == 0)
        result = job_keep(&session->paths, &push->job, err);
    if (result == 0)
        result = operator_key_publish(&session->paths, &push->job.push, &operator_key, err);
    if (result == 0)
        result = upload_push(session, &upload, err);
    key_pair_release(&operator_key);
    buf_release(&signed_job);
    buf_release(&sealed);
    return result;
}

/* Until nothing of the push is with a relay any more, at most max_ms. Shows progress if there is
 * one. */
static int wait_settled(struct session *session, const struct push_id *id, uint64_t max_ms,
                        struct progress *progress, struct push_summary *last, struct err *err)
{
    uint64_t from_ms = uv_now(&session->loop);
    for (;;) {
        struct message answer;
        if (get_status(session, id, &answer, err) != 0)
            return -1;
        *last = answer.status.push;
        uint64_t now_ms = uv_now(&session->loop);
        if (progress != NULL)
            progress_show(progress, &answer.status, now_ms, false);
        message_release(&answer);
        if (last->state == PUSH_CLOSED || last->totals.by_state[TARGET_RUNNING] == 0 ||
            now_ms - from_ms >= max_ms)
            return 0;
        if (session_wait(session, LOOK_MS, err) != 0)
            return -1;
    }
}

/* Whole id of --resume's word, job from what was kept; the push stands still while it is signed
 * anew. */
static int prepare_again(struct session *session, struct push *push, struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    struct push_summary last;
    (void)text_copy(request.status_get.prefix, sizeof request.status_get.prefix,
                    push->options.push_prefix);
    if (session_call(session, &request, MESSAGE_STATUS, &answer, err) != 0)
        return -1;
    struct push_id id = answer.status.push.push;
    enum push_state state = answer.status.push.state;
    message_release(&answer);
    if (state == PUSH_CLOSED)
        return err_set(err, ERR_INVALID, "push %s is over: every target has its result",
                       push->options.push_prefix);
    if (state == PUSH_CANCELLING)
        return err_set(err, ERR_INVALID, "push %s was cancelled", push->options.push_prefix);
    int recalled = session->mode == NULL ? remote_recall(session, push, &id, err)
                                         : job_recall(&session->paths, &id, &push->job, err);
    if (recalled != 0)
        return -1;
    if (push->has_package) {
        uint8_t digest[LIMIT_DIGEST_BYTES];
        if (package_file_digest(&push->package, digest, err) != 0)
            return -1;
        if (memcmp(digest, push->job.package_digest, sizeof digest) != 0)
            return err_set(err, ERR_INVALID, "%s is not the package of this push (%s)",
                           push->package.name, push->job.package_name);
    }
    push->job.replace_path = push->job.replace_path || push->options.replace_path;
    push->job.verify = push->job.verify || push->options.verify;
    if (stop_push(session, &id, err) != 0)
        return -1;
    return wait_settled(session, &id, RESUME_STOP_MS, NULL, &last, err);
}

/* from_ms: when the command began its work, for --timeout. */
static enum follow_end follow(struct session *session, const struct push *push, uint64_t from_ms,
                              struct progress *progress, struct err *err)
{
    uint64_t timeout_ms = (uint64_t)push->options.timeout_s * 1000;
    for (;;) {
        struct message answer;
        if (get_status(session, &push->job.push, &answer, err) != 0)
            return session->interrupted ? FOLLOW_INTERRUPTED : FOLLOW_ERROR;
        enum push_state state = answer.status.push.state;
        if (!session->common->quiet)
            progress_show(progress, &answer.status, uv_now(&session->loop), state == PUSH_CLOSED);
        session->drawing = progress->width > 0;
        message_release(&answer);
        if (state == PUSH_CLOSED)
            return FOLLOW_CLOSED;
        if (state == PUSH_STOPPED)
            return FOLLOW_STOPPED;
        if (timeout_ms > 0 && uv_now(&session->loop) - from_ms >= timeout_ms)
            return FOLLOW_TIMEOUT;
        if (session_wait(session, LOOK_MS, err) != 0)
            return session->interrupted ? FOLLOW_INTERRUPTED : FOLLOW_ERROR;
    }
}

/* With a configured coordinator nothing ends with this command. */
static void say_goes_on(const struct push *push)
{
    char id[PUSH_ID_SHORT_SIZE];
    push_id_short(&push->job.push, id);
    complain("the push goes on; look with: pusher status %s; stop it with: pusher cancel %s", id,
             id);
}

/* What is left, and the command that goes on. */
static void say_resume(const struct push *push)
{
    char id[PUSH_ID_TEXT_SIZE];
    char user[QUOTED_SIZE] = "";
    char file[QUOTED_SIZE] = "";
    const char *path = push->options.password_file;
    push_id_text(&push->job.push, id);
    shell_quote(push->options.user, user, sizeof user);
    if (path != NULL)
        shell_quote(path, file, sizeof file);
    complain("to go on: pusher push --resume %s --user %s%s%s   (so far: pusher report %.8s)", id,
             user, path == NULL ? "" : " --password-file ", file, id);
}

/* Ctrl-C or --timeout: nothing new, a while for what runs. Returns the exit status. */
static int stop_and_say(struct session *session, const struct push *push, struct progress *progress,
                        int status)
{
    struct push_summary last = {0};
    struct err err = {0};
    session->stopping = true;
    progress_clear(progress);
    complain("%s: nothing new begins; stages that run get 10 s to end, then what is left goes back "
             "into the queue%s",
             status == EXIT_TIMEOUT ? "time-out" : "interrupted",
             status == EXIT_TIMEOUT ? "" : " (Ctrl-C again ends at once)");
    if (stop_push(session, &push->job.push, &err) != 0 ||
        wait_settled(session, &push->job.push, STOP_MS, session->common->quiet ? NULL : progress,
                     &last, &err) != 0) {
        progress_end(progress);
        say_resume(push);
        return status;
    }
    progress_end(progress);
    uint32_t left = totals_pending(&last.totals, last.wait);
    uint32_t waiting = last.wait ? last.totals.by_state[TARGET_SCHEDULED] : 0;
    char waits[128] = "";
    if (waiting > 0)
        (void)snprintf(waits, sizeof waits, "; %u of these %s scheduled and will run all the same",
                       waiting, waiting == 1 ? "is" : "are");
    complain("%u of %u targets are done, %u %s left%s", totals_submitted(&last.totals) - left,
             totals_submitted(&last.totals), left, left == 1 ? "is" : "are", waits);
    if (last.state != PUSH_CLOSED)
        say_resume(push);
    return status;
}

static int end_report(struct session *session, const struct push *push)
{
    struct reporting reporting = {.filter = {.stage = STAGE_COUNT},
                                  .print = !push->options.no_report,
                                  .submitted = push->job.target_count};
    struct err err = {0};
    int status = EXIT_INTERNAL;
    select_push(&reporting.filter.push, &push->job.push);
    if (report_fetch(session, &reporting, &status, &err) != 0)
        return session_failed(session, &err);
    if (status == EXIT_THRESHOLD)
        complain(
            "stopped by --max-fail: what was not tried is never_attempted; a new push takes it up");
    return status;
}

/* Whatever ends following a push that the coordinator goes on with. */
static int leave(struct session *session, const struct push *push, enum follow_end end,
                 const struct err *err)
{
    char id[PUSH_ID_SHORT_SIZE];
    int status = EXIT_NOT_ALL;
    push_id_short(&push->job.push, id);
    switch (end) {
    case FOLLOW_CLOSED:
        return end_report(session, push);
    case FOLLOW_STOPPED:
        complain("the push is paused; to go on: pusher resume %s", id);
        return status;
    case FOLLOW_INTERRUPTED:
        complain("interrupted");
        status = EXIT_INTERRUPTED;
        break;
    case FOLLOW_TIMEOUT:
        complain("time-out of this command");
        status = EXIT_TIMEOUT;
        break;
    case FOLLOW_ERROR:
        status = session_failed(session, err);
        break;
    }
    say_goes_on(push);
    return status;
}

static int follow_to_end(struct session *session, const struct push *push, uint64_t from_ms)
{
    struct err err = {0};
    struct progress progress;
    bool redraw = !session->common->quiet;
    progress_init(&progress, stderr, redraw ? terminal_width(STDERR_FILENO) : 0);
    enum follow_end end = follow(session, push, from_ms, &progress, &err);
    session->drawing = false;
    if (session->mode == NULL || (end != FOLLOW_INTERRUPTED && end != FOLLOW_TIMEOUT))
        progress_end(&progress);
    if (session->mode == NULL)
        return leave(session, push, end, &err);
    switch (end) {
    case FOLLOW_CLOSED:
        if (!push->options.has_id) /* a repeated push with its id is held against it */
            job_forget(&session->paths, &push->job.push);
        return end_report(session, push);
    case FOLLOW_STOPPED:
        complain("the push is stopped");
        say_resume(push);
        return EXIT_NOT_ALL;
    case FOLLOW_INTERRUPTED:
        return stop_and_say(session, push, &progress, EXIT_INTERRUPTED);
    case FOLLOW_TIMEOUT:
        return stop_and_say(session, push, &progress, EXIT_TIMEOUT);
    case FOLLOW_ERROR:
        break;
    }
    int status = session_failed(session, &err);
    say_resume(push);
    return status;
}

/* --push-id: whether this very push was made before. Errors: ERR_INVALID: one of this id was, but
 * of another package or pool. */
static int find_same(struct session *session, const struct push *push, bool *known, struct err *err)
{
    struct push_summary summary;
    if (upload_known(session, &push->job.push, known, &summary, err) != 0)
        return -1;
    if (*known && (memcmp(summary.package_digest, push->job.package_digest,
                          sizeof summary.package_digest) != 0 ||
                   totals_submitted(&summary.totals) != push->job.target_count))
        return err_set(err, ERR_INVALID, "--push-id: that push is of another package or pool");
    struct job before;
    struct err none;
    if (!*known)
        return 0;
    if (session->mode == NULL) {
        if (authority_job(&push->authority, session, &push->job.push, &before, err) != 0)
            return -1;
    } else if (job_recall(&session->paths, &push->job.push, &before, &none) != 0) {
        return 0;
    }
    if (memcmp(before.targets_root, push->job.targets_root, sizeof before.targets_root) != 0)
        return err_set(err, ERR_INVALID, "--push-id: that push has other targets");
    if (strcmp(before.command, push->job.command) != 0 ||
        strcmp(before.arguments, push->job.arguments) != 0 || before.run_as != push->job.run_as ||
        before.wait != push->job.wait || before.cleanup != push->job.cleanup)
        return err_set(err, ERR_INVALID, "--push-id: that push runs the package another way");
    return 0;
}

/* Not followed yet. A signal may have come while the commit was on its way: then there is a push to
 * stop. */
static int upload_failed(struct session *session, const struct push *push, const struct err *why)
{
    struct push_summary summary;
    struct progress none;
    struct err err = {0};
    bool known = false;
    if (!session->interrupted || session->hurry)
        return session_failed(session, why);
    session->stopping = true;
    progress_init(&none, stderr, 0);
    if (push->options.resume || push->retry ||
        upload_known(session, &push->job.push, &known, &summary, &err) != 0)
        return session_failed(session, why);
    if (known && session->mode == NULL)
        return leave(session, push, FOLLOW_INTERRUPTED, why);
    if (known)
        return stop_and_say(session, push, &none, EXIT_INTERRUPTED);
    complain("interrupted: nothing was started");
    return EXIT_INTERRUPTED;
}

/* A push whose command was killed goes on when the daemons come back: nobody should wonder. */
static void say_others(struct session *session, const struct push *push)
{
    struct message request = {.kind = MESSAGE_LIST_GET};
    struct message answer;
    char id[PUSH_ID_SHORT_SIZE];
    if (session_call(session, &request, MESSAGE_LIST, &answer, NULL) != 0)
        return;
    for (uint32_t i = 0; i < answer.list.push_count; i++) {
        const struct push_summary *other = &answer.list.pushes[i];
        if (other->state != PUSH_OPEN || push_id_equal(&other->push, &push->job.push))
            continue;
        push_id_short(&other->push, id);
        say(session->common, "note: push %s (%s) is open and goes on as well", id,
            other->package_name);
    }
    message_release(&answer);
}

/* What has to be known before anything is sent. */
static int prepare(struct session *session, struct push *push, bool *known, struct err *err)
{
    *known = false;
    if (session->mode == NULL && authority_open(&push->authority, session, err) != 0)
        return -1;
    if (push->options.resume)
        return prepare_again(session, push, err);
    return push->options.has_id && !push->retry ? find_same(session, push, known, err) : 0;
}

static int hand_over(struct session *session, struct push *push, struct err *err)
{
    if (session->mode != NULL)
        return sign_and_upload(session, push, err);
    if (authority_unlock(&push->authority, &push->options.operator, err) != 0)
        return -1;
    return remote_hand_over(session, push, err);
}

static int detached(const struct push *push, const char *id)
{
    say_goes_on(push);
    if (printf("%s\n", id) >= 0 && fflush(stdout) == 0)
        return EXIT_ALL_SUCCEEDED;
    complain("cannot write to standard output");
    return EXIT_INTERNAL;
}

int push_run_in(struct session *session, struct push *push)
{
    struct err err = {0};
    bool known = false;
    char id[PUSH_ID_TEXT_SIZE];
    uint64_t from_ms = uv_now(&session->loop);
    int result = prepare(session, push, &known, &err);
    push_id_text(&push->job.push, id);
    if (result == 0 && known)
        say(session->common, "push %s exists already: nothing is sent again", id);
    else if (result == 0)
        result = hand_over(session, push, &err);
    if (result != 0)
        return upload_failed(session, push, &err);
    if (!known)
        say(session->common, "push %s %s", id,
            push->options.resume || push->retry ? "goes on" : "started");
    if (push->options.detach)
        return detached(push, id);
    if (session->mode != NULL)
        say_others(session, push);
    return follow_to_end(session, push, from_ms);
}

int push_run(struct push *push)
{
    struct session session;
    struct err err = {0};
    if (session_open(&session, &push->options.common, true, &err) != 0)
        return session_failed(&session, &err);
    int status = push_run_in(&session, push);
    session_close(&session, END_MS);
    return status;
}
