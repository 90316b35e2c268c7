/* Reading a password. */
#include "coordinator/cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/base/utf16.h"

#define KEY_INTERRUPT 0x03 /* Ctrl-C, with signals off */

/* Reads up to the end of a line. Returns the character that ended it: '\n', EOF, KEY_INTERRUPT;
 * -2: too long, -3: read error. No stdio: its buffer would keep a copy. */
static int line_read(int fd, bool keys, char *secret, size_t *length)
{
    for (*length = 0;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -3;
        if (got == 0)
            return EOF;
        if (keys && c == KEY_INTERRUPT)
            return KEY_INTERRUPT;
        if (c == '\n' || c == '\0')
            return '\n';
        if (*length == LIMIT_SECRET_SIZE - 1)
            return -2;
        secret[(*length)++] = c;
    }
}

static int check(char *secret, size_t length, int end, const char *where, struct err *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* Windows editors put it in front */
    size_t mark = sizeof byte_order_mark - 1;
    if (length > 0 && secret[length - 1] == '\r')
        length--;
    if (length >= mark && memcmp(secret, byte_order_mark, mark) == 0) {
        length -= mark;
        memmove(secret, secret + mark, length + mark);
    }
    secret[length] = '\0';
    if (end == -3)
        return err_set(err, ERR_INVALID, "%s: cannot read the password: %s", where,
                       strerrordesc_np(errno));
    if (end == -2)
        return err_set(err, ERR_INVALID, "%s: the password has more than %d characters", where,
                       LIMIT_SECRET_SIZE - 1);
    if (length == 0)
        return err_set(err, ERR_INVALID, "%s: the password is empty", where);
    if (!utf8_valid(secret))
        return err_set(err, ERR_INVALID, "%s: the password is not UTF-8", where);
    return 0;
}

int password_from_file(const char *path, char *secret, struct err *err)
{
    struct stat status;
    char name[256];
    text_printable(name, sizeof name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(err, ERR_INVALID, "password file %s: %s", name, strerrordesc_np(errno));
    int result = 0;
    if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode))
        result = err_set(err, ERR_INVALID, "password file %s: is not a file", name);
    else if ((status.st_mode & 077) != 0)
        result = err_set(err, ERR_INVALID,
                         "password file %s may be read by others (mode %04o): chmod 600 it", name,
                         (unsigned)(status.st_mode & 07777));
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        result = err_set(err, ERR_INVALID, "password file %s belongs to somebody else", name);
    if (result == 0) {
        size_t length = 0;
        char where[300];
        int end = line_read(fd, false, secret, &length);
        (void)snprintf(where, sizeof where, "password file %s", name);
        result = check(secret, length, end, where, err);
    }
    (void)close(fd);
    return result;
}

int password_from_terminal(const char *account, char *secret, struct err *err)
{
    struct termios before;
    size_t length = 0;
    char name[LIMIT_ACCOUNT_SIZE];
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return err_set(err, ERR_INVALID, "no terminal to ask for the password: --password-file");
    }
    struct termios silent = before;
    /* Without signals: Ctrl-C in here must not leave the terminal without echo. */
    silent.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
    silent.c_cc[VEOL] = KEY_INTERRUPT; /* it ends the line, so that it is seen at once */
    (void)tcsetattr(fd, TCSAFLUSH, &silent);
    (void)dprintf(fd, "Password for %s: ", text_printable(name, sizeof name, account));
    int end = line_read(fd, true, secret, &length);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    (void)close(fd);
    if (end == KEY_INTERRUPT)
        return err_set(err, ERR_TIMEOUT, "interrupted");
    return check(secret, length, end, "terminal", err);
}
