/* Messages about packages: the package link's, and the control link's. */
#include "common/wire/bodies.h"

void *put_chunk_request(struct coder *c, const struct message *message)
{
    const struct message_chunk_request *from = &message->chunk_request;
    Pusher__ChunkRequest *to = coder_message(c, PART(chunk_request));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->size = check_u32(c, from->size, LIMIT_CHUNK_BYTES, "chunk size");
    to->insist = from->insist;
    return to;
}

void take_chunk_request(struct coder *c, const void *body, struct message *message)
{
    const Pusher__ChunkRequest *from = body;
    struct message_chunk_request *to = &message->chunk_request;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->size = check_u32(c, from->size, LIMIT_CHUNK_BYTES, "chunk size");
    to->insist = from->insist != 0;
}

void *put_chunk(struct coder *c, const struct message *message)
{
    const struct message_chunk *from = &message->chunk;
    Pusher__Chunk *to = coder_message(c, PART(chunk));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->total = check_u64(c, from->total, LIMIT_PACKAGE_BYTES_MAX, "package size");
    to->data = put_blob(c, from->data, from->size, LIMIT_CHUNK_BYTES, "chunk");
    to->source = put_key_or_none(c, from->source);
    return to;
}

void take_chunk(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Chunk *from = body;
    struct message_chunk *to = &message->chunk;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->total = check_u64(c, from->total, LIMIT_PACKAGE_BYTES_MAX, "package size");
    take_blob(c, from->data, &to->data, &to->size, LIMIT_CHUNK_BYTES, "chunk");
    take_key_or_none(c, from->source, to->source, "source");
}

void *put_package_offer(struct coder *c, const struct message *message)
{
    const struct message_package_offer *from = &message->package_offer;
    Pusher__PackageOffer *to = coder_message(c, PART(package_offer));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->bytes = check_u64(c, from->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    to->name = put_text(c, from->name, sizeof from->name, "package name");
    to->directory = from->directory;
    return to;
}

void take_package_offer(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageOffer *from = body;
    struct message_package_offer *to = &message->package_offer;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->bytes = check_u64(c, from->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    take_text(c, from->name, to->name, sizeof to->name, "package name");
    to->directory = from->directory != 0;
}

void *put_package_data(struct coder *c, const struct message *message)
{
    const struct message_package_data *from = &message->package_data;
    Pusher__PackageData *to = coder_message(c, PART(package_data));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    to->data = put_blob(c, from->data, from->size, LIMIT_CHUNK_BYTES, "chunk");
    return to;
}

void take_package_data(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageData *from = body;
    struct message_package_data *to = &message->package_data;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
    to->offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    take_blob(c, from->data, &to->data, &to->size, LIMIT_CHUNK_BYTES, "chunk");
}

void *put_package_want(struct coder *c, const struct message *message)
{
    Pusher__PackageWant *to = coder_message(c, PART(package_want));
    if (to != NULL)
        to->offset = check_u64(c, message->package_want.offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
    return to;
}

void take_package_want(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageWant *from = body;
    message->package_want.offset = check_u64(c, from->offset, LIMIT_PACKAGE_BYTES_MAX, "offset");
}

static Pusher__PackageRow *put_package_row(struct coder *c, const struct package_row *from)
{
    Pusher__PackageRow *to = coder_message(c, PART(package_row));
    if (to == NULL)
        return NULL;
    to->digest = put_bytes(c, from->digest, sizeof from->digest);
    to->name = put_text(c, from->name, sizeof from->name, "package name");
    to->bytes = check_u64(c, from->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
    to->stored = check_u64(c, from->stored, LIMIT_PACKAGE_BYTES_MAX, "stored bytes");
    to->added_unix_ms = from->added_unix_ms;
    to->directory = from->directory;
    to->in_use = from->in_use;
    return to;
}

void *put_packages(struct coder *c, const struct message *message)
{
    const struct message_packages *from = &message->packages;
    Pusher__Packages *to = coder_message(c, PART(packages));
    uint32_t count = put_row_count(c, from->row_count, "packages");
    Pusher__PackageRow **rows = coder_new(c, count, sizeof(Pusher__PackageRow *));
    if (to == NULL)
        return NULL;
    for (uint32_t i = 0; rows != NULL && i < count; i++)
        rows[i] = put_package_row(c, &from->rows[i]);
    to->rows = rows;
    to->n_rows = count;
    return to;
}

void take_packages(struct coder *c, const void *body, struct message *message)
{
    const Pusher__Packages *from = body;
    struct message_packages *to = &message->packages;
    to->rows = take_rows(c, from->n_rows, sizeof *to->rows, &to->row_count, "packages");
    for (uint32_t i = 0; i < to->row_count; i++) {
        const Pusher__PackageRow *packed = from->rows[i];
        struct package_row *row = &to->rows[i];
        take_bytes(c, packed->digest, row->digest, sizeof row->digest, "digest");
        take_text(c, packed->name, row->name, sizeof row->name, "package name");
        row->bytes = check_u64(c, packed->bytes, LIMIT_PACKAGE_BYTES_MAX, "package size");
        row->stored = check_u64(c, packed->stored, LIMIT_PACKAGE_BYTES_MAX, "stored bytes");
        row->added_unix_ms = packed->added_unix_ms;
        row->directory = packed->directory != 0;
        row->in_use = packed->in_use != 0;
    }
}

void *put_package_ref(struct coder *c, const struct message *message)
{
    const struct message_package_ref *from = &message->package_ref;
    Pusher__PackageRef *to = coder_message(c, PART(package_ref));
    if (to != NULL)
        to->digest = put_bytes(c, from->digest, sizeof from->digest);
    return to;
}

void take_package_ref(struct coder *c, const void *body, struct message *message)
{
    const Pusher__PackageRef *from = body;
    struct message_package_ref *to = &message->package_ref;
    take_bytes(c, from->digest, to->digest, sizeof to->digest, "digest");
}
