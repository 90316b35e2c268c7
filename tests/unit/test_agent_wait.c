/* The relay's core waiting for exit codes. See agent_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "tests/unit/agent_world.h"

#define WAIT_MS 7200000

static struct agent_job waiting_job(uint64_t counter)
{
    struct agent_job job = job_of(&push_a, counter);
    job.wait = true;
    job.wait_until_unix_ms = (int64_t)UNIX_START_MS + WAIT_MS;
    return job;
}

static void world_waiting(struct world *world)
{
    struct agent_config config = test_config();
    struct agent_job job = waiting_job(1);
    world_init(world, &config);
    world->quiet = true;
    step_kind(world, AGENT_LINK_UP);
    welcome(world, 1);
    give_job(world, &job);
    forget_trace(world);
}

/* Ends the running stage of a target as `done` says. */
static void end_stage(struct world *world, const char *name, struct agent_stage_done done)
{
    for (uint32_t i = 0; i < world->run_count; i++) {
        if (strcmp(world->runs[i].name, name) != 0)
            continue;
        done.key = world->runs[i].key;
        done.stage = world->runs[i].stage;
        done.tries = 1;
        struct agent_event event = {.kind = AGENT_STAGE_DONE, .stage_done = &done};
        step(world, &event);
        return;
    }
    fail_msg("%s runs nothing", name);
}

/* Leased and registered; it starts at once. */
static void schedule(struct world *world, uint32_t no, const char *name)
{
    lease(world, &push_a, no, 1, 1);
    pass_until(world, name, STAGE_SCHEDULE);
    pass(world, name);
}

/* Until its next look is at the scheduler. */
static void look(struct world *world, const char *name, uint64_t after_ms)
{
    pass_live_ms(world, after_ms);
    pass_until(world, name, STAGE_SCHEDULE);
    forget_trace(world);
}

static void still_running(struct world *world, const char *name)
{
    end_stage(world, name,
              (struct agent_stage_done){
                  .verdict = AGENT_WAITING, .reason = REASON_RUN_TIMEOUT, .detail = "runs still"});
}

static void ended(struct world *world, const char *name, uint32_t exit_code)
{
    static const uint8_t printed[] = "done\n";
    end_stage(world, name,
              (struct agent_stage_done){.has_exit_code = true,
                                        .exit_code = exit_code,
                                        .output = printed,
                                        .output_size = sizeof printed - 1});
}

static const struct outcome *last_outcome(const struct world *world)
{
    assert_true(world->effects.outcome_count > 0);
    return &world->effects.outcomes[world->effects.outcome_count - 1];
}

static void registered_target_waits_for_its_end(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_COPY);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "intent A/1 #0.1\nrun At0 schedule\n");
    pass(&world, "At0");
    saw(&world, "drop At0\nscheduled A#0.1\n");
    struct agent_counters counters = agent_counters(world.agent);
    assert_int_equal(counters.awaiting, 1);
    assert_int_equal(counters.sessions, 0);
    assert_int_equal(counters.in_stage[STAGE_SCHEDULE], 0);
    pass_ms(&world, 4999);
    saw(&world, "");
    pass_ms(&world, 1);
    saw(&world, "run At0 resolve\n");
    pass(&world, "At0");
    pass(&world, "At0");
    saw(&world, "run At0 ping\nrun At0 access\n");
    pass(&world, "At0");
    saw(&world, "run At0 schedule await\n");
    still_running(&world, "At0");
    saw(&world, "drop At0\n");
    look(&world, "At0", 7500);
    ended(&world, "At0", 3010);
    assert_int_equal(world.effects.items[0].persist.output_size, 5);
    assert_true(last_outcome(&world)->has_exit_code);
    assert_int_equal(last_outcome(&world)->exit_code, 3010);
    assert_int_equal(last_outcome(&world)->tries, 1);
    saw(&world, "outcome A/1 #0.1 succeeded schedule -\ndrop At0\nresults A#0.1\n");
    counters = agent_counters(world.agent);
    assert_int_equal(counters.awaiting, 0);
    assert_int_equal(counters.held, 0);
    world_release(&world);
}

static void task_of_later_start_first_looked_at_then(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    end_stage(&world, "At0", (struct agent_stage_done){.starts_in_ms = 600000});
    saw(&world, "drop At0\nscheduled A#0.1\n");
    pass_live_ms(&world, 604999);
    saw(&world, "");
    pass_live_ms(&world, 1);
    saw(&world, "run At0 resolve\n");
    world_release(&world);
}

static void exit_code_outside_the_set_fails(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    look(&world, "At0", 5000);
    end_stage(&world, "At0",
              (struct agent_stage_done){.verdict = AGENT_FAILED,
                                        .reason = REASON_EXIT_CODE,
                                        .code_kind = CODE_EXIT,
                                        .code = 1603,
                                        .has_exit_code = true,
                                        .exit_code = 1603});
    assert_int_equal(last_outcome(&world)->exit_code, 1603);
    saw(&world, "outcome A/1 #0.1 failed schedule EXIT_CODE\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void machine_that_restarts_is_waited_for(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    for (int round = 0; round < 20; round++) {
        pass_live_ms(&world, 61000);
        answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    }
    assert_int_equal(agent_counters(world.agent).awaiting, 1);
    look(&world, "At0", 61000);
    ended(&world, "At0", 0);
    saw(&world, "outcome A/1 #0.1 succeeded schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void time_up_says_what_the_last_look_saw(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    look(&world, "At0", 5000);
    still_running(&world, "At0");
    world.now_unix_ms = UNIX_START_MS + WAIT_MS;
    forget_trace(&world);
    step_kind(&world, AGENT_TICK);
    saw(&world, "outcome A/1 #0.1 failed schedule RUN_TIMEOUT\nresults A#0.1\n");
    world_release(&world);
}

static void time_up_unseen_is_unknown_effect(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    pass_live_ms(&world, 5000);
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    world.now_unix_ms = UNIX_START_MS + WAIT_MS;
    forget_trace(&world);
    step_kind(&world, AGENT_TICK);
    assert_string_equal(last_outcome(&world)->detail,
                        "scheduled, and its end could not be seen: as the test said");
    saw(&world, "outcome A/1 #0.1 unknown_effect schedule NXDOMAIN\nresults A#0.1\n");
    world_release(&world);
}

/* not_after bounds registering alone. */
static void deadline_of_registering_ends_no_waiting(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    world.now_unix_ms = UNIX_START_MS + WAIT_MS - 1000000;
    look(&world, "At0", 5000);
    ended(&world, "At0", 0);
    saw(&world, "outcome A/1 #0.1 succeeded schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

static void lease_repeated_while_waiting_is_told_again(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    pass_ms(&world, 1000);
    forget_trace(&world);
    lease(&world, &push_a, 0, 1, 2);
    saw(&world, "scheduled A#0.2\n");
    uint64_t ignored = agent_counters(world.agent).ignored;
    struct agent_event ack = {.kind = AGENT_RESULTS_ACK, .results_ack = {world.epoch, 0}};
    step(&world, &ack);
    assert_int_equal(agent_counters(world.agent).ignored, ignored);
    world_release(&world);
}

static void scheduled_rows_go_together(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    for (uint32_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "At%u", i);
        lease(&world, &push_a, i, 1, 1);
        pass_until(&world, name, STAGE_SCHEDULE);
    }
    forget_trace(&world);
    pass(&world, "At0");
    pass(&world, "At1");
    pass(&world, "At2");
    saw(&world, "drop At0\nscheduled A#0.1\ndrop At1\ndrop At2\n");
    pass_ms(&world, 500);
    saw(&world, "scheduled A#1.1 A#2.1\n");
    world_release(&world);
}

static void stop_gives_back_what_waits(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    schedule(&world, 1, "At1");
    look(&world, "At0", 5000);
    stop_job(&world, &push_a, 1);
    saw(&world, "drop At1\ncancelled A#1.1!\n"); /* At0 may be about to see the end */
    still_running(&world, "At0");
    saw(&world, "drop At0\ncancelled A#0.1!\n");
    ack_results(&world);
    lease(&world, &push_a, 0, 1, 2); /* asked what it knows */
    saw(&world, "cancelled A#0.2!\n");
    struct agent_job job = waiting_job(2);
    give_job(&world, &job);
    forget_trace(&world);
    lease(&world, &push_a, 0, 2, 3);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    saw(&world, "drop At0\nscheduled A#0.3\n");
    world_release(&world);
}

static void restart_reads_back_and_waits_on(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    struct agent_job job = waiting_job(1);
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    pass(&world, "At0");
    saw(&world, "drop At0\nscheduled A#0.2\n");
    look(&world, "At0", 5000);
    ended(&world, "At0", 0);
    saw(&world, "outcome A/1 #0.2 succeeded schedule -\ndrop At0\nresults A#0.2\n");
    world_release(&world);
}

/* The machine may be restarting just then. */
static void restart_reads_back_for_as_long_as_it_waits(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    struct agent_job job = waiting_job(1);
    world_init(&world, &config);
    world.quiet = true;
    give_journal(&world, AGENT_JOURNAL_INTENT, 0, 1, false);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 2);
    for (int round = 0; round < 10; round++) {
        answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
        pass_live_ms(&world, 61000);
    }
    pass_until(&world, "At0", STAGE_SCHEDULE);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "drop At0\nscheduled A#0.2\n");
    world_release(&world);
}

static void lease_run_out_while_waiting_keeps_the_intent(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    pass_ms(&world, 1000);
    forget_trace(&world);
    pass_ms(&world, LEASE_MS);
    assert_int_equal(agent_counters(world.agent).awaiting, 0);
    assert_int_equal(agent_counters(world.agent).held, 0);
    welcome(&world, 2);
    lease(&world, &push_a, 0, 1, 2);
    pass_until(&world, "At0", STAGE_ACCESS);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule read-back\n");
    world_release(&world);
}

static void close_forgets_what_waits(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    forget_trace(&world);
    refer(&world, AGENT_CLOSE, &push_a);
    saw(&world, "remove job 1\nforget A/1\n");
    assert_int_equal(agent_counters(world.agent).awaiting, 0);
    world_release(&world);
}

static void shutdown_does_not_wait(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    schedule(&world, 0, "At0");
    forget_trace(&world);
    step_kind(&world, AGENT_SHUTDOWN);
    saw(&world, "finished\n");
    world_release(&world);
}

static void waiting_targets_leave_the_credit_to_others(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    struct agent_job job = waiting_job(1);
    config.held_max = 1;
    world_init(&world, &config);
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    give_job(&world, &job);
    schedule(&world, 0, "At0");
    forget_trace(&world);
    lease(&world, &push_a, 1, 1, 1); /* more than it asked for so far */
    saw(&world, "");
    pass_ms(&world, 2000);
    saw(&world, "heartbeat epoch=1 credit=2\n");
    lease(&world, &push_a, 1, 1, 1);
    saw(&world, "run At1 resolve\n");
    world_release(&world);
}

/* Looks get half of the sessions while there is other work, and come first. */
static void looks_and_new_work_share_the_sessions(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    struct agent_job job = waiting_job(1);
    config.session_max = 4;
    world_init(&world, &config);
    world.quiet = true;
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    give_job(&world, &job);
    for (uint32_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "At%u", i);
        schedule(&world, i, name);
    }
    lease(&world, &push_a, 4, 1, 1);
    forget_trace(&world);
    pass_ms(&world, 6000);
    saw(&world, "scheduled A#1.1 A#2.1 A#3.1\nrun At1 resolve\nrun At0 resolve\n");
    answer(&world, "At0", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "drop At0\nrun At2 resolve\n");
    answer(&world, "At4", AGENT_FAILED, REASON_NXDOMAIN);
    saw(&world, "outcome A/1 #4.1 failed resolve NXDOMAIN\ndrop At4\nrun At3 resolve\n"
                "results A#4.1\n");
    world_release(&world);
}

static void refused_logons_while_waiting_are_not_repeated_for_ever(void **state)
{
    (void)state;
    struct world world;
    world_waiting(&world);
    prove_credential(&world);
    schedule(&world, 0, "At0");
    for (int round = 0; round < 2; round++) {
        pass_live_ms(&world, 61000);
        pass_until(&world, "At0", STAGE_ACCESS);
        forget_trace(&world);
        answer(&world, "At0", AGENT_FAILED, REASON_LOGON_FAILURE);
    }
    saw(&world,
        "outcome A/1 #0.1 unknown_effect schedule LOGON_FAILURE\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

/* Each batch stays below a message's size, however much was printed. */
static void output_bounds_the_batch(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    world_init(&world, &config);
    world.quiet = true;
    for (uint32_t no = 0; no < 5; no++) {
        struct agent_event event = {
            .kind = AGENT_JOURNAL_OUTCOME,
            .journal = {.ref = {push_a, 1, no, 1, STAGE_RESOLVE, false}, .output_size = 50000}};
        step(&world, &event);
    }
    step_kind(&world, AGENT_LINK_UP);
    forget_trace(&world);
    welcome(&world, 1);
    saw(&world, "results A#0.1 A#1.1\nresults A#2.1 A#3.1\nresults A#4.1\n");
    world_release(&world);
}

static void cleanup_needs_no_intent_and_succeeds(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    struct agent_job job = job_of(&push_a, 1);
    job.cleanup = true;
    world_init(&world, &config);
    world.quiet = true;
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_COPY);
    forget_trace(&world);
    pass(&world, "At0");
    saw(&world, "run At0 schedule\n");
    pass(&world, "At0");
    saw(&world, "outcome A/1 #0.1 succeeded schedule -\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

/* A machine that can't be reached may be restarting; one whose scheduler never says what it did is
 * not worth waiting for. */
static void effect_unknown_while_waiting_ends_only_where_the_scheduler_was_reached(void **state)
{
    (void)state;
    struct world world;
    struct agent_config config = test_config();
    config.read_back_ms = 1500;
    world_init(&world, &config);
    world.quiet = true;
    step_kind(&world, AGENT_LINK_UP);
    welcome(&world, 1);
    struct agent_job job = job_of(&push_a, 1);
    job.wait = true;
    give_job(&world, &job);
    lease(&world, &push_a, 0, 1, 1);
    pass_until(&world, "At0", STAGE_SCHEDULE);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_CONN_LOST);
    pass_ms(&world, 2000);
    forget_trace(&world);
    answer(&world, "At0", AGENT_FAILED, REASON_CONNECT_TIMEOUT); /* of ACCESS */
    saw(&world, "drop At0\n");
    pass_ms(&world, 4000);
    pass(&world, "At0"); /* RESOLVE, PING, ACCESS */
    pass(&world, "At0");
    pass(&world, "At0");
    forget_trace(&world);
    answer(&world, "At0", AGENT_EFFECT_UNKNOWN, REASON_RPC_UNAVAILABLE);
    saw(&world, "outcome A/1 #0.1 unknown_effect schedule CONN_LOST\ndrop At0\nresults A#0.1\n");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registered_target_waits_for_its_end),
        cmocka_unit_test(task_of_later_start_first_looked_at_then),
        cmocka_unit_test(exit_code_outside_the_set_fails),
        cmocka_unit_test(machine_that_restarts_is_waited_for),
        cmocka_unit_test(time_up_says_what_the_last_look_saw),
        cmocka_unit_test(time_up_unseen_is_unknown_effect),
        cmocka_unit_test(deadline_of_registering_ends_no_waiting),
        cmocka_unit_test(lease_repeated_while_waiting_is_told_again),
        cmocka_unit_test(scheduled_rows_go_together),
        cmocka_unit_test(stop_gives_back_what_waits),
        cmocka_unit_test(restart_reads_back_and_waits_on),
        cmocka_unit_test(restart_reads_back_for_as_long_as_it_waits),
        cmocka_unit_test(lease_run_out_while_waiting_keeps_the_intent),
        cmocka_unit_test(close_forgets_what_waits),
        cmocka_unit_test(shutdown_does_not_wait),
        cmocka_unit_test(waiting_targets_leave_the_credit_to_others),
        cmocka_unit_test(looks_and_new_work_share_the_sessions),
        cmocka_unit_test(refused_logons_while_waiting_are_not_repeated_for_ever),
        cmocka_unit_test(output_bounds_the_batch),
        cmocka_unit_test(cleanup_needs_no_intent_and_succeeds),
        cmocka_unit_test(effect_unknown_while_waiting_ends_only_where_the_scheduler_was_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
