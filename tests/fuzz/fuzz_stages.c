/* relay/stage: stages 4 to 6 whole (path, copy, schedule, waiting, cleaning up), on the real SMB
 * engine and the real RPC client, against a Windows machine that the fuzzer plays: it behaves well
 * until a byte of the input says otherwise, then refuses, garbles, cuts, reorders, hangs up. Only
 * the socket, the clock and NTLM are stand-ins. Covers path.c, copy*.c, schedule*.c, wrapfile.c,
 * await.c, sweep.c, cleanup.c.
 *
 * Holds: a stage ends once; "copied" is said only when every byte, the flush, the name and the
 * close were answered as done; "registered" only when the scheduler said so, or has the very task;
 * when it carried the call out and its answer did not arrive whole, never "failed"; an exit code is
 * the one that the scheduler told. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "machine.h"
#include "relay/stage/starttime.h"

#define TURNS_MAX 600U
#define STAGES_MAX 6U
#define NOW_S 1790000000

struct auth_context {
    unsigned turns;
};

struct world world;
const uint8_t machine_session_key[SEAL_KEY_SIZE] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
static uint8_t scratch[STAGE_BUFFER_BYTES];

/* ---- the clock and NTLM ---- */

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return world.now_ms;
}

int auth_context_new(const struct auth_credential *credential, enum auth_mechanism mechanism,
                     const char *service, const char *host, struct auth_context **context,
                     struct err *err)
{
    (void)credential;
    (void)service;
    (void)host;
    (void)err;
    FUZZ_CHECK(mechanism == AUTH_NTLM_RAW);
    *context = mem_new(1, sizeof **context);
    return 0;
}

void auth_context_free(struct auth_context *context)
{
    free(context);
}

int auth_context_step(struct auth_context *context, const uint8_t *token, size_t token_size,
                      struct buf *out, struct err *err)
{
    (void)token;
    if (context->turns++ > 0 && token_size < 4)
        return err_set(err, ERR_PROTOCOL, "a bad challenge");
    buf_text(out, "our token");
    return 0;
}

bool auth_context_done(const struct auth_context *context)
{
    return context->turns > 1;
}

int auth_context_session_key(const struct auth_context *context, uint8_t key[AUTH_KEY_SIZE],
                             struct err *err)
{
    (void)context;
    (void)err;
    memcpy(key, machine_session_key, AUTH_KEY_SIZE);
    return 0;
}

uint32_t auth_context_ntlm_flags(const struct auth_context *context)
{
    (void)context;
    return 0xe2888235;
}

const struct auth_peer *auth_context_peer(const struct auth_context *context)
{
    static const struct auth_peer peer;
    (void)context;
    return &peer;
}

/* ---- what the stages know of the session ---- */

uint64_t session_tag(const struct session *session, uint32_t step)
{
    return (uint64_t)session->generation << 32 | step;
}

uint32_t session_step(uint64_t tag)
{
    return (uint32_t)tag;
}

void session_tags_new(struct session *session)
{
    session->generation++;
}

void session_pause(struct session *session, uint32_t ms, void (*action)(struct session *session))
{
    (void)session;
    world.now_ms += ms;
    world.paused = action;
}

static void end(struct stage_result result)
{
    FUZZ_CHECK(!world.ended);
    world.ended = true;
    world.result = result;
    FUZZ_CHECK(memchr(result.detail, '\0', sizeof result.detail) != NULL);
    if (result.verdict != STAGE_PASSED)
        FUZZ_CHECK(result.reason > REASON_NONE && result.reason < REASON_COUNT);
    if (world.session.steps->release != NULL)
        world.session.steps->release(&world.session);
}

void session_finish(struct session *session, const struct stage_result *result, uint8_t *output)
{
    (void)session;
    FUZZ_CHECK(result->output_size <= LIMIT_OUTPUT_BYTES);
    FUZZ_CHECK(result->output_size == 0 || output != NULL);
    struct stage_result kept = *result;
    free(output);
    end(kept);
}

void session_finish_lost(struct session *session, const struct stage_result *result,
                         uint8_t *output)
{
    session_finish(session, result, output);
}

void session_pass(struct session *session, const char *detail)
{
    struct stage_result result = {.verdict = STAGE_PASSED};
    (void)session;
    (void)snprintf(result.detail, sizeof result.detail, "%s", detail);
    end(result);
}

static void fail_with(enum reason reason)
{
    end((struct stage_result){
        .verdict = world.target.uncertain ? STAGE_EFFECT_UNKNOWN : STAGE_FAILED, .reason = reason});
}

void session_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
                  const char *format, ...)
{
    char text[LIMIT_DETAIL_SIZE];
    va_list args;
    (void)session;
    (void)kind;
    (void)code;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FUZZ_CHECK(text[0] != '\0');
    fail_with(reason);
}

void session_fail_status(struct session *session, uint32_t status, const char *what)
{
    (void)session;
    FUZZ_CHECK(what[0] != '\0' && status != NTSTATUS_SUCCESS);
    fail_with(REASON_PROTOCOL_ERROR);
}

void session_fail_request(struct session *session, const struct err *err)
{
    (void)session;
    fuzz_check_error(err);
    /* Our own fault, unless the connection is gone. */
    FUZZ_CHECK(smb_conn_failure(world.far.conn) != SMB_FAILURE_NONE || err->code == ERR_LIMIT);
    fail_with(REASON_INTERNAL);
}

void session_lost_default(struct session *session, const struct session_loss *loss)
{
    (void)session;
    world.again = loss->again;
    fail_with(loss->reason);
}

void target_host_text(const struct stage_target *target, char text[LIMIT_TARGET_NAME_SIZE])
{
    (void)target;
    (void)snprintf(text, LIMIT_TARGET_NAME_SIZE, "pc-1.example");
}

/* ---- a stage ---- */

static void lose(bool again)
{
    struct session_loss loss = {.reason = REASON_CONN_LOST, .again = again};
    (void)snprintf(loss.text, sizeof loss.text, "connection lost");
    if (world.session.steps->lost != NULL)
        world.session.steps->lost(&world.session, &loss);
    else
        session_lost_default(&world.session, &loss);
    FUZZ_CHECK(world.ended);
}

static void hand_on(void)
{
    struct smb_reply reply;
    while (!world.ended && smb_conn_next_reply(world.far.conn, &reply))
        if (reply.tag >> 32 == world.session.generation && !world.ended)
            world.session.steps->reply(&world.session, &reply);
    if (!world.ended && world.session.steps->room != NULL)
        world.session.steps->room(&world.session);
}

static void turn(void)
{
    machine_hear();
    if (smb_conn_failure(world.far.conn) != SMB_FAILURE_NONE) {
        lose(true);
    } else if (world.paused != NULL) {
        void (*action)(struct session * session) = world.paused;
        world.paused = NULL;
        if (cursor_u8(&world.input) == 0xff)
            lose(true);
        else
            action(&world.session);
    } else if (world.heard_count == 0) {
        lose(false); /* nothing to answer: its deadline ends it */
    } else if (cursor_u8(&world.input) == 0xff) {
        lose(cursor_u8(&world.input) % 2 == 0);
    } else {
        machine_answer();
    }
    hand_on();
}

static void check_copy(void)
{
    if (world.result.verdict != STAGE_PASSED)
        return;
    FUZZ_CHECK(world.files_done >= (world.job.folder.count > 0 ? world.job.folder.count : 1));
}

static void check_schedule(void)
{
    const struct stage_result *result = &world.result;
    bool waits = world.target.await || world.job.job.action == JOB_CLEANUP;
    if (result->verdict == STAGE_PASSED && !waits)
        FUZZ_CHECK(world.told_success);
    if (result->verdict == STAGE_FAILED && !waits)
        FUZZ_CHECK(!world.executed || world.told);
    if (result->verdict == STAGE_PASSED && result->has_exit_code)
        FUZZ_CHECK(result->code == result->exit_code);
}

static void run(const struct stage_steps *steps, enum stage stage, bool await)
{
    world.session.steps = steps;
    world.session.generation++;
    world.target.stage = stage;
    world.target.await = await;
    world.target.uncertain = false;
    world.paused = NULL;
    world.ended = world.again = world.executed = world.told = world.told_success = false;
    world.flushed = world.renamed = world.unmarked = false;
    world.files_done = 0;
    world.rights_safe = false;
    memset(world.written, 0, sizeof world.written);
    memset(&world.result, 0, sizeof world.result);
    steps->start(&world.session);
    hand_on();
    for (unsigned i = 0; i < TURNS_MAX && !world.ended; i++)
        turn();
    if (!world.ended)
        lose(false);
    while (world.heard_count > 0) /* of a stage that is over: nobody waits */
        machine_forget(0);
    if (stage == STAGE_COPY && steps == &copy_steps)
        check_copy();
    if (stage == STAGE_SCHEDULE)
        check_schedule();
    if (stage == STAGE_PATH && world.result.verdict == STAGE_PASSED &&
        world.job.job.action != JOB_CLEANUP)
        FUZZ_CHECK(world.rights_safe);
}

static void machine_connect(void)
{
    if (world.far.conn != NULL)
        fake_release(&world.far);
    fake_init_ready(&world.far, SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_NONE);
    world.far.conn->server.system_time = filetime_from_unix_s(NOW_S);
    world.session.conn = world.far.conn;
    world.session.tree = FAKE_TREE;
    buf_reset(&world.pipe);
    buf_reset(&world.stub);
}

/* A package of several files, instead of one. */
static struct folder_file folder_files[] = {
    {.path = "a.txt", .size = 10},
    {.path = "sub/b.exe", .size = 3000},
    {.path = "sub/deep/c.bin", .size = 0},
};

static void begin(uint8_t how)
{
    struct job *job = &world.job.job;
    job->package_bytes = (how & 1) == 0 ? 0 : (how & 0xe0) == 0x20 ? MACHINE_PACKAGE_BYTES : 3000;
    if ((how & 0xe0) == 0x40)
        world.job.folder = (struct folder){.files = folder_files,
                                           .count = sizeof folder_files / sizeof folder_files[0]};
    job->verify = (how & 2) != 0;
    job->wait = (how & 4) != 0;
    job->replace_path = (how & 8) != 0;
    job->cleanup = (how & 16) != 0;
    job->action = (how & 0xe0) == 0xe0 ? JOB_CLEANUP : JOB_PUSH;
    job->generation = job->of_generation = 1;
    job->end_unix_s = NOW_S + 86400;
    job->run_timeout_s = 3600;
    job->run_as = RUN_AS_SYSTEM;
    (void)snprintf(job->package_name, sizeof job->package_name, "setup.exe");
    world.job.package_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    world.now_ms = 1000000;
    world.runner.scratch = scratch;
    world.runner.config.loop = NULL;
    world.target.runner = &world.runner;
    world.target.job = &world.job;
    world.session.runner = &world.runner;
    world.session.target = &world.target;
    world.session.job = &world.job;
    world.session.negotiated_ms = world.now_ms;
    buf_init(&world.stub, 1 << 20);
    buf_init(&world.pipe, 1 << 20);
    buf_init(&world.xml, 1 << 20);
    machine_connect();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&world, 0, sizeof world);
    world.input = cursor_of(data, size);
    begin(cursor_u8(&world.input));
    bool cleanup = world.job.job.action == JOB_CLEANUP;
    for (unsigned i = 0; i < STAGES_MAX && cursor_left(&world.input) > 0; i++) {
        uint8_t which = cursor_u8(&world.input);
        world.exit_code = which >= 0x80 ? which : 0;
        world.target.read_back = (which & 0x40) != 0;
        world.target.look_only = (which & 0x60) == 0x60;
        world.job.job.package_digest[0] = (which & 0x10) != 0; /* another job of the same name */
        if (which % 4 == 0)
            run(&path_steps, STAGE_PATH, false);
        else if (which % 4 == 1)
            run(cleanup ? &cleanup_steps : &copy_steps, STAGE_COPY, false);
        else
            run(&schedule_steps, STAGE_SCHEDULE, which % 4 == 3 && !cleanup);
        machine_connect();
    }
    fake_release(&world.far);
    buf_release(&world.stub);
    buf_release(&world.pipe);
    buf_release(&world.xml);
    free(world.target.cleaned);
    (void)close(world.job.package_fd);
    return 0;
}
