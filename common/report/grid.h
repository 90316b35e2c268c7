/* A table of text in aligned columns, for terminals and plain files: the report and the CLI's
 * lists.
 *
 * libsmartcols was tried and left: with the C locale it loops for ever over a character that is
 * not ASCII, and it escapes again what is escaped already. Widths here are characters of UTF-8 and
 * need no locale. Cells are made printable on the way in.
 */
#ifndef PUSHER_REPORT_GRID_H
#define PUSHER_REPORT_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define GRID_COLUMNS_MAX 16U

struct grid_column {
    const char *heading; /* borrowed */
    bool right;          /* numbers */
};

struct grid_cell {
    char *text;         /* owned; NULL: "-" */
    const char *colour; /* SGR number, borrowed; NULL: none */
};

struct grid {
    struct grid_column columns[GRID_COLUMNS_MAX];
    size_t column_count;
    struct grid_cell *cells; /* owned, row by row */
    size_t row_count;
    size_t row_capacity;
};

/* Characters of printable UTF-8 text. */
size_t grid_text_width(const char *text);
void grid_init(struct grid *grid, const struct grid_column *columns, size_t count);
void grid_release(struct grid *grid);
/* Starts a row of empty cells. */
void grid_row(struct grid *grid);
/* Sets a cell of the last row; "" shows as "-". */
void grid_text(struct grid *grid, size_t column, const char *text);
void grid_number(struct grid *grid, size_t column, uint64_t value);
/* SGR number ("31") for a cell of the last row. */
void grid_colour(struct grid *grid, size_t column, const char *sgr);
/* Writes headings and rows. With a width the last column is broken at blanks to fit. Returns 0, or
 * -1 with errno set. */
int grid_print(const struct grid *grid, FILE *out, size_t width, bool colour);

#endif
