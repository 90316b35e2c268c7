/* common/report: fold, the conservation law, exit status order, renderers against golden files
 * (rewritten with UPDATE=1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "common/report/fold.h"
#include "common/report/format.h"
#include "common/report/output.h"
#include "common/report/push_json.h"

#define GOLDEN "../golden/"

static char no_target[] = "pc0";

static struct report_row row_of(uint32_t no, char *target, const char *site,
                                enum target_state state, enum stage stage, enum reason reason)
{
    struct report_row row = {.target_no = no, .target = target};
    text_copy(row.site, sizeof row.site, site);
    text_copy(row.relay, sizeof row.relay, site[0] == '\0' ? "-" : "relay-1");
    row.outcome = (struct outcome){.state = state, .stage = stage, .reason = reason};
    if (stage != STAGE_COUNT) {
        row.outcome.tries = 1;
        row.outcome.started_unix_ms = 1767225600500;
        row.outcome.elapsed_ms = 1234;
        for (int i = 0; i <= (int)stage; i++)
            row.outcome.stage_ms[i] = 10U * (uint32_t)(i + 1);
    }
    return row;
}

/* A push with one row of every kind that matters, hostile text among them. */
static size_t sample(struct report_row rows[16])
{
    static char targets[][32] = {"pc1",     "pc2",       "10.1.2.3", "pc4",         "pc\x1b[2J5",
                                 "PC-0412", "p\xc3\xa9", "pc8",      "2001:db8::9", "pc10"};
    size_t n = 0;
    rows[n] = row_of(0, targets[0], "lyon", TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
    text_copy(rows[n].outcome.address, LIMIT_ADDRESS_SIZE, "10.1.2.1");
    rows[n++].outcome.bytes = 1048576;
    rows[n] = row_of(1, targets[1], "lyon", TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
    rows[n++].outcome.bytes = 1048576;
    rows[n++] = row_of(2, targets[2], "lyon", TARGET_UNREACHABLE, STAGE_PING, REASON_NO_REPLY);
    rows[n] = row_of(3, targets[3], "", TARGET_FAILED, STAGE_RESOLVE, REASON_NXDOMAIN);
    rows[n].outcome.code_kind = CODE_DNS;
    rows[n++].outcome.code = 3;
    rows[n] = row_of(4, targets[4], "paris", TARGET_FAILED, STAGE_ACCESS, REASON_ACCESS_DENIED);
    rows[n].outcome.code_kind = CODE_NTSTATUS;
    rows[n].outcome.code = 0xC0000022;
    text_copy(rows[n++].outcome.detail, LIMIT_DETAIL_SIZE,
              "\xff\xfe \x1b]0;owned\x07 \xe2\x80\xae \"quoted\" <b>");
    rows[n] = row_of(5, targets[5], "lyon", TARGET_FAILED, STAGE_ACCESS, REASON_ACCESS_DENIED);
    rows[n].outcome.code_kind = CODE_NTSTATUS;
    rows[n++].outcome.code = 0xC0000022;
    rows[n++] =
        row_of(6, targets[6], "lyon", TARGET_UNKNOWN_EFFECT, STAGE_SCHEDULE, REASON_RELAY_LOST);
    rows[n++] = row_of(7, targets[7], "lyon", TARGET_CANCELLED, STAGE_COUNT, REASON_CANCELLED);
    rows[n++] = row_of(8, targets[8], "paris", TARGET_RUNNING, STAGE_COUNT, REASON_NONE);
    rows[n++] = row_of(9, targets[9], "paris", TARGET_QUEUED, STAGE_COUNT, REASON_NONE);
    return n;
}

/* What ends and what is awaited with --wait. */
static size_t waited(struct report_row rows[16])
{
    static char targets[][32] = {"pc1", "pc2", "pc3", "pc4",     "pc5",
                                 "pc6", "pc7", "pc8", "pc\x1b[9"};
    static const struct {
        enum target_state state;
        enum reason reason;
        uint32_t exit_code;
        const char *site;
    } ends[] = {
        {TARGET_SUCCEEDED, REASON_NONE, 0, "lyon"},
        {TARGET_SUCCEEDED, REASON_NONE, 3010, "lyon"},
        {TARGET_FAILED, REASON_EXIT_CODE, 1603, "lyon"},
        {TARGET_FAILED, REASON_EXIT_CODE, 0x80070643, "paris"},
        {TARGET_FAILED, REASON_EXIT_CODE, 1603, "paris"},
        {TARGET_FAILED, REASON_INSTALLER_BUSY, 1618, "lyon"},
        {TARGET_FAILED, REASON_RUN_TIMEOUT, 0, "lyon"},
        {TARGET_SCHEDULED, REASON_CANCELLED, 0, "paris"},
        {TARGET_SUCCEEDED, REASON_NONE, 1641, "paris"},
    };
    size_t count = sizeof ends / sizeof *ends;
    for (size_t n = 0; n < count; n++) {
        struct outcome *outcome = &rows[n].outcome;
        rows[n] = row_of((uint32_t)n, targets[n], ends[n].site, ends[n].state, STAGE_SCHEDULE,
                         ends[n].reason);
        outcome->has_exit_code =
            ends[n].state != TARGET_SCHEDULED && ends[n].reason != REASON_RUN_TIMEOUT;
        outcome->exit_code = ends[n].exit_code;
        if (outcome->has_exit_code && ends[n].reason != REASON_NONE) {
            outcome->code_kind = CODE_EXIT;
            outcome->code = ends[n].exit_code;
        }
    }
    return count;
}

static struct push_summary summary_of(const struct totals *totals, enum push_state state)
{
    struct push_summary push = {.generation = 1,
                                .state = state,
                                .package_bytes = 1048576,
                                .created_unix_ms = 1767225600000,
                                .totals = *totals};
    for (size_t i = 0; i < PUSH_ID_BYTES; i++)
        push.push.bytes[i] = (uint8_t)(0x7f + i);
    memset(push.package_digest, 0xab, sizeof push.package_digest);
    text_copy(push.package_name, sizeof push.package_name, "7zip-24.09.exe");
    return push;
}

static void golden_check(const char *name, FILE *got)
{
    char path[128];
    (void)snprintf(path, sizeof path, GOLDEN "%s", name);
    static char text[65536];
    rewind(got);
    size_t size = fread(text, 1, sizeof text - 1, got);
    text[size] = '\0';
    if (getenv("UPDATE") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
        return;
    }
    static char expected[65536];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("no golden file %s (UPDATE=1 makes it)", path);
    size_t expected_size = fread(expected, 1, sizeof expected - 1, file);
    expected[expected_size] = '\0';
    (void)fclose(file);
    assert_string_equal(text, expected);
}

/* Renders rows; with the relays of a live push when open. */
static void render_rows(const char *format, const struct report_options *base,
                        enum push_state state, const struct report_row *rows, size_t count,
                        const char *golden)
{
    struct report_fold fold;
    struct report_output *output = NULL;
    struct err err = {0};
    struct report_options options = *base;
    options.out = tmpfile();
    assert_non_null(options.out);
    report_fold_init(&fold);
    assert_int_equal(report_output_new(&output, format, &options, &err), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(report_fold_add(&fold, &rows[i], &err), 0);
        assert_int_equal(report_output_row(output, &rows[i], &err), 0);
    }
    struct push_summary push = summary_of(&fold.totals, state);
    push.wait = options.wait;
    push.action = options.every_row ? JOB_CLEANUP : JOB_PUSH;
    const struct relay_row relays[] = {
        {.name = "relay-1", .site = "lyon", .live = true},
        {.name = "relay-2", .site = "paris", .live = true},
        {.name = "relay-3", .site = "lyon", .silent_ms = 250000, .leased = 12},
        {.name = "relay-4", .site = "rome", .silent_ms = 850000, .leased = 7}};
    struct report_view view = {.push = &push,
                               .fold = &fold,
                               .relays = relays,
                               .relay_count = 4,
                               .now_unix_ms = push.created_unix_ms + 4000};
    assert_int_equal(report_output_finish(output, &view, &err), 0);
    report_output_free(output);
    golden_check(golden, options.out);
    (void)fclose(options.out);
    report_fold_release(&fold);
}

static void render(const char *format, const struct report_options *base, enum push_state state,
                   const char *golden)
{
    struct report_row rows[16];
    size_t count = sample(rows);
    render_rows(format, base, state, rows, count, golden);
}

/* What a name server, a machine or a joker may hand us, in every foreign text of a row. */
static size_t hostile(struct report_row rows[16])
{
    static char texts[][40] = {
        "=HYPERLINK(\"http://x\",\"y\")",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1,2)",
        "\t=1",
        "\r\n=1",
        "a\"b,c\r\nd",
        "x;=1+1;\"-1\"; @y",
        "\x1b]0;owned\x07\x1b[2J",
        "\xff\xc3(\xed\xa0\x80",
        "\xef\xbc\x9d"
        "1+1",
        " lead and trail ",
        "\xe2\x80\xae"
        "exe.txt",
        "'=1",
    };
    size_t count = sizeof texts / sizeof *texts;
    for (size_t n = 0; n < count; n++) {
        rows[n] = row_of((uint32_t)n, texts[n], texts[n], TARGET_FAILED, STAGE_ACCESS,
                         REASON_ACCESS_DENIED);
        text_copy(rows[n].relay, sizeof rows[n].relay, texts[n]);
        text_copy(rows[n].outcome.address, sizeof rows[n].outcome.address, texts[n]);
        text_copy(rows[n].outcome.detail, sizeof rows[n].outcome.detail, texts[n]);
    }
    rows[0].outcome.has_exit_code = true;
    rows[0].outcome.exit_code = 0xffffffff;
    rows[0].outcome.bytes = UINT64_MAX >> 1;
    return count;
}

static void table_open_push_matches_golden(void **state)
{
    (void)state;
    struct report_options options = {.filter.stage = STAGE_COUNT};
    render("table", &options, PUSH_OPEN, "report_table.txt");
}

static void table_filtered_lists_rows(void **state)
{
    (void)state;
    struct report_options options = {.filter = {.failed_only = true, .stage = STAGE_COUNT}};
    render("table", &options, PUSH_OPEN, "report_table_failed.txt");
}

static void table_terminal_wraps_and_colours(void **state)
{
    (void)state;
    struct report_options options = {
        .filter = {.stage = STAGE_ACCESS}, .colour = true, .width = 100};
    render("table", &options, PUSH_OPEN, "report_table_terminal.txt");
}

static void json_open_push_matches_golden(void **state)
{
    (void)state;
    struct report_options options = {.filter.stage = STAGE_COUNT};
    render("json", &options, PUSH_OPEN, "report.json");
}

static void json_filtered_keeps_totals(void **state)
{
    (void)state;
    struct report_options options = {.filter = {.stage = STAGE_COUNT, .site = "paris"}};
    render("json", &options, PUSH_OPEN, "report_paris.json");
}

static void rows_formats_open_push_match_golden(void **state)
{
    (void)state;
    struct report_options options = {.filter.stage = STAGE_COUNT};
    render("wide", &options, PUSH_OPEN, "report_wide.txt");
    render("jsonl", &options, PUSH_OPEN, "report.jsonl");
    render("csv", &options, PUSH_OPEN, "report.csv");
}

static void waiting_push_matches_golden(void **state)
{
    (void)state;
    struct report_row rows[16];
    size_t count = waited(rows);
    struct report_options options = {.filter.stage = STAGE_COUNT, .wait = true};
    render_rows("table", &options, PUSH_OPEN, rows, count, "report_wait.txt");
    render_rows("json", &options, PUSH_OPEN, rows, count, "report_wait.json");
    render_rows("csv", &options, PUSH_OPEN, rows, count, "report_wait.csv");
}

static void cleanup_lists_every_row(void **state)
{
    (void)state;
    struct report_row rows[2];
    static char names[][4] = {"pc1", "pc2"};
    for (uint32_t i = 0; i < 2; i++)
        rows[i] = row_of(i, names[i], "lyon", TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
    text_copy(rows[0].outcome.detail, LIMIT_DETAIL_SIZE, "removed setup.exe; the task stays");
    struct report_options options = {.filter.stage = STAGE_COUNT, .every_row = true};
    render_rows("table", &options, PUSH_CLOSED, rows, 2, "report_cleanup.txt");
}

static void fold_many_exit_codes_share_a_group(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    for (uint32_t i = 0; i < 1000; i++) {
        struct report_row row =
            row_of(i, no_target, "lyon", TARGET_FAILED, STAGE_SCHEDULE, REASON_EXIT_CODE);
        row.outcome.has_exit_code = true;
        row.outcome.exit_code = 2000 - i % 100;
        assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    }
    assert_int_equal(fold.group_count, REPORT_EXIT_CODES_MAX + 1);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < fold.group_count; i++) {
        sum += fold.groups[i].count;
        if (i > 0 && i + 1 < fold.group_count)
            assert_true(fold.groups[i - 1].exit_code < fold.groups[i].exit_code);
    }
    assert_int_equal(sum, 1000);
    assert_int_equal(fold.groups[REPORT_EXIT_CODES_MAX].exit_no, REPORT_EXIT_CODES_MAX);
    report_fold_release(&fold);
}

static void fold_many_reboots_are_counted_and_some_named(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    for (uint32_t i = 0; i < 100; i++) {
        struct report_row row =
            row_of(i, no_target, "lyon", TARGET_SUCCEEDED, STAGE_SCHEDULE, REASON_NONE);
        row.outcome.has_exit_code = true;
        row.outcome.exit_code = i % 2 == 0 ? 3010 : 0;
        assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    }
    assert_int_equal(fold.totals.reboot, 50);
    assert_non_null(fold.reboots[REPORT_REBOOTS_MAX - 1]);
    report_fold_release(&fold);
}

static void rows_formats_filtered_keep_only_fitting_rows(void **state)
{
    (void)state;
    struct report_options options = {.filter = {.failed_only = true, .stage = STAGE_ACCESS}};
    render("wide", &options, PUSH_CLOSED, "report_wide_access.txt");
    render("jsonl", &options, PUSH_CLOSED, "report_access.jsonl");
    render("csv", &options, PUSH_CLOSED, "report_access.csv");
}

static void rows_formats_hostile_text_matches_golden(void **state)
{
    (void)state;
    struct report_row rows[16];
    size_t count = hostile(rows);
    struct report_options options = {.filter.stage = STAGE_COUNT, .width = 80};
    render_rows("wide", &options, PUSH_CLOSED, rows, count, "report_wide_hostile.txt");
    render_rows("jsonl", &options, PUSH_CLOSED, rows, count, "report_hostile.jsonl");
    render_rows("csv", &options, PUSH_CLOSED, rows, count, "report_hostile.csv");
}

static void rows_formats_empty_push_match_golden(void **state)
{
    (void)state;
    struct report_options options = {.filter.stage = STAGE_COUNT};
    render_rows("wide", &options, PUSH_CLOSED, NULL, 0, "report_wide_empty.txt");
    render_rows("jsonl", &options, PUSH_CLOSED, NULL, 0, "report_empty.jsonl");
    render_rows("csv", &options, PUSH_CLOSED, NULL, 0, "report_empty.csv");
}

static void rows_formats_that_stream_hold_no_row_back(void **state)
{
    (void)state;
    static const char *const words[] = {"jsonl", "csv"};
    struct report_row rows[16];
    (void)sample(rows);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct report_options options = {.out = tmpfile(), .filter.stage = STAGE_COUNT};
        struct report_output *output = NULL;
        struct err err = {0};
        char text[4096];
        assert_non_null(options.out);
        assert_int_equal(report_output_new(&output, words[i], &options, &err), 0);
        assert_int_equal(ftell(options.out), 0);
        assert_int_equal(report_output_row(output, &rows[0], &err), 0);
        rewind(options.out);
        text[fread(text, 1, sizeof text - 1, options.out)] = '\0';
        assert_non_null(strstr(text, "pc1"));
        assert_int_equal(text[strlen(text) - 1], '\n');
        report_output_free(output);
        (void)fclose(options.out);
    }
}

static void rows_formats_full_disk_is_an_error(void **state)
{
    (void)state;
    static const char *const words[] = {"wide", "jsonl", "csv"};
    struct report_row rows[16];
    (void)sample(rows);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct report_options options = {.out = fopen("/dev/full", "w"),
                                         .filter.stage = STAGE_COUNT};
        struct report_output *output = NULL;
        struct report_fold fold;
        struct err err = {0};
        assert_non_null(options.out);
        report_fold_init(&fold);
        assert_int_equal(report_output_new(&output, words[i], &options, &err), 0);
        assert_int_equal(report_output_row(output, &rows[0], &err), 0);
        struct push_summary push = summary_of(&fold.totals, PUSH_CLOSED);
        struct report_view view = {.push = &push, .fold = &fold};
        assert_int_equal(report_output_finish(output, &view, &err), -1);
        assert_non_null(strstr(err.text, "cannot write the report"));
        report_output_free(output);
        (void)fclose(options.out);
    }
}

static void rows_formats_that_stream_stop_at_the_first_failed_write(void **state)
{
    (void)state;
    static const char *const words[] = {"jsonl", "csv"};
    struct report_row rows[16];
    (void)sample(rows);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct report_options options = {.out = fopen("/dev/full", "w"),
                                         .filter.stage = STAGE_COUNT};
        struct report_output *output = NULL;
        struct err err = {0};
        assert_non_null(options.out);
        assert_int_equal(setvbuf(options.out, NULL, _IONBF, 0), 0);
        assert_int_equal(report_output_new(&output, words[i], &options, &err), 0);
        assert_int_equal(report_output_row(output, &rows[0], &err), -1);
        assert_non_null(strstr(err.text, "cannot write the report"));
        report_output_free(output);
        (void)fclose(options.out);
    }
}

static void push_json_matches_golden(void **state)
{
    (void)state;
    struct totals totals = {.by_state[TARGET_SCHEDULED] = 7, .by_state[TARGET_FAILED] = 1};
    struct push_summary pushes[] = {summary_of(&totals, PUSH_OPEN),
                                    summary_of(&totals, PUSH_CLOSED)};
    struct relay_row relay = {.name = "relay-1\x1b", .site = "lyon", .live = true, .leased = 3};
    struct message_status status = {.relays = &relay, .relay_count = 1};
    struct push_part sites[] = {{.site = "-"}, {.site = "lyon\x1b", .totals = totals}};
    struct err err = {0};
    FILE *out = tmpfile();
    assert_non_null(out);
    relay.running[STAGE_COPY] = 2;
    pushes[1].closed_unix_ms = pushes[1].created_unix_ms + 1;
    text_copy(pushes[1].operator_key, sizeof pushes[1].operator_key, "00ff");
    text_copy(pushes[1].account, sizeof pushes[1].account, "uid \"\n\xff");
    status.push = pushes[0];
    assert_int_equal(push_json_list(out, NULL, 0, &err), 0);
    assert_int_equal(push_json_list(out, pushes, 2, &err), 0);
    assert_int_equal(push_json_status(out, &status, sites, 2, &err), 0);
    golden_check("push_json.txt", out);
    (void)fclose(out);
}

/* A field of the line, quotes taken off as RFC 4180 says; moves past it and its comma. */
static void field_read(const char **line, char field[2048])
{
    const char *p = *line;
    bool quoted = *p == '"';
    p += quoted;
    for (; quoted ? *p != '"' || p[1] == '"' : *p != ',' && *p != '\r'; p++) {
        assert_true((uint8_t)*p >= 0x20 && *p != 0x7f);
        assert_true(quoted || *p != '"');
        p += quoted && *p == '"';
        *field++ = *p;
    }
    *field = '\0';
    p += quoted;
    assert_true(*p == ',' || *p == '\r');
    *line = p + (*p == ',');
}

/* Whether a spreadsheet that begins a cell here may see a formula. */
static bool dangerous(const char *text)
{
    text += strspn(text, " \"");
    return *text != '\0' && strchr("=+-@\t\r", *text) != NULL;
}

static void csv_random_text_is_always_20_safe_fields(void **state)
{
    (void)state;
    static const char alphabet[] = "=+-@;,\"' \t\r\n\x1b\xef\xbc\x9d\x80za|";
    uint64_t random = 1;
    for (uint32_t round = 0; round < 2000; round++) {
        char target[24];
        size_t length = 1 + round % (sizeof target - 1);
        for (size_t i = 0; i < length; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            target[i] = alphabet[(random >> 33) % (sizeof alphabet - 1)];
        }
        target[length] = '\0';
        struct report_row row =
            row_of(0, target, target, TARGET_FAILED, STAGE_COPY, REASON_DISK_FULL);
        text_copy(row.outcome.detail, sizeof row.outcome.detail, target);
        char *text = NULL;
        size_t size = 0;
        struct report_options options = {.out = open_memstream(&text, &size),
                                         .filter.stage = STAGE_COUNT};
        struct report_output *output = NULL;
        struct err err = {0};
        assert_int_equal(report_output_new(&output, "csv", &options, &err), 0);
        assert_int_equal(report_output_row(output, &row, &err), 0);
        report_output_free(output);
        assert_int_equal(fclose(options.out), 0);
        const char *line = strchr(text, '\n') + 1;
        for (int i = 0; i < 20; i++) {
            char field[2048];
            field_read(&line, field);
            assert_false(dangerous(field));
        }
        assert_string_equal(line, "\r\n");
        for (const char *at = strchr(text, ';'); at != NULL; at = strchr(at + 1, ';'))
            assert_false(dangerous(at + 1));
        free(text);
    }
}

static void format_unknown_or_later_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(report_format_check("table", &err), 0);
    assert_int_equal(report_format_check("csv", &err), 0);
    assert_int_equal(report_format_check("html", &err), -1);
    assert_non_null(strstr(err.text, "not in this version"));
    assert_int_equal(report_format_check("x\x1b", &err), -1);
    assert_null(strchr(err.text, '\x1b'));
}

static void fold_missing_row_breaks_the_law(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    struct report_row row =
        row_of(0, no_target, "lyon", TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
    assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    row.target_no = 2;
    assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    struct push_summary push = summary_of(&fold.totals, PUSH_CLOSED);
    assert_int_equal(report_fold_check(&fold, &push, &err), -1); /* number 1 is missing */
    assert_non_null(strstr(err.text, "number 1 "));
    push.totals.by_state[TARGET_QUEUED]++;
    assert_int_equal(report_fold_check(&fold, &push, &err), -1); /* 2 rows for 3 */
    assert_non_null(strstr(err.text, "2 rows for 3"));
    report_fold_release(&fold);
}

static void fold_other_state_breaks_the_law_once_closed(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    struct report_row row = row_of(0, no_target, "lyon", TARGET_RUNNING, STAGE_COUNT, REASON_NONE);
    assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    struct totals totals = {.by_state[TARGET_FAILED] = 1};
    struct push_summary push = summary_of(&totals, PUSH_OPEN);
    assert_int_equal(report_fold_check(&fold, &push, &err), 0);
    push.state = PUSH_CLOSED;
    assert_int_equal(report_fold_check(&fold, &push, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    report_fold_release(&fold);
}

static void fold_foreign_enumerations_are_refused(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    struct report_row row =
        row_of(0, no_target, "lyon", TARGET_STATE_COUNT, STAGE_COUNT, REASON_NONE);
    assert_int_equal(report_fold_add(&fold, &row, &err), -1);
    row = row_of(0, no_target, "lyon", TARGET_FAILED, STAGE_COUNT, REASON_COUNT);
    assert_int_equal(report_fold_add(&fold, &row, &err), -1);
    row = row_of(0, no_target, "lyon", TARGET_FAILED, STAGE_COUNT, REASON_NXDOMAIN);
    row.outcome.stage = (enum stage)(STAGE_COUNT + 1);
    assert_int_equal(report_fold_add(&fold, &row, &err), -1);
    assert_int_equal(fold.row_count, 0);
    report_fold_release(&fold);
}

static void fold_counts_rows_per_relay(void **state)
{
    (void)state;
    static const char *const names[] = {"relay-9", "relay-1", "-"};
    static const char *const sites[] = {"paris", "lyon"};
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    for (uint32_t i = 0; i < 60; i++) {
        struct report_row row =
            row_of(i, no_target, sites[i % 2], TARGET_SCHEDULED, STAGE_SCHEDULE, REASON_NONE);
        text_copy(row.relay, sizeof row.relay, names[i % 3]);
        assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    }
    static const char *const order[][2] = {{"lyon", "-"},        {"lyon", "relay-1"},
                                           {"lyon", "relay-9"},  {"paris", "-"},
                                           {"paris", "relay-1"}, {"paris", "relay-9"}};
    assert_int_equal(fold.relay_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(fold.relays[i].site, order[i][0]);
        assert_string_equal(fold.relays[i].name, order[i][1]);
        assert_int_equal(totals_submitted(&fold.relays[i].totals), 10);
    }
    struct push_summary push = summary_of(&fold.totals, PUSH_CLOSED);
    assert_int_equal(report_fold_check(&fold, &push, &err), 0);
    struct push_part parts[6] = {0};
    for (size_t i = 0; i < 6; i++) {
        text_copy(parts[i].site, sizeof parts[i].site, order[i][0]);
        text_copy(parts[i].relay, sizeof parts[i].relay, order[i][1]);
        parts[i].totals = fold.relays[i].totals;
    }
    assert_int_equal(report_fold_check_parts(&fold, parts, 6, &err), 0);
    parts[4].totals.by_state[TARGET_SCHEDULED]++; /* a row that got lost on the way here */
    assert_int_equal(report_fold_check_parts(&fold, parts, 6, &err), -1);
    assert_string_equal(err.text, "ledger mismatch: relay relay-1 of site paris: 10 rows are "
                                  "scheduled, 11 were counted");
    assert_int_equal(report_fold_check_parts(&fold, parts, 4, &err), -1);
    fold.relays[3].totals.by_state[TARGET_SCHEDULED]--; /* a row that no relay owns up to */
    assert_int_equal(report_fold_check(&fold, &push, &err), -1);
    assert_non_null(strstr(err.text, "of relays 59"));
    report_fold_release(&fold);
}

static void fold_many_sites_stay_sorted(void **state)
{
    (void)state;
    struct report_fold fold;
    struct err err = {0};
    report_fold_init(&fold);
    for (uint32_t i = 0; i < 1000; i++) {
        char site[16];
        (void)snprintf(site, sizeof site, "s%03u", i * 7 % 100);
        struct report_row row =
            row_of(i, no_target, site, TARGET_FAILED, STAGE_COPY, REASON_DISK_FULL);
        assert_int_equal(report_fold_add(&fold, &row, &err), 0);
    }
    assert_int_equal(fold.site_count, 100);
    for (uint32_t i = 0; i < fold.site_count; i++) {
        assert_int_equal(totals_submitted(&fold.sites[i].totals), 10);
        if (i > 0)
            assert_true(strcmp(fold.sites[i - 1].name, fold.sites[i].name) < 0);
    }
    assert_int_equal(fold.group_count, 1);
    assert_int_equal(fold.groups[0].count, 1000);
    report_fold_release(&fold);
}

static void exit_status_first_that_fits_wins(void **state)
{
    (void)state;
    static const struct {
        uint32_t scheduled, succeeded, failed, unreachable, queued, max_fail;
        bool wait, balanced;
        int expected;
    } rows[] = {
        {.scheduled = 2, .balanced = true, .expected = 0},
        {.succeeded = 2, .balanced = true, .wait = true, .expected = 0},
        {.scheduled = 2, .balanced = true, .wait = true, .expected = 4},
        {.scheduled = 1, .unreachable = 1, .balanced = true, .expected = 4},
        {.scheduled = 1, .queued = 1, .balanced = true, .expected = 4},
        {.failed = 1, .unreachable = 1, .balanced = true, .expected = 3},
        {.failed = 1, .unreachable = 1, .max_fail = 1, .balanced = true, .expected = 5},
        {.failed = 1, .max_fail = 1, .expected = 1},
        {.scheduled = 1, .expected = 1},
        {.balanced = true, .expected = 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct totals totals = {0};
        totals.by_state[TARGET_SCHEDULED] = rows[i].scheduled;
        totals.by_state[TARGET_SUCCEEDED] = rows[i].succeeded;
        totals.by_state[TARGET_FAILED] = rows[i].failed;
        totals.by_state[TARGET_UNREACHABLE] = rows[i].unreachable;
        totals.by_state[TARGET_QUEUED] = rows[i].queued;
        assert_int_equal(
            report_exit_status(&totals, rows[i].max_fail, rows[i].wait, rows[i].balanced),
            rows[i].expected);
    }
}

static void filter_parts_must_all_fit(void **state)
{
    (void)state;
    struct report_row row =
        row_of(0, no_target, "lyon", TARGET_FAILED, STAGE_ACCESS, REASON_ACCESS_DENIED);
    text_copy(row.outcome.address, sizeof row.outcome.address, "10.1.2.3");
    struct report_filter filter = {.stage = STAGE_COUNT};
    assert_false(report_filter_set(&filter));
    assert_true(report_filter_fits(&filter, &row, false));
    filter.failed_only = true;
    text_copy(filter.target, sizeof filter.target, "PC0");
    assert_true(report_filter_fits(&filter, &row, false));
    text_copy(filter.target, sizeof filter.target, "10.1.2.3");
    assert_true(report_filter_fits(&filter, &row, false));
    filter.stage = STAGE_PING;
    assert_false(report_filter_fits(&filter, &row, false));
    filter = (struct report_filter){.stage = STAGE_COUNT, .failed_only = true};
    row.outcome.state = TARGET_SCHEDULED;
    assert_false(report_filter_fits(&filter, &row, false));
}

static void formats_of_values_are_stable(void **state)
{
    (void)state;
    char text[FORMAT_TIME_SIZE];
    assert_string_equal(format_time(1767225600123, text), "2026-01-01T00:00:00.123Z");
    assert_string_equal(format_time(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(format_duration(250999, text), "00:04:10");
    assert_string_equal(format_duration(360000000, text), "100:00:00");
    assert_string_equal(format_bytes(1023, text), "1023 B");
    assert_string_equal(format_bytes(1536, text), "1.5 KiB");
    assert_string_equal(format_bytes(UINT64_MAX, text), "16777216.0 TiB");
}

/* What the coordinator says of times may be anything. */
static void table_eta_of_a_wrong_clock_is_left_out(void **state)
{
    (void)state;
    char text[4096] = "";
    struct report_fold fold;
    struct err err = {0};
    struct report_output *output = NULL;
    struct report_options options = {.out = fmemopen(text, sizeof text - 1, "w")};
    options.filter.stage = STAGE_COUNT;
    assert_non_null(options.out);
    report_fold_init(&fold);
    fold.totals.by_state[TARGET_SUCCEEDED] = 1;
    fold.totals.by_state[TARGET_QUEUED] = 4000000;
    struct push_summary push = summary_of(&fold.totals, PUSH_OPEN);
    struct report_view view = {.push = &push, .fold = &fold, .now_unix_ms = UINT64_MAX};
    assert_int_equal(report_output_new(&output, "table", &options, &err), 0);
    assert_int_equal(report_output_finish(output, &view, &err), 0);
    report_output_free(output);
    report_fold_release(&fold);
    (void)fclose(options.out);
    assert_non_null(strstr(text, "0.0/s    -"));
}

static void json_del_is_an_escape(void **state)
{
    (void)state;
    char text[4096] = "";
    static char target[] = "pc\x7f\x7f";
    struct err err = {0};
    struct report_output *output = NULL;
    struct report_options options = {.out = fmemopen(text, sizeof text - 1, "w")};
    struct report_row row =
        row_of(0, target, "ly\x7fon", TARGET_FAILED, STAGE_ACCESS, REASON_ACCESS_DENIED);
    options.filter.stage = STAGE_COUNT;
    assert_non_null(options.out);
    assert_int_equal(report_output_new(&output, "jsonl", &options, &err), 0);
    assert_int_equal(report_output_row(output, &row, &err), 0);
    report_output_free(output);
    (void)fclose(options.out);
    assert_non_null(strstr(text, "\"pc\\u007F\\u007F\""));
    assert_non_null(strstr(text, "\"ly\\u007Fon\""));
    assert_null(strchr(text, 0x7f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_eta_of_a_wrong_clock_is_left_out),
        cmocka_unit_test(json_del_is_an_escape),
        cmocka_unit_test(table_open_push_matches_golden),
        cmocka_unit_test(table_filtered_lists_rows),
        cmocka_unit_test(table_terminal_wraps_and_colours),
        cmocka_unit_test(json_open_push_matches_golden),
        cmocka_unit_test(json_filtered_keeps_totals),
        cmocka_unit_test(rows_formats_open_push_match_golden),
        cmocka_unit_test(waiting_push_matches_golden),
        cmocka_unit_test(cleanup_lists_every_row),
        cmocka_unit_test(fold_many_exit_codes_share_a_group),
        cmocka_unit_test(fold_many_reboots_are_counted_and_some_named),
        cmocka_unit_test(rows_formats_filtered_keep_only_fitting_rows),
        cmocka_unit_test(rows_formats_hostile_text_matches_golden),
        cmocka_unit_test(rows_formats_empty_push_match_golden),
        cmocka_unit_test(rows_formats_that_stream_hold_no_row_back),
        cmocka_unit_test(rows_formats_full_disk_is_an_error),
        cmocka_unit_test(rows_formats_that_stream_stop_at_the_first_failed_write),
        cmocka_unit_test(push_json_matches_golden),
        cmocka_unit_test(csv_random_text_is_always_20_safe_fields),
        cmocka_unit_test(format_unknown_or_later_is_refused),
        cmocka_unit_test(fold_missing_row_breaks_the_law),
        cmocka_unit_test(fold_other_state_breaks_the_law_once_closed),
        cmocka_unit_test(fold_foreign_enumerations_are_refused),
        cmocka_unit_test(fold_many_sites_stay_sorted),
        cmocka_unit_test(fold_counts_rows_per_relay),
        cmocka_unit_test(exit_status_first_that_fits_wins),
        cmocka_unit_test(filter_parts_must_all_fit),
        cmocka_unit_test(formats_of_values_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
