/* ICMP sockets. */
#include "relay/stage/ping_socket.h"

#include <errno.h>
#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

#define READS_PER_WAKE 8 /* batches */
#define MESSAGE_MAX 256  /* enough of an error to find our request in it, options included */
#define RECEIVE_BUFFER (1 << 20)

struct ping_socket_buffers {
    struct mmsghdr headers[PING_BATCH_COUNT];
    struct iovec parts[PING_BATCH_COUNT];
    union stage_address addresses[PING_BATCH_COUNT];
    uint8_t bytes[PING_BATCH_COUNT][MESSAGE_MAX];
};

bool ping_no_room(int error)
{
    return error == ENOBUFS || error == EAGAIN || error == ENOMEM;
}

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void quoted_address(enum ping_family family, const struct ping_message *message,
                           union stage_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    memcpy(&v4, message->destination, sizeof v4);
    memcpy(&v6, message->destination, sizeof v6);
    if (family == PING_V4)
        stage_address_set_v4(address, &v4);
    else
        stage_address_set_v6(address, &v6);
}

static void on_message(struct ping_socket *s, const uint8_t *bytes, size_t size,
                       const union stage_address *from)
{
    struct ping_arrival arrival = {.error_kind = CODE_NONE};
    struct ping_message *message = &arrival.message;
    arrival.news =
        ping_packet_read(s->family, s->raw && s->family == PING_V4, bytes, size, message);
    if (arrival.news == PING_NOTHING || (s->raw && message->identifier != s->identifier))
        return;
    arrival.asked = *from;
    if (arrival.news == PING_ERROR) {
        quoted_address(s->family, message, &arrival.asked);
        arrival.error_kind = CODE_ICMP;
        arrival.error = (uint32_t)(message->error_type << 8 | message->error_code);
    }
    s->arrived(s->context, &arrival);
}

/* Errors of a datagram socket: the kernel quotes our request and names its destination. */
static bool read_error_queue(struct ping_socket *s)
{
    uint8_t bytes[MESSAGE_MAX];
    union {
        char bytes[512];
        struct cmsghdr align;
    } control;
    union stage_address to;
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr header = {
        .msg_name = &to,
        .msg_namelen = sizeof to,
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    memset(&to, 0, sizeof to);
    ssize_t size = recvmsg(s->fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (size < 0)
        return false;
    struct ping_arrival arrival = {.news = PING_ERROR, .asked = to};
    if (!ping_packet_read_request(s->family, bytes, (size_t)size, &arrival.message))
        return true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c != NULL; c = CMSG_NXTHDR(&header, c)) {
        struct sock_extended_err extended;
        if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&extended, CMSG_DATA(c), sizeof extended);
        bool icmp =
            extended.ee_origin == SO_EE_ORIGIN_ICMP || extended.ee_origin == SO_EE_ORIGIN_ICMP6;
        arrival.error_kind = icmp ? CODE_ICMP : CODE_ERRNO;
        arrival.error =
            icmp ? (uint32_t)(extended.ee_type << 8 | extended.ee_code) : extended.ee_errno;
        s->arrived(s->context, &arrival);
        return true;
    }
    return true;
}

/* How many messages came; -1 with errno when none. */
static int read_batch(struct ping_socket *s)
{
    struct ping_socket_buffers *buffers = s->buffers;
    for (size_t i = 0; i < PING_BATCH_COUNT; i++)
        buffers->headers[i].msg_hdr.msg_namelen = sizeof buffers->addresses[i];
    int count = recvmmsg(s->fd, buffers->headers, PING_BATCH_COUNT, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        on_message(s, buffers->bytes[i], buffers->headers[i].msg_len, &buffers->addresses[i]);
    return count;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ping_socket *s = poll->data;
    (void)events;
    if (status < 0) /* libuv stops a poll whose error queue has something */
        (void)uv_poll_start(poll, UV_READABLE, on_readable);
    for (int i = 0; i < READS_PER_WAKE; i++) {
        int count = read_batch(s);
        if (count == PING_BATCH_COUNT || (count < 0 && errno == EINTR))
            continue;
        if (s->raw || (count >= 0 && status >= 0))
            return;
        for (int errors = 0; errors < PING_BATCH_COUNT; errors++)
            if (!read_error_queue(s))
                return;
    }
}

static int open_fd(enum ping_family family, bool *raw)
{
    int domain = family == PING_V4 ? AF_INET : AF_INET6;
    int protocol = family == PING_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    *raw = false;
    if (fd >= 0)
        return fd;
    *raw = true;
    return socket(domain, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

/* Raw sockets see every ICMP message of the host: let the kernel drop what we never read. */
static void set_filter(int fd, enum ping_family family)
{
    if (family == PING_V4) {
        struct icmp_filter filter = {
            .data = ~(1U << ICMP_ECHOREPLY | 1U << ICMP_DEST_UNREACH | 1U << ICMP_TIME_EXCEEDED)};
        (void)setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
        return;
    }
    struct icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &filter);
    (void)setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
}

static struct ping_socket_buffers *buffers_new(void)
{
    struct ping_socket_buffers *buffers = mem_new(1, sizeof *buffers);
    for (size_t i = 0; i < PING_BATCH_COUNT; i++) {
        buffers->parts[i] = (struct iovec){buffers->bytes[i], MESSAGE_MAX};
        buffers->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &buffers->addresses[i], .msg_iov = &buffers->parts[i], .msg_iovlen = 1};
    }
    return buffers;
}

static void set_options(int fd, enum ping_family family, bool raw)
{
    int size = RECEIVE_BUFFER;
    int on = 1;
    /* The kernel's limit for all (net.core.rmem_max) is small; who may, goes beyond it. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (raw && family == PING_V4)
        (void)setsockopt(fd, SOL_IP, IP_HDRINCL, &on,
                         sizeof on); /* cheaper than the kernel's own */
    if (raw)
        set_filter(fd, family);
    else if (family == PING_V4)
        (void)setsockopt(fd, SOL_IP, IP_RECVERR, &on, sizeof on);
    else
        (void)setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &on, sizeof on);
}

int ping_socket_open(struct ping_socket *s)
{
    if (s->fd >= 0)
        return 0;
    int fd = open_fd(s->family, &s->raw);
    if (fd < 0)
        return errno;
    set_options(fd, s->family, s->raw);
    uv_poll_t *poll = mem_new(1, sizeof *poll);
    int status = uv_poll_init(s->loop, poll, fd);
    if (status != 0) {
        (void)close(fd);
        free(poll);
        return -status;
    }
    poll->data = s;
    (void)uv_poll_start(poll, UV_READABLE, on_readable);
    s->buffers = buffers_new();
    s->poll = poll;
    s->fd = fd;
    return 0;
}

void ping_socket_close(struct ping_socket *s)
{
    if (s->fd < 0)
        return;
    (void)uv_poll_stop(s->poll);
    uv_close((uv_handle_t *)s->poll, free_on_close);
    (void)close(s->fd);
    free(s->buffers);
    s->fd = -1;
}

/* What goes out for one request; returns its size. */
static size_t build(const struct ping_socket *s, const struct ping_outgoing *request,
                    uint8_t packet[PING_IPV4_HEADER_BYTES + PING_PACKET_BYTES])
{
    size_t header = 0;
    uint8_t destination[4];
    if (s->raw && s->family == PING_V4) {
        header = PING_IPV4_HEADER_BYTES;
        memcpy(destination, &request->to->v4.sin_addr, sizeof destination);
        /* 0 would have the kernel look for one */
        ping_packet_build_ipv4(destination, request->sequence | 1U << 15, packet);
    }
    ping_packet_build(s->family, s->identifier, request->sequence, request->cookie,
                      packet + header);
    return header + PING_PACKET_BYTES;
}

unsigned ping_socket_send(struct ping_socket *s, struct ping_outgoing *requests, unsigned count)
{
    struct mmsghdr headers[PING_BATCH_COUNT];
    struct iovec parts[PING_BATCH_COUNT];
    uint8_t packets[PING_BATCH_COUNT][PING_IPV4_HEADER_BYTES + PING_PACKET_BYTES];
    bool asked_twice = false;
    unsigned at = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct ping_outgoing *request = &requests[i];
        size_t size = build(s, request, packets[i]);
        parts[i] = (struct iovec){packets[i], size};
        headers[i].msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)request->to,
                                             .msg_namelen = stage_address_size(request->to),
                                             .msg_iov = &parts[i],
                                             .msg_iovlen = 1};
    }
    while (at < count) {
        int sent = sendmmsg(s->fd, headers + at, count - at, MSG_DONTWAIT);
        if (sent <= 0 && !asked_twice) {
            asked_twice = true; /* a datagram socket tells another request's error here, once */
            continue;
        }
        asked_twice = false;
        requests[at].error = sent < 0 ? errno : 0;
        if (sent < 0 && ping_no_room(requests[at++].error))
            break;
        for (int i = 0; i < sent; i++)
            requests[at++].error = 0;
    }
    return at;
}
