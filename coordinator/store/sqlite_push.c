/* SQLite: pushes from upload to their end. */
#include <stdio.h>
#include <string.h>

#include "coordinator/store/sqlite.h"

/* Key and state of a push by id: 1 found, 0 none, -1. */
static int push_by_id(struct store *store, const struct push_id *push, uint64_t *key, int *state,
                      struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PUSH_BY_ID, err);
    if (read == NULL)
        return -1;
    sqlite_bind_blob(read, 1, push->bytes, PUSH_ID_BYTES);
    int got = sqlite_next(store, read, "find push", err);
    if (got == 1) {
        *key = sqlite_u64(read, 0);
        *state = (int)sqlite_u32(read, 1);
        sqlite_done(read);
    }
    return got;
}

int store_find_id(struct store *store, const struct push_id *push, uint64_t *key, struct err *err)
{
    int state = 0;
    char text[PUSH_ID_TEXT_SIZE];
    int got = push_by_id(store, push, key, &state, err);
    if (got == 1 && state != PUSH_STATE_UPLOADING)
        return 0;
    push_id_text(push, text);
    return got < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "no push %s", text);
}

/* ---- upload ---- */

static int drop_uploads(struct store *store, uint64_t key_or_0, struct err *err)
{
    const enum statement steps[] = {SQL_UPLOAD_DROP_TARGETS, SQL_UPLOAD_DROP};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *write = sqlite_write(store, steps[i], err);
        if (write == NULL)
            return -1;
        sqlite_bind_u64(write, 1, key_or_0);
        if (sqlite_run(store, write, "drop upload", err) != 0)
            return -1;
    }
    return 0;
}

int store_upload_begin(struct store *store, const struct push_id *push, uint32_t target_count,
                       uint64_t *key, struct err *err)
{
    int state = 0;
    int got = push_by_id(store, push, key, &state, err);
    if (got < 0)
        return -1;
    if (got == 1 && state != PUSH_STATE_UPLOADING)
        return err_set(err, ERR_EXISTS, "the push is committed already");
    if (got == 1 && drop_uploads(store, *key, err) != 0)
        return -1;
    sqlite3_stmt *write = sqlite_write(store, SQL_UPLOAD_ADD, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, push->bytes, PUSH_ID_BYTES);
    sqlite_bind_u64(write, 2, target_count);
    if (sqlite_run(store, write, "begin upload", err) != 0)
        return -1;
    *key = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return 0;
}

int store_upload_targets(struct store *store, uint64_t key, uint16_t site, uint32_t first_no,
                         char *const *names, uint32_t name_count, struct err *err)
{
    for (uint32_t i = 0; i < name_count; i++) {
        sqlite3_stmt *write = sqlite_write(store, SQL_UPLOAD_TARGET, err);
        if (write == NULL)
            return -1;
        sqlite_bind_u64(write, 1, key);
        sqlite_bind_u64(write, 2, (uint64_t)first_no + i);
        sqlite_bind_text(write, 3, names[i]);
        sqlite_bind_u64(write, 4, site);
        if (sqlite_run(store, write, "add targets", err) != 0)
            return -1;
    }
    return 0;
}

int store_upload_drop(struct store *store, uint64_t key, struct err *err)
{
    return key != 0 ? drop_uploads(store, key, err) : 0;
}

int store_upload_sweep(struct store *store, struct err *err)
{
    return drop_uploads(store, 0, err);
}

/* ---- commit, resume, close ---- */

static int new_totals(struct store *store, uint64_t key, uint32_t target_count, struct err *err)
{
    for (int slot = 0; slot < TOTAL_SLOTS; slot++) {
        int what = slot < TARGET_STATE_COUNT ? slot : TOTAL_ATTEMPTED + slot - TARGET_STATE_COUNT;
        sqlite3_stmt *write = sqlite_write(store, SQL_TOTAL_NEW, err);
        if (write == NULL)
            return -1;
        sqlite_bind_u64(write, 1, key);
        sqlite_bind_u64(write, 2, (uint64_t)what);
        sqlite_bind_u64(write, 3, what == TARGET_QUEUED ? target_count : 0);
        if (sqlite_run(store, write, "begin totals", err) != 0)
            return -1;
    }
    return 0;
}

int store_push_commit(struct store *store, uint64_t key, const struct store_push *push,
                      struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PUSH_COMMIT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, push->generation);
    sqlite_bind_text(write, 3, push->package_name);
    sqlite_bind_u64(write, 4, push->package_bytes);
    sqlite_bind_blob(write, 5, push->package_digest, LIMIT_DIGEST_BYTES);
    sqlite_bind_u64(write, 6, (uint64_t)push->not_after_unix_s);
    sqlite_bind_blob(write, 7, push->operator_key, LIMIT_KEY_BYTES);
    sqlite_bind_text(write, 8, push->account);
    sqlite_bind_u64(write, 9, push->created_unix_ms);
    sqlite_bind_blob(write, 10, push->signed_job, push->signed_job_size);
    sqlite_bind_blob(write, 11, push->sealed_credential, push->sealed_credential_size);
    sqlite_bind_u64(write, 12, push->wait);
    sqlite_bind_u64(write, 13, (uint64_t)push->action);
    if (push->of_push != NULL)
        sqlite_bind_blob(write, 14, push->of_push->bytes, PUSH_ID_BYTES);
    sqlite_bind_u64(write, 15, (uint64_t)push->run_as);
    sqlite_bind_u64(write, 16, push->fail_stop_count);
    sqlite_bind_u64(write, 17, push->routing ? PUSH_ROUTING : PUSH_OPEN);
    sqlite_bind_text(write, 18, push->site != NULL ? push->site : "");
    sqlite_bind_u64(write, 19, push->policy_version);
    if (sqlite_run(store, write, "commit push", err) != 0)
        return -1;
    struct store_recovery recovery; /* of a fresh push: no leases */
    if (store_recovery(store, key, &recovery, err) != 0)
        return -1;
    return new_totals(store, key, recovery.target_count, err);
}

static int refuse_in_use(struct store *store, uint64_t key, uint64_t other_key,
                         const struct push_id *other, sqlite3_stmt *found, struct err *err)
{
    bool scheduled_too = sqlite_u32(found, 2) != 0;
    bool cleans_up = (enum job_action)sqlite_u32(found, 3) == JOB_CLEANUP;
    char id[PUSH_ID_SHORT_SIZE];
    char detail[LIMIT_DETAIL_SIZE];
    push_id_short(other, id);
    (void)snprintf(detail, sizeof detail, "push %s still %s this target", id,
                   cleans_up ? "removes a file of this name from"
                             : "puts another file of this name on");
    sqlite3_stmt *write = sqlite_write(store, SQL_IN_USE_REFUSE, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, other_key);
    sqlite_bind_u64(write, 3, (uint64_t)reason_state(REASON_PACKAGE_IN_USE));
    sqlite_bind_u64(write, 4, STAGE_COUNT);
    sqlite_bind_text(write, 5, reason_word(REASON_PACKAGE_IN_USE));
    sqlite_bind_blob(write, 6, detail, strlen(detail));
    /* Scheduled and waited for, it still needs its file; so it does when that is to be removed. */
    sqlite_bind_u64(write, 7, scheduled_too ? TARGET_SUCCEEDED : TARGET_SCHEDULED);
    if (sqlite_run(store, write, "refuse targets in use", err) != 0)
        return -1;
    int changed = sqlite3_changes(store->db);
    sqlite_total(store, key, TARGET_QUEUED, -changed);
    sqlite_total(store, key, (int)reason_state(REASON_PACKAGE_IN_USE), changed);
    return 0;
}

int store_push_refuse_in_use(struct store *store, uint64_t key, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_IN_USE_PUSHES, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "find pushes of the same file", err)) == 1) {
        struct push_id other;
        sqlite_blob(read, 1, other.bytes, sizeof other.bytes);
        if (refuse_in_use(store, key, sqlite_u64(read, 0), &other, read, err) != 0) {
            sqlite_done(read);
            return -1;
        }
    }
    return got;
}

int store_push_resume(struct store *store, uint64_t key, const struct store_push *push,
                      struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PUSH_RESUME, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, (uint64_t)push->not_after_unix_s);
    sqlite_bind_blob(write, 3, push->operator_key, LIMIT_KEY_BYTES);
    sqlite_bind_blob(write, 4, push->signed_job, push->signed_job_size);
    sqlite_bind_blob(write, 5, push->sealed_credential, push->sealed_credential_size);
    sqlite_bind_u64(write, 6, push->fail_stop_count);
    return sqlite_run(store, write, "resume push", err);
}

int store_push_state(struct store *store, uint64_t key, enum push_state state, uint64_t now_unix_ms,
                     struct err *err)
{
    bool closed = state == PUSH_CLOSED;
    sqlite3_stmt *write = sqlite_write(store, closed ? SQL_PUSH_CLOSE : SQL_PUSH_STATE, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, closed ? now_unix_ms : (uint64_t)state);
    if (sqlite_run(store, write, "change push", err) != 0)
        return -1;
    return closed ? store_push_credential_drop(store, key, err) : 0;
}

int store_lease(struct store *store, uint64_t key, const struct store_lease *lease, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_LEASE_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, lease->relay);
    sqlite_bind_u64(write, 3, lease->mark);
    sqlite_bind_u64(write, 4, lease->attempt_max);
    return sqlite_run(store, write, "note lease", err);
}

/* ---- for a restart ---- */

int store_push_keys(struct store *store, enum store_which which, uint64_t *keys, uint32_t max,
                    uint32_t *count, struct err *err)
{
    static const enum statement statements[] = {
        [STORE_PUSHES_OPEN] = SQL_KEYS_OPEN,
        [STORE_PUSHES_UNKNOWN] = SQL_KEYS_UNKNOWN,
        [STORE_PUSHES_CLOSED] = SQL_KEYS_CLOSED,
    };
    sqlite3_stmt *read = sqlite_read(store, statements[which], err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, max);
    *count = 0;
    int got;
    while ((got = sqlite_next(store, read, "list pushes", err)) == 1)
        if (*count < max)
            keys[(*count)++] = sqlite_u64(read, 0);
    return got;
}
