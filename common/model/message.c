/* Freeing messages, naming kinds, counting totals. */
#include "common/model/message.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[MESSAGE_KIND_COUNT] = {
    [MESSAGE_NONE] = "none",
    [MESSAGE_HELLO] = "hello",
    [MESSAGE_HEARTBEAT] = "heartbeat",
    [MESSAGE_RESULTS] = "results",
    [MESSAGE_WELCOME] = "welcome",
    [MESSAGE_HEARTBEAT_ACK] = "heartbeat_ack",
    [MESSAGE_JOB] = "job",
    [MESSAGE_LEASE] = "lease",
    [MESSAGE_RESULTS_ACK] = "results_ack",
    [MESSAGE_STOP] = "stop",
    [MESSAGE_CLOSE] = "close",
    [MESSAGE_CHUNK_REQUEST] = "chunk_request",
    [MESSAGE_CHUNK] = "chunk",
    [MESSAGE_PACKAGE_OFFER] = "package_offer",
    [MESSAGE_PACKAGE_DATA] = "package_data",
    [MESSAGE_PUSH_BEGIN] = "push_begin",
    [MESSAGE_PUSH_TARGETS] = "push_targets",
    [MESSAGE_PUSH_COMMIT] = "push_commit",
    [MESSAGE_PUSH_STOP] = "push_stop",
    [MESSAGE_RELAYS_GET] = "relays_get",
    [MESSAGE_STATUS_GET] = "status_get",
    [MESSAGE_REPORT_GET] = "report_get",
    [MESSAGE_LIST_GET] = "list_get",
    [MESSAGE_OK] = "ok",
    [MESSAGE_FAIL] = "fail",
    [MESSAGE_PACKAGE_WANT] = "package_want",
    [MESSAGE_RELAYS] = "relays",
    [MESSAGE_STATUS] = "status",
    [MESSAGE_REPORT_ROWS] = "report_rows",
    [MESSAGE_REPORT_END] = "report_end",
    [MESSAGE_LIST] = "list",
};

const char *message_kind_word(enum message_kind kind)
{
    return kind < MESSAGE_KIND_COUNT ? words[kind] : "?";
}

static void release_lease(struct message_lease *lease)
{
    for (uint32_t i = 0; i < lease->entry_count; i++)
        free(lease->entries[i].name);
    free(lease->entries);
    free(lease->proof);
}

static void release_names(struct message_push_targets *targets)
{
    for (uint32_t i = 0; i < targets->name_count; i++)
        free(targets->names[i]);
    free(targets->names);
}

static void release_results(struct message_results *results)
{
    for (uint32_t i = 0; i < results->row_count; i++)
        free(results->rows[i].output);
    free(results->rows);
}

static void release_report(struct message_report_rows *report)
{
    for (uint32_t i = 0; i < report->row_count; i++) {
        free(report->rows[i].target);
        free(report->rows[i].output);
    }
    free(report->rows);
}

void message_release(struct message *message)
{
    switch (message->kind) {
    case MESSAGE_JOB:
        free(message->job.signed_job);
        free(message->job.sealed_credential);
        break;
    case MESSAGE_LEASE:
        release_lease(&message->lease);
        break;
    case MESSAGE_RESULTS:
        release_results(&message->results);
        break;
    case MESSAGE_CHUNK:
        free(message->chunk.data);
        break;
    case MESSAGE_PACKAGE_DATA:
        free(message->package_data.data);
        break;
    case MESSAGE_PUSH_TARGETS:
        release_names(&message->push_targets);
        break;
    case MESSAGE_PUSH_COMMIT:
        free(message->push_commit.signed_job);
        free(message->push_commit.sealed_credential);
        break;
    case MESSAGE_RELAYS:
        free(message->relays.rows);
        break;
    case MESSAGE_STATUS:
        free(message->status.relays);
        break;
    case MESSAGE_REPORT_ROWS:
        release_report(&message->report_rows);
        break;
    case MESSAGE_LIST:
        free(message->list.pushes);
        break;
    case MESSAGE_NONE:
    case MESSAGE_HELLO:
    case MESSAGE_HEARTBEAT:
    case MESSAGE_WELCOME:
    case MESSAGE_HEARTBEAT_ACK:
    case MESSAGE_RESULTS_ACK:
    case MESSAGE_STOP:
    case MESSAGE_CLOSE:
    case MESSAGE_CHUNK_REQUEST:
    case MESSAGE_PACKAGE_OFFER:
    case MESSAGE_PUSH_BEGIN:
    case MESSAGE_PUSH_STOP:
    case MESSAGE_RELAYS_GET:
    case MESSAGE_STATUS_GET:
    case MESSAGE_REPORT_GET:
    case MESSAGE_LIST_GET:
    case MESSAGE_OK:
    case MESSAGE_FAIL:
    case MESSAGE_PACKAGE_WANT:
    case MESSAGE_REPORT_END:
    case MESSAGE_KIND_COUNT:
        break;
    }
    memset(message, 0, sizeof *message);
}

uint32_t totals_submitted(const struct totals *totals)
{
    uint32_t sum = 0;
    for (int state = 0; state < TARGET_STATE_COUNT; state++)
        sum += totals->by_state[state];
    return sum;
}

uint32_t totals_pending(const struct totals *totals, bool wait)
{
    return totals->by_state[TARGET_QUEUED] + totals->by_state[TARGET_RUNNING] +
           (wait ? totals->by_state[TARGET_SCHEDULED] : 0);
}

uint32_t totals_succeeded(const struct totals *totals, bool wait)
{
    return totals->by_state[TARGET_SUCCEEDED] + (wait ? 0 : totals->by_state[TARGET_SCHEDULED]);
}
