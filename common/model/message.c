/* Freeing messages, naming kinds, counting totals. */
#include "common/model/message.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[MESSAGE_KIND_COUNT] = {
    [MESSAGE_NONE] = "none",
    [MESSAGE_HELLO] = "hello",
    [MESSAGE_HEARTBEAT] = "heartbeat",
    [MESSAGE_RESULTS] = "results",
    [MESSAGE_ENROLL] = "enroll",
    [MESSAGE_PERMIT_GET] = "permit_get",
    [MESSAGE_WELCOME] = "welcome",
    [MESSAGE_HEARTBEAT_ACK] = "heartbeat_ack",
    [MESSAGE_JOB] = "job",
    [MESSAGE_LEASE] = "lease",
    [MESSAGE_RESULTS_ACK] = "results_ack",
    [MESSAGE_STOP] = "stop",
    [MESSAGE_CLOSE] = "close",
    [MESSAGE_ENROLLED] = "enrolled",
    [MESSAGE_PEER] = "peer",
    [MESSAGE_PERMIT] = "permit",
    [MESSAGE_OBJECT] = "object",
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
    [MESSAGE_OBJECTS_GET] = "objects_get",
    [MESSAGE_SITE_PUT] = "site_put",
    [MESSAGE_SITE_RM] = "site_rm",
    [MESSAGE_SITES_GET] = "sites_get",
    [MESSAGE_ROUTES_GET] = "routes_get",
    [MESSAGE_LINT_GET] = "lint_get",
    [MESSAGE_TOKEN_PUT] = "token_put",
    [MESSAGE_RELAY_SET] = "relay_set",
    [MESSAGE_CREDENTIAL_RM] = "credential_rm",
    [MESSAGE_PUSH_CREDENTIALS] = "push_credentials",
    [MESSAGE_JOB_GET] = "job_get",
    [MESSAGE_PARTS_GET] = "parts_get",
    [MESSAGE_PACKAGES_GET] = "packages_get",
    [MESSAGE_PACKAGE_RM] = "package_rm",
    [MESSAGE_PACKAGE_VERIFY] = "package_verify",
    [MESSAGE_OK] = "ok",
    [MESSAGE_FAIL] = "fail",
    [MESSAGE_PACKAGE_WANT] = "package_want",
    [MESSAGE_RELAYS] = "relays",
    [MESSAGE_STATUS] = "status",
    [MESSAGE_REPORT_ROWS] = "report_rows",
    [MESSAGE_REPORT_END] = "report_end",
    [MESSAGE_LIST] = "list",
    [MESSAGE_OBJECTS] = "objects",
    [MESSAGE_SITES] = "sites",
    [MESSAGE_ROUTES] = "routes",
    [MESSAGE_LINT] = "lint",
    [MESSAGE_TOKEN] = "token",
    [MESSAGE_PACKAGES] = "packages",
    [MESSAGE_PARTS] = "parts",
};

const char *message_kind_word(enum message_kind kind)
{
    return kind < MESSAGE_KIND_COUNT ? words[kind] : "?";
}

static const char *const standing_words[RELAY_STANDING_COUNT] = {
    [RELAY_PENDING] = "pending", [RELAY_ACTIVE] = "active", [RELAY_DRAINING] = "draining",
    [RELAY_REVOKED] = "revoked", [RELAY_CLONED] = "cloned",
};

const char *relay_standing_word(enum relay_standing standing)
{
    return standing < RELAY_STANDING_COUNT ? standing_words[standing] : "?";
}

static void release_texts(char **texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void release_lease(struct message_lease *lease)
{
    for (uint32_t i = 0; i < lease->entry_count; i++)
        free(lease->entries[i].name);
    free(lease->entries);
    free(lease->proof);
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

static void release_site(struct site *site)
{
    release_texts(site->subnets, site->subnet_count);
    release_texts(site->patterns, site->pattern_count);
}

static void release_sites(struct message_sites *sites)
{
    for (uint32_t i = 0; i < sites->row_count; i++)
        release_site(&sites->rows[i]);
    free(sites->rows);
}

static void release_routes(struct message_routes *routes)
{
    for (uint32_t i = 0; i < routes->row_count; i++)
        free(routes->rows[i].target);
    free(routes->rows);
}

static void release_objects(struct message_objects *objects)
{
    for (uint32_t i = 0; i < objects->row_count; i++)
        free(objects->rows[i].bytes);
    free(objects->rows);
}

static void release_credentials(struct message_push_credentials *credentials)
{
    for (uint32_t i = 0; i < credentials->row_count; i++)
        free(credentials->rows[i].bytes);
    free(credentials->rows);
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
        release_texts(message->push_targets.names, message->push_targets.name_count);
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
    case MESSAGE_PEER:
        free(message->peer.certificate);
        break;
    case MESSAGE_OBJECT:
        free(message->object.bytes);
        break;
    case MESSAGE_OBJECTS:
        release_objects(&message->objects);
        break;
    case MESSAGE_SITE_PUT:
        release_site(&message->site_put.site);
        break;
    case MESSAGE_SITES:
        release_sites(&message->sites);
        break;
    case MESSAGE_ROUTES_GET:
        release_texts(message->routes_get.names, message->routes_get.name_count);
        break;
    case MESSAGE_ROUTES:
        release_routes(&message->routes);
        break;
    case MESSAGE_LINT:
        free(message->lint.rows);
        break;
    case MESSAGE_PUSH_CREDENTIALS:
        release_credentials(&message->push_credentials);
        break;
    case MESSAGE_PACKAGES:
        free(message->packages.rows);
        break;
    case MESSAGE_PARTS:
        free(message->parts.rows);
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
    case MESSAGE_ENROLL:
    case MESSAGE_PERMIT_GET:
    case MESSAGE_ENROLLED:
    case MESSAGE_PERMIT:
    case MESSAGE_OBJECTS_GET:
    case MESSAGE_SITE_RM:
    case MESSAGE_SITES_GET:
    case MESSAGE_LINT_GET:
    case MESSAGE_TOKEN_PUT:
    case MESSAGE_RELAY_SET:
    case MESSAGE_CREDENTIAL_RM:
    case MESSAGE_JOB_GET:
    case MESSAGE_PARTS_GET:
    case MESSAGE_PACKAGES_GET:
    case MESSAGE_PACKAGE_RM:
    case MESSAGE_PACKAGE_VERIFY:
    case MESSAGE_TOKEN:
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
