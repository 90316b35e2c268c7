/* Messages of the control link: how pushes, rows and relays stand. */
#include "common/wire/bodies.h"

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

void *put_job_get(struct coder *c, const struct message *message)
{
    const struct push_selector *from = &message->job_get;
    Pusher__StatusGet *to = coder_message(c, PART(status_get));
    if (to != NULL)
        to->prefix = put_text(c, from->prefix, sizeof from->prefix, "push prefix");
    return to;
}

void take_job_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__StatusGet *from = body;
    struct push_selector *to = &message->job_get;
    take_text(c, from->prefix, to->prefix, sizeof to->prefix, "push prefix");
}

void *put_parts_get(struct coder *c, const struct message *message)
{
    const struct message_parts_get *from = &message->parts_get;
    Pusher__PartsGet *to = coder_message(c, PART(parts_get));
    if (to == NULL)
        return NULL;
    to->prefix = put_text(c, from->push.prefix, sizeof from->push.prefix, "push prefix");
    to->first = from->first;
    return to;
}

void take_parts_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PartsGet *from = body;
    struct message_parts_get *to = &message->parts_get;
    take_text(c, from->prefix, to->push.prefix, sizeof to->push.prefix, "push prefix");
    to->first = from->first;
}

static Pusher__Part *put_part(struct coder *c, const struct push_part *from)
{
    Pusher__Part *to = coder_message(c, PART(part));
    if (to == NULL)
        return NULL;
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->relay = put_text(c, from->relay, sizeof from->relay, "relay name");
    to->totals = put_totals(c, &from->totals);
    return to;
}

void *put_parts(struct coder *c, const struct message *message)
{
    const struct message_parts *from = &message->parts;
    Pusher__Parts *to = coder_message(c, PART(parts));
    uint32_t count = put_row_count(c, from->row_count, "parts");
    Pusher__Part **rows = coder_new(c, count, sizeof(Pusher__Part *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_part(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    to->next = from->next;
    return to;
}

void take_parts(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Parts *from = body;
    struct message_parts *to = &message->parts;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "parts");
    for (uint32_t i = 0; i < to->row_count; i++) {
        take_text(c, from->rows[i]->site, to->rows[i].site, sizeof to->rows[i].site, "site");
        take_text(c, from->rows[i]->relay, to->rows[i].relay, sizeof to->rows[i].relay,
                  "relay name");
        take_totals(c, from->rows[i]->totals, &to->rows[i].totals);
    }
    to->next = from->next;
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

void *put_relays_get(struct coder *c, const struct message *message)
{
    Pusher__RelaysGet *to = coder_message(c, PART(relays_get));
    if (to != NULL)
        to->first = message->relays_get.first;
    return to;
}

void take_relays_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__RelaysGet *from = body;
    (void)c;
    message->relays_get.first = from->first;
}

void *put_relays(struct coder *c, const struct message *message)
{
    const struct message_relays *from = &message->relays;
    Pusher__Relays *to = coder_message(c, PART(relays));
    if (to == NULL)
        return NULL;
    put_relay_rows(c, from->rows, from->row_count, &to->rows, &to->n_rows);
    to->next = from->next;
    return to;
}

void take_relays(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Relays *from = body;
    take_relay_rows(c, from->rows, from->n_rows, &message->relays.rows, &message->relays.row_count);
    message->relays.next = from->next;
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
