/* common/report and coordinator/cli: what the coordinator answers to the operator's tool, as the
 * tool shows it: pushes, relays, sites, routes, findings, packages, progress, shares of sites.
 *
 * Input: a message's bytes. Holds: everything that is shown is harmless on a terminal, and every
 * JSON reads again. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/report/grid.h"
#include "common/report/package_json.h"
#include "common/report/push_json.h"
#include "common/report/relay_json.h"
#include "common/report/site_json.h"
#include "common/wire/wire.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/site_bars.h"
#include "fuzz.h"

static void show_bars(const struct message_parts *parts)
{
    char text[PROGRESS_TEXT_SIZE];
    uint32_t count = 0;
    struct push_part *sites = site_bars_fold(parts->rows, parts->row_count, &count);
    size_t name_width = site_bars_name_width(sites, count);
    FUZZ_CHECK(count <= parts->row_count);
    for (uint32_t i = 0; i < count; i++) {
        (void)site_bar_text(&sites[i], i % 2 == 0, name_width, i % 3 * 60, text);
        FUZZ_CHECK(fuzz_is_printable(text, strlen(text), false));
    }
    free(sites);
}

static void show_status(const struct message_status *status, FILE *out)
{
    char text[PROGRESS_TEXT_SIZE];
    for (size_t width = 0; width < 200; width += 66) {
        (void)progress_text(status, 0, 5000, width, text);
        FUZZ_CHECK(fuzz_is_printable(text, strlen(text), false));
        FUZZ_CHECK(width == 0 || strlen(text) < width);
    }
    FUZZ_CHECK(push_json_status(out, status, NULL, 0, NULL) == 0);
}

/* Writes the answer's JSON, if it has one. */
static void write_json(const struct message *answer, FILE *out)
{
    int result = 0;
    if (answer->kind == MESSAGE_STATUS)
        show_status(&answer->status, out);
    else if (answer->kind == MESSAGE_PARTS)
        show_bars(&answer->parts);
    else if (answer->kind == MESSAGE_LIST)
        result = push_json_list(out, answer->list.pushes, answer->list.push_count, NULL);
    else if (answer->kind == MESSAGE_RELAYS)
        result = relay_json_list(out, answer->relays.rows, answer->relays.row_count, NULL);
    else if (answer->kind == MESSAGE_SITES)
        result = site_json_list(out, answer->sites.rows, answer->sites.row_count, NULL);
    else if (answer->kind == MESSAGE_LINT)
        result = lint_json(out, &answer->lint, NULL, 0, NULL);
    else if (answer->kind == MESSAGE_PACKAGES)
        result = package_json_list(out, answer->packages.rows, answer->packages.row_count, NULL);
    else if (answer->kind == MESSAGE_ROUTES)
        result = route_json_begin(out, NULL) != 0 ||
                         route_json_rows(out, answer->routes.rows, answer->routes.row_count, true,
                                         NULL) != 0 ||
                         route_json_end(out, NULL) != 0
                     ? -1
                     : 0;
    FUZZ_CHECK(result == 0);
}

/* The same texts as a list for people. */
static void write_grid(const struct message *answer, FILE *out)
{
    static const struct grid_column columns[] = {{"ONE", false}, {"TWO", true}, {"THREE", false}};
    struct grid grid;
    grid_init(&grid, columns, 3);
    for (uint32_t i = 0; answer->kind == MESSAGE_ROUTES && i < answer->routes.row_count; i++) {
        grid_row(&grid);
        grid_text(&grid, 0, answer->routes.rows[i].target);
        grid_text(&grid, 1, answer->routes.rows[i].site);
        grid_text(&grid, 2, answer->routes.rows[i].match);
    }
    for (uint32_t i = 0; answer->kind == MESSAGE_LINT && i < answer->lint.row_count; i++) {
        grid_row(&grid);
        grid_number(&grid, 1, i);
        grid_text(&grid, 2, answer->lint.rows[i].text);
    }
    FUZZ_CHECK(grid_print(&grid, out, 0, false) == 0 && grid_print(&grid, out, 30, false) == 0);
    grid_release(&grid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message answer;
    if (wire_decode(data, size, &answer, NULL) != 0)
        return 0;
    for (int people = 0; people < 2; people++) {
        char *text = NULL;
        size_t text_size = 0;
        FILE *out = open_memstream(&text, &text_size);
        FUZZ_CHECK(out != NULL);
        people ? write_grid(&answer, out) : write_json(&answer, out);
        FUZZ_CHECK(fclose(out) == 0 && fuzz_is_printable(text, text_size, true));
        if (!people && text_size > 0) {
            json_t *whole = json_loadb(text, text_size, JSON_REJECT_DUPLICATES, NULL);
            FUZZ_CHECK(json_is_object(whole));
            json_decref(whole);
        }
        free(text);
    }
    message_release(&answer);
    return 0;
}
