/* Links between Pusher's programs: ZeroMQ sockets on a libuv loop.
 *
 * Called by the shells. A link carries messages of up to LIMIT_MESSAGE_BYTES_MAX bytes, in order
 * while a connection lasts, and may lose any of them: it is a datagram layer, and the cores repeat
 * what matters. A server is one ROUTER that accepts connections; a client is one DEALER that dials
 * out and dials again for ever. Over TCP a link is always encrypted and both ends are known by
 * their CURVE keys; without encryption there are only Unix sockets, whose peers are known by what
 * the kernel says of their process.
 *
 * Everything runs on the loop given to net_start, in one thread. Callbacks may send, and may free
 * their own link. Bytes handed to a callback are valid until it returns. Identity is the peer's
 * key (or uid), never a routing id or anything else that the peer chose; every message is checked
 * against `admit` again, so that revoking a key works on live connections. What libzmq does that
 * must not happen here, and how it is kept from it, is in docs/PROTOCOL.md, "Links and their
 * options".
 */
#ifndef PUSHER_NET_LINK_H
#define PUSHER_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/model/limits.h"
#include "common/trust/keys.h"

/* Once per process, before the first link: context, rand() seed, authentication handler on `loop`.
 * czmq's signal handling is switched off; the caller keeps its own. Errors: ERR_IO,
 * ERR_INTERNAL. */
int net_start(uv_loop_t *loop, struct err *err);
/* After all links were freed and before the process ends; runs the loop once without waiting, so
 * that their handles close. Waits for what link_client_finish still has to send. Without net_start:
 * nothing. */
void net_stop(void);

struct link_server;
struct link_client;

/* Who sent a message, or to whom one goes. Copy it to keep it. */
struct link_peer {
    uint32_t route;               /* this connection of the peer; changes when it dials again */
    uint8_t key[LIMIT_KEY_BYTES]; /* CURVE public key; zeroes on a plain link */
    uid_t uid;                    /* plain links: of the peer's process, by the kernel ... */
    gid_t gid;                    /* ... */
    pid_t pid;                    /* ... */
};

struct link_server_config {
    const char *endpoint;       /* "tcp://ADDRESS:PORT" (port "*": any free one) or "ipc://PATH" */
    const struct key_pair *key; /* KEY_CURVE pair; NULL: plain, for ipc:// only */
    mode_t mode;                /* ipc://: of the socket file, at most 0660; 0: 0600 */
    gid_t group;                /* ipc://: of the socket file; (gid_t)-1: unchanged */
    int queue_max;              /* messages waiting per peer and direction; 0: 1,000 */
    /* Whether this key may talk to us; asked at each handshake and for each message. Not used on
     * plain links, where the socket file's mode decides. */
    bool (*admit)(void *context, const uint8_t key[LIMIT_KEY_BYTES]);
    void (*received)(void *context, const struct link_peer *peer, const uint8_t *bytes,
                     size_t size);
    void *context;
};

/* Binds and starts. With CURVE a stranger's key is tried before the endpoint is bound: unless it is
 * refused, the server does not start (so `admit` must know whom it admits). Errors: ERR_INVALID
 * (endpoint and key do not fit together), ERR_EXISTS (another process listens there), ERR_IO
 * (cannot bind), ERR_DENIED (self-test). */
int link_server_new(struct link_server **out, const struct link_server_config *config,
                    struct err *err);
/* Closes; what is queued is dropped. Its memory goes when the loop has closed its handles. NULL is
 * fine. The endpoint is sure to be free again only after net_stop. */
void link_server_free(struct link_server *server);
/* Queues a message to the connection peer->route. Errors: ERR_UNAVAILABLE when it is gone or its
 * queue is full; ERR_DENIED when its key is not admitted any more; ERR_LIMIT when the message is
 * empty or too long. */
int link_server_send(struct link_server *server, const struct link_peer *peer, const uint8_t *bytes,
                     size_t size, struct err *err);
/* Where it is bound, with the real port: "tcp://127.0.0.1:45123". */
const char *link_server_endpoint(const struct link_server *server);

/* For logs and tests. */
struct link_server_counts {
    uint64_t received; /* handed to the callback */
    uint64_t refused;  /* messages of peers that are not, or no longer, admitted */
    uint64_t junk;     /* messages of another shape than ours */
};

struct link_server_counts link_server_counts(const struct link_server *server);

enum link_state {
    LINK_CONNECTED,    /* handshake done: say hello */
    LINK_DISCONNECTED, /* connection lost; dialling again goes on by itself */
    LINK_REFUSED,      /* the server knows us not, or is not the one we expect */
};

struct link_client_config {
    const char *endpoint;       /* "tcp://HOST:PORT" or "ipc://PATH" */
    const struct key_pair *key; /* KEY_CURVE pair; NULL: plain, for ipc:// only */
    const uint8_t *server_key;  /* server's public key, LIMIT_KEY_BYTES; NULL exactly when key is */
    void (*received)(void *context, const uint8_t *bytes, size_t size);
    /* Connection came, went, or was refused; may come late; may be NULL. */
    void (*state)(void *context, enum link_state state);
    void *context;
};

/* Starts dialling: returns at once, whether or not anybody listens. Errors: ERR_INVALID, ERR_IO. */
int link_client_new(struct link_client **out, const struct link_client_config *config,
                    struct err *err);
/* The key that the server must have from the next dial on: for those that may have one of several.
 * Inside `state`, at LINK_REFUSED, it counts for the try that follows. Not on a plain link. */
void link_client_set_server_key(struct link_client *client, const uint8_t key[LIMIT_KEY_BYTES]);
/* Closes; what is queued is dropped. NULL is fine. */
void link_client_free(struct link_client *client);
/* Like link_client_free, but what is queued may still leave for `flush_ms` at most, while net_stop
 * waits: for a clean end. */
void link_client_finish(struct link_client *client, int flush_ms);
/* Queues a message. Errors: ERR_UNAVAILABLE while not LINK_CONNECTED or when the queue is full;
 * ERR_LIMIT when the message is empty or too long. */
int link_client_send(struct link_client *client, const uint8_t *bytes, size_t size,
                     struct err *err);

#endif
