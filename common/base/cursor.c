/* Sticky reader: all bounds checks of the project's decoders live in cursor_bytes. */
#include "common/base/cursor.h"

#include <string.h>

static const uint8_t nothing[1];

struct cursor cursor_of(const void *data, size_t size)
{
    struct cursor c = {.data = data != NULL ? data : nothing, .size = data != NULL ? size : 0};
    return c;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t size)
{
    if (c->failed || size > c->size - c->at) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *here = c->data + c->at;
    c->at += size;
    return here;
}

/* Little-endian integer of up to 8 bytes; 0 when it does not fit. */
static uint64_t read_le(struct cursor *c, size_t size)
{
    const uint8_t *p = cursor_bytes(c, size);
    uint64_t value = 0;
    if (p == NULL)
        return 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | p[i - 1];
    return value;
}

static uint64_t read_be(struct cursor *c, size_t size)
{
    const uint8_t *p = cursor_bytes(c, size);
    uint64_t value = 0;
    if (p == NULL)
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)read_le(c, 1);
}

uint16_t cursor_u16le(struct cursor *c)
{
    return (uint16_t)read_le(c, 2);
}

uint32_t cursor_u32le(struct cursor *c)
{
    return (uint32_t)read_le(c, 4);
}

uint64_t cursor_u64le(struct cursor *c)
{
    return read_le(c, 8);
}

uint16_t cursor_u16be(struct cursor *c)
{
    return (uint16_t)read_be(c, 2);
}

uint32_t cursor_u32be(struct cursor *c)
{
    return (uint32_t)read_be(c, 4);
}

uint64_t cursor_u64be(struct cursor *c)
{
    return read_be(c, 8);
}

void cursor_copy(struct cursor *c, void *to, size_t size)
{
    const uint8_t *from = cursor_bytes(c, size);
    if (from != NULL)
        memcpy(to, from, size);
    else
        memset(to, 0, size);
}

void cursor_skip(struct cursor *c, size_t size)
{
    (void)cursor_bytes(c, size);
}

void cursor_seek(struct cursor *c, size_t offset)
{
    if (offset > c->size)
        c->failed = true;
    else if (!c->failed)
        c->at = offset;
}

void cursor_align(struct cursor *c, size_t alignment)
{
    cursor_skip(c, (alignment - c->at % alignment) % alignment);
}

struct cursor cursor_sub(struct cursor *c, size_t offset, size_t size)
{
    struct cursor sub = {.data = nothing, .failed = true};
    if (c->failed || offset > c->size || size > c->size - offset) {
        c->failed = true;
        return sub;
    }
    sub.data = c->data + offset;
    sub.size = size;
    sub.failed = false;
    return sub;
}

size_t cursor_left(const struct cursor *c)
{
    return c->failed ? 0 : c->size - c->at;
}

bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}

void cursor_fail(struct cursor *c)
{
    c->failed = true;
}
