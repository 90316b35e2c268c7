/* Bytes as a broken or hostile peer would send them: cut at every length, changed at random with a
 * fixed seed. Each variant lies in memory of its own size, so that ASan sees any read past its end.
 */
#ifndef PUSHER_TESTS_UNIT_HOSTILE_H
#define PUSHER_TESTS_UNIT_HOSTILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void hostile_feed(const uint8_t *bytes, size_t size, void *context);

static inline void hostile_give(const uint8_t *bytes, size_t size, hostile_feed *feed,
                                void *context)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, bytes, size);
    feed(copy, size, context);
    free(copy);
}

static inline void hostile_truncate(const uint8_t *bytes, size_t size, hostile_feed *feed,
                                    void *context)
{
    for (size_t length = 0; length <= size; length++)
        hostile_give(bytes, length, feed, context);
}

/* xorshift32: the same sequence everywhere. */
static inline uint32_t hostile_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* `count` variants with one to four bytes changed, every third cut as well. `seed` is not 0. */
static inline void hostile_mutate(const uint8_t *bytes, size_t size, unsigned count, uint32_t seed,
                                  hostile_feed *feed, void *context)
{
    static const uint8_t favourites[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
    uint8_t *copy = malloc(size);
    if (copy == NULL)
        abort();
    for (unsigned i = 0; i < count; i++) {
        memcpy(copy, bytes, size);
        unsigned changes = 1 + hostile_random(&seed) % 4;
        for (unsigned k = 0; k < changes; k++) {
            uint32_t r = hostile_random(&seed);
            uint8_t value =
                r % 2 == 0 ? favourites[(r >> 8) % sizeof favourites] : (uint8_t)(r >> 16);
            copy[hostile_random(&seed) % size] = value;
        }
        size_t length = i % 3 == 0 ? hostile_random(&seed) % (size + 1) : size;
        hostile_give(copy, length, feed, context);
    }
    free(copy);
}

#endif
