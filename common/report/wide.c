/* The table with every row that fits the filter and all its columns, the detail last. Columns are
 * as wide as their widest cell, known only after the last row, so cells wait as lines of an
 * unlinked temporary file; rows are never cut or broken, whatever the terminal. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/columns.h"
#include "common/report/format_table.h"
#include "common/report/grid.h"

struct wide_state {
    struct report_options options;
    FILE *cells;                 /* owned, unlinked: a cell a line, printable, row by row */
    size_t widths[COLUMN_COUNT]; /* characters, headings included */
    uint32_t count;              /* rows in it */
};

static int write_failed(struct err *err)
{
    return err_set_errno(err, errno, "cannot write the report");
}

static void *wide_start(const struct report_options *options, struct err *err)
{
    FILE *cells = tmpfile();
    if (cells == NULL) {
        (void)err_set_errno(err, errno, "cannot make a temporary file for the report");
        return NULL;
    }
    struct wide_state *state = mem_new(1, sizeof *state);
    *state = (struct wide_state){.options = *options, .cells = cells};
    for (size_t column = 0; column < COLUMN_COUNT; column++)
        state->widths[column] = strlen(column_name(column));
    return state;
}

static int wide_row(void *context, const struct report_row *row, struct err *err)
{
    struct wide_state *state = context;
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        char number[COLUMN_NUMBER_SIZE];
        char safe[COLUMN_PRINTABLE_SIZE];
        const char *cell = column_text(column, row, number);
        cell = *cell == '\0' ? "-" : text_printable(safe, sizeof safe, cell);
        size_t width = grid_text_width(cell);
        if (width > state->widths[column])
            state->widths[column] = width;
        if (fprintf(state->cells, "%s\n", cell) < 0)
            return write_failed(err);
    }
    state->count++;
    return 0;
}

/* All cells of a row, the detail kept for the end: only the last column may be ragged. */
static int print_line(const struct wide_state *state,
                      char cells[COLUMN_COUNT][COLUMN_PRINTABLE_SIZE])
{
    FILE *out = state->options.out;
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        if (column == COLUMN_DETAIL)
            continue;
        int pad = (int)(state->widths[column] - grid_text_width(cells[column]));
        bool right = column_is_number(column);
        if (fprintf(out, "%*s%s%*s  ", right ? pad : 0, "", cells[column], right ? 0 : pad, "") < 0)
            return -1;
    }
    return fprintf(out, "%s\n", cells[COLUMN_DETAIL]) < 0 ? -1 : 0;
}

static int read_cell(FILE *from, char cell[COLUMN_PRINTABLE_SIZE])
{
    if (fgets(cell, COLUMN_PRINTABLE_SIZE, from) == NULL)
        return -1;
    cell[strcspn(cell, "\n")] = '\0';
    return 0;
}

static int print_rows(void *context, struct err *err)
{
    struct wide_state *state = context;
    char cells[COLUMN_COUNT][COLUMN_PRINTABLE_SIZE];
    bool filtered = report_filter_set(&state->options.filter);
    const char *fits = !filtered ? "" : state->count == 1 ? " fits the filter" : " fit the filter";
    if (fprintf(state->options.out, "\n%u row%s%s\n", state->count, state->count == 1 ? "" : "s",
                fits) < 0)
        return write_failed(err);
    if (state->count == 0)
        return 0;
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        text_copy(cells[column], sizeof cells[column], column_name(column));
        for (char *p = cells[column]; *p != '\0'; p++)
            *p = (char)toupper((unsigned char)*p);
    }
    if (fflush(state->cells) != 0 || fseek(state->cells, 0, SEEK_SET) != 0 ||
        print_line(state, cells) != 0)
        return write_failed(err);
    for (uint32_t row = 0; row < state->count; row++) {
        for (size_t column = 0; column < COLUMN_COUNT; column++)
            if (read_cell(state->cells, cells[column]) != 0)
                return write_failed(err);
        if (print_line(state, cells) != 0)
            return write_failed(err);
    }
    return 0;
}

static int wide_finish(void *context, const struct report_view *view, struct err *err)
{
    struct wide_state *state = context;
    return report_table_print(&state->options, view, print_rows, state, err);
}

static void wide_end(void *context)
{
    struct wide_state *state = context;
    (void)fclose(state->cells);
    free(state);
}

const struct report_format report_format_wide = {
    .word = "wide", .start = wide_start, .row = wide_row, .finish = wide_finish, .end = wide_end};
