/* Carrying the core's effects out: journal first, then the rest, in order. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "relay/shell_state.h"

#define COMMIT_LAZY_MS 1000

static struct deferred *defer(struct shell *shell, enum deferred_kind kind)
{
    struct deferred_list *list = &shell->waiting;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = mem_resize(list->items, list->capacity, sizeof *list->items);
    }
    struct deferred *item = &list->items[list->count++];
    *item = (struct deferred){.kind = kind};
    return item;
}

static void deferred_item_release(struct deferred *item)
{
    free(item->bytes);
    free(item->target);
}

void deferred_release(struct deferred_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        deferred_item_release(&list->items[i]);
    free(list->items);
    *list = (struct deferred_list){0};
}

/* Encoded at once, since rows come from the journal as it is now; sent after the commit. */
static void defer_send(struct shell *shell, const struct message *message)
{
    struct buf bytes;
    struct err err;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(message, &bytes, &err) != 0) {
        log_error("cannot encode %s: %s", message_kind_word(message->kind), err.text);
        buf_release(&bytes);
        return;
    }
    struct deferred *item = defer(shell, DEFERRED_SEND);
    item->bytes = bytes.data; /* taken over */
    item->size = bytes.size;
}

/* SEND_CANCELLED, SEND_SCHEDULED: rows that the journal has not. */
static void fill_passing_row(const struct shell *shell, const struct agent_effect *effect,
                             uint32_t i, struct result_row *row)
{
    const struct agent_ref *ref = &shell->effects.refs[effect->rows.first_ref + i];
    if (effect->kind == AGENT_SEND_SCHEDULED) {
        row->outcome = shell->effects.outcomes[effect->rows.first_outcome + i];
        return;
    }
    row->outcome.state = ref->registered ? TARGET_SCHEDULED : TARGET_CANCELLED;
    row->outcome.reason = REASON_CANCELLED;
    row->outcome.stage = ref->reached;
    (void)text_copy(row->outcome.detail, sizeof row->outcome.detail,
                    "the push was stopped before its relay was done with this target");
}

static int fill_row(struct shell *shell, const struct agent_effect *effect, uint32_t i,
                    struct result_row *row, struct err *err)
{
    const struct agent_ref *ref = &shell->effects.refs[effect->rows.first_ref + i];
    *row = (struct result_row){
        .push = ref->push,
        .generation = ref->generation,
        .target_no = ref->target_no,
        .attempt = ref->attempt,
    };
    if (effect->kind == AGENT_SEND_RESULTS)
        return spool_get_outcome(shell->spool, ref, &row->outcome, err) != 0 ||
                       spool_get_output(shell->spool, ref, &row->output, &row->output_size, err) !=
                           0
                   ? -1
                   : 0;
    fill_passing_row(shell, effect, i, row);
    return 0;
}

static void defer_results(struct shell *shell, const struct agent_effect *effect)
{
    static struct result_row rows[LIMIT_ROWS_PER_MESSAGE];
    struct message message = {.kind = MESSAGE_RESULTS};
    uint32_t count = 0;
    struct err err;
    while (count < effect->rows.ref_count &&
           fill_row(shell, effect, count, &rows[count], &err) == 0)
        count++;
    message.results.epoch = effect->rows.epoch;
    message.results.sequence = effect->rows.sequence;
    message.results.rows = rows;
    message.results.row_count = count;
    if (count == effect->rows.ref_count)
        defer_send(shell, &message);
    else
        shell_fail(shell, &err);
    for (uint32_t i = 0; i < count; i++)
        free(rows[i].output);
}

static void defer_run(struct shell *shell, const struct agent_effect *effect)
{
    struct deferred *item = defer(shell, DEFERRED_RUN);
    item->key = effect->run.key;
    item->job_no = effect->run.job_no;
    item->stage = effect->run.stage;
    item->read_back = effect->run.read_back;
    item->look_only = effect->run.look_only;
    item->await = effect->run.await;
    item->hold_logon = effect->run.hold_logon;
    item->target = mem_strdup(effect->run.target);
}

static void agent_due(uv_timer_t *timer)
{
    struct shell *shell = timer->data;
    struct agent_event event = {.kind = AGENT_TICK};
    shell_step(shell, &event);
}

static void arm_timer(struct shell *shell, uint64_t at_ms)
{
    uint64_t now_ms = shell_now_ms();
    uint64_t pause_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    uv_update_time(&shell->loop);
    (void)uv_timer_start(&shell->agent_timer, agent_due, pause_ms, 0);
}

static void log_outcome(const struct agent_ref *ref, const struct outcome *outcome)
{
    char push[PUSH_ID_SHORT_SIZE];
    push_id_short(&ref->push, push);
    log_debug("push %s target %u: %s at %s, %s: %s", push, ref->target_no,
              target_state_word(outcome->state), stage_word(outcome->stage),
              reason_word(outcome->reason), outcome->detail);
}

static int persist_rows(struct shell *shell, const struct agent_effect *effect, struct err *err)
{
    for (uint32_t i = 0; i < effect->rows.ref_count; i++) {
        const struct agent_ref *ref = &shell->effects.refs[effect->rows.first_ref + i];
        if (spool_set_acked(shell->spool, ref, err) != 0)
            return -1;
    }
    return 0;
}

static int persist(struct shell *shell, const struct agent_effect *effect, struct err *err)
{
    const struct agent_ref *ref = &effect->persist.ref;
    const struct outcome *outcome;
    if (effect->kind != AGENT_JOURNAL_ACKED)
        shell->urgent = true;
    switch (effect->kind) {
    case AGENT_PERSIST_INTENT:
        return spool_put_intent(shell->spool, ref, err);
    case AGENT_PERSIST_OUTCOME:
        outcome = &shell->effects.outcomes[effect->persist.outcome_no];
        log_outcome(ref, outcome);
        if (effect->persist.output_size > 0 &&
            spool_put_output(shell->spool, ref, effect->persist.output, effect->persist.output_size,
                             err) != 0)
            return -1;
        return spool_put_outcome(shell->spool, ref, outcome, err);
    case AGENT_JOURNAL_RENEW:
        return spool_renew(shell->spool, ref, err);
    case AGENT_JOURNAL_ACKED:
        return persist_rows(shell, effect, err);
    case AGENT_JOURNAL_FORGET:
        return spool_forget(shell->spool, &effect->forget.push, effect->forget.generation, err);
    case AGENT_SEND_HELLO:
    case AGENT_SEND_HEARTBEAT:
    case AGENT_SEND_PERMIT_GET:
    case AGENT_SEND_RESULTS:
    case AGENT_SEND_CANCELLED:
    case AGENT_SEND_SCHEDULED:
    case AGENT_RUN_STAGE:
    case AGENT_LOGON:
    case AGENT_DROP:
    case AGENT_FETCH_PACKAGE:
    case AGENT_REMOVE_JOB:
    case AGENT_ARM_TIMER:
    case AGENT_FINISHED:
        break;
    }
    return 0;
}

static void take_effect(struct shell *shell, const struct agent_effect *effect)
{
    struct message message = {.kind = MESSAGE_NONE};
    struct err err;
    switch (effect->kind) {
    case AGENT_PERSIST_INTENT:
    case AGENT_PERSIST_OUTCOME:
    case AGENT_JOURNAL_RENEW:
    case AGENT_JOURNAL_ACKED:
    case AGENT_JOURNAL_FORGET:
        if (persist(shell, effect, &err) != 0)
            shell_fail(shell, &err);
        break;
    case AGENT_SEND_HELLO:
        message.kind = MESSAGE_HELLO;
        message.hello = effect->hello;
        shell_fill_hello(shell, &message.hello);
        defer_send(shell, &message);
        break;
    case AGENT_SEND_HEARTBEAT:
        message.kind = MESSAGE_HEARTBEAT;
        message.heartbeat = effect->heartbeat;
        defer_send(shell, &message);
        break;
    case AGENT_SEND_PERMIT_GET:
        message.kind = MESSAGE_PERMIT_GET;
        message.permit_get = effect->permit_get;
        defer_send(shell, &message);
        break;
    case AGENT_SEND_RESULTS:
    case AGENT_SEND_CANCELLED:
    case AGENT_SEND_SCHEDULED:
        defer_results(shell, effect);
        break;
    case AGENT_RUN_STAGE:
        defer_run(shell, effect);
        break;
    case AGENT_LOGON:
        defer(shell, DEFERRED_LOGON)->key = effect->key;
        break;
    case AGENT_DROP:
        defer(shell, DEFERRED_DROP)->key = effect->key;
        break;
    case AGENT_FETCH_PACKAGE:
        defer(shell, DEFERRED_FETCH)->job_no = effect->job_no;
        break;
    case AGENT_REMOVE_JOB:
        defer(shell, DEFERRED_REMOVE_JOB)->job_no = effect->job_no;
        break;
    case AGENT_ARM_TIMER:
        arm_timer(shell, effect->timer_ms);
        break;
    case AGENT_FINISHED:
        (void)defer(shell, DEFERRED_FINISH);
        break;
    }
}

static void log_lapses(struct shell *shell)
{
    struct agent_counters counters = agent_counters(shell->agent);
    if (counters.lapses == shell->lapses)
        return;
    shell->lapses = counters.lapses;
    log_warning("the coordinator was not heard for too long: what was not yet registered is left "
                "to be leased again");
}

void shell_step(struct shell *shell, struct agent_event *event)
{
    if (shell->failed || shell->finished)
        return;
    event->now_ms = shell_now_ms();
    event->now_unix_ms = shell_now_unix_ms();
    agent_step(shell->agent, event, &shell->effects);
    for (size_t i = 0; i < shell->effects.count && !shell->failed; i++)
        take_effect(shell, &shell->effects.items[i]);
    log_lapses(shell);
}

static void carry_out(struct shell *shell, const struct deferred *item)
{
    struct stage_request request;
    struct err err;
    switch (item->kind) {
    case DEFERRED_SEND:
        /* A message that cannot be sent is a lost one: the core repeats what matters. */
        if (link_client_send(shell->relay_link, item->bytes, item->size, &err) != 0)
            log_debug("not sent: %s", err.text);
        break;
    case DEFERRED_RUN:
        request = (struct stage_request){
            .key = item->key,
            .job_no = item->job_no,
            .stage = item->stage,
            .target = item->target,
            .read_back = item->read_back,
            .look_only = item->look_only,
            .await = item->await,
            .hold_logon = item->hold_logon,
        };
        stage_run(shell->runner, &request);
        break;
    case DEFERRED_LOGON:
        stage_logon(shell->runner, item->key);
        break;
    case DEFERRED_DROP:
        stage_drop(shell->runner, item->key);
        break;
    case DEFERRED_FETCH:
        shell_fetch(shell, item->job_no);
        break;
    case DEFERRED_REMOVE_JOB:
        shell_remove_job(shell, item->job_no);
        break;
    case DEFERRED_FINISH:
        shell->finished = true;
        uv_stop(&shell->loop);
        break;
    }
}

/* That rows were acknowledged may be forgotten: they are sent again. So nobody waits for the disk
 * because of it; it becomes durable with the next urgent write, or a little later. */
static int commit(struct shell *shell, struct err *err)
{
    uint64_t now_ms = shell_now_ms();
    if (!shell->urgent && now_ms < shell->committed_ms + COMMIT_LAZY_MS)
        return 0;
    shell->urgent = false;
    shell->committed_ms = now_ms;
    return spool_commit(shell->spool, err);
}

/* Carrying out may make new effects (a package that is there already): those wait for a commit of
 * their own. */
void shell_flush(struct shell *shell)
{
    if (shell->flushing)
        return;
    shell->flushing = true;
    while (!shell->failed) {
        struct err err;
        if (commit(shell, &err) != 0) {
            shell_fail(shell, &err);
            break;
        }
        if (shell->waiting.count == 0)
            break;
        struct deferred_list now = shell->waiting;
        shell->waiting = (struct deferred_list){0};
        for (size_t i = 0; i < now.count && !shell->failed; i++)
            carry_out(shell, &now.items[i]);
        deferred_release(&now);
    }
    shell->flushing = false;
}
