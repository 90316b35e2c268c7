/* What the core's own files share. Nobody else includes this.
 *
 * dispatch.c: one step, pushes, results; relays.c: relays, their epochs and clones; recover.c: a
 * push as the store knows it; lease.c: giving leases out and taking them back; settle.c: what a row
 * says, deadlines, cancels, closing; effects.c: the list of effects.
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
/* Fewer targets than this aren't shared out between relays of a site. */
#define DISPATCH_PART_MIN 64U

/* Processes of a relay that another one replaced, of late. */
#define DISPATCH_REPLACED_MAX 4U

struct dispatch_replaced {
    uint64_t instance; /* of its HELLO */
    uint64_t epoch_first, epoch_last;
    uint64_t at_ms;      /* when it was replaced */
    uint64_t suspect_ms; /* when it said something that it shouldn't; 0: never */
};

struct dispatch_relay {
    bool known;
    uint16_t site;         /* index */
    uint16_t next_of_site; /* DISPATCH_RELAY_NONE at the end */
    enum relay_standing standing;
    uint64_t epoch;                /* newest given out */
    bool live;                     /* epoch and leases hold */
    uint64_t instance;             /* of its last HELLO */
    uint64_t epoch_first;          /* of that instance; 0: none */
    bool answered;                 /* that process has spoken in an epoch of its own */
    bool heard;                    /* since the core started */
    uint64_t heard_ms;             /* last message of the right epoch, or HELLO */
    uint32_t credit;               /* as it said, capped */
    uint32_t leased;               /* over all pushes */
    uint32_t turn;                 /* which push comes first at the next refill */
    uint32_t running[STAGE_COUNT]; /* last heartbeat */
    uint32_t awaiting;             /* so that one */
    bool forgetful; /* that is fewer than its rows said: what it waits for is repeated */
    struct dispatch_replaced replaced[DISPATCH_REPLACED_MAX]; /* ring */
    uint32_t replaced_next;
};

struct dispatch_site {
    uint16_t first_relay; /* DISPATCH_RELAY_NONE: none */
    uint32_t live_count;  /* of its relays */
};

struct dispatch_ended {
    struct push_id push;
    uint32_t generation;
};

struct dispatch {
    struct dispatch_config config;
    struct dispatch_relay *relays; /* owned; by index */
    uint16_t relay_count;
    struct dispatch_site *sites; /* owned; by index */
    uint32_t site_count;
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
    const struct ledger *made_for;     /* whose `not_awaited` is */
    const struct outcome *not_awaited; /* of out->made */
    bool more;                         /* work is left that needs no further event: tick at once */
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

/* relays.c */
void on_relay_known(struct dispatch_turn *turn, const struct dispatch_relay_known *known);
void on_relay_standing(struct dispatch_turn *turn, const struct dispatch_relay_standing *said);
void on_hello(struct dispatch_turn *turn, uint16_t relay_no, const struct message_hello *hello);
void on_heartbeat(struct dispatch_turn *turn, uint16_t relay_no,
                  const struct message_heartbeat *heartbeat);
/* NULL, and counted, unless the relay is let in and speaks in its present epoch. */
struct dispatch_relay *relay_of_epoch(struct dispatch *core, uint16_t relay, uint64_t epoch);
/* Whether it may be in anybody's debt: it is, or may come to be, let in. */
bool relay_counts(const struct dispatch_relay *relay);
/* It is silent, or out: whatever it holds goes back. */
void relay_gone(struct dispatch_turn *turn, uint16_t relay);
/* The first relay of a site; DISPATCH_RELAY_NONE: none. The next one: next_of_site. */
uint16_t relay_first_of_site(const struct dispatch *core, uint16_t site);

/* recover.c: a ledger as the event describes it. */
struct ledger *recover_ledger(struct dispatch_turn *turn,
                              const struct dispatch_push_opened *opened);
/* The store that the ledger came from is an old copy: whatever of this site has no terminal row may
 * have been leased to any relay of it. Once a ledger and site. */
void recover_suspect(struct dispatch_turn *turn, struct ledger *ledger, uint16_t site);
/* When what it schedules starts, as the job says. */
void recover_start_until(struct ledger *ledger, const char *start_until);

/* lease.c */
/* Gives a live relay work up to its credit. `top_up` false: only when enough is free to be worth a
 * message. */
void lease_fill(struct dispatch_turn *turn, uint16_t relay, bool top_up);
/* ... every live relay. */
void lease_fill_all(struct dispatch_turn *turn);
/* Sends again what the relay holds: everything, or what was sent before `before_s`. */
void lease_repeat(struct dispatch_turn *turn, uint16_t relay, uint32_t before_s);
/* Compares what the relay waits for with what it has said so of. */
void lease_compare_awaited(struct dispatch_turn *turn, uint16_t relay);
/* Takes everything back that the relay holds; it owes a word of all that. */
void lease_revoke(struct dispatch_turn *turn, uint16_t relay);
/* Takes back what relays hold of one push. */
void lease_revoke_push(struct dispatch_turn *turn, struct ledger *ledger);
/* ... of one site alone. */
void lease_revoke_site(struct dispatch_turn *turn, struct ledger *ledger, uint16_t site);
/* Tells the relay to stop, when it has the job and wasn't told. */
void lease_stop(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay);
/* ... again and again while it holds targets of pushes that are stopped. */
void lease_repeat_stops(struct dispatch_turn *turn, uint16_t relay);
/* Takes one target out of the relay's hands; where it goes is the caller's business. */
void lease_forget_held(struct dispatch *core, const struct ledger *ledger, uint32_t no);
/* What a relay that is back owes a word about is wanted of it. */
void lease_ask(struct dispatch_turn *turn, uint16_t relay);
/* ... one doubted target, of whoever is there. */
void lease_ask_of(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no);
/* ... all of a push. */
void lease_ask_push(struct dispatch_turn *turn, struct ledger *ledger);

/* settle.c */
/* Applies deadlines and cancels to one push, up to DISPATCH_SETTLE_MAX rows. */
void settle_due(struct dispatch_turn *turn, struct ledger *ledger);
/* Ends what was never leased when the failure threshold is reached, up to DISPATCH_SETTLE_MAX rows.
 */
void settle_threshold(struct dispatch_turn *turn, struct ledger *ledger);
/* Whether the row says what became of the target, whoever else had it: the task is there. A refusal
 * of the Task Scheduler doesn't: who had the target before may be at it still. */
bool settle_tells(const struct outcome *outcome);
/* Whether another relay lost a lease of the target and hasn't spoken since. */
bool settle_owed_by_other(const struct dispatch *core, const struct ledger *ledger, uint16_t relay,
                          uint32_t no);
/* A relay says more about a row that is unknown_effect. */
void settle_unknown_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                        const struct result_row *row);
/* Records a relay's terminal row. */
void settle_row(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                const struct result_row *row);
/* Notes that the task is registered; the row stays open. */
void settle_progress(struct dispatch_turn *turn, struct ledger *ledger, uint16_t relay,
                     const struct result_row *row);
/* Ends a row of which is known that it is scheduled, and whose end nobody waits for any more. */
void settle_not_awaited(struct dispatch_turn *turn, struct ledger *ledger, uint32_t no);
/* Tells relays that the push is over, whatever is unknown, and forgets it. */
void settle_end(struct dispatch_turn *turn, struct ledger *ledger);
/* Closes the push if every row is terminal. Returns true when the ledger is gone. */
bool settle_close(struct dispatch_turn *turn, struct ledger *ledger);
/* Remembers a closed push for CLOSE at later HELLOs. */
void settle_remember(struct dispatch *core, const struct push_id *push, uint32_t generation);

#endif
