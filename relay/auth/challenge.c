/* Reads the NTLM messages that pass by: names and time from CHALLENGE, flags from AUTHENTICATE; and
 * keeps from GSSAPI a CHALLENGE that would be its end.
 *
 * GSSAPI does the cryptography and has no call for these. In a SPNEGO token the message is found by
 * its signature instead of a DER walk: the bytes before it are object identifiers and enumerations,
 * and a server that wanted to lie about its names would not need a trick.
 */
#include <string.h>

#include "common/base/cursor.h"
#include "common/base/utf16.h"
#include "relay/auth/auth_internal.h"

/* [MS-NLMP] 2.2.1 Signature, MessageType */
static const uint8_t ntlm_signature[8] = "NTLMSSP";
enum ntlm_message { NTLM_CHALLENGE = 2, NTLM_AUTHENTICATE = 3 };

/* [MS-NLMP] 2.2.2.1 AvId */
enum av_id {
    AV_EOL = 0,
    AV_NB_COMPUTER_NAME = 1,
    AV_NB_DOMAIN_NAME = 2,
    AV_DNS_COMPUTER_NAME = 3,
    AV_DNS_DOMAIN_NAME = 4,
    AV_TIMESTAMP = 7,
    AV_CHANNEL_BINDINGS = 10,
};

/* [MS-NLMP] 2.2.2.5: which kind of name TargetName is */
#define TARGET_TYPES 0x00030000U

/* A cursor over the NTLM message of this type in the token, placed after MessageType; failed when
 * there is none. */
static struct cursor find_message(const uint8_t *token, size_t token_size, enum ntlm_message type)
{
    const uint8_t *at = token;
    size_t left = token_size;
    while (left > 0 && (at = memmem(at, left, ntlm_signature, sizeof ntlm_signature)) != NULL) {
        left = token_size - (size_t)(at - token);
        struct cursor c = cursor_of(at, left);
        cursor_skip(&c, sizeof ntlm_signature);
        if (cursor_u32le(&c) == (uint32_t)type && cursor_ok(&c))
            return c;
        at++;
        left--;
    }
    struct cursor none = cursor_of(NULL, 0);
    cursor_fail(&none);
    return none;
}

/* Copies a UTF-16 name; "" when it is malformed or too long. */
static void read_name(char *to, struct cursor *value)
{
    struct buf text;
    buf_init(&text, AUTH_NAME_SIZE - 1);
    size_t size = cursor_left(value);
    const uint8_t *bytes = cursor_bytes(value, size);
    to[0] = '\0';
    if (bytes != NULL && utf16_to_utf8(&text, bytes, size) == 0 && buf_ok(&text) && text.size > 0) {
        memcpy(to, text.data, text.size);
        to[text.size] = '\0';
    }
    buf_release(&text);
}

static void read_pair(struct auth_peer *peer, uint16_t id, struct cursor *value)
{
    switch (id) {
    case AV_NB_COMPUTER_NAME:
        read_name(peer->netbios_computer, value);
        break;
    case AV_NB_DOMAIN_NAME:
        read_name(peer->netbios_domain, value);
        break;
    case AV_DNS_COMPUTER_NAME:
        read_name(peer->dns_computer, value);
        break;
    case AV_DNS_DOMAIN_NAME:
        read_name(peer->dns_domain, value);
        break;
    case AV_TIMESTAMP:
        peer->timestamp = cursor_u64le(value);
        break;
    default:
        break; /* flags, single host data, target name, channel bindings: not ours to judge */
    }
}

void auth_peer_from_token(struct auth_peer *peer, const uint8_t *token, size_t token_size)
{
    struct cursor c = find_message(token, token_size, NTLM_CHALLENGE);
    /* [MS-NLMP] 2.2.1.2: TargetNameFields, NegotiateFlags, ServerChallenge, Reserved */
    cursor_skip(&c, 8 + 4 + 8 + 8);
    /* TargetInfoFields: Len, MaxLen, BufferOffset */
    uint16_t length = cursor_u16le(&c);
    cursor_skip(&c, 2);
    uint32_t offset = cursor_u32le(&c);
    struct cursor pairs = cursor_sub(&c, offset, length);
    if (!cursor_ok(&pairs) || length == 0)
        return;
    struct auth_peer seen = {.known = true};
    while (cursor_ok(&pairs)) {
        uint16_t id = cursor_u16le(&pairs);
        uint16_t size = cursor_u16le(&pairs);
        if (!cursor_ok(&pairs) || id == AV_EOL)
            break;
        struct cursor value = cursor_sub(&pairs, pairs.at, size);
        cursor_skip(&pairs, size);
        if (cursor_ok(&value))
            read_pair(&seen, id, &value);
    }
    if (cursor_ok(&pairs))
        *peer = seen;
}

/* Every pair inside up to the end, none that we know twice. */
static bool pairs_are_sound(struct cursor *pairs)
{
    uint32_t seen = 0;
    for (;;) {
        uint16_t id = cursor_u16le(pairs);
        uint16_t size = cursor_u16le(pairs);
        cursor_skip(pairs, size);
        if (!cursor_ok(pairs))
            return false;
        if (id == AV_EOL)
            return size == 0;
        if (id > AV_CHANNEL_BINDINGS)
            continue;
        if ((seen & 1U << id) != 0)
            return false;
        seen |= 1U << id;
    }
}

static bool challenge_is_sound(struct cursor *c)
{
    uint16_t name_size = cursor_u16le(c); /* TargetNameFields */
    cursor_skip(c, 2 + 4);
    uint32_t flags = cursor_u32le(c);
    cursor_skip(c, 8 + 8); /* ServerChallenge, Reserved */
    uint16_t info_size = cursor_u16le(c);
    cursor_skip(c, 2);
    uint32_t info_at = cursor_u32le(c);
    if (!cursor_ok(c) || (name_size == 0 && (flags & TARGET_TYPES) != 0) ||
        (flags & AUTH_NTLM_EXTENDED_SESSIONSECURITY) == 0)
        return false;
    struct cursor pairs = cursor_sub(c, info_at, info_size);
    return info_size == 0 || (cursor_ok(&pairs) && pairs_are_sound(&pairs));
}

int auth_token_check(const uint8_t *token, size_t token_size, struct err *err)
{
    const uint8_t *first =
        token_size > 0 ? memmem(token, token_size, ntlm_signature, sizeof ntlm_signature) : NULL;
    if (first == NULL)
        return 0;
    size_t left = token_size - (size_t)(first - token);
    struct cursor c = cursor_of(first, left);
    cursor_skip(&c, sizeof ntlm_signature);
    bool sound = memmem(first + 1, left - 1, ntlm_signature, sizeof ntlm_signature) == NULL &&
                 cursor_u32le(&c) == NTLM_CHALLENGE && challenge_is_sound(&c);
    return sound ? 0 : err_set(err, ERR_PROTOCOL, "the server's NTLM challenge makes no sense");
}

uint32_t auth_flags_from_token(const uint8_t *token, size_t token_size)
{
    struct cursor c = find_message(token, token_size, NTLM_AUTHENTICATE);
    /* [MS-NLMP] 2.2.1.3: six length-and-offset fields of 8 bytes come before NegotiateFlags */
    cursor_skip(&c, 6 * 8);
    return cursor_u32le(&c);
}
