/* The pool: a list of names with a hash index over them, and the excludes beside it. */
#include "coordinator/cli/targets.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "coordinator/cli/target_item.h"

#define SLOTS_MIN 64U

/* A set of names without regard to case: open addressing over indices into a list. */
struct name_index {
    uint32_t *slots;     /* index + 1; 0 = free */
    uint32_t slot_count; /* a power of two, more than twice the names */
    char **names;        /* owned, each too */
    uint32_t count;
    uint32_t capacity;
};

/* An --exclude that is a range of addresses. */
struct exclude_range {
    struct target_item item;
    char *text; /* owned, as given */
    bool met;   /* took something out */
};

struct targets {
    struct name_index pool;
    struct name_index excluded_names;
    bool *excluded_met; /* beside excluded_names.names, made by targets_settle */
    struct exclude_range *ranges;
    uint32_t range_count;
    uint32_t range_capacity;
    bool settled;
    struct targets_notes notes;
};

/* "pc1.example." and "pc1.example" are one machine. */
static size_t name_length(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && name[length - 1] == '.' ? length - 1 : length;
}

static bool same_name(const char *a, const char *b)
{
    size_t length = name_length(a);
    return length == name_length(b) && strncasecmp(a, b, length) == 0;
}

/* FNV-1a over the lower-case form. */
static uint32_t name_hash(const char *name)
{
    uint32_t hash = 2166136261U;
    for (size_t length = name_length(name); length > 0; length--, name++) {
        uint8_t c = (uint8_t)*name;
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * 16777619U;
    }
    return hash ^ hash >> 15;
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t *slot_of(const struct name_index *index, const char *name)
{
    uint32_t mask = index->slot_count - 1;
    uint32_t at = name_hash(name) & mask;
    while (index->slots[at] != 0 && !same_name(index->names[index->slots[at] - 1], name))
        at = (at + 1) & mask;
    return &index->slots[at];
}

static void index_rebuild(struct name_index *index, uint32_t slot_count)
{
    free(index->slots);
    index->slots = mem_new(slot_count, sizeof *index->slots);
    index->slot_count = slot_count;
    for (uint32_t i = 0; i < index->count; i++)
        *slot_of(index, index->names[i]) = i + 1;
}

/* Returns false when the name is there already. */
static bool index_add(struct name_index *index, const char *name)
{
    if (index->slot_count <= 2 * index->count + 2)
        index_rebuild(index, index->slot_count == 0 ? SLOTS_MIN : 2 * index->slot_count);
    uint32_t *slot = slot_of(index, name);
    if (*slot != 0)
        return false;
    if (index->count == index->capacity) {
        index->capacity = index->capacity == 0 ? SLOTS_MIN : 2 * index->capacity;
        index->names = mem_resize(index->names, index->capacity, sizeof *index->names);
    }
    index->names[index->count++] = mem_strdup(name);
    *slot = index->count;
    return true;
}

static void index_release(struct name_index *index)
{
    for (uint32_t i = 0; i < index->count; i++)
        free(index->names[i]);
    free(index->names);
    free(index->slots);
}

struct targets *targets_new(void)
{
    return mem_new(1, sizeof(struct targets));
}

void targets_free(struct targets *targets)
{
    if (targets == NULL)
        return;
    index_release(&targets->pool);
    index_release(&targets->excluded_names);
    free(targets->excluded_met);
    for (uint32_t i = 0; i < targets->range_count; i++)
        free(targets->ranges[i].text);
    free(targets->ranges);
    free(targets);
}

static int pool_add(struct targets *targets, const char *name, struct err *err)
{
    if (targets->pool.count >= LIMIT_TARGETS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u targets in one push", LIMIT_TARGETS_MAX);
    if (!index_add(&targets->pool, name))
        targets->notes.duplicates++;
    return 0;
}

int targets_include(struct targets *targets, const char *text, struct err *err)
{
    assert(!targets->settled);
    struct target_item item;
    if (target_item_parse(text, &item, err) != 0)
        return -1;
    if (item.kind == TARGET_ITEM_HOST)
        return pool_add(targets, item.name, err);
    uint64_t size = target_range_size(&item);
    if (size > LIMIT_CIDR_TARGETS_MAX)
        return err_set(err, ERR_LIMIT, "'%s': too wide: more than %u addresses in one item", text,
                       LIMIT_CIDR_TARGETS_MAX);
    struct target_address address = item.first;
    for (uint64_t i = 0; i < size; i++, target_address_next(&address)) {
        char name[LIMIT_ADDRESS_SIZE];
        if (target_range_skips(&item, &address)) {
            targets->notes.network_skipped++;
            continue;
        }
        target_address_text(&address, name);
        if (pool_add(targets, name, err) != 0)
            return -1;
    }
    return 0;
}

int targets_exclude(struct targets *targets, const char *text, struct err *err)
{
    assert(!targets->settled);
    struct target_item item;
    if (target_item_parse(text, &item, err) != 0)
        return -1;
    if (item.kind == TARGET_ITEM_HOST) {
        (void)index_add(&targets->excluded_names, item.name);
        return 0;
    }
    if (target_range_size(&item) == 1) {
        /* Thousands of single addresses in a file are looked up, not scanned. */
        char name[LIMIT_ADDRESS_SIZE];
        target_address_text(&item.first, name);
        (void)index_add(&targets->excluded_names, name);
        return 0;
    }
    if (targets->range_count == targets->range_capacity) {
        targets->range_capacity = targets->range_capacity == 0 ? 8 : 2 * targets->range_capacity;
        targets->ranges =
            mem_resize(targets->ranges, targets->range_capacity, sizeof *targets->ranges);
    }
    targets->ranges[targets->range_count++] =
        (struct exclude_range){.item = item, .text = mem_strdup(text), .met = false};
    return 0;
}

/* Every exclude that fits is marked as met, so that none is reported as useless wrongly. */
static bool is_excluded(struct targets *targets, const char *name)
{
    bool excluded = false;
    if (targets->excluded_names.count > 0) {
        uint32_t found = *slot_of(&targets->excluded_names, name);
        if (found != 0)
            excluded = targets->excluded_met[found - 1] = true;
    }
    struct target_address address;
    if (targets->range_count == 0 || target_address_parse(name, &address) != 0)
        return excluded;
    for (uint32_t i = 0; i < targets->range_count; i++) {
        struct exclude_range *range = &targets->ranges[i];
        if (target_address_compare(&range->item.first, &address) <= 0 &&
            target_address_compare(&address, &range->item.last) <= 0)
            excluded = range->met = true;
    }
    return excluded;
}

static void note_unmet(struct targets *targets, const char *text)
{
    if (targets->notes.exclude_unmets++ == 0)
        targets->notes.exclude_unmet = text;
}

void targets_settle(struct targets *targets)
{
    assert(!targets->settled);
    targets->settled = true;
    targets->excluded_met =
        mem_new(targets->excluded_names.count + 1, sizeof *targets->excluded_met);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < targets->pool.count; i++) {
        char *name = targets->pool.names[i];
        if (is_excluded(targets, name))
            free(name);
        else
            targets->pool.names[kept++] = name;
    }
    targets->notes.excluded = targets->pool.count - kept;
    targets->pool.count = kept;
    for (uint32_t i = 0; i < targets->excluded_names.count; i++)
        if (!targets->excluded_met[i])
            note_unmet(targets, targets->excluded_names.names[i]);
    for (uint32_t i = 0; i < targets->range_count; i++)
        if (!targets->ranges[i].met)
            note_unmet(targets, targets->ranges[i].text);
}

uint32_t targets_count(const struct targets *targets)
{
    return targets->pool.count;
}

char **targets_names(struct targets *targets)
{
    assert(targets->settled);
    return targets->pool.names;
}

struct targets_notes targets_notes(const struct targets *targets)
{
    return targets->notes;
}
