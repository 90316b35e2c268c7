/* relay/stage/starttime: the target's clock, margins, boundaries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/stage/starttime.h"

#define UNIX_2026 1767225600LL /* 2026-01-01T00:00:00Z */
#define FILETIME_2026 ((uint64_t)(UNIX_2026 + 11644473600LL) * 10000000ULL)

static struct job job_ending(int64_t end)
{
    struct job job = {.end_unix_s = end};
    return job;
}

static void filetime_converts_to_unix(void **state)
{
    (void)state;
    assert_int_equal(filetime_to_unix_s(FILETIME_2026), UNIX_2026);
    assert_int_equal(filetime_to_unix_s(FILETIME_2026 + 9999999), UNIX_2026);
    assert_int_equal(filetime_to_unix_s(0), 0);
    assert_true(filetime_from_unix_s(UNIX_2026) == FILETIME_2026);
    assert_int_equal(filetime_from_unix_s(-1), 0);
    assert_true(filetime_to_unix_s(UINT64_MAX) > 0);
}

static void start_soonest_is_target_clock_plus_margin(void **state)
{
    (void)state;
    struct job job = job_ending(UNIX_2026 + 3600);
    struct start_plan plan;
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, NULL), 0);
    assert_int_equal(plan.start_unix_s, UNIX_2026 + 1 + STARTTIME_MARGIN_S);
    assert_true(plan.utc);
    assert_int_equal(plan.end_unix_s, UNIX_2026 + 3600);
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 2001, &plan, NULL), 0);
    assert_int_equal(plan.start_unix_s, UNIX_2026 + 1 + 3 + STARTTIME_MARGIN_S);
}

static void start_asked_for_is_kept_unless_passed(void **state)
{
    (void)state;
    struct job job = job_ending(UNIX_2026 + 7200);
    struct start_plan plan;
    job.start_unix_s = UNIX_2026 + 1800;
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, NULL), 0);
    assert_int_equal(plan.start_unix_s, UNIX_2026 + 1800);
    job.start_unix_s = UNIX_2026 - 60;
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, NULL), 0);
    assert_int_equal(plan.start_unix_s, UNIX_2026 + 1 + STARTTIME_MARGIN_S);
}

static void start_in_target_zone_is_never_moved(void **state)
{
    (void)state;
    struct job job = job_ending(UNIX_2026 + 7200);
    struct start_plan plan;
    char text[STARTTIME_TEXT_SIZE];
    job.zone = TIME_ZONE_TARGET;
    job.start_unix_s = UNIX_2026 - 60;
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, NULL), 0);
    assert_int_equal(plan.start_unix_s, UNIX_2026 - 60);
    assert_false(plan.utc);
    assert_string_equal(start_plan_text(&plan, text), "2025-12-31T23:59:00");
    plan.utc = true;
    assert_string_equal(start_plan_text(&plan, text), "2025-12-31T23:59:00Z");
}

static void end_before_start_is_refused(void **state)
{
    (void)state;
    struct job job = job_ending(UNIX_2026 + 1 + STARTTIME_MARGIN_S);
    struct start_plan plan = {.start_unix_s = -1};
    struct err err = {0};
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(plan.start_unix_s, -1);
    job.end_unix_s++;
    assert_int_equal(start_plan_make(&job, FILETIME_2026, 0, &plan, &err), 0);
}

static void clock_of_a_liar_overflows_nothing(void **state)
{
    (void)state;
    struct job job = job_ending(INT64_MAX);
    struct start_plan plan;
    char text[STARTTIME_TEXT_SIZE];
    assert_int_equal(start_plan_make(&job, UINT64_MAX, UINT64_MAX, &plan, NULL), 0);
    assert_true(plan.start_unix_s > 0);
    assert_non_null(start_plan_text(&plan, text));
    plan.start_unix_s = INT64_MAX;
    assert_string_equal(start_plan_text(&plan, text), "?");
}

static void boundary_of_a_task_is_read(void **state)
{
    (void)state;
    int64_t at = 0;
    bool utc = false;
    assert_int_equal(boundary_parse("2026-01-01T00:00:00Z", &at, &utc), 0);
    assert_true(at == UNIX_2026 && utc);
    assert_int_equal(boundary_parse("2026-01-01T00:00:07", &at, &utc), 0);
    assert_true(at == UNIX_2026 + 7 && !utc);
    assert_int_equal(boundary_parse("2026-01-01T00:00:07.1234567Z", &at, &utc), 0);
    assert_true(at == UNIX_2026 + 7 && utc);
    static const char *const wrong[] = {"",
                                        "?",
                                        "2026-01-01",
                                        "2026-13-01T00:00:00Z",
                                        "2026-01-01T00:00:00+01:00",
                                        "2026-01-01T00:00:00Zx"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(boundary_parse(wrong[i], &at, &utc), -1);
}

static void boundary_without_a_zone_comes_first_in_the_east(void **state)
{
    (void)state;
    assert_int_equal(start_plan_earliest(UNIX_2026, true), UNIX_2026);
    assert_int_equal(start_plan_earliest(UNIX_2026, false), UNIX_2026 - 14 * 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filetime_converts_to_unix),
        cmocka_unit_test(start_soonest_is_target_clock_plus_margin),
        cmocka_unit_test(start_asked_for_is_kept_unless_passed),
        cmocka_unit_test(start_in_target_zone_is_never_moved),
        cmocka_unit_test(end_before_start_is_refused),
        cmocka_unit_test(clock_of_a_liar_overflows_nothing),
        cmocka_unit_test(boundary_of_a_task_is_read),
        cmocka_unit_test(boundary_without_a_zone_comes_first_in_the_east),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
