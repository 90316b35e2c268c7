/* common/net: what libzmq does unless it is told otherwise. Each case fails without its guard; how
 * that was seen stands beside it. The other guards' cases are in test_link.c. */
#include <czmq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "common/net/internal.h"
#include "common/net/link.h"
#include "common/trust/secret.h"

#define GUARD_MS 20000           /* far beyond what anything here takes */
#define HANDSHAKE_GUARD_MS 20000 /* libzmq's own limit is 30 s */

static uv_loop_t loop;

struct server {
    struct link_server *link;
    struct key_pair key;
    uint8_t admitted[3][LIMIT_KEY_BYTES];
    struct link_peer peer; /* last sender */
    unsigned received;
};

static int start_net(void **state)
{
    struct err err = {0};
    struct server *server = test_calloc(1, sizeof *server);
    *state = server;
    if (uv_loop_init(&loop) != 0 || net_start(&loop, &err) != 0)
        return -1;
    key_pair_generate(&server->key, KEY_CURVE);
    return 0;
}

static int stop_net(void **state)
{
    struct server *server = *state;
    link_server_free(server->link);
    key_pair_release(&server->key);
    net_stop();
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    test_free(server);
    return uv_loop_close(&loop);
}

static bool admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct server *server = context;
    return key_equal(server->admitted[0], key) || key_equal(server->admitted[1], key) ||
           key_equal(server->admitted[2], key);
}

static void received(void *context, const struct link_peer *peer, const uint8_t *bytes, size_t size)
{
    struct server *server = context;
    (void)bytes;
    (void)size;
    server->received++;
    server->peer = *peer;
}

static void serve(struct server *server)
{
    struct err err = {0};
    const struct link_server_config config = {.endpoint = "tcp://127.0.0.1:*",
                                              .key = &server->key,
                                              .group = (gid_t)-1,
                                              .queue_max = 100000,
                                              .admit = admit,
                                              .received = received,
                                              .context = server};
    if (link_server_new(&server->link, &config, &err) != 0)
        fail_msg("%s", err.text);
}

/* A peer that is admitted as number `place`, and does what our client never would. */
static zsock_t *dial(struct server *server, int place, const char *routing_id)
{
    struct key_pair key;
    zsock_t *socket = zsock_new(ZMQ_DEALER);
    void *raw = zsock_resolve(socket);
    key_pair_generate(&key, KEY_CURVE);
    memcpy(server->admitted[place], key.public_key, LIMIT_KEY_BYTES);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, key.public_key, 32), 0);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, key.secret, 32), 0);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server->key.public_key, 32), 0);
    if (routing_id != NULL)
        assert_int_equal(zmq_setsockopt(raw, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)), 0);
    key_pair_release(&key);
    assert_int_equal(zmq_connect(raw, link_server_endpoint(server->link)), 0);
    return socket;
}

static void nothing(uv_timer_t *timer)
{
    (void)timer;
}

static void turn(void)
{
    uv_timer_t wake;
    (void)uv_timer_init(&loop, &wake);
    (void)uv_timer_start(&wake, nothing, 20, 0);
    (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&wake, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        const uint64_t end_ns = uv_hrtime() + GUARD_MS * 1000000ULL;                               \
        while (!(condition) && uv_hrtime() < end_ns)                                               \
            turn();                                                                                \
        assert_true(condition);                                                                    \
    } while (0)

static int64_t option_of(zsock_t *socket, int option, bool wide)
{
    int64_t wide_value = -99;
    int value = -99;
    size_t size = wide ? sizeof wide_value : sizeof value;
    assert_int_equal(zmq_getsockopt(zsock_resolve(socket), option,
                                    wide ? (void *)&wide_value : (void *)&value, &size),
                     0);
    return wide ? wide_value : value;
}

/* Seen failing with each row of set_common_options taken out, but for HEARTBEAT_IVL, whose default
 * is 0 as well: seen failing with 1000 there. What a backlog or a heartbeat does shows only with
 * thousands of peers, so the values are looked at. */
static void socket_of_any_link_has_every_guard(void **state)
{
    const struct server *server = *state;
    struct err err = {0};
    static const int types[] = {ZMQ_ROUTER, ZMQ_DEALER};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        zsock_t *socket = net_socket_new(types[i], "tcp://127.0.0.1:1", &server->key, &err);
        assert_non_null(socket);
        assert_int_equal(option_of(socket, ZMQ_LINGER, false), 0);
        assert_int_equal(option_of(socket, ZMQ_HANDSHAKE_IVL, false), 5000);
        assert_int_equal(option_of(socket, ZMQ_HEARTBEAT_IVL, false), 0);
        assert_int_equal(option_of(socket, ZMQ_BACKLOG, false), 4096);
        assert_int_equal(option_of(socket, ZMQ_TCP_KEEPALIVE, false), 1);
        assert_int_equal(option_of(socket, ZMQ_MAXMSGSIZE, true), LINK_FRAME_BYTES_MAX);
        zsock_destroy(&socket);
    }
}

/* Nothing is kept for a peer that isn't there yet: what was true when it was sent would be told
 * when it no longer is. Seen failing with IMMEDIATE taken out: the message is taken, and waits. */
static void message_before_the_connection_is_refused(void **state)
{
    const struct server *server = *state;
    struct err err = {0};
    zsock_t *socket = net_socket_new(ZMQ_DEALER, "tcp://127.0.0.1:1", &server->key, &err);
    assert_non_null(socket);
    void *raw = zsock_resolve(socket);
    assert_int_equal(
        zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server->key.public_key, LIMIT_KEY_BYTES), 0);
    assert_int_equal(zmq_connect(raw, "tcp://127.0.0.1:1"), 0);
    assert_int_equal(zmq_send(raw, "late", 4, ZMQ_DONTWAIT), -1);
    assert_int_equal(zmq_errno(), EAGAIN);
    zsock_destroy(&socket);
}

/* Whoever connects and says nothing is cut off. Seen failing with HANDSHAKE_IVL taken out (30 s)
 * and with 0 (never). */
static void connection_without_handshake_is_cut(void **state)
{
    struct server *server = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t port = 0;
    uint8_t greeting[256];
    serve(server);
    const char *colon = strrchr(link_server_endpoint(server->link), ':');
    assert_int_equal(text_to_u64(colon + 1, UINT16_MAX, &port), 0);
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ssize_t got = 1;
    while (got > 0) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, HANDSHAKE_GUARD_MS), 1);
        got = recv(fd, greeting, sizeof greeting, 0); /* its half of the greeting, then the end */
    }
    (void)close(fd);
}

/* A second connection with the id of the first must not get what is meant for it. Seen failing with
 * ROUTER_HANDOVER 1: then the second one's message comes in, and is counted. */
static void peer_with_the_id_of_another_takes_nothing_over(void **state)
{
    struct server *server = *state;
    serve(server);
    zsock_t *first = dial(server, 0, "boss");
    assert_int_equal(zmq_send(zsock_resolve(first), "x", 1, 0), 1);
    TURN_UNTIL(link_server_counts(server->link).junk == 1);
    zsock_t *second = dial(server, 1, "boss");
    assert_int_equal(zmq_send(zsock_resolve(second), "y", 1, 0), 1);
    /* By the time that somebody who came later is through, it would have been, too. */
    zsock_t *third = dial(server, 2, NULL);
    assert_int_equal(zmq_send(zsock_resolve(third), "z", 1, 0), 1);
    TURN_UNTIL(server->received == 1);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(link_server_counts(server->link).junk, 1);
    assert_int_equal(zmq_send(zsock_resolve(first), "x", 1, 0), 1);
    TURN_UNTIL(link_server_counts(server->link).junk == 2);
    zsock_destroy(&first);
    zsock_destroy(&second);
    zsock_destroy(&third);
}

/* Seen failing with ROUTER_MANDATORY 0: the message for nobody is dropped in silence. */
static void message_for_nobody_is_an_error(void **state)
{
    struct server *server = *state;
    struct err err = {0};
    serve(server);
    zsock_t *client = dial(server, 0, NULL);
    assert_int_equal(zmq_send(zsock_resolve(client), "x", 1, 0), 1);
    TURN_UNTIL(server->received == 1);
    struct link_peer nobody = server->peer;
    nobody.route += 77;
    assert_int_equal(link_server_send(server->link, &nobody, (const uint8_t *)"x", 1, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    zsock_destroy(&client);
}

int main(void)
{
#define TRAP_TEST(name) cmocka_unit_test_setup_teardown(name, start_net, stop_net)
    const struct CMUnitTest tests[] = {
        TRAP_TEST(socket_of_any_link_has_every_guard),
        TRAP_TEST(message_before_the_connection_is_refused),
        TRAP_TEST(connection_without_handshake_is_cut),
        TRAP_TEST(peer_with_the_id_of_another_takes_nothing_over),
        TRAP_TEST(message_for_nobody_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
