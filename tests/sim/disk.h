/* A simulated disk under a process's plain state: what is written counts at once for the process
 * itself, and survives its end only when it was committed.
 *
 * Whoever is about to change bytes of the state says so first: disk_write. A commit keeps all that
 * was written since the last one, a crash takes all of it back: a PERSIST is wholly there or wholly
 * gone. The state must not move meanwhile. Called by store.c and journal.c; the state is theirs.
 */
#ifndef PUSHER_SIM_DISK_H
#define PUSHER_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_change {
    void *at;
    size_t size;
    size_t offset; /* of the bytes that stood there, in disk.before */
};

struct disk {
    struct disk_change *changes; /* owned; of the open transaction, oldest first */
    size_t change_count, change_capacity;
    uint8_t *before; /* owned */
    size_t before_size, before_capacity;
};

void disk_release(struct disk *disk);
/* These bytes are about to change. */
void disk_write(struct disk *disk, void *at, size_t size);
/* Whether there is anything that a crash would take. */
bool disk_dirty(const struct disk *disk);
/* All of it is durable. */
void disk_commit(struct disk *disk);
/* None of it was ever there. */
void disk_crash(struct disk *disk);

#endif
