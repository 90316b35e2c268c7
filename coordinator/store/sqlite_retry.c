/* SQLite: a closed push is tried once more, as a new generation. */
#include "coordinator/store/sqlite.h"

/* Parameters 1 to 3 of every statement that selects rows. */
static void bind_which(sqlite3_stmt *statement, uint64_t key, const struct store_retry *which)
{
    sqlite_bind_u64(statement, 1, key);
    sqlite_bind_u64(statement, 2, which->states);
    if (which->reason != REASON_NONE)
        sqlite_bind_text(statement, 3, reason_word(which->reason));
}

int store_retry_each(struct store *store, uint64_t key, const struct store_retry *which,
                     int (*each)(void *context, uint32_t target_no), void *context, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_RETRY_EACH, err);
    if (read == NULL)
        return -1;
    bind_which(read, key, which);
    int got;
    while ((got = sqlite_next(store, read, "read targets", err)) == 1) {
        if (each(context, sqlite_u32(read, 0)) != 0) {
            sqlite_done(read);
            return 0;
        }
    }
    return got;
}

/* The totals without the rows that are queued again. */
static int count_again(struct store *store, uint64_t key, const struct store_retry *which,
                       struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_RETRY_COUNT, err);
    if (read == NULL)
        return -1;
    bind_which(read, key, which);
    sqlite_bind_u64(read, 4, STAGE_COUNT);
    int got;
    while ((got = sqlite_next(store, read, "count targets", err)) == 1) {
        int64_t count = (int64_t)sqlite_u64(read, 1);
        sqlite_total(store, key, (int)sqlite_u32(read, 0), -count);
        sqlite_total(store, key, TARGET_QUEUED, count);
        sqlite_total(store, key, TOTAL_ATTEMPTED, -(int64_t)sqlite_u64(read, 2));
        sqlite_total(store, key, TOTAL_REBOOT, -(int64_t)sqlite_u64(read, 3));
    }
    return got;
}

static int reopen(struct store *store, uint64_t key, const struct store_push *push, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PUSH_RETRY, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, push->routing ? PUSH_ROUTING : PUSH_OPEN);
    sqlite_bind_u64(write, 3, push->generation);
    sqlite_bind_u64(write, 4, (uint64_t)push->not_after_unix_s);
    sqlite_bind_blob(write, 5, push->operator_key, LIMIT_KEY_BYTES);
    sqlite_bind_blob(write, 6, push->signed_job, push->signed_job_size);
    sqlite_bind_blob(write, 7, push->sealed_credential, push->sealed_credential_size);
    sqlite_bind_u64(write, 8, push->fail_stop_count);
    sqlite_bind_text(write, 9, push->site != NULL ? push->site : "");
    sqlite_bind_u64(write, 10, push->policy_version);
    if (sqlite_run(store, write, "retry push", err) != 0)
        return -1;
    if (sqlite3_changes(store->db) == 0)
        return err_set(err, ERR_NOT_FOUND, "the push is not closed");
    return 0;
}

int store_push_retry(struct store *store, uint64_t key, const struct store_push *push,
                     const struct store_retry *which, struct err *err)
{
    static const enum statement steps[] = {SQL_RETRY_OUTPUT, SQL_RETRY_ROWS, SQL_RETRY_LEASES};
    if (reopen(store, key, push, err) != 0 || count_again(store, key, which, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *write = sqlite_write(store, steps[i], err);
        if (write == NULL)
            return -1;
        if (steps[i] == SQL_RETRY_LEASES)
            sqlite_bind_u64(write, 1, key);
        else
            bind_which(write, key, which);
        if (steps[i] == SQL_RETRY_ROWS)
            sqlite_bind_u64(write, 4, push->generation);
        if (steps[i] == SQL_RETRY_ROWS && push->routing)
            sqlite_bind_u64(write, 5, STORE_SITE_NONE);
        if (sqlite_run(store, write, "queue targets again", err) != 0)
            return -1;
    }
    return 0;
}
