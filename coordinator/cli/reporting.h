/* Fetching a report and printing it: used by push at its end and by report. */
#ifndef PUSHER_CLI_REPORTING_H
#define PUSHER_CLI_REPORTING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "coordinator/cli/session.h"

struct reporting {
    struct report_filter filter; /* selects the push, and the rows to list */
    bool print;                  /* false: only check and find the exit status */
    uint32_t submitted;          /* targets this command gave; 0: not known */
};

/* Gets all rows of the push (the law is checked over all of them), prints what the filter lets
 * through to standard output. *status is the push's exit status; a ledger that does not balance is
 * said on standard error too. Errors: as control_report, ERR_IO. */
int report_fetch(struct session *session, const struct reporting *reporting, int *status,
                 struct err *err);

#endif
