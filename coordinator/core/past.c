/* A hash over dense numbers: entries in one array, chained by bucket. */
#include "coordinator/core/past.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { BUCKETS_MIN = 64 };

void past_init(struct past *past)
{
    *past = (struct past){0};
}

void past_release(struct past *past)
{
    free(past->entries);
    free(past->buckets);
    *past = (struct past){0};
}

static uint32_t *bucket_of(const struct past *past, uint32_t target_no)
{
    return &past->buckets[(target_no * UINT32_C(2654435761)) >> 7 & (past->bucket_count - 1)];
}

static void grow(struct past *past)
{
    past->bucket_count = past->bucket_count == 0 ? BUCKETS_MIN : 2 * past->bucket_count;
    past->buckets = mem_resize(past->buckets, past->bucket_count, sizeof *past->buckets);
    past->capacity = past->bucket_count;
    past->entries = mem_resize(past->entries, past->capacity, sizeof *past->entries);
    for (uint32_t i = 0; i < past->bucket_count; i++)
        past->buckets[i] = PAST_NONE;
    for (uint32_t i = 0; i < past->count; i++) {
        uint32_t *bucket = bucket_of(past, past->entries[i].target_no);
        past->entries[i].next = *bucket;
        *bucket = i;
    }
}

static uint32_t first(const struct past *past, uint32_t target_no)
{
    return past->bucket_count > 0 ? *bucket_of(past, target_no) : PAST_NONE;
}

const struct past_entry *past_find(const struct past *past, uint32_t target_no, uint16_t relay)
{
    for (uint32_t i = first(past, target_no); i != PAST_NONE; i = past->entries[i].next)
        if (past->entries[i].target_no == target_no && past->entries[i].relay == relay)
            return &past->entries[i];
    return NULL;
}

void past_note(struct past *past, uint32_t target_no, uint16_t relay, bool owed)
{
    const struct past_entry *known = past_find(past, target_no, relay);
    if (known != NULL) {
        past->entries[known - past->entries].owed = owed;
        return;
    }
    if (past->count == past->capacity)
        grow(past);
    uint32_t *bucket = bucket_of(past, target_no);
    past->entries[past->count] = (struct past_entry){target_no, *bucket, relay, owed};
    *bucket = past->count++;
}

bool past_owed_by_other(const struct past *past, uint32_t target_no, uint16_t relay)
{
    for (uint32_t i = first(past, target_no); i != PAST_NONE; i = past->entries[i].next)
        if (past->entries[i].target_no == target_no && past->entries[i].relay != relay &&
            past->entries[i].owed)
            return true;
    return false;
}
