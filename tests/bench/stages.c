/* The relay's stages alone, without agent, journal or coordinator: what the benchmarks hold beside
 * peers that are engines only.
 *
 *     stages [OPTION...] LIST      LIST: a file with one target a line
 *
 * One line at the end: targets, how many passed, and the mean milliseconds of each stage run.
 * Exit status 0 when every target got an end, 1 when the run could not be made, 2 for usage.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/auth/auth.h"
#include "relay/stage/stage.h"

#define TARGETS_MAX 1000000

struct bench_target {
    char *name;          /* owned */
    uint64_t started_ms; /* of the running stage */
};

struct bench {
    uv_loop_t loop;
    struct stage_runner *runner;
    uint32_t job_no;
    enum stage last;     /* stop after it */
    uint64_t window_max; /* targets in work at a time */
    struct bench_target *targets;
    size_t count;
    size_t next;
    size_t ended;
    size_t passed;
    uint64_t spent_ms[STAGE_COUNT]; /* all targets together */
    size_t spent_count[STAGE_COUNT];
};

struct bench_inputs {
    struct job job;
    struct credential credential;
    const char *package;
};

static const struct option options[] = {
    {"user", required_argument, NULL, 'u'},    {"password-file", required_argument, NULL, 'p'},
    {"package", required_argument, NULL, 'f'}, {"name", required_argument, NULL, 'n'},
    {"push", required_argument, NULL, 'i'},    {"last", required_argument, NULL, 'l'},
    {"window", required_argument, NULL, 'w'},  {NULL, 0, NULL, 0},
};

static void run_stage(struct bench *bench, size_t at, enum stage stage)
{
    struct stage_request request = {
        .key = at + 1, .job_no = bench->job_no, .stage = stage, .target = bench->targets[at].name};
    bench->targets[at].started_ms = uv_now(&bench->loop);
    stage_run(bench->runner, &request);
}

static void start_more(struct bench *bench)
{
    while (bench->next < bench->count && bench->next < bench->ended + bench->window_max)
        run_stage(bench, bench->next++, STAGE_RESOLVE);
}

static void on_done(void *context, const struct stage_result *result)
{
    struct bench *bench = context;
    size_t at = (size_t)result->key - 1;
    bench->spent_ms[result->stage] += uv_now(&bench->loop) - bench->targets[at].started_ms;
    bench->spent_count[result->stage]++;
    if (result->verdict == STAGE_PASSED && result->stage < bench->last) {
        run_stage(bench, at, (enum stage)(result->stage + 1));
        return;
    }
    if (result->verdict == STAGE_PASSED)
        bench->passed++;
    else
        (void)fprintf(stderr, "stages: %s: %s: %s\n", bench->targets[at].name,
                      stage_word(result->stage), result->detail);
    stage_drop(bench->runner, result->key);
    bench->ended++;
    start_more(bench);
}

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

static int read_targets(struct bench *bench, const char *path)
{
    char line[LIMIT_TARGET_NAME_SIZE];
    size_t capacity = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file) != NULL && bench->count < TARGETS_MAX) {
        line[strcspn(line, "\n")] = '\0';
        if (bench->count == capacity) {
            capacity = capacity == 0 ? 256 : 2 * capacity;
            bench->targets = mem_resize(bench->targets, capacity, sizeof *bench->targets);
        }
        bench->targets[bench->count++] = (struct bench_target){.name = mem_strdup(line)};
    }
    (void)fclose(file);
    return bench->count > 0 ? 0 : -1;
}

static int take_option(struct bench *bench, struct bench_inputs *inputs, int letter)
{
    struct job *job = &inputs->job;
    struct stat found;
    switch (letter) {
    case 'u':
        return text_copy(inputs->credential.account, sizeof inputs->credential.account, optarg)
                   ? 0
                   : -1;
    case 'p':
        return read_line(optarg, inputs->credential.secret, sizeof inputs->credential.secret);
    case 'f':
        inputs->package = optarg;
        if (stat(optarg, &found) != 0)
            return -1;
        job->package_bytes = (uint64_t)found.st_size;
        return 0;
    case 'n':
        return text_copy(job->package_name, sizeof job->package_name, optarg) ? 0 : -1;
    case 'i':
        return push_id_from_text(optarg, &job->push);
    case 'l':
        bench->last = stage_from_word(optarg);
        return bench->last < STAGE_COUNT ? 0 : -1;
    case 'w':
        return text_to_u64(optarg, TARGETS_MAX, &bench->window_max);
    default:
        return -1;
    }
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "stages: %s\n", err->text);
    return 1;
}

static int run(struct bench *bench, const struct bench_inputs *inputs)
{
    struct err err;
    struct stage_runner_config config = {
        .loop = &bench->loop, .done = on_done, .context = bench, .smb_port = 445};
    if (stage_runner_new(&config, &bench->runner, &err) != 0)
        return fail(&err);
    if (stage_runner_add_job(bench->runner, &inputs->job, &inputs->credential, &bench->job_no,
                             &err) != 0)
        return fail(&err);
    if (inputs->package != NULL &&
        stage_runner_set_package(bench->runner, bench->job_no, inputs->package, &err) != 0)
        return fail(&err);
    start_more(bench);
    while (bench->ended < bench->count)
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
    stage_runner_remove_job(bench->runner, bench->job_no);
    stage_runner_free(bench->runner);
    (void)uv_run(&bench->loop, UV_RUN_DEFAULT);
    return 0;
}

static void print_sums(const struct bench *bench)
{
    (void)printf("{\"targets\": %zu, \"passed\": %zu, \"mean_ms\": {", bench->count, bench->passed);
    for (int i = 0; i <= (int)bench->last; i++)
        (void)printf("%s\"%s\": %.2f", i == 0 ? "" : ", ", stage_word((enum stage)i),
                     bench->spent_count[i] == 0
                         ? 0.0
                         : (double)bench->spent_ms[i] / (double)bench->spent_count[i]);
    (void)printf("}}\n");
}

int main(int argc, char **argv)
{
    struct bench bench = {.last = STAGE_SCHEDULE, .window_max = 256};
    struct bench_inputs inputs = {
        .job = {.generation = 1, .package_name = "package.exe", .run_timeout_s = 7200}};
    int letter;
    inputs.job.end_unix_s = (int64_t)time(NULL) + 86400;
    (void)text_copy(inputs.credential.account, sizeof inputs.credential.account, "nobody");
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (take_option(&bench, &inputs, letter) != 0) {
            (void)fprintf(stderr, "stages: bad option\n");
            return 2;
        }
    if (optind + 1 != argc || read_targets(&bench, argv[optind]) != 0) {
        (void)fprintf(stderr, "stages: which list of targets?\n");
        return 2;
    }
    auth_setup();
    (void)uv_loop_init(&bench.loop);
    int status = run(&bench, &inputs);
    if (uv_loop_close(&bench.loop) != 0 && status == 0)
        status = 1; /* a handle was left open */
    if (status == 0)
        print_sums(&bench);
    for (size_t i = 0; i < bench.count; i++)
        free(bench.targets[i].name);
    free(bench.targets);
    return status;
}
