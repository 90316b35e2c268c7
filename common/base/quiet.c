/* Terminals without echo. */
#include "common/base/quiet.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define INTERRUPT 0x03 /* Ctrl-C */

static const int numbers[QUIET_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t came; /* the last of them; 0: none */
static const sigset_t *waiting;    /* the mask while a character is waited for; NULL: not quiet */

static void note(int number)
{
    came = number;
}

int quiet_begin(struct quiet *quiet, int fd)
{
    struct sigaction action;
    if (tcgetattr(fd, &quiet->before) != 0)
        return -1;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    quiet->fd = fd;
    came = 0;
    sigset_t held;
    (void)sigemptyset(&held);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        (void)sigaddset(&held, numbers[i]);
    (void)pthread_sigmask(SIG_BLOCK, &held, &quiet->mask);
    waiting = &quiet->mask;
    for (int i = 0; i < QUIET_SIGNALS; i++) {
        (void)sigaction(numbers[i], NULL, &quiet->actions[i]);
        if (quiet->actions[i].sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
    }
    struct termios silent = quiet->before;
    silent.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
    silent.c_cc[VEOL] = INTERRUPT;
    (void)tcsetattr(fd, TCSAFLUSH, &silent);
    return 0;
}

static ssize_t read_one(int fd, char *c)
{
    ssize_t got = 0;
    do
        got = read(fd, c, 1);
    while (got < 0 && errno == EINTR);
    return got;
}

ssize_t quiet_read(int fd, char *c)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (waiting == NULL)
        return read_one(fd, c);
    while (came == 0) {
        if (ppoll(&ready, 1, NULL, waiting) < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        ssize_t got = read_one(fd, c);
        if (got != 1 || *c != INTERRUPT)
            return got;
        break;
    }
    errno = EINTR;
    return -1;
}

void quiet_end(const struct quiet *quiet)
{
    (void)tcsetattr(quiet->fd, TCSAFLUSH, &quiet->before);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        (void)sigaction(numbers[i], &quiet->actions[i], NULL);
    int number = came;
    came = 0;
    waiting = NULL;
    (void)pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
    if (number != 0)
        (void)raise(number);
}
