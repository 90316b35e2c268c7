/* Checks, notes, questions. */
#include "coordinator/cli/push_prepare.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/pkg/folder.h"
#include "common/pkg/name.h"
#include "common/pkg/wrapper.h"
#include "common/report/format.h"
#include "common/trust/secret.h"
#include "coordinator/cli/password.h"
#include "coordinator/cli/push_remote.h"
#include "coordinator/cli/signing.h"
#include "coordinator/cli/target_file.h"
#include "coordinator/cli/values.h"

#define GO_ON PUSH_GO_ON

void push_release(struct push *push)
{
    targets_free(push->targets);
    if (push->has_package)
        package_file_release(&push->package);
    credential_free(push->credential);
    authority_release(&push->authority);
    site_shares_release(&push->shares);
    push_options_release(&push->options);
}

uint32_t push_count(const struct push *push)
{
    if (push->targets != NULL)
        return targets_count(push->targets);
    return push->retry ? push->retry_count : push->job.target_count;
}

static int expand(struct push *push, struct err *err)
{
    const struct push_options *options = &push->options;
    push->targets = targets_new();
    for (size_t i = 0; i < options->target_count; i++)
        if (target_argument_add(push->targets, options->targets[i], false, stdin, err) != 0)
            return err_wrap(err, "-t");
    for (size_t i = 0; i < options->exclude_count; i++)
        if (target_argument_add(push->targets, options->excludes[i], true, stdin, err) != 0)
            return err_wrap(err, "--exclude");
    targets_settle(push->targets);
    return 0;
}

static int open_package(struct push *push, struct err *err)
{
    if (push->options.package == NULL)
        return 0;
    if (package_open(push->options.package, &push->package, &push->package_is_folder, err) != 0)
        return -1;
    push->has_package = true;
    return 0;
}

/* A word that is no file or folder here may name a package at the coordinator. */
static int choose_package(struct push *push)
{
    struct err err = {0};
    if (open_package(push, &err) == 0)
        return GO_ON;
    if (err.code == ERR_NOT_FOUND && !session_is_private(&push->options.common) &&
        strchr(push->options.package, '/') == NULL)
        return remote_find_package(push);
    complain("%s", err.text);
    return EXIT_USAGE;
}

static int digest_package(struct push *push, struct err *err)
{
    if (!push->has_package)
        return 0; /* it is at the coordinator: known since it was found */
    return package_file_digest(&push->package, push->job.package_digest, err);
}

static void append(char *to, size_t size, const char *format, uint32_t count)
{
    size_t used = strlen(to);
    if (count == 0)
        return;
    (void)snprintf(to + used, size - used, "%s%u %s", used == 0 ? " (" : ", ", count, format);
}

/* The count, and what became of the words given, before anything is done. */
static void say_pool(const struct push *push)
{
    const struct common_options *common = &push->options.common;
    struct targets_notes notes = targets_notes(push->targets);
    char size[FORMAT_BYTES_SIZE];
    char extra[256] = "";
    append(extra, sizeof extra, notes.duplicates == 1 ? "duplicate folded" : "duplicates folded",
           notes.duplicates);
    append(extra, sizeof extra, "excluded", notes.excluded);
    append(extra, sizeof extra, "network and broadcast addresses left out", notes.network_skipped);
    uint32_t count = targets_count(push->targets);
    say(common, "%s (%s) to %u target%s %s%s%s%s", push->package.name,
        format_bytes(push->package.bytes, size), count, count == 1 ? "" : "s",
        push->options.user == NULL ? "with the sites' accounts" : "as ",
        push->options.user == NULL ? "" : push->options.user, extra, extra[0] == '\0' ? "" : ")");
    if (notes.exclude_unmets > 0)
        say(common, "note: --exclude %s fits no target%s", notes.exclude_unmet,
            notes.exclude_unmets > 1 ? " (nor do others)" : "");
    if (package_name_kind(push->package.name) == PACKAGE_EXE && !push->options.has_arguments &&
        push->options.command == NULL)
        say(common, "warning: %s gets no arguments: does it need a silent switch? (-- /S)",
            push->package.name);
}

static bool must_confirm(const struct push *push)
{
    return push_count(push) > CONFIRM_ABOVE && !push->options.yes && !push->options.dry_run;
}

int push_refuse_unasked(const struct push *push)
{
    if (!must_confirm(push) || (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1))
        return GO_ON;
    complain("%u targets are more than %u: say -y to go on without being asked", push_count(push),
             CONFIRM_ABOVE);
    return EXIT_USAGE;
}

int push_confirm(const struct push *push)
{
    char line[64];
    char expected[16];
    struct err err = {0};
    if (!must_confirm(push))
        return GO_ON;
    (void)snprintf(expected, sizeof expected, "%u", push_count(push));
    (void)fprintf(stderr, "pusher: type the number of targets to go on: ");
    if (line_ask(line, sizeof line, &err) != 0)
        return complain_err(&err);
    line[strcspn(line, " \t")] = '\0';
    if (strcmp(line, expected) == 0)
        return GO_ON;
    complain("not confirmed, nothing was started");
    return EXIT_USAGE;
}

static int dry_run(struct push *push, struct err *err)
{
    char text[2 * LIMIT_DIGEST_BYTES + 1];
    char safe[1024];
    if (strcmp(push->options.common.format, "table") != 0) {
        complain("--dry-run -o %s: not in this version", push->options.common.format);
        return EXIT_USAGE;
    }
    if (digest_package(push, err) != 0)
        return complain_err(err);
    hex_encode(push->job.package_digest, sizeof push->job.package_digest, text);
    (void)printf("# %s  sha256 %s\n", text_printable(safe, sizeof safe, push->package.name), text);
    (void)printf("# runs %s", text_printable(safe, sizeof safe,
                                             push->job.command[0] == '\0' ? "C:\\SPDISTRO\\"
                                                                          : push->job.command));
    if (push->job.command[0] == '\0')
        (void)printf("%s", text_printable(safe, sizeof safe, push->package.name));
    (void)printf(" %s\n", text_printable(safe, sizeof safe, push->job.arguments));
    for (uint32_t i = 0; i < push->job.success_code_count; i++) {
        char code[16];
        (void)printf("%s%s", i == 0 ? "# waits for its end; success is " : ", ",
                     exit_code_text(push->job.success_codes[i], code));
    }
    if (push->job.success_code_count > 0)
        (void)putchar('\n');
    uint32_t fail_stop_count =
        fail_limit_stop_count(&push->options.max_fail, push->job.target_count);
    if (fail_stop_count > 0)
        (void)printf("# begins nothing new once %u targets have failed\n", fail_stop_count);
    char **names = targets_names(push->targets);
    for (uint32_t i = 0; i < targets_count(push->targets); i++)
        (void)printf("%s\n", names[i]);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write to standard output");
        return EXIT_INTERNAL;
    }
    say(&push->options.common, "dry run: nothing was started");
    return EXIT_ALL_SUCCEEDED;
}

/* Start and end of a push that goes on, without new ones: as they were while they lie ahead. The
 * default end moves along. */
static bool keep_times(const struct push *push, int64_t from)
{
    const struct push_options *options = &push->options;
    const struct job *job = &push->job;
    int64_t last = job->end_unix_s + (job->zone == TIME_ZONE_TARGET ? ZONE_BEHIND_MAX_S : 0);
    return (options->resume || push->retry) && options->at == NULL && options->until == NULL &&
           last > from &&
           (job->start_unix_s != 0 || job->end_unix_s != job->not_before_unix_s + UNTIL_DEFAULT_S);
}

void push_set_times(struct push *push)
{
    const struct push_options *options = &push->options;
    struct job *job = &push->job;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t from = now.tv_sec;
    if (!keep_times(push, from)) {
        job->zone = options->zone;
        job->start_unix_s = options->at_unix_s;
        job->end_unix_s = options->until_unix_s;
        if (job->end_unix_s == 0)
            job->end_unix_s = options->at_unix_s != 0 ? options->at_unix_s + UNTIL_AFTER_AT_S
                                                      : from + UNTIL_DEFAULT_S;
    }
    job->counter = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    job->not_before_unix_s = from;
    job->not_after_unix_s =
        job->end_unix_s + (job->zone == TIME_ZONE_TARGET ? ZONE_BEHIND_MAX_S : 0);
    if (options->deadline_s != 0 && from + options->deadline_s < job->not_after_unix_s)
        job->not_after_unix_s = from + options->deadline_s;
}

static int fill_job(struct push *push, struct err *err)
{
    const struct push_options *options = &push->options;
    struct job *job = &push->job;
    job->generation = 1;
    job->push = options->push_id;
    if (!options->has_id)
        random_bytes(job->push.bytes, sizeof job->push.bytes);
    (void)text_copy(job->package_name, sizeof job->package_name, push->package.name);
    job->package_bytes = push->package.bytes;
    job->directory = push->package_is_folder;
    job->run_as = options->run_as;
    job->ping = options->ping;
    job->replace_path = options->replace_path;
    job->verify = options->verify;
    job->run_timeout_s = options->run_timeout_s;
    job->wait = options->wait;
    job->cleanup = options->cleanup;
    memcpy(job->success_codes, options->success_codes, sizeof job->success_codes);
    job->success_code_count = options->success_code_count;
    if (job_set_command(job, options->command, options->arguments, err) != 0 ||
        job_command_check(job, err) != 0)
        return -1;
    return job_set_targets(job, targets_names(push->targets), targets_count(push->targets), err);
}

static int usage(const struct err *err)
{
    complain("%s", err->text);
    return EXIT_USAGE;
}

int push_read_password(struct push *push, struct err *err)
{
    const struct push_options *options = &push->options;
    if (options->user == NULL)
        return 0;
    push->credential = credential_new();
    (void)text_copy(push->credential->account, sizeof push->credential->account, options->user);
    return options->password_file == NULL
               ? 0
               : password_from_file(options->password_file, push->credential->secret, err);
}

int push_ask_password(struct push *push)
{
    struct err err = {0};
    if (push->credential == NULL || push->options.password_file != NULL ||
        password_from_terminal(push->options.user, push->credential->secret, &err) == 0)
        return GO_ON;
    complain("%s", err.text);
    return err.code == ERR_TIMEOUT ? EXIT_INTERRUPTED : EXIT_USAGE;
}

/* With --resume: only what the command line brings anew. */
static int prepare_resume(struct push *push)
{
    struct err err = {0};
    if (open_package(push, &err) != 0 || push_read_password(push, &err) != 0)
        return usage(&err);
    return push_ask_password(push);
}

int push_prepare(struct push *push)
{
    struct err err = {0};
    if (process_harden(&err) != 0)
        return complain_err(&err);
    if (push->options.resume)
        return prepare_resume(push);
    int answer = choose_package(push);
    if (answer != GO_ON)
        return answer;
    if (expand(push, &err) != 0)
        return usage(&err);
    if (targets_count(push->targets) == 0) {
        complain("no target is left after --exclude");
        return EXIT_NO_TARGETS;
    }
    if (fill_job(push, &err) != 0 || push_read_password(push, &err) != 0)
        return usage(&err);
    answer = push_refuse_unasked(push);
    if (answer != GO_ON)
        return answer;
    say_pool(push);
    if (push->options.dry_run)
        return dry_run(push, &err);
    if (!session_is_private(&push->options.common))
        answer = remote_say_sites(push);
    if (answer == GO_ON)
        answer = push_confirm(push);
    if (answer == GO_ON)
        answer = push_ask_password(push);
    if (answer == GO_ON && digest_package(push, &err) != 0)
        return complain_err(&err);
    return answer;
}
