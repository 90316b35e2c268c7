/* The task scheduler's HRESULTs: names and sentences for people, kinds for decisions.
 * Spec: [MS-TSCH] 2.3.14, [MS-ERREF] 2.1.
 */
#ifndef PUSHER_RELAY_TSCH_HRESULT_H
#define PUSHER_RELAY_TSCH_HRESULT_H

#include <stdbool.h>
#include <stdint.h>

/* What an HRESULT means for a push. */
enum hresult_kind {
    HRESULT_OK,        /* the severity bit is clear: S_OK, SCHED_S_TASK_HAS_NOT_RUN, ... */
    HRESULT_EXISTS,    /* a task or folder of that path is there already */
    HRESULT_NOT_FOUND, /* no such task or folder */
    HRESULT_DENIED,    /* no right to */
    HRESULT_BAD_TASK,  /* the task's definition is refused */
    HRESULT_BUSY,      /* service stopped, too busy or out of resources: later perhaps */
    HRESULT_OTHER,     /* any other failure */
};

/* Those that code compares with; hresult.c knows more. */
#define HRESULT_S_OK 0x00000000U
#define HRESULT_SCHED_S_TASK_RUNNING 0x00041301U
#define HRESULT_SCHED_S_TASK_HAS_NOT_RUN 0x00041303U
#define HRESULT_SCHED_S_TASK_TERMINATED 0x00041306U
#define HRESULT_SCHED_S_BATCH_LOGON_PROBLEM 0x0004131CU
#define HRESULT_FILE_NOT_FOUND 0x80070002U
#define HRESULT_PATH_NOT_FOUND 0x80070003U
#define HRESULT_ACCESS_DENIED 0x80070005U
#define HRESULT_REQUEST_REFUSED 0x800710E0U
#define HRESULT_ALREADY_EXISTS 0x800700B7U
#define HRESULT_SCHED_E_MALFORMEDXML 0x8004131AU

/* "SCHED_E_MALFORMEDXML"; "HRESULT" for a value that is not in the table. Static text. */
const char *hresult_name(uint32_t hresult);
/* A sentence for people; "" for a value that is not in the table. Static text. */
const char *hresult_text(uint32_t hresult);
enum hresult_kind hresult_kind(uint32_t hresult);

#endif
