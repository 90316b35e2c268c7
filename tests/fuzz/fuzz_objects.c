/* common/wire: what is encoded alone (jobs, policies, certificates, site credentials, credentials,
 * outcomes), as it stands in signed objects, sealed boxes, journals and stores.
 *
 * Input: which, then bytes. Holds: what is decoded encodes again, to bytes that decode to the same;
 * a refusal says why, leaves nothing, and quotes nothing of a credential; memory is bounded. */
#include <stdlib.h>
#include <string.h>

#include "common/wire/wire.h"
#include "fuzz.h"

#define MEMORY_MAX (3U * WIRE_MEMORY_MAX)

union object {
    struct job job;
    struct policy policy;
    struct certificate certificate;
    struct site_credential site_credential;
    struct credential credential;
    struct outcome outcome;
};

struct kind {
    int (*decode)(const uint8_t *bytes, size_t size, union object *out, struct err *err);
    int (*encode)(const union object *object, struct buf *out, struct err *err);
    void (*release)(union object *object); /* NULL: it owns nothing */
};

#define KIND(name)                                                                                 \
    static int decode_##name(const uint8_t *bytes, size_t size, union object *out,                 \
                             struct err *err)                                                      \
    {                                                                                              \
        return wire_decode_##name(bytes, size, &out->name, err);                                   \
    }                                                                                              \
    static int encode_##name(const union object *object, struct buf *out, struct err *err)         \
    {                                                                                              \
        return wire_encode_##name(&object->name, out, err);                                        \
    }
#define OWNER(name)                                                                                \
    KIND(name)                                                                                     \
    static void release_##name(union object *object)                                               \
    {                                                                                              \
        name##_release(&object->name);                                                             \
    }

KIND(job)
KIND(credential)
KIND(outcome)
OWNER(policy)
OWNER(certificate)
OWNER(site_credential)

static const struct kind kinds[] = {
    {decode_job, encode_job, NULL},
    {decode_policy, encode_policy, release_policy},
    {decode_certificate, encode_certificate, release_certificate},
    {decode_site_credential, encode_site_credential, release_site_credential},
    {decode_credential, encode_credential, NULL},
    {decode_outcome, encode_outcome, NULL},
};

static void round_trip(const struct kind *kind, union object *first)
{
    static union object second;
    struct err err = {0};
    struct buf once;
    struct buf twice;
    buf_init(&once, WIRE_MEMORY_MAX);
    buf_init(&twice, WIRE_MEMORY_MAX);
    FUZZ_CHECK(kind->encode(first, &once, &err) == 0);
    FUZZ_CHECK(kind->decode(once.data, once.size, &second, &err) == 0);
    FUZZ_CHECK(kind->encode(&second, &twice, &err) == 0);
    FUZZ_CHECK(fuzz_same(&once, &twice));
    if (kind->release != NULL)
        kind->release(&second);
    buf_release(&once);
    buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static union object object;
    if (size == 0)
        return 0;
    const struct kind *kind = &kinds[data[0] % (sizeof kinds / sizeof kinds[0])];
    struct err err = {0};
    memset(&object, 0, sizeof object);
    fuzz_memory_start();
    int result = kind->decode(data + 1, size - 1, &object, &err);
    FUZZ_CHECK(fuzz_memory_taken() <= MEMORY_MAX);
    if (result != 0) {
        fuzz_check_error(&err);
        for (size_t i = 0; i < sizeof object; i++)
            FUZZ_CHECK(((const unsigned char *)&object)[i] == 0);
        return 0;
    }
    round_trip(kind, &object);
    if (kind->release != NULL)
        kind->release(&object);
    return 0;
}
