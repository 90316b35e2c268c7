/* A fleet of simulated relays and their targets against a real pusher-coordinator: how fast it
 * plans, leases and merges, and what that costs it.
 *
 * Usage: bench_fleet PROGRAM RELAYS TARGETS SITES
 * The relays are real peers (CURVE, enrolled with tokens, certificates, epochs, leases, batches
 * that are sent again until they are acknowledged) that answer each lease at once: nine of ten
 * targets are scheduled, one is unreachable. Prints one JSON object of figures. Exit status 0 only
 * when every target has its one row in the coordinator's totals.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/message.h"
#include "common/model/signed_objects.h"
#include "common/pkg/digest.h"
#include "common/signed/objects.h"
#include "common/trust/keys.h"
#include "common/trust/merkle.h"
#include "common/trust/seal.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"

#define CREDIT 2048U     /* as pusher-relay asks for */
#define PATIENCE_S 600.0 /* the whole run */
#define ANSWER_S 60.0    /* one answer */
#define PACKAGE_BYTES 4096U
#define FILES_WANTED 16384U

static const char package_name[] = "package.exe";

struct batch {
    struct batch *next;
    uint64_t sequence;
    uint32_t rows;
};

struct relay {
    void *socket;
    struct key_pair curve, seal;
    char name[LIMIT_SITE_NAME_SIZE];
    char site[LIMIT_SITE_NAME_SIZE];
    uint64_t instance, epoch, sequence;
    struct batch *unacked; /* owned, oldest first */
    uint32_t leased;       /* over the run */
    bool welcomed;
};

struct fleet {
    char folder[64];
    char relays_endpoint[128], packages_endpoint[128], control_endpoint[128];
    pid_t daemon;
    void *context, *control;
    struct key_pair operator_key;
    uint8_t coordinator_key[LIMIT_KEY_BYTES];
    struct relay *relays;
    zmq_pollitem_t *items; /* control first, then the relays */
    uint32_t relay_count, target_count, site_count;
    uint32_t request;
    uint32_t heartbeat_ms;
    double heartbeat_at;
    uint64_t rows_sent, rows_acked;
    uint32_t relays_leased; /* have had a first lease */
    double first_window_s, last_ack_s;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct fleet *running; /* whose daemon and folder die with us */

static void clean_up(void)
{
    char command[128];
    if (running == NULL)
        return;
    if (running->daemon > 0) {
        (void)kill(running->daemon, SIGKILL);
        (void)waitpid(running->daemon, NULL, 0);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", running->folder);
    if (getenv("BENCH_KEEP") == NULL && system(command) != 0)
        (void)fprintf(stderr, "bench_fleet: cannot remove %s\n", running->folder);
    running = NULL;
}

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_fleet: %s: %s\n", what, why);
    clean_up();
    exit(EXIT_FAILURE);
}

static void must(int result, const char *what, const struct err *err)
{
    if (result != 0)
        die(what, err->text);
}

/* ---- sockets ---- */

static void *dial(struct fleet *fleet, const char *endpoint, const struct key_pair *key)
{
    void *socket = zmq_socket(fleet->context, ZMQ_DEALER);
    int zero = 0;
    if (socket == NULL || zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0)
        die("socket", zmq_strerror(zmq_errno()));
    if (key != NULL &&
        (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, fleet->coordinator_key, LIMIT_KEY_BYTES) !=
             0 ||
         zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, key->public_key, LIMIT_KEY_BYTES) != 0 ||
         zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret, LIMIT_KEY_BYTES) != 0))
        die("keys", zmq_strerror(zmq_errno()));
    if (zmq_connect(socket, endpoint) != 0)
        die(endpoint, zmq_strerror(zmq_errno()));
    return socket;
}

static void send_on(void *socket, const struct message *message)
{
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    must(wire_encode(message, &bytes, &err), "encode", &err);
    if (zmq_send(socket, bytes.data, bytes.size, 0) < 0)
        die("send", zmq_strerror(zmq_errno()));
    buf_release(&bytes);
}

/* Takes one message if there is one. */
static bool take(void *socket, struct message *out)
{
    zmq_msg_t frame;
    struct err err = {0};
    (void)zmq_msg_init(&frame);
    bool got = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0;
    if (got)
        must(wire_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), out, &err), "decode", &err);
    (void)zmq_msg_close(&frame);
    return got;
}

/* ---- relays ---- */

static void say_hello(struct relay *relay)
{
    struct message hello = {.kind = MESSAGE_HELLO};
    hello.hello.protocol_version = MESSAGE_PROTOCOL_VERSION;
    hello.hello.instance = relay->instance;
    hello.hello.credit = CREDIT;
    hello.hello.policy_version = 1;
    hello.hello.certificate_serial = 1;
    (void)text_copy(hello.hello.relay_name, sizeof hello.hello.relay_name, relay->name);
    memcpy(hello.hello.seal_key, relay->seal.public_key, LIMIT_KEY_BYTES);
    send_on(relay->socket, &hello);
}

static void fill_row(const struct message_lease *lease, uint32_t i, struct result_row *row)
{
    const struct lease_entry *entry = &lease->entries[i];
    struct outcome *outcome = &row->outcome;
    row->push = lease->push;
    row->generation = lease->generation;
    row->target_no = entry->target_no;
    row->attempt = entry->attempt;
    bool dead = entry->target_no % 10 == 9;
    outcome->state = dead ? TARGET_UNREACHABLE : TARGET_SCHEDULED;
    outcome->stage = dead ? STAGE_PING : STAGE_SCHEDULE;
    outcome->reason = dead ? REASON_NO_REPLY : REASON_NONE;
    (void)text_copy(outcome->detail, sizeof outcome->detail,
                    dead ? "no answer to 3 echo requests in 3 s" : "");
    (void)text_copy(outcome->address, sizeof outcome->address, entry->name);
    outcome->tries = 1;
    outcome->bytes = dead ? 0 : PACKAGE_BYTES;
    outcome->started_unix_ms = unix_ms();
    outcome->elapsed_ms = 40;
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        outcome->stage_ms[stage] = dead && stage > 1 ? 0 : 6;
}

static void on_lease(struct fleet *fleet, struct relay *relay, const struct message_lease *lease)
{
    static struct result_row rows[LIMIT_ROWS_PER_MESSAGE];
    struct message results = {.kind = MESSAGE_RESULTS};
    if (lease->epoch != relay->epoch || lease->entry_count == 0)
        return;
    if (relay->leased == 0 && ++fleet->relays_leased == fleet->relay_count)
        fleet->first_window_s = now_s();
    relay->leased += lease->entry_count;
    memset(rows, 0, lease->entry_count * sizeof rows[0]);
    for (uint32_t i = 0; i < lease->entry_count; i++)
        fill_row(lease, i, &rows[i]);
    struct batch *batch = mem_new(1, sizeof *batch);
    batch->sequence = ++relay->sequence;
    batch->rows = lease->entry_count;
    struct batch **end = &relay->unacked;
    while (*end != NULL)
        end = &(*end)->next;
    *end = batch;
    results.results = (struct message_results){relay->epoch, batch->sequence, rows, batch->rows};
    send_on(relay->socket, &results);
    fleet->rows_sent += batch->rows;
}

static void on_results_ack(struct fleet *fleet, struct relay *relay, uint64_t sequence)
{
    for (struct batch **at = &relay->unacked; *at != NULL; at = &(*at)->next) {
        struct batch *batch = *at;
        if (batch->sequence != sequence)
            continue;
        fleet->rows_acked += batch->rows;
        fleet->last_ack_s = now_s();
        *at = batch->next;
        free(batch);
        return;
    }
}

static void relay_received(struct fleet *fleet, struct relay *relay, const struct message *message)
{
    if (message->kind == MESSAGE_WELCOME) {
        relay->epoch = message->welcome.epoch;
        relay->welcomed = true;
        fleet->heartbeat_ms = message->welcome.heartbeat_ms;
    } else if (message->kind == MESSAGE_LEASE) {
        on_lease(fleet, relay, &message->lease);
    } else if (message->kind == MESSAGE_RESULTS_ACK) {
        on_results_ack(fleet, relay, message->results_ack.sequence);
    }
}

static void heartbeats(struct fleet *fleet)
{
    double now = now_s();
    if (fleet->heartbeat_ms == 0 || now < fleet->heartbeat_at)
        return;
    fleet->heartbeat_at = now + fleet->heartbeat_ms / 1000.0;
    for (uint32_t i = 0; i < fleet->relay_count; i++) {
        struct relay *relay = &fleet->relays[i];
        struct message beat = {.kind = MESSAGE_HEARTBEAT};
        beat.heartbeat.epoch = relay->epoch;
        beat.heartbeat.credit = CREDIT;
        beat.heartbeat.sent_boottime_ms = (uint64_t)(now * 1000);
        if (relay->welcomed)
            send_on(relay->socket, &beat);
    }
}

/* One turn of everything; true when the control link has something. */
static bool pump(struct fleet *fleet, bool relays, long wait_ms)
{
    uint32_t count = relays ? fleet->relay_count : 0;
    if (zmq_poll(fleet->items, (int)count + 1, wait_ms) < 0 && zmq_errno() != EINTR)
        die("poll", zmq_strerror(zmq_errno()));
    for (uint32_t i = 0; i < count; i++) {
        struct message message;
        if ((fleet->items[i + 1].revents & ZMQ_POLLIN) == 0)
            continue;
        while (take(fleet->relays[i].socket, &message)) {
            relay_received(fleet, &fleet->relays[i], &message);
            message_release(&message);
        }
    }
    if (relays)
        heartbeats(fleet);
    return (fleet->items[0].revents & ZMQ_POLLIN) != 0;
}

/* ---- control link ---- */

/* Sends and waits; relays go on meanwhile. The caller releases the answer. */
static void call(struct fleet *fleet, struct message *request, enum message_kind expected,
                 struct message *answer, bool relays)
{
    request->request = ++fleet->request;
    send_on(fleet->control, request);
    for (double end = now_s() + ANSWER_S; now_s() < end;) {
        if (!pump(fleet, relays, 100) || !take(fleet->control, answer))
            continue;
        if (answer->kind == MESSAGE_FAIL)
            die(message_kind_word(request->kind), answer->fail.text);
        if (answer->kind == expected && answer->request == fleet->request)
            return;
        message_release(answer);
    }
    die(message_kind_word(request->kind), "no answer");
}

static void call_ok(struct fleet *fleet, struct message *request)
{
    struct message answer;
    call(fleet, request, MESSAGE_OK, &answer, false);
    message_release(&answer);
}

/* ---- set-up ---- */

static void make_path(char *to, size_t size, const struct fleet *fleet, const char *name)
{
    (void)snprintf(to, size, "%s/%s", fleet->folder, name);
}

static pid_t spawn(const char *program, const char *const *arguments, const char *log)
{
    pid_t child = fork();
    if (child < 0)
        die("fork", strerror(errno));
    if (child > 0)
        return child;
    if (freopen(log, "ae", stderr) == NULL)
        _exit(127);
    (void)execv(program, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static void start_coordinator(struct fleet *fleet, const char *program)
{
    char state[128];
    char log[128];
    char path[160];
    int status = 0;
    (void)text_copy(fleet->folder, sizeof fleet->folder, "/tmp/pusher-fleet-XXXXXX");
    if (mkdtemp(fleet->folder) == NULL)
        die("folder", strerror(errno));
    make_path(state, sizeof state, fleet, "state");
    make_path(log, sizeof log, fleet, "log");
    (void)snprintf(fleet->control_endpoint, sizeof fleet->control_endpoint, "ipc://%s/control",
                   fleet->folder);
    (void)snprintf(fleet->relays_endpoint, sizeof fleet->relays_endpoint, "ipc://%s/relays",
                   fleet->folder);
    (void)snprintf(fleet->packages_endpoint, sizeof fleet->packages_endpoint, "ipc://%s/packages",
                   fleet->folder);
    const char *const init[] = {program, "init", "--state", state, NULL};
    const char *const run[] = {program,
                               "run",
                               "--state",
                               state,
                               "--control",
                               fleet->control_endpoint,
                               "--relays",
                               fleet->relays_endpoint,
                               "--packages",
                               fleet->packages_endpoint,
                               "--lease-ms",
                               "60000",
                               "--heartbeat-ms",
                               "10000",
                               NULL};
    pid_t child = spawn(program, init, log);
    if (waitpid(child, &status, 0) != child || status != 0)
        die(program, "init failed");
    fleet->daemon = spawn(program, run, log);
    make_path(path, sizeof path, fleet, "control");
    for (int i = 0; i < 500 && access(path, F_OK) != 0; i++)
        (void)usleep(20000);
    if (access(path, F_OK) != 0)
        die(program, "did not come up");
    fleet->control = dial(fleet, fleet->control_endpoint, NULL);
    fleet->items[0] = (zmq_pollitem_t){fleet->control, 0, ZMQ_POLLIN, 0};
}

static void put_object(struct fleet *fleet, struct buf *bytes)
{
    struct message put = {.kind = MESSAGE_OBJECT, .object = {bytes->data, bytes->size}};
    call_ok(fleet, &put);
    buf_release(bytes);
}

/* Block k of 256 addresses belongs to site k % sites. */
static void put_site(struct fleet *fleet, uint32_t number)
{
    char text[LIMIT_SITE_SUBNETS][SUBNET_TEXT_SIZE];
    char *subnets[LIMIT_SITE_SUBNETS];
    struct message put = {.kind = MESSAGE_SITE_PUT};
    struct site *site = &put.site_put.site;
    (void)snprintf(site->name, sizeof site->name, "site-%04u", number);
    site->subnets = subnets;
    for (uint32_t k = number; k < (fleet->target_count + 255) / 256; k += fleet->site_count) {
        if (site->subnet_count == LIMIT_SITE_SUBNETS)
            die("sites", "too few for so many targets");
        (void)snprintf(text[site->subnet_count], SUBNET_TEXT_SIZE, "10.%u.%u.0/24", k >> 8 & 255,
                       k & 255);
        subnets[site->subnet_count] = text[site->subnet_count];
        site->subnet_count++;
    }
    call_ok(fleet, &put);
}

static void make_policy(struct fleet *fleet)
{
    struct policy policy = {.version = 1, .made_unix_s = (int64_t)(unix_ms() / 1000)};
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX / 2);
    memcpy(policy.operators[policy.operator_count++], fleet->operator_key.public_key,
           LIMIT_KEY_BYTES);
    memcpy(policy.coordinators[policy.coordinator_count++], fleet->coordinator_key,
           LIMIT_KEY_BYTES);
    must(policy_make(&policy, &fleet->operator_key, &bytes, &err), "policy", &err);
    put_object(fleet, &bytes);
}

static void read_coordinator_key(struct fleet *fleet)
{
    char path[160];
    char text[KEY_TEXT_SIZE] = "";
    struct err err = {0};
    make_path(path, sizeof path, fleet, "state/curve.pub");
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        die(path, "cannot be read");
    (void)fclose(file);
    must(key_from_text(text, fleet->coordinator_key, &err), path, &err);
}

/* As pusher-relay enroll: with a token's key, once. */
static void enroll(struct fleet *fleet, struct relay *relay)
{
    struct key_pair token = {0};
    struct message put = {.kind = MESSAGE_TOKEN_PUT};
    struct message answer;
    key_pair_generate(&token, KEY_CURVE);
    memcpy(put.token_put.key, token.public_key, LIMIT_KEY_BYTES);
    (void)text_copy(put.token_put.site, sizeof put.token_put.site, relay->site);
    put.token_put.valid_s = 900;
    call(fleet, &put, MESSAGE_TOKEN, &answer, false);
    message_release(&answer);
    void *socket = dial(fleet, fleet->relays_endpoint, &token);
    struct message enroll = {.kind = MESSAGE_ENROLL};
    (void)text_copy(enroll.enroll.relay_name, sizeof enroll.enroll.relay_name, relay->name);
    memcpy(enroll.enroll.curve_key, relay->curve.public_key, LIMIT_KEY_BYTES);
    memcpy(enroll.enroll.seal_key, relay->seal.public_key, LIMIT_KEY_BYTES);
    send_on(socket, &enroll);
    bool done = false;
    for (double end = now_s() + ANSWER_S; !done && now_s() < end;) {
        zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
        if (zmq_poll(&item, 1, 100) <= 0 || !take(socket, &answer))
            continue;
        if (answer.kind == MESSAGE_FAIL)
            die("enroll", answer.fail.text);
        done = answer.kind == MESSAGE_ENROLLED;
        message_release(&answer);
    }
    if (!done)
        die("enroll", "no answer");
    (void)zmq_close(socket);
    key_pair_release(&token);
}

static void approve(struct fleet *fleet, const struct relay *relay)
{
    struct certificate certificate = {.serial = 1, .subnet_count = 1};
    struct subnet all;
    struct buf bytes;
    struct err err = {0};
    must(subnet_from_text("10.0.0.0/8", &all, &err), "subnet", &err);
    certificate.subnets = &all;
    certificate.not_before_unix_s = (int64_t)(unix_ms() / 1000);
    certificate.not_after_unix_s = certificate.not_before_unix_s + 86400;
    (void)text_copy(certificate.relay, sizeof certificate.relay, relay->name);
    (void)text_copy(certificate.site, sizeof certificate.site, relay->site);
    memcpy(certificate.curve_key, relay->curve.public_key, LIMIT_KEY_BYTES);
    memcpy(certificate.seal_key, relay->seal.public_key, LIMIT_KEY_BYTES);
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX / 2);
    must(certificate_make(&certificate, &fleet->operator_key, &bytes, &err), "certificate", &err);
    put_object(fleet, &bytes);
}

static void make_relays(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->relay_count; i++) {
        struct relay *relay = &fleet->relays[i];
        key_pair_generate(&relay->curve, KEY_CURVE);
        key_pair_generate(&relay->seal, KEY_SEAL);
        (void)snprintf(relay->name, sizeof relay->name, "relay-%04u", i);
        (void)snprintf(relay->site, sizeof relay->site, "site-%04u", i % fleet->site_count);
        relay->instance = random_u64();
        enroll(fleet, relay);
        approve(fleet, relay);
    }
}

/* All of them dial at once, as after a failure of the admin host. */
static double connect_relays(struct fleet *fleet)
{
    double from = now_s();
    for (uint32_t i = 0; i < fleet->relay_count; i++) {
        struct relay *relay = &fleet->relays[i];
        relay->socket = dial(fleet, fleet->relays_endpoint, &relay->curve);
        fleet->items[i + 1] = (zmq_pollitem_t){relay->socket, 0, ZMQ_POLLIN, 0};
        say_hello(relay);
    }
    for (uint32_t welcomed = 0; welcomed < fleet->relay_count;) {
        (void)pump(fleet, true, 100);
        for (welcomed = 0; welcomed < fleet->relay_count && fleet->relays[welcomed].welcomed;)
            welcomed++;
        if (now_s() - from > ANSWER_S)
            die("relays", "not all were welcomed");
    }
    return now_s() - from;
}

/* ---- the push ---- */

static void put_package(struct fleet *fleet, struct job *job)
{
    static uint8_t bytes[PACKAGE_BYTES];
    struct message offer = {.kind = MESSAGE_PACKAGE_OFFER};
    struct message data = {.kind = MESSAGE_PACKAGE_DATA};
    struct message answer;
    random_bytes(bytes, sizeof bytes);
    struct digest *digest = digest_new();
    digest_add(digest, bytes, sizeof bytes);
    digest_end(digest, job->package_digest);
    digest_free(digest);
    job->package_bytes = sizeof bytes;
    (void)text_copy(job->package_name, sizeof job->package_name, package_name);
    memcpy(offer.package_offer.digest, job->package_digest, LIMIT_DIGEST_BYTES);
    offer.package_offer.bytes = sizeof bytes;
    (void)text_copy(offer.package_offer.name, sizeof offer.package_offer.name, package_name);
    call(fleet, &offer, MESSAGE_PACKAGE_WANT, &answer, true);
    message_release(&answer);
    memcpy(data.package_data.digest, job->package_digest, LIMIT_DIGEST_BYTES);
    data.package_data.data = bytes;
    data.package_data.size = sizeof bytes;
    call(fleet, &data, MESSAGE_PACKAGE_WANT, &answer, true);
    message_release(&answer);
}

static void target_name(uint32_t no, char text[LIMIT_ADDRESS_SIZE])
{
    (void)snprintf(text, LIMIT_ADDRESS_SIZE, "10.%u.%u.%u", no >> 16 & 255, no >> 8 & 255,
                   no & 255);
}

static void put_targets(struct fleet *fleet, struct job *job)
{
    static char text[LIMIT_ROWS_PER_MESSAGE][LIMIT_ADDRESS_SIZE];
    char *names[LIMIT_ROWS_PER_MESSAGE];
    struct merkle_roots roots;
    struct err err = {0};
    struct message begin = {.kind = MESSAGE_PUSH_BEGIN};
    begin.push_begin.push = job->push;
    begin.push_begin.target_count = fleet->target_count;
    struct message answer;
    call(fleet, &begin, MESSAGE_OK, &answer, true);
    message_release(&answer);
    merkle_roots_init(&roots);
    for (uint32_t first = 0; first < fleet->target_count; first += LIMIT_ROWS_PER_MESSAGE) {
        struct message put = {.kind = MESSAGE_PUSH_TARGETS};
        uint32_t count = fleet->target_count - first;
        if (count > LIMIT_ROWS_PER_MESSAGE)
            count = LIMIT_ROWS_PER_MESSAGE;
        for (uint32_t i = 0; i < count; i++) {
            target_name(first + i, text[i]);
            names[i] = text[i];
            must(merkle_roots_add(&roots, names[i], &err), "root", &err);
        }
        put.push_targets = (struct message_push_targets){job->push, first, names, count};
        call(fleet, &put, MESSAGE_OK, &answer, true);
        message_release(&answer);
    }
    merkle_roots_get(&roots, job->targets_root);
    job->target_count = fleet->target_count;
}

/* The push account, sealed to every relay. */
static void put_credentials(struct fleet *fleet, const struct job *job)
{
    struct credential *credential = credential_new();
    struct seal_context context = {.push = job->push, .counter = job->counter};
    struct push_credential rows[64];
    struct buf clear;
    struct err err = {0};
    (void)text_copy(credential->account, sizeof credential->account, "BENCH\\push");
    (void)text_copy(credential->secret, sizeof credential->secret, "not a password");
    buf_init(&clear, 4096);
    must(wire_encode_credential(credential, &clear, &err), "credential", &err);
    for (uint32_t first = 0; first < fleet->relay_count; first += 64) {
        struct message put = {.kind = MESSAGE_PUSH_CREDENTIALS};
        struct message answer;
        uint32_t count = fleet->relay_count - first < 64 ? fleet->relay_count - first : 64;
        for (uint32_t i = 0; i < count; i++) {
            struct buf sealed;
            const struct relay *relay = &fleet->relays[first + i];
            buf_init(&sealed, 8192);
            must(seal_make(&fleet->operator_key, relay->seal.public_key, &context, clear.data,
                           clear.size, &sealed, &err),
                 "seal", &err);
            memcpy(rows[i].seal_key, relay->seal.public_key, LIMIT_KEY_BYTES);
            rows[i].bytes = sealed.data;
            rows[i].size = sealed.size;
        }
        put.push_credentials = (struct message_push_credentials){job->push, rows, count};
        call(fleet, &put, MESSAGE_OK, &answer, true);
        message_release(&answer);
        for (uint32_t i = 0; i < count; i++)
            free(rows[i].bytes);
    }
    buf_wipe(&clear);
    buf_release(&clear);
    credential_free(credential);
}

static void commit(struct fleet *fleet, const struct job *job)
{
    struct buf bytes;
    struct buf signed_job;
    struct err err = {0};
    struct message put = {.kind = MESSAGE_PUSH_COMMIT};
    struct message answer;
    buf_init(&bytes, SIGNED_PAYLOAD_MAX);
    buf_init(&signed_job, LIMIT_MESSAGE_BYTES_MAX / 2);
    must(wire_encode_job(job, &bytes, &err), "job", &err);
    must(signed_make(&fleet->operator_key, SIGNED_JOB, bytes.data, bytes.size, &signed_job, &err),
         "sign", &err);
    put.push_commit.push = job->push;
    put.push_commit.signed_job = signed_job.data;
    put.push_commit.signed_job_size = signed_job.size;
    call(fleet, &put, MESSAGE_OK, &answer, true);
    message_release(&answer);
    buf_release(&bytes);
    buf_release(&signed_job);
}

static struct push_summary status(struct fleet *fleet, const struct job *job, double *took_s)
{
    struct message get = {.kind = MESSAGE_STATUS_GET};
    struct message answer;
    double from = now_s();
    push_id_text(&job->push, get.status_get.prefix);
    call(fleet, &get, MESSAGE_STATUS, &answer, true);
    *took_s = now_s() - from;
    struct push_summary summary = answer.status.push;
    message_release(&answer);
    return summary;
}

/* How long the table by site and relay takes, which begins every report. */
static double parts(struct fleet *fleet, const struct job *job)
{
    struct message get = {.kind = MESSAGE_PARTS_GET};
    struct message answer;
    double from = now_s();
    push_id_text(&job->push, get.parts_get.push.prefix);
    call(fleet, &get, MESSAGE_PARTS, &answer, true);
    message_release(&answer);
    return now_s() - from;
}

/* CPU seconds of the coordinator so far. */
static double daemon_cpu_s(const struct fleet *fleet)
{
    char path[64];
    char text[1024];
    unsigned long user = 0;
    unsigned long kernel = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)fleet->daemon);
    FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL)
        (void)fclose(file);
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        die(path, "cannot be read");
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static unsigned long daemon_peak_kb(const struct fleet *fleet)
{
    char path[64];
    char line[256];
    unsigned long kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)fleet->daemon);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmHWM: %lu", &kb);
    if (file != NULL)
        (void)fclose(file);
    return kb;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool run(struct fleet *fleet)
{
    struct job job = {.generation = 1, .counter = 1, .policy_version = 1, .run_timeout_s = 3600};
    struct push_summary summary;
    double status_s[9];
    double ignored = 0;
    random_bytes(&job.push, sizeof job.push);
    job.not_before_unix_s = (int64_t)(unix_ms() / 1000) - 60;
    job.not_after_unix_s = job.not_before_unix_s + 86400;
    job.end_unix_s = job.not_after_unix_s;
    put_package(fleet, &job);
    double upload_from = now_s();
    put_targets(fleet, &job);
    put_credentials(fleet, &job);
    double commit_from = now_s();
    double cpu_before = daemon_cpu_s(fleet);
    commit(fleet, &job);
    double committed = now_s();
    do
        summary = status(fleet, &job, &ignored);
    while (summary.state == PUSH_ROUTING && now_s() - committed < PATIENCE_S);
    double planned = now_s();
    while (fleet->rows_acked < fleet->target_count && now_s() - committed < PATIENCE_S)
        (void)pump(fleet, true, 100);
    double cpu = daemon_cpu_s(fleet) - cpu_before;
    for (int i = 0; i < 9; i++)
        summary = status(fleet, &job, &status_s[i]);
    qsort(status_s, 9, sizeof status_s[0], compare);
    double parts_s = parts(fleet, &job);
    uint32_t dead = fleet->target_count / 10;
    bool right = summary.state == PUSH_CLOSED &&
                 totals_submitted(&summary.totals) == fleet->target_count &&
                 summary.totals.by_state[TARGET_SCHEDULED] == fleet->target_count - dead &&
                 summary.totals.by_state[TARGET_UNREACHABLE] == dead;
    double merge_s = fleet->last_ack_s - planned;
    (void)printf(
        "{\"relays\": %u, \"sites\": %u, \"targets\": %u, \"upload_s\": %.3f, \"commit_s\": %.3f, "
        "\"plan_s\": %.3f, \"first_window_s\": %.3f, \"merge_s\": %.3f, \"results_per_s\": %.0f, "
        "\"cpu_s\": %.2f, \"cpu_us_per_target\": %.2f, \"peak_mb\": %.1f, \"summary_ms\": %.2f, "
        "\"parts_ms\": %.2f, "
        "\"rows_sent\": %" PRIu64 ", \"right\": %s}\n",
        fleet->relay_count, fleet->site_count, fleet->target_count, commit_from - upload_from,
        committed - commit_from, planned - commit_from, fleet->first_window_s - commit_from,
        merge_s, fleet->target_count / merge_s, cpu, 1e6 * cpu / fleet->target_count,
        (double)daemon_peak_kb(fleet) / 1024, 1000 * status_s[4], 1000 * parts_s, fleet->rows_sent,
        right ? "true" : "false");
    return right;
}

static uint32_t number(const char *text, uint32_t max)
{
    uint64_t value = 0;
    if (text_to_u64(text, max, &value) != 0 || value == 0)
        die(text, "not a number in range");
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    struct err err = {0};
    struct rlimit files = {FILES_WANTED, FILES_WANTED};
    if (argc != 5) {
        (void)fprintf(stderr, "usage: bench_fleet PROGRAM RELAYS TARGETS SITES\n");
        return 2;
    }
    fleet.relay_count = number(argv[2], LIMIT_RELAYS_MAX);
    fleet.target_count = number(argv[3], 1U << 22);
    fleet.site_count = number(argv[4], fleet.relay_count);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    must(trust_start(&err), "start", &err);
    running = &fleet;
    fleet.context = zmq_ctx_new();
    (void)zmq_ctx_set(fleet.context, ZMQ_MAX_SOCKETS, (int)fleet.relay_count + 64);
    fleet.relays = mem_new(fleet.relay_count, sizeof *fleet.relays);
    fleet.items = mem_new(fleet.relay_count + 1U, sizeof *fleet.items);
    key_pair_generate(&fleet.operator_key, KEY_OPERATOR);
    start_coordinator(&fleet, argv[1]);
    read_coordinator_key(&fleet);
    make_policy(&fleet);
    for (uint32_t i = 0; i < fleet.site_count; i++)
        put_site(&fleet, i);
    make_relays(&fleet);
    (void)fprintf(stderr, "all relays enrolled; connected in %.2f s\n", connect_relays(&fleet));
    bool right = run(&fleet);
    (void)kill(fleet.daemon, SIGTERM);
    (void)waitpid(fleet.daemon, NULL, 0);
    fleet.daemon = 0;
    clean_up();
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
