/* A light target that means ill: it answers as it should up to one point, and there does one thing
 * wrong, before or after its answer is signed or sealed.
 *
 * What that thing is, where, and with which bytes, follows from a seed, the target's address and
 * how often it was connected to: the same seed gives the same wrong answers to the same questions.
 * Every strike is a line of JSON in a log, and so is every task that a client asked to register,
 * whatever was answered: a report can be held against it.
 *
 * Besides, such a target remembers (struct light_machine) what was put there, so that a client can
 * read back what it wrote, wait for the end of a task, and clean up: there, too, it can be struck.
 *
 * Called by the light target's own files. `struct hostile` is NULL in all functions' first
 * parameter for targets that mean well, and nothing happens then.
 */
#ifndef PUSHER_TESTS_BENCH_HOSTILE_H
#define PUSHER_TESTS_BENCH_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"

#define HOSTILE_TICK_MS 50U     /* how often the sender asks hostile_tick */
#define HOSTILE_OUT_MAX 262144U /* of a flood, waiting to be sent */

/* Where a strike acts. */
enum hostile_layer {
    HOSTILE_MESSAGE, /* one SMB message, before it is signed or sealed */
    HOSTILE_FRAME,   /* what goes onto the wire, afterwards; also when, and whether */
    HOSTILE_TOKEN,   /* NTLM in SPNEGO or in a bind's answer */
    HOSTILE_STUB,    /* what the Task Scheduler answers, before it is sealed */
    HOSTILE_PDU,     /* RPC around it */
};

/* At which answer: numbers of SMB commands first, then the calls of the Task Scheduler. */
#define HOSTILE_PLACE_CALL 32U /* + opnum */
#define HOSTILE_PLACE_BIND 64U /* the answer to a bind */
#define HOSTILE_PLACE_NONE 255U

struct hostile;

/* What can be done: a row of one of the tables in strike_*.c. */
struct hostile_strike {
    bool slow; /* the client finds out by waiting */
    const char *word;
    enum hostile_layer layer;
    /* Changes what stands in `bytes` from `at` to the end. */
    void (*strike)(struct hostile *hostile, struct buf *bytes, size_t at);
};

struct hostile_strikes {
    const struct hostile_strike *rows;
    size_t count;
};

struct hostile_strikes hostile_message_strikes(void); /* strike_smb.c */
struct hostile_strikes hostile_frame_strikes(void);   /* strike_wire.c */
struct hostile_strikes hostile_token_strikes(void);   /* strike_rpc.c ... */
struct hostile_strikes hostile_stub_strikes(void);
struct hostile_strikes hostile_pdu_strikes(void);

/* One machine's ill will. */
struct hostile_plan {
    const struct hostile_strike *strike;
    uint32_t place;
    uint32_t skip;   /* so many answers there go well first */
    bool once;       /* of a connection */
    bool exists;     /* says "there is one of this name" to whoever registers the first task */
    bool first_only; /* the first connection only */
};

/* What a machine remembers between connections. */
struct light_machine {
    char address[64];
    uint64_t seed; /* of everything it draws */
    struct hostile_plan plan;
    uint32_t connections;
    struct buf incoming; /* the file being written */
    struct buf package;  /* ... renamed to its final name */
    bool has_package;
    struct buf task_path; /* of the task registered last, UTF-16LE ... */
    struct buf task_xml;  /* ... as registered */
    bool has_task;
    bool task_disabled;
};

/* How what waits to be sent leaves. */
struct hostile_line {
    size_t allowed;    /* bytes that may leave now; SIZE_MAX: all */
    bool dribbles;     /* a byte more with every tick */
    bool ends;         /* closed once those that are allowed have left ... */
    bool resets;       /* ... with a reset */
    bool deaf;         /* nothing is read any more */
    uint64_t late_ms;  /* nothing leaves before then; 0: no such time */
    const char *flood; /* what comes without end; NULL: nothing */
};

/* How an answer of the Task Scheduler is to be wrong where its signature covers it. */
struct hostile_answer {
    bool endless;        /* there is no last fragment */
    int flags;           /* of every fragment; -1: as they should be */
    uint32_t call_added; /* to its call_id */
    bool fault;          /* a fault instead */
    bool fault_clean;    /* that promises that nothing was done */
    uint32_t fault_status;
};

struct hostile {
    struct light_machine *machine; /* borrowed */
    FILE *log;                     /* borrowed */
    uint64_t random;
    uint32_t number; /* of this connection, from 1 */
    uint32_t seen;   /* answers at the plan's place */
    bool struck;
    struct hostile_answer pdu; /* of the call being answered */
    uint64_t message_id;       /* of the message struck last */
    uint16_t command;          /* of it */
    struct buf held;           /* frame kept back until the next one */
    struct hostile_line line;
};

/* The plan of a machine at this address. `only`: a strike's word; NULL: any. */
int light_machine_init(struct light_machine *machine, const char *address, uint64_t seed,
                       const char *only);
void light_machine_release(struct light_machine *machine);
/* A line of the log for what it is going to do. */
void light_machine_note(const struct light_machine *machine, FILE *log);
/* Prints every strike's word, one a line. */
void hostile_list(FILE *to);

/* A connection's; NULL without a machine. */
struct hostile *hostile_new(struct light_machine *machine, FILE *log);
void hostile_free(struct hostile *hostile);

/* The next random number, below `limit` (not 0). */
uint32_t hostile_random(struct hostile *hostile, uint32_t limit);
/* A value that lengths and counts are known to be wrong at. */
uint32_t hostile_odd_number(struct hostile *hostile);
void hostile_note(struct hostile *hostile, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Asks whether it is time and, if so, strikes what stands in `bytes` from `at` to the end: a
 * message with its header, a frame with its 4-byte length, a token, a stub, a PDU. True: it did. */
bool hostile_hit(struct hostile *hostile, enum hostile_layer layer, uint32_t place,
                 struct buf *bytes, size_t at);
/* A call begins: its answer is as it should be so far. */
void hostile_answer_begin(struct hostile *hostile);
/* A frame is in `out` from `at` on: one that was held back follows it. */
void hostile_release_held(struct hostile *hostile, struct buf *out);

/* --- For strikes of any layer: strike_smb.c --- */

void hostile_bits(struct hostile *hostile, struct buf *bytes, size_t at);
void hostile_field(struct hostile *hostile, struct buf *bytes, size_t at);
void hostile_cut(struct hostile *hostile, struct buf *bytes, size_t at);
void hostile_longer(struct hostile *hostile, struct buf *bytes, size_t at);
void hostile_noise(struct hostile *hostile, struct buf *bytes, size_t at);
/* One more message of a flood, header and body, appended to `message`, which is empty. */
void hostile_flood(struct hostile *hostile, struct buf *message);

/* --- machine.c --- */

/* What a file of this name (UTF-16LE) holds; false: there is none. */
bool light_machine_open(const struct light_machine *machine, struct cursor name,
                        struct cursor *content);
/* Bytes of a file being written. */
void light_machine_write(struct light_machine *machine, uint64_t offset, const uint8_t *bytes,
                         size_t size);
/* What was written has its name now. */
void light_machine_renamed(struct light_machine *machine);
/* Whether that is a task it has. */
bool light_machine_has(const struct light_machine *machine, const uint8_t *path, size_t path_size);
/* Answers the calls that take memory; false: not one of them. */
bool light_machine_call(struct light_machine *machine, uint16_t opnum, struct cursor *request,
                        struct buf *stub);

#endif
