/* Samples of the messages that private mode has as well. */
#include "wire_samples.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

void fill_text(char *text, size_t size)
{
    memset(text, 'x', size - 1);
    memcpy(text, "\xc3\xa9", 2);
    text[size - 1] = '\0';
}

char *new_text(size_t size)
{
    char *text = mem_new(size, 1);
    fill_text(text, size);
    return text;
}

uint8_t *new_bytes(size_t size)
{
    uint8_t *bytes = mem_new(size, 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    return bytes;
}

char **new_texts(uint32_t count, size_t size)
{
    char **texts = mem_new(count, sizeof *texts);
    for (uint32_t i = 0; i < count; i++)
        texts[i] = new_text(size - i % 3);
    return texts;
}

void same_texts(char *const *a, uint32_t a_count, char *const *b, uint32_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (uint32_t i = 0; i < a_count; i++)
        assert_string_equal(a[i], b[i]);
}

void fill_outcome(struct outcome *outcome)
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
    row->standing = RELAY_CLONED;
}

static void fill_summary(struct push_summary *summary)
{
    FILL(summary);
    summary->state = PUSH_ROUTING;
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
    FILL_TEXT(m->hello.serve);
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

void same_blob(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
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
    m->chunk_request.insist = true;
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
    m->package_offer.directory = true;
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
    FILL_TEXT(m->push_commit.site);
    m->push_commit.retry = true;
    m->push_commit.retry_reason = (enum reason)(REASON_COUNT - 1);
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

static void fill_relays_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->relays_get);
}

static void same_relays_get(struct message *a, struct message *b)
{
    SAME(&a->relays_get, &b->relays_get);
}

static void fill_relays(struct message *m, uint32_t rows)
{
    m->relays.next = 17;
    m->relays.row_count = rows;
    m->relays.rows = mem_new(rows, sizeof *m->relays.rows);
    for (uint32_t i = 0; i < rows; i++)
        fill_relay_row(&m->relays.rows[i]);
}

static void same_relays(struct message *a, struct message *b)
{
    assert_int_equal(a->relays.next, b->relays.next);
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

const struct sample samples[MESSAGE_KIND_COUNT] = {
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
    SAMPLE(RELAYS_GET, relays_get),
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
    SAMPLE(ENROLL, enroll),
    SAMPLE(PERMIT_GET, permit_get),
    SAMPLE(ENROLLED, enrolled),
    SAMPLE(PEER, peer),
    SAMPLE(PERMIT, permit),
    SAMPLE(OBJECT, object),
    SAMPLE(OBJECTS_GET, objects_get),
    SAMPLE(SITE_PUT, site_put),
    SAMPLE(SITE_RM, site_ref),
    SAMPLE(SITES_GET, sites_get),
    SAMPLE(ROUTES_GET, routes_get),
    SAMPLE(LINT_GET, empty),
    SAMPLE(TOKEN_PUT, token_put),
    SAMPLE(RELAY_SET, relay_set),
    SAMPLE(CREDENTIAL_RM, site_ref),
    SAMPLE(PUSH_CREDENTIALS, push_credentials),
    SAMPLE(JOB_GET, status_get),
    SAMPLE(PARTS_GET, parts_get),
    SAMPLE(PARTS, parts),
    SAMPLE(PACKAGES_GET, empty),
    SAMPLE(PACKAGE_RM, package_ref),
    SAMPLE(PACKAGE_VERIFY, package_ref),
    SAMPLE(OBJECTS, objects),
    SAMPLE(SITES, sites),
    SAMPLE(ROUTES, routes),
    SAMPLE(LINT, lint),
    SAMPLE(TOKEN, token),
    SAMPLE(PACKAGES, packages),
};
