/* The machine's Task Scheduler: one task, one folder, an exit code. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "machine.h"
#include "relay/rpc/ndr.h"
#include "relay/rpc/pdu.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/task.h"
#include "relay/tsch/tsch.h"

static void pdu_begin(struct buf *out, uint8_t type, uint8_t flags, size_t auth_size)
{
    buf_u16le(out, 5);
    buf_u8(out, type);
    buf_u8(out, flags);
    buf_u32le(out, 0x10);
    buf_u16le(out, 0);
    buf_u16le(out, (uint16_t)auth_size);
    buf_u32le(out, world.call_id);
}

static void put_trailer(struct buf *out, size_t pad)
{
    buf_zero(out, pad);
    buf_u16le(out, 0x060a);
    buf_u8(out, (uint8_t)pad);
    buf_zero(out, 5);
}

static void say_bind_ack(void)
{
    static const uint8_t ndr32[] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                    0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0};
    struct buf pdu;
    buf_init(&pdu, 1024);
    pdu_begin(&pdu, PDU_BIND_ACK, 3, 9);
    buf_u16le(&pdu, 4280);
    buf_u16le(&pdu, 4280);
    buf_u32le(&pdu, 1);
    buf_u16le(&pdu, 2);
    buf_u16le(&pdu, 'x');
    buf_u32le(&pdu, 1);
    buf_u32le(&pdu, 0);
    buf_bytes(&pdu, ndr32, sizeof ndr32);
    put_trailer(&pdu, 0);
    buf_text(&pdu, "challenge");
    buf_patch_u16le(&pdu, 8, (uint16_t)pdu.size);
    buf_bytes(&world.pipe, pdu.data, pdu.size);
    buf_release(&pdu);
    seal_init(&world.seal, SEAL_SERVER, machine_session_key);
}

static void say_fault(uint32_t status, uint8_t flags)
{
    struct buf pdu;
    buf_init(&pdu, 64);
    pdu_begin(&pdu, PDU_FAULT, 3 | (flags & PFC_DID_NOT_EXECUTE), 0);
    buf_zero(&pdu, 8);
    buf_u32le(&pdu, status);
    buf_u32le(&pdu, 0);
    buf_patch_u16le(&pdu, 8, (uint16_t)pdu.size);
    buf_bytes(&world.pipe, pdu.data, pdu.size);
    buf_release(&pdu);
}

static void say_response(const struct buf *stub)
{
    size_t at = 0;
    do {
        struct buf pdu;
        uint8_t signature[SEAL_SIGNATURE_SIZE];
        size_t size = stub->size - at < 4000 ? stub->size - at : 4000;
        size_t pad = (16 - size % 16) % 16;
        uint8_t flags =
            (at == 0 ? PFC_FIRST_FRAG : 0) | (at + size == stub->size ? PFC_LAST_FRAG : 0);
        buf_init(&pdu, 8192);
        pdu_begin(&pdu, PDU_RESPONSE, flags, SEAL_SIGNATURE_SIZE);
        buf_u32le(&pdu, (uint32_t)(stub->size - at));
        buf_u32le(&pdu, 0);
        buf_bytes(&pdu, stub->data + at, size);
        put_trailer(&pdu, pad);
        buf_patch_u16le(&pdu, 8, (uint16_t)(pdu.size + SEAL_SIGNATURE_SIZE));
        seal_fragment(&world.seal, pdu.data, pdu.size, 24, size + pad, signature);
        buf_bytes(&pdu, signature, sizeof signature);
        buf_bytes(&world.pipe, pdu.data, pdu.size);
        buf_release(&pdu);
        at += size;
    } while (at < stub->size);
}

static uint32_t some_hresult(void)
{
    static const uint32_t usual[] = {HRESULT_ACCESS_DENIED,
                                     HRESULT_ALREADY_EXISTS,
                                     HRESULT_FILE_NOT_FOUND,
                                     HRESULT_SCHED_E_MALFORMEDXML,
                                     0x0004131B,
                                     HRESULT_SCHED_S_TASK_HAS_NOT_RUN,
                                     0x80041318,
                                     0x80070008};
    uint8_t which = cursor_u8(&world.input);
    return which >= 0xf0 ? cursor_u32le(&world.input) : usual[which % 8];
}

/* SchRpcRegisterTask's arguments: the path, then the definition. */
static uint32_t register_task(void)
{
    const uint8_t *text = NULL;
    size_t size = 0;
    struct cursor c = cursor_of(world.stub.data, world.stub.size);
    if (world.task)
        return HRESULT_ALREADY_EXISTS;
    FUZZ_CHECK(ndr_get_pointer(&c));
    ndr_get_string(&c, &text, &size);
    ndr_get_string(&c, &text, &size);
    FUZZ_CHECK(cursor_ok(&c) && size > 0);
    buf_reset(&world.xml);
    buf_bytes(&world.xml, text, size);
    world.task = true;
    world.task_of = world.job.job.package_digest[0];
    world.executed = true;
    return HRESULT_S_OK;
}

static void put_definition(struct ndr_out *out)
{
    ndr_put_u32(out, 0x20000); /* a pointer that is not null */
    ndr_put_string_utf16(out, world.xml.data, world.xml.size);
}

/* A good answer's arguments before the HRESULT; gives that. */
static uint32_t answer_call(uint16_t opnum, struct ndr_out *out)
{
    static const char *const rights[] = {"O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)",
                                         "O:SYD:(A;;FA;;;SY)(A;;FR;;;BU)", "O:BAD:(A;OICI;FA;;;WD)",
                                         "O:BUD:P(A;;FA;;;SY)", "O:"};
    uint8_t how = cursor_u8(&world.input);
    uint32_t hresult = HRESULT_S_OK;
    switch (opnum) {
    case TSCH_REGISTER_TASK:
        hresult = register_task();
        ndr_put_u32(out, 0);
        ndr_put_u32(out, 0);
        return hresult;
    case TSCH_RETRIEVE_TASK:
        if (world.task)
            put_definition(out);
        else
            ndr_put_u32(out, 0);
        return world.task ? HRESULT_S_OK : HRESULT_FILE_NOT_FOUND;
    case TSCH_CREATE_FOLDER:
        world.folder = true;
        return HRESULT_S_OK;
    case TSCH_GET_SECURITY:
        if (world.folder)
            ndr_put_unique_string(out, rights[how < 0xf0 ? 0 : how % 5U]);
        else
            ndr_put_u32(out, 0);
        return world.folder ? HRESULT_S_OK : HRESULT_FILE_NOT_FOUND;
    case TSCH_GET_LAST_RUN_INFO:
        buf_u64le(out->buf, how >= 0xf0 ? 0 : 0x0001000100010007EAU);
        buf_u64le(out->buf, 0);
        ndr_put_u32(out, world.exit_code);
        return HRESULT_S_OK;
    case TSCH_GET_TASK_INFO:
        ndr_put_u32(out, how != 0xff);
        ndr_put_u32(out, how >= 0xf0 ? how % 6U : TSCH_STATE_READY);
        return HRESULT_S_OK;
    default:
        return HRESULT_S_OK;
    }
}

/* What the answer to a registering call comes to for whoever can read it. */
static void note_register(const struct buf *stub)
{
    struct tsch_register_result result;
    if (tsch_decode_register(stub->data, stub->size, &result, NULL) != 0)
        return;
    world.told = true;
    world.told_success |= hresult_kind(result.hresult) == HRESULT_OK;
}

/* Whether the definition that leaves is that of the task that was registered: it runs the same. */
static bool tells_the_task(const struct buf *stub)
{
    const uint8_t *xml = NULL;
    size_t size = 0;
    uint32_t hresult = 0;
    struct task_seen *seen = mem_new(2, sizeof *seen);
    bool same = tsch_decode_retrieve(stub->data, stub->size, &xml, &size, &hresult, NULL) == 0 &&
                xml != NULL && hresult_kind(hresult) == HRESULT_OK &&
                task_xml_read(world.xml.data, world.xml.size, &seen[0], NULL) == 0 &&
                task_xml_read(xml, size, &seen[1], NULL) == 0 &&
                strcmp(seen[0].description, seen[1].description) == 0 &&
                strcmp(seen[0].command, seen[1].command) == 0 &&
                strcmp(seen[0].arguments, seen[1].arguments) == 0 &&
                strcmp(seen[0].working_directory, seen[1].working_directory) == 0 &&
                seen[0].action_count == seen[1].action_count &&
                seen[0].exec_count == seen[1].exec_count &&
                seen[0].principal_count == seen[1].principal_count;
    free(seen);
    return same;
}

static void call_arrived(uint16_t opnum)
{
    struct buf stub;
    uint8_t how = cursor_u8(&world.input);
    buf_init(&stub, 1 << 20);
    struct ndr_out out = ndr_out_of(&stub);
    uint32_t hresult = answer_call(opnum, &out);
    world.looked_fine = how < 0xe0;
    if (how >= 0xf8) { /* carried out or not: a fault */
        say_fault(cursor_u8(&world.input), how == 0xff && !world.executed ? 0x20 : 0);
    } else {
        if (how >= 0xf0)
            hresult = some_hresult();
        ndr_put_u32(&out, hresult);
        for (unsigned i = 0; how >= 0xe0 && how < 0xf0 && i < 1 + how % 3U; i++) {
            size_t at = cursor_u8(&world.input);
            if (at < stub.size)
                stub.data[at] = cursor_u8(&world.input);
        }
        if (how == 0xe8)
            stub.size -= cursor_u8(&world.input) % stub.size;
        if (opnum == TSCH_REGISTER_TASK)
            note_register(&stub);
        if (opnum == TSCH_RETRIEVE_TASK) {
            world.told_success |= world.task && world.task_of == world.job.job.package_digest[0] &&
                                  tells_the_task(&stub);
            world.told = true;
        }
        say_response(&stub);
    }
    if (opnum == TSCH_REGISTER_TASK && how >= 0xf8 && !world.executed)
        world.told = true;
    buf_release(&stub);
    buf_reset(&world.stub);
}

void machine_pipe_written(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = mem_new(size > 0 ? size : 1, 1);
    memcpy(copy, bytes, size);
    struct cursor c = cursor_of(copy, size);
    cursor_skip(&c, 2);
    uint8_t type = cursor_u8(&c);
    uint8_t flags = cursor_u8(&c);
    cursor_seek(&c, 12);
    world.call_id = cursor_u32le(&c);
    cursor_skip(&c, 6);
    uint16_t opnum = cursor_u16le(&c);
    FUZZ_CHECK(cursor_ok(&c));
    if (type == PDU_BIND)
        say_bind_ack();
    if (type == PDU_REQUEST) {
        size_t sealed = size - 24 - PDU_TRAILER_SIZE - SEAL_SIGNATURE_SIZE;
        FUZZ_CHECK(seal_open_fragment(&world.seal, copy, size - SEAL_SIGNATURE_SIZE, 24, sealed,
                                      copy + size - SEAL_SIGNATURE_SIZE));
        buf_bytes(&world.stub, copy + 24, sealed - copy[size - SEAL_SIGNATURE_SIZE - 6]);
        if ((flags & PFC_LAST_FRAG) != 0)
            call_arrived(opnum);
    }
    free(copy);
}
