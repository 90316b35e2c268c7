/* The real pusher-relay, enrolled with a coordinator that is played here over real links, and that
 * turns against it: what it forges, replays, moves or keeps back gets nothing run.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "common/net/link.h"
#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "common/signed/token.h"
#include "common/trust/merkle.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/wire/wire.h"
#include "tests/unit/reason_seen.h"

#define WAIT_MS 60000U
#define TARGET "127.0.0.1"
#define NAMED_TARGET "server-1.invalid"
#define TARGET_COUNT 4U
#define SITE "lyon"
#define CANARY "not-a-real-secret-51f3"

static const char *const targets[TARGET_COUNT] = {TARGET, NAMED_TARGET, "127.0.0.3", ""};

struct fake {
    char folder[64];
    uv_loop_t loop;
    struct link_server *relays;
    char endpoint[LIMIT_ENDPOINT_SIZE];
    struct key_pair coordinator, operator_key, other_operator;
    struct token token;
    struct buf policies[8]; /* as signed, oldest first */
    uint32_t policy_count;
    struct buf certificate;
    uint8_t relay_key[LIMIT_KEY_BYTES], relay_seal_key[LIMIT_KEY_BYTES];
    struct link_peer peer;
    pid_t child;
    struct job job;
    struct merkle_tree *tree;
    /* how it behaves */
    bool token_used, approved, keep_back, fail_enrol;
    /* what was seen */
    uint64_t epoch, instance, hellos, enrolments;
    struct message_hello hello; /* newest */
    struct result_row row;      /* newest */
    uint32_t rows;
};

static void check(int result, const struct err *err)
{
    if (result != 0)
        fail_msg("%s", err->text);
}

static char *path_of(const struct fake *fake, const char *name)
{
    static char paths[6][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 6];
    (void)snprintf(path, PATH_MAX, "%s/%s", fake->folder, name);
    return path;
}

/* ---- the coordinator ---- */

static void send_to_relay(struct fake *fake, const struct message *message)
{
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    check(wire_encode(message, &bytes, &err), &err);
    (void)link_server_send(fake->relays, &fake->peer, bytes.data, bytes.size, NULL);
    buf_release(&bytes);
}

static void send_object(struct fake *fake, const struct buf *object)
{
    struct message message = {.kind = MESSAGE_OBJECT, .object = {object->data, object->size}};
    if (object->size > 0)
        send_to_relay(fake, &message);
}

static void on_enroll(struct fake *fake, const struct message_enroll *enroll)
{
    struct message message = {.kind = MESSAGE_ENROLLED};
    fake->enrolments++;
    memcpy(fake->relay_key, enroll->curve_key, LIMIT_KEY_BYTES);
    memcpy(fake->relay_seal_key, enroll->seal_key, LIMIT_KEY_BYTES);
    if (fake->fail_enrol) {
        message = (struct message){.kind = MESSAGE_FAIL, .fail = {.code = ERR_EXISTS}};
        (void)snprintf(message.fail.text, sizeof message.fail.text,
                       "there is a relay of that name");
        send_to_relay(fake, &message);
        return;
    }
    for (uint32_t i = 0; i < fake->policy_count; i++)
        send_object(fake, &fake->policies[i]);
    (void)snprintf(message.enrolled.site, sizeof message.enrolled.site, SITE);
    message.enrolled.package_port = 9;
    send_to_relay(fake, &message);
}

static void on_hello(struct fake *fake, const struct message_hello *hello)
{
    if (hello->instance != fake->instance)
        fake->epoch++;
    fake->instance = hello->instance;
    fake->hello = *hello;
    fake->hellos++;
    for (uint64_t i = hello->policy_version; !fake->keep_back && i < fake->policy_count; i++)
        send_object(fake, &fake->policies[i]);
    if (!fake->keep_back)
        send_object(fake, &fake->certificate);
    struct message message = {.kind = MESSAGE_WELCOME,
                              .welcome = {fake->epoch, 60000, 1000, hello->instance, 0}};
    send_to_relay(fake, &message);
}

static void on_results(struct fake *fake, const struct message_results *results)
{
    if (results->row_count > 0)
        fake->row = results->rows[results->row_count - 1];
    fake->rows += results->row_count;
    struct message message = {.kind = MESSAGE_RESULTS_ACK,
                              .results_ack = {fake->epoch, results->sequence}};
    send_to_relay(fake, &message);
}

static void relay_said(void *context, const struct link_peer *peer, const uint8_t *bytes,
                       size_t size)
{
    struct fake *fake = context;
    struct message message;
    struct err err = {0};
    fake->peer = *peer;
    check(wire_decode(bytes, size, &message, &err), &err);
    if (message.kind == MESSAGE_ENROLL) {
        on_enroll(fake, &message.enroll);
    } else if (message.kind == MESSAGE_HELLO) {
        on_hello(fake, &message.hello);
    } else if (message.kind == MESSAGE_RESULTS) {
        on_results(fake, &message.results);
    } else if (message.kind == MESSAGE_HEARTBEAT) {
        struct message ack = {.kind = MESSAGE_HEARTBEAT_ACK,
                              .heartbeat_ack = {fake->epoch, message.heartbeat.sent_boottime_ms}};
        send_to_relay(fake, &ack);
    }
    message_release(&message);
}

static bool admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct fake *fake = context;
    if (!fake->token_used && key_equal(key, fake->token.curve.public_key))
        return true;
    return fake->approved && key_equal(key, fake->relay_key);
}

static void serve(struct fake *fake)
{
    struct err err = {0};
    struct link_server_config config = {
        .endpoint = fake->endpoint[0] ? fake->endpoint : "tcp://127.0.0.1:*",
        .key = &fake->coordinator,
        .group = (gid_t)-1,
        .admit = admit,
        .received = relay_said,
        .context = fake,
    };
    check(link_server_new(&fake->relays, &config, &err), &err);
    (void)snprintf(fake->endpoint, sizeof fake->endpoint, "%s", link_server_endpoint(fake->relays));
}

/* ---- what operators sign ---- */

static struct policy policy_of(const struct fake *fake)
{
    struct policy policy = {
        .version = fake->policy_count + 1, .operator_count = 1, .coordinator_count = 1};
    memcpy(policy.operators[0], fake->operator_key.public_key, LIMIT_KEY_BYTES);
    memcpy(policy.coordinators[0], fake->coordinator.public_key, LIMIT_KEY_BYTES);
    return policy;
}

static void add_policy(struct fake *fake, const struct policy *policy,
                       const struct key_pair *signer)
{
    struct err err = {0};
    struct buf *to = &fake->policies[fake->policy_count++];
    assert_true(fake->policy_count <= 8);
    buf_init(to, OBJECT_BYTES_MAX);
    check(policy_make(policy, signer, to, &err), &err);
}

static struct certificate certificate_of(const struct fake *fake, struct subnet *subnet,
                                         const char *cidr, uint64_t serial)
{
    struct certificate certificate = {
        .relay = "lyon-1",
        .site = SITE,
        .serial = serial,
        .not_before_unix_s = (int64_t)time(NULL) - 60,
        .not_after_unix_s = (int64_t)time(NULL) + 3600,
        .subnets = subnet,
        .subnet_count = 1,
    };
    assert_int_equal(subnet_from_text(cidr, subnet, NULL), 0);
    memcpy(certificate.curve_key, fake->relay_key, LIMIT_KEY_BYTES);
    memcpy(certificate.seal_key, fake->relay_seal_key, LIMIT_KEY_BYTES);
    return certificate;
}

static void sign_certificate(struct fake *fake, const struct certificate *certificate)
{
    struct err err = {0};
    buf_reset(&fake->certificate);
    check(certificate_make(certificate, &fake->operator_key, &fake->certificate, &err), &err);
}

static void approve(struct fake *fake, const char *cidr)
{
    struct subnet subnet;
    struct certificate certificate = certificate_of(fake, &subnet, cidr, 1);
    sign_certificate(fake, &certificate);
    fake->approved = true;
}

static void make_token(struct fake *fake)
{
    token_release(&fake->token);
    token_generate(&fake->token, fake->coordinator.public_key, fake->operator_key.public_key,
                   fake->policy_count);
    fake->token_used = false;
    char *text = token_text(&fake->token);
    FILE *file = fopen(path_of(fake, "token"), "w");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", text);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(fake, "token"), 0600), 0);
    secret_free(text);
}

static void make_job(struct fake *fake)
{
    int64_t now_s = (int64_t)time(NULL);
    fake->job = (struct job){
        .generation = 1,
        .package_name = "setup.exe",
        .package_bytes = 10,
        .run_as = RUN_AS_SYSTEM,
        .ping = PING_SKIP,
        .end_unix_s = now_s + 3600,
        .run_timeout_s = 7200,
        .not_before_unix_s = now_s - 60,
        .not_after_unix_s = now_s + 3600,
        .target_count = TARGET_COUNT,
        .counter = 1,
        .policy_version = 1,
    };
    random_bytes(fake->job.push.bytes, PUSH_ID_BYTES);
    merkle_tree_root(fake->tree, fake->job.targets_root);
}

static void sign_job(struct fake *fake, const struct key_pair *signer, struct buf *out)
{
    struct buf payload;
    struct err err = {0};
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    buf_init(out, OBJECT_BYTES_MAX);
    check(wire_encode_job(&fake->job, &payload, &err), &err);
    check(signed_make(signer, SIGNED_JOB, payload.data, payload.size, out, &err), &err);
    buf_release(&payload);
}

static void seal_push(struct fake *fake, const struct key_pair *signer, struct buf *out)
{
    struct credential credential = {.account = ".\\push", .secret = CANARY};
    struct seal_context context = {.push = fake->job.push, .counter = fake->job.counter};
    struct buf clear;
    struct err err = {0};
    buf_init(&clear, 4096);
    buf_init(out, OBJECT_BYTES_MAX);
    check(wire_encode_credential(&credential, &clear, &err), &err);
    check(seal_make(signer, fake->relay_seal_key, &context, clear.data, clear.size, out, &err),
          &err);
    buf_release(&clear);
}

static void seal_site(struct fake *fake, const char *site, uint64_t counter, struct buf *out)
{
    struct credential clear = {.account = ".\\site", .secret = CANARY};
    struct site_credential terms = {.counter = counter, .account = ".\\site"};
    struct err err = {0};
    (void)snprintf(terms.site, sizeof terms.site, "%s", site);
    memcpy(terms.seal_key, fake->relay_seal_key, LIMIT_KEY_BYTES);
    buf_init(out, OBJECT_BYTES_MAX);
    check(site_credential_make(&terms, &clear, &fake->operator_key, out, &err), &err);
}

static void send_job_bytes(struct fake *fake, const struct buf *job, const struct buf *credential)
{
    struct message message = {.kind = MESSAGE_JOB};
    message.job.signed_job = job->data;
    message.job.signed_job_size = job->size;
    message.job.sealed_credential = credential->data;
    message.job.sealed_credential_size = credential->size;
    send_to_relay(fake, &message);
}

static void send_job(struct fake *fake, const struct key_pair *signer)
{
    struct buf job, credential;
    sign_job(fake, signer, &job);
    seal_push(fake, signer, &credential);
    send_job_bytes(fake, &job, &credential);
    buf_release(&job);
    buf_release(&credential);
}

static void send_lease_as(struct fake *fake, uint32_t no, uint32_t told_no, const char *told_name,
                          uint32_t attempt)
{
    char name[64];
    struct buf proof;
    struct lease_entry entry = {told_no, attempt, name};
    struct message message = {.kind = MESSAGE_LEASE};
    buf_init(&proof, 65536);
    assert_int_equal(merkle_tree_prove(fake->tree, &no, 1, &proof, NULL), 0);
    (void)snprintf(name, sizeof name, "%s", told_name);
    message.lease.epoch = fake->epoch;
    message.lease.push = fake->job.push;
    message.lease.generation = fake->job.generation;
    message.lease.entries = &entry;
    message.lease.entry_count = 1;
    message.lease.proof = proof.data;
    message.lease.proof_size = proof.size;
    send_to_relay(fake, &message);
    buf_release(&proof);
}

static void send_lease(struct fake *fake, uint32_t no, uint32_t attempt)
{
    send_lease_as(fake, no, no, targets[no], attempt);
}

/* ---- running it ---- */

static void program(const struct fake *fake, const char *const *arguments, bool again)
{
    char path[PATH_MAX];
    const char *argv[20] = {path};
    const char *bin = getenv("PUSHER_BIN");
    (void)snprintf(path, sizeof path, "%s/pusher-relay", bin ? bin : "../../build/dev/bin");
    for (size_t i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (again ? O_APPEND : O_TRUNC);
    int log = open(path_of(fake, "relay.log"), flags, 0600);
    (void)dup2(log, STDERR_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)execv(path, (char **)(uintptr_t)argv);
    _exit(127);
}

static void start(struct fake *fake, const char *const *arguments)
{
    assert_int_equal(fake->child, 0);
    fake->child = fork();
    assert_true(fake->child >= 0);
    if (fake->child == 0)
        program(fake, arguments, true);
}

static void on_alarm(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_beat(uv_timer_t *timer)
{
    (void)timer; /* the loop turns */
}

static void on_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

static void print_log(struct fake *fake)
{
    char line[512];
    FILE *file = fopen(path_of(fake, "relay.log"), "r");
    while (file && fgets(line, sizeof line, file))
        print_message("%s", line);
    if (file)
        (void)fclose(file);
}

/* Turns the loop until `done` says so. */
static void turn_until(struct fake *fake, bool (*done)(struct fake *fake, const void *what),
                       const void *what, const char *name)
{
    uv_timer_t alarm;
    uv_timer_t beat;
    bool late = false;
    bool seen = false;
    (void)uv_timer_init(&fake->loop, &alarm);
    (void)uv_timer_init(&fake->loop, &beat);
    alarm.data = &late;
    beat.data = &late;
    (void)uv_timer_start(&alarm, on_alarm, WAIT_MS, 0);
    (void)uv_timer_start(&beat, on_beat, 20, 20);
    while (!late && !(seen = done(fake, what)))
        (void)uv_run(&fake->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&alarm, on_closed);
    uv_close((uv_handle_t *)&beat, on_closed);
    while (alarm.data || beat.data)
        (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
    if (!seen) {
        print_log(fake);
        fail_msg("never saw %s", name);
    }
}

static bool log_has(struct fake *fake, const void *text)
{
    static char log[1 << 20];
    FILE *file = fopen(path_of(fake, "relay.log"), "r");
    if (!file)
        return false;
    size_t size = fread(log, 1, sizeof log - 1, file);
    (void)fclose(file);
    log[size] = '\0';
    return strstr(log, text) != NULL;
}

static bool rows_are(struct fake *fake, const void *least)
{
    return fake->rows >= *(const uint32_t *)least;
}

static bool hellos_are(struct fake *fake, const void *least)
{
    return fake->hellos >= *(const uint64_t *)least;
}

static bool child_ended(struct fake *fake, const void *status)
{
    if (waitpid(fake->child, (int *)(uintptr_t)status, WNOHANG) != fake->child)
        return false;
    fake->child = 0;
    return true;
}

static void wait_log(struct fake *fake, const char *text)
{
    turn_until(fake, log_has, text, text);
}

static void wait_row(struct fake *fake, enum reason reason, const char *detail)
{
    uint32_t one = 1;
    turn_until(fake, rows_are, &one, "a row");
    if (fake->row.outcome.reason != reason ||
        !strstr(fake->row.outcome.detail, detail ? detail : "")) {
        print_log(fake);
        fail_msg("row says %s: %s", reason_word(fake->row.outcome.reason),
                 fake->row.outcome.detail);
    }
    reason_seen(reason);
    fake->rows = 0;
}

static int run_to_end(struct fake *fake, const char *const *arguments)
{
    int status = 0;
    start(fake, arguments);
    turn_until(fake, child_ended, &status, "the end of the program");
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int enrol_with(struct fake *fake, const char *more)
{
    const char *const arguments[] = {"enroll",
                                     "--state",
                                     path_of(fake, "state"),
                                     "--coordinator",
                                     fake->endpoint,
                                     "--token-file",
                                     path_of(fake, "token"),
                                     "--name",
                                     "lyon-1",
                                     "--timeout",
                                     "50",
                                     more,
                                     NULL};
    return run_to_end(fake, arguments);
}

static void enrol(struct fake *fake)
{
    if (enrol_with(fake, NULL) != 0) {
        print_log(fake);
        fail_msg("not enrolled");
    }
    fake->token_used = true;
}

static void start_relay(struct fake *fake)
{
    const char *const arguments[] = {"run", "--verbose", "--state", path_of(fake, "state"), NULL};
    start(fake, arguments);
}

static int run_relay_to_end(struct fake *fake)
{
    const char *const arguments[] = {"run", "--state", path_of(fake, "state"), NULL};
    return run_to_end(fake, arguments);
}

static int status_of(struct fake *fake)
{
    const char *const arguments[] = {"status", "--state", path_of(fake, "state"), NULL};
    return run_to_end(fake, arguments);
}

static void end_relay(struct fake *fake, int signal_no)
{
    int status = 0;
    if (fake->child <= 0)
        return;
    (void)kill(fake->child, signal_no);
    if (signal_no == SIGKILL) {
        (void)waitpid(fake->child, &status, 0);
        fake->child = 0;
        return;
    }
    turn_until(fake, child_ended, &status, "the relay's end");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Enrolled, approved for the loopback addresses, running, and said so. */
static void work(struct fake *fake)
{
    enrol(fake);
    approve(fake, "127.0.0.0/8");
    start_relay(fake);
    wait_log(fake, "this relay may work");
}

static int setup(void **state)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct err err = {0};
    assert_non_null(fake);
    *state = fake;
    (void)snprintf(fake->folder, sizeof fake->folder, "/tmp/pusher-enrolled-XXXXXX");
    assert_non_null(mkdtemp(fake->folder));
    check(trust_start(&err), &err);
    assert_int_equal(uv_loop_init(&fake->loop), 0);
    check(net_start(&fake->loop, &err), &err);
    key_pair_generate(&fake->coordinator, KEY_CURVE);
    key_pair_generate(&fake->operator_key, KEY_OPERATOR);
    key_pair_generate(&fake->other_operator, KEY_OPERATOR);
    fake->tree = merkle_tree_new();
    for (uint32_t i = 0; i < TARGET_COUNT; i++)
        assert_int_equal(merkle_tree_add(fake->tree, targets[i], NULL), 0);
    buf_init(&fake->certificate, OBJECT_BYTES_MAX);
    struct policy policy = policy_of(fake);
    add_policy(fake, &policy, &fake->operator_key);
    make_token(fake);
    make_job(fake);
    serve(fake);
    return 0;
}

static int teardown(void **state)
{
    struct fake *fake = *state;
    char command[PATH_MAX];
    end_relay(fake, SIGKILL);
    link_server_free(fake->relays);
    net_stop();
    for (int i = 0; i < 100 && uv_run(&fake->loop, UV_RUN_NOWAIT) != 0; i++)
        continue;
    (void)uv_loop_close(&fake->loop);
    key_pair_release(&fake->coordinator);
    key_pair_release(&fake->operator_key);
    key_pair_release(&fake->other_operator);
    token_release(&fake->token);
    for (uint32_t i = 0; i < fake->policy_count; i++)
        buf_release(&fake->policies[i]);
    buf_release(&fake->certificate);
    merkle_tree_free(fake->tree);
    (void)snprintf(command, sizeof command, "rm -rf %s", fake->folder);
    assert_int_equal(system(command), 0);
    free(fake);
    return 0;
}

/* ---- enrolling ---- */

static void enrolled_relay_waits_then_works(void **state)
{
    struct fake *fake = *state;
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    enrol(fake);
    relay_fingerprint(fake->relay_key, fake->relay_seal_key, "lyon-1", fingerprint);
    assert_true(log_has(fake, fingerprint));
    assert_true(log_has(fake, "pusher relay approve lyon-1"));
    assert_int_equal(status_of(fake), 0);
    assert_true(log_has(fake, "no operator has approved this relay yet"));
    start_relay(fake);
    wait_log(fake, "waiting for approval");
    assert_int_equal(fake->hellos, 0);
    approve(fake, "127.0.0.0/8");
    wait_log(fake, "this relay may work");
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
    assert_string_equal(fake->row.outcome.address, TARGET);
    end_relay(fake, SIGTERM);
    uint64_t hellos = fake->hellos + 1;
    start_relay(fake);
    turn_until(fake, hellos_are, &hellos, "HELLO");
    assert_int_equal(fake->hello.policy_version, 1);
    assert_int_equal(fake->hello.certificate_serial, 1);
    assert_true(fake->hello.credit > 0);
    assert_false(log_has(fake, CANARY));
}

static void enrolling_refused_says_why(void **state)
{
    struct fake *fake = *state;
    fake->token_used = true;
    assert_int_equal(enrol_with(fake, NULL), 1);
    assert_true(log_has(fake, "refuses this token"));
    fake->token_used = false;
    fake->fail_enrol = true;
    assert_int_equal(enrol_with(fake, NULL), 1);
    assert_true(log_has(fake, "there is a relay of that name"));
    assert_int_equal(run_relay_to_end(fake), 2);
    assert_true(log_has(fake, "isn't enrolled"));
}

static void enrolling_with_policies_of_others_refused(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    /* A chain of its own making doesn't go through what the token's operator signed. */
    policy.version = 1;
    memcpy(policy.operators[0], fake->other_operator.public_key, LIMIT_KEY_BYTES);
    fake->policy_count = 0;
    buf_release(&fake->policies[0]);
    add_policy(fake, &policy, &fake->other_operator);
    policy.version = 2; /* nor does a longer one help */
    add_policy(fake, &policy, &fake->other_operator);
    assert_int_equal(enrol_with(fake, NULL), 1);
    assert_true(log_has(fake, "not to be trusted"));
    assert_int_equal(status_of(fake), 1);
}

static void enrolling_under_older_policy_than_the_tokens_refused(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    add_policy(fake, &policy, &fake->operator_key);
    make_token(fake);
    fake->policy_count = 1;
    int status = enrol_with(fake, NULL);
    fake->policy_count = 2;
    assert_int_equal(status, 1);
    assert_true(log_has(fake, "not to be trusted"));
    enrol(fake);
    assert_true(log_has(fake, "policy version 2"));
}

static void enrolling_twice_needs_again_and_makes_new_keys(void **state)
{
    struct fake *fake = *state;
    uint8_t before[LIMIT_KEY_BYTES];
    struct stat info;
    enrol(fake);
    memcpy(before, fake->relay_key, LIMIT_KEY_BYTES);
    make_token(fake);
    assert_int_equal(enrol_with(fake, NULL), 1);
    assert_true(log_has(fake, "enrolled already"));
    assert_int_equal(enrol_with(fake, "--again"), 0);
    assert_true(log_has(fake, "has new keys"));
    assert_false(key_equal(before, fake->relay_key));
    assert_int_equal(stat(path_of(fake, "state/curve.key.old"), &info), 0);
    approve(fake, "127.0.0.0/8");
    start_relay(fake);
    wait_log(fake, "this relay may work");
}

static void token_is_nowhere_after_enrolling(void **state)
{
    struct fake *fake = *state;
    char command[PATH_MAX];
    char *text = token_text(&fake->token);
    const char *const arguments[] = {"enroll",
                                     "--state",
                                     path_of(fake, "state"),
                                     "--coordinator",
                                     fake->endpoint,
                                     "--token",
                                     text,
                                     "--name",
                                     "lyon-1",
                                     NULL};
    assert_int_equal(run_to_end(fake, arguments), 0);
    assert_int_equal(unlink(path_of(fake, "token")), 0);
    (void)snprintf(command, sizeof command, "grep -rqF -- '%s' %s", text + sizeof TOKEN_PREFIX - 1,
                   fake->folder);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    secret_free(text);
}

static size_t read_proc(const struct fake *fake, const char *what, char *to, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)fake->child, what);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(to, 1, size - 1, file);
    (void)fclose(file);
    to[got] = '\0';
    return got;
}

static bool token_left_the_arguments(struct fake *fake, const void *text)
{
    char arguments[4096];
    size_t size = read_proc(fake, "cmdline", arguments, sizeof arguments);
    static const char started[] = "--coordinator"; /* before exec they are this program's */
    return memmem(arguments, size, started, strlen(started)) &&
           !memmem(arguments, size, text, strlen(text));
}

static void enrolling_process_shows_no_token_and_dumps_no_core(void **state)
{
    struct fake *fake = *state;
    char limits[4096];
    char *text = token_text(&fake->token);
    link_server_free(fake->relays); /* nobody answers: it waits */
    fake->relays = NULL;
    const char *const arguments[] = {"enroll",
                                     "--state",
                                     path_of(fake, "state"),
                                     "--coordinator",
                                     "tcp://127.0.0.1:9",
                                     "--token",
                                     text,
                                     "--name",
                                     "lyon-1",
                                     NULL};
    start(fake, arguments);
    turn_until(fake, token_left_the_arguments, text, "arguments without the token");
    (void)read_proc(fake, "limits", limits, sizeof limits);
    const char *core = strstr(limits, "Max core file size");
    assert_non_null(core);
    unsigned long soft = 1;
    assert_int_equal(sscanf(core, "Max core file size %lu", &soft), 1);
    assert_int_equal(soft, 0);
    secret_free(text);
}

/* ---- scope, never-touch ---- */

static void address_outside_of_the_certificate_refused(void **state)
{
    struct fake *fake = *state;
    enrol(fake);
    approve(fake, "127.0.0.2/32");
    start_relay(fake);
    wait_log(fake, "this relay may work");
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_OUT_OF_SCOPE, TARGET);
    /* A newer one counts at once, for jobs that are known, too. */
    struct subnet subnet;
    struct certificate certificate = certificate_of(fake, &subnet, "127.0.0.3/32", 2);
    sign_certificate(fake, &certificate);
    send_object(fake, &fake->certificate);
    send_lease(fake, 2, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
}

static void names_and_addresses_nobody_touches_left_alone(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    struct subnet never;
    char name[] = "SERVER-*";
    char *names[] = {name};
    assert_int_equal(subnet_from_text("127.0.0.3/32", &never, NULL), 0);
    policy.never_names = names;
    policy.never_name_count = 1;
    policy.never_subnets = &never;
    policy.never_subnet_count = 1;
    work(fake);
    send_job(fake, &fake->operator_key);
    add_policy(fake, &policy, &fake->operator_key); /* comes while the push is open */
    send_object(fake, &fake->policies[1]);
    send_lease(fake, 1, 1);
    wait_row(fake, REASON_NEVER_TOUCH, NAMED_TARGET);
    assert_int_equal(fake->row.outcome.state, TARGET_NEVER_ATTEMPTED);
    assert_int_equal(fake->row.outcome.stage, STAGE_COUNT);
    send_lease(fake, 2, 1);
    wait_row(fake, REASON_NEVER_TOUCH, "127.0.0.3");
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
}

/* ---- the coordinator turns ---- */

/* Sends the object once for each of its bytes, altered there. */
static void send_altered(struct fake *fake, const struct buf *object)
{
    for (size_t at = 0; at < object->size; at++) {
        object->data[at] ^= 0x20;
        send_object(fake, object);
        object->data[at] ^= 0x20;
        if (at % 64 == 0)
            (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
    }
}

static void altered_jobs_run_nothing(void **state)
{
    struct fake *fake = *state;
    struct buf job, credential;
    work(fake);
    sign_job(fake, &fake->operator_key, &job);
    seal_push(fake, &fake->operator_key, &credential);
    for (size_t at = 0; at < job.size; at++) {
        job.data[at] ^= 0x20;
        send_job_bytes(fake, &job, &credential);
        job.data[at] ^= 0x20;
        if (at % 64 == 0)
            (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
    }
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_JOB_REFUSED, NULL);
    assert_false(log_has(fake, " accepted: "));
    for (size_t at = 0; at < credential.size; at++) {
        credential.data[at] ^= 0x20;
        send_job_bytes(fake, &job, &credential);
        credential.data[at] ^= 0x20;
        if (at % 64 == 0)
            (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
    }
    send_lease(fake, 0, 2);
    wait_row(fake, REASON_JOB_REFUSED, NULL);
    assert_false(log_has(fake, " accepted: "));
    send_job_bytes(fake, &job, &credential); /* as it was signed */
    send_lease(fake, 2, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
    assert_true(log_has(fake, " accepted: "));
    buf_release(&job);
    buf_release(&credential);
}

static void altered_certificates_and_policies_change_nothing(void **state)
{
    struct fake *fake = *state;
    struct subnet subnet;
    struct policy policy;
    work(fake);
    fake->keep_back = true; /* nor does a HELLO bring them before their time */
    struct certificate certificate = certificate_of(fake, &subnet, "0.0.0.0/0", 2);
    sign_certificate(fake, &certificate);
    send_altered(fake, &fake->certificate);
    policy = policy_of(fake);
    memcpy(policy.operators[1], fake->other_operator.public_key, LIMIT_KEY_BYTES);
    policy.operator_count = 2;
    add_policy(fake, &policy, &fake->operator_key);
    send_altered(fake, &fake->policies[1]);
    /* By somebody else; and of somebody else's site. */
    struct buf forged;
    buf_init(&forged, OBJECT_BYTES_MAX);
    assert_int_equal(policy_make(&policy, &fake->other_operator, &forged, NULL), 0);
    send_object(fake, &forged);
    buf_reset(&forged);
    (void)snprintf(certificate.site, sizeof certificate.site, "paris");
    assert_int_equal(certificate_make(&certificate, &fake->operator_key, &forged, NULL), 0);
    send_object(fake, &forged);
    buf_release(&forged);
    /* Whoever would be an operator by then isn't. */
    send_job(fake, &fake->other_operator);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_JOB_REFUSED, "names as operator");
    assert_false(log_has(fake, "policy version 2:"));
    assert_false(log_has(fake, "certificate 2:"));
    assert_true(log_has(fake, "for site paris"));
    send_object(fake, &fake->policies[1]);
    send_object(fake, &fake->certificate);
    wait_log(fake, "policy version 2:");
    wait_log(fake, "certificate 2:");
}

static void moved_targets_refused(void **state)
{
    struct fake *fake = *state;
    work(fake);
    send_job(fake, &fake->operator_key);
    send_lease_as(fake, 0, 2, TARGET, 1);
    wait_row(fake, REASON_JOB_REFUSED, "nothing shows");
    send_lease_as(fake, 0, 0, "127.0.0.3", 1);
    wait_row(fake, REASON_JOB_REFUSED, "nothing shows");
    send_lease(fake, 3, 1); /* proven, and nobody: left out of this generation */
    wait_row(fake, REASON_JOB_REFUSED, "leaves this target out");
}

static void older_generation_and_older_signature_refused(void **state)
{
    struct fake *fake = *state;
    struct buf first_job, first_credential;
    work(fake);
    sign_job(fake, &fake->operator_key, &first_job);
    seal_push(fake, &fake->operator_key, &first_credential);
    fake->job.generation = 2;
    fake->job.counter = 5;
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
    for (int round = 0; round < 2; round++) {
        send_job_bytes(fake, &first_job, &first_credential);
        fake->job.generation = 1;
        send_lease(fake, 0, 1);
        wait_row(fake, REASON_JOB_REFUSED, "newer generation");
        end_relay(fake, SIGKILL);
        uint64_t hellos = fake->hellos + 1;
        start_relay(fake);
        turn_until(fake, hellos_are, &hellos, "HELLO");
        uint32_t one = 1; /* what was not yet acknowledged comes again */
        turn_until(fake, rows_are, &one, "the journal's row");
        fake->rows = 0;
        send_to_relay(fake, &(struct message){.kind = MESSAGE_CLOSE,
                                              .push_ref = {fake->epoch, fake->job.push, 1, 0}});
    }
    buf_release(&first_job);
    buf_release(&first_credential);
}

static void site_credentials_of_others_and_older_ones_refused(void **state)
{
    struct fake *fake = *state;
    static const struct {
        const char *site;
        uint64_t counter;
        const char *detail; /* NULL: accepted */
    } steps[] = {
        {"paris", 3, "another site"},
        {SITE, 3, NULL},
        {SITE, 2, "older"},
        {SITE, 4, NULL},
    };
    struct buf job, credential;
    work(fake);
    fake->job.site_credentials = true;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fake->job.push.bytes[0] = (uint8_t)i;
        sign_job(fake, &fake->operator_key, &job);
        seal_site(fake, steps[i].site, steps[i].counter, &credential);
        send_job_bytes(fake, &job, &credential);
        send_lease(fake, 0, 1);
        wait_row(fake, steps[i].detail ? REASON_JOB_REFUSED : REASON_PORT_CLOSED, steps[i].detail);
        buf_release(&job);
        buf_release(&credential);
    }
    assert_false(log_has(fake, CANARY));
}

static void job_waits_for_its_policy(void **state)
{
    struct fake *fake = *state;
    work(fake);
    struct policy policy = policy_of(fake);
    fake->keep_back = true;
    add_policy(fake, &policy, &fake->operator_key);
    fake->job.policy_version = 2;
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_log(fake, "a job waits for policy version 2");
    assert_int_equal(fake->rows, 0);
    fake->keep_back = false;
    send_object(fake, &fake->policies[1]);
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
}

static void job_of_an_operator_who_left_ends(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    policy.version = 1;
    memcpy(policy.operators[1], fake->other_operator.public_key, LIMIT_KEY_BYTES);
    policy.operator_count = 2;
    fake->policy_count = 0;
    buf_release(&fake->policies[0]);
    add_policy(fake, &policy, &fake->operator_key);
    work(fake);
    send_job(fake, &fake->other_operator);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
    policy = policy_of(fake);
    add_policy(fake, &policy, &fake->operator_key);
    send_object(fake, &fake->policies[1]);
    send_lease(fake, 2, 1);
    wait_row(fake, REASON_JOB_REFUSED, "no operator any more");
}

static void expired_certificate_takes_nothing(void **state)
{
    struct fake *fake = *state;
    struct subnet subnet;
    enrol(fake);
    struct certificate certificate = certificate_of(fake, &subnet, "127.0.0.0/8", 1);
    certificate.not_after_unix_s = (int64_t)time(NULL) - 1;
    sign_certificate(fake, &certificate);
    fake->approved = true;
    start_relay(fake);
    wait_log(fake, "certificate 1:");
    assert_int_equal(fake->hello.credit, 0);
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    certificate.serial = 2;
    certificate.not_after_unix_s += 3600;
    sign_certificate(fake, &certificate);
    send_object(fake, &fake->certificate);
    wait_log(fake, "this relay may work");
    assert_false(log_has(fake, " accepted: ")); /* it was asked before */
    assert_int_equal(fake->rows, 0);
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
}

/* ---- keys and files ---- */

static void coordinator_found_by_each_key_of_the_policy(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    struct key_pair stranger = {0};
    key_pair_generate(&stranger, KEY_CURVE);
    policy.version = 1;
    memcpy(policy.coordinators[0], stranger.public_key, LIMIT_KEY_BYTES);
    memcpy(policy.coordinators[1], fake->coordinator.public_key, LIMIT_KEY_BYTES);
    policy.coordinator_count = 2;
    fake->policy_count = 0;
    buf_release(&fake->policies[0]);
    add_policy(fake, &policy, &fake->operator_key);
    work(fake);
    key_pair_release(&stranger);
}

/* The same address, maybe another key. */
static void serve_anew(struct fake *fake)
{
    link_server_free(fake->relays);
    fake->relays = NULL;
    net_stop(); /* the port is free again */
    assert_int_equal(net_start(&fake->loop, NULL), 0);
    serve(fake);
}

static void coordinator_whose_key_was_replaced_found_by_the_new_one(void **state)
{
    struct fake *fake = *state;
    struct policy policy = policy_of(fake);
    struct key_pair fresh = {0};
    key_pair_generate(&fresh, KEY_CURVE);
    memcpy(policy.coordinators[0], fresh.public_key, LIMIT_KEY_BYTES);
    work(fake);
    add_policy(fake, &policy, &fake->operator_key);
    send_object(fake, &fake->policies[1]);
    wait_log(fake, "dialling with those"); /* whoever has the old key gets no hearing */
    key_pair_release(&fake->coordinator);
    fake->coordinator = fresh;
    serve_anew(fake);
    uint64_t hellos = fake->hellos + 1;
    turn_until(fake, hellos_are, &hellos, "HELLO");
    assert_int_equal(fake->hello.policy_version, 2);
    send_job(fake, &fake->operator_key);
    send_lease(fake, 0, 1);
    wait_row(fake, REASON_PORT_CLOSED, NULL);
}

static void revoked_relay_says_so_and_dials_on(void **state)
{
    struct fake *fake = *state;
    work(fake);
    fake->approved = false;
    end_relay(fake, SIGTERM);
    serve_anew(fake);
    start_relay(fake);
    wait_log(fake, "it was revoked");
    fake->approved = true;
    uint64_t hellos = fake->hellos + 1;
    turn_until(fake, hellos_are, &hellos, "HELLO");
}

static void expect_no_start(struct fake *fake, const char *why)
{
    assert_int_equal(run_relay_to_end(fake), 1);
    if (!log_has(fake, why)) {
        print_log(fake);
        fail_msg("not said: %s", why);
    }
    assert_int_equal(unlink(path_of(fake, "relay.log")), 0);
}

static void damage(struct fake *fake, const char *name)
{
    FILE *file = fopen(path_of(fake, name), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 40, SEEK_SET), 0);
    int was = fgetc(file);
    assert_int_equal(fseek(file, 40, SEEK_SET), 0);
    assert_int_not_equal(fputc(was ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void files_others_may_read_or_damaged_keep_it_from_starting(void **state)
{
    static const char *const files[] = {"state/enrolled", "state/policy.signed",
                                        "state/certificate.signed", "state/curve.key",
                                        "state/seal.key"};
    struct fake *fake = *state;
    work(fake);
    end_relay(fake, SIGTERM);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(chmod(path_of(fake, files[i]), 0640), 0);
        expect_no_start(fake, "must be 0600");
        assert_int_equal(chmod(path_of(fake, files[i]), 0600), 0);
    }
    assert_int_equal(chmod(path_of(fake, "state"), 0755), 0);
    expect_no_start(fake, "mode 0700");
    assert_int_equal(chmod(path_of(fake, "state"), 0700), 0);
    damage(fake, "state/certificate.signed");
    expect_no_start(fake, "remove it");
    assert_int_equal(unlink(path_of(fake, "state/certificate.signed")), 0);
    damage(fake, "state/policy.signed");
    expect_no_start(fake, "damaged");
    damage(fake, "state/policy.signed"); /* and back */
    assert_int_equal(truncate(path_of(fake, "state/enrolled"), 30), 0);
    expect_no_start(fake, "is damaged");
}

static void second_process_on_the_folder_refused(void **state)
{
    struct fake *fake = *state;
    work(fake);
    pid_t first = fake->child;
    fake->child = 0;
    assert_int_equal(run_relay_to_end(fake), 1);
    assert_true(log_has(fake, "another pusher-relay"));
    make_token(fake);
    assert_int_equal(enrol_with(fake, "--again"), 1);
    fake->child = first;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* With an argument: only the cases of that name, "altered*". */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        CASE(enrolled_relay_waits_then_works),
        CASE(enrolling_refused_says_why),
        CASE(enrolling_with_policies_of_others_refused),
        CASE(enrolling_under_older_policy_than_the_tokens_refused),
        CASE(enrolling_twice_needs_again_and_makes_new_keys),
        CASE(token_is_nowhere_after_enrolling),
        CASE(enrolling_process_shows_no_token_and_dumps_no_core),
        CASE(address_outside_of_the_certificate_refused),
        CASE(names_and_addresses_nobody_touches_left_alone),
        CASE(altered_jobs_run_nothing),
        CASE(altered_certificates_and_policies_change_nothing),
        CASE(moved_targets_refused),
        CASE(older_generation_and_older_signature_refused),
        CASE(site_credentials_of_others_and_older_ones_refused),
        CASE(job_waits_for_its_policy),
        CASE(job_of_an_operator_who_left_ends),
        CASE(expired_certificate_takes_nothing),
        CASE(coordinator_found_by_each_key_of_the_policy),
        CASE(coordinator_whose_key_was_replaced_found_by_the_new_one),
        CASE(revoked_relay_says_so_and_dials_on),
        CASE(files_others_may_read_or_damaged_keep_it_from_starting),
        CASE(second_process_on_the_folder_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
