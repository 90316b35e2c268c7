/* What a hostile target is going to do, and when; and the log of it. */
#include "tests/bench/light/hostile.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/smb/smb_internal.h"
#include "relay/tsch/tsch.h"

#define PACKAGE_KEPT_MAX (4U << 20) /* larger files are not read back */
#define XML_KEPT_MAX (256U << 10)
#define HELD_MAX (256U << 10)
#define SKIP_MAX 3U
#define STRIKES_MAX 128U

/* splitmix64, Vigna: small, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

uint32_t hostile_random(struct hostile *hostile, uint32_t limit)
{
    return (uint32_t)(next_random(&hostile->random) >> 16) % limit;
}

uint32_t hostile_odd_number(struct hostile *hostile)
{
    static const uint32_t odd[] = {
        0,      1,       2,          7,          8,          63,         64,
        0x7F,   0x80,    0xFF,       0x100,      0x7FFF,     0x8000,     0xFFFE,
        0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFE, 0xFFFFFFFF};
    uint32_t at = hostile_random(hostile, sizeof odd / sizeof odd[0] + 2);
    return at < sizeof odd / sizeof odd[0] ? odd[at] : hostile_random(hostile, UINT32_MAX);
}

/* --- Plans --- */

static struct hostile_strikes strikes_of(enum hostile_layer layer)
{
    switch (layer) {
    case HOSTILE_MESSAGE:
        return hostile_message_strikes();
    case HOSTILE_FRAME:
        return hostile_frame_strikes();
    case HOSTILE_TOKEN:
        return hostile_token_strikes();
    case HOSTILE_STUB:
        return hostile_stub_strikes();
    case HOSTILE_PDU:
        break;
    }
    return hostile_pdu_strikes();
}

static const enum hostile_layer layers[] = {HOSTILE_MESSAGE, HOSTILE_FRAME, HOSTILE_TOKEN,
                                            HOSTILE_STUB, HOSTILE_PDU};
#define LAYER_COUNT (sizeof layers / sizeof layers[0])

static const struct hostile_strike *find_strike(const char *word)
{
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        struct hostile_strikes strikes = strikes_of(layers[i]);
        for (size_t j = 0; j < strikes.count; j++)
            if (strcmp(strikes.rows[j].word, word) == 0)
                return &strikes.rows[j];
    }
    return NULL;
}

void hostile_list(FILE *to)
{
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        struct hostile_strikes strikes = strikes_of(layers[i]);
        for (size_t j = 0; j < strikes.count; j++)
            (void)fprintf(to, "%s\n", strikes.rows[j].word);
    }
}

/* Messages and calls are where there is most to be got wrong. */
static const struct hostile_strike *draw_strike(uint64_t *random)
{
    static const enum hostile_layer weighted[] = {HOSTILE_MESSAGE, HOSTILE_MESSAGE, HOSTILE_MESSAGE,
                                                  HOSTILE_FRAME,   HOSTILE_FRAME,   HOSTILE_TOKEN,
                                                  HOSTILE_STUB,    HOSTILE_STUB,    HOSTILE_PDU};
    struct hostile_strikes strikes =
        strikes_of(weighted[next_random(random) % (sizeof weighted / sizeof weighted[0])]);
    return &strikes.rows[next_random(random) % strikes.count];
}

/* Most strikes go where every push comes by; the rest to what waiting and cleaning up ask. */
static uint32_t draw_command(uint64_t *random)
{
    static const uint32_t commands[] = {
        SMB_COMMAND_NEGOTIATE,  SMB_COMMAND_SESSION_SETUP,   SMB_COMMAND_TREE_CONNECT,
        SMB_COMMAND_CREATE,     SMB_COMMAND_CLOSE,           SMB_COMMAND_FLUSH,
        SMB_COMMAND_WRITE,      SMB_COMMAND_IOCTL,           SMB_COMMAND_IOCTL,
        SMB_COMMAND_QUERY_INFO, SMB_COMMAND_QUERY_DIRECTORY, SMB_COMMAND_SET_INFO,
        SMB_COMMAND_READ,       SMB_COMMAND_LOGOFF};
    return commands[next_random(random) % (sizeof commands / sizeof commands[0])];
}

static uint32_t draw_call(uint64_t *random)
{
    static const uint32_t calls[] = {TSCH_GET_SECURITY,  TSCH_REGISTER_TASK,     TSCH_REGISTER_TASK,
                                     TSCH_REGISTER_TASK, TSCH_RETRIEVE_TASK,     TSCH_RETRIEVE_TASK,
                                     TSCH_GET_TASK_INFO, TSCH_GET_LAST_RUN_INFO, TSCH_ENABLE_TASK};
    return HOSTILE_PLACE_CALL + calls[next_random(random) % (sizeof calls / sizeof calls[0])];
}

static uint32_t draw_place(enum hostile_layer layer, uint64_t *random)
{
    bool bind = next_random(random) % (layer == HOSTILE_TOKEN ? 2 : 4) == 0;
    switch (layer) {
    case HOSTILE_TOKEN:
        return bind ? HOSTILE_PLACE_BIND : (uint32_t)SMB_COMMAND_SESSION_SETUP;
    case HOSTILE_PDU:
        return bind ? HOSTILE_PLACE_BIND : draw_call(random);
    case HOSTILE_STUB:
        return draw_call(random);
    case HOSTILE_MESSAGE:
    case HOSTILE_FRAME:
        break;
    }
    return draw_command(random);
}

int light_machine_init(struct light_machine *machine, const char *address, uint64_t seed,
                       const char *only)
{
    memset(machine, 0, sizeof *machine);
    (void)text_copy(machine->address, sizeof machine->address, address);
    machine->seed = seed;
    for (const char *at = address; *at != '\0'; at++) {
        machine->seed ^= (uint64_t)(unsigned char)*at;
        machine->seed = next_random(&machine->seed);
    }
    buf_init(&machine->incoming, PACKAGE_KEPT_MAX);
    buf_init(&machine->package, PACKAGE_KEPT_MAX);
    buf_init(&machine->task_path, XML_KEPT_MAX);
    buf_init(&machine->task_xml, XML_KEPT_MAX);
    uint64_t random = machine->seed;
    struct hostile_plan *plan = &machine->plan;
    plan->strike = only != NULL ? find_strike(only) : draw_strike(&random);
    if (plan->strike == NULL)
        return -1;
    plan->place = draw_place(plan->strike->layer, &random);
    plan->skip = next_random(&random) % 3 != 0 ? 0 : (uint32_t)(next_random(&random) % SKIP_MAX);
    plan->once = next_random(&random) % 2 == 0;
    /* Else nobody reads a task back. */
    plan->exists =
        plan->place == HOSTILE_PLACE_CALL + TSCH_RETRIEVE_TASK || next_random(&random) % 8 == 0;
    plan->first_only = next_random(&random) % 4 == 0;
    return 0;
}

void light_machine_release(struct light_machine *machine)
{
    buf_release(&machine->incoming);
    buf_release(&machine->package);
    buf_release(&machine->task_path);
    buf_release(&machine->task_xml);
}

/* --- Connections --- */

struct hostile *hostile_new(struct light_machine *machine, FILE *log)
{
    if (machine == NULL)
        return NULL;
    struct hostile *hostile = mem_new(1, sizeof *hostile);
    hostile->machine = machine;
    hostile->log = log;
    hostile->number = ++machine->connections;
    hostile->random = machine->seed + hostile->number;
    hostile->line.allowed = SIZE_MAX;
    buf_init(&hostile->held, HELD_MAX);
    return hostile;
}

void hostile_free(struct hostile *hostile)
{
    if (hostile == NULL)
        return;
    buf_release(&hostile->held);
    free(hostile);
}

void hostile_note(struct hostile *hostile, const char *format, ...)
{
    va_list args;
    if (hostile->log == NULL)
        return;
    (void)fprintf(hostile->log, "{\"address\": \"%s\", \"connection\": %" PRIu32 ", ",
                  hostile->machine->address, hostile->number);
    va_start(args, format);
    (void)vfprintf(hostile->log, format, args);
    va_end(args);
    (void)fprintf(hostile->log, "}\n");
    (void)fflush(hostile->log);
}

static const char *place_word(uint32_t place, char text[32])
{
    if (place == HOSTILE_PLACE_BIND)
        return "bind";
    if (place >= HOSTILE_PLACE_CALL)
        (void)snprintf(text, 32, "call %" PRIu32, place - HOSTILE_PLACE_CALL);
    else
        (void)snprintf(text, 32, "command %" PRIu32, place);
    return text;
}

void light_machine_note(const struct light_machine *machine, FILE *log)
{
    char text[32];
    const struct hostile_plan *plan = &machine->plan;
    (void)fprintf(log, "{\"address\": \"%s\", \"plan\": \"%s\", \"at\": \"%s\", \"slow\": %s}\n",
                  machine->address, plan->strike->word, place_word(plan->place, text),
                  plan->strike->slow ? "true" : "false");
}

static bool is_time(struct hostile *hostile, enum hostile_layer layer, uint32_t place)
{
    const struct hostile_plan *plan = &hostile->machine->plan;
    if (layer != plan->strike->layer || place != plan->place)
        return false;
    if ((plan->first_only && hostile->number > 1) || (plan->once && hostile->struck))
        return false;
    return hostile->seen++ >= plan->skip;
}

bool hostile_hit(struct hostile *hostile, enum hostile_layer layer, uint32_t place,
                 struct buf *bytes, size_t at)
{
    char text[32];
    if (hostile == NULL || !is_time(hostile, layer, place))
        return false;
    hostile->struck = true;
    size_t before = bytes->size;
    hostile->machine->plan.strike->strike(hostile, bytes, at);
    hostile_note(hostile,
                 "\"strike\": \"%s\", \"place\": \"%s\", \"answer\": %" PRIu32
                 ", \"size\": [%zu, %zu]",
                 hostile->machine->plan.strike->word, place_word(place, text), hostile->seen,
                 before - at, bytes->size > at ? bytes->size - at : 0);
    return true;
}

void hostile_answer_begin(struct hostile *hostile)
{
    if (hostile != NULL)
        hostile->pdu = (struct hostile_answer){.flags = -1};
}

void hostile_release_held(struct hostile *hostile, struct buf *out)
{
    if (hostile == NULL || hostile->held.size == 0)
        return;
    buf_bytes(out, hostile->held.data, hostile->held.size);
    buf_reset(&hostile->held);
}
