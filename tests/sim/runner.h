/* Runs worlds, in processes of their own, and sums up.
 *
 * Each process takes the next case from a counter that all share, so that they end together. What
 * breaks is printed at once, in a form that a program can read:
 *
 *   violation NAME seed SEED at TIME ms: TEXT
 *     tests/run-sim --seed SEED --seeds 1 --trace
 *
 * A process that dies (a core's assertion, a sanitizer) is "violation core.crash" of the seed it
 * was at; another one goes on after it. */
#ifndef PUSHER_SIM_RUNNER_H
#define PUSHER_SIM_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

/* One seed. A classic one has two worlds: one whose pushes wait. */
struct runner_case {
    uint64_t seed;
    bool classic;
};

struct runner {
    const char *name;                /* of the program, for the last line */
    const struct runner_case *cases; /* borrowed; NULL: seeds from `first`, all of a kind */
    uint64_t first, count;
    bool classic;
    uint32_t jobs;
    bool stop;  /* at the first violation */
    bool trace; /* on standard output; one process, this one */
};

/* Prints the last line. Returns the exit status: 0, 1 after violations, 130 when interrupted. */
int runner_run(const struct runner *runner);

#endif
