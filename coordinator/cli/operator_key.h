/* The operator's own key: where it is, how it is opened. For every command that signs. */
#ifndef PUSHER_CLI_OPERATOR_KEY_H
#define PUSHER_CLI_OPERATOR_KEY_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/trust/keys.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/paths.h"

/* What the words of such a command say. */
struct operator_options {
    const char *key_file;        /* --key; NULL: PUSHER_KEY, else the usual place */
    const char *passphrase_file; /* --passphrase-file; NULL: the terminal is asked */
};

/* Keys of its table, above those of the commands and of say.h. */
enum operator_option_key { OPERATOR_KEY_FILE = 0x2000, OPERATOR_PASSPHRASE_FILE };

/* --key and --passphrase-file. */
extern const struct option_table operator_table;
/* Handles a key of operator_table. Returns 1 when it is none of those. */
int operator_option(struct operator_options *options, int key, const char *value);

/* --key, else PUSHER_KEY, else $XDG_CONFIG_HOME/pusher/operator.key, else
 * ~/.config/pusher/operator.key. Errors: ERR_INVALID: none can be named. */
int operator_key_path(const struct operator_options *options, char path[STATE_PATH_SIZE],
                      struct err *err);
/* The public half, which needs no passphrase, and the path. Errors: as operator_key_load. */
int operator_key_look(const struct operator_options *options, char path[STATE_PATH_SIZE],
                      uint8_t public_key[LIMIT_KEY_BYTES], bool *wrapped, struct err *err);
/* Loads it; asks for the passphrase when the file is wrapped: first line of the passphrase file, or
 * typed on the terminal. The caller releases the pair. Errors: ERR_INVALID, with what to do, when
 * there is no key or no way to ask; ERR_DENIED: mode, owner, passphrase; ERR_TIMEOUT: Ctrl-C. */
int operator_key_load(const struct operator_options *options, struct key_pair *out,
                      struct err *err);

#endif
