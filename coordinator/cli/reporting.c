/* Rows in, report out. */
#include "coordinator/cli/reporting.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/report/fold.h"
#include "common/report/output.h"
#include "coordinator/cli/parts.h"

struct fetch {
    struct report_fold fold;
    struct report_output *output; /* NULL: nothing is printed */
};

static int take_row(void *context, const struct report_row *row, struct err *err)
{
    struct fetch *fetch = context;
    if (report_fold_add(&fetch->fold, row, err) != 0)
        return -1;
    return fetch->output == NULL ? 0 : report_output_row(fetch->output, row, err);
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* An unknown effect may become known after the end: then the counts are of another moment. */
static bool changed(struct session *session, const struct push_summary *push)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    push_id_text(&push->push, request.status_get.prefix);
    if (session_call(session, &request, MESSAGE_STATUS, &answer, NULL) != 0)
        return false;
    bool result = memcmp(&answer.status.push.totals, &push->totals, sizeof push->totals) != 0;
    message_release(&answer);
    return result;
}

/* The law for each relay. 1: holds, 0: does not, -1: could not be asked. */
static int balanced_parts(struct session *session, const struct fetch *fetch,
                          const struct push_summary *push, struct err *why, struct err *err)
{
    struct push_part *parts = NULL;
    uint32_t part_count = 0;
    if (push->state != PUSH_CLOSED)
        return 1; /* rows may change between the two looks */
    if (parts_fetch(session, &push->push, &parts, &part_count, err) != 0)
        return -1;
    bool holds = report_fold_check_parts(&fetch->fold, parts, part_count, why) == 0;
    int result = holds || changed(session, push);
    free(parts);
    return result;
}

/* Asks the law; says what is broken. */
static bool balanced(const struct fetch *fetch, const struct push_summary *push, uint32_t submitted,
                     struct err *why)
{
    if (report_fold_check(&fetch->fold, push, why) != 0)
        return false;
    if (submitted == 0 || submitted == fetch->fold.row_count)
        return true;
    (void)err_set(why, ERR_INTERNAL, "ledger mismatch: %u targets were given, %u rows came back",
                  submitted, fetch->fold.row_count);
    return false;
}

static int finish(struct session *session, const struct reporting *reporting,
                  const struct fetch *fetch, const struct push_summary *push, int *status,
                  struct err *err)
{
    struct err why = {0};
    struct message request = {.kind = MESSAGE_RELAYS_GET};
    struct message relays;
    bool law = balanced(fetch, push, reporting->submitted, &why);
    int parts = law ? balanced_parts(session, fetch, push, &why, err) : 1;
    if (parts < 0)
        return -1;
    law = law && parts == 1;
    if (!law)
        complain("%s", why.text);
    *status = report_exit_status(&fetch->fold.totals, fetch->fold.max_fail, push->wait, law);
    if (fetch->output == NULL)
        return 0;
    if (session_call(session, &request, MESSAGE_RELAYS, &relays, err) != 0)
        return -1;
    /* Whether relays live matters while one has work to do, and where rows are missing. */
    bool open = push->state == PUSH_OPEN || push->state == PUSH_CANCELLING || !law;
    struct report_view view = {.push = push,
                               .fold = &fetch->fold,
                               .relays = open ? relays.relays.rows : NULL,
                               .relay_count = open ? relays.relays.row_count : 0,
                               .now_unix_ms = unix_ms(),
                               .mismatch = law ? NULL : why.text};
    int result = report_output_finish(fetch->output, &view, err);
    message_release(&relays);
    return result;
}

/* What the push is, before its rows: "the newest" must be one and the same all along. */
static int find_push(struct session *session, const struct push_selector *selector,
                     struct push_summary *push, struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET, .status_get = *selector};
    struct message answer;
    if (session_call(session, &request, MESSAGE_STATUS, &answer, err) != 0)
        return -1;
    *push = answer.status.push;
    message_release(&answer);
    return 0;
}

int report_fetch(struct session *session, const struct reporting *reporting, int *status,
                 struct err *err)
{
    struct fetch fetch = {.output = NULL};
    struct push_summary push;
    struct report_filter all = {.stage = STAGE_COUNT};
    if (find_push(session, &reporting->filter.push, &push, err) != 0)
        return -1;
    push_id_text(&push.push, all.push.prefix);
    struct report_options options = {.out = stdout,
                                     .colour = colour_on(session->common, STDOUT_FILENO),
                                     .width = terminal_width(STDOUT_FILENO),
                                     .filter = reporting->filter,
                                     .wait = push.wait,
                                     .every_row = push.action == JOB_CLEANUP};
    report_fold_init(&fetch.fold);
    int result = 0;
    if (reporting->print)
        result = report_output_new(&fetch.output, session->common->format, &options, err);
    if (result == 0)
        result = control_report(session->control, &all, take_row, &fetch, &push, ANSWER_MS, err);
    if (result == 0)
        result = finish(session, reporting, &fetch, &push, status, err);
    report_output_free(fetch.output);
    report_fold_release(&fetch.fold);
    return result;
}
