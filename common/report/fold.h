/* One pass over a push's rows: totals, sites, relays, reasons, and the law that no row is lost.
 *
 * Used by the CLI after (and while) it receives REPORT_ROWS; memory grows with the number of
 * sites and relays, never with the number of rows. Rows come in ascending target_no. Their text is
 * a stranger's: it is kept as it is, and the renderers escape it.
 */
#ifndef PUSHER_REPORT_FOLD_H
#define PUSHER_REPORT_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"

#define REPORT_SITES_MAX 10000U
#define REPORT_RELAYS_MAX 20000U
#define REPORT_EXIT_CODES_MAX 16U /* groups of their own; rows with further codes share one */
#define REPORT_REBOOTS_MAX 20U    /* targets that are named */

/* Rows of one site. */
struct report_site {
    char name[LIMIT_SITE_NAME_SIZE]; /* "-" for rows of no site */
    struct totals totals;
    uint64_t bytes;                                  /* package bytes written */
    uint32_t reasons[STAGE_COUNT + 1][REASON_COUNT]; /* rows by stage and reason */
    uint32_t exits[REPORT_EXIT_CODES_MAX + 1]; /* rows with EXIT_CODE, by their group's exit_no */
};

/* Rows of one relay in one site: who reported them last, "-" for nobody yet. */
struct report_relay {
    char name[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE]; /* "-" for rows of no site */
    struct totals totals;
};

/* Rows that ended alike. */
struct report_group {
    enum stage stage;   /* STAGE_COUNT: none began */
    enum reason reason; /* never REASON_NONE */
    uint32_t exit_code; /* EXIT_CODE: the code ... */
    uint32_t exit_no;   /* ... and its number; REPORT_EXIT_CODES_MAX: all further codes */
    uint32_t count;
    char example[LIMIT_TARGET_NAME_SIZE]; /* first target of the group */
};

struct report_fold {
    struct report_site *sites; /* owned, sorted by name */
    uint32_t site_count;
    uint32_t site_capacity;
    struct report_relay *relays; /* owned, sorted by site, then name */
    uint32_t relay_count;
    uint32_t relay_capacity;
    struct report_group *groups; /* owned, sorted by stage, reason.def's order, exit code */
    uint32_t group_count;
    uint32_t group_capacity;
    uint32_t exit_codes[REPORT_EXIT_CODES_MAX]; /* as they came */
    uint32_t exit_code_count;
    char *reboots[REPORT_REBOOTS_MAX]; /* owned: first targets that want a reboot */
    struct totals totals;
    uint32_t row_count;
    uint32_t gap_no;   /* first target_no that was missing or out of order ... */
    bool gap;          /* ... if any */
    uint32_t max_fail; /* rows stopped by the failure threshold */
};

void report_fold_init(struct report_fold *fold);
void report_fold_release(struct report_fold *fold);
/* Counts one row. Errors: ERR_PROTOCOL when an enumeration is out of range; ERR_LIMIT past
 * REPORT_SITES_MAX or REPORT_RELAYS_MAX. */
int report_fold_add(struct report_fold *fold, const struct report_row *row, struct err *err);

/* The conservation law, over an unfiltered report: exactly one row for every submitted target, the
 * same sums over sites and over relays, and for a closed push the same counts as the coordinator's
 * own. Errors: ERR_INTERNAL with what is
 * missing. */
int report_fold_check(const struct report_fold *fold, const struct push_summary *push,
                      struct err *err);

/* The law for each relay, over an unfiltered report of a closed push: as many rows in each state as
 * the coordinator counted for it. Errors: ERR_INTERNAL naming the relay. */
int report_fold_check_parts(const struct report_fold *fold, const struct push_part *parts,
                            uint32_t part_count, struct err *err);

/* Exit status of a push with these rows, the first that fits: 1 law broken, 5 stopped by the
 * failure threshold, 3 failures, 4 anything else not succeeded, 0. */
int report_exit_status(const struct totals *totals, uint32_t max_fail, bool wait, bool balanced);

/* Whether a row is terminal and not a success. */
bool report_row_failed(const struct report_row *row, bool wait);
/* Whether the row fits every part of the filter that is set (the push selector aside). */
bool report_filter_fits(const struct report_filter *filter, const struct report_row *row,
                        bool wait);
/* Whether any part of the filter but the push selector is set. */
bool report_filter_set(const struct report_filter *filter);

#endif
