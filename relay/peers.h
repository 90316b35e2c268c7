/* The other relays of this relay's site: their verified certificates and where they serve packages.
 *
 * The shell puts in what PEER messages bring; whoever fetches from peers, or lets them in, asks
 * here. Nothing a peer or the coordinator says is believed before its certificate was checked: it
 * must be signed by an operator of the relay's policy, name the same site, and be for the key that
 * the message names. Relays whose certificate has expired are known and not let in.
 */
#ifndef PUSHER_RELAY_PEERS_H
#define PUSHER_RELAY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/message.h"
#include "common/model/signed_objects.h"

#define PEERS_MAX 256U /* of one site; more are not remembered */

struct peer {
    uint8_t key[LIMIT_KEY_BYTES];    /* CURVE */
    char name[LIMIT_SITE_NAME_SIZE]; /* as its certificate says, for logs */
    char serve[LIMIT_ENDPOINT_SIZE]; /* "": nothing is to be fetched there */
    uint64_t serial;                 /* of its certificate */
    int64_t not_before_unix_s;
    int64_t not_after_unix_s;
};

struct peers {
    struct peer *items; /* owned */
    uint32_t count;
    /* Called after every change of the list; may be NULL. */
    void (*changed)(void *context);
    void *context;
};

/* Zeroed is fine as well: nobody is known. */
void peers_init(struct peers *peers, void (*changed)(void *context), void *context);
void peers_release(struct peers *peers);

/* Takes a PEER message: adds or replaces that peer; without a certificate, removes it. `own` is
 * this relay's certificate. Errors: ERR_DENIED (signer, site, key, an older certificate than the
 * one known), ERR_PROTOCOL (no certificate), ERR_LIMIT. */
int peers_take(struct peers *peers, const struct message_peer *message, const struct policy *policy,
               const struct certificate *own, struct err *err);
/* Removes those whose certificates the policy revokes. */
void peers_revoke(struct peers *peers, const struct policy *policy);
/* Nobody is known any more: the coordinator tells all again after a HELLO. */
void peers_forget(struct peers *peers);

/* NULL when there is none with this key. Valid until the next change. */
const struct peer *peers_find(const struct peers *peers, const uint8_t key[LIMIT_KEY_BYTES]);
/* Whether this key may fetch packages here now: the `admit` of a link server. */
bool peers_admit(const struct peers *peers, const uint8_t key[LIMIT_KEY_BYTES], int64_t now_unix_s);

#endif
