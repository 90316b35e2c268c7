/* The JSON report, schema_version 1: one object, members in the order push, totals, sites,
 * reasons, targets, a target a line. Totals are known only after the last row, so rows wait as
 * text in an unlinked temporary file. Times are RFC 3339 UTC, durations integer milliseconds,
 * sizes integer bytes; what is not known is null. Everything outside ASCII is written as an
 * escape, so that the text is harmless on any terminal. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/format_table.h"

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII)
#define ESCAPED_SIZE 2048 /* longest text of a row, each byte as \xNN */

struct json_state {
    FILE *out;      /* borrowed */
    FILE *rows;     /* owned, unlinked: ",\n{...}" per row */
    uint32_t count; /* rows in it */
    bool wait;
};

/* A JSON string; text that is no UTF-8 has its bad bytes escaped. "" becomes null. */
static json_t *text_or_null(const char *text)
{
    char escaped[ESCAPED_SIZE];
    if (text == NULL || *text == '\0')
        return json_null();
    json_t *plain = json_string(text);
    return plain != NULL ? plain : json_string(text_printable(escaped, sizeof escaped, text));
}

/* "-" stands for none in the model's words. */
static json_t *word_or_null(const char *word)
{
    return strcmp(word, "-") == 0 ? json_null() : json_string(word);
}

/* Takes the value. A failure to make or add it shows when the object is dumped with a member
 * missing, so memory exhaustion ends the process here instead. */
static void member(json_t *object, const char *name, json_t *value)
{
    if (value == NULL || json_object_set_new(object, name, value) != 0)
        mem_exhausted();
}

static void element(json_t *array, json_t *value)
{
    if (value == NULL || json_array_append_new(array, value) != 0)
        mem_exhausted();
}

static json_t *object_new(void)
{
    json_t *object = json_object();
    if (object == NULL)
        mem_exhausted();
    return object;
}

static json_t *array_new(void)
{
    json_t *array = json_array();
    if (array == NULL)
        mem_exhausted();
    return array;
}

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

static json_t *stages_of(const struct outcome *outcome)
{
    json_t *stages = array_new();
    if (outcome->stage == STAGE_COUNT)
        return stages;
    for (int stage = 0; stage <= (int)outcome->stage; stage++) {
        json_t *one = object_new();
        member(one, "stage", json_string(stage_word((enum stage)stage)));
        member(one, "ms", json_integer(outcome->stage_ms[stage]));
        element(stages, one);
    }
    return stages;
}

static json_t *target_of(const struct report_row *row)
{
    const struct outcome *outcome = &row->outcome;
    char code[16];
    json_t *target = object_new();
    member(target, "target", text_or_null(row->target));
    member(target, "address", text_or_null(outcome->address));
    member(target, "site", text_or_null(row->site));
    member(target, "relay", text_or_null(row->relay));
    member(target, "state", json_string(target_state_word(outcome->state)));
    member(target, "stage", word_or_null(stage_word(outcome->stage)));
    member(target, "reason", word_or_null(reason_word(outcome->reason)));
    member(target, "code",
           text_or_null(outcome_code_text(outcome->code_kind, outcome->code, code)));
    member(target, "detail", text_or_null(outcome->detail));
    member(target, "tries", json_integer(outcome->tries));
    member(target, "bytes", json_integer((json_int_t)outcome->bytes));
    member(target, "elapsed_ms", json_integer(outcome->elapsed_ms));
    member(target, "stages", stages_of(outcome));
    member(target, "exit_code",
           outcome->has_exit_code ? json_integer(outcome->exit_code) : json_null());
    return target;
}

static int json_row(void *context, const struct report_row *row, struct err *err)
{
    struct json_state *state = context;
    json_t *target = target_of(row);
    int result = fputs(state->count++ == 0 ? "\n" : ",\n", state->rows) < 0 ? -1 : 0;
    if (result == 0)
        result = json_dumpf(target, state->rows, DUMP_FLAGS);
    json_decref(target);
    return result == 0 ? 0 : write_failed(err);
}

static json_t *totals_of(const struct totals *totals, bool wait)
{
    const uint32_t *by_state = totals->by_state;
    json_t *object = object_new();
    member(object, "submitted", json_integer(totals_submitted(totals)));
    member(object, "attempted", json_integer(totals->attempted));
    member(object, "succeeded", json_integer(totals_succeeded(totals, wait)));
    member(object, "failed", json_integer(by_state[TARGET_FAILED]));
    member(object, "unreachable", json_integer(by_state[TARGET_UNREACHABLE]));
    member(object, "pending", json_integer(totals_pending(totals, wait)));
    member(object, "cancelled", json_integer(by_state[TARGET_CANCELLED]));
    member(object, "expired", json_integer(by_state[TARGET_EXPIRED]));
    member(object, "unknown_effect", json_integer(by_state[TARGET_UNKNOWN_EFFECT]));
    member(object, "never_attempted", json_integer(by_state[TARGET_NEVER_ATTEMPTED]));
    return object;
}

static json_t *push_of(const struct push_summary *push)
{
    char id[PUSH_ID_TEXT_SIZE];
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char created[FORMAT_TIME_SIZE];
    json_t *object = object_new();
    push_id_text(&push->push, id);
    hex_encode(push->package_digest, sizeof push->package_digest, digest);
    member(object, "id", json_string(id));
    member(object, "package", text_or_null(push->package_name));
    member(object, "sha256", json_string(digest));
    member(object, "created", json_string(format_time(push->created_unix_ms, created)));
    member(object, "state", json_string(push_state_word(push->state)));
    return object;
}

static json_t *sites_of(const struct report_fold *fold, bool wait)
{
    json_t *sites = array_new();
    for (uint32_t i = 0; i < fold->site_count; i++) {
        json_t *site = object_new();
        json_t *totals = totals_of(&fold->sites[i].totals, wait);
        member(site, "site", text_or_null(fold->sites[i].name));
        if (json_object_update(site, totals) != 0)
            mem_exhausted();
        json_decref(totals);
        element(sites, site);
    }
    return sites;
}

static json_t *reasons_of(const struct report_fold *fold)
{
    json_t *reasons = array_new();
    for (uint32_t i = 0; i < fold->group_count; i++) {
        const struct report_group *group = &fold->groups[i];
        json_t *reason = object_new();
        member(reason, "stage", word_or_null(stage_word(group->stage)));
        member(reason, "reason", json_string(reason_word(group->reason)));
        member(reason, "count", json_integer(group->count));
        element(reasons, reason);
    }
    return reasons;
}

/* Writes `"name": value,` and gives the value back. */
static int write_member(FILE *out, const char *name, json_t *value)
{
    int result = fprintf(out, "\"%s\": ", name) < 0 ? -1 : 0;
    if (result == 0)
        result = json_dumpf(value, out, DUMP_FLAGS);
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
        write_member(out, "totals", totals_of(&view->fold->totals, state->wait)) != 0 ||
        write_member(out, "sites", sites_of(view->fold, state->wait)) != 0 ||
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
