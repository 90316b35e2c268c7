/* Tells the record of reasons that a test has held one to be right: for those that the lab can't
 * produce. With $PUSHER_REASONS, a folder that ctest names, each program keeps the words in a file
 * of its own there; tests/integration/test_reasons.py compares all of them with reason.def. */
#ifndef PUSHER_TESTS_UNIT_REASON_SEEN_H
#define PUSHER_TESTS_UNIT_REASON_SEEN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/model/reason.h"

static inline void reason_seen(enum reason reason)
{
    static const char *mode = "we"; /* the file is the program's: emptied when it begins */
    char path[4096];
    const char *folder = getenv("PUSHER_REASONS");
    if (folder == NULL)
        return;
    (void)mkdir(folder, 0755); /* there already, as a rule */
    (void)snprintf(path, sizeof path, "%s/%s.txt", folder, program_invocation_short_name);
    FILE *file = fopen(path, mode);
    if (file == NULL)
        return; /* shows as a reason that nobody saw */
    mode = "ae";
    (void)fprintf(file, "%s\n", reason_word(reason));
    (void)fclose(file);
}

#endif
