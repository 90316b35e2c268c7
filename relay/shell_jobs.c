/* Jobs: vetted, remembered, made ready for the stage runner, their packages fetched. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pkg/digest.h"
#include "common/trust/merkle.h"
#include "relay/shell_state.h"
#include "relay/vet.h"

static struct shell_job *job_by_no(struct shell *shell, uint32_t job_no)
{
    for (uint32_t i = 0; i < shell->job_count; i++) {
        if (shell->jobs[i].used && shell->jobs[i].job_no == job_no)
            return &shell->jobs[i];
    }
    return NULL;
}

/* The newest job of a push; NULL when none is accepted. */
static struct shell_job *job_by_push(struct shell *shell, const struct push_id *push,
                                     uint32_t generation)
{
    struct shell_job *newest = NULL;
    for (uint32_t i = 0; i < shell->job_count; i++) {
        struct shell_job *job = &shell->jobs[i];
        if (job->used && job->generation == generation && push_id_equal(&job->push, push) &&
            (!newest || job->counter > newest->counter))
            newest = job;
    }
    return newest;
}

static const char newer_generation[] = "a newer generation of this push was signed";

static struct shell_job *add_job(struct shell *shell, const struct vetted_job *vetted,
                                 uint32_t job_no)
{
    const struct job *job = &vetted->job;
    uint32_t i = 0;
    while (i < shell->job_count && shell->jobs[i].used)
        i++;
    if (i == shell->job_count) {
        shell->job_count++;
        shell->jobs = mem_resize(shell->jobs, shell->job_count, sizeof *shell->jobs);
    }
    struct shell_job *added = &shell->jobs[i];
    *added = (struct shell_job){
        .used = true,
        .job_no = job_no,
        .push = job->push,
        .generation = job->generation,
        .counter = job->counter,
        .package_bytes = job->package_bytes,
        .packageless = job->action == JOB_CLEANUP,
        .target_count = job->target_count,
    };
    memcpy(added->package_digest, job->package_digest, LIMIT_DIGEST_BYTES);
    memcpy(added->targets_root, job->targets_root, LIMIT_DIGEST_BYTES);
    memcpy(added->signer, vetted->signer, LIMIT_KEY_BYTES);
    return added;
}

static void distrust(struct shell *shell, uint32_t job_no, const char *why)
{
    struct agent_event event = {.kind = AGENT_DISTRUST, .package = {job_no, why}};
    log_warning("a job ends: %s", why);
    shell_step(shell, &event);
}

void shell_distrust_jobs(struct shell *shell)
{
    const struct policy *policy = &shell->config->enrolment->policy;
    for (uint32_t i = 0; i < shell->job_count; i++) {
        if (shell->jobs[i].used && !policy_has_operator(policy, shell->jobs[i].signer))
            distrust(shell, shell->jobs[i].job_no,
                     "who signed the job is no operator any more, says the newest policy");
    }
}

/* A newer generation takes the place of those before it, whose CLOSE may have been lost. */
static void distrust_older(struct shell *shell, const struct job *job)
{
    for (uint32_t i = 0; i < shell->job_count; i++) {
        const struct shell_job *other = &shell->jobs[i];
        if (other->used && push_id_equal(&other->push, &job->push) &&
            other->generation < job->generation)
            distrust(shell, other->job_no, newer_generation);
    }
}

/* A job that this relay has seen replaced or closed is of the past, whoever brings it again. What
 * was done under one that was closed here is forgotten, also that it was closed once its time is
 * over: such a refusal doesn't say that nothing was begun. */
static void refuse_old(struct shell *shell, struct vetted_job *vetted, bool *forgotten)
{
    struct spool_job known = {.push = vetted->job.push, .generation = vetted->job.generation};
    uint32_t newest = 0;
    bool found = false;
    struct err err;
    if (spool_get_job(shell->spool, &known, &found, &err) != 0 ||
        spool_newest_generation(shell->spool, &known.push, &newest, &err) != 0) {
        shell_fail(shell, &err);
        return;
    }
    const char *refusal = NULL;
    if (newest > known.generation)
        refusal = newer_generation;
    else if (found && known.closed)
        refusal = "this push is closed already";
    else if (found && vetted->accepted && vetted->job.counter < known.counter)
        refusal = "a newer signed job of this push was seen";
    if (refusal != NULL && vetted->accepted)
        (void)text_copy(vetted->refusal, sizeof vetted->refusal, refusal);
    vetted->accepted = vetted->accepted && refusal == NULL;
    bool over = vetted->job.not_after_unix_s < (int64_t)(shell_now_unix_ms() / 1000);
    *forgotten = !vetted->accepted && (found ? known.closed : newest > known.generation || over);
}

static bool local_account(const char *account)
{
    if (strncmp(account, ".\\", 2) == 0)
        return true;
    return !strchr(account, '\\') && !strchr(account, '@');
}

static void refuse_with(struct vetted_job *vetted, const struct err *why)
{
    vetted->accepted = false;
    (void)text_copy(vetted->refusal, sizeof vetted->refusal, why->text);
}

/* The package's path for the runner, when it is whole. Returns whether it is ready. */
bool shell_offer_package(struct shell *shell, const struct shell_job *job, struct err *err)
{
    char path[4096];
    package_store_touch(shell->store, job->package_digest);
    return package_store_path(shell->store, job->package_digest, path, sizeof path, err) == 0 &&
           stage_runner_set_package(shell->runner, job->job_no, path, err) == 0;
}

static bool package_ready(struct shell *shell, const struct shell_job *job)
{
    uint64_t offset = 0;
    struct err err;
    if (package_store_offset(shell->store, job->package_digest, job->package_bytes, &offset,
                             &err) != 0 ||
        offset != job->package_bytes)
        return false; /* fetching it will say why */
    return shell_offer_package(shell, job, &err);
}

/* A domain's account is every relay's: its name, without case, says which; the counter of what
 * brought it, which password. */
static void share_account(const struct vetted_job *vetted, struct agent_job *event)
{
    struct digest *digest = digest_new();
    for (const char *at = vetted->credential->account; *at != '\0'; at++) {
        char lower = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
        digest_add(digest, &lower, 1);
    }
    digest_end(digest, event->account);
    digest_free(digest);
    event->shared_account = true;
    event->account_counter = vetted->site_counter > 0 ? vetted->site_counter : vetted->job.counter;
}

/* Makes the job known to runner and journal, and the event complete. */
static void prepare_job(struct shell *shell, struct vetted_job *vetted, struct agent_job *event)
{
    const struct job *job = &vetted->job;
    uint32_t job_no = 0;
    struct err err = {0};
    if (stage_runner_add_job(shell->runner, job, vetted->credential, &job_no, &err) != 0) {
        refuse_with(vetted, &err);
        return;
    }
    struct spool_job kept = {
        .push = job->push,
        .generation = job->generation,
        .counter = job->counter,
        .not_after_unix_s = job->not_after_unix_s,
    };
    if (spool_put_job(shell->spool, &kept, &err) != 0 ||
        (vetted->site_counter > 0 &&
         spool_put_site_counter(shell->spool, shell->config->enrolment->site, vetted->site_counter,
                                &err) != 0)) {
        shell_fail(shell, &err);
        return;
    }
    distrust_older(shell, job);
    shell->urgent = true;
    const struct shell_job *added = add_job(shell, vetted, job_no);
    event->job_no = job_no;
    event->credential_no = stage_runner_credential_no(shell->runner, job_no);
    event->local_account = local_account(vetted->credential->account);
    if (!event->local_account && shell->config->enrolment)
        share_account(vetted, event);
    event->package_ready = added->packageless || package_ready(shell, added);
}

static void log_job(const struct vetted_job *vetted)
{
    char push[PUSH_ID_SHORT_SIZE];
    push_id_short(&vetted->job.push, push);
    if (vetted->accepted)
        log_info("push %s/%u accepted: %s, %u targets", push, vetted->job.generation,
                 vetted->job.package_name, vetted->job.target_count);
    else
        log_warning("push %s/%u refused: %s", push, vetted->job.generation, vetted->refusal);
}

static int vet(struct shell *shell, const struct message_job *message, struct vetted_job *vetted,
               struct err *err)
{
    const struct enrolment *enrolment = shell->config->enrolment;
    struct vet_config config = {
        .operators = shell->config->operators,
        .seal = &shell->config->state->seal,
        .now_unix_s = (int64_t)(shell_now_unix_ms() / 1000),
    };
    if (enrolment) {
        config.policy = &enrolment->policy;
        config.certificate = &enrolment->certificate;
        if (spool_get_site_counter(shell->spool, enrolment->site, &config.site_counter, err) != 0) {
            shell_fail(shell, err);
            return -1;
        }
    }
    return job_vet(&config, message, vetted, err);
}

void shell_on_job(struct shell *shell, const struct message_job *message)
{
    struct vetted_job vetted;
    struct err err;
    if (shell->halted)
        return; /* it comes again when there is a certificate */
    if (vet(shell, message, &vetted, &err) != 0) {
        log_warning("ignored a job: %s", err.text);
        return;
    }
    if (vetted.owed) {
        log_info("a job waits for policy version %llu",
                 (unsigned long long)vetted.job.policy_version);
        shell_ask_again(shell);
        return;
    }
    const struct job *job = &vetted.job;
    int64_t wait_until_s = job_wait_until_unix_s(job);
    struct agent_job event = {
        .push = job->push,
        .generation = job->generation,
        .counter = job->counter,
        .not_after_unix_ms =
            job->not_after_unix_s < INT64_MAX / 1000 ? job->not_after_unix_s * 1000 : INT64_MAX,
        .cleanup = job->action == JOB_CLEANUP,
        .wait = job->action == JOB_PUSH && job->wait,
        .wait_until_unix_ms = wait_until_s < INT64_MAX / 1000 ? wait_until_s * 1000 : INT64_MAX,
    };
    refuse_old(shell, &vetted, &event.forgotten);
    bool known =
        vetted.accepted && agent_knows_job(shell->agent, &job->push, job->generation, job->counter);
    if (!known && !shell->failed) {
        if (vetted.accepted)
            prepare_job(shell, &vetted, &event);
        log_job(&vetted);
        event.accepted = vetted.accepted;
        (void)text_copy(event.refusal, sizeof event.refusal, vetted.refusal);
        struct agent_event step = {.kind = AGENT_JOB, .job = &event};
        shell_step(shell, &step);
    }
    vetted_job_release(&vetted);
}

bool shell_lease_proven(struct shell *shell, const struct message_lease *lease)
{
    const struct shell_job *job = job_by_push(shell, &lease->push, lease->generation);
    struct merkle_leaf leaves[LIMIT_ROWS_PER_MESSAGE];
    struct err err;
    if (!job || lease->entry_count == 0 || lease->entry_count > LIMIT_ROWS_PER_MESSAGE)
        return false;
    for (uint32_t i = 0; i < lease->entry_count; i++)
        leaves[i] = (struct merkle_leaf){lease->entries[i].target_no, lease->entries[i].name};
    if (merkle_verify(job->targets_root, job->target_count, leaves, lease->entry_count,
                      lease->proof, lease->proof_size, &err) == 0)
        return true;
    log_warning("lease refused: %s", err.text);
    return false;
}

void shell_fetch(struct shell *shell, uint32_t job_no)
{
    const struct shell_job *job = job_by_no(shell, job_no);
    if (!job)
        return;
    cache_fetch(shell->cache, job->package_digest, job->package_bytes, shell_now_ms());
    shell_arm_cache(shell);
}

void shell_remove_job(struct shell *shell, uint32_t job_no)
{
    struct shell_job *job = job_by_no(shell, job_no);
    if (!job)
        return;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    memcpy(digest, job->package_digest, sizeof digest);
    job->used = false;
    stage_runner_remove_job(shell->runner, job_no);
    /* The package stays for the next push of it, until its room is needed. */
    if (job->packageless || shell_package_needed(shell, digest))
        return;
    cache_cancel(shell->cache, digest, shell_now_ms());
    shell_arm_cache(shell);
}
