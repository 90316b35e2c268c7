/* Clients: one DEALER each, and a fresh one after every refusal.
 *
 * libzmq dials again by itself when a connection is lost or cannot be made, but gives up for ever
 * when a handshake is refused. A relay whose key is not known yet must not hang there, so a refused
 * session is thrown away and a new one made after a pause of our own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/net/internal.h"
#include "common/net/link.h"
#include "common/net/watch.h"
#include "common/trust/secret.h"

#define REDIAL_MS_MIN 1000U
#define REDIAL_MS_MAX 60000U
#define REDIAL_LOCAL_MS_MIN 50U /* ipc://: nobody to be polite to */
#define REDIAL_LOCAL_MS_MAX 1000U
#define MONITOR_EVENTS                                                                             \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                             \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                  \
     ZMQ_EVENT_DISCONNECTED)

/* One DEALER and its monitor. Outlives its client until the loop has closed the handles. */
struct session {
    struct link_client *client; /* NULL once closed */
    zsock_t *socket;
    zsock_t *monitor; /* PAIR */
    struct watch socket_watch;
    struct watch monitor_watch;
    int watches_open;
};

struct link_client {
    struct session *session; /* NULL between a refusal and the next try */
    uv_timer_t redial;
    uint32_t redial_ms; /* next pause, without jitter */
    char *endpoint;
    struct key_pair key; /* own copy of the secret; secret NULL: plain */
    uint8_t server_key[LIMIT_KEY_BYTES];
    bool connected;
    bool freed;
    void (*received)(void *context, const uint8_t *bytes, size_t size);
    void (*state)(void *context, enum link_state state);
    void *context;
};

static uint32_t redial_ms_min(const struct link_client *client)
{
    return net_is_ipc(client->endpoint) ? REDIAL_LOCAL_MS_MIN : REDIAL_MS_MIN;
}

static uint32_t redial_ms_max(const struct link_client *client)
{
    return net_is_ipc(client->endpoint) ? REDIAL_LOCAL_MS_MAX : REDIAL_MS_MAX;
}

static void tell(struct link_client *client, enum link_state state)
{
    if (client->state != NULL)
        client->state(client->context, state);
}

static void on_watch_closed(void *context)
{
    struct session *session = context;
    if (--session->watches_open == 0)
        free(session);
}

/* Closes the sockets at once; the memory goes with the last handle. */
static void session_close(struct session *session)
{
    session->client->session = NULL;
    session->client = NULL;
    (void)zmq_socket_monitor(zsock_resolve(session->socket), NULL, 0);
    watch_close(&session->monitor_watch, on_watch_closed);
    watch_close(&session->socket_watch, on_watch_closed);
    zsock_destroy(&session->monitor);
    zsock_destroy(&session->socket);
}

static bool on_message(void *context)
{
    struct session *session = context;
    struct link_client *client = session->client;
    void *socket = zsock_resolve(session->socket);
    zmq_msg_t message;
    (void)zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0) {
        (void)zmq_msg_close(&message);
        return false;
    }
    bool whole = !zmq_msg_more(&message);
    bool more = !whole;
    while (more) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        more = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&part);
        (void)zmq_msg_close(&part);
    }
    if (whole && zmq_msg_size(&message) > 0 && zmq_msg_size(&message) <= LIMIT_MESSAGE_BYTES_MAX)
        client->received(client->context, zmq_msg_data(&message), zmq_msg_size(&message));
    (void)zmq_msg_close(&message);
    return true;
}

static void on_redial(uv_timer_t *timer);

/* The session is dead: make another one after a pause that differs from relay to relay. */
static void session_refused(struct session *session)
{
    struct link_client *client = session->client;
    uint32_t pause_ms = client->redial_ms + random_below(client->redial_ms);
    uint32_t max = redial_ms_max(client);
    client->redial_ms = client->redial_ms > max / 2 ? max : client->redial_ms * 2;
    session_close(session);
    (void)uv_timer_start(&client->redial, on_redial, pause_ms, 0);
    client->connected = false;
    tell(client, LINK_REFUSED);
}

static bool on_event(void *context)
{
    struct session *session = context;
    struct link_client *client = session->client;
    zmsg_t *message =
        (zsock_events(session->monitor) & ZMQ_POLLIN) != 0 ? zmsg_recv(session->monitor) : NULL;
    if (message == NULL)
        return false;
    uint16_t event = 0;
    zframe_t *frame = zmsg_first(message);
    if (frame != NULL && zframe_size(frame) >= sizeof event)
        memcpy(&event, zframe_data(frame), sizeof event);
    zmsg_destroy(&message);
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        client->redial_ms = redial_ms_min(client);
        client->connected = true;
        tell(client, LINK_CONNECTED);
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
        bool was = client->connected;
        client->connected = false;
        if (was)
            tell(client, LINK_DISCONNECTED);
    } else if (event != 0) {
        session_refused(session);
    }
    return true;
}

static int set_client_options(struct link_client *client, zsock_t *socket)
{
    uint32_t min_ms = redial_ms_min(client);
    if (net_option_int(socket, ZMQ_RECONNECT_IVL, (int)(min_ms + random_below(min_ms))) != 0 ||
        net_option_int(socket, ZMQ_RECONNECT_IVL_MAX, (int)redial_ms_max(client)) != 0)
        return -1;
    if (client->key.secret == NULL)
        return 0;
    return zmq_setsockopt(zsock_resolve(socket), ZMQ_CURVE_SERVERKEY, client->server_key,
                          LIMIT_KEY_BYTES);
}

static int session_connect(struct session *session, struct err *err)
{
    struct link_client *client = session->client;
    const struct key_pair *key = client->key.secret == NULL ? NULL : &client->key;
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://pusher-monitor-%u", net_number());
    session->socket = net_socket_new(ZMQ_DEALER, client->endpoint, key, err);
    session->monitor = zsock_new(ZMQ_PAIR);
    if (session->socket == NULL || session->monitor == NULL)
        return -1;
    void *raw = zsock_resolve(session->socket);
    if (set_client_options(client, session->socket) != 0 ||
        zmq_socket_monitor(raw, name, MONITOR_EVENTS) != 0 ||
        zmq_connect(zsock_resolve(session->monitor), name) != 0 ||
        zmq_connect(raw, client->endpoint) != 0)
        return err_set_errno(err, zmq_errno(), "cannot dial %s", client->endpoint);
    return 0;
}

static int session_new(struct link_client *client, struct err *err)
{
    struct session *session = mem_new(1, sizeof *session);
    session->client = client;
    if (session_connect(session, err) != 0 ||
        watch_start(&session->socket_watch, net_loop(), zsock_resolve(session->socket), on_message,
                    session, err) != 0) {
        zsock_destroy(&session->monitor);
        zsock_destroy(&session->socket);
        free(session);
        return -1;
    }
    session->watches_open = 1;
    if (watch_start(&session->monitor_watch, net_loop(), zsock_resolve(session->monitor), on_event,
                    session, err) != 0) {
        watch_close(&session->socket_watch, on_watch_closed);
        zsock_destroy(&session->monitor);
        zsock_destroy(&session->socket);
        return -1;
    }
    session->watches_open = 2;
    client->session = session;
    return 0;
}

static void on_redial(uv_timer_t *timer)
{
    struct link_client *client = timer->data;
    struct err err = {0};
    if (session_new(client, &err) != 0)
        (void)uv_timer_start(&client->redial, on_redial, redial_ms_max(client), 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct link_client *client = handle->data;
    free(client->endpoint);
    key_pair_release(&client->key);
    free(client);
}

static void copy_key(struct key_pair *to, const struct key_pair *from)
{
    *to = *from;
    to->secret = secret_new(from->secret_size);
    memcpy(to->secret, from->secret, from->secret_size);
}

int link_client_new(struct link_client **out, const struct link_client_config *config,
                    struct err *err)
{
    struct link_client *client = mem_new(1, sizeof *client);
    assert(net_running() && (config->key == NULL) == (config->server_key == NULL));
    client->endpoint = mem_strdup(config->endpoint);
    if (config->key != NULL) {
        copy_key(&client->key, config->key);
        memcpy(client->server_key, config->server_key, LIMIT_KEY_BYTES);
    }
    client->received = config->received;
    client->state = config->state;
    client->context = config->context;
    client->redial_ms = redial_ms_min(client);
    (void)uv_timer_init(net_loop(), &client->redial);
    client->redial.data = client;
    if (session_new(client, err) != 0) {
        uv_close((uv_handle_t *)&client->redial, on_timer_closed);
        return -1;
    }
    *out = client;
    return 0;
}

void link_client_set_server_key(struct link_client *client, const uint8_t key[LIMIT_KEY_BYTES])
{
    assert(client->key.secret != NULL);
    memcpy(client->server_key, key, LIMIT_KEY_BYTES);
}

void link_client_finish(struct link_client *client, int flush_ms)
{
    if (client == NULL)
        return;
    assert(!client->freed);
    client->freed = true;
    if (client->session != NULL) {
        if (client->connected)
            (void)net_option_int(client->session->socket, ZMQ_LINGER, flush_ms);
        session_close(client->session);
    }
    uv_close((uv_handle_t *)&client->redial, on_timer_closed);
}

void link_client_free(struct link_client *client)
{
    link_client_finish(client, 0);
}

int link_client_send(struct link_client *client, const uint8_t *bytes, size_t size, struct err *err)
{
    if (size == 0 || size > LIMIT_MESSAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "message of %zu bytes", size);
    /* libzmq takes messages for a connection that is just ending, and drops them. */
    if (!client->connected)
        return err_set(err, ERR_UNAVAILABLE, "no connection to %s", client->endpoint);
    watch_kick(&client->session->socket_watch);
    if (net_send_frame(client->session->socket, bytes, size, 0) != 0)
        return err_set_native(err, ERR_UNAVAILABLE, zmq_errno(), "no connection to %s",
                              client->endpoint);
    return 0;
}
