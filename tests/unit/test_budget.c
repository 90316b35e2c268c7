/* relay/stage/budget.c: nobody's bytes take for ever, and no honest machine runs out of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/stage/budget.h"

static void small_package_gets_the_patience(void **state)
{
    (void)state;
    struct job job = {.package_bytes = 100};
    assert_int_equal(budget_copy_ms(&job, 1, BUDGET_PATIENCE_MS), BUDGET_PATIENCE_MS);
    assert_int_equal(budget_copy_ms(&job, 0, BUDGET_PATIENCE_MS), BUDGET_PATIENCE_MS);
    assert_int_equal(budget_cleanup_ms(&job, BUDGET_PATIENCE_MS), BUDGET_PATIENCE_MS);
}

static void bytes_and_files_add_time(void **state)
{
    (void)state;
    struct job job = {.package_bytes = 10 * BUDGET_RATE};
    assert_int_equal(budget_copy_ms(&job, 1, 1000), 11000);
    assert_int_equal(budget_copy_ms(&job, 4, 1000), 11000 + 3 * BUDGET_FILE_MS);
    assert_int_equal(budget_cleanup_ms(&job, 1000), 1000);
    job.verify = true;
    assert_int_equal(budget_copy_ms(&job, 1, 1000), 21000);
    assert_int_equal(budget_cleanup_ms(&job, 1000), 11000);
}

static void largest_package_does_not_overflow(void **state)
{
    (void)state;
    struct job job = {.package_bytes = UINT64_MAX, .verify = true};
    assert_true(budget_copy_ms(&job, UINT32_MAX, UINT32_MAX) > UINT64_MAX / BUDGET_RATE);
    assert_true(budget_copy_ms(&job, UINT32_MAX, UINT32_MAX) < UINT64_MAX / 2 + UINT64_MAX / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_package_gets_the_patience),
        cmocka_unit_test(bytes_and_files_add_time),
        cmocka_unit_test(largest_package_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
