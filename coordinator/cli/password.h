/* The push account's password, and the passphrase of the operator's key: from a file that nobody
 * else can read, or typed without echo. Never from arguments or the environment. */
#ifndef PUSHER_CLI_PASSWORD_H
#define PUSHER_CLI_PASSWORD_H

#include "common/base/err.h"
#include "common/model/limits.h"

/* First line of the file, without its end. `secret` is secret memory of LIMIT_SECRET_SIZE bytes.
 * Errors: ERR_INVALID: unreadable, empty, too long, not UTF-8, or open to others. */
int password_from_file(const char *path, char *secret, struct err *err);
/* Asks on the terminal. Errors: ERR_INVALID: no terminal, empty; ERR_TIMEOUT: Ctrl-C. */
int password_from_terminal(const char *account, char *secret, struct err *err);
/* The same for the passphrase of a key; the terminal shows the printable prompt and ": ". */
int passphrase_from_file(const char *path, char *secret, struct err *err);
int passphrase_from_terminal(const char *prompt, char *secret, struct err *err);

#endif
