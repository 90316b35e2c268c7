/* The coordinator's store: what packages are called, and which an open push needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_place.h"

static struct package_row row_of(uint8_t first, const char *name, uint64_t added_ms)
{
    struct package_row row = {.digest = {first}, .bytes = 10U * first, .added_unix_ms = added_ms};
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    return row;
}

static void put(struct store_place *place, uint8_t first, const char *name, uint64_t added_ms)
{
    struct package_row row = row_of(first, name, added_ms);
    OK(store_package_put(place->store, &row, failed));
    OK(store_commit(place->store, failed));
}

/* All packages, "DIGEST NAME BYTES ADDED[ in use]" a line each. */
static const char *shown(struct store_place *place)
{
    static char text[1024];
    struct package_row rows[8];
    uint32_t count = 0;
    size_t used = 0;
    OK(store_package_list(place->store, rows, 8, &count, failed));
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%u %s %u %u%s%s\n", rows[i].digest[0], rows[i].name,
            (unsigned)rows[i].bytes, (unsigned)rows[i].added_unix_ms,
            rows[i].directory ? " folder" : "", rows[i].in_use ? " in use" : "");
    return text;
}

/* A push of the package whose digest begins so. */
static uint64_t push(struct store_place *place, uint8_t first, enum job_action action)
{
    static uint8_t id;
    const uint8_t digest[LIMIT_DIGEST_BYTES] = {first};
    const uint8_t key[LIMIT_KEY_BYTES] = {1};
    static const uint8_t job[] = "signed job";
    static char name[] = "pc-1";
    char *const names[] = {name};
    struct push_id push_id = {{++id}};
    struct store_push push = {
        .push = push_id,
        .generation = 1,
        .package_name = "setup.exe",
        .package_bytes = 10,
        .package_digest = digest,
        .operator_key = key,
        .account = "uid 1",
        .created_unix_ms = 5,
        .signed_job = job,
        .signed_job_size = sizeof job,
        .action = action,
    };
    uint16_t site = 0;
    uint64_t number = 0;
    OK(store_site(place->store, "local", &site, failed));
    OK(store_upload_begin(place->store, &push_id, 1, &number, failed));
    OK(store_upload_targets(place->store, number, site, 0, names, 1, failed));
    OK(store_push_commit(place->store, number, &push, failed));
    OK(store_commit(place->store, failed));
    return number;
}

static void packages_are_listed_newest_first_also_after_a_restart(void **state)
{
    struct store_place *place = *state;
    put(place, 1, "old.exe", 100);
    put(place, 2, "new.exe", 200);
    assert_string_equal(shown(place), "2 new.exe 20 200\n1 old.exe 10 100\n");
    store_place_reopen(place);
    assert_string_equal(shown(place), "2 new.exe 20 200\n1 old.exe 10 100\n");
}

static void package_brought_again_takes_the_new_name_and_keeps_its_time(void **state)
{
    struct store_place *place = *state;
    struct package_row row = row_of(1, "tool", 300);
    put(place, 1, "setup.exe", 100);
    row.directory = true;
    OK(store_package_put(place->store, &row, failed));
    assert_string_equal(shown(place), "1 tool 10 100 folder\n");
}

static void open_push_needs_its_package(void **state)
{
    struct store_place *place = *state;
    struct package_row row;
    put(place, 1, "setup.exe", 100);
    put(place, 2, "other.exe", 90);
    uint64_t key = push(place, 1, JOB_PUSH);
    assert_string_equal(shown(place), "1 setup.exe 10 100 in use\n2 other.exe 20 90\n");
    OK(store_package_get(place->store, row_of(1, "", 0).digest, &row, failed));
    assert_true(row.in_use);
    OK(store_push_state(place->store, key, PUSH_STOPPED, 6, failed));
    assert_string_equal(shown(place), "1 setup.exe 10 100 in use\n2 other.exe 20 90\n");
    OK(store_push_state(place->store, key, PUSH_CLOSED, 7, failed));
    assert_string_equal(shown(place), "1 setup.exe 10 100\n2 other.exe 20 90\n");
}

static void clean_up_needs_no_package(void **state)
{
    struct store_place *place = *state;
    put(place, 1, "setup.exe", 100);
    (void)push(place, 1, JOB_CLEANUP);
    assert_string_equal(shown(place), "1 setup.exe 10 100\n");
}

static void package_dropped_is_unknown(void **state)
{
    struct store_place *place = *state;
    struct package_row row = row_of(1, "", 0);
    struct err err = {0};
    put(place, 1, "setup.exe", 100);
    OK(store_package_drop(place->store, row.digest, failed));
    OK(store_package_drop(place->store, row.digest, failed));
    assert_string_equal(shown(place), "");
    assert_int_equal(store_package_get(place->store, row.digest, &row, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void list_stops_at_its_room(void **state)
{
    struct store_place *place = *state;
    struct package_row rows[2];
    uint32_t count = 0;
    for (uint8_t i = 1; i <= 5; i++)
        put(place, i, "setup.exe", i);
    OK(store_package_list(place->store, rows, 2, &count, failed));
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].digest[0], 5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, store_place_set_up, store_place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(packages_are_listed_newest_first_also_after_a_restart),
        CASE(package_brought_again_takes_the_new_name_and_keeps_its_time),
        CASE(open_push_needs_its_package),
        CASE(clean_up_needs_no_package),
        CASE(package_dropped_is_unknown),
        CASE(list_stops_at_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
