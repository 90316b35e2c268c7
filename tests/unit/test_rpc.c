/* relay/rpc: the client against a server that is written here from [C706] alone: whole and cut
 * pipes, fragments both ways, faults, refusals, every kind of tampering, hostile bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cursor.h"
#include "relay/rpc/rpc.h"
#include "relay/rpc/seal.h"
#include "tests/unit/hostile.h"

#define NEGOTIATE_TOKEN "NTLMSSP negotiate"
#define CHALLENGE_TOKEN "NTLMSSP challenge of odd length"
#define AUTHENTICATE_TOKEN "NTLMSSP authenticate."
#define SIGNATURE_SIZE 16
#define OPNUM 7

static const struct rpc_interface test_interface = {
    .uuid = {0x49, 0x59, 0xd3, 0x86}, .version_major = 1, .version_minor = 0};
static const uint8_t session_key[SEAL_KEY_SIZE] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

/* The other end of the pipe, and what it is told to do wrong. */
struct server {
    struct seal seal;
    struct buf request; /* stub of the call, as far as it is here */
    unsigned request_fragments;
    uint32_t call_id;          /* of the last PDU */
    uint16_t max_receive_frag; /* said in bind_ack */
    size_t largest_frag;       /* seen */
    unsigned auth_steps;       /* of the client's side */
    uint32_t flags;            /* NegotiateFlags the client's side reports */
    bool auth3_seen;
};

struct pipe {
    struct rpc_client *client;
    struct server server;
    struct err err;
};

static int auth_step(void *context, const uint8_t *token, size_t token_size, struct buf *token_out,
                     struct err *err)
{
    struct server *server = context;
    server->auth_steps++;
    if (server->auth_steps == 1) {
        assert_int_equal(token_size, 0);
        buf_text(token_out, NEGOTIATE_TOKEN);
        return 0;
    }
    assert_int_equal(server->auth_steps, 2);
    if (token_size != strlen(CHALLENGE_TOKEN) || memcmp(token, CHALLENGE_TOKEN, token_size) != 0)
        return err_set(err, ERR_PROTOCOL, "challenge");
    buf_text(token_out, AUTHENTICATE_TOKEN);
    return 0;
}

static int auth_key(void *context, uint8_t key[RPC_SESSION_KEY_SIZE], uint32_t *flags,
                    struct err *err)
{
    (void)err;
    struct server *server = context;
    memcpy(key, session_key, SEAL_KEY_SIZE);
    *flags = server->flags;
    return 0;
}

static int setup(void **state)
{
    struct pipe *p = calloc(1, sizeof *p);
    if (p == NULL)
        return -1;
    p->server.max_receive_frag = 4280;
    p->server.flags = 0xe2888235;
    buf_init(&p->server.request, 1U << 20);
    seal_init(&p->server.seal, SEAL_SERVER, session_key);
    struct rpc_auth auth = {&p->server, auth_step, auth_key};
    if (rpc_client_new(&test_interface, &auth, &p->client, &p->err) != 0)
        return -1;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pipe *p = *state;
    rpc_client_free(p->client);
    buf_release(&p->server.request);
    free(p);
    return 0;
}

static void put_header(struct buf *out, uint8_t type, uint8_t flags, size_t auth_size,
                       uint32_t call_id)
{
    buf_u8(out, 5);
    buf_u8(out, 0);
    buf_u8(out, type);
    buf_u8(out, flags);
    buf_u32le(out, 0x10);
    buf_u16le(out, 0);
    buf_u16le(out, (uint16_t)auth_size);
    buf_u32le(out, call_id);
}

static void put_trailer(struct buf *out, uint8_t pad)
{
    buf_u8(out, 10);
    buf_u8(out, 6);
    buf_u8(out, pad);
    buf_u8(out, 0);
    buf_u32le(out, 0);
}

/* bind_ack with an odd secondary address, so that the padding before the results shows. */
static void put_bind_ack(const struct server *server, struct buf *out, uint16_t result)
{
    static const uint8_t ndr32[] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                    0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0};
    put_header(out, 12, 7, strlen(CHALLENGE_TOKEN), server->call_id);
    buf_u16le(out, 4280);
    buf_u16le(out, server->max_receive_frag);
    buf_u32le(out, 0x1234);
    buf_u16le(out, 13);
    buf_bytes(out, "\\PIPE\\atsvcX", 13);
    buf_align(out, 0, 4);
    buf_u8(out, 1);
    buf_zero(out, 3);
    buf_u16le(out, result);
    buf_u16le(out, result != 0 ? 1 : 0);
    buf_bytes(out, ndr32, sizeof ndr32);
    put_trailer(out, 0);
    buf_text(out, CHALLENGE_TOKEN);
    buf_patch_u16le(out, 8, (uint16_t)out->size);
}

/* A response fragment in the clear; the room for its signature is zero. */
static void put_response_plain(const struct server *server, struct buf *out, uint8_t flags,
                               const uint8_t *stub, size_t size)
{
    size_t start = out->size;
    uint8_t pad = (uint8_t)((16 - size % 16) % 16);
    put_header(out, 2, flags, SIGNATURE_SIZE, server->call_id);
    buf_u32le(out, (uint32_t)size);
    buf_u32le(out, 0);
    buf_bytes(out, stub, size);
    buf_zero(out, pad);
    put_trailer(out, pad);
    buf_zero(out, SIGNATURE_SIZE);
    buf_patch_u16le(out, start + 8, (uint16_t)(out->size - start));
}

static void seal_response(struct server *server, uint8_t *pdu, size_t size)
{
    size_t signed_size = size - SIGNATURE_SIZE;
    seal_fragment(&server->seal, pdu, signed_size, 24, signed_size - 24 - 8, pdu + signed_size);
}

/* One sealed response fragment appended to `out`. */
static void put_response(struct server *server, struct buf *out, uint8_t flags, const uint8_t *stub,
                         size_t size)
{
    size_t start = out->size;
    put_response_plain(server, out, flags, stub, size);
    seal_response(server, out->data + start, out->size - start);
}

static void put_fault(const struct server *server, struct buf *out, uint8_t flags, uint32_t status)
{
    put_header(out, 3, flags, 0, server->call_id);
    buf_zero(out, 8);
    buf_u32le(out, status);
    buf_zero(out, 4);
    buf_patch_u16le(out, 8, (uint16_t)out->size);
}

/* Checks and opens one PDU from the client. */
static void server_take(struct server *server, const uint8_t *bytes, size_t size)
{
    uint8_t pdu[8192];
    assert_in_range(size, 16, sizeof pdu);
    memcpy(pdu, bytes, size);
    struct cursor c = cursor_of(pdu, size);
    assert_int_equal(cursor_u16le(&c), 5);
    uint8_t type = cursor_u8(&c);
    uint8_t flags = cursor_u8(&c);
    assert_int_equal(cursor_u32le(&c), 0x10);
    assert_int_equal(cursor_u16le(&c), size);
    uint16_t auth_size = cursor_u16le(&c);
    server->call_id = cursor_u32le(&c);
    const uint8_t *trailer = pdu + size - auth_size - 8;
    assert_int_equal((trailer - pdu) % 4, 0);
    assert_int_equal(trailer[0], 10);
    assert_int_equal(trailer[1], 6);
    switch (type) {
    case 11:
        assert_int_equal(flags, 7);
        assert_memory_equal(trailer + 8, NEGOTIATE_TOKEN, strlen(NEGOTIATE_TOKEN));
        break;
    case 16:
        assert_int_equal(trailer - pdu, 20);
        assert_memory_equal(trailer + 8, AUTHENTICATE_TOKEN, strlen(AUTHENTICATE_TOKEN));
        server->auth3_seen = true;
        break;
    case 0:
        assert_int_equal(auth_size, SIGNATURE_SIZE);
        assert_int_equal(flags & 1, server->request_fragments == 0);
        cursor_skip(&c, 4);
        assert_int_equal(cursor_u16le(&c), 0);
        assert_int_equal(cursor_u16le(&c), OPNUM);
        size_t sealed = (size_t)(trailer - pdu) - 24;
        assert_int_equal(sealed % 16, 0);
        assert_true(seal_open_fragment(&server->seal, pdu, size - SIGNATURE_SIZE, 24, sealed,
                                       pdu + size - SIGNATURE_SIZE));
        buf_bytes(&server->request, pdu + 24, sealed - trailer[2]);
        server->request_fragments++;
        if (size > server->largest_frag)
            server->largest_frag = size;
        break;
    default:
        fail_msg("pdu type %u", type);
    }
}

/* Takes the writes off the client until it wants bytes; leaves the transceive to be answered. */
static void drain_writes(struct pipe *p)
{
    for (;;) {
        struct rpc_action action;
        rpc_client_next(p->client, &action);
        assert_true(action.io == RPC_IO_WRITE || action.io == RPC_IO_TRANSCEIVE);
        server_take(&p->server, action.bytes, action.size);
        if (action.io == RPC_IO_TRANSCEIVE)
            return;
        assert_int_equal(rpc_client_done(p->client, NULL, 0, &p->err), 0);
    }
}

/* Gives the client the bytes, at most `piece` at a time. 0, or -1 as soon as it refuses. */
static int give(struct pipe *p, const uint8_t *bytes, size_t size, size_t piece)
{
    while (size > 0) {
        struct rpc_action action;
        rpc_client_next(p->client, &action);
        assert_true(action.io == RPC_IO_READ || action.io == RPC_IO_TRANSCEIVE);
        size_t now = size < piece ? size : piece;
        if (rpc_client_done(p->client, bytes, now, &p->err) != 0)
            return -1;
        bytes += now;
        size -= now;
    }
    return 0;
}

static void bind_client(struct pipe *p, size_t piece)
{
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(rpc_client_state(p->client), RPC_BINDING);
    drain_writes(p);
    put_bind_ack(&p->server, &out, 0);
    assert_int_equal(give(p, out.data, out.size, piece), 0);
    struct rpc_action action;
    rpc_client_next(p->client, &action);
    assert_int_equal(action.io, RPC_IO_WRITE);
    server_take(&p->server, action.bytes, action.size);
    assert_int_equal(rpc_client_done(p->client, NULL, 0, &p->err), 0);
    assert_int_equal(rpc_client_state(p->client), RPC_READY);
    assert_true(p->server.auth3_seen);
    buf_release(&out);
}

/* Sends a request of `size` bytes and checks that the server has it. */
static void send_request(struct pipe *p, size_t size)
{
    uint8_t *stub = malloc(size > 0 ? size : 1);
    assert_non_null(stub);
    for (size_t i = 0; i < size; i++)
        stub[i] = (uint8_t)(i * 31 + i / 256);
    buf_reset(&p->server.request);
    p->server.request_fragments = 0;
    assert_int_equal(rpc_client_call(p->client, OPNUM, stub, size, &p->err), 0);
    drain_writes(p);
    assert_int_equal(p->server.request.size, size);
    if (size > 0)
        assert_memory_equal(p->server.request.data, stub, size);
    free(stub);
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 13 + 5);
}

static void assert_answered_with(struct pipe *p, const uint8_t *stub, size_t size)
{
    struct rpc_answer answer;
    assert_int_equal(rpc_client_state(p->client), RPC_ANSWERED);
    rpc_client_answer(p->client, &answer);
    assert_false(answer.fault);
    assert_int_equal(answer.stub_size, size);
    if (size > 0)
        assert_memory_equal(answer.stub, stub, size);
}

static void call_small_is_answered(void **state)
{
    struct pipe *p = *state;
    bind_client(p, 65536);
    for (size_t size = 0; size < 70; size++) {
        struct buf out;
        uint8_t stub[70];
        buf_init(&out, 65536);
        fill(stub, size);
        send_request(p, size);
        assert_int_equal(p->server.request_fragments, 1);
        put_response(&p->server, &out, 3, stub, size);
        assert_int_equal(give(p, out.data, out.size, 65536), 0);
        assert_answered_with(p, stub, size);
        buf_release(&out);
    }
}

static void request_long_is_cut_as_negotiated(void **state)
{
    struct pipe *p = *state;
    p->server.max_receive_frag = 1432;
    bind_client(p, 65536);
    static const size_t sizes[] = {1376, 1377, 1392, 4096, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf out;
        buf_init(&out, 65536);
        send_request(p, sizes[i]);
        assert_int_equal(p->server.request_fragments, (sizes[i] + 1375) / 1376);
        put_response(&p->server, &out, 3, (const uint8_t *)"ok", 2);
        assert_int_equal(give(p, out.data, out.size, 65536), 0);
        buf_release(&out);
    }
    assert_in_range(p->server.largest_frag, 1400, 1432);
}

static void response_in_fragments_and_pieces_is_joined(void **state)
{
    struct pipe *p = *state;
    static const size_t pieces[] = {1, 3, 15, 16, 17, 1000, 4280, 65536};
    uint8_t stub[9000];
    fill(stub, sizeof stub);
    bind_client(p, 1);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct buf out;
        buf_init(&out, 65536);
        send_request(p, 10);
        put_response(&p->server, &out, 1, stub, 4000);
        put_response(&p->server, &out, 0, stub + 4000, 1);
        put_response(&p->server, &out, 0, stub + 4001, 4000);
        put_response(&p->server, &out, 2, stub + 8001, sizeof stub - 8001);
        assert_int_equal(give(p, out.data, out.size, pieces[i]), 0);
        assert_answered_with(p, stub, sizeof stub);
        buf_release(&out);
    }
}

static void response_over_the_limit_is_refused(void **state)
{
    struct pipe *p = *state;
    static uint8_t stub[60000];
    bind_client(p, 65536);
    send_request(p, 0);
    int status = 0;
    for (unsigned i = 0; status == 0 && i < 20; i++) {
        struct buf out;
        buf_init(&out, 65536);
        put_response(&p->server, &out, i == 0 ? 1 : 0, stub, sizeof stub);
        status = give(p, out.data, out.size, 65536);
        buf_release(&out);
    }
    assert_int_equal(status, -1);
    assert_int_equal(p->err.code, ERR_LIMIT);
    assert_int_equal(rpc_client_state(p->client), RPC_FAILED);
}

static void fault_is_an_answer_and_takes_no_sequence(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    struct rpc_answer answer;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 40);
    put_fault(&p->server, &out, 3 | 0x20, 0x1c010002);
    assert_int_equal(give(p, out.data, out.size, 5), 0);
    assert_int_equal(rpc_client_state(p->client), RPC_ANSWERED);
    rpc_client_answer(p->client, &answer);
    assert_true(answer.fault);
    assert_true(answer.did_not_execute);
    assert_int_equal(answer.status, 0x1c010002);
    assert_string_equal(rpc_fault_name(answer.status), "nca_s_op_rng_error");
    assert_string_equal(rpc_fault_name(0x12345678), "rpc fault");
    assert_int_equal(p->server.seal.send.sequence, 0);

    buf_reset(&out);
    send_request(p, 40);
    put_response(&p->server, &out, 3, (const uint8_t *)"after", 5);
    assert_int_equal(give(p, out.data, out.size, 65536), 0);
    assert_answered_with(p, (const uint8_t *)"after", 5);
    buf_release(&out);
}

static void fault_with_verifier_is_the_last_answer(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    struct rpc_answer answer;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    put_header(&out, 3, 3, SIGNATURE_SIZE, p->server.call_id);
    buf_zero(&out, 8);
    buf_u32le(&out, 5);
    buf_zero(&out, 4);
    put_trailer(&out, 0);
    buf_zero(&out, SIGNATURE_SIZE);
    buf_patch_u16le(&out, 8, (uint16_t)out.size);
    assert_int_equal(give(p, out.data, out.size, 65536), 0);
    rpc_client_answer(p->client, &answer);
    assert_int_equal(answer.status, 5);
    assert_int_equal(rpc_client_call(p->client, OPNUM, NULL, 0, &p->err), -1);
    buf_release(&out);
}

static void bind_refused_in_any_way_fails(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    drain_writes(p);
    put_header(&out, 13, 3, 0, p->server.call_id);
    buf_u16le(&out, 4);
    buf_u32le(&out, 0);
    buf_patch_u16le(&out, 8, (uint16_t)out.size);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_DENIED);
    assert_int_equal(p->err.native, 4);
    struct rpc_action action;
    rpc_client_next(p->client, &action);
    assert_int_equal(action.io, RPC_IO_NONE);
    buf_release(&out);
}

static void bind_context_rejected_fails(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    drain_writes(p);
    put_bind_ack(&p->server, &out, 2);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_DENIED);
    assert_int_equal(rpc_client_state(p->client), RPC_FAILED);
    buf_release(&out);
}

static void bind_without_strong_sealing_fails(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    drain_writes(p);
    p->server.flags = 0xc2888235; /* no 128-bit keys */
    put_bind_ack(&p->server, &out, 0);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_DENIED);
    buf_release(&out);
}

/* A bind_ack that is right but for one byte of its trailer. */
static void bind_with_another_protection_is_refused(void **state)
{
    static const struct {
        size_t before_token; /* from the byte to the token; 8: the trailer's first */
        uint8_t value;
        const char *why;
    } cases[] = {
        {8, 9, "auth type 9 level 6 context 0"},  /* SPNEGO */
        {7, 5, "auth type 10 level 5 context 0"}, /* signed only */
        {7, 1, "auth type 10 level 1 context 0"}, /* nothing at all */
        {4, 7, "auth type 10 level 6 context 7"}, /* another context */
        {6, 255, "auth_pad_length 255"},          /* reaches before the body */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        struct pipe *p = *state;
        buf_init(&out, 65536);
        drain_writes(p);
        put_bind_ack(&p->server, &out, 0);
        out.data[out.size - strlen(CHALLENGE_TOKEN) - cases[i].before_token] = cases[i].value;
        assert_int_equal(give(p, out.data, out.size, 65536), -1);
        assert_int_equal(p->err.code, ERR_PROTOCOL);
        assert_non_null(strstr(p->err.text, cases[i].why));
        assert_int_equal(p->server.auth_steps, 1); /* the challenge isn't answered */
        buf_release(&out);
    }
}

static void bind_with_tiny_fragments_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    drain_writes(p);
    p->server.max_receive_frag = 100;
    put_bind_ack(&p->server, &out, 0);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_non_null(strstr(p->err.text, "max_recv_frag 100"));
    buf_release(&out);
}

/* Refusals that are cut off, of another version or of another kind. */
static void bind_answer_that_is_none_fails(void **state)
{
    static const struct {
        uint8_t type, version, bytes;
        enum err_code code;
    } cases[] = {
        {13, 5, 0, ERR_PROTOCOL}, /* bind_nak without a reason */
        {13, 5, 1, ERR_PROTOCOL},
        {13, 4, 6, ERR_PROTOCOL}, /* connection-oriented RPC has version 5 */
        {3, 5, 16, ERR_DENIED},   /* a fault */
        {3, 5, 3, ERR_PROTOCOL},
        {2, 5, 16, ERR_PROTOCOL}, /* a response to nothing */
        {99, 5, 16, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        struct pipe *p = *state;
        buf_init(&out, 65536);
        drain_writes(p);
        put_header(&out, cases[i].type, 3, 0, p->server.call_id);
        buf_zero(&out, cases[i].bytes);
        out.data[0] = cases[i].version;
        buf_patch_u16le(&out, 8, (uint16_t)out.size);
        assert_int_equal(give(p, out.data, out.size, 65536), -1);
        assert_int_equal(p->err.code, cases[i].code);
        assert_int_equal(rpc_client_state(p->client), RPC_FAILED);
        buf_release(&out);
    }
}

static void response_without_verifier_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    put_header(&out, 2, 3, 0, p->server.call_id);
    buf_zero(&out, 12);
    buf_patch_u16le(&out, 8, (uint16_t)out.size);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_DENIED);
    buf_release(&out);
}

/* Right in all but that it answers the call before. */
static void response_to_an_earlier_call_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    p->server.call_id--;
    put_response(&p->server, &out, 3, (const uint8_t *)"done", 4);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_PROTOCOL);
    buf_release(&out);
}

/* What may be wrong with a response although its MAC is right: offset in the PDU, value. */
struct wrong {
    const char *what;
    size_t at;
    uint8_t value;
};

static void response_with_wrong_header_and_right_mac_is_refused(void **state)
{
    (void)state;
    static const struct wrong wrongs[] = {
        {"version", 0, 4},      {"minor version", 1, 2}, {"type", 2, 14},
        {"flags", 3, 2},        {"data order", 4, 0},    {"length", 8, 24},
        {"auth length", 10, 8}, {"auth length", 11, 9},  {"call id", 12, 77},
        {"context", 20, 1},     {"auth type", 40, 9},    {"auth level", 41, 5},
        {"pad length", 42, 25}, {"pad length", 42, 200}, {"auth context", 44, 1},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        void *fresh = NULL;
        assert_int_equal(setup(&fresh), 0);
        struct pipe *p = fresh;
        struct buf out;
        buf_init(&out, 65536);
        bind_client(p, 65536);
        send_request(p, 4);
        put_response_plain(&p->server, &out, 3, (const uint8_t *)"0123456789abcdef", 16);
        assert_int_not_equal(out.data[wrongs[i].at], wrongs[i].value);
        out.data[wrongs[i].at] = wrongs[i].value;
        seal_response(&p->server, out.data, out.size);
        if (give(p, out.data, out.size, 65536) != -1 || p->err.code == ERR_LIMIT)
            fail_msg("wrong %s was taken", wrongs[i].what);
        /* Found by looking at it, not by the MAC: only a short signature is a matter of denial. */
        if (wrongs[i].at != 10)
            assert_int_equal(p->err.code, ERR_PROTOCOL);
        assert_int_equal(rpc_client_state(p->client), RPC_FAILED);
        buf_release(&out);
        (void)teardown(&fresh);
    }
}

static void response_with_one_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * 64; bit++) {
        void *fresh = NULL;
        assert_int_equal(setup(&fresh), 0);
        struct pipe *p = fresh;
        struct buf out;
        buf_init(&out, 65536);
        bind_client(p, 65536);
        send_request(p, 4);
        put_response(&p->server, &out, 3, (const uint8_t *)"0123456789abcdef", 16);
        assert_int_equal(out.size, 64);
        out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        int status = give(p, out.data, out.size, 65536);
        bool waits = status == 0 && rpc_client_state(p->client) == RPC_CALLING;
        struct rpc_answer answer = {0};
        if (rpc_client_state(p->client) == RPC_ANSWERED)
            rpc_client_answer(p->client, &answer);
        /* A longer frag_length waits for more, a response turned fault is no result. */
        if (status != -1 && !waits && !answer.fault)
            fail_msg("bit %zu of a response may be flipped", bit);
        buf_release(&out);
        (void)teardown(&fresh);
    }
}

static void response_followed_by_more_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    put_response(&p->server, &out, 3, (const uint8_t *)"one", 3);
    put_response(&p->server, &out, 3, (const uint8_t *)"two", 3);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_PROTOCOL);
    buf_release(&out);
}

static void response_followed_by_part_of_more_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    put_response(&p->server, &out, 3, (const uint8_t *)"one", 3);
    buf_u8(&out, 5);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    assert_int_equal(p->err.code, ERR_PROTOCOL);
    buf_release(&out);
}

static void response_fragment_without_data_is_refused(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    buf_init(&out, 65536);
    bind_client(p, 65536);
    send_request(p, 4);
    put_response(&p->server, &out, 1, NULL, 0);
    assert_int_equal(give(p, out.data, out.size, 65536), -1);
    buf_release(&out);
}

static void pipe_that_gives_nothing_is_refused(void **state)
{
    struct pipe *p = *state;
    bind_client(p, 65536);
    send_request(p, 4);
    assert_int_equal(rpc_client_done(p->client, NULL, 0, &p->err), -1);
    assert_int_equal(p->err.code, ERR_PROTOCOL);
}

static void call_over_the_limit_is_refused(void **state)
{
    struct pipe *p = *state;
    bind_client(p, 65536);
    uint8_t *stub = calloc(1, RPC_REQUEST_SIZE_MAX + 1);
    assert_non_null(stub);
    assert_int_equal(rpc_client_call(p->client, OPNUM, stub, RPC_REQUEST_SIZE_MAX + 1, &p->err),
                     -1);
    assert_int_equal(p->err.code, ERR_LIMIT);
    free(stub);
}

/* Hostile bytes in place of the bind_ack, or of the response once bound. */
static void feed(const uint8_t *bytes, size_t size, void *context)
{
    bool bound = *(bool *)context;
    void *fresh = NULL;
    assert_int_equal(setup(&fresh), 0);
    struct pipe *p = fresh;
    if (bound) {
        bind_client(p, 65536);
        send_request(p, 4);
    } else {
        drain_writes(p);
    }
    (void)rpc_client_done(p->client, bytes, size, &p->err);
    (void)teardown(&fresh);
}

static void hostile_bytes_do_no_harm(void **state)
{
    struct pipe *p = *state;
    struct buf out;
    bool bound = false;
    buf_init(&out, 65536);
    p->server.call_id = 1;
    put_bind_ack(&p->server, &out, 0);
    hostile_truncate(out.data, out.size, feed, &bound);
    hostile_mutate(out.data, out.size, 3000, 11, feed, &bound);
    bound = true;
    buf_reset(&out);
    p->server.call_id = 2;
    put_response(&p->server, &out, 1, (const uint8_t *)"0123456789abcdef", 16);
    put_response(&p->server, &out, 2, (const uint8_t *)"0123456789abcdef", 11);
    hostile_truncate(out.data, out.size, feed, &bound);
    hostile_mutate(out.data, out.size, 3000, 12, feed, &bound);
    buf_reset(&out);
    put_fault(&p->server, &out, 3, 5);
    hostile_truncate(out.data, out.size, feed, &bound);
    hostile_mutate(out.data, out.size, 1000, 13, feed, &bound);
    buf_release(&out);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(call_small_is_answered),
        CASE(request_long_is_cut_as_negotiated),
        CASE(response_in_fragments_and_pieces_is_joined),
        CASE(response_over_the_limit_is_refused),
        CASE(fault_is_an_answer_and_takes_no_sequence),
        CASE(fault_with_verifier_is_the_last_answer),
        CASE(bind_refused_in_any_way_fails),
        CASE(bind_context_rejected_fails),
        CASE(bind_without_strong_sealing_fails),
        CASE(bind_with_another_protection_is_refused),
        CASE(bind_with_tiny_fragments_is_refused),
        CASE(bind_answer_that_is_none_fails),
        CASE(response_without_verifier_is_refused),
        CASE(response_to_an_earlier_call_is_refused),
        cmocka_unit_test(response_with_wrong_header_and_right_mac_is_refused),
        cmocka_unit_test(response_with_one_flipped_bit_is_refused),
        CASE(response_followed_by_more_is_refused),
        CASE(response_followed_by_part_of_more_is_refused),
        CASE(response_fragment_without_data_is_refused),
        CASE(pipe_that_gives_nothing_is_refused),
        CASE(call_over_the_limit_is_refused),
        CASE(hostile_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
