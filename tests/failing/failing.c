/* Every call that can fail, fails once, and once with all that come after it.
 *
 * Usage: failing [--runs N] [--seed S] [NAME [KIND [NTH [on]]]]
 *
 * A scenario runs in a child process on a folder of its own, first without a failure, step by step,
 * to learn what each step leaves and what is read on the way. Then its n-th call of a kind fails,
 * for every n, or for N of them spread evenly. Each run must
 *   - say what is wrong (err has a code and a sentence, and doesn't call damaged what is whole), or
 * end the process with "out of memory" as common/base/mem says, or come through with the right
 * result;
 *   - have said so when a sync, rename or write failed;
 *   - have read nothing else than the run without failure did, up to where it ended;
 *   - leave no memory, no descriptor and no child behind (unless the process ended);
 *   - leave files that open again, and that hold what was acknowledged and nothing of what was not:
 *     each step is there wholly or not at all.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/failing/scenario.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_do_recoverable_leak_check() 0
#endif

enum { STEPS_MAX = 64, PATH_SIZE = 128, SAW_SIZE = 64 * 1024, LOOK_SIZE = 128 * 1024 };
#define HANG_S 120U /* a run takes milliseconds */

/* Shared with the child. */
struct run {
    uint32_t stop_after; /* steps; 0: all */
    uint32_t done;       /* steps that were acknowledged */
    bool ended;          /* the child came to its end */
    bool hit;            /* a call failed */
    uint32_t calls;      /* of the kind */
    int result;
    struct err err;
    char where[32];
    bool leaked;
    int descriptors; /* more than before */
    size_t saw_size;
    char saw[SAW_SIZE];
    struct err look_err;
    int look_result;
    size_t look_size;
    char look[LOOK_SIZE];
};

/* What the run without failure left after each step. */
struct expected {
    uint32_t steps;
    char *look[STEPS_MAX + 1];
    char *saw;
};

struct tally {
    uint32_t points, tried, clean, ends, through, wrong;
};

static struct run *run;
static uint32_t runs_max; /* of SQLite's own allocations, spread evenly; 0: every one */
static uint32_t seed;     /* which ones */
static const struct scenario *const scenarios[] = {
    &scenario_dispatch, &scenario_agent,     &scenario_wire,    &scenario_store,    &scenario_spool,
    &scenario_state,    &scenario_enrolment, &scenario_reserve, &scenario_packages,
};

bool run_done(struct run *at)
{
    at->done++;
    return at->done == at->stop_after;
}

bool run_over(const struct run *at)
{
    return at->stop_after != 0 && at->done >= at->stop_after;
}

void run_saw(struct run *at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(at->saw + at->saw_size, SAW_SIZE - at->saw_size, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= SAW_SIZE - at->saw_size)
        abort();
    at->saw_size += (size_t)size;
}

/* ---- one run ---- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    if (nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0)
        (void)fprintf(stderr, "failing: %s stays\n", folder);
}

static void make_folder(char folder[PATH_SIZE])
{
    /* In memory where that is possible: what fails is injected, so no disk is waited for. */
    (void)snprintf(folder, PATH_SIZE, "/dev/shm/pusher-failing-XXXXXX");
    if (mkdtemp(folder) != NULL)
        return;
    (void)snprintf(folder, PATH_SIZE, "/tmp/pusher-failing-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count;
}

static void in_child(const struct scenario *scenario, const char *folder, enum fault_kind kind,
                     uint32_t nth, bool on)
{
    int descriptors = open_descriptors();
    struct err err = {0};
    fault_begin(kind, nth, on);
    int result = scenario->run(run, folder, &err);
    run->hit = fault_end();
    run->calls = fault_calls();
    run->result = result;
    run->err = err;
    (void)snprintf(run->where, sizeof run->where, "%s", fault_where());
    run->descriptors = open_descriptors() - descriptors;
    run->leaked = sqlite3_memory_used() != 0 || __lsan_do_recoverable_leak_check() != 0;
    run->ended = true;
}

/* Opens what is left as a next start does: in a process where nothing fails. */
static void look_in_child(const struct scenario *scenario, const char *folder)
{
    struct buf out;
    buf_init(&out, LOOK_SIZE - 1);
    run->look_result = scenario->look(folder, &out, &run->look_err);
    run->look_size = buf_ok(&out) ? out.size : 0;
    if (out.data != NULL)
        memcpy(run->look, out.data, run->look_size);
    run->look[run->look_size] = '\0';
    buf_release(&out);
    run->ended = true;
}

/* The status; what it says on stderr goes to said. */
static int wait_for(pid_t child, int from, char said[512])
{
    size_t size = 0;
    ssize_t got;
    char part[256];
    while ((got = read(from, part, sizeof part)) > 0) {
        for (ssize_t i = 0; i < got && size < 511; i++)
            said[size++] = part[i];
    }
    said[size] = '\0';
    (void)close(from);
    int status = 0;
    (void)waitpid(child, &status, 0);
    return status;
}

static int do_run(const struct scenario *scenario, const char *folder, enum fault_kind kind,
                  uint32_t nth, bool on, bool look, char said[512])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)alarm(HANG_S);
        if (look)
            look_in_child(scenario, folder);
        else
            in_child(scenario, folder, kind, nth, on);
        _exit(0);
    }
    (void)close(ends[1]);
    return wait_for(child, ends[0], said);
}

static void begin_run(uint32_t stop_after)
{
    memset(run, 0, offsetof(struct run, saw));
    run->saw[0] = '\0';
    run->look[0] = '\0';
    run->look_err = (struct err){0};
    run->stop_after = stop_after;
}

/* ---- what is right ---- */

static void must(bool condition, const struct scenario *scenario, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "failing: %s without a failure: %s: %s%s\n", scenario->name, what,
                  run->err.text, run->look_err.text);
    exit(1);
}

static void look_at(const struct scenario *scenario, const char *folder, char said[512])
{
    run->ended = false;
    (void)do_run(scenario, folder, FAULT_NONE, 0, false, true, said);
}

static void learn(const struct scenario *scenario, struct expected *expected)
{
    char folder[PATH_SIZE];
    char said[512];
    memset(expected, 0, sizeof *expected);
    begin_run(0);
    make_folder(folder);
    (void)do_run(scenario, folder, FAULT_NONE, 0, false, false, said);
    remove_folder(folder);
    must(run->ended && run->result == 0 && run->done <= STEPS_MAX, scenario, said);
    must(!run->leaked && run->descriptors == 0, scenario, "leaks");
    expected->steps = run->done;
    expected->saw = strdup(run->saw);
    for (uint32_t step = 0; scenario->look != NULL && step <= expected->steps; step++) {
        begin_run(step);
        make_folder(folder);
        if (step > 0)
            (void)do_run(scenario, folder, FAULT_NONE, 0, false, false, said);
        look_at(scenario, folder, said);
        must(run->ended && (run->look_result == 0 || step == 0), scenario, "what it left");
        expected->look[step] = strdup(run->look);
        remove_folder(folder);
    }
}

static void forget(struct expected *expected)
{
    free(expected->saw);
    for (uint32_t step = 0; step <= expected->steps; step++)
        free(expected->look[step]);
}

/* Bytes that may not be on the disk. */
static bool must_be_noticed(enum fault_kind kind)
{
    static const char *const calls[] = {"fsync", "fdatasync", "rename", "renameat",
                                        "write", "pwrite",    "link"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(run->where, calls[i]) == 0)
            return kind == FAULT_CALL_IO || kind == FAULT_CALL_FULL;
    return false;
}

/* What is wrong with the run; NULL: nothing. */
static const char *flaw(const struct expected *expected, enum fault_kind kind, int status,
                        const char *said)
{
    bool end = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
               strstr(said, "pusher: out of memory\n") != NULL && strstr(said, "ERROR") == NULL;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return "it hangs";
    if (!run->ended)
        return end ? NULL : "the process ended badly";
    if (run->result != 0 && (run->err.code == ERR_NONE || run->err.text[0] == '\0'))
        return "it failed and doesn't say why";
    if (run->result != 0 && strstr(run->err.text, "damaged") != NULL)
        return "it calls damaged what can't be read or written";
    if (run->result == 0 && run->done != expected->steps)
        return "it says that all is well before the end";
    if (run->hit && run->result == 0 && must_be_noticed(kind))
        return "it took no notice";
    if (run->leaked)
        return "memory leaks";
    if (run->descriptors != 0)
        return "a descriptor leaks";
    if (strncmp(run->saw, expected->saw, run->saw_size) != 0)
        return "it read something else";
    return NULL;
}

static const char *flaw_left(const struct scenario *scenario, const struct expected *expected)
{
    if (scenario->look == NULL)
        return NULL;
    if (!run->ended)
        return "the next start ends badly";
    if (run->look_result != 0 && (run->done > 0 || run->look_err.code != ERR_NOT_FOUND))
        return "the next start fails";
    const char *const *look = (const char *const *)expected->look;
    if (strcmp(run->look, look[run->done]) == 0)
        return NULL;
    if (run->done < expected->steps && strcmp(run->look, look[run->done + 1]) == 0)
        return NULL; /* it was done, and wasn't acknowledged */
    return "what is left is no step's";
}

/* True: a call failed, so there may be a next one. */
static bool try_one(const struct scenario *scenario, const struct expected *expected,
                    enum fault_kind kind, uint32_t nth, bool on, struct tally *tally)
{
    char folder[PATH_SIZE];
    char said[512];
    begin_run(0);
    make_folder(folder);
    int status = do_run(scenario, folder, kind, nth, on, false, said);
    const char *wrong = flaw(expected, kind, status, said);
    bool ended = run->ended;
    bool hit = run->hit || !ended;
    if (wrong == NULL && scenario->look != NULL) {
        char unheard[512];
        look_at(scenario, folder, unheard);
        wrong = flaw_left(scenario, expected);
    }
    if (wrong != NULL) {
        (void)printf("%s %s %u%s (%s): %s: after step %u; %s%s%s\n", scenario->name,
                     fault_word(kind), nth, on ? " on" : "", run->where, wrong, run->done,
                     run->err.text, run->look_err.text, said);
        if (getenv("FAILING_VERBOSE") != NULL)
            (void)printf("--- left\n%s--- step\n%s--- saw\n%s---\n", run->look,
                         expected->look[run->done], run->saw);
    }
    remove_folder(folder);
    tally->wrong += wrong != NULL;
    tally->ends += hit && !ended;
    tally->clean += hit && ended && run->result != 0;
    tally->through += hit && ended && run->result == 0;
    return hit;
}

static uint32_t count_points(const struct scenario *scenario, enum fault_kind kind)
{
    char folder[PATH_SIZE];
    char said[512];
    begin_run(0);
    make_folder(folder);
    (void)do_run(scenario, folder, kind, UINT32_MAX, false, false, said);
    remove_folder(folder);
    return run->calls;
}

static void try_kind(const struct scenario *scenario, const struct expected *expected,
                     enum fault_kind kind, struct tally *all)
{
    struct tally tally = {.points = count_points(scenario, kind)};
    bool many = kind == FAULT_SQLITE_ALLOC; /* ten times all others together */
    uint32_t stride = !many || runs_max == 0 ? 1 : (tally.points + runs_max - 1) / runs_max;
    stride = stride == 0 ? 1 : stride;
    bool twice = kind != FAULT_CALL_SIGNAL && kind != FAULT_CALL_SHORT;
    for (uint32_t nth = 1 + seed % stride; nth <= tally.points; nth += stride) {
        (void)try_one(scenario, expected, kind, nth, false, &tally);
        if (twice)
            (void)try_one(scenario, expected, kind, nth, true, &tally);
        tally.tried++;
    }
    (void)printf("%-10s %-11s %5u points, %5u tried: %u clean errors, %u ends, %u without effect, "
                 "%u wrong\n",
                 scenario->name, fault_word(kind), tally.points, tally.tried, tally.clean,
                 tally.ends, tally.through, tally.wrong);
    all->points += tally.points;
    all->tried += tally.tried;
    all->clean += tally.clean;
    all->ends += tally.ends;
    all->through += tally.through;
    all->wrong += tally.wrong;
}

static void try_scenario(const struct scenario *scenario, char **wanted, struct tally *all)
{
    struct expected expected;
    if (scenario->prepare != NULL)
        scenario->prepare();
    learn(scenario, &expected);
    for (int i = FAULT_NONE + 1; i < FAULT_KIND_COUNT; i++) {
        enum fault_kind kind = (enum fault_kind)i;
        if ((scenario->kinds & KIND(kind)) == 0 ||
            (wanted[0] != NULL && strcmp(wanted[0], fault_word(kind)) != 0))
            continue;
        if (wanted[0] != NULL && wanted[1] != NULL)
            (void)try_one(scenario, &expected, kind, (uint32_t)strtoul(wanted[1], NULL, 10),
                          wanted[2] != NULL, all);
        else
            try_kind(scenario, &expected, kind, all);
    }
    forget(&expected);
}

/* A number that is the whole text; usage otherwise. */
static uint32_t number(const char *text)
{
    char *end = NULL;
    unsigned long value = text != NULL ? strtoul(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != '\0' || value > UINT32_MAX) {
        (void)fprintf(stderr, "usage: failing [--runs N] [--seed S] [NAME [KIND [NTH [on]]]]\n");
        exit(2);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    struct tally all = {0};
    bool found = false;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at += 2) {
        bool runs = strcmp(argv[at], "--runs") == 0;
        *(runs ? &runs_max : &seed) =
            number(runs || strcmp(argv[at], "--seed") == 0 ? argv[at + 1] : NULL);
    }
    run = mmap(NULL, sizeof *run, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run == MAP_FAILED)
        return 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    fault_install();
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (at < argc && strcmp(argv[at], scenarios[i]->name) != 0)
            continue;
        found = true;
        try_scenario(scenarios[i], at < argc ? argv + at + 1 : &argv[argc], &all);
    }
    if (!found) {
        (void)fprintf(stderr, "failing: no scenario %s\n", argv[at]);
        return 2;
    }
    (void)printf("failing: %u points that can fail, %u tried: %u clean errors, %u documented ends, "
                 "%u without effect, %u wrong\n",
                 all.points, all.tried, all.clean, all.ends, all.through, all.wrong);
    return all.wrong == 0 ? 0 : 1;
}
