/* Reading a password. */
#include "coordinator/cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/quiet.h"
#include "common/base/text.h"
#include "common/base/utf16.h"

enum { TOO_LONG = -2, READ_ERROR = -3, INTERRUPTED = -4 };

/* Reads up to the end of a line. Returns the character that ended it, '\n' or EOF, or one of those.
 * No stdio: its buffer would keep a copy. */
static int line_read(int fd, char *secret, size_t *length)
{
    for (*length = 0;;) {
        char c = 0;
        ssize_t got = quiet_read(fd, &c);
        if (got < 0)
            return errno == EINTR ? INTERRUPTED : READ_ERROR;
        if (got == 0)
            return EOF;
        if (c == '\n' || c == '\0')
            return '\n';
        if (*length == LIMIT_SECRET_SIZE - 1)
            return TOO_LONG;
        secret[(*length)++] = c;
    }
}

/* `what` it is: "password", "passphrase". */
static int check(char *secret, size_t length, int end, const char *what, const char *where,
                 struct err *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* Windows editors put it in front */
    size_t mark = sizeof byte_order_mark - 1;
    if (length > 0 && secret[length - 1] == '\r')
        length--;
    if (length >= mark && memcmp(secret, byte_order_mark, mark) == 0) {
        length -= mark;
        memmove(secret, secret + mark, length);
    }
    secret[length] = '\0';
    if (end == READ_ERROR)
        return err_set(err, ERR_INVALID, "%s: cannot read the %s: %s", where, what,
                       strerrordesc_np(errno));
    if (end == TOO_LONG)
        return err_set(err, ERR_INVALID, "%s: the %s has more than %d characters", where, what,
                       LIMIT_SECRET_SIZE - 1);
    if (length == 0)
        return err_set(err, ERR_INVALID, "%s: the %s is empty", where, what);
    if (!utf8_valid(secret))
        return err_set(err, ERR_INVALID, "%s: the %s is not UTF-8", where, what);
    return 0;
}

static int from_file(const char *what, const char *path, char *secret, struct err *err)
{
    struct stat status;
    char name[256];
    text_printable(name, sizeof name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(err, ERR_INVALID, "%s file %s: %s", what, name, strerrordesc_np(errno));
    int result = 0;
    if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode))
        result = err_set(err, ERR_INVALID, "%s file %s: is not a file", what, name);
    else if ((status.st_mode & 077) != 0)
        result =
            err_set(err, ERR_INVALID, "%s file %s may be read by others (mode %04o): chmod 600 it",
                    what, name, (unsigned)(status.st_mode & 07777));
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        result = err_set(err, ERR_INVALID, "%s file %s belongs to somebody else", what, name);
    if (result == 0) {
        size_t length = 0;
        char where[300];
        int end = line_read(fd, secret, &length);
        (void)snprintf(where, sizeof where, "%s file %s", what, name);
        result = check(secret, length, end, what, where, err);
    }
    (void)close(fd);
    return result;
}

/* `prompt` is printable. */
static int from_terminal(const char *what, const char *prompt, char *secret, struct err *err)
{
    struct quiet quiet;
    size_t length = 0;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || quiet_begin(&quiet, fd) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return err_set(err, ERR_INVALID, "no terminal to ask for the %s: give --%s-file FILE", what,
                       what);
    }
    (void)dprintf(fd, "%s: ", prompt);
    int end = line_read(fd, secret, &length);
    (void)dprintf(fd, "\n");
    quiet_end(&quiet);
    (void)close(fd);
    if (end == INTERRUPTED)
        return err_set_native(err, ERR_TIMEOUT, EINTR, "interrupted");
    return check(secret, length, end, what, "terminal", err);
}

int password_from_file(const char *path, char *secret, struct err *err)
{
    return from_file("password", path, secret, err);
}

int password_from_terminal(const char *account, char *secret, struct err *err)
{
    char name[LIMIT_ACCOUNT_SIZE];
    char prompt[LIMIT_ACCOUNT_SIZE + 16];
    text_printable(name, sizeof name, account);
    (void)snprintf(prompt, sizeof prompt, "Password for %s", name);
    return from_terminal("password", prompt, secret, err);
}

int passphrase_from_file(const char *path, char *secret, struct err *err)
{
    return from_file("passphrase", path, secret, err);
}

int passphrase_from_terminal(const char *prompt, char *secret, struct err *err)
{
    return from_terminal("passphrase", prompt, secret, err);
}
