/* A package file on the admin's disk. */
#include "common/pkg/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/pkg/digest.h"
#include "common/pkg/name.h"

static int open_error(const char *path, struct err *err)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return err_set_native(err, ERR_NOT_FOUND, errno, "there is no package %s", path);
    if (errno == EACCES || errno == EPERM)
        return err_set_native(err, ERR_DENIED, errno, "no permission to read package %s", path);
    return err_set_errno(err, errno, "cannot read package %s", path);
}

static int check(struct package_file *file, const char *path, struct err *err)
{
    if (fstat(file->fd, &file->opened) != 0)
        return open_error(path, err);
    if (S_ISDIR(file->opened.st_mode))
        return err_set(err, ERR_INVALID, "package %s is a directory", path);
    if (!S_ISREG(file->opened.st_mode))
        return err_set(err, ERR_INVALID, "package %s is not a regular file", path);
    if (file->opened.st_size == 0)
        return err_set(err, ERR_INVALID, "package %s is empty", path);
    file->bytes = (uint64_t)file->opened.st_size;
    if (file->bytes > LIMIT_PACKAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "package %s has more than %llu bytes", path,
                       LIMIT_PACKAGE_BYTES_MAX);
    return 0;
}

int package_file_open(struct package_file *file, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    memset(file, 0, sizeof *file);
    /* Non-blocking, so that a FIFO cannot hold us; no effect on files. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return open_error(path, err);
    if (check(file, path, err) != 0 || package_name_check(name, err) != 0) {
        package_file_release(file);
        return -1;
    }
    (void)text_copy(file->name, sizeof file->name, name);
    return 0;
}

void package_file_release(struct package_file *file)
{
    /* A zeroed struct holds nothing: what was opened has bytes or was released at once. */
    if (file->fd > 0 || (file->fd == 0 && file->opened.st_ino != 0))
        (void)close(file->fd);
    memset(file, 0, sizeof *file);
    file->fd = -1;
}

/* Whether the file is still the one that was opened, as far as its inode tells. */
static int check_unchanged(const struct package_file *file, struct err *err)
{
    struct stat now;
    if (fstat(file->fd, &now) != 0)
        return err_set_errno(err, errno, "cannot read package %s", file->name);
    if (now.st_size != file->opened.st_size || now.st_mtim.tv_sec != file->opened.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != file->opened.st_mtim.tv_nsec)
        return err_set(err, ERR_INVALID, "package %s changed while it was read", file->name);
    return 0;
}

int package_file_digest(const struct package_file *file, uint8_t digest[LIMIT_DIGEST_BYTES],
                        struct err *err)
{
    struct digest *running = digest_new();
    int result = digest_add_file(running, file->fd, file->bytes, err);
    if (result != 0)
        (void)err_wrap(err, "package %s", file->name);
    else
        digest_end(running, digest);
    digest_free(running);
    return result == 0 ? check_unchanged(file, err) : -1;
}

int package_file_read(const struct package_file *file, uint64_t offset, void *to, size_t size,
                      struct err *err)
{
    size_t done = 0;
    if (offset > file->bytes || size > file->bytes - offset)
        return err_set(err, ERR_INVALID, "package %s has no bytes at %llu", file->name,
                       (unsigned long long)offset);
    while (done < size) {
        ssize_t got = pread(file->fd, (char *)to + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read package %s", file->name);
        if (got == 0)
            return err_set(err, ERR_INVALID, "package %s became shorter", file->name);
        done += (size_t)got;
    }
    return 0;
}
