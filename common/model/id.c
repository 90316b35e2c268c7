/* Push ids. */
#include "common/model/id.h"

#include <string.h>
#include <strings.h>

#include "common/base/hex.h"

bool push_id_equal(const struct push_id *a, const struct push_id *b)
{
    return memcmp(a->bytes, b->bytes, PUSH_ID_BYTES) == 0;
}

void push_id_text(const struct push_id *id, char text[PUSH_ID_TEXT_SIZE])
{
    hex_encode(id->bytes, PUSH_ID_BYTES, text);
}

void push_id_short(const struct push_id *id, char text[PUSH_ID_SHORT_SIZE])
{
    hex_encode(id->bytes, (PUSH_ID_SHORT_SIZE - 1) / 2, text);
}

int push_id_from_text(const char *text, struct push_id *id)
{
    return hex_decode(text, id->bytes, PUSH_ID_BYTES);
}

bool push_id_has_prefix(const struct push_id *id, const char *prefix)
{
    char text[PUSH_ID_TEXT_SIZE];
    size_t length = strlen(prefix);
    push_id_text(id, text);
    return length > 0 && length < PUSH_ID_TEXT_SIZE && strncasecmp(text, prefix, length) == 0;
}
