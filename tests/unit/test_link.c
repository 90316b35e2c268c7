/* common/net: links over Unix sockets and loopback, and what must never get through. */
#include <czmq.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/net/internal.h"
#include "common/net/link.h"
#include "common/trust/secret.h"

#define GUARD_MS 20000 /* far beyond what anything here takes */
#define BURST 1000U

static char folder[64];
static uv_loop_t loop;

/* What one end saw. */
struct end {
    struct link_server *server;
    struct link_client *client;
    struct key_pair key;
    uint8_t admitted[2][LIMIT_KEY_BYTES];
    struct link_peer peer; /* last sender */
    unsigned received;
    unsigned connected;
    unsigned disconnected;
    unsigned refused;
    uint8_t last[64]; /* start of the last message */
    size_t last_size;
    bool echo;         /* answer each message with itself */
    bool free_on_next; /* free the link inside its callback */
};

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pusher-link-XXXXXX");
    return trust_start(NULL) != 0 || mkdtemp(folder) == NULL || uv_loop_init(&loop) != 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) + uv_loop_close(&loop);
}

static int start_net(void **state)
{
    (void)state;
    struct err err = {0};
    if (net_start(&loop, &err) == 0)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int stop_net(void **state)
{
    (void)state;
    net_stop();
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return 0;
}

static const char *ipc_endpoint(void)
{
    static char endpoint[128];
    static unsigned number;
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/s%u", folder, ++number);
    return endpoint;
}

static bool admit(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    const struct end *end = context;
    return key_equal(end->admitted[0], key) || key_equal(end->admitted[1], key);
}

static bool admit_anybody(void *context, const uint8_t key[LIMIT_KEY_BYTES])
{
    (void)context;
    (void)key;
    return true;
}

static void keep(struct end *end, const uint8_t *bytes, size_t size)
{
    end->received++;
    end->last_size = size;
    memcpy(end->last, bytes, size < sizeof end->last ? size : sizeof end->last);
}

static void on_server(void *context, const struct link_peer *peer, const uint8_t *bytes,
                      size_t size)
{
    struct end *end = context;
    keep(end, bytes, size);
    end->peer = *peer;
    if (end->echo)
        assert_int_equal(link_server_send(end->server, peer, bytes, size, NULL), 0);
    if (end->free_on_next) {
        link_server_free(end->server);
        end->server = NULL;
    }
}

static void on_client(void *context, const uint8_t *bytes, size_t size)
{
    struct end *end = context;
    keep(end, bytes, size);
    if (end->free_on_next) {
        link_client_free(end->client);
        end->client = NULL;
    }
}

static void on_state(void *context, enum link_state state)
{
    struct end *end = context;
    end->connected += state == LINK_CONNECTED;
    end->disconnected += state == LINK_DISCONNECTED;
    end->refused += state == LINK_REFUSED;
}

static void on_guard(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

struct guard {
    uv_timer_t timer;
    bool late;
};

static void guard_start(struct guard *guard)
{
    guard->late = false;
    (void)uv_timer_init(&loop, &guard->timer);
    guard->timer.data = &guard->late;
    (void)uv_timer_start(&guard->timer, on_guard, GUARD_MS, 0);
}

static void guard_end(struct guard *guard)
{
    uv_close((uv_handle_t *)&guard->timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* Runs the loop until the condition holds; fails the test when it never does. */
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        struct guard guard;                                                                        \
        guard_start(&guard);                                                                       \
        bool holds = (condition);                                                                  \
        while (!holds && !guard.late) {                                                            \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
            holds = (condition);                                                                   \
        }                                                                                          \
        guard_end(&guard);                                                                         \
        assert_true(holds);                                                                        \
    } while (0)

static void run_until(const unsigned *count, unsigned wanted)
{
    RUN_UNTIL(*count >= wanted);
    assert_int_equal(*count, wanted);
}

/* Lets things happen that must not: nothing here is measured. */
static void run_a_while(void)
{
    uv_timer_t timer;
    bool over = false;
    (void)uv_timer_init(&loop, &timer);
    timer.data = &over;
    (void)uv_timer_start(&timer, on_guard, 200, 0);
    while (!over)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void open_server(struct end *end, const char *endpoint, bool plain)
{
    struct err err = {0};
    const struct link_server_config config = {
        .endpoint = endpoint,
        .key = plain ? NULL : &end->key,
        .mode = 0,
        .group = (gid_t)-1,
        .admit = admit,
        .received = on_server,
        .context = end,
    };
    if (!plain)
        key_pair_generate(&end->key, KEY_CURVE);
    if (link_server_new(&end->server, &config, &err) != 0)
        fail_msg("%s", err.text);
}

static void open_client(struct end *end, const struct end *server, bool plain)
{
    struct err err = {0};
    const struct link_client_config config = {
        .endpoint = link_server_endpoint(server->server),
        .key = plain ? NULL : &end->key,
        .server_key = plain ? NULL : server->key.public_key,
        .received = on_client,
        .state = on_state,
        .context = end,
    };
    if (!plain && end->key.secret == NULL)
        key_pair_generate(&end->key, KEY_CURVE);
    if (link_client_new(&end->client, &config, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_end(struct end *end)
{
    link_server_free(end->server);
    link_client_free(end->client);
    key_pair_release(&end->key);
    memset(end, 0, sizeof *end);
}

/* A server and an admitted, connected client. */
static void open_pair(struct end *server, struct end *client, const char *endpoint)
{
    memset(server, 0, sizeof *server);
    memset(client, 0, sizeof *client);
    open_server(server, endpoint, false);
    key_pair_generate(&client->key, KEY_CURVE);
    memcpy(server->admitted[0], client->key.public_key, LIMIT_KEY_BYTES);
    open_client(client, server, false);
    run_until(&client->connected, 1);
}

static void say(struct end *client, const char *text)
{
    struct err err = {0};
    if (link_client_send(client->client, (const uint8_t *)text, strlen(text), &err) != 0)
        fail_msg("%s", err.text);
}

static void client_admitted_talks_both_ways_and_is_known_by_key(void **state)
{
    (void)state;
    const char *endpoints[] = {ipc_endpoint(), "tcp://127.0.0.1:*"};
    for (size_t i = 0; i < 2; i++) {
        struct end server;
        struct end client;
        open_pair(&server, &client, endpoints[i]);
        server.echo = true;
        say(&client, "hello");
        run_until(&client.received, 1);
        assert_memory_equal(client.last, "hello", 5);
        assert_true(key_equal(server.peer.key, client.key.public_key));
        assert_int_equal(link_server_counts(server.server).received, 1);
        close_end(&client);
        close_end(&server);
    }
}

static void client_with_unknown_key_is_refused_until_admitted(void **state)
{
    (void)state;
    struct end server = {0};
    struct end client = {0};
    open_server(&server, ipc_endpoint(), false);
    open_client(&client, &server, false);
    RUN_UNTIL(client.refused >= 2); /* dials again by itself after a refusal */
    assert_int_equal(client.connected, 0);
    assert_int_equal(link_client_send(client.client, (const uint8_t *)"x", 1, NULL), -1);
    memcpy(server.admitted[0], client.key.public_key, LIMIT_KEY_BYTES);
    run_until(&client.connected, 1);
    say(&client, "hello");
    run_until(&server.received, 1);
    close_end(&client);
    close_end(&server);
}

static void client_expecting_another_server_sends_nothing(void **state)
{
    (void)state;
    struct end server = {0};
    struct end client = {0};
    open_server(&server, ipc_endpoint(), false);
    key_pair_generate(&client.key, KEY_CURVE);
    memcpy(server.admitted[0], client.key.public_key, LIMIT_KEY_BYTES);
    struct end other = server;
    other.key.public_key[5] ^= 1;
    open_client(&client, &other, false);
    run_a_while();
    assert_int_equal(client.connected, 0);
    assert_int_equal(link_client_send(client.client, (const uint8_t *)"x", 1, NULL), -1);
    assert_int_equal(server.received, 0);
    close_end(&client);
    close_end(&server);
}

static void client_without_encryption_gets_nothing_through(void **state)
{
    (void)state;
    struct end server = {0};
    struct end client = {0};
    open_server(&server, ipc_endpoint(), false);
    open_client(&client, &server, true);
    run_a_while();
    assert_int_equal(client.connected, 0);
    assert_int_equal(server.received, 0);
    close_end(&client);
    close_end(&server);
}

static void peer_revoked_has_its_next_message_refused(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    struct end other = {0};
    struct err err = {0};
    open_pair(&server, &client, ipc_endpoint());
    key_pair_generate(&other.key, KEY_CURVE);
    memcpy(server.admitted[1], other.key.public_key, LIMIT_KEY_BYTES);
    open_client(&other, &server, false);
    run_until(&other.connected, 1);
    say(&client, "one");
    run_until(&server.received, 1);
    struct link_peer peer = server.peer;
    assert_int_equal(link_server_send(server.server, &peer, (const uint8_t *)"x", 1, &err), 0);
    memset(server.admitted[0], 0, LIMIT_KEY_BYTES);
    say(&client, "two");
    RUN_UNTIL(link_server_counts(server.server).refused == 1);
    say(&other, "three");
    run_until(&server.received, 2);
    assert_memory_equal(server.last, "three", 5);
    assert_int_equal(link_server_counts(server.server).refused, 1);
    assert_int_equal(link_server_send(server.server, &peer, (const uint8_t *)"x", 1, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    close_end(&client);
    close_end(&other);
    close_end(&server);
}

static void burst_all_messages_arrive_in_order(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    open_pair(&server, &client, ipc_endpoint());
    server.echo = true;
    for (unsigned i = 0; i < BURST; i++)
        assert_int_equal(link_client_send(client.client, (const uint8_t *)&i, sizeof i, NULL), 0);
    run_until(&client.received, BURST);
    assert_int_equal(server.received, BURST);
    unsigned last;
    memcpy(&last, client.last, sizeof last);
    assert_int_equal(last, BURST - 1);
    close_end(&client);
    close_end(&server);
}

static void message_of_the_largest_size_passes_and_beyond_is_refused(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    struct err err = {0};
    uint8_t *bytes = mem_new(LIMIT_MESSAGE_BYTES_MAX + 1, 1);
    open_pair(&server, &client, "tcp://127.0.0.1:*");
    assert_int_equal(link_client_send(client.client, bytes, LIMIT_MESSAGE_BYTES_MAX, &err), 0);
    run_until(&server.received, 1);
    assert_int_equal(server.last_size, LIMIT_MESSAGE_BYTES_MAX);
    assert_int_equal(link_client_send(client.client, bytes, LIMIT_MESSAGE_BYTES_MAX + 1, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(link_client_send(client.client, bytes, 0, &err), -1);
    assert_int_equal(
        link_server_send(server.server, &server.peer, bytes, LIMIT_MESSAGE_BYTES_MAX + 1, &err),
        -1);
    assert_int_equal(err.code, ERR_LIMIT);
    close_end(&client);
    close_end(&server);
    free(bytes);
}

/* A peer of its own making: it does what our client never would. */
static zsock_t *dial_raw(const struct end *server, struct key_pair *key)
{
    zsock_t *socket = zsock_new(ZMQ_DEALER);
    void *raw = zsock_resolve(socket);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, key->public_key, 32), 0);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, key->secret, 32), 0);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server->key.public_key, 32), 0);
    return socket;
}

static void peer_sending_an_oversized_message_is_dropped_alone(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    struct key_pair key;
    open_pair(&server, &client, "tcp://127.0.0.1:*");
    key_pair_generate(&key, KEY_CURVE);
    memcpy(server.admitted[1], key.public_key, LIMIT_KEY_BYTES);
    zsock_t *hostile = dial_raw(&server, &key);
    size_t size = 4U * LIMIT_MESSAGE_BYTES_MAX;
    uint8_t *bytes = mem_new(size, 1);
    assert_int_equal(zmq_connect(zsock_resolve(hostile), link_server_endpoint(server.server)), 0);
    assert_int_equal(zmq_send(zsock_resolve(hostile), "first", 5, 0), 5);
    run_until(&server.received, 1);
    assert_int_equal(zmq_send(zsock_resolve(hostile), bytes, size, 0), (int)size);
    run_a_while();
    assert_int_equal(server.received, 1);
    assert_int_equal(link_server_counts(server.server).junk, 0); /* libzmq stopped it */
    say(&client, "still here");
    run_until(&server.received, 2);
    zsock_destroy(&hostile);
    free(bytes);
    key_pair_release(&key);
    close_end(&client);
    close_end(&server);
}

static void peer_choosing_its_own_id_or_parts_is_junk(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    struct key_pair key;
    open_pair(&server, &client, ipc_endpoint());
    key_pair_generate(&key, KEY_CURVE);
    memcpy(server.admitted[1], key.public_key, LIMIT_KEY_BYTES);
    zsock_t *chosen = dial_raw(&server, &key);
    zsock_t *parts = dial_raw(&server, &key);
    assert_int_equal(zmq_setsockopt(zsock_resolve(chosen), ZMQ_ROUTING_ID, "boss", 4), 0);
    assert_int_equal(zmq_connect(zsock_resolve(chosen), link_server_endpoint(server.server)), 0);
    assert_int_equal(zmq_connect(zsock_resolve(parts), link_server_endpoint(server.server)), 0);
    assert_int_equal(zmq_send(zsock_resolve(chosen), "x", 1, 0), 1);
    assert_int_equal(zmq_send(zsock_resolve(parts), "x", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(parts), "y", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(parts), "z", 1, 0), 1);
    assert_int_equal(zmq_send(zsock_resolve(parts), "", 0, 0), 0);
    assert_int_equal(zmq_send(zsock_resolve(parts), "good", 4, 0), 4);
    run_until(&server.received, 1);
    assert_memory_equal(server.last, "good", 4);
    RUN_UNTIL(link_server_counts(server.server).junk == 3);
    assert_int_equal(server.received, 1);
    zsock_destroy(&chosen);
    zsock_destroy(&parts);
    key_pair_release(&key);
    close_end(&client);
    close_end(&server);
}

static void server_route_is_not_what_an_unseeded_rand_gives(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    srand(1);
    uint32_t low = (uint32_t)rand();
    uint32_t high = (uint32_t)rand();
    uint32_t guess = low | high << 31;
    srand(1);
    open_pair(&server, &client, ipc_endpoint());
    say(&client, "x");
    run_until(&server.received, 1);
    assert_true(server.peer.route - guess > 16);
    close_end(&client);
    close_end(&server);
}

static void server_sending_to_a_peer_that_left_fails_softly(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    struct err err = {0};
    open_pair(&server, &client, ipc_endpoint());
    say(&client, "x");
    run_until(&server.received, 1);
    link_client_free(client.client);
    client.client = NULL;
    RUN_UNTIL(link_server_send(server.server, &server.peer, (const uint8_t *)"x", 1, &err) != 0);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    close_end(&client);
    close_end(&server);
}

static void server_sending_to_a_peer_that_does_not_read_never_blocks(void **state)
{
    (void)state;
    static const uint8_t block[8192];
    struct end server = {0};
    struct end client = {0};
    struct err err = {0};
    const struct link_server_config config = {.endpoint = ipc_endpoint(),
                                              .group = (gid_t)-1,
                                              .queue_max = 10,
                                              .received = on_server,
                                              .context = &server};
    assert_int_equal(link_server_new(&server.server, &config, &err), 0);
    open_client(&client, &server, true);
    run_until(&client.connected, 1);
    say(&client, "x");
    run_until(&server.received, 1);
    unsigned sent = 0; /* the loop stands still: nobody reads */
    while (link_server_send(server.server, &server.peer, block, sizeof block, &err) == 0)
        assert_true(++sent < 100000);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "full"));
    run_until(&client.received, sent);
    close_end(&client);
    close_end(&server);
}

static void server_coming_back_is_found_again(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    char endpoint[128];
    struct err err = {0};
    (void)snprintf(endpoint, sizeof endpoint, "%s", ipc_endpoint());
    open_pair(&server, &client, endpoint);
    link_server_free(server.server);
    run_until(&client.disconnected, 1);
    assert_int_equal(link_client_send(client.client, (const uint8_t *)"x", 1, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    const struct link_server_config config = {.endpoint = endpoint,
                                              .key = &server.key,
                                              .group = (gid_t)-1,
                                              .admit = admit,
                                              .received = on_server,
                                              .context = &server};
    /* The old listener goes in its own time. */
    int started = -1;
    for (int tries = 0; started != 0 && tries < 50; tries++) {
        run_a_while();
        started = link_server_new(&server.server, &config, &err);
    }
    assert_int_equal(started, 0);
    run_until(&client.connected, 2);
    say(&client, "again");
    run_until(&server.received, 1);
    close_end(&client);
    close_end(&server);
}

static void server_without_authentication_handler_does_not_start(void **state)
{
    (void)state;
    struct end server = {0};
    struct err err = {0};
    const char *endpoint = ipc_endpoint();
    const struct link_server_config config = {.endpoint = endpoint,
                                              .key = &server.key,
                                              .group = (gid_t)-1,
                                              .admit = admit,
                                              .received = on_server,
                                              .context = &server};
    key_pair_generate(&server.key, KEY_CURVE);
    net_zap_kill();
    assert_int_equal(link_server_new(&server.server, &config, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_non_null(strstr(err.text, "self-test: keys are not checked")); /* and nobody got in */
    assert_int_equal(access(endpoint + 6, F_OK), -1);                     /* never bound */
    key_pair_release(&server.key);
}

static void server_that_admits_anybody_does_not_start(void **state)
{
    (void)state;
    struct end server = {0};
    struct err err = {0};
    const struct link_server_config config = {.endpoint = "tcp://127.0.0.1:*",
                                              .key = &server.key,
                                              .admit = admit_anybody,
                                              .received = on_server,
                                              .context = &server};
    key_pair_generate(&server.key, KEY_CURVE);
    assert_int_equal(link_server_new(&server.server, &config, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    key_pair_release(&server.key);
}

static void server_endpoint_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const char *bad[] = {"tcp://127.0.0.1:*", "inproc://x", "udp://127.0.0.1:1", "", "ipc://@x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct link_server *server = NULL;
        struct err err = {0};
        const struct link_server_config config = {
            .endpoint = bad[i], .group = (gid_t)-1, .received = on_server};
        assert_int_equal(link_server_new(&server, &config, &err), -1); /* no key: plain */
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void control_socket_knows_the_process_and_keeps_others_out(void **state)
{
    (void)state;
    struct end server = {0};
    struct end client = {0};
    struct stat st;
    open_server(&server, ipc_endpoint(), true);
    assert_int_equal(stat(link_server_endpoint(server.server) + 6, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    open_client(&client, &server, true);
    run_until(&client.connected, 1);
    server.echo = true;
    say(&client, "status");
    run_until(&client.received, 1);
    assert_int_equal(server.peer.uid, getuid());
    assert_int_equal(server.peer.gid, getgid());
    assert_int_equal(server.peer.pid, getpid());
    close_end(&client);
    close_end(&server);
}

static void control_socket_mode_is_set_and_wide_ones_refused(void **state)
{
    (void)state;
    struct link_server *server = NULL;
    struct err err = {0};
    struct stat st;
    struct link_server_config config = {
        .endpoint = ipc_endpoint(), .mode = 0660, .group = getgid(), .received = on_server};
    assert_int_equal(link_server_new(&server, &config, &err), 0);
    assert_int_equal(stat(config.endpoint + 6, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    struct link_server *second = NULL;
    assert_int_equal(link_server_new(&second, &config, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    link_server_free(server);
    config.mode = 0666;
    assert_int_equal(link_server_new(&server, &config, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

static void control_socket_left_by_a_dead_process_is_replaced(void **state)
{
    (void)state;
    struct end server = {0};
    const char *endpoint = ipc_endpoint();
    FILE *file = fopen(endpoint + 6, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    open_server(&server, endpoint, true);
    close_end(&server);
}

static void link_freed_inside_its_callback_is_survived(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    open_pair(&server, &client, ipc_endpoint());
    server.echo = true;
    client.free_on_next = true;
    for (int i = 0; i < 10; i++)
        say(&client, "x");
    run_until(&client.received, 1);
    run_a_while();
    assert_int_equal(client.received, 1);
    close_end(&client);
    close_end(&server);
    open_pair(&server, &client, ipc_endpoint());
    server.free_on_next = true;
    for (int i = 0; i < 10; i++)
        say(&client, "x");
    run_until(&server.received, 1);
    run_until(&client.disconnected, 1);
    close_end(&client);
    close_end(&server);
}

static void client_finished_still_delivers_what_it_queued(void **state)
{
    (void)state;
    struct end server;
    struct end client;
    open_pair(&server, &client, ipc_endpoint());
    for (int i = 0; i < 100; i++)
        say(&client, "bye");
    link_client_finish(client.client, 5000);
    client.client = NULL;
    run_until(&server.received, 100);
    close_end(&client);
    close_end(&server);
}

static void net_start_leaves_signals_alone(void **state)
{
    (void)state;
    struct sigaction action;
    struct end server;
    struct end client;
    open_pair(&server, &client, ipc_endpoint());
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    close_end(&client);
    close_end(&server);
}

int main(void)
{
    (void)signal(SIGINT, SIG_DFL); /* ignored by what a shell runs in the background */
    (void)signal(SIGTERM, SIG_DFL);
#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, start_net, stop_net)
    const struct CMUnitTest tests[] = {
        LINK_TEST(client_admitted_talks_both_ways_and_is_known_by_key),
        LINK_TEST(client_with_unknown_key_is_refused_until_admitted),
        LINK_TEST(client_expecting_another_server_sends_nothing),
        LINK_TEST(client_without_encryption_gets_nothing_through),
        LINK_TEST(peer_revoked_has_its_next_message_refused),
        LINK_TEST(burst_all_messages_arrive_in_order),
        LINK_TEST(message_of_the_largest_size_passes_and_beyond_is_refused),
        LINK_TEST(peer_sending_an_oversized_message_is_dropped_alone),
        LINK_TEST(peer_choosing_its_own_id_or_parts_is_junk),
        LINK_TEST(server_route_is_not_what_an_unseeded_rand_gives),
        LINK_TEST(server_sending_to_a_peer_that_left_fails_softly),
        LINK_TEST(server_sending_to_a_peer_that_does_not_read_never_blocks),
        LINK_TEST(server_coming_back_is_found_again),
        LINK_TEST(server_without_authentication_handler_does_not_start),
        LINK_TEST(server_that_admits_anybody_does_not_start),
        LINK_TEST(server_endpoint_that_makes_no_sense_is_refused),
        LINK_TEST(control_socket_knows_the_process_and_keeps_others_out),
        LINK_TEST(control_socket_mode_is_set_and_wide_ones_refused),
        LINK_TEST(control_socket_left_by_a_dead_process_is_replaced),
        LINK_TEST(link_freed_inside_its_callback_is_survived),
        LINK_TEST(client_finished_still_delivers_what_it_queued),
        LINK_TEST(net_start_leaves_signals_alone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
