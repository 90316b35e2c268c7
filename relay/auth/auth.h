/* Authentication mechanisms: tokens in, tokens out, then a session key.
 *
 * The SMB engine (SPNEGO) and the RPC bind (raw NTLM) build on this and know nothing of GSSAPI;
 * this room is the only includer of its headers. NTLMv2 is what both uses run today, and never as a
 * silent second choice: a use names its mechanism, and SPNEGO offers that one alone. Kerberos will
 * be one more row in the table of auth.c.
 *
 * A credential is made once per account (GSSAPI leaks a little with each) and shared by any number
 * of contexts; a context belongs to one logon on one connection. Nothing here blocks, opens a
 * socket or resolves a name, provided auth_setup ran. Randomness (the client challenge) and the
 * wall clock (NTLM's own check of the server's time) are used inside GSSAPI.
 *
 * No error text carries a user name, password or hash.
 */
#ifndef PUSHER_RELAY_AUTH_AUTH_H
#define PUSHER_RELAY_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define AUTH_KEY_SIZE 16          /* bytes of every session key handed out */
#define AUTH_NAME_SIZE 256        /* a name of the server, UTF-8 with the NUL */
#define AUTH_TOKEN_SIZE_MAX 65535 /* [MS-SMB2] 2.2.5 SecurityBufferLength is 16 bits */

enum auth_mechanism {
    AUTH_SPNEGO,   /* [MS-SPNG] around NTLM: SMB session set-up, RPC auth type 9 */
    AUTH_NTLM_RAW, /* [MS-NLMP] messages as they are: RPC auth type 10 */
};

/* What the server said of itself in the NTLM challenge ([MS-NLMP] 2.2.2.1 AV_PAIR). Not
 * authenticated before the context is done, and then only as good as the password is secret. */
struct auth_peer {
    bool known;                            /* a challenge with target information was seen */
    char netbios_computer[AUTH_NAME_SIZE]; /* MsvAvNbComputerName, "" if absent */
    char netbios_domain[AUTH_NAME_SIZE];   /* MsvAvNbDomainName */
    char dns_computer[AUTH_NAME_SIZE];     /* MsvAvDnsComputerName */
    char dns_domain[AUTH_NAME_SIZE];       /* MsvAvDnsDomainName */
    uint64_t timestamp;                    /* MsvAvTimestamp, FILETIME; 0 if absent */
};

struct auth_credential;
struct auth_context;

/* Call once in main before any thread starts: settles what gss-ntlmssp would otherwise ask the
 * environment or winbind for (own NetBIOS names, NTLMv2 only, no credential file, no trace file).
 */
void auth_setup(void);

/* Makes the credential for an account: "DOMAIN\user", "user@realm" (sent as it is, with an empty
 * domain), "user" or ".\user" (both an empty domain: the target looks in its own accounts first).
 * Only the NT hash of the password goes on to GSSAPI; neither is kept here.
 * Errors: ERR_INVALID account syntax or password not UTF-8, ERR_UNAVAILABLE no NTLM mechanism
 * installed, ERR_INTERNAL GSSAPI refuses. */
int auth_credential_new(const char *account, const char *password,
                        struct auth_credential **credential, struct err *err);
/* No context made from it may be in use any more. NULL is fine. */
void auth_credential_free(struct auth_credential *credential);

/* Starts a logon. `service` and `host` name the target ("cifs", "pc-1.example"); both are copied.
 * The credential is borrowed and must outlive the context.
 * Errors: ERR_INVALID host empty or with '@', ERR_INTERNAL. */
int auth_context_new(const struct auth_credential *credential, enum auth_mechanism mechanism,
                     const char *service, const char *host, struct auth_context **context,
                     struct err *err);
/* Wipes the keys. NULL is fine. */
void auth_context_free(struct auth_context *context);

/* One round: the peer's token in (NULL, 0 the first time), ours appended to `out` (possibly
 * nothing). With AUTH_SPNEGO the last token in carries the mechListMIC, which is checked here.
 * After a failure the context is only good for auth_context_free.
 * Errors: ERR_PROTOCOL broken token or one too many, ERR_DENIED the peer rejects, or its MIC is
 * wrong, ERR_TIMEOUT the clocks are more than 36 h apart, ERR_INTERNAL. */
int auth_context_step(struct auth_context *context, const uint8_t *token, size_t token_size,
                      struct buf *out, struct err *err);
/* Whether the exchange is complete on our side: no further token is expected from the peer. A raw
 * NTLM context is done as soon as its AUTHENTICATE message is out; whether the peer accepted it,
 * the protocol around it has to tell. */
bool auth_context_done(const struct auth_context *context);

/* The session key: NTLM's ExportedSessionKey; a longer key of another mechanism is cut to 16 bytes
 * ([MS-SMB2] 3.2.5.3.1). State: the AUTHENTICATE message is out (SPNEGO may not be done yet).
 * Errors: ERR_INTERNAL not yet, or no key of at least 16 bytes. */
int auth_context_session_key(const struct auth_context *context, uint8_t key[AUTH_KEY_SIZE],
                             struct err *err);
/* NegotiateFlags of our AUTHENTICATE message ([MS-NLMP] 2.2.2.5); 0 before it is out. */
uint32_t auth_context_ntlm_flags(const struct auth_context *context);
/* Names and time from the challenge; peer->known is false before it was seen. */
const struct auth_peer *auth_context_peer(const struct auth_context *context);

/* The [MS-NLMP] flags that matter to whoever seals by itself. */
#define AUTH_NTLM_SIGN 0x00000010U
#define AUTH_NTLM_SEAL 0x00000020U
#define AUTH_NTLM_EXTENDED_SESSIONSECURITY 0x00080000U
#define AUTH_NTLM_128 0x20000000U
#define AUTH_NTLM_KEY_EXCH 0x40000000U

#endif
