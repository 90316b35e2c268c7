/* Messages of the relay link. */
#include <stdlib.h>

#include "common/wire/bodies.h"

void *put_hello(struct coder *c, const struct message *message)
{
    const struct message_hello *from = &message->hello;
    Pusher__Hello *to = coder_message(c, PART(hello));
    if (to == NULL)
        return NULL;
    to->protocol_version = from->protocol_version;
    to->relay_name = put_text(c, from->relay_name, sizeof from->relay_name, "relay name");
    to->instance = from->instance;
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    to->credit = from->credit;
    to->policy_version = from->policy_version;
    to->certificate_serial = from->certificate_serial;
    to->serve = put_text(c, from->serve, sizeof from->serve, "serve");
    to->epoch = from->epoch;
    to->sent_boottime_ms = from->sent_boottime_ms;
    return to;
}

void take_hello(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Hello *from = body;
    struct message_hello *to = &message->hello;
    to->protocol_version = from->protocol_version;
    take_text(c, from->relay_name, to->relay_name, sizeof to->relay_name, "relay name");
    to->instance = from->instance;
    take_bytes(c, from->seal_key, to->seal_key, sizeof to->seal_key, "seal key");
    to->credit = from->credit;
    to->policy_version = from->policy_version;
    to->certificate_serial = from->certificate_serial;
    take_text(c, from->serve, to->serve, sizeof to->serve, "serve");
    to->epoch = from->epoch;
    to->sent_boottime_ms = from->sent_boottime_ms;
}

void *put_welcome(struct coder *c, const struct message *message)
{
    Pusher__Welcome *to = coder_message(c, PART(welcome));
    if (to == NULL)
        return NULL;
    to->epoch = message->welcome.epoch;
    to->lease_ms = message->welcome.lease_ms;
    to->heartbeat_ms = message->welcome.heartbeat_ms;
    to->instance = message->welcome.instance;
    to->sent_boottime_ms = message->welcome.sent_boottime_ms;
    return to;
}

void take_welcome(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Welcome *from = body;
    (void)c;
    message->welcome.epoch = from->epoch;
    message->welcome.lease_ms = from->lease_ms;
    message->welcome.heartbeat_ms = from->heartbeat_ms;
    message->welcome.instance = from->instance;
    message->welcome.sent_boottime_ms = from->sent_boottime_ms;
}

void *put_heartbeat(struct coder *c, const struct message *message)
{
    const struct message_heartbeat *from = &message->heartbeat;
    Pusher__Heartbeat *to = coder_message(c, PART(heartbeat));
    if (to == NULL)
        return NULL;
    to->epoch = from->epoch;
    to->sent_boottime_ms = from->sent_boottime_ms;
    to->credit = from->credit;
    put_counters(c, from->running, STAGE_COUNT, &to->running, &to->n_running);
    to->awaiting = from->awaiting;
    return to;
}

void take_heartbeat(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Heartbeat *from = body;
    struct message_heartbeat *to = &message->heartbeat;
    to->epoch = from->epoch;
    to->sent_boottime_ms = from->sent_boottime_ms;
    to->credit = from->credit;
    take_counters(c, from->running, from->n_running, to->running, STAGE_COUNT, "running");
    to->awaiting = from->awaiting;
}

void *put_heartbeat_ack(struct coder *c, const struct message *message)
{
    Pusher__HeartbeatAck *to = coder_message(c, PART(heartbeat_ack));
    if (to == NULL)
        return NULL;
    to->epoch = message->heartbeat_ack.epoch;
    to->sent_boottime_ms = message->heartbeat_ack.sent_boottime_ms;
    return to;
}

void take_heartbeat_ack(struct coder *c, const void *body, struct message *message)
{
    const Pusher__HeartbeatAck *from = body;
    (void)c;
    message->heartbeat_ack.epoch = from->epoch;
    message->heartbeat_ack.sent_boottime_ms = from->sent_boottime_ms;
}

void *put_job_offer(struct coder *c, const struct message *message)
{
    const struct message_job *from = &message->job;
    Pusher__JobOffer *to = coder_message(c, PART(job_offer));
    if (to == NULL)
        return NULL;
    to->signed_job =
        put_blob(c, from->signed_job, from->signed_job_size, LIMIT_MESSAGE_BYTES_MAX, "signed job");
    to->sealed_credential = put_blob(c, from->sealed_credential, from->sealed_credential_size,
                                     LIMIT_MESSAGE_BYTES_MAX, "sealed credential");
    return to;
}

void take_job_offer(struct coder *c, const void *body, struct message *message)
{
    const Pusher__JobOffer *from = body;
    struct message_job *to = &message->job;
    take_blob(c, from->signed_job, &to->signed_job, &to->signed_job_size, LIMIT_MESSAGE_BYTES_MAX,
              "signed job");
    take_blob(c, from->sealed_credential, &to->sealed_credential, &to->sealed_credential_size,
              LIMIT_MESSAGE_BYTES_MAX, "sealed credential");
}

static Pusher__LeaseEntry *put_lease_entry(struct coder *c, const struct lease_entry *from)
{
    Pusher__LeaseEntry *to = coder_message(c, PART(lease_entry));
    if (to == NULL)
        return NULL;
    to->target_no = from->target_no;
    to->attempt = from->attempt;
    to->name = put_text(c, from->name, LIMIT_TARGET_NAME_SIZE, "target name");
    return to;
}

void *put_lease(struct coder *c, const struct message *message)
{
    const struct message_lease *from = &message->lease;
    Pusher__Lease *to = coder_message(c, PART(lease));
    uint32_t count = put_row_count(c, from->entry_count, "lease entries");
    Pusher__LeaseEntry **entries = coder_new(c, count, sizeof(Pusher__LeaseEntry *));
    if (to == NULL)
        return NULL;
    to->epoch = from->epoch;
    to->push = put_push(c, &from->push);
    to->generation = from->generation;
    for (uint32_t i = 0; entries != NULL && i < count; i++)
        entries[i] = put_lease_entry(c, &from->entries[i]);
    to->entries = entries;
    to->n_entries = count;
    to->proof = put_blob(c, from->proof, from->proof_size, LIMIT_MESSAGE_BYTES_MAX, "proof");
    to->stop_counter = from->stop_counter;
    return to;
}

void take_lease(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Lease *from = body;
    struct message_lease *to = &message->lease;
    to->epoch = from->epoch;
    take_push(c, from->push, &to->push);
    to->generation = from->generation;
    to->entries =
        take_rows(c, from->n_entries, sizeof *to->entries, &to->entry_count, "lease entries");
    for (uint32_t i = 0; i < to->entry_count; i++) {
        to->entries[i].target_no = from->entries[i]->target_no;
        to->entries[i].attempt = from->entries[i]->attempt;
        take_heap_text(c, from->entries[i]->name, &to->entries[i].name, LIMIT_TARGET_NAME_SIZE,
                       "target name");
    }
    take_blob(c, from->proof, &to->proof, &to->proof_size, LIMIT_MESSAGE_BYTES_MAX, "proof");
    to->stop_counter = from->stop_counter;
}

static Pusher__ResultRow *put_result_row(struct coder *c, const struct result_row *from)
{
    Pusher__ResultRow *to = coder_message(c, PART(result_row));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->generation = from->generation;
    to->target_no = from->target_no;
    to->attempt = from->attempt;
    to->outcome = put_outcome(c, &from->outcome);
    to->output = put_blob(c, from->output, from->output_size, LIMIT_OUTPUT_BYTES, "output");
    return to;
}

void *put_results(struct coder *c, const struct message *message)
{
    const struct message_results *from = &message->results;
    Pusher__Results *to = coder_message(c, PART(results));
    uint32_t count = put_row_count(c, from->row_count, "results");
    Pusher__ResultRow **rows = coder_new(c, count, sizeof(Pusher__ResultRow *));
    if (to == NULL)
        return NULL;
    to->epoch = from->epoch;
    to->sequence = from->sequence;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_result_row(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    return to;
}

void take_results(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Results *from = body;
    struct message_results *to = &message->results;
    to->epoch = from->epoch;
    to->sequence = from->sequence;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "results");
    for (uint32_t i = 0; i < to->row_count; i++) {
        struct result_row *row = &to->rows[i];
        take_push(c, from->rows[i]->push, &row->push);
        row->generation = from->rows[i]->generation;
        row->target_no = from->rows[i]->target_no;
        row->attempt = from->rows[i]->attempt;
        take_outcome(c, from->rows[i]->outcome, &row->outcome);
        take_blob(c, from->rows[i]->output, &row->output, &row->output_size, LIMIT_OUTPUT_BYTES,
                  "output");
    }
}

void *put_results_ack(struct coder *c, const struct message *message)
{
    Pusher__ResultsAck *to = coder_message(c, PART(results_ack));
    if (to == NULL)
        return NULL;
    to->epoch = message->results_ack.epoch;
    to->sequence = message->results_ack.sequence;
    return to;
}

void take_results_ack(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ResultsAck *from = body;
    (void)c;
    message->results_ack.epoch = from->epoch;
    message->results_ack.sequence = from->sequence;
}

void *put_push_ref(struct coder *c, const struct message *message)
{
    Pusher__PushRef *to = coder_message(c, PART(push_ref));
    if (to == NULL)
        return NULL;
    to->epoch = message->push_ref.epoch;
    to->push = put_push(c, &message->push_ref.push);
    to->generation = message->push_ref.generation;
    to->counter = message->push_ref.counter;
    return to;
}

void take_push_ref(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PushRef *from = body;
    message->push_ref.epoch = from->epoch;
    take_push(c, from->push, &message->push_ref.push);
    message->push_ref.generation = from->generation;
    message->push_ref.counter = from->counter;
}
