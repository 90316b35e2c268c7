/* ICMP echo: bytes only. */
#include "relay/stage/ping_packet.h"

#include <string.h>

#include "common/base/cursor.h"

#define IPV4_HEADER_MIN 20
#define IP_PROTOCOL_ICMP 1
#define IP_PROTOCOL_ICMPV6 58

#define DONT_FRAGMENT 0x4000 /* RFC 791 3.1, Flags */
#define TIME_TO_LIVE 64

/* RFC 792 and RFC 4443 types */
#define V4_ECHO_REPLY 0
#define V4_UNREACHABLE 3
#define V4_ECHO_REQUEST 8
#define V4_TIME_EXCEEDED 11
#define V6_UNREACHABLE 1
#define V6_TIME_EXCEEDED 3
#define V6_ECHO_REQUEST 128
#define V6_ECHO_REPLY 129

static void put_u16be(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* RFC 1071 */
static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void ping_packet_build(enum ping_family family, uint16_t identifier, uint16_t sequence,
                       const uint8_t cookie[PING_COOKIE_BYTES], uint8_t packet[PING_PACKET_BYTES])
{
    memset(packet, 0, 8);
    packet[0] = family == PING_V4 ? V4_ECHO_REQUEST : V6_ECHO_REQUEST;
    put_u16be(packet + 4, identifier);
    put_u16be(packet + 6, sequence);
    memcpy(packet + 8, cookie, PING_COOKIE_BYTES);
    if (family == PING_V4)
        put_u16be(packet + 2, checksum(packet, PING_PACKET_BYTES));
}

void ping_packet_build_ipv4(const uint8_t destination[4], uint16_t identification,
                            uint8_t header[PING_IPV4_HEADER_BYTES])
{
    memset(header, 0, PING_IPV4_HEADER_BYTES);
    header[0] = 4 << 4 | PING_IPV4_HEADER_BYTES / 4; /* version, header length */
    put_u16be(header + 4, identification);
    put_u16be(header + 6, DONT_FRAGMENT);
    header[8] = TIME_TO_LIVE;
    header[9] = IP_PROTOCOL_ICMP;
    memcpy(header + 16, destination, 4);
}

/* Header after the type byte, then the cookie if it is all there. */
static bool read_echo(struct cursor *c, struct ping_message *message)
{
    (void)cursor_u8(c);    /* Code */
    (void)cursor_u16be(c); /* Checksum: the kernel's business; errors may quote a stale one */
    message->identifier = cursor_u16be(c);
    message->sequence = cursor_u16be(c);
    if (!cursor_ok(c))
        return false;
    message->has_cookie = cursor_left(c) >= PING_COOKIE_BYTES;
    if (message->has_cookie)
        cursor_copy(c, message->cookie, PING_COOKIE_BYTES);
    return true;
}

bool ping_packet_read_request(enum ping_family family, const uint8_t *bytes, size_t size,
                              struct ping_message *message)
{
    struct cursor c = cursor_of(bytes, size);
    memset(message, 0, sizeof *message);
    uint8_t type = cursor_u8(&c);
    return type == (family == PING_V4 ? V4_ECHO_REQUEST : V6_ECHO_REQUEST) &&
           read_echo(&c, message);
}

/* Skips an IPv4 header (RFC 791 3.1) of an ICMP packet. Returns false when it is none. */
static bool skip_ipv4(struct cursor *c, uint8_t destination[4])
{
    size_t start = c->at;
    uint8_t version_length = cursor_u8(c);
    size_t header = (size_t)(version_length & 0xf) * 4;
    cursor_skip(c, 5);
    uint16_t fragment = cursor_u16be(c); /* flags and fragment offset */
    (void)cursor_u8(c);                  /* time to live */
    uint8_t protocol = cursor_u8(c);
    cursor_skip(c, 6); /* checksum, source */
    cursor_copy(c, destination, 4);
    if (!cursor_ok(c) || version_length >> 4 != 4 || header < IPV4_HEADER_MIN ||
        protocol != IP_PROTOCOL_ICMP || (fragment & 0x1fff) != 0)
        return false;
    cursor_seek(c, start + header);
    return cursor_ok(c);
}

/* Skips an IPv6 header (RFC 8200 3) directly before ICMPv6. */
static bool skip_ipv6(struct cursor *c, uint8_t destination[16])
{
    uint8_t version = (uint8_t)(cursor_u32be(c) >> 28);
    (void)cursor_u16be(c); /* payload length */
    uint8_t next_header = cursor_u8(c);
    cursor_skip(c, 1 + 16); /* hop limit, source */
    cursor_copy(c, destination, 16);
    return cursor_ok(c) && version == 6 && next_header == IP_PROTOCOL_ICMPV6;
}

enum ping_news ping_packet_read(enum ping_family family, bool has_ip_header, const uint8_t *bytes,
                                size_t size, struct ping_message *message)
{
    bool v4 = family == PING_V4;
    struct cursor c = cursor_of(bytes, size);
    memset(message, 0, sizeof *message);
    uint8_t outer_destination[4];
    if (has_ip_header && !skip_ipv4(&c, outer_destination))
        return PING_NOTHING;
    uint8_t type = cursor_u8(&c);
    if (type == (v4 ? V4_ECHO_REPLY : V6_ECHO_REPLY))
        return read_echo(&c, message) && message->has_cookie ? PING_REPLY : PING_NOTHING;
    bool unreachable = type == (v4 ? V4_UNREACHABLE : V6_UNREACHABLE);
    bool expired = type == (v4 ? V4_TIME_EXCEEDED : V6_TIME_EXCEEDED);
    if (!unreachable && !expired)
        return PING_NOTHING;
    uint8_t code = cursor_u8(&c);
    cursor_skip(&c, 6); /* checksum, unused */
    if (v4 ? !skip_ipv4(&c, message->destination) : !skip_ipv6(&c, message->destination))
        return PING_NOTHING;
    uint8_t quoted_type = cursor_u8(&c);
    if (quoted_type != (v4 ? V4_ECHO_REQUEST : V6_ECHO_REQUEST) || !read_echo(&c, message))
        return PING_NOTHING;
    message->error_type = type;
    message->error_code = code;
    return PING_ERROR;
}
