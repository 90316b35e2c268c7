/* Folding rows. */
#include "common/report/fold.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

void report_fold_init(struct report_fold *fold)
{
    memset(fold, 0, sizeof *fold);
}

void report_fold_release(struct report_fold *fold)
{
    free(fold->sites);
    free(fold->groups);
    memset(fold, 0, sizeof *fold);
}

/* The site's entry, made when new; NULL past the limit. */
static struct report_site *site_of(struct report_fold *fold, const char *name)
{
    uint32_t low = 0;
    uint32_t high = fold->site_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(fold->sites[middle].name, name);
        if (order == 0)
            return &fold->sites[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (fold->site_count >= REPORT_SITES_MAX)
        return NULL;
    if (fold->site_count == fold->site_capacity) {
        fold->site_capacity = fold->site_capacity == 0 ? 4 : 2 * fold->site_capacity;
        fold->sites = mem_resize(fold->sites, fold->site_capacity, sizeof *fold->sites);
    }
    struct report_site *site = &fold->sites[low];
    memmove(site + 1, site, (fold->site_count - low) * sizeof *site);
    fold->site_count++;
    memset(site, 0, sizeof *site);
    text_copy(site->name, sizeof site->name, name);
    return site;
}

static void group_count_row(struct report_fold *fold, const struct report_row *row)
{
    const struct outcome *outcome = &row->outcome;
    uint32_t at = 0;
    for (; at < fold->group_count; at++) {
        struct report_group *group = &fold->groups[at];
        if (group->stage == outcome->stage && group->reason == outcome->reason) {
            group->count++;
            return;
        }
        if (group->stage > outcome->stage ||
            (group->stage == outcome->stage && group->reason > outcome->reason))
            break;
    }
    if (fold->group_count == fold->group_capacity) {
        fold->group_capacity = fold->group_capacity == 0 ? 16 : 2 * fold->group_capacity;
        fold->groups = mem_resize(fold->groups, fold->group_capacity, sizeof *fold->groups);
    }
    struct report_group *group = &fold->groups[at];
    memmove(group + 1, group, (fold->group_count - at) * sizeof *group);
    fold->group_count++;
    *group = (struct report_group){.stage = outcome->stage, .reason = outcome->reason, .count = 1};
    text_copy(group->example, sizeof group->example, row->target);
}

static void totals_count_row(struct totals *totals, const struct outcome *outcome)
{
    totals->by_state[outcome->state]++;
    if (outcome->stage != STAGE_COUNT || outcome->started_unix_ms != 0)
        totals->attempted++;
    if (outcome->has_exit_code && (outcome->exit_code == 3010 || outcome->exit_code == 1641))
        totals->reboot++;
}

int report_fold_add(struct report_fold *fold, const struct report_row *row, struct err *err)
{
    const struct outcome *outcome = &row->outcome;
    if ((unsigned)outcome->state >= TARGET_STATE_COUNT || (unsigned)outcome->stage > STAGE_COUNT ||
        (unsigned)outcome->reason >= REASON_COUNT)
        return err_set(err, ERR_PROTOCOL, "row %u of the report makes no sense", row->target_no);
    struct report_site *site = site_of(fold, row->site[0] == '\0' ? "-" : row->site);
    if (site == NULL)
        return err_set(err, ERR_LIMIT, "more than %u sites in one report", REPORT_SITES_MAX);
    if (!fold->gap && row->target_no != fold->row_count) {
        fold->gap = true;
        fold->gap_no = fold->row_count;
    }
    fold->row_count++;
    totals_count_row(&fold->totals, outcome);
    totals_count_row(&site->totals, outcome);
    site->bytes += outcome->bytes;
    if (outcome->reason == REASON_NONE)
        return 0;
    site->reasons[outcome->stage][outcome->reason]++;
    fold->max_fail += outcome->reason == REASON_MAX_FAIL;
    group_count_row(fold, row);
    return 0;
}

int report_fold_check(const struct report_fold *fold, const struct push_summary *push,
                      struct err *err)
{
    uint32_t submitted = totals_submitted(&push->totals);
    if (fold->row_count != submitted)
        return err_set(err, ERR_INTERNAL, "ledger mismatch: %u rows for %u submitted targets",
                       fold->row_count, submitted);
    if (fold->gap)
        return err_set(err, ERR_INTERNAL, "ledger mismatch: target number %u has no row",
                       fold->gap_no);
    if (push->state != PUSH_CLOSED)
        return 0; /* rows of an open push may change between the two looks */
    for (int state = 0; state < TARGET_STATE_COUNT; state++)
        if (fold->totals.by_state[state] != push->totals.by_state[state])
            return err_set(err, ERR_INTERNAL, "ledger mismatch: %u rows are %s, %u were counted",
                           fold->totals.by_state[state],
                           target_state_word((enum target_state)state),
                           push->totals.by_state[state]);
    return 0;
}

int report_exit_status(const struct totals *totals, uint32_t max_fail, bool wait, bool balanced)
{
    if (!balanced)
        return 1;
    if (max_fail > 0)
        return 5;
    if (totals->by_state[TARGET_FAILED] > 0)
        return 3;
    return totals_succeeded(totals, wait) == totals_submitted(totals) ? 0 : 4;
}

bool report_row_failed(const struct report_row *row, bool wait)
{
    enum target_state state = row->outcome.state;
    if (state == TARGET_SUCCEEDED || (state == TARGET_SCHEDULED && !wait))
        return false;
    return target_state_terminal(state);
}

bool report_filter_fits(const struct report_filter *filter, const struct report_row *row, bool wait)
{
    const struct outcome *outcome = &row->outcome;
    if (filter->failed_only && !report_row_failed(row, wait))
        return false;
    if (filter->stage != STAGE_COUNT && filter->stage != outcome->stage)
        return false;
    if (filter->reason != REASON_NONE && filter->reason != outcome->reason)
        return false;
    if (filter->site[0] != '\0' && strcmp(filter->site, row->site) != 0)
        return false;
    return filter->target[0] == '\0' || text_equal_nocase(filter->target, row->target) ||
           text_equal_nocase(filter->target, outcome->address);
}

bool report_filter_set(const struct report_filter *filter)
{
    return filter->failed_only || filter->stage != STAGE_COUNT || filter->reason != REASON_NONE ||
           filter->site[0] != '\0' || filter->target[0] != '\0';
}
