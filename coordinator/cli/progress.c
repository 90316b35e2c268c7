/* One line about a push. */
#include "coordinator/cli/progress.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/report/format.h"

#define BAR_CELLS 20U
#define BAR_WIDTH_MIN 60U /* a narrower terminal gets no bar */

static uint32_t done_of(const struct push_summary *push)
{
    return totals_submitted(&push->totals) - totals_pending(&push->totals, push->wait);
}

static uint32_t percent_of(uint32_t part, uint32_t whole)
{
    return whole == 0 ? 100 : (uint32_t)((uint64_t)part * 100 / whole);
}

static void put_count(struct buf *out, const char *word, uint32_t count)
{
    if (count > 0)
        buf_printf(out, "  %s %u", word, count);
}

static void put_bar(struct buf *out, uint32_t done, uint32_t submitted)
{
    uint32_t cells =
        submitted == 0 ? BAR_CELLS : (uint32_t)((uint64_t)done * BAR_CELLS / submitted);
    buf_u8(out, '[');
    for (uint32_t i = 0; i < BAR_CELLS; i++)
        buf_u8(out, i < cells ? '#' : '-');
    buf_text(out, "] ");
}

/* The site that all relays are of; "" when there are several or none. */
static const char *site_of(const struct message_status *status)
{
    for (uint32_t i = 1; i < status->relay_count; i++)
        if (strcmp(status->relays[i].site, status->relays[0].site) != 0)
            return "";
    return status->relay_count == 0 ? "" : status->relays[0].site;
}

char *progress_text(const struct message_status *status, uint32_t done_before, uint64_t elapsed_ms,
                    size_t width, char text[PROGRESS_TEXT_SIZE])
{
    const struct totals *totals = &status->push.totals;
    uint32_t submitted = totals_submitted(totals);
    uint32_t done = done_of(&status->push);
    char site[LIMIT_SITE_NAME_SIZE];
    char eta[FORMAT_DURATION_SIZE];
    struct buf out;
    buf_init(&out, PROGRESS_TEXT_SIZE - 1);
    text_printable(site, sizeof site, site_of(status));
    buf_printf(&out, "%s%s", site, site[0] == '\0' ? "" : "  ");
    if (width >= BAR_WIDTH_MIN)
        put_bar(&out, done, submitted);
    buf_printf(&out, "%3u%%  %u/%u", percent_of(done, submitted), done, submitted);
    put_count(&out, "ok", totals_succeeded(totals, status->push.wait));
    put_count(&out, "failed", totals->by_state[TARGET_FAILED]);
    put_count(&out, "unreachable", totals->by_state[TARGET_UNREACHABLE]);
    put_count(&out, "other",
              done - totals_succeeded(totals, status->push.wait) - totals->by_state[TARGET_FAILED] -
                  totals->by_state[TARGET_UNREACHABLE]);
    if (status->push.wait)
        put_count(&out, "awaiting", totals->by_state[TARGET_SCHEDULED]);
    bool first = true;
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        uint32_t running = 0;
        /* Of a push that is over, the last heartbeat is out of date. */
        for (uint32_t i = 0; i < status->relay_count && status->push.state != PUSH_CLOSED; i++)
            running += status->relays[i].running[stage];
        if (running > 0)
            buf_printf(&out, "%s%s %u", first ? "  | " : " ", stage_word((enum stage)stage),
                       running);
        first = first && running == 0;
    }
    if (elapsed_ms >= 1000 && done > done_before) {
        double per_second = (double)(done - done_before) * 1000 / (double)elapsed_ms;
        buf_printf(&out, per_second < 10 ? "  %.1f/s" : "  %.0f/s", per_second);
        /* How long packages run can't be told from how many have ended. */
        if (done < submitted && !status->push.wait)
            buf_printf(&out, "  ETA %s",
                       format_duration((uint64_t)((submitted - done) * 1000.0 / per_second), eta));
    }
    /* Cut at a whole character. */
    (void)text_printable(text, width > 0 && width < PROGRESS_TEXT_SIZE ? width : PROGRESS_TEXT_SIZE,
                         buf_cstr(&out));
    buf_release(&out);
    return text;
}

void progress_init(struct progress *progress, FILE *out, size_t width)
{
    *progress = (struct progress){.out = out, .width = width};
}

void progress_show(struct progress *progress, const struct message_status *status, uint64_t now_ms,
                   bool last)
{
    char text[PROGRESS_TEXT_SIZE];
    uint32_t done = done_of(&status->push);
    uint32_t percent = percent_of(done, totals_submitted(&status->push.totals));
    if (!progress->begun) {
        progress->begun = true;
        progress->first_ms = now_ms;
        progress->said_ms = now_ms;
        progress->first_done = done;
        progress->said_percent = percent;
    }
    (void)progress_text(status, progress->first_done, now_ms - progress->first_ms, progress->width,
                        text);
    if (progress->width > 0) {
        (void)fprintf(progress->out, "\r%s\x1b[K", text);
        (void)fflush(progress->out);
        return;
    }
    bool due = now_ms - progress->said_ms >= PROGRESS_LINE_MS ||
               percent >= progress->said_percent + PROGRESS_LINE_PERCENT;
    if (!due && !last)
        return;
    progress->said_ms = now_ms;
    progress->said_percent = percent;
    (void)fprintf(progress->out, "pusher: %s\n", text + strspn(text, " "));
}

void progress_clear(const struct progress *progress)
{
    if (progress->width > 0 && progress->begun)
        (void)fputs("\r\x1b[K", progress->out);
}

void progress_end(struct progress *progress)
{
    if (progress->width > 0 && progress->begun)
        (void)fputc('\n', progress->out);
}
