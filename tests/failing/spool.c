/* The relay's journal. */
#include "relay/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/failing/scenario.h"

static const char site[] = "lyon";

static struct agent_ref ref_of(uint32_t target_no, uint32_t attempt)
{
    return (struct agent_ref){
        .push = {{1, 2, 3}}, .generation = 1, .target_no = target_no, .attempt = attempt};
}

static int put_outcome(struct spool *spool, uint32_t target_no, struct err *err)
{
    struct agent_ref ref = ref_of(target_no, 1);
    struct outcome outcome = {
        .state = TARGET_FAILED, .stage = STAGE_COPY, .reason = REASON_DISK_FULL, .tries = 2};
    (void)snprintf(outcome.detail, sizeof outcome.detail, "target %u is full", target_no);
    return spool_put_outcome(spool, &ref, &outcome, err);
}

static int write_first(struct spool *spool, struct err *err)
{
    struct spool_job job = {
        .push = {{1, 2, 3}}, .generation = 1, .counter = 7, .not_after_unix_s = 5000};
    if (spool_put_job(spool, &job, err) != 0 || spool_put_site_counter(spool, site, 3, err) != 0)
        return -1;
    for (uint32_t no = 0; no < 4; no++) {
        struct agent_ref ref = ref_of(no, 1);
        if (spool_put_intent(spool, &ref, err) != 0)
            return -1;
    }
    return spool_commit(spool, err);
}

static int write_second(struct spool *spool, struct err *err)
{
    static const uint8_t output[3000] = "printed";
    struct agent_ref ref = ref_of(1, 1);
    if (put_outcome(spool, 0, err) != 0 || put_outcome(spool, 1, err) != 0 ||
        spool_put_output(spool, &ref, output, sizeof output, err) != 0)
        return -1;
    return spool_commit(spool, err);
}

static int write_third(struct spool *spool, struct err *err)
{
    struct agent_ref acked = ref_of(1, 1);
    struct agent_ref renewed = ref_of(0, 2);
    if (spool_set_acked(spool, &acked, err) != 0 || spool_renew(spool, &renewed, err) != 0)
        return -1;
    return spool_commit(spool, err);
}

static int write_fourth(struct spool *spool, struct err *err)
{
    struct push_id push = {{1, 2, 3}};
    if (spool_forget(spool, &push, 1, err) != 0)
        return -1;
    return spool_commit(spool, err);
}

static int write_fifth(struct spool *spool, struct err *err)
{
    return spool_prune(spool, 6000, err) != 0 ? -1 : spool_commit(spool, err);
}

static void see_intent(void *context, const struct agent_ref *ref)
{
    run_saw(context, "intent %u #%u\n", ref->target_no, ref->attempt);
}

static void see_outcome(void *context, const struct agent_ref *ref, bool acked, uint32_t size)
{
    run_saw(context, "outcome %u #%u acked %d output %u\n", ref->target_no, ref->attempt, acked,
            size);
}

static int read_target(struct run *run, struct spool *spool, uint32_t no, struct err *err)
{
    struct agent_ref ref = ref_of(no, 1);
    struct outcome outcome;
    struct err why = {0};
    uint8_t *output = NULL;
    size_t output_size = 0;
    if (spool_get_output(spool, &ref, &output, &output_size, err) != 0)
        return -1;
    free(output);
    int got = spool_get_outcome(spool, &ref, &outcome, &why);
    if (got != 0 && why.code != ERR_NOT_FOUND) {
        *err = why;
        return -1;
    }
    run_saw(run, "%u: %zu bytes, %s\n", no, output_size, got == 0 ? outcome.detail : "nothing");
    return 0;
}

static int read_all(struct run *run, struct spool *spool, struct err *err)
{
    struct spool_job job = {.push = {{1, 2, 3}}, .generation = 1};
    struct spool_visitor visitor = {see_intent, see_outcome, run};
    uint32_t generation = 0;
    uint64_t counter = 0;
    bool found = false;
    if (spool_get_job(spool, &job, &found, err) != 0 ||
        spool_newest_generation(spool, &job.push, &generation, err) != 0 ||
        spool_get_site_counter(spool, site, &counter, err) != 0)
        return -1;
    run_saw(run, "job %d counter %d closed %d; generation %u; site %d\n", found, (int)job.counter,
            job.closed, generation, (int)counter);
    for (uint32_t no = 0; no < 3; no++)
        if (read_target(run, spool, no, err) != 0)
            return -1;
    return spool_visit(spool, &visitor, err);
}

static int run_spool(struct run *run, const char *folder, struct err *err)
{
    static int (*const steps[])(struct spool *, struct err *) = {
        write_first, write_second, write_third, write_fourth, write_fifth};
    char path[128];
    struct spool *spool = NULL;
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    if (spool_open(&spool, path, err) != 0)
        return -1;
    int failed = 0;
    bool over = run_done(run);
    for (size_t i = 0; !failed && !over && i < sizeof steps / sizeof *steps; i++) {
        failed = steps[i](spool, err);
        if (!failed)
            over = run_done(run);
        if (!failed && !over)
            failed = read_all(run, spool, err);
        if (!failed && !over && i == 1) { /* the next life reads what this one wrote */
            spool_close(spool);
            spool = NULL;
            failed = spool_open(&spool, path, err);
        }
    }
    spool_close(spool);
    return failed;
}

static int look_spool(const char *folder, struct buf *out, struct err *err)
{
    char path[128];
    struct spool *spool = NULL;
    (void)snprintf(path, sizeof path, "%s/journal.db", folder);
    if (spool_open(&spool, path, err) != 0)
        return -1;
    spool_close(spool);
    return sqlite_dump(path, out, err);
}

const struct scenario scenario_spool = {
    .name = "spool", .kinds = KINDS_SQLITE, .run = run_spool, .look = look_spool};
