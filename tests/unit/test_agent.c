/* The relay's core, scenario by scenario: link, leases, stages, results. See agent_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

static void link_up_says_hello_until_welcome(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    saw(&world, "hello instance=7 credit=512\n");
    pass_ms(&world, 5000);
    saw(&world, "hello instance=7 credit=512\n");
    welcome(&world, 3);
    saw(&world, "heartbeat epoch=3 credit=512\n");
    pass_ms(&world, 15000);
    saw(&world, "heartbeat epoch=3 credit=512\n");
    world_release(&world);
}

static void heartbeats_come_often_while_targets_are_in_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    world.quiet = false;
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_ms(&world, 2000);
    saw(&world, "heartbeat epoch=1 credit=512\n");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    ack_results(&world);
    forget_trace(&world);
    pass_ms(&world, 14999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "heartbeat epoch=1 credit=512\n");
    world_release(&world);
}

static void welcome_nobody_asked_for_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    welcome(&world, 9);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).epoch, 1);
    assert_int_equal(agent_counters(world.agent).ignored, 1);
    world_release(&world);
}

/* Of a process of ours that ended before this one began. */
static void welcome_to_another_instance_ignored(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    forget_trace(&world);
    world.instance--;
    welcome(&world, 3);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).epoch, 0);
    world.instance++;
    welcome(&world, 4);
    saw(&world, "heartbeat epoch=4 credit=512\n");
    world_release(&world);
}

static void heartbeats_unanswered_say_hello_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    pass_ms(&world, 45000);
    saw(&world, "hello instance=7 credit=512\n");
    world_release(&world);
}

static void target_through_six_stages_scheduled(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    pass(&world, "At0");
    saw(&world, "run At0 access\n");
    pass(&world, "At0");
    saw(&world, "run At0 path\n");
    pass(&world, "At0");
    saw(&world, "run At0 copy\n");
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.1\nrun At0 schedule\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\nresults A#0.1\n");
    ack_results(&world);
    saw(&world, "acked A#0.1\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    assert_int_equal(agent_counters(world.agent).sessions, 0);
    world_release(&world);
}

static void outcome_carries_times_tries_and_detail(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_ms(&world, 30);
    pass(&world, "At0");
    pass_ms(&world, 2000);
    answer(&world, "At0", AGENT_FAILED, REASON_NO_REPLY);
    assert_int_equal(world.effects.outcome_count, 1);
    const struct outcome *outcome = &world.effects.outcomes[0];
    assert_int_equal(outcome->state, TARGET_UNREACHABLE);
    assert_int_equal(outcome->stage, STAGE_PING);
    assert_int_equal(outcome->reason, REASON_NO_REPLY);
    assert_string_equal(outcome->detail, "as the test said");
    assert_string_equal(outcome->address, "10.1.2.3");
    assert_int_equal(outcome->tries, 1);
    assert_int_equal(outcome->started_unix_ms, UNIX_START_MS);
    assert_int_equal(outcome->elapsed_ms, 2030);
    assert_int_equal(outcome->stage_ms[STAGE_RESOLVE], 30);
    assert_int_equal(outcome->stage_ms[STAGE_PING], 2000);
    world_release(&world);
}

static void windows_full_start_no_more(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 2;
    config.ping_max = 1;
    config.connect_max = 1;
    config.session_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    lease(&world, &push_a, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\nrun At2 resolve\n");
    pass(&world, "At1");
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "run At0 access\nrun At1 ping\n");
    pass(&world, "At1");
    saw(&world, "");
    answer(&world, "At0", AGENT_FAILED, REASON_BAD_SHARE);
    saw(&world, "outcome A/1 #0.1 failed access BAD_SHARE\ndrop At0\nrun At1 access\n"
                "results A#0.1\n");
    world_release(&world);
}

/* No time passes here at all: what waits for silent machines can't have held up the others. */
static void silent_machines_hold_up_no_other(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    prove_credential(&world);
    uint64_t began_ms = world.now_ms;
    lease(&world, &push_a, 0, 40, 1);
    for (uint32_t no = 0; no < 40; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "At%u", no);
        bool silent = no % 10 != 9;
        pass_until(&world, name, silent ? STAGE_PING : STAGE_SCHEDULE);
        if (!silent)
            pass(&world, name);
    }
    struct agent_counters counters = agent_counters(world.agent);
    assert_int_equal(counters.held, 36);
    assert_int_equal(counters.stage_runs[STAGE_PING], 36);
    assert_int_equal(counters.unacknowledged, 4);
    assert_int_equal(world.now_ms, began_ms);
    world_release(&world);
}

static void two_pushes_take_turns(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.resolve_max = 2;
    world_ready(&world, &config);
    struct agent_job job = job_of(&push_b, 2);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 3, 1);
    lease(&world, &push_b, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    pass(&world, "At0");
    pass(&world, "At1");
    const char *trace = buf_cstr(&world.trace);
    assert_non_null(strstr(trace, "run At2 resolve\n"));
    assert_non_null(strstr(trace, "run Bt0 resolve\n"));
    world_release(&world);
}

static void package_missing_holds_copy_and_further_sessions(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.package_wait_max = 1;
    world_ready(&world, &config);
    prove_credential(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.package_ready = false;
    give_job(&world, &job);
    saw(&world, "fetch job 2\n");
    lease(&world, &push_b, 0, 2, 1);
    pass_until(&world, "Bt0", STAGE_ACCESS);
    pass_until(&world, "Bt1", STAGE_PING);
    pass(&world, "Bt1");
    pass(&world, "Bt0");
    forget_trace(&world);
    pass(&world, "Bt0");
    saw(&world, "");
    struct agent_event event = {.kind = AGENT_PACKAGE_READY, .package = {.job_no = 2}};
    step(&world, &event);
    saw(&world, "run Bt0 copy\nrun Bt1 access\n");
    world_release(&world);
}

static void package_failed_ends_targets_at_copy(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.package_ready = false;
    give_job(&world, &job);
    lease(&world, &push_b, 0, 1, 1);
    pass_until(&world, "Bt0", STAGE_PATH);
    pass(&world, "Bt0");
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_PACKAGE_FAILED,
                                .package = {.job_no = 2, .detail = "the disk is full"}};
    step(&world, &event);
    saw(&world, "outcome B/1 #0.1 failed copy INTERNAL\ndrop Bt0\nresults B#0.1\n");
    assert_string_equal(world.effects.outcomes[0].detail, "the disk is full");
    world_release(&world);
}

static void lease_without_job_or_of_other_epoch_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_b, 0, 1, 1);
    world.epoch = 2;
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, 2);
    world_release(&world);
}

static void lease_under_refused_job_answers_job_refused(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_b, 2);
    job.accepted = false;
    (void)text_copy(job.refusal, sizeof job.refusal, "unknown operator key");
    give_job(&world, &job);
    lease(&world, &push_b, 4, 2, 3);
    saw(&world, "outcome B/1 #4.3 failed - JOB_REFUSED\noutcome B/1 #5.3 failed - JOB_REFUSED\n"
                "results B#4.3 B#5.3\n");
    assert_string_equal(world.effects.outcomes[0].detail, "unknown operator key");
    world_release(&world);
}

static void lease_without_proof_answers_job_refused(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    char name[] = "stranger";
    struct lease_entry entry = {0, 1, name};
    struct agent_event event = {.kind = AGENT_LEASE, .lease = {1, push_a, 1, false, &entry, 1, 0}};
    step(&world, &event);
    saw(&world, "outcome A/1 #0.1 failed - JOB_REFUSED\nresults A#0.1\n");
    world_release(&world);
}

static void refusal_after_acceptance_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_a, 2);
    job.accepted = false;
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

/* Who resumed isn't trusted here: declining its leases would have them repeated until the end. */
static void refusal_of_newer_job_under_stop_answers_its_leases(void **state)
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
    lease(&world, &push_a, 1, 1, 1);
    stop_job(&world, &push_a, 1);
    pass(&world, "At1"); /* its CANCELLED row stays unheard */
    job = job_of(&push_a, 2);
    job.accepted = false;
    (void)text_copy(job.refusal, sizeof job.refusal, "unknown operator key");
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 3, 2);
    saw(&world, "outcome A/1 #1.2 failed - JOB_REFUSED\noutcome A/1 #2.2 failed - JOB_REFUSED\n"
                "run At0 resolve\nresults A#1.2 A#2.2\n");
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule look-only\n");
    job = job_of(&push_a, 3);
    give_job(&world, &job);
    lease(&world, &push_a, 3, 1, 1);
    saw(&world, "run At3 resolve\n");
    world_release(&world);
}

static void lease_repeated_while_in_work_takes_attempt(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    lease(&world, &push_a, 0, 1, 2);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #0.2 failed resolve NXDOMAIN\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

static void lease_past_credit_ignored(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.held_max = 2;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 3, 1);
    saw(&world, "run At0 resolve\nrun At1 resolve\n");
    assert_int_equal(agent_counters(world.agent).held, 2);
    world_release(&world);
}

static void lease_run_out_drops_and_returns_as_new_instance(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_ms(&world, 47000);
    saw(&world, "hello instance=7 credit=512\n"); /* unheard for 45 s */
    pass_ms(&world, 1000);
    saw(&world, "drop At0\nhello instance=8 credit=512\n");
    answer(&world, "At0", AGENT_PASSED, REASON_NONE);
    saw(&world, "");
    welcome(&world, 2);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void lease_run_out_lets_schedule_end(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 2, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    pass_until(&world, "At1", STAGE_SCHEDULE);
    forget_trace(&world);
    pass_ms(&world, 48000);
    saw(&world, "hello instance=7 credit=512\nhello instance=8 credit=512\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 scheduled schedule -\ndrop At0\n");
    answer(&world, "At1", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    saw(&world, "drop At1\n");
    welcome(&world, 2);
    saw(&world, "results A#0.1\n");
    lease(&world, &push_a, 1, 1, 2);
    pass_until(&world, "At1", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At1");
    saw(&world, "run At1 schedule read-back\n");
    world_release(&world);
}

static void lease_renewed_by_ack_goes_on(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    pass_live_ms(&world, 300000);
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void ack_of_future_heartbeat_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    struct agent_event event = {.kind = AGENT_HEARTBEAT_ACK, .heartbeat_ack = {1, 1000000}};
    step(&world, &event);
    pass_ms(&world, 48000);
    assert_int_equal(agent_counters(world.agent).lapses, 1);
    world_release(&world);
}

static void lease_runs_from_first_unanswered_hello(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    pass_ms(&world, 50000);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1);
    saw(&world, "");
    ack_heartbeat(&world);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void reconnect_with_same_epoch_keeps_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    saw(&world, "hello instance=7 credit=512\n");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void welcome_with_new_epoch_drops_work(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    forget_trace(&world);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 2);
    saw(&world, "hello instance=7 credit=512\ndrop At0\n");
    assert_int_equal(agent_counters(world.agent).held, 0);
    world_release(&world);
}

static void results_unacknowledged_sent_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    pass_ms(&world, 10000);
    saw(&world, "results A#0.1\n");
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 2);
    saw(&world, "hello instance=7 credit=512\nresults A#0.1\n");
    ack_results(&world);
    saw(&world, "acked A#0.1\n");
    pass_live_ms(&world, 60000);
    saw(&world, "");
    world_release(&world);
}

static void results_many_go_in_batches(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.results_in_flight = 1;
    world_ready(&world, &config);
    lease(&world, &push_a, 0, 256, 1);
    lease(&world, &push_a, 256, 44, 1);
    char name[16];
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "At%u", i);
        answer(&world, name, AGENT_FAILED, REASON_NXDOMAIN);
    }
    assert_int_equal(agent_counters(world.agent).unacknowledged, 300);
    ack_results(&world); /* the first went alone */
    assert_int_equal(agent_counters(world.agent).unacknowledged, 299);
    ack_results(&world);
    assert_int_equal(agent_counters(world.agent).unacknowledged, 43);
    ack_results(&world);
    assert_int_equal(agent_counters(world.agent).unacknowledged, 0);
    world_release(&world);
}

static void lease_for_known_outcome_sends_it_again(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 1); /* crossed the results on the way */
    saw(&world, "");
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "renew A/1 #0.2\nresults A#0.2\n");
    ack_results(&world);
    saw(&world, "acked A#0.2\n");
    lease(&world, &push_a, 0, 1, 2); /* the coordinator was restored from a backup */
    saw(&world, "renew A/1 #0.2\nresults A#0.2\n");
    world_release(&world);
}

/* The result of a stage that was given up, while the same target's next life is in that stage. */
static void stage_result_of_an_earlier_life_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    struct agent_stage_done late = {
        .key = world.runs[0].key, .stage = STAGE_RESOLVE, .verdict = AGENT_PASSED};
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, world.epoch + 1);
    lease(&world, &push_a, 0, 1, 2);
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &late};
    step(&world, &event);
    saw(&world, "");
    pass(&world, "At0");
    saw(&world, "run At0 ping\n");
    world_release(&world);
}

static void ack_of_an_earlier_epoch_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    lease(&world, &push_a, 0, 1, 1);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    uint64_t epoch = world.epoch;
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, epoch + 1);
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_RESULTS_ACK};
    event.results_ack = (struct message_results_ack){.epoch = epoch, .sequence = world.sequence};
    step(&world, &event); /* batches are counted from 1 in each epoch */
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).unacknowledged, 1);
    ack_results(&world);
    saw(&world, "acked A#0.1\n");
    world_release(&world);
}

static void job_of_lower_counter_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_job job = job_of(&push_a, 9);
    give_job(&world, &job);
    forget_trace(&world);
    uint64_t ignored = agent_counters(world.agent).ignored;
    job = job_of(&push_a, 5);
    give_job(&world, &job);
    assert_int_equal(agent_counters(world.agent).ignored, ignored + 1);
    assert_true(agent_knows_job(world.agent, &push_a, 1, 9));
    world_release(&world);
}

static void stage_result_of_unknown_key_ignored(void **state)
{
    (void)state;
    struct world world;
    world_default(&world);
    struct agent_stage_done done = {.key = 0x123400000001ULL, .stage = STAGE_COPY};
    struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
    step(&world, &event);
    done.key = UINT64_MAX;
    step(&world, &event);
    saw(&world, "");
    assert_int_equal(agent_counters(world.agent).ignored, 2);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_up_says_hello_until_welcome),
        cmocka_unit_test(heartbeats_come_often_while_targets_are_in_work),
        cmocka_unit_test(welcome_nobody_asked_for_ignored),
        cmocka_unit_test(welcome_to_another_instance_ignored),
        cmocka_unit_test(heartbeats_unanswered_say_hello_again),
        cmocka_unit_test(target_through_six_stages_scheduled),
        cmocka_unit_test(outcome_carries_times_tries_and_detail),
        cmocka_unit_test(windows_full_start_no_more),
        cmocka_unit_test(silent_machines_hold_up_no_other),
        cmocka_unit_test(two_pushes_take_turns),
        cmocka_unit_test(package_missing_holds_copy_and_further_sessions),
        cmocka_unit_test(package_failed_ends_targets_at_copy),
        cmocka_unit_test(lease_without_job_or_of_other_epoch_ignored),
        cmocka_unit_test(lease_under_refused_job_answers_job_refused),
        cmocka_unit_test(lease_without_proof_answers_job_refused),
        cmocka_unit_test(refusal_after_acceptance_ignored),
        cmocka_unit_test(refusal_of_newer_job_under_stop_answers_its_leases),
        cmocka_unit_test(lease_repeated_while_in_work_takes_attempt),
        cmocka_unit_test(lease_past_credit_ignored),
        cmocka_unit_test(lease_run_out_drops_and_returns_as_new_instance),
        cmocka_unit_test(lease_run_out_lets_schedule_end),
        cmocka_unit_test(lease_renewed_by_ack_goes_on),
        cmocka_unit_test(ack_of_future_heartbeat_ignored),
        cmocka_unit_test(lease_runs_from_first_unanswered_hello),
        cmocka_unit_test(reconnect_with_same_epoch_keeps_work),
        cmocka_unit_test(welcome_with_new_epoch_drops_work),
        cmocka_unit_test(results_unacknowledged_sent_again),
        cmocka_unit_test(results_many_go_in_batches),
        cmocka_unit_test(lease_for_known_outcome_sends_it_again),
        cmocka_unit_test(stage_result_of_an_earlier_life_ignored),
        cmocka_unit_test(ack_of_an_earlier_epoch_ignored),
        cmocka_unit_test(job_of_lower_counter_ignored),
        cmocka_unit_test(stage_result_of_unknown_key_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
