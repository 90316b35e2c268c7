/* The client's state machine: bind, calls, reassembly. */
#include "relay/rpc/rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "relay/rpc/pdu.h"
#include "relay/rpc/seal.h"

#define BIND_CALL_ID 1
#define MAX_FRAG_MIN 1432 /* [C706] 12.6.3.1 MustRecvFragSize */
#define TOKEN_SIZE_MAX 32768
/* Received and not yet processed: one PDU that is not whole and what one more read adds. */
#define INPUT_SIZE_MAX (2 * (PDU_SIZE_MAX + 1))

/* Where the client stands. The wanted I/O and the public state follow from it. */
enum phase {
    PHASE_BIND,     /* bind to be sent */
    PHASE_BIND_ACK, /* part of bind_ack is here */
    PHASE_AUTH3,    /* auth3 to be sent */
    PHASE_READY,    /* bound, no call yet */
    PHASE_REQUEST,  /* a request fragment to be sent */
    PHASE_RESPONSE, /* waiting for (more of) the response */
    PHASE_ANSWERED,
    PHASE_FAILED,
};

struct rpc_client {
    enum phase phase;
    struct rpc_auth auth;
    struct seal seal;
    size_t max_send_frag;    /* frag_length the server takes */
    uint32_t call_id;        /* of the call under way */
    uint16_t opnum;          /* of the call under way */
    struct buf out;          /* PDU to be sent */
    struct buf in;           /* received, not processed */
    struct buf request;      /* stub of the call under way */
    size_t request_sent;     /* bytes of it that are in fragments already */
    struct buf response;     /* stub, as far as it is here */
    bool response_begun;     /* its first fragment was seen */
    bool fault;              /* the answer is a fault */
    uint32_t fault_status;   /* its status */
    bool did_not_execute;    /* and its promise */
    bool unusable_afterward; /* the fault had a verifier: the sequence is unknown from here on */
};

static int build_bind(struct rpc_client *client, const struct rpc_interface *interface,
                      struct err *err)
{
    struct buf token;
    buf_init(&token, TOKEN_SIZE_MAX);
    int status = client->auth.step(client->auth.context, NULL, 0, &token, err);
    if (status == 0 && (!buf_ok(&token) || token.size == 0))
        status = err_set(err, ERR_INTERNAL, "no first authentication token for the rpc bind");
    if (status == 0) {
        pdu_build_bind(&client->out, BIND_CALL_ID, interface, token.data, token.size);
        assert(buf_ok(&client->out));
    }
    buf_release(&token);
    return status;
}

int rpc_client_new(const struct rpc_interface *interface, const struct rpc_auth *auth,
                   struct rpc_client **client, struct err *err)
{
    struct rpc_client *c = mem_new(1, sizeof *c);
    c->auth = *auth;
    c->call_id = BIND_CALL_ID;
    c->max_send_frag = RPC_FRAG_SIZE;
    buf_init(&c->out, PDU_SIZE_MAX);
    buf_init(&c->in, INPUT_SIZE_MAX);
    buf_init(&c->request, RPC_REQUEST_SIZE_MAX);
    buf_init(&c->response, RPC_RESPONSE_SIZE_MAX);
    if (build_bind(c, interface, err) != 0) {
        rpc_client_free(c);
        return -1;
    }
    *client = c;
    return 0;
}

void rpc_client_free(struct rpc_client *client)
{
    if (client == NULL)
        return;
    seal_wipe(&client->seal);
    buf_release(&client->out);
    buf_release(&client->in);
    buf_release(&client->request);
    buf_release(&client->response);
    free(client);
}

enum rpc_state rpc_client_state(const struct rpc_client *client)
{
    switch (client->phase) {
    case PHASE_BIND:
    case PHASE_BIND_ACK:
    case PHASE_AUTH3:
        return RPC_BINDING;
    case PHASE_READY:
        return RPC_READY;
    case PHASE_REQUEST:
    case PHASE_RESPONSE:
        return RPC_CALLING;
    case PHASE_ANSWERED:
        return RPC_ANSWERED;
    case PHASE_FAILED:
        break;
    }
    return RPC_FAILED;
}

/* What to ask the pipe for: the rest of a PDU that is longer than usual, else the usual. */
static size_t wanted_bytes(const struct rpc_client *client)
{
    size_t frag_length = 0;
    (void)pdu_peek(client->in.data, client->in.size, &frag_length, NULL);
    size_t missing = frag_length > client->in.size ? frag_length - client->in.size : 0;
    return missing > RPC_FRAG_SIZE ? missing : RPC_FRAG_SIZE;
}

void rpc_client_next(const struct rpc_client *client, struct rpc_action *action)
{
    bool last_fragment = client->request_sent == client->request.size;
    struct rpc_action next = {.io = RPC_IO_NONE};
    switch (client->phase) {
    case PHASE_BIND:
        next.io = RPC_IO_TRANSCEIVE;
        break;
    case PHASE_AUTH3:
        next.io = RPC_IO_WRITE;
        break;
    case PHASE_REQUEST:
        next.io = last_fragment ? RPC_IO_TRANSCEIVE : RPC_IO_WRITE;
        break;
    case PHASE_BIND_ACK:
    case PHASE_RESPONSE:
        next.io = RPC_IO_READ;
        break;
    case PHASE_READY:
    case PHASE_ANSWERED:
    case PHASE_FAILED:
        break;
    }
    if (next.io == RPC_IO_WRITE || next.io == RPC_IO_TRANSCEIVE) {
        next.bytes = client->out.data;
        next.size = client->out.size;
    }
    if (next.io == RPC_IO_READ || next.io == RPC_IO_TRANSCEIVE)
        next.read_max = wanted_bytes(client);
    *action = next;
}

/* Puts the next fragment of the request into `out`, sealed. */
static void build_fragment(struct rpc_client *client)
{
    size_t room = client->max_send_frag - PDU_REQUEST_SIZE - PDU_TRAILER_SIZE - SEAL_SIGNATURE_SIZE;
    room -= room % PDU_STUB_ALIGNMENT;
    size_t left = client->request.size - client->request_sent;
    size_t size = left < room ? left : room;
    uint8_t flags = client->request_sent == 0 ? PFC_FIRST_FRAG : 0;
    if (size == left)
        flags |= PFC_LAST_FRAG;
    const uint8_t *stub = size > 0 ? client->request.data + client->request_sent : NULL;

    buf_reset(&client->out);
    pdu_build_request(&client->out, client->call_id, client->opnum, flags, (uint32_t)left, stub,
                      size, SEAL_SIGNATURE_SIZE);
    assert(buf_ok(&client->out));
    size_t signed_size = client->out.size - SEAL_SIGNATURE_SIZE;
    size_t sealed_size = signed_size - PDU_TRAILER_SIZE - PDU_REQUEST_SIZE;
    seal_fragment(&client->seal, client->out.data, signed_size, PDU_REQUEST_SIZE, sealed_size,
                  client->out.data + signed_size);
    client->request_sent += size;
}

int rpc_client_call(struct rpc_client *client, uint16_t opnum, const uint8_t *stub,
                    size_t stub_size, struct err *err)
{
    assert(client->phase == PHASE_READY || client->phase == PHASE_ANSWERED);
    if (client->unusable_afterward)
        return err_set(err, ERR_PROTOCOL, "rpc connection is spent after a fault with a verifier");
    if (stub_size > RPC_REQUEST_SIZE_MAX)
        return err_set(err, ERR_LIMIT, "rpc request of %zu bytes", stub_size);
    buf_reset(&client->request);
    buf_bytes(&client->request, stub, stub_size);
    buf_reset(&client->response);
    client->request_sent = 0;
    client->response_begun = false;
    client->fault = false;
    client->did_not_execute = false;
    client->opnum = opnum;
    client->call_id++;
    client->phase = PHASE_REQUEST;
    build_fragment(client);
    return 0;
}

void rpc_client_answer(const struct rpc_client *client, struct rpc_answer *answer)
{
    assert(client->phase == PHASE_ANSWERED);
    *answer = (struct rpc_answer){
        .fault = client->fault,
        .status = client->fault ? client->fault_status : 0,
        .did_not_execute = client->did_not_execute,
        .stub = client->response.data,
        .stub_size = client->response.size,
    };
}

/* bind_ack accepted: second turn of the exchange, keys, auth3. */
static int finish_auth(struct rpc_client *client, const struct pdu *pdu, struct err *err)
{
    if (pdu->token_size == 0)
        return err_set(err, ERR_DENIED, "the server answered the rpc bind without authentication");
    struct buf token;
    buf_init(&token, TOKEN_SIZE_MAX);
    uint8_t key[RPC_SESSION_KEY_SIZE] = {0};
    uint32_t flags = 0;
    int status = client->auth.step(client->auth.context, pdu->token, pdu->token_size, &token, err);
    if (status == 0)
        status = client->auth.session_key(client->auth.context, key, &flags, err);
    if (status == 0 && (!buf_ok(&token) || token.size == 0))
        status = err_set(err, ERR_INTERNAL, "no second authentication token for the rpc bind");
    if (status == 0 && (flags & SEAL_FLAGS_REQUIRED) != SEAL_FLAGS_REQUIRED)
        status = err_set(err, ERR_DENIED, "the server negotiated weak ntlm sealing (flags 0x%08x)",
                         flags);
    if (status == 0) {
        seal_init(&client->seal, SEAL_CLIENT, key);
        buf_reset(&client->out);
        pdu_build_auth3(&client->out, BIND_CALL_ID, token.data, token.size);
        assert(buf_ok(&client->out));
        client->phase = PHASE_AUTH3;
    }
    explicit_bzero(key, sizeof key);
    buf_release(&token);
    return status;
}

static int take_bind_ack(struct rpc_client *client, const struct pdu *pdu, struct err *err)
{
    struct pdu_bind_ack ack;
    if (pdu_read_bind_ack(pdu, &ack, err) != 0)
        return -1;
    if (ack.result != 0)
        return err_set_native(err, ERR_DENIED, ack.reason,
                              "the server refuses the rpc interface (result %u, reason %u)",
                              ack.result, ack.reason);
    if (ack.max_receive_frag < MAX_FRAG_MIN)
        return err_set(err, ERR_PROTOCOL, "rpc max_recv_frag %u", ack.max_receive_frag);
    if (ack.max_receive_frag < client->max_send_frag)
        client->max_send_frag = ack.max_receive_frag;
    return finish_auth(client, pdu, err);
}

static int take_bind_answer(struct rpc_client *client, const struct pdu *pdu, struct err *err)
{
    struct pdu_fault fault;
    uint16_t reason = 0;
    switch (pdu->header.type) {
    case PDU_BIND_ACK:
        return take_bind_ack(client, pdu, err);
    case PDU_BIND_NAK:
        if (pdu_read_bind_nak(pdu, &reason, err) != 0)
            return -1;
        return err_set_native(err, ERR_DENIED, reason,
                              "the server refuses the rpc bind (reason %u)", reason);
    case PDU_FAULT:
        if (pdu_read_fault(pdu, &fault, err) != 0)
            return -1;
        return err_set_native(err, ERR_DENIED, fault.status,
                              "the server answers the rpc bind with %s (0x%08x)",
                              rpc_fault_name(fault.status), fault.status);
    default:
        return err_set(err, ERR_PROTOCOL, "rpc pdu type %u in answer to bind", pdu->header.type);
    }
}

static int take_fault(struct rpc_client *client, const struct pdu *pdu, struct err *err)
{
    struct pdu_fault fault;
    if (pdu_read_fault(pdu, &fault, err) != 0)
        return -1;
    client->fault = true;
    client->fault_status = fault.status;
    client->did_not_execute = (pdu->header.flags & PFC_DID_NOT_EXECUTE) != 0;
    /* Faults have no verifier and take no sequence number. One that has is believed, since the
     * worst it can say is no, but where the RC4 state stands after it is anybody's guess. */
    client->unusable_afterward = pdu->token_size > 0;
    buf_reset(&client->response);
    client->phase = PHASE_ANSWERED;
    return 0;
}

/* Opens one response fragment, which lies at the start of client->in, and adds its stub. */
static int take_response(struct rpc_client *client, const struct pdu *pdu, struct err *err)
{
    size_t stub_at = 0;
    size_t stub_size = 0;
    if (pdu_read_response(pdu, &stub_at, &stub_size, err) != 0)
        return -1;
    if (pdu->token_size != SEAL_SIGNATURE_SIZE)
        return err_set(err, ERR_DENIED, "rpc response with a signature of %zu bytes",
                       pdu->token_size);
    bool first = (pdu->header.flags & PFC_FIRST_FRAG) != 0;
    bool last = (pdu->header.flags & PFC_LAST_FRAG) != 0;
    if (first == client->response_begun)
        return err_set(err, ERR_PROTOCOL, "rpc response fragments out of order");
    if (stub_size == 0 && !last)
        return err_set(err, ERR_PROTOCOL, "rpc response fragment without data");
    uint8_t *bytes = client->in.data;
    size_t signed_size = (size_t)pdu->header.frag_length - SEAL_SIGNATURE_SIZE;
    if (!seal_open_fragment(&client->seal, bytes, signed_size, stub_at, stub_size + pdu->pad_length,
                            pdu->token))
        return err_set(err, ERR_DENIED, "rpc response with a wrong signature");
    client->response_begun = true;
    buf_bytes(&client->response, bytes + stub_at, stub_size);
    if (!buf_ok(&client->response))
        return err_set(err, ERR_LIMIT, "rpc response of more than %u bytes", RPC_RESPONSE_SIZE_MAX);
    client->phase = last ? PHASE_ANSWERED : PHASE_RESPONSE;
    return 0;
}

/* One whole PDU at the start of client->in. */
static int take_pdu(struct rpc_client *client, size_t frag_length, struct err *err)
{
    struct pdu pdu;
    if (pdu_read(client->in.data, frag_length, &pdu, err) != 0)
        return -1;
    if (pdu.header.call_id != client->call_id)
        return err_set(err, ERR_PROTOCOL, "rpc answer to call %u, not %u", pdu.header.call_id,
                       client->call_id);
    if (client->phase == PHASE_BIND_ACK)
        return take_bind_answer(client, &pdu, err);
    if (client->phase != PHASE_RESPONSE)
        return err_set(err, ERR_PROTOCOL, "rpc pdu type %u that nobody asked for", pdu.header.type);
    switch (pdu.header.type) {
    case PDU_RESPONSE:
        return take_response(client, &pdu, err);
    case PDU_FAULT:
        return take_fault(client, &pdu, err);
    default:
        return err_set(err, ERR_PROTOCOL, "rpc pdu type %u in answer to a request",
                       pdu.header.type);
    }
}

static int take_bytes(struct rpc_client *client, const uint8_t *received, size_t size,
                      struct err *err)
{
    if (size == 0)
        return err_set(err, ERR_PROTOCOL, "the rpc pipe gave no bytes");
    buf_bytes(&client->in, received, size);
    if (!buf_ok(&client->in))
        return err_set(err, ERR_LIMIT, "the rpc pipe gave too many bytes at once");
    for (;;) {
        size_t frag_length = 0;
        if (pdu_peek(client->in.data, client->in.size, &frag_length, err) != 0)
            return -1;
        if (frag_length == 0 || frag_length > client->in.size)
            break;
        if (take_pdu(client, frag_length, err) != 0)
            return -1;
        buf_consume(&client->in, frag_length);
    }
    bool waiting = client->phase == PHASE_BIND_ACK || client->phase == PHASE_RESPONSE;
    if (!waiting && client->in.size > 0)
        return err_set(err, ERR_PROTOCOL, "%zu rpc bytes that nobody asked for", client->in.size);
    return 0;
}

int rpc_client_done(struct rpc_client *client, const uint8_t *received, size_t size,
                    struct err *err)
{
    struct rpc_action action;
    rpc_client_next(client, &action);
    assert(action.io != RPC_IO_NONE);
    if (action.io == RPC_IO_WRITE) {
        assert(size == 0);
        if (client->phase == PHASE_AUTH3)
            client->phase = PHASE_READY;
        else
            build_fragment(client);
        return 0;
    }
    if (client->phase == PHASE_BIND)
        client->phase = PHASE_BIND_ACK;
    if (client->phase == PHASE_REQUEST)
        client->phase = PHASE_RESPONSE;
    if (take_bytes(client, received, size, err) == 0)
        return 0;
    client->phase = PHASE_FAILED;
    seal_wipe(&client->seal);
    return -1;
}
