/* Which sites a push concerns, and the relays there that it may be sealed to.
 *
 * Used by the commands that sign for a configured coordinator. What the coordinator says of sites,
 * routes and standings is taken for a hint: a password is sealed only to keys that stand in a
 * certificate which an operator of the policy signed and which is in force now.
 */
#ifndef PUSHER_CLI_SITES_H
#define PUSHER_CLI_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/limits.h"
#include "common/model/signed_objects.h"
#include "coordinator/cli/session.h"

/* With more targets, or names among them, nobody asks where each would go. */
#define ROUTES_ASKED_MAX 4096U

struct site_share {
    char name[LIMIT_SITE_NAME_SIZE];
    uint32_t target_count; /* when routes are known */
    uint32_t live_count;   /* relays that answer now */
    uint32_t relay_count;  /* active and draining ones */
};

/* Zeroed, then filled. */
struct site_shares {
    struct site_share *rows; /* owned */
    uint32_t count;
    bool routed;      /* where each target goes is known: only sites that get some are here */
    uint32_t nowhere; /* then: targets that no site takes, and those on the never-touch list */
};

void site_shares_release(struct site_shares *shares);
/* The site that --site names, those that the targets' addresses belong to, or all. Errors:
 * ERR_NOT_FOUND when there is no such site, or none at all, with the remedy; as session_call. */
int site_shares_find(struct site_shares *shares, struct session *session, const char *site,
                     char **names, uint32_t name_count, struct err *err);
/* Counts one more target of a site; what no site takes is counted as nowhere. */
void site_shares_count(struct site_shares *shares, const char *site);
/* After the last: leaves the sites that got some. */
void site_shares_settle(struct site_shares *shares);
/* "lyon 400, paris 12, 3 nowhere", cut when it is too long. Returns `text`. */
char *site_shares_text(const struct site_shares *shares, char *text, size_t size);

/* A relay that something can be sealed to. */
struct recipient {
    char relay[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE];
    uint8_t seal_key[LIMIT_KEY_BYTES];
    uint64_t serial; /* of the certificate that says so */
};

struct recipients {
    struct recipient *rows; /* owned */
    uint32_t count;
};

void recipients_release(struct recipients *recipients);
/* The active relays of these sites. now_unix_s decides which certificates are in force. Errors:
 * ERR_NOT_FOUND when no site has any, with the remedy; as session_call. */
int recipients_find(struct recipients *recipients, struct session *session,
                    const struct policy *policy, const struct site_shares *shares,
                    int64_t now_unix_s, struct err *err);
/* Whether each of the sites has a stored account that some relay of `recipients` can open. Errors:
 * ERR_NOT_FOUND naming those that don't; as session_call. */
int recipients_check_stored(const struct recipients *recipients, struct session *session,
                            const struct policy *policy, const struct site_shares *shares,
                            struct err *err);

#endif
