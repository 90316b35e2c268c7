/* SQLite: targets' rows and the totals that go with them; what a restart reads. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

/* ---- totals ---- */

static int slot_of(int what)
{
    return what < TARGET_STATE_COUNT ? what : TARGET_STATE_COUNT + what - TOTAL_ATTEMPTED;
}

void sqlite_total(struct store *store, uint64_t key, int what, int64_t change)
{
    uint32_t at = 0;
    while (at < store->delta_count && store->deltas[at].key != key)
        at++;
    if (at == store->delta_count) {
        if (store->delta_count == store->delta_capacity) {
            store->delta_capacity = store->delta_capacity == 0 ? 8 : 2 * store->delta_capacity;
            store->deltas = mem_resize(store->deltas, store->delta_capacity, sizeof *store->deltas);
        }
        store->deltas[store->delta_count++] = (struct total_delta){.key = key};
    }
    store->deltas[at].change[slot_of(what)] += change;
}

int sqlite_flush_totals(struct store *store, struct err *err)
{
    for (uint32_t i = 0; i < store->delta_count; i++) {
        for (int slot = 0; slot < TOTAL_SLOTS; slot++) {
            if (store->deltas[i].change[slot] == 0)
                continue;
            sqlite3_stmt *write = sqlite_write(store, SQL_TOTAL_CHANGE, err);
            if (write == NULL)
                return -1;
            int what =
                slot < TARGET_STATE_COUNT ? slot : TOTAL_ATTEMPTED + slot - TARGET_STATE_COUNT;
            sqlite_bind_u64(write, 1, store->deltas[i].key);
            sqlite_bind_u64(write, 2, (uint64_t)what);
            (void)sqlite3_bind_int64(write, 3, store->deltas[i].change[slot]);
            if (sqlite_run(store, write, "change totals", err) != 0)
                return -1;
        }
    }
    store->delta_count = 0;
    return 0;
}

/* ---- rows ---- */

struct counted {
    enum target_state state;
    bool attempted;
    bool reboot;
};

/* ERROR_SUCCESS_REBOOT_INITIATED and ERROR_SUCCESS_REBOOT_REQUIRED. */
static bool is_reboot(bool has_exit_code, uint32_t exit_code)
{
    return has_exit_code && (exit_code == 1641 || exit_code == 3010);
}

static void count(struct store *store, uint64_t key, const struct counted *row, int change)
{
    sqlite_total(store, key, (int)row->state, change);
    if (row->attempted)
        sqlite_total(store, key, TOTAL_ATTEMPTED, change);
    if (row->reboot)
        sqlite_total(store, key, TOTAL_REBOOT, change);
}

static int counted_now(struct store *store, uint64_t key, uint32_t target_no, struct counted *now,
                       struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_TARGET_STATE, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, target_no);
    int got = sqlite_next(store, read, "read row", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no target %u in push %llu", target_no,
                       (unsigned long long)key);
    if (got < 0)
        return -1;
    now->state = (enum target_state)sqlite_u32(read, 0);
    bool staged = sqlite3_column_type(read, 3) != SQLITE_NULL && sqlite_u32(read, 3) < STAGE_COUNT;
    now->attempted = staged || sqlite_u64(read, 1) != 0;
    now->reboot = is_reboot(sqlite3_column_type(read, 2) != SQLITE_NULL, sqlite_u32(read, 2));
    sqlite_done(read);
    return 0;
}

int store_outcome(struct store *store, uint64_t key, uint32_t target_no, uint16_t relay,
                  const struct outcome *outcome, struct err *err)
{
    struct counted before = {0};
    if (counted_now(store, key, target_no, &before, err) != 0)
        return -1;
    sqlite3_stmt *write = sqlite_write(store, SQL_TARGET_OUTCOME, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, target_no);
    if (relay != STORE_RELAY_NONE)
        sqlite_bind_u64(write, 3, relay);
    sqlite_bind_u64(write, 4, (uint64_t)outcome->state);
    sqlite_bind_u64(write, 5, (uint64_t)outcome->stage);
    if (outcome->reason != REASON_NONE)
        sqlite_bind_text(write, 6, reason_word(outcome->reason));
    sqlite_bind_u64(write, 7, (uint64_t)outcome->code_kind);
    sqlite_bind_u64(write, 8, outcome->code);
    sqlite_bind_blob(write, 9, outcome->detail, strnlen(outcome->detail, LIMIT_DETAIL_SIZE));
    sqlite_bind_text(write, 10, outcome->address);
    sqlite_bind_u64(write, 11, (uint64_t)outcome->name_check);
    sqlite_bind_u64(write, 12, outcome->tries);
    sqlite_bind_u64(write, 13, outcome->bytes);
    sqlite_bind_u64(write, 14, outcome->started_unix_ms);
    sqlite_bind_u64(write, 15, outcome->elapsed_ms);
    sqlite_bind_blob(write, 16, outcome->stage_ms, sizeof outcome->stage_ms);
    if (outcome->has_exit_code)
        sqlite_bind_u64(write, 17, outcome->exit_code);
    if (sqlite_run(store, write, "record row", err) != 0)
        return -1;
    const struct counted after = {outcome->state,
                                  outcome->stage != STAGE_COUNT || outcome->started_unix_ms != 0,
                                  is_reboot(outcome->has_exit_code, outcome->exit_code)};
    count(store, key, &before, -1);
    count(store, key, &after, 1);
    return 0;
}

/* What a failure for that reason counts as. */
static enum target_state state_of_reason(const char *word)
{
    enum reason reason = reason_from_word(word);
    return reason < REASON_COUNT ? reason_state(reason) : TARGET_FAILED;
}

int store_outcome_certain(struct store *store, uint64_t key, uint32_t target_no, const char *ending,
                          struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_TARGET_SAID, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, target_no);
    int got = sqlite_next(store, read, "read row", err);
    if (got <= 0)
        return got;
    enum target_state state = state_of_reason(sqlite_text(read, 0));
    char detail[LIMIT_DETAIL_SIZE];
    (void)text_copy(detail, sizeof detail, sqlite_text(read, 1));
    sqlite_done(read);
    size_t size = strlen(detail);
    size_t ending_size = strlen(ending);
    if (size >= ending_size && strcmp(detail + size - ending_size, ending) == 0)
        size -= ending_size;
    sqlite3_stmt *write = sqlite_write(store, SQL_TARGET_CERTAIN, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, target_no);
    sqlite_bind_u64(write, 3, (uint64_t)state);
    sqlite_bind_blob(write, 4, detail, size);
    if (sqlite_run(store, write, "record row", err) != 0)
        return -1;
    sqlite_total(store, key, TARGET_UNKNOWN_EFFECT, -1);
    sqlite_total(store, key, (int)state, 1);
    return 0;
}

int store_output(struct store *store, uint64_t key, uint32_t target_no, const uint8_t *output,
                 size_t output_size, struct err *err)
{
    if (output_size == 0 || output_size > LIMIT_OUTPUT_BYTES)
        return err_set(err, ERR_LIMIT, "output of %zu bytes", output_size);
    sqlite3_stmt *write = sqlite_write(store, SQL_OUTPUT_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, target_no);
    sqlite_bind_blob(write, 3, output, output_size);
    return sqlite_run(store, write, "record output", err);
}

int store_target_name(struct store *store, uint64_t key, uint32_t target_no, char **name,
                      struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_TARGET_NAME, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, target_no);
    int got = sqlite_next(store, read, "read name", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no target %u in push %llu", target_no,
                       (unsigned long long)key);
    if (got < 0)
        return -1;
    *name = mem_strdup(sqlite_text(read, 0));
    sqlite_done(read);
    return 0;
}

int store_target_each(struct store *store, uint64_t key,
                      int (*each)(void *context, uint32_t target_no, const char *name,
                                  uint16_t site, enum target_state state),
                      void *context, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_TARGET_EACH, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "read targets", err)) == 1) {
        if (each(context, sqlite_u32(read, 0), sqlite_text(read, 1), (uint16_t)sqlite_u32(read, 2),
                 (enum target_state)sqlite_u32(read, 3)) != 0) {
            sqlite_done(read);
            return 0;
        }
    }
    return got;
}

static int each_number(struct store *store, sqlite3_stmt *read,
                       int (*each)(void *context, uint32_t target_no), void *context,
                       struct err *err)
{
    int got;
    while ((got = sqlite_next(store, read, "read targets", err)) == 1) {
        if (each(context, sqlite_u32(read, 0)) != 0) {
            sqlite_done(read);
            return 0;
        }
    }
    return got;
}

int store_doubted_each(struct store *store, uint64_t key, const char *ending,
                       int (*each)(void *context, uint32_t target_no, enum target_state counts_as),
                       void *context, struct err *err)
{
    int got;
    sqlite3_stmt *read = sqlite_read(store, SQL_DOUBTED_EACH, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_blob(read, 2, ending, strlen(ending));
    while ((got = sqlite_next(store, read, "read targets", err)) == 1) {
        if (each(context, sqlite_u32(read, 0), state_of_reason(sqlite_text(read, 1))) != 0) {
            sqlite_done(read);
            return 0;
        }
    }
    return got;
}

int store_old_each(struct store *store, uint64_t key,
                   int (*each)(void *context, uint32_t target_no), void *context, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_OLD_EACH, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    return each_number(store, read, each, context, err);
}

/* ---- for a restart ---- */

static int read_leases(struct store *store, uint64_t key, struct store_recovery *out,
                       struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_LEASE_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "read leases", err)) == 1) {
        out->leases = mem_resize(out->leases, out->lease_count + 1U, sizeof *out->leases);
        out->leases[out->lease_count++] = (struct store_lease){
            (uint16_t)sqlite_u32(read, 0), sqlite_u32(read, 1), sqlite_u32(read, 2)};
    }
    return got;
}

int store_recovery(struct store *store, uint64_t key, struct store_recovery *out, struct err *err)
{
    *out = (struct store_recovery){0};
    sqlite3_stmt *read = sqlite_read(store, SQL_RECOVERY, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push %llu", (unsigned long long)key);
    if (got < 0)
        return -1;
    out->not_after_unix_s = (int64_t)sqlite_u64(read, 0);
    out->target_count = sqlite_u32(read, 1);
    out->fail_stop_count = sqlite_u32(read, 2);
    sqlite_done(read);
    if (read_leases(store, key, out, err) != 0) {
        free(out->leases);
        out->leases = NULL;
        return -1;
    }
    return 0;
}
