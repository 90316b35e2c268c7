/* The table of formats, and handing rows to the chosen one. */
#include "common/report/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/format_table.h"

static const struct report_format html = {.word = "html"};

static const struct report_format *const formats[] = {
    &report_format_table, &report_format_wide, &report_format_json,
    &report_format_jsonl, &report_format_csv,  &html,
};

struct report_output {
    const struct report_format *format;
    struct report_options options;
    void *state; /* the format's own */
};

static const struct report_format *format_find(const char *word, struct err *err)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i]->word, word) != 0)
            continue;
        if (formats[i]->start != NULL)
            return formats[i];
        (void)err_set(err, ERR_INVALID, "-o %s: not in this version", word);
        return NULL;
    }
    char shown[64];
    text_printable(shown, sizeof shown, word);
    (void)err_set(err, ERR_INVALID, "-o %s: unknown format (table, wide, json, jsonl, csv)", shown);
    return NULL;
}

int report_format_check(const char *format, struct err *err)
{
    return format_find(format, err) == NULL ? -1 : 0;
}

int report_output_new(struct report_output **out, const char *format,
                      const struct report_options *options, struct err *err)
{
    const struct report_format *found = format_find(format, err);
    if (found == NULL)
        return -1;
    void *state = found->start(options, err);
    if (state == NULL)
        return -1;
    *out = mem_new(1, sizeof **out);
    **out = (struct report_output){.format = found, .options = *options, .state = state};
    return 0;
}

int report_output_row(struct report_output *output, const struct report_row *row, struct err *err)
{
    if (!report_filter_fits(&output->options.filter, row, output->options.wait))
        return 0;
    return output->format->row(output->state, row, err);
}

int report_output_finish(struct report_output *output, const struct report_view *view,
                         struct err *err)
{
    if (output->format->finish(output->state, view, err) != 0)
        return -1;
    if (fflush(output->options.out) != 0 || ferror(output->options.out))
        return err_set_errno(err, errno, "cannot write the report");
    return 0;
}

void report_output_free(struct report_output *output)
{
    if (output == NULL)
        return;
    output->format->end(output->state);
    free(output);
}
