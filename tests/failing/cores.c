/* The cores and the codec: their needs are fixed and small, and end the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/message.h"
#include "common/wire/wire.h"
#include "tests/failing/scenario.h"
#include "tests/unit/dispatch_story.h"
#include "tests/unit/wire_samples.h"

static void told(struct run *run, struct story *story)
{
    run_saw(run, "%s", buf_cstr(&story->trace));
    forget(story);
}

/* Two relays, a takeover with a doubt, two pushes, a cancel, a restart of a relay. */
static int run_dispatch(struct run *run, const char *folder, struct err *err)
{
    (void)folder;
    (void)err;
    struct story story = story_new();
    know_relay(&story, 0, 0);
    know_relay(&story, 1, 0);
    hello(&story, 0, 1000000000, 40);
    open_push(&story, 1, 30);
    told(run, &story);
    scheduled(&story, 0, 1, 0, 1);
    result(&story, 0, 1, 1, 1, TARGET_FAILED, REASON_DISK_FULL);
    story.now_ms += LEASE_MS;
    tick(&story);
    hello(&story, 1, 2000000000, 40);
    told(run, &story);
    result(&story, 1, 1, 2, 2, TARGET_UNREACHABLE, REASON_NO_REPLY);
    scheduled(&story, 1, 1, 3, 2);
    open_push(&story, 2, 5);
    hello(&story, 0, 1100000000, 40);
    heartbeat(&story, 0, 40);
    told(run, &story);
    stop_push(&story, 1, true);
    stop_push(&story, 2, false);
    resume_push(&story, 2);
    tick(&story);
    story.now_ms += GRACE_MS;
    tick(&story);
    told(run, &story);
    story_end(&story);
    return 0;
}

const struct scenario scenario_dispatch = {
    .name = "dispatch", .kinds = KINDS_MEMORY, .run = run_dispatch};

static bool one_message(struct run *run, enum message_kind kind, uint32_t rows, struct err *err)
{
    struct message before = {.kind = kind};
    struct message after = {0};
    struct buf bytes;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (samples[kind].fill != NULL)
        samples[kind].fill(&before, rows);
    int failed = wire_encode(&before, &bytes, err);
    if (!failed)
        failed = wire_decode(bytes.data, bytes.size, &after, err);
    if (!failed) {
        run_saw(run, "%d: %zu bytes\n", (int)kind, bytes.size);
        message_release(&after);
    }
    message_release(&before);
    buf_release(&bytes);
    return !failed;
}

static int run_wire(struct run *run, const char *folder, struct err *err)
{
    (void)folder;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++)
        if (!one_message(run, (enum message_kind)kind, 2, err))
            return -1;
    return 0;
}

const struct scenario scenario_wire = {.name = "wire", .kinds = KINDS_MEMORY, .run = run_wire};
