/* JSON values that every JSON output shares: a row, totals, a push. Private to the room.
 *
 * Times are RFC 3339 UTC, durations integer milliseconds, sizes integer bytes; what is not known is
 * null. Members keep the order they were added in. Memory exhaustion ends the process: an object
 * with a member missing would be a wrong report.
 */
#ifndef PUSHER_REPORT_JSON_VALUES_H
#define PUSHER_REPORT_JSON_VALUES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/model/message.h"

/* Writes the value, compact or (indented) a member a line. Everything outside ASCII is written as
 * an escape, and so is DEL, which jansson leaves as it is: harmless on any terminal. Returns 0, or
 * -1 with errno set. */
int value_dump(const json_t *value, FILE *out, bool indented);

/* A string; text that is no UTF-8 has its bad bytes escaped as \xNN. "" and NULL become null. */
json_t *value_text(const char *text);
/* One of the model's words; "-" stands for none and becomes null. */
json_t *value_word(const char *word);
/* A site's or relay's name; "-" stands for none and becomes null. */
json_t *value_name(const char *name);
json_t *value_object(void);
json_t *value_array(void);
/* Take the value. */
void value_member(json_t *object, const char *name, json_t *value);
void value_element(json_t *array, json_t *value);

/* An element of the report's "targets". */
json_t *value_row(const struct report_row *row);
json_t *value_totals(const struct totals *totals, bool wait);
/* The report's "push". */
json_t *value_push(const struct push_summary *push);
/* Its last members: what kind of push it is. */
void value_push_kind(json_t *object, const struct push_summary *push);

#endif
