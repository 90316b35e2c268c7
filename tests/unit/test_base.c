/* common/base: cursor, buf, err, hex, utf16, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cursor.h"
#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/base/utf16.h"

static void cursor_read_past_end_sticks(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4, 5};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    assert_int_equal(cursor_u32le(&c), 0x04030201);
    assert_int_equal(cursor_u16le(&c), 0);
    assert_false(cursor_ok(&c));
    assert_int_equal(cursor_u8(&c), 0);
    assert_int_equal(cursor_left(&c), 0);
}

static void cursor_sub_outside_fails_both(void **state)
{
    (void)state;
    const uint8_t bytes[8] = {0};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    struct cursor good = cursor_sub(&c, 8, 0);
    assert_true(cursor_ok(&good));
    struct cursor bad = cursor_sub(&c, 7, 2);
    assert_false(cursor_ok(&bad));
    assert_false(cursor_ok(&c));
    c = cursor_of(bytes, sizeof bytes);
    (void)cursor_sub(&c, SIZE_MAX, 2);
    assert_false(cursor_ok(&c));
}

static void cursor_align_and_seek_stay_inside(void **state)
{
    (void)state;
    const uint8_t bytes[6] = {0, 0, 0, 0, 0x34, 0x12};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    cursor_skip(&c, 1);
    cursor_align(&c, 4);
    assert_int_equal(cursor_u16le(&c), 0x1234);
    cursor_align(&c, 4);
    assert_false(cursor_ok(&c));
    c = cursor_of(bytes, sizeof bytes);
    cursor_seek(&c, 7);
    assert_false(cursor_ok(&c));
}

static void buf_over_maximum_fails_and_drops(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_u32le(&b, 0x04030201);
    assert_true(buf_ok(&b));
    buf_u8(&b, 5);
    assert_false(buf_ok(&b));
    assert_int_equal(b.size, 4);
    buf_release(&b);
    buf_init(&b, 300); /* grown to its maximum, never beyond */
    uint8_t *room = buf_extend(&b, 290);
    assert_non_null(room);
    memset(room, 7, 290);
    assert_int_equal(b.capacity, 300);
    assert_null(buf_extend(&b, 11));
    assert_false(buf_ok(&b));
    buf_release(&b);
}

static void buf_patch_align_consume_work(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 64);
    buf_u8(&b, 9);
    buf_align(&b, 0, 4);
    buf_u16be(&b, 0x0102);
    buf_patch_u32le(&b, 0, 0xaabbccdd);
    const uint8_t expected[] = {0xdd, 0xcc, 0xbb, 0xaa, 1, 2};
    assert_int_equal(b.size, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);
    buf_consume(&b, 4);
    assert_memory_equal(b.data, expected + 4, 2);
    buf_patch_u32le(&b, 0, 1);
    assert_false(buf_ok(&b));
    buf_release(&b);
}

static void err_wrap_prefixes_and_keeps_code(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set_native(&err, ERR_DENIED, 5, "share %s refused", "C$"), -1);
    assert_int_equal(err_wrap(&err, "copy %s", "a.exe"), -1);
    assert_string_equal(err.text, "copy a.exe: share C$ refused");
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(err.native, 5);
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), -1);
}

static void err_too_long_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 4; i++) {
        char text[2 * ERR_TEXT_SIZE] = "";
        struct err err = {0};
        size_t size = strlen(characters[i]);
        for (size_t at = i % 2; at + size < sizeof text; at += size)
            memcpy(text + at, characters[i], size);
        text[0] = i % 2 == 1 ? 'a' : text[0];
        for (int wrapped = 0; wrapped < 4; wrapped++) {
            assert_int_equal(err_set(&err, ERR_IO, "%s", text), -1);
            if (wrapped > 0)
                assert_int_equal(err_wrap(&err, "%.*s", wrapped, "abc"), -1);
            assert_true(utf8_valid(err.text));
            assert_in_range(strlen(err.text), ERR_TEXT_SIZE - size, ERR_TEXT_SIZE - 1);
        }
    }
}

static void hex_wrong_length_or_digit_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[2];
    assert_int_equal(hex_decode("01fF", bytes, 2), 0);
    assert_int_equal(bytes[1], 0xff);
    assert_int_equal(hex_decode("01f", bytes, 2), -1);
    assert_int_equal(hex_decode("01fg", bytes, 2), -1);
    char text[5];
    hex_encode(bytes, 2, text);
    assert_string_equal(text, "01ff");
}

static void utf16_ascii_around_others_is_written_in_order(void **state)
{
    (void)state;
    struct buf wide;
    buf_init(&wide, 8);
    assert_int_equal(utf16_from_utf8(&wide, "ab\xc3\xa4z"), 0);
    assert_true(buf_ok(&wide));
    assert_int_equal(wide.size, 8);
    assert_memory_equal(wide.data, "a\0b\0\xe4\0z\0", 8);
    assert_int_equal(utf16_from_utf8(&wide, "!"), 0); /* one more than fits */
    assert_false(buf_ok(&wide));
    assert_int_equal(wide.size, 8);
    buf_release(&wide);
}

static void buf_memory_over_maximum_is_not_used(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 70); /* the memory has 128 bytes by then */
    for (int i = 0; i < 17; i++)
        buf_u32le(&b, 7);
    assert_true(buf_ok(&b));
    buf_u16be(&b, 0x0102);
    assert_true(buf_ok(&b));
    assert_int_equal(b.data[69], 2);
    buf_u8(&b, 1);
    assert_false(buf_ok(&b));
    assert_int_equal(b.size, 70);
    buf_release(&b);
}

static void utf16_round_trip_keeps_astral_characters(void **state)
{
    (void)state;
    struct buf wide;
    struct buf back;
    buf_init(&wide, 64);
    buf_init(&back, 64);
    assert_int_equal(utf16_from_utf8(&wide, "a\xc3\xa4\xf0\x9f\x98\x80"), 0);
    assert_int_equal(wide.size, 8);
    assert_int_equal(utf16_to_utf8(&back, wide.data, wide.size), 0);
    assert_string_equal(buf_cstr(&back), "a\xc3\xa4\xf0\x9f\x98\x80");
    assert_int_equal(utf16_to_utf8(&back, wide.data, wide.size - 2), -1);
    assert_int_equal(utf16_from_utf8(&wide, "\xc0\x80"), -1);
    assert_int_equal(utf16_from_utf8(&wide, "\xed\xa0\x80"), -1);
    buf_release(&wide);
    buf_release(&back);
}

static void text_printable_escapes_what_moves_a_terminal(void **state)
{
    (void)state;
    char safe[64];
    assert_string_equal(text_printable(safe, sizeof safe, "a\x1b[2J\n\xff"), "a\\x1b[2J\\x0a\\xff");
    assert_string_equal(text_printable(safe, sizeof safe, "x\xe2\x80\xaey"), "x\\u{202e}y");
    assert_string_equal(text_printable(safe, sizeof safe, "\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
    char tiny[4];
    assert_string_equal(text_printable(tiny, sizeof tiny, "ab\xc3\xa4"), "ab");
}

static void text_to_bytes_knows_units_and_refuses_the_rest(void **state)
{
    static const char *const bad[] = {
        "", "K", "1KB", "-1", "1.5G", "1 K", "16777216T", "18446744073709551616", "1P"};
    uint64_t value = 0;
    (void)state;
    assert_int_equal(text_to_bytes("0", &value), 0);
    assert_int_equal(text_to_bytes("1500", &value), 0);
    assert_int_equal(value, 1500);
    assert_int_equal(text_to_bytes("2k", &value), 0);
    assert_int_equal(value, 2048);
    assert_int_equal(text_to_bytes("20G", &value), 0);
    assert_int_equal(value, 20ULL << 30);
    assert_int_equal(text_to_bytes("16777215T", &value), 0);
    assert_int_equal(value, 16777215ULL << 40);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(text_to_bytes(bad[i], &value), -1);
}

static void text_to_u64_refuses_overflow_and_signs(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(text_to_u64("65535", 65535, &value), 0);
    assert_int_equal(value, 65535);
    assert_int_equal(text_to_u64("65536", 65535, &value), -1);
    assert_int_equal(text_to_u64("18446744073709551615", UINT64_MAX, &value), 0);
    assert_int_equal(text_to_u64("18446744073709551616", UINT64_MAX, &value), -1);
    assert_int_equal(text_to_u64("-1", 10, &value), -1);
    assert_int_equal(text_to_u64("", 10, &value), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursor_read_past_end_sticks),
        cmocka_unit_test(cursor_sub_outside_fails_both),
        cmocka_unit_test(cursor_align_and_seek_stay_inside),
        cmocka_unit_test(buf_over_maximum_fails_and_drops),
        cmocka_unit_test(buf_patch_align_consume_work),
        cmocka_unit_test(err_wrap_prefixes_and_keeps_code),
        cmocka_unit_test(err_too_long_is_cut_at_a_whole_character),
        cmocka_unit_test(hex_wrong_length_or_digit_is_refused),
        cmocka_unit_test(utf16_ascii_around_others_is_written_in_order),
        cmocka_unit_test(buf_memory_over_maximum_is_not_used),
        cmocka_unit_test(utf16_round_trip_keeps_astral_characters),
        cmocka_unit_test(text_printable_escapes_what_moves_a_terminal),
        cmocka_unit_test(text_to_u64_refuses_overflow_and_signs),
        cmocka_unit_test(text_to_bytes_knows_units_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
