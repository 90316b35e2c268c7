/* Values of options. */
#include "coordinator/cli/values.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/text.h"
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
    if (end != '\0' && *(*at)++ != end)
        return -1;
    return value;
}

int time_parse(const char *text, int64_t *unix_s, struct err *err)
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
    bool zone =
        second >= 0 && (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0 || strcmp(at, "+00:00") == 0);
    given.tm_year = year - 1900;
    given.tm_mon = month - 1;
    given.tm_mday = day;
    given.tm_hour = hour;
    given.tm_min = minute;
    given.tm_sec = second;
    struct tm normal = given;
    time_t seconds = zone ? timegm(&normal) : -1;
    /* timegm turns the 31st of February into March: what changed was no date. */
    if (!zone || year < 1970 || normal.tm_mon != given.tm_mon || normal.tm_mday != given.tm_mday ||
        normal.tm_hour != given.tm_hour || normal.tm_min != given.tm_min || second > 59) {
        char shown[SHOWN_SIZE];
        return err_set(err, ERR_INVALID, "'%s' is no UTC time (2026-01-31T18:00:00Z)",
                       text_printable(shown, sizeof shown, text));
    }
    *unix_s = seconds;
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
    static const char *const words[] = {"system", "local-service", "network-service"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i], text) == 0) {
            *run_as = (enum run_as)i;
            return 0;
        }
    }
    if (strcmp(text, "user") == 0)
        return err_set(err, ERR_INVALID, "--run-as user: not in this version");
    char shown[SHOWN_SIZE];
    return err_set(err, ERR_INVALID, "--run-as '%s': system, local-service or network-service",
                   text_printable(shown, sizeof shown, text));
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

int job_set_command(struct job *job, const char *command, const char *arguments, struct err *err)
{
    const struct launcher *launcher = launcher_of(package_name_kind(job->package_name));
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
