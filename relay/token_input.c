/* Reading a token. */
#include "relay/token_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/quiet.h"
#include "common/base/text.h"
#include "common/trust/secret.h"

#define INPUT_SIZE 1024 /* more than any token, white space included */

/* One line into zeroed memory of INPUT_SIZE bytes. Without stdio, whose buffer would keep a copy.
 */
static int read_line(int fd, char *to, struct err *err)
{
    for (size_t length = 0; length < INPUT_SIZE - 1;) {
        char c = 0;
        ssize_t got = quiet_read(fd, &c);
        if (got < 0 && errno == EINTR)
            return err_set_native(err, ERR_TIMEOUT, EINTR, "interrupted");
        if (got < 0)
            return err_set_errno(err, errno, "cannot read the token");
        if (got == 0 || c == '\n' || c == '\0')
            return 0;
        to[length++] = c;
    }
    return err_set(err, ERR_INVALID, "the token is too long");
}

static int token_from_fd(int fd, struct token *out, struct err *err)
{
    char *text = secret_new(INPUT_SIZE);
    int failed = read_line(fd, text, err);
    if (!failed)
        failed = token_from_text(text, out, err);
    secret_free(text);
    return failed;
}

int token_from_argument(char *argument, struct token *out, struct err *err)
{
    int failed = token_from_text(argument, out, err);
    secret_wipe(argument, strlen(argument));
    return failed;
}

static int check_file(int fd, const char *name, struct err *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode))
        return err_set(err, ERR_INVALID, "token file %s is not a file", name);
    if (S_ISREG(info.st_mode) && (info.st_mode & 077) != 0)
        return err_set(err, ERR_DENIED,
                       "token file %s may be read by others (mode %04o): chmod 600 it", name,
                       (unsigned)(info.st_mode & 07777));
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return err_set(err, ERR_DENIED, "token file %s belongs to somebody else", name);
    return 0;
}

int token_from_file(const char *path, struct token *out, struct err *err)
{
    char name[256];
    if (strcmp(path, "-") == 0)
        return token_from_fd(STDIN_FILENO, out, err);
    text_printable(name, sizeof name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read token file %s", name);
    int failed = check_file(fd, name, err);
    if (!failed && token_from_fd(fd, out, err) != 0)
        failed = err_wrap(err, "token file %s", name);
    (void)close(fd);
    return failed;
}

int token_from_terminal(struct token *out, struct err *err)
{
    static const char prompt[] = "Token (pusher relay token SITE shows one): ";
    struct quiet quiet;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || quiet_begin(&quiet, fd) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return err_set(err, ERR_INVALID,
                       "no terminal to ask for the token: --token-file FILE, or - for standard "
                       "input");
    }
    (void)dprintf(fd, "%s", prompt);
    int failed = token_from_fd(fd, out, err);
    (void)dprintf(fd, "\n");
    quiet_end(&quiet);
    (void)close(fd);
    return failed;
}
