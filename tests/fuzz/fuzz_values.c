/* Small readers of text: durations, times, exit codes, command lines, subnets, patterns, the
 * never-touch list, numbers (coordinator/cli/values, policy_edit, say; common/model/subnet;
 * common/base/text), and what makes text safe for a terminal or the log.
 *
 * Input: which, then text. Holds: what is read lies within its range and is written again as it
 * was; what is quoted for Windows or for a shell is read back as the words it was; a log line is
 * one line; a refusal says why. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "common/model/signed_objects.h"
#include "coordinator/cli/policy_edit.h"
#include "coordinator/cli/push_options.h"
#include "coordinator/cli/say.h"
#include "coordinator/cli/values.h"
#include "fuzz.h"

#define WORDS_MAX 8U

static void refused(int result, const struct err *err)
{
    if (result != 0)
        fuzz_check_error(err);
}

static void try_times(const char *text)
{
    struct err err = {0};
    uint32_t seconds = 0;
    int64_t unix_s = 0;
    if (duration_parse(text, &seconds, &err) == 0)
        FUZZ_CHECK(seconds >= 1 && seconds <= DURATION_MAX_S);
    else
        fuzz_check_error(&err);
    if (time_parse(text, TIME_ZONE_UTC, &unix_s, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    char again[40];
    struct tm utc;
    int64_t unix_again = 0;
    const time_t when = unix_s;
    FUZZ_CHECK(gmtime_r(&when, &utc) != NULL);
    FUZZ_CHECK(strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0);
    FUZZ_CHECK(time_parse(again, TIME_ZONE_UTC, &unix_again, &err) == 0 && unix_again == unix_s);
    FUZZ_CHECK(strncmp(text, again, 10) == 0 && strncmp(text + 11, again + 11, 8) == 0);
}

static void try_words(const char *text)
{
    struct err err = {0};
    enum time_zone zone = TIME_ZONE_COUNT;
    enum ping_mode ping = PING_MODE_COUNT;
    enum run_as run_as = RUN_AS_COUNT;
    uint32_t codes[LIMIT_SUCCESS_CODES];
    uint32_t count = 0;
    struct fail_limit limit = {0};
    refused(time_zone_parse(text, &zone, &err), &err);
    refused(ping_mode_parse(text, &ping, &err), &err);
    refused(run_as_parse(text, &run_as, &err), &err);
    refused(coordinator_endpoint_check(text, &err), &err);
    refused(push_word_check(text, &err), &err);
    if (success_codes_parse(text, codes, &count, &err) == 0)
        FUZZ_CHECK(count >= 1 && count <= LIMIT_SUCCESS_CODES);
    else
        fuzz_check_error(&err);
    if (fail_limit_parse(text, &limit, &err) == 0)
        FUZZ_CHECK(fail_limit_stop_count(&limit, 1000) <= 1001);
    else
        fuzz_check_error(&err);
}

/* The next word as CommandLineToArgvW reads it, in place of the text that it takes; NULL at the
 * end. https://learn.microsoft.com/windows/win32/api/shellapi/nf-shellapi-commandlinetoargvw */
static char *windows_word(const char **at, char *to)
{
    char *word = to;
    bool quoted = false;
    *at += strspn(*at, " \t");
    if (**at == '\0')
        return NULL;
    while (**at != '\0' && (quoted || (**at != ' ' && **at != '\t'))) {
        size_t slashes = strspn(*at, "\\");
        *at += slashes;
        bool mark = **at == '"';
        memset(to, '\\', mark ? slashes / 2 : slashes);
        to += mark ? slashes / 2 : slashes;
        if (mark && slashes % 2 == 1)
            *to++ = '"';
        else if (mark)
            quoted = !quoted;
        else if (slashes == 0)
            *to++ = **at;
        *at += mark || slashes == 0;
    }
    *to = '\0';
    return word;
}

static void try_command_line(char *text)
{
    char *words[WORDS_MAX];
    size_t count = 0;
    struct err err = {0};
    static char joined[LIMIT_ARGUMENTS_SIZE];
    static char word[LIMIT_ARGUMENTS_SIZE];
    for (char *rest = text; count < WORDS_MAX && rest != NULL;)
        words[count++] = strsep(&rest, "\n");
    if (count < 2)
        return;
    if (arguments_join(words, count, joined, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    const char *at = joined;
    for (size_t i = 0; i < count; i++) {
        const char *read = windows_word(&at, word);
        FUZZ_CHECK(read != NULL && strcmp(read, words[i]) == 0);
    }
    FUZZ_CHECK(windows_word(&at, word) == NULL);
}

static void try_shell(const char *text)
{
    size_t size = 4 * strlen(text) + 3;
    char *quoted = mem_new(size, 1);
    char *read = mem_new(size, 1);
    char *to = read;
    bool inside = false;
    shell_quote(text, quoted, size);
    for (const char *at = quoted; *at != '\0'; at++) {
        if (*at == '\'')
            inside = !inside;
        else if (*at == '\\' && !inside)
            *to++ = *++at;
        else
            *to++ = *at;
        FUZZ_CHECK(inside || *at == '\'' || strchr(" \t\n;&|<>()$`*?[#~!{", *at) == NULL);
    }
    FUZZ_CHECK(!inside && strcmp(read, text) == 0 && quoted[0] != '\0');
    free(quoted);
    free(read);
}

static void try_subnet(const char *text)
{
    struct subnet subnet;
    struct subnet again;
    struct subnet_address address;
    char written[SUBNET_TEXT_SIZE];
    struct err err = {0};
    if (subnet_address_from_text(text, &address)) {
        subnet_address_text(&address, written);
        struct subnet_address same;
        FUZZ_CHECK(subnet_address_from_text(written, &same) &&
                   memcmp(same.bytes, address.bytes, sizeof same.bytes) == 0);
    }
    if (subnet_from_text(text, &subnet, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    FUZZ_CHECK(subnet.bits <= 128 && subnet.bits >= (subnet.is_v4 ? 96 : 0));
    subnet_text(&subnet, written);
    FUZZ_CHECK(subnet_from_text(written, &again, NULL) == 0);
    FUZZ_CHECK(subnet_includes(&subnet, &again) && subnet_includes(&again, &subnet));
    memcpy(address.bytes, subnet.bytes, sizeof address.bytes);
    address.is_v4 = subnet.is_v4;
    FUZZ_CHECK(subnet_covers(&subnet, &address));
}

/* The glob that everybody has, where it means the same. */
static void try_pattern(char *text)
{
    char *name = text;
    const char *pattern = strsep(&name, "\n");
    if (name == NULL || strlen(text) > 200 || strlen(name) > 200)
        return;
    bool fits = pattern_fits(pattern, name);
    for (const char *at = text; *at != '\0'; at++) {
        if (strchr("[\\", *at) != NULL || (unsigned char)*at > 0x7e)
            return;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at > 0x7e)
            return;
    }
    FUZZ_CHECK(fits == (fnmatch(pattern, name, FNM_CASEFOLD | FNM_NOESCAPE) == 0));
}

static void try_never(char *text)
{
    struct policy policy = {0};
    for (char *rest = text; rest != NULL && policy.never_name_count < 50;) {
        const char *entry = strsep(&rest, "\n");
        bool changed = false;
        bool again = true;
        struct err err = {0};
        uint32_t before = policy.never_name_count + policy.never_subnet_count;
        if (policy_never_add(&policy, entry, &changed, &err) != 0) {
            fuzz_check_error(&err);
            continue;
        }
        FUZZ_CHECK(policy.never_name_count + policy.never_subnet_count == before + changed);
        FUZZ_CHECK(policy_never_add(&policy, entry, &again, NULL) == 0 && !again);
        (void)policy_never_name(&policy, "pc-17.example");
        if (before % 3 == 2)
            FUZZ_CHECK(policy_never_remove(&policy, entry, &changed, NULL) == 0 && changed);
    }
    policy_release(&policy);
}

static void try_numbers(const char *text)
{
    uint64_t value = 0;
    if (text_to_u64(text, 1000000, &value) == 0)
        FUZZ_CHECK(value <= 1000000 && value == strtoull(text, NULL, 10));
    if (text_to_u64(text, UINT64_MAX, &value) == 0)
        FUZZ_CHECK(value == strtoull(text, NULL, 10));
    if (text_to_bytes(text, &value) == 0)
        FUZZ_CHECK(value >= strtoull(text, NULL, 10));
}

static void try_safe(const char *text)
{
    size_t size = strlen(text);
    char *safe = mem_new(8 * size + 1, 1);
    char *cut = mem_new(8 * size + 1, 1);
    struct buf wide;
    struct buf narrow;
    text_printable(safe, 8 * size + 1, text);
    FUZZ_CHECK(fuzz_is_printable(safe, strlen(safe), false) && utf8_valid(safe));
    text_printable(cut, size + 1, text);
    FUZZ_CHECK(strncmp(safe, cut, strlen(cut)) == 0 && utf8_valid(cut));
    buf_init(&wide, 4 * size + 2);
    buf_init(&narrow, 4 * size + 2);
    FUZZ_CHECK((utf16_from_utf8(&wide, text) == 0) == (utf8_valid(text) != 0));
    if (utf8_valid(text)) {
        FUZZ_CHECK(utf16_to_utf8(&narrow, wide.data, wide.size) == 0);
        FUZZ_CHECK(strcmp(buf_cstr(&narrow), text) == 0);
    }
    buf_release(&wide);
    buf_release(&narrow);
    free(safe);
    free(cut);
}

static void try_log(const char *text)
{
    char *line = NULL;
    size_t size = 0;
    FILE *kept = stderr;
    stderr = open_memstream(&line, &size);
    log_warning("target %s refused", text);
    FUZZ_CHECK(fclose(stderr) == 0);
    stderr = kept;
    FUZZ_CHECK(size > 0 && line[size - 1] == '\n' && fuzz_is_printable(line, size - 1, false));
    free(line);
}

static void try_command(char *text)
{
    static struct job job;
    struct err err = {0};
    char *rest = text;
    const char *name = strsep(&rest, "\n");
    const char *command = rest == NULL ? NULL : strsep(&rest, "\n");
    if (strlen(name) >= sizeof job.package_name)
        return;
    memset(&job, 0, sizeof job);
    (void)text_copy(job.package_name, sizeof job.package_name, name);
    refused(job_set_command(&job, command, rest == NULL ? "" : rest, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const trials[])(char *text) = {try_command_line, try_pattern, try_never,
                                                 try_command};
    static void (*const looks[])(const char *text) = {try_times,   try_words, try_shell, try_subnet,
                                                      try_numbers, try_safe,  try_log};
    struct cursor in = cursor_of(data, size);
    unsigned what = cursor_u8(&in) % 11;
    char *text = fuzz_new_text(&in, 4096);
    if (what < 4)
        trials[what](text);
    else
        looks[what - 4](text);
    free(text);
    return 0;
}
