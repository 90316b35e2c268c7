/* Names of NTSTATUS values. */
#include "relay/smb/status.h"

#include <stddef.h>

struct status_row {
    uint32_t status;
    const char *name;
};

#define ROW(name)                                                                                  \
    {                                                                                              \
        NTSTATUS_##name, #name                                                                     \
    }

/* Ascending, for the binary search. */
static const struct status_row rows[] = {
    ROW(SUCCESS),
    ROW(PENDING),
    ROW(NOTIFY_CLEANUP),
    ROW(BUFFER_OVERFLOW),
    ROW(NO_MORE_FILES),
    ROW(STOPPED_ON_SYMLINK),
    ROW(UNSUCCESSFUL),
    ROW(NOT_IMPLEMENTED),
    ROW(INVALID_INFO_CLASS),
    ROW(INFO_LENGTH_MISMATCH),
    ROW(INVALID_HANDLE),
    ROW(INVALID_PARAMETER),
    ROW(NO_SUCH_FILE),
    ROW(INVALID_DEVICE_REQUEST),
    ROW(END_OF_FILE),
    ROW(MORE_PROCESSING_REQUIRED),
    ROW(ACCESS_DENIED),
    ROW(BUFFER_TOO_SMALL),
    ROW(OBJECT_NAME_INVALID),
    ROW(OBJECT_NAME_NOT_FOUND),
    ROW(OBJECT_NAME_COLLISION),
    ROW(OBJECT_PATH_INVALID),
    ROW(OBJECT_PATH_NOT_FOUND),
    ROW(OBJECT_PATH_SYNTAX_BAD),
    ROW(SHARING_VIOLATION),
    ROW(QUOTA_EXCEEDED),
    ROW(FILE_LOCK_CONFLICT),
    ROW(DELETE_PENDING),
    ROW(INVALID_OWNER),
    ROW(PRIVILEGE_NOT_HELD),
    ROW(NO_SUCH_USER),
    ROW(WRONG_PASSWORD),
    ROW(LOGON_FAILURE),
    ROW(ACCOUNT_RESTRICTION),
    ROW(INVALID_LOGON_HOURS),
    ROW(INVALID_WORKSTATION),
    ROW(PASSWORD_EXPIRED),
    ROW(ACCOUNT_DISABLED),
    ROW(DISK_FULL),
    ROW(INSUFFICIENT_RESOURCES),
    ROW(MEDIA_WRITE_PROTECTED),
    ROW(PIPE_NOT_AVAILABLE),
    ROW(PIPE_BUSY),
    ROW(PIPE_DISCONNECTED),
    ROW(IO_TIMEOUT),
    ROW(FILE_FORCED_CLOSED),
    ROW(FILE_IS_A_DIRECTORY),
    ROW(NOT_SUPPORTED),
    ROW(UNEXPECTED_NETWORK_ERROR),
    ROW(NETWORK_NAME_DELETED),
    ROW(NETWORK_ACCESS_DENIED),
    ROW(BAD_NETWORK_NAME),
    ROW(REQUEST_NOT_ACCEPTED),
    ROW(NOT_SAME_DEVICE),
    ROW(PIPE_EMPTY),
    ROW(INTERNAL_ERROR),
    ROW(DIRECTORY_NOT_EMPTY),
    ROW(NOT_A_DIRECTORY),
    ROW(CANCELLED),
    ROW(CANNOT_DELETE),
    ROW(FILE_DELETED),
    ROW(FILE_CLOSED),
    ROW(TIME_DIFFERENCE_AT_DC),
    ROW(PIPE_BROKEN),
    ROW(LOGON_TYPE_NOT_GRANTED),
    ROW(TRUSTED_DOMAIN_FAILURE),
    ROW(TRUSTED_RELATIONSHIP_FAILURE),
    ROW(ACCOUNT_EXPIRED),
    ROW(USER_SESSION_DELETED),
    ROW(CONNECTION_DISCONNECTED),
    ROW(CONNECTION_RESET),
    ROW(PASSWORD_MUST_CHANGE),
    ROW(NOT_FOUND),
    ROW(ACCOUNT_LOCKED_OUT),
    ROW(CONNECTION_REFUSED),
    ROW(PATH_NOT_COVERED),
    ROW(IO_REPARSE_TAG_NOT_HANDLED),
    ROW(NETWORK_SESSION_EXPIRED),
    ROW(AUTHENTICATION_FIREWALL_FAILED),
    ROW(NTLM_BLOCKED),
    ROW(VIRUS_INFECTED),
    ROW(VIRUS_DELETED),
    ROW(SMB_BAD_CLUSTER_DIALECT),
};

const char *ntstatus_name(uint32_t status)
{
    size_t low = 0;
    size_t high = sizeof rows / sizeof rows[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].status == status)
            return rows[middle].name;
        if (rows[middle].status < status)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool ntstatus_is_error(uint32_t status)
{
    bool is_warning = status >> 30 == 2;
    return status >> 30 == 3 ||
           (is_warning && status != NTSTATUS_BUFFER_OVERFLOW && status != NTSTATUS_NO_MORE_FILES);
}
