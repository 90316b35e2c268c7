/* See disk.h: an undo log. */
#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void disk_release(struct disk *disk)
{
    free(disk->changes);
    free(disk->before);
    *disk = (struct disk){0};
}

void disk_write(struct disk *disk, void *at, size_t size)
{
    if (disk->change_count == disk->change_capacity) {
        disk->change_capacity = disk->change_capacity == 0 ? 16 : 2 * disk->change_capacity;
        disk->changes = mem_resize(disk->changes, disk->change_capacity, sizeof *disk->changes);
    }
    while (disk->before_size + size > disk->before_capacity) {
        disk->before_capacity = disk->before_capacity == 0 ? 4096 : 2 * disk->before_capacity;
        disk->before = mem_resize(disk->before, disk->before_capacity, 1);
    }
    disk->changes[disk->change_count++] = (struct disk_change){at, size, disk->before_size};
    memcpy(disk->before + disk->before_size, at, size);
    disk->before_size += size;
}

bool disk_dirty(const struct disk *disk)
{
    return disk->change_count > 0;
}

void disk_commit(struct disk *disk)
{
    disk->change_count = 0;
    disk->before_size = 0;
}

void disk_crash(struct disk *disk)
{
    for (size_t i = disk->change_count; i > 0; i--) {
        const struct disk_change *change = &disk->changes[i - 1];
        memcpy(change->at, disk->before + change->offset, change->size);
    }
    disk_commit(disk);
}
