/* The runner: jobs, the table of targets, and results on their way out. */
#include "relay/stage/runner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dns/dns.h"
#include "relay/auth/pool.h"
#include "relay/stage/session.h"

#define BUCKETS_FIRST 1024

static size_t bucket_of(const struct stage_runner *runner, uint64_t key)
{
    /* Fibonacci hashing: keys are dense numbers or random ones */
    return (size_t)((key * 0x9E3779B97F4A7C15ULL) >> 20) & (runner->bucket_count - 1);
}

static struct stage_target *table_find(struct stage_runner *runner, uint64_t key)
{
    struct stage_target *target = runner->buckets[bucket_of(runner, key)];
    while (target != NULL && target->key != key)
        target = target->next;
    return target;
}

static void table_grow(struct stage_runner *runner)
{
    struct stage_target **old = runner->buckets;
    size_t old_count = runner->bucket_count;
    runner->bucket_count = old_count * 2;
    runner->buckets = mem_new(runner->bucket_count, sizeof(struct stage_target *));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct stage_target *target = old[i];
            old[i] = target->next;
            size_t at = bucket_of(runner, target->key);
            target->next = runner->buckets[at];
            runner->buckets[at] = target;
        }
    }
    free(old);
}

static struct stage_job *job_find(const struct stage_runner *runner, uint32_t no)
{
    struct stage_job *job = runner->jobs;
    while (job != NULL && (job->no != no || job->removed))
        job = job->next;
    return job;
}

static void job_free_if_idle(struct stage_runner *runner, struct stage_job *job)
{
    if (!job->removed || job->target_count > 0 || job->session_count > 0)
        return;
    struct stage_job **link = &runner->jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    if (job->package_fd >= 0)
        (void)close(job->package_fd);
    folder_release(&job->folder);
    auth_pool_drop(runner->credentials, job->credential);
    free(job);
}

void stage_job_session_ended(struct stage_runner *runner, struct stage_job *job)
{
    assert(job->session_count > 0);
    job->session_count--;
    job_free_if_idle(runner, job);
}

static struct stage_target *target_new(struct stage_runner *runner,
                                       const struct stage_request *request, struct stage_job *job)
{
    struct stage_target *target = mem_new(1, sizeof *target);
    target->runner = runner;
    target->job = job;
    target->key = request->key;
    target->name = mem_strdup(request->target);
    job->target_count++;
    if (runner->target_count++ >= runner->bucket_count)
        table_grow(runner);
    size_t at = bucket_of(runner, target->key);
    target->next = runner->buckets[at];
    runner->buckets[at] = target;
    return target;
}

static void target_free(struct stage_target *target)
{
    struct stage_runner *runner = target->runner;
    resolve_cancel(target);
    ping_cancel(target);
    session_end(target);
    if (target->ending != NULL)
        target->ending->target = NULL;
    struct stage_target **link = &runner->buckets[bucket_of(runner, target->key)];
    while (*link != target)
        link = &(*link)->next;
    *link = target->next;
    runner->target_count--;
    target->job->target_count--;
    job_free_if_idle(runner, target->job);
    free(target->addresses);
    free(target->cleaned);
    free(target->name);
    free(target);
}

/* --- Addresses --- */

void target_address_text(const struct stage_target *target, char text[LIMIT_ADDRESS_SIZE])
{
    text[0] = '\0';
    if (target->address_count > 0)
        stage_address_text(&target->addresses[0], text);
}

void target_host_text(const struct stage_target *target, char text[LIMIT_TARGET_NAME_SIZE])
{
    if (target->name_is_address) {
        target_address_text(target, text);
        return;
    }
    (void)text_copy(text, LIMIT_TARGET_NAME_SIZE, target->name);
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '.')
        text[length - 1] = '\0';
}

void target_addresses_set(struct stage_target *target, const union stage_address *addresses,
                          uint8_t count)
{
    if (count > target->address_count || (count > 0 && target->addresses == NULL))
        target->addresses = mem_resize(target->addresses, count, sizeof *addresses);
    if (count > 0)
        memcpy(target->addresses, addresses, count * sizeof *addresses);
    target->address_count = count;
}

void target_address_use(struct stage_target *target, uint8_t at)
{
    assert(at < target->address_count);
    union stage_address used = target->addresses[at];
    memmove(target->addresses + 1, target->addresses, at * sizeof used);
    target->addresses[0] = used;
}

/* --- Results --- */

static void ending_free(struct stage_ending *ending)
{
    free(ending->output);
    free(ending);
}

static void on_deliver(uv_idle_t *idle)
{
    struct stage_runner *runner = idle->data;
    struct stage_ending *ending = runner->endings;
    runner->endings = NULL;
    runner->endings_tail = &runner->endings;
    runner->delivering = ending;
    while (runner->delivering != NULL) {
        ending = runner->delivering;
        runner->delivering = ending->next;
        if (ending->target != NULL) {
            ending->target->ending = NULL;
            ending->target->running = false;
            runner->config.done(runner->config.context, &ending->result);
        }
        ending_free(ending);
    }
    if (runner->endings == NULL)
        (void)uv_idle_stop(idle);
}

void target_end(struct stage_target *target, const struct stage_result *result, uint8_t *output)
{
    struct stage_runner *runner = target->runner;
    assert(target->running && target->ending == NULL);
    struct stage_ending *ending = mem_new(1, sizeof *ending);
    ending->target = target;
    ending->result = *result;
    ending->result.output = ending->output = output;
    ending->result.key = target->key;
    ending->result.stage = target->stage;
    ending->result.name_check = target->name_check;
    ending->result.logged_on = target->logged_on;
    ending->result.tries = target->tries;
    ending->result.bytes = target->bytes;
    target_address_text(target, ending->result.address);
    target->ending = ending;
    *runner->endings_tail = ending;
    runner->endings_tail = &ending->next;
    (void)uv_idle_start(runner->deliver, on_deliver);
}

void target_pass(struct stage_target *target, const char *format, ...)
{
    struct stage_result result = {.verdict = STAGE_PASSED};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(result.detail, sizeof result.detail, format, args);
    va_end(args);
    target_end(target, &result, NULL);
}

void target_fail(struct stage_target *target, enum reason reason, enum code_kind kind,
                 uint32_t code, const char *format, ...)
{
    struct stage_result result = {
        .verdict = target->uncertain ? STAGE_EFFECT_UNKNOWN : STAGE_FAILED,
        .reason = reason,
        .code_kind = kind,
        .code = code,
    };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(result.detail, sizeof result.detail, format, args);
    va_end(args);
    target_end(target, &result, NULL);
}

/* --- Jobs --- */

int stage_runner_add_job(struct stage_runner *runner, const struct job *job,
                         const struct credential *credential, uint32_t *job_no, struct err *err)
{
    const struct auth_credential *made;
    uint32_t credential_no;
    if (auth_pool_get(runner->credentials, credential->account, credential->secret, &made,
                      &credential_no, err) != 0)
        return -1;
    struct stage_job *added = mem_new(1, sizeof *added);
    added->job = *job;
    added->credential = made;
    added->credential_no = credential_no;
    added->package_fd = -1;
    added->no = ++runner->job_no_last;
    added->next = runner->jobs;
    runner->jobs = added;
    *job_no = added->no;
    return 0;
}

uint32_t stage_runner_credential_no(const struct stage_runner *runner, uint32_t job_no)
{
    const struct stage_job *job = job_find(runner, job_no);
    return job != NULL ? job->credential_no : 0;
}

int stage_runner_set_package(struct stage_runner *runner, uint32_t job_no, const char *path,
                             struct err *err)
{
    struct stage_job *job = job_find(runner, job_no);
    if (job == NULL)
        return err_set(err, ERR_NOT_FOUND, "no job %u", job_no);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open package %s", path);
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) ||
        (uint64_t)found.st_size != job->job.package_bytes) {
        (void)close(fd);
        return err_set(err, ERR_INVALID, "package %s is not a file of %llu bytes", path,
                       (unsigned long long)job->job.package_bytes);
    }
    /* The files stay as they are while targets are copied to: it is the same package. */
    if (job->job.directory && job->folder.count == 0 &&
        folder_read(&job->folder, fd, job->job.package_bytes, err) != 0) {
        (void)close(fd);
        return err_wrap(err, "package %s", path);
    }
    if (job->package_fd >= 0)
        (void)close(job->package_fd);
    job->package_fd = fd;
    return 0;
}

void stage_runner_remove_job(struct stage_runner *runner, uint32_t job_no)
{
    struct stage_job *job = job_find(runner, job_no);
    if (job == NULL)
        return;
    job->removed = true;
    job_free_if_idle(runner, job);
}

/* --- Stages --- */

static void stage_begin(struct stage_target *target)
{
    switch (target->stage) {
    case STAGE_RESOLVE:
        resolve_begin(target);
        return;
    case STAGE_PING:
        ping_begin(target);
        return;
    case STAGE_ACCESS:
    case STAGE_PATH:
    case STAGE_COPY:
    case STAGE_SCHEDULE:
        session_stage_begin(target);
        return;
    case STAGE_COUNT:
        break;
    }
    assert(0 && "a stage that does not exist");
}

void stage_run(struct stage_runner *runner, const struct stage_request *request)
{
    struct stage_target *target = table_find(runner, request->key);
    if (target == NULL) {
        struct stage_job *job = job_find(runner, request->job_no);
        assert(job != NULL);
        target = target_new(runner, request, job);
    }
    assert(!target->running);
    assert(request->stage == STAGE_RESOLVE || target->address_count > 0);
    target->running = true;
    target->stage = request->stage;
    target->read_back = request->read_back;
    target->look_only = request->look_only;
    target->hold_logon = request->hold_logon && request->stage == STAGE_ACCESS;
    target->held = target->logon_allowed = target->logged_on = false;
    target->await = request->await && request->stage == STAGE_SCHEDULE;
    target->uncertain = (request->read_back || request->await) && request->stage == STAGE_SCHEDULE;
    target->tries = 1;
    target->bytes = 0;
    if (request->stage == STAGE_RESOLVE || target_addresses_check(target))
        stage_begin(target);
}

void stage_logon(struct stage_runner *runner, uint64_t key)
{
    struct stage_target *target = table_find(runner, key);
    if (target != NULL && target->held)
        session_logon(target);
}

void stage_drop(struct stage_runner *runner, uint64_t key)
{
    struct stage_target *target = table_find(runner, key);
    if (target != NULL)
        target_free(target);
}

/* --- Life --- */

int stage_runner_new(const struct stage_runner_config *config, struct stage_runner **runner,
                     struct err *err)
{
    uint8_t key[AUTH_POOL_KEY_SIZE];
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return err_set_errno(err, errno, "no random bytes");
    struct stage_runner *made = mem_new(1, sizeof *made);
    made->config = *config;
    pace_set(&made->lan, config->lan_rate, uv_now(config->loop));
    onlink_init(&made->onlink);
    if (dns_open(&made->dns, made->config.loop, NULL, err) != 0) {
        free(made);
        return -1;
    }
    made->credentials = auth_pool_new(key);
    explicit_bzero(key, sizeof key);
    made->pinger = pinger_new(made);
    made->bucket_count = BUCKETS_FIRST;
    made->buckets = mem_new(made->bucket_count, sizeof(struct stage_target *));
    made->endings_tail = &made->endings;
    made->received = mem_new(1, STAGE_BUFFER_BYTES);
    made->scratch = mem_new(1, STAGE_BUFFER_BYTES);
    made->deliver = mem_new(1, sizeof *made->deliver);
    (void)uv_idle_init(config->loop, made->deliver);
    made->deliver->data = made;
    *runner = made;
    return 0;
}

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void endings_free(struct stage_ending *ending)
{
    while (ending != NULL) {
        struct stage_ending *next = ending->next;
        if (ending->target != NULL)
            ending->target->ending = NULL;
        ending_free(ending);
        ending = next;
    }
}

void stage_runner_free(struct stage_runner *runner)
{
    if (runner == NULL)
        return;
    endings_free(runner->endings);
    endings_free(runner->delivering);
    runner->delivering = NULL;
    for (size_t i = 0; i < runner->bucket_count; i++) {
        struct stage_target *next;
        for (struct stage_target *target = runner->buckets[i]; target != NULL; target = next) {
            next = target->next;
            target_free(target);
        }
    }
    sessions_abandon(runner);
    while (runner->jobs != NULL) {
        runner->jobs->removed = true;
        job_free_if_idle(runner, runner->jobs);
    }
    auth_pool_free(runner->credentials);
    dns_close(runner->dns);
    pinger_free(runner->pinger);
    onlink_release(&runner->onlink);
    (void)uv_idle_stop(runner->deliver);
    uv_close((uv_handle_t *)runner->deliver, free_on_close);
    free(runner->buckets);
    free(runner->received);
    free(runner->scratch);
    free(runner);
}
