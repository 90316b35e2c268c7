/* The coordinator's memory: pushes, their targets' rows, relays, how far leases reached.
 *
 * Called by the coordinator's shell alone, from one thread. Every report is a fold over this store.
 * Today's back end is SQLite (store_open); another one implements this header and passes the same
 * conformance test.
 *
 * Writes collect in one transaction, opened by the first of them and ended by store_commit: what a
 * loop turn persists is durable together. Reads see the writes before them, committed or not.
 * After a failed write or commit nothing of the open transaction counts any more and the store
 * refuses everything but store_close (never retry an fsync): the process ends and starts again.
 * Errors on that way: ERR_NO_SPACE (disk full), ERR_IO (anything else; the text says how to go on).
 * Functions name only what they add to these.
 *
 * A push's key is the store's own number for it, rising. Sites and relays are small dense numbers,
 * in the order they were first seen. Target numbers are the operator's order, dense from 0.
 */
#ifndef PUSHER_COORDINATOR_STORE_STORE_H
#define PUSHER_COORDINATOR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/id.h"
#include "common/model/message.h"

#define STORE_RELAY_NONE UINT16_MAX
#define STORE_SITE_NONE UINT16_MAX /* of a target: not known, or none */

struct store;

/* Opens the file, or makes it when nothing is there. A file that is damaged, empty, of another
 * program or of a newer version is refused and left alone. Errors: ERR_INVALID (damaged, foreign,
 * newer; the text says how to go on), ERR_DENIED (not readable or writable), ERR_IO, ERR_NO_SPACE.
 */
int store_open(struct store **out, const char *path, struct err *err);
/* Gives up what was not committed. NULL is fine. */
void store_close(struct store *store);
/* Makes all writes since the last call durable. Without writes: nothing. */
int store_commit(struct store *store, struct err *err);
/* Whether there are writes that are not committed. */
bool store_dirty(const struct store *store);
/* Whether a write failed: end the process. */
bool store_failed(const struct store *store);

/* ---- sites and relays ---- */

/* The number of a site, given on first sight. */
int store_site(struct store *store, const char *name, uint16_t *site, struct err *err);

/* A site as an admin describes it. */
struct store_site {
    uint16_t no;
    struct site site; /* owned; relay_count and live_count are 0 */
};

/* Describes a site, in place of what was said of it before. */
int store_site_put(struct store *store, const struct site *site, uint16_t *no, struct err *err);
/* Takes the description away, with tokens and credentials for it. The name keeps its number: rows
 * name it. Errors: ERR_NOT_FOUND. */
int store_site_rm(struct store *store, const char *name, struct err *err);
/* The number of a site that is described. Errors: ERR_NOT_FOUND. */
int store_site_find(struct store *store, const char *name, uint16_t *no, struct err *err);
/* All that are described, in the order of names; for store_sites_free. */
int store_sites(struct store *store, struct store_site **sites, uint32_t *count, struct err *err);
void store_sites_free(struct store_site *sites, uint32_t count);

/* Who would miss a site. */
struct store_site_use {
    uint32_t relay_count; /* that aren't revoked */
    uint32_t push_count;  /* open, with rows there that aren't settled; all that are being routed */
};

int store_site_use(struct store *store, uint16_t site, struct store_site_use *use, struct err *err);

struct store_relay {
    uint16_t relay;                       /* number */
    uint16_t site;                        /* number */
    uint8_t key[LIMIT_KEY_BYTES];         /* CURVE public key: who it is */
    uint8_t seal_key[LIMIT_KEY_BYTES];    /* zeroes until its first HELLO */
    char name[LIMIT_SITE_NAME_SIZE];      /* "" until its first HELLO */
    char site_name[LIMIT_SITE_NAME_SIZE]; /* of `site`; filled by the store */
    uint64_t epoch;                       /* newest given out; 0: none */
    enum relay_standing standing;         /* store_relay's: active */
    uint64_t serial;                      /* of its certificate; 0: none */
    int64_t until_unix_s;                 /* so long that one is good */
};

/* The relay of this key, given a number on first sight; its site is set to `site`. */
int store_relay(struct store *store, const uint8_t key[LIMIT_KEY_BYTES], uint16_t site,
                struct store_relay *out, struct err *err);
/* What its HELLO said of it. */
int store_relay_said(struct store *store, uint16_t relay, const char *name,
                     const uint8_t seal_key[LIMIT_KEY_BYTES], struct err *err);
int store_relay_epoch(struct store *store, uint16_t relay, uint64_t epoch, struct err *err);
/* How many relays and sites there are: their numbers are below. */
int store_relay_count(struct store *store, uint16_t *count, struct err *err);
/* Errors: ERR_NOT_FOUND. */
int store_relay_get(struct store *store, uint16_t relay, struct store_relay *out, struct err *err);

/* ---- trust ---- */

/* A key that may be used once to enrol a relay of a site. */
struct store_token {
    uint8_t key[LIMIT_KEY_BYTES];
    uint16_t site;
    char site_name[LIMIT_SITE_NAME_SIZE]; /* of `site`; filled by the store */
    uint64_t expires_unix_ms;
};

/* Overwrites one of the same key. */
int store_token_put(struct store *store, const struct store_token *token, struct err *err);
/* Missing is fine. */
int store_token_drop(struct store *store, const uint8_t key[LIMIT_KEY_BYTES], struct err *err);
/* Up to `max`, those that expire last first. */
int store_token_list(struct store *store, struct store_token *out, uint32_t max, uint32_t *count,
                     struct err *err);

/* Adds a pending relay: `relay` says its site, key, seal key and name; its number is filled in. The
 * caller has seen that the key is new. */
int store_relay_add(struct store *store, struct store_relay *relay, struct err *err);
int store_relay_standing(struct store *store, uint16_t relay, enum relay_standing standing,
                         struct err *err);
/* Its signed certificate; overwrites. */
int store_certificate_put(struct store *store, uint16_t relay, uint64_t serial,
                          int64_t until_unix_s, const uint8_t *bytes, size_t size, struct err *err);
/* Appends it. Errors: ERR_NOT_FOUND. */
int store_certificate_get(struct store *store, uint16_t relay, struct buf *out, struct err *err);

/* Signed policies are kept for ever. */
int store_policy_put(struct store *store, uint64_t version, const uint8_t *bytes, size_t size,
                     struct err *err);
/* The newest one's version; 0: there is none. */
int store_policy_newest(struct store *store, uint64_t *version, struct err *err);
/* Appends one. Errors: ERR_NOT_FOUND. */
int store_policy_get(struct store *store, uint64_t version, struct buf *out, struct err *err);

/* An account of a site, sealed to one of its relays. */
struct store_site_credential {
    uint16_t site;
    uint16_t relay;
    uint64_t counter;
    const char *account; /* for people */
    uint64_t set_unix_ms;
    const uint8_t *bytes; /* the signed object */
    size_t size;
};

/* Overwrites what this relay had for this site. */
int store_site_credential_put(struct store *store, const struct store_site_credential *credential,
                              struct err *err);
/* Appends it, unless `out` is NULL. `counter` may be NULL. Errors: ERR_NOT_FOUND. */
int store_site_credential_get(struct store *store, uint16_t site, uint16_t relay, uint64_t *counter,
                              struct buf *out, struct err *err);
/* Drops the site's, of all relays; *count says how many there were. */
int store_site_credential_drop(struct store *store, uint16_t site, uint32_t *count,
                               struct err *err);
/* The account of one push, sealed to one relay; overwrites. Closing the push, or throwing the
 * upload away, drops it. */
int store_push_credential_put(struct store *store, uint64_t key, uint16_t relay,
                              const uint8_t *bytes, size_t size, struct err *err);
/* Appends it. Errors: ERR_NOT_FOUND. */
int store_push_credential_get(struct store *store, uint64_t key, uint16_t relay, struct buf *out,
                              struct err *err);
/* Drops those of a push: before a resume brings others. */
int store_push_credential_drop(struct store *store, uint64_t key, struct err *err);
/* Calls `each` for every relay that has a credential of this push, or, with key 0, of its site. */
int store_credential_each(struct store *store, uint64_t key,
                          void (*each)(void *context, uint16_t relay), void *context,
                          struct err *err);
/* ---- packages ---- */

/* What a package is called; its bytes lie in files. One that is known takes the new name. Of the
 * row digest, name, bytes, directory and added_unix_ms count; the time stays the first one. */
int store_package_put(struct store *store, const struct package_row *row, struct err *err);
/* All of the row but `stored`. Errors: ERR_NOT_FOUND. */
int store_package_get(struct store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                      struct package_row *row, struct err *err);
/* Newest first, up to `max`; so filled. */
int store_package_list(struct store *store, struct package_row *rows, uint32_t max, uint32_t *count,
                       struct err *err);
/* Missing is fine. */
int store_package_drop(struct store *store, const uint8_t digest[LIMIT_DIGEST_BYTES],
                       struct err *err);

/* ---- a push, from upload to its end ---- */

/* Begins an upload: a push that nobody sees until store_push_commit. An upload of the same id that
 * was not committed is thrown away. Errors: ERR_EXISTS when the push is committed. */
int store_upload_begin(struct store *store, const struct push_id *push, uint32_t target_count,
                       uint64_t *key, struct err *err);
/* Adds names from target number first_no on; all in `site` (STORE_SITE_NONE: see routing). */
int store_upload_targets(struct store *store, uint64_t key, uint16_t site, uint32_t first_no,
                         char *const *names, uint32_t name_count, struct err *err);
/* Throws an upload away. Committed pushes are left alone. */
int store_upload_drop(struct store *store, uint64_t key, struct err *err);
/* ... all of them: at start. */
int store_upload_sweep(struct store *store, struct err *err);

/* What a commit brings, and a resume replaces (then only what the new job says). */
struct store_push {
    struct push_id push;
    uint32_t generation;
    const char *package_name;
    uint64_t package_bytes;
    const uint8_t *package_digest; /* LIMIT_DIGEST_BYTES */
    int64_t not_after_unix_s;
    const uint8_t *operator_key; /* LIMIT_KEY_BYTES */
    const char *account;         /* who asked */
    uint64_t created_unix_ms;
    const uint8_t *signed_job;
    size_t signed_job_size;
    const uint8_t *sealed_credential;
    size_t sealed_credential_size;
    uint32_t fail_stop_count; /* as MESSAGE_PUSH_COMMIT's; resume: 0 leaves it alone */
    bool wait;                /* these four: resume leaves them alone */
    enum job_action action;
    const struct push_id *of_push; /* NULL: none */
    enum run_as run_as;
    bool routing;            /* these three: a resume leaves them alone; targets have no site yet */
    const char *site;        /* that the operator names; NULL: by routing */
    uint64_t policy_version; /* of the job */
};

/* Makes the upload a push in state PUSH_OPEN (PUSH_ROUTING: `routing`), every target queued. */
int store_push_commit(struct store *store, uint64_t key, const struct store_push *push,
                      struct err *err);
/* Fails, with PACKAGE_IN_USE, the targets of a freshly committed push that an open push still needs
 * another package of the same file name on. What cleans up after a push and what brings a file of
 * that name, be it the same one, are never open together on a target. Compares target names without
 * case. */
int store_push_refuse_in_use(struct store *store, uint64_t key, struct err *err);
/* Puts the newly signed job in place of the old one; the push is PUSH_OPEN again. */
int store_push_resume(struct store *store, uint64_t key, const struct store_push *push,
                      struct err *err);
/* Which rows a retry is for. */
struct store_retry {
    uint32_t states;    /* bits 1 << enum target_state */
    enum reason reason; /* REASON_NONE: any */
};

/* Calls `each` for every row that fits, in ascending order. `each` returns 0 to go on. */
int store_retry_each(struct store *store, uint64_t key, const struct store_retry *which,
                     int (*each)(void *context, uint32_t target_no), void *context,
                     struct err *err);
/* A closed push is open again, or routed again (`routing`: without sites), under the new job's
 * generation: rows that fit are queued as if never tried, and of that generation; the others stay.
 * How far leases reached is forgotten. Errors: ERR_NOT_FOUND: the push isn't closed. */
int store_push_retry(struct store *store, uint64_t key, const struct store_push *push,
                     const struct store_retry *which, struct err *err);
/* PUSH_CLOSED drops the sealed credential and notes the time. */
int store_push_state(struct store *store, uint64_t key, enum push_state state, uint64_t now_unix_ms,
                     struct err *err);
/* Records a row; what stood there is overwritten. */
int store_outcome(struct store *store, uint64_t key, uint32_t target_no, uint16_t relay,
                  const struct outcome *outcome, struct err *err);
/* The failure in an unknown_effect row counts: its state becomes that of its reason, and `ending`
 * goes from its detail. Other rows are left alone. */
int store_outcome_certain(struct store *store, uint64_t key, uint32_t target_no, const char *ending,
                          struct err *err);
/* What the package printed, 1 to LIMIT_OUTPUT_BYTES bytes; belongs to the row. */
int store_output(struct store *store, uint64_t key, uint32_t target_no, const uint8_t *output,
                 size_t output_size, struct err *err);
/* How far a relay's leases reach; overwrites. */
struct store_lease {
    uint16_t relay;
    uint32_t mark;
    uint32_t attempt_max;
};

int store_lease(struct store *store, uint64_t key, const struct store_lease *lease,
                struct err *err);

/* ---- routing ---- */

/* A target without a site. */
struct store_unrouted {
    uint32_t target_no;
    enum target_state state; /* not queued: settled before it was routed */
    char *name;              /* to be freed */
};

/* Up to row_max of them, from number first_no on. */
int store_unrouted(struct store *store, uint64_t key, uint32_t first_no,
                   struct store_unrouted *rows, uint32_t row_max, uint32_t *row_count,
                   struct err *err);
/* Whether a queued target has no site. */
int store_is_unrouted(struct store *store, uint64_t key, bool *unrouted, struct err *err);
/* Gives those of the `target_count` targets from first_no on that have none a site. */
int store_target_site(struct store *store, uint64_t key, uint32_t first_no, uint32_t target_count,
                      uint16_t site, struct err *err);
/* The site that the operator named for the push; "" when none. Errors: ERR_NOT_FOUND. */
int store_push_site(struct store *store, uint64_t key, char site[LIMIT_SITE_NAME_SIZE],
                    struct err *err);

/* ---- looking ---- */

/* The push of this id, committed. Errors: ERR_NOT_FOUND. */
int store_find_id(struct store *store, const struct push_id *push, uint64_t *key, struct err *err);
/* The one push whose id begins so, or the newest. Errors: ERR_NOT_FOUND; ERR_INVALID when several
 * begin so, or the prefix is no hexadecimal number. */
int store_find(struct store *store, const struct push_selector *selector, uint64_t *key,
               struct err *err);
/* The summary with its totals. No row is touched, however many targets. Errors: ERR_NOT_FOUND. */
int store_summary(struct store *store, uint64_t key, struct push_summary *out, struct err *err);
/* Newest first, up to `max`; *count says how many. */
int store_list(struct store *store, struct push_summary *out, uint32_t max, uint32_t *count,
               struct err *err);
/* Appends the signed job and the sealed credential; either buffer may be NULL. Errors:
 * ERR_NOT_FOUND. */
int store_push_blobs(struct store *store, uint64_t key, struct buf *signed_job,
                     struct buf *sealed_credential, struct err *err);
/* The name of one target, to be freed. Errors: ERR_NOT_FOUND. */
int store_target_name(struct store *store, uint64_t key, uint32_t target_no, char **name,
                      struct err *err);
/* Calls `each` for every target in ascending order. `each` returns 0 to go on. */
int store_target_each(struct store *store, uint64_t key,
                      int (*each)(void *context, uint32_t target_no, const char *name,
                                  uint16_t site, enum target_state state),
                      void *context, struct err *err);

/* ... for every unknown_effect row whose detail ends so. `counts_as`: the state that its reason
 * gives it once it is certain. */
int store_doubted_each(struct store *store, uint64_t key, const char *ending,
                       int (*each)(void *context, uint32_t target_no, enum target_state counts_as),
                       void *context, struct err *err);
/* ... for every row of an older generation than the push's. */
int store_old_each(struct store *store, uint64_t key,
                   int (*each)(void *context, uint32_t target_no), void *context, struct err *err);

/* A push's rows counted by site and relay, in the order of their names; *parts is to be freed. Goes
 * through all rows: for a million of them that takes a third of a second. */
int store_parts(struct store *store, uint64_t key, struct push_part **parts, uint32_t *part_count,
                struct err *err);

/* Rows that fit, in ascending target number, a page at a time. */
struct store_page {
    uint32_t next_no;        /* in: where to begin; out: where to go on */
    struct report_row *rows; /* caller's room; each row's `target` and `output` are to be freed */
    uint32_t row_max;        /* room */
    uint32_t row_count;      /* out */
    bool end;                /* out: nothing follows */
};

/* Looks at a bounded number of targets per call, so a page may be empty before the end. The
 * filter's push selector is not used. Output comes when the filter names a target and asks for it,
 * as much of it in one page as a message holds. Rows that no relay has reported say relay "-",
 * those without a site say site "-". */
int store_report(struct store *store, uint64_t key, const struct report_filter *filter,
                 struct store_page *page, struct err *err);

/* Pushes for a restart: which = open, routing, stopped or cancelling, or closed while some row is
 * unknown_effect (newest 64), or closed and done (newest 64). Up to `max` keys, ascending. */
enum store_which { STORE_PUSHES_OPEN, STORE_PUSHES_UNKNOWN, STORE_PUSHES_CLOSED };

int store_push_keys(struct store *store, enum store_which which, uint64_t *keys, uint32_t max,
                    uint32_t *count, struct err *err);
/* What a restart needs beside the summary: deadline, threshold, lease history (`leases` is to be
 * freed). */
struct store_recovery {
    int64_t not_after_unix_s;
    uint32_t target_count;
    uint32_t fail_stop_count;
    struct store_lease *leases;
    uint32_t lease_count;
};

int store_recovery(struct store *store, uint64_t key, struct store_recovery *out, struct err *err);

#endif
