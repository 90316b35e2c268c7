/* common/signed: what is taken, and every reason why something is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "common/signed/token.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"

#define OK(call) assert_int_equal(call, 0)
#define NOW 1800000000LL

/* Two operators, a stranger, two relays; the policy of the first operator. */
struct world {
    struct key_pair operators[2];
    struct key_pair stranger;
    struct key_pair seals[2];
    struct policy policy; /* borrows nothing */
    struct buf bytes;     /* of the object under test */
    struct err err;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    OK(trust_start(NULL));
    for (int i = 0; i < 2; i++) {
        key_pair_generate(&w->operators[i], KEY_OPERATOR);
        key_pair_generate(&w->seals[i], KEY_SEAL);
    }
    key_pair_generate(&w->stranger, KEY_OPERATOR);
    w->policy.version = 1;
    w->policy.made_unix_s = NOW;
    memcpy(w->policy.operators[0], w->operators[0].public_key, LIMIT_KEY_BYTES);
    w->policy.operator_count = 1;
    memset(w->policy.coordinators[0], 7, LIMIT_KEY_BYTES);
    w->policy.coordinator_count = 1;
    buf_init(&w->bytes, OBJECT_BYTES_MAX);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        key_pair_release(&w->operators[i]);
        key_pair_release(&w->seals[i]);
    }
    key_pair_release(&w->stranger);
    buf_release(&w->bytes);
    free(w);
    return 0;
}

static void expect_refused(const struct world *w, int result, enum err_code code, const char *why)
{
    assert_int_equal(result, -1);
    if (w->err.code != code || strstr(w->err.text, why) == NULL)
        fail_msg("%d: %s", w->err.code, w->err.text);
}

/* ---- policies ---- */

static void make_policy(struct world *w, const struct policy *policy, const struct key_pair *by)
{
    buf_reset(&w->bytes);
    OK(policy_make(policy, by, &w->bytes, &w->err));
}

static int open_policy(struct world *w, const struct policy *before)
{
    struct policy out;
    int result = policy_open(w->bytes.data, w->bytes.size, before, &out, &w->err);
    if (result == 0)
        policy_release(&out);
    return result;
}

static struct policy second_of(const struct world *w)
{
    struct policy second = w->policy;
    second.version = 2;
    memcpy(second.operators[1], w->operators[1].public_key, LIMIT_KEY_BYTES);
    second.operator_count = 2;
    return second;
}

static void policies_follow_one_another(void **state)
{
    struct world *w = *state;
    struct policy newest = {0};
    struct policy next = second_of(w);
    make_policy(w, &w->policy, &w->operators[0]);
    OK(policy_follow(&newest, w->bytes.data, w->bytes.size, &w->err));
    make_policy(w, &next, &w->operators[0]);
    OK(policy_follow(&newest, w->bytes.data, w->bytes.size, &w->err));
    /* The new operator distrusts the old one. */
    next.version = 3;
    memcpy(next.operators[0], w->operators[1].public_key, LIMIT_KEY_BYTES);
    next.operator_count = 1;
    make_policy(w, &next, &w->operators[1]);
    OK(policy_follow(&newest, w->bytes.data, w->bytes.size, &w->err));
    assert_int_equal(newest.version, 3);
    assert_false(policy_has_operator(&newest, w->operators[0].public_key));
    assert_true(policy_has_coordinator(&newest, w->policy.coordinators[0]));
    assert_false(policy_has_coordinator(&newest, w->stranger.public_key));
    next.version = 4;
    make_policy(w, &next, &w->operators[0]);
    expect_refused(w, policy_follow(&newest, w->bytes.data, w->bytes.size, &w->err), ERR_DENIED,
                   "no operator of the one before");
    assert_int_equal(newest.version, 3);
    policy_release(&newest);
}

static void policy_first_of_all_is_signed_by_its_own_operator(void **state)
{
    struct world *w = *state;
    make_policy(w, &w->policy, &w->stranger);
    expect_refused(w, open_policy(w, NULL), ERR_DENIED, "no operator of its own");
    struct policy second = second_of(w);
    make_policy(w, &second, &w->operators[0]);
    expect_refused(w, open_policy(w, NULL), ERR_INVALID, "policy 2 does not follow policy 0");
}

static void policy_of_another_signer_or_version_is_refused(void **state)
{
    struct world *w = *state;
    struct policy next = second_of(w);
    make_policy(w, &next, &w->stranger);
    expect_refused(w, open_policy(w, &w->policy), ERR_DENIED, "no operator of the one before");
    /* Who is listed from now on can't have brought himself in. */
    make_policy(w, &next, &w->operators[1]);
    expect_refused(w, open_policy(w, &w->policy), ERR_DENIED, "no operator of the one before");
    next.version = 3;
    make_policy(w, &next, &w->operators[0]);
    expect_refused(w, open_policy(w, &w->policy), ERR_INVALID, "policy 3 does not follow policy 1");
    make_policy(w, &w->policy, &w->operators[0]);
    expect_refused(w, open_policy(w, &w->policy), ERR_INVALID, "policy 1 does not follow policy 1");
}

static void policy_without_operator_coordinator_or_version_is_not_made(void **state)
{
    struct world *w = *state;
    struct policy policy = w->policy;
    policy.operator_count = 0;
    expect_refused(w, policy_make(&policy, &w->operators[0], &w->bytes, &w->err), ERR_INVALID,
                   "no operator");
    policy = w->policy;
    policy.coordinator_count = 0;
    expect_refused(w, policy_make(&policy, &w->operators[0], &w->bytes, &w->err), ERR_INVALID,
                   "no coordinator");
    policy = w->policy;
    policy.version = 0;
    expect_refused(w, policy_make(&policy, &w->operators[0], &w->bytes, &w->err), ERR_INVALID,
                   "no version");
    assert_int_equal(w->bytes.size, 0);
}

/* Signed by an operator, and still nothing that may be acted upon. */
static void policy_that_is_signed_nonsense_is_refused(void **state)
{
    struct world *w = *state;
    static const uint8_t no_coordinator[] = {0x08, 0x02}; /* version 2, nothing else */
    static const uint8_t broken[] = {0xff, 0xff};
    OK(signed_make(&w->operators[0], SIGNED_POLICY, no_coordinator, sizeof no_coordinator,
                   &w->bytes, NULL));
    expect_refused(w, open_policy(w, &w->policy), ERR_INVALID, "no operator");
    buf_reset(&w->bytes);
    OK(signed_make(&w->operators[0], SIGNED_POLICY, broken, sizeof broken, &w->bytes, NULL));
    expect_refused(w, open_policy(w, &w->policy), ERR_PROTOCOL, "cannot decode policy");
    /* Another kind of object of the same operator. */
    buf_reset(&w->bytes);
    OK(signed_make(&w->operators[0], SIGNED_JOB, no_coordinator, sizeof no_coordinator, &w->bytes,
                   NULL));
    expect_refused(w, open_policy(w, &w->policy), ERR_PROTOCOL, "kind");
}

static void policy_look_reads_any_version_and_names_its_signer(void **state)
{
    struct world *w = *state;
    struct policy out;
    uint8_t signer[LIMIT_KEY_BYTES];
    struct policy later = second_of(w);
    later.version = 77;
    make_policy(w, &later, &w->stranger);
    OK(policy_look(w->bytes.data, w->bytes.size, &out, signer, &w->err));
    assert_int_equal(out.version, 77);
    assert_true(key_equal(signer, w->stranger.public_key));
    policy_release(&out);
    enum signed_kind kind = SIGNED_KIND_COUNT;
    OK(object_look(w->bytes.data, w->bytes.size, &kind, signer, &w->err));
    assert_int_equal(kind, SIGNED_POLICY);
    assert_int_equal(object_look(w->bytes.data, 17, &kind, signer, &w->err), -1);
    w->bytes.data[17] = 99;
    assert_int_equal(object_look(w->bytes.data, w->bytes.size, &kind, signer, &w->err), -1);
}

/* Every bit of every byte, one byte too few, one too many. */
static void expect_every_alteration_refused(struct world *w,
                                            int (*open)(struct world *w, const void *context),
                                            const void *context)
{
    OK(open(w, context));
    for (size_t i = 0; i < w->bytes.size; i++) {
        w->bytes.data[i] ^= (uint8_t)(1U << (i % 8));
        if (open(w, context) != -1)
            fail_msg("byte %zu altered was taken", i);
        w->bytes.data[i] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t size = w->bytes.size; size > 0; size--) {
        w->bytes.size--;
        assert_int_equal(open(w, context), -1);
    }
}

static int open_second(struct world *w, const void *context)
{
    return open_policy(w, context);
}

static void policy_with_any_byte_altered_is_refused(void **state)
{
    struct world *w = *state;
    struct policy second = second_of(w);
    make_policy(w, &second, &w->operators[0]);
    expect_every_alteration_refused(w, open_second, &w->policy);
}

/* ---- certificates ---- */

static struct subnet branch_subnet(void)
{
    struct subnet subnet;
    OK(subnet_from_text("10.1.0.0/16", &subnet, NULL));
    return subnet;
}

static struct certificate certificate_of(const struct world *w, struct subnet *subnet)
{
    struct certificate certificate = {
        .relay = "r1",
        .site = "berlin",
        .serial = 1,
        .not_before_unix_s = NOW,
        .not_after_unix_s = NOW + 86400,
        .subnets = subnet,
        .subnet_count = 1,
    };
    memset(certificate.curve_key, 3, LIMIT_KEY_BYTES);
    memcpy(certificate.seal_key, w->seals[0].public_key, LIMIT_KEY_BYTES);
    return certificate;
}

static void make_certificate(struct world *w, const struct key_pair *by)
{
    struct subnet subnet = branch_subnet();
    struct certificate certificate = certificate_of(w, &subnet);
    buf_reset(&w->bytes);
    OK(certificate_make(&certificate, by, &w->bytes, &w->err));
}

static int open_certificate_at(struct world *w, int64_t now)
{
    struct certificate out;
    int result = certificate_open(w->bytes.data, w->bytes.size, &w->policy, now, &out, &w->err);
    if (result == 0)
        certificate_release(&out);
    return result;
}

static int open_certificate(struct world *w, const void *context)
{
    (void)context;
    return open_certificate_at(w, NOW);
}

static void certificate_is_read_as_it_was_made(void **state)
{
    struct world *w = *state;
    struct certificate out;
    struct subnet_address inside;
    struct subnet_address outside;
    make_certificate(w, &w->operators[0]);
    OK(certificate_open(w->bytes.data, w->bytes.size, &w->policy, NOW, &out, &w->err));
    assert_string_equal(out.relay, "r1");
    assert_string_equal(out.site, "berlin");
    assert_true(subnet_address_from_text("10.1.2.3", &inside));
    assert_true(subnet_address_from_text("10.2.2.3", &outside));
    assert_true(certificate_covers(&out, &inside));
    assert_false(certificate_covers(&out, &outside));
    certificate_release(&out);
}

static void certificate_counts_between_its_times(void **state)
{
    struct world *w = *state;
    make_certificate(w, &w->operators[0]);
    OK(open_certificate_at(w, NOW - OBJECT_SKEW_MAX_S));
    expect_refused(w, open_certificate_at(w, NOW - OBJECT_SKEW_MAX_S - 1), ERR_DENIED,
                   "not valid yet");
    OK(open_certificate_at(w, NOW + 86399));
    expect_refused(w, open_certificate_at(w, NOW + 86400), ERR_DENIED, "expired");
    expect_refused(w, open_certificate_at(w, INT64_MAX), ERR_DENIED, "expired");
    expect_refused(w, open_certificate_at(w, INT64_MIN), ERR_DENIED, "not valid yet");
    struct certificate out;
    OK(certificate_look(w->bytes.data, w->bytes.size, &w->policy, &out, &w->err));
    expect_refused(w, certificate_check_time(&out, NOW + 86400, &w->err), ERR_DENIED, "expired");
    certificate_release(&out);
}

static void certificate_of_somebody_else_is_refused(void **state)
{
    struct world *w = *state;
    make_certificate(w, &w->stranger);
    expect_refused(w, open_certificate(w, NULL), ERR_DENIED, "no operator of policy 1");
    make_certificate(w, &w->operators[1]); /* is none yet */
    expect_refused(w, open_certificate(w, NULL), ERR_DENIED, "no operator of policy 1");
}

static void certificate_of_a_revoked_relay_is_refused(void **state)
{
    struct world *w = *state;
    struct subnet subnet = branch_subnet();
    struct certificate certificate = certificate_of(w, &subnet);
    uint8_t revoked[2][LIMIT_KEY_BYTES] = {{0}};
    w->policy.revoked = revoked;
    w->policy.revoked_count = 2;
    memset(revoked[0], 0xee, LIMIT_KEY_BYTES);
    make_certificate(w, &w->operators[0]);
    OK(open_certificate(w, NULL));
    memcpy(revoked[1], certificate.curve_key, LIMIT_KEY_BYTES);
    expect_refused(w, open_certificate(w, NULL), ERR_DENIED, "revoked by policy 1");
    w->policy.revoked_count = 1;
    OK(open_certificate(w, NULL));
    w->policy.revoked = NULL;
    w->policy.revoked_count = 0;
}

static void certificate_with_any_byte_altered_is_refused(void **state)
{
    struct world *w = *state;
    make_certificate(w, &w->operators[0]);
    expect_every_alteration_refused(w, open_certificate, NULL);
}

static void certificate_that_makes_no_sense_is_neither_made_nor_taken(void **state)
{
    struct world *w = *state;
    for (int what = 0; what < 7; what++) {
        struct subnet subnet = branch_subnet();
        struct certificate certificate = certificate_of(w, &subnet);
        struct buf payload;
        if (what == 0)
            certificate.relay[0] = '\0';
        else if (what == 1)
            certificate.site[0] = '\0';
        else if (what == 2)
            certificate.serial = 0;
        else if (what == 3)
            certificate.subnet_count = 0;
        else if (what == 4)
            certificate.not_after_unix_s = certificate.not_before_unix_s;
        else if (what == 5)
            memset(certificate.curve_key, 0, LIMIT_KEY_BYTES);
        else
            memset(certificate.seal_key, 0, LIMIT_KEY_BYTES);
        buf_reset(&w->bytes);
        expect_refused(w, certificate_make(&certificate, &w->operators[0], &w->bytes, &w->err),
                       ERR_INVALID, "the certificate");
        buf_init(&payload, SIGNED_PAYLOAD_MAX);
        OK(wire_encode_certificate(&certificate, &payload, NULL));
        OK(signed_make(&w->operators[0], SIGNED_CERTIFICATE, payload.data, payload.size, &w->bytes,
                       NULL));
        expect_refused(w, open_certificate(w, NULL), ERR_INVALID, "the certificate");
        buf_release(&payload);
    }
}

/* ---- site credentials ---- */

static void make_credential(struct world *w, const struct key_pair *by, uint64_t counter)
{
    struct credential *clear = credential_new();
    struct site_credential terms = {.site = "berlin", .counter = counter, .account = "CORP\\inst"};
    memcpy(terms.seal_key, w->seals[0].public_key, LIMIT_KEY_BYTES);
    memcpy(clear->account, "CORP\\inst", 10);
    memcpy(clear->secret, "canary-9431", 12);
    buf_reset(&w->bytes);
    OK(site_credential_make(&terms, clear, by, &w->bytes, &w->err));
    credential_free(clear);
}

static int open_credential_as(struct world *w, const char *site, const struct key_pair *seal,
                              uint64_t counter_min)
{
    const struct site_credential_terms terms = {&w->policy, site, seal, counter_min};
    struct credential *clear = NULL;
    uint64_t counter = 0;
    int result =
        site_credential_open(w->bytes.data, w->bytes.size, &terms, &clear, &counter, &w->err);
    if (result == 0) {
        assert_string_equal(clear->account, "CORP\\inst");
        assert_string_equal(clear->secret, "canary-9431");
        assert_int_equal(counter, 5);
    } else {
        assert_null(clear);
        assert_int_equal(counter, 0);
    }
    credential_free(clear);
    return result;
}

static int open_credential(struct world *w, const void *context)
{
    (void)context;
    return open_credential_as(w, "berlin", &w->seals[0], 5);
}

static void site_credential_opens_at_its_relay_only(void **state)
{
    struct world *w = *state;
    make_credential(w, &w->operators[0], 5);
    assert_null(memmem(w->bytes.data, w->bytes.size, "canary", 6));
    OK(open_credential(w, NULL));
    OK(open_credential_as(w, "berlin", &w->seals[0], 0));
    expect_refused(w, open_credential_as(w, "berlin", &w->seals[1], 5), ERR_DENIED,
                   "sealed to another relay");
    expect_refused(w, open_credential_as(w, "paris", &w->seals[0], 5), ERR_DENIED, "another site");
    expect_refused(w, open_credential_as(w, "berlin", &w->seals[0], 6), ERR_DENIED,
                   "older (5) than one that came before (6)");
}

static void site_credential_of_somebody_else_is_refused(void **state)
{
    struct world *w = *state;
    make_credential(w, &w->stranger, 5);
    expect_refused(w, open_credential(w, NULL), ERR_DENIED, "no operator");
}

static void site_credential_with_any_byte_altered_is_refused(void **state)
{
    struct world *w = *state;
    make_credential(w, &w->operators[0], 5);
    expect_every_alteration_refused(w, open_credential, NULL);
}

/* The operator's signature around a box that another key was meant to open. */
static void site_credential_with_a_foreign_box_is_refused(void **state)
{
    struct world *w = *state;
    struct site_credential out;
    struct buf payload;
    make_credential(w, &w->operators[0], 5);
    OK(site_credential_look(w->bytes.data, w->bytes.size, &w->policy, &out, &w->err));
    assert_string_equal(out.account, "CORP\\inst");
    assert_int_equal(out.counter, 5);
    memcpy(out.seal_key, w->seals[1].public_key, LIMIT_KEY_BYTES);
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    OK(wire_encode_site_credential(&out, &payload, NULL));
    buf_reset(&w->bytes);
    OK(signed_make(&w->operators[0], SIGNED_SITE_CREDENTIAL, payload.data, payload.size, &w->bytes,
                   NULL));
    expect_refused(w, open_credential_as(w, "berlin", &w->seals[1], 5), ERR_DENIED,
                   "seal is broken");
    /* An empty box, and one that is too long. */
    out.box_size = 48;
    buf_reset(&payload);
    OK(wire_encode_site_credential(&out, &payload, NULL));
    buf_reset(&w->bytes);
    OK(signed_make(&w->operators[0], SIGNED_SITE_CREDENTIAL, payload.data, payload.size, &w->bytes,
                   NULL));
    expect_refused(w, open_credential_as(w, "berlin", &w->seals[1], 5), ERR_INVALID, "wrong size");
    buf_release(&payload);
    site_credential_release(&out);
}

static void site_credential_for_nobody_is_not_made(void **state)
{
    struct world *w = *state;
    struct credential *clear = credential_new();
    struct site_credential terms = {.site = "berlin", .counter = 1};
    /* All zeroes is a point of low order: whoever listens could open the box. */
    expect_refused(w, site_credential_make(&terms, clear, &w->operators[0], &w->bytes, &w->err),
                   ERR_INVALID, "not usable");
    memcpy(terms.seal_key, w->seals[0].public_key, LIMIT_KEY_BYTES);
    terms.counter = 0;
    expect_refused(w, site_credential_make(&terms, clear, &w->operators[0], &w->bytes, &w->err),
                   ERR_INVALID, "no counter");
    terms.counter = 1;
    terms.site[0] = '\0';
    expect_refused(w, site_credential_make(&terms, clear, &w->operators[0], &w->bytes, &w->err),
                   ERR_INVALID, "no site");
    assert_int_equal(w->bytes.size, 0);
    credential_free(clear);
}

/* ---- fingerprints and tokens ---- */

static void fingerprint_depends_on_everything_and_never_changes(void **state)
{
    (void)state;
    uint8_t a[LIMIT_KEY_BYTES] = {1};
    uint8_t b[LIMIT_KEY_BYTES] = {2};
    char text[FINGERPRINT_TEXT_SIZE];
    char other[FINGERPRINT_TEXT_SIZE];
    relay_fingerprint(a, b, "r1", text);
    assert_int_equal(strlen(text), 39);
    assert_int_equal(strspn(text, "0123456789abcdef "), 39);
    /* Both sides of an enrolment may run different versions: the text is part of the protocol. */
    assert_string_equal(text, "fa5f a8bc 9b9b ab04 dff5 0470 e1be cf33");
    relay_fingerprint(b, a, "r1", other);
    assert_string_not_equal(text, other);
    relay_fingerprint(a, b, "r2", other);
    assert_string_not_equal(text, other);
    key_fingerprint(a, other);
    assert_string_equal(other, "8444 e71e aa36 4b06 ec9b d958 df43 e7a3");
}

static void token_text_round_trips(void **state)
{
    struct world *w = *state;
    struct token token;
    struct token back;
    char padded[TOKEN_TEXT_SIZE + 8];
    token_generate(&token, w->policy.coordinators[0], w->operators[0].public_key, 12);
    char *text = token_text(&token);
    assert_int_equal(strncmp(text, "pusher-token-", 13), 0);
    OK(token_from_text(text, &back, &w->err));
    assert_true(key_equal(back.curve.public_key, token.curve.public_key));
    assert_memory_equal(back.curve.secret, token.curve.secret, LIMIT_KEY_BYTES);
    assert_true(key_equal(back.coordinator_key, w->policy.coordinators[0]));
    assert_true(key_equal(back.operator_key, w->operators[0].public_key));
    assert_int_equal(back.policy_version, 12);
    token_release(&back);
    (void)snprintf(padded, sizeof padded, " \t%s\r\n", text);
    OK(token_from_text(padded, &back, &w->err));
    token_release(&back);
    token_release(&token);
    secret_free(text);
}

static void token_with_any_typing_error_is_refused_and_not_quoted(void **state)
{
    struct world *w = *state;
    struct token token;
    struct token back;
    token_generate(&token, w->policy.coordinators[0], w->operators[0].public_key, 1);
    char *text = token_text(&token);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        static const char others[] = "AB=+\xc3 ";
        char was = text[i];
        for (size_t k = 0; k < sizeof others; k++) { /* and the NUL */
            if (others[k] == was)
                continue;
            text[i] = others[k];
            if (token_from_text(text, &back, &w->err) != -1)
                fail_msg("%zu: 0x%02x for 0x%02x", i, (unsigned char)others[k], (unsigned char)was);
            assert_int_equal(w->err.code, ERR_INVALID);
        }
        text[i] = was;
    }
    char piece[9] = {0};
    memcpy(piece, text + 20, 8);
    assert_null(strstr(w->err.text, piece));
    secret_free(text);
    token_release(&token);
}

static void token_that_is_none_is_refused_with_what_is_wrong(void **state)
{
    struct world *w = *state;
    struct token back;
    char text[TOKEN_TEXT_SIZE + 32];
    expect_refused(w, token_from_text("", &back, &w->err), ERR_INVALID, "does not begin with");
    expect_refused(w, token_from_text("pusher-token-AAAA", &back, &w->err), ERR_INVALID, "cut off");
    expect_refused(w, token_from_text("pusher-token-AAAA BBBB", &back, &w->err), ERR_INVALID,
                   "more behind it");
    memset(text, 'A', sizeof text);
    memcpy(text, "pusher-token-", 13);
    text[sizeof text - 1] = '\0';
    expect_refused(w, token_from_text(text, &back, &w->err), ERR_INVALID, "something added");
}

static void token_takes_only_the_chain_that_its_operator_signed(void **state)
{
    struct world *w = *state;
    struct token token;
    struct policy policy = w->policy;
    token_generate(&token, w->policy.coordinators[0], w->operators[0].public_key, 2);
    OK(token_check_policy(&token, &policy, w->stranger.public_key, &w->err)); /* before */
    policy.version = 2;
    OK(token_check_policy(&token, &policy, w->operators[0].public_key, &w->err));
    expect_refused(w, token_check_policy(&token, &policy, w->stranger.public_key, &w->err),
                   ERR_DENIED, "policy 2");
    policy.version = 3;
    OK(token_check_policy(&token, &policy, w->operators[1].public_key, &w->err)); /* after */
    token_release(&token);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(policies_follow_one_another),
        TEST(policy_first_of_all_is_signed_by_its_own_operator),
        TEST(policy_of_another_signer_or_version_is_refused),
        TEST(policy_without_operator_coordinator_or_version_is_not_made),
        TEST(policy_that_is_signed_nonsense_is_refused),
        TEST(policy_look_reads_any_version_and_names_its_signer),
        TEST(policy_with_any_byte_altered_is_refused),
        TEST(certificate_is_read_as_it_was_made),
        TEST(certificate_counts_between_its_times),
        TEST(certificate_of_somebody_else_is_refused),
        TEST(certificate_of_a_revoked_relay_is_refused),
        TEST(certificate_with_any_byte_altered_is_refused),
        TEST(certificate_that_makes_no_sense_is_neither_made_nor_taken),
        TEST(site_credential_opens_at_its_relay_only),
        TEST(site_credential_of_somebody_else_is_refused),
        TEST(site_credential_with_any_byte_altered_is_refused),
        TEST(site_credential_with_a_foreign_box_is_refused),
        TEST(site_credential_for_nobody_is_not_made),
        TEST(fingerprint_depends_on_everything_and_never_changes),
        TEST(token_text_round_trips),
        TEST(token_with_any_typing_error_is_refused_and_not_quoted),
        TEST(token_that_is_none_is_refused_with_what_is_wrong),
        TEST(token_takes_only_the_chain_that_its_operator_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
