/* Shared by the files of the SMB engine only: the connection, requests, messages, crypto.
 *
 * Data path out: a command file builds header and body in a buf (smb_message_begin), makes a
 * request and calls smb_submit, which sends it or, short of credits, defers it. Data path in:
 * smb_message.c checks a frame, finds the request, and calls its `answer`, which reads the body
 * into the reply.
 */
#ifndef PUSHER_RELAY_SMB_SMB_INTERNAL_H
#define PUSHER_RELAY_SMB_SMB_INTERNAL_H

#include "relay/smb/smb.h"
#include "relay/smb/smb_crypto.h"

/* [MS-SMB2] 2.2.1.2 */
#define SMB_HEADER_SIZE 64U
#define SMB_CREDIT_UNIT 65536U        /* bytes one credit pays for, 3.1.5.2 */
#define SMB_DEFERRED_SIZE_MAX 262144U /* requests that wait for credits, all in all */

/* 2.2.1.2 Command */
enum smb_command {
    SMB_COMMAND_NEGOTIATE = 0,
    SMB_COMMAND_SESSION_SETUP = 1,
    SMB_COMMAND_LOGOFF = 2,
    SMB_COMMAND_TREE_CONNECT = 3,
    SMB_COMMAND_TREE_DISCONNECT = 4,
    SMB_COMMAND_CREATE = 5,
    SMB_COMMAND_CLOSE = 6,
    SMB_COMMAND_FLUSH = 7,
    SMB_COMMAND_READ = 8,
    SMB_COMMAND_WRITE = 9,
    SMB_COMMAND_IOCTL = 11,
    SMB_COMMAND_QUERY_DIRECTORY = 14,
    SMB_COMMAND_QUERY_INFO = 16,
    SMB_COMMAND_SET_INFO = 17,
    SMB_COMMAND_OPLOCK_BREAK = 18,
};

/* 2.2.1.2 Flags */
#define SMB_FLAG_RESPONSE 0x00000001U
#define SMB_FLAG_ASYNC 0x00000002U
#define SMB_FLAG_RELATED 0x00000004U
#define SMB_FLAG_SIGNED 0x00000008U

/* 2.2.3 SecurityMode */
#define SMB_SIGNING_REQUIRED 0x0002U
/* 2.2.3 Capabilities */
#define SMB_CAP_LARGE_MTU 0x00000004U
#define SMB_CAP_ENCRYPTION 0x00000040U

enum smb_state {
    SMB_STATE_NEGOTIATE,     /* NEGOTIATE queued or sent */
    SMB_STATE_LOGON_HELD,    /* NEGOTIATE's answer came, smb_logon was not called */
    SMB_STATE_SESSION_SETUP, /* between NEGOTIATE's answer and the final SESSION_SETUP's */
    SMB_STATE_READY,         /* logged on: everything signed or encrypted from here on */
    SMB_STATE_LOGGED_OFF,
    SMB_STATE_FAILED,
};

/* A message as received, its header read. */
struct smb_message {
    const uint8_t *bytes; /* header first; borrowed */
    size_t size;          /* header, body, and what follows up to the next message */
    uint16_t command;
    uint16_t credits; /* granted */
    uint32_t status;
    uint32_t flags;
    uint32_t next; /* NextCommand: offset of the next message, 0 in the last */
    uint64_t message_id;
    uint64_t session_id;
    uint32_t tree;      /* 0 in async messages */
    struct cursor body; /* over the whole message, placed behind the header */
};

/* One accepted request, from smb_submit until its reply is taken. */
struct smb_request {
    struct smb_request *next;
    uint16_t command;    /* enum smb_command */
    uint16_t charge;     /* credits it costs, at least 1 */
    uint64_t message_id; /* once sent */
    uint32_t tree;
    bool silent;    /* ours: no reply goes to the caller */
    uint32_t chain; /* which compound it is part of; 0: none */
    bool related;   /* not the first part, or the first that is left */
    uint32_t limit; /* most bytes the answer may report or carry */
    enum smb_info_class info_class;
    /* Reads a good answer's body into the reply; -1: malformed (or the connection is failed). */
    int (*answer)(struct smb_conn *conn, struct smb_request *request, struct smb_message *message);
    struct smb_reply reply;
    uint8_t *data;       /* owned: what reply.data points to */
    struct buf deferred; /* the message while it waits for credits, or for the compound's end */
};

/* First in, first out. */
struct smb_queue {
    struct smb_request *head;
    struct smb_request *tail;
    size_t count;
};

struct smb_conn {
    struct smb_config config; /* host is owned, credential borrowed */
    enum smb_state state;
    enum smb_failure failure;
    struct err error; /* once failed */

    struct smb_server_info server;
    uint32_t capabilities; /* of the server's NEGOTIATE answer, verbatim */
    uint8_t server_guid[16];
    uint16_t server_security_mode;
    uint32_t transact_size_max;
    uint16_t cipher;  /* enum smb_cipher negotiated; 0 none */
    uint16_t signing; /* enum smb_signing negotiated */
    bool multi_credit;
    bool validation_asked; /* or not needed: FSCTL_VALIDATE_NEGOTIATE_INFO */
    bool validating;       /* asked and not answered: replies are held back */

    uint64_t session_id;
    struct auth_context *auth; /* until logged on */
    uint8_t preauth[SMB_PREAUTH_SIZE];
    struct smb_crypto *crypto; /* from the final SESSION_SETUP on */
    bool encrypt;

    uint64_t message_id_next;
    uint32_t credits;
    struct smb_queue sent;      /* on the wire or in the output buffer */
    struct smb_queue deferred;  /* wait for credits, in order */
    size_t deferred_size;       /* bytes in them */
    struct smb_queue done;      /* answered, reply not taken */
    struct smb_request *taken;  /* whose data the caller may still look at */
    bool collecting;            /* between smb_compound_begin and _end ... */
    struct smb_queue collected; /* ... parts so far */
    uint32_t chain_last;        /* number of the last compound */
    struct smb_counts counts;
    bool answered; /* something came since the last message was sent */

    struct buf output;
    size_t output_at; /* first byte not sent */
    struct buf input; /* the frame being received, with its 4-byte length */
};

/* --- smb_conn.c --- */

/* Fails the connection (the first failure stays) and returns -1. */
int smb_fail(struct smb_conn *conn, enum smb_failure failure, enum err_code code, uint32_t status,
             const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "NAME (0x...)" of a status, into `text`. */
const char *smb_status_text(uint32_t status, char text[64]);

void smb_queue_push(struct smb_queue *queue, struct smb_request *request);
struct smb_request *smb_queue_pop(struct smb_queue *queue);
/* Takes the request with this message id out; NULL when there is none. */
struct smb_request *smb_queue_take(struct smb_queue *queue, uint64_t message_id);

struct smb_request *smb_request_new(enum smb_command command, enum smb_op op, uint64_t tag);
void smb_request_free(struct smb_request *request);
/* Copies bytes of the answer into the request, as reply.data. */
void smb_request_keep(struct smb_request *request, const uint8_t *bytes, size_t size);

/* --- smb_message.c --- */

/* Starts a message: `message` becomes a buf with room for the header. */
void smb_message_begin(struct buf *message);
/* 0 when requests are allowed; else ERR_UNAVAILABLE. */
int smb_check_ready(const struct smb_conn *conn, struct err *err);
/* Takes message (released) and request (owned from here, freed on failure), appends `payload`,
 * sends or defers. Large payloads are never deferred: ERR_LIMIT. */
int smb_submit(struct smb_conn *conn, struct smb_request *request, struct buf *message,
               const uint8_t *payload, size_t payload_size, struct err *err);
/* The same with a payload that is read to where it leaves from. Never deferred: ERR_LIMIT. */
int smb_submit_from(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                    const struct smb_write_request *wanted, struct err *err);
/* Credits for this many bytes in either direction. */
uint16_t smb_charge(size_t size);
/* Sends what was deferred, as far as credits and output buffer allow. */
void smb_send_deferred(struct smb_conn *conn);
/* One frame, without its length; decrypts in place. -1: the connection is failed. */
int smb_handle_frame(struct smb_conn *conn, uint8_t *bytes, size_t size);
/* `size` bytes at `offset` from the message's header, behind it; NULL when they are not inside. */
const uint8_t *smb_message_bytes(const struct smb_message *message, uint32_t offset, uint32_t size);
/* SHA-512 chain over NEGOTIATE and SESSION_SETUP (3.1.4.4.1, 3.2.5.2, 3.2.5.3). */
void smb_preauth_add(struct smb_conn *conn, const uint8_t *message, size_t size);
/* Signature check of a whole message with the session's key. */
bool smb_signature_good(struct smb_conn *conn, const struct smb_message *message);

/* --- smb_compound.c --- */

/* smb_submit's between smb_compound_begin and _end. */
int smb_compound_collect(struct smb_conn *conn, struct smb_request *request, struct buf *message,
                         const uint8_t *payload, size_t payload_size, struct err *err);
/* How many of the first deferred requests have to leave in one message: its whole compound, or 1;
 * size is that of the message. */
size_t smb_compound_first(const struct smb_conn *conn, size_t *size, uint32_t *charge);
/* Size of a part that others follow. */
size_t smb_compound_padded(size_t size);
/* What an answered part says of the parts behind it. */
void smb_compound_answered(struct smb_conn *conn, const struct smb_request *request);

/* --- smb_negotiate.c, smb_session.c --- */

void smb_negotiate_send(struct smb_conn *conn);
/* The dialects offered, ascending; returns their number (at most 4). */
size_t smb_offered_dialects(const struct smb_conn *conn, uint16_t dialects[4]);
/* Capabilities as sent in NEGOTIATE and repeated in the validation. */
uint32_t smb_offered_capabilities(const struct smb_conn *conn);
int smb_session_start(struct smb_conn *conn);

/* --- smb_ioctl.c, smb_file.c --- */

/* FSCTL_VALIDATE_NEGOTIATE_INFO in this tree. */
int smb_validate_send(struct smb_conn *conn, uint32_t tree);
void smb_put_file_id(struct buf *message, const struct smb_file *file);
/* The path as UTF-16LE; ERR_INVALID. */
int smb_put_path(struct buf *out, const char *path, struct err *err);
/* An answer without anything of interest but its StructureSize. */
int smb_answer_plain(struct smb_conn *conn, struct smb_request *request,
                     struct smb_message *message);

#endif
