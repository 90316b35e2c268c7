/* Lease, takeover, acknowledgement and cancel: one coordinator, two relays of one site, T targets.
 *
 * One process that takes one step after another: every order of steps is an interleaving of the
 * parties. Between any two a party may crash, a message may be lost, come twice, or come later than
 * one that was sent after it. There are no clocks: a lease runs out whenever it likes, at either
 * end first, so nothing here rests on the rule of 80 %. The names of the properties are those of
 * docs/PROTOCOL.md, "Properties".
 *
 * Durable: the coordinator's rows, marks and state of the push; the relays' journals (INTENT,
 * outcome, acknowledged); the target's task. All else is lost in a crash.
 *
 * Left out: clones, pause and resume, generations, packages, logons, waiting; HELLO and WELCOME are
 * one step, which gives a new epoch; JOB goes with its LEASE. tests/sim has all of that.
 *
 * Faults are counted, and when they are used up nothing is lost any more. A step is possible only
 * when it changes something, so what cannot step has ended, and must have ended well (LastRow,
 * NoOutcomeLost); that no run goes on for ever is seen by searching for a cycle.
 */
#ifndef T
#define T 1 /* targets */
#endif
#ifndef CRASH_C
#define CRASH_C 1 /* crashes of the coordinator */
#endif
#ifndef CRASH_R
#define CRASH_R 1 /* crashes of each relay */
#endif
#ifndef EXPIRE
#define EXPIRE 1 /* leases that run out at the coordinator, over both relays */
#endif
#ifndef LAPSE
#define LAPSE 1 /* leases that run out at a relay, over both */
#endif
#ifndef LOSE
#define LOSE 1 /* times that a message, and all the others of its link, is lost */
#endif
#ifndef DUP
#define DUP 1 /* messages that come once more, at any later time */
#endif
#ifndef DEADLINE
#define DEADLINE 1 /* the job has one, and it passes at any moment */
#endif
#ifndef CANCEL
#define CANCEL 1 /* the push is cancelled at any moment */
#endif
#ifndef FAULTS
#define FAULTS 2 /* of all these together */
#endif
#ifndef BREAK
#define BREAK 2 /* calls at a target whose fate the relay isn't told */
#endif
#define ATTEMPTS 7
#define NOBODY 2

/* States of a row, and outcomes at a relay. */
#define NONE 0 /* queued; no outcome */
#define SCHEDULED 1
#define FAILED 2 /* before the schedule stage */
#define EXPIRED 3
#define UNKNOWN 4
#define CANCELLED 5 /* at a relay: dropped under STOP, never journalled */

/* Where the coordinator has a target (coordinator/core/ledger.h). */
#define FRESH 0
#define RETURNED 1
#define WANTED 2
#define LEASED 3
#define RESTS 4 /* unknown_effect */
#define FINAL 5

/* State of the push. */
#define OPEN 0
#define CANCELLING 1
#define CLOSED 2

/* What a relay is doing with a target. */
#define IDLE 0
#define ON_WAY 1 /* any stage before SCHEDULE, or a pause before the next look */
#define CALLING 2 /* INTENT is durable; a call that was never sent is one that is lost */

/* ---- the coordinator ---- */
byte row[T];      /* durable */
byte recorded[T]; /* durable: the failure that a doubted row will count as; NONE: not doubted */
byte mark[2];     /* durable: 1 + the highest number leased to a relay */
byte top[2];      /* durable: highest attempt of a relay */
byte push;        /* durable */
byte phase[T];
byte holder[T];
byte attempt[T];
bool ever[2 * T]; /* was leased to this relay */
bool owed[2 * T]; /* its lease was lost, and it has said nothing since */
bool live[2];     /* listens to this relay, in its newest epoch */

/* ---- the relays ---- */
bool joined[2];          /* has an epoch */
bool stopped[2];         /* under STOP */
bool forgotten[2];       /* under CLOSE */
bool journal_intent[2 * T]; /* durable */
bool intent[2 * T];
byte outcome[2 * T]; /* durable, but CANCELLED */
byte under[2 * T];   /* attempt of what it does or says */
bool acked[2 * T];   /* durable */
byte work[2 * T];
bool leased[2 * T];     /* the work is under a lease that holds */
bool look_first[2 * T]; /* another relay may have been there */

/* ---- the targets ---- */
bool task[T];
byte starts[T];
bool flying[2 * T]; /* a registration is on the way to the target */

/* ---- the network: what is on the way in the newest epoch ---- */
byte lease_out[2 * T]; /* a bit for each attempt */
byte ack_out[2 * T];   /* a bit for each attempt */
byte row_out[2 * T * ATTEMPTS];
bool stop_out[2];
bool close_out[2];

bool first_seen; /* the relays are alike: relay 0 is the first that says HELLO */
bool late; /* past not_after */
bool may_expire = DEADLINE, may_cancel = CANCEL;
byte crash_c = CRASH_C, crash_r[2] = CRASH_R, expire = EXPIRE, lapse = LAPSE, lose = LOSE, dup = DUP,
     faults = FAULTS, calls_break = BREAK;
hidden byte i, j, said;
hidden byte open_words, all;

#define AT(r, t) ((r) * T + (t))
#define BIT(a) (1 << ((a) - 1))
#define ROW_OUT(r, t, a) row_out[(AT(r, t)) * ATTEMPTS + (a) - 1]
#define OTHER(r) (1 - (r))
#define TERMINAL(s) ((s) != NONE)
#define HELD_BY(r, t) ((phase[t] == LEASED || phase[t] == WANTED) && holder[t] == (r))
#define BUSY(r, t) (work[AT(r, t)] != IDLE)
#if T == 1
#define TO_COME(r) (lease_out[r] || ack_out[r] || stop_out[r] || close_out[r])
#define ANY(what, r) (what(r, 0))
#else
#define TO_COME(r)                                                                                 \
    (lease_out[AT(r, 0)] || ack_out[AT(r, 0)] || lease_out[AT(r, 1)] || ack_out[AT(r, 1)] ||       \
     stop_out[r] || close_out[r])
#define ANY(what, r) (what(r, 0) || what(r, 1))
#endif
#define SENT(r, t)                                                                                 \
    (ROW_OUT(r, t, 1) || ROW_OUT(r, t, 2) || ROW_OUT(r, t, 3) || ROW_OUT(r, t, 4) ||               \
     ROW_OUT(r, t, 5) || ROW_OUT(r, t, 6) || ROW_OUT(r, t, 7))

/* When all are used up it makes no difference which they were. */
inline spend(kind)
{
    kind--;
    faults--;
    if
    :: faults == 0 -> crash_c = 0; crash_r[0] = 0; crash_r[1] = 0; expire = 0; lapse = 0; lose = 0; dup = 0;
        mark[0] = 0; mark[1] = 0; top[0] = 0; top[1] = 0;
    :: else
    fi
}

/* TerminalStays, NotRegistered. */
inline set_row(t, to)
{
    assert(row[t] == NONE || (row[t] == UNKNOWN && (to) != UNKNOWN));
    printf("row of target %d: %d\n", t, to);
    row[t] = to;
    recorded[t] = NONE;
    holder[t] = NOBODY;
    phase[t] = ((to) == UNKNOWN -> RESTS : FINAL);
    if
    :: phase[t] == FINAL ->
        owed[AT(0, t)] = false;
        owed[AT(1, t)] = false;
        ever[AT(0, t)] = false;
        ever[AT(1, t)] = false;
        attempt[t] = 0;
    :: else
    fi
    assert(!task[t] || row[t] == SCHEDULED || row[t] == UNKNOWN);
}

inline wipe_to(r)
{
    for (j : 0 .. T - 1) {
        lease_out[AT(r, j)] = 0;
        ack_out[AT(r, j)] = 0;
    }
    stop_out[r] = false;
    close_out[r] = false;
}

inline wipe_from(r)
{
    for (j : 0 .. T - 1) {
        for (i : 1 .. ATTEMPTS) {
            ROW_OUT(r, j, i) = NONE;
        }
    }
    j = 0;
}

/* Every lease of the relay goes back; it owes a word about each. */
inline revoke(r)
{
    for (j : 0 .. T - 1) {
        if
        :: HELD_BY(r, j) ->
#ifndef BUG_NOBODY_OWES
            owed[AT(r, j)] = true;
#endif
            holder[j] = NOBODY;
            phase[j] = (row[j] == UNKNOWN -> RESTS : RETURNED);
        :: else
        fi
    }
    j = 0;
}

/* What isn't past INTENT is dropped, a call that runs goes on to its end. */
inline lose_leases(r)
{
    for (j : 0 .. T - 1) {
        if
        :: work[AT(r, j)] == CALLING -> leased[AT(r, j)] = false;
        :: else ->
            work[AT(r, j)] = IDLE;
            look_first[AT(r, j)] = false;
            leased[AT(r, j)] = false;
        fi
    }
    j = 0;
}

/* A doubted row is asked of whoever owes a word and is there. */
inline ask_of(t)
{
    if
    :: phase[t] == RESTS && recorded[t] != NONE ->
        if
        :: live[0] && owed[AT(0, t)] -> phase[t] = WANTED; holder[t] = 0;
        :: else ->
            if
            :: live[1] && owed[AT(1, t)] -> phase[t] = WANTED; holder[t] = 1;
            :: else
            fi
        fi
    :: else
    fi
}

inline all_settled()
{
    all = true;
    for (j : 0 .. T - 1) {
        all = all && TERMINAL(row[j]) && !(phase[j] == WANTED && push != CLOSED) &&
              !(phase[j] == LEASED && push != CLOSED);
    }
}

inline none_unknown()
{
    all = true;
    for (j : 0 .. T - 1) {
        all = all && TERMINAL(row[j]);
#ifndef BUG_CLOSE_UNKNOWN
        all = all && row[j] != UNKNOWN;
#endif
    }
}

inline close_push()
{
    if
    :: push != CLOSED -> all_settled();
        if
        :: all -> push = CLOSED;
        :: else
        fi
    :: else
    fi
    if
    :: push == CLOSED -> none_unknown();
        if
        :: all -> close_out[0] = live[0]; close_out[1] = live[1];
        :: else
        fi
    :: else
    fi
}

/* ---- steps of the coordinator ---- */

/* HELLO, WELCOME: a new epoch. What is under way in the old one counts for nothing. */
inline connect(r)
{
    d_step {
        printf("HELLO of relay %d, WELCOME\n", r);
        revoke(r);
        lose_leases(r);
#ifndef BUG_OLD_EPOCH
        wipe_to(r);
        wipe_from(r);
#endif
        live[r] = true;
        joined[r] = true;
        first_seen = true;
        for (i : 0 .. T - 1) {
            ask_of(i);
            send(r, i);
        }
        close_push();
        i = 0;
    }
}

#define MAY_LEASE(r, t)                                                                            \
    (live[r] &&                                                                                    \
     ((push == OPEN && ((phase[t] == FRESH && !late) || phase[t] == RETURNED)) ||                  \
      (push == CANCELLING && phase[t] == RETURNED) || (phase[t] == WANTED && holder[t] == (r))))

inline give(r, t)
{
    d_step {
        assert(attempt[t] < ATTEMPTS);
        attempt[t]++;
        printf("target %d leased to relay %d, attempt %d\n", t, r, attempt[t]);
        phase[t] = LEASED;
        holder[t] = r;
        ever[AT(r, t)] = true;
#ifndef BUG_MARK_NOT_STORED
        if /* of no use when it won't be read any more */
        :: crash_c > 0 ->
            mark[r] = ((t) + 1 > mark[r] -> (t) + 1 : mark[r]);
            top[r] = (attempt[t] > top[r] -> attempt[t] : top[r]);
        :: else
        fi
#endif
        lease_out[AT(r, t)] = lease_out[AT(r, t)] | BIT(attempt[t]);
        if
        :: push != OPEN && !stopped[r] -> stop_out[r] = true;
        :: else
        fi
    }
}

/* Repeated, as it is while its result is long in coming; only when that can be of any use. */
#define MAY_REPEAT(r, t)                                                                           \
    (live[r] && joined[r] && phase[t] == LEASED && holder[t] == (r) &&                             \
     !(lease_out[AT(r, t)] & BIT(attempt[t])) && work[AT(r, t)] == IDLE &&                         \
     (outcome[AT(r, t)] == NONE || under[AT(r, t)] < attempt[t]) &&                                \
     ROW_OUT(r, t, attempt[t]) == NONE && !forgotten[r])

#define MAY_STOP(r)                                                                                \
    (live[r] && joined[r] && push != OPEN && !stopped[r] && !stop_out[r] && HOLDS(r))
#if T == 1
#define HOLDS(r) (phase[0] == LEASED && holder[0] == (r))
#else
#define HOLDS(r)                                                                                   \
    ((phase[0] == LEASED && holder[0] == (r)) || (phase[1] == LEASED && holder[1] == (r)))
#endif

/* A row that no relay has said the end of, once grace is over. */
inline give_up(t)
{
    d_step {
        printf("target %d: grace is over\n", t);
        if
#ifndef BUG_GIVEN_UP_OWES_NOTHING
        :: phase[t] == LEASED -> owed[AT(holder[t], t)] = true;
#endif
        :: else
        fi
        if
        :: row[t] == UNKNOWN -> phase[t] = RESTS; holder[t] = NOBODY;
        :: else -> set_row(t, UNKNOWN);
        fi
        close_push();
    }
}

inline settle_fresh(t, to)
{
    d_step {
        set_row(t, to);
        close_push();
    }
}

#define TELLS (said == SCHEDULED)

/* Who can't tell owes the word still. */
inline spoke(r, t)
{
#ifndef BUG_UNKNOWN_OWES_NOTHING
    owed[AT(r, t)] = said == UNKNOWN;
#else
    owed[AT(r, t)] = owed[AT(r, t)] && said == UNKNOWN;
#endif
}

/* coordinator/core/dispatch.c on_row, settle.c settle_row and settle_unknown_row. */
inline take_row(r, t, a)
{
    said = ROW_OUT(r, t, a);
    open_words = owed[AT(OTHER(r), t)];
    if
#ifndef BUG_TERMINAL_CHANGES
    :: push == CLOSED && row[t] != UNKNOWN /* known here no more, or final */
#endif
    :: else ->
        if
        #ifndef BUG_TERMINAL_CHANGES
        :: phase[t] == FINAL
        :: !ever[AT(r, t)] && phase[t] != FINAL
#endif
        :: (a) > attempt[t] && row[t] == NONE
        :: else ->
            if
            :: row[t] == UNKNOWN -> take_late(r, t, a);
            :: else -> take_first(r, t, a);
            fi
        fi
    fi
    said = NONE;
}

inline take_first(r, t, a)
{
    if
#ifndef BUG_FAILURE_OVERTAKES
    :: phase[t] == LEASED && holder[t] != r && !TELLS ->
        if
        :: said != CANCELLED && said != UNKNOWN -> owed[AT(r, t)] = false;
        :: else
        fi
#endif
#ifndef BUG_OLD_CANCELLED
    :: said == CANCELLED && (a) < attempt[t]
#endif
    :: else ->
        if
        :: said == CANCELLED && push != CANCELLING ->
            if
            :: phase[t] == LEASED && holder[t] == r && attempt[t] == (a) ->
                owed[AT(r, t)] = false;
                phase[t] = RETURNED;
                holder[t] = NOBODY;
            :: else
            fi
        :: else ->
            spoke(r, t);
            if
#ifndef BUG_NO_DOUBT
            :: said != UNKNOWN && !TELLS && open_words ->
                set_row(t, UNKNOWN);
                recorded[t] = said;
                ask_of(t);
#endif
            :: else -> set_row(t, said);
            fi
        fi
    fi
}

#define ASKED(r, t, a) (phase[t] == LEASED && holder[t] == (r) && attempt[t] == (a))

inline take_late(r, t, a)
{
    if
    :: phase[t] == LEASED && holder[t] != r && !TELLS ->
        if
        :: said != CANCELLED && said != UNKNOWN -> owed[AT(r, t)] = false;
        :: else
        fi
    :: !TELLS && said == CANCELLED && recorded[t] != NONE && !ASKED(r, t, a)
    :: TELLS -> owed[AT(r, t)] = false; set_row(t, said);
    :: else ->
        spoke(r, t);
        if
        :: said == UNKNOWN || open_words ->
            if
            :: ASKED(r, t, a) -> phase[t] = RESTS; holder[t] = NOBODY;
            :: else
            fi
            if
            :: phase[t] == RESTS && recorded[t] != NONE ->
                if
                :: said == UNKNOWN -> recorded[t] = NONE;
                :: else -> ask_of(t);
                fi
            :: else
            fi
        :: else ->
            if
            :: recorded[t] != NONE && (said == CANCELLED || said == EXPIRED) ->
                set_row(t, recorded[t]);
            :: else -> set_row(t, said);
            fi
        fi
    fi
}

inline hear_row(r, t, a)
{
    d_step {
        printf("relay %d's row of target %d comes: attempt %d, outcome %d\n", r, t, a, ROW_OUT(r, t, a));
        take_row(r, t, a);
        ack_out[AT(r, t)] = ack_out[AT(r, t)] | BIT(a);
        close_push();
    }
}

inline crash_coordinator()
{
    d_step {
        printf("the coordinator crashes\n");
        for (j : 0 .. T - 1) {
            attempt[j] = 0;
            holder[j] = NOBODY;
            for (i : 0 .. 1) {
                ever[AT(i, j)] = mark[i] > j && (row[j] == NONE || row[j] == UNKNOWN);
                owed[AT(i, j)] = ever[AT(i, j)];
                attempt[j] = (ever[AT(i, j)] && top[i] > attempt[j] -> top[i] : attempt[j]);
            }
            phase[j] = (row[j] == UNKNOWN -> RESTS
                                          : (row[j] != NONE
                                                 -> FINAL
                                                 : (attempt[j] > 0 -> RETURNED : FRESH)));
        }
        live[0] = false;
        live[1] = false;
        if
        :: crash_c == 1 -> mark[0] = 0; mark[1] = 0; top[0] = 0; top[1] = 0;
        :: else
        fi
        spend(crash_c);
        i = 0;
        j = 0;
    }
}

/* ---- steps of a relay ---- */

#ifdef BUG_SAID_ONCE
#define MAY_SAY_AGAIN false
#else
#define MAY_SAY_AGAIN true
#endif
#define MAY_SEND(r, t)                                                                             \
    (joined[r] && outcome[AT(r, t)] != NONE && !acked[AT(r, t)] && live[r] &&                      \
     ROW_OUT(r, t, under[AT(r, t)]) == NONE && !(ack_out[AT(r, t)] & BIT(under[AT(r, t)])))

inline send(r, t)
{
    if
    :: MAY_SEND(r, t) -> ROW_OUT(r, t, under[AT(r, t)]) = outcome[AT(r, t)];
    :: else
    fi
}

inline finish(r, t, what)
{
    printf("relay %d ends target %d: %d\n", r, t, what);
    outcome[AT(r, t)] = what;
    acked[AT(r, t)] = false;
    work[AT(r, t)] = IDLE;
    look_first[AT(r, t)] = false;
    intent[AT(r, t)] = false;
    journal_intent[AT(r, t)] = ((what) == CANCELLED -> journal_intent[AT(r, t)] : false);
    leased[AT(r, t)] = false;
    send(r, t);
}

inline begin(r, t, a)
{
    under[AT(r, t)] = a;
    if
    :: stopped[r] && !intent[AT(r, t)] -> finish(r, t, CANCELLED);
    :: else ->
        outcome[AT(r, t)] = NONE;
        work[AT(r, t)] = ON_WAY;
        leased[AT(r, t)] = true;
#ifndef BUG_NO_LOOK
        look_first[AT(r, t)] = (a) > 1 && !intent[AT(r, t)];
#endif
    fi
}

/* relay/core/lease.c take_target. */
inline hear_lease(r, t, a)
{
    d_step {
        printf("LEASE of target %d comes to relay %d, attempt %d\n", t, r, a);
        if
        :: forgotten[r]
        :: else ->
            if
            :: work[AT(r, t)] != IDLE ->
                if
                :: (a) >= under[AT(r, t)] -> under[AT(r, t)] = a; leased[AT(r, t)] = true;
                :: else
                fi
#ifndef BUG_JOURNAL_FORGOTTEN
            :: work[AT(r, t)] == IDLE && outcome[AT(r, t)] != NONE ->
                if
                :: outcome[AT(r, t)] == CANCELLED && !stopped[r] && (a) > under[AT(r, t)] ->
                    begin(r, t, a);
                :: else ->
                    if
                    :: (a) > under[AT(r, t)] ->
                        under[AT(r, t)] = a;
                        acked[AT(r, t)] = false;
                        send(r, t);
                    :: else
                    fi
                fi
#endif
            :: else -> begin(r, t, a);
            fi
        fi
    }
}

inline hear_stop(r)
{
    d_step {
        printf("STOP comes to relay %d\n", r);
        stopped[r] = true;
        for (i : 0 .. T - 1) {
            if
            :: work[AT(r, i)] == ON_WAY && !intent[AT(r, i)] -> finish(r, i, CANCELLED);
            :: else
            fi
        }
        i = 0;
    }
}

inline hear_close(r)
{
    d_step {
        printf("CLOSE comes to relay %d\n", r);
        forgotten[r] = true;
        for (i : 0 .. T - 1) {
            outcome[AT(r, i)] = NONE;
            acked[AT(r, i)] = false;
            intent[AT(r, i)] = false;
            journal_intent[AT(r, i)] = false;
            work[AT(r, i)] = IDLE;
            look_first[AT(r, i)] = false;
            under[AT(r, i)] = 0;
        }
        i = 0;
    }
}

inline hear_ack(r, t, a)
{
    d_step {
        printf("acknowledgement of target %d, attempt %d, comes to relay %d\n", t, a, r);
        if
        :: outcome[AT(r, t)] != NONE && under[AT(r, t)] == (a) -> acked[AT(r, t)] = true;
        :: else
        fi
    }
}

/* The Task Scheduler says whether the task is there. What this relay asked for before has been
 * decided by then: the look is on a new session, a second or more after the one that asked is gone. */
#ifdef BUG_LOOK_AT_ONCE
#define MAY_LOOK(r, t) (work[AT(r, t)] == ON_WAY && (intent[AT(r, t)] || look_first[AT(r, t)]))
#else
#define MAY_LOOK(r, t)                                                                             \
    (work[AT(r, t)] == ON_WAY && (intent[AT(r, t)] || look_first[AT(r, t)]) && !flying[AT(r, t)])
#endif

inline call(r, t)
{
    work[AT(r, t)] = CALLING;
    flying[AT(r, t)] = true;
}

inline look(r, t)
{
    d_step {
        printf("relay %d looks at target %d: task there: %d\n", r, t, task[t]);
        if
        :: task[t] -> finish(r, t, SCHEDULED);
        :: else ->
            if
            :: intent[AT(r, t)] && stopped[r] -> finish(r, t, CANCELLED);
            :: intent[AT(r, t)] && !stopped[r] && late -> finish(r, t, EXPIRED);
            :: intent[AT(r, t)] && !stopped[r] && !late -> call(r, t);
            :: else -> look_first[AT(r, t)] = false;
            fi
        fi
    }
}

#define MAY_BEGIN_CALL(r, t)                                                                       \
    (work[AT(r, t)] == ON_WAY && !intent[AT(r, t)] && !look_first[AT(r, t)] && !late && !stopped[r])

inline journal_the_intent(r, t)
{
    d_step {
        printf("relay %d journals INTENT for target %d\n", r, t);
#ifndef BUG_INTENT_NOT_STORED
        journal_intent[AT(r, t)] = true;
#endif
        intent[AT(r, t)] = true;
        call(r, t);
    }
}

/* What a call that came to nothing, or whose answer is lost, leaves at the relay: INTENT. */
inline call_broke(r, t)
{
    if
    :: work[AT(r, t)] == CALLING ->
        calls_break--;
        work[AT(r, t)] = (leased[AT(r, t)] -> ON_WAY : IDLE);
        leased[AT(r, t)] = leased[AT(r, t)] && work[AT(r, t)] == ON_WAY;
    :: else
    fi
}

/* TASK_CREATE at the target: whoever comes first wins. AtMostOneStart, NotRegistered. */
inline register(t)
{
#ifdef BUG_NO_ARBITER
    starts[t]++;
#else
    starts[t] = starts[t] + (task[t] -> 0 : 1);
#endif
    task[t] = true;
    assert(starts[t] <= 1);
    assert(row[t] == NONE || row[t] == SCHEDULED || row[t] == UNKNOWN);
}

inline call_arrives(r, t, answered)
{
    d_step {
        printf("relay %d's call arrives at target %d, answered: %d\n", r, t, answered);
        flying[AT(r, t)] = false;
        register(t);
        if
        :: answered -> finish(r, t, SCHEDULED);
        :: else -> call_broke(r, t);
        fi
    }
}

inline crash_relay(r)
{
    d_step {
        printf("relay %d crashes\n", r);
        spend(crash_r[r]);
        joined[r] = false;
        stopped[r] = false;
        forgotten[r] = false;
        for (j : 0 .. T - 1) {
            intent[AT(r, j)] = journal_intent[AT(r, j)];
            outcome[AT(r, j)] = (outcome[AT(r, j)] == CANCELLED -> NONE : outcome[AT(r, j)]);
            acked[AT(r, j)] = acked[AT(r, j)] && outcome[AT(r, j)] != NONE;
            work[AT(r, j)] = IDLE;
            leased[AT(r, j)] = false;
            look_first[AT(r, j)] = false;
            under[AT(r, j)] = (outcome[AT(r, j)] != NONE -> under[AT(r, j)] : 0);
        }
        j = 0;
    }
}

/* ---- everything that may happen next ---- */

#define LEASE_COMES(r, t, a)                                                                       \
    :: joined[r] && (lease_out[AT(r, t)] & BIT(a)) ->                                              \
        atomic {                                                                                   \
            hear_lease(r, t, a);                                                                   \
            if                                                                                     \
            :: lease_out[AT(r, t)] = lease_out[AT(r, t)] & ~BIT(a);                                \
            :: dup > 0 -> d_step { spend(dup); }                                                   \
            fi                                                                                     \
        }
#define ROW_COMES(r, t, a)                                                                         \
    :: live[r] && ROW_OUT(r, t, a) != NONE ->                                                      \
        atomic {                                                                                   \
            hear_row(r, t, a);                                                                     \
            if                                                                                     \
            :: ROW_OUT(r, t, a) = NONE;                                                            \
            :: dup > 0 -> d_step { spend(dup); }                                                   \
            fi                                                                                     \
        }
#define ACK_COMES(r, t, a)                                                                         \
    :: joined[r] && (ack_out[AT(r, t)] & BIT(a)) ->                                                \
        atomic {                                                                                   \
            hear_ack(r, t, a);                                                                     \
            if                                                                                     \
            :: ack_out[AT(r, t)] = ack_out[AT(r, t)] & ~BIT(a);                                    \
            :: dup > 0 -> d_step { spend(dup); }                                                   \
            fi                                                                                     \
        }
#define EACH(what, r, t)                                                                           \
    what(r, t, 1) what(r, t, 2) what(r, t, 3) what(r, t, 4) what(r, t, 5) what(r, t, 6)            \
    what(r, t, 7)

#define MAY_BREAK(r, t) (work[AT(r, t)] != CALLING || calls_break > 0)

#define OF_BOTH(r, t)                                                                              \
    EACH(LEASE_COMES, r, t)                                                                        \
    EACH(ROW_COMES, r, t)                                                                          \
    EACH(ACK_COMES, r, t)                                                                          \
    :: MAY_LEASE(r, t) -> give(r, t);                                                              \
    :: MAY_REPEAT(r, t) -> lease_out[AT(r, t)] = lease_out[AT(r, t)] | BIT(attempt[t]);            \
    :: MAY_SAY_AGAIN && MAY_SEND(r, t) -> send(r, t);                                              \
    :: MAY_LOOK(r, t) -> look(r, t);                                                               \
    :: MAY_LOOK(r, t) -> /* it breaks */                                                           \
        d_step {                                                                                   \
            finish(r, t, (intent[AT(r, t)] -> UNKNOWN : FAILED));                                  \
        }                                                                                          \
    :: MAY_BEGIN_CALL(r, t) -> journal_the_intent(r, t);                                           \
    :: work[AT(r, t)] == ON_WAY && !intent[AT(r, t)] ->                                            \
        d_step {                                                                                   \
            finish(r, t, (late -> EXPIRED : FAILED));                                              \
        }                                                                                          \
    :: flying[AT(r, t)] && work[AT(r, t)] == CALLING -> call_arrives(r, t, true);                  \
    :: flying[AT(r, t)] && MAY_BREAK(r, t) -> call_arrives(r, t, false);                           \
    :: flying[AT(r, t)] && MAY_BREAK(r, t) ->                                                      \
        d_step {                                                                                   \
            flying[AT(r, t)] = false;                                                              \
            call_broke(r, t);                                                                      \
        }

#define OF_RELAY(r)                                                                                \
    :: (!joined[r] || !live[r]) && ((r) == 0 || first_seen) -> connect(r);                         \
    :: MAY_STOP(r) -> stop_out[r] = true;                                                          \
    :: joined[r] && stop_out[r] ->                                                                 \
        atomic {                                                                                   \
            hear_stop(r);                                                                          \
            stop_out[r] = false;                                                                   \
        }                                                                                          \
    :: joined[r] && close_out[r] ->                                                                \
        atomic {                                                                                   \
            hear_close(r);                                                                         \
            close_out[r] = false;                                                                  \
        }                                                                                          \
    :: crash_r[r] > 0 && joined[r] -> crash_relay(r);                                              \
    :: crash_r[r] > 0 && joined[r] && ANY(SENT, r) -> atomic { crash_relay(r); d_step { wipe_from(r); } }\
    :: expire > 0 && live[r] && ANY(HELD_BY, r) ->                                                 \
        d_step {                                                                                   \
            printf("the lease of relay %d runs out at the coordinator\n", r);                      \
            spend(expire);                                                                         \
            revoke(r);                                                                             \
            live[r] = false;                                                                       \
        }                                                                                          \
    :: lapse > 0 && joined[r] && ANY(BUSY, r) ->                                                   \
        d_step {                                                                                   \
            printf("the lease of relay %d runs out at the relay\n", r);                            \
            spend(lapse);                                                                          \
            lose_leases(r);                                                                        \
            joined[r] = false;                                                                     \
        }                                                                                          \
    :: lose > 0 && joined[r] && TO_COME(r) -> d_step { spend(lose); wipe_to(r); }                  \
    :: lose > 0 && live[r] && ANY(SENT, r) -> d_step { spend(lose); wipe_from(r); }

#define OF_TARGET(t)                                                                               \
    :: phase[t] == FRESH && push == CANCELLING -> settle_fresh(t, CANCELLED);                      \
    :: phase[t] == FRESH && push == OPEN && late -> settle_fresh(t, EXPIRED);                      \
    :: (late || push == CANCELLING) && push != CLOSED &&                                           \
            (phase[t] == RETURNED || phase[t] == LEASED || phase[t] == WANTED) -> give_up(t);

active proctype world()
{
    for (i : 0 .. T - 1) {
        holder[i] = NOBODY;
    }
    i = 0;
    do
    OF_RELAY(0)
    OF_RELAY(1)
    OF_BOTH(0, 0)
    OF_BOTH(1, 0)
    OF_TARGET(0)
#if T > 1
    OF_BOTH(0, 1)
    OF_BOTH(1, 1)
    OF_TARGET(1)
#endif
    :: may_expire && !late ->
        d_step {
            printf("the deadline passes\n");
            late = true;
        }
    :: may_cancel && push == OPEN ->
        d_step {
            printf("the push is cancelled\n");
            push = CANCELLING;
            may_cancel = false;
            stop_out[0] = live[0];
            stop_out[1] = live[1];
        }
    :: crash_c > 0 && first_seen -> crash_coordinator();
    :: crash_c > 0 && first_seen -> atomic { crash_coordinator(); d_step { wipe_to(0); wipe_to(1); } }
    :: else -> break
    od;
    true;
    /* Every fault is used up and nothing is left to do. */
    d_step {
        for (j : 0 .. T - 1) {
            assert(TERMINAL(row[j])); /* LastRow */
            for (i : 0 .. 1) {        /* NoOutcomeLost */
                assert(outcome[AT(i, j)] == NONE || outcome[AT(i, j)] == CANCELLED ||
                       acked[AT(i, j)]);
                assert(outcome[AT(i, j)] != SCHEDULED || row[j] == SCHEDULED);
            }
        }
        j = 0;
    }
}
