/* The JSON report, schema_version 1: one object, members in the order push, totals, sites,
 * relays, reasons, targets, a target a line. Totals are known only after the last row, so rows wait
 * as text in an unlinked temporary file. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/report/format_table.h"
#include "common/report/json_values.h"

struct json_state {
    FILE *out;      /* borrowed */
    FILE *rows;     /* owned, unlinked: ",\n{...}" per row */
    uint32_t count; /* rows in it */
    bool wait;
};

static int write_failed(struct err *err)
{
    return err_set_errno(err, errno, "cannot write the report");
}

static void *json_start(const struct report_options *options, struct err *err)
{
    FILE *rows = tmpfile();
    if (rows == NULL) {
        (void)err_set_errno(err, errno, "cannot make a temporary file for the report");
        return NULL;
    }
    struct json_state *state = mem_new(1, sizeof *state);
    *state = (struct json_state){.out = options->out, .rows = rows, .wait = options->wait};
    return state;
}

static int json_row(void *context, const struct report_row *row, struct err *err)
{
    struct json_state *state = context;
    json_t *target = value_row(row);
    int result = fputs(state->count++ == 0 ? "\n" : ",\n", state->rows) < 0 ? -1 : 0;
    if (result == 0)
        result = value_dump(target, state->rows, false);
    json_decref(target);
    return result == 0 ? 0 : write_failed(err);
}

static json_t *push_of(const struct push_summary *push)
{
    json_t *object = value_push(push);
    value_push_kind(object, push);
    return object;
}

static json_t *sites_of(const struct report_fold *fold, bool wait)
{
    json_t *sites = value_array();
    for (uint32_t i = 0; i < fold->site_count; i++) {
        json_t *site = value_object();
        json_t *totals = value_totals(&fold->sites[i].totals, wait);
        value_member(site, "site", value_name(fold->sites[i].name));
        if (json_object_update(site, totals) != 0)
            mem_exhausted();
        json_decref(totals);
        value_element(sites, site);
    }
    return sites;
}

static json_t *relays_of(const struct report_fold *fold, bool wait)
{
    json_t *relays = value_array();
    for (uint32_t i = 0; i < fold->relay_count; i++) {
        json_t *relay = value_object();
        value_member(relay, "relay", value_name(fold->relays[i].name));
        value_member(relay, "site", value_name(fold->relays[i].site));
        value_member(relay, "totals", value_totals(&fold->relays[i].totals, wait));
        value_element(relays, relay);
    }
    return relays;
}

static json_t *reasons_of(const struct report_fold *fold)
{
    json_t *reasons = value_array();
    for (uint32_t i = 0; i < fold->group_count; i++) {
        const struct report_group *group = &fold->groups[i];
        json_t *reason = value_object();
        value_member(reason, "stage", value_word(stage_word(group->stage)));
        value_member(reason, "reason", json_string(reason_word(group->reason)));
        value_member(reason, "count", json_integer(group->count));
        bool known = group->reason == REASON_EXIT_CODE && group->exit_no < REPORT_EXIT_CODES_MAX;
        value_member(reason, "exit_code", known ? json_integer(group->exit_code) : json_null());
        value_element(reasons, reason);
    }
    return reasons;
}

/* Writes `"name": value,` and gives the value back. */
static int write_member(FILE *out, const char *name, json_t *value)
{
    int result = fprintf(out, "\"%s\": ", name) < 0 ? -1 : 0;
    if (result == 0)
        result = value_dump(value, out, false);
    json_decref(value);
    return result == 0 && fputs(",\n", out) >= 0 ? 0 : -1;
}

static int copy_file(FILE *from, FILE *to)
{
    char block[65536];
    size_t got = 0;
    if (fflush(from) != 0 || fseek(from, 0, SEEK_SET) != 0)
        return -1;
    while ((got = fread(block, 1, sizeof block, from)) > 0)
        if (fwrite(block, 1, got, to) != got)
            return -1;
    return ferror(from) ? -1 : 0;
}

static int json_finish(void *context, const struct report_view *view, struct err *err)
{
    struct json_state *state = context;
    FILE *out = state->out;
    if (fputs("{\n\"schema_version\": 1,\n", out) < 0 ||
        write_member(out, "push", push_of(view->push)) != 0 ||
        write_member(out, "totals", value_totals(&view->fold->totals, state->wait)) != 0 ||
        write_member(out, "sites", sites_of(view->fold, state->wait)) != 0 ||
        write_member(out, "relays", relays_of(view->fold, state->wait)) != 0 ||
        write_member(out, "reasons", reasons_of(view->fold)) != 0 ||
        fputs("\"targets\": [", out) < 0 || copy_file(state->rows, out) != 0 ||
        fputs(state->count == 0 ? "]\n}\n" : "\n]\n}\n", out) < 0)
        return write_failed(err);
    return 0;
}

static void json_end(void *context)
{
    struct json_state *state = context;
    (void)fclose(state->rows);
    free(state);
}

const struct report_format report_format_json = {
    .word = "json", .start = json_start, .row = json_row, .finish = json_finish, .end = json_end};
