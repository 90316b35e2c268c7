/* Items of TARGETS and --exclude that need a file: "@file" and "-". Everything else is passed on.
 *
 * A file has one item a line. Blank lines and what follows a '#' are skipped; of a CSV line
 * (',', ';' or tab) the first column counts, with or without quotation marks; CRLF and a UTF-8
 * byte-order mark are fine. Every error names file and line.
 */
#ifndef PUSHER_CLI_TARGET_FILE_H
#define PUSHER_CLI_TARGET_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/err.h"
#include "coordinator/cli/targets.h"

/* Adds one -t (or, with exclude, one --exclude) value. "-" reads `input` (standard input).
 * Errors: ERR_INVALID, ERR_LIMIT as targets_include; ERR_IO unreadable file; ERR_INVALID no item
 * in the file. */
int target_argument_add(struct targets *targets, const char *value, bool exclude, FILE *input,
                        struct err *err);
/* The lines of an open file; `name` is for errors. */
int target_lines_add(struct targets *targets, FILE *file, const char *name, bool exclude,
                     struct err *err);

#endif
