/* Pushes without their rows. */
#include "common/report/push_json.h"

#include <errno.h>

#include "common/base/mem.h"
#include "common/report/format.h"
#include "common/report/json_values.h"

static json_t *detailed_push(const struct push_summary *push)
{
    char closed[FORMAT_TIME_SIZE];
    json_t *object = value_push(push);
    value_member(object, "generation", json_integer(push->generation));
    value_member(object, "bytes", json_integer((json_int_t)push->package_bytes));
    value_member(object, "closed",
                 push->closed_unix_ms == 0
                     ? json_null()
                     : json_string(format_time(push->closed_unix_ms, closed)));
    value_member(object, "operator_key", value_text(push->operator_key));
    value_member(object, "account", value_text(push->account));
    value_push_kind(object, push);
    return object;
}

static json_t *relays_of(const struct message_status *status)
{
    json_t *relays = value_array();
    for (uint32_t i = 0; i < status->relay_count; i++) {
        const struct relay_row *row = &status->relays[i];
        json_t *relay = value_object();
        json_t *running = value_array();
        for (int stage = 0; stage < STAGE_COUNT; stage++) {
            json_t *one = value_object();
            value_member(one, "stage", json_string(stage_word((enum stage)stage)));
            value_member(one, "count", json_integer(row->running[stage]));
            value_element(running, one);
        }
        value_member(relay, "relay", value_text(row->name));
        value_member(relay, "site", value_text(row->site));
        value_member(relay, "live", json_boolean(row->live));
        value_member(relay, "silent_ms", json_integer((json_int_t)row->silent_ms));
        value_member(relay, "leased", json_integer(row->leased));
        value_member(relay, "running", running);
        value_member(relay, "awaiting", json_integer(row->awaiting));
        value_element(relays, relay);
    }
    return relays;
}

/* Writes the value and gives it back. */
static int write_value(FILE *out, const char *before, json_t *value, const char *after)
{
    int result = fputs(before, out) < 0 ? -1 : value_dump(value, out, false);
    json_decref(value);
    return result == 0 && fputs(after, out) >= 0 ? 0 : -1;
}

int push_json_list(FILE *out, const struct push_summary *pushes, uint32_t count, struct err *err)
{
    int result = fputs("{\n\"schema_version\": 1,\n\"pushes\": [", out) < 0 ? -1 : 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        json_t *entry = value_object();
        value_member(entry, "push", detailed_push(&pushes[i]));
        value_member(entry, "totals", value_totals(&pushes[i].totals, pushes[i].wait));
        result = write_value(out, i == 0 ? "\n" : ",\n", entry, "");
    }
    if (result != 0 || fputs(count == 0 ? "]\n}\n" : "\n]\n}\n", out) < 0)
        return err_set_errno(err, errno, "cannot write the list");
    return 0;
}

static json_t *sites_of(const struct push_part *sites, uint32_t site_count, bool wait)
{
    json_t *array = value_array();
    for (uint32_t i = 0; i < site_count; i++) {
        json_t *site = value_object();
        json_t *totals = value_totals(&sites[i].totals, wait);
        value_member(site, "site", value_text(sites[i].site));
        if (json_object_update(site, totals) != 0)
            mem_exhausted();
        json_decref(totals);
        value_element(array, site);
    }
    return array;
}

int push_json_status(FILE *out, const struct message_status *status, const struct push_part *sites,
                     uint32_t site_count, struct err *err)
{
    const struct push_summary *push = &status->push;
    if (fputs("{\n\"schema_version\": 1,\n", out) < 0 ||
        write_value(out, "\"push\": ", detailed_push(push), ",\n") != 0 ||
        write_value(out, "\"totals\": ", value_totals(&push->totals, push->wait), ",\n") != 0 ||
        (sites != NULL &&
         write_value(out, "\"sites\": ", sites_of(sites, site_count, push->wait), ",\n") != 0) ||
        write_value(out, "\"relays\": ", relays_of(status), "\n}\n") != 0)
        return err_set_errno(err, errno, "cannot write the push");
    return 0;
}
