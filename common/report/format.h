/* How times, durations, sizes and states look to people and to programs. Pure. */
#ifndef PUSHER_REPORT_FORMAT_H
#define PUSHER_REPORT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/message.h"

#define FORMAT_TIME_SIZE 32 /* "2026-01-31T12:00:00.123Z" and room for any 64-bit value */
#define FORMAT_DURATION_SIZE 32
#define FORMAT_BYTES_SIZE 32

/* RFC 3339, UTC, milliseconds. Returns `text`. */
char *format_time(uint64_t unix_ms, char text[FORMAT_TIME_SIZE]);
/* "00:04:10", hours as many as there are; rounded down. Returns `text`. */
char *format_duration(uint64_t ms, char text[FORMAT_DURATION_SIZE]);
/* "812 B", "1.4 MiB". Returns `text`. */
char *format_bytes(uint64_t bytes, char text[FORMAT_BYTES_SIZE]);
/* "open", "stopped", "cancelling", "closed"; "?" when out of range. */
const char *push_state_word(enum push_state state);

#endif
