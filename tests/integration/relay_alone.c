/* The real pusher-relay against a small coordinator that is played here over real links: signed
 * jobs, leases, a package in chunks, lost acknowledgements, kill -9, a damaged journal. The one
 * target is this machine's own loopback address, whose port 445 must be closed.
 */
#include <errno.h>
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

#include "common/base/hex.h"
#include "common/net/link.h"
#include "common/trust/merkle.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"
#include "tests/unit/reason_seen.h"

#define PACKAGE_BYTES 1500000U
#define WAIT_MS 20000U
#define TARGET "127.0.0.1"

struct fake {
    char folder[64];
    uv_loop_t loop;
    struct link_server *relays, *packages;
    struct key_pair curve, operator_key;
    uint8_t relay_key[LIMIT_KEY_BYTES], relay_seal_key[LIMIT_KEY_BYTES];
    struct link_peer peer;
    pid_t child;
    uint8_t *package;
    uint8_t package_digest[LIMIT_DIGEST_BYTES];
    struct push_id push;
    struct job job;
    /* what was seen */
    uint64_t epoch, instance, hellos, sequence;
    struct result_row row; /* newest */
    uint32_t rows, chunks, lose_chunks;
    bool mute; /* results are not acknowledged */
};

static void check(int result, const struct err *err)
{
    if (result != 0)
        fail_msg("%s", err->text);
}

static char *path_of(const struct fake *fake, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, PATH_MAX, "%s/%s", fake->folder, name);
    return path;
}

static void reply(struct link_server *server, const struct link_peer *peer,
                  const struct message *message)
{
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    check(wire_encode(message, &bytes, &err), &err);
    (void)link_server_send(server, peer, bytes.data, bytes.size, NULL);
    buf_release(&bytes);
}

static void send_to_relay(struct fake *fake, const struct message *message)
{
    reply(fake->relays, &fake->peer, message);
}

static void on_hello(struct fake *fake, const struct message_hello *hello)
{
    if (hello->instance != fake->instance)
        fake->epoch++;
    fake->instance = hello->instance;
    fake->hellos++;
    memcpy(fake->relay_seal_key, hello->seal_key, LIMIT_KEY_BYTES);
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
    if (!fake->mute)
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
    if (message.kind == MESSAGE_HELLO) {
        on_hello(fake, &message.hello);
    } else if (message.kind == MESSAGE_RESULTS) {
        on_results(fake, &message.results);
    } else if (message.kind == MESSAGE_HEARTBEAT) {
        struct message ack = {.kind = MESSAGE_HEARTBEAT_ACK,
                              .heartbeat_ack = {fake->epoch, message.heartbeat.sent_boottime_ms}};
        send_to_relay(fake, &ack);
    } else {
        fail_msg("the relay says %s", message_kind_word(message.kind));
    }
    message_release(&message);
}

static void package_asked(void *context, const struct link_peer *peer, const uint8_t *bytes,
                          size_t size)
{
    struct fake *fake = context;
    struct message message;
    struct err err = {0};
    check(wire_decode(bytes, size, &message, &err), &err);
    const struct message_chunk_request *request = &message.chunk_request;
    assert_int_equal(message.kind, MESSAGE_CHUNK_REQUEST);
    assert_true(request->offset + request->size <= PACKAGE_BYTES);
    fake->chunks++;
    if (fake->lose_chunks > 0) {
        fake->lose_chunks--;
        return;
    }
    struct message chunk = {.kind = MESSAGE_CHUNK};
    memcpy(chunk.chunk.digest, request->digest, LIMIT_DIGEST_BYTES);
    chunk.chunk.offset = request->offset;
    chunk.chunk.total = PACKAGE_BYTES;
    chunk.chunk.data = fake->package + request->offset;
    chunk.chunk.size = request->size;
    reply(fake->packages, peer, &chunk);
}

static bool admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct fake *fake = context;
    return key_equal(key, fake->relay_key);
}

static struct link_server *serve(struct fake *fake, const char *name,
                                 void (*received)(void *, const struct link_peer *, const uint8_t *,
                                                  size_t))
{
    char endpoint[PATH_MAX + 8];
    struct link_server *server = NULL;
    struct err err = {0};
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s", path_of(fake, name));
    struct link_server_config config = {
        .endpoint = endpoint,
        .key = &fake->curve,
        .group = (gid_t)-1,
        .admit = admit,
        .received = received,
        .context = fake,
    };
    check(link_server_new(&server, &config, &err), &err);
    return server;
}

/* Runs the program to its end or, with `stay`, leaves it running. Returns its wait status. */
static int relay_program(struct fake *fake, bool stay, const char *const *arguments)
{
    char program[PATH_MAX];
    const char *argv[20] = {program};
    const char *bin = getenv("PUSHER_BIN");
    (void)snprintf(program, sizeof program, "%s/pusher-relay", bin ? bin : "../../build/dev/bin");
    for (size_t i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int log = open(path_of(fake, "relay.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        (void)dup2(log, STDERR_FILENO);
        (void)execv(program, (char **)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    fake->child = stay ? child : 0;
    if (!stay)
        assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int start_relay(struct fake *fake, bool stay)
{
    char relays[PATH_MAX + 8];
    char packages[PATH_MAX + 8];
    (void)snprintf(relays, sizeof relays, "ipc://%s", path_of(fake, "relay.sock"));
    (void)snprintf(packages, sizeof packages, "ipc://%s", path_of(fake, "package.sock"));
    const char *const arguments[] = {"run",
                                     "--verbose",
                                     "--state",
                                     path_of(fake, "state"),
                                     "--name",
                                     "alone",
                                     "--coordinator",
                                     relays,
                                     "--packages",
                                     packages,
                                     "--coordinator-key",
                                     path_of(fake, "coordinator.pub"),
                                     "--operators",
                                     path_of(fake, "operators"),
                                     NULL};
    return relay_program(fake, stay, arguments);
}

static void end_relay(struct fake *fake, int signal_no)
{
    int status = 0;
    if (fake->child <= 0)
        return;
    (void)kill(fake->child, signal_no);
    (void)waitpid(fake->child, &status, 0);
    fake->child = 0;
    if (signal_no == SIGTERM) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void write_key(const char *path, const uint8_t key[LIMIT_KEY_BYTES])
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", text);
    assert_int_equal(fclose(file), 0);
}

static void read_key(const char *path, uint8_t key[LIMIT_KEY_BYTES])
{
    char text[KEY_TEXT_SIZE] = "";
    struct err err = {0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, KEY_TEXT_SIZE - 1, file), KEY_TEXT_SIZE - 1);
    (void)fclose(file);
    check(key_from_text(text, key, &err), &err);
}

/* SHA-256 of the package, by coreutils: code that is not under test. */
static void digest_package(struct fake *fake)
{
    char command[PATH_MAX + 16];
    char text[2 * LIMIT_DIGEST_BYTES + 1] = "";
    FILE *file = fopen(path_of(fake, "package"), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(fake->package, 1, PACKAGE_BYTES, file), PACKAGE_BYTES);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(command, sizeof command, "sha256sum %s", path_of(fake, "package"));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fread(text, 1, sizeof text - 1, pipe), sizeof text - 1);
    (void)pclose(pipe);
    assert_int_equal(hex_decode(text, fake->package_digest, LIMIT_DIGEST_BYTES), 0);
}

static void make_job(struct fake *fake)
{
    struct job *job = &fake->job;
    struct merkle_roots roots;
    int64_t now_s = (int64_t)time(NULL);
    *job = (struct job){
        .push = fake->push,
        .generation = 1,
        .package_name = "setup.exe",
        .package_bytes = PACKAGE_BYTES,
        .run_as = RUN_AS_SYSTEM,
        .ping = PING_SKIP,
        .end_unix_s = now_s + 3600,
        .run_timeout_s = 7200,
        .not_before_unix_s = now_s - 60,
        .not_after_unix_s = now_s + 3600,
        .target_count = 1,
        .counter = 1,
    };
    memcpy(job->package_digest, fake->package_digest, LIMIT_DIGEST_BYTES);
    merkle_roots_init(&roots);
    assert_int_equal(merkle_roots_add(&roots, TARGET, NULL), 0);
    merkle_roots_get(&roots, job->targets_root);
}

static int setup(void **state)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct err err = {0};
    char name[PUSH_ID_TEXT_SIZE + 16];
    assert_non_null(fake);
    *state = fake;
    (void)snprintf(fake->folder, sizeof fake->folder, "/tmp/pusher-relay-XXXXXX");
    assert_non_null(mkdtemp(fake->folder));
    check(trust_start(&err), &err);
    assert_int_equal(uv_loop_init(&fake->loop), 0);
    check(net_start(&fake->loop, &err), &err);
    key_pair_generate(&fake->curve, KEY_CURVE);
    key_pair_generate(&fake->operator_key, KEY_OPERATOR);
    random_bytes(fake->push.bytes, PUSH_ID_BYTES);
    fake->package = malloc(PACKAGE_BYTES);
    assert_non_null(fake->package);
    random_bytes(fake->package, PACKAGE_BYTES);
    digest_package(fake);
    make_job(fake);

    const char *const init[] = {"init", "--state", path_of(fake, "state"), NULL};
    assert_int_equal(relay_program(fake, false, init), 0);
    read_key(path_of(fake, "state/curve.pub"), fake->relay_key);
    write_key(path_of(fake, "coordinator.pub"), fake->curve.public_key);
    assert_int_equal(mkdir(path_of(fake, "operators"), 0700), 0);
    (void)snprintf(name, sizeof name, "operators/");
    push_id_text(&fake->push, name + strlen(name));
    (void)strncat(name, ".pub", sizeof name - strlen(name) - 1);
    write_key(path_of(fake, name), fake->operator_key.public_key);
    fake->relays = serve(fake, "relay.sock", relay_said);
    fake->packages = serve(fake, "package.sock", package_asked);
    (void)start_relay(fake, true);
    return 0;
}

static int teardown(void **state)
{
    struct fake *fake = *state;
    char command[PATH_MAX];
    end_relay(fake, SIGKILL);
    link_server_free(fake->relays);
    link_server_free(fake->packages);
    net_stop();
    for (int i = 0; i < 100 && uv_run(&fake->loop, UV_RUN_NOWAIT) != 0; i++)
        continue;
    (void)uv_loop_close(&fake->loop);
    key_pair_release(&fake->curve);
    key_pair_release(&fake->operator_key);
    (void)snprintf(command, sizeof command, "rm -rf %s", fake->folder);
    assert_int_equal(system(command), 0);
    free(fake->package);
    free(fake);
    return 0;
}

static void on_alarm(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
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

/* Runs the loop until *counter is at least `least`. */
static void wait_for(struct fake *fake, const void *counter, size_t size, uint64_t least,
                     const char *what)
{
    uv_timer_t timer;
    bool late = false;
    uint64_t value = 0;
    (void)uv_timer_init(&fake->loop, &timer);
    timer.data = &late;
    (void)uv_timer_start(&timer, on_alarm, WAIT_MS, 0);
    while (!late) {
        value = 0;
        memcpy(&value, counter, size); /* little-endian */
        if (value >= least)
            break;
        (void)uv_run(&fake->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, on_closed);
    while (timer.data)
        (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
    if (value < least) {
        print_log(fake);
        fail_msg("never saw %s", what);
    }
}

#define WAIT_FOR(fake, field, least)                                                               \
    wait_for(fake, &(fake)->field, sizeof(fake)->field, least, #field)

static void send_job(struct fake *fake, const struct key_pair *operator_key)
{
    struct buf payload, signed_job, clear, sealed;
    struct err err = {0};
    struct credential credential = {.account = ".\\push", .secret = "not a real one"};
    struct seal_context context = {.push = fake->push, .counter = fake->job.counter};
    buf_init(&payload, SIGNED_PAYLOAD_MAX);
    buf_init(&signed_job, SIGNED_PAYLOAD_MAX + SIGNED_OVERHEAD_BYTES);
    buf_init(&clear, 4096);
    buf_init(&sealed, 8192);
    check(wire_encode_job(&fake->job, &payload, &err), &err);
    check(signed_make(operator_key, SIGNED_JOB, payload.data, payload.size, &signed_job, &err),
          &err);
    check(wire_encode_credential(&credential, &clear, &err), &err);
    check(seal_make(operator_key, fake->relay_seal_key, &context, clear.data, clear.size, &sealed,
                    &err),
          &err);
    struct message message = {.kind = MESSAGE_JOB};
    message.job.signed_job = signed_job.data;
    message.job.signed_job_size = signed_job.size;
    message.job.sealed_credential = sealed.data;
    message.job.sealed_credential_size = sealed.size;
    send_to_relay(fake, &message);
    buf_release(&payload);
    buf_release(&signed_job);
    buf_release(&clear);
    buf_release(&sealed);
}

static void send_lease(struct fake *fake, const char *target, uint32_t attempt)
{
    char name[64];
    struct lease_entry entry = {0, attempt, name};
    (void)snprintf(name, sizeof name, "%s", target);
    struct message message = {.kind = MESSAGE_LEASE};
    message.lease.epoch = fake->epoch;
    message.lease.push = fake->push;
    message.lease.generation = 1;
    message.lease.entries = &entry;
    message.lease.entry_count = 1; /* one leaf of one: the proof is empty */
    send_to_relay(fake, &message);
}

static bool log_has(struct fake *fake, const char *text)
{
    static char log[65536];
    FILE *file = fopen(path_of(fake, "relay.log"), "r");
    assert_non_null(file);
    size_t size = fread(log, 1, sizeof log - 1, file);
    (void)fclose(file);
    log[size] = '\0';
    return strstr(log, text) != NULL;
}

static void wait_for_package(struct fake *fake)
{
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char name[2 * LIMIT_DIGEST_BYTES + 32];
    struct stat info;
    bool there = false;
    hex_encode(fake->package_digest, LIMIT_DIGEST_BYTES, digest);
    (void)snprintf(name, sizeof name, "state/cache/%s", digest);
    for (unsigned i = 0; i < WAIT_MS / 20 && !there; i++) {
        (void)uv_run(&fake->loop, UV_RUN_NOWAIT);
        there = stat(path_of(fake, name), &info) == 0;
        (void)usleep(20000);
    }
    if (!there)
        print_log(fake);
    assert_true(there);
    assert_int_equal(info.st_size, PACKAGE_BYTES);
}

static void target_with_closed_port_reported(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &fake->operator_key);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    if (fake->row.outcome.reason != REASON_PORT_CLOSED)
        print_log(fake);
    assert_int_equal(fake->row.target_no, 0);
    assert_int_equal(fake->row.attempt, 1);
    assert_int_equal(fake->row.outcome.state, TARGET_UNREACHABLE);
    assert_int_equal(fake->row.outcome.stage, STAGE_ACCESS);
    assert_int_equal(fake->row.outcome.reason, REASON_PORT_CLOSED);
    assert_string_equal(fake->row.outcome.address, TARGET);
    assert_true(fake->row.outcome.started_unix_ms > 0);
    assert_false(log_has(fake, "not a real one"));
    end_relay(fake, SIGTERM);
}

static void package_fetched_although_requests_get_lost(void **state)
{
    struct fake *fake = *state;
    fake->lose_chunks = 3;
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &fake->operator_key);
    wait_for_package(fake);
    assert_true(fake->chunks > PACKAGE_BYTES / LIMIT_CHUNK_BYTES + 3);
}

static void job_of_other_operator_refused(void **state)
{
    struct fake *fake = *state;
    struct key_pair stranger = {0};
    key_pair_generate(&stranger, KEY_OPERATOR);
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &stranger);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    assert_int_equal(fake->row.outcome.reason, REASON_JOB_REFUSED);
    assert_int_equal(fake->row.outcome.stage, STAGE_COUNT);
    assert_non_null(strstr(fake->row.outcome.detail, "another key"));
    reason_seen(REASON_JOB_REFUSED);
    key_pair_release(&stranger);
}

static void job_of_another_push_without_key_refused(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    random_bytes(fake->push.bytes, PUSH_ID_BYTES);
    fake->job.push = fake->push;
    send_job(fake, &fake->operator_key);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    assert_int_equal(fake->row.outcome.reason, REASON_JOB_REFUSED);
    assert_non_null(strstr(fake->row.outcome.detail, "no operator key"));
}

static void target_the_operator_never_named_refused(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &fake->operator_key);
    send_lease(fake, "127.0.0.2", 1);
    WAIT_FOR(fake, rows, 1);
    assert_int_equal(fake->row.outcome.reason, REASON_JOB_REFUSED);
    assert_true(log_has(fake, "lease refused"));
}

static void older_job_after_newer_refused_even_after_restart(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    fake->job.counter = 5;
    send_job(fake, &fake->operator_key);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    end_relay(fake, SIGKILL);
    fake->hellos = 0;
    (void)start_relay(fake, true);
    WAIT_FOR(fake, hellos, 1);
    fake->job.counter = 4;
    send_job(fake, &fake->operator_key);
    fake->job.counter = 0;
    while (!log_has(fake, "a newer signed job"))
        (void)uv_run(&fake->loop, UV_RUN_ONCE);
}

/* A push that is over can't be brought to life with what was once signed for it. */
static void closed_push_again_refused_even_after_restart(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &fake->operator_key);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    struct message message = {.kind = MESSAGE_CLOSE};
    message.push_ref.epoch = fake->epoch;
    message.push_ref.push = fake->push;
    message.push_ref.generation = 1;
    send_to_relay(fake, &message);
    fake->rows = 0;
    for (uint32_t round = 0; round < 2; round++) {
        send_job(fake, &fake->operator_key);
        send_lease(fake, TARGET, 1);
        WAIT_FOR(fake, rows, 1);
        assert_int_equal(fake->row.outcome.reason, REASON_JOB_REFUSED);
        assert_non_null(strstr(fake->row.outcome.detail, "closed already"));
        end_relay(fake, SIGTERM);
        fake->hellos = fake->rows = 0;
        (void)start_relay(fake, true);
        WAIT_FOR(fake, hellos, 1);
        send_to_relay(fake, &(struct message){.kind = MESSAGE_CLOSE,
                                              .push_ref = {fake->epoch, fake->push, 1, 0}});
        fake->rows = 0;
    }
}

static void outcome_outlives_kill(void **state)
{
    struct fake *fake = *state;
    fake->mute = true;
    WAIT_FOR(fake, hellos, 1);
    send_job(fake, &fake->operator_key);
    send_lease(fake, TARGET, 1);
    WAIT_FOR(fake, rows, 1);
    struct result_row first = fake->row;
    end_relay(fake, SIGKILL);
    fake->rows = 0;
    fake->mute = false;
    uint64_t epoch = fake->epoch;
    (void)start_relay(fake, true);
    WAIT_FOR(fake, rows, 1);
    assert_int_equal(fake->epoch, epoch + 1);
    assert_int_equal(fake->row.target_no, first.target_no);
    assert_int_equal(fake->row.outcome.reason, first.outcome.reason);
    assert_true(fake->row.outcome.started_unix_ms == first.outcome.started_unix_ms);
    end_relay(fake, SIGTERM);
}

static void damaged_journal_refuses_to_start(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    end_relay(fake, SIGTERM);
    assert_int_equal(truncate(path_of(fake, "state/journal.db"), 100), 0);
    int status = start_relay(fake, false);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(log_has(fake, "move it away"));
    struct stat info;
    assert_int_equal(stat(path_of(fake, "state/journal.db"), &info), 0);
    assert_int_equal(info.st_size, 100);
}

static void second_relay_on_same_state_refused(void **state)
{
    struct fake *fake = *state;
    WAIT_FOR(fake, hellos, 1);
    pid_t first = fake->child;
    int status = start_relay(fake, false);
    fake->child = first;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(log_has(fake, "another pusher-relay"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(target_with_closed_port_reported),
        CASE(package_fetched_although_requests_get_lost),
        CASE(job_of_other_operator_refused),
        CASE(job_of_another_push_without_key_refused),
        CASE(target_the_operator_never_named_refused),
        CASE(older_job_after_newer_refused_even_after_restart),
        CASE(closed_push_again_refused_even_after_restart),
        CASE(outcome_outlives_kill),
        CASE(damaged_journal_refuses_to_start),
        CASE(second_relay_on_same_state_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
