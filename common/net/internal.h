/* What the files of this room share: the process's one context, the authentication handler, socket
 * options. Nobody outside includes this, but for the room's own test. */
#ifndef PUSHER_NET_INTERNAL_H
#define PUSHER_NET_INTERNAL_H

#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/model/limits.h"
#include "common/trust/keys.h"

/* Without it a server whose handler is missing lets everybody in. The header of libzmq 4.3 has it
 * among its drafts, the library always. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

/* A message and what CURVE and framing put around it: libzmq counts that too. */
#define LINK_FRAME_BYTES_MAX ((int64_t)LIMIT_MESSAGE_BYTES_MAX + 1024)
#define LINK_DOMAIN_SIZE 32

/* Who decides for one server's domain. */
struct zap_domain {
    char name[LINK_DOMAIN_SIZE]; /* unique in the process; filled by net_zap_add */
    bool (*admit)(void *context, const uint8_t key[LIMIT_KEY_BYTES]);
    void *context;
    uint64_t refused; /* handshakes answered with no */
    struct zap_domain *next;
};

bool net_running(void);
uv_loop_t *net_loop(void);
/* A number that no other caller in this process gets. */
unsigned net_number(void);
void net_zap_add(struct zap_domain *domain);
void net_zap_remove(struct zap_domain *domain);
/* Answers one authentication request; false when there is none. */
bool net_zap_turn(void);
/* The handler's socket; NULL when it is gone. */
void *net_zap_socket(void);
/* For the test of servers that must not start without a handler. */
void net_zap_kill(void);

/* A socket with the options that every link has. Errors: ERR_INVALID for an endpoint that is
 * neither tcp:// nor ipc://, or that has no key and is not ipc://; ERR_IO. */
zsock_t *net_socket_new(int type, const char *endpoint, const struct key_pair *key,
                        struct err *err);
int net_option_int(zsock_t *socket, int option, int value);
bool net_is_ipc(const char *endpoint);
/* One message frame of ours: NULL-safe, DONTWAIT. Returns 0, or -1 with errno. */
int net_send_frame(zsock_t *socket, const void *data, size_t size, int flags);

#endif
