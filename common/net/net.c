/* The process's one ZeroMQ context, its authentication handler (RFC 27, ZAP), and socket options.
 *
 * The state below is the module's one global: czmq keeps its context in a global as well, and
 * libzmq has one authentication handler per context.
 */
#include "common/net/internal.h"

#include <assert.h>
#include <string.h>

#include "common/base/text.h"
#include "common/net/link.h"
#include "common/net/watch.h"
#include "common/trust/secret.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define SOCKETS_MAX 4096

static struct net {
    bool running;
    uv_loop_t *loop;
    zsock_t *zap; /* REP; NULL when not running */
    struct watch zap_watch;
    struct zap_domain *domains;
    unsigned last_number;
} net;

bool net_running(void)
{
    return net.running;
}

uv_loop_t *net_loop(void)
{
    return net.loop;
}

unsigned net_number(void)
{
    return ++net.last_number;
}

void *net_zap_socket(void)
{
    return net.zap == NULL ? NULL : zsock_resolve(net.zap);
}

void net_zap_add(struct zap_domain *domain)
{
    (void)snprintf(domain->name, sizeof domain->name, "pusher-%u", net_number());
    domain->next = net.domains;
    net.domains = domain;
}

void net_zap_remove(struct zap_domain *domain)
{
    for (struct zap_domain **at = &net.domains; *at != NULL; at = &(*at)->next) {
        if (*at == domain) {
            *at = domain->next;
            return;
        }
    }
}

static bool frame_is(zframe_t *frame, const char *text)
{
    return frame != NULL && zframe_size(frame) == strlen(text) &&
           memcmp(zframe_data(frame), text, strlen(text)) == 0;
}

/* Whether the request's key is admitted to the request's domain; *key is set when it is. */
static bool zap_decide(zframe_t *domain_name, zframe_t *mechanism, zframe_t *credentials,
                       const uint8_t **key)
{
    struct zap_domain *domain = net.domains;
    while (domain != NULL && !frame_is(domain_name, domain->name))
        domain = domain->next;
    if (domain == NULL)
        return false;
    if (frame_is(mechanism, "CURVE") && credentials != NULL &&
        zframe_size(credentials) == LIMIT_KEY_BYTES &&
        domain->admit(domain->context, zframe_data(credentials))) {
        *key = zframe_data(credentials);
        return true;
    }
    domain->refused++;
    return false;
}

bool net_zap_turn(void)
{
    if (net.zap == NULL || (zsock_events(net.zap) & ZMQ_POLLIN) == 0)
        return false;
    zmsg_t *request = zmsg_recv(net.zap);
    if (request == NULL)
        return false;
    zframe_t *version = zmsg_first(request);
    zframe_t *id = zmsg_next(request);
    zframe_t *domain = zmsg_next(request);
    (void)zmsg_next(request); /* address: of no weight, any peer can be anywhere */
    (void)zmsg_next(request); /* routing id: chosen by the peer */
    zframe_t *mechanism = zmsg_next(request);
    zframe_t *credentials = zmsg_next(request);
    const uint8_t *key = NULL;
    char user_id[KEY_TEXT_SIZE] = "";
    bool admitted = frame_is(version, "1.0") && zap_decide(domain, mechanism, credentials, &key);
    if (admitted)
        key_text(key, user_id);
    zmsg_t *reply = zmsg_new();
    (void)zmsg_addstr(reply, "1.0");
    (void)zmsg_addmem(reply, id == NULL ? NULL : zframe_data(id), id == NULL ? 0 : zframe_size(id));
    (void)zmsg_addstr(reply, admitted ? "200" : "400");
    (void)zmsg_addstr(reply, admitted ? "OK" : "not admitted");
    (void)zmsg_addstr(reply, user_id);
    (void)zmsg_addmem(reply, NULL, 0);
    (void)zmsg_send(&reply, net.zap);
    zmsg_destroy(&reply);
    zmsg_destroy(&request);
    return true;
}

static bool on_zap(void *context)
{
    (void)context;
    return net_zap_turn();
}

static void on_zap_closed(void *context)
{
    (void)context;
}

void net_zap_kill(void)
{
    if (net.zap == NULL)
        return;
    watch_close(&net.zap_watch, on_zap_closed);
    zsock_destroy(&net.zap);
    (void)uv_run(net.loop, UV_RUN_NOWAIT);
}

int net_start(uv_loop_t *loop, struct err *err)
{
    assert(!net.running);
    zsys_handler_set(NULL); /* before the first socket: else czmq takes SIGINT and SIGTERM */
    zsys_set_max_sockets(SOCKETS_MAX);
    zsys_set_linger(0);
    if (zsys_init() == NULL)
        return err_set(err, ERR_INTERNAL, "cannot make a ZeroMQ context");
    zsys_set_logstream(stderr); /* czmq's own words must not end up among a program's output */
    if (!zsys_has_curve())
        return err_set(err, ERR_INTERNAL, "this libzmq cannot encrypt");
    if (trust_start(err) != 0)
        return -1;
    net.zap = zsock_new(ZMQ_REP);
    if (net.zap == NULL || zsock_bind(net.zap, ZAP_ENDPOINT) != 0) {
        zsock_destroy(&net.zap);
        return err_set(err, ERR_INTERNAL, "cannot bind the authentication handler");
    }
    if (watch_start(&net.zap_watch, loop, zsock_resolve(net.zap), on_zap, NULL, err) != 0) {
        zsock_destroy(&net.zap);
        return -1;
    }
    watch_unref(&net.zap_watch);
    net.loop = loop;
    net.running = true;
    return 0;
}

void net_stop(void)
{
    if (!net.running)
        return;
    assert(net.domains == NULL); /* links are freed first */
    net_zap_kill();
    (void)uv_run(net.loop, UV_RUN_NOWAIT);
    net.running = false;
    net.loop = NULL;
    zsys_shutdown();
}

bool net_is_ipc(const char *endpoint)
{
    return strncmp(endpoint, "ipc://", 6) == 0;
}

int net_option_int(zsock_t *socket, int option, int value)
{
    return zmq_setsockopt(zsock_resolve(socket), option, &value, sizeof value);
}

/* Limits and timers of every link; the reasons are in docs/PROTOCOL.md. */
static int set_common_options(zsock_t *socket, const char *endpoint)
{
    static const int options[][2] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IMMEDIATE, 1},
        {ZMQ_HANDSHAKE_IVL, 5000},
        {ZMQ_HEARTBEAT_IVL, 0},
        {ZMQ_BACKLOG, 4096},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 60},
        {ZMQ_TCP_KEEPALIVE_INTVL, 20},
        {ZMQ_TCP_KEEPALIVE_CNT, 3},
    };
    const int64_t frame_max = LINK_FRAME_BYTES_MAX;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (net_option_int(socket, options[i][0], options[i][1]) != 0)
            return -1;
    }
    if (strchr(endpoint, '[') != NULL && net_option_int(socket, ZMQ_IPV6, 1) != 0)
        return -1;
    return zmq_setsockopt(zsock_resolve(socket), ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
}

/* CURVE keys of 32 bytes are given in binary. */
static int set_key(zsock_t *socket, const struct key_pair *key)
{
    void *raw = zsock_resolve(socket);
    assert(key->kind == KEY_CURVE && key->secret != NULL);
    if (zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, key->public_key, LIMIT_KEY_BYTES) != 0)
        return -1;
    return zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, key->secret, LIMIT_KEY_BYTES);
}

zsock_t *net_socket_new(int type, const char *endpoint, const struct key_pair *key, struct err *err)
{
    assert(net.running);
    if (!net_is_ipc(endpoint) && strncmp(endpoint, "tcp://", 6) != 0) {
        (void)err_set(err, ERR_INVALID, "endpoint %s is neither tcp:// nor ipc://", endpoint);
        return NULL;
    }
    if (!net_is_ipc(endpoint) && key == NULL) {
        (void)err_set(err, ERR_INVALID, "endpoint %s would not be encrypted", endpoint);
        return NULL;
    }
    zsock_t *socket = zsock_new(type);
    if (socket == NULL) {
        (void)err_set_errno(err, zmq_errno(), "cannot make a socket for %s", endpoint);
        return NULL;
    }
    if (set_common_options(socket, endpoint) != 0 || (key != NULL && set_key(socket, key) != 0)) {
        (void)err_set_errno(err, zmq_errno(), "cannot set up a socket for %s", endpoint);
        zsock_destroy(&socket);
        return NULL;
    }
    return socket;
}

int net_send_frame(zsock_t *socket, const void *data, size_t size, int flags)
{
    return zmq_send(zsock_resolve(socket), data, size, flags | ZMQ_DONTWAIT) < 0 ? -1 : 0;
}
