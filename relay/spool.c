/* The journal in SQLite. */
#include "relay/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

#define APPLICATION_ID 0x50735270 /* "PsRp" */
#define SCHEMA_VERSION 3
#define CHECKPOINT_PAGES 1000 /* of the WAL */
#define OUTCOME_BYTES_MAX 4096U

enum statement {
#define STATEMENT(name, sql) STATEMENT_##name,
#include "relay/spool.def"
#undef STATEMENT
    STATEMENT_COUNT
};

static const char *const statement_sql[STATEMENT_COUNT] = {
#define STATEMENT(name, sql) sql,
#include "relay/spool.def"
#undef STATEMENT
};

/* Since version 2: what packages printed, until the row is acknowledged. Apart from the outcomes,
 * which are read through at each start. */
#define SCHEMA_OUTPUT                                                                              \
    "CREATE TABLE output (push BLOB NOT NULL, generation INTEGER NOT NULL,"                        \
    " target_no INTEGER NOT NULL, body BLOB NOT NULL,"                                             \
    " PRIMARY KEY (push, generation, target_no));"

/* Since version 3: the highest counter of each site's credential. */
#define SCHEMA_SITE_CREDENTIAL                                                                     \
    "CREATE TABLE site_credential (site TEXT PRIMARY KEY, counter INTEGER NOT NULL) WITHOUT "      \
    "ROWID;"

static const char migration_1[] =
    "BEGIN;" SCHEMA_OUTPUT SCHEMA_SITE_CREDENTIAL "PRAGMA user_version = 3; COMMIT;";
static const char migration_2[] =
    "BEGIN;" SCHEMA_SITE_CREDENTIAL "PRAGMA user_version = 3; COMMIT;";

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE intent (push BLOB NOT NULL, generation INTEGER NOT NULL,"
    " target_no INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " PRIMARY KEY (push, generation, target_no)) WITHOUT ROWID;"
    "CREATE TABLE outcome (push BLOB NOT NULL, generation INTEGER NOT NULL,"
    " target_no INTEGER NOT NULL, attempt INTEGER NOT NULL, acked INTEGER NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY (push, generation, target_no)) WITHOUT ROWID;"
    "CREATE TABLE job (push BLOB NOT NULL, generation INTEGER NOT NULL,"
    " counter INTEGER NOT NULL, not_after_unix_s INTEGER NOT NULL, closed INTEGER NOT NULL,"
    " PRIMARY KEY (push, generation)) WITHOUT ROWID;" SCHEMA_OUTPUT SCHEMA_SITE_CREDENTIAL
    "PRAGMA application_id = 1349735024;"
    "PRAGMA user_version = 3;"
    "COMMIT;";

struct spool {
    sqlite3 *db;
    char *path;
    bool open; /* a transaction is */
    int wal_page_count;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

_Static_assert(APPLICATION_ID == 1349735024, "the schema says the same");

static enum err_code code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_EXISTS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static int db_fail(const struct spool *spool, struct err *err)
{
    int code = sqlite3_extended_errcode(spool->db);
    /* Closing copies the WAL into the file, and syncs both: not after a sync has failed, since the
     * second one of the same bytes says that all is well whatever became of them. */
    if ((code & 0xff) == SQLITE_IOERR)
        (void)sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if ((code & 0xff) == SQLITE_BUSY)
        return err_set_native(err, ERR_EXISTS, code,
                              "journal %s is in use: another pusher-relay runs on this state",
                              spool->path);
    return err_set_native(err, code_of(code), code, "journal %s: %s", spool->path,
                          sqlite3_errmsg(spool->db));
}

static int damaged(const struct spool *spool, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "journal %s is damaged or not a relay's (%s): restore it, or move it away "
                   "knowing that what it held of open pushes is lost",
                   spool->path, what);
}

/* The first column of the first row, as a number; -1 when there is none. */
static int pragma_number(struct spool *spool, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(spool->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 0 : -1;
}

/* What could not be read isn't damaged for that: who is told so moves the journal away, and it
 * knows what was started. */
static int unreadable(const struct spool *spool, const char *what, struct err *err)
{
    int code = sqlite3_extended_errcode(spool->db) & 0xff;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR ||
        code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return damaged(spool, what, err);
    return db_fail(spool, err);
}

/* Whether it says that a page couldn't be read, which is a row of the check's answer like any
 * other.
 */
static bool says_unread(const char *verdict)
{
    static const char unread[] = "error code=";
    const char *at = strstr(verdict, unread);
    long code = at ? strtol(at + sizeof unread - 1, NULL, 10) & 0xff : SQLITE_CORRUPT;
    return code != SQLITE_CORRUPT && code != SQLITE_NOTADB;
}

static int check_sound(struct spool *spool, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    const char *verdict = NULL;
    int failed = 0;
    int code = sqlite3_prepare_v2(spool->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        verdict = (const char *)sqlite3_column_text(statement, 0);
    if (!verdict)
        failed = unreadable(spool, "its pages do not hold together", err);
    else if (says_unread(verdict))
        failed = err_set(err, ERR_IO, "journal %s: %s", spool->path, verdict);
    else if (strcmp(verdict, "ok") != 0)
        failed = damaged(spool, "its pages do not hold together", err);
    (void)sqlite3_finalize(statement);
    return failed;
}

static int check_kind(struct spool *spool, struct err *err)
{
    int64_t application = 0;
    int64_t version = 0;
    if (pragma_number(spool, "PRAGMA application_id", &application) != 0 ||
        pragma_number(spool, "PRAGMA user_version", &version) != 0)
        return unreadable(spool, sqlite3_errmsg(spool->db), err);
    if (application != APPLICATION_ID)
        return damaged(spool, "no journal", err);
    /* Journals of before there was output, or sites: they only lack the tables. */
    if (version == 1 || version == 2)
        return sqlite3_exec(spool->db, version == 1 ? migration_1 : migration_2, NULL, NULL,
                            NULL) == SQLITE_OK
                   ? 0
                   : db_fail(spool, err);
    if (version != SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "journal %s has format %lld, this program knows %d: use the program that "
                       "wrote it",
                       spool->path, (long long)version, SCHEMA_VERSION);
    return 0;
}

static int open_db(struct spool *spool, const char *path, int flags, struct err *err)
{
    int code = sqlite3_open_v2(path, &spool->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code =
            sqlite3_exec(spool->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;",
                         NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return db_fail(spool, err);
    return 0;
}

static int close_db(struct spool *spool)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(spool->statements[i]);
        spool->statements[i] = NULL;
    }
    int code = sqlite3_close(spool->db);
    spool->db = NULL;
    return code;
}

static int sync_folder(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1,
                   slash ? path : ".");
    int fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", folder);
    int failed = fsync(fd);
    int saved = errno;
    (void)close(fd);
    return failed ? err_set_errno(err, saved, "cannot sync %s", folder) : 0;
}

/* A journal gets its name when it is whole, so an empty or torn file under that name is never taken
 * for a new one. */
static int create(struct spool *spool, struct err *err)
{
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", spool->path) >= (int)sizeof fresh)
        return err_set(err, ERR_LIMIT, "journal path is too long");
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make %s", fresh);
    (void)close(fd);
    if (open_db(spool, fresh, SQLITE_OPEN_READWRITE, err) != 0)
        return -1;
    if (sqlite3_exec(spool->db, "PRAGMA synchronous = FULL;", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(spool->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(spool, err);
    if (close_db(spool) != SQLITE_OK)
        return err_set(err, ERR_IO, "cannot close %s", fresh);
    if (rename(fresh, spool->path) != 0)
        return err_set_errno(err, errno, "cannot rename %s", fresh);
    return sync_folder(spool->path, err);
}

static int prepare(struct spool *spool, struct err *err)
{
    static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
    if (sqlite3_exec(spool->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(spool, err);
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(spool->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &spool->statements[i], NULL) != SQLITE_OK)
            return unreadable(spool, sqlite3_errmsg(spool->db), err);
    }
    return 0;
}

static int open_journal(struct spool *spool, struct err *err)
{
    struct stat info;
    if (lstat(spool->path, &info) != 0) {
        if (errno != ENOENT)
            return err_set_errno(err, errno, "cannot look at %s", spool->path);
        if (create(spool, err) != 0)
            return -1;
    } else if (!S_ISREG(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
        return err_set(err, ERR_DENIED, "journal %s: must be a file of ours with mode 0600",
                       spool->path);
    }
    if (open_db(spool, spool->path, SQLITE_OPEN_READWRITE, err) != 0 ||
        check_sound(spool, err) != 0 || check_kind(spool, err) != 0 || prepare(spool, err) != 0)
        return -1;
    return 0;
}

static int on_wal(void *context, sqlite3 *db, const char *name, int page_count)
{
    struct spool *spool = context;
    (void)db;
    (void)name;
    spool->wal_page_count = page_count;
    return SQLITE_OK;
}

int spool_open(struct spool **out, const char *path, struct err *err)
{
    struct spool *spool = mem_new(1, sizeof *spool);
    spool->path = mem_strdup(path);
    if (open_journal(spool, err) != 0) {
        spool_close(spool);
        return -1;
    }
    (void)sqlite3_wal_hook(spool->db, on_wal, spool);
    *out = spool;
    return 0;
}

void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    (void)close_db(spool); /* SQLite rolls back what is open */
    free(spool->path);
    free(spool);
}

/* Runs a statement that returns no rows. */
static int run(struct spool *spool, enum statement which, struct err *err)
{
    sqlite3_stmt *statement = spool->statements[which];
    int code = sqlite3_step(statement);
    int failed = code == SQLITE_DONE ? 0 : db_fail(spool, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return failed;
}

/* Opens the transaction if none is. */
static int begin(struct spool *spool, struct err *err)
{
    if (spool->open)
        return 0;
    if (run(spool, STATEMENT_BEGIN, err) != 0)
        return -1;
    spool->open = true;
    return 0;
}

static sqlite3_stmt *bind_push(struct spool *spool, enum statement which,
                               const struct push_id *push, uint32_t generation)
{
    sqlite3_stmt *statement = spool->statements[which];
    (void)sqlite3_bind_blob(statement, 1, push->bytes, PUSH_ID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, generation);
    return statement;
}

static sqlite3_stmt *bind_ref(struct spool *spool, enum statement which,
                              const struct agent_ref *ref)
{
    sqlite3_stmt *statement = bind_push(spool, which, &ref->push, ref->generation);
    (void)sqlite3_bind_int64(statement, 3, ref->target_no);
    if (sqlite3_bind_parameter_count(statement) >= 4 && which != STATEMENT_PUT_OUTPUT)
        (void)sqlite3_bind_int64(statement, 4, ref->attempt);
    return statement;
}

static int run_ref(struct spool *spool, enum statement which, const struct agent_ref *ref,
                   struct err *err)
{
    if (begin(spool, err) != 0)
        return -1;
    (void)bind_ref(spool, which, ref);
    return run(spool, which, err);
}

int spool_put_intent(struct spool *spool, const struct agent_ref *ref, struct err *err)
{
    return run_ref(spool, STATEMENT_PUT_INTENT, ref, err);
}

int spool_put_outcome(struct spool *spool, const struct agent_ref *ref,
                      const struct outcome *outcome, struct err *err)
{
    struct buf body;
    buf_init(&body, OUTCOME_BYTES_MAX);
    int failed = wire_encode_outcome(outcome, &body, err);
    if (!failed)
        failed = begin(spool, err);
    if (!failed) {
        sqlite3_stmt *statement = bind_ref(spool, STATEMENT_PUT_OUTCOME, ref);
        (void)sqlite3_bind_blob(statement, 5, body.data, (int)body.size, SQLITE_STATIC);
        failed = run(spool, STATEMENT_PUT_OUTCOME, err);
    }
    buf_release(&body);
    return failed ? -1 : run_ref(spool, STATEMENT_DELETE_INTENT, ref, err);
}

int spool_put_output(struct spool *spool, const struct agent_ref *ref, const uint8_t *output,
                     size_t output_size, struct err *err)
{
    if (output_size == 0 || output_size > LIMIT_OUTPUT_BYTES)
        return err_set(err, ERR_LIMIT, "output of %zu bytes", output_size);
    if (begin(spool, err) != 0)
        return -1;
    sqlite3_stmt *statement = bind_ref(spool, STATEMENT_PUT_OUTPUT, ref);
    (void)sqlite3_bind_blob(statement, 4, output, (int)output_size, SQLITE_STATIC);
    return run(spool, STATEMENT_PUT_OUTPUT, err);
}

int spool_get_output(struct spool *spool, const struct agent_ref *ref, uint8_t **output,
                     size_t *output_size, struct err *err)
{
    sqlite3_stmt *statement = bind_ref(spool, STATEMENT_GET_OUTPUT, ref);
    int code = sqlite3_step(statement);
    int failed = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : db_fail(spool, err);
    *output = NULL;
    *output_size = 0;
    if (code == SQLITE_ROW && sqlite3_column_bytes(statement, 0) > 0 &&
        (size_t)sqlite3_column_bytes(statement, 0) <= LIMIT_OUTPUT_BYTES) {
        *output_size = (size_t)sqlite3_column_bytes(statement, 0);
        *output = mem_new(*output_size, 1);
        memcpy(*output, sqlite3_column_blob(statement, 0), *output_size);
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return failed;
}

int spool_renew(struct spool *spool, const struct agent_ref *ref, struct err *err)
{
    return run_ref(spool, STATEMENT_RENEW, ref, err);
}

int spool_set_acked(struct spool *spool, const struct agent_ref *ref, struct err *err)
{
    if (run_ref(spool, STATEMENT_SET_ACKED, ref, err) != 0)
        return -1;
    if (sqlite3_changes(spool->db) == 0)
        return 0;
    return run_ref(spool, STATEMENT_DELETE_OUTPUT, ref, err);
}

int spool_get_outcome(struct spool *spool, const struct agent_ref *ref, struct outcome *outcome,
                      struct err *err)
{
    sqlite3_stmt *statement = bind_ref(spool, STATEMENT_GET_OUTCOME, ref);
    int code = sqlite3_step(statement);
    int failed;
    if (code == SQLITE_ROW)
        failed = wire_decode_outcome(sqlite3_column_blob(statement, 0),
                                     (size_t)sqlite3_column_bytes(statement, 0), outcome, err);
    else if (code == SQLITE_DONE)
        failed = err_set(err, ERR_NOT_FOUND, "journal %s has no outcome of target %u", spool->path,
                         ref->target_no);
    else
        failed = db_fail(spool, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return failed;
}

int spool_put_job(struct spool *spool, const struct spool_job *job, struct err *err)
{
    if (begin(spool, err) != 0)
        return -1;
    sqlite3_stmt *statement = bind_push(spool, STATEMENT_PUT_JOB, &job->push, job->generation);
    /* SQLite's integers are signed; the bits come back as they went in. */
    (void)sqlite3_bind_int64(statement, 3, (int64_t)job->counter);
    (void)sqlite3_bind_int64(statement, 4, job->not_after_unix_s);
    (void)sqlite3_bind_int64(statement, 5, job->closed);
    return run(spool, STATEMENT_PUT_JOB, err);
}

int spool_get_job(struct spool *spool, struct spool_job *job, bool *found, struct err *err)
{
    sqlite3_stmt *statement = bind_push(spool, STATEMENT_GET_JOB, &job->push, job->generation);
    int code = sqlite3_step(statement);
    int failed = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : db_fail(spool, err);
    *found = code == SQLITE_ROW;
    if (*found) {
        job->counter = (uint64_t)sqlite3_column_int64(statement, 0);
        job->not_after_unix_s = sqlite3_column_int64(statement, 1);
        job->closed = sqlite3_column_int64(statement, 2) != 0;
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return failed;
}

/* The one number that a bound statement gives; 0 when it gives none. */
static int read_number(struct spool *spool, enum statement which, int64_t *value, struct err *err)
{
    sqlite3_stmt *statement = spool->statements[which];
    int code = sqlite3_step(statement);
    int failed = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : db_fail(spool, err);
    *value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return failed;
}

int spool_newest_generation(struct spool *spool, const struct push_id *push, uint32_t *generation,
                            struct err *err)
{
    sqlite3_stmt *statement = spool->statements[STATEMENT_NEWEST_GENERATION];
    int64_t value = 0;
    (void)sqlite3_bind_blob(statement, 1, push->bytes, PUSH_ID_BYTES, SQLITE_STATIC);
    int failed = read_number(spool, STATEMENT_NEWEST_GENERATION, &value, err);
    *generation = (uint32_t)value;
    return failed;
}

int spool_get_site_counter(struct spool *spool, const char *site, uint64_t *counter,
                           struct err *err)
{
    sqlite3_stmt *statement = spool->statements[STATEMENT_GET_SITE_COUNTER];
    int64_t value = 0;
    (void)sqlite3_bind_text(statement, 1, site, -1, SQLITE_STATIC);
    int failed = read_number(spool, STATEMENT_GET_SITE_COUNTER, &value, err);
    *counter = (uint64_t)value;
    return failed;
}

int spool_put_site_counter(struct spool *spool, const char *site, uint64_t counter, struct err *err)
{
    if (begin(spool, err) != 0)
        return -1;
    sqlite3_stmt *statement = spool->statements[STATEMENT_PUT_SITE_COUNTER];
    (void)sqlite3_bind_text(statement, 1, site, -1, SQLITE_STATIC);
    /* SQLite's integers are signed; the bits come back as they went in. */
    (void)sqlite3_bind_int64(statement, 2, (int64_t)counter);
    return run(spool, STATEMENT_PUT_SITE_COUNTER, err);
}

int spool_forget(struct spool *spool, const struct push_id *push, uint32_t generation,
                 struct err *err)
{
    static const enum statement steps[] = {STATEMENT_FORGET_INTENTS, STATEMENT_FORGET_OUTCOMES,
                                           STATEMENT_FORGET_OUTPUT, STATEMENT_CLOSE_JOB};
    if (begin(spool, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        (void)bind_push(spool, steps[i], push, generation);
        if (run(spool, steps[i], err) != 0)
            return -1;
    }
    return 0;
}

int spool_prune(struct spool *spool, int64_t now_unix_s, struct err *err)
{
    if (begin(spool, err) != 0)
        return -1;
    (void)sqlite3_bind_int64(spool->statements[STATEMENT_PRUNE], 1, now_unix_s);
    return run(spool, STATEMENT_PRUNE, err);
}

/* Instead of SQLite's own automatic checkpoint, which keeps to itself that a sync has failed. On a
 * full disk the WAL grows on. */
static int checkpoint(struct spool *spool, struct err *err)
{
    if (spool->wal_page_count < CHECKPOINT_PAGES)
        return 0;
    int code = sqlite3_wal_checkpoint_v2(spool->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return (code & 0xff) == SQLITE_IOERR ? db_fail(spool, err) : 0;
}

int spool_commit(struct spool *spool, struct err *err)
{
    if (!spool->open)
        return 0;
    if (run(spool, STATEMENT_COMMIT, err) != 0)
        return -1;
    spool->open = false;
    return checkpoint(spool, err);
}

static int visit(struct spool *spool, enum statement which, const struct spool_visitor *visitor,
                 struct err *err)
{
    sqlite3_stmt *statement = spool->statements[which];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(statement, 0) != PUSH_ID_BYTES)
            continue;
        struct agent_ref ref = {0};
        memcpy(ref.push.bytes, sqlite3_column_blob(statement, 0), PUSH_ID_BYTES);
        ref.generation = (uint32_t)sqlite3_column_int64(statement, 1);
        ref.target_no = (uint32_t)sqlite3_column_int64(statement, 2);
        ref.attempt = (uint32_t)sqlite3_column_int64(statement, 3);
        if (which == STATEMENT_ALL_INTENTS)
            visitor->intent(visitor->context, &ref);
        else
            visitor->outcome(visitor->context, &ref, sqlite3_column_int64(statement, 4) != 0,
                             (uint32_t)sqlite3_column_int64(statement, 5));
    }
    int failed = code == SQLITE_DONE ? 0 : db_fail(spool, err);
    (void)sqlite3_reset(statement);
    return failed;
}

int spool_visit(struct spool *spool, const struct spool_visitor *visitor, struct err *err)
{
    if (visit(spool, STATEMENT_ALL_INTENTS, visitor, err) != 0)
        return -1;
    return visit(spool, STATEMENT_ALL_OUTCOMES, visitor, err);
}
