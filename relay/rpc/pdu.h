/* Connection-oriented RPC PDUs: written, and read from hostile bytes. Only rpc.c uses this.
 *
 * A reader gets one whole PDU (frag_length bytes) and fills a plain struct whose pointers lie in
 * it. Nothing here keeps state or knows keys: rpc.c seals what pdu_build_request leaves room for.
 *
 * Spec: [C706] 12.6, [MS-RPCE] 2.2.2.
 */
#ifndef PUSHER_RELAY_RPC_PDU_H
#define PUSHER_RELAY_RPC_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "relay/rpc/rpc.h"

#define PDU_HEADER_SIZE 16  /* [C706] 12.6.3.1 common fields */
#define PDU_REQUEST_SIZE 24 /* header, alloc_hint, p_cont_id, opnum */
#define PDU_TRAILER_SIZE 8  /* [MS-RPCE] 2.2.2.11 sec_trailer without the token */
#define PDU_SIZE_MAX 65535  /* frag_length has 16 bits */
#define PDU_STUB_ALIGNMENT 16

/* [C706] 12.6.3.1 PTYPE, those that we speak */
enum pdu_type {
    PDU_REQUEST = 0,
    PDU_RESPONSE = 2,
    PDU_FAULT = 3,
    PDU_BIND = 11,
    PDU_BIND_ACK = 12,
    PDU_BIND_NAK = 13,
    PDU_AUTH3 = 16,
};

/* [C706] 12.6.3.1 pfc_flags */
#define PFC_FIRST_FRAG 0x01U
#define PFC_LAST_FRAG 0x02U
#define PFC_SUPPORT_HEADER_SIGN 0x04U /* [MS-RPCE] 2.2.2.3 */
#define PFC_DID_NOT_EXECUTE 0x20U

struct pdu_header {
    uint8_t type; /* enum pdu_type or a number we do not know */
    uint8_t flags;
    uint16_t frag_length;
    uint16_t auth_length;
    uint32_t call_id;
};

/* A PDU taken apart as far as all types agree. */
struct pdu {
    struct pdu_header header;
    const uint8_t *body; /* after the common header, up to the pad before the trailer */
    size_t body_size;
    uint8_t pad_length;   /* bytes between body and trailer; 0 without auth */
    const uint8_t *token; /* auth_value, NULL without auth */
    size_t token_size;
};

struct pdu_bind_ack {
    uint16_t max_receive_frag; /* what the server takes */
    uint16_t result;           /* of our one context; 0 = accepted. [C706] 12.6.3.1 p_result_t */
    uint16_t reason;
};

struct pdu_fault {
    uint16_t context_id;
    uint32_t status;
};

/* Writers append one PDU to an empty buffer. */
void pdu_build_bind(struct buf *out, uint32_t call_id, const struct rpc_interface *interface,
                    const uint8_t *token, size_t token_size);
void pdu_build_auth3(struct buf *out, uint32_t call_id, const uint8_t *token, size_t token_size);
/* A request in the clear with pad, trailer and `signature_size` zero bytes at its end.
 * `alloc_hint` is the size of the stub still to come, this fragment's included. */
void pdu_build_request(struct buf *out, uint32_t call_id, uint16_t opnum, uint8_t flags,
                       uint32_t alloc_hint, const uint8_t *stub, size_t stub_size,
                       size_t signature_size);

/* Reads frag_length of the PDU that begins here. Returns 0 when fewer than 16 bytes are there; the
 * common header is checked as soon as it is. Errors: ERR_PROTOCOL. */
int pdu_peek(const uint8_t *bytes, size_t size, size_t *frag_length, struct err *err);
/* Takes one whole PDU apart: version, lengths, and that its trailer is the one we bound with.
 * Errors: ERR_PROTOCOL. */
int pdu_read(const uint8_t *bytes, size_t size, struct pdu *pdu, struct err *err);
int pdu_read_bind_ack(const struct pdu *pdu, struct pdu_bind_ack *ack, struct err *err);
int pdu_read_bind_nak(const struct pdu *pdu, uint16_t *reason, struct err *err);
int pdu_read_fault(const struct pdu *pdu, struct pdu_fault *fault, struct err *err);
/* Checks a response's fixed part; *stub_at is where the stub begins in the PDU, counted from the
 * PDU's first byte, *stub_size what of it is before the pad. */
int pdu_read_response(const struct pdu *pdu, size_t *stub_at, size_t *stub_size, struct err *err);

#endif
