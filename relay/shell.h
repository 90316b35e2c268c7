/* The relay's shell: one event loop around the agent core, which owns everything the core may not
 * touch: links, journal, package cache, stage runner, clocks, signals.
 *
 * Called by main. Messages and results become events; effects are carried out in order. What is to
 * be journalled is written at once into the open transaction, everything else waits until that is
 * committed, once per turn of the loop.
 */
#ifndef PUSHER_RELAY_SHELL_H
#define PUSHER_RELAY_SHELL_H

#include <stdint.h>

#include "common/base/err.h"
#include "relay/state.h"

struct enrolment; /* relay/enrolment.h */
struct scope;     /* relay/stage/scope.h */

struct shell_config {
    const struct relay_state *state;          /* keys and folder; borrowed */
    const char *name;                         /* for people */
    const char *coordinator;                  /* endpoint of the relay link */
    const char *packages;                     /* endpoint of the package link */
    struct enrolment *enrolment;              /* borrowed; NULL: private mode */
    uint8_t coordinator_key[LIMIT_KEY_BYTES]; /* private mode */
    const char *operators;                    /* private mode: folder of `<push id>.pub` files */
    struct scope *scope; /* addresses it may touch; borrowed; policy and certificate are set here */
    uint64_t disk_reserve; /* bytes held back on the state folder's disk */
    uint32_t session_max;  /* SMB sessions at once; 0: as the agent has it */
    uint32_t read_back_s;  /* how long an unknown effect is looked into; 0: the same */
    const char *serve;     /* where peers of the site fetch packages; NULL: nowhere */
    uint64_t cache_max;    /* bytes that packages may take; see relay/room.h */
    uint64_t lan_rate;     /* package bytes per second to all targets; 0: unlimited */
};

/* Runs until SIGTERM or SIGINT (running stages get ten seconds; a second signal ends at once), or
 * until the journal fails. Returns 0 after a clean end. Errors: what kept it from starting or made
 * it stop. */
int shell_run(const struct shell_config *config, struct err *err);

#endif
