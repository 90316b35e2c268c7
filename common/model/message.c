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

static void free_job(struct message *message)
{
    free(message->job.signed_job);
    free(message->job.sealed_credential);
}

static void free_lease(struct message *message)
{
    release_lease(&message->lease);
}

static void free_results(struct message *message)
{
    release_results(&message->results);
}

static void free_chunk(struct message *message)
{
    free(message->chunk.data);
}

static void free_package_data(struct message *message)
{
    free(message->package_data.data);
}

static void free_push_targets(struct message *message)
{
    release_texts(message->push_targets.names, message->push_targets.name_count);
}

static void free_push_commit(struct message *message)
{
    free(message->push_commit.signed_job);
    free(message->push_commit.sealed_credential);
}

static void free_relays(struct message *message)
{
    free(message->relays.rows);
}

static void free_status(struct message *message)
{
    free(message->status.relays);
}

static void free_report_rows(struct message *message)
{
    release_report(&message->report_rows);
}

static void free_list(struct message *message)
{
    free(message->list.pushes);
}

static void free_peer(struct message *message)
{
    free(message->peer.certificate);
}

static void free_object(struct message *message)
{
    free(message->object.bytes);
}

static void free_objects(struct message *message)
{
    release_objects(&message->objects);
}

static void free_site_put(struct message *message)
{
    release_site(&message->site_put.site);
}

static void free_sites(struct message *message)
{
    release_sites(&message->sites);
}

static void free_routes_get(struct message *message)
{
    release_texts(message->routes_get.names, message->routes_get.name_count);
}

static void free_routes(struct message *message)
{
    release_routes(&message->routes);
}

static void free_lint(struct message *message)
{
    free(message->lint.rows);
}

static void free_push_credentials(struct message *message)
{
    release_credentials(&message->push_credentials);
}

static void free_packages(struct message *message)
{
    free(message->packages.rows);
}

static void free_parts(struct message *message)
{
    free(message->parts.rows);
}

/* Kinds that own memory. */
static void (*const owners[MESSAGE_KIND_COUNT])(struct message *message) = {
    [MESSAGE_JOB] = free_job,
    [MESSAGE_LEASE] = free_lease,
    [MESSAGE_RESULTS] = free_results,
    [MESSAGE_CHUNK] = free_chunk,
    [MESSAGE_PACKAGE_DATA] = free_package_data,
    [MESSAGE_PUSH_TARGETS] = free_push_targets,
    [MESSAGE_PUSH_COMMIT] = free_push_commit,
    [MESSAGE_RELAYS] = free_relays,
    [MESSAGE_STATUS] = free_status,
    [MESSAGE_REPORT_ROWS] = free_report_rows,
    [MESSAGE_LIST] = free_list,
    [MESSAGE_PEER] = free_peer,
    [MESSAGE_OBJECT] = free_object,
    [MESSAGE_OBJECTS] = free_objects,
    [MESSAGE_SITE_PUT] = free_site_put,
    [MESSAGE_SITES] = free_sites,
    [MESSAGE_ROUTES_GET] = free_routes_get,
    [MESSAGE_ROUTES] = free_routes,
    [MESSAGE_LINT] = free_lint,
    [MESSAGE_PUSH_CREDENTIALS] = free_push_credentials,
    [MESSAGE_PACKAGES] = free_packages,
    [MESSAGE_PARTS] = free_parts,
};

void message_release(struct message *message)
{
    if ((unsigned)message->kind < MESSAGE_KIND_COUNT && owners[message->kind] != NULL)
        owners[message->kind](message);
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
