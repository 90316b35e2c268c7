/* What the files of the agent core share; nobody else includes it.
 *
 * A target is an entry in a table: found by (push, target number), linked into one queue at a time,
 * some fifty bytes. While it is leased to us and has no outcome it also has a `work`. Entries are
 * named by index, since the table moves when it grows.
 */
#ifndef PUSHER_RELAY_CORE_AGENT_STATE_H
#define PUSHER_RELAY_CORE_AGENT_STATE_H

#include "relay/core/agent.h"

#define ENTRY_NONE UINT32_MAX
#define BATCHES_MAX 8U
#define PUSHES_MAX 1024U      /* pushes known at once, and jobs */
#define CREDENTIALS_MAX 1024U /* remembered at once */
#define RETRY_PAUSE_MAX_MS 16000U
#define CREDIT_MAX 65536U     /* the coordinator counts no more */
#define PAUSED_OFTEN_MAX 256U /* more paused targets than this are looked through once a second */
#define OUTPUT_PER_MESSAGE 131072U /* leaves a full batch of rows below LIMIT_MESSAGE_BYTES_MAX */
#define TIMER_PAUSE_MAX_MS 60000U  /* the wall clock may jump: look again at least so often */

enum entry_status {
    ENTRY_FREE,    /* not in the table */
    ENTRY_INTENT,  /* INTENT journalled, no outcome, not leased: waits for a lease */
    ENTRY_WAITING, /* has work, in its job's queue for work->stage */
    ENTRY_RUNNING, /* has work, work->stage is running */
    ENTRY_HELD,    /* as RUNNING, ACCESS: connected, in its credential's `held` until its logon */
    ENTRY_PAUSED, /* has work, effect unknown or waiting: in agent.paused until work->retry_at_ms */
    ENTRY_UNSENT, /* outcome journalled, in agent.unsent; or dropped, in agent.dropped */
    ENTRY_SENT,   /* row in a batch that waits for its ack */
    ENTRY_ACKED,  /* tombstone until CLOSE; dropped: of its attempt */
};

/* What the last look at a waiting target saw. */
struct look {
    bool reached;       /* it is registered, and had not ended */
    enum reason reason; /* what it would be if time were up; or why it could not be seen */
    enum code_kind code_kind;
    uint32_t code;
    char detail[];
};

/* A target between lease and outcome. */
struct work {
    uint32_t serial;           /* upper half of its key */
    uint32_t job;              /* index into agent.jobs */
    enum stage stage;          /* the one that runs, or that it waits for */
    bool begun;                /* a stage was run under this key */
    bool leased;               /* false: the lease lapsed while SCHEDULE ran */
    bool connecting;           /* counted in agent.connecting */
    bool has_session;          /* counted in agent.sessions */
    bool trial;                /* counted in its credential's trials */
    bool read_back;            /* the running SCHEDULE was told to look first */
    bool look_only;            /* ... and to register nothing */
    bool look_first;           /* another relay may have begun: SCHEDULE looks before PATH */
    uint64_t started_ms;       /* stage 1 began */
    uint64_t started_unix_ms;  /* 0: not yet */
    uint64_t stage_started_ms; /* the running stage; waiting for the logon doesn't count */
    uint64_t held_since_ms;    /* while held */
    uint64_t retry_at_ms;      /* while paused */
    uint64_t unknown_since_ms; /* first unknown effect */
    uint32_t retry_pause_ms;   /* the next pause */
    uint32_t schedule_tries;   /* over all rounds */
    bool scheduled;            /* job waits: registered; INTENT is journalled */
    bool looking;              /* ... counted in agent.looks */
    bool spare;                /* ... or it may be: counted in agent.spare, not in the credit */
    bool telling;              /* in agent.progress */
    uint32_t refused_looks;    /* logons refused in a row */
    struct look *look;         /* owned; NULL unless scheduled */
    uint32_t stage_ms[STAGE_COUNT];
    uint64_t bytes;             /* written so far */
    enum name_check name_check; /* as the last stage said */
    char address[LIMIT_ADDRESS_SIZE];
    struct agent_stage_done *unknown; /* owned: what first made the effect unknown; else NULL */
    char name[];                      /* as the operator gave it */
};

struct entry {
    uint32_t hash_next;
    uint32_t prev, next; /* in the one queue it is in */
    uint32_t push;       /* index into agent.pushes */
    uint32_t target_no;
    uint32_t attempt;
    enum entry_status status;
    bool intent;          /* INTENT is journalled */
    uint32_t output_size; /* journalled with the outcome, not acknowledged */
    bool dropped;         /* no outcome but a CANCELLED row for this attempt, not journalled; with
                             `intent` it says SCHEDULED */
    enum stage reached;   /* when dropped */
    struct work *work;    /* owned; NULL unless waiting, running or paused */
};

struct queue {
    uint32_t head, tail, count;
};

struct table {
    struct entry *entries;
    uint32_t count; /* used part of entries, free ones included */
    uint32_t capacity;
    uint32_t free;     /* list through hash_next */
    uint32_t used;     /* entries that are not free */
    uint32_t *buckets; /* power of two */
    uint32_t bucket_count;
};

enum package_state { PACKAGE_FETCHING, PACKAGE_READY, PACKAGE_FAILED };

/* An accepted job. A push has one current job; one that was replaced lives until its targets have
 * ended. */
struct job_slot {
    bool used;
    uint32_t push; /* index */
    uint64_t counter;
    int64_t not_after_unix_ms;
    bool cleanup, wait;
    int64_t wait_until_unix_ms;
    uint32_t job_no;
    uint32_t credential; /* index into agent.credentials */
    enum package_state package;
    char package_detail[LIMIT_DETAIL_SIZE]; /* when failed */
    uint32_t refs;                          /* works that name it */
    uint32_t sessions;                      /* of them, connecting or holding an SMB session */
    struct queue waiting[STAGE_COUNT];
};

struct push_slot {
    bool used;
    struct push_id id;
    uint32_t generation;
    bool stopped;
    uint64_t stop_counter;  /* stopped: jobs with this or a lower counter */
    uint64_t stop_until_ms; /* stopped: stages that ran then may end until this; 0: none does */
    bool wait_on; /* stopped, and resumed by a job that is refused here: what is registered
                     already is waited for under ours */
    bool refused; /* the job of its leases: the first one, under STOP a newer one, or the accepted
                     one since its signer lost the operators' trust */
    char refusal[LIMIT_DETAIL_SIZE];
    bool forgotten;            /* refused: CLOSE was heard in an earlier life of the push */
    uint32_t job;              /* current one, or ENTRY_NONE */
    uint64_t counter;          /* highest accepted */
    uint64_t job_epoch;        /* in which that came; 0: not certain */
    int64_t not_after_unix_ms; /* of that */
};

enum permit_state { PERMIT_NONE, PERMIT_ASKED, PERMIT_GRANTED };

/* Whose turn the first logons of a domain account are: see permit.c. */
struct permit {
    bool needed; /* the account is shared with other relays */
    enum permit_state state;
    uint8_t account[LIMIT_DIGEST_BYTES];
    uint64_t counter;
    uint32_t refused;  /* at this relay */
    bool due;          /* something is to be told now */
    bool settled;      /* open or refused, and the coordinator knows */
    uint64_t said_ms;  /* last PERMIT_GET */
    uint64_t until_ms; /* GRANTED: no logon begins after */
};

/* The brake on one credential: see brake.c. */
struct credential_slot {
    uint32_t refs; /* jobs that use it; 0: free, or remembered for its wrong passwords */
    uint32_t credential_no;
    bool local_account;
    bool proven;            /* a logon succeeded */
    bool stopped;           /* no logon any more */
    uint32_t failures;      /* refusals of any kind */
    uint32_t wrong_count;   /* LOGON_FAILURE since the last success, remembered ones too */
    uint64_t wrong_at_ms;   /* the last of them */
    uint32_t trials;        /* first logons without an answer */
    uint64_t last_trial_ms; /* 0: none holds up the next */
    uint32_t last_trial;    /* serial of that work */
    struct queue held;      /* connected, waiting for their logon, first come first */
    struct permit permit;   /* of a domain account, over all relays */
};

struct batch {
    bool used;
    bool cancelled; /* rows of dropped targets */
    uint64_t sequence;
    uint64_t sent_ms;
    uint32_t count;
    uint32_t rows[LIMIT_ROWS_PER_MESSAGE]; /* entries; ENTRY_NONE: taken out again */
};

struct agent {
    struct agent_config config;
    uint64_t now_ms, now_unix_ms;  /* of the event */
    struct agent_effects *effects; /* of the step; borrowed */

    uint64_t epoch;        /* 0: none */
    uint64_t epoch_newest; /* of this process */
    uint32_t lease_ms, heartbeat_ms;
    uint64_t lease_from_ms;
    bool lease_valid;
    bool hello_out;          /* HELLO said, WELCOME not heard */
    uint64_t hello_first_ms; /* first HELLO of this connection without WELCOME */
    uint64_t hello_next_ms;
    uint64_t heartbeat_said_ms;
    bool heartbeat_due; /* without waiting */
    uint64_t heard_ms;  /* last WELCOME or ack */
    uint64_t timer_ms;  /* armed */
    bool shutting_down, finished;
    bool intake_closed; /* no new targets are wanted */
    bool halted;        /* nothing may be worked on */
    uint64_t shutdown_at_ms;

    struct table table;
    struct push_slot *pushes;
    uint32_t push_count;
    struct job_slot *jobs;
    uint32_t job_count;
    uint32_t job_turn; /* whose queue is looked at first */
    struct credential_slot *credentials;
    uint32_t credential_count;
    struct queue paused, unsent, dropped;
    uint64_t paused_scan_ms; /* `paused` needn't be looked through before */
    uint32_t *progress;      /* owned: entries whose SCHEDULED row is to be sent */
    uint32_t progress_count, progress_capacity;
    uint64_t progress_said_ms; /* last SEND_SCHEDULED */
    uint32_t awaiting;         /* works that are scheduled */
    uint32_t looks;            /* of them, being looked at */
    uint32_t spare;            /* works that don't count against held_max */
    uint32_t credit_said;      /* highest of this epoch */
    struct batch batches[BATCHES_MAX];
    uint64_t sequence; /* last one used in this epoch */
    uint32_t serial;   /* last one used */
    uint32_t held;
    uint32_t running; /* entries in ENTRY_RUNNING and ENTRY_HELD */
    uint32_t in_stage[STAGE_COUNT];
    uint32_t stage_runs[STAGE_COUNT];
    uint32_t connecting;
    uint32_t sessions;
    uint64_t ignored;
    uint32_t lapses;
};

/* effects.c: the returned effect is zeroed but for its kind, valid until the next one. */
void effects_reset(struct agent_effects *effects);
struct agent_effect *effect_add(struct agent *agent, enum agent_effect_kind kind);
void effect_ref(struct agent *agent, const struct agent_ref *ref);
uint32_t effect_outcome(struct agent *agent, const struct outcome *outcome);

/* table.c */
void table_init(struct table *table);
void table_release(struct table *table);
uint32_t table_find(const struct table *table, uint32_t push, uint32_t target_no);
/* A new entry, status ENTRY_INTENT; the caller knows that there is none. */
uint32_t table_add(struct table *table, uint32_t push, uint32_t target_no);
void table_remove(struct table *table, uint32_t index);
void queue_init(struct queue *queue);
void queue_push(struct table *table, struct queue *queue, uint32_t index);
void queue_push_front(struct table *table, struct queue *queue, uint32_t index);
void queue_remove(struct table *table, struct queue *queue, uint32_t index);

/* jobs.c */
uint32_t push_find(const struct agent *agent, const struct push_id *id, uint32_t generation);
/* Finds or makes; ENTRY_NONE when there are too many. */
uint32_t push_get(struct agent *agent, const struct push_id *id, uint32_t generation);
void on_job(struct agent *agent, const struct agent_job *job);
void on_stop(struct agent *agent, const struct message_push_ref *ref);
/* A STOP of the job with this counter (0: whichever it is), unless that comes late. */
void push_stop(struct agent *agent, uint32_t push, uint64_t counter);
void on_close(struct agent *agent, const struct message_push_ref *ref);
void on_package(struct agent *agent, uint32_t job_no, const char *failure);
/* Removes the job when nothing needs it any more. */
void job_settle(struct agent *agent, uint32_t job);
bool job_expired(const struct agent *agent, const struct job_slot *job);
/* Nor may it be looked at any longer whether something was registered. */
bool job_over(const struct agent *agent, const struct job_slot *job);

/* lease.c */
void on_link_up(struct agent *agent);
void on_welcome(struct agent *agent, const struct message_welcome *welcome);
void on_heartbeat_ack(struct agent *agent, const struct message_heartbeat_ack *ack);
void on_lease(struct agent *agent, const struct agent_lease *lease);
void on_halt(struct agent *agent, bool halted);
void on_distrust(struct agent *agent, uint32_t job_no, const char *why);
/* Gives up what may not go on when the lease has run out. */
void lease_check(struct agent *agent);
/* Heartbeats and HELLOs that are due. */
void lease_speak(struct agent *agent);
/* When lease_check or lease_speak have something to do next. */
uint64_t lease_due_ms(const struct agent *agent);

/* brake.c */
uint32_t credential_get(struct agent *agent, const struct agent_job *job);
void credential_drop(struct agent *agent, uint32_t credential);
/* Whether a logon may start now. */
bool brake_allows(const struct agent *agent, const struct credential_slot *credential);
void brake_began(struct agent *agent, struct work *work);
/* `done` NULL: given up without an answer. */
void brake_ended(struct agent *agent, struct work *work, const struct agent_stage_done *done);
/* When the next held logon may start; UINT64_MAX when none waits for time. */
uint64_t brake_due_ms(const struct agent *agent, const struct credential_slot *credential);

/* permit.c */
void permit_init(struct permit *permit, const struct agent_job *job);
bool permit_allows(const struct agent *agent, const struct credential_slot *credential);
/* The coordinator shall hear of a logon's end. */
void permit_note(struct credential_slot *credential, bool refused);
void on_permit(struct agent *agent, const struct message_permit *message);
/* Every turn: asks, renews, tells, gives back. */
void permits_send(struct agent *agent);
uint64_t permits_due_ms(const struct agent *agent);

/* wait.c */
/* SCHEDULE passed, or was found to have: the end is waited for; or, under STOP, the lease is given
 * back. */
void wait_begin(struct agent *agent, uint32_t index, const struct agent_stage_done *done);
/* A look at a waiting target has ended, at whatever stage, or could not be made. */
void wait_looked(struct agent *agent, uint32_t index, const struct agent_stage_done *done);
/* Whether the push's STOP ends waiting, too. */
bool wait_stopped(const struct push_slot *push);
/* No longer counted against the credit. */
void wait_spare(struct agent *agent, struct work *work);
/* Ends it by what the last look saw. */
void wait_over(struct agent *agent, uint32_t index);
bool wait_time_is_up(const struct agent *agent, const struct job_slot *job);
/* Whether one more target may be looked at. */
bool wait_may_look(const struct agent *agent);
/* Its SCHEDULED row is sent, soon. */
void wait_tell(struct agent *agent, uint32_t index);
void wait_send(struct agent *agent);
uint64_t wait_due_ms(const struct agent *agent);
/* The work is going away. */
void wait_forget(struct agent *agent, struct work *work);

/* start.c */
/* Ends what may not wait any longer, then starts what may start. */
void work_schedule(struct agent *agent);
uint64_t work_due_ms(const struct agent *agent);

/* work.c */
struct work *work_of(const struct agent *agent, uint32_t index);
struct credential_slot *work_credential(const struct agent *agent, const struct work *work);
/* How the runner knows it. */
uint64_t work_key(const struct agent *agent, uint32_t index);
/* Into its job's queue for the stage. */
void work_wait_for(struct agent *agent, uint32_t index, enum stage stage);
/* Between the windows of connecting and of logging on. */
void work_move_session(struct agent *agent, struct work *work, bool logging_on);
/* Out of whatever queue or window it is in. */
void work_leave_status(struct agent *agent, uint32_t index);
/* Ends it without a stage's result. */
void work_finish_with(struct agent *agent, uint32_t index, enum stage stage, enum reason reason,
                      const char *detail);
/* Its time is over, whichever that is. */
void work_expire(struct agent *agent, uint32_t index);
/* INTENT is journalled and the task may be there: looked at again later, on a new session. */
void work_pause_unknown(struct agent *agent, uint32_t index, const struct agent_stage_done *done);
/* `look_first`: another relay may have gone past INTENT. */
void work_begin(struct agent *agent, uint32_t index, uint32_t job, const char *name,
                bool look_first);
/* Journals the outcome, forgets the work, queues the row. */
void work_finish(struct agent *agent, uint32_t index, const struct outcome *outcome);
/* Forgets the work without an outcome; the entry goes too unless INTENT is journalled. */
void work_give_up(struct agent *agent, uint32_t index);
/* Forgets the work of a target without INTENT, and queues a CANCELLED row for it; with INTENT the
 * row says SCHEDULED. */
void work_drop(struct agent *agent, uint32_t index);
/* The runner forgets the target; a further stage runs under a new key. */
void work_drop_key(struct agent *agent, uint32_t index);
/* Into agent.paused, in no other queue before. */
void work_pause(struct agent *agent, uint32_t index, uint64_t pause_ms);
/* What is known of the target whatever the end. */
struct outcome work_outcome(const struct agent *agent, const struct work *work);
/* Ends it as a stage, or a look, says. */
void work_finish_done(struct agent *agent, uint32_t index, const struct agent_stage_done *done);
/* The push is stopped: drops what is not past INTENT, but lets running stages end for a while. */
void work_stop(struct agent *agent, uint32_t push);
void on_connected(struct agent *agent, uint64_t key);
void on_stage_done(struct agent *agent, const struct agent_stage_done *done);

/* results.c */
struct agent_ref entry_ref(const struct agent *agent, uint32_t index);
void on_journal(struct agent *agent, const struct agent_ref *ref, bool outcome, bool acked,
                uint32_t output_size);
void on_results_ack(struct agent *agent, const struct message_results_ack *ack);
/* An outcome that is known answers this attempt again. */
void results_renew(struct agent *agent, uint32_t index, uint32_t attempt);
/* A target that a LEASE under STOP names and that nothing is known of: a CANCELLED row. */
void results_drop(struct agent *agent, uint32_t index, enum stage reached);
/* The entry leaves the queue or batch that it is in. */
void results_forget(struct agent *agent, uint32_t index);
/* Everything unacknowledged is to be sent again. */
void results_requeue(struct agent *agent);
void results_send(struct agent *agent);
uint64_t results_due_ms(const struct agent *agent);
uint32_t results_unacknowledged(const struct agent *agent);

#endif
