/* A stolen coordinator against what an enrolled relay believes: 100,000 jobs, credentials,
 * certificates and policies that it altered, replayed, re-targeted or kept too long. None is taken.
 *
 * Usage: test_forged [ROUNDS [SEED]]     a round has 100,000 variants and a seed of its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/signed/objects.h"
#include "common/trust/merkle.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"
#include "relay/enrolment.h"
#include "relay/peers.h"
#include "relay/vet.h"

#define NOW_S 1700000000
#define ROUND_TRIES_MIN 100000U
#define ROUND_TRIES_MAX 200000U

struct place {
    char folder[64];
    struct key_pair operator_key, stranger, removed, coordinator;
    struct relay_state state;
    struct enrolment enrolment;
    struct job job;
    struct buf signed_job, sealed;
    uint64_t site_counter;
    uint64_t prng;
    uint32_t tries;
};

static uint64_t seed = 4711;

/* Repeatable, unlike random_bytes: a failure comes again. */
static uint32_t draw(struct place *place, uint32_t bound)
{
    place->prng = place->prng * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(place->prng >> 33) % bound;
}

static struct policy policy_of(struct place *place, uint64_t version)
{
    struct policy policy = {.version = version, .operator_count = 1, .coordinator_count = 1};
    memcpy(policy.operators[0], place->operator_key.public_key, LIMIT_KEY_BYTES);
    memcpy(policy.coordinators[0], place->coordinator.public_key, LIMIT_KEY_BYTES);
    return policy;
}

static struct certificate certificate_of(struct place *place, struct subnet *subnet,
                                         uint64_t serial)
{
    struct certificate certificate = {
        .relay = "lyon-1",
        .site = "lyon",
        .serial = serial,
        .not_before_unix_s = NOW_S - 1000,
        .not_after_unix_s = NOW_S + 100000,
        .subnets = subnet,
        .subnet_count = 1,
    };
    assert_int_equal(subnet_from_text("10.1.0.0/16", subnet, NULL), 0);
    memcpy(certificate.curve_key, place->state.curve.public_key, LIMIT_KEY_BYTES);
    memcpy(certificate.seal_key, place->state.seal.public_key, LIMIT_KEY_BYTES);
    return certificate;
}

static void take(struct place *place, const struct buf *object, enum enrolment_news expected)
{
    enum enrolment_news news;
    struct err err = {0};
    if (enrolment_take(&place->enrolment, &place->state, object->data, object->size, &news, &err))
        fail_msg("%s", err.text);
    assert_int_equal(news, expected);
}

/* Policies 1 and 2: an operator left with the second. Certificate 3. */
static void enrol(struct place *place)
{
    struct subnet subnet;
    struct buf object;
    struct policy policy = policy_of(place, 1);
    struct certificate certificate = certificate_of(place, &subnet, 3);
    memcpy(policy.operators[1], place->removed.public_key, LIMIT_KEY_BYTES);
    policy.operator_count = 2;
    buf_init(&object, OBJECT_BYTES_MAX);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    take(place, &object, ENROLMENT_POLICY);
    policy = policy_of(place, 2);
    buf_reset(&object);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    take(place, &object, ENROLMENT_POLICY);
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    take(place, &object, ENROLMENT_CERTIFICATE);
    buf_release(&object);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    *state = place;
    assert_int_equal(trust_start(NULL), 0);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-forged-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    key_pair_generate(&place->operator_key, KEY_OPERATOR);
    key_pair_generate(&place->stranger, KEY_OPERATOR);
    key_pair_generate(&place->removed, KEY_OPERATOR);
    key_pair_generate(&place->coordinator, KEY_CURVE);
    key_pair_generate(&place->state.curve, KEY_CURVE);
    key_pair_generate(&place->state.seal, KEY_SEAL);
    place->state.folder = mem_strdup(place->folder);
    (void)snprintf(place->enrolment.name, sizeof place->enrolment.name, "lyon-1");
    (void)snprintf(place->enrolment.site, sizeof place->enrolment.site, "lyon");
    place->prng = seed;
    place->job = (struct job){
        .push = {{9, 8, 7}},
        .generation = 1,
        .package_name = "setup.exe",
        .package_bytes = 10,
        .end_unix_s = NOW_S + 7200,
        .not_before_unix_s = NOW_S - 60,
        .not_after_unix_s = NOW_S + 3600,
        .target_count = 3,
        .counter = 4,
        .policy_version = 2,
    };
    buf_init(&place->signed_job, OBJECT_BYTES_MAX);
    buf_init(&place->sealed, OBJECT_BYTES_MAX);
    enrol(place);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    key_pair_release(&place->operator_key);
    key_pair_release(&place->stranger);
    key_pair_release(&place->removed);
    key_pair_release(&place->coordinator);
    relay_state_release(&place->state);
    enrolment_release(&place->enrolment);
    buf_release(&place->signed_job);
    buf_release(&place->sealed);
    (void)snprintf(command, sizeof command, "rm -rf %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void sign(struct place *place, const struct key_pair *key)
{
    struct buf payload;
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    buf_reset(&place->signed_job);
    assert_int_equal(wire_encode_job(&place->job, &payload, NULL), 0);
    assert_int_equal(
        signed_make(key, SIGNED_JOB, payload.data, payload.size, &place->signed_job, NULL), 0);
    buf_release(&payload);
}

static void seal_push(struct place *place, const struct key_pair *key, const struct key_pair *relay)
{
    struct credential credential = {.account = "ADMIN\\push", .secret = "s3cret"};
    struct seal_context context = {.push = place->job.push, .counter = place->job.counter};
    struct buf clear;
    buf_init(&clear, 4096);
    buf_reset(&place->sealed);
    assert_int_equal(wire_encode_credential(&credential, &clear, NULL), 0);
    assert_int_equal(
        seal_make(key, relay->public_key, &context, clear.data, clear.size, &place->sealed, NULL),
        0);
    buf_release(&clear);
}

static void seal_site(struct place *place, const struct key_pair *key, const struct key_pair *relay,
                      const char *site, uint64_t counter)
{
    struct credential clear = {.account = "ADMIN\\site", .secret = "s3cret"};
    struct site_credential terms = {.counter = counter, .account = "ADMIN\\site"};
    (void)snprintf(terms.site, sizeof terms.site, "%s", site);
    memcpy(terms.seal_key, relay->public_key, LIMIT_KEY_BYTES);
    buf_reset(&place->sealed);
    assert_int_equal(site_credential_make(&terms, &clear, key, &place->sealed, NULL), 0);
}

static void make_good(struct place *place)
{
    sign(place, &place->operator_key);
    if (place->job.site_credentials)
        seal_site(place, &place->operator_key, &place->state.seal, "lyon", 5);
    else
        seal_push(place, &place->operator_key, &place->state.seal);
}

/* Whether it would be worked on. */
static bool accepted_at(struct place *place, int64_t now_s, char refusal[LIMIT_DETAIL_SIZE])
{
    struct vet_config config = {
        .policy = &place->enrolment.policy,
        .certificate = &place->enrolment.certificate,
        .site_counter = place->site_counter,
        .seal = &place->state.seal,
        .now_unix_s = now_s,
    };
    struct message_job message = {place->signed_job.data, place->signed_job.size,
                                  place->sealed.data, place->sealed.size};
    struct vetted_job vetted;
    place->tries++;
    if (job_vet(&config, &message, &vetted, NULL) != 0)
        return false;
    bool accepted = vetted.accepted;
    assert_true(accepted == (vetted.credential != NULL));
    if (refusal)
        (void)snprintf(refusal, LIMIT_DETAIL_SIZE, "%s", vetted.owed ? "owed" : vetted.refusal);
    vetted_job_release(&vetted);
    return accepted;
}

static bool accepted(struct place *place)
{
    return accepted_at(place, NOW_S, NULL);
}

static void expect_refused(struct place *place, int64_t now_s, const char *text)
{
    char refusal[LIMIT_DETAIL_SIZE] = "";
    assert_false(accepted_at(place, now_s, refusal));
    if (!strstr(refusal, text))
        fail_msg("no \"%s\" in: %s", text, refusal);
}

static void expect_accepted(struct place *place)
{
    char refusal[LIMIT_DETAIL_SIZE] = "";
    if (!accepted_at(place, NOW_S, refusal))
        fail_msg("refused: %s", refusal);
}

/* Every byte, several values each; then cuts and joints at random places. */
static void alter_everywhere(struct place *place, struct buf *bytes, uint32_t values,
                             bool (*taken)(struct place *place))
{
    for (size_t at = 0; at < bytes->size; at++) {
        uint8_t was = bytes->data[at];
        for (uint32_t i = 0; i < values; i++) {
            bytes->data[at] = (uint8_t)(was ^ (1U + draw(place, 255)));
            if (taken(place))
                fail_msg("byte %zu of %zu altered, and taken", at, bytes->size);
        }
        bytes->data[at] = was;
    }
    size_t size = bytes->size;
    for (uint32_t i = 0; i < 500; i++) {
        bytes->size = draw(place, (uint32_t)size);
        if (taken(place))
            fail_msg("cut to %zu of %zu bytes, and taken", bytes->size, size);
    }
    bytes->size = size;
}

static void altered_jobs_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    expect_accepted(place);
    alter_everywhere(place, &place->signed_job, 160, accepted);
    expect_accepted(place);
}

static void altered_credentials_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    expect_accepted(place);
    alter_everywhere(place, &place->sealed, 40, accepted);
    place->job.site_credentials = true;
    make_good(place);
    expect_accepted(place);
    alter_everywhere(place, &place->sealed, 40, accepted);
    expect_accepted(place);
}

static struct buf *object_in_hand;

static bool object_taken(struct place *place)
{
    enum enrolment_news news;
    place->tries++;
    return enrolment_take(&place->enrolment, &place->state, object_in_hand->data,
                          object_in_hand->size, &news, NULL) == 0 &&
           news != ENROLMENT_NOTHING_NEW;
}

static void altered_certificates_and_policies_refused(void **state)
{
    struct place *place = *state;
    struct subnet subnet;
    struct buf object;
    struct certificate certificate = certificate_of(place, &subnet, 4);
    struct policy policy = policy_of(place, 3);
    buf_init(&object, OBJECT_BYTES_MAX);
    object_in_hand = &object;
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    alter_everywhere(place, &object, 40, object_taken);
    take(place, &object, ENROLMENT_CERTIFICATE);
    take(place, &object, ENROLMENT_NOTHING_NEW);
    buf_reset(&object);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    alter_everywhere(place, &object, 40, object_taken);
    take(place, &object, ENROLMENT_POLICY);
    take(place, &object, ENROLMENT_NOTHING_NEW);
    buf_release(&object);
}

/* What others signed, and what operators signed for something else. */
static void jobs_of_others_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    sign(place, &place->stranger);
    expect_refused(place, NOW_S, "names as operator");
    seal_push(place, &place->stranger, &place->state.seal);
    expect_refused(place, NOW_S, "names as operator");
    sign(place, &place->removed);
    seal_push(place, &place->removed, &place->state.seal);
    expect_refused(place, NOW_S, "names as operator");
    place->job.policy_version = 1; /* when he was one */
    sign(place, &place->removed);
    seal_push(place, &place->removed, &place->state.seal);
    expect_refused(place, NOW_S, "names as operator");
    place->job.policy_version = 0;
    make_good(place);
    expect_refused(place, NOW_S, "private mode");
    place->job.policy_version = 3;
    make_good(place);
    expect_refused(place, NOW_S, "owed");
    place->job.policy_version = 1; /* an older one, by somebody who still is */
    make_good(place);
    expect_accepted(place);
}

static void credentials_for_others_refused(void **state)
{
    struct place *place = *state;
    struct key_pair other = {0};
    key_pair_generate(&other, KEY_SEAL);
    make_good(place);
    seal_push(place, &place->operator_key, &other);
    expect_refused(place, NOW_S, "another relay");
    place->job.counter++;
    seal_push(place, &place->operator_key, &place->state.seal);
    expect_refused(place, NOW_S, "another signing");
    seal_site(place, &place->operator_key, &place->state.seal, "lyon", 5);
    expect_refused(place, NOW_S, "credential"); /* the site's in the place of the push's */
    place->job.site_credentials = true;
    make_good(place);
    expect_accepted(place);
    seal_push(place, &place->operator_key, &place->state.seal);
    expect_refused(place, NOW_S, "credential");
    seal_site(place, &place->operator_key, &place->state.seal, "paris", 5);
    expect_refused(place, NOW_S, "another site");
    seal_site(place, &place->operator_key, &other, "lyon", 5);
    expect_refused(place, NOW_S, "another relay");
    seal_site(place, &place->removed, &place->state.seal, "lyon", 5);
    expect_refused(place, NOW_S, "no operator");
    place->site_counter = 6;
    seal_site(place, &place->operator_key, &place->state.seal, "lyon", 5);
    expect_refused(place, NOW_S, "older");
    seal_site(place, &place->operator_key, &place->state.seal, "lyon", 6);
    expect_accepted(place);
    buf_reset(&place->sealed);
    expect_refused(place, NOW_S, "pusher cred set");
    key_pair_release(&other);
}

static void jobs_at_other_times_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    expect_refused(place, NOW_S - 361, "not valid yet");
    expect_refused(place, NOW_S + 3600 + 901, "expired");
    expect_refused(place, NOW_S + 100000, "certificate has expired");
    expect_refused(place, NOW_S - 1301, "certificate is not valid yet");
    for (uint32_t i = 0; i < 2000; i++) {
        int64_t late_s = NOW_S + 3600 + 901 + draw(place, 1000000000);
        int64_t early_s = NOW_S - 361 - draw(place, 1000000000);
        assert_false(accepted_at(place, late_s, NULL));
        assert_false(accepted_at(place, early_s, NULL));
    }
    expect_accepted(place);
}

static void expect_object_refused(struct place *place, const struct buf *object, const char *text)
{
    enum enrolment_news news;
    struct err err = {0};
    uint64_t version = place->enrolment.policy.version;
    uint64_t serial = place->enrolment.certificate.serial;
    place->tries++;
    int failed =
        enrolment_take(&place->enrolment, &place->state, object->data, object->size, &news, &err);
    assert_true(failed || news == ENROLMENT_NOTHING_NEW);
    if (text && !strstr(err.text, text))
        fail_msg("no \"%s\" in: %s", text, err.text);
    assert_true(place->enrolment.policy.version == version);
    assert_true(place->enrolment.certificate.serial == serial);
}

static void policies_out_of_order_or_by_others_refused(void **state)
{
    struct place *place = *state;
    struct buf object;
    struct policy policy = policy_of(place, 4);
    buf_init(&object, OBJECT_BYTES_MAX);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, "does not follow");
    policy.version = 1; /* back to before: true, and of no use */
    buf_reset(&object);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, NULL);
    policy.version = 3;
    memcpy(policy.operators[0], place->stranger.public_key, LIMIT_KEY_BYTES);
    buf_reset(&object);
    assert_int_equal(policy_make(&policy, &place->stranger, &object, NULL), 0);
    expect_object_refused(place, &object, "no operator");
    buf_reset(&object);
    assert_int_equal(policy_make(&policy, &place->removed, &object, NULL), 0);
    expect_object_refused(place, &object, "no operator");
    make_good(place);
    expect_object_refused(place, &place->signed_job, "kind");
    buf_release(&object);
}

static void certificates_for_others_refused(void **state)
{
    struct place *place = *state;
    struct subnet subnet;
    struct buf object;
    struct certificate good = certificate_of(place, &subnet, 9);
    struct certificate certificate = good;
    buf_init(&object, OBJECT_BYTES_MAX);
    assert_int_equal(certificate_make(&certificate, &place->stranger, &object, NULL), 0);
    expect_object_refused(place, &object, "no operator");
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->removed, &object, NULL), 0);
    expect_object_refused(place, &object, "no operator");
    (void)snprintf(certificate.site, sizeof certificate.site, "paris");
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, "site paris");
    certificate = good;
    (void)snprintf(certificate.relay, sizeof certificate.relay, "lyon-2");
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, "lyon-2");
    certificate = good;
    certificate.curve_key[0] ^= 1;
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, "other keys");
    certificate = good;
    certificate.serial = 2; /* one that was replaced */
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, NULL);
    buf_release(&object);
}

/* Targets that the operator named, at other numbers, and others. */
static void moved_targets_refused(void **state)
{
    struct place *place = *state;
    struct merkle_tree *tree = merkle_tree_new();
    struct merkle_leaf leaves[2];
    struct buf proof;
    char names[64][16];
    uint8_t root[MERKLE_HASH_BYTES];
    for (uint32_t i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof names[i], "10.1.0.%u", i);
        assert_int_equal(merkle_tree_add(tree, names[i], NULL), 0);
    }
    merkle_tree_root(tree, root);
    buf_init(&proof, 65536);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t low = draw(place, 63);
        uint32_t numbers[2] = {low, low + 1 + draw(place, 63 - low)};
        buf_reset(&proof);
        assert_int_equal(merkle_tree_prove(tree, numbers, 2, &proof, NULL), 0);
        uint32_t moved = draw(place, 64);
        uint32_t which = draw(place, 2);
        for (uint32_t k = 0; k < 2; k++)
            leaves[k] = (struct merkle_leaf){numbers[k], names[numbers[k]]};
        if (moved == numbers[which])
            continue;
        if (draw(place, 2) == 0)
            leaves[which].name = names[moved];
        else
            leaves[which].index = moved;
        place->tries++;
        assert_int_not_equal(merkle_verify(root, 64, leaves, 2, proof.data, proof.size, NULL), 0);
    }
    buf_release(&proof);
    merkle_tree_free(tree);
}

/* ---- peers ---- */

static int peer_of(struct place *place, struct peers *peers, const struct certificate *certificate,
                   const struct key_pair *signer, const uint8_t *key)
{
    struct buf object;
    struct message_peer message = {.serve = "tcp://10.1.0.9:7001"};
    buf_init(&object, OBJECT_BYTES_MAX);
    assert_int_equal(certificate_make(certificate, signer, &object, NULL), 0);
    memcpy(message.key, key, LIMIT_KEY_BYTES);
    message.certificate = object.data;
    message.certificate_size = object.size;
    int failed =
        peers_take(peers, &message, &place->enrolment.policy, &place->enrolment.certificate, NULL);
    buf_release(&object);
    return failed;
}

static void peers_of_the_same_site_let_in(void **state)
{
    struct place *place = *state;
    struct peers peers = {0};
    struct subnet subnet;
    struct key_pair other = {0};
    struct certificate certificate = certificate_of(place, &subnet, 2);
    key_pair_generate(&other, KEY_CURVE);
    memcpy(certificate.curve_key, other.public_key, LIMIT_KEY_BYTES);
    assert_false(peers_admit(&peers, other.public_key, NOW_S));
    assert_int_equal(peer_of(place, &peers, &certificate, &place->operator_key, other.public_key),
                     0);
    assert_true(peers_admit(&peers, other.public_key, NOW_S));
    assert_string_equal(peers_find(&peers, other.public_key)->serve, "tcp://10.1.0.9:7001");
    assert_false(peers_admit(&peers, other.public_key, certificate.not_after_unix_s));
    certificate.serial = 1;
    assert_int_not_equal(
        peer_of(place, &peers, &certificate, &place->operator_key, other.public_key), 0);
    struct message_peer gone = {.certificate_size = 0};
    memcpy(gone.key, other.public_key, LIMIT_KEY_BYTES);
    assert_int_equal(
        peers_take(&peers, &gone, &place->enrolment.policy, &place->enrolment.certificate, NULL),
        0);
    assert_false(peers_admit(&peers, other.public_key, NOW_S));
    key_pair_release(&other);
    peers_release(&peers);
}

static void peers_that_nobody_signed_for_the_site_kept_out(void **state)
{
    struct place *place = *state;
    struct peers peers = {0};
    struct subnet subnet;
    struct key_pair other = {0};
    struct certificate certificate = certificate_of(place, &subnet, 2);
    const uint8_t *key;
    key_pair_generate(&other, KEY_CURVE);
    key = other.public_key;
    memcpy(certificate.curve_key, key, LIMIT_KEY_BYTES);
    assert_int_not_equal(peer_of(place, &peers, &certificate, &place->stranger, key), 0);
    assert_int_not_equal(peer_of(place, &peers, &certificate, &place->removed, key), 0);
    assert_int_not_equal(
        peer_of(place, &peers, &certificate, &place->operator_key, place->coordinator.public_key),
        0);
    (void)snprintf(certificate.site, sizeof certificate.site, "paris");
    assert_int_not_equal(peer_of(place, &peers, &certificate, &place->operator_key, key), 0);
    assert_int_equal(peers.count, 0);
    key_pair_release(&other);
}

/* Until then good, now of a relay that was stolen. */
static void revoked_relays_jobs_certificates_and_peers_refused(void **state)
{
    struct place *place = *state;
    struct peers peers = {0};
    struct subnet subnet;
    struct key_pair other = {0};
    struct buf object;
    uint8_t revoked[2][LIMIT_KEY_BYTES];
    struct certificate certificate = certificate_of(place, &subnet, 2);
    struct policy policy = policy_of(place, place->enrolment.policy.version + 1);
    key_pair_generate(&other, KEY_CURVE);
    memcpy(certificate.curve_key, other.public_key, LIMIT_KEY_BYTES);
    make_good(place);
    expect_accepted(place);
    assert_int_equal(peer_of(place, &peers, &certificate, &place->operator_key, other.public_key),
                     0);
    memcpy(revoked[0], other.public_key, LIMIT_KEY_BYTES);
    memcpy(revoked[1], place->state.curve.public_key, LIMIT_KEY_BYTES);
    policy.revoked = revoked;
    policy.revoked_count = 2;
    buf_init(&object, OBJECT_BYTES_MAX);
    assert_int_equal(policy_make(&policy, &place->operator_key, &object, NULL), 0);
    take(place, &object, ENROLMENT_POLICY);
    expect_refused(place, NOW_S, "this relay's certificate is revoked");
    peers_revoke(&peers, &place->enrolment.policy);
    assert_false(peers_admit(&peers, other.public_key, NOW_S));
    assert_int_not_equal(
        peer_of(place, &peers, &certificate, &place->operator_key, other.public_key), 0);
    certificate = certificate_of(place, &subnet, place->enrolment.certificate.serial + 1);
    buf_reset(&object);
    assert_int_equal(certificate_make(&certificate, &place->operator_key, &object, NULL), 0);
    expect_object_refused(place, &object, "revoked");
    buf_release(&object);
    key_pair_release(&other);
    peers_release(&peers);
}

static uint32_t tries_in_all;

static int count_and_teardown(void **state)
{
    tries_in_all += ((struct place *)*state)->tries;
    return teardown(state);
}

static void enough_was_tried(void **state)
{
    (void)state;
    print_message("seed %llu: %u variants\n", (unsigned long long)seed, tries_in_all);
    assert_true(tries_in_all >= ROUND_TRIES_MIN);
    assert_true(tries_in_all <= ROUND_TRIES_MAX);
    tries_in_all = 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, count_and_teardown)

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    const struct CMUnitTest tests[] = {
        CASE(altered_jobs_refused),
        CASE(altered_credentials_refused),
        CASE(altered_certificates_and_policies_refused),
        CASE(jobs_of_others_refused),
        CASE(credentials_for_others_refused),
        CASE(jobs_at_other_times_refused),
        CASE(policies_out_of_order_or_by_others_refused),
        CASE(certificates_for_others_refused),
        CASE(moved_targets_refused),
        CASE(peers_of_the_same_site_let_in),
        CASE(peers_that_nobody_signed_for_the_site_kept_out),
        CASE(revoked_relays_jobs_certificates_and_peers_refused),
        cmocka_unit_test(enough_was_tried),
    };
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    for (; rounds > 0; rounds--, seed++)
        if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
            return 1;
    return 0;
}
