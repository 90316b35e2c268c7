/* Messages of the control link, both ways. */
#include <assert.h>

#include "common/wire/bodies.h"

static_assert((int)PUSHER__ERROR_CODE__ERROR_INTERNAL == (int)ERR_INTERNAL, "error codes");

void *put_package_offer(struct coder *c, const struct message *message)
{
    const struct message_package_offer *from = &message->package_offer;
    Pusher__PackageOffer *to = coder_message(c, PART(package_offer));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->bytes = check_u64(c, from->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    to->name = put_text(c, from->name, sizeof from->name, "package name");
    return to;
}

void take_package_offer(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageOffer *from = body;
    struct message_package_offer *to = &message->package_offer;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->bytes = check_u64(c, from->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    take_text(c, from->name, to->name, sizeof to->name, "package name");
}

void *put_package_data(struct coder *c, const struct message *message)
{
    const struct message_package_data *from = &message->package_data;
    Pusher__PackageData *to = coder_message(c, PART(package_data));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->data = put_blob(c, from->data, from->size, LIMIT_CHUNK_BYTES, "chunk");
    return to;
}

void take_package_data(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageData *from = body;
    struct message_package_data *to = &message->package_data;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    take_blob(c, from->data, &to->data, &to->size, LIMIT_CHUNK_BYTES, "chunk");
}

void *put_package_want(struct coder *c, const struct message *message)
{
    Pusher__PackageWant *to = coder_message(c, PART(package_want));
    if (to != NULL)
        to->offset = check_u64(c, message->package_want.offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    return to;
}

void take_package_want(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageWant *from = body;
    message->package_want.offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
}

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

void *put_status_get(struct coder *c, const struct message *message)
{
    const struct push_selector *from = &message->status_get;
    Pusher__StatusGet *to = coder_message(c, PART(status_get));
    if (to != NULL)
        to->prefix = put_text(c, from->prefix, sizeof from->prefix, "push prefix");
    return to;
}

void take_status_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__StatusGet *from = body;
    struct push_selector *to = &message->status_get;
    take_text(c, from->prefix, to->prefix, sizeof to->prefix, "push prefix");
}

void *put_report_get(struct coder *c, const struct message *message)
{
    const struct report_filter *from = &message->report_get;
    Pusher__ReportGet *to = coder_message(c, PART(report_get));
    if (to == NULL)
        return NULL;
    to->prefix = put_text(c, from->push.prefix, sizeof from->push.prefix, "push prefix");
    to->failed_only = from->failed_only;
    to->stage = put_stage(c, from->stage);
    to->reason = put_reason(c, from->reason);
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->target = put_text(c, from->target, sizeof from->target, "target name");
    to->output = from->output;
    return to;
}

void take_report_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ReportGet *from = body;
    struct report_filter *to = &message->report_get;
    take_text(c, from->prefix, to->push.prefix, sizeof to->push.prefix, "push prefix");
    to->failed_only = from->failed_only != 0;
    to->stage = take_stage(c, from->stage);
    to->reason = take_reason(c, from->reason);
    take_text(c, from->site, to->site, sizeof to->site, "site");
    take_text(c, from->target, to->target, sizeof to->target, "target name");
    to->output = from->output != 0;
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

void *put_relays(struct coder *c, const struct message *message)
{
    const struct message_relays *from = &message->relays;
    Pusher__Relays *to = coder_message(c, PART(relays));
    if (to != NULL)
        put_relay_rows(c, from->rows, from->row_count, &to->rows, &to->n_rows);
    return to;
}

void take_relays(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Relays *from = body;
    take_relay_rows(c, from->rows, from->n_rows, &message->relays.rows, &message->relays.row_count);
}

void *put_status(struct coder *c, const struct message *message)
{
    const struct message_status *from = &message->status;
    Pusher__Status *to = coder_message(c, PART(status));
    if (to == NULL)
        return NULL;
    to->push = put_summary(c, &from->push);
    put_relay_rows(c, from->relays, from->relay_count, &to->relays, &to->n_relays);
    return to;
}

void take_status(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Status *from = body;
    struct message_status *to = &message->status;
    take_summary(c, from->push, &to->push);
    take_relay_rows(c, from->relays, from->n_relays, &to->relays, &to->relay_count);
}

static Pusher__ReportRow *put_report_row(struct coder *c, const struct report_row *from)
{
    Pusher__ReportRow *to = coder_message(c, PART(report_row));
    if (to == NULL)
        return NULL;
    to->target_no = from->target_no;
    to->target = put_text(c, from->target, LIMIT_TARGET_NAME_SIZE, "target name");
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->relay = put_text(c, from->relay, sizeof from->relay, "relay name");
    to->outcome = put_outcome(c, &from->outcome);
    to->output = put_blob(c, from->output, from->output_size, LIMIT_OUTPUT_BYTES, "output");
    return to;
}

void *put_report_rows(struct coder *c, const struct message *message)
{
    const struct message_report_rows *from = &message->report_rows;
    Pusher__ReportRows *to = coder_message(c, PART(report_rows));
    uint32_t count = put_row_count(c, from->row_count, "report rows");
    Pusher__ReportRow **rows = coder_new(c, count, sizeof(Pusher__ReportRow *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_report_row(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    return to;
}

void take_report_rows(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ReportRows *from = body;
    struct message_report_rows *to = &message->report_rows;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "report rows");
    for (uint32_t i = 0; i < to->row_count; i++) {
        struct report_row *row = &to->rows[i];
        row->target_no = from->rows[i]->target_no;
        take_heap_text(c, from->rows[i]->target, &row->target, LIMIT_TARGET_NAME_SIZE,
                       "target name");
        take_text(c, from->rows[i]->site, row->site, sizeof row->site, "site");
        take_text(c, from->rows[i]->relay, row->relay, sizeof row->relay, "relay name");
        take_outcome(c, from->rows[i]->outcome, &row->outcome);
        take_blob(c, from->rows[i]->output, &row->output, &row->output_size, LIMIT_OUTPUT_BYTES,
                  "output");
    }
}

void *put_report_end(struct coder *c, const struct message *message)
{
    Pusher__ReportEnd *to = coder_message(c, PART(report_end));
    if (to != NULL)
        to->push = put_summary(c, &message->report_end.push);
    return to;
}

void take_report_end(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ReportEnd *from = body;
    take_summary(c, from->push, &message->report_end.push);
}

void *put_list(struct coder *c, const struct message *message)
{
    const struct message_list *from = &message->list;
    Pusher__List *to = coder_message(c, PART(list));
    uint32_t count = put_row_count(c, from->push_count, "pushes");
    Pusher__PushSummary **pushes = coder_new(c, count, sizeof(Pusher__PushSummary *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; pushes != NULL && i < count; i++)
        pushes[i] = put_summary(c, &from->pushes[i]);
    to->pushes = pushes;
    to->n_pushes = count;
    return to;
}

void take_list(struct coder *c, const void *body, struct message *message)
{
    const Pusher__List *from = body;
    struct message_list *to = &message->list;
    to->pushes = take_rows(c, from->n_pushes, sizeof *to->pushes, &to->push_count, "pushes");
    for (uint32_t i = 0; i < to->push_count; i++)
        take_summary(c, from->pushes[i], &to->pushes[i]);
}
