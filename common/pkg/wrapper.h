/* The script through which a job that is waited for runs its package, and what cmd would change in
 * a command line.
 *
 * Called by the CLI before it signs and by the relay on the signed job. Pure: the same job gives
 * the same bytes. The task runs WRAPPER_COMMAND with wrapper_arguments; the script runs the job's
 * command with no input, sends what it prints to WRAPPER_OUTPUT, writes the exit code in decimal to
 * WRAPPER_END and ends with the same code. Arguments reach the package as they stand in the job;
 * of the command only variables (%SystemRoot%) are replaced, as the Task Scheduler does.
 */
#ifndef PUSHER_PKG_WRAPPER_H
#define PUSHER_PKG_WRAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/id.h"
#include "common/model/job.h"

#define WRAPPER_COMMAND "%SystemRoot%\\System32\\cmd.exe"
#define WRAPPER_FOLDER "C:\\SPDISTRO\\"
#define WRAPPER_LINE_MAX 8191U /* characters of a line that cmd reads */
#define WRAPPER_SIZE_MAX 16384U
#define WRAPPER_NAME_SIZE 64 /* ".pusher-<32 digits>-<number>.cmd" and a NUL */
#define WRAPPER_ARGUMENTS_SIZE 128

enum wrapper_file {
    WRAPPER_SCRIPT, /* .cmd */
    WRAPPER_OUTPUT, /* .out: what the package printed */
    WRAPPER_END,    /* .end: its exit code, once it has ended */
};

/* ".pusher-<push>-<generation>.cmd" and so on. Returns `name`. */
char *wrapper_name(const struct push_id *push, uint32_t generation, enum wrapper_file file,
                   char name[WRAPPER_NAME_SIZE]);
/* What the task passes to WRAPPER_COMMAND. Returns `arguments`. */
char *wrapper_arguments(const struct push_id *push, uint32_t generation,
                        char arguments[WRAPPER_ARGUMENTS_SIZE]);
/* Appends the script: ASCII, lines ending in CR LF. `out` holds at least WRAPPER_SIZE_MAX; it is
 * undefined on error. Errors: ERR_INVALID (a character that would not arrive as it is, named in the
 * text), ERR_LIMIT (the line is longer than cmd reads). */
int wrapper_build(const struct job *job, struct buf *out, struct err *err);
/* Whether the job's command line reaches the package as it stands: with `wait` whatever
 * wrapper_build refuses; else what cmd would change on the way to a package that is a script.
 * A package of several files needs a command and a name that folder_name_check takes, and is
 * never removed. Errors: as
 * wrapper_build. */
int job_command_check(const struct job *job, struct err *err);
/* Reads WRAPPER_END's bytes, which are the target's: what `echo %errorlevel%` writes, a 32-bit
 * number, signed, and a line end. */
bool wrapper_end_read(const uint8_t *bytes, size_t size, uint32_t *code);

#endif
