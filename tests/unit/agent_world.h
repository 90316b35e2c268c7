/* A world for the relay's core: events in, effects out as a text trace of virtual time.
 *
 * It plays the shell: it keeps the keys of targets by name, answers stages, and writes down every
 * effect but the timer's. `saw` compares what was written since the last look. Targets are named
 * by push and number: "At0". Used by the test_agent*.c.
 */
#ifndef PUSHER_TESTS_AGENT_WORLD_H
#define PUSHER_TESTS_AGENT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "relay/core/agent.h"

#define KEYS_MAX 4096U
#define UNIX_START_MS 1700000000000ULL
#define LEASE_MS 60000U
#define HEARTBEAT_MS 15000U

struct world {
    struct agent *agent;
    struct agent_effects effects;
    struct buf trace;
    uint64_t now_ms, now_unix_ms, timer_ms;
    uint64_t sequence; /* of the last batch sent */
    uint64_t epoch;    /* of the last WELCOME */
    uint64_t instance; /* of the last HELLO */
    bool quiet;        /* heartbeats are left out of the trace */
    bool logged_on;    /* what fails, fails after the logon */
    struct {
        uint64_t key;
        char name[32];
        enum stage stage;
    } runs[KEYS_MAX]; /* the newest run of each name */
    uint32_t run_count;
};

extern const struct push_id push_a;
extern const struct push_id push_b;

void step(struct world *world, struct agent_event *event);
void step_kind(struct world *world, enum agent_event_kind kind);
/* Time passes; the timer fires whenever it is due on the way. */
void pass_ms(struct world *world, uint64_t ms);
void saw(struct world *world, const char *expected);
void forget_trace(struct world *world);
void ack_heartbeat(struct world *world);
/* Time passes with a coordinator that answers heartbeats. */
void pass_live_ms(struct world *world, uint64_t ms);
void welcome(struct world *world, uint64_t epoch);
struct agent_job job_of(const struct push_id *push, uint64_t counter);
void give_job(struct world *world, const struct agent_job *job);
/* Leases targets named t<first> on. */
void lease(struct world *world, const struct push_id *push, uint32_t first, uint32_t count,
           uint32_t attempt);
void answer(struct world *world, const char *name, enum agent_verdict verdict, enum reason reason);
/* The port answered; the logon waits to be allowed. */
void connected(struct world *world, const char *name);
void pass(struct world *world, const char *name);
void pass_until(struct world *world, const char *name, enum stage stage);
void ack_results(struct world *world);
void refer(struct world *world, enum agent_event_kind kind, const struct push_id *push);
void stop_job(struct world *world, const struct push_id *push, uint64_t counter);
void give_journal(struct world *world, enum agent_event_kind kind, uint32_t target_no,
                  uint32_t attempt, bool acked);
struct agent_config test_config(void);
void world_init(struct world *world, const struct agent_config *config);
void world_release(struct world *world);
/* Connected and welcome, with an accepted job for push A. */
void world_ready(struct world *world, const struct agent_config *config);
void world_default(struct world *world);
/* One target past its first logon, so that the credential is proven; it ends as scheduled. */
void prove_credential(struct world *world);

#endif
