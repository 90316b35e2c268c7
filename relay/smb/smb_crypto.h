/* Keys, signatures and encryption of one SMB session ([MS-SMB2] 3.1.4). Pure computation. */
#ifndef PUSHER_RELAY_SMB_SMB_CRYPTO_H
#define PUSHER_RELAY_SMB_SMB_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMB_KEY_SIZE 16U         /* session and signing keys, keys of AES-128 */
#define SMB_KEY_SIZE_MAX 32U     /* keys of AES-256 */
#define SMB_PREAUTH_SIZE 64U     /* SHA-512 */
#define SMB_SIGNATURE_SIZE 16U   /* 2.2.1.2 Signature */
#define SMB_SIGNATURE_OFFSET 48U /* of it in the header */
#define SMB_TRANSFORM_SIZE 52U   /* 2.2.41 SMB2 TRANSFORM_HEADER */

/* 2.2.3.1.7 SigningAlgorithms */
enum smb_signing {
    SMB_SIGNING_HMAC_SHA256 = 0,
    SMB_SIGNING_AES_CMAC = 1,
    SMB_SIGNING_AES_GMAC = 2,
};

/* 2.2.3.1.2 Ciphers */
enum smb_cipher {
    SMB_CIPHER_NONE = 0,
    SMB_CIPHER_AES_128_CCM = 1,
    SMB_CIPHER_AES_128_GCM = 2,
    SMB_CIPHER_AES_256_CCM = 3,
    SMB_CIPHER_AES_256_GCM = 4,
};
#define SMB_CIPHER_COUNT 5

struct smb_crypto;

/* SP800-108 in counter mode with HMAC-SHA256 (3.1.4.2), out_size 16 or 32 bytes out. label and
 * context_size count what is hashed, NULs included. */
void smb_kdf(const uint8_t key[SMB_KEY_SIZE], const char *label, size_t label_size,
             const uint8_t *context, size_t context_size, uint8_t *out, size_t out_size);

/* Derives all keys of a session. `preauth` matters for 3.1.1 only. The keys of AES-256 come from
 * Session.FullSessionKey (3.1.4.2), which NTLM's 16 bytes are all of. `server_side` swaps the
 * directions, for tests that play the server. Never NULL. */
struct smb_crypto *smb_crypto_new(uint16_t dialect, enum smb_signing signing,
                                  enum smb_cipher cipher, const uint8_t session_key[SMB_KEY_SIZE],
                                  const uint8_t preauth[SMB_PREAUTH_SIZE], bool server_side);
/* Wipes the keys. NULL is fine. */
void smb_crypto_free(struct smb_crypto *crypto);

/* Signature of a message whose header has SIGNED set; its signature field counts as zero. `size` is
 * at least a header's. */
void smb_sign(struct smb_crypto *crypto, const uint8_t *message, size_t size,
              uint8_t signature[SMB_SIGNATURE_SIZE]);
/* Constant-time comparison with the message's own signature. */
bool smb_sign_check(struct smb_crypto *crypto, const uint8_t *message, size_t size);

/* Writes a transform header and the encryption of head || body to `out`, which has room for
 * SMB_TRANSFORM_SIZE + head_size + body_size bytes. head || body may lie where its encryption goes;
 * else neither overlaps `out`. False: OpenSSL failed. */
bool smb_seal(struct smb_crypto *crypto, uint64_t session_id, const uint8_t *head, size_t head_size,
              const uint8_t *body, size_t body_size, uint8_t *out);
/* Decrypts in place what follows the transform header at `frame`; false when the tag is wrong or
 * the header does not fit `size` and `session_id`. The message is then at frame +
 * SMB_TRANSFORM_SIZE. */
bool smb_open_sealed(struct smb_crypto *crypto, uint64_t session_id, uint8_t *frame, size_t size);

/* SHA-512 of chain || message, back into chain (3.1.4.4.1). */
void smb_preauth_hash(uint8_t chain[SMB_PREAUTH_SIZE], const uint8_t *message, size_t size);

#endif
