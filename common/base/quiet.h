/* A terminal that doesn't show what is typed, and shows it again whatever happens.
 *
 * Called where passwords, passphrases and tokens are asked for; one at a time. Ctrl-C is a
 * character meanwhile, and quiet_read tells of it as of a signal that would end the process
 * (SIGINT, SIGTERM, SIGHUP, SIGQUIT). Those are held back but while quiet_read waits, so that none
 * slips in before it, and take their effect at the end, when the terminal is as it was before.
 */
#ifndef PUSHER_BASE_QUIET_H
#define PUSHER_BASE_QUIET_H

#include <signal.h>
#include <sys/types.h>
#include <termios.h>

#define QUIET_SIGNALS 4

struct quiet {
    int fd;
    struct termios before;
    struct sigaction actions[QUIET_SIGNALS]; /* before */
    sigset_t mask;                           /* before */
};

/* -1: not a terminal. */
int quiet_begin(struct quiet *quiet, int fd);
/* The next character, as read() gives it: 1, 0 at the end, -1 with errno. EINTR: Ctrl-C was typed,
 * or a signal came since quiet_begin; what was read is not to be used. Without a quiet terminal,
 * read() that isn't interrupted. */
ssize_t quiet_read(int fd, char *c);
/* As it was before; then raises the signal that came. */
void quiet_end(const struct quiet *quiet);

#endif
