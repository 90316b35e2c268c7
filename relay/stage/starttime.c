/* Start times: arithmetic only. */
#include "relay/stage/starttime.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FILETIME_PER_SECOND 10000000ULL
#define FILETIME_UNIX_EPOCH_S 11644473600ULL /* seconds from 1601-01-01 to 1970-01-01 */

int64_t filetime_to_unix_s(uint64_t filetime)
{
    uint64_t seconds = filetime / FILETIME_PER_SECOND;
    return seconds > FILETIME_UNIX_EPOCH_S ? (int64_t)(seconds - FILETIME_UNIX_EPOCH_S) : 0;
}

uint64_t filetime_from_unix_s(int64_t unix_s)
{
    return unix_s < 0 ? 0 : ((uint64_t)unix_s + FILETIME_UNIX_EPOCH_S) * FILETIME_PER_SECOND;
}

int start_plan_make(const struct job *job, uint64_t system_time, uint64_t elapsed_ms,
                    struct start_plan *plan, struct err *err)
{
    /* Rounded up twice: a start is never earlier than the margin says. */
    int64_t soonest = filetime_to_unix_s(system_time) + 1 + (int64_t)((elapsed_ms + 999) / 1000) +
                      STARTTIME_MARGIN_S;
    struct start_plan made = {.start_unix_s = soonest, .end_unix_s = job->end_unix_s, .utc = true};
    if (job->start_unix_s != 0) {
        made.utc = job->zone == TIME_ZONE_UTC;
        if (!made.utc || job->start_unix_s > soonest)
            made.start_unix_s = job->start_unix_s;
    }
    if (made.end_unix_s <= made.start_unix_s)
        return err_set(err, ERR_INVALID, "the task would have to end before it could start");
    *plan = made;
    return 0;
}

char *start_plan_text(const struct start_plan *plan, char text[STARTTIME_TEXT_SIZE])
{
    struct tm parts;
    time_t at = (time_t)plan->start_unix_s;
    if (gmtime_r(&at, &parts) == NULL ||
        strftime(text, STARTTIME_TEXT_SIZE, plan->utc ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%S",
                 &parts) == 0)
        (void)snprintf(text, STARTTIME_TEXT_SIZE, "?");
    return text;
}

int64_t start_plan_earliest(int64_t boundary_unix_s, bool utc)
{
    return utc ? boundary_unix_s : boundary_unix_s - STARTTIME_ZONE_EAST_S;
}

int boundary_parse(const char *text, int64_t *unix_s, bool *utc)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (end == NULL)
        return -1;
    if (*end == '.') /* a scheduler may add a fraction */
        end += 1 + strspn(end + 1, "0123456789");
    if (*end != '\0' && strcmp(end, "Z") != 0)
        return -1;
    *utc = *end == 'Z';
    *unix_s = timegm(&parts);
    return 0;
}
