/* Disk space held back, so that a full disk stops new work and not the work that is open.
 *
 * A file of a fixed size lies in a daemon's state folder. When the file system runs low the file is
 * given up: what is open ends with that space, and the daemon takes nothing new until there is
 * room to hold the file again. The daemon asks reserve_look every few seconds and before it takes
 * new work; looking costs one statvfs. Called by the daemons' shells.
 */
#ifndef PUSHER_BASE_RESERVE_H
#define PUSHER_BASE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define RESERVE_BYTES (64ULL << 20) /* what daemons hold back unless told otherwise */

struct reserve;

/* Looks for the first time, so that what an earlier process held or gave up is known. `bytes` 0:
 * nothing is held back, reserve_look always says true. Errors: ERR_IO, ERR_DENIED (of the folder,
 * not of a full disk). */
int reserve_new(struct reserve **out, const char *folder, uint64_t bytes, struct err *err);
/* The file stays. NULL is fine. */
void reserve_free(struct reserve *reserve);
/* Whether there is room for new work. Takes or gives up the file as the space demands: given up
 * when less than a quarter of its size is free, taken again when its size and as much again is. */
bool reserve_look(struct reserve *reserve);

#endif
