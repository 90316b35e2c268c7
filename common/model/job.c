/* What follows from a job's terms. */
#include "common/model/job.h"

/* The scheduler may notice, and the relay see, an end that much later. */
#define END_MARGIN_S 120
/* A time of the target's own zone comes at most so long after the same time of UTC (UTC-12). */
#define ZONE_BEHIND_MAX_S (12 * 3600)

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t plus(int64_t time_s, int64_t more_s)
{
    return time_s < INT64_MAX - more_s ? time_s + more_s : INT64_MAX;
}

int64_t job_start_until_unix_s(const struct job *job)
{
    int64_t zone_s = job->zone == TIME_ZONE_TARGET ? ZONE_BEHIND_MAX_S : 0;
    return job->end_unix_s > 0 ? plus(job->end_unix_s, zone_s) : 0;
}

int64_t job_wait_until_unix_s(const struct job *job)
{
    int64_t zone_s = job->zone == TIME_ZONE_TARGET ? ZONE_BEHIND_MAX_S : 0;
    int64_t start_s = job_start_until_unix_s(job);
    if (start_s == 0 && job->start_unix_s > 0)
        start_s = plus(job->start_unix_s, zone_s);
    return plus(later(job->not_after_unix_s, start_s), (int64_t)job->run_timeout_s + END_MARGIN_S);
}
