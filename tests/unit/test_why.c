/* common/report/why: one row at length, for people (golden file, UPDATE=1 rewrites it) and as JSON;
 * what packages print is a stranger's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "common/report/why.h"

#define GOLDEN "../golden/why.txt"

static char name[] = "pc\x1b[2J1";

static struct report_row row_of(enum target_state state, enum reason reason)
{
    struct report_row row = {.target = name, .site = "lyon", .relay = "relay-1"};
    row.outcome = (struct outcome){.state = state,
                                   .stage = STAGE_SCHEDULE,
                                   .reason = reason,
                                   .name_check = NAME_MATCHED,
                                   .tries = 1,
                                   .started_unix_ms = 1767225600500,
                                   .elapsed_ms = 65210,
                                   .stage_ms = {10, 20, 30, 40, 50, 60}};
    text_copy(row.outcome.address, sizeof row.outcome.address, "10.1.2.3");
    return row;
}

static void set_exit(struct report_row *row, uint32_t code)
{
    row->outcome.has_exit_code = true;
    row->outcome.exit_code = code;
    if (row->outcome.reason != REASON_NONE) {
        row->outcome.code_kind = CODE_EXIT;
        row->outcome.code = code;
    }
}

static struct push_summary push_of(bool wait)
{
    struct push_summary push = {.generation = 1, .state = PUSH_CLOSED, .wait = wait};
    text_copy(push.package_name, sizeof push.package_name, "setup.exe");
    return push;
}

/* Whole file as text. */
static char *text_of(FILE *file)
{
    static char text[524288];
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    return text;
}

static char *why_text(struct report_row *row, const void *output, size_t size, bool json)
{
    struct push_summary push = push_of(true);
    struct err err = {0};
    FILE *out = tmpfile();
    assert_non_null(out);
    row->output = malloc(size + 1);
    assert_non_null(row->output);
    if (size > 0)
        memcpy(row->output, output, size);
    row->output_size = size;
    assert_int_equal(json ? why_json(out, row, &push, &err) : why_print(out, row, &push, &err), 0);
    char *text = text_of(out);
    (void)fclose(out);
    free(row->output);
    row->output = NULL;
    return text;
}

static void print_one(FILE *out, struct report_row row, bool wait, const char *output)
{
    uint8_t bytes[512];
    struct err err = {0};
    struct push_summary push = push_of(wait);
    row.output_size = strlen(output);
    memcpy(bytes, output, row.output_size);
    row.output = bytes;
    assert_int_equal(why_print(out, &row, &push, &err), 0);
    (void)fputc('\n', out);
}

static void every_kind_of_end_matches_golden(void **state)
{
    (void)state;
    FILE *out = tmpfile();
    assert_non_null(out);
    struct report_row row = row_of(TARGET_SUCCEEDED, REASON_NONE);
    set_exit(&row, 3010);
    print_one(out, row, true, "Installing...\r\nDone.\r\n");
    row = row_of(TARGET_FAILED, REASON_EXIT_CODE);
    set_exit(&row, 0x80070643);
    row.outcome.tries = 3;
    print_one(out, row, true, "no line end \x1b]0;owned\x07 \xff\xe4 \xe2\x80\xaetxt\ta\rb\n\n.");
    print_one(out, row_of(TARGET_FAILED, REASON_RUN_TIMEOUT), true, "");
    print_one(out, row_of(TARGET_FAILED, REASON_NOT_STARTED), true, "");
    print_one(out, row_of(TARGET_SCHEDULED, REASON_NONE), true, "");
    print_one(out, row_of(TARGET_SCHEDULED, REASON_NONE), false, "");
    row = row_of(TARGET_FAILED, REASON_ACCESS_DENIED);
    row.outcome.stage = STAGE_ACCESS;
    row.outcome.code_kind = CODE_NTSTATUS;
    row.outcome.code = 0xc0000022;
    text_copy(row.outcome.detail, sizeof row.outcome.detail, "tree connect: \x1b[31mno");
    print_one(out, row, true, "");
    row = row_of(TARGET_CANCELLED, REASON_CANCELLED);
    row.outcome.stage = STAGE_COUNT;
    print_one(out, row, true, "");
    const char *got = text_of(out);
    static char expected[65536];
    FILE *file = fopen(GOLDEN, getenv("UPDATE") != NULL ? "w+" : "r");
    if (file == NULL)
        fail_msg("no golden file %s (UPDATE=1 makes it)", GOLDEN);
    if (getenv("UPDATE") != NULL)
        (void)fputs(got, file);
    rewind(file);
    expected[fread(expected, 1, sizeof expected - 1, file)] = '\0';
    (void)fclose(file);
    (void)fclose(out);
    assert_string_equal(got, expected);
}

static void output_of_any_bytes_is_harmless(void **state)
{
    (void)state;
    struct report_row row = row_of(TARGET_SUCCEEDED, REASON_NONE);
    static uint8_t bytes[LIMIT_OUTPUT_BYTES];
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof bytes; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (uint8_t)(random >> 33);
    }
    bytes[100] = '\0';
    const char *text = why_text(&row, bytes, sizeof bytes, false);
    for (const char *at = text; *at != '\0'; at++)
        if (((unsigned char)*at < ' ' && *at != '\n' && *at != '\t') || *at == 0x7f)
            fail_msg("byte 0x%02x", (unsigned)*at);
    assert_non_null(strstr(text, "the last that the package printed"));
    assert_non_null(strstr(text, "\\x00"));
}

static void long_line_keeps_its_characters(void **state)
{
    (void)state;
    struct report_row row = row_of(TARGET_SUCCEEDED, REASON_NONE);
    static const uint8_t euro[] = {0xe2, 0x82, 0xac};
    char line[1999];
    for (size_t i = 0; i + 1 < sizeof line; i += 3)
        memcpy(line + i, euro, sizeof euro);
    const char *text = why_text(&row, line, sizeof line - 1, false);
    assert_null(strstr(text, "\\xe2"));
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "\xe2\x82\xac")) != NULL; at++)
        count++;
    assert_int_equal(count, (sizeof line - 1) / 3);
}

static void json_output_is_text_or_base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } rows[] = {
        {"", 0, "\"output\":null,\"output_encoding\":null,\"output_cut\":false"},
        {"h\xc3\xa9\r\n", 5, "\"output\":\"h\\u00E9\\r\\n\",\"output_encoding\":\"utf-8\""},
        {"\xff", 1, "\"output\":\"/w==\",\"output_encoding\":\"base64\""},
        {"\xff\xfe", 2, "\"output\":\"//4=\",\"output_encoding\":\"base64\""},
        {"\xff\xfe\xfd", 3, "\"output\":\"//79\",\"output_encoding\":\"base64\""},
        {"a\0b", 3, "\"output\":\"YQBi\",\"output_encoding\":\"base64\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct report_row row = row_of(TARGET_FAILED, REASON_EXIT_CODE);
        set_exit(&row, 1603);
        const char *text = why_text(&row, rows[i].bytes, rows[i].size, true);
        if (strstr(text, rows[i].says) == NULL)
            fail_msg("%zu: %s", i, text);
        assert_non_null(strstr(text, "\"exit_meaning\":\"fatal error during"));
        assert_non_null(strstr(text, "\"schema_version\":1"));
        assert_null(strchr(text, '\x1b'));
    }
}

static void json_output_cut_in_a_character_stays_text(void **state)
{
    (void)state;
    struct report_row row = row_of(TARGET_SUCCEEDED, REASON_NONE);
    static char bytes[LIMIT_OUTPUT_BYTES];
    memset(bytes, 'x', sizeof bytes);
    bytes[0] = '\x82'; /* the end of a euro sign */
    bytes[1] = '\xac';
    const char *text = why_text(&row, bytes, sizeof bytes, true);
    assert_non_null(strstr(text, "\"output_encoding\":\"utf-8\",\"output_cut\":true"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_end_matches_golden),
        cmocka_unit_test(output_of_any_bytes_is_harmless),
        cmocka_unit_test(long_line_keeps_its_characters),
        cmocka_unit_test(json_output_is_text_or_base64),
        cmocka_unit_test(json_output_cut_in_a_character_stays_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
