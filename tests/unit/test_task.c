/* relay/tsch/task: names, fingerprint, definition written, read back, matched; hostile XML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hex.h"
#include "common/base/utf16.h"
#include "relay/tsch/task.h"
#include "tests/unit/hostile.h"

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-16\"?>"                                                  \
    "<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">"

static const struct task_job job = {.push_id = {0xab, 0xcd},
                                    .generation = 3,
                                    .package_digest = {1, 2, 3},
                                    .command = "C:\\SPDISTRO\\setup.exe",
                                    .arguments = "/S",
                                    .principal = TASK_AS_SYSTEM};

static struct task make_task(void)
{
    struct task task = {.author = "Pusher",
                        .description = "Pusher job 00",
                        .principal = TASK_AS_SYSTEM,
                        .start_unix_s = 1767225600, /* 2026-01-01T00:00:00Z */
                        .end_unix_s = 1767312000,
                        .utc = true,
                        .execution_limit_s = 7200,
                        .delete_expired_after_s = 7 * 86400,
                        .command = "C:\\SPDISTRO\\a & b.exe",
                        .arguments = "/x \"1 < 2\" \xc3\xa9\xf0\x9f\x93\xa6",
                        .working_directory = "C:\\SPDISTRO"};
    return task;
}

/* The definition as UTF-8, for looking into; the buffer is the caller's. */
static const char *build_text(const struct task *task, struct buf *utf8)
{
    struct buf xml;
    struct err err = {0};
    buf_init(&xml, TASK_XML_SIZE_MAX);
    buf_init(utf8, TASK_XML_SIZE_MAX);
    if (task_xml_build(task, &xml, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(utf16_to_utf8(utf8, xml.data, xml.size), 0);
    buf_release(&xml);
    return buf_cstr(utf8);
}

static int read_text(const char *text, struct task_seen *seen, struct err *err)
{
    struct buf xml;
    buf_init(&xml, 4 * TASK_XML_SIZE_MAX);
    assert_int_equal(utf16_from_utf8(&xml, text), 0);
    int status = task_xml_read(xml.data, xml.size, seen, err);
    buf_release(&xml);
    return status;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s\nis not in\n%s", part, text);
}

static void path_holds_push_and_generation(void **state)
{
    (void)state;
    char path[TASK_PATH_SIZE];
    assert_string_equal(task_path(job.push_id, 3, path),
                        "\\Pusher\\abcd0000000000000000000000000000-3");
    assert_int_equal(strlen(task_path(job.push_id, UINT32_MAX, path)), 8 + 32 + 1 + 10);
}

static void description_covers_every_field(void **state)
{
    (void)state;
    char first[TASK_DESCRIPTION_SIZE];
    char other[TASK_DESCRIPTION_SIZE];
    (void)task_description(&job, first);
    assert_int_equal(strlen(first), strlen("Pusher job ") + 64);
    assert_string_equal(task_description(&job, other), first);
    struct task_job changed[8];
    for (size_t i = 0; i < 8; i++)
        changed[i] = job;
    changed[0].push_id[15] ^= 1;
    changed[1].generation++;
    changed[2].package_digest[31] ^= 1;
    changed[3].command = "C:\\SPDISTRO\\setup.exe/";
    changed[3].arguments = "S";
    changed[4].arguments = "/S ";
    changed[5].principal = TASK_AS_LOCAL_SERVICE;
    changed[6].user = "x";
    changed[7].arguments = NULL;
    for (size_t i = 0; i < 8; i++)
        assert_string_not_equal(task_description(&changed[i], other), first);
}

static void description_of_any_push_is_told_from_others(void **state)
{
    (void)state;
    char text[TASK_DESCRIPTION_SIZE];
    assert_true(task_description_is_ours(task_description(&job, text)));
    text[strlen(text) - 1] = 'g';
    assert_false(task_description_is_ours(text));
    text[strlen(text) - 1] = '\0';
    assert_false(task_description_is_ours(text));
    assert_false(task_description_is_ours(""));
    assert_false(task_description_is_ours("Pusher job "));
    assert_false(task_description_is_ours("Backs up the disk"));
}

static void definition_is_what_the_schema_wants(void **state)
{
    (void)state;
    struct buf utf8;
    struct task task = make_task();
    const char *text = build_text(&task, &utf8);
    assert_contains(text, HEAD "<RegistrationInfo><Author>Pusher</Author>"
                               "<Description>Pusher job 00</Description></RegistrationInfo>");
    assert_contains(text, "<TimeTrigger><Enabled>true</Enabled>"
                          "<StartBoundary>2026-01-01T00:00:00Z</StartBoundary>"
                          "<EndBoundary>2026-01-02T00:00:00Z</EndBoundary></TimeTrigger>");
    assert_contains(text, "<Principal id=\"Author\"><UserId>S-1-5-18</UserId>"
                          "<RunLevel>HighestAvailable</RunLevel></Principal>");
    assert_contains(text, "<DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>");
    assert_contains(text, "<StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>");
    assert_contains(text, "<StartWhenAvailable>true</StartWhenAvailable>");
    assert_contains(text, "<AllowStartOnDemand>false</AllowStartOnDemand>");
    assert_contains(text, "<MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>");
    assert_contains(text, "<DeleteExpiredTaskAfter>P7D</DeleteExpiredTaskAfter>");
    assert_contains(text, "<ExecutionTimeLimit>PT2H</ExecutionTimeLimit>");
    assert_contains(text, "<Priority>5</Priority>");
    assert_contains(text, "<Actions Context=\"Author\"><Exec>"
                          "<Command>C:\\SPDISTRO\\a &amp; b.exe</Command>"
                          "<Arguments>/x &quot;1 &lt; 2&quot; \xc3\xa9\xf0\x9f\x93\xa6</Arguments>"
                          "<WorkingDirectory>C:\\SPDISTRO</WorkingDirectory></Exec></Actions>");
    assert_null(strstr(text, "LogonType"));
    buf_release(&utf8);
}

static void durations_are_canonical(void **state)
{
    (void)state;
    static const struct {
        uint32_t seconds;
        const char *text;
    } cases[] = {
        {0, ">PT0S<"},    {1, ">PT1S<"},       {59, ">PT59S<"},
        {60, ">PT1M<"},   {3600, ">PT1H<"},    {3661, ">PT1H1M1S<"},
        {86400, ">P1D<"}, {86460, ">P1DT1M<"}, {UINT32_MAX, ">P49710DT6H28M15S<"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf utf8;
        struct task task = make_task();
        task.execution_limit_s = cases[i].seconds;
        assert_contains(build_text(&task, &utf8), cases[i].text);
        buf_release(&utf8);
    }
}

static void local_boundaries_have_no_zone(void **state)
{
    (void)state;
    struct buf utf8;
    struct task task = make_task();
    task.utc = false;
    assert_contains(build_text(&task, &utf8), "<StartBoundary>2026-01-01T00:00:00</StartBoundary>"
                                              "<EndBoundary>2026-01-02T00:00:00</EndBoundary>");
    buf_release(&utf8);
}

static void task_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\tb",         "a\nb",     "\x01",
                                      "\x7f",         "\xc2\x85", "\xef\xbf\xbe",
                                      "\xef\xbf\xbf", "\xff",     "\xed\xa0\x80"};
    struct buf out;
    struct err err;
    buf_init(&out, TASK_XML_SIZE_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct task task = make_task();
        task.arguments = bad[i];
        assert_int_equal(task_xml_build(&task, &out, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
    struct task task = make_task();
    task.command = "";
    assert_int_equal(task_xml_build(&task, &out, &err), -1);
    task = make_task();
    task.end_unix_s = task.start_unix_s;
    assert_int_equal(task_xml_build(&task, &out, &err), -1);
    task = make_task();
    task.end_unix_s = 253402300800;
    assert_int_equal(task_xml_build(&task, &out, &err), -1);
    task = make_task();
    task.start_unix_s = -1;
    assert_int_equal(task_xml_build(&task, &out, &err), -1);
    char long_command[TASK_COMMAND_SIZE + 1];
    memset(long_command, 'x', TASK_COMMAND_SIZE);
    long_command[TASK_COMMAND_SIZE] = '\0';
    task = make_task();
    task.command = long_command;
    assert_int_equal(task_xml_build(&task, &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&out);
}

static void task_of_longest_fields_fits(void **state)
{
    (void)state;
    char arguments[TASK_ARGUMENTS_SIZE];
    memset(arguments, '"', sizeof arguments - 1);
    arguments[sizeof arguments - 1] = '\0';
    struct task task = make_task();
    struct task_seen seen;
    struct buf xml;
    struct err err;
    task.arguments = arguments;
    buf_init(&xml, TASK_XML_SIZE_MAX);
    assert_int_equal(task_xml_build(&task, &xml, &err), 0);
    assert_int_equal(task_xml_read(xml.data, xml.size, &seen, &err), 0);
    assert_true(task_matches(&task, &seen, NULL, 0));
    buf_release(&xml);
}

static void task_read_back_matches(void **state)
{
    (void)state;
    static const char *const users[] = {NULL, "DOM\\anna"};
    for (int principal = TASK_AS_SYSTEM; principal <= TASK_AS_USER; principal++) {
        for (size_t i = 0; i < 2; i++) {
            struct task task = make_task();
            struct task_seen seen;
            struct buf xml;
            struct err err;
            char why[TASK_WHY_SIZE] = "";
            task.principal = (enum task_principal)principal;
            task.user = users[i];
            buf_init(&xml, TASK_XML_SIZE_MAX);
            assert_int_equal(task_xml_build(&task, &xml, &err), 0);
            assert_int_equal(task_xml_read(xml.data, xml.size, &seen, &err), 0);
            if (!task_matches(&task, &seen, why, sizeof why))
                fail_msg("%s", why);
            assert_string_equal(seen.start_boundary, "2026-01-01T00:00:00Z");
            assert_string_equal(seen.end_boundary, "2026-01-02T00:00:00Z");
            /* Other times are the same job; another principal is not. */
            task.start_unix_s++;
            assert_true(task_matches(&task, &seen, NULL, 0));
            task.principal = principal == TASK_AS_SYSTEM ? TASK_AS_USER : TASK_AS_SYSTEM;
            assert_false(task_matches(&task, &seen, why, sizeof why));
            assert_string_equal(why, "it runs as another account");
            buf_release(&xml);
        }
    }
}

/* As a scheduler may give it back: other order, white space, BOM, comments, names for SIDs. */
static void task_serialised_anew_matches(void **state)
{
    (void)state;
    struct task task = make_task();
    struct task_seen seen;
    struct err err = {0};
    char why[TASK_WHY_SIZE] = "";
    static const char text[] =
        "\xef\xbb\xbf" HEAD "\r\n  <!-- x -->\r\n"
        "  <Actions Context=\"Author\">\r\n    <Exec>\r\n"
        "      <WorkingDirectory>C:\\SPDISTRO</WorkingDirectory>\r\n"
        "      <Arguments><![CDATA[/x \"1 < 2\" ]]>&#233;&#x1F4E6;</Arguments>\r\n"
        "      <Command>C:\\SPDISTRO\\a &amp; b.exe</Command>\r\n    </Exec>\r\n  </Actions>\r\n"
        "  <Principals><Principal id=\"Author\"><RunLevel>HighestAvailable</RunLevel>"
        "<UserId>NT AUTHORITY\\SYSTEM</UserId></Principal></Principals>\r\n"
        "  <Triggers><TimeTrigger><StartBoundary>2026-01-01T00:00:15Z</StartBoundary>"
        "</TimeTrigger></Triggers>"
        "  <RegistrationInfo><URI>\\Pusher\\x</URI><Description>Pusher job 00</Description>"
        "</RegistrationInfo>\r\n</Task>";
    if (read_text(text, &seen, &err) != 0)
        fail_msg("%s", err.text);
    if (!task_matches(&task, &seen, why, sizeof why))
        fail_msg("%s", why);
}

/* Replaces the first occurrence in a built definition and reads the result. */
static void read_changed(const char *from, const char *to, struct task_seen *seen)
{
    struct buf utf8;
    struct buf changed;
    struct err err = {0};
    struct task task = make_task();
    const char *text = build_text(&task, &utf8);
    const char *at = strstr(text, from);
    assert_non_null(at);
    buf_init(&changed, TASK_XML_SIZE_MAX);
    buf_bytes(&changed, text, (size_t)(at - text));
    buf_text(&changed, to);
    buf_text(&changed, at + strlen(from));
    if (read_text(buf_cstr(&changed), seen, &err) != 0)
        fail_msg("%s: %s", to, err.text);
    buf_release(&changed);
    buf_release(&utf8);
}

static void task_that_differs_does_not_match(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        const char *why;
    } cases[] = {
        {"Pusher job 00", "Pusher job 01", "its description is not this job's"},
        {"<Description>Pusher job 00</Description>", "", "its description is not this job's"},
        {"a &amp; b.exe", "evil.exe", "its command differs"},
        {"/x ", "/y ", "its arguments differ"},
        {"C:\\SPDISTRO</Work", "C:\\</Work", "its working directory differs"},
        {"S-1-5-18", "S-1-5-19", "it runs as another account"},
        {"</Exec>", "</Exec><Exec><Command>x</Command></Exec>",
         "it does not have exactly one command"},
        {"<Exec>", "<ComHandler/><Exec>", "it does not have exactly one command"},
        {"<UserId>S-1-5-18</UserId>", "<UserId>S-1-5-18</UserId><GroupId>S-1-1-0</GroupId>",
         "it runs as another account"},
        {"</Principals>", "<Principal id=\"b\"/></Principals>", "it runs as another account"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct task task = make_task();
        struct task_seen seen;
        char why[TASK_WHY_SIZE] = "";
        read_changed(cases[i].from, cases[i].to, &seen);
        assert_false(task_matches(&task, &seen, why, sizeof why));
        assert_string_equal(why, cases[i].why);
    }
}

static void foreign_namespace_and_place_do_not_count(void **state)
{
    (void)state;
    struct task_seen seen;
    read_changed(
        "<Actions Context=\"Author\">",
        "<Data><Exec><Command>x</Command></Exec></Data>"
        "<e:Actions xmlns:e=\"urn:e\"><e:Exec><e:Command>y</e:Command></e:Exec></e:Actions>"
        "<Actions Context=\"Author\">",
        &seen);
    assert_int_equal(seen.action_count, 1);
    assert_string_equal(seen.command, "C:\\SPDISTRO\\a & b.exe");
}

static void field_too_long_is_cut_and_never_ours(void **state)
{
    (void)state;
    struct task task = make_task();
    struct task_seen seen;
    char why[TASK_WHY_SIZE];
    char description[4 * TASK_DESCRIPTION_SIZE];
    memset(description, 'd', sizeof description - 1);
    description[sizeof description - 1] = '\0';
    read_changed("Pusher job 00", description, &seen);
    assert_true(seen.oversized);
    assert_int_equal(strlen(seen.description), TASK_DESCRIPTION_SIZE - 1);
    assert_false(task_matches(&task, &seen, why, sizeof why));
}

static void xml_that_is_no_task_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        " ",
        "x",
        "<Task/>",
        "<a xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\"/>",
        HEAD,
        HEAD "</Tas>",
        HEAD "</Task>x",
        HEAD "<a b='1' b='2'/></Task>",
        HEAD "&foo;</Task>",
        HEAD "&#0;</Task>",
        HEAD "&#xD800;</Task>",
        HEAD "<RegistrationInfo><Description>a</Description><Description>b</Description>"
             "</RegistrationInfo></Task>",
        HEAD "<RegistrationInfo><Description>a<b/>c</Description></RegistrationInfo></Task>",
        "<!DOCTYPE Task [<!ENTITY a \"b\">]>" HEAD "</Task>",
        ("<!DOCTYPE Task SYSTEM \"file:///etc/passwd\"><Task "
         "xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\"/>"),
    };
    struct task_seen seen;
    struct err err;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (read_text(texts[i], &seen, &err) != -1)
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
    assert_int_equal(task_xml_read((const uint8_t *)"", 0, &seen, &err), -1);
    assert_int_equal(task_xml_read((const uint8_t *)"abc", 3, &seen, &err), -1);
}

static void xml_too_deep_or_too_big_is_refused(void **state)
{
    (void)state;
    struct buf text;
    struct task_seen seen;
    struct err err;
    buf_init(&text, 2 * TASK_XML_SIZE_MAX);
    buf_text(&text, HEAD);
    for (unsigned i = 0; i < 1000; i++)
        buf_text(&text, "<a>");
    assert_int_equal(read_text(buf_cstr(&text), &seen, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_reset(&text);
    buf_text(&text, HEAD);
    while (text.size < TASK_XML_SIZE_MAX)
        buf_text(&text, "          ");
    buf_text(&text, "</Task>");
    assert_int_equal(read_text(buf_cstr(&text), &seen, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&text);
}

static void feed(const uint8_t *bytes, size_t size, void *context)
{
    struct task_seen seen;
    struct err err;
    if (task_xml_read(bytes, size, &seen, &err) == 0)
        (void)task_matches(context, &seen, NULL, 0);
}

static void hostile_xml_does_no_harm(void **state)
{
    (void)state;
    struct task task = make_task();
    struct buf xml;
    struct err err;
    buf_init(&xml, TASK_XML_SIZE_MAX);
    assert_int_equal(task_xml_build(&task, &xml, &err), 0);
    hostile_truncate(xml.data, xml.size, feed, &task);
    hostile_mutate(xml.data, xml.size, 5000, 31, feed, &task);
    buf_release(&xml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_holds_push_and_generation),
        cmocka_unit_test(description_covers_every_field),
        cmocka_unit_test(description_of_any_push_is_told_from_others),
        cmocka_unit_test(definition_is_what_the_schema_wants),
        cmocka_unit_test(durations_are_canonical),
        cmocka_unit_test(local_boundaries_have_no_zone),
        cmocka_unit_test(task_that_cannot_be_written_is_refused),
        cmocka_unit_test(task_of_longest_fields_fits),
        cmocka_unit_test(task_read_back_matches),
        cmocka_unit_test(task_serialised_anew_matches),
        cmocka_unit_test(task_that_differs_does_not_match),
        cmocka_unit_test(foreign_namespace_and_place_do_not_count),
        cmocka_unit_test(field_too_long_is_cut_and_never_ours),
        cmocka_unit_test(xml_that_is_no_task_is_refused),
        cmocka_unit_test(xml_too_deep_or_too_big_is_refused),
        cmocka_unit_test(hostile_xml_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
