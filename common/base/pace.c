/* A token bucket. */
#include "common/base/pace.h"

#define BURST_PARTS 4 /* of a second */
#define ELAPSED_MAX                                                                                \
    1000 /* ms that are counted at once: longer than it takes to fill the bucket                   \
          */

static int64_t burst(const struct pace *pace)
{
    uint64_t bytes = pace->rate / BURST_PARTS;
    return bytes > 0 ? (int64_t)bytes : 1;
}

void pace_set(struct pace *pace, uint64_t rate, uint64_t now_ms)
{
    if (rate > PACE_RATE_MAX)
        rate = PACE_RATE_MAX;
    if (rate == pace->rate)
        return;
    *pace = (struct pace){
        .rate = rate, .tokens = pace->tokens < 0 ? pace->tokens : 0, .then_ms = now_ms};
    if (pace->tokens == 0)
        pace->tokens = burst(pace);
}

static void refill(struct pace *pace, uint64_t now_ms)
{
    if (now_ms <= pace->then_ms)
        return;
    uint64_t elapsed_ms = now_ms - pace->then_ms;
    pace->then_ms = now_ms;
    /* A debt is paid in full however long that takes; beyond a full bucket nothing is saved. */
    while (elapsed_ms > 0 && pace->tokens < burst(pace)) {
        uint64_t part_ms = elapsed_ms < ELAPSED_MAX ? elapsed_ms : ELAPSED_MAX;
        uint64_t thousandths = pace->rate * part_ms + pace->rest;
        pace->tokens += (int64_t)(thousandths / 1000);
        pace->rest = thousandths % 1000;
        elapsed_ms -= part_ms;
    }
    if (pace->tokens >= burst(pace)) {
        pace->tokens = burst(pace);
        pace->rest = 0;
    }
}

uint64_t pace_wait_ms(struct pace *pace, uint64_t now_ms)
{
    if (pace->rate == 0)
        return 0;
    refill(pace, now_ms);
    if (pace->tokens > 0)
        return 0;
    uint64_t missing = (uint64_t)(1 - pace->tokens);
    return (missing * 1000 - pace->rest + pace->rate - 1) / pace->rate;
}

void pace_take(struct pace *pace, uint64_t bytes)
{
    if (pace->rate == 0)
        return;
    int64_t taken = bytes < PACE_RATE_MAX ? (int64_t)bytes : (int64_t)PACE_RATE_MAX;
    /* Who doesn't wait can't drive it below all bounds. */
    if (pace->tokens > -(int64_t)PACE_RATE_MAX)
        pace->tokens -= taken;
}
