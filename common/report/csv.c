/* CSV as RFC 4180 has it: a heading, CRLF, quotes doubled; UTF-8 without a byte order mark. Rows
 * leave as they come.
 *
 * A spreadsheet runs what it takes for a formula, and targets and details are strangers' texts
 * (https://owasp.org/www-community/attacks/CSV_Injection): a cell that would begin one gets an
 * apostrophe before. The same behind a semicolon inside a cell, since spreadsheets of many
 * countries split there and then heed no quotes. Controls (line ends among them), characters that
 * reorder text and bytes that are no UTF-8 become \xNN or \u{NNNN}, so a line is always a row and
 * harmless on a terminal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/columns.h"
#include "common/report/format_table.h"

/* Every character doubled, two quotes, an apostrophe. */
#define FIELD_SIZE (2 * COLUMN_PRINTABLE_SIZE + 4)

struct csv_state {
    FILE *out;    /* borrowed */
    bool started; /* the heading is written */
};

static bool begins_formula(const char *text)
{
    /* U+FF1D, U+FF0B, U+FF0D, U+FF20: = + - @ in full width, taken for the plain ones. */
    static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d",
                                       "\xef\xbc\xa0"};
    if (*text != '\0' && strchr("=+-@", *text) != NULL)
        return true;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strncmp(text, wide[i], strlen(wide[i])) == 0)
            return true;
    return false;
}

/* The cell made safe, in quotes if need be. Returns the field's size. */
static size_t field_of(const char *cell, char field[FIELD_SIZE])
{
    char safe[COLUMN_PRINTABLE_SIZE];
    char *to = field;
    text_printable(safe, sizeof safe, cell);
    bool quoted = strpbrk(safe, "\",; ") != NULL;
    if (quoted)
        *to++ = '"';
    bool start = true; /* a formula could begin here; blanks and quotes don't end that */
    if (*cell == '\t' || *cell == '\r' || *cell == '\n') {
        *to++ = '\'';
        start = false;
    }
    for (const char *p = safe; *p != '\0'; p++) {
        if (start && begins_formula(p))
            *to++ = '\'';
        start = *p == ';' || (start && (*p == ' ' || *p == '"'));
        if (*p == '"')
            *to++ = '"';
        *to++ = *p;
    }
    if (quoted)
        *to++ = '"';
    return (size_t)(to - field);
}

/* One line: the row's, or without a row the heading. */
static int write_line(FILE *out, const struct report_row *row, struct err *err)
{
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        char number[COLUMN_NUMBER_SIZE];
        char field[FIELD_SIZE];
        const char *cell = row == NULL ? column_name(column) : column_text(column, row, number);
        size_t size = field_of(cell, field);
        if ((column > 0 && fputc(',', out) == EOF) || fwrite(field, 1, size, out) != size)
            return err_set_errno(err, errno, "cannot write the report");
    }
    return fputs("\r\n", out) < 0 ? err_set_errno(err, errno, "cannot write the report") : 0;
}

static void *csv_start(const struct report_options *options, struct err *err)
{
    (void)err;
    struct csv_state *state = mem_new(1, sizeof *state);
    state->out = options->out;
    return state;
}

/* Not at the start: a push that isn't found leaves standard output empty. */
static int csv_heading(struct csv_state *state, struct err *err)
{
    if (state->started)
        return 0;
    state->started = true;
    return write_line(state->out, NULL, err);
}

static int csv_row(void *context, const struct report_row *row, struct err *err)
{
    struct csv_state *state = context;
    return csv_heading(state, err) != 0 ? -1 : write_line(state->out, row, err);
}

static int csv_finish(void *context, const struct report_view *view, struct err *err)
{
    (void)view;
    return csv_heading(context, err);
}

const struct report_format report_format_csv = {
    .word = "csv", .start = csv_start, .row = csv_row, .finish = csv_finish, .end = free};
