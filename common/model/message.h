/* Every message between Pusher's programs, as plain structs. common/wire turns them into bytes and
 * back; docs/PROTOCOL.md tells who sends what when.
 *
 * A decoded message owns what its pointers point to: free it with message_release. A message that
 * is only encoded may borrow. Counts and text lengths were checked against model/limits.h by the
 * decoder; nothing else was: the receiver treats every value as a stranger's.
 */
#ifndef PUSHER_MODEL_MESSAGE_H
#define PUSHER_MODEL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/id.h"
#include "common/model/job.h"
#include "common/model/limits.h"
#include "common/model/outcome.h"

#define MESSAGE_PROTOCOL_VERSION 1U

enum message_kind {
    MESSAGE_NONE,
    /* relay link: relay -> coordinator */
    MESSAGE_HELLO,
    MESSAGE_HEARTBEAT,
    MESSAGE_RESULTS,
    MESSAGE_ENROLL,
    MESSAGE_PERMIT_GET,
    /* relay link: coordinator -> relay */
    MESSAGE_WELCOME,
    MESSAGE_HEARTBEAT_ACK,
    MESSAGE_JOB,
    MESSAGE_LEASE,
    MESSAGE_RESULTS_ACK,
    MESSAGE_STOP,
    MESSAGE_CLOSE,
    MESSAGE_ENROLLED,
    MESSAGE_PEER,
    MESSAGE_PERMIT,
    /* relay link: coordinator -> relay; control link: both ways */
    MESSAGE_OBJECT,
    /* package link: relay -> coordinator, coordinator -> relay */
    MESSAGE_CHUNK_REQUEST,
    MESSAGE_CHUNK,
    /* control link: CLI -> coordinator */
    MESSAGE_PACKAGE_OFFER,
    MESSAGE_PACKAGE_DATA,
    MESSAGE_PUSH_BEGIN,
    MESSAGE_PUSH_TARGETS,
    MESSAGE_PUSH_COMMIT,
    MESSAGE_PUSH_STOP,
    MESSAGE_RELAYS_GET,
    MESSAGE_STATUS_GET,
    MESSAGE_REPORT_GET,
    MESSAGE_LIST_GET,
    MESSAGE_OBJECTS_GET,
    MESSAGE_SITE_PUT,
    MESSAGE_SITE_RM,
    MESSAGE_SITES_GET,
    MESSAGE_ROUTES_GET,
    MESSAGE_LINT_GET,
    MESSAGE_TOKEN_PUT,
    MESSAGE_RELAY_SET,
    MESSAGE_CREDENTIAL_RM,
    MESSAGE_PUSH_CREDENTIALS,
    MESSAGE_JOB_GET,
    MESSAGE_PARTS_GET,
    MESSAGE_PACKAGES_GET,
    MESSAGE_PACKAGE_RM,
    MESSAGE_PACKAGE_VERIFY,
    /* control link: coordinator -> CLI */
    MESSAGE_OK,
    MESSAGE_FAIL,
    MESSAGE_PACKAGE_WANT,
    MESSAGE_RELAYS,
    MESSAGE_STATUS,
    MESSAGE_REPORT_ROWS,
    MESSAGE_REPORT_END,
    MESSAGE_LIST,
    MESSAGE_OBJECTS,
    MESSAGE_SITES,
    MESSAGE_ROUTES,
    MESSAGE_LINT,
    MESSAGE_TOKEN,
    MESSAGE_PACKAGES,
    MESSAGE_PARTS,
    MESSAGE_KIND_COUNT,
};

/* First message of a relay on every connection and after every restart. */
struct message_hello {
    uint32_t protocol_version;
    char relay_name[LIMIT_SITE_NAME_SIZE]; /* for people; identity is the CURVE key */
    uint64_t instance;                     /* random, drawn at each start of the relay process */
    uint8_t seal_key[LIMIT_KEY_BYTES];     /* X25519 key that credentials are sealed to */
    uint32_t credit;                       /* targets it is willing to hold at once */
    uint64_t policy_version;               /* newest it has; 0: none (private mode) */
    uint64_t certificate_serial;           /* newest it has; 0: none */
    char serve[LIMIT_ENDPOINT_SIZE];       /* where peers of its site fetch packages; "": nowhere */
    uint64_t epoch; /* newest that this process was given; 0: none. A coordinator that never gave
                       out one as high has an old copy for its store */
    uint64_t sent_boottime_ms; /* relay's CLOCK_BOOTTIME when sent */
};

/* A relay that isn't known yet, on a connection made with a token's key. */
struct message_enroll {
    char relay_name[LIMIT_SITE_NAME_SIZE];
    uint8_t curve_key[LIMIT_KEY_BYTES];
    uint8_t seal_key[LIMIT_KEY_BYTES];
};

/* Answer: it is pending. OBJECT messages with the policies, oldest first, went before it. FAIL when
 * it can't be (the text says why). */
struct message_enrolled {
    char site[LIMIT_SITE_NAME_SIZE];
    uint16_t package_port; /* of the coordinator's package link, when that is TCP */
};

/* Another relay of the same site, or that it is gone (certificate_size 0). */
struct message_peer {
    uint8_t key[LIMIT_KEY_BYTES]; /* its CURVE key */
    uint8_t *certificate;         /* signed; the receiver checks it before it lets the peer in */
    size_t certificate_size;
    char serve[LIMIT_ENDPOINT_SIZE]; /* "": nothing to be fetched there */
};

/* The first logons of one domain account, one relay after the other: asked before the first, said
 * again while they go on, and how they went. docs/PROTOCOL.md, "Logons at the relay". */
struct message_permit_get {
    uint64_t epoch;
    uint8_t account[LIMIT_DIGEST_BYTES]; /* digest of the account's name */
    uint64_t counter; /* of the job or site credential that brought it: another password, another
                         counter */
    uint32_t refused; /* logons refused so far at this relay */
    bool accepted;    /* one succeeded */
    bool done;        /* none is on its way and nobody waits: another relay's turn */
};

struct message_permit {
    uint64_t epoch;
    uint8_t account[LIMIT_DIGEST_BYTES];
    uint64_t counter;  /* as asked */
    bool granted;      /* false and nothing else: wait, and ask again */
    bool open;         /* granted for good: a logon has succeeded somewhere */
    bool refused;      /* as many were refused as may be: CREDENTIAL_BRAKE */
    uint32_t failures; /* refused so far at all relays */
};

/* A signed object: its kind is in its bytes. To a relay: policy or certificate. From the CLI: also
 * site credentials; answered OK. */
struct message_object {
    uint8_t *bytes;
    size_t size;
};

/* Answer to hello. The epoch rises with every hello of this relay and marks every later message
 * both ways. */
struct message_welcome {
    uint64_t epoch;
    uint32_t lease_ms;     /* leases last this long from the relay's last acknowledged heartbeat */
    uint32_t heartbeat_ms; /* how often to send one */
    uint64_t instance; /* of the HELLO that it answers: who came back as another hears no other */
    uint64_t sent_boottime_ms; /* as that one said: the lease begins then. 0: it isn't known */
};

struct message_heartbeat {
    uint64_t epoch;
    uint64_t sent_boottime_ms;     /* relay's CLOCK_BOOTTIME, echoed in the ack */
    uint32_t credit;               /* targets it is willing to hold at once, all leases counted */
    uint32_t running[STAGE_COUNT]; /* targets in each stage now, for the live view */
    uint32_t awaiting;             /* scheduled, and waiting for the exit code */
};

struct message_heartbeat_ack {
    uint64_t epoch;
    uint64_t sent_boottime_ms; /* the lease runs from this moment of the relay's clock */
};

/* The operator's signed job and the credential sealed to this relay. */
struct message_job {
    uint8_t *signed_job; /* trust/signed.h bytes */
    size_t signed_job_size;
    uint8_t *sealed_credential; /* trust/signed.h bytes around a sealed box; size 0: none */
    size_t sealed_credential_size;
};

struct lease_entry {
    uint32_t target_no; /* dense, 0-based, the operator's order */
    uint32_t attempt;   /* from 1; rises when a lease is given anew */
    char *name;         /* target as the operator gave it */
};

struct message_lease {
    uint64_t epoch;
    struct push_id push;
    uint32_t generation;
    struct lease_entry *entries; /* ascending target_no */
    uint32_t entry_count;
    uint8_t *proof; /* Merkle multiproof for the entries, see trust/merkle.h */
    size_t proof_size;
    uint64_t stop_counter; /* 0: none. As a STOP with this counter, heard just before */
};

struct result_row {
    struct push_id push;
    uint32_t generation;
    uint32_t target_no;
    uint32_t attempt;
    struct outcome outcome; /* terminal; with --wait also SCHEDULED, which is progress */
    uint8_t *output;        /* --wait: the last bytes the package printed, as it printed them */
    size_t output_size;     /* at most LIMIT_OUTPUT_BYTES; 0: none */
};

struct message_results {
    uint64_t epoch;
    uint64_t sequence; /* of this batch, ascending per epoch */
    struct result_row *rows;
    uint32_t row_count;
};

/* Sent only after the rows of the batch are committed at the coordinator. */
struct message_results_ack {
    uint64_t epoch;
    uint64_t sequence;
};

/* STOP: register nothing new for this push and generation; CLOSE: every row is terminal, tombstones
 * may go. */
struct message_push_ref {
    uint64_t epoch;
    struct push_id push;
    uint32_t generation;
    uint64_t counter; /* STOP: of the job that is stopped; 0: of whichever is known. CLOSE: 0 */
};

struct message_chunk_request {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t offset;
    uint32_t size; /* at most LIMIT_CHUNK_BYTES */
    bool insist;   /* the peer it was sent to doesn't answer */
};

struct message_chunk {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t offset;
    uint64_t total; /* package size; 0: nobody has this package */
    uint8_t *data;
    size_t size;                     /* 0 and a total: not yet, ask again, or ask `source` */
    uint8_t source[LIMIT_KEY_BYTES]; /* not zeroes: ask this peer instead */
};

struct message_package_offer {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t bytes;
    char name[LIMIT_PACKAGE_NAME_SIZE];
    bool directory; /* pkg/folder.h's format */
};

/* Answer: send from this offset; offset == bytes: it is there already, whole and checked. */
struct message_package_want {
    uint64_t offset;
};

struct message_package_data {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    uint64_t offset;
    uint8_t *data; /* the coordinator answers each with MESSAGE_PACKAGE_WANT (next offset) or
                      MESSAGE_FAIL */
    size_t size;
};

/* Opens, or joins, a push. Answer: OK with `existing` when the push is already committed (targets
 * need not be sent). */
struct message_push_begin {
    struct push_id push;
    uint32_t target_count;
};

struct message_push_targets {
    struct push_id push;
    uint32_t first_no;
    char **names;
    uint32_t name_count;
};

/* Ends the upload (or signs an existing push again: --resume). All or nothing. */
struct message_push_commit {
    struct push_id push;
    uint8_t *signed_job;
    size_t signed_job_size;
    uint8_t *sealed_credential;
    size_t sealed_credential_size;
    bool resume;              /* the push exists; go on with what is not terminal */
    uint32_t fail_stop_count; /* --max-fail: nothing new begins once so many targets have failed; 0:
                                 no threshold, with resume the one that it has */
    char site[LIMIT_SITE_NAME_SIZE]; /* --site: every target goes there; "": by routing */
    bool retry;                      /* the push is closed: a new generation for the rows ... */
    uint32_t retry_states;           /* ... in these states (bit 1 << enum target_state) ... */
    enum reason retry_reason;        /* ... and with this reason; REASON_NONE: any */
};

/* Before PUSH_COMMIT: the push account, sealed to each relay that may need it. */
struct push_credential {
    uint8_t seal_key[LIMIT_KEY_BYTES];
    uint8_t *bytes; /* trust/seal.h */
    size_t size;
};

struct message_push_credentials {
    struct push_id push;
    struct push_credential *rows;
    uint32_t row_count; /* at most LIMIT_ROWS_PER_MESSAGE; several messages may come */
};

/* Stops leasing. cancel: rows that never began become CANCELLED; else the push waits for --resume.
 */
struct message_push_stop {
    struct push_id push;
    bool cancel;
};

/* Where a relay stands. Order is part of the wire format and of the store. */
enum relay_standing {
    RELAY_PENDING,  /* enrolled, nobody approved it yet */
    RELAY_ACTIVE,   /* */
    RELAY_DRAINING, /* finishes what it has */
    RELAY_REVOKED,  /* not let in any more */
    RELAY_CLONED,   /* two processes used its keys: not let in any more */
    RELAY_STANDING_COUNT
};

/* "pending", "active", ... */
const char *relay_standing_word(enum relay_standing standing);

struct relay_row {
    char name[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE];
    uint8_t seal_key[LIMIT_KEY_BYTES];
    bool live;
    uint64_t silent_ms;            /* since its last message */
    uint32_t leased;               /* targets it holds */
    uint32_t running[STAGE_COUNT]; /* as its last heartbeat said */
    uint32_t awaiting;             /* so that one */
    enum relay_standing standing;
    uint8_t curve_key[LIMIT_KEY_BYTES]; /* who it is */
    int64_t certificate_until_unix_s;   /* 0: it has none */
    uint64_t certificate_serial;        /* 0: it has none */
};

/* From number `first` on; STATUS brings only those that are live or hold something. */
struct message_relays_get {
    uint32_t first;
};

struct message_relays {
    struct relay_row *rows;
    uint32_t row_count;
    uint32_t next; /* ask for these; 0: that was all */
};

/* A site as the admin describes it. `first` of SITES_GET counts in the order of names. */
struct site {
    char name[LIMIT_SITE_NAME_SIZE];
    char **subnets; /* canonical text */
    uint32_t subnet_count;
    char **patterns; /* of names; see pattern_fits */
    uint32_t pattern_count;
    bool is_default;      /* takes what nothing else takes; at most one */
    uint64_t wan_rate;    /* bytes per second of packages over its link; 0: unlimited */
    uint32_t relay_count; /* answers only: active and draining ... */
    uint32_t live_count;  /* ... of them live */
    uint64_t sent_bytes;  /* answers only: of packages over its link, since the coordinator began */
};

/* SITE_PUT: makes or replaces one. SITE_RM: fails while relays or open pushes need it. */
struct message_site_put {
    struct site site;
    bool add_only; /* FAIL exists rather than replace */
};

struct message_site_ref {
    char site[LIMIT_SITE_NAME_SIZE];
};

struct message_sites_get {
    uint32_t first;
};

struct message_sites {
    struct site *rows;
    uint32_t row_count;
    uint32_t next; /* 0: that was all */
};

/* Where targets would go, and why. */
struct message_routes_get {
    char **names;
    uint32_t name_count;
    char site[LIMIT_SITE_NAME_SIZE]; /* as PUSH_COMMIT's */
};

enum route_by {
    ROUTE_NOWHERE,     /* an address that no subnet covers, and no default site */
    ROUTE_UNRESOLVED,  /* a name that nobody knows, and nothing else fits */
    ROUTE_BY_SITE,     /* --site */
    ROUTE_BY_SUBNET,   /* the address, by its longest prefix */
    ROUTE_BY_PATTERN,  /* the name */
    ROUTE_BY_DEFAULT,  /* the default site */
    ROUTE_NEVER_TOUCH, /* nobody goes there */
    ROUTE_BY_COUNT
};

struct route_row {
    char *target;
    enum route_by by;
    char site[LIMIT_SITE_NAME_SIZE];
    char address[LIMIT_ADDRESS_SIZE];   /* "": it did not resolve, or nobody had to ask */
    char match[LIMIT_TARGET_NAME_SIZE]; /* the subnet or pattern */
    enum reason reason;                 /* UNRESOLVED: why */
};

struct message_routes {
    struct route_row *rows;
    uint32_t row_count;
};

/* What is odd about the sites, a sentence each. */
enum lint_kind {
    LINT_OVERLAP,   /* the same subnet twice: an error; one inside another: a remark */
    LINT_GAP,       /* between two neighbouring subnets of a site's range */
    LINT_NO_RELAY,  /* a site without a relay */
    LINT_UNCOVERED, /* subnets of a site that none of its relays' certificates covers */
    LINT_KIND_COUNT
};

struct lint_row {
    enum lint_kind kind;
    bool error; /* else a remark */
    char text[LIMIT_DETAIL_SIZE];
};

struct message_lint {
    struct lint_row *rows;
    uint32_t row_count;
    bool more; /* too many to tell */
};

/* A token's public half. Answer: TOKEN. Good for 0 s at no site: only asks for the coordinator's
 * key.
 */
struct message_token_put {
    uint8_t key[LIMIT_KEY_BYTES];
    char site[LIMIT_SITE_NAME_SIZE];
    uint32_t valid_s; /* at most an hour */
};

struct message_token {
    uint8_t coordinator_key[LIMIT_KEY_BYTES];
};

/* ACTIVE (ends draining), DRAINING or REVOKED (also of a pending or cloned one). */
struct message_relay_set {
    uint8_t curve_key[LIMIT_KEY_BYTES];
    enum relay_standing standing;
};

/* Signed objects: policies (all versions, from `first` on), certificates, or site credentials. */
struct message_objects_get {
    uint32_t kind;                   /* enum signed_kind */
    char site[LIMIT_SITE_NAME_SIZE]; /* certificates, credentials: of this site; "": all */
    uint64_t first;
};

struct message_objects {
    struct message_object *rows;
    uint32_t row_count; /* as many as fit one message */
    uint64_t next;      /* 0: that was all */
};

struct package_row {
    uint8_t digest[LIMIT_DIGEST_BYTES];
    char name[LIMIT_PACKAGE_NAME_SIZE];
    uint64_t bytes;
    uint64_t stored; /* of them here: fewer while it is uploaded */
    uint64_t added_unix_ms;
    bool directory;
    bool in_use; /* an open push needs it */
};

struct message_packages {
    struct package_row *rows;
    uint32_t row_count;
};

struct message_package_ref {
    uint8_t digest[LIMIT_DIGEST_BYTES];
};

/* Counts by state; submitted is always their sum. */
struct totals {
    uint32_t by_state[TARGET_STATE_COUNT];
    uint32_t attempted; /* rows whose stage 1 began */
    uint32_t reboot;    /* exit codes 3010 and 1641 */
};

enum push_state {
    PUSH_OPEN,
    PUSH_STOPPED,
    PUSH_CANCELLING,
    PUSH_CLOSED,
    PUSH_ROUTING, /* committed; names are still looked up to find their sites */
    PUSH_STATE_COUNT
};

/* One push as the store has it. */
struct push_summary {
    struct push_id push;
    uint32_t generation;
    enum push_state state;
    enum job_action action; /* of the signed job; so the next two */
    struct push_id of_push; /* JOB_CLEANUP: whose leavings */
    enum run_as run_as;
    char package_name[LIMIT_PACKAGE_NAME_SIZE];
    uint64_t package_bytes;
    uint8_t package_digest[LIMIT_DIGEST_BYTES];
    uint64_t created_unix_ms;
    uint64_t closed_unix_ms;                    /* 0 while open */
    bool wait;                                  /* --wait: scheduled is not yet success */
    char operator_key[2 * LIMIT_KEY_BYTES + 1]; /* hexadecimal public key that signed the job */
    char account[LIMIT_ACCOUNT_SIZE];           /* who asked: "uid 1000" on the control socket */
    uint64_t policy_version;                    /* of the signed job */
    struct totals totals;
};

/* Selects a push: by id, by a prefix of its text, or the newest one. */
struct push_selector {
    char prefix[PUSH_ID_TEXT_SIZE]; /* "" = newest */
};

struct message_status {
    struct push_summary push;
    struct relay_row *relays;
    uint32_t relay_count;
};

/* The rows of a push counted by site and relay, in the order of their names. Of a push that goes on
 * the counts may be some seconds old. */
struct push_part {
    char site[LIMIT_SITE_NAME_SIZE];  /* "-": none */
    char relay[LIMIT_SITE_NAME_SIZE]; /* who reported them last; "-": nobody yet */
    struct totals totals;
};

struct message_parts_get {
    struct push_selector push;
    uint32_t first;
};

struct message_parts {
    struct push_part *rows;
    uint32_t row_count;
    uint32_t next; /* ask for these; 0: that was all */
};

/* Which rows a report wants; every filter that is set must fit. */
struct report_filter {
    struct push_selector push;
    bool failed_only;                    /* rows that are terminal and not a success */
    enum stage stage;                    /* STAGE_COUNT: any */
    enum reason reason;                  /* REASON_NONE: any */
    char site[LIMIT_SITE_NAME_SIZE];     /* "": any */
    char target[LIMIT_TARGET_NAME_SIZE]; /* "": any; else name (any case) or address */
    bool output;                         /* with `target`: bring what the package printed */
};

struct report_row {
    uint32_t target_no;
    char *target; /* as the operator gave it */
    char site[LIMIT_SITE_NAME_SIZE];
    char relay[LIMIT_SITE_NAME_SIZE]; /* "-" if none */
    struct outcome outcome;
    uint8_t *output; /* as in result_row; only when the filter asked for it */
    size_t output_size;
};

/* Rows come in ascending target_no; a REPORT_END with the summary closes the answer. */
struct message_report_rows {
    struct report_row *rows;
    uint32_t row_count;
};

struct message_report_end {
    struct push_summary push;
};

struct message_list {
    struct push_summary *pushes; /* newest first */
    uint32_t push_count;
};

/* existing: see PUSH_BEGIN. */
struct message_ok {
    bool existing;
};

struct message_fail {
    enum err_code code;
    char text[ERR_TEXT_SIZE];
};

struct message {
    enum message_kind kind;
    uint32_t request; /* control link: chosen by the CLI, echoed in every answer; else 0 */
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_heartbeat heartbeat;
        struct message_heartbeat_ack heartbeat_ack;
        struct message_job job;
        struct message_lease lease;
        struct message_results results;
        struct message_results_ack results_ack;
        struct message_push_ref push_ref; /* STOP, CLOSE */
        struct message_chunk_request chunk_request;
        struct message_chunk chunk;
        struct message_package_offer package_offer;
        struct message_package_want package_want;
        struct message_package_data package_data;
        struct message_push_begin push_begin;
        struct message_push_targets push_targets;
        struct message_push_commit push_commit;
        struct message_push_stop push_stop;
        struct message_enroll enroll;
        struct message_enrolled enrolled;
        struct message_peer peer;
        struct message_permit_get permit_get;
        struct message_permit permit;
        struct message_object object;
        struct message_objects_get objects_get;
        struct message_objects objects;
        struct message_site_put site_put;
        struct message_site_ref site_ref; /* SITE_RM, CREDENTIAL_RM */
        struct message_sites_get sites_get;
        struct message_sites sites;
        struct message_routes_get routes_get;
        struct message_routes routes;
        struct message_lint lint;
        struct message_token_put token_put;
        struct message_token token;
        struct message_relay_set relay_set;
        struct message_relays_get relays_get;
        struct message_push_credentials push_credentials;
        struct message_parts_get parts_get;
        struct message_parts parts;
        struct push_selector job_get; /* answer: JOB, without a credential */
        struct message_packages packages;
        struct message_package_ref package_ref; /* PACKAGE_RM, PACKAGE_VERIFY */
        struct push_selector status_get;
        struct report_filter report_get;
        struct message_relays relays;
        struct message_status status;
        struct message_report_rows report_rows;
        struct message_report_end report_end;
        struct message_list list;
        struct message_ok ok;
        struct message_fail fail;
    };
};

/* Frees what a decoded message owns and clears it. A zeroed message is fine. */
void message_release(struct message *message);
/* "hello", "results_ack", ... for logs; "?" when out of range. */
const char *message_kind_word(enum message_kind kind);

/* submitted = the sum over all states. */
uint32_t totals_submitted(const struct totals *totals);
/* queued + running (+ scheduled while waiting for exit codes). */
uint32_t totals_pending(const struct totals *totals, bool wait);
/* succeeded (+ scheduled when nobody waits for exit codes). */
uint32_t totals_succeeded(const struct totals *totals, bool wait);

#endif
