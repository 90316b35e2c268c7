/* What operators sign beside jobs: the policy, relays' certificates, site credentials.
 *
 * Like a job, each is bytes (wire_encode_*) inside a signed object (trust/signed.h), verified whole
 * before it is decoded, kept and forwarded unchanged, and checked where it is used: by a relay
 * always, by the coordinator and the CLI as well. docs/adr/0011 says why.
 */
#ifndef PUSHER_MODEL_SIGNED_OBJECTS_H
#define PUSHER_MODEL_SIGNED_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/limits.h"
#include "common/model/subnet.h"

/* Who may sign, who the coordinator is, which relays are none any more, what nobody ever touches.
 * Version n + 1 is good when an operator of version n signed it; version 1 is pinned at the first
 * set-up or by a relay's token.
 */
struct policy {
    uint64_t version;                                           /* from 1 */
    int64_t made_unix_s;                                        /* for people */
    uint8_t operators[LIMIT_POLICY_OPERATORS][LIMIT_KEY_BYTES]; /* Ed25519, at least one */
    uint32_t operator_count;
    uint8_t coordinators[LIMIT_POLICY_COORDINATORS][LIMIT_KEY_BYTES]; /* CURVE, at least one: more
                                                                         while its key is rotated */
    uint32_t coordinator_count;
    char **never_names; /* owned; glob patterns over host names, without case: "*", "?" */
    uint32_t never_name_count;
    struct subnet *never_subnets; /* owned */
    uint32_t never_subnet_count;
    uint8_t (*revoked)[LIMIT_KEY_BYTES]; /* owned; CURVE keys of relays whose certificates are void
                                          */
    uint32_t revoked_count;
};

void policy_release(struct policy *policy);
bool policy_has_operator(const struct policy *policy, const uint8_t key[LIMIT_KEY_BYTES]);
/* Whether certificates for this relay's CURVE key are void. */
bool policy_revokes(const struct policy *policy, const uint8_t curve_key[LIMIT_KEY_BYTES]);
/* Whether the name (as the operator gave it), or its first label, fits a pattern; an address given
 * as name is looked up among the subnets. */
bool policy_never_name(const struct policy *policy, const char *name);
bool policy_never_address(const struct policy *policy, const struct subnet_address *address);
/* Glob match without case: "*" any run of characters, "?" any one. At most as many
 * steps as both lengths multiplied. */
bool pattern_fits(const char *pattern, const char *name);

/* Lets a relay work in its subnets until it expires. */
struct certificate {
    char relay[LIMIT_SITE_NAME_SIZE]; /* its name */
    char site[LIMIT_SITE_NAME_SIZE];
    uint8_t curve_key[LIMIT_KEY_BYTES]; /* identity on the links */
    uint8_t seal_key[LIMIT_KEY_BYTES];  /* credentials are sealed to it */
    uint64_t serial;                    /* rises with every certificate of this relay */
    int64_t not_before_unix_s;
    int64_t not_after_unix_s;
    struct subnet *subnets; /* owned; at least one; the addresses it may connect to */
    uint32_t subnet_count;
};

void certificate_release(struct certificate *certificate);
bool certificate_covers(const struct certificate *certificate,
                        const struct subnet_address *address);

/* An account for the targets of a site, sealed to one of its relays. */
struct site_credential {
    char site[LIMIT_SITE_NAME_SIZE];
    uint8_t seal_key[LIMIT_KEY_BYTES]; /* whose it is */
    uint64_t counter;                  /* a relay takes no lower one than it has seen */
    char account[LIMIT_ACCOUNT_SIZE];  /* for people; what counts is inside the box */
    uint8_t *box;                      /* owned; libsodium sealed box of a credential's bytes */
    size_t box_size;
};

void site_credential_release(struct site_credential *credential);

#endif
