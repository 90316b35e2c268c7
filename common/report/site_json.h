/* Sites, routes and what is odd about sites as JSON, schema_version 1: `pusher site ... -o json`.
 */
#ifndef PUSHER_REPORT_SITE_JSON_H
#define PUSHER_REPORT_SITE_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"

/* {"schema_version": 1, "sites": [{"site", "subnets", "patterns", "default", "wan_rate", "relays",
 * "live", "package_bytes_sent"}]}; wan_rate in bytes per second, 0: unlimited; the last since the
 * coordinator began. Errors: ERR_IO. */
int site_json_list(FILE *out, const struct site *sites, uint32_t count, struct err *err);

/* {"schema_version": 1, "routes": [{"target", "address", "site", "by", "match", "reason"}]}: what
 * there is none of is null. Rows may come in several pieces: begin, any number of rows, end.
 * Errors: ERR_IO. */
int route_json_begin(FILE *out, struct err *err);
int route_json_rows(FILE *out, const struct route_row *rows, uint32_t count, bool first,
                    struct err *err);
int route_json_end(FILE *out, struct err *err);

/* {"schema_version": 1, "findings": [{"kind", "error", "text"}], "more": false, "unmapped":
 * [a route]}. Errors: ERR_IO. */
int lint_json(FILE *out, const struct message_lint *lint, const struct route_row *unmapped,
              uint32_t unmapped_count, struct err *err);

/* "nowhere", "unresolved", "site", "subnet", "pattern", "default", "never_touch". */
const char *route_by_word(enum route_by by);
/* "overlap", "gap", "no_relay", "uncovered". */
const char *lint_kind_word(enum lint_kind kind);

#endif
