/* Budgets of the stages that move bytes. */
#include "relay/stage/budget.h"

static uint64_t bytes_ms(uint64_t bytes)
{
    uint64_t seconds = bytes / BUDGET_RATE;
    return seconds < UINT64_MAX / 4000 ? seconds * 1000 : UINT64_MAX / 4;
}

uint64_t budget_copy_ms(const struct job *job, uint32_t files, uint32_t patience_ms)
{
    uint64_t once_ms = bytes_ms(job->package_bytes);
    return patience_ms + (uint64_t)(files > 1 ? files - 1 : 0) * BUDGET_FILE_MS + once_ms +
           (job->verify ? once_ms : 0);
}

uint64_t budget_cleanup_ms(const struct job *job, uint32_t patience_ms)
{
    return patience_ms + (job->verify ? bytes_ms(job->package_bytes) : 0);
}
