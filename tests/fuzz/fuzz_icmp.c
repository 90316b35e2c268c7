/* relay/stage/ping_packet: whatever arrives on the relay's ICMP sockets, from anybody.
 * Covers ping_packet_read for IPv4 with and without its header and for IPv6,
 * ping_packet_read_request. The first byte chooses.
 *
 * Holds: a cookie is one that stood in the packet, whole; an answer that is ours by cookie is found
 * (an echo of every request that is built reads back); nothing else passes for one. */
#include <string.h>

#include "fuzz.h"
#include "relay/stage/ping_packet.h"

static bool holds(const uint8_t *data, size_t size, const void *piece, size_t piece_size)
{
    return memmem(data, size, piece, piece_size) != NULL;
}

static void check_news(enum ping_news news, enum ping_family family, const uint8_t *data,
                       size_t size, const struct ping_message *message)
{
    switch (news) {
    case PING_NOTHING:
        return;
    case PING_REPLY:
        FUZZ_CHECK(message->has_cookie);
        break;
    case PING_ERROR:
        FUZZ_CHECK(holds(data, size, message->destination, family == PING_V4 ? 4 : 16));
        break;
    }
    uint8_t numbers[4] = {(uint8_t)(message->identifier >> 8), (uint8_t)message->identifier,
                          (uint8_t)(message->sequence >> 8), (uint8_t)message->sequence};
    FUZZ_CHECK(holds(data, size, numbers, sizeof numbers));
    if (message->has_cookie)
        FUZZ_CHECK(holds(data, size, message->cookie, sizeof message->cookie));
}

/* The request that the packet's bytes make, echoed. */
static void check_echo(enum ping_family family, struct cursor c)
{
    uint8_t cookie[PING_COOKIE_BYTES];
    uint8_t packet[PING_PACKET_BYTES];
    struct ping_message message;
    uint16_t identifier = cursor_u16be(&c);
    uint16_t sequence = cursor_u16be(&c);
    cursor_copy(&c, cookie, sizeof cookie);
    ping_packet_build(family, identifier, sequence, cookie, packet);
    FUZZ_CHECK(ping_packet_read_request(family, packet, sizeof packet, &message));
    FUZZ_CHECK(ping_packet_read(family, false, packet, sizeof packet, &message) == PING_NOTHING);
    packet[0] = family == PING_V4 ? 0 : 129; /* RFC 792, RFC 4443 4.2 */
    FUZZ_CHECK(ping_packet_read(family, false, packet, sizeof packet, &message) == PING_REPLY);
    FUZZ_CHECK(message.identifier == identifier && message.sequence == sequence);
    FUZZ_CHECK(memcmp(message.cookie, cookie, sizeof cookie) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct ping_message message;
    uint8_t how = cursor_u8(&c);
    enum ping_family family = (how & 1) != 0 ? PING_V6 : PING_V4;
    bool has_ip_header = family == PING_V4 && (how & 2) != 0;
    if (size == 0)
        return 0;
    enum ping_news news = ping_packet_read(family, has_ip_header, data + 1, size - 1, &message);
    check_news(news, family, data + 1, size - 1, &message);
    if (ping_packet_read_request(family, data + 1, size - 1, &message) && message.has_cookie)
        FUZZ_CHECK(holds(data + 1, size - 1, message.cookie, sizeof message.cookie));
    check_echo(family, c);
    return 0;
}
