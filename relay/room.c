/* Which packages go, so that another one has room. */
#include "relay/room.h"

#include <inttypes.h>
#include <stdlib.h>

struct sums {
    uint64_t used;      /* bytes of all packages */
    uint64_t removable; /* of those that nobody needs */
    uint64_t disk;      /* free bytes */
};

static uint64_t saturated_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* How many bytes must go before `bytes` more fit. */
static uint64_t missing(const struct room *room, const struct sums *sums, uint64_t bytes)
{
    uint64_t quota = saturated_sub(sums->used + bytes, room->cache_max);
    uint64_t disk = saturated_sub(bytes + ROOM_DISK_RESERVE, sums->disk);
    return quota > disk ? quota : disk;
}

/* Oldest first. */
static int by_age(const void *left, const void *right)
{
    const struct package_entry *a = left;
    const struct package_entry *b = right;
    return (a->used_unix_ms > b->used_unix_ms) - (a->used_unix_ms < b->used_unix_ms);
}

static int no_room(const struct room *room, const struct sums *sums, uint64_t bytes,
                   struct err *err)
{
    uint64_t kept = sums->used - sums->removable;
    if (kept + bytes > room->cache_max)
        return err_set(err, ERR_NO_SPACE,
                       "the relay's package cache has no room for %" PRIu64
                       " bytes: it may hold %" PRIu64 " (--cache-max), and %" PRIu64 " are in use",
                       bytes, room->cache_max, kept);
    return err_set(err, ERR_NO_SPACE,
                   "the relay's disk has no room for the package: %" PRIu64
                   " bytes are missing, %" PRIu64 " are free",
                   bytes, saturated_sub(sums->disk + sums->removable, ROOM_DISK_RESERVE));
}

static int remove_oldest(const struct room *room, const struct package_entry *entries, size_t count,
                         uint64_t needed, struct err *err)
{
    uint64_t freed = 0;
    for (size_t i = 0; i < count && freed < needed; i++) {
        if (room->in_use(room->context, entries[i].digest))
            continue;
        if (package_store_remove(room->store, entries[i].digest, err) != 0)
            return -1;
        room->removed(room->context, &entries[i]);
        freed += entries[i].bytes;
    }
    return 0;
}

int room_make(const struct room *room, uint64_t bytes, struct err *err)
{
    struct package_entry *entries;
    struct sums sums = {0};
    size_t count;
    if (package_store_disk(room->store, &sums.disk, err) != 0 ||
        package_store_list(room->store, &entries, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        sums.used += entries[i].bytes;
        if (!room->in_use(room->context, entries[i].digest))
            sums.removable += entries[i].bytes;
    }
    qsort(entries, count, sizeof *entries, by_age);
    uint64_t needed = missing(room, &sums, bytes);
    int result = needed > sums.removable ? no_room(room, &sums, bytes, err)
                                         : remove_oldest(room, entries, count, needed, err);
    free(entries);
    return result;
}
