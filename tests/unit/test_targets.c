/* coordinator/cli: what TARGETS and --exclude stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/cli/target_file.h"
#include "coordinator/cli/target_item.h"
#include "coordinator/cli/targets.h"

/* Expands a space-separated list of items, '!' marking excludes, to "a b c". */
static char *expand(const char *items, char *to, size_t size)
{
    struct targets *targets = targets_new();
    struct err err = {0};
    char copy[2048];
    (void)snprintf(copy, sizeof copy, "%s", items);
    char *rest = copy;
    for (char *item = strtok_r(copy, " ", &rest); item != NULL; item = strtok_r(NULL, " ", &rest)) {
        int result = item[0] == '!' ? targets_exclude(targets, item + 1, &err)
                                    : targets_include(targets, item, &err);
        if (result != 0) {
            targets_free(targets);
            (void)snprintf(to, size, "error: %s", err.text);
            return to;
        }
    }
    targets_settle(targets);
    to[0] = '\0';
    size_t used = 0;
    for (uint32_t i = 0; i < targets_count(targets); i++)
        used += (size_t)snprintf(to + used, size - used, "%s%s", i == 0 ? "" : " ",
                                 targets_names(targets)[i]);
    targets_free(targets);
    return to;
}

static void items_good_expand_in_order_once(void **state)
{
    (void)state;
    static const struct {
        const char *items;
        const char *expected;
    } rows[] = {
        {"pc1", "pc1"},
        {"pc-2.corp.example", "pc-2.corp.example"},
        {"pc-2.corp.example.", "pc-2.corp.example."},
        {"pc1.", "pc1."},
        {"pc1.example. PC1.example pc1 pc1.", "pc1.example. pc1"},
        {"pc1.example. !pc1.EXAMPLE", ""},
        {"[2001:db8::1] 2001:db8::1", "2001:db8::1"},
        {"WIN_SRV01", "WIN_SRV01"},
        {"7-eleven", "7-eleven"},
        {"3d.example", "3d.example"},
        {"10.1.2.3", "10.1.2.3"},
        {"pc1 PC1 pc2 Pc1", "pc1 pc2"},
        {"10.1.2.0/30", "10.1.2.1 10.1.2.2"},
        {"10.1.2.3/30", "10.1.2.1 10.1.2.2"},
        {"10.1.2.0/31", "10.1.2.0 10.1.2.1"},
        {"10.1.2.7/32", "10.1.2.7"},
        {"10.1.2.254-10.1.3.1", "10.1.2.254 10.1.2.255 10.1.3.0 10.1.3.1"},
        {"255.255.255.254-255.255.255.255", "255.255.255.254 255.255.255.255"},
        {"10.1.2.1 10.1.2.0/30", "10.1.2.1 10.1.2.2"},
        {"2001:DB8::1", "2001:db8::1"},
        {"2001:db8:0:0::1 2001:db8::1", "2001:db8::1"},
        {"::ffff:10.1.2.3 10.1.2.3", "10.1.2.3"},
        {"2001:db8::/126", "2001:db8:: 2001:db8::1 2001:db8::2 2001:db8::3"},
        {"2001:db8::fe-2001:db8::100", "2001:db8::fe 2001:db8::ff 2001:db8::100"},
        {"10.1.2.0/29 !10.1.2.2-10.1.2.5", "10.1.2.1 10.1.2.6"},
        {"10.1.2.1 pc1 !10.0.0.0/8", "pc1"},
        {"10.1.2.1 2001:db8::1 !::/0", "10.1.2.1"},
        {"10.1.2.1 2001:db8::1 !0.0.0.0/0", "2001:db8::1"},
        {"pc1 PC2 pc3 !pc2 !PC3", "pc1"},
        {"10.1.2.0 10.1.2.1 !10.1.2.0/24", ""},
        {"2001:db8::1 !2001:DB8:0::1", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char got[1024];
        assert_string_equal(expand(rows[i].items, got, sizeof got), rows[i].expected);
    }
}

static void items_bad_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "10.1.2",
        "10.1.2.300",
        "1234",
        "10.1.2.3.4",
        "pc1.12",
        "-pc1",
        "pc1-",
        "pc1-.example",
        "pc..example",
        ".example",
        "pc1..",
        ".",
        "pc 1",
        "pc/1",
        "p\xc3\xa9",
        "pc1;reboot",
        "$(reboot)",
        "pc1\\share",
        "\\\\pc1",
        "http://pc1",
        "pc1:445",
        "[2001:db8::1",
        "[2001:db8::1]:445",
        "[10.1.2.3]",
        "[]",
        "fe80::1",
        "[fe80::1]",
        "fe80::1%eth0",
        "10.1.2.0/33",
        "10.1.2.0/",
        "10.1.2.0/-1",
        "10.1.2.0/255.255.255.0",
        "/24",
        "2001:db8::/129",
        "10.1.2.9-10.1.2.1",
        "10.1.2.1-",
        "10.1.2.1-9",
        "10.1.2.1-2001:db8::1",
        "10.1.2.300-10.1.2.305",
        "-",
        "@other.txt",
        "pool:lyon",
        "ldap:OU=PCs",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct target_item item;
        struct err err = {0};
        if (target_item_parse(rows[i], &item, &err) == 0)
            fail_msg("accepted: %s", rows[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strchr(err.text, '\''));
    }
}

static void item_hostile_bytes_error_is_printable(void **state)
{
    (void)state;
    struct target_item item;
    struct err err = {0};
    assert_int_equal(target_item_parse("pc\x1b[31m\xff", &item, &err), -1);
    for (const char *c = err.text; *c != '\0'; c++)
        assert_true(*c >= ' ' && *c < 0x7f);
}

static void host_length_limits_hold(void **state)
{
    (void)state;
    char label63[64];
    char name[400];
    struct target_item item;
    struct err err = {0};
    memset(label63, 'a', 63);
    label63[63] = '\0';
    assert_int_equal(target_item_parse(label63, &item, &err), 0);
    (void)snprintf(name, sizeof name, "%sa", label63);
    assert_int_equal(target_item_parse(name, &item, &err), -1);
    (void)snprintf(name, sizeof name, "%s.%s.%s.%.61s", label63, label63, label63, label63);
    assert_int_equal(strlen(name), 253);
    assert_int_equal(target_item_parse(name, &item, &err), 0);
    (void)snprintf(name, sizeof name, "%s.%s.%s.%.62s", label63, label63, label63, label63);
    assert_int_equal(target_item_parse(name, &item, &err), -1);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(target_item_parse(name, &item, &err), -1);
}

static void cidr_too_wide_is_refused(void **state)
{
    (void)state;
    static const char *const wide[] = {"10.0.0.0/15", "0.0.0.0/0",         "2001:db8::/64",
                                       "::/0",        "10.0.0.0-10.1.0.0", "::-ffff::"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        struct targets *targets = targets_new();
        struct err err = {0};
        assert_int_equal(targets_include(targets, wide[i], &err), -1);
        assert_int_equal(err.code, ERR_LIMIT);
        assert_int_equal(targets_count(targets), 0);
        targets_free(targets);
    }
    struct targets *targets = targets_new();
    assert_int_equal(targets_include(targets, "10.0.0.0/16", NULL), 0);
    assert_int_equal(targets_count(targets), 65534);
    assert_int_equal(targets_notes(targets).network_skipped, 2);
    targets_free(targets);
}

static void notes_count_what_happened(void **state)
{
    (void)state;
    struct targets *targets = targets_new();
    assert_int_equal(targets_include(targets, "10.1.2.0/29", NULL), 0);
    assert_int_equal(targets_include(targets, "10.1.2.1", NULL), 0);
    assert_int_equal(targets_exclude(targets, "10.1.2.2", NULL), 0);
    assert_int_equal(targets_exclude(targets, "pc9", NULL), 0);
    assert_int_equal(targets_exclude(targets, "10.9.0.0/16", NULL), 0);
    targets_settle(targets);
    struct targets_notes notes = targets_notes(targets);
    assert_int_equal(notes.duplicates, 1);
    assert_int_equal(notes.excluded, 1);
    assert_int_equal(notes.network_skipped, 2);
    assert_int_equal(notes.exclude_unmets, 2);
    assert_string_equal(notes.exclude_unmet, "pc9");
    targets_free(targets);
}

/* Reads `size` bytes as a target file; the error's text, or the names joined by blanks. */
static char *lines(const void *bytes, size_t size, char *to, size_t to_size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    rewind(file);
    struct targets *targets = targets_new();
    struct err err = {0};
    if (target_lines_add(targets, file, "list", false, &err) != 0) {
        (void)snprintf(to, to_size, "%s", err.text);
    } else {
        targets_settle(targets);
        size_t used = 0;
        to[0] = '\0';
        for (uint32_t i = 0; i < targets_count(targets); i++)
            used += (size_t)snprintf(to + used, to_size - used, "%s ", targets_names(targets)[i]);
    }
    targets_free(targets);
    (void)fclose(file);
    return to;
}

static void file_lines_comments_csv_and_crlf_are_read(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfpc1\r\n# all of them\n\n  pc2  # the new one\n"
                               "pc3,10.1.2.3,room 4\n\"pc4\";x\npc5\tdesk\n10.1.2.0/30\npc1";
    char got[512];
    assert_string_equal(lines(text, sizeof text - 1, got, sizeof got),
                        "pc1 pc2 pc3 pc4 pc5 10.1.2.1 10.1.2.2 ");
}

static void file_bad_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *expected; /* beginning of the error */
    } rows[] = {
        {"", 0, "list:1: no target in this file: it is empty"},
        {"# none\n\n", 8, "list:2: no target in this file"},
        {"pc1\npc2\npc 3\n", 13, "list:3: 'pc 3'"},
        {"pc1\n@more\n", 10, "list:2: '@more'"},
        {"pc1\n10.0.0.0/8\n", 15, "list:2: '10.0.0.0/8': too wide"},
        {"\xff\xfep\0c\0", 6, "list:1: not a text file (UTF-16?"},
        {"pc1\np\0c2\n", 9, "list:2: not a text file"},
    };
    char got[512];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lines(rows[i].text, rows[i].size, got, sizeof got);
        if (strncmp(got, rows[i].expected, strlen(rows[i].expected)) != 0)
            fail_msg("row %zu: %s", i, got);
    }
    char wide[5000];
    memset(wide, 'a', sizeof wide);
    lines(wide, sizeof wide, got, sizeof got);
    assert_non_null(strstr(got, "list:1: line longer"));
}

static void argument_missing_file_is_named(void **state)
{
    (void)state;
    struct targets *targets = targets_new();
    struct err err = {0};
    assert_int_equal(target_argument_add(targets, "@/nonexistent/x", false, stdin, &err), -1);
    assert_non_null(strstr(err.text, "cannot open target file /nonexistent/x"));
    assert_int_equal(target_argument_add(targets, "@/", false, stdin, &err), -1);
    assert_non_null(strstr(err.text, "is a directory"));
    targets_free(targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_good_expand_in_order_once),
        cmocka_unit_test(items_bad_are_refused_by_name),
        cmocka_unit_test(item_hostile_bytes_error_is_printable),
        cmocka_unit_test(host_length_limits_hold),
        cmocka_unit_test(cidr_too_wide_is_refused),
        cmocka_unit_test(notes_count_what_happened),
        cmocka_unit_test(file_lines_comments_csv_and_crlf_are_read),
        cmocka_unit_test(file_bad_is_refused_with_its_line),
        cmocka_unit_test(argument_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
