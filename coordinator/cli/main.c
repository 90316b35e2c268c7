/* pusher: the operator's tool. A table of commands and a loop over it. */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/say.h"

struct command {
    const char *name;
    const char *summary;                     /* NULL: not in this version */
    int (*run)(int argc, char *const *argv); /* words after the name */
};

static int command_version(int argc, char *const *argv);
static int command_help(int argc, char *const *argv);

static const struct command commands[] = {
    {"push", "Put a package on targets and have their Task Scheduler run it.", command_push},
    {"report", "Print the report of a push.", command_report},
    {"why", "Tell what became of one target, why, and what to do.", command_why},
    {"status", "Show how far a push is.", command_status},
    {"list", "List pushes.", command_list},
    {"show", "Show one push: package, times, who signed it.", command_show},
    {"cleanup", "Remove what a push left on its targets.", command_cleanup},
    {"pause", "Begin nothing new of a push for now.", command_pause},
    {"resume", "Go on with a push that was paused.", command_resume},
    {"retry", "Try targets of a push that is over once more.", command_retry},
    {"site", "Describe the sites that targets are split by.", command_site},
    {"cancel", "Cancel what has not begun of a push.", command_cancel},
    {"relay", "Enrol, approve, list, drain and revoke relays.", command_relay},
    {"cred", "Set the accounts of sites, sealed to their relays.", command_cred},
    {"key", "Make operators' keys; say who may sign.", command_key},
    {"policy", "Make and show the signed policy that relays go by.", command_policy},
    {"never-touch", "Name machines that nobody ever touches.", command_never_touch},
    {"package", "Bring packages to the coordinator, list, check and remove them.", command_package},
    {"help", "Print help: pusher help COMMAND, pusher help exit.", command_help},
    {"version", "Print the version.", command_version},
    {"plan", NULL, NULL},
    {"preflight", NULL, NULL},
    {"diff", NULL, NULL},
    {"pool", NULL, NULL},
    {"config", NULL, NULL},
    {"doctor", NULL, NULL},
    {"completion", NULL, NULL},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

void print_version(void)
{
    (void)printf("pusher %s\n", PUSHER_VERSION);
}

static int command_version(int argc, char *const *argv)
{
    (void)argv;
    if (argc > 0) {
        complain("version takes no words");
        return EXIT_USAGE;
    }
    print_version();
    return EXIT_ALL_SUCCEEDED;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_help(FILE *out)
{
    (void)fputs("Usage: pusher COMMAND [OPTIONS]\n\n"
                "Puts software packages on Windows machines, without an agent on them.\n\n",
                out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].summary != NULL)
            (void)fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\npusher COMMAND --help tells more. For example:\n"
                "  pusher push setup.exe -t pc-0412 -t 10.4.7.0/24 --exclude 10.4.7.9 \\\n"
                "      --user 'CORP\\deploy' --password-file ./pw -- /quiet\n",
                out);
}

static void print_exit_help(void)
{
    (void)fputs("Exit statuses of push, cleanup and report, the first that fits in the order 1, 5, "
                "3, 4, 0:\n"
                "    0  all succeeded\n"
                "    1  internal error, or a report that does not add up\n"
                "    2  usage: the command line or a file named in it\n"
                "    3  finished with failures\n"
                "    4  none failed, but some rows are not a success (unreachable, expired,\n"
                "       cancelled, unknown effect, never attempted, pending)\n"
                "    5  stopped by the failure threshold\n"
                "    6  no target is left\n"
                "    7  the coordinator can't be reached\n"
                "    8  denied\n"
                "    9  --timeout of this command ran out; the push can go on\n"
                "  130  interrupted\n",
                stdout);
}

static int run_command(const struct command *command, const char *name, int argc, char *const *argv)
{
    char shown[80];
    if (command == NULL) {
        complain("unknown command '%s' (pusher help lists them)",
                 text_printable(shown, sizeof shown, name));
        return EXIT_USAGE;
    }
    if (command->run == NULL) {
        complain("%s: not in this version", command->name);
        return EXIT_USAGE;
    }
    return command->run(argc, argv);
}

static int command_help(int argc, char *const *argv)
{
    static char help_option[] = "--help";
    static char *const help_words[] = {help_option, NULL};
    if (argc == 0) {
        print_help(stdout);
        return EXIT_ALL_SUCCEEDED;
    }
    if (strcmp(argv[0], "exit") == 0) {
        print_exit_help();
        return EXIT_ALL_SUCCEEDED;
    }
    const struct command *command = command_find(argv[0]);
    if (command != NULL && (command->run == command_help || command->run == command_version)) {
        (void)printf("pusher %s: %s\n", command->name, command->summary);
        return EXIT_ALL_SUCCEEDED;
    }
    return run_command(command, argv[0], 1, help_words);
}

/* A closed standard stream would lend its number to a socket or a database. In its place comes
 * /dev/null; output is opened for reading, so that what can't be printed is an error still. */
static int open_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (open_closed_streams() != 0)
        return EXIT_INTERNAL;
    (void)setlocale(LC_CTYPE, "");
    (void)umask(077);
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return command_help(0, NULL);
    if (strcmp(name, "--version") == 0)
        return command_version(0, NULL);
    if (name[0] == '-') {
        char shown[80];
        complain("unknown option '%s' (pusher COMMAND [OPTIONS])",
                 text_printable(shown, sizeof shown, name));
        return EXIT_USAGE;
    }
    return run_command(command_find(name), name, argc - 2, argv + 2);
}
