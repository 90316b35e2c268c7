/* relay/rpc/pdu: one PDU as a target's scheduler pipe may give it, before any key protects it.
 * Covers pdu_peek, pdu_read, pdu_read_bind_ack, _bind_nak, _fault, _response.
 *
 * Holds: what a reader hands out lies inside the PDU; a refusal says why; a PDU that was read has
 * the length that peeking told. */
#include "fuzz.h"
#include "relay/rpc/pdu.h"

static void check_inside(const uint8_t *data, size_t size, const uint8_t *at, size_t at_size)
{
    FUZZ_CHECK(at >= data && at <= data + size && at_size <= (size_t)(data + size - at));
}

static void read_kinds(const struct pdu *pdu, size_t size)
{
    struct pdu_bind_ack ack;
    struct pdu_fault fault;
    struct err err = {0};
    uint16_t reason = 0;
    size_t stub_at = 0;
    size_t stub_size = 0;
    if (pdu_read_bind_ack(pdu, &ack, &err) != 0)
        fuzz_check_error(&err);
    if (pdu_read_bind_nak(pdu, &reason, &err) != 0)
        fuzz_check_error(&err);
    if (pdu_read_fault(pdu, &fault, &err) != 0)
        fuzz_check_error(&err);
    if (pdu_read_response(pdu, &stub_at, &stub_size, &err) != 0)
        fuzz_check_error(&err);
    else /* what rpc.c opens in place: stub and pad */
        FUZZ_CHECK(stub_at <= size && stub_size + pdu->pad_length <= size - stub_at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pdu pdu;
    struct err err = {0};
    size_t frag_length = 0;
    int peeked = pdu_peek(data, size, &frag_length, &err);
    FUZZ_CHECK(peeked == 0 || frag_length == 0);
    if (peeked != 0)
        fuzz_check_error(&err);
    if (size > PDU_SIZE_MAX)
        return 0;
    if (pdu_read(data, size, &pdu, &err) != 0) {
        fuzz_check_error(&err);
        return 0;
    }
    FUZZ_CHECK(peeked == 0 && frag_length == size);
    check_inside(data, size, pdu.body, pdu.body_size + pdu.pad_length);
    if (pdu.header.auth_length > 0) {
        FUZZ_CHECK(pdu.token_size == pdu.header.auth_length);
        check_inside(data, size, pdu.token, pdu.token_size);
        FUZZ_CHECK(pdu.token >= pdu.body + pdu.body_size + pdu.pad_length + PDU_TRAILER_SIZE);
    } else {
        FUZZ_CHECK(pdu.token_size == 0 && pdu.pad_length == 0);
    }
    read_kinds(&pdu, size);
    return 0;
}
