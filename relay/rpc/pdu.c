/* Connection-oriented RPC PDUs. */
#include "relay/rpc/pdu.h"

#include "common/base/cursor.h"

#define RPC_VERSION 5           /* [C706] 12.6.3.1 rpc_vers */
#define DREP_LITTLE_ENDIAN 0x10 /* [C706] 14.1: little-endian integers, ASCII, IEEE floats */
#define CONTEXT_ID 0            /* p_cont_id of the only context we offer */
#define AUTH_TYPE_WINNT 0x0a    /* [MS-RPCE] 2.2.1.1.7 RPC_C_AUTHN_WINNT */
#define AUTH_LEVEL_PRIVACY 0x06 /* [MS-RPCE] 2.2.1.1.8 RPC_C_AUTHN_LEVEL_PKT_PRIVACY */
#define AUTH_CONTEXT_ID 0       /* auth_context_id in every sec_trailer */
#define FRAG_LENGTH_AT 8        /* offset of frag_length in the common header */
#define RESPONSE_FIXED_SIZE 8   /* alloc_hint, p_cont_id, cancel_count, reserved */

/* 8a885d04-1ceb-11c9-9fe8-08002b104860 v2, [C706] 14: NDR32 */
static const uint8_t ndr32[20] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                  0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 0x02, 0x00, 0x00, 0x00};

static void put_header(struct buf *out, enum pdu_type type, uint8_t flags, uint32_t call_id,
                       size_t token_size)
{
    buf_u8(out, RPC_VERSION);
    buf_u8(out, 0); /* rpc_vers_minor */
    buf_u8(out, (uint8_t)type);
    buf_u8(out, flags);
    buf_u32le(out, DREP_LITTLE_ENDIAN);
    buf_u16le(out, 0); /* frag_length, patched by finish */
    buf_u16le(out, (uint16_t)token_size);
    buf_u32le(out, call_id);
}

/* [MS-RPCE] 2.2.2.11 */
static void put_trailer(struct buf *out, size_t pad_length)
{
    buf_u8(out, AUTH_TYPE_WINNT);
    buf_u8(out, AUTH_LEVEL_PRIVACY);
    buf_u8(out, (uint8_t)pad_length);
    buf_u8(out, 0); /* auth_reserved */
    buf_u32le(out, AUTH_CONTEXT_ID);
}

static void finish(struct buf *out)
{
    if (out->size > PDU_SIZE_MAX)
        out->failed = true;
    buf_patch_u16le(out, FRAG_LENGTH_AT, (uint16_t)out->size);
}

void pdu_build_bind(struct buf *out, uint32_t call_id, const struct rpc_interface *interface,
                    const uint8_t *token, size_t token_size)
{
    put_header(out, PDU_BIND, PFC_FIRST_FRAG | PFC_LAST_FRAG | PFC_SUPPORT_HEADER_SIGN, call_id,
               token_size);
    buf_u16le(out, RPC_FRAG_SIZE); /* max_xmit_frag */
    buf_u16le(out, RPC_FRAG_SIZE); /* max_recv_frag */
    buf_u32le(out, 0);             /* assoc_group_id: a new one */
    buf_u8(out, 1);                /* n_context_elem */
    buf_zero(out, 3);              /* reserved */
    buf_u16le(out, CONTEXT_ID);
    buf_u8(out, 1); /* n_transfer_syn */
    buf_u8(out, 0); /* reserved */
    buf_bytes(out, interface->uuid, sizeof interface->uuid);
    buf_u16le(out, interface->version_major);
    buf_u16le(out, interface->version_minor);
    buf_bytes(out, ndr32, sizeof ndr32);
    put_trailer(out, 0); /* the body is a multiple of 4 long */
    buf_bytes(out, token, token_size);
    finish(out);
}

void pdu_build_auth3(struct buf *out, uint32_t call_id, const uint8_t *token, size_t token_size)
{
    put_header(out, PDU_AUTH3, PFC_FIRST_FRAG | PFC_LAST_FRAG, call_id, token_size);
    buf_zero(out, 4); /* [MS-RPCE] 2.2.2.5 pad */
    put_trailer(out, 0);
    buf_bytes(out, token, token_size);
    finish(out);
}

void pdu_build_request(struct buf *out, uint32_t call_id, uint16_t opnum, uint8_t flags,
                       uint32_t alloc_hint, const uint8_t *stub, size_t stub_size,
                       size_t signature_size)
{
    size_t pad = (PDU_STUB_ALIGNMENT - stub_size % PDU_STUB_ALIGNMENT) % PDU_STUB_ALIGNMENT;
    put_header(out, PDU_REQUEST, flags, call_id, signature_size);
    buf_u32le(out, alloc_hint);
    buf_u16le(out, CONTEXT_ID);
    buf_u16le(out, opnum);
    buf_bytes(out, stub, stub_size);
    buf_zero(out, pad);
    put_trailer(out, pad);
    buf_zero(out, signature_size);
    finish(out);
}

static int read_header(const uint8_t *bytes, size_t size, struct pdu_header *header,
                       struct err *err)
{
    struct cursor c = cursor_of(bytes, size);
    uint8_t version = cursor_u8(&c);
    uint8_t minor = cursor_u8(&c);
    header->type = cursor_u8(&c);
    header->flags = cursor_u8(&c);
    uint32_t drep = cursor_u32le(&c);
    header->frag_length = cursor_u16le(&c);
    header->auth_length = cursor_u16le(&c);
    header->call_id = cursor_u32le(&c);
    if (!cursor_ok(&c))
        return err_set(err, ERR_PROTOCOL, "rpc pdu of %zu bytes has no header", size);
    if (version != RPC_VERSION || minor > 1)
        return err_set(err, ERR_PROTOCOL, "rpc version %u.%u", version, minor);
    if ((drep & 0xff) != DREP_LITTLE_ENDIAN)
        return err_set(err, ERR_PROTOCOL, "rpc data representation 0x%08x", drep);
    if (header->frag_length < PDU_HEADER_SIZE)
        return err_set(err, ERR_PROTOCOL, "rpc frag_length %u", header->frag_length);
    return 0;
}

int pdu_peek(const uint8_t *bytes, size_t size, size_t *frag_length, struct err *err)
{
    *frag_length = 0;
    if (size < PDU_HEADER_SIZE)
        return 0;
    struct pdu_header header;
    if (read_header(bytes, size, &header, err) != 0)
        return -1;
    *frag_length = header.frag_length;
    return 0;
}

/* The sec_trailer and token at the end of a PDU. */
static int read_auth(const uint8_t *bytes, size_t size, struct pdu *pdu, struct err *err)
{
    size_t auth_size = (size_t)PDU_TRAILER_SIZE + pdu->header.auth_length;
    if (auth_size > size - PDU_HEADER_SIZE)
        return err_set(err, ERR_PROTOCOL, "rpc auth_length %u in a pdu of %zu",
                       pdu->header.auth_length, size);
    size_t trailer_at = size - auth_size;
    struct cursor c = cursor_of(bytes, size);
    cursor_seek(&c, trailer_at);
    uint8_t type = cursor_u8(&c);
    uint8_t level = cursor_u8(&c);
    uint8_t pad_length = cursor_u8(&c);
    cursor_skip(&c, 1); /* auth_reserved */
    uint32_t context_id = cursor_u32le(&c);
    pdu->token_size = pdu->header.auth_length;
    pdu->token = cursor_bytes(&c, pdu->token_size);
    if (!cursor_ok(&c))
        return err_set(err, ERR_PROTOCOL, "rpc sec_trailer is cut off");
    if (type != AUTH_TYPE_WINNT || level != AUTH_LEVEL_PRIVACY || context_id != AUTH_CONTEXT_ID)
        return err_set(err, ERR_PROTOCOL, "rpc auth type %u level %u context %u", type, level,
                       context_id);
    if (pad_length > trailer_at - PDU_HEADER_SIZE)
        return err_set(err, ERR_PROTOCOL, "rpc auth_pad_length %u", pad_length);
    pdu->pad_length = pad_length;
    pdu->body_size = trailer_at - PDU_HEADER_SIZE - pad_length;
    return 0;
}

int pdu_read(const uint8_t *bytes, size_t size, struct pdu *pdu, struct err *err)
{
    struct pdu p = {0};
    if (read_header(bytes, size, &p.header, err) != 0)
        return -1;
    if (p.header.frag_length != size)
        return err_set(err, ERR_PROTOCOL, "rpc frag_length %u in a pdu of %zu",
                       p.header.frag_length, size);
    p.body = bytes + PDU_HEADER_SIZE;
    p.body_size = size - PDU_HEADER_SIZE;
    if (p.header.auth_length > 0 && read_auth(bytes, size, &p, err) != 0)
        return -1;
    *pdu = p;
    return 0;
}

int pdu_read_bind_ack(const struct pdu *pdu, struct pdu_bind_ack *ack, struct err *err)
{
    /* The cursor starts at the common header: the secondary address is padded so that the result
     * list is aligned from there. */
    struct cursor c = cursor_of(pdu->body - PDU_HEADER_SIZE, PDU_HEADER_SIZE + pdu->body_size);
    cursor_skip(&c, PDU_HEADER_SIZE);
    cursor_skip(&c, 2); /* max_xmit_frag: frag_length of each PDU counts */
    uint16_t max_receive_frag = cursor_u16le(&c);
    cursor_skip(&c, 4);                /* assoc_group_id */
    cursor_skip(&c, cursor_u16le(&c)); /* secondary address */
    cursor_align(&c, 4);
    uint8_t result_count = cursor_u8(&c);
    cursor_skip(&c, 3); /* reserved */
    uint16_t result = cursor_u16le(&c);
    uint16_t reason = cursor_u16le(&c);
    const uint8_t *transfer = cursor_bytes(&c, sizeof ndr32);
    if (!cursor_ok(&c) || transfer == NULL)
        return err_set(err, ERR_PROTOCOL, "rpc bind_ack is cut off");
    if (result_count != 1)
        return err_set(err, ERR_PROTOCOL, "rpc bind_ack has %u results for one context",
                       result_count);
    ack->max_receive_frag = max_receive_frag;
    ack->result = result;
    ack->reason = reason;
    return 0;
}

int pdu_read_bind_nak(const struct pdu *pdu, uint16_t *reason, struct err *err)
{
    struct cursor c = cursor_of(pdu->body, pdu->body_size);
    uint16_t value = cursor_u16le(&c); /* [C706] 12.6.4.5 provider_reject_reason */
    if (!cursor_ok(&c))
        return err_set(err, ERR_PROTOCOL, "rpc bind_nak is cut off");
    *reason = value;
    return 0;
}

int pdu_read_fault(const struct pdu *pdu, struct pdu_fault *fault, struct err *err)
{
    struct cursor c = cursor_of(pdu->body, pdu->body_size);
    cursor_skip(&c, 4); /* alloc_hint */
    uint16_t context_id = cursor_u16le(&c);
    cursor_skip(&c, 2); /* cancel_count, reserved */
    uint32_t status = cursor_u32le(&c);
    if (!cursor_ok(&c))
        return err_set(err, ERR_PROTOCOL, "rpc fault is cut off");
    fault->context_id = context_id;
    fault->status = status;
    return 0;
}

int pdu_read_response(const struct pdu *pdu, size_t *stub_at, size_t *stub_size, struct err *err)
{
    struct cursor c = cursor_of(pdu->body, pdu->body_size);
    cursor_skip(&c, 4); /* alloc_hint: a hint, nothing is sized by it */
    uint16_t context_id = cursor_u16le(&c);
    cursor_skip(&c, 2); /* cancel_count, reserved */
    if (!cursor_ok(&c))
        return err_set(err, ERR_PROTOCOL, "rpc response is cut off");
    if (context_id != CONTEXT_ID)
        return err_set(err, ERR_PROTOCOL, "rpc response of context %u", context_id);
    *stub_at = PDU_HEADER_SIZE + RESPONSE_FIXED_SIZE;
    *stub_size = pdu->body_size - RESPONSE_FIXED_SIZE;
    return 0;
}
