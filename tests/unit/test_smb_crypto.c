/* SMB keys, signatures and encryption against Microsoft's published examples ("The anatomy of
 * signing and cryptographic keys", "Encryption in SMB 3.0", "SMB 3.1.1 encryption in Windows 10";
 * messages captured between Windows machines), and what has to be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "common/base/hex.h"
#include "relay/smb/smb.h"
#include "relay/smb/smb_crypto.h"

#define BYTES_MAX 1024

/* Bytes of a hexadecimal literal. */
struct bytes {
    uint8_t data[BYTES_MAX];
    size_t size;
};

static struct bytes from_hex(const char *text)
{
    struct bytes b = {.size = strlen(text) / 2};
    assert_true(b.size <= sizeof b.data);
    assert_int_equal(hex_decode(text, b.data, b.size), 0);
    return b;
}

static void assert_hex(const uint8_t *data, size_t size, const char *text)
{
    struct bytes wanted = from_hex(text);
    assert_int_equal(size, wanted.size);
    assert_memory_equal(data, wanted.data, size);
}

#define SMB30_KEY "7CD451825D0450D235424E44BA6E78CC"
#define SMB311_KEY "270E1BA896585EEB7AF3472D3B4C75A7"
#define SMB311_PREAUTH                                                                             \
    "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79"                             \
    "28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01"

static void kdf_published_session_keys_give_published_keys(void **state)
{
    (void)state;
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    struct {
        const char *key, *label, *context, *wanted;
    } cases[] = {
        {SMB30_KEY, "SMB2AESCMAC", "SmbSign", "0B7E9C5CAC36C0F6EA9AB275298CEDCE"},
        {SMB30_KEY, "SMB2AESCCM", "ServerIn ", "FAD27796665B313EBB578F388632B4F7"},
        {SMB30_KEY, "SMB2AESCCM", "ServerOut", "B0F0427F7CEB416D1D9DCC0CD4F99447"},
        {SMB311_KEY, "SMBSigningKey", NULL, "73FE7A9A77BEF0BDE49C650D8CCB5F76"},
        {SMB311_KEY, "SMBC2SCipherKey", NULL, "629BCBC54422A0F572B97F45989B6073"},
        {SMB311_KEY, "SMBS2CCipherKey", NULL, "E2AF0DCEFAC68DA71A0DFBD0D1350D74"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t out[SMB_KEY_SIZE];
        const char *context = cases[i].context;
        smb_kdf(from_hex(cases[i].key).data, cases[i].label, strlen(cases[i].label) + 1,
                context != NULL ? (const uint8_t *)context : preauth.data,
                context != NULL ? strlen(context) + 1 : preauth.size, out, sizeof out);
        assert_hex(out, sizeof out, cases[i].wanted);
    }
}

/* SP800-108 by OpenSSL's KBKDF. */
static void reference_kdf(const uint8_t key[SMB_KEY_SIZE], char *label, size_t label_size,
                          uint8_t *context, size_t context_size, uint8_t *out, size_t out_size)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("mode", (char[]){"COUNTER"}, 0),
        OSSL_PARAM_construct_utf8_string("mac", (char[]){"HMAC"}, 0),
        OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_octet_string("key", (uint8_t *)(uintptr_t)key, SMB_KEY_SIZE),
        OSSL_PARAM_construct_octet_string("salt", label, label_size),
        OSSL_PARAM_construct_octet_string("info", context, context_size),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(ctx, out, out_size, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void kdf_of_both_sizes_agrees_with_another_library(void **state)
{
    (void)state;
    struct bytes key = from_hex(SMB311_KEY);
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    char label[] = "SMBC2SCipherKey";
    for (size_t size = SMB_KEY_SIZE; size <= SMB_KEY_SIZE_MAX; size *= 2) {
        uint8_t ours[SMB_KEY_SIZE_MAX];
        uint8_t theirs[SMB_KEY_SIZE_MAX];
        smb_kdf(key.data, label, sizeof label, preauth.data, preauth.size, ours, size);
        /* its separator and L are OpenSSL's own, the NUL of the label is part of it */
        reference_kdf(key.data, label, sizeof label, preauth.data, preauth.size, theirs, size);
        assert_memory_equal(ours, theirs, size);
    }
}

static void preauth_hash_of_captured_negotiate_is_the_published_one(void **state)
{
    (void)state;
    struct bytes request =
        from_hex("FE534D4240000100000000000000800000000000000000000100000000000000FFFE000000000000"
                 "00000000000000000000000000000000000000000000000024000500000000003F000000ECD86F32"
                 "6276024F9F7752B89BB33F3A70000000020000000202100200030203110300000100260000000000"
                 "010020000100FA49E6578F1F3A9F4CD3E9CC14A67AA884B3D05844E0E5A118225C15887F32FF0000"
                 "0200060000000000020002000100");
    uint8_t chain[SMB_PREAUTH_SIZE] = {0};
    smb_preauth_hash(chain, request.data, request.size);
    assert_hex(chain, sizeof chain,
               "DD94EFC5321BB618A2E208BA8920D2F422992526947A409B5037DE1E0FE8C7362B8C47122594CDE0"
               "CE26AA9DFC8BCDBDE0621957672623351A7540F1E54A0426");
}

/* The end of a captured logon: SESSION_SETUP's final answer, signed with AES-CMAC. */
static const char captured_session_setup[] =
    "FE534D4240000100000000000100800009000000000000000300000000000000FFFE000000000000"
    "1900000000100000EBE146DA120BA25FC3376A49DFE31BC10900000048001D00A11B3019A0030A01"
    "00A3120410010000003B453CDC3524164200000000";

static void cmac_of_captured_session_setup_is_accepted_and_no_other(void **state)
{
    (void)state;
    struct bytes message = from_hex(captured_session_setup);
    struct smb_crypto *crypto =
        smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_CMAC, SMB_CIPHER_AES_128_GCM,
                       from_hex(SMB311_KEY).data, from_hex(SMB311_PREAUTH).data, false);
    assert_true(smb_sign_check(crypto, message.data, message.size));
    for (size_t bit = 0; bit < message.size * 8; bit++) {
        message.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(smb_sign_check(crypto, message.data, message.size));
        message.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    assert_true(smb_sign_check(crypto, message.data, message.size));
    smb_crypto_free(crypto);
    struct bytes other = from_hex(SMB311_PREAUTH);
    other.data[63] ^= 1;
    crypto = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_CMAC, SMB_CIPHER_NONE,
                            from_hex(SMB311_KEY).data, other.data, false);
    assert_false(smb_sign_check(crypto, message.data, message.size));
    smb_crypto_free(crypto);
}

/* A captured message that was encrypted, and what is inside. */
struct sealed_example {
    const char *name;
    uint16_t dialect;
    enum smb_cipher cipher;
    const char *session_key;
    const char *preauth;
    bool from_client;
    uint64_t session_id;
    const char *sealed;
    const char *plain;
};

#define CCM_KEY "B4546771B515F766A86735532DD6C4F0"
#define GCM_KEY "419FDDF34C1E001909D362AE7FB6AF79"
#define GCM_PREAUTH                                                                                \
    "B23F3CBFD69487D9832B79B1594A367CDD950909B774C3A4C412B4FCEA9EDDDB"                             \
    "A7DB256BA2EA30E977F11F9B113247578E0E915C6D2A513B8F2FCA5707DC8770"

static const struct sealed_example examples[] = {
    {"3.0 request", SMB_DIALECT_3_0, SMB_CIPHER_AES_128_CCM, CCM_KEY, GCM_PREAUTH, true,
     0x8E40014000011,
     "FD534D4281A286535415445DAE393921E44FA42E66E69A111892584FB5ED524A"
     "744DA3EE87000000000001001100001400E4080025C8FEE16605A437832D1CD5"
     "2DA9F4645333482A175FE5384563F45FCDAFAEF38BC62BA4D5C62897996625A4"
     "4C29BE5658DE2E6117585779E7B59FFD971278D08580D7FA899E410E910EABF5"
     "AA1DB43050B33B49182637759AC15D84BFCDF5B6B238993C0F4CF4D6012023F6"
     "C627297075D84B7803912D0A9639634453595EF3E33FFE4E7AC2AB",
     "FE534D4240000100000000000900400008000000000000000400000000000000"
     "FFFE0000010000001100001400E4080000000000000000000000000000000000"
     "3100700017000000000000000000000015010000390000020100000039020000"
     "00000000000000007000000000000000536D623320656E6372797074696F6E20"
     "74657374696E67"},
    {"3.0 answer", SMB_DIALECT_3_0, SMB_CIPHER_AES_128_CCM, CCM_KEY, GCM_PREAUTH, false,
     0x8E40014000011,
     "FD534D42A6015530A18F6D9AFFE22AFAE8E66484860000000000000011000014"
     "00E4080050000000000001001100001400E40800DBF46435C5F14169293CE079"
     "E344479BF670227E49873F458672C3098DAC467DD5809F369D67409166515787"
     "1483E01F7BECD02064EAC3E235F913668BBC2F097980D4B378F1993EFF6E60D1"
     "77309E5B",
     "FE534D4240000100000000000900210009000000000000000400000000000000"
     "FFFE0000010000001100001400E4080000000000000000000000000000000000"
     "11000000170000000000000000000000"},
    {"3.1.1 request", SMB_DIALECT_3_1_1, SMB_CIPHER_AES_128_GCM, GCM_KEY, GCM_PREAUTH, true,
     0x100000000025,
     "FD534D42BD73D97D2BC9001BCAFAC0FDFF5FEEBCC7D6822D269CAF48904C664C0000000087000000"
     "0000010025000000001000006ECDD2A7AFC7B47763057A041B8FD4DAFFE990B70C9E09D36C084E02"
     "D14EF247F8BDE38ACF6256F8B1D3B56F77FBDEB312FEA5E92CBCC1ED8FB2EBBFAA75E49A4A394BB4"
     "4576545567C24D4C014D47C9FBDFDAFD2C4F9B72F8D256452620A299F48E29E53D6B61D1C13A19E9"
     "1AF013F00D17E3ABC2FC3D36C8C1B6B93973253852DBD442E46EE8",
     "FE534D4240000100000000000900010008000000000000000500000000000000FFFE000001000000"
     "25000000001000000000000000000000000000000000000031007000170000000000000000000000"
     "0600000004000000010000000400000000000000000000007000000000000000536D623320656E63"
     "72797074696F6E2074657374696E67"},
    {"3.1.1 answer", SMB_DIALECT_3_1_1, SMB_CIPHER_AES_128_GCM, GCM_KEY, GCM_PREAUTH, false,
     0x100000000025,
     "FD534D42ACBE1CB7ED343ADF1725EF144D90D4B0E06831DD2E8EB7B4000000000000000050000000"
     "00000100250000000010000026BBBF949983A6C1C796559D0F2C510CB651D1F7B6AC8DED32A2A0B8"
     "F2D793A815C6F6B848D69767A215841A42D400AE6DDB5F0B44173A014973321FDD7950DA6179159B"
     "82E03C9E18A050FF0EA1C967",
     "FE534D4240000100000000000900010001000000000000000500000000000000FFFE000001000000"
     "25000000001000000000000000000000000000000000000011000000170000000000000000000000"},
};

static struct smb_crypto *example_crypto(const struct sealed_example *e)
{
    return smb_crypto_new(e->dialect, SMB_SIGNING_AES_CMAC, e->cipher,
                          from_hex(e->session_key).data, from_hex(e->preauth).data, e->from_client);
}

static void sealed_captured_messages_open_to_their_plain_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct bytes frame = from_hex(examples[i].sealed);
        struct bytes plain = from_hex(examples[i].plain);
        struct smb_crypto *crypto = example_crypto(&examples[i]);
        assert_true(smb_open_sealed(crypto, examples[i].session_id, frame.data, frame.size));
        assert_int_equal(frame.size - SMB_TRANSFORM_SIZE, plain.size);
        assert_memory_equal(frame.data + SMB_TRANSFORM_SIZE, plain.data, plain.size);
        smb_crypto_free(crypto);
    }
}

/* From byte 4 on: the protocol id is what told that the message is sealed at all. */
static void sealed_any_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct bytes frame = from_hex(examples[i].sealed);
        struct smb_crypto *crypto = example_crypto(&examples[i]);
        for (size_t bit = 4 * 8; bit < frame.size * 8; bit++) {
            struct bytes damaged = frame;
            damaged.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_false(
                smb_open_sealed(crypto, examples[i].session_id, damaged.data, damaged.size));
        }
        assert_false(smb_open_sealed(crypto, examples[i].session_id + 1, frame.data, frame.size));
        assert_true(smb_open_sealed(crypto, examples[i].session_id, frame.data, frame.size));
        smb_crypto_free(crypto);
    }
}

static void sealed_truncated_at_any_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct bytes frame = from_hex(examples[i].sealed);
        struct smb_crypto *crypto = example_crypto(&examples[i]);
        for (size_t size = 0; size < frame.size; size++) {
            uint8_t *exact = malloc(size > 0 ? size : 1);
            memcpy(exact, frame.data, size);
            assert_false(smb_open_sealed(crypto, examples[i].session_id, exact, size));
            free(exact);
        }
        smb_crypto_free(crypto);
    }
}

static const enum smb_cipher ciphers[] = {SMB_CIPHER_AES_128_CCM, SMB_CIPHER_AES_128_GCM,
                                          SMB_CIPHER_AES_256_CCM, SMB_CIPHER_AES_256_GCM};
#define CIPHER_COUNT (sizeof ciphers / sizeof ciphers[0])

static void seal_and_open_between_both_sides_give_the_message_back(void **state)
{
    (void)state;
    struct bytes key = from_hex(SMB311_KEY);
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    for (size_t i = 0; i < CIPHER_COUNT; i++) {
        struct smb_crypto *client = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                                                   ciphers[i], key.data, preauth.data, false);
        struct smb_crypto *server = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                                                   ciphers[i], key.data, preauth.data, true);
        uint8_t nonce[16] = {0xff};
        for (size_t body_size = 0; body_size < 70; body_size++) {
            uint8_t head[64];
            uint8_t body[70];
            uint8_t out[SMB_TRANSFORM_SIZE + sizeof head + sizeof body];
            memset(head, (int)body_size, sizeof head);
            memset(body, 0xA5, sizeof body);
            assert_true(
                smb_seal(client, 7, head, sizeof head, body_size ? body : NULL, body_size, out));
            size_t size = SMB_TRANSFORM_SIZE + sizeof head + body_size;
            assert_memory_not_equal(out + 20, nonce, sizeof nonce); /* never the same twice */
            memcpy(nonce, out + 20, sizeof nonce);
            assert_memory_not_equal(out + SMB_TRANSFORM_SIZE, head, sizeof head);
            assert_true(smb_open_sealed(server, 7, out, size));
            assert_memory_equal(out + SMB_TRANSFORM_SIZE, head, sizeof head);
            assert_memory_equal(out + SMB_TRANSFORM_SIZE + sizeof head, body, body_size);
        }
        smb_crypto_free(client);
        smb_crypto_free(server);
    }
}

/* The keys of AES-256 are 256 bits long, and another cipher's messages are nobody's. */
static void sealed_by_another_cipher_is_refused(void **state)
{
    (void)state;
    struct bytes key = from_hex(SMB311_KEY);
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        for (size_t k = 0; k < CIPHER_COUNT; k++) {
            uint8_t head[64] = {1};
            uint8_t out[SMB_TRANSFORM_SIZE + sizeof head];
            struct smb_crypto *client = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                                                       ciphers[i], key.data, preauth.data, false);
            struct smb_crypto *server = smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC,
                                                       ciphers[k], key.data, preauth.data, true);
            assert_true(smb_seal(client, 7, head, sizeof head, NULL, 0, out));
            assert_int_equal(smb_open_sealed(server, 7, out, sizeof out), i == k);
            smb_crypto_free(client);
            smb_crypto_free(server);
        }
}

/* AES-256-GCM by OpenSSL, with the key of its own derivation, opens what we sealed. */
static void seal_with_aes_256_agrees_with_another_derivation(void **state)
{
    (void)state;
    struct bytes key = from_hex(SMB311_KEY);
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    char label[] = "SMBC2SCipherKey";
    uint8_t to_server[SMB_KEY_SIZE_MAX];
    uint8_t head[64] = {1, 2, 3};
    uint8_t plain[sizeof head];
    uint8_t out[SMB_TRANSFORM_SIZE + sizeof head];
    int done = 0;
    struct smb_crypto *client =
        smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_AES_256_GCM, key.data,
                       preauth.data, false);
    assert_true(smb_seal(client, 7, head, sizeof head, NULL, 0, out));
    reference_kdf(key.data, label, sizeof label, preauth.data, preauth.size, to_server,
                  sizeof to_server);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, to_server, out + 20), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, NULL, &done, out + 20, 32), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, plain, &done, out + SMB_TRANSFORM_SIZE, 64), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, out + 4), 1);
    assert_int_equal(EVP_DecryptFinal_ex(ctx, plain + done, &done), 1);
    assert_memory_equal(plain, head, sizeof head);
    EVP_CIPHER_CTX_free(ctx);
    smb_crypto_free(client);
}

/* GMAC by OpenSSL's GCM over associated data only, with the nonce of [MS-SMB2] 3.1.4.1. */
static void reference_gmac(const uint8_t key[SMB_KEY_SIZE], const uint8_t nonce[12],
                           const uint8_t *message, size_t size, uint8_t out[16])
{
    int done = 0;
    uint8_t nothing[16];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &done, message, (int)size), 1);
    assert_int_equal(EVP_EncryptFinal_ex(ctx, nothing, &done), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out), 1);
    EVP_CIPHER_CTX_free(ctx);
}

static void gmac_agrees_with_another_library(void **state)
{
    (void)state;
    struct bytes message = from_hex(captured_session_setup);
    uint8_t key[SMB_KEY_SIZE];
    uint8_t ours[SMB_SIGNATURE_SIZE];
    uint8_t theirs[SMB_SIGNATURE_SIZE];
    struct bytes preauth = from_hex(SMB311_PREAUTH);
    smb_kdf(from_hex(SMB311_KEY).data, "SMBSigningKey", sizeof "SMBSigningKey", preauth.data,
            preauth.size, key, sizeof key);
    struct smb_crypto *crypto =
        smb_crypto_new(SMB_DIALECT_3_1_1, SMB_SIGNING_AES_GMAC, SMB_CIPHER_NONE,
                       from_hex(SMB311_KEY).data, preauth.data, false);
    for (size_t size = 64; size <= message.size; size++) {
        uint8_t nonce[12] = {3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}; /* MessageId 3, from a server */
        smb_sign(crypto, message.data, size, ours);
        struct bytes zeroed = message;
        memset(zeroed.data + SMB_SIGNATURE_OFFSET, 0, SMB_SIGNATURE_SIZE);
        reference_gmac(key, nonce, zeroed.data, size, theirs);
        assert_memory_equal(ours, theirs, sizeof ours);
    }
    message.data[16] &= (uint8_t)~1U; /* from a client */
    message.data[12] = 12;            /* CANCEL */
    uint8_t nonce[12] = {3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
    smb_sign(crypto, message.data, message.size, ours);
    memset(message.data + SMB_SIGNATURE_OFFSET, 0, SMB_SIGNATURE_SIZE);
    reference_gmac(key, nonce, message.data, message.size, theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
    smb_crypto_free(crypto);
}

static void open_without_a_cipher_is_refused(void **state)
{
    (void)state;
    struct bytes frame = from_hex(examples[0].sealed);
    struct smb_crypto *crypto =
        smb_crypto_new(SMB_DIALECT_2_1, SMB_SIGNING_HMAC_SHA256, SMB_CIPHER_NONE,
                       from_hex(SMB30_KEY).data, from_hex(SMB311_PREAUTH).data, false);
    assert_false(smb_open_sealed(crypto, examples[0].session_id, frame.data, frame.size));
    smb_crypto_free(crypto);
    smb_crypto_free(NULL);
}

static void status_names_are_found_and_unknown_ones_are_null(void **state)
{
    (void)state;
    assert_string_equal(ntstatus_name(NTSTATUS_SUCCESS), "SUCCESS");
    assert_string_equal(ntstatus_name(0xC0000022U), "ACCESS_DENIED");
    assert_string_equal(ntstatus_name(0xC05D0001U), "SMB_BAD_CLUSTER_DIALECT");
    assert_string_equal(ntstatus_name(0xC0000906U), "VIRUS_INFECTED");
    assert_null(ntstatus_name(0xC0FFEE00U));
    assert_true(ntstatus_is_error(NTSTATUS_DISK_FULL));
    assert_true(ntstatus_is_error(NTSTATUS_STOPPED_ON_SYMLINK));
    assert_true(ntstatus_is_error(0x8000001CU));  /* MEDIA_CHANGED, a warning */
    assert_false(ntstatus_is_error(0x40000000U)); /* OBJECT_NAME_EXISTS, an information */
    assert_false(ntstatus_is_error(NTSTATUS_BUFFER_OVERFLOW));
    assert_false(ntstatus_is_error(NTSTATUS_NO_MORE_FILES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kdf_published_session_keys_give_published_keys),
        cmocka_unit_test(preauth_hash_of_captured_negotiate_is_the_published_one),
        cmocka_unit_test(cmac_of_captured_session_setup_is_accepted_and_no_other),
        cmocka_unit_test(sealed_captured_messages_open_to_their_plain_text),
        cmocka_unit_test(sealed_any_flipped_bit_is_refused),
        cmocka_unit_test(sealed_truncated_at_any_length_is_refused),
        cmocka_unit_test(seal_and_open_between_both_sides_give_the_message_back),
        cmocka_unit_test(kdf_of_both_sizes_agrees_with_another_library),
        cmocka_unit_test(sealed_by_another_cipher_is_refused),
        cmocka_unit_test(seal_with_aes_256_agrees_with_another_derivation),
        cmocka_unit_test(gmac_agrees_with_another_library),
        cmocka_unit_test(open_without_a_cipher_is_refused),
        cmocka_unit_test(status_names_are_found_and_unknown_ones_are_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
