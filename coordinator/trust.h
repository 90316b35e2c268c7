/* The coordinator's side of trust: which relays there are and who is let in, tokens and enrolment,
 * policies, certificates and sealed credentials. Decisions: docs/adr/0011.
 *
 * Part of the shell (coordinator.h): called from its loop, on its thread.
 *   relays.c        the relays in memory, found by key; standing
 *   enrol.c         tokens, ENROLL
 *   trust.c         objects that operators signed: checked, kept, sent to relays
 *   sealed.c        sealed credentials of pushes and sites
 *   control_trust.c the CLI's requests about all of these
 *
 * Private mode (--relay-key) knows one relay by its key, and no policy: nothing of this applies but
 * the table of relays.
 */
#ifndef PUSHER_COORDINATOR_TRUST_H
#define PUSHER_COORDINATOR_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/model/signed_objects.h"
#include "common/net/link.h"
#include "common/signed/objects.h"
#include "coordinator/store/store.h"

#define TRUST_TOKENS_MAX 256U   /* that may be used now */
#define TRUST_TOKEN_S_MAX 3600U /* the longest that one is good for */
#define TRUST_PENDING_MAX 256U  /* relays that nobody approved yet */
#define TRUST_UPLOADS_MAX 16U   /* pushes whose credentials come in now */
#define TRUST_OBJECT_MAX OBJECT_BYTES_MAX

struct coordinator;

/* What the shell knows of a relay beside the core. */
struct relay_slot {
    struct store_relay stored;
    bool admitted;                   /* its key may talk to us */
    bool reachable;                  /* peer is a connection it used */
    struct link_peer peer;           /* the newest */
    bool expired;                    /* the core was told that its certificate is over */
    char serve[LIMIT_ENDPOINT_SIZE]; /* as its HELLO said */
};

struct relay_index_entry {
    uint8_t key[LIMIT_KEY_BYTES];
    uint16_t relay; /* number */
};

/* A token in memory. Both clocks must agree that it is good: neither a changed wall clock nor a
 * restart makes it last longer. */
struct token_slot {
    struct store_token token;
    uint64_t deadline_ms; /* boot time */
    uint16_t used_by;     /* the pending relay; STORE_RELAY_NONE: nobody yet */
};

/* Credentials of a push that is uploaded or about to be signed anew; they are kept when it is
 * committed. */
struct sealed_upload {
    bool used;
    struct push_id push;
    struct sealed_row {
        uint16_t relay;
        uint8_t *bytes; /* owned */
        size_t size;
    } * rows; /* owned */
    uint32_t row_count;
    uint64_t touched_ms;
};

struct trust {
    struct relay_index_entry *index; /* owned; by key, ascending; every relay */
    uint32_t index_count;
    struct token_slot tokens[TRUST_TOKENS_MAX];
    uint32_t token_count;
    uint64_t policy_version; /* the newest; 0: none */
    struct policy policy;    /* that one */
    struct sealed_upload uploads[TRUST_UPLOADS_MAX];
};

/* ---- relays.c ---- */

/* Whether relays are told apart by certificates; else private mode. */
bool trust_has_sites(const struct coordinator *c);
/* At start: every relay of the store, told to the core. Private mode: `private_relay` is the one
 * that is admitted. */
int relays_recover(struct coordinator *c, uint16_t private_relay, struct err *err);
void relays_release(struct coordinator *c);
/* The relay of this key, whatever its standing; NULL: a stranger. Valid until the next
 * relays_add. */
struct relay_slot *relays_find(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES]);
/* ... that is let in. */
struct relay_slot *relays_admitted(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES]);
/* The relay whose credentials are sealed to this key; NULL: none. Revoked and cloned ones don't
 * count. */
struct relay_slot *relays_of_seal_key(struct coordinator *c,
                                      const uint8_t seal_key[LIMIT_KEY_BYTES]);
/* Takes a freshly stored relay in. */
void relays_add(struct coordinator *c, const struct store_relay *stored);
/* Stores a new standing, tells the relays of its site. For what the core said itself. */
int relays_note_standing(struct coordinator *c, uint16_t relay, enum relay_standing standing,
                         struct err *err);
/* ... and tells the core. Not from within its effects. */
int relays_set_standing(struct coordinator *c, uint16_t relay, enum relay_standing standing,
                        struct err *err);
/* Tells the core of certificates that ran out since the last look. */
void relays_sweep(struct coordinator *c);
/* Queues a message to every relay that is let in and was heard of. */
void relays_tell(struct coordinator *c, const struct message *message);

/* ---- enrol.c ---- */

/* At start: tokens that are still good. */
int enrol_recover(struct coordinator *c, struct err *err);
/* Whether the key is one of a token. */
bool enrol_admits(struct coordinator *c, const uint8_t key[LIMIT_KEY_BYTES]);
/* A message on a connection that was made with a token's key. */
void enrol_received(struct coordinator *c, const struct link_peer *peer,
                    const struct message *message);
/* TOKEN_PUT. Errors: ERR_INVALID, ERR_NOT_FOUND no such site, ERR_EXISTS, ERR_LIMIT. */
int enrol_token_put(struct coordinator *c, const struct message_token_put *said, struct err *err);
/* Drops tokens that are over. */
void enrol_sweep(struct coordinator *c);
/* Letters, digits, ". - _", the first a letter or a digit. Errors: ERR_INVALID. */
int enrol_name_check(const char *name, struct err *err);

/* ---- trust.c ---- */

/* At start: the newest policy. */
int trust_recover(struct coordinator *c, struct err *err);
void trust_release(struct coordinator *c);
/* An object from the CLI: checked, kept, sent on. *existing: it was here already. Errors:
 * ERR_PROTOCOL no such object; ERR_DENIED whoever signed it may not; ERR_EXISTS there is a newer
 * one; ERR_NOT_FOUND, ERR_INVALID it doesn't fit. */
int trust_object(struct coordinator *c, const struct message_object *object, bool *existing,
                 struct err *err);
/* What a relay that said HELLO lacks: policies and certificate. To be said before the core's
 * answers: a JOB under a policy that it doesn't have is refused. */
void trust_greet(struct coordinator *c, const struct relay_slot *slot,
                 const struct message_hello *hello);
/* ... after them: the other relays of its site, and it to them. */
void trust_introduce(struct coordinator *c, const struct relay_slot *slot);
/* PEER about a relay to the others of its site: that it is there, or gone. */
void trust_announce(struct coordinator *c, const struct relay_slot *slot);
/* Queues a policy. */
void trust_send_policies(struct coordinator *c, const struct link_peer *peer, uint64_t after);
/* Whether this job may be committed now. Errors: ERR_DENIED its signer may not; ERR_EXISTS it was
 * signed under another policy; ERR_NOT_FOUND there is no policy yet. */
int trust_check_job(const struct coordinator *c, const struct job *job,
                    const uint8_t signer[LIMIT_KEY_BYTES], struct err *err);

/* ---- sealed.c ---- */

/* PUSH_CREDENTIALS. Errors: ERR_NOT_FOUND a relay is not known, ERR_LIMIT, ERR_INVALID. */
int sealed_take(struct coordinator *c, const struct message_push_credentials *said,
                struct err *err);
/* At the commit: keeps those of the push under its key; what was there before goes. */
int sealed_commit(struct coordinator *c, const struct push_id *push, uint64_t key, struct err *err);
/* Whether anybody could work on this push at all. Before the commit. `site`: "" or the one that is
 * asked for. Errors: ERR_NOT_FOUND: nobody; the text says what is missing. */
int sealed_check(struct coordinator *c, const struct job *job, const char *site, struct err *err);
/* Relays that have the account of a push: nobody else is leased its targets. *relays is to be
 * freed; NULL in private mode: every relay. */
int sealed_able(struct coordinator *c, uint64_t key, const struct job *job, uint16_t **relays,
                size_t *count, struct err *err);
/* Appends what goes with JOB to this relay. Errors: ERR_NOT_FOUND. */
int sealed_for(struct coordinator *c, uint64_t key, const struct job *job, uint16_t relay,
               struct buf *out, struct err *err);
/* After a push got other credentials: tells the core who may work on it. */
int sealed_renewed(struct coordinator *c, uint64_t key, const struct job *job, struct err *err);
/* After the relay's site credential came or went: tells the core on which pushes it may work. */
void sealed_changed(struct coordinator *c, uint16_t relay);
/* Drops uploads that nobody goes on with. */
void sealed_sweep(struct coordinator *c);
void sealed_release(struct coordinator *c);

/* ---- control_trust.c ---- */

void control_token_put(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message);
void control_relay_set(struct coordinator *c, const struct link_peer *peer,
                       const struct message *message);
void control_object(struct coordinator *c, const struct link_peer *peer,
                    const struct message *message);
void control_objects_get(struct coordinator *c, const struct link_peer *peer,
                         const struct message *message);
void control_credential_rm(struct coordinator *c, const struct link_peer *peer,
                           const struct message *message);
void control_push_credentials(struct coordinator *c, const struct link_peer *peer,
                              const struct message *message);

#endif
