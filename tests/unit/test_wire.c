/* common/wire: every message kind there and back, and bytes that no honest peer sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/wire.h"

#define ROWS 3
#define PATTERN 0x5a

/* Structs are compared byte by byte, so that a field which the codec forgets is seen without this
 * test knowing it: filled with a pattern here, zero after decoding. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CLEAR_PADDING(pointer) __builtin_clear_padding(pointer)
#endif
#endif
#ifndef CLEAR_PADDING
#define CLEAR_PADDING(pointer) (void)(pointer)
#define PADDING_STAYS 1
#endif

#ifdef PADDING_STAYS
#define SAME(a, b) (void)(a), (void)(b)
#else
#define SAME(a, b)                                                                                 \
    do {                                                                                           \
        CLEAR_PADDING(a);                                                                          \
        CLEAR_PADDING(b);                                                                          \
        assert_memory_equal(a, b, sizeof *(a));                                                    \
    } while (0)
#endif

#define FILL(pointer) memset(pointer, PATTERN, sizeof *(pointer))
#define FILL_TEXT(array) fill_text(array, sizeof(array))

static uint64_t random_state = 88172645463325252ULL;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* As long as fits, with a two-byte character. */
static void fill_text(char *text, size_t size)
{
    memset(text, 'x', size - 1);
    memcpy(text, "\xc3\xa9", 2);
    text[size - 1] = '\0';
}

static char *new_text(size_t size)
{
    char *text = mem_new(size, 1);
    fill_text(text, size);
    return text;
}

static uint8_t *new_bytes(size_t size)
{
    uint8_t *bytes = mem_new(size, 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    return bytes;
}

static void fill_outcome(struct outcome *outcome)
{
    FILL(outcome);
    outcome->state = TARGET_NEVER_ATTEMPTED;
    outcome->stage = STAGE_SCHEDULE;
    outcome->reason = (enum reason)(REASON_COUNT - 1);
    outcome->code_kind = CODE_EXIT;
    memset(outcome->detail, '\xff', sizeof outcome->detail - 1); /* raw text: not UTF-8 */
    outcome->detail[sizeof outcome->detail - 1] = '\0';
    FILL_TEXT(outcome->address);
    outcome->name_check = NAME_MATCHED;
    outcome->has_exit_code = true;
}

static void fill_relay_row(struct relay_row *row)
{
    FILL(row);
    FILL_TEXT(row->name);
    FILL_TEXT(row->site);
    row->live = true;
}

static void fill_summary(struct push_summary *summary)
{
    FILL(summary);
    summary->state = PUSH_CLOSED;
    summary->action = JOB_CLEANUP;
    summary->run_as = RUN_AS_USER;
    FILL_TEXT(summary->package_name);
    summary->wait = true;
    FILL_TEXT(summary->operator_key);
    FILL_TEXT(summary->account);
}

static void fill_hello(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->hello);
    FILL_TEXT(m->hello.relay_name);
}

static void same_hello(struct message *a, struct message *b)
{
    SAME(&a->hello, &b->hello);
}

static void fill_welcome(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->welcome);
}

static void same_welcome(struct message *a, struct message *b)
{
    SAME(&a->welcome, &b->welcome);
}

static void fill_heartbeat(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->heartbeat);
}

static void same_heartbeat(struct message *a, struct message *b)
{
    SAME(&a->heartbeat, &b->heartbeat);
}

static void fill_heartbeat_ack(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->heartbeat_ack);
}

static void same_heartbeat_ack(struct message *a, struct message *b)
{
    SAME(&a->heartbeat_ack, &b->heartbeat_ack);
}

static void fill_job_offer(struct message *m, uint32_t rows)
{
    (void)rows;
    m->job.signed_job_size = 300;
    m->job.signed_job = new_bytes(300);
    m->job.sealed_credential_size = 200;
    m->job.sealed_credential = new_bytes(200);
}

static void same_blob(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
}

static void same_job_offer(struct message *a, struct message *b)
{
    same_blob(a->job.signed_job, a->job.signed_job_size, b->job.signed_job, b->job.signed_job_size);
    same_blob(a->job.sealed_credential, a->job.sealed_credential_size, b->job.sealed_credential,
              b->job.sealed_credential_size);
}

static void fill_lease(struct message *m, uint32_t rows)
{
    FILL(&m->lease);
    m->lease.entry_count = rows;
    m->lease.entries = mem_new(rows, sizeof *m->lease.entries);
    for (uint32_t i = 0; i < rows; i++) {
        FILL(&m->lease.entries[i]);
        m->lease.entries[i].target_no = i;
        m->lease.entries[i].name = new_text(LIMIT_TARGET_NAME_SIZE);
    }
    m->lease.proof_size = 96;
    m->lease.proof = new_bytes(96);
}

static void same_lease(struct message *a, struct message *b)
{
    struct message_lease x = a->lease;
    struct message_lease y = b->lease;
    assert_int_equal(x.entry_count, y.entry_count);
    for (uint32_t i = 0; i < x.entry_count; i++) {
        struct lease_entry p = x.entries[i];
        struct lease_entry q = y.entries[i];
        assert_string_equal(p.name, q.name);
        p.name = q.name;
        SAME(&p, &q);
    }
    same_blob(x.proof, x.proof_size, y.proof, y.proof_size);
    x.entries = y.entries;
    x.proof = y.proof;
    SAME(&x, &y);
}

/* The last row has the most that is allowed, the others a few bytes or none. A message of the most
 * rows has no room for any. */
static void fill_output(uint8_t **output, size_t *size, uint32_t row, uint32_t rows)
{
    *size = row + 1 == rows ? LIMIT_OUTPUT_BYTES : row % 3;
    if (rows == LIMIT_ROWS_PER_MESSAGE)
        *size = 0;
    *output = *size > 0 ? new_bytes(*size) : NULL;
}

static void same_output(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    if (a_size > 0)
        same_blob(a, a_size, b, b_size);
    else
        assert_int_equal(b_size, 0);
}

static void fill_results(struct message *m, uint32_t rows)
{
    FILL(&m->results);
    m->results.row_count = rows;
    m->results.rows = mem_new(rows, sizeof *m->results.rows);
    for (uint32_t i = 0; i < rows; i++) {
        FILL(&m->results.rows[i]);
        fill_outcome(&m->results.rows[i].outcome);
        fill_output(&m->results.rows[i].output, &m->results.rows[i].output_size, i, rows);
    }
}

static void same_results(struct message *a, struct message *b)
{
    struct message_results x = a->results;
    struct message_results y = b->results;
    assert_int_equal(x.row_count, y.row_count);
    for (uint32_t i = 0; i < x.row_count; i++) {
        struct result_row p = x.rows[i];
        struct result_row q = y.rows[i];
        same_output(p.output, p.output_size, q.output, q.output_size);
        p.output = q.output;
        SAME(&p, &q);
    }
    x.rows = y.rows;
    SAME(&x, &y);
}

static void fill_results_ack(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->results_ack);
}

static void same_results_ack(struct message *a, struct message *b)
{
    SAME(&a->results_ack, &b->results_ack);
}

static void fill_push_ref(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->push_ref);
}

static void same_push_ref(struct message *a, struct message *b)
{
    SAME(&a->push_ref, &b->push_ref);
}

static void fill_chunk_request(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->chunk_request);
    m->chunk_request.offset = LIMIT_PACKAGE_BYTES_MAX;
    m->chunk_request.size = LIMIT_CHUNK_BYTES;
}

static void same_chunk_request(struct message *a, struct message *b)
{
    SAME(&a->chunk_request, &b->chunk_request);
}

static void fill_chunk(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->chunk);
    m->chunk.offset = 12345;
    m->chunk.total = LIMIT_PACKAGE_BYTES_MAX;
    m->chunk.size = 1000;
    m->chunk.data = new_bytes(1000);
}

static void same_chunk(struct message *a, struct message *b)
{
    struct message_chunk x = a->chunk;
    struct message_chunk y = b->chunk;
    same_blob(x.data, x.size, y.data, y.size);
    x.data = y.data;
    SAME(&x, &y);
}

static void fill_package_offer(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->package_offer);
    m->package_offer.bytes = LIMIT_PACKAGE_BYTES_MAX;
    FILL_TEXT(m->package_offer.name);
}

static void same_package_offer(struct message *a, struct message *b)
{
    SAME(&a->package_offer, &b->package_offer);
}

static void fill_package_data(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->package_data);
    m->package_data.offset = 54321;
    m->package_data.size = 777;
    m->package_data.data = new_bytes(777);
}

static void same_package_data(struct message *a, struct message *b)
{
    struct message_package_data x = a->package_data;
    struct message_package_data y = b->package_data;
    same_blob(x.data, x.size, y.data, y.size);
    x.data = y.data;
    SAME(&x, &y);
}

static void fill_package_want(struct message *m, uint32_t rows)
{
    (void)rows;
    m->package_want.offset = 4711;
}

static void same_package_want(struct message *a, struct message *b)
{
    SAME(&a->package_want, &b->package_want);
}

static void fill_push_begin(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->push_begin);
    m->push_begin.target_count = LIMIT_TARGETS_MAX;
}

static void same_push_begin(struct message *a, struct message *b)
{
    SAME(&a->push_begin, &b->push_begin);
}

static void fill_push_targets(struct message *m, uint32_t rows)
{
    FILL(&m->push_targets);
    m->push_targets.name_count = rows;
    m->push_targets.names = mem_new(rows, sizeof *m->push_targets.names);
    for (uint32_t i = 0; i < rows; i++)
        m->push_targets.names[i] = new_text(LIMIT_TARGET_NAME_SIZE - i % 3);
}

static void same_push_targets(struct message *a, struct message *b)
{
    struct message_push_targets x = a->push_targets;
    struct message_push_targets y = b->push_targets;
    assert_int_equal(x.name_count, y.name_count);
    for (uint32_t i = 0; i < x.name_count; i++)
        assert_string_equal(x.names[i], y.names[i]);
    x.names = y.names;
    SAME(&x, &y);
}

static void fill_push_commit(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->push_commit);
    m->push_commit.signed_job_size = 9000;
    m->push_commit.signed_job = new_bytes(9000);
    m->push_commit.sealed_credential_size = 200;
    m->push_commit.sealed_credential = new_bytes(200);
    m->push_commit.resume = true;
    m->push_commit.fail_stop_count = 4;
}

static void same_push_commit(struct message *a, struct message *b)
{
    struct message_push_commit x = a->push_commit;
    struct message_push_commit y = b->push_commit;
    same_blob(x.signed_job, x.signed_job_size, y.signed_job, y.signed_job_size);
    same_blob(x.sealed_credential, x.sealed_credential_size, y.sealed_credential,
              y.sealed_credential_size);
    x.signed_job = y.signed_job;
    x.sealed_credential = y.sealed_credential;
    SAME(&x, &y);
}

static void fill_push_stop(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->push_stop);
    m->push_stop.cancel = true;
}

static void same_push_stop(struct message *a, struct message *b)
{
    SAME(&a->push_stop, &b->push_stop);
}

static void fill_empty(struct message *m, uint32_t rows)
{
    (void)m;
    (void)rows;
}

static void same_empty(struct message *a, struct message *b)
{
    assert_int_equal(a->kind, b->kind);
}

static void fill_status_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL_TEXT(m->status_get.prefix);
}

static void same_status_get(struct message *a, struct message *b)
{
    SAME(&a->status_get, &b->status_get);
}

static void fill_report_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->report_get);
    FILL_TEXT(m->report_get.push.prefix);
    m->report_get.failed_only = true;
    m->report_get.stage = STAGE_RESOLVE;
    m->report_get.reason = REASON_NXDOMAIN;
    FILL_TEXT(m->report_get.site);
    FILL_TEXT(m->report_get.target);
    m->report_get.output = true;
}

static void same_report_get(struct message *a, struct message *b)
{
    SAME(&a->report_get, &b->report_get);
}

static void fill_ok(struct message *m, uint32_t rows)
{
    (void)rows;
    m->ok.existing = true;
}

static void same_ok(struct message *a, struct message *b)
{
    SAME(&a->ok, &b->ok);
}

static void fill_fail(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->fail);
    m->fail.code = ERR_INTERNAL;
    FILL_TEXT(m->fail.text);
}

static void same_fail(struct message *a, struct message *b)
{
    SAME(&a->fail, &b->fail);
}

static void fill_relays(struct message *m, uint32_t rows)
{
    m->relays.row_count = rows;
    m->relays.rows = mem_new(rows, sizeof *m->relays.rows);
    for (uint32_t i = 0; i < rows; i++)
        fill_relay_row(&m->relays.rows[i]);
}

static void same_relays(struct message *a, struct message *b)
{
    assert_int_equal(a->relays.row_count, b->relays.row_count);
    for (uint32_t i = 0; i < a->relays.row_count; i++)
        SAME(&a->relays.rows[i], &b->relays.rows[i]);
}

static void fill_status(struct message *m, uint32_t rows)
{
    fill_summary(&m->status.push);
    m->status.relay_count = rows;
    m->status.relays = mem_new(rows, sizeof *m->status.relays);
    for (uint32_t i = 0; i < rows; i++)
        fill_relay_row(&m->status.relays[i]);
}

static void same_status(struct message *a, struct message *b)
{
    SAME(&a->status.push, &b->status.push);
    assert_int_equal(a->status.relay_count, b->status.relay_count);
    for (uint32_t i = 0; i < a->status.relay_count; i++)
        SAME(&a->status.relays[i], &b->status.relays[i]);
}

static void fill_report_rows(struct message *m, uint32_t rows)
{
    m->report_rows.row_count = rows;
    m->report_rows.rows = mem_new(rows, sizeof *m->report_rows.rows);
    for (uint32_t i = 0; i < rows; i++) {
        struct report_row *row = &m->report_rows.rows[i];
        FILL(row);
        row->target = new_text(LIMIT_TARGET_NAME_SIZE);
        FILL_TEXT(row->site);
        FILL_TEXT(row->relay);
        fill_outcome(&row->outcome);
        fill_output(&row->output, &row->output_size, i, rows);
    }
}

static void same_report_rows(struct message *a, struct message *b)
{
    assert_int_equal(a->report_rows.row_count, b->report_rows.row_count);
    for (uint32_t i = 0; i < a->report_rows.row_count; i++) {
        struct report_row p = a->report_rows.rows[i];
        struct report_row q = b->report_rows.rows[i];
        assert_string_equal(p.target, q.target);
        p.target = q.target;
        same_output(p.output, p.output_size, q.output, q.output_size);
        p.output = q.output;
        SAME(&p, &q);
    }
}

static void fill_report_end(struct message *m, uint32_t rows)
{
    (void)rows;
    fill_summary(&m->report_end.push);
}

static void same_report_end(struct message *a, struct message *b)
{
    SAME(&a->report_end.push, &b->report_end.push);
}

static void fill_list(struct message *m, uint32_t rows)
{
    m->list.push_count = rows;
    m->list.pushes = mem_new(rows, sizeof *m->list.pushes);
    for (uint32_t i = 0; i < rows; i++)
        fill_summary(&m->list.pushes[i]);
}

static void same_list(struct message *a, struct message *b)
{
    assert_int_equal(a->list.push_count, b->list.push_count);
    for (uint32_t i = 0; i < a->list.push_count; i++)
        SAME(&a->list.pushes[i], &b->list.pushes[i]);
}

struct sample {
    void (*fill)(struct message *message, uint32_t rows);
    void (*same)(struct message *a, struct message *b);
};

static const struct sample samples[MESSAGE_KIND_COUNT] = {
#define SAMPLE(KIND, name) [MESSAGE_##KIND] = {fill_##name, same_##name}
    SAMPLE(HELLO, hello),
    SAMPLE(HEARTBEAT, heartbeat),
    SAMPLE(RESULTS, results),
    SAMPLE(WELCOME, welcome),
    SAMPLE(HEARTBEAT_ACK, heartbeat_ack),
    SAMPLE(JOB, job_offer),
    SAMPLE(LEASE, lease),
    SAMPLE(RESULTS_ACK, results_ack),
    SAMPLE(STOP, push_ref),
    SAMPLE(CLOSE, push_ref),
    SAMPLE(CHUNK_REQUEST, chunk_request),
    SAMPLE(CHUNK, chunk),
    SAMPLE(PACKAGE_OFFER, package_offer),
    SAMPLE(PACKAGE_DATA, package_data),
    SAMPLE(PUSH_BEGIN, push_begin),
    SAMPLE(PUSH_TARGETS, push_targets),
    SAMPLE(PUSH_COMMIT, push_commit),
    SAMPLE(PUSH_STOP, push_stop),
    SAMPLE(RELAYS_GET, empty),
    SAMPLE(STATUS_GET, status_get),
    SAMPLE(REPORT_GET, report_get),
    SAMPLE(LIST_GET, empty),
    SAMPLE(OK, ok),
    SAMPLE(FAIL, fail),
    SAMPLE(PACKAGE_WANT, package_want),
    SAMPLE(RELAYS, relays),
    SAMPLE(STATUS, status),
    SAMPLE(REPORT_ROWS, report_rows),
    SAMPLE(REPORT_END, report_end),
    SAMPLE(LIST, list),
};

static void make_sample(enum message_kind kind, uint32_t rows, struct message *message)
{
    memset(message, 0, sizeof *message);
    message->kind = kind;
    message->request = 0xfedcba98;
    samples[kind].fill(message, rows);
}

static void encode_sample(enum message_kind kind, uint32_t rows, struct buf *out)
{
    struct message message;
    struct err err = {0};
    make_sample(kind, rows, &message);
    if (wire_encode(&message, out, &err) != 0)
        fail_msg("%s: %s", message_kind_word(kind), err.text);
    message_release(&message);
}

static void round_trip(enum message_kind kind, uint32_t rows)
{
    struct message before;
    struct message after;
    struct err err = {0};
    struct buf bytes;
    make_sample(kind, rows, &before);
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    if (wire_encode(&before, &bytes, &err) != 0)
        fail_msg("%s: %s", message_kind_word(kind), err.text);
    if (wire_decode(bytes.data, bytes.size, &after, &err) != 0)
        fail_msg("%s: %s", message_kind_word(kind), err.text);
    assert_int_equal(after.kind, kind);
    assert_int_equal(after.request, before.request);
    samples[kind].same(&before, &after);
    buf_release(&bytes);
    message_release(&before);
    message_release(&after);
}

static void message_every_kind_round_trips(void **state)
{
    (void)state;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++)
        round_trip((enum message_kind)kind, ROWS);
}

static void message_as_long_as_allowed_fits_and_round_trips(void **state)
{
    (void)state;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++)
        round_trip((enum message_kind)kind, LIMIT_ROWS_PER_MESSAGE);
}

static void message_without_rows_round_trips(void **state)
{
    (void)state;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++)
        round_trip((enum message_kind)kind, 0);
}

static void message_with_one_row_too_many_is_refused(void **state)
{
    (void)state;
    const enum message_kind kinds[] = {MESSAGE_LEASE,  MESSAGE_RESULTS,     MESSAGE_PUSH_TARGETS,
                                       MESSAGE_RELAYS, MESSAGE_REPORT_ROWS, MESSAGE_STATUS};
    struct buf bytes;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct message message;
        struct err err = {0};
        make_sample(kinds[i], LIMIT_ROWS_PER_MESSAGE + 1, &message);
        assert_int_equal(wire_encode(&message, &bytes, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(bytes.size, 0);
        message_release(&message);
    }
    buf_release(&bytes);
}

static void encode_kind_out_of_range_is_refused(void **state)
{
    (void)state;
    struct message message = {.kind = MESSAGE_KIND_COUNT};
    struct buf bytes;
    buf_init(&bytes, 100);
    assert_int_equal(wire_encode(&message, &bytes, NULL), -1);
    message.kind = MESSAGE_NONE;
    assert_int_equal(wire_encode(&message, &bytes, NULL), -1);
    buf_release(&bytes);
}

static void encode_into_too_small_a_buffer_leaves_it_alone(void **state)
{
    (void)state;
    struct message message;
    struct err err = {0};
    struct buf bytes;
    make_sample(MESSAGE_HELLO, 0, &message);
    buf_init(&bytes, 20);
    buf_text(&bytes, "abc");
    assert_int_equal(wire_encode(&message, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(bytes.size, 3);
    assert_true(buf_ok(&bytes));
    buf_release(&bytes);
}

/* Decodes bytes of a size malloc knows exactly, so that ASan sees every read past the end. */
static void decode_exact(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = mem_new(size, 1);
    struct message message;
    struct err err = {0};
    if (size > 0)
        memcpy(copy, bytes, size);
    if (wire_decode(copy, size, &message, &err) == 0) {
        struct buf again;
        buf_init(&again, 2 * LIMIT_MESSAGE_BYTES_MAX);
        assert_int_equal(wire_encode(&message, &again, &err), 0); /* what we accept, we can say */
        buf_release(&again);
    } else {
        assert_true(err.code == ERR_PROTOCOL || err.code == ERR_LIMIT);
        assert_int_equal(message.kind, MESSAGE_NONE);
    }
    message_release(&message);
    free(copy);
}

static void decode_every_truncation_is_survived(void **state)
{
    (void)state;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++) {
        struct buf bytes;
        buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
        encode_sample((enum message_kind)kind, 2, &bytes);
        for (size_t size = 0; size < bytes.size; size += 1 + size / 500)
            decode_exact(bytes.data, size);
        buf_release(&bytes);
    }
}

static void decode_every_mutation_is_survived(void **state)
{
    (void)state;
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++) {
        struct buf bytes;
        struct buf mutant;
        buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
        buf_init(&mutant, LIMIT_MESSAGE_BYTES_MAX);
        encode_sample((enum message_kind)kind, 2, &bytes);
        for (int round = 0; round < 1000; round++) {
            buf_reset(&mutant);
            buf_bytes(&mutant, bytes.data, bytes.size);
            for (uint64_t left = 1 + next_random() % 4; left > 0; left--) {
                size_t range = next_random() % 2 == 0 ? 64 : mutant.size;
                size_t at = next_random() % (range < mutant.size ? range : mutant.size);
                mutant.data[at] = (uint8_t)next_random();
            }
            decode_exact(mutant.data, mutant.size);
        }
        buf_release(&bytes);
        buf_release(&mutant);
    }
}

/* A varint as protobuf writes lengths. */
static void put_varint(struct buf *b, size_t value)
{
    while (value >= 0x80) {
        buf_u8(b, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_u8(b, (uint8_t)value);
}

static void decode_amplifying_message_is_refused_within_memory(void **state)
{
    (void)state;
    struct buf bytes;
    struct message message;
    struct err err = {0};
    size_t rows = (LIMIT_MESSAGE_BYTES_MAX - 16) / 2;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    buf_u8(&bytes, 12 << 3 | 2); /* Message.results */
    put_varint(&bytes, rows * 2);
    for (size_t i = 0; i < rows; i++)
        buf_u16be(&bytes, (3 << 3 | 2) << 8); /* Results.rows, empty */
    assert_true(buf_ok(&bytes));
    assert_int_equal(wire_decode(bytes.data, bytes.size, &message, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "memory"));
    buf_release(&bytes);
}

static void decode_longer_than_any_message_is_refused(void **state)
{
    (void)state;
    uint8_t *bytes = mem_new(LIMIT_MESSAGE_BYTES_MAX + 1, 1);
    struct message message;
    assert_int_equal(wire_decode(bytes, LIMIT_MESSAGE_BYTES_MAX + 1, &message, NULL), -1);
    free(bytes);
}

static void decode_unknown_kind_is_refused_and_unknown_field_skipped(void **state)
{
    (void)state;
    struct message message;
    struct err err = {0};
    const uint8_t unknown[] = {0x08, 0x01, 0xfa, 0x06, 0x00}; /* request 1, field 111 empty */
    assert_int_equal(wire_decode(unknown, sizeof unknown, &message, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    const uint8_t nothing[] = {0};
    assert_int_equal(wire_decode(nothing, 0, &message, &err), -1);
    /* Ok {existing}, then a field that nobody knows yet. */
    const uint8_t newer[] = {0xe2, 0x03, 0x02, 0x08, 0x01, 0xfa, 0x06, 0x02, 'h', 'i'};
    assert_int_equal(wire_decode(newer, sizeof newer, &message, &err), 0);
    assert_int_equal(message.kind, MESSAGE_OK);
    assert_true(message.ok.existing);
    message_release(&message);
}

static int decode_name_with(uint8_t byte, struct err *err)
{
    struct message message = {.kind = MESSAGE_HELLO};
    struct buf bytes;
    buf_init(&bytes, 1000);
    memcpy(message.hello.relay_name, "abcdefgh", 9);
    assert_int_equal(wire_encode(&message, &bytes, NULL), 0);
    uint8_t *at = memmem(bytes.data, bytes.size, "abcdefgh", 8);
    assert_non_null(at);
    at[3] = byte;
    int result = wire_decode(bytes.data, bytes.size, &message, err);
    if (result == 0)
        message_release(&message);
    buf_release(&bytes);
    return result;
}

static void decode_text_with_nul_or_broken_utf8_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(decode_name_with('z', &err), 0);
    assert_int_equal(decode_name_with('\0', &err), -1);
    assert_non_null(strstr(err.text, "relay name: contains a NUL"));
    assert_int_equal(decode_name_with(0xff, &err), -1);
    assert_non_null(strstr(err.text, "not UTF-8"));
}

static void encode_text_that_nobody_would_accept_is_refused(void **state)
{
    (void)state;
    struct message message = {.kind = MESSAGE_HELLO};
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, 1000);
    memset(message.hello.relay_name, 'x', sizeof message.hello.relay_name); /* no NUL */
    assert_int_equal(wire_encode(&message, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    memcpy(message.hello.relay_name, "a\xff", 3);
    assert_int_equal(wire_encode(&message, &bytes, &err), -1);
    assert_int_equal(bytes.size, 0);
    buf_release(&bytes);
}

static void decode_chunk_beyond_its_limit_is_refused(void **state)
{
    (void)state;
    struct message message;
    struct buf bytes;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    make_sample(MESSAGE_CHUNK, 0, &message);
    free(message.chunk.data);
    message.chunk.size = LIMIT_CHUNK_BYTES;
    message.chunk.data = new_bytes(LIMIT_CHUNK_BYTES + 1);
    assert_int_equal(wire_encode(&message, &bytes, NULL), 0);
    message.chunk.size++;
    assert_int_equal(wire_encode(&message, &bytes, NULL), -1);
    message.chunk.size--;
    message.chunk.total = LIMIT_PACKAGE_BYTES_MAX + 1;
    assert_int_equal(wire_encode(&message, &bytes, NULL), -1);
    message_release(&message);
    buf_release(&bytes);
}

static void fill_job(struct job *job)
{
    FILL(job);
    FILL_TEXT(job->package_name);
    job->package_bytes = LIMIT_PACKAGE_BYTES_MAX;
    FILL_TEXT(job->command);
    FILL_TEXT(job->arguments);
    job->run_as = RUN_AS_USER;
    job->ping = PING_SKIP;
    job->replace_path = true;
    job->verify = true;
    job->wait = true;
    job->cleanup = true;
    job->success_code_count = LIMIT_SUCCESS_CODES;
    job->action = JOB_CLEANUP;
    job->zone = TIME_ZONE_TARGET;
    job->end_unix_s = -5;
    job->target_count = LIMIT_TARGETS_MAX;
}

static void job_round_trips_and_survives_mutations(void **state)
{
    (void)state;
    struct job before;
    struct job after;
    struct buf bytes;
    fill_job(&before);
    buf_init(&bytes, 65536);
    assert_int_equal(wire_encode_job(&before, &bytes, NULL), 0);
    assert_int_equal(wire_decode_job(bytes.data, bytes.size, &after, NULL), 0);
    SAME(&before, &after);
    for (int round = 0; round < 2000; round++) {
        size_t at = next_random() % (round % 2 == 0 ? 80 : bytes.size);
        uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)next_random();
        (void)wire_decode_job(bytes.data, bytes.size - next_random() % 3, &after, NULL);
        bytes.data[at] = was;
    }
    before.target_count++;
    assert_int_equal(wire_encode_job(&before, &bytes, NULL), -1);
    before.target_count--;
    before.run_as = RUN_AS_COUNT;
    assert_int_equal(wire_encode_job(&before, &bytes, NULL), -1);
    buf_release(&bytes);
}

static void job_bytes_are_the_same_each_time(void **state)
{
    (void)state;
    struct job job;
    struct buf one;
    struct buf two;
    fill_job(&job);
    buf_init(&one, 65536);
    buf_init(&two, 65536);
    assert_int_equal(wire_encode_job(&job, &one, NULL), 0);
    assert_int_equal(wire_encode_job(&job, &two, NULL), 0);
    same_blob(one.data, one.size, two.data, two.size);
    buf_release(&one);
    buf_release(&two);
}

static void credential_round_trips_and_errors_do_not_quote_it(void **state)
{
    (void)state;
    struct credential before = {0};
    struct credential after;
    struct err err = {0};
    struct buf bytes;
    FILL_TEXT(before.account);
    FILL_TEXT(before.secret);
    buf_init(&bytes, 4096);
    assert_int_equal(wire_encode_credential(&before, &bytes, &err), 0);
    assert_int_equal(wire_decode_credential(bytes.data, bytes.size, &after, &err), 0);
    SAME(&before, &after);
    buf_reset(&bytes);
    memcpy(before.secret, "hunter2\xff", 9);
    assert_int_equal(wire_encode_credential(&before, &bytes, &err), -1);
    assert_null(strstr(err.text, "hunter2"));
    buf_release(&bytes);
}

static void outcome_alone_round_trips_and_unknown_values_are_refused(void **state)
{
    (void)state;
    struct outcome before;
    struct outcome after;
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, 4096);
    for (int stage = 0; stage <= STAGE_COUNT; stage++) {
        for (int reason = 0; reason < REASON_COUNT; reason++) {
            fill_outcome(&before);
            before.stage = (enum stage)stage;
            before.reason = (enum reason)reason;
            buf_reset(&bytes);
            assert_int_equal(wire_encode_outcome(&before, &bytes, &err), 0);
            assert_int_equal(wire_decode_outcome(bytes.data, bytes.size, &after, &err), 0);
            SAME(&before, &after);
        }
    }
    const uint8_t state_10[] = {0x08, TARGET_STATE_COUNT};
    assert_int_equal(wire_decode_outcome(state_10, sizeof state_10, &after, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    const uint8_t minus_one[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_int_equal(wire_decode_outcome(minus_one, sizeof minus_one, &after, &err), -1);
    const uint8_t stage_7[] = {0x10, STAGE_COUNT + 1};
    assert_int_equal(wire_decode_outcome(stage_7, sizeof stage_7, &after, &err), -1);
    const uint8_t word[] = {0x1a, 0x03, 'O', 'O', 'F'};
    assert_int_equal(wire_decode_outcome(word, sizeof word, &after, &err), -1);
    before.state = TARGET_STATE_COUNT;
    assert_int_equal(wire_encode_outcome(&before, &bytes, &err), -1);
    buf_release(&bytes);
}

static void result_row_without_outcome_is_refused(void **state)
{
    (void)state;
    struct message message;
    struct err err = {0};
    uint8_t bytes[] = {0x62, 0x14, 0x1a, 0x12, 0x0a, 0x10, 1,  2,  3,  4,  5,
                       6,    7,    8,    9,    10,   11,   12, 13, 14, 15, 16};
    assert_int_equal(wire_decode(bytes, sizeof bytes, &message, &err), -1);
    assert_non_null(strstr(err.text, "outcome: missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_every_kind_round_trips),
        cmocka_unit_test(message_as_long_as_allowed_fits_and_round_trips),
        cmocka_unit_test(message_without_rows_round_trips),
        cmocka_unit_test(message_with_one_row_too_many_is_refused),
        cmocka_unit_test(encode_kind_out_of_range_is_refused),
        cmocka_unit_test(encode_into_too_small_a_buffer_leaves_it_alone),
        cmocka_unit_test(decode_every_truncation_is_survived),
        cmocka_unit_test(decode_every_mutation_is_survived),
        cmocka_unit_test(decode_amplifying_message_is_refused_within_memory),
        cmocka_unit_test(decode_longer_than_any_message_is_refused),
        cmocka_unit_test(decode_unknown_kind_is_refused_and_unknown_field_skipped),
        cmocka_unit_test(decode_text_with_nul_or_broken_utf8_is_refused),
        cmocka_unit_test(encode_text_that_nobody_would_accept_is_refused),
        cmocka_unit_test(decode_chunk_beyond_its_limit_is_refused),
        cmocka_unit_test(job_round_trips_and_survives_mutations),
        cmocka_unit_test(job_bytes_are_the_same_each_time),
        cmocka_unit_test(credential_round_trips_and_errors_do_not_quote_it),
        cmocka_unit_test(outcome_alone_round_trips_and_unknown_values_are_refused),
        cmocka_unit_test(result_row_without_outcome_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
