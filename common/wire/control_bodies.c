/* Messages of the control link: giving and stopping pushes, plain answers. */
#include <assert.h>

#include "common/wire/bodies.h"

static_assert((int)PUSHER__ERROR_CODE__ERROR_INTERNAL == (int)ERR_INTERNAL, "error codes");

void *put_push_begin(struct coder *c, const struct message *message)
{
    const struct message_push_begin *from = &message->push_begin;
    Pusher__PushBegin *to = coder_message(c, PART(push_begin));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->target_count = check_u32(c, from->target_count, LIMIT_TARGETS_MAX, "target count");
    return to;
}

void take_push_begin(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushBegin *from = body;
    struct message_push_begin *to = &message->push_begin;
    take_push(c, from->push, &to->push);
    to->target_count = check_u32(c, from->target_count, LIMIT_TARGETS_MAX, "target count");
}

void *put_push_targets(struct coder *c, const struct message *message)
{
    const struct message_push_targets *from = &message->push_targets;
    Pusher__PushTargets *to = coder_message(c, PART(push_targets));
    uint32_t count = put_row_count(c, from->name_count, "targets");
    ProtobufCBinaryData *names = coder_new(c, count, sizeof *names);
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->first_no = from->first_no;
    for (uint32_t i = 0; names != NULL && i < count; i++)
        names[i] = put_text(c, from->names[i], LIMIT_TARGET_NAME_SIZE, "target name");
    to->names = names;
    to->n_names = count;
    return to;
}

void take_push_targets(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushTargets *from = body;
    struct message_push_targets *to = &message->push_targets;
    take_push(c, from->push, &to->push);
    to->first_no = from->first_no;
    to->names = take_rows(c, from->n_names, sizeof *to->names, &to->name_count, "targets");
    for (uint32_t i = 0; i < to->name_count; i++)
        take_heap_text(c, from->names[i], &to->names[i], LIMIT_TARGET_NAME_SIZE, "target name");
}

void *put_push_commit(struct coder *c, const struct message *message)
{
    const struct message_push_commit *from = &message->push_commit;
    Pusher__PushCommit *to = coder_message(c, PART(push_commit));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->signed_job =
        put_blob(c, from->signed_job, from->signed_job_size, LIMIT_MESSAGE_BYTES_MAX, "signed job");
    to->sealed_credential = put_blob(c, from->sealed_credential, from->sealed_credential_size,
                                     LIMIT_MESSAGE_BYTES_MAX, "sealed credential");
    to->resume = from->resume;
    to->fail_stop_count = from->fail_stop_count;
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->retry = from->retry;
    to->retry_states = from->retry_states;
    to->retry_reason = put_reason(c, from->retry_reason);
    return to;
}

void take_push_commit(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushCommit *from = body;
    struct message_push_commit *to = &message->push_commit;
    take_push(c, from->push, &to->push);
    take_blob(c, from->signed_job, &to->signed_job, &to->signed_job_size, LIMIT_MESSAGE_BYTES_MAX,
              "signed job");
    take_blob(c, from->sealed_credential, &to->sealed_credential, &to->sealed_credential_size,
              LIMIT_MESSAGE_BYTES_MAX, "sealed credential");
    to->resume = from->resume != 0;
    to->fail_stop_count = from->fail_stop_count;
    take_text(c, from->site, to->site, sizeof to->site, "site");
    to->retry = from->retry != 0;
    to->retry_states = from->retry_states;
    to->retry_reason = take_reason(c, from->retry_reason);
}

static Pusher__PushCredential *put_push_credential(struct coder *c,
                                                   const struct push_credential *from)
{
    Pusher__PushCredential *to = coder_message(c, PART(push_credential));
    if (to == NULL)
        return NULL;
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    to->sealed = put_blob(c, from->bytes, from->size, LIMIT_MESSAGE_BYTES_MAX, "sealed credential");
    return to;
}

void *put_push_credentials(struct coder *c, const struct message *message)
{
    const struct message_push_credentials *from = &message->push_credentials;
    Pusher__PushCredentials *to = coder_message(c, PART(push_credentials));
    uint32_t count = put_row_count(c, from->row_count, "credentials");
    Pusher__PushCredential **rows = coder_new(c, count, sizeof(Pusher__PushCredential *));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_push_credential(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    return to;
}

void take_push_credentials(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushCredentials *from = body;
    struct message_push_credentials *to = &message->push_credentials;
    take_push(c, from->push, &to->push);
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "credentials");
    for (uint32_t i = 0; i < to->row_count; i++) {
        struct push_credential *row = &to->rows[i];
        take_bytes(c, from->rows[i]->seal_key, row->seal_key, sizeof row->seal_key, "seal key");
        take_blob(c, from->rows[i]->sealed, &row->bytes, &row->size, LIMIT_MESSAGE_BYTES_MAX,
                  "sealed credential");
    }
}

void *put_push_stop(struct coder *c, const struct message *message)
{
    Pusher__PushStop *to = coder_message(c, PART(push_stop));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &message->push_stop.push);
    to->cancel = message->push_stop.cancel;
    return to;
}

void take_push_stop(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushStop *from = body;
    take_push(c, from->push, &message->push_stop.push);
    message->push_stop.cancel = from->cancel != 0;
}

void *put_empty(struct coder *c, const struct message *message)
{
    (void)message;
    return coder_message(c, PART(empty));
}

void take_empty(struct coder *c, const void *body, struct message *message)
{
    (void)c;
    (void)body;
    (void)message;
}

void *put_ok(struct coder *c, const struct message *message)
{
    Pusher__Ok *to = coder_message(c, PART(ok));
    if (to != NULL)
        to->existing = message->ok.existing;
    return to;
}

void take_ok(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Ok *from = body;
    (void)c;
    message->ok.existing = from->existing != 0;
}

void *put_fail(struct coder *c, const struct message *message)
{
    const struct message_fail *from = &message->fail;
    Pusher__Fail *to = coder_message(c, PART(fail));
    if (to == NULL)
        return NULL;
    to->code =
        (Pusher__ErrorCode)check_enum(c, (int64_t)from->code, ERR_INTERNAL + 1, "error code");
    to->text = put_raw_text(c, from->text, sizeof from->text, "error text");
    return to;
}

void take_fail(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Fail *from = body;
    struct message_fail *to = &message->fail;
    to->code = (enum err_code)check_enum(c, (int64_t)from->code, ERR_INTERNAL + 1, "error code");
    take_raw_text(c, from->text, to->text, sizeof to->text, "error text");
}
