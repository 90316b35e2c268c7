/* Who held a target before the relay that has, or had, it last. Embedded in the ledger: only
 * targets that went from one relay to another take room here, a few bytes for each relay before the
 * last.
 */
#ifndef PUSHER_COORDINATOR_CORE_PAST_H
#define PUSHER_COORDINATOR_CORE_PAST_H

#include <stdbool.h>
#include <stdint.h>

#define PAST_NONE UINT32_MAX

struct past_entry {
    uint32_t target_no;
    uint32_t next;  /* entry of the same bucket; PAST_NONE at the end */
    uint16_t relay; /* who had it */
    bool owed;      /* its lease was lost, and it has said nothing of the target since */
};

struct past {
    struct past_entry *entries; /* owned */
    uint32_t count;
    uint32_t capacity;
    uint32_t *buckets; /* owned; a power of two of them */
    uint32_t bucket_count;
};

/* An empty one. */
void past_init(struct past *past);
void past_release(struct past *past);
/* Notes, or changes, what a relay has to do with a target. */
void past_note(struct past *past, uint32_t target_no, uint16_t relay, bool owed);
/* NULL: nothing is noted. */
const struct past_entry *past_find(const struct past *past, uint32_t target_no, uint16_t relay);
/* Whether some relay but this one owes a word. */
bool past_owed_by_other(const struct past *past, uint32_t target_no, uint16_t relay);

#endif
