/* Packages in a folder, by content: DIR/<hexadecimal SHA-256> is whole and was checked, and
 * DIR/<hexadecimal SHA-256>.part is on its way.
 *
 * Used by the coordinator (upload from the CLI, reading for relays) and by the relay (cache). Bytes
 * arrive in order and survive a crash of either side: whoever sends asks for the offset to go on
 * from. A whole package got its name by rename only after its digest was right and its bytes were
 * synced, so a file under its final name needs no second look. Files are 0600, the folder 0700.
 * Calls block on the disk for at most one chunk, but for the ends of a package (sync) and the first
 * append after a restart (the part is read again for its digest).
 */
#ifndef PUSHER_PKG_STORE_H
#define PUSHER_PKG_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"

struct package_store;

/* Opens the folder, making it when missing (its parent must be there). *out is the caller's.
 * Errors: ERR_IO, ERR_DENIED. */
int package_store_new(struct package_store **out, const char *folder, struct err *err);
void package_store_free(struct package_store *store);

/* Where to go on: *offset is the bytes that are there; == bytes: whole and checked. A part that is
 * as long as the whole or longer is thrown away first. Errors: ERR_INVALID when `bytes` is 0 or the
 * whole package is here with another size; ERR_LIMIT; ERR_IO. */
int package_store_offset(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         uint64_t bytes, uint64_t *offset, struct err *err);
/* Appends at exactly the offset that is next; *next is where to go on after it, == bytes once the
 * package is whole, checked and renamed. A repeated chunk (offset below what is there) is ignored
 * with *next set. Errors: ERR_INVALID when the offset leaves a gap or the bytes pass the end (*next
 * is set); ERR_DENIED when the whole has another digest (the part is gone: start again);
 * ERR_NO_SPACE, ERR_IO. */
int package_store_append(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         uint64_t bytes, uint64_t offset, const uint8_t *data, size_t size,
                         uint64_t *next, struct err *err);
/* Reads up to `size` bytes of a whole package at `offset`: *got bytes (0 at or past the end),
 * *bytes is the package's size. Errors: ERR_NOT_FOUND when it is not here whole; ERR_IO. */
int package_store_read(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t offset, uint8_t *to, size_t size, size_t *got, uint64_t *bytes,
                       struct err *err);
/* Reads `size` bytes at `offset` of what is here of a package, whole or on its way: *got is `size`,
 * or 0 when they are not all here. What is on its way was not checked: the reader does that.
 * Errors: ERR_NOT_FOUND when nothing of it is here; ERR_IO. */
int package_store_peek(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t offset, uint8_t *to, size_t size, size_t *got, struct err *err);
/* A descriptor for reading a whole package, the caller's to close; *bytes is its size. Returns -1
 * on failure. Errors: as package_store_read. */
int package_store_open(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       uint64_t *bytes, struct err *err);
/* Path of the whole package in `path`, whether it is there or not. Errors: ERR_LIMIT. */
int package_store_path(const struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       char *path, size_t path_size, struct err *err);
/* Removes package and part; neither needs to be there. Errors: ERR_IO. */
int package_store_remove(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                         struct err *err);
/* Notes that the whole package was used now: see package_entry. What is not here is left alone. */
void package_store_touch(struct package_store *store, const uint8_t digest[LIMIT_DIGEST_BYTES]);

/* A file of the folder. */
struct package_entry {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t bytes;       /* on the disk */
    int64_t used_unix_ms; /* when it was written or touched last */
    bool whole;
};

/* Everything in the folder, in no order; *entries is to be freed. Files of others are left out.
 * Errors: ERR_IO. */
int package_store_list(struct package_store *store, struct package_entry **entries, size_t *count,
                       struct err *err);
/* What the disk under the folder has left for us. Errors: ERR_IO. */
int package_store_disk(struct package_store *store, uint64_t *free_bytes, struct err *err);

#endif
