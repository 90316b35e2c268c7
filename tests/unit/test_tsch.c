/* relay/tsch: calls against bytes that impacket made, HRESULTs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hex.h"
#include "common/base/utf16.h"
#include "relay/tsch/hresult.h"
#include "relay/tsch/tsch.h"
#include "tests/unit/hostile.h"

#define GOLDEN_FILE "../golden/tsch.txt" /* made by make_tsch.py */
#define PATH "\\Pusher\\00112233445566778899aabbccddeeff-1"
#define SDDL "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
#define XML "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Task>\xc3\xa9\xf0\x9f\x93\xa6</Task>"

/* Fills `bytes` with the golden message of that name. */
static void golden(const char *name, struct buf *bytes)
{
    FILE *file = fopen(GOLDEN_FILE, "r");
    assert_non_null(file);
    char line[8192];
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *space = strchr(line, ' ');
        assert_non_null(space);
        *space = '\0';
        if (strcmp(line, name) != 0)
            continue;
        found = true;
        char *digits = space + 1;
        digits[strcspn(digits, "\n")] = '\0';
        uint8_t *to = buf_reserve(bytes, strlen(digits) / 2);
        assert_int_equal(hex_decode(digits, to, strlen(digits) / 2), 0);
    }
    (void)fclose(file);
    if (!found)
        fail_msg("no golden message %s", name);
}

static void assert_golden(const char *name, struct buf *made)
{
    struct buf expected;
    buf_init(&expected, 65536);
    golden(name, &expected);
    assert_true(buf_ok(made));
    assert_int_equal(made->size, expected.size);
    if (made->size > 0)
        assert_memory_equal(made->data, expected.data, expected.size);
    buf_release(&expected);
    buf_reset(made);
}

static void requests_are_as_impacket_writes_them(void **state)
{
    (void)state;
    struct buf out;
    struct buf xml;
    buf_init(&out, 65536);
    buf_init(&xml, 65536);
    assert_int_equal(utf16_from_utf8(&xml, XML), 0);
    struct tsch_register task = {.path = PATH,
                                 .xml = xml.data,
                                 .xml_size = xml.size,
                                 .flags = TSCH_CREATE | TSCH_DONT_ADD_PRINCIPAL_ACE,
                                 .sddl = SDDL,
                                 .logon = TSCH_LOGON_SERVICE_ACCOUNT};
    struct err err;

    assert_int_equal(tsch_encode_highest_version(&out, &err), 0);
    assert_golden("highest_version", &out);
    assert_int_equal(tsch_encode_register(&out, &task, &err), 0);
    assert_golden("register", &out);
    task.sddl = NULL;
    task.flags = TSCH_VALIDATE_ONLY;
    task.logon = TSCH_LOGON_GROUP;
    assert_int_equal(tsch_encode_register(&out, &task, &err), 0);
    assert_golden("register_no_sddl", &out);
    assert_int_equal(tsch_encode_retrieve(&out, PATH, &err), 0);
    assert_golden("retrieve", &out);
    assert_int_equal(tsch_encode_create_folder(&out, "\\Pusher", SDDL, &err), 0);
    assert_golden("create_folder", &out);
    assert_int_equal(tsch_encode_create_folder(&out, "\\Pusher", NULL, &err), 0);
    assert_golden("create_folder_no_sddl", &out);
    assert_int_equal(tsch_encode_set_security(&out, "\\Pusher", SDDL, 0x10, &err), 0);
    assert_golden("set_security", &out);
    assert_int_equal(tsch_encode_get_security(&out, PATH, 7, &err), 0);
    assert_golden("get_security", &out);
    assert_int_equal(tsch_encode_stop(&out, PATH, &err), 0);
    assert_golden("stop", &out);
    assert_int_equal(tsch_encode_run(&out, PATH, 0, &err), 0);
    assert_golden("run", &out);
    assert_int_equal(tsch_encode_delete(&out, PATH, &err), 0);
    assert_golden("delete", &out);
    assert_int_equal(tsch_encode_get_last_run_info(&out, PATH, &err), 0);
    assert_golden("get_last_run_info", &out);
    assert_int_equal(tsch_encode_get_task_info(&out, PATH, &err), 0);
    assert_golden("get_task_info", &out);
    assert_int_equal(tsch_encode_enable_task(&out, PATH, true, &err), 0);
    assert_golden("enable_task", &out);
    assert_int_equal(tsch_encode_enable_task(&out, PATH, false, &err), 0);
    assert_golden("disable_task", &out);
    buf_release(&out);
    buf_release(&xml);
}

static void requests_with_bad_text_or_no_room_are_refused(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 65536);
    assert_int_equal(tsch_encode_delete(&out, "\\Pusher\\\xff", &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    buf_release(&out);
    buf_init(&out, 20);
    assert_int_equal(tsch_encode_delete(&out, PATH, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&out);
}

static void register_answers_are_read(void **state)
{
    (void)state;
    struct buf bytes;
    struct tsch_register_result result;
    struct err err;
    buf_init(&bytes, 65536);
    golden("register_response", &bytes);
    assert_int_equal(tsch_decode_register(bytes.data, bytes.size, &result, &err), 0);
    assert_int_equal(result.hresult, HRESULT_S_OK);
    assert_string_equal(result.actual_path, PATH);
    assert_false(result.has_error_info);
    buf_reset(&bytes);
    golden("register_refused_response", &bytes);
    assert_int_equal(tsch_decode_register(bytes.data, bytes.size, &result, &err), 0);
    assert_int_equal(result.hresult, 0x80041318);
    assert_string_equal(result.actual_path, "");
    assert_true(result.has_error_info);
    assert_int_equal(result.line, 7);
    assert_int_equal(result.column, 21);
    assert_string_equal(result.node, "Priority");
    assert_string_equal(result.value, "99");
    buf_release(&bytes);
}

static void retrieve_answers_are_read(void **state)
{
    (void)state;
    struct buf bytes;
    struct buf text;
    struct err err;
    const uint8_t *xml = NULL;
    size_t xml_size = 0;
    uint32_t hresult = 0;
    buf_init(&bytes, 65536);
    buf_init(&text, 65536);
    golden("retrieve_response", &bytes);
    assert_int_equal(tsch_decode_retrieve(bytes.data, bytes.size, &xml, &xml_size, &hresult, &err),
                     0);
    assert_int_equal(hresult, HRESULT_S_OK);
    assert_int_equal(utf16_to_utf8(&text, xml, xml_size), 0);
    assert_string_equal(buf_cstr(&text), XML);
    buf_reset(&bytes);
    golden("retrieve_missing_response", &bytes);
    assert_int_equal(tsch_decode_retrieve(bytes.data, bytes.size, &xml, &xml_size, &hresult, &err),
                     0);
    assert_int_equal(hresult, HRESULT_FILE_NOT_FOUND);
    assert_null(xml);
    buf_reset(&bytes);
    buf_reset(&text);
    golden("get_security_response", &bytes);
    assert_int_equal(tsch_decode_get_security(bytes.data, bytes.size, &text, &hresult, &err), 0);
    assert_string_equal(buf_cstr(&text), "O:BAG:SY" SDDL);
    buf_release(&bytes);
    buf_release(&text);
}

static void short_answers_are_read(void **state)
{
    (void)state;
    struct buf bytes;
    struct err err;
    uint32_t hresult = 1;
    uint32_t value = 0;
    bool enabled = false;
    struct tsch_time last_run;
    uint8_t guid[16];
    buf_init(&bytes, 65536);
    golden("highest_version_response", &bytes);
    assert_int_equal(tsch_decode_highest_version(bytes.data, bytes.size, &value, &hresult, &err),
                     0);
    assert_int_equal(value, 0x10004);
    buf_reset(&bytes);
    golden("run_response", &bytes);
    assert_int_equal(tsch_decode_run(bytes.data, bytes.size, guid, &hresult, &err), 0);
    assert_int_equal(guid[15], 15);
    buf_reset(&bytes);
    golden("get_last_run_info_response", &bytes);
    assert_int_equal(
        tsch_decode_get_last_run_info(bytes.data, bytes.size, &last_run, &value, &hresult, &err),
        0);
    assert_int_equal(last_run.year, 2026);
    assert_int_equal(last_run.day, 22);
    assert_int_equal(last_run.millisecond, 7);
    assert_int_equal(value, 3010);
    buf_reset(&bytes);
    golden("get_task_info_response", &bytes);
    assert_int_equal(
        tsch_decode_get_task_info(bytes.data, bytes.size, &enabled, &value, &hresult, &err), 0);
    assert_true(enabled);
    assert_int_equal(value, TSCH_STATE_READY);
    assert_int_equal(hresult, 0);
    buf_reset(&bytes);
    golden("hresult_response", &bytes);
    assert_int_equal(tsch_decode_hresult(bytes.data, bytes.size, &hresult, &err), 0);
    assert_int_equal(hresult, HRESULT_ALREADY_EXISTS);
    buf_release(&bytes);
}

static void string_with_nul_inside_is_refused(void **state)
{
    (void)state;
    /* pointer, counts 3 0 3, "D" NUL "E", HRESULT: a reader that stops at the NUL would be fooled
     */
    static const uint8_t bytes[] = {1, 0, 0,   0, 3, 0, 0,   0, 0, 0, 0, 0, 3, 0,
                                    0, 0, 'D', 0, 0, 0, 'E', 0, 0, 0, 0, 0, 0, 0};
    struct buf sddl;
    struct err err;
    uint32_t hresult = 0;
    buf_init(&sddl, 64);
    assert_int_equal(tsch_decode_get_security(bytes, sizeof bytes, &sddl, &hresult, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    buf_release(&sddl);
}

static void string_longer_than_its_maximum_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[] = {1, 0, 0,   0, 3,   0, 0, 0, 0, 0, 0, 0, 3, 0,
                       0, 0, 'D', 0, ':', 0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct buf sddl;
    struct err err;
    uint32_t hresult = 0;
    buf_init(&sddl, 64);
    assert_int_equal(tsch_decode_get_security(bytes, sizeof bytes, &sddl, &hresult, &err), 0);
    assert_string_equal(buf_cstr(&sddl), "D:");
    bytes[4] = 2;
    assert_int_equal(tsch_decode_get_security(bytes, sizeof bytes, &sddl, &hresult, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    buf_release(&sddl);
}

/* Runs every decoder over the bytes; returns how many accept them. */
static int decode_everything(const uint8_t *bytes, size_t size)
{
    struct tsch_register_result result;
    struct tsch_time time;
    struct buf sddl;
    struct err err;
    const uint8_t *xml = NULL;
    size_t xml_size = 0;
    uint32_t a = 0;
    uint32_t b = 0;
    bool enabled = false;
    uint8_t guid[16];
    int accepted = 0;
    buf_init(&sddl, 4096);
    accepted += tsch_decode_highest_version(bytes, size, &a, &b, &err) == 0;
    accepted += tsch_decode_register(bytes, size, &result, &err) == 0;
    if (tsch_decode_retrieve(bytes, size, &xml, &xml_size, &a, &err) == 0) {
        accepted++;
        if (xml != NULL)
            assert_true(xml >= bytes && xml_size <= size && xml + xml_size <= bytes + size);
    }
    accepted += tsch_decode_get_security(bytes, size, &sddl, &a, &err) == 0;
    accepted += tsch_decode_run(bytes, size, guid, &a, &err) == 0;
    accepted += tsch_decode_get_last_run_info(bytes, size, &time, &a, &b, &err) == 0;
    accepted += tsch_decode_get_task_info(bytes, size, &enabled, &a, &b, &err) == 0;
    accepted += tsch_decode_hresult(bytes, size, &a, &err) == 0;
    buf_release(&sddl);
    return accepted;
}

static void feed(const uint8_t *bytes, size_t size, void *context)
{
    (void)context;
    (void)decode_everything(bytes, size);
}

static void answers_cut_or_mutated_do_no_harm(void **state)
{
    (void)state;
    static const char *const names[] = {"register_response", "register_refused_response",
                                        "retrieve_response", "get_security_response",
                                        "get_last_run_info_response"};
    struct buf bytes;
    buf_init(&bytes, 65536);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        buf_reset(&bytes);
        golden(names[i], &bytes);
        hostile_truncate(bytes.data, bytes.size, feed, NULL);
        hostile_mutate(bytes.data, bytes.size, 2000, (uint32_t)i + 1, feed, NULL);
    }
    buf_release(&bytes);
}

static void register_answer_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf bytes;
    struct err err;
    struct tsch_register_result result;
    buf_init(&bytes, 65536);
    golden("register_refused_response", &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(tsch_decode_register(bytes.data, size, &result, &err), -1);
    buf_release(&bytes);
}

static void hresults_have_kind_and_name(void **state)
{
    (void)state;
    assert_int_equal(hresult_kind(0x800700b7), HRESULT_EXISTS);
    assert_int_equal(hresult_kind(0x80070002), HRESULT_NOT_FOUND);
    assert_int_equal(hresult_kind(0x80070003), HRESULT_NOT_FOUND);
    assert_int_equal(hresult_kind(0x80070005), HRESULT_DENIED);
    assert_int_equal(hresult_kind(0x8004131a), HRESULT_BAD_TASK);
    assert_int_equal(hresult_kind(0x80041322), HRESULT_BUSY);
    assert_int_equal(hresult_kind(0x00041303), HRESULT_OK);
    assert_int_equal(hresult_kind(0x00099999), HRESULT_OK);
    assert_int_equal(hresult_kind(0x80099999), HRESULT_OTHER);
    assert_string_equal(hresult_name(0x8004131a), "SCHED_E_MALFORMEDXML");
    assert_string_equal(hresult_name(0x80099999), "HRESULT");
    assert_string_equal(hresult_text(0x80099999), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_as_impacket_writes_them),
        cmocka_unit_test(requests_with_bad_text_or_no_room_are_refused),
        cmocka_unit_test(register_answers_are_read),
        cmocka_unit_test(retrieve_answers_are_read),
        cmocka_unit_test(short_answers_are_read),
        cmocka_unit_test(string_with_nul_inside_is_refused),
        cmocka_unit_test(string_longer_than_its_maximum_is_refused),
        cmocka_unit_test(answers_cut_or_mutated_do_no_harm),
        cmocka_unit_test(register_answer_cut_anywhere_is_refused),
        cmocka_unit_test(hresults_have_kind_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
