/* One line for each thing that happens: time, who, what. The same seed gives the same bytes.
 *
 * A line costs nothing unless somebody listens: a file, or a story that waits for a line. */
#ifndef PUSHER_SIM_TRACE_H
#define PUSHER_SIM_TRACE_H

#include "common/model/message.h"
#include "tests/sim/world.h"

#define TRACE(world, who, ...)                                                                     \
    do {                                                                                           \
        if ((world)->listened)                                                                     \
            trace_line(world, who, __VA_ARGS__);                                                   \
    } while (0)

/* What becomes of a message. */
enum fate { FATE_SAID, FATE_LOST, FATE_CUT, FATE_HEARD };

#define TRACE_MESSAGE(world, fate, kind, relay, message)                                           \
    do {                                                                                           \
        if ((world)->listened)                                                                     \
            trace_message(world, fate, kind, relay, message);                                      \
    } while (0)

/* `who`: "coordinator", relay_word(), "target", "operator". */
void trace_line(struct world *world, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace_message(struct world *world, enum fate fate, enum item_kind kind, uint16_t relay,
                   const struct message *message);

/* Constant words. */
const char *relay_word(uint16_t relay);
const char *slot_word(int slot);
/* How a stage is run: "", " (reads back)", " (only looks)", " (awaits the end)" */
const char *run_word(const struct agent_effect *effect);

#endif
