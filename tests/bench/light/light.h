/* The light target: answers a push as a Windows machine would, thousands of them in one process.
 *
 * A real smbd forks for every connection and costs more CPU than the client, so clients can't be
 * measured past it. This one speaks the exchange of the six stages and nothing else: SMB 3.1.1 with
 * encryption (AES-128-GCM) or signatures (AES-128-GMAC), NTLMv2 in SPNEGO and raw, checked against
 * one account, compound requests, and the Task Scheduler's pipe. Files are not kept, only counted.
 * For benchmarks: whatever a client sends that it does not know ends the connection. With a
 * `hostile` (hostile.h) it means ill.
 *
 * Bytes in, bytes out: light_conn_receive takes what a socket gave and appends to `out`; main.c
 * owns the sockets. Keys and ciphers are the relay's own (smb_crypto, seal): the other side of the
 * same arithmetic. The logon is independent of it: no GSSAPI here.
 */
#ifndef PUSHER_TESTS_BENCH_LIGHT_H
#define PUSHER_TESTS_BENCH_LIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"
#include "relay/rpc/seal.h"
#include "relay/smb/smb_crypto.h"
#include "tests/bench/light/hostile.h"

#define LIGHT_KEY_SIZE 16U
#define LIGHT_NAME_SIZE 64U
#define LIGHT_SESSION_ID 0x100000000019U

/* What all targets together did. */
struct light_counts {
    uint64_t connections;
    uint64_t logons;  /* of SMB and of the pipe */
    uint64_t refused; /* logons with a wrong account or proof */
    uint64_t broken;  /* connections ended because of what the client sent */
    uint64_t files;   /* renamed to their final name */
    uint64_t bytes;   /* of them */
    uint64_t tasks;   /* registered */
};

/* The same for all connections of the process. */
struct light_site {
    uint8_t nt_hash[LIGHT_KEY_SIZE]; /* [MS-NLMP] 3.3.1 NTOWFv1 of the one account */
    bool encrypts;                   /* offers AES-128-GCM; else signatures only */
    bool folder_exists;              /* \Pusher: as in every push but the first */
    struct light_counts counts;
};

/* One NTLM logon, from CHALLENGE to AUTHENTICATE. */
struct light_logon {
    struct hostile *hostile; /* borrowed; may be NULL; so everywhere here */
    uint32_t place;          /* of the challenge, for it */
    uint8_t challenge[8];
    struct buf negotiate; /* both messages as they were, for the integrity code */
    struct buf challenge_message;
};

void light_logon_init(struct light_logon *logon);
void light_logon_release(struct light_logon *logon);
/* NEGOTIATE in `token` (raw or in SPNEGO) -> CHALLENGE in `out`, raw. -1: there is none. */
int light_logon_challenge(struct light_logon *logon, const char *computer, const uint8_t *token,
                          size_t token_size, struct buf *out);
/* AUTHENTICATE in `token` -> the exported session key; -1: refused. */
int light_logon_authenticate(struct light_logon *logon, struct light_site *site,
                             const uint8_t *token, size_t token_size, uint8_t key[LIGHT_KEY_SIZE]);
/* NegTokenResp: accept-incomplete with a token; accept-completed with the mechListMIC of `key`. */
void light_spnego_wrap(struct buf *out, const uint8_t *token, size_t token_size);
void light_spnego_complete(struct buf *out, const uint8_t key[LIGHT_KEY_SIZE]);

/* The Task Scheduler behind one open pipe. */
struct light_pipe {
    struct light_site *site; /* borrowed */
    const char *computer;    /* borrowed */
    struct hostile *hostile; /* borrowed */
    struct light_logon logon;
    struct seal seal;
    bool bound;         /* keys are there */
    uint32_t endless;   /* call_id of an answer that has no last fragment; 0: none */
    struct buf request; /* stub, as far as its fragments are here */
    struct buf answer;  /* PDU to be read by the client */
};

void light_pipe_init(struct light_pipe *pipe, struct light_site *site, const char *computer,
                     struct hostile *hostile);
void light_pipe_release(struct light_pipe *pipe);
/* The next fragment of an endless answer, if there is one. */
void light_pipe_more(struct light_pipe *pipe);
/* One PDU written to the pipe; changes the bytes. -1: none that a Task Scheduler would take. */
int light_pipe_write(struct light_pipe *pipe, uint8_t *bytes, size_t size);

struct light_conn {
    struct light_site *site;        /* borrowed */
    char computer[LIGHT_NAME_SIZE]; /* as the target calls itself */
    struct hostile *hostile;        /* owned */
    struct cursor content;          /* of the file opened last, if it is hostile */
    struct buf in;                  /* received, not a whole frame yet */
    struct buf out;                 /* to be sent; the caller consumes it */
    struct buf reply;               /* answers to one frame, in plain */
    uint8_t preauth[SMB_PREAUTH_SIZE];
    struct smb_crypto *crypto; /* NULL until logged on */
    bool encrypts;             /* negotiated */
    struct light_logon logon;
    struct light_pipe pipe;
    bool pipe_open;
    uint64_t file_last;    /* number of the file opened last, its kind in the low bits */
    uint64_t file_related; /* what a related request of the same frame means */
    uint32_t tree_related; /* the same for trees */
    uint64_t file_bytes;   /* written to it */
    uint32_t status; /* of what gave related requests their file or tree; they share a failure */
};

/* Takes `hostile` over. */
void light_conn_init(struct light_conn *conn, struct light_site *site, const char *computer,
                     struct hostile *hostile);
void light_conn_release(struct light_conn *conn);
/* -1: the client is told nothing more. */
int light_conn_receive(struct light_conn *conn, const uint8_t *bytes, size_t size);
/* Signs or seals what is in `reply` and appends it to `out`, as one frame. `command`: of its last
 * message. -1: too much waits. */
int light_conn_send(struct light_conn *conn, bool sealed, uint16_t command);
/* One more frame of a flood. */
void light_conn_flood(struct light_conn *conn);

#endif
