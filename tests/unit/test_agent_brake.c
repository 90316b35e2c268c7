/* The relay's core and logons: what the brake holds, and what stops a credential. See
 * agent_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

/* Targets t<first> on are in ACCESS, not connected yet. */
static void enter_access(struct world *world, uint32_t first, uint32_t count)
{
    lease(world, &push_a, first, count, 1);
    for (uint32_t no = first; no < first + count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        pass_until(world, name, STAGE_ACCESS);
    }
    forget_trace(world);
}

static void brake_holds_all_logons_but_the_first(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 4);
    connected(&world, "At2");
    saw(&world, "logon At2\n");
    connected(&world, "At1");
    connected(&world, "At0");
    connected(&world, "At1");
    saw(&world, "");
    pass(&world, "At2");
    saw(&world, "logon At1\nlogon At0\nrun At2 path\n");
    connected(&world, "At3");
    saw(&world, "logon At3\n");
    world_release(&world);
}

static void silent_ports_take_no_session_from_others(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.connect_max = 4;
    config.session_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    enter_access(&world, 0, 4);
    connected(&world, "At3");
    saw(&world, "logon At3\n");
    connected(&world, "At2");
    saw(&world, ""); /* no place */
    connected(&world, "At3");
    saw(&world, "logon At2\n"); /* At3 lost its connection, and its place */
    pass_live_ms(&world, config.logon_wait_ms + 1000);
    /* Waiting for a place is nothing that other machines do to the account. */
    assert_null(strstr(buf_cstr(&world.trace), "outcome"));
    forget_trace(&world);
    answer(&world, "At2", AGENT_FAILED, REASON_BAD_SHARE);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon At3\n"));
    assert_int_equal(agent_counters(world.agent).sessions, 1);
    world_release(&world);
}

/* Ports that are filtered: no password was sent, so there is nothing to wait for. No time passes.
 */
static void brake_unreachable_machines_hold_up_no_other(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    uint64_t began_ms = world.now_ms;
    enter_access(&world, 0, 200);
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_ACCESS], 200);
    enter_access(&world, 200, 1);
    connected(&world, "At200");
    saw(&world, "logon At200\n");
    pass(&world, "At200");
    saw(&world, "run At200 path\n");
    answer(&world, "At0", AGENT_FAILED, REASON_CONNECT_TIMEOUT);
    assert_int_equal(world.now_ms, began_ms);
    world_release(&world);
}

static void brake_silent_machine_holds_up_a_second_only(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    connected(&world, "At2");
    saw(&world, "logon At0\n");
    pass_ms(&world, 999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "logon At1\n");
    pass_ms(&world, 1000);
    saw(&world, "logon At2\n");
    world_release(&world);
}

static void connect_all(struct world *world, uint32_t first, uint32_t count)
{
    for (uint32_t no = first; no < first + count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        connected(world, name);
    }
}

/* Each of them may yet be refused: the third is the last, however long they think. */
static void brake_silent_machines_never_pass_the_limit_of_refusals(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 7);
    connect_all(&world, 0, 7);
    pass_live_ms(&world, 2000);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon At2\n"));
    forget_trace(&world);
    pass_live_ms(&world, 60000);
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_CONN_LOST);
    saw(&world, "outcome A/1 #0.1 failed access CONN_LOST\ndrop At0\nlogon At3\nresults A#0.1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world, "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nresults A#1.1\n");
    ack_results(&world);
    pass_live_ms(&world, 537999);
    forget_trace(&world);
    pass_live_ms(&world, 1);
    saw(&world, "outcome A/1 #4.1 failed access CREDENTIAL_BRAKE\ndrop At4\n"
                "outcome A/1 #5.1 failed access CREDENTIAL_BRAKE\ndrop At5\n"
                "outcome A/1 #6.1 failed access CREDENTIAL_BRAKE\ndrop At6\n"
                "results A#4.1 A#5.1 A#6.1\n");
    world_release(&world);
}

static void brake_second_connection_asks_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    saw(&world, "logon At0\n");
    connected(&world, "At0"); /* the first connection broke: its logon is over */
    saw(&world, "logon At1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nlogon At0\nresults A#1.1\n");
    world_release(&world);
}

static void brake_three_refusals_stop_the_account(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 6);
    static const char *const names[] = {"At0", "At1", "At2", "At3", "At4"};
    for (size_t i = 0; i < 5; i++)
        connected(&world, names[i]);
    answer(&world, "At0", AGENT_FAILED, REASON_LOGON_FAILURE);
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "logon At0\n"
        "outcome A/1 #0.1 failed access LOGON_FAILURE\ndrop At0\nlogon At1\nresults A#0.1\n"
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nlogon At2\nresults A#1.1\n");
    answer(&world, "At2", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world, "outcome A/1 #2.1 failed access LOGON_FAILURE\ndrop At2\n"
                "outcome A/1 #3.1 failed access CREDENTIAL_BRAKE\ndrop At3\n"
                "outcome A/1 #4.1 failed access CREDENTIAL_BRAKE\ndrop At4\n"
                "results A#2.1 A#3.1 A#4.1\n");
    connected(&world, "At5"); /* was still on its way to the port */
    saw(&world, "outcome A/1 #5.1 failed access CREDENTIAL_BRAKE\ndrop At5\nresults A#5.1\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    world_release(&world);
}

static void brake_locked_account_stops_at_once(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    enter_access(&world, 0, 1);
    lease(&world, &push_a, 1, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_ACCOUNT_LOCKED);
    pass_until(&world, "At1", STAGE_PING);
    forget_trace(&world);
    pass(&world, "At1");
    saw(&world, "outcome A/1 #1.1 failed access CREDENTIAL_BRAKE\ndrop At1\nresults A#1.1\n");
    world_release(&world);
}

/* ACCESS_DENIED comes from the share, to somebody who is in, or instead of the logon. */
static void brake_denied_before_the_logon_proves_nothing(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 4);
    connect_all(&world, 0, 4);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_ACCESS_DENIED);
    saw(&world, "outcome A/1 #0.1 failed access ACCESS_DENIED\ndrop At0\nlogon At1\n"
                "results A#0.1\n");
    world.logged_on = true;
    answer(&world, "At1", AGENT_FAILED, REASON_ACCESS_DENIED);
    saw(&world, "outcome A/1 #1.1 failed access ACCESS_DENIED\ndrop At1\nlogon At2\nlogon At3\n"
                "results A#1.1\n");
    world_release(&world);
}

/* Push B, with the account and secret of push A. */
static void share_credential(struct world *world, const struct agent_job *job_a)
{
    struct agent_job job = job_of(&push_b, 7);
    job.credential_no = job_a->credential_no;
    job.local_account = job_a->local_account;
    give_job(world, &job);
}

static void brake_concurrent_pushes_share_one_count(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_a, 1);
    share_credential(&world, &job);
    enter_access(&world, 0, 3);
    connect_all(&world, 0, 2);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    connected(&world, "Bt0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_LOGON_FAILURE);
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_non_null(strstr(buf_cstr(&world.trace), "logon Bt0\n"));
    forget_trace(&world);
    connected(&world, "At2");
    answer(&world, "Bt0", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_non_null(strstr(buf_cstr(&world.trace), "A/1 #2.1 failed access CREDENTIAL_BRAKE\n"));
    pass_until(&world, "Bt1", STAGE_PING);
    forget_trace(&world);
    pass(&world, "Bt1");
    assert_non_null(strstr(buf_cstr(&world.trace), "B/1 #1.1 failed access CREDENTIAL_BRAKE\n"));
    world_release(&world);
}

/* Push A is refused `count` times and closed; then push B comes with the same credential. Whether
 * it may try its first logon. */
static bool may_try_after(const struct agent_job *job_a, uint32_t count, enum reason reason,
                          uint64_t pause_ms)
{
    struct world world;
    struct agent_config config = test_config();
    world_ready(&world, &config);
    give_job(&world, job_a);
    enter_access(&world, 0, count);
    connect_all(&world, 0, count);
    for (uint32_t no = 0; no < count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        answer(&world, name, AGENT_FAILED, reason);
    }
    refer(&world, AGENT_CLOSE, &push_a);
    pass_live_ms(&world, pause_ms);
    share_credential(&world, job_a);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_PING);
    forget_trace(&world);
    pass(&world, "Bt0");
    bool tries = strstr(buf_cstr(&world.trace), "run Bt0 access\n") != NULL;
    assert_true(tries || strstr(buf_cstr(&world.trace), "CREDENTIAL_BRAKE") != NULL);
    world_release(&world);
    return tries;
}

static void brake_remembers_wrong_passwords_of_domain_accounts(void **state)
{
    (void)state;
    struct agent_job job = job_of(&push_a, 2); /* replaces the one that the world begins with */
    job.credential_no = 9;
    assert_false(may_try_after(&job, 3, REASON_LOGON_FAILURE, 0));
    assert_false(may_try_after(&job, 3, REASON_LOGON_FAILURE, 1700000));
    assert_true(may_try_after(&job, 3, REASON_LOGON_FAILURE, 1800000));
    assert_true(may_try_after(&job, 2, REASON_LOGON_FAILURE, 0));
    /* What an administrator mends without a new password doesn't last. */
    assert_true(may_try_after(&job, 1, REASON_ACCOUNT_LOCKED, 0));
    assert_true(may_try_after(&job, 3, REASON_ACCOUNT_DISABLED, 0));
    job.local_account = true; /* other machines count for themselves */
    assert_true(may_try_after(&job, 3, REASON_LOGON_FAILURE, 0));
}

static void held_logon_whose_lease_runs_out_dropped(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.logon_patience_ms = 2 * LEASE_MS;
    world_ready(&world, &config);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    forget_trace(&world);
    pass_ms(&world, LEASE_MS * 8 / 10);
    assert_non_null(strstr(buf_cstr(&world.trace), "drop At0\ndrop At1\n"));
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_ACCESS], 0);
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_CONNECTED, .key = world.runs[1].key};
    step(&world, &event);
    pass_ms(&world, 2 * LEASE_MS);
    assert_null(strstr(buf_cstr(&world.trace), "logon"));
    world_release(&world);
}

static void held_logon_under_stop_dropped(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    connected(&world, "At2");
    forget_trace(&world);
    answer(&world, "At1", AGENT_FAILED, REASON_CONN_LOST); /* while held */
    saw(&world, "outcome A/1 #1.1 failed access CONN_LOST\ndrop At1\nresults A#1.1\n");
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "drop At2\ncancelled A#2.1\n");
    pass(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1\n");
    pass_ms(&world, 5000);
    saw(&world, "");
    world_release(&world);
}

static void connection_under_stop_logs_on_nowhere(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    enter_access(&world, 1, 1);
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "");
    connected(&world, "At1");
    saw(&world, "drop At1\ncancelled A#1.1\n");
    world_release(&world);
}

static void held_logon_past_deadline_expired(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 2);
    connected(&world, "At0");
    connected(&world, "At1");
    forget_trace(&world);
    world.now_unix_ms = UNIX_START_MS + 3600000;
    step_kind(&world, AGENT_TICK);
    saw(&world, "outcome A/1 #1.1 expired access EXPIRED\ndrop At1\nresults A#1.1\n");
    world_release(&world);
}

static void held_logon_does_not_delay_shutdown(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    enter_access(&world, 0, 3);
    connected(&world, "At0");
    connected(&world, "At1");
    answer(&world, "At0", AGENT_FAILED, REASON_NAME_MISMATCH);
    forget_trace(&world);
    connected(&world, "At2");
    saw(&world, "");
    step_kind(&world, AGENT_SHUTDOWN);
    saw(&world, "drop At2\n");
    answer(&world, "At1", AGENT_FAILED, REASON_LOGON_FAILURE);
    saw(&world,
        "outcome A/1 #1.1 failed access LOGON_FAILURE\ndrop At1\nresults A#1.1\nfinished\n");
    world_release(&world);
}

static void brake_after_success_lets_wrong_passwords_be(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    lease(&world, &push_a, 0, 5, 1);
    static const char *const names[] = {"At0", "At1", "At2", "At3"};
    for (size_t i = 0; i < 4; i++) {
        pass_until(&world, names[i], STAGE_ACCESS);
        answer(&world, names[i], AGENT_FAILED, REASON_LOGON_FAILURE);
    }
    pass_until(&world, "At4", STAGE_PING);
    forget_trace(&world);
    pass(&world, "At4");
    saw(&world, "run At4 access\n");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_ports_take_no_session_from_others),
        cmocka_unit_test(brake_holds_all_logons_but_the_first),
        cmocka_unit_test(brake_unreachable_machines_hold_up_no_other),
        cmocka_unit_test(brake_silent_machine_holds_up_a_second_only),
        cmocka_unit_test(brake_silent_machines_never_pass_the_limit_of_refusals),
        cmocka_unit_test(brake_second_connection_asks_again),
        cmocka_unit_test(held_logon_whose_lease_runs_out_dropped),
        cmocka_unit_test(held_logon_under_stop_dropped),
        cmocka_unit_test(connection_under_stop_logs_on_nowhere),
        cmocka_unit_test(held_logon_past_deadline_expired),
        cmocka_unit_test(held_logon_does_not_delay_shutdown),
        cmocka_unit_test(brake_three_refusals_stop_the_account),
        cmocka_unit_test(brake_locked_account_stops_at_once),
        cmocka_unit_test(brake_denied_before_the_logon_proves_nothing),
        cmocka_unit_test(brake_concurrent_pushes_share_one_count),
        cmocka_unit_test(brake_remembers_wrong_passwords_of_domain_accounts),
        cmocka_unit_test(brake_after_success_lets_wrong_passwords_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
