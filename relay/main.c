/* pusher-relay: the daemon in a branch office. */
#include <argp.h>
#include <errno.h>
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
#include "relay/enroll.h"
#include "relay/enrolment.h"
#include "relay/room.h"
#include "relay/shell.h"
#include "relay/stage/scope.h"
#include "relay/state.h"
#include "relay/token_input.h"

#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130 /* Ctrl-C at a prompt */
#define FILES_WANTED 4096
#define ENROLL_TIMEOUT_S 30
#define READ_BACK_MAX_S 3600
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
    OPTION_SERVE,
    OPTION_LAN_RATE,
    OPTION_READ_BACK,
    OPTION_TOKEN,
    OPTION_TOKEN_FILE,
    OPTION_AGAIN,
    OPTION_TIMEOUT
};

struct arguments {
    const char *command;
    const char *state, *name, *coordinator, *packages, *coordinator_key, *operators;
    const char *token_file;
    char *token; /* in argv, until it is read */
    bool again;
    uint32_t timeout_s; /* 0: as a rule */
    bool verbose;
    struct scope scope;
    pid_t parent;         /* 0: on our own */
    uint32_t session_max; /* 0: not said */
    uint32_t read_back_s; /* the same */
    uint64_t disk_reserve;
    const char *serve;
    uint64_t cache_max, lan_rate;
};

static const struct argp_option options[] = {
    {"state", OPTION_STATE, "DIR", 0, "State folder: keys, journal, package cache", 0},
    {"allow", OPTION_ALLOW, "CIDR", 0,
     "Touch addresses in this subnet only; may be repeated (default: all, or all that the "
     "certificate allows)",
     0},
    {"sessions", OPTION_SESSIONS, "N", 0, "At most N SMB sessions at once (256)", 0},
    {"disk-reserve", OPTION_DISK_RESERVE, "BYTES", 0,
     "Held back on the disk of --state: when it runs full, nothing new is begun and what is open "
     "ends "
     "(67108864)",
     0},
    {"serve", OPTION_SERVE, "ENDPOINT", 0,
     "Let relays of this site fetch packages here, as tcp://10.1.0.5:5557 (default: nobody)", 0},
    {"cache-max", OPTION_CACHE_MAX, "BYTES", 0,
     "Keep at most so much of packages, the least used go first; also 500M, 20G (default: 20G)", 0},
    {"lan-rate", OPTION_LAN_RATE, "RATE", 0,
     "Copy at most so many bytes per second to all targets together; also 20M (default: no limit)",
     0},
    {"read-back", OPTION_READ_BACK, "SECONDS", 0,
     "Look so long for a task whose registration was not answered (60)", 0},
    {"verbose", OPTION_VERBOSE, NULL, 0, "Log every target's outcome", 0},
    {"name", OPTION_NAME, "NAME", 0, "Name of this relay, for people", 1},
    {"coordinator", OPTION_COORDINATOR, "ENDPOINT", 0, "tcp://HOST:PORT or ipc://PATH", 1},
    {"packages", OPTION_PACKAGES, "ENDPOINT", 0, "Where the coordinator serves packages", 1},
    {"token", OPTION_TOKEN, "TOKEN", 0, "enroll: what pusher relay token showed", 1},
    {"token-file", OPTION_TOKEN_FILE, "FILE", 0,
     "enroll: read it from there, - for standard input (default: ask)", 1},
    {"again", OPTION_AGAIN, NULL, 0, "enroll: although it is enrolled, with new keys", 1},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0, "enroll: for all of it (default: 30)", 1},
    {"coordinator-key", OPTION_COORDINATOR_KEY, "FILE", 0,
     "Private mode: the coordinator's public key", 2},
    {"operators", OPTION_OPERATORS, "DIR", 0,
     "Private mode: trusted operator keys, <push id>.pub files", 2},
    {"parent", OPTION_PARENT, "PID", 0, "Private mode: end when this process ends", 2},
    {0},
};

static uint32_t number(const struct argp_state *state, const char *option, const char *text,
                       uint64_t max)
{
    uint64_t value = 0;
    if (text_to_u64(text, max, &value) != 0 || value == 0)
        argp_error(state, "%s must be a number from 1 to %llu", option, (unsigned long long)max);
    return (uint32_t)value;
}

/* Options of enroll. */
static error_t parse_enroll(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_TOKEN:
        arguments->token = value;
        break;
    case OPTION_TOKEN_FILE:
        arguments->token_file = value;
        break;
    case OPTION_AGAIN:
        arguments->again = true;
        break;
    case OPTION_TIMEOUT:
        arguments->timeout_s = number(state, "--timeout", value, 3600);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static uint64_t byte_count(const struct argp_state *state, const char *text, const char *name)
{
    uint64_t value = 0;
    if (text_to_bytes(text, &value) != 0 || value == 0)
        argp_error(state, "%s must be a number of bytes above 0, as 500000, 500K, 20M or 1G", name);
    return value;
}

/* Peers are told of it as it stands: an address that they can reach. */
static const char *serve_endpoint(const struct argp_state *state, const char *text)
{
    static const char *const anywhere[] = {"tcp://*", "tcp://0.0.0.0:", "tcp://[::]:"};
    if (strncmp(text, "tcp://", 6) != 0 || strlen(text) >= LIMIT_ENDPOINT_SIZE)
        argp_error(state, "--serve must be tcp://ADDRESS:PORT");
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (strncmp(text, anywhere[i], strlen(anywhere[i])) == 0)
            argp_error(state, "--serve must name the address that other relays reach this one at");
    return text;
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
        arguments->session_max = number(state, "--sessions", value, SESSIONS_MAX);
        break;
    case OPTION_READ_BACK:
        arguments->read_back_s = number(state, "--read-back", value, READ_BACK_MAX_S);
        break;
    case OPTION_DISK_RESERVE:
        if (text_to_u64(value, 1ULL << 40, &arguments->disk_reserve) != 0)
            argp_error(state, "--disk-reserve must be a number of bytes");
        break;
    case OPTION_PARENT:
        arguments->parent = (pid_t)number(state, "--parent", value, INT_MAX);
        break;
    case OPTION_SERVE:
        arguments->serve = serve_endpoint(state, value);
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
        argp_error(state, "say enroll, status, run or init");
        break;
    default:
        return parse_enroll(key, value, state);
    }
    return 0;
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .args_doc = "enroll\nstatus\nrun\ninit",
    .doc = "Runs Pusher's stages against the machines near it, for a coordinator.\v"
           "enroll makes this a relay of a coordinator: needs --state, --coordinator, --name and a "
           "token.\n"
           "status shows what it is enrolled as.\n"
           "run works until SIGTERM. An enrolled one needs --state alone; in private mode --name, "
           "--coordinator, --packages, --coordinator-key and --operators as well.\n"
           "init makes the relay's keys in the state folder, for private mode; what is there is "
           "kept.\n\n"
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
    return err->code == ERR_TIMEOUT && err->native == EINTR ? EXIT_INTERRUPTED : EXIT_FAILURE;
}

static int run_init(struct arguments *arguments)
{
    struct err err;
    return relay_state_init(arguments->state, &err) == 0 ? EXIT_SUCCESS : fail(&err);
}

static int run_status(struct arguments *arguments)
{
    struct err err;
    return enroll_status(arguments->state, &err) == 0 ? EXIT_SUCCESS : fail(&err);
}

static int read_token(const struct arguments *arguments, struct token *token, struct err *err)
{
    if (arguments->token)
        return token_from_argument(arguments->token, token, err);
    if (arguments->token_file)
        return token_from_file(arguments->token_file, token, err);
    return token_from_terminal(token, err);
}

static int run_enroll(struct arguments *arguments)
{
    struct token token = {0};
    struct err err;
    const struct enroll_options enroll = {
        .state = arguments->state,
        .coordinator = arguments->coordinator,
        .packages = arguments->packages,
        .name = arguments->name,
        .again = arguments->again,
        .timeout_s = arguments->timeout_s ? arguments->timeout_s : ENROLL_TIMEOUT_S,
        .token = &token,
    };
    int failed = read_token(arguments, &token, &err);
    if (!failed)
        failed = enroll_run(&enroll, &err);
    token_release(&token);
    return failed ? fail(&err) : EXIT_SUCCESS;
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

static bool wants_private(const struct arguments *arguments)
{
    return arguments->name || arguments->coordinator || arguments->packages ||
           arguments->coordinator_key || arguments->operators;
}

/* What the options say, or the state folder. */
static int configure(const struct arguments *arguments, struct shell_config *config,
                     struct enrolment *enrolment, struct err *err)
{
    if (wants_private(arguments)) {
        config->name = arguments->name;
        config->coordinator = arguments->coordinator;
        config->packages = arguments->packages;
        config->operators = arguments->operators;
        return public_key_read(arguments->coordinator_key, config->coordinator_key, err) != 0 ||
                       folder_check(arguments->operators, err) != 0
                   ? -1
                   : 0;
    }
    if (enrolment_load(enrolment, config->state, err) != 0)
        return -1;
    config->enrolment = enrolment;
    config->name = enrolment->name;
    config->coordinator = enrolment->coordinator;
    config->packages = enrolment->packages;
    return 0;
}

static int run_relay(struct arguments *arguments)
{
    struct relay_state state = {0};
    struct enrolment enrolment = {0};
    struct err err;
    struct shell_config config = {
        .state = &state,
        .scope = &arguments->scope,
        .session_max = arguments->session_max,
        .read_back_s = arguments->read_back_s,
        .disk_reserve = arguments->disk_reserve,
        .serve = arguments->serve,
        .cache_max = arguments->cache_max,
        .lan_rate = arguments->lan_rate,
    };
    int lock_fd = -1;
    int failed = relay_state_load(&state, arguments->state, &err);
    if (!failed)
        failed = relay_state_lock(arguments->state, &lock_fd, &err);
    if (!failed)
        failed = configure(arguments, &config, &enrolment, &err);
    if (!failed) {
        raise_file_limit();
        failed = shell_run(&config, &err);
    }
    enrolment_release(&enrolment);
    relay_state_release(&state);
    relay_state_unlock(lock_fd);
    return failed ? fail(&err) : EXIT_SUCCESS;
}

static const char *run_flaw(const struct arguments *arguments)
{
    bool enrolled = enrolment_exists(arguments->state);
    if (enrolled && wants_private(arguments))
        return "the state folder is enrolled and says the rest itself: --name, --coordinator, "
               "--packages, --coordinator-key and --operators are for private mode";
    if (!enrolled && !wants_private(arguments))
        return "the state folder isn't enrolled: pusher-relay enroll first";
    if (enrolled)
        return NULL;
    if (arguments->serve)
        return "--serve is for enrolled relays: in private mode there is only one";
    if (!arguments->name || !arguments->coordinator || !arguments->packages ||
        !arguments->coordinator_key || !arguments->operators)
        return "in private mode run needs --name, --coordinator, --packages, --coordinator-key "
               "and --operators";
    if (arguments->name[0] == '\0' || strlen(arguments->name) >= LIMIT_SITE_NAME_SIZE)
        return "--name must have 1 to 63 bytes";
    return NULL;
}

static const char *enroll_flaw(const struct arguments *arguments)
{
    if (!arguments->coordinator || !arguments->name)
        return "enroll needs --coordinator and --name";
    if (arguments->token && arguments->token_file)
        return "--token or --token-file, not both";
    if (arguments->coordinator_key || arguments->operators)
        return "--coordinator-key and --operators are for private mode: the token says who is "
               "trusted";
    return NULL;
}

static const struct command {
    const char *name;
    int (*run)(struct arguments *arguments);
    const char *(*flaw)(const struct arguments *arguments); /* NULL: --state is all it needs */
} commands[] = {
    {"init", run_init, NULL},
    {"status", run_status, NULL},
    {"enroll", run_enroll, enroll_flaw},
    {"run", run_relay, run_flaw},
};

static const struct command *command_of(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int run_command(struct arguments *arguments)
{
    const struct command *command = command_of(arguments->command);
    struct err err;
    if (!command)
        return usage_error("unknown command: say enroll, status, run or init");
    if (!arguments->state)
        return usage_error("--state is missing");
    if (command->run != run_enroll && (arguments->token || arguments->token_file ||
                                       arguments->again || arguments->timeout_s != 0))
        return usage_error("--token, --token-file, --again and --timeout are for enroll");
    const char *flaw = command->flaw ? command->flaw(arguments) : NULL;
    if (flaw)
        return usage_error(flaw);
    if ((arguments->parent != 0 && process_follow(arguments->parent, &err) != 0) ||
        process_harden(&err) != 0)
        return fail(&err);
    auth_setup(); /* changes the environment: before any thread */
    return command->run(arguments);
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
