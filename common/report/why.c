/* One row at length. */
#include "common/report/why.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/json_values.h"

#define TEXT_SIZE 1024 /* a text of the row, each byte as \xNN */
#define PIECE_SIZE 256 /* of a line of output that is escaped at once */

static int write_failed(struct err *err)
{
    return err_set_errno(err, errno, "cannot write what became of the target");
}

/* The output without the rest of a character whose beginning was cut off. */
static const uint8_t *output_of(const struct report_row *row, size_t *size)
{
    size_t skip = 0;
    if (row->output_size >= LIMIT_OUTPUT_BYTES)
        while (skip < 3 && (row->output[skip] & 0xc0) == 0x80)
            skip++;
    *size = row->output_size - skip;
    return row->output_size == 0 ? NULL : row->output + skip;
}

/* ---- for people ---- */

/* How long the piece at `text` may be: whole characters as far as there are any. */
static size_t piece_size(const uint8_t *text, size_t size)
{
    size_t piece = PIECE_SIZE;
    if (size <= piece)
        return size;
    for (int back = 0; back < 3 && (text[piece] & 0xc0) == 0x80; back++)
        piece--;
    return piece;
}

/* A line or a part of one, without its end. */
static void print_escaped(FILE *out, const uint8_t *text, size_t size)
{
    char piece[PIECE_SIZE + 1];
    char safe[4 * PIECE_SIZE + 1];
    while (size > 0) {
        if (*text == '\0' || *text == '\t') { /* no text of ours can hold the one */
            (void)fputs(*text == '\0' ? "\\x00" : "\t", out);
            text++;
            size--;
            continue;
        }
        const uint8_t *stop = memchr(text, '\0', size);
        size_t plain = stop == NULL ? size : (size_t)(stop - text);
        const uint8_t *tab = memchr(text, '\t', plain);
        size_t length = piece_size(text, tab == NULL ? plain : (size_t)(tab - text));
        memcpy(piece, text, length);
        piece[length] = '\0';
        (void)fputs(text_printable(safe, sizeof safe, piece), out);
        text += length;
        size -= length;
    }
}

static void print_output(FILE *out, const struct report_row *row)
{
    size_t size = 0;
    const uint8_t *text = output_of(row, &size);
    if (text == NULL)
        return;
    (void)fprintf(out, "output: %zu byte%s%s\n", size, size == 1 ? "" : "s",
                  row->output_size >= LIMIT_OUTPUT_BYTES ? ", the last that the package printed"
                                                         : "");
    while (size > 0) {
        const uint8_t *end = memchr(text, '\n', size);
        size_t line = end == NULL ? size : (size_t)(end - text);
        size_t shown = line > 0 && text[line - 1] == '\r' ? line - 1 : line;
        (void)fputs("  | ", out);
        print_escaped(out, text, shown);
        (void)fputc('\n', out);
        size_t used = end == NULL ? line : line + 1;
        text += used;
        size -= used;
    }
}

/* Whether the stages passed and what came after them did not. */
static bool failed_waiting(const struct outcome *outcome)
{
    return outcome->reason == REASON_EXIT_CODE || outcome->reason == REASON_INSTALLER_BUSY ||
           outcome->reason == REASON_RUN_TIMEOUT || outcome->reason == REASON_NOT_STARTED;
}

static void print_waiting(FILE *out, const struct outcome *outcome)
{
    uint64_t stages_ms = 0;
    char code[16];
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        stages_ms += outcome->stage_ms[stage];
    uint64_t waited_ms = outcome->elapsed_ms > stages_ms ? outcome->elapsed_ms - stages_ms : 0;
    if (outcome->state == TARGET_SCHEDULED) {
        (void)fprintf(out, "  %-9s %10s  its end is awaited\n", "waiting", "");
        return;
    }
    (void)fprintf(out, "  %-9s %7" PRIu64 " ms  ", "waiting", waited_ms);
    if (outcome->has_exit_code)
        (void)fprintf(out, "ended with %s\n", exit_code_text(outcome->exit_code, code));
    else
        (void)fputs("no exit code\n", out);
}

static void print_timeline(FILE *out, const struct outcome *outcome, bool wait)
{
    bool waited = wait && outcome->stage == STAGE_SCHEDULE &&
                  (outcome->reason == REASON_NONE || outcome->state == TARGET_SCHEDULED ||
                   failed_waiting(outcome));
    bool failed = outcome->reason != REASON_NONE && !waited;
    if (outcome->stage == STAGE_COUNT) {
        (void)fputs("  no stage began\n", out);
        return;
    }
    for (int stage = 0; stage <= (int)outcome->stage; stage++) {
        bool last = stage == (int)outcome->stage;
        (void)fprintf(out, "  %-9s %7u ms  %s", stage_word((enum stage)stage),
                      outcome->stage_ms[stage], last && failed ? "failed" : "done");
        if (last && outcome->tries > 1)
            (void)fprintf(out, " (%u tries)", outcome->tries);
        (void)fputc('\n', out);
    }
    if (waited)
        print_waiting(out, outcome);
}

static void print_exit_code(FILE *out, const struct outcome *outcome)
{
    char code[16];
    const char *meaning = exit_code_meaning(outcome->exit_code);
    if (!outcome->has_exit_code)
        return;
    (void)fprintf(out, "  exit code %s", exit_code_text(outcome->exit_code, code));
    if (meaning != NULL)
        (void)fprintf(out, ", usually: %s", meaning);
    (void)fputc('\n', out);
}

static void print_head(FILE *out, const struct report_row *row)
{
    const struct outcome *outcome = &row->outcome;
    char text[TEXT_SIZE];
    char code[16];
    char when[FORMAT_TIME_SIZE];
    (void)fprintf(out, "%s  %s", text_printable(text, sizeof text, row->target),
                  target_state_word(outcome->state));
    if (outcome->reason != REASON_NONE && outcome->stage != STAGE_COUNT)
        (void)fprintf(out, " at %s", stage_word(outcome->stage));
    if (outcome->reason != REASON_NONE)
        (void)fprintf(out, ": %s", reason_word(outcome->reason));
    if (outcome->code_kind != CODE_NONE)
        (void)fprintf(out, " (%s %s)", code_kind_word(outcome->code_kind),
                      outcome_code_text(outcome->code_kind, outcome->code, code));
    (void)fprintf(out, "\n  site      %s\n", text_printable(text, sizeof text, row->site));
    (void)fprintf(out, "  relay     %s\n", text_printable(text, sizeof text, row->relay));
    (void)fprintf(
        out, "  address   %s\n",
        outcome->address[0] == '\0' ? "-" : text_printable(text, sizeof text, outcome->address));
    (void)fprintf(out, "  name      %s\n",
                  outcome->name_check == NAME_MATCHED ? "matches the machine's own"
                                                      : "not checked");
    if (outcome->started_unix_ms != 0)
        (void)fprintf(out, "  began     %s, took %u ms\n",
                      format_time(outcome->started_unix_ms, when), outcome->elapsed_ms);
}

int why_print(FILE *out, const struct report_row *row, const struct push_summary *push,
              struct err *err)
{
    const struct outcome *outcome = &row->outcome;
    char text[TEXT_SIZE];
    print_head(out, row);
    print_exit_code(out, outcome);
    print_timeline(out, outcome, push->wait);
    if (outcome->detail[0] != '\0')
        (void)fprintf(out, "detail: %s\n", text_printable(text, sizeof text, outcome->detail));
    if (outcome->reason != REASON_NONE)
        (void)fprintf(out, "cause:  %s\nremedy: %s\n", reason_cause(outcome->reason),
                      reason_remedy(outcome->reason));
    print_output(out, row);
    return ferror(out) ? write_failed(err) : 0;
}

/* ---- as JSON ---- */

/* RFC 4648, section 4. */
static char *base64(const uint8_t *bytes, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = mem_new(size / 3 * 4 + 5, 1);
    char *to = text;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0U);
        *to++ = letters[group >> 18];
        *to++ = letters[group >> 12 & 63];
        *to++ = left > 1 ? letters[group >> 6 & 63] : '=';
        *to++ = left > 2 ? letters[group & 63] : '=';
    }
    return text;
}

static void add_output(json_t *target, const struct report_row *row)
{
    size_t size = 0;
    const uint8_t *bytes = output_of(row, &size);
    json_t *plain = bytes == NULL || memchr(bytes, '\0', size) != NULL
                        ? NULL
                        : json_stringn((const char *)bytes, size);
    const char *encoding = bytes == NULL ? NULL : plain != NULL ? "utf-8" : "base64";
    if (bytes != NULL && plain == NULL) {
        char *text = base64(bytes, size);
        plain = json_string(text);
        free(text);
        if (plain == NULL)
            mem_exhausted();
    }
    value_member(target, "output", plain != NULL ? plain : json_null());
    value_member(target, "output_encoding", value_text(encoding));
    value_member(target, "output_cut", json_boolean(row->output_size >= LIMIT_OUTPUT_BYTES));
}

int why_json(FILE *out, const struct report_row *row, const struct push_summary *push,
             struct err *err)
{
    const struct outcome *outcome = &row->outcome;
    bool reason = outcome->reason != REASON_NONE;
    json_t *whole = value_object();
    json_t *about = value_push(push);
    json_t *target = value_row(row);
    value_push_kind(about, push);
    value_member(target, "cause", value_text(reason ? reason_cause(outcome->reason) : NULL));
    value_member(target, "remedy", value_text(reason ? reason_remedy(outcome->reason) : NULL));
    value_member(target, "exit_meaning",
                 value_text(outcome->has_exit_code ? exit_code_meaning(outcome->exit_code) : NULL));
    add_output(target, row);
    value_member(whole, "schema_version", json_integer(1));
    value_member(whole, "push", about);
    value_member(whole, "target", target);
    int result = value_dump(whole, out, false);
    json_decref(whole);
    return result == 0 && fputc('\n', out) != EOF ? 0 : write_failed(err);
}
