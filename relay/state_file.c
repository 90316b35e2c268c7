/* Small files of the state folder. */
#include "relay/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check(int fd, const char *path, struct err *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return err_set_errno(err, errno, "cannot look at %s", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_DENIED, "%s is not a regular file", path);
    if (info.st_uid != geteuid())
        return err_set(err, ERR_DENIED, "%s belongs to uid %u, not to us (uid %u)", path,
                       (unsigned)info.st_uid, (unsigned)geteuid());
    if ((info.st_mode & 07777) != 0600 && (info.st_mode & 07777) != 0400)
        return err_set(err, ERR_DENIED, "%s has mode %04o, must be 0600 (chmod 600)", path,
                       (unsigned)(info.st_mode & 07777));
    return 0;
}

static int read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    uint8_t part[4096];
    for (;;) {
        ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read %s", path);
        if (got == 0)
            return buf_ok(out) ? 0 : err_set(err, ERR_INVALID, "%s is too long: damaged", path);
        buf_bytes(out, part, (size_t)got);
    }
}

int state_file_read(const char *path, struct buf *out, struct err *err)
{
    /* Non-blocking, so that a FIFO in its place cannot hold us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no %s", path)
                               : err_set_errno(err, errno, "cannot read %s", path);
    int failed = check(fd, path, err);
    if (!failed)
        failed = read_all(fd, path, out, err);
    (void)close(fd);
    return failed;
}

int state_folder_sync(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 1;
    (void)snprintf(folder, sizeof folder, "%.*s", length, slash ? path : ".");
    int fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", folder);
    int failed = fsync(fd);
    int why = errno;
    (void)close(fd);
    return failed ? err_set_errno(err, why, "cannot sync %s", folder) : 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        size -= (size_t)written;
    }
    return fsync(fd);
}

static int write_failed(int why, const char *path, struct err *err)
{
    if (why == ENOSPC || why == EDQUOT)
        return err_set_native(err, ERR_NO_SPACE, why, "no space for %s: free some there", path);
    return err_set_errno(err, why, "cannot write %s", path);
}

int state_file_write(const char *path, const void *data, size_t size, struct err *err)
{
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_LIMIT, "path of %s is too long", path);
    (void)unlink(fresh); /* of a crash */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return write_failed(errno, path, err);
    int failed = write_all(fd, data, size);
    int why = errno;
    if (close(fd) != 0 && !failed) {
        failed = -1;
        why = errno;
    }
    if (!failed && rename(fresh, path) != 0) {
        failed = -1;
        why = errno;
    }
    if (failed) {
        (void)unlink(fresh);
        return write_failed(why, path, err);
    }
    return state_folder_sync(path, err);
}
