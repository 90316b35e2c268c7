/* Drives relay/rpc and relay/tsch against a real pipe, for tests: smbd in front, a scheduler
 * behind.
 *
 *     tsch_probe --host H --user U --password-file F --rpc-user U2 --rpc-password-file F2
 *                --arguments-size N --flip-out PIECE:OFFSET --flip-in PIECE:OFFSET --srvsvc
 *
 * Does with one task what a push may do with it, printing one "key value" line per thing seen; with
 * --srvsvc it lists the shares instead ([MS-SRVS]), for an RPC server that is not our own. Ends
 * with "failure CODE text" and exit status 1 when the RPC connection fails, "fault STATUS" and 2
 * when a call is answered by a fault. The flips change the lowest bit of a byte (negative offset:
 * from the end) of the n-th piece of bytes written to or read from the pipe.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/base/mem.h"
#include "relay/rpc/ndr.h"
#include "relay/rpc/rpc_auth.h"
#include "relay/sd/sd.h"
#include "relay/smb/smb.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/task.h"
#include "relay/tsch/tsch.h"

#define TIMEOUT_MS 20000
#define RECEIVE_SIZE 65536U
#define COMMAND "C:\\SPDISTRO\\package.exe"

struct flip {
    bool wanted;
    long piece;
    long offset;
};

struct probe {
    int fd;
    struct smb_conn *smb;
    struct smb_file pipe;
    struct auth_context *auth;
    struct rpc_client *rpc;
    struct flip flip_out, flip_in;
    long pieces_out, pieces_in;
    unsigned writes, reads, transceives;
    struct buf stub; /* arguments of the next call */
};

static void die(const char *what)
{
    fprintf(stderr, "tsch_probe: %s\n", what);
    exit(3);
}

static void must(int result, const struct err *err)
{
    if (result != 0)
        die(err->text);
}

/* One turn on the socket: sends what waits, receives what comes. */
static void turn(struct probe *p)
{
    static uint8_t bytes[RECEIVE_SIZE];
    const uint8_t *waiting;
    size_t waiting_size;
    struct err err;
    while (smb_conn_output(p->smb, &waiting, &waiting_size)) {
        ssize_t sent = send(p->fd, waiting, waiting_size, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        smb_conn_sent(p->smb, (size_t)sent);
    }
    struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
    if (poll(&poll_fd, 1, TIMEOUT_MS) <= 0)
        die("no answer");
    ssize_t size = recv(p->fd, bytes, sizeof bytes, 0);
    if (size <= 0)
        die("connection closed");
    must(smb_conn_receive(p->smb, bytes, (size_t)size, &err), &err);
}

static struct smb_reply await(struct probe *p)
{
    struct smb_reply reply;
    while (!smb_conn_next_reply(p->smb, &reply))
        turn(p);
    if (ntstatus_is_error(reply.status) && reply.status != NTSTATUS_BUFFER_OVERFLOW) {
        printf("refused 0x%08x\n", reply.status);
        exit(2);
    }
    return reply;
}

static void open_pipe(struct probe *p, const char *name)
{
    struct err err;
    struct smb_create_request request = {.path = name,
                                         .access = SMB_ACCESS_READ_DATA | SMB_ACCESS_WRITE_DATA,
                                         .share = SMB_SHARE_READ | SMB_SHARE_WRITE,
                                         .disposition = SMB_OPEN};
    (void)await(p); /* logon */
    must(smb_tree_connect(p->smb, 1, "IPC$", &err), &err);
    uint32_t tree = await(p).tree;
    must(smb_create(p->smb, 2, tree, &request, &err), &err);
    p->pipe = await(p).file;
}

/* A copy of the bytes, with the bit flipped if this is the piece. The caller frees it. */
static uint8_t *copy_piece(const struct flip *flip, long *pieces, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = mem_new(size > 0 ? size : 1, 1);
    memcpy(copy, bytes, size);
    if (flip->wanted && flip->piece == (*pieces)++)
        copy[flip->offset >= 0 ? (size_t)flip->offset : size - (size_t)-flip->offset] ^= 1;
    return copy;
}

/* Does one action of the client; -1 when the client fails. */
static int act(struct probe *p, const struct rpc_action *action, struct err *err)
{
    if (action->io == RPC_IO_READ) {
        p->reads++;
        must(smb_read(p->smb, 3, p->pipe, 0, (uint32_t)action->read_max, err), err);
    } else {
        uint8_t *bytes = copy_piece(&p->flip_out, &p->pieces_out, action->bytes, action->size);
        if (action->io == RPC_IO_WRITE) {
            p->writes++;
            must(smb_write(p->smb, 3, p->pipe, 0, bytes, action->size, err), err);
        } else {
            p->transceives++;
            must(smb_pipe_transceive(p->smb, 3, p->pipe, bytes, action->size,
                                     (uint32_t)action->read_max, err),
                 err);
        }
        free(bytes);
    }
    struct smb_reply reply = await(p);
    if (action->io == RPC_IO_WRITE)
        return rpc_client_done(p->rpc, NULL, 0, err);
    uint8_t *bytes = copy_piece(&p->flip_in, &p->pieces_in, reply.data, reply.data_size);
    int status = rpc_client_done(p->rpc, bytes, reply.data_size, err);
    free(bytes);
    return status;
}

static void run_rpc(struct probe *p)
{
    struct rpc_action action;
    struct err err;
    for (rpc_client_next(p->rpc, &action); action.io != RPC_IO_NONE;
         rpc_client_next(p->rpc, &action)) {
        if (act(p, &action, &err) == 0)
            continue;
        printf("failure %d %s\n", (int)err.code, err.text);
        exit(1);
    }
}

/* Makes the call with the arguments in p->stub, which are used up. */
static struct rpc_answer call(struct probe *p, enum tsch_opnum opnum)
{
    struct err err;
    struct rpc_answer answer;
    must(rpc_client_call(p->rpc, (uint16_t)opnum, p->stub.data, p->stub.size, &err), &err);
    buf_reset(&p->stub);
    run_rpc(p);
    rpc_client_answer(p->rpc, &answer);
    if (answer.fault) {
        printf("fault %s 0x%08x\n", rpc_fault_name(answer.status), answer.status);
        exit(2);
    }
    return answer;
}

static void print_hresult(const char *key, uint32_t hresult)
{
    printf("%s 0x%08x %s\n", key, hresult, hresult_name(hresult));
}

/* Calls whose answer is an HRESULT alone. */
static void call_plain(struct probe *p, const char *key, enum tsch_opnum opnum)
{
    struct err err;
    uint32_t hresult = 0;
    struct rpc_answer answer = call(p, opnum);
    must(tsch_decode_hresult(answer.stub, answer.stub_size, &hresult, &err), &err);
    print_hresult(key, hresult);
}

static void get_security(struct probe *p, const char *key, const char *path, enum sd_object object)
{
    struct err err;
    struct buf sddl;
    struct sd sd;
    uint32_t hresult = 0;
    char why[SD_WHY_SIZE] = "";
    buf_init(&sddl, SD_SDDL_SIZE_MAX);
    must(tsch_encode_get_security(&p->stub, path, TSCH_SECURITY_OWNER | TSCH_SECURITY_DACL, &err),
         &err);
    struct rpc_answer answer = call(p, TSCH_GET_SECURITY);
    must(tsch_decode_get_security(answer.stub, answer.stub_size, &sddl, &hresult, &err), &err);
    print_hresult(key, hresult);
    printf("%s-sddl %s\n", key, buf_cstr(&sddl));
    must(sd_parse_sddl(buf_cstr(&sddl), &sd, &err), &err);
    bool safe = sd_is_safe(&sd, object, why, sizeof why);
    printf("%s-safe %d %s\n", key, safe, why);
    buf_release(&sddl);
}

static void register_xml(struct probe *p, const char *key, const char *path, const struct buf *xml,
                         uint32_t flags)
{
    struct err err;
    struct tsch_register_result result;
    struct tsch_register request = {.path = path,
                                    .xml = xml->data,
                                    .xml_size = xml->size,
                                    .flags = flags,
                                    .sddl = SD_SDDL_TASKS,
                                    .logon = TSCH_LOGON_SERVICE_ACCOUNT};
    must(tsch_encode_register(&p->stub, &request, &err), &err);
    struct rpc_answer answer = call(p, TSCH_REGISTER_TASK);
    must(tsch_decode_register(answer.stub, answer.stub_size, &result, &err), &err);
    print_hresult(key, result.hresult);
    printf("%s-path %s\n", key, result.actual_path);
    if (result.has_error_info)
        printf("%s-error line %u column %u node %s value %s\n", key, result.line, result.column,
               result.node, result.value);
}

static void retrieve(struct probe *p, const char *path, const struct task *expected)
{
    struct err err;
    struct task_seen seen;
    const uint8_t *xml = NULL;
    size_t xml_size = 0;
    uint32_t hresult = 0;
    char why[TASK_WHY_SIZE] = "";
    must(tsch_encode_retrieve(&p->stub, path, &err), &err);
    struct rpc_answer answer = call(p, TSCH_RETRIEVE_TASK);
    must(tsch_decode_retrieve(answer.stub, answer.stub_size, &xml, &xml_size, &hresult, &err),
         &err);
    print_hresult("retrieve", hresult);
    if (xml == NULL)
        return;
    must(task_xml_read(xml, xml_size, &seen, &err), &err);
    bool ours = task_matches(expected, &seen, why, sizeof why);
    printf("retrieve-size %zu\n", xml_size);
    printf("retrieve-start %s end %s\n", seen.start_boundary, seen.end_boundary);
    printf("ours %d %s\n", ours, why);
}

static void info(struct probe *p, const char *key, const char *path)
{
    struct err err;
    bool enabled = false;
    uint32_t state = 0;
    uint32_t hresult = 0;
    must(tsch_encode_get_task_info(&p->stub, path, &err), &err);
    struct rpc_answer answer = call(p, TSCH_GET_TASK_INFO);
    must(tsch_decode_get_task_info(answer.stub, answer.stub_size, &enabled, &state, &hresult, &err),
         &err);
    print_hresult(key, hresult);
    printf("%s-state enabled %d state %u\n", key, enabled, state);
}

static void last_run(struct probe *p, const char *path)
{
    struct err err;
    struct tsch_time time;
    uint32_t code = 0;
    uint32_t hresult = 0;
    must(tsch_encode_get_last_run_info(&p->stub, path, &err), &err);
    struct rpc_answer answer = call(p, TSCH_GET_LAST_RUN_INFO);
    must(tsch_decode_get_last_run_info(answer.stub, answer.stub_size, &time, &code, &hresult, &err),
         &err);
    print_hresult("last-run", hresult);
    printf("last-run-time year %u code 0x%08x\n", time.year, code);
}

static void use_scheduler(struct probe *p, const char *arguments)
{
    struct err err;
    struct buf xml;
    char path[TASK_PATH_SIZE];
    char description[TASK_DESCRIPTION_SIZE];
    struct task_job job = {.generation = 1, .command = COMMAND, .arguments = arguments};
    if (getrandom(job.push_id, sizeof job.push_id, 0) != sizeof job.push_id)
        die("getrandom");
    struct task task = {.author = "Pusher",
                        .description = task_description(&job, description),
                        .start_unix_s = time(NULL) + 3600,
                        .end_unix_s = time(NULL) + 7200,
                        .utc = true,
                        .execution_limit_s = 7200,
                        .delete_expired_after_s = 7 * 86400,
                        .command = COMMAND,
                        .arguments = arguments,
                        .working_directory = "C:\\SPDISTRO"};
    (void)task_path(job.push_id, 1, path);
    buf_init(&xml, TASK_XML_SIZE_MAX);
    must(task_xml_build(&task, &xml, &err), &err);

    must(tsch_encode_create_folder(&p->stub, TASK_FOLDER, SD_SDDL_TASKS, &err), &err);
    call_plain(p, "folder", TSCH_CREATE_FOLDER);
    get_security(p, "folder-security", TASK_FOLDER, SD_TASK_FOLDER);
    retrieve(p, path, &task);
    register_xml(p, "validate", path, &xml, TSCH_VALIDATE_ONLY);
    register_xml(p, "register", path, &xml, TSCH_CREATE | TSCH_DONT_ADD_PRINCIPAL_ACE);
    register_xml(p, "again", path, &xml, TSCH_CREATE | TSCH_DONT_ADD_PRINCIPAL_ACE);
    retrieve(p, path, &task);
    get_security(p, "task-security", path, SD_TASK);
    info(p, "info", path);
    last_run(p, path);
    must(tsch_encode_enable_task(&p->stub, path, false, &err), &err);
    call_plain(p, "disable", TSCH_ENABLE_TASK);
    info(p, "disabled", path);
    must(tsch_encode_stop(&p->stub, path, &err), &err);
    call_plain(p, "stop", TSCH_STOP);
    must(tsch_encode_delete(&p->stub, path, &err), &err);
    call_plain(p, "delete", TSCH_DELETE);
    retrieve(p, path, &task);
    xml.data[xml.size - 4] = '!'; /* the root's end tag is no longer its start tag's */
    register_xml(p, "malformed", path, &xml, TSCH_CREATE);
    buf_release(&xml);
}

/* 4b324fc8-1670-01d3-1278-5a47bf6ee188 v3.0, [MS-SRVS] 1.9 */
static const struct rpc_interface srvsvc_interface = {
    .uuid = {0xc8, 0x4f, 0x32, 0x4b, 0x70, 0x16, 0xd3, 0x01, 0x12, 0x78, 0x5a, 0x47, 0xbf, 0x6e,
             0xe1, 0x88},
    .version_major = 3,
    .version_minor = 0,
};
#define SRVSVC_NET_SHARE_ENUM 15 /* [MS-SRVS] 3.1.4.8 */

/* NetrShareEnum at level 1 with a server name as long as asked for. */
static void list_shares(struct probe *p, const char *server_name)
{
    struct err err;
    struct ndr_out ndr = ndr_out_of(&p->stub);
    ndr_put_unique_string(&ndr, server_name);
    ndr_put_u32(&ndr, 1);          /* Level */
    ndr_put_u32(&ndr, 1);          /* the union's discriminant */
    ndr_put_u32(&ndr, 1);          /* pointer to SHARE_INFO_1_CONTAINER */
    ndr_put_u32(&ndr, 0);          /* EntriesRead */
    ndr_put_u32(&ndr, 0);          /* Buffer, null */
    ndr_put_u32(&ndr, 0xffffffff); /* PreferedMaximumLength */
    ndr_put_u32(&ndr, 0);          /* ResumeHandle, null */
    printf("request-size %zu\n", p->stub.size);
    must(rpc_client_call(p->rpc, SRVSVC_NET_SHARE_ENUM, p->stub.data, p->stub.size, &err), &err);
    run_rpc(p);
    struct rpc_answer answer;
    rpc_client_answer(p->rpc, &answer);
    if (answer.fault || answer.stub_size < 16)
        die("no list of shares");
    struct cursor c = cursor_of(answer.stub, answer.stub_size);
    cursor_skip(&c, 12); /* level, discriminant, pointer */
    printf("shares %u\n", cursor_u32le(&c));
    cursor_seek(&c, answer.stub_size - 4);
    printf("werror %u\n", cursor_u32le(&c));
    printf("answer-size %zu\n", answer.stub_size);
}

static struct flip parse_flip(const char *text)
{
    struct flip flip = {.wanted = true};
    char *end = NULL;
    flip.piece = strtol(text, &end, 10);
    if (*end != ':')
        die("flips are PIECE:OFFSET");
    flip.offset = strtol(end + 1, NULL, 10);
    return flip;
}

static int connect_to(const char *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(445)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect");
    return fd;
}

static struct auth_credential *credential_of(const char *user, const char *password_file)
{
    struct auth_credential *credential = NULL;
    struct err err;
    char password[256] = "";
    FILE *file = fopen(password_file, "r");
    if (file == NULL || fgets(password, sizeof password, file) == NULL)
        die("cannot read the password file");
    (void)fclose(file);
    password[strcspn(password, "\n")] = '\0';
    must(auth_credential_new(user, password, &credential, &err), &err);
    return credential;
}

/* What the command line says, before there is a connection. */
struct options {
    const char *host, *user, *password_file, *rpc_user, *rpc_password_file;
    size_t arguments_size;
    bool srvsvc;
};

static void parse_options(int argc, char **argv, struct options *o, struct probe *p)
{
    static const struct option known[] = {{"host", 1, NULL, 'h'},
                                          {"user", 1, NULL, 'u'},
                                          {"password-file", 1, NULL, 'w'},
                                          {"rpc-user", 1, NULL, 'U'},
                                          {"rpc-password-file", 1, NULL, 'W'},
                                          {"arguments-size", 1, NULL, 'n'},
                                          {"flip-out", 1, NULL, 'o'},
                                          {"flip-in", 1, NULL, 'i'},
                                          {"srvsvc", 0, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'h':
            o->host = optarg;
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'w':
            o->password_file = optarg;
            break;
        case 'U':
            o->rpc_user = optarg;
            break;
        case 'W':
            o->rpc_password_file = optarg;
            break;
        case 'n':
            o->arguments_size = strtoul(optarg, NULL, 10);
            break;
        case 'o':
            p->flip_out = parse_flip(optarg);
            break;
        case 'i':
            p->flip_in = parse_flip(optarg);
            break;
        case 's':
            o->srvsvc = true;
            break;
        default:
            exit(3);
        }
    }
}

static void print_version(struct probe *p)
{
    struct err err;
    uint32_t version = 0;
    uint32_t hresult = 0;
    must(tsch_encode_highest_version(&p->stub, &err), &err);
    struct rpc_answer answer = call(p, TSCH_HIGHEST_VERSION);
    must(tsch_decode_highest_version(answer.stub, answer.stub_size, &version, &hresult, &err),
         &err);
    printf("version 0x%08x\n", version);
}

static void run(struct probe *p, const struct options *o, const struct auth_credential *credential)
{
    struct err err;
    char *text = mem_new(o->arguments_size + 1, 1);
    memset(text, o->srvsvc ? 'x' : '"', o->arguments_size);
    must(auth_context_new(credential, AUTH_NTLM_RAW, "host", o->host, &p->auth, &err), &err);
    struct rpc_auth auth = rpc_auth_of(p->auth);
    const struct rpc_interface *interface = o->srvsvc ? &srvsvc_interface : &tsch_interface;
    must(rpc_client_new(interface, &auth, &p->rpc, &err), &err);
    buf_init(&p->stub, RPC_REQUEST_SIZE_MAX);
    run_rpc(p);
    if (o->srvsvc) {
        list_shares(p, text);
    } else {
        print_version(p);
        use_scheduler(p, text);
    }
    printf("pipe writes %u reads %u transceives %u\n", p->writes, p->reads, p->transceives);
    buf_release(&p->stub);
    rpc_client_free(p->rpc);
    auth_context_free(p->auth);
    free(text);
}

int main(int argc, char **argv)
{
    struct probe p = {0};
    struct options o = {.host = "", .user = "", .password_file = "", .arguments_size = 2};
    struct err err;
    parse_options(argc, argv, &o, &p);
    auth_setup();
    struct auth_credential *credential = credential_of(o.user, o.password_file);
    struct auth_credential *other =
        o.rpc_user != NULL ? credential_of(o.rpc_user, o.rpc_password_file) : NULL;
    struct smb_config config = {.host = o.host, .credential = credential};
    if (getrandom(config.client_guid, sizeof config.client_guid, 0) < 0 ||
        getrandom(config.salt, sizeof config.salt, 0) < 0)
        die("getrandom");
    must(smb_conn_new(&config, &p.smb, &err), &err);
    p.fd = connect_to(o.host);
    open_pipe(&p, o.srvsvc ? "srvsvc" : TSCH_PIPE_NAME);
    run(&p, &o, other != NULL ? other : credential);
    close(p.fd);
    smb_conn_free(p.smb);
    auth_credential_free(credential);
    auth_credential_free(other);
    return 0;
}
