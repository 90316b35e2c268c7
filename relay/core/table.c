/* Entries by (push, target number), and the queues that run through them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/core/agent_state.h"

void table_init(struct table *table)
{
    memset(table, 0, sizeof *table);
    table->free = ENTRY_NONE;
}

void table_release(struct table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->entries[i].work) {
            free(table->entries[i].work->unknown);
            free(table->entries[i].work->look);
        }
        free(table->entries[i].work);
    }
    free(table->entries);
    free(table->buckets);
    table_init(table);
}

/* Target numbers are dense, so a multiplicative mix spreads them well; a coordinator that wants
 * long chains can only slow down its own push. */
static uint32_t bucket_of(const struct table *table, uint32_t push, uint32_t target_no)
{
    uint64_t mixed = ((uint64_t)push << 32 | target_no) * 0x9E3779B97F4A7C15ULL;
    return (uint32_t)(mixed >> 32) & (table->bucket_count - 1);
}

uint32_t table_find(const struct table *table, uint32_t push, uint32_t target_no)
{
    if (table->bucket_count == 0)
        return ENTRY_NONE;
    uint32_t index = table->buckets[bucket_of(table, push, target_no)];
    while (index != ENTRY_NONE) {
        const struct entry *entry = &table->entries[index];
        if (entry->push == push && entry->target_no == target_no)
            break;
        index = entry->hash_next;
    }
    return index;
}

static void link_entry(struct table *table, uint32_t index)
{
    struct entry *entry = &table->entries[index];
    uint32_t bucket = bucket_of(table, entry->push, entry->target_no);
    entry->hash_next = table->buckets[bucket];
    table->buckets[bucket] = index;
}

static void grow_buckets(struct table *table)
{
    table->bucket_count = table->bucket_count ? table->bucket_count * 2 : 256;
    table->buckets = mem_resize(table->buckets, table->bucket_count, sizeof *table->buckets);
    for (uint32_t i = 0; i < table->bucket_count; i++)
        table->buckets[i] = ENTRY_NONE;
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->entries[i].status != ENTRY_FREE)
            link_entry(table, i);
    }
}

static uint32_t take_free(struct table *table)
{
    if (table->free != ENTRY_NONE) {
        uint32_t index = table->free;
        table->free = table->entries[index].hash_next;
        return index;
    }
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 256;
        table->entries = mem_resize(table->entries, table->capacity, sizeof *table->entries);
    }
    return table->count++;
}

uint32_t table_add(struct table *table, uint32_t push, uint32_t target_no)
{
    if (table->used >= table->bucket_count)
        grow_buckets(table);
    uint32_t index = take_free(table);
    table->entries[index] = (struct entry){
        .prev = ENTRY_NONE,
        .next = ENTRY_NONE,
        .push = push,
        .target_no = target_no,
        .status = ENTRY_INTENT,
    };
    table->used++;
    link_entry(table, index);
    return index;
}

void table_remove(struct table *table, uint32_t index)
{
    struct entry *entry = &table->entries[index];
    assert(entry->status != ENTRY_FREE);
    assert(!entry->work);
    uint32_t *link = &table->buckets[bucket_of(table, entry->push, entry->target_no)];
    while (*link != index)
        link = &table->entries[*link].hash_next;
    *link = entry->hash_next;
    entry->status = ENTRY_FREE;
    entry->hash_next = table->free;
    table->free = index;
    table->used--;
}

void queue_init(struct queue *queue)
{
    *queue = (struct queue){.head = ENTRY_NONE, .tail = ENTRY_NONE};
}

void queue_push(struct table *table, struct queue *queue, uint32_t index)
{
    struct entry *entry = &table->entries[index];
    entry->prev = queue->tail;
    entry->next = ENTRY_NONE;
    if (queue->tail != ENTRY_NONE)
        table->entries[queue->tail].next = index;
    else
        queue->head = index;
    queue->tail = index;
    queue->count++;
}

void queue_push_front(struct table *table, struct queue *queue, uint32_t index)
{
    struct entry *entry = &table->entries[index];
    entry->prev = ENTRY_NONE;
    entry->next = queue->head;
    if (queue->head != ENTRY_NONE)
        table->entries[queue->head].prev = index;
    else
        queue->tail = index;
    queue->head = index;
    queue->count++;
}

void queue_remove(struct table *table, struct queue *queue, uint32_t index)
{
    struct entry *entry = &table->entries[index];
    assert(queue->count > 0);
    if (entry->prev != ENTRY_NONE)
        table->entries[entry->prev].next = entry->next;
    else
        queue->head = entry->next;
    if (entry->next != ENTRY_NONE)
        table->entries[entry->next].prev = entry->prev;
    else
        queue->tail = entry->prev;
    entry->prev = entry->next = ENTRY_NONE;
    queue->count--;
}
