/* SQLite: opening, the transaction, statements; sites and relays. */
#include "coordinator/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define APPLICATION_ID 0x50555348 /* "PUSH" */
#define SCHEMA_VERSION 4
#define CHECKPOINT_PAGES 1000 /* of the WAL */
#define PATH_SIZE 4096
/* Larger files are not read through at each start: a damaged page shows when it is used. */
#define CHECK_BYTES_MAX (64LL << 20)

/* With --wait: what packages printed. Its rows are large, so it has a row id. */
#define SCHEMA_OUTPUT                                                                              \
    "CREATE TABLE output (push INTEGER NOT NULL REFERENCES push (key), no INTEGER NOT NULL,"       \
    " body BLOB NOT NULL, PRIMARY KEY (push, no));"

/* Sites, trust and packages: from version 4 on. standing: enum relay_standing; kind of a site_rule:
 * 0 subnet, 1 name pattern; described: by an admin, else the site is a number for rows alone.
 * push_credential and site_credential: ciphertext for one relay. A row of package says what its
 * bytes are called; they lie in files. */
#define SCHEMA_SITES                                                                               \
    "CREATE TABLE site_rule (site INTEGER NOT NULL REFERENCES site (no), kind INTEGER NOT NULL,"   \
    " text TEXT NOT NULL, PRIMARY KEY (site, kind, text)) WITHOUT ROWID;"                          \
    "CREATE TABLE token (key BLOB PRIMARY KEY, site INTEGER NOT NULL REFERENCES site (no),"        \
    " expires_ms INTEGER NOT NULL) WITHOUT ROWID;"                                                 \
    "CREATE TABLE policy (version INTEGER PRIMARY KEY, body BLOB NOT NULL);"                       \
    "CREATE TABLE site_credential (site INTEGER NOT NULL REFERENCES site (no),"                    \
    " relay INTEGER NOT NULL REFERENCES relay (no), counter INTEGER NOT NULL,"                     \
    " account TEXT NOT NULL, set_ms INTEGER NOT NULL, body BLOB NOT NULL,"                         \
    " PRIMARY KEY (site, relay)) WITHOUT ROWID;"                                                   \
    "CREATE TABLE push_credential (push INTEGER NOT NULL REFERENCES push (key),"                   \
    " relay INTEGER NOT NULL REFERENCES relay (no), body BLOB NOT NULL,"                           \
    " PRIMARY KEY (push, relay)) WITHOUT ROWID;"                                                   \
    "CREATE TABLE package (digest BLOB PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL,"   \
    " directory INTEGER NOT NULL, added_ms INTEGER NOT NULL) WITHOUT ROWID;"

/* From version 1, where nobody could wait or clean up. run_as of old pushes stays the default: only
 * their signed jobs know it. */
static const char *const migration_1 =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE push ADD COLUMN wait INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE push ADD COLUMN action INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE push ADD COLUMN of_push BLOB;"
    "ALTER TABLE push ADD COLUMN run_as INTEGER NOT NULL DEFAULT 0;" SCHEMA_OUTPUT
    "PRAGMA user_version = 2; COMMIT;";

/* From version 2, where no push had a failure threshold. */
static const char *const migration_2 =
    "BEGIN IMMEDIATE; ALTER TABLE push ADD COLUMN fail_stop INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 3; COMMIT;";

/* From version 3, which knew one site and one relay. */
static const char *const migration_3 =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE site ADD COLUMN is_default INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE site ADD COLUMN wan_rate INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE site ADD COLUMN described INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE relay ADD COLUMN standing INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE relay ADD COLUMN serial INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE relay ADD COLUMN certificate BLOB;"
    "ALTER TABLE relay ADD COLUMN until_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE push ADD COLUMN site TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE push ADD COLUMN policy_version INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE target ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;" SCHEMA_SITES
    "INSERT OR IGNORE INTO package SELECT package_digest, package_name, package_bytes, 0, "
    "created_ms"
    " FROM push WHERE state < 100 AND action = 0 ORDER BY created_ms DESC;"
    "PRAGMA user_version = 4; COMMIT;";

static const char *const schema =
    "CREATE TABLE site (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " is_default INTEGER NOT NULL DEFAULT 0, wan_rate INTEGER NOT NULL DEFAULT 0,"
    " described INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE relay (no INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,"
    " site INTEGER NOT NULL REFERENCES site (no), name TEXT NOT NULL DEFAULT '',"
    " seal_key BLOB, epoch INTEGER NOT NULL DEFAULT 0, standing INTEGER NOT NULL DEFAULT 1,"
    " serial INTEGER NOT NULL DEFAULT 0, certificate BLOB, until_s INTEGER NOT NULL DEFAULT 0);"
    /* state: enum push_state, or 100 while its targets are uploaded. */
    "CREATE TABLE push (key INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,"
    " state INTEGER NOT NULL, target_count INTEGER NOT NULL, generation INTEGER,"
    " package_name TEXT, package_bytes INTEGER, package_digest BLOB, not_after_s INTEGER,"
    " operator_key BLOB, account TEXT, created_ms INTEGER, closed_ms INTEGER NOT NULL DEFAULT 0,"
    " signed_job BLOB, sealed_credential BLOB, wait INTEGER NOT NULL DEFAULT 0,"
    " action INTEGER NOT NULL DEFAULT 0, of_push BLOB, run_as INTEGER NOT NULL DEFAULT 0,"
    " fail_stop INTEGER NOT NULL DEFAULT 0, site TEXT NOT NULL DEFAULT '',"
    " policy_version INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX push_created ON push (created_ms, key);"
    "CREATE INDEX push_state ON push (state);"
    /* One row per submitted target. state: enum target_state; reason: its word. */
    "CREATE TABLE target (push INTEGER NOT NULL REFERENCES push (key), no INTEGER NOT NULL,"
    " name TEXT NOT NULL, site INTEGER NOT NULL, state INTEGER NOT NULL, relay INTEGER,"
    " stage INTEGER, reason TEXT, code_kind INTEGER, code INTEGER, detail BLOB, address TEXT,"
    " name_check INTEGER, tries INTEGER, bytes INTEGER, started_ms INTEGER, elapsed_ms INTEGER,"
    " stage_ms BLOB, exit_code INTEGER, generation INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (push, "
    "no)) WITHOUT ROWID;"
    "CREATE INDEX target_bad ON target (push, no) WHERE state >= 4;"
    /* what: a state, 100 attempted, 101 reboot. */
    "CREATE TABLE total (push INTEGER NOT NULL REFERENCES push (key), what INTEGER NOT NULL,"
    " count INTEGER NOT NULL, PRIMARY KEY (push, what)) WITHOUT ROWID;"
    "CREATE TABLE lease (push INTEGER NOT NULL REFERENCES push (key), relay INTEGER NOT NULL,"
    " mark INTEGER NOT NULL, attempt_max INTEGER NOT NULL, PRIMARY KEY (push, relay))"
    " WITHOUT ROWID;" SCHEMA_OUTPUT SCHEMA_SITES;

static const char *const sql_text[SQL_COUNT] = {
#define STATEMENT(name, sql) [SQL_##name] = (sql),
#include "coordinator/store/statement.def"
#undef STATEMENT
};

/* ---- errors ---- */

static int fail_code(const char *path, int code, const char *message, const char *doing,
                     struct err *err)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set_native(err, ERR_NO_SPACE, code, "%s in %s: disk full: free space there",
                              doing, path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set_native(err, ERR_INVALID, code,
                              "%s is damaged (%s): put a backup in its place, or move it and its "
                              "-wal file away to begin with an empty one",
                              path, message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_set_native(err, ERR_DENIED, code, "%s in %s: %s: check its owner and mode",
                              doing, path, message);
    case SQLITE_BUSY:
        return err_set_native(err, ERR_IO, code, "%s in %s: another process has it open", doing,
                              path);
    default: /* SQLite's own codes, many */
        return err_set_native(err, ERR_IO, code, "%s in %s: %s", doing, path, message);
    }
}

int sqlite_fail(struct store *store, struct err *err, const char *doing)
{
    if (store->failed)
        return err_set(err, ERR_IO, "%s in %s: an earlier write failed", doing, store->path);
    if (store->dirty)
        store->failed = true;
    return fail_code(store->path, sqlite3_extended_errcode(store->db), sqlite3_errmsg(store->db),
                     doing, err);
}

/* ---- statements ---- */

sqlite3_stmt *sqlite_read(struct store *store, enum statement which, struct err *err)
{
    sqlite3_stmt **statement = &store->statements[which];
    if (store->failed) {
        (void)sqlite_fail(store, err, "read");
        return NULL;
    }
    if (*statement == NULL &&
        sqlite3_prepare_v3(store->db, sql_text[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
                           NULL) != SQLITE_OK) {
        (void)sqlite_fail(store, err, "read");
        return NULL;
    }
    (void)sqlite3_clear_bindings(*statement);
    return *statement;
}

sqlite3_stmt *sqlite_write(struct store *store, enum statement which, struct err *err)
{
    if (!store->dirty && !store->failed) {
        sqlite3_stmt *begin = sqlite_read(store, SQL_BEGIN, err);
        if (begin == NULL || sqlite_run(store, begin, "begin", err) != 0)
            return NULL;
        store->dirty = true;
    }
    return sqlite_read(store, which, err);
}

int sqlite_run(struct store *store, sqlite3_stmt *statement, const char *doing, struct err *err)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        (void)sqlite_fail(store, err, doing);
        (void)sqlite3_reset(statement);
        return -1;
    }
    (void)sqlite3_reset(statement);
    return 0;
}

int sqlite_next(struct store *store, sqlite3_stmt *statement, const char *doing, struct err *err)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    int result = code == SQLITE_DONE ? 0 : sqlite_fail(store, err, doing);
    (void)sqlite3_reset(statement);
    return result;
}

void sqlite_done(sqlite3_stmt *statement)
{
    (void)sqlite3_reset(statement);
}

/* Bindings fail only for a wrong index or for want of memory; the statement's step then says so,
 * since the columns that matter are NOT NULL. */
void sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t size)
{
    (void)sqlite3_bind_blob64(statement, at, data, size, SQLITE_STATIC);
}

void sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void sqlite_bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, at, (sqlite3_int64)value);
}

uint64_t sqlite_u64(sqlite3_stmt *statement, int at)
{
    return (uint64_t)sqlite3_column_int64(statement, at);
}

uint32_t sqlite_u32(sqlite3_stmt *statement, int at)
{
    return (uint32_t)sqlite3_column_int64(statement, at);
}

const char *sqlite_text(sqlite3_stmt *statement, int at)
{
    const unsigned char *text = sqlite3_column_text(statement, at);
    return text != NULL ? (const char *)text : "";
}

void sqlite_blob(sqlite3_stmt *statement, int at, void *to, size_t size)
{
    const void *blob = sqlite3_column_blob(statement, at);
    if (blob != NULL && (size_t)sqlite3_column_bytes(statement, at) == size)
        memcpy(to, blob, size);
    else
        memset(to, 0, size);
}

/* ---- opening ---- */

static int execute(struct store *store, const char *sql, const char *doing, struct err *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(store, err, doing);
    return 0;
}

/* The first column of the first row. */
static int query(struct store *store, const char *sql, sqlite3_int64 *number, char *text,
                 size_t text_size, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return sqlite_fail(store, err, "open");
    int got = sqlite3_step(statement);
    if (got == SQLITE_ROW) {
        if (number != NULL)
            *number = sqlite3_column_int64(statement, 0);
        if (text != NULL)
            (void)text_copy(text, text_size, sqlite_text(statement, 0));
    }
    if (got != SQLITE_ROW && got != SQLITE_DONE)
        (void)sqlite_fail(store, err, "open");
    (void)sqlite3_finalize(statement);
    return got == SQLITE_ROW || got == SQLITE_DONE ? 0 : -1;
}

static int open_file(struct store *store, const char *path, struct err *err)
{
    int code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (store->db == NULL)
        mem_exhausted();
    (void)sqlite3_extended_result_codes(store->db, 1);
    if (code != SQLITE_OK)
        return sqlite_fail(store, err, "open");
    return 0;
}

static int sync_folder(const char *path, struct err *err)
{
    char folder[PATH_SIZE];
    (void)text_copy(folder, sizeof folder, path);
    int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open the folder of %s", path);
    int result =
        fsync(fd) == 0 ? 0 : err_set_errno(err, errno, "cannot sync the folder of %s", path);
    (void)close(fd);
    return result;
}

/* Makes the file under another name and renames it when it is whole: so a file under the real name
 * that is empty was damaged later, and never is a beginning of ours. */
static int create(const char *path, struct err *err)
{
    char fresh[PATH_SIZE];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_LIMIT, "path too long: %s", path);
    (void)unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create %s", fresh);
    (void)close(fd);

    struct store store = {.path = fresh};
    char header[128];
    (void)snprintf(header, sizeof header,
                   "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;", APPLICATION_ID,
                   SCHEMA_VERSION);
    int result = open_file(&store, fresh, err);
    if (result == 0)
        result = execute(&store, "PRAGMA synchronous = EXTRA; BEGIN;", "create", err);
    if (result == 0)
        result = execute(&store, schema, "create", err);
    if (result == 0)
        result = execute(&store, header, "create", err);
    (void)sqlite3_close(store.db);
    if (result == 0 && rename(fresh, path) != 0)
        result = err_set_errno(err, errno, "cannot rename %s", fresh);
    if (result == 0)
        result = sync_folder(path, err);
    if (result != 0)
        (void)unlink(fresh);
    return result;
}

/* Looks at the file before SQLite does: it would take an empty one for a new one. */
static int inspect(const char *path, struct err *err)
{
    struct stat stat_of;
    if (stat(path, &stat_of) == 0) {
        if (!S_ISREG(stat_of.st_mode))
            return err_set(err, ERR_INVALID, "%s is not a file", path);
        if (stat_of.st_size == 0)
            return fail_code(path, SQLITE_CORRUPT, "it is empty", "open", err);
        if (access(path, R_OK | W_OK) != 0)
            return err_set(err, ERR_DENIED, "%s: %s: check its owner and mode", path,
                           strerrordesc_np(errno));
        return 0;
    }
    if (errno != ENOENT)
        return err_set_errno(err, errno, "cannot look at %s", path);
    char wal[PATH_SIZE];
    if (snprintf(wal, sizeof wal, "%s-wal", path) >= (int)sizeof wal)
        return err_set(err, ERR_LIMIT, "path too long: %s", path);
    if (access(wal, F_OK) == 0)
        return fail_code(path, SQLITE_CORRUPT, "it is missing, its -wal file is there", "open",
                         err);
    return create(path, err);
}

/* A page that couldn't be read is a row of the check's answer like any other. A file isn't damaged
 * for that: nobody shall be told to begin with an empty one. */
static int verdict_code(const char *verdict)
{
    static const char unread[] = "error code=";
    const char *at = strstr(verdict, unread);
    long code = at != NULL ? strtol(at + sizeof unread - 1, NULL, 10) : 0;
    return code > 0 && code <= INT_MAX ? (int)code : SQLITE_CORRUPT;
}

static int check(struct store *store, struct err *err)
{
    sqlite3_int64 application = 0;
    sqlite3_int64 version = 0;
    if (query(store, "PRAGMA application_id", &application, NULL, 0, err) != 0 ||
        query(store, "PRAGMA user_version", &version, NULL, 0, err) != 0)
        return -1;
    if (application != APPLICATION_ID)
        return err_set(err, ERR_INVALID, "%s is a database, but not pusher's: move it away",
                       store->path);
    if (version > SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "%s was written by a newer version of pusher (schema %lld, this one knows "
                       "%d): run that version",
                       store->path, (long long)version, SCHEMA_VERSION);
    struct stat stat_of;
    if (stat(store->path, &stat_of) == 0 && stat_of.st_size <= CHECK_BYTES_MAX) {
        char verdict[128] = "";
        if (query(store, "PRAGMA quick_check(1)", NULL, verdict, sizeof verdict, err) != 0)
            return -1;
        if (strcmp(verdict, "ok") != 0)
            return fail_code(store->path, verdict_code(verdict), verdict, "check", err);
    }
    if (version < 2 && execute(store, migration_1, "migrate", err) != 0)
        return -1;
    if (version < 3 && execute(store, migration_2, "migrate", err) != 0)
        return -1;
    if (version < 4 && execute(store, migration_3, "migrate", err) != 0)
        return -1;
    return 0;
}

static int on_wal(void *context, sqlite3 *db, const char *name, int page_count)
{
    struct store *store = context;
    (void)db;
    (void)name;
    store->wal_page_count = page_count;
    return SQLITE_OK;
}

int store_open(struct store **out, const char *path, struct err *err)
{
    if (inspect(path, err) != 0)
        return -1;
    struct store *store = mem_new(1, sizeof *store);
    store->path = mem_strdup(path);
    /* EXCLUSIVE keeps the WAL's index in memory and other processes out; FULL syncs every commit.
     * Foreign keys stay unchecked at run time: only this file's code writes. */
    if (open_file(store, path, err) != 0 || check(store, err) != 0 ||
        execute(store,
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;"
                "PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
                "BEGIN IMMEDIATE; COMMIT;",
                "open", err) != 0) {
        store_close(store);
        return -1;
    }
    (void)sqlite3_wal_hook(store->db, on_wal, store);
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(store->statements[i]);
    /* Closing copies the WAL into the file, and syncs both: not after a sync has failed, since the
     * second one of the same bytes says that all is well whatever became of them. */
    if (store->failed)
        (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close(store->db); /* rolls an open transaction back */
    free(store->deltas);
    free(store->path);
    free(store);
}

bool store_dirty(const struct store *store)
{
    return store->dirty;
}

bool store_failed(const struct store *store)
{
    return store->failed;
}

/* Instead of SQLite's own automatic checkpoint, which keeps to itself that a sync has failed. On a
 * full disk the WAL grows on. */
static int checkpoint(struct store *store, struct err *err)
{
    if (store->wal_page_count < CHECKPOINT_PAGES)
        return 0;
    int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return (code & 0xff) == SQLITE_IOERR ? sqlite_fail(store, err, "checkpoint") : 0;
}

int store_commit(struct store *store, struct err *err)
{
    if (!store->dirty)
        return 0;
    if (sqlite_flush_totals(store, err) != 0)
        return -1;
    sqlite3_stmt *commit = sqlite_read(store, SQL_COMMIT, err);
    if (commit == NULL || sqlite_run(store, commit, "commit", err) != 0 ||
        checkpoint(store, err) != 0)
        return -1;
    store->dirty = false;
    return 0;
}

/* ---- sites and relays ---- */

static int find_number(struct store *store, sqlite3_stmt *statement, uint16_t *number,
                       struct err *err)
{
    int got = sqlite_next(store, statement, "look up", err);
    if (got == 1) {
        *number = (uint16_t)sqlite_u32(statement, 0);
        sqlite_done(statement);
    }
    return got;
}

int store_site(struct store *store, const char *name, uint16_t *site, struct err *err)
{
    for (int round = 0; round < 2; round++) {
        sqlite3_stmt *find = sqlite_read(store, SQL_SITE_FIND, err);
        if (find == NULL)
            return -1;
        sqlite_bind_text(find, 1, name);
        int got = find_number(store, find, site, err);
        if (got != 0)
            return got > 0 ? 0 : -1;
        sqlite3_stmt *add = sqlite_write(store, SQL_SITE_ADD, err);
        if (add == NULL)
            return -1;
        sqlite_bind_text(add, 1, name);
        if (sqlite_run(store, add, "add site", err) != 0)
            return -1;
    }
    return err_set(err, ERR_INTERNAL, "site %s was added and is not there", name);
}

int store_relay(struct store *store, const uint8_t key[LIMIT_KEY_BYTES], uint16_t site,
                struct store_relay *out, struct err *err)
{
    uint16_t number = 0;
    for (int round = 0; round < 2; round++) {
        sqlite3_stmt *find = sqlite_read(store, SQL_RELAY_FIND, err);
        if (find == NULL)
            return -1;
        sqlite_bind_blob(find, 1, key, LIMIT_KEY_BYTES);
        int got = find_number(store, find, &number, err);
        if (got < 0)
            return -1;
        sqlite3_stmt *write = sqlite_write(store, got > 0 ? SQL_RELAY_SITE : SQL_RELAY_ADD, err);
        if (write == NULL)
            return -1;
        if (got > 0)
            sqlite_bind_u64(write, 1, number);
        else
            sqlite_bind_blob(write, 1, key, LIMIT_KEY_BYTES);
        sqlite_bind_u64(write, 2, site);
        if (sqlite_run(store, write, "add relay", err) != 0)
            return -1;
        if (got > 0)
            return store_relay_get(store, number, out, err);
    }
    return err_set(err, ERR_INTERNAL, "a relay was added and is not there");
}

int store_relay_said(struct store *store, uint16_t relay, const char *name,
                     const uint8_t seal_key[LIMIT_KEY_BYTES], struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_RELAY_SAID, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, relay);
    sqlite_bind_text(write, 2, name);
    sqlite_bind_blob(write, 3, seal_key, LIMIT_KEY_BYTES);
    return sqlite_run(store, write, "note relay", err);
}

int store_relay_epoch(struct store *store, uint16_t relay, uint64_t epoch, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_RELAY_EPOCH, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, relay);
    sqlite_bind_u64(write, 2, epoch);
    return sqlite_run(store, write, "note epoch", err);
}

int store_relay_count(struct store *store, uint16_t *count, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_RELAY_COUNT, err);
    return read != NULL && find_number(store, read, count, err) == 1 ? 0 : -1;
}

int store_relay_get(struct store *store, uint16_t relay, struct store_relay *out, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_RELAY_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, relay);
    int got = sqlite_next(store, read, "read relay", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no relay %u", relay);
    if (got < 0)
        return -1;
    *out = (struct store_relay){.relay = relay, .site = (uint16_t)sqlite_u32(read, 0)};
    sqlite_blob(read, 1, out->key, sizeof out->key);
    sqlite_blob(read, 2, out->seal_key, sizeof out->seal_key);
    (void)text_copy(out->name, sizeof out->name, sqlite_text(read, 3));
    (void)text_copy(out->site_name, sizeof out->site_name, sqlite_text(read, 4));
    out->epoch = sqlite_u64(read, 5);
    uint32_t standing = sqlite_u32(read, 6);
    out->standing = standing < RELAY_STANDING_COUNT ? (enum relay_standing)standing : RELAY_REVOKED;
    out->serial = sqlite_u64(read, 7);
    out->until_unix_s = (int64_t)sqlite_u64(read, 8);
    sqlite_done(read);
    return 0;
}
