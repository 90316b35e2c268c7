/* pusher-coordinator: command line. */
#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/trust/secret.h"
#include "coordinator/coordinator.h"
#include "coordinator/files.h"
#include "coordinator/rotate.h"

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

enum option_key {
    OPTION_STATE = 's',
    OPTION_VERBOSE = 'v',
    OPTION_RELAY_KEY = 0x100,
    OPTION_CONTROL,
    OPTION_RELAYS,
    OPTION_PACKAGES,
    OPTION_DNS,
    OPTION_LEASE_MS,
    OPTION_HEARTBEAT_MS,
    OPTION_PARENT,
    OPTION_DISK_RESERVE,
    OPTION_CONTROL_MODE,
    OPTION_CONTROL_GROUP,
    OPTION_FINISH,
    OPTION_RESTORED,
};

static const struct argp_option options[] = {
    {"state", OPTION_STATE, "DIR", 0, "Folder with the coordinator's keys and store", 0},
    {"relay-key", OPTION_RELAY_KEY, "FILE", 0,
     "run, private mode: public key of the one relay; without it relays enrol and operators "
     "approve them",
     0},
    {"control", OPTION_CONTROL, "ENDPOINT", 0, "run: for the pusher command, ipc://PATH", 0},
    {"control-mode", OPTION_CONTROL_MODE, "MODE", 0, "run: of that socket, 0600 (default) or 0660",
     0},
    {"control-group", OPTION_CONTROL_GROUP, "GROUP", 0,
     "run: group of that socket; then the default mode is 0660", 0},
    {"relays", OPTION_RELAYS, "ENDPOINT", 0, "run: for relays, ipc://PATH or tcp://ADDRESS:PORT",
     0},
    {"packages", OPTION_PACKAGES, "ENDPOINT", 0, "run: for packages, as --relays", 0},
    {"dns", OPTION_DNS, "SERVERS", 0,
     "run: look names up there and not where resolv.conf says, ADDRESS[:PORT],...", 0},
    {"lease-ms", OPTION_LEASE_MS, "N", 0,
     "run: a relay that is silent for so long loses its targets (60000)", 0},
    {"heartbeat-ms", OPTION_HEARTBEAT_MS, "N", 0, "run: how often relays say they live (10000)", 0},
    {"disk-reserve", OPTION_DISK_RESERVE, "BYTES", 0,
     "run: held back on the disk of --state: when it runs full, no new push is taken and what is "
     "open "
     "ends (67108864)",
     0},
    {"restored", OPTION_RESTORED, NULL, 0,
     "run: store.db was put back from a backup: whatever it says no relay had may have been had",
     0},
    {"finish", OPTION_FINISH, NULL, 0,
     "rotate-key: take the new key; the coordinator must not be running", 0},
    {"parent", OPTION_PARENT, "PID", 0, "End when this process ends; for private mode", 0},
    {"verbose", OPTION_VERBOSE, NULL, 0, "Say more on standard error", 0},
    {0},
};

struct arguments {
    const char *command; /* "init", "run" or "rotate-key" */
    bool finish;
    bool verbose;
    pid_t parent; /* 0: on our own */
    struct coordinator_options run;
};

static uint32_t number(const struct argp_state *state, const char *text, const char *name)
{
    uint64_t value = 0;
    if (text_to_u64(text, 3600000, &value) != 0 || value < 10)
        argp_error(state, "%s must be a number from 10 to 3600000", name);
    return (uint32_t)value;
}

static pid_t process_id(const struct argp_state *state, const char *text)
{
    uint64_t value = 0;
    if (text_to_u64(text, INT_MAX, &value) != 0 || value == 0)
        argp_error(state, "--parent must be a process id");
    return (pid_t)value;
}

static mode_t socket_mode(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "0660") == 0 || strcmp(text, "660") == 0)
        return 0660;
    if (strcmp(text, "0600") != 0 && strcmp(text, "600") != 0)
        argp_error(state, "--control-mode must be 0600 or 0660");
    return 0600;
}

static gid_t group_id(const struct argp_state *state, const char *name)
{
    errno = 0;
    const struct group *group = getgrnam(name);
    if (group == NULL) {
        argp_error(state, "--control-group: there is no group of this name"); /* ends the program */
        return (gid_t)-1;
    }
    return group->gr_gid;
}

static void check(const struct argp_state *state, struct arguments *arguments)
{
    struct coordinator_options *run = &arguments->run;
    if (arguments->command == NULL) {
        argp_error(state, "say init, run or rotate-key"); /* ends the program */
        return;
    }
    if (run->state == NULL)
        argp_error(state, "--state is needed");
    if (arguments->finish && strcmp(arguments->command, "rotate-key") != 0)
        argp_error(state, "--finish belongs to rotate-key");
    if (run->restored && strcmp(arguments->command, "run") != 0)
        argp_error(state, "--restored belongs to run");
    if (strcmp(arguments->command, "run") != 0)
        return;
    if (run->control == NULL || run->relays == NULL || run->packages == NULL)
        argp_error(state, "run needs --control, --relays and --packages");
    if (run->control_group != (gid_t)-1 && run->control_mode == 0)
        run->control_mode = 0660;
    if (run->lease_ms < 2 * run->heartbeat_ms)
        argp_error(state, "--lease-ms must be at least twice --heartbeat-ms");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct coordinator_options *run = &arguments->run;
    switch (key) {
    case OPTION_STATE:
        run->state = value;
        return 0;
    case OPTION_VERBOSE:
        arguments->verbose = true;
        return 0;
    case OPTION_RELAY_KEY:
        run->relay_key = value;
        return 0;
    case OPTION_CONTROL:
        run->control = value;
        return 0;
    case OPTION_CONTROL_MODE:
        run->control_mode = socket_mode(state, value);
        return 0;
    case OPTION_CONTROL_GROUP:
        run->control_group = group_id(state, value);
        return 0;
    case OPTION_FINISH:
        arguments->finish = true;
        return 0;
    case OPTION_RESTORED:
        run->restored = true;
        return 0;
    case OPTION_RELAYS:
        run->relays = value;
        return 0;
    case OPTION_PACKAGES:
        run->packages = value;
        return 0;
    case OPTION_DNS:
        run->dns = value;
        return 0;
    case OPTION_LEASE_MS:
        run->lease_ms = number(state, value, "--lease-ms");
        return 0;
    case OPTION_HEARTBEAT_MS:
        run->heartbeat_ms = number(state, value, "--heartbeat-ms");
        return 0;
    case OPTION_DISK_RESERVE:
        if (text_to_u64(value, 1ULL << 40, &run->disk_reserve) != 0)
            argp_error(state, "--disk-reserve must be a number of bytes");
        return 0;
    case OPTION_PARENT:
        arguments->parent = process_id(state, value);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->command != NULL ||
            (strcmp(value, "init") != 0 && strcmp(value, "run") != 0 &&
             strcmp(value, "rotate-key") != 0))
            argp_error(state, "unknown command %s: say init, run or rotate-key", value);
        arguments->command = value;
        return 0;
    case ARGP_KEY_END:
        check(state, arguments);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    (void)fprintf(stream, "pusher-coordinator %s\n", PUSHER_VERSION);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc =
            "init --state DIR\nrun --state DIR [--relay-key FILE] --control ENDPOINT --relays "
            "ENDPOINT --packages ENDPOINT\nrotate-key --state DIR [--finish]",
        .doc = "Splits pushes over relays and keeps the one report of what became of every target.",
    };
    struct arguments arguments = {.run = {.lease_ms = COORDINATOR_LEASE_MS,
                                          .heartbeat_ms = COORDINATOR_HEARTBEAT_MS,
                                          .disk_reserve = RESERVE_BYTES,
                                          .control_group = (gid_t)-1}};
    struct err err = {0};
    argp_program_version_hook = print_version;
    argp_err_exit_status = STATUS_USAGE;
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN); /* whoever reads our standard error may end before us */
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return STATUS_USAGE;
    log_setup("pusher-coordinator", arguments.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    int result = arguments.parent == 0 ? 0 : process_follow(arguments.parent, &err);
    if (result == 0)
        result = process_harden(&err);
    if (result == 0 && strcmp(arguments.command, "init") == 0)
        result = files_init_state(arguments.run.state, &err);
    else if (result == 0 && strcmp(arguments.command, "rotate-key") == 0)
        result = arguments.finish ? rotate_finish(arguments.run.state, &err)
                                  : rotate_begin(arguments.run.state, &err);
    else if (result == 0)
        result = coordinator_run(&arguments.run, &err);
    if (result != 0)
        log_error("%s", err.text);
    return result == 0 ? STATUS_OK : STATUS_FAILED;
}
