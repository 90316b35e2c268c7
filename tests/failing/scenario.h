/* What is run again and again, each time with another call that fails. See failing.c.
 *
 * A scenario is a story in steps. After each step that was acknowledged it says run_done, and it
 * tells what it read with run_saw: both have to be right whatever failed before. It ends at the
 * first error, with everything released.
 */
#ifndef PUSHER_TESTS_SCENARIO_H
#define PUSHER_TESTS_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "tests/failing/fault.h"

struct run;

/* What was done so far is acknowledged. True: end the story here, as if it were over. */
bool run_done(struct run *run);
/* Whether run_done has said so. */
bool run_over(const struct run *run);
/* Something that was read, and is no error. */
void run_saw(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define KIND(kind) (1U << (kind))
#define KINDS_MEMORY KIND(FAULT_ALLOC)
#define KINDS_FILES                                                                                \
    (KIND(FAULT_ALLOC) | KIND(FAULT_CALL_IO) | KIND(FAULT_CALL_FULL) | KIND(FAULT_CALL_SHORT) |    \
     KIND(FAULT_CALL_SIGNAL))
#define KINDS_SQLITE                                                                               \
    (KIND(FAULT_ALLOC) | KIND(FAULT_CALL_IO) | KIND(FAULT_SQLITE_ALLOC) | KIND(FAULT_FILE_IO) |    \
     KIND(FAULT_FILE_FULL) | KIND(FAULT_FILE_SHORT) | KIND(FAULT_FILE_BUSY))

struct scenario {
    const char *name;
    uint32_t kinds; /* KIND(...) */
    /* Once, in the parent: what all runs share. May be NULL. */
    void (*prepare)(void);
    int (*run)(struct run *run, const char *folder, struct err *err);
    /* Opens what a run left, as a next start does, and writes down what is there. Errors: it can't
     * be opened. NULL: nothing is left. */
    int (*look)(const char *folder, struct buf *out, struct err *err);
};

extern const struct scenario scenario_dispatch, scenario_agent, scenario_wire, scenario_store,
    scenario_spool, scenario_state, scenario_enrolment, scenario_reserve, scenario_packages;

/* Every row of every table, in order. */
int sqlite_dump(const char *path, struct buf *out, struct err *err);

#endif
