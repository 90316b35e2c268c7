/* Policy, key, jobs that are signed already. */
#include "coordinator/cli/authority.h"

#include "common/trust/signed.h"
#include "common/wire/wire.h"

void authority_release(struct authority *authority)
{
    policy_state_release(&authority->state);
    key_pair_release(&authority->key);
    *authority = (struct authority){0};
}

int authority_open(struct authority *authority, struct session *session, struct err *err)
{
    if (authority->state.newest.version != 0)
        return 0;
    if (policy_state_fetch(session, &authority->state, err) != 0)
        return -1;
    policy_state_say(session, &authority->state);
    return 0;
}

int authority_unlock(struct authority *authority, const struct operator_options *options,
                     struct err *err)
{
    char text[KEY_TEXT_SIZE];
    if (operator_key_load(options, &authority->key, err) != 0)
        return -1;
    if (policy_has_operator(&authority->state.newest, authority->key.public_key))
        return 0;
    key_text(authority->key.public_key, text);
    return err_set(err, ERR_DENIED,
                   "key %.16s... is no operator's in policy %llu: one of them can add it (pusher "
                   "key trust)",
                   text, (unsigned long long)authority->state.newest.version);
}

int authority_job(const struct authority *authority, struct session *session,
                  const struct push_id *push, struct job *job, struct err *err)
{
    const struct key_set operators = {authority->state.newest.operators[0],
                                      authority->state.newest.operator_count};
    struct message request = {.kind = MESSAGE_JOB_GET};
    struct message answer;
    struct signed_view view;
    push_id_text(push, request.job_get.prefix);
    if (session_call(session, &request, MESSAGE_JOB, &answer, err) != 0)
        return -1;
    int result = signed_open(answer.job.signed_job, answer.job.signed_job_size, SIGNED_JOB,
                             &operators, &view, err);
    if (result == 0)
        result = wire_decode_job(view.payload, view.payload_size, job, err);
    message_release(&answer);
    if (result != 0)
        return err_wrap(err, "the job that the coordinator has of this push");
    return push_id_equal(&job->push, push)
               ? 0
               : err_set(err, ERR_DENIED, "the coordinator gave the job of another push");
}

const uint8_t *authority_pool_root(const struct job *job)
{
    return job->generation == 1 ? job->targets_root : job->pool_root;
}
