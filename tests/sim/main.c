/* sim: both cores under faults, in virtual time. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/sim/runner.h"
#include "tests/sim/story.h"

enum {
    OPTION_SEEDS = 256,
    OPTION_SEED,
    OPTION_TRACE,
    OPTION_LIST,
    OPTION_STOP,
    OPTION_CLASSIC,
    OPTION_STORY
};

struct arguments {
    struct runner runner;
    bool seeds_given;
    const char *list;
    const char *story;
};

static const struct argp_option known[] = {
    {"seeds", OPTION_SEEDS, "N", 0, "how many seeds (300; 1 with --trace)", 0},
    {"seed", OPTION_SEED, "S", 0, "the first one (1)", 0},
    {"jobs", 'j', "N", 0, "processes at once (one per processor)", 0},
    {"trace", OPTION_TRACE, NULL, 0, "print one line for each thing that happens", 0},
    {"list", OPTION_LIST, "FILE", 0, "the seeds in FILE, one a line", 0},
    {"classic", OPTION_CLASSIC, NULL, 0, "the worlds that old seeds were found in", 0},
    {"story", OPTION_STORY, "NAME", 0, "tell a story; \"list\": their names", 0},
    {"stop", OPTION_STOP, NULL, 0, "stop at the first violation", 0},
    {0}};

static uint64_t number_of(const char *text, struct argp_state *state, uint64_t least, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || number < least ||
        number > most)
        argp_error(state, "not a number from %llu to %llu: %s", (unsigned long long)least,
                   (unsigned long long)most, text);
    return number;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct runner *runner = &arguments->runner;
    switch (key) {
    case OPTION_SEEDS:
        runner->count = number_of(text, state, 1, UINT64_C(1000000000000));
        arguments->seeds_given = true;
        return 0;
    case OPTION_SEED:
        runner->first = number_of(text, state, 0, UINT64_MAX / 2);
        return 0;
    case 'j':
        runner->jobs = (uint32_t)number_of(text, state, 1, 64);
        return 0;
    case OPTION_TRACE:
        runner->trace = true;
        return 0;
    case OPTION_LIST:
        arguments->list = text;
        return 0;
    case OPTION_STORY:
        arguments->story = text;
        return 0;
    case OPTION_CLASSIC:
        runner->classic = true;
        return 0;
    case OPTION_STOP:
        runner->stop = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "123 comment", "classic 123 comment", "# comment". */
static bool read_case(const char *line, struct runner_case *found)
{
    static const char word[] = "classic ";
    char *end = NULL;
    found->classic = strncmp(line, word, sizeof word - 1) == 0;
    if (found->classic)
        line += sizeof word - 1;
    found->seed = strtoull(line, &end, 10);
    return end != line;
}

/* Returns the cases, for free(); NULL when there are none. */
static struct runner_case *read_list(const char *path, uint64_t *count)
{
    char line[512];
    struct runner_case *cases = NULL;
    FILE *file = fopen(path, "r");
    *count = 0;
    if (file == NULL) {
        (void)fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
        return NULL;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        struct runner_case found;
        if (!read_case(line, &found))
            continue;
        cases = mem_resize(cases, *count + 1, sizeof *cases);
        cases[(*count)++] = found;
    }
    (void)fclose(file);
    if (cases == NULL)
        (void)fprintf(stderr, "no seed in %s\n", path);
    return cases;
}

static int tell(const char *name)
{
    const struct story *story = NULL;
    if (strcmp(name, "list") == 0) {
        for (uint32_t i = 0; (story = story_at(i)) != NULL; i++)
            printf("%s\n", story->name);
        return 0;
    }
    story = story_find(name);
    if (story != NULL)
        return story_tell(story, stdout);
    (void)fprintf(stderr, "no such story: %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    static const char doc[] =
        "Runs the coordinator's and the relays' cores against each other in virtual time, under "
        "faults that each seed draws, and says which invariant breaks.";
    const struct argp argp = {known, parse, NULL, doc, NULL, NULL, NULL};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct arguments arguments = {.runner = {.first = 1, .count = 300}};
    struct runner *runner = &arguments.runner;
    runner->jobs = processors > 0 && processors < 64 ? (uint32_t)processors : 1;
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return 2;
    runner->name = program_invocation_short_name;
    if (runner->trace && !arguments.seeds_given)
        runner->count = 1;
    if (arguments.story != NULL)
        return tell(arguments.story);
    struct runner_case *cases = NULL;
    if (arguments.list != NULL) {
        cases = read_list(arguments.list, &runner->count);
        if (cases == NULL)
            return 2;
        runner->cases = cases;
    }
    int status = runner_run(runner);
    free(cases);
    return status;
}
