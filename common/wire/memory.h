/* Bounded memory for one encoding or decoding: taken piece by piece, given back all at once.
 *
 * protobuf-c allocates whatever a message makes it: 1 MiB of empty sub-messages took 67 MiB.
 * Through this allocator it gets WIRE_MEMORY_MAX and then NULL, which it reports as a message that
 * cannot be parsed.
 */
#ifndef PUSHER_WIRE_MEMORY_H
#define PUSHER_WIRE_MEMORY_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct memory_block;

struct wire_memory {
    struct memory_block *blocks;  /* newest first; owned */
    size_t used;                  /* bytes of all blocks */
    size_t size_max;              /* never more than this */
    bool exhausted;               /* something did not fit */
    ProtobufCAllocator allocator; /* takes from here; gives nothing back */
};

/* The struct must not move while it is in use: allocator points to it. */
void wire_memory_init(struct wire_memory *memory, size_t size_max);
/* Frees everything; `wipe` overwrites it first. */
void wire_memory_release(struct wire_memory *memory, bool wipe);
/* Zeroed, aligned for any type; NULL when it does not fit. */
void *wire_memory_take(struct wire_memory *memory, size_t count, size_t size);

#endif
