/* Times, durations, sizes as text. */
#include "common/report/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

char *format_time(uint64_t unix_ms, char text[FORMAT_TIME_SIZE])
{
    /* 9999-12-31: RFC 3339 has four digits for the year. */
    const uint64_t last_ms = 253402300799999ULL;
    uint64_t shown_ms = unix_ms > last_ms ? last_ms : unix_ms;
    time_t seconds = (time_t)(shown_ms / 1000);
    struct tm utc;
    char date[24];
    gmtime_r(&seconds, &utc);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text, FORMAT_TIME_SIZE, "%s.%03uZ", date, (unsigned)(shown_ms % 1000));
    return text;
}

char *format_duration(uint64_t ms, char text[FORMAT_DURATION_SIZE])
{
    uint64_t seconds = ms / 1000;
    (void)snprintf(text, FORMAT_DURATION_SIZE, "%02" PRIu64 ":%02u:%02u", seconds / 3600,
                   (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
    return text;
}

char *format_bytes(uint64_t bytes, char text[FORMAT_BYTES_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        (void)snprintf(text, FORMAT_BYTES_SIZE, "%u B", (unsigned)bytes);
        return text;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    (void)snprintf(text, FORMAT_BYTES_SIZE, "%.1f %s", value, units[unit]);
    return text;
}

const char *push_state_word(enum push_state state)
{
    switch (state) {
    case PUSH_OPEN:
        return "open";
    case PUSH_STOPPED:
        return "stopped";
    case PUSH_CANCELLING:
        return "cancelling";
    case PUSH_CLOSED:
        return "closed";
    case PUSH_ROUTING:
        return "routing";
    case PUSH_STATE_COUNT:
        break;
    }
    return "?";
}
