/* Checks and copies shared by all encoders and decoders. */
#include "common/wire/coder.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/utf16.h"
#include "common/wire/wire.h"

void coder_init(struct coder *c, bool decoding, struct err *err)
{
    wire_memory_init(&c->memory, WIRE_MEMORY_MAX);
    c->decoding = decoding;
    c->failed = false;
    c->err = err;
}

void coder_release(struct coder *c, bool wipe)
{
    wire_memory_release(&c->memory, wipe);
}

bool coder_ok(const struct coder *c)
{
    return !c->failed;
}

static void fail_with(struct coder *c, enum err_code code, const char *field, const char *why)
{
    if (!c->failed)
        (void)err_set(c->err, code, "%s: %s", field, why);
    c->failed = true;
}

void coder_fail(struct coder *c, const char *field, const char *why)
{
    fail_with(c, c->decoding ? ERR_PROTOCOL : ERR_INVALID, field, why);
}

void coder_too_long(struct coder *c)
{
    fail_with(c, ERR_LIMIT, "message", "too long");
}

void *coder_new(struct coder *c, size_t count, size_t size)
{
    if (count == 0 || c->failed)
        return NULL;
    void *memory = wire_memory_take(&c->memory, count, size);
    if (memory == NULL)
        fail_with(c, ERR_LIMIT, "message", "needs too much memory");
    return memory;
}

void *coder_message(struct coder *c, const ProtobufCMessageDescriptor *type)
{
    void *message = coder_new(c, 1, type->sizeof_message);
    if (message != NULL)
        protobuf_c_message_init(type, message);
    return message;
}

void coder_pack(struct coder *c, const ProtobufCMessage *message, struct buf *out)
{
    if (c->failed)
        return;
    size_t size = protobuf_c_message_get_packed_size(message);
    if (out->failed || size > out->size_max - out->size) {
        coder_too_long(c);
        return;
    }
    uint8_t *room = buf_reserve(out, size);
    if (room != NULL)
        (void)protobuf_c_message_pack(message, room);
}

void *coder_unpack(struct coder *c, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                   size_t size)
{
    void *message = protobuf_c_message_unpack(type, &c->memory.allocator, size, bytes);
    if (message == NULL && c->memory.exhausted)
        fail_with(c, ERR_LIMIT, type->short_name, "needs too much memory");
    else if (message == NULL)
        coder_fail(c, type->short_name, "cannot be parsed");
    return message;
}

uint64_t check_u64(struct coder *c, uint64_t value, uint64_t max, const char *field)
{
    if (value <= max)
        return value;
    coder_fail(c, field, "too large");
    return 0;
}

uint32_t check_u32(struct coder *c, uint32_t value, uint32_t max, const char *field)
{
    return (uint32_t)check_u64(c, value, max, field);
}

int check_enum(struct coder *c, int64_t value, int count, const char *field)
{
    if (value >= 0 && value < count)
        return (int)value;
    coder_fail(c, field, "unknown value");
    return 0;
}

ProtobufCBinaryData put_bytes(struct coder *c, const uint8_t *bytes, size_t size)
{
    ProtobufCBinaryData to = {0, NULL};
    to.data = coder_new(c, size, 1);
    if (to.data != NULL) {
        memcpy(to.data, bytes, size);
        to.len = size;
    }
    return to;
}

static const uint8_t no_key[LIMIT_KEY_BYTES];

ProtobufCBinaryData put_key_or_none(struct coder *c, const uint8_t key[LIMIT_KEY_BYTES])
{
    bool none = memcmp(key, no_key, sizeof no_key) == 0;
    return put_bytes(c, key, none ? 0 : LIMIT_KEY_BYTES);
}

ProtobufCBinaryData put_raw_text(struct coder *c, const char *text, size_t size_max,
                                 const char *field)
{
    size_t length = strnlen(text, size_max);
    if (length == size_max) {
        coder_fail(c, field, "too long");
        length = 0;
    }
    return put_bytes(c, (const uint8_t *)text, length);
}

ProtobufCBinaryData put_text(struct coder *c, const char *text, size_t size_max, const char *field)
{
    ProtobufCBinaryData to = put_raw_text(c, text, size_max, field);
    if (to.len > 0 && !utf8_valid(text))
        coder_fail(c, field, "not UTF-8");
    return to;
}

ProtobufCBinaryData put_blob(struct coder *c, uint8_t *bytes, size_t size, size_t size_max,
                             const char *field)
{
    ProtobufCBinaryData to = {size, bytes};
    if (size > size_max) {
        coder_fail(c, field, "too long");
        to.len = 0;
    }
    return to;
}

void put_counters(struct coder *c, const uint32_t *from, size_t count, uint32_t **to,
                  size_t *to_count)
{
    *to = coder_new(c, count, sizeof **to);
    if (*to == NULL)
        return;
    memcpy(*to, from, count * sizeof **to);
    *to_count = count;
}

void take_raw_text(struct coder *c, ProtobufCBinaryData from, char *to, size_t size_max,
                   const char *field)
{
    to[0] = '\0';
    if (from.len >= size_max) {
        coder_fail(c, field, "too long");
        return;
    }
    if (from.len == 0)
        return;
    if (memchr(from.data, '\0', from.len) != NULL) {
        coder_fail(c, field, "contains a NUL");
        return;
    }
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
}

void take_text(struct coder *c, ProtobufCBinaryData from, char *to, size_t size_max,
               const char *field)
{
    take_raw_text(c, from, to, size_max, field);
    if (!utf8_valid(to)) {
        to[0] = '\0';
        coder_fail(c, field, "not UTF-8");
    }
}

void take_bytes(struct coder *c, ProtobufCBinaryData from, uint8_t *to, size_t size,
                const char *field)
{
    if (from.len == size)
        memcpy(to, from.data, size);
    else
        coder_fail(c, field, "wrong length");
}

void take_key_or_none(struct coder *c, ProtobufCBinaryData from, uint8_t key[LIMIT_KEY_BYTES],
                      const char *field)
{
    memset(key, 0, LIMIT_KEY_BYTES);
    if (from.len > 0)
        take_bytes(c, from, key, LIMIT_KEY_BYTES, field);
}

void take_blob(struct coder *c, ProtobufCBinaryData from, uint8_t **to, size_t *to_size,
               size_t size_max, const char *field)
{
    if (from.len > size_max) {
        coder_fail(c, field, "too long");
        return;
    }
    if (from.len == 0 || c->failed)
        return;
    *to = mem_new(from.len, 1);
    memcpy(*to, from.data, from.len);
    *to_size = from.len;
}

void take_heap_text(struct coder *c, ProtobufCBinaryData from, char **to, size_t size_max,
                    const char *field)
{
    size_t size = from.len < size_max ? from.len + 1 : size_max;
    *to = mem_new(size, 1);
    take_text(c, from, *to, size_max, field);
}

void *take_array(struct coder *c, size_t count, size_t count_max, size_t size, uint32_t *to_count,
                 const char *field)
{
    if (count > count_max) {
        coder_fail(c, field, "too many");
        return NULL;
    }
    if (count == 0 || c->failed)
        return NULL;
    *to_count = (uint32_t)count;
    return mem_new(count, size);
}

void *take_rows(struct coder *c, size_t count, size_t size, uint32_t *to_count, const char *field)
{
    return take_array(c, count, LIMIT_ROWS_PER_MESSAGE, size, to_count, field);
}

void take_counters(struct coder *c, const uint32_t *from, size_t from_count, uint32_t *to,
                   size_t count, const char *field)
{
    if (from_count > count)
        coder_fail(c, field, "too many");
    else if (from_count > 0)
        memcpy(to, from, from_count * sizeof *to);
}
