/* A Windows machine for fuzz_stages: its file server and its Task Scheduler, behind the real SMB
 * engine and RPC client. It behaves well while the bytes of the input are zero; each other byte is
 * a fault of its own. What it carried out and what it said so about stands in `world`, to be held
 * against what a stage makes of it.
 */
#ifndef PUSHER_TESTS_FUZZ_MACHINE_H
#define PUSHER_TESTS_FUZZ_MACHINE_H

#include "fuzz.h"
#include "relay/rpc/seal.h"
#include "relay/stage/session.h"
#include "tests/unit/smb_fake.h"

#define MACHINE_HEARD_MAX 64U
#define MACHINE_PACKAGE_BYTES 100000U /* too large to go along with the making of its file */

/* A request as the machine heard it. */
struct heard {
    uint16_t command;
    uint64_t message_id;
    uint8_t *bytes; /* owned */
    size_t size;
};

struct world {
    struct fake far;
    struct cursor input;
    uint64_t now_ms;
    struct heard heard[MACHINE_HEARD_MAX];
    unsigned heard_count;
    /* the relay's side */
    struct stage_runner runner;
    struct stage_target target;
    struct stage_job job;
    struct session session;
    void (*paused)(struct session *session);
    bool ended;
    bool again; /* it would be tried again on another connection */
    struct stage_result result;
    /* the machine: its scheduler */
    struct seal seal;
    uint32_t call_id;
    struct buf stub; /* of the call that is being received */
    struct buf pipe; /* what it said and nobody read */
    struct buf xml;  /* of the task */
    bool folder;
    uint8_t task_of;   /* first byte of the digest that it was registered for */
    bool task;         /* it is there */
    bool executed;     /* registered in this stage */
    bool told;         /* what became of it, in a way that can be read */
    bool told_success; /* "registered", or the task itself */
    uint32_t exit_code;
    /* the machine: what it answered as done, since the stage began */
    uint8_t written[MACHINE_PACKAGE_BYTES];
    bool flushed, renamed, unmarked;
    uint32_t files_done; /* closed after all that */
    bool rights_safe;
    bool looked_fine; /* the last answer was well-formed */
};
extern struct world world;
extern const uint8_t machine_session_key[SEAL_KEY_SIZE];

/* machine_files.c: takes the requests that are out; answers one of them. State: there is one. */
void machine_hear(void);
void machine_answer(void);
void machine_forget(unsigned at);
/* machine_scheduler.c: bytes were written to the pipe. */
void machine_pipe_written(const uint8_t *bytes, size_t size);

#endif
