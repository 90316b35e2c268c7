/* SQLite: a push's rows counted by site and relay. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

struct parts {
    struct push_part *rows;
    uint32_t count;
    uint32_t capacity;
};

/* The part of the row that was read: rows of one part follow each other. */
static struct push_part *part_of(struct parts *parts, const char *site, const char *relay)
{
    struct push_part *last = parts->count == 0 ? NULL : &parts->rows[parts->count - 1];
    site = *site == '\0' ? "-" : site;
    relay = *relay == '\0' ? "-" : relay;
    if (last != NULL && strcmp(last->site, site) == 0 && strcmp(last->relay, relay) == 0)
        return last;
    if (parts->count == parts->capacity) {
        parts->capacity = parts->capacity == 0 ? 8 : 2 * parts->capacity;
        parts->rows = mem_resize(parts->rows, parts->capacity, sizeof *parts->rows);
    }
    struct push_part *part = &parts->rows[parts->count++];
    *part = (struct push_part){0};
    (void)text_copy(part->site, sizeof part->site, site);
    (void)text_copy(part->relay, sizeof part->relay, relay);
    return part;
}

int store_parts(struct store *store, uint64_t key, struct push_part **out, uint32_t *part_count,
                struct err *err)
{
    struct parts parts = {0};
    sqlite3_stmt *read = sqlite_read(store, SQL_PARTS, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, STAGE_COUNT);
    int got;
    while ((got = sqlite_next(store, read, "count rows", err)) == 1) {
        uint32_t state = sqlite_u32(read, 2);
        struct push_part *part = part_of(&parts, sqlite_text(read, 0), sqlite_text(read, 1));
        if (state < TARGET_STATE_COUNT)
            part->totals.by_state[state] += sqlite_u32(read, 3);
        part->totals.attempted += sqlite_u32(read, 4);
        part->totals.reboot += sqlite_u32(read, 5);
    }
    if (got < 0) {
        free(parts.rows);
        return -1;
    }
    *out = parts.rows;
    *part_count = parts.count;
    return 0;
}
