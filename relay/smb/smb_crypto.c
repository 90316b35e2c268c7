/* Keys, signatures and encryption of one SMB session.
 *
 * nettle signs (its GMAC is five times as fast as a CMAC) and hashes, where OpenSSL would look its
 * algorithms up anew each time; OpenSSL encrypts. Every message has a nonce of its own: a counter,
 * which is enough since the keys live for one session.
 */
#include "relay/smb/smb_crypto.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/cmac.h>
#include <nettle/gcm.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/cursor.h"
#include "common/base/mem.h"

/* Offsets in the header, [MS-SMB2] 2.2.1.2, and in the transform header, 2.2.41. */
#define HEADER_COMMAND_OFFSET 12U
#define HEADER_FLAGS_OFFSET 16U
#define HEADER_MESSAGE_ID_OFFSET 24U
#define TRANSFORM_SIGNATURE_OFFSET 4U
#define TRANSFORM_NONCE_OFFSET 20U
#define TRANSFORM_AAD_SIZE (SMB_TRANSFORM_SIZE - TRANSFORM_NONCE_OFFSET)

#define GCM_NONCE_SIZE 12U /* 2.2.41 Nonce: AES128GCM_Nonce, AES256GCM_Nonce */
#define CCM_NONCE_SIZE 11U /* AES128CCM_Nonce, AES256CCM_Nonce */

#define COMMAND_CANCEL 12U
#define FLAG_RESPONSE 0x1U
#define DIALECT_3_0 0x0300U
#define DIALECT_3_1_1 0x0311U

struct smb_crypto {
    enum smb_signing signing;
    enum smb_cipher cipher;
    union {
        struct gcm_aes128_ctx gmac;
        struct cmac_aes128_ctx cmac;
        struct hmac_sha256_ctx hmac;
    } mac;
    EVP_CIPHER_CTX *seal; /* NULL without a cipher */
    EVP_CIPHER_CTX *open;
    uint64_t nonce; /* of the next message sealed */
};

static bool is_ccm(enum smb_cipher cipher)
{
    return cipher == SMB_CIPHER_AES_128_CCM || cipher == SMB_CIPHER_AES_256_CCM;
}

static size_t cipher_key_size(enum smb_cipher cipher)
{
    return cipher == SMB_CIPHER_AES_256_CCM || cipher == SMB_CIPHER_AES_256_GCM ? SMB_KEY_SIZE_MAX
                                                                                : SMB_KEY_SIZE;
}

/* OpenSSL's names; NULL: no cipher. */
static const char *cipher_name(enum smb_cipher cipher)
{
    switch (cipher) {
    case SMB_CIPHER_AES_128_CCM:
        return "AES-128-CCM";
    case SMB_CIPHER_AES_128_GCM:
        return "AES-128-GCM";
    case SMB_CIPHER_AES_256_CCM:
        return "AES-256-CCM";
    case SMB_CIPHER_AES_256_GCM:
        return "AES-256-GCM";
    case SMB_CIPHER_NONE:
        break;
    }
    return NULL;
}

void smb_kdf(const uint8_t key[SMB_KEY_SIZE], const char *label, size_t label_size,
             const uint8_t *context, size_t context_size, uint8_t *out, size_t out_size)
{
    static const uint8_t counter[4] = {0, 0, 0, 1};
    static const uint8_t separator[1] = {0};
    const uint8_t bits[4] = {0, 0, (uint8_t)(out_size * 8 >> 8), (uint8_t)(out_size * 8)};
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, SMB_KEY_SIZE, key);
    hmac_sha256_update(&hmac, sizeof counter, counter);
    hmac_sha256_update(&hmac, label_size, (const uint8_t *)label);
    hmac_sha256_update(&hmac, sizeof separator, separator);
    hmac_sha256_update(&hmac, context_size, context);
    hmac_sha256_update(&hmac, sizeof bits, bits);
    hmac_sha256_digest(&hmac, out_size, out); /* one block is enough for both sizes */
    explicit_bzero(&hmac, sizeof hmac);
}

/* What a session key turns into. */
struct keys {
    uint8_t signing[SMB_KEY_SIZE];
    uint8_t to_server[SMB_KEY_SIZE_MAX];
    uint8_t to_client[SMB_KEY_SIZE_MAX];
};

/* Labels and contexts of 3.1.4.2 and 3.2.5.3.1; the 3.0 contexts are text ("ServerIn " with its
 * space), the 3.1.1 context is the pre-authentication hash. */
static void derive(uint16_t dialect, enum smb_cipher cipher,
                   const uint8_t session_key[SMB_KEY_SIZE], const uint8_t preauth[SMB_PREAUTH_SIZE],
                   struct keys *keys)
{
    size_t size = cipher_key_size(cipher);
    memset(keys, 0, sizeof *keys);
#define TEXT(text) (const uint8_t *)(text), sizeof(text)
#define LABEL(text) (text), sizeof(text)
#define HASH preauth, SMB_PREAUTH_SIZE
    if (dialect >= DIALECT_3_1_1) {
        smb_kdf(session_key, LABEL("SMBSigningKey"), HASH, keys->signing, SMB_KEY_SIZE);
        smb_kdf(session_key, LABEL("SMBC2SCipherKey"), HASH, keys->to_server, size);
        smb_kdf(session_key, LABEL("SMBS2CCipherKey"), HASH, keys->to_client, size);
    } else if (dialect >= DIALECT_3_0) {
        smb_kdf(session_key, LABEL("SMB2AESCMAC"), TEXT("SmbSign"), keys->signing, SMB_KEY_SIZE);
        smb_kdf(session_key, LABEL("SMB2AESCCM"), TEXT("ServerIn "), keys->to_server, size);
        smb_kdf(session_key, LABEL("SMB2AESCCM"), TEXT("ServerOut"), keys->to_client, size);
    } else {
        memcpy(keys->signing, session_key, SMB_KEY_SIZE);
    }
#undef LABEL
#undef TEXT
#undef HASH
}

static EVP_CIPHER_CTX *cipher_new(const EVP_CIPHER *algorithm, enum smb_cipher cipher,
                                  const uint8_t *key, bool sealing)
{
    int nonce_size = is_ccm(cipher) ? CCM_NONCE_SIZE : GCM_NONCE_SIZE;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    /* Nothing here can fail but by exhaustion: the algorithms are OpenSSL's defaults. */
    if (ctx == NULL || EVP_CipherInit_ex(ctx, algorithm, NULL, NULL, NULL, sealing) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, nonce_size, NULL) != 1 ||
        (is_ccm(cipher) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SMB_SIGNATURE_SIZE, NULL) != 1) ||
        EVP_CipherInit_ex(ctx, NULL, NULL, key, NULL, sealing) != 1)
        mem_exhausted();
    return ctx;
}

/* Both directions; the algorithm is looked up once. */
static void ciphers_new(struct smb_crypto *crypto, const struct keys *keys, bool server_side)
{
    if (crypto->cipher == SMB_CIPHER_NONE)
        return;
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, cipher_name(crypto->cipher), NULL);
    if (algorithm == NULL)
        mem_exhausted();
    crypto->seal = cipher_new(algorithm, crypto->cipher,
                              server_side ? keys->to_client : keys->to_server, true);
    crypto->open = cipher_new(algorithm, crypto->cipher,
                              server_side ? keys->to_server : keys->to_client, false);
    EVP_CIPHER_free(algorithm);
}

struct smb_crypto *smb_crypto_new(uint16_t dialect, enum smb_signing signing,
                                  enum smb_cipher cipher, const uint8_t session_key[SMB_KEY_SIZE],
                                  const uint8_t preauth[SMB_PREAUTH_SIZE], bool server_side)
{
    struct smb_crypto *crypto = mem_new(1, sizeof *crypto);
    struct keys keys;
    derive(dialect, cipher, session_key, preauth, &keys);
    crypto->signing = signing;
    crypto->cipher = cipher;
    switch (signing) {
    case SMB_SIGNING_HMAC_SHA256:
        hmac_sha256_set_key(&crypto->mac.hmac, SMB_KEY_SIZE, keys.signing);
        break;
    case SMB_SIGNING_AES_CMAC:
        cmac_aes128_set_key(&crypto->mac.cmac, keys.signing);
        break;
    case SMB_SIGNING_AES_GMAC:
        gcm_aes128_set_key(&crypto->mac.gmac, keys.signing);
        break;
    }
    ciphers_new(crypto, &keys, server_side);
    explicit_bzero(&keys, sizeof keys);
    return crypto;
}

void smb_crypto_free(struct smb_crypto *crypto)
{
    if (crypto == NULL)
        return;
    EVP_CIPHER_CTX_free(crypto->seal);
    EVP_CIPHER_CTX_free(crypto->open);
    explicit_bzero(crypto, sizeof *crypto);
    free(crypto);
}

/* 3.1.4.1: nonce of a GMAC signature: MessageId, then who sent it and whether it is a CANCEL. */
static void gmac_nonce(const uint8_t *message, uint8_t nonce[GCM_NONCE_SIZE])
{
    memset(nonce, 0, GCM_NONCE_SIZE);
    memcpy(nonce, message + HEADER_MESSAGE_ID_OFFSET, 8);
    if ((message[HEADER_FLAGS_OFFSET] & FLAG_RESPONSE) != 0)
        nonce[8] |= 1;
    if (message[HEADER_COMMAND_OFFSET] == COMMAND_CANCEL && message[HEADER_COMMAND_OFFSET + 1] == 0)
        nonce[8] |= 2;
}

/* GCM takes associated data in whole blocks but for the last piece: the header with its signature
 * zeroed is 64 bytes, then comes the rest. */
static void gmac_sign(struct gcm_aes128_ctx *gmac, const uint8_t *message, const uint8_t *header,
                      size_t header_size, size_t size, uint8_t signature[SMB_SIGNATURE_SIZE])
{
    uint8_t nonce[GCM_NONCE_SIZE];
    gmac_nonce(message, nonce);
    gcm_aes128_set_iv(gmac, sizeof nonce, nonce);
    gcm_aes128_update(gmac, header_size, header);
    gcm_aes128_update(gmac, size - header_size, message + header_size);
    gcm_aes128_digest(gmac, SMB_SIGNATURE_SIZE, signature);
}

void smb_sign(struct smb_crypto *crypto, const uint8_t *message, size_t size,
              uint8_t signature[SMB_SIGNATURE_SIZE])
{
    uint8_t header[SMB_SIGNATURE_OFFSET + SMB_SIGNATURE_SIZE];
    memcpy(header, message, sizeof header);
    memset(header + SMB_SIGNATURE_OFFSET, 0, SMB_SIGNATURE_SIZE);
    const uint8_t *rest = message + sizeof header;
    size_t rest_size = size - sizeof header;
    switch (crypto->signing) {
    case SMB_SIGNING_HMAC_SHA256:
        hmac_sha256_update(&crypto->mac.hmac, sizeof header, header);
        hmac_sha256_update(&crypto->mac.hmac, rest_size, rest);
        hmac_sha256_digest(&crypto->mac.hmac, SMB_SIGNATURE_SIZE, signature);
        break;
    case SMB_SIGNING_AES_CMAC:
        cmac_aes128_update(&crypto->mac.cmac, sizeof header, header);
        cmac_aes128_update(&crypto->mac.cmac, rest_size, rest);
        cmac_aes128_digest(&crypto->mac.cmac, SMB_SIGNATURE_SIZE, signature);
        break;
    case SMB_SIGNING_AES_GMAC:
        gmac_sign(&crypto->mac.gmac, message, header, sizeof header, size, signature);
        break;
    }
}

bool smb_sign_check(struct smb_crypto *crypto, const uint8_t *message, size_t size)
{
    uint8_t signature[SMB_SIGNATURE_SIZE];
    smb_sign(crypto, message, size, signature);
    return CRYPTO_memcmp(signature, message + SMB_SIGNATURE_OFFSET, sizeof signature) == 0;
}

static void put_le(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

/* Starts a message: nonce, for CCM the length, then the associated data. */
static bool cipher_begin(struct smb_crypto *crypto, EVP_CIPHER_CTX *ctx, const uint8_t *transform,
                         int size)
{
    int ignored = 0;
    const uint8_t *nonce = transform + TRANSFORM_NONCE_OFFSET;
    if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) != 1)
        return false;
    if (is_ccm(crypto->cipher) && EVP_CipherUpdate(ctx, NULL, &ignored, NULL, size) != 1)
        return false;
    return EVP_CipherUpdate(ctx, NULL, &ignored, nonce, TRANSFORM_AAD_SIZE) == 1;
}

/* Encrypts head || body to `out`. CCM in OpenSSL wants a message in one piece, so there it is put
 * together first and encrypted in place. */
static bool cipher_seal(struct smb_crypto *crypto, const uint8_t *head, int head_size,
                        const uint8_t *body, int body_size, uint8_t *out)
{
    int done = 0;
    if (is_ccm(crypto->cipher)) {
        if (head != out)
            memcpy(out, head, (size_t)head_size);
        if (body_size > 0 && body != out + head_size)
            memcpy(out + head_size, body, (size_t)body_size);
        return EVP_CipherUpdate(crypto->seal, out, &done, out, head_size + body_size) == 1;
    }
    if (EVP_CipherUpdate(crypto->seal, out, &done, head, head_size) != 1)
        return false;
    return body_size == 0 ||
           EVP_CipherUpdate(crypto->seal, out + head_size, &done, body, body_size) == 1;
}

bool smb_seal(struct smb_crypto *crypto, uint64_t session_id, const uint8_t *head, size_t head_size,
              const uint8_t *body, size_t body_size, uint8_t *out)
{
    static const uint8_t protocol_id[4] = {0xfd, 'S', 'M', 'B'};
    uint8_t *transform = out;
    uint8_t *sealed = out + SMB_TRANSFORM_SIZE;
    size_t size = head_size + body_size;
    if (size > INT32_MAX)
        return false;
    memset(transform, 0, SMB_TRANSFORM_SIZE);
    memcpy(transform, protocol_id, sizeof protocol_id);           /* ProtocolId */
    put_le(transform + TRANSFORM_NONCE_OFFSET, crypto->nonce, 8); /* Nonce */
    crypto->nonce++;
    put_le(transform + 36, size, 4);       /* OriginalMessageSize */
    put_le(transform + 42, 1, 2);          /* Flags: encrypted */
    put_le(transform + 44, session_id, 8); /* SessionId */
    int done = 0;
    return cipher_begin(crypto, crypto->seal, transform, (int)size) &&
           cipher_seal(crypto, head, (int)head_size, body, (int)body_size, sealed) &&
           EVP_CipherFinal_ex(crypto->seal, sealed + size, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(crypto->seal, EVP_CTRL_AEAD_GET_TAG, SMB_SIGNATURE_SIZE,
                               transform + TRANSFORM_SIGNATURE_OFFSET) == 1;
}

bool smb_open_sealed(struct smb_crypto *crypto, uint64_t session_id, uint8_t *frame, size_t size)
{
    if (crypto->open == NULL || size <= SMB_TRANSFORM_SIZE || size > INT32_MAX)
        return false;
    struct cursor c = cursor_of(frame, SMB_TRANSFORM_SIZE);
    cursor_seek(&c, 36);
    uint32_t original_size = cursor_u32le(&c);
    cursor_skip(&c, 2);
    uint16_t flags = cursor_u16le(&c);
    if (cursor_u64le(&c) != session_id || flags != 1 || original_size != size - SMB_TRANSFORM_SIZE)
        return false;
    uint8_t *sealed = frame + SMB_TRANSFORM_SIZE;
    int done = 0;
    if (EVP_CIPHER_CTX_ctrl(crypto->open, EVP_CTRL_AEAD_SET_TAG, SMB_SIGNATURE_SIZE,
                            frame + TRANSFORM_SIGNATURE_OFFSET) != 1 ||
        !cipher_begin(crypto, crypto->open, frame, (int)original_size) ||
        EVP_CipherUpdate(crypto->open, sealed, &done, sealed, (int)original_size) != 1)
        return false; /* CCM says so already here when the tag is wrong */
    return is_ccm(crypto->cipher) || EVP_CipherFinal_ex(crypto->open, sealed + done, &done) == 1;
}

void smb_preauth_hash(uint8_t chain[SMB_PREAUTH_SIZE], const uint8_t *message, size_t size)
{
    struct sha512_ctx hash;
    sha512_init(&hash);
    sha512_update(&hash, SMB_PREAUTH_SIZE, chain);
    sha512_update(&hash, size, message);
    sha512_digest(&hash, SMB_PREAUTH_SIZE, chain);
}
