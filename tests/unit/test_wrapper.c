/* common/pkg/wrapper: what cmd reads from the script is what the job says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/pkg/wrapper.h"

static struct job job_of(const char *name, const char *command, const char *arguments)
{
    struct job job = {.generation = 3, .wait = true};
    memset(job.push.bytes, 0xab, sizeof job.push.bytes);
    (void)snprintf(job.package_name, sizeof job.package_name, "%s", name);
    (void)snprintf(job.command, sizeof job.command, "%s", command);
    (void)snprintf(job.arguments, sizeof job.arguments, "%s", arguments);
    return job;
}

/* What cmd makes of a line of a script, by its own rules: percent signs first, then quotation
 * marks and carets. Fails where a special character would act. %NAME% becomes <NAME>. */
static void read_as_cmd(const char *line, char *to, size_t size)
{
    char expanded[2 * WRAPPER_LINE_MAX];
    size_t n = 0;
    for (const char *at = line; *at != '\0'; at++) {
        const char *end = *at == '%' ? strchr(at + 1, '%') : NULL;
        if (*at != '%') {
            expanded[n++] = *at;
        } else if (end == at + 1) {
            expanded[n++] = '%';
            at++;
        } else {
            assert_non_null(end);
            n += (size_t)snprintf(expanded + n, sizeof expanded - n, "[%.*s]", (int)(end - at - 1),
                                  at + 1);
            at = end;
        }
    }
    expanded[n] = '\0';
    bool quoted = false;
    size_t written = 0;
    for (const char *at = expanded; *at != '\0'; at++) {
        if (*at == '"')
            quoted = !quoted;
        if (!quoted && *at == '^') {
            at++;
            assert_int_not_equal(*at, '\0');
        } else if (!quoted && strchr("&|<>()", *at) != NULL) {
            fail_msg("%c acts in %s", *at, line);
        }
        assert_true(written + 1 < size);
        to[written++] = *at;
    }
    to[written] = '\0';
}

/* The line that runs the package, as cmd reads it. */
static const char *line_read(const struct job *job)
{
    static char read[2 * WRAPPER_LINE_MAX];
    static char line[WRAPPER_SIZE_MAX];
    struct buf script;
    struct err err;
    buf_init(&script, WRAPPER_SIZE_MAX);
    if (wrapper_build(job, &script, &err) != 0)
        fail_msg("%s", err.text);
    const char *start = strstr(buf_cstr(&script), "\r\n:run\r\n");
    assert_non_null(start);
    start += strlen("\r\n:run\r\n");
    const char *end = strstr(start, "\r\n");
    assert_non_null(end);
    assert_string_equal(end, "\r\nexit /b %errorlevel%\r\n");
    (void)snprintf(line, sizeof line, "%.*s", (int)(end - start), start);
    buf_release(&script);
    read_as_cmd(line, read, sizeof read);
    return read;
}

static void refused(const struct job *job, const char *sentence)
{
    struct buf script;
    struct err err;
    buf_init(&script, WRAPPER_SIZE_MAX);
    assert_int_equal(wrapper_build(job, &script, &err), -1);
    buf_release(&script);
    if (strstr(err.text, sentence) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
    assert_int_equal(job_command_check(job, &err), -1);
}

static void script_of_a_program_is_exactly_this(void **state)
{
    (void)state;
    struct job job = job_of("setup.exe", "", "/S 100% & more");
    struct buf script;
    struct err err;
    buf_init(&script, WRAPPER_SIZE_MAX);
    assert_int_equal(wrapper_build(&job, &script, &err), 0);
    assert_string_equal(buf_cstr(&script),
                        "@echo off\r\n"
                        "setlocal EnableExtensions DisableDelayedExpansion\r\n"
                        "set \"errorlevel=\"\r\n"
                        "call :run "
                        ">\"C:\\SPDISTRO\\.pusher-abababababababababababababababab-3.out\" 2>&1 "
                        "<nul\r\n"
                        "set \"pusher_end=%errorlevel%\"\r\n"
                        ">\"C:\\SPDISTRO\\.pusher-abababababababababababababababab-3.end\" echo "
                        "%pusher_end%\r\n"
                        "exit %pusher_end%\r\n"
                        ":run\r\n"
                        "\"C:\\SPDISTRO\\setup.exe\" /S 100%% ^& more\r\n"
                        "exit /b %errorlevel%\r\n");
    buf_release(&script);
    char arguments[WRAPPER_ARGUMENTS_SIZE];
    assert_string_equal(
        wrapper_arguments(&job.push, job.generation, arguments),
        "/d /v:off /e:on /c C:\\SPDISTRO\\.pusher-abababababababababababababababab-3.cmd");
}

static void arguments_arrive_as_they_stand(void **state)
{
    (void)state;
    static const char *const all[] = {
        "",
        "/S",
        "%PATH% %1 %* %% % 100%",
        "a & b && c | d || e < f > g 2>&1 (h) ^ ^^ i",
        "\"a & b\" c & d \"e",
        "\"\"\"a\" & \"\"b\"",
        "\\\"quoted & escaped\\\" & \"C:\\Program Files\\x\\\"",
        "!PATH! ^!x^! !",
        "=,;`'~#@$[]{}+-*?:/\\.",
        "^\"a & b^\"",
        ":label @echo rem",
    };
    char expected[1024];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct job job = job_of("setup.exe", "", all[i]);
        (void)snprintf(expected, sizeof expected, "\"C:\\SPDISTRO\\setup.exe\"%s%s",
                       all[i][0] != '\0' ? " " : "", all[i]);
        assert_string_equal(line_read(&job), expected);
    }
}

static void random_arguments_arrive_as_they_stand(void **state)
{
    (void)state;
    static const char letters[] = "%^&|<>()\"\"! ab\\,;=1";
    uint32_t random = 12345;
    char expected[512];
    for (int round = 0; round < 3000; round++) {
        char text[64];
        size_t length = 0;
        do {
            random = random * 1664525U + 1013904223U;
            text[length++] = letters[(random >> 16) % (sizeof letters - 1)];
        } while (length + 1 < sizeof text && (random >> 27) != 0);
        text[length] = '\0';
        struct job job = job_of("setup.exe", "", text);
        (void)snprintf(expected, sizeof expected, "\"C:\\SPDISTRO\\setup.exe\" %s", text);
        assert_string_equal(line_read(&job), expected);
    }
}

static void variables_of_the_command_are_left_to_cmd(void **state)
{
    (void)state;
    struct job job = job_of("a.msi", "%SystemRoot%\\System32\\msiexec.exe", "/i x");
    assert_string_equal(line_read(&job), "\"[SystemRoot]\\System32\\msiexec.exe\" /i x");
    job = job_of("a.exe", "\"%ProgramFiles(x86)%\\50%\\a & b.exe\"", "");
    assert_string_equal(line_read(&job), "\"[ProgramFiles(x86)]\\50%\\a & b.exe\"");
    job = job_of("100%PATH%.exe", "", ""); /* a file's name has no variables */
    assert_string_equal(line_read(&job), "\"C:\\SPDISTRO\\100%PATH%.exe\"");
}

static void script_runs_in_a_cmd_of_its_own(void **state)
{
    (void)state;
    struct job job = job_of("x.cmd", "%SystemRoot%\\System32\\cmd.exe",
                            "/d /s /c \"\"C:\\SPDISTRO\\x.cmd\" a \"b c\"\"");
    assert_string_equal(line_read(&job), "\"[SystemRoot]\\System32\\cmd.exe\" /d /s /c "
                                         "\"\"C:\\SPDISTRO\\x.cmd\" a \"b c\"\"");
    job = job_of("x.exe", "%TOOLS%\\run.BAT", "a b");
    assert_string_equal(line_read(&job), "\"[SystemRoot]\\System32\\cmd.exe\" /d /s /c "
                                         "\"\"%TOOLS%\\run.BAT\" a b\"");
}

static void what_a_script_would_not_get_is_refused_with_and_without_waiting(void **state)
{
    (void)state;
    struct err err;
    char arguments[128];
    char sentence[32];
    for (const char *at = "%^&|<>!"; *at != '\0'; at++) {
        (void)snprintf(arguments, sizeof arguments,
                       "/d /s /c \"\"C:\\SPDISTRO\\x.cmd\" a \"b%cc\"\"", *at);
        (void)snprintf(sentence, sizeof sentence, "the character %c", *at);
        struct job job = job_of("x.cmd", "%SystemRoot%\\System32\\cmd.exe", arguments);
        refused(&job, sentence);
        job.wait = false;
        assert_int_equal(job_command_check(&job, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        job = job_of("x.exe", "run.cmd", arguments + strlen("/d /s /c \"\"C:\\SPDISTRO\\x.cmd\""));
        refused(&job, sentence);
    }
    struct job job = job_of("100%x.cmd", "cmd.exe", "/d /s /c \"\"C:\\SPDISTRO\\100%x.cmd\"\"");
    refused(&job, "the package's name");
    job = job_of("100%x.bat", "", "");
    refused(&job, "the package's name");
    /* What the operator writes for a cmd of theirs is theirs. */
    job = job_of("x.exe", "cmd.exe", "/c dir & ver");
    assert_int_equal(job_command_check(&job, &err), 0);
}

static void what_no_script_can_hold_is_refused_by_name(void **state)
{
    (void)state;
    struct err err;
    static const struct {
        const char *command;
        const char *arguments;
        const char *sentence;
    } rows[] = {
        {"", "a\nb", "a line end"},
        {"", "a\rb", "a line end"},
        {"", "a\tb", "control character 0x09"},
        {"", "a\x7f", "control character 0x7F"},
        {"",
         "Stra\xc3\x9f"
         "e",
         "not ASCII (byte 0xC3)"},
        {"C:\\\xc3\xa4.exe", "", "the command: a character that is not ASCII"},
        {"a\"b.exe", "", "a \" cannot be part"},
        {"\"\"", "", "the command is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct job job = job_of("setup.exe", rows[i].command, rows[i].arguments);
        refused(&job, rows[i].sentence);
        job.wait = false;
        assert_int_equal(job_command_check(&job, &err), 0);
    }
    struct job job = job_of("p\xc3\xa4ket.exe", "", "");
    refused(&job, "not ASCII");
}

static void line_as_long_as_cmd_reads_is_the_limit(void **state)
{
    (void)state;
    struct err err;
    struct buf script;
    char arguments[WRAPPER_LINE_MAX + 1];
    size_t room = WRAPPER_LINE_MAX - strlen("\"C:\\SPDISTRO\\setup.exe\" ");
    memset(arguments, 'a', sizeof arguments);
    arguments[room] = '\0';
    struct job job = job_of("setup.exe", "", arguments);
    buf_init(&script, WRAPPER_SIZE_MAX);
    assert_int_equal(wrapper_build(&job, &script, &err), 0);
    buf_release(&script);
    arguments[0] = '%'; /* doubled: one more */
    job = job_of("setup.exe", "", arguments);
    buf_init(&script, WRAPPER_SIZE_MAX);
    assert_int_equal(wrapper_build(&job, &script, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_release(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(script_of_a_program_is_exactly_this),
        cmocka_unit_test(arguments_arrive_as_they_stand),
        cmocka_unit_test(random_arguments_arrive_as_they_stand),
        cmocka_unit_test(variables_of_the_command_are_left_to_cmd),
        cmocka_unit_test(script_runs_in_a_cmd_of_its_own),
        cmocka_unit_test(what_a_script_would_not_get_is_refused_with_and_without_waiting),
        cmocka_unit_test(what_no_script_can_hold_is_refused_by_name),
        cmocka_unit_test(line_as_long_as_cmd_reads_is_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
