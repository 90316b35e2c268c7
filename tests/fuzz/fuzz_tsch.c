/* relay/tsch, relay/rpc/ndr: the stub of a Task Scheduler's answer, as any target may send it once
 * the RPC layer believes its signature. The first byte chooses the method.
 * Covers tsch_decode_* and ndr_get_*.
 *
 * Holds: a refusal says why and fills nothing; text for people is printable, XML points into the
 * stub, SDDL stays within its maximum and has no NUL inside. */
#include <string.h>

#include "fuzz.h"
#include "relay/sd/sd.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/tsch.h"

static int decode_register(const uint8_t *stub, size_t size, struct err *err)
{
    struct tsch_register_result result;
    if (tsch_decode_register(stub, size, &result, err) != 0)
        return -1;
    FUZZ_CHECK(fuzz_is_printable(result.actual_path,
                                 strnlen(result.actual_path, sizeof result.actual_path), false));
    FUZZ_CHECK(fuzz_is_printable(result.node, strnlen(result.node, sizeof result.node), false));
    FUZZ_CHECK(fuzz_is_printable(result.value, strnlen(result.value, sizeof result.value), false));
    FUZZ_CHECK(hresult_name(result.hresult)[0] != '\0' && hresult_text(result.hresult) != NULL);
    return 0;
}

static int decode_retrieve(const uint8_t *stub, size_t size, struct err *err)
{
    const uint8_t *xml = NULL;
    size_t xml_size = 0;
    uint32_t hresult = 0;
    if (tsch_decode_retrieve(stub, size, &xml, &xml_size, &hresult, err) != 0)
        return -1;
    if (xml == NULL) {
        FUZZ_CHECK(xml_size == 0);
        return 0;
    }
    FUZZ_CHECK(xml >= stub && xml + xml_size <= stub + size && xml_size % 2 == 0);
    for (size_t i = 0; i < xml_size; i += 2)
        FUZZ_CHECK((xml[i] | xml[i + 1]) != 0);
    return 0;
}

static int decode_security(const uint8_t *stub, size_t size, struct err *err)
{
    struct buf sddl;
    uint32_t hresult = 0;
    buf_init(&sddl, SD_SDDL_SIZE_MAX);
    int status = tsch_decode_get_security(stub, size, &sddl, &hresult, err);
    if (status == 0)
        FUZZ_CHECK(buf_ok(&sddl) && strlen(buf_cstr(&sddl)) == sddl.size);
    buf_release(&sddl);
    return status;
}

static int decode(uint8_t method, const uint8_t *stub, size_t size, struct err *err)
{
    struct tsch_time last_run;
    uint8_t guid[16];
    uint32_t number = 0;
    uint32_t hresult = 0;
    bool enabled = false;
    switch (method) {
    case TSCH_HIGHEST_VERSION:
        return tsch_decode_highest_version(stub, size, &number, &hresult, err);
    case TSCH_REGISTER_TASK:
        return decode_register(stub, size, err);
    case TSCH_RETRIEVE_TASK:
        return decode_retrieve(stub, size, err);
    case TSCH_GET_SECURITY:
        return decode_security(stub, size, err);
    case TSCH_RUN:
        return tsch_decode_run(stub, size, guid, &hresult, err);
    case TSCH_GET_LAST_RUN_INFO:
        return tsch_decode_get_last_run_info(stub, size, &last_run, &number, &hresult, err);
    case TSCH_GET_TASK_INFO:
        return tsch_decode_get_task_info(stub, size, &enabled, &number, &hresult, err);
    default:
        return tsch_decode_hresult(stub, size, &hresult, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    if (size == 0)
        return 0;
    fuzz_memory_start();
    if (decode(data[0], data + 1, size - 1, &err) != 0)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK(err.code == ERR_NONE);
    FUZZ_CHECK(fuzz_memory_taken() <= (1U << 20));
    return 0;
}
