/* Good signed objects of every kind. */
#include "signed_world.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/signed/objects.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"
#include "fuzz.h"

static void make_key(struct key_pair *pair, enum key_kind kind, uint8_t fill)
{
    uint8_t seed[LIMIT_KEY_BYTES];
    memset(seed, fill, sizeof seed);
    FUZZ_CHECK(key_pair_from_secret(pair, kind, seed, NULL) == 0);
}

static void make_subnets(struct subnet **subnets, uint32_t *count)
{
    *count = 2;
    *subnets = mem_new(2, sizeof **subnets);
    FUZZ_CHECK(subnet_from_text("10.1.0.0/16", &(*subnets)[0], NULL) == 0);
    FUZZ_CHECK(subnet_from_text("2001:db8::/48", &(*subnets)[1], NULL) == 0);
}

static void make_policy(struct signed_world *world)
{
    struct policy *policy = &world->policy;
    policy->made_unix_s = WORLD_NOW_S - 1000;
    memcpy(policy->operators[0], world->operator_key.public_key, LIMIT_KEY_BYTES);
    policy->operator_count = 1;
    memset(policy->coordinators[0], 3, LIMIT_KEY_BYTES);
    policy->coordinator_count = 1;
    policy->never_names = mem_new(1, sizeof *policy->never_names);
    policy->never_names[0] = mem_strdup("dc-*");
    policy->never_name_count = 1;
    make_subnets(&policy->never_subnets, &policy->never_subnet_count);
    policy->version = 2;
    FUZZ_CHECK(policy_make(policy, &world->operator_key, &world->objects[SIGNED_POLICY], NULL) ==
               0);
    policy->version = 1;
}

static void make_certificate(struct signed_world *world)
{
    struct certificate *certificate = &world->certificate;
    memcpy(certificate->relay, "paris-1", sizeof "paris-1");
    memcpy(certificate->site, "paris", sizeof "paris");
    memset(certificate->curve_key, 5, LIMIT_KEY_BYTES);
    memcpy(certificate->seal_key, world->seal.public_key, LIMIT_KEY_BYTES);
    certificate->serial = 9;
    certificate->not_before_unix_s = WORLD_NOW_S - 500;
    certificate->not_after_unix_s = WORLD_NOW_S + 500;
    make_subnets(&certificate->subnets, &certificate->subnet_count);
    FUZZ_CHECK(certificate_make(certificate, &world->operator_key,
                                &world->objects[SIGNED_CERTIFICATE], NULL) == 0);
}

static void make_job(struct signed_world *world)
{
    struct buf payload;
    world->job = (struct job){
        .push = {{9, 8, 7}},
        .generation = 1,
        .package_name = "setup.exe",
        .package_bytes = 10,
        .end_unix_s = WORLD_NOW_S + 7200,
        .not_before_unix_s = WORLD_NOW_S - 60,
        .not_after_unix_s = WORLD_NOW_S + 3600,
        .target_count = 3,
        .counter = 4,
        .policy_version = 1,
    };
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    FUZZ_CHECK(wire_encode_job(&world->job, &payload, NULL) == 0);
    FUZZ_CHECK(signed_make(&world->operator_key, SIGNED_JOB, payload.data, payload.size,
                           &world->objects[SIGNED_JOB], NULL) == 0);
    buf_release(&payload);
}

static void make_credentials(struct signed_world *world)
{
    const struct credential credential = {.account = "ADMIN\\push", .secret = "s3cret"};
    const struct seal_context context = {.push = world->job.push, .counter = world->job.counter};
    struct site_credential terms = {.site = "paris", .counter = 7, .account = "ADMIN\\push"};
    struct buf clear;
    buf_init(&clear, 4096);
    FUZZ_CHECK(wire_encode_credential(&credential, &clear, NULL) == 0);
    FUZZ_CHECK(seal_make(&world->operator_key, world->seal.public_key, &context, clear.data,
                         clear.size, &world->objects[SIGNED_CREDENTIAL], NULL) == 0);
    buf_release(&clear);
    memcpy(terms.seal_key, world->seal.public_key, LIMIT_KEY_BYTES);
    FUZZ_CHECK(site_credential_make(&terms, &credential, &world->operator_key,
                                    &world->objects[SIGNED_SITE_CREDENTIAL], NULL) == 0);
}

const struct signed_world *signed_world(void)
{
    static struct signed_world world;
    if (world.policy.version != 0)
        return &world;
    FUZZ_CHECK(trust_start(NULL) == 0);
    for (int kind = 0; kind < SIGNED_KIND_COUNT; kind++)
        buf_init(&world.objects[kind], OBJECT_BYTES_MAX);
    make_key(&world.operator_key, KEY_OPERATOR, 1);
    make_key(&world.stranger, KEY_OPERATOR, 2);
    make_key(&world.seal, KEY_SEAL, 4);
    make_policy(&world);
    make_certificate(&world);
    make_job(&world);
    make_credentials(&world);
    return &world;
}
