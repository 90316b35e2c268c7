/* Values of options. */
#include "coordinator/cli/values.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "common/pkg/name.h"

#define SHOWN_SIZE 80 /* of a wrong value, in the error */

static int duration_invalid(const char *text, struct err *err)
{
    char shown[SHOWN_SIZE];
    return err_set(err, ERR_INVALID, "'%s' is no duration (90s, 10m, 2h, 1h30m, 7d; at most 366d)",
                   text_printable(shown, sizeof shown, text));
}

int duration_parse(const char *text, uint32_t *seconds, struct err *err)
{
    uint64_t total = 0;
    const char *at = text;
    do {
        uint64_t number = 0;
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 8)
            return duration_invalid(text, err);
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (uint64_t)(at[i] - '0');
        at += digits;
        switch (*at) {
        case 's':
            break;
        case 'm':
            number *= 60;
            break;
        case 'h':
            number *= 3600;
            break;
        case 'd':
            number *= 86400;
            break;
        default:
            return duration_invalid(text, err);
        }
        at++;
        total += number;
        if (total > DURATION_MAX_S)
            return duration_invalid(text, err);
    } while (*at != '\0');
    if (total == 0)
        return duration_invalid(text, err);
    *seconds = (uint32_t)total;
    return 0;
}

/* Reads exactly `digits` digits and then the character `end`. Returns -1 when they aren't there. */
static int number_read(const char **at, int digits, char end)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    if (**at != end && end != '\0')
        return -1;
    *at += end != '\0';
    return value;
}

/* What is wrong with a time, as far as it can be told. */
static int time_invalid(const char *text, enum time_zone zone, struct err *err)
{
    char shown[SHOWN_SIZE];
    size_t length = strlen(text);
    bool zulu = length > 0 && (text[length - 1] == 'Z' || text[length - 1] == 'z');
    (void)text_printable(shown, sizeof shown, text);
    if (zone == TIME_ZONE_TARGET && zulu)
        return err_set(err, ERR_INVALID, "'%s': with --tz target without Z (2026-01-31T18:00:00)",
                       shown);
    if (zone == TIME_ZONE_TARGET)
        return err_set(err, ERR_INVALID,
                       "'%s' is no time of the targets' clocks (2026-01-31T18:00:00)", shown);
    return err_set(err, ERR_INVALID, "'%s' is no UTC time (2026-01-31T18:00:00Z)", shown);
}

int time_parse(const char *text, enum time_zone zone, int64_t *unix_s, struct err *err)
{
    const char *at = text;
    char copy[SHOWN_SIZE];
    (void)text_copy(copy, sizeof copy, text);
    if (strlen(copy) > 10 && (copy[10] == ' ' || copy[10] == 't'))
        copy[10] = 'T';
    at = copy;
    struct tm given = {0};
    int year = number_read(&at, 4, '-');
    int month = year < 0 ? -1 : number_read(&at, 2, '-');
    int day = month < 0 ? -1 : number_read(&at, 2, 'T');
    int hour = day < 0 ? -1 : number_read(&at, 2, ':');
    int minute = hour < 0 ? -1 : number_read(&at, 2, ':');
    int second = minute < 0 ? -1 : number_read(&at, 2, '\0');
    bool ended = zone == TIME_ZONE_TARGET
                     ? *at == '\0'
                     : strcmp(at, "Z") == 0 || strcmp(at, "z") == 0 || strcmp(at, "+00:00") == 0;
    given.tm_year = year - 1900;
    given.tm_mon = month - 1;
    given.tm_mday = day;
    given.tm_hour = hour;
    given.tm_min = minute;
    given.tm_sec = second;
    struct tm normal = given;
    time_t seconds = second >= 0 && ended ? timegm(&normal) : -1;
    /* timegm turns the 31st of February into March: what changed was no date. */
    if (second < 0 || !ended || year < 1970 || normal.tm_mon != given.tm_mon ||
        normal.tm_mday != given.tm_mday || normal.tm_hour != given.tm_hour ||
        normal.tm_min != given.tm_min || second > 59)
        return time_invalid(text, zone, err);
    *unix_s = seconds;
    return 0;
}

int time_zone_parse(const char *text, enum time_zone *zone, struct err *err)
{
    char shown[SHOWN_SIZE];
    if (strcmp(text, "utc") == 0)
        *zone = TIME_ZONE_UTC;
    else if (strcmp(text, "target") == 0)
        *zone = TIME_ZONE_TARGET;
    else if (strcmp(text, "site") == 0)
        return err_set(err, ERR_INVALID, "--tz site: not in this version, which knows no sites");
    else
        return err_set(err, ERR_INVALID, "--tz '%s': utc or target",
                       text_printable(shown, sizeof shown, text));
    return 0;
}

int ping_mode_parse(const char *text, enum ping_mode *mode, struct err *err)
{
    static const char *const words[PING_MODE_COUNT] = {"require", "prefer", "skip"};
    for (int i = 0; i < PING_MODE_COUNT; i++) {
        if (strcmp(words[i], text) == 0) {
            *mode = (enum ping_mode)i;
            return 0;
        }
    }
    char shown[SHOWN_SIZE];
    return err_set(err, ERR_INVALID, "--ping '%s': require, prefer or skip",
                   text_printable(shown, sizeof shown, text));
}

int run_as_parse(const char *text, enum run_as *run_as, struct err *err)
{
    static const char *const words[RUN_AS_COUNT] = {"system", "local-service", "network-service",
                                                    "user"};
    for (int i = 0; i < RUN_AS_COUNT; i++) {
        if (strcmp(words[i], text) == 0) {
            *run_as = (enum run_as)i;
            return 0;
        }
    }
    char shown[SHOWN_SIZE];
    return err_set(err, ERR_INVALID,
                   "--run-as '%s': system, local-service, network-service or user",
                   text_printable(shown, sizeof shown, text));
}

/* The number that `size` characters stand for. Returns 0 or -1. */
static int exit_code_read(const char *text, size_t size, uint32_t *code)
{
    bool negative = size > 0 && text[0] == '-';
    bool hex = size > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    size_t at = negative ? 1 : hex ? 2 : 0;
    uint64_t value = 0;
    if (at == size || size - at > 10)
        return -1;
    for (; at < size; at++) {
        static const char digits[] = "0123456789abcdef";
        int c = tolower((unsigned char)text[at]);
        const char *digit = memchr(digits, c, hex ? 16 : 10);
        if (digit == NULL)
            return -1;
        value = value * (hex ? 16 : 10) + (uint64_t)(digit - digits);
    }
    if (value > (negative ? 0x80000000U : UINT32_MAX))
        return -1;
    *code = (uint32_t)(negative ? 0 - value : value);
    return 0;
}

int fail_limit_parse(const char *text, struct fail_limit *limit, struct err *err)
{
    char shown[SHOWN_SIZE];
    struct fail_limit read = {.given = true};
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && read.value <= LIMIT_TARGETS_MAX; at++)
        read.value = read.value * 10 + (uint32_t)(*at - '0');
    read.percent = at > text && strcmp(at, "%") == 0;
    if (at == text || (*at != '\0' && !read.percent) ||
        read.value > (read.percent ? 100 : LIMIT_TARGETS_MAX))
        return err_set(err, ERR_INVALID, "'%s': how many targets may fail: 3, or 5%% of all",
                       text_printable(shown, sizeof shown, text));
    *limit = read;
    return 0;
}

uint32_t fail_limit_stop_count(const struct fail_limit *limit, uint32_t target_count)
{
    uint64_t may_fail = limit->value;
    if (!limit->given)
        return 0;
    if (limit->percent)
        may_fail = may_fail * target_count / 100; /* a part of a target can't fail */
    return (uint32_t)(may_fail < target_count ? may_fail : target_count) + 1;
}

int success_codes_parse(const char *text, uint32_t codes[LIMIT_SUCCESS_CODES], uint32_t *count,
                        struct err *err)
{
    uint32_t found = 0;
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        uint32_t code = 0;
        uint32_t known = 0;
        if (exit_code_read(at, size, &code) != 0) {
            char shown[SHOWN_SIZE];
            return err_set(err, ERR_INVALID,
                           "--success-codes '%s': exit codes with commas between "
                           "(0,1641,3010, 0x80070642, -1)",
                           text_printable(shown, sizeof shown, text));
        }
        while (known < found && codes[known] != code)
            known++;
        if (known == LIMIT_SUCCESS_CODES)
            return err_set(err, ERR_LIMIT, "--success-codes: at most %u of them",
                           LIMIT_SUCCESS_CODES);
        codes[known] = code;
        found += known == found;
        at += size;
        if (*at == '\0')
            break;
    }
    *count = found;
    return 0;
}

static void quote(struct buf *out, const char *word)
{
    size_t slashes = 0;
    if (*word != '\0' && word[strcspn(word, " \t\"")] == '\0') {
        buf_text(out, word);
        return;
    }
    buf_u8(out, '"');
    for (; *word != '\0'; word++) {
        if (*word == '"') {
            /* Backslashes before a quotation mark count double, and one more for the mark. */
            for (size_t i = 0; i <= slashes; i++)
                buf_u8(out, '\\');
        }
        slashes = *word == '\\' ? slashes + 1 : 0;
        buf_u8(out, (uint8_t)*word);
    }
    for (size_t i = 0; i < slashes; i++)
        buf_u8(out, '\\');
    buf_u8(out, '"');
}

int arguments_join(char *const *words, size_t count, char to[LIMIT_ARGUMENTS_SIZE], struct err *err)
{
    struct buf out;
    buf_init(&out, LIMIT_ARGUMENTS_SIZE - 1);
    if (count == 1) {
        buf_text(&out, words[0]);
    } else {
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                buf_u8(&out, ' ');
            quote(&out, words[i]);
        }
    }
    int result = buf_ok(&out) ? 0
                              : err_set(err, ERR_LIMIT,
                                        "the package's arguments are longer than "
                                        "%d characters",
                                        LIMIT_ARGUMENTS_SIZE - 1);
    if (result == 0)
        (void)text_copy(to, LIMIT_ARGUMENTS_SIZE, buf_cstr(&out));
    buf_release(&out);
    return result;
}

/* How a package that is no program is started: interpreter, and what stands before and after the
 * path. None of them may reboot the machine. */
struct launcher {
    const char *command;
    const char *before;
    const char *after; /* in front of the operator's own arguments */
    const char *end;   /* after them */
};

static const struct launcher *launcher_of(enum package_kind kind)
{
    static const struct launcher msi = {"%SystemRoot%\\System32\\msiexec.exe", "/i ",
                                        " /qn /norestart", ""};
    static const struct launcher msp = {"%SystemRoot%\\System32\\msiexec.exe", "/p ",
                                        " /qn /norestart", ""};
    static const struct launcher msu = {"%SystemRoot%\\System32\\wusa.exe", "",
                                        " /quiet /norestart", ""};
    /* cmd /s /c "..." takes off the outer quotation marks and nothing else. */
    static const struct launcher script = {"%SystemRoot%\\System32\\cmd.exe", "/d /s /c \"", "",
                                           "\""};
    static const struct launcher powershell = {
        "%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File ", "", ""};
    switch (kind) {
    case PACKAGE_MSI:
        return &msi;
    case PACKAGE_MSP:
        return &msp;
    case PACKAGE_MSU:
        return &msu;
    case PACKAGE_BAT:
    case PACKAGE_CMD:
        return &script;
    case PACKAGE_PS1:
        return &powershell;
    case PACKAGE_EXE:
    case PACKAGE_OTHER:
        break;
    }
    return NULL;
}

/* What no task's definition can hold. */
static int check_text(const char *text, const char *what, struct err *err)
{
    if (!utf8_valid(text))
        return err_set(err, ERR_INVALID, "%s: not UTF-8", what);
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return err_set(err, ERR_INVALID, "%s: the control character 0x%02X cannot be passed on",
                           what, (unsigned)*at);
    return 0;
}

int job_set_command(struct job *job, const char *command, const char *arguments, struct err *err)
{
    /* A folder's name says nothing of what it runs. */
    const struct launcher *launcher =
        job->directory ? NULL : launcher_of(package_name_kind(job->package_name));
    if (check_text(arguments, "the package's arguments", err) != 0 ||
        (command != NULL && check_text(command, "--command", err) != 0))
        return -1;
    if (command != NULL && command[strspn(command, " ")] == '\0')
        return err_set(err, ERR_INVALID, "--command is empty: leave it out, or name a program");
    if (command != NULL || launcher == NULL) {
        const char *plain = command == NULL ? "" : command;
        if (strlen(plain) >= sizeof job->command)
            return err_set(err, ERR_LIMIT, "--command is longer than %zu characters",
                           sizeof job->command - 1);
        (void)text_copy(job->command, sizeof job->command, plain);
        (void)text_copy(job->arguments, sizeof job->arguments, arguments);
        return 0;
    }
    (void)text_copy(job->command, sizeof job->command, launcher->command);
    int length = snprintf(job->arguments, sizeof job->arguments, "%s\"C:\\SPDISTRO\\%s\"%s%s%s%s",
                          launcher->before, job->package_name, launcher->after,
                          *arguments == '\0' ? "" : " ", arguments, launcher->end);
    if (length < 0 || (size_t)length >= sizeof job->arguments)
        return err_set(err, ERR_LIMIT, "the package's arguments are longer than %zu characters",
                       sizeof job->arguments - 1);
    return 0;
}

void shell_quote(const char *word, char *to, size_t size)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-";
    struct buf out;
    buf_init(&out, 4 * strlen(word) + 2); /* every character a quotation mark */
    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        buf_text(&out, word);
    } else {
        buf_u8(&out, '\'');
        for (; *word != '\0'; word++) {
            if (*word == '\'')
                buf_text(&out, "'\\''");
            else
                buf_u8(&out, (uint8_t)*word);
        }
        buf_u8(&out, '\'');
    }
    (void)text_copy(to, size, buf_cstr(&out));
    buf_release(&out);
}
