/* pusher-relay: the daemon in a branch office. */
#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/reserve.h"
#include "common/base/text.h"
#include "common/trust/secret.h"
#include "relay/auth/auth.h"
#include "relay/room.h"
#include "relay/shell.h"
#include "relay/stage/scope.h"
#include "relay/state.h"

#define EXIT_USAGE 2
#define FILES_WANTED 4096
#define SESSIONS_MAX                                                                               \
    256 /* of them one relay can keep busy; each costs memory, and the machines' patience */

enum {
    OPTION_STATE = 's',
    OPTION_NAME = 'n',
    OPTION_COORDINATOR = 'c',
    OPTION_PACKAGES = 'p',
    OPTION_COORDINATOR_KEY = 'k',
    OPTION_OPERATORS = 'o',
    OPTION_ALLOW = 'a',
    OPTION_VERBOSE = 'v',
    OPTION_PARENT = 0x100,
    OPTION_SESSIONS,
    OPTION_DISK_RESERVE,
    OPTION_CACHE_MAX,
    OPTION_LAN_RATE
};

struct arguments {
    const char *command;
    const char *state, *name, *coordinator, *packages, *coordinator_key, *operators;
    bool verbose;
    struct scope scope;
    pid_t parent;         /* 0: on our own */
    uint32_t session_max; /* 0: not said */
    uint64_t disk_reserve;
    uint64_t cache_max, lan_rate;
};

static const struct argp_option options[] = {
    {"state", OPTION_STATE, "DIR", 0, "State folder: keys, journal, package cache", 0},
    {"name", OPTION_NAME, "NAME", 0, "Name of this relay, for people", 0},
    {"coordinator", OPTION_COORDINATOR, "ENDPOINT", 0, "tcp://HOST:PORT or ipc://PATH", 0},
    {"packages", OPTION_PACKAGES, "ENDPOINT", 0, "Where the coordinator serves packages", 0},
    {"coordinator-key", OPTION_COORDINATOR_KEY, "FILE", 0, "The coordinator's public key", 0},
    {"operators", OPTION_OPERATORS, "DIR", 0, "Trusted operator keys: <push id>.pub files", 0},
    {"allow", OPTION_ALLOW, "CIDR", 0,
     "Touch addresses in this subnet only; may be repeated (default: all)", 0},
    {"sessions", OPTION_SESSIONS, "N", 0, "At most N SMB sessions at once (256)", 0},
    {"disk-reserve", OPTION_DISK_RESERVE, "BYTES", 0,
     "Held back on the disk of --state: when it runs full, nothing new is begun and what is open "
     "ends "
     "(67108864)",
     0},
    {"cache-max", OPTION_CACHE_MAX, "BYTES", 0,
     "Keep at most so much of packages, the least used go first; also 500M, 20G (default: 20G)", 0},
    {"lan-rate", OPTION_LAN_RATE, "RATE", 0,
     "Copy at most so many bytes per second to all targets together; also 20M (default: no limit)",
     0},
    {"parent", OPTION_PARENT, "PID", 0, "End when this process ends; for private mode", 0},
    {"verbose", OPTION_VERBOSE, NULL, 0, "Log every target's outcome", 0},
    {0},
};

static pid_t process_id(const struct argp_state *state, const char *text)
{
    uint64_t value = 0;
    if (text_to_u64(text, INT_MAX, &value) != 0 || value == 0)
        argp_error(state, "--parent must be a process id");
    return (pid_t)value;
}

static uint32_t session_count(const struct argp_state *state, const char *text)
{
    uint64_t value = 0;
    if (text_to_u64(text, SESSIONS_MAX, &value) != 0 || value == 0)
        argp_error(state, "--sessions must be a number from 1 to %d", SESSIONS_MAX);
    return (uint32_t)value;
}

static uint64_t byte_count(const struct argp_state *state, const char *text, const char *name)
{
    uint64_t value = 0;
    if (text_to_bytes(text, &value) != 0 || value == 0)
        argp_error(state, "%s must be a number of bytes above 0, as 500000, 500K, 20M or 1G", name);
    return value;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct err err;
    switch (key) {
    case OPTION_STATE:
        arguments->state = value;
        break;
    case OPTION_NAME:
        arguments->name = value;
        break;
    case OPTION_COORDINATOR:
        arguments->coordinator = value;
        break;
    case OPTION_PACKAGES:
        arguments->packages = value;
        break;
    case OPTION_COORDINATOR_KEY:
        arguments->coordinator_key = value;
        break;
    case OPTION_OPERATORS:
        arguments->operators = value;
        break;
    case OPTION_ALLOW:
        if (scope_add(&arguments->scope, value, &err) != 0)
            argp_error(state, "--allow: %s", err.text);
        break;
    case OPTION_VERBOSE:
        arguments->verbose = true;
        break;
    case OPTION_SESSIONS:
        arguments->session_max = session_count(state, value);
        break;
    case OPTION_DISK_RESERVE:
        if (text_to_u64(value, 1ULL << 40, &arguments->disk_reserve) != 0)
            argp_error(state, "--disk-reserve must be a number of bytes");
        break;
    case OPTION_PARENT:
        arguments->parent = process_id(state, value);
        break;
    case OPTION_CACHE_MAX:
        arguments->cache_max = byte_count(state, value, "--cache-max");
        break;
    case OPTION_LAN_RATE:
        arguments->lan_rate = byte_count(state, value, "--lan-rate");
        break;
    case ARGP_KEY_ARG:
        if (arguments->command)
            argp_error(state, "one command only, not also %s", value);
        arguments->command = value;
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say init or run");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .args_doc = "init\nrun",
    .doc = "Runs Pusher's stages against the machines near it, for a coordinator.\v"
           "init makes the relay's keys in the state folder (--state); what is there is kept.\n"
           "run needs --state, --name, --coordinator, --packages, --coordinator-key and "
           "--operators, and works until SIGTERM.\n\n"
           "Exit status: 0 clean end, 1 failure, 2 wrong usage.",
};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    (void)fprintf(stream, "pusher-relay %s\n", PUSHER_VERSION);
}

static int usage_error(const char *text)
{
    (void)fprintf(stderr, "pusher-relay: %s (see pusher-relay --help)\n", text);
    return EXIT_USAGE;
}

static int fail(const struct err *err)
{
    log_error("%s", err->text);
    return EXIT_FAILURE;
}

static int run_init(const struct arguments *arguments)
{
    struct err err;
    return relay_state_init(arguments->state, &err) == 0 ? EXIT_SUCCESS : fail(&err);
}

/* A socket for every machine it connects to: more than the usual 1,024. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < FILES_WANTED)
        log_warning("only %llu files may be open (ulimit -n); %d would be good",
                    (unsigned long long)limit.rlim_cur, FILES_WANTED);
}

static int run_relay(const struct arguments *arguments)
{
    struct relay_state state;
    struct err err;
    struct shell_config config = {
        .state = &state,
        .name = arguments->name,
        .coordinator = arguments->coordinator,
        .packages = arguments->packages,
        .operators = arguments->operators,
        .scope = &arguments->scope,
        .session_max = arguments->session_max,
        .disk_reserve = arguments->disk_reserve,
        .cache_max = arguments->cache_max,
        .lan_rate = arguments->lan_rate,
    };
    if (public_key_read(arguments->coordinator_key, config.coordinator_key, &err) != 0 ||
        folder_check(arguments->operators, &err) != 0 ||
        relay_state_load(&state, arguments->state, &err) != 0)
        return fail(&err);
    raise_file_limit();
    int failed = shell_run(&config, &err);
    relay_state_release(&state);
    return failed ? fail(&err) : EXIT_SUCCESS;
}

static int run_command(const struct arguments *arguments)
{
    struct err err;
    bool init = strcmp(arguments->command, "init") == 0;
    if (!init && strcmp(arguments->command, "run") != 0)
        return usage_error("unknown command: say init or run");
    if (!arguments->state)
        return usage_error("--state is missing");
    if (!init && (!arguments->name || !arguments->coordinator || !arguments->packages ||
                  !arguments->coordinator_key || !arguments->operators))
        return usage_error("run needs --name, --coordinator, --packages, --coordinator-key and "
                           "--operators");
    if (!init && (arguments->name[0] == '\0' || strlen(arguments->name) >= LIMIT_SITE_NAME_SIZE))
        return usage_error("--name must have 1 to 63 bytes");
    if ((arguments->parent != 0 && process_follow(arguments->parent, &err) != 0) ||
        process_harden(&err) != 0)
        return fail(&err);
    auth_setup(); /* changes the environment: before any thread */
    return init ? run_init(arguments) : run_relay(arguments);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.disk_reserve = RESERVE_BYTES, .cache_max = ROOM_CACHE_MAX};
    (void)umask(077);
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return EXIT_USAGE;
    log_setup("pusher-relay", arguments.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    int status = run_command(&arguments);
    scope_release(&arguments.scope);
    return status;
}
