/* Pushes as JSON, schema_version 1, for commands that look at them without their rows. Used by the
 * CLI's list, show and status. Strings are escaped as in the JSON report.
 */
#ifndef PUSHER_REPORT_PUSH_JSON_H
#define PUSHER_REPORT_PUSH_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"

/* {"schema_version": 1, "pushes": [{"push": {...}, "totals": {...}}, ...]}, a push a line.
 * `push` is the report's with "generation", "bytes", "closed", "operator_key", "account" in it.
 * Errors: ERR_IO. */
int push_json_list(FILE *out, const struct push_summary *pushes, uint32_t count, struct err *err);
/* {"schema_version": 1, "push": {...}, "totals": {...}, "sites": [...], "relays": [...]}; `sites`,
 * a site's name and totals each, may be NULL: not there. Errors: ERR_IO. */
int push_json_status(FILE *out, const struct message_status *status, const struct push_part *sites,
                     uint32_t site_count, struct err *err);

#endif
