/* What the commands that look at pushes share: their words, the session, how they end.
 *
 * A command is a struct look_command and a function; look_run does the rest. Private to the
 * program's commands.
 */
#ifndef PUSHER_CLI_LOOK_H
#define PUSHER_CLI_LOOK_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/session.h"

enum look_key { LOOK_FAILED = 1, LOOK_STAGE, LOOK_SITE, LOOK_REASON, LOOK_PUSH, LOOK_WATCH };

/* Words of one of these commands. */
struct look {
    struct common_options common;
    struct report_filter filter;
    const char *word; /* positional: PUSH, or why's HOST */
    bool watch;
};

/* What -o may say. */
enum look_formats {
    FORMATS_TABLE,
    FORMATS_JSON,   /* also json */
    FORMATS_REPORT, /* everything that common/report knows */
};

/* What differs between them. */
struct look_command {
    const char *usage;
    const char *about;
    struct option_table options;
    bool word_is_host;
    bool word_needed;
    bool push_needed;        /* without any there is nothing to print */
    bool coordinator_needed; /* makes no sense in private mode */
    enum look_formats formats;
    int (*run)(struct session *session, struct look *look); /* returns the exit status */
};

/* Reads the words, opens a session without a relay, runs the command. Returns the exit status. */
int look_run(const struct look_command *command, int argc, char *const *argv);
bool look_json_wanted(const struct look *look);
/* The status of the push that the filter selects. Errors: as session_call. */
int look_status(struct session *session, const struct look *look, struct message *answer,
                struct err *err);
/* A line about a push. */
void look_print_status(const struct message_status *status);
/* Flushes standard output; `status`, or EXIT_INTERNAL when that fails, which is said. */
int look_written(int status);
/* After a writer of common/report. */
int look_output_written(int result, const struct err *err);

#endif
