/* Growable byte buffer with a maximum. */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BUF_FIRST_CAPACITY 64

void buf_init(struct buf *b, size_t size_max)
{
    memset(b, 0, sizeof *b);
    b->size_max = size_max;
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->size_max);
}

void buf_reset(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

void buf_wipe(struct buf *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->capacity);
    buf_reset(b);
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

/* The rare part of make_room. */
static bool grow(struct buf *b, size_t size)
{
    if (b->failed || size > b->size_max - b->size) {
        b->failed = true;
        return false;
    }
    size_t wanted = b->size + size;
    size_t capacity = b->capacity > 0 ? b->capacity : BUF_FIRST_CAPACITY;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    if (capacity > b->size_max)
        capacity = b->size_max;
    b->data = mem_resize(b->data, capacity, 1);
    b->capacity = capacity;
    return true;
}

/* Makes room for `size` more bytes; false and failed when that passes the maximum. */
static inline bool make_room(struct buf *b, size_t size)
{
    /* The memory may be one byte larger than the maximum: for the NUL of buf_cstr. */
    size_t most = b->capacity < b->size_max ? b->capacity : b->size_max;
    if (!b->failed && size <= most - b->size)
        return true;
    return grow(b, size);
}

uint8_t *buf_extend(struct buf *b, size_t size)
{
    if (!make_room(b, size > 0 ? size : 1) && size > 0)
        return NULL;
    if (b->failed)
        return NULL;
    uint8_t *here = b->data + b->size;
    b->size += size;
    return here;
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
    uint8_t *here = buf_extend(b, size);
    if (here != NULL)
        memset(here, 0, size);
    return here;
}

void buf_bytes(struct buf *b, const void *data, size_t size)
{
    if (size == 0 || !make_room(b, size))
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void write_le(struct buf *b, uint64_t value, size_t size)
{
    if (!make_room(b, size))
        return;
    for (size_t i = 0; i < size; i++)
        b->data[b->size + i] = (uint8_t)(value >> (8 * i));
    b->size += size;
}

static inline void write_be(struct buf *b, uint64_t value, size_t size)
{
    if (!make_room(b, size))
        return;
    for (size_t i = 0; i < size; i++)
        b->data[b->size + i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    b->size += size;
}

void buf_u8(struct buf *b, uint8_t value)
{
    write_le(b, value, 1);
}

void buf_u16le(struct buf *b, uint16_t value)
{
    write_le(b, value, 2);
}

void buf_u32le(struct buf *b, uint32_t value)
{
    write_le(b, value, 4);
}

void buf_u64le(struct buf *b, uint64_t value)
{
    write_le(b, value, 8);
}

void buf_u16be(struct buf *b, uint16_t value)
{
    write_be(b, value, 2);
}

void buf_u32be(struct buf *b, uint32_t value)
{
    write_be(b, value, 4);
}

void buf_u64be(struct buf *b, uint64_t value)
{
    write_be(b, value, 8);
}

void buf_zero(struct buf *b, size_t size)
{
    (void)buf_reserve(b, size);
}

void buf_align(struct buf *b, size_t origin, size_t alignment)
{
    buf_zero(b, (alignment - (b->size - origin) % alignment) % alignment);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        mem_exhausted();
    buf_bytes(b, text, (size_t)length);
    free(text);
}

void buf_text(struct buf *b, const char *text)
{
    buf_bytes(b, text, strlen(text));
}

static void patch(struct buf *b, size_t offset, uint32_t value, size_t size)
{
    if (offset > b->size || size > b->size - offset) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < size; i++)
        b->data[offset + i] = (uint8_t)(value >> (8 * i));
}

void buf_patch_u16le(struct buf *b, size_t offset, uint16_t value)
{
    patch(b, offset, value, 2);
}

void buf_patch_u32le(struct buf *b, size_t offset, uint32_t value)
{
    patch(b, offset, value, 4);
}

void buf_consume(struct buf *b, size_t size)
{
    if (size >= b->size) {
        b->size = 0;
        return;
    }
    memmove(b->data, b->data + size, b->size - size);
    b->size -= size;
}

const char *buf_cstr(struct buf *b)
{
    if (b->failed)
        return "";
    if (b->size == b->capacity)
        b->data = mem_resize(b->data, b->capacity = b->capacity + 1, 1);
    b->data[b->size] = '\0';
    return (const char *)b->data;
}
