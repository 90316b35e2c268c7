/* Reports: read in pages, sent as fast as the asker takes them, never whole in memory. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "coordinator/coordinator.h"

#define PAGES_PER_TURN 8  /* then others have their turn */
#define RETRY_MS 20       /* when the asker's queue is full */
#define PATIENCE_MS 60000 /* an asker that takes nothing for so long is forgotten */

static void free_rows(struct report_task *task)
{
    for (uint32_t i = 0; i < task->page.row_count; i++) {
        free(task->page.rows[i].target);
        free(task->page.rows[i].output);
    }
    task->page.row_count = 0;
}

static void end_task(struct report_task *task)
{
    free_rows(task);
    free(task->page.rows);
    *task = (struct report_task){0};
}

void control_report_release(struct coordinator *c)
{
    for (size_t i = 0; i < COORDINATOR_REPORTS_MAX; i++)
        end_task(&c->reports[i]);
}

/* Shows what a relay holds as running there. */
static void show_holders(struct coordinator *c, struct report_task *task)
{
    for (uint32_t i = 0; i < task->page.row_count; i++) {
        struct report_row *row = &task->page.rows[i];
        if (row->outcome.state != TARGET_QUEUED)
            continue;
        uint16_t holder = dispatch_target_holder(c->core, task->key, row->target_no);
        if (holder == DISPATCH_RELAY_NONE || holder >= c->relay_count)
            continue;
        row->outcome.state = TARGET_RUNNING;
        const char *name = c->relays[holder].stored.name;
        (void)text_copy(row->relay, sizeof row->relay, name[0] != '\0' ? name : "-");
    }
}

/* Sends directly, not through the outbox: only this way a full queue is felt. Returns 1 sent, 0 try
 * again, -1. */
static int send_now(struct coordinator *c, struct report_task *task, struct message *message)
{
    struct buf bytes;
    struct err err = {0};
    int result = -1;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    message->request = task->request;
    if (wire_encode(message, &bytes, &err) != 0)
        log_error("report: %s", err.text);
    else if (link_server_send(c->control_link, &task->peer, bytes.data, bytes.size, &err) == 0)
        result = 1;
    else if (err.code == ERR_UNAVAILABLE)
        result = 0;
    buf_release(&bytes);
    return result;
}

static int send_end(struct coordinator *c, struct report_task *task)
{
    struct message message = {.kind = MESSAGE_REPORT_END};
    struct err err = {0};
    struct push_summary *push = &message.report_end.push;
    if (control_summary(c, task->key, push, &err) != 0) {
        control_fail(c, &task->peer, task->request, &err);
        return -1;
    }
    /* Rows that were sent while the push was open need not fit the totals of a closed one. */
    if (task->state != PUSH_CLOSED && push->state == PUSH_CLOSED) {
        push->state = task->state;
        push->closed_unix_ms = 0;
    }
    return send_now(c, task, &message);
}

/* Reads the next page if none is waiting. */
static int next_page(struct coordinator *c, struct report_task *task)
{
    struct err err = {0};
    if (task->waiting)
        return 0;
    if (store_report(c->store, task->key, &task->filter, &task->page, &err) != 0) {
        control_fail(c, &task->peer, task->request, &err);
        return -1;
    }
    show_holders(c, task);
    task->waiting = task->page.row_count > 0;
    task->end_due = task->page.end;
    return 0;
}

/* One page, or the end. Returns 1 to go on, 0 to wait, -1 when the task is over. */
static int advance(struct coordinator *c, struct report_task *task)
{
    if (!task->waiting && task->end_due) {
        int sent = send_end(c, task);
        return sent == 1 ? -1 : sent;
    }
    if (next_page(c, task) != 0)
        return -1;
    if (task->waiting) {
        struct message message = {.kind = MESSAGE_REPORT_ROWS};
        message.report_rows = (struct message_report_rows){task->page.rows, task->page.row_count};
        int sent = send_now(c, task, &message);
        if (sent != 1)
            return sent;
        free_rows(task);
        task->waiting = false;
    }
    task->progressed_ms = clock_boottime_ms();
    return 1;
}

static void on_timer(uv_timer_t *timer);

/* Sends what the askers take. */
static void go_on(struct coordinator *c)
{
    bool waiting = false;
    bool more = false;
    struct err err = {0};
    if (store_commit(c->store, &err) != 0) { /* only what is durable is shown */
        shell_fail(c, &err);
        return;
    }
    for (size_t i = 0; i < COORDINATOR_REPORTS_MAX && !c->stopping; i++) {
        struct report_task *task = &c->reports[i];
        int result = 1;
        for (int page = 0; task->used && result == 1 && page < PAGES_PER_TURN; page++)
            result = advance(c, task);
        if (!task->used)
            continue;
        if (result < 0 || clock_boottime_ms() - task->progressed_ms > PATIENCE_MS) {
            end_task(task);
        } else {
            waiting = waiting || result == 0;
            more = more || result == 1;
        }
    }
    if (more || waiting)
        (void)uv_timer_start(&c->report_timer, on_timer, more ? 0 : RETRY_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

/* A free place. Who asks again on the same connection gets only the newest answer. */
static struct report_task *place_for(struct coordinator *c, const struct link_peer *peer)
{
    struct report_task *place = NULL;
    for (size_t i = 0; i < COORDINATOR_REPORTS_MAX; i++) {
        if (c->reports[i].used && c->reports[i].peer.route == peer->route)
            end_task(&c->reports[i]);
        if (!c->reports[i].used)
            place = &c->reports[i];
    }
    return place;
}

void control_report_get(struct coordinator *c, const struct link_peer *peer,
                        const struct message *message)
{
    struct err err = {0};
    struct report_task *task = place_for(c, peer);
    struct push_summary push;
    uint64_t key = 0;
    if (task == NULL)
        (void)err_set(&err, ERR_LIMIT, "%u reports are being sent: try again later",
                      COORDINATOR_REPORTS_MAX);
    if (task == NULL || store_find(c->store, &message->report_get.push, &key, &err) != 0 ||
        store_summary(c->store, key, &push, &err) != 0) {
        control_fail(c, peer, message->request, &err);
        return;
    }
    *task = (struct report_task){.used = true,
                                 .peer = *peer,
                                 .request = message->request,
                                 .key = key,
                                 .state = push.state,
                                 .filter = message->report_get,
                                 .progressed_ms = clock_boottime_ms()};
    task->page.rows = mem_new(LIMIT_ROWS_PER_MESSAGE, sizeof *task->page.rows);
    task->page.row_max = LIMIT_ROWS_PER_MESSAGE;
    go_on(c);
}
