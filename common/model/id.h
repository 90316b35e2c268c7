/* Push ids: 128 random bits chosen by the client, so that a repeated request is the same push. */
#ifndef PUSHER_MODEL_ID_H
#define PUSHER_MODEL_ID_H

#include <stdbool.h>
#include <stdint.h>

#define PUSH_ID_BYTES 16
#define PUSH_ID_TEXT_SIZE 33 /* 32 hexadecimal digits and a NUL */
#define PUSH_ID_SHORT_SIZE 9 /* 8 digits and a NUL, for people */

struct push_id {
    uint8_t bytes[PUSH_ID_BYTES];
};

bool push_id_equal(const struct push_id *a, const struct push_id *b);
/* Writes 32 lower-case digits and a NUL. */
void push_id_text(const struct push_id *id, char text[PUSH_ID_TEXT_SIZE]);
/* The first 8 digits, for display only. */
void push_id_short(const struct push_id *id, char text[PUSH_ID_SHORT_SIZE]);
/* Reads 32 digits. Returns 0 or -1. */
int push_id_from_text(const char *text, struct push_id *id);
/* Whether `prefix` is 1 to 32 hexadecimal digits (either case) that the id begins with. */
bool push_id_has_prefix(const struct push_id *id, const char *prefix);

#endif
