/* SQLite: a push's rows counted by site and relay.
 *
 * One pass over the rows, in the order they lie in: to have SQLite group them would sort them all.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

#define NOBODY UINT32_MAX /* no site, or no relay */

struct tally {
    uint32_t site, relay; /* numbers */
    struct totals totals;
};

/* Open addressing: `slots` has a power of two of places, each 0 or 1 + an index into `rows`. */
struct tallies {
    struct tally *rows; /* owned */
    uint32_t count, capacity;
    uint32_t *slots; /* owned */
    uint32_t slot_count;
    struct tally *last; /* rows of one relay come together */
};

static uint32_t *slot_of(const struct tallies *tallies, uint32_t site, uint32_t relay)
{
    uint32_t at = (site * 2654435761U ^ relay * 2246822519U) & (tallies->slot_count - 1);
    for (;; at = (at + 1) & (tallies->slot_count - 1)) {
        uint32_t *slot = &tallies->slots[at];
        if (*slot == 0 ||
            (tallies->rows[*slot - 1].site == site && tallies->rows[*slot - 1].relay == relay))
            return slot;
    }
}

/* Twice as many places, at most half of them taken. */
static void grow(struct tallies *tallies)
{
    tallies->capacity = tallies->capacity == 0 ? 64 : 2 * tallies->capacity;
    tallies->rows = mem_resize(tallies->rows, tallies->capacity, sizeof *tallies->rows);
    free(tallies->slots);
    tallies->slot_count = 2 * tallies->capacity;
    tallies->slots = mem_new(tallies->slot_count, sizeof *tallies->slots);
    for (uint32_t i = 0; i < tallies->count; i++)
        *slot_of(tallies, tallies->rows[i].site, tallies->rows[i].relay) = i + 1;
    tallies->last = NULL;
}

static struct tally *tally_of(struct tallies *tallies, uint32_t site, uint32_t relay)
{
    if (tallies->last != NULL && tallies->last->site == site && tallies->last->relay == relay)
        return tallies->last;
    if (tallies->count == tallies->capacity)
        grow(tallies);
    uint32_t *slot = slot_of(tallies, site, relay);
    if (*slot == 0) {
        tallies->rows[tallies->count] = (struct tally){.site = site, .relay = relay};
        *slot = ++tallies->count;
    }
    tallies->last = &tallies->rows[*slot - 1];
    return tallies->last;
}

static void tallies_release(struct tallies *tallies)
{
    free(tallies->rows);
    free(tallies->slots);
}

static uint32_t number(sqlite3_stmt *row, int at)
{
    return sqlite3_column_type(row, at) == SQLITE_NULL ? NOBODY : sqlite_u32(row, at);
}

static int count_rows(struct store *store, uint64_t key, struct tallies *tallies, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PARTS, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "count rows", err)) == 1) {
        struct totals *totals = &tally_of(tallies, number(read, 0), number(read, 1))->totals;
        uint32_t state = sqlite_u32(read, 2);
        uint32_t exit_code = sqlite_u32(read, 5);
        bool staged = number(read, 3) < STAGE_COUNT;
        if (state < TARGET_STATE_COUNT)
            totals->by_state[state]++;
        totals->attempted += staged || sqlite_u64(read, 4) != 0;
        totals->reboot += exit_code == 1641 || exit_code == 3010;
    }
    return got;
}

static int name_part(struct store *store, const struct tally *tally, struct push_part *part,
                     struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PART_NAMES, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, tally->site);
    sqlite_bind_u64(read, 2, tally->relay);
    if (sqlite_next(store, read, "read names", err) != 1)
        return -1;
    const char *site = sqlite_text(read, 0);
    const char *relay = sqlite_text(read, 1);
    *part = (struct push_part){.totals = tally->totals};
    (void)text_copy(part->site, sizeof part->site, *site == '\0' ? "-" : site);
    (void)text_copy(part->relay, sizeof part->relay, *relay == '\0' ? "-" : relay);
    sqlite_done(read);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct push_part *x = a;
    const struct push_part *y = b;
    int order = strcmp(x->site, y->site);
    return order != 0 ? order : strcmp(x->relay, y->relay);
}

static void add_totals(struct totals *to, const struct totals *from)
{
    for (int state = 0; state < TARGET_STATE_COUNT; state++)
        to->by_state[state] += from->by_state[state];
    to->attempted += from->attempted;
    to->reboot += from->reboot;
}

/* A relay that was enrolled anew has its name twice: one part. Returns how many are left. */
static uint32_t join_namesakes(struct push_part *parts, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (left > 0 && by_name(&parts[left - 1], &parts[i]) == 0)
            add_totals(&parts[left - 1].totals, &parts[i].totals);
        else
            parts[left++] = parts[i];
    }
    return left;
}

int store_parts(struct store *store, uint64_t key, struct push_part **out, uint32_t *part_count,
                struct err *err)
{
    struct tallies tallies = {0};
    struct push_part *parts = NULL;
    int result = count_rows(store, key, &tallies, err);
    if (result == 0)
        parts = mem_new(tallies.count + 1U, sizeof *parts);
    for (uint32_t i = 0; i < tallies.count && result == 0; i++)
        result = name_part(store, &tallies.rows[i], &parts[i], err);
    if (result == 0) {
        qsort(parts, tallies.count, sizeof *parts, by_name);
        *part_count = join_namesakes(parts, tallies.count);
        *out = parts;
    } else {
        free(parts);
    }
    tallies_release(&tallies);
    return result;
}
