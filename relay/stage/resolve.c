/* Stage 1: host name to address, with c-ares on the event loop.
 *
 * The A record decides; AAAA is asked only when there is no A. Search domains and name servers come
 * from resolv.conf. At most YOUNG_MAX fresh queries are in flight: above about a hundred c-ares
 * loses names. A query older than YOUNG_MS counts as slow and gives its place up, so names whose
 * servers are dead hold nobody up.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/stage/runner.h"

#define YOUNG_MAX 64
#define YOUNG_MS 250
#define IN_FLIGHT_MAX 2048
#define TRY_TIMEOUT_MS 2000 /* c-ares doubles it with every try */
#define TRY_COUNT 2
#define DEADLINE_MS 10000
#define TICK_MS 50
#define RESOLV_CONF "/etc/resolv.conf"

struct resolve_query {
    struct resolve_query *previous, *next; /* in one of the resolver's lists */
    struct resolver *resolver;
    struct stage_target *target; /* NULL: nobody waits for it any more */
    uint64_t started_ms;         /* when c-ares got it */
    bool asked;                  /* in the in_flight list */
    bool young;                  /* counts against YOUNG_MAX */
    bool asking_v6;
    bool explaining; /* asked again only to learn the RCODE */
};

struct query_list {
    struct resolve_query *first, *last;
};

/* A socket of c-ares; freed by its close callback. */
struct resolver_socket {
    struct resolver_socket *next;
    struct resolver *resolver;
    ares_socket_t fd;
    uv_poll_t poll;
};

struct resolver {
    struct stage_runner *runner;
    ares_channel channel; /* goes to the next server on SERVFAIL and the like */
    ares_channel explain; /* hands such an RCODE out: 1.18 hides it behind ECONNREFUSED */
    struct timespec conf; /* modification time of resolv.conf that the channels know */
    uv_timer_t *timer;    /* runs while queries are in flight; freed by its close callback */
    struct resolver_socket *sockets;
    struct query_list waiting;   /* not yet given to c-ares */
    struct query_list in_flight; /* oldest first */
    uint32_t in_flight_count;
    uint32_t young_count;
    bool closing;
};

static void list_append(struct query_list *list, struct resolve_query *query)
{
    query->next = NULL;
    query->previous = list->last;
    if (list->last != NULL)
        list->last->next = query;
    else
        list->first = query;
    list->last = query;
}

static void list_remove(struct query_list *list, struct resolve_query *query)
{
    if (query->previous != NULL)
        query->previous->next = query->next;
    else
        list->first = query->next;
    if (query->next != NULL)
        query->next->previous = query->previous;
    else
        list->last = query->previous;
}

static void free_on_close(uv_handle_t *handle)
{
    free(handle);
}

static void socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct resolver_socket *s = poll->data;
    ares_socket_t in = ARES_SOCKET_BAD;
    ares_socket_t out = ARES_SOCKET_BAD;
    if (status < 0 || (events & UV_READABLE) != 0)
        in = s->fd;
    if (status < 0 || (events & UV_WRITABLE) != 0)
        out = s->fd;
    /* One of the two owns the socket; the other ignores what it doesn't know. */
    struct resolver *resolver = s->resolver;
    ares_process_fd(resolver->channel, in, out);
    ares_process_fd(resolver->explain, in, out);
    /* libuv stops a poll that reports an error; c-ares may go on with the socket. */
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
        (void)uv_poll_start(poll, UV_READABLE, on_socket);
}

static void socket_forget(struct resolver_socket **link)
{
    struct resolver_socket *s = *link;
    *link = s->next;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, socket_closed);
}

static void socket_wants(void *context, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = context;
    struct resolver_socket **link = &resolver->sockets;
    while (*link != NULL && (*link)->fd != fd)
        link = &(*link)->next;
    if (!readable && !writable) {
        if (*link != NULL)
            socket_forget(link);
        return;
    }
    if (*link == NULL) {
        struct resolver_socket *s = mem_new(1, sizeof *s);
        s->resolver = resolver;
        s->fd = fd;
        s->poll.data = s;
        if (uv_poll_init_socket(resolver->runner->config.loop, &s->poll, fd) != 0) {
            free(s); /* the query then ends with its time-out */
            return;
        }
        *link = s;
    }
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    (void)uv_poll_start(&(*link)->poll, events, on_socket);
}

static void resolve_pump(struct resolver *resolver);

static void query_end(struct resolve_query *query)
{
    struct resolver *resolver = query->resolver;
    list_remove(&resolver->in_flight, query);
    resolver->in_flight_count--;
    if (query->young)
        resolver->young_count--;
    if (query->target != NULL)
        query->target->query = NULL;
    free(query);
}

/* RFC 1035 4.1.1 RCODE behind a c-ares status; -1 when the status is none of the server's. */
static int status_rcode(int status)
{
    switch (status) {
    case ARES_ENODATA:
        return ns_r_noerror;
    case ARES_EFORMERR:
        return ns_r_formerr;
    case ARES_ESERVFAIL:
        return ns_r_servfail;
    case ARES_ENOTFOUND:
        return ns_r_nxdomain;
    case ARES_ENOTIMP:
        return ns_r_notimpl;
    case ARES_EREFUSED:
        return ns_r_refused;
    default:
        return -1;
    }
}

static void target_unresolved(struct stage_target *target, int status)
{
    int rcode = status_rcode(status);
    char name[LIMIT_TARGET_NAME_SIZE];
    (void)text_printable(name, 128, target->name);
    switch (status) {
    case ARES_ENOTFOUND:
        target_fail(target, REASON_NXDOMAIN, CODE_DNS, (uint32_t)rcode, "no such name: %s", name);
        return;
    case ARES_ENODATA:
        target_fail(target, REASON_NXDOMAIN, CODE_DNS, (uint32_t)rcode,
                    "%s exists but has neither an A nor an AAAA record", name);
        return;
    case ARES_EBADNAME:
        target_fail(target, REASON_NXDOMAIN, CODE_NONE, 0, "not a DNS name: %s", name);
        return;
    case ARES_ECONNREFUSED:
        target_fail(target, REASON_DNS_TIMEOUT, CODE_ERRNO, ECONNREFUSED,
                    "no DNS server listens at the addresses of %s", RESOLV_CONF);
        return;
    default:
        break;
    }
    if (rcode >= 0)
        target_fail(target, REASON_DNS_TIMEOUT, CODE_DNS, (uint32_t)rcode,
                    "the DNS servers could not look %s up: %s", name, ares_strerror(status));
    else
        target_fail(target, REASON_DNS_TIMEOUT, CODE_NONE, 0, "no answer about %s: %s", name,
                    ares_strerror(status));
}

static void keep_addresses(struct stage_target *target, bool v6, unsigned char *answer, int size)
{
    struct ares_addrttl four[STAGE_ADDRESSES_MAX];
    struct ares_addr6ttl six[STAGE_ADDRESSES_MAX];
    int count = STAGE_ADDRESSES_MAX;
    int status = v6 ? ares_parse_aaaa_reply(answer, size, NULL, six, &count)
                    : ares_parse_a_reply(answer, size, NULL, four, &count);
    if (status != ARES_SUCCESS)
        return;
    for (int i = 0; i < count && i < STAGE_ADDRESSES_MAX; i++) {
        union stage_address *to = &target->addresses[i];
        memset(to, 0, sizeof *to);
        if (v6) {
            to->v6.sin6_family = AF_INET6;
            memcpy(&to->v6.sin6_addr, &six[i].ip6addr, sizeof to->v6.sin6_addr);
        } else {
            to->v4.sin_family = AF_INET;
            to->v4.sin_addr = four[i].ipaddr;
        }
        target->address_count = (uint8_t)(i + 1);
    }
}

static void on_answer(void *context, int status, int timeout_count, unsigned char *answer,
                      int answer_size);

static void query_ask(struct resolve_query *query)
{
    struct resolver *resolver = query->resolver;
    ares_search(query->explaining ? resolver->explain : resolver->channel, query->target->name,
                ns_c_in, query->asking_v6 ? ns_t_aaaa : ns_t_a, on_answer, query);
}

static void on_answer(void *context, int status, int timeout_count, unsigned char *answer,
                      int answer_size)
{
    struct resolve_query *query = context;
    struct resolver *resolver = query->resolver;
    struct stage_target *target = query->target;
    if (target == NULL || resolver->closing) {
        query_end(query);
        if (!resolver->closing)
            resolve_pump(resolver);
        return;
    }
    target->tries += (uint32_t)timeout_count;
    if (status == ARES_SUCCESS)
        keep_addresses(target, query->asking_v6, answer, answer_size);
    if (target->address_count == 0 && !query->asking_v6 &&
        (status == ARES_SUCCESS || status == ARES_ENODATA)) {
        query->asking_v6 = true;
        query_ask(query);
        return;
    }
    if (status == ARES_ECONNREFUSED && !query->explaining) {
        query->explaining = true;
        query_ask(query);
        return;
    }
    query_end(query);
    if (target->address_count > 0)
        target_pass(target, "%s", "");
    else
        target_unresolved(target, status == ARES_SUCCESS ? ARES_ENODATA : status);
    resolve_pump(resolver);
}

/* Slow queries make room, hopeless ones end, c-ares looks at its time-outs. */
static void on_tick(uv_timer_t *timer)
{
    struct resolver *resolver = timer->data;
    uint64_t now = uv_now(resolver->runner->config.loop);
    struct resolve_query *query = resolver->in_flight.first;
    for (; query != NULL && query->started_ms + YOUNG_MS <= now; query = query->next) {
        if (query->young)
            resolver->young_count--;
        query->young = false;
        if (query->target != NULL && query->started_ms + DEADLINE_MS <= now) {
            struct stage_target *target = query->target;
            target->query = NULL;
            query->target = NULL; /* c-ares keeps the query until its own time-out */
            target_unresolved(target, ARES_ETIMEOUT);
        }
    }
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ares_process_fd(resolver->explain, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolve_pump(resolver);
    if (resolver->in_flight_count == 0)
        (void)uv_timer_stop(timer);
}

static int channels_open(struct resolver *resolver, struct err *err)
{
    struct ares_options options = {
        .timeout = TRY_TIMEOUT_MS,
        .tries = TRY_COUNT,
        .sock_state_cb = socket_wants,
        .sock_state_cb_data = resolver,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = ares_init_options(&resolver->channel, &options, mask);
    if (status != ARES_SUCCESS)
        return err_set(err, ERR_IO, "no DNS: cannot use %s: %s", RESOLV_CONF,
                       ares_strerror(status));
    options.flags = ARES_FLAG_NOCHECKRESP;
    status = ares_init_options(&resolver->explain, &options, mask | ARES_OPT_FLAGS);
    if (status != ARES_SUCCESS) {
        ares_destroy(resolver->channel);
        return err_set(err, ERR_IO, "no DNS: cannot use %s: %s", RESOLV_CONF,
                       ares_strerror(status));
    }
    struct stat found;
    if (stat(RESOLV_CONF, &found) == 0)
        resolver->conf = found.st_mtim;
    return 0;
}

/* A daemon outlives many a resolv.conf. Only while nothing is in flight, and never below a callback
 * of c-ares, which would lose its channel. */
static void channels_refresh(struct resolver *resolver)
{
    struct stat found;
    if (stat(RESOLV_CONF, &found) != 0 || (found.st_mtim.tv_sec == resolver->conf.tv_sec &&
                                           found.st_mtim.tv_nsec == resolver->conf.tv_nsec))
        return;
    ares_channel channel = resolver->channel;
    ares_channel explain = resolver->explain;
    if (channels_open(resolver, NULL) != 0) {
        resolver->channel = channel;
        resolver->explain = explain;
        return;
    }
    ares_destroy(channel);
    ares_destroy(explain);
}

static void resolve_pump(struct resolver *resolver)
{
    while (resolver->waiting.first != NULL && resolver->young_count < YOUNG_MAX &&
           resolver->in_flight_count < IN_FLIGHT_MAX) {
        struct resolve_query *query = resolver->waiting.first;
        if (resolver->in_flight_count == 0)
            (void)uv_timer_start(resolver->timer, on_tick, TICK_MS, TICK_MS);
        list_remove(&resolver->waiting, query);
        list_append(&resolver->in_flight, query);
        resolver->in_flight_count++;
        resolver->young_count++;
        query->asked = true;
        query->young = true;
        query->started_ms = uv_now(resolver->runner->config.loop);
        query_ask(query);
    }
}

struct resolver *resolver_new(struct stage_runner *runner, struct err *err)
{
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS) {
        (void)err_set(err, ERR_IO, "c-ares: %s", ares_strerror(status));
        return NULL;
    }
    struct resolver *resolver = mem_new(1, sizeof *resolver);
    resolver->runner = runner;
    if (channels_open(resolver, err) != 0) {
        free(resolver);
        ares_library_cleanup();
        return NULL;
    }
    resolver->timer = mem_new(1, sizeof *resolver->timer);
    (void)uv_timer_init(runner->config.loop, resolver->timer);
    resolver->timer->data = resolver;
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    resolver->closing = true;
    ares_destroy(resolver->channel); /* ends every query in flight through on_answer */
    ares_destroy(resolver->explain);
    while (resolver->sockets != NULL)
        socket_forget(&resolver->sockets);
    struct resolve_query *next;
    for (struct resolve_query *query = resolver->waiting.first; query != NULL; query = next) {
        next = query->next;
        if (query->target != NULL)
            query->target->query = NULL;
        free(query);
    }
    (void)uv_timer_stop(resolver->timer);
    uv_close((uv_handle_t *)resolver->timer, free_on_close);
    free(resolver);
    ares_library_cleanup();
}

void resolve_begin(struct stage_target *target)
{
    if (stage_address_parse(target->name, &target->addresses[0]) == 0) {
        target->address_count = 1;
        target->name_is_address = true;
        target_pass(target, "%s", "");
        return;
    }
    struct resolver *resolver = target->runner->resolver;
    struct resolve_query *query = mem_new(1, sizeof *query);
    query->resolver = resolver;
    query->target = target;
    target->query = query;
    target->address_count = 0;
    if (resolver->in_flight_count == 0)
        channels_refresh(resolver);
    list_append(&resolver->waiting, query);
    resolve_pump(resolver);
}

void resolve_cancel(struct stage_target *target)
{
    struct resolve_query *query = target->query;
    if (query == NULL)
        return;
    target->query = NULL;
    query->target = NULL;
    if (!query->asked) {
        list_remove(&query->resolver->waiting, query);
        free(query);
    }
}
