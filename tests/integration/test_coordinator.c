/* The real pusher-coordinator between a client on its control link and a relay made here: upload,
 * push, leases with their proofs, results, reports, and a kill -9 in the middle.
 *
 * Usage: test_coordinator PROGRAM
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/model/message.h"
#include "common/net/link.h"
#include "common/trust/keys.h"
#include "common/trust/merkle.h"
#include "common/trust/secret.h"
#include "common/trust/signed.h"
#include "common/wire/wire.h"

enum { TARGETS = 600, PACKAGE_BYTES = 300000, PATIENCE_MS = 20000, HEARD_MAX = 64 };

static const char *program;

/* One end of a link and what came in on it, oldest first. */
struct line {
    struct link_client *client;
    struct message heard[HEARD_MAX];
    uint32_t heard_count;
    bool refused;
};

struct scene {
    char folder[64];
    uv_loop_t loop;
    uv_timer_t wake;
    pid_t daemon;
    struct key_pair operator_key;
    struct key_pair relay_key;
    uint8_t server_key[LIMIT_KEY_BYTES];
    struct line control, relay, packages;
    uint32_t request;
    uint8_t package[PACKAGE_BYTES];
    uint8_t digest[LIMIT_DIGEST_BYTES];
    char *names[TARGETS];
    uint8_t root[MERKLE_HASH_BYTES];
    uint64_t epoch;
    uint64_t instance;
    uint32_t attempts[TARGETS]; /* of the newest lease; 0: not leased */
    struct buf signed_job;
};

static struct err err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

/* ---- the daemon ---- */

static const char *in_folder(const struct scene *s, const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", s->folder, name);
    return path;
}

static const char *endpoint(const struct scene *s, const char *name)
{
    static char endpoints[8][128];
    static unsigned next;
    char *text = endpoints[next++ % 8];
    (void)snprintf(text, sizeof endpoints[0], "ipc://%s/%s", s->folder, name);
    return text;
}

/* Starts it with the given arguments, standard error to a file that is read later. */
static pid_t spawn(const struct scene *s, const char *const *arguments)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int log = open(in_folder(s, "log"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
        (void)signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error of write, as a full disk */
        (void)execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return child;
}

static int status_of(pid_t child)
{
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *log_text(const struct scene *s)
{
    static char text[8192];
    FILE *file = fopen(in_folder(s, "log"), "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    return text;
}

static pid_t spawn_run(const struct scene *s)
{
    const char *const arguments[] = {program,       "run",
                                     "--state",     in_folder(s, "state"),
                                     "--relay-key", in_folder(s, "relay.pub"),
                                     "--control",   endpoint(s, "control.sock"),
                                     "--relays",    endpoint(s, "relay.sock"),
                                     "--packages",  endpoint(s, "package.sock"),
                                     NULL};
    return spawn(s, arguments);
}

static int run_init(const struct scene *s)
{
    const char *const arguments[] = {program, "init", "--state", in_folder(s, "state"), NULL};
    return status_of(spawn(s, arguments));
}

/* ---- the lines ---- */

static void received(void *context, const uint8_t *bytes, size_t size)
{
    struct line *line = context;
    assert_true(line->heard_count < HEARD_MAX);
    OK(wire_decode(bytes, size, &line->heard[line->heard_count], &err));
    line->heard_count++;
}

static void changed(void *context, enum link_state state)
{
    struct line *line = context;
    line->refused |= state == LINK_REFUSED;
}

static void dial(struct scene *s, struct line *line, const char *name, const struct key_pair *key)
{
    const struct link_client_config config = {.endpoint = endpoint(s, name),
                                              .key = key,
                                              .server_key = key != NULL ? s->server_key : NULL,
                                              .received = received,
                                              .state = changed,
                                              .context = line};
    OK(link_client_new(&line->client, &config, &err));
}

static void hang_up(struct line *line)
{
    link_client_free(line->client);
    for (uint32_t i = 0; i < line->heard_count; i++)
        message_release(&line->heard[i]);
    *line = (struct line){0};
}

static void nothing(uv_timer_t *timer)
{
    (void)timer;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Lets the loop turn, at most 20 ms. */
static void turn(struct scene *s)
{
    (void)uv_timer_start(&s->wake, nothing, 20, 0);
    (void)uv_run(&s->loop, UV_RUN_ONCE);
}

/* The oldest message, to be released; fails when none comes. */
static struct message hear(struct scene *s, struct line *line)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    while (line->heard_count == 0) {
        if (now_ms() > until_ms)
            fail_msg("nothing heard; the daemon says: %s", log_text(s));
        turn(s);
    }
    struct message message = line->heard[0];
    line->heard_count--;
    memmove(line->heard, line->heard + 1, line->heard_count * sizeof *line->heard);
    return message;
}

static struct message hear_kind(struct scene *s, struct line *line, enum message_kind kind)
{
    struct message message = hear(s, line);
    if (message.kind != kind)
        fail_msg("%s instead of %s%s%s", message_kind_word(message.kind), message_kind_word(kind),
                 message.kind == MESSAGE_FAIL ? ": " : "",
                 message.kind == MESSAGE_FAIL ? message.fail.text : "");
    return message;
}

static void say(struct scene *s, struct line *line, const struct message *message)
{
    struct buf bytes;
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    OK(wire_encode(message, &bytes, &err));
    while (link_client_send(line->client, bytes.data, bytes.size, &err) != 0) {
        if (now_ms() > until_ms)
            fail_msg("cannot say %s: %s; the daemon says: %s", message_kind_word(message->kind),
                     err.text, log_text(s));
        turn(s);
    }
    buf_release(&bytes);
}

/* A request and its one answer. */
static struct message ask(struct scene *s, struct message *request)
{
    request->request = ++s->request;
    say(s, &s->control, request);
    struct message answer = hear(s, &s->control);
    assert_int_equal(answer.request, s->request);
    return answer;
}

static void ask_ok(struct scene *s, struct message *request, bool existing)
{
    struct message answer = ask(s, request);
    if (answer.kind != MESSAGE_OK)
        fail_msg("%s", answer.kind == MESSAGE_FAIL ? answer.fail.text : "not OK");
    assert_int_equal(answer.ok.existing, existing);
}

static void ask_fail(struct scene *s, struct message *request, enum err_code code,
                     const char *words)
{
    struct message answer = ask(s, request);
    assert_int_equal(answer.kind, MESSAGE_FAIL);
    if (answer.fail.code != code || strstr(answer.fail.text, words) == NULL)
        fail_msg("code %d: %s", answer.fail.code, answer.fail.text);
}

/* ---- set-up ---- */

static void read_server_key(struct scene *s)
{
    char text[KEY_TEXT_SIZE] = "";
    FILE *file = fopen(in_folder(s, "state/curve.pub"), "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, KEY_TEXT_SIZE - 1, file), KEY_TEXT_SIZE - 1);
    (void)fclose(file);
    OK(key_from_text(text, s->server_key, &err));
}

static void write_relay_key(const struct scene *s)
{
    char text[KEY_TEXT_SIZE];
    FILE *file = fopen(in_folder(s, "relay.pub"), "w");
    assert_non_null(file);
    key_text(s->relay_key.public_key, text);
    assert_true(fprintf(file, "%s\n", text) > 0);
    assert_int_equal(fclose(file), 0);
}

static void make_load(struct scene *s)
{
    struct merkle_roots roots;
    merkle_roots_init(&roots);
    for (int i = 0; i < TARGETS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "PC-%04d.example.com", i);
        s->names[i] = mem_strdup(name);
        OK(merkle_roots_add(&roots, name, &err));
    }
    merkle_roots_get(&roots, s->root);
    random_bytes(s->package, sizeof s->package);
    (void)crypto_hash_sha256(s->digest, s->package, sizeof s->package);
}

static int set_up(void **state)
{
    struct scene *s = mem_new(1, sizeof *s);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/pusher-coordinator-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    OK(trust_start(&err));
    OK(uv_loop_init(&s->loop));
    OK(uv_timer_init(&s->loop, &s->wake));
    OK(net_start(&s->loop, &err));
    key_pair_generate(&s->operator_key, KEY_OPERATOR);
    key_pair_generate(&s->relay_key, KEY_CURVE);
    buf_init(&s->signed_job, 65536);
    assert_int_equal(run_init(s), 0);
    read_server_key(s);
    write_relay_key(s);
    make_load(s);
    s->daemon = spawn_run(s);
    dial(s, &s->control, "control.sock", NULL);
    *state = s;
    return 0;
}

static int remove_one(const char *path, const struct stat *stat_of, int type, struct FTW *ftw)
{
    (void)stat_of;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    if (s->daemon != 0) {
        (void)kill(s->daemon, SIGKILL);
        (void)status_of(s->daemon);
    }
    hang_up(&s->control);
    hang_up(&s->relay);
    hang_up(&s->packages);
    uv_close((uv_handle_t *)&s->wake, NULL);
    net_stop();
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    OK(uv_loop_close(&s->loop));
    key_pair_release(&s->operator_key);
    key_pair_release(&s->relay_key);
    buf_release(&s->signed_job);
    for (int i = 0; i < TARGETS; i++)
        free(s->names[i]);
    assert_int_equal(nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(s);
    return 0;
}

/* ---- requests ---- */

static struct push_id id_of(uint8_t number)
{
    struct push_id id = {{0xc0, number}};
    return id;
}

static void sign_job(struct scene *s, uint8_t number, const uint8_t *root, uint64_t counter)
{
    struct job *job = mem_new(1, sizeof *job);
    struct buf bytes;
    job->push = id_of(number);
    job->generation = 1;
    (void)snprintf(job->package_name, sizeof job->package_name, "tool.exe");
    job->package_bytes = PACKAGE_BYTES;
    memcpy(job->package_digest, s->digest, sizeof job->package_digest);
    job->run_timeout_s = 7200;
    job->not_after_unix_s = job->end_unix_s = (int64_t)time(NULL) + 3600;
    job->target_count = TARGETS;
    memcpy(job->targets_root, root, sizeof job->targets_root);
    job->counter = counter;
    buf_init(&bytes, 65536);
    buf_reset(&s->signed_job);
    OK(wire_encode_job(job, &bytes, &err));
    OK(signed_make(&s->operator_key, SIGNED_JOB, bytes.data, bytes.size, &s->signed_job, &err));
    buf_release(&bytes);
    free(job);
}

static struct message commit_of(struct scene *s, uint8_t number, bool resume)
{
    static uint8_t credential[] = "sealed";
    struct message message = {.kind = MESSAGE_PUSH_COMMIT};
    message.push_commit = (struct message_push_commit){.push = id_of(number),
                                                       .signed_job = s->signed_job.data,
                                                       .signed_job_size = s->signed_job.size,
                                                       .sealed_credential = credential,
                                                       .sealed_credential_size = sizeof credential,
                                                       .resume = resume};
    return message;
}

static uint64_t offer(struct scene *s)
{
    struct message request = {.kind = MESSAGE_PACKAGE_OFFER};
    request.package_offer.bytes = PACKAGE_BYTES;
    memcpy(request.package_offer.digest, s->digest, LIMIT_DIGEST_BYTES);
    (void)snprintf(request.package_offer.name, LIMIT_PACKAGE_NAME_SIZE, "tool.exe");
    struct message answer = ask(s, &request);
    assert_int_equal(answer.kind, MESSAGE_PACKAGE_WANT);
    return answer.package_want.offset;
}

static void upload_package(struct scene *s)
{
    uint64_t at = offer(s);
    while (at < PACKAGE_BYTES) {
        struct message request = {.kind = MESSAGE_PACKAGE_DATA};
        size_t left = PACKAGE_BYTES - (size_t)at;
        request.package_data.offset = at;
        request.package_data.data = s->package + at;
        request.package_data.size = left < LIMIT_CHUNK_BYTES ? left : LIMIT_CHUNK_BYTES;
        memcpy(request.package_data.digest, s->digest, LIMIT_DIGEST_BYTES);
        struct message answer = ask(s, &request);
        assert_int_equal(answer.kind, MESSAGE_PACKAGE_WANT);
        assert_true(answer.package_want.offset > at);
        at = answer.package_want.offset;
    }
    assert_int_equal(offer(s), PACKAGE_BYTES);
}

static void upload_targets(struct scene *s, uint8_t number)
{
    struct message begin = {.kind = MESSAGE_PUSH_BEGIN};
    begin.push_begin = (struct message_push_begin){id_of(number), TARGETS};
    ask_ok(s, &begin, false);
    for (uint32_t first = 0; first < TARGETS; first += 200) {
        struct message targets = {.kind = MESSAGE_PUSH_TARGETS};
        targets.push_targets =
            (struct message_push_targets){id_of(number), first, s->names + first, 200};
        ask_ok(s, &targets, false);
        ask_ok(s, &targets, false); /* its answer might have been lost */
    }
}

static void commit_push(struct scene *s, uint8_t number)
{
    upload_package(s);
    upload_targets(s, number);
    sign_job(s, number, s->root, 1);
    struct message commit = commit_of(s, number, false);
    ask_ok(s, &commit, false);
}

static struct push_summary status(struct scene *s)
{
    struct message request = {.kind = MESSAGE_STATUS_GET};
    struct message answer = ask(s, &request);
    assert_int_equal(answer.kind, MESSAGE_STATUS);
    struct push_summary push = answer.status.push;
    message_release(&answer);
    return push;
}

/* Rows in the whole report; each is passed to `look`. */
static uint32_t report(struct scene *s, const struct report_filter *filter,
                       void (*look)(struct scene *s, const struct report_row *row))
{
    struct message request = {.kind = MESSAGE_REPORT_GET, .request = ++s->request};
    uint32_t count = 0;
    request.report_get = *filter;
    say(s, &s->control, &request);
    for (;;) {
        struct message answer = hear(s, &s->control);
        assert_int_equal(answer.request, s->request);
        if (answer.kind == MESSAGE_REPORT_END)
            return count;
        assert_int_equal(answer.kind, MESSAGE_REPORT_ROWS);
        for (uint32_t i = 0; i < answer.report_rows.row_count; i++, count++)
            look(s, &answer.report_rows.rows[i]);
        message_release(&answer);
    }
}

/* ---- the relay ---- */

static void relay_hello(struct scene *s, uint32_t credit)
{
    struct message hello = {.kind = MESSAGE_HELLO};
    hello.hello.protocol_version = MESSAGE_PROTOCOL_VERSION;
    hello.hello.instance = s->instance;
    hello.hello.credit = credit;
    (void)snprintf(hello.hello.relay_name, sizeof hello.hello.relay_name, "relay-1");
    memset(hello.hello.seal_key, 7, LIMIT_KEY_BYTES);
    say(s, &s->relay, &hello);
    struct message welcome = hear_kind(s, &s->relay, MESSAGE_WELCOME);
    assert_true(welcome.welcome.epoch >= s->epoch);
    s->epoch = welcome.welcome.epoch;
}

/* JOB, then LEASEs until `count` targets are here; all are proven to be the operator's. */
static void take_leases(struct scene *s, uint32_t count)
{
    struct message job = hear_kind(s, &s->relay, MESSAGE_JOB);
    assert_int_equal(job.job.signed_job_size, s->signed_job.size);
    assert_memory_equal(job.job.signed_job, s->signed_job.data, s->signed_job.size);
    assert_string_equal((const char *)job.job.sealed_credential, "sealed");
    message_release(&job);
    while (count > 0) {
        struct message message = hear_kind(s, &s->relay, MESSAGE_LEASE);
        const struct message_lease *lease = &message.lease;
        struct merkle_leaf leaves[LIMIT_ROWS_PER_MESSAGE];
        assert_true(lease->epoch == s->epoch);
        assert_true(lease->entry_count <= count);
        count -= lease->entry_count;
        for (uint32_t i = 0; i < lease->entry_count; i++) {
            const struct lease_entry *entry = &lease->entries[i];
            leaves[i] = (struct merkle_leaf){entry->target_no, entry->name};
            assert_string_equal(entry->name, s->names[entry->target_no]);
            s->attempts[entry->target_no] = entry->attempt;
        }
        OK(merkle_verify(s->root, TARGETS, leaves, lease->entry_count, lease->proof,
                         lease->proof_size, &err));
        message_release(&message);
    }
}

/* Even numbers go well, odd ones fail. */
static void say_results(struct scene *s, uint8_t number, uint32_t first, uint32_t count)
{
    struct message message = {.kind = MESSAGE_RESULTS};
    struct message_results *results = &message.results;
    results->epoch = s->epoch;
    results->sequence = first + 1;
    results->rows = mem_new(count, sizeof *results->rows);
    results->row_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct result_row *row = &results->rows[i];
        row->push = id_of(number);
        row->generation = 1;
        row->target_no = first + i;
        row->attempt = s->attempts[first + i];
        row->outcome.stage = STAGE_SCHEDULE;
        row->outcome.started_unix_ms = 1;
        row->outcome.state = TARGET_SCHEDULED;
        if (row->target_no % 2 == 1) {
            row->outcome.state = TARGET_FAILED;
            row->outcome.stage = STAGE_ACCESS;
            row->outcome.reason = REASON_ACCESS_DENIED;
        }
    }
    say(s, &s->relay, &message);
    message_release(&message);
}

static void send_results(struct scene *s, uint8_t number, uint32_t first, uint32_t count)
{
    say_results(s, number, first, count);
    struct message ack = hear_kind(s, &s->relay, MESSAGE_RESULTS_ACK);
    assert_int_equal(ack.results_ack.sequence, first + 1);
}

/* ---- tests ---- */

static void look_at_row(struct scene *s, const struct report_row *row)
{
    assert_string_equal(row->target, s->names[row->target_no]);
    assert_string_equal(row->site, "local");
    if (row->target_no >= 200)
        return;
    assert_string_equal(row->relay, "relay-1");
    assert_int_equal(row->outcome.state,
                     row->target_no % 2 == 1 ? TARGET_FAILED : TARGET_SCHEDULED);
}

static void look_at_failure(struct scene *s, const struct report_row *row)
{
    (void)s;
    assert_int_equal(row->target_no % 2, 1);
    assert_int_equal(row->outcome.reason, REASON_ACCESS_DENIED);
}

static void fetch_package(struct scene *s)
{
    dial(s, &s->packages, "package.sock", &s->relay_key);
    for (uint64_t at = 0; at < PACKAGE_BYTES;) {
        struct message request = {.kind = MESSAGE_CHUNK_REQUEST};
        memcpy(request.chunk_request.digest, s->digest, LIMIT_DIGEST_BYTES);
        request.chunk_request.offset = at;
        request.chunk_request.size = LIMIT_CHUNK_BYTES;
        say(s, &s->packages, &request);
        struct message answer = hear_kind(s, &s->packages, MESSAGE_CHUNK);
        assert_int_equal(answer.chunk.total, PACKAGE_BYTES);
        assert_int_equal(answer.chunk.offset, at);
        assert_true(answer.chunk.size > 0);
        assert_memory_equal(answer.chunk.data, s->package + at, answer.chunk.size);
        at += answer.chunk.size;
        message_release(&answer);
    }
    struct message request = {.kind = MESSAGE_CHUNK_REQUEST};
    request.chunk_request.size = 10;
    say(s, &s->packages, &request);
    struct message answer = hear_kind(s, &s->packages, MESSAGE_CHUNK);
    assert_int_equal(answer.chunk.total, 0); /* no such package */
    message_release(&answer);
}

/* The push counted by site and relay: everything in one site, and by the one relay or nobody. */
static struct totals parts(struct scene *s, uint32_t part_count)
{
    struct message request = {.kind = MESSAGE_PARTS_GET};
    struct message answer = ask(s, &request);
    struct totals sum = {0};
    assert_int_equal(answer.kind, MESSAGE_PARTS);
    assert_int_equal(answer.parts.row_count, part_count);
    assert_int_equal(answer.parts.next, 0);
    for (uint32_t i = 0; i < part_count; i++) {
        assert_string_equal(answer.parts.rows[i].site, "local");
        assert_string_equal(answer.parts.rows[i].relay, i + 1 < part_count ? "-" : "relay-1");
        for (int state = 0; state < TARGET_STATE_COUNT; state++)
            sum.by_state[state] += answer.parts.rows[i].totals.by_state[state];
    }
    message_release(&answer);
    return sum;
}

static void push_survives_kill_of_coordinator_and_ends_complete(void **state)
{
    struct scene *s = *state;
    const struct report_filter all = {.stage = STAGE_COUNT};
    struct report_filter failed = {.failed_only = true, .stage = STAGE_COUNT};
    commit_push(s, 1);
    s->instance = 11;
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 400);
    take_leases(s, 400);
    fetch_package(s);
    send_results(s, 1, 0, 200);
    struct totals totals = status(s).totals;
    assert_int_equal(totals.by_state[TARGET_SCHEDULED], 100);
    assert_int_equal(totals.by_state[TARGET_FAILED], 100);
    assert_int_equal(totals.by_state[TARGET_RUNNING] + totals.by_state[TARGET_QUEUED], 400);
    assert_true(totals.by_state[TARGET_RUNNING] >= 200);
    assert_int_equal(report(s, &all, look_at_row), TARGETS);
    assert_int_equal(report(s, &failed, look_at_failure), 100);
    (void)snprintf(failed.target, sizeof failed.target, "pc-0007.EXAMPLE.com");
    assert_int_equal(report(s, &failed, look_at_failure), 1);

    (void)kill(s->daemon, SIGKILL);
    assert_int_equal(status_of(s->daemon), 128 + SIGKILL);
    hang_up(&s->relay);
    hang_up(&s->control);
    s->daemon = spawn_run(s);
    dial(s, &s->control, "control.sock", NULL);
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    assert_int_equal(report(s, &all, look_at_row), TARGETS);
    uint64_t epoch = s->epoch;
    relay_hello(s, 1000); /* the same relay process, which lost nothing */
    assert_true(s->epoch > epoch);
    take_leases(s, 400);
    assert_int_equal(s->attempts[250], 2);
    send_results(s, 1, 0, 200); /* its acknowledgement might have been lost */
    send_results(s, 1, 200, 200);
    assert_int_equal(parts(s, 2).by_state[TARGET_QUEUED], 200);
    send_results(s, 1, 400, 200);
    struct message close = hear_kind(s, &s->relay, MESSAGE_CLOSE);
    assert_int_equal(close.push_ref.push.bytes[1], 1);
    struct push_summary push = status(s);
    assert_int_equal(push.state, PUSH_CLOSED);
    assert_int_equal(push.totals.by_state[TARGET_SCHEDULED], 300);
    assert_int_equal(push.totals.by_state[TARGET_FAILED], 300);
    assert_int_equal(push.totals.attempted, TARGETS);
    assert_int_equal(parts(s, 1).by_state[TARGET_FAILED], 300); /* not what it was just before */
    assert_true(push.closed_unix_ms >= push.created_unix_ms);
    (void)kill(s->daemon, SIGTERM);
    assert_int_equal(status_of(s->daemon), 0);
    s->daemon = 0;
}

/* The disk refuses the COMMIT: the daemon must end without a word, or the rows are lost for good.
 */
static void results_are_acknowledged_after_commit_only(void **state)
{
    struct scene *s = *state;
    const struct rlimit nothing_more = {1, 1};
    commit_push(s, 1);
    s->instance = 11;
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 400);
    take_leases(s, 400);
    assert_int_equal(prlimit(s->daemon, RLIMIT_FSIZE, &nothing_more, NULL), 0);
    say_results(s, 1, 0, 200);
    int ended = 0;
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    while (waitpid(s->daemon, &ended, WNOHANG) == 0 && now_ms() < until_ms)
        turn(s);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 1);
    for (int i = 0; i < 10; i++)
        turn(s);
    for (uint32_t i = 0; i < s->relay.heard_count; i++)
        assert_int_not_equal(s->relay.heard[i].kind, MESSAGE_RESULTS_ACK);
    hang_up(&s->relay);
    hang_up(&s->control);
    s->daemon = spawn_run(s);
    dial(s, &s->control, "control.sock", NULL);
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 400);
    take_leases(s, 400);
    send_results(s, 1, 0, 200);
    assert_int_equal(status(s).totals.by_state[TARGET_SCHEDULED], 100);
}

static void commit_that_does_not_fit_is_refused(void **state)
{
    struct scene *s = *state;
    struct message commit;
    uint8_t wrong[MERKLE_HASH_BYTES] = {1};
    sign_job(s, 1, s->root, 1);
    commit = commit_of(s, 1, false);
    ask_fail(s, &commit, ERR_NOT_FOUND, "begin again");
    upload_targets(s, 1);
    ask_fail(s, &commit, ERR_NOT_FOUND, "package tool.exe");
    upload_package(s);
    sign_job(s, 1, wrong, 1);
    commit = commit_of(s, 1, false);
    ask_fail(s, &commit, ERR_INVALID, "other targets");
    sign_job(s, 2, s->root, 1);
    commit = commit_of(s, 1, false);
    ask_fail(s, &commit, ERR_INVALID, "another push");
    sign_job(s, 1, s->root, 1);
    s->signed_job.data[s->signed_job.size - 1] ^= 1;
    commit = commit_of(s, 1, false);
    ask_fail(s, &commit, ERR_DENIED, "signature");
    s->signed_job.data[s->signed_job.size - 1] ^= 1;
    commit = commit_of(s, 1, true);
    ask_fail(s, &commit, ERR_NOT_FOUND, "no push");
    commit = commit_of(s, 1, false);
    ask_ok(s, &commit, false);
    ask_ok(s, &commit, true);
    sign_job(s, 1, s->root, 2);
    commit = commit_of(s, 1, false);
    ask_fail(s, &commit, ERR_EXISTS, "another job");
    struct message begin = {.kind = MESSAGE_PUSH_BEGIN};
    begin.push_begin = (struct message_push_begin){id_of(1), TARGETS};
    ask_ok(s, &begin, true);
    begin.push_begin = (struct message_push_begin){id_of(9), 0};
    ask_fail(s, &begin, ERR_INVALID, "needs a target");
    struct message hello = {.kind = MESSAGE_HELLO};
    ask_fail(s, &hello, ERR_PROTOCOL, "no request");
}

static void stopped_push_waits_and_resume_brings_the_new_job(void **state)
{
    struct scene *s = *state;
    commit_push(s, 1);
    struct message stop = {.kind = MESSAGE_PUSH_STOP};
    stop.push_stop.push = id_of(1);
    ask_ok(s, &stop, false);
    ask_ok(s, &stop, true);
    assert_int_equal(status(s).state, PUSH_STOPPED);
    s->instance = 11;
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 1000);
    sign_job(s, 1, s->root, 2);
    struct message resume = commit_of(s, 1, true);
    ask_ok(s, &resume, true);
    ask_ok(s, &resume, true);
    take_leases(s, TARGETS); /* with the new job, and nothing before */
    sign_job(s, 1, s->root, 1);
    struct message older = commit_of(s, 1, true);
    ask_fail(s, &older, ERR_EXISTS, "signed later");
    sign_job(s, 1, s->root, 2);
    resume = commit_of(s, 1, true);
    stop.push_stop.cancel = true;
    ask_ok(s, &stop, false);
    struct message heard = hear_kind(s, &s->relay, MESSAGE_STOP);
    assert_int_equal(heard.push_ref.counter, 2);
    ask_fail(s, &resume, ERR_EXISTS, "cancelled");
}

static void cancel_tells_relay_which_job_is_stopped(void **state)
{
    struct scene *s = *state;
    commit_push(s, 1);
    s->instance = 11;
    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 1000);
    take_leases(s, TARGETS);
    struct message stop = {.kind = MESSAGE_PUSH_STOP};
    stop.push_stop.push = id_of(1);
    stop.push_stop.cancel = true;
    ask_ok(s, &stop, false);
    struct message heard = hear_kind(s, &s->relay, MESSAGE_STOP);
    assert_int_equal(heard.push_ref.counter, 1);
}

static void relays_are_listed_and_strangers_refused(void **state)
{
    struct scene *s = *state;
    struct message request = {.kind = MESSAGE_RELAYS_GET};
    struct message answer = ask(s, &request);
    assert_int_equal(answer.kind, MESSAGE_RELAYS);
    assert_int_equal(answer.relays.row_count, 1);
    assert_false(answer.relays.rows[0].live);
    message_release(&answer);

    struct key_pair stranger;
    struct line line = {0};
    key_pair_generate(&stranger, KEY_CURVE);
    dial(s, &line, "relay.sock", &stranger);
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    while (!line.refused && now_ms() < until_ms)
        turn(s);
    assert_true(line.refused);
    hang_up(&line);
    key_pair_release(&stranger);

    dial(s, &s->relay, "relay.sock", &s->relay_key);
    relay_hello(s, 5);
    answer = ask(s, &request);
    assert_int_equal(answer.relays.row_count, 1);
    assert_true(answer.relays.rows[0].live);
    assert_string_equal(answer.relays.rows[0].name, "relay-1");
    assert_string_equal(answer.relays.rows[0].site, "local");
    assert_int_equal(answer.relays.rows[0].seal_key[31], 7);
    message_release(&answer);
}

static void list_and_unknown_pushes_are_answered(void **state)
{
    struct scene *s = *state;
    struct message list = {.kind = MESSAGE_LIST_GET};
    struct message answer = ask(s, &list);
    assert_int_equal(answer.kind, MESSAGE_LIST);
    assert_int_equal(answer.list.push_count, 0);
    message_release(&answer);
    struct message get = {.kind = MESSAGE_STATUS_GET};
    ask_fail(s, &get, ERR_NOT_FOUND, "no push yet");
    struct message rows = {.kind = MESSAGE_REPORT_GET};
    rows.report_get = (struct report_filter){.push = {"beef"}, .stage = STAGE_COUNT};
    ask_fail(s, &rows, ERR_NOT_FOUND, "beef");
    struct message job = {.kind = MESSAGE_JOB_GET};
    ask_fail(s, &job, ERR_NOT_FOUND, "no push yet");
    commit_push(s, 1);
    struct message commit = commit_of(s, 1, false); /* the job that was just signed */
    answer = ask(s, &job);
    assert_int_equal(answer.kind, MESSAGE_JOB);
    assert_int_equal(answer.job.signed_job_size, commit.push_commit.signed_job_size);
    assert_memory_equal(answer.job.signed_job, commit.push_commit.signed_job,
                        answer.job.signed_job_size);
    assert_int_equal(answer.job.sealed_credential_size, 0); /* nobody but its relay gets that */
    message_release(&answer);
    commit_push(s, 2);
    answer = ask(s, &list);
    assert_int_equal(answer.list.push_count, 2);
    message_release(&answer);
}

static void second_coordinator_and_broken_store_are_refused(void **state)
{
    struct scene *s = *state;
    struct message list = {.kind = MESSAGE_LIST_GET};
    struct message answer = ask(s, &list); /* it runs */
    message_release(&answer);
    assert_int_equal(status_of(spawn_run(s)), 1);
    assert_non_null(strstr(log_text(s), "another coordinator runs"));
    (void)kill(s->daemon, SIGTERM);
    assert_int_equal(status_of(s->daemon), 0);
    s->daemon = 0;
    assert_int_equal(truncate(in_folder(s, "state/store.db"), 0), 0);
    assert_int_equal(status_of(spawn_run(s)), 1);
    assert_non_null(strstr(log_text(s), "is damaged"));
    assert_int_equal(run_init(s), 0); /* again: changes nothing */
    uint8_t before[LIMIT_KEY_BYTES];
    memcpy(before, s->server_key, sizeof before);
    read_server_key(s);
    assert_memory_equal(before, s->server_key, sizeof before);
}

static void wrong_usage_exits_with_2(void **state)
{
    struct scene *s = *state;
    const char *const nothing_said[] = {program, NULL};
    const char *const unknown[] = {program, "walk", NULL};
    const char *const lacking[] = {program, "run", "--state", s->folder, NULL};
    const char *const help[] = {program, "--help", NULL};
    assert_int_equal(status_of(spawn(s, nothing_said)), 2);
    assert_int_equal(status_of(spawn(s, unknown)), 2);
    assert_int_equal(status_of(spawn(s, lacking)), 2);
    assert_int_equal(status_of(spawn(s, help)), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(push_survives_kill_of_coordinator_and_ends_complete),
        TEST(results_are_acknowledged_after_commit_only),
        TEST(commit_that_does_not_fit_is_refused),
        TEST(stopped_push_waits_and_resume_brings_the_new_job),
        TEST(cancel_tells_relay_which_job_is_stopped),
        TEST(relays_are_listed_and_strangers_refused),
        TEST(list_and_unknown_pushes_are_answered),
        TEST(second_coordinator_and_broken_store_are_refused),
        TEST(wrong_usage_exits_with_2),
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: test_coordinator PROGRAM\n");
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
