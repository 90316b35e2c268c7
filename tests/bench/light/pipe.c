/* The Task Scheduler's pipe: bind with NTLM, sealed calls, answers that let a push succeed. */
#include <string.h>

#include "relay/rpc/ndr.h"
#include "relay/rpc/pdu.h"
#include "relay/sd/sd.h"
#include "relay/tsch/tsch.h"
#include "tests/bench/light/light.h"

#define STUB_SIZE_MAX (1U << 20)
#define FRAGMENT_SIZE 4280U
#define STUB_FRAGMENT 4000U  /* of a stub in one fragment; a multiple of PDU_STUB_ALIGNMENT */
#define AUTH_TYPE_NTLM 0x0aU /* [MS-RPCE] 2.2.1.1.7 */
#define LEVEL_PRIVACY 0x06U  /* 2.2.1.1.8 */
#define OP_RANGE 0x1c010002U /* [C706] appendix E nca_s_op_rng_error */
#define E_EXISTS 0x800700B7U /* HRESULT of ERROR_ALREADY_EXISTS */
#define E_NOT_FOUND 0x80070002U
#define FOLDER_SDDL "O:BAG:SY" SD_SDDL_TASKS

/* NDR 32, [C706] 14 */
static const uint8_t ndr32[20] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                  0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 0x02, 0x00, 0x00, 0x00};

void light_pipe_init(struct light_pipe *pipe, struct light_site *site, const char *computer,
                     struct hostile *hostile)
{
    memset(pipe, 0, sizeof *pipe);
    pipe->site = site;
    pipe->computer = computer;
    pipe->hostile = hostile;
    light_logon_init(&pipe->logon);
    pipe->logon.hostile = hostile;
    pipe->logon.place = HOSTILE_PLACE_BIND;
    buf_init(&pipe->request, STUB_SIZE_MAX);
    buf_init(&pipe->answer, hostile != NULL ? 4 * STUB_SIZE_MAX : PDU_SIZE_MAX);
}

void light_pipe_release(struct light_pipe *pipe)
{
    light_logon_release(&pipe->logon);
    buf_release(&pipe->request);
    buf_release(&pipe->answer);
}

static void put_header(struct buf *out, enum pdu_type type, uint8_t flags, uint32_t call_id,
                       size_t token_size)
{
    buf_u16le(out, 5); /* rpc_vers, rpc_vers_minor */
    buf_u8(out, (uint8_t)type);
    buf_u8(out, flags);
    buf_u32le(out, 0x10); /* little-endian */
    buf_u16le(out, 0);    /* frag_length */
    buf_u16le(out, (uint16_t)token_size);
    buf_u32le(out, call_id);
}

static void put_trailer(struct buf *out, size_t pad)
{
    buf_u8(out, AUTH_TYPE_NTLM);
    buf_u8(out, LEVEL_PRIVACY);
    buf_u8(out, (uint8_t)pad);
    buf_zero(out, 1 + 4); /* auth_reserved, auth_context_id */
}

static void finish(struct buf *out, size_t at)
{
    buf_patch_u16le(out, at + 8, (uint16_t)(out->size - at));
}

static int bind(struct light_pipe *pipe, const struct pdu *pdu)
{
    static const char address[] = "\\PIPE\\atsvc";
    struct buf *out = &pipe->answer;
    struct buf token;
    buf_init(&token, PDU_SIZE_MAX);
    int status =
        light_logon_challenge(&pipe->logon, pipe->computer, pdu->token, pdu->token_size, &token);
    if (status == 0) {
        put_header(out, PDU_BIND_ACK, PFC_FIRST_FRAG | PFC_LAST_FRAG | PFC_SUPPORT_HEADER_SIGN,
                   pdu->header.call_id, token.size);
        buf_u16le(out, FRAGMENT_SIZE); /* max_xmit_frag */
        buf_u16le(out, FRAGMENT_SIZE); /* max_recv_frag */
        buf_u32le(out, 1);             /* assoc_group_id */
        buf_u16le(out, sizeof address);
        buf_bytes(out, address, sizeof address);
        buf_align(out, 0, 4);
        buf_u32le(out, 1);    /* n_results, reserved */
        buf_zero(out, 2 + 2); /* accepted, no reason */
        buf_bytes(out, ndr32, sizeof ndr32);
        put_trailer(out, 0);
        buf_bytes(out, token.data, token.size);
        finish(out, 0);
        (void)hostile_hit(pipe->hostile, HOSTILE_PDU, HOSTILE_PLACE_BIND, out, 0);
    }
    buf_release(&token);
    return status;
}

static int authenticate(struct light_pipe *pipe, const struct pdu *pdu)
{
    uint8_t key[LIGHT_KEY_SIZE];
    if (light_logon_authenticate(&pipe->logon, pipe->site, pdu->token, pdu->token_size, key) != 0)
        return -1;
    seal_init(&pipe->seal, SEAL_SERVER, key);
    pipe->bound = true;
    return 0;
}

static bool hostile_task(struct hostile *hostile, struct cursor *request, struct buf *stub)
{
    bool known = light_machine_call(hostile->machine, TSCH_REGISTER_TASK, request, stub);
    hostile_note(hostile, "\"task\": \"%s\"", cursor_ok(request) ? "registered" : "malformed");
    return known;
}

/* The stub of an answer; false: a call that is not known here. */
static bool call(struct light_pipe *pipe, uint16_t opnum, struct buf *stub)
{
    struct ndr_out ndr = ndr_out_of(stub);
    struct cursor in = cursor_of(pipe->request.data, pipe->request.size);
    const uint8_t *path = NULL;
    size_t path_size = 0;
    switch (opnum) {
    case TSCH_HIGHEST_VERSION:
        ndr_put_u32(&ndr, 0x00010004);
        break;
    case TSCH_CREATE_FOLDER:
        if (pipe->site->folder_exists) {
            ndr_put_u32(&ndr, E_EXISTS);
            return true;
        }
        break;
    case TSCH_GET_SECURITY:
        if (!pipe->site->folder_exists) {
            ndr_put_u32(&ndr, 0);
            ndr_put_u32(&ndr, E_NOT_FOUND);
            return true;
        }
        ndr_put_unique_string(&ndr, FOLDER_SDDL);
        break;
    case TSCH_REGISTER_TASK:
        pipe->site->counts.tasks++;
        if (pipe->hostile != NULL)
            return hostile_task(pipe->hostile, &in, stub);
        if (!ndr_get_pointer(&in))
            return false;
        ndr_get_string(&in, &path, &path_size);
        if (!cursor_ok(&in) || path_size == 0)
            return false;
        ndr_put_u32(&ndr, 0x00020000); /* pActualPath */
        ndr_put_string_utf16(&ndr, path, path_size);
        ndr_put_u32(&ndr, 0); /* pErrorInfo */
        break;
    case TSCH_RETRIEVE_TASK:
        if (pipe->hostile != NULL)
            return light_machine_call(pipe->hostile->machine, opnum, &in, stub);
        ndr_put_u32(&ndr, 0); /* pXml */
        ndr_put_u32(&ndr, E_NOT_FOUND);
        return true;
    default:
        return pipe->hostile != NULL &&
               light_machine_call(pipe->hostile->machine, opnum, &in, stub);
    }
    ndr_put_u32(&ndr, 0); /* S_OK */
    return true;
}

static void put_fault(struct light_pipe *pipe, uint32_t call_id)
{
    struct buf *out = &pipe->answer;
    const struct hostile_answer *wrong = pipe->hostile != NULL ? &pipe->hostile->pdu : NULL;
    bool odd = wrong != NULL && wrong->fault;
    put_header(out, PDU_FAULT,
               PFC_FIRST_FRAG | PFC_LAST_FRAG |
                   (odd && !wrong->fault_clean ? 0 : PFC_DID_NOT_EXECUTE),
               call_id, 0);
    buf_zero(out, 4 + 2 + 2); /* alloc_hint, p_cont_id, cancel_count, reserved */
    buf_u32le(out, odd ? wrong->fault_status : OP_RANGE);
    buf_u32le(out, 0);
    finish(out, 0);
}

static void put_fragment(struct light_pipe *pipe, uint32_t call_id, uint8_t flags,
                         const uint8_t *stub, size_t size)
{
    struct buf *out = &pipe->answer;
    size_t at = out->size;
    size_t pad = (PDU_STUB_ALIGNMENT - size % PDU_STUB_ALIGNMENT) % PDU_STUB_ALIGNMENT;
    put_header(out, PDU_RESPONSE, flags, call_id, SEAL_SIGNATURE_SIZE);
    buf_u32le(out, (uint32_t)size); /* alloc_hint */
    buf_zero(out, 2 + 2);           /* p_cont_id, cancel_count, reserved */
    buf_bytes(out, stub, size);
    buf_zero(out, pad);
    put_trailer(out, pad);
    buf_zero(out, SEAL_SIGNATURE_SIZE);
    if (!buf_ok(out))
        return;
    finish(out, at);
    size_t signed_size = out->size - at - SEAL_SIGNATURE_SIZE;
    seal_fragment(&pipe->seal, out->data + at, signed_size, PDU_REQUEST_SIZE, size + pad,
                  out->data + at + signed_size);
}

static void put_response(struct light_pipe *pipe, uint16_t opnum, uint32_t call_id,
                         const struct buf *stub)
{
    const struct hostile_answer *wrong = pipe->hostile != NULL ? &pipe->hostile->pdu : NULL;
    size_t at = 0;
    if (wrong != NULL)
        call_id += wrong->call_added;
    do {
        size_t begin = pipe->answer.size;
        size_t size = stub->size - at < STUB_FRAGMENT ? stub->size - at : STUB_FRAGMENT;
        bool last = at + size == stub->size && (wrong == NULL || !wrong->endless);
        uint8_t flags = (at == 0 ? PFC_FIRST_FRAG : 0) | (last ? PFC_LAST_FRAG : 0);
        if (wrong != NULL && wrong->flags >= 0)
            flags = (uint8_t)wrong->flags;
        put_fragment(pipe, call_id, flags, stub->data + at, size);
        (void)hostile_hit(pipe->hostile, HOSTILE_PDU, HOSTILE_PLACE_CALL + opnum, &pipe->answer,
                          begin);
        at += size;
    } while (at < stub->size);
    pipe->endless = wrong != NULL && wrong->endless ? call_id : 0;
}

void light_pipe_more(struct light_pipe *pipe)
{
    static const uint8_t more[1024];
    if (pipe->endless != 0 && pipe->answer.size == 0)
        put_fragment(pipe, pipe->endless, 0, more, sizeof more);
}

static int request(struct light_pipe *pipe, uint8_t *bytes, const struct pdu *pdu)
{
    struct cursor body = cursor_of(pdu->body, pdu->body_size);
    cursor_skip(&body, 4 + 2); /* alloc_hint, p_cont_id */
    uint16_t opnum = cursor_u16le(&body);
    if (!pipe->bound || !cursor_ok(&body) || pdu->token_size != SEAL_SIGNATURE_SIZE)
        return -1;
    size_t stub_size = pdu->body_size - body.at;
    if (!seal_open_fragment(&pipe->seal, bytes, pdu->header.frag_length - SEAL_SIGNATURE_SIZE,
                            PDU_REQUEST_SIZE, stub_size + pdu->pad_length, pdu->token))
        return -1;
    if ((pdu->header.flags & PFC_FIRST_FRAG) != 0)
        buf_reset(&pipe->request);
    buf_bytes(&pipe->request, bytes + PDU_REQUEST_SIZE, stub_size);
    if ((pdu->header.flags & PFC_LAST_FRAG) == 0)
        return buf_ok(&pipe->request) ? 0 : -1;
    struct buf stub;
    buf_init(&stub, pipe->hostile != NULL ? 2 * STUB_SIZE_MAX : FRAGMENT_SIZE / 2);
    hostile_answer_begin(pipe->hostile);
    buf_reset(&pipe->answer); /* what of the last one was left */
    bool known = call(pipe, opnum, &stub) && buf_ok(&stub);
    if (known)
        (void)hostile_hit(pipe->hostile, HOSTILE_STUB, HOSTILE_PLACE_CALL + opnum, &stub, 0);
    if (known && (pipe->hostile == NULL || !pipe->hostile->pdu.fault))
        put_response(pipe, opnum, pdu->header.call_id, &stub);
    else
        put_fault(pipe, pdu->header.call_id);
    buf_release(&stub);
    return 0;
}

int light_pipe_write(struct light_pipe *pipe, uint8_t *bytes, size_t size)
{
    struct pdu pdu;
    struct err err;
    if (pdu_read(bytes, size, &pdu, &err) != 0)
        return -1;
    switch (pdu.header.type) {
    case PDU_BIND:
        return bind(pipe, &pdu);
    case PDU_AUTH3:
        return authenticate(pipe, &pdu);
    case PDU_REQUEST:
        return request(pipe, bytes, &pdu);
    default:
        return -1;
    }
}
