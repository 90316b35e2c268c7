/* SQLite: tokens, relays' standing and certificates, policies, sealed credentials. */
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

/* Appends a blob; NULL is nowhere. */
static int append(sqlite3_stmt *read, struct buf *out, const char *what, struct err *err)
{
    if (out == NULL)
        return 0;
    buf_bytes(out, sqlite3_column_blob(read, 0), (size_t)sqlite3_column_bytes(read, 0));
    return buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, "%s: too large", what);
}

/* Appends the first column of a statement that is bound. */
static int read_blob(struct store *store, sqlite3_stmt *read, struct buf *out, const char *what,
                     struct err *err)
{
    int got = sqlite_next(store, read, what, err);
    if (got < 0)
        return -1;
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "%s: there is none", what);
    int result = append(read, out, what, err);
    sqlite_done(read);
    return result;
}

/* ---- tokens ---- */

int store_token_put(struct store *store, const struct store_token *token, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_TOKEN_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, token->key, LIMIT_KEY_BYTES);
    sqlite_bind_u64(write, 2, token->site);
    sqlite_bind_u64(write, 3, token->expires_unix_ms);
    return sqlite_run(store, write, "note token", err);
}

int store_token_drop(struct store *store, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_TOKEN_DROP, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, key, LIMIT_KEY_BYTES);
    return sqlite_run(store, write, "drop token", err);
}

int store_token_list(struct store *store, struct store_token *out, uint32_t max, uint32_t *count,
                     struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_TOKEN_LIST, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, max);
    *count = 0;
    int got;
    while ((got = sqlite_next(store, read, "list tokens", err)) == 1) {
        if (*count == max)
            continue;
        struct store_token *token = &out[(*count)++];
        sqlite_blob(read, 0, token->key, sizeof token->key);
        token->site = (uint16_t)sqlite_u32(read, 1);
        (void)text_copy(token->site_name, sizeof token->site_name, sqlite_text(read, 2));
        token->expires_unix_ms = sqlite_u64(read, 3);
    }
    return got;
}

/* ---- relays ---- */

int store_relay_add(struct store *store, struct store_relay *relay, struct err *err)
{
    uint16_t count = 0;
    if (store_relay_count(store, &count, err) != 0)
        return -1;
    sqlite3_stmt *write = sqlite_write(store, SQL_RELAY_ENROL, err);
    if (write == NULL)
        return -1;
    sqlite_bind_blob(write, 1, relay->key, LIMIT_KEY_BYTES);
    sqlite_bind_u64(write, 2, relay->site);
    sqlite_bind_text(write, 3, relay->name);
    sqlite_bind_blob(write, 4, relay->seal_key, LIMIT_KEY_BYTES);
    if (sqlite_run(store, write, "add relay", err) != 0)
        return -1;
    return store_relay_get(store, count, relay, err);
}

int store_relay_standing(struct store *store, uint16_t relay, enum relay_standing standing,
                         struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_RELAY_STANDING, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, relay);
    sqlite_bind_u64(write, 2, (uint64_t)standing);
    return sqlite_run(store, write, "note relay's standing", err);
}

int store_certificate_put(struct store *store, uint16_t relay, uint64_t serial,
                          int64_t until_unix_s, const uint8_t *bytes, size_t size, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_CERTIFICATE_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, relay);
    sqlite_bind_u64(write, 2, serial);
    sqlite_bind_u64(write, 3, (uint64_t)until_unix_s);
    sqlite_bind_blob(write, 4, bytes, size);
    return sqlite_run(store, write, "keep certificate", err);
}

int store_certificate_get(struct store *store, uint16_t relay, struct buf *out, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_CERTIFICATE_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, relay);
    return read_blob(store, read, out, "certificate", err);
}

/* ---- policies ---- */

int store_policy_put(struct store *store, uint64_t version, const uint8_t *bytes, size_t size,
                     struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_POLICY_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, version);
    sqlite_bind_blob(write, 2, bytes, size);
    return sqlite_run(store, write, "keep policy", err);
}

int store_policy_newest(struct store *store, uint64_t *version, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_POLICY_NEWEST, err);
    if (read == NULL || sqlite_next(store, read, "look up policy", err) != 1)
        return -1; /* an aggregate has a row always */
    *version = sqlite_u64(read, 0);
    sqlite_done(read);
    return 0;
}

int store_policy_get(struct store *store, uint64_t version, struct buf *out, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_POLICY_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, version);
    return read_blob(store, read, out, "policy", err);
}

/* ---- sealed credentials ---- */

int store_site_credential_put(struct store *store, const struct store_site_credential *credential,
                              struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_SITE_CREDENTIAL_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, credential->site);
    sqlite_bind_u64(write, 2, credential->relay);
    sqlite_bind_u64(write, 3, credential->counter);
    sqlite_bind_text(write, 4, credential->account);
    sqlite_bind_u64(write, 5, credential->set_unix_ms);
    sqlite_bind_blob(write, 6, credential->bytes, credential->size);
    return sqlite_run(store, write, "keep site credential", err);
}

int store_site_credential_get(struct store *store, uint16_t site, uint16_t relay, uint64_t *counter,
                              struct buf *out, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_SITE_CREDENTIAL_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, site);
    sqlite_bind_u64(read, 2, relay);
    int got = sqlite_next(store, read, "site credential", err);
    if (got <= 0)
        return got < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "no site credential for relay %u", relay);
    if (counter != NULL)
        *counter = sqlite_u64(read, 1);
    int result = append(read, out, "site credential", err);
    sqlite_done(read);
    return result;
}

int store_site_credential_drop(struct store *store, uint16_t site, uint32_t *count, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_SITE_CREDENTIAL_DROP, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, site);
    if (sqlite_run(store, write, "drop site credentials", err) != 0)
        return -1;
    *count = (uint32_t)sqlite3_changes(store->db);
    return 0;
}

int store_push_credential_put(struct store *store, uint64_t key, uint16_t relay,
                              const uint8_t *bytes, size_t size, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PUSH_CREDENTIAL_PUT, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, relay);
    sqlite_bind_blob(write, 3, bytes, size);
    return sqlite_run(store, write, "keep credential", err);
}

int store_push_credential_get(struct store *store, uint64_t key, uint16_t relay, struct buf *out,
                              struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PUSH_CREDENTIAL_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, relay);
    return read_blob(store, read, out, "credential", err);
}

int store_push_credential_drop(struct store *store, uint64_t key, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_PUSH_CREDENTIAL_DROP, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    return sqlite_run(store, write, "drop credentials", err);
}

int store_credential_each(struct store *store, uint64_t key,
                          void (*each)(void *context, uint16_t relay), void *context,
                          struct err *err)
{
    sqlite3_stmt *read =
        sqlite_read(store, key == 0 ? SQL_SITE_CREDENTIAL_EACH : SQL_PUSH_CREDENTIAL_EACH, err);
    if (read == NULL)
        return -1;
    if (key != 0)
        sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "list credentials", err)) == 1)
        each(context, (uint16_t)sqlite_u32(read, 0));
    return got;
}
