/* State folders and files. */
#include "coordinator/cli/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* The longest socket name under the root. */
#define SOCKET_LONGEST "/coordinator/package.sock"

static void join(char to[STATE_PATH_SIZE], const char *root, const char *rest)
{
    (void)snprintf(to, STATE_PATH_SIZE, "%s%s", root, rest);
}

/* The folder that an XDG variable names, else the usual one under the home folder; "/pusher" in it.
 */
static int home_find(char home[STATE_ROOT_SIZE], const char *variable, const char *usual,
                     struct err *err)
{
    const char *given = getenv(variable);
    if (given != NULL && *given == '/') /* the XDG rules ignore a relative one */
        return (size_t)snprintf(home, STATE_ROOT_SIZE, "%s/pusher", given) < STATE_ROOT_SIZE
                   ? 0
                   : err_set(err, ERR_INVALID, "%s is too long", variable);
    const char *own = getenv("HOME");
    const struct passwd *user = own == NULL || *own != '/' ? getpwuid(getuid()) : NULL;
    if (user != NULL)
        own = user->pw_dir;
    if (own == NULL || *own != '/')
        return err_set(err, ERR_INVALID, "no home folder: set HOME or %s", variable);
    return (size_t)snprintf(home, STATE_ROOT_SIZE, "%s/%s/pusher", own, usual) < STATE_ROOT_SIZE
               ? 0
               : err_set(err, ERR_INVALID, "HOME is too long");
}

int state_home_find(char home[STATE_ROOT_SIZE], struct err *err)
{
    return home_find(home, "XDG_STATE_HOME", ".local/state", err);
}

int config_home_find(char home[STATE_ROOT_SIZE], struct err *err)
{
    return home_find(home, "XDG_CONFIG_HOME", ".config", err);
}

int state_paths_find(struct state_paths *paths, struct err *err)
{
    memset(paths, 0, sizeof *paths);
    char home[STATE_ROOT_SIZE];
    if (state_home_find(home, err) != 0)
        return -1;
    if ((size_t)snprintf(paths->root, sizeof paths->root, "%s/private", home) >= sizeof paths->root)
        return err_set(err, ERR_INVALID, "HOME or XDG_STATE_HOME is too long");
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(paths->root) + strlen(SOCKET_LONGEST) > room)
        return err_set(err, ERR_INVALID,
                       "the state folder's path is too long for Unix sockets (%zu characters, at "
                       "most %zu): set XDG_STATE_HOME to a shorter one",
                       strlen(paths->root), room - strlen(SOCKET_LONGEST));
    join(paths->coordinator, paths->root, "/coordinator");
    join(paths->relay, paths->root, "/relay");
    join(paths->operators, paths->root, "/operators");
    join(paths->jobs, paths->root, "/jobs");
    join(paths->lock, paths->root, "/supervisor.lock");
    join(paths->control, paths->root, "/coordinator/control.sock");
    return 0;
}

bool state_paths_used(const struct state_paths *paths)
{
    char store[STATE_PATH_SIZE];
    (void)snprintf(store, sizeof store, "%.*s/store.db", (int)sizeof store - 16,
                   paths->coordinator);
    /* What can't be looked at may be full of pushes: only what isn't there is unused. */
    return access(store, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int folders_make(const char *path, struct err *err)
{
    char part[STATE_PATH_SIZE];
    (void)text_copy(part, sizeof part, path);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_set_errno(
                err, errno, "cannot make state folder %s (XDG_STATE_HOME chooses another place)",
                part);
        *at = end;
        if (end == '\0')
            return 0;
    }
}

int state_paths_make(const struct state_paths *paths, struct err *err)
{
    struct stat status;
    if (folders_make(paths->root, err) != 0)
        return -1;
    if (stat(paths->root, &status) != 0)
        return err_set_errno(err, errno, "cannot look at %s", paths->root);
    if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return err_set(err, ERR_DENIED, "%s must belong to you alone (chmod 700)", paths->root);
    const char *const folders[] = {paths->coordinator, paths->relay, paths->operators, paths->jobs};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (folders_make(folders[i], err) != 0)
            return -1;
    return 0;
}

int program_find(const char *name, char path[STATE_PATH_SIZE], struct err *err)
{
    char own[STATE_ROOT_SIZE];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length > 0) {
        own[length] = '\0';
        char *slash = strrchr(own, '/');
        if (slash != NULL)
            *slash = '\0';
        (void)snprintf(path, STATE_PATH_SIZE, "%s/%s", own, name);
        if (access(path, X_OK) == 0)
            return 0;
    }
    const char *search = getenv("PATH");
    while (search != NULL && *search != '\0') {
        size_t size = strcspn(search, ":");
        if (*search == '/') { /* a relative folder could be anybody's */
            (void)snprintf(path, STATE_PATH_SIZE, "%.*s/%s", (int)size, search, name);
            if (access(path, X_OK) == 0)
                return 0;
        }
        search += size;
        search += *search == ':';
    }
    return err_set(err, ERR_NOT_FOUND, "%s is neither beside pusher nor in PATH", name);
}

int file_write(const char *path, const void *bytes, size_t size, struct err *err)
{
    char temporary[STATE_PATH_SIZE];
    (void)snprintf(temporary, sizeof temporary, "%.*s.%d", (int)sizeof temporary - 16, path,
                   (int)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot write %s", path);
    const char *at = bytes;
    int errno_value = 0;
    while (size > 0 && errno_value == 0) {
        ssize_t written = write(fd, at, size);
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        } else if (written == 0 || errno != EINTR) {
            errno_value = written == 0 ? EIO : errno;
        }
    }
    if (errno_value == 0 && fsync(fd) != 0)
        errno_value = errno;
    if (close(fd) != 0 && errno_value == 0)
        errno_value = errno;
    if (errno_value == 0 && rename(temporary, path) != 0)
        errno_value = errno;
    if (errno_value == 0)
        return 0;
    (void)unlink(temporary);
    return err_set_errno(err, errno_value, "cannot write %s", path);
}
