/* Requests of the CLI: looking around; hands packages, pushes and reports on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"

#define LIST_MAX 100U /* pushes in one answer */

/* ---- answers ---- */

void control_ok(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                bool existing)
{
    struct message answer = {.kind = MESSAGE_OK, .request = request, .ok = {existing}};
    shell_send(c, c->control_link, peer, &answer);
}

void control_fail(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                  const struct err *err)
{
    struct message answer = {.kind = MESSAGE_FAIL, .request = request};
    answer.fail.code = err->code;
    (void)text_copy(answer.fail.text, sizeof answer.fail.text, err->text);
    shell_send(c, c->control_link, peer, &answer);
    shell_store_failed(c, err);
}

/* ---- looking ---- */

int control_summary(struct coordinator *c, uint64_t key, struct push_summary *out, struct err *err)
{
    if (store_summary(c->store, key, out, err) != 0)
        return -1;
    /* Leases live in the core alone: what a relay holds is queued in the store. */
    uint32_t leased = dispatch_push_leased(c->core, key);
    uint32_t *by_state = out->totals.by_state;
    if (leased > by_state[TARGET_QUEUED])
        leased = by_state[TARGET_QUEUED];
    by_state[TARGET_QUEUED] -= leased;
    by_state[TARGET_RUNNING] += leased;
    return 0;
}

static void fill_relay_row(const struct coordinator *c, uint16_t relay, struct relay_row *row)
{
    const struct store_relay *stored = &c->relays[relay].stored;
    struct dispatch_relay_view view = dispatch_relay_look(c->core, relay);
    (void)text_copy(row->name, sizeof row->name, stored->name);
    (void)text_copy(row->site, sizeof row->site, stored->site_name);
    memcpy(row->seal_key, stored->seal_key, sizeof row->seal_key);
    memcpy(row->curve_key, stored->key, sizeof row->curve_key);
    row->live = view.live;
    row->silent_ms = clock_boottime_ms() - (view.heard ? view.heard_ms : c->started_ms);
    row->leased = view.leased;
    memcpy(row->running, view.running, sizeof row->running);
    row->awaiting = view.awaiting;
    row->standing = stored->standing;
    row->certificate_until_unix_s = stored->until_unix_s;
    row->certificate_serial = stored->serial;
}

/* A page of the relays: in private mode the one that is admitted, else all. */
static void relays_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    struct message answer = {.kind = MESSAGE_RELAYS, .request = message->request};
    struct message_relays *relays = &answer.relays;
    uint32_t number = message->relays_get.first;
    relays->rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *relays->rows);
    for (; number < c->relay_count && relays->row_count < LIMIT_ROWS_PER_MESSAGE; number++)
        if (trust_has_sites(c) || c->relays[number].admitted)
            fill_relay_row(c, (uint16_t)number, &relays->rows[relays->row_count++]);
    relays->next = number < c->relay_count ? number : 0;
    shell_send(c, c->control_link, peer, &answer);
    message_release(&answer);
}

/* Rows for STATUS, to be freed: of a thousand relays those that hold something, then the other live
 * ones, as many as one message takes. */
static struct relay_row *working_rows(const struct coordinator *c, uint32_t *count)
{
    struct relay_row *rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *rows);
    *count = 0;
    for (int idle = 0; idle < 2; idle++) {
        for (uint16_t i = 0; i < c->relay_count && *count < LIMIT_ROWS_PER_MESSAGE; i++) {
            struct dispatch_relay_view view = dispatch_relay_look(c->core, i);
            bool shown = trust_has_sites(c) ? view.live || view.leased > 0 : c->relays[i].admitted;
            if (shown && (view.leased == 0) == (idle == 1))
                fill_relay_row(c, i, &rows[(*count)++]);
        }
    }
    return rows;
}

static void status_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message)
{
    struct message answer = {.kind = MESSAGE_STATUS, .request = message->request};
    struct err err = {0};
    uint64_t key = 0;
    if (store_find(c->store, &message->status_get, &key, &err) != 0 ||
        control_summary(c, key, &answer.status.push, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    answer.status.relays = working_rows(c, &answer.status.relay_count);
    shell_send(c, c->control_link, peer, &answer);
    message_release(&answer);
}

static void list_get(struct coordinator *c, const struct link_peer *peer,
                     const struct message *message)
{
    struct message answer = {.kind = MESSAGE_LIST, .request = message->request};
    struct err err = {0};
    answer.list.pushes = mem_new(LIST_MAX, sizeof *answer.list.pushes);
    int result = store_list(c->store, answer.list.pushes, LIST_MAX, &answer.list.push_count, &err);
    for (uint32_t i = 0; result == 0 && i < answer.list.push_count; i++) {
        uint64_t key = 0;
        result = store_find_id(c->store, &answer.list.pushes[i].push, &key, &err);
        if (result == 0)
            result = control_summary(c, key, &answer.list.pushes[i], &err);
    }
    if (result == 0)
        shell_send(c, c->control_link, peer, &answer);
    else
        control_fail(c, peer, message->request, &err);
    message_release(&answer);
}

/* ---- dispatch of requests ---- */

typedef void control_handler(struct coordinator *c, const struct link_peer *peer,
                             const struct message *message);

static control_handler *const handlers[MESSAGE_KIND_COUNT] = {
    [MESSAGE_PACKAGE_OFFER] = control_package_offer,
    [MESSAGE_PACKAGE_DATA] = control_package_data,
    [MESSAGE_PACKAGES_GET] = control_packages_get,
    [MESSAGE_PACKAGE_RM] = control_package_rm,
    [MESSAGE_PACKAGE_VERIFY] = control_package_verify,
    [MESSAGE_PUSH_BEGIN] = control_push_begin,
    [MESSAGE_PUSH_TARGETS] = control_push_targets,
    [MESSAGE_PUSH_COMMIT] = control_push_commit,
    [MESSAGE_PUSH_STOP] = control_push_stop,
    [MESSAGE_RELAYS_GET] = relays_get,
    [MESSAGE_STATUS_GET] = status_get,
    [MESSAGE_REPORT_GET] = control_report_get,
    [MESSAGE_LIST_GET] = list_get,
    [MESSAGE_JOB_GET] = control_job_get,
    [MESSAGE_SITE_PUT] = control_site_put,
    [MESSAGE_SITE_RM] = control_site_rm,
    [MESSAGE_SITES_GET] = control_sites_get,
    [MESSAGE_ROUTES_GET] = route_ask,
    [MESSAGE_LINT_GET] = control_lint_get,
    [MESSAGE_PARTS_GET] = control_parts_get,
    [MESSAGE_TOKEN_PUT] = control_token_put,
    [MESSAGE_RELAY_SET] = control_relay_set,
    [MESSAGE_OBJECT] = control_object,
    [MESSAGE_OBJECTS_GET] = control_objects_get,
    [MESSAGE_CREDENTIAL_RM] = control_credential_rm,
    [MESSAGE_PUSH_CREDENTIALS] = control_push_credentials,
};

/* Requests that would begin something that takes space. */
static bool begins_work(enum message_kind kind)
{
    return kind == MESSAGE_PACKAGE_OFFER || kind == MESSAGE_PUSH_BEGIN;
}

static bool refuse_when_full(struct coordinator *c, const struct link_peer *peer,
                             const struct message *message)
{
    struct err err = {0};
    if (!begins_work(message->kind) || reserve_look(c->reserve))
        return false;
    (void)err_set(&err, ERR_NO_SPACE,
                  "the disk of %s is nearly full: free space there; pushes that are open go on",
                  c->options.state);
    control_fail(c, peer, message->request, &err);
    return true;
}

void control_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                      size_t size)
{
    struct coordinator *c = context;
    struct message message;
    struct err err = {0};
    if (c->stopping)
        return;
    if (wire_decode(bytes, size, &message, &err) != 0) {
        log_warning("uid %u: %s", (unsigned)peer->uid, err.text);
        control_fail(c, peer, 0, &err);
        return;
    }
    log_debug("uid %u: %s", (unsigned)peer->uid, message_kind_word(message.kind));
    if (refuse_when_full(c, peer, &message)) {
        log_warning("the disk is nearly full: %s refused", message_kind_word(message.kind));
    } else if (handlers[message.kind] != NULL) {
        handlers[message.kind](c, peer, &message);
    } else {
        (void)err_set(&err, ERR_PROTOCOL, "%s is no request", message_kind_word(message.kind));
        control_fail(c, peer, message.request, &err);
    }
    message_release(&message);
}
