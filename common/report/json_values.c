/* Making the values. */
#include "common/report/json_values.h"

#include <string.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"

#define ESCAPED_SIZE 2048 /* longest text of a row, each byte as \xNN */

static int dump_piece(const char *bytes, size_t size, void *context)
{
    FILE *out = context;
    while (size > 0) {
        const char *del = memchr(bytes, 0x7f, size); /* only ever inside a string */
        size_t plain = del == NULL ? size : (size_t)(del - bytes);
        if (fwrite(bytes, 1, plain, out) != plain || (del != NULL && fputs("\\u007F", out) < 0))
            return -1;
        plain += del != NULL;
        bytes += plain;
        size -= plain;
    }
    return 0;
}

int value_dump(const json_t *value, FILE *out, bool indented)
{
    size_t layout = indented ? JSON_INDENT(1) : 0;
    return json_dump_callback(value, dump_piece, out, JSON_COMPACT | JSON_ENSURE_ASCII | layout);
}

json_t *value_text(const char *text)
{
    char escaped[ESCAPED_SIZE];
    if (text == NULL || *text == '\0')
        return json_null();
    json_t *plain = json_string(text);
    return plain != NULL ? plain : json_string(text_printable(escaped, sizeof escaped, text));
}

json_t *value_word(const char *word)
{
    return strcmp(word, "-") == 0 ? json_null() : json_string(word);
}

json_t *value_name(const char *name)
{
    return strcmp(name, "-") == 0 ? json_null() : value_text(name);
}

void value_member(json_t *object, const char *name, json_t *value)
{
    if (value == NULL || json_object_set_new(object, name, value) != 0)
        mem_exhausted();
}

void value_element(json_t *array, json_t *value)
{
    if (value == NULL || json_array_append_new(array, value) != 0)
        mem_exhausted();
}

json_t *value_object(void)
{
    json_t *object = json_object();
    if (object == NULL)
        mem_exhausted();
    return object;
}

json_t *value_array(void)
{
    json_t *array = json_array();
    if (array == NULL)
        mem_exhausted();
    return array;
}

static json_t *stages_of(const struct outcome *outcome)
{
    json_t *stages = value_array();
    if (outcome->stage == STAGE_COUNT)
        return stages;
    for (int stage = 0; stage <= (int)outcome->stage; stage++) {
        json_t *one = value_object();
        value_member(one, "stage", json_string(stage_word((enum stage)stage)));
        value_member(one, "ms", json_integer(outcome->stage_ms[stage]));
        value_element(stages, one);
    }
    return stages;
}

json_t *value_row(const struct report_row *row)
{
    const struct outcome *outcome = &row->outcome;
    char code[16];
    json_t *target = value_object();
    value_member(target, "target", value_text(row->target));
    value_member(target, "address", value_text(outcome->address));
    value_member(target, "site", value_name(row->site));
    value_member(target, "relay", value_name(row->relay));
    value_member(target, "state", json_string(target_state_word(outcome->state)));
    value_member(target, "stage", value_word(stage_word(outcome->stage)));
    value_member(target, "reason", value_word(reason_word(outcome->reason)));
    value_member(target, "code",
                 value_text(outcome_code_text(outcome->code_kind, outcome->code, code)));
    value_member(target, "detail", value_text(outcome->detail));
    value_member(target, "tries", json_integer(outcome->tries));
    value_member(target, "bytes", json_integer((json_int_t)outcome->bytes));
    value_member(target, "elapsed_ms", json_integer(outcome->elapsed_ms));
    value_member(target, "stages", stages_of(outcome));
    value_member(target, "exit_code",
                 outcome->has_exit_code ? json_integer(outcome->exit_code) : json_null());
    value_member(target, "reboot",
                 outcome->has_exit_code ? json_boolean(exit_code_wants_reboot(outcome->exit_code))
                                        : json_null());
    return target;
}

json_t *value_totals(const struct totals *totals, bool wait)
{
    const uint32_t *by_state = totals->by_state;
    json_t *object = value_object();
    value_member(object, "submitted", json_integer(totals_submitted(totals)));
    value_member(object, "attempted", json_integer(totals->attempted));
    value_member(object, "succeeded", json_integer(totals_succeeded(totals, wait)));
    value_member(object, "failed", json_integer(by_state[TARGET_FAILED]));
    value_member(object, "unreachable", json_integer(by_state[TARGET_UNREACHABLE]));
    value_member(object, "pending", json_integer(totals_pending(totals, wait)));
    value_member(object, "cancelled", json_integer(by_state[TARGET_CANCELLED]));
    value_member(object, "expired", json_integer(by_state[TARGET_EXPIRED]));
    value_member(object, "unknown_effect", json_integer(by_state[TARGET_UNKNOWN_EFFECT]));
    value_member(object, "never_attempted", json_integer(by_state[TARGET_NEVER_ATTEMPTED]));
    value_member(object, "reboot", json_integer(totals->reboot));
    return object;
}

json_t *value_push(const struct push_summary *push)
{
    char id[PUSH_ID_TEXT_SIZE];
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char created[FORMAT_TIME_SIZE];
    json_t *object = value_object();
    push_id_text(&push->push, id);
    hex_encode(push->package_digest, sizeof push->package_digest, digest);
    value_member(object, "id", json_string(id));
    value_member(object, "package", value_text(push->package_name));
    value_member(object, "sha256", json_string(digest));
    value_member(object, "created", json_string(format_time(push->created_unix_ms, created)));
    value_member(object, "state", json_string(push_state_word(push->state)));
    return object;
}

void value_push_kind(json_t *object, const struct push_summary *push)
{
    char id[PUSH_ID_TEXT_SIZE];
    push_id_text(&push->of_push, id);
    value_member(object, "wait", json_boolean(push->wait));
    value_member(object, "cleanup_of", push->action == JOB_CLEANUP ? json_string(id) : json_null());
}
