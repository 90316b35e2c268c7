/* Options of a command line: a table per command, one-line errors, help made from the table.
 *
 * getopt_long and argp print errors of two lines of their own wording and accept abbreviations;
 * a script that meets a later version's new option would break. Here a name is the whole name.
 * "--name=value", "--name value", "-nvalue", "-n value" and bundled flags are understood; options
 * and positional words mix; everything after "--" is left to the caller.
 */
#ifndef PUSHER_CLI_OPTIONS_H
#define PUSHER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/base/err.h"

/* Keys that mean the same in every table. */
enum { OPTION_LATER = -1, OPTION_POSITIONAL = -2 };

struct option_row {
    const char *name;     /* without "--" */
    char letter;          /* short form, 0: none */
    int key;              /* handed to the callback; OPTION_LATER: known, not in this version */
    const char *argument; /* its name in the help; NULL: a flag */
    const char *help;     /* a sentence; NULL: not shown */
};

struct option_table {
    const struct option_row *rows;
    size_t count;
};

/* Called for each option in order, and with OPTION_POSITIONAL for each other word. */
typedef int option_handler(void *context, int key, const char *value, struct err *err);

/* Goes through argv[0..argc). `tables` are searched in order. *rest is the index after "--", or
 * argc. Errors: ERR_INVALID, and whatever the handler says. */
int options_parse(const struct option_table *tables, size_t table_count, int argc,
                  char *const *argv, option_handler *handler, void *context, int *rest,
                  struct err *err);
/* Prints the rows that have help, aligned. */
void options_help(FILE *out, const struct option_table *table);

#endif
