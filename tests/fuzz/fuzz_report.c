/* common/report: the report in every format, `why` as text and as JSON, over rows whose texts a
 * target, a relay or a coordinator worded.
 *
 * Input: a format, a push and its rows, field by field. Holds: no format lets through what would
 * move a terminal's cursor; every line of CSV has every column, and no cell that a spreadsheet
 * takes for a formula; JSON reads again, with a row for each row. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/report/columns.h"
#include "common/report/output.h"
#include "common/report/why.h"
#include "fuzz.h"

#define ROWS_MAX 6U

static struct report_row rows[ROWS_MAX];
static uint32_t row_count;
static struct push_summary push;

static void read_push(struct cursor *in)
{
    memset(&push, 0, sizeof push);
    cursor_copy(in, push.push.bytes, sizeof push.push.bytes);
    push.generation = cursor_u8(in);
    push.state = (enum push_state)(cursor_u8(in) % PUSH_STATE_COUNT);
    push.action = (enum job_action)(cursor_u8(in) % JOB_ACTION_COUNT);
    push.run_as = (enum run_as)(cursor_u8(in) % RUN_AS_COUNT);
    push.wait = cursor_u8(in) % 2 == 1;
    push.created_unix_ms = cursor_u64le(in);
    push.closed_unix_ms = cursor_u64le(in);
    push.package_bytes = cursor_u64le(in);
    fuzz_text(in, push.package_name, sizeof push.package_name);
    fuzz_text(in, push.operator_key, sizeof push.operator_key);
    fuzz_text(in, push.account, sizeof push.account);
}

/* Enumerations are in range: the decoder sees to that. */
static void read_outcome(struct cursor *in, struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->state = (enum target_state)(cursor_u8(in) % TARGET_STATE_COUNT);
    outcome->stage = (enum stage)(cursor_u8(in) % (STAGE_COUNT + 1));
    outcome->reason = (enum reason)(cursor_u8(in) % REASON_COUNT);
    outcome->code_kind = (enum code_kind)(cursor_u8(in) % CODE_KIND_COUNT);
    outcome->name_check = (enum name_check)(cursor_u8(in) % NAME_CHECK_COUNT);
    outcome->has_exit_code = cursor_u8(in) % 2 == 1;
    outcome->code = cursor_u32le(in);
    outcome->exit_code = cursor_u32le(in);
    outcome->tries = cursor_u32le(in);
    outcome->bytes = cursor_u64le(in);
    outcome->started_unix_ms = cursor_u64le(in);
    outcome->elapsed_ms = cursor_u32le(in);
    outcome->stage_ms[0] = cursor_u32le(in);
    fuzz_text(in, outcome->detail, sizeof outcome->detail);
    fuzz_text(in, outcome->address, sizeof outcome->address);
}

static void read_row(struct cursor *in, struct report_row *row)
{
    memset(row, 0, sizeof *row);
    row->target_no = row_count;
    read_outcome(in, &row->outcome);
    fuzz_text(in, row->site, sizeof row->site);
    fuzz_text(in, row->relay, sizeof row->relay);
    row->target = fuzz_new_text(in, LIMIT_TARGET_NAME_SIZE);
    row->output_size = cursor_u16le(in);
    if (row->output_size > cursor_left(in))
        row->output_size = cursor_left(in);
    if (row->output_size > 0) {
        row->output = mem_new(row->output_size, 1);
        cursor_copy(in, row->output, row->output_size);
    }
}

/* Takes out the colours that are ours: ESC [ digits m. */
static size_t without_colours(char *text, size_t size)
{
    size_t kept = 0;
    for (size_t i = 0; i < size; i++) {
        size_t end = i + 2;
        while (end < size && ((text[end] >= '0' && text[end] <= '9') || text[end] == ';'))
            end++;
        if (text[i] == '\x1b' && i + 1 < size && text[i + 1] == '[' && end < size &&
            text[end] == 'm')
            i = end;
        else
            text[kept++] = text[i];
    }
    return kept;
}

static bool formula_begins(const char *cell, size_t size)
{
    return size > 0 && strchr("=+-@\t\r", cell[0]) != NULL;
}

/* RFC 4180, read again by other code than the writer's. */
static void check_csv(const char *text, size_t size, uint32_t rows_shown)
{
    size_t at = 0;
    uint32_t lines = 0;
    while (at < size) {
        size_t columns = 0;
        for (bool more = true; more;) {
            bool quoted = text[at] == '"';
            size_t from = at + quoted;
            at = from;
            while (at < size && (quoted ? text[at] != '"' || text[at + 1] == '"'
                                        : text[at] != ',' && text[at] != '\r'))
                at += quoted && text[at] == '"' ? 2 : 1;
            FUZZ_CHECK(at < size && !formula_begins(text + from, at - from));
            at += quoted;
            more = text[at] == ',';
            at += more;
            columns++;
        }
        FUZZ_CHECK(columns == COLUMN_COUNT);
        FUZZ_CHECK(at + 1 < size && text[at] == '\r' && text[at + 1] == '\n');
        at += 2;
        lines++;
    }
    FUZZ_CHECK(lines == rows_shown + 1);
}

/* Spreadsheets of many countries split at semicolons and then heed no quotes. */
static void check_semicolons(const char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        size_t next = i + 1;
        while (next < size && (text[next] == ' ' || text[next] == '"'))
            next++;
        FUZZ_CHECK(text[i] != ';' || next == size || strchr("=+-@", text[next]) == NULL);
    }
}

static void check_json(const char *text, size_t size, uint32_t rows_shown)
{
    json_t *whole = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(whole != NULL && json_array_size(json_object_get(whole, "targets")) == rows_shown);
    json_decref(whole);
}

static void check_jsonl(const char *text, size_t size, uint32_t rows_shown)
{
    uint32_t lines = 0;
    for (size_t at = 0; at < size; lines++) {
        size_t length = 0;
        while (at + length < size && text[at + length] != '\n')
            length++;
        FUZZ_CHECK(at + length < size);
        json_t *row = json_loadb(text + at, length, JSON_REJECT_DUPLICATES, NULL);
        FUZZ_CHECK(json_is_object(row));
        json_decref(row);
        at += length + 1;
    }
    FUZZ_CHECK(lines == rows_shown);
}

/* Writes the report and gives its bytes, to be freed. */
static char *render(const char *format, const struct report_options *given, size_t *size)
{
    char *text = NULL;
    struct report_options options = *given;
    struct report_output *output = NULL;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    options.out = open_memstream(&text, size);
    FUZZ_CHECK(options.out != NULL && report_output_new(&output, format, &options, &err) == 0);
    for (uint32_t i = 0; i < row_count; i++) {
        FUZZ_CHECK(report_fold_add(&fold, &rows[i], &err) == 0);
        FUZZ_CHECK(report_output_row(output, &rows[i], &err) == 0);
    }
    push.totals = fold.totals;
    struct report_view view = {.push = &push, .fold = &fold, .now_unix_ms = 1767225600000};
    if (report_fold_check(&fold, &push, &err) != 0)
        view.mismatch = err.text;
    FUZZ_CHECK(report_output_finish(output, &view, &err) == 0);
    report_output_free(output);
    report_fold_release(&fold);
    FUZZ_CHECK(fclose(options.out) == 0);
    return text;
}

static void try_format(unsigned number, uint8_t flags)
{
    static const char *const formats[] = {"csv", "json", "jsonl", "table", "wide"};
    struct report_options options = {.wait = push.wait, .every_row = (flags & 2) != 0};
    bool people = number >= 3;
    options.filter.failed_only = (flags & 4) != 0;
    options.filter.stage = STAGE_COUNT;
    options.colour = people && (flags & 1) != 0;
    options.width = people && (flags & 8) != 0 ? 20 + flags : 0;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < row_count; i++)
        shown += report_filter_fits(&options.filter, &rows[i], options.wait);
    size_t size = 0;
    char *text = render(formats[number], &options, &size);
    if (number == 0) {
        check_csv(text, size, shown);
        check_semicolons(text, size);
        for (size_t at = 0; at < size; at++)
            text[at] = text[at] == '\r' ? ' ' : text[at];
    } else if (number == 1) {
        check_json(text, size, shown);
    } else if (number == 2) {
        check_jsonl(text, size, shown);
    }
    size = options.colour ? without_colours(text, size) : size;
    FUZZ_CHECK(fuzz_is_printable(text, size, true));
    free(text);
}

static void try_why(const struct report_row *row)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    FUZZ_CHECK(out != NULL && why_print(out, row, &push, NULL) == 0 && fclose(out) == 0);
    for (size_t i = 0; i < size; i++) /* what a package printed may hold tabs */
        text[i] = text[i] == '\t' ? ' ' : text[i];
    FUZZ_CHECK(fuzz_is_printable(text, size, true));
    free(text);
    out = open_memstream(&text, &size);
    FUZZ_CHECK(out != NULL && why_json(out, row, &push, NULL) == 0 && fclose(out) == 0);
    FUZZ_CHECK(fuzz_is_printable(text, size, true));
    json_t *whole = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_is_object(json_object_get(whole, "target")));
    json_decref(whole);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    uint8_t flags = cursor_u8(&in);
    row_count = 0;
    read_push(&in);
    while (cursor_left(&in) > 0 && row_count < ROWS_MAX) {
        read_row(&in, &rows[row_count]);
        row_count++;
    }
    unsigned number = flags / 16 % 6; /* a format each, and `why` */
    if (number < 5)
        try_format(number, flags);
    for (uint32_t i = 0; i < row_count; i++) {
        if (number == 5)
            try_why(&rows[i]);
        free(rows[i].target);
        free(rows[i].output);
    }
    return 0;
}
