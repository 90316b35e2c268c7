/* The six stages as an enumeration and their words. */
#ifndef PUSHER_MODEL_STAGE_H
#define PUSHER_MODEL_STAGE_H

enum stage {
#define STAGE(name, word, purpose) STAGE_##name,
#include "common/model/stage.def"
#undef STAGE
    STAGE_COUNT, /* how many; also "no stage yet" */
};

/* "resolve" ... "schedule"; "-" for STAGE_COUNT. */
const char *stage_word(enum stage stage);
/* The stage of a word; STAGE_COUNT when there is none. */
enum stage stage_from_word(const char *word);

#endif
