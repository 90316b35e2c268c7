/* Codes to reasons: lookups only. */
#include "relay/stage/statusmap.h"

#include <errno.h>
#include <stddef.h>

#include "relay/smb/status.h"
#include "relay/tsch/hresult.h"

#define ANY_STAGE STAGE_COUNT
#define STATUS_STAGE_ANY ANY_STAGE
#define STATUS_STAGE_PATH STAGE_PATH
#define STATUS_STAGE_SCHEDULE STAGE_SCHEDULE

static const struct {
    uint32_t status;
    enum stage stage; /* ANY_STAGE: wherever it comes */
    enum reason reason;
} rows[] = {
#define STATUS(name, stage, reason) {NTSTATUS_##name, STATUS_STAGE_##stage, REASON_##reason},
#include "relay/stage/statusmap.def"
#undef STATUS
};

/* [C706] appendix E, [MS-RPCE] 2.2.2 fault statuses */
#define FAULT_ACCESS_DENIED 0x00000005U
#define FAULT_SERVER_TOO_BUSY 0x1C010014U
#define FAULT_RPC_SERVER_UNAVAILABLE 0x000006BAU
#define FAULT_SEC_PKG_ERROR 0x00000721U

/* HRESULT_FROM_WIN32 of a virus scanner's verdict ([MS-ERREF] 2.2) */
#define HRESULT_VIRUS_INFECTED 0x800700E1U

enum reason connect_reason(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return REASON_PORT_CLOSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return REASON_HOST_UNREACHABLE;
    case ETIMEDOUT:
        return REASON_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case EADDRNOTAVAIL:
    case ENOBUFS:
    case ENOMEM:
        return REASON_INTERNAL; /* the relay's own limits */
    default:
        return REASON_CONN_LOST;
    }
}

enum reason status_reason(enum stage stage, uint32_t status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status && (rows[i].stage == stage || rows[i].stage == ANY_STAGE))
            return rows[i].reason;
    return REASON_PROTOCOL_ERROR;
}

enum reason failure_reason(enum smb_failure failure, uint32_t status)
{
    enum reason reason;
    switch (failure) {
    case SMB_FAILURE_NONE:
    case SMB_FAILURE_PROTOCOL:
        break;
    case SMB_FAILURE_DIALECT:
        return REASON_DIALECT_REFUSED;
    case SMB_FAILURE_SIGNING:
    case SMB_FAILURE_ENCRYPTION:
        return REASON_SIGNING_REFUSED;
    case SMB_FAILURE_LOGON:
        /* No status: let in as a guest. */
        reason = status != 0 ? status_reason(STAGE_ACCESS, status) : REASON_LOGON_FAILURE;
        return reason == REASON_PROTOCOL_ERROR ? REASON_LOGON_FAILURE : reason;
    case SMB_FAILURE_AUTH:
        return REASON_SIGNING_REFUSED;
    case SMB_FAILURE_CLOCK:
        return REASON_CLOCK_SKEW;
    case SMB_FAILURE_SESSION_LOST:
        return REASON_CONN_LOST;
    }
    return REASON_PROTOCOL_ERROR;
}

enum reason hresult_reason(uint32_t hresult)
{
    if (hresult == HRESULT_VIRUS_INFECTED)
        return REASON_AV_BLOCKED;
    switch (hresult_kind(hresult)) {
    case HRESULT_DENIED:
        return REASON_ACCESS_DENIED;
    case HRESULT_BAD_TASK:
        return REASON_BAD_TASK;
    case HRESULT_OK:
    case HRESULT_EXISTS:
    case HRESULT_NOT_FOUND:
    case HRESULT_BUSY:
    case HRESULT_OTHER:
        break;
    }
    return REASON_SCHEDULER_REFUSED;
}

enum reason fault_reason(uint32_t status)
{
    switch (status) {
    case FAULT_ACCESS_DENIED:
    case FAULT_SEC_PKG_ERROR:
        return REASON_ACCESS_DENIED;
    case FAULT_SERVER_TOO_BUSY:
    case FAULT_RPC_SERVER_UNAVAILABLE:
        return REASON_RPC_UNAVAILABLE;
    default:
        return REASON_SCHEDULER_REFUSED;
    }
}
