/* Objects that operators signed: policies, certificates, site credentials. */
#include <stdlib.h>
#include <string.h>

#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/signed/objects.h"
#include "coordinator/coordinator.h"

/* ---- policies ---- */

int trust_recover(struct coordinator *c, struct err *err)
{
    struct trust *trust = &c->trust;
    struct buf bytes;
    uint64_t version = 0;
    if (store_policy_newest(c->store, &version, err) != 0)
        return -1;
    if (version == 0)
        return 0;
    buf_init(&bytes, TRUST_OBJECT_MAX);
    int result = store_policy_get(c->store, version, &bytes, err);
    if (result == 0)
        result = policy_look(bytes.data, bytes.size, &trust->policy, NULL, err);
    buf_release(&bytes);
    if (result != 0)
        return err_wrap(err, "stored policy");
    trust->policy_version = trust->policy.version;
    return 0;
}

void trust_release(struct coordinator *c)
{
    policy_release(&c->trust.policy);
}

void trust_send_policies(struct coordinator *c, const struct link_peer *peer, uint64_t after)
{
    for (uint64_t version = after + 1; version <= c->trust.policy_version; version++) {
        struct message message = {.kind = MESSAGE_OBJECT};
        struct err err = {0};
        struct buf bytes;
        buf_init(&bytes, TRUST_OBJECT_MAX);
        int result = store_policy_get(c->store, version, &bytes, &err);
        message.object = (struct message_object){bytes.data, bytes.size};
        if (result == 0)
            shell_send(c, c->relay_link, peer, &message);
        else
            log_error("policy %llu: %s", (unsigned long long)version, err.text);
        buf_release(&bytes);
        if (result != 0) {
            shell_store_failed(c, &err);
            return; /* a relay takes no version without the one before */
        }
    }
}

/* Whether this is the newest policy, byte for byte: the answer was lost. */
static bool same_policy(struct coordinator *c, const struct message_object *object)
{
    struct buf bytes;
    buf_init(&bytes, TRUST_OBJECT_MAX);
    bool same = store_policy_get(c->store, c->trust.policy_version, &bytes, NULL) == 0 &&
                bytes.size == object->size && memcmp(bytes.data, object->bytes, bytes.size) == 0;
    buf_release(&bytes);
    return same;
}

/* Opens it as the successor of the newest. The first set-up is local: whoever may open the control
 * socket makes version 1. */
static int open_next_policy(struct coordinator *c, const struct message_object *object,
                            struct policy *policy, struct err *err)
{
    const struct trust *trust = &c->trust;
    if (policy_look(object->bytes, object->size, policy, NULL, err) != 0)
        return -1;
    uint64_t version = policy->version;
    policy_release(policy);
    if (version != trust->policy_version + 1)
        return err_set(err, ERR_EXISTS,
                       "the newest policy here is version %llu: the next one is %llu, made from it",
                       (unsigned long long)trust->policy_version,
                       (unsigned long long)trust->policy_version + 1);
    if (policy_open(object->bytes, object->size, trust->policy_version > 0 ? &trust->policy : NULL,
                    policy, err) != 0)
        return -1;
    if (policy_has_coordinator(policy, c->curve.public_key))
        return 0;
    policy_release(policy);
    return err_set(err, ERR_INVALID,
                   "this policy doesn't name this coordinator's key: no relay would dial it");
}

static int take_policy(struct coordinator *c, const struct message_object *object, bool *existing,
                       struct err *err)
{
    struct trust *trust = &c->trust;
    struct policy policy = {0};
    *existing = same_policy(c, object);
    if (*existing)
        return 0;
    if (open_next_policy(c, object, &policy, err) != 0)
        return -1;
    if (store_policy_put(c->store, policy.version, object->bytes, object->size, err) != 0) {
        policy_release(&policy);
        return -1;
    }
    policy_release(&trust->policy);
    trust->policy = policy;
    trust->policy_version = policy.version;
    log_info("policy %llu: %u operators, %u never-touch entries",
             (unsigned long long)policy.version, policy.operator_count,
             policy.never_name_count + policy.never_subnet_count);
    const struct message message = {.kind = MESSAGE_OBJECT, .object = *object};
    relays_tell(c, &message);
    return 0;
}

/* ---- certificates ---- */

static int check_certificate(const struct certificate *certificate,
                             const struct store_relay *stored, struct err *err)
{
    if (memcmp(stored->seal_key, certificate->seal_key, LIMIT_KEY_BYTES) != 0 ||
        strcmp(stored->name, certificate->relay) != 0 ||
        strcmp(stored->site_name, certificate->site) != 0)
        return err_set(err, ERR_INVALID,
                       "this certificate is not for relay %s of site %s as it enrolled",
                       stored->name, stored->site_name);
    if (stored->standing == RELAY_REVOKED || stored->standing == RELAY_CLONED)
        return err_set(err, ERR_DENIED,
                       "relay %s is %s: its keys are never let in again; enrol anew", stored->name,
                       relay_standing_word(stored->standing));
    if (certificate->serial <= stored->serial)
        return err_set(err, ERR_EXISTS, "relay %s has a newer certificate (serial %llu)",
                       stored->name, (unsigned long long)stored->serial);
    if (certificate->not_after_unix_s <= (int64_t)(clock_unix_ms() / 1000))
        return err_set(err, ERR_INVALID, "this certificate is over already");
    return 0;
}

static bool same_certificate(struct coordinator *c, uint16_t relay,
                             const struct message_object *object)
{
    struct buf bytes;
    buf_init(&bytes, TRUST_OBJECT_MAX);
    bool same = store_certificate_get(c->store, relay, &bytes, NULL) == 0 &&
                bytes.size == object->size && memcmp(bytes.data, object->bytes, bytes.size) == 0;
    buf_release(&bytes);
    return same;
}

static int keep_certificate(struct coordinator *c, struct relay_slot *slot,
                            const struct certificate *certificate,
                            const struct message_object *object, struct err *err)
{
    uint16_t relay = slot->stored.relay;
    c->commit_due = true;
    if (store_certificate_put(c->store, relay, certificate->serial, certificate->not_after_unix_s,
                              object->bytes, object->size, err) != 0)
        return -1;
    slot->stored.serial = certificate->serial;
    slot->stored.until_unix_s = certificate->not_after_unix_s;
    relays_sweep(c);
    if (slot->stored.standing == RELAY_PENDING)
        return relays_set_standing(c, relay, RELAY_ACTIVE, err);
    const struct message message = {.kind = MESSAGE_OBJECT, .object = *object};
    if (slot->reachable)
        shell_send(c, c->relay_link, &slot->peer, &message);
    trust_announce(c, slot);
    return 0;
}

static int take_certificate(struct coordinator *c, const struct message_object *object,
                            bool *existing, struct err *err)
{
    struct certificate certificate = {0};
    if (certificate_look(object->bytes, object->size, &c->trust.policy, &certificate, err) != 0)
        return -1;
    struct relay_slot *slot = relays_find(c, certificate.curve_key);
    if (slot == NULL) {
        certificate_release(&certificate);
        return err_set(err, ERR_NOT_FOUND, "no relay has the keys of this certificate");
    }
    int result = 0;
    *existing = same_certificate(c, slot->stored.relay, object);
    if (!*existing)
        result = check_certificate(&certificate, &slot->stored, err);
    if (result == 0 && !*existing)
        result = keep_certificate(c, slot, &certificate, object, err);
    certificate_release(&certificate);
    return result;
}

/* ---- site credentials ---- */

static int keep_site_credential(struct coordinator *c, const struct site_credential *credential,
                                const struct message_object *object, bool *existing,
                                struct err *err)
{
    const struct relay_slot *slot = relays_of_seal_key(c, credential->seal_key);
    if (slot == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "no relay has the key that this credential is sealed to");
    const struct store_relay *stored = &slot->stored;
    if (strcmp(stored->site_name, credential->site) != 0)
        return err_set(err, ERR_INVALID, "relay %s belongs to site %s, not to %s", stored->name,
                       stored->site_name, credential->site);
    uint64_t counter = 0;
    struct err missing = {0};
    struct buf bytes;
    buf_init(&bytes, TRUST_OBJECT_MAX);
    bool known = store_site_credential_get(c->store, stored->site, stored->relay, &counter, &bytes,
                                           &missing) == 0;
    *existing =
        known && bytes.size == object->size && memcmp(bytes.data, object->bytes, bytes.size) == 0;
    buf_release(&bytes);
    if (!known && missing.code != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    if (*existing)
        return 0;
    if (known && credential->counter <= counter)
        return err_set(err, ERR_EXISTS, "relay %s has a credential that was set later",
                       stored->name);
    const struct store_site_credential put = {.site = stored->site,
                                              .relay = stored->relay,
                                              .counter = credential->counter,
                                              .account = credential->account,
                                              .set_unix_ms = clock_unix_ms(),
                                              .bytes = object->bytes,
                                              .size = object->size};
    c->commit_due = true;
    if (store_site_credential_put(c->store, &put, err) != 0)
        return -1;
    log_info("site %s: credential for relay %s set", stored->site_name, stored->name);
    sealed_changed(c, stored->relay);
    return 0;
}

static int take_site_credential(struct coordinator *c, const struct message_object *object,
                                bool *existing, struct err *err)
{
    struct site_credential credential = {0};
    if (site_credential_look(object->bytes, object->size, &c->trust.policy, &credential, err) != 0)
        return -1;
    int result = keep_site_credential(c, &credential, object, existing, err);
    site_credential_release(&credential);
    return result;
}

int trust_object(struct coordinator *c, const struct message_object *object, bool *existing,
                 struct err *err)
{
    enum signed_kind kind = SIGNED_KIND_COUNT;
    uint8_t signer[LIMIT_KEY_BYTES];
    *existing = false;
    if (!trust_has_sites(c))
        return err_set(err, ERR_DENIED, "a private coordinator has neither policy nor sites");
    if (object->size > TRUST_OBJECT_MAX)
        return err_set(err, ERR_LIMIT, "object of %zu bytes", object->size);
    if (object_look(object->bytes, object->size, &kind, signer, err) != 0)
        return -1;
    if (kind != SIGNED_POLICY && c->trust.policy_version == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no policy yet: make one first");
    switch (kind) {
    case SIGNED_POLICY:
        return take_policy(c, object, existing, err);
    case SIGNED_CERTIFICATE:
        return take_certificate(c, object, existing, err);
    case SIGNED_SITE_CREDENTIAL:
        return take_site_credential(c, object, existing, err);
    case SIGNED_JOB:
    case SIGNED_CREDENTIAL:
    case SIGNED_KIND_COUNT:
        break;
    }
    return err_set(err, ERR_PROTOCOL, "this is no policy, certificate or site credential");
}

/* ---- what relays are told ---- */

static void send_certificate(struct coordinator *c, const struct relay_slot *slot)
{
    struct message message = {.kind = MESSAGE_OBJECT};
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, TRUST_OBJECT_MAX);
    if (store_certificate_get(c->store, slot->stored.relay, &bytes, &err) == 0) {
        message.object = (struct message_object){bytes.data, bytes.size};
        shell_send(c, c->relay_link, &slot->peer, &message);
    }
    buf_release(&bytes);
}

void trust_greet(struct coordinator *c, const struct relay_slot *slot,
                 const struct message_hello *hello)
{
    if (hello->policy_version > c->trust.policy_version)
        log_warning("relay %s knows policy %llu, here the newest is %llu: was an old store put in "
                    "place?",
                    slot->stored.name, (unsigned long long)hello->policy_version,
                    (unsigned long long)c->trust.policy_version);
    else
        trust_send_policies(c, &slot->peer, hello->policy_version);
    if (slot->stored.serial > hello->certificate_serial)
        send_certificate(c, slot);
}

/* PEER about `slot`; a relay that isn't let in any more is gone. Returns false when there is
 * nothing to say. */
static bool fill_peer(struct coordinator *c, const struct relay_slot *slot, struct buf *certificate,
                      struct message *message)
{
    *message = (struct message){.kind = MESSAGE_PEER};
    memcpy(message->peer.key, slot->stored.key, LIMIT_KEY_BYTES);
    if (!slot->admitted)
        return true;
    if (store_certificate_get(c->store, slot->stored.relay, certificate, NULL) != 0)
        return false;
    message->peer.certificate = certificate->data;
    message->peer.certificate_size = certificate->size;
    memcpy(message->peer.serve, slot->serve, sizeof message->peer.serve);
    return true;
}

/* Whether `other` is one to know of `slot`: of its site, let in, and one of them serves packages.
 */
static bool are_peers(const struct relay_slot *slot, const struct relay_slot *other)
{
    return other != slot && other->admitted && other->stored.site == slot->stored.site &&
           (slot->serve[0] != '\0' || other->serve[0] != '\0');
}

void trust_announce(struct coordinator *c, const struct relay_slot *slot)
{
    struct message message;
    struct buf certificate;
    buf_init(&certificate, TRUST_OBJECT_MAX);
    if (fill_peer(c, slot, &certificate, &message))
        for (uint16_t i = 0; i < c->relay_count; i++)
            if (c->relays[i].reachable && are_peers(slot, &c->relays[i]))
                shell_send(c, c->relay_link, &c->relays[i].peer, &message);
    buf_release(&certificate);
}

void trust_introduce(struct coordinator *c, const struct relay_slot *slot)
{
    for (uint16_t i = 0; i < c->relay_count; i++) {
        const struct relay_slot *other = &c->relays[i];
        struct message message;
        struct buf certificate;
        if (!are_peers(slot, other))
            continue;
        buf_init(&certificate, TRUST_OBJECT_MAX);
        if (fill_peer(c, other, &certificate, &message))
            shell_send(c, c->relay_link, &slot->peer, &message);
        buf_release(&certificate);
    }
    trust_announce(c, slot);
}

/* ---- jobs ---- */

int trust_check_job(const struct coordinator *c, const struct job *job,
                    const uint8_t signer[LIMIT_KEY_BYTES], struct err *err)
{
    const struct trust *trust = &c->trust;
    char key[KEY_TEXT_SIZE];
    if (!trust_has_sites(c)) {
        if (job->policy_version != 0 || job->site_credentials)
            return err_set(err, ERR_INVALID, "a private coordinator has neither policy nor sites");
        return 0;
    }
    if (trust->policy_version == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no policy yet: make one first");
    key_text(signer, key);
    if (!policy_has_operator(&trust->policy, signer))
        return err_set(err, ERR_DENIED,
                       "the job is signed with key %.16s..., which is no operator's in policy %llu",
                       key, (unsigned long long)trust->policy_version);
    if (job->policy_version != trust->policy_version)
        return err_set(err, ERR_EXISTS,
                       "the job is signed under policy %llu, the newest is %llu: fetch that and "
                       "sign again",
                       (unsigned long long)job->policy_version,
                       (unsigned long long)trust->policy_version);
    return 0;
}
