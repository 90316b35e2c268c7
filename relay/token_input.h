/* Where an enrolment token comes from: a file, standard input, or the terminal. It is a secret: it
 * is kept in secret memory and never shown.
 */
#ifndef PUSHER_RELAY_TOKEN_INPUT_H
#define PUSHER_RELAY_TOKEN_INPUT_H

#include "common/base/err.h"
#include "common/signed/token.h"

/* Moves the token out of an argument: who lists processes from now on sees none. Errors:
 * ERR_INVALID. */
int token_from_argument(char *argument, struct token *out, struct err *err);
/* First line of the file, which nobody else may read; "-": of standard input. Errors: ERR_INVALID,
 * ERR_DENIED, ERR_IO. */
int token_from_file(const char *path, struct token *out, struct err *err);
/* Asks for it, without echo. Errors: ERR_INVALID (no terminal, no token). */
int token_from_terminal(struct token *out, struct err *err);

#endif
