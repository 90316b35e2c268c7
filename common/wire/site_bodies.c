/* Messages about sites and routing. */
#include <assert.h>

#include "common/model/subnet.h"
#include "common/wire/bodies.h"

static_assert(PUSHER__ROUTE_BY__ROUTE_NEVER_TOUCH == ROUTE_BY_COUNT - 1, "routes");
static_assert(PUSHER__LINT_KIND__LINT_UNCOVERED == LINT_KIND_COUNT - 1, "lints");

static Pusher__Site *put_site(struct coder *c, const struct site *from)
{
    Pusher__Site *to = coder_message(c, PART(site));
    if (to == NULL)
        return NULL;
    to->name = put_text(c, from->name, sizeof from->name, "site");
    put_texts(c, from->subnets, from->subnet_count, LIMIT_SITE_SUBNETS, SUBNET_TEXT_SIZE,
              &to->subnets, &to->n_subnets, "subnet");
    put_texts(c, from->patterns, from->pattern_count, LIMIT_SITE_PATTERNS, LIMIT_TARGET_NAME_SIZE,
              &to->patterns, &to->n_patterns, "pattern");
    to->is_default = from->is_default;
    to->wan_rate = from->wan_rate;
    to->relay_count = from->relay_count;
    to->live_count = from->live_count;
    to->sent_bytes = from->sent_bytes;
    return to;
}

static void take_site(struct coder *c, const Pusher__Site *from, struct site *to)
{
    if (from == NULL) {
        coder_fail(c, "site", "missing");
        return;
    }
    take_text(c, from->name, to->name, sizeof to->name, "site");
    take_texts(c, from->subnets, from->n_subnets, LIMIT_SITE_SUBNETS, SUBNET_TEXT_SIZE,
               &to->subnets, &to->subnet_count, "subnet");
    take_texts(c, from->patterns, from->n_patterns, LIMIT_SITE_PATTERNS, LIMIT_TARGET_NAME_SIZE,
               &to->patterns, &to->pattern_count, "pattern");
    to->is_default = from->is_default != 0;
    to->wan_rate = from->wan_rate;
    to->relay_count = from->relay_count;
    to->live_count = from->live_count;
    to->sent_bytes = from->sent_bytes;
}

void *put_site_put(struct coder *c, const struct message *message)
{
    Pusher__SitePut *to = coder_message(c, PART(site_put));
    if (to == NULL)
        return NULL;
    to->site = put_site(c, &message->site_put.site);
    to->add_only = message->site_put.add_only;
    return to;
}

void take_site_put(struct coder *c, const void *body, struct message *message)
{
    const Pusher__SitePut *from = body;
    take_site(c, from->site, &message->site_put.site);
    message->site_put.add_only = from->add_only != 0;
}

void *put_site_ref(struct coder *c, const struct message *message)
{
    const struct message_site_ref *from = &message->site_ref;
    Pusher__SiteRef *to = coder_message(c, PART(site_ref));
    if (to != NULL)
        to->site = put_text(c, from->site, sizeof from->site, "site");
    return to;
}

void take_site_ref(struct coder *c, const void *body, struct message *message)
{
    const Pusher__SiteRef *from = body;
    struct message_site_ref *to = &message->site_ref;
    take_text(c, from->site, to->site, sizeof to->site, "site");
}

void *put_sites_get(struct coder *c, const struct message *message)
{
    Pusher__SitesGet *to = coder_message(c, PART(sites_get));
    if (to != NULL)
        to->first = message->sites_get.first;
    return to;
}

void take_sites_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__SitesGet *from = body;
    (void)c;
    message->sites_get.first = from->first;
}

void *put_sites(struct coder *c, const struct message *message)
{
    const struct message_sites *from = &message->sites;
    Pusher__Sites *to = coder_message(c, PART(sites));
    uint32_t count = put_row_count(c, from->row_count, "sites");
    Pusher__Site **rows = coder_new(c, count, sizeof(Pusher__Site *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_site(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    to->next = from->next;
    return to;
}

void take_sites(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Sites *from = body;
    struct message_sites *to = &message->sites;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "sites");
    for (uint32_t i = 0; i < to->row_count; i++)
        take_site(c, from->rows[i], &to->rows[i]);
    to->next = from->next;
}

void *put_routes_get(struct coder *c, const struct message *message)
{
    const struct message_routes_get *from = &message->routes_get;
    Pusher__RoutesGet *to = coder_message(c, PART(routes_get));
    if (to == NULL)
        return NULL;
    put_texts(c, from->names, from->name_count, LIMIT_ROWS_PER_MESSAGE, LIMIT_TARGET_NAME_SIZE,
              &to->names, &to->n_names, "target name");
    to->site = put_text(c, from->site, sizeof from->site, "site");
    return to;
}

void take_routes_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__RoutesGet *from = body;
    struct message_routes_get *to = &message->routes_get;
    take_texts(c, from->names, from->n_names, LIMIT_ROWS_PER_MESSAGE, LIMIT_TARGET_NAME_SIZE,
               &to->names, &to->name_count, "target name");
    take_text(c, from->site, to->site, sizeof to->site, "site");
}

static Pusher__RouteRow *put_route_row(struct coder *c, const struct route_row *from)
{
    Pusher__RouteRow *to = coder_message(c, PART(route_row));
    if (to == NULL)
        return NULL;
    to->target = put_text(c, from->target, LIMIT_TARGET_NAME_SIZE, "target name");
    to->by = (Pusher__RouteBy)check_enum(c, (int64_t)from->by, ROUTE_BY_COUNT, "route");
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->address = put_text(c, from->address, sizeof from->address, "address");
    to->match = put_text(c, from->match, sizeof from->match, "match");
    to->reason = put_reason(c, from->reason);
    return to;
}

void *put_routes(struct coder *c, const struct message *message)
{
    const struct message_routes *from = &message->routes;
    Pusher__Routes *to = coder_message(c, PART(routes));
    uint32_t count = put_row_count(c, from->row_count, "routes");
    Pusher__RouteRow **rows = coder_new(c, count, sizeof(Pusher__RouteRow *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_route_row(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    return to;
}

void take_routes(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Routes *from = body;
    struct message_routes *to = &message->routes;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "routes");
    for (uint32_t i = 0; i < to->row_count; i++) {
        const Pusher__RouteRow *packed = from->rows[i];
        struct route_row *row = &to->rows[i];
        take_heap_text(c, packed->target, &row->target, LIMIT_TARGET_NAME_SIZE, "target name");
        row->by = (enum route_by)check_enum(c, (int64_t)packed->by, ROUTE_BY_COUNT, "route");
        take_text(c, packed->site, row->site, sizeof row->site, "site");
        take_text(c, packed->address, row->address, sizeof row->address, "address");
        take_text(c, packed->match, row->match, sizeof row->match, "match");
        row->reason = take_reason(c, packed->reason);
    }
}

static Pusher__LintRow *put_lint_row(struct coder *c, const struct lint_row *from)
{
    Pusher__LintRow *to = coder_message(c, PART(lint_row));
    if (to == NULL)
        return NULL;
    to->kind = (Pusher__LintKind)check_enum(c, (int64_t)from->kind, LINT_KIND_COUNT, "lint");
    to->error = from->error;
    to->text = put_raw_text(c, from->text, sizeof from->text, "sentence");
    return to;
}

void *put_lint(struct coder *c, const struct message *message)
{
    const struct message_lint *from = &message->lint;
    Pusher__Lint *to = coder_message(c, PART(lint));
    uint32_t count = put_row_count(c, from->row_count, "remarks");
    Pusher__LintRow **rows = coder_new(c, count, sizeof(Pusher__LintRow *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_lint_row(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    to->more = from->more;
    return to;
}

void take_lint(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Lint *from = body;
    struct message_lint *to = &message->lint;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "remarks");
    for (uint32_t i = 0; i < to->row_count; i++) {
        const Pusher__LintRow *packed = from->rows[i];
        struct lint_row *row = &to->rows[i];
        row->kind = (enum lint_kind)check_enum(c, (int64_t)packed->kind, LINT_KIND_COUNT, "lint");
        row->error = packed->error != 0;
        take_raw_text(c, packed->text, row->text, sizeof row->text, "sentence");
    }
    to->more = from->more != 0;
}
