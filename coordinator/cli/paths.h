/* Where the private coordinator and relay keep their state: $XDG_STATE_HOME/pusher/private, else
 * ~/.local/state/pusher/private. Pure but for the environment and making folders. */
#ifndef PUSHER_CLI_PATHS_H
#define PUSHER_CLI_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/model/id.h"

#define STATE_ROOT_SIZE 1024U /* longest root; what is under it adds less than 256 */
#define STATE_PATH_SIZE 1536U

struct state_paths {
    char root[STATE_ROOT_SIZE];
    char coordinator[STATE_PATH_SIZE]; /* --state of pusher-coordinator */
    char relay[STATE_PATH_SIZE];       /* --state of pusher-relay */
    char operators[STATE_PATH_SIZE];   /* <push id>.pub */
    char jobs[STATE_PATH_SIZE];        /* <push id>.job: what a resume signs again */
    char lock[STATE_PATH_SIZE];        /* supervisor.lock */
    char control[STATE_PATH_SIZE];     /* path of the control socket */
};

/* "$XDG_STATE_HOME/pusher" or "~/.local/state/pusher"; "$XDG_CONFIG_HOME/pusher" or
 * "~/.config/pusher". Errors: ERR_INVALID: no home folder, or a path that is too long. */
int state_home_find(char home[STATE_ROOT_SIZE], struct err *err);
int config_home_find(char home[STATE_ROOT_SIZE], struct err *err);
/* mkdir -p with mode 0700 for what is new. Errors: ERR_IO. */
int folders_make(const char *path, struct err *err);

/* Fills the paths from the environment; touches nothing. Errors: ERR_INVALID: no home folder, a
 * relative path, or one too long for the sockets in it (the remedy is in the text). */
int state_paths_find(struct state_paths *paths, struct err *err);
/* Whether there is a private coordinator's store: there was a push before. */
bool state_paths_used(const struct state_paths *paths);
/* Makes the folders, mode 0700. Errors: ERR_IO; ERR_DENIED when the root is somebody else's or
 * open to others. */
int state_paths_make(const struct state_paths *paths, struct err *err);

/* Path of a program of ours: beside this one, else found in PATH. Errors: ERR_NOT_FOUND. */
int program_find(const char *name, char path[STATE_PATH_SIZE], struct err *err);

/* Writes a whole new or replaced file (mode 0600), synced and renamed into place. Errors: ERR_IO,
 * ERR_NO_SPACE. */
int file_write(const char *path, const void *bytes, size_t size, struct err *err);

#endif
