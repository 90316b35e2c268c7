/* SMB2/3 client engine: one connection to one server, bytes in, bytes out.
 *
 * Speaks 2.1, 3.0, 3.0.2 and 3.1.1 ([MS-SMB2]); never SMB1, never unsigned, never as a guest. The
 * caller (relay/stage) owns socket, clock and deadlines:
 *
 *     smb_conn_new, then whenever output is waiting write it to the socket:
 *         smb_conn_output -> bytes; smb_conn_sent(what the socket took)
 *     whenever the socket has bytes:
 *         smb_conn_receive, then smb_conn_next_reply until it returns false
 *
 * Negotiation and logon run by themselves; the first reply is SMB_OP_LOGON. Then requests may be
 * queued at any time, as many as wished, without waiting for answers: the engine paces them by the
 * server's credits, and every accepted request gets exactly one reply with the caller's tag, unless
 * the connection fails. Requests are sent in the order given; answers come in any order.
 *
 * What is verified: pre-authentication integrity (3.1.1) or FSCTL_VALIDATE_NEGOTIATE_INFO (below),
 * the signature of the final SESSION_SETUP answer, and signature or AEAD tag, message id and
 * session id of every answer. Encryption is used whenever the server can. Anything wrong is fatal:
 * the connection is failed with a class (enum smb_failure), no later byte is read, nothing is sent.
 *
 * Memory: an idle session holds about 10 KB; the output buffer grows with what is queued (see
 * smb_conn_write_room) and is given back when drained.
 */
#ifndef PUSHER_RELAY_SMB_SMB_H
#define PUSHER_RELAY_SMB_SMB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"
#include "common/base/err.h"
#include "relay/auth/auth.h"
#include "relay/smb/status.h"

#define SMB_READ_SIZE_MAX 65536U    /* one read or pipe answer: one credit's worth */
#define SMB_WRITE_SIZE_MAX 1048576U /* one write: bounds the memory of one message */
#define SMB_PIPE_OUTPUT_SIZE 4280U  /* usual size of one RPC fragment */
#define SMB_PATH_SIZE_MAX 1024U     /* path or share name, UTF-8 bytes */

/* [MS-SMB2] 2.2.3 Dialects */
enum smb_dialect {
    SMB_DIALECT_2_1 = 0x0210,
    SMB_DIALECT_3_0 = 0x0300,
    SMB_DIALECT_3_0_2 = 0x0302,
    SMB_DIALECT_3_1_1 = 0x0311,
};

/* Why a connection failed. */
enum smb_failure {
    SMB_FAILURE_NONE,
    SMB_FAILURE_PROTOCOL,   /* bytes that make no sense, or a message over the limits */
    SMB_FAILURE_DIALECT,    /* the server speaks SMB1 only, or none of our dialects */
    SMB_FAILURE_SIGNING,    /* unsigned, badly signed, badly encrypted, or tampered negotiation */
    SMB_FAILURE_ENCRYPTION, /* the configuration requires encryption and the server cannot */
    SMB_FAILURE_LOGON, /* the server refused the account (native status), or let it in as guest */
    SMB_FAILURE_AUTH,  /* the mechanism failed on our side: broken token, MIC of the peer */
    SMB_FAILURE_CLOCK, /* the mechanism refuses because of the server's clock */
    SMB_FAILURE_SESSION_LOST, /* the server dropped the session (expired, deleted) */
};

struct smb_config {
    const char *host; /* as connected to: UNC paths and target name; copied */
    const struct auth_credential *credential; /* borrowed, outlives the connection */
    uint8_t client_guid[16];                  /* random, one per process or per connection */
    uint8_t salt[32];             /* random, new for each connection (3.1.1 pre-auth salt) */
    enum smb_dialect dialect_min; /* 0: 3.0.2 */
    enum smb_dialect dialect_max; /* 0: 3.1.1 */
    bool require_encryption;      /* fail when the server cannot encrypt */
    bool refuse_encryption;       /* sign only: for measuring and tests */
    bool refuse_gcm;              /* offer AES-CCM only: for tests */
    bool refuse_gmac;             /* offer AES-CMAC only: for tests */
    bool hold_logon;              /* after NEGOTIATE wait for smb_logon */
    uint32_t output_size_max;     /* bytes queued for the socket at most; 0: 2 MiB */
};

enum smb_op {
    SMB_OP_LOGON,
    SMB_OP_TREE_CONNECT,
    SMB_OP_TREE_DISCONNECT,
    SMB_OP_CREATE,
    SMB_OP_CLOSE,
    SMB_OP_WRITE,
    SMB_OP_READ,
    SMB_OP_FLUSH,
    SMB_OP_SET_INFO,       /* rename, disposition, basic information */
    SMB_OP_QUERY_INFO,     /* file, file system */
    SMB_OP_QUERY_SECURITY, /* data: self-relative security descriptor ([MS-DTYP] 2.4.6) */
    SMB_OP_QUERY_DIRECTORY,
    SMB_OP_PIPE_TRANSCEIVE,
    SMB_OP_LOGOFF,
};

/* An open file, directory or pipe; a value, valid until closed. */
struct smb_file {
    uint32_t tree;       /* TreeId it was opened in */
    uint64_t persistent; /* [MS-SMB2] 2.2.14.1 SMB2_FILEID */
    uint64_t volatile_id;
};

/* What is known of a file; after CREATE all but reparse_tag, after QUERY_INFO what the class gives.
 */
struct smb_file_info {
    uint32_t attributes;  /* [MS-FSCC] 2.6 */
    uint32_t reparse_tag; /* [MS-FSCC] 2.1.2.1; 0 if none */
    uint64_t size;        /* EndofFile */
    uint64_t written;     /* LastWriteTime, FILETIME */
    bool directory;
    bool delete_pending;
};

/* One answer. Check status first; other fields are set as the op says when it is no error. */
struct smb_reply {
    uint64_t tag; /* as in the request; 0 for LOGON */
    enum smb_op op;
    uint32_t status;           /* NTSTATUS */
    uint32_t tree;             /* TREE_CONNECT */
    bool tree_is_pipe;         /* TREE_CONNECT: share type is PIPE */
    struct smb_file file;      /* CREATE; also what the request was about, for all file ops */
    uint32_t create_action;    /* CREATE: SMB_CREATED ... */
    struct smb_file_info info; /* CREATE, QUERY_INFO */
    uint64_t free_bytes;       /* QUERY_INFO of the file system: available to the caller */
    uint32_t count;            /* WRITE: bytes written */
    const uint8_t *data;       /* READ, PIPE_TRANSCEIVE, QUERY_SECURITY, QUERY_DIRECTORY: borrowed
                                  until the next smb_conn_next_reply, _receive or _free */
    size_t data_size;
};

/* What the server told; meaningful fields grow with the state. */
struct smb_server_info {
    uint16_t dialect;        /* enum smb_dialect, 0 before NEGOTIATE */
    uint64_t system_time;    /* FILETIME at the server when it answered NEGOTIATE */
    uint32_t write_size_max; /* negotiated, capped by SMB_WRITE_SIZE_MAX */
    uint32_t read_size_max;  /* negotiated, capped by SMB_READ_SIZE_MAX */
    bool encrypted;          /* the session encrypts */
    const char *cipher;      /* "AES-128-GCM", "AES-256-CCM" and so on, or "none" */
    const char *signing;     /* "AES-128-GMAC", "AES-128-CMAC", "HMAC-SHA256" or "none" */
    struct auth_peer names;  /* from the NTLM challenge */
};

struct smb_conn;

/* Queues NEGOTIATE. Errors: ERR_INVALID no host or credential, dialect range empty. */
int smb_conn_new(const struct smb_config *config, struct smb_conn **conn, struct err *err);
/* Wipes keys. Open files and requests are the server's to clean up. NULL is fine. */
void smb_conn_free(struct smb_conn *conn);

/* Takes bytes from the socket, all of them. Errors (the connection is failed then, and every later
 * call returns the same): ERR_PROTOCOL, ERR_DENIED, ERR_LIMIT..., native = NTSTATUS if there is
 * one; the class is smb_conn_failure. */
int smb_conn_receive(struct smb_conn *conn, const uint8_t *bytes, size_t size, struct err *err);
/* Bytes waiting to be sent: true and a view, valid until the next call with this conn. */
bool smb_conn_output(const struct smb_conn *conn, const uint8_t **bytes, size_t *size);
/* The socket took the first `size` of them. */
void smb_conn_sent(struct smb_conn *conn, size_t size);
/* The oldest answer not yet taken; false when there is none. */
bool smb_conn_next_reply(struct smb_conn *conn, struct smb_reply *reply);

/* With hold_logon: the server answered NEGOTIATE, and nothing of the account was sent yet. */
bool smb_conn_holds_logon(const struct smb_conn *conn);
/* Goes on from there; does nothing when no logon is held. Errors (the connection is failed then):
 * ERR_INTERNAL and what else the mechanism says. */
int smb_logon(struct smb_conn *conn, struct err *err);

/* SMB_FAILURE_NONE while it works. */
enum smb_failure smb_conn_failure(const struct smb_conn *conn);
/* Logged on and usable. */
bool smb_conn_ready(const struct smb_conn *conn);
/* Asked the server whether the negotiation was what it saw (below 3.1.1), no answer yet. A server
 * that saw another one hangs up instead of answering ([MS-SMB2] 3.3.5.15.12). */
bool smb_conn_validating(const struct smb_conn *conn);
const struct smb_server_info *smb_conn_server(const struct smb_conn *conn);
/* Requests accepted and not answered yet. */
size_t smb_conn_pending(const struct smb_conn *conn);
/* How many bytes one smb_write may carry now: 0 when credits or the output buffer are used up (ask
 * again after _receive or _sent), else up to write_size_max. */
uint32_t smb_conn_write_room(const struct smb_conn *conn);

/* What has been sent so far. */
struct smb_counts {
    uint32_t requests; /* parts of compounds each */
    uint32_t messages; /* a compound is one */
    uint32_t turns;    /* messages for which answers had to be waited: round trips */
};
struct smb_counts smb_conn_counts(const struct smb_conn *conn);

/* --- Requests. State: ready. Inputs are copied or encrypted before the call returns. Each returns
 * 0, or -1: ERR_INVALID (path not UTF-8 or too long, size over the limit), ERR_LIMIT (too much
 * queued: only when the caller ignores smb_conn_write_room), ERR_UNAVAILABLE (not ready, or
 * failed). --- */

/* A related compound ([MS-SMB2] 3.2.4.1.4): the requests made between _begin and _end leave in one
 * message and are carried out in order, each on the tree and the file of the one before it. So all
 * but the first are given smb_related_file(), or SMB_RELATED_TREE behind a TREE_CONNECT. Each has
 * its reply with its tag, as ever.
 *
 * When a CREATE or TREE_CONNECT fails, the parts behind it fail as well; when another part fails,
 * whether the later ones are carried out is the server's choice (3.3.5.2.7.2 only says SHOULD NOT).
 * At most one CREATE and one TREE_CONNECT; a WRITE carries at most SMB_COMPOUND_WRITE_MAX bytes.
 * Only the last part should be one that a server may answer later (FLUSH, a pipe): Samba refuses
 * others.
 *
 * One message is received whole or not at all, which makes a CREATE and what follows it one step
 * where the connection may break. But a server that never grants as many credits as there are parts
 * gets them one by one: same replies, more round trips, and no longer one step. */
#define SMB_RELATED_TREE UINT32_MAX
#define SMB_COMPOUND_WRITE_MAX 65536U
void smb_compound_begin(struct smb_conn *conn);
/* made: every request since _begin returned 0. False: none of them is sent or answered, returns -1
 * and leaves err as the failing request set it. Errors otherwise: as requests; none is sent then.
 */
int smb_compound_end(struct smb_conn *conn, bool made, struct err *err);
/* The file of the part before, whatever it will be. */
static inline struct smb_file smb_related_file(void)
{
    return (struct smb_file){SMB_RELATED_TREE, UINT64_MAX, UINT64_MAX};
}

/* Share by name ("C$", "IPC$"). Reply: tree. */
int smb_tree_connect(struct smb_conn *conn, uint64_t tag, const char *share, struct err *err);
int smb_tree_disconnect(struct smb_conn *conn, uint64_t tag, uint32_t tree, struct err *err);

/* [MS-SMB2] 2.2.13.1 access masks */
#define SMB_ACCESS_READ_DATA 0x00000001U
#define SMB_ACCESS_WRITE_DATA 0x00000002U
#define SMB_ACCESS_APPEND_DATA 0x00000004U
#define SMB_ACCESS_READ_ATTRIBUTES 0x00000080U
#define SMB_ACCESS_WRITE_ATTRIBUTES 0x00000100U
#define SMB_ACCESS_DELETE 0x00010000U
#define SMB_ACCESS_READ_CONTROL 0x00020000U
#define SMB_ACCESS_WRITE_DAC 0x00040000U
#define SMB_ACCESS_WRITE_OWNER 0x00080000U
#define SMB_ACCESS_SYNCHRONIZE 0x00100000U
/* 2.2.13 ShareAccess */
#define SMB_SHARE_NONE 0x0U
#define SMB_SHARE_READ 0x1U
#define SMB_SHARE_WRITE 0x2U
#define SMB_SHARE_DELETE 0x4U
/* 2.2.13 CreateDisposition */
#define SMB_SUPERSEDE 0U
#define SMB_OPEN 1U
#define SMB_CREATE 2U
#define SMB_OPEN_IF 3U
#define SMB_OVERWRITE 4U
#define SMB_OVERWRITE_IF 5U
/* 2.2.13 CreateOptions */
#define SMB_OPTION_DIRECTORY 0x00000001U
#define SMB_OPTION_WRITE_THROUGH 0x00000002U
#define SMB_OPTION_SEQUENTIAL_ONLY 0x00000004U
#define SMB_OPTION_NON_DIRECTORY 0x00000040U
#define SMB_OPTION_DELETE_ON_CLOSE 0x00001000U
#define SMB_OPTION_OPEN_REPARSE_POINT 0x00200000U
/* 2.2.14 CreateAction */
#define SMB_SUPERSEDED 0U
#define SMB_OPENED 1U
#define SMB_CREATED 2U
#define SMB_OVERWRITTEN 3U
/* [MS-FSCC] 2.6 */
#define SMB_ATTRIBUTE_READONLY 0x00000001U
#define SMB_ATTRIBUTE_HIDDEN 0x00000002U
#define SMB_ATTRIBUTE_SYSTEM 0x00000004U
#define SMB_ATTRIBUTE_DIRECTORY 0x00000010U
#define SMB_ATTRIBUTE_NORMAL 0x00000080U
#define SMB_ATTRIBUTE_REPARSE_POINT 0x00000400U

struct smb_create_request {
    const char *path;     /* below the share, '\\' between components, no leading one; UTF-8 */
    uint32_t access;      /* SMB_ACCESS_ */
    uint32_t share;       /* SMB_SHARE_ */
    uint32_t disposition; /* SMB_SUPERSEDE ... */
    uint32_t options;     /* SMB_OPTION_ */
    uint32_t attributes;  /* SMB_ATTRIBUTE_ of a new file; 0: none given */
    const uint8_t *security_descriptor; /* self-relative, for the SecD create context; NULL: none */
    size_t security_descriptor_size;
};

/* Reply: file, create_action, info. A pipe is opened in IPC$'s tree by its bare name ("atsvc"). */
int smb_create(struct smb_conn *conn, uint64_t tag, uint32_t tree,
               const struct smb_create_request *request, struct err *err);
int smb_close(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err);
/* size: 1 .. smb_conn_write_room. Encrypts or copies straight from `bytes` into the output buffer.
 * Reply: count (a server may write less than asked). Also the write to a pipe (offset 0). */
int smb_write(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
              const uint8_t *bytes, size_t size, struct err *err);
/* A write whose bytes are read straight to where they leave from, for large files. */
struct smb_write_request {
    struct smb_file file;
    uint64_t offset;
    uint32_t size; /* 1 .. smb_conn_write_room */
    /* Puts `size` bytes from `offset` on to `to`. -1: not there, err says why; nothing is sent. */
    int (*read)(void *context, uint64_t offset, uint8_t *to, size_t size, struct err *err);
    void *context;
};
/* As smb_write, but never waits for credits and is no part of a compound. Errors: also those of
 * `read`. */
int smb_write_from(struct smb_conn *conn, uint64_t tag, const struct smb_write_request *wanted,
                   struct err *err);
/* size: 1 .. read_size_max. Reply: data; END_OF_FILE at the end; from a pipe BUFFER_OVERFLOW means
 * data is valid and there is more of the message. */
int smb_read(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t offset,
             uint32_t size, struct err *err);
int smb_flush(struct smb_conn *conn, uint64_t tag, struct smb_file file, struct err *err);
/* new_path is below the share, like create's. The file was opened with SMB_ACCESS_DELETE. */
int smb_rename(struct smb_conn *conn, uint64_t tag, struct smb_file file, const char *new_path,
               bool replace, struct err *err);
/* Sets the attributes, leaves the times ([MS-FSCC] 2.4.7); NORMAL clears read-only. */
int smb_set_attributes(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                       uint32_t attributes, struct err *err);
/* Delete on last close, or not. */
int smb_set_delete(struct smb_conn *conn, uint64_t tag, struct smb_file file, bool remove,
                   struct err *err);

/* Reserves room for a file of `size` bytes, or answers DISK_FULL; EndOfFile stays
 * ([MS-FSCC] 2.4.4). */
int smb_set_allocation(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint64_t size,
                       struct err *err);

enum smb_info_class {
    SMB_INFO_BASIC,         /* attributes, written */
    SMB_INFO_STANDARD,      /* size, directory, delete_pending */
    SMB_INFO_ATTRIBUTE_TAG, /* attributes, reparse_tag */
    SMB_INFO_FREE_SPACE,    /* free_bytes of the file system it lies on */
};
int smb_query_info(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                   enum smb_info_class info_class, struct err *err);

/* [MS-DTYP] 2.4.7 SECURITY_INFORMATION */
#define SMB_SECURITY_OWNER 0x1U
#define SMB_SECURITY_GROUP 0x2U
#define SMB_SECURITY_DACL 0x4U
/* The file was opened with SMB_ACCESS_READ_CONTROL. Reply: data. */
int smb_query_security(struct smb_conn *conn, uint64_t tag, struct smb_file file, uint32_t parts,
                       struct err *err);
/* Names in an open directory that match `pattern` ("*", "a*.tmp"); each reply holds some; ask again
 * until NO_MORE_FILES (NO_SUCH_FILE: none at all). Reply: data, read by smb_directory_next. */
int smb_query_directory(struct smb_conn *conn, uint64_t tag, struct smb_file directory,
                        const char *pattern, bool restart, struct err *err);

/* One entry of a QUERY_DIRECTORY reply ([MS-FSCC] 2.4.10). */
struct smb_directory_entry {
    char name[SMB_PATH_SIZE_MAX]; /* UTF-8 */
    struct smb_file_info info;    /* all but reparse_tag and delete_pending */
};
/* `at` is over the reply's data. False at the end, or (cursor failed) when it is malformed; names
 * that are not UTF-16 or too long are passed over. */
bool smb_directory_next(struct cursor *at, struct smb_directory_entry *entry);

/* FSCTL_PIPE_TRANSCEIVE: writes a message, reads the answer. output_size_max: 1 .. read_size_max,
 * usually SMB_PIPE_OUTPUT_SIZE. Reply: data; BUFFER_OVERFLOW: valid, the rest by smb_read. */
int smb_pipe_transceive(struct smb_conn *conn, uint64_t tag, struct smb_file file,
                        const uint8_t *bytes, size_t size, uint32_t output_size_max,
                        struct err *err);
int smb_logoff(struct smb_conn *conn, uint64_t tag, struct err *err);

/* "SMB 3.1.1" and the like; "SMB ?" for a number that is none. */
const char *smb_dialect_name(uint16_t dialect);
/* One word for logs and details. */
const char *smb_failure_name(enum smb_failure failure);

#endif
