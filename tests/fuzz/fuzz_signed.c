/* common/signed, trust/signed, trust/seal, relay/vet: signed jobs, credentials, policies,
 * certificates and site credentials, as a coordinator that was taken over would hand them to a
 * relay.
 *
 * Input: how, kind, then bytes. Holds: what the operator did not sign is never accepted, neither
 * raw bytes, nor what a stranger signed, nor a good object with anything changed; what the operator
 * signed is accepted as the kind it is signed as and no other; a refusal says why. */
#include <string.h>

#include "common/signed/objects.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "fuzz.h"
#include "relay/vet.h"
#include "signed_world.h"

static const struct signed_world *world;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    world = signed_world();
    return 0;
}

static bool accepts_job(const uint8_t *bytes, size_t size, struct err *err)
{
    const struct vet_config config = {.policy = &world->policy,
                                      .certificate = &world->certificate,
                                      .seal = &world->seal,
                                      .now_unix_s = WORLD_NOW_S};
    struct buf copy;
    buf_init(&copy, OBJECT_BYTES_MAX + 1);
    buf_bytes(&copy, bytes, size);
    struct message_job message = {copy.data, copy.size, world->objects[SIGNED_CREDENTIAL].data,
                                  world->objects[SIGNED_CREDENTIAL].size};
    struct vetted_job vetted;
    bool accepted = false;
    if (job_vet(&config, &message, &vetted, err) == 0) {
        accepted = vetted.accepted;
        FUZZ_CHECK(accepted == (vetted.credential != NULL));
        if (!accepted)
            (void)err_set(err, ERR_DENIED, "%s", vetted.owed ? "owed" : vetted.refusal);
        vetted_job_release(&vetted);
    }
    buf_release(&copy);
    return accepted;
}

static bool accepts_seal(const uint8_t *bytes, size_t size, struct err *err)
{
    struct seal_context expected = {.push = world->job.push, .counter = world->job.counter};
    uint8_t *clear = NULL;
    size_t clear_size = 0;
    memcpy(expected.signer, world->operator_key.public_key, LIMIT_KEY_BYTES);
    bool accepted = seal_open(bytes, size, &world->seal, &expected, &clear, &clear_size, err) == 0;
    secret_free(clear);
    return accepted;
}

static bool accepts_policy(const uint8_t *bytes, size_t size, struct err *err)
{
    struct policy policy = {0};
    if (policy_open(bytes, size, &world->policy, &policy, err) != 0)
        return false;
    FUZZ_CHECK(policy.version == 2 && policy.operator_count > 0 && policy.coordinator_count > 0);
    policy_release(&policy);
    return true;
}

static bool accepts_certificate(const uint8_t *bytes, size_t size, struct err *err)
{
    struct certificate certificate = {0};
    if (certificate_open(bytes, size, &world->policy, WORLD_NOW_S, &certificate, err) != 0)
        return false;
    FUZZ_CHECK(certificate.not_after_unix_s > WORLD_NOW_S && certificate.subnet_count > 0);
    FUZZ_CHECK(certificate.serial != 0 && certificate.site[0] != '\0');
    certificate_release(&certificate);
    return true;
}

static bool accepts_site_credential(const uint8_t *bytes, size_t size, struct err *err)
{
    const struct site_credential_terms terms = {
        .policy = &world->policy, .site = "paris", .seal = &world->seal, .counter_min = 7};
    struct credential *clear = NULL;
    uint64_t counter = 0;
    bool accepted = site_credential_open(bytes, size, &terms, &clear, &counter, err) == 0;
    FUZZ_CHECK(accepted == (clear != NULL) && (!accepted || counter >= 7));
    credential_free(clear);
    return accepted;
}

typedef bool opener(const uint8_t *bytes, size_t size, struct err *err);

static bool accepts(unsigned kind, const uint8_t *bytes, size_t size)
{
    static opener *const openers[SIGNED_KIND_COUNT] = {
        [SIGNED_JOB] = accepts_job,
        [SIGNED_CREDENTIAL] = accepts_seal,
        [SIGNED_POLICY] = accepts_policy,
        [SIGNED_CERTIFICATE] = accepts_certificate,
        [SIGNED_SITE_CREDENTIAL] = accepts_site_credential,
    };
    struct err err = {0};
    bool accepted = openers[kind](bytes, size, &err);
    if (!accepted)
        fuzz_check_error(&err);
    return accepted;
}

/* Signs the input as a payload of this kind and offers it as this one, and as another. */
static void try_payload(unsigned kind, unsigned other, struct cursor *in, bool stranger)
{
    struct buf object;
    size_t size = cursor_left(in);
    buf_init(&object, OBJECT_BYTES_MAX);
    FUZZ_CHECK(signed_make(stranger ? &world->stranger : &world->operator_key,
                           (enum signed_kind)kind, cursor_bytes(in, size), size, &object,
                           NULL) == 0);
    bool accepted = accepts(kind, object.data, object.size);
    FUZZ_CHECK(!(stranger && accepted));
    if (other != kind)
        FUZZ_CHECK(!accepts(other, object.data, object.size));
    buf_release(&object);
}

/* Changes a good object as the input says. */
static void change(struct buf *object, struct cursor *in)
{
    for (int i = 0; i < 4 && cursor_left(in) > 0; i++) {
        uint8_t how = cursor_u8(in);
        size_t at = cursor_u16le(in) % object->size;
        uint8_t with = cursor_u8(in);
        if (how % 4 == 0 && at > 0)
            object->size = at;
        else if (how % 4 == 1)
            buf_u8(object, with);
        else
            object->data[at] ^= with;
    }
}

static void try_changed(unsigned kind, struct cursor *in)
{
    const struct buf *good = &world->objects[kind];
    struct buf object;
    buf_init(&object, OBJECT_BYTES_MAX + 4);
    buf_bytes(&object, good->data, good->size);
    change(&object, in);
    FUZZ_CHECK(accepts(kind, object.data, object.size) == fuzz_same(good, &object));
    buf_release(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(data, size);
    uint8_t how = cursor_u8(&in);
    unsigned kinds = cursor_u8(&in);
    unsigned kind = 1 + kinds % (SIGNED_KIND_COUNT - 1);
    unsigned other = 1 + kinds / 16 % (SIGNED_KIND_COUNT - 1);
    enum signed_kind said = SIGNED_JOB;
    uint8_t signer[LIMIT_KEY_BYTES];
    if (size < 2 || size > SIGNED_PAYLOAD_MAX)
        return 0;
    switch (how % 4) {
    case 0:
        if (object_look(data + 2, size - 2, &said, signer, NULL) != 0)
            FUZZ_CHECK(!accepts(kind, data + 2, size - 2));
        break;
    case 1:
        try_payload(kind, other, &in, false);
        break;
    case 2:
        try_payload(kind, other, &in, true);
        break;
    default:
        try_changed(kind, &in);
    }
    return 0;
}
