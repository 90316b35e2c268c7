/* Small files that are replaced as a whole, keys, the reserve, and packages on their way. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/reserve.h"
#include "common/pkg/digest.h"
#include "common/pkg/store.h"
#include "common/signed/objects.h"
#include "common/trust/secret.h"
#include "relay/enrolment.h"
#include "relay/room.h"
#include "relay/state.h"
#include "relay/state_file.h"
#include "tests/failing/scenario.h"

/* ---- keys and their folder ---- */

static void prepare_trust(void)
{
    if (trust_start(NULL) != 0)
        abort();
}

static int run_state(struct run *run, const char *folder, struct err *err)
{
    char inner[128];
    struct relay_state state = {0};
    int lock = -1;
    (void)snprintf(inner, sizeof inner, "%s/relay", folder);
    if (relay_state_init(inner, err) != 0)
        return -1;
    if (run_done(run))
        return 0;
    if (relay_state_init(inner, err) != 0 || relay_state_load(&state, inner, err) != 0)
        return -1;
    int failed = relay_state_lock(inner, &lock, err);
    if (!failed)
        relay_state_unlock(lock);
    relay_state_release(&state);
    if (!failed)
        run_saw(run, "loaded\n");
    return failed;
}

/* Half made keys are made whole by the next start; they are random, so only that they load counts.
 */
static int look_state(const char *folder, struct buf *out, struct err *err)
{
    char inner[128];
    struct relay_state state = {0};
    (void)snprintf(inner, sizeof inner, "%s/relay", folder);
    if (relay_state_init(inner, err) != 0 || relay_state_load(&state, inner, err) != 0)
        return -1;
    relay_state_release(&state);
    buf_text(out, "loads\n");
    return 0;
}

const struct scenario scenario_state = {.name = "state",
                                        .kinds = KINDS_FILES,
                                        .prepare = prepare_trust,
                                        .run = run_state,
                                        .look = look_state};

/* ---- what an enrolled relay keeps ---- */

#define NOW_S 1700000000

static struct {
    struct relay_state state;
    struct buf policies[2], certificate;
} made;

static void make_policy(uint64_t version, const struct key_pair *operator_key,
                        const struct key_pair *coordinator, struct buf *out)
{
    struct policy policy = {.version = version, .operator_count = 1, .coordinator_count = 1};
    memcpy(policy.operators[0], operator_key->public_key, LIMIT_KEY_BYTES);
    memcpy(policy.coordinators[0], coordinator->public_key, LIMIT_KEY_BYTES);
    buf_init(out, OBJECT_BYTES_MAX);
    if (policy_make(&policy, operator_key, out, NULL) != 0)
        abort();
}

static void make_certificate(const struct key_pair *operator_key)
{
    struct subnet subnet;
    struct certificate certificate = {.relay = "lyon-1",
                                      .site = "lyon",
                                      .serial = 3,
                                      .not_before_unix_s = NOW_S - 1000,
                                      .not_after_unix_s = NOW_S + 100000,
                                      .subnets = &subnet,
                                      .subnet_count = 1};
    if (subnet_from_text("10.1.0.0/16", &subnet, NULL) != 0)
        abort();
    memcpy(certificate.curve_key, made.state.curve.public_key, LIMIT_KEY_BYTES);
    memcpy(certificate.seal_key, made.state.seal.public_key, LIMIT_KEY_BYTES);
    buf_init(&made.certificate, OBJECT_BYTES_MAX);
    if (certificate_make(&certificate, operator_key, &made.certificate, NULL) != 0)
        abort();
}

static void prepare_enrolment(void)
{
    struct key_pair operator_key;
    struct key_pair coordinator;
    if (trust_start(NULL) != 0)
        abort();
    key_pair_generate(&operator_key, KEY_OPERATOR);
    key_pair_generate(&coordinator, KEY_CURVE);
    key_pair_generate(&made.state.curve, KEY_CURVE);
    key_pair_generate(&made.state.seal, KEY_SEAL);
    make_policy(1, &operator_key, &coordinator, &made.policies[0]);
    make_policy(2, &operator_key, &coordinator, &made.policies[1]);
    make_certificate(&operator_key);
    key_pair_release(&operator_key);
    key_pair_release(&coordinator);
}

static int first_enrolment(const char *folder, struct err *err)
{
    struct enrolment enrolment = {.name = "lyon-1",
                                  .site = "lyon",
                                  .coordinator = "tcp://10.0.0.1:1",
                                  .packages = "tcp://10.0.0.1:2"};
    return enrolment_save(&enrolment, folder, made.policies[0].data, made.policies[0].size, err);
}

static int take(struct run *run, struct enrolment *enrolment, const struct buf *object,
                struct err *err)
{
    enum enrolment_news news;
    if (enrolment_take(enrolment, &made.state, object->data, object->size, &news, err) != 0)
        return -1;
    run_saw(run, "news %d: policy %d serial %d\n", (int)news, (int)enrolment->policy.version,
            (int)enrolment->certificate.serial);
    return 0;
}

static int take_all(struct run *run, struct enrolment *enrolment, struct err *err)
{
    if (take(run, enrolment, &made.policies[1], err) != 0)
        return -1;
    if (run_done(run))
        return 0;
    if (take(run, enrolment, &made.certificate, err) != 0)
        return -1;
    return run_done(run) || take(run, enrolment, &made.certificate, err) == 0 ? 0 : -1;
}

static int run_enrolment(struct run *run, const char *folder, struct err *err)
{
    struct enrolment enrolment = {0};
    char *path = mem_strdup(folder);
    made.state.folder = path;
    int failed = first_enrolment(folder, err);
    bool over = !failed && run_done(run);
    if (!failed && !over)
        failed = enrolment_load(&enrolment, &made.state, err);
    if (!failed && !over)
        failed = take_all(run, &enrolment, err);
    over = over || run_over(run);
    enrolment_release(&enrolment);
    if (!failed && !over)
        failed = enrolment_clear(folder, err);
    if (!failed && !over)
        (void)run_done(run);
    made.state.folder = NULL;
    free(path);
    return failed;
}

static int look_enrolment(const char *folder, struct buf *out, struct err *err)
{
    struct enrolment enrolment = {0};
    char *path = mem_strdup(folder);
    struct err why = {0};
    made.state.folder = path;
    int failed = enrolment_load(&enrolment, &made.state, &why);
    if (!failed)
        buf_printf(out, "%s at %s: policy %d serial %d\n", enrolment.name, enrolment.site,
                   (int)enrolment.policy.version, (int)enrolment.certificate.serial);
    else if (why.code == ERR_NOT_FOUND)
        buf_text(out, "not enrolled\n");
    else
        *err = why;
    enrolment_release(&enrolment);
    made.state.folder = NULL;
    free(path);
    return failed && why.code != ERR_NOT_FOUND ? -1 : 0;
}

const struct scenario scenario_enrolment = {.name = "enrolment",
                                            .kinds = KINDS_FILES,
                                            .prepare = prepare_enrolment,
                                            .run = run_enrolment,
                                            .look = look_enrolment};

/* ---- the reserve ---- */

/* Whether it is held is no error but an answer: what fails leaves less room, or none. */
static int run_reserve(struct run *run, const char *folder, struct err *err)
{
    (void)run;
    for (int life = 0; life < 2; life++) {
        struct reserve *reserve = NULL;
        if (reserve_new(&reserve, folder, 4096, err) != 0)
            return -1;
        (void)reserve_look(reserve);
        reserve_free(reserve);
    }
    return 0;
}

static int look_reserve(const char *folder, struct buf *out, struct err *err)
{
    struct reserve *reserve = NULL;
    if (reserve_new(&reserve, folder, 4096, err) != 0)
        return -1;
    buf_printf(out, "held %d\n", reserve_look(reserve));
    reserve_free(reserve);
    return 0;
}

const struct scenario scenario_reserve = {
    .name = "reserve", .kinds = KINDS_FILES, .run = run_reserve, .look = look_reserve};

/* ---- packages ---- */

enum { PACKAGE = 5000 };

static uint8_t package[PACKAGE];
static uint8_t package_digest[LIMIT_DIGEST_BYTES];

static void prepare_packages(void)
{
    struct digest *digest = digest_new();
    for (int i = 0; i < PACKAGE; i++)
        package[i] = (uint8_t)(i * 7);
    digest_add(digest, package, PACKAGE);
    digest_end(digest, package_digest);
    digest_free(digest);
}

static bool never(void *context, const uint8_t digest[LIMIT_DIGEST_BYTES])
{
    (void)context;
    (void)digest;
    return false;
}

static void room_removed(void *context, const struct package_entry *entry)
{
    run_saw(context, "removed %d\n", (int)entry->bytes);
}

static int append(struct run *run, struct package_store *store, uint64_t from, uint64_t to,
                  struct err *err)
{
    uint64_t offset = 0;
    uint64_t next = 0;
    if (package_store_offset(store, package_digest, PACKAGE, &offset, err) != 0 ||
        package_store_append(store, package_digest, PACKAGE, from, package + from,
                             (size_t)(to - from), &next, err) != 0)
        return -1;
    run_saw(run, "at %d, then %d\n", (int)offset, (int)next);
    return 0;
}

static int read_back(struct run *run, struct package_store *store, struct err *err)
{
    uint8_t part[100];
    struct package_entry *entries = NULL;
    uint64_t bytes = 0;
    uint64_t free_bytes = 0;
    size_t got = 0;
    size_t count = 0;
    if (package_store_read(store, package_digest, 1000, part, sizeof part, &got, &bytes, err) != 0)
        return -1;
    run_saw(run, "read %zu of %d: %d\n", got, (int)bytes, memcmp(part, package + 1000, got));
    if (package_store_peek(store, package_digest, 50, part, sizeof part, &got, err) != 0)
        return -1;
    run_saw(run, "peeked %zu: %d\n", got, memcmp(part, package + 50, got));
    int fd = package_store_open(store, package_digest, &bytes, err);
    if (fd < 0)
        return -1;
    (void)close(fd);
    package_store_touch(store, package_digest);
    if (package_store_list(store, &entries, &count, err) != 0)
        return -1;
    run_saw(run, "%zu packages\n", count);
    free(entries);
    return package_store_disk(store, &free_bytes, err);
}

static int use_packages(struct run *run, struct package_store *store, struct err *err)
{
    struct room room = {.store = store,
                        .cache_max = PACKAGE + 100,
                        .in_use = never,
                        .removed = room_removed,
                        .context = run};
    if (append(run, store, 0, 2000, err) != 0)
        return -1;
    if (append(run, store, 2000, PACKAGE, err) != 0)
        return -1;
    if (run_done(run))
        return 0;
    if (read_back(run, store, err) != 0 || room_make(&room, 1000, err) != 0)
        return -1;
    if (run_done(run))
        return 0;
    return package_store_remove(store, package_digest, err);
}

static int run_packages(struct run *run, const char *folder, struct err *err)
{
    char inner[128];
    struct package_store *store = NULL;
    (void)snprintf(inner, sizeof inner, "%s/cache", folder);
    if (package_store_new(&store, inner, err) != 0)
        return -1;
    int failed = use_packages(run, store, err);
    package_store_free(store);
    return failed;
}

/* What is whole has the right bytes; what is on its way can be gone on with. */
static int look_packages(const char *folder, struct buf *out, struct err *err)
{
    char inner[128];
    struct package_store *store = NULL;
    uint8_t bytes[PACKAGE];
    uint64_t offset = 0;
    uint64_t next = 0;
    size_t got = 0;
    (void)snprintf(inner, sizeof inner, "%s/cache", folder);
    if (package_store_new(&store, inner, err) != 0)
        return -1;
    int failed = package_store_offset(store, package_digest, PACKAGE, &offset, err);
    if (!failed && offset == PACKAGE) {
        failed = package_store_read(store, package_digest, 0, bytes, PACKAGE, &got, &next, err);
        buf_printf(out, "whole: %d\n", got == PACKAGE && memcmp(bytes, package, PACKAGE) == 0);
    } else if (!failed) {
        failed = package_store_append(store, package_digest, PACKAGE, offset, package + offset,
                                      (size_t)(PACKAGE - offset), &next, err);
        buf_printf(out, "not whole; can be made so: %d\n", next == PACKAGE);
    }
    package_store_free(store);
    return failed;
}

const struct scenario scenario_packages = {.name = "packages",
                                           .kinds = KINDS_FILES,
                                           .prepare = prepare_packages,
                                           .run = run_packages,
                                           .look = look_packages};
