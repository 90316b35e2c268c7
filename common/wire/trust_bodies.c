/* Messages about who may do what: enrolment, standings, signed objects, peers, permits. */
#include "common/wire/bodies.h"

#define PORT_MAX 65535U

void *put_enroll(struct coder *c, const struct message *message)
{
    const struct message_enroll *from = &message->enroll;
    Pusher__Enroll *to = coder_message(c, PART(enroll));
    if (to == NULL)
        return NULL;
    to->relay_name = put_text(c, from->relay_name, sizeof from->relay_name, "relay name");
    to->curve_key = put_bytes(c, from->curve_key, sizeof from->curve_key);
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    return to;
}

void take_enroll(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Enroll *from = body;
    struct message_enroll *to = &message->enroll;
    take_text(c, from->relay_name, to->relay_name, sizeof to->relay_name, "relay name");
    take_bytes(c, from->curve_key, to->curve_key, sizeof to->curve_key, "curve key");
    take_bytes(c, from->seal_key, to->seal_key, sizeof to->seal_key, "seal key");
}

void *put_enrolled(struct coder *c, const struct message *message)
{
    const struct message_enrolled *from = &message->enrolled;
    Pusher__Enrolled *to = coder_message(c, PART(enrolled));
    if (to == NULL)
        return NULL;
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->package_port = from->package_port;
    return to;
}

void take_enrolled(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Enrolled *from = body;
    struct message_enrolled *to = &message->enrolled;
    take_text(c, from->site, to->site, sizeof to->site, "site");
    to->package_port = (uint16_t)check_u32(c, from->package_port, PORT_MAX, "package port");
}

void *put_peer(struct coder *c, const struct message *message)
{
    const struct message_peer *from = &message->peer;
    Pusher__Peer *to = coder_message(c, PART(peer));
    if (to == NULL)
        return NULL;
    to->key = put_bytes(c, from->key, sizeof from->key);
    to->certificate = put_blob(c, from->certificate, from->certificate_size,
                               LIMIT_MESSAGE_BYTES_MAX, "certificate");
    to->serve = put_text(c, from->serve, sizeof from->serve, "serve");
    return to;
}

void take_peer(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Peer *from = body;
    struct message_peer *to = &message->peer;
    take_bytes(c, from->key, to->key, sizeof to->key, "peer's key");
    take_blob(c, from->certificate, &to->certificate, &to->certificate_size,
              LIMIT_MESSAGE_BYTES_MAX, "certificate");
    take_text(c, from->serve, to->serve, sizeof to->serve, "serve");
}

void *put_permit_get(struct coder *c, const struct message *message)
{
    const struct message_permit_get *from = &message->permit_get;
    Pusher__PermitGet *to = coder_message(c, PART(permit_get));
    if (to == NULL)
        return NULL;
    to->epoch = from->epoch;
    to->account = put_bytes(c, from->account, sizeof from->account);
    to->refused = from->refused;
    to->accepted = from->accepted;
    to->done = from->done;
    to->counter = from->counter;
    return to;
}

void take_permit_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PermitGet *from = body;
    struct message_permit_get *to = &message->permit_get;
    to->epoch = from->epoch;
    take_bytes(c, from->account, to->account, sizeof to->account, "account digest");
    to->refused = from->refused;
    to->accepted = from->accepted != 0;
    to->done = from->done != 0;
    to->counter = from->counter;
}

void *put_permit(struct coder *c, const struct message *message)
{
    const struct message_permit *from = &message->permit;
    Pusher__Permit *to = coder_message(c, PART(permit));
    if (to == NULL)
        return NULL;
    to->epoch = from->epoch;
    to->account = put_bytes(c, from->account, sizeof from->account);
    to->granted = from->granted;
    to->open = from->open;
    to->refused = from->refused;
    to->counter = from->counter;
    to->failures = from->failures;
    return to;
}

void take_permit(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Permit *from = body;
    struct message_permit *to = &message->permit;
    to->epoch = from->epoch;
    take_bytes(c, from->account, to->account, sizeof to->account, "account digest");
    to->granted = from->granted != 0;
    to->open = from->open != 0;
    to->refused = from->refused != 0;
    to->counter = from->counter;
    to->failures = from->failures;
}

static Pusher__Object *put_one_object(struct coder *c, const struct message_object *from)
{
    Pusher__Object *to = coder_message(c, PART(object));
    if (to != NULL)
        to->object = put_blob(c, from->bytes, from->size, LIMIT_MESSAGE_BYTES_MAX, "signed object");
    return to;
}

static void take_one_object(struct coder *c, const Pusher__Object *from, struct message_object *to)
{
    take_blob(c, from->object, &to->bytes, &to->size, LIMIT_MESSAGE_BYTES_MAX, "signed object");
}

void *put_object(struct coder *c, const struct message *message)
{
    return put_one_object(c, &message->object);
}

void take_object(struct coder *c, const void *body, struct message *message)
{
    take_one_object(c, body, &message->object);
}

void *put_objects_get(struct coder *c, const struct message *message)
{
    const struct message_objects_get *from = &message->objects_get;
    Pusher__ObjectsGet *to = coder_message(c, PART(objects_get));
    if (to == NULL)
        return NULL;
    to->kind = from->kind;
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->first = from->first;
    return to;
}

void take_objects_get(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ObjectsGet *from = body;
    struct message_objects_get *to = &message->objects_get;
    to->kind = from->kind;
    take_text(c, from->site, to->site, sizeof to->site, "site");
    to->first = from->first;
}

void *put_objects(struct coder *c, const struct message *message)
{
    const struct message_objects *from = &message->objects;
    Pusher__Objects *to = coder_message(c, PART(objects));
    uint32_t count = put_row_count(c, from->row_count, "signed objects");
    Pusher__Object **rows = coder_new(c, count, sizeof(Pusher__Object *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_one_object(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    to->next = from->next;
    return to;
}

void take_objects(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Objects *from = body;
    struct message_objects *to = &message->objects;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "signed objects");
    for (uint32_t i = 0; i < to->row_count; i++)
        take_one_object(c, from->rows[i], &to->rows[i]);
    to->next = from->next;
}

void *put_token_put(struct coder *c, const struct message *message)
{
    const struct message_token_put *from = &message->token_put;
    Pusher__TokenPut *to = coder_message(c, PART(token_put));
    if (to == NULL)
        return NULL;
    to->key = put_bytes(c, from->key, sizeof from->key);
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->valid_s = from->valid_s;
    return to;
}

void take_token_put(struct coder *c, const void *body, struct message *message)
{
    const Pusher__TokenPut *from = body;
    struct message_token_put *to = &message->token_put;
    take_bytes(c, from->key, to->key, sizeof to->key, "token's key");
    take_text(c, from->site, to->site, sizeof to->site, "site");
    to->valid_s = from->valid_s;
}

void *put_token(struct coder *c, const struct message *message)
{
    const struct message_token *from = &message->token;
    Pusher__Token *to = coder_message(c, PART(token));
    if (to != NULL)
        to->coordinator_key = put_bytes(c, from->coordinator_key, sizeof from->coordinator_key);
    return to;
}

void take_token(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Token *from = body;
    struct message_token *to = &message->token;
    take_bytes(c, from->coordinator_key, to->coordinator_key, sizeof to->coordinator_key,
               "coordinator's key");
}

void *put_relay_set(struct coder *c, const struct message *message)
{
    const struct message_relay_set *from = &message->relay_set;
    Pusher__RelaySet *to = coder_message(c, PART(relay_set));
    if (to == NULL)
        return NULL;
    to->curve_key = put_bytes(c, from->curve_key, sizeof from->curve_key);
    to->standing = (Pusher__RelayStanding)check_enum(c, (int64_t)from->standing,
                                                     RELAY_STANDING_COUNT, "standing");
    return to;
}

void take_relay_set(struct coder *c, const void *body, struct message *message)
{
    const Pusher__RelaySet *from = body;
    struct message_relay_set *to = &message->relay_set;
    take_bytes(c, from->curve_key, to->curve_key, sizeof to->curve_key, "curve key");
    to->standing = (enum relay_standing)check_enum(c, (int64_t)from->standing, RELAY_STANDING_COUNT,
                                                   "standing");
}
