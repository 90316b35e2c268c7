/* A package file on the admin's disk: opened once, measured, digested, read by offset.
 *
 * Called by the CLI. What was opened is what is pushed: everything goes through one descriptor,
 * and a file that changes while it is read is an error, not a surprise on 4,000 machines.
 */
#ifndef PUSHER_PKG_FILE_H
#define PUSHER_PKG_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/err.h"
#include "common/model/limits.h"

struct package_file {
    int fd;                             /* owned; -1: none */
    uint64_t bytes;                     /* size when opened */
    char name[LIMIT_PACKAGE_NAME_SIZE]; /* last component of the path, checked */
    struct stat opened;                 /* what fstat said when opened */
};

/* Opens a regular, readable, non-empty file of at most LIMIT_PACKAGE_BYTES_MAX whose name may be a
 * package's; symbolic links are followed. On failure `file` is closed. Errors: ERR_NOT_FOUND,
 * ERR_DENIED, ERR_INVALID (directory, empty, name), ERR_LIMIT, ERR_IO. */
int package_file_open(struct package_file *file, const char *path, struct err *err);
/* Closes; a zeroed or closed one is fine. */
void package_file_release(struct package_file *file);
/* SHA-256 of the whole file, read in order. Errors: ERR_IO; ERR_INVALID when the file changed. */
int package_file_digest(const struct package_file *file, uint8_t digest[LIMIT_DIGEST_BYTES],
                        struct err *err);
/* Reads exactly `size` bytes at `offset`, both within the size when opened. Errors: ERR_IO;
 * ERR_INVALID when the file has become shorter. */
int package_file_read(const struct package_file *file, uint64_t offset, void *to, size_t size,
                      struct err *err);

#endif
