/* How many bytes may go now: a token bucket.
 *
 * Used where a link is not to be filled: the coordinator's packages per site, a relay's copies. The
 * bucket holds a quarter of a second's worth; whoever takes more than there is leaves a debt that
 * the next one waits for, so that pieces of any size pass and the average holds. No clock: the time
 * comes in.
 */
#ifndef PUSHER_BASE_PACE_H
#define PUSHER_BASE_PACE_H

#include <stdint.h>

#define PACE_RATE_MAX (1ULL << 40) /* bytes per second: what is above counts as that */

struct pace {
    uint64_t rate;    /* bytes per second; 0: no limit */
    int64_t tokens;   /* bytes that may go; below 0: debt */
    uint64_t rest;    /* thousandths of a byte beyond the tokens */
    uint64_t then_ms; /* when tokens were counted */
};

/* A new rate takes effect at once; the bucket is full, and empty at a later change. */
void pace_set(struct pace *pace, uint64_t rate, uint64_t now_ms);
/* How long to wait before bytes may go: 0, now. */
uint64_t pace_wait_ms(struct pace *pace, uint64_t now_ms);
/* So many bytes go now. */
void pace_take(struct pace *pace, uint64_t bytes);

#endif
