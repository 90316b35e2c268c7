/* Connection-oriented DCE/RPC client over a named pipe, bytes in and bytes out.
 *
 * One client speaks one interface (NDR32) on one open pipe, at RPC_C_AUTHN_LEVEL_PKT_PRIVACY with
 * raw NTLM (auth type 10): bind, bind_ack, auth3, then requests, one at a time. The owner of the
 * pipe asks rpc_client_next() what to do, does exactly that, and tells rpc_client_done() what came
 * back. The next action exists only after the former is done: actions are never overlapped.
 *
 *     rpc_client_next   -> RPC_IO_WRITE       SMB2 WRITE of `bytes`; done(NULL, 0)
 *                       -> RPC_IO_TRANSCEIVE  FSCTL_PIPE_TRANSCEIVE; done(what came back)
 *                       -> RPC_IO_READ        SMB2 READ of up to `read_max`; done(what came back)
 *                       -> RPC_IO_NONE        idle: ready for a call, answered, or failed
 *
 * STATUS_BUFFER_OVERFLOW on TRANSCEIVE and READ is a success with more to come: hand the bytes
 * over, the client asks for the rest by itself. What comes back may be a piece of a PDU or several.
 *
 * A server's wrong MAC, sequence, call id, context, type or length is fatal (ERR_PROTOCOL, or
 * ERR_DENIED for a MAC): the client is in RPC_FAILED from then on. A fault is an answer, not a
 * failure. A refused logon shows only as fault 5 on the first call. The client knows no clock,
 * socket or pipe.
 *
 * Spec: [C706] 12.6, [MS-RPCE] 2.2.2, 3.3.1.5.
 */
#ifndef PUSHER_RELAY_RPC_RPC_H
#define PUSHER_RELAY_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct rpc_client;

#define RPC_SESSION_KEY_SIZE 16
#define RPC_FRAG_SIZE 4280                /* what we offer in bind; [MS-RPCE] servers' own figure */
#define RPC_REQUEST_SIZE_MAX (512U << 10) /* stub bytes of one request */
#define RPC_RESPONSE_SIZE_MAX (512U << 10) /* stub bytes of one response */

/* The NTLM exchange, seen from here. The functions are called from rpc_client_new and
 * rpc_client_done only. */
struct rpc_auth {
    void *context; /* borrowed; handed to both functions */
    /* One turn: takes the server's token (NULL and 0 at first), appends ours to `token_out`. Called
     * twice: NEGOTIATE, then CHALLENGE -> AUTHENTICATE. Returns 0 or -1. */
    int (*step)(void *context, const uint8_t *token, size_t token_size, struct buf *token_out,
                struct err *err);
    /* After the second turn: the exported session key and the NegotiateFlags of our AUTHENTICATE
     * message ([MS-NLMP] 3.1.5.1.2, 2.2.2.5). Returns 0 or -1. */
    int (*session_key)(void *context, uint8_t key[RPC_SESSION_KEY_SIZE], uint32_t *flags,
                       struct err *err);
};

/* An interface as bind names it. */
struct rpc_interface {
    uint8_t uuid[16]; /* as on the wire: the first three fields little-endian */
    uint16_t version_major;
    uint16_t version_minor;
};

enum rpc_io { RPC_IO_NONE, RPC_IO_WRITE, RPC_IO_TRANSCEIVE, RPC_IO_READ };

struct rpc_action {
    enum rpc_io io;
    const uint8_t *bytes; /* to write (WRITE, TRANSCEIVE); valid until rpc_client_done */
    size_t size;          /* of them */
    size_t read_max;      /* most bytes to ask for (TRANSCEIVE, READ) */
};

enum rpc_state {
    RPC_BINDING,  /* bind, bind_ack, auth3 under way */
    RPC_READY,    /* rpc_client_call may be called */
    RPC_CALLING,  /* a request is out */
    RPC_ANSWERED, /* rpc_client_answer has it; rpc_client_call may be called */
    RPC_FAILED,   /* nothing more is possible on this pipe */
};

/* What a call came to. */
struct rpc_answer {
    bool fault;           /* true: `status` counts, there is no stub */
    uint32_t status;      /* [C706] appendix E, [MS-RPCE] 2.2.2; 5 = access denied */
    bool did_not_execute; /* the server swears that the call had no effect (PFC_DID_NOT_EXECUTE) */
    const uint8_t *stub;  /* response arguments, NDR32; borrowed until the next call */
    size_t stub_size;
};

/* Makes a client and its bind. `auth` is copied, its context borrowed until RPC_READY.
 * Errors: whatever auth's first step says. */
int rpc_client_new(const struct rpc_interface *interface, const struct rpc_auth *auth,
                   struct rpc_client **client, struct err *err);
/* Wipes the keys. NULL is fine. */
void rpc_client_free(struct rpc_client *client);

/* What to do on the pipe now. */
void rpc_client_next(const struct rpc_client *client, struct rpc_action *action);
/* The action was carried out; `received` is what TRANSCEIVE or READ gave (NULL and 0 after WRITE).
 * Errors: ERR_PROTOCOL (bytes that make no sense), ERR_DENIED (bind_nak or a MAC that is not the
 * server's; a mechanism weaker than asked for), ERR_LIMIT (answer too long), whatever auth says.
 * The client is in RPC_FAILED after any of them. err's native is the bind_nak reason. */
int rpc_client_done(struct rpc_client *client, const uint8_t *received, size_t size,
                    struct err *err);

/* Starts a call; the state must be RPC_READY or RPC_ANSWERED. Copies the stub.
 * Errors: ERR_LIMIT (stub over RPC_REQUEST_SIZE_MAX). */
int rpc_client_call(struct rpc_client *client, uint16_t opnum, const uint8_t *stub,
                    size_t stub_size, struct err *err);
enum rpc_state rpc_client_state(const struct rpc_client *client);
/* The answer of the last call; the state must be RPC_ANSWERED. */
void rpc_client_answer(const struct rpc_client *client, struct rpc_answer *answer);

/* "nca_s_op_rng_error" and the like; "rpc fault" for a status not in the table. Static text. */
const char *rpc_fault_name(uint32_t status);

#endif
