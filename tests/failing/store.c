/* The coordinator's store: every function of store.h at least once. */
#include "coordinator/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/failing/scenario.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            return -1;                                                                             \
    } while (0)
/* What isn't there is an answer. */
#define TRY_FIND(run, call)                                                                        \
    do {                                                                                           \
        struct err why_ = {0};                                                                     \
        int got_ = (call);                                                                         \
        if (got_ != 0 && why_.code != ERR_NOT_FOUND) {                                             \
            *err = why_;                                                                           \
            return -1;                                                                             \
        }                                                                                          \
        run_saw(run, "%s\n", got_ == 0 ? "found" : "not found");                                   \
    } while (0)

static const uint8_t digest_a[LIMIT_DIGEST_BYTES] = {0xaa};
static const uint8_t digest_b[LIMIT_DIGEST_BYTES] = {0xbb};
static const uint8_t key_a[LIMIT_KEY_BYTES] = {1, 2, 3};
static const uint8_t key_b[LIMIT_KEY_BYTES] = {4, 5, 6};
static const uint8_t blob[] = "signed object";
static const char ending[] = " (doubted)";
static const struct push_id push_one = {{1}};
static const struct push_id push_two = {{2}};

static struct store_push push_of(const struct push_id *id, const uint8_t *digest)
{
    return (struct store_push){.push = *id,
                               .generation = 1,
                               .package_name = "Tool.exe",
                               .package_bytes = 4096,
                               .package_digest = digest,
                               .not_after_unix_s = 5000,
                               .operator_key = key_a,
                               .account = "uid 1000",
                               .created_unix_ms = 1000U + id->bytes[0],
                               .signed_job = blob,
                               .signed_job_size = sizeof blob,
                               .sealed_credential = blob,
                               .sealed_credential_size = sizeof blob};
}

static struct outcome outcome_of(enum target_state state, enum reason reason, const char *detail)
{
    struct outcome outcome = {
        .state = state, .stage = STAGE_COPY, .reason = reason, .tries = 1, .bytes = 10};
    (void)snprintf(outcome.detail, sizeof outcome.detail, "%s", detail);
    (void)snprintf(outcome.address, sizeof outcome.address, "10.1.2.3");
    return outcome;
}

/* ---- writing ---- */

static int put_sites(struct store *store, struct err *err)
{
    char subnet[] = "10.1.0.0/16";
    char pattern[] = "LYON-*";
    char *subnets[] = {subnet};
    char *patterns[] = {pattern};
    struct site site = {.name = "lyon",
                        .subnets = subnets,
                        .subnet_count = 1,
                        .patterns = patterns,
                        .pattern_count = 1};
    uint16_t no;
    TRY(store_site(store, "local", &no, err));
    TRY(store_site_put(store, &site, &no, err));
    (void)snprintf(site.name, sizeof site.name, "gone");
    site.subnet_count = 0;
    TRY(store_site_put(store, &site, &no, err));
    TRY(store_site_rm(store, "gone", err));
    return store_commit(store, err);
}

static int put_relays(struct store *store, struct err *err)
{
    struct store_relay relay;
    struct store_relay added = {.site = 1, .name = "lyon-2"};
    struct store_token token = {.site = 1, .expires_unix_ms = 99};
    memcpy(token.key, key_a, sizeof token.key);
    TRY(store_token_put(store, &token, err));
    memcpy(token.key, key_b, sizeof token.key);
    TRY(store_token_put(store, &token, err));
    TRY(store_token_drop(store, key_b, err));
    TRY(store_relay(store, key_a, 1, &relay, err));
    TRY(store_relay_said(store, relay.relay, "lyon-1", key_a, err));
    TRY(store_relay_epoch(store, relay.relay, 17, err));
    memcpy(added.key, key_b, sizeof added.key);
    memcpy(added.seal_key, key_b, sizeof added.seal_key);
    TRY(store_relay_add(store, &added, err));
    TRY(store_relay_standing(store, added.relay, RELAY_ACTIVE, err));
    TRY(store_certificate_put(store, added.relay, 3, 5000, blob, sizeof blob, err));
    TRY(store_policy_put(store, 1, blob, sizeof blob, err));
    return store_commit(store, err);
}

static int put_credentials(struct store *store, struct err *err)
{
    struct store_site_credential credential = {.site = 1,
                                               .relay = 0,
                                               .counter = 5,
                                               .account = "LAB\\deploy",
                                               .set_unix_ms = 77,
                                               .bytes = blob,
                                               .size = sizeof blob};
    struct package_row package = {.bytes = 4096, .added_unix_ms = 9, .name = "Tool.exe"};
    memcpy(package.digest, digest_a, sizeof package.digest);
    TRY(store_site_credential_put(store, &credential, err));
    TRY(store_package_put(store, &package, err));
    memcpy(package.digest, digest_b, sizeof package.digest);
    TRY(store_package_put(store, &package, err));
    TRY(store_package_drop(store, digest_b, err));
    return store_commit(store, err);
}

/* Uploads: one that is thrown away, one that a restart sweeps, and the push. */
static int put_push(struct store *store, struct err *err)
{
    static const struct push_id dropped = {{8}};
    static const struct push_id swept = {{9}};
    char names[4][16] = {"PC-0", "PC-1", "PC-2", "PC-3"};
    char *pointers[] = {names[0], names[1], names[2], names[3]};
    struct store_push push = push_of(&push_one, digest_a);
    uint64_t key;
    TRY(store_upload_begin(store, &dropped, 1, &key, err));
    TRY(store_upload_targets(store, key, 0, 0, pointers, 1, err));
    TRY(store_upload_drop(store, key, err));
    TRY(store_upload_begin(store, &swept, 1, &key, err));
    TRY(store_upload_sweep(store, err));
    TRY(store_upload_begin(store, &push_one, 4, &key, err));
    TRY(store_upload_targets(store, key, STORE_SITE_NONE, 0, pointers, 2, err));
    TRY(store_upload_targets(store, key, STORE_SITE_NONE, 2, pointers + 2, 2, err));
    TRY(store_push_credential_put(store, key, 0, blob, sizeof blob, err));
    push.routing = true;
    push.site = "lyon";
    TRY(store_push_commit(store, key, &push, err));
    return store_commit(store, err);
}

static int put_routes(struct store *store, struct err *err)
{
    struct store_lease lease = {.relay = 0, .mark = 3, .attempt_max = 1};
    uint64_t key;
    TRY(store_find_id(store, &push_one, &key, err));
    TRY(store_target_site(store, key, 0, 4, 1, err));
    TRY(store_push_state(store, key, PUSH_OPEN, 0, err));
    TRY(store_lease(store, key, &lease, err));
    return store_commit(store, err);
}

static int put_rows(struct store *store, struct err *err)
{
    struct outcome outcome = outcome_of(TARGET_SCHEDULED, REASON_NONE, "");
    uint64_t key;
    TRY(store_find_id(store, &push_one, &key, err));
    TRY(store_outcome(store, key, 0, 0, &outcome, err));
    TRY(store_output(store, key, 0, blob, sizeof blob, err));
    outcome = outcome_of(TARGET_FAILED, REASON_DISK_FULL, "full");
    TRY(store_outcome(store, key, 1, 0, &outcome, err));
    outcome = outcome_of(TARGET_UNKNOWN_EFFECT, REASON_NO_REPLY, "said so (doubted)");
    TRY(store_outcome(store, key, 2, 0, &outcome, err));
    TRY(store_outcome_certain(store, key, 2, ending, err));
    outcome = outcome_of(TARGET_UNKNOWN_EFFECT, REASON_CONN_LOST, "who knows (doubted)");
    TRY(store_outcome(store, key, 3, 1, &outcome, err));
    return store_commit(store, err);
}

/* Of a file of the same name: its first two targets are refused. */
static int put_other_push(struct store *store, struct err *err)
{
    char names[2][16] = {"pc-3", "PC-9"};
    char *pointers[] = {names[0], names[1]};
    struct store_push push = push_of(&push_two, digest_b);
    uint64_t key;
    TRY(store_upload_begin(store, &push_two, 2, &key, err));
    TRY(store_upload_targets(store, key, 1, 0, pointers, 2, err));
    TRY(store_push_commit(store, key, &push, err));
    TRY(store_push_refuse_in_use(store, key, err));
    TRY(store_push_state(store, key, PUSH_STOPPED, 0, err));
    push.not_after_unix_s = 6000;
    TRY(store_push_credential_drop(store, key, err));
    TRY(store_push_resume(store, key, &push, err));
    return store_commit(store, err);
}

static int put_retry(struct store *store, struct err *err)
{
    struct store_push push = push_of(&push_one, digest_a);
    struct store_retry which = {.states = 1U << TARGET_FAILED};
    uint64_t key;
    uint32_t dropped = 0;
    TRY(store_find_id(store, &push_one, &key, err));
    TRY(store_push_state(store, key, PUSH_CLOSED, 2000, err));
    push.generation = 2;
    TRY(store_push_retry(store, key, &push, &which, err));
    TRY(store_site_credential_drop(store, 1, &dropped, err));
    return store_commit(store, err);
}

/* ---- reading ---- */

static int each_number(void *context, uint32_t target_no)
{
    run_saw(context, "each %u\n", target_no);
    return 0;
}

static int each_doubted(void *context, uint32_t target_no, enum target_state counts_as)
{
    run_saw(context, "doubted %u as %d\n", target_no, (int)counts_as);
    return 0;
}

static int each_target(void *context, uint32_t target_no, const char *name, uint16_t site,
                       enum target_state state)
{
    run_saw(context, "target %u %s site %u state %d\n", target_no, name, site, (int)state);
    return 0;
}

static void each_relay(void *context, uint16_t relay)
{
    run_saw(context, "credential of %u\n", relay);
}

static int read_sites(struct run *run, struct store *store, struct err *err)
{
    struct store_site *sites = NULL;
    struct store_site_use use;
    uint32_t count = 0;
    uint16_t no = 0;
    TRY(store_sites(store, &sites, &count, err));
    for (uint32_t i = 0; i < count; i++)
        run_saw(run, "site %s %u subnets %u patterns\n", sites[i].site.name,
                sites[i].site.subnet_count, sites[i].site.pattern_count);
    store_sites_free(sites, count);
    TRY_FIND(run, store_site_find(store, "lyon", &no, &why_));
    TRY(store_site_use(store, no, &use, err));
    run_saw(run, "site %u: %u relays, %u pushes\n", no, use.relay_count, use.push_count);
    return 0;
}

static int read_relays(struct run *run, struct store *store, struct err *err)
{
    struct store_token tokens[4];
    struct store_relay relay;
    struct buf out;
    uint64_t version = 0;
    uint32_t count = 0;
    uint16_t relays = 0;
    TRY(store_relay_count(store, &relays, err));
    for (uint16_t no = 0; no < relays; no++) {
        TRY(store_relay_get(store, no, &relay, err));
        run_saw(run, "relay %s at %s key %d epoch %d standing %d\n", relay.name, relay.site_name,
                relay.key[0], (int)relay.epoch, (int)relay.standing);
    }
    TRY(store_token_list(store, tokens, 4, &count, err));
    TRY(store_policy_newest(store, &version, err));
    run_saw(run, "%u tokens, policy %d\n", count, (int)version);
    for (uint32_t i = 0; i < count; i++)
        run_saw(run, "token %d at %s\n", tokens[i].key[0], tokens[i].site_name);
    buf_init(&out, 4096);
    struct err why = {0};
    bool there = store_certificate_get(store, 1, &out, &why) == 0;
    if (why.code == ERR_NONE || why.code == ERR_NOT_FOUND) {
        why = (struct err){0};
        there = store_policy_get(store, 1, &out, &why) == 0 && there;
    }
    if (why.code == ERR_NONE || why.code == ERR_NOT_FOUND)
        run_saw(run, "%d objects of %zu\n", there, out.size);
    buf_release(&out);
    if (why.code != ERR_NONE && why.code != ERR_NOT_FOUND) {
        *err = why;
        return -1;
    }
    return 0;
}

static int read_packages(struct run *run, struct store *store, struct err *err)
{
    struct package_row rows[4];
    uint32_t count = 0;
    uint64_t counter = 0;
    TRY(store_package_list(store, rows, 4, &count, err));
    for (uint32_t i = 0; i < count; i++)
        run_saw(run, "package %s of %d\n", rows[i].name, (int)rows[i].bytes);
    TRY_FIND(run, store_package_get(store, digest_a, &rows[0], &why_));
    TRY_FIND(run, store_site_credential_get(store, 1, 0, &counter, NULL, &why_));
    TRY(store_credential_each(store, 0, each_relay, run, err));
    return 0;
}

static void see_row(struct run *run, struct report_row *row)
{
    run_saw(run, "row %u %s %s %s %d %s %s printed %zu\n", row->target_no, row->target, row->site,
            row->relay, (int)row->outcome.state, reason_word(row->outcome.reason),
            row->outcome.detail, row->output_size);
    free(row->target);
    free(row->output);
    row->target = NULL;
    row->output = NULL;
}

static int read_rows(struct run *run, struct store *store, uint64_t key, const char *target,
                     struct err *err)
{
    struct report_row rows[3] = {0};
    struct report_filter filter = {.stage = STAGE_COUNT, .output = true};
    struct store_page page = {.rows = rows, .row_max = 3};
    (void)snprintf(filter.target, sizeof filter.target, "%s", target);
    while (!page.end) {
        TRY(store_report(store, key, &filter, &page, err));
        for (uint32_t i = 0; i < page.row_count; i++)
            see_row(run, &rows[i]);
    }
    return 0;
}

static int read_unrouted(struct run *run, struct store *store, uint64_t key, struct err *err)
{
    struct store_unrouted unrouted[4];
    char site[LIMIT_SITE_NAME_SIZE];
    bool open = false;
    uint32_t count = 0;
    TRY(store_unrouted(store, key, 0, unrouted, 4, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        run_saw(run, "unrouted %s\n", unrouted[i].name);
        free(unrouted[i].name);
    }
    TRY(store_is_unrouted(store, key, &open, err));
    TRY(store_push_site(store, key, site, err));
    run_saw(run, "unrouted %d, site %s\n", open, site);
    return 0;
}

static int read_parts(struct run *run, struct store *store, uint64_t key, struct err *err)
{
    struct push_part *parts = NULL;
    struct store_recovery recovery;
    char *name = NULL;
    uint32_t count = 0;
    TRY(store_parts(store, key, &parts, &count, err));
    for (uint32_t i = 0; i < count; i++)
        run_saw(run, "part %s %s\n", parts[i].site, parts[i].relay);
    free(parts);
    TRY(store_recovery(store, key, &recovery, err));
    run_saw(run, "recovery %u targets, %u leases\n", recovery.target_count, recovery.lease_count);
    free(recovery.leases);
    TRY(store_target_name(store, key, 1, &name, err));
    run_saw(run, "name %s\n", name);
    free(name);
    return 0;
}

static int read_blobs(struct run *run, struct store *store, uint64_t key, struct err *err)
{
    struct buf job;
    struct buf credential;
    buf_init(&job, 4096);
    buf_init(&credential, 4096);
    int failed = store_push_blobs(store, key, &job, &credential, err);
    if (!failed)
        run_saw(run, "job %zu credential %zu\n", job.size, credential.size);
    struct err why = {0};
    if (!failed && store_push_credential_get(store, key, 0, &credential, &why) != 0 &&
        why.code != ERR_NOT_FOUND) {
        *err = why;
        failed = -1;
    }
    if (!failed)
        run_saw(run, "credentials %zu\n", credential.size);
    buf_release(&job);
    buf_release(&credential);
    return failed;
}

static int read_push(struct run *run, struct store *store, uint64_t key, struct err *err)
{
    struct push_summary summary;
    struct store_retry failed = {.states = 1U << TARGET_FAILED};
    TRY(store_summary(store, key, &summary, err));
    run_saw(run, "push %s state %d generation %u\n", summary.package_name, (int)summary.state,
            summary.generation);
    TRY(store_target_each(store, key, each_target, run, err));
    TRY(store_doubted_each(store, key, ending, each_doubted, run, err));
    TRY(store_old_each(store, key, each_number, run, err));
    TRY(store_retry_each(store, key, &failed, each_number, run, err));
    TRY(store_credential_each(store, key, each_relay, run, err));
    TRY(read_unrouted(run, store, key, err));
    TRY(read_parts(run, store, key, err));
    TRY(read_blobs(run, store, key, err));
    TRY(read_rows(run, store, key, "", err));
    return read_rows(run, store, key, "pc-0", err);
}

static int read_all(struct run *run, struct store *store, struct err *err)
{
    struct push_selector newest = {.prefix = ""};
    struct push_summary list[4];
    uint64_t keys[4];
    uint64_t key = 0;
    uint32_t count = 0;
    TRY(read_sites(run, store, err));
    TRY(read_relays(run, store, err));
    TRY(read_packages(run, store, err));
    TRY(store_list(store, list, 4, &count, err));
    run_saw(run, "%u pushes\n", count);
    for (int which = STORE_PUSHES_OPEN; which <= STORE_PUSHES_CLOSED; which++) {
        TRY(store_push_keys(store, (enum store_which)which, keys, 4, &count, err));
        run_saw(run, "%u of kind %d\n", count, which);
    }
    TRY_FIND(run, store_find(store, &newest, &key, &why_));
    struct err why = {0};
    if (store_find_id(store, &push_one, &key, &why) == 0)
        return read_push(run, store, key, err);
    if (why.code == ERR_NOT_FOUND)
        return 0;
    *err = why;
    return -1;
}

/* ---- the story ---- */

static int run_store(struct run *run, const char *folder, struct err *err)
{
    static int (*const steps[])(struct store *, struct err *) = {
        put_sites,  put_relays, put_credentials, put_push,
        put_routes, put_rows,   put_other_push,  put_retry};
    char path[128];
    struct store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/store.db", folder);
    if (store_open(&store, path, err) != 0)
        return -1;
    int failed = 0;
    bool over = run_done(run);
    for (size_t i = 0; !failed && !over && i < sizeof steps / sizeof *steps; i++) {
        failed = steps[i](store, err);
        if (!failed)
            over = run_done(run);
        if (!failed && !over && (i == 3 || i == 5 || i == 7))
            failed = read_all(run, store, err);
        if (!failed && !over && i == 5) { /* the next life reads what this one wrote */
            store_close(store);
            store = NULL;
            failed = store_open(&store, path, err);
        }
    }
    if (store != NULL && failed == 0)
        run_saw(run, "dirty %d failed %d\n", store_dirty(store), store_failed(store));
    store_close(store);
    return failed;
}

static int look_store(const char *folder, struct buf *out, struct err *err)
{
    char path[128];
    struct store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/store.db", folder);
    if (store_open(&store, path, err) != 0)
        return -1;
    store_close(store);
    return sqlite_dump(path, out, err);
}

const struct scenario scenario_store = {
    .name = "store", .kinds = KINDS_SQLITE, .run = run_store, .look = look_store};
