/* Aligned columns. */
#include "common/report/grid.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define CELL_SIZE 1536     /* longest cell, escapes included */
#define LAST_WIDTH_MIN 30U /* a last column narrower than this is no help */

void grid_init(struct grid *grid, const struct grid_column *columns, size_t count)
{
    assert(count > 0 && count <= GRID_COLUMNS_MAX);
    memset(grid, 0, sizeof *grid);
    memcpy(grid->columns, columns, count * sizeof *columns);
    grid->column_count = count;
}

void grid_release(struct grid *grid)
{
    for (size_t i = 0; i < grid->row_count * grid->column_count; i++)
        free(grid->cells[i].text);
    free(grid->cells);
    memset(grid, 0, sizeof *grid);
}

void grid_row(struct grid *grid)
{
    if (grid->row_count == grid->row_capacity) {
        grid->row_capacity = grid->row_capacity == 0 ? 16 : 2 * grid->row_capacity;
        grid->cells =
            mem_resize(grid->cells, grid->row_capacity * grid->column_count, sizeof *grid->cells);
    }
    memset(&grid->cells[grid->row_count * grid->column_count], 0,
           grid->column_count * sizeof *grid->cells);
    grid->row_count++;
}

static struct grid_cell *cell_of(struct grid *grid, size_t column)
{
    assert(grid->row_count > 0);
    assert(column < grid->column_count);
    return &grid->cells[(grid->row_count - 1) * grid->column_count + column];
}

void grid_text(struct grid *grid, size_t column, const char *text)
{
    char safe[CELL_SIZE];
    struct grid_cell *cell = cell_of(grid, column);
    free(cell->text);
    cell->text = *text == '\0' ? NULL : mem_strdup(text_printable(safe, sizeof safe, text));
}

void grid_number(struct grid *grid, size_t column, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    grid_text(grid, column, text);
}

void grid_colour(struct grid *grid, size_t column, const char *sgr)
{
    cell_of(grid, column)->colour = sgr;
}

size_t grid_text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((uint8_t)*text & 0xc0) != 0x80; /* a character's first byte */
    return width;
}

static void blanks(FILE *out, size_t count)
{
    (void)fprintf(out, "%*s", (int)count, "");
}

/* Bytes of the first line of `text` when it is broken at blanks to `width` characters; a longer
 * word stays whole. */
static size_t line_size(const char *text, size_t width)
{
    size_t blank = 0;
    size_t shown = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == ' ')
            blank = i;
        shown += ((uint8_t)text[i] & 0xc0) != 0x80;
        if (shown > width && blank > 0)
            return blank;
    }
    return strlen(text);
}

static void print_last(FILE *out, const char *text, size_t indent, size_t width)
{
    for (;;) {
        size_t size = width == 0 ? strlen(text) : line_size(text, width);
        (void)fprintf(out, "%.*s\n", (int)size, text);
        text += size;
        text += strspn(text, " ");
        if (*text == '\0')
            return;
        blanks(out, indent);
    }
}

static void print_cell(FILE *out, const struct grid_column *column, const char *text,
                       const char *sgr, size_t width)
{
    size_t pad = width - grid_text_width(text);
    blanks(out, column->right ? pad : 0);
    if (sgr != NULL)
        (void)fprintf(out, "\x1b[%sm%s\x1b[0m", sgr, text);
    else
        (void)fputs(text, out);
    blanks(out, column->right ? 2 : pad + 2);
}

/* Widest text of each column. */
static void measure(const struct grid *grid, size_t widths[GRID_COLUMNS_MAX])
{
    for (size_t column = 0; column < grid->column_count; column++) {
        widths[column] = strlen(grid->columns[column].heading);
        for (size_t row = 0; row < grid->row_count; row++) {
            const char *text = grid->cells[row * grid->column_count + column].text;
            size_t width = text == NULL ? 1 : grid_text_width(text);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
}

int grid_print(const struct grid *grid, FILE *out, size_t width, bool colour)
{
    size_t widths[GRID_COLUMNS_MAX] = {0};
    size_t last = grid->column_count - 1;
    size_t indent = 0;
    measure(grid, widths);
    for (size_t column = 0; column < last; column++)
        indent += widths[column] + 2;
    size_t last_width = width == 0                        ? 0
                        : width > indent + LAST_WIDTH_MIN ? width - indent
                                                          : LAST_WIDTH_MIN;
    for (size_t row = 0; row <= grid->row_count; row++) { /* row 0 is the headings */
        for (size_t column = 0; column <= last; column++) {
            const struct grid_cell *cell =
                row == 0 ? NULL : &grid->cells[(row - 1) * grid->column_count + column];
            const char *text = cell == NULL         ? grid->columns[column].heading
                               : cell->text != NULL ? cell->text
                                                    : "-";
            const char *sgr = colour && cell != NULL ? cell->colour : NULL;
            if (column < last)
                print_cell(out, &grid->columns[column], text, sgr, widths[column]);
            else if (grid->columns[column].right)
                (void)fprintf(out, "%*s%s\n", (int)(widths[last] - grid_text_width(text)), "",
                              text);
            else
                print_last(out, text, indent, last_width);
        }
    }
    return ferror(out) ? -1 : 0;
}
