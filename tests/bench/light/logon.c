/* NTLMv2 as the accepting side does it ([MS-NLMP] 3.2.5, 3.3.2), and its SPNEGO wrapping. */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <nettle/arcfour.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

#include "common/base/utf16.h"
#include "tests/bench/light/light.h"

#define MESSAGE_SIZE_MAX 65536U
#define RESPONSE_PROOF_SIZE 16U /* [MS-NLMP] 2.2.2.8 Response */
#define RESPONSE_PAIRS_AT 28U   /* 2.2.2.7 AvPairs in NTLMv2_CLIENT_CHALLENGE */
#define MIC_AT 72U              /* 2.2.1.3 MIC in AUTHENTICATE */
#define MIC_SIZE 16U
#define TARGET_NAME_AT 12U /* 2.2.1.2 TargetNameFields */
#define TARGET_INFO_AT 40U /* TargetInfoFields */

/* 2.2.2.1 AvId */
#define AV_COMPUTER 1U
#define AV_DOMAIN 2U
#define AV_FLAGS 6U
#define AV_TIMESTAMP 7U
#define AV_FLAG_MIC 2U

/* 2.2.2.5: UNICODE, REQUEST_TARGET, SIGN, SEAL, NTLM, ALWAYS_SIGN, TARGET_TYPE_SERVER,
 * EXTENDED_SESSIONSECURITY, TARGET_INFO, VERSION, 128, KEY_EXCH, 56 */
#define CHALLENGE_FLAGS 0xE28A8235U

#define FILETIME_OF_1970 11644473600ULL /* seconds, [MS-DTYP] 2.3.3 */

static const uint8_t signature[8] = "NTLMSSP";
/* MechTypeList of NTLM alone: what the client offers, and what its MIC is over (RFC 4178 5). */
static const uint8_t mech_types[] = {0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01,
                                     0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a};

void light_logon_init(struct light_logon *logon)
{
    memset(logon, 0, sizeof *logon);
    buf_init(&logon->negotiate, MESSAGE_SIZE_MAX);
    buf_init(&logon->challenge_message, MESSAGE_SIZE_MAX);
}

void light_logon_release(struct light_logon *logon)
{
    buf_release(&logon->negotiate);
    buf_release(&logon->challenge_message);
}

/* Length of the DER value whose content begins at `at`, an OCTET STRING; `rest` when it is none. */
static size_t octets_before(const uint8_t *token, size_t at, size_t rest)
{
    size_t length = rest;
    if (at >= 2 && token[at - 2] == 0x04 && token[at - 1] < 0x80)
        length = token[at - 1];
    else if (at >= 3 && token[at - 3] == 0x04 && token[at - 2] == 0x81)
        length = token[at - 1];
    else if (at >= 4 && token[at - 4] == 0x04 && token[at - 3] == 0x82)
        length = (size_t)token[at - 2] << 8 | token[at - 1];
    return length < rest ? length : rest;
}

/* The NTLM message of this type in a token; failed when there is none. */
static struct cursor find_message(const uint8_t *token, size_t token_size, uint32_t type)
{
    struct cursor none = cursor_of(NULL, 0);
    const uint8_t *at = token_size > 0 ? memmem(token, token_size, signature, 8) : NULL;
    cursor_fail(&none);
    if (at == NULL)
        return none;
    size_t offset = (size_t)(at - token);
    struct cursor message = cursor_of(at, octets_before(token, offset, token_size - offset));
    cursor_skip(&message, sizeof signature);
    return cursor_u32le(&message) == type && cursor_ok(&message) ? message : none;
}

static void put_pair(struct buf *out, uint16_t id, const char *text)
{
    buf_u16le(out, id);
    buf_u16le(out, (uint16_t)(2 * strlen(text)));
    (void)utf16_from_utf8(out, text);
}

/* Length and offset of everything from `from` to the end ([MS-NLMP] 2.2.1.2). */
static void patch_field(struct buf *message, size_t field_at, size_t from)
{
    uint16_t size = (uint16_t)(message->size - from);
    buf_patch_u16le(message, field_at, size);
    buf_patch_u16le(message, field_at + 2, size);
    buf_patch_u32le(message, field_at + 4, (uint32_t)from);
}

int light_logon_challenge(struct light_logon *logon, const char *computer, const uint8_t *token,
                          size_t token_size, struct buf *out)
{
    struct cursor negotiate = find_message(token, token_size, 1);
    if (!cursor_ok(&negotiate) ||
        getrandom(logon->challenge, sizeof logon->challenge, 0) != sizeof logon->challenge)
        return -1;
    buf_reset(&logon->negotiate);
    buf_bytes(&logon->negotiate, negotiate.data, negotiate.size);
    struct buf *message = &logon->challenge_message;
    buf_reset(message);
    buf_bytes(message, signature, sizeof signature);
    buf_u32le(message, 2); /* MessageType */
    buf_zero(message, 8);  /* TargetNameFields */
    buf_u32le(message, CHALLENGE_FLAGS);
    buf_bytes(message, logon->challenge, sizeof logon->challenge);
    buf_zero(message, 8 + 8);                /* Reserved, TargetInfoFields */
    buf_u64le(message, 0x0F0000004563000AU); /* Version: 10.0.17763, revision 15 */
    size_t at = message->size;
    (void)utf16_from_utf8(message, computer);
    patch_field(message, TARGET_NAME_AT, at);
    at = message->size;
    put_pair(message, AV_DOMAIN, "LAB");
    put_pair(message, AV_COMPUTER, computer);
    buf_u16le(message, AV_TIMESTAMP);
    buf_u16le(message, 8);
    buf_u64le(message, ((uint64_t)time(NULL) + FILETIME_OF_1970) * 10000000U);
    buf_u32le(message, 0); /* MsvAvEOL */
    patch_field(message, TARGET_INFO_AT, at);
    (void)hostile_hit(logon->hostile, HOSTILE_TOKEN, logon->place, message, 0);
    buf_bytes(out, message->data, message->size);
    return 0;
}

static struct cursor read_field(struct cursor *message)
{
    uint16_t size = cursor_u16le(message);
    cursor_skip(message, 2);
    uint32_t offset = cursor_u32le(message);
    return cursor_sub(message, offset, size);
}

static void hmac_of(const uint8_t key[LIGHT_KEY_SIZE], const uint8_t *a, size_t a_size,
                    const uint8_t *b, size_t b_size, uint8_t out[LIGHT_KEY_SIZE])
{
    struct hmac_md5_ctx hmac;
    hmac_md5_set_key(&hmac, LIGHT_KEY_SIZE, key);
    hmac_md5_update(&hmac, a_size, a);
    hmac_md5_update(&hmac, b_size, b);
    hmac_md5_digest(&hmac, LIGHT_KEY_SIZE, out);
}

/* [MS-NLMP] 3.3.2 NTOWFv2: over the upper-case user and the domain. Any name with the right secret
 * is let in: there is one account. */
static int owf_of(const struct light_site *site, struct cursor user, struct cursor domain,
                  uint8_t owf[LIGHT_KEY_SIZE])
{
    uint8_t upper[512];
    if (!cursor_ok(&user) || !cursor_ok(&domain) || user.size > sizeof upper)
        return -1;
    if (user.size > 0)
        memcpy(upper, user.data, user.size);
    for (size_t i = 0; i + 1 < user.size; i += 2)
        if (upper[i + 1] == 0 && upper[i] >= 'a' && upper[i] <= 'z')
            upper[i] = (uint8_t)(upper[i] - 'a' + 'A');
    hmac_of(site->nt_hash, upper, user.size, domain.data, domain.size, owf);
    return 0;
}

/* Whether the client says that it sent an integrity code. */
static bool has_mic(struct cursor response)
{
    cursor_seek(&response, RESPONSE_PROOF_SIZE + RESPONSE_PAIRS_AT);
    while (cursor_ok(&response) && cursor_left(&response) > 0) {
        uint16_t id = cursor_u16le(&response);
        uint16_t size = cursor_u16le(&response);
        if (id == AV_FLAGS && size == 4)
            return (cursor_u32le(&response) & AV_FLAG_MIC) != 0;
        if (id == 0)
            return false;
        cursor_skip(&response, size);
    }
    return false;
}

/* HMAC over the three messages, the code's own place zero ([MS-NLMP] 3.2.5.1.2). */
static bool mic_good(const struct light_logon *logon, const struct cursor *message,
                     const uint8_t key[LIGHT_KEY_SIZE])
{
    static const uint8_t zero[MIC_SIZE];
    uint8_t mic[LIGHT_KEY_SIZE];
    size_t after = MIC_AT + MIC_SIZE;
    if (message->size < after)
        return false;
    struct hmac_md5_ctx hmac;
    hmac_md5_set_key(&hmac, LIGHT_KEY_SIZE, key);
    hmac_md5_update(&hmac, logon->negotiate.size, logon->negotiate.data);
    hmac_md5_update(&hmac, logon->challenge_message.size, logon->challenge_message.data);
    hmac_md5_update(&hmac, MIC_AT, message->data);
    hmac_md5_update(&hmac, MIC_SIZE, zero);
    hmac_md5_update(&hmac, message->size - after, message->data + after);
    hmac_md5_digest(&hmac, LIGHT_KEY_SIZE, mic);
    return memeql_sec(mic, message->data + MIC_AT, MIC_SIZE) != 0;
}

static int refuse(struct light_site *site)
{
    site->counts.refused++;
    return -1;
}

int light_logon_authenticate(struct light_logon *logon, struct light_site *site,
                             const uint8_t *token, size_t token_size, uint8_t key[LIGHT_KEY_SIZE])
{
    uint8_t owf[LIGHT_KEY_SIZE];
    uint8_t proof[LIGHT_KEY_SIZE];
    uint8_t base[LIGHT_KEY_SIZE];
    struct cursor message = find_message(token, token_size, 3);
    (void)read_field(&message); /* LmChallengeResponse */
    struct cursor response = read_field(&message);
    struct cursor domain = read_field(&message);
    struct cursor user = read_field(&message);
    (void)read_field(&message); /* Workstation */
    struct cursor wrapped = read_field(&message);
    if (!cursor_ok(&message) || !cursor_ok(&response) || response.size < RESPONSE_PROOF_SIZE + 32 ||
        wrapped.size != LIGHT_KEY_SIZE || owf_of(site, user, domain, owf) != 0)
        return refuse(site);
    hmac_of(owf, logon->challenge, sizeof logon->challenge, response.data + RESPONSE_PROOF_SIZE,
            response.size - RESPONSE_PROOF_SIZE, proof);
    if (memeql_sec(proof, response.data, RESPONSE_PROOF_SIZE) == 0)
        return refuse(site);
    hmac_of(owf, proof, sizeof proof, NULL, 0, base); /* SessionBaseKey */
    struct arcfour_ctx rc4;
    arcfour_set_key(&rc4, sizeof base, base);
    arcfour_crypt(&rc4, LIGHT_KEY_SIZE, key, wrapped.data);
    if (has_mic(response) && !mic_good(logon, &message, key))
        return refuse(site);
    site->counts.logons++;
    return 0;
}

/* --- SPNEGO (RFC 4178 4.2), DER --- */

static size_t der_size(size_t content)
{
    return content < 0x80 ? 2 + content : content < 0x100 ? 3 + content : 4 + content;
}

static void der_header(struct buf *out, uint8_t tag, size_t content)
{
    buf_u8(out, tag);
    if (content >= 0x100) {
        buf_u8(out, 0x82);
        buf_u16be(out, (uint16_t)content);
    } else {
        if (content >= 0x80)
            buf_u8(out, 0x81);
        buf_u8(out, (uint8_t)content);
    }
}

void light_spnego_wrap(struct buf *out, const uint8_t *token, size_t token_size)
{
    static const uint8_t incomplete[] = {0xa0, 0x03, 0x0a, 0x01, 0x01}; /* negState */
    size_t mech = sizeof mech_types - 2;
    size_t body = sizeof incomplete + der_size(mech) + der_size(der_size(token_size));
    der_header(out, 0xa1, der_size(body)); /* negTokenResp */
    der_header(out, 0x30, body);
    buf_bytes(out, incomplete, sizeof incomplete);
    der_header(out, 0xa1, mech); /* supportedMech */
    buf_bytes(out, mech_types + 2, mech);
    der_header(out, 0xa2, der_size(token_size)); /* responseToken */
    der_header(out, 0x04, token_size);
    buf_bytes(out, token, token_size);
}

void light_spnego_complete(struct buf *out, const uint8_t key[LIGHT_KEY_SIZE])
{
    static const uint8_t completed[] = {0xa1,
                                        0x1b,
                                        0x30,
                                        0x19,
                                        0xa0,
                                        0x03,
                                        0x0a,
                                        0x01,
                                        0x00,
                                        0xa3,
                                        0x12,
                                        0x04,
                                        SEAL_SIGNATURE_SIZE};
    uint8_t list[sizeof mech_types];
    uint8_t mic[SEAL_SIGNATURE_SIZE];
    struct seal seal;
    memcpy(list, mech_types, sizeof list);
    seal_init(&seal, SEAL_SERVER, key);
    seal_fragment(&seal, list, sizeof list, 0, 0, mic); /* nothing sealed: a signature */
    buf_bytes(out, completed, sizeof completed);
    buf_bytes(out, mic, sizeof mic);
}
