/* SQLite: finding pushes, summaries and report pages. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

/* Targets looked at per page, so that one call stays short however few of them fit. */
#define REPORT_WINDOW 16384U
/* A page with output: rows and output together stay below LIMIT_MESSAGE_BYTES_MAX, be the texts of
 * a row as long as they may. */
#define REPORT_PAGE_BYTES 196608U
#define REPORT_ROW_BYTES 1024U

/* ---- finding ---- */

static int find_newest(struct store *store, uint64_t *key, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_FIND_NEWEST, err);
    if (read == NULL)
        return -1;
    int got = sqlite_next(store, read, "find push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push yet");
    if (got < 0)
        return -1;
    *key = sqlite_u64(read, 0);
    sqlite_done(read);
    return 0;
}

int store_find(struct store *store, const struct push_selector *selector, uint64_t *key,
               struct err *err)
{
    char prefix[PUSH_ID_TEXT_SIZE];
    size_t length = strnlen(selector->prefix, sizeof selector->prefix - 1);
    if (length == 0)
        return find_newest(store, key, err);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)selector->prefix[i];
        if (!isxdigit(c))
            return err_set(err, ERR_INVALID, "a push id has hexadecimal digits only");
        prefix[i] = (char)toupper(c);
    }
    prefix[length] = '\0';

    sqlite3_stmt *read = sqlite_read(store, SQL_FIND_PREFIX, err);
    if (read == NULL)
        return -1;
    sqlite_bind_text(read, 1, prefix);
    int got = sqlite_next(store, read, "find push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push begins with %.*s", (int)length,
                       selector->prefix);
    if (got < 0)
        return -1;
    *key = sqlite_u64(read, 0);
    got = sqlite_next(store, read, "find push", err);
    if (got == 1) {
        sqlite_done(read);
        return err_set(err, ERR_INVALID, "several pushes begin with %.*s: give more digits",
                       (int)length, selector->prefix);
    }
    return got;
}

static int read_totals(struct store *store, uint64_t key, struct totals *totals, struct err *err)
{
    *totals = (struct totals){0};
    /* Reads see the writes before them: totals change at commit only. */
    if (store->delta_count > 0 && sqlite_flush_totals(store, err) != 0)
        return -1;
    sqlite3_stmt *read = sqlite_read(store, SQL_TOTAL_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got;
    while ((got = sqlite_next(store, read, "read totals", err)) == 1) {
        uint32_t what = sqlite_u32(read, 0);
        if (what < TARGET_STATE_COUNT)
            totals->by_state[what] = sqlite_u32(read, 1);
        else if (what == TOTAL_ATTEMPTED)
            totals->attempted = sqlite_u32(read, 1);
        else if (what == TOTAL_REBOOT)
            totals->reboot = sqlite_u32(read, 1);
    }
    return got;
}

int store_summary(struct store *store, uint64_t key, struct push_summary *out, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_SUMMARY, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push %llu", (unsigned long long)key);
    if (got < 0)
        return -1;
    *out = (struct push_summary){0};
    sqlite_blob(read, 0, out->push.bytes, sizeof out->push.bytes);
    out->generation = sqlite_u32(read, 1);
    out->state = (enum push_state)sqlite_u32(read, 2);
    (void)text_copy(out->package_name, sizeof out->package_name, sqlite_text(read, 3));
    out->package_bytes = sqlite_u64(read, 4);
    sqlite_blob(read, 5, out->package_digest, sizeof out->package_digest);
    out->created_unix_ms = sqlite_u64(read, 6);
    out->closed_unix_ms = sqlite_u64(read, 7);
    uint8_t operator_key[LIMIT_KEY_BYTES];
    sqlite_blob(read, 8, operator_key, sizeof operator_key);
    hex_encode(operator_key, sizeof operator_key, out->operator_key);
    (void)text_copy(out->account, sizeof out->account, sqlite_text(read, 9));
    out->wait = sqlite_u32(read, 10) != 0;
    out->action = (enum job_action)sqlite_u32(read, 11);
    sqlite_blob(read, 12, out->of_push.bytes, sizeof out->of_push.bytes);
    out->run_as = (enum run_as)sqlite_u32(read, 13);
    out->policy_version = sqlite_u64(read, 14);
    sqlite_done(read);
    return read_totals(store, key, &out->totals, err);
}

int store_list(struct store *store, struct push_summary *out, uint32_t max, uint32_t *count,
               struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_LIST, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, max);
    *count = 0;
    int got;
    while ((got = sqlite_next(store, read, "list pushes", err)) == 1) {
        if (*count == max || store_summary(store, sqlite_u64(read, 0), &out[*count], err) != 0) {
            sqlite_done(read);
            return *count == max ? 0 : -1;
        }
        (*count)++;
    }
    return got;
}

static void append_blob(sqlite3_stmt *read, int at, struct buf *to)
{
    const void *blob = sqlite3_column_blob(read, at);
    if (to != NULL && blob != NULL)
        buf_bytes(to, blob, (size_t)sqlite3_column_bytes(read, at));
}

int store_push_blobs(struct store *store, uint64_t key, struct buf *signed_job,
                     struct buf *sealed_credential, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_BLOBS, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read job", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push %llu", (unsigned long long)key);
    if (got < 0)
        return -1;
    append_blob(read, 0, signed_job);
    append_blob(read, 1, sealed_credential);
    sqlite_done(read);
    return 0;
}

/* ---- report ---- */

static void read_row(sqlite3_stmt *read, struct report_row *row)
{
    *row = (struct report_row){.target_no = sqlite_u32(read, 0)};
    row->target = mem_strdup(sqlite_text(read, 1));
    (void)text_copy(row->site, sizeof row->site, sqlite_text(read, 2));
    const char *relay = sqlite_text(read, 3);
    (void)text_copy(row->relay, sizeof row->relay, relay[0] != '\0' ? relay : "-");
    struct outcome *outcome = &row->outcome;
    outcome->state = (enum target_state)sqlite_u32(read, 4);
    bool reported = sqlite3_column_type(read, 5) != SQLITE_NULL;
    outcome->stage = reported ? (enum stage)sqlite_u32(read, 5) : STAGE_COUNT;
    /* A word that this version does not know (the store is from a newer one) stays visible as
     * INTERNAL rather than vanish. */
    enum reason reason = REASON_NONE;
    if (sqlite3_column_type(read, 6) != SQLITE_NULL)
        reason = reason_from_word(sqlite_text(read, 6));
    outcome->reason = reason == REASON_COUNT ? REASON_INTERNAL : reason;
    outcome->code_kind = (enum code_kind)sqlite_u32(read, 7);
    outcome->code = sqlite_u32(read, 8);
    int detail_size = sqlite3_column_bytes(read, 9);
    if (detail_size > 0 && detail_size < (int)sizeof outcome->detail)
        memcpy(outcome->detail, sqlite3_column_blob(read, 9), (size_t)detail_size);
    (void)text_copy(outcome->address, sizeof outcome->address, sqlite_text(read, 10));
    outcome->name_check = (enum name_check)sqlite_u32(read, 11);
    outcome->tries = sqlite_u32(read, 12);
    outcome->bytes = sqlite_u64(read, 13);
    outcome->started_unix_ms = sqlite_u64(read, 14);
    outcome->elapsed_ms = sqlite_u32(read, 15);
    sqlite_blob(read, 16, outcome->stage_ms, sizeof outcome->stage_ms);
    outcome->has_exit_code = sqlite3_column_type(read, 17) != SQLITE_NULL;
    outcome->exit_code = sqlite_u32(read, 17);
}

static int push_size(struct store *store, uint64_t key, uint32_t *target_count, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_RECOVERY, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push %llu", (unsigned long long)key);
    if (got < 0)
        return -1;
    *target_count = sqlite_u32(read, 1);
    sqlite_done(read);
    return 0;
}

static void bind_filter(sqlite3_stmt *read, const struct report_filter *filter)
{
    if (filter->stage < STAGE_COUNT)
        sqlite_bind_u64(read, 4, (uint64_t)filter->stage);
    if (filter->reason != REASON_NONE)
        sqlite_bind_text(read, 5, reason_word(filter->reason));
    if (filter->site[0] != '\0')
        sqlite_bind_text(read, 6, filter->site);
    if (filter->target[0] != '\0')
        sqlite_bind_text(read, 7, filter->target);
}

static int read_output(struct store *store, uint64_t key, struct report_row *row, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_OUTPUT_GET, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, row->target_no);
    int got = sqlite_next(store, read, "read output", err);
    if (got != 1)
        return got;
    size_t size = (size_t)sqlite3_column_bytes(read, 0);
    if (size > 0 && size <= LIMIT_OUTPUT_BYTES) {
        row->output = mem_new(size, 1);
        row->output_size = size;
        memcpy(row->output, sqlite3_column_blob(read, 0), size);
    }
    sqlite_done(read);
    return 0;
}

static void free_rows_from(struct store_page *page, uint32_t first)
{
    for (uint32_t i = first; i < page->row_count; i++) {
        free(page->rows[i].target);
        free(page->rows[i].output);
    }
    page->row_count = first;
}

/* Cuts the page where it would be too much. */
static int add_output(struct store *store, uint64_t key, struct store_page *page, bool *cut,
                      struct err *err)
{
    size_t size = 0;
    for (uint32_t i = 0; i < page->row_count; i++) {
        if (read_output(store, key, &page->rows[i], err) != 0)
            return -1;
        size += REPORT_ROW_BYTES + page->rows[i].output_size;
        if (size > REPORT_PAGE_BYTES && i > 0) {
            free_rows_from(page, i);
            *cut = true;
        }
    }
    return 0;
}

int store_report(struct store *store, uint64_t key, const struct report_filter *filter,
                 struct store_page *page, struct err *err)
{
    uint32_t target_count = 0;
    if (push_size(store, key, &target_count, err) != 0)
        return -1;

    /* Every row with a reason is in the index of bad ones. */
    bool bad_only = filter->failed_only || filter->reason != REASON_NONE;
    uint32_t limit_no = target_count;
    if (!bad_only && limit_no - page->next_no > REPORT_WINDOW && page->next_no < limit_no)
        limit_no = page->next_no + REPORT_WINDOW;
    sqlite3_stmt *read = sqlite_read(store, bad_only ? SQL_REPORT_BAD : SQL_REPORT_ALL, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, page->next_no);
    sqlite_bind_u64(read, 3, limit_no);
    bind_filter(read, filter);
    sqlite_bind_u64(read, 8, page->row_max);
    page->row_count = 0;
    int got;
    while ((got = sqlite_next(store, read, "read rows", err)) == 1)
        read_row(read, &page->rows[page->row_count++]);
    bool full = page->row_count == page->row_max;
    if (got == 0 && filter->output && filter->target[0] != '\0')
        got = add_output(store, key, page, &full, err);
    if (got < 0) {
        free_rows_from(page, 0);
        return -1;
    }
    page->next_no = full ? page->rows[page->row_count - 1].target_no + 1 : limit_no;
    page->end = page->next_no >= target_count;
    return 0;
}
