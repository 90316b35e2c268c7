/* A push's progress by site: a line each, with a bar where the terminal has room. Pure. */
#ifndef PUSHER_CLI_SITE_BARS_H
#define PUSHER_CLI_SITE_BARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordinator/cli/progress.h"

/* One entry per site, in the order of names: the parts of its relays together. To be freed; NULL
 * when there are no parts. */
struct push_part *site_bars_fold(const struct push_part *parts, uint32_t part_count,
                                 uint32_t *site_count);
/* Columns that the longest name takes, at most 24. */
size_t site_bars_name_width(const struct push_part *sites, uint32_t site_count);
/* "lyon   [##########----------]  50%  200/400  ok 190  failed 10". width: of the terminal, 0:
 * none, no bar. Returns `text`. */
char *site_bar_text(const struct push_part *site, bool wait, size_t name_width, size_t width,
                    char text[PROGRESS_TEXT_SIZE]);

#endif
