/* What the core's own files share. Nobody else includes this.
 *
 * dispatch.c: events from relays and the shell; lease.c: giving leases out and taking them back;
 * settle.c: deadlines, cancels, closing; effects.c: the list of effects.
 */
#ifndef PUSHER_COORDINATOR_CORE_DISPATCH_STATE_H
#define PUSHER_COORDINATOR_CORE_DISPATCH_STATE_H

#include "coordinator/core/dispatch.h"
#include "coordinator/core/ledger.h"

/* Closed pushes whose CLOSE is repeated at each HELLO: a lost CLOSE leaves tombstones only. */
#define DISPATCH_ENDED_MAX 64U
/* Rows settled by the coordinator itself in one step; the rest follows at the next tick. */
#define DISPATCH_SETTLE_MAX 1024U
/* With a failure threshold: targets in flight at once, unless more may yet fail. */
#define DISPATCH_SLICE_MIN 16U

struct dispatch_relay {
    bool known;
    uint16_t site;                 /* index */
    uint64_t epoch;                /* newest given out */
    bool live;                     /* epoch and leases hold */
    uint64_t instance;             /* of its last HELLO */
    bool heard;                    /* since the core started */
    uint64_t heard_ms;             /* last message of the right epoch, or HELLO */
    uint32_t credit;               /* as it said, capped */
    uint32_t leased;               /* over all pushes */
    uint32_t turn;                 /* which push comes first at the next refill */
    uint32_t running[STAGE_COUNT]; /* last heartbeat */
    uint32_t awaiting;             /* so that one */
    bool doubted; /* that is fewer than its rows said: what it waits for is repeated */
};

struct dispatch_ended {
    struct push_id push;
    uint32_t generation;
};

struct dispatch {
    struct dispatch_config config;
    struct dispatch_relay *relays; /* owned; by index */
    uint16_t relay_count;
    struct ledger **pushes; /* owned; in the order they were opened */
    uint32_t push_count;
    uint32_t push_capacity;
    struct dispatch_ended ended[DISPATCH_ENDED_MAX]; /* ring */
    uint32_t ended_next;
    uint32_t ended_count;
    uint64_t counts[DISPATCH_COUNT_COUNT];
};

/* One step: the core, what time it is, where effects go. */
struct dispatch_turn {
    struct dispatch *core;
    uint64_t now_ms;
    uint64_t now_unix_ms;
    struct dispatch_effects *out;
    const struct ledger *made_for; /* whose the newest of out->made is */
    bool more;                     /* work is left that needs no further event: tick at once */
};

/* effects.c: empties the list, keeps its memory. */
void dispatch_effects_reset(struct dispatch_effects *effects);
/* effects.c: appends one; the caller fills what the kind needs (valid until the next append). */
struct dispatch_effect *turn_add(struct dispatch_turn *turn, enum dispatch_effect_kind kind);
/* ... about a relay: its index and epoch are set. */
struct dispatch_effect *turn_to_relay(struct dispatch_turn *turn, enum dispatch_effect_kind kind,
                                      uint16_t relay);
/* ... about a push: key, id and generation are set. */
struct dispatch_effect *turn_of_push(struct dispatch_turn *turn, enum dispatch_effect_kind kind,
                                     const struct ledger *ledger);
/* An outcome to word, that lives until the next step. */
struct outcome *turn_outcome(struct dispatch_turn *turn);
/* A LEASE under construction: appends one entry to the newest effect, which is a SEND_LEASE. */
void turn_add_lease(struct dispatch_turn *turn, uint32_t target_no, uint32_t attempt);
/* Puts the entries of the newest effect into ascending order. */
void turn_sort_leases(struct dispatch_turn *turn);

/* lease.c */
/* Gives a live relay work up to its credit. `top_up` false: only when enough is free to be worth a
 * message. */
void lease_fill(struct dispatch_turn *turn, uint16_t relay, bool top_up);
/* ... every live relay of a site. */
void lease_fill_all(struct dispatch_turn *turn);
/* Sends again what the relay holds: everything, or what was sent before `before_s`. */
void lease_repeat(struct dispatch_turn *turn, uint16_t relay, uint32_t before_s);
/* Compares what the relay waits for with what it has said so of. */
void lease_doubt(struct dispatch_turn *turn, uint16_t relay);
/* Takes everything back that the relay holds. */
void lease_revoke(struct dispatch_turn *turn, uint16_t relay);
/* Takes back what relays hold of one push. */
void lease_revoke_push(struct dispatch_turn *turn, struct ledger *ledger);
/* Tells the relay STOP for this push, unless it was told since the last JOB. */
void lease_stop(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay);
/* Takes one target out of the relay's hands; where it goes is the caller's business. */
void lease_forget_held(struct dispatch *core, const struct ledger *ledger, uint32_t no);

/* settle.c */
/* Applies deadlines and cancels to one push, up to DISPATCH_SETTLE_MAX rows. */
void settle_due(struct dispatch_turn *turn, struct ledger *ledger);
/* Ends what was never leased when the failure threshold is reached, up to DISPATCH_SETTLE_MAX rows.
 */
void settle_threshold(struct dispatch_turn *turn, struct ledger *ledger);
/* Whether a relay's row in this state leaves open what became of the target. */
bool settle_is_unknown(const struct dispatch *core, const struct ledger *ledger, uint16_t relay,
                       uint32_t no, const struct outcome *outcome);
/* Records a relay's terminal row. */
void settle_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                const struct result_row *row);
/* Notes that the task is registered; the row stays open. */
void settle_progress(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                     const struct result_row *row);
/* Ends a row of which is known that it is scheduled, and whose end nobody waits for any more. */
void settle_not_awaited(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no);
/* Closes the push if every row is terminal. Returns true when the ledger is gone. */
bool settle_close(struct dispatch_turn *turn, struct ledger *ledger);
/* Remembers a closed push for CLOSE at later HELLOs. */
void settle_remember(struct dispatch *core, const struct push_id *push, uint32_t generation);

#endif
