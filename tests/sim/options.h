/* What a world is like: its size, and which faults there are and how strong.
 *
 * Drawn per seed by swarm.c, set by stories. A fault whose figure is 0 is off and draws nothing
 * from the world's random stream, so that a new fault leaves the worlds without it as they were.
 */
#ifndef PUSHER_SIM_OPTIONS_H
#define PUSHER_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RELAYS = 8,                   /* relays at most */
    SITES = 4,                    /* sites at most */
    PUSHES = 3,                   /* pushes at most */
    GENERATIONS = 3,              /* of each push: the first, and retries */
    TARGETS = 64,                 /* targets of a push at most */
    SLOTS = PUSHES * GENERATIONS, /* a generation of a push each, the first ones first */
};

/* "one in": a draw with that chance; 0: never. "percent": 0 to 100. */
struct options {
    bool classic; /* the worlds of old seeds: same order of draws, same order of what is due */

    /* size */
    uint16_t relay_count, site_count;
    uint32_t push_count, target_count;
    uint32_t generation_count;    /* a push is retried until it has so many */
    uint32_t credit, credit_step; /* of relay r: credit + r * credit_step */

    uint32_t window; /* a relay's names, pings and sessions at once; 0: as the product has them */

    /* pushes */
    bool wait;                /* rows end when the packages have ended */
    bool starts_later;        /* the job sets a time to start at */
    uint32_t fail_stop_count; /* failure threshold; 0: none */
    bool one_refuses;         /* relay 1 doesn't trust whoever resumed first */
    uint64_t not_after_ms;    /* the jobs' deadline */

    /* how long */
    uint64_t chaos_ms;   /* then all is well */
    uint64_t settled_ms; /* by then an open push is through, if the deadline is later; 0: no look */
    uint64_t end_ms;

    /* the network */
    uint32_t lost_percent, twice_percent, late_percent;
    uint32_t late_ms;         /* at most; a relay's own pulses come within a heartbeat's time */
    uint32_t cut_percent;     /* relays that hear and are heard by nobody for a while */
    uint32_t one_way_percent; /* ... of them, in one direction only */
    uint32_t cut_ms;          /* at most */

    /* the processes */
    uint32_t core_dies_one_in;   /* steps of the coordinator's core */
    uint32_t core_kept_percent;  /* ... what it persisted is there afterwards */
    uint32_t relay_dies_one_in;  /* steps of a relay's core */
    uint32_t lost_relay_percent; /* worlds where relay 0 goes and never comes back */
    uint32_t long_down_percent;  /* crashes of a relay that last up to a minute */

    /* targets */
    uint32_t stage_fails_percent; /* PING, ACCESS, COPY and the like */
    uint32_t unknown_percent;     /* SCHEDULE, and a look: nobody knows what became of it */
    uint32_t refused_percent;     /* SCHEDULE: refused */
    uint32_t never_starts_percent, never_ends_percent; /* of what waits */

    /* the disks: see disk.h, fault.c */
    uint32_t disk_fails_one_in;  /* commits that fail; half of them are durable all the same */
    uint32_t disk_full_percent;  /* processes whose disk is nearly full for a while */
    uint32_t disk_spent_percent; /* ... of them, so full that nothing can be written */
    uint32_t disk_full_ms;       /* at most */

    /* the clocks, and processes that stand still */
    uint32_t clock_percent; /* processes whose wall clock jumps, now and then */
    uint32_t clock_ms;      /* at most, either way */
    uint32_t pause_one_in;  /* steps of a process in the middle of which it stands still */
    uint32_t pause_ms;      /* at most */
    uint32_t core_down_ms;  /* after its end the coordinator is away so long at most */

    /* copies that take the place of what they were made of */
    bool store_restored;   /* the coordinator's store, once */
    bool store_told;       /* ... and the coordinator is started with --restored */
    bool journal_restored; /* a relay's journal, once */
    bool cloned;           /* a relay's state runs in a second process, from some moment on */

    /* machines */
    uint32_t dead_percent;    /* never answer */
    uint32_t slow_percent;    /* take four times as long for everything */
    uint32_t reboot_percent;  /* go away in the middle, and come back */
    uint32_t hostile_percent; /* say what they like of their own tasks */

    /* the operator */
    uint32_t operator_one_in; /* turns of the world */
    uint32_t standing_percent, drain_percent, cancel_percent;
};

/* The worlds of the old seeds: everything on, 24 targets, in one of two kinds. */
void options_classic(struct options *options, uint64_t seed, bool wait);
/* fault.c: draws which of the faults from "the disks" to "machines" there are. */
void options_faults(struct options *options, uint64_t seed);
/* Drawn from the seed alone: many small worlds, some large; some with one or two faults only. */
void options_swarm(struct options *options, uint64_t seed);

#endif
