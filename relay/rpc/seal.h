/* NTLM message confidentiality for RPC fragments: one object per bound connection and side.
 *
 * RC4 over stub and pad, HMAC-MD5 over the whole plaintext PDU, RC4 of the MAC with the same
 * running state, a sequence number per direction. Only the strongest form is spoken: extended
 * session security, 128-bit keys, key exchange; whoever negotiated less must not come here.
 *
 * Spec: [MS-NLMP] 3.4.3, 3.4.4.2, 3.4.5; [MS-RPCE] 3.3.1.5.2.2.
 */
#ifndef PUSHER_RELAY_RPC_SEAL_H
#define PUSHER_RELAY_RPC_SEAL_H

#include <nettle/arcfour.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE 16
#define SEAL_SIGNATURE_SIZE 16 /* version 4, MAC 8, sequence 4 */

/* What NegotiateFlags must have: SIGN, SEAL, EXTENDED_SESSIONSECURITY, 128, KEY_EXCH.
 * [MS-NLMP] 2.2.2.5 */
#define SEAL_FLAGS_REQUIRED (0x10U | 0x20U | 0x80000U | 0x20000000U | 0x40000000U)

struct seal_direction {
    uint8_t sign_key[SEAL_KEY_SIZE];
    struct arcfour_ctx rc4; /* runs on from fragment to fragment */
    uint32_t sequence;      /* of the next fragment */
};

struct seal {
    struct seal_direction send;
    struct seal_direction receive;
};

enum seal_side { SEAL_CLIENT, SEAL_SERVER };

/* Derives both directions from the exported session key. */
void seal_init(struct seal *seal, enum seal_side side, const uint8_t session_key[SEAL_KEY_SIZE]);
/* Overwrites the keys. */
void seal_wipe(struct seal *seal);

/* Seals pdu[at, at + size) in place and writes the signature. `pdu_size` counts everything that is
 * signed: header, stub, pad and the 8-byte sec_trailer, not the signature. */
void seal_fragment(struct seal *seal, uint8_t *pdu, size_t pdu_size, size_t at, size_t size,
                   uint8_t signature[SEAL_SIGNATURE_SIZE]);
/* Opens a fragment in place. False when version, MAC or sequence is not the peer's: the object and
 * the bytes are of no use then. */
bool seal_open_fragment(struct seal *seal, uint8_t *pdu, size_t pdu_size, size_t at, size_t size,
                        const uint8_t signature[SEAL_SIGNATURE_SIZE]);

#endif
