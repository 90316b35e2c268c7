/* Bounded memory: a list of blocks, each filled from its start. */
#include "common/wire/memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 16384U

struct memory_block {
    struct memory_block *next;
    size_t size; /* of data */
    size_t at;   /* bytes of data handed out */
    alignas(max_align_t) unsigned char data[];
};

static void *allocate(void *data, size_t size)
{
    return wire_memory_take(data, 1, size);
}

static void give_back(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

void wire_memory_init(struct wire_memory *memory, size_t size_max)
{
    memset(memory, 0, sizeof *memory);
    memory->size_max = size_max;
    memory->allocator.alloc = allocate;
    memory->allocator.free = give_back;
    memory->allocator.allocator_data = memory;
}

void wire_memory_release(struct wire_memory *memory, bool wipe)
{
    struct memory_block *block = memory->blocks;
    while (block != NULL) {
        struct memory_block *next = block->next;
        if (wipe)
            explicit_bzero(block->data, block->size);
        free(block);
        block = next;
    }
    wire_memory_init(memory, memory->size_max);
}

/* A new block with room for at least `size` bytes; NULL when that passes the maximum. */
static struct memory_block *add_block(struct wire_memory *memory, size_t size)
{
    size_t data_size = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    size_t left = memory->size_max - memory->used;
    if (data_size > left)
        data_size = left;
    if (size > data_size)
        return NULL;
    struct memory_block *block = calloc(1, sizeof *block + data_size);
    if (block == NULL)
        return NULL;
    block->size = data_size;
    block->next = memory->blocks;
    memory->blocks = block;
    memory->used += data_size;
    return block;
}

void *wire_memory_take(struct wire_memory *memory, size_t count, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    if (size > 0 && count > memory->size_max / size) {
        memory->exhausted = true;
        return NULL;
    }
    size_t wanted = (count * size / alignment + 1) * alignment;
    struct memory_block *block = memory->blocks;
    if (block == NULL || wanted > block->size - block->at)
        block = add_block(memory, wanted);
    if (block == NULL) {
        memory->exhausted = true;
        return NULL;
    }
    void *here = block->data + block->at;
    block->at += wanted;
    return here;
}
