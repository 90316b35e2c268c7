/* The relay's core around INTENT: journal, reading back, deadlines, STOP, CLOSE, shutdown. See
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

static void journal_outcome_survives_restart(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 0, 1, false);
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 1, 1, true);
    saw(&world, "");
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    saw(&world, "hello instance=7 credit=512\nresults A#0.1\n");
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 1, 1, 2);
    saw(&world, "renew A/1 #1.2\nresults A#1.2\n");
    world_release(&world);
}

static void journal_intent_reads_back_without_copying(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void journal_intent_unreachable_becomes_unknown_effect(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.read_back_ms = 2500;
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    pass(&world, "At0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    saw(&world, "drop At0\n");
    pass_ms(&world, 1000);
    saw(&world, "run At0 resolve\n");
    pass(&world, "At0");
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    saw(&world, "run At0 ping\ndrop At0\n");
    pass_ms(&world, 2000);
    answer(&world, "At0", AGENT_FAILED, REASON_DNS_TIMEOUT);
    saw(&world, "run At0 resolve\noutcome A/1 #0.2 unknown_effect schedule NO_REPLY\ndrop At0\n"
                "results A#0.2\n");
    world_release(&world);
}

static void effect_unknown_reads_back_on_new_session(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    pass_ms(&world, 999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "run At0 access\n");
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    assert_int_equal(world.effects.outcomes[0].tries, 2);
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void effect_unknown_for_long_is_unknown_effect(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.read_back_ms = 1500;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "At0");
    pass_ms(&world, 500);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_RPC_UNAVAILABLE);
    saw(&world, "outcome A/1 #0.1 unknown_effect schedule CONN_LOST\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void read_back_with_clear_answer_counts(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "At0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NAME_CONFLICT);
    saw(&world, "outcome A/1 #0.1 failed schedule NAME_CONFLICT\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void deadline_passed_expires_waiting_targets(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 1;
    world_ready(&world, &config);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    saw(&world, "run Bt0 resolve\n");
    pass_ms(&world, 5000);
    saw(&world, "outcome B/1 #1.1 expired - EXPIRED\nresults B#1.1\n");
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 expired ping EXPIRED\ndrop Bt0\nresults B#0.1\n");
    world_release(&world);
}

static void deadline_passed_registers_nothing(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_COPY);
    pass_until(&world, "Bt1", STAGE_SCHEDULE);
    answer(&world, "Bt1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    forget_trace(&world);
    world.now_unix_ms += 6000;
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 expired schedule EXPIRED\ndrop Bt0\nresults B#0.1\n");
    pass_ms(&world, 1000);
    saw(&world, "run Bt1 access\n");
    pass(&world, "Bt1");
    saw(&world, "run Bt1 schedule look-only\n");
    answer(&world, "Bt1", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "outcome B/1 #1.1 expired schedule EXPIRED\ndrop Bt1\nresults B#1.1\n");
    world_release(&world);
}

static void deadline_passed_looks_a_while_longer(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_SCHEDULE);
    pass_until(&world, "Bt1", STAGE_SCHEDULE);
    world.now_unix_ms += 5000;
    answer(&world, "Bt0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    answer(&world, "Bt1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "Bt0");
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "outcome B/1 #0.1 scheduled schedule -\ndrop Bt0\nresults B#0.1\n");
    answer(&world, "Bt1", AGENT_FAILED, REASON_CONNECT_TIMEOUT);
    ack_results(&world);
    forget_trace(&world);
    world.now_unix_ms += 59000;
    step_kind(&world, AGENT_TICK);
    saw(&world, "outcome B/1 #1.1 unknown_effect schedule CONN_LOST\nresults B#1.1\n");
    world_release(&world);
}

/* Found out too late for this deadline, but the push goes on under a newer signature. */
static void deadline_passed_under_old_signature_goes_back(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.not_after_unix_ms = (int64_t)UNIX_START_MS + 5000;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_SCHEDULE);
    world.now_unix_ms += 5000;
    answer(&world, "Bt0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 1000);
    pass(&world, "Bt0");
    job = job_of(&push_b, 3);
    give_job(&world, &job);
    forget_trace(&world);
    answer(&world, "Bt0", AGENT_FAILED, REASON_CANCELLED);
    saw(&world, "drop Bt0\nremove job 2\ncancelled B#0.1\n");
    world_release(&world);
}

static void stop_drops_all_but_intents(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "");
    pass(&world, "At1");
    saw(&world, "drop At1\ncancelled A#1.1\n");
    assert_int_equal(world.effects.refs[0].reached, STAGE_RESOLVE);
    ack_results(&world);
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 1);
    world_release(&world);
}

static void stop_lets_running_stages_end_and_starts_none(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 3;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 5, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\nrun At2 resolve\n");
    refer(&world, AGENT_STOP, &push_a);
    saw(&world, "cancelled A#3.1 A#4.1\n");
    pass(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1\n");
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #1.1 failed resolve NXDOMAIN\ndrop At1\nresults A#1.1\n");
    refer(&world, AGENT_STOP, &push_a);
    pass_ms(&world, config.shutdown_ms - 1);
    forget_trace(&world);
    pass_ms(&world, 1);
    assert_non_null(strstr(buf_cstr(&world.trace), "drop At2\n"));
    assert_int_equal(agent_counters(world.agent).stage_runs[STAGE_RESOLVE], 0);
    world_release(&world);
}

static void lease_under_stop_starts_nothing(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    give_journal(&world, AGENT_JOURNAL_OUTCOME, 1, 1, true);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    refer(&world, AGENT_STOP, &push_a);
    forget_trace(&world);
    lease(&world, &push_a, 0, 3, 2);
    saw(&world, "renew A/1 #1.2\nrun At0 resolve\nresults A#1.2\ncancelled A#2.2\n");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.2 scheduled schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

/* A relay that died right after INTENT must not register when it is back, hours after the cancel;
 * and what was not registered can be leased again once the push is resumed. */
static void look_under_stop_finding_nothing_is_cancelled(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    refer(&world, AGENT_STOP, &push_a);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED);
    assert_int_equal(world.effects.refs[0].reached, STAGE_SCHEDULE);
    saw(&world, "drop At0\ncancelled A#0.2\n");
    ack_results(&world);
    job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 3);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_FAILED, REASON_CANCELLED);
    pass_until(&world, "At0", STAGE_COPY);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.3\nrun At0 schedule\n");
    world_release(&world);
}

static void cancelled_rows_sent_until_acknowledged(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    refer(&world, AGENT_STOP, &push_a);
    pass(&world, "At0");
    forget_trace(&world);
    pass_ms(&world, 10000);
    saw(&world, "cancelled A#0.1\n");
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "remove job 1\nrun At0 resolve\n");
    ack_results(&world);
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void stop_lifted_by_newer_signature_only(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    refer(&world, AGENT_STOP, &push_a);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "cancelled A#0.1\n");
    job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "remove job 1\nrun At0 resolve\n");
    world_release(&world);
}

/* A LEASE that came twice, once before and once after the JOB that lifts the STOP. */
static void lease_declined_under_stop_stays_declined(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    refer(&world, AGENT_STOP, &push_a);
    lease(&world, &push_a, 0, 2, 1);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    saw(&world, "cancelled A#0.1 A#1.1\nremove job 1\n");
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    ack_results(&world);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "cancelled A#1.1\n");
    lease(&world, &push_a, 0, 2, 2);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    world_release(&world);
}

/* It was under way when the push was resumed, and nothing would lift it. */
static void stop_of_earlier_job_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    stop_job(&world, &push_a, 1);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    uint64_t ignored = agent_counters(world.agent).ignored;
    forget_trace(&world);
    stop_job(&world, &push_a, 1);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, ignored + 1);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "run At1 resolve\n");
    stop_job(&world, &push_a, 2);
    pass(&world, "At0");
    pass(&world, "At1");
    saw(&world, "drop At0\ncancelled A#0.2\ndrop At1\ncancelled A#1.1\n");
    world_release(&world);
}

static void stop_of_later_job_holds_when_that_job_comes(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    stop_job(&world, &push_a, 2);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "cancelled A#0.1\n");
    stop_job(&world, &push_a, 1); /* late: the newer STOP holds */
    job = job_of(&push_a, 3);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "run At1 resolve\n");
    world_release(&world);
}

static void job_replaced_lives_until_its_targets_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    struct agent_job job = job_of(&push_a, 2);
    give_job(&world, &job);
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world,
        "outcome A/1 #0.1 failed resolve NXDOMAIN\ndrop At0\nremove job 1\nresults A#0.1\n");
    world_release(&world);
}

static void close_forgets_everything_of_the_push(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 3, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    ack_results(&world);
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    refer(&world, AGENT_CLOSE, &push_a);
    saw(&world, "drop At2\nremove job 1\nforget A/1\n");
    pass_live_ms(&world, 60000);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 0);
    world_release(&world);
}

static void close_forgets_intents_too(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    refer(&world, AGENT_CLOSE, &push_a);
    saw(&world, "drop At0\nremove job 1\nforget A/1\n");
    struct agent_job job = job_of(&push_b, 2); /* takes the place of push A */
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "run Bt0 path\n");
    world_release(&world);
}

static void lease_again_while_schedule_runs_reads_back_here(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    pass_ms(&world, 48000);
    welcome(&world, 2);
    lease(&world, &push_a, 0, 1, 2);
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "");
    pass_ms(&world, 1000);
    saw(&world, "run At0 access\n");
    world_release(&world);
}

static void shutdown_lets_running_stages_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    forget_trace(&world);
    world.quiet = false;
    step_kind(&world, AGENT_SHUTDOWN);
    saw(&world, "heartbeat epoch=1 credit=0\n");
    pass(&world, "At0");
    saw(&world, "");
    answer(&world, "At1", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #1.1 failed resolve NXDOMAIN\ndrop At1\nresults A#1.1\nfinished\n");
    world_release(&world);
}

static void intake_closed_says_no_credit_and_finishes_what_is_held(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    world.quiet = false;
    struct agent_event event = {.kind = AGENT_INTAKE, .intake = false};
    step(&world, &event);
    saw(&world, "heartbeat epoch=1 credit=0\n");
    step(&world, &event);
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #0.1 failed resolve NXDOMAIN\ndrop At0\nresults A#0.1\n");
    event.intake = true;
    step(&world, &event);
    saw(&world, "heartbeat epoch=1 credit=512\n");
    world_release(&world);
}

static void shutdown_ends_after_its_time(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_SHUTDOWN);
    pass_ms(&world, 10000);
    saw(&world, "finished\n");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal_outcome_survives_restart),
        cmocka_unit_test(journal_intent_reads_back_without_copying),
        cmocka_unit_test(journal_intent_unreachable_becomes_unknown_effect),
        cmocka_unit_test(effect_unknown_reads_back_on_new_session),
        cmocka_unit_test(effect_unknown_for_long_is_unknown_effect),
        cmocka_unit_test(read_back_with_clear_answer_counts),
        cmocka_unit_test(deadline_passed_expires_waiting_targets),
        cmocka_unit_test(deadline_passed_registers_nothing),
        cmocka_unit_test(deadline_passed_looks_a_while_longer),
        cmocka_unit_test(deadline_passed_under_old_signature_goes_back),
        cmocka_unit_test(stop_drops_all_but_intents),
        cmocka_unit_test(stop_lets_running_stages_end_and_starts_none),
        cmocka_unit_test(lease_under_stop_starts_nothing),
        cmocka_unit_test(look_under_stop_finding_nothing_is_cancelled),
        cmocka_unit_test(cancelled_rows_sent_until_acknowledged),
        cmocka_unit_test(stop_lifted_by_newer_signature_only),
        cmocka_unit_test(lease_declined_under_stop_stays_declined),
        cmocka_unit_test(stop_of_earlier_job_ignored),
        cmocka_unit_test(stop_of_later_job_holds_when_that_job_comes),
        cmocka_unit_test(job_replaced_lives_until_its_targets_end),
        cmocka_unit_test(close_forgets_everything_of_the_push),
        cmocka_unit_test(close_forgets_intents_too),
        cmocka_unit_test(lease_again_while_schedule_runs_reads_back_here),
        cmocka_unit_test(shutdown_lets_running_stages_end),
        cmocka_unit_test(shutdown_ends_after_its_time),
        cmocka_unit_test(intake_closed_says_no_credit_and_finishes_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
