/* Files of keys: text, mode 0600, ours, written whole or not at all. Private to this room. */
#ifndef PUSHER_TRUST_KEY_FILE_H
#define PUSHER_TRUST_KEY_FILE_H

#include "common/base/err.h"

#define KEY_FILE_SIZE 512 /* more than any key file has */

/* Writes the text to a new file; never replaces one. Errors: as key_pair_save. */
int key_file_write(const char *path, const char *text, struct err *err);
/* Reads a file that only we can read and replace into `text`, zeroed secret memory of KEY_FILE_SIZE
 * bytes. Errors: as key_pair_load. */
int key_file_read(const char *path, char *text, struct err *err);

#endif
