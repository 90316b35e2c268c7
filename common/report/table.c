/* The default output, for people: summary first, then only what is abnormal, grouped by reason with
 * a hint; with a filter also the rows that fit it. grid.c makes every string printable. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/format_table.h"
#include "common/report/grid.h"

#define CELL_SIZE 768   /* longest cell */
#define ETA_MAX_MS 1e14 /* more can't be meant: somebody's clock is wrong */

struct table_state {
    struct report_options options;
    struct grid rows;   /* listed with a filter */
    uint32_t row_count; /* that fitted, listed or not */
};

static int grid_finish(struct grid *grid, const struct report_options *options, struct err *err)
{
    int result = grid_print(grid, options->out, options->width, options->colour);
    int errno_value = errno;
    grid_release(grid);
    return result == 0 ? 0 : err_set_errno(err, errno_value, "cannot write the report");
}

/* Counts that most pushes don't have: a column only when some site has one. */
static const struct {
    enum target_state state;
    const char *heading;
} rare_states[] = {
    {TARGET_SCHEDULED, "AWAITING"}, /* with --wait; a part of the pending */
    {TARGET_CANCELLED, "CANCELLED"},    {TARGET_EXPIRED, "EXPIRED"},
    {TARGET_UNKNOWN_EFFECT, "UNKNOWN"}, {TARGET_NEVER_ATTEMPTED, "NOT TRIED"},
};
#define RARE_COUNT (sizeof rare_states / sizeof *rare_states)

static bool rare_shown(size_t i, const struct report_options *options,
                       const struct report_view *view)
{
    return view->fold->totals.by_state[rare_states[i].state] > 0 &&
           (options->wait || rare_states[i].state != TARGET_SCHEDULED);
}

enum summary_column {
    SUMMARY_SITE,
    SUMMARY_SUBMITTED,
    SUMMARY_ATTEMPTED,
    SUMMARY_OK,
    SUMMARY_FAILED,
    SUMMARY_UNREACHABLE,
    SUMMARY_PENDING,
    SUMMARY_RATE,
    SUMMARY_ETA,
    SUMMARY_RARE, /* first of the rare states' columns that are shown */
};

static uint32_t totals_done(const struct totals *totals, bool wait)
{
    return totals_submitted(totals) - totals_pending(totals, wait);
}

static void summary_rate(struct grid *grid, const struct totals *totals,
                         const struct report_view *view, bool wait)
{
    char text[48];
    uint64_t from_ms = view->push->created_unix_ms;
    uint64_t to_ms =
        view->push->closed_unix_ms != 0 ? view->push->closed_unix_ms : view->now_unix_ms;
    uint32_t done = totals_done(totals, wait);
    uint32_t pending = totals_pending(totals, wait);
    grid_text(grid, SUMMARY_RATE, "-");
    grid_text(grid, SUMMARY_ETA, "-");
    if (to_ms <= from_ms || done == 0)
        return;
    double per_second = (double)done * 1000 / (double)(to_ms - from_ms);
    (void)snprintf(text, sizeof text, per_second < 10 ? "%.1f/s" : "%.0f/s", per_second);
    grid_text(grid, SUMMARY_RATE, text);
    double eta_ms = pending * 1000.0 / per_second;
    /* How long packages run can't be told from how many have ended. */
    if (pending > 0 && view->push->state == PUSH_OPEN && !wait && eta_ms < ETA_MAX_MS)
        grid_text(grid, SUMMARY_ETA, format_duration((uint64_t)eta_ms, text));
}

static void summary_line(struct grid *grid, const char *name, const struct totals *totals,
                         const struct report_view *view, const struct report_options *options)
{
    bool wait = options->wait;
    grid_row(grid);
    grid_text(grid, SUMMARY_SITE, name);
    grid_number(grid, SUMMARY_SUBMITTED, totals_submitted(totals));
    grid_number(grid, SUMMARY_ATTEMPTED, totals->attempted);
    grid_number(grid, SUMMARY_OK, totals_succeeded(totals, wait));
    grid_number(grid, SUMMARY_FAILED, totals->by_state[TARGET_FAILED]);
    grid_number(grid, SUMMARY_UNREACHABLE, totals->by_state[TARGET_UNREACHABLE]);
    grid_number(grid, SUMMARY_PENDING, totals_pending(totals, wait));
    summary_rate(grid, totals, view, wait);
    size_t column = SUMMARY_RARE;
    for (size_t i = 0; i < RARE_COUNT; i++)
        if (rare_shown(i, options, view))
            grid_number(grid, column++, totals->by_state[rare_states[i].state]);
}

static int print_summary(const struct report_options *options, const struct report_view *view,
                         struct err *err)
{
    struct grid_column columns[SUMMARY_RARE + RARE_COUNT] = {
        {"SITE", false},   {"SUBMITTED", true}, {"ATTEMPTED", true},
        {"OK", true},      {"FAILED", true},    {"UNREACHABLE", true},
        {"PENDING", true}, {"RATE", true},      {"ETA", true},
    };
    size_t count = SUMMARY_RARE;
    for (size_t i = 0; i < RARE_COUNT; i++)
        if (rare_shown(i, options, view))
            columns[count++] = (struct grid_column){rare_states[i].heading, true};
    struct grid grid;
    grid_init(&grid, columns, count);
    const struct report_fold *fold = view->fold;
    for (uint32_t i = 0; i < fold->site_count; i++)
        summary_line(&grid, fold->sites[i].name, &fold->sites[i].totals, view, options);
    if (fold->site_count != 1)
        summary_line(&grid, "total", &fold->totals, view, options);
    return grid_finish(&grid, options, err);
}

/* "lyon", "lyon, paris", "lyon, paris and 7 more": sites that have rows of the group. */
static void group_sites(const struct report_fold *fold, const struct report_group *group, char *to,
                        size_t size)
{
    uint32_t with = 0;
    size_t used = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < fold->site_count; i++) {
        const struct report_site *site = &fold->sites[i];
        if (site->reasons[group->stage][group->reason] == 0 ||
            (group->reason == REASON_EXIT_CODE && site->exits[group->exit_no] == 0))
            continue;
        if (with++ < 2 && used < size)
            used +=
                (size_t)snprintf(to + used, size - used, "%s%s", with == 1 ? "" : ", ", site->name);
    }
    if (with > 2 && used < size)
        (void)snprintf(to + used, size - used, " and %u more", with - 2);
}

enum group_column { GROUP_STAGE, GROUP_REASON, GROUP_N, GROUP_SITES, GROUP_HINT };

static void group_line(struct grid *grid, const struct report_fold *fold,
                       const struct report_group *group)
{
    char text[CELL_SIZE];
    char code[16];
    const char *hint = reason_remedy(group->reason);
    grid_row(grid);
    grid_text(grid, GROUP_STAGE, stage_word(group->stage));
    grid_text(grid, GROUP_REASON, reason_word(group->reason));
    if (group->reason == REASON_EXIT_CODE && group->exit_no < REPORT_EXIT_CODES_MAX) {
        (void)snprintf(text, sizeof text, "%s %s", reason_word(group->reason),
                       exit_code_text(group->exit_code, code));
        grid_text(grid, GROUP_REASON, text);
        if (exit_code_meaning(group->exit_code) != NULL)
            hint = exit_code_meaning(group->exit_code);
    }
    grid_number(grid, GROUP_N, group->count);
    group_sites(fold, group, text, sizeof text);
    grid_text(grid, GROUP_SITES, text);
    (void)snprintf(text, sizeof text, "%s; see: pusher why %s", hint, group->example);
    grid_text(grid, GROUP_HINT, text);
    grid_colour(grid, GROUP_REASON, reason_state(group->reason) == TARGET_FAILED ? "31" : "33");
}

static int print_groups(const struct report_options *options, const struct report_view *view,
                        struct err *err)
{
    static const struct grid_column columns[] = {
        {"FAILED AT", false}, {"REASON", false}, {"N", true}, {"SITES", false}, {"HINT", false},
    };
    const struct report_fold *fold = view->fold;
    if (fold->group_count == 0)
        return 0;
    struct grid grid;
    grid_init(&grid, columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < fold->group_count; i++)
        group_line(&grid, fold, &fold->groups[i]);
    (void)fputc('\n', options->out);
    return grid_finish(&grid, options, err);
}

enum row_column {
    ROW_TARGET,
    ROW_ADDRESS,
    ROW_SITE,
    ROW_STATE,
    ROW_STAGE,
    ROW_REASON,
    ROW_CODE,
    ROW_DETAIL,
};

static void *table_start(const struct report_options *options, struct err *err)
{
    static const struct grid_column columns[] = {
        {"TARGET", false}, {"ADDRESS", false}, {"SITE", false}, {"STATE", false},
        {"STAGE", false},  {"REASON", false},  {"CODE", false}, {"DETAIL", false},
    };
    (void)err;
    struct table_state *state = mem_new(1, sizeof *state);
    state->options = *options;
    grid_init(&state->rows, columns, sizeof columns / sizeof *columns);
    return state;
}

static int table_row(void *context, const struct report_row *row, struct err *err)
{
    (void)err;
    struct table_state *state = context;
    bool listed = report_filter_set(&state->options.filter) || state->options.every_row;
    if (!listed || state->row_count++ >= REPORT_TABLE_ROWS_MAX)
        return 0;
    struct grid *grid = &state->rows;
    const struct outcome *outcome = &row->outcome;
    char code[16];
    grid_row(grid);
    grid_text(grid, ROW_TARGET, row->target);
    grid_text(grid, ROW_ADDRESS, outcome->address);
    grid_text(grid, ROW_SITE, row->site);
    grid_text(grid, ROW_STATE, target_state_word(outcome->state));
    grid_text(grid, ROW_STAGE, stage_word(outcome->stage));
    grid_text(grid, ROW_REASON, reason_word(outcome->reason));
    grid_text(grid, ROW_CODE, outcome_code_text(outcome->code_kind, outcome->code, code));
    grid_text(grid, ROW_DETAIL, outcome->detail);
    return 0;
}

/* Whether the relay has to do with the push: it is of one of its sites. */
static bool concerned(const struct report_view *view, const struct relay_row *relay)
{
    for (uint32_t i = 0; i < view->fold->site_count; i++)
        if (strcmp(view->fold->sites[i].name, relay->site) == 0)
            return true;
    return false;
}

static void print_head(const struct report_options *options, const struct report_view *view)
{
    const struct push_summary *push = view->push;
    FILE *out = options->out;
    char id[PUSH_ID_SHORT_SIZE];
    char name[CELL_SIZE];
    char silence[FORMAT_DURATION_SIZE];
    uint32_t count = 0;
    uint32_t live = 0;
    uint64_t silent_ms = 0;
    push_id_short(&push->push, id);
    for (uint32_t i = 0; i < view->relay_count; i++) {
        if (!concerned(view, &view->relays[i]))
            continue;
        count++;
        live += view->relays[i].live;
        if (!view->relays[i].live && view->relays[i].silent_ms > silent_ms)
            silent_ms = view->relays[i].silent_ms;
    }
    char cleaned[PUSH_ID_SHORT_SIZE];
    push_id_short(&push->of_push, cleaned);
    (void)fprintf(
        out, "PUSH %s  %s%s%s%s  %s  %u site%s", id,
        push->action == JOB_CLEANUP ? "cleanup of " : "",
        push->action == JOB_CLEANUP ? cleaned : "", push->action == JOB_CLEANUP ? "  " : "",
        text_printable(name, sizeof name, push->package_name), push_state_word(push->state),
        view->fold->site_count, view->fold->site_count == 1 ? "" : "s");
    if (count > 0)
        (void)fprintf(out, "  %u relay%s live", live, live == 1 ? "" : "s");
    if (live < count)
        (void)fprintf(out, ", %u stale %s", count - live, format_duration(silent_ms, silence));
    (void)fputc('\n', out);
}

/* "reboot needed: 3 (3010, 1641): pc1, pc2, pc3": installers ask for it, we never make one. */
static void print_reboots(const struct report_options *options, const struct report_view *view)
{
    const struct report_fold *fold = view->fold;
    uint32_t reboot = fold->totals.reboot;
    uint32_t named = reboot < REPORT_REBOOTS_MAX ? reboot : REPORT_REBOOTS_MAX;
    char name[CELL_SIZE];
    if (reboot == 0)
        return;
    (void)fprintf(options->out, "reboot needed: %u (3010, 1641): ", reboot);
    for (uint32_t i = 0; i < named; i++)
        (void)fprintf(options->out, "%s%s", i == 0 ? "" : ", ",
                      text_printable(name, sizeof name, fold->reboots[i]));
    if (named < reboot)
        (void)fprintf(options->out, " and %u more: -o wide, csv and json have them all",
                      reboot - named);
    (void)fputc('\n', options->out);
}

static void print_threshold(const struct report_options *options, const struct report_view *view)
{
    uint32_t failed = view->fold->totals.by_state[TARGET_FAILED];
    uint32_t left = view->fold->max_fail;
    if (left > 0)
        (void)fprintf(options->out, "stopped at %u failure%s: %u target%s not tried\n", failed,
                      failed == 1 ? "" : "s", left, left == 1 ? " was" : "s were");
}

/* "behind: lyon-2 (lyon): silent for 00:04:10, holds 12 targets": who keeps the push from its end.
 */
static void print_behind(const struct report_options *options, const struct report_view *view)
{
    char name[CELL_SIZE];
    char site[CELL_SIZE];
    char silence[FORMAT_DURATION_SIZE];
    if (totals_pending(&view->fold->totals, options->wait) == 0 && view->mismatch == NULL)
        return;
    for (uint32_t i = 0; i < view->relay_count; i++) {
        const struct relay_row *relay = &view->relays[i];
        if (relay->live || relay->leased == 0 || !concerned(view, relay))
            continue;
        (void)fprintf(options->out, "behind: %s (%s): silent for %s, holds %u target%s\n",
                      text_printable(name, sizeof name, relay->name),
                      text_printable(site, sizeof site, relay->site),
                      format_duration(relay->silent_ms, silence), relay->leased,
                      relay->leased == 1 ? "" : "s");
    }
}

/* "complete: 40 submitted = 30 succeeded + 8 failed + 2 unreachable": the law, in words. */
static void print_law(const struct report_options *options, const struct report_view *view)
{
    const struct totals *totals = &view->fold->totals;
    FILE *out = options->out;
    uint32_t pending = totals_pending(totals, options->wait);
    const struct {
        uint32_t count;
        const char *word;
    } parts[] = {
        {totals_succeeded(totals, options->wait), "succeeded"},
        {totals->by_state[TARGET_FAILED], "failed"},
        {totals->by_state[TARGET_UNREACHABLE], "unreachable"},
        {totals->by_state[TARGET_CANCELLED], "cancelled"},
        {totals->by_state[TARGET_EXPIRED], "expired"},
        {totals->by_state[TARGET_UNKNOWN_EFFECT], "of unknown effect"},
        {pending, "pending"},
        {totals->by_state[TARGET_NEVER_ATTEMPTED], "never attempted"},
    };
    if (view->mismatch != NULL) {
        char safe[ERR_TEXT_SIZE];
        (void)fprintf(out, "\nNOT COMPLETE: %s\n",
                      text_printable(safe, sizeof safe, view->mismatch));
        return;
    }
    (void)fprintf(out, "\n%s: %u submitted =", pending == 0 ? "complete" : "in progress",
                  totals_submitted(totals));
    bool first = true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].count == 0)
            continue;
        (void)fprintf(out, "%s %u %s", first ? "" : " +", parts[i].count, parts[i].word);
        first = false;
    }
    (void)fputs(first ? " 0" : "", out);
    if (options->wait && totals->by_state[TARGET_SCHEDULED] > 0)
        (void)fprintf(out, " (%u scheduled, their end is awaited)",
                      totals->by_state[TARGET_SCHEDULED]);
    (void)fputc('\n', out);
}

int report_table_print(const struct report_options *options, const struct report_view *view,
                       int (*rows)(void *context, struct err *err), void *context, struct err *err)
{
    print_head(options, view);
    if (print_summary(options, view, err) != 0 || print_groups(options, view, err) != 0 ||
        rows(context, err) != 0)
        return -1;
    print_law(options, view);
    print_behind(options, view);
    print_threshold(options, view);
    print_reboots(options, view);
    return 0;
}

static int print_rows(void *context, struct err *err)
{
    struct table_state *state = context;
    bool filtered = report_filter_set(&state->options.filter);
    if (!filtered && !state->options.every_row)
        return 0;
    const char *fits = !filtered               ? ""
                       : state->row_count == 1 ? " fits the filter"
                                               : " fit the filter";
    (void)fprintf(state->options.out, "\n%u row%s%s\n", state->row_count,
                  state->row_count == 1 ? "" : "s", fits);
    if (state->row_count > 0 && grid_finish(&state->rows, &state->options, err) != 0)
        return -1;
    if (state->row_count > REPORT_TABLE_ROWS_MAX)
        (void)fprintf(state->options.out, "... and %u more: -o wide has them all\n",
                      state->row_count - REPORT_TABLE_ROWS_MAX);
    return 0;
}

static int table_finish(void *context, const struct report_view *view, struct err *err)
{
    struct table_state *state = context;
    return report_table_print(&state->options, view, print_rows, state, err);
}

static void table_end(void *context)
{
    struct table_state *state = context;
    grid_release(&state->rows);
    free(state);
}

const struct report_format report_format_table = {.word = "table",
                                                  .start = table_start,
                                                  .row = table_row,
                                                  .finish = table_finish,
                                                  .end = table_end};
