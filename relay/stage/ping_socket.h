/* The ICMP socket of one address family: datagram where net.ipv4.ping_group_range allows it, else
 * raw with CAP_NET_RAW. Sends and receives in batches. Used by ping.c.
 */
#ifndef PUSHER_RELAY_STAGE_PING_SOCKET_H
#define PUSHER_RELAY_STAGE_PING_SOCKET_H

#include <uv.h>

#include "common/model/outcome.h"
#include "relay/stage/address.h"
#include "relay/stage/ping_packet.h"

#define PING_BATCH_COUNT 64 /* messages in one system call */

/* What came for an echo request of ours, maybe: the cookie tells whether it is genuine. */
struct ping_arrival {
    enum ping_news news;         /* PING_REPLY or PING_ERROR */
    struct ping_message message; /* with the cookie, if has_cookie */
    union stage_address asked;   /* where the request went, without zone */
    enum code_kind error_kind;   /* PING_ERROR: CODE_ICMP (type << 8 | code) or CODE_ERRNO */
    uint32_t error;
};

struct ping_socket_buffers; /* for received messages */

struct ping_socket {
    enum ping_family family;
    int fd; /* -1: not open */
    bool raw;
    uint16_t identifier; /* of raw sockets; the kernel chooses that of datagram sockets */
    uv_loop_t *loop;
    uv_poll_t *poll; /* freed by its close callback */
    struct ping_socket_buffers *buffers;
    void (*arrived)(void *context, const struct ping_arrival *arrival);
    void *context;
};

/* One echo request on its way. */
struct ping_outgoing {
    const union stage_address *to;
    const uint8_t *cookie; /* PING_COOKIE_BYTES */
    uint16_t sequence;
    int error; /* filled in: 0 or errno */
};

/* Makes the socket unless it is there. Returns 0 or errno (EACCES or EPERM: not allowed). */
int ping_socket_open(struct ping_socket *s);
void ping_socket_close(struct ping_socket *s);
/* Sends up to PING_BATCH_COUNT requests. Returns how many have been dealt with; fewer than `count`
 * when the last of those met ping_no_room. */
unsigned ping_socket_send(struct ping_socket *s, struct ping_outgoing *requests, unsigned count);
/* Whether the errno only says to wait. */
bool ping_no_room(int error);

#endif
