/* Small files of the coordinator's state folder. Called by main.c, rotate.c and shell.c. */
#ifndef PUSHER_COORDINATOR_FILES_H
#define PUSHER_COORDINATOR_FILES_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"

#define FILES_PATH_SIZE 4096

/* "FOLDER/NAME". Errors: ERR_LIMIT when too long. */
int files_path(char path[FILES_PATH_SIZE], const char *folder, const char *name, struct err *err);
/* Reads a public key: a line of 64 hexadecimal digits. Errors: ERR_NOT_FOUND, ERR_INVALID, ERR_IO.
 */
int files_read_key(const char *path, uint8_t key[LIMIT_KEY_BYTES], struct err *err);
/* Writes one, mode 0600, renamed into place. Errors: ERR_IO. */
int files_write_key(const char *path, const uint8_t key[LIMIT_KEY_BYTES], struct err *err);
/* Locks the state folder while *lock_fd is open. Errors: ERR_EXISTS when a coordinator runs on it,
 * ERR_IO. */
int files_lock_state(const char *folder, int *lock_fd, struct err *err);
/* Makes the state folder (0700) when missing, the CURVE pair curve.key, and curve.pub beside it.
 * What is there already stays. Errors: ERR_IO, ERR_DENIED, ERR_INVALID. */
int files_init_state(const char *folder, struct err *err);

#endif
