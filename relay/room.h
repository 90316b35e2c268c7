/* Room in the package cache: what was not used for longest goes first.
 *
 * Called by the relay's shell before a package is fetched. Packages stay after their push, since
 * the next one may be of the same; what counts as used is the file's time, so it survives restarts.
 */
#ifndef PUSHER_RELAY_ROOM_H
#define PUSHER_RELAY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pkg/store.h"

#define ROOM_CACHE_MAX (20ULL << 30)    /* default of --cache-max */
#define ROOM_DISK_RESERVE (64ULL << 20) /* left free on the disk, always */

struct room {
    struct package_store *store;
    uint64_t cache_max; /* bytes that packages may take in all */
    /* Whether a job needs the package: it stays. */
    bool (*in_use)(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES]);
    void (*removed)(void *context, const struct package_entry *entry); /* for the log */
    void *context;
};

/* Makes room for so many more bytes. Removes nothing when that would not be enough. Errors:
 * ERR_NO_SPACE, with a sentence for people; ERR_IO. */
int room_make(const struct room *room, uint64_t bytes, struct err *err);

#endif
