/* SQLite: what packages are called. */
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

int store_package_put(struct store *store, const struct package_row *row, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PACKAGE_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, row->digest, sizeof row->digest);
    sqlite_bind_text(write, 2, row->name);
    sqlite_bind_u64(write, 3, row->bytes);
    sqlite_bind_u64(write, 4, row->directory);
    sqlite_bind_u64(write, 5, row->added_unix_ms);
    return sqlite_run(store, write, "note package", err);
}

static int list(struct store *store, const uint8_t *digest, struct package_row *rows, uint32_t max,
                uint32_t *count, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PACKAGE_LIST, err);
    if (read == NULL)
        return -1;
    if (digest != NULL)
        sqlite_bind_blob(read, 1, digest, LIMIT_DIGEST_BYTES);
    sqlite_bind_u64(read, 2, max);
    *count = 0;
    int got;
    while ((got = sqlite_next(store, read, "list packages", err)) == 1) {
        struct package_row *row = &rows[(*count)++];
        *row = (struct package_row){
            .bytes = sqlite_u64(read, 2),
            .directory = sqlite_u32(read, 3) != 0,
            .added_unix_ms = sqlite_u64(read, 4),
            .in_use = sqlite_u32(read, 5) != 0,
        };
        sqlite_blob(read, 0, row->digest, sizeof row->digest);
        (void)text_copy(row->name, sizeof row->name, sqlite_text(read, 1));
    }
    return got;
}

int store_package_get(struct store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                      struct package_row *row, struct err *err)
{
    uint32_t count = 0;
    if (list(store, digest, row, 1, &count, err) != 0)
        return -1;
    return count == 1 ? 0 : err_set(err, ERR_NOT_FOUND, "no such package is known");
}

int store_package_list(struct store *store, struct package_row *rows, uint32_t max, uint32_t *count,
                       struct err *err)
{
    return list(store, NULL, rows, max, count, err);
}

int store_package_drop(struct store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PACKAGE_DROP, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, digest, LIMIT_DIGEST_BYTES);
    return sqlite_run(store, write, "forget package", err);
}
