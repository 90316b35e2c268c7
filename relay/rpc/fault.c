/* Names of fault status codes. */
#include <stddef.h>

#include "relay/rpc/rpc.h"

struct fault_row {
    uint32_t status;
    const char *name;
};

/* [C706] appendix E, [MS-RPCE] 2.2.2.12 and the Win32 codes that servers put there. */
static const struct fault_row fault_rows[] = {
    {0x00000005, "access denied"},
    {0x000006bf, "RPC_S_CALL_FAILED_DNE"},
    {0x000006d1, "RPC_S_PROCNUM_OUT_OF_RANGE"},
    {0x000006e4, "RPC_S_CANNOT_SUPPORT"},
    {0x000006f7, "RPC_X_BAD_STUB_DATA"},
    {0x00000721, "RPC_S_SEC_PKG_ERROR"},
    {0x1c00000d, "nca_s_fault_cancel"},
    {0x1c000012, "nca_s_fault_unspec"},
    {0x1c00001a, "nca_s_fault_context_mismatch"},
    {0x1c00001b, "nca_s_fault_remote_no_memory"},
    {0x1c010002, "nca_s_op_rng_error"},
    {0x1c010003, "nca_s_unk_if"},
    {0x1c010006, "nca_s_you_crashed"},
    {0x1c01000b, "nca_s_proto_error"},
    {0x1c010013, "nca_s_out_args_too_big"},
    {0x1c010014, "nca_s_server_too_busy"},
    {0x1c010017, "nca_s_unsupported_type"},
};

const char *rpc_fault_name(uint32_t status)
{
    for (size_t i = 0; i < sizeof fault_rows / sizeof fault_rows[0]; i++) {
        if (fault_rows[i].status == status)
            return fault_rows[i].name;
    }
    return "rpc fault";
}
