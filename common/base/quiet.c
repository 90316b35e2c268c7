/* Terminals without echo. */
#include "common/base/quiet.h"

#include <string.h>

static const int numbers[QUIET_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t came; /* the last of them; 0: none */

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
    action.sa_handler = note; /* without SA_RESTART: a read ends */
    quiet->fd = fd;
    came = 0;
    for (int i = 0; i < QUIET_SIGNALS; i++) {
        (void)sigaction(numbers[i], NULL, &quiet->actions[i]);
        if (quiet->actions[i].sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
    }
    struct termios silent = quiet->before;
    silent.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
    silent.c_cc[VEOL] = QUIET_INTERRUPT;
    (void)tcsetattr(fd, TCSAFLUSH, &silent);
    return 0;
}

bool quiet_ended(void)
{
    return came != 0;
}

void quiet_end(const struct quiet *quiet)
{
    (void)tcsetattr(quiet->fd, TCSAFLUSH, &quiet->before);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        (void)sigaction(numbers[i], &quiet->actions[i], NULL);
    int number = came;
    came = 0;
    if (number != 0)
        (void)raise(number);
}
