/* What a server's codes mean at a stage: one table (statusmap.def) from NTSTATUS to reason, and the
 * same for errno, failures of the engine, HRESULTs and RPC faults. Pure. */
#ifndef PUSHER_RELAY_STAGE_STATUSMAP_H
#define PUSHER_RELAY_STAGE_STATUSMAP_H

#include <stdint.h>

#include "common/model/reason.h"
#include "common/model/stage.h"
#include "relay/smb/smb.h"

/* Reason of an errno with which no connection came about. */
enum reason connect_reason(int error);
/* Reason of an error status at a stage; PROTOCOL_ERROR for a status nobody expects there. */
enum reason status_reason(enum stage stage, uint32_t status);
/* Reason of a failed connection; `status` is the server's NTSTATUS, 0 if none. */
enum reason failure_reason(enum smb_failure failure, uint32_t status);
/* Reason of a scheduler's HRESULT that is neither success nor "exists". */
enum reason hresult_reason(uint32_t hresult);
/* Reason of an RPC fault. */
enum reason fault_reason(uint32_t status);

#endif
