/* What comes over the links and from the stage runner, as events of the core. */
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "relay/shell_state.h"

void shell_send_message(struct link_client *link, const struct message *message)
{
    struct buf bytes;
    struct err err;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(message, &bytes, &err) != 0 ||
        link_client_send(link, bytes.data, bytes.size, &err) != 0)
        log_debug("%s not sent: %s", message_kind_word(message->kind), err.text);
    buf_release(&bytes);
}

static void on_lease(struct shell *shell, const struct message_lease *lease)
{
    struct agent_event event = {
        .kind = AGENT_LEASE,
        .lease =
            {
                .epoch = lease->epoch,
                .push = lease->push,
                .generation = lease->generation,
                .verified = shell_lease_proven(shell, lease),
                .entries = lease->entries,
                .entry_count = lease->entry_count,
                .stop_counter = lease->stop_counter,
            },
    };
    shell_step(shell, &event);
}

/* What the core alone has to know of. */
static void give_core(struct shell *shell, const struct message *message)
{
    struct agent_event event = {.kind = AGENT_WELCOME};
    if (message->kind == MESSAGE_WELCOME) {
        event.welcome = message->welcome;
    } else if (message->kind == MESSAGE_HEARTBEAT_ACK) {
        event.kind = AGENT_HEARTBEAT_ACK;
        event.heartbeat_ack = message->heartbeat_ack;
    } else if (message->kind == MESSAGE_PERMIT) {
        event.kind = AGENT_PERMIT;
        event.permit = message->permit;
    } else if (message->kind == MESSAGE_RESULTS_ACK) {
        event.kind = AGENT_RESULTS_ACK;
        event.results_ack = message->results_ack;
    } else { /* STOP, CLOSE */
        char push[PUSH_ID_SHORT_SIZE];
        event.kind = message->kind == MESSAGE_STOP ? AGENT_STOP : AGENT_CLOSE;
        event.push_ref = message->push_ref;
        push_id_short(&event.push_ref.push, push);
        log_debug("push %s: %s", push, message_kind_word(message->kind));
    }
    shell_step(shell, &event);
}

static void take_message(struct shell *shell, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_WELCOME:
    case MESSAGE_HEARTBEAT_ACK:
    case MESSAGE_PERMIT:
    case MESSAGE_RESULTS_ACK:
    case MESSAGE_STOP:
    case MESSAGE_CLOSE:
        give_core(shell, message);
        break;
    case MESSAGE_JOB:
        shell_on_job(shell, &message->job);
        break;
    case MESSAGE_LEASE:
        on_lease(shell, &message->lease);
        break;
    case MESSAGE_OBJECT:
        shell_on_object(shell, &message->object);
        break;
    case MESSAGE_PEER:
        shell_on_peer(shell, &message->peer);
        break;
    case MESSAGE_NONE:
    case MESSAGE_HELLO:
    case MESSAGE_HEARTBEAT:
    case MESSAGE_RESULTS:
    case MESSAGE_CHUNK_REQUEST:
    case MESSAGE_CHUNK:
    case MESSAGE_PACKAGE_OFFER:
    case MESSAGE_PACKAGE_DATA:
    case MESSAGE_PUSH_BEGIN:
    case MESSAGE_PUSH_TARGETS:
    case MESSAGE_PUSH_COMMIT:
    case MESSAGE_PUSH_STOP:
    case MESSAGE_ENROLL:
    case MESSAGE_PERMIT_GET:
    case MESSAGE_ENROLLED:
    case MESSAGE_OBJECTS_GET:
    case MESSAGE_SITE_PUT:
    case MESSAGE_SITE_RM:
    case MESSAGE_SITES_GET:
    case MESSAGE_ROUTES_GET:
    case MESSAGE_LINT_GET:
    case MESSAGE_TOKEN_PUT:
    case MESSAGE_RELAY_SET:
    case MESSAGE_CREDENTIAL_RM:
    case MESSAGE_PUSH_CREDENTIALS:
    case MESSAGE_JOB_GET:
    case MESSAGE_PARTS_GET:
    case MESSAGE_PARTS:
    case MESSAGE_PACKAGES_GET:
    case MESSAGE_PACKAGE_RM:
    case MESSAGE_PACKAGE_VERIFY:
    case MESSAGE_OBJECTS:
    case MESSAGE_SITES:
    case MESSAGE_ROUTES:
    case MESSAGE_LINT:
    case MESSAGE_TOKEN:
    case MESSAGE_PACKAGES:
    case MESSAGE_RELAYS_GET:
    case MESSAGE_STATUS_GET:
    case MESSAGE_REPORT_GET:
    case MESSAGE_LIST_GET:
    case MESSAGE_OK:
    case MESSAGE_FAIL:
    case MESSAGE_PACKAGE_WANT:
    case MESSAGE_RELAYS:
    case MESSAGE_STATUS:
    case MESSAGE_REPORT_ROWS:
    case MESSAGE_REPORT_END:
    case MESSAGE_LIST:
    case MESSAGE_KIND_COUNT:
        log_debug("ignored a %s from the coordinator", message_kind_word(message->kind));
        break;
    }
}

void shell_relay_received(void *context, const uint8_t *bytes, size_t size)
{
    struct shell *shell = context;
    struct message message;
    struct err err;
    if (shell->failed)
        return;
    if (wire_decode(bytes, size, &message, &err) != 0) {
        log_debug("ignored a message from the coordinator: %s", err.text);
        return;
    }
    shell->heard_ms = shell_now_ms();
    take_message(shell, &message);
    message_release(&message);
}

void shell_package_received(void *context, const uint8_t *bytes, size_t size)
{
    struct shell *shell = context;
    struct message message;
    struct err err;
    if (shell->failed)
        return;
    if (wire_decode(bytes, size, &message, &err) != 0) {
        log_debug("ignored a message on the package link: %s", err.text);
        return;
    }
    if (message.kind == MESSAGE_CHUNK) {
        cache_chunk(shell->cache, NULL, &message.chunk, shell_now_ms());
        shell_arm_cache(shell);
    }
    message_release(&message);
}

static enum agent_verdict verdict_of(enum stage_verdict verdict)
{
    switch (verdict) {
    case STAGE_PASSED:
        return AGENT_PASSED;
    case STAGE_FAILED:
        return AGENT_FAILED;
    case STAGE_EFFECT_UNKNOWN:
        return AGENT_EFFECT_UNKNOWN;
    case STAGE_WAITING:
        return AGENT_WAITING;
    }
    return AGENT_FAILED;
}

void shell_stage_connected(void *context, uint64_t key)
{
    struct agent_event event = {.kind = AGENT_CONNECTED, .key = key};
    shell_step(context, &event);
}

void shell_stage_done(void *context, const struct stage_result *result)
{
    struct shell *shell = context;
    struct agent_stage_done done = {
        .key = result->key,
        .stage = result->stage,
        .verdict = verdict_of(result->verdict),
        .reason = result->reason,
        .code_kind = result->code_kind,
        .code = result->code,
        .name_check = result->name_check,
        .logged_on = result->logged_on,
        .tries = result->tries,
        .bytes = result->bytes,
        .starts_in_ms = result->starts_in_ms,
        .has_exit_code = result->has_exit_code,
        .exit_code = result->exit_code,
        .output = result->output,
        .output_size = result->output_size,
    };
    (void)text_copy(done.detail, sizeof done.detail, result->detail);
    (void)text_copy(done.address, sizeof done.address, result->address);
    struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
    shell_step(shell, &event);
}
