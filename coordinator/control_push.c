/* Requests that make, resume or stop a push. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/pkg/name.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"

/* ---- uploads ---- */

static struct upload *find_upload(struct coordinator *c, const struct push_id *push)
{
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++)
        if (c->uploads[i].used && push_id_equal(&c->uploads[i].push, push))
            return &c->uploads[i];
    return NULL;
}

static void forget_upload(struct upload *upload)
{
    merkle_tree_free(upload->tree);
    *upload = (struct upload){0};
}

static void drop_upload(struct coordinator *c, struct upload *upload)
{
    struct err err = {0};
    uint64_t key = upload->key;
    forget_upload(upload);
    if (store_upload_drop(c->store, key, &err) != 0)
        shell_fail(c, &err);
}

void control_push_sweep(struct coordinator *c)
{
    uint64_t now_ms = clock_boottime_ms();
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++)
        if (c->uploads[i].used && now_ms - c->uploads[i].touched_ms > COORDINATOR_UPLOAD_IDLE_MS)
            drop_upload(c, &c->uploads[i]);
}

void control_push_release(struct coordinator *c)
{
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++)
        forget_upload(&c->uploads[i]);
}

static struct upload *free_upload(struct coordinator *c)
{
    for (size_t i = 0; i < COORDINATOR_UPLOADS_MAX; i++)
        if (!c->uploads[i].used)
            return &c->uploads[i];
    return NULL;
}

static int begin(struct coordinator *c, const struct message_push_begin *said, struct err *err)
{
    if (said->target_count == 0)
        return err_set(err, ERR_INVALID, "a push needs a target");
    if (said->target_count > LIMIT_TARGETS_MAX)
        return err_set(err, ERR_LIMIT, "%u targets: at most %u in one push", said->target_count,
                       LIMIT_TARGETS_MAX);
    struct upload *upload = find_upload(c, &said->push);
    if (upload != NULL)
        forget_upload(upload); /* the store throws its rows away */
    else
        upload = free_upload(c);
    if (upload == NULL)
        return err_set(err, ERR_LIMIT, "%u pushes are being uploaded: try again later",
                       COORDINATOR_UPLOADS_MAX);
    uint64_t key = 0;
    if (store_upload_begin(c->store, &said->push, said->target_count, &key, err) != 0)
        return -1;
    *upload = (struct upload){.used = true,
                              .push = said->push,
                              .key = key,
                              .target_count = said->target_count,
                              .tree = merkle_tree_new(),
                              .touched_ms = clock_boottime_ms()};
    return 0;
}

void control_push_begin(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message)
{
    struct err err = {0};
    uint64_t key = 0;
    if (store_find_id(c->store, &message->push_begin.push, &key, &err) == 0)
        control_ok(c, peer, message->request, true);
    else if (err.code != ERR_NOT_FOUND || begin(c, &message->push_begin, &err) != 0)
        control_fail(c, peer, message->request, &err);
    else
        control_ok(c, peer, message->request, false);
}

static int add_targets(struct coordinator *c, const struct message_push_targets *said,
                       struct err *err)
{
    struct upload *upload = find_upload(c, &said->push);
    if (upload == NULL)
        return err_set(err, ERR_NOT_FOUND, "no such push is being uploaded: begin again");
    upload->touched_ms = clock_boottime_ms();
    if (said->first_no > upload->received ||
        said->name_count > upload->target_count - said->first_no)
        return err_set(err, ERR_INVALID,
                       "targets %u to %u do not follow the %u of %u that are here", said->first_no,
                       said->first_no + said->name_count, upload->received, upload->target_count);
    /* What is here already is a repetition: the answer to it was lost. */
    uint32_t known = upload->received - said->first_no;
    if (known >= said->name_count)
        return 0;
    uint32_t count = said->name_count - known;
    for (uint32_t i = 0; i < count; i++) {
        if (said->names[known + i][0] == '\0')
            return err_set(err, ERR_INVALID, "target %u has no name", upload->received);
        if (merkle_tree_add(upload->tree, said->names[known + i], err) != 0)
            return -1;
    }
    if (store_upload_targets(c->store, upload->key, routing_upload_site(c), upload->received,
                             said->names + known, count, err) != 0)
        return -1;
    upload->received += count;
    return 0;
}

void control_push_targets(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message)
{
    struct err err = {0};
    if (add_targets(c, &message->push_targets, &err) == 0) {
        control_ok(c, peer, message->request, false);
        return;
    }
    /* A name may be in the tree and not in the store: what was uploaded is worth nothing now. */
    struct upload *upload = find_upload(c, &message->push_targets.push);
    if (upload != NULL && !store_failed(c->store))
        drop_upload(c, upload);
    control_fail(c, peer, message->request, &err);
}

/* ---- commit ---- */

/* A commit's job: verified, decoded, with who signed it. */
struct commit {
    const struct message_push_commit *said;
    struct job *job; /* caller's room */
    uint8_t operator_key[LIMIT_KEY_BYTES];
    char account[LIMIT_ACCOUNT_SIZE];
};

/* Any operator may sign here: the relay knows whom it trusts. */
static int open_job(struct commit *commit, const struct link_peer *peer, struct err *err)
{
    const struct message_push_commit *said = commit->said;
    struct signed_view view;
    if (signed_open(said->signed_job, said->signed_job_size, SIGNED_JOB, NULL, &view, err) != 0 ||
        wire_decode_job(view.payload, view.payload_size, commit->job, err) != 0)
        return err_wrap(err, "job");
    memcpy(commit->operator_key, view.signer, LIMIT_KEY_BYTES);
    (void)snprintf(commit->account, sizeof commit->account, "uid %u", (unsigned)peer->uid);
    const struct job *job = commit->job;
    if (!push_id_equal(&job->push, &said->push))
        return err_set(err, ERR_INVALID, "the job is signed for another push");
    if (job->not_after_unix_s <= (int64_t)(clock_unix_ms() / 1000))
        return err_set(err, ERR_INVALID, "the job's deadline is over");
    return package_name_check(job->package_name, err);
}

static struct store_push store_push_of(const struct coordinator *c, const struct commit *commit)
{
    const struct job *job = commit->job;
    return (struct store_push){
        .push = job->push,
        .generation = job->generation,
        .package_name = job->package_name,
        .package_bytes = job->package_bytes,
        .package_digest = job->package_digest,
        .not_after_unix_s = job->not_after_unix_s,
        .operator_key = commit->operator_key,
        .account = commit->account,
        .created_unix_ms = clock_unix_ms(),
        .signed_job = commit->said->signed_job,
        .signed_job_size = commit->said->signed_job_size,
        .sealed_credential = commit->said->sealed_credential,
        .sealed_credential_size = commit->said->sealed_credential_size,
        .fail_stop_count = commit->said->fail_stop_count,
        .wait = job->action == JOB_PUSH && job->wait,
        .action = job->action,
        .of_push = job->action == JOB_CLEANUP ? &job->of_push : NULL,
        .run_as = job->run_as,
        .routing = routing_upload_site(c) == STORE_SITE_NONE,
        .site = commit->said->site,
        .policy_version = job->policy_version,
    };
}

/* Whether the job names exactly these targets. */
static int check_targets(const struct job *job, struct merkle_tree *tree, struct err *err)
{
    uint8_t root[MERKLE_HASH_BYTES];
    if (job->target_count != merkle_tree_count(tree))
        return err_set(err, ERR_INVALID, "the job is signed for %u targets, %u were given",
                       job->target_count, merkle_tree_count(tree));
    merkle_tree_root(tree, root);
    if (memcmp(root, job->targets_root, sizeof root) != 0)
        return err_set(err, ERR_INVALID, "the job is signed for other targets");
    return 0;
}

int control_check_package(struct coordinator *c, const struct job *job, struct err *err)
{
    uint64_t bytes = 0;
    uint8_t nothing[1];
    size_t got = 0;
    if (package_store_read(c->packages, job->package_digest, 0, nothing, 0, &got, &bytes, err) != 0)
        return err_wrap(err, "package %s", job->package_name);
    if (bytes != job->package_bytes)
        return err_set(err, ERR_INVALID, "package %s: the job says another size",
                       job->package_name);
    return 0;
}

/* Files that a push may still bring or run are not cleared away under it. */
static int check_cleanup(struct coordinator *c, const struct job *job, struct err *err)
{
    struct push_summary summary = {0};
    struct err missing = {0};
    uint64_t key = 0;
    if (store_find_id(c->store, &job->of_push, &key, &missing) != 0) {
        *err = missing;
        return -1;
    }
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    if (summary.state != PUSH_CLOSED)
        return err_set(err, ERR_EXISTS,
                       "the push to clean up after is not over: wait, or cancel it");
    return 0;
}

static int check_use(struct coordinator *c, const struct job *job, struct err *err)
{
    return job->action == JOB_CLEANUP ? check_cleanup(c, job, err)
                                      : control_check_package(c, job, err);
}

static int commit_new(struct coordinator *c, const struct commit *commit, struct err *err)
{
    struct upload *upload = find_upload(c, &commit->said->push);
    if (upload == NULL)
        return err_set(err, ERR_NOT_FOUND, "no such push is being uploaded: begin again");
    if (upload->received != upload->target_count)
        return err_set(err, ERR_INVALID, "%u of %u targets are here", upload->received,
                       upload->target_count);
    if (check_targets(commit->job, upload->tree, err) != 0 || check_use(c, commit->job, err) != 0 ||
        routing_check_site(c, commit->said->site, err) != 0 ||
        trust_check_job(c, commit->job, commit->operator_key, err) != 0 ||
        sealed_check(c, commit->job, commit->said->site, err) != 0)
        return -1;
    struct store_push push = store_push_of(c, commit);
    uint64_t key = upload->key;
    if (store_push_commit(c->store, key, &push, err) != 0 ||
        store_push_refuse_in_use(c->store, key, err) != 0 ||
        sealed_commit(c, &push.push, key, err) != 0)
        return -1;
    book_put_take(c, key, upload->tree);
    upload->tree = NULL;
    forget_upload(upload);
    c->commit_due = true;
    return routing_open(c, key, err);
}

/* A resume may change times, options that the operator signs anew, and the credential, but not what
 * is put where. */
static int check_same(struct coordinator *c, uint64_t key, const struct job *job, struct err *err)
{
    struct push_summary summary = {0};
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    if (summary.state == PUSH_CLOSED)
        return err_set(err, ERR_EXISTS, "the push is over: every target has its result");
    if (summary.state == PUSH_CANCELLING)
        return err_set(err, ERR_EXISTS, "the push was cancelled");
    if (summary.wait != (job->action == JOB_PUSH && job->wait) || summary.action != job->action)
        return err_set(err, ERR_EXISTS,
                       "this push was begun with another --wait: what it scheduled can't change");
    if (summary.generation != job->generation ||
        strcmp(summary.package_name, job->package_name) != 0 ||
        memcmp(summary.package_digest, job->package_digest, LIMIT_DIGEST_BYTES) != 0)
        return err_set(err, ERR_EXISTS, "this push is of another package or generation");
    struct merkle_tree *tree = book_tree(c, key, err);
    if (tree == NULL)
        return -1;
    return check_targets(job, tree, err);
}

/* The same request again, whose answer was lost, is answered alike. */
static int check_repeated(struct coordinator *c, uint64_t key,
                          const struct message_push_commit *said, struct err *err)
{
    struct buf job;
    buf_init(&job, LIMIT_MESSAGE_BYTES_MAX);
    int result = store_push_blobs(c->store, key, &job, NULL, err);
    if (result == 0 &&
        (job.size != said->signed_job_size || memcmp(job.data, said->signed_job, job.size) != 0))
        result = err_set(err, ERR_EXISTS, "a push of this id exists, with another job");
    buf_release(&job);
    return result;
}

/* Relays take a job only when its counter is higher than that of the one they know, and obey no
 * STOP of an older one: a push that went on under an older job could neither run nor be stopped. */
static int check_newer(struct coordinator *c, uint64_t key, const struct job *job, struct err *err)
{
    struct job stored = {0};
    if (shell_stored_job(c, key, &stored, err) != 0)
        return -1;
    if (job->counter <= stored.counter)
        return err_set(err, ERR_EXISTS,
                       "this push has a job that was signed later: sign anew, with a right clock");
    return 0;
}

/* Whether the push goes on under this very job already: the answer was lost. */
static int find_repeated(struct coordinator *c, uint64_t key, const struct commit *commit,
                         bool *repeated, struct err *err)
{
    struct push_summary summary = {0};
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    bool goes_on = summary.state == PUSH_OPEN || summary.state == PUSH_ROUTING;
    *repeated = goes_on && check_repeated(c, key, commit->said, NULL) == 0;
    return 0;
}

static int resume(struct coordinator *c, uint64_t key, const struct commit *commit, struct err *err)
{
    bool repeated = false;
    if (check_same(c, key, commit->job, err) != 0 ||
        find_repeated(c, key, commit, &repeated, err) != 0)
        return -1;
    if (repeated)
        return 0;
    if (check_newer(c, key, commit->job, err) != 0)
        return -1;
    char start_until[SHELL_TIME_SIZE];
    struct store_push push = store_push_of(c, commit);
    if (trust_check_job(c, commit->job, commit->operator_key, err) != 0 ||
        sealed_check(c, commit->job, commit->said->site, err) != 0 ||
        store_push_resume(c->store, key, &push, err) != 0 ||
        sealed_commit(c, &push.push, key, err) != 0 ||
        sealed_renewed(c, key, commit->job, err) != 0)
        return -1;
    c->commit_due = true;
    if (routing_busy(c, key)) /* the core hears of it when that is over */
        return store_push_state(c->store, key, PUSH_ROUTING, clock_unix_ms(), err);
    struct dispatch_event event = {.kind = DISPATCH_PUSH_RESUMED, .push_key = key};
    event.push_resumed.not_after_unix_s = commit->job->not_after_unix_s;
    event.push_resumed.counter = commit->job->counter;
    event.push_resumed.wait_until_unix_s = job_wait_until_unix_s(commit->job);
    event.push_resumed.starts_later = commit->job->start_unix_s != 0;
    event.push_resumed.fail_stop_count = push.fail_stop_count;
    event.push_resumed.start_until = shell_start_until(commit->job, start_until);
    shell_step(c, &event);
    return 0;
}

static int commit(struct coordinator *c, const struct link_peer *peer,
                  const struct message_push_commit *said, bool *existing, struct err *err)
{
    struct job job = {0};
    struct commit commit = {.said = said, .job = &job};
    struct err missing = {0};
    uint64_t key = 0;
    if (open_job(&commit, peer, err) != 0)
        return -1;
    *existing = store_find_id(c->store, &said->push, &key, &missing) == 0;
    if (!*existing && missing.code != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    if ((said->resume || said->retry) && !*existing) {
        *err = missing;
        return -1;
    }
    if (said->resume)
        return resume(c, key, &commit, err);
    if (said->retry) {
        struct store_push push = store_push_of(c, &commit);
        return control_push_retry(c, key, said, &job, &push, err);
    }
    return *existing ? check_repeated(c, key, said, err) : commit_new(c, &commit, err);
}

void control_push_commit(struct coordinator *c, const struct link_peer *peer,
                         const struct message *message)
{
    const struct message_push_commit *said = &message->push_commit;
    struct err err = {0};
    char id[PUSH_ID_TEXT_SIZE];
    bool existing = false;
    push_id_text(&said->push, id);
    if (commit(c, peer, said, &existing, &err) != 0) {
        log_warning("push %s of uid %u refused: %s", id, (unsigned)peer->uid, err.text);
        control_fail(c, peer, message->request, &err);
        return;
    }
    log_info("push %s of uid %u %s", id, (unsigned)peer->uid,
             said->retry    ? "tried again"
             : said->resume ? "resumed"
                            : "committed");
    control_ok(c, peer, message->request, existing);
}

/* ---- stop ---- */

void control_push_stop(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    const struct message_push_stop *said = &message->push_stop;
    struct push_summary summary = {0};
    struct err err = {0};
    uint64_t key = 0;
    char id[PUSH_ID_TEXT_SIZE];
    push_id_text(&said->push, id);
    if (store_find_id(c->store, &said->push, &key, &err) != 0 ||
        store_summary(c->store, key, &summary, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    /* A cancel is never taken back by a stop; a closed push has nothing to stop. */
    bool changes = summary.state != PUSH_CANCELLING && summary.state != PUSH_CLOSED &&
                   (said->cancel || summary.state != PUSH_STOPPED);
    if (changes) {
        enum push_state state = said->cancel ? PUSH_CANCELLING : PUSH_STOPPED;
        c->commit_due = true;
        if (store_push_state(c->store, key, state, clock_unix_ms(), &err) != 0) {
            control_fail(c, peer, message->request, &err);
            return;
        }
        log_info("push %s %s by uid %u", id, said->cancel ? "cancelled" : "stopped",
                 (unsigned)peer->uid);
        if (routing_busy(c, key)) {
            /* The core doesn't know it yet. */
            if (said->cancel && routing_cancel(c, key, &err) != 0)
                shell_fail(c, &err);
        } else {
            struct dispatch_event event = {.kind = DISPATCH_PUSH_STOPPED, .push_key = key};
            event.push_stopped.cancel = said->cancel;
            shell_step(c, &event);
        }
    }
    control_ok(c, peer, message->request, !changes);
}
