/* Servers: one ROUTER each. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/internal.h"
#include "common/net/link.h"
#include "common/net/watch.h"
#include "common/trust/secret.h"

#define ROUTE_BYTES 5 /* libzmq's own routing ids: a zero and a 32-bit number */
#define SELF_TEST_MS 5000U
#define ENDPOINT_SIZE 256

struct link_server {
    struct watch watch;
    zsock_t *socket;
    struct zap_domain domain; /* not used on plain links */
    bool plain;
    void (*received)(void *context, const struct link_peer *peer, const uint8_t *bytes,
                     size_t size);
    void *context;
    struct link_server_counts counts;
    char endpoint[ENDPOINT_SIZE];
};

/* "...:UID:GID:PID", as libzmq writes it from SO_PEERCRED. */
static bool read_process(const char *address, struct link_peer *peer)
{
    uint64_t numbers[3];
    char text[ENDPOINT_SIZE];
    if (address == NULL || !text_copy(text, sizeof text, address))
        return false;
    for (int i = 2; i >= 0; i--) {
        char *colon = strrchr(text, ':');
        if (colon == NULL || text_to_u64(colon + 1, UINT32_MAX, &numbers[i]) != 0)
            return false;
        *colon = '\0';
    }
    peer->uid = (uid_t)numbers[0];
    peer->gid = (gid_t)numbers[1];
    peer->pid = (pid_t)numbers[2];
    return true;
}

/* Who sent it, by what the handshake or the kernel established; false when nobody did. */
static bool identify(struct link_server *server, zmq_msg_t *body, struct link_peer *peer)
{
    if (server->plain)
        return read_process(zmq_msg_gets(body, "Peer-Address"), peer);
    const char *user_id = zmq_msg_gets(body, "User-Id");
    return user_id != NULL && hex_decode(user_id, peer->key, LIMIT_KEY_BYTES) == 0 &&
           server->domain.admit(server->domain.context, peer->key);
}

/* Whether the routing id is one of libzmq's own. A peer can choose its own instead: ours never do.
 */
static bool read_route(zmq_msg_t *id, struct link_peer *peer)
{
    const uint8_t *bytes = zmq_msg_data(id);
    if (zmq_msg_size(id) != ROUTE_BYTES || bytes[0] != 0)
        return false;
    peer->route =
        (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
    return true;
}

/* Reads and drops what is left of a message. */
static void skip_parts(void *socket)
{
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        int got = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT);
        (void)zmq_msg_close(&part);
        if (got < 0)
            return;
    }
}

static void deliver(struct link_server *server, zmq_msg_t *id, zmq_msg_t *body)
{
    struct link_peer peer = {0};
    if (!read_route(id, &peer) || zmq_msg_size(body) == 0 ||
        zmq_msg_size(body) > LIMIT_MESSAGE_BYTES_MAX) {
        server->counts.junk++;
        return;
    }
    if (!identify(server, body, &peer)) {
        server->counts.refused++;
        return;
    }
    server->counts.received++;
    server->received(server->context, &peer, zmq_msg_data(body), zmq_msg_size(body));
}

static bool on_turn(void *context)
{
    struct link_server *server = context;
    void *socket = zsock_resolve(server->socket);
    zmq_msg_t id;
    zmq_msg_t body;
    (void)zmq_msg_init(&id);
    if (zmq_msg_recv(&id, socket, ZMQ_DONTWAIT) < 0) {
        (void)zmq_msg_close(&id);
        return false;
    }
    (void)zmq_msg_init(&body);
    if (!zmq_msg_more(&id) || zmq_msg_recv(&body, socket, ZMQ_DONTWAIT) < 0) {
        server->counts.junk++;
    } else if (zmq_msg_more(&body)) {
        skip_parts(socket);
        server->counts.junk++;
    } else {
        deliver(server, &id,
                &body); /* may free the server: its memory stays until the loop's end */
    }
    (void)zmq_msg_close(&body);
    (void)zmq_msg_close(&id);
    return true;
}

/* Waits until the stranger's handshake has an end, answering authentication requests meanwhile.
 * Returns the monitor's event, 0 when there was none in time. */
static int await_handshake(void *monitor, uint32_t *value)
{
    const uint64_t end_ns = uv_hrtime() + SELF_TEST_MS * 1000000ULL;
    while (uv_hrtime() < end_ns) {
        zmq_pollitem_t items[] = {{monitor, 0, ZMQ_POLLIN, 0},
                                  {net_zap_socket(), 0, ZMQ_POLLIN, 0}};
        (void)zmq_poll(items, net_zap_socket() == NULL ? 1 : 2, 100);
        while (net_zap_turn()) {
        }
        uint8_t event[6];
        if (zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) != (int)sizeof event)
            continue;
        skip_parts(monitor);
        uint16_t number;
        memcpy(&number, event, sizeof number);
        memcpy(value, event + 2, sizeof *value);
        return number;
    }
    return 0;
}

/* Dials `endpoint` with a key that nobody knows; 0 only when the handler refused it. */
static int try_stranger(const char *endpoint, const struct key_pair *server_key, struct err *err)
{
    struct key_pair stranger;
    char name[64];
    uint32_t value = 0;
    int event = 0;
    key_pair_generate(&stranger, KEY_CURVE);
    zsock_t *socket = net_socket_new(ZMQ_DEALER, endpoint, &stranger, err);
    key_pair_release(&stranger);
    zsock_t *monitor = zsock_new(ZMQ_PAIR);
    if (socket == NULL || monitor == NULL)
        goto out;
    void *raw = zsock_resolve(socket);
    (void)snprintf(name, sizeof name, "inproc://pusher-self-test-%u", net_number());
    const int ends = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    if (net_option_int(socket, ZMQ_RECONNECT_IVL, -1) == 0 &&
        zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server_key->public_key, LIMIT_KEY_BYTES) == 0 &&
        zmq_socket_monitor(raw, name, ends) == 0 &&
        zmq_connect(zsock_resolve(monitor), name) == 0 && zmq_connect(raw, endpoint) == 0)
        event = await_handshake(zsock_resolve(monitor), &value);
    (void)zmq_socket_monitor(raw, NULL, 0);
out:
    zsock_destroy(&monitor);
    zsock_destroy(&socket);
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && value == 400)
        return 0;
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        return err_set(err, ERR_DENIED, "self-test: a key that nobody knows was admitted");
    return err_set(err, ERR_DENIED, "self-test: keys are not checked (event 0x%x)",
                   (unsigned)event);
}

/* Before the public endpoint is bound, on one that only this process knows. */
static int self_test(struct link_server *server, const struct key_pair *key, struct err *err)
{
    char endpoint[64];
    void *raw = zsock_resolve(server->socket);
    (void)snprintf(endpoint, sizeof endpoint, "ipc://@pusher-self-test-%016llx",
                   (unsigned long long)random_u64());
    if (zmq_bind(raw, endpoint) != 0)
        return err_set_errno(err, zmq_errno(), "self-test: cannot bind");
    int result = try_stranger(endpoint, key, err);
    (void)zmq_unbind(raw, endpoint);
    return result;
}

static int set_server_options(struct link_server *server, int queue_max, struct err *err)
{
    zsock_t *socket = server->socket;
    if (queue_max > 0 && (net_option_int(socket, ZMQ_SNDHWM, queue_max) != 0 ||
                          net_option_int(socket, ZMQ_RCVHWM, queue_max) != 0))
        return err_set_errno(err, zmq_errno(), "cannot set up a server");
    if (net_option_int(socket, ZMQ_ROUTER_MANDATORY, 1) != 0 ||
        net_option_int(socket, ZMQ_ROUTER_HANDOVER, 0) != 0)
        return err_set_errno(err, zmq_errno(), "cannot set up a server");
    if (server->plain)
        return 0;
    if (net_option_int(socket, ZMQ_CURVE_SERVER, 1) != 0 ||
        zmq_setsockopt(zsock_resolve(socket), ZMQ_ZAP_DOMAIN, server->domain.name,
                       strlen(server->domain.name)) != 0 ||
        net_option_int(socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) != 0)
        return err_set_errno(err, zmq_errno(), "cannot set up encryption");
    return 0;
}

/* libzmq removes a socket file that is in its way, also one that somebody listens on. */
static int check_unused(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path[0] == '@' || path[0] == '*')
        return err_set(err, ERR_INVALID, "ipc://%s is not the path of a file", path);
    if (!text_copy(address.sun_path, sizeof address.sun_path, path))
        return err_set(err, ERR_INVALID, "path of socket %s is too long", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make a socket");
    int result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    bool used = result == 0 || errno == EAGAIN;
    (void)close(fd);
    return used ? err_set(err, ERR_EXISTS, "another process listens on %s", path) : 0;
}

static int bind_ipc(struct link_server *server, const struct link_server_config *config,
                    struct err *err)
{
    const char *path = config->endpoint + strlen("ipc://");
    mode_t mode = config->mode == 0 ? 0600 : config->mode;
    if ((mode & ~(mode_t)0660) != 0)
        return err_set(err, ERR_INVALID, "socket %s must not have mode %04o", path, (unsigned)mode);
    if (check_unused(path, err) != 0)
        return -1;
    /* Nobody else gets in between bind and chmod. */
    mode_t before = umask(0177);
    int result = zmq_bind(zsock_resolve(server->socket), config->endpoint);
    int why = zmq_errno();
    (void)umask(before);
    if (result != 0)
        return err_set_errno(err, why, "cannot listen on %s", config->endpoint);
    if (config->group != (gid_t)-1 && chown(path, (uid_t)-1, config->group) != 0)
        return err_set_errno(err, errno, "cannot give %s to group %u", path,
                             (unsigned)config->group);
    if (chmod(path, mode) != 0)
        return err_set_errno(err, errno, "cannot set the mode of %s", path);
    return 0;
}

static int bind_server(struct link_server *server, const struct link_server_config *config,
                       struct err *err)
{
    void *raw = zsock_resolve(server->socket);
    size_t size = sizeof server->endpoint;
    if (net_is_ipc(config->endpoint)) {
        if (bind_ipc(server, config, err) != 0)
            return -1;
    } else if (zmq_bind(raw, config->endpoint) != 0) {
        return err_set_errno(err, zmq_errno(), "cannot listen on %s", config->endpoint);
    }
    if (zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, server->endpoint, &size) != 0)
        return err_set_errno(err, zmq_errno(), "cannot tell the endpoint of %s", config->endpoint);
    return 0;
}

static int start(struct link_server *server, const struct link_server_config *config,
                 struct err *err)
{
    if (trust_start(err) != 0) /* a new seed for rand() right before the ROUTER draws its ids */
        return -1;
    server->socket = net_socket_new(ZMQ_ROUTER, config->endpoint, config->key, err);
    if (server->socket == NULL || set_server_options(server, config->queue_max, err) != 0)
        return -1;
    if (!server->plain && self_test(server, config->key, err) != 0)
        return err_wrap(err, "%s", config->endpoint);
    if (bind_server(server, config, err) != 0)
        return -1;
    return watch_start(&server->watch, net_loop(), zsock_resolve(server->socket), on_turn, server,
                       err);
}

int link_server_new(struct link_server **out, const struct link_server_config *config,
                    struct err *err)
{
    struct link_server *server = mem_new(1, sizeof *server);
    assert(config->key == NULL || config->admit != NULL);
    server->plain = config->key == NULL;
    server->received = config->received;
    server->context = config->context;
    server->domain.admit = config->admit;
    server->domain.context = config->context;
    if (!server->plain)
        net_zap_add(&server->domain);
    if (start(server, config, err) == 0) {
        *out = server;
        return 0;
    }
    net_zap_remove(&server->domain);
    zsock_destroy(&server->socket);
    free(server);
    return -1;
}

void link_server_free(struct link_server *server)
{
    if (server == NULL)
        return;
    net_zap_remove(&server->domain);
    watch_close(&server->watch, free);
    zsock_destroy(&server->socket);
}

int link_server_send(struct link_server *server, const struct link_peer *peer, const uint8_t *bytes,
                     size_t size, struct err *err)
{
    const uint8_t id[ROUTE_BYTES] = {0, (uint8_t)(peer->route >> 24), (uint8_t)(peer->route >> 16),
                                     (uint8_t)(peer->route >> 8), (uint8_t)peer->route};
    if (size == 0 || size > LIMIT_MESSAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "message of %zu bytes", size);
    if (!server->plain && !server->domain.admit(server->domain.context, peer->key))
        return err_set(err, ERR_DENIED, "peer is not admitted any more");
    watch_kick(&server->watch);
    if (net_send_frame(server->socket, id, sizeof id, ZMQ_SNDMORE) != 0)
        return err_set_native(err, ERR_UNAVAILABLE, zmq_errno(), "%s",
                              zmq_errno() == EAGAIN ? "peer's queue is full" : "peer is gone");
    if (net_send_frame(server->socket, bytes, size, 0) != 0)
        return err_set_native(err, ERR_UNAVAILABLE, zmq_errno(), "peer is gone");
    return 0;
}

const char *link_server_endpoint(const struct link_server *server)
{
    return server->endpoint;
}

struct link_server_counts link_server_counts(const struct link_server *server)
{
    return server->counts;
}
