/* What became of one target, told at length: for people and as JSON. Used by the CLI's why.
 *
 * Every text of the row is a stranger's. What the package printed is escaped line by line: control
 * characters, what reorders text and bytes that are no UTF-8 become \\xNN or \\u{NNNN}.
 */
#ifndef PUSHER_REPORT_WHY_H
#define PUSHER_REPORT_WHY_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"

/* Timeline, code, cause, remedy and output. Errors: ERR_IO. */
int why_print(FILE *out, const struct report_row *row, const struct push_summary *push,
              struct err *err);
/* {"schema_version": 1, "push": {...}, "target": {...}}: push and target as in the report, in
 * target also "cause", "remedy", "exit_meaning", "output", "output_encoding" and "output_cut". The
 * output is a string when it is UTF-8 without NUL ("utf-8"), else base64 ("base64"); cut tells that
 * it is as long as it may be, so its beginning is probably missing. Errors: ERR_IO. */
int why_json(FILE *out, const struct report_row *row, const struct push_summary *push,
             struct err *err);

#endif
