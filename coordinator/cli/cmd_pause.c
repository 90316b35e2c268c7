/* pusher pause and resume: a push that its coordinator goes on with stands still, and goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/look.h"

static int run_pause(struct session *session, struct look *look)
{
    struct message request = {.kind = MESSAGE_PUSH_STOP};
    struct message answer;
    struct err err = {0};
    char id[PUSH_ID_SHORT_SIZE];
    if (look_status(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    struct push_summary push = answer.status.push;
    message_release(&answer);
    push_id_short(&push.push, id);
    if (push.state == PUSH_CLOSED || push.state == PUSH_CANCELLING) {
        complain(push.state == PUSH_CLOSED ? "push %s is over: nothing is left to pause"
                                           : "push %s was cancelled: nothing is left to pause",
                 id);
        return EXIT_USAGE;
    }
    request.push_stop.push = push.push;
    if (session_call(session, &request, MESSAGE_OK, &answer, &err) != 0)
        return session_failed(session, &err);
    message_release(&answer);
    if (look_status(session, look, &answer, &err) != 0)
        return session_failed(session, &err);
    uint32_t running = answer.status.push.totals.by_state[TARGET_RUNNING];
    look_print_status(&answer.status);
    message_release(&answer);
    if (running > 0)
        say(&look->common, "%u target%s with relays: stages that run end, the rest comes back",
            running, running == 1 ? " is" : "s are");
    say(&look->common, "to go on: pusher resume %s", id);
    return look_written(EXIT_ALL_SUCCEEDED);
}

int command_pause(int argc, char *const *argv)
{
    static const struct look_command command = {
        .usage = "pusher pause PUSH",
        .about = "Begins nothing new of a push until pusher resume. What is scheduled stays "
                 "scheduled.",
        .word_needed = true,
        .push_needed = true,
        .run = run_pause};
    return look_run(&command, argc, argv);
}

/* What resume takes are push's options: it is `pusher push --resume`, under the name that people
 * look for. */
int command_resume(int argc, char *const *argv)
{
    static char option[] = "--resume";
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        (void)fputs("Usage: pusher resume PUSH [--user USER [--password-file FILE]] [OPTIONS]\n\n"
                    "Goes on with a push that was paused or stopped: signs it again, with a new "
                    "end. The same as\npusher push --resume PUSH; OPTIONS are push's: --at, "
                    "--until, --tz, --deadline, --timeout,\n--max-fail, --verify, --replace-path, "
                    "--detach, --no-report, -y. Without --user the accounts\nstored for the sites "
                    "are used, which needs a coordinator.\n",
                    stdout);
        return EXIT_ALL_SUCCEEDED;
    }
    if (argc == 0 || argv[0][0] == '-') {
        complain("no push: pusher resume PUSH [OPTIONS]");
        return EXIT_USAGE;
    }
    char **words = mem_new((size_t)argc + 2, sizeof *words);
    words[0] = option;
    for (int i = 0; i < argc; i++)
        words[i + 1] = argv[i];
    int status = command_push(argc + 1, words);
    free(words);
    return status;
}
