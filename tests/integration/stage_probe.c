/* Runs stages against targets, without agent, journal or coordinator: for tests of relay/stage.
 *
 *     stage_probe [OPTION...] TARGET...
 *
 * One line per stage that ended, tab-separated: target, stage, verdict, reason, code kind, code,
 * tries, bytes, name check, address, elapsed ms, detail. With --hold also "TARGET connected" for
 * each connection that asks to log on; with --counts at last "counts", requests, messages and round
 * trips of SMB. Of a job with --wait a second line follows for the last stage: target, "exit", exit
 * code or "-", ms until it starts, bytes of output; --await looks whether it has ended, --output
 * FOLDER keeps what it printed there under the target's name. Options: see `options` below. Exit
 * status 0 when every target got an end, 1 when one did not, 2 for usage.
 */
#include <errno.h>
#include <getopt.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/auth/auth.h"
#include "relay/smb/smb.h"
#include "relay/stage/scope.h"
#include "relay/stage/stage.h"

#define WINDOW 512 /* targets in work at a time */

struct probe_target {
    const char *name;
    uint64_t started_ms; /* of the running stage */
    bool read_back;
    bool looked;            /* --look-first: SCHEDULE has looked, and found nothing */
    uint32_t unknown_count; /* STAGE_EFFECT_UNKNOWN so far */
    bool ended;
};

struct probe {
    uv_loop_t loop;
    struct stage_runner *runner;
    uint32_t job_no;
    enum stage last; /* stop after it */
    bool keep_read_back;
    bool look_only;
    bool look_first;
    bool counts; /* say at the end what was sent */
    bool wait;
    bool await;
    const char *output;     /* folder, NULL: output is not kept */
    uint64_t drop_after_ms; /* drop every target then; 0: never */
    bool hold;              /* each logon waits for hold_ms */
    uint64_t hold_ms;
    uint64_t patience_ms; /* of copying and cleaning up; 0: the product's */
    struct scope scope;   /* empty: everything may be touched */
    struct probe_target *targets;
    size_t count;
    size_t next;
    size_t ended;
};

static const struct option options[] = {
    {"user", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, 'p'},
    {"package", required_argument, NULL, 'f'},
    {"name", required_argument, NULL, 'n'},
    {"push", required_argument, NULL, 'i'},
    {"generation", required_argument, NULL, 'g'},
    {"ping", required_argument, NULL, 'P'},
    {"last", required_argument, NULL, 'l'},
    {"command", required_argument, NULL, 'c'},
    {"arguments", required_argument, NULL, 'a'},
    {"start", required_argument, NULL, 's'},
    {"replace-path", no_argument, NULL, 'R'},
    {"end", required_argument, NULL, 'e'},
    {"verify", no_argument, NULL, 'V'},
    {"run-as", required_argument, NULL, 'A'}, /* a line each */
    {"wait", no_argument, NULL, 'W'},
    {"await", no_argument, NULL, 'T'},
    {"success", required_argument, NULL, 'x'},
    {"cleanup", no_argument, NULL, 'K'},
    {"cleanup-of", required_argument, NULL, 'O'}, /* PUSH */
    {"run-timeout", required_argument, NULL, 't'},
    {"target-zone", no_argument, NULL, 'z'},
    {"output", required_argument, NULL, 'o'},
    {"read-back", no_argument, NULL, 'B'},
    {"look-only", no_argument, NULL, 'L'},
    {"look-first", no_argument, NULL, 'F'},
    {"drop-after", required_argument, NULL, 'D'},
    {"hold", required_argument, NULL, 'H'},
    {"allow", required_argument, NULL, 'S'},
    {"counts", no_argument, NULL, 'C'},
    {"patience", required_argument, NULL, 'm'}, /* milliseconds */
    {NULL, 0, NULL, 0},
};

/* What all connections sent. */
static struct smb_counts counts;

/* The linker puts this in front of the engine's (tests/integration/CMakeLists.txt). */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void __real_smb_conn_free(struct smb_conn *conn);
void __wrap_smb_conn_free(struct smb_conn *conn);
void __wrap_smb_conn_free(struct smb_conn *conn)
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
{
    if (conn != NULL) {
        struct smb_counts sent = smb_conn_counts(conn);
        counts.requests += sent.requests;
        counts.messages += sent.messages;
        counts.turns += sent.turns;
    }
    __real_smb_conn_free(conn);
}

/* SCHEDULE comes before PATH, and only looks. */
static bool looks(const struct probe *probe, const struct probe_target *target)
{
    return probe->look_first && !target->looked;
}

static void run_stage(struct probe *probe, size_t at, enum stage stage)
{
    struct probe_target *target = &probe->targets[at];
    struct stage_request request = {.key = at + 1,
                                    .job_no = probe->job_no,
                                    .stage = stage,
                                    .target = target->name,
                                    .read_back = target->read_back || probe->keep_read_back ||
                                                 looks(probe, target),
                                    .look_only = probe->look_only || looks(probe, target),
                                    .await = probe->await,
                                    .hold_logon = probe->hold};
    target->started_ms = uv_now(&probe->loop);
    stage_run(probe->runner, &request);
}

static void start_more(struct probe *probe)
{
    while (probe->next < probe->count && probe->next < probe->ended + WINDOW)
        run_stage(probe, probe->next++, STAGE_RESOLVE);
}

static void target_ended(struct probe *probe, size_t at)
{
    stage_drop(probe->runner, at + 1);
    probe->targets[at].ended = true;
    probe->ended++;
}

/* A target that waits for its logon. */
struct waiting {
    uv_timer_t timer;
    struct probe *probe;
    uint64_t key;
};

static void waiting_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_hold_over(uv_timer_t *timer)
{
    struct waiting *waiting = timer->data;
    if (waiting->probe->runner != NULL)
        stage_logon(waiting->probe->runner, waiting->key);
    uv_close((uv_handle_t *)timer, waiting_closed);
}

static void on_connected(void *context, uint64_t key)
{
    struct probe *probe = context;
    struct waiting *waiting = mem_new(1, sizeof *waiting);
    (void)printf("%s\tconnected\n", probe->targets[key - 1].name);
    waiting->probe = probe;
    waiting->key = key;
    (void)uv_timer_init(&probe->loop, &waiting->timer);
    waiting->timer.data = waiting;
    (void)uv_timer_start(&waiting->timer, on_hold_over, probe->hold_ms, 0);
}

static void on_drop(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    uv_close((uv_handle_t *)timer, NULL);
    for (size_t at = 0; at < probe->count; at++)
        if (!probe->targets[at].ended)
            target_ended(probe, at);
}

static const char *verdict_word(enum stage_verdict verdict)
{
    switch (verdict) {
    case STAGE_PASSED:
        return "passed";
    case STAGE_FAILED:
        return "failed";
    case STAGE_EFFECT_UNKNOWN:
        return "unknown";
    case STAGE_WAITING:
        return "waiting";
    }
    return "?";
}

static void print_exit(const struct probe *probe, const struct probe_target *target,
                       const struct stage_result *result)
{
    char code[16] = "-";
    char path[1024];
    if (result->has_exit_code)
        (void)snprintf(code, sizeof code, "%u", result->exit_code);
    (void)printf("%s\texit\t%s\t%u\t%zu\n", target->name, code, result->starts_in_ms,
                 result->output_size);
    if (probe->output == NULL)
        return;
    (void)snprintf(path, sizeof path, "%s/%s", probe->output, target->name);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return;
    if (result->output_size > 0)
        (void)fwrite(result->output, 1, result->output_size, file);
    (void)fclose(file);
}

static void on_done(void *context, const struct stage_result *result)
{
    struct probe *probe = context;
    struct probe_target *target = &probe->targets[result->key - 1];
    char code[16];
    char detail[1024];
    (void)printf("%s\t%s\t%s\t%s\t%s\t%s\t%u\t%llu\t%d\t%s\t%llu\t%s\n", target->name,
                 stage_word(result->stage), verdict_word(result->verdict),
                 reason_word(result->reason), code_kind_word(result->code_kind),
                 outcome_code_text(result->code_kind, result->code, code), result->tries,
                 (unsigned long long)result->bytes, result->name_check, result->address,
                 (unsigned long long)(uv_now(&probe->loop) - target->started_ms),
                 text_printable(detail, sizeof detail, result->detail));
    bool passed = result->verdict == STAGE_PASSED;
    if (result->stage == STAGE_SCHEDULE && probe->wait)
        print_exit(probe, target, result);
    if (probe->await && result->stage == STAGE_SCHEDULE) {
        target_ended(probe, result->key - 1);
        start_more(probe);
        return;
    }
    if (result->verdict == STAGE_EFFECT_UNKNOWN && target->unknown_count++ == 0) {
        target->read_back = true;
        run_stage(probe, result->key - 1, STAGE_ACCESS);
        return;
    }
    if (looks(probe, target) && result->stage == STAGE_SCHEDULE &&
        result->reason == REASON_CANCELLED) {
        target->looked = true;
        run_stage(probe, result->key - 1, STAGE_PATH);
        return;
    }
    if (passed && result->stage < probe->last) {
        bool skip_to_schedule = (target->read_back || probe->await || looks(probe, target)) &&
                                result->stage == STAGE_ACCESS;
        run_stage(probe, result->key - 1,
                  skip_to_schedule ? STAGE_SCHEDULE : (enum stage)(result->stage + 1));
        return;
    }
    target_ended(probe, result->key - 1);
    start_more(probe);
}

/* The file's first line. */
static int read_line(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    char *line = fgets(to, (int)size, file);
    (void)fclose(file);
    if (line == NULL)
        return -1;
    to[strcspn(to, "\n")] = '\0';
    return 0;
}

static int digest_package(const char *path, struct job *job)
{
    struct stat found;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &found) != 0) {
        if (file != NULL)
            (void)fclose(file);
        return -1;
    }
    uint8_t *bytes = mem_new(1, (size_t)found.st_size + 1);
    job->package_bytes = fread(bytes, 1, (size_t)found.st_size, file);
    (void)fclose(file);
    (void)SHA256(bytes, (size_t)job->package_bytes, job->package_digest);
    free(bytes);
    return 0;
}

/* Which of them the argument is; count when none. */
static int word_index(const char *const words[], int count)
{
    int at = 0;
    while (at < count && strcmp(optarg, words[at]) != 0)
        at++;
    return at;
}

/* Options without an argument. */
static int take_flag(struct probe *probe, struct job *job, int letter)
{
    switch (letter) {
    case 'R':
        job->replace_path = true;
        return 0;
    case 'V':
        job->verify = true;
        return 0;
    case 'W':
        job->wait = probe->wait = true;
        return 0;
    case 'T':
        probe->await = true;
        return 0;
    case 'K':
        job->cleanup = true;
        return 0;
    case 'z':
        job->zone = TIME_ZONE_TARGET;
        return 0;
    case 'B':
        probe->keep_read_back = true;
        return 0;
    case 'L':
        probe->look_only = true;
        return 0;
    case 'F':
        probe->look_first = true;
        return 0;
    case 'C':
        probe->counts = true;
        return 0;
    default:
        return -1;
    }
}

static int take_option(struct probe *probe, struct job *job, struct credential *credential,
                       const char **package, int letter)
{
    static const char *const modes[] = {"require", "prefer", "skip"};
    static const char *const accounts[] = {"system", "local-service", "network-service", "user"};
    uint64_t number;
    switch (letter) {
    case 'u':
        return text_copy(credential->account, sizeof credential->account, optarg) ? 0 : -1;
    case 'p':
        return read_line(optarg, credential->secret, sizeof credential->secret);
    case 'f':
        *package = optarg;
        return digest_package(optarg, job);
    case 'n':
        return text_copy(job->package_name, sizeof job->package_name, optarg) ? 0 : -1;
    case 'i':
        return push_id_from_text(optarg, &job->push);
    case 'g':
        if (text_to_u64(optarg, UINT32_MAX, &number) != 0)
            return -1;
        job->generation = (uint32_t)number;
        return 0;
    case 'P':
        job->ping = (enum ping_mode)word_index(modes, PING_MODE_COUNT);
        return job->ping < PING_MODE_COUNT ? 0 : -1;
    case 'A':
        job->run_as = (enum run_as)word_index(accounts, RUN_AS_COUNT);
        return job->run_as < RUN_AS_COUNT ? 0 : -1;
    case 'l':
        probe->last = stage_from_word(optarg);
        return probe->last < STAGE_COUNT ? 0 : -1;
    case 'c':
        return text_copy(job->command, sizeof job->command, optarg) ? 0 : -1;
    case 'a':
        return text_copy(job->arguments, sizeof job->arguments, optarg) ? 0 : -1;
    case 's':
    case 'e':
        if (text_to_u64(optarg, INT64_MAX, &number) != 0)
            return -1;
        *(letter == 's' ? &job->start_unix_s : &job->end_unix_s) = (int64_t)number;
        return 0;
    case 'D':
        return text_to_u64(optarg, 60000, &probe->drop_after_ms);
    case 'H':
        probe->hold = true;
        return text_to_u64(optarg, 60000, &probe->hold_ms);
    case 'm':
        return text_to_u64(optarg, 60000, &probe->patience_ms);
    case 'S':
        return scope_add(&probe->scope, optarg, NULL);
    case 'x':
        if (job->success_code_count == LIMIT_SUCCESS_CODES ||
            text_to_u64(optarg, UINT32_MAX, &number) != 0)
            return -1;
        job->success_codes[job->success_code_count++] = (uint32_t)number;
        return 0;
    case 'O':
        job->action = JOB_CLEANUP;
        job->of_generation = 1;
        return push_id_from_text(optarg, &job->of_push);
    case 't':
        if (text_to_u64(optarg, UINT32_MAX, &number) != 0)
            return -1;
        job->run_timeout_s = (uint32_t)number;
        return 0;
    case 'o':
        probe->output = optarg;
        return 0;
    default:
        return take_flag(probe, job, letter);
    }
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "stage_probe: %s\n", err->text);
    return 1;
}

static int run(struct probe *probe, const struct job *job, const struct credential *credential,
               const char *package)
{
    struct err err;
    struct stage_runner_config config = {.loop = &probe->loop,
                                         .done = on_done,
                                         .connected = on_connected,
                                         .context = probe,
                                         .scope = &probe->scope,
                                         .patience_ms = (uint32_t)probe->patience_ms,
                                         .smb_port = 445};
    if (stage_runner_new(&config, &probe->runner, &err) != 0)
        return fail(&err);
    if (stage_runner_add_job(probe->runner, job, credential, &probe->job_no, &err) != 0)
        return fail(&err);
    if (package != NULL &&
        stage_runner_set_package(probe->runner, probe->job_no, package, &err) != 0)
        return fail(&err);
    start_more(probe);
    uv_timer_t drop;
    if (probe->drop_after_ms != 0) { /* must fire before all is over */
        (void)uv_timer_init(&probe->loop, &drop);
        drop.data = probe;
        (void)uv_timer_start(&drop, on_drop, probe->drop_after_ms, 0);
    }
    while (probe->ended < probe->count)
        (void)uv_run(&probe->loop, UV_RUN_ONCE);
    stage_runner_remove_job(probe->runner, probe->job_no);
    stage_runner_free(probe->runner);
    probe->runner = NULL;
    (void)uv_run(&probe->loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    struct probe probe = {.last = STAGE_SCHEDULE};
    struct job job = {.generation = 1, .package_name = "package.exe", .run_timeout_s = 7200};
    struct credential credential = {0};
    const char *package = NULL;
    int letter;
    job.end_unix_s = (int64_t)time(NULL) + 86400;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (take_option(&probe, &job, &credential, &package, letter) != 0) {
            (void)fprintf(stderr, "stage_probe: bad option\n");
            return 2;
        }
    probe.count = (size_t)(argc - optind);
    probe.targets = mem_new(probe.count + 1, sizeof *probe.targets);
    for (size_t i = 0; i < probe.count; i++)
        probe.targets[i].name = argv[optind + (int)i];
    auth_setup();
    (void)uv_loop_init(&probe.loop);
    int status = run(&probe, &job, &credential, package);
    if (uv_loop_close(&probe.loop) != 0 && status == 0)
        status = 1; /* a handle was left open */
    if (probe.counts)
        (void)printf("counts\t%u\t%u\t%u\n", counts.requests, counts.messages, counts.turns);
    free(probe.targets);
    scope_release(&probe.scope);
    return status;
}
