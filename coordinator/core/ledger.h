/* One push as the dispatcher sees it: in which list every target is, who holds it, who held it
 * before and owes a word about it. A data structure without opinions: the rules are in dispatch.c,
 * lease.c and settle.c.
 *
 * A target is always in exactly one place: the fresh queue of its site (never leased), the returned
 * queue of its site (was leased and came back), the share of the relay that holds it or is to be
 * asked about it, or settled. All moves are O(1); a target takes 24 bytes, and a few more for each
 * relay that it was taken from and given to another.
 */
#ifndef PUSHER_COORDINATOR_CORE_LEDGER_H
#define PUSHER_COORDINATOR_CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/id.h"
#include "common/model/message.h"
#include "coordinator/core/past.h"

#define LEDGER_NONE UINT32_MAX       /* no target */
#define LEDGER_TIME_SIZE 32          /* a time for people */
#define LEDGER_RELAY_NONE UINT16_MAX /* no relay */

enum ledger_phase {
    LEDGER_FRESH,    /* queued, never leased: no INTENT is possible */
    LEDGER_RETURNED, /* queued, was leased: a relay may have gone past INTENT */
    LEDGER_WANTED,   /* unknown_effect; to be leased to the relay that owes a word about it */
    LEDGER_LEASED,   /* a relay holds it */
    LEDGER_UNKNOWN,  /* settled as unknown_effect: may still become known */
    LEDGER_FINAL,    /* settled for good */
};

struct ledger_target {
    uint32_t next;       /* in its list; LEDGER_NONE at the end */
    uint32_t previous;   /* in its list; LEDGER_NONE at the head */
    uint32_t attempt;    /* of the newest lease; 0: never leased */
    uint32_t leased_at;  /* boot-time seconds when the newest LEASE was sent */
    uint16_t relay;      /* who holds it, is to hold it, or held it last; LEDGER_RELAY_NONE */
    uint16_t site;       /* index */
    uint8_t phase;       /* enum ledger_phase */
    bool scheduled : 1;  /* push waits: a relay said that it is registered */
    bool awaited : 1;    /* ... and it that holds it, under this attempt */
    bool unknown : 1;    /* the row says unknown_effect, whatever the phase */
    bool doubted : 1;    /* ... with a failure that counts once nobody owes a word */
    bool would_fail : 1; /* ... as FAILED */
    bool owed : 1;       /* `relay` may have registered it, and has not said: ledger_owes */
    bool recovered : 1;  /* may have been leased before the restart: see recovered_mark */
};

struct ledger_list {
    uint32_t head;  /* LEDGER_NONE when empty */
    uint32_t tail;  /* LEDGER_NONE when empty */
    uint32_t count; /* members */
};

/* Queues of one site. */
struct ledger_queue {
    struct ledger_list fresh;    /* ascending target numbers */
    struct ledger_list returned; /* in the order they came back */
    uint32_t live;               /* relays of the site that are live ... */
    uint32_t holders;            /* ... and that hold targets */
    bool suspect;                /* the store is an old copy: see ledger_suspect */
};

/* What one relay has to do with this push. */
struct ledger_share {
    struct ledger_list leased;  /* oldest LEASE first */
    struct ledger_list wanted;  /* unknown_effect: what it is to be asked about */
    bool barred;                /* it may not work on this push */
    uint32_t recovered_mark;    /* before the restart it may have been leased numbers below this */
    uint32_t mark;              /* persisted: 1 + the highest number it was ever leased */
    uint32_t attempt_max;       /* persisted: highest attempt it was ever leased */
    uint32_t awaited_count;     /* of leased: those whose end is awaited */
    uint64_t job_epoch;         /* epoch in which JOB was sent; 0: not yet */
    uint32_t job_version;       /* of the JOB that was sent */
    bool stop_sent;             /* STOP went out after that JOB */
    uint32_t declined_version;  /* of the JOB under which it last gave back what it was leased */
    uint64_t declined_ms;       /* when */
    uint64_t declined_until_ms; /* it has done so again: it is leased nothing until then */
};

struct ledger {
    uint64_t key;              /* the caller's name for it: the store's row */
    struct push_id push;       /* client-chosen id */
    uint32_t generation;       /* of the job */
    enum push_state state;     /* as the store has it */
    int64_t not_after_unix_s;  /* of the job */
    uint64_t counter;          /* of the job */
    bool wait;                 /* scheduled is not the end */
    int64_t wait_until_unix_s; /* wait: relays give up waiting then */
    char
        start_until[LEDGER_TIME_SIZE]; /* wait: what is scheduled starts before; "": nobody knows */
    uint64_t settle_at_ms; /* stopped: when what relays still hold is taken back or given up */
    uint64_t lost_not_before_ms; /* relays get at least until then to deliver */
    uint32_t job_version;        /* rises when the job is signed anew */
    uint32_t target_count;       /* all */
    uint32_t settled_count;      /* unknown or final */
    uint32_t unknown_count;      /* of them, unknown */
    uint32_t leased_count;       /* held by relays */
    uint32_t asked_count;        /* of unknown: wanted or leased */
    uint32_t fresh_count;        /* over all sites */
    uint32_t at_work;            /* live relays that have, or could have, something to do here */
    bool picked;                 /* relays that aren't named may not work on it */
    uint32_t failed_count;       /* of settled: FAILED */
    uint32_t fail_stop_count;    /* nothing fresh is leased once so many failed; 0: no threshold */
    bool starts_later;           /* wait: what is registered starts at a set time, not at once */
    struct ledger_target *targets; /* owned; target_count */
    struct past past;              /* relays that targets were taken from */
    struct ledger_list doubted;    /* phase UNKNOWN, and doubted */
    struct ledger_queue *queues;   /* owned; by site */
    uint16_t site_count;           /* queues */
    struct ledger_share **shares;  /* owned; by relay, NULL: none */
    uint16_t share_count;          /* slots */
};

/* All targets fresh and queued. sites: one per target, or NULL when all are of site 0. */
struct ledger *ledger_new(uint64_t key, const struct push_id *push, uint32_t target_count,
                          const uint16_t *sites);
void ledger_free(struct ledger *ledger);

/* The target may have been leased to any relay of its site that has a recovered_mark, under an
 * attempt up to `attempt`. One that is settled for good is left alone. */
void ledger_suspect(struct ledger *ledger, uint32_t no, uint32_t attempt);

/* The relay's share, made on first use. */
struct ledger_share *ledger_share(struct ledger *ledger, uint16_t relay);
/* NULL when the relay has nothing to do with this push. */
struct ledger_share *ledger_share_find(const struct ledger *ledger, uint16_t relay);
/* NULL when no target is of that site. */
struct ledger_queue *ledger_queue_of(const struct ledger *ledger, uint16_t site);
/* Whether this relay may know something of the target: it was leased it once. */
bool ledger_ever_leased(const struct ledger *ledger, uint16_t relay, uint16_t relay_site,
                        uint32_t no);
/* Whether the relay may have registered the task and hasn't said: it lost a lease of the target and
 * has said nothing since, it was given up, or it can't tell. */
bool ledger_owes(const struct ledger *ledger, uint16_t relay, uint16_t relay_site, uint32_t no);
/* The relay has said what it knows of the target. */
void ledger_spoke(struct ledger *ledger, uint16_t relay, uint32_t no);
/* The relay may have registered the task, and hasn't been heard to say, or can't. */
void ledger_owe(struct ledger *ledger, uint16_t relay, uint32_t no);
/* A relay of the site has become live, or isn't any more. */
void ledger_live(struct ledger *ledger, uint16_t site, bool live);

/* Whether as many have failed as may. */
bool ledger_over_threshold(const struct ledger *ledger);
/* Moves a queued or wanted target into the relay's share, with the next attempt. */
void ledger_lease(struct ledger *ledger, uint32_t no, uint16_t relay, uint16_t relay_site,
                  uint32_t now_s);
/* Notes that the relay that holds the target waits for its end. */
void ledger_await(struct ledger *ledger, uint32_t no);
/* Marks the LEASE of a held target as sent anew: to the end of its share. */
void ledger_lease_again(struct ledger *ledger, uint32_t no, uint32_t now_s);
/* Moves a leased or fresh target to its site's returned queue; one whose row is unknown_effect goes
 * back to where that is. `lost`: its relay has said nothing of it. */
void ledger_return(struct ledger *ledger, uint32_t no, bool lost);
/* Takes a target out of wherever it is. `unknown`: it may still become known. */
void ledger_settle(struct ledger *ledger, uint32_t no, bool unknown);
/* Whether the failure in its unknown_effect row counts once nobody owes a word; the target is in
 * phase UNKNOWN. */
void ledger_doubt(struct ledger *ledger, uint32_t no, bool doubted);
/* Moves a doubted target from phase UNKNOWN to what the relay is to be asked about. */
void ledger_want(struct ledger *ledger, uint32_t no, uint16_t relay, uint16_t relay_site);

#endif
