/* Shared by the files of this room only: GSSAPI handles and the NTLM message reader. */
#ifndef PUSHER_RELAY_AUTH_AUTH_INTERNAL_H
#define PUSHER_RELAY_AUTH_AUTH_INTERNAL_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#include "relay/auth/auth.h"

struct auth_credential {
    gss_cred_id_t spnego; /* acquired for SPNEGO, which may negotiate NTLM only */
    gss_cred_id_t ntlm;   /* acquired for NTLM itself */
};

/* Mechanism identifiers, DER without tag and length. */
extern const gss_OID_desc auth_oid_ntlm;   /* 1.3.6.1.4.1.311.2.2.10, [MS-NLMP] 1.9 */
extern const gss_OID_desc auth_oid_spnego; /* 1.3.6.1.5.5.2, RFC 4178 */

/* Fills err from a GSSAPI failure: `what`, the major status in words, the minor status as native.
 * The minor status' own text is left out, since it may name the account. Always -1. */
int auth_gss_error(struct err *err, const char *what, OM_uint32 major, OM_uint32 minor);

#define AUTH_NT_HASH_SIZE 16
/* MD4 over the UTF-16LE password ([MS-NLMP] 3.3.1 NTOWFv1), nothing normalised: what looks alike
 * and is composed otherwise is another password to Windows, too. Errors: ERR_INVALID not UTF-8, or
 * over 1,024 UTF-16 units. */
int auth_nt_hash(const char *password, uint8_t hash[AUTH_NT_HASH_SIZE], struct err *err);

/* Finds an NTLM CHALLENGE in a token (raw or inside SPNEGO) and fills *peer from its target
 * information; leaves *peer alone when there is none or it is malformed. */
void auth_peer_from_token(struct auth_peer *peer, const uint8_t *token, size_t token_size);
/* Whether GSSAPI may have a server's token. gss-ntlmssp 1.2.0 writes to address 0 when a challenge
 * has an empty name where its flags promise one, leaks names that come twice, and a key without
 * extended session security (which the scheduler's calls need anyway). So: one message at most, a
 * CHALLENGE, with that flag, its name there, its target information with an end and nothing twice.
 * Errors: ERR_PROTOCOL. */
int auth_token_check(const uint8_t *token, size_t token_size, struct err *err);
/* NegotiateFlags of the NTLM AUTHENTICATE message in a token; 0 when there is none. */
uint32_t auth_flags_from_token(const uint8_t *token, size_t token_size);

#endif
