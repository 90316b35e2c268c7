/* See trace.h. */
#include "tests/sim/trace.h"

#include <stdarg.h>
#include <string.h>

#include "tests/sim/story.h"

enum { LINE_SIZE = 1024, SAID_MAX = 8 }; /* SAID_MAX: rows of a message that are told one by one */

const char *relay_word(uint16_t relay)
{
    static const char *const words[PROCESSES] = {"r0", "r1", "r2", "r3", "r4",
                                                 "r5", "r6", "r7", "r8"};
    return relay < PROCESSES ? words[relay] : "nobody";
}

const char *slot_word(int slot)
{
    static const char *const words[SLOTS] = {"push 1",
                                             "push 2",
                                             "push 3",
                                             "push 1 again",
                                             "push 2 again",
                                             "push 3 again",
                                             "push 1 a third time",
                                             "push 2 a third time",
                                             "push 3 a third time"};
    return slot >= 0 && slot < SLOTS ? words[slot] : "no push";
}

const char *run_word(const struct agent_effect *e)
{
    if (e->run.await)
        return " (looks whether it has ended)";
    if (e->run.look_only)
        return " (only looks)";
    return e->run.read_back ? " (reads back)" : "";
}

void trace_line(struct world *w, const char *who, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    int size =
        snprintf(line, sizeof line, "%4llu.%03llu %-11s ", (unsigned long long)(w->now_ms / 1000),
                 (unsigned long long)(w->now_ms % 1000), who);
    va_start(args, format);
    (void)vsnprintf(line + size, sizeof line - (size_t)size, format, args);
    va_end(args);
    bool dull = w->story != NULL && strstr(line, "heartbeat") != NULL;
    if (w->trace != NULL && !dull)
        (void)fprintf(w->trace, "%s\n", line);
    story_hears(w, line + strlen("   0.000 "));
}

static void add(char text[LINE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char text[LINE_SIZE], const char *format, ...)
{
    size_t size = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + size, LINE_SIZE - size, format, args);
    va_end(args);
}

static void add_results(char text[LINE_SIZE], const struct message_results *results)
{
    add(text, " %llu:", (unsigned long long)results->sequence);
    for (uint32_t i = 0; i < results->row_count && i < SAID_MAX; i++) {
        const struct result_row *row = &results->rows[i];
        add(text, "%s %s t%u %s%s%s", i > 0 ? "," : "",
            slot_word(slot_of(&row->push, row->generation)), row->target_no,
            target_state_word(row->outcome.state), row->outcome.reason != REASON_NONE ? " " : "",
            row->outcome.reason != REASON_NONE ? reason_word(row->outcome.reason) : "");
    }
    if (results->row_count > SAID_MAX)
        add(text, " and %u more", results->row_count - SAID_MAX);
}

static void add_lease(char text[LINE_SIZE], const struct message_lease *lease)
{
    add(text, " %s:", slot_word(slot_of(&lease->push, lease->generation)));
    for (uint32_t i = 0; i < lease->entry_count && i < SAID_MAX; i++)
        add(text, " t%u%s", lease->entries[i].target_no,
            lease->entries[i].attempt > 1 ? " (once more)" : "");
    if (lease->entry_count > SAID_MAX)
        add(text, " and %u more", lease->entry_count - SAID_MAX);
}

static void add_body(char text[LINE_SIZE], const struct message *message)
{
    if (message->kind == MESSAGE_RESULTS)
        add_results(text, &message->results);
    else if (message->kind == MESSAGE_LEASE)
        add_lease(text, &message->lease);
    else if (message->kind == MESSAGE_RESULTS_ACK)
        add(text, " %llu", (unsigned long long)message->results_ack.sequence);
    else if (message->kind == MESSAGE_WELCOME)
        add(text, ", epoch +%llu", (unsigned long long)(message->welcome.epoch - UNIX_START_MS));
    else if (message->kind == MESSAGE_STOP || message->kind == MESSAGE_CLOSE)
        add(text, " %s", slot_word(slot_of(&message->push_ref.push, message->push_ref.generation)));
    else if (message->kind == MESSAGE_JOB)
        add(text, " %s, counter %u", slot_word(message->job.signed_job[0]),
            message->job.signed_job[1]);
}

void trace_message(struct world *w, enum fate fate, enum item_kind kind, uint16_t relay,
                   const struct message *message)
{
    char text[LINE_SIZE] = "";
    bool up = kind == TO_COORDINATOR;
    const char *who = relay_word(relay);
    const char *sender = up ? who : "coordinator";
    add(text, "%s", message_kind_word(message->kind));
    add_body(text, message);
    switch (fate) {
    case FATE_SAID:
        trace_line(w, sender, "%s%s: %s", up ? "says" : "tells ", up ? "" : who, text);
        break;
    case FATE_LOST:
        trace_line(w, "network", "loses what %s said: %s", sender, text);
        break;
    case FATE_CUT:
        trace_line(w, "network", "is cut between %s and the coordinator: %s", who, text);
        break;
    case FATE_HEARD:
        trace_line(w, up ? "coordinator" : who, "hears%s%s: %s", up ? " " : "", up ? who : "",
                   text);
        break;
    }
}
