/* Sites without pushes. */
#include "common/report/site_json.h"

#include <errno.h>

#include "common/report/json_values.h"

const char *route_by_word(enum route_by by)
{
    switch (by) {
    case ROUTE_NOWHERE:
        return "nowhere";
    case ROUTE_UNRESOLVED:
        return "unresolved";
    case ROUTE_BY_SITE:
        return "site";
    case ROUTE_BY_SUBNET:
        return "subnet";
    case ROUTE_BY_PATTERN:
        return "pattern";
    case ROUTE_BY_DEFAULT:
        return "default";
    case ROUTE_NEVER_TOUCH:
        return "never_touch";
    case ROUTE_BY_COUNT:
        break;
    }
    return "?";
}

const char *lint_kind_word(enum lint_kind kind)
{
    switch (kind) {
    case LINT_OVERLAP:
        return "overlap";
    case LINT_GAP:
        return "gap";
    case LINT_NO_RELAY:
        return "no_relay";
    case LINT_UNCOVERED:
        return "uncovered";
    case LINT_KIND_COUNT:
        break;
    }
    return "?";
}

static json_t *texts_of(char *const *texts, uint32_t count)
{
    json_t *array = value_array();
    for (uint32_t i = 0; i < count; i++)
        value_element(array, value_text(texts[i]));
    return array;
}

/* Writes the value and gives it back. */
static int write_value(FILE *out, const char *before, json_t *value)
{
    int result = fputs(before, out) < 0 ? -1 : value_dump(value, out, false);
    json_decref(value);
    return result;
}

static int written(int result, struct err *err)
{
    return result == 0 ? 0 : err_set_errno(err, errno, "cannot write the list");
}

int site_json_list(FILE *out, const struct site *sites, uint32_t count, struct err *err)
{
    int result = fputs("{\n\"schema_version\": 1,\n\"sites\": [", out) < 0 ? -1 : 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        json_t *site = value_object();
        value_member(site, "site", value_text(sites[i].name));
        value_member(site, "subnets", texts_of(sites[i].subnets, sites[i].subnet_count));
        value_member(site, "patterns", texts_of(sites[i].patterns, sites[i].pattern_count));
        value_member(site, "default", json_boolean(sites[i].is_default));
        value_member(site, "wan_rate", json_integer((json_int_t)sites[i].wan_rate));
        value_member(site, "relays", json_integer(sites[i].relay_count));
        value_member(site, "live", json_integer(sites[i].live_count));
        value_member(site, "package_bytes_sent", json_integer((json_int_t)sites[i].sent_bytes));
        result = write_value(out, i == 0 ? "\n" : ",\n", site);
    }
    if (result == 0 && fputs(count == 0 ? "]\n}\n" : "\n]\n}\n", out) < 0)
        result = -1;
    return written(result, err);
}

static json_t *value_route(const struct route_row *row)
{
    json_t *route = value_object();
    value_member(route, "target", value_text(row->target));
    value_member(route, "address", value_text(row->address));
    value_member(route, "site", value_text(row->site));
    value_member(route, "by", value_word(route_by_word(row->by)));
    value_member(route, "match", value_text(row->match));
    value_member(route, "reason",
                 row->reason != REASON_NONE ? value_word(reason_word(row->reason)) : json_null());
    return route;
}

int route_json_begin(FILE *out, struct err *err)
{
    return written(fputs("{\n\"schema_version\": 1,\n\"routes\": [", out) < 0 ? -1 : 0, err);
}

int route_json_rows(FILE *out, const struct route_row *rows, uint32_t count, bool first,
                    struct err *err)
{
    int result = 0;
    for (uint32_t i = 0; i < count && result == 0; i++)
        result = write_value(out, first && i == 0 ? "\n" : ",\n", value_route(&rows[i]));
    return written(result, err);
}

int route_json_end(FILE *out, struct err *err)
{
    return written(fputs("\n]\n}\n", out) < 0 ? -1 : 0, err);
}

int lint_json(FILE *out, const struct message_lint *lint, const struct route_row *unmapped,
              uint32_t unmapped_count, struct err *err)
{
    json_t *all = value_object();
    json_t *findings = value_array();
    json_t *routes = value_array();
    for (uint32_t i = 0; i < lint->row_count; i++) {
        json_t *finding = value_object();
        value_member(finding, "kind", value_word(lint_kind_word(lint->rows[i].kind)));
        value_member(finding, "error", json_boolean(lint->rows[i].error));
        value_member(finding, "text", value_text(lint->rows[i].text));
        value_element(findings, finding);
    }
    for (uint32_t i = 0; i < unmapped_count; i++)
        value_element(routes, value_route(&unmapped[i]));
    value_member(all, "schema_version", json_integer(1));
    value_member(all, "findings", findings);
    value_member(all, "more", json_boolean(lint->more));
    value_member(all, "unmapped", routes);
    int result = write_value(out, "", all);
    if (result == 0 && fputc('\n', out) == EOF)
        result = -1;
    return written(result, err);
}
