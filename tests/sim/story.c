/* See story.h: the teller. */
#include "tests/sim/story.h"

#include <string.h>

#include "tests/sim/operator.h"
#include "tests/sim/relay.h"
#include "tests/sim/trace.h"

enum { LINE_SIZE = 256 };

/* Runs of blanks count as one: the trace pads names. */
static void squeeze(const char *line, char text[LINE_SIZE])
{
    size_t size = 0;
    for (; *line != '\0' && size + 1 < LINE_SIZE; line++)
        if (*line != ' ' || (size > 0 && text[size - 1] != ' '))
            text[size++] = *line;
    text[size] = '\0';
}

void story_hears(struct world *w, const char *line)
{
    char text[LINE_SIZE];
    if (w->story == NULL || w->story->beats[w->beat].deed == DEED_END)
        return;
    const struct beat *beat = &w->story->beats[w->beat];
    squeeze(line, text);
    if (strstr(text, beat->after) == NULL)
        return;
    w->beat++;
    w->deed = beat;
    switch (beat->deed) {
    case DEED_RELAY_LOST:
        w->lost_relay = beat->who;
        w->relays[beat->who].kill = true;
        break;
    case DEED_RELAY_DIES:
        w->relays[beat->who].kill = true;
        break;
    case DEED_CUT:
        w->cut_from_ms[beat->who] = w->now_ms;
        w->cut_until_ms[beat->who] = w->now_ms + beat->ms;
        w->cut_up[beat->who] = w->cut_down[beat->who] = true;
        break;
    case DEED_END:
    case DEED_NOTHING:
    case DEED_CORE_DIES_BEFORE:
    case DEED_CORE_DIES_AFTER:
    case DEED_LOSE:
    case DEED_CANCEL:
    case DEED_STOP:
    case DEED_RESUME:
    case DEED_RETRY:
    case DEED_DRAIN:
    case DEED_REVOKE:
    case DEED_FAIL:
        break;
    }
}

static bool take(struct world *w, enum deed deed)
{
    if (w->deed == NULL || w->deed->deed != deed)
        return false;
    w->deed = NULL;
    return true;
}

bool story_loses(struct world *w)
{
    return take(w, DEED_LOSE);
}

bool story_fails(struct world *w)
{
    return take(w, DEED_FAIL);
}

void story_core(struct world *w, bool *dies, bool *kept)
{
    bool before = take(w, DEED_CORE_DIES_BEFORE);
    if (!before && !take(w, DEED_CORE_DIES_AFTER))
        return;
    *dies = true;
    *kept = !before;
}

void story_acts(struct world *w)
{
    int slot = (int)(w->store.generation[0] - 1) * PUSHES;
    for (uint16_t r = 0; r < w->options.relay_count; r++)
        if (w->relays[r].kill) {
            w->relays[r].kill = false;
            relay_kill(w, r);
        }
    if (w->deed == NULL)
        return;
    uint16_t who = w->deed->who;
    if (take(w, DEED_CANCEL))
        operator_stop(w, slot, true);
    else if (take(w, DEED_STOP))
        operator_stop(w, slot, false);
    else if (take(w, DEED_RESUME))
        operator_resume(w, slot);
    else if (take(w, DEED_RETRY))
        operator_retry(w, slot);
    else if (take(w, DEED_DRAIN))
        operator_stand(w, who, RELAY_DRAINING);
    else if (take(w, DEED_REVOKE))
        operator_stand(w, who, RELAY_REVOKED);
}

static void tell_end(const struct world *w, FILE *to)
{
    (void)fprintf(to, "\nIn the end:\n");
    for (int slot = 0; slot < SLOTS; slot++)
        for (uint32_t no = 0; is_newest(w, slot) && no < w->options.target_count; no++) {
            enum reason reason = w->store.reasons[slot][no];
            (void)fprintf(to, "  %s t%u: %s%s%s, %s\n", slot_word(slot), no,
                          target_state_word(w->store.rows[slot][no]),
                          reason != REASON_NONE ? " " : "",
                          reason != REASON_NONE ? reason_word(reason) : "",
                          w->store.old[slot][no]          ? "of an earlier generation"
                          : w->tasks[slot][no].registered ? "its task is there"
                                                          : "nothing is registered");
        }
}

static struct options options_of(const struct story *story)
{
    return (struct options){
        .site_count = 1,
        .relay_count = story->relays,
        .push_count = 1,
        .target_count = story->targets,
        .generation_count = GENERATIONS,
        .credit = 4,
        .wait = story->wait,
        .not_after_ms = 600000,
        .end_ms = 900000,
    };
}

int story_tell(const struct story *story, FILE *to)
{
    const struct options options = options_of(story);
    struct world *w = world_new(&options, 1, to);
    (void)fprintf(to, "%s: %s\n\n", story->name, story->tells);
    w->story = story;
    bool fine = world_run(w);
    tell_end(w, to);
    if (!fine)
        (void)fprintf(to, "violation %s seed 1 at %llu ms: %s\n", w->violated,
                      (unsigned long long)w->violated_ms, w->violation);
    if (story->beats[w->beat].deed != DEED_END) {
        (void)fprintf(to, "This was never reached: %s\n", story->beats[w->beat].after);
        fine = false;
    }
    world_free(w);
    return fine ? 0 : 1;
}
