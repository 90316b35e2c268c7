/* A package of several files: a folder as one blob, which is stored, sent and digested like a
 * package file.
 *
 * The blob is a head and then the contents in the head's order, nothing between or behind them:
 *
 *     8 bytes  "PUSHFLDR"
 *     u32      version, 1
 *     u32      how many files, 1 to FOLDER_FILES_MAX
 *     for each: u16 length of the path, the path, u64 size of the file
 *
 * Numbers are little-endian. Paths are UTF-8, relative, with '/' between components, each of which
 * may be a package's name (pkg/name.h), at most FOLDER_PATH_MAX bytes and FOLDER_DEPTH_MAX
 * components long. They ascend strictly, byte by byte, so a folder has one blob only. No two are
 * equal and none is a folder on the way to another, whatever the case of the letters A to Z.
 * Folders without files are not part of it.
 *
 * The builder is called by the CLI, the reader by both: a relay trusts nothing of a blob but its
 * digest, and that says only who signed for it.
 */
#ifndef PUSHER_PKG_FOLDER_H
#define PUSHER_PKG_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/pkg/file.h"

#define FOLDER_FILES_MAX 10000U
#define FOLDER_PATH_MAX 200U /* bytes of a path in it */
#define FOLDER_DEPTH_MAX 16U /* components of a path */
/* Win32 holds 259 characters of C:\SPDISTRO\NAME\PATH. */
#define FOLDER_NAME_MAX 46U
#define FOLDER_HEAD_MAX (16U + FOLDER_FILES_MAX * (2U + FOLDER_PATH_MAX + 8U))

struct folder_file {
    const char *path; /* within the folder's text */
    uint64_t offset;  /* of its content in the blob */
    uint64_t size;
};

struct folder {
    char *text; /* owned: all paths, each with a NUL */
    struct folder_file *files;
    uint32_t count;
};

/* Whether a package of several files may be called so: a package's name of at most FOLDER_NAME_MAX
 * bytes. Errors: ERR_INVALID. */
int folder_name_check(const char *name, struct err *err);

/* Reads the head of a blob of `bytes` bytes that begins with `head` (at least FOLDER_HEAD_MAX bytes
 * of it, or all). On failure `folder` is zeroed. Errors: ERR_INVALID with what is wrong. */
int folder_decode(struct folder *folder, const uint8_t *head, size_t head_size, uint64_t bytes,
                  struct err *err);
/* The same from an open file of `bytes` bytes. Errors: also ERR_IO. */
int folder_read(struct folder *folder, int fd, uint64_t bytes, struct err *err);
/* A zeroed or released one is fine. */
void folder_release(struct folder *folder);

/* Whether folder_build would take the folder at `path`, as far as that shows without reading its
 * files. Errors: as folder_build. */
int folder_check(const char *path, struct err *err);
/* Makes the blob of the folder at `path` in a nameless file in $TMPDIR (/var/tmp) and opens that as
 * `file`, which is called as the folder is. A folder holds regular files and folders, nothing else:
 * a link, device or socket is refused. On failure `file` is released. Errors: ERR_NOT_FOUND,
 * ERR_DENIED, ERR_INVALID (what may not be in it or changed while it was read, with its path),
 * ERR_LIMIT, ERR_IO. */
int folder_build(const char *path, struct package_file *file, struct err *err);

/* Opens what `path` names, a file or a folder, as a package. Errors: as package_file_open and
 * folder_build. */
int package_open(const char *path, struct package_file *file, bool *directory, struct err *err);

#endif
