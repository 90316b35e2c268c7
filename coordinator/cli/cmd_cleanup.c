/* pusher cleanup: a signed push of its own that removes what an earlier one left. */
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/trust/merkle.h"
#include "common/trust/secret.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/push_run.h"
#include "coordinator/cli/session.h"
#include "coordinator/cli/signing.h"
#include "coordinator/cli/values.h"

#define END_MS 5000U

enum cleanup_key {
    CLEANUP_USER = 1,
    CLEANUP_PASSWORD_FILE,
    CLEANUP_PING,
    CLEANUP_DEADLINE,
    CLEANUP_TIMEOUT,
    CLEANUP_VERIFY,
    CLEANUP_YES,
    CLEANUP_NO_REPORT,
    CLEANUP_DETACH,
};

static const struct option_row rows[] = {
    {"user", 'u', CLEANUP_USER, "USER",
     "The push account, an administrator of the targets: DOMAIN\\user, user@realm, .\\user. With a "
     "coordinator it may be left out: then it is the account stored for each site (pusher cred)."},
    {"password-file", 0, CLEANUP_PASSWORD_FILE, "FILE",
     "Its password is the first line of FILE, which only you may read (chmod 600). Without this "
     "you are asked."},
    {"ping", 0, CLEANUP_PING, "MODE",
     "require (default): the target must answer ICMP echo; prefer: echo or TCP 445; skip."},
    {"verify", 0, CLEANUP_VERIFY, NULL,
     "Read the package back and remove it only if its digest is that push's, too: without this "
     "its size decides."},
    {"deadline", 0, CLEANUP_DEADLINE, "D",
     "Give up later than this from now; what is left then is EXPIRED."},
    {"timeout", 0, CLEANUP_TIMEOUT, "D",
     "Let this command end after this time, with status 9; pusher push --resume goes on."},
    {"yes", 'y', CLEANUP_YES, NULL, "Don't ask above 100 targets."},
    {"detach", 0, CLEANUP_DETACH, NULL,
     "End once the coordinator has taken it over, and print its id. Needs a coordinator."},
    {"no-report", 0, CLEANUP_NO_REPORT, NULL, "Don't print the report at the end."},
};

static const struct option_table table = {rows, sizeof rows / sizeof *rows};

static int set_prefix(struct push_options *options, const char *value, struct err *err)
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

static int duration(const char *option, const char *value, uint32_t *seconds, struct err *err)
{
    return duration_parse(value, seconds, err) == 0 ? 0 : err_wrap(err, "%s", option);
}

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct push_options *options = context;
    int common = common_option(&options->common, key, value, err);
    if (common <= 0)
        return common;
    if (operator_option(&options->operator, key, value) == 0)
        return 0;
    switch (key) {
    case OPTION_POSITIONAL:
        return set_prefix(options, value, err);
    case CLEANUP_USER:
        options->user = value;
        return 0;
    case CLEANUP_PASSWORD_FILE:
        options->password_file = value;
        return 0;
    case CLEANUP_PING:
        return ping_mode_parse(value, &options->ping, err);
    case CLEANUP_DEADLINE:
        return duration("--deadline", value, &options->deadline_s, err);
    case CLEANUP_TIMEOUT:
        return duration("--timeout", value, &options->timeout_s, err);
    case CLEANUP_VERIFY:
        options->verify = true;
        return 0;
    case CLEANUP_YES:
        options->yes = true;
        return 0;
    case CLEANUP_DETACH:
        options->detach = true;
        return 0;
    case CLEANUP_NO_REPORT:
        options->no_report = true;
        return 0;
    default:
        return err_set(err, ERR_INTERNAL, "option %d is not handled", key);
    }
}

static void print_help(void)
{
    (void)fputs(
        "Usage: pusher cleanup [OPTIONS] PUSH [--user USER]\n\n"
        "Removes what a push that is over left on the targets it may have touched: the package in\n"
        "C:\\SPDISTRO (unless another file took its place, it is in use or a folder) and the files "
        "of "
        "--wait.\n"
        "The task is disabled and stays as a mark until Windows deletes it, so that nothing can\n"
        "start twice. The report says for every target what was removed and what stays.\n\n",
        stdout);
    options_help(stdout, &table);
    options_help(stdout, &operator_table);
    (void)fputc('\n', stdout);
    options_help(stdout, &common_table);
    (void)fputs("\nExit statuses: pusher help exit.\n", stdout);
}

static int parse(struct push_options *options, int argc, char *const *argv, struct err *err)
{
    const struct option_table tables[] = {table, operator_table, common_table};
    int rest = argc;
    options->common.format = "table";
    if (options_parse(tables, 3, argc, argv, handle, options, &rest, err) != 0)
        return -1;
    if (options->common.help || options->common.version)
        return 0;
    if (rest < argc)
        return err_set(err, ERR_INVALID, "nothing may follow --");
    if (options->push_prefix[0] == '\0')
        return err_set(err, ERR_INVALID, "no push: pusher cleanup PUSH --user USER");
    return push_account_check(options, err) == 0 ? push_coordinator_check(options, err) : -1;
}

/* ---- what there is to clean up ---- */

/* The push that the word names; it must be over. */
static int find_push(struct session *session, const struct push_options *options,
                     struct push_summary *of, struct err *err)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    char id[PUSH_ID_SHORT_SIZE];
    (void)text_copy(request.status_get.prefix, sizeof request.status_get.prefix,
                    options->push_prefix);
    if (session_call(session, &request, MESSAGE_STATUS, &answer, err) != 0)
        return -1;
    *of = answer.status.push;
    message_release(&answer);
    push_id_short(&of->push, id);
    if (of->action == JOB_CLEANUP)
        return err_set(err, ERR_INVALID, "push %s is a cleanup itself: it left nothing", id);
    if (of->state == PUSH_STOPPED)
        return err_set(err, ERR_INVALID,
                       "push %s is stopped, not over: go on with pusher push --resume %s, or "
                       "pusher cancel %s",
                       id, id, id);
    if (of->state != PUSH_CLOSED)
        return err_set(err, ERR_INVALID,
                       "push %s is not over: let it end first, or pusher cancel %s", id, id);
    return 0;
}

/* Whatever is open may still need a file of this name. */
static int find_rival(struct session *session, const struct push_summary *of, struct err *err)
{
    struct message request = {.kind = MESSAGE_LIST_GET};
    struct message answer;
    char id[PUSH_ID_SHORT_SIZE];
    int result = 0;
    if (session_call(session, &request, MESSAGE_LIST, &answer, err) != 0)
        return -1;
    for (uint32_t i = 0; i < answer.list.push_count && result == 0; i++) {
        const struct push_summary *other = &answer.list.pushes[i];
        push_id_short(&other->push, id);
        if (other->state != PUSH_CLOSED && text_equal_nocase(other->package_name, of->package_name))
            result = err_set(err, ERR_INVALID,
                             "push %s is not over and has to do with %s, too: let it end first", id,
                             of->package_name);
    }
    message_release(&answer);
    return result;
}

/* Whether anything of the push may be on the machine. */
static bool touched(const struct outcome *outcome)
{
    return outcome->state == TARGET_SCHEDULED || outcome->state == TARGET_SUCCEEDED ||
           outcome->state == TARGET_UNKNOWN_EFFECT ||
           (outcome->stage != STAGE_COUNT && outcome->stage >= STAGE_PATH);
}

/* What is looked at while rows come. */
struct search {
    struct push *push;
    struct merkle_roots pool; /* every name */
    uint32_t row_count;
};

static int take_row(void *context, const struct report_row *row, struct err *err)
{
    struct search *search = context;
    search->row_count++;
    if (merkle_roots_add(&search->pool, row->target, err) != 0)
        return -1;
    return touched(&row->outcome) ? targets_include(search->push->targets, row->target, err) : 0;
}

/* A configured coordinator says what is cleaned up where; only what an operator signed for is. */
static int check_signed(struct session *session, const struct search *search,
                        const struct push_summary *of, struct err *err)
{
    struct authority *authority = &search->push->authority;
    struct job job;
    uint8_t root[LIMIT_DIGEST_BYTES];
    if (authority_open(authority, session, err) != 0 ||
        authority_job(authority, session, &of->push, &job, err) != 0)
        return -1;
    merkle_roots_get(&search->pool, root);
    if (search->row_count != job.target_count ||
        memcmp(root, authority_pool_root(&job), sizeof root) != 0 ||
        job.generation != of->generation || job.run_as != of->run_as ||
        job.package_bytes != of->package_bytes || strcmp(job.package_name, of->package_name) != 0 ||
        memcmp(job.package_digest, of->package_digest, sizeof job.package_digest) != 0)
        return err_set(err, ERR_DENIED,
                       "the coordinator names other targets or another package than were signed "
                       "for: nothing is signed");
    return 0;
}

static int look(struct session *session, struct push *push, struct push_summary *of,
                struct err *err)
{
    struct report_filter all = {.stage = STAGE_COUNT};
    struct push_summary end;
    struct search search = {.push = push};
    merkle_roots_init(&search.pool);
    if (find_push(session, &push->options, of, err) != 0 || find_rival(session, of, err) != 0)
        return -1;
    push_id_text(&of->push, all.push.prefix);
    push->targets = targets_new();
    if (control_report(session->control, &all, take_row, &search, &end, ANSWER_MS, err) != 0)
        return -1;
    if (session->mode == NULL && check_signed(session, &search, of, err) != 0)
        return -1;
    targets_settle(push->targets);
    return 0;
}

static int fill_job(struct push *push, const struct push_summary *of, struct err *err)
{
    struct job *job = &push->job;
    random_bytes(job->push.bytes, sizeof job->push.bytes);
    job->generation = 1;
    job->action = JOB_CLEANUP;
    job->of_push = of->push;
    job->of_generation = of->generation;
    (void)text_copy(job->package_name, sizeof job->package_name, of->package_name);
    job->package_bytes = of->package_bytes;
    memcpy(job->package_digest, of->package_digest, sizeof job->package_digest);
    job->run_as = of->run_as;
    job->ping = push->options.ping;
    job->verify = push->options.verify;
    job->run_timeout_s = RUN_TIMEOUT_DEFAULT_S;
    return job_set_targets(job, targets_names(push->targets), targets_count(push->targets), err);
}

/* The daemons of looking end before anything is asked: while somebody types, nobody would watch
 * them. */
static int find_work(struct push *push, struct push_summary *of)
{
    struct session session;
    struct err err = {0};
    if (session_open(&session, &push->options.common, false, &err) != 0)
        return session_failed(&session, &err);
    int status = PUSH_GO_ON;
    if (look(&session, push, of, &err) != 0)
        status = session_failed(&session, &err);
    session_close(&session, END_MS);
    return status;
}

static int prepare(struct push *push)
{
    struct push_summary of = {0};
    struct state_paths paths;
    struct err err = {0};
    char id[PUSH_ID_SHORT_SIZE];
    if (process_harden(&err) != 0 || push_read_password(push, &err) != 0)
        return complain_err(&err);
    if (session_is_private(&push->options.common) && state_paths_find(&paths, NULL) == 0 &&
        !state_paths_used(&paths)) {
        complain("there is no push yet");
        return EXIT_USAGE;
    }
    int answer = find_work(push, &of);
    if (answer != PUSH_GO_ON)
        return answer;
    push_id_short(&of.push, id);
    uint32_t count = targets_count(push->targets);
    if (count == 0) {
        complain("push %s touched no target: there is nothing to remove", id);
        return EXIT_NO_TARGETS;
    }
    if (fill_job(push, &of, &err) != 0)
        return complain_err(&err);
    answer = push_refuse_unasked(push);
    if (answer != PUSH_GO_ON)
        return answer;
    say(&push->options.common, "cleanup of push %s (%s) on %u of its %u targets %s%s", id,
        of.package_name, count, totals_submitted(&of.totals),
        push->options.user == NULL ? "with the sites' accounts" : "as ",
        push->options.user == NULL ? "" : push->options.user);
    answer = push_confirm(push);
    return answer == PUSH_GO_ON ? push_ask_password(push) : answer;
}

int command_cleanup(int argc, char *const *argv)
{
    static struct push push; /* an options struct of some 25 KB: not on the stack */
    struct err err = {0};
    memset(&push, 0, sizeof push);
    if (parse(&push.options, argc, argv, &err) != 0) {
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    if (push.options.common.help || push.options.common.version) {
        if (push.options.common.help)
            print_help();
        else
            print_version();
        return EXIT_ALL_SUCCEEDED;
    }
    int status = prepare(&push);
    if (status == PUSH_GO_ON)
        status = push_run(&push);
    push_release(&push);
    return status;
}
