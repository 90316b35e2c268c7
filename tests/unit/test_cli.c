/* coordinator/cli: values, options, command lines, the progress line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "common/trust/keys.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/push_options.h"
#include "coordinator/cli/signing.h"
#include "coordinator/cli/site_bars.h"
#include "coordinator/cli/values.h"

#define NOW 1767225600 /* 2026-01-01T00:00:00Z */

static void duration_forms_are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t seconds; /* 0: refused */
    } rows[] = {
        {"90s", 90},     {"10m", 600},        {"2h", 7200},
        {"1h30m", 5400}, {"7d", 604800},      {"366d", 31622400},
        {"", 0},         {"10", 0},           {"0s", 0},
        {"1.5h", 0},     {"-1s", 0},          {"s", 0},
        {"367d", 0},     {"10 m", 0},         {"1h30", 0},
        {"5w", 0},       {"99999999999s", 0}, {"9999999d9999999d", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t seconds = 0;
        struct err err = {0};
        int result = duration_parse(rows[i].text, &seconds, &err);
        if (result != (rows[i].seconds == 0 ? -1 : 0) || seconds != rows[i].seconds)
            fail_msg("%s: %d %u", rows[i].text, result, seconds);
    }
}

static void time_utc_is_read_everything_else_refused(void **state)
{
    (void)state;
    int64_t unix_s = 0;
    struct err err = {0};
    assert_int_equal(time_parse("2026-01-01T00:00:00Z", TIME_ZONE_UTC, &unix_s, &err), 0);
    assert_int_equal(unix_s, NOW);
    assert_int_equal(time_parse("2024-02-29 23:59:59+00:00", TIME_ZONE_UTC, &unix_s, &err), 0);
    assert_int_equal(unix_s, 1709251199);
    static const char *const bad[] = {"",
                                      "tomorrow",
                                      "2026-01-01",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00+01:00",
                                      "2026-02-30T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:61:00Z",
                                      "2026-01-01T00:00:60Z",
                                      "2026-01-01T00:00:00.5Z",
                                      "2026-1-1T0:0:0Z",
                                      "1969-12-31T00:00:00Z",
                                      "2026-01-01T00:00:00Zjunk\x1b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (time_parse(bad[i], TIME_ZONE_UTC, &unix_s, &err) == 0)
            fail_msg("accepted %s", bad[i]);
        assert_null(strchr(err.text, '\x1b'));
    }
}

static void time_of_targets_is_read_without_zone_only(void **state)
{
    (void)state;
    int64_t unix_s = 0;
    struct err err = {0};
    assert_int_equal(time_parse("2026-01-01T00:00:00", TIME_ZONE_TARGET, &unix_s, &err), 0);
    assert_int_equal(unix_s, NOW);
    assert_int_equal(time_parse("2026-01-01T00:00:00Z", TIME_ZONE_TARGET, &unix_s, &err), -1);
    assert_non_null(strstr(err.text, "without Z"));
    assert_int_equal(time_parse("18:00", TIME_ZONE_TARGET, &unix_s, &err), -1);
    assert_int_equal(time_parse("2026-02-30T00:00:00", TIME_ZONE_TARGET, &unix_s, &err), -1);
    assert_int_equal(unix_s, NOW);
}

static void success_codes_are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t count; /* 0: refused */
        uint32_t codes[4];
    } rows[] = {
        {"0", 1, {0}},
        {"0,1641,3010", 3, {0, 1641, 3010}},
        {"3010,3010,0,3010", 2, {3010, 0}},
        {"0x80070642,-1", 2, {0x80070642, 0xffffffff}},
        {"0XfF,4294967295,-2147483648", 3, {255, 0xffffffff, 0x80000000}},
        {"00000", 1, {0}},
        {"", 0, {0}},
        {",", 0, {0}},
        {"0,", 0, {0}},
        {",0", 0, {0}},
        {"0 ,1", 0, {0}},
        {"-", 0, {0}},
        {"0x", 0, {0}},
        {"-0x1", 0, {0}},
        {"0xg", 0, {0}},
        {"4294967296", 0, {0}},
        {"-2147483649", 0, {0}},
        {"0x100000000", 0, {0}},
        {"99999999999", 0, {0}},
        {"1.5", 0, {0}},
        {"1\x1b", 0, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t codes[LIMIT_SUCCESS_CODES] = {0};
        uint32_t count = 0;
        struct err err = {0};
        int result = success_codes_parse(rows[i].text, codes, &count, &err);
        if (result != (rows[i].count == 0 ? -1 : 0) || count != rows[i].count ||
            memcmp(codes, rows[i].codes, count * sizeof *codes) != 0)
            fail_msg("%s: %d, %u codes", rows[i].text, result, count);
        assert_null(strchr(err.text, '\x1b'));
    }
    static const char most[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,"
                               "26,27,28,29,30,31,32";
    char more[sizeof most + 4];
    uint32_t codes[LIMIT_SUCCESS_CODES];
    uint32_t count = 0;
    struct err err = {0};
    assert_int_equal(success_codes_parse(most, codes, &count, &err), 0);
    assert_int_equal(count, 32);
    (void)snprintf(more, sizeof more, "%s,32", most);
    assert_int_equal(success_codes_parse(more, codes, &count, &err), 0);
    (void)snprintf(more, sizeof more, "%s,33", most);
    assert_int_equal(success_codes_parse(more, codes, &count, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void fail_limit_is_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t target_count;
        uint32_t stop_count; /* 0: refused */
    } rows[] = {
        {"0", 20, 1},      {"3", 20, 4},
        {"19", 20, 20},    {"20", 20, 21},
        {"4194304", 5, 6}, {"0%", 20, 1},
        {"5%", 20, 2},     {"5%", 19, 1},
        {"5%", 39, 2},     {"5%", 40, 3},
        {"100%", 20, 21},  {"33%", 4194304, 1384121},
        {"", 20, 0},       {"%", 20, 0},
        {"-1", 20, 0},     {"+1", 20, 0},
        {" 1", 20, 0},     {"1 ", 20, 0},
        {"1.5%", 20, 0},   {"101%", 20, 0},
        {"5%%", 20, 0},    {"4194305", 1, 0},
        {"x", 20, 0},      {"4294967296", 20, 0},
        {"1\x1b", 20, 0},  {"99999999999999999999", 20, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fail_limit limit = {0};
        struct err err = {0};
        int result = fail_limit_parse(rows[i].text, &limit, &err);
        uint32_t stop_count = fail_limit_stop_count(&limit, rows[i].target_count);
        if (result != (rows[i].stop_count == 0 ? -1 : 0) || stop_count != rows[i].stop_count)
            fail_msg("%s: %d, stops at %u", rows[i].text, result, stop_count);
        assert_null(strchr(err.text, '\x1b'));
    }
}

static void arguments_join_as_windows_splits(void **state)
{
    (void)state;
    static char one[] = "/S /D=C:\\Program Files\\x";
    static char plain[] = "/S";
    static char blank[] = "a b";
    static char empty[] = "";
    static char mark[] = "say \"hi\\\"";
    static char slash[] = "C:\\a b\\";
    char to[LIMIT_ARGUMENTS_SIZE];
    char *single[] = {one};
    assert_int_equal(arguments_join(single, 1, to, NULL), 0);
    assert_string_equal(to, "/S /D=C:\\Program Files\\x");
    char *many[] = {plain, blank, empty, mark, slash};
    assert_int_equal(arguments_join(many, 5, to, NULL), 0);
    assert_string_equal(to, "/S \"a b\" \"\" \"say \\\"hi\\\\\\\"\" \"C:\\a b\\\\\"");
    assert_int_equal(arguments_join(many, 0, to, NULL), 0);
    assert_string_equal(to, "");
    static char huge[LIMIT_ARGUMENTS_SIZE + 1];
    memset(huge, 'x', LIMIT_ARGUMENTS_SIZE);
    char *too_long[] = {huge};
    struct err err = {0};
    assert_int_equal(arguments_join(too_long, 1, to, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void word_is_quoted_as_a_shell_reads_it(void **state)
{
    (void)state;
    char to[32];
    shell_quote("./pw", to, sizeof to);
    assert_string_equal(to, "./pw");
    shell_quote("CORP\\deploy", to, sizeof to);
    assert_string_equal(to, "'CORP\\deploy'");
    shell_quote("my pw's", to, sizeof to);
    assert_string_equal(to, "'my pw'\\''s'");
    shell_quote("", to, sizeof to);
    assert_string_equal(to, "''");
    shell_quote("a word that is longer than the room for it", to, sizeof to);
    assert_int_equal(strlen(to), sizeof to - 1);
}

static void command_fits_the_kind_of_package(void **state)
{
    (void)state;
    static const struct {
        const char *name, *command, *arguments;
    } rows[] = {
        {"setup.exe", "", "/S"},
        {"x.MSI", "%SystemRoot%\\System32\\msiexec.exe",
         "/i \"C:\\SPDISTRO\\x.MSI\" /qn /norestart /S"},
        {"x.msp", "%SystemRoot%\\System32\\msiexec.exe",
         "/p \"C:\\SPDISTRO\\x.msp\" /qn /norestart /S"},
        {"x.msu", "%SystemRoot%\\System32\\wusa.exe",
         "\"C:\\SPDISTRO\\x.msu\" /quiet /norestart /S"},
        {"a b.cmd", "%SystemRoot%\\System32\\cmd.exe", "/d /s /c \"\"C:\\SPDISTRO\\a b.cmd\" /S\""},
        {"x.ps1", "%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
         "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File \"C:\\SPDISTRO\\x.ps1\" /S"},
        {"data.bin", "", "/S"},
    };
    static struct job job;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memset(&job, 0, sizeof job);
        (void)text_copy(job.package_name, sizeof job.package_name, rows[i].name);
        assert_int_equal(job_set_command(&job, NULL, "/S", NULL), 0);
        assert_string_equal(job.command, rows[i].command);
        assert_string_equal(job.arguments, rows[i].arguments);
    }
    assert_int_equal(job_set_command(&job, "C:\\tool.exe", "", NULL), 0);
    assert_string_equal(job.command, "C:\\tool.exe");
    assert_string_equal(job.arguments, "");
}

/* Splits at '|' and parses as push's words. */
static int parse_push(struct push_options *options, const char *line, struct err *err)
{
    static char copy[1024];
    char *words[32];
    int count = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    char *rest = NULL;
    for (char *word = strtok_r(copy, "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest))
        words[count++] = word;
    int result = push_options_parse(options, count, words, NOW, err);
    push_options_release(options);
    return result;
}

static void push_line_good_is_understood(void **state)
{
    (void)state;
    static struct push_options options;
    struct err err = {0};
    assert_int_equal(parse_push(&options,
                                "-y|x.exe|-tpc1|--targets=pc2|-t|10.0.0.0/24|--exclude|pc2|-u|"
                                "D\\u|--ping|prefer|--run-as=local-service|--deadline|2h|-qv|"
                                "--at|2026-01-01T01:00:00Z|--|/S|a b",
                                &err),
                     0);
    assert_string_equal(options.package, "x.exe");
    assert_int_equal(options.target_count, 3);
    assert_int_equal(options.exclude_count, 1);
    assert_string_equal(options.user, "D\\u");
    assert_int_equal(options.ping, PING_PREFER);
    assert_int_equal(options.run_as, RUN_AS_LOCAL_SERVICE);
    assert_int_equal(options.deadline_s, 7200);
    assert_int_equal(options.at_unix_s, NOW + 3600);
    assert_int_equal(options.run_timeout_s, RUN_TIMEOUT_DEFAULT_S);
    assert_false(options.wait);
    assert_true(options.yes && options.common.quiet && options.common.verbose);
    assert_string_equal(options.arguments, "/S \"a b\"");
    assert_int_equal(parse_push(&options, "--resume|7f3a|--user|u", &err), 0);
    assert_true(options.resume);
    assert_int_equal(parse_push(&options, "--nonsense|--help", &err), -1);
    assert_int_equal(parse_push(&options, "--help", &err), 0);
    assert_true(options.common.help);
}

static void push_line_wait_and_zone_are_understood(void **state)
{
    (void)state;
    static struct push_options options;
    struct err err = {0};
    assert_int_equal(parse_push(&options, "x.exe|-tpc1|-uu|--wait|--cleanup", &err), 0);
    assert_true(options.wait && options.cleanup);
    assert_int_equal(options.success_code_count, 3);
    assert_int_equal(options.success_codes[1], 1641);
    assert_int_equal(parse_push(&options, "x.exe|-tpc1|-uu|--wait|--success-codes=0,-1", &err), 0);
    assert_int_equal(options.success_code_count, 2);
    assert_int_equal(options.success_codes[1], 0xffffffff);
    /* The zone counts for times before it, too; a local time up to 12 hours ago is ahead somewhere.
     */
    assert_int_equal(parse_push(&options,
                                "x.exe|-tpc1|-uu|--at|2025-12-31T12:00:00|--until|"
                                "2026-01-01T06:00:00|--tz|target|--run-as|user",
                                &err),
                     0);
    assert_int_equal(options.zone, TIME_ZONE_TARGET);
    assert_int_equal(options.at_unix_s, NOW - 43200);
    assert_int_equal(options.until_unix_s, NOW + 21600);
    assert_int_equal(options.run_as, RUN_AS_USER);
}

static void push_line_bad_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "no package"},
        {"x.exe|--user|u", "no targets"},
        {"x.exe|-t|pc1", "--user is needed"},
        {"x.exe|-t|pc1|--user|", "needs a value"},
        {"x.exe|-t|pc1|--user=", "--user has 1 to"},
        {"x.exe|-t|pc1|--user|u|--frobnicate", "unknown option '--frobnicate'"},
        {"x.exe|-t|pc1|--user|u|--target|pc2", "unknown option '--target'"},
        {"x.exe|-t|pc1|--user|u|-Z", "unknown option '-Z'"},
        {"x.exe|-t|pc1|--user|u|--yes=1", "takes no value"},
        {"x.exe|-t|pc1|--user|u|-t", "needs a value"},
        {"x.exe|y.exe|-t|pc1|--user|u", "one package at a time"},
        {"x.exe|-t|-|--exclude|-|--user|u", "only once"},
        {"x.exe|-t|pc1|--user|u|--success-codes|0", "--success-codes needs --wait"},
        {"x.exe|-t|pc1|--user|u|--wait|--success-codes|0;1", "--success-codes '0;1'"},
        {"x.exe|-t|pc1|--user|u|--cleanup", "--cleanup needs --wait"},
        {"x.exe|-t|pc1|--user|u|--tz|site", "not in this version"},
        {"x.exe|-t|pc1|--user|u|--tz|CET", "--tz 'CET': utc or target"},
        {"x.exe|-t|pc1|--user|u|--tz|target", "--tz target needs --at"},
        {"x.exe|-t|pc1|--user|u|--tz|target|--at|2026-01-02T00:00:00Z", "--at: "},
        {"x.exe|-t|pc1|--user|u|--at|2026-01-02T00:00:00", "--at: "},
        {"x.exe|-t|pc1|--user|u|--tz|target|--at|2025-12-31T11:59:59", "past in every zone"},
        {"x.exe|-t|pc1|--user|u|--max-fail=x", "--max-fail: 'x'"},
        {"x.exe|-t|pc1|--user|u|--run-as|root", "--run-as 'root'"},
        {"x.exe|-t|pc1|--user|u|--detach", "--detach"},
        {"x.exe|-t|pc1|--user|u|--ping|maybe", "--ping 'maybe'"},
        {"x.exe|-t|pc1|--user|u|-o|html", "not in this version"},
        {"x.exe|-t|pc1|--user|u|-o|xml", "unknown format"},
        {"x.exe|-t|pc1|--user|u|--color|red", "--color"},
        {"x.exe|-t|pc1|--user|u|--until|2025-12-31T00:00:00Z", "--until is in the past"},
        {"x.exe|-t|pc1|--user|u|--at|2025-12-31T00:00:00Z", "--at is in the past"},
        {"x.exe|-t|pc1|--user|u|--at|2026-01-03T00:00:00Z|--until|2026-01-02T00:00:00Z",
         "after --at"},
        {"x.exe|-t|pc1|--user|u|--run-timeout|5", "no duration"},
        {"x.exe|-t|pc1|--user|u|--push-id|12", "32 hexadecimal"},
        {"--resume|zz|--user|u", "--resume: 'zz' is no push"},
        {"--resume|7f3a|-t|pc1|--user|u", "no -t"},
        {"--resume|7f3a|--user|u|--|/S", "--resume goes on as the push began: no arguments"},
        {"--resume|7f3a|--user|u|--wait", "no --wait"},
        {"--resume|7f3a|--user|u|--ping|skip", "no --ping"},
        {"--resume|7f3a|--user|u|--run-timeout|5m", "no --run-timeout"},
        {"x.exe|-t|pc1|--user|a\nb", "control character"},
    };
    static struct push_options options;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        if (parse_push(&options, rows[i].line, &err) != -1)
            fail_msg("accepted: %s", rows[i].line);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].line, err.text);
        assert_null(strchr(err.text, '\n'));
    }
}

static struct message_status sample_status(struct relay_row *relay)
{
    struct message_status status = {.relays = relay, .relay_count = 1};
    uint32_t *by_state = status.push.totals.by_state;
    by_state[TARGET_QUEUED] = 60;
    by_state[TARGET_RUNNING] = 20;
    by_state[TARGET_SCHEDULED] = 100;
    by_state[TARGET_FAILED] = 12;
    by_state[TARGET_UNREACHABLE] = 8;
    *relay = (struct relay_row){.site = "local", .live = true};
    relay->running[STAGE_PING] = 5;
    relay->running[STAGE_COPY] = 15;
    return status;
}

static void progress_line_counts_and_rates(void **state)
{
    (void)state;
    struct relay_row relay;
    struct message_status status = sample_status(&relay);
    char text[PROGRESS_TEXT_SIZE];
    assert_string_equal(progress_text(&status, 20, 4000, 200, text),
                        "local  [############--------]  60%  120/200  ok 100  failed 12  "
                        "unreachable 8  | ping 5 copy 15  25/s  ETA 00:00:03");
    assert_string_equal(progress_text(&status, 0, 0, 0, text),
                        "local   60%  120/200  ok 100  failed 12  unreachable 8  | ping 5 copy 15");
    assert_int_equal(strlen(progress_text(&status, 20, 4000, 40, text)), 39);
    status.push.wait = true; /* what is scheduled has not ended yet */
    assert_string_equal(progress_text(&status, 10, 4000, 200, text),
                        "local  [##------------------]  10%  20/200  failed 12  unreachable 8  "
                        "awaiting 100  | ping 5 copy 15  2.5/s");
    status.push.state = PUSH_CLOSED;
    assert_null(strchr(progress_text(&status, 0, 0, 0, text), '|'));
}

/* Lines that a progress without a terminal prints for these amounts of queued rows. */
static void progress_without_terminal_says_little(void **state)
{
    (void)state;
    struct relay_row relay;
    struct message_status status = sample_status(&relay);
    struct progress progress;
    FILE *out = tmpfile();
    assert_non_null(out);
    progress_init(&progress, out, 0);
    progress_show(&progress, &status, 1000, false); /* the first look says nothing */
    progress_show(&progress, &status, 5000, false);
    assert_int_equal(ftell(out), 0);
    progress_show(&progress, &status, 11000, false); /* 10 s */
    long once = ftell(out);
    assert_true(once > 0);
    progress_show(&progress, &status, 11200, false);
    assert_int_equal(ftell(out), once);
    status.push.totals.by_state[TARGET_QUEUED] -= 10; /* 5 % more */
    status.push.totals.by_state[TARGET_SCHEDULED] += 10;
    progress_show(&progress, &status, 11400, false);
    assert_true(ftell(out) > once);
    (void)fclose(out);
}

static void site_bars_add_up_relays_and_keep_the_line_short(void **state)
{
    (void)state;
    static const struct {
        const char *site, *relay;
        uint32_t scheduled, failed, queued;
    } rows[] = {{"-", "-", 0, 1, 0},
                {"lyon", "-", 0, 0, 10},
                {"lyon", "lyon-1", 20, 5, 0},
                {"lyon", "lyon-2", 5, 0, 0},
                {"a site \x1b[2J with a longer name", "x", 1, 0, 0}};
    struct push_part parts[5] = {0};
    char text[PROGRESS_TEXT_SIZE];
    uint32_t site_count = 9;
    assert_null(site_bars_fold(parts, 0, &site_count));
    assert_int_equal(site_count, 0);
    for (size_t i = 0; i < 5; i++) {
        text_copy(parts[i].site, sizeof parts[i].site, rows[i].site);
        text_copy(parts[i].relay, sizeof parts[i].relay, rows[i].relay);
        parts[i].totals.by_state[TARGET_SCHEDULED] = rows[i].scheduled;
        parts[i].totals.by_state[TARGET_FAILED] = rows[i].failed;
        parts[i].totals.by_state[TARGET_QUEUED] = rows[i].queued;
    }
    struct push_part *sites = site_bars_fold(parts, 5, &site_count);
    assert_int_equal(site_count, 3);
    assert_int_equal(totals_submitted(&sites[1].totals), 40);
    assert_int_equal(site_bars_name_width(sites, 2), 4);
    assert_int_equal(site_bars_name_width(sites, 3), 24);
    assert_string_equal(site_bar_text(&sites[0], false, 4, 0, text), "-     100%  1/1  failed 1");
    assert_string_equal(site_bar_text(&sites[1], false, 4, 100, text),
                        "lyon  [###############-----]  75%  30/40  ok 25  failed 5");
    assert_null(strchr(site_bar_text(&sites[2], false, 24, 61, text), '\x1b'));
    assert_true(strlen(text) < 61);
    free(sites);
}

static void seal_key_of_another_is_refused(void **state)
{
    (void)state;
    struct state_paths paths = {0};
    struct err err = {0};
    uint8_t said[LIMIT_KEY_BYTES];
    char text[KEY_TEXT_SIZE + 1];
    char path[STATE_PATH_SIZE + 16];
    (void)snprintf(paths.relay, sizeof paths.relay, "/tmp/pusher-cli-%ld", (long)getpid());
    (void)snprintf(path, sizeof path, "%s/seal.pub", paths.relay);
    assert_int_equal(mkdir(paths.relay, 0700), 0);
    memset(said, 0x5a, sizeof said);
    assert_int_equal(relay_seal_key_check(&paths, said, &err), -1); /* no file */
    key_text(said, text);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", text);
    (void)fclose(file);
    assert_int_equal(relay_seal_key_check(&paths, said, &err), 0);
    said[31] ^= 1;
    assert_int_equal(relay_seal_key_check(&paths, said, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    (void)unlink(path);
    (void)rmdir(paths.relay);
}

static void coordinator_endpoint_is_a_socket_path_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        const char *says; /* NULL: accepted */
    } rows[] = {
        {"", NULL},
        {"ipc:///run/pusher/control.sock", NULL},
        {"/run/pusher/control.sock", "is no coordinator"},
        {"ipc://control.sock", "from /"},
        {"ipc://", "is no coordinator"},
        {"IPC:///run/x", "is no coordinator"},
        {"tcp://10.0.0.1:4711", "not in this version"},
        {"ipc:///\x1b[31m/"
         "0123456789012345678901234567890123456789012345678901234567890123456789012345"
         "678901234567890123456789012345",
         "at most"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        int result = coordinator_endpoint_check(rows[i].endpoint, &err);
        if (result != (rows[i].says == NULL ? 0 : -1) ||
            (rows[i].says != NULL && strstr(err.text, rows[i].says) == NULL) ||
            strchr(err.text, '\x1b') != NULL)
            fail_msg("%s: %d %s", rows[i].endpoint, result, err.text);
    }
}

static void coordinator_option_wins_over_the_environment(void **state)
{
    (void)state;
    struct common_options common = {0};
    struct err err = {0};
    assert_int_equal(unsetenv("PUSHER_COORDINATOR"), 0);
    assert_string_equal(common_coordinator(&common), "");
    assert_int_equal(setenv("PUSHER_COORDINATOR", "ipc:///a", 1), 0);
    assert_string_equal(common_coordinator(&common), "ipc:///a");
    assert_int_equal(common_option(&common, COMMON_COORDINATOR, "ipc:///b", &err), 0);
    assert_string_equal(common_coordinator(&common), "ipc:///b");
    assert_int_equal(common_option(&common, COMMON_COORDINATOR, "", &err), 0);
    assert_string_equal(common_coordinator(&common), "");
    assert_int_equal(common_option(&common, COMMON_COORDINATOR, "b", &err), -1);
    assert_non_null(strstr(err.text, "--coordinator"));
    assert_int_equal(unsetenv("PUSHER_COORDINATOR"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duration_forms_are_read_or_refused),
        cmocka_unit_test(time_utc_is_read_everything_else_refused),
        cmocka_unit_test(time_of_targets_is_read_without_zone_only),
        cmocka_unit_test(success_codes_are_read_or_refused),
        cmocka_unit_test(fail_limit_is_read_or_refused),
        cmocka_unit_test(arguments_join_as_windows_splits),
        cmocka_unit_test(word_is_quoted_as_a_shell_reads_it),
        cmocka_unit_test(command_fits_the_kind_of_package),
        cmocka_unit_test(push_line_good_is_understood),
        cmocka_unit_test(push_line_wait_and_zone_are_understood),
        cmocka_unit_test(push_line_bad_is_refused),
        cmocka_unit_test(progress_line_counts_and_rates),
        cmocka_unit_test(progress_without_terminal_says_little),
        cmocka_unit_test(site_bars_add_up_relays_and_keep_the_line_short),
        cmocka_unit_test(seal_key_of_another_is_refused),
        cmocka_unit_test(coordinator_endpoint_is_a_socket_path_or_refused),
        cmocka_unit_test(coordinator_option_wins_over_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
