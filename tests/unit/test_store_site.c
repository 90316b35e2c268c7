/* The coordinator's store: sites as admins describe them, and targets that get one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_place.h"

static uint16_t put(struct store_place *place, const char *name, const char *subnet,
                    const char *pattern)
{
    char subnet_text[64];
    char pattern_text[64];
    char *subnets[] = {subnet_text};
    char *patterns[] = {pattern_text};
    struct site site = {.subnets = subnets, .patterns = patterns};
    uint16_t no = 0;
    (void)snprintf(site.name, sizeof site.name, "%s", name);
    (void)snprintf(subnet_text, sizeof subnet_text, "%s", subnet == NULL ? "" : subnet);
    (void)snprintf(pattern_text, sizeof pattern_text, "%s", pattern == NULL ? "" : pattern);
    site.subnet_count = subnet != NULL;
    site.pattern_count = pattern != NULL;
    site.is_default = pattern == NULL;
    site.wan_rate = UINT64_C(5) << 40;
    OK(store_site_put(place->store, &site, &no, failed));
    OK(store_commit(place->store, failed));
    return no;
}

/* All sites in a line each: NAME subnets patterns, "*" for the default one. */
static const char *shown(struct store_place *place)
{
    static char text[1024];
    struct store_site *sites = NULL;
    uint32_t count = 0;
    size_t used = 0;
    OK(store_sites(place->store, &sites, &count, failed));
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const struct site *site = &sites[i].site;
        used += (size_t)snprintf(text + used, sizeof text - used, "%u %s%s", sites[i].no,
                                 site->name, site->is_default ? "*" : "");
        for (uint32_t j = 0; j < site->subnet_count; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", site->subnets[j]);
        for (uint32_t j = 0; j < site->pattern_count; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", site->patterns[j]);
        used += (size_t)snprintf(text + used, sizeof text - used, "\n");
        assert_true(site->wan_rate == UINT64_C(5) << 40);
    }
    store_sites_free(sites, count);
    return text;
}

static const uint8_t digest[LIMIT_DIGEST_BYTES] = {7};
static const uint8_t job[] = "signed job";

/* A push of the names, not committed by store_commit. */
static uint64_t push(struct store_place *place, uint8_t id, bool routing, uint16_t site,
                     char *const *names, uint32_t count)
{
    uint64_t key = 0;
    const struct store_push what = {.push = {{id}},
                                    .generation = 1,
                                    .package_name = "tool.exe",
                                    .package_digest = digest,
                                    .operator_key = digest,
                                    .account = "uid 0",
                                    .created_unix_ms = id,
                                    .signed_job = job,
                                    .signed_job_size = sizeof job,
                                    .routing = routing,
                                    .site = routing ? "lyon" : NULL,
                                    .policy_version = 3};
    OK(store_upload_begin(place->store, &what.push, count, &key, failed));
    OK(store_upload_targets(place->store, key, site, 0, names, count, failed));
    OK(store_push_commit(place->store, key, &what, failed));
    return key;
}

static void free_names(struct store_unrouted *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(rows[i].name);
}

static void site_described_again_replaces_what_was_said(void **state)
{
    struct store_place *place = *state;
    assert_int_equal(put(place, "nice", "10.2.0.0/16", "n-*"), 0);
    assert_int_equal(put(place, "lyon", "10.1.0.0/16", NULL), 1);
    assert_string_equal(shown(place), "1 lyon* 10.1.0.0/16\n0 nice 10.2.0.0/16 n-*\n");
    assert_int_equal(put(place, "nice", NULL, "nic-*"), 0);
    store_place_reopen(place);
    assert_string_equal(shown(place), "1 lyon* 10.1.0.0/16\n0 nice nic-*\n");
}

static void site_removed_keeps_its_number(void **state)
{
    struct store_place *place = *state;
    uint16_t no = 0;
    struct err err = {0};
    assert_int_equal(put(place, "nice", "10.2.0.0/16", "n-*"), 0);
    assert_int_equal(put(place, "lyon", "10.1.0.0/16", NULL), 1);
    OK(store_site_rm(place->store, "nice", failed));
    assert_string_equal(shown(place), "1 lyon* 10.1.0.0/16\n");
    assert_int_equal(store_site_find(place->store, "nice", &no, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_site_rm(place->store, "nice", &err), -1);
    assert_int_equal(put(place, "oslo", NULL, "o*"), 2);
    assert_int_equal(put(place, "nice", NULL, "n*"), 0);
    assert_false(store_failed(place->store));
}

static void site_that_only_rows_name_is_not_listed(void **state)
{
    struct store_place *place = *state;
    uint16_t no = 9;
    OK(store_site(place->store, "local", &no, failed));
    assert_int_equal(no, 0);
    assert_string_equal(shown(place), "");
}

static void site_in_use_counts_relays_and_pushes(void **state)
{
    struct store_place *place = *state;
    const uint8_t key[LIMIT_KEY_BYTES] = {1};
    char *names[] = {(char *)(uintptr_t) "a"};
    struct store_relay relay;
    struct store_site_use use = {9, 9};
    uint16_t lyon = put(place, "lyon", "10.1.0.0/16", NULL);
    uint16_t nice = put(place, "nice", "10.2.0.0/16", "n-*");
    OK(store_site_use(place->store, lyon, &use, failed));
    assert_int_equal(use.relay_count, 0);
    assert_int_equal(use.push_count, 0);
    OK(store_relay(place->store, key, lyon, &relay, failed));
    uint64_t first = push(place, 1, false, nice, names, 1);
    OK(store_site_use(place->store, lyon, &use, failed));
    assert_int_equal(use.relay_count, 1);
    assert_int_equal(use.push_count, 0);
    OK(store_site_use(place->store, nice, &use, failed));
    assert_int_equal(use.relay_count, 0);
    assert_int_equal(use.push_count, 1);
    OK(store_push_state(place->store, first, PUSH_CLOSED, 5, failed));
    OK(store_site_use(place->store, nice, &use, failed));
    assert_int_equal(use.push_count, 0);
    (void)push(place, 2, true, STORE_SITE_NONE, names, 1);
    OK(store_site_use(place->store, nice, &use, failed));
    assert_int_equal(use.push_count, 1); /* nobody knows yet where its targets go */
}

static void push_being_routed_is_seen_and_survives_a_restart(void **state)
{
    struct store_place *place = *state;
    char *names[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b"};
    char site[LIMIT_SITE_NAME_SIZE];
    uint64_t keys[4];
    uint32_t count = 0;
    struct push_summary summary;
    uint64_t key = push(place, 1, true, STORE_SITE_NONE, names, 2);
    OK(store_commit(place->store, failed));
    store_place_reopen(place);
    OK(store_push_keys(place->store, STORE_PUSHES_OPEN, keys, 4, &count, failed));
    assert_int_equal(count, 1);
    assert_true(keys[0] == key);
    OK(store_summary(place->store, key, &summary, failed));
    assert_int_equal(summary.state, PUSH_ROUTING);
    assert_int_equal(summary.policy_version, 3);
    OK(store_push_site(place->store, key, site, failed));
    assert_string_equal(site, "lyon");
    OK(store_list(place->store, &summary, 1, &count, failed));
    assert_int_equal(count, 1);
    OK(store_push_state(place->store, key, PUSH_OPEN, 1, failed));
    OK(store_summary(place->store, key, &summary, failed));
    assert_int_equal(summary.state, PUSH_OPEN);
}

static void unrouted_targets_come_in_pages_until_they_have_a_site(void **state)
{
    struct store_place *place = *state;
    char *names[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b", (char *)(uintptr_t) "c",
                     (char *)(uintptr_t) "d"};
    struct store_unrouted rows[2];
    uint32_t count = 0;
    bool unrouted = false;
    const struct outcome outcome = {.state = TARGET_NEVER_ATTEMPTED, .stage = STAGE_COUNT};
    uint16_t lyon = put(place, "lyon", "10.1.0.0/16", NULL);
    uint64_t key = push(place, 1, true, STORE_SITE_NONE, names, 4);
    OK(store_unrouted(place->store, key, 0, rows, 2, &count, failed));
    assert_int_equal(count, 2);
    assert_int_equal(rows[1].target_no, 1);
    assert_string_equal(rows[1].name, "b");
    assert_int_equal(rows[1].state, TARGET_QUEUED);
    free_names(rows, count);
    OK(store_target_site(place->store, key, 0, 2, lyon, failed));
    OK(store_unrouted(place->store, key, 0, rows, 2, &count, failed));
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].target_no, 2);
    free_names(rows, count);
    OK(store_target_site(place->store, key, 3, 1, lyon, failed));
    OK(store_is_unrouted(place->store, key, &unrouted, failed));
    assert_true(unrouted);
    OK(store_outcome(place->store, key, 2, STORE_RELAY_NONE, &outcome, failed));
    OK(store_is_unrouted(place->store, key, &unrouted, failed));
    assert_false(unrouted);
    OK(store_unrouted(place->store, key, 0, rows, 2, &count, failed));
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].state, TARGET_NEVER_ATTEMPTED);
    free_names(rows, count);
    OK(store_commit(place->store, failed));
}

static void row_without_site_is_reported_as_such(void **state)
{
    struct store_place *place = *state;
    char *names[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b"};
    struct report_row rows[4];
    struct store_page page = {.rows = rows, .row_max = 4};
    struct report_filter filter = {.stage = STAGE_COUNT};
    uint16_t lyon = put(place, "lyon", "10.1.0.0/16", NULL);
    uint64_t key = push(place, 1, true, STORE_SITE_NONE, names, 2);
    OK(store_target_site(place->store, key, 1, 1, lyon, failed));
    OK(store_report(place->store, key, &filter, &page, failed));
    assert_int_equal(page.row_count, 2);
    assert_string_equal(rows[0].site, "-");
    assert_string_equal(rows[0].relay, "-");
    assert_string_equal(rows[1].site, "lyon");
    for (uint32_t i = 0; i < page.row_count; i++)
        free(rows[i].target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(site_described_again_replaces_what_was_said,
                                        store_place_set_up, store_place_tear_down),
        cmocka_unit_test_setup_teardown(site_removed_keeps_its_number, store_place_set_up,
                                        store_place_tear_down),
        cmocka_unit_test_setup_teardown(site_that_only_rows_name_is_not_listed, store_place_set_up,
                                        store_place_tear_down),
        cmocka_unit_test_setup_teardown(site_in_use_counts_relays_and_pushes, store_place_set_up,
                                        store_place_tear_down),
        cmocka_unit_test_setup_teardown(push_being_routed_is_seen_and_survives_a_restart,
                                        store_place_set_up, store_place_tear_down),
        cmocka_unit_test_setup_teardown(unrouted_targets_come_in_pages_until_they_have_a_site,
                                        store_place_set_up, store_place_tear_down),
        cmocka_unit_test_setup_teardown(row_without_site_is_reported_as_such, store_place_set_up,
                                        store_place_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
