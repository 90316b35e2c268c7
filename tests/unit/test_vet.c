/* Which signed jobs a relay takes: each way of being wrong is refused, with its own sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "relay/vet.h"

#define NOW_S 1700000000

struct place {
    char folder[64];
    char key_file[128];
    struct key_pair operator_key, seal;
    struct job job;
    struct buf signed_job, sealed;
    struct vetted_job vetted;
    struct policy policy; /* version 0: private mode */
    struct certificate certificate;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char text[KEY_TEXT_SIZE];
    char push[PUSH_ID_TEXT_SIZE];
    assert_non_null(place);
    *state = place;
    assert_int_equal(trust_start(NULL), 0);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/pusher-vet-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    key_pair_generate(&place->operator_key, KEY_OPERATOR);
    key_pair_generate(&place->seal, KEY_SEAL);
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
    };
    push_id_text(&place->job.push, push);
    (void)snprintf(place->key_file, sizeof place->key_file, "%s/%s.pub", place->folder, push);
    key_text(place->operator_key.public_key, text);
    FILE *file = fopen(place->key_file, "w");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", text);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(place->key_file, 0600), 0);
    buf_init(&place->signed_job, SIGNED_PAYLOAD_MAX + SIGNED_OVERHEAD_BYTES);
    buf_init(&place->sealed, 8192);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    vetted_job_release(&place->vetted);
    key_pair_release(&place->operator_key);
    key_pair_release(&place->seal);
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

static void seal_for(struct place *place, const struct key_pair *key, uint64_t counter)
{
    struct credential credential = {.account = "ADMIN\\push", .secret = "s3cret"};
    struct seal_context context = {.push = place->job.push, .counter = counter};
    struct buf clear;
    buf_init(&clear, 4096);
    buf_reset(&place->sealed);
    assert_int_equal(wire_encode_credential(&credential, &clear, NULL), 0);
    assert_int_equal(seal_make(key, place->seal.public_key, &context, clear.data, clear.size,
                               &place->sealed, NULL),
                     0);
    buf_release(&clear);
}

static int vet(struct place *place)
{
    struct vet_config config = {.operators = place->folder,
                                .policy = place->policy.version > 0 ? &place->policy : NULL,
                                .certificate = &place->certificate,
                                .seal = &place->seal,
                                .now_unix_s = NOW_S};
    struct message_job message = {place->signed_job.data, place->signed_job.size,
                                  place->sealed.data, place->sealed.size};
    vetted_job_release(&place->vetted);
    return job_vet(&config, &message, &place->vetted, NULL);
}

static void make_good(struct place *place)
{
    sign(place, &place->operator_key);
    seal_for(place, &place->operator_key, place->job.counter);
}

static void expect_refused(struct place *place, const char *text)
{
    assert_int_equal(vet(place), 0);
    assert_false(place->vetted.accepted);
    assert_null(place->vetted.credential);
    assert_true(push_id_equal(&place->vetted.job.push, &place->job.push));
    if (!strstr(place->vetted.refusal, text))
        fail_msg("no \"%s\" in: %s", text, place->vetted.refusal);
}

static void good_job_accepted_with_credential(void **state)
{
    struct place *place = *state;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    assert_string_equal(place->vetted.credential->account, "ADMIN\\push");
    assert_string_equal(place->vetted.credential->secret, "s3cret");
    assert_string_equal(place->vetted.job.package_name, "setup.exe");
}

static void every_flipped_bit_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    for (size_t i = 0; i < place->signed_job.size; i++) {
        place->signed_job.data[i] ^= 0x10;
        if (vet(place) == 0)
            assert_false(place->vetted.accepted);
        place->signed_job.data[i] ^= 0x10;
    }
}

static void every_cut_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    size_t size = place->signed_job.size;
    for (size_t cut = 0; cut < size; cut++) {
        place->signed_job.size = cut;
        if (vet(place) == 0)
            assert_false(place->vetted.accepted);
    }
    place->signed_job.size = size;
}

static void bad_signature_names_the_push(void **state)
{
    struct place *place = *state;
    make_good(place);
    place->signed_job.data[place->signed_job.size - 1] ^= 1;
    expect_refused(place, "signature");
}

static void other_signer_refused(void **state)
{
    struct place *place = *state;
    struct key_pair stranger = {0};
    key_pair_generate(&stranger, KEY_OPERATOR);
    sign(place, &stranger);
    seal_for(place, &stranger, place->job.counter);
    expect_refused(place, "another key");
    key_pair_release(&stranger);
}

static void key_of_another_push_refused(void **state)
{
    struct place *place = *state;
    place->job.push.bytes[0] ^= 1;
    make_good(place);
    expect_refused(place, "no operator key");
}

static void key_file_others_may_write_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    assert_int_equal(chmod(place->key_file, 0666), 0);
    expect_refused(place, "only we may write");
    assert_int_equal(chmod(place->key_file, 0600), 0);
    assert_int_equal(chmod(place->folder, 0777), 0);
    expect_refused(place, "others may write");
}

static void job_of_the_future_refused(void **state)
{
    struct place *place = *state;
    place->job.not_before_unix_s = NOW_S + 299;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    place->job.not_before_unix_s = NOW_S + 301;
    make_good(place);
    expect_refused(place, "clocks");
}

static void job_registered_after_its_end_refused(void **state)
{
    struct place *place = *state;
    place->job.not_after_unix_s = place->job.end_unix_s + 1;
    make_good(place);
    expect_refused(place, "after its own end");
}

static void job_long_past_its_end_refused(void **state)
{
    struct place *place = *state;
    place->job.not_before_unix_s = NOW_S - 7200;
    place->job.not_after_unix_s = place->job.end_unix_s = NOW_S - 900;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted); /* what it registered may yet be looked at */
    place->job.not_after_unix_s = place->job.end_unix_s = NOW_S - 901;
    make_good(place);
    expect_refused(place, "expired");
}

static void job_for_enrolled_relays_refused_in_private_mode(void **state)
{
    struct place *place = *state;
    place->job.policy_version = 1;
    make_good(place);
    expect_refused(place, "this one is private");
    place->job.policy_version = 0;
    place->job.site_credentials = true;
    make_good(place);
    expect_refused(place, "this one is private");
}

static void job_that_waits_without_terms_refused(void **state)
{
    struct place *place = *state;
    place->job.wait = true;
    place->job.run_timeout_s = 3600;
    make_good(place);
    expect_refused(place, "names none as success");
    place->job.success_code_count = 1;
    place->job.run_timeout_s = 0;
    make_good(place);
    expect_refused(place, "without a time limit");
    place->job.run_timeout_s = 3600;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    place->job.wait = false;
    place->job.cleanup = true;
    make_good(place);
    expect_refused(place, "without waiting");
}

static void cleanup_of_no_push_refused(void **state)
{
    struct place *place = *state;
    place->job.action = JOB_CLEANUP;
    place->job.package_bytes = 0; /* it brings none */
    make_good(place);
    expect_refused(place, "does not say after which push");
    place->job.of_push.bytes[0] = 1;
    place->job.of_generation = 1;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    place->job.wait = true;
    make_good(place);
    expect_refused(place, "can't wait");
}

static void package_name_of_a_device_refused(void **state)
{
    struct place *place = *state;
    (void)snprintf(place->job.package_name, sizeof place->job.package_name, "CON.exe");
    make_good(place);
    expect_refused(place, "CON");
}

static void command_that_a_shell_takes_apart_refused(void **state)
{
    struct place *place = *state;
    (void)snprintf(place->job.package_name, sizeof place->job.package_name, "x.cmd");
    (void)snprintf(place->job.command, sizeof place->job.command, "cmd.exe");
    (void)snprintf(place->job.arguments, sizeof place->job.arguments,
                   "/d /s /c \"\"C:\\SPDISTRO\\x.cmd\" & net user\"");
    make_good(place);
    expect_refused(place, "cmd");
}

/* A relay that is enrolled, under policy 3 with one operator. */
static void enrol(struct place *place)
{
    place->policy = (struct policy){.version = 3, .operator_count = 1};
    memcpy(place->policy.operators[0], place->operator_key.public_key, LIMIT_KEY_BYTES);
    place->certificate =
        (struct certificate){.serial = 1, .not_before_unix_s = 1, .not_after_unix_s = NOW_S + 1};
    place->job.policy_version = 3;
}

static void enrolled_relay_obeys_the_operators_of_its_policy_only(void **state)
{
    struct place *place = *state;
    struct key_pair stranger = {0};
    enrol(place);
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    key_pair_generate(&stranger, KEY_OPERATOR);
    sign(place, &stranger);
    seal_for(place, &stranger, place->job.counter);
    expect_refused(place, "signed by nobody that policy version 3 names");
    key_pair_release(&stranger);
    place->job.policy_version = 0;
    make_good(place);
    expect_refused(place, "private mode");
    place->job.policy_version = 2; /* the newest one counts */
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.accepted);
    place->certificate.not_after_unix_s = NOW_S;
    expect_refused(place, "certificate has expired");
}

static void job_of_a_policy_still_to_come_is_owed(void **state)
{
    struct place *place = *state;
    enrol(place);
    place->job.policy_version = 4;
    make_good(place);
    assert_int_equal(vet(place), 0);
    assert_true(place->vetted.owed);
    assert_false(place->vetted.accepted);
    assert_null(place->vetted.credential);
}

static void credential_missing_refused(void **state)
{
    struct place *place = *state;
    make_good(place);
    buf_reset(&place->sealed);
    expect_refused(place, "no credential");
}

static void credential_of_other_job_refused(void **state)
{
    struct place *place = *state;
    sign(place, &place->operator_key);
    seal_for(place, &place->operator_key, place->job.counter - 1);
    expect_refused(place, "credential");
}

static void credential_of_other_operator_refused(void **state)
{
    struct place *place = *state;
    struct key_pair stranger = {0};
    key_pair_generate(&stranger, KEY_OPERATOR);
    sign(place, &place->operator_key);
    seal_for(place, &stranger, place->job.counter);
    expect_refused(place, "credential");
    key_pair_release(&stranger);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(good_job_accepted_with_credential),
        CASE(every_flipped_bit_refused),
        CASE(every_cut_refused),
        CASE(bad_signature_names_the_push),
        CASE(other_signer_refused),
        CASE(key_of_another_push_refused),
        CASE(key_file_others_may_write_refused),
        CASE(job_of_the_future_refused),
        CASE(job_registered_after_its_end_refused),
        CASE(job_long_past_its_end_refused),
        CASE(job_for_enrolled_relays_refused_in_private_mode),
        CASE(job_that_waits_without_terms_refused),
        CASE(cleanup_of_no_push_refused),
        CASE(package_name_of_a_device_refused),
        CASE(command_that_a_shell_takes_apart_refused),
        CASE(enrolled_relay_obeys_the_operators_of_its_policy_only),
        CASE(job_of_a_policy_still_to_come_is_owed),
        CASE(credential_missing_refused),
        CASE(credential_of_other_job_refused),
        CASE(credential_of_other_operator_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
