/* relay/stage: what a target's numbers and times come to. Covers status_reason, failure_reason,
 * hresult_reason, fault_reason, ntstatus_name, rpc_fault_name, hresult_name, boundary_parse,
 * filetime_to_unix_s, start_plan_make, start_plan_text, namecheck_fits.
 *
 * Holds: a failure has a reason that a row may have, whatever the number; a start is never before
 * the target's clock and the margin; a boundary that is read is written the same again; a name fits
 * only when its first label is the one that the target told. */
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "relay/rpc/rpc.h"
#include "relay/stage/namecheck.h"
#include "relay/stage/starttime.h"
#include "relay/stage/statusmap.h"
#include "relay/tsch/hresult.h"

static void check_reason(enum reason reason)
{
    FUZZ_CHECK(reason > REASON_NONE && reason < REASON_COUNT);
    FUZZ_CHECK(reason_word(reason)[0] != '\0');
}

static void check_numbers(struct cursor *c)
{
    uint32_t number = cursor_u32le(c);
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        check_reason(status_reason((enum stage)stage, number));
    for (int failure = SMB_FAILURE_NONE; failure <= SMB_FAILURE_SESSION_LOST; failure++)
        check_reason(failure_reason((enum smb_failure)failure, number));
    check_reason(hresult_reason(number));
    check_reason(fault_reason(number));
    check_reason(connect_reason((int)number));
    const char *name = ntstatus_name(number);
    FUZZ_CHECK(name == NULL || name[0] != '\0');
    FUZZ_CHECK(rpc_fault_name(number)[0] != '\0' && hresult_name(number)[0] != '\0');
    FUZZ_CHECK(hresult_kind(number) == HRESULT_OK || number >> 31 == 1);
}

static void check_times(struct cursor *c)
{
    struct job job = {.zone = TIME_ZONE_UTC};
    struct start_plan plan;
    struct err err = {0};
    char text[STARTTIME_TEXT_SIZE];
    uint64_t system_time = cursor_u64le(c);
    uint32_t elapsed_ms = cursor_u32le(c);
    job.start_unix_s = cursor_u32le(c);
    job.end_unix_s = (int64_t)(cursor_u64le(c) >> 8);
    if (cursor_u8(c) != 0)
        job.zone = TIME_ZONE_TARGET;
    if (start_plan_make(&job, system_time, elapsed_ms, &plan, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    FUZZ_CHECK(plan.end_unix_s > plan.start_unix_s);
    if (plan.utc)
        FUZZ_CHECK(plan.start_unix_s >= filetime_to_unix_s(system_time) + STARTTIME_MARGIN_S);
    FUZZ_CHECK(start_plan_text(&plan, text)[0] != '\0');
}

static void check_boundary(struct cursor *c)
{
    char text[STARTTIME_TEXT_SIZE];
    char again[STARTTIME_TEXT_SIZE];
    int64_t at = 0;
    int64_t at_again = 0;
    bool utc = false;
    bool utc_again = false;
    fuzz_text(c, text, sizeof text);
    if (boundary_parse(text, &at, &utc) != 0)
        return;
    struct start_plan plan = {.start_unix_s = at, .utc = utc};
    (void)start_plan_text(&plan, again);
    if (again[0] == '?' || at < -62135596800) /* before the year 1 */
        return;
    FUZZ_CHECK(boundary_parse(again, &at_again, &utc_again) == 0);
    FUZZ_CHECK(at == at_again && utc == utc_again);
}

static void check_names(struct cursor *c)
{
    struct auth_peer peer = {.known = (cursor_u8(c) & 1) != 0};
    char target[AUTH_NAME_SIZE];
    fuzz_text(c, target, sizeof target);
    fuzz_text(c, peer.netbios_computer, sizeof peer.netbios_computer);
    fuzz_text(c, peer.dns_computer, sizeof peer.dns_computer);
    if (!namecheck_fits(target, &peer))
        return;
    size_t length = strcspn(target, ".");
    bool dns = strcspn(peer.dns_computer, ".") == length &&
               strncasecmp(target, peer.dns_computer, length) == 0;
    size_t netbios_length = strlen(peer.netbios_computer);
    bool netbios = netbios_length > 0 && netbios_length <= length &&
                   strncasecmp(target, peer.netbios_computer, netbios_length) == 0 &&
                   (netbios_length == length || netbios_length == NAMECHECK_NETBIOS_LENGTH);
    FUZZ_CHECK(peer.known && length > 0 && (dns || netbios));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    check_numbers(&c);
    check_times(&c);
    check_boundary(&c);
    check_names(&c);
    return 0;
}
