/* The coordinator's store, what trust needs: tokens, relays' standing and certificates, policies,
 * sealed credentials. What every back end must do, tried on SQLite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "coordinator/store/store.h"

struct place {
    char folder[64];
    char path[96];
    struct store *store;
    uint16_t site;
    struct err err;
};

#define OK(call) assert_int_equal((call), 0)

/* Commits, closes and opens again: what is left is durable. */
static void reopen(struct place *place)
{
    OK(store_commit(place->store, &place->err));
    store_close(place->store);
    place->store = NULL;
    if (store_open(&place->store, place->path, &place->err) != 0)
        fail_msg("%s", place->err.text);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-trust-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/store.db", place->folder);
    OK(store_open(&place->store, place->path, &place->err));
    OK(store_site(place->store, "berlin", &place->site, &place->err));
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    store_close(place->store);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", place->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}

static struct store_relay add_relay(struct place *place, const char *name, uint8_t key)
{
    struct store_relay relay = {.site = place->site, .key = {key}, .seal_key = {key, 1}};
    (void)snprintf(relay.name, sizeof relay.name, "%s", name);
    OK(store_relay_add(place->store, &relay, &place->err));
    return relay;
}

static void assert_blob(struct buf *got, const char *expected)
{
    assert_int_equal(got->size, strlen(expected));
    assert_memory_equal(got->data, expected, got->size);
    buf_release(got);
    buf_init(got, 1024);
}

#define BYTES(text) (const uint8_t *)(text), strlen(text)

/* ---- tokens ---- */

static void token_put_is_listed_until_dropped(void **state)
{
    struct place *place = *state;
    const struct store_token token = {.key = {7}, .site = place->site, .expires_unix_ms = 5000};
    const struct store_token other = {.key = {8}, .site = place->site, .expires_unix_ms = 9000};
    struct store_token got[4];
    uint32_t count = 9;
    OK(store_token_list(place->store, got, 4, &count, &place->err));
    assert_int_equal(count, 0);
    OK(store_token_put(place->store, &token, &place->err));
    OK(store_token_put(place->store, &token, &place->err));
    OK(store_token_put(place->store, &other, &place->err));
    reopen(place);
    OK(store_token_list(place->store, got, 4, &count, &place->err));
    assert_int_equal(count, 2);
    assert_memory_equal(got[1].key, token.key, LIMIT_KEY_BYTES);
    assert_int_equal(got[1].expires_unix_ms, 5000);
    assert_int_equal(got[1].site, place->site);
    assert_string_equal(got[1].site_name, "berlin");
    OK(store_token_list(place->store, got, 1, &count, &place->err));
    assert_int_equal(count, 1);
    assert_memory_equal(got[0].key, other.key, LIMIT_KEY_BYTES);
    OK(store_token_drop(place->store, token.key, &place->err));
    OK(store_token_drop(place->store, token.key, &place->err));
    OK(store_token_list(place->store, got, 4, &count, &place->err));
    assert_int_equal(count, 1);
}

/* ---- relays ---- */

static void relay_added_is_pending_and_numbered(void **state)
{
    struct place *place = *state;
    struct store_relay first = add_relay(place, "berlin-1", 11);
    struct store_relay second = add_relay(place, "berlin-2", 12);
    assert_int_equal(first.relay, 0);
    assert_int_equal(second.relay, 1);
    reopen(place);
    struct store_relay got;
    OK(store_relay_get(place->store, 1, &got, &place->err));
    assert_string_equal(got.name, "berlin-2");
    assert_string_equal(got.site_name, "berlin");
    assert_int_equal(got.standing, RELAY_PENDING);
    assert_int_equal(got.serial, 0);
    assert_int_equal(got.until_unix_s, 0);
    assert_memory_equal(got.key, second.key, LIMIT_KEY_BYTES);
    assert_memory_equal(got.seal_key, second.seal_key, LIMIT_KEY_BYTES);
}

static void relay_of_private_mode_is_active(void **state)
{
    struct place *place = *state;
    const uint8_t key[LIMIT_KEY_BYTES] = {3};
    struct store_relay got;
    OK(store_relay(place->store, key, place->site, &got, &place->err));
    assert_int_equal(got.standing, RELAY_ACTIVE);
}

static void relay_standing_is_kept(void **state)
{
    struct place *place = *state;
    struct store_relay relay = add_relay(place, "berlin-1", 11);
    for (int standing = 0; standing < RELAY_STANDING_COUNT; standing++) {
        OK(store_relay_standing(place->store, relay.relay, (enum relay_standing)standing,
                                &place->err));
        reopen(place);
        OK(store_relay_get(place->store, relay.relay, &relay, &place->err));
        assert_int_equal(relay.standing, standing);
    }
}

static void certificate_put_is_the_relays_newest(void **state)
{
    struct place *place = *state;
    struct store_relay relay = add_relay(place, "berlin-1", 11);
    struct buf got;
    buf_init(&got, 1024);
    assert_int_equal(store_certificate_get(place->store, relay.relay, &got, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    OK(store_certificate_put(place->store, relay.relay, 4, 1000, BYTES("one"), &place->err));
    OK(store_certificate_put(place->store, relay.relay, 5, 2000, BYTES("two"), &place->err));
    reopen(place);
    OK(store_certificate_get(place->store, relay.relay, &got, &place->err));
    assert_blob(&got, "two");
    OK(store_relay_get(place->store, relay.relay, &relay, &place->err));
    assert_int_equal(relay.serial, 5);
    assert_int_equal(relay.until_unix_s, 2000);
    assert_int_equal(relay.standing, RELAY_PENDING); /* another call's business */
    buf_release(&got);
}

static void certificate_larger_than_the_room_is_an_error(void **state)
{
    struct place *place = *state;
    struct store_relay relay = add_relay(place, "berlin-1", 11);
    struct buf got;
    buf_init(&got, 2);
    OK(store_certificate_put(place->store, relay.relay, 4, 1000, BYTES("one"), &place->err));
    assert_int_equal(store_certificate_get(place->store, relay.relay, &got, &place->err), -1);
    assert_int_equal(place->err.code, ERR_LIMIT);
    buf_release(&got);
}

/* ---- policies ---- */

static void policies_are_all_kept(void **state)
{
    struct place *place = *state;
    uint64_t version = 9;
    struct buf got;
    buf_init(&got, 1024);
    OK(store_policy_newest(place->store, &version, &place->err));
    assert_int_equal(version, 0);
    assert_int_equal(store_policy_get(place->store, 1, &got, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    OK(store_policy_put(place->store, 1, BYTES("first"), &place->err));
    OK(store_policy_put(place->store, 2, BYTES("second"), &place->err));
    reopen(place);
    OK(store_policy_newest(place->store, &version, &place->err));
    assert_int_equal(version, 2);
    OK(store_policy_get(place->store, 1, &got, &place->err));
    assert_blob(&got, "first");
    OK(store_policy_get(place->store, 2, &got, &place->err));
    assert_blob(&got, "second");
    buf_release(&got);
}

static void policy_of_a_version_that_is_there_is_never_overwritten(void **state)
{
    struct place *place = *state;
    OK(store_policy_put(place->store, 1, BYTES("first"), &place->err));
    assert_int_equal(store_policy_put(place->store, 1, BYTES("other"), &place->err), -1);
}

/* ---- sealed credentials ---- */

static struct store_site_credential credential_of(uint16_t site, uint16_t relay, uint64_t counter,
                                                  const char *body)
{
    return (struct store_site_credential){site, relay, counter, "CORP\\deploy", 77, BYTES(body)};
}

static void note_relay(void *context, uint16_t relay)
{
    uint32_t *seen = context;
    *seen |= 1U << relay;
}

static void site_credential_is_overwritten_and_dropped_by_site(void **state)
{
    struct place *place = *state;
    uint16_t other = 0;
    uint32_t count = 0;
    uint32_t seen = 0;
    uint64_t counter = 0;
    struct buf got;
    buf_init(&got, 1024);
    struct store_relay a = add_relay(place, "berlin-1", 11);
    struct store_relay b = add_relay(place, "berlin-2", 12);
    OK(store_site(place->store, "oslo", &other, &place->err));
    const struct store_site_credential puts[] = {
        credential_of(place->site, a.relay, 1, "old"),
        credential_of(place->site, a.relay, 2, "new"),
        credential_of(place->site, b.relay, 3, "b"),
        credential_of(other, a.relay, 4, "elsewhere"),
    };
    for (size_t i = 0; i < sizeof puts / sizeof *puts; i++)
        OK(store_site_credential_put(place->store, &puts[i], &place->err));
    reopen(place);
    OK(store_site_credential_get(place->store, place->site, a.relay, &counter, &got, &place->err));
    assert_int_equal(counter, 2);
    assert_blob(&got, "new");
    OK(store_credential_each(place->store, 0, note_relay, &seen, &place->err));
    assert_int_equal(seen, 3);
    OK(store_site_credential_drop(place->store, place->site, &count, &place->err));
    assert_int_equal(count, 2);
    assert_int_equal(
        store_site_credential_get(place->store, place->site, a.relay, NULL, NULL, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    OK(store_site_credential_get(place->store, other, a.relay, NULL, NULL, &place->err));
    /* What it has of a site that is not its own is of no use. */
    seen = 0;
    OK(store_credential_each(place->store, 0, note_relay, &seen, &place->err));
    assert_int_equal(seen, 0);
    OK(store_site_credential_drop(place->store, place->site, &count, &place->err));
    assert_int_equal(count, 0);
    buf_release(&got);
}

/* A committed push of one target. */
static uint64_t make_push(struct place *place, uint8_t id)
{
    static const uint8_t digest[LIMIT_DIGEST_BYTES] = {1};
    static const uint8_t key[LIMIT_KEY_BYTES] = {2};
    static const uint8_t job[] = "job";
    const struct store_push push = {.push = {{id}},
                                    .generation = 1,
                                    .package_name = "Tool.exe",
                                    .package_digest = digest,
                                    .operator_key = key,
                                    .account = "uid 1",
                                    .signed_job = job,
                                    .signed_job_size = sizeof job};
    char name[] = "pc-1";
    char *names[] = {name};
    uint64_t row = 0;
    OK(store_upload_begin(place->store, &push.push, 1, &row, &place->err));
    OK(store_upload_targets(place->store, row, place->site, 0, names, 1, &place->err));
    OK(store_push_commit(place->store, row, &push, &place->err));
    return row;
}

static void push_credentials_live_until_the_push_is_closed(void **state)
{
    struct place *place = *state;
    uint32_t seen = 0;
    struct buf got;
    buf_init(&got, 1024);
    struct store_relay a = add_relay(place, "berlin-1", 11);
    struct store_relay b = add_relay(place, "berlin-2", 12);
    uint64_t push = make_push(place, 1);
    uint64_t other = make_push(place, 2);
    OK(store_push_credential_put(place->store, push, a.relay, BYTES("x"), &place->err));
    OK(store_push_credential_put(place->store, push, a.relay, BYTES("a"), &place->err));
    OK(store_push_credential_put(place->store, push, b.relay, BYTES("b"), &place->err));
    OK(store_push_credential_put(place->store, other, b.relay, BYTES("c"), &place->err));
    reopen(place);
    OK(store_push_credential_get(place->store, push, a.relay, &got, &place->err));
    assert_blob(&got, "a");
    OK(store_credential_each(place->store, push, note_relay, &seen, &place->err));
    assert_int_equal(seen, 3);
    OK(store_push_state(place->store, push, PUSH_STOPPED, 5, &place->err));
    OK(store_push_credential_get(place->store, push, b.relay, &got, &place->err));
    assert_blob(&got, "b");
    OK(store_push_state(place->store, push, PUSH_CLOSED, 6, &place->err));
    assert_int_equal(store_push_credential_get(place->store, push, a.relay, &got, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    OK(store_push_credential_get(place->store, other, b.relay, &got, &place->err));
    assert_blob(&got, "c");
    OK(store_push_credential_drop(place->store, other, &place->err));
    assert_int_equal(store_push_credential_get(place->store, other, b.relay, &got, &place->err),
                     -1);
    buf_release(&got);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORE_TEST(token_put_is_listed_until_dropped),
        STORE_TEST(relay_added_is_pending_and_numbered),
        STORE_TEST(relay_of_private_mode_is_active),
        STORE_TEST(relay_standing_is_kept),
        STORE_TEST(certificate_put_is_the_relays_newest),
        STORE_TEST(certificate_larger_than_the_room_is_an_error),
        STORE_TEST(policies_are_all_kept),
        STORE_TEST(policy_of_a_version_that_is_there_is_never_overwritten),
        STORE_TEST(site_credential_is_overwritten_and_dropped_by_site),
        STORE_TEST(push_credentials_live_until_the_push_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
