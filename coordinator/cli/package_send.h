/* Packages at the coordinator: bringing one there, finding one by its name or digest. */
#ifndef PUSHER_CLI_PACKAGE_SEND_H
#define PUSHER_CLI_PACKAGE_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/pkg/file.h"
#include "coordinator/cli/session.h"

#define PACKAGE_PREFIX_MIN 8U /* digits of a digest that name a package */

struct package_offer {
    const struct package_file *file;
    const char *name; /* what it is called there */
    uint8_t digest[LIMIT_DIGEST_BYTES];
    bool directory;
};

/* Sends what the coordinator lacks of it; may be repeated. Errors: as session_call; ERR_INVALID
 * when the file changes while it is read. */
int package_send(struct session *session, const struct package_offer *offer, struct err *err);
/* The one package that is called so, or whose digest begins so (PACKAGE_PREFIX_MIN digits or more).
 * Errors: ERR_NOT_FOUND; ERR_INVALID when several fit; as session_call. */
int package_find(struct session *session, const char *word, struct package_row *row,
                 struct err *err);
/* The same among these rows. */
int package_choose(const struct package_row *rows, uint32_t count, const char *word,
                   struct package_row *row, struct err *err);

#endif
