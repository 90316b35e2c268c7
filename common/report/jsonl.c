/* JSON lines: the rows of the JSON report's "targets", an object a line, and nothing else, so that
 * every line has the same shape and files may be put together. Rows leave as they come. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/report/format_table.h"
#include "common/report/json_values.h"

struct jsonl_state {
    FILE *out; /* borrowed */
};

static void *jsonl_start(const struct report_options *options, struct err *err)
{
    (void)err;
    struct jsonl_state *state = mem_new(1, sizeof *state);
    state->out = options->out;
    return state;
}

static int jsonl_row(void *context, const struct report_row *row, struct err *err)
{
    struct jsonl_state *state = context;
    json_t *target = value_row(row);
    int result = value_dump(target, state->out, false);
    if (result == 0 && fputc('\n', state->out) == EOF)
        result = -1;
    json_decref(target);
    return result == 0 ? 0 : err_set_errno(err, errno, "cannot write the report");
}

static int jsonl_finish(void *context, const struct report_view *view, struct err *err)
{
    (void)context;
    (void)view;
    (void)err;
    return 0;
}

const struct report_format report_format_jsonl = {
    .word = "jsonl", .start = jsonl_start, .row = jsonl_row, .finish = jsonl_finish, .end = free};
