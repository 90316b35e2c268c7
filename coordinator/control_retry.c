/* PUSH_COMMIT with `retry`: a push that is over goes on as a new generation, for some of its rows.
 *
 * The operator signed the next generation's job over a tree of the same size, in which whoever is
 * not tried again is an empty name. Which rows are meant is computed here from what was said, and
 * must come to the same root: a row that changed since is a reason to look again.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/coordinator.h"
#include "coordinator/routing.h"
#include "coordinator/trust.h"

struct choice {
    uint8_t *chosen; /* one per target */
    uint32_t target_count;
    uint32_t count; /* chosen */
    struct merkle_tree *tree;
    struct err *err;
    bool failed;
};

static int choose(void *context, uint32_t target_no)
{
    struct choice *choice = context;
    if (target_no >= choice->target_count)
        return -1;
    choice->chosen[target_no] = 1;
    choice->count++;
    return 0;
}

static int add_leaf(void *context, uint32_t target_no, const char *name, uint16_t site,
                    enum target_state state)
{
    struct choice *choice = context;
    (void)site;
    (void)state;
    bool again = target_no < choice->target_count && choice->chosen[target_no];
    choice->failed = merkle_tree_add(choice->tree, again ? name : "", choice->err) != 0;
    return choice->failed;
}

static int check_root(const struct choice *choice, const struct job *job, struct err *err)
{
    uint8_t root[MERKLE_HASH_BYTES];
    if (choice->count == 0)
        return err_set(err, ERR_NOT_FOUND, "no target of this push is like that");
    merkle_tree_root(choice->tree, root);
    if (merkle_tree_count(choice->tree) != job->target_count ||
        memcmp(root, job->targets_root, sizeof root) != 0)
        return err_set(err, ERR_INVALID,
                       "the job is signed for other targets: if results came in meanwhile, try "
                       "again");
    return 0;
}

/* The tree of the new generation; NULL with err set when the job isn't signed for it. */
static struct merkle_tree *make_tree(struct coordinator *c, uint64_t key, const struct job *job,
                                     const struct store_retry *which, struct err *err)
{
    struct choice choice = {.chosen = mem_new(job->target_count + 1U, 1),
                            .target_count = job->target_count,
                            .tree = merkle_tree_new(),
                            .err = err};
    int result = store_retry_each(c->store, key, which, choose, &choice, err);
    if (result == 0)
        result = store_target_each(c->store, key, add_leaf, &choice, err);
    if (result == 0 && (choice.failed || check_root(&choice, job, err) != 0))
        result = -1;
    free(choice.chosen);
    if (result == 0)
        return choice.tree;
    merkle_tree_free(choice.tree);
    return NULL;
}

/* What is put where, and how it is run, is what every generation has in common. */
static bool same_work(const struct job *a, const struct job *b)
{
    return a->action == JOB_PUSH && b->action == JOB_PUSH && a->target_count == b->target_count &&
           strcmp(a->package_name, b->package_name) == 0 && a->package_bytes == b->package_bytes &&
           memcmp(a->package_digest, b->package_digest, LIMIT_DIGEST_BYTES) == 0 &&
           a->directory == b->directory && strcmp(a->command, b->command) == 0 &&
           strcmp(a->arguments, b->arguments) == 0 && a->run_as == b->run_as && a->wait == b->wait;
}

static int check_job(const struct job *before, const struct job *job, struct err *err)
{
    const uint8_t *pool = before->generation == 1 ? before->targets_root : before->pool_root;
    if (before->action != JOB_PUSH)
        return err_set(err, ERR_INVALID, "a clean-up isn't retried: start it again");
    if (!same_work(before, job) || memcmp(pool, job->pool_root, LIMIT_DIGEST_BYTES) != 0)
        return err_set(err, ERR_EXISTS,
                       "a retry puts the same package on the same targets, and runs it alike");
    if (job->generation != before->generation + 1)
        return err_set(err, ERR_EXISTS, "this push is at generation %u: look again",
                       before->generation);
    if (job->counter <= before->counter)
        return err_set(err, ERR_EXISTS,
                       "this push has a job that was signed later: sign anew, with a right clock");
    return 0;
}

/* The same request again, whose answer was lost. */
static bool is_repeated(struct coordinator *c, uint64_t key, const struct message_push_commit *said)
{
    struct buf job;
    struct err err = {0};
    buf_init(&job, LIMIT_MESSAGE_BYTES_MAX);
    bool same = store_push_blobs(c->store, key, &job, NULL, &err) == 0 &&
                job.size == said->signed_job_size &&
                memcmp(job.data, said->signed_job, job.size) == 0;
    buf_release(&job);
    return same;
}

static int reopen(struct coordinator *c, uint64_t key, const struct store_push *push,
                  const struct store_retry *which, uint32_t generation_before, struct err *err)
{
    c->commit_due = true;
    if (store_push_retry(c->store, key, push, which, err) != 0 ||
        store_push_refuse_in_use(c->store, key, err) != 0 ||
        sealed_commit(c, &push->push, key, err) != 0)
        return -1;
    /* Nothing that is still heard of the generation before counts: its rows stand, or wait. */
    struct dispatch_event ended = {.kind = DISPATCH_PUSH_ENDED};
    ended.push_ended.push = push->push;
    ended.push_ended.generation = generation_before;
    shell_step(c, &ended);
    return routing_open(c, key, err);
}

int control_push_retry(struct coordinator *c, uint64_t key, const struct message_push_commit *said,
                       const struct job *job, const struct store_push *push, struct err *err)
{
    struct push_summary summary = {0};
    struct job before = {0};
    const struct store_retry which = {said->retry_states, said->retry_reason};
    if (is_repeated(c, key, said))
        return 0;
    if (store_summary(c->store, key, &summary, err) != 0 ||
        shell_stored_job(c, key, &before, err) != 0)
        return -1;
    if (summary.state != PUSH_CLOSED)
        return err_set(err, ERR_EXISTS, "the push is not over: wait, or cancel it");
    if (check_job(&before, job, err) != 0 || control_check_package(c, job, err) != 0 ||
        trust_check_job(c, job, push->operator_key, err) != 0 ||
        sealed_check(c, job, said->site, err) != 0)
        return -1;
    struct merkle_tree *tree = make_tree(c, key, job, &which, err);
    if (tree == NULL)
        return -1;
    book_drop(c, key);
    book_put_take(c, key, tree);
    return reopen(c, key, push, &which, before.generation, err);
}
