/* What the user is told on standard error, and the options every command has. Only the program's
 * commands call this; libraries return errors. */
#ifndef PUSHER_CLI_SAY_H
#define PUSHER_CLI_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "coordinator/cli/options.h"

/* Exit statuses, docs: product table in `pusher help exit`. */
enum exit_status {
    EXIT_ALL_SUCCEEDED = 0,
    EXIT_INTERNAL = 1,
    EXIT_USAGE = 2,
    EXIT_FAILURES = 3,
    EXIT_NOT_ALL = 4,
    EXIT_THRESHOLD = 5,
    EXIT_NO_TARGETS = 6,
    EXIT_UNREACHABLE = 7,
    EXIT_DENIED = 8,
    EXIT_TIMEOUT = 9,
    EXIT_INTERRUPTED = 130,
};

enum colour_mode { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

/* Options of every command. */
struct common_options {
    bool quiet;
    bool verbose;
    bool help;
    bool version;
    enum colour_mode colour;
    const char *format;      /* -o */
    const char *coordinator; /* --coordinator; NULL: not given */
};

/* Keys of the common table, above those of the commands. */
enum common_key {
    COMMON_QUIET = 0x1000,
    COMMON_VERBOSE,
    COMMON_COLOUR,
    COMMON_FORMAT,
    COMMON_COORDINATOR,
    COMMON_HELP,
    COMMON_VERSION,
};

extern const struct option_table common_table;
/* Handles a key of common_table. Returns 1 when it is none of those. Errors: ERR_INVALID. */
int common_option(struct common_options *common, int key, const char *value, struct err *err);

/* The coordinator that commands talk to: --coordinator, else PUSHER_COORDINATOR. "": none is
 * configured, which is private mode. */
const char *common_coordinator(const struct common_options *common);
/* Whether an endpoint can be a coordinator's: "ipc://PATH" with an absolute path that fits a Unix
 * socket, or "". Errors: ERR_INVALID. */
int coordinator_endpoint_check(const char *endpoint, struct err *err);

/* "pusher: TEXT"; one line, made printable. Not said with -q: say; said always: complain. */
void say(const struct common_options *common, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void say_more(const struct common_options *common, const char *format, ...) /* with -v only */
    __attribute__((format(printf, 2, 3)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The line that is typed next, without its end; "" when there is none. Errors: ERR_TIMEOUT with
 * EINTR when Ctrl-C came first. */
int line_ask(char *answer, size_t size, struct err *err);

/* Exit status of an error that ended a command. ERR_TIMEOUT with EINTR: somebody pressed Ctrl-C. */
int exit_of_err(const struct err *err);
/* Prints the error and returns its status. */
int complain_err(const struct err *err);

/* Whether output on this descriptor gets colours: --color, NO_COLOR, a terminal. */
bool colour_on(const struct common_options *common, int fd);
/* Columns of the terminal on this descriptor; 0: not a terminal. */
size_t terminal_width(int fd);

#endif
