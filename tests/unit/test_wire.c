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
#include "wire_samples.h"

#define ROWS 3

static uint64_t random_state = 88172645463325252ULL;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

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
    const enum message_kind kinds[] = {
        MESSAGE_LEASE,       MESSAGE_RESULTS, MESSAGE_PUSH_TARGETS, MESSAGE_RELAYS,
        MESSAGE_REPORT_ROWS, MESSAGE_STATUS,  MESSAGE_OBJECTS,      MESSAGE_SITES,
        MESSAGE_ROUTES_GET,  MESSAGE_ROUTES,  MESSAGE_LINT,         MESSAGE_PUSH_CREDENTIALS,
        MESSAGE_PACKAGES};
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

static void site_with_one_subnet_or_pattern_too_many_is_refused(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct message message;
        struct err err = {0};
        struct buf bytes;
        buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
        make_sample(MESSAGE_SITE_PUT, 0, &message);
        struct site *site = &message.site_put.site;
        if (which == 0) {
            site->subnet_count = LIMIT_SITE_SUBNETS + 1;
            site->subnets = new_texts(site->subnet_count, 12);
        } else {
            site->pattern_count = LIMIT_SITE_PATTERNS + 1;
            site->patterns = new_texts(site->pattern_count, 12);
        }
        assert_int_equal(wire_encode(&message, &bytes, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        message_release(&message);
        buf_release(&bytes);
    }
}

/* "32 bytes, or none": none is zeroes, in both directions; another length is nothing. */
static void key_that_is_missing_is_zeroes(void **state)
{
    (void)state;
    static const uint8_t none[LIMIT_KEY_BYTES];
    struct message message = {.kind = MESSAGE_CHUNK};
    struct message back;
    struct buf bytes;
    buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
    assert_int_equal(wire_encode(&message, &bytes, NULL), 0);
    assert_true(bytes.size < 50); /* digest alone */
    assert_int_equal(wire_decode(bytes.data, bytes.size, &back, NULL), 0);
    assert_memory_equal(back.chunk.source, none, sizeof none);
    buf_reset(&bytes);
    buf_u16be(&bytes, 0xfa01); /* Message.chunk: field 31, length-delimited */
    buf_u8(&bytes, 34 + 5);
    buf_u16be(&bytes, 0x0a20); /* Chunk.digest */
    buf_zero(&bytes, LIMIT_DIGEST_BYTES);
    buf_u16be(&bytes, 0x2a03); /* Chunk.source of three bytes */
    buf_text(&bytes, "abc");
    assert_int_equal(wire_decode(bytes.data, bytes.size, &back, NULL), -1);
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
    struct err err = {0};
    assert_int_equal(wire_decode(bytes, LIMIT_MESSAGE_BYTES_MAX + 1, &message, &err), -1);
    assert_non_null(strstr(err.text, "too long"));
    free(bytes);
}

static void decode_unknown_kind_is_refused_and_unknown_field_skipped(void **state)
{
    (void)state;
    struct message message;
    struct err err = {0};
    const uint8_t unknown[] = {0x08, 0x01, 0xba, 0x0c, 0x00}; /* request 1, field 199 empty */
    assert_int_equal(wire_decode(unknown, sizeof unknown, &message, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    const uint8_t nothing[] = {0};
    assert_int_equal(wire_decode(nothing, 0, &message, &err), -1);
    /* Ok {existing}, then a field that nobody knows yet. */
    const uint8_t newer[] = {0xe2, 0x03, 0x02, 0x08, 0x01, 0xba, 0x0c, 0x02, 'h', 'i'};
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

/* StatusGet with a prefix of that many characters. */
static int decode_prefix_of(size_t length)
{
    struct message message;
    struct buf bytes;
    buf_init(&bytes, 1000);
    buf_u16be(&bytes, 0xfa02); /* Message.status_get */
    put_varint(&bytes, length + 2);
    buf_u8(&bytes, 0x0a); /* StatusGet.prefix */
    put_varint(&bytes, length);
    for (size_t i = 0; i < length; i++)
        buf_u8(&bytes, 'a');
    int result = wire_decode(bytes.data, bytes.size, &message, NULL);
    if (result == 0)
        message_release(&message);
    buf_release(&bytes);
    return result;
}

static void decode_text_as_long_as_its_field_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_prefix_of(PUSH_ID_TEXT_SIZE - 1), 0);
    assert_int_equal(decode_prefix_of(PUSH_ID_TEXT_SIZE), -1); /* no room for the NUL */
}

/* LEASE with that many entries. */
static int decode_lease_of(uint32_t count)
{
    struct message message;
    struct buf bytes;
    buf_init(&bytes, 10000);
    buf_u16be(&bytes, 0xba01); /* Message.lease */
    put_varint(&bytes, 2 + PUSH_ID_BYTES + 2 * count);
    buf_u16be(&bytes, 0x1200 + PUSH_ID_BYTES); /* Lease.push */
    buf_zero(&bytes, PUSH_ID_BYTES);
    for (uint32_t i = 0; i < count; i++)
        buf_u16be(&bytes, 0x2200); /* Lease.entries, empty */
    int result = wire_decode(bytes.data, bytes.size, &message, NULL);
    if (result == 0)
        message_release(&message);
    buf_release(&bytes);
    return result;
}

static void decode_more_rows_than_a_message_may_have_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_lease_of(LIMIT_ROWS_PER_MESSAGE), 0);
    assert_int_equal(decode_lease_of(LIMIT_ROWS_PER_MESSAGE + 1), -1);
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
    memset(job->package_digest, 1, sizeof job->package_digest); /* of one length with the roots */
    memset(job->targets_root, 2, sizeof job->targets_root);
    memset(job->pool_root, 3, sizeof job->pool_root);
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
    job->site_credentials = true;
    job->directory = true;
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

static void job_with_more_success_codes_than_there_is_room_for_is_refused(void **state)
{
    (void)state;
    struct job job;
    struct job after;
    struct err err = {0};
    struct buf bytes;
    fill_job(&job);
    buf_init(&bytes, 65536);
    assert_int_equal(wire_encode_job(&job, &bytes, NULL), 0);
    buf_u32be(&bytes, 0xba010105); /* Job.success_codes: one more, 5 */
    assert_int_equal(wire_decode_job(bytes.data, bytes.size, &after, &err), -1);
    assert_non_null(strstr(err.text, "success codes: too many"));
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
        cmocka_unit_test(site_with_one_subnet_or_pattern_too_many_is_refused),
        cmocka_unit_test(key_that_is_missing_is_zeroes),
        cmocka_unit_test(encode_kind_out_of_range_is_refused),
        cmocka_unit_test(encode_into_too_small_a_buffer_leaves_it_alone),
        cmocka_unit_test(decode_every_truncation_is_survived),
        cmocka_unit_test(decode_every_mutation_is_survived),
        cmocka_unit_test(decode_amplifying_message_is_refused_within_memory),
        cmocka_unit_test(decode_longer_than_any_message_is_refused),
        cmocka_unit_test(decode_unknown_kind_is_refused_and_unknown_field_skipped),
        cmocka_unit_test(decode_text_with_nul_or_broken_utf8_is_refused),
        cmocka_unit_test(decode_text_as_long_as_its_field_is_refused),
        cmocka_unit_test(decode_more_rows_than_a_message_may_have_is_refused),
        cmocka_unit_test(encode_text_that_nobody_would_accept_is_refused),
        cmocka_unit_test(decode_chunk_beyond_its_limit_is_refused),
        cmocka_unit_test(job_round_trips_and_survives_mutations),
        cmocka_unit_test(job_with_more_success_codes_than_there_is_room_for_is_refused),
        cmocka_unit_test(job_bytes_are_the_same_each_time),
        cmocka_unit_test(credential_round_trips_and_errors_do_not_quote_it),
        cmocka_unit_test(outcome_alone_round_trips_and_unknown_values_are_refused),
        cmocka_unit_test(result_row_without_outcome_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
