/* All that is in a database, as text. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/failing/scenario.h"

static void dump_value(sqlite3_stmt *row, int column, struct buf *out)
{
    if (sqlite3_column_type(row, column) == SQLITE_BLOB) {
        const unsigned char *bytes = sqlite3_column_blob(row, column);
        unsigned long sum = 5381;
        for (int i = 0; i < sqlite3_column_bytes(row, column); i++)
            sum = sum * 33 + bytes[i];
        buf_printf(out, "|%d:%lx", sqlite3_column_bytes(row, column), sum);
        return;
    }
    const unsigned char *text = sqlite3_column_text(row, column);
    buf_printf(out, "|%s", text != NULL ? (const char *)text : "-");
}

static int dump_table(sqlite3 *db, const char *name, struct buf *out)
{
    char sql[256];
    sqlite3_stmt *rows = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", name);
    int code = sqlite3_prepare_v2(db, sql, -1, &rows, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        buf_text(out, name);
        for (int column = 0; column < sqlite3_column_count(rows); column++)
            dump_value(rows, column, out);
        buf_text(out, "\n");
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(rows);
    return code;
}

int sqlite_dump(const char *path, struct buf *out, struct err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *tables = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db,
                                  "SELECT name FROM sqlite_master WHERE type = 'table'"
                                  " AND name <> 'sqlite_sequence' ORDER BY name",
                                  -1, &tables, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(tables)) == SQLITE_ROW) {
        code = dump_table(db, (const char *)sqlite3_column_text(tables, 0), out);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    (void)sqlite3_finalize(tables);
    int failed = code == SQLITE_DONE ? 0 : err_set(err, ERR_IO, "%s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    return failed;
}
