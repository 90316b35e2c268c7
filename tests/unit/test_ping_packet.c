/* relay/stage/ping_packet: echo messages, good and malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stage/ping_packet.h"

static const uint8_t cookie[PING_COOKIE_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                  9, 10, 11, 12, 13, 14, 15, 16};

/* RFC 791 header without options around `size` bytes of ICMP, from 10.0.0.9 to 10.0.0.1. */
static size_t wrap_ipv4(uint8_t *to, const uint8_t *body, size_t size)
{
    static const uint8_t header[20] = {0x45, 0, 0,  0, 0, 0, 0,  0, 64, 1,
                                       0,    0, 10, 0, 0, 9, 10, 0, 0,  1};
    memcpy(to, header, sizeof header);
    memcpy(to + sizeof header, body, size);
    return sizeof header + size;
}

static void make_reply(enum ping_family family, uint8_t packet[PING_PACKET_BYTES])
{
    ping_packet_build(family, 0x1234, 0x5678, cookie, packet);
    packet[0] = family == PING_V4 ? 0 : 129;
}

static void request_built_has_checksum_of_rfc_1071(void **state)
{
    (void)state;
    uint8_t packet[PING_PACKET_BYTES];
    uint32_t sum = 0;
    ping_packet_build(PING_V4, 0x1234, 0x5678, cookie, packet);
    for (size_t i = 0; i < sizeof packet; i += 2)
        sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff);
    assert_int_equal(packet[0], 8);
    struct ping_message message;
    assert_true(ping_packet_read_request(PING_V4, packet, sizeof packet, &message));
    assert_int_equal(message.identifier, 0x1234);
    assert_int_equal(message.sequence, 0x5678);
    assert_false(ping_packet_read_request(PING_V6, packet, sizeof packet, &message));
}

static void reply_with_cookie_is_read(void **state)
{
    (void)state;
    uint8_t packet[PING_PACKET_BYTES];
    uint8_t raw[64];
    struct ping_message message;
    make_reply(PING_V4, packet);
    size_t size = wrap_ipv4(raw, packet, sizeof packet);
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_REPLY);
    assert_int_equal(message.sequence, 0x5678);
    assert_memory_equal(message.cookie, cookie, sizeof cookie);
    assert_int_equal(ping_packet_read(PING_V4, false, packet, sizeof packet, &message), PING_REPLY);
    make_reply(PING_V6, packet);
    assert_int_equal(ping_packet_read(PING_V6, false, packet, sizeof packet, &message), PING_REPLY);
    assert_memory_equal(message.cookie, cookie, sizeof cookie);
}

static void reply_cut_anywhere_is_nothing(void **state)
{
    (void)state;
    uint8_t packet[PING_PACKET_BYTES];
    uint8_t raw[64];
    struct ping_message message;
    make_reply(PING_V4, packet);
    size_t size = wrap_ipv4(raw, packet, sizeof packet);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(ping_packet_read(PING_V4, true, raw, cut, &message), PING_NOTHING);
}

static void request_of_others_is_nothing(void **state)
{
    (void)state;
    uint8_t packet[PING_PACKET_BYTES];
    struct ping_message message;
    ping_packet_build(PING_V4, 1, 2, cookie, packet);
    assert_int_equal(ping_packet_read(PING_V4, false, packet, sizeof packet, &message),
                     PING_NOTHING);
}

static void ip_header_malformed_is_nothing(void **state)
{
    (void)state;
    uint8_t packet[PING_PACKET_BYTES];
    uint8_t raw[64];
    struct ping_message message;
    make_reply(PING_V4, packet);
    size_t size = wrap_ipv4(raw, packet, sizeof packet);
    raw[0] = 0x44; /* header shorter than it can be */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_NOTHING);
    raw[0] = 0x4f; /* options beyond the end */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_NOTHING);
    raw[0] = 0x65; /* version 6 */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_NOTHING);
    raw[0] = 0x45;
    raw[9] = 6; /* TCP */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_NOTHING);
    raw[9] = 1;
    raw[7] = 1; /* a later fragment */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_NOTHING);
}

/* An unreachable message that quotes `quoted` bytes of our request. */
static size_t make_error(uint8_t *to, size_t quoted)
{
    uint8_t request[PING_PACKET_BYTES];
    uint8_t inner[64];
    uint8_t body[128] = {3, 1, 0, 0, 0, 0, 0, 0};
    ping_packet_build(PING_V4, 0x1234, 0x5678, cookie, request);
    size_t size = wrap_ipv4(inner, request, quoted);
    memcpy(body + 8, inner, size);
    return wrap_ipv4(to, body, 8 + size);
}

static void error_quoting_request_names_its_destination(void **state)
{
    (void)state;
    uint8_t raw[160];
    struct ping_message message;
    size_t size = make_error(raw, PING_PACKET_BYTES);
    static const uint8_t destination[4] = {10, 0, 0, 1};
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_ERROR);
    assert_true(message.has_cookie);
    assert_int_equal(message.error_type, 3);
    assert_int_equal(message.error_code, 1);
    assert_memory_equal(message.destination, destination, 4);
    size = make_error(raw, 8); /* RFC 792 quotes no more than that */
    assert_int_equal(ping_packet_read(PING_V4, true, raw, size, &message), PING_ERROR);
    assert_false(message.has_cookie);
    assert_int_equal(message.sequence, 0x5678);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(ping_packet_read(PING_V4, true, raw, cut, &message), PING_NOTHING);
}

static void error_v6_quoting_request_is_read(void **state)
{
    (void)state;
    uint8_t body[8 + 40 + PING_PACKET_BYTES] = {1, 3};
    struct ping_message message;
    body[8] = 0x60;
    body[8 + 6] = 58;
    body[8 + 24 + 15] = 0x77;
    ping_packet_build(PING_V6, 0x1234, 0x5678, cookie, body + 48);
    assert_int_equal(ping_packet_read(PING_V6, false, body, sizeof body, &message), PING_ERROR);
    assert_int_equal(message.error_type, 1);
    assert_int_equal(message.error_code, 3);
    assert_int_equal(message.destination[15], 0x77);
    body[8 + 6] = 6;
    assert_int_equal(ping_packet_read(PING_V6, false, body, sizeof body, &message), PING_NOTHING);
}

static void ipv4_header_leaves_the_rest_to_the_kernel(void **state)
{
    (void)state;
    static const uint8_t expected[PING_IPV4_HEADER_BYTES] = {
        0x45, 0, 0, 0, 0x81, 0x23, 0x40, 0, 64, 1, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3,
    };
    static const uint8_t destination[4] = {10, 1, 2, 3};
    uint8_t header[PING_IPV4_HEADER_BYTES];
    ping_packet_build_ipv4(destination, 0x8123, header);
    assert_memory_equal(header, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_header_leaves_the_rest_to_the_kernel),
        cmocka_unit_test(request_built_has_checksum_of_rfc_1071),
        cmocka_unit_test(reply_with_cookie_is_read),
        cmocka_unit_test(reply_cut_anywhere_is_nothing),
        cmocka_unit_test(request_of_others_is_nothing),
        cmocka_unit_test(ip_header_malformed_is_nothing),
        cmocka_unit_test(error_quoting_request_names_its_destination),
        cmocka_unit_test(error_v6_quoting_request_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
