/* A terminal that doesn't show what is typed, and shows it again whatever happens.
 *
 * Called where passwords, passphrases and tokens are asked for; one at a time. Ctrl-C is a
 * character meanwhile, QUIET_INTERRUPT, and ends the line, so that whoever reads sees it at once. A
 * signal that would end the process (SIGINT, SIGTERM, SIGHUP, SIGQUIT) interrupts a read, with
 * EINTR, and takes its effect at the end, when the terminal is as it was before.
 */
#ifndef PUSHER_BASE_QUIET_H
#define PUSHER_BASE_QUIET_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#define QUIET_INTERRUPT 0x03 /* Ctrl-C */
#define QUIET_SIGNALS 4

struct quiet {
    int fd;
    struct termios before;
    struct sigaction actions[QUIET_SIGNALS]; /* before */
};

/* -1: not a terminal. */
int quiet_begin(struct quiet *quiet, int fd);
/* Whether a signal came since quiet_begin: what was read is not to be used. */
bool quiet_ended(void);
/* As it was before; then raises the signal that came. */
void quiet_end(const struct quiet *quiet);

#endif
