/* Stage 2: is the machine there? ICMP echo over one socket per address family.
 *
 * A datagram socket where net.ipv4.ping_group_range allows it, else a raw one with CAP_NET_RAW;
 * made with the first ping, so `--ping skip` needs neither. A probe has a slot, whose number is the
 * sequence on the wire, and a random cookie; an answer must come from the address asked and carry
 * the cookie. Three tries; two ICMP errors end it early. Of addresses on the relay's own links only
 * so many are asked at a time as the kernel's neighbour table bears.
 *
 * Probes wait in queues with one fixed delay each, so every queue is ordered by time.
 */
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/stage/onlink.h"
#include "relay/stage/ping_packet.h"
#include "relay/stage/runner.h"

#define TRY_COUNT 3
#define SLOT_COUNT 65536 /* a sequence number each */
#define TICK_MS 20       /* how late a time-out may be seen */
#define SEND_TICK_MS 1
#define SENDS_PER_TICK 32 /* 32,000 probes a second at most */
#define BACK_OFF_MS 5     /* after ENOBUFS */
#define STUCK_MAX 100     /* times that one probe may meet ENOBUFS before it counts as a try */
#define READS_PER_WAKE 256
#define PACKET_MAX 1500
#define RECEIVE_BUFFER (1 << 20)

/* How long to wait after the n-th try; the last one is the deadline: 3.5 s in all. */
static const uint32_t wait_ms[TRY_COUNT] = {1000, 1000, 1500};

struct ping_probe {
    struct ping_probe *previous, *next;
    struct ping_queue *queue; /* the one it is in */
    struct stage_target *target;
    uint64_t due_ms; /* in a waiting queue: when this try has failed */
    uint16_t slot;
    uint8_t try_count; /* sent so far */
    uint8_t error_count;
    uint8_t stuck_count;       /* ENOBUFS since the last try */
    bool onlink;               /* reached without a router */
    enum code_kind error_kind; /* the last error seen */
    uint32_t error;
    uint8_t cookie[PING_COOKIE_BYTES];
};

struct ping_queue {
    struct ping_probe *first, *last;
};

struct ping_socket {
    struct pinger *pinger;
    enum ping_family family;
    int fd; /* -1: not open */
    bool raw;
    uv_poll_t *poll; /* freed by its close callback */
};

struct pinger {
    struct stage_runner *runner;
    struct ping_socket sockets[2];        /* by enum ping_family */
    struct ping_queue fresh[2];           /* no slot yet: routed, on-link */
    struct ping_queue sending;            /* to be sent */
    struct ping_queue waiting[TRY_COUNT]; /* sent n + 1 times */
    struct ping_probe **slots;            /* SLOT_COUNT; NULL: free */
    uint32_t slot_next;
    uint32_t slot_used;
    uint32_t onlink_used; /* of them on-link */
    struct onlink onlink;
    uint16_t identifier; /* of raw sockets */
    uint64_t quiet_until_ms;
    uv_timer_t *timer;
    uint64_t timer_ms; /* its period; 0: stopped */
};

static void queue_append(struct ping_queue *queue, struct ping_probe *probe)
{
    probe->queue = queue;
    probe->next = NULL;
    probe->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = probe;
    else
        queue->first = probe;
    queue->last = probe;
}

static void queue_remove(struct ping_probe *probe)
{
    struct ping_queue *queue = probe->queue;
    if (probe->previous != NULL)
        probe->previous->next = probe->next;
    else
        queue->first = probe->next;
    if (probe->next != NULL)
        probe->next->previous = probe->previous;
    else
        queue->last = probe->previous;
}

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void probe_free(struct pinger *pinger, struct ping_probe *probe)
{
    queue_remove(probe);
    if (pinger->slots[probe->slot] == probe) {
        pinger->slots[probe->slot] = NULL;
        pinger->slot_used--;
        if (probe->onlink)
            pinger->onlink_used--;
    }
    probe->target->probe = NULL;
    free(probe);
}

static bool no_room(int error)
{
    return error == ENOBUFS || error == EAGAIN || error == ENOMEM;
}

static bool lenient(const struct stage_target *target)
{
    return target->job->job.ping == PING_PREFER;
}

/* All tries are used up, or errors said enough. */
static void probe_failed(struct pinger *pinger, struct ping_probe *probe)
{
    struct stage_target *target = probe->target;
    enum code_kind kind = probe->error_kind;
    uint32_t error = probe->error;
    char code[16];
    (void)outcome_code_text(kind, error, code);
    target->tries = probe->try_count > 0 ? probe->try_count : 1;
    probe_free(pinger, probe);
    if (lenient(target)) {
        target_pass(target, "no answer to ping; trying TCP port %u",
                    target->runner->config.smb_port);
        return;
    }
    if (kind == CODE_ICMP)
        target_fail(target, REASON_HOST_UNREACHABLE, kind, error,
                    "ICMP error %s for the ping: unreachable", code);
    else if (kind == CODE_ERRNO)
        target_fail(target, no_room((int)error) ? REASON_INTERNAL : REASON_HOST_UNREACHABLE, kind,
                    error, "cannot send a ping: %s", strerror((int)error));
    else
        target_fail(target, REASON_NO_REPLY, CODE_NONE, 0, "no answer to %u pings", TRY_COUNT);
}

/* Remembers an error. The first may be a passing one: the next try decides. */
static void probe_error(struct pinger *pinger, struct ping_probe *probe, enum code_kind kind,
                        uint32_t error)
{
    probe->error_kind = kind;
    probe->error = error;
    probe->error_count++;
    if (probe->error_count >= 2 || probe->try_count >= TRY_COUNT)
        probe_failed(pinger, probe);
}

static enum ping_family address_family(const union stage_address *address)
{
    return address->any.sa_family == AF_INET ? PING_V4 : PING_V6;
}

static bool same_address(const union stage_address *a, const union stage_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static struct ping_probe *find_probe(struct ping_socket *s, const struct ping_message *message,
                                     const union stage_address *asked)
{
    struct ping_probe *probe = s->pinger->slots[message->sequence];
    if (probe == NULL || (s->raw && message->identifier != s->pinger->identifier))
        return NULL;
    if (message->has_cookie && memcmp(message->cookie, probe->cookie, PING_COOKIE_BYTES) != 0)
        return NULL;
    return same_address(&probe->target->addresses[0], asked) ? probe : NULL;
}

static void quoted_address(enum ping_family family, const struct ping_message *message,
                           union stage_address *address)
{
    memset(address, 0, sizeof *address);
    if (family == PING_V4) {
        address->v4.sin_family = AF_INET;
        memcpy(&address->v4.sin_addr, message->destination, sizeof address->v4.sin_addr);
    } else {
        address->v6.sin6_family = AF_INET6;
        memcpy(&address->v6.sin6_addr, message->destination, sizeof address->v6.sin6_addr);
    }
}

static void on_message(struct ping_socket *s, const uint8_t *bytes, size_t size,
                       const union stage_address *from)
{
    struct ping_message message;
    union stage_address asked;
    struct ping_probe *probe;
    switch (ping_packet_read(s->family, s->raw && s->family == PING_V4, bytes, size, &message)) {
    case PING_NOTHING:
        return;
    case PING_REPLY:
        probe = find_probe(s, &message, from);
        if (probe != NULL) {
            struct stage_target *target = probe->target;
            target->tries = probe->try_count;
            probe_free(s->pinger, probe);
            target_pass(target, "%s", "");
        }
        return;
    case PING_ERROR:
        quoted_address(s->family, &message, &asked);
        probe = find_probe(s, &message, &asked);
        if (probe != NULL)
            probe_error(s->pinger, probe, CODE_ICMP,
                        (uint32_t)(message.error_type << 8 | message.error_code));
        return;
    }
}

/* Errors of a datagram socket: the kernel quotes our request and names its destination. */
static bool read_error_queue(struct ping_socket *s)
{
    uint8_t bytes[PACKET_MAX];
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
    struct ping_message message;
    if (!ping_packet_read_request(s->family, bytes, (size_t)size, &message))
        return true;
    struct ping_probe *probe = find_probe(s, &message, &to);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); probe != NULL && c != NULL;
         c = CMSG_NXTHDR(&header, c)) {
        struct sock_extended_err extended;
        if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&extended, CMSG_DATA(c), sizeof extended);
        if (extended.ee_origin == SO_EE_ORIGIN_ICMP || extended.ee_origin == SO_EE_ORIGIN_ICMP6)
            probe_error(s->pinger, probe, CODE_ICMP,
                        (uint32_t)(extended.ee_type << 8 | extended.ee_code));
        else
            probe_error(s->pinger, probe, CODE_ERRNO, extended.ee_errno);
        return true;
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct ping_socket *s = poll->data;
    uint8_t bytes[PACKET_MAX];
    if (status < 0) /* libuv stops a poll whose error queue has something */
        (void)uv_poll_start(poll, UV_READABLE, on_readable);
    for (int i = 0; i < READS_PER_WAKE; i++) {
        union stage_address from;
        memset(&from, 0, sizeof from);
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(s->fd, bytes, sizeof bytes, MSG_DONTWAIT, &from.any, &from_size);
        if (size >= 0) {
            on_message(s, bytes, (size_t)size, &from);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (s->raw || !read_error_queue(s))
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

static int socket_open(struct ping_socket *s, struct err *err)
{
    if (s->fd >= 0)
        return 0;
    bool raw;
    int fd = open_fd(s->family, &raw);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make an ICMP socket");
    int size = RECEIVE_BUFFER;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (raw)
        set_filter(fd, s->family);
    else if (s->family == PING_V4)
        (void)setsockopt(fd, SOL_IP, IP_RECVERR, &on, sizeof on);
    else
        (void)setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &on, sizeof on);
    uv_poll_t *poll = mem_new(1, sizeof *poll);
    int status = uv_poll_init(s->pinger->runner->config.loop, poll, fd);
    if (status != 0) {
        (void)close(fd);
        free(poll);
        return err_set_errno(err, -status, "ICMP socket");
    }
    poll->data = s;
    (void)uv_poll_start(poll, UV_READABLE, on_readable);
    s->poll = poll;
    s->fd = fd;
    s->raw = raw;
    return 0;
}

/* 0 sent (or counted as lost), -1 no room now. */
static int probe_send(struct pinger *pinger, struct ping_probe *probe)
{
    const union stage_address *to = &probe->target->addresses[0];
    struct ping_socket *s = &pinger->sockets[address_family(to)];
    uint8_t packet[PING_PACKET_BYTES];
    ping_packet_build(s->family, pinger->identifier, probe->slot, probe->cookie, packet);
    socklen_t to_size = s->family == PING_V4 ? sizeof to->v4 : sizeof to->v6;
    ssize_t sent = -1;
    int error = 0;
    /* Twice, since a datagram socket reports an error about another probe here, once. */
    for (int i = 0; i < 2 && sent < 0; i++) {
        sent = sendto(s->fd, packet, sizeof packet, MSG_DONTWAIT, &to->any, to_size);
        error = sent < 0 ? errno : 0;
    }
    queue_remove(probe);
    if (no_room(error) && ++probe->stuck_count < STUCK_MAX) {
        queue_append(&pinger->sending, probe); /* behind the others, which may have more luck */
        return -1;
    }
    probe->stuck_count = 0;
    probe->due_ms = uv_now(pinger->runner->config.loop) + wait_ms[probe->try_count];
    queue_append(&pinger->waiting[probe->try_count], probe);
    probe->try_count++;
    if (error != 0)
        probe_error(pinger, probe, CODE_ERRNO, (uint32_t)error);
    return 0;
}

static void slot_assign(struct pinger *pinger, struct ping_probe *probe)
{
    while (pinger->slots[pinger->slot_next] != NULL)
        pinger->slot_next = (pinger->slot_next + 1) % SLOT_COUNT;
    probe->slot = (uint16_t)pinger->slot_next;
    pinger->slot_next = (pinger->slot_next + 1) % SLOT_COUNT;
    pinger->slots[probe->slot] = probe;
    pinger->slot_used++;
    if (probe->onlink)
        pinger->onlink_used++;
    queue_remove(probe);
    queue_append(&pinger->sending, probe);
}

/* Gives waiting probes a slot, as far as there are any. */
static void slots_assign(struct pinger *pinger)
{
    while (pinger->fresh[0].first != NULL && pinger->slot_used < SLOT_COUNT)
        slot_assign(pinger, pinger->fresh[0].first);
    while (pinger->fresh[1].first != NULL && pinger->slot_used < SLOT_COUNT &&
           pinger->onlink_used < pinger->onlink.probe_max)
        slot_assign(pinger, pinger->fresh[1].first);
}

static void on_tick(uv_timer_t *timer);

static void timer_adjust(struct pinger *pinger)
{
    bool waiting = pinger->fresh[0].first != NULL || pinger->fresh[1].first != NULL;
    for (int i = 0; i < TRY_COUNT; i++)
        waiting = waiting || pinger->waiting[i].first != NULL;
    uint64_t wanted = pinger->sending.first != NULL ? SEND_TICK_MS : waiting ? TICK_MS : 0;
    if (wanted == pinger->timer_ms)
        return;
    pinger->timer_ms = wanted;
    if (wanted == 0)
        (void)uv_timer_stop(pinger->timer);
    else
        (void)uv_timer_start(pinger->timer, on_tick, wanted, wanted);
}

static void on_tick(uv_timer_t *timer)
{
    struct pinger *pinger = timer->data;
    uint64_t now = uv_now(pinger->runner->config.loop);
    for (int i = TRY_COUNT - 1; i >= 0; i--) {
        struct ping_probe *next;
        for (struct ping_probe *probe = pinger->waiting[i].first;
             probe != NULL && probe->due_ms <= now; probe = next) {
            next = probe->next;
            if (i + 1 == TRY_COUNT) {
                probe_failed(pinger, probe);
                continue;
            }
            queue_remove(probe);
            queue_append(&pinger->sending, probe);
        }
    }
    slots_assign(pinger);
    for (int i = 0; i < SENDS_PER_TICK && now >= pinger->quiet_until_ms; i++) {
        if (pinger->sending.first == NULL)
            break;
        if (probe_send(pinger, pinger->sending.first) != 0)
            pinger->quiet_until_ms = now + BACK_OFF_MS;
    }
    timer_adjust(pinger);
}

struct pinger *pinger_new(struct stage_runner *runner)
{
    struct pinger *pinger = mem_new(1, sizeof *pinger);
    pinger->runner = runner;
    pinger->slots = mem_new(SLOT_COUNT, sizeof *pinger->slots);
    for (int i = 0; i < 2; i++)
        pinger->sockets[i] =
            (struct ping_socket){.pinger = pinger, .family = (enum ping_family)i, .fd = -1};
    onlink_init(&pinger->onlink);
    pinger->identifier = (uint16_t)getpid();
    pinger->timer = mem_new(1, sizeof *pinger->timer);
    (void)uv_timer_init(runner->config.loop, pinger->timer);
    pinger->timer->data = pinger;
    return pinger;
}

void pinger_free(struct pinger *pinger)
{
    if (pinger == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        struct ping_socket *s = &pinger->sockets[i];
        if (s->fd < 0)
            continue;
        (void)uv_poll_stop(s->poll);
        uv_close((uv_handle_t *)s->poll, free_on_close);
        (void)close(s->fd);
    }
    (void)uv_timer_stop(pinger->timer);
    uv_close((uv_handle_t *)pinger->timer, free_on_close);
    onlink_release(&pinger->onlink);
    free(pinger->slots);
    free(pinger);
}

void ping_begin(struct stage_target *target)
{
    struct pinger *pinger = target->runner->pinger;
    if (target->job->job.ping == PING_SKIP) {
        target_pass(target, "%s", "ping skipped");
        return;
    }
    struct err err;
    struct ping_probe *probe = mem_new(1, sizeof *probe);
    enum ping_family family = address_family(&target->addresses[0]);
    bool failed = socket_open(&pinger->sockets[family], &err) != 0;
    if (!failed && getrandom(probe->cookie, sizeof probe->cookie, 0) != sizeof probe->cookie)
        failed = err_set_errno(&err, errno, "no random bytes") != 0;
    if (failed) {
        free(probe);
        if (lenient(target))
            target_pass(target, "%s", err.text);
        else
            target_fail(target,
                        err.native == EPERM || err.native == EACCES ? REASON_PING_NOT_ALLOWED
                                                                    : REASON_INTERNAL,
                        CODE_ERRNO, (uint32_t)err.native, "%s", err.text);
        return;
    }
    probe->target = target;
    target->probe = probe;
    probe->onlink =
        onlink_covers(&pinger->onlink, uv_now(target->runner->config.loop), &target->addresses[0]);
    queue_append(&pinger->fresh[probe->onlink ? 1 : 0], probe);
    slots_assign(pinger);
    timer_adjust(pinger);
}

void ping_cancel(struct stage_target *target)
{
    if (target->probe != NULL)
        probe_free(target->runner->pinger, target->probe);
}
