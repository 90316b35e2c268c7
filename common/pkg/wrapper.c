/* The wrapper script: quoting for cmd. */
#include "common/pkg/wrapper.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/pkg/folder.h"
#include "common/pkg/name.h"

#define SCRIPT_LAUNCH "/d /s /c \"" /* what starts a script; ends with a quotation mark */
#define VARIABLE_VALUE_MAX 260      /* characters that a variable in the command may stand for */
/* What the second cmd, which starts a script, or a script's own use of its arguments, would read
 * as something else. */
#define SCRIPT_FORBIDDEN "%^&|<>!"

char *wrapper_name(const struct push_id *push, uint32_t generation, enum wrapper_file file,
                   char name[WRAPPER_NAME_SIZE])
{
    static const char *const suffixes[] = {
        [WRAPPER_SCRIPT] = ".cmd", [WRAPPER_OUTPUT] = ".out", [WRAPPER_END] = ".end"};
    char id[PUSH_ID_TEXT_SIZE];
    push_id_text(push, id);
    (void)snprintf(name, WRAPPER_NAME_SIZE, PACKAGE_RESERVED_PREFIX "%s-%" PRIu32 "%s", id,
                   generation, suffixes[file]);
    return name;
}

char *wrapper_arguments(const struct push_id *push, uint32_t generation,
                        char arguments[WRAPPER_ARGUMENTS_SIZE])
{
    char name[WRAPPER_NAME_SIZE];
    /* No AutoRun, no delayed expansion, extensions on: whatever the machine's registry says. */
    (void)snprintf(arguments, WRAPPER_ARGUMENTS_SIZE, "/d /v:off /e:on /c " WRAPPER_FOLDER "%s",
                   wrapper_name(push, generation, WRAPPER_SCRIPT, name));
    return arguments;
}

/* --- What may not be there --- */

/* Characters that no line of a script can hold for certain: cmd reads bytes in the machine's own
 * code page. */
static int check_plain(const char *text, const char *what, struct err *err)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != 0; at++) {
        if (*at == '\r' || *at == '\n')
            return err_set(err, ERR_INVALID, "%s: a line end cannot stand in a script", what);
        if (*at < 0x20 || *at == 0x7f)
            return err_set(err, ERR_INVALID,
                           "%s: the control character 0x%02X cannot stand in a script", what, *at);
        if (*at > 0x7f)
            return err_set(
                err, ERR_INVALID,
                "%s: a character that is not ASCII (byte 0x%02X) means something else on "
                "every machine's code page",
                what, *at);
    }
    return 0;
}

/* Arguments on their way through a cmd that starts a script. */
static int check_script_text(const char *text, size_t size, const char *what, struct err *err)
{
    for (size_t i = 0; i < size; i++)
        if (strchr(SCRIPT_FORBIDDEN, text[i]) != NULL)
            return err_set(err, ERR_INVALID,
                           "%s: the character %c may mean something else to cmd, which starts a "
                           "script",
                           what, text[i]);
    return 0;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t size = strlen(end);
    return length >= size && strncasecmp(text + length - size, end, size) == 0;
}

static bool is_script(const char *command, size_t length)
{
    return ends_with(command, length, ".cmd") || ends_with(command, length, ".bat");
}

static bool is_cmd(const char *command, size_t length)
{
    return ends_with(command, length, "\\cmd.exe") ||
           (length == 7 && strncasecmp(command, "cmd.exe", 7) == 0) ||
           (length == 3 && strncasecmp(command, "cmd", 3) == 0);
}

/* The part of the arguments that is handed on to a package that is a script, when that is how the
 * job starts it; NULL otherwise. */
static const char *script_arguments(const struct job *job, size_t *size)
{
    char start[LIMIT_PACKAGE_NAME_SIZE + 64];
    enum package_kind kind = package_name_kind(job->package_name);
    if (kind != PACKAGE_BAT && kind != PACKAGE_CMD)
        return NULL;
    int length =
        snprintf(start, sizeof start, SCRIPT_LAUNCH "\"" WRAPPER_FOLDER "%s\"", job->package_name);
    size_t whole = strlen(job->arguments);
    if (length < 0 || (size_t)length >= sizeof start || whole <= (size_t)length ||
        !is_cmd(job->command, strlen(job->command)) ||
        strncmp(job->arguments, start, (size_t)length) != 0 || job->arguments[whole - 1] != '"')
        return NULL;
    *size = whole - (size_t)length - 1;
    return job->arguments + length;
}

static int check_package_script(const struct job *job, struct err *err)
{
    size_t size = 0;
    const char *arguments = script_arguments(job, &size);
    if (arguments == NULL)
        return 0;
    /* The name stands in quotation marks, which a percent sign doesn't heed. */
    if (strchr(job->package_name, '%') != NULL)
        return err_set(err, ERR_INVALID,
                       "the package's name: the character %% may mean something else to cmd, which "
                       "starts a script");
    return check_script_text(arguments, size, "the package's arguments", err);
}

/* --- Writing --- */

/* As it stands, for cmd that reads a line of a script: a percent sign is doubled everywhere, the
 * other special characters get a caret outside quotation marks. cmd knows no escaped quotation
 * mark, so neither does this. */
static void put_literal(struct buf *out, const char *text)
{
    bool quoted = false;
    for (; *text != '\0'; text++) {
        if (*text == '"')
            quoted = !quoted;
        if (*text == '%')
            buf_u8(out, '%');
        else if (!quoted && strchr("^&|<>()", *text) != NULL)
            buf_u8(out, '^');
        buf_u8(out, (uint8_t)*text);
    }
}

/* Length of "%NAME%" at `text`, 0 when there is none. */
static size_t variable_length(const char *text, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char others[] = "0123456789()";
    if (size < 3 || text[0] != '%' || memchr(letters, text[1], sizeof letters - 1) == NULL)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (text[i] == '%')
            return i + 1;
        if (memchr(letters, text[i], sizeof letters - 1) == NULL &&
            memchr(others, text[i], sizeof others - 1) == NULL)
            return 0;
    }
    return 0;
}

/* In quotation marks, with variables left to be replaced. Returns how many there are. */
static size_t put_command(struct buf *out, const char *command, size_t size, bool variables)
{
    size_t count = 0;
    buf_u8(out, '"');
    for (size_t i = 0; i < size;) {
        size_t length = variables ? variable_length(command + i, size - i) : 0;
        count += length > 0;
        if (length == 0 && command[i] == '%')
            buf_u8(out, '%');
        for (size_t end = i + (length > 0 ? length : 1); i < end; i++)
            buf_u8(out, (uint8_t)command[i]);
    }
    buf_u8(out, '"');
    return count;
}

/* The job's command without the quotation marks around it. */
struct command {
    char own[sizeof WRAPPER_FOLDER + LIMIT_PACKAGE_NAME_SIZE]; /* the package itself */
    const char *text;
    size_t size;
    bool variables;
};

static int command_of(const struct job *job, struct command *command, struct err *err)
{
    command->text = job->command;
    command->variables = true;
    if (job->command[0] == '\0') {
        (void)snprintf(command->own, sizeof command->own, WRAPPER_FOLDER "%s", job->package_name);
        command->text = command->own;
        command->variables = false;
    }
    command->size = strlen(command->text);
    if (command->size >= 2 && command->text[0] == '"' && command->text[command->size - 1] == '"') {
        command->text++;
        command->size -= 2;
    }
    if (command->size == 0)
        return err_set(err, ERR_INVALID, "the command is empty");
    if (memchr(command->text, '"', command->size) != NULL)
        return err_set(err, ERR_INVALID, "the command: a \" cannot be part of a program's name");
    return check_plain(command->text, "the command", err);
}

/* The line that runs the package. Returns how many variables stand in it. */
static int put_line(const struct job *job, struct buf *out, size_t *variables, struct err *err)
{
    struct command command;
    if (command_of(job, &command, err) != 0 ||
        check_plain(job->arguments, "the package's arguments", err) != 0 ||
        check_package_script(job, err) != 0)
        return -1;
    if (!is_script(command.text, command.size)) {
        *variables = put_command(out, command.text, command.size, command.variables);
        if (job->arguments[0] != '\0')
            buf_u8(out, ' ');
        put_literal(out, job->arguments);
        return 0;
    }
    /* A script would take over and never come back: a cmd of its own runs it, which also replaces
     * the variables in its name. */
    char line[sizeof SCRIPT_LAUNCH + LIMIT_COMMAND_SIZE + LIMIT_ARGUMENTS_SIZE + 8];
    if (!command.variables && memchr(command.text, '%', command.size) != NULL)
        return check_script_text("%", 1, "the package's name", err);
    if (check_script_text(job->arguments, strlen(job->arguments), "the package's arguments", err) !=
        0)
        return -1;
    (void)snprintf(line, sizeof line, SCRIPT_LAUNCH "\"%.*s\"%s%s\"", (int)command.size,
                   command.text, job->arguments[0] != '\0' ? " " : "", job->arguments);
    *variables = put_command(out, WRAPPER_COMMAND, strlen(WRAPPER_COMMAND), true) + 1;
    buf_u8(out, ' ');
    put_literal(out, line);
    return 0;
}

int wrapper_build(const struct job *job, struct buf *out, struct err *err)
{
    char output[WRAPPER_NAME_SIZE];
    char end[WRAPPER_NAME_SIZE];
    struct buf line;
    size_t variables = 0;
    buf_init(&line, 3 * (LIMIT_COMMAND_SIZE + LIMIT_ARGUMENTS_SIZE));
    int status = put_line(job, &line, &variables, err);
    if (status == 0 &&
        (!buf_ok(&line) || line.size + variables * VARIABLE_VALUE_MAX > WRAPPER_LINE_MAX))
        status =
            err_set(err, ERR_LIMIT,
                    "the package's command line has more than the %u characters that cmd reads",
                    WRAPPER_LINE_MAX);
    if (status == 0) {
        (void)wrapper_name(&job->push, job->generation, WRAPPER_OUTPUT, output);
        (void)wrapper_name(&job->push, job->generation, WRAPPER_END, end);
        /* The package stands on a line of its own, in a part that is called with its output already
         * redirected: an odd quotation mark in its arguments swallows nothing of ours. */
        buf_printf(out,
                   "@echo off\r\n"
                   "setlocal EnableExtensions DisableDelayedExpansion\r\n"
                   "set \"errorlevel=\"\r\n"
                   "call :run >\"" WRAPPER_FOLDER "%s\" 2>&1 <nul\r\n"
                   "set \"pusher_end=%%errorlevel%%\"\r\n"
                   ">\"" WRAPPER_FOLDER "%s\" echo %%pusher_end%%\r\n"
                   "exit %%pusher_end%%\r\n"
                   ":run\r\n"
                   "%s\r\n"
                   "exit /b %%errorlevel%%\r\n",
                   output, end, buf_cstr(&line));
        if (!buf_ok(out))
            status = err_set(err, ERR_LIMIT, "the script is too long");
    }
    buf_release(&line);
    return status;
}

/* Of a package of several files one has to be named. */
static int check_folder(const struct job *job, struct err *err)
{
    if (!job->directory)
        return 0;
    if (folder_name_check(job->package_name, err) != 0)
        return -1;
    if (job->command[0] == '\0')
        return err_set(err, ERR_INVALID,
                       "the package is a folder: say what it runs, such as --command "
                       "'" WRAPPER_FOLDER "%s\\setup.exe'",
                       job->package_name);
    if (job->cleanup)
        return err_set(err, ERR_INVALID,
                       "--cleanup removes one file: a package that is a folder stays");
    return 0;
}

int job_command_check(const struct job *job, struct err *err)
{
    struct buf script;
    if (check_folder(job, err) != 0)
        return -1;
    if (!job->wait)
        return check_package_script(job, err);
    buf_init(&script, WRAPPER_SIZE_MAX);
    int status = wrapper_build(job, &script, err);
    buf_release(&script);
    return status;
}

bool wrapper_end_read(const uint8_t *bytes, size_t size, uint32_t *code)
{
    size_t at = 0;
    bool negative = size > 0 && bytes[0] == '-';
    uint64_t value = 0;
    size_t digits = 0;
    for (at = negative ? 1 : 0; at < size && bytes[at] >= '0' && bytes[at] <= '9'; at++, digits++) {
        value = value * 10 + (uint64_t)(bytes[at] - '0');
        if (value > UINT32_MAX)
            return false;
    }
    if (digits == 0 || (negative && value > 0x80000000U))
        return false;
    for (; at < size; at++)
        if (bytes[at] != '\r' && bytes[at] != '\n' && bytes[at] != ' ')
            return false;
    *code = negative ? (uint32_t)-value : (uint32_t)value;
    return true;
}
