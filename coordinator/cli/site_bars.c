/* Sites' lines. */
#include "coordinator/cli/site_bars.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define NAME_WIDTH_MAX 24U

static void add(struct totals *to, const struct totals *from)
{
    for (int state = 0; state < TARGET_STATE_COUNT; state++)
        to->by_state[state] += from->by_state[state];
    to->attempted += from->attempted;
    to->reboot += from->reboot;
}

struct push_part *site_bars_fold(const struct push_part *parts, uint32_t part_count,
                                 uint32_t *site_count)
{
    *site_count = 0;
    if (part_count == 0)
        return NULL;
    struct push_part *sites = mem_new(part_count, sizeof *sites);
    for (uint32_t i = 0; i < part_count; i++) {
        if (*site_count == 0 || strcmp(sites[*site_count - 1].site, parts[i].site) != 0)
            (void)text_copy(sites[(*site_count)++].site, sizeof sites->site, parts[i].site);
        add(&sites[*site_count - 1].totals, &parts[i].totals);
    }
    return sites;
}

size_t site_bars_name_width(const struct push_part *sites, uint32_t site_count)
{
    size_t width = 0;
    for (uint32_t i = 0; i < site_count; i++) {
        size_t length = strlen(sites[i].site);
        width = length > width ? length : width;
    }
    return width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX;
}

char *site_bar_text(const struct push_part *site, bool wait, size_t name_width, size_t width,
                    char text[PROGRESS_TEXT_SIZE])
{
    struct message_status status = {.push = {.totals = site->totals, .wait = wait}};
    char name[LIMIT_SITE_NAME_SIZE];
    char counts[PROGRESS_TEXT_SIZE];
    char line[2 * PROGRESS_TEXT_SIZE];
    (void)progress_text(&status, 0, 0, width, counts);
    (void)snprintf(line, sizeof line, "%-*s  %s", (int)name_width,
                   text_printable(name, sizeof name, site->site), counts);
    return text_printable(
        text, width > 0 && width < PROGRESS_TEXT_SIZE ? width : PROGRESS_TEXT_SIZE, line);
}
