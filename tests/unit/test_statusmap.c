/* relay/stage/statusmap: what codes mean at a stage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/smb/status.h"
#include "relay/stage/statusmap.h"
#include "relay/tsch/hresult.h"
#include "tests/unit/reason_seen.h"

static void status_known_gives_its_reason(void **state)
{
    (void)state;
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_LOGON_FAILURE), REASON_LOGON_FAILURE);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_WRONG_PASSWORD), REASON_LOGON_FAILURE);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_ACCOUNT_LOCKED_OUT),
                     REASON_ACCOUNT_LOCKED);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_ACCOUNT_EXPIRED),
                     REASON_ACCOUNT_DISABLED);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_PASSWORD_MUST_CHANGE),
                     REASON_PASSWORD_EXPIRED);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_LOGON_TYPE_NOT_GRANTED),
                     REASON_ACCESS_DENIED);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_NTLM_BLOCKED), REASON_NTLM_BLOCKED);
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_TIME_DIFFERENCE_AT_DC),
                     REASON_CLOCK_SKEW);
    assert_int_equal(status_reason(STAGE_COPY, NTSTATUS_DISK_FULL), REASON_DISK_FULL);
    assert_int_equal(status_reason(STAGE_COPY, NTSTATUS_SHARING_VIOLATION),
                     REASON_SHARING_VIOLATION);
    assert_int_equal(status_reason(STAGE_COPY, NTSTATUS_VIRUS_INFECTED), REASON_AV_BLOCKED);
}

static void status_means_what_the_stage_makes_of_it(void **state)
{
    (void)state;
    assert_int_equal(status_reason(STAGE_ACCESS, NTSTATUS_BAD_NETWORK_NAME), REASON_BAD_SHARE);
    assert_int_equal(status_reason(STAGE_SCHEDULE, NTSTATUS_BAD_NETWORK_NAME),
                     REASON_RPC_UNAVAILABLE);
    assert_int_equal(status_reason(STAGE_SCHEDULE, NTSTATUS_OBJECT_NAME_NOT_FOUND),
                     REASON_RPC_UNAVAILABLE);
    assert_int_equal(status_reason(STAGE_COPY, NTSTATUS_OBJECT_NAME_NOT_FOUND),
                     REASON_PROTOCOL_ERROR);
    assert_int_equal(status_reason(STAGE_PATH, NTSTATUS_OBJECT_NAME_COLLISION),
                     REASON_NOT_A_DIRECTORY);
    assert_int_equal(status_reason(STAGE_COPY, NTSTATUS_OBJECT_NAME_COLLISION),
                     REASON_PROTOCOL_ERROR);
}

static void connect_errno_gives_its_reason(void **state)
{
    (void)state;
    assert_int_equal(connect_reason(ECONNREFUSED), REASON_PORT_CLOSED);
    assert_int_equal(connect_reason(EHOSTUNREACH), REASON_HOST_UNREACHABLE);
    assert_int_equal(connect_reason(ETIMEDOUT), REASON_CONNECT_TIMEOUT);
    assert_int_equal(connect_reason(EMFILE), REASON_INTERNAL);
    reason_seen(REASON_INTERNAL);
    assert_int_equal(connect_reason(ECONNRESET), REASON_CONN_LOST);
}

static void status_unknown_is_a_protocol_error(void **state)
{
    (void)state;
    assert_int_equal(status_reason(STAGE_COPY, 0xC0FFEE00U), REASON_PROTOCOL_ERROR);
}

static void failure_of_logon_without_status_is_a_guest(void **state)
{
    (void)state;
    assert_int_equal(failure_reason(SMB_FAILURE_LOGON, 0), REASON_LOGON_FAILURE);
    assert_int_equal(failure_reason(SMB_FAILURE_LOGON, NTSTATUS_ACCOUNT_DISABLED),
                     REASON_ACCOUNT_DISABLED);
    assert_int_equal(failure_reason(SMB_FAILURE_LOGON, 0xC0FFEE00U), REASON_LOGON_FAILURE);
    assert_int_equal(failure_reason(SMB_FAILURE_SIGNING, 0), REASON_SIGNING_REFUSED);
    assert_int_equal(failure_reason(SMB_FAILURE_DIALECT, 0), REASON_DIALECT_REFUSED);
    assert_int_equal(failure_reason(SMB_FAILURE_CLOCK, 0), REASON_CLOCK_SKEW);
}

static void scheduler_codes_give_reasons(void **state)
{
    (void)state;
    assert_int_equal(hresult_reason(HRESULT_ACCESS_DENIED), REASON_ACCESS_DENIED);
    assert_int_equal(hresult_reason(HRESULT_SCHED_E_MALFORMEDXML), REASON_BAD_TASK);
    assert_int_equal(hresult_reason(0x80041315U), REASON_SCHEDULER_REFUSED);
    assert_int_equal(hresult_reason(0x800700E1U), REASON_AV_BLOCKED);
    assert_int_equal(fault_reason(5), REASON_ACCESS_DENIED);
    assert_int_equal(fault_reason(0x1C010003U), REASON_SCHEDULER_REFUSED);
    assert_int_equal(fault_reason(0x1C010014U), REASON_RPC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_known_gives_its_reason),
        cmocka_unit_test(status_means_what_the_stage_makes_of_it),
        cmocka_unit_test(connect_errno_gives_its_reason),
        cmocka_unit_test(status_unknown_is_a_protocol_error),
        cmocka_unit_test(failure_of_logon_without_status_is_a_guest),
        cmocka_unit_test(scheduler_codes_give_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
