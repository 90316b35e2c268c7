/* Sockets of the light target: one process, one epoll, as many targets as there are addresses.
 *
 *     light_target --port N --password-file FILE [--plain] [--first] TARGETS
 *
 * TARGETS has a line "ADDRESS COMPUTER" for each target; connections to other addresses are closed.
 * --plain: signs instead of encrypting. --first: \Pusher isn't there yet. Says "ready" on standard
 * output, and on SIGTERM one line of JSON with what was done; ends with its parent, too.
 *
 * --hostile SEED: every target does one thing wrong (hostile.h), each another; those with an even
 * last number in their address sign, whatever --plain says. --log FILE: what they did. --only
 * STRIKE: all of them this; --strikes lists what there is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nettle/md4.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "tests/bench/light/light.h"

#define RECEIVE_BYTES (256U << 10)
#define EVENTS_MAX 256
#define OUTPUT_KEPT 8192U /* larger output buffers are given back when drained */

/* A build with sanitizers looks for leaks at its end, which never comes where /proc is that of
 * another process namespace, as in the lab: this switches the search off. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

struct light_target {
    uint32_t address; /* network order: a key only */
    char computer[LIGHT_NAME_SIZE];
    struct light_machine *machine; /* owned; NULL: means well */
};

struct client {
    struct client *previous; /* of the server's clients */
    struct client *next;
    int fd;
    bool blocked; /* output waits for the socket */
    bool deaf;    /* input is left where it is */
    struct light_conn conn;
};

struct server {
    int epoll;
    int listener;
    int signals;
    struct light_site site;
    struct light_site signing_site; /* hostile targets that sign instead of encrypting */
    bool hostile;
    uint64_t seed;
    const char *only; /* strike; NULL: any */
    FILE *log;
    struct light_target *targets; /* sorted by address */
    size_t target_count;
    struct client *clients;
    uint8_t *received;
};

static int by_address(const void *a, const void *b)
{
    uint32_t x = ((const struct light_target *)a)->address;
    uint32_t y = ((const struct light_target *)b)->address;
    return x < y ? -1 : x > y;
}

static int make_hostile(const struct server *server, struct light_target *target,
                        const char *address)
{
    if (!server->hostile)
        return 0;
    target->machine = mem_new(1, sizeof *target->machine);
    if (light_machine_init(target->machine, address, server->seed, server->only) != 0)
        return -1;
    if (server->log != NULL)
        light_machine_note(target->machine, server->log);
    return 0;
}

static int read_targets(struct server *server, const char *path)
{
    char line[256];
    char address[64];
    size_t capacity = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file) != NULL) {
        if (server->target_count == capacity) {
            capacity = capacity == 0 ? 256 : 2 * capacity;
            server->targets = mem_resize(server->targets, capacity, sizeof *server->targets);
        }
        struct light_target *target = &server->targets[server->target_count];
        memset(target, 0, sizeof *target);
        if (sscanf(line, "%63s %63s", address, target->computer) != 2 ||
            inet_pton(AF_INET, address, &target->address) != 1 ||
            make_hostile(server, target, address) != 0) {
            (void)fclose(file);
            return -1;
        }
        server->target_count++;
    }
    (void)fclose(file);
    qsort(server->targets, server->target_count, sizeof *server->targets, by_address);
    return 0;
}

static int read_password(struct light_site *site, const char *path)
{
    char line[256];
    struct md4_ctx md4;
    struct buf utf16;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    char *got = fgets(line, sizeof line, file);
    (void)fclose(file);
    if (got == NULL)
        return -1;
    line[strcspn(line, "\n")] = '\0';
    buf_init(&utf16, 1024);
    int status = utf16_from_utf8(&utf16, line);
    md4_init(&md4);
    md4_update(&md4, utf16.size, utf16.data);
    md4_digest(&md4, sizeof site->nt_hash, site->nt_hash);
    buf_release(&utf16);
    return status;
}

static int watch(const struct server *server, int operation, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data = {.ptr = what}};
    return epoll_ctl(server->epoll, operation, fd, &event);
}

static void client_close(struct server *server, struct client *client)
{
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        server->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    (void)close(client->fd);
    light_conn_release(&client->conn);
    free(client);
}

/* Waits for what is still of interest. */
static void client_watch(struct server *server, struct client *client, bool blocked)
{
    bool deaf = client->conn.hostile != NULL && client->conn.hostile->line.deaf;
    if (blocked != client->blocked || deaf != client->deaf)
        (void)watch(server, EPOLL_CTL_MOD, client->fd,
                    (deaf ? 0U : EPOLLIN) | (blocked ? EPOLLOUT : 0U), client);
    client->blocked = blocked;
    client->deaf = deaf;
}

/* How much of the output may leave now. */
static size_t client_allowed(const struct client *client)
{
    size_t waiting = client->conn.out.size;
    if (client->conn.hostile == NULL)
        return waiting;
    const struct hostile_line *line = &client->conn.hostile->line;
    if (line->late_ms != 0)
        return 0;
    return line->allowed < waiting ? line->allowed : waiting;
}

/* -1: closed. */
static int client_sent(struct server *server, struct client *client, size_t size)
{
    static const struct linger at_once = {.l_onoff = 1};
    struct buf *out = &client->conn.out;
    buf_consume(out, size);
    if (out->size == 0 && out->capacity > OUTPUT_KEPT)
        buf_release(out);
    if (client->conn.hostile == NULL)
        return 0;
    struct hostile_line *line = &client->conn.hostile->line;
    line->allowed -= line->allowed != SIZE_MAX ? size : 0;
    if (!line->ends || client_allowed(client) > 0)
        return 0;
    if (line->resets)
        (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    client_close(server, client);
    return -1;
}

/* -1: closed. */
static int client_flush(struct server *server, struct client *client)
{
    const struct buf *out = &client->conn.out;
    size_t at = 0;
    size_t allowed = client_allowed(client);
    while (at < allowed) {
        ssize_t sent = send(client->fd, out->data + at, allowed - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (sent < 0) {
            client_close(server, client);
            return -1;
        }
        at += (size_t)sent;
    }
    if (client_sent(server, client, at) != 0)
        return -1;
    client_watch(server, client, at < allowed);
    return 0;
}

/* A tick of hostile clients: what is late, slow or without end. */
static void tick(struct server *server)
{
    struct client *next;
    for (struct client *client = server->clients; client != NULL; client = next) {
        next = client->next;
        if (client->conn.hostile == NULL)
            continue;
        struct hostile_line *line = &client->conn.hostile->line;
        bool late = line->late_ms != 0;
        line->late_ms -= line->late_ms < HOSTILE_TICK_MS ? line->late_ms : HOSTILE_TICK_MS;
        if (line->dribbles)
            line->allowed++;
        if (line->flood != NULL)
            light_conn_flood(&client->conn);
        if (late || line->dribbles || line->flood != NULL)
            (void)client_flush(server, client);
    }
}

static void client_ready(struct server *server, struct client *client, uint32_t events)
{
    if ((events & EPOLLOUT) != 0 && client_flush(server, client) != 0)
        return;
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    ssize_t got = recv(client->fd, server->received, RECEIVE_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_close(server, client);
        return;
    }
    if (light_conn_receive(&client->conn, server->received, (size_t)got) != 0) {
        server->site.counts.broken++;
        client_close(server, client);
        return;
    }
    (void)client_flush(server, client);
}

static const struct light_target *target_at(const struct server *server, int fd)
{
    struct sockaddr_in local = {0};
    socklen_t size = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &size) != 0)
        return NULL;
    struct light_target key = {.address = local.sin_addr.s_addr};
    return bsearch(&key, server->targets, server->target_count, sizeof key, by_address);
}

static void accept_all(struct server *server)
{
    int on = 1;
    int fd;
    while ((fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        const struct light_target *target = target_at(server, fd);
        if (target == NULL) {
            (void)close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct client *client = mem_new(1, sizeof *client);
        client->fd = fd;
        client->next = server->clients;
        if (server->clients != NULL)
            server->clients->previous = client;
        server->clients = client;
        bool signs = target->machine != NULL && ntohl(target->address) % 2 == 0;
        light_conn_init(&client->conn, signs ? &server->signing_site : &server->site,
                        target->computer, hostile_new(target->machine, server->log));
        if (watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, client) != 0)
            client_close(server, client);
    }
}

static void print_counts(const struct light_counts *counts)
{
    (void)printf("{\"connections\": %" PRIu64 ", \"logons\": %" PRIu64 ", \"refused\": %" PRIu64
                 ", \"broken\": %" PRIu64 ", \"files\": %" PRIu64 ", \"bytes\": %" PRIu64
                 ", \"tasks\": %" PRIu64 "}\n",
                 counts->connections, counts->logons, counts->refused, counts->broken,
                 counts->files, counts->bytes, counts->tasks);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int serve(struct server *server)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t ticked_ms = now_ms();
    for (;;) {
        int count = epoll_wait(server->epoll, events, EVENTS_MAX,
                               server->hostile ? (int)HOSTILE_TICK_MS : -1);
        if (count < 0 && errno != EINTR)
            return -1;
        if (server->hostile && now_ms() - ticked_ms >= HOSTILE_TICK_MS) {
            ticked_ms = now_ms();
            tick(server);
            continue; /* an event may be of a client that is gone: it comes again */
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &server->signals)
                return 0;
            if (events[i].data.ptr == &server->listener)
                accept_all(server);
            else
                client_ready(server, events[i].data.ptr, events[i].events);
        }
    }
}

static int start(struct server *server, uint16_t port)
{
    int on = 1;
    sigset_t wanted;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->signals = signalfd(-1, &wanted, SFD_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->epoll < 0 || server->signals < 0 || server->listener < 0 ||
        setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(server->listener, (struct sockaddr *)&any, sizeof any) != 0 ||
        listen(server->listener, 4096) != 0)
        return -1;
    return watch(server, EPOLL_CTL_ADD, server->signals, EPOLLIN, &server->signals) != 0 ||
                   watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN, &server->listener) != 0
               ? -1
               : 0;
}

struct arguments {
    uint64_t port;
    bool password;
    bool bad;
};

static void take_option(struct server *server, struct arguments *arguments, int letter)
{
    switch (letter) {
    case 'p':
        arguments->bad |= text_to_u64(optarg, 65535, &arguments->port) != 0;
        break;
    case 'w':
        arguments->password = read_password(&server->site, optarg) == 0;
        break;
    case 's':
        server->site.encrypts = false;
        break;
    case 'f':
        server->site.folder_exists = false;
        break;
    case 'h':
        server->hostile = true;
        arguments->bad |= text_to_u64(optarg, UINT64_MAX, &server->seed) != 0;
        break;
    case 'l':
        server->log = fopen(optarg, "ae");
        arguments->bad |= server->log == NULL;
        break;
    case 'o':
        server->only = optarg;
        break;
    case 'L':
        hostile_list(stdout);
        exit(0);
    default:
        arguments->bad = true;
    }
}

static void release(struct server *server)
{
    while (server->clients != NULL)
        client_close(server, server->clients);
    for (size_t i = 0; i < server->target_count; i++) {
        if (server->targets[i].machine != NULL)
            light_machine_release(server->targets[i].machine);
        free(server->targets[i].machine);
    }
    if (server->log != NULL)
        (void)fclose(server->log);
    free(server->received);
    free(server->targets);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"password-file", required_argument, NULL, 'w'},
        {"plain", no_argument, NULL, 's'},
        {"first", no_argument, NULL, 'f'},
        {"hostile", required_argument, NULL, 'h'},
        {"log", required_argument, NULL, 'l'},
        {"only", required_argument, NULL, 'o'},
        {"strikes", no_argument, NULL, 'L'},
        {NULL, 0, NULL, 0},
    };
    struct server server = {.site = {.encrypts = true, .folder_exists = true}};
    struct arguments arguments = {0};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(&server, &arguments, letter);
    if (arguments.bad || arguments.port == 0 || !arguments.password || optind + 1 != argc ||
        read_targets(&server, argv[optind]) != 0) {
        (void)fprintf(stderr, "light_target: bad options, password file or list of targets\n");
        return 2;
    }
    server.signing_site = server.site;
    server.signing_site.encrypts = false;
    if (start(&server, (uint16_t)arguments.port) != 0) {
        (void)fprintf(stderr, "light_target: port %" PRIu64 ": %s\n", arguments.port,
                      strerror(errno));
        return 1;
    }
    if (server.log != NULL)
        (void)fflush(server.log);
    server.received = mem_new(1, RECEIVE_BYTES);
    (void)printf("ready\n");
    (void)fflush(stdout);
    int status = serve(&server) == 0 ? 0 : 1;
    print_counts(&server.site.counts);
    release(&server);
    return status;
}
