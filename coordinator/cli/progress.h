/* The live view of a push on standard error: a redrawn line on a terminal, else a line now and
 * then. */
#ifndef PUSHER_CLI_PROGRESS_H
#define PUSHER_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/model/message.h"

#define PROGRESS_TEXT_SIZE 512
#define PROGRESS_LINE_MS 10000U  /* without a terminal: a line at least so often ... */
#define PROGRESS_LINE_PERCENT 5U /* ... or after so much more was done */

struct progress {
    FILE *out;           /* borrowed */
    size_t width;        /* of the terminal; 0: none */
    bool begun;          /* the first status was seen */
    uint64_t first_ms;   /* then, loop time ... */
    uint32_t first_done; /* ... and rows that were done by then */
    uint64_t said_ms;    /* last line without a terminal */
    uint32_t said_percent;
};

/* One line for a status: bar (when width allows), counts, with --wait how many ends are awaited,
 * what runs in which stage, rate, without --wait an ETA.
 * done_before and elapsed_ms give the rate. Pure. Returns `text`. */
char *progress_text(const struct message_status *status, uint32_t done_before, uint64_t elapsed_ms,
                    size_t width, char text[PROGRESS_TEXT_SIZE]);

void progress_init(struct progress *progress, FILE *out, size_t width);
/* Shows a new status; without a terminal only when a line is due (or last). */
void progress_show(struct progress *progress, const struct message_status *status, uint64_t now_ms,
                   bool last);
/* Takes the line away, so that a message can stand in its place; the next show draws it again. */
void progress_clear(const struct progress *progress);
/* Ends the redrawn line. */
void progress_end(struct progress *progress);

#endif
