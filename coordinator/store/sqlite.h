/* What the SQLite back end's files share. Nobody else includes this. */
#ifndef PUSHER_COORDINATOR_STORE_SQLITE_H
#define PUSHER_COORDINATOR_STORE_SQLITE_H

#include <sqlite3.h>

#include "coordinator/store/store.h"

/* States of a row in table push beyond enum push_state. */
#define PUSH_STATE_UPLOADING 100

/* Kinds in table total: 0 to TARGET_STATE_COUNT - 1 are states. */
#define TOTAL_ATTEMPTED 100
#define TOTAL_REBOOT 101
#define TOTAL_SLOTS (TARGET_STATE_COUNT + 2)

/* Statements, prepared on first use and kept. */
enum statement {
#define STATEMENT(name, sql) SQL_##name,
#include "coordinator/store/statement.def"
#undef STATEMENT
    SQL_COUNT,
};

/* Changes of one push's totals, written at commit. */
struct total_delta {
    uint64_t key;
    int64_t change[TOTAL_SLOTS]; /* states, then attempted, then reboot */
};

struct store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[SQL_COUNT];
    bool dirty;  /* a transaction is open */
    bool failed; /* a write failed: nothing more */
    int wal_page_count;
    struct total_delta *deltas;
    uint32_t delta_count;
    uint32_t delta_capacity;
};

/* Reports SQLite's last error. A failed write ends the store's usefulness. Returns -1. */
int sqlite_fail(struct store *store, struct err *err, const char *doing);
/* A statement ready to bind; NULL with err set when it cannot be had. */
sqlite3_stmt *sqlite_read(struct store *store, enum statement which, struct err *err);
/* ... for writing: opens the transaction. */
sqlite3_stmt *sqlite_write(struct store *store, enum statement which, struct err *err);
/* Steps a statement that returns no rows, and resets it. */
int sqlite_run(struct store *store, sqlite3_stmt *statement, const char *doing, struct err *err);
/* Steps once: 1 a row is there, 0 no (more) row (the statement is reset), -1. */
int sqlite_next(struct store *store, sqlite3_stmt *statement, const char *doing, struct err *err);
/* Ends reading early. */
void sqlite_done(sqlite3_stmt *statement);

void sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t size);
void sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
void sqlite_bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
uint64_t sqlite_u64(sqlite3_stmt *statement, int at);
uint32_t sqlite_u32(sqlite3_stmt *statement, int at);
/* "" for NULL. */
const char *sqlite_text(sqlite3_stmt *statement, int at);
/* Copies a blob of exactly `size` bytes; zeroes when it is of another size. */
void sqlite_blob(sqlite3_stmt *statement, int at, void *to, size_t size);

/* Changes a total (a state, TOTAL_ATTEMPTED, TOTAL_REBOOT) when the transaction commits. */
void sqlite_total(struct store *store, uint64_t key, int what, int64_t change);
/* Writes the changes. */
int sqlite_flush_totals(struct store *store, struct err *err);

#endif
