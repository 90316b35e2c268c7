/* ITaskSchedulerService: arguments to NDR bytes and answers back.
 *
 * The stage hands what tsch_encode_* wrote to rpc_client_call with the call's opnum, and the stub
 * of the answer to tsch_decode_*. A decoder fails only on bytes that make no sense; what the
 * scheduler says is the `hresult` of the result (hresult.h says what it means). Text is UTF-8 on
 * our side, UTF-16LE on the wire; task XML stays UTF-16LE (task_xml.h writes and reads it).
 *
 * Spec: [MS-TSCH] 3.2.5.4 and appendix A.3 (IDL), [C706] 14 (NDR).
 */
#ifndef PUSHER_RELAY_TSCH_TSCH_H
#define PUSHER_RELAY_TSCH_TSCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "relay/rpc/rpc.h"

/* 86D35949-83C9-4044-B424-DB363231FD0C v1.0 */
extern const struct rpc_interface tsch_interface;
#define TSCH_PIPE_NAME "atsvc" /* as SMB2 CREATE on IPC$ wants it */

/* [MS-TSCH] 3.2.5.4, methods in opnum order */
enum tsch_opnum {
    TSCH_HIGHEST_VERSION = 0,
    TSCH_REGISTER_TASK = 1,
    TSCH_RETRIEVE_TASK = 2,
    TSCH_CREATE_FOLDER = 3,
    TSCH_SET_SECURITY = 4,
    TSCH_GET_SECURITY = 5,
    TSCH_STOP = 11,
    TSCH_RUN = 12,
    TSCH_DELETE = 13,
    TSCH_GET_LAST_RUN_INFO = 16,
    TSCH_GET_TASK_INFO = 17,
    TSCH_ENABLE_TASK = 19,
};

/* [MS-TSCH] 3.2.5.4.2 flags */
#define TSCH_VALIDATE_ONLY 0x01U
#define TSCH_CREATE 0x02U
#define TSCH_UPDATE 0x04U
#define TSCH_DISABLE 0x08U
#define TSCH_DONT_ADD_PRINCIPAL_ACE 0x10U
#define TSCH_IGNORE_REGISTRATION_TRIGGERS 0x20U

/* [MS-TSCH] 2.3.9 logonType */
enum tsch_logon {
    TSCH_LOGON_NONE = 0,
    TSCH_LOGON_PASSWORD = 1,
    TSCH_LOGON_S4U = 2,
    TSCH_LOGON_INTERACTIVE_TOKEN = 3,
    TSCH_LOGON_GROUP = 4,
    TSCH_LOGON_SERVICE_ACCOUNT = 5,
};

/* [MS-TSCH] 2.3.13 */
enum tsch_task_state {
    TSCH_STATE_UNKNOWN = 0,
    TSCH_STATE_DISABLED = 1,
    TSCH_STATE_QUEUED = 2,
    TSCH_STATE_READY = 3,
    TSCH_STATE_RUNNING = 4,
};

/* [MS-TSCH] 3.2.5.4.6 securityInformation */
#define TSCH_SECURITY_OWNER 0x1U
#define TSCH_SECURITY_GROUP 0x2U
#define TSCH_SECURITY_DACL 0x4U

struct tsch_register {
    const char *path;   /* "\Pusher\<id>-<generation>", UTF-8 */
    const uint8_t *xml; /* UTF-16LE without a NUL */
    size_t xml_size;    /* bytes, even */
    uint32_t flags;     /* TSCH_VALIDATE_ONLY ... */
    const char *sddl;   /* NULL: inherit */
    enum tsch_logon logon;
};

/* Encoders append to `out`, which must be empty (NDR aligns from its start).
 * Errors: ERR_INVALID (text is not UTF-8), ERR_LIMIT (out's maximum). */
int tsch_encode_highest_version(struct buf *out, struct err *err);
int tsch_encode_register(struct buf *out, const struct tsch_register *task, struct err *err);
int tsch_encode_retrieve(struct buf *out, const char *path, struct err *err);
/* sddl may be NULL. */
int tsch_encode_create_folder(struct buf *out, const char *path, const char *sddl, struct err *err);
int tsch_encode_set_security(struct buf *out, const char *path, const char *sddl, uint32_t flags,
                             struct err *err);
int tsch_encode_get_security(struct buf *out, const char *path, uint32_t information,
                             struct err *err);
int tsch_encode_stop(struct buf *out, const char *path, struct err *err);
int tsch_encode_run(struct buf *out, const char *path, uint32_t flags, struct err *err);
int tsch_encode_delete(struct buf *out, const char *path, struct err *err);
int tsch_encode_get_last_run_info(struct buf *out, const char *path, struct err *err);
int tsch_encode_get_task_info(struct buf *out, const char *path, struct err *err);
int tsch_encode_enable_task(struct buf *out, const char *path, bool enabled, struct err *err);

#define TSCH_PATH_SIZE 512
#define TSCH_NODE_SIZE 128

struct tsch_register_result {
    uint32_t hresult;
    char actual_path[TSCH_PATH_SIZE]; /* "" when the server gave none; cut if longer */
    bool has_error_info;              /* the next four are filled: where the XML is wrong */
    uint32_t line;
    uint32_t column;
    char node[TSCH_NODE_SIZE];  /* offending element, cut if longer */
    char value[TSCH_NODE_SIZE]; /* its value, cut if longer */
};

/* [MS-DTYP] 2.3.13 SYSTEMTIME; all zero when the task has not run. Local time of the target. */
struct tsch_time {
    uint16_t year, month, day_of_week, day, hour, minute, second, millisecond;
};

/* Decoders. Errors: ERR_PROTOCOL. Nothing is filled on error. */
int tsch_decode_highest_version(const uint8_t *stub, size_t size, uint32_t *version,
                                uint32_t *hresult, struct err *err);
int tsch_decode_register(const uint8_t *stub, size_t size, struct tsch_register_result *result,
                         struct err *err);
/* *xml points into the stub (UTF-16LE without the NUL); NULL when the server gave none. */
int tsch_decode_retrieve(const uint8_t *stub, size_t size, const uint8_t **xml, size_t *xml_size,
                         uint32_t *hresult, struct err *err);
/* Appends the SDDL as UTF-8; nothing when the server gave none. */
int tsch_decode_get_security(const uint8_t *stub, size_t size, struct buf *sddl, uint32_t *hresult,
                             struct err *err);
/* SchRpcRun: guid is the instance's, as on the wire. */
int tsch_decode_run(const uint8_t *stub, size_t size, uint8_t guid[16], uint32_t *hresult,
                    struct err *err);
/* return_code is the exit code of the last run; hresult SCHED_S_TASK_HAS_NOT_RUN: never ran. */
int tsch_decode_get_last_run_info(const uint8_t *stub, size_t size, struct tsch_time *last_run,
                                  uint32_t *return_code, uint32_t *hresult, struct err *err);
/* state is TSCH_STATE_* or a number that we do not know. */
int tsch_decode_get_task_info(const uint8_t *stub, size_t size, bool *enabled, uint32_t *state,
                              uint32_t *hresult, struct err *err);
/* SchRpcCreateFolder, SetSecurity, Stop, Delete, EnableTask answer with an HRESULT alone. */
int tsch_decode_hresult(const uint8_t *stub, size_t size, uint32_t *hresult, struct err *err);

#endif
