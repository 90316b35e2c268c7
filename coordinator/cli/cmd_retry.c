/* pusher retry: the next generation of a push that is over, for the targets that are named by what
 * became of them. Needs a configured coordinator: in private mode a new push does the same. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/trust/merkle.h"
#include "common/trust/secret.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/push_run.h"
#include "coordinator/cli/values.h"

#define END_MS 1000U
#define STATE_BIT(state) (1U << (unsigned)(state))

enum retry_key {
    RETRY_ONLY = 1,
    RETRY_USER,
    RETRY_PASSWORD_FILE,
    RETRY_AT,
    RETRY_UNTIL,
    RETRY_ZONE,
    RETRY_DEADLINE,
    RETRY_TIMEOUT,
    RETRY_MAX_FAIL,
    RETRY_DETACH,
    RETRY_YES,
    RETRY_NO_REPORT,
};

static const struct option_row rows[] = {
    {"only", 0, RETRY_ONLY, "WHICH",
     "Retry these: failed, unreachable, expired, cancelled, never_attempted, unknown_effect "
     "(repeatable), or one reason (NO_REPLY, ...). unknown_effect may run the package a second "
     "time on a target, and is asked about."},
    {"user", 'u', RETRY_USER, "USER",
     "The push account. Default: the accounts stored for the sites (pusher cred)."},
    {"password-file", 0, RETRY_PASSWORD_FILE, "FILE",
     "Its password is the first line of FILE, which only you may read (chmod 600). Without this "
     "you are asked."},
    {"at", 0, RETRY_AT, "TIME", "Start then, not at once (as for push)."},
    {"until", 0, RETRY_UNTIL, "TIME", "Never start later. Default: as for push."},
    {"tz", 0, RETRY_ZONE, "ZONE", "What --at and --until are in: utc (default), or target."},
    {"deadline", 0, RETRY_DEADLINE, "D",
     "Schedule nothing later than this from now; what is left then is EXPIRED."},
    {"timeout", 0, RETRY_TIMEOUT, "D", "Let this command end after this time, with status 9."},
    {"max-fail", 0, RETRY_MAX_FAIL, "N|N%",
     "Begin nothing new once more than N targets (or N % of those retried) have failed."},
    {"detach", 0, RETRY_DETACH, NULL, "End once the coordinator has taken it over."},
    {"yes", 'y', RETRY_YES, NULL, "Don't ask above 100 targets, nor about unknown_effect."},
    {"no-report", 0, RETRY_NO_REPORT, NULL, "Don't print the report at the end."},
};

static const struct option_table table = {rows, sizeof rows / sizeof *rows};

/* ---- words ---- */

/* States that an ended target may be taken out of again. */
static const enum target_state retried_states[] = {TARGET_FAILED,          TARGET_UNREACHABLE,
                                                   TARGET_EXPIRED,         TARGET_CANCELLED,
                                                   TARGET_NEVER_ATTEMPTED, TARGET_UNKNOWN_EFFECT};

static int set_only(struct push *push, const char *value, struct err *err)
{
    char shown[80];
    for (size_t i = 0; i < sizeof retried_states / sizeof *retried_states; i++) {
        if (strcmp(value, target_state_word(retried_states[i])) != 0)
            continue;
        if (push->retry_reason != REASON_NONE)
            return err_set(err, ERR_INVALID, "--only: states, or one reason, not both");
        push->retry_states |= STATE_BIT(retried_states[i]);
        return 0;
    }
    enum reason reason = reason_from_word(value);
    if (reason == REASON_COUNT || reason == REASON_NONE)
        return err_set(err, ERR_INVALID,
                       "--only '%s': failed, unreachable, expired, cancelled, never_attempted, "
                       "unknown_effect, or a reason (NO_REPLY, ...)",
                       text_printable(shown, sizeof shown, value));
    if (push->retry_states != 0)
        return err_set(err, ERR_INVALID, "--only: states, or one reason, not both");
    push->retry_reason = reason;
    push->retry_states = STATE_BIT(reason_state(reason));
    return 0;
}

static int set_push(struct push_options *options, const char *value, struct err *err)
{
    char shown[80];
    if (options->push_prefix[0] != '\0')
        return err_set(err, ERR_INVALID, "'%s': one push at a time",
                       text_printable(shown, sizeof shown, value));
    if (push_word_check(value, err) != 0)
        return -1;
    (void)text_copy(options->push_prefix, sizeof options->push_prefix, value);
    return 0;
}

static int named(const char *option, int result, struct err *err)
{
    return result == 0 ? 0 : err_wrap(err, "%s", option);
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct push *push = context;
    struct push_options *options = &push->options;
    int common = common_option(&options->common, key, value, err);
    if (common <= 0)
        return common;
    if (operator_option(&options->operator, key, value) == 0)
        return 0;
    switch (key) {
    case OPTION_POSITIONAL:
        return set_push(options, value, err);
    case RETRY_ONLY:
        return set_only(push, value, err);
    case RETRY_USER:
        options->user = value;
        return 0;
    case RETRY_PASSWORD_FILE:
        options->password_file = value;
        return 0;
    case RETRY_AT:
        options->at = value;
        return 0;
    case RETRY_UNTIL:
        options->until = value;
        return 0;
    case RETRY_ZONE:
        return time_zone_parse(value, &options->zone, err);
    case RETRY_DEADLINE:
        return named("--deadline", duration_parse(value, &options->deadline_s, err), err);
    case RETRY_TIMEOUT:
        return named("--timeout", duration_parse(value, &options->timeout_s, err), err);
    case RETRY_MAX_FAIL:
        return named("--max-fail", fail_limit_parse(value, &options->max_fail, err), err);
    case RETRY_DETACH:
        options->detach = true;
        return 0;
    case RETRY_YES:
        options->yes = true;
        return 0;
    case RETRY_NO_REPORT:
        options->no_report = true;
        return 0;
    default:
        return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
    }
}

static void print_help(void)
{
    (void)fputs("Usage: pusher retry PUSH --only WHICH [OPTIONS]\n\n"
                "Tries targets of a push that is over once more, as the next generation of the "
                "same push: their\nrows are replaced, all others stay. It is signed anew and "
                "covers exactly those targets. Needs a\ncoordinator.\n\n",
                stdout);
    options_help(stdout, &table);
    options_help(stdout, &operator_table);
    (void)fputc('\n', stdout);
    options_help(stdout, &common_table);
    (void)fputs("\nExit statuses: pusher help exit.\n", stdout);
}

static int parse(struct push *push, int argc, char *const *argv, struct err *err)
{
    const struct option_table tables[] = {table, operator_table, common_table};
    struct push_options *options = &push->options;
    int rest = argc;
    options->common.format = "table";
    if (options_parse(tables, 3, argc, argv, handle, push, &rest, err) != 0)
        return -1;
    if (options->common.help || options->common.version)
        return 0;
    if (rest < argc)
        return err_set(err, ERR_INVALID, "nothing may follow --");
    if (options->push_prefix[0] == '\0')
        return err_set(err, ERR_INVALID, "no push: pusher retry PUSH --only failed");
    if (push->retry_states == 0)
        return err_set(err, ERR_INVALID,
                       "--only is needed: failed, unreachable, ... or a reason: which targets?");
    if (session_is_private(&options->common))
        return err_set(err, ERR_INVALID,
                       "retry needs a coordinator (--coordinator, PUSHER_COORDINATOR); without "
                       "one, push again to those targets");
    return push_account_check(options, err) != 0
               ? -1
               : push_times_check(options, (int64_t)time(NULL), err);
}

/* ---- which targets ---- */

struct selection {
    struct push *push;
    struct merkle_roots pool;  /* every name */
    struct merkle_roots again; /* those retried; the others are empty leaves (docs/adr/0011) */
    uint32_t row_count;
};

static bool chosen(const struct push *push, const struct outcome *outcome)
{
    return (push->retry_states & STATE_BIT(outcome->state)) != 0 &&
           (push->retry_reason == REASON_NONE || push->retry_reason == outcome->reason);
}

static int take_row(void *context, const struct report_row *row, struct err *err)
{
    struct selection *selection = context;
    struct push *push = selection->push;
    bool again = chosen(push, &row->outcome);
    if (row->target_no != selection->row_count++)
        return err_set(err, ERR_PROTOCOL, "target %u has no row", selection->row_count - 1);
    if (again) {
        push->retry_count++;
        site_shares_count(&push->shares, row->site);
    }
    return merkle_roots_add(&selection->pool, row->target, err) == 0
               ? merkle_roots_add(&selection->again, again ? row->target : "", err)
               : -1;
}

/* The names come from the coordinator; what the first operator signed tells whether they are right.
 */
static int check_pool(const struct selection *selection, const struct job *job, struct err *err)
{
    uint8_t root[LIMIT_DIGEST_BYTES];
    merkle_roots_get(&selection->pool, root);
    if (selection->row_count != job->target_count ||
        memcmp(root, authority_pool_root(job), sizeof root) != 0)
        return err_set(err, ERR_DENIED,
                       "the coordinator names other targets than were signed for: nothing is "
                       "signed");
    return 0;
}

/* push->job becomes the next generation's. */
static int next_generation(struct session *session, struct push *push, const struct push_id *id,
                           struct err *err)
{
    struct report_filter all = {.stage = STAGE_COUNT};
    struct selection selection = {.push = push};
    struct push_summary end;
    struct job *job = &push->job;
    merkle_roots_init(&selection.pool);
    merkle_roots_init(&selection.again);
    push_id_text(id, all.push.prefix);
    if (authority_open(&push->authority, session, err) != 0 ||
        authority_job(&push->authority, session, id, job, err) != 0 ||
        site_shares_find(&push->shares, session, NULL, NULL, 0, err) != 0 ||
        control_report(session->control, &all, take_row, &selection, &end, ANSWER_MS, err) != 0 ||
        check_pool(&selection, job, err) != 0)
        return -1;
    site_shares_settle(&push->shares);
    if (job->generation == 1)
        memcpy(job->pool_root, job->targets_root, sizeof job->pool_root);
    merkle_roots_get(&selection.again, job->targets_root);
    job->generation++;
    return 0;
}

static int find_push(struct session *session, const struct push *push, struct push_summary *of,
                     struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    char id[PUSH_ID_SHORT_SIZE];
    (void)text_copy(request.status_get.prefix, sizeof request.status_get.prefix,
                    push->options.push_prefix);
    if (session_call(session, &request, MESSAGE_STATUS, &answer, err) != 0)
        return -1;
    *of = answer.status.push;
    message_release(&answer);
    push_id_short(&of->push, id);
    if (of->state == PUSH_STOPPED)
        return err_set(err, ERR_INVALID, "push %s is paused, not over: pusher resume %s goes on",
                       id, id);
    if (of->state != PUSH_CLOSED)
        return err_set(err, ERR_INVALID,
                       "push %s is not over: let it end first, or pusher cancel %s", id, id);
    return 0;
}

/* ---- questions ---- */

/* A package may have been started where nobody knows: only who says so knowingly runs it again. */
static int confirm_unknown(const struct push *push)
{
    char line[16];
    struct err err = {0};
    if ((push->retry_states & STATE_BIT(TARGET_UNKNOWN_EFFECT)) == 0 || push->options.yes)
        return PUSH_GO_ON;
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        complain("targets of unknown effect may run the package a second time: say -y if they may");
        return EXIT_USAGE;
    }
    (void)fprintf(stderr, "pusher: targets of unknown effect may run the package a second time. "
                          "Type yes to go on: ");
    if (line_ask(line, sizeof line, &err) != 0)
        return complain_err(&err);
    if (strcmp(line, "yes") == 0)
        return PUSH_GO_ON;
    complain("not confirmed, nothing was started");
    return EXIT_USAGE;
}

static int ask(struct push *push)
{
    int answer = push_refuse_unasked(push);
    if (answer == PUSH_GO_ON)
        answer = confirm_unknown(push);
    if (answer == PUSH_GO_ON)
        answer = push_confirm(push);
    return answer == PUSH_GO_ON ? push_ask_password(push) : answer;
}

static int run(struct session *session, struct push *push)
{
    struct push_summary of = {0};
    struct err err = {0};
    char id[PUSH_ID_SHORT_SIZE];
    if (find_push(session, push, &of, &err) != 0 ||
        next_generation(session, push, &of.push, &err) != 0)
        return session_failed(session, &err);
    push_id_short(&of.push, id);
    if (push->retry_count == 0) {
        complain("push %s has no such target: nothing to retry", id);
        return EXIT_NO_TARGETS;
    }
    say(&push->options.common, "retry of push %s (%s) on %u of its %u targets", id, of.package_name,
        push->retry_count, push->job.target_count);
    int answer = ask(push);
    return answer == PUSH_GO_ON ? push_run_in(session, push) : answer;
}

static int open_and_run(struct push *push)
{
    struct session session;
    struct err err = {0};
    if (process_harden(&err) != 0 || push_read_password(push, &err) != 0)
        return complain_err(&err);
    if (session_open_coordinator(&session, &push->options.common, &err) != 0)
        return session_failed(&session, &err);
    int status = run(&session, push);
    session_close(&session, END_MS);
    return status;
}

int command_retry(int argc, char *const *argv)
{
    static struct push push; /* an options struct of some 25 KB: not on the stack */
    struct err err = {0};
    memset(&push, 0, sizeof push);
    push.retry = true;
    int status = EXIT_ALL_SUCCEEDED;
    if (parse(&push, argc, argv, &err) != 0) {
        complain("%s", err.text);
        status = EXIT_USAGE;
    } else if (push.options.common.help) {
        print_help();
    } else if (push.options.common.version) {
        print_version();
    } else {
        status = open_and_run(&push);
    }
    push_release(&push);
    return status;
}
