/* common/dns: what a name server answers, or somebody in its place. c-ares is asked as ever but for
 * its sockets: the questions it would send are kept here, and the fuzzer answers them, late, twice
 * over several names, with packets that c-ares' own parser then reads. Covers keep_answer,
 * on_answer, the search list, time-outs, cancelling and closing.
 *
 * Holds: every question that is not cancelled is answered once, and not after the end; addresses
 * are at most DNS_ADDRESSES_MAX, each once, IPv4 exactly where they are mapped, and stood in a
 * packet; without one there is a reason and a sentence; a name is looked for under the names that
 * resolv.conf gives it and no others. */
#include <ares.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/dns/dns.h"
#include "fuzz.h"

#define ASKS_MAX 8U
#define PENDING_MAX 64U
#define STEPS_MAX 100U
#define PACKETS_MAX 16384U

struct ask {
    char name[300];
    struct dns_query *query;
    unsigned questions; /* that c-ares got, for all names asked until this one was over */
    bool open;
};

struct pending {
    ares_callback callback;
    void *context;
    char name[300];
    int type;
};

static struct {
    uv_loop_t loop;
    struct dns *dns;
    uv_timer_cb tick;
    uv_timer_t *timer;
    uint64_t now_ms;
    char *domains[3];
    int domain_count;
    int ndots;
    struct ask asks[ASKS_MAX];
    unsigned ask_count;
    struct pending pending[PENDING_MAX];
    unsigned pending_count;
    struct buf packets; /* all that were handed out */
    bool closing;
} world;

/* ---- c-ares and libuv as far as they touch the world ---- */

int ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    (void)options;
    (void)mask;
    *channel = mem_new(1, 1);
    return ARES_SUCCESS;
}

int ares_save_options(ares_channel channel, struct ares_options *options, int *mask)
{
    (void)channel;
    *mask = 0;
    memset(options, 0, sizeof *options);
    options->ndots = world.ndots;
    options->ndomains = world.domain_count;
    options->domains = world.domains;
    return ARES_SUCCESS;
}

void ares_destroy_options(struct ares_options *options)
{
    (void)options;
}

static void answer(unsigned at, int status, unsigned char *packet, size_t size)
{
    struct pending one = world.pending[at];
    world.pending_count--;
    memmove(world.pending + at, world.pending + at + 1,
            (world.pending_count - at) * sizeof *world.pending);
    one.callback(one.context, status, (int)world.now_ms % 3, packet, (int)size);
}

void ares_destroy(ares_channel channel)
{
    while (world.pending_count > 0)
        answer(0, ARES_EDESTRUCTION, NULL, 0);
    free(channel);
}

static bool is_candidate(const char *asked)
{
    char candidate[600];
    for (unsigned i = 0; i < world.ask_count; i++) {
        if (strcmp(asked, world.asks[i].name) == 0)
            return true;
        for (int k = 0; k < world.domain_count; k++) {
            (void)snprintf(candidate, sizeof candidate, "%s.%s", world.asks[i].name,
                           world.domains[k]);
            if (strcmp(asked, candidate) == 0)
                return true;
        }
    }
    return false;
}

void ares_query(ares_channel channel, const char *name, int dnsclass, int type,
                ares_callback callback, void *arg)
{
    (void)channel;
    FUZZ_CHECK(dnsclass == 1 && (type == 1 || type == 28) && !world.closing);
    FUZZ_CHECK(strlen(name) <= 254 && is_candidate(name));
    if (world.pending_count == PENDING_MAX || strchr(name, ' ') != NULL) {
        callback(arg, ARES_EBADNAME, 0, NULL, 0); /* as c-ares does: at once */
        return;
    }
    struct pending *pending = &world.pending[world.pending_count++];
    *pending = (struct pending){.callback = callback, .context = arg, .type = type};
    (void)snprintf(pending->name, sizeof pending->name, "%s", name);
}

void ares_process_fd(ares_channel channel, ares_socket_t in, ares_socket_t out)
{
    (void)channel;
    FUZZ_CHECK(in == ARES_SOCKET_BAD && out == ARES_SOCKET_BAD);
}

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return world.now_ms;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
    (void)timeout;
    (void)repeat;
    world.timer = timer;
    world.tick = callback;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    (void)timer;
    world.tick = NULL;
    return 0;
}

/* ---- the name server ---- */

static void put_name(struct buf *out, const char *name)
{
    while (*name != '\0') {
        size_t length = strcspn(name, ".");
        if (length == 0 || length > 63)
            break;
        buf_u8(out, (uint8_t)length);
        buf_bytes(out, name, length);
        name += length + (name[length] == '.');
    }
    buf_u8(out, 0);
}

/* RFC 1035 4.1: the question again, then `count` records of its type, now and then an alias. */
static void put_answer(struct buf *out, const struct pending *pending, struct cursor *c)
{
    uint8_t count = cursor_u8(c) % 24;
    size_t size = pending->type == 1 ? 4 : 16;
    buf_u16be(out, 1);
    buf_u16be(out, 0x8180);
    buf_u16be(out, 1);
    buf_u16be(out, count);
    buf_u32be(out, 0);
    put_name(out, pending->name);
    buf_u16be(out, (uint16_t)pending->type);
    buf_u16be(out, 1);
    for (uint8_t i = 0; i < count; i++) {
        uint8_t bytes[16];
        uint8_t how = cursor_u8(c);
        cursor_copy(c, bytes, how >= 0x80 ? size : 1);
        buf_u16be(out, 0xc00c); /* the name in the question */
        buf_u16be(out, how % 16 == 15 ? 5 : (uint16_t)pending->type);
        buf_u16be(out, 1);
        buf_u32be(out, 60);
        buf_u16be(out, (uint16_t)(how % 16 == 15 ? 2 : size));
        if (how % 16 == 15)
            buf_u16be(out, 0xc00c);
        else
            buf_bytes(out, bytes, size);
    }
}

static void step_answer(struct cursor *c)
{
    static const int statuses[] = {ARES_SUCCESS,   ARES_ENOTFOUND,  ARES_ENODATA,
                                   ARES_ESERVFAIL, ARES_EREFUSED,   ARES_ENOTIMP,
                                   ARES_EFORMERR,  ARES_ETIMEOUT,   ARES_ECONNREFUSED,
                                   ARES_EBADRESP,  ARES_ECANCELLED, ARES_ENOMEM};
    uint8_t how = cursor_u8(c);
    if (world.pending_count == 0)
        return;
    unsigned at = cursor_u8(c) % world.pending_count;
    int status = statuses[how % (sizeof statuses / sizeof statuses[0])];
    struct buf packet;
    buf_init(&packet, 2048);
    if (status == ARES_SUCCESS && how < 0xc0) {
        put_answer(&packet, &world.pending[at], c);
        for (unsigned i = 0; i < how / 12 % 4U; i++) {
            size_t where = cursor_u8(c);
            if (where < packet.size)
                packet.data[where] = cursor_u8(c);
        }
    } else if (status == ARES_SUCCESS) {
        size_t size = cursor_u8(c);
        size = size < cursor_left(c) ? size : cursor_left(c);
        buf_bytes(&packet, cursor_bytes(c, size), size);
    }
    unsigned char *exact = mem_new(packet.size > 0 ? packet.size : 1, 1);
    if (packet.size > 0)
        memcpy(exact, packet.data, packet.size);
    buf_bytes(&world.packets, packet.data, packet.size);
    answer(at, status, exact, packet.size);
    free(exact);
    buf_release(&packet);
}

/* ---- who asks ---- */

static void check_addresses(const struct dns_answer *answer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    FUZZ_CHECK(answer->address_count <= DNS_ADDRESSES_MAX);
    for (uint8_t i = 0; i < answer->address_count; i++) {
        const struct subnet_address *one = &answer->addresses[i];
        FUZZ_CHECK(one->is_v4 == (memcmp(one->bytes, mapped, sizeof mapped) == 0));
        FUZZ_CHECK(memmem(world.packets.data, world.packets.size,
                          one->bytes + (one->is_v4 ? 12 : 0), one->is_v4 ? 4 : 16) != NULL);
        for (uint8_t k = 0; k < i; k++)
            FUZZ_CHECK(memcmp(answer->addresses[k].bytes, one->bytes, sizeof one->bytes) != 0);
    }
}

static void answered(void *context, const struct dns_answer *answer)
{
    struct ask *ask = context;
    FUZZ_CHECK(ask->open && ask->query == NULL && !world.closing);
    ask->open = false;
    if (answer->address_count > 0) {
        FUZZ_CHECK(answer->found_as != NULL && is_candidate(answer->found_as));
        check_addresses(answer);
        return;
    }
    FUZZ_CHECK(answer->reason == REASON_NXDOMAIN || answer->reason == REASON_DNS_TIMEOUT);
    FUZZ_CHECK(answer->detail[0] != '\0' &&
               fuzz_is_printable(answer->detail, strlen(answer->detail), false));
}

static void step_ask(struct cursor *c)
{
    if (world.ask_count == ASKS_MAX)
        return;
    struct ask *ask = &world.asks[world.ask_count++];
    fuzz_text(c, ask->name, sizeof ask->name);
    ask->open = true;
    dns_ask(world.dns, ask->name, answered, ask, &ask->query);
    FUZZ_CHECK(ask->open == (ask->query != NULL));
}

static void step_cancel(struct cursor *c)
{
    if (world.ask_count == 0)
        return;
    struct ask *ask = &world.asks[cursor_u8(c) % world.ask_count];
    dns_cancel(&ask->query);
    ask->open = false;
    FUZZ_CHECK(ask->query == NULL);
}

static void begin(struct cursor *c)
{
    struct err err = {0};
    uint8_t how = cursor_u8(c);
    static char domains[3][40];
    memset(&world, 0, sizeof world);
    world.now_ms = 1000;
    world.ndots = how / 4 % 4;
    world.domain_count = how % 4;
    for (int i = 0; i < world.domain_count; i++) {
        (void)snprintf(domains[i], sizeof domains[i], "domain-%d.example", i);
        world.domains[i] = domains[i];
    }
    buf_init(&world.packets, PACKETS_MAX);
    (void)uv_loop_init(&world.loop);
    FUZZ_CHECK(dns_open(&world.dns, &world.loop, NULL, &err) == 0);
}

static void end(void)
{
    for (unsigned i = 0; i < world.ask_count; i++)
        FUZZ_CHECK(world.asks[i].open == (world.asks[i].query != NULL));
    world.closing = true;
    dns_close(world.dns);
    FUZZ_CHECK(world.pending_count == 0);
    (void)uv_run(&world.loop, UV_RUN_DEFAULT);
    FUZZ_CHECK(uv_loop_close(&world.loop) == 0);
    buf_release(&world.packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    begin(&c);
    for (unsigned i = 0; i < STEPS_MAX && cursor_left(&c) > 0 && buf_ok(&world.packets); i++) {
        switch (cursor_u8(&c) % 8) {
        case 0:
        case 1:
            step_ask(&c);
            break;
        case 2:
            step_cancel(&c);
            break;
        case 3:
            world.now_ms += 20U * cursor_u8(&c);
            if (world.tick != NULL)
                world.tick(world.timer);
            break;
        default:
            step_answer(&c);
            break;
        }
    }
    end();
    return 0;
}
