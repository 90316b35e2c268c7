/* relay/stage/dial: connections to one of several addresses, over loopback. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/stage/dial.h"

struct world {
    uv_loop_t loop;
    int listener; /* at 127.0.0.2 */
    uint16_t port;
    struct dial *dial;
    unsigned end_count;
    struct dial_end end;
};

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void on_done(void *context, const struct dial_end *end)
{
    struct world *world = context;
    world->end_count++;
    world->end = *end;
    dial_free(world->dial);
    world->dial = NULL;
    if (end->error != 0)
        return;
    (void)uv_poll_stop(end->poll);
    uv_close((uv_handle_t *)end->poll, free_on_close);
    (void)close(end->fd);
}

static union stage_address address_of(const char *text)
{
    union stage_address address;
    assert_int_equal(stage_address_parse(text, &address), 0);
    return address;
}

static void world_init(struct world *world)
{
    *world = (struct world){.end_count = 0};
    union stage_address at = address_of("127.0.0.2");
    socklen_t size = sizeof at;
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(world->listener >= 0);
    assert_int_equal(bind(world->listener, &at.any, stage_address_size(&at)), 0);
    assert_int_equal(listen(world->listener, 4), 0);
    assert_int_equal(getsockname(world->listener, &at.any, &size), 0);
    world->port = ntohs(at.v4.sin_port);
}

static void world_release(struct world *world)
{
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0); /* nothing was left open */
    (void)close(world->listener);
}

static void dial_to(struct world *world, const union stage_address *addresses, uint8_t count)
{
    struct dial_config config = {.loop = &world->loop,
                                 .addresses = addresses,
                                 .count = count,
                                 .port = world->port,
                                 .done = on_done,
                                 .context = world};
    world->dial = dial_new(&config);
    dial_start(world->dial);
}

static void single_address_answers(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    union stage_address address = address_of("127.0.0.2");
    dial_to(&world, &address, 1);
    (void)uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.end_count, 1);
    assert_int_equal(world.end.error, 0);
    world_release(&world);
}

static void refusing_and_unreachable_addresses_are_passed_over(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    union stage_address addresses[] = {address_of("127.0.0.3"), address_of("255.255.255.255"),
                                       address_of("127.0.0.2"), address_of("127.0.0.4")};
    dial_to(&world, addresses, 4);
    (void)uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.end_count, 1);
    assert_int_equal(world.end.error, 0);
    assert_int_equal(world.end.at, 2);
    world_release(&world);
}

static void error_told_is_that_of_the_first_address(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    union stage_address addresses[] = {address_of("127.0.0.3"), address_of("255.255.255.255")};
    dial_to(&world, addresses, 2);
    (void)uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.end_count, 1);
    assert_int_equal(world.end.error, ECONNREFUSED);
    assert_int_equal(world.end.at, 0);
    assert_int_equal(world.end.fd, -1);
    world_release(&world);
}

static void dial_given_up_says_nothing_more(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    union stage_address addresses[] = {address_of("127.0.0.2"), address_of("127.0.0.3")};
    dial_to(&world, addresses, 2);
    dial_free(world.dial);
    dial_free(NULL);
    (void)uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.end_count, 0);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_address_answers),
        cmocka_unit_test(refusing_and_unreachable_addresses_are_passed_over),
        cmocka_unit_test(error_told_is_that_of_the_first_address),
        cmocka_unit_test(dial_given_up_says_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
