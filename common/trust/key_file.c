/* Files of keys. */
#include "common/trust/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/trust/secret.h"

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        text += written;
        size -= (size_t)written;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? mem_strdup(".")
                   : slash == path ? mem_strdup("/")
                                   : mem_strndup(path, (size_t)(slash - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        (void)close(fd);
    free(folder);
    return result;
}

/* Writes the text to a file that is there completely or not at all, and never replaces one. */
int key_file_write(const char *path, const char *text, struct err *err)
{
    char temporary[4096];
    int length =
        snprintf(temporary, sizeof temporary, "%s.%016llx", path, (unsigned long long)random_u64());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return err_set(err, ERR_INVALID, "cannot write key %s: path too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot write key %s", path);
    int result = write_all(fd, text, strlen(text));
    if (result == 0)
        result = fchmod(fd, 0600);
    if (result == 0)
        result = fsync(fd);
    int why = errno;
    (void)close(fd);
    if (result == 0) {
        result = link(temporary, path); /* unlike rename, fails when there is one already */
        why = errno;
    }
    (void)unlink(temporary);
    if (result == 0 && sync_folder_of(path) != 0) {
        result = -1;
        why = errno;
    }
    if (result == 0)
        return 0;
    if (why == EEXIST)
        return err_set(err, ERR_EXISTS, "key %s exists already", path);
    return err_set_errno(err, why, "cannot write key %s", path);
}

/* Whether the open file is one that only we could have written and can read. */
static int check_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno(err, errno, "cannot read key %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_DENIED, "key %s is not a regular file", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_DENIED, "key %s belongs to uid %u, not to us (uid %u)", path,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 07777) != 0600 && (st.st_mode & 07777) != 0400)
        return err_set(err, ERR_DENIED, "key %s has mode %04o, must be 0600 (chmod 600)", path,
                       (unsigned)(st.st_mode & 07777));
    return 0;
}

/* Reads at most KEY_FILE_SIZE - 1 bytes into zeroed `text`. */
static int read_file(int fd, char *text)
{
    size_t size = 0;
    while (size < KEY_FILE_SIZE - 1) {
        ssize_t got = read(fd, text + size, KEY_FILE_SIZE - 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return 0;
}

int key_file_read(const char *path, char *text, struct err *err)
{
    /* Non-blocking, so that a FIFO in its place cannot hold us; no effect on files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "there is no key %s", path);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read key %s", path);
    int result = check_file(fd, path, err);
    if (result == 0 && read_file(fd, text) != 0)
        result = err_set_errno(err, errno, "cannot read key %s", path);
    (void)close(fd);
    return result;
}
