/* A row as named columns, for formats without nesting: the JSON row's members in their order, its
 * "stages" spread over a column per stage. Private to the room.
 *
 * Names and order are what users' scripts hold on to: new columns go to the end, none is renamed.
 * Documented in docs/man/pusher.1.
 */
#ifndef PUSHER_REPORT_COLUMNS_H
#define PUSHER_REPORT_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model/message.h"

enum report_column {
    COLUMN_TARGET,
    COLUMN_ADDRESS,
    COLUMN_SITE,
    COLUMN_RELAY,
    COLUMN_STATE,
    COLUMN_STAGE,
    COLUMN_REASON,
    COLUMN_CODE,
    COLUMN_DETAIL,
    COLUMN_TRIES,
    COLUMN_BYTES,
    COLUMN_ELAPSED_MS,
    COLUMN_STAGE_MS, /* of the first stage; the others follow */
    COLUMN_EXIT_CODE = COLUMN_STAGE_MS + STAGE_COUNT,
    COLUMN_REBOOT, /* "true" or "false"; "" without an exit code */
    COLUMN_COUNT,
};

#define COLUMN_NUMBER_SIZE 24 /* any number or code */
/* A cell after text_printable: each byte of the longest text as \xNN. */
#define COLUMN_PRINTABLE_SIZE (4 * LIMIT_TARGET_NAME_SIZE)

/* "target", "elapsed_ms", ... */
const char *column_name(size_t column);
/* Whether its cells are counts or times. */
bool column_is_number(size_t column);
/* The cell, as foreign as the row's texts are; "" when not known. Returns the row's own text, or
 * `number` filled. */
const char *column_text(size_t column, const struct report_row *row,
                        char number[COLUMN_NUMBER_SIZE]);

#endif
