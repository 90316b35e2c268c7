/* ICMP echo messages: built and read, for IPv4 and IPv6. Pure.
 *
 * The 16-bit sequence is only an index for finding the probe; the cookie in the payload, random for
 * every probe, is what proves that an answer belongs to it. Spec: RFC 792, RFC 4443.
 */
#ifndef PUSHER_RELAY_STAGE_PING_PACKET_H
#define PUSHER_RELAY_STAGE_PING_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PING_COOKIE_BYTES 16
#define PING_PACKET_BYTES (8 + PING_COOKIE_BYTES) /* RFC 792: header of 8, then our payload */
#define PING_IPV4_HEADER_BYTES 20

enum ping_family { PING_V4, PING_V6 };

/* What a received message is. */
enum ping_news {
    PING_NOTHING, /* not for us, or makes no sense */
    PING_REPLY,   /* an echo reply */
    PING_ERROR,   /* an ICMP error about an echo request that may be ours */
};

struct ping_message {
    uint16_t identifier;
    uint16_t sequence;
    bool has_cookie; /* an error may quote too little of the request */
    uint8_t cookie[PING_COOKIE_BYTES];
    uint8_t error_type; /* PING_ERROR: ICMP type and code */
    uint8_t error_code;
    uint8_t destination[16]; /* PING_ERROR: where the quoted request went; 4 bytes for IPv4 */
};

/* An echo request with its checksum (IPv6: zero, the kernel fills it in). */
void ping_packet_build(enum ping_family family, uint16_t identifier, uint16_t sequence,
                       const uint8_t cookie[PING_COOKIE_BYTES], uint8_t packet[PING_PACKET_BYTES]);

/* The IPv4 header in front of it, for a raw socket that takes one (IP_HDRINCL): the kernel fills in
 * length, source and checksum. An identification of its own and "don't fragment" save the kernel
 * the search for one. Spec: RFC 791 3.1. */
void ping_packet_build_ipv4(const uint8_t destination[4], uint16_t identification,
                            uint8_t header[PING_IPV4_HEADER_BYTES]);

/* Reads what a socket gave. `has_ip_header`: raw IPv4 sockets deliver it. */
enum ping_news ping_packet_read(enum ping_family family, bool has_ip_header, const uint8_t *bytes,
                                size_t size, struct ping_message *message);
/* Reads an echo request of ours that the kernel quotes (error queue of a datagram socket). Returns
 * false when it is none. */
bool ping_packet_read_request(enum ping_family family, const uint8_t *bytes, size_t size,
                              struct ping_message *message);

#endif
