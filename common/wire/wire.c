/* The table of messages, and what is encoded alone: jobs, credentials, outcomes. */
#include "common/wire/wire.h"

#include <assert.h>
#include <string.h>

#include "common/wire/bodies.h"

static_assert(PUSHER__RUN_AS__RUN_AS_USER == RUN_AS_COUNT - 1, "accounts");
static_assert(PUSHER__PING_MODE__PING_SKIP == PING_MODE_COUNT - 1, "ping modes");
static_assert(PUSHER__TIME_ZONE__TIME_TARGET == TIME_ZONE_COUNT - 1, "time zones");

/* How one kind travels. */
struct body {
    Pusher__Message__BodyCase tag;
    body_put *put;
    body_take *take;
};

static const struct body bodies[MESSAGE_KIND_COUNT] = {
#define BODY(KIND, name) [MESSAGE_##KIND] = {PUSHER__MESSAGE__BODY_##KIND, put_##name, take_##name}
    BODY(HELLO, hello),
    BODY(HEARTBEAT, heartbeat),
    BODY(RESULTS, results),
    BODY(WELCOME, welcome),
    BODY(HEARTBEAT_ACK, heartbeat_ack),
    BODY(JOB, job_offer),
    BODY(LEASE, lease),
    BODY(RESULTS_ACK, results_ack),
    BODY(STOP, push_ref),
    BODY(CLOSE, push_ref),
    BODY(CHUNK_REQUEST, chunk_request),
    BODY(CHUNK, chunk),
    BODY(PACKAGE_OFFER, package_offer),
    BODY(PACKAGE_DATA, package_data),
    BODY(PUSH_BEGIN, push_begin),
    BODY(PUSH_TARGETS, push_targets),
    BODY(PUSH_COMMIT, push_commit),
    BODY(PUSH_STOP, push_stop),
    BODY(RELAYS_GET, empty),
    BODY(STATUS_GET, status_get),
    BODY(REPORT_GET, report_get),
    BODY(LIST_GET, empty),
    BODY(OK, ok),
    BODY(FAIL, fail),
    BODY(PACKAGE_WANT, package_want),
    BODY(RELAYS, relays),
    BODY(STATUS, status),
    BODY(REPORT_ROWS, report_rows),
    BODY(REPORT_END, report_end),
    BODY(LIST, list),
#undef BODY
};

int wire_encode(const struct message *message, struct buf *out, struct err *err)
{
    if (message->kind <= MESSAGE_NONE || message->kind >= MESSAGE_KIND_COUNT)
        return err_set(err, ERR_INVALID, "cannot encode a message of unknown kind");
    const struct body *body = &bodies[message->kind];
    struct coder c;
    coder_init(&c, false, err);
    Pusher__Message packed = PUSHER__MESSAGE__INIT;
    packed.request = message->request;
    packed.body_case = body->tag;
    /* The union's members are all pointers to generated structs: any of them will do. */
    packed.hello = body->put(&c, message);
    if (coder_ok(&c) && protobuf_c_message_get_packed_size(&packed.base) > LIMIT_MESSAGE_BYTES_MAX)
        coder_too_long(&c);
    coder_pack(&c, &packed.base, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    return ok ? 0 : err_wrap(err, "cannot encode %s", message_kind_word(message->kind));
}

static enum message_kind kind_of(Pusher__Message__BodyCase tag)
{
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++) {
        if (bodies[kind].tag == tag)
            return (enum message_kind)kind;
    }
    return MESSAGE_NONE;
}

static void decode(struct coder *c, const uint8_t *bytes, size_t size, struct message *out)
{
    if (size > LIMIT_MESSAGE_BYTES_MAX) {
        coder_fail(c, "message", "too long");
        return;
    }
    const Pusher__Message *packed = coder_unpack(c, &pusher__message__descriptor, bytes, size);
    if (packed == NULL)
        return;
    enum message_kind kind = kind_of(packed->body_case);
    if (kind == MESSAGE_NONE || packed->hello == NULL) {
        coder_fail(c, "message", "unknown kind");
        return;
    }
    out->kind = kind;
    out->request = packed->request;
    bodies[kind].take(c, packed->hello, out);
}

int wire_decode(const uint8_t *bytes, size_t size, struct message *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    decode(&c, bytes, size, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    if (ok)
        return 0;
    const char *word = message_kind_word(out->kind);
    message_release(out);
    return err_wrap(err, "cannot decode %s", word);
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
}

int wire_encode_job(const struct job *job, struct buf *out, struct err *err)
{
    struct coder c;
    coder_init(&c, false, err);
    const Pusher__Job *packed = put_job(&c, job);
    if (packed != NULL)
        coder_pack(&c, &packed->base, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    return ok ? 0 : err_wrap(err, "cannot encode job");
}

int wire_decode_job(const uint8_t *bytes, size_t size, struct job *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Job *packed = coder_unpack(&c, PART(job), bytes, size);
    if (packed != NULL)
        take_job(&c, packed, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    if (ok)
        return 0;
    memset(out, 0, sizeof *out);
    return err_wrap(err, "cannot decode job");
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
    if (packed != NULL)
        coder_pack(&c, &packed->base, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    return ok ? 0 : err_wrap(err, "cannot encode outcome");
}

int wire_decode_outcome(const uint8_t *bytes, size_t size, struct outcome *out, struct err *err)
{
    struct coder c;
    coder_init(&c, true, err);
    memset(out, 0, sizeof *out);
    const Pusher__Outcome *packed = coder_unpack(&c, PART(outcome), bytes, size);
    if (packed != NULL)
        take_outcome(&c, packed, out);
    bool ok = coder_ok(&c);
    coder_release(&c, false);
    if (ok)
        return 0;
    memset(out, 0, sizeof *out);
    return err_wrap(err, "cannot decode outcome");
}
