/* Stage 1: host name to addresses, with c-ares on the event loop.
 *
 * A and AAAA are asked together for one candidate of the search list after the other. The search is
 * done here and not by c-ares, which would walk it for each family on its own and might find one
 * machine's A and another's AAAA. It goes on after "no such name" only, never after a failure: the
 * next domain may know another machine of that name.
 *
 * At most YOUNG_MAX fresh names are in flight: above about a hundred queries c-ares loses some. A
 * name older than YOUNG_MS counts as slow and gives its place up, so names whose servers are dead
 * hold nobody up.
 */
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "relay/stage/runner.h"

#define YOUNG_MAX 40 /* names; two queries each */
#define YOUNG_MS 250
#define IN_FLIGHT_MAX 2048
#define TRY_TIMEOUT_MS 2000 /* c-ares doubles it with every try */
#define TRY_COUNT 2
#define DEADLINE_MS 10000
/* When one family has told addresses the other gets so long. RFC 8305 3 has 50 ms, for people who
 * wait in front of a browser. */
#define OTHER_FAMILY_MS 250
#define TICK_MS 50
#define NAME_LENGTH_MAX 253 /* RFC 1035 2.3.4, as text */
#define RESOLV_CONF "/etc/resolv.conf"

enum { FAMILY_V4, FAMILY_V6, FAMILY_COUNT };

/* One question: a family of the name's current candidate. */
struct resolve_ask {
    struct resolve_query *query;
    int family;
    int status;      /* ARES_..., once answered */
    bool explaining; /* asked again only to learn the RCODE */
};

struct resolve_query {
    struct resolve_query *previous, *next; /* in one of the resolver's lists */
    struct resolver *resolver;
    struct stage_target *target; /* NULL: nobody waits for it any more */
    uint64_t started_ms;         /* when c-ares got it */
    uint64_t found_ms;           /* when the first address came; 0: not yet */
    int failure;                 /* ARES_...: the best that is known about the candidates so far */
    uint32_t timeout_count;
    bool asked;        /* in the in_flight list */
    bool young;        /* counts against YOUNG_MAX */
    uint8_t pending;   /* answers that are out */
    uint8_t candidate; /* place in the search list */
    uint8_t address_count;
    union stage_address *addresses; /* STAGE_ADDRESSES_MAX, from the first answer with one on */
    struct resolve_ask asks[FAMILY_COUNT];
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
    ares_channel channel;         /* goes to the next server on SERVFAIL and the like */
    ares_channel explain;         /* hands such an RCODE out: 1.18 hides it behind ECONNREFUSED */
    struct ares_options settings; /* of resolv.conf: domains, ndots; c-ares' to free */
    struct timespec conf;         /* modification time of resolv.conf that the channels know */
    uv_timer_t *timer; /* runs while queries are in flight; freed by its close callback */
    struct resolver_socket *sockets;
    struct query_list waiting;   /* not yet given to c-ares */
    struct query_list in_flight; /* oldest first */
    uint32_t in_flight_count;
    uint32_t young_count;
    bool pumping; /* resolve_pump is under way further up */
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
    free(query->addresses);
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

/* --- What was found --- */

static void keep_address(struct resolve_query *query, const union stage_address *address)
{
    if (query->addresses == NULL)
        query->addresses = mem_new(STAGE_ADDRESSES_MAX, sizeof *query->addresses);
    for (uint8_t i = 0; i < query->address_count; i++)
        if (stage_address_equal(&query->addresses[i], address))
            return;
    if (query->address_count < STAGE_ADDRESSES_MAX)
        query->addresses[query->address_count++] = *address;
}

static void keep_answer(struct resolve_query *query, int family, unsigned char *answer, int size)
{
    struct ares_addrttl
        four[STAGE_ADDRESSES_MAX / 2]; /* half for each: none crowds the other out */
    struct ares_addr6ttl six[STAGE_ADDRESSES_MAX / 2];
    int count = STAGE_ADDRESSES_MAX / 2;
    int status = family == FAMILY_V6 ? ares_parse_aaaa_reply(answer, size, NULL, six, &count)
                                     : ares_parse_a_reply(answer, size, NULL, four, &count);
    if (status != ARES_SUCCESS)
        count = 0;
    for (int i = 0; i < count && i < STAGE_ADDRESSES_MAX / 2; i++) {
        union stage_address address;
        struct in6_addr v6;
        if (family == FAMILY_V6) {
            memcpy(&v6, &six[i].ip6addr, sizeof v6);
            stage_address_set_v6(&address, &v6);
        } else {
            stage_address_set_v4(&address, &four[i].ipaddr);
        }
        keep_address(query, &address);
    }
}

/* Tells the target; the query itself may stay until c-ares is done with it. */
static void query_tell(struct resolve_query *query)
{
    struct stage_target *target = query->target;
    query->target = NULL;
    target->query = NULL;
    target->tries += query->timeout_count;
    if (query->address_count > 0)
        target_resolved(target, query->addresses, query->address_count);
    else
        target_unresolved(target, query->failure);
}

/* --- Asking --- */

/* The name to ask for as the n-th candidate, or false when there are no more. Spec: resolv.conf(5),
 * search and ndots. */
static bool candidate_name(const struct resolver *resolver, const char *name, unsigned at,
                           char to[NAME_LENGTH_MAX + 2])
{
    const struct ares_options *settings = &resolver->settings;
    size_t length = strlen(name);
    int dots = 0;
    if (length == 0 || length > NAME_LENGTH_MAX + (name[length - 1] == '.'))
        return false;
    for (size_t i = 0; i < length; i++)
        dots += name[i] == '.';
    bool absolute = name[length - 1] == '.';
    bool bare_first = absolute || dots >= settings->ndots;
    unsigned domains = absolute || settings->ndomains < 0 ? 0 : (unsigned)settings->ndomains;
    unsigned bare_at = bare_first ? 0 : domains;
    if (at > domains)
        return false;
    if (at == bare_at) {
        memcpy(to, name, length + 1);
        return true;
    }
    const char *domain = settings->domains[bare_first ? at - 1 : at];
    int size = snprintf(to, NAME_LENGTH_MAX + 2, "%s.%s", name, domain);
    if (size > NAME_LENGTH_MAX) /* there can't be such a name: an answer that costs no question */
        to[0] = '\0';
    return true;
}

/* How much a failed candidate tells: failures outrank what is known not to exist. */
static int failure_rank(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return 1;
    case ARES_ENODATA:
        return 2;
    default:
        return 3;
    }
}

static void on_answer(void *context, int status, int timeout_count, unsigned char *answer,
                      int answer_size);

/* Both families. A question may be answered before it is all asked, and with the second answer the
 * query may be gone. */
static void query_ask(struct resolve_query *query, const char *name)
{
    ares_channel channel = query->resolver->channel;
    query->pending = FAMILY_COUNT;
    for (int family = 0; family < FAMILY_COUNT; family++)
        query->asks[family] = (struct resolve_ask){.query = query, .family = family};
    ares_query(channel, name, ns_c_in, ns_t_a, on_answer, &query->asks[FAMILY_V4]);
    ares_query(channel, name, ns_c_in, ns_t_aaaa, on_answer, &query->asks[FAMILY_V6]);
}

static void query_next(struct resolve_query *query);

/* Both families of the candidate are answered, or the name is not there for either. */
static void candidate_over(struct resolve_query *query)
{
    struct resolver *resolver = query->resolver;
    int four = query->asks[FAMILY_V4].status;
    int six = query->asks[FAMILY_V6].status;
    int status = failure_rank(four) >= failure_rank(six) ? four : six;
    /* There is no such name, says one; then there is none, however the other family went. */
    if (four == ARES_ENOTFOUND || six == ARES_ENOTFOUND)
        status = ARES_ENOTFOUND;
    if (query->address_count == 0 && failure_rank(status) > failure_rank(query->failure))
        query->failure = status;
    if (query->target != NULL && query->address_count == 0 && failure_rank(status) < 3) {
        query_next(query);
        return;
    }
    if (query->target != NULL)
        query_tell(query);
    query_end(query);
    resolve_pump(resolver);
}

/* The next candidate, or the end when there is none. */
static void query_next(struct resolve_query *query)
{
    struct resolver *resolver = query->resolver;
    char name[NAME_LENGTH_MAX + 2];
    while (candidate_name(resolver, query->target->name, query->candidate, name)) {
        query->candidate++;
        if (name[0] != '\0') {
            query_ask(query, name);
            return;
        }
    }
    if (query->failure == ARES_SUCCESS)
        query->failure = ARES_EBADNAME;
    query_tell(query);
    query_end(query);
    resolve_pump(resolver);
}

static void on_answer(void *context, int status, int timeout_count, unsigned char *answer,
                      int answer_size)
{
    struct resolve_ask *ask = context;
    struct resolve_query *query = ask->query;
    struct resolver *resolver = query->resolver;
    if (resolver->closing) {
        if (--query->pending == 0)
            query_end(query);
        return;
    }
    if (status == ARES_ECONNREFUSED && !ask->explaining && query->target != NULL) {
        char name[NAME_LENGTH_MAX + 2];
        ask->explaining = true;
        if (candidate_name(resolver, query->target->name, query->candidate - 1U, name)) {
            ares_query(resolver->explain, name, ns_c_in,
                       ask->family == FAMILY_V6 ? ns_t_aaaa : ns_t_a, on_answer, ask);
            return;
        }
    }
    if ((uint32_t)timeout_count > query->timeout_count)
        query->timeout_count = (uint32_t)timeout_count;
    if (status == ARES_SUCCESS) {
        keep_answer(query, ask->family, answer, answer_size);
        status = ARES_ENODATA; /* what it is if no address came of it */
    }
    ask->status = status;
    if (query->address_count > 0 && query->found_ms == 0)
        query->found_ms = uv_now(resolver->runner->config.loop);
    if (--query->pending == 0)
        candidate_over(query);
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
        if (query->target == NULL)
            continue;
        bool late = query->started_ms + DEADLINE_MS <= now;
        bool enough = query->address_count > 0 && query->found_ms + OTHER_FAMILY_MS <= now;
        if (late && query->address_count == 0)
            query->failure = ARES_ETIMEOUT;
        if (late || enough)
            query_tell(query); /* c-ares keeps the query until its own time-out */
    }
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ares_process_fd(resolver->explain, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolve_pump(resolver);
    if (resolver->in_flight_count == 0)
        (void)uv_timer_stop(timer);
}

/* --- Channels --- */

static void channels_close(struct resolver *resolver)
{
    ares_destroy(resolver->channel); /* ends every query in flight through on_answer */
    ares_destroy(resolver->explain);
    ares_destroy_options(&resolver->settings);
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
    int kept = 0;
    resolver->channel = resolver->explain = NULL;
    memset(&resolver->settings, 0, sizeof resolver->settings);
    int status = ares_init_options(&resolver->channel, &options, mask);
    options.flags = ARES_FLAG_NOCHECKRESP;
    if (status == ARES_SUCCESS)
        status = ares_init_options(&resolver->explain, &options, mask | ARES_OPT_FLAGS);
    if (status == ARES_SUCCESS)
        status = ares_save_options(resolver->channel, &resolver->settings, &kept);
    if (status != ARES_SUCCESS) {
        channels_close(resolver);
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
    struct resolver before = *resolver;
    if (channels_open(resolver, NULL) != 0) {
        resolver->channel = before.channel;
        resolver->explain = before.explain;
        resolver->settings = before.settings;
        return;
    }
    channels_close(&before);
}

static void resolve_pump(struct resolver *resolver)
{
    if (resolver->pumping)
        return; /* a name that ends while it is asked: the loop further up goes on */
    resolver->pumping = true;
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
        query_next(query);
    }
    resolver->pumping = false;
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
    channels_close(resolver);
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
    union stage_address address;
    target_addresses_set(target, NULL, 0);
    if (stage_address_parse(target->name, &address) == 0) {
        target->name_is_address = true;
        target_resolved(target, &address, 1);
        return;
    }
    struct resolver *resolver = target->runner->resolver;
    struct resolve_query *query = mem_new(1, sizeof *query);
    query->resolver = resolver;
    query->target = target;
    target->query = query;
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
