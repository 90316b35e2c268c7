/* pusher push. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/push_prepare.h"
#include "coordinator/cli/push_run.h"

int command_push(int argc, char *const *argv)
{
    static struct push push; /* an options struct of some 25 KB: not on the stack */
    struct err err = {0};
    memset(&push, 0, sizeof push);
    if (push_options_parse(&push.options, argc, argv, (int64_t)time(NULL), &err) != 0) {
        push_release(&push);
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    if (push.options.common.help || push.options.common.version) {
        if (push.options.common.help)
            push_options_help(stdout);
        else
            print_version();
        push_release(&push);
        return EXIT_ALL_SUCCEEDED;
    }
    int status = push_prepare(&push);
    if (status < 0)
        status = push_run(&push);
    push_release(&push);
    return status;
}
