/* Messages for the user. */
#include "coordinator/cli/say.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/report/output.h"

#define LINE_SIZE 1024
#define WIDTH_DEFAULT 80U

static const struct option_row common_rows[] = {
    {"output", 'o', COMMON_FORMAT, "FORMAT",
     "Format of what goes to standard output: table, json (all but cancel); of push and "
     "report also wide, jsonl, csv."},
    {"coordinator", 0, COMMON_COORDINATOR, "ENDPOINT",
     "Work with the coordinator that listens at ipc://PATH. Default: PUSHER_COORDINATOR from the "
     "environment; empty: a private one for as long as the command runs."},
    {"quiet", 'q', COMMON_QUIET, NULL, "No progress and no notes on standard error."},
    {"verbose", 'v', COMMON_VERBOSE, NULL, "Say more on standard error."},
    {"color", 0, COMMON_COLOUR, "WHEN",
     "auto (on a terminal, unless NO_COLOR is set), always, never."},
    {"help", 'h', COMMON_HELP, NULL, "Print this text."},
    {"version", 0, COMMON_VERSION, NULL, "Print the version."},
};

const struct option_table common_table = {common_rows, sizeof common_rows / sizeof *common_rows};

int common_option(struct common_options *common, int key, const char *value, struct err *err)
{
    switch (key) {
    case COMMON_QUIET:
        common->quiet = true;
        return 0;
    case COMMON_VERBOSE:
        common->verbose = true;
        return 0;
    case COMMON_HELP:
        common->help = true;
        return 0;
    case COMMON_VERSION:
        common->version = true;
        return 0;
    case COMMON_FORMAT:
        common->format = value;
        return report_format_check(value, err);
    case COMMON_COORDINATOR:
        common->coordinator = value;
        return coordinator_endpoint_check(value, err) == 0 ? 0 : err_wrap(err, "--coordinator");
    case COMMON_COLOUR:
        if (strcmp(value, "auto") == 0)
            common->colour = COLOUR_AUTO;
        else if (strcmp(value, "always") == 0)
            common->colour = COLOUR_ALWAYS;
        else if (strcmp(value, "never") == 0)
            common->colour = COLOUR_NEVER;
        else
            return err_set(err, ERR_INVALID, "--color: auto, always or never");
        return 0;
    default:
        return 1;
    }
}

const char *common_coordinator(const struct common_options *common)
{
    const char *environment = getenv("PUSHER_COORDINATOR");
    if (common->coordinator != NULL)
        return common->coordinator;
    return environment == NULL ? "" : environment;
}

int coordinator_endpoint_check(const char *endpoint, struct err *err)
{
    static const char scheme[] = "ipc://";
    char shown[80];
    const char *path = endpoint + strlen(scheme);
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (*endpoint == '\0')
        return 0;
    (void)text_printable(shown, sizeof shown, endpoint);
    if (strncmp(endpoint, "tcp://", strlen("tcp://")) == 0)
        return err_set(err, ERR_INVALID,
                       "'%s': a coordinator on another machine: not in this version (ipc://PATH)",
                       shown);
    if (strncmp(endpoint, scheme, strlen(scheme)) != 0 || *path != '/')
        return err_set(err, ERR_INVALID,
                       "'%s' is no coordinator: ipc://PATH of its control socket, PATH from /",
                       shown);
    if (strlen(path) > room)
        return err_set(err, ERR_INVALID, "'%s': a Unix socket's path has at most %zu characters",
                       shown, room);
    return 0;
}

__attribute__((format(printf, 1, 0))) static void line(const char *format, va_list args)
{
    char raw[LINE_SIZE];
    char safe[LINE_SIZE];
    (void)vsnprintf(raw, sizeof raw, format, args);
    (void)fprintf(stderr, "pusher: %s\n", text_printable(safe, sizeof safe, raw));
}

void say(const struct common_options *common, const char *format, ...)
{
    va_list args;
    if (common->quiet)
        return;
    va_start(args, format);
    line(format, args);
    va_end(args);
}

void say_more(const struct common_options *common, const char *format, ...)
{
    va_list args;
    if (!common->verbose)
        return;
    va_start(args, format);
    line(format, args);
    va_end(args);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(format, args);
    va_end(args);
}

int exit_of_err(const struct err *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_LIMIT:
        return EXIT_USAGE;
    case ERR_UNAVAILABLE:
        return EXIT_UNREACHABLE;
    case ERR_TIMEOUT:
        return err->native == EINTR ? EXIT_INTERRUPTED : EXIT_UNREACHABLE;
    case ERR_DENIED:
        return EXIT_DENIED;
    case ERR_NONE:
    case ERR_PROTOCOL:
    case ERR_NO_SPACE:
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return EXIT_INTERNAL;
}

int complain_err(const struct err *err)
{
    complain("%s", err->text);
    return exit_of_err(err);
}

int line_ask(char *answer, size_t size, struct err *err)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    (void)fflush(stderr);
    /* Reading goes on after a signal that a session catches; waiting doesn't. */
    if (poll(&input, 1, -1) < 0)
        return err_set_native(err, ERR_TIMEOUT, EINTR, "interrupted");
    if (fgets(answer, (int)size, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    return 0;
}

bool colour_on(const struct common_options *common, int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    if (common->colour != COLOUR_AUTO)
        return common->colour == COLOUR_ALWAYS;
    return isatty(fd) == 1 && (no_colour == NULL || *no_colour == '\0');
}

size_t terminal_width(int fd)
{
    struct winsize size;
    if (isatty(fd) != 1)
        return 0;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_DEFAULT;
}
