/* Parts that several messages share. */
#include "common/wire/parts.h"

#include <assert.h>
#include <string.h>

#define REASON_WORD_SIZE 64

/* Enumerations travel as their numbers; these are the last ones of each. */
static_assert((int)PUSHER__STAGE__STAGE_SCHEDULE == (int)STAGE_COUNT, "stages");
static_assert(PUSHER__TARGET_STATE__TARGET_NEVER_ATTEMPTED == TARGET_STATE_COUNT - 1, "states");
static_assert(PUSHER__CODE_KIND__CODE_EXIT == CODE_KIND_COUNT - 1, "code kinds");
static_assert(PUSHER__NAME_CHECK__NAME_MATCHED == NAME_CHECK_COUNT - 1, "name checks");
static_assert(PUSHER__PUSH_STATE__PUSH_ROUTING == PUSH_STATE_COUNT - 1, "push states");
static_assert(PUSHER__RELAY_STANDING__RELAY_CLONED == RELAY_STANDING_COUNT - 1, "standings");
static_assert(sizeof(((struct message_fail *)0)->code) == sizeof(int), "enumerations are ints");

ProtobufCBinaryData put_push(struct coder *c, const struct push_id *push)
{
    return put_bytes(c, push->bytes, sizeof push->bytes);
}

void take_push(struct coder *c, ProtobufCBinaryData from, struct push_id *push)
{
    take_bytes(c, from, push->bytes, sizeof push->bytes, "push id");
}

ProtobufCBinaryData put_reason(struct coder *c, enum reason reason)
{
    int number = check_enum(c, (int64_t)reason, REASON_COUNT, "reason");
    return put_text(c, number == REASON_NONE ? "" : reason_word((enum reason)number),
                    REASON_WORD_SIZE, "reason");
}

enum reason take_reason(struct coder *c, ProtobufCBinaryData from)
{
    char word[REASON_WORD_SIZE];
    take_text(c, from, word, sizeof word, "reason");
    if (word[0] == '\0')
        return REASON_NONE;
    enum reason reason = reason_from_word(word);
    return (enum reason)check_enum(c, (int64_t)reason, REASON_COUNT, "reason");
}

Pusher__Stage put_stage(struct coder *c, enum stage stage)
{
    int number = check_enum(c, (int64_t)stage, STAGE_COUNT + 1, "stage");
    return (Pusher__Stage)(number == STAGE_COUNT ? 0 : number + 1);
}

enum stage take_stage(struct coder *c, Pusher__Stage from)
{
    int number = check_enum(c, (int64_t)from, STAGE_COUNT + 1, "stage");
    return (enum stage)(number == 0 ? STAGE_COUNT : number - 1);
}

uint32_t put_row_count(struct coder *c, uint32_t count, const char *field)
{
    return check_u32(c, count, LIMIT_ROWS_PER_MESSAGE, field);
}

void put_texts(struct coder *c, char *const *from, uint32_t count, uint32_t count_max,
               size_t size_max, ProtobufCBinaryData **to, size_t *to_count, const char *field)
{
    count = check_u32(c, count, count_max, field);
    ProtobufCBinaryData *texts = coder_new(c, count, sizeof *texts);
    if (texts == NULL)
        return;
    for (uint32_t i = 0; i < count; i++)
        texts[i] = put_text(c, from[i], size_max, field);
    *to = texts;
    *to_count = count;
}

void take_texts(struct coder *c, const ProtobufCBinaryData *from, size_t count, uint32_t count_max,
                size_t size_max, char ***to, uint32_t *to_count, const char *field)
{
    *to = take_array(c, count, count_max, sizeof **to, to_count, field);
    for (uint32_t i = 0; i < *to_count; i++)
        take_heap_text(c, from[i], &(*to)[i], size_max, field);
}

Pusher__Outcome *put_outcome(struct coder *c, const struct outcome *from)
{
    Pusher__Outcome *to = coder_message(c, PART(outcome));
    if (to == NULL)
        return NULL;
    to->state =
        (Pusher__TargetState)check_enum(c, (int64_t)from->state, TARGET_STATE_COUNT, "state");
    to->stage = put_stage(c, from->stage);
    to->reason = put_reason(c, from->reason);
    to->code_kind =
        (Pusher__CodeKind)check_enum(c, (int64_t)from->code_kind, CODE_KIND_COUNT, "code kind");
    to->code = from->code;
    to->detail = put_raw_text(c, from->detail, sizeof from->detail, "detail");
    to->address = put_text(c, from->address, sizeof from->address, "address");
    to->name_check =
        (Pusher__NameCheck)check_enum(c, (int64_t)from->name_check, NAME_CHECK_COUNT, "name check");
    to->tries = from->tries;
    to->bytes = from->bytes;
    to->started_unix_ms = from->started_unix_ms;
    to->elapsed_ms = from->elapsed_ms;
    put_counters(c, from->stage_ms, STAGE_COUNT, &to->stage_ms, &to->n_stage_ms);
    to->has_exit_code = from->has_exit_code;
    to->exit_code = from->exit_code;
    return to;
}

void take_outcome(struct coder *c, const Pusher__Outcome *from, struct outcome *to)
{
    memset(to, 0, sizeof *to);
    to->stage = STAGE_COUNT;
    if (from == NULL) {
        coder_fail(c, "outcome", "missing");
        return;
    }
    to->state = (enum target_state)check_enum(c, (int64_t)from->state, TARGET_STATE_COUNT, "state");
    to->stage = take_stage(c, from->stage);
    to->reason = take_reason(c, from->reason);
    to->code_kind =
        (enum code_kind)check_enum(c, (int64_t)from->code_kind, CODE_KIND_COUNT, "code kind");
    to->code = from->code;
    take_raw_text(c, from->detail, to->detail, sizeof to->detail, "detail");
    take_text(c, from->address, to->address, sizeof to->address, "address");
    to->name_check =
        (enum name_check)check_enum(c, (int64_t)from->name_check, NAME_CHECK_COUNT, "name check");
    to->tries = from->tries;
    to->bytes = from->bytes;
    to->started_unix_ms = from->started_unix_ms;
    to->elapsed_ms = from->elapsed_ms;
    take_counters(c, from->stage_ms, from->n_stage_ms, to->stage_ms, STAGE_COUNT, "stage times");
    to->has_exit_code = from->has_exit_code != 0;
    to->exit_code = from->exit_code;
}

Pusher__Totals *put_totals(struct coder *c, const struct totals *from)
{
    Pusher__Totals *to = coder_message(c, PART(totals));
    if (to == NULL)
        return NULL;
    put_counters(c, from->by_state, TARGET_STATE_COUNT, &to->by_state, &to->n_by_state);
    to->attempted = from->attempted;
    to->reboot = from->reboot;
    return to;
}

void take_totals(struct coder *c, const Pusher__Totals *from, struct totals *to)
{
    if (from == NULL) {
        coder_fail(c, "totals", "missing");
        return;
    }
    take_counters(c, from->by_state, from->n_by_state, to->by_state, TARGET_STATE_COUNT, "totals");
    to->attempted = from->attempted;
    to->reboot = from->reboot;
}

Pusher__PushSummary *put_summary(struct coder *c, const struct push_summary *from)
{
    Pusher__PushSummary *to = coder_message(c, PART(push_summary));
    if (to == NULL)
        return NULL;
    to->push = put_push(c, &from->push);
    to->generation = from->generation;
    to->state =
        (Pusher__PushState)check_enum(c, (int64_t)from->state, PUSH_STATE_COUNT, "push state");
    to->action =
        (Pusher__JobAction)check_enum(c, (int64_t)from->action, JOB_ACTION_COUNT, "action");
    to->of_push = put_push(c, &from->of_push);
    to->run_as = (Pusher__RunAs)check_enum(c, (int64_t)from->run_as, RUN_AS_COUNT, "run as");
    to->package_name = put_text(c, from->package_name, sizeof from->package_name, "package name");
    to->package_bytes = from->package_bytes;
    to->package_digest = put_bytes(c, from->package_digest, sizeof from->package_digest);
    to->created_unix_ms = from->created_unix_ms;
    to->closed_unix_ms = from->closed_unix_ms;
    to->wait = from->wait;
    to->operator_key = put_text(c, from->operator_key, sizeof from->operator_key, "operator key");
    to->account = put_text(c, from->account, sizeof from->account, "account");
    to->policy_version = from->policy_version;
    to->totals = put_totals(c, &from->totals);
    return to;
}

void take_summary(struct coder *c, const Pusher__PushSummary *from, struct push_summary *to)
{
    memset(to, 0, sizeof *to);
    if (from == NULL) {
        coder_fail(c, "push", "missing");
        return;
    }
    take_push(c, from->push, &to->push);
    to->generation = from->generation;
    to->state =
        (enum push_state)check_enum(c, (int64_t)from->state, PUSH_STATE_COUNT, "push state");
    to->action = (enum job_action)check_enum(c, (int64_t)from->action, JOB_ACTION_COUNT, "action");
    take_push(c, from->of_push, &to->of_push);
    to->run_as = (enum run_as)check_enum(c, (int64_t)from->run_as, RUN_AS_COUNT, "run as");
    take_text(c, from->package_name, to->package_name, sizeof to->package_name, "package name");
    to->package_bytes = from->package_bytes;
    take_bytes(c, from->package_digest, to->package_digest, sizeof to->package_digest,
               "package digest");
    to->created_unix_ms = from->created_unix_ms;
    to->closed_unix_ms = from->closed_unix_ms;
    to->wait = from->wait != 0;
    take_text(c, from->operator_key, to->operator_key, sizeof to->operator_key, "operator key");
    take_text(c, from->account, to->account, sizeof to->account, "account");
    to->policy_version = from->policy_version;
    take_totals(c, from->totals, &to->totals);
}

static Pusher__RelayRow *put_relay_row(struct coder *c, const struct relay_row *from)
{
    Pusher__RelayRow *to = coder_message(c, PART(relay_row));
    if (to == NULL)
        return NULL;
    to->name = put_text(c, from->name, sizeof from->name, "relay name");
    to->site = put_text(c, from->site, sizeof from->site, "site");
    to->seal_key = put_bytes(c, from->seal_key, sizeof from->seal_key);
    to->live = from->live;
    to->silent_ms = from->silent_ms;
    to->leased = from->leased;
    put_counters(c, from->running, STAGE_COUNT, &to->running, &to->n_running);
    to->awaiting = from->awaiting;
    to->standing = (Pusher__RelayStanding)check_enum(c, (int64_t)from->standing,
                                                     RELAY_STANDING_COUNT, "standing");
    to->curve_key = put_key_or_none(c, from->curve_key);
    to->certificate_until_unix_s = from->certificate_until_unix_s;
    to->certificate_serial = from->certificate_serial;
    return to;
}

void put_relay_rows(struct coder *c, const struct relay_row *from, uint32_t count,
                    Pusher__RelayRow ***to, size_t *to_count)
{
    count = put_row_count(c, count, "relays");
    Pusher__RelayRow **rows = coder_new(c, count, sizeof(Pusher__RelayRow *));
    if (rows == NULL)
        return;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = put_relay_row(c, &from[i]);
    *to = rows;
    *to_count = count;
}

void take_relay_rows(struct coder *c, Pusher__RelayRow *const *from, size_t count,
                     struct relay_row **to, uint32_t *to_count)
{
    *to = take_rows(c, count, sizeof **to, to_count, "relays");
    for (uint32_t i = 0; i < *to_count; i++) {
        struct relay_row *row = &(*to)[i];
        take_text(c, from[i]->name, row->name, sizeof row->name, "relay name");
        take_text(c, from[i]->site, row->site, sizeof row->site, "site");
        take_bytes(c, from[i]->seal_key, row->seal_key, sizeof row->seal_key, "seal key");
        row->live = from[i]->live != 0;
        row->silent_ms = from[i]->silent_ms;
        row->leased = from[i]->leased;
        take_counters(c, from[i]->running, from[i]->n_running, row->running, STAGE_COUNT,
                      "running");
        row->awaiting = from[i]->awaiting;
        row->standing = (enum relay_standing)check_enum(c, (int64_t)from[i]->standing,
                                                        RELAY_STANDING_COUNT, "standing");
        take_key_or_none(c, from[i]->curve_key, row->curve_key, "curve key");
        row->certificate_until_unix_s = from[i]->certificate_until_unix_s;
        row->certificate_serial = from[i]->certificate_serial;
    }
}
