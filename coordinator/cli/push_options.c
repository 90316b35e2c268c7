/* Reading push's options. */
#include "coordinator/cli/push_options.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/values.h"

#define PREFIX_MIN 4U /* digits of a push's id */

enum push_key {
    PUSH_TARGETS = 1,
    PUSH_EXCLUDE,
    PUSH_USER,
    PUSH_PASSWORD_FILE,
    PUSH_PING,
    PUSH_RUN_AS,
    PUSH_COMMAND,
    PUSH_AT,
    PUSH_UNTIL,
    PUSH_ZONE,
    PUSH_WAIT,
    PUSH_SUCCESS_CODES,
    PUSH_CLEANUP,
    PUSH_RUN_TIMEOUT,
    PUSH_MAX_FAIL,
    PUSH_DEADLINE,
    PUSH_TIMEOUT,
    PUSH_VERIFY,
    PUSH_REPLACE_PATH,
    PUSH_DRY_RUN,
    PUSH_RESUME,
    PUSH_ID,
    PUSH_YES,
    PUSH_NO_REPORT,
    PUSH_DETACH,
    PUSH_SITE,
};

static const struct option_row rows[] = {
    {"targets", 't', PUSH_TARGETS, "TARGETS",
     "Host, address, CIDR (10.1.0.0/16: without network and broadcast address), range "
     "(10.1.2.10-10.1.2.50), @FILE (an item a line, # comments, a CSV's first column) or - "
     "(standard input). Repeatable; duplicates count once."},
    {"exclude", 0, PUSH_EXCLUDE, "TARGETS",
     "Leave these out: names without regard to case, addresses also inside CIDRs and ranges. "
     "Repeatable."},
    {"site", 0, PUSH_SITE, "SITE",
     "Every target is this site's. Default: by address, longest prefix first, then by name pattern "
     "(pusher site which TARGET tells). Needs a coordinator."},
    {"user", 'u', PUSH_USER, "USER",
     "The push account, an administrator of the targets: DOMAIN\\user, user@realm, .\\user. With a "
     "coordinator it may be left out: then it is the account stored for each site (pusher cred)."},
    {"password-file", 0, PUSH_PASSWORD_FILE, "FILE",
     "Its password is the first line of FILE, which only you may read (chmod 600). Without this "
     "you are asked."},
    {"ping", 0, PUSH_PING, "MODE",
     "require (default): the target must answer ICMP echo; prefer: echo or TCP 445; skip."},
    {"run-as", 0, PUSH_RUN_AS, "ACCOUNT",
     "Account the package runs as: system (default), local-service, network-service, or user: "
     "whoever is logged on, so where nobody is it does not start."},
    {"command", 0, PUSH_COMMAND, "C",
     "What the task runs instead of C:\\SPDISTRO\\PKG (msiexec, wusa, cmd or powershell for "
     "packages of their kind)."},
    {"at", 0, PUSH_AT, "TIME",
     "Start then, not at once: 2026-01-31T18:00:00Z; with --tz target 2026-01-31T18:00:00."},
    {"until", 0, PUSH_UNTIL, "TIME",
     "Never start later: a missed start is made up before it. Default: an hour after --at, else in "
     "24 hours."},
    {"tz", 0, PUSH_ZONE, "ZONE",
     "What --at and --until are in: utc (default), or target: each target's own clock."},
    {"run-timeout", 0, PUSH_RUN_TIMEOUT, "D",
     "End the package after this time (90s, 10m, 2h). Default: 2h."},
    {"wait", 0, PUSH_WAIT, NULL,
     "Wait until the package has ended on every target: its exit code decides what is a success, "
     "and pusher why shows the last 64 KiB that it printed."},
    {"success-codes", 0, PUSH_SUCCESS_CODES, "LIST",
     "With --wait: exit codes that are a success, decimal, 0x... or negative, with commas between. "
     "Default: 0,1641,3010."},
    {"cleanup", 0, PUSH_CLEANUP, NULL,
     "With --wait: remove the package from the target when it has ended there (not a "
     "folder)."},
    {"max-fail", 0, PUSH_MAX_FAIL, "N|N%",
     "Begin nothing new once more than N targets (or N % of all) have failed; what runs then goes "
     "on to its end. 0: stop at the first. Unreachable targets don't count. With this, as many "
     "targets at a time as may still fail, at least 16."},
    {"deadline", 0, PUSH_DEADLINE, "D",
     "Schedule nothing later than this from now; what is left then is EXPIRED."},
    {"timeout", 0, PUSH_TIMEOUT, "D",
     "Let this command end after this time, with status 9; --resume goes on. With a coordinator "
     "the "
     "push goes on anyway."},
    {"verify", 0, PUSH_VERIFY, NULL, "Read the copied file back and compare."},
    {"replace-path", 0, PUSH_REPLACE_PATH, NULL,
     "Rename an unsafe C:\\SPDISTRO aside and make a new one."},
    {"dry-run", 0, PUSH_DRY_RUN, NULL, "Print the targets and what would be done; touch nothing."},
    {"resume", 0, PUSH_RESUME, "PUSH", "Go on with a push that was stopped; signs it again."},
    {"push-id", 0, PUSH_ID, "ID",
     "The push's id, 32 hexadecimal digits: repeating a push with its id is the same push."},
    {"yes", 'y', PUSH_YES, NULL, "Don't ask above 100 targets."},
    {"no-report", 0, PUSH_NO_REPORT, NULL, "Don't print the report at the end."},
    {"detach", 0, PUSH_DETACH, NULL,
     "End once the coordinator has taken the push over, and print its id. Needs a coordinator."},
    {"plan", 0, OPTION_LATER, NULL, NULL},
};

static const struct option_table table = {rows, sizeof rows / sizeof *rows};

static void list_add(const char ***list, size_t *count, const char *word)
{
    if ((*count & (*count - 1)) == 0) /* full at every power of two */
        *list = mem_resize(*list, *count == 0 ? 1 : 2 * *count, sizeof **list);
    (*list)[(*count)++] = word;
}

int push_word_check(const char *word, struct err *err)
{
    char shown[80];
    size_t length = strlen(word);
    if (length >= PREFIX_MIN && length <= 32 &&
        word[strspn(word, "0123456789abcdefABCDEF")] == '\0')
        return 0;
    return err_set(err, ERR_INVALID, "'%s' is no push: its id or at least the first %u digits",
                   text_printable(shown, sizeof shown, word), PREFIX_MIN);
}

static int set_prefix(struct push_options *options, const char *value, struct err *err)
{
    if (push_word_check(value, err) != 0)
        return err_wrap(err, "--resume");
    options->resume = true;
    (void)text_copy(options->push_prefix, sizeof options->push_prefix, value);
    return 0;
}

static int set_id(struct push_options *options, const char *value, struct err *err)
{
    char shown[80];
    if (push_id_from_text(value, &options->push_id) != 0)
        return err_set(err, ERR_INVALID, "--push-id '%s': 32 hexadecimal digits",
                       text_printable(shown, sizeof shown, value));
    options->has_id = true;
    return 0;
}

/* Says whose value was wrong. */
static int named(const char *option, int result, struct err *err)
{
    return result == 0 ? 0 : err_wrap(err, "%s", option);
}

/* Options that are more than a word or a flag. */
static int set_value(struct push_options *options, enum push_key key, const char *value,
                     struct err *err)
{
    switch (key) {
    case PUSH_PING:
        return ping_mode_parse(value, &options->ping, err);
    case PUSH_RUN_AS:
        return run_as_parse(value, &options->run_as, err);
    case PUSH_ZONE:
        return time_zone_parse(value, &options->zone, err);
    case PUSH_SUCCESS_CODES:
        return success_codes_parse(value, options->success_codes, &options->success_code_count,
                                   err);
    case PUSH_RUN_TIMEOUT:
        return named("--run-timeout", duration_parse(value, &options->run_timeout_s, err), err);
    case PUSH_MAX_FAIL:
        return named("--max-fail", fail_limit_parse(value, &options->max_fail, err), err);
    case PUSH_DEADLINE:
        return named("--deadline", duration_parse(value, &options->deadline_s, err), err);
    case PUSH_TIMEOUT:
        return named("--timeout", duration_parse(value, &options->timeout_s, err), err);
    case PUSH_RESUME:
        return set_prefix(options, value, err);
    case PUSH_ID:
        return set_id(options, value, err);
    case PUSH_TARGETS:
        list_add(&options->targets, &options->target_count, value);
        return 0;
    case PUSH_EXCLUDE:
        list_add(&options->excludes, &options->exclude_count, value);
        return 0;
    case PUSH_USER:
    case PUSH_PASSWORD_FILE:
    case PUSH_COMMAND:
    case PUSH_AT:
    case PUSH_UNTIL:
    case PUSH_WAIT:
    case PUSH_CLEANUP:
    case PUSH_VERIFY:
    case PUSH_REPLACE_PATH:
    case PUSH_DRY_RUN:
    case PUSH_YES:
    case PUSH_NO_REPORT:
    case PUSH_DETACH:
    case PUSH_SITE:
        break;
    }
    return err_set(err, ERR_INTERNAL, "option %d is not handled", (int)key);
}

/* What was signed stays when a push goes on: these options would be heard and not obeyed. */
static const char *unresumable(int key)
{
    static const int keys[] = {PUSH_PING, PUSH_RUN_AS,        PUSH_COMMAND, PUSH_RUN_TIMEOUT,
                               PUSH_WAIT, PUSH_SUCCESS_CODES, PUSH_CLEANUP};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i] == key)
            for (size_t row = 0; row < table.count; row++)
                if (table.rows[row].key == key)
                    return table.rows[row].name;
    return NULL;
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct push_options *options = context;
    char shown[80];
    int common = common_option(&options->common, key, value, err);
    if (common <= 0)
        return common;
    if (operator_option(&options->operator, key, value) == 0)
        return 0;
    if (unresumable(key) != NULL)
        options->unresumable = unresumable(key);
    switch (key) {
    case OPTION_POSITIONAL:
        if (options->package != NULL)
            return err_set(err, ERR_INVALID,
                           "'%s': one package at a time (targets go after -t, its own arguments "
                           "after --)",
                           text_printable(shown, sizeof shown, value));
        options->package = value;
        return 0;
    case PUSH_SITE:
        options->site = value;
        return 0;
    case PUSH_DETACH:
        options->detach = true;
        return 0;
    case PUSH_USER:
        options->user = value;
        return 0;
    case PUSH_PASSWORD_FILE:
        options->password_file = value;
        return 0;
    case PUSH_COMMAND:
        options->command = value;
        return 0;
    case PUSH_AT:
        options->at = value;
        return 0;
    case PUSH_UNTIL:
        options->until = value;
        return 0;
    case PUSH_WAIT:
        options->wait = true;
        return 0;
    case PUSH_CLEANUP:
        options->cleanup = true;
        return 0;
    case PUSH_VERIFY:
        options->verify = true;
        return 0;
    case PUSH_REPLACE_PATH:
        options->replace_path = true;
        return 0;
    case PUSH_DRY_RUN:
        options->dry_run = true;
        return 0;
    case PUSH_YES:
        options->yes = true;
        return 0;
    case PUSH_NO_REPORT:
        options->no_report = true;
        return 0;
    default:
        return set_value(options, (enum push_key)key, value, err);
    }
}

/* A clock somewhere shows a time up to 14 hours before UTC does, and up to 12 hours after. */
static int64_t last_moment(int64_t unix_s, enum time_zone zone)
{
    return zone == TIME_ZONE_UTC ? unix_s : unix_s + ZONE_BEHIND_MAX_S;
}

int push_times_check(struct push_options *options, int64_t now_unix_s, struct err *err)
{
    enum time_zone zone = options->zone;
    if (options->at != NULL &&
        named("--at", time_parse(options->at, zone, &options->at_unix_s, err), err) != 0)
        return -1;
    if (options->until != NULL &&
        named("--until", time_parse(options->until, zone, &options->until_unix_s, err), err) != 0)
        return -1;
    /* Without a start the relay takes the target's clock, which is in UTC. */
    if (zone == TIME_ZONE_TARGET && options->at == NULL)
        return err_set(err, ERR_INVALID,
                       "--tz target needs --at: what starts at once has no use for a zone");
    if (options->at != NULL && last_moment(options->at_unix_s, zone) < now_unix_s)
        return err_set(err, ERR_INVALID, "--at is in the past%s",
                       zone == TIME_ZONE_TARGET ? " in every zone" : "");
    if (options->until != NULL && last_moment(options->until_unix_s, zone) <= now_unix_s)
        return err_set(err, ERR_INVALID, "--until is in the past%s",
                       zone == TIME_ZONE_TARGET ? " in every zone" : "");
    if (options->until != NULL && options->until_unix_s <= options->at_unix_s)
        return err_set(err, ERR_INVALID, "--until must be after --at");
    return 0;
}

static int check_wait(struct push_options *options, struct err *err)
{
    static const uint32_t usual[] = {0, 1641, 3010};
    if (!options->wait && options->success_code_count > 0)
        return err_set(err, ERR_INVALID,
                       "--success-codes needs --wait: without it nobody learns the exit code");
    if (!options->wait && options->cleanup)
        return err_set(err, ERR_INVALID,
                       "--cleanup needs --wait: without it nobody learns when the package has "
                       "ended (later: pusher cleanup PUSH)");
    if (options->wait && options->success_code_count == 0) {
        memcpy(options->success_codes, usual, sizeof usual);
        options->success_code_count = sizeof usual / sizeof *usual;
    }
    return 0;
}

int push_account_check(const struct push_options *options, struct err *err)
{
    bool alone = *common_coordinator(&options->common) == '\0';
    if (options->user == NULL && options->password_file != NULL)
        return err_set(err, ERR_INVALID, "--password-file needs --user: whose password is it?");
    if (options->user == NULL && alone)
        return err_set(err, ERR_INVALID, "--user is needed: the account that may write to C$");
    if (options->user == NULL)
        return 0; /* the sites' stored accounts */
    size_t length = strlen(options->user);
    if (length == 0 || length >= LIMIT_ACCOUNT_SIZE)
        return err_set(err, ERR_INVALID, "--user has 1 to %d characters", LIMIT_ACCOUNT_SIZE - 1);
    for (const char *c = options->user; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return err_set(err, ERR_INVALID, "--user holds a control character");
    return 0;
}

int push_coordinator_check(const struct push_options *options, struct err *err)
{
    char shown[80];
    bool alone = *common_coordinator(&options->common) == '\0';
    if (options->detach && alone)
        return err_set(
            err, ERR_INVALID,
            "--detach: without a configured coordinator nobody would go on with the push");
    if (options->site != NULL && alone)
        return err_set(err, ERR_INVALID,
                       "--site: without a configured coordinator there are no sites");
    if (options->site != NULL && options->resume)
        return err_set(err, ERR_INVALID, "--resume goes on as the push began: no --site");
    if (options->site != NULL &&
        (*options->site == '\0' || strlen(options->site) >= LIMIT_SITE_NAME_SIZE))
        return err_set(err, ERR_INVALID, "--site '%s': a site's name has 1 to %d characters",
                       text_printable(shown, sizeof shown, options->site),
                       LIMIT_SITE_NAME_SIZE - 1);
    return 0;
}

/* Standard input can be read once. */
static int check_standard_input(const struct push_options *options, struct err *err)
{
    unsigned uses = 0;
    for (size_t i = 0; i < options->target_count; i++)
        uses += strcmp(options->targets[i], "-") == 0;
    for (size_t i = 0; i < options->exclude_count; i++)
        uses += strcmp(options->excludes[i], "-") == 0;
    return uses <= 1 ? 0 : err_set(err, ERR_INVALID, "- (standard input) can be given only once");
}

static int check(struct push_options *options, int64_t now_unix_s, struct err *err)
{
    if (options->package == NULL && !options->resume)
        return err_set(err, ERR_INVALID, "no package: pusher push PKG -t TARGETS --user USER");
    if (options->resume && (options->target_count > 0 || options->exclude_count > 0))
        return err_set(err, ERR_INVALID, "--resume goes on with the targets of that push: no -t");
    if (options->resume && options->has_id)
        return err_set(err, ERR_INVALID, "--resume and --push-id exclude each other");
    if (options->resume && options->dry_run)
        return err_set(err, ERR_INVALID, "--resume and --dry-run exclude each other");
    if (options->resume && (options->unresumable != NULL || options->has_arguments))
        return err_set(err, ERR_INVALID, "--resume goes on as the push began: no %s%s",
                       options->unresumable == NULL ? "" : "--",
                       options->unresumable == NULL ? "arguments" : options->unresumable);
    if (!options->resume && options->target_count == 0)
        return err_set(err, ERR_INVALID, "no targets: -t HOST, -t 10.1.0.0/16, -t @FILE ...");
    if (push_account_check(options, err) != 0 || push_coordinator_check(options, err) != 0 ||
        check_standard_input(options, err) != 0 || check_wait(options, err) != 0)
        return -1;
    return push_times_check(options, now_unix_s, err);
}

int push_options_parse(struct push_options *options, int argc, char *const *argv,
                       int64_t now_unix_s, struct err *err)
{
    const struct option_table tables[] = {table, operator_table, common_table};
    int rest = argc;
    memset(options, 0, sizeof *options);
    options->common.format = "table";
    options->run_timeout_s = RUN_TIMEOUT_DEFAULT_S;
    if (options_parse(tables, 3, argc, argv, handle, options, &rest, err) != 0)
        return -1;
    if (options->common.help || options->common.version)
        return 0;
    options->has_arguments = rest < argc;
    if (arguments_join(argv + rest, (size_t)(argc - rest), options->arguments, err) != 0)
        return -1;
    return check(options, now_unix_s, err);
}

void push_options_release(struct push_options *options)
{
    free(options->targets);
    free(options->excludes);
    options->targets = NULL;
    options->excludes = NULL;
}

void push_options_help(FILE *out)
{
    (void)fputs("Usage: pusher push [OPTIONS] PKG -t TARGETS [--user USER] [-- ARGUMENTS]\n"
                "       pusher push --resume PUSH [--user USER]\n\n"
                "Copies the package file PKG to C:\\SPDISTRO on every target and has the target's "
                "own Task\nScheduler run it, with ARGUMENTS: one word is passed as it is, several "
                "are quoted as Windows\nprograms expect. Each target passes six stages: resolve, "
                "ping, access, path, copy, schedule.\nThat is a success, unless --wait asks for "
                "the package's exit code as well.\nPKG may be a folder: all of it is "
                "copied, and --command says what runs.\nWith a coordinator PKG may also be the "
                "name or digest of a package that lies there."
                "\nAt the end the report goes to standard output; "
                "every target has exactly one row in it.\n\n",
                out);
    options_help(out, &table);
    options_help(out, &operator_table);
    (void)fputc('\n', out);
    options_help(out, &common_table);
    (void)fputs(
        "\nCtrl-C begins nothing new, gives stages that run up to 10 s to end, puts what is left\n"
        "back into the queue and says how to go on; again: ends at once. With a coordinator the "
        "push\ngoes on: pusher status looks, pusher pause and cancel stop it. Exit statuses: "
        "pusher "
        "help exit.\n",
        out);
}
