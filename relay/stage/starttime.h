/* When a task starts: the target's clock, a margin, and the job's own times. Pure. */
#ifndef PUSHER_RELAY_STAGE_STARTTIME_H
#define PUSHER_RELAY_STAGE_STARTTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/job.h"

#define STARTTIME_MARGIN_S 15 /* longer than the registering call may take */
/* How far local times are from UTC: one of an unknown zone is reached no earlier than this before
 * the same digits in UTC, and surely reached this long after them. */
#define STARTTIME_ZONE_EAST_S (14 * 3600)
#define STARTTIME_ZONE_WEST_S (12 * 3600)
#define STARTTIME_TEXT_SIZE 40

struct start_plan {
    int64_t start_unix_s; /* StartBoundary */
    int64_t end_unix_s;   /* EndBoundary */
    bool utc;             /* both in UTC; false: both on the target's wall clock */
};

/* FILETIME (100 ns since 1601-01-01 UTC, [MS-DTYP] 2.3.3) as Unix seconds, rounded down; 0 for a
 * time before 1970. */
int64_t filetime_to_unix_s(uint64_t filetime);
/* The other way; 0 for a time before 1970. */
uint64_t filetime_from_unix_s(int64_t unix_s);

/* `system_time` is the target's clock (FILETIME) as it said `elapsed_ms` ago. As soon as possible
 * is that clock plus the margin; a start asked for in UTC that has passed by then is moved there,
 * one in the target's zone can't be judged and stays. Without a start asked for the end counts as
 * UTC. Errors: ERR_INVALID the end is not after the start. */
int start_plan_make(const struct job *job, uint64_t system_time, uint64_t elapsed_ms,
                    struct start_plan *plan, struct err *err);
/* "2026-01-31T12:00:00Z" (RFC 3339), without Z on the target's wall clock. Returns `text`. */
char *start_plan_text(const struct start_plan *plan, char text[STARTTIME_TEXT_SIZE]);
/* The earliest moment that a boundary can mean: itself in UTC, else in the easternmost zone. */
int64_t start_plan_earliest(int64_t boundary_unix_s, bool utc);
/* A boundary as a task's XML has it ("2026-01-31T12:00:00" and maybe "Z"); local times give the
 * seconds of the same digits in UTC, and utc = false. Returns 0, or -1 for anything else. */
int boundary_parse(const char *text, int64_t *unix_s, bool *utc);

#endif
