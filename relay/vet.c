/* Checking signed jobs. */
#include "relay/vet.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/pkg/name.h"
#include "common/pkg/wrapper.h"
#include "common/signed/objects.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "relay/enrolment.h"
#include "relay/state.h"

/* Clocks of admin host and branch office may differ as much as Kerberos lets them. */
#define CLOCK_SKEW_MAX_S 300
/* So long after the last moment that a job allows anything, looks at what it registered have ended,
 * too (agent.h, read_back_ms), whatever the clocks: then it is of no use any more. */
#define USELESS_AFTER_S 900

static int check_enrolled(const struct vet_config *config, const struct job *job,
                          const uint8_t *signer, struct err *err)
{
    const char *flaw = certificate_flaw(config->certificate, config->policy, config->now_unix_s);
    if (flaw)
        return err_set(err, ERR_DENIED, "%s", flaw);
    if (job->policy_version == 0)
        return err_set(err, ERR_DENIED, "the job is one of private mode: no policy was signed");
    if (!policy_has_operator(config->policy, signer))
        return err_set(err, ERR_DENIED,
                       "signed by nobody that policy version %llu names as operator",
                       (unsigned long long)config->policy->version);
    return 0;
}

static int check_private(const struct vet_config *config, const struct job *job,
                         const uint8_t *signer, struct err *err)
{
    if (job->policy_version != 0 || job->site_credentials)
        return err_set(err, ERR_DENIED, "the job is for enrolled relays, this one is private");
    char push[PUSH_ID_TEXT_SIZE];
    char path[PATH_MAX];
    uint8_t trusted[LIMIT_KEY_BYTES];
    push_id_text(&job->push, push);
    if (snprintf(path, sizeof path, "%s/%s.pub", config->operators, push) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "the folder of operator keys has too long a name");
    if (folder_check(config->operators, err) != 0 || public_key_read(path, trusted, err) != 0)
        return err_wrap(err, "no operator key is trusted for this push");
    if (!key_equal(trusted, signer))
        return err_set(err, ERR_DENIED, "signed by another key than the operator's of this push");
    return 0;
}

/* A relay that waits without bounds, or for no code that would be right, would never be done. */
static int check_wait(const struct job *job, struct err *err)
{
    if (!job->wait)
        return job->cleanup ? err_set(err, ERR_DENIED, "the job cleans up without waiting") : 0;
    if (job->success_code_count == 0)
        return err_set(err, ERR_DENIED, "the job waits for an exit code and names none as success");
    if (job->success_code_count > LIMIT_SUCCESS_CODES)
        return err_set(err, ERR_DENIED, "the job names more than %u exit codes",
                       LIMIT_SUCCESS_CODES);
    if (job->run_timeout_s == 0)
        return err_set(err, ERR_DENIED, "the job waits for the package's end without a time limit");
    return 0;
}

static int check_cleanup(const struct job *job, struct err *err)
{
    static const struct push_id none;
    if (push_id_equal(&job->of_push, &none) || job->of_generation == 0)
        return err_set(err, ERR_DENIED, "the job cleans up, and does not say after which push");
    if (job->wait || job->cleanup)
        return err_set(err, ERR_DENIED, "the job cleans up, and can't wait for an exit code");
    return 0;
}

static int check_terms(const struct vet_config *config, const struct job *job, struct err *err)
{
    if (config->now_unix_s + CLOCK_SKEW_MAX_S < job->not_before_unix_s)
        return err_set(err, ERR_DENIED,
                       "the job is not valid yet: %lld s to go; check the clocks of admin host and "
                       "relay",
                       (long long)(job->not_before_unix_s - config->now_unix_s));
    int64_t last_s = job->wait ? job_wait_until_unix_s(job) : job->not_after_unix_s;
    if (last_s < config->now_unix_s - USELESS_AFTER_S)
        return err_set(err, ERR_DENIED, "the job expired %lld s ago",
                       (long long)(config->now_unix_s - last_s));
    /* Boundaries in the target's own time can't be compared with ours. */
    if (job->zone == TIME_ZONE_UTC && job->end_unix_s != 0 &&
        job->not_after_unix_s > job->end_unix_s)
        return err_set(err, ERR_DENIED, "the job may be registered after its own end");
    bool push = job->action == JOB_PUSH;
    if (job->target_count == 0 || job->generation == 0 || (push && job->package_bytes == 0))
        return err_set(err, ERR_DENIED, "the job has no targets, generation or package");
    if ((push ? check_wait(job, err) : check_cleanup(job, err)) != 0)
        return -1;
    if (package_name_check(job->package_name, err) != 0)
        return -1;
    return job->action == JOB_PUSH ? job_command_check(job, err) : 0;
}

static int open_site_credential(const struct vet_config *config, const struct message_job *message,
                                struct vetted_job *out, struct err *err)
{
    const struct site_credential_terms terms = {
        .policy = config->policy,
        .site = config->certificate->site,
        .seal = config->seal,
        .counter_min = config->site_counter,
    };
    if (message->sealed_credential_size == 0)
        return err_set(err, ERR_DENIED,
                       "this relay has no credential of its site: pusher cred set %s",
                       config->certificate->site);
    return site_credential_open(message->sealed_credential, message->sealed_credential_size, &terms,
                                &out->credential, &out->site_counter, err);
}

static int open_credential(const struct vet_config *config, const struct message_job *message,
                           const struct job *job, const uint8_t *signer, struct credential *to,
                           struct err *err)
{
    struct seal_context context = {.push = job->push, .counter = job->counter};
    uint8_t *clear = NULL;
    size_t clear_size = 0;
    memcpy(context.signer, signer, LIMIT_KEY_BYTES);
    if (message->sealed_credential_size == 0)
        return err_set(err, ERR_DENIED, "no credential came with the job");
    if (seal_open(message->sealed_credential, message->sealed_credential_size, config->seal,
                  &context, &clear, &clear_size, err) != 0)
        return err_wrap(err, "credential");
    int failed = wire_decode_credential(clear, clear_size, to, err);
    secret_free(clear);
    return failed;
}

/* The push that a job names whose signature is bad, for nothing but the refusal. */
static int name_of_bad(const struct message_job *message, struct job *job, struct err *err)
{
    size_t before = SIGNED_OVERHEAD_BYTES - LIMIT_SIGNATURE_BYTES;
    if (message->signed_job_size <= SIGNED_OVERHEAD_BYTES)
        return err_set(err, ERR_PROTOCOL, "signed job is too short");
    return wire_decode_job(message->signed_job + before,
                           message->signed_job_size - SIGNED_OVERHEAD_BYTES, job, err);
}

static void refuse(struct vetted_job *out, const struct err *why)
{
    out->accepted = false;
    (void)text_copy(out->refusal, sizeof out->refusal, why->text);
}

static int check(const struct vet_config *config, const struct message_job *message,
                 const uint8_t *signer, struct vetted_job *out, struct err *err)
{
    const struct job *job = &out->job;
    if ((config->policy ? check_enrolled(config, job, signer, err)
                        : check_private(config, job, signer, err)) != 0 ||
        check_terms(config, job, err) != 0)
        return -1;
    if (job->site_credentials)
        return open_site_credential(config, message, out, err);
    out->credential = credential_new();
    return open_credential(config, message, job, signer, out->credential, err);
}

int job_vet(const struct vet_config *config, const struct message_job *message,
            struct vetted_job *out, struct err *err)
{
    struct signed_view view;
    struct err why = {0};
    memset(out, 0, sizeof *out);
    if (signed_open(message->signed_job, message->signed_job_size, SIGNED_JOB, NULL, &view, &why) !=
        0) {
        if (name_of_bad(message, &out->job, NULL) != 0) {
            if (err)
                *err = why;
            return -1;
        }
        refuse(out, &why);
        return 0;
    }
    if (wire_decode_job(view.payload, view.payload_size, &out->job, err) != 0)
        return -1;
    if (config->policy && out->job.policy_version > config->policy->version) {
        out->owed = true;
        return 0;
    }
    if (check(config, message, view.signer, out, &why) != 0) {
        vetted_job_release(out);
        refuse(out, &why);
        return 0;
    }
    out->accepted = true;
    memcpy(out->signer, view.signer, LIMIT_KEY_BYTES);
    return 0;
}

void vetted_job_release(struct vetted_job *vetted)
{
    credential_free(vetted->credential);
    vetted->credential = NULL;
}
