/* pusher why: one target's story. */
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/report/why.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/look.h"

struct why {
    const struct push_summary *push;
    bool json;
    uint32_t count; /* rows that fitted */
};

static int print_row(void *context, const struct report_row *row, struct err *err)
{
    struct why *why = context;
    if (why->count++ > 0 && !why->json)
        (void)putchar('\n');
    return why->json ? why_json(stdout, row, why->push, err)
                     : why_print(stdout, row, why->push, err);
}

static int run_why(struct session *session, struct look *look)
{
    struct message answer;
    struct push_summary push;
    struct err err = {0};
    char text[4 * LIMIT_TARGET_NAME_SIZE];
    char id[PUSH_ID_SHORT_SIZE];
    if (look_status(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    push = answer.status.push;
    message_release(&answer);
    push_id_text(&push.push, look->filter.push.prefix); /* the newest may be another one soon */
    push_id_short(&push.push, id);
    look->filter.output = true;
    struct why why = {.push = &push, .json = look_json_wanted(look)};
    struct push_summary end;
    if (control_report(session->control, &look->filter, print_row, &why, &end, ANSWER_MS, &err) !=
        0)
        return session_failed(session, &err);
    if (why.count == 0) {
        complain("push %s has no target %s", id,
                 text_printable(text, sizeof text, look->filter.target));
        return EXIT_USAGE;
    }
    if (!why.json)
        (void)printf("push:   %s  %s\n", id, text_printable(text, sizeof text, push.package_name));
    return look_written(EXIT_ALL_SUCCEEDED);
}

int command_why(int argc, char *const *argv)
{
    static const struct option_row rows[] = {
        {"push", 0, LOOK_PUSH, "PUSH", "Of this push. Default: the newest."},
    };
    static const struct look_command command = {
        .usage = "pusher why HOST [--push PUSH] [-o table|json]",
        .about = "Tells what became of one target (name or address): its stages and their times, "
                 "the reason it\nended for, the likely cause and what to do about it; of a push "
                 "with --wait also the exit code\nand the last 64 KiB that the package printed.",
        .options = {rows, sizeof rows / sizeof *rows},
        .word_is_host = true,
        .word_needed = true,
        .push_needed = true,
        .formats = FORMATS_JSON,
        .run = run_why};
    return look_run(&command, argc, argv);
}
