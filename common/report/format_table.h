/* What an output format is made of: one row in output.c's table and one file. Private to the room.
 */
#ifndef PUSHER_REPORT_FORMAT_TABLE_H
#define PUSHER_REPORT_FORMAT_TABLE_H

#include "common/report/output.h"

struct report_format {
    const char *word; /* of -o */
    /* NULL in every pointer: the word is known, the format is not in this version. */
    void *(*start)(const struct report_options *options, struct err *err); /* NULL on error */
    /* Only rows that fit the filter arrive. */
    int (*row)(void *state, const struct report_row *row, struct err *err);
    int (*finish)(void *state, const struct report_view *view, struct err *err);
    void (*end)(void *state); /* frees the state */
};

extern const struct report_format report_format_table;
extern const struct report_format report_format_wide;
extern const struct report_format report_format_json;
extern const struct report_format report_format_jsonl;
extern const struct report_format report_format_csv;

/* The table around the rows: head, summary and groups, then whatever `rows` writes, then the law.
 * Errors: ERR_IO, those of `rows`. */
int report_table_print(const struct report_options *options, const struct report_view *view,
                       int (*rows)(void *context, struct err *err), void *context, struct err *err);

#endif
