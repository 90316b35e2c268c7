/* common/wire: policies, certificates and site credentials there and back, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/wire.h"
#include "wire_samples.h"

#define OBJECT_BYTES_MAX (4U << 20)

static struct subnet *new_subnets(uint32_t count)
{
    struct subnet *subnets = mem_new(count, sizeof *subnets);
    for (uint32_t i = 0; i < count; i++) {
        const char *text = i % 2 == 0 ? "10.1.0.0/16" : "2001:db8::/48";
        assert_int_equal(subnet_from_text(text, &subnets[i], NULL), 0);
    }
    return subnets;
}

static void fill_policy(struct policy *policy, uint32_t entries)
{
    FILL(policy);
    policy->operator_count = LIMIT_POLICY_OPERATORS;
    policy->coordinator_count = LIMIT_POLICY_COORDINATORS;
    policy->never_name_count = entries;
    policy->never_names = new_texts(entries, 16);
    policy->never_subnet_count = entries;
    policy->never_subnets = new_subnets(entries);
    policy->revoked_count = entries < LIMIT_POLICY_REVOKED ? entries : LIMIT_POLICY_REVOKED;
    policy->revoked = mem_new(policy->revoked_count, sizeof *policy->revoked);
    for (uint32_t i = 0; i < policy->revoked_count; i++)
        memset(policy->revoked[i], (int)i, LIMIT_KEY_BYTES);
}

static void same_policy(const struct policy *a, const struct policy *b)
{
    struct policy x = *a;
    struct policy y = *b;
    same_texts(x.never_names, x.never_name_count, y.never_names, y.never_name_count);
    assert_int_equal(x.never_subnet_count, y.never_subnet_count);
    for (uint32_t i = 0; i < x.never_subnet_count; i++)
        SAME(&x.never_subnets[i], &y.never_subnets[i]);
    assert_int_equal(x.revoked_count, y.revoked_count);
    for (uint32_t i = 0; i < x.revoked_count; i++)
        SAME(&x.revoked[i], &y.revoked[i]);
    x.revoked = y.revoked;
    x.never_names = y.never_names;
    x.never_subnets = y.never_subnets;
    SAME(&x, &y);
}

static void policy_round_trips_up_to_its_limits(void **state)
{
    (void)state;
    const uint32_t entries[] = {1, 7, LIMIT_NEVER_ENTRIES};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct policy before;
        struct policy after;
        struct err err = {0};
        struct buf bytes;
        fill_policy(&before, entries[i]);
        buf_init(&bytes, OBJECT_BYTES_MAX);
        assert_int_equal(wire_encode_policy(&before, &bytes, &err), 0);
        assert_int_equal(wire_decode_policy(bytes.data, bytes.size, &after, &err), 0);
        same_policy(&before, &after);
        policy_release(&before);
        policy_release(&after);
        buf_release(&bytes);
    }
}

static void policy_beyond_its_limits_is_refused(void **state)
{
    (void)state;
    struct policy policy;
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    fill_policy(&policy, LIMIT_NEVER_ENTRIES + 1);
    assert_int_equal(wire_encode_policy(&policy, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    policy_release(&policy);
    fill_policy(&policy, 1);
    policy.operator_count = LIMIT_POLICY_OPERATORS + 1;
    assert_int_equal(wire_encode_policy(&policy, &bytes, &err), -1);
    policy.operator_count = 1;
    policy.coordinator_count = LIMIT_POLICY_COORDINATORS + 1;
    assert_int_equal(wire_encode_policy(&policy, &bytes, &err), -1);
    assert_int_equal(bytes.size, 0);
    policy_release(&policy);
    buf_release(&bytes);
}

/* Field `field` of `type` 2, `size` bytes long, `count` times. */
static void repeat_field(struct buf *out, unsigned field, const char *text, size_t size,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_u8(out, (uint8_t)(field << 3 | 2));
        buf_u8(out, (uint8_t)size);
        buf_bytes(out, text, size);
    }
}

static void policy_of_a_hostile_encoder_is_refused(void **state)
{
    (void)state;
    static const char zeroes[LIMIT_KEY_BYTES];
    static const struct {
        unsigned field;
        const char *text;
        size_t size;
        uint32_t count;
        const char *why;
    } rows[] = {
        {3, zeroes, LIMIT_KEY_BYTES, LIMIT_POLICY_OPERATORS + 1, "too large"},
        {4, zeroes, LIMIT_KEY_BYTES, LIMIT_POLICY_COORDINATORS + 1, "too large"},
        {3, zeroes, LIMIT_KEY_BYTES - 1, 1, "wrong length"},
        {5, "a", 1, LIMIT_NEVER_ENTRIES + 1, "too many"},
        {5, "a\0b", 3, 1, "contains a NUL"},
        {6, "10.0.0.0/8", 10, LIMIT_NEVER_ENTRIES + 1, "too many"},
        {6, "10.0.0.1/8", 10, 1, "is none"},
        {6, "", 0, 1, "is none"},
        {7, "0123456789abcdef0123456789abcdef", 32, LIMIT_POLICY_REVOKED + 1, "too many"},
        {7, "0123456789abcdef0123456789abcde", 31, 1, "revoked key"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy policy;
        struct err err = {0};
        struct buf bytes;
        buf_init(&bytes, OBJECT_BYTES_MAX);
        repeat_field(&bytes, rows[i].field, rows[i].text, rows[i].size, rows[i].count);
        assert_int_equal(wire_decode_policy(bytes.data, bytes.size, &policy, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%zu: %s", i, err.text);
        assert_null(policy.never_names);
        assert_null(policy.never_subnets);
        assert_null(policy.revoked);
        buf_release(&bytes);
    }
}

static void fill_certificate(struct certificate *certificate, uint32_t subnets)
{
    FILL(certificate);
    FILL_TEXT(certificate->relay);
    FILL_TEXT(certificate->site);
    certificate->subnet_count = subnets;
    certificate->subnets = new_subnets(subnets);
}

static void certificate_round_trips_up_to_its_limits(void **state)
{
    (void)state;
    struct certificate before;
    struct certificate after;
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    fill_certificate(&before, LIMIT_SITE_SUBNETS);
    assert_int_equal(wire_encode_certificate(&before, &bytes, &err), 0);
    assert_int_equal(wire_decode_certificate(bytes.data, bytes.size, &after, &err), 0);
    assert_int_equal(after.subnet_count, LIMIT_SITE_SUBNETS);
    for (uint32_t i = 0; i < after.subnet_count; i++)
        SAME(&before.subnets[i], &after.subnets[i]);
    certificate_release(&after);
    after = before;
    assert_int_equal(wire_decode_certificate(bytes.data, bytes.size, &after, &err), 0);
    struct subnet *kept = after.subnets;
    after.subnets = before.subnets;
    SAME(&before, &after);
    after.subnets = kept;
    certificate_release(&after);
    certificate_release(&before);
    buf_reset(&bytes);
    fill_certificate(&before, LIMIT_SITE_SUBNETS + 1);
    assert_int_equal(wire_encode_certificate(&before, &bytes, &err), -1);
    certificate_release(&before);
    buf_release(&bytes);
}

static void fill_site_credential(struct site_credential *credential)
{
    FILL(credential);
    FILL_TEXT(credential->site);
    FILL_TEXT(credential->account);
    credential->box_size = 1500;
    credential->box = new_bytes(1500);
}

static void site_credential_round_trips(void **state)
{
    (void)state;
    struct site_credential before;
    struct site_credential after;
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    fill_site_credential(&before);
    assert_int_equal(wire_encode_site_credential(&before, &bytes, &err), 0);
    assert_int_equal(wire_decode_site_credential(bytes.data, bytes.size, &after, &err), 0);
    same_blob(before.box, before.box_size, after.box, after.box_size);
    free(after.box);
    after.box = before.box;
    SAME(&before, &after);
    site_credential_release(&before);
    buf_release(&bytes);
}

/* Decodes as each kind, from memory that ends where the bytes end. */
static void decode_all(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = mem_new(size, 1);
    struct policy policy;
    struct certificate certificate;
    struct site_credential credential;
    if (size > 0)
        memcpy(copy, bytes, size);
    (void)wire_decode_policy(copy, size, &policy, NULL);
    policy_release(&policy);
    (void)wire_decode_certificate(copy, size, &certificate, NULL);
    certificate_release(&certificate);
    (void)wire_decode_site_credential(copy, size, &credential, NULL);
    site_credential_release(&credential);
    free(copy);
}

static void decode_every_truncation_and_many_mutations_are_survived(void **state)
{
    (void)state;
    struct buf bytes[3];
    struct policy policy;
    struct certificate certificate;
    struct site_credential credential;
    uint64_t random = 88172645463325252ULL;
    for (int i = 0; i < 3; i++)
        buf_init(&bytes[i], OBJECT_BYTES_MAX);
    fill_policy(&policy, 3);
    fill_certificate(&certificate, 3);
    fill_site_credential(&credential);
    assert_int_equal(wire_encode_policy(&policy, &bytes[0], NULL), 0);
    assert_int_equal(wire_encode_certificate(&certificate, &bytes[1], NULL), 0);
    assert_int_equal(wire_encode_site_credential(&credential, &bytes[2], NULL), 0);
    for (int i = 0; i < 3; i++) {
        for (size_t size = 0; size < bytes[i].size; size += 1 + size / 300)
            decode_all(bytes[i].data, size);
        for (int round = 0; round < 1000; round++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            uint8_t *at = &bytes[i].data[(random >> 16) % bytes[i].size];
            uint8_t was = *at;
            *at = (uint8_t)random;
            decode_all(bytes[i].data, bytes[i].size);
            *at = was;
        }
        buf_release(&bytes[i]);
    }
    policy_release(&policy);
    certificate_release(&certificate);
    site_credential_release(&credential);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_round_trips_up_to_its_limits),
        cmocka_unit_test(policy_beyond_its_limits_is_refused),
        cmocka_unit_test(policy_of_a_hostile_encoder_is_refused),
        cmocka_unit_test(certificate_round_trips_up_to_its_limits),
        cmocka_unit_test(site_credential_round_trips),
        cmocka_unit_test(decode_every_truncation_and_many_mutations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
