/* Sealing of RPC fragments with NTLM keys. */
#include "relay/rpc/seal.h"

#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <string.h>

#define MAC_SIZE 8                 /* [MS-NLMP] 2.2.2.9.2 Checksum */
#define SIGNATURE_VERSION 1        /* [MS-NLMP] 2.2.2.9.2 Version */
#define MAC_AT 4                   /* offset of Checksum in the signature */
#define SEQUENCE_AT (4 + MAC_SIZE) /* offset of SeqNum */

/* [MS-NLMP] 3.4.5.2 and 3.4.5.3; the NUL belongs to the hashed bytes. */
static const char client_sign[] = "session key to client-to-server signing key magic constant";
static const char server_sign[] = "session key to server-to-client signing key magic constant";
static const char client_seal[] = "session key to client-to-server sealing key magic constant";
static const char server_seal[] = "session key to server-to-client sealing key magic constant";

static void put_u32le(uint8_t *to, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void derive(uint8_t key[SEAL_KEY_SIZE], const uint8_t session_key[SEAL_KEY_SIZE],
                   const char *magic, size_t magic_size)
{
    struct md5_ctx md5;
    md5_init(&md5);
    md5_update(&md5, SEAL_KEY_SIZE, session_key);
    md5_update(&md5, magic_size, (const uint8_t *)magic);
    md5_digest(&md5, SEAL_KEY_SIZE, key);
    explicit_bzero(&md5, sizeof md5);
}

static void direction_init(struct seal_direction *direction, const uint8_t session_key[],
                           const char *sign_magic, const char *seal_magic)
{
    uint8_t rc4_key[SEAL_KEY_SIZE];
    derive(direction->sign_key, session_key, sign_magic, sizeof client_sign);
    derive(rc4_key, session_key, seal_magic, sizeof client_seal);
    arcfour_set_key(&direction->rc4, sizeof rc4_key, rc4_key);
    explicit_bzero(rc4_key, sizeof rc4_key);
    direction->sequence = 0;
}

void seal_init(struct seal *seal, enum seal_side side, const uint8_t session_key[SEAL_KEY_SIZE])
{
    _Static_assert(sizeof client_sign == sizeof server_sign, "same length in both directions");
    _Static_assert(sizeof client_seal == sizeof server_seal, "same length in both directions");
    bool client = side == SEAL_CLIENT;
    direction_init(client ? &seal->send : &seal->receive, session_key, client_sign, client_seal);
    direction_init(client ? &seal->receive : &seal->send, session_key, server_sign, server_seal);
}

void seal_wipe(struct seal *seal)
{
    explicit_bzero(seal, sizeof *seal);
}

/* HMAC-MD5 over sequence and plaintext, cut to 8 bytes. */
static void mac_of(const struct seal_direction *direction, const uint8_t *pdu, size_t pdu_size,
                   uint8_t mac[MAC_SIZE])
{
    uint8_t sequence[4];
    put_u32le(sequence, direction->sequence);
    struct hmac_md5_ctx hmac;
    hmac_md5_set_key(&hmac, SEAL_KEY_SIZE, direction->sign_key);
    hmac_md5_update(&hmac, sizeof sequence, sequence);
    hmac_md5_update(&hmac, pdu_size, pdu);
    hmac_md5_digest(&hmac, MAC_SIZE, mac);
    explicit_bzero(&hmac, sizeof hmac);
}

/* MAC -> the 16 bytes on the wire; moves the sequence on. */
static void sign(struct seal_direction *direction, const uint8_t mac[MAC_SIZE],
                 uint8_t signature[SEAL_SIGNATURE_SIZE])
{
    put_u32le(signature, SIGNATURE_VERSION);
    arcfour_crypt(&direction->rc4, MAC_SIZE, signature + MAC_AT, mac);
    put_u32le(signature + SEQUENCE_AT, direction->sequence);
    direction->sequence++;
}

void seal_fragment(struct seal *seal, uint8_t *pdu, size_t pdu_size, size_t at, size_t size,
                   uint8_t signature[SEAL_SIGNATURE_SIZE])
{
    uint8_t mac[MAC_SIZE];
    mac_of(&seal->send, pdu, pdu_size, mac);
    arcfour_crypt(&seal->send.rc4, size, pdu + at, pdu + at);
    sign(&seal->send, mac, signature);
}

bool seal_open_fragment(struct seal *seal, uint8_t *pdu, size_t pdu_size, size_t at, size_t size,
                        const uint8_t signature[SEAL_SIGNATURE_SIZE])
{
    uint8_t mac[MAC_SIZE];
    uint8_t expected[SEAL_SIGNATURE_SIZE];
    arcfour_crypt(&seal->receive.rc4, size, pdu + at, pdu + at);
    mac_of(&seal->receive, pdu, pdu_size, mac);
    sign(&seal->receive, mac, expected);
    return memeql_sec(expected, signature, sizeof expected) != 0;
}
