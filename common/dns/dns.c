/* Questions to c-ares, few at once.
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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dns/dns.h"

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
struct dns_asked {
    struct dns_query *query;
    int family;
    int status;      /* ARES_..., once answered */
    bool explaining; /* asked again only to learn the RCODE */
};

struct dns_query {
    struct dns_query *previous, *next; /* in one of the lists of dns */
    struct dns *dns;
    const char *name;         /* borrowed */
    dns_answered *answered;   /* NULL: nobody waits for it any more */
    void *context;            /* of answered */
    struct dns_query **place; /* where its asker keeps it */
    uint64_t started_ms;      /* when c-ares got it */
    uint64_t found_ms;        /* when the first address came; 0: not yet */
    int failure;              /* ARES_...: the best that is known about the candidates so far */
    uint32_t timeout_count;
    bool asked;        /* in the in_flight list */
    bool young;        /* counts against YOUNG_MAX */
    uint8_t pending;   /* answers that are out */
    uint8_t candidate; /* place in the search list */
    uint8_t address_count;
    struct subnet_address *addresses; /* DNS_ADDRESSES_MAX, from the first answer with one on */
    struct dns_asked asks[FAMILY_COUNT];
};

struct query_list {
    struct dns_query *first, *last;
};

/* A socket of c-ares; freed by its close callback. */
struct dns_socket {
    struct dns_socket *next;
    struct dns *dns;
    ares_socket_t fd;
    uv_poll_t poll;
};

struct dns {
    uv_loop_t *loop;
    const char *servers;          /* borrowed; NULL: of resolv.conf */
    ares_channel channel;         /* goes to the next server on SERVFAIL and the like */
    ares_channel explain;         /* hands such an RCODE out: 1.18 hides it behind ECONNREFUSED */
    struct ares_options settings; /* of resolv.conf: domains, ndots; c-ares' to free */
    struct timespec conf;         /* modification time of resolv.conf that the channels know */
    uv_timer_t *timer; /* runs while queries are in flight; freed by its close callback */
    struct dns_socket *sockets;
    struct query_list waiting;   /* not yet given to c-ares */
    struct query_list in_flight; /* oldest first */
    uint32_t in_flight_count;
    uint32_t young_count;
    bool pumping; /* dns_pump is under way further up */
    bool closing;
};

static void list_append(struct query_list *list, struct dns_query *query)
{
    query->next = NULL;
    query->previous = list->last;
    if (list->last != NULL)
        list->last->next = query;
    else
        list->first = query;
    list->last = query;
}

static void list_remove(struct query_list *list, struct dns_query *query)
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
    struct dns_socket *s = poll->data;
    ares_socket_t in = ARES_SOCKET_BAD;
    ares_socket_t out = ARES_SOCKET_BAD;
    if (status < 0 || (events & UV_READABLE) != 0)
        in = s->fd;
    if (status < 0 || (events & UV_WRITABLE) != 0)
        out = s->fd;
    /* One of the two owns the socket; the other ignores what it doesn't know. */
    struct dns *dns = s->dns;
    ares_process_fd(dns->channel, in, out);
    ares_process_fd(dns->explain, in, out);
    /* libuv stops a poll that reports an error; c-ares may go on with the socket. */
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
        (void)uv_poll_start(poll, UV_READABLE, on_socket);
}

static void socket_forget(struct dns_socket **link)
{
    struct dns_socket *s = *link;
    *link = s->next;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, socket_closed);
}

static void socket_wants(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = context;
    struct dns_socket **link = &dns->sockets;
    while (*link != NULL && (*link)->fd != fd)
        link = &(*link)->next;
    if (!readable && !writable) {
        if (*link != NULL)
            socket_forget(link);
        return;
    }
    if (*link == NULL) {
        struct dns_socket *s = mem_new(1, sizeof *s);
        s->dns = dns;
        s->fd = fd;
        s->poll.data = s;
        if (uv_poll_init_socket(dns->loop, &s->poll, fd) != 0) {
            free(s); /* the query then ends with its time-out */
            return;
        }
        *link = s;
    }
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    (void)uv_poll_start(&(*link)->poll, events, on_socket);
}

static void dns_pump(struct dns *dns);

static void query_end(struct dns_query *query)
{
    struct dns *dns = query->dns;
    list_remove(&dns->in_flight, query);
    dns->in_flight_count--;
    if (query->young)
        dns->young_count--;
    if (query->answered != NULL)
        *query->place = NULL;
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

__attribute__((format(printf, 5, 6))) static void explain(struct dns_answer *answer,
                                                          enum reason reason, enum code_kind kind,
                                                          int code, const char *format, ...)
{
    va_list arguments;
    answer->reason = reason;
    answer->code_kind = kind;
    answer->code = (uint32_t)code;
    va_start(arguments, format);
    (void)vsnprintf(answer->detail, sizeof answer->detail, format, arguments);
    va_end(arguments);
}

/* Why there is no address. */
static void explain_status(const struct dns_query *query, int status, struct dns_answer *answer)
{
    int rcode = status_rcode(status);
    const char *servers = query->dns->servers;
    char name[128];
    (void)text_printable(name, sizeof name, query->name);
    switch (status) {
    case ARES_ENOTFOUND:
        explain(answer, REASON_NXDOMAIN, CODE_DNS, rcode, "no such name: %s", name);
        return;
    case ARES_ENODATA:
        explain(answer, REASON_NXDOMAIN, CODE_DNS, rcode,
                "%s exists but has neither an A nor an AAAA record", name);
        return;
    case ARES_EBADNAME:
        explain(answer, REASON_NXDOMAIN, CODE_NONE, 0, "not a DNS name: %s", name);
        return;
    case ARES_ECONNREFUSED:
        explain(answer, REASON_DNS_TIMEOUT, CODE_ERRNO, ECONNREFUSED,
                servers == NULL ? "no DNS server listens at the addresses of %s"
                                : "no DNS server listens at %s",
                servers == NULL ? RESOLV_CONF : servers);
        return;
    default:
        break;
    }
    if (rcode >= 0)
        explain(answer, REASON_DNS_TIMEOUT, CODE_DNS, rcode,
                "the DNS servers could not look %s up: %s", name, ares_strerror(status));
    else
        explain(answer, REASON_DNS_TIMEOUT, CODE_NONE, 0, "no answer about %s: %s", name,
                ares_strerror(status));
}

/* --- What was found --- */

/* An IPv4-mapped address becomes the IPv4 address: nobody gets around a subnet by writing an
 * address in another way. */
static void keep_address(struct dns_query *query, bool is_v4, const void *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct subnet_address address = {.is_v4 = is_v4};
    memcpy(address.bytes, mapped, sizeof mapped);
    if (is_v4)
        memcpy(address.bytes + sizeof mapped, bytes, sizeof address.bytes - sizeof mapped);
    else
        memcpy(address.bytes, bytes, sizeof address.bytes);
    address.is_v4 = memcmp(address.bytes, mapped, sizeof mapped) == 0;
    if (query->addresses == NULL)
        query->addresses = mem_new(DNS_ADDRESSES_MAX, sizeof *query->addresses);
    for (uint8_t i = 0; i < query->address_count; i++)
        if (memcmp(query->addresses[i].bytes, address.bytes, sizeof address.bytes) == 0)
            return;
    if (query->address_count < DNS_ADDRESSES_MAX)
        query->addresses[query->address_count++] = address;
}

static void keep_answer(struct dns_query *query, int family, unsigned char *answer, int size)
{
    struct ares_addrttl four[DNS_ADDRESSES_MAX / 2]; /* half for each: none crowds the other out */
    struct ares_addr6ttl six[DNS_ADDRESSES_MAX / 2];
    int count = DNS_ADDRESSES_MAX / 2;
    int status = family == FAMILY_V6 ? ares_parse_aaaa_reply(answer, size, NULL, six, &count)
                                     : ares_parse_a_reply(answer, size, NULL, four, &count);
    if (status != ARES_SUCCESS)
        count = 0;
    for (int i = 0; i < count && i < DNS_ADDRESSES_MAX / 2; i++)
        keep_address(query, family == FAMILY_V4,
                     family == FAMILY_V4 ? (const void *)&four[i].ipaddr : &six[i].ip6addr);
}

/* --- Asking --- */

/* The name to ask for as the n-th candidate, or false when there are no more. Spec: resolv.conf(5),
 * search and ndots. */
static bool candidate_name(const struct dns *dns, const char *name, unsigned at,
                           char to[NAME_LENGTH_MAX + 2])
{
    const struct ares_options *settings = &dns->settings;
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

/* Tells the asker; the query itself may stay until c-ares is done with it. */
static void query_tell(struct dns_query *query)
{
    struct dns_answer answer = {.addresses = query->addresses,
                                .address_count = query->address_count,
                                .timeout_count = query->timeout_count};
    dns_answered *answered = query->answered;
    char name[NAME_LENGTH_MAX + 2] = "";
    if (answer.address_count == 0)
        explain_status(query, query->failure, &answer);
    else if (candidate_name(query->dns, query->name, query->candidate - 1U, name))
        answer.found_as = name;
    query->answered = NULL;
    *query->place = NULL;
    answered(query->context, &answer);
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
static void query_ask(struct dns_query *query, const char *name)
{
    ares_channel channel = query->dns->channel;
    query->pending = FAMILY_COUNT;
    for (int family = 0; family < FAMILY_COUNT; family++)
        query->asks[family] = (struct dns_asked){.query = query, .family = family};
    ares_query(channel, name, ns_c_in, ns_t_a, on_answer, &query->asks[FAMILY_V4]);
    ares_query(channel, name, ns_c_in, ns_t_aaaa, on_answer, &query->asks[FAMILY_V6]);
}

static void query_next(struct dns_query *query);

/* Both families of the candidate are answered, or the name is not there for either. */
static void candidate_over(struct dns_query *query)
{
    struct dns *dns = query->dns;
    int four = query->asks[FAMILY_V4].status;
    int six = query->asks[FAMILY_V6].status;
    int status = failure_rank(four) >= failure_rank(six) ? four : six;
    /* There is no such name, says one; then there is none, however the other family went. */
    if (four == ARES_ENOTFOUND || six == ARES_ENOTFOUND)
        status = ARES_ENOTFOUND;
    if (query->address_count == 0 && failure_rank(status) > failure_rank(query->failure))
        query->failure = status;
    if (query->answered != NULL && query->address_count == 0 && failure_rank(status) < 3) {
        query_next(query);
        return;
    }
    if (query->answered != NULL)
        query_tell(query);
    query_end(query);
    dns_pump(dns);
}

/* The next candidate, or the end when there is none. */
static void query_next(struct dns_query *query)
{
    struct dns *dns = query->dns;
    char name[NAME_LENGTH_MAX + 2];
    while (candidate_name(dns, query->name, query->candidate, name)) {
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
    dns_pump(dns);
}

static void on_answer(void *context, int status, int timeout_count, unsigned char *answer,
                      int answer_size)
{
    struct dns_asked *ask = context;
    struct dns_query *query = ask->query;
    struct dns *dns = query->dns;
    if (dns->closing) {
        if (--query->pending == 0)
            query_end(query);
        return;
    }
    if (status == ARES_ECONNREFUSED && !ask->explaining && query->answered != NULL) {
        char name[NAME_LENGTH_MAX + 2];
        ask->explaining = true;
        if (candidate_name(dns, query->name, query->candidate - 1U, name)) {
            ares_query(dns->explain, name, ns_c_in, ask->family == FAMILY_V6 ? ns_t_aaaa : ns_t_a,
                       on_answer, ask);
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
        query->found_ms = uv_now(dns->loop);
    if (--query->pending == 0)
        candidate_over(query);
}

/* Slow queries make room, hopeless ones end, c-ares looks at its time-outs. */
static void on_tick(uv_timer_t *timer)
{
    struct dns *dns = timer->data;
    uint64_t now = uv_now(dns->loop);
    struct dns_query *query = dns->in_flight.first;
    for (; query != NULL && query->started_ms + YOUNG_MS <= now; query = query->next) {
        if (query->young)
            dns->young_count--;
        query->young = false;
        if (query->answered == NULL)
            continue;
        bool late = query->started_ms + DEADLINE_MS <= now;
        bool enough = query->address_count > 0 && query->found_ms + OTHER_FAMILY_MS <= now;
        if (late && query->address_count == 0)
            query->failure = ARES_ETIMEOUT;
        if (late || enough)
            query_tell(query); /* c-ares keeps the query until its own time-out */
    }
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ares_process_fd(dns->explain, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_pump(dns);
    if (dns->in_flight_count == 0)
        (void)uv_timer_stop(timer);
}

/* --- Channels --- */

static void channels_close(struct dns *dns)
{
    ares_destroy(dns->channel); /* ends every query in flight through on_answer */
    ares_destroy(dns->explain);
    ares_destroy_options(&dns->settings);
}

/* c-ares says ARES_SUCCESS to whatever it can't read among others that it can: so it is asked what
 * it took. */
static int set_servers(const struct dns *dns, struct err *err)
{
    struct ares_addr_port_node *first = NULL;
    if (dns->servers == NULL)
        return 0;
    int status = ares_set_servers_ports_csv(dns->channel, dns->servers);
    if (status == ARES_SUCCESS)
        status = ares_set_servers_ports_csv(dns->explain, dns->servers);
    if (status == ARES_SUCCESS)
        status = ares_get_servers_ports(dns->channel, &first);
    bool some = first != NULL;
    ares_free_data(first);
    if (status != ARES_SUCCESS || !some)
        return err_set(err, ERR_INVALID, "no DNS servers: '%s' (10.0.0.1,10.0.0.2:5353)",
                       dns->servers);
    return 0;
}

static int channels_open(struct dns *dns, struct err *err)
{
    struct ares_options options = {
        .timeout = TRY_TIMEOUT_MS,
        .tries = TRY_COUNT,
        .sock_state_cb = socket_wants,
        .sock_state_cb_data = dns,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int kept = 0;
    dns->channel = dns->explain = NULL;
    memset(&dns->settings, 0, sizeof dns->settings);
    int status = ares_init_options(&dns->channel, &options, mask);
    options.flags = ARES_FLAG_NOCHECKRESP;
    if (status == ARES_SUCCESS)
        status = ares_init_options(&dns->explain, &options, mask | ARES_OPT_FLAGS);
    if (status == ARES_SUCCESS)
        status = ares_save_options(dns->channel, &dns->settings, &kept);
    if (status != ARES_SUCCESS) {
        channels_close(dns);
        return err_set(err, ERR_IO, "no DNS: cannot use %s: %s", RESOLV_CONF,
                       ares_strerror(status));
    }
    if (set_servers(dns, err) != 0) {
        channels_close(dns);
        return -1;
    }
    struct stat found;
    if (stat(RESOLV_CONF, &found) == 0)
        dns->conf = found.st_mtim;
    return 0;
}

/* A daemon outlives many a resolv.conf. Only while nothing is in flight, and never below a callback
 * of c-ares, which would lose its channel. */
static void channels_refresh(struct dns *dns)
{
    struct stat found;
    if (stat(RESOLV_CONF, &found) != 0 ||
        (found.st_mtim.tv_sec == dns->conf.tv_sec && found.st_mtim.tv_nsec == dns->conf.tv_nsec))
        return;
    struct dns before = *dns;
    if (channels_open(dns, NULL) != 0) {
        dns->channel = before.channel;
        dns->explain = before.explain;
        dns->settings = before.settings;
        return;
    }
    channels_close(&before);
}

static void dns_pump(struct dns *dns)
{
    if (dns->pumping)
        return; /* a name that ends while it is asked: the loop further up goes on */
    dns->pumping = true;
    while (dns->waiting.first != NULL && dns->young_count < YOUNG_MAX &&
           dns->in_flight_count < IN_FLIGHT_MAX) {
        struct dns_query *query = dns->waiting.first;
        if (dns->in_flight_count == 0)
            (void)uv_timer_start(dns->timer, on_tick, TICK_MS, TICK_MS);
        list_remove(&dns->waiting, query);
        list_append(&dns->in_flight, query);
        dns->in_flight_count++;
        dns->young_count++;
        query->asked = true;
        query->young = true;
        query->started_ms = uv_now(dns->loop);
        query_next(query);
    }
    dns->pumping = false;
}

int dns_open(struct dns **out, uv_loop_t *loop, const char *servers, struct err *err)
{
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        return err_set(err, ERR_IO, "c-ares: %s", ares_strerror(status));
    struct dns *dns = mem_new(1, sizeof *dns);
    dns->loop = loop;
    dns->servers = servers;
    if (channels_open(dns, err) != 0) {
        free(dns);
        ares_library_cleanup();
        return -1;
    }
    dns->timer = mem_new(1, sizeof *dns->timer);
    (void)uv_timer_init(loop, dns->timer);
    dns->timer->data = dns;
    *out = dns;
    return 0;
}

void dns_close(struct dns *dns)
{
    if (dns == NULL)
        return;
    dns->closing = true;
    channels_close(dns);
    while (dns->sockets != NULL)
        socket_forget(&dns->sockets);
    struct dns_query *next;
    for (struct dns_query *query = dns->waiting.first; query != NULL; query = next) {
        next = query->next;
        if (query->answered != NULL)
            *query->place = NULL;
        free(query);
    }
    (void)uv_timer_stop(dns->timer);
    uv_close((uv_handle_t *)dns->timer, free_on_close);
    free(dns);
    ares_library_cleanup();
}

void dns_ask(struct dns *dns, const char *name, dns_answered *answered, void *context,
             struct dns_query **place)
{
    struct dns_query *query = mem_new(1, sizeof *query);
    query->dns = dns;
    query->name = name;
    query->answered = answered;
    query->context = context;
    query->place = place;
    *place = query;
    if (dns->in_flight_count == 0)
        channels_refresh(dns);
    list_append(&dns->waiting, query);
    dns_pump(dns);
}

void dns_cancel(struct dns_query **place)
{
    struct dns_query *query = *place;
    if (query == NULL)
        return;
    *place = NULL;
    query->answered = NULL;
    if (!query->asked) {
        list_remove(&query->dns->waiting, query);
        free(query);
    }
}
