/* One request at a time. */
#include "coordinator/cli/control.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/net/link.h"
#include "common/wire/wire.h"

#define TURN_MS 50      /* longest sleep between two looks at the clock and at check */
#define REPEAT_MS 3000  /* silence after which a request is sent again */
#define REFUSED_MS 1000 /* pause after the link took nothing */

struct control {
    struct control_config config;
    struct link_client *link;
    uv_timer_t turn;        /* wakes the loop; nothing else */
    bool closed;            /* turn's handle is gone */
    uint32_t request;       /* number of the request that is out */
    bool reconnected;       /* since it was sent */
    struct message *answer; /* where its answer goes; NULL: none awaited */
    bool answered;
    uint64_t heard_ms; /* uv_now of the last message that belonged to it */
    /* Report: rows go out as they come. */
    control_row *row;
    void *row_context;
    uint32_t next_no; /* rows below were handed out */
    struct err row_err;
    bool row_failed;
};

static void report_rows(struct control *control, const struct message *message)
{
    for (uint32_t i = 0; i < message->report_rows.row_count && !control->row_failed; i++) {
        const struct report_row *row = &message->report_rows.rows[i];
        if (row->target_no < control->next_no)
            continue;
        control->next_no = row->target_no + 1;
        control->row_failed = control->row(control->row_context, row, &control->row_err) != 0;
    }
}

static void received(void *context, const uint8_t *bytes, size_t size)
{
    struct control *control = context;
    struct message message = {0};
    if (control->answer == NULL || control->answered ||
        wire_decode(bytes, size, &message, NULL) != 0)
        return;
    if (message.request != control->request) {
        message_release(&message); /* a late answer to a repeated request */
        return;
    }
    control->heard_ms = uv_now(control->config.loop);
    if (message.kind == MESSAGE_REPORT_ROWS && control->row != NULL) {
        report_rows(control, &message);
        message_release(&message);
        return;
    }
    *control->answer = message;
    control->answered = true;
}

static void state_changed(void *context, enum link_state state)
{
    struct control *control = context;
    if (state == LINK_CONNECTED)
        control->reconnected = true;
}

static void turned(uv_timer_t *timer)
{
    (void)timer;
}

static void turn_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    control->closed = true;
}

int control_open(struct control **out, const struct control_config *config, struct err *err)
{
    struct control *control = mem_new(1, sizeof *control);
    control->config = *config;
    struct link_client_config link = {.endpoint = config->endpoint,
                                      .received = received,
                                      .state = state_changed,
                                      .context = control};
    if (link_client_new(&control->link, &link, err) != 0) {
        free(control);
        return -1;
    }
    (void)uv_timer_init(config->loop, &control->turn);
    control->turn.data = control;
    (void)uv_timer_start(&control->turn, turned, TURN_MS, TURN_MS);
    *out = control;
    return 0;
}

void control_close(struct control *control)
{
    if (control == NULL)
        return;
    link_client_free(control->link);
    uv_close((uv_handle_t *)&control->turn, turn_closed);
    while (!control->closed)
        (void)uv_run(control->config.loop, UV_RUN_ONCE);
    free(control);
}

static int send_request(struct control *control, struct message *request, struct err *err)
{
    struct buf bytes;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    request->request = ++control->request;
    int result = wire_encode(request, &bytes, err);
    if (result == 0)
        result = link_client_send(control->link, bytes.data, bytes.size, err);
    buf_release(&bytes);
    control->reconnected = false;
    return result;
}

/* Whether it is time to say it again; `sent` tells whether the last try left the house. */
static bool repeat_due(const struct control *control, bool sent, uint64_t last_ms, uint64_t now_ms)
{
    if (control->reconnected)
        return true;
    uint64_t quiet_since = control->heard_ms > last_ms ? control->heard_ms : last_ms;
    return now_ms - quiet_since >= (sent ? REPEAT_MS : REFUSED_MS);
}

/* Until the answer is there. Errors: see control_call. */
static int wait_answer(struct control *control, struct message *request, uint32_t timeout_ms,
                       struct err *err)
{
    uv_loop_t *loop = control->config.loop;
    uv_update_time(loop);
    uint64_t last_ms = uv_now(loop);
    control->heard_ms = last_ms;
    struct err why = {0};
    bool sent = send_request(control, request, &why) == 0;
    for (;;) {
        if (!sent && why.code != ERR_UNAVAILABLE) {
            *err = why;
            return -1;
        }
        (void)uv_run(loop, UV_RUN_ONCE);
        if (control->row_failed) {
            *err = control->row_err;
            return -1;
        }
        if (control->answered)
            return 0;
        if (control->config.check != NULL &&
            control->config.check(control->config.context, err) != 0)
            return -1;
        uint64_t now_ms = uv_now(loop);
        uint64_t quiet_since = control->heard_ms;
        if (now_ms - quiet_since >= timeout_ms)
            return err_set(err, ERR_UNAVAILABLE, "the coordinator does not answer (%s)",
                           control->config.endpoint);
        if (repeat_due(control, sent, last_ms, now_ms)) {
            last_ms = now_ms;
            sent = send_request(control, request, &why) == 0;
        }
    }
}

int control_call(struct control *control, struct message *request, enum message_kind expected,
                 struct message *answer, uint32_t timeout_ms, struct err *err)
{
    struct err local = {0}; /* NULL-safe */
    struct err *to = err == NULL ? &local : err;
    memset(answer, 0, sizeof *answer);
    control->answer = answer;
    control->answered = false;
    int result = wait_answer(control, request, timeout_ms, to);
    control->answer = NULL;
    if (result != 0)
        return -1;
    if (answer->kind == expected)
        return 0;
    if (answer->kind == MESSAGE_FAIL)
        (void)err_set(to, answer->fail.code, "%s", answer->fail.text);
    else
        (void)err_set(to, ERR_PROTOCOL, "the coordinator answered %s with %s",
                      message_kind_word(request->kind), message_kind_word(answer->kind));
    message_release(answer);
    return -1;
}

int control_report(struct control *control, const struct report_filter *filter, control_row *row,
                   void *context, struct push_summary *push, uint32_t timeout_ms, struct err *err)
{
    struct message request = {.kind = MESSAGE_REPORT_GET, .report_get = *filter};
    struct message answer;
    control->row = row;
    control->row_context = context;
    control->next_no = 0;
    control->row_failed = false;
    int result = control_call(control, &request, MESSAGE_REPORT_END, &answer, timeout_ms, err);
    control->row = NULL;
    control->row_failed = false;
    if (result != 0)
        return -1;
    *push = answer.report_end.push;
    message_release(&answer);
    return 0;
}
