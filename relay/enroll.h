/* pusher-relay enroll and status: how a relay becomes one of a coordinator's.
 *
 * Called by main alone. Enrolling dials once with the token's key, tells both keys and the name,
 * and takes the policies: their chain must go through the one that the token's operator signed, and
 * name the coordinator that answered. Nothing may be worked on because of that: the relay waits for
 * the certificate that an operator signs after he compared fingerprints.
 */
#ifndef PUSHER_RELAY_ENROLL_H
#define PUSHER_RELAY_ENROLL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/signed/token.h"

struct enroll_options {
    const char *state;       /* folder; made when it isn't there */
    const char *coordinator; /* endpoint of its relay link */
    const char *packages;    /* endpoint of its package link; NULL: same host, the port it tells */
    const char *name;        /* of this relay */
    bool again;              /* enrolled already: with new keys, anew */
    uint32_t timeout_s;      /* for all of it */
    const struct token *token;
};

/* Prints on standard output what to do next. Errors: ERR_INVALID (name, endpoint), ERR_EXISTS
 * (enrolled already; in use), ERR_DENIED (the coordinator refuses; its policies aren't what the
 * token's operator signed), ERR_TIMEOUT, ERR_IO. */
int enroll_run(const struct enroll_options *options, struct err *err);

/* Prints name, site, fingerprint, certificate and policy on standard output. Errors:
 * enrolment_load's. */
int enroll_status(const char *state, struct err *err);

#endif
