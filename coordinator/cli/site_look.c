/* pusher site list, lint, which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/grid.h"
#include "common/report/site_json.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/site.h"

#define CELL_BYTES_MAX (1U << 20) /* a site's subnets in one cell */

static bool json_wanted(const struct site_words *words)
{
    return strcmp(words->common.format, "json") == 0;
}

static int print_grid(const struct grid *grid, const struct site_words *words)
{
    (void)grid_print(grid, stdout, terminal_width(STDOUT_FILENO),
                     colour_on(&words->common, STDOUT_FILENO));
    return look_written(EXIT_ALL_SUCCEEDED);
}

/* ---- list ---- */

int sites_fetch(struct session *session, struct message_sites *out, struct err *err)
{
    *out = (struct message_sites){0};
    do {
        struct message request = {.kind = MESSAGE_SITES_GET, .sites_get = {out->next}};
        struct message answer;
        if (session_call(session, &request, MESSAGE_SITES, &answer, err) != 0) {
            sites_release(out);
            return -1;
        }
        struct message_sites *page = &answer.sites;
        out->rows = mem_resize(out->rows, out->row_count + page->row_count + 1U, sizeof *out->rows);
        if (page->row_count > 0)
            memcpy(out->rows + out->row_count, page->rows, page->row_count * sizeof *out->rows);
        out->row_count += page->row_count;
        /* A page that brings nothing would be asked for for ever. */
        out->next = page->row_count > 0 ? page->next : 0;
        page->row_count = 0; /* the rows' texts are ours now */
        message_release(&answer);
    } while (out->next != 0);
    return 0;
}

void sites_release(struct message_sites *sites)
{
    struct message all = {.kind = MESSAGE_SITES, .sites = *sites};
    message_release(&all);
    *sites = (struct message_sites){0};
}

static void join(struct grid *grid, size_t column, char *const *texts, uint32_t count)
{
    struct buf cell;
    buf_init(&cell, CELL_BYTES_MAX);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&cell, "%s%s", i > 0 ? " " : "", texts[i]);
    buf_u8(&cell, 0);
    if (buf_ok(&cell))
        grid_text(grid, column, (const char *)cell.data);
    buf_release(&cell);
}

static void list_row(struct grid *grid, const struct site *site, bool sent)
{
    size_t column = 4;
    char text[FORMAT_BYTES_SIZE + 8];
    char bytes[FORMAT_BYTES_SIZE];
    grid_row(grid);
    grid_text(grid, 0, site->name);
    grid_text(grid, 1, site->is_default ? "default" : "");
    (void)snprintf(text, sizeof text, "%u/%u", site->live_count, site->relay_count);
    grid_text(grid, 2, text);
    (void)snprintf(text, sizeof text, "%s/s", format_bytes(site->wan_rate, bytes));
    grid_text(grid, 3, site->wan_rate > 0 ? text : "");
    if (sent)
        grid_text(grid, column++, format_bytes(site->sent_bytes, bytes));
    join(grid, column++, site->patterns, site->pattern_count);
    join(grid, column, site->subnets, site->subnet_count);
}

int site_list(struct session *session, const struct site_words *words)
{
    static const struct grid_column columns[] = {
        {"SITE", false},    {"", false},      {"LIVE/RELAYS", true},
        {"WAN RATE", true}, {"NAMES", false}, {"SUBNETS", false},
    };
    static const struct grid_column more[] = {
        {"SITE", false}, {"", false},      {"LIVE/RELAYS", true}, {"WAN RATE", true},
        {"SENT", true},  {"NAMES", false}, {"SUBNETS", false},
    };
    bool sent = words->common.verbose;
    struct message_sites sites;
    struct err err = {0};
    struct grid grid;
    if (sites_fetch(session, &sites, &err) != 0)
        return session_failed(session, &err);
    if (json_wanted(words)) {
        int result = site_json_list(stdout, sites.rows, sites.row_count, &err);
        sites_release(&sites);
        return look_output_written(result, &err);
    }
    if (sent)
        grid_init(&grid, more, sizeof more / sizeof *more);
    else
        grid_init(&grid, columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < sites.row_count; i++)
        list_row(&grid, &sites.rows[i], sent);
    int status = print_grid(&grid, words);
    grid_release(&grid);
    sites_release(&sites);
    return status;
}

/* ---- asking where targets go ---- */

static bool goes_nowhere(const struct route_row *row)
{
    return row->by == ROUTE_NOWHERE || row->by == ROUTE_UNRESOLVED || row->by == ROUTE_NEVER_TOUCH;
}

/* Why, in words. */
static const char *why(const struct route_row *row, char *text, size_t size)
{
    switch (row->by) {
    case ROUTE_NOWHERE:
        return "NOT_IN_ANY_SITE: no subnet has this address, no pattern this name";
    case ROUTE_UNRESOLVED:
        (void)snprintf(text, size, "%s: no address, and no pattern has this name",
                       reason_word(row->reason));
        return text;
    case ROUTE_BY_SITE:
        return "--site";
    case ROUTE_BY_SUBNET:
        (void)snprintf(text, size, "subnet %s", row->match);
        return text;
    case ROUTE_BY_PATTERN:
        (void)snprintf(text, size, "pattern %s", row->match);
        return text;
    case ROUTE_BY_DEFAULT:
        return "default site: nothing else takes it";
    case ROUTE_NEVER_TOUCH:
        return "NEVER_TOUCH: on the never-touch list";
    case ROUTE_BY_COUNT:
        break;
    }
    return "?";
}

typedef int route_rows(void *context, const struct route_row *rows, uint32_t count,
                       struct err *err);

/* Calls `each` for all targets, a page at a time. Errors: as session_call, and those of `each`. */
static int ask_routes(struct session *session, struct targets *targets, route_rows *each,
                      void *context, struct err *err)
{
    char **names = targets_names(targets);
    uint32_t count = targets_count(targets);
    for (uint32_t first = 0; first < count; first += LIMIT_ROWS_PER_MESSAGE) {
        uint32_t left = count - first;
        struct message request = {.kind = MESSAGE_ROUTES_GET};
        struct message answer;
        request.routes_get.names = names + first;
        request.routes_get.name_count =
            left < LIMIT_ROWS_PER_MESSAGE ? left : LIMIT_ROWS_PER_MESSAGE;
        if (session_call(session, &request, MESSAGE_ROUTES, &answer, err) != 0)
            return -1;
        int result = each(context, answer.routes.rows, answer.routes.row_count, err);
        message_release(&answer);
        if (result != 0)
            return -1;
    }
    return 0;
}

struct which {
    struct grid grid;
    bool json;
    bool begun;
    uint32_t nowhere_count;
};

static int which_rows(void *context, const struct route_row *rows, uint32_t count, struct err *err)
{
    struct which *which = context;
    char text[LIMIT_TARGET_NAME_SIZE + 80];
    for (uint32_t i = 0; i < count; i++) {
        which->nowhere_count += goes_nowhere(&rows[i]);
        if (which->json)
            continue;
        grid_row(&which->grid);
        grid_text(&which->grid, 0, rows[i].target);
        grid_text(&which->grid, 1, rows[i].address);
        grid_text(&which->grid, 2, rows[i].site);
        grid_text(&which->grid, 3, why(&rows[i], text, sizeof text));
    }
    bool first = !which->begun;
    which->begun = true;
    return which->json ? route_json_rows(stdout, rows, count, first, err) : 0;
}

int site_which(struct session *session, const struct site_words *words)
{
    static const struct grid_column columns[] = {
        {"TARGET", false}, {"ADDRESS", false}, {"SITE", false}, {"WHY", false}};
    struct which which = {.json = json_wanted(words)};
    struct err err = {0};
    grid_init(&which.grid, columns, sizeof columns / sizeof *columns);
    int result = which.json ? route_json_begin(stdout, &err) : 0;
    if (result == 0)
        result = ask_routes(session, words->targets, which_rows, &which, &err);
    if (result == 0 && which.json)
        result = route_json_end(stdout, &err);
    int status = result != 0  ? session_failed(session, &err)
                 : which.json ? look_written(EXIT_ALL_SUCCEEDED)
                              : print_grid(&which.grid, words);
    grid_release(&which.grid);
    return status == EXIT_ALL_SUCCEEDED && which.nowhere_count > 0 ? EXIT_FAILURES : status;
}

/* ---- lint ---- */

/* Targets that go nowhere. */
struct unmapped {
    struct route_row *rows; /* owned */
    uint32_t count;
};

static int keep_unmapped(void *context, const struct route_row *rows, uint32_t count,
                         struct err *err)
{
    struct unmapped *unmapped = context;
    (void)err;
    for (uint32_t i = 0; i < count; i++) {
        if (!goes_nowhere(&rows[i]))
            continue;
        unmapped->rows = mem_resize(unmapped->rows, unmapped->count + 1U, sizeof *unmapped->rows);
        unmapped->rows[unmapped->count] = rows[i];
        unmapped->rows[unmapped->count++].target = mem_strdup(rows[i].target);
    }
    return 0;
}

static void print_findings(const struct message_lint *lint, const struct unmapped *unmapped)
{
    char target[4 * LIMIT_TARGET_NAME_SIZE];
    char text[LIMIT_TARGET_NAME_SIZE + 80];
    for (uint32_t i = 0; i < lint->row_count; i++)
        (void)printf("%s: %s\n", lint->rows[i].error ? "error" : "remark",
                     text_printable(target, sizeof target, lint->rows[i].text));
    if (lint->more)
        (void)puts("remark: there is more to say; mend these first");
    for (uint32_t i = 0; i < unmapped->count; i++)
        (void)printf("error: target %s: %s\n",
                     text_printable(target, sizeof target, unmapped->rows[i].target),
                     why(&unmapped->rows[i], text, sizeof text));
}

static bool has_error(const struct message_lint *lint)
{
    for (uint32_t i = 0; i < lint->row_count; i++)
        if (lint->rows[i].error)
            return true;
    return false;
}

int site_lint(struct session *session, const struct site_words *words)
{
    struct message request = {.kind = MESSAGE_LINT_GET};
    struct unmapped unmapped = {0};
    struct message answer;
    struct err err = {0};
    if (session_call(session, &request, MESSAGE_LINT, &answer, &err) != 0)
        return session_failed(session, &err);
    int status = EXIT_ALL_SUCCEEDED;
    if (words->targets != NULL &&
        ask_routes(session, words->targets, keep_unmapped, &unmapped, &err) != 0) {
        status = session_failed(session, &err);
    } else if (json_wanted(words)) {
        int result = lint_json(stdout, &answer.lint, unmapped.rows, unmapped.count, &err);
        status = look_output_written(result, &err);
    } else {
        print_findings(&answer.lint, &unmapped);
        status = look_written(EXIT_ALL_SUCCEEDED);
    }
    if (status == EXIT_ALL_SUCCEEDED && (unmapped.count > 0 || has_error(&answer.lint)))
        status = EXIT_FAILURES;
    for (uint32_t i = 0; i < unmapped.count; i++)
        free(unmapped.rows[i].target);
    free(unmapped.rows);
    message_release(&answer);
    return status;
}
