/* Drives the SMB engine against a real server over a plain socket, for tests.
 *
 *     smb_probe --host H --port P --user U --password PW [options]
 *
 * Does what a push does (folder with a security descriptor, temporary file written in a pipeline,
 * flush, rename over the final name, listing, a pipe), printing one "key value" line per thing
 * seen. Ends with "failure CLASS 0xSTATUS text" and exit status 1 when the connection fails, with
 * "refused OP 0xSTATUS" and 2 when a request is refused. --flip-out and --flip-in FRAME:OFFSET flip
 * the lowest bit of a byte (negative: from the end; "mic": of NTLM's MIC) of the n-th message sent
 * or received.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "common/base/mem.h"
#include "relay/smb/smb_internal.h"

#define TIMEOUT_MS 20000
#define RECEIVE_SIZE 65536U
#define CHUNK_SIZE 1048576U
#define IN_FLIGHT_MAX 32U

/* O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA), self-relative ([MS-DTYP] 2.4.6) */
static const uint8_t descriptor[] = {
    1,    0,    0x04, 0x90, 20, 0, 0,    0,    36, 0, 0, 0,    0,    0,  0, 0, 52,   0, 0, 0,  1,
    2,    0,    0,    0,    0,  0, 5,    0x20, 0,  0, 0, 0x20, 2,    0,  0, 1, 2,    0, 0, 0,  0,
    0,    5,    0x20, 0,    0,  0, 0x20, 2,    0,  0, 2, 0,    52,   0,  2, 0, 0,    0, 0, 3,  20,
    0,    0xff, 0x01, 0x1f, 0,  1, 1,    0,    0,  0, 0, 0,    5,    18, 0, 0, 0,    0, 3, 24, 0,
    0xff, 0x01, 0x1f, 0,    1,  2, 0,    0,    0,  0, 0, 5,    0x20, 0,  0, 0, 0x20, 2, 0, 0,
};

/* Unauthenticated bind to the server service, NDR32 ([C706] 12.6.4.3): any RPC server answers. */
static const uint8_t rpc_bind[] = {
    5,    0,    11,   3,    0x10, 0,    0,    0,    72,   0,    0,    0,    1,    0,    0,
    0,    0xb8, 0x10, 0xb8, 0x10, 0,    0,    0,    0,    1,    0,    0,    0,    0,    0,
    1,    0,    0xc8, 0x4f, 0x32, 0x4b, 0x70, 0x16, 0xd3, 0x01, 0x12, 0x78, 0x5a, 0x47, 0xbf,
    0x6e, 0xe1, 0x88, 3,    0,    0,    0,    0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11,
    0x9f, 0xe8, 8,    0,    0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0,
};

/* A bit to flip on its way. */
struct flip {
    bool wanted;
    bool mic;
    long frame;
    long offset;
};

struct probe {
    int fd;
    struct smb_conn *conn;
    struct buf in; /* bytes received, not a whole frame yet */
    long frames_in, frames_out;
    struct flip flip_in, flip_out;
    bool force_preauth; /* go on with keys from a wrong pre-authentication hash */
    const char *pipe;
    size_t mib;
    size_t memory_before; /* bytes allocated before the connection was made */
    unsigned long repeat; /* whole connections, one after the other, to see what one costs */
};

static void die(const char *what)
{
    fprintf(stderr, "smb_probe: %s: %s\n", what, strerror(errno));
    exit(3);
}

static void fail_connection(struct probe *p)
{
    char status[64];
    printf("failure %s %s %s\n", smb_failure_name(smb_conn_failure(p->conn)),
           smb_status_text((uint32_t)p->conn->error.native, status), p->conn->error.text);
    exit(1);
}

static void apply_flip(const struct flip *flip, long frame, uint8_t *bytes, size_t size)
{
    static const uint8_t authenticate[] = "NTLMSSP\0\3\0\0";
    if (!flip->wanted || flip->frame != frame)
        return;
    size_t at = flip->offset >= 0 ? (size_t)flip->offset : size - (size_t)-flip->offset;
    if (flip->mic) {
        uint8_t *found = memmem(bytes, size, authenticate, sizeof authenticate);
        if (found == NULL)
            die("no AUTHENTICATE message in that frame");
        at = (size_t)(found - bytes) + 72; /* [MS-NLMP] 2.2.1.3 MIC */
    }
    if (at >= size)
        die("nothing to flip at that offset");
    bytes[at] ^= 1;
}

static size_t frame_size(const uint8_t *bytes)
{
    return 4 + ((size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]);
}

static void send_all(struct probe *p)
{
    const uint8_t *bytes;
    size_t size;
    while (smb_conn_output(p->conn, &bytes, &size)) {
        uint8_t *copy = mem_new(size, 1);
        memcpy(copy, bytes, size);
        for (size_t at = 0; at < size; at += frame_size(copy + at))
            apply_flip(&p->flip_out, p->frames_out++, copy + at + 4, frame_size(copy + at) - 4);
        for (size_t at = 0; at < size;) {
            ssize_t sent = send(p->fd, copy + at, size - at, MSG_NOSIGNAL);
            if (sent < 0)
                die("send");
            at += (size_t)sent;
        }
        free(copy);
        smb_conn_sent(p->conn, size);
    }
}

/* What finish_logon does, but with a bit of the pre-authentication hash wrong and nothing checked.
 */
static void force_logon(struct probe *p, const uint8_t *message, size_t size)
{
    struct smb_conn *conn = p->conn;
    struct buf ignored;
    struct err err;
    uint8_t key[AUTH_KEY_SIZE];
    struct cursor c = cursor_of(message, size);
    cursor_seek(&c, SMB_HEADER_SIZE + 4);
    uint16_t offset = cursor_u16le(&c);
    uint16_t token_size = cursor_u16le(&c);
    buf_init(&ignored, AUTH_TOKEN_SIZE_MAX);
    if (auth_context_step(conn->auth, message + offset, token_size, &ignored, &err) != 0 ||
        auth_context_session_key(conn->auth, key, &err) != 0)
        die(err.text);
    buf_release(&ignored);
    conn->preauth[0] ^= 1;
    conn->crypto = smb_crypto_new(conn->server.dialect, (enum smb_signing)conn->signing,
                                  (enum smb_cipher)conn->cipher, key, conn->preauth, false);
    conn->encrypt = conn->cipher != SMB_CIPHER_NONE;
    conn->state = SMB_STATE_READY;
    conn->credits = 8;
    smb_request_free(smb_queue_pop(&conn->sent));
}

static void take_frames(struct probe *p)
{
    while (p->in.size >= 4 && p->in.size >= frame_size(p->in.data)) {
        size_t size = frame_size(p->in.data);
        apply_flip(&p->flip_in, p->frames_in, p->in.data + 4, size - 4);
        if (p->force_preauth && p->frames_in == 2)
            force_logon(p, p->in.data + 4, size - 4);
        else if (smb_conn_receive(p->conn, p->in.data, size, NULL) != 0)
            fail_connection(p);
        p->frames_in++;
        buf_consume(&p->in, size);
    }
}

/* One turn: sends what waits, receives what is there (waits for it). */
static void turn(struct probe *p)
{
    static uint8_t bytes[RECEIVE_SIZE];
    send_all(p);
    struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
    if (poll(&poll_fd, 1, TIMEOUT_MS) <= 0)
        die("no answer");
    ssize_t size = recv(p->fd, bytes, sizeof bytes, 0);
    if (size <= 0) {
        printf("closed\n");
        exit(4);
    }
    buf_bytes(&p->in, bytes, (size_t)size);
    take_frames(p);
}

/* Waits for the next reply; ends the program when it is an error that `allowed` does not name. */
static struct smb_reply await(struct probe *p, uint32_t allowed)
{
    struct smb_reply reply;
    while (!smb_conn_next_reply(p->conn, &reply))
        turn(p);
    char status[64];
    if (ntstatus_is_error(reply.status) && reply.status != allowed) {
        printf("refused %d %s\n", (int)reply.op, smb_status_text(reply.status, status));
        exit(2);
    }
    return reply;
}

static void must(int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "smb_probe: %s\n", err->text);
        exit(3);
    }
}

static void print_hex(const char *key, const uint8_t *bytes, size_t size)
{
    printf("%s ", key);
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

static void logon(struct probe *p)
{
    if (p->force_preauth)
        while (!smb_conn_ready(p->conn))
            turn(p);
    else
        await(p, 0);
    const struct smb_server_info *s = smb_conn_server(p->conn);
    printf("logon %s encrypted %d cipher %s signing %s\n", smb_dialect_name(s->dialect),
           s->encrypted, s->cipher, s->signing);
    printf("names %s %s %s %s\n", s->names.netbios_computer, s->names.netbios_domain,
           s->names.dns_computer, s->names.dns_domain);
    printf("memory %zu\n", mallinfo2().uordblks - p->memory_before); /* 0 under a sanitizer */
    printf("time %llu\n", (unsigned long long)s->system_time);
}

static struct smb_file open_folder(struct probe *p, uint32_t tree)
{
    struct err err;
    struct smb_create_request request = {
        .path = "SPDISTRO",
        .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_READ_CONTROL,
        .share = SMB_SHARE_READ | SMB_SHARE_WRITE | SMB_SHARE_DELETE,
        .disposition = SMB_OPEN_IF,
        .options = SMB_OPTION_DIRECTORY | SMB_OPTION_OPEN_REPARSE_POINT,
        .security_descriptor = descriptor,
        .security_descriptor_size = sizeof descriptor};
    must(smb_create(p->conn, 2, tree, &request, &err), &err);
    struct smb_reply reply = await(p, 0);
    printf("folder action %u directory %d\n", reply.create_action, reply.info.directory);
    struct smb_file folder = reply.file;
    must(smb_query_info(p->conn, 3, folder, SMB_INFO_ATTRIBUTE_TAG, &err), &err);
    must(smb_query_info(p->conn, 4, folder, SMB_INFO_FREE_SPACE, &err), &err);
    must(smb_query_security(p->conn, 5, folder, SMB_SECURITY_OWNER | SMB_SECURITY_DACL, &err),
         &err);
    for (int i = 0; i < 3; i++) { /* three in flight, answered in any order */
        reply = await(p, 0);
        if (reply.tag == 3)
            printf("tag %u\n", reply.info.reparse_tag);
        else if (reply.tag == 4)
            printf("free %llu\n", (unsigned long long)reply.free_bytes);
        else
            print_hex("descriptor", reply.data, reply.data_size);
    }
    return folder;
}

static struct smb_file open_file(struct probe *p, uint32_t tree, const char *path,
                                 uint32_t disposition)
{
    struct err err;
    struct smb_create_request request = {
        .path = path,
        .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_WRITE_DATA | SMB_ACCESS_DELETE |
                  SMB_ACCESS_READ_ATTRIBUTES | SMB_ACCESS_WRITE_ATTRIBUTES | SMB_ACCESS_SYNCHRONIZE,
        .disposition = disposition,
        .options = SMB_OPTION_NON_DIRECTORY};
    must(smb_create(p->conn, 6, tree, &request, &err), &err);
    return await(p, 0).file;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Submits and sends until credits or IN_FLIGHT_MAX stop it; returns the new offset. */
static uint64_t submit_writes(struct probe *p, struct smb_file file, const uint8_t *chunk,
                              uint64_t offset, uint64_t total, size_t *in_flight)
{
    struct err err;
    uint32_t room;
    while (offset < total && *in_flight < IN_FLIGHT_MAX &&
           (room = smb_conn_write_room(p->conn)) > 0) {
        size_t size = room < total - offset ? room : (size_t)(total - offset);
        size_t left = CHUNK_SIZE - (size_t)(offset % CHUNK_SIZE);
        size = size < left ? size : left;
        must(smb_write(p->conn, 7, file, offset, chunk + offset % CHUNK_SIZE, size, &err), &err);
        offset += size;
        (*in_flight)++;
        send_all(p);
    }
    return offset;
}

/* Writes `mib` MiB (and 7 bytes, so that the end is ragged) of a repeated random MiB. */
static void write_file(struct probe *p, struct smb_file file)
{
    uint8_t *chunk = mem_new(CHUNK_SIZE, 1);
    uint64_t total = (uint64_t)p->mib * CHUNK_SIZE + 7;
    for (size_t at = 0; at < CHUNK_SIZE && at < total; at += 256)
        if (getrandom(chunk + at, 256, 0) != 256)
            die("getrandom");
    uint64_t offset = 0;
    uint64_t written = 0;
    size_t in_flight = 0;
    size_t in_flight_most = 0;
    double start = seconds();
    while (written < total) {
        offset = submit_writes(p, file, chunk, offset, total, &in_flight);
        in_flight_most = in_flight > in_flight_most ? in_flight : in_flight_most;
        written += await(p, 0).count;
        in_flight--;
    }
    double took = seconds() - start;
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
    EVP_DigestInit_ex(sha256, EVP_sha256(), NULL);
    for (size_t i = 0; i < p->mib; i++)
        EVP_DigestUpdate(sha256, chunk, CHUNK_SIZE);
    EVP_DigestUpdate(sha256, chunk, 7);
    uint8_t digest[32];
    EVP_DigestFinal_ex(sha256, digest, NULL);
    EVP_MD_CTX_free(sha256);
    print_hex("sha256", digest, sizeof digest);
    printf("written %llu in_flight %zu rate %.0f MB/s\n", (unsigned long long)written,
           in_flight_most, (double)written / 1e6 / took);
    free(chunk);
}

static void copy_package(struct probe *p, uint32_t tree)
{
    struct err err;
    struct smb_file file = open_file(p, tree,
                                     "SPDISTRO\\p\xc3\xa4"
                                     "ckage.exe.tmp",
                                     SMB_CREATE);
    write_file(p, file);
    must(smb_flush(p->conn, 8, file, &err), &err);
    must(smb_query_info(p->conn, 9, file, SMB_INFO_STANDARD, &err), &err);
    must(smb_rename(p->conn, 10, file,
                    "SPDISTRO\\p\xc3\xa4"
                    "ckage.exe",
                    true, &err),
         &err);
    must(smb_read(p->conn, 11, file, 5, 16, &err), &err);
    must(smb_read(p->conn, 12, file, (uint64_t)1 << 40, 16, &err), &err);
    for (int i = 0; i < 5; i++) {
        struct smb_reply reply = await(p, NTSTATUS_END_OF_FILE);
        if (reply.tag == 9)
            printf("size %llu\n", (unsigned long long)reply.info.size);
        if (reply.tag == 11)
            print_hex("read", reply.data, reply.data_size);
        if (reply.tag == 12)
            printf("end 0x%08X\n", reply.status);
    }
    must(smb_set_attributes(p->conn, 13, file, SMB_ATTRIBUTE_READONLY, &err), &err);
    must(smb_query_info(p->conn, 14, file, SMB_INFO_BASIC, &err), &err);
    await(p, 0);
    printf("attributes 0x%x", await(p, 0).info.attributes);
    must(smb_set_attributes(p->conn, 13, file, SMB_ATTRIBUTE_NORMAL, &err), &err);
    must(smb_query_info(p->conn, 14, file, SMB_INFO_BASIC, &err), &err);
    await(p, 0);
    printf(" then 0x%x\n", await(p, 0).info.attributes);
    must(smb_close(p->conn, 15, file, &err), &err);
    await(p, 0);
}

static void list_and_delete(struct probe *p, uint32_t tree, struct smb_file folder)
{
    struct err err;
    struct smb_file stale = open_file(p, tree, "SPDISTRO\\stale.tmp", SMB_OVERWRITE_IF);
    must(smb_query_directory(p->conn, 16, folder, "*", true, &err), &err);
    struct smb_reply reply = await(p, 0);
    struct cursor c = cursor_of(reply.data, reply.data_size);
    struct smb_directory_entry entry;
    while (smb_directory_next(&c, &entry))
        printf("entry %s %llu\n", entry.name, (unsigned long long)entry.info.size);
    must(smb_query_directory(p->conn, 17, folder, "*", false, &err), &err);
    printf("listing ends 0x%08X\n", await(p, 0).status);
    must(smb_set_delete(p->conn, 18, stale, true, &err), &err);
    await(p, 0);
    must(smb_close(p->conn, 19, stale, &err), &err);
    await(p, 0);
    must(smb_close(p->conn, 20, folder, &err), &err);
    await(p, 0);
}

static void use_pipe(struct probe *p)
{
    struct err err;
    must(smb_tree_connect(p->conn, 21, "IPC$", &err), &err);
    struct smb_reply reply = await(p, 0);
    printf("pipe share %d\n", reply.tree_is_pipe);
    struct smb_create_request request = {.path = p->pipe,
                                         .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_WRITE_DATA,
                                         .share = SMB_SHARE_READ | SMB_SHARE_WRITE,
                                         .disposition = SMB_OPEN};
    must(smb_create(p->conn, 22, reply.tree, &request, &err), &err);
    struct smb_file pipe = await(p, 0).file;
    /* Too small an answer buffer on purpose: the rest comes by READ. */
    must(smb_pipe_transceive(p->conn, 23, pipe, rpc_bind, sizeof rpc_bind, 24, &err), &err);
    reply = await(p, 0);
    printf("transceive 0x%08X type %u size %zu\n", reply.status, reply.data[2], reply.data_size);
    must(smb_read(p->conn, 24, pipe, 0, SMB_PIPE_OUTPUT_SIZE, &err), &err);
    reply = await(p, 0);
    printf("rest 0x%08X size %zu\n", reply.status, reply.data_size);
    must(smb_close(p->conn, 25, pipe, &err), &err);
    await(p, 0);
}

static void run(struct probe *p)
{
    struct err err;
    logon(p);
    must(smb_tree_connect(p->conn, 1, "C$", &err), &err);
    uint32_t tree = await(p, 0).tree;
    printf("tree\n");
    struct smb_file folder = open_folder(p, tree);
    copy_package(p, tree);
    list_and_delete(p, tree, folder);
    must(smb_tree_disconnect(p->conn, 26, tree, &err), &err);
    await(p, 0);
    if (p->pipe != NULL)
        use_pipe(p);
    must(smb_logoff(p->conn, 27, &err), &err);
    await(p, 0);
    printf("done credits %u\n", p->conn->credits);
}

static struct flip parse_flip(const char *text)
{
    struct flip flip = {.wanted = true};
    char *end = NULL;
    flip.frame = strtol(text, &end, 10);
    if (*end != ':')
        die("flips are FRAME:OFFSET");
    flip.mic = strcmp(end + 1, "mic") == 0;
    flip.offset = flip.mic ? 0 : strtol(end + 1, NULL, 10);
    return flip;
}

static int connect_to(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* What the command line says, before there is a connection. */
struct options {
    const char *host, *user, *password;
    uint16_t port;
    struct smb_config config;
};

static void parse_options(int argc, char **argv, struct options *o, struct probe *p)
{
    static const struct option known[] = {
        {"host", 1, NULL, 'h'},          {"port", 1, NULL, 'p'},    {"user", 1, NULL, 'u'},
        {"password", 1, NULL, 'w'},      {"min", 1, NULL, 'm'},     {"max", 1, NULL, 'M'},
        {"sign-only", 0, NULL, 's'},     {"no-gcm", 0, NULL, 'g'},  {"no-gmac", 0, NULL, 'G'},
        {"encrypt", 0, NULL, 'e'},       {"mib", 1, NULL, 'n'},     {"pipe", 1, NULL, 'P'},
        {"flip-out", 1, NULL, 'o'},      {"flip-in", 1, NULL, 'i'}, {"output", 1, NULL, 'O'},
        {"wrong-preauth", 0, NULL, 'x'}, {"repeat", 1, NULL, 'r'},  {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'h':
            o->host = optarg;
            break;
        case 'p':
            o->port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'w':
            o->password = optarg;
            break;
        case 'm':
            o->config.dialect_min = (enum smb_dialect)strtoul(optarg, NULL, 16);
            break;
        case 'M':
            o->config.dialect_max = (enum smb_dialect)strtoul(optarg, NULL, 16);
            break;
        case 's':
            o->config.refuse_encryption = true;
            break;
        case 'g':
            o->config.refuse_gcm = true;
            break;
        case 'G':
            o->config.refuse_gmac = true;
            break;
        case 'e':
            o->config.require_encryption = true;
            break;
        case 'n':
            p->mib = strtoul(optarg, NULL, 10);
            break;
        case 'P':
            p->pipe = optarg;
            break;
        case 'o':
            p->flip_out = parse_flip(optarg);
            break;
        case 'i':
            p->flip_in = parse_flip(optarg);
            break;
        case 'O':
            o->config.output_size_max = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'x':
            p->force_preauth = true;
            break;
        case 'r':
            p->repeat = strtoul(optarg, NULL, 10);
            break;
        default:
            exit(3);
        }
    }
}

static double cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

/* One connection from its first byte to its last. */
static void one_connection(struct probe *p, struct options *o)
{
    struct err err;
    if (getrandom(o->config.client_guid, 16, 0) != 16 || getrandom(o->config.salt, 32, 0) != 32)
        die("getrandom");
    p->frames_in = 0;
    p->frames_out = 0;
    p->memory_before = mallinfo2().uordblks;
    must(smb_conn_new(&o->config, &p->conn, &err), &err);
    p->fd = connect_to(o->host, o->port);
    run(p);
    close(p->fd);
    smb_conn_free(p->conn);
}

int main(int argc, char **argv)
{
    struct probe p = {.mib = 1, .repeat = 1};
    struct options o = {.host = "127.0.0.1", .user = "", .password = "", .port = 445};
    struct auth_credential *credential = NULL;
    struct err err;
    parse_options(argc, argv, &o, &p);
    auth_setup();
    must(auth_credential_new(o.user, o.password, &credential, &err), &err);
    o.config.host = o.host;
    o.config.credential = credential;
    buf_init(&p.in, 1 << 20);
    one_connection(&p, &o); /* the first one pays for what libraries set up once */
    double before = cpu_ms();
    for (unsigned long i = 1; i < p.repeat; i++)
        one_connection(&p, &o);
    if (p.repeat > 1)
        printf("cpu %.3f ms a connection\n", (cpu_ms() - before) / (double)(p.repeat - 1));
    buf_release(&p.in);
    auth_credential_free(credential);
    return 0;
}
