/* What an enrolled relay was told and has checked: who it is, where its coordinator is, the newest
 * policy and its certificate. Kept in the state folder, each file replaced as a whole:
 *
 *   enrolled            name, site and endpoints, as text
 *   policy.signed       the newest policy, as an operator signed it
 *   certificate.signed  the newest certificate; missing until an operator has approved the relay
 *
 * A new policy or certificate is verified, made durable, and only then counts. What was taken once
 * stays good although its signer has left the operators since; what is taken now must be signed by
 * an operator of the policy that counts.
 */
#ifndef PUSHER_RELAY_ENROLMENT_H
#define PUSHER_RELAY_ENROLMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"
#include "common/signed/fingerprint.h"
#include "relay/state.h"

struct enrolment {
    char name[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE];
    char coordinator[LIMIT_ENDPOINT_SIZE]; /* of the relay link */
    char packages[LIMIT_ENDPOINT_SIZE];    /* of the package link */
    struct policy policy;
    struct certificate certificate; /* serial 0: none yet */
};

enum enrolment_news {
    ENROLMENT_NOTHING_NEW, /* had it, or a newer one */
    ENROLMENT_POLICY,
    ENROLMENT_CERTIFICATE,
};

/* Whether the folder was enrolled, well or badly. */
bool enrolment_exists(const char *folder);
/* Errors: ERR_NOT_FOUND (not enrolled), ERR_DENIED (files that others may read or write),
 * ERR_INVALID (damaged, or for other keys than the folder's: the text names the remedy), ERR_IO. */
int enrolment_load(struct enrolment *enrolment, const struct relay_state *state, struct err *err);
/* Writes `enrolled` and policy.signed; no certificate stays. Errors: ERR_IO, ERR_NO_SPACE. */
int enrolment_save(const struct enrolment *enrolment, const char *folder, const uint8_t *policy,
                   size_t policy_size, struct err *err);
/* The folder isn't enrolled any more; durable when it returns. Errors: ERR_IO. */
int enrolment_clear(const char *folder, struct err *err);
void enrolment_release(struct enrolment *enrolment);

/* Verifies, keeps and applies an object that came over the link. Errors: ERR_DENIED, ERR_PROTOCOL
 * (it is not for us, and nothing changed), ERR_UNAVAILABLE (a policy between ours and this one is
 * missing); ERR_IO, ERR_NO_SPACE (it could not be kept: the old one goes on counting). */
int enrolment_take(struct enrolment *enrolment, const struct relay_state *state,
                   const uint8_t *bytes, size_t size, enum enrolment_news *news, struct err *err);

/* What the operator compares before he approves the relay. */
void enrolment_fingerprint(const struct enrolment *enrolment, const struct relay_state *state,
                           char text[FINGERPRINT_TEXT_SIZE]);

/* Why the certificate lets nothing be done now, under this policy; NULL when it does. */
const char *certificate_flaw(const struct certificate *certificate, const struct policy *policy,
                             int64_t now_unix_s);

#endif
