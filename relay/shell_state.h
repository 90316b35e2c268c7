/* What the shell's own files share. Nobody else includes this.
 *
 * shell.c: start, loop, end; shell_effects.c: carrying effects out; shell_links.c: the links to the
 * coordinator; shell_messages.c: what comes over them; shell_jobs.c: jobs between trust, runner,
 * cache and core; shell_packages.c: packages; shell_trust.c: policy, certificate and peers of an
 * enrolled relay.
 */
#ifndef PUSHER_RELAY_SHELL_STATE_H
#define PUSHER_RELAY_SHELL_STATE_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/reserve.h"
#include "common/net/link.h"
#include "common/pkg/store.h"
#include "relay/cache.h"
#include "relay/core/agent.h"
#include "relay/enrolment.h"
#include "relay/peers.h"
#include "relay/shell.h"
#include "relay/spool.h"
#include "relay/stage/stage.h"

/* An accepted job, as long as the core names it. */
struct shell_job {
    bool used;
    uint32_t job_no; /* the stage runner's */
    struct push_id push;
    uint32_t generation;
    uint64_t counter;
    uint8_t package_digest[LIMIT_DIGEST_BYTES];
    uint64_t package_bytes;
    bool packageless; /* a clean-up */
    uint8_t targets_root[LIMIT_DIGEST_BYTES];
    uint32_t target_count;
    uint8_t signer[LIMIT_KEY_BYTES];
};

enum deferred_kind {
    DEFERRED_SEND,
    DEFERRED_RUN,
    DEFERRED_LOGON,
    DEFERRED_DROP,
    DEFERRED_FETCH,
    DEFERRED_REMOVE_JOB,
    DEFERRED_FINISH,
};

/* An effect that waits for the commit. */
struct deferred {
    enum deferred_kind kind;
    uint8_t *bytes; /* SEND: owned */
    size_t size;
    uint64_t key;    /* RUN, LOGON, DROP */
    uint32_t job_no; /* RUN, FETCH, REMOVE_JOB */
    enum stage stage;
    bool read_back;
    bool look_only;
    bool await;
    bool hold_logon;
    char *target; /* RUN: owned */
};

struct deferred_list {
    struct deferred *items;
    size_t count, capacity;
};

struct shell {
    const struct shell_config *config;
    uv_loop_t loop;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_timer_t agent_timer, cache_timer, disk_timer;
    uv_signal_t sigterm, sigint;
    bool handles_open; /* the above were initialised */
    bool net_started;

    struct agent *agent;
    struct agent_effects effects;
    struct deferred_list waiting; /* for the commit, in order */
    bool flushing;
    bool urgent;           /* the journal holds what must be durable before anything goes on */
    uint64_t committed_ms; /* last commit */
    struct spool *spool;
    struct reserve *reserve; /* of the state folder's disk */
    bool disk_full;          /* as the core was told */
    struct package_store *store;
    struct cache *cache;
    struct stage_runner *runner;
    struct link_client *relay_link, *package_link;
    uint32_t relay_key_no, package_key_no; /* of the policy's coordinator keys: dialled with */
    bool connected;                        /* the relay link is */
    bool refusal_told;                     /* since it was */
    uint64_t heard_ms;                     /* last message over it, or when it came up */

    struct peers peers;                /* of the site; enrolled only */
    struct link_server *peer_server;   /* they fetch packages here; NULL: nowhere */
    struct link_client *peer_link;     /* to the one that a package is fetched from; or NULL */
    uint8_t peer_key[LIMIT_KEY_BYTES]; /* whose that is */
    uint64_t served_bytes;             /* to peers */
    uv_timer_t trust_timer; /* enrolled only: looks at the certificate's times, at silence */
    bool halted;            /* no certificate that is valid now: nothing is worked on */
    bool asking;            /* something is missing: HELLO asks for it ... */
    uint64_t asked_ms;      /* ... again a while after this one */

    struct shell_job *jobs;
    uint32_t job_count;

    uint32_t lapses; /* of the core, as logged last */
    bool stopping;   /* a first signal came */
    bool finished;   /* clean end: the core said FINISHED */
    bool failed;     /* nothing more may be carried out */
    struct err failure;
};

uint64_t shell_now_ms(void);
uint64_t shell_now_unix_ms(void);
/* Ends the process as soon as the loop gets to it; nothing that waits is carried out. */
void shell_fail(struct shell *shell, const struct err *why);

/* shell_effects.c */
/* Gives the event to the core, with the time, and takes its effects. */
void shell_step(struct shell *shell, struct agent_event *event);
/* Commits, then carries out what waited for it. */
void shell_flush(struct shell *shell);
void deferred_release(struct deferred_list *list);

/* shell_links.c */
int shell_open_links(struct shell *shell, struct err *err);
/* Dials anew: the connection that stands isn't to be used any more. */
void shell_redial(struct shell *shell);

/* shell_trust.c */
/* Before the links are opened. */
void shell_trust_start(struct shell *shell);
/* What HELLO says of policy and certificate. */
void shell_fill_hello(const struct shell *shell, struct message_hello *hello);
void shell_on_object(struct shell *shell, const struct message_object *object);
void shell_on_peer(struct shell *shell, const struct message_peer *peer);
/* Something that the coordinator owes did not come: HELLO makes it send that again. */
void shell_ask_again(struct shell *shell);

/* shell_messages.c */
void shell_relay_received(void *context, const uint8_t *bytes, size_t size);
void shell_package_received(void *context, const uint8_t *bytes, size_t size);
void shell_send_message(struct link_client *link, const struct message *message);
void shell_stage_done(void *context, const struct stage_result *result);
void shell_stage_connected(void *context, uint64_t key);

/* shell_jobs.c */
void shell_on_job(struct shell *shell, const struct message_job *message);
/* The policy has changed: jobs whose signer it doesn't name any more end. */
void shell_distrust_jobs(struct shell *shell);
/* Whether the lease's targets are proven to be the operator's. */
bool shell_lease_proven(struct shell *shell, const struct message_lease *lease);
void shell_fetch(struct shell *shell, uint32_t job_no);
void shell_remove_job(struct shell *shell, uint32_t job_no);
/* The package's path for the runner, when it is whole. Returns whether it is ready. */
bool shell_offer_package(struct shell *shell, const struct shell_job *job, struct err *err);

/* shell_packages.c: what the cache calls */
bool shell_request_chunk(void *context, const uint8_t *peer,
                         const struct message_chunk_request *request);
int shell_make_room(void *context, uint64_t bytes, struct err *err);
/* Whether a job needs it. */
bool shell_package_needed(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES]);
void shell_package_done(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES],
                        const char *failure);
void shell_arm_cache(struct shell *shell);

/* shell_peers.c */
/* Opens the port for peers, if there is to be one. */
int shell_open_peers(struct shell *shell, struct err *err);
void shell_close_peers(struct shell *shell);
/* Asks a peer, dialling it if need be. Returns whether there is such a peer. */
bool shell_request_from_peer(struct shell *shell, const uint8_t *key,
                             const struct message *request);
/* Ends a connection that nothing is expected of any more. */
void shell_drop_idle_peer(struct shell *shell);
void shell_peer_distrusted(void *context, const uint8_t *key,
                           const uint8_t digest[LIMIT_DIGEST_BYTES]);

#endif
