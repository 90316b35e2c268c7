/* What is encoded alone: jobs, policies, certificates, credentials, outcomes. */
#include <assert.h>
#include <string.h>

#include "common/wire/parts.h"
#include "common/wire/wire.h"

static_assert(PUSHER__RUN_AS__RUN_AS_USER == RUN_AS_COUNT - 1, "accounts");
static_assert(PUSHER__PING_MODE__PING_SKIP == PING_MODE_COUNT - 1, "ping modes");
static_assert(PUSHER__TIME_ZONE__TIME_TARGET == TIME_ZONE_COUNT - 1, "time zones");

/* The end of every encoding but a secret's: packs what was put, if it was, and gives up the coder.
 */
static int encoded(struct coder *c, const ProtobufCMessage *packed, struct buf *out,
                   const char *what)
{
    struct err *err = c->err;
    if (packed != NULL)
        coder_pack(c, packed, out);
    bool ok = coder_ok(c);
    coder_release(c, false);
    return ok ? 0 : err_wrap(err, "cannot encode %s", what);
}

/* The end of every decoding but a secret's. */
static int decoded(struct coder *c, const char *what)
{
    struct err *err = c->err;
    bool ok = coder_ok(c);
    coder_release(c, false);
    return ok ? 0 : err_wrap(err, "cannot decode %s", what);
}

static Pusher__Job *put_job(struct coder *c, const struct job *from)
{
    Pusher__Job *to = coder_message(c, PART(job));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->generation = from->generation;
    to->package_name = put_text(c, from->package_name, sizeof from->package_name, "package name");
    to->package_bytes = check_u64(c, from->package_bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    to->package_digest = put_bytes(c, from->package_digest, sizeof from->package_digest);
    to->command = put_text(c, from->command, sizeof from->command, "command");
    to->arguments = put_text(c, from->arguments, sizeof from->arguments, "arguments");
    to->run_as = (Pusher__RunAs)check_enum(c, (int64_t)from->run_as, RUN_AS_COUNT, "run as");
    to->ping = (Pusher__PingMode)check_enum(c, (int64_t)from->ping, PING_MODE_COUNT, "ping");
    to->replace_path = from->replace_path;
    to->verify = from->verify;
    to->zone = (Pusher__TimeZone)check_enum(c, (int64_t)from->zone, TIME_ZONE_COUNT, "time zone");
    to->start_unix_s = from->start_unix_s;
    to->end_unix_s = from->end_unix_s;
    to->run_timeout_s = from->run_timeout_s;
    to->not_before_unix_s = from->not_before_unix_s;
    to->not_after_unix_s = from->not_after_unix_s;
    to->target_count = check_u32(c, from->target_count, LIMIT_TARGETS_MAX, "target count");
    to->targets_root = put_bytes(c, from->targets_root, sizeof from->targets_root);
    to->counter = from->counter;
    to->wait = from->wait;
    to->cleanup = from->cleanup;
    uint32_t codes =
        check_u32(c, from->success_code_count, LIMIT_SUCCESS_CODES, "number of success codes");
    put_counters(c, from->success_codes, codes, &to->success_codes, &to->n_success_codes);
    to->action =
        (Pusher__JobAction)check_enum(c, (int64_t)from->action, JOB_ACTION_COUNT, "action");
    to->of_push = put_push(c, &from->of_push);
    to->of_generation = from->of_generation;
    to->policy_version = from->policy_version;
    to->site_credentials = from->site_credentials;
    to->directory = from->directory;
    to->pool_root = put_key_or_none(c, from->pool_root);
    return to;
}

static void take_job(struct coder *c, const Pusher__Job *from, struct job *to)
{
    take_push(c, from->push, &to->push);
    to->generation = from->generation;
    take_text(c, from->package_name, to->package_name, sizeof to->package_name, "package name");
    to->package_bytes = check_u64(c, from->package_bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    take_bytes(c, from->package_digest, to->package_digest, sizeof to->package_digest,
               "package digest");
    take_text(c, from->command, to->command, sizeof to->command, "command");
    take_text(c, from->arguments, to->arguments, sizeof to->arguments, "arguments");
    to->run_as = (enum run_as)check_enum(c, (int64_t)from->run_as, RUN_AS_COUNT, "run as");
    to->ping = (enum ping_mode)check_enum(c, (int64_t)from->ping, PING_MODE_COUNT, "ping");
    to->replace_path = from->replace_path != 0;
    to->verify = from->verify != 0;
    to->zone = (enum time_zone)check_enum(c, (int64_t)from->zone, TIME_ZONE_COUNT, "time zone");
    to->start_unix_s = from->start_unix_s;
    to->end_unix_s = from->end_unix_s;
    to->run_timeout_s = from->run_timeout_s;
    to->not_before_unix_s = from->not_before_unix_s;
    to->not_after_unix_s = from->not_after_unix_s;
    to->target_count = check_u32(c, from->target_count, LIMIT_TARGETS_MAX, "target count");
    take_bytes(c, from->targets_root, to->targets_root, sizeof to->targets_root, "targets root");
    to->counter = from->counter;
    to->wait = from->wait != 0;
    to->cleanup = from->cleanup != 0;
    take_counters(c, from->success_codes, from->n_success_codes, to->success_codes,
                  LIMIT_SUCCESS_CODES, "success codes");
    to->success_code_count = (uint32_t)from->n_success_codes;
    to->action = (enum job_action)check_enum(c, (int64_t)from->action, JOB_ACTION_COUNT, "action");
    take_push(c, from->of_push, &to->of_push);
    to->of_generation = from->of_generation;
    to->policy_version = from->policy_version;
    to->site_credentials = from->site_credentials != 0;
    to->directory = from->directory != 0;
    take_key_or_none(c, from->pool_root, to->pool_root, "pool root");
}

int wire_encode_job(const struct job *job, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__Job *packed = put_job(&c, job);
    return encoded(&c, packed == NULL ? NULL : &packed->base, out, "job");
}

int wire_decode_job(const uint8_t *bytes, size_t size, struct job *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Job *packed = coder_unpack(&c, PART(job), bytes, size);
    if (packed != NULL)
        take_job(&c, packed, out);
    if (decoded(&c, "job") == 0)
        return 0;
    memset(out, 0, sizeof *out);
    return -1;
}

int wire_encode_credential(const struct credential *credential, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    Pusher__Credential packed = PUSHER__CREDENTIAL__INIT;
    packed.account = put_text(&c, credential->account, sizeof credential->account, "account");
    packed.secret = put_text(&c, credential->secret, sizeof credential->secret, "password");
    coder_pack(&c, &packed.base, out);
    bool ok = coder_ok(&c);
    coder_release(&c, true);
    return ok ? 0 : err_wrap(err, "cannot encode credential");
}

int wire_decode_credential(const uint8_t *bytes, size_t size, struct credential *out,
                           struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Credential *packed = coder_unpack(&c, PART(credential), bytes, size);
    if (packed != NULL) {
        take_text(&c, packed->account, out->account, sizeof out->account, "account");
        take_text(&c, packed->secret, out->secret, sizeof out->secret, "password");
    }
    bool ok = coder_ok(&c);
    coder_release(&c, true);
    if (ok)
        return 0;
    explicit_bzero(out, sizeof *out);
    return err_wrap(err, "cannot decode credential");
}

int wire_encode_outcome(const struct outcome *outcome, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__Outcome *packed = put_outcome(&c, outcome);
    return encoded(&c, packed == NULL ? NULL : &packed->base, out, "outcome");
}

int wire_decode_outcome(const uint8_t *bytes, size_t size, struct outcome *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Outcome *packed = coder_unpack(&c, PART(outcome), bytes, size);
    if (packed != NULL)
        take_outcome(&c, packed, out);
    if (decoded(&c, "outcome") == 0)
        return 0;
    memset(out, 0, sizeof *out);
    return -1;
}

static void put_subnets(struct coder *c, const struct subnet *from, uint32_t count,
                        uint32_t count_max, ProtobufCBinaryData **to, size_t *to_count)
{
    count = check_u32(c, count, count_max, "subnets");
    ProtobufCBinaryData *texts = coder_new(c, count, sizeof *texts);
    if (texts == NULL)
        return;
    for (uint32_t i = 0; i < count; i++) {
        char text[SUBNET_TEXT_SIZE];
        subnet_text(&from[i], text);
        texts[i] = put_text(c, text, sizeof text, "subnet");
    }
    *to = texts;
    *to_count = count;
}

static void take_subnets(struct coder *c, const ProtobufCBinaryData *from, size_t count,
                         uint32_t count_max, struct subnet **to, uint32_t *to_count)
{
    *to = take_array(c, count, count_max, sizeof **to, to_count, "subnets");
    for (uint32_t i = 0; i < *to_count; i++) {
        char text[SUBNET_TEXT_SIZE];
        take_text(c, from[i], text, sizeof text, "subnet");
        if (subnet_from_text(text, &(*to)[i], NULL) != 0)
            coder_fail(c, "subnet", "is none");
    }
}

static void put_keys(struct coder *c, const uint8_t (*from)[LIMIT_KEY_BYTES], uint32_t count,
                     uint32_t count_max, ProtobufCBinaryData **to, size_t *to_count)
{
    count = check_u32(c, count, count_max, "keys");
    ProtobufCBinaryData *keys = coder_new(c, count, sizeof *keys);
    if (keys == NULL)
        return;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = put_bytes(c, from[i], LIMIT_KEY_BYTES);
    *to = keys;
    *to_count = count;
}

static void take_keys(struct coder *c, const ProtobufCBinaryData *from, size_t count,
                      uint32_t count_max, uint8_t (*to)[LIMIT_KEY_BYTES], uint32_t *to_count)
{
    count = (size_t)check_u64(c, count, count_max, "number of keys");
    for (size_t i = 0; i < count; i++)
        take_bytes(c, from[i], to[i], LIMIT_KEY_BYTES, "key");
    *to_count = (uint32_t)count;
}

static Pusher__Policy *put_policy(struct coder *c, const struct policy *from)
{
    Pusher__Policy *to = coder_message(c, PART(policy));
    if (to == NULL)
        return NULL;
    to->version = from->version;
    to->made_unix_s = from->made_unix_s;
    put_keys(c, from->operators, from->operator_count, LIMIT_POLICY_OPERATORS, &to->operators,
             &to->n_operators);
    put_keys(c, from->coordinators, from->coordinator_count, LIMIT_POLICY_COORDINATORS,
             &to->coordinators, &to->n_coordinators);
    put_texts(c, from->never_names, from->never_name_count, LIMIT_NEVER_ENTRIES,
              LIMIT_TARGET_NAME_SIZE, &to->never_names, &to->n_never_names, "never-touch name");
    put_subnets(c, from->never_subnets, from->never_subnet_count, LIMIT_NEVER_ENTRIES,
                &to->never_subnets, &to->n_never_subnets);
    put_keys(c, (const uint8_t(*)[LIMIT_KEY_BYTES])from->revoked, from->revoked_count,
             LIMIT_POLICY_REVOKED, &to->revoked, &to->n_revoked);
    return to;
}

static void take_policy(struct coder *c, const Pusher__Policy *from, struct policy *to)
{
    to->version = from->version;
    to->made_unix_s = from->made_unix_s;
    take_keys(c, from->operators, from->n_operators, LIMIT_POLICY_OPERATORS, to->operators,
              &to->operator_count);
    take_keys(c, from->coordinators, from->n_coordinators, LIMIT_POLICY_COORDINATORS,
              to->coordinators, &to->coordinator_count);
    take_texts(c, from->never_names, from->n_never_names, LIMIT_NEVER_ENTRIES,
               LIMIT_TARGET_NAME_SIZE, &to->never_names, &to->never_name_count, "never-touch name");
    take_subnets(c, from->never_subnets, from->n_never_subnets, LIMIT_NEVER_ENTRIES,
                 &to->never_subnets, &to->never_subnet_count);
    to->revoked = take_array(c, from->n_revoked, LIMIT_POLICY_REVOKED, sizeof *to->revoked,
                             &to->revoked_count, "revoked keys");
    for (uint32_t i = 0; i < to->revoked_count; i++)
        take_bytes(c, from->revoked[i], to->revoked[i], LIMIT_KEY_BYTES, "revoked key");
}

static Pusher__Certificate *put_certificate(struct coder *c, const struct certificate *from)
{
    Pusher__Certificate *to = coder_message(c, PART(certificate));
    if (to == NULL)
        return NULL;
    to->relay = put_text(c, from->relay, sizeof from->relay, "relay name");
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->curve_key = put_bytes(c, from->curve_key, sizeof from->curve_key);
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    to->serial = from->serial;
    to->not_before_unix_s = from->not_before_unix_s;
    to->not_after_unix_s = from->not_after_unix_s;
    put_subnets(c, from->subnets, from->subnet_count, LIMIT_SITE_SUBNETS, &to->subnets,
                &to->n_subnets);
    return to;
}

static void take_certificate(struct coder *c, const Pusher__Certificate *from,
                             struct certificate *to)
{
    take_text(c, from->relay, to->relay, sizeof to->relay, "relay name");
    take_text(c, from->site, to->site, sizeof to->site, "site");
    take_bytes(c, from->curve_key, to->curve_key, sizeof to->curve_key, "curve key");
    take_bytes(c, from->seal_key, to->seal_key, sizeof to->seal_key, "seal key");
    to->serial = from->serial;
    to->not_before_unix_s = from->not_before_unix_s;
    to->not_after_unix_s = from->not_after_unix_s;
    take_subnets(c, from->subnets, from->n_subnets, LIMIT_SITE_SUBNETS, &to->subnets,
                 &to->subnet_count);
}

static Pusher__SiteCredential *put_site_credential(struct coder *c,
                                                   const struct site_credential *from)
{
    Pusher__SiteCredential *to = coder_message(c, PART(site_credential));
    if (to == NULL)
        return NULL;
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    to->counter = from->counter;
    to->account = put_text(c, from->account, sizeof from->account, "account");
    to->box = put_blob(c, from->box, from->box_size, LIMIT_MESSAGE_BYTES_MAX, "box");
    return to;
}

static void take_site_credential(struct coder *c, const Pusher__SiteCredential *from,
                                 struct site_credential *to)
{
    take_text(c, from->site, to->site, sizeof to->site, "site");
    take_bytes(c, from->seal_key, to->seal_key, sizeof to->seal_key, "seal key");
    to->counter = from->counter;
    take_text(c, from->account, to->account, sizeof to->account, "account");
    take_blob(c, from->box, &to->box, &to->box_size, LIMIT_MESSAGE_BYTES_MAX, "box");
}

int wire_encode_policy(const struct policy *policy, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__Policy *packed = put_policy(&c, policy);
    return encoded(&c, packed == NULL ? NULL : &packed->base, out, "policy");
}

int wire_decode_policy(const uint8_t *bytes, size_t size, struct policy *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Policy *packed = coder_unpack(&c, PART(policy), bytes, size);
    if (packed != NULL)
        take_policy(&c, packed, out);
    if (decoded(&c, "policy") == 0)
        return 0;
    policy_release(out);
    return -1;
}

int wire_encode_certificate(const struct certificate *certificate, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__Certificate *packed = put_certificate(&c, certificate);
    return encoded(&c, packed == NULL ? NULL : &packed->base, out, "certificate");
}

int wire_decode_certificate(const uint8_t *bytes, size_t size, struct certificate *out,
                            struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Certificate *packed = coder_unpack(&c, PART(certificate), bytes, size);
    if (packed != NULL)
        take_certificate(&c, packed, out);
    if (decoded(&c, "certificate") == 0)
        return 0;
    certificate_release(out);
    return -1;
}

int wire_encode_site_credential(const struct site_credential *credential, struct buf *out,
                                struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__SiteCredential *packed = put_site_credential(&c, credential);
    return encoded(&c, packed == NULL ? NULL : &packed->base, out, "site credential");
}

int wire_decode_site_credential(const uint8_t *bytes, size_t size, struct site_credential *out,
                                struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__SiteCredential *packed = coder_unpack(&c, PART(site_credential), bytes, size);
    if (packed != NULL)
        take_site_credential(&c, packed, out);
    if (decoded(&c, "site credential") == 0)
        return 0;
    site_credential_release(out);
    return -1;
}
