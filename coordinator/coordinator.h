/* The coordinator's shell: one loop that owns the core, the store and the links.
 *
 * Called by main.c; the rest is shared by the shell's own files:
 *   shell.c           start, the loop turn (commit, then send), effects
 *   shell_recover.c   what the store knows, told to the core
 *   book.c            what open pushes need in memory: Merkle trees
 *   relay_link.c      messages of relays in, messages to relays out
 *   package_server.h  packages' bytes to relays
 *   control.c         requests of the CLI; control_push.c: those that make or change a push;
 *   control_package.c packages at the coordinator
 *   control_retry.c   a push that is tried once more
 *   control_report.c  reports, sent in pages as the asker takes them
 *   routing.h         where targets go
 *   trust.h           relays, enrolment, objects that operators signed
 *
 * A loop turn collects writes in the store's transaction and messages in the outbox. Before the
 * loop waits again the writes are committed, then the messages sent, in order: nothing is said
 * before it is durable. When a write fails the process ends, and finds its way from the store.
 */
#ifndef PUSHER_COORDINATOR_COORDINATOR_H
#define PUSHER_COORDINATOR_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/reserve.h"
#include "common/model/message.h"
#include "common/net/link.h"
#include "common/pkg/store.h"
#include "common/trust/keys.h"
#include "common/trust/merkle.h"
#include "coordinator/core/dispatch.h"
#include "coordinator/core/permits.h"
#include "coordinator/package_server.h"
#include "coordinator/routing.h"
#include "coordinator/store/store.h"
#include "coordinator/trust.h"

#define COORDINATOR_SITE "local" /* the one site of this version: it covers every address */
#define COORDINATOR_LEASE_MS 60000U
#define COORDINATOR_HEARTBEAT_MS 10000U
#define COORDINATOR_GRACE_MS 120000U
#define COORDINATOR_UPLOADS_MAX 16U       /* pushes and packages on their way at once */
#define COORDINATOR_CHECKS_MAX 4U         /* packages being read through at once */
#define COORDINATOR_REPORTS_MAX 32U       /* reports being sent at once */
#define COORDINATOR_UPLOAD_IDLE_MS 600000 /* an upload without a message for so long is dropped */

struct coordinator_options {
    const char *state;     /* folder: store.db, packages/, curve.key */
    const char *relay_key; /* private mode: file with the admitted relay's public key; NULL: relays
                              are told apart by certificates */
    const char *control;   /* endpoint, ipc:// */
    mode_t control_mode;   /* of that socket; 0: 0600 */
    gid_t control_group;   /* of that socket; (gid_t)-1: unchanged */
    const char *relays;    /* endpoint */
    const char *packages;  /* endpoint */
    const char *dns;       /* servers instead of resolv.conf's, as dns_open's; NULL */
    uint32_t lease_ms;     /* see model/message.h */
    uint32_t heartbeat_ms;
    uint64_t disk_reserve; /* bytes held back on the state folder's disk */
    bool restored;         /* store.db is an old copy */
};

/* A message that waits for the commit. */
struct outgoing {
    struct link_server *link;
    struct link_peer peer;
    uint8_t *bytes; /* owned */
    size_t size;
};

/* A push that is being uploaded. */
struct upload {
    bool used;
    struct push_id push;
    uint64_t key;             /* in the store */
    uint32_t target_count;    /* announced */
    uint32_t received;        /* names so far */
    struct merkle_tree *tree; /* over them */
    uint64_t touched_ms;      /* last message */
};

/* A package that is being uploaded. */
struct offer {
    bool used;
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t bytes;
    uint64_t touched_ms; /* last message */
};

/* A package that is read through in another thread; see control_package.c. */
struct package_check;

/* A report being sent. */
struct report_task {
    bool used;
    struct link_peer peer;
    uint32_t request;
    uint64_t key;
    enum push_state state; /* when the report began */
    struct report_filter filter;
    struct store_page page; /* rows owned while one page waits to be taken */
    bool waiting;           /* that page is not sent yet */
    bool end_due;           /* only REPORT_END is left */
    uint64_t progressed_ms; /* when the asker last took something */
};

/* The push that was counted last. */
struct parts_cache {
    uint64_t key;
    struct push_part *parts; /* owned; NULL: none was counted */
    uint32_t part_count;
    uint64_t counted_ms; /* boot time */
    uint32_t cost_ms;    /* what counting took */
};

struct book_entry {
    uint64_t key;
    struct merkle_tree *tree; /* owned */
};

struct coordinator {
    struct coordinator_options options;
    uv_loop_t *loop;
    int lock_fd;
    int exit_status;
    uint64_t started_ms; /* boot time */
    bool stopping;
    struct key_pair curve;
    struct reserve *reserve; /* of the state folder's disk */
    struct store *store;
    uint64_t restored_key; /* pushes up to this one come from an old copy of the store; 0: none */
    struct dispatch *core;
    struct permits *permits;
    struct dispatch_effects effects;
    struct package_store *packages;
    struct package_server *package_server;
    struct link_server *control_link;
    struct link_server *relay_link;
    struct link_server *package_link;
    uv_timer_t core_timer;   /* ARM_TIMER */
    uv_timer_t lazy_timer;   /* commits an upload's writes */
    uv_timer_t sweep_timer;  /* drops idle uploads */
    uv_timer_t report_timer; /* goes on with reports */
    uv_prepare_t turn;       /* before the loop waits: commit, send */
    uv_signal_t signals[2];  /* SIGTERM, SIGINT */
    bool commit_due;         /* this turn's writes must be durable before its messages */
    struct outgoing *outbox;
    size_t outbox_count;
    size_t outbox_capacity;
    size_t outbox_bytes;
    struct relay_slot *relays; /* by number; owned by relays.c */
    uint16_t relay_count;
    struct trust trust;
    struct routing routing;
    uint16_t site; /* number of COORDINATOR_SITE */
    struct upload uploads[COORDINATOR_UPLOADS_MAX];
    struct offer offers[COORDINATOR_UPLOADS_MAX];
    struct package_check *checks[COORDINATOR_CHECKS_MAX];
    struct report_task reports[COORDINATOR_REPORTS_MAX];
    struct parts_cache parts;
    struct book_entry *book; /* open pushes whose tree is in memory */
    uint32_t book_count;
};

/* shell.c: runs until SIGTERM or SIGINT. Returns 0, or -1 when it could not start or had to end. */
int coordinator_run(const struct coordinator_options *options, struct err *err);

uint64_t clock_boottime_ms(void);
uint64_t clock_unix_ms(void);
/* Gives an event to the core and carries out what it wants. Fills in the times. */
void shell_step(struct coordinator *c, struct dispatch_event *event);
/* Encodes and queues a message for after the commit. */
void shell_send(struct coordinator *c, struct link_server *link, const struct link_peer *peer,
                const struct message *message);
/* Logs, and ends the loop with failure. */
void shell_fail(struct coordinator *c, const struct err *err);
/* After a failed store call: ends the process if the store is done for. */
void shell_store_failed(struct coordinator *c, const struct err *err);
/* The signed job that the store has for a push, decoded. */
int shell_stored_job(struct coordinator *c, uint64_t key, struct job *job, struct err *err);
#define SHELL_TIME_SIZE 32
/* When what the job schedules starts at the latest, as text; NULL when nothing bounds it. */
const char *shell_start_until(const struct job *job, char text[SHELL_TIME_SIZE]);
/* Keys of a kind, at most `max` of them, to be freed; NULL on failure. */
uint64_t *shell_push_keys(struct coordinator *c, enum store_which which, uint32_t max,
                          uint32_t *count, struct err *err);
/* Everything that the store knows, at the start. */
int shell_recover(struct coordinator *c, struct err *err);
/* Tells the core of a push that the store has. */
int shell_open_push(struct coordinator *c, uint64_t key, struct err *err);

/* book.c: the tree over a push's targets, made from the store when it is not there. */
struct merkle_tree *book_tree(struct coordinator *c, uint64_t key, struct err *err);
/* Takes a tree that is there already. */
void book_put_take(struct coordinator *c, uint64_t key, struct merkle_tree *tree);
void book_drop(struct coordinator *c, uint64_t key);
void book_release(struct coordinator *c);

/* relay_link.c */
/* On the relay link also the keys of tokens, for ENROLL alone. */
bool relay_link_admit(void *context, const uint8_t key[LIMIT_KEY_BYTES]);
bool package_link_admit(void *context, const uint8_t key[LIMIT_KEY_BYTES]);
void relay_link_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                         size_t size);
/* Carries out a SEND effect. */
void relay_link_send(struct coordinator *c, const struct dispatch_effect *effect);

/* control.c */
void control_received(void *context, const struct link_peer *peer, const uint8_t *bytes,
                      size_t size);
void control_ok(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                bool existing);
void control_fail(struct coordinator *c, const struct link_peer *peer, uint32_t request,
                  const struct err *err);
/* The summary with what relays hold shown as running. */
int control_summary(struct coordinator *c, uint64_t key, struct push_summary *out, struct err *err);

/* control_package.c: what is uploaded, listed, removed, read through again */
void control_package_offer(struct coordinator *c, const struct link_peer *peer,
                           const struct message *message);
void control_package_data(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message);
void control_packages_get(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message);
void control_package_rm(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message);
void control_package_verify(struct coordinator *c, const struct link_peer *peer,
                            const struct message *message);
/* Gives up what is being read; the loop turns until it is. */
void control_package_release(struct coordinator *c);

/* control_push.c */
void control_push_begin(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message);
void control_push_targets(struct coordinator *c, const struct link_peer *peer,
                          const struct message *message);
void control_push_commit(struct coordinator *c, const struct link_peer *peer,
                         const struct message *message);
void control_push_stop(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message);
/* Whether the package is here, whole. */
int control_check_package(struct coordinator *c, const struct job *job, struct err *err);
/* control_retry.c: a verified job that is another generation of this push. */
int control_push_retry(struct coordinator *c, uint64_t key, const struct message_push_commit *said,
                       const struct job *job, const struct store_push *push, struct err *err);
/* Drops uploads that nobody goes on with. */
void control_push_sweep(struct coordinator *c);
void control_push_release(struct coordinator *c);

/* control_parts.c */
void control_parts_get(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message);
void control_parts_release(struct coordinator *c);

/* control_job.c */
void control_job_get(struct coordinator *c, const struct link_peer *peer,
                     const struct message *message);

/* control_report.c */
void control_report_get(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message);
void control_report_release(struct coordinator *c);

#endif
