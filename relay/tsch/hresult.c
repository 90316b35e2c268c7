/* The task scheduler's HRESULTs as a table. */
#include "relay/tsch/hresult.h"

#include <stddef.h>

struct hresult_row {
    uint32_t value;
    enum hresult_kind kind;
    const char *name;
    const char *text;
};

/* [MS-TSCH] 2.3.14, [MS-ERREF] 2.1.1; HRESULT_FROM_WIN32 values as the scheduler returns them. */
static const struct hresult_row hresult_rows[] = {
    {0x00000000, HRESULT_OK, "S_OK", "done"},
    {0x00000001, HRESULT_OK, "S_FALSE", "done, in part"},
    {0x00041300, HRESULT_OK, "SCHED_S_TASK_READY", "the task is ready to run"},
    {0x00041301, HRESULT_OK, "SCHED_S_TASK_RUNNING", "the task is running"},
    {0x00041302, HRESULT_OK, "SCHED_S_TASK_DISABLED", "the task is disabled"},
    {0x00041303, HRESULT_OK, "SCHED_S_TASK_HAS_NOT_RUN", "the task has not run yet"},
    {0x00041304, HRESULT_OK, "SCHED_S_TASK_NO_MORE_RUNS", "no more runs are scheduled"},
    {0x00041305, HRESULT_OK, "SCHED_S_TASK_NOT_SCHEDULED", "the task has no schedule"},
    {0x00041306, HRESULT_OK, "SCHED_S_TASK_TERMINATED", "the last run was ended by the user"},
    {0x00041307, HRESULT_OK, "SCHED_S_TASK_NO_VALID_TRIGGERS", "no trigger is valid or enabled"},
    {0x00041308, HRESULT_OK, "SCHED_S_EVENT_TRIGGER", "event triggers have no set run times"},
    {0x0004131b, HRESULT_OK, "SCHED_S_SOME_TRIGGERS_FAILED",
     "registered, but not every trigger will start the task"},
    {0x0004131c, HRESULT_OK, "SCHED_S_BATCH_LOGON_PROBLEM",
     "registered, but the account may lack the right to log on as a batch job"},
    {0x00041325, HRESULT_OK, "SCHED_S_TASK_QUEUED", "the task is queued"},
    {0x80041309, HRESULT_NOT_FOUND, "SCHED_E_TRIGGER_NOT_FOUND", "no such trigger"},
    {0x8004130a, HRESULT_OTHER, "SCHED_E_TASK_NOT_READY", "a property of the task is not set"},
    {0x8004130b, HRESULT_OTHER, "SCHED_E_TASK_NOT_RUNNING", "no instance of the task is running"},
    {0x8004130c, HRESULT_OTHER, "SCHED_E_SERVICE_NOT_INSTALLED",
     "the task scheduler service is not installed"},
    {0x8004130d, HRESULT_OTHER, "SCHED_E_CANNOT_OPEN_TASK", "the task cannot be opened"},
    {0x8004130e, HRESULT_OTHER, "SCHED_E_INVALID_TASK", "the object is no task or damaged"},
    {0x8004130f, HRESULT_BAD_TASK, "SCHED_E_ACCOUNT_INFORMATION_NOT_SET",
     "no account is known for the task"},
    {0x80041310, HRESULT_BAD_TASK, "SCHED_E_ACCOUNT_NAME_NOT_FOUND",
     "the task's account does not exist"},
    {0x80041311, HRESULT_OTHER, "SCHED_E_ACCOUNT_DBASE_CORRUPT",
     "the scheduler's account database is damaged"},
    {0x80041312, HRESULT_OTHER, "SCHED_E_NO_SECURITY_SERVICES",
     "the scheduler has no security services"},
    {0x80041313, HRESULT_BAD_TASK, "SCHED_E_UNKNOWN_OBJECT_VERSION",
     "the task's version is not supported"},
    {0x80041314, HRESULT_BAD_TASK, "SCHED_E_UNSUPPORTED_ACCOUNT_OPTION",
     "the combination of account and options is not supported"},
    {0x80041315, HRESULT_BUSY, "SCHED_E_SERVICE_NOT_RUNNING",
     "the task scheduler service is not running"},
    {0x80041316, HRESULT_BAD_TASK, "SCHED_E_UNEXPECTEDNODE",
     "the task's XML has an unexpected node"},
    {0x80041317, HRESULT_BAD_TASK, "SCHED_E_NAMESPACE",
     "the task's XML has an element or attribute of an unexpected namespace"},
    {0x80041318, HRESULT_BAD_TASK, "SCHED_E_INVALIDVALUE",
     "the task's XML has a value that is wrongly formatted or out of range"},
    {0x80041319, HRESULT_BAD_TASK, "SCHED_E_MISSINGNODE",
     "the task's XML lacks a required element or attribute"},
    {0x8004131a, HRESULT_BAD_TASK, "SCHED_E_MALFORMEDXML", "the task's XML is malformed"},
    {0x8004131d, HRESULT_BAD_TASK, "SCHED_E_TOO_MANY_NODES",
     "the task's XML has too many nodes of one kind"},
    {0x8004131e, HRESULT_BAD_TASK, "SCHED_E_PAST_END_BOUNDARY",
     "the task's end boundary is in the past"},
    {0x8004131f, HRESULT_OTHER, "SCHED_E_ALREADY_RUNNING", "the task is running already"},
    {0x80041320, HRESULT_OTHER, "SCHED_E_USER_NOT_LOGGED_ON", "the task's user is not logged on"},
    {0x80041321, HRESULT_OTHER, "SCHED_E_INVALID_TASK_HASH",
     "the task's stored image was changed or damaged"},
    {0x80041322, HRESULT_BUSY, "SCHED_E_SERVICE_NOT_AVAILABLE",
     "the task scheduler service is not available"},
    {0x80041323, HRESULT_BUSY, "SCHED_E_SERVICE_TOO_BUSY",
     "the task scheduler service is too busy"},
    {0x80041324, HRESULT_OTHER, "SCHED_E_TASK_ATTEMPTED",
     "the start was attempted but failed for one of the task's conditions"},
    {0x80041326, HRESULT_OTHER, "SCHED_E_TASK_DISABLED", "the task is disabled"},
    {0x80041327, HRESULT_BAD_TASK, "SCHED_E_TASK_NOT_V1_COMPAT",
     "the task is not compatible with earlier versions"},
    {0x80041328, HRESULT_OTHER, "SCHED_E_START_ON_DEMAND",
     "the task does not allow a start on demand"},
    {0x80041329, HRESULT_BAD_TASK, "SCHED_E_TASK_NOT_UBPM_COMPAT",
     "the task is not compatible with this scheduler's engine"},
    {0x80041330, HRESULT_BAD_TASK, "SCHED_E_DEPRECATED_FEATURE_USED",
     "the task uses a feature that this target no longer has"},
    {0x80004005, HRESULT_OTHER, "E_FAIL", "unspecified failure"},
    {0x80070002, HRESULT_NOT_FOUND, "ERROR_FILE_NOT_FOUND", "no such task or folder"},
    {0x80070003, HRESULT_NOT_FOUND, "ERROR_PATH_NOT_FOUND", "no such folder"},
    {0x80070005, HRESULT_DENIED, "E_ACCESSDENIED", "access denied by the task scheduler"},
    {0x8007000d, HRESULT_BAD_TASK, "ERROR_INVALID_DATA", "the task's data is invalid"},
    {0x8007000e, HRESULT_BUSY, "E_OUTOFMEMORY", "the target is out of memory"},
    {0x80070032, HRESULT_OTHER, "ERROR_NOT_SUPPORTED", "the target does not support the request"},
    {0x80070050, HRESULT_EXISTS, "ERROR_FILE_EXISTS", "the task exists already"},
    {0x80070057, HRESULT_BAD_TASK, "E_INVALIDARG", "an argument is invalid"},
    {0x80070070, HRESULT_BUSY, "ERROR_DISK_FULL", "the target's system disk is full"},
    {0x8007007b, HRESULT_BAD_TASK, "ERROR_INVALID_NAME", "the task's path is invalid"},
    {0x80070091, HRESULT_OTHER, "ERROR_DIR_NOT_EMPTY", "the folder is not empty"},
    {0x800700b7, HRESULT_EXISTS, "ERROR_ALREADY_EXISTS", "the task or folder exists already"},
    {0x800700c1, HRESULT_OTHER, "ERROR_BAD_EXE_FORMAT", "the file is no program for this machine"},
    {0x8007010b, HRESULT_OTHER, "ERROR_DIRECTORY", "the working directory cannot be used"},
    {0x800702e4, HRESULT_OTHER, "ERROR_ELEVATION_REQUIRED",
     "the program wants administrator rights"},
    {0x80070534, HRESULT_BAD_TASK, "ERROR_NONE_MAPPED", "the task's account does not exist"},
    {0x8007052e, HRESULT_DENIED, "ERROR_LOGON_FAILURE",
     "the task's account or password is refused"},
    {0x80070569, HRESULT_OTHER, "ERROR_LOGON_TYPE_NOT_GRANTED",
     "the account may not log on as a batch job"},
    {0x800710e0, HRESULT_OTHER, "ERROR_REQUEST_REFUSED",
     "a condition of the task or the machine kept it from starting"},
    {0x80070718, HRESULT_BUSY, "ERROR_NOT_ENOUGH_QUOTA", "the target's quota is used up"},
    {0x8007071a, HRESULT_BUSY, "RPC_S_CALL_CANCELLED", "the call was cancelled on the target"},
};

static const struct hresult_row *find(uint32_t hresult)
{
    for (size_t i = 0; i < sizeof hresult_rows / sizeof hresult_rows[0]; i++) {
        if (hresult_rows[i].value == hresult)
            return &hresult_rows[i];
    }
    return NULL;
}

const char *hresult_name(uint32_t hresult)
{
    const struct hresult_row *row = find(hresult);
    return row != NULL ? row->name : "HRESULT";
}

const char *hresult_text(uint32_t hresult)
{
    const struct hresult_row *row = find(hresult);
    return row != NULL ? row->text : "";
}

enum hresult_kind hresult_kind(uint32_t hresult)
{
    const struct hresult_row *row = find(hresult);
    if (row != NULL)
        return row->kind;
    return (hresult & 0x80000000U) == 0 ? HRESULT_OK : HRESULT_OTHER; /* [MS-ERREF] 2.1: S bit */
}
