/* A report on its way out: rows stream in, the chosen format comes out.
 *
 * Used by the CLI: report_output_new, report_output_row for every row in order, then
 * report_output_finish with the fold and the summary. No format holds all rows in memory. Every
 * string is a stranger's and is escaped by the format (table, wide: text_printable; json, jsonl:
 * ASCII escapes; csv: text_printable and no cell that a spreadsheet takes for a formula). jsonl and
 * csv write each row as it comes: what they wrote before an error is an incomplete report.
 */
#ifndef PUSHER_REPORT_OUTPUT_H
#define PUSHER_REPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/report/fold.h"

/* Rows that the table lists one by one; further ones are only counted there. */
#define REPORT_TABLE_ROWS_MAX 1000U

struct report_options {
    FILE *out;                   /* borrowed */
    bool colour;                 /* table, wide */
    size_t width;                /* columns of the terminal; 0: not a terminal, never cut */
    struct report_filter filter; /* rows to list; totals are always of the whole push */
    bool wait;                   /* the push waits for exit codes */
    bool every_row;              /* table: list rows without a filter, too */
};

/* What is known besides the rows. */
struct report_view {
    const struct push_summary *push;
    const struct report_fold *fold;
    const struct relay_row *relays; /* may be NULL */
    uint32_t relay_count;
    uint64_t now_unix_ms;
    const char *mismatch; /* why the ledger doesn't balance; NULL: it does */
};

struct report_output;

/* A format by its word. Errors: ERR_INVALID unknown word, or a format that is not in this
 * version; ERR_IO. */
int report_output_new(struct report_output **out, const char *format,
                      const struct report_options *options, struct err *err);
/* Whether report_output_new would know the word. Errors: as there. */
int report_format_check(const char *format, struct err *err);
int report_output_row(struct report_output *output, const struct report_row *row, struct err *err);
/* Writes everything and flushes. Errors: ERR_IO, ERR_NO_SPACE. */
int report_output_finish(struct report_output *output, const struct report_view *view,
                         struct err *err);
void report_output_free(struct report_output *output);

#endif
