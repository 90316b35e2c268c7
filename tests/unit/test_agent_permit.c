/* The relay's core and the coordinator's permit for a domain account's first logons. See
 * agent_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/agent_world.h"

enum { COUNTER = 7 };

/* `count` targets are connected and wait for their logon under an account that others share. */
static void set_scene(struct world *world, uint32_t count)
{
    struct agent_config config = test_config();
    config.logon_patience_ms = 60000; /* a silent machine holds up the others all the time */
    world_ready(world, &config);
    struct agent_job job = job_of(&push_b, 2);
    job.credential_no = 2;
    job.shared_account = true;
    job.account_counter = COUNTER;
    memset(job.account, 9, sizeof job.account);
    give_job(world, &job);
    lease(world, &push_b, 0, count, 1);
    for (uint32_t no = 0; no < count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "Bt%u", no);
        pass_until(world, name, STAGE_ACCESS);
    }
    forget_trace(world);
    for (uint32_t no = 0; no < count; no++) {
        char name[32];
        (void)snprintf(name, sizeof name, "Bt%u", no);
        connected(world, name);
    }
}

static void answer_permit(struct world *world, struct message_permit permit)
{
    struct agent_event event = {.kind = AGENT_PERMIT, .permit = permit};
    event.permit.epoch = world->epoch;
    event.permit.counter = COUNTER;
    memset(event.permit.account, 9, sizeof event.permit.account);
    step(world, &event);
}

static void permit_is_asked_for_before_the_first_logon(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 3);
    saw(&world, "permit_get counter=7 refused=0\n");
    answer_permit(&world, (struct message_permit){0});
    saw(&world, "");
    answer_permit(&world, (struct message_permit){.granted = true});
    saw(&world, "logon Bt0\n"); /* one at a time, as ever */
    pass(&world, "Bt0");
    saw(&world,
        "logon Bt1\nlogon Bt2\nrun Bt0 path\npermit_get counter=7 refused=0 accepted done\n");
    answer_permit(&world, (struct message_permit){.open = true});
    pass_live_ms(&world, 30000);
    assert_null(strstr(buf_cstr(&world.trace), "permit_get"));
    world_release(&world);
}

static void permit_unanswered_is_asked_for_again_and_nothing_is_tried(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 2);
    forget_trace(&world);
    pass_live_ms(&world, 3000);
    saw(&world, "permit_get counter=7 refused=0\n");
    pass_live_ms(&world, 60000);
    assert_null(strstr(buf_cstr(&world.trace), "logon"));
    forget_trace(&world);
    answer_permit(&world, (struct message_permit){.open = true}); /* somebody else's success */
    saw(&world, "logon Bt0\nlogon Bt1\n");
    world_release(&world);
}

static void permit_counts_refusals_of_other_relays(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 4);
    forget_trace(&world);
    answer_permit(&world, (struct message_permit){.granted = true, .failures = 2});
    saw(&world, "logon Bt0\n");
    answer(&world, "Bt0", AGENT_FAILED, REASON_LOGON_FAILURE);
    /* Two there and one here: the rest is not tried, and the coordinator hears of it. */
    assert_null(strstr(buf_cstr(&world.trace), "logon Bt"));
    assert_non_null(strstr(buf_cstr(&world.trace), "CREDENTIAL_BRAKE"));
    assert_non_null(strstr(buf_cstr(&world.trace), "permit_get counter=7 refused=1 done"));
    forget_trace(&world);
    pass_live_ms(&world, 3000);
    assert_non_null(strstr(buf_cstr(&world.trace), "permit_get counter=7 refused=1 done"));
    answer_permit(&world, (struct message_permit){.refused = true, .failures = 3});
    forget_trace(&world);
    pass_live_ms(&world, 60000);
    assert_null(strstr(buf_cstr(&world.trace), "permit_get"));
    world_release(&world);
}

static void permit_refused_elsewhere_ends_all_as_not_tried(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 2);
    forget_trace(&world);
    answer_permit(&world, (struct message_permit){.refused = true, .failures = 3});
    assert_non_null(strstr(buf_cstr(&world.trace), "#0.1 failed access CREDENTIAL_BRAKE"));
    assert_non_null(strstr(buf_cstr(&world.trace), "#1.1 failed access CREDENTIAL_BRAKE"));
    assert_null(strstr(buf_cstr(&world.trace), "logon Bt"));
    world_release(&world);
}

static void permit_not_renewed_is_not_used(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 3);
    answer_permit(&world, (struct message_permit){.granted = true});
    forget_trace(&world);
    pass_live_ms(&world, 11000); /* asked again every 3 s, and not answered */
    answer(&world, "Bt0", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_null(strstr(buf_cstr(&world.trace), "logon Bt1"));
    forget_trace(&world);
    answer_permit(&world, (struct message_permit){.granted = true, .failures = 1});
    assert_non_null(strstr(buf_cstr(&world.trace), "logon Bt1"));
    world_release(&world);
}

/* The coordinator counts from the message that asked, or sooner: never from its answer's arrival.
 */
static void permit_counts_from_when_it_was_asked_for(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 3);
    pass_live_ms(&world, 2900);
    answer_permit(&world, (struct message_permit){.granted = true});
    forget_trace(&world);
    pass_live_ms(&world, 7500);
    answer(&world, "Bt0", AGENT_FAILED, REASON_LOGON_FAILURE);
    assert_null(strstr(buf_cstr(&world.trace), "logon Bt1"));
    world_release(&world);
}

static void permit_is_given_back_when_nobody_waits(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 1);
    answer_permit(&world, (struct message_permit){.granted = true});
    forget_trace(&world);
    answer(&world, "Bt0", AGENT_FAILED, REASON_CONN_LOST);
    assert_non_null(strstr(buf_cstr(&world.trace), "permit_get counter=7 refused=0 done"));
    world_release(&world);
}

static void permit_of_another_account_or_epoch_changes_nothing(void **state)
{
    (void)state;
    struct world world;
    set_scene(&world, 1);
    forget_trace(&world);
    struct agent_event event = {.kind = AGENT_PERMIT, .permit = {.granted = true}};
    event.permit.epoch = world.epoch;
    event.permit.counter = COUNTER;
    step(&world, &event); /* account of zeroes */
    memset(event.permit.account, 9, sizeof event.permit.account);
    event.permit.counter = COUNTER + 1;
    step(&world, &event);
    event.permit.counter = COUNTER;
    event.permit.epoch = world.epoch + 1;
    step(&world, &event);
    saw(&world, "");
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permit_is_asked_for_before_the_first_logon),
        cmocka_unit_test(permit_unanswered_is_asked_for_again_and_nothing_is_tried),
        cmocka_unit_test(permit_counts_refusals_of_other_relays),
        cmocka_unit_test(permit_refused_elsewhere_ends_all_as_not_tried),
        cmocka_unit_test(permit_not_renewed_is_not_used),
        cmocka_unit_test(permit_counts_from_when_it_was_asked_for),
        cmocka_unit_test(permit_is_given_back_when_nobody_waits),
        cmocka_unit_test(permit_of_another_account_or_epoch_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
