/* See runner.h. */
#include "tests/sim/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/world.h"

enum { WORKERS_MAX = 64, PROGRESS_S = 20 };

/* What a process is at; in memory that outlives it. */
struct worker {
    pid_t pid; /* 0: it has ended */
    bool busy;
    struct runner_case at;
};

struct shared {
    atomic_uint_fast64_t next; /* case */
    atomic_uint_fast64_t done, violations, events;
    atomic_bool stop;
    struct worker workers[WORKERS_MAX];
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_no)
{
    (void)signal_no;
    interrupted = 1;
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In one piece, so that processes don't mix their lines. */
static void print_violation(const struct runner_case *at, const char *name, uint64_t at_ms,
                            const char *text)
{
    printf("violation %s seed %llu at %llu ms: %s\n  tests/run-sim%s --seed %llu --seeds 1 "
           "--trace\n",
           name, (unsigned long long)at->seed, (unsigned long long)at_ms, text,
           at->classic ? " --classic" : "", (unsigned long long)at->seed);
    (void)fflush(stdout);
}

static bool run_world(const struct runner *runner, struct shared *shared,
                      const struct runner_case *at, const struct options *options)
{
    struct world *w = world_new(options, at->seed, runner->trace ? stdout : NULL);
    bool fine = world_run(w);
    if (!fine) {
        print_violation(at, w->violated, w->violated_ms, w->violation);
        atomic_fetch_add(&shared->violations, 1);
        if (runner->stop)
            atomic_store(&shared->stop, true);
    }
    atomic_fetch_add(&shared->events, w->events);
    world_free(w);
    return fine;
}

static void run_case(const struct runner *runner, struct shared *shared,
                     const struct runner_case *at)
{
    struct options options;
    if (at->classic) {
        options_classic(&options, at->seed, false);
        if (!run_world(runner, shared, at, &options))
            return;
        options_classic(&options, at->seed, true);
    } else {
        options_swarm(&options, at->seed);
    }
    (void)run_world(runner, shared, at, &options);
}

static void work(const struct runner *runner, struct shared *shared, struct worker *worker)
{
    while (!interrupted && !atomic_load(&shared->stop)) {
        uint64_t number = atomic_fetch_add(&shared->next, 1);
        if (number >= runner->count)
            return;
        worker->at = runner->cases != NULL
                         ? runner->cases[number]
                         : (struct runner_case){runner->first + number, runner->classic};
        worker->busy = true;
        run_case(runner, shared, &worker->at);
        worker->busy = false;
        atomic_fetch_add(&shared->done, 1);
    }
}

static void start_worker(const struct runner *runner, struct shared *shared, struct worker *worker)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        work(runner, shared, worker);
        exit(0); /* so that a sanitizer looks for leaks */
    }
    worker->pid = pid > 0 ? pid : 0;
    if (pid < 0)
        perror("fork");
}

/* A process has ended: as it should, or it died of what it was at, or of what it left behind. */
static void worker_ended(const struct runner *runner, struct shared *shared, struct worker *worker,
                         int status)
{
    char text[80];
    bool busy = worker->busy;
    worker->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    (void)snprintf(text, sizeof text, "the program died%s, %s %d", busy ? "" : " when it was done",
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    print_violation(&worker->at, "core.crash", 0, text);
    atomic_fetch_add(&shared->violations, 1);
    if (runner->stop)
        atomic_store(&shared->stop, true);
    worker->busy = false;
    if (busy)
        atomic_fetch_add(&shared->done, 1);
    if (busy && !runner->stop && !interrupted)
        start_worker(runner, shared, worker);
}

static bool any_alive(const struct shared *shared)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (shared->workers[i].pid != 0)
            return true;
    return false;
}

static void reap(const struct runner *runner, struct shared *shared)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        int status = 0;
        struct worker *worker = &shared->workers[i];
        if (worker->pid != 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid)
            worker_ended(runner, shared, worker, status);
    }
}

/* Sleeps until a child ends or somebody interrupts, a second at most. */
static void wait_a_little(void)
{
    const struct timespec second = {.tv_sec = 1};
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigtimedwait(&child, NULL, &second);
}

static void run_workers(const struct runner *runner, struct shared *shared)
{
    sigset_t child;
    double told_s = now_s();
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    for (uint32_t i = 0; i < runner->jobs && i < WORKERS_MAX && i < runner->count; i++)
        start_worker(runner, shared, &shared->workers[i]);
    while (any_alive(shared)) {
        wait_a_little();
        if (interrupted)
            atomic_store(&shared->stop, true);
        reap(runner, shared);
        if (now_s() - told_s >= PROGRESS_S) {
            told_s = now_s();
            (void)fprintf(stderr, "%s: %llu of %llu seeds\n", runner->name,
                          (unsigned long long)atomic_load(&shared->done),
                          (unsigned long long)runner->count);
        }
    }
}

int runner_run(const struct runner *runner)
{
    double start_s = now_s();
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    catch_interrupts();
    if (runner->trace)
        work(runner, shared, &shared->workers[0]);
    else
        run_workers(runner, shared);
    uint64_t done = atomic_load(&shared->done);
    uint64_t violations = atomic_load(&shared->violations);
    printf("%s: %llu seeds", runner->name, (unsigned long long)done);
    if (runner->cases == NULL)
        printf(" from %llu", (unsigned long long)runner->first);
    printf(", %llu violation%s, %.1f M events, %.0f s\n", (unsigned long long)violations,
           violations == 1 ? "" : "s", (double)atomic_load(&shared->events) / 1e6,
           now_s() - start_s);
    (void)munmap(shared, sizeof *shared);
    return violations > 0 ? 1 : interrupted || done < runner->count ? 130 : 0;
}
