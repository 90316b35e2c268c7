/* Small files of the state folder: read only when nobody else could have written or read them,
 * replaced as a whole or not at all.
 */
#ifndef PUSHER_RELAY_STATE_FILE_H
#define PUSHER_RELAY_STATE_FILE_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends the file's bytes to `out`, whose maximum bounds them. Errors: ERR_NOT_FOUND; ERR_DENIED
 * when it is not a regular file of ours with mode 0600 or 0400; ERR_INVALID when it is too long;
 * ERR_IO. */
int state_file_read(const char *path, struct buf *out, struct err *err);
/* Writes a file of mode 0600 in the place of what is there; durable when it returns. Errors:
 * ERR_NO_SPACE, ERR_LIMIT, ERR_IO. */
int state_file_write(const char *path, const void *data, size_t size, struct err *err);
/* Makes what was renamed or removed in the file's folder durable. Errors: ERR_IO. */
int state_folder_sync(const char *path, struct err *err);

#endif
