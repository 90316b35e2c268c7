/* Samples of every message kind for the tests of common/wire: filled to their limits, and compared
 * field by field with what came back. */
#ifndef PUSHER_TESTS_WIRE_SAMPLES_H
#define PUSHER_TESTS_WIRE_SAMPLES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/message.h"

#define PATTERN 0x5a

/* Structs are compared byte by byte, so that a field which the codec forgets is seen without this
 * test knowing it: filled with a pattern here, zero after decoding. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CLEAR_PADDING(pointer) __builtin_clear_padding(pointer)
#endif
#endif
#ifndef CLEAR_PADDING
#define CLEAR_PADDING(pointer) (void)(pointer)
#define PADDING_STAYS 1
#endif

#ifdef PADDING_STAYS
#define SAME(a, b) (void)(a), (void)(b)
#else
#define SAME(a, b)                                                                                 \
    do {                                                                                           \
        CLEAR_PADDING(a);                                                                          \
        CLEAR_PADDING(b);                                                                          \
        assert_memory_equal(a, b, sizeof *(a));                                                    \
    } while (0)
#endif

#define FILL(pointer) memset(pointer, PATTERN, sizeof *(pointer))
#define FILL_TEXT(array) fill_text(array, sizeof(array))

struct sample {
    void (*fill)(struct message *message, uint32_t rows);
    void (*same)(struct message *a, struct message *b);
};

extern const struct sample samples[MESSAGE_KIND_COUNT];

/* As long as fits, with a two-byte character. */
void fill_text(char *text, size_t size);
char *new_text(size_t size);
uint8_t *new_bytes(size_t size);
char **new_texts(uint32_t count, size_t size);
void fill_outcome(struct outcome *outcome);
void same_blob(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);
void same_texts(char *const *a, uint32_t a_count, char *const *b, uint32_t b_count);

/* In wire_samples_trust.c and wire_samples_sites.c. */
#define SAMPLE_OF(name)                                                                            \
    void fill_##name(struct message *message, uint32_t rows);                                      \
    void same_##name(struct message *a, struct message *b)
SAMPLE_OF(enroll);
SAMPLE_OF(enrolled);
SAMPLE_OF(peer);
SAMPLE_OF(permit_get);
SAMPLE_OF(permit);
SAMPLE_OF(object);
SAMPLE_OF(objects_get);
SAMPLE_OF(objects);
SAMPLE_OF(token_put);
SAMPLE_OF(token);
SAMPLE_OF(relay_set);
SAMPLE_OF(push_credentials);
SAMPLE_OF(site_put);
SAMPLE_OF(site_ref);
SAMPLE_OF(sites_get);
SAMPLE_OF(sites);
SAMPLE_OF(routes_get);
SAMPLE_OF(routes);
SAMPLE_OF(lint);
SAMPLE_OF(parts_get);
SAMPLE_OF(parts);
SAMPLE_OF(packages);
SAMPLE_OF(package_ref);

#endif
