/* Stage words. */
#include "common/model/stage.h"

#include <string.h>

static const char *const words[] = {
#define STAGE(name, word, purpose) word,
#include "common/model/stage.def"
#undef STAGE
};

const char *stage_word(enum stage stage)
{
    return stage < STAGE_COUNT ? words[stage] : "-";
}

enum stage stage_from_word(const char *word)
{
    int i = 0;
    while (i < STAGE_COUNT && strcmp(words[i], word) != 0)
        i++;
    return (enum stage)i;
}
