/* Commands that look at pushes, and cancel: report, list, show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/report/format.h"
#include "common/report/grid.h"
#include "common/report/push_json.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/reporting.h"
#include "coordinator/cli/session.h"

#define END_MS 5000U
#define CANCEL_MS 20000U /* a cancelled push settles for so long */
#define TITLE_SIZE (LIMIT_PACKAGE_NAME_SIZE + 32)
#define CANCEL_LOOK_MS 100U /* ... with a look this often */

static int set_push(struct report_filter *filter, const char *value, struct err *err)
{
    char shown[80];
    size_t length = strlen(value);
    if (length == 0 || length > 32 || value[strspn(value, "0123456789abcdefABCDEF")] != '\0')
        return err_set(err, ERR_INVALID, "'%s' is no push: its id or the beginning of it",
                       text_printable(shown, sizeof shown, value));
    (void)text_copy(filter->push.prefix, sizeof filter->push.prefix, value);
    return 0;
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct look *look = context;
    char shown[80];
    int common = common_option(&look->common, key, value, err);
    if (common <= 0)
        return common;
    switch (key) {
    case OPTION_POSITIONAL:
        if (look->word != NULL)
            return err_set(err, ERR_INVALID, "'%s': one word too many",
                           text_printable(shown, sizeof shown, value));
        look->word = value;
        return 0;
    case LOOK_FAILED:
        look->filter.failed_only = true;
        return 0;
    case LOOK_WATCH:
        look->watch = true;
        return 0;
    case LOOK_PUSH:
        return set_push(&look->filter, value, err);
    case LOOK_SITE:
        if (!text_copy(look->filter.site, sizeof look->filter.site, value))
            return err_set(err, ERR_INVALID, "--site: name too long");
        return 0;
    case LOOK_STAGE:
        look->filter.stage = stage_from_word(value);
        if (look->filter.stage == STAGE_COUNT)
            return err_set(err, ERR_INVALID,
                           "--stage '%s': resolve, ping, access, path, copy, schedule",
                           text_printable(shown, sizeof shown, value));
        return 0;
    case LOOK_REASON:
        look->filter.reason = reason_from_word(value);
        if (look->filter.reason == REASON_COUNT)
            return err_set(err, ERR_INVALID, "--reason '%s': no such reason (NO_REPLY, ...)",
                           text_printable(shown, sizeof shown, value));
        return 0;
    default:
        return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
    }
}

bool look_json_wanted(const struct look *look)
{
    return strcmp(look->common.format, "json") == 0;
}

static bool format_fits(enum look_formats formats, const char *format)
{
    switch (formats) {
    case FORMATS_TABLE:
        return strcmp(format, "table") == 0;
    case FORMATS_JSON:
        return strcmp(format, "table") == 0 || strcmp(format, "json") == 0;
    case FORMATS_REPORT:
        break; /* options_parse asked already */
    }
    return true;
}

static int check(struct look *look, const struct look_command *command, struct err *err)
{
    if (command->word_needed && look->word == NULL)
        return err_set(err, ERR_INVALID, "usage: %s", command->usage);
    if (!format_fits(command->formats, look->common.format))
        return err_set(err, ERR_INVALID, "-o %s: not for this command (%s)", look->common.format,
                       command->formats == FORMATS_JSON ? "table, json" : "table");
    if (look->word == NULL)
        return 0;
    if (!command->word_is_host)
        return set_push(&look->filter, look->word, err);
    if (!text_copy(look->filter.target, sizeof look->filter.target, look->word))
        return err_set(err, ERR_INVALID, "the host's name is too long");
    return 0;
}

/* Nothing was ever pushed: say so without starting or making anything. */
static bool never_pushed(void)
{
    struct state_paths paths;
    return state_paths_find(&paths, NULL) == 0 && !state_paths_used(&paths);
}

int look_written(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    complain("cannot write to standard output");
    return EXIT_INTERNAL;
}

/* After a writer of common/report. */
int look_output_written(int result, const struct err *err)
{
    if (result == 0)
        return look_written(EXIT_ALL_SUCCEEDED);
    complain("%s", err->text);
    return EXIT_INTERNAL;
}

int look_run(const struct look_command *command, int argc, char *const *argv)
{
    const struct option_table tables[] = {command->options, common_table};
    struct look look = {.common.format = "table", .filter.stage = STAGE_COUNT};
    struct session session;
    struct err err = {0};
    int rest = argc;
    int result = options_parse(tables, 2, argc, argv, handle, &look, &rest, &err);
    if (result == 0 && look.common.help) {
        (void)printf("Usage: %s\n\n%s\n\n", command->usage, command->about);
        options_help(stdout, &command->options);
        options_help(stdout, &common_table);
        return EXIT_ALL_SUCCEEDED;
    }
    if (result == 0 && look.common.version) {
        print_version();
        return EXIT_ALL_SUCCEEDED;
    }
    if (result == 0 && rest < argc)
        result = err_set(&err, ERR_INVALID, "nothing may follow --");
    if (result != 0 || check(&look, command, &err) != 0) {
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    if (!command->coordinator_needed && session_is_private(&look.common) && never_pushed()) {
        complain("there is no push yet");
        if (command->push_needed)
            return EXIT_USAGE;
        return look_json_wanted(&look)
                   ? look_output_written(push_json_list(stdout, NULL, 0, &err), &err)
                   : EXIT_ALL_SUCCEEDED;
    }
    result = command->coordinator_needed ? session_open_coordinator(&session, &look.common, &err)
                                         : session_open(&session, &look.common, false, &err);
    if (result != 0)
        return session_failed(&session, &err);
    int status = command->run(&session, &look);
    session_close(&session, END_MS);
    return status;
}

/* ---- report ---- */

static int run_report(struct session *session, struct look *look)
{
    struct reporting reporting = {.filter = look->filter, .print = true};
    struct err err = {0};
    int status = EXIT_INTERNAL;
    if (report_fetch(session, &reporting, &status, &err) != 0)
        return session_failed(session, &err);
    return status;
}

int command_report(int argc, char *const *argv)
{
    static const struct option_row rows[] = {
        {"failed", 0, LOOK_FAILED, NULL, "List the rows that ended without success."},
        {"stage", 0, LOOK_STAGE, "S", "List the rows that ended at this stage."},
        {"site", 0, LOOK_SITE, "S", "List the rows of this site."},
        {"reason", 0, LOOK_REASON, "R", "List the rows with this reason (NO_REPLY, ...)."},
    };
    static const struct look_command command = {
        .usage = "pusher report [PUSH] [--failed] [--stage S] [--site S] [--reason R] [-o "
                 "table|wide|json|jsonl|csv]",
        .about = "Prints the report of a push (the newest, unless its id or the beginning of it is "
                 "given).\nTotals are always of the whole push; the options choose the rows that "
                 "are listed.\nwide: the table and every row with all its columns. json: one "
                 "object. jsonl: an object a row. csv:\nfor spreadsheets. Their columns are in "
                 "pusher(1).\nThe exit status is the push's: pusher help exit.",
        .options = {rows, sizeof rows / sizeof *rows},
        .formats = FORMATS_REPORT,
        .push_needed = true,
        .run = run_report};
    return look_run(&command, argc, argv);
}

/* ---- list ---- */

/* "setup.exe", "setup.exe (cleanup of 7f3a12c0)"; not yet printable. Returns `text`. */
static char *push_title(const struct push_summary *push, char text[TITLE_SIZE])
{
    char of[PUSH_ID_SHORT_SIZE];
    push_id_short(&push->of_push, of);
    if (push->action == JOB_CLEANUP)
        (void)snprintf(text, TITLE_SIZE, "%s (cleanup of %s)", push->package_name, of);
    else
        (void)text_copy(text, TITLE_SIZE, push->package_name);
    return text;
}

static void list_row(struct grid *grid, const struct push_summary *push)
{
    char title[TITLE_SIZE];
    char id[PUSH_ID_SHORT_SIZE];
    char when[FORMAT_TIME_SIZE];
    push_id_short(&push->push, id);
    grid_row(grid);
    grid_text(grid, 0, id);
    grid_text(grid, 1, format_time(push->created_unix_ms, when));
    grid_text(grid, 2, push_state_word(push->state));
    grid_number(grid, 3, totals_submitted(&push->totals));
    grid_number(grid, 4, totals_succeeded(&push->totals, push->wait));
    grid_number(grid, 5, push->totals.by_state[TARGET_FAILED]);
    grid_number(grid, 6, push->totals.by_state[TARGET_UNREACHABLE]);
    grid_number(grid, 7, totals_pending(&push->totals, push->wait));
    grid_text(grid, 8, push_title(push, title));
}

static int run_list(struct session *session, struct look *look)
{
    static const struct grid_column columns[] = {
        {"PUSH", false},       {"CREATED", false}, {"STATE", false},
        {"SUBMITTED", true},   {"OK", true},       {"FAILED", true},
        {"UNREACHABLE", true}, {"PENDING", true},  {"PACKAGE", false},
    };
    struct message request = {.kind = MESSAGE_LIST_GET};
    struct message answer;
    struct err err = {0};
    struct grid grid;
    if (session_call(session, &request, MESSAGE_LIST, &answer, &err) != 0)
        return session_failed(session, &err);
    if (look_json_wanted(look)) {
        int result = push_json_list(stdout, answer.list.pushes, answer.list.push_count, &err);
        message_release(&answer);
        return look_output_written(result, &err);
    }
    grid_init(&grid, columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < answer.list.push_count; i++)
        list_row(&grid, &answer.list.pushes[i]);
    (void)grid_print(&grid, stdout, terminal_width(STDOUT_FILENO),
                     colour_on(&look->common, STDOUT_FILENO));
    grid_release(&grid);
    message_release(&answer);
    return look_written(EXIT_ALL_SUCCEEDED);
}

int command_list(int argc, char *const *argv)
{
    static const struct look_command command = {.usage = "pusher list [-o table|json]",
                                                .about = "Lists pushes, the newest first.",
                                                .formats = FORMATS_JSON,
                                                .run = run_list};
    return look_run(&command, argc, argv);
}

/* ---- show ---- */

int look_status(struct session *session, const struct look *look, struct message *answer,
                struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET, .status_get = look->filter.push};
    return session_call(session, &request, MESSAGE_STATUS, answer, err);
}

static void print_push(const struct push_summary *push)
{
    char id[PUSH_ID_TEXT_SIZE];
    char text[1024];
    char when[FORMAT_TIME_SIZE];
    char size[FORMAT_BYTES_SIZE];
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    push_id_text(&push->push, id);
    hex_encode(push->package_digest, sizeof push->package_digest, digest);
    (void)printf("push          %s\n", id);
    (void)printf("generation    %u\n", push->generation);
    (void)printf("state         %s\n", push_state_word(push->state));
    push_id_text(&push->of_push, id);
    if (push->action == JOB_CLEANUP)
        (void)printf("cleanup of    %s\n", id);
    (void)printf("success       %s\n", push->action == JOB_CLEANUP ? "cleaned up"
                                       : push->wait                ? "exit code (--wait)"
                                                                   : "scheduled");
    (void)printf("package       %s (%s)\n", text_printable(text, sizeof text, push->package_name),
                 format_bytes(push->package_bytes, size));
    (void)printf("sha256        %s\n", digest);
    (void)printf("created       %s\n", format_time(push->created_unix_ms, when));
    (void)printf("closed        %s\n",
                 push->closed_unix_ms == 0 ? "-" : format_time(push->closed_unix_ms, when));
    (void)printf("operator key  %s\n", text_printable(text, sizeof text, push->operator_key));
    (void)printf("asked by      %s\n", text_printable(text, sizeof text, push->account));
    (void)printf("submitted     %u\n", totals_submitted(&push->totals));
    (void)printf("attempted     %u\n", push->totals.attempted);
    for (int state = 0; state < TARGET_STATE_COUNT; state++)
        if (push->totals.by_state[state] > 0)
            (void)printf("  %-15s %u\n", target_state_word((enum target_state)state),
                         push->totals.by_state[state]);
}

static int run_show(struct session *session, struct look *look)
{
    struct message answer;
    struct err err = {0};
    if (look_status(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    int result = 0;
    if (look_json_wanted(look))
        result = push_json_status(stdout, &answer.status, NULL, 0, &err);
    else
        print_push(&answer.status.push);
    message_release(&answer);
    return look_output_written(result, &err);
}

int command_show(int argc, char *const *argv)
{
    static const struct look_command command = {
        .usage = "pusher show PUSH [-o table|json]",
        .about = "Shows a push: package and digest, times, who signed and asked, counts by state.",
        .word_needed = true,
        .push_needed = true,
        .formats = FORMATS_JSON,
        .run = run_show};
    return look_run(&command, argc, argv);
}

void look_print_status(const struct message_status *status)
{
    char id[PUSH_ID_SHORT_SIZE];
    char text[PROGRESS_TEXT_SIZE];
    char title[TITLE_SIZE];
    char name[2 * TITLE_SIZE];
    push_id_short(&status->push.push, id);
    (void)progress_text(status, 0, 0, 0, text);
    (void)printf("PUSH %s  %s  %s  %s\n", id,
                 text_printable(name, sizeof name, push_title(&status->push, title)),
                 push_state_word(status->push.state), text + strspn(text, " "));
}

/* ---- cancel ---- */

/* What a relay has is its to report: the private one is started to say it. */
static int wait_for_relay(struct session *session, const struct look *look, struct message *answer,
                          struct err *err)
{
    if (session->mode != NULL)
        private_need_relay(session->mode);
    for (uint32_t waited_ms = 0;; waited_ms += CANCEL_LOOK_MS) {
        if (look_status(session, look, answer, err) != 0)
            return -1;
        if (answer->status.push.state == PUSH_CLOSED || waited_ms >= CANCEL_MS)
            return 0;
        message_release(answer);
        if (session_wait(session, CANCEL_LOOK_MS, err) != 0)
            return -1;
    }
}

static int run_cancel(struct session *session, struct look *look)
{
    struct message request = {.kind = MESSAGE_PUSH_STOP};
    struct message answer;
    struct err err = {0};
    if (look_status(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    request.push_stop.push = answer.status.push.push;
    request.push_stop.cancel = true;
    bool closed = answer.status.push.state == PUSH_CLOSED;
    message_release(&answer);
    if (closed) {
        complain("this push is over: nothing is left to cancel");
        return EXIT_USAGE;
    }
    if (session_call(session, &request, MESSAGE_OK, &answer, &err) != 0)
        return session_failed(session, &err);
    message_release(&answer);
    if (wait_for_relay(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    look_print_status(&answer.status);
    uint32_t pending = totals_pending(&answer.status.push.totals, answer.status.push.wait);
    if (pending > 0)
        say(&look->common, "%u target%s still with the relay: see pusher status", pending,
            pending == 1 ? " is" : "s are");
    message_release(&answer);
    return look_written(EXIT_ALL_SUCCEEDED);
}

int command_cancel(int argc, char *const *argv)
{
    static const struct look_command command = {
        .usage = "pusher cancel PUSH",
        .about = "Cancels a push: targets that had not begun become CANCELLED. What is scheduled "
                 "stays scheduled.",
        .word_needed = true,
        .push_needed = true,
        .run = run_cancel};
    return look_run(&command, argc, argv);
}
