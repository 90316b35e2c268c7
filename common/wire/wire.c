/* The table of messages. */
#include "common/wire/wire.h"

#include <string.h>

#include "common/wire/bodies.h"

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
    BODY(RELAYS_GET, relays_get),
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
    BODY(ENROLL, enroll),
    BODY(PERMIT_GET, permit_get),
    BODY(ENROLLED, enrolled),
    BODY(PEER, peer),
    BODY(PERMIT, permit),
    BODY(OBJECT, object),
    BODY(OBJECTS_GET, objects_get),
    BODY(SITE_PUT, site_put),
    BODY(SITE_RM, site_ref),
    BODY(SITES_GET, sites_get),
    BODY(ROUTES_GET, routes_get),
    BODY(LINT_GET, empty),
    BODY(TOKEN_PUT, token_put),
    BODY(RELAY_SET, relay_set),
    BODY(CREDENTIAL_RM, site_ref),
    BODY(PUSH_CREDENTIALS, push_credentials),
    BODY(JOB_GET, job_get),
    BODY(PARTS_GET, parts_get),
    BODY(PARTS, parts),
    BODY(PACKAGES_GET, empty),
    BODY(PACKAGE_RM, package_ref),
    BODY(PACKAGE_VERIFY, package_ref),
    BODY(OBJECTS, objects),
    BODY(SITES, sites),
    BODY(ROUTES, routes),
    BODY(LINT, lint),
    BODY(TOKEN, token),
    BODY(PACKAGES, packages),
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
