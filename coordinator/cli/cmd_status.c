/* pusher status: how far a push is, a line or bar per site. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/report/push_json.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/parts.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/site_bars.h"

#define WATCH_MS 1000U /* between two looks of status -w */

/* What one look saw. */
struct view {
    struct message status; /* MESSAGE_STATUS */
    struct push_part *sites;
    uint32_t site_count;
};

static void view_release(struct view *view)
{
    message_release(&view->status);
    free(view->sites);
    *view = (struct view){0};
}

static int view_fetch(struct view *view, struct session *session, const struct look *look,
                      struct err *err)
{
    struct push_part *parts = NULL;
    uint32_t part_count = 0;
    *view = (struct view){0};
    if (look_status(session, look, &view->status, err) != 0)
        return -1;
    if (parts_fetch(session, &view->status.status.push.push, &parts, &part_count, err) != 0) {
        view_release(view);
        return -1;
    }
    view->sites = site_bars_fold(parts, part_count, &view->site_count);
    free(parts);
    return 0;
}

/* Lines of the sites, when there are several. Returns how many were printed. */
static uint32_t print_sites(FILE *out, const struct view *view, size_t width, const char *end)
{
    char text[PROGRESS_TEXT_SIZE];
    size_t name_width = site_bars_name_width(view->sites, view->site_count);
    if (view->site_count < 2)
        return 0;
    for (uint32_t i = 0; i < view->site_count; i++)
        (void)fprintf(
            out, "%s%s\n",
            site_bar_text(&view->sites[i], view->status.status.push.wait, name_width, width, text),
            end);
    return view->site_count;
}

static int print_view(const struct look *look, const struct view *view, struct err *err)
{
    if (look_json_wanted(look))
        return push_json_status(stdout, &view->status.status, view->sites, view->site_count, err);
    look_print_status(&view->status.status);
    (void)print_sites(stdout, view, 0, "");
    return 0;
}

/* The terminal's view: as many lines as there are sites, drawn over the ones before. */
static void redraw(struct progress *progress, const struct view *view, uint64_t now_ms,
                   uint32_t *drawn)
{
    if (progress->width > 0 && *drawn > 0)
        (void)fprintf(stderr, "\r\x1b[%uA", *drawn);
    *drawn = progress->width > 0 ? print_sites(stderr, view, progress->width, "\x1b[K") : 0;
    progress_show(progress, &view->status.status, now_ms, false);
}

static bool goes_on(enum push_state state)
{
    return state == PUSH_OPEN || state == PUSH_ROUTING;
}

static int run_status(struct session *session, struct look *look)
{
    struct err err = {0};
    struct progress progress;
    uint32_t drawn = 0;
    bool terminal = look->watch && isatty(STDERR_FILENO) == 1;
    progress_init(&progress, stderr, terminal ? terminal_width(STDERR_FILENO) : 0);
    for (;;) {
        struct view view;
        if (view_fetch(&view, session, look, &err) != 0) {
            progress_end(&progress);
            return session_failed(session, &err);
        }
        bool last = !look->watch || !goes_on(view.status.status.push.state);
        int result = 0;
        if (last) {
            progress_end(&progress);
            result = print_view(look, &view, &err);
        } else {
            redraw(&progress, &view, uv_now(&session->loop), &drawn);
        }
        view_release(&view);
        if (last)
            return look_output_written(result, &err);
        if (session_wait(session, WATCH_MS, &err) != 0) {
            progress_end(&progress);
            return session_failed(session, &err);
        }
    }
}

int command_status(int argc, char *const *argv)
{
    static const struct option_row rows[] = {
        {"watch", 'w', LOOK_WATCH, NULL, "Look again and again until the push stops or ends."},
    };
    static const struct look_command command = {
        .usage = "pusher status [PUSH] [-w] [-o table|json]",
        .about = "Shows how far a push is (the newest, unless one is named), and each of its sites "
                 "when there\nare several.",
        .options = {rows, sizeof rows / sizeof *rows},
        .push_needed = true,
        .formats = FORMATS_JSON,
        .run = run_status};
    return look_run(&command, argc, argv);
}
