/* One daemon of the private mode: started, watched, started again, ended.
 *
 * A daemon belongs to the command that holds its byte of supervisor.lock. The daemon inherits the
 * lock, so nobody else can start a second one before the first is really gone, however its command
 * ended. It runs in its own process group (Ctrl-C is the command's), gets SIGTERM when the command
 * dies, reads nothing and writes to its log. Polled by private.c; it never blocks.
 */
#ifndef PUSHER_CLI_DAEMON_H
#define PUSHER_CLI_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "coordinator/cli/paths.h"

#define DAEMON_ARGUMENTS_MAX 20

struct daemon {
    const char *name;                            /* "pusher-relay" */
    char path[STATE_PATH_SIZE];                  /* of the program */
    const char *arguments[DAEMON_ARGUMENTS_MAX]; /* after argv[0], NULL-terminated; borrowed */
    char log[STATE_PATH_SIZE];                   /* its standard error */
    char lock[STATE_PATH_SIZE];                  /* supervisor.lock */
    int64_t lock_byte;                           /* its byte there */
    int lock_fd;                                 /* -1: not opened */
    bool held;                                   /* we are its supervisor */
    pid_t pid;                                   /* 0: not running */
    uint64_t started_ms;                         /* loop time of the last start */
    uint64_t next_start_ms;                      /* not before */
    unsigned quick_ends;                         /* ends in a row soon after the start */
    int64_t log_offset;                          /* log's size at the last start */
};

/* What daemon_poll saw. */
enum daemon_news { DAEMON_QUIET, DAEMON_STARTED, DAEMON_ENDED, DAEMON_TAKEN_OVER };

/* Path and arguments are the caller's to fill after this. */
void daemon_init(struct daemon *daemon, const char *name, const struct state_paths *paths,
                 const char *log_name, int64_t lock_byte);
/* Takes the lock if it is free, reaps, starts when due. *ended says how it ended ("signal 9").
 * Errors: ERR_UNAVAILABLE when it keeps ending right after its start, with the log's last lines;
 * ERR_IO. */
int daemon_poll(struct daemon *daemon, uint64_t now_ms, enum daemon_news *news, char ended[64],
                struct err *err);
/* Runs "PROGRAM ARGUMENTS" to its end. Errors: ERR_UNAVAILABLE with the log's last lines. */
int daemon_run_once(struct daemon *daemon, const char *const *arguments, struct err *err);
/* Asks it to end. */
void daemon_terminate(const struct daemon *daemon);
/* Whether it is gone; reaps. */
bool daemon_gone(struct daemon *daemon);
/* SIGKILL, and waits. */
void daemon_kill(struct daemon *daemon);
/* Gives the lock back; the daemon must be gone. */
void daemon_release(struct daemon *daemon);

/* Waits for the lock on a byte of the file and returns its descriptor; -1 with err. */
int lock_wait(const char *path, int64_t byte, struct err *err);

#endif
