/* Stage 2: is the machine there? ICMP echo over one socket per address family.
 *
 * A datagram socket where net.ipv4.ping_group_range allows it, else a raw one with CAP_NET_RAW;
 * made with the first ping, so `--ping skip` needs neither. A probe has a slot, whose number is the
 * sequence on the wire, and a random cookie; an answer must come from the address asked and carry
 * the cookie. Three tries; two ICMP errors end it early. Of addresses on the relay's own links only
 * so many are asked at a time as the kernel's neighbour table bears.
 *
 * Every address of a target has a probe of its own, begun STAGGER_MS after that of the address
 * before it, or as soon as that one meets an error. The first answer ends all of them.
 *
 * Probes wait in queues with one fixed delay each, so every queue is ordered by time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "relay/stage/ping_socket.h"
#include "relay/stage/runner.h"

#define TRY_COUNT 3
#define STAGGER_MS 100
#define SLOT_COUNT 65536 /* a sequence number each */
#define TICK_MS 20       /* how late a time-out may be seen */
#define SEND_TICK_MS 2   /* one batch each time: 32,000 a second at most */
#define BACK_OFF_MS 5    /* after ENOBUFS */
#define STUCK_MAX 100    /* times that one probe may meet ENOBUFS before it counts as a try */
#define COOKIES_DRAWN 16 /* at once, to save system calls: 256 bytes, which come whole */

#define ONLINK_LAST TRY_COUNT /* the queue for the last try on the relay's own links */

/* How long to wait after the n-th try; the last one is the deadline: 2.5 s in all. An answer to an
 * earlier try counts as long as the probe lives. On the relay's own links 3.25 s: there the kernel
 * gives up after 3 s (mcast_solicit x retrans_time), says so, and frees the neighbour's place. */
static const uint32_t wait_ms[TRY_COUNT + 1] = {500, 750, 1250, [ONLINK_LAST] = 2000};

struct ping_probe {
    struct ping_probe *previous, *next;
    struct ping_queue
        *queue; /* the one it is in; NULL: it has failed, others of the target go on */
    struct ping_probe *sibling; /* another address of the target */
    struct stage_target *target;
    uint64_t due_ms; /* in a waiting queue: when this try has failed; staggered: when to begin */
    uint16_t slot;
    uint8_t at;        /* number of the address */
    uint8_t try_count; /* sent so far */
    uint8_t error_count;
    uint8_t stuck_count;       /* ENOBUFS since the last try */
    bool onlink;               /* reached without a router */
    bool no_socket;            /* none could be made for its family */
    enum code_kind error_kind; /* the last error seen */
    uint32_t error;
    uint8_t cookie[PING_COOKIE_BYTES];
};

struct ping_queue {
    struct ping_probe *first, *last;
};

struct pinger {
    struct stage_runner *runner;
    struct ping_socket sockets[2];            /* by enum ping_family */
    struct ping_queue staggered;              /* their turn has not come */
    struct ping_queue fresh;                  /* no slot yet; reached by a router */
    struct ping_queue fresh_onlink[2];        /* the same on the relay's own links, by family */
    struct ping_queue sending;                /* to be sent */
    struct ping_queue waiting[TRY_COUNT + 1]; /* sent n + 1 times; ONLINK_LAST */
    struct ping_probe **slots;                /* SLOT_COUNT; NULL: free */
    uint32_t slot_next;
    uint32_t slot_used;
    uint32_t onlink_used[2]; /* of them on-link, by family */
    uint64_t quiet_until_ms;
    uv_timer_t *timer;
    uint64_t timer_ms; /* its period; 0: stopped */
    uint32_t cookies_left;
    uint8_t cookies[COOKIES_DRAWN][PING_COOKIE_BYTES];
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
    probe->queue = NULL;
}

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static enum ping_family address_family(const union stage_address *address)
{
    return stage_address_is_v4(address) ? PING_V4 : PING_V6;
}

static const union stage_address *probe_address(const struct ping_probe *probe)
{
    return &probe->target->addresses[probe->at];
}

/* Takes it out of everything but its target. */
static void probe_retire(struct pinger *pinger, struct ping_probe *probe)
{
    if (probe->queue != NULL)
        queue_remove(probe);
    if (pinger->slots[probe->slot] != probe)
        return;
    pinger->slots[probe->slot] = NULL;
    pinger->slot_used--;
    if (probe->onlink)
        pinger->onlink_used[address_family(probe_address(probe))]--;
}

static void probes_free(struct pinger *pinger, struct stage_target *target)
{
    struct ping_probe *next;
    for (struct ping_probe *probe = target->probe; probe != NULL; probe = next) {
        next = probe->sibling;
        probe_retire(pinger, probe);
        free(probe);
    }
    target->probe = NULL;
}

static void queue_fresh(struct pinger *pinger, struct ping_probe *probe)
{
    queue_append(probe->onlink ? &pinger->fresh_onlink[address_family(probe_address(probe))]
                               : &pinger->fresh,
                 probe);
}

/* The probe whose end tells most of a target of which nothing answered: one that got no word at all
 * leaves hope, so it outranks those that met errors; then ICMP, then our own machine's errors. */
static const struct ping_probe *most_telling(const struct stage_target *target)
{
    const struct ping_probe *most = target->probe;
    for (const struct ping_probe *probe = most->sibling; probe != NULL; probe = probe->sibling) {
        int rank = probe->error_kind == CODE_NONE ? 2 : probe->error_kind == CODE_ICMP;
        int most_rank = most->error_kind == CODE_NONE ? 2 : most->error_kind == CODE_ICMP;
        if (rank > most_rank || (rank == most_rank && probe->at < most->at))
            most = probe;
    }
    return most;
}

/* No address answered. */
static void target_silent(struct pinger *pinger, struct stage_target *target)
{
    struct ping_probe end = *most_telling(target);
    uint32_t error = end.error;
    char code[16];
    char many[32] = "";
    (void)outcome_code_text(end.error_kind, error, code);
    if (target->address_count > 1)
        (void)snprintf(many, sizeof many, " (%u addresses)", target->address_count);
    target->tries = end.try_count > 0 ? end.try_count : 1;
    probes_free(pinger, target);
    target_address_use(target, end.at);
    if (target->job->job.ping == PING_PREFER)
        target_pass(target, "%s%s; trying TCP port %u",
                    end.no_socket ? "cannot ping" : "no answer to ping", many,
                    target->runner->config.smb_port);
    else if (end.no_socket)
        target_fail(target,
                    error == EPERM || error == EACCES ? REASON_PING_NOT_ALLOWED : REASON_INTERNAL,
                    CODE_ERRNO, error, "cannot make an ICMP socket: %s", strerror((int)error));
    else if (end.error_kind == CODE_ICMP)
        target_fail(target, REASON_HOST_UNREACHABLE, CODE_ICMP, error,
                    "ICMP error %s for the ping: unreachable%s", code, many);
    else if (end.error_kind == CODE_ERRNO)
        target_fail(target, ping_no_room((int)error) ? REASON_INTERNAL : REASON_HOST_UNREACHABLE,
                    CODE_ERRNO, error, "cannot send a ping: %s%s", strerror((int)error), many);
    else
        target_fail(target, REASON_NO_REPLY, CODE_NONE, 0, "no answer to %u pings%s", TRY_COUNT,
                    many);
}

static bool any_alive(const struct stage_target *target)
{
    const struct ping_probe *probe = target->probe;
    while (probe != NULL && probe->queue == NULL)
        probe = probe->sibling;
    return probe != NULL;
}

static void address_begin(struct pinger *pinger, struct stage_target *target, uint8_t at,
                          uint32_t delay_ms);

/* All tries are used up, or errors said enough. The last probe of a target ends its stage. */
static void probe_failed(struct pinger *pinger, struct ping_probe *probe)
{
    struct stage_target *target = probe->target;
    probe_retire(pinger, probe);
    if (!any_alive(target)) /* the newest is the first in the list */
        address_begin(pinger, target, (uint8_t)(target->probe->at + 1), 0);
}

/* The address after this one waits no longer for its turn. */
static void hurry_next(struct pinger *pinger, const struct ping_probe *probe)
{
    struct ping_probe *newest = probe->target->probe;
    if (newest->queue != &pinger->staggered)
        return;
    queue_remove(newest);
    queue_fresh(pinger, newest);
}

/* Remembers an error. The first may be a passing one: the next try decides. */
static void probe_error(struct pinger *pinger, struct ping_probe *probe, enum code_kind kind,
                        uint32_t error)
{
    probe->error_kind = kind;
    probe->error = error;
    probe->error_count++;
    hurry_next(pinger, probe);
    if (probe->error_count >= 2 || probe->try_count >= TRY_COUNT)
        probe_failed(pinger, probe);
}

/* But for the zone, which an answer's quotation doesn't have. */
static bool same_host(const union stage_address *a, const union stage_address *b)
{
    if (stage_address_is_v4(a) || stage_address_is_v4(b))
        return stage_address_equal(a, b);
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static struct ping_probe *find_probe(struct pinger *pinger, const struct ping_arrival *arrival)
{
    const struct ping_message *message = &arrival->message;
    struct ping_probe *probe = pinger->slots[message->sequence];
    if (probe == NULL ||
        (message->has_cookie && memcmp(message->cookie, probe->cookie, PING_COOKIE_BYTES) != 0))
        return NULL;
    return same_host(probe_address(probe), &arrival->asked) ? probe : NULL;
}

static void on_arrived(void *context, const struct ping_arrival *arrival)
{
    struct pinger *pinger = context;
    struct ping_probe *probe = find_probe(pinger, arrival);
    if (probe == NULL)
        return;
    if (arrival->news == PING_ERROR) {
        probe_error(pinger, probe, arrival->error_kind, arrival->error);
        return;
    }
    struct stage_target *target = probe->target;
    uint8_t at = probe->at;
    target->tries = probe->try_count;
    probes_free(pinger, target);
    target_address_use(target, at);
    target_pass(target, "%s", "");
}

/* It went out, or met an error that was its own. */
static void probe_sent(struct pinger *pinger, struct ping_probe *probe, int error)
{
    struct stage_target *target = probe->target;
    queue_remove(probe);
    if (ping_no_room(error) && ++probe->stuck_count < STUCK_MAX) {
        queue_append(&pinger->sending, probe); /* behind the others, which may have more luck */
        return;
    }
    probe->stuck_count = 0;
    int wait = probe->onlink && probe->try_count + 1 == TRY_COUNT ? ONLINK_LAST : probe->try_count;
    probe->due_ms = uv_now(pinger->runner->config.loop) + wait_ms[wait];
    queue_append(&pinger->waiting[wait], probe);
    probe->try_count++;
    if (probe->try_count == 1 && probe == target->probe && probe->at + 1 < target->address_count)
        address_begin(pinger, target, (uint8_t)(probe->at + 1), STAGGER_MS);
    if (error != 0)
        probe_error(pinger, probe, CODE_ERRNO, (uint32_t)error);
}

/* Sends the first probes of the queue, as long as they are of one family. Returns false when there
 * is no room now. */
static bool send_batch(struct pinger *pinger)
{
    struct ping_outgoing requests[PING_BATCH_COUNT];
    struct ping_probe *probes[PING_BATCH_COUNT];
    struct ping_probe *probe = pinger->sending.first;
    enum ping_family family = address_family(probe_address(probe));
    unsigned count = 0;
    for (; count < PING_BATCH_COUNT && probe != NULL &&
           address_family(probe_address(probe)) == family;
         probe = probe->next) {
        requests[count] = (struct ping_outgoing){
            .to = probe_address(probe), .cookie = probe->cookie, .sequence = probe->slot};
        probes[count++] = probe;
    }
    unsigned done = ping_socket_send(&pinger->sockets[family], requests, count);
    for (unsigned i = 0; i < done && i < count; i++)
        probe_sent(pinger, probes[i], requests[i].error);
    return done == count;
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
        pinger->onlink_used[address_family(probe_address(probe))]++;
    queue_remove(probe);
    queue_append(&pinger->sending, probe);
}

/* Gives waiting probes a slot, as far as there are any. */
static void slots_assign(struct pinger *pinger)
{
    const struct onlink *onlink = &pinger->runner->onlink;
    const uint32_t onlink_max[2] = {
        [PING_V4] = onlink->probe_max_v4, [PING_V6] = onlink->probe_max_v6};
    while (pinger->fresh.first != NULL && pinger->slot_used < SLOT_COUNT)
        slot_assign(pinger, pinger->fresh.first);
    for (int family = 0; family < 2; family++)
        while (pinger->fresh_onlink[family].first != NULL && pinger->slot_used < SLOT_COUNT &&
               pinger->onlink_used[family] < onlink_max[family])
            slot_assign(pinger, pinger->fresh_onlink[family].first);
}

static void on_tick(uv_timer_t *timer);

static void timer_adjust(struct pinger *pinger)
{
    bool waiting = pinger->fresh.first != NULL || pinger->fresh_onlink[PING_V4].first != NULL ||
                   pinger->fresh_onlink[PING_V6].first != NULL || pinger->staggered.first != NULL;
    for (int i = 0; i <= ONLINK_LAST; i++)
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

/* What has waited long enough goes on. */
static void take_due(struct pinger *pinger, uint64_t now)
{
    struct ping_probe *probe;
    while ((probe = pinger->staggered.first) != NULL && probe->due_ms <= now) {
        queue_remove(probe);
        queue_fresh(pinger, probe);
    }
    for (int i = ONLINK_LAST; i >= 0; i--)
        while ((probe = pinger->waiting[i].first) != NULL && probe->due_ms <= now) {
            if (i + 1 >= TRY_COUNT) {
                probe_failed(pinger, probe);
                continue;
            }
            queue_remove(probe);
            queue_append(&pinger->sending, probe);
        }
}

static void on_tick(uv_timer_t *timer)
{
    struct pinger *pinger = timer->data;
    uint64_t now = uv_now(pinger->runner->config.loop);
    take_due(pinger, now);
    slots_assign(pinger);
    if (pinger->sending.first != NULL && now >= pinger->quiet_until_ms && !send_batch(pinger))
        pinger->quiet_until_ms = now + BACK_OFF_MS;
    timer_adjust(pinger);
}

struct pinger *pinger_new(struct stage_runner *runner)
{
    struct pinger *pinger = mem_new(1, sizeof *pinger);
    pinger->runner = runner;
    pinger->slots = mem_new(SLOT_COUNT, sizeof *pinger->slots);
    for (int i = 0; i < 2; i++)
        pinger->sockets[i] = (struct ping_socket){.family = (enum ping_family)i,
                                                  .fd = -1,
                                                  .identifier = (uint16_t)getpid(),
                                                  .loop = runner->config.loop,
                                                  .arrived = on_arrived,
                                                  .context = pinger};
    pinger->timer = mem_new(1, sizeof *pinger->timer);
    (void)uv_timer_init(runner->config.loop, pinger->timer);
    pinger->timer->data = pinger;
    return pinger;
}

void pinger_free(struct pinger *pinger)
{
    if (pinger == NULL)
        return;
    ping_socket_close(&pinger->sockets[PING_V4]);
    ping_socket_close(&pinger->sockets[PING_V6]);
    (void)uv_timer_stop(pinger->timer);
    uv_close((uv_handle_t *)pinger->timer, free_on_close);
    free(pinger->slots);
    free(pinger);
}

/* Random bytes for one probe. */
static int draw_cookie(struct pinger *pinger, uint8_t cookie[PING_COOKIE_BYTES])
{
    if (pinger->cookies_left == 0) {
        if (getrandom(pinger->cookies, sizeof pinger->cookies, 0) != sizeof pinger->cookies)
            return EIO;
        pinger->cookies_left = COOKIES_DRAWN;
    }
    memcpy(cookie, pinger->cookies[--pinger->cookies_left], PING_COOKIE_BYTES);
    return 0;
}

/* Makes the probe of an address, of the next one if its family has no socket. When there is none
 * left and all others have failed, the stage ends. */
static void address_begin(struct pinger *pinger, struct stage_target *target, uint8_t at,
                          uint32_t delay_ms)
{
    uint64_t now = uv_now(target->runner->config.loop);
    for (; at < target->address_count; at++) {
        struct ping_probe *probe = mem_new(1, sizeof *probe);
        probe->target = target;
        probe->at = at;
        probe->sibling = target->probe;
        target->probe = probe;
        int error = ping_socket_open(&pinger->sockets[address_family(probe_address(probe))]);
        if (error == 0)
            error = draw_cookie(pinger, probe->cookie);
        if (error == 0) {
            probe->onlink = onlink_covers(&target->runner->onlink, now, probe_address(probe));
            probe->due_ms = now + delay_ms;
            if (delay_ms > 0)
                queue_append(&pinger->staggered, probe);
            else
                queue_fresh(pinger, probe);
            return;
        }
        probe->no_socket = true;
        probe->error_kind = CODE_ERRNO;
        probe->error = (uint32_t)error;
    }
    if (!any_alive(target))
        target_silent(pinger, target);
}

void ping_begin(struct stage_target *target)
{
    struct pinger *pinger = target->runner->pinger;
    if (target->job->job.ping == PING_SKIP) {
        target_pass(target, "%s", "ping skipped");
        return;
    }
    address_begin(pinger, target, 0, 0);
    slots_assign(pinger);
    timer_adjust(pinger);
}

void ping_cancel(struct stage_target *target)
{
    probes_free(target->runner->pinger, target);
}
