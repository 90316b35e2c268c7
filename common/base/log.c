/* Log lines: "2026-01-31T12:00:00.123Z pusher-relay[123] warning: text", or "<4>text" under
 * systemd. */
#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"

#define LOG_LINE_SIZE 1024

/* The logger is one of the two globals the project allows itself. */
static const char *log_program = "pusher";
static enum log_level log_level_max = LOG_LEVEL_INFO;

static const struct {
    const char *word;  /* shown in the line */
    int syslog_number; /* sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_setup(const char *program, enum log_level level_max)
{
    log_program = program;
    log_level_max = level_max;
}

__attribute__((format(printf, 2, 0))) static void log_line(enum log_level level, const char *format,
                                                           va_list args)
{
    if (level > log_level_max)
        return;
    char raw[LOG_LINE_SIZE];
    char safe[LOG_LINE_SIZE];
    (void)vsnprintf(raw, sizeof raw, format, args);
    text_printable(safe, sizeof safe, raw);
    if (getenv("JOURNAL_STREAM") != NULL) {
        (void)fprintf(stderr, "<%d>%s\n", levels[level].syslog_number, safe);
        return;
    }
    struct timespec now;
    struct tm utc;
    char stamp[32];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)fprintf(stderr, "%s.%03ldZ %s[%d] %s: %s\n", stamp, now.tv_nsec / 1000000, log_program,
                  (int)getpid(), levels[level].word, safe);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        log_line(level, format, args);                                                             \
        va_end(args);                                                                              \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
