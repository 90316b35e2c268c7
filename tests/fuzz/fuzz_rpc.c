/* relay/rpc: the client on the scheduler's pipe, against a server that the fuzzer plays and that
 * knows the session key. Covers rpc_client_done and all below it: bind_ack, bind_nak, faults,
 * responses in fragments, sealed rightly and not, pipes that give pieces or several PDUs at once.
 *
 * Holds: the client never asks for two things at once and ends in a state of its own table; what it
 * hands out as an answer is, byte for byte, what the server sealed; memory stays within its
 * maximum; after a failure, which says why, nothing more is possible. */
#include <string.h>

#include "fuzz.h"
#include "relay/rpc/pdu.h"
#include "relay/rpc/seal.h"

#define STEPS_MAX 200U
#define TOKEN "NTLMSSP of the client"

static const uint8_t session_key[SEAL_KEY_SIZE] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

static struct {
    struct rpc_client *client;
    struct seal seal; /* the server's */
    unsigned turns;   /* of the mechanism */
    uint32_t flags;   /* that it negotiated */
    uint32_t call_id; /* of the last PDU from the client */
    struct buf pipe;  /* what the server said and nobody read yet */
    struct buf stub;  /* of this call, as the server sealed it */
    bool fault;       /* the server said so */
} world;

static int auth_step(void *context, const uint8_t *token, size_t token_size, struct buf *token_out,
                     struct err *err)
{
    (void)context;
    FUZZ_CHECK((world.turns == 0) == (token_size == 0));
    if (world.turns++ > 0 && token[0] == 'X')
        return err_set(err, ERR_PROTOCOL, "a bad challenge");
    buf_text(token_out, TOKEN);
    return 0;
}

static int auth_key(void *context, uint8_t key[RPC_SESSION_KEY_SIZE], uint32_t *flags,
                    struct err *err)
{
    (void)context;
    (void)err;
    memcpy(key, session_key, RPC_SESSION_KEY_SIZE);
    *flags = world.flags;
    return 0;
}

/* ---- the server ---- */

static void put_header(struct buf *out, uint8_t type, uint8_t flags, size_t auth_size)
{
    buf_u8(out, 5);
    buf_u8(out, 0);
    buf_u8(out, type);
    buf_u8(out, flags);
    buf_u32le(out, 0x10);
    buf_u16le(out, 0);
    buf_u16le(out, (uint16_t)auth_size);
    buf_u32le(out, world.call_id);
}

static void put_trailer(struct buf *out, uint8_t pad)
{
    buf_zero(out, pad);
    buf_u8(out, 10);
    buf_u8(out, 6);
    buf_u8(out, pad);
    buf_zero(out, 5);
}

static void put_bind_ack(struct buf *out, uint16_t frag_size, uint8_t refused)
{
    static const uint8_t ndr32[] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                    0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0};
    put_header(out, PDU_BIND_ACK, PFC_FIRST_FRAG | PFC_LAST_FRAG, strlen(TOKEN));
    buf_u16le(out, 4280);
    buf_u16le(out, frag_size);
    buf_u32le(out, 0x1234);
    buf_u16le(out, 13);
    buf_bytes(out, "\\PIPE\\atsvcX", 13);
    buf_align(out, 0, 4);
    buf_u32le(out, 1);
    buf_u16le(out, refused);
    buf_u16le(out, 0);
    buf_bytes(out, ndr32, sizeof ndr32);
    put_trailer(out, 0);
    buf_text(out, refused == 7 ? "X" : TOKEN);
}

/* The part of a fault or bind_nak behind the header. */
static void put_refusal(struct buf *out, uint8_t type, uint8_t flags, uint32_t status)
{
    put_header(out, type, flags, 0);
    if (type == PDU_FAULT)
        buf_zero(out, 8);
    buf_u32le(out, status);
}

/* Changes up to three bytes of what is there; `at_min`: none before it. */
static void spoil(struct cursor *c, struct buf *pdu, uint8_t count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t at = cursor_u8(c);
        if (at < pdu->size)
            pdu->data[at] = cursor_u8(c);
    }
}

/* A fragment, spoilt before it is sealed (then the client believes it) or after (then it must
 * not). What is sealed rightly is remembered. */
static void put_response(struct cursor *c, struct buf *out)
{
    uint8_t data[256];
    uint8_t how = cursor_u8(c);
    uint8_t size = cursor_u8(c);
    uint8_t flags = (uint8_t)(how & (PFC_FIRST_FRAG | PFC_LAST_FRAG));
    uint8_t pad = (uint8_t)((16 - size % 16) % 16);
    memset(data, how, sizeof data);
    cursor_copy(c, data, size < cursor_left(c) ? size : cursor_left(c));
    put_header(out, PDU_RESPONSE, flags, SEAL_SIGNATURE_SIZE);
    buf_u32le(out, size);
    buf_u32le(out, 0);
    buf_bytes(out, data, size);
    put_trailer(out, pad);
    buf_patch_u16le(out, 8, (uint16_t)(out->size + SEAL_SIGNATURE_SIZE));
    if ((how & 0x10) != 0)
        spoil(c, out, 1 + how % 3);
    /* What stands there now is what the client shall read: less or more of it when the padding's
     * size was spoilt. */
    size_t body = (size_t)size + pad;
    uint8_t padding = out->data[PDU_REQUEST_SIZE + body + 2];
    if (padding <= body)
        buf_bytes(&world.stub, out->data + PDU_REQUEST_SIZE, body - padding);
    uint8_t signature[SEAL_SIGNATURE_SIZE];
    seal_fragment(&world.seal, out->data, out->size, PDU_REQUEST_SIZE, body, signature);
    buf_bytes(out, signature, sizeof signature);
    if ((how & 0x20) != 0)
        spoil(c, out, 1 + how % 3);
}

static void say(struct cursor *c)
{
    struct buf pdu;
    uint8_t what = cursor_u8(c);
    bool whole = false;
    buf_init(&pdu, PDU_SIZE_MAX);
    switch (what % 8) {
    case 0:
        put_bind_ack(&pdu, (what & 8) != 0 ? cursor_u16le(c) : 4280, 0);
        break;
    case 1:
        put_bind_ack(&pdu, 4280, cursor_u8(c));
        break;
    case 2:
        put_refusal(&pdu, PDU_FAULT, (uint8_t)(3 | (what & PFC_DID_NOT_EXECUTE)), cursor_u32le(c));
        world.fault = true;
        break;
    case 3:
        put_refusal(&pdu, PDU_BIND_NAK, 3, cursor_u32le(c));
        break;
    case 4: { /* any bytes */
        size_t size = cursor_u8(c) < cursor_left(c) ? cursor_u8(c) : cursor_left(c);
        size = size < cursor_left(c) ? size : cursor_left(c);
        buf_bytes(&pdu, cursor_bytes(c, size), size);
        whole = true;
        break;
    }
    default:
        put_response(c, &pdu);
        whole = true;
        break;
    }
    if (!whole)
        buf_patch_u16le(&pdu, 8, (uint16_t)pdu.size);
    if (!whole && (what & 0x40) != 0)
        spoil(c, &pdu, 1 + what % 3);
    buf_bytes(&world.pipe, pdu.data, pdu.size);
    buf_release(&pdu);
}

/* ---- the client ---- */

static void check_action(const struct rpc_action *action)
{
    bool idle = action->io == RPC_IO_NONE;
    bool writes = action->io == RPC_IO_WRITE || action->io == RPC_IO_TRANSCEIVE;
    bool reads = action->io == RPC_IO_READ || action->io == RPC_IO_TRANSCEIVE;
    enum rpc_state state = rpc_client_state(world.client);
    FUZZ_CHECK(idle == (state != RPC_BINDING && state != RPC_CALLING));
    FUZZ_CHECK(writes == (action->size > 0));
    FUZZ_CHECK(reads == (action->read_max > 0) && action->read_max <= PDU_SIZE_MAX);
    if (!writes)
        return;
    struct cursor c = cursor_of(action->bytes, action->size);
    cursor_seek(&c, 8);
    FUZZ_CHECK(cursor_u16le(&c) == action->size); /* frag_length */
    cursor_skip(&c, 2);
    world.call_id = cursor_u32le(&c);
}

static void check_answer(void)
{
    struct rpc_answer answer;
    rpc_client_answer(world.client, &answer);
    if (answer.fault) {
        FUZZ_CHECK(answer.stub_size == 0 && rpc_fault_name(answer.status)[0] != '\0');
        return;
    }
    /* The server may have sealed more by now than the client has read. */
    FUZZ_CHECK(answer.stub_size <= world.stub.size && answer.stub_size <= RPC_RESPONSE_SIZE_MAX);
    FUZZ_CHECK(answer.stub_size == 0 ||
               memcmp(answer.stub, world.stub.data, answer.stub_size) == 0);
}

/* The server knows what the client says before it is read. */
static void look(void)
{
    struct rpc_action action;
    rpc_client_next(world.client, &action);
    check_action(&action);
}

/* Does what the client wants, with at most `size` bytes of what the server said. */
static void carry_out(size_t size)
{
    struct rpc_action action;
    struct err err = {0};
    rpc_client_next(world.client, &action);
    check_action(&action);
    if (action.io == RPC_IO_NONE)
        return;
    size = size < world.pipe.size ? size : world.pipe.size;
    size = size < action.read_max ? size : action.read_max;
    int status = action.io == RPC_IO_WRITE
                     ? rpc_client_done(world.client, NULL, 0, &err)
                     : rpc_client_done(world.client, world.pipe.data, size, &err);
    buf_consume(&world.pipe, size);
    FUZZ_CHECK((status != 0) == (rpc_client_state(world.client) == RPC_FAILED));
    if (status != 0)
        fuzz_check_error(&err);
    else if (rpc_client_state(world.client) == RPC_ANSWERED)
        check_answer();
}

static void call(uint8_t opnum, size_t stub_size)
{
    static const uint8_t stub[9000];
    struct err err = {0};
    enum rpc_state state = rpc_client_state(world.client);
    if (state != RPC_READY && state != RPC_ANSWERED)
        return;
    buf_reset(&world.stub);
    buf_reset(&world.pipe);
    if (rpc_client_call(world.client, opnum, stub, stub_size, &err) != 0)
        fuzz_check_error(&err);
    look();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rpc_interface interface = {.uuid = {1}, .version_major = 1};
    struct rpc_auth auth = {NULL, auth_step, auth_key};
    struct cursor c = cursor_of(data, size);
    struct err err = {0};
    memset(&world, 0, sizeof world);
    world.flags = cursor_u8(&c) == 0 ? 0xe2888235 : cursor_u32le(&c);
    buf_init(&world.pipe, 1 << 20);
    buf_init(&world.stub, 1 << 20);
    seal_init(&world.seal, SEAL_SERVER, session_key);
    fuzz_memory_start();
    FUZZ_CHECK(rpc_client_new(&interface, &auth, &world.client, &err) == 0);
    look();
    for (unsigned i = 0; i < STEPS_MAX && cursor_left(&c) > 0; i++) {
        uint8_t step = cursor_u8(&c);
        if (step % 4 == 0)
            carry_out(step < 0x80 ? SIZE_MAX : step % 64U);
        else if (step % 4 == 1)
            call(step, step < 0x80 ? step : 100U * step % 9000);
        else
            say(&c);
    }
    FUZZ_CHECK(fuzz_memory_taken() <= (8U << 20));
    rpc_client_free(world.client);
    buf_release(&world.pipe);
    buf_release(&world.stub);
    return 0;
}
