/* Policies, certificates, site credentials. */
#include "common/signed/objects.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"

#define CLEAR_MAX 4096U /* a credential has under 1.4 KiB */
#define KIND_OFFSET 17  /* in a signed object: magic 16, version 1; see trust/signed.h */

int object_look(const uint8_t *bytes, size_t size, enum signed_kind *kind,
                uint8_t signer[LIMIT_KEY_BYTES], struct err *err)
{
    struct signed_view view;
    uint8_t found = size > KIND_OFFSET ? bytes[KIND_OFFSET] : 0;
    if (found < SIGNED_JOB || found >= SIGNED_KIND_COUNT)
        return err_set(err, ERR_PROTOCOL, "not a signed object of a known kind");
    if (signed_open(bytes, size, (enum signed_kind)found, NULL, &view, err) != 0)
        return -1;
    *kind = view.kind;
    memcpy(signer, view.signer, LIMIT_KEY_BYTES);
    return 0;
}

/* Takes the bytes of `payload`, and frees them. */
static int sign(const struct key_pair *operator_key, enum signed_kind kind, struct buf *payload,
                int encoded, struct buf *out, struct err *err)
{
    if (encoded == 0)
        encoded = signed_make(operator_key, kind, payload->data, payload->size, out, err);
    buf_release(payload);
    return encoded;
}

static int signer_check(const struct policy *policy, const struct signed_view *view,
                        struct err *err)
{
    return policy_has_operator(policy, view->signer)
               ? 0
               : err_set(err, ERR_DENIED, "signed by a key that is no operator of policy %llu",
                         (unsigned long long)policy->version);
}

/* ---- policy ---- */

static int policy_check(const struct policy *policy, struct err *err)
{
    if (policy->version == 0)
        return err_set(err, ERR_INVALID, "the policy has no version");
    if (policy->operator_count == 0)
        return err_set(err, ERR_INVALID, "policy %llu has no operator",
                       (unsigned long long)policy->version);
    if (policy->coordinator_count == 0)
        return err_set(err, ERR_INVALID, "policy %llu has no coordinator",
                       (unsigned long long)policy->version);
    return 0;
}

int policy_make(const struct policy *policy, const struct key_pair *operator_key, struct buf *out,
                struct err *err)
{
    struct buf payload;
    if (policy_check(policy, err) != 0)
        return -1;
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    return sign(operator_key, SIGNED_POLICY, &payload, wire_encode_policy(policy, &payload, err),
                out, err);
}

int policy_look(const uint8_t *bytes, size_t size, struct policy *out,
                uint8_t signer[LIMIT_KEY_BYTES], struct err *err)
{
    struct signed_view view;
    if (signed_open(bytes, size, SIGNED_POLICY, NULL, &view, err) != 0)
        return err_wrap(err, "policy");
    if (wire_decode_policy(view.payload, view.payload_size, out, err) != 0)
        return -1;
    if (policy_check(out, err) != 0) {
        policy_release(out);
        return -1;
    }
    if (signer != NULL)
        memcpy(signer, view.signer, LIMIT_KEY_BYTES);
    return 0;
}

static int succession_check(const struct policy *before, const struct policy *policy,
                            const uint8_t signer[LIMIT_KEY_BYTES], struct err *err)
{
    uint64_t version = before == NULL ? 0 : before->version;
    if (policy->version != version + 1)
        return err_set(err, ERR_INVALID, "policy %llu does not follow policy %llu",
                       (unsigned long long)policy->version, (unsigned long long)version);
    if (!policy_has_operator(version == 0 ? policy : before, signer))
        return err_set(err, ERR_DENIED, "policy %llu was signed by a key that is no operator of %s",
                       (unsigned long long)policy->version,
                       version == 0 ? "its own" : "the one before");
    return 0;
}

int policy_open(const uint8_t *bytes, size_t size, const struct policy *before, struct policy *out,
                struct err *err)
{
    uint8_t signer[LIMIT_KEY_BYTES];
    if (policy_look(bytes, size, out, signer, err) != 0)
        return -1;
    if (succession_check(before, out, signer, err) == 0)
        return 0;
    policy_release(out);
    return -1;
}

int policy_follow(struct policy *newest, const uint8_t *bytes, size_t size, struct err *err)
{
    struct policy next = {0};
    if (policy_open(bytes, size, newest, &next, err) != 0)
        return -1;
    policy_release(newest);
    *newest = next;
    return 0;
}

bool policy_has_coordinator(const struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct key_set set = {.keys = policy->coordinators[0],
                                .count = policy->coordinator_count};
    return key_set_has(&set, key);
}

/* ---- certificate ---- */

static int certificate_check(const struct certificate *certificate, struct err *err)
{
    static const uint8_t none[LIMIT_KEY_BYTES];
    if (certificate->relay[0] == '\0' || certificate->site[0] == '\0')
        return err_set(err, ERR_INVALID, "the certificate names no relay or no site");
    if (certificate->serial == 0)
        return err_set(err, ERR_INVALID, "the certificate has no serial number");
    if (certificate->subnet_count == 0)
        return err_set(err, ERR_INVALID, "the certificate allows no subnet");
    if (certificate->not_after_unix_s <= certificate->not_before_unix_s)
        return err_set(err, ERR_INVALID, "the certificate ends before it begins");
    if (key_equal(certificate->curve_key, none) || key_equal(certificate->seal_key, none))
        return err_set(err, ERR_INVALID, "the certificate lacks a key");
    return 0;
}

static int standing_check(const struct policy *policy, const struct certificate *certificate,
                          struct err *err)
{
    return policy_revokes(policy, certificate->curve_key)
               ? err_set(err, ERR_DENIED, "the certificate of relay %s is revoked by policy %llu",
                         certificate->relay, (unsigned long long)policy->version)
               : 0;
}

int certificate_make(const struct certificate *certificate, const struct key_pair *operator_key,
                     struct buf *out, struct err *err)
{
    struct buf payload;
    if (certificate_check(certificate, err) != 0)
        return -1;
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    return sign(operator_key, SIGNED_CERTIFICATE, &payload,
                wire_encode_certificate(certificate, &payload, err), out, err);
}

int certificate_look(const uint8_t *bytes, size_t size, const struct policy *policy,
                     struct certificate *out, struct err *err)
{
    struct signed_view view;
    if (signed_open(bytes, size, SIGNED_CERTIFICATE, NULL, &view, err) != 0 ||
        signer_check(policy, &view, err) != 0)
        return err_wrap(err, "certificate");
    if (wire_decode_certificate(view.payload, view.payload_size, out, err) != 0)
        return -1;
    if (certificate_check(out, err) == 0 && standing_check(policy, out, err) == 0)
        return 0;
    certificate_release(out);
    return -1;
}

int certificate_check_time(const struct certificate *certificate, int64_t now_unix_s,
                           struct err *err)
{
    if (now_unix_s < INT64_MAX - OBJECT_SKEW_MAX_S &&
        now_unix_s + OBJECT_SKEW_MAX_S < certificate->not_before_unix_s)
        return err_set(
            err, ERR_DENIED,
            "the certificate is not valid yet: check the clocks of admin host and relay");
    if (now_unix_s >= certificate->not_after_unix_s)
        return err_set(err, ERR_DENIED, "the certificate has expired");
    return 0;
}

int certificate_open(const uint8_t *bytes, size_t size, const struct policy *policy,
                     int64_t now_unix_s, struct certificate *out, struct err *err)
{
    if (certificate_look(bytes, size, policy, out, err) != 0)
        return -1;
    if (certificate_check_time(out, now_unix_s, err) == 0)
        return 0;
    certificate_release(out);
    return -1;
}

/* ---- site credential ---- */

static int terms_check(const struct site_credential *terms, struct err *err)
{
    if (terms->site[0] == '\0')
        return err_set(err, ERR_INVALID, "the credential names no site");
    if (terms->counter == 0)
        return err_set(err, ERR_INVALID, "the credential has no counter");
    return 0;
}

/* Fills the box of `sealed`, which is the caller's. */
static int seal(struct site_credential *sealed, const struct credential *credential,
                struct err *err)
{
    struct buf clear;
    buf_init(&clear, CLEAR_MAX);
    (void)buf_reserve(&clear, CLEAR_MAX); /* growing would leave copies behind */
    buf_reset(&clear);
    int result = wire_encode_credential(credential, &clear, err);
    if (result == 0) {
        sealed->box_size = clear.size + crypto_box_SEALBYTES;
        sealed->box = mem_new(sealed->box_size, 1);
        if (crypto_box_seal(sealed->box, clear.data, clear.size, sealed->seal_key) != 0)
            result = err_set(err, ERR_INVALID, "cannot seal: the relay's key is not usable");
    }
    buf_wipe(&clear);
    buf_release(&clear);
    return result;
}

int site_credential_make(const struct site_credential *terms, const struct credential *clear,
                         const struct key_pair *operator_key, struct buf *out, struct err *err)
{
    struct site_credential sealed = *terms;
    struct buf payload;
    sealed.box = NULL;
    sealed.box_size = 0;
    if (terms_check(terms, err) != 0)
        return -1;
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    int result = seal(&sealed, clear, err);
    if (result == 0)
        result = wire_encode_site_credential(&sealed, &payload, err);
    site_credential_release(&sealed);
    return sign(operator_key, SIGNED_SITE_CREDENTIAL, &payload, result, out, err);
}

int site_credential_look(const uint8_t *bytes, size_t size, const struct policy *policy,
                         struct site_credential *out, struct err *err)
{
    struct signed_view view;
    if (signed_open(bytes, size, SIGNED_SITE_CREDENTIAL, NULL, &view, err) != 0 ||
        signer_check(policy, &view, err) != 0)
        return err_wrap(err, "site credential");
    if (wire_decode_site_credential(view.payload, view.payload_size, out, err) != 0)
        return -1;
    int result = terms_check(out, err);
    if (result == 0 &&
        (out->box_size <= crypto_box_SEALBYTES || out->box_size > CLEAR_MAX + crypto_box_SEALBYTES))
        result = err_set(err, ERR_INVALID, "site credential: wrong size");
    if (result != 0)
        site_credential_release(out);
    return result;
}

static int unseal(const struct site_credential *sealed, const struct key_pair *own,
                  struct credential **clear, struct err *err)
{
    if (sealed->box == NULL || sealed->box_size <= crypto_box_SEALBYTES)
        return err_set(err, ERR_INVALID, "site credential: wrong size");
    size_t size = sealed->box_size - crypto_box_SEALBYTES;
    uint8_t *opened = secret_new(size);
    struct credential *credential = credential_new();
    int result = 0;
    if (crypto_box_seal_open(opened, sealed->box, sealed->box_size, own->public_key, own->secret) !=
        0)
        result = err_set(err, ERR_DENIED, "site credential: seal is broken");
    else
        result = wire_decode_credential(opened, size, credential, err);
    secret_free(opened);
    if (result != 0) {
        credential_free(credential);
        return -1;
    }
    *clear = credential;
    return 0;
}

int site_credential_open(const uint8_t *bytes, size_t size,
                         const struct site_credential_terms *terms, struct credential **clear,
                         uint64_t *counter, struct err *err)
{
    struct site_credential sealed = {0};
    assert(terms->seal->kind == KEY_SEAL && terms->seal->secret != NULL);
    if (site_credential_look(bytes, size, terms->policy, &sealed, err) != 0)
        return -1;
    int result = 0;
    if (strcmp(sealed.site, terms->site) != 0)
        result = err_set(err, ERR_DENIED, "site credential: is for another site");
    else if (!key_equal(sealed.seal_key, terms->seal->public_key))
        result = err_set(err, ERR_DENIED, "site credential: sealed to another relay");
    else if (sealed.counter < terms->counter_min)
        result = err_set(
            err, ERR_DENIED, "site credential: is older (%llu) than one that came before (%llu)",
            (unsigned long long)sealed.counter, (unsigned long long)terms->counter_min);
    else
        result = unseal(&sealed, terms->seal, clear, err);
    if (result == 0)
        *counter = sealed.counter;
    site_credential_release(&sealed);
    return result;
}
