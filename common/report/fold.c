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
    free(fold->relays);
    free(fold->groups);
    for (size_t i = 0; i < REPORT_REBOOTS_MAX; i++)
        free(fold->reboots[i]);
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

static int relay_compare(const struct report_relay *relay, const char *site, const char *name)
{
    int order = strcmp(relay->site, site);
    return order != 0 ? order : strcmp(relay->name, name);
}

/* The relay's entry, alike. */
static struct report_relay *relay_of(struct report_fold *fold, const char *site, const char *name)
{
    uint32_t low = 0;
    uint32_t high = fold->relay_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = relay_compare(&fold->relays[middle], site, name);
        if (order == 0)
            return &fold->relays[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (fold->relay_count >= REPORT_RELAYS_MAX)
        return NULL;
    if (fold->relay_count == fold->relay_capacity) {
        fold->relay_capacity = fold->relay_capacity == 0 ? 4 : 2 * fold->relay_capacity;
        fold->relays = mem_resize(fold->relays, fold->relay_capacity, sizeof *fold->relays);
    }
    struct report_relay *relay = &fold->relays[low];
    memmove(relay + 1, relay, (fold->relay_count - low) * sizeof *relay);
    fold->relay_count++;
    memset(relay, 0, sizeof *relay);
    text_copy(relay->name, sizeof relay->name, name);
    text_copy(relay->site, sizeof relay->site, site);
    return relay;
}

/* Number of the row's exit code; memory must not grow with what machines return. */
static uint32_t exit_number(struct report_fold *fold, const struct outcome *outcome, uint32_t *code)
{
    uint32_t no = 0;
    *code = outcome->has_exit_code ? outcome->exit_code : outcome->code;
    if (!outcome->has_exit_code && outcome->code_kind != CODE_EXIT)
        return REPORT_EXIT_CODES_MAX;
    while (no < fold->exit_code_count && fold->exit_codes[no] != *code)
        no++;
    if (no == fold->exit_code_count && no < REPORT_EXIT_CODES_MAX)
        fold->exit_codes[fold->exit_code_count++] = *code;
    return no;
}

/* Order of groups. */
static int group_compare(const struct report_group *a, const struct report_group *b)
{
    bool a_other = a->exit_no == REPORT_EXIT_CODES_MAX;
    bool b_other = b->exit_no == REPORT_EXIT_CODES_MAX;
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    if (a->reason != b->reason)
        return a->reason < b->reason ? -1 : 1;
    if (a_other || b_other)
        return (int)a_other - (int)b_other;
    return a->exit_code == b->exit_code ? 0 : a->exit_code < b->exit_code ? -1 : 1;
}

static void group_count_row(struct report_fold *fold, struct report_site *site,
                            const struct report_row *row)
{
    struct report_group key = {
        .stage = row->outcome.stage, .reason = row->outcome.reason, .count = 1};
    uint32_t at = 0;
    if (key.reason == REASON_EXIT_CODE) {
        key.exit_no = exit_number(fold, &row->outcome, &key.exit_code);
        site->exits[key.exit_no]++;
    }
    while (at < fold->group_count && group_compare(&fold->groups[at], &key) < 0)
        at++;
    if (at < fold->group_count && group_compare(&fold->groups[at], &key) == 0) {
        fold->groups[at].count++;
        return;
    }
    if (fold->group_count == fold->group_capacity) {
        fold->group_capacity = fold->group_capacity == 0 ? 16 : 2 * fold->group_capacity;
        fold->groups = mem_resize(fold->groups, fold->group_capacity, sizeof *fold->groups);
    }
    struct report_group *group = &fold->groups[at];
    memmove(group + 1, group, (fold->group_count - at) * sizeof *group);
    fold->group_count++;
    *group = key;
    text_copy(group->example, sizeof group->example, row->target);
}

static bool wants_reboot(const struct outcome *outcome)
{
    return outcome->has_exit_code && exit_code_wants_reboot(outcome->exit_code);
}

static void totals_count_row(struct totals *totals, const struct outcome *outcome)
{
    totals->by_state[outcome->state]++;
    if (outcome->stage != STAGE_COUNT || outcome->started_unix_ms != 0)
        totals->attempted++;
    totals->reboot += wants_reboot(outcome);
}

/* What goes on has no reason to fail for yet, whatever was met on the way. */
static bool goes_on(enum target_state state)
{
    return state == TARGET_QUEUED || state == TARGET_RUNNING || state == TARGET_SCHEDULED;
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
    struct report_relay *relay =
        relay_of(fold, site->name, row->relay[0] == '\0' ? "-" : row->relay);
    if (relay == NULL)
        return err_set(err, ERR_LIMIT, "more than %u relays in one report", REPORT_RELAYS_MAX);
    if (!fold->gap && row->target_no != fold->row_count) {
        fold->gap = true;
        fold->gap_no = fold->row_count;
    }
    fold->row_count++;
    if (wants_reboot(outcome) && fold->totals.reboot < REPORT_REBOOTS_MAX)
        fold->reboots[fold->totals.reboot] = mem_strdup(row->target);
    totals_count_row(&fold->totals, outcome);
    totals_count_row(&site->totals, outcome);
    totals_count_row(&relay->totals, outcome);
    site->bytes += outcome->bytes;
    if (outcome->reason == REASON_NONE || goes_on(outcome->state))
        return 0;
    site->reasons[outcome->stage][outcome->reason]++;
    fold->max_fail += outcome->reason == REASON_MAX_FAIL;
    group_count_row(fold, site, row);
    return 0;
}

/* Each row is one site's and one relay's. */
static int check_sums(const struct report_fold *fold, struct err *err)
{
    for (int state = 0; state < TARGET_STATE_COUNT; state++) {
        uint64_t sites = 0;
        uint64_t relays = 0;
        for (uint32_t i = 0; i < fold->site_count; i++)
            sites += fold->sites[i].totals.by_state[state];
        for (uint32_t i = 0; i < fold->relay_count; i++)
            relays += fold->relays[i].totals.by_state[state];
        if (sites != fold->totals.by_state[state] || relays != fold->totals.by_state[state])
            return err_set(
                err, ERR_INTERNAL, "ledger mismatch: %u rows are %s, of sites %llu, of relays %llu",
                fold->totals.by_state[state], target_state_word((enum target_state)state),
                (unsigned long long)sites, (unsigned long long)relays);
    }
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
    if (check_sums(fold, err) != 0)
        return -1;
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

/* What the coordinator counted for this relay; nothing when it names it nowhere. */
static const struct totals *counted(const struct push_part *parts, uint32_t part_count,
                                    const struct report_relay *relay)
{
    static const struct totals none;
    for (uint32_t i = 0; i < part_count; i++)
        if (strcmp(parts[i].site, relay->site) == 0 && strcmp(parts[i].relay, relay->name) == 0)
            return &parts[i].totals;
    return &none;
}

int report_fold_check_parts(const struct report_fold *fold, const struct push_part *parts,
                            uint32_t part_count, struct err *err)
{
    for (uint32_t i = 0; i < fold->relay_count; i++) {
        const struct report_relay *relay = &fold->relays[i];
        const struct totals *said = counted(parts, part_count, relay);
        for (int state = 0; state < TARGET_STATE_COUNT; state++)
            if (relay->totals.by_state[state] != said->by_state[state])
                return err_set(err, ERR_INTERNAL,
                               "ledger mismatch: relay %s of site %s: %u rows are %s, %u were "
                               "counted",
                               relay->name, relay->site, relay->totals.by_state[state],
                               target_state_word((enum target_state)state), said->by_state[state]);
    }
    /* Who has rows there and none here is missing from the sum, which report_fold_check compares.
     */
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
